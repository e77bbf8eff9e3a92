"""Does the inverted network draw chairs as they were never shown? `make accept` runs these."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from acceptance import Record, draw, graph, slice_of, trained
from nodegraph.nodes.ops.metrics import iou
from torch import Tensor

pytestmark = pytest.mark.accept

AZIMUTHS = 24
INPUTS = ["chairs.label", "chairs.azimuth", "chairs.elevation", "chairs.colour"]


def shuffle_azimuths(sources: dict[str, Any]) -> None:
    """Break the wire of the azimuth: each training picture gets another's."""
    source = sources["chairs"]
    order = torch.randperm(len(source.train[0]), generator=torch.Generator().manual_seed(0))
    angles = source.angles.clone()
    angles[source.train[0]] = source.angles[source.train[0][order]]
    source.angles = angles


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's, of two lists of numbers."""
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def nearest(images: Tensor, renders: Tensor) -> Tensor:
    """For each image the number of the render that is nearest to it: N, of N K C H W."""
    return (images[:, None] - renders).square().flatten(2).mean(2).argmin(1)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_draws_chairs_at_azimuths_never_shown(seed: int, record: Record) -> None:
    chairs = graph("chairs")
    rows, state = trained(chairs, seed)
    source = draw(chairs, "chairs", batch=32)
    index, colour = source.test
    image, mask, label, azimuth, elevation, _ = source.painted(index, colour)
    assert not set(index.tolist()) & set(source.train[0].tolist())

    # Baselines: the views beside it, which were shown, and the mean of all that was shown.
    beside = index // AZIMUTHS * AZIMUTHS + (index + 1) % AZIMUTHS
    copies = [source.painted(near, colour) for near in (index - 1, beside)]
    copy = min(float((c[0] - image).square().mean()) for c in copies)
    shown = source.painted(source.train[0], source.colours(len(source.train[0]), source.generator))
    mean = float((shown[0].mean(0, keepdim=True) - image).square().mean())
    overlap_of_copy = max(float(iou(c[1], mask, 0.5)) for c in copies)

    error, overlap = rows[-1]["error"], rows[-1]["overlap"]
    record("chairs", "MSE at azimuths never shown", f"< {min(copy, mean):.4f}", error, seed,
           prototype=0.0136)  # fmt: skip
    record("chairs", "baseline: MSE of the view beside it", "–", copy, seed, prototype=0.0229)
    record("chairs", "baseline: MSE of the mean image", "–", mean, seed, prototype=0.0321)
    record("chairs", "IoU of its own mask, azimuths never shown", "≥ 0.75", overlap, seed,
           prototype=0.817)  # fmt: skip
    record("chairs", "baseline: IoU of the view beside it", "–", overlap_of_copy, seed)

    net = slice_of(chairs, state, INPUTS, ["shown.image", "shown.mask"])
    with torch.no_grad():
        drawn, outline = net(label, azimuth, elevation, colour)
    assert float((drawn - image).square().mean()) == pytest.approx(error, rel=1e-3)
    assert float(iou(outline, mask, 0.5)) == pytest.approx(overlap, abs=2e-3)

    # Another chair, seen from the same side.
    other = (label + 3) % 8
    with torch.no_grad():
        swapped, _ = net(other, azimuth, elevation, colour)
    change = float((swapped - drawn).square().mean())
    around = torch.arange(AZIMUTHS)
    renders = torch.stack([
        source.painted(c * AZIMUTHS + around, k.expand(AZIMUTHS, 3))[0]
        for c, k in zip(other, colour)
    ])  # fmt: skip
    turned = (nearest(swapped, renders) - index) % AZIMUTHS
    degrees = torch.minimum(turned, AZIMUTHS - turned) * 360 / AZIMUTHS
    everything = torch.stack([
        source.painted(torch.arange(8) * AZIMUTHS + i % AZIMUTHS, k.expand(8, 3))[0]
        for i, k in zip(index, colour)
    ])  # fmt: skip
    found = nearest(swapped, everything)
    record("chairs", "other class: median error of azimuth, °", "≤ 15", float(degrees.median()),
           seed)  # fmt: skip
    record("chairs", "other class: it is the chair asked for", "> 0.5",
           float((found == other).float().mean()), seed)  # fmt: skip
    record("chairs", "other class: MSE to the picture before", f"> {copy:.4f}", change, seed)

    # Colours it was asked for, over all these views.
    wanted = 0.2 + 0.75 * torch.rand(24, 3, generator=torch.Generator().manual_seed(seed + 50))
    inside = (mask > 0.5).float()
    got = []
    for k in wanted:
        with torch.no_grad():
            painted, _ = net(label, azimuth, elevation, k.expand(len(label), 3))
        got.append((painted * inside).sum((0, 2, 3)) / inside.sum())
    means = torch.stack(got)
    straight = min(correlation(means[:, c], wanted[:, c]) for c in range(3))
    crossed = max(abs(correlation(means[:, c], wanted.roll(1, 0)[:, c])) for c in range(3))
    record("chairs", "colour drawn against asked, least of R G B", "> 0.95", straight, seed)
    record("chairs", "control: against the colour asked before", "< 0.6", crossed, seed)

    broken, _ = trained(chairs, seed, spoil=shuffle_azimuths)
    record("chairs", "control: MSE, azimuths shuffled", f"> {copy:.4f}", broken[-1]["error"], seed)

    assert error < copy and error < mean
    assert overlap >= 0.75 and overlap > overlap_of_copy
    assert float(degrees.median()) <= 15
    assert float((found == other).float().mean()) > 0.5 and change > copy
    assert straight > 0.95 and crossed < 0.6
    assert broken[-1]["error"] > copy


@pytest.mark.parametrize("seed", [0, 1])
def test_one_stream_draws_too(seed: int, record: Record) -> None:
    rows, _ = trained(graph("chairs"), seed, "one_stream")
    record("chairs", "one stream: IoU, azimuths never shown", "≥ 0.75", rows[-1]["overlap"], seed)
    record("chairs", "one stream: MSE at azimuths never shown", "–", rows[-1]["error"], seed)
    assert rows[-1]["overlap"] >= 0.75
    assert not math.isnan(rows[-1]["error"])
