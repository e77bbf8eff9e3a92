"""`make soak`: 20,000 steps of training watched in the real window, and what grows meanwhile.

Pictures come five times a second, and the tabs of curves and pictures are shown in turn. Counted
are the items and textures of Dear PyGui, which must stay as many, and the resident memory of editor
and worker, whose slope is that of a line through all samples after the warm-up.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from screen import Screen

EVERY = 0.2  # seconds between previews
AIM = 1.0  # megabytes per 1,000 steps
TABS = ("Curves", "Pictures")
GRAPH = """
nodegraph: 1
title: Soak
params: {steps: 20000}
nodes:
  x: {type: Noise, shape: [1, 8, 8], distribution: uniform, batch: 8}
  encode: {type: Conv2d, channels: 2, kernel: 3, padding: 1, in: {x: x}}
  decode: {type: Conv2d, channels: 1, kernel: 3, padding: 1, in: {x: encode}}
  loss: {type: MSE, in: {x: decode, target: x}}
  sgd: {type: SGD, lr: 0.01, over: [encode, decode], in: {loss: loss}}
  images: {type: ImageGrid, columns: 4, rows: 2, in: {images: [x, decode]}}
  line: {type: Curve, in: {x: loss}}
train:
  - {stage: learn, steps: $steps, run: [sgd]}
layout: {x: [0, 0], encode: [240, 0], decode: [480, 0], loss: [720, 0], sgd: [960, 0],
  images: [720, 200], line: [960, 200]}
"""


@dataclass(frozen=True)
class Sample:
    """What there is after some steps, while a tab is in front."""

    step: int
    tab: str
    items: int
    textures: int
    pictures: int  # heard so far
    editor: float  # megabytes
    worker: float


def resident(pid: int | str = "self") -> float:
    """Megabytes of a process that lie in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def slope(xs: list[float], ys: list[float]) -> float:
    """Of the line through some points, by least squares."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    down = sum((a - x) ** 2 for a in xs)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys)) / down if down else 0.0


def soak(
    screen: Screen, steps: int, speed: float, turn_every: int,
    told: Callable[[Sample], Any] = lambda sample: None,
) -> list[Sample]:  # fmt: skip
    """Train so many steps, the tabs in turn; a sample each time before a tab is left."""
    from nodegraph.gui import live as lives

    lives.EVERY, usual = EVERY, lives.EVERY
    try:
        screen.load(GRAPH.replace("20000", str(steps)))
        assert screen.wait(lambda: screen.session.analysis is not None, 60)
        window = screen.window
        assert window.tab is not None
        live, dpg = window.tab.live, screen.dpg
        live.options.device = "cpu"
        live.play()
        assert live.run is not None, screen.session.message
        live.run.speed(speed)
        assert screen.wait(lambda: len(live.pictures) == 2 and live.curves, 90), live.said()
        for tab in TABS:  # each is built once
            window.dock.turn(tab)
            screen.turn(6)
        samples, heard, last = [], 0, None
        while live.state != "finished":
            assert live.state == "running", (live.said(), live.told)
            tab = TABS[len(samples) % len(TABS)]
            window.dock.turn(tab)
            left = live.step + turn_every
            while live.state == "running" and live.step < left:
                window.step()
                now = live.pictures["images"]
                heard, last = heard + (now is not last), now
            if live.state != "running":
                break
            replaced = len(window.textures.gone)  # they live until the next turn
            ticks = dpg.get_item_children("transport:ticks", 2)  # one for each checkpoint there is
            samples.append(Sample(
                live.step, tab, len(dpg.get_all_items()) - replaced - len(ticks),
                len(dpg.get_item_children(window.textures.registry, 1)) - replaced, heard,
                resident(), resident(live.run.pid),
            ))  # fmt: skip
            told(samples[-1])
        return samples
    finally:
        lives.EVERY = usual


def grown(samples: list[Sample]) -> dict[str, int]:
    """By tab and what is counted: the most there ever were less what there was at first."""
    found: dict[str, int] = {}
    for tab in TABS:
        of = [s for s in samples if s.tab == tab]
        found[f"items with {tab}"] = max(s.items for s in of) - of[0].items
        found[f"textures with {tab}"] = max(s.textures for s in of) - of[0].textures
    return found


def main() -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--speed", type=float, default=100.0, help="steps per second")
    options = parser.parse_args()
    from . import screen as screens

    if lacking := screens.missing():
        print(f"soak: {lacking}", file=sys.stderr)
        return 2
    with screens.xvfb(), tempfile.TemporaryDirectory() as folder:
        os.environ |= {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
        os.chdir(folder)
        screen = screens.Screen(Path(folder) / "state")
        print(f"{'step':>6} {'tab':<9} {'items':>6} {'textures':>8} {'pictures':>8} "
              f"{'editor MB':>10} {'worker MB':>10} {'load':>5}")  # fmt: skip

        def told(s: Sample) -> None:
            print(f"{s.step:>6,} {s.tab:<9} {s.items:>6} {s.textures:>8} {s.pictures:>8} "
                  f"{s.editor:>10.2f} {s.worker:>10.2f} {os.getloadavg()[0]:>5.1f}",
                  flush=True)  # fmt: skip

        begin = time.monotonic()
        samples = soak(screen, options.steps, options.speed, max(options.steps // 40, 1), told)
        seconds = time.monotonic() - begin
        warm = [s for s in samples if s.step > options.steps // 5]
        steps = [s.step / 1000 for s in warm]
        wrong = False
        print(f"\n{samples[-1].pictures} pictures of a view in {seconds:.0f} s")
        for who in ("editor", "worker"):
            found = slope(steps, [getattr(s, who) for s in warm])
            wrong |= found > AIM
            print(f"{who + ' MB per 1,000 steps':<28} {found:>7.3f}   aim ≤ {AIM:g}")
        for what, more in grown(samples).items():
            wrong |= more != 0
            print(f"{'more ' + what:<28} {more:>7}   aim 0")
        live = screen.window.tab.live if screen.window.tab else None
        if live is not None:
            live.stop()
            screen.wait(lambda: live.state == "stopped", 30)
        screen.close()
        os.chdir("/")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
