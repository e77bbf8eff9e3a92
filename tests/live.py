"""What tests of live training share: a tiny game, and a client that is waited for."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from nodegraph.worker.run import Run

ROOT = Path(__file__).parents[1]
FAULTY = [sys.executable, "-m", "tests.faulty"]
CPU = {"device": "cpu", "seed": 3}

GAME = """
nodegraph: 1
title: Tiny
params: {steps: 60, lr: 0.05, slope: 0.2, at: 0, how: raise}
nodes:
  x: {type: Noise, shape: [3], distribution: uniform, batch: 8}
  z: {type: Noise, shape: [2], batch: 8}
  g: {type: Linear, features: 3, in: {x: z}}
  norm: {type: BatchNorm1d, in: {x: g}}
  drop: {type: Dropout, p: 0.1, in: {x: norm}}
  breaks: {type: Breaks, at: $at, how: $how, in: {x: drop}}
  d_x: {type: Linear, features: 1, in: {x: x}}
  d_g: {shares: d_x, in: {x: breaks}}
  real: {type: BCEWithLogits, target: 1, in: {logits: d_x}}
  fake: {type: BCEWithLogits, target: 0, in: {logits: d_g}}
  fool: {type: BCEWithLogits, target: 1, in: {logits: d_g}}
  d_step: {type: Adam, lr: $lr, over: [d_x], in: {loss: [real, fake]}}
  g_step: {type: Adam, lr: $lr, over: [g, norm], in: {loss: fool}}
  spread: {type: Spread, in: {x: g}}
train:
  - {stage: play, steps: $steps, run: [d_step, g_step], watch: [spread]}
"""
PLAIN = GAME.replace("  breaks: {type: Breaks, at: $at, how: $how, in: {x: drop}}\n", "").replace(
    "in: {x: breaks}", "in: {x: drop}"
)


class Waited:
    """A run that is waited for, with all that it has said."""

    def __init__(self, run: Run | None = None) -> None:
        self.run = run or Run(FAULTY)
        self.said: list[Any] = []

    def train(self, graph: str = GAME, **more: Any) -> Waited:
        """Start, and wait until it has."""
        self.run.start({"id": 1, "graph": graph, "options": CPU, **more})
        self.until("started", "failed", "died")
        return self

    def poll(self) -> None:
        """Take what has come."""
        self.said += self.run.poll()

    def all(self, do: str) -> list[Any]:
        """All messages of a kind so far."""
        self.poll()
        return [m for m in self.said if m["do"] == do]

    def until(self, *do: str, count: int = 1, seconds: float = 60.0) -> Any:
        """The latest message of some kinds, once there are `count` of them."""
        self.wait(lambda: sum(m["do"] in do for m in self.said) >= count, seconds, f"{do}")
        return [m for m in self.said if m["do"] in do][-1]

    def wait(
        self, found: Callable[[], object], seconds: float = 60.0, what: object = "it"
    ) -> float:
        """Wait for something to be true; how long it took."""
        start = time.monotonic()
        while True:
            self.poll()
            if found():
                return time.monotonic() - start
            last = [{k: v for k, v in m.items() if k != "payloads"} for m in self.said[-5:]]
            assert time.monotonic() - start < seconds, (
                f"{what} did not happen: {last} {[*self.run.log][-12:]}"
            )
            time.sleep(0.01)

    def at(self, state: str, step: int | None = None, seconds: float = 60.0) -> float:
        """Wait for a state, at a step."""

        def there() -> bool:
            now = self.run.status
            return self.run.state == state and (step is None or now.get("step") == step)

        return self.wait(there, seconds, f"{state} at {step}")

    def end(self) -> int | None:
        """Stop; the exit status."""
        self.run.stop()
        assert self.run.wait_closed(60)
        child = self.run._process.child  # type: ignore[union-attr]
        assert child is not None and child.returncode is not None  # no zombie is left
        return child.returncode


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The weights at the end of a run of one stage."""
    (folder,) = (run / "checkpoints").glob("01-00000000*")
    return safetensors.torch.load_file(folder / "weights.safetensors")


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether all are equal, bit for bit."""
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


def alone(
    run: Path, graph: str = PLAIN, seed: int = 3, device: str = "cpu", **settings: Any
) -> dict[str, Any]:
    """The weights after training without a worker."""
    from nodegraph import files
    from nodegraph.training.run import start
    from nodegraph.training.trainer import Options

    made = start(files.parse(graph).graph, "", settings, run, Options(seed=seed, device=device))
    for _ in made.events():
        pass
    return weights(run)


def far_machine(bin: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `ssh` begin what it is told in the folder `home`; what it was asked is in bin/asked."""
    fake, program = bin / "ssh", bin / "nodegraph"
    fake.write_text(f"""#!/bin/sh
echo "$@" > {bin}/asked
for last; do :; done
cd {home}
exec sh -c "PATH={bin}:$PATH $last"
""")
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m nodegraph "$@"\n')
    fake.chmod(0o755), program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
