"""PixelCNN: what each pixel sees, probabilities that sum to 1, and pictures drawn exactly."""

from __future__ import annotations

import itertools

import pytest
import torch
from acceptance import graph
from nodegraph.nodes.ops.masked_conv import MaskedConv2d
from torch import Tensor, nn
from torch.nn import functional

import nodegraph
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import choose
from nodegraph.library import standard
from nodegraph.node import Mismatch


def network(preset: str = "quick") -> nn.Module:
    """Pictures to logits, with weights that are drawn large, so that every pixel counts."""
    net = nodegraph.compile(choose(graph("pixelcnn"), preset), ["digits.bits"], ["net"])
    torch.manual_seed(0)
    for weight in net.parameters():
        nn.init.normal_(weight, 0.0, 0.3)
    return net.double()


def test_pixelcnn_has_its_size() -> None:
    body = resolved(settled(choose(graph("pixelcnn"), "paper")), standard())
    block = 32 * 16 + 16 + 9 * 16 * 16 + 16 + 16 * 32 + 32
    assert body.calls["net"].parameters() == 49 * 32 + 32 + 7 * block + 32 * 32 + 32 + 33


@pytest.mark.parametrize("kernel, mask", [(3, "A"), (3, "B"), (5, "A"), (1, "B")])
def test_a_masked_convolution_is_that_of_a_double_loop(kernel: int, mask: str) -> None:
    torch.manual_seed(0)
    conv = MaskedConv2d(2, 3, kernel, mask).double()
    x = torch.randn(1, 2, 5, 6).double()
    y, half = conv(x), kernel // 2
    for row, column in itertools.product(range(5), range(6)):
        total = conv.bias.clone()
        for i, j in itertools.product(range(-half, half + 1), repeat=2):
            r, c = row + i, column + j
            before = i < 0 or (i == 0 and (j < 0 or (j == 0 and mask == "B")))
            if before and 0 <= r < 5 and 0 <= c < 6:
                total = total + conv.weight[:, :, i + half, j + half] @ x[0, :, r, c]
        torch.testing.assert_close(y[0, :, row, column], total)


def test_a_mask_holds_after_an_update() -> None:
    torch.manual_seed(0)
    conv = MaskedConv2d(1, 4, 3, "A")
    sgd = torch.optim.SGD(conv.parameters(), 0.1, weight_decay=0.5)
    x = torch.randn(2, 1, 6, 6)
    conv(x).square().sum().backward()
    assert conv.weight.grad is not None and (conv.weight.grad[:, :, 1:, 1:] == 0).all()
    sgd.step()
    other = x.clone()
    other[:, :, 3, 3] += 1
    assert torch.equal(conv(x)[:, :, 3, :4], conv(other)[:, :, 3, :4])
    assert not torch.equal(conv(x)[:, :, 3, 4], conv(other)[:, :, 3, 4])


def leaks(net: nn.Module, at: tuple[int, int]) -> tuple[bool, bool]:
    """Whether a change of a pixel is seen by it or a pixel before it, and by one after it."""
    torch.manual_seed(1)
    x = (torch.rand(1, 1, 14, 14) > 0.5).double()
    other = x.clone()
    other[0, 0, at[0], at[1]] = 1 - other[0, 0, at[0], at[1]]
    with torch.no_grad():
        differs = (net(x) != net(other)).flatten()
    place = at[0] * 14 + at[1]
    return bool(differs[: place + 1].any()), bool(differs[place + 1 :].any())


@pytest.mark.parametrize("at", [(0, 0), (3, 7), (6, 13), (12, 5)])
def test_no_pixel_is_seen_before_it_is_drawn(at: tuple[int, int]) -> None:
    assert leaks(network(), at) == (False, True)
    assert leaks(network("leaky"), at)[0]  # the control


def log_likelihood(net: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        nats = functional.binary_cross_entropy_with_logits(net(x), x, reduction="none")
    return -nats.sum((1, 2, 3))


@pytest.mark.parametrize("side", [2, 3])
def test_the_probabilities_of_all_pictures_sum_to_1(side: int) -> None:
    cells = torch.tensor(list(itertools.product((0.0, 1.0), repeat=side * side))).double()
    x = cells.view(-1, 1, side, side)
    torch.testing.assert_close(log_likelihood(network(), x).exp().sum().item(), 1.0)
    leaky = log_likelihood(network("leaky"), x).exp().sum().item()
    assert abs(leaky - 1) > 1e-3


def test_the_canvas_becomes_the_picture_that_is_drawn_pixel_by_pixel() -> None:
    of = choose(graph("pixelcnn"))
    net = nodegraph.compile(of, [], ["change"])
    torch.manual_seed(0)
    for name, weight in net.named_parameters():
        if name.startswith("net"):
            nn.init.normal_(weight, 0.0, 0.15)
    canvas, table = net.get_parameter("canvas.value"), net.get_parameter("table.value")
    logits = nodegraph.compile(of, ["digits.bits"], ["net"])
    logits.load_state_dict({k: v for k, v in net.state_dict().items() if k.startswith("net.")})
    sgd = torch.optim.SGD([canvas], 0.5)
    steps = 0
    while steps < 196:
        change = net()
        if change == 0:
            break
        sgd.zero_grad()
        change.backward()
        sgd.step()
        steps += 1
    assert 3 < steps < 196
    # One pixel at a time, with the same random numbers.
    x = torch.zeros_like(canvas)
    with torch.no_grad():
        for row, column in itertools.product(range(14), repeat=2):
            p = logits(x)[:, 0, row, column].sigmoid()
            x[:, 0, row, column] = (p > table[:, 0, row, column] + 0.5).float()
    assert torch.equal(canvas, x)
    assert 0.05 < x.mean() < 0.95


def test_a_kernel_without_a_centre_is_refused() -> None:
    declared = standard()["MaskedConv2d"]
    with pytest.raises(ValueError, match="odd"):
        declared(channels=2, kernel=4)
    with pytest.raises(ValueError, match="hides the centre"):
        declared(channels=2, kernel=1, mask="A")
    with pytest.raises(Mismatch):
        declared(channels=2).bind({"x": (4, 8)})
