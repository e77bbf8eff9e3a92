"""A graph as an immutable value. Every edit makes a new one (`edits`), so undo is a list of values.

A group is a Graph too, with inputs and outputs, and is used as the type of a node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

META = ("title", "about", "paper", "equation", "slide", "deviations")


class GraphError(ValueError):
    """What is wrong with a graph or its file, in words for the person who wrote it."""


@dataclass(frozen=True)
class Reference:
    """`$name` in a file: the value of a parameter of the graph or group around it."""

    name: str

    def __str__(self) -> str:
        return f"${self.name}"


@dataclass(frozen=True)
class Ref:
    """A port of a node, or an input of the group around it. Output "" is the only one."""

    node: str
    port: str = ""

    def __str__(self) -> str:
        return f"{self.node}.{self.port}" if self.port else self.node

    @classmethod
    def parse(cls, text: str) -> Ref:
        """`a.y` or `a`. Dots in front of the last belong to the node (an inlined group's)."""
        node, _, port = text.rpartition(".")
        return cls(node, port) if node else cls(port)


Source = Ref | tuple[Ref, ...]  # a tuple where the input takes many


def refs(source: Source) -> tuple[Ref, ...]:
    """The outputs at the other end of a link, as a tuple."""
    return (source,) if isinstance(source, Ref) else source


def is_part(name: str, of: str) -> bool:
    """Whether an unfolded node is the node `of`, or stands in the group that this one is."""
    return name == of or name.startswith(of + ".")


@dataclass(frozen=True)
class Entry:
    """A node as the file has it: its type and what is set on it, or the node whose call it repeats.

    A node with `shares` is a second *call* of the same module with the same weights, so it has no
    type or parameters of its own. `frozen` says that no update may train its weights, `bypassed`
    that the graph runs as if this call was not there (`edits.passed_by`). `weights` is what its
    weights start from when training starts: a file, a run's folder, a published name; "": drawn.
    """

    type: str | Reference = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    shares: str = ""
    frozen: bool | Reference = False
    bypassed: bool = False
    weights: str | Reference = ""


@dataclass(frozen=True)
class Stage:
    """A part of training: its updates, run in order, once per step."""

    name: str
    steps: int | Reference
    run: tuple[str | Reference, ...]
    watch: tuple[str | Reference, ...] = ()
    watch_every: int | Reference = 0  # steps; 0: ten times per stage


@dataclass(frozen=True)
class Graph:
    """Nodes and the links between them; links are keyed by the input that they end in."""

    nodes: Mapping[str, Entry] = field(default_factory=dict)
    links: Mapping[Ref, Source] = field(default_factory=dict)
    groups: Mapping[str, Graph] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    train: tuple[Stage, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)  # of a group: name to shape
    outputs: Mapping[str, Ref] = field(default_factory=dict)  # of a group: name to what gives it
    meta: Mapping[str, str] = field(default_factory=dict)
    layout: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)  # a newer format's keys, untouched
    folder: str = field(default="", compare=False)  # of its file: what `weights` is relative to

    def inputs_of(self, name: str) -> dict[str, Source]:
        """What flows into a node, by input port."""
        return {to.port: source for to, source in self.links.items() if to.node == name}

    def owner(self, name: str) -> str:
        """The node that holds the weights of `name`: itself, or the end of its chain of shares."""
        seen = {name}
        while (entry := self.nodes.get(name)) and entry.shares and entry.shares not in seen:
            name = entry.shares
            seen.add(name)
        return name

    def entry(self, name: str) -> Entry:
        """The entry that gives a node its type and parameters (its owner's)."""
        return self.nodes[self.owner(name)]

    def consumers(self, name: str) -> Iterator[Ref]:
        """The inputs that a node's outputs flow into."""
        for to, source in self.links.items():
            if any(r.node == name for r in refs(source)):
                yield to

    def with_(self, **changes: Any) -> Graph:
        """This graph with some fields replaced."""
        return replace(self, **changes)


def substitute(value: Any, params: Mapping[str, Any]) -> Any:
    """`value` with its references replaced, also inside lists. Raises GraphError for a name
    that `params` lacks."""
    if isinstance(value, Reference):
        if value.name not in params:
            known = ", ".join(params) or "none is declared"
            raise GraphError(f"${value.name} is no parameter here; known: {known}")
        value = params[value.name]
    if isinstance(value, (list, tuple)):
        return tuple(substitute(v, params) for v in value)
    return value


def is_frozen(entry: Entry, params: Mapping[str, Any]) -> bool:
    """Whether the weights of a node are frozen, a `$name` replaced."""
    found = entry.frozen
    return (params.get(found.name) if isinstance(found, Reference) else found) is True


def choose(graph: Graph, preset: str = "", settings: Mapping[str, Any] | None = None) -> Graph:
    """`graph` with its parameters set: the defaults, then a preset's, then `settings`. Where a
    preset is named, no other is left to choose.

    Raises GraphError for a preset or a parameter that the file does not declare.
    """
    if preset and preset not in graph.presets:
        known = ", ".join(graph.presets) or "none"
        raise GraphError(f"no preset {preset!r}; this file has: {known}")
    chosen = {**graph.presets.get(preset, {}), **(settings or {})}
    for name in chosen:
        if name not in graph.params:
            known = ", ".join(graph.params) or "none"
            raise GraphError(f"no parameter {name!r} to set; this file has: {known}")
    left = {} if preset else graph.presets  # one that is chosen is not a ground for the others
    return graph.with_(params={**graph.params, **chosen}, presets=left)
