"""The inverted network: its sizes, its pieces, and the chairs that it learns from."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from nodegraph.nodes.ops import chairs, metrics, parameter, shape
from torch.nn import functional

import nodegraph
from nodegraph.body import Body
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import choose
from nodegraph.library import standard
from nodegraph.training.previews import Previews
from nodegraph.training.run import checked, start
from nodegraph.training.trainer import Options

GRAPH = nodegraph.load(ROOT / "graphs" / "chairs.yaml")
BOX = [((0.1, 0.0, 0.0), (0.5, 0.25, 0.75), 0.0)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "nodegraph" / "chairs"


def body(preset: str) -> Body:
    return resolved(settled(choose(GRAPH, preset)), standard())


# The network -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "preset, count", [("quick", 753_284), ("one_stream", 583_652), ("paper", 32_029_408)]
)
def test_the_networks_have_their_sizes(preset: str, count: int) -> None:
    calls = body(preset).calls.values()
    assert sum(c.parameters() for c in calls if c.owner == c.name) == count


def test_the_published_network_draws_128_by_128() -> None:
    calls = body("paper").calls
    assert calls["trunk"].body is not None and calls["draw"].body is not None
    codes, streams = calls["trunk"].body.calls, calls["draw"].body.calls
    assert codes["codes"].outputs["y"].shape == (128, 1536)
    assert calls["trunk"].outputs["h"].shape == (128, 1024)
    shapes = [next(iter(streams[n].outputs.values())).shape[1:]
              for n in ("small_rgb", "up_rgb1", "up_rgb2", "up_rgb3", "rgb")]  # fmt: skip
    assert shapes == [(256, 8, 8), (256, 16, 16), (92, 32, 32), (48, 64, 64), (3, 128, 128)]
    assert calls["draw"].outputs["mask"].shape == (128, 1, 128, 128)


def test_the_published_network_makes_two_steps() -> None:
    # Less data, all of the layers; orthogonal matrices of this size take a quarter of a minute.
    small = {"batch": 2, "classes": 5, "azimuths": 4, "elevations": (20.0,), "steps": 2}
    small |= {"init": "he"}
    losses = [e.losses["loss"].item() for e in nodegraph.train(GRAPH, "paper", small, device="cpu")
              if hasattr(e, "losses")]  # fmt: skip
    assert len(losses) == 2 and losses[0] != losses[1] and all(map(math.isfinite, losses))


def test_the_loss_is_ten_times_the_masked_picture_and_the_mask() -> None:
    torch.manual_seed(0)
    rgb, mask = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    image, true = torch.rand(2, 3, 32, 32), (torch.rand(2, 1, 32, 32) > 0.5).float()
    net = nodegraph.compile(
        GRAPH, ["draw.rgb", "draw.mask", "chairs.image", "chairs.mask"], ["loss"]
    )
    ground = torch.ones(2, 3, 32, 32)
    composed = true * rgb + (1 - true) * ground
    wanted = 10 * (composed - image).square().mean() + (mask - true).square().mean()
    torch.testing.assert_close(net(rgb, mask, image, true), wanted)


def test_changing_no_neuron_changes_nothing_and_one_changes_one() -> None:
    changed = choose(GRAPH, "", {"unit": 7, "neuron_change": 2.5})
    x = torch.randn(24, 256)
    assert torch.equal(nodegraph.compile(GRAPH, ["trunk_of"], ["other_trunk"])(x), x)
    moved = nodegraph.compile(changed, ["trunk_of"], ["other_trunk"])(x) - x
    assert moved[:, 7].sub(2.5).abs().max() < 1e-5
    assert moved[:, :7].abs().max() == moved[:, 8:].abs().max() == 0


def test_a_neuron_is_swept_and_no_other_moves() -> None:
    net = nodegraph.compile(choose(GRAPH, "", {"unit": 7, "sweep": 3.5}), ["trunk_of"], ["sweep"])
    x = torch.randn(24, 256)
    moved = net(x) - x[:1]
    wanted = torch.tensor([-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5])
    torch.testing.assert_close(moved[:, 7], wanted, atol=1e-5, rtol=0)
    assert moved[:, :7].abs().max() == moved[:, 8:].abs().max() == 0


def test_a_neuron_is_turned_while_it_trains_and_the_weights_stay() -> None:
    trainer = start(GRAPH, options=Options(device="cpu"))
    looking = Previews(trainer)
    looking.look(["turn"])
    was = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    before = looking.compute()[0].payload
    assert looking.compute()[0].payload == before
    trainer.apply(checked(GRAPH, "", {"neuron_change": 30.0}))
    looking.look(["turn"])
    assert looking.compute()[0].payload != before
    assert all(torch.equal(v, was[k]) for k, v in trainer.net.state_dict().items())


def test_a_turn_ends_where_it_begins() -> None:
    net = nodegraph.compile(GRAPH, ["style", "chairs.azimuth", "chairs.elevation", "chairs.colour"],
                            ["trunk"])  # fmt: skip
    code, e, colour = torch.rand(1, 64), torch.full((1, 1), 0.3), torch.rand(1, 3)
    at = [net(code, torch.full((1, 1), a), e, colour) for a in (0.0, 2 * math.pi, 1.0)]
    torch.testing.assert_close(at[0], at[1], atol=1e-5, rtol=1e-5)
    assert (at[0] - at[2]).abs().max() > 1e-3


# New nodes ---------------------------------------------------------------------------------------


def test_unpooling_puts_each_pixel_at_the_top_left() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    wanted = [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    assert shape.unpool(x, 2)[0, 0].tolist() == wanted


def test_an_up_convolution_is_a_transposed_one() -> None:
    torch.manual_seed(0)
    x, kernel = torch.randn(2, 3, 4, 5), torch.randn(6, 3, 5, 5)
    up = functional.conv2d(shape.unpool(x, 2), kernel, padding=2)
    turned = kernel.flip(2, 3).transpose(0, 1)
    other = functional.conv_transpose2d(x, turned, stride=2, padding=2, output_padding=1)
    torch.testing.assert_close(up, other, atol=1e-5, rtol=1e-5)
    wrong = functional.conv_transpose2d(x, kernel.transpose(0, 1), stride=2, padding=2,
                                        output_padding=1)  # fmt: skip
    assert (up - wrong).abs().max() > 1


def test_iou_counts_pixels() -> None:
    a = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    b = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    assert metrics.iou(a, b, 0.5).item() == pytest.approx((1 / 3 + 1 + 1) / 3)


def test_rows_of_numbers() -> None:
    assert parameter.Linspace(0, 1, 5)().flatten().tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert parameter.UnitVector(3, 1, 2)(2.0).tolist() == [[0, 2, 0], [0, 2, 0]]


# The chairs --------------------------------------------------------------------------------------


def extent(mask: torch.Tensor) -> tuple[int, int, int, int]:
    """The first and the one after the last column and row that are covered."""
    rows, columns = ((mask > 0.5).any(d).nonzero().flatten() for d in (1, 0))
    return int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1


def test_a_box_is_seen_as_large_as_it_is() -> None:
    front = chairs.render_boxes(BOX, 0.0, 0.0, 80)[1]  # 40 px are a unit; its right is our left
    assert extent(front) == (40 - 24, 40 + 16, 10, 70)
    side = chairs.render_boxes(BOX, math.pi / 2, 0.0, 80)[1]
    assert extent(side) == (30, 50, 10, 70)
    above = chairs.render_boxes(BOX, 0.0, math.pi / 2 - 1e-4, 80)[1]
    assert extent(above) == (16, 56, 30, 50)


def test_a_face_is_as_bright_as_it_looks_to_the_light() -> None:
    shade, mask = chairs.render_boxes(BOX, 0.0, 0.0, 80)
    x, y, z = chairs.CHAIR_LIGHT
    assert math.hypot(x, y, z) == pytest.approx(1, abs=0.01)
    assert shade[mask == 1].min().item() == pytest.approx(0.35 + 0.65 * z)
    assert shade[mask == 0].max().item() == 0


def test_what_is_nearer_hides_what_is_behind() -> None:
    behind = [((0.0, -0.5, 0.0), (0.1, 0.1, 0.1), 0.0)]
    assert torch.equal(chairs.render_boxes(BOX + behind, 0.0, 0.0, 40),
                       chairs.render_boxes(behind + BOX, 0.0, 0.0, 40))  # fmt: skip
    alone = chairs.render_boxes(BOX, 0.0, 0.0, 40)
    assert torch.equal(chairs.render_boxes(behind + BOX, 0.0, 0.0, 40), alone)
    turned = chairs.render_boxes(BOX + behind, math.pi / 2, 0.0, 40)
    assert not torch.equal(turned, chairs.render_boxes(BOX, math.pi / 2, 0.0, 40))


def source(seed: int = 0, **more: object) -> chairs.Chairs:
    made = chairs.Chairs(4, 16, 4, 8, seed=seed, **more)  # type: ignore[arg-type]
    made.start("chairs", 1)
    return made


def test_chairs_are_the_same_for_the_same_seed_and_differ_by_class() -> None:
    one, again, other = source(), source(), source(seed=1)
    assert torch.equal(one.pictures, again.pictures)
    assert not torch.equal(one.pictures, other.pictures)
    fronts = one.pictures[::8].float()
    apart = [(a - b).abs().mean() for i, a in enumerate(fronts) for b in fronts[:i]]
    assert min(apart) > 5  # of 255
    assert all(torch.equal(a, b) for a, b in zip(one.draw(), again.draw()))


def test_every_second_azimuth_of_every_second_chair_is_never_shown() -> None:
    made = source(elevations=(20.0, 30.0))
    seen, held = set(made.train[0].tolist()), set(made.test[0].tolist())
    assert not seen & held and len(seen | held) == 4 * 8 * 2 and len(held) == 2 * 4 * 2
    _, _, label, azimuth, elevation, _ = made.held_out(0, 99)
    assert set(label.tolist()) == {1, 3}
    steps = (azimuth / (2 * math.pi / 8)).round().int().flatten().tolist()
    assert set(steps) == {1, 3, 5, 7}
    told = {round(math.degrees(e), 3) for e in elevation.flatten().tolist()}
    assert told == {20.0, 30.0}


def test_a_colour_multiplies_the_chair_and_not_the_ground() -> None:
    made = source()
    image, mask, *_, colour = made.draw()
    assert (image[(mask == 0).expand_as(image)] == 1).all()
    inside = image[(mask == 1).expand_as(image)]
    assert (inside < 1).all()
    grey = made.painted(torch.tensor([3]), torch.ones(1, 3))[0]
    red = made.painted(torch.tensor([3]), torch.tensor([[0.9, 0.3, 0.3]]))[0]
    ground = 1 - made.painted(torch.tensor([3]), torch.ones(1, 3))[1]
    torch.testing.assert_close(red[:, :1] - ground, 0.9 * (grey[:, :1] - ground))
    assert colour.shape == (4, 3) and len(colour.unique(dim=0)) == 4


def test_pictures_are_kept_and_made_again_when_damaged(cache: Path) -> None:
    first = source().pictures
    (file,) = cache.iterdir()
    marked = bytearray(file.read_bytes())
    marked[-1] ^= 1
    file.write_bytes(marked)
    assert not torch.equal(source().pictures, first)  # it is the file that is read
    for damaged in (b"", b"no array", bytes(marked[:500])):
        file.write_bytes(damaged)
        assert torch.equal(source().pictures, first)
    assert len([*cache.iterdir()]) == 1


def test_both_angles_reach_the_trunk_as_angles() -> None:
    torch.manual_seed(0)
    inputs = ["style", "chairs.azimuth", "chairs.elevation", "chairs.colour"]
    trunk = nodegraph.compile(GRAPH, inputs, ["trunk"])
    style, colour = torch.randn(1, 64), torch.rand(1, 3)
    azimuth, elevation = torch.full((1, 1), 0.7), torch.full((1, 1), 0.4)
    with torch.no_grad():
        seen = trunk(style, azimuth, elevation, colour)
        full = torch.tensor(2 * math.pi)
        for other in ((azimuth + full, elevation), (azimuth, elevation + full)):
            torch.testing.assert_close(trunk(style, *other, colour), seen, atol=1e-4, rtol=0)
        for other in ((-azimuth, elevation), (azimuth, -elevation), (elevation, azimuth),
                      (math.pi - azimuth, elevation), (azimuth, math.pi - elevation)):  # fmt: skip
            assert (trunk(style, *other, colour) - seen).abs().max() > 1e-3
