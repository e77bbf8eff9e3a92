"""Do generators learn what real digits look like? `make accept` runs these, for minutes.

All samples are measured in the features of one classifier (`acceptance.quality`), 1000 beside 1000
digits that were held out.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from acceptance import Record, draw, graph, quality, slice_of, trained
from nodegraph.nodes.ops import ring
from torch import Tensor

from nodegraph.graph import Graph

pytestmark = pytest.mark.accept

State = dict[str, Tensor]


def made(of: Graph, state: State, inputs: list[str], output: str, seed: int = 7,
         count: int = 1000) -> Tensor:  # fmt: skip
    """Samples of a trained generator, from new noise (and the first held-out values of others)."""
    net = slice_of(of, state, inputs, [output])
    given = []
    for name in inputs:
        node, _, port = name.partition(".")
        values = draw(of, node, seed, **({"batch": count} if not port else {})).held_out(0, count)
        given.append(values[0])
    with torch.no_grad():
        images: Tensor = net(*given)
    return images


def measure(
    name: str, images: Tensor, first: Tensor, seed: object, record: Record, **wanted: str
) -> dict[str, float]:
    """The quality of samples, recorded, and how far the kernel distance has fallen."""
    found, before = quality(images), quality(first)
    record(name, "kernel distance, untrained", "–", before["kernel distance"], seed)
    found["fall"] = before["kernel distance"] / max(found["kernel distance"], 1e-9)
    record(name, "kernel distance falls by", wanted.get("fall", "–"), found["fall"], seed)
    for figure in ("kernel distance", "precision", "recall", "class entropy"):
        want = wanted.get(figure.replace(" ", "_"), "–")
        record(name, figure, want, found[figure], seed)
    return found


# GAN ---------------------------------------------------------------------------------------------


def ring_samples(seed: int, preset: str) -> tuple[list[dict[str, Any]], float, float]:
    """What was watched; the modes that 2000 samples cover, and their share near any."""
    of = graph("gan_ring")
    rows, state = trained(of, seed, preset)
    points = made(of, state, ["z"], "generator", count=2000)
    centres = draw(of, "real").centres
    coverage = ring.mode_coverage(points, centres, 0.2, 0.03)
    return rows, float(coverage), float(ring.near_share(points, centres, 0.2))


def test_a_gan_covers_a_ring(record: Record) -> None:
    good = 0
    for seed in (0, 1, 2):
        _, modes, near = ring_samples(seed, "quick")
        record("gan_ring", "modes of 8 with ≥ 3 % of the samples", "≥ 6", modes, seed)
        record("gan_ring", "samples within 4σ of a mode", "≥ 0.7", near, seed)
        good += modes >= 6 and near >= 0.7
    record("gan_ring", "seeds that reach both", "≥ 2 of 3", good, "0–2")
    assert good >= 2


def test_other_games_on_the_ring_are_told(record: Record) -> None:
    """A contrast, not a condition: what the saturating loss and three steps of D give."""
    for preset in ("saturating", "three_steps"):
        rows, modes, near = ring_samples(0, preset)
        record("gan_ring", f"modes of 8, {preset}", "–", modes, 0)
        record("gan_ring", f"samples within 4σ, {preset}", "–", near, 0)
        assert len(rows) == 10


def test_a_frozen_discriminator_shows_no_ring(record: Record) -> None:
    for seed in (0, 1):
        _, modes, near = ring_samples(seed, "d_frozen")
        record("gan_ring", "control, D frozen: modes of 8", "< 6", modes, seed)
        record("gan_ring", "control, D frozen: samples within 4σ", "< 0.7", near, seed)
        assert modes < 6 and near < 0.7


def digits_of(of: Graph, state: State, inputs: list[str], output: str) -> Tensor:
    """1000 samples of a generator whose pixels are in 0..1, in −1..1."""
    net = slice_of(of, state, inputs, [output])
    given = [draw(of, inputs[0], 7).held_out(0, 1000)[0], *[logits_of_the_mean()] * len(inputs[1:])]
    with torch.no_grad():
        return 2 * net(*given).reshape(-1, 1, 28, 28) - 1


def logits_of_the_mean() -> Tensor:
    """What the GAN's generator starts at: the logits of the mean training image."""
    from nodegraph.nodes.ops.font_digits import FontDigits

    source = FontDigits(1, count=6000, held_out=1)
    source.start("digits", 0)
    return torch.logit(source.train[0].mean(0).flatten().clamp(0.01, 0.99))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_gan_of_matrix_products_makes_digits(seed: int, record: Record) -> None:
    of = graph("gan")
    images, first = (
        digits_of(of, trained(of, seed, **more)[1], ["z", "real.logits"], "generator")
        for more in ({}, {"steps": 1})
    )
    found = measure("gan", images, first, seed, record, fall="≥ 10", class_entropy="≥ 2.5")
    assert found["class entropy"] >= 2.5
    # It begins at the mean image, whose distance is 35, where that of grey is 58: the more there is
    # to learn. With 1500 steps it had fallen by 5 and 6; 1500 more are worth a factor of 3.
    assert found["fall"] >= 10


# DCGAN -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_a_convolutional_gan_makes_digits(seed: int, record: Record) -> None:
    of = graph("dcgan")
    state, begin = (trained(of, seed, **more)[1] for more in ({}, {"steps": 1}))
    z = draw(of, "z", 7).held_out(0, 1000)[0]
    with torch.no_grad():
        images, first = (slice_of(of, s, ["z"], ["generator"])(z) for s in (state, begin))
        walked = slice_of(of, state, ["z"], ["walked"])(z)
    found = measure("dcgan", images, first, seed, record, fall="≥ 20", precision="≥ 0.4",
                    recall="≥ 0.3", class_entropy="≥ 2.8")  # fmt: skip
    steps = (walked[1:] - walked[:-1]).flatten(1).norm(dim=1)
    jump = float(steps.max() / steps.median())
    record("dcgan", "largest step of a walk over the median", "≤ 3", jump, seed)
    assert images.min() >= -1 and images.max() <= 1
    assert found["fall"] >= 20
    assert found["precision"] >= 0.4 and found["recall"] >= 0.3
    assert found["class entropy"] >= 2.8
    assert jump <= 3


# EBGAN -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_energies_tell_digits_from_noise_and_come_together(seed: int, record: Record) -> None:
    of = graph("ebgan")
    rows, state = trained(of, seed)
    net = slice_of(of, state, ["real.digits.image"], ["real_energy.energy"])
    with torch.no_grad():
        noise = net(torch.rand(1000, 1, 28, 28)).mean().item()
    real, fake = rows[-1]["of_real"], rows[-1]["of_fake"]
    record("ebgan", "energy of held-out digits", "–", real, seed, prototype=11.0)
    record("ebgan", "energy of noise over that of digits", "≥ 3", noise / real, seed)
    record("ebgan", "energy of samples over that of digits", "0.5 to 2", fake / real, seed)
    assert noise / real >= 3
    assert 0.5 <= fake / real <= 2
    begin = trained(of, seed, steps=1)[1]
    images, first = (digits_of(of, s, ["z"], "generator") for s in (state, begin))
    found = measure("ebgan", images, first, seed, record, fall="≥ 10")
    record(
        "ebgan", "pulling-away term, not minimised", "–", rows[-1]["alike"], seed, prototype=0.35
    )
    # With 1500 steps it was by 4, 24 and 3. A rate that falls to 0 does not help (seed 2: by 2.5),
    # further steps do.
    assert found["fall"] >= 10


def test_pulling_away_pulls_codes_apart(record: Record) -> None:
    of = graph("ebgan")
    alike: dict[str, list[float]] = {}
    for preset, words in (("quick", "not minimised"), ("pulling_away", "minimised")):
        for seed in (0, 1, 2):
            rows, _ = trained(of, seed, preset)
            record("ebgan", f"pulling-away term, {words}", "–", rows[-1]["alike"], seed)
            alike.setdefault(preset, []).append(rows[-1]["alike"])
    without, pulled = (sum(v) / 3 for v in alike.values())
    record("ebgan", "mean pulling-away term, not minimised", "–", without, "0–2")
    record("ebgan", "mean pulling-away term, minimised", "lower", pulled, "0–2",
           missed=pulled >= without)  # fmt: skip
    if pulled >= without:
        pytest.xfail(f"{pulled:.2g} with it, {without:.2g} without")


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name, wanted", [("gan", 10), ("dcgan", 20), ("ebgan", 10)])
def test_a_frozen_discriminator_shows_no_digits(
    name: str, wanted: int, seed: int, record: Record
) -> None:
    of, distance = graph(name), []
    for more in ({}, {"steps": 1}):
        _, state = trained(of, seed, "d_frozen", **more)
        inputs = ["z", "real.logits"] if name == "gan" else ["z"]
        images = (made if name == "dcgan" else digits_of)(of, state, inputs, "generator")
        distance.append(quality(images)["kernel distance"])
    fall = distance[1] / distance[0]
    record(name, "control, D frozen: kernel distance falls by", f"< {wanted}", fall, seed)
    assert fall < wanted


# GMMN --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_moments_of_pixels_come_to_agree(seed: int, record: Record) -> None:
    of = graph("gmmn")
    rows, state = trained(of, seed)
    before, begin = trained(of, seed, steps=1)
    fall = before[-1]["mmd"] / rows[-1]["mmd"]
    record("gmmn", "held-out MMD² falls by", "≥ 20", fall, seed, prototype=79)
    other = before[-1]["other_kernel"] / rows[-1]["other_kernel"]
    record("gmmn", "held-out MMD² of a cubic kernel falls by", "–", other, seed)
    assert fall >= 20 and other > 2
    images, first = (digits_of(of, s, ["h"], "generator") for s in (state, begin))
    found = measure("gmmn", images, first, seed, record)
    coded = graph("gmmn_ae")
    _, state = trained(coded, seed)
    recall = quality(digits_of(coded, state, ["h"], "samples"))["recall"]
    record("gmmn", "recall of GMMN + AE", "higher", recall, seed,
           missed=recall <= found["recall"])  # fmt: skip
    if recall <= found["recall"]:
        pytest.xfail(f"recall is {recall:.2g} with codes, {found['recall']:.2g} with pixels")


@pytest.mark.parametrize("seed", [0, 1])
def test_bandwidths_that_are_taken_for_lengths_match_less(seed: int, record: Record) -> None:
    falls = {}
    for preset in ("quick", "as_lengths"):
        rows, _ = trained(graph("gmmn"), seed, preset)
        falls[preset] = rows[-1]["mmd"]
    record("gmmn", "held-out MMD²", "–", falls["quick"], seed, prototype=0.083)
    record("gmmn", "control: σ as lengths, held-out MMD²", "higher", falls["as_lengths"], seed)
    assert falls["quick"] < falls["as_lengths"]
