"""The heights between which lines are shown when one of them runs away. Plain Python."""

import math
from collections.abc import Sequence
from typing import NamedTuple

ENOUGH = 10.0  # a line leaves the plot if all of it would leave less than a tenth for what is calm
WILD = 100.0  # times as far from 0 as the line in the middle, a line has run away


class Calm(NamedTuple):
    """Of one line: where nine tenths of it and its beginning are, and all of it."""

    start: float
    low: float
    high: float
    least: float
    most: float


def calm(line: Sequence[float]) -> Calm | None:
    """Where a line is for the most part; None if no value is finite."""
    found = [v for v in line if math.isfinite(v)]
    if not found:
        return None
    start = found[0]
    found.sort()
    tenth = (len(found) - 1) // 10
    low, high = found[tenth], found[-1 - tenth]
    return Calm(start, min(start, low), max(start, high), found[0], found[-1])


def extent(lines: Sequence[Calm | None]) -> tuple[float, float] | None:
    """The heights between which lines are shown together; None if there is nothing to show.

    That is all of them, unless what a line does in less than a tenth of its time, or a line that
    has run away from the others, would make the rest flat: then these are cut off, on either side.
    The beginning of each is seen.
    """
    found = [line for line in lines if line]
    if not found:
        return None
    reach = sorted(max(abs(line.low), abs(line.high)) for line in found)
    usual = reach[(len(reach) - 1) // 2] or min((r for r in reach if r), default=0.0)
    tame = [line for line in found if max(abs(line.low), abs(line.high)) <= WILD * usual]
    starts = [line.start for line in found]
    low = min([line.low for line in tame] + starts)
    high = max([line.high for line in tame] + starts)
    least, most = min(line.least for line in found), max(line.most for line in found)
    room = ENOUGH * max(high - low, 0.1 * abs(low), 0.1 * abs(high))
    if not room:
        return least, most
    return (low if low - least > room else least), (high if most - high > room else most)


def leaves(line: Sequence[float], low: float, high: float) -> tuple[int, bool] | None:
    """The first value that is above (True) or below what is shown, by its index."""
    for index, value in enumerate(line):
        if value > high or value < low:  # infinite ones too
            return index, value > high
    return None
