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
    ours = [n for n in graph.nodes if _is_update(graph, n, scope)]
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


def add_update(
    graph: Graph, stage: str, node: str, scope: Scope, index: int | None = None
) -> Graph:
    """One more update in a stage's step, last or at an index."""
    run = list(find(graph, stage).run)
    run.insert(len(run) if index is None else index, _named(node))
    return set_stage(graph, stage, scope, run=tuple(run))


def remove_update(graph: Graph, stage: str, index: int, scope: Scope) -> Graph:
    """Without the update at an index."""
    run = list(find(graph, stage).run)
    del run[_inside(run, index)]
    return set_stage(graph, stage, scope, run=tuple(run))


def move_update(graph: Graph, stage: str, index: int, to: int, scope: Scope) -> Graph:
    """The update at an index, before what is at another once it is taken out."""
    run = list(find(graph, stage).run)
    run.insert(to, run.pop(_inside(run, index)))
    return set_stage(graph, stage, scope, run=tuple(run))


def repeat(graph: Graph, stage: str, index: int, times: int, scope: Scope) -> Graph:
    """The run of equal updates around an index, as long as `times`."""
    run = list(find(graph, stage).run)
    first = last = _inside(run, index)
    if times < 1:
        raise EditError("an update runs at least once; remove it instead")
    if times > 1000:
        raise EditError(f"{times} times in one step is too much; choose at most 1000")
    while first and run[first - 1] == run[index]:
        first -= 1
    while last + 1 < len(run) and run[last + 1] == run[index]:
        last += 1
    run[first : last + 1] = [run[index]] * times
    return set_stage(graph, stage, scope, run=tuple(run))


def watch(graph: Graph, stage: str, node: str, scope: Scope, on: bool = True) -> Graph:
    """A metric or loss watched in a stage, or no more."""
    watched = [n for n in find(graph, stage).watch if str(n) != node]
    watched += [_named(node)] if on else []
    return set_stage(graph, stage, scope, watch=tuple(watched))


def rows(graph: Graph) -> list[tuple[Stage, list[tuple[Any, int, int]]]]:
    """The programme as a person reads it: each stage with (update, index, how often in a row)."""
    found = []
    for stage in graph.train:
        row: list[tuple[Any, int, int]] = []
        for index, update in enumerate(stage.run):
            if row and row[-1][0] == update:
                row[-1] = (update, row[-1][1], row[-1][2] + 1)
            else:
                row.append((update, index, 1))
        found.append((stage, row))
    return found


def _named(node: str) -> str | Reference:
    return Reference(node[1:]) if node.startswith("$") else node


def _inside(run: Collection[Any], index: int) -> int:
    if not 0 <= index < len(run):
        raise EditError(f"the stage has {len(run)} updates; choose one of them")
    return index


def _is_update(graph: Graph, name: str, scope: Scope) -> bool:
    kind = scope.type_of(graph, name)
    return isinstance(kind, type) and issubclass(kind, Optimiser)
