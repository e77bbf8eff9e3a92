"""Whom a gradient reaches, with which sign, and whose weights it moves."""

from __future__ import annotations

from pathlib import Path

import hostile
import pytest
import torch
from conftest import LEARNING

from nodegraph import compile as slice_of
from nodegraph import edits, files
from nodegraph.checks import settled
from nodegraph.compiler.plan import plan
from nodegraph.graph import Graph, GraphError, Ref, Reference, choose
from nodegraph.infer import infer
from nodegraph.library import standard
from nodegraph.names import EditError
from nodegraph.reach import HOW, Reach, moved, reach, turn
from nodegraph.scope import Scope
from nodegraph.session import Session

GRAPHS = Path(__file__).parents[1] / "graphs"
LIBRARY = standard()
SCOPE = Scope(LIBRARY)
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


# What the planner does ---------------------------------------------------------------------------


def planned(graph: Graph) -> list[tuple[str, dict[str, str]]]:
    """Each update of each stage, and what the plan says of each node of the graph."""
    run, found = settled(graph), []
    body, problems = infer(run, LIBRARY)
    assert not problems and all(name in body.calls for s in run.train for name in s.run)
    for stage in run.train:
        made = plan(body, stage)
        for index, update in enumerate(made.updates):
            over, how = frozenset(update.over), dict.fromkeys(graph.nodes, "beyond")
            for name in graph.nodes:
                parts = [
                    e for e in (*made.once, *made.evaluations())
                    if e.call.name == name or e.call.name.startswith(f"{name}.")
                    if index in e.pulled_by and e.moved_by & over
                ]  # fmt: skip
                trains = [e for e in parts if e.call.owner in over and e.call.trainable()]
                how[name] = "moves" if trains else "reach" if parts else "beyond"
            top = update.call.name.partition(".")[0]  # it may be in a group
            how[top] = max(how[top], "reach", key=HOW.index)
            found.append((update.call.name, how))
    return found


def hows(found: Reach) -> dict[str, str]:
    return {name: reached.how for name, reached in found.nodes.items()}


@pytest.mark.parametrize("path", LEARNING, ids=lambda p: p.stem)
def test_what_is_reached_is_what_the_planner_evaluates_with_a_gradient(path: Path) -> None:
    graph = files.load(path)
    for preset in ("", *graph.presets):
        chosen = choose(graph, preset)
        plans = planned(chosen)
        assert plans
        for update, how in plans:
            assert hows(reach(chosen, SCOPE, update)) == how, (preset, update)


@pytest.mark.parametrize("path", LEARNING, ids=lambda p: p.stem)
def test_the_planner_agrees_with_any_one_node_bypassed_or_frozen(path: Path) -> None:
    """The overlay passes a bypassed node by where the gradient of a node before it is needed."""
    graph, compared = files.load(path), 0
    for name in [*graph.nodes][:: 1 + len(graph.nodes) // 16]:  # 16 at most: a large one takes long
        for edit in (edits.bypass, None):
            try:
                after = edit(graph, [name], SCOPE) if edit else edits.freeze(graph, name)
                plans = planned(after)
            except (EditError, AssertionError):  # it can't be spared
                continue
            for update, how in plans:
                found = hows(reach(after, SCOPE, update))
                if edit:
                    found.pop(name)
                    how.pop(name)
                assert found == how, (name, update)
                compared += 1
    assert compared > 10


def test_nothing_upstream_that_moves_is_nothing_reached() -> None:
    graph = files.load(GRAPHS / "dcgan.yaml")
    found = reach(graph, SCOPE, "d_step")
    assert found.nodes["judge_fake"] == ("moves", "+")
    assert found.nodes["generator"].how == found.nodes["real"].how == "beyond"
    back = reach(graph, SCOPE, "g_step").links
    for to, source in (("seen_fake", "generator"), ("judge_fake", "seen_fake")):
        link = Ref(to, "image"), Ref(source)
        assert link in back and link not in found.links


def bypassed(net: Graph, *names: str) -> Graph:
    return edits.bypass(net, names, SCOPE)


def test_a_bypassed_node_is_passed_by(net) -> None:
    """A reversal turns no sign, a Detach stops nothing, a layer does not move."""
    turned = reach(bypassed(net, "turned"), SCOPE, "adam")
    assert turned.nodes["a"] == ("moves", "+") and turned.nodes["turned"] == ("reach", "+")
    assert turned.links[Ref("b", "x"), Ref("turned")] == "+"
    assert turned.links[Ref("turned", "x"), Ref("a")] == "+"
    cut = reach(bypassed(net, "cut"), SCOPE, "adam")
    assert cut.nodes["a"] == ("moves", "±")
    assert cut.links[Ref("c", "x"), Ref("cut")] == cut.links[Ref("cut", "x"), Ref("a")] == "+"
    layer = reach(bypassed(net, "b"), SCOPE, "adam")
    assert layer.nodes["b"] == ("reach", "+") and layer.nodes["a"] == ("moves", "−")
    two = reach(bypassed(net, "turned", "b"), SCOPE, "adam")
    assert two.links[Ref("both", "a"), Ref("b")] == two.links[Ref("turned", "x"), Ref("a")] == "+"
    assert hows(reach(bypassed(net, "adam"), SCOPE, "adam")) == dict.fromkeys(net.nodes, "beyond")


def test_a_bypassed_node_turns_no_link(net) -> None:
    assert turn(bypassed(net, "cut"), SCOPE, Ref("cut", "x")) == ""
    dann = files.load(GRAPHS / "dann.yaml")
    assert turn(bypassed(dann, "reversed"), SCOPE, Ref("reversed", "x")) == ""
    assert turn(bypassed(dann, "reversed"), SCOPE, Ref("reversed_t", "x")) == "reversed"


def test_a_node_bypassed_in_a_group_is_passed_by(net) -> None:
    graph = edits.within(net, ["Turn"], lambda g, s: edits.bypass(g, ["back"], s), SCOPE)
    assert reach(graph, SCOPE, "adam").nodes["a"] == ("moves", "+")


FORK = """
nodegraph: 1
groups:
  Fork:
    inputs: {x: N D, z: N D}
    outputs: {plain: left, turned: back}
    nodes:
      left: {type: Linear, features: 4, in: {x: x}}
      right: {type: Linear, features: 4, frozen: true, in: {x: z}}
      back: {type: GradientReversal, in: {x: right}}
nodes:
  noise: {type: Noise, shape: [4], batch: 3}
  a: {type: Linear, features: 4, in: {x: noise}}
  b: {type: Linear, features: 4, in: {x: noise}}
  fork: {type: Fork, in: {x: a, z: b}}
  mean: {type: Mean, in: {x: fork.plain}}
  other: {type: Mean, in: {x: fork.turned}}
  adam: {type: Adam, over: [a, b, fork], in: {loss: mean}}
  sgd: {type: SGD, over: [a, b, fork], in: {loss: other}}
"""


def test_the_gradient_comes_out_of_a_group_from_the_outputs_that_it_arrives_at() -> None:
    graph = files.parse(FORK).graph
    plain, turned = (reach(graph, SCOPE, update) for update in ("adam", "sgd"))
    assert plain.nodes["a"] == ("moves", "+") and plain.nodes["b"].how == "beyond"
    assert turned.nodes["b"] == ("moves", "−") and turned.nodes["a"].how == "beyond"
    for wanted, output in ((plain, "mean"), (turned, "other")):  # as autograd has it
        module = slice_of(graph, inputs=["a", "b"], outputs=[output])
        given = {n: torch.randn(3, 4, requires_grad=True) for n in ("a", "b")}
        module(*given.values()).backward()
        touched = {n for n, x in given.items() if x.grad is not None}
        assert touched == {n for n in given if wanted.nodes[n].how == "moves"}


def test_a_group_that_is_partly_frozen_moves() -> None:
    graph = files.parse(FORK).graph
    assert reach(graph, SCOPE, "adam").nodes["fork"].how == "moves"
    assert moved(graph, SCOPE, "adam") == (["a", "fork"], [])
    whole = edits.within(graph, ["Fork"], lambda g, s: edits.freeze(g, "left"), SCOPE)
    assert reach(whole, SCOPE, "adam").nodes["fork"] == ("reach", "+")
    assert moved(whole, SCOPE, "adam") == (["a"], ["fork"])


def test_a_group_with_sources_and_updates_is_looked_into() -> None:
    graph = files.parse("""
nodegraph: 1
groups:
  All:
    outputs: {value: mean}
    nodes:
      noise: {type: Noise, shape: [4], batch: 3}
      a: {type: Linear, features: 4, in: {x: noise}}
      mean: {type: Mean, in: {x: a}}
      adam: {type: Adam, over: [a], in: {loss: mean}}
nodes:
  all: {type: All}
  w: {type: WeightedSum, in: {losses: [all]}}
  sgd: {type: SGD, over: [all], in: {loss: w}}
""").graph
    for update in ("all.adam", "sgd"):
        assert reach(graph, SCOPE, update).nodes["all"] == ("moves", "+")
    assert reach(graph, SCOPE, "sgd").links[Ref("w", "losses"), Ref("all")] == "+"


def test_a_graph_with_faults_is_shown_as_far_as_it_goes() -> None:
    seen = 0
    for name, raw in hostile.CASES["meaning"]().items():
        try:
            graph = files.parse(raw.decode()).graph
        except GraphError:
            continue
        for node in (*graph.nodes, *(f"${p}" for p in graph.params)):
            assert set(reach(graph, SCOPE, node).nodes) in (set(), set(graph.nodes)), name
            moved(graph, SCOPE, node)
            seen += 1
    assert seen > 20


def test_an_over_that_is_no_list_of_nodes_moves_nothing() -> None:
    for over in ("3", "nobody", "[lost, 3, [a]]", "$x"):
        graph = files.parse(NET.replace("over: [a, b]", f"over: {over}")
                            + "  lost: {shares: gone, in: {x: a}}\n").graph  # fmt: skip
        assert moved(graph, SCOPE, "adam") == ([], [])
        assert "moves" not in hows(reach(graph, SCOPE, "adam")).values()
    graph = files.parse("nodegraph: 1\ngroups:\n  G: {nodes: {n: {type: Noise, shape: [1]}}}\n"
                        "nodes: {g: {type: G}}\n").graph  # fmt: skip
    assert hows(reach(graph, SCOPE, "g")) == {"g": "beyond"}  # it has no output


def test_what_moves_is_told_from_what_is_frozen(net) -> None:
    assert moved(net, SCOPE, "adam") == (["a", "b"], [])
    assert moved(edits.freeze(net, "b"), SCOPE, "adam") == (["a"], ["b"])
    assert moved(bypassed(net, "b"), SCOPE, "adam") == (["a"], [])
    assert moved(net, SCOPE, "mean") == moved(net, SCOPE, "nobody") == ([], [])
    dcgan = files.load(GRAPHS / "dcgan.yaml")  # a further call alone is reached
    dcgan = edits.disconnect(dcgan, Ref("d_step", "loss"), Ref("real_is_real"))
    assert moved(dcgan, SCOPE, "d_step") == (["judge_real"], [])
    lapgan = files.load(GRAPHS / "lapgan.yaml")  # in a group that is no module of its own
    assert moved(lapgan, SCOPE, "d0") == (["contest0.judge_real"], [])
    assert moved(lapgan, SCOPE, "g0") == (["G0"], [])


def test_the_programme_says_what_is_frozen(net) -> None:
    effect = pytest.importorskip("nodegraph.gui.strip").effect
    assert effect(Session(net), "adam") == (["mean"], ["a", "b"], "a, b")
    assert effect(Session(edits.freeze(net, "b")), "adam")[2] == "a; b is frozen"
    both = edits.freeze(edits.freeze(net, "a"), "b")
    assert effect(Session(both), "adam")[1:] == ([], "nothing; a, b are frozen")
    assert effect(Session(net), "nobody") == ([], [], "nothing")
    dcgan = Session(files.load(GRAPHS / "dcgan.yaml"))
    listed = Reference("critics")  # a parameter that lists one
    assert effect(dcgan, listed) == (["real_is_real", "fake_is_fake"], ["judge_real"], "judge_real")
    dcgan.set_graph_param("critics", ("d_step", "g_step"))
    assert effect(dcgan, listed)[1] == ["judge_real", "generator"]


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
