"""Whom a gradient reaches, with which sign, and whose weights it moves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nodegraph import compile as slice_of
from nodegraph import files
from nodegraph.graph import Ref
from nodegraph.library import standard
from nodegraph.reach import reach, turn
from nodegraph.scope import Scope

GRAPHS = Path(__file__).parents[1] / "graphs"
SCOPE = Scope(standard())
NET = """
nodegraph: 1
groups:
  Turn:
    inputs: {x: N D}
    outputs: {y: back}
    nodes:
      back: {type: GradientReversal, in: {x: x}}
nodes:
  noise: {type: Noise, shape: [4], batch: 3}
  a: {type: Linear, features: 4, in: {x: noise}}
  turned: {type: Turn, in: {x: a}}
  cut: {type: Detach, in: {x: a}}
  b: {type: Linear, features: 4, in: {x: turned}}
  c: {type: Linear, features: 4, in: {x: cut}}
  both: {type: Add, in: {a: b, b: c}}
  mean: {type: Mean, in: {x: both}}
  adam: {type: Adam, over: [a, b], in: {loss: mean}}
"""


def test_dann_moves_three_networks_and_reverses_one_way() -> None:
    graph = files.load(GRAPHS / "dann.yaml")
    found = reach(graph, SCOPE, "adapt")
    assert found.nodes["features"] == ("moves", "±")  # with the digits, against the domains
    assert found.nodes["features_t"] == ("moves", "−")
    assert found.nodes["digits"] == ("moves", "+") and found.nodes["domain"] == ("moves", "+")
    assert found.nodes["source"].how == found.nodes["strength"].how == "beyond"
    assert found.links[Ref("reversed", "x"), Ref("features")] == "−"
    assert found.links[Ref("domain", "x"), Ref("reversed")] == "+"
    assert turn(graph, SCOPE, Ref("reversed", "x")) == "reversed"
    assert turn(graph, SCOPE, Ref("reversed", "strength")) == ""
    assert (Ref("digit_loss", "labels"), Ref("source", "label")) not in found.links


def test_an_update_given_as_a_parameter_is_the_one_that_it_names() -> None:
    graph = files.load(GRAPHS / "dann.yaml")
    assert reach(graph, SCOPE, "$update") == reach(graph, SCOPE, "adapt")
    assert reach(graph, SCOPE, "$nothing").nodes == {} == reach(graph, SCOPE, "nobody").nodes


def test_a_loss_moves_what_its_updates_move() -> None:
    graph = files.load(GRAPHS / "dann.yaml")
    found = reach(graph, SCOPE, "domain_loss")
    assert found.nodes["domain"].how == "moves" and found.nodes["digits"].how == "beyond"
    assert found.nodes["features"] == ("moves", "−")


@pytest.fixture(scope="module")
def net():
    return files.parse(NET).graph


def test_a_reversal_inside_a_group_turns_the_sign(net) -> None:
    found = reach(net, SCOPE, "adam")
    assert found.nodes["a"] == ("moves", "−") and found.nodes["turned"].sign == "+"
    assert found.links[Ref("turned", "x"), Ref("a")] == "−"


def test_a_detached_link_ends_the_gradient(net) -> None:
    found = reach(net, SCOPE, "adam")
    assert found.links[Ref("cut", "x"), Ref("a")] == "0"
    assert found.nodes["c"] == ("reach", "+")  # not named in `over`
    assert turn(net, SCOPE, Ref("cut", "x")) == "detached"
    assert turn(net, SCOPE, Ref("b", "x")) == turn(net, SCOPE, Ref("loss", "x")) == ""


def test_a_frozen_node_is_passed_and_does_not_move(net) -> None:
    frozen = net.with_(nodes={**net.nodes, "b": net.nodes["b"].__class__(
        "Linear", {"features": 4}, frozen=True)})  # fmt: skip
    assert reach(frozen, SCOPE, "adam").nodes["b"] == ("reach", "+")


def test_the_signs_are_those_of_autograd(net) -> None:
    """Against torch: the gradient at `a` is the negative of what it is without the reversal."""
    torch.manual_seed(0)
    module = slice_of(net, inputs=["a"], outputs=["mean"])
    x = torch.randn(3, 4, requires_grad=True)
    module(x).backward()
    through_b = x.grad.clone()
    plain = {**net.nodes, "turned": net.nodes["turned"].__class__("Identity")}
    straight = slice_of(net.with_(nodes=plain), inputs=["a"], outputs=["mean"])
    straight.load_state_dict(module.state_dict())
    x.grad = None
    straight(x).backward()
    assert torch.allclose(through_b, -x.grad) and x.grad.abs().sum() > 0
