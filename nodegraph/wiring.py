"""Edits that one gesture makes of several: a node added with its link, or put on a link.

Each is a function Graph → Graph like those of `edits`, and refuses in words by EditError.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import MISSING

from . import edits, layout
from .edits import EditError
from .graph import Graph, Ref, Reference, refs
from .layout import FRAME, OUT
from .names import fresh
from .node import Nodes
from .scope import Scope


def add_linked(
    graph: Graph, kind: str, scope: Scope, at: Sequence[float] | None = None,
    link_from: Ref | None = None, link_to: Ref | None = None,
) -> Graph:  # fmt: skip
    """A new node, fed by `link_from` and feeding `link_to` where they are given."""
    graph = edits.add(graph, kind, scope, at=at)
    name = list(graph.nodes)[-1]
    if link_from is not None:
        graph = edits.connect(graph, link_from, best_input(graph, link_from, name, scope), scope)
    if link_to is not None:
        graph = edits.connect(graph, best_output(graph, name, link_to, scope), link_to, scope)
    return graph


def best_input(graph: Graph, source: Ref, name: str, scope: Scope) -> Ref:
    """The input of a node that a link from `source` should end in: a free one that must be linked,
    then any that takes many, then any. Raises EditError when none fits."""
    ports = scope.inputs(graph, name) or {}
    fits = [p for p in ports if not scope.link_fault(graph, source, Ref(name, p))]
    if not fits:
        faults = [scope.link_fault(graph, source, Ref(name, p)) for p in ports]
        raise EditError(faults[0] if faults else f"{name} has no input; link it elsewhere")

    def rank(port: str) -> tuple[bool, bool]:
        linked = Ref(name, port) in graph.links
        return linked and not ports[port].many, not ports[port].needed

    return Ref(name, min(fits, key=rank))


def best_output(graph: Graph, name: str, to: Ref, scope: Scope) -> Ref:
    """The first output of a node that fits an input. Raises EditError when none does."""
    ports = scope.outputs(graph, name) or {}
    faults = {p: scope.link_fault(graph, Ref(name, p), to) for p in ports}
    for port, fault in faults.items():
        if not fault:
            return Ref(name, port)
    raise EditError(next(iter(faults.values()), f"{name} has no output; link it elsewhere"))


def relink(graph: Graph, source: Ref, to: Ref, scope: Scope, instead: Ref | None = None) -> Graph:
    """A link, in place of the one into `instead` when an end was dragged. Without a port, `to` is
    the best one of its node."""
    if instead is not None and instead != to and instead in graph.links:
        found = [r for r in refs(graph.links[instead]) if r.node == source.node]
        graph = edits.disconnect(graph, instead, found[0] if found else None)
    if not to.port:
        to = best_input(graph, source, to.node, scope)
    return edits.connect(graph, source, to, scope)


def cut(graph: Graph, links: Sequence[tuple[Ref, Ref]]) -> Graph:
    """Without some links, each (input, output); those that are gone already are passed over."""
    for to, source in links:
        if source in refs(graph.links.get(to, ())):
            graph = edits.disconnect(graph, to, source)
    return graph


def insert(
    graph: Graph, what: str, to: Ref, scope: Scope, source: Ref | None = None,
    at: Sequence[float] | None = None,
) -> Graph:  # fmt: skip
    """A node, or a new one of the type `what`, on the link into an input (from `source`, where
    many flow in). Without a place a new one stands between the two ends."""
    if to.node.startswith(OUT) and graph.outputs.get(to.node.removeprefix(OUT)) == source:
        return _insert_before_output(graph, what, to.node.removeprefix(OUT), scope, at)
    if to not in graph.links:
        raise EditError(f"nothing flows into {to}; choose a link that is there")
    flows = refs(graph.links[to])
    source = flows[0] if source is None else source
    if source not in flows:
        raise EditError(f"{source} does not flow into {to}; choose a link that is there")
    name = what
    if what not in graph.nodes:
        ends = [layout_at(graph, source.node), layout_at(graph, to.node)]
        if at is None and all(ends):
            at = [sum(axis) / 2 for axis in zip(*(e for e in ends if e), strict=True)]
        graph = edits.add(graph, what, scope, at=at)
        name = list(graph.nodes)[-1]
    elif name in (source.node, to.node):
        raise EditError(f"{name} is an end of this link; choose another one")
    index = flows.index(source)
    graph = edits.disconnect(graph, to, source)
    graph = edits.connect(graph, source, best_input(graph, source, name, scope), scope)
    graph = edits.connect(graph, best_output(graph, name, to, scope), to, scope)
    linked = graph.links[to]
    if isinstance(linked, tuple) and refs(linked)[-1].node == name:  # where the old link was
        order = [*linked[:-1]]
        order.insert(index, linked[-1])
        graph = graph.with_(links={**graph.links, to: tuple(order)})
    return graph


def _insert_before_output(
    graph: Graph, what: str, port: str, scope: Scope, at: Sequence[float] | None
) -> Graph:
    """A node, or a new one, between an output of the group and what gives it."""
    source, name = graph.outputs[port], what
    if what not in graph.nodes:
        graph = edits.add(graph, what, scope, at=at)
        name = list(graph.nodes)[-1]
    elif name == source.node:
        raise EditError(f"{name} is an end of this link; choose another one")
    graph = edits.connect(graph, source, best_input(graph, source, name, scope), scope)
    given = scope.outputs(graph, name) or {}
    if not given:
        raise EditError(f"{name} gives nothing; choose a node with an output")
    return edits.set_output(graph, port, Ref(name, "" if len(given) == 1 else next(iter(given))),
                            scope)  # fmt: skip


def layout_at(graph: Graph, name: str) -> Sequence[float] | None:
    """The position of a node, or None."""
    at = graph.layout.get(name)
    return at if layout.is_position(at) else None


def delete(graph: Graph, names: Collection[str], scope: Scope, reconnect: bool) -> Graph:
    """Without some nodes, frames, and ports of the group."""
    nodes = [n for n in graph.nodes if n in names]
    graph = edits.remove(graph, nodes, scope, reconnect=reconnect)
    for port in [p for p in graph.inputs if p in names]:
        graph = edits.set_input(graph, port, None)
    for port in [p for p in graph.outputs if OUT + p in names]:
        graph = edits.set_output(graph, port, None, scope)
    framed = [f for f in layout.frames(graph.layout) if FRAME + f in names]
    return layout.remove_frames(graph, framed) if framed else graph


def ungroup(graph: Graph, names: Collection[str], scope: Scope) -> Graph:
    """Some instances of groups as plain nodes."""
    chosen = [n for n in names if isinstance(scope.type_of(graph, n), Graph)]
    if not chosen:
        raise EditError("no group is selected; choose a node whose type is one")
    for name in chosen:
        if name in graph.nodes:  # a further call went with the first
            graph = edits.ungroup(graph, name, scope)
    return graph


def reset(graph: Graph, name: str, key: str, scope: Scope) -> Graph:
    """A parameter at its default. Raises EditError when it has none."""
    setting = (scope.settings(graph, name) or {}).get(key)
    if setting is not None and setting.default is MISSING:
        raise EditError(f"{name}.{key} has no default; set a value")
    return edits.reset_param(graph, name, key)


def expose(graph: Graph, name: str, key: str, scope: Scope, called: str) -> Graph:
    """A node's setting as the parameter `called` of the graph or group, with the value it has.

    A parameter of that name that is there already is used if it has the same value (or the setting
    none yet); else the new one is called `called_2` or so. No value changes.
    """
    setting = (scope.settings(graph, name) or {}).get(key)
    if setting is None:
        raise EditError(f"{name} has no parameter {key!r} to expose")
    value = graph.entry(name).params.get(key, setting.default)
    if value == Reference(called):
        return graph
    if isinstance(value, Reference):
        value = graph.params.get(value.name)
    if called in graph.params and value is not MISSING:
        there = graph.params[called]
        if (type(there), there) != (type(value), value):
            called = fresh(called, graph.params)
    if setting.type is Nodes and called not in graph.params:
        raise EditError(f"{name}.{key} names nodes of this graph; it cannot be set from outside")
    if called not in graph.params:
        value = None if value is MISSING else value
        if value is None and not (graph.inputs or graph.outputs):
            raise EditError(f"{name}.{key} has no value yet; set one first")
        graph = edits.set_graph_param(graph, called, value, scope)
    return edits.set_param(graph, name, key, Reference(called), scope)


def colour(graph: Graph, names: Collection[str], value: str | None) -> Graph:
    """Nodes and frames (`frame:ID`) in a colour, or None for the one of their kind."""
    graph = layout.set_colour(graph, names, value)
    for name in layout.frames(graph.layout):
        if FRAME + name in names:
            graph = layout.set_frame(graph, name, colour=value)
    return graph
