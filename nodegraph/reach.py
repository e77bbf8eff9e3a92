"""Where a loss's gradient arrives, with which sign, and whose weights it moves.

    found = reach(graph, scope, "adapt")
    found.nodes["features"]  # Reached("moves", "±"): it learns with one loss, against the other

What a person sees as an overlay is what the planner does with the graph as it runs, past what is
bypassed. Of an update, these hold:

- the gradient flows from its losses against the links, and only where some weight of its `over`
  lies upstream: what the planner evaluates with a gradient (`Evaluation.gradient`);
- it ends at a node that stops it, and comes out of a group at the inputs that its way through the
  inside leads to, from those outputs alone at which it arrives;
- reversals turn its sign; nothing else does, a minus in a formula neither;
- weights of `over` that it arrives at move, unless they are frozen; frozen ones pass it on. A group
  moves if any weight in it does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .edits import passed_by
from .graph import Graph, GraphError, Ref, Reference, is_frozen, is_part, refs, substitute
from .infer import dissolve
from .node import Metric, Node, Optimiser, Output, View
from .scope import Scope, type_name

Signs = frozenset[int]  # of {+1, −1}: both where ways with and without a reversal meet
WORDS = {frozenset({1}): "+", frozenset({-1}): "−", frozenset({1, -1}): "±"}
PLUS: Signs = frozenset({1})
NONE: Signs = frozenset()
HOW = ("beyond", "reach", "moves")  # from the least to the most

Link = tuple[Ref, Ref]  # an input, and the output that flows into it
Arrived = dict[str, dict[str, Signs]]  # of a node the outputs at which the gradient arrives


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
    links: Mapping[Link, str] = field(default_factory=dict)


def reach(graph: Graph, scope: Scope, name: str) -> Reach:
    """What the gradient of an update, or of any other node, reaches. `name` may be a `$param`, or
    a node in a group that holds sources or optimisers, as `group.node`.

    A node that is no update moves the weights of those updates that it is minimised by.
    """
    try:
        name = str(substitute(Reference(name[1:]) if name[:1] == "$" else name, graph.params))
    except GraphError:
        return Reach()
    past = passed_by(graph, scope)
    run = _running(past, scope)
    if not any(is_part(n, name) for n in run.nodes):
        beyond = Reached("beyond")
        return Reach(dict.fromkeys(graph.nodes, beyond) if name in graph.nodes else {})
    return _shown(graph, past, *_passes(past, run, scope, name))


def moved(graph: Graph, scope: Scope, update: str) -> tuple[list[str], list[str]]:
    """Of the nodes that an update is `over`: those whose weights it moves, and the frozen ones."""
    past = passed_by(graph, scope)
    run = _running(past, scope)
    if update not in run.nodes:
        return [], []
    over = [*_over(run, update)]
    nodes, _ = _passes(past, run, scope, update)
    moving = {run.owner(n) for n, (how, _) in nodes.items() if how == "moves"}
    frozen = [n for n in over if _holds(run, scope, n) and not _holds(run, scope, n, free=True)]
    return [n for n in over if run.owner(n) in moving], frozen


def turn(graph: Graph, scope: Scope, to: Ref) -> str:
    """What happens to the gradient that flows back out of an input: it is "reversed" or "detached",
    or "" where it stays as it is."""
    declared = scope.type_of(graph, to.node)
    if not isinstance(declared, type) or issubclass(declared, (Metric, View)):
        return ""
    if graph.nodes[to.node].bypassed:
        return ""
    if declared.reverses_gradient and to.port == next(iter(declared.inputs)):
        return "reversed"
    return "detached" if declared.stops_gradient else ""


# The graph as it runs ----------------------------------------------------------------------------


def _running(past: Graph, scope: Scope) -> Graph:
    """A graph without bypassed nodes as the planner has it: groups with sources dissolved."""
    try:
        return passed_by(dissolve(past, scope.library), scope)
    except GraphError:  # a group that can't be dissolved: its problem is told elsewhere
        return past


def _passes(
    past: Graph, run: Graph, scope: Scope, name: str
) -> tuple[dict[str, tuple[str, Signs]], dict[Link, Signs]]:
    """What happens to the nodes of the graph that runs, and on which of its links."""
    parts = [n for n in run.nodes if is_part(n, name)]
    loss = Ref(name, "loss")
    if scope.is_a(run, name, Optimiser):
        updates, ends = [name], refs(run.links.get(loss, ()))
    else:
        updates = [*_minimising(run, scope, parts)]
        ends = tuple(_ends(past if name in past.nodes else run, scope, name, parts))
    over = {run.owner(n) for u in updates for n in _over(run, u)}
    moving = {owner for owner in over if _holds(run, scope, owner, free=True)}
    below = _below(run, moving)
    starts = {ref: PLUS for ref in ends if ref.node in below}
    arrived, inputs = _flow(run, scope, starts, below)
    links = {(loss, ref): PLUS for ref in starts if name in updates}
    for to, signs in inputs.items():
        links |= {(to, ref): signs for ref in refs(run.links[to]) if ref.node in below}
    nodes: dict[str, tuple[str, Signs]] = dict.fromkeys(updates, ("reach", NONE))
    for n in arrived.keys() & run.nodes.keys():
        nodes[n] = ("moves" if run.owner(n) in moving else "reach", _all(arrived[n]))
    return nodes, links


def _shown(
    graph: Graph, past: Graph, nodes: Mapping[str, tuple[str, Signs]],
    links: Mapping[Link, Signs],
) -> Reach:  # fmt: skip
    """What was found in the graph that runs, on the nodes and links of the graph as it is."""

    def head(name: str) -> str:
        return name if name in past.nodes else name.partition(".")[0]

    how: dict[str, str] = dict.fromkeys(graph.nodes, "beyond")
    signs: dict[str, Signs] = {}
    for part, (what, sign) in nodes.items():
        name = head(part)
        how[name] = max(how.get(name, "beyond"), what, key=HOW.index)
        signs[name] = signs.get(name, NONE) | sign
    between: dict[tuple[str, str], list[tuple[Link, Signs]]] = {}
    for link, sign in links.items():
        between.setdefault((head(link[0].node), head(link[1].node)), []).append((link, sign))
    found: dict[Link, Signs] = {}
    for to, source in past.links.items():
        for ref in refs(source):
            there = [
                sign for (end, start), sign in between.get((to.node, ref.node), ())
                if (end == to or end.node != to.node) and (start == ref or start.node != ref.node)
            ]  # fmt: skip
            if not there:
                continue
            sign = frozenset().union(*there)
            for link in _ways(graph, to, ref):
                found[link] = found.get(link, NONE) | sign
                name = link[1].node
                if name in graph.nodes and graph.nodes[name].bypassed and sign:
                    how[name], signs[name] = "reach", signs.get(name, NONE) | sign
    return Reach(
        {n: Reached(how[n], WORDS.get(signs.get(n, NONE), "")) for n in how},
        {link: WORDS.get(sign, "0") for link, sign in found.items()},
    )


def _ways(graph: Graph, to: Ref, source: Ref) -> list[Link]:
    """The links from an output to an input, through the bypassed nodes between them."""
    for ref in refs(graph.links.get(to, ())):
        if ref == source:
            return [(to, ref)]
        if ref.node in graph.nodes and graph.nodes[ref.node].bypassed:
            for port in graph.inputs_of(ref.node):
                if way := _ways(graph, Ref(ref.node, port), source):
                    return [(to, ref), *way]
    return []


# What an update moves ----------------------------------------------------------------------------


def _over(graph: Graph, update: str) -> Iterator[str]:
    """The nodes that an update is over, as far as they are there."""
    try:
        found = substitute(graph.entry(update).params.get("over", ()), graph.params)
    except (GraphError, KeyError):
        return
    for name in found if isinstance(found, (list, tuple)) else (found,):
        if isinstance(name, str) and name in graph.nodes and graph.owner(name) in graph.nodes:
            yield name


def _minimising(graph: Graph, scope: Scope, names: Iterable[str]) -> Iterator[str]:
    """The updates that a gradient comes to some nodes from."""
    found = set(names)
    after, todo = _consumers(graph), [*found]
    while todo:
        for to in after.get(todo.pop(), ()):
            if to.node in found or _declared(graph, scope, to.node).stops_gradient:
                continue
            if not scope.is_a(graph, to.node, Optimiser):
                todo.append(to.node)
            elif to.port == "loss":
                yield to.node
            else:
                continue
            found.add(to.node)


def _below(graph: Graph, owners: Collection[str]) -> set[str]:
    """The nodes that weights of some owners lie in or upstream of, as the planner counts them."""
    found = {n for n in graph.nodes if graph.owner(n) in owners}
    after, todo = _consumers(graph), [*found]
    while todo:
        new = {to.node for to in after.get(todo.pop(), ())} - found
        found |= new
        todo += new
    return found


def _consumers(graph: Graph) -> dict[str, list[Ref]]:
    """The inputs that each node flows into."""
    found: dict[str, list[Ref]] = {}
    for to, source in graph.links.items():
        for ref in refs(source):
            found.setdefault(ref.node, []).append(to)
    return found


def _holds(graph: Graph, scope: Scope, name: str, free: bool = False) -> bool:
    """Whether a node's module has weights (`free`: weights that are not frozen)."""
    if free and is_frozen(graph.entry(name), graph.params):
        return False
    if inside := _inside(graph, scope, name):
        body, inner = inside
        return any(_holds(body, inner, n, free) for n in body.nodes)
    return scope.has_weights(graph, graph.owner(name))


def _inside(graph: Graph, scope: Scope, name: str) -> tuple[Graph, Scope] | None:
    """The body of a group's instance as it runs, with the values that it is given, and its scope,
    without the group itself: it cannot recur."""
    body, kind = scope.type_of(graph, name), type_name(graph, name)
    if not isinstance(body, Graph):
        return None
    groups = {k: g for k, g in scope.inside(graph).groups.items() if k != kind}
    inner = Scope(scope.library, groups)
    try:
        given = {k: substitute(v, graph.params) for k, v in graph.entry(name).params.items()}
    except GraphError:
        given = {}
    return passed_by(body.with_(params={**body.params, **given}), inner), inner


def _declared(graph: Graph, scope: Scope, name: str) -> type[Node]:
    """A node's declaration; a group's and that of an unknown type are plain ones."""
    found = scope.type_of(graph, name)
    return found if isinstance(found, type) else Node


# The gradient ------------------------------------------------------------------------------------


def _ends(graph: Graph, scope: Scope, name: str, parts: Collection[str]) -> Iterator[Ref]:
    """The outputs of a node that a gradient starts from: those that are losses, or all of them."""
    ports = scope.outputs(graph, name) or {"": Output()}
    losses = [p for p, output in ports.items() if output.kind == "loss"]
    body = scope.type_of(graph, name)
    for port in losses or ports:
        if name in parts or not isinstance(body, Graph):
            yield Ref(name, port)
        elif (ref := body.outputs.get(port)) and ref.node in body.nodes:  # a dissolved group's
            yield Ref(f"{name}.{ref.node}", ref.port)


def _all(arrived: Mapping[str, Signs]) -> Signs:
    return NONE.union(*arrived.values())


def _flow(
    graph: Graph, scope: Scope, starts: Mapping[Ref, Signs], below: Collection[str] | None = None
) -> tuple[Arrived, dict[Ref, Signs]]:
    """Follow the gradient from some outputs against the links, to nodes of `below` alone: where it
    arrives, and its signs at the inputs that it comes to; none where it stops."""
    links: dict[str, dict[str, tuple[Ref, ...]]] = {}
    for to, source in graph.links.items():
        links.setdefault(to.node, {})[to.port] = refs(source)
    arrived: Arrived = {}
    inputs: dict[Ref, Signs] = {}
    todo = list(starts.items())
    while todo:
        ref, signs = todo.pop()
        body = scope.type_of(graph, ref.node) if ref.node in graph.nodes else None
        port = ref.port or next(iter(body.outputs), "") if isinstance(body, Graph) else ""
        there = arrived.get(ref.node, {})
        if ref.node in arrived and signs <= there.get(port, NONE):
            continue
        arrived[ref.node] = {**there, port: there.get(port, NONE) | signs}
        if ref.node not in graph.nodes:  # an input of the group around
            continue
        ports = scope.inputs(graph, ref.node) or {}
        linked = links.get(ref.node, {})
        back = _back(graph, scope, ref.node, arrived[ref.node], linked)
        for port, sources in linked.items():
            taken = ports.get(port)
            sources = tuple(r for r in sources if below is None or r.node in below)
            if not sources or (taken and taken.kind == "labels"):
                continue
            signs = back.get(port, NONE)
            inputs[Ref(ref.node, port)] = signs
            todo += [(r, signs) for r in sources if signs]
    return arrived, inputs


def _back(
    graph: Graph, scope: Scope, name: str, arrived: Mapping[str, Signs], linked: Iterable[str]
) -> Mapping[str, Signs]:
    """The signs of the gradient at a node's linked inputs, where some arrive at its outputs."""
    if inside := _inside(graph, scope, name):
        body, inner = inside
        starts = {body.outputs[p]: signs for p, signs in arrived.items() if p in body.outputs}
        there, _ = _flow(body, inner, starts)
        return {port: _all(there.get(port, {})) for port in body.inputs}
    declared, signs = _declared(graph, scope, name), _all(arrived)
    if declared.stops_gradient:
        return {}
    if declared.reverses_gradient:  # its other input, the strength, gets none
        return {next(iter(declared.inputs)): frozenset(-s for s in signs)}
    return dict.fromkeys(linked, signs)
