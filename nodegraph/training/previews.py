"""Pictures of a run in progress: its view nodes, and any value that somebody peeks at.

A tick evaluates once, on examples that training never draws, what all pictures need: the forward of
a generated slice is called on the network that trains, so nothing is copied. Afterwards everything
that a step depends on stands where it stood: weights, modes, statistics, random generators.
"""

from __future__ import annotations

import inspect
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..body import Call, Value
from ..compiler.text import attribute
from ..graph import GraphError, Ref, refs
from ..node import Mismatch, View
from ..unfold import Unfolded, unfold
from . import probes
from .past import Past
from .slices import Slice, constant, function_of, held_out, slice_of, untouched
from .trainer import Trainer


@dataclass(frozen=True)
class Preview:
    """A picture (its rows, R G B), or what probes found (in the header).

    The header has `name`, `kind` ("picture", "probe", "error"), `view` (the type), `width`,
    `height`, `stage`, `index` and `step` (how many are done of that stage), `seconds` (what it took
    to draw), and `about`: numbers of a picture, the `text` of an error, the findings of probes.
    """

    header: dict[str, Any]
    payload: bytes = b""


@dataclass
class Look:
    """One thing to draw: a view, what flows into each of its inputs, what it remembers."""

    name: str
    view: View
    inputs: dict[str, list[Ref]]
    names: list[str] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)
    of: tuple[str, ...] = ()  # the owners whose weights it shows
    last: tuple[list[Any], Any] = ([], None)  # what was drawn, and the result, if it is all of that

    @property
    def examples(self) -> int:
        """How many examples it can make use of."""
        return self.view.examples(len(next(iter(self.inputs.values()), ())))


class Previews:
    """What is looked at in a run, and the pictures of this moment."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.views: tuple[str, ...] | None = None  # all
        self.peeks: tuple[str, ...] = ()
        self.probes = False
        self.theme = "dark"
        self.past = Past(trainer)
        self.made: tuple[Any, ...] = ()  # what the rest was made from
        self.unfolded: Unfolded | None = None
        self.tapped: Unfolded | None = None  # with taps, for probes
        self.looks: list[Look] = []
        self.faults: list[tuple[str, str]] = []  # what can't be looked at, and why
        self.draws: dict[tuple[str, int], tuple[Tensor, ...]] = {}
        self.runs: dict[tuple[Ref, ...], Slice] = {}
        self.timed: dict[tuple[Ref, ...], Slice] = {}
        self.kept: dict[tuple[Ref, ...], tuple[tuple[Any, ...], list[Any]]] = {}
        self.place = (0, 0)

    def look(
        self, views: Sequence[str] | None = None, peeks: Sequence[str] = (), probes: bool = False,
        theme: str = "dark",
    ) -> None:  # fmt: skip
        """Say what to look at: names of view nodes (None: all), outputs, and whether to probe; and
        on what ground to draw, dark or light."""
        self.views = None if views is None else tuple(views)
        self.peeks, self.probes, self.theme = tuple(peeks), probes, theme
        self.made = ()

    def compute(self) -> list[Preview]:
        """The pictures of this moment, and the probe if it is wanted. Changes nothing.

        What can't be drawn is a Preview of kind "error"; it keeps no other from being drawn.
        """
        trainer = self.trainer
        with untouched(trainer):
            self.follow()
            results = [self.failed(name, text) for name, text in self.faults]
            if self.probes:  # with the modes that training has; pictures are in evaluation mode
                results.append(self.probed())
            results += self.pictures(self.looks)
        return results

    def follow_step(self) -> None:
        """Let the views that follow each step see this one. Changes nothing."""
        looks = [one for one in self.looks if one.view.each_step]
        if looks and self.up_to_date():
            with untouched(self.trainer):
                values = self.evaluate(looks)
                for one in looks:
                    function_of(one.view, one.view.each_step)(
                        *self.arguments(one, values), memory=one.memory
                    )

    # What there is to see -------------------------------------------------------------------------

    def makings(self) -> tuple[Any, ...]:
        """What the looks are made from."""
        trainer = self.trainer
        return trainer.graph, trainer.body, trainer.net, trainer.sources

    def up_to_date(self) -> bool:
        """Whether the looks are of the trainer's graph as it is."""
        now = self.makings()
        return len(self.made) == len(now) and all(a is b for a, b in zip(now, self.made))

    def follow(self) -> None:
        """Look again at what there is, if the trainer's graph has changed since."""
        trainer = self.trainer
        place = (trainer.index, trainer.done)
        if place < self.place:  # it went back: trails that lead here are of another past
            for one in self.looks:
                one.memory.clear()
        self.place = place
        if self.up_to_date():
            return
        past = {one.name: one.memory for one in self.looks}
        self.unfolded, self.tapped = unfold(trainer.body, trainer.graph), None
        self.draws.clear()
        self.runs.clear()
        self.timed.clear()
        self.kept.clear()
        self.looks, self.faults = [], []
        there = self.unfolded.body.calls
        names = {self.unfolded.path(n): n for n, c in there.items() if isinstance(c.node, View)}
        for name in names if self.views is None else self.views:
            if name in names:
                self.looks.append(self.of_view(name, there[names[name]]))
            else:
                known = ", ".join(names) or "none"
                self.faults.append((name, f"there is no view {name!r}; there are: {known}"))
        for text in self.peeks:
            try:
                self.looks.append(self.of_peek(text))
            except GraphError as wrong:
                self.faults.append((text, str(wrong)))
        for one in self.looks:
            one.memory = past.get(one.name, one.memory)
        self.made = self.makings()

    def of_view(self, name: str, call: Call) -> Look:
        """A view node of the graph."""
        assert isinstance(call.node, View) and self.unfolded is not None
        inputs = {port: list(refs(source)) for port, source in call.inputs.items()}
        before = call.name.rpartition(".")[0]
        group = f"{before}." if before and before in self.unfolded.paths else ""
        of = tuple(f"{group}{n}" for n in getattr(call.node, "of", ()))
        names = [self.said(r) for r in next(iter(inputs.values()), ())]
        return Look(name, call.node, inputs, names, of=of)

    def said(self, ref: Ref) -> str:
        """An output in a legend: the outermost name that it has, without a port if it has one."""
        assert self.unfolded is not None
        ends = [(n, p) for (n, p), end in self.unfolded.at.items() if end == ref]
        name, port = min(ends, key=lambda e: len(e[0]), default=(ref.node, ref.port))
        several = len([1 for n, _ in self.unfolded.at if n == name]) > 1
        return self.unfolded.path(name) + (f".{port}" if several else "")

    def of_peek(self, text: str) -> Look:
        """An output without a node, in a view that suits its shape and kind."""
        assert self.unfolded is not None
        ref = self.unfolded.find(text)
        value = self.unfolded.body.value(ref)
        for fits, type_, params in SUITING:
            if fits(value):
                view = self.trainer.library[type_](**params)
                assert isinstance(view, View)
                return Look(text, view, {next(iter(view.inputs)): [ref]}, [text])
        raise AssertionError("the last row of SUITING fits everything")

    # Evaluation -----------------------------------------------------------------------------------

    def pictures(self, looks: list[Look]) -> list[Preview]:
        """All looks from one evaluation; if it fails, from one each."""
        if not looks:
            return []
        try:
            values = self.evaluate(looks)
        except Exception as error:  # whatever a node's code raises is told, not thrown
            if len(looks) == 1:
                return [self.failed(looks[0].name, said(error))]
            return [preview for one in looks for preview in self.pictures([one])]
        return [self.draw(one, values) for one in looks]

    def evaluate(self, looks: list[Look]) -> dict[Ref, Tensor]:
        """The values of all outputs that are looked at."""
        wanted = list(dict.fromkeys(r for one in looks for found in one.inputs.values()
                                    for r in found))  # fmt: skip
        if not wanted:
            return {}
        rows = max(one.examples for one in looks)
        assert self.unfolded is not None
        outputs = tuple(wanted)
        grad = any(one.view.gradient for one in looks)
        if outputs not in self.runs:
            known = () if grad else constant(self.unfolded, outputs)
            self.runs[outputs] = slice_of(self.unfolded, outputs, "previews", known)
        run = self.runs[outputs]
        self.trainer.net.eval()
        with torch.set_grad_enabled(grad), self.trainer.precision():
            return run(self.trainer, self.drawn(run, rows), self.unmoved(run.known, rows))

    def unmoved(self, known: tuple[Ref, ...], rows: int) -> Sequence[Any]:
        """The values that are the same at each step: computed once, and again where somebody has
        set a weight that no update moves, which its tensor counts."""
        if not known:
            return ()
        assert self.unfolded is not None
        if known not in self.runs:
            self.runs[known] = slice_of(self.unfolded, known, "previews")
        run = self.runs[known]
        key = (rows, *(t._version for t in self.tensors(run)))
        if self.kept.get(known, ((), ()))[0] != key:
            values = run(self.trainer, self.drawn(run, rows))
            self.kept[known] = (key, [*values.values()])
        return self.kept[known][1]

    def tensors(self, run: Slice) -> list[Tensor]:
        """The weights and buffers that a slice reads."""
        parts = [self.trainer.net.get_submodule(attribute(o)) for o in run.owners]
        return [t for part in parts for t in (*part.parameters(), *part.buffers())]

    def drawn(self, run: Slice, rows: int) -> list[tuple[Tensor, ...]]:
        """The values of the sources that a slice needs: always the same examples."""
        sources = {name: self.trainer.sources[owner] for name, owner in run.sources.items()}
        sizes = [n for s in sources.values() if (n := s.held_out_size())]
        rows = min([rows, *sizes])
        found = []
        for name, owner in run.sources.items():
            if (owner, rows) not in self.draws:
                values = held_out(sources[name], rows)
                self.draws[owner, rows] = tuple(map(channels_last, values))
            found.append(self.draws[owner, rows])
        return found

    # Drawing --------------------------------------------------------------------------------------

    def draw(self, one: Look, values: Mapping[Ref, Tensor]) -> Preview:
        """One picture; the last one where the very same values flow in, and nothing else does, but
        for weights, which move where they lie."""
        begun = time.perf_counter()
        given = [values[r] for found in one.inputs.values() for r in found]
        last, result = one.last
        try:
            if not given or len(last) != len(given) or any(a is not b for a, b in zip(last, given)):
                result = self.drawing(one, values)
                moving = any(isinstance(value, nn.Parameter) for value in given)
                one.last = ([], None) if one.of or one.memory or moving else (given, result)
        except Exception as error:
            return self.failed(one.name, said(error), type(one.view).__name__)
        picture, about = result
        header = self.header(one.name, "picture", type(one.view).__name__)
        header |= {"width": picture.shape[1], "height": picture.shape[0]}
        header |= {"seconds": time.perf_counter() - begun, "about": about}
        return Preview(header, picture.tobytes())

    def drawing(self, one: Look, values: Mapping[Ref, Tensor]) -> tuple[np.ndarray, dict[str, Any]]:
        """The picture of a view, and what it says about it."""
        arguments = self.arguments(one, values)
        shapes = {p: tuple(v.shape) for p, v in zip(one.view.inputs, arguments, strict=True)
                  if isinstance(v, Tensor)}  # fmt: skip
        recipe = one.view.recipe(one.view.bind(shapes))
        function = function_of(one.view, recipe.target)
        keywords = inspect.signature(function).parameters
        known = {"names": one.names, "memory": one.memory, "weights": self.weights(one),
                 "theme": self.theme, "step": self.past.now}  # fmt: skip
        if "past" in keywords:
            known["past"] = self.past.read()
            known["clock"] = self.past.clock()
        if one.view.timed:
            known["seconds"] = self.seconds(one)
        extra = {k: v for k, v in known.items() if k in keywords}
        with torch.set_grad_enabled(one.view.gradient):
            result = function(*arguments, *recipe.args, **recipe.kwargs, **extra)
        picture, about = result if isinstance(result, tuple) else (result, {})
        picture = np.ascontiguousarray(torch.as_tensor(picture).cpu().numpy())
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            shape = "×".join(map(str, picture.shape))
            raise ValueError(f"it gave {picture.dtype} {shape}, not a picture: uint8 H×W×3")
        return picture, plain(about)

    def arguments(self, one: Look, values: Mapping[Ref, Tensor]) -> list[Any]:
        """What flows into each input of a view: a list where it takes many."""
        found: list[Any] = []
        for port, declared in one.view.inputs.items():
            there = [values[r] if one.view.gradient else still(values[r])
                     for r in one.inputs.get(port, ())]  # fmt: skip
            found.append(there if declared.many else there[0] if there else declared.default)
        return found

    def seconds(self, one: Look) -> float:
        """How long one example of the input that a view times takes: the median of five."""
        assert self.unfolded is not None
        outputs = tuple(one.inputs[one.view.timed])
        if outputs not in self.timed:
            self.timed[outputs] = slice_of(self.unfolded, outputs, "previews")
        run, took = self.timed[outputs], []
        drawn = self.drawn(run, 1)
        self.trainer.net.eval()
        with torch.no_grad(), self.trainer.precision():
            for _ in range(6):  # the first warms up
                begun = time.perf_counter()
                for value in run(self.trainer, drawn).values():
                    value.flatten()[:1].tolist()  # waits for the device
                took.append(time.perf_counter() - begun)
        return statistics.median(took[1:])

    def weights(self, one: Look) -> list[tuple[str, Tensor]]:
        """The weights of the nodes that a view names."""
        assert self.unfolded is not None
        found = []
        for name in one.of:
            part = self.trainer.net.get_submodule(attribute(self.unfolded.owners[name]))
            shown = self.unfolded.path(name)
            found += [(f"{shown}.{k}", w.detach()) for k, w in part.named_parameters()]
        return found

    def header(self, name: str, kind: str, view: str = "") -> dict[str, Any]:
        """What all headers have."""
        trainer = self.trainer
        stages = trainer.graph.train
        stage = stages[min(trainer.index, len(stages) - 1)].name if stages else ""
        place = {"stage": stage, "index": trainer.index, "step": trainer.done}
        size = {"width": 0, "height": 0, "seconds": 0.0}
        return {"name": name, "kind": kind, "view": view, **size, **place, "about": {}}

    def failed(self, name: str, text: str, view: str = "") -> Preview:
        """The Preview of what could not be drawn."""
        return Preview(self.header(name, "error", view) | {"about": {"text": text}})

    # Probes ---------------------------------------------------------------------------------------

    def probed(self) -> Preview:
        """The Preview of all probes."""
        begun = time.perf_counter()
        try:
            about = self.probe()
        except Exception as error:
            return self.failed("probe", said(error))
        header = self.header("probe", "probe") | {"about": plain(about)}
        return Preview(header | {"seconds": time.perf_counter() - begun})

    def probe(self) -> dict[str, Any]:
        """What every link of the present stage carries, and what comes back through it."""
        trainer = self.trainer
        if self.tapped is None:
            self.tapped = unfold(trainer.body, trainer.graph, taps=True)
        stage = trainer.graph.train[min(trainer.index, len(trainer.graph.train) - 1)]
        updates = tuple(map(str, stage.run))
        wanted = [Ref(tap, "y") for tap in self.tapped.links]
        wanted += [term.loss for term in probes.terms_of(self.tapped, updates)]
        outputs = tuple(dict.fromkeys(wanted))
        if outputs not in self.runs:
            self.runs[outputs] = slice_of(self.tapped, outputs, "probes")
        run = self.runs[outputs]
        sizes = [getattr(trainer.sources[s], "batch", 1) for s in run.sources.values()]
        rows = min(probes.EXAMPLES, max(sizes, default=1))
        with probes.statistics_kept(trainer.net), torch.enable_grad():
            with trainer.precision():
                values = run(trainer, self.drawn(run, rows))
            found = probes.report(self.tapped, trainer.net, updates, values)
        return {"examples": rows, "updates": updates, **found}


# Which view suits an output that is peeked at: the first row that fits.
SUITING: list[tuple[Callable[[Value], bool], str, dict[str, Any]]] = [
    (lambda v: v.kind == "pyramid", "PyramidGrid", {}),
    (lambda v: v.kind == "labels" or v.shape == (), "TextTable", {}),
    (lambda v: len(v.shape) == 4 and v.kind == "image", "ImageGrid", {}),
    (lambda v: len(v.shape) == 4 and v.shape[1] == 2, "Flow", {}),
    (
        lambda v: len(v.shape) == 4 and v.shape[3] == 2 < min(v.shape[1:3]),
        "Flow",
        {"relative": True},
    ),
    (lambda v: len(v.shape) == 4 and v.shape[1] in (1, 3), "ImageGrid", {}),
    (lambda v: len(v.shape) == 4, "FeatureMaps", {}),
    (lambda v: len(v.shape) == 3 and v.shape[1] == v.shape[2], "GramMap", {}),
    (lambda v: len(v.shape) == 2 and v.shape[1] > 1, "Scatter", {}),
    (lambda v: True, "Histogram", {}),
]


def still(value: Any) -> Any:
    """A value without the graph of its gradient; a schedule's plain number as a tensor."""
    if isinstance(value, tuple):  # a pyramid
        return tuple(map(still, value))
    return torch.as_tensor(value).detach()


def channels_last(x: Tensor) -> Tensor:
    """Images in the order of memory in which a processor pools three times as fast."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def said(error: Exception) -> str:
    """An error in a line."""
    text = str(error).strip().splitlines()
    if isinstance(error, (GraphError, Mismatch, ValueError)) and text:
        return text[0]
    return f"{type(error).__name__}: {text[0] if text else ''}".rstrip(": ")


def plain(value: Any) -> Any:
    """A value as JSON can hold it; numbers that are not finite are None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    if isinstance(value, (np.generic, Tensor)):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
