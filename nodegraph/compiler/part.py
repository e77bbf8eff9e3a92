"""Parts of a graph as modules, which say in the graph's words what they can't take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..body import Body
from ..graph import Graph, GraphError, Ref
from ..infer import Memo, infer
from ..library import Library
from ..node import Shape, show


class Part(nn.Module):
    """A module that computes some outputs of a graph from others."""

    sizes: Sizes | None = None

    def __call__(self, *given: Any, **named: Any) -> Any:
        """As of any module. Raises GraphError where the graph says why torch refuses."""
        try:
            return super().__call__(*given, **named)
        except (RuntimeError, ValueError) as error:
            told = self.sizes and not named and self.sizes.refusal([*map(shape_of, given)])
            if not told:
                raise
            raise GraphError(told) from error


def shape_of(value: Any) -> Shape:
    """That of a tensor; of a pyramid with the number of its levels in front."""
    if isinstance(value, (tuple, list)):
        return (len(value), *value[0].shape)
    return tuple(getattr(value, "shape", ()))


@dataclass(frozen=True)
class Sizes:
    """Which shapes a part of a graph takes at `inputs`. `names` are the calls in it."""

    graph: Graph
    library: Library
    body: Body
    inputs: tuple[Ref, ...]
    names: tuple[str, ...]

    def refusal(self, shapes: list[Shape]) -> str:
        """What is wrong with some shapes, of any number of examples; "" if nothing is."""
        values = [self.body.value(r) for r in self.inputs]
        memo: Memo = {}
        if not (text := self.wrong(shapes, memo)):
            return ""
        text += f" (made for {', '.join(f'{r} of {v}' for r, v in zip(self.inputs, values))}"
        if len(shapes) == 1 and len(shapes[0]) == len(values[0].shape) == 4:
            for side in range(1, min(values[0].shape[2:]) + 1):
                if not self.wrong([(*values[0].shape[:2], side, side)], memo):
                    return f"{text}; {show((side, side))} is the smallest that fits)"
        return f"{text})"

    def wrong(self, shapes: list[Shape], memo: Memo) -> str:
        """The first node that some shapes do not fit, and why."""
        given: dict[Ref, Shape] = {}
        for ref, shape in zip(self.inputs, shapes):
            known = self.body.value(ref)
            if len(shape) != len(known.shape):
                return f"{ref} is {show(shape)}, not {known}"
            batch = 1 + (known.kind == "pyramid")  # axes up to that of the examples
            levels = shape[: batch - 1]
            given[ref] = (*levels, *known.shape[len(levels) : batch], *shape[batch:])
        body, problems = infer(self.graph, self.library, memo, given)
        for name in self.names:
            before = self.body.calls[name]
            if name not in body.calls:
                inside = {*types(before.body)} if before.body else set()
                for p in problems:
                    if p.where[:2] == ("nodes", name) or p.where[1] in inside:
                        return str(p)
                return f"{name} can't take it"
            asked = body.calls[name].weights()
            for weight, shape in before.weights().items():
                if asked.get(weight) != shape:
                    text = f"{name}: its {weight} is {show(shape)}, this needs"
                    return f"{text} {show(asked.get(weight, ()))}"
        return ""


def types(body: Body) -> Iterator[str]:
    """The groups that a group is made of, with itself."""
    yield body.type
    for call in body.calls.values():
        if call.body:
            yield from types(call.body)
