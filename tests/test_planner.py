"""What a stage trains and what it leaves alone, in graphs that are easy to get wrong."""

from __future__ import annotations

from random import Random
from typing import Any

import networkx
import pytest
import torch
from torch import nn

import nodegraph
from nodegraph import files
from nodegraph.body import Body, Call, behind, needed
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import Entry, Graph, GraphError, Ref, choose
from nodegraph.infer import in_order
from nodegraph.library import standard
from nodegraph.training.trainer import Options, Stepped, Trainer, Watched

torch.set_num_threads(1)

BASE = """nodegraph: 1
nodes:
  d: {type: Digits, batch: 16}
  x: {type: Flatten, in: {x: d.image}}
  fc: {type: Linear, features: 10, in: {x: x}}
  ce: {type: CrossEntropy, in: {logits: fc, labels: d.label}}
"""


def graph(text: str) -> Graph:
    return files.parse(text).graph


def problems(text: str) -> list[str]:
    return [str(p) for p in nodegraph.check(graph(text))]


def trainer(text: str) -> Trainer:
    assert [p for p in nodegraph.check(graph(text)) if p.severity == "error"] == []
    made = Trainer(settled(choose(graph(text))), Options(device="cpu"))
    made.enter()
    return made


def test_what_a_stage_does_not_train_has_no_gradient_until_a_stage_trains_it() -> None:
    made = trainer("""nodegraph: 1
nodes:
  d: {type: Digits, batch: 16}
  x: {type: Flatten, in: {x: d.image}}
  a: {type: Linear, features: 8, in: {x: x}}
  b: {type: Linear, features: 10, in: {x: a}}
  ce: {type: CrossEntropy, in: {logits: b, labels: d.label}}
  first: {type: SGD, over: [a], in: {loss: ce}}
  last: {type: SGD, over: [b], in: {loss: ce}}
train:
  - {stage: one, steps: 1, run: [first]}
  - {stage: two, steps: 1, run: [last]}
  - {stage: both, steps: 1, run: [first, last]}
""")
    weights = {"a": made.net.a.weight, "b": made.net.b.weight}
    for moved in ("a", "b", "ab"):
        before = {name: w.clone() for name, w in weights.items()}
        made.enter()
        made.step()
        for name, weight in weights.items():
            assert weight.requires_grad is (name in moved)
            assert torch.equal(weight, before[name]) is (name not in moved)
        made.index, made.done, made.stage = made.index + 1, 0, None


def test_frozen_parts_of_a_trained_group_stay() -> None:
    made = trainer("""nodegraph: 1
groups:
  Net:
    inputs: {x: N D}
    outputs: {y: b}
    nodes:
      a: {type: Linear, features: 8, frozen: true, in: {x: x}}
      n: {type: BatchNorm1d, frozen: true, in: {x: a}}
      b: {type: Linear, features: 10, in: {x: n}}
nodes:
  d: {type: Digits, batch: 16}
  x: {type: Flatten, in: {x: d.image}}
  net: {type: Net, in: {x: x}}
  ce: {type: CrossEntropy, in: {logits: net, labels: d.label}}
  adam: {type: Adam, over: [net], in: {loss: ce}}
train: [{stage: s, steps: 3, run: [adam]}]
""")
    before = {k: v.clone() for k, v in made.net.state_dict().items()}
    for _ in range(3):
        made.step()
    after = made.net.state_dict()
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert moved == {"net.b.weight", "net.b.bias"}


TWO = """nodegraph: 1
nodes:
  p: {type: Parameter, shape: [3], init: constant 2}
  q: {type: Parameter, shape: [3], init: constant 1}
  v: {type: Mul, in: {a: p, b: q}}
  l: {type: Mean, in: {x: v}}
  sgd: {type: SGD, lr: 0.1, over: [p], in: {loss: l}}
  lb: {type: LBFGS, over: [q], in: {loss: l}}
train: [{stage: s, steps: 2, run: [sgd, lb]}]
"""


@pytest.mark.parametrize("frozen, moves", [("p", {"q"}), ("q", {"p"})])
def test_an_update_over_what_is_frozen_measures_its_loss_and_moves_nothing(
    frozen: str, moves: set[str]
) -> None:
    text = TWO.replace(
        f"{frozen}: {{type: Parameter,", f"{frozen}: {{type: Parameter, frozen: true,"
    )
    assert problems(text) == []
    made = trainer(text)
    made.careful = True
    made.settle()
    before = {k: v.clone() for k, v in made.net.state_dict().items()}
    assert set(made.step()) == {"l"}
    after = made.net.state_dict()
    assert {k.partition(".")[0] for k in before if not torch.equal(before[k], after[k])} == moves


def test_a_stage_whose_weights_are_all_frozen_is_refused() -> None:
    (told,) = problems(TWO.replace("type: Parameter,", "type: Parameter, frozen: true,"))
    assert "stage s moves no weight, as all is frozen that its updates are over" in told
    assert "remove `frozen` from p, q" in told


def test_lbfgs_between_two_other_updates_equals_torch_written_by_hand() -> None:
    made = trainer("""nodegraph: 1
nodes:
  p: {type: Parameter, shape: [3], init: constant 2}
  v: {type: Square, in: {x: p}}
  l: {type: Mean, in: {x: v}}
  sgd: {type: SGD, lr: 0.1, over: [p], in: {loss: l}}
  lb: {type: LBFGS, max_iter: 2, line_search: none, lr: 0.1, over: [p], in: {loss: l}}
train: [{stage: s, steps: 1, run: [sgd, lb, sgd]}]
""")
    made.step()
    p = torch.full((3,), 2.0, requires_grad=True)
    sgd = torch.optim.SGD([p], 0.1, fused=True)
    lbfgs = torch.optim.LBFGS([p], lr=0.1, max_iter=2)

    def closure() -> torch.Tensor:
        p.grad = None
        loss = p.square().mean()
        loss.backward()
        return loss

    closure()
    sgd.step()
    lbfgs.step(closure)
    closure()
    sgd.step()
    assert torch.allclose(made.net.p.value, p, atol=1e-6)
    assert made.net.p.value.grad is None


def test_lbfgs_reads_what_was_computed_outside_of_its_closure() -> None:
    made = trainer(
        BASE + "  lb: {type: LBFGS, over: [fc], in: {loss: ce}}\n"
        "train: [{stage: s, steps: 5, run: [lb]}]\n"
    )
    before = made.net.fc.weight.clone()
    made.step()
    made.step()
    assert (made.net.fc.weight - before).abs().max() > 1e-3


DROP = BASE.replace("{x: x}", "{x: drop}") + "  drop: {type: Dropout, p: 0.9, in: {x: x}}\n"


def test_dropout_drops_where_something_is_trained_and_only_there() -> None:
    tail = (
        "  adam: {type: Adam, over: [fc], in: {loss: ce}}\n"
        "train: [{stage: s, steps: 1, run: [adam]}]"
    )
    made = trainer(DROP + tail)
    assert made.net.drop.training
    frozen = DROP.replace("p: 0.9,", "p: 0.9, frozen: true,")
    assert not trainer(frozen + tail).net.drop.training
    elsewhere = DROP + (
        "  z: {type: Parameter, shape: [3], init: ones}\n"
        "  zz: {type: Square, in: {x: z}}\n"
        "  m: {type: Mean, in: {x: zz}}\n"
        "  s: {type: WeightedSum, factors: [1, 1], in: {losses: [ce, m]}}\n"
        "  adam: {type: Adam, over: [z], in: {loss: s}}\n"
        "train: [{stage: s, steps: 1, run: [adam]}]"
    )
    assert not trainer(elsewhere).net.drop.training


MOMENTUM = """
nodegraph: 1
nodes:
  w: {type: Parameter, shape: [3], init: values 1 2 3}
  squares: {type: Square, in: {x: w}}
  loss: {type: Mean, in: {x: squares}}
  momentum: {type: LinearRamp, start: 0.5, stop: 0.9}
  sgd: {type: SGD, lr: 0.1, formula: torch, over: [w], in: {loss: loss, momentum: momentum}}
train: [{stage: s, steps: 9, run: [sgd]}]
"""


@pytest.mark.parametrize("formula", ["torch", "lecture"])
def test_a_momentum_may_follow_a_schedule(formula: str) -> None:
    """As the plain loop has it: v ← μ v + g; w ← w − lr v, with μ of the step."""
    text = MOMENTUM.replace("formula: torch", f"formula: {formula}")
    assert problems(text) == []
    made = trainer(text)
    w, v = torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3)
    steps = 0
    for event in made.events():
        if isinstance(event, Stepped):
            v = (0.5 + 0.4 * steps / 9) * v + 2 / 3 * w
            w = w - 0.1 * v
            steps += 1
            torch.testing.assert_close(next(made.net.parameters()).data, w)
    assert steps == 9


@pytest.mark.parametrize("kind", ["SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW"])
@pytest.mark.parametrize("clip", [0.0, 1.5, 1e6])
def test_a_gradient_is_as_long_as_is_allowed(kind: str, clip: float) -> None:
    """All weights of an update together: the gradient of p is 2 long here, that of q 4."""
    made = trainer(f"""nodegraph: 1
nodes:
  p: {{type: Parameter, shape: [1], init: constant 1}}
  q: {{type: Parameter, shape: [1], init: constant 2}}
  pp: {{type: Square, in: {{x: p}}}}
  qq: {{type: Square, in: {{x: q}}}}
  l: {{type: Mean, in: {{x: pp}}}}
  m: {{type: Mean, in: {{x: qq}}}}
  go: {{type: {kind}, lr: 0.1, clip_norm: {clip}, over: [p, q], in: {{loss: [l, m]}}}}
train: [{{stage: s, steps: 1, run: [go]}}]
""")
    p, q = (torch.tensor([x], requires_grad=True) for x in (1.0, 2.0))
    theirs = getattr(torch.optim, kind)([p, q], lr=0.1)
    (p**2 + q**2).sum().backward()
    if clip:
        nn.utils.clip_grad_norm_([p, q], clip)
    theirs.step()
    made.step()
    torch.testing.assert_close(made.net.p.value, p)
    torch.testing.assert_close(made.net.q.value, q)


def test_a_look_ahead_needs_a_momentum_that_is_known() -> None:
    ahead = MOMENTUM.replace("formula: torch", "nesterov: true")
    alone = ahead.replace(", momentum: momentum}", "}")
    for text in (ahead, alone):
        assert "sgd: nesterov needs a momentum above 0" in str(problems(text)[0])
    assert problems(alone.replace("lr: 0.1", "lr: 0.1, momentum: 0.9")) == []


def test_a_second_draw_of_a_source_and_a_schedule_can_be_watched() -> None:
    text = (
        BASE
        + """
  d2: {shares: d}
  x2: {type: Flatten, in: {x: d2.image}}
  fc2: {shares: fc, in: {x: x2}}
  acc: {type: Accuracy, in: {logits: fc2, labels: d2.label}}
  rate: {type: Cosine}
  sgd: {type: SGD, over: [fc], in: {loss: ce, lr: rate}}
train: [{stage: 1 a-b, steps: 2, run: [sgd], watch: [acc, rate]}]
"""
    )
    assert problems(text) == []
    rows = [e.metrics for e in nodegraph.train(graph(text)) if isinstance(e, Watched)]
    assert rows and 0 <= rows[-1]["acc"] <= 1 and isinstance(rows[-1]["rate"], float)


def optimised(loss: str, more: str = "", features: int = 10) -> str:
    text = BASE.replace("features: 10", f"features: {features}") + more
    return text + f"  sgd: {{type: SGD, over: [fc], in: {{loss: {loss}}}}}\n"


@pytest.mark.parametrize(
    "text, said",
    [
        (optimised("fc"), "loss expects a scalar, gets 16×10; put Mean between"),
        (
            optimised("ce2", "  cut: {type: Detach, in: {x: fc}}\n"
                      "  ce2: {type: CrossEntropy, in: {logits: cut, labels: d.label}}\n"),
            "its loss reaches none of its `over` (fc)",
        ),
        (
            optimised("a", "  a: {type: Accuracy, in: {logits: fc, labels: d.label}}\n"),
            "its loss reaches none of its `over` (fc)",
        ),
        (optimised("ce", features=5), "labels has classes 0 to 9, there is room for 5"),
        (
            optimised("ce", "  one: {type: OneHot, classes: 3, in: {labels: d.label}}\n"),
            "labels has classes 0 to 9, there is room for 3; make classes 10 wide",
        ),
        (
            BASE + "  two: {type: SGD, over: [fc.weight], in: {loss: ce}}\n",
            "a group is trained as a whole",
        ),
        (
            "nodegraph: 1\ngroups:\n  T:\n    inputs: {x: N D}\n    nodes:\n"
            "      m: {type: Mean, in: {x: x}}\n"
            "      sgd: {type: SGD, over: [fc], in: {loss: m}}\n"
            + BASE[len("nodegraph: 1\n") :] + "  t: {type: T, in: {x: fc}}\n",
            "over names fc, which is not in the group",
        ),
    ],
)  # fmt: skip
def test_what_cannot_train_is_told_before_it_runs(text: str, said: str) -> None:
    assert any(said in p for p in problems(text)), problems(text)


def test_an_update_in_a_group_is_named_with_the_group() -> None:
    text = """nodegraph: 1
groups:
  Self:
    inputs: {x: N D}
    nodes:
      fc: {type: Linear, features: 1, in: {x: x}}
      m: {type: Mean, in: {x: fc}}
      adam: {type: Adam, over: [fc], in: {loss: m}}
nodes:
  z: {type: Noise, shape: [4]}
  tr: {type: Self, in: {x: z}}
train: [{stage: s, steps: 2, run: [RUN]}]
"""
    assert any("did you mean 'tr.adam'" in p for p in problems(text.replace("RUN", "tr")))
    assert problems(text.replace("RUN", "tr.adam")) == []
    state = list(nodegraph.train(graph(text.replace("RUN", "tr.adam"))))[-1].state  # type: ignore[union-attr]
    assert set(state) == {"tr.fc.weight", "tr.fc.bias"}


def test_a_group_may_be_called_as_a_node_type_is() -> None:
    text = BASE.replace(
        "nodes:",
        "groups:\n  KernelDistance:\n    inputs: {x: N D}\n    outputs: {y: same}\n"
        "    nodes:\n      same: {type: Identity, in: {x: x}}\nnodes:",
        1,
    )
    body = resolved(graph(text + "  k: {type: KernelDistance, in: {x: fc}}\n"), standard())
    assert "k" in body.calls and "k.same" not in body.calls  # it is not taken for that metric


def test_a_slice_says_which_data_it_needs() -> None:
    with pytest.raises(GraphError, match="also needs d.label"):
        nodegraph.compile(graph(BASE), ["d.image"], ["ce"])
    loss: Any = nodegraph.compile(graph(BASE), ["d.image", "d.label"], ["ce"])
    assert isinstance(loss, nn.Module)
    assert loss(torch.rand(3, 1, 16, 16), torch.tensor([1, 2, 3])).shape == ()


def test_one_link_into_an_input_that_takes_many_needs_no_list() -> None:
    text = BASE + "  c: {type: Concat, in: {x: fc}}\n"
    net = nodegraph.compile(graph(text), ["d.image"], ["c"])
    assert net(torch.rand(2, 1, 16, 16)).shape == (2, 10)


@pytest.mark.parametrize("seed", range(60))
def test_walks_over_a_graph_find_what_networkx_finds(seed: int) -> None:
    draw, names = Random(seed), [f"n{i}" for i in range(9)]
    draw.shuffle(names)
    pairs = [(a, b) for a in names for b in names if draw.random() < 0.15 and (seed % 2 or a < b)]
    links = {b: {a: Ref(a) for a, to in pairs if to == b} for b in names}  # a port for each
    order, loop = in_order(Graph({n: Entry("Add") for n in names}), links)
    known = networkx.DiGraph(pairs)
    known.add_nodes_from(names)
    assert sorted(order) == sorted(names)
    assert bool(loop) != networkx.is_directed_acyclic_graph(known)
    if loop:  # from a node back to what it reads, up to itself
        assert loop[0] == loop[-1] and all((b, a) in pairs for a, b in zip(loop, loop[1:]))
        return
    assert all(order.index(a) < order.index(b) for a, b in pairs)
    calls = {n: Call(n, n, links[n], {}, {"y": None}) for n in order}  # type: ignore[dict-item]
    body = Body("", "", calls, tuple(names))
    for name in names:
        there = networkx.ancestors(known, name) | {name}
        assert behind(body, [Ref(name)]) == there
        assert [c.name for c in needed(body, [Ref(name)])] == [n for n in order if n in there]
        cut = draw.choice(names)  # known, so that nothing is asked for what leads to it alone
        known_too = known.copy()
        known_too.remove_node(cut)
        left = networkx.ancestors(known_too, name) | {name} if name != cut else set()
        assert {c.name for c in needed(body, [Ref(name)], [Ref(cut)])} == left
