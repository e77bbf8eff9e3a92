"""Do pyramids add up to the image, and splines hide the seam? `make accept` runs these.

The identities themselves are in test_pyramids.py, which runs with every build.
"""

from __future__ import annotations

import pytest
import torch
from acceptance import Record, draw, graph
from test_pyramids import images, pyramid, seam

import nodegraph
from nodegraph.graph import choose

pytestmark = pytest.mark.accept


@pytest.mark.parametrize("seed", [0, 1])
def test_a_pyramid_adds_up_to_the_image(seed: int, record: Record) -> None:
    x = images(seed)[0]
    rebuilt, smooth = pyramid("collapse", "smooth")(x)
    constant = torch.full_like(x, 0.2 + 0.5 * seed)
    kept = pyramid("smooth")(constant)
    errors = [float((a - b).abs().max()) for a, b in
              ((rebuilt, x), (kept, constant), (smooth, x))]  # fmt: skip
    record("pyramid", "largest error of the rebuilt image", "≤ 1e-6", errors[0], seed,
           prototype=6e-8)  # fmt: skip
    record("pyramid", "largest error of a constant, down and up", "≤ 1e-6", errors[1], seed,
           prototype=6e-8)  # fmt: skip
    record("pyramid", "control: without the finest band", "> 0.1", errors[2], seed)
    assert errors[0] <= 1e-6 and errors[1] <= 1e-6 and errors[2] > 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_a_spline_hides_the_seam(seed: int, record: Record) -> None:
    of, names = graph("spline_blend"), ["one", "two", "mask"]
    net = nodegraph.compile(of, names, ["cut", "feathered", "spline"])
    one, two, soft = images(seed)
    splined = net(one, two, torch.ones_like(soft))[2]
    itself = net(one, one, soft)[2]
    errors = [float((image - one).abs().max()) for image in (splined, itself)]
    record("spline_blend", "mask of ones: largest error", "≤ 1e-6", errors[0], seed, prototype=0)
    record("spline_blend", "an image with itself: largest error", "≤ 1e-6", errors[1], seed)
    assert max(errors) <= 1e-6
    shades = torch.tensor([[0.2, 0.8], [0.35, 0.6]][seed])
    (mask,) = draw(choose(of, settings={"size": 65}), "mask").draw()
    flat = [shade.expand(1, 3, 65, 65) for shade in shades]
    seams = [seam(image) for image in net(*flat, mask)]
    record("spline_blend", "seam between two shades: falls by", "≥ 5×", seams[0] / seams[2], seed)
    record("spline_blend", "baseline: one soft edge", "–", seams[0] / seams[1], seed)
    assert seams[2] * 5 <= seams[0]
    # The same, two drawn fruit: the largest step of the mean column over the edge.
    fruit = [draw(choose(of), n, seed=seed).draw()[0] for n in names]
    across = [float(image[..., 40:90, 62:67].mean((0, 2)).diff(dim=-1).abs().max())
              for image in net(*fruit)]  # fmt: skip
    record("spline_blend", "seam of the fruit: falls by", "≥ 2×", across[0] / across[2], seed)
    assert across[2] * 2 <= across[0]
