"""Parts of a graph evaluated on the network that trains, and nothing of it changed by that."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..body import Call, needed
from ..compiler.build import load_source
from ..compiler.script import slice_source
from ..graph import Ref
from ..node import Node, Optimiser, Schedule, Source
from ..unfold import Unfolded
from . import checkpoint
from .probes import reached
from .trainer import Trainer


@dataclass(frozen=True)
class Slice:
    """The forward of a slice of an unfolded body, to be called on the network that trains."""

    forward: Callable[..., Any]
    sources: Mapping[str, str]  # the sources that it needs, and which object draws each
    schedules: tuple[Call, ...]
    outputs: tuple[Ref, ...]
    known: tuple[Ref, ...]  # the values that it is given
    owners: tuple[str, ...]  # the modules that it calls

    def __call__(
        self, trainer: Trainer, drawn: Sequence[tuple[Tensor, ...]], known: Sequence[Any] = ()
    ) -> dict[Ref, Any]:
        """The values of `outputs`, at this step of training. `known` are those that are given."""
        stages = trainer.module.STAGES
        steps = stages[min(trainer.index, len(stages) - 1)].steps if stages else 1
        given: list[Any] = [value for values in drawn for value in values]
        given += [function_of(c.node, r.target)(trainer.done, steps, *r.args, **r.kwargs)
                  for c in self.schedules if c.node and (r := c.node.recipe(c.at))]  # fmt: skip
        result = self.forward(trainer.net, *given, *known)
        return dict(zip(self.outputs, result if len(self.outputs) > 1 else [result], strict=True))


def constant(unfolded: Unfolded, outputs: Iterable[Ref]) -> tuple[Ref, ...]:
    """Of what `outputs` depend on, the values that are the same at each step, of the same examples:
    where no weight that an update moves lies in or before them, and no random number."""
    body = unfolded.body
    over = [o for c in body.calls.values() if isinstance(c.node, Optimiser)
            for o in unfolded.over(c)]  # fmt: skip
    moving = reached(unfolded, over)
    calls = needed(body, outputs)
    for call in calls:
        restless = isinstance(call.node, Schedule) or call.random()
        if restless or any(r.node in moving for r in call.sources):
            moving.add(call.name)
    read = [r for c in calls if c.name in moving for r in c.sources] + [*outputs]
    fixed = [r for r in dict.fromkeys(read) if r.node not in moving]
    return tuple(r for r in fixed if not isinstance(body.calls[r.node].node, Source))


def slice_of(
    unfolded: Unfolded, outputs: tuple[Ref, ...], title: str, known: tuple[Ref, ...] = ()
) -> Slice:
    """The slice that computes `outputs` from what is known, and the sources and schedules that they
    need."""
    body = unfolded.body
    calls = needed(body, outputs, known)
    sources = [c for c in calls if isinstance(c.node, Source)]
    schedules = [c for c in calls if isinstance(c.node, Schedule)]
    given = [Ref(c.name, port) for c in (*sources, *schedules) for port in c.outputs]
    text = slice_source(body, [*given, *known], list(outputs), f"A slice for {title}.")
    forward = load_source(text).Slice.forward
    owners = dict.fromkeys(c.owner for c in calls if c.weights() or c.random())
    drawn = {c.name: c.owner for c in sources}
    return Slice(forward, drawn, tuple(schedules), outputs, known, tuple(owners))


def held_out(source: Any, rows: int) -> tuple[Tensor, ...]:
    """Some examples that training never draws; where nothing is held out, what it draws next."""
    if source.held_out_size() != 0:
        return tuple(source.held_out(0, rows))
    state = source.state()
    values = tuple(v[:rows] for v in source.draw())
    source.load_state(state)
    return values


def function_of(node: Node | None, target: str) -> Callable[..., Any]:
    """The callable that a recipe of a node names."""
    if target.startswith("."):
        target = type(node).__module__.rpartition(".")[0] + target
    module, _, name = target.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


@contextmanager
def untouched(trainer: Trainer) -> Iterator[None]:
    """Put back, whatever happens: the modes of all modules, and all random generators."""
    modes = [(m, m.training) for m in trainer.net.modules()]
    random = checkpoint.random_state()
    try:
        with trainer.as_written():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        checkpoint.set_random_state(random)
