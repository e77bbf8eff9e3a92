"""`make faults`: each way for a run to break, many times, at random moments.

After each the run goes on from its folder, and its weights must equal, bit for bit, those of a run
that nothing happened to. Then all that again with the window attached (`fault_window.py`).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from nodegraph.worker import frames
from tests.live import CPU, FAULTY, GAME, PLAIN, ROOT, Waited, alone, equal, weights

STEPS = 120
Fault = Callable[[Path, random.Random], float]  # seconds until it is noticed


def begun(run: Path, draw: random.Random) -> Waited:
    """A run that has come to a random step."""
    live = Waited().train(run=str(run), settings={"steps": STEPS})
    live.run.speed(200)
    live.run.play()
    step = draw.randint(1, STEPS - 20)
    live.wait(lambda: live.run.status.get("step", 0) >= step)
    return live


def signalled(number: int) -> Fault:
    """The worker gets a signal."""

    def fault(run: Path, draw: random.Random) -> float:
        live = begun(run, draw)
        os.kill(live.run.pid, number)
        return live.wait(lambda: live.run.state in ("died", "stopped"))

    return fault


def broken(how: str) -> Fault:
    """A node breaks; where the process survives, it is told to play on a little."""

    def fault(run: Path, draw: random.Random) -> float:
        live = Waited()
        at = draw.randint(2, STEPS)
        at = at // 12 * 12 + 11 if how == "full" else at  # a checkpoint is due in the next step
        settings = {"steps": STEPS, "at": min(at, STEPS - 13), "how": how}
        live.train(run=str(run), settings=settings)
        start = time.monotonic()
        live.until("failed", "died", "finished")
        seconds = time.monotonic() - start
        if live.run.alive:
            live.run.step(2)
            live.run.stop()
            assert live.run.wait_closed(60)
        return min(seconds, 9.99)

    return fault


def cut(how: str) -> Fault:
    """The editor's end of the channel goes, or gives garbage."""

    def fault(run: Path, draw: random.Random) -> float:
        worker = subprocess.Popen(FAULTY, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)  # fmt: skip
        assert worker.stdin and worker.stdout
        told = {"graph": GAME, "run": str(run), "options": CPU, "settings": {"steps": STEPS}}
        frames.write(worker.stdin, {"do": "train", "id": 1, **told})
        frames.write(worker.stdin, {"do": "speed", "limit": 200})
        while (frame := frames.read(worker.stdout)) and frame.header["do"] != "metrics":
            pass
        time.sleep(draw.random() / 4)
        if how == "garbage":
            worker.stdin.write(draw.randbytes(200))
            worker.stdin.flush()
        start = time.monotonic()
        worker.stdin.close()
        worker.stdout.close()
        worker.wait(30)
        return time.monotonic() - start

    return fault


FAULTS: dict[str, Fault] = {
    "SIGKILL": signalled(signal.SIGKILL),
    "SIGSEGV": signalled(signal.SIGSEGV),
    "SIGSTOP": signalled(signal.SIGSTOP),
    "SIGTERM": signalled(signal.SIGTERM),
    "os._exit in a node": broken("exit"),
    "a fault in C in a node": broken("segv"),
    "an exception in a node": broken("raise"),
    "a loss that is not finite": broken("nan"),
    "a full disk": broken("full"),
    "garbage on the channel": cut("garbage"),
    "the editor is gone": cut("closed"),
}


def gone_on(run: Path) -> bool:
    """Train a run to its end, with a node that does not break any more."""
    import json

    about = run / "run.json"
    said = json.loads(about.read_text())
    said["settings"]["at"] = 0
    about.write_text(json.dumps(said))
    live = Waited()
    live.run.start({"id": 2, "resume": str(run)})
    live.wait(lambda: live.run.state == "finished")
    return live.end() == 0


def main() -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="", help="a part of a fault's name")
    parser.add_argument("--no-window", dest="window", action="store_false", help="only without it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.chdir(ROOT)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        whole = alone(Path(folder) / "whole", PLAIN, steps=STEPS)
        print(f"{'fault':<28} {'times':>5} {'exact after it':>14} {'noticed within':>15}")
        for number, (name, fault) in enumerate(FAULTS.items()):
            if options.only not in name:
                continue
            exact, slowest = 0, 0.0
            for turn in range(options.times):
                run = Path(folder) / f"{number}-{turn}"
                slowest = max(slowest, fault(run, random.Random(turn)))
                exact += gone_on(run) and equal(weights(run), whole)
            wrong += exact < options.times
            print(f"{name:<28} {options.times:>5} {exact:>14} {slowest:>13.2f} s", flush=True)
    if options.window:
        command = [sys.executable, "-m", "tests.fault_window", "--only", options.only]
        wrong += subprocess.run([*command, "--times", str(options.times)]).returncode
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
