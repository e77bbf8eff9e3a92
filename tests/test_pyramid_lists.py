"""Pyramids of any depth, as lists over links: the nodes, and all that meets what flows."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import nodegraph.nodes.ops.pyramids as pyramids
import pytest
import torch
from acceptance import graph
from nodegraph.nodes.ops.pictures import pyramid_grid
from torch import Tensor

import nodegraph
from nodegraph import costs, files, fixes
from nodegraph.checks import check
from nodegraph.compiler.build import resolved
from nodegraph.compiler.gradcheck import check_graph
from nodegraph.compiler.script import standalone_source, training_source
from nodegraph.library import standard
from nodegraph.scope import Scope
from nodegraph.training.faults import Fault
from nodegraph.training.previews import Previews
from nodegraph.training.run import start
from nodegraph.training.trainer import Options, Stepped, Trainer

CLOSE = 1e-6
# A canvas is moved until, blended with a photograph band by band, it is the photograph.
LEARNS = """
nodegraph: 1
title: Bands
groups:
  Bands:
    inputs: {image: N C H W}
    outputs: {bands: laplacian}
    nodes:
      laplacian: {type: LaplacianPyramid, levels: 4, in: {x: image}}
  Mixed:
    inputs: {one: L N C H W, two: ..., mask: L M K H W}
    outputs: {bands: blend}
    nodes:
      blend: {type: PyramidBlend, in: {a: one, b: two, mask: mask}}
nodes:
  photo: {type: Photo, picture: flower, size: 33}
  mask: {type: Mask, form: disc, size: 33}
  canvas: {type: Parameter, shape: [1, 3, 33, 33]}
  given: {type: Bands, in: {image: photo}}
  mine: {type: Bands, in: {image: canvas}}
  masks: {type: GaussianPyramid, levels: 4, in: {x: mask}}
  mixed: {type: Mixed, in: {one: mine, two: given, mask: masks}}
  band: {type: PyramidLevel, index: -2, in: {x: mixed}}
  rebuilt: {type: CollapsePyramid, in: {x: mixed}}
  loss: {type: MSE, in: {x: rebuilt, target: photo}}
  small: {type: MSE, in: {x: band, target: zero}}
  zero: {type: Constant, shape: [1, 3, 9, 9]}
  sgd: {type: SGD, lr: 500, over: [canvas], in: {loss: [loss, small]}}
  seen: {type: PyramidGrid, in: {pyramid: mixed}}
train:
  - {stage: learn, steps: 3, run: [sgd]}
"""


def image(high: int, wide: int, seed: int = 0) -> Tensor:
    return torch.rand(2, 3, high, wide, generator=torch.Generator().manual_seed(seed))


def trainer_of(text: str) -> Trainer:
    return start(files.parse(text).graph, options=Options(seed=0, device="cpu"))


def problems(nodes: str) -> list[str]:
    text = f"nodegraph: 1\nnodes:\n{nodes}"
    return [str(p) for p in check(files.parse(text).graph) if p.severity == "error"]


# The nodes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(129, 129), (128, 128), (100, 157), (90, 65)])
@pytest.mark.parametrize("levels", range(1, 8))
def test_a_collapsed_pyramid_is_the_image(size: tuple[int, int], levels: int) -> None:
    x = image(*size)
    bands = pyramids.laplacian_pyramid(x, levels, 0.4)
    assert [tuple(b.shape[2:]) for b in bands] == [
        tuple(math.ceil(length / 2**i) for length in size) for i in range(levels)
    ]
    assert (pyramids.collapse_pyramid(bands, 0.4) - x).abs().max() <= CLOSE
    if levels > 1:
        broken = (torch.zeros_like(bands[0]), *bands[1:])
        assert (pyramids.collapse_pyramid(broken, 0.4) - x).abs().max() > 0.1


def test_a_pyramid_is_that_of_groups_wired_by_hand() -> None:
    x = image(129, 100)[:1]
    names = [f"pyramid.L{i}" for i in range(5)]
    names += ["pyramid.top", *(f"pyramid.G{i}" for i in range(1, 5)), "collapse"]
    *written, image_again = nodegraph.compile(graph("pyramid"), ["image"], names)(x)
    bands = pyramids.laplacian_pyramid(x, 6, 0.4)
    assert all(map(torch.equal, bands, written[:6]))
    assert all(map(torch.equal, pyramids.gaussian_pyramid(x, 5, 0.4)[1:], written[6:]))
    assert torch.equal(pyramids.collapse_pyramid(bands, 0.4), image_again)


def test_a_blend_is_a_loop_over_levels_and_pixels() -> None:
    a, b = (pyramids.laplacian_pyramid(image(9, 6, seed), 2, 0.4) for seed in (1, 2))
    mask = pyramids.gaussian_pyramid(image(9, 6, 3)[:1, :1], 2, 0.4)
    for level, y in enumerate(pyramids.blend_pyramids(a, b, mask)):
        for n, c, i, j in itertools.product(*map(range, y.shape)):
            m = float(mask[level][0, 0, i, j])
            wanted = float(a[level][n, c, i, j]) * m + float(b[level][n, c, i, j]) * (1 - m)
            assert float(y[n, c, i, j]) == pytest.approx(wanted, abs=1e-6)


def test_pyramids_pass_gradcheck() -> None:
    x, y = (image(7, 10, seed)[:1, :1].double().requires_grad_() for seed in (0, 1))

    def blended(x: Tensor, y: Tensor) -> Tensor:
        bands = [pyramids.laplacian_pyramid(v, 3, 0.4) for v in (x, y)]
        mask = pyramids.gaussian_pyramid(x, 3, 0.4)
        return pyramids.collapse_pyramid(pyramids.blend_pyramids(*bands, mask), 0.4)

    assert torch.autograd.gradcheck(blended, (x, y))
    assert torch.autograd.gradcheck(lambda x: pyramids.laplacian_pyramid(x, 3, 0.4), (x,))


# What is told before anything runs ---------------------------------------------------------------


@pytest.mark.parametrize(
    "node, words",
    [
        ("{type: LaplacianPyramid, levels: 6, in: {x: x}}", "x is 20×17, too small for 6 levels"),
        ("{type: GaussianPyramid, levels: 6, in: {x: x}}", "x is 20×17, too small for 6 levels"),
        ("{type: PyramidLevel, index: 3, in: {x: bands}}", "x has 3 levels, no level 3; index is"),
        ("{type: PyramidLevel, index: -4, in: {x: bands}}", "index is -3 to 2"),
        ("{type: PyramidBlend, in: {a: bands, b: deep, mask: bands}}",
         "b expects L N C H W with L = 3 as the other input has, gets 4 levels of 1×3×20×17"),
        ("{type: PyramidBlend, in: {a: bands, b: wide, mask: bands}}",
         "with H = 20 as the other input has, gets 3 levels of 1×3×24×24"),
        ("{type: PyramidBlend, in: {a: bands, b: bands, mask: two}}",
         "mask has 1 images of 2 channels, a 1 of 3; a mask has as many as a, or one"),
        ("{type: Conv2d, channels: 1, kernel: 3, in: {x: bands}}",
         "expects tensor, gets pyramid; put PyramidLevel, which takes one of its levels, between"),
        ("{type: Detach, in: {x: bands}}", "x expects tensor, gets pyramid; put PyramidLevel"),
        ("{type: ImageGrid, in: {images: [x, bands]}}", "images expects image, gets pyramid"),
        ("{type: CollapsePyramid, in: {x: x}}",
         "x expects pyramid, gets tensor; put GaussianPyramid or LaplacianPyramid between"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_a_cure(node: str, words: str) -> None:
    told = problems(f"""
  x: {{type: Parameter, shape: [1, 3, 20, 17]}}
  other: {{type: Parameter, shape: [1, 3, 24, 24]}}
  masks: {{type: Parameter, shape: [1, 2, 20, 17]}}
  bands: {{type: LaplacianPyramid, levels: 3, in: {{x: x}}}}
  deep: {{type: LaplacianPyramid, levels: 4, in: {{x: x}}}}
  wide: {{type: LaplacianPyramid, levels: 3, in: {{x: other}}}}
  two: {{type: GaussianPyramid, levels: 3, in: {{x: masks}}}}
  y: {node}
""")
    assert len(told) == 1 and words in told[0], told


def test_a_click_takes_a_level_where_a_tensor_is_wanted() -> None:
    text = LEARNS.replace("{type: PyramidLevel, index: -2, in", "{type: Tanh, in")
    of, scope = files.parse(text).graph, Scope(standard())
    problem = next(p for p in check(of) if p.where[:2] == ("nodes", "band"))
    fix = fixes.fix_for(problem, of, scope)
    assert fix == {"do": "insert", "type": "PyramidLevel", "on": "band.x"}
    mended = fixes.apply(of, fix, scope)
    assert not any("pyramid" in str(p) for p in check(mended))


def test_a_group_that_takes_an_image_refuses_a_pyramid() -> None:
    text = LEARNS.replace("mine: {type: Bands, in: {image: canvas}}",
                          "mine: {type: Bands, in: {image: given}}")  # fmt: skip
    told = [str(p) for p in check(files.parse(text).graph)]
    assert any("image expects N C H W, gets 4 levels of 1×3×33×33" in t for t in told), told


def test_a_table_counts_all_levels() -> None:
    of = files.parse(LEARNS).graph
    rows = {row.split()[0]: row for row in costs.table(resolved(of, standard()))}
    assert "4 levels of 1×3×33×33" in rows["mine"]
    numbers = 3 * (33**2 + 17**2 + 9**2 + 5**2)
    assert rows["mine"].endswith(f"{4 * numbers / 1000:.3g} KB")


# Training ----------------------------------------------------------------------------------------


def test_training_through_pyramids_is_a_loop_by_hand() -> None:
    trainer = trainer_of(LEARNS)
    photo, mask = (trainer.sources[n].draw()[0] for n in ("photo", "mask"))
    canvas = trainer.net.canvas.value.detach().clone().requires_grad_()  # type: ignore[union-attr]
    losses = [e.losses["loss"].item() for e in trainer.events() if isinstance(e, Stepped)]
    told = []
    for _ in range(3):
        mixed = pyramids.blend_pyramids(
            pyramids.laplacian_pyramid(canvas, 4, 0.4),
            pyramids.laplacian_pyramid(photo, 4, 0.4),
            pyramids.gaussian_pyramid(mask, 4, 0.4),
        )
        loss = (pyramids.collapse_pyramid(mixed, 0.4) - photo).square().mean()
        told.append(loss.item())
        (gradient,) = torch.autograd.grad(loss + mixed[-2].square().mean(), canvas)
        canvas = (canvas - 500 * gradient).detach().requires_grad_()
    assert losses == pytest.approx(told, rel=1e-5) and losses[2] < 0.9 * losses[0]


def test_the_pyramid_of_what_stays_is_computed_once() -> None:
    of = files.parse(LEARNS).graph
    text = training_source(resolved(of, standard()), of, "bands")
    prepared = text[text.index("def prepare") : text.index("def step")]
    assert "self.once_given = given" in prepared and "self.once_masks = masks" in prepared
    assert "mine" not in prepared


def test_an_export_passes_pyramids_as_tuples(tmp_path: Path) -> None:
    of = files.parse(LEARNS).graph
    text = standalone_source(resolved(of, standard()), of, "bands")
    assert "nodegraph." not in text and "def blend_pyramids" in text
    (tmp_path / "bands.py").write_text(text)
    script: dict[str, object] = {"__name__": "bands"}
    exec(compile(text, "bands.py", "exec"), script)
    bands = nodegraph.compile(of, ["photo"], ["given"])(image(33, 33)[:1])
    assert isinstance(bands, tuple)
    (rebuilt,) = nodegraph.compile(of, ["mixed"], ["rebuilt"])(bands)
    assert (rebuilt - image(33, 33)[0]).abs().max() <= CLOSE


def test_the_node_at_which_a_pyramid_is_not_finite_is_named() -> None:
    trainer = trainer_of(LEARNS)
    with torch.no_grad():
        trainer.net.canvas.value.fill_(3e38)[0, 0, 10, 10] = -3e38  # type: ignore[operator, union-attr]
    with pytest.raises(Fault, match="first bad value comes from mine.laplacian"):
        [*trainer.events()]


def test_each_level_of_a_pyramid_is_moved_by_gradcheck() -> None:
    (report,) = check_graph(files.parse(LEARNS).graph, standard(), "mixed/blend")
    assert report.right, report
    told = [f.name for f in report.findings]
    assert told == [f"{port}[{i}]" for port in ("a", "b", "mask") for i in range(4)]


def test_a_probe_tells_of_all_levels_of_a_link() -> None:
    trainer = trainer_of(LEARNS)
    previews = Previews(trainer)
    previews.look([], [], probes=True)
    (told,) = previews.compute()
    assert told.header["kind"] == "probe", told.header
    links = told.header["about"]["links"]
    photo, mask = (trainer.sources[n].draw()[0] for n in ("photo", "mask"))
    canvas = trainer.net.canvas.value.detach()  # type: ignore[union-attr]
    bands = [x.requires_grad_() for x in pyramids.laplacian_pyramid(canvas, 4, 0.4)]
    others = pyramids.laplacian_pyramid(photo, 4, 0.4)
    mixed = pyramids.blend_pyramids(bands, others, pyramids.gaussian_pyramid(mask, 4, 0.4))
    loss = (pyramids.collapse_pyramid(mixed, 0.4) - photo).square().mean()
    flat = torch.cat([b.detach().flatten() for b in bands])
    found = torch.autograd.grad(loss, bands, retain_graph=True)
    gradient = torch.cat([g.flatten() for g in found])
    about = links["mixed/blend.a"]
    assert about["mean"] == pytest.approx(float(flat.mean()), abs=1e-6)
    assert about["std"] == pytest.approx(float(flat.std(correction=0)), rel=1e-4)
    assert about["gradients"]["loss"] == pytest.approx(float(gradient.norm()), rel=1e-4)
    (alone,) = torch.autograd.grad(mixed[2].square().mean(), bands[2])  # the others' are 0
    assert about["gradients"]["small"] == pytest.approx(float(alone.norm()), rel=1e-4)
    assert links["rebuilt.x"]["gradients"].keys() == {"loss"}


# Pictures ----------------------------------------------------------------------------------------


def test_any_pyramid_can_be_looked_at_without_a_node() -> None:
    previews = Previews(trainer_of(LEARNS))
    previews.look(None, ["given", "mixed/blend", "masks"])
    found = {p.header["name"]: p for p in previews.compute()}
    assert {p.header["kind"] for p in found.values()} == {"picture"}, found
    assert {p.header["view"] for p in found.values()} == {"PyramidGrid"}
    assert found["seen"].payload == found["mixed/blend"].payload != found["given"].payload


def test_levels_lie_beside_each_other_in_their_sizes() -> None:
    shades = [torch.full((1, 1, n, n), s) for n, s in ((64, 1.0), (32, 0.5), (16, 0.25))]
    picture = pyramid_grid(tuple(shades), 0, "0..1", 98)
    assert picture.shape == (64, 98, 3)
    assert (picture[:, :64] == 255).all()
    assert (picture[:32, 66:] == 128).all() and (picture[32:48, 66:82] == 64).all()
    tall = (torch.rand(1, 1, 900, 9), torch.rand(1, 1, 450, 5))
    assert max(pyramid_grid(tall, 0, "auto", 128).shape) <= 128
