"""All that is wrong with a graph, each with where it is and what to do.

Shapes and links are checked by `infer`, what is set on a node by `settings`, what runs without
complaint but teaches nothing by `pitfalls`; here are the rules of training.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from .body import FLOAT, Body, Call, behind, memory, watched
from .edits import passed_by
from .graph import Graph, GraphError, Ref, Stage, choose, is_part, substitute
from .infer import Memo, group_input_problems, infer, substitute_or_none
from .library import Library, near, standard
from .node import Metric, Optimiser, View
from .pitfalls import pitfalls
from .problem import Problem, error, warning
from .scope import Scope
from .settings import graph_problems
from .unfold import Unfolded, unfold


def check(graph: Graph, library: Library | None = None, memo: Memo | None = None) -> list[Problem]:
    """The problems of a graph, with its parameters as they stand and under each of its presets."""
    library = library or standard()
    memo = {} if memo is None else memo
    found: dict[tuple[tuple[str, ...], str], Problem] = {}
    for preset in ("", *graph.presets):
        for problem in check_chosen(choose_known(graph, preset), library, memo):
            key = (problem.where, problem.text)
            if key not in found and preset:
                text = f"{problem.text} (preset {preset})"
                problem = Problem(problem.severity, problem.where, text, problem.cure)
            found.setdefault(key, problem)
    return list(found.values())


def choose_known(graph: Graph, preset: str) -> Graph:
    """`choose`, without the preset's values for parameters that the file does not declare."""
    values = {k: v for k, v in graph.presets.get(preset, {}).items() if k in graph.params}
    return choose(graph, settings=values)


def check_chosen(graph: Graph, library: Library, memo: Memo) -> list[Problem]:
    """The problems of a graph whose preset is chosen."""
    graph = passed_by(graph, Scope(library))
    problems = [*graph_problems(graph, library), *group_input_problems(graph)]
    body, more = infer(graph, library, memo)
    problems += more
    problems += outward_problems(graph, Scope(library))
    stages = []
    for index, stage in enumerate(graph.train):
        try:
            stages.append((index, settle(stage, graph.params)))
        except GraphError as wrong:
            cure = "write one, or `$name` of a parameter that is one"
            cure = "declare it under params" if str(wrong).startswith("$") else cure
            problems.append(error(("train", str(index)), str(wrong), cure))
    for index, stage in stages:
        problems += stage_problems(body, graph, stage, ("train", str(index)))
    flat = unfold(body)
    problems += training_problems(body, flat, [stage for _, stage in stages])
    problems += value_problems(body, ())
    problems += pitfalls(body, flat)
    problems += weights_problems(body, graph.folder, ())
    problems += loose_problems(graph, body)
    return problems


def settle(stage: Stage, params: Mapping[str, object]) -> Stage:
    """A stage with its references replaced. Raises GraphError for unknown ones and for steps that
    are no positive number."""
    steps, every = (substitute(v, params) for v in (stage.steps, stage.watch_every))
    for name, number, least in (("steps", steps, 1), ("watch_every", every, 0)):
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise GraphError(f"stage {stage.name}: {name} must be a whole number of at least "
                             f"{least}, not {number!r}")  # fmt: skip
    run, watch = (tuple(flatten(substitute(v, params))) for v in (stage.run, stage.watch))
    return Stage(stage.name, steps, run, watch, every)


def flatten(names: Any) -> Iterator[str]:
    """The names in a list, where a parameter that stood for several gave a list of its own."""
    for name in names:
        yield from flatten(name) if isinstance(name, tuple) else (str(name),)


def settled(graph: Graph) -> Graph:
    """A graph with its preset chosen: what it runs as, the references in its stages replaced."""
    graph = passed_by(graph, Scope(standard()))
    return graph.with_(train=tuple(settle(stage, graph.params) for stage in graph.train))


def stage_problems(
    body: Body, graph: Graph, stage: Stage, where: tuple[str, ...]
) -> Iterator[Problem]:
    """Updates and metrics that a stage names but can't run."""
    if not stage.run and not stage.watch:
        cure = "name an optimiser in run, or, to look only, a metric in watch"
        yield error(where, f"stage {stage.name} runs no update", cure)
    for key, names in (("run", stage.run), ("watch", watched(body, stage.watch))):
        for name in map(str, names):
            if name not in body.names:
                text = f"stage {stage.name}: {key} names {name}, which does not exist"
                inner = [n for n, c in body.calls.items()
                         if is_part(n, name) and isinstance(c.node, Optimiser)]  # fmt: skip
                inner = inner if key == "run" else []
                known = near(name, inner, 0.0) if inner else near(name, body.names)
                yield error((*where, key), text + known)
            elif name in body.calls and key == "run":
                if not isinstance(body.calls[name].node, Optimiser):
                    text = f"stage {stage.name}: run names {name}, which is no optimiser"
                    optimisers = [n for n, c in body.calls.items() if isinstance(c.node, Optimiser)]
                    cure = f"name one of {', '.join(optimisers)}" if optimisers else "add one"
                    yield error((*where, key), text, cure)
            elif name in body.calls:
                call = body.calls[name]
                scalar = [v.shape == () for v in call.outputs.values()] == [True]
                if not (scalar or isinstance(call.node, Metric)):
                    text = f"stage {stage.name}: watch names {name}, which gives no single number"
                    yield error((*where, key), text, "name a metric or a loss")
    moved: dict[str, str] = {}
    for name in dict.fromkeys(map(str, stage.run)):
        run = body.calls.get(name)
        for owner in owners(body, run) if run else ():
            if owner in moved:
                text = f"{owner} is moved by {moved[owner]} and by {name} in stage {stage.name}"
                cure = "take it out of one `over`, if this is not meant"
                yield warning(("nodes", name, "over"), text, cure)
            moved[owner] = name
    held = [body.calls[owner] for owner in moved if owner in body.calls]
    if held and all(call.weights() and not call.trainable() for call in held):
        text = f"stage {stage.name} moves no weight, as all is frozen that its updates are over"
        yield error((*where, "run"), text, f"remove `frozen` from {', '.join(moved)}")


def owners(body: Body, call: Call) -> list[str]:
    """The nodes whose weights an optimiser moves."""
    over = call.node.over if isinstance(call.node, Optimiser) else ()
    return list(dict.fromkeys(body.calls[n].owner for n in over if n in body.calls))


def outward_problems(graph: Graph, scope: Scope) -> Iterator[Problem]:
    """Optimisers in a group that name what is outside of it: a group is closed."""
    inner = scope.inside(graph)
    for group, body in graph.groups.items():
        for name, entry in body.nodes.items():
            for key in inner.node_lists(body, entry):
                for other in entry.params[key]:
                    if isinstance(other, str) and other not in body.nodes:
                        text = f"{key} names {other}, which is not in the group"
                        where = ("groups", group, "nodes", name, key)
                        yield error(where, text + near(other, body.nodes))


def training_problems(body: Body, flat: Unfolded, stages: list[Stage]) -> Iterator[Problem]:
    """Optimisers that move nothing, weights that nothing moves."""
    trained: set[str] = set()
    for name, call in body.calls.items():
        if not isinstance(call.node, Optimiser):
            continue
        where = ("nodes", name, "over")
        for other in call.node.over:
            if other not in body.names:
                text, cure = f"over names {other}, which does not exist", ""
                if other.partition(".")[0] in body.names:
                    cure = "a group is trained as a whole: name it, and freeze what is not to move"
                yield error(where, text if cure else text + near(other, body.names), cure)
        leaves = flat.body.calls
        back = behind(flat.body, leaves[name].sources, with_gradient=True)
        reached = {leaves[n].owner for n in back if leaves[n].weights()}
        mine = owners(body, call)
        reaching, frozen = [], []
        for owner in mine:
            held = body.calls.get(owner)
            if held is None:
                continue
            if not held.weights():
                yield error(where, f"over names {owner}, which has no weights", "take it out")
            elif not held.trainable():
                frozen.append(owner)
            elif any(is_part(n, owner) for n in reached):
                reaching.append(owner)
            elif body.complete:
                text = f"no gradient of its loss reaches {owner}"
                yield warning(where, text, f"link {owner} to the loss, or take it out")
        if len(mine) > len(frozen) and body.complete and not reaching:
            text = f"its loss reaches none of its `over` ({', '.join(mine)})"
            yield error(where, text, "link what it trains to its loss, without Detach between")
        trained |= {*mine} if any(name in map(str, s.run) for s in stages) else set()
    if not body.complete or not stages:
        return
    ends = [name for s in stages
            for name in (*s.run, *watched(body, s.watch)) if name in body.calls]  # fmt: skip
    for name in behind(body, [Ref(str(e)) for e in ends]):
        call = body.calls[name]
        if call.owner == name and call.trainable() and name not in trained:
            yield warning(
                ("nodes", name), "no stage trains its weights",
                "name it in an optimiser's `over`, or set `frozen: true`",
            )  # fmt: skip


def value_problems(body: Body, where: tuple[str, ...]) -> Iterator[Problem]:
    """Values that torch takes without complaint but that can't be meant, at any depth."""
    seen: set[str] = set()
    for name, call in body.calls.items():
        place = (*where, "nodes", name)
        if call.body is not None:
            if call.body.type not in seen:
                seen.add(call.body.type)
                yield from value_problems(call.body, ("groups", call.body.type))
            continue
        assert call.node is not None
        if (told := call.node.caution()) and call.owner == name:
            yield warning(place, *told)
        if isinstance(call.node, View):
            for other in getattr(call.node, "of", ()):
                held = body.calls.get(other)
                if other not in body.names and not where:  # in a group: `outward_problems`
                    text = f"of names {other}, which does not exist{near(other, body.names)}"
                    yield error((*place, "of"), text)
                elif held is not None and not held.weights():
                    yield error((*place, "of"), f"of names {other}, which has no weights")
    if not where:
        needed = sum(c.activation_bytes() + 4 * FLOAT * c.parameters() for c in body.calls.values())
        if needed > (there := machine_memory()):
            text = f"one step takes about {memory(needed)}, this machine has {memory(there)}"
            yield warning((), text, "make the batch, the images or the layers smaller")


def weights_problems(body: Body, folder: str, where: tuple[str, ...]) -> Iterator[Problem]:
    """Weights from files that are not there, or of what has none, at any depth; reads nothing."""
    from nodegraph.nodes.ops import weight_files

    for name, call in body.calls.items():
        place = (*where, "nodes", name, "weights")
        if call.file and call.owner == name:
            if not call.weights():
                yield error(place, "it has no weights that could be in a file", "take this out")
            try:
                weight_files.find(call.file, folder)
            except OSError as wrong:
                yield error(place, *str(wrong).split("; ", 1))
            yield from convention_problems(body, call, weight_files.PUBLISHED, place)
        if call.body is not None:
            yield from weights_problems(call.body, folder, ("groups", call.body.type))


def convention_problems(
    body: Body, call: Call, published: Mapping[str, Any], place: tuple[str, ...]
) -> Iterator[Problem]:
    """Published weights that are fed images of the other convention: they run, and see nothing."""
    if call.file not in published:
        return
    wanted = published[call.file].convention
    for name in behind(body, call.sources):
        if getattr(body.calls[name].node, "convention", wanted) != wanted:
            text = f"{call.file} expects images as `{wanted}`, {name} makes others"
            yield error(place, text, f"set `convention: {wanted}` on {name}")


def loose_problems(graph: Graph, body: Body) -> Iterator[Problem]:
    """Weights from a file for a group that is no module, as it holds data or metrics."""
    dissolved = {n.partition(".")[0] for n in body.names} - {*body.names}
    for name, entry in graph.nodes.items():
        if name in dissolved and substitute_or_none(entry.weights, graph.params):
            text = "a group that holds data or metrics takes no weights from a file"
            cure = "set it on the layers inside, or make a group of these"
            yield error(("nodes", name, "weights"), text, cure)


def machine_memory() -> int:
    """Bytes of memory of this machine; a terabyte where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 40
