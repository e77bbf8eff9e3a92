"""`make screenshots`: pictures of the editor into graphs/pictures, always the same.

`python -m tests.screenshots NAME … [--out DIR] [--seconds S]` takes those of prebuilt graphs, after
training for a while.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from nodegraph import files

from . import screen as screens
from .screen import Screen

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "graphs" / "pictures"
BROKEN = """
nodegraph: 1
title: Two faults
nodes:
  digits: {type: Digits, batch: 64, size: 16}
  conv: {type: Conv2d, channels: 16, kernel: 5, in: {x: digits.image}}
  relu: {type: ReLU, in: {x: conv}}
  scores: {type: Linear, features: 10, in: {x: relu}}
  loss: {type: CrossEntropy, in: {logits: scores, labels: digits.label}}
  adam: {type: Adam, over: [conv, scores], in: {loss: loss}}
layout:
  digits: [0, 100]
  conv: [240, 100]
  relu: [480, 100]
  scores: [40, 330]
  loss: [280, 330]
  adam: [520, 330]
"""


def opened(screen: Screen, name: str) -> None:
    """A prebuilt graph, checked, with what a person sees first."""
    screen.load(graph=files.load(files.graphs_folder() / f"{name}.yaml"))
    checked(screen)
    screen.gestures.begin()


def checked(screen: Screen) -> None:
    """Wait for the answer of the analysis."""
    screen.wait(lambda: screen.session.analysis is not None, 60)
    screen.at((screen.window.area[0] + 8, screen.window.area[1] + 8))
    screen.turn(4)


def gallery(screen: Screen) -> None:
    screen.at((2, 898))


def dann(screen: Screen) -> None:
    opened(screen, "dann")


def reach(screen: Screen) -> None:
    opened(screen, "dann")
    screen.turn(2)
    screen.at(screen.middle(screen.item("$update")))
    screen.turn(4)


def near(screen: Screen) -> None:
    opened(screen, "dann")
    view = screen.gestures.view
    box = screen.scene.boxes["domain"]
    screen.gestures.view = view.__class__(0, 0, 1.0, view.width, view.height).centred(
        box.x, box.y + 40
    )
    screen.session.select(["reversed"])


def large(screen: Screen) -> None:
    for _ in range(10):
        screen.window.resize_text(10)
    opened(screen, "lenet")
    screen.session.select(["hidden"])


def live(screen: Screen) -> None:
    """DANN after some seconds of training; a run is made in a folder that is thrown away."""
    opened(screen, "dann")
    training = screen.window.tab.live
    screen.key("f5")
    screen.wait(lambda: training.step > 260, 120)
    screen.session.set_param("strength", "gamma", 5)
    screen.wait(lambda: training.marks and training.step > 420, 60)
    screen.key("f5")
    screen.wait(lambda: training.state == "paused", 10)
    screen.key("p")
    screen.wait(lambda: training.probe, 20)
    view, box = screen.gestures.view, screen.scene.boxes["reversed"]
    place = view.__class__(box.x - 330, box.y - 190, 0.95, view.width, view.height)
    screen.gestures.view = place


def pictures(screen: Screen) -> None:
    opened(screen, "dcgan")
    training = screen.window.tab.live
    screen.key("f5")
    screen.wait(lambda: training.step > 60, 120)
    screen.key("3", "alt")
    screen.turn(4)
    screen.key("f5")
    screen.wait(lambda: training.state == "paused", 10)


def search(screen: Screen) -> None:
    opened(screen, "lenet")
    screen.at(screen.empty(0.3, 0.6))
    screen.key("tab")
    screen.turn(3)
    screen.type("conv")


def group(screen: Screen) -> None:
    opened(screen, "dann")
    grouped = (n for n, b in screen.scene.boxes.items() if b.face.group)
    screen.session.enter(next(grouped))
    screen.turn(4)
    screen.gestures.fit()
    screen.session.select(["conv1"])


def light(screen: Screen) -> None:
    screen.window.switch_theme()
    opened(screen, "texture_net")
    screen.session.select([list(screen.session.graph.nodes)[1]])


def error(screen: Screen) -> None:
    screen.window.switch_theme()
    screen.load(BROKEN, zoom=1.2)
    checked(screen)
    screen.session.select(["scores"])


SHOTS: tuple[Callable[[Screen], None], ...] = (
    gallery, dann, near, reach, live, pictures, search, group, light, error, large,
)  # fmt: skip


def trained(screen: Screen, name: str, seconds: float) -> None:
    """A prebuilt graph after training to its end, or for so long."""
    opened(screen, name)
    training = screen.window.tab.live
    screen.key("f5")
    screen.wait(lambda: training.state == "finished", seconds)
    if training.state == "running":
        screen.key("f5")
    screen.wait(lambda: training.state in ("paused", "finished"), 20)
    screen.turn(60)  # the last pictures come after that


def main() -> int:
    """Take them all, or those of the graphs that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    if lacking := screens.missing():
        print(f"screenshots: {lacking}", file=sys.stderr)
        return 2
    out = options.out.absolute() if options.names else PICTURES
    out.mkdir(exist_ok=True)
    shots: Sequence[tuple[str, Callable[[Screen], None]]] = (
        [(n, partial(trained, name=n, seconds=options.seconds)) for n in options.names]
        or [(take.__name__, take) for take in SHOTS]
    )  # fmt: skip
    with screens.xvfb(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as state:
        os.chdir(state)  # where runs are made
        screen = Screen(Path(state), (1440, 900))
        for name, take in shots:
            screen.fresh()
            take(screen)
            screen.shot(out / f"{name}.png")
            print(out / f"{name}.png", flush=True)
            for tab in screen.window.documents.tabs:
                tab.live.stop()
                screen.wait(lambda t=tab: not t.live.alive, 30)
        screen.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
