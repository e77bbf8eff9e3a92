"""Parts of a graph evaluated on the network that trains, and nothing of it changed by that."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..body import Call
from ..compiler.build import load_source
from ..compiler.script import slice_source
from ..graph import Ref
from ..node import Node, Schedule, Source
from ..unfold import Unfolded
from . import checkpoint
from .trainer import Trainer


@dataclass(frozen=True)
class Slice:
    """The forward of a slice of an unfolded body, to be called on the network that trains."""

    forward: Callable[..., Any]
    sources: Mapping[str, str]  # the sources that it needs, and which object draws each
    schedules: tuple[Call, ...]
    outputs: tuple[Ref, ...]

    def __call__(self, trainer: Trainer, drawn: Sequence[tuple[Tensor, ...]]) -> dict[Ref, Any]:
        """The values of `outputs`, at this step of training."""
        stages = trainer.module.STAGES
        steps = stages[min(trainer.index, len(stages) - 1)].steps if stages else 1
        given: list[Any] = [value for values in drawn for value in values]
        given += [function_of(c.node, r.target)(trainer.done, steps, *r.args, **r.kwargs)
                  for c in self.schedules if c.node and (r := c.node.recipe(c.at))]  # fmt: skip
        result = self.forward(trainer.net, *given)
        return dict(zip(self.outputs, result if len(self.outputs) > 1 else [result], strict=True))


def slice_of(unfolded: Unfolded, outputs: tuple[Ref, ...], title: str) -> Slice:
    """The slice that computes `outputs` from the sources and schedules that they need."""
    body = unfolded.body
    needed: set[str] = set()
    stack = [r.node for r in outputs]
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack += [r.node for r in body.calls[name].sources]
    calls = [c for n, c in body.calls.items() if n in needed]
    sources = [c for c in calls if isinstance(c.node, Source)]
    schedules = [c for c in calls if isinstance(c.node, Schedule)]
    given = [Ref(c.name, port) for c in (*sources, *schedules) for port in c.outputs]
    text = slice_source(body, given, list(outputs), f"A slice for {title}.")
    forward = load_source(text).Slice.forward
    return Slice(forward, {c.name: c.owner for c in sources}, tuple(schedules), outputs)


def function_of(node: Node | None, target: str) -> Callable[..., Any]:
    """The callable that a recipe of a node names."""
    if target.startswith("."):
        target = type(node).__module__.rpartition(".")[0] + target
    module, _, name = target.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


@contextmanager
def untouched(trainer: Trainer) -> Iterator[None]:
    """Put back, whatever happens: the modes of all modules, and all random generators.

    Compiled modules run as they are written: to compile them again for other modes and batches
    would hold up training.
    """
    modes = [(m, m.training) for m in trainer.net.modules()]
    random = checkpoint.random_state()
    compiled = trainer.options.compile
    eager = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
    try:
        with eager:
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        checkpoint.set_random_state(random)
