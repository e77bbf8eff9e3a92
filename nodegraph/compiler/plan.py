"""From a body and a stage to a plan: one straight line of evaluations and updates.

A value is evaluated once for all updates that need it, until a weight that it depends on moves or a
source that it depends on is drawn anew. What no trained weight depends on is evaluated without a
gradient graph; what depends on nothing that changes is evaluated once per stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..body import Body, Call, behind
from ..graph import GraphError, Ref, Stage
from ..node import Optimiser, Schedule, Source


@dataclass
class Evaluation:
    """One call evaluated at one moment. `reads` are the evaluations behind its inputs, by node."""

    call: Call
    reads: dict[str, Evaluation]
    variant: int  # 0 for the first evaluation of this call in the step
    moved_by: frozenset[str] = frozenset()  # the weights (owners) that it depends on
    used_by: set[int] = field(default_factory=set)  # the updates that need it
    pulled_by: set[int] = field(default_factory=set)  # those whose gradient comes to it
    once: bool = False  # it is the same in every step of the stage
    gradient: bool = False  # some update needs its gradient


@dataclass
class Update:
    """One run of an optimiser. `before` is evaluated ahead of it; of a closure, `inside` in it.

    Where all that it could move is frozen, `over` is empty, and its losses are measured alone.
    """

    call: Call
    over: tuple[str, ...]
    losses: list[tuple[Ref, Evaluation]]
    options: dict[str, tuple[Ref, Evaluation]]  # inputs of the optimiser that are linked, like lr
    before: list[Evaluation]
    inside: list[Evaluation]


@dataclass
class Plan:
    """All updates of one step, in order, and what is computed once before the first.

    `trained` are the owners that some update moves. `fixed` are the modules in evaluation mode, as
    dotted names: those with weights that nothing trains, frozen ones, and random layers without
    weights that no trained weight lies before or after.
    """

    stage: Stage
    updates: list[Update]
    once: list[Evaluation]
    trained: tuple[str, ...]
    fixed: tuple[str, ...]

    def evaluations(self) -> list[Evaluation]:
        """All evaluations of one step, in order."""
        return [e for u in self.updates for e in (*u.before, *u.inside)]


def owners_below(body: Body) -> dict[str, frozenset[str]]:
    """For each call the owners of the weights that its value depends on, its own included."""
    found: dict[str, frozenset[str]] = {}
    for name, call in body.calls.items():
        below = frozenset().union(*(found.get(r.node, frozenset()) for r in call.sources))
        own = {call.owner} if call.weights() else set()
        found[name] = below | own
    return found


def over_of(body: Body, call: Call) -> tuple[str, ...]:
    """The weights that an optimiser moves, as owners: those of its `over` that are not frozen."""
    assert isinstance(call.node, Optimiser)
    missing = [name for name in call.node.over if name not in body.calls]
    if missing:
        raise GraphError(f"{call.name}: over names {missing[0]}, which can't be evaluated")
    owners = dict.fromkeys(body.calls[name].owner for name in call.node.over)
    return tuple(owner for owner in owners if body.calls[owner].trainable())


def plan(body: Body, stage: Stage) -> Plan:
    """The plan of a stage whose references are resolved."""
    return _Planner(body, stage).plan()


class _Planner:
    def __init__(self, body: Body, stage: Stage) -> None:
        self.body, self.stage = body, stage
        self.below = owners_below(body)
        self.runs = [body.calls[str(name)] for name in stage.run]
        over = [o for call in self.runs for o in over_of(body, call)]
        self.trained = tuple(dict.fromkeys(over))
        self.fixed = fixed(body, self.trained)
        self.weight_version = dict.fromkeys(self.trained, 0)
        self.draw_version: dict[str, int] = {}
        self.drawn_by: dict[str, set[str]] = {}  # source: the updates that have used this draw
        self.known: dict[tuple, Evaluation] = {}
        self.count: dict[str, int] = {}
        self.once: list[Evaluation] = []

    def plan(self) -> Plan:
        updates = [self.update(index, call) for index, call in enumerate(self.runs)]
        result = Plan(self.stage, updates, self.once, self.trained, self.fixed)
        over = [frozenset(u.over) for u in updates]
        for index, update in enumerate(updates):
            for _, evaluation in update.losses:
                _pull(evaluation, index)
        for evaluation in result.evaluations():
            evaluation.gradient = any(evaluation.moved_by & over[u] for u in evaluation.pulled_by)
        return result

    def update(self, index: int, call: Call) -> Update:
        """Plan one run of an optimiser: draw, evaluate what its loss needs, move its weights."""
        assert isinstance(call.node, Optimiser)
        over = over_of(self.body, call)
        self.draw_again(call)
        if call.node.closure:  # it evaluates again and again while its weights move
            moving = frozenset(over)
            self.known = {k: e for k, e in self.known.items() if not e.moved_by & moving}
        fresh: list[Evaluation] = []
        memo: dict[str, Evaluation] = {}
        reads = {r.node: self.evaluate(r.node, fresh, memo) for r in call.sources}
        for evaluation in reads.values():
            _mark(evaluation, index)
        options = {
            port: (source, reads[source.node])
            for port, source in call.inputs.items()
            if port != "loss" and isinstance(source, Ref)
        }
        losses = call.inputs["loss"]
        refs = losses if isinstance(losses, tuple) else (losses,)
        inside: list[Evaluation] = []
        if call.node.closure:
            inside = [e for e in fresh if e.moved_by & frozenset(over)]
            fresh = [e for e in fresh if e not in inside]
            for port, (source, evaluation) in options.items():
                if evaluation in inside:
                    raise GraphError(
                        f"{call.name}: {port} comes from {source.node}, which {call.name} moves "
                        f"while it reads it; compute it elsewhere"
                    )
        for owner in over:
            self.weight_version[owner] += 1
        return Update(call, over, [(r, reads[r.node]) for r in refs], options, fresh, inside)

    def draw_again(self, update: Call) -> None:
        """A second run of the same update in a step draws new values for its sources."""
        for name in ancestors(self.body, [r.node for r in update.sources]):
            call = self.body.calls[name]
            if isinstance(call.node, Source) and not call.node.fixed:
                users = self.drawn_by.setdefault(name, set())
                if update.name in users:
                    self.draw_version[name] = self.draw_version.get(name, 0) + 1
                    users.clear()
                users.add(update.name)

    def evaluate(
        self, name: str, fresh: list[Evaluation], memo: dict[str, Evaluation]
    ) -> Evaluation:
        """The evaluation of `name` that is valid now; new ones are appended to `fresh`."""
        for node in ancestors(self.body, [name]):
            if node not in memo:
                memo[node] = self.evaluate_one(node, fresh, memo)
        return memo[name]

    def evaluate_one(
        self, name: str, fresh: list[Evaluation], memo: Mapping[str, Evaluation]
    ) -> Evaluation:
        call = self.body.calls[name]
        moving = self.below[name] & frozenset(self.trained)
        reads = {r.node: memo[r.node] for r in call.sources}
        key = (
            name,
            self.draw_version.get(name, 0),
            self.weight_version.get(call.owner, 0) if call.weights() else 0,
            tuple(id(e) for e in reads.values()),
        )
        if key in self.known:
            return self.known[key]
        variant = self.count.get(name, 0)
        self.count[name] = variant + 1
        evaluation = Evaluation(call, reads, variant, moving)
        node = call.node
        evaluation.once = (
            not moving
            and not isinstance(node, Schedule)
            and (not isinstance(node, Source) or node.fixed)
            and all(e.once for e in reads.values())
            and not (call.random() and call.owner not in self.fixed)
        )
        (self.once if evaluation.once else fresh).append(evaluation)
        self.known[key] = evaluation
        return evaluation


def fixed(body: Body, trained: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that are in evaluation mode while some owners are trained, as dotted names."""
    after: set[str] = set()  # what trained weights lie before
    for name, call in body.calls.items():
        if call.owner in trained or any(r.node in after for r in call.sources):
            after.add(name)
    before = {n for owner in body.calls if body.calls[owner].owner in trained
              for n in ancestors(body, [owner])}  # fmt: skip
    found = []
    for name, call in body.calls.items():
        if call.owner != name:
            continue
        calls = {n for n, c in body.calls.items() if c.owner == name}
        if call.frozen or (call.weights() and name not in trained):
            found.append(name)
        elif not call.weights() and call.random() and not calls & (after | before):
            found.append(name)
        else:
            found += [f"{name}.{part}" for part in call.frozen_parts()]
    return tuple(found)


def _mark(evaluation: Evaluation, update: int) -> None:
    stack = [evaluation]
    while stack:
        current = stack.pop()
        if update not in current.used_by:
            current.used_by.add(update)
            stack.extend(current.reads.values())


def ancestors(body: Body, names: list[str]) -> list[str]:
    """`names` and all that they depend on, in the order of evaluation."""
    wanted = behind(body, map(Ref, names))
    return [name for name in body.calls if name in wanted]


def _pull(evaluation: Evaluation, update: int) -> None:
    """The gradient of an update comes to an evaluation, and to those before it."""
    stack = [evaluation]
    while stack:
        current = stack.pop()
        if update not in current.pulled_by:
            current.pulled_by.add(update)
            if current.call.node is None or not current.call.node.stops_gradient:
                stack.extend(current.reads.values())
