"""The numbers that a run has recorded so far, for views that show how they came about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import runs

if TYPE_CHECKING:
    from .trainer import Trainer

MOST = 4096  # numbers of each kind that are kept; beyond it every second one goes

Series = tuple[list[float], list[float]]  # steps of the whole run, and values


class Past:
    """What the log of a run holds, read on from where the last reading ended."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.log = runs.Log(trainer.run) if trainer.run else None
        self.series: dict[str, Series] = {}
        self.seconds: dict[str, Series] = {}

    def place(self, index: int, done: int) -> int:
        """A step of a stage among those of the whole run."""
        return sum(stage.steps for stage in self.trainer.module.STAGES[:index]) + done

    @property
    def now(self) -> int:
        """How many steps of the whole run are done."""
        return self.place(self.trainer.index, self.trainer.done)

    def read(self) -> Mapping[str, Series]:
        """All losses and metrics up to now; nothing where the run has no folder."""
        rows, whole = self.log.read() if self.log else ([], False)
        if whole:
            self.series.clear()
            self.seconds.clear()
        for row in rows:
            step = self.place(row.get("index", 0), row.get("step", 0))
            for name, value in row.items():
                if name not in runs.PLACE and isinstance(value, (int, float)):
                    self.add(name, step, value, row.get("took", math.nan))
        now = self.now  # who went back has a log with what came after, until training goes on
        return {name: upto(series, now) for name, series in self.series.items()}

    def add(self, name: str, step: int, value: float, took: float = math.nan) -> None:
        """One more number, in the place of another one of that step."""
        for series, number in ((self.series, value), (self.seconds, took)):
            steps, values = series.setdefault(name, ([], []))
            if steps and steps[-1] == step:
                values[-1] = number
                continue
            steps.append(step)
            values.append(number)
            if len(steps) > MOST:
                del steps[1:-1:2], values[1:-1:2]

    def clock(self) -> Mapping[str, list[float]]:
        """For each number of `read` how long the stage's steps before it took, in seconds."""
        return {name: times for name, (_, times) in self.seconds.items()}


def upto(series: Series, now: int) -> Series:
    """Without what is later than a step."""
    steps, values = series
    if not steps or steps[-1] <= now:
        return series
    kept = sum(step <= now for step in steps)
    return steps[:kept], values[:kept]
