"""Bands that generators add, and detail that an adversary asks for. `make accept`, for minutes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from acceptance import Record, classifier, draw, graph, quality, slice_of, trained
from nodegraph.nodes.ops.font_digits import BlendedDigits, FontDigits
from nodegraph.nodes.ops.pyramids import expand
from torch import Tensor

from nodegraph.graph import Graph

pytestmark = pytest.mark.accept

LEVELS = {2: "7", 1: "14", 0: "28"}


def stairs(of: Graph, state: dict[str, Tensor]) -> tuple[Any, list[Tensor]]:
    """The levels of a trained LAPGAN, one drawn upon the other, and 1000 of what it draws from."""
    digits = FontDigits(1, count=1, held_out=1000, range="-1..1")
    digits.start("digits", 0)
    z = [draw(of, f"z{i}", 7).held_out(0, 1000)[0] for i in range(3)]
    net = slice_of(of, state, ["given.digits.image", "given.digits.label", "z0", "z1", "z2"],
                   ["G2", "sample1", "sample", "given_pyramid.low0", "refined0", "G0"])  # fmt: skip
    return net, [*digits.test, *z]


@pytest.mark.parametrize("seed", [0, 1])
def test_frozen_discriminators_teach_no_detail(seed: int, record: Record) -> None:
    of = graph("lapgan")
    rows, state = trained(of, seed, "d_frozen")
    for level in (1, 0):
        last = [row for row in rows if f"energy{level}.of_made" in row][-1]
        share = last[f"energy{level}.of_made"] / last[f"energy{level}.of_real"]
        words = f"control, D frozen: energy of made bands over real ones, {LEVELS[level]} px"
        record("lapgan", words, "> 2", share, seed)
        assert share > 2
    net, given = stairs(of, state)
    with torch.no_grad():
        _, _, _, low, refined, _ = net(*given)
    after, before = (quality(x.clamp(-1, 1))["kernel distance"] for x in (refined, low))
    gain = 1 - after / before
    words = "control, D frozen: distance that the bands take away over real coarse levels"
    record("lapgan", words, "< 0.3", gain, seed)
    assert gain < 0.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_level_adds_the_detail_that_the_one_before_lacks(seed: int, record: Record) -> None:
    of = graph("lapgan")
    rows, state = trained(of, seed)
    told, details = {}, {}
    for level, size in LEVELS.items():
        last = [row for row in rows if f"contest{level}.d_of_real" in row][-1]
        told[level] = (last[f"contest{level}.d_of_real"] + last[f"contest{level}.d_of_fake"]) / 2
        record("lapgan", f"D's accuracy at {size} px", "0.5 to 0.95", told[level], seed)
        if level < 2:
            details[level] = last[f"energy{level}.of_made"] / last[f"energy{level}.of_real"]
            record("lapgan", f"energy of made bands over real ones, {size} px", "0.5 to 2",
                   details[level], seed)  # fmt: skip

    net, (image, label, z0, z1, z2) = stairs(of, state)
    reader, _ = classifier()
    with torch.no_grad():
        coarse, middle, sample, low, refined, band = net(image, label, z0, z1, z2)
        # The same enlarged image and label, and other noise.
        one = [x[:1].expand(64, *x.shape[1:]) for x in (image, label)]
        bands = net(*one, z0[:64], z1[:64], z2[:64])[5]
        read = reader(sample.clamp(-1, 1))[1].argmax(1)
    blurred = expand(expand(coarse, z1, 0.4), z0, 0.4)
    found = {
        "samples": sample, "their coarse level, enlarged": blurred,
        "their middle level, enlarged": expand(middle, z0, 0.4),
        "real images, refined": refined, "control: real images, blurred": low,
    }  # fmt: skip
    distance = {}
    for name, images in found.items():
        measured = quality(images.clamp(-1, 1))
        distance[name] = measured["kernel distance"]
        record("lapgan", f"kernel distance, {name}", "–", distance[name], seed)
        if name == "samples":
            for figure in ("precision", "recall", "class entropy"):
                record("lapgan", f"{figure}, samples", "–", measured[figure], seed)
    gain = 1 - distance["samples"] / distance["their coarse level, enlarged"]
    record("lapgan", "kernel distance that the bands take away", "≥ 0.3", gain, seed)
    refined_gain = 1 - distance["real images, refined"] / distance["control: real images, blurred"]
    record("lapgan", "the same over real coarse levels", "–", refined_gain, seed)
    share = float(bands.std(0).mean() / band.std(0).mean())
    record("lapgan", "deviation of a band over z, over that of all bands", "> 0", share, seed)
    named = float((read == label).float().mean())
    record("lapgan", "samples that are read as the label that was asked for", "–", named, seed)
    assert share > 0
    assert all(0.5 < accuracy < 0.95 for accuracy in told.values())
    assert gain >= 0.3
    # At a constant rate of 0.0005 it swings: up to 6 at first, 1.1 to 2.4 at the end.
    assert all(0.5 <= detail <= 2 for detail in details.values())


# DeePSiM -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_an_adversary_makes_images_sharp_and_their_pixels_worse(seed: int, record: Record) -> None:
    of = graph("deepsim")
    # Another reader, of other weights, that no generator has been trained by.
    _, other = trained(of.with_(train=of.train[:1]), seed + 100)
    read = slice_of(of, other, ["target.digits.image"], ["comparator.maps"])
    digits = BlendedDigits(1, size=32, count=1, held_out=1000, range="-1..1")
    digits.start("digits", 0)
    image = digits.test[0]
    sharp, error, seen = {}, {}, {}
    for preset in ("quick", "image_only", "d_frozen"):
        rows, state = trained(of, seed, preset)
        sharp[preset] = rows[-1]["sharpness"] / rows[-1]["real_sharpness"]
        error[preset] = rows[-1]["error"]
        net = slice_of(of, state, ["target.digits.image"], ["generator"])
        with torch.no_grad():
            seen[preset] = float((read(net(image)) - read(image)).square().mean())
        words = {"quick": "all losses", "d_frozen": "D frozen"}.get(preset, "image only")
        record("deepsim", f"gradients over those of the targets, {words}", "–", sharp[preset], seed)
        record("deepsim", f"squared error of pixels, {words}", "–", error[preset], seed)
        record("deepsim", f"error of another reader's maps, {words}", "–", seen[preset], seed)
    gain = sharp["quick"] - sharp["image_only"]
    record("deepsim", "gradients, pixels alone", "≤ 0.75", sharp["image_only"], seed)
    record("deepsim", "what all losses add", "≥ 0.1", gain, seed)
    worse = error["quick"] / error["image_only"]
    record("deepsim", "error of pixels over that of pixels alone", "≥ 1", worse, seed)
    taught = sharp["quick"] - sharp["d_frozen"]
    record("deepsim", "what D adds, over one that is frozen", "≥ 0.1", taught, seed)
    nearer = seen["quick"] / seen["image_only"]
    record("deepsim", "error of such maps over that of pixels alone", "< 1", nearer, seed)
    # Factors chosen with the seed 0, kept for 1 and 2. At an adversarial factor of 0.02, not 0.005,
    # gradients are 2.1 and 1.3 of the targets' (seeds 0, 1), and the maps 1.18 and 0.9 as far off.
    assert sharp["image_only"] <= 0.75 and gain >= 0.1
    assert taught >= 0.1
    assert worse >= 1
    assert nearer < 1
