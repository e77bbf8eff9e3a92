"""Games between networks, and moments: sizes, exact gradients, who moves what."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path

import pytest
import torch
from acceptance import graph
from nodegraph.nodes.ops import losses, moments, ring, schedules
from torch import Tensor

import nodegraph
from nodegraph import files
from nodegraph.body import Body
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import Ref, choose, refs
from nodegraph.library import standard
from nodegraph.training.run import start
from nodegraph.training.trainer import Options, Stepped, Trainer


def body(name: str, preset: str) -> Body:
    return resolved(settled(choose(graph(name), preset)), standard())


def trainer_of(name: str, preset: str = "quick", **settings: object) -> Trainer:
    return start(graph(name), preset, settings, options=Options(0, device="cpu"))


def alone(trainer: Trainer, update: str) -> None:
    """One run of one update."""
    trainer.stage or trainer.enter()
    trainer.only(update)


# Sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, preset, node, count",
    [
        ("gan", "paper", "generator", 2_503_984),
        ("gan", "paper", "judge_real", 1_231_441),
        # Batch norms of 128, 256, 128 and 64 maps beside the convolutions.
        ("ebgan", "paper", "real_energy", 1_317_507 + 2 * (128 + 256 + 128 + 64)),
        ("ebgan", "paper", "generator", 3_576_704),
        ("gmmn", "paper", "generator", 1_149_904),
        ("gmmn", "quick", "generator", 1_149_904),
    ],
)
def test_the_networks_of_the_papers_have_their_sizes(
    name: str, preset: str, node: str, count: int
) -> None:
    assert body(name, preset).calls[node].parameters() == count


def test_the_games_of_the_papers_make_two_steps(tmp_path: Path) -> None:
    import numpy
    from PIL import Image

    pixels = numpy.random.default_rng(0).integers(0, 255, (70, 70, 3), numpy.uint8)
    for i in range(20):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    for name, settings in {
        "gan": {"data": "Printed", "batch": 16, "count": 60},
        "ebgan": {"folder": str(tmp_path), "batch": 4},
        "gmmn": {"data": "Printed", "batch": 50, "count": 60},
    }.items():
        trainer = trainer_of(name, "paper", steps=2, **settings)
        found = [list(e.losses.values()) for e in trainer.events() if isinstance(e, Stepped)]
        assert len(found) == 2 and torch.tensor(found).isfinite().all()
        assert not torch.equal(torch.tensor(found[0]), torch.tensor(found[1]))


@pytest.mark.parametrize(
    "name, update, option, wanted",
    [
        ("gan", "g_descent", "lr", {0: 0.1, 1: 0.1 / 1.000004, 50_000: 0.0818731}),
        # 250 epochs of 500 steps.
        ("gan", "d_descent", "momentum", {0: 0.5, 1: 0.5000016, 62_500: 0.6, 130_000: 0.7}),
        ("gan_ring", "g_descent", "lr", {0: 0.1, 1: 0.1 / 1.000004, 10**7: 1e-6}),
        # A tenth after 10,000 steps, once and for all.
        ("gmmn", "descend", "lr", {0: 2, 9_999: 2, 10_000: 0.2, 39_999: 0.2}),
        ("gmmn", "descend", "momentum", {0: 0.9, 9_999: 0.9, 10_000: 0.99, 39_999: 0.99}),
        ("gmmn_ae", "descend_codes", "momentum", {0: 0, 49: 0, 50: 0.5, 199: 0.5, 200: 0.9}),
        ("gmmn_ae", "descend", "lr", {0: 2, 9_999: 2, 10_000: 0.2, 39_999: 0.2}),
    ],
)
def test_the_papers_schedules_are_followed(
    name: str, update: str, option: str, wanted: dict[int, float]
) -> None:
    settings = {} if name == "gan_ring" else {"data": "Printed", "count": 60}
    settings |= {"ae_steps": 2} if name == "gmmn_ae" else {}
    trainer = trainer_of(name, "paper", steps=2, batch=20, **settings)
    (made,) = refs(trainer.graph.links[Ref(update, option)])
    call = body(name, "paper").calls[made.node]
    recipe = call.node.recipe(call.at)
    for step, value in wanted.items():
        found = getattr(schedules, recipe.target.rpartition(".")[2])(step, 50_000, *recipe.args)
        assert found == pytest.approx(value, rel=1e-5)
    group = None
    for event in trainer.events():
        if isinstance(event, Stepped) and update in trainer.stage.optimisers:
            group = trainer.stage.optimisers[update].param_groups[0]
            assert group[option] == pytest.approx(wanted.get(event.step - 1, wanted[0]))
    assert group is not None


def test_moments_are_matched_at_the_rate_of_the_paper() -> None:
    """A factor too much, and after a step or two all samples are one."""
    trainer = trainer_of("gmmn", "paper", data="Printed", batch=200, steps=24)
    found = [e.losses["distance"] for e in trainer.events() if isinstance(e, Stepped)]
    assert found[-1] < 0.9 * found[0]
    net = nodegraph.compile(trainer.graph, ["h"], ["generator"])
    net.load_state_dict(
        {k: v for k, v in trainer.net.state_dict().items() if k in net.state_dict()}
    )
    assert net(trainer.sources["h"].held_out(0, 200)[0]).std(0).mean() > 0.02


# GAN ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("logit", [-8.0, -1.0, 0.0, 2.0])
def test_the_two_losses_of_a_generator_have_the_gradients_of_the_book(logit: float) -> None:
    """−σ(a) for log(1 − σ(a)), which vanishes where the judge wins; −(1 − σ(a)) for −log σ(a)."""
    net = nodegraph.compile(graph("gan"), ["judge_again"], ["log_rest", "fake_is_real"])
    for index, wanted in enumerate((-1 / (1 + math.exp(-logit)), -1 / (1 + math.exp(logit)))):
        a = torch.full((5, 1), logit, requires_grad=True)
        net(a)[index].backward()
        assert a.grad is not None
        torch.testing.assert_close(a.grad, torch.full((5, 1), wanted / 5))


def test_the_value_of_the_game_is_minus_log_4_where_the_samples_are_real() -> None:
    p = torch.tensor([0.1, 0.2, 0.3, 0.4])

    def value(made: Tensor) -> Tensor:
        best = torch.logit(p / (p + made))  # the optimal judge
        real = (p * losses.bce_with_logits(best[:, None], 1.0, "per example")).sum()
        fake = (made * losses.bce_with_logits(best[:, None], 0.0, "per example")).sum()
        return -(real + fake)

    torch.testing.assert_close(value(p), torch.tensor(-math.log(4)))
    made = torch.tensor([0.4, 0.3, 0.2, 0.1])
    mean = (p + made) / 2
    kl = sum((q * (q / mean).log()).sum() for q in (p, made))
    torch.testing.assert_close(value(made), kl - math.log(4))  # 2 JSD above the least


@pytest.mark.parametrize(
    "name, update, moved, kept",
    [
        ("gan", "d_step", "judge_real", "generator"),
        ("gan", "g_step", "generator", "judge_real"),
        ("ebgan", "d_step", "real_energy", "generator"),
        ("ebgan", "g_step", "generator", "real_energy"),
    ],
)
def test_each_player_moves_its_own_weights_alone(
    name: str, update: str, moved: str, kept: str
) -> None:
    trainer = trainer_of(name, batch=8, count=60)
    before = {k: v.clone() for k, v in trainer.net.named_parameters()}
    alone(trainer, update)
    after = dict(trainer.net.named_parameters())
    for key, value in before.items():
        owner = key.partition(".")[0]
        assert owner in (moved, kept)
        if owner == kept:
            assert torch.equal(after[key], value)
    assert any(not torch.equal(after[k], before[k]) for k in before if k.startswith(moved))


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize(
    "name, preset, settings",
    [
        ("gan", "quick", {"count": 60}),
        ("gan", "simultaneous", {"count": 60}),
        ("gan", "paper", {"count": 60, "data": "Printed"}),
        ("gan_ring", "quick", {}),
        ("gan_ring", "paper", {}),
        ("dcgan", "quick", {}),
        ("dcgan", "descent_for_the_judge", {}),
        ("dcgan", "replay", {}),
        ("ebgan", "quick", {"count": 60}),
        ("ebgan", "mnist", {"count": 60, "data": "Printed"}),
    ],
)
def test_a_frozen_discriminator_stays_bit_for_bit_and_its_generator_learns(
    name: str, preset: str, settings: dict[str, object], frozen: bool
) -> None:
    assert nodegraph.check(choose(graph(name), preset, {"d_frozen": frozen})) == []
    judge = "real_energy" if name == "ebgan" else "judge_real"
    trainer = trainer_of(name, preset, batch=16, steps=3, d_frozen=frozen, **settings)
    before = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    losses = [e.losses for e in trainer.events() if isinstance(e, Stepped)]
    assert len(losses) == 3 and all(len(row) > 1 for row in losses)  # that of D is there as well
    after = trainer.net.state_dict()
    moved = {k.partition(".")[0] for k in before if not torch.equal(after[k], before[k])}
    assert moved - {"past"} == ({"generator"} if frozen else {"generator", judge})


@pytest.mark.parametrize("name", ["gan", "gan_ring", "dcgan", "ebgan", "lapgan", "deepsim"])
def test_a_preset_freezes_the_discriminator(name: str) -> None:
    assert graph(name).presets["d_frozen"] == {"d_frozen": True}


def test_a_step_of_the_game_is_that_of_the_plain_loop() -> None:
    """Bit for bit: the judge on real and made points, then the generator against the new judge."""
    trainer = trainer_of("gan_ring", batch=32)
    net = trainer.net
    weights = {k: v.clone() for k, v in net.state_dict().items()}
    events = (e for e in trainer.events() if isinstance(e, Stepped))
    next(events), next(events)
    after = {k: v.clone() for k, v in net.state_dict().items()}

    other = trainer_of("gan_ring", batch=32)
    other.net.load_state_dict(weights)
    g, d = other.net.generator, other.net.judge_real
    adam = {m: torch.optim.Adam(m.parameters(), 1e-3, (0.5, 0.999), fused=True) for m in (g, d)}
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    for _ in range(2):
        real, z = other.sources["real"].draw()[0], other.sources["z"].draw()[0]
        fake = g(z)
        told = [d(real), d(fake.detach())]
        loss = bce(told[0], torch.ones(32, 1)) + bce(told[1], torch.zeros(32, 1))
        for module, wanted in ((d, lambda loss=loss: loss), (g, None)):
            adam[module].zero_grad()
            value = wanted() if wanted else bce(d(fake), torch.ones(32, 1))
            value.backward(inputs=list(module.parameters()))
            adam[module].step()
    for key, value in other.net.state_dict().items():
        torch.testing.assert_close(after[key], value, atol=1e-7, rtol=1e-5)


def test_the_first_samples_of_a_gan_are_near_the_mean_image() -> None:
    trainer = trainer_of("gan", "paper", data="Printed", batch=16, count=300)
    real = trainer.sources["real.digits"]
    mean = real.train[0].mean(0).clamp(0.01, 0.99)
    net = nodegraph.compile(trainer.graph, ["z", "real.logits"], ["generator"])
    net.load_state_dict(
        {k: v for k, v in trainer.net.state_dict().items() if k in net.state_dict()}
    )
    z = trainer.sources["z"].held_out(0, 200)[0]
    start = torch.logit(mean).flatten()
    error = (net(z, start) - mean).abs().mean()
    assert error < 0.15 < (net(z, 0 * start) - mean).abs().mean()


# The ring ----------------------------------------------------------------------------------------


def test_points_of_a_ring_are_around_their_centres() -> None:
    source = ring.GaussianRing(4000)
    source.start("ring", 0)
    (points,), centres = source.draw(), ring.RingCentres(8, 2.0)()
    assert torch.allclose(centres.norm(dim=1), torch.tensor(2.0))
    off = points - centres[torch.cdist(points, centres).argmin(1)]
    assert float(off.std()) == pytest.approx(0.05, rel=0.05)
    assert ring.mode_coverage(points, centres, 0.2, 0.1) == 8
    assert ring.near_share(points, centres, 0.2) > 0.998
    some = points[points[:, 0] > 1]
    assert ring.mode_coverage(some, centres, 0.2, 0.03) == 3
    assert ring.near_share(0 * points, centres, 0.2) == 0
    assert torch.equal(source.held_out(10, 20)[0], source.held_out(0, 300)[0][10:20])


def test_a_grid_of_the_plane_begins_at_the_top_left() -> None:
    grid = ring.PlaneGrid(3.0, 4)()
    assert grid.shape == (16, 2)
    assert grid[0].tolist() == [-3, 3] and grid[3].tolist() == [3, 3]
    assert grid[-1].tolist() == [3, -3]


# Tricks ------------------------------------------------------------------------------------------


def test_soft_labels_are_drawn_between_their_ends_and_sometimes_wrong() -> None:
    from nodegraph.nodes.ops.soft_labels import SoftLabels

    torch.manual_seed(0)
    like = torch.zeros(20_000, 1)
    y = SoftLabels(0.7, 1.2)(like)
    assert y.min() >= 0.7 and y.max() <= 1.2 and float(y.mean()) == pytest.approx(0.95, abs=0.01)
    assert SoftLabels(0.7, 1.2, cut=True)(like).max() == 1
    flipped = SoftLabels(1.0, 1.0, flip=0.05)(like)
    assert set(flipped.unique().tolist()) == {0.0, 1.0}
    assert float((flipped == 0).float().mean()) == pytest.approx(0.05, abs=0.01)
    assert torch.equal(SoftLabels(0.9, 0.9)(like), torch.full_like(like, 0.9))
    assert torch.equal(SoftLabels(0.7, 1.2, 0.5).eval()(like), torch.full_like(like, 0.95))


def test_a_great_circle_keeps_the_length_of_codes_where_a_line_does_not() -> None:
    from nodegraph.nodes.ops.noise import slerp

    torch.manual_seed(0)
    a, b = torch.nn.functional.normalize(torch.randn(2, 1, 64), dim=2) * 8
    t = torch.linspace(0, 1, 9)[:, None]
    way = slerp(a, b, t)
    torch.testing.assert_close(way[[0, -1]], torch.cat([a, b]), atol=1e-4, rtol=0)
    torch.testing.assert_close(way.norm(dim=1), torch.full((9,), 8.0), atol=1e-3, rtol=0)
    steps = (way[1:] - way[:-1]).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(8), atol=1e-3, rtol=0)
    assert ((1 - t) * a + t * b).norm(dim=1).min() < 7
    torch.testing.assert_close(slerp(a, a, t), a.expand(9, -1))  # no angle: a straight line
    maps = slerp(a[..., None, None], b[..., None, None], t)
    torch.testing.assert_close(maps[..., 0, 0], way)


def test_a_replay_is_that_of_a_plain_loop() -> None:
    from nodegraph.nodes.ops.replay import Replay

    pool, kept = Replay(10, (2,), 0.6), []
    for batch in range(12):
        x = torch.randn(4, 2)
        torch.manual_seed(batch)
        found = pool(x)
        torch.manual_seed(batch)  # the draws of the loop: a chance for each, and different places
        chances, places = torch.rand(4), torch.randperm(10)[:4]
        wanted, full = [], len(kept) == 10  # it changes between batches alone
        for row, chance, place in zip(x, chances, places, strict=True):
            if full and chance < 0.6:
                wanted.append(kept[place])
                kept[place] = row
            else:
                wanted.append(row)
                if not full and len(kept) < 10:
                    kept.append(row)
        assert torch.equal(found, torch.stack(wanted))
        assert torch.equal(pool.kept[: len(kept)], torch.stack(kept))
        assert torch.equal(found, x) is (batch < 3)
    assert torch.equal(pool.eval()(x), x)
    assert torch.equal(pool.kept, torch.stack(kept))


def test_what_a_replay_keeps_is_no_less_than_a_batch() -> None:
    text = """
nodegraph: 1
nodes:
  z: {type: Noise, shape: [8], batch: 5}
  past: {type: Replay, size: 4, in: {x: z}}
"""
    told = str(nodegraph.check(files.parse(text).graph)[0])
    assert "x has 5 examples, 4 are kept" in told
    for fits in (text.replace("size: 4", "size: 5"),
                 text.replace("size: 4", "size: 4, probability: 0")):  # fmt: skip
        assert nodegraph.check(files.parse(fits).graph) == []


def test_only_the_update_of_the_judge_sees_what_is_replayed() -> None:
    trainer = trainer_of("dcgan", "replay", batch=8, kept=16)
    past = trainer.net.get_submodule("past")
    alone(trainer, "g_step")
    assert past.seen == 0 and not past.kept.any()
    alone(trainer, "d_replay")
    assert past.seen == 8 and past.kept[:8].any() and not past.kept[8:].any()


@pytest.mark.parametrize("kind", ["fake", "past"])
def test_made_images_of_now_and_before_get_soft_and_flipped_labels(kind: str) -> None:
    of = choose(graph("dcgan"), "replay", {"fake_high": 0.3, "flip": 0.2})
    logit, loss = f"judge_{kind}.logit", f"{kind}_is_fake"
    net = nodegraph.compile(of, [logit], [f"{kind}_label", loss]).train()
    logits = torch.randn(2000, 1)
    labels, found = net(logits)
    assert labels[labels < 0.5].max() > 0.29 and labels.unique().numel() > 1000
    assert (labels > 0.5).float().mean() == pytest.approx(0.2, abs=0.04)
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(found, wanted)


def test_a_judge_is_told_how_much_a_batch_differs() -> None:
    from nodegraph.nodes.ops.minibatch_std import minibatch_std

    torch.manual_seed(0)
    x = torch.randn(5, 3, 2, 4, dtype=torch.float64)
    columns = [
        math.sqrt(sum((v - sum(column) / 5) ** 2 for v in column) / 5 + 1e-8)
        for column in x.flatten(1).T.tolist()
    ]
    y = minibatch_std(x)
    assert torch.equal(y[:, :3], x) and y.shape == (5, 4, 2, 4)
    torch.testing.assert_close(y[:, 3], torch.full((5, 2, 4), sum(columns) / 24).double())
    assert minibatch_std(x[:1].expand(5, -1, -1, -1))[:, 3].max() < 1e-3
    same = x[:1].repeat(5, 1, 1, 1).requires_grad_()
    minibatch_std(same).sum().backward()  # the root of 0 has no gradient, were it not for a trifle
    assert same.grad is not None and same.grad.isfinite().all()


def test_a_second_head_learns_labels_and_the_generator_does_not_know_them() -> None:
    trainer = trainer_of("dcgan", "named_digits", batch=8)
    before = {k: v.clone() for k, v in trainer.net.named_parameters()}
    alone(trainer, "g_step")
    assert torch.equal(trainer.net.judge_real.scores.weight, before["judge_real.scores.weight"])
    alone(trainer, "d_named")
    assert not torch.equal(trainer.net.judge_real.scores.weight, before["judge_real.scores.weight"])
    assert trainer.net.judge_real.scores.weight.shape == (10, 3136)


@pytest.mark.parametrize(
    "preset", [p for p in graph("dcgan").presets if p not in ("quick", "paper")]
)
def test_each_trick_trains_and_changes_what_is_trained(preset: str) -> None:
    more = {"flipped_labels": {"flip": 0.5}, "replay": {"kept": 8}}.get(preset, {})
    plain, other = two_steps_of("quick"), two_steps_of(preset, **more)
    assert all(map(math.isfinite, other)) and plain != other


@functools.cache
def two_steps_of(preset: str, **more: object) -> list[float]:
    """The losses of a trick."""
    events = trainer_of("dcgan", preset, batch=8, steps=2, **more).events()
    return [float(v) for e in events if isinstance(e, Stepped) for v in e.losses.values()]


RANGES = """
nodegraph: 1
groups:
  Made:
    inputs: {z: N D}
    outputs: {image: image}
    nodes:
      fc: {type: Linear, features: 64, in: {x: z}}
      act: {type: Tanh, in: {x: fc}}
      image: {type: Reshape, size: [1, 8, 8], in: {x: act}}
nodes:
  real: {type: FontDigits, batch: 8, size: 8}
  z: {type: Noise, shape: [4], batch: 8}
  made: {type: Made, in: {z: z}}
  rows: {type: Flatten, in: {x: real.image}}
  fake_rows: {type: Flatten, in: {x: made}}
  judge: {type: Linear, features: 1, in: {x: rows}}
  judge_fake: {shares: judge, in: {x: fake_rows}}
"""


def test_a_judge_of_two_ranges_is_warned_of() -> None:
    (told,) = map(str, nodegraph.check(files.parse(RANGES).graph))
    assert "judge_fake gets numbers in -1..1 from made.act, judge in 0..1 from real" in told
    for fits in (RANGES.replace("size: 8}", "size: 8, range: -1..1}"),
                 RANGES.replace("Tanh", "Sigmoid"), RANGES.replace("Tanh", "ReLU")):  # fmt: skip
        assert nodegraph.check(files.parse(fits).graph) == []


# Energies ----------------------------------------------------------------------------------------


def test_the_pulling_away_term_is_a_double_loop() -> None:
    torch.manual_seed(0)
    codes = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    total = 0.0
    for (i, a), (j, b) in itertools.product(enumerate(codes), repeat=2):
        if i != j:
            total = total + (a @ b / (a.norm() * b.norm())) ** 2
    torch.testing.assert_close(losses.pulling_away(codes), total / (7 * 6))
    assert torch.autograd.gradcheck(losses.pulling_away, (codes,))
    scaled = codes * torch.arange(1, 8)[:, None]
    torch.testing.assert_close(losses.pulling_away(scaled), losses.pulling_away(codes))


def test_the_pulling_away_term_reaches_the_generator_through_its_images() -> None:
    torch.manual_seed(0)
    net = nodegraph.compile(graph("ebgan"), ["z"], ["pulling"]).train()
    net(torch.randn(8, 50)).backward()
    moved = [w.grad.abs().sum() > 0 for n, w in net.named_parameters() if n.startswith("generator")
             and w.grad is not None]  # fmt: skip
    assert len(moved) > 3 and any(moved)


@pytest.mark.parametrize(
    "name, score, loss, slope",
    [
        ("gan", "judge_again", "fake_is_real", -1),  # a higher logit of its images costs less
        ("gan_ring", "judge_fake", "fake_is_real", -1),
        ("dcgan", "judge_fake.logit", "fake_is_real", -1),
        ("ebgan", "fake_energy.energy", "low_for_fake", 1),  # and a higher energy more
    ],
)
def test_a_generator_minimises_that_it_is_seen_through(
    name: str, score: str, loss: str, slope: int
) -> None:
    of = graph(name)
    assert str(of.links[Ref("g_step", "loss")]) == loss
    found = torch.randn(16, 1) if slope < 0 else torch.rand(16)
    nodegraph.compile(of, [score], [loss])(found.requires_grad_()).backward()
    assert found.grad is not None and (found.grad.sign() == slope).all()


def test_the_pulling_away_term_is_1_for_equal_codes_and_0_for_orthogonal_ones() -> None:
    assert losses.pulling_away(torch.randn(1, 6).repeat(4, 1)) == pytest.approx(1.0)
    assert losses.pulling_away(torch.eye(6)) == 0
    many = losses.pulling_away(torch.randn(500, 40))
    assert float(many) == pytest.approx(1 / 40, rel=0.1)


def test_one_code_has_nothing_to_be_pulled_away_from() -> None:
    text = """
nodegraph: 1
nodes:
  z: {type: Noise, shape: [8], batch: 1}
  pt: {type: PullingAway, in: {codes: z}}
"""
    told = str(nodegraph.check(files.parse(text).graph)[0])
    assert "codes are of one example, which has no other to differ from" in told
    assert nodegraph.check(files.parse(text.replace("batch: 1", "batch: 2")).graph) == []


@pytest.mark.parametrize("margin, moves", [(1e-3, False), (1e4, True)])
def test_a_fake_beyond_the_margin_moves_no_weight_of_the_judge(margin: float, moves: bool) -> None:
    trainer = trainer_of("ebgan", batch=8, count=60, margin=margin)
    net = nodegraph.compile(trainer.graph, ["generator"], ["high_for_fake"])
    net(torch.rand(8, 1, 28, 28)).backward()
    gradients = [p.grad.abs().sum() for p in net.parameters() if p.grad is not None]
    assert gradients and (float(sum(gradients)) > 0) is moves


def test_the_energy_is_the_sum_of_squares_over_an_image() -> None:
    net = nodegraph.compile(graph("ebgan"), ["real.digits.image"],
                            ["real_energy.energy", "real_energy.rebuilt"])  # fmt: skip
    x = torch.rand(3, 1, 28, 28)
    energy, rebuilt = net(x)
    torch.testing.assert_close(energy, (x - rebuilt).square().flatten(1).sum(1))


# Moments -----------------------------------------------------------------------------------------


def test_the_mmd_of_two_gaussians_is_known() -> None:
    """E k(x, y) of N(0, 1) and N(μ, 1) with σ: √(σ / (σ + 2)) exp(−μ² / (2 (σ + 2)))."""
    torch.manual_seed(0)
    mu, sigma, n = 1.5, 2.0, 1000

    def expected(shift: float) -> float:
        return math.sqrt(sigma / (sigma + 2)) * math.exp(-(shift**2) / (2 * (sigma + 2)))

    wanted = 2 * expected(0) - 2 * expected(mu)
    x, y = torch.randn(n, 1, dtype=torch.float64), mu + torch.randn(n, 1, dtype=torch.float64)
    found = float(moments.mmd(x, y, (sigma,), estimator="unbiased"))
    assert found == pytest.approx(wanted, abs=0.03)
    as_length = float(moments.mmd(x, y, (sigma,), "length", "unbiased"))
    assert abs(as_length - wanted) > 0.03  # the other reading of σ is another distance


def test_the_mmd_of_one_distribution_stays_within_its_permutation_band() -> None:
    torch.manual_seed(0)
    band, found = [], []
    fixed = torch.randn(80, 3)
    for _ in range(200):
        fresh = torch.randn(80, 3)
        found.append(moments.mmd(fresh[:40], fresh[40:], (2.0,), estimator="unbiased"))
        order = torch.randperm(80)
        band.append(moments.mmd(fixed[order[:40]], fixed[order[40:]], (2.0,), estimator="unbiased"))
    high = torch.stack(band).quantile(0.95)
    above = (torch.stack(found) > high).float().mean()
    assert 0.0 < above < 0.15
    moved = moments.mmd(fixed[:40], fixed[40:] + 1, (2.0,), estimator="unbiased")
    assert moved > 5 * high
