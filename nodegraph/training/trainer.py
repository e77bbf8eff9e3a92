"""The training loop. It knows nothing of what it trains: the generated stages do.

`train` is an iterator of events, so a progress bar, a test and an editor drive it alike, and
stopping to iterate stops the run.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ..body import Body
from ..compiler.build import compile_slice, resolved, training_module
from ..compiler.runtime import NotFinite, Stage
from ..compiler.text import Where, nowhere
from ..graph import Graph, GraphError, refs
from ..library import Library, standard
from ..node import Optimiser, Source
from . import checkpoint
from .device import Device

LOG_EVERY = 0.1  # seconds between lines of losses in the log


@dataclass(frozen=True)
class Options:
    """How to train. `seed` decides the initial weights and every random draw after.

    Raises GraphError for a seed or an interval that can't be.
    """

    seed: int = 0
    device: str = "auto"
    amp: bool = False
    compile: bool = False
    channels_last: bool = False
    checkpoint_every: int = 0  # steps; 0: ten times per stage

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise GraphError(f"seed: expects a whole number from 0 to 2^63 − 1, not {self.seed!r}")
        every = self.checkpoint_every
        if not isinstance(every, int) or every < 0:
            text = "expects a number of steps, or 0 for ten times per stage"
            raise GraphError(f"checkpoint_every: {text}, not {every!r}")


@dataclass(frozen=True)
class Started:
    """The network is built and the data are loaded."""

    device: str
    parameters: int
    stages: tuple[tuple[str, int], ...]  # name and steps
    run: Path | None = None


@dataclass(frozen=True)
class Stepped:
    """One step is done; `losses` are tensors, read them no oftener than you show them."""

    stage: str
    step: int
    steps: int
    losses: Mapping[str, Tensor]


@dataclass(frozen=True)
class Watched:
    """The watched metrics on the held-out data after `step` steps of a stage."""

    stage: str
    step: int
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written."""

    path: Path
    step: int


@dataclass(frozen=True)
class Finished:
    """All stages are done. `state` holds the weights by the names of the nodes."""

    seconds: float
    state: Mapping[str, Tensor]


Event = Started | Stepped | Watched | Saved | Finished


@dataclass
class Trainer:
    """A run in progress: the network, the sources, the stage and the step that it is at."""

    graph: Graph  # with its preset chosen
    options: Options = Options()
    run: Path | None = None
    library: Library = field(default_factory=standard)
    where: Where = nowhere

    def __post_init__(self) -> None:
        if not self.graph.train:
            raise GraphError("nothing to train: the graph has no `train` stages; add one")
        self.body: Body = resolved(self.graph, self.library)
        self.device = Device.choose(self.options.device)
        self.module: ModuleType = training_module(self.graph, self.body, where=self.where)
        torch.manual_seed(self.options.seed)
        self.net: nn.Module = self.module.Network().to(self.device.name)
        self.sources: dict[str, Any] = self.module.make_sources()
        for name, source in self.sources.items():
            try:
                source.start(
                    name, self.options.seed, self.device.name, self.device.rank, self.device.world
                )
            except (OSError, ValueError, ImportError) as error:
                raise GraphError(f"{name}: {error}") from error
        if self.options.channels_last:
            for part in self.net.modules():
                if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
                    part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device.spread(self.net)
        if self.options.compile:
            for part in self.net.children():
                part.compile()
        self.index, self.done = 0, 0  # the stage, and how many of its steps are done
        self.due = False  # whether this step's evaluation is still to be done
        self.stage: Stage | None = None
        self.logged = 0.0

    # State ----------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, beside the weights and buffers."""
        optimisers = self.stage.optimisers if self.stage else {}
        return {
            "seed": self.options.seed,
            "stage": self.index,
            "step": self.done,
            "due": self.due,
            "log": self.log.stat().st_size if self.log and self.log.exists() else 0,
            "optimisers": {name: o.state_dict() for name, o in optimisers.items()},
            "sources": {name: s.state() for name, s in self.sources.items()},
            "random": checkpoint.random_state(),
        }

    def load_state(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go back to where a checkpoint was taken. Raises GraphError for another graph's."""
        try:
            self.net.load_state_dict(dict(weights))
            self.index, self.done, self.due = state["stage"], state["step"], state["due"]
            self.stage = None
            if self.done:  # else the loop enters it, from the state as it was saved
                for name, optimiser in self.enter().optimisers.items():
                    if name in state["optimisers"]:
                        optimiser.load_state_dict(state["optimisers"][name])
            for name, source in self.sources.items():
                source.load_state(state["sources"][name])
        except (KeyError, RuntimeError, ValueError) as error:
            raise GraphError(f"the checkpoint is of another graph: {error}") from error
        checkpoint.set_random_state(state["random"])

    def save(self) -> Saved:
        """Write a checkpoint of this moment into the run's folder, and drop old ones."""
        assert self.run is not None
        name = f"{self.index:02d}-{self.done:08d}"
        path = checkpoint.save(self.run / "checkpoints" / name, self.net.state_dict(), self.state())
        checkpoint.prune(self.run, self.index)
        return Saved(path, self.done)

    @property
    def log(self) -> Path | None:
        """The file of the run's reports, a line of JSON each."""
        return self.run / "metrics.jsonl" if self.run else None

    def report(self, values: Mapping[str, Any]) -> None:
        """A line in the log; the file is closed after each, so that a kill loses none."""
        if self.log and self.stage:
            row = {**values, "index": self.index, "stage": self.stage.name, "step": self.done}
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    # The loop -------------------------------------------------------------------------------------

    def enter(self) -> Stage:
        """Make the stage that is at hand."""
        stage: Stage
        with self.precision():
            self.stage = stage = self.module.STAGES[self.index](self.net, self.sources)
            stage.begin()
        return stage

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """bfloat16 where torch finds it safe, if asked for."""
        if not self.options.amp:
            return contextlib.nullcontext()
        return torch.autocast(torch.device(self.device.name).type, torch.bfloat16)

    def events(self) -> Iterator[Event]:
        """Train to the end, from wherever the state stands."""
        begun = time.monotonic()
        stages = tuple((s.name, s.steps) for s in self.module.STAGES)
        count = sum(p.numel() for p in self.net.parameters())
        yield Started(self.device.label, count, stages, self.run)
        while self.index < len(self.module.STAGES):
            if self.stage is None:
                self.enter()
            yield from self.stage_events()
            self.index, self.done, self.stage = self.index + 1, 0, None
            if self.run:
                yield self.save()
        yield Finished(time.monotonic() - begun, self.net.state_dict())

    def stage_events(self) -> Iterator[Event]:
        """The rest of the present stage."""
        stage = self.stage
        assert stage is not None
        every = self.options.checkpoint_every or max(1, stage.steps // 10)
        while self.due or self.done < stage.steps:
            if not self.due:  # it is after a stop between a step and its evaluation
                losses = self.step()
                self.report_losses(losses)
                yield Stepped(stage.name, self.done, stage.steps, losses)
            if self.due:
                with self.precision():
                    found = stage.evaluate(self.sources, self.done - 1)
                self.due = False
                metrics = {k: v.tolist() for k, v in found.items()}
                self.report(metrics)
                yield Watched(stage.name, self.done, metrics)
            if self.run and self.done % every == 0 and self.done < stage.steps:
                yield self.save()

    def report_losses(self, losses: Mapping[str, Tensor]) -> None:
        """A line in the log at the ends of the stage, before an evaluation, and now and then."""
        if self.run is None or self.stage is None:
            return
        now = time.monotonic()
        if self.due or self.done in (1, self.stage.steps) or now - self.logged >= LOG_EVERY:
            self.logged = now
            self.report({k: v.item() for k, v in losses.items()})

    def step(self) -> Mapping[str, Tensor]:
        """One step of the present stage. Raises GraphError that names the node at fault."""
        assert self.stage is not None
        self.before = {name: source.state() for name, source in self.sources.items()}
        try:
            with self.precision():
                losses = self.stage.step(self.done)
        except NotFinite as error:
            raise GraphError(self.explain(error)) from error
        except (torch.OutOfMemoryError, RuntimeError) as error:
            text = str(error).lower()
            if "out of memory" not in text and "can't allocate memory" not in text:
                raise
            raise GraphError(self.out_of_memory(str(error))) from error
        self.done += 1
        last = self.done == self.stage.steps
        self.due = bool(self.stage.watched) and (last or self.done % self.stage.watch_every == 0)
        return losses

    # When it stops --------------------------------------------------------------------------------

    def explain(self, error: NotFinite) -> str:
        """Which node gave the first value that is not finite, found by doing the step again."""
        update = self.body.calls[error.update]

        def cure(look: str) -> str:
            """In the first step nothing has grown, unless the optimiser tries several points."""
            slower = "lower the learning rate"
            if self.done:
                return slower
            assert isinstance(update.node, Optimiser)
            return f"{look}, or {slower}" if update.node.closure else look

        for name, weight in self.net.named_parameters():
            if not torch.isfinite(weight).all():
                look = cure("look at its initial values")
                return f"{error}: the weight {name} is not finite; {look}"
        losses = [str(r) for r in refs(update.inputs["loss"])]
        draws: dict[str, Tensor] = {}
        for name, source in self.sources.items():
            source.load_state(self.before[name])
        for name, call in self.body.calls.items():
            if not isinstance(call.node, Source):
                continue
            source, ports = self.sources[call.owner], list(call.outputs)
            for port, value in zip(ports, source.draw(), strict=True):
                if not torch.isfinite(value).all():
                    return f"{error}: the source {name}.{port} gave a value that is not finite"
                draws[f"{name}.{port}"] = value
        try:
            module = compile_slice(
                self.graph, list(draws), losses, self.library, probe=True
            ).to(self.device.name)  # fmt: skip
            module.load_state_dict(self.net.state_dict(), strict=False)
            with torch.no_grad():
                module(*draws.values())
        except NotFinite as found:
            look = cure("look at what it is given and at its parameters")
            return f"{error}: the first bad value comes from {found.update}; {look}"
        look = cure("look for a root, a logarithm or a division at 0")
        return f"{error}: every value is finite, a gradient is not; {look}"

    def out_of_memory(self, text: str) -> str:
        """What was needed, and which batch might fit."""
        needed = sum(c.activation_bytes() for c in self.body.calls.values())
        batches = [
            batch for c in self.body.calls.values()
            if isinstance(c.node, Source) and (batch := getattr(c.node, "batch", 1)) > 1
        ]  # fmt: skip
        words = f"out of memory: the values of one step take {needed / 1e9:.3g} GB"
        if batches:
            words += f" at batch {max(batches)}; try --set batch={max(1, max(batches) // 2)}"
        return f"{words} ({text.splitlines()[0]})"
