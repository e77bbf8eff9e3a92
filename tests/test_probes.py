"""Probes against a computation by hand; what they find, and that they change nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import LEARNING, ROOT

import nodegraph
from nodegraph import files
from nodegraph.training import probes
from nodegraph.training.previews import Previews
from nodegraph.training.run import start
from nodegraph.training.trainer import Options, Trainer
from nodegraph.unfold import unfold

SMALL = """nodegraph: 1
title: Small
groups:
  Body:
    inputs: {x: N D}
    outputs: {features: relu}
    nodes:
      fc: {type: Linear, features: 8, in: {x: x}}
      relu: {type: ReLU, in: {x: fc}}
nodes:
  data: {type: FontDigits, batch: 12, count: 64, held_out: 40}
  flat: {type: Flatten, in: {x: data.image}}
  body: {type: Body, in: {x: flat}}
  scores: {type: Linear, features: 10, in: {x: body}}
  loss: {type: CrossEntropy, in: {logits: scores, labels: data.label}}
  reversed: {type: GradientReversal, strength: 0.3, in: {x: body}}
  other: {type: Linear, features: 1, in: {x: reversed}}
  domain: {type: BCEWithLogits, target: 1, in: {logits: other}}
  adam: {type: Adam, lr: 0.001, over: [body, scores, other], in: {loss: [loss, domain]}}
train:
  - {stage: learn, steps: 6, run: [adam]}
"""


def trainer_of(text: str) -> Trainer:
    return start(files.parse(text).graph, options=Options(device="cpu"))


def probe(trainer: Trainer) -> dict:
    previews = Previews(trainer)
    previews.look([], [], probes=True)
    (found,) = previews.compute()
    assert found.header["kind"] == "probe" and found.payload == b"", found.header
    return found.header["about"]


def test_statistics_and_gradients_are_those_of_autograd() -> None:
    trainer = trainer_of(SMALL)
    found = probe(trainer)
    assert found["examples"] == 12 and found["updates"] == ["adam"]
    images, labels = trainer.sources["data"].held_out(0, 12)
    net = trainer.net
    hidden = net.body.fc(images.flatten(1)).detach().requires_grad_()
    features = F.relu(hidden)
    digit = F.cross_entropy(net.scores(features), labels)
    to_other = features.detach().requires_grad_()
    domain = F.binary_cross_entropy_with_logits(net.other(to_other), torch.ones(12, 1))

    link = found["links"]["scores.x"]
    assert link["from"] == "body.features"
    assert link["mean"] == pytest.approx(features.mean().item(), rel=1e-5)
    assert link["std"] == pytest.approx(features.std(correction=0).item(), rel=1e-5)
    assert link["zeros"] == pytest.approx(float((features == 0).float().mean()))
    assert found["losses"]["loss"] == pytest.approx(digit.item(), rel=1e-5)

    (by_digit,) = torch.autograd.grad(digit, [features], retain_graph=True)
    (by_domain,) = torch.autograd.grad(domain, [to_other])
    assert link["gradients"] == {"loss": pytest.approx(float(by_digit.norm()), rel=1e-5)}
    reversed_ = found["links"]["reversed.x"]["gradients"]
    assert reversed_ == {"domain": pytest.approx(0.3 * float(by_domain.norm()), rel=1e-5)}
    assert found["links"]["other.x"]["gradients"]["domain"] == pytest.approx(
        float(by_domain.norm()), rel=1e-5
    )
    (inner,) = torch.autograd.grad(digit, [hidden])
    assert found["links"]["body/relu.x"]["gradients"]["loss"] == pytest.approx(
        float(inner.norm()), rel=1e-5
    )
    assert found["links"]["body.x"]["gradients"] == {}  # nothing before it is trained

    (meeting,) = found["meets"]
    assert meeting["node"] == "body"
    assert meeting["gradients"]["domain"] == pytest.approx(0.3 * float(by_domain.norm()), rel=1e-5)
    product = float((by_digit * (-0.3 * by_domain)).sum())
    size = float(by_digit.norm() * 0.3 * by_domain.norm())
    assert meeting["cosines"]["loss, domain"] == pytest.approx(product / size, abs=1e-5)


def test_weights_have_the_gradient_of_each_loss_apart() -> None:
    trainer = trainer_of(SMALL)
    found = probe(trainer)["weights"]
    images, labels = trainer.sources["data"].held_out(0, 12)
    loss = F.cross_entropy(
        trainer.net.scores(F.relu(trainer.net.body.fc(images.flatten(1)))), labels
    )
    grads = torch.autograd.grad(loss, list(trainer.net.body.parameters()))
    wanted = math.hypot(*(float(g.norm()) for g in grads))
    assert found["body/fc"]["gradients"]["loss"] == pytest.approx(wanted, rel=1e-5)
    assert found["body/fc"]["gradients"]["domain"] > 0
    assert found["scores"]["gradients"]["domain"] == 0
    assert list(found) == ["body/fc", "scores", "other"]


@pytest.mark.parametrize("strength", [0.0, 0.3, 2.0])
def test_a_reversal_turns_the_sign(strength: float) -> None:
    found = probe(trainer_of(SMALL.replace("strength: 0.3", f"strength: {strength}")))
    (row,) = found["reversals"]
    assert (row["node"], row["loss"]) == ("reversed", "domain")
    assert row["factor"] == pytest.approx(-strength, abs=1e-6)


def test_an_identity_in_place_of_the_reversal_does_not_turn_it() -> None:
    straight = SMALL.replace("GradientReversal, strength: 0.3", "GradientScale, factor: 0.3")
    (row,) = probe(trainer_of(straight))["reversals"]
    assert row["factor"] == pytest.approx(0.3, abs=1e-6)


def test_a_weighted_sum_is_taken_apart() -> None:
    text = SMALL.replace("[loss, domain]", "total").replace(
        "  adam:",
        "  total: {type: WeightedSum, factors: [1, 0.5], in: {losses: [loss, domain]}}\n  adam:",
    )
    found, whole = probe(trainer_of(text)), probe(trainer_of(SMALL))
    assert list(found["losses"]) == ["loss", "domain"]
    gradients, before = (f["links"]["reversed.x"]["gradients"] for f in (found, whole))
    assert gradients == {"domain": pytest.approx(0.5 * before["domain"], rel=1e-5)}
    assert found["links"]["scores.x"]["gradients"] == pytest.approx(
        whole["links"]["scores.x"]["gradients"]
    )


def test_probes_leave_batch_norm_gradients_and_weights_alone() -> None:
    trainer = start(nodegraph.load(ROOT / "graphs" / "dcgan.yaml"), settings={"batch": 16},
                    options=Options(device="cpu"))  # fmt: skip
    trainer.enter()
    trainer.step()
    before = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    random = torch.get_rng_state()
    found = probe(trainer)
    assert set(found["losses"]) == {"real_is_real", "fake_is_fake", "fake_is_real"}
    assert all(torch.equal(v, before[k]) for k, v in trainer.net.state_dict().items())
    assert all(p.grad is None for p in trainer.net.parameters())
    assert torch.equal(random, torch.get_rng_state())
    # The discriminator's own update stops at the image, the generator's goes through it.
    assert found["links"]["judge_fake.image"]["gradients"].keys() == {"fake_is_real"}
    # ... and a control: without being put back, the statistics would have moved.
    trainer.net.generator(trainer.sources["z"].held_out(0, 8)[0])
    assert not all(torch.equal(v, before[k]) for k, v in trainer.net.state_dict().items())


def test_a_layer_that_starts_at_0_is_dead_only_where_no_gradient_reaches_it() -> None:
    trainer = trainer_of(SMALL)
    with torch.no_grad():
        trainer.net.scores.weight.zero_()
        trainer.net.scores.bias.zero_()
    assert "dead" not in {f["kind"] for f in probe(trainer)["findings"]}
    with torch.no_grad():
        trainer.net.body.fc.bias.fill_(-1e4)  # now nothing passes the ReLU
    assert ("dead", "body/relu") in {(f["kind"], f["node"]) for f in probe(trainer)["findings"]}


def test_a_dead_layer_is_named_and_only_the_first() -> None:
    trainer = trainer_of(SMALL)
    with torch.no_grad():
        trainer.net.body.fc.bias.fill_(-1e4)
    found = probe(trainer)["findings"]
    assert [(f["kind"], f["node"]) for f in found if f["kind"] != "vanishing"] == [
        ("dead", "body/relu")
    ]
    assert "LeakyReLU" in found[0]["text"] and "100 %" in found[0]["text"]
    assert probe(trainer_of(SMALL))["findings"] == []


SPARSE = """  unit: {type: UnitVector, size: 512, index: 3}
  nothing: {type: UnitVector, size: 512, number: 0}
  amounts: {type: Linspace, start: -1, stop: 1, steps: 12}
  change: {type: Mul, in: {a: amounts, b: unit}}
  wide: {type: Linear, features: 512, in: {x: flat}}
  chosen: {type: Mul, in: {a: wide, b: FACTOR}}
  sum: {type: Add, in: {a: chosen, b: change}}
  rest: {type: ReLU, in: {x: sum}}
  more: {type: Linear, features: 10, in: {x: rest}}
  third: {type: CrossEntropy, in: {logits: more, labels: data.label}}
  loss:"""


@pytest.mark.parametrize("factor", ["unit", "change", "nothing"])
def test_what_is_0_by_construction_is_not_dead(factor: str) -> None:
    text = SMALL.replace("  loss:", SPARSE.replace("FACTOR", factor))
    trainer = trainer_of(
        text.replace("other], in: {loss: [", "other, wide, more], in: {loss: [third, ")
    )
    assert probe(trainer)["findings"] == []
    with torch.no_grad():  # and a control: all that flows into the rectifier is lost there
        trainer.net.body.fc.bias.fill_(-1e4)
    assert ("dead", "body/relu") in {(f["kind"], f["node"]) for f in probe(trainer)["findings"]}


def test_a_layer_that_gives_one_number_is_named() -> None:
    trainer = trainer_of(SMALL)
    with torch.no_grad():
        trainer.net.body.fc.weight.zero_()
        trainer.net.body.fc.bias.fill_(0.5)
    (found,) = [f for f in probe(trainer)["findings"] if f["kind"] == "constant"]
    assert found["node"] == "body/fc"


DEEP = """nodegraph: 1
title: Deep
nodes:
  data: {type: FontDigits, batch: 12, count: 64, held_out: 40}
  flat: {type: Flatten, in: {x: data.image}}
LAYERS
  scores: {type: Linear, features: 10, in: {x: a12}}
  loss: {type: CrossEntropy, in: {logits: scores, labels: data.label}}
  adam: {type: Adam, over: [OVER, scores], in: {loss: loss}}
train:
  - {stage: learn, steps: 6, run: [adam]}
"""


def deep(activation: str, init: str) -> Trainer:
    lines = []
    for i in range(1, 13):
        before = f"a{i - 1}" if i > 1 else "flat"
        lines.append(f"  l{i}: {{type: Linear, features: 32, init: {init}, in: {{x: {before}}}}}")
        lines.append(f"  a{i}: {{type: {activation}, in: {{x: l{i}}}}}")
    over = ", ".join(f"l{i}" for i in range(1, 13))
    return trainer_of(DEEP.replace("LAYERS", "\n".join(lines)).replace("OVER", over))


@pytest.mark.parametrize(
    "activation,init,kind",
    [("Sigmoid", "normal 0.1", "vanishing"), ("Identity", "normal 1", "exploding"),
     ("ReLU", "he", "")],
)  # fmt: skip
def test_a_gradient_that_is_lost_or_explodes_is_named(
    activation: str, init: str, kind: str
) -> None:
    if activation == "Identity":
        activation = "Scale"
    found = probe(deep(activation, init))["findings"]
    assert [f["kind"] for f in found] == ([kind] if kind else [])
    if kind:
        assert found[0]["node"] == "l1" and "loss" in found[0]["text"]


def test_what_is_not_finite_is_named() -> None:
    trainer = trainer_of(SMALL)
    with torch.no_grad():
        trainer.net.scores.weight[0, 0] = math.nan
    found = probe(trainer)["findings"]
    assert ("not finite", "scores") in {(f["kind"], f["node"]) for f in found}


def test_a_link_carries_a_gradient_only_where_training_needs_it() -> None:
    trainer = trainer_of(SMALL)
    unfolded = unfold(trainer.body, trainer.graph, taps=True)
    there = probes.reached(unfolded, ("body",))
    assert "body.fc" in there and "flat" not in there and "scores" in there
    assert {unfolded.path(t) for t in unfolded.links} >= {"body.x", "body/fc.x", "scores.x"}


@pytest.mark.parametrize("path", LEARNING, ids=lambda p: p.stem)
def test_every_graph_can_be_probed_and_starts_without_a_finding(
    path: Path, small: dict[str, dict[str, object]]
) -> None:
    settings = small.get(path.stem, {})
    trainer = start(nodegraph.load(path), settings=settings, options=Options(device="cpu"))
    previews = Previews(trainer)
    previews.look([], [], probes=True)
    (found,) = previews.compute()
    about = json.loads(json.dumps(found.header, allow_nan=False))["about"]
    assert about["links"] and about["weights"] and about["losses"]
    assert about["findings"] == []
    assert any(link["gradients"] for link in about["links"].values())
