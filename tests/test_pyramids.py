"""Pyramids and multiresolution splines: identities that hold to the last digits, on any image."""

from __future__ import annotations

import itertools
import math

import nodegraph.nodes.ops.pyramids as pyramids
import pytest
import torch
from acceptance import graph, trained
from torch import Tensor
from torch.nn import functional

import nodegraph
from nodegraph import files

TAPS = (0.05, 0.25, 0.4, 0.25, 0.05)
CLOSE = 1e-6


def mirrored(i: int, length: int) -> int:
    """Where a place outside of 0 … length − 1 is reflected to."""
    i = abs(i)
    return i if i < length else 2 * (length - 1) - i


def reduced_by_hand(x: Tensor) -> Tensor:
    """The paper's double sum, 2-D."""
    high, wide = x.shape
    y = torch.zeros((high + 1) // 2, (wide + 1) // 2, dtype=x.dtype)
    for i, j in itertools.product(range(y.shape[0]), range(y.shape[1])):
        for (m, u), (n, v) in itertools.product(enumerate(TAPS, -2), repeat=2):
            y[i, j] += u * v * x[mirrored(2 * i + m, high), mirrored(2 * j + n, wide)]
    return y


def expanded_by_hand(x: Tensor, high: int, wide: int) -> Tensor:
    """The paper's double sum, over the places that are whole numbers."""
    y = torch.zeros(high, wide, dtype=x.dtype)
    for i, j in itertools.product(range(high), range(wide)):
        for (m, u), (n, v) in itertools.product(enumerate(TAPS, -2), repeat=2):
            at = mirrored(i - m, high), mirrored(j - n, wide)
            if at[0] % 2 == at[1] % 2 == 0:
                y[i, j] += 4 * u * v * x[at[0] // 2, at[1] // 2]
    return y


def pyramid(*outputs: str) -> torch.nn.Module:
    return nodegraph.compile(graph("pyramid"), ["image"], outputs)


def spline() -> torch.nn.Module:
    return nodegraph.compile(graph("spline_blend"), ["one", "two", "mask"], ["spline"])


def images(seed: int, size: int = 65) -> tuple[Tensor, Tensor, Tensor]:
    """Two images and a mask."""
    torch.manual_seed(seed)
    return torch.rand(1, 3, size, size), torch.rand(1, 3, size, size), torch.rand(1, 1, size, size)


# The steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("high, wide", [(9, 11), (8, 6), (3, 4), (17, 5)])
def test_the_steps_are_the_sums_of_the_paper(high: int, wide: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, high, wide).double()
    y = pyramids.reduce(x, 0.4)
    for n, c in itertools.product(range(2), range(3)):
        torch.testing.assert_close(y[n, c], reduced_by_hand(x[n, c]))
    back = pyramids.expand(y, x, 0.4)
    for n, c in itertools.product(range(2), range(3)):
        torch.testing.assert_close(back[n, c], expanded_by_hand(y[n, c], high, wide))


def test_the_steps_pass_gradcheck() -> None:
    x = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: pyramids.reduce(x, 0.4), (x,))
    small = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: pyramids.expand(s, x, 0.4), (small,))


@pytest.mark.parametrize("size", [(65, 65), (64, 47), (6, 5)])
def test_a_constant_stays_what_it_is_up_to_the_border(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.full((1, 3, *size), 0.7)

    def error() -> float:
        return float((pyramids.expand(pyramids.reduce(x, 0.4), x, 0.4) - x).abs().max())

    assert error() <= CLOSE
    zeros = functional.pad
    monkeypatch.setattr(functional, "pad", lambda x, by, mode: zeros(x, by))
    assert error() > 0.1  # zeros around the image darken its border


def test_a_level_of_the_wrong_size_is_told_with_both_sizes() -> None:
    text = """
nodegraph: 1
nodes:
  x: {type: Parameter, shape: [1, 3, 20, 20]}
  small: {type: Parameter, shape: [1, 3, 9, 10]}
  thin: {type: Parameter, shape: [1, 3, 2, 20]}
  up: {type: PyramidExpand, in: {x: small, like: x}}
  down: {type: PyramidReduce, in: {x: thin}}
"""
    told = "\n".join(map(str, nodegraph.check(files.parse(text).graph)))
    assert "x is 9×10, half of 20×20 is 10×10; link `like` to the level" in told
    assert "x is 2×20; a level of at least 3×3 can be reduced" in told


# The pyramid -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(65, 65), (129, 100), (96, 96), (513, 257)])
def test_a_collapsed_pyramid_is_the_image(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    x = torch.rand(2, 3, *size)
    net = pyramid("collapse", "pyramid.L0", "pyramid.top")
    rebuilt, band, top = net(x)
    assert (rebuilt - x).abs().max() <= CLOSE
    assert (rebuilt - band - x).abs().max() > 0.1  # one wire less, and it is not
    assert top.shape[2:] == tuple(math.ceil(length / 32) for length in size)


def test_a_constant_has_no_bands() -> None:
    names = [f"pyramid.L{i}" for i in range(5)]
    for band in pyramid(*names)(torch.full((1, 3, 65, 65), 0.3)):
        assert band.abs().max() <= CLOSE
    noise = pyramid(*names)(torch.rand(1, 3, 65, 65))
    assert all(band.abs().max() > 0.01 for band in noise)


def test_a_pyramid_passes_gradcheck() -> None:
    x = torch.rand(1, 1, 65, 65, dtype=torch.float64, requires_grad=True)
    net = pyramid("pyramid.L0", "pyramid.L4", "pyramid.top")
    assert torch.autograd.gradcheck(net, (x,), fast_mode=True)


# Splines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_a_mask_of_ones_gives_the_one_image_and_of_zeros_the_other(seed: int) -> None:
    one, two, mask = images(seed)
    net = spline()
    assert (net(one, two, torch.ones_like(mask)) - one).abs().max() <= CLOSE
    assert (net(one, two, torch.zeros_like(mask)) - two).abs().max() <= CLOSE
    assert (net(one, two, mask) - one).abs().max() > 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_an_image_blended_with_itself_is_the_image(seed: int) -> None:
    one, _, mask = images(seed)
    assert (spline()(one, one, mask) - one).abs().max() <= CLOSE


def seam(image: Tensor) -> float:
    """The largest step from a column to the next."""
    return float(image.diff(dim=-1).abs().max())


def test_a_spline_has_a_fifth_of_the_seam_of_a_hard_cut() -> None:
    dark, light = torch.full((1, 3, 65, 65), 0.2), torch.full((1, 3, 65, 65), 0.8)
    mask = (torch.arange(65) < 32).float().expand(1, 1, 65, 65)
    net = nodegraph.compile(
        graph("spline_blend"), ["one", "two", "mask"], ["cut", "feathered", "spline"]
    )
    cut, feathered, splined = map(seam, net(dark, light, mask))
    assert cut == pytest.approx(0.6)
    assert splined * 5 <= cut
    assert splined < feathered < cut


def test_a_graph_without_updates_looks_once() -> None:
    rows, state = trained(graph("pyramid"), 0)
    assert rows[-1]["error"] <= CLOSE**2 < rows[-1]["loss_of_L0"] and not state
    largest = [value for name, value in rows[-1].items() if name.startswith("agree.")]
    assert largest == [0.0] * 6  # the node's levels are those that are written out
    rows, _ = trained(graph("spline_blend"), 0)
    assert rows[-1]["moved_by_spline"] > rows[-1]["moved_by_feather"] > 0


def test_a_stage_has_something_to_do() -> None:
    text = "nodegraph: 1\nnodes:\n  x: {type: Constant}\ntrain:\n  - {stage: idle, steps: 1}\n"
    told = "\n".join(map(str, nodegraph.check(files.parse(text).graph)))
    assert "stage idle runs no update; name an optimiser in run, or, to look only" in told
