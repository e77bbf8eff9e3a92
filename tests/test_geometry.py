"""Grids, samplers, and the pictures that are made to be warped."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import ROOT
from gaze import irises, openings
from nodegraph.nodes.ops import geometry
from nodegraph.nodes.ops.distorted_digits import DistortedDigits
from nodegraph.nodes.ops.eyes import Eyes
from torch import Tensor
from torch.nn import functional

import nodegraph
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import Ref, choose
from nodegraph.library import standard
from nodegraph.training.previews import Previews
from nodegraph.training.run import start
from nodegraph.training.trainer import Stepped

GRIDS: dict[str, tuple[Any, int]] = {
    "affine": (geometry.affine_grid, 6),
    "attention": (geometry.attention_grid, 3),
    "projective": (geometry.projective_grid, 8),
    "thin plate": (lambda *args: geometry.thin_plate_grid(*args, 4), 32),
}


# Grids -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("name", GRIDS)
def test_zero_is_the_identity(name: str, align: bool) -> None:
    make, numbers = GRIDS[name]
    x = torch.rand(2, 3, 32, 41)
    grid = make(torch.zeros(2, numbers), 32, 41, align)
    eye = torch.tensor([[1.0, 0, 0, 0, 1, 0]] * 2).view(-1, 2, 3)
    torch.testing.assert_close(grid, functional.affine_grid(eye, list(x.shape), align))
    same = functional.grid_sample(x, grid, align_corners=align)
    torch.testing.assert_close(same, x, atol=1e-5, rtol=0)
    moved = make(torch.full((2, numbers), 0.1), 32, 41, align)
    assert (functional.grid_sample(x, moved, align_corners=align) - x).abs().max() > 0.1


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("name", GRIDS)
def test_grids_pass_gradcheck(name: str, align: bool) -> None:
    make, numbers = GRIDS[name]
    theta = (0.1 * torch.randn(2, numbers).double()).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: make(t, 4, 5, align), (theta,))


@pytest.mark.parametrize("align", [False, True])
def test_an_affine_grid_is_torchs(align: bool) -> None:
    theta = torch.randn(3, 6)
    wanted = functional.affine_grid(theta.view(-1, 2, 3), [3, 1, 5, 7], align)
    torch.testing.assert_close(geometry.affine_grid(theta, 5, 7, align, absolute=True), wanted)


def test_all_grids_agree_on_a_zoom_with_a_shift() -> None:
    zoom, x, y = -0.4, 0.2, -0.1
    grids = [
        geometry.affine_grid(torch.tensor([[zoom, 0, x, 0, zoom, y]]), 6, 7, False),
        geometry.attention_grid(torch.tensor([[zoom, x, y]]), 6, 7, False),
        geometry.projective_grid(torch.tensor([[zoom, 0, x, 0, zoom, y, 0, 0]]), 6, 7, False),
    ]
    at = geometry.middles(4, 4, True, torch.zeros(())).view(1, 16, 2)
    bend = at * zoom + torch.tensor([x, y])  # a spline through a plane is that plane
    grids.append(geometry.thin_plate_grid(bend.flatten(1), 6, 7, False, 4))
    for grid in grids:
        torch.testing.assert_close(grid, grids[0])


def test_a_homography_maps_corners_as_by_hand() -> None:
    theta = torch.tensor([[0.1, 0.2, -0.1, 0.05, -0.2, 0.3, 0.2, -0.1]]).double()
    h = [[1.1, 0.2, -0.1], [0.05, 0.8, 0.3], [0.2, -0.1, 1.0]]
    grid = geometry.projective_grid(theta, 2, 2, True)[0]
    for i, j in itertools.product((0, 1), repeat=2):
        u, v, w = (row[0] * (2 * j - 1) + row[1] * (2 * i - 1) + row[2] for row in h)
        assert grid[i, j].tolist() == pytest.approx([u / w, v / w])


def test_a_spline_passes_through_its_points_and_is_scipys() -> None:
    from scipy.interpolate import RBFInterpolator

    torch.manual_seed(0)
    theta = torch.randn(1, 32).double()
    flow = theta.view(16, 2)
    at_points = geometry.thin_plate_grid(theta, 4, 4, True, 4)
    identity = geometry.middles(4, 4, True, theta)
    torch.testing.assert_close(at_points[0] - identity, flow.view(4, 4, 2))
    fit = RBFInterpolator(identity.view(-1, 2), flow, kernel="thin_plate_spline", degree=1)
    pixels = geometry.middles(9, 11, False, theta)
    wanted = torch.from_numpy(fit(pixels.view(-1, 2))).view(9, 11, 2)
    torch.testing.assert_close(geometry.thin_plate_grid(theta, 9, 11, False, 4)[0] - pixels, wanted)


@pytest.mark.parametrize("align", [False, True])
def test_a_flow_of_pixels_moves_by_pixels(align: bool) -> None:
    x = torch.rand(1, 1, 6, 9)
    flow = torch.zeros(1, 2, 6, 9)
    flow[:, 0], flow[:, 1] = 2, -1  # each pixel comes from 2 to the right and 1 above
    moved = functional.grid_sample(x, geometry.flow_grid(flow, align, "px"), align_corners=align)
    torch.testing.assert_close(moved[..., 1:, :7], x[..., :5, 2:], atol=1e-5, rtol=0)
    assert moved[..., 0, :].abs().max() < 1e-5
    halves = flow / torch.tensor([9 - align, 6 - align]).view(2, 1, 1) * 2
    torch.testing.assert_close(
        geometry.flow_grid(halves, align, "half image"), geometry.flow_grid(flow, align, "px")
    )


def test_anchor_maps_are_0_at_their_landmark_and_a_vector_is_tiled() -> None:
    at = geometry.middles(5, 8, False, torch.zeros(()))
    landmarks = torch.stack([at[1, 2], at[4, 7]])[None]
    maps = geometry.anchor_maps(landmarks, 5, 8, False)
    assert maps.shape == (1, 4, 5, 8)
    assert maps[0, :2, 1, 2].tolist() == [0, 0] == maps[0, 2:, 4, 7].tolist()
    assert maps[0, 0, 1, 3].item() == pytest.approx(2 / 8)  # x grows to the right
    assert maps[0, 1, 2, 2].item() == pytest.approx(2 / 5)  # y downwards
    assert torch.equal(
        geometry.tile(torch.tensor([[3.0, 4.0]]), 2, 2)[0, 1], torch.full((2, 2), 4.0)
    )


# The sampler of the slide ------------------------------------------------------------------------


@pytest.mark.parametrize("align", [False, True])
def test_the_sampler_of_the_slide_is_torchs(align: bool) -> None:
    torch.manual_seed(0)
    u, grid = torch.rand(3, 2, 6, 7), torch.rand(3, 5, 4, 2) * 2.8 - 1.4  # beyond the border too
    given = [(u.clone().requires_grad_(), grid.clone().requires_grad_()) for _ in range(2)]
    ours = geometry.bilinear_sample(*given[0], align)
    theirs = functional.grid_sample(*given[1], align_corners=align)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    for result in (ours, theirs):
        (result * torch.arange(result.numel()).view_as(result)).sum().backward()
    for a, b in zip(*given, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-3, rtol=1e-4)
    other = functional.grid_sample(u, grid, align_corners=not align)
    assert (ours - other).abs().max() > 0.01


def sampled(u: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return geometry.Bilinear.apply(u, x, y)


def test_the_derivative_of_the_slide_is_the_sums_of_the_slide_and_passes_gradcheck() -> None:
    torch.manual_seed(1)
    u = torch.randn(1, 2, 4, 5).double().requires_grad_()
    x = (torch.rand(1, 3).double() * 4).requires_grad_()
    y = (torch.rand(1, 3).double() * 3).requires_grad_()
    assert torch.autograd.gradcheck(sampled, (u, x, y))
    v = sampled(u, x, y)
    for c, i in ((0, 0), (1, 2)):
        at, to = x[0, i].item(), y[0, i].item()
        value = slope = 0.0
        for n in range(4):
            for m in range(5):
                high = max(0.0, 1 - abs(to - n))
                value += u[0, c, n, m].item() * max(0.0, 1 - abs(at - m)) * high
                sign = 0 if abs(m - at) >= 1 else 1 if m >= at else -1
                slope += u[0, c, n, m].item() * high * sign
        assert v[0, c, i].item() == pytest.approx(value)
        (found,) = torch.autograd.grad(v[0, c, i], x, retain_graph=True)
        assert found[0, i].item() == pytest.approx(slope)
        step = 1e-6
        ahead, behind = (sampled(u, x + s, y)[0, c, i].item() for s in (step, -step))
        assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-5)


def test_at_a_whole_place_the_slide_has_the_pixel_itself_as_its_slope() -> None:
    u = torch.tensor([[[[2.0, 5.0, 11.0]]]])
    x = torch.tensor([[1.0]], requires_grad=True)
    sampled(u, x, torch.zeros(1, 1)).sum().backward()
    assert x.grad is not None and x.grad.item() == 5  # not 6 ahead, nor 3 behind


# Sources -----------------------------------------------------------------------------------------


def test_digits_lie_where_their_motion_says() -> None:
    source = DistortedDigits(256, size=48, turn=180.0, clutter=0, smallest=0.4, largest=0.4)
    source.start("data", 0)
    digits = source.train[0][source.order[:256]]
    images, _, motion = source.draw()
    upright = source.distorted(digits, digits, digits, torch.full((256, 4), 0.5))[0]
    # Turning and moving it back gives an upright digit in the middle.
    cos, sin = motion[:, 0].cos(), motion[:, 0].sin()
    theta = torch.stack([cos, -sin, motion[:, 1], sin, cos, motion[:, 2]], 1)

    def undone(theta: Tensor) -> float:
        grid = functional.affine_grid(theta.view(-1, 2, 3), list(images.shape), False)
        found = functional.grid_sample(images, grid, align_corners=False)
        return (found - upright).abs().mean().item() / upright.abs().mean().item()

    assert undone(theta) < 0.1
    assert undone(torch.stack([cos, sin, motion[:, 1], -sin, cos, motion[:, 2]], 1)) > 0.3
    assert undone(torch.stack([cos, -sin, motion[:, 2], sin, cos, motion[:, 1]], 1)) > 0.3


def test_clutter_is_added_and_hides_nothing() -> None:
    plain, full = (DistortedDigits(64, clutter=n) for n in (0, 6))
    for source in (plain, full):
        source.start("data", 0)
    digits, labels = plain.train[0][:64], torch.zeros(64)
    chance = torch.rand(64, full.numbers)
    alone = plain.distorted(digits, labels, digits, chance[:, :4])[0]
    both = full.distorted(digits, labels, digits, chance)[0]
    assert (both >= alone).all()
    more = (both > alone).float().mean().item()
    assert 0.01 < more <= 6 * 36 / 32**2


def test_digits_of_mnist_are_distorted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from nodegraph.nodes.ops.downloads import MNIST

    def read(self: MNIST, training: bool) -> tuple[Tensor, Tensor]:
        count = 40 if training else 10
        return torch.full((count, 1, 28, 28), 255).byte(), torch.arange(count).byte() % 10

    monkeypatch.setattr(MNIST, "read", read)
    source = DistortedDigits(16, 60, digits="MNIST", clutter=16, smallest=0.4667, largest=0.4667)
    source.start("data", 0)
    images, labels, motion = source.draw()
    assert images.shape == (16, 1, 60, 60) and labels.dtype == torch.long
    assert images.min() == 0 and images.max() == pytest.approx(1)
    assert source.held_out_size() == 10 and motion.shape == (16, 3)


def test_eyes_look_where_they_are_told_and_landmarks_lie_on_them() -> None:
    eyes = Eyes(256, gaze=(0.0, 0.0), change=(20.0, 15.0))
    eyes.start("eyes", 0)
    image, landmarks, angle, target = eyes.draw()
    opening = openings(landmarks, 32, 40)
    before, after = irises(image, opening), irises(target, opening)
    assert (before - landmarks[:, 6]).abs().mean() < 0.06  # the pupil
    moved = after - before
    across, up = (torch.corrcoef(torch.stack([angle[:, i], moved[:, i]]))[0, 1] for i in (0, 1))
    assert across > 0.95 and up < -0.95  # up is where y is small
    wanted = 0.8 * torch.sin(angle[:, 0] * math.pi / 180)
    assert (moved[:, 0] - wanted).abs().mean() < 0.05
    assert (landmarks[:, 0, 0] < landmarks[:, 6, 0]).all()
    assert (landmarks[:, 3, 0] > landmarks[:, 6, 0]).all()
    assert (landmarks[:, 1, 1] < landmarks[:, 5, 1]).all()  # the upper lid is above the lower
    ahead = Eyes(64, gaze=(0.0, 0.0), change=(0.0, 0.0))
    ahead.start("eyes", 0)
    image, _, angle, target = ahead.draw()
    assert torch.equal(image, target) and not angle.any()


def test_held_out_eyes_are_never_trained_on() -> None:
    eyes = Eyes(64)
    eyes.start("eyes", 0)
    held_out = eyes.held_out(0, 256)[0].flatten(1)
    seen = torch.cat([eyes.draw()[0] for _ in range(8)]).flatten(1)
    assert torch.cdist(seen, held_out).min() > 0.1
    assert torch.cdist(held_out, held_out).fill_diagonal_(1).min() > 0.1


# Graphs ------------------------------------------------------------------------------------------


def sizes(name: str, preset: str) -> dict[str, int]:
    of = settled(choose(nodegraph.load(ROOT / "graphs" / f"{name}.yaml"), preset))
    calls = resolved(of, standard()).calls
    return {n: c.parameters() for n, c in calls.items() if c.owner == n and c.parameters()}


def test_the_networks_have_the_sizes_of_the_specification() -> None:
    found = sizes("spatial_transformer", "quick")
    assert found["plain"] == 46_650
    assert found["transformer"] + found["scores"] == 46_606
    assert found["transformer"] == 4_334
    paper = sizes("spatial_transformer", "paper")
    wanted = 81 * 64 + 64 + 49 * 64 * 64 + 64 + 6400 * 10 + 10
    assert paper["plain"] == paper["scores"] == wanted
    assert paper["transformer"] == 520 + 10_020 + 20 * 16 * 20 + 20 + 126
    assert sum(sizes("deepwarp", "quick").values()) == 59_853
    assert sum(sizes("deepwarp", "paper").values()) == 59_853 + 2 * 9


@pytest.mark.parametrize(
    "name, preset, settings",
    [
        *(("spatial_transformer", preset, {"batch": 8})
          for preset in ("rotated", "attention", "projective", "tps", "slide", "written_out")),
        ("spatial_transformer", "paper", {"batch": 4, "data": "scikit-learn"}),
        ("deepwarp", "paper", {"batch": 4}),
    ],
)  # fmt: skip
def test_other_presets_take_two_steps(name: str, preset: str, settings: dict[str, Any]) -> None:
    trainer = start(nodegraph.load(ROOT / "graphs" / f"{name}.yaml"), preset, settings)
    steps = (e for e in trainer.events() if isinstance(e, Stepped))
    assert [next(steps).step, next(steps).step] == [1, 2]
    weights = trainer.net.state_dict()
    assert all(v.isfinite().all() for v in weights.values())
    if name == "spatial_transformer":
        assert weights["transformer.theta.theta.bias"].abs().max() > 0  # it has begun to move


@pytest.mark.parametrize(
    "preset", ["quick", "attention", "projective", "tps", "slide", "written_out"]
)
def test_a_new_transformer_hands_on_the_image(preset: str) -> None:
    of = choose(nodegraph.load(ROOT / "graphs" / "spatial_transformer.yaml"), preset)
    net = nodegraph.compile(of, ["digits.image"], ["transformer.image"])
    x = torch.rand(5, 1, 32, 32)
    assert torch.equal(net(x), x) or preset in ("projective", "tps")
    torch.testing.assert_close(net(x), x, atol=1e-5, rtol=0)
    torch.nn.init.constant_(net.transformer.theta.theta.bias, 0.2)
    assert (net(x) - x).abs().max() > 0.1


def test_one_loss_trains_the_localiser_as_a_loop_by_hand_does() -> None:
    of = nodegraph.load(ROOT / "graphs" / "spatial_transformer.yaml")
    trainer = start(of, "quick", {"steps": 3, "batch": 16})
    net = nodegraph.compile(of, ["digits.image"], ["scores"])
    net.load_state_dict({k: v for k, v in trainer.net.state_dict().items() if "plain" not in k})
    source = trainer.sources["digits"]
    state = source.state()
    drawn = [source.draw() for _ in range(3)]
    source.load_state(state)
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    for image, label, _ in drawn:
        half = functional.avg_pool2d(image, 2)
        local, read = net.transformer.theta, net.scores
        x = functional.max_pool2d(local.conv1(half).relu(), 2)
        x = functional.max_pool2d(local.conv2(x).relu(), 2)
        theta = local.theta(local.fc1(x.flatten(1)).relu()) + torch.tensor([1.0, 0, 0, 0, 1, 0])
        grid = functional.affine_grid(theta.view(-1, 2, 3), list(image.shape), align_corners=False)
        x = functional.grid_sample(image, grid, align_corners=False)
        x = functional.max_pool2d(read.conv1(x).relu(), 2)
        x = functional.max_pool2d(read.conv2(x).relu(), 2)
        loss = functional.cross_entropy(read.scores(read.fc1(x.flatten(1)).relu()), label)
        adam.zero_grad()
        loss.backward()
        adam.step()
    *_, done = trainer.events()
    for key, value in net.state_dict().items():
        torch.testing.assert_close(done.state[key], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("lightness", ["White", "Palette"])
def test_the_third_level_multiplies_and_adds_white(lightness: str) -> None:
    of = choose(nodegraph.load(ROOT / "graphs" / "deepwarp.yaml"), "", {"lightness": lightness})
    given = ["fine.image", "coarse.features", "fine.features"]
    net = nodegraph.compile(of, given, ["light.image", "light.mask"]).eval()
    image, features = torch.rand(2, 3, 32, 40), torch.rand(2, 32, 32, 40)
    result, white = net(image, features, features)
    if lightness == "White":
        torch.testing.assert_close(result, image * (1 - white) + white)
        assert white.max() < 0.1  # at first, next to nothing
    else:
        assert (result >= white).all() and (result <= image + white).all()


def test_the_gaze_of_an_unseen_eye_is_turned_by_hand() -> None:
    of = nodegraph.load(ROOT / "graphs" / "deepwarp.yaml")
    trainer = start(of, "quick", {"batch": 4})
    list(itertools.islice(trainer.events(), 6))
    previews = Previews(trainer)
    previews.look(["turned", "redirected"])

    def pictures() -> dict[str, bytes]:
        found = {p.header["name"]: p for p in previews.compute()}
        assert {p.header["kind"] for p in found.values()} == {"picture"}
        return {name: p.payload for name, p in found.items()}

    before = pictures()
    assert pictures() == before
    right = replace(of.nodes["right"], params={"number": -20.0, "shape": (1, 1)})
    of = of.with_(nodes={**of.nodes, "right": right})
    trainer.apply(settled(choose(of, "quick", {"batch": 4})))
    after = pictures()
    assert after["turned"] != before["turned"]
    assert after["redirected"] == before["redirected"]  # nothing else has moved


def test_the_second_level_of_deepwarp_corrects_the_first() -> None:
    of = choose(nodegraph.load(ROOT / "graphs" / "deepwarp.yaml"), "quick", {"batch": 2})
    inputs = ["maps", "eyes.image", "coarse.image", "coarse.flow"]
    fine = nodegraph.compile(of, inputs, ["fine.flow"]).eval()
    torch.manual_seed(0)
    body = resolved(settled(of), standard())
    maps, image = (torch.randn(body.value(Ref.parse(n)).shape) for n in ("maps", "eyes.image"))
    flow = torch.randn(body.value(Ref("coarse", "flow")).shape) * 0.1
    with torch.no_grad():
        for weight in fine.parameters():
            weight.zero_()
        assert torch.equal(fine(maps, image, image, flow), flow)  # nothing to correct
        for weight in fine.parameters():
            weight.copy_(torch.randn_like(weight) * 0.3)
        first = fine(maps, image, image, flow)
        drawn = fine(maps, image, torch.randn_like(image), flow) - first
        moved = fine(maps, image, image, flow + 0.05) - first - 0.05
    assert drawn.abs().max() > 1e-3 < moved.abs().max()  # it looks at what the first level did
