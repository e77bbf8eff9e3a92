"""Does a transformer find the digit, and does a warp turn the gaze? `make accept` runs these."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from acceptance import Record, draw, graph, slice_of, trained
from gaze import irises, openings
from nodegraph.nodes.ops import geometry
from torch import Tensor
from torch.nn import functional

import nodegraph
from nodegraph.graph import choose

pytestmark = pytest.mark.accept


def correlation(x: Tensor, y: Tensor) -> float:
    return torch.corrcoef(torch.stack([x, y]))[0, 1].item()


def slope(x: Tensor, y: Tensor) -> float:
    """Of the line through points (x, y)."""
    return (((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()


# Spatial transformer -----------------------------------------------------------------------------


def looks(state: dict[str, Tensor], preset: str) -> tuple[Tensor, Tensor]:
    """A_θ of the held-out digits, N 2 3, and how each had been moved, N 3."""
    of = choose(graph("spatial_transformer"), preset)
    image, _, motion = draw(of, "digits").test
    with torch.no_grad():
        theta = slice_of(of, state, ["digits.image"], ["transformer.theta"])(image)
    return (theta + torch.tensor([1.0, 0, 0, 0, 1, 0])).view(-1, 2, 3), motion


def test_the_sampler_and_its_derivative_are_exact(record: Record) -> None:
    torch.manual_seed(0)
    u, grid = torch.rand(2, 3, 9, 8), torch.rand(2, 7, 6, 2) * 2.4 - 1.2
    apart = max(
        (
            geometry.bilinear_sample(u, grid, align)
            - functional.grid_sample(u, grid, align_corners=align)
        ).abs().max().item()
        for align in (False, True)
    )  # fmt: skip
    record("spatial_transformer", "sampler of the slide against torch's", "< 1e-5", apart, 0)
    assert apart < 1e-5
    x, y = (torch.rand(2, 5).double() * 6).requires_grad_(), torch.rand(2, 5).double() * 6
    wide = u.double().requires_grad_()
    assert torch.autograd.gradcheck(geometry.Bilinear.apply, (wide, x, y.requires_grad_()))
    weights = torch.randn(2, 3, 5).double()

    def value(x: Tensor) -> Tensor:
        return (geometry.Bilinear.apply(wide, x, y) * weights).sum()

    (gradient,) = torch.autograd.grad(value(x), x)
    worst = 0.0
    for i in range(5):
        step = torch.zeros(2, 5).double()
        step[0, i] = 1e-6
        finite = (value(x + step) - value(x - step)).item() / 2e-6
        worst = max(worst, abs(finite - gradient[0, i].item()))
    record("spatial_transformer", "∂V/∂x against finite differences", "< 1e-6", worst, 0)
    assert worst < 1e-6


def test_an_untrained_transformer_is_the_identity(record: Record) -> None:
    of = graph("spatial_transformer")
    image = draw(of, "digits").test[0]
    net = nodegraph.compile(of, ["digits.image"], ["transformer.image"])
    apart = (net(image) - image).abs().max().item()
    record("spatial_transformer", "output − input at step 0", "0", apart, "–")
    assert apart == 0


def test_the_transformer_finds_the_digit_and_gains_by_it(record: Record) -> None:
    gains = []
    for seed in (0, 1, 2):
        rows, state = trained(graph("spatial_transformer"), seed)
        ours, plain = rows[-1]["accuracy"], rows[-1]["accuracy_plain"]
        record("spatial_transformer", "accuracy, transformer", "–", ours, seed,
               prototype=0.864, paper=0.983)  # fmt: skip
        record("spatial_transformer", "accuracy, plain network", "–", plain, seed,
               prototype=0.751, paper=0.965)  # fmt: skip
        gains.append(ours - plain)
        a, motion = looks(state, "quick")
        for axis, name in enumerate("xy"):
            r = correlation(a[:, axis, 2], motion[:, 1 + axis])
            other = correlation(a[:, axis, 2], motion[:, 2 - axis])
            record(
                "spatial_transformer", f"correlation, shift and θ, {name}", "> 0.7", abs(r), seed
            )
            figure = f"control: correlation with the other axis, {name}"
            record("spatial_transformer", figure, "< 0.3", abs(other), seed)
            assert abs(r) > 0.7 and abs(other) < 0.3
        # Where the middle of the digit comes out: the p with A p + t = its place.
        after = torch.linalg.solve(a[:, :, :2], (motion[:, 1:] - a[:, :, 2])[..., None])[..., 0]
        left = (after.var(0).sum() / motion[:, 1:].var(0).sum()).item()
        record("spatial_transformer", "variance of the place, after / before", "< 0.5", left, seed)
        assert left < 0.5
    record("spatial_transformer", "mean gain over the plain network", "≥ 0.05",
           sum(gains) / 3, "0–2", prototype=0.113, paper=0.018)  # fmt: skip
    assert sum(gains) / 3 >= 0.05


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_transformer_that_may_not_move_gains_nothing(seed: int, record: Record) -> None:
    of = graph("spatial_transformer")
    still = replace(of.nodes["learn"], params={"over": ("scores",)})
    rows, _ = trained(of.with_(nodes={**of.nodes, "learn": still}), seed)
    gain = rows[-1]["accuracy"] - rows[-1]["accuracy_plain"]
    record("spatial_transformer", "control: gain of a frozen transformer", "< 0.05", gain, seed)
    assert gain < 0.05


@pytest.mark.parametrize("seed", [0, 1])
def test_on_turned_digits_the_transformer_turns(seed: int, record: Record) -> None:
    rows, state = trained(graph("spatial_transformer"), seed, "rotated")
    record("spatial_transformer", "turned digits: accuracy, transformer", "–",
           rows[-1]["accuracy"], seed, prototype=0.962, paper=0.993)  # fmt: skip
    record("spatial_transformer", "turned digits: accuracy, plain network", "–",
           rows[-1]["accuracy_plain"], seed, prototype=0.967, paper=0.988)  # fmt: skip
    a, motion = looks(state, "rotated")
    near = motion[:, 0].abs() < torch.pi / 4
    found = torch.atan2(a[near, 1, 0], a[near, 0, 0])
    r = abs(correlation(found, motion[near, 0]))
    record("spatial_transformer", "turned digits: correlation, turn and θ", "> 0.5", r, seed)
    assert r > 0.5


# DeepWarp ----------------------------------------------------------------------------------------

INPUTS = ["eyes.image", "eyes.landmarks", "eyes.angle"]


def mse(x: Tensor, y: Tensor) -> float:
    return (x - y).square().mean().item()


def roughness(flow: Tensor) -> float:
    """Mean |∇D| in pixels a pixel."""
    pixels = flow * torch.tensor(flow.shape[:1:-1]).view(2, 1, 1) / 2
    return ((pixels.diff(dim=2).abs().mean() + pixels.diff(dim=3).abs().mean()) / 2).item()


@pytest.mark.parametrize("seed", [0, 1])
def test_deepwarp_turns_the_gaze_of_unseen_eyes(seed: int, record: Record) -> None:
    of = graph("deepwarp")
    _, state = trained(of, seed)
    outputs = ["light.image", "fine.image", "coarse.image", "fine.flow"]
    net = slice_of(of, state, INPUTS, [*outputs, "coarse.features", "fine.features"])
    image, landmarks, angle, target = draw(of, "eyes").held_out(0, 256)

    def take(figure: str, wanted: str, got: float, **more: Any) -> float:
        record("deepwarp", figure, wanted, got, seed, **more)
        return got

    with torch.no_grad():
        turned, warped, coarse, flow, *features = net(image, landmarks, angle)
        wrong = net(image, landmarks, -angle)[0]
        same = net(image, landmarks, torch.zeros_like(angle))[0]
        light = slice_of(of, state, ["fine.image", "coarse.features", "fine.features"],
                         ["light.image"])  # fmt: skip
        unmoved = light(image, *features)
    copied = take("baseline: error of the copied input", "–", mse(image, target), prototype=0.00795)
    error = take("error on 256 unseen eyes", "–", mse(turned, target), prototype=0.00102)
    assert take("error / copied", "≤ 0.2", error / copied, prototype=0.128) <= 0.2
    levels = [take(f"error after the {name} level", "falls", mse(x, target))
              for name, x in (("first", coarse), ("second", warped))]  # fmt: skip
    assert levels[0] > levels[1] > error
    assert take("angle 0: error against the input", "< 5e-4", mse(same, image),
                prototype=2.3e-4) < 5e-4  # fmt: skip
    assert take("control: wrong angle, error / copied", "> 1", mse(wrong, target) / copied) > 1
    zero = take("control: no flow, error / copied", "≥ 0.8", mse(unmoved, target) / copied)
    rough = take("mean slope of the flow, pixels a pixel", "< 0.3", roughness(flow))
    order = torch.randperm(flow[0, 0].numel())
    torn = take("control: the same flow, shuffled", "> 0.6",
                roughness(flow.flatten(2)[..., order].view_as(flow)))  # fmt: skip
    assert rough < 0.3 and torn > 0.6

    # Eyes that look ahead, so that the lids hide as little as may be.
    image, landmarks, angle, target = draw(of, "eyes", gaze=(0.0, 0.0)).held_out(0, 256)
    with torch.no_grad():
        turned = net(image, landmarks, angle)[0]
    where = openings(landmarks, *image.shape[2:])
    before, truth, got = (irises(x, where) for x in (image, target, turned))
    for axis, name in enumerate(("across", "up")):
        moved = (got - before)[:, axis]
        r = abs(correlation(angle[:, axis], moved))
        ratio = slope(angle[:, axis], moved) / slope(angle[:, axis], (truth - before)[:, axis])
        true_r = abs(correlation(angle[:, axis], (truth - before)[:, axis]))
        take(f"iris and angle, {name}: correlation of the truth", "–", true_r)
        take(f"iris and angle, {name}: correlation", "> 0.95", r)
        take(f"iris and angle, {name}: slope / true slope", "0.8–1.2", ratio)
        assert r > 0.95 and 0.8 < ratio < 1.2
    if zero < 0.8:
        pytest.xfail("white over the old iris alone is a third of the way to the target")
