"""Which node is which from edit to edit: a name can be given to another node, an origin can't.

A node has a place: its name, or in a group `Group/name`. Its origin is a number that goes with it
when it is renamed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from .graph import Graph
from .names import fresh, rename_all
from .scope import Scope, type_name

Origins = Mapping[str, int]  # by place
Names = Mapping[str, str]  # new places by old ones, of what has another

_numbers = itertools.count(1)


def place(group: str, name: str) -> str:
    """What a node of a group ("" for the whole graph) is called here."""
    return f"{group}/{name}" if group else name


def places(graph: Graph) -> Iterator[str]:
    """Those of all nodes of a graph and of the groups in it."""
    for group, body in {"": graph, **graph.groups}.items():
        yield from (place(group, name) for name in body.nodes)


def followed(before: Origins, graph: Graph, names: Names) -> Origins:
    """The origins after an edit, which renamed `names`: what was not there before has a new one."""
    was = {new: old for old, new in names.items()}
    now = [*places(graph)]
    if not names and before.keys() == {*now}:
        return before  # most edits: a long history has few of these
    return {at: before.get(was.get(at, at)) or next(_numbers) for at in now}


def renames(before: Origins, after: Origins) -> dict[str, str]:
    """What has another name now."""
    now = {origin: at for at, origin in after.items()}
    return {at: now[o] for at, o in before.items() if o in now and now[o] != at}


def renamed(graph: Graph, names: Names, scope: Scope) -> Graph:
    """A graph with new names. Where one is that of a node without a new name, which is gone by
    then, that one makes room."""
    bodies = {"": graph, **graph.groups}
    for group, body in bodies.items():
        given = {n: now for n in body.nodes if (now := _name(names, place(group, n), n)) != n}
        for taken in {*given.values()} & ({*body.nodes} - {*given}):
            given[taken] = fresh(f"{taken}_2", [*body.nodes, *given.values()])
        if given:
            bodies[group] = rename_all(body, given, scope.inside(graph) if group else scope)
    root = bodies.pop("")
    return root.with_(groups=bodies) if bodies else root


class Former:
    """What the nodes of a graph were called before `names`, by dotted names of groups' inner ones;
    "" for one whose name was that of another, so it is new."""

    def __init__(self, graph: Graph, names: Names) -> None:
        self.graph = graph
        self.was = {new: old for old, new in names.items()}
        self.gone = {*names} - {*self.was}

    def __call__(self, dotted: str) -> str:
        """What a node was called before."""
        graph, group, found = self.graph, "", []
        for name in dotted.split("."):
            at = place(group, name)
            if at in self.gone:
                return ""
            found.append(_name(self.was, at, name))
            group = type_name(graph, name)
            graph = self.graph.groups.get(group, graph)
        return ".".join(found)


def _name(names: Names, at: str, name: str) -> str:
    """The name in the place that a place has become; the same without one."""
    return names[at].rpartition("/")[2] if at in names else name
