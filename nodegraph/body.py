"""A graph with everything resolved: types found, calls in order, the shape of every value known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from .graph import Ref, Source, is_part, refs
from .node import Axes, Metric, Node, Shape, level_shapes, show

FLOAT = 4  # bytes


class Value(NamedTuple):
    """What flows along a link. `classes` is how many classes labels have, 0 if unknown."""

    shape: Shape
    kind: str = "tensor"
    classes: int = 0

    def __str__(self) -> str:
        return show(self.shape, self.kind)

    @property
    def bytes(self) -> int:
        """The memory of all its numbers."""
        tensors = level_shapes(self.shape) if self.kind == "pyramid" else (self.shape,)
        return FLOAT * sum(map(math.prod, tensors))


@dataclass(frozen=True)
class Call:
    """One use of a node: its declaration with the parameters set, or the body of its group."""

    name: str
    owner: str  # the call that holds the weights
    inputs: Mapping[str, Source]
    literals: Mapping[str, float]  # inputs that are not linked
    outputs: Mapping[str, Value]
    node: Node | None = None
    body: Body | None = None
    at: Axes = field(default_factory=Axes)
    frozen: bool = False
    file: str = ""  # that its weights start from

    @property
    def sources(self) -> list[Ref]:
        """All outputs that this call reads."""
        return [ref for source in self.inputs.values() for ref in refs(source)]

    def weights(self) -> dict[str, Shape]:
        """Trainable tensors by name, of a group with the inner names in front."""
        if self.node is not None:
            return self.node.weights(self.at)
        assert self.body is not None
        inner = (c for c in self.body.calls.values() if c.owner == c.name)
        return {f"{c.name}.{k}": s for c in inner for k, s in c.weights().items()}

    def frozen_parts(self) -> list[str]:
        """The outermost frozen calls inside a group, as dotted names; [""] when all of it is."""
        if self.frozen:
            return [""] if self.weights() or self.random() else []
        inner = self.body.calls.values() if self.body else ()
        return [
            f"{c.name}.{part}".rstrip(".")
            for c in inner
            if c.owner == c.name
            for part in c.frozen_parts()
        ]

    def files(self) -> dict[str, str]:
        """The files that its weights start from, by the dotted names of its parts; "": itself."""
        found = {"": self.file} if self.file else {}
        for c in self.body.calls.values() if self.body else ():
            if c.owner == c.name:
                found |= {f"{c.name}.{part}".rstrip("."): file for part, file in c.files().items()}
        return found

    def trainable(self) -> bool:
        """Whether it has weights that are not frozen."""
        if self.body is None or self.frozen:
            return bool(self.weights()) and not self.frozen
        return any(c.trainable() for c in self.body.calls.values() if c.owner == c.name)

    def learns_with(self, owners: Iterable[str]) -> bool:
        """Whether it has weights that are not frozen and belong to one of some nodes or groups."""
        mine = any(is_part(self.owner, o) for o in owners)
        return mine and not self.frozen and bool(self.weights())

    def random(self) -> bool:
        """Whether some layer in it draws random numbers, or keeps statistics, in training mode."""
        return any(leaf.node.stateful for leaf in self.leaf_calls() if leaf.node)

    def parameters(self) -> int:
        """How many numbers its weights have."""
        return sum(map(math.prod, self.weights().values()))

    def multiply_adds(self) -> int:
        """Multiplications of one forward pass."""
        if self.node is not None:
            first = next(iter(self.outputs.values()), Value(()))
            return self.node.multiply_adds(self.at, first.shape)
        assert self.body is not None
        return sum(c.multiply_adds() for c in self.body.calls.values())

    def activation_bytes(self) -> int:
        """Memory of all values that it computes."""
        if self.body is not None:
            return sum(c.activation_bytes() for c in self.body.calls.values())
        return sum(v.bytes for v in self.outputs.values())

    def leaf_calls(self) -> list[Call]:
        """The calls of declared nodes in it: itself, or those of its group at any depth."""
        if self.node is not None:
            return [self]
        assert self.body is not None
        return [leaf for c in self.body.calls.values() for leaf in c.leaf_calls()]


@dataclass(frozen=True)
class Body:
    """A graph or a group with everything resolved. `calls` are in the order of evaluation, `names`
    are all nodes in the order of the file."""

    type: str
    about: str
    calls: Mapping[str, Call]
    names: tuple[str, ...]
    inputs: Mapping[str, Value] = field(default_factory=dict)
    outputs: Mapping[str, Ref] = field(default_factory=dict)

    @cached_property
    def complete(self) -> bool:
        """Whether all nodes are resolved."""
        return all(name in self.calls for name in self.names)

    def value(self, ref: Ref) -> Value:
        """The value of an output or of one of the body's inputs."""
        if ref.node in self.inputs:
            return self.inputs[ref.node]
        return self.calls[ref.node].outputs[self.port(ref)]

    def port(self, ref: Ref) -> str:
        """The name of an output, also where it is the only one and goes without saying."""
        return ref.port or next(iter(self.calls[ref.node].outputs))


def watched(body: Body, names: Iterable[object]) -> list[str]:
    """What a stage watches: what it names, and of groups the metrics that are in them."""
    found: list[str] = []
    for name in map(str, names):
        inner = [n for n, c in body.calls.items()
                 if is_part(n, name) and isinstance(c.node, Metric)]  # fmt: skip
        found += inner if inner and name not in body.names else [name]
    return list(dict.fromkeys(found))


def behind(body: Body, ends: Iterable[Ref], with_gradient: bool = False) -> set[str]:
    """The calls that some outputs depend on; `with_gradient`, those that their gradient reaches."""
    found: set[str] = set()
    stack = [r.node for r in ends]
    while stack:
        call = body.calls.get(stack.pop())
        if call is None or call.name in found:
            continue
        if with_gradient and call.node is not None and call.node.stops_gradient:
            continue
        found.add(call.name)
        stack += [r.node for r in call.sources]
    return found


def needed(body: Body, outputs: Iterable[Ref], known: Iterable[Ref] = ()) -> list[Call]:
    """The calls that `outputs` depend on, in order, where some values are known."""
    cut = {(r.node, body.port(r)) for r in known}
    found: set[str] = set()
    stack = [*outputs]
    while stack:
        ref = stack.pop()
        if ref.node not in found and (ref.node, body.port(ref)) not in cut:
            found.add(ref.node)
            stack += body.calls[ref.node].sources
    return [c for n, c in body.calls.items() if n in found]


def memory(size: int) -> str:
    """A number of bytes in words."""
    number = float(size)
    for unit in ("B", "KB", "MB", "GB", "TB", "PB", "EB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} ZB"
