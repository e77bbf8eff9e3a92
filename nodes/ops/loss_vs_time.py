"""Two ways to the same loss on one axis of time: many steps for one image, or one pass."""

import math
from typing import Any

import numpy as np
from torch import Tensor

from .drawing import Axes, Sheet, legend, legend_rows, named, note, span, text_size, typeface
from .ink import ink, themed

Curve = tuple[np.ndarray, np.ndarray]  # seconds and losses


def crossing(curve: Curve, loss: float) -> float | None:
    """When a curve first is at a loss, or None: between two points by their logarithms."""
    seconds, losses = curve
    below = np.flatnonzero(losses <= loss)
    if not below.size:
        return None
    k = int(below[0])
    if k == 0 or losses[k] <= 0 or loss <= 0:
        return float(seconds[k])
    high, low = math.log(losses[k - 1]), math.log(losses[k])
    share = (high - math.log(loss)) / (high - low)
    return float(seconds[k - 1] + share * (seconds[k] - seconds[k - 1]))


def duration(seconds: float) -> str:
    """A time in few digits, with its unit."""
    units = {1.0: "s", 1e-3: "ms", 1e-6: "µs"}
    size = next((size for size in units if seconds >= 0.9995 * size), 1e-6)
    return f"{seconds / size:.3g} {units[size]}"


def times(factor: float) -> str:
    """How many times."""
    return f"{factor:,.0f}×" if factor >= 9.5 else f"{factor:.2g}×"


def recorded(name: str, past: Any, clock: Any) -> Curve:
    """The recorded losses of a name, and when they were reached; finite ones."""
    losses = np.asarray((past or {}).get(name, ([], []))[1], np.float64)
    seconds = np.asarray((clock or {}).get(name, []), np.float64)[: len(losses)]
    losses = losses[: len(seconds)]
    known = np.isfinite(losses) & np.isfinite(seconds)
    return seconds[known], losses[known]


def verdict(name: str, curve: Curve, loss: float, seconds: float) -> tuple[str, dict[str, Any]]:
    """What a curve and a pass that takes `seconds` say, in words and in numbers."""
    reached = crossing(curve, loss)
    if not curve[0].size:
        return f"{name}: not optimised yet", {"seconds": None, "ratio": None}
    if reached is None:
        last = float(curve[0][-1])
        words = f"{name}: not in {duration(last)}, more than {times(last / seconds)}"
        return words, {"seconds": None, "ratio": None}
    ratio = reached / seconds
    return f"{name}: {duration(reached)}, {times(ratio)} as long", {
        "seconds": reached,
        "ratio": ratio,
    }


@themed
def loss_vs_time(
    optimised: list[Tensor], generated: Tensor, samples: Tensor, size: int,
    names: list[str] | None = None, past: Any = None, clock: Any = None,
    seconds: float | None = None,
) -> Any:  # fmt: skip
    """The losses of images that are optimised over time, and a generator's with the time of a
    pass."""
    loss = float(generated)
    if seconds is None or not math.isfinite(loss):
        return note("nothing was timed" if seconds is None else "no finite loss", size)
    known = named(names, len(optimised))
    curves = [recorded(name, past, clock) for name in known]
    said = [verdict(n, c, loss, seconds) for n, c in zip(known, curves, strict=True)]
    pass_words = f"one pass: {duration(seconds)}, loss {loss:.2g}"
    rows = legend_rows([pass_words, *(words for words, _ in said)], size)
    px = text_size(size)
    under = len(rows) * (px + 5) + px + 9
    sheet = Sheet(size, round(size * 0.66) + under)

    ends = [seconds, *(float(v) for s, _ in curves for v in s if v > 0)]
    x = math.floor(math.log10(min(ends)) - 0.01), math.ceil(math.log10(max(ends)) + 0.01)
    shown = [loss, *(float(v) for _, found in curves for v in found)]
    low, high = span(np.log10([v for v in shown if v > 0] or [1.0]))
    axes = Axes(sheet, x, (low - 0.1, high + 0.1), size, bottom=under, numbered=False)
    powers = range(math.ceil(low - 0.1), math.floor(high + 0.1) + 1)
    labels = {power: f"{10.0**power:g}" if power > -4 else f"1e−{-power}" for power in powers}
    axes.left += max((typeface(px).getlength(t) for t in labels.values()), default=0) + 4
    for power in range(x[0], x[1] + 1):
        across, _ = axes.at(power, low)
        sheet.line([(across, axes.top), (across, axes.bottom)], ink().raised, 0.5)
        anchor = "lt" if power == x[0] else "rt" if power == x[1] else "mt"
        sheet.text(across, axes.bottom + 4, duration(10.0**power), ink().dim, px, anchor)
    for power, label in labels.items():
        _, down = axes.at(x[0], power)
        sheet.line([(axes.left, down), (axes.right, down)], ink().raised, 0.5)
        sheet.text(axes.left - 4, down, label, ink().dim, px, "rm")
    for k, (at, found) in enumerate(curves, 1):
        for s, v in zip(at, found, strict=True):
            if v > 0:
                place = axes.at(math.log10(s) if s > 0 else x[0], math.log10(v))
                sheet.mark(0, place, 1.5, ink().hues[k % len(ink().hues)])
    if loss > 0:
        level = math.log10(loss)
        begin = axes.at(math.log10(seconds), level)
        sheet.line([begin, axes.at(x[1], level)], ink().accent, 1.5)
        sheet.mark(3, begin, 4, ink().accent)
        for _, numbers in said:
            if numbers["seconds"]:
                sheet.mark(4, axes.at(math.log10(numbers["seconds"]), level), 4, ink().text)
    legend(sheet, rows, sheet.high - under + px + 6, size, ink().hues, [2])
    about = {"pass": seconds, "loss": loss}
    return sheet.done(), about | {n: numbers for n, (_, numbers) in zip(known, said, strict=True)}
