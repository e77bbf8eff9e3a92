"""Mistakes that run without complaint but teach nothing, told from what nodes say of themselves.

They are looked for in the unfolded body, so a group hides none: a sigmoid in one may feed a loss in
another. No rule knows a node type; each asks for facts that any type may declare (`node.Node`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from .body import Body, Call, Value, behind
from .graph import Ref, is_part, refs
from .node import Optimiser
from .problem import Problem, error, warning
from .unfold import Unfolded

INTERVAL = re.compile(r"(-?[\d.]+?)\.\.(-?[\d.]+)")
REACHABLE = 1.0  # what the mean of squared or absolute differences of pixels stays below


def pitfalls(body: Body, flat: Unfolded) -> Iterator[Problem]:
    """What is wrong in a body, which is given unfolded, too. What depends on all of a graph is told
    only if it is complete."""
    trains = in_training(flat.body)
    for call in flat.body.calls.values():
        yield from squashed(flat, call)
        yield from lone(flat, call) if call.name in trains else ()
        yield from far_margin(flat, call)
        yield from unlike(flat, call)
        yield from undone_otherwise(flat, call)
    yield from told_apart(body, flat)
    if body.complete:
        yield from idle_reversals(flat)


def squashed(flat: Unfolded, call: Call) -> Iterator[Problem]:
    """Losses on logits that get what has been through a sigmoid or softmax already."""
    assert call.node is not None
    for port, declared in call.node.inputs.items():
        for ref in refs(call.inputs.get(port, ())):
            maker, _ = made_at(flat.body, ref)
            if declared.logits and maker.node and maker.node.squashes:
                text = f"{port} expects values before a sigmoid or softmax, gets {maker.name}"
                where = (*flat.places[call.name], "in", port)
                yield error(where, text, f"link what flows into {maker.name}")


def lone(flat: Unfolded, call: Call) -> Iterator[Problem]:
    """Statistics over a batch of one, where training takes them."""
    assert call.node is not None
    if call.node.normalises_batch and not call.frozen and getattr(call.at, "N", 2) == 1:
        text = f"{type(call.node).__name__} has a batch of 1, so nothing to average over"
        cure = "use a larger batch, or InstanceNorm2d, LayerNorm or GroupNorm"
        yield error(flat.places[call.name], text, cure)


def far_margin(flat: Unfolded, call: Call) -> Iterator[Problem]:
    """Margins that an energy cannot reach, as it is a mean where they are meant for a sum."""
    assert call.node is not None
    margin = call.literals.get(call.node.margin_in, 0.0)
    if not margin:
        return
    first = refs(call.inputs.get(next(iter(call.node.inputs)), ()))
    maker, times = gathered(flat.body, first[0]) if first else ("", 0.0)
    if maker and margin > (highest := times * REACHABLE):
        text = (
            f"{call.node.margin_in} is {margin:g}, which {maker} hardly ever reaches: as a mean of "
            f"the errors of single numbers, times {times:.4g}, it stays below {highest:.4g}"
        )
        cure = f"set a {call.node.margin_in} below {highest:.4g}, or sum over an example"
        yield warning(flat.places[call.name], text, f"{cure} (`reduction: per example`)")


def unlike(flat: Unfolded, call: Call) -> Iterator[Problem]:
    """Distances between numbers of different ranges; numbers outside of what an input takes."""
    assert call.node is not None
    known: list[tuple[str, str, str]] = []  # port, range, and who says so
    for port, declared in call.node.inputs.items():
        for ref in refs(call.inputs.get(port, ())):
            found, maker = ranged(flat.body, ref)
            if not found:
                continue
            where = (*flat.places[call.name], "in", port)
            low, high = ends_of(found)
            if port in call.node.compares:
                known.append((port, found, maker))
            elif low < declared.min or high > declared.max:
                wanted = f"{declared.min:g}..{declared.max:g}"
                text = f"{port} expects numbers in {wanted}, gets {found} from {maker}"
                yield warning(where, text, cure_of(maker))
    for port, found, maker in known[1:]:
        if found != known[0][1]:
            text = f"{port} gets numbers in {found} from {maker}, {known[0][0]} in {known[0][1]}"
            where = (*flat.places[call.name], "in", port)
            yield warning(where, f"{text} from {known[0][2]}", cure_of(maker))


def undone_otherwise(flat: Unfolded, call: Call) -> Iterator[Problem]:
    """Nodes that undo what was done with another value of a parameter."""
    assert call.node is not None
    name = call.node.undoes_with
    for maker in made_by(flat.body, call, name) if name else ():
        mine, theirs = (getattr(c.node, name) for c in (call, maker))
        if mine != theirs:
            text = f"{name} is {mine:g}, {maker.name} has {theirs:g}: it is not undone exactly"
            yield warning((*flat.places[call.name], name), text, f"give both the same {name}")


def told_apart(body: Body, flat: Unfolded) -> Iterator[Problem]:
    """Calls with the same weights that get images in different ranges, which tells them apart."""
    first: dict[str, tuple[str, str]] = {}  # by owner: the range that its first call gets, and from
    for name, call in body.calls.items():
        for ref in call.sources[:1] if call.weights() else ():
            found, maker = ranged(flat.body, flat.at[ref.node, body.port(ref)])
            known, other = first.setdefault(call.owner, (found, maker))
            if found and known and found != known:
                text = f"{name} gets numbers in {found} from {maker}, {call.owner} in {known}"
                yield warning(("nodes", name, "in"), f"{text} from {other}", cure_of(maker))


def idle_reversals(flat: Unfolded) -> Iterator[Problem]:
    """Reversals of a gradient that are not between features and a head: with none of them, one
    learns nothing from the other."""
    calls = flat.body.calls
    updates = [c for c in calls.values() if isinstance(c.node, Optimiser)]
    moves = {c.name: {n for n in calls if calls[n].learns_with(flat.over(c))} for c in updates}
    over = {owner for c in updates for owner in flat.over(c)}
    heads = {n for n, c in calls.items()  # frozen ones are left standing on purpose
             if c.weights() and any(is_part(c.owner, o) for o in over)}  # fmt: skip
    reached = [(c, behind(flat.body, c.sources, with_gradient=True)) for c in updates]
    for name, call in calls.items():
        if not (updates and call.node and call.node.reverses_gradient):
            continue
        turned = refs(call.inputs.get(next(iter(call.node.inputs)), ()))
        before = behind(flat.body, turned, with_gradient=True)
        after = following(flat.body, name)
        arriving = [(c, there) for c, there in reached if name in there]
        where, cure = flat.places[name], "put it between features and a head that learns"
        if not any(calls[n].weights() and not calls[n].frozen for n in before):
            source = ", ".join(r.node for r in turned)
            yield warning(where, f"it reverses nothing: nothing up to {source} learns", cure)
        elif not arriving:
            yield warning(where, "it does nothing: the loss of no update comes after it",
                          "link what comes after it to the loss of an update")  # fmt: skip
        elif not any(moves[c.name] & before & there for c, there in arriving):
            names = ", ".join(c.name for c, _ in arriving)
            yield warning(where, f"{names} moves nothing before it, where the gradient is reversed",
                          f"name what comes before it in `over` of {names}")  # fmt: skip
        elif not any(heads & after & there for _, there in arriving):
            text = "nothing between it and the loss learns, so what comes before it has no opponent"
            yield warning(where, text, cure)


# What flows, and where from ----------------------------------------------------------------------


def made_at(body: Body, ref: Ref) -> tuple[Call, Value]:
    """The call that makes a value, past those that only pass it on, and the value there."""
    call = body.calls[ref.node]
    while call.node is not None and call.node.passes and call.sources:
        ref = call.sources[0]
        call = body.calls[ref.node]
    return call, body.value(ref)


def made_by(body: Body, call: Call, name: str) -> Iterator[Call]:
    """The calls with a parameter that made what flows into one, past those that only mix it."""
    for ref in call.sources:
        maker, _ = made_at(body, ref)
        assert maker.node is not None
        if maker.node.mixes:
            ports = {p: s for p, s in maker.inputs.items() if p in maker.node.mixes}
            yield from made_by(body, replace(maker, inputs=ports), name)
        elif name in type(maker.node).settings and name not in maker.node.inputs:
            yield maker


def ranged(body: Body, ref: Ref) -> tuple[str, str]:
    """The range that a value is known to lie in, and the node that says so; else ""."""
    maker, value = made_at(body, ref)
    assert maker.node is not None
    found = maker.node.gives
    if value.kind == "image":  # as its source was told to make it
        found = found or str(getattr(maker.node, "range", ""))
    return (found, maker.name) if INTERVAL.fullmatch(found) else ("", "")


def ends_of(interval: str) -> tuple[float, float]:
    """The ends of an interval as nodes write it: "-1..1"."""
    found = INTERVAL.fullmatch(interval)
    assert found is not None
    return float(found[1]), float(found[2])


def gathered(body: Body, ref: Ref) -> tuple[str, float]:
    """The node that a value is an error of, and how many times the mean error of a single number it
    is; "" if it is none."""
    call, times = body.calls[ref.node], 1.0
    while call.node is not None and call.sources:
        node = call.node
        gathers = node.gathers(call.at)
        if node.distance:
            return call.name, times * (gathers or 1.0)
        if node.scales_by in call.literals:
            times *= abs(call.literals[node.scales_by])
        elif gathers:
            times *= gathers
        elif not node.passes:
            break
        call = body.calls[call.sources[0].node]
    return "", 0.0


def in_training(body: Body) -> set[str]:
    """The calls that some update evaluates; all of them, where there is none yet."""
    updates = [c for c in body.calls.values() if isinstance(c.node, Optimiser)]
    return behind(body, [r for c in updates for r in c.sources]) if updates else {*body.calls}


def following(body: Body, name: str) -> set[str]:
    """The calls that depend on one."""
    found = {name}
    for call in body.calls.values():  # in the order of evaluation
        if any(r.node in found for r in call.sources):
            found.add(call.name)
    return found - {name}


def cure_of(maker: str) -> str:
    """How two ranges come to agree."""
    return f"set `range` of the source, or end {maker} in Sigmoid for 0..1, Tanh for -1..1"
