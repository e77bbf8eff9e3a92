"""Nodes become a group, and a group's instance becomes nodes again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import layout
from .graph import Entry, Graph, Ref, Reference, Source, is_frozen, refs, substitute
from .layout import OUT
from .names import (
    EditError,
    drop,
    fresh,
    like,
    references,
    relist,
    rename_all,
    snake,
    taken,
    valid,
)
from .node import Metric, View
from .scope import Scope, route, type_name


def inline(graph: Graph, name: str, called: Callable[[str, str], str], scope: Scope) -> Graph:
    """`graph` with the group instance `name`, and every further call of it, replaced by nodes.

    `called(instance, inner)` names the nodes. Those of a further call become further calls of the
    first's, so sharing survives; `$name` becomes the value that the instance gives to it.
    """
    owner = graph.owner(name)
    body = scope.type_of(graph, owner)
    if not isinstance(body, Graph):
        raise EditError(f"{name} is not a group; choose a node whose type is one")
    if body.groups:
        declared = ", ".join(body.groups)
        raise EditError(
            f"{name} declares {declared} inside; declare it beside the other groups first"
        )
    calls = [n for n in graph.nodes if graph.owner(n) == owner]
    values = {**body.params, **graph.nodes[owner].params}

    def settled(entry: Entry, frozen: bool | Reference) -> Entry:
        kept = {k: substitute(v, values) for k, v in entry.params.items()}
        frozen = is_frozen(entry, values) or frozen
        given = {k: substitute(getattr(entry, k), values) for k in ("type", "weights")}
        return replace(entry, params=kept, frozen=frozen, **given)

    def outer(call: str, port: str) -> Iterable[Ref]:
        """What flows into a port of an instance, in the new graph."""
        for ref in refs(graph.links.get(Ref(call, port), ())):
            yield from resolved(ref)

    def inner(call: str, ref: Ref) -> Iterable[Ref]:
        """What a source inside an instance is called in the new graph."""
        if ref.node in body.nodes:
            return (Ref(called(call, ref.node), ref.port),)
        return outer(call, ref.node)

    def resolved(ref: Ref) -> Iterable[Ref]:
        if ref.node not in calls:
            return (ref,)
        port = ref.port or next(iter(body.outputs), "")
        return inner(ref.node, body.outputs[port]) if port in body.outputs else ()

    def joined(links: Iterable[tuple[Ref, Source, Iterable[Ref]]]) -> dict[Ref, Source]:
        return {to: like(was, found) for to, was, new in links if (found := tuple(new))}

    frozen = graph.nodes[owner].frozen
    bare = Graph({n: settled(e, frozen) for n, e in body.nodes.items()}, params=graph.params)
    bare = rename_all(bare, {n: called(owner, n) for n in bare.nodes}, scope.inside(graph))
    nodes: dict[str, Entry] = {}
    for n, entry in graph.nodes.items():
        if n == owner:
            nodes |= bare.nodes
        elif n in calls:
            nodes |= {
                called(n, i): Entry(shares=called(owner, body.owner(i)), frozen=entry.frozen)
                for i in body.nodes
            }
        else:
            nodes[n] = entry
    links = joined(
        (to, s, (new for r in refs(s) for new in resolved(r)))
        for to, s in graph.links.items()
        if to.node not in calls
    ) | joined(
        (Ref(called(call, to.node), to.port), s, (new for r in refs(s) for new in inner(call, r)))
        for call in calls
        for to, s in body.links.items()
    )
    outputs = {p: found[0] for p, r in graph.outputs.items() if (found := [*resolved(r)])}
    trained = [n for n in body.nodes if scope.inside(graph).has_weights(body, n)] or [*body.nodes]
    over = {call: [called(owner, n) for n in trained] for call in calls}
    places = layout.without(graph.layout, calls)
    for call in calls:
        at = position(graph, call) or centre(body, body.nodes)
        inside = {n: called(call, n) for n in body.nodes}
        moved = layout.renamed(_shifted(body, at), inside)
        places = layout.merged(places, moved)
    only = {
        call: [ref.node for ref in resolved(Ref(call))][: len(body.outputs) == 1] for call in calls
    }
    train = relist(graph, only, scope).train  # a stage names what gives the group's only output
    return relist(graph.with_(nodes=nodes), over, scope).with_(
        links=links,
        train=train,
        outputs=outputs,
        layout=places,
    )


def flat(graph: Graph, scope: Scope) -> Graph:
    """`graph` without groups: `conv1` in the instance `features` is called `features.conv1`."""
    while inside := [n for n in graph.nodes if isinstance(scope.type_of(graph, n), Graph)]:
        graph = inline(graph, inside[0], "{}.{}".format, scope)
    return graph


def ungroup(graph: Graph, name: str, scope: Scope) -> Graph:
    """`graph` with an instance of a group, and its further calls, as plain nodes.

    A group that nothing uses any more goes too. Raises EditError also where an output of the group
    is one of its inputs, and what flows into that does not fit what takes the output.
    """
    owner = graph.owner(name)
    body = scope.type_of(graph, owner) if name in graph.nodes else None
    if body and graph.nodes[owner].weights:
        raise EditError(f"{owner} takes its weights from a file as a whole; clear `weights` first")
    calls = [n for n in graph.nodes if graph.owner(n) == owner]
    used, names = taken(graph) - {*calls}, {}
    for call in calls:
        for n in body.nodes if isinstance(body, Graph) else ():
            names[call, n] = fresh(n, used)
            used.add(names[call, n])
    kind = graph.nodes[owner].type if owner in graph.nodes else ""
    apart = inline(graph, name, lambda *at: names[at], scope)
    for to in (to for to, s in graph.links.items() if apart.links.get(to, s) != s):
        was, now = ([scope.link_fault(g, r, to) for r in refs(g.links[to])] for g in (graph, apart))
        if any(now) and not any(was):
            raise EditError(f"without {kind}, {next(filter(None, now))}")
    left = {k: g for k, g in apart.groups.items() if k != kind or _names_type(apart, str(kind))}
    return apart.with_(groups=left)


def group(graph: Graph, names: Collection[str], scope: Scope, called: str = "Group") -> Graph:
    """`graph` with the nodes `names` as a group `called` so, and one instance of it.

    Its ports follow from the links that are cut, and what ends inside is an output too; `$name`
    inside becomes a parameter of the group. Raises EditError when links, shares, `over` or a stage
    would be cut beyond repair.
    """
    chosen = [n for n in graph.nodes if n in names]
    if not chosen or len(chosen) < len(set(names)):
        raise EditError("nothing to group here; choose nodes of this graph")
    kinds = {*scope.library, *scope.library.renamed, *scope.groups, *graph.groups}
    called = valid(called if called != "Group" else fresh(called, kinds), kinds, "group")
    _refuse_trained_parts(graph, chosen, scope)
    _refuse_cuts(graph, chosen)

    instance = fresh(snake(called), taken(graph))
    inputs: dict[Ref, str] = {}  # what flows in, by the name of its port
    shapes: dict[str, str] = {}
    axes: dict[tuple[str, str], str] = {}  # of an inner node, renamed: no two nodes share an axis
    for to, ref in ((to, r) for to, s in graph.links.items() if to.node in chosen for r in refs(s)):
        if ref.node not in chosen and inputs.get(ref) is None:
            inputs[ref] = fresh(to.port, {*chosen, *inputs.values()})
            port = (scope.inputs(graph, to.node) or {}).get(to.port)
            shapes[inputs[ref]] = _own_axes(port.shape if port else "...", to.node, axes)
    outputs: dict[Ref, str] = {}
    cut = [r for to, s in graph.links.items() if to.node not in chosen for r in refs(s)]
    for ref in [*cut, *graph.outputs.values(), *_ends(graph, chosen, scope)]:
        if ref.node in chosen and ref not in outputs:
            outputs[ref] = fresh(ref.port or ref.node, outputs.values())

    def inside(ref: Ref) -> Ref:
        return ref if ref.node in chosen else Ref(inputs[ref])

    def outside(ref: Ref) -> Ref:
        return ref if ref.node not in chosen else Ref(instance, "" if single else outputs[ref])

    single = len(outputs) == 1
    nodes = {n: graph.nodes[n] for n in chosen}
    params = set().union(*map(references, nodes.values()))
    where = centre(graph, chosen)
    body = Graph(
        nodes,
        {to: like(s, map(inside, refs(s))) for to, s in graph.links.items() if to.node in nodes},
        params={p: v for p, v in graph.params.items() if p in params},
        inputs=shapes,
        outputs={port: ref for ref, port in outputs.items()},
        layout=layout.only(graph.layout, chosen),
    )
    entry = Entry(called, {p: Reference(p) for p in body.params})
    links: dict[Ref, Source] = {
        to: like(s, map(outside, refs(s))) for to, s in graph.links.items() if to.node not in chosen
    }
    rest = relist(graph.with_(outputs={}), {n: [instance] for n in chosen}, scope)
    rest = drop(rest, chosen, scope)
    listed = {n: e for n, e in graph.nodes.items() if n not in chosen or n == chosen[0]} | dict(
        rest.nodes
    )
    return rest.with_(
        nodes={instance if n in chosen else n: e for n, e in listed.items()} | {instance: entry},
        links=links | {Ref(instance, port): ref for ref, port in inputs.items()},
        groups={**graph.groups, called: body},
        outputs={port: outside(ref) for port, ref in graph.outputs.items()},
        layout={**rest.layout, **({instance: where} if where else {})},
    )


def _ends(graph: Graph, chosen: Sequence[str], scope: Scope) -> Iterator[Ref]:
    """The outputs of nodes that nothing computes with; metrics and views only look on."""

    def looks_on(name: str) -> bool:
        return scope.is_a(graph, name, Metric, View)

    used = {r.node for to, s in graph.links.items() if not looks_on(to.node) for r in refs(s)}
    for name in chosen:
        if name not in used and not looks_on(name):
            ports = scope.outputs(graph, name) or {}
            yield from (Ref(name, port if len(ports) > 1 else "") for port in ports)


def _names_type(graph: Graph, kind: str) -> bool:
    """Whether a node, or a value that could be passed to one, names the type `kind`."""
    values = [*graph.params.values(), *(v for p in graph.presets.values() for v in p.values())]
    for entry in graph.nodes.values():
        values += [entry.type, *entry.params.values()]
    return kind in values or any(_names_type(body, kind) for body in graph.groups.values())


def position(graph: Graph, name: str) -> list[int] | None:
    """Where a node lies, or None."""
    at = graph.layout.get(name)
    return [int(at[0]), int(at[1])] if at is not None and layout.is_position(at) else None


def centre(graph: Graph, names: Iterable[str]) -> list[int] | None:
    """The middle of some nodes' positions, or None when none of them has one."""
    at = [xy for n in names if (xy := position(graph, n))]
    return [round(sum(axis) / len(at)) for axis in zip(*at, strict=True)] if at else None


def _shifted(body: Graph, to: Sequence[int] | None) -> dict[str, Any]:
    """The layout of the nodes of `body`, moved so that `to` is their middle."""
    found = layout.only(body.layout, body.nodes, layout.frames(body.layout))
    middle = centre(body, body.nodes)
    if to is None or middle is None:
        return found
    return layout.shifted(found, (to[0] - middle[0], to[1] - middle[1]))


def _own_axes(shape: str, node: str, axes: dict[tuple[str, str], str]) -> str:
    """`shape` with its axes named apart from those of other nodes in `axes`, which grows."""
    for axis in shape.split():
        if axis != "..." and not axis.isdigit() and (node, axis) not in axes:
            axes[node, axis] = fresh(axis, axes.values())
    return " ".join(axes.get((node, axis), axis) for axis in shape.split())


def _refuse_trained_parts(graph: Graph, chosen: Sequence[str], scope: Scope) -> None:
    """Raise EditError where an update outside trains a part of what becomes one node, or one
    inside trains what stays outside."""
    weighted = {n for n in chosen if scope.has_weights(graph, n)}
    for name, entry in graph.nodes.items():
        for key in scope.node_lists(graph, entry):
            value = substitute(entry.params[key], graph.params)
            listed = {graph.owner(n) for n in ([value] if isinstance(value, str) else value)}
            inner, outer = listed & {*chosen}, listed - {*chosen}
            if name in chosen:
                if outer:
                    raise EditError(f"{name} trains {min(outer)}, outside; leave {name} out")
            elif inner and weighted - inner:
                other = min(weighted - inner)
                raise EditError(f"{name} trains {min(inner)}, not {other}; group them apart")
            elif inner and references(entry.params[key]):
                raise EditError(f"{name} lists {min(inner)} by $name; write the names out first")


def _refuse_cuts(graph: Graph, chosen: Sequence[str]) -> None:
    """Raise EditError where a share or a stage would be cut, or a path leaves and comes back."""
    for name, entry in graph.nodes.items():
        if entry.shares and (name in chosen) != (entry.shares in chosen):
            raise EditError(
                f"{name} is a further call of {entry.shares}; group both, or make it independent"
            )
    for stage in graph.train:
        for listed in (*stage.run, *stage.watch):
            if (name := substitute(listed, graph.params)) in chosen:
                raise EditError(f"stage {stage.name!r} names {name}; leave it outside the group")
    ends = [(r.node, to.node) for to, source in graph.links.items() for r in refs(source)]
    after = _reached(ends, chosen)
    before = _reached([(b, a) for a, b in ends], chosen)
    for name in graph.nodes:
        if name in after and name in before and name not in chosen:
            out = next(way for n in chosen if (way := route(graph, n, name)))
            back = next(way for n in chosen if (way := route(graph, name, n)))
            path = " → ".join(out + back[1:])
            raise EditError(f"the path {path} leaves the group and comes back; choose {name} too")


def _reached(ends: Sequence[tuple[str, str]], start: Iterable[str]) -> set[str]:
    feeds: dict[str, list[str]] = {}
    for a, b in ends:
        feeds.setdefault(a, []).append(b)
    found, todo = set(start), list(start)
    while todo:
        new = [n for n in feeds.get(todo.pop(), ()) if n not in found]
        found |= {*new}
        todo += new
    return found


def rename_port(graph: Graph, group: str, old: str, new: str, scope: Scope) -> Graph:
    """An input (`x`) or output (`out:y`) of a group by another name, in all that use the group."""
    body, end = graph.groups[group], old.startswith(OUT)
    was = old.removeprefix(OUT)
    if new == was:
        return graph
    if was not in (body.outputs if end else body.inputs):
        raise EditError(f"the group {group} has no port {was!r}")
    if end:
        valid(new, body.outputs, "output")
        names = {OUT + was: OUT + new}
        outputs = {new if k == was else k: r for k, r in body.outputs.items()}
        body = body.with_(outputs=outputs, layout=layout.renamed(body.layout, names))
    else:
        valid(new, taken(body), "input")
        inputs = {new if k == was else k: shape for k, shape in body.inputs.items()}
        body = rename_all(body, {was: new}, scope).with_(inputs=inputs)
    after = graph.with_(groups={**graph.groups, group: body})

    def ends(user: Graph) -> Graph:
        """A graph with the links to and from its instances of the group."""
        ours = {n for n in user.nodes if type_name(user, n) == group}

        def moved(ref: Ref, here: bool) -> Ref:
            return Ref(ref.node, new) if here and ref.node in ours and ref.port == was else ref

        return user.with_(
            links={
                moved(to, not end): like(s, [moved(r, end) for r in refs(s)])
                for to, s in user.links.items()
            },
            outputs={k: moved(r, end) for k, r in user.outputs.items()},
        )

    groups = {name: ends(g) for name, g in after.groups.items()}
    return ends(after).with_(groups=groups)


def rename_group(graph: Graph, old: str, new: str, scope: Scope) -> Graph:
    """A group by another name, wherever it is the type of a node."""
    if old == new:
        return graph
    if old not in graph.groups:
        raise EditError(f"there is no group {old!r}")
    valid(new, {*scope.library, *scope.library.renamed, *scope.groups, *graph.groups}, "group")

    def kind(value: Any) -> Any:
        return new if value == old else value

    def renamed(user: Graph) -> Graph:
        entries = user.nodes.values()
        chosen = {e.type.name for e in entries if isinstance(e.type, Reference)}

        def values(params: Mapping[str, Any]) -> dict[str, Any]:
            return {k: kind(v) if k in chosen else v for k, v in params.items()}

        return user.with_(
            nodes={n: replace(e, type=kind(e.type)) for n, e in user.nodes.items()},
            params=values(user.params),
            presets={name: values(preset) for name, preset in user.presets.items()},
        )

    return renamed(graph).with_(groups={kind(k): renamed(g) for k, g in graph.groups.items()})
