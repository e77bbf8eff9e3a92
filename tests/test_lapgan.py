"""Networks that draw upon each other's images: sizes, exact sums, who moves what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from acceptance import graph
from nodegraph.nodes.ops import schedules
from nodegraph.nodes.optimisers import SGD
from PIL import Image
from torch import Tensor

import nodegraph
from nodegraph.body import Body
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import Graph, GraphError, Ref, choose
from nodegraph.library import standard
from nodegraph.training.run import start
from nodegraph.training.trainer import Options, Stepped, Trainer


def body(name: str, preset: str) -> Body:
    return resolved(settled(choose(graph(name), preset)), standard())


def trainer_of(name: str, preset: str = "quick", **settings: object) -> Trainer:
    return start(graph(name), preset, settings, options=Options(0, device="cpu"))


def losses_of(trainer: Trainer) -> list[list[float]]:
    return [list(e.losses.values()) for e in trainer.events() if isinstance(e, Stepped)]


LEVELS = {"batch": 8, "count": 30, "coarse_steps": 1, "middle_steps": 1, "steps": 1}

# LAPGAN ------------------------------------------------------------------------------------------

# Those of the unconditional networks, and what ten classes add: rows or a plane made of the label.
PLANE = {32: 10 * 1024 + 1024, 16: 10 * 256 + 256}


@pytest.mark.parametrize(
    "node, count",
    [
        ("G2", 1_792_992 + 10 * 1200),
        ("contest2.judge_real", 477_001 + 10 * 600),
        ("G0", 218_179 + 7 * 7 * 64 + PLANE[32]),
        ("G0", 232_579),
        ("contest0.judge_real", 116_545 + 5 * 5 * 64 + PLANE[32]),
        ("contest0.judge_real", 129_409),
        ("G1", 218_179 + 7 * 7 * 64 + PLANE[16]),
        ("contest1.judge_real", 108_353 + 5 * 5 * 64 + PLANE[16]),
    ],
)
def test_the_networks_of_a_laplacian_gan_have_the_sizes_of_the_code(node: str, count: int) -> None:
    assert body("lapgan", "paper").calls[node].parameters() == count


def test_a_laplacian_gan_of_the_papers_size_makes_steps() -> None:
    settings = {**LEVELS, "batch": 4, "coarse_steps": 2, "middle_steps": 2, "data": "Blended"}
    of = graph("lapgan")
    steps_alone = of.with_(train=[replace(stage, watch=()) for stage in of.train])
    trainer = start(steps_alone, "paper", settings, options=Options(0, device="cpu"))
    found = losses_of(trainer)
    assert len(found) == 5
    assert all(torch.tensor(row).isfinite().all() for row in found)
    assert found[0] != found[1] and found[2] != found[3]


@pytest.mark.parametrize("epoch", [0, 1, 30, 56])
def test_a_laplacian_gan_descends_as_the_paper_does(epoch: int) -> None:
    """By the loop of an epoch: the rate by 1.00004, the momentum by 0.0008; 45,000 images by 64."""
    found = body("lapgan", "paper")
    for call in (c for c in found.calls.values() if isinstance(c.node, SGD)):
        assert str(call.inputs["lr"]) == "rate" and str(call.inputs["momentum"]) == "momentum"
    wanted = {"rate": 0.02 / 1.00004**epoch, "momentum": min(0.5 + 0.0008 * epoch, 0.8)}
    for name, value in wanted.items():
        args = found.calls[name].node.recipe(found.calls[name].at).args
        step = round(epoch * 45_000 / 64)
        assert schedules.linear_ramp(step, 40_000, *args) == pytest.approx(value, rel=1e-5)


def test_levels_and_bands_add_up_to_the_image() -> None:
    net = nodegraph.compile(
        graph("lapgan"), ["real.digits.image"],
        ["pyramid.L0", "pyramid.low0", "pyramid.G1", "pyramid.L1", "pyramid.low1", "pyramid.top"],
    )  # fmt: skip
    image = torch.rand(3, 1, 28, 28) * 2 - 1
    band0, low0, level1, band1, low1, top = net(image)
    torch.testing.assert_close(band0 + low0, image, atol=1e-6, rtol=0)
    torch.testing.assert_close(band1 + low1, level1, atol=1e-6, rtol=0)
    assert top.shape == (3, 1, 7, 7)
    assert (low0 - image).abs().mean() > 0.1  # the band is no trifle


@pytest.mark.parametrize("level", [0, 1])
def test_a_discriminator_sees_the_band_upon_what_is_low(level: int) -> None:
    torch.manual_seed(level)
    size = 28 >> level
    band, low = torch.randn(2, 4, 1, size, size)
    label = torch.arange(4)
    end = [f"contest{level}.fake_is_fake"]
    names = [f"G{level}", f"given_pyramid.low{level}", "given.digits.label"]
    parts = nodegraph.compile(graph("lapgan"), names, end)
    whole = nodegraph.compile(graph("lapgan"), [f"refined{level}", "given.digits.label"], end)
    whole.load_state_dict(parts.state_dict())
    parts.eval(), whole.eval()
    found = parts(band, low, label)
    torch.testing.assert_close(found, whole(band + low, label))
    assert (found - whole(band, label)).abs() > 1e-4


def real_sides(of: Graph, level: int) -> tuple[Tensor, Tensor]:
    """What D of a level loses on real images, as the graph has it, and by the plain loop: the band
    of each image upon what is low in the same image, and its own label."""
    from nodegraph.nodes.ops.pyramids import expand, reduce

    torch.manual_seed(level)
    given = ["real.digits.image", "real.digits.label"]
    net = nodegraph.compile(of, given, [f"contest{level}.real_is_real"]).eval()
    image, label = torch.rand(4, 1, 28, 28) * 2 - 1, torch.arange(4)
    seen = image
    for _ in range(level):
        seen = reduce(seen, 0.4)
    if level < 2:
        low = expand(reduce(seen, 0.4), seen, 0.4)
        band = seen - low
        seen = band + low
    logits = net.get_submodule(f"contest{level}.judge_real")(seen, label)
    return net(image, label), torch.nn.functional.softplus(-logits).mean()


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_discriminator_sees_real_bands_upon_what_is_low_in_the_same_image(level: int) -> None:
    found, wanted = real_sides(graph("lapgan"), level)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    "port, other",
    [
        ("contest0.real", "pyramid.L0"), ("contest0.real", "pyramid.low0"),
        ("contest1.real", "pyramid.L1"), ("contest1.real", "pyramid.low1"),
    ],
)  # fmt: skip
def test_a_band_or_what_is_low_alone_is_no_real_image(port: str, other: str) -> None:
    of = graph("lapgan")
    spoilt = of.with_(links={**of.links, Ref.parse(port): Ref.parse(other)})
    found, wanted = real_sides(spoilt, int(port[7]))
    assert (found - wanted).abs() > 1e-4


def test_to_sample_each_generator_stands_on_what_the_one_before_has_drawn() -> None:
    """The chain of the graph is the plain loop over its three generators."""
    from nodegraph.nodes.ops.pyramids import expand

    torch.manual_seed(0)
    of = graph("lapgan")
    given = ["given.digits.image", "given.digits.label", "z0", "z1", "z2"]
    net = nodegraph.compile(of, given, ["sample"]).eval()
    image, label = torch.rand(4, 1, 28, 28), torch.arange(4)
    z0, z1, z2 = torch.rand(4, 1, 28, 28), torch.rand(4, 1, 14, 14), torch.rand(4, 100)
    x = net.G2(z2, label)
    for generator, z in ((net.G1, z1), (net.G0, z0)):
        low = expand(x, z, 0.4)
        x = low + generator(z, low, label)
    sample = net(image, label, z0, z1, z2)
    torch.testing.assert_close(sample, x)
    # Real images give the size alone.
    torch.testing.assert_close(net(1 - image, label, z0, z1, z2), sample)
    assert not torch.allclose(net(image, label.flip(0), z0, z1, z2), sample)


@pytest.mark.parametrize(
    "stage, update, moved",
    [
        (0, "d2", "contest2"), (0, "g2", "G2"),
        (1, "d1", "contest1"), (1, "g1", "G1"),
        (2, "d0", "contest0"), (2, "g0", "G0"),
    ],
)  # fmt: skip
def test_each_level_learns_by_itself(stage: int, update: str, moved: str) -> None:
    of = graph("lapgan")
    trainer = start(of.with_(train=of.train[stage : stage + 1]), "quick", LEVELS,
                    options=Options(0, device="cpu"))  # fmt: skip
    before = {k: v.clone() for k, v in trainer.net.named_parameters()}
    trainer.enter()
    trainer.only(update)
    changed = {k for k, v in trainer.net.named_parameters() if not torch.equal(v, before[k])}
    assert changed and all(k.startswith(moved) for k in changed)


@pytest.mark.parametrize("frozen", [True, False])
def test_all_discriminators_of_the_levels_can_be_frozen(frozen: bool) -> None:
    trainer = trainer_of("lapgan", "quick", **LEVELS, d_frozen=frozen)
    before = {k: v.clone() for k, v in trainer.net.named_parameters()}
    assert len(losses_of(trainer)) == 3
    changed = {k.partition(".")[0] for k, v in trainer.net.named_parameters()
               if not torch.equal(v, before[k])}  # fmt: skip
    judges = set() if frozen else {"contest0", "contest1", "contest2"}
    assert changed == {"G0", "G1", "G2"} | judges


# DeePSiM -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "node, count",
    [
        # Three matrix products of 4096, six doublings of 4×4 and two convolutions of 3×3 between.
        ("generator", 3 * (4096**2 + 4096) + 1_048_832 + 1_180_160 + 2_097_408 + 590_080 + 524_416
                      + 147_584 + 131_136 + 32_800 + 1_539),
        ("judge_real", 4_736 + 51_264 + 73_856 + 295_168 + 590_080  # convolutions
                       + 4_195_328 + 524_800 + 393_728 + 513),
        ("comparator", 2_469_696),  # AlexNet's convolutions
        ("encoder", 2_469_696 + 9216 * 4096 + 4096),
    ],
)  # fmt: skip
def test_the_networks_of_three_losses_have_the_sizes_of_the_paper(node: str, count: int) -> None:
    found = body("deepsim", "paper")
    assert found.calls[node].parameters() == count
    assert found.calls["generator"].outputs["image"].shape[1:] == (3, 227, 227)


def test_the_game_of_three_losses_of_the_papers_size_makes_steps(tmp_path: Path) -> None:
    for i in range(20):
        Image.effect_noise((240, 240), 60).convert("RGB").save(tmp_path / f"{i}.png")
    trainer = trainer_of("deepsim", "paper", folder=str(tmp_path), weights="", width=8, batch=1,
                         steps=1)  # fmt: skip
    found = losses_of(trainer)
    assert len(found) == 2 and all(torch.tensor(row).isfinite().all() for row in found)


SMALL = {"batch": 8, "count": 30, "first_steps": 1, "steps": 1}


def second_stage(preset: str, **settings: object) -> Trainer:
    of = graph("deepsim")
    trainer = start(of.with_(train=of.train[1:]), preset, {**SMALL, **settings},
                    options=Options(0, device="cpu"))  # fmt: skip
    trainer.enter()
    return trainer


def moved(preset: str, update: str, **settings: object) -> set[str]:
    trainer = second_stage(preset, **settings)
    before = {k: v.clone() for k, v in trainer.net.named_parameters()}
    trainer.only(update)
    return {
        k.partition(".")[0]
        for k, v in trainer.net.named_parameters()
        if not torch.equal(v, before[k])
    }


def test_the_comparator_passes_gradients_and_stays() -> None:
    assert moved("quick", "g_step") == {"generator"}
    assert moved("quick", "d_step") == {"judge_real"}
    with pytest.raises(GraphError, match="d_step moves nothing: all that it is over is frozen"):
        moved("d_frozen", "d_step")
    # The features alone move the generator: their gradient gets through the comparator.
    assert moved("quick", "g_step", image=0, adversarial=0) == {"generator"}
    assert moved("quick", "g_step", image=0, adversarial=0, feature=0) == set()


def test_the_loss_of_the_generator_is_the_weighted_sum_of_three() -> None:
    net = nodegraph.compile(
        graph("deepsim"), ["target.digits.image"],
        ["of_image", "of_features", "of_adversary", "generator", "seen.maps", "comparator.maps",
         "judge_fake"],
    ).eval()  # fmt: skip
    x = torch.rand(4, 3, 32, 32) * 2 - 1
    image, features, adversary, made, seen, maps, logit = net(x)
    of = graph("deepsim").params
    torch.testing.assert_close(image, of["image"] * (made - x).square().mean())
    torch.testing.assert_close(features, of["feature"] * (seen - maps).square().mean())
    torch.testing.assert_close(adversary, -of["adversarial"] * logit.sigmoid().log().mean())


@pytest.mark.parametrize(
    "preset, gone",
    [
        ("image_only", {"of_features", "of_adversary"}),
        ("without_adversary", {"of_adversary"}),
        ("without_features", {"of_features"}),
        ("without_image", {"of_image"}),
    ],
)
def test_presets_leave_losses_out(preset: str, gone: set[str]) -> None:
    names = ["of_image", "of_features", "of_adversary"]
    net = nodegraph.compile(choose(graph("deepsim"), preset), ["target.digits.image"], names)
    values = dict(zip(names, net(torch.rand(4, 3, 32, 32))))
    assert {name for name, value in values.items() if value == 0} == gone
