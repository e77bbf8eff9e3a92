"""Runs side by side: their last numbers as a table, their curves in one picture."""

from __future__ import annotations

import math
import os.path
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import runs
from .graph import GraphError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS, COLUMNS = 12, 3  # at most, and beside each other
SUFFIXES = (".png", ".svg", ".pdf")

Curves = Mapping[str, list[tuple[int, float]]]  # of a run, by metric: steps and numbers


def read(folders: Sequence[Path]) -> dict[str, Curves]:
    """The curves of runs, metrics before losses, by what each folder's name has of its own.

    Steps are counted from the first stage on. Raises GraphError for what is no run.
    """
    names = [folder.resolve().name for folder in folders]
    common = os.path.commonprefix(names)
    common = common[: common.rfind("-") + 1] if len(names) > 1 else ""
    if len(set(names)) < len(names):
        names, common = [str(folder) for folder in folders], ""
    return {name.removeprefix(common): curves(folder) for name, folder in zip(names, folders)}


def curves(folder: Path) -> Curves:
    """The curves of one run; of what is a metric and a loss the metric."""
    stages = runs.read(folder).stages
    before = [0, *accumulate(steps for _, steps in stages)]
    kinds: dict[str, dict[str, list[tuple[int, float]]]] = {"metric": {}, "loss": {}}
    for row in runs.rows(folder):
        index, step, kind = (row.get(key) for key in ("index", "step", "kind"))
        if isinstance(index, int) and isinstance(step, int) and 0 <= index < len(before):
            for name, value in row["values"].items():
                if kind in kinds and isinstance(value, float | int) and math.isfinite(value):
                    kinds[kind].setdefault(name, []).append((before[index] + step, float(value)))
    return {
        **kinds["metric"],
        **{k: v for k, v in kinds["loss"].items() if k not in kinds["metric"]},
    }


def table(found: Mapping[str, Curves]) -> str:
    """The last number of each curve, a column for each run."""
    lines = [["", *found]]
    for name in dict.fromkeys(name for run in found.values() for name in run):
        last = (f"{run[name][-1][1]:.4g}" if name in run else "" for run in found.values())
        lines.append([name, *last])
    wide = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join([line[0].ljust(wide[0]), *(w.rjust(n) for w, n in zip(line[1:], wide[1:]))])
        for line in lines
    )


def picture(found: Mapping[str, Curves]) -> Figure:
    """A panel for each curve that two runs or more have, a line in it for each of them."""
    from matplotlib.figure import Figure

    known = [name for run in found.values() for name in run]
    shared = [name for name in dict.fromkeys(known) if known.count(name) > 1][:PANELS]
    if not shared:
        raise GraphError(f"no two runs of {', '.join(found)} have a curve in common")
    columns = min(COLUMNS, len(shared))
    lines = math.ceil(len(shared) / columns)
    figure = Figure(figsize=(4.4 * columns, 3.0 * lines + 0.5), layout="constrained")
    panels: Any = figure.subplots(lines, columns, squeeze=False).ravel()
    handles: dict[str, Any] = {}
    for panel, name in zip(panels, shared):
        for number, (run, of) in enumerate(found.items()):
            if name in of:
                style = "o-" if len(of[name]) < 3 else "-"
                (handles[run],) = panel.plot(*zip(*of[name]), style, color=f"C{number % 10}",
                                             linewidth=1.2)  # fmt: skip
        panel.set_title(name, fontsize="medium")
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
    for panel in panels[len(shared) :]:
        panel.set_visible(False)
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=4)
    return figure


def write(found: Mapping[str, Curves], path: Path) -> None:
    """Write the picture. Raises GraphError when its name ends as no picture does."""
    if path.suffix.lower() not in SUFFIXES:
        raise GraphError(f"{path}: a picture of curves ends in {', '.join(SUFFIXES)}")
    picture(found).savefig(path, dpi=120)
