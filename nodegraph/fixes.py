"""Repairs that one click applies: found beside a problem, sent as JSON, made by an edit.

A fix says what to `do`, and in which `group` (none: in the file's own graph):

    {"do": "insert", "type": "Flatten", "on": "digits.x"}
    {"do": "set", "node": "adam", "param": "lr", "value": 0.0}
    {"do": "rename", "node": "fc1", "param": "width", "to": "features"}    a misspelt parameter
    {"do": "retype", "node": "fc1", "to": "Linear"}                        a misspelt type
    {"do": "link", "on": "digits.x", "from": "features"}                   a misspelt source
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import edits, wiring
from .graph import Graph, Ref, refs
from .names import EditError
from .problem import Problem
from .scope import Scope

Fix = dict[str, Any]

INSERT = re.compile(r"put ([A-Z]\w*)(?:,.*| or .*)? between")
PORT = re.compile(r"(\w+) expects ")
MEANT = re.compile(r"did you mean '(\w+)'\?")
BOUND = re.compile(r"expects (?:at least (?P<low>\S+)|at most (?P<high>\S+)), not (?P<got>\S+)")
RANGE = re.compile(r"expects (?P<low>\S+) to (?P<high>\S+), not (?P<got>\S+)")


def fix_for(problem: Problem, graph: Graph, scope: Scope) -> Fix | None:
    """What would repair a problem of `graph`, or None when a person must decide."""
    where, group = problem.where, {}
    if where[:1] == ("groups",) and len(where) > 2:
        group = {"group": where[1]}
        body = graph.groups.get(where[1])
        if body is None or where[2:3] == ("groups",):
            return None
        where, scope, graph = where[2:], scope.inside(graph), body
    if len(where) < 2 or where[0] != "nodes" or where[1] not in graph.nodes:
        return None
    found = _node_fix(problem, where[1], where[2:], graph, scope)
    return {**found, **group} if found else None


def _node_fix(
    problem: Problem, node: str, place: tuple[str, ...], graph: Graph, scope: Scope
) -> Fix | None:
    says = f"{problem.text}; {problem.cure}"
    if between := INSERT.search(problem.cure):
        ports = place[1:2] if place[:1] == ("in",) else tuple(PORT.findall(problem.text)[:1])
        to = Ref(node, *ports)
        # With several links into one port, which of them does not fit is not told.
        if ports and isinstance(graph.links.get(to), Ref) and between[1] in scope.library:
            return {"do": "insert", "type": between[1], "on": str(to)}
        return None
    meant = MEANT.search(says)
    if place[:1] == ("in",) and len(place) > 1 and meant:
        source = graph.links.get(Ref(node, place[1]))
        if isinstance(source, Ref) and "does not exist" in says and meant[1] in graph.nodes:
            return {"do": "link", "on": str(Ref(node, place[1])), "from": meant[1]}
        return None
    if place == ("type",) and meant:
        return {"do": "retype", "node": node, "to": meant[1]}
    if len(place) == 1 and place[0] in graph.nodes[node].params:
        if meant and "has no parameter" in says:
            return {"do": "rename", "node": node, "param": place[0], "to": meant[1]}
        return _into_range(says, node, place[0], scope, graph)
    return None


def _into_range(says: str, node: str, key: str, scope: Scope, graph: Graph) -> Fix | None:
    """The nearest value that a setting takes."""
    setting = (scope.settings(graph, node) or {}).get(key)
    found = RANGE.search(says) or BOUND.search(says)
    value = graph.nodes[node].params[key]
    if not setting or not found or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    near = min(max(value, setting.min), setting.max)
    try:
        value = setting.coerce(type(value)(near))
    except (ValueError, OverflowError):
        return None
    return {"do": "set", "node": node, "param": key, "value": value}


def label(fix: Mapping[str, Any]) -> str:
    """What the button and the step of the history say."""
    match fix.get("do"):
        case "insert":
            return f"Insert {fix['type']} on {fix['on']}"
        case "set":
            return f"Set {fix['node']}.{fix['param']} to {fix['value']}"
        case "rename":
            return f"Rename {fix['node']}.{fix['param']} to {fix['to']}"
        case "retype":
            return f"Make {fix['node']} a {fix['to']}"
        case "link":
            return f"Link {fix['from']} to {fix['on']}"
    return "Fix"


def apply(graph: Graph, fix: Mapping[str, Any], scope: Scope) -> Graph:
    """`graph` with a fix applied. Raises EditError when it fits the graph no more."""
    try:
        match fix.get("do"):
            case "insert":
                return wiring.insert(graph, fix["type"], Ref.parse(fix["on"]), scope)
            case "set":
                return edits.set_param(graph, fix["node"], fix["param"], fix["value"], scope)
            case "rename":
                return _renamed(graph, fix["node"], fix["param"], fix["to"], scope)
            case "retype":
                return _retyped(graph, fix["node"], fix["to"], scope)
            case "link":
                return _linked(graph, Ref.parse(fix["on"]), fix["from"], scope)
    except KeyError as missing:
        raise EditError(f"the fix names {missing}, which is no more; look at the graph") from None
    raise EditError(f"no such fix: {fix.get('do')!r}; follow the text of the problem")


def _renamed(graph: Graph, node: str, old: str, new: str, scope: Scope) -> Graph:
    entry = graph.nodes[node]
    value = entry.params[old]
    kept = {k: v for k, v in entry.params.items() if k != old}
    graph = graph.with_(nodes={**graph.nodes, node: replace(entry, params=kept)})
    return edits.set_param(graph, node, new, value, scope)


def _retyped(graph: Graph, node: str, kind: str, scope: Scope) -> Graph:
    if scope.named(graph, kind) is None:
        raise EditError(f"there is no node type {kind!r}; choose another")
    entry = replace(graph.nodes[node], type=kind)
    return graph.with_(nodes={**graph.nodes, node: entry})


def _linked(graph: Graph, to: Ref, source: str, scope: Scope) -> Graph:
    ports = [r.port for r in refs(graph.links.get(to, ()))]
    graph = edits.disconnect(graph, to)
    found = Ref(source, *ports[:1])
    if scope.link_fault(graph, found, to):
        found = wiring.best_output(graph, source, to, scope)
    return edits.connect(graph, found, to, scope)
