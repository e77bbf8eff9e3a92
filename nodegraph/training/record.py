"""What a run's folder keeps of the changes that were made to it while it trained."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

from ..runs import EDITS, GRAPHS, METRICS, Checkpoint, Edit, checkpoints, edits

KEPT = 24  # checkpoints of a run, beside those before changes and between stages
MOST = 96  # of them where they are small
DISK = 512 << 20  # bytes that more than `KEPT` of them may take
NEWEST = 3  # of them that are never thinned


def note(run: Path, edit: Edit, text: str = "") -> None:
    """Add a line to a run's edits, and the graph's text to its graphs."""
    if not edit.update:
        (run / GRAPHS).mkdir(exist_ok=True)
        (run / GRAPHS / f"{edit.graph:04d}.yaml").write_text(text, encoding="utf-8")
    row = asdict(replace(edit, created=time.strftime("%Y-%m-%dT%H:%M:%S%z")))
    with open(run / EDITS, "a", encoding="utf-8") as file:
        file.write(json.dumps({k: v for k, v in row.items() if v not in ("", (), {})}) + "\n")


def forget_after(run: Path, here: Checkpoint, edit_count: int, log_size: int | None) -> None:
    """Drop what came after a moment: the run goes on from there. None: the log is of now."""
    for later in (c for c in checkpoints(run) if c > here):
        shutil.rmtree(run / "checkpoints" / later.name)
    log, edited = run / METRICS, run / EDITS
    if log_size is not None and log.exists() and log.stat().st_size > log_size:
        os.truncate(log, log_size)
    if edited.exists():
        lines = edited.read_bytes().splitlines(keepends=True)
        if len(lines) > edit_count:
            os.truncate(edited, sum(map(len, lines[:edit_count])))


def prune(run: Path) -> None:
    """Thin the checkpoints of a run evenly, the newest and those before changes excepted, and
    those at which a stage begins or ends."""
    there = checkpoints(run)
    if len(there) <= KEPT:
        return
    newest = run / "checkpoints" / there[-1].name
    size = sum(path.stat().st_size for path in newest.iterdir())
    kept = min(max(DISK // max(size, 1), KEPT), MOST)
    before = {edit.checkpoint for edit in edits(run)}
    free = [c for c in there[:-NEWEST] if c.step and c.name not in before]
    for gone in thin(there, free, kept - NEWEST):
        shutil.rmtree(run / "checkpoints" / gone.name)


def thin(there: list[Checkpoint], free: list[Checkpoint], count: int) -> list[Checkpoint]:
    """Which of `free` are to go, so that `count` stay and the largest gap is as small as can be:
    one after the other that whose neighbours are nearest to each other."""
    there, free, gone = [*there], [*free], []

    def gap(c: Checkpoint) -> int:
        at = there.index(c)
        around = there[max(0, at - 1)], there[min(at + 1, len(there) - 1)]
        low = around[0].step if around[0].index == c.index else 0
        return (around[1].step if around[1].index == c.index else c.step) - low

    while len(free) > count:
        least = min(free, key=lambda c: (gap(c), -c.step))
        gone.append(least)
        free.remove(least)
        there.remove(least)
    return gone
