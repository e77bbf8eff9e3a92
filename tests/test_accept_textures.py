"""Do the synthesised textures look like their source? `make accept` runs these, for minutes."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable

import pytest
import torch
from acceptance import Record, graph, slice_of, trained
from nodegraph.nodes.ops.procedural import Bricks, PebbleTexture
from torch.nn import functional as F

import nodegraph
from nodegraph.graph import choose

pytestmark = pytest.mark.accept


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """The correlation of two images at the circular shift where it is highest."""
    a, b = a - a.mean((-2, -1), keepdim=True), b - b.mean((-2, -1), keepdim=True)
    product = torch.fft.rfft2(a) * torch.fft.rfft2(b).conj()
    across = torch.fft.irfft2(product, s=a.shape[-2:]).sum(1)
    return (across.max() / (a.norm() * b.norm())).item()


def made(kind: type, size: int) -> torch.Tensor:
    """A texture that is drawn from numbers."""
    source = kind(size)
    source.start("source", 0)
    return source.image


def nearest(image: torch.Tensor, source: torch.Tensor) -> float:
    """The mean distance of patches of 7×7 px to the nearest of the source's, per number."""
    patches = [F.unfold(x, 7)[0].T for x in (image, source)]  # M 147
    return (torch.cdist(*patches).amin(1).mean() / 147**0.5).item()


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
        grade = slice_of(texture, state, ["image", "source.source"], ["held_out"])
        with torch.no_grad():
            source = made(Bricks, 96)
            random = torch.rand_like(source) * 2 - 1
            noise = grade(random, source).item()
            different = grade(images[-1], made(PebbleTexture, 96)).item()
        record("texture_random_filters", "baseline: noise image", "–", noise, seed)
        record("texture_random_filters", "against another texture", "> 0.1", different, seed)
        assert noise > 0.1
        assert different > 0.1
        near, far = nearest(images[-1], source), nearest(random, source)
        name = "distance to the nearest patch of the source"
        record("texture_random_filters", name, "> 0, < noise", near, seed)
        record("texture_random_filters", "baseline: that of noise", "–", far, seed)
        assert 0.01 < near < far / 2 and nearest(source, source) < 1e-3
    alike = correlation(*images)
    record("texture_random_filters", "correlation of two seeds, best shift", "< 0.9", alike, "0, 1")
    assert alike < 0.9
    assert correlation(images[0], images[0].roll((7, 3), (-2, -1))) > 0.999


@pytest.mark.parametrize("seed", [0, 1])
def test_a_texture_is_made_larger_than_its_source(seed: int, record: Record) -> None:
    texture = graph("texture_random_filters")
    same, _ = trained(texture, seed, steps=10, size=64, image=(1, 3, 64, 64))
    large, state = trained(texture, seed, "larger", steps=20)  # four times as many pixels
    assert state["image.value"].shape == (1, 3, 128, 128)
    name = "texture_random_filters"
    for metric, words in (("error", "own filters"), ("held_out", "filters never used")):
        record(name, f"128 px from 64: error, {words}", "< 1e-3, 5e-3", large[-1][metric], seed)
    at_once = large[len(large) // 2 - 1]["held_out"] / same[-1]["held_out"]
    ratio = large[-1]["held_out"] / same[-1]["held_out"]
    record(name, "128 px from 64: error / that of 64, as many steps", "–", at_once, seed)
    record(name, "128 px from 64: error / that of 64, twice the steps", "≤ 2", ratio, seed)
    assert large[-1]["error"] < 1e-3 and large[-1]["held_out"] < 5e-3
    assert ratio <= 2


@pytest.mark.parametrize("seed", [0, 1])
def test_vgg_with_random_weights_gets_a_texture_in_part(seed: int, record: Record) -> None:
    name, texture = "texture_gatys", graph("texture_gatys")
    rows, state = trained(texture, seed)
    bank = slice_of(graph("texture_random_filters"), trained(
        graph("texture_random_filters"), seed, steps=1)[1], ["image", "source.source"],
        ["held_out"])  # fmt: skip
    with torch.no_grad():
        source = made(Bricks, 64)
        random = torch.rand_like(source) * 2 - 1
        found, noise, other = (
            bank(*pair).item()
            for pair in (
                (state["image.value"], source),
                (random, source),
                (state["image.value"], made(PebbleTexture, 64)),
            )
        )
    record(name, "sum of five layers' errors", "< 5e-3", rows[-1]["sum"], seed)
    record(name, "error, random filters never used", "< noise / 10", found, seed)
    record(name, "baseline: noise image", "–", noise, seed)
    record(name, "against another texture", "> 0.1", other, seed)
    assert rows[-1]["sum"] < 5e-3
    assert found < noise / 10 and other > 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_texture_net_generates_fresh_textures(seed: int, record: Record) -> None:
    net = graph("texture_net")
    _, state = trained(net, seed)
    noises = [f"noise{i}" for i in range(6)]
    generate = slice_of(net, state, noises, ["generator"])
    grade = slice_of(net, state, ["generator", "source.source"], ["held_out", "loss"])
    torch.manual_seed(seed + 100)
    z = noise_of(8)
    with torch.no_grad():
        samples = generate(*z)
        source = made(Bricks, 48)
        error, own = (v.item() for v in grade(samples, source))
        noise = grade(torch.rand_like(samples) * 2 - 1, source)[0].item()
        spread = (samples.std(0).mean() / source.std()).item()
        large = grade(generate(*noise_of(8, 6)), source)[0].item()
        moved = generate(z[0], *[v.roll((2**i, 2**i), (-2, -1)) for i, v in enumerate(z[1:])])
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
    before = passes(generate)
    seconds, losses = optimised(slice_of(net, state, ["pixels", "source.source"], ["pixels_loss"]),
                                source, seed, own)  # fmt: skip
    took, each = (statistics.median(times) for times in zip(*before, *passes(generate)))
    then = min(v for s, v in zip(seconds, losses) if s <= max(10 * took, seconds[0]))
    record("texture_net", "loss of the samples, own filters", "< optimised", own, seed)
    record("texture_net", "loss optimised in 10 × the time of a pass", "–", then, seed)
    faster = seconds[-1] / took
    record("texture_net", "time optimised to their loss / of a pass", "≥ 100", faster, seed)
    name = "time optimised to their loss / of a pass for 8, for each"
    record("texture_net", name, "≥ 100", seconds[-1] / each, seed)
    assert own < then and losses[-1] <= own
    if min(faster, seconds[-1] / each) < 100:
        pytest.xfail(
            f"{faster:.0f} times, {seconds[-1] / each:.0f} of a pass for 8 at once, of CPU time: "
            f"an evaluation of these filters costs little more than a pass, as their transforms "
            f"are kept, and {len(losses)} reach the loss; by VGG-19 it is hundreds of times"
        )


@pytest.mark.parametrize("seed", [0, 1])
def test_a_pass_is_a_hundred_times_faster_than_vgg(seed: int, record: Record) -> None:
    """The slide's race, 0.06 s against 10 s, by its network with random weights, at 64 px."""
    _, state = trained(graph("texture_net"), seed, "random_vgg", optimise_steps=1)
    net = choose(graph("texture_net"), "random_vgg")
    generate = slice_of(net, state, [f"noise{i}" for i in range(6)], ["generator"])
    grade = slice_of(net, state, ["generator", "source.source"], ["loss", "held_out"])
    torch.manual_seed(seed + 100)
    source = made(Bricks, 64)
    with torch.no_grad():
        own, error = (v.item() for v in grade(generate(*noise_of(8, 4)), source))
    before = passes(generate, 4)
    judge = slice_of(net, state, ["pixels", "source.source"], ["pixels_loss"])
    seconds, losses = optimised(judge, source, seed, own)
    took, each = (statistics.median(times) for times in zip(*before, *passes(generate, 4)))
    name, how = "texture_net", "random_vgg"
    record(name, f"{how}: loss of the samples", "< optimised", own, seed)
    record(name, f"{how}: error by random filters never used", "–", error, seed)
    record(name, f"{how}: evaluations to reach that loss", "–", len(losses), seed)
    record(name, f"{how}: time of them / of a pass", "≥ 167", seconds[-1] / took, seed)
    record(name, f"{how}: … / of a pass for 8, for each", "≥ 167", seconds[-1] / each, seed)
    assert losses[-1] <= own and min(seconds[-1] / took, seconds[-1] / each) >= 167


def test_an_evaluation_of_vgg_takes_as_long_as_many_passes(record: Record) -> None:
    """At the paper's size, with random weights, which cost as much. The slide has 10 s against
    0.06 s, so 167 passes for all evaluations of an optimisation together."""
    net = choose(graph("texture_net"), "paper", {"weights": "", "batch": 1})
    generate = nodegraph.compile(net, [f"noise{i}" for i in range(6)], ["generator"]).eval()
    judge = nodegraph.compile(net, ["pixels"], ["pixels_filters.style"]).requires_grad_(False)
    image = (torch.rand(1, 3, 256, 256) * 2 - 1).requires_grad_()
    z = [torch.rand(1, 3, 8 * 2**i, 8 * 2**i) for i in range(6)]

    def made() -> None:
        with torch.no_grad():
            generate(*z)

    def evaluated() -> None:
        judge(image).square().sum().backward()

    times = [(timed(evaluated), timed(made)) for _ in range(4)][1:]
    ratio = statistics.median(a / b for a, b in times)
    record("texture_net", "an evaluation of VGG-19 / a pass, time at 256 px", "–", ratio, "–")
    assert ratio > 5


def noise_of(batch: int, coarsest: int = 3) -> list[torch.Tensor]:
    """The noise of each scale, the coarsest of so many pixels; the first is not read."""
    sizes = [1, *(coarsest * 2**i for i in range(5))]
    return [torch.rand(batch, 3, size, size) for size in sizes]


def passes(generate: Callable[..., torch.Tensor], coarsest: int = 3) -> list[tuple[float, float]]:
    """Seconds of a pass for one image, and of one for 8 for each of them, in turn: how fast the
    machine is changes by the second, where others use it too."""
    z = noise_of(1, coarsest), noise_of(8, coarsest)
    with torch.no_grad():
        return [(timed(lambda: generate(*z[0])), timed(lambda: generate(*z[1])) / 8)
                for _ in range(15)]  # fmt: skip


def timed(run: Callable[[], object]) -> float:
    """Seconds of the processor, as others may use it too."""
    begun = time.process_time()
    run()
    return time.process_time() - begun


def optimised(
    judge: torch.nn.Module, source: torch.Tensor, seed: int, wanted: float
) -> tuple[list[float], list[float]]:
    """When an image that L-BFGS optimises had which loss, up to the wanted one."""
    judge.requires_grad_(False)  # as in training, where they are fixed
    torch.manual_seed(seed)
    image = (torch.rand_like(source) * 2 - 1).requires_grad_()
    lbfgs = torch.optim.LBFGS([image], max_iter=1000, history_size=20, tolerance_grad=0,
                              tolerance_change=0, line_search_fn="strong_wolfe")  # fmt: skip
    begun, seconds, losses = time.process_time(), [], []

    def closure() -> torch.Tensor:
        if losses and min(losses) <= wanted:
            raise StopIteration
        lbfgs.zero_grad()
        loss = judge(image, source)
        losses.append(loss.item())
        seconds.append(time.process_time() - begun)
        loss.backward()
        return loss

    with contextlib.suppress(StopIteration):
        lbfgs.step(closure)  # type: ignore[arg-type]
    return seconds, losses
