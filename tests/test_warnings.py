"""Each warning comes when it should, once, and not when all is well."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_apply import begun, named, same, steps

from nodegraph import files
from nodegraph.checks import check
from nodegraph.training.warnings import AGAIN, Kernels, Looks, Samples, Watch, games


def watch(name: str, **settings: Any) -> Watch:
    """The rules over the first stage of a prebuilt graph."""
    made = begun(named(name, **settings))
    return Watch(made.body, made.graph.train[0])


def codes(found: Watch, rows: list[dict[str, float]]) -> list[str]:
    """The warnings of a row of losses."""
    return [w.code for values in rows for w in found.losses(values)]


def test_a_game_is_two_updates_against_each_other() -> None:
    made = begun(named("dcgan"))
    (game,) = games(made.body, made.graph.train[0])
    assert (game.judge, game.player, str(game.made)) == ("d_step", "g_step", "seen_fake")
    for name in ("lenet", "dann", "gmmn_ae"):
        other = begun(named(name))
        assert [g for s in other.graph.train for g in games(other.body, s)] == []


def game(judge: float, player: float) -> dict[str, float]:
    return {"real_is_real": judge / 2, "fake_is_fake": judge / 2, "fake_is_real": player}


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([game(0.01, 2 + 0.1 * i) for i in range(80)], ["judge_wins"]),
        ([game(0.5, 2 + 0.1 * i) for i in range(80)], []),  # it is still wrong at times
        ([game(0.01, 2.0) for i in range(80)], []),  # the player keeps up
        ([game(0.01, 2 + 0.1 * i) for i in range(30)], []),  # too early to tell
        ([game(0.01, 2 * 1.01**i) for i in range(AGAIN + 50)], ["judge_wins"] * 2),
    ],
)
def test_a_judge_that_has_won_is_told(rows: list[dict[str, float]], wanted: list[str]) -> None:
    assert codes(watch("dcgan"), rows) == wanted


SPIKES = [game(3.0 if i % 8 == 7 else 0.05, 2.0) for i in range(60)]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([game(1.4, 0.7)] * 10 + SPIKES, ["judge_swings"]),
        ([game(4.0, 0.7)] * 10 + SPIKES, []),  # it knows more than at first, even so
        ([game(1.4, 0.7)] * 10 + [game(1.0 + 0.5 * (-1) ** i, 2.0) for i in range(60)], []),
        ([game(1.4, 0.7)] * 10 + [game(0.05 + 0.06 * (i % 3), 2.0) for i in range(60)], []),
    ],
)
def test_a_judge_that_is_sure_and_wrong_in_turn_is_told(
    rows: list[dict[str, float]], wanted: list[str]
) -> None:
    assert codes(watch("dcgan"), rows) == wanted


def falling(start: float, to: float, judge: float) -> list[dict[str, float]]:
    """The player's loss falls, that of the judge goes from 1.4 to `judge`."""
    return [game(1.4 + (judge - 1.4) * i / 59, start + (to - start) * i / 59) for i in range(60)]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([game(1.4, 0.7)] * 10 + falling(0.7, 0.05, judge=3.0), ["player_wins"]),
        ([game(1.4, 0.7)] * 10 + falling(4.0, 0.9, judge=3.0), []),  # it had been behind
        ([game(1.4, 0.7)] * 10 + falling(0.7, 0.05, judge=0.5), []),  # the judge learns, too
        ([game(1.4, 0.7)] * 10 + falling(0.7, 0.5, judge=3.0), []),
    ],
)
def test_a_player_that_is_let_off_with_garbage_is_told(
    rows: list[dict[str, float]], wanted: list[str]
) -> None:
    assert codes(watch("dcgan"), rows) == wanted


def test_a_gradient_that_is_far_too_long_for_its_losses_is_told() -> None:
    found = watch("dcgan")
    assert found.gradient("d_step", 1e9) == []  # no loss is known yet
    found.losses(game(1.4, 0.7))
    for length in (101.0, 400.0, 99.0, 102.0, 103.0):  # peaks pass
        assert found.gradient("d_step", length) == []
    (told,) = found.gradient("d_step", 104.0)
    assert (told.code, told.node) == ("steep", "d_step") and "the length 104" in told.text
    assert found.gradient("d_step", 105.0) == []  # said already
    sums = watch("dcgan")
    sums.losses(game(400.0, 200.0))  # sums over pixels have gradients of their own size
    assert [sums.gradient("g_step", 5000.0) for _ in range(4)] == [[]] * 4


def test_gradients_of_games_are_looked_at_and_left_as_they_are() -> None:
    plain, made = (steps(begun(named("dcgan")), 1) for _ in range(2))
    looks = Looks(made, Watch(made.body, made.graph.train[0]))
    assert looks.gradients.read() == {}  # no step since
    assert made.stage is not None
    judged: list[float] = []
    made.stage.optimisers["d_step"].register_step_pre_hook(
        lambda o, *_: judged.append(
            float(torch.cat([p.grad.flatten() for p in o.param_groups[0]["params"]]).norm())
        )
    )
    steps(made, 2), steps(plain, 2)
    found = looks.gradients.read()
    assert set(found) == {"d_step", "g_step"} and found["g_step"] > 0
    assert found["d_step"] == pytest.approx(judged[0], rel=1e-5) != pytest.approx(judged[1])
    assert same(made, plain)
    looks.watch.losses(game(1.4, 0.7))
    told = []
    for _ in range(3):
        looks.gradients.lengths = {"g_step": 1e4}
        told += looks.look()
    assert [(w.code, w.node) for w in told] == [("steep", "g_step")]


@pytest.mark.parametrize(
    ("losses", "wanted"),
    [
        ([2.0] * 10 + [0.5 + 0.05 * i for i in range(50)], ["rate_too_high"]),
        ([2.0 / (1 + i) for i in range(60)], []),  # it falls
        ([2.0 + 0.1 * (-1) ** i for i in range(60)], []),  # it does not learn, but it stays
        ([2.0] * 10 + [0.001 + 0.0001 * i for i in range(50)], []),  # noise near 0
        ([2.0] * 10 + [2e9] + [3.0] * 50, ["rate_too_high"]),  # a jump, and no way back
        ([2.0] * 10 + [9.0] + [3.0] * 50, []),
    ],
)
def test_a_loss_that_rises_is_told(losses: list[float], wanted: list[str]) -> None:
    assert codes(watch("lenet"), [{"loss": x} for x in losses]) == wanted


def test_a_loss_behind_a_reversal_may_rise() -> None:
    found = watch("dann")
    assert found.falling == [("adapt", "digit_loss")]
    rows = [{"digit_loss": 1.0, "domain_loss": 0.1 + 0.05 * i} for i in range(60)]
    assert codes(found, rows) == []


@pytest.mark.parametrize("collapsed", [True, False])
def test_samples_that_are_all_the_same_are_told(collapsed: bool) -> None:
    made = steps(begun(named("dcgan")), 1)
    found = Watch(made.body, made.graph.train[0])
    samples = Samples(made, found.games[0])
    state, random = made.net.state_dict(), made.state()["random"]["torch"]
    before = {k: v.clone() for k, v in state.items()}
    told = found.spread(found.games[0], samples.spread())
    assert all(torch.equal(state[k], before[k]) for k in before)
    assert torch.equal(random, made.state()["random"]["torch"])
    if collapsed:
        with torch.no_grad():
            made.net.generator.project.weight.zero_()
    for _ in range(6):
        told += found.spread(found.games[0], samples.spread())
    assert [w.code for w in told] == ["collapse"] * collapsed
    assert all(w.node == "seen_fake" for w in told)


@pytest.mark.parametrize(("kernel", "stride", "count"), [(5, 2, 1), (4, 2, 0), (3, 1, 0)])
def test_a_checkerboard_is_foretold(kernel: int, stride: int, count: int) -> None:
    text = f"""
nodegraph: 1
nodes:
  z: {{type: Noise, shape: [2, 4, 4], batch: 8}}
  up: {{type: ConvTranspose2d, channels: 3, kernel: {kernel}, stride: {stride}, in: {{x: z}}}}
"""
    found = [p for p in check(files.parse(text).graph) if "checkerboard" in p.text]
    assert len(found) == count and all(p.severity == "warning" for p in found)


def test_the_losses_of_one_update_alone_are_passed_over() -> None:
    found = watch("dcgan")
    rows = [game(0.01, 2 + 0.1 * i) for i in range(80)]
    for row in rows[:20]:
        found.losses(row)
    assert found.losses({"fake_is_real": 9.0}) == []
    assert codes(found, rows[20:]) == ["judge_wins"]


MOMENTS = """
nodegraph: 1
groups:
  Apart:
    inputs: {x: N D, y: M D}
    outputs: {loss: mmd}
    nodes:
      mmd: {type: MMD, sigmas: [SIGMA], sigma_is: KIND, in: {x: x, y: y}}
nodes:
  one: {type: Noise, shape: [50], batch: 32}
  two: {type: Noise, shape: [50], batch: 32}
  net: {type: Linear, features: 50, in: {x: one}}
  apart: {type: Apart, in: {x: net, y: two}}
  unused: {type: MMD, sigmas: [1e9], in: {x: net, y: two}}
  adam: {type: Adam, over: [net], in: {loss: apart}}
train: [{stage: s, steps: 9, run: [adam]}]
"""


@pytest.mark.parametrize(
    ("sigma", "kind", "said"),
    [
        ("1e4", "variance", "near is all that it sees"),
        ("1.0", "variance", "far is all that it sees"),
        ("50.0", "variance", ""),
        ("1e-3, 50.0", "variance", ""),  # one of them tells
        ("8.0", "length", ""),
        ("100.0", "length", "near is all that it sees"),
    ],
)
def test_a_kernel_of_the_wrong_width_is_told_once(sigma: str, kind: str, said: str) -> None:
    text = MOMENTS.replace("SIGMA", sigma).replace("KIND", kind)
    made = steps(begun(files.parse(text).graph), 1)
    kernels = Kernels(made, made.graph.train[0])
    random = made.state()["random"]["torch"]
    assert kernels.look() == kernels.look() == []  # features may be small at first, and grow
    told = kernels.look()
    assert [w.code for w in told] == ["kernel_width"] * bool(said)
    assert torch.equal(random, made.state()["random"]["torch"]) and made.net.net.training
    assert kernels.look() == []
    for warned in told:
        assert warned.node == "apart" and warned.text.startswith("apart/mmd has a kernel of width")
        assert said in warned.text
        # What it proposes is right.
        *_, proposed = warned.text.partition("set sigmas: [")
        better = text.replace(f"sigmas: [{sigma}]", f"sigmas: [{proposed.rstrip(']')}]")
        assert better != text
        again = steps(begun(files.parse(better).graph), 1)
        fitting = Kernels(again, again.graph.train[0])
        assert [fitting.look() for _ in range(4)] == [[]] * 4


def test_the_kernels_of_the_prebuilt_graphs_fit() -> None:
    made = begun(named("gmmn_ae"))
    found = []
    while not made.finished:
        kernels = Kernels(made, made.graph.train[made.index])
        found.append(len(kernels.left))
        assert [kernels.look() for _ in range(3)] == [[]] * 3
        index = made.index
        while made.index == index and not made.finished:
            steps(made, 1)
    assert found == [0, 1]
