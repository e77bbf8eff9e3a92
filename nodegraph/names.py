"""Names of nodes: valid and fresh ones, and every place in a graph that refers to one."""

from __future__ import annotations

import keyword
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import layout
from .graph import Entry, Graph, GraphError, Ref, Reference, Source, refs
from .schema import is_name
from .scope import Scope


class EditError(GraphError):
    """An edit that would break the graph: what, why, and what to do, in one sentence."""


def snake(type_name: str) -> str:
    """A node's name from its type's: `GradientReversal` gives `gradient_reversal`."""
    words = type_name.replace("ReLU", "Relu")
    return re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", words).lower()


def fresh(wanted: str, taken: Container[str]) -> str:
    """`wanted`, or the first of wanted_2, wanted_3, … that is not `taken`."""
    if wanted not in taken and not keyword.iskeyword(wanted):
        return wanted
    stem, number = re.sub(r"_\d+$", "", wanted), 2
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"


def taken(graph: Graph) -> set[str]:
    """The names that a new node of `graph` cannot have."""
    return {*graph.nodes, *graph.inputs, *graph.layout, *layout.WORDS}


def valid(name: str, used: Container[str], what: str = "node") -> str:
    """`name`. Raises EditError when it is not a word, or used."""
    if not is_name(name):
        raise EditError(
            f"{name!r} cannot name a {what}: use letters a–z, digits and _, no digit first, and no "
            "word of Python"
        )
    if name in used:
        raise EditError(f"{name!r} is taken; choose another name for this {what}")
    return name


def rename_all(graph: Graph, names: Mapping[str, str], scope: Scope) -> Graph:
    """`graph` with nodes called by new names in every place that refers to them.

    The places: nodes, `shares`, both ends of links, outputs of a group, layout, and `relist`'s.
    """

    def name(old: str) -> str:
        return names.get(old, old)

    def moved(ref: Ref) -> Ref:
        return Ref(name(ref.node), ref.port)

    graph = relist(graph, {old: (new,) for old, new in names.items()}, scope)
    return graph.with_(
        nodes={name(n): replace(e, shares=name(e.shares)) for n, e in graph.nodes.items()},
        links={moved(to): like(s, map(moved, refs(s))) for to, s in graph.links.items()},
        outputs={port: moved(ref) for port, ref in graph.outputs.items()},
        layout=layout.renamed(graph.layout, names),
    )


def drop(graph: Graph, names: Container[str], scope: Scope) -> Graph:
    """`graph` without the nodes `names` and whatever refers to them, in the same places."""
    gone = [n for n in graph.nodes if n in names]
    graph = relist(graph, dict.fromkeys(gone, ()), scope)
    kept = {to: [r for r in refs(s) if r.node not in names] for to, s in graph.links.items()}
    return graph.with_(
        nodes={n: e for n, e in graph.nodes.items() if n not in names},
        links={
            to: like(graph.links[to], left)
            for to, left in kept.items()
            if left and to.node not in names
        },
        outputs={port: ref for port, ref in graph.outputs.items() if ref.node not in names},
        layout=layout.without(graph.layout, gone),
    )


def relist(graph: Graph, become: Mapping[str, Sequence[str]], scope: Scope) -> Graph:
    """`graph` with each node of `become` replaced by others in every *list* of node names.

    The lists: parameters of type Nodes (an optimiser's `over`), the stages' `run` and `watch`, and
    the graph's parameters and presets where `$name` stands in one of these.
    """
    standing: set[str] = set()

    def mapped(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            names: list[Any] = []
            for v in value:
                names.extend([v] if isinstance(v, Reference) else become.get(v, [v]))
            standing.update(references(value))
            return tuple(names)
        if isinstance(value, Reference):
            standing.add(value.name)
        elif isinstance(value, str) and len(others := become.get(value, [value])) == 1:
            return others[0]
        return value

    nodes = {}
    for name, entry in graph.nodes.items():
        lists = {key: mapped(entry.params[key]) for key in scope.node_lists(graph, entry)}
        if any(value != entry.params[key] for key, value in lists.items()):
            once = {k: _once(v) for k, v in lists.items()}
            params = {k: v for k, v in {**entry.params, **once}.items() if v or k not in once}
            entry = replace(entry, params=params)
        nodes[name] = entry
    train = tuple(replace(s, run=mapped(s.run), watch=mapped(s.watch)) for s in graph.train)

    def settings(params: Mapping[str, Any]) -> dict[str, Any]:
        return {k: mapped(v) if k in standing else v for k, v in params.items()}

    return graph.with_(
        nodes=nodes,
        train=train,
        params=settings(graph.params),
        presets={name: settings(preset) for name, preset in graph.presets.items()},
    )


def _once(value: Any) -> Any:
    return tuple(dict.fromkeys(value)) if isinstance(value, tuple) else value


def like(source: Source, outputs: Iterable[Ref]) -> Source:
    """`outputs` as a link of the same form as `source`: a tuple where the input takes many."""
    found = tuple(dict.fromkeys(outputs))
    return found if isinstance(source, tuple) else found[0]


def references(value: Any) -> set[str]:
    """The names of the parameters that a value, or an entry, refers to by `$name`."""
    if isinstance(value, Reference):
        return {value.name}
    if isinstance(value, Entry):
        return references((value.type, value.weights, value.frozen, *value.params.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*map(references, value))
    return set()
