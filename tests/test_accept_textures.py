"""Do the synthesised textures look like their source? `make accept` runs these, for minutes."""

from __future__ import annotations

import pytest
import torch
from acceptance import Record, draw, graph, slice_of, trained

from nodegraph.graph import Entry

pytestmark = pytest.mark.accept


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """The correlation of two images at the circular shift where it is highest."""
    a, b = a - a.mean((-2, -1), keepdim=True), b - b.mean((-2, -1), keepdim=True)
    product = torch.fft.rfft2(a) * torch.fft.rfft2(b).conj()
    across = torch.fft.irfft2(product, s=a.shape[-2:]).sum(1)
    return (across.max() / (a.norm() * b.norm())).item()


def test_random_filters_synthesise_a_texture(record: Record) -> None:
    texture = graph("texture_random_filters")
    images = []
    for seed in (0, 1):
        rows, state = trained(texture, seed, steps=10)
        record("texture_random_filters", "error, own filters", "< 1e-3", rows[-1]["error"], seed)
        held_out = rows[-1]["held_out"]
        record("texture_random_filters", "error, filters never used", "< 5e-3", held_out, seed)
        assert rows[-1]["error"] < 1e-3
        assert held_out < 5e-3
        images.append(state["image.value"])
        grade = slice_of(texture, state, ["image", "source"], ["held_out"])
        with torch.no_grad():
            source = draw(texture, "source", size=96).draw()[0]
            noise = grade(torch.rand_like(source) * 2 - 1, source).item()
            pebbles = {**texture.nodes, "source": Entry("PebbleTexture", {"size": 96})}
            other = draw(texture.with_(nodes=pebbles), "source").draw()[0]
            different = grade(images[-1], other).item()
        record("texture_random_filters", "baseline: noise image", "–", noise, seed)
        record("texture_random_filters", "against another texture", "> 0.1", different, seed)
        assert noise > 0.1
        assert different > 0.1
    alike = correlation(*images)
    record("texture_random_filters", "correlation of two seeds, best shift", "< 0.9", alike, "0, 1")
    assert alike < 0.9
    assert correlation(images[0], images[0].roll((7, 3), (-2, -1))) > 0.999


@pytest.mark.parametrize("seed", [0, 1])
def test_texture_net_generates_fresh_textures(seed: int, record: Record) -> None:
    net = graph("texture_net")
    _, state = trained(net, seed)
    noises = [f"noise{i}" for i in range(1, 6)]
    generate = slice_of(net, state, noises, ["generator"])
    grade = slice_of(net, state, ["generator", "source"], ["held_out"])
    torch.manual_seed(seed + 100)
    z = [torch.rand(8, 3, 3 * 2**i, 3 * 2**i) for i in range(5)]
    with torch.no_grad():
        samples = generate(*z)
        source = draw(net, "source", size=48).draw()[0]
        error = grade(samples, source).item()
        noise = grade(torch.rand_like(samples) * 2 - 1, source).item()
        spread = (samples.std(0).mean() / source.std()).item()
        wide = generate(*[torch.rand(8, 3, 6 * 2**i, 6 * 2**i) for i in range(5)])
        large = grade(wide, source).item()
        moved = generate(*[v.roll((2**i, 2**i), (-2, -1)) for i, v in enumerate(z)])
        shift = (moved - samples.roll((16, 16), (-2, -1))).abs().max().item()
    record("texture_net", "error of 8 fresh samples, other filters", "< 2e-2", error, seed)
    record("texture_net", "baseline: noise images", "–", noise, seed)
    record("texture_net", "spread / source's deviation", "≥ 0.3", spread, seed)
    record("texture_net", "error at twice the size / error", "≤ 2", large / error, seed)
    record("texture_net", "shifted noise shifts the image: difference", "< 1e-4", shift, seed)
    assert error < 2e-2 < 0.1 < noise
    assert spread >= 0.3
    assert large / error <= 2
    assert shift < 1e-4
