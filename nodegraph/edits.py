"""Every edit of a graph, as a function Graph → Graph. What is refused raises EditError.

    scope = Scope(library)
    graph = add(graph, "Conv2d", scope, params={"channels": 32})
    graph = connect(graph, Ref("source", "image"), Ref("conv2d", "x"), scope)

A new node is the last of `graph.nodes`. `within` makes the same edits in the body of a group.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, replace
from typing import Any

from . import layout
from .graph import META, Entry, Graph, Ref, Reference, Source, Stage, refs, substitute
from .groups import group, ungroup
from .library import near
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
from .node import Node, Nodes, Optimiser, axis_names
from .scope import Scope, route, type_name

__all__ = [
    "EditError", "add", "add_stage", "bypass", "connect", "copy", "disconnect", "freeze", "group",
    "make_independent", "move", "passed_by", "paste", "remove", "remove_stage", "rename",
    "reset_param", "set_graph_param", "set_input", "set_meta", "set_output", "set_param",
    "set_preset", "set_stage", "share", "ungroup", "within",
]  # fmt: skip

# Nodes -------------------------------------------------------------------------------------------


def add(
    graph: Graph,
    kind: str,
    scope: Scope,
    *,
    params: Mapping[str, Any] | None = None,
    name: str = "",
    at: Sequence[float] | None = None,
) -> Graph:
    """A node of a type or group, called after it when no `name` is given, at a position."""
    if scope.named(graph, kind) is None:
        known = [*scope.library, *scope.groups, *graph.groups]
        raise EditError(f"there is no node type {kind!r}{near(kind, known)}")
    name = valid(name, taken(graph)) if name else fresh(snake(kind), taken(graph))
    graph = graph.with_(nodes={**graph.nodes, name: Entry(scope.library.current(kind))})
    for key, value in (params or {}).items():
        graph = set_param(graph, name, key, value, scope)
    return move(graph, {name: at}) if at is not None else graph


def remove(graph: Graph, names: Collection[str], scope: Scope, *, reconnect: bool = False) -> Graph:
    """Without some nodes, their links, and their names in lists.

    `reconnect` joins what flowed into a node's first input that fits to what its output fed. The
    weights of a removed module pass to its first further call.
    """
    gone = [_known(graph, n) for n in names]
    if reconnect:
        for name in gone:
            graph = _bridged(graph, name, scope)
    for name in gone:
        calls = [n for n, e in graph.nodes.items() if graph.owner(n) == name and n not in gone]
        if calls and not graph.nodes[name].shares:
            heir = {n: replace(graph.nodes[n], shares=calls[0]) for n in calls}
            heir[calls[0]] = _called_as(graph, calls[0], graph.nodes[name])
            graph = relist(graph, {name: calls[:1]}, scope)
            graph = graph.with_(nodes={**graph.nodes, **heir})
    for name, entry in graph.nodes.items():
        if entry.shares in gone and name not in gone:  # of a call in the middle of a chain
            entry = replace(entry, shares=graph.owner(name))
            graph = graph.with_(nodes={**graph.nodes, name: entry})
    return drop(graph, gone, scope)


def rename(graph: Graph, old: str, new: str, scope: Scope) -> Graph:
    """A node by another name, everywhere."""
    if old == new:
        return graph
    valid(new, taken(graph))
    return rename_all(graph, {_known(graph, old): new}, scope)


def share(graph: Graph, name: str, module: str, scope: Scope) -> Graph:
    """`name` as a further call of the module of another node: same weights, its own links."""
    owner = graph.owner(_known(graph, module))
    if graph.owner(_known(graph, name)) == owner:
        if name != owner:
            return graph
        raise EditError(f"{name} holds the weights that {module} uses; choose the other way round")
    kinds = [type_name(graph, n) for n in (name, module)]
    if kinds[0] != kinds[1]:
        raise EditError(
            f"{name} is a {kinds[0]} and {module} a {kinds[1]}; only equal types share weights"
        )
    moved = [n for n in graph.nodes if graph.owner(n) == graph.owner(name)]
    if name != graph.owner(name):  # only this call moves to the other module
        moved = [name]
    calls = {n: _called_as(graph, n, Entry(shares=owner)) for n in moved}
    graph = relist(graph, {n: [owner] for n in calls}, scope)
    return graph.with_(nodes={**graph.nodes, **calls})


def make_independent(graph: Graph, name: str) -> Graph:
    """A further call as a module with weights of its own, of the same type and parameters."""
    owner = graph.owner(_known(graph, name))
    if owner == name:
        return graph
    others = {n: replace(e, shares=owner) for n, e in graph.nodes.items() if e.shares == name}
    mine = _called_as(graph, name, graph.nodes[owner])
    return graph.with_(nodes={**graph.nodes, **others, name: mine})


def freeze(graph: Graph, name: str, frozen: bool = True) -> Graph:
    """A node whose weights no update trains, or (`frozen=False`) may train again."""
    owner = graph.owner(_known(graph, name))
    return graph.with_(nodes={**graph.nodes, owner: replace(graph.nodes[owner], frozen=frozen)})


def set_weights(graph: Graph, name: str, weights: str | Reference) -> Graph:
    """A node whose weights start from a file, a run's folder or a published name; "": drawn."""
    owner = graph.owner(_known(graph, name))
    if isinstance(weights, Reference) and weights.name not in graph.params:
        raise EditError(f"{name} refers to {weights}, which is not declared; declare it first")
    entry = replace(graph.nodes[owner], weights=weights)
    return graph.with_(nodes={**graph.nodes, owner: entry})


def bypass(graph: Graph, names: Collection[str], scope: Scope, on: bool = True) -> Graph:
    """Calls that the graph runs without, as `passed_by` has it, or (`on=False`) with again."""
    chosen = {n: replace(graph.nodes[_known(graph, n)], bypassed=on) for n in names}
    after = graph.with_(nodes={**graph.nodes, **chosen})
    run, before = passed_by(after, scope), passed_by(graph, scope)
    for name, entry in run.nodes.items() if on else ():
        for key in scope.node_lists(before, before.nodes.get(name, entry)):
            if key not in entry.params:
                raise EditError(f"{name} trains nothing else; bypass {name} too, or neither")
    return after


def passed_by(graph: Graph, scope: Scope) -> Graph:
    """What `graph` runs as: without its bypassed calls, what flowed into them flows past them."""
    gone = [n for n, e in graph.nodes.items() if e.bypassed]
    return remove(graph, gone, scope, reconnect=True) if gone else graph


def move(graph: Graph, positions: Mapping[str, Sequence[float]]) -> Graph:
    """Some nodes (or inputs of this group) at other positions."""
    for name in positions:
        if name not in graph.inputs:
            _known(graph, name)
    at = {name: [round(x), round(y)] for name, (x, y) in positions.items()}
    return graph.with_(layout={**graph.layout, **at})


# Links -------------------------------------------------------------------------------------------


def connect(graph: Graph, source: Ref, to: Ref, scope: Scope) -> Graph:
    """A link from an output to an input: one more where the port takes many, else the only one."""
    inputs = scope.inputs(graph, to.node) or {}
    if to.port == "" and len(inputs) == 1:
        to = Ref(to.node, *inputs)
    if fault := scope.link_fault(graph, source, to):
        raise EditError(fault)
    if source.node in graph.nodes and len(scope.outputs(graph, source.node) or ()) == 1:
        source = Ref(source.node)
    if way := route(graph, to.node, source.node):
        loop = " → ".join([source.node, *way])
        raise EditError(f"this link would close the loop {loop}; remove a link of it first")
    link: Source = source
    if inputs[to.port].many:
        link = tuple(dict.fromkeys((*refs(graph.links.get(to, ())), source)))
    if graph.links.get(to) == link:
        return graph
    graph = graph.with_(links={**graph.links, to: link})
    calls = [n for n in graph.nodes if graph.owner(n) == graph.owner(to.node)]
    return reset_param(graph, to.node, to.port) if len(calls) == 1 else graph


def disconnect(graph: Graph, to: Ref, source: Ref | None = None) -> Graph:
    """Without the link that ends in an input, or without one of its `many`."""
    if to not in graph.links:
        raise EditError(f"nothing flows into {to}; choose a link that is there")
    left = tuple(r for r in refs(graph.links[to]) if source is not None and r != source)
    links = {k: s for k, s in graph.links.items() if k != to}
    return graph.with_(
        links=links if not left else {**graph.links, to: like(graph.links[to], left)}
    )


# Parameters --------------------------------------------------------------------------------------


def set_param(graph: Graph, name: str, key: str, value: Any, scope: Scope) -> Graph:
    """A parameter, or an unlinked input's value, set; a default is left out of the graph.

    On a further call it is set on the module. `Reference("p")` sets it to the graph's `$p`.
    """
    owner = graph.owner(_known(graph, name))
    settings = scope.settings(graph, owner)
    if settings is None:
        kind = type_name(graph, owner)
        raise EditError(f"{name} is of the unknown type {kind}; change its type")
    if key not in settings:
        raise EditError(f"{name} has no parameter {key!r}{near(key, settings)}")
    setting, calls = settings[key], [n for n in graph.nodes if graph.owner(n) == owner]
    if all(Ref(n, key) in graph.links for n in calls):
        raise EditError(f"{name}.{key} is linked; remove the link to set it here")
    coerced = _settled(graph, f"{name}.{key}", setting.coerce, value)
    if setting.type is Nodes:
        for n in coerced:
            _known(graph, n)
    if not references(value):
        value = coerced
        if type(value) is type(setting.default) and value == setting.default:
            return reset_param(graph, owner, key)
    entry = graph.nodes[owner]
    entry = replace(entry, params={**entry.params, key: value})
    return graph.with_(nodes={**graph.nodes, owner: entry})


def reset_param(graph: Graph, name: str, key: str) -> Graph:
    """A parameter at its default."""
    owner = graph.owner(_known(graph, name))
    entry = graph.nodes[owner]
    if key not in entry.params:
        return graph
    entry = replace(entry, params={k: v for k, v in entry.params.items() if k != key})
    return graph.with_(nodes={**graph.nodes, owner: entry})


def set_graph_param(graph: Graph, name: str, value: Any, scope: Scope) -> Graph:
    """A parameter of the graph or group declared or set; `MISSING` of dataclasses removes it."""
    used = [n for n, e in graph.nodes.items() if name in references(e)]
    used += [s.name for s in graph.train if name in references((s.steps, s.watch_every))]
    used += [s.name for s in graph.train if name in references((*s.run, *s.watch))]
    if value is MISSING:
        if used:
            raise EditError(f"${name} is used by {used[0]}; set another value there first")
        presets = {
            k: {p: v for p, v in preset.items() if p != name} for k, preset in graph.presets.items()
        }
        left = {k: v for k, v in graph.params.items() if k != name}
        return graph.with_(params=left, presets=presets)
    after = graph.with_(params={**graph.params, valid(name, (), "parameter"): value})
    for node in used:
        for key, given in after.nodes[node].params.items() if node in after.nodes else ():
            setting = (scope.settings(after, node) or {}).get(key)
            if setting and name in references(given):
                _settled(after, f"${name}: {node}.{key}", setting.coerce, given)
    return _held(graph, after, scope)


def set_preset(graph: Graph, name: str, values: Mapping[str, Any] | None, scope: Scope) -> Graph:
    """A preset declared or changed: values by the names of the graph's parameters; None removes it.

    Raises EditError for a name that is no parameter, or a value that does not fit where it is used.
    """
    if values is None:
        if name not in graph.presets:
            raise EditError(f"there is no preset {name!r}{near(name, graph.presets)}")
        left = {k: v for k, v in graph.presets.items() if k != name}
        return graph.with_(presets=left)
    for key, value in values.items():
        if key not in graph.params:
            raise EditError(f"preset {name}: {key!r} is no parameter{near(key, graph.params)}")
        set_graph_param(graph, key, value, scope)  # refuses what does not fit
    return graph.with_(presets={**graph.presets, valid(name, (), "preset"): dict(values)})


# The graph's own words ---------------------------------------------------------------------------


def set_meta(graph: Graph, key: str, text: str) -> Graph:
    """The title, or another word about the graph; an empty text removes it."""
    if key not in META:
        raise EditError(f"a graph has no {key!r}{near(key, META)}")
    meta = {k: v for k, v in graph.meta.items() if k != key}
    return graph.with_(meta={**meta, key: text} if text else meta)


def add_stage(graph: Graph, stage: Stage, scope: Scope, index: int | None = None) -> Graph:
    """One more stage of training, last or before the one at `index`."""
    _check_stage(graph, stage, scope, [s.name for s in graph.train])
    train = list(graph.train)
    train.insert(len(train) if index is None else index, stage)
    return graph.with_(train=tuple(train))


def set_stage(graph: Graph, name: str, scope: Scope, /, **changes: Any) -> Graph:
    """A stage with some fields changed."""
    at = _stage(graph, name)
    stage = replace(graph.train[at], **changes)
    _check_stage(graph, stage, scope, [s.name for s in graph.train if s.name != name])
    return graph.with_(train=(*graph.train[:at], stage, *graph.train[at + 1 :]))


def remove_stage(graph: Graph, name: str) -> Graph:
    """Without a stage."""
    at = _stage(graph, name)
    return graph.with_(train=graph.train[:at] + graph.train[at + 1 :])


def set_input(graph: Graph, name: str, shape: str | None) -> Graph:
    """An input of the group that `graph` is, with its shape; None removes it and its links."""
    if shape is None:
        links = {to: [r for r in refs(s) if r != Ref(name)] for to, s in graph.links.items()}
        return graph.with_(
            inputs={k: v for k, v in graph.inputs.items() if k != name},
            links={to: like(graph.links[to], left) for to, left in links.items() if left},
            outputs={k: r for k, r in graph.outputs.items() if r != Ref(name)},
        )
    try:
        axis_names(shape)
    except ValueError as error:
        raise EditError(str(error)) from None
    if name not in graph.inputs:
        valid(name, taken(graph), "input")
    return graph.with_(inputs={**graph.inputs, name: shape})


def set_output(graph: Graph, name: str, source: Ref | None, scope: Scope) -> Graph:
    """An output of the group that `graph` is, with what gives it; None removes it."""
    others = {k: r for k, r in graph.outputs.items() if k != name}
    if source is None:
        return graph.with_(outputs=others)
    if scope.output(graph, source) is None:
        raise EditError(f"{source} is no output of a node here; choose one for {name!r}")
    return graph.with_(outputs={**graph.outputs, valid(name, others, "output"): source})


def within(
    graph: Graph, path: Sequence[str], edit: Callable[[Graph, Scope], Graph], scope: Scope
) -> Graph:
    """`graph` with an edit made in the body of a group: the last of `path`, on the way to it.

    Refused too is what breaks a graph that uses the group: a port that a link there needs. Groups
    that the edit makes in a body are declared in `graph`.
    """
    if not path:
        return edit(graph, scope)
    name = path[-1]
    if name not in graph.groups:
        raise EditError(f"there is no group {name!r}{near(name, graph.groups)}")
    before = graph.groups[name]
    body = edit(before, scope.inside(graph))
    new = {k: g for k, g in body.groups.items() if k not in before.groups}
    body = body.with_(groups={k: g for k, g in body.groups.items() if k not in new})
    after = graph.with_(groups={**graph.groups, name: body, **new})
    try:
        return _held(graph, _ports_named(graph, after, scope, scope), scope)
    except EditError as fault:
        text = str(fault)
        if "has no" in text and ("output" in text or "input" in text):
            raise EditError(f"{text}: it is linked around the group; unlink it there") from None
        raise


# Copies ------------------------------------------------------------------------------------------


def copy(graph: Graph, names: Collection[str], scope: Scope) -> Graph:
    """A fragment to `paste`: some nodes, the links into them, and what else they need.

    A further call whose module stays behind becomes a module of its own.
    """
    chosen = [n for n in graph.nodes if n in {_known(graph, name) for name in names}]
    for name in chosen:
        if graph.owner(name) not in chosen:
            graph = make_independent(graph, name)
    nodes = {n: graph.nodes[n] for n in chosen}
    for name in chosen:
        if nodes[name].shares:
            nodes[name] = replace(nodes[name], shares=graph.owner(name))
    params = set().union(*map(references, nodes.values())) if nodes else set()
    groups: dict[str, Graph] = {}
    visible, todo = scope.inside(graph).groups, [type_name(graph, n) for n in chosen]
    while todo:
        if (kind := todo.pop()) in visible and kind not in groups:
            groups[kind] = visible[kind]
            todo += [type_name(visible[kind], n) for n in visible[kind].nodes]
    return Graph(
        nodes,
        {to: s for to, s in graph.links.items() if to.node in nodes},
        groups=groups,
        params={k: v for k, v in graph.params.items() if k in params},
        layout=layout.only(graph.layout, chosen),
    )


def paste(
    graph: Graph,
    fragment: Graph,
    scope: Scope,
    *,
    offset: tuple[int, int] = (40, 40),
    inbound: bool = True,
) -> Graph:
    """`graph` with the nodes of a fragment under fresh names, moved by `offset`.

    `inbound` links come from the nodes of `graph` that are called as they were, where they fit. Its
    groups and parameters come along when `graph` has none by the name.
    """
    used, names = taken(graph), {}
    for name in fragment.nodes:
        names[name] = fresh(name, used)
        used.add(names[name])
    kinds: dict[str, str] = {}
    around = {**scope.inside(graph).groups}
    for kind, body in fragment.groups.items():
        same = around.get(kind) == body
        kinds[kind] = kind if same else fresh(kind, {*scope.library, *around, *kinds.values()})
    groups = {
        new: _retyped(fragment.groups[old], kinds)
        for old, new in kinds.items()
        if around.get(new) is None
    }
    graph = graph.with_(
        groups={**graph.groups, **groups}, params={**fragment.params, **graph.params}
    )
    new = rename_all(_retyped(fragment, kinds).with_(groups=graph.groups), names, scope)
    lost = {
        n: ()
        for e in new.nodes.values()
        for key in scope.node_lists(new, e)
        for n in substitute(e.params[key], new.params)
        if n not in new.nodes and n not in graph.nodes
    }
    new = relist(new, lost, scope)
    added = layout.only(new.layout, new.nodes, layout.frames(new.layout))
    graph = graph.with_(
        nodes={**graph.nodes, **new.nodes},
        layout=layout.merged(graph.layout, layout.shifted(added, offset)),
    )
    for old, source in fragment.links.items():
        to = Ref(names[old.node], old.port)
        for ref in refs(source):
            ref = Ref(names.get(ref.node, ref.node), ref.port)
            outer = ref.node not in names.values()
            if outer and (not inbound or scope.link_fault(graph, ref, to)):
                continue
            found = (*refs(graph.links.get(to, ())), ref) if isinstance(source, tuple) else ref
            graph = graph.with_(links={**graph.links, to: found})
    return graph


# Shared ------------------------------------------------------------------------------------------


def _known(graph: Graph, name: str) -> str:
    if name not in graph.nodes:
        raise EditError(f"there is no node {name!r}{near(name, graph.nodes)}")
    return name


def _called_as(graph: Graph, name: str, entry: Entry) -> Entry:
    """`entry` for the call `name`, which stays bypassed if it was."""
    return replace(entry, bypassed=graph.nodes[name].bypassed)


def _settled(graph: Graph, where: str, coerce: Callable[[Any], Any], value: Any) -> Any:
    """`value` with its references replaced, as the setting's type. Raises EditError."""
    for name in references(value):
        if name not in graph.params:
            raise EditError(f"{where} refers to ${name}, which is not declared; declare it first")
    try:
        return coerce(substitute(value, graph.params))
    except ValueError as error:
        raise EditError(f"{where} {error}") from None


def _bridged(graph: Graph, name: str, scope: Scope) -> Graph:
    """`graph` with the consumers of `name` fed by its first input that fits them."""
    flows = [r for source in graph.inputs_of(name).values() for r in refs(source)]
    links = dict(graph.links)
    for to in graph.consumers(name):
        fits = [r for r in flows if not scope.link_fault(graph, r, to)]
        if fits:
            source = graph.links[to]
            links[to] = like(source, (fits[0] if r.node == name else r for r in refs(source)))
    outputs = {
        port: flows[0] if ref.node == name and flows else ref for port, ref in graph.outputs.items()
    }
    return graph.with_(links=links, outputs=outputs)


def _retyped(graph: Graph, kinds: Mapping[str, str]) -> Graph:
    """`graph` with its nodes' types under new names."""
    nodes = {
        n: replace(e, type=kinds.get(e.type, e.type)) if isinstance(e.type, str) else e
        for n, e in graph.nodes.items()
    }
    return graph.with_(nodes=nodes)


def _stage(graph: Graph, name: str) -> int:
    names = [s.name for s in graph.train]
    if name not in names:
        raise EditError(f"there is no stage {name!r}{near(name, names)}")
    return names.index(name)


def _check_stage(graph: Graph, stage: Stage, scope: Scope, others: Collection[str]) -> None:
    if stage.name in others or not stage.name:
        raise EditError(f"stage {stage.name!r} needs a name of its own; choose another")
    for given in (stage.steps, stage.watch_every):
        at_least = 1 if given is stage.steps else 0
        steps = _settled(graph, f"stage {stage.name!r}", lambda v: v, given)
        if type(steps) is not int or steps < at_least:
            raise EditError(f"stage {stage.name!r} takes a whole number of steps, not {steps!r}")
    for listed in (*stage.run, *stage.watch):
        _known(graph, _settled(graph, f"stage {stage.name!r}", str, listed))
    for listed in stage.run:
        kind = scope.type_of(graph, substitute(listed, graph.params))
        if isinstance(kind, type) and issubclass(kind, Node) and not issubclass(kind, Optimiser):
            raise EditError(f"{listed} is no update; a stage runs optimisers, it can watch others")


def _held(before: Graph, after: Graph, scope: Scope) -> Graph:
    """`after`, unless it has a fault that `before` has not."""
    known = set(scope.faults(before))
    for fault in scope.faults(after):
        if fault not in known:
            raise EditError(fault)
    return after


def _ports_named(before: Graph, after: Graph, was: Scope, now: Scope) -> Graph:
    """`after`, with a port named in its links just where there are several to choose from."""

    def named(ref: Ref) -> Ref:
        if ref.node not in before.nodes or ref.node not in after.nodes:
            return ref
        ports, new = was.outputs(before, ref.node) or (), now.outputs(after, ref.node) or ()
        if ref.port:
            return Ref(ref.node) if [*new] == [ref.port] else ref
        return Ref(ref.node, *ports) if len(ports) == 1 and len(new) != 1 else ref

    was, now = was.inside(before), now.inside(after)
    return after.with_(
        links={to: like(s, map(named, refs(s))) for to, s in after.links.items()},
        outputs={port: named(ref) for port, ref in after.outputs.items()},
        groups={
            name: _ports_named(before.groups.get(name, body), body, was, now)
            for name, body in after.groups.items()
        },
    )
