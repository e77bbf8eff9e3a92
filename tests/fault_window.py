"""Each way for a run to break while the real window watches it; `make faults` runs it.

The window is a person's: it turns at its usual pace, and what each turn costs its thread is kept,
from the fault until two seconds after it was noticed. `reaped` is how much longer a process was
there. After it the window must live and offer to go on, and the run goes on exactly: with the
window still attached the first time, without it the others.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import nodegraph.nodes
import torch

from nodegraph import files
from nodegraph.gui import questions
from nodegraph.gui import window as windows
from nodegraph.gui.live import Live
from nodegraph.training import checkpoint
from nodegraph.training.run import resume
from nodegraph.worker.client import Worker
from nodegraph.worker.run import Run
from tests import screen as screens
from tests.live import FAULTY, GAME, PLAIN, ROOT, alone, equal, weights
from tests.screen import Screen

STEPS, SPEED = 120, 150.0
AFTER = 2.0  # seconds that are watched after a fault was noticed
REAPED = 10.0  # seconds that a process may stay after its end
AIM = 33.0  # milliseconds of a turn's thread, the 95th percentile
SEEN = GAME.replace("train:\n", "  cloud: {type: Scatter, most: 20, in: {points: norm}}\n"
                    "  line: {type: Curve, in: {x: fool}}\ntrain:\n")  # fmt: skip


@dataclass
class Trial:
    """What one fault has led to."""

    exact: bool = False
    loads: bool = False
    offered: bool = False
    alive: bool = True
    noticed: float = 0.0  # seconds
    reaped: float = 0.0
    turns: list[float] = field(default_factory=list)  # milliseconds of the window's thread


class Watcher:
    """A window that is turned, and the cost of its turns."""

    def __init__(self, screen: Screen) -> None:
        self.screen, self.took = screen, list[float]()

    def until(self, found: Callable[[], Any], seconds: float = 60.0) -> float:
        """Turn until something holds; how long it took."""
        start = time.monotonic()
        while not found():
            assert time.monotonic() - start < seconds, self.told()
            begin, cpu = time.monotonic(), time.thread_time()
            self.screen.window.turn()
            self.took.append((time.thread_time() - cpu) * 1e3)
            time.sleep(max(0.0, windows.FRAME - (time.monotonic() - begin)))
        return time.monotonic() - start

    def told(self) -> str:
        """What the run has said, for who waits in vain."""
        tab = self.screen.window.tab
        live = tab.live if tab else None
        return f"{live.said()} {live.told} {[*live.run.log][-8:]}" if live and live.run else ""

    def watch(self, seconds: float) -> None:
        """Turn for a while."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end, seconds + 60)


def opened(screen: Screen, at: int = 0, how: str = "raise") -> Live:
    """A tab with the tiny game, which trains in a worker that breaks."""
    graph = files.parse(SEEN).graph
    settings = {"steps": STEPS, "at": at, "how": how}
    screen.load(graph=graph.with_(params={**graph.params, **settings}))
    assert screen.wait(lambda: screen.session.analysis is not None, 60)
    assert screen.window.tab is not None
    live = screen.window.tab.live
    live.make = lambda remote: Run(FAULTY)
    live.options.device, live.options.seed = "cpu", 3
    return live


def played(live: Live) -> None:
    """Train, slow enough to be met at a step."""
    live.play()
    assert live.run is not None, live.session.message
    live.run.speed(SPEED)


Act = Callable[[Live], None]


def kill(number: int) -> Act:
    """The worker gets a signal."""

    def act(live: Live) -> None:
        assert live.run is not None
        os.kill(live.run.pid, number)

    return act


def garble(end: str, draw: random.Random) -> Act:
    """Bytes that are no frame come to one end of the channel, between two frames or within one."""

    def act(live: Live) -> None:
        assert live.run is not None and live.run._process is not None
        child = live.run._process.child
        assert child is not None and child.stdin and child.stdout
        pipe = child.stdin if end == "worker" else child.stdout
        with open(f"/proc/self/fd/{pipe.fileno()}", "wb", buffering=0) as sink:
            sink.write(draw.randbytes(200))

    return act


def from_outside(make: Callable[[random.Random], Act]) -> Callable[..., Trial]:
    """Something happens to a worker at a random step."""

    def trial(watcher: Watcher, draw: random.Random, whole: Any, in_window: bool) -> Trial:
        live = opened(watcher.screen)
        played(live)
        step = draw.randint(1, STEPS - 40)
        watcher.until(lambda: live.state == "running" and live.step >= step, 90)
        return judged(watcher, live, make(draw), whole, in_window)

    return trial


def from_inside(how: str) -> Callable[..., Trial]:
    """A node breaks in its random step."""

    def trial(watcher: Watcher, draw: random.Random, whole: Any, in_window: bool) -> Trial:
        at = draw.randint(2, STEPS - 13)
        at = at // 12 * 12 + 11 if how == "full" else at  # a checkpoint is due in the next step
        live = opened(watcher.screen, min(at, STEPS - 13), how)
        return judged(watcher, live, played, whole, in_window)

    return trial


def judged(watcher: Watcher, live: Live, act: Act, whole: Any, in_window: bool) -> Trial:
    """Let it happen, and see what comes of it."""
    found = Trial()
    watcher.took = []
    act(live)
    run = live.run
    assert run is not None
    heard = [live.revision, time.monotonic()]  # a node breaks when the run was last heard of

    def broken() -> bool:
        if live.state == "died" or any(kind == "error" for _, kind, _ in live.told):
            return True
        if act is played and live.revision != heard[0]:
            heard[:] = live.revision, time.monotonic()
        return False

    watcher.until(broken, 90)
    found.noticed = time.monotonic() - heard[1]
    paused = live.state != "died"
    if paused:
        watcher.until(lambda: live.state in ("paused", "died"), 10)
    process = run._process
    assert process is not None and process.child is not None
    child = process.child
    watcher.watch(AFTER)
    found.turns = watcher.took
    words = " ".join([live.session.message and live.session.message[0] or "", live.said()])
    errors = [text for _, kind, text in live.told if kind == "error"]
    if live.state == "died":
        found.offered = "can be resumed" in words and any("can be resumed" in t for t in errors)
    else:
        found.offered = live.state == "paused" and bool(errors)
        before = live.step
        live.do("step", 2)  # it goes on where it was

        def gone_on() -> bool:
            return live.state == "died" or live.step >= before + 2

        watcher.until(gone_on, 60)
        live.stop()
        watcher.until(lambda: live.state in ("stopped", "died"), 60)
    found.reaped = watcher.until(lambda: child.returncode is not None and not zombies(), REAPED)
    folder = live.folder
    assert folder is not None
    found.loads = loads(folder)
    mend(folder)
    if in_window:
        live.resume(folder, paused=False)
        watcher.until(lambda: live.state == "finished", 90)
        live.stop()
        watcher.until(lambda: live.state == "stopped", 60)
    else:
        for _ in resume(folder).events():
            pass
    found.exact = equal(weights(folder), whole)
    found.alive = not watcher.screen.window.faults and watcher.screen.window.running
    watcher.screen.window.faults.clear()
    watcher.screen.fresh()
    return found


def zombies() -> list[int]:
    """Children of this process that have ended and were not waited for."""
    return [pid for pid in children(os.getpid()) if state_of(pid) == "Z"]


def children(pid: int) -> set[int]:
    """The children of a process, whichever of its threads started them."""
    threads = [*Path(f"/proc/{pid}/task").iterdir()]
    return {int(child) for t in threads for child in (t / "children").read_text().split()}


def state_of(pid: int) -> str:
    """The letter of a process; "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def loads(folder: Path) -> bool:
    """Whether the newest checkpoint can be read."""
    values, state = checkpoint.load(checkpoint.found(folder)[-1])
    return bool(values) and "step" in state


def mend(folder: Path) -> None:
    """The node does not break any more."""
    about = folder / "run.json"
    said = json.loads(about.read_text())
    said["settings"]["at"] = 0
    about.write_text(json.dumps(said))


def editor_killed(watcher: Watcher, draw: random.Random, whole: Any, in_window: bool) -> Trial:
    """The window, in a process of its own, is killed: the worker saves and ends by itself."""
    found, runs = Trial(), Path("runs")
    before = set(runs.glob("*")) if runs.is_dir() else set()
    with tempfile.TemporaryDirectory() as state:
        editor = subprocess.Popen([sys.executable, "-m", "tests.fault_window", "--train", state],
                                  stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert editor.stdout
        assert editor.stdout.readline() == "trains\n"
        time.sleep(draw.random() / 2)
        pids = children(editor.pid)
        assert len(pids) == 2, pids  # that which trains, that which analyses
        start = time.monotonic()
        editor.kill()
        editor.wait()
        # Those of a parent that is gone are waited for by the first process, if it does that.
        found.reaped = watcher.until(lambda: all(state_of(p) in ("", "Z") for p in pids), REAPED)
        found.noticed = time.monotonic() - start
    (folder,) = set(runs.glob("*")) - before
    found.loads = found.offered = loads(folder)
    if in_window:
        live = opened(watcher.screen)
        live.resume(folder, paused=False)
        watcher.until(lambda: live.state == "finished", 90)
        live.stop()
        watcher.until(lambda: live.state == "stopped", 60)
        watcher.screen.fresh()
    else:
        for _ in resume(folder).events():
            pass
    found.exact = equal(weights(folder), whole)
    return found


def train_until_killed(state: str) -> None:
    """A window that trains, and says so."""
    screen = begun(Path(state))
    live = opened(screen)
    played(live)
    assert live.run is not None
    live.run.speed(20)
    assert screen.wait(lambda: live.step > 2, 90)
    print("trains", flush=True)
    while True:
        screen.window.step()


FAULTS: dict[str, Callable[..., Trial]] = {
    "SIGKILL": from_outside(lambda draw: kill(signal.SIGKILL)),
    "SIGSEGV": from_outside(lambda draw: kill(signal.SIGSEGV)),
    "SIGSTOP": from_outside(lambda draw: kill(signal.SIGSTOP)),
    "os._exit in a node": from_inside("exit"),
    "an exception in a node": from_inside("raise"),
    "a loss that is not finite": from_inside("nan"),
    "a limit of memory": from_inside("memory"),
    "a full disk": from_inside("full"),
    "garbage to the worker": from_outside(partial(garble, "worker")),
    "garbage from the worker": from_outside(partial(garble, "editor")),
    "the editor is killed": editor_killed,
}


def begun(state: Path) -> Screen:
    """The window, with a worker and a library that know the node that breaks."""
    questions.Worker = partial(Worker, FAULTY)  # type: ignore[assignment,misc]
    return Screen(state)


def table(times: int, only: str) -> int:
    """Print the table; how many rows fall short."""
    wrong = 0
    with screens.xvfb(), tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        whole = alone(Path(name) / "whole", PLAIN, steps=STEPS)
        screen = begun(Path(name) / "state")
        print(
            f"{'with the window':<26} {'times':>5} {'alive':>5} {'offered':>7} {'loads':>5} "
            f"{'exact':>5} {'noticed':>8} {'reaped':>7} {'p95':>8} {'most':>8}  load"
        )  # fmt: skip
        for name, trial in FAULTS.items():
            if only not in name:
                continue
            found = []
            for turn in range(times):
                found.append(trial(Watcher(screen), random.Random(turn), whole, turn == 0))
            turns = sorted(t for f in found for t in f.turns)
            high = f"{turns[int(len(turns) * 0.95)]:.1f} ms" if turns else "–"
            most = f"{turns[-1]:.1f} ms" if turns else "–"
            counts = [sum(getattr(f, k) for f in found) for k in ("alive", "offered", "loads",
                                                                  "exact")]  # fmt: skip
            wrong += min(counts) < times or bool(turns) and turns[int(len(turns) * 0.95)] > AIM
            alive, offered, loaded, exact = counts
            print(f"{name:<26} {times:>5} {alive:>5} {offered:>7} {loaded:>5} {exact:>5} "
                  f"{max(f.noticed for f in found):>6.2f} s {max(f.reaped for f in found):>5.2f} s "
                  f"{high:>8} {most:>8}  {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
        screen.close()
        os.chdir(ROOT)
    return wrong


def main() -> int:
    """The table, or a window that is to be killed; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="", help="a part of a fault's name")
    parser.add_argument("--train", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if lacking := screens.missing():
        print(f"faults: {lacking}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    nodegraph.nodes.__path__.append(str(ROOT / "tests" / "faulty" / "nodes"))
    if options.train:
        train_until_killed(options.train)
    return int(table(options.times, options.only) > 0)


if __name__ == "__main__":
    sys.exit(main())
