"""What a type's name means in a graph: a declaration of the library, or a group around it.

A `Scope` answers what only both together know: ports, parameters, and whether links fit.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .graph import Entry, Graph, Ref, Reference, refs
from .library import Library, near
from .node import ACCEPTS, Input, Node, Nodes, Output, Setting


@dataclass(frozen=True)
class Scope:
    """The library, and the groups declared around a graph (its own are always seen too)."""

    library: Library
    groups: Mapping[str, Graph] = field(default_factory=dict)

    def inside(self, graph: Graph) -> Scope:
        """The scope of the bodies of `graph`'s groups."""
        return Scope(self.library, {**self.groups, **graph.groups}) if graph.groups else self

    def named(self, graph: Graph, type_: str | Reference) -> type[Node] | Graph | None:
        """What a type's name stands for in `graph`; None when nothing is called so."""
        name = graph.params.get(type_.name, "") if isinstance(type_, Reference) else type_
        for groups in (graph.groups, self.groups):
            if name in groups:
                return groups[name]
        return self.library.types.get(self.library.current(str(name)))

    def type_of(self, graph: Graph, name: str) -> type[Node] | Graph | None:
        """The type of a node (a further call has its owner's), or None when it is unknown."""
        entry = graph.nodes.get(graph.owner(name))
        return self.named(graph, entry.type) if entry else None

    def is_a(self, graph: Graph, name: str, *roles: type[Node]) -> bool:
        """Whether a node is declared as one of `roles`: an Optimiser, a View, …"""
        found = self.type_of(graph, name)
        return isinstance(found, type) and issubclass(found, roles)

    def inputs(self, graph: Graph, name: str) -> Mapping[str, Input] | None:
        """The input ports of a node, or None when its type is unknown.

        A group's have the shapes that it declares, and the kinds of what they feed inside.
        """
        found = self.type_of(graph, name)
        if not isinstance(found, Graph):
            return found.inputs if found else None
        inner = self._within(graph, name)
        return {p: Input(s, kind=inner.kind_taken(found, p)) for p, s in found.inputs.items()}

    def outputs(self, graph: Graph, name: str) -> Mapping[str, Output] | None:
        """The output ports of a node, or None; a group's are those of the nodes that give them."""
        found = self.type_of(graph, name)
        if not isinstance(found, Graph):
            return found.outputs if found else None
        inner = self._within(graph, name)
        given = {port: inner.output(found, ref) or Output() for port, ref in found.outputs.items()}
        return {port: replace(output, shape="...") for port, output in given.items()}

    def settings(self, graph: Graph, name: str) -> Mapping[str, Setting] | None:
        """What can be set on a node, or None; a group's parameters are typed by their first use."""
        found = self.type_of(graph, name)
        if not isinstance(found, Graph):
            return found.settings if found else None
        inner = self._within(graph, name)
        return {p: inner.setting(found, p) for p in found.params}

    def output(self, graph: Graph, ref: Ref) -> Output | None:
        """The port that a link comes from (an input of the group around, too), or None."""
        if ref.node in graph.inputs and ref.node not in graph.nodes:
            kind = self.kind_taken(graph, ref.node)
            return None if ref.port else Output(graph.inputs[ref.node], kind=kind)
        ports = self.outputs(graph, ref.node) or {}
        if not ref.port and len(ports) == 1:
            return next(iter(ports.values()))
        return ports.get(ref.port)

    def kind_taken(self, body: Graph, port: str) -> str:
        """The kind of a group's input: the pickiest of those that it feeds."""
        fed = self._kinds_fed(body, port)
        return min(fed, key=lambda kind: len(ACCEPTS[kind]), default="tensor")

    def setting(self, body: Graph, param: str) -> Setting:
        """A parameter of a group or file, typed as the first setting that `$param` stands in."""
        default = MISSING if body.params[param] is None else body.params[param]
        for name, entry in body.nodes.items():
            for key, value in entry.params.items():
                used = (self.settings(body, name) or {}).get(key)
                if used and value == Reference(param):
                    return replace(used, name=param, default=default, was="")
        plain: Any = str if default is MISSING else type(default)
        if isinstance(default, (list, tuple)) and default:
            plain = types.GenericAlias(tuple, (type(default[0]), ...))
        return Setting(param, plain, default)

    def node_lists(self, graph: Graph, entry: Entry) -> list[str]:
        """The keys set on an entry whose values name other nodes of the graph."""
        found = self.named(graph, entry.type)
        if isinstance(found, Graph):
            return []
        lists = {k for k, s in found.settings.items() if s.type is Nodes} if found else {"over"}
        return [key for key in entry.params if key in lists]

    def has_weights(self, graph: Graph, name: str) -> bool:
        """Whether a node can hold weights of its own (a further call has none; unknown: yes)."""
        found = self.type_of(graph, name)
        if graph.nodes[name].shares:
            return False
        if isinstance(found, Graph):
            inner = self._within(graph, name)
            return any(inner.has_weights(found, n) for n in found.nodes)
        return found is None or found.weights is not Node.weights

    # Whether it fits ----------------------------------------------------------------------------

    def link_fault(self, graph: Graph, source: Ref, to: Ref) -> str:
        """Why a link does not fit its ports, or ""."""
        if to.node not in graph.nodes:
            return f"no node {to.node!r} to link to{near(to.node, graph.nodes)}"
        if source.node not in graph.nodes and source.node not in graph.inputs:
            known = [*graph.nodes, *graph.inputs]
            return f"no node {source.node!r} to link from{near(source.node, known)}"
        inputs = self.inputs(graph, to.node)
        if inputs is None:
            return f"{to.node} is of the unknown type {type_name(graph, to.node)}; change its type"
        if to.port not in inputs:
            return f"{to.node} has no input {to.port!r}{near(to.port, inputs)}"
        port, given = inputs[to.port], self.output(graph, source)
        if source.node not in graph.nodes:
            others = self._kinds_fed(graph, source.node, but=to) | {port.kind}
            if source.port or not set.intersection(*(set(ACCEPTS[k]) for k in others)):
                return f"nothing fits both {to} and what {source} already feeds; add another input"
            return ""
        if given is None:
            outputs = self.outputs(graph, source.node)
            if outputs is None:
                kind = type_name(graph, source.node)
                return f"{source.node} is of the unknown type {kind}; change its type"
            if not source.port and outputs:
                return f"{source.node} has several outputs; say which: {', '.join(outputs)}"
            return f"{source.node} has no output {source.port!r}{near(source.port, outputs)}"
        if given.kind not in ACCEPTS[port.kind]:
            takes = " or ".join(ACCEPTS[port.kind])
            return f"{to} takes {takes}, and {source} gives {given.kind}; link it elsewhere"
        return ""

    def faults(self, graph: Graph, at: str = "") -> Iterator[str]:
        """Why the graph or a group in it does not hold together: links, shares, loops, groups."""
        for name, entry in graph.nodes.items():
            owner = graph.owner(name)
            if entry.shares and (owner not in graph.nodes or graph.nodes[owner].shares):
                yield f"{at}{name} shares {entry.shares}, which leads to no module; choose a node"
            group = self.type_of(graph, name)
            for key in entry.params if isinstance(group, Graph) else ():
                if isinstance(group, Graph) and key not in group.params:
                    kind = type_name(graph, name)
                    yield f"{at}{name} sets {key!r}, which {kind} does not have; reset it"
        for to, source in graph.links.items():
            for ref in refs(source):
                if fault := self.link_fault(graph, ref, to):
                    yield at + fault
        for port, ref in graph.outputs.items():
            if self.output(graph, ref) is None:
                yield f"{at}output {port!r} comes from {ref}, which is no output; choose another"
        before: dict[str, set[str]] = {}
        for to, source in graph.links.items():
            before.setdefault(to.node, set()).update(r.node for r in refs(source))
        if loop := _loop(before):
            yield f"{at}the links close a loop: {' → '.join(loop)}; remove one of them"
        inner = self.inside(graph)
        bodies = {**inner.groups}
        uses = {g: {type_name(b, n) for n in b.nodes} & set(bodies) for g, b in bodies.items()}
        if graph.groups and (loop := _loop(uses)):
            yield f"{at}a group contains itself: {' → '.join(loop)}; take it out"
        else:
            for name, body in graph.groups.items():
                yield from inner.faults(body, f"{at}in {name}: ")

    def _within(self, graph: Graph, name: str) -> Scope:
        """The scope of the body of node `name`, without the group itself: it cannot recur."""
        kind, inner = type_name(graph, name), self.inside(graph)
        return Scope(self.library, {k: g for k, g in inner.groups.items() if k != kind})

    def _kinds_fed(self, body: Graph, port: str, but: Ref | None = None) -> set[str]:
        kinds: set[str] = set()
        for to in body.consumers(port):
            taken = (self.inputs(body, to.node) or {}).get(to.port)
            if taken and to != but:
                kinds.add(taken.kind)
        return kinds


def type_name(graph: Graph, name: str) -> str:
    """The name of a node's type (its owner's), with a `$name` replaced; "" when there is none."""
    entry = graph.nodes.get(graph.owner(name), Entry())
    given = entry.type
    return str(graph.params.get(given.name, given) if isinstance(given, Reference) else given)


def route(graph: Graph, start: str, goal: str) -> list[str]:
    """The shortest way along links from one node to another, both named; [] when there is none."""
    feeds: dict[str, list[str]] = {}
    for to, source in graph.links.items():
        for ref in refs(source):
            feeds.setdefault(ref.node, []).append(to.node)
    came, queue = {start: ""}, deque([start])
    while queue and goal not in came:
        for name in feeds.get(here := queue.popleft(), ()):
            if name not in came:
                came[name] = here
                queue.append(name)
    way = [goal] if goal in came else []
    while way and came[way[-1]]:
        way.append(came[way[-1]])
    return way[::-1]


def _loop(before: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []
