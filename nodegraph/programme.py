"""Edits of the training programme: its stages, the updates of each in order, what is watched."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .checks import flatten
from .edits import add_stage, set_stage
from .graph import Graph, Reference, Stage, substitute
from .names import EditError, fresh
from .node import Optimiser
from .scope import Scope

STEPS = 1000  # of a new stage


def add(graph: Graph, scope: Scope, name: str = "", index: int | None = None) -> Graph:
    """A new stage that runs the optimisers which no stage runs yet, else the last one."""
    names = [s.name for s in graph.train]
    ours = [n for n in graph.nodes if scope.is_a(graph, n, Optimiser)]
    if not ours:
        raise EditError("there is no update to run; add an optimiser, like Adam, first")
    used = {n for s in graph.train for n in flatten(substitute(s.run, graph.params))}
    run = [n for n in ours if n not in used] or ours[-1:]
    return add_stage(graph, Stage(name or fresh("stage", names), STEPS, tuple(run)), scope, index)


def move(graph: Graph, name: str, index: int) -> Graph:
    """A stage at another place in the order."""
    stage = find(graph, name)
    train = [s for s in graph.train if s is not stage]
    train.insert(index, stage)
    return graph.with_(train=tuple(train))


def find(graph: Graph, name: str) -> Stage:
    """A stage by its name."""
    for stage in graph.train:
        if stage.name == name:
            return stage
    raise EditError(f"there is no stage {name!r}; choose one that is there")


# The updates of a stage are edited as a person reads them, in rows: (update, how often in a row).

Row = tuple[str | Reference, int]


def rows(stage: Stage) -> list[Row]:
    """The updates of a stage's step in order; equal ones after each other are one row."""
    found: list[Row] = []
    for update in stage.run:
        if found and found[-1][0] == update:
            found[-1] = (update, found[-1][1] + 1)
        else:
            found.append((update, 1))
    return found


def add_update(
    graph: Graph, stage: str, node: str, scope: Scope, index: int | None = None
) -> Graph:
    """One more row in a stage's step, last or at an index."""
    found = rows(find(graph, stage))
    found.insert(len(found) if index is None else index, (_named(node), 1))
    return _with_rows(graph, stage, found, scope)


def remove_update(graph: Graph, stage: str, index: int, scope: Scope) -> Graph:
    """Without the row at an index."""
    found = rows(find(graph, stage))
    del found[_inside(found, index)]
    return _with_rows(graph, stage, found, scope)


def move_update(graph: Graph, stage: str, index: int, to: int, scope: Scope) -> Graph:
    """The row at an index, before what is at another once it is taken out."""
    found = rows(find(graph, stage))
    found.insert(to, found.pop(_inside(found, index)))
    return _with_rows(graph, stage, found, scope)


def repeat(graph: Graph, stage: str, index: int, times: int, scope: Scope) -> Graph:
    """The update of a row that many times in each step."""
    found = rows(find(graph, stage))
    update, _ = found[_inside(found, index)]
    if not isinstance(times, int) or times < 1:
        raise EditError(f"an update runs a whole number of times, not {times}; or remove it")
    if times > 1000:
        raise EditError(f"{times} times in one step is too much; choose at most 1000")
    found[index] = (update, times)
    return _with_rows(graph, stage, found, scope)


def _with_rows(graph: Graph, stage: str, found: list[Row], scope: Scope) -> Graph:
    run = tuple(update for update, times in found for _ in range(times))
    return set_stage(graph, stage, scope, run=run)


def watch(graph: Graph, stage: str, node: str, scope: Scope, on: bool = True) -> Graph:
    """A metric or loss watched in a stage, or no more."""
    watched = [n for n in find(graph, stage).watch if str(n) != node]
    watched += [_named(node)] if on else []
    return set_stage(graph, stage, scope, watch=tuple(watched))


def _named(node: str) -> str | Reference:
    return Reference(node[1:]) if node.startswith("$") else node


def _inside(run: Collection[Any], index: int) -> int:
    if not 0 <= index < len(run):
        raise EditError(f"the stage has {len(run)} rows of updates; choose one of them")
    return index
