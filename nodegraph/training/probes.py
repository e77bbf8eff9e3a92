"""What goes through a network in training, and what comes back: statistics of every link.

A probe does one step's forward and the backward of each loss on held-out examples, with the modes
that training has, and moves nothing: gradients go to variables, statistics are put back. There is a
tap, an identity, on each link, so the gradient through one link is told from that through another.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..body import Call
from ..compiler.text import attribute
from ..graph import Ref, refs
from ..node import Loss, Metric, Optimiser, Schedule, Source
from ..unfold import TAP, Unfolded

EXAMPLES = 64
DEAD = 0.99  # share of zeros
RATIO = 1e4  # of gradients at both ends of a network, beyond which one end does not learn

CURES = {
    "dead": "lower the learning rate, use LeakyReLU, or look at the initial values before it",
    "constant": "look at what flows into it and at its initial values",
    "not finite": "look for a root, a logarithm or a division at 0, or lower the learning rate",
    "vanishing": "use ReLU for sigmoid or tanh, normalise between layers, or init: he",
    "exploding": "normalise between layers, lower the initial values, or the learning rate",
}


@dataclass(frozen=True)
class Term:
    """A loss, or one of the losses that a sum of a single loss is made of."""

    label: str
    update: Call
    loss: Ref
    part: str = ""  # the tap of the link into the sum


def terms_of(unfolded: Unfolded, updates: Sequence[str]) -> list[Term]:
    """The losses of some updates; an update's only loss, if a weighted sum, is taken apart."""
    calls = unfolded.body.calls
    found: list[Term] = []
    for name in dict.fromkeys(updates):
        update = calls[name]
        losses = refs(update.inputs["loss"])
        if len(losses) == 1:
            total = calls[losses[0].node]
            if type(total.node).__name__ == "WeightedSum":
                for tap in (r.node for r in refs(total.inputs["losses"])):
                    label = unfolded.path(unfolded.links[tap].node)
                    found.append(Term(label, update, losses[0], tap))
                continue
        found += [Term(unfolded.path(r.node), update, r) for r in losses]
    labels = [t.label for t in found]
    return [
        t if labels.count(t.label) == 1
        else Term(f"{t.update.name}: {t.label}", t.update, t.loss, t.part)
        for t in found
    ]  # fmt: skip


def reached(unfolded: Unfolded, over: Sequence[str]) -> set[str]:
    """The calls that some weights of `over` lie before, or in: where a gradient is needed."""
    found: set[str] = set()
    for name, call in unfolded.body.calls.items():
        if call.learns_with(over) or any(r.node in found for r in call.sources):
            found.add(name)
    return found


@contextmanager
def statistics_kept(net: nn.Module) -> Iterator[None]:
    """Put back all buffers: a forward in training mode moves those of batch norm."""
    kept = [(b, b.clone()) for b in net.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)


def gradients(
    term: Term, values: Mapping[Ref, Tensor], inputs: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradient of a loss, or of a part of it, for each of `inputs`."""
    loss = values[term.loss].sum()
    if not loss.requires_grad:
        return [None] * len(inputs)
    options: dict[str, Any] = {"retain_graph": True, "allow_unused": True}
    if not term.part:
        return list(torch.autograd.grad(loss, inputs, **options))
    part = values[Ref(term.part, "y")]
    if not part.requires_grad:
        return [None] * len(inputs)
    factor: Tensor | None = torch.autograd.grad(loss, [part], **options)[0]
    if factor is None:
        return [None] * len(inputs)
    return list(torch.autograd.grad(part, inputs, grad_outputs=factor, **options))


def norm(gradient: Tensor | None) -> float:
    """The length of a gradient; 0 for none."""
    return 0.0 if gradient is None else float(gradient.detach().float().norm())


def parts_of(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The tensors that flow along a link: the levels of a pyramid, or one."""
    return value if isinstance(value, tuple) else (value,)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """All numbers of what flows along a link."""
    return parts[0] if len(parts) == 1 else torch.cat([p.flatten() for p in parts])


def statistics(x: Tensor) -> dict[str, float]:
    """Mean, standard deviation (over all its numbers) and share of zeros."""
    x = x.detach().float()
    spread = float(x.std(correction=0)) if x.numel() else 0.0
    mean = float(x.mean()) if x.numel() else 0.0
    return {"mean": mean, "std": spread, "zeros": float((x == 0).float().mean())}


def report(
    unfolded: Unfolded, net: nn.Module, updates: Sequence[str], values: Mapping[Ref, Tensor]
) -> dict[str, Any]:
    """All that probes tell, from the values of all taps and losses, with their gradient graph."""
    terms = terms_of(unfolded, updates)
    carries = {t: parts_of(values[Ref(t, "y")]) for t in unfolded.links if Ref(t, "y") in values}
    links: dict[str, dict[str, Any]] = {}
    of_output: dict[Ref, dict[str, float]] = {}
    alive: dict[Ref, int] = {}  # how many numbers other than 0 an output has
    for tap, parts in carries.items():
        end = unfolded.links[tap]
        if end not in of_output:
            of_output[end] = statistics(joined(parts))
            alive[end] = int(joined(parts).count_nonzero())
        links[unfolded.path(tap)] = {
            "from": outer(unfolded, end), **of_output[end], "gradients": {},
        }  # fmt: skip
    weights: dict[str, dict[str, Any]] = {}
    through: dict[str, dict[str, Tensor]] = {}  # term: tap: gradient
    for term in terms:
        over = unfolded.over(term.update)
        there = reached(unfolded, over)
        carried = {t: parts for t, parts in carries.items()
                   if t in there and all(p.requires_grad for p in parts)}  # fmt: skip
        owners = dict.fromkeys(
            c.owner for c in unfolded.body.calls.values() if c.learns_with(over)
        )  # fmt: skip
        moved = [(o, list(net.get_submodule(attribute(o)).parameters())) for o in owners]
        moved = [(o, [p for p in found if p.requires_grad]) for o, found in moved]
        inputs = [p for _, ps in (*carried.items(), *moved) for p in ps]
        rest = iter(gradients(term, values, inputs) if inputs else [])
        through[term.label] = {}
        for tap, parts in carried.items():
            found = [next(rest) for _ in parts]
            if any(g is not None for g in found):
                given = [torch.zeros_like(p) if g is None else g for p, g in zip(parts, found)]
                through[term.label][tap] = gradient = joined(given).detach()
                links[unfolded.path(tap)]["gradients"][term.label] = norm(gradient)
        for owner, parameters in moved:
            lengths = [norm(next(rest)) for _ in parameters]
            row = weights.setdefault(
                unfolded.path(owner),
                {"norm": math.hypot(*(norm(p) for p in parameters)), "gradients": {}},
            )
            row["gradients"][term.label] = math.hypot(*lengths)
    totals = {label: summed(unfolded, found) for label, found in through.items()}
    return {
        "losses": {t.label: float(values[t.loss if not t.part else Ref(t.part, "y")].detach().sum())
                   for t in terms},
        "links": links,
        "weights": weights,
        "reversals": reversals(unfolded, through, totals),
        "meets": meets(unfolded, through, totals),
        "findings": [
            *dead(unfolded, of_output, alive, starting(unfolded, net, weights)),
            *ratios(unfolded, totals), *bad_weights(unfolded, weights),
        ],
    }  # fmt: skip


def outer(unfolded: Unfolded, end: Ref) -> str:
    """An output as "node.port", of a group where it is one of its outputs; inside one its input."""
    if end.node.startswith(TAP):
        return unfolded.path(end.node)
    node, port = min(
        (at for at, found in unfolded.at.items() if found == end),
        key=lambda at: at[0].count("."),
        default=(end.node, end.port),
    )
    return f"{unfolded.path(node)}.{port}"


def summed(unfolded: Unfolded, found: Mapping[str, Tensor]) -> dict[Ref, Tensor]:
    """The gradient at each output: the sum of those of its links."""
    totals: dict[Ref, Tensor] = {}
    for tap, gradient in found.items():
        end = unfolded.links[tap]
        totals[end] = totals[end] + gradient if end in totals else gradient
    return totals


def reversals(
    unfolded: Unfolded,
    through: Mapping[str, Mapping[str, Tensor]],
    totals: Mapping[str, Mapping[Ref, Tensor]],
) -> list[dict[str, Any]]:
    """What becomes of a gradient where a node reverses or scales it: `factor` is −λ."""
    found = []
    for name, call in unfolded.body.calls.items():
        if type(call.node).__name__ not in ("GradientReversal", "GradientScale"):
            continue
        for label in through:
            after, before = totals[label].get(Ref(name, "y")), through[label].get(f"{TAP}{name}.x")
            if after is None or before is None or not norm(after):
                continue
            factor = float((before * after).sum() / after.square().sum())
            row = {"node": unfolded.path(name), "loss": label, "factor": factor}
            found.append(row | {"gradient in": norm(after), "gradient out": norm(before)})
    return found


def meets(
    unfolded: Unfolded,
    through: Mapping[str, Mapping[str, Tensor]],
    totals: Mapping[str, Mapping[Ref, Tensor]],
) -> list[dict[str, Any]]:
    """Where losses that came by different links pull at one output, how hard, and whether against
    each other (a cosine below 0)."""
    found = []
    for end in dict.fromkeys(unfolded.links.values()):
        ways = {
            label: frozenset(t for t in taps if unfolded.links[t] == end)
            for label, taps in through.items()
        }
        ways = {label: taps for label, taps in ways.items() if taps}
        if len(ways) < 2 or len(set(ways.values())) < 2:
            continue
        norms = {label: norm(totals[label][end]) for label in ways}
        labels = list(ways)
        cosines = {}
        for i, a in enumerate(labels):
            for b in labels[i + 1 :]:
                product = float((totals[a][end] * totals[b][end]).sum())
                size = norms[a] * norms[b]
                cosines[f"{a}, {b}"] = product / size if size > 0 else 0.0
        row = {"node": outer(unfolded, end).rpartition(".")[0], "gradients": norms}
        found.append(row | {"cosines": cosines})
    return found


# In words ----------------------------------------------------------------------------------------


def finding(kind: str, node: str, text: str) -> dict[str, str]:
    """What is wrong at a node, and what to do."""
    return {"kind": kind, "node": node, "text": f"{node}: {text}; {CURES[kind]}"}


def same(found: Mapping[str, float] | None) -> bool:
    """Whether the numbers of an output are all the same."""
    return found is not None and found["std"] <= 1e-6 * abs(found["mean"])


def dead(
    unfolded: Unfolded,
    of_output: Mapping[Ref, Mapping[str, float]],
    alive: Mapping[Ref, int],
    starting: Collection[str],
) -> Iterator[dict[str, str]]:
    """Layers that make all 0, or the same everywhere, or not finite; the first of a chain."""
    ill: set[str] = set()
    for name, call in unfolded.body.calls.items():
        if name.startswith(TAP):
            if unfolded.links[name].node in ill:
                ill.add(name)
            continue
        if any(r.node in ill for r in call.sources):
            ill.add(name)
            continue
        outside = isinstance(call.node, (Source, Schedule, Metric, Loss, Optimiser))
        # What is made of labels alone, like one-hot codes, is sparse on purpose.
        made = [unfolded.links[r.node] for r in call.sources if r.node.startswith(TAP)]
        if outside or not made:
            continue
        counts = getattr(call.node, "stops_gradient", False)  # a label: 0 or 1 may be all it says
        for port, value in call.outputs.items():
            end = Ref(name, port)
            found = of_output.get(end)
            if found is None or math.prod(value.shape) < 2:
                continue
            path = unfolded.path(name)
            if not math.isfinite(found["mean"]) or not math.isfinite(found["std"]):
                yield finding("not finite", path, "some of its values are not finite")
            elif found["zeros"] >= DEAD:
                if counts or call.owner in starting or not lost(end, made, of_output, alive):
                    continue
                yield finding("dead", path, f"{100 * found['zeros']:.4g} % of its values are 0")
            elif same(found):
                if counts or all(same(of_output.get(r)) for r in made):
                    continue  # what is fed with one number gives one
                yield finding("constant", path, f"all its values are {found['mean']:.3g}")
            else:
                continue
            ill.add(name)


def lost(
    end: Ref,
    made: Sequence[Ref],
    of_output: Mapping[Ref, Mapping[str, float]],
    alive: Mapping[Ref, int],
) -> bool:
    """Whether numbers become 0 here, in place of being 0 in what an output is made of.

    A product with a mask has as many zeros as the mask, and an unpooling as many other numbers as
    flow in: they are sparse by construction, and only hand on what is 0.
    """
    sparser = all(of_output[end]["zeros"] > of_output[r]["zeros"] for r in made)
    return sparser and alive[end] <= (1 - DEAD) * min(alive[r] for r in made)


def starting(
    unfolded: Unfolded, net: nn.Module, weights: Mapping[str, Mapping[str, Any]]
) -> set[str]:
    """Owners whose weights are all 0 on purpose: a loss pulls at them, or will in a later stage."""
    found = set()
    for owner in {c.owner for c in unfolded.body.calls.values() if c.weights()}:
        parameters = list(net.get_submodule(attribute(owner)).parameters())
        row = weights.get(unfolded.path(owner))
        pulled = row is None or any(row["gradients"].values())
        if pulled and not any(p.any() for p in parameters):
            found.add(owner)
    return found


def ratios(
    unfolded: Unfolded, totals: Mapping[str, Mapping[Ref, Tensor]]
) -> Iterator[dict[str, str]]:
    """Losses whose gradient is lost, or grows beyond use, between the last layer and the first."""
    for label, found in totals.items():
        chain: list[tuple[str, float]] = []
        for end, gradient in found.items():
            call = unfolded.body.calls[end.node]
            if call.weights() and not call.frozen:
                chain.append((unfolded.path(end.node), norm(gradient)))
        order = {unfolded.path(n): i for i, n in enumerate(unfolded.body.calls)}
        chain.sort(key=lambda layer: order[layer[0]])
        if wrong := next((n for n, g in chain if not math.isfinite(g)), ""):
            yield finding("exploding", wrong, f"the gradient of {label} is not finite")
            continue
        chain = [(n, g) for n, g in chain if g > 0]  # 0 is what a strength of 0 leaves
        if len(chain) < 3:
            continue
        (first, low), (last, high) = chain[0], chain[-1]
        steps = [(a[1] / b[1], a[0], b[0]) for a, b in zip(chain, chain[1:], strict=False)]
        if low * RATIO < high:
            _, at, after = min(steps)
            kind = "vanishing"
        elif low > high * RATIO:
            _, at, after = max(steps)
            kind = "exploding"
        else:
            continue
        text = (f"the gradient of {label} is {low / high:.1g} times that at {last}, "
                f"most of the change is between {after} and {at}")  # fmt: skip
        yield finding(kind, first, text)


def bad_weights(
    unfolded: Unfolded, weights: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, str]]:
    """Weights that are not finite."""
    for name, row in weights.items():
        if not math.isfinite(row["norm"]):
            yield finding("not finite", name, "its weights are not finite")
