"""What is set on the nodes of a graph: brought into its present form, and checked.

Both need the types: those of the library, and the groups of the graph. A node of an unknown type
is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, replace
from itertools import islice
from typing import Any

from .graph import Entry, Graph, GraphError, Ref, Reference, Source, substitute
from .library import Library
from .node import Node, Setting
from .problem import Problem, error, near_miss, short
from .scope import Scope

ENOUGH = 200  # problems to tell of

Type = type[Node] | Graph | None


# The present form --------------------------------------------------------------------------------


def settle(graph: Graph, library: Library, around: Mapping[str, Graph] | None = None) -> Graph:
    """`graph` with former names replaced by present ones, values of their parameters' types (2
    for a float is 2.0), and the only output of a node not named. Groups are seen from `around` too.
    """
    scope = Scope(library, around or {})
    inner = scope.inside(graph).groups
    graph = graph.with_(groups={n: settle(g, library, inner) for n, g in graph.groups.items()})
    inner = scope.inside(graph).groups
    nodes = {}
    for name, entry in graph.nodes.items():
        if isinstance(entry.type, str) and entry.type not in inner:
            entry = replace(entry, type=library.current(entry.type))
        found = scope.named(graph, entry.type)
        if isinstance(found, type):
            entry = replace(entry, params=_settled(entry.params, found.settings))
        nodes[name] = entry
    graph = graph.with_(nodes=nodes)
    only = _only_outputs(graph, scope)

    def bare(ref: Ref) -> Ref:
        return Ref(ref.node) if ref.port and only.get(ref.node) == ref.port else ref

    def source(found: Source) -> Source:
        return bare(found) if isinstance(found, Ref) else tuple(map(bare, found))

    return graph.with_(
        links={to: source(found) for to, found in graph.links.items()},
        outputs={port: bare(ref) for port, ref in graph.outputs.items()},
    )


def _settled(params: Mapping[str, Any], settings: Mapping[str, Setting]) -> dict[str, Any]:
    present = {s.was: name for name, s in settings.items() if s.was and s.was not in settings}
    found = {}
    for name, value in params.items():
        if name in present and present[name] not in params:
            name = present[name]
        if name in settings:
            try:
                value = settings[name].coerce(value)
            except ValueError:
                pass  # kept as it is: `graph_problems` tells
        found[name] = value
    return found


def _only_outputs(graph: Graph, scope: Scope) -> dict[str, str]:
    """The port of each node that has exactly one output."""
    only: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in graph.nodes:
        chain: list[str] = []
        while name not in owners and name in graph.nodes:
            owners[name] = name
            chain.append(name)
            name = graph.nodes[name].shares or name
        owner = owners.get(name, name)
        owners.update(dict.fromkeys(chain, owner))
    for name, owner in owners.items():
        entry = graph.nodes.get(owner)
        if entry is None or isinstance(entry.type, Reference):
            continue
        found = scope.named(graph, entry.type)
        if found is not None and len(found.outputs) == 1:
            only[name] = next(iter(found.outputs))
    return only


# Checks ------------------------------------------------------------------------------------------


def graph_problems(graph: Graph, library: Library) -> list[Problem]:
    """Unknown types and parameters, values that do not fit, at any depth of groups.

    References are replaced by the values that the parameters have now (`choose` sets a preset).
    """
    return list(islice(_problems(graph, Scope(library), ()), ENOUGH))


def _problems(graph: Graph, scope: Scope, where: tuple[str, ...]) -> Iterator[Problem]:
    for preset, values in graph.presets.items():
        for name in values:
            if name not in graph.params:
                text = f"preset {short(preset, 40)} sets {name!r}, which is no parameter"
                yield error(("presets", preset, name), text, near_miss(name, graph.params))
    for name, value in graph.params.items():
        if isinstance(value, Reference):
            text = f"parameter {name!r} refers to {short(str(value), 60)}"
            yield error((*where, "params", name), text, "give it a value (`$$` writes a dollar)")
    groups = scope.inside(graph).groups
    typed: dict[tuple[int, str], Setting] = {}
    for name, entry in graph.nodes.items():
        found = scope.named(graph, entry.type)
        place = (*where, "nodes", name)
        if entry.type and found is None and isinstance(entry.type, str):
            text = f"there is no node type {short(entry.type, 60)!r}"
            yield error((*place, "type"), text, near_miss(entry.type, [*groups, *scope.library]))
        settings: Mapping[str, Setting] | None = None
        if isinstance(found, Graph):
            settings = _Typed(scope.inside(graph), found, typed)
        elif found is not None:
            settings = found.settings
        yield from _entry(entry, found, settings, place, graph.params)
    for name, group in graph.groups.items():
        yield from _problems(group, scope.inside(graph), (*where, "groups", name))


class _Typed(Mapping[str, Setting]):
    """A group's parameters as settings, each typed by its first use when somebody asks."""

    def __init__(self, scope: Scope, body: Graph, known: dict[tuple[int, str], Setting]) -> None:
        self.scope, self.body, self.known = scope, body, known

    def __getitem__(self, name: str) -> Setting:
        key = (id(self.body), name)
        if key not in self.known:
            self.known[key] = self.scope.setting(self.body, name)
        return self.known[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.body.params)

    def __len__(self) -> int:
        return len(self.body.params)


def _entry(
    entry: Entry,
    found: Type,
    settings: Mapping[str, Setting] | None,
    where: tuple[str, ...],
    params: Mapping[str, Any],
) -> Iterator[Problem]:
    """What is wrong with the parameters of one node."""
    called = found.__name__ if isinstance(found, type) else str(entry.type)
    if isinstance(entry.type, Reference):
        if entry.type.name not in params:
            yield _no_parameter(entry.type, params, (*where, "type"))
        elif found is None:
            text = f"{entry.type} is {short(repr(params[entry.type.name]), 60)}, which is no type"
            yield error((*where, "type"), text, "set it to the name of a type or group")
    try:
        file = substitute(entry.weights, params)
        if not isinstance(file, str):
            yield error((*where, "weights"), f"weights is {short(repr(file), 40)}", "name a file")
        if not isinstance(frozen := substitute(entry.frozen, params), bool):
            text = f"frozen is {short(repr(frozen), 40)} ({entry.frozen})"
            yield error((*where, "frozen"), text, "give it true or false")
    except GraphError as wrong:
        yield error(where, short(str(wrong)), "declare it under params")
    for name, value in entry.params.items():
        place = (*where, name)
        if settings is not None and name not in settings:
            shown = short(name, 60)
            text, cure = f"{called} has no parameter {shown!r}", near_miss(name, settings)
            if found is not None and name in found.inputs:
                text, cure = f"{shown} is an input", f"link it: `in: {{{shown}: node}}`"
            yield error(place, text, cure)
            continue
        unknown = [r for r in _references(value) if r.name not in params]
        if unknown:
            yield _no_parameter(unknown[0], params, place)
        elif settings is not None:
            yield from _value(settings[name], value, place, params)
    for name in settings if settings is not None and not entry.shares else ():
        # A group's parameter is typed by a walk through its body: ask only when there is a need.
        if name not in entry.params and settings is not None:
            given = found.params[name] if isinstance(found, Graph) else settings[name].default
            if given is MISSING or (given is None and isinstance(found, Graph)):
                yield error(where, f"{called} needs the parameter {name!r}", f"add `{name}: …`")


def _value(
    setting: Setting, value: Any, where: tuple[str, ...], params: Mapping[str, Any]
) -> Iterator[Problem]:
    """Whether a value, with its references replaced, fits its setting."""
    try:
        real = substitute(value, params)
    except GraphError as wrong:
        yield error(where, short(str(wrong)))
        return
    if real is None:
        if not isinstance(value, Reference):
            yield error(where, f"{setting.name} is empty", "give it a value")
        elif where[0] != "groups":  # there it must be given where the group is used
            yield error(where, f"{setting.name} is empty ({value})", f"give {value.name} a value")
        return
    try:
        setting.coerce(real)
    except ValueError as wrong:
        said = f" ({short(str(value), 40)})" if isinstance(value, Reference) else ""
        yield error(where, f"{setting.name} {short(str(wrong))}{said}")


def _no_parameter(ref: Reference, params: Mapping[str, Any], where: tuple[str, ...]) -> Problem:
    cure = near_miss(ref.name, params) or "declare it under params (`$$` writes a dollar)"
    return error(where, f"{short(str(ref), 60)} is no parameter here", cure)


def _references(value: Any) -> Iterator[Reference]:
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, Mapping):
        for v in value.values():
            yield from _references(v)
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from _references(v)
