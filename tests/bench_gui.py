"""`make bench-gui`: what a frame of the editor costs its thread, at 100 to 3,000 nodes.

CPU milliseconds of the main thread for one turn of the loop, median and 95th percentile: about what
a machine with a GPU pays. Software rendering happens in other threads and is not counted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nodegraph.graph import Entry, Graph, Ref

from . import screen as screens
from .screen import Screen

FRAMES = 60
AIMS = {"still": 5.0, "pan": 8.0, "zoom": 10.0, "drag": 8.0, "fit": 16.0}
FIRST = """
import sys, time
begin = time.perf_counter()
from pathlib import Path
from nodegraph.gui.window import Window
window = Window([])
window.build()
window.turn()
seconds = time.perf_counter() - begin
print(seconds, "torch" in sys.modules, flush=True)
window.questions.worker.close()
"""


def network(count: int) -> Graph:
    """Rows of layers, as wide as they are deep, each linked to the one before."""
    kinds = [("Linear", {"features": 64}), ("ReLU", {}), ("BatchNorm1d", {}), ("Dropout", {})]
    nodes: dict[str, Any] = {"noise": Entry("Noise", {"shape": (64,), "batch": 8})}
    links: dict[Ref, Any] = {}
    places: dict[str, Any] = {"noise": [-260, 0]}
    long = max(10, round((count * 1.4) ** 0.5))
    for i in range(count - 1):
        kind, params = kinds[i % 4]
        name = f"n{i}"
        nodes[name] = Entry(kind, params)
        links[Ref(name, "x")] = Ref(f"n{i - 1}" if i else "noise", "")
        places[name] = [i % long * 240, i // long * 190]
    return Graph(nodes=nodes, links=links, layout=places)


def frames(screen: Screen, each: Callable[[int], Any], count: int = FRAMES) -> list[float]:
    """CPU milliseconds of some frames; `each` does what happens before one."""
    took = []
    for index in range(count):
        begin = time.thread_time()
        each(index)
        screen.window.turn()
        took.append((time.thread_time() - begin) * 1e3)
    return took


def told(took: list[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return statistics.median(took), sorted(took)[int(len(took) * 0.95)]


def measure(screen: Screen, count: int) -> Iterator[tuple[str, float, float]]:
    """The rows of one size."""
    graph = network(count)
    screen.fresh()
    begin = time.thread_time()
    screen.load(graph=graph)
    yield "build (ms)", (time.thread_time() - begin) * 1e3, 0.0
    window, gestures = screen.window, screen.gestures
    screen.wait(lambda: screen.session.analysis is not None, 20)
    screen.turn(20)
    yield "still", *told(frames(screen, lambda i: None))

    def pan(index: int) -> None:
        gestures.view = gestures.view.panned(-40 if index < FRAMES / 2 else 40, -9)

    yield "pan", *told(frames(screen, pan))

    def zoom(index: int) -> None:
        factor = 0.95 if index < FRAMES / 2 else 1 / 0.95
        gestures.view = gestures.view.zoomed(factor, 400, 300)

    yield "zoom", *told(frames(screen, zoom))
    home = gestures.view.__class__(-20, -20, 1.0, gestures.view.width, gestures.view.height)
    gestures.view = home
    screen.turn(3)
    left, top, *_ = window.area
    x, y = screen.title("n0")
    gestures.move(x - left, y - top)
    gestures.press("left", x - left, y - top)

    def drag(index: int) -> None:
        gestures.move(x - left + 3 * index + 5, y - top + 2 * index + 5)

    yield "drag", *told(frames(screen, drag))
    gestures.release("left", x - left + 200, y - top + 140)
    screen.turn(6)

    def edit(index: int) -> None:
        if index % 2:
            screen.session.undo()
        else:
            screen.session.set_param("n0", "features", 65 + index)

    yield "edit/undo", *told(frames(screen, edit, 20))
    gestures.fit()
    first = frames(screen, lambda i: None, 1)[0]
    screen.turn(3)
    yield "fit", *told(frames(screen, lambda i: None))
    yield "fit, first", first, first


def idle(screen: Screen, seconds: float = 5.0) -> float:
    """The part of a core that a window takes where nothing happens."""
    screen.fresh()
    screen.load(graph=network(100))
    screen.wait(lambda: screen.session.analysis is not None, 20)
    for _ in range(12):  # the last frames before the rest
        screen.window.step()
    cpu, end = time.process_time(), time.perf_counter() + seconds
    begin = time.perf_counter()
    while time.perf_counter() < end:
        screen.window.step()
    return (time.process_time() - cpu) / (time.perf_counter() - begin)


def growth(screen: Screen, cycles: int = 5000) -> tuple[int, float]:
    """How many items and megabytes more there are after adding and undoing again and again."""
    screen.fresh()
    screen.load(graph=network(30))
    screen.turn(10)

    def resident() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cycle(index: int) -> None:
        screen.session.add("Linear", [60 * index % 900, 700])
        screen.window.turn()
        screen.session.undo()
        if index % 10 == 0:
            screen.window.turn()

    for index in range(200):
        cycle(index)
    items, memory = len(screen.dpg.get_all_items()), resident()
    for index in range(cycles):
        cycle(index)
    screen.turn(3)
    return len(screen.dpg.get_all_items()) - items, resident() - memory


def main() -> int:
    """Print the table."""
    if lacking := screens.missing():
        print(f"bench-gui: {lacking}", file=sys.stderr)
        return 2
    with screens.xvfb(), tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "NODEGRAPH_STATE": state}
        starts = []
        for _ in range(3):
            out = subprocess.run(
                [sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True,
                check=True, cwd=Path(__file__).parents[1],
            ).stdout.split()  # fmt: skip
            starts.append(float(out[0]))
        print(f"first frame  {min(starts):.2f} s (best of 3; aim 0.6), torch loaded: {out[1]}")
        screen = Screen(Path(state))
        print(f"{'nodes':>6} {'what':<12} {'median':>8} {'p95':>8}   aim")
        for count in (100, 300, 1000, 3000):
            for what, median, high in measure(screen, count):
                aim = AIMS.get(what)
                if count == 3000:
                    aim = 12.0 if what in ("pan", "zoom") else None
                if what == "edit/undo" and count == 1000:
                    aim = 16.0
                if what.startswith("build") and count == 1000:
                    aim = 500.0
                mark = "" if aim is None else f"{aim:>5.0f}" + (" OVER" if median > aim else "")
                print(f"{count:>6} {what:<12} {median:>8.1f} {high:>8.1f}   {mark}", flush=True)
        share = idle(screen)
        print(f"idle         {100 * share:.1f} % of a core (aim 8)")
        items, memory = growth(screen)
        print(f"growth       {items} items, {memory:.1f} MB after 5,000 × add, undo (aim 0, 10)")
        screen.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
