"""Where a loss's gradient arrives, with which sign, and whose weights it moves.

    found = reach(graph, scope, "adapt")
    found.nodes["features"]  # Reached("moves", "±"): it learns with one loss, against the other

What a person sees as an overlay is what the planner does: the gradient flows from the losses of an
update against the links, until a node that stops it; a reversal turns its sign; the weights named
in `over` move, if they are not frozen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .graph import Graph, GraphError, Ref, Reference, refs, substitute
from .node import Metric, Node, Optimiser, Schedule, Source, View
from .scope import Scope

Signs = frozenset[int]  # of {+1, −1}: both where ways with and without a reversal meet
WORDS = {frozenset({1}): "+", frozenset({-1}): "−", frozenset({1, -1}): "±"}
PLUS: Signs = frozenset({1})


class Reached(NamedTuple):
    """What happens to a node: "moves" its weights, the gradient passes ("reach"), or "beyond" it;
    and the gradient's sign "+", "−", "±" or ""."""

    how: str
    sign: str = ""


@dataclass(frozen=True)
class Reach:
    """Of every node what happens to it; of the links (input, output) that the gradient passes, its
    sign there; "0" where it stops."""

    nodes: Mapping[str, Reached] = field(default_factory=dict)
    links: Mapping[tuple[Ref, Ref], str] = field(default_factory=dict)


def reach(graph: Graph, scope: Scope, name: str) -> Reach:
    """What the gradient of an update, or of any other node, reaches. `name` may be a `$param`.

    A node that is no update moves the weights of those updates that it is minimised by.
    """
    try:
        name = str(substitute(Reference(name[1:]) if name[:1] == "$" else name, graph.params))
    except GraphError:
        return Reach()
    if name not in graph.nodes:
        return Reach()
    nodes: dict[str, Signs] = {}
    links: dict[tuple[Ref, Ref], Signs] = {}
    if _role(graph, scope, name, Optimiser):
        updates = [name]
        losses = refs(graph.links.get(Ref(name, "loss"), ()))
        links |= {(Ref(name, "loss"), r): PLUS for r in losses}
        starts = {r.node: PLUS for r in losses}
    else:
        after = set(_after(graph, name))
        updates = [n for n in graph.nodes if n in after and _role(graph, scope, n, Optimiser)]
        starts = {name: PLUS}
    _flow(graph, scope, starts, nodes, links)
    moved = {graph.owner(n) for u in updates for n in _over(graph, u) if n in graph.nodes}
    found = {n: Reached("beyond") for n in graph.nodes}
    for node, signs in nodes.items():
        moves = graph.owner(node) in moved and not graph.entry(node).frozen
        found[node] = Reached("moves" if moves else "reach", WORDS.get(signs, ""))
    for update in updates:
        found[update] = Reached("reach")
    return Reach(found, {link: WORDS.get(signs, "0") for link, signs in links.items()})


def turn(graph: Graph, scope: Scope, to: Ref) -> str:
    """What happens to the gradient that flows back out of an input: it is "reversed" or "detached",
    or "" where it stays as it is."""
    declared = scope.type_of(graph, to.node)
    if not isinstance(declared, type) or issubclass(declared, (Metric, View)):
        return ""
    if declared.reverses_gradient and to.port == next(iter(declared.inputs)):
        return "reversed"
    return "detached" if declared.stops_gradient else ""


def _flow(
    graph: Graph, scope: Scope, starts: Mapping[str, Signs], nodes: dict[str, Signs],
    links: dict[tuple[Ref, Ref], Signs],
) -> None:  # fmt: skip
    """Follow the gradient from some nodes against the links, into two tables."""
    todo = list(starts.items())
    while todo:
        name, signs = todo.pop()
        if name in graph.inputs and name not in graph.nodes:
            nodes[name] = nodes.get(name, frozenset()) | signs
            continue
        fresh = signs - nodes.get(name, frozenset())
        if name not in graph.nodes or not fresh or _outside(graph, scope, name):
            continue
        declared = scope.type_of(graph, name)
        nodes[name] = nodes.get(name, frozenset()) | fresh
        inputs = scope.inputs(graph, name) or {}
        for port, source in graph.inputs_of(name).items():
            if port in inputs and inputs[port].kind == "labels":
                continue
            signs_there = _through(graph, scope, declared, port, fresh)
            for ref in refs(source):
                link = (Ref(name, port), ref)
                links[link] = links.get(link, frozenset()) | signs_there
                if signs_there:
                    todo.append((ref.node, signs_there))


def _through(
    graph: Graph, scope: Scope, declared: type[Node] | Graph | None, port: str, signs: Signs
) -> Signs:
    """The signs of the gradient at an input of a node, where some arrive at its outputs."""
    if isinstance(declared, Graph):
        inner: dict[str, Signs] = {}
        starts: dict[str, Signs] = {r.node: signs for r in declared.outputs.values()}
        _flow(declared, scope.inside(graph).inside(declared), starts, inner, {})
        return inner.get(port, frozenset())
    if declared is None:
        return signs
    if declared.stops_gradient:
        return frozenset()
    if declared.reverses_gradient:
        first = next(iter(declared.inputs))  # the strength gets none
        return frozenset(-s for s in signs) if port == first else frozenset()
    return signs


def _outside(graph: Graph, scope: Scope, name: str) -> bool:
    """Whether a node has nothing that a gradient could flow on to."""
    return _role(graph, scope, name, Source) or _role(graph, scope, name, Schedule)


def _role(graph: Graph, scope: Scope, name: str, role: type[Node]) -> bool:
    declared = scope.type_of(graph, name)
    return isinstance(declared, type) and issubclass(declared, role)


def _over(graph: Graph, update: str) -> Iterable[str]:
    try:
        return substitute(graph.entry(update).params.get("over", ()), graph.params) or ()
    except GraphError:
        return ()


def _after(graph: Graph, name: str) -> Iterator[str]:
    """All that a node flows into, near or far."""
    found, todo = {name}, [name]
    while todo:
        for to in graph.consumers(todo.pop()):
            if to.node not in found:
                found.add(to.node)
                todo.append(to.node)
                yield to.node
