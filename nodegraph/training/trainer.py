"""The training loop. It knows nothing of what it trains: the generated stages do.

`train` is an iterator of events, so a progress bar, a test and an editor drive it alike, and
stopping to iterate stops the run.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from .. import runs
from ..body import Body
from ..compiler.build import resolved, training_module
from ..compiler.runtime import NotFinite, Stage
from ..compiler.text import Where, flat, nowhere
from ..graph import Graph, GraphError
from ..library import Library, standard
from ..lock import Held
from . import change, checkpoint, record
from .device import Device
from .faults import explain, out_of_memory
from .moment import Moment

SAVE_EVERY = 10.0  # seconds between checkpoints where a tenth of the stage takes longer
SAVE_SHARE = 0.005  # of the time of training that they may take then
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


@dataclass(frozen=True)
class Applied:
    """The graph was changed. `kept` of `of` layers with weights live on; `fresh` ones begin anew,
    and so do the sources and updates in `restarted`; `lost` are those that the old graph had."""

    kept: int
    of: int
    fresh: tuple[str, ...]
    lost: tuple[str, ...]
    restarted: tuple[str, ...]
    what: tuple[str, ...]  # the changes in words
    saved: Saved | None = None  # the checkpoint before it


@dataclass(frozen=True)
class Noted:
    """What a source has to tell, such as which files it leaves out; without a node, the run."""

    node: str
    text: str


Event = Started | Stepped | Watched | Saved | Finished | Applied | Noted


@dataclass
class Trainer:
    """A run in progress: the network, the sources, the stage and the step that it is at."""

    graph: Graph  # with its preset chosen
    options: Options = Options()
    run: Path | None = None
    library: Library = field(default_factory=standard)
    where: Where = nowhere
    careful: bool = False  # a step that fails is undone, at the price of a copy of what it moves

    def __post_init__(self) -> None:
        if not self.graph.train:
            raise GraphError("nothing to train: the graph has no `train` stages; add one")
        self.body: Body = resolved(self.graph, self.library)
        self.device = Device.choose(self.options.device)
        self.module: ModuleType = training_module(self.graph, self.body, where=self.where)
        torch.manual_seed(self.options.seed)
        self.net: nn.Module = self.network(self.module)
        self.sources: dict[str, Any] = self.module.make_sources()
        for name, source in self.sources.items():
            self.start_source(name, source)
        self.index, self.done = 0, 0  # the stage, and how many of its steps are done
        self.edition = 0  # how many changes led to this graph
        self.edits = 0  # how many lines `edits.jsonl` has at this moment
        self.ahead: list[tuple[runs.Edit, Graph | None]] = []  # to be done again
        self.returned = False  # to an earlier moment: what came after it goes when it goes on
        self.log_size = 0  # of the log at that moment
        self.noted: list[Noted] = []  # what is to be told of how it began
        self.due = False  # whether this step's evaluation is still to be done
        self.stage: Stage | None = None
        self.alone: dict[str, Stage] = {}  # of the present stage: single updates, as stages
        self.moment: Moment | None = None
        self.logged = 0.0
        self.took, self.began = 0.0, 0.0  # seconds of the stage's steps; of those before the last
        self.saved_at, self.cost = time.monotonic(), 0.0  # the last checkpoint, and its seconds
        self.held: Held | None = None  # what keeps others from training in the run's folder

    def network(self, module: ModuleType) -> nn.Module:
        """The network of a generated module, as the options say, where it trains."""
        net: nn.Module = module.Network().to(self.device.name)
        if self.options.channels_last:
            for part in net.modules():
                if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
                    part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device.spread(net)
        if self.options.compile:
            for part in net.children():
                part.compile(mode="reduce-overhead" if self.replays else None)
        return net

    @property
    def replays(self) -> bool:
        """Whether the kernels of each compiled part are recorded once and launched as one CUDA
        graph: small networks wait for the launch of each kernel, and for little else."""
        return self.options.compile and self.device.name.startswith("cuda")

    def load_weights(self, net: nn.Module, files: Mapping[str, str], folder: str) -> None:
        """Start parts of a network from files, in all processes. Raises GraphError."""
        from nodegraph.nodes.ops.weights import load_weights

        try:
            if self.device.first:
                load_weights(net, files, folder)
        except (OSError, ValueError, ImportError) as error:
            raise GraphError(f"weights of {', '.join(files)}: {error}") from error
        self.device.spread(net)

    def start_source(self, name: str, source: Any) -> None:
        """Have a source load its data. Raises GraphError when it can't."""
        place = self.device
        try:
            source.start(name, self.options.seed, place.name, place.rank, place.world)
        except (OSError, ValueError, ImportError) as error:
            raise GraphError(f"{name}: {error}") from error

    # State ----------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, beside the weights and buffers."""
        optimisers = self.stage.optimisers if self.stage else {}
        return {
            "seed": self.options.seed,
            "stage": self.index,
            "step": self.done,
            "due": self.due,
            "took": self.took,
            "log": self.log.stat().st_size if self.log and self.log.exists() else 0,
            "graph": self.edition,
            "edits": self.edits,
            "optimisers": {name: o.state_dict() for name, o in optimisers.items()},
            "sources": {name: s.state() for name, s in self.sources.items()},
            "random": checkpoint.random_state(),
        }

    def load_state(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go back to where a checkpoint was taken. Raises GraphError for another graph's."""
        try:
            self.net.load_state_dict(dict(weights))
            self.index, self.done, self.due = state["stage"], state["step"], state["due"]
            self.edition, self.edits = state.get("graph", 0), state.get("edits", 0)
            self.log_size = state["log"]
            self.stage = None
            if self.done:  # else the loop enters it, from the state as it was saved
                for name, optimiser in self.enter().optimisers.items():
                    if name in state["optimisers"]:
                        options = {*optimiser.param_groups[0]}
                        optimiser.load_state_dict(state["optimisers"][name])
                        if options - {*optimiser.param_groups[0]}:
                            raise ValueError(f"its {name} is another optimiser")
            self.took = self.began = state.get("took", 0.0)
            for name, source in self.sources.items():
                source.load_state(state["sources"][name])
        except (KeyError, RuntimeError, ValueError) as error:
            raise GraphError(f"the checkpoint is of another graph: {error}") from error
        checkpoint.set_random_state(state["random"])

    def save(self) -> Saved:
        """Write a checkpoint of this moment into the run's folder, and drop old ones."""
        assert self.run is not None
        if self.returned:
            self.go_on()
        name = runs.Checkpoint(self.index, self.done, self.edition).name
        begun = time.monotonic()
        path = checkpoint.save(self.run / "checkpoints" / name, self.net.state_dict(), self.state())
        record.prune(self.run)
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - begun
        return Saved(path, self.done)

    def go_on(self) -> None:
        """Go on from an earlier moment: what came after it goes."""
        size = self.log_size if self.returned else None
        self.returned = False
        self.ahead.clear()
        if self.run:
            here = runs.Checkpoint(self.index, self.done, self.edition)
            record.forget_after(self.run, here, self.edits, size)

    def apply(
        self, graph: Graph, text: str = "", preset: str = "",
        settings: Mapping[str, Any] | None = None, names: Mapping[str, str] | None = None,
    ) -> Applied:  # fmt: skip
        """Go on with another graph, whose preset is chosen: a weight turned, a layer put in.

        Layers, optimisers and sources whose names and shapes are the same go on where they stand;
        the same graph changes nothing; `names` are new names by old ones (in a group `Group/name`),
        so that renamed nodes go on, too. A change of structure is preceded by a checkpoint; `text`,
        `preset` and `settings` are what the run's folder keeps of it.
        Raises GraphError, and then nothing has changed.
        """
        if self.returned or self.ahead:
            self.go_on()
        return change.apply(self, graph, text, preset, settings or {}, names or {})

    def catch_up(self) -> Iterator[Event]:
        """Do again what was done at this moment when the run was here before."""
        while self.ahead and (self.ahead[0][0].index, self.ahead[0][0].step) == (
            self.index, self.done
        ):  # fmt: skip
            edit, graph = self.ahead.pop(0)
            if graph is None:
                yield self.only(edit.update, again=True)
            else:
                yield change.apply(self, graph, "", "", {}, edit.names, again=True)

    def restore(
        self, graph: Graph, weights: Mapping[str, Tensor], state: Mapping[str, Any]
    ) -> None:
        """Go back to a checkpoint, whose graph is given. What came after it stays on disk until
        training goes on. Raises GraphError for one of another run; then nothing has changed."""
        random = checkpoint.random_state()
        try:
            new = change.rebuild(self, graph, self.edition, {})
            shapes = ({k: v.shape for k, v in w.items()} for w in (new.net.state_dict(), weights))
            if next(shapes) != next(shapes):
                raise GraphError("the checkpoint is of another graph")
        finally:
            checkpoint.set_random_state(random)
        new.put(self)
        self.load_state(weights, state)
        self.settle()
        self.ahead.clear()
        self.returned = True

    @property
    def log(self) -> Path | None:
        """The file of the run's reports, a line of JSON each."""
        return self.run / runs.METRICS if self.run else None

    def report(self, kind: str, values: Mapping[str, Any]) -> None:
        """A line in the log; the file is closed after each, so that a kill loses none."""
        if self.log and self.stage:
            place = {"index": self.index, "stage": self.stage.name, "step": self.done}
            # A step's losses are those before its update.
            took = self.began if kind == "loss" else self.took
            row = {**values, **place, "kind": kind, "took": round(took, 6)}
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    # The loop -------------------------------------------------------------------------------------

    def enter(self) -> Stage:
        """Make the stage that is at hand."""
        stage: Stage
        self.took = self.began = 0.0
        with self.precision(), self.as_written():
            self.stage = stage = self.module.STAGES[self.index](self.net, self.sources)
            stage.begin()
        self.settle()
        return stage

    def settle(self) -> None:
        """Make what follows from the stage at hand anew."""
        self.alone.clear()
        self.moment = None
        if self.careful and self.stage:
            run = tuple(map(str, self.graph.train[self.index].run))
            self.moment = Moment(self.net, self.stage, run)

    def as_written(self) -> contextlib.AbstractContextManager[Any]:
        """Compiled parts run as they are written, as outside of steps they should: to compile them
        again for other modes and batches would hold up training, and what is replayed gives tensors
        that the next step writes over."""
        if not self.options.compile:
            return contextlib.nullcontext()
        stance: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return stance

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """bfloat16 where torch finds it safe, if asked for."""
        if not self.options.amp:
            return contextlib.nullcontext()
        return torch.autocast(torch.device(self.device.name).type, torch.bfloat16)

    @property
    def finished(self) -> bool:
        """Whether all stages are done."""
        return self.index >= len(self.module.STAGES)

    def started(self) -> Started:
        """What is trained, where."""
        stages = tuple((s.name, s.steps) for s in self.module.STAGES)
        count = sum(p.numel() for p in self.net.parameters())
        return Started(self.device.label, count, stages, self.run)

    def events(self) -> Iterator[Event]:
        """Train to the end, from wherever the state stands."""
        begun = time.monotonic()
        yield self.started()
        while not self.finished:
            yield from self.advance()
        yield Finished(time.monotonic() - begun, self.net.state_dict())

    def advance(self) -> Iterator[Event]:
        """One step, and what is due after it: an evaluation, a checkpoint, the end of the stage.

        After a stop between a step and its evaluation it is the evaluation alone.
        """
        if self.returned:
            self.go_on()
        yield from self.catch_up()
        yield from self.notes()
        stage = self.stage or self.enter()
        if not self.due and self.done < stage.steps:
            losses = self.step()
            self.report_losses(losses)
            yield Stepped(stage.name, self.done, stage.steps, losses)
        if self.due:
            with self.precision(), self.as_written():
                found = stage.evaluate(self.sources, self.done - 1)
            self.due = False
            metrics = {k: v.tolist() for k, v in found.items()}
            self.report("metric", metrics)
            yield Watched(stage.name, self.done, metrics)
        yield from self.notes()
        if self.done >= stage.steps:
            self.index, self.done, self.stage = self.index + 1, 0, None
            if self.run:
                yield self.save()
        elif self.run and (self.done % self.every(stage) == 0 or self.long_ago()):
            yield self.save()

    def notes(self) -> Iterator[Noted]:
        """What there is to tell of how the run began, and what the sources have to, once."""
        while self.noted:
            yield self.noted.pop(0)
        for name, source in self.sources.items():
            notes = getattr(source, "notes", [])  # one's own source may have none
            while notes:
                yield Noted(name, notes.pop(0))

    def every(self, stage: Stage) -> int:
        """How many steps lie between two checkpoints."""
        return self.options.checkpoint_every or max(1, stage.steps // 10)

    def long_ago(self) -> bool:
        """Whether the last checkpoint is old, unless a number of steps between them was asked for:
        the smaller they are, and so the faster written, the more of them can there be."""
        age = time.monotonic() - self.saved_at
        return not self.options.checkpoint_every and age > max(SAVE_EVERY, self.cost / SAVE_SHARE)

    def report_losses(self, losses: Mapping[str, Tensor]) -> None:
        """A line in the log at the ends of the stage, before an evaluation, and now and then."""
        if self.run is None or self.stage is None:
            return
        now = time.monotonic()
        if self.due or self.done in (1, self.stage.steps) or now - self.logged >= LOG_EVERY:
            self.logged = now
            self.report("loss", {k: v.item() for k, v in losses.items()})

    def step(self) -> Mapping[str, Tensor]:
        """One step of the present stage. Raises GraphError that names the node at fault."""
        assert self.stage is not None
        begun = time.perf_counter()
        losses = self.attempt(self.stage)
        self.began, self.took = self.took, self.took + time.perf_counter() - begun
        self.done += 1
        last = self.done == self.stage.steps
        self.due = bool(self.stage.watched) and (last or self.done % self.stage.watch_every == 0)
        return losses

    def attempt(self, stage: Stage) -> Mapping[str, Tensor]:
        """The updates of a stage, once. Raises GraphError; who is `careful` is then where it was
        before."""
        self.before = {name: source.state() for name, source in self.sources.items()}
        if self.moment is None:
            return self.updates(stage)
        self.moment.take(self.sources)
        try:
            return self.updates(stage)
        except BaseException:
            self.moment.undo(self.sources)
            raise

    def updates(self, stage: Stage) -> Mapping[str, Tensor]:
        """The losses of a stage's step. Raises GraphError for what the graph is to blame for."""
        try:
            with self.precision():
                if not self.replays:
                    return stage.step(self.done)
                torch.compiler.cudagraph_mark_step_begin()
                return {name: loss.clone() for name, loss in stage.step(self.done).items()}
        except NotFinite as error:
            raise explain(self, error) from error
        except (torch.OutOfMemoryError, RuntimeError) as error:
            text = str(error).lower()
            if "out of memory" not in text and "can't allocate memory" not in text:
                raise
            raise out_of_memory(self, str(error)) from error

    def only(self, name: str, again: bool = False) -> Stepped:
        """Run one update of the present stage and no other: it is no step, and none is counted.

        Raises GraphError when the stage does not run it.
        """
        if (self.returned or self.ahead) and not again:
            self.go_on()
        if self.finished:
            raise GraphError("all stages are done; go back to a checkpoint first")
        stage = self.stage or self.enter()
        if name not in stage.optimisers:
            if name in map(str, self.graph.train[self.index].run):
                raise GraphError(f"{name} moves nothing: all that it is over is frozen")
            known = ", ".join(stage.optimisers)
            raise GraphError(f"stage {stage.name} runs no update {name!r}; it runs: {known}")
        if name not in self.alone:
            part = replace(self.graph.train[self.index], run=(name,), watch=())
            graph = self.graph.with_(train=(part,))
            made = training_module(graph, self.body).STAGES[0](self.net, self.sources)
            # It moves the same weights; the optimiser is the one that the stage has.
            setattr(made, flat(name), stage.optimisers[name])
            self.alone[name] = made
        with torch.no_grad(), self.as_written():
            self.alone[name].prepare()
        losses = self.attempt(self.alone[name])
        self.edits += 1
        if self.run and not again:
            record.note(self.run, runs.Edit(self.index, self.done, self.edition, update=name))
        self.report("loss", {k: v.item() for k, v in losses.items()})
        return Stepped(stage.name, self.done, stage.steps, losses)
