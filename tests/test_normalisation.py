"""Normalisation: what its papers promise, exactly."""

from __future__ import annotations

import copy

import pytest
import torch
from nodegraph.nodes.ops.init import initialised
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (32, 6)),
    "no bias": (lambda: nn.Linear(6, 5, bias=False), (32, 6)),
    "convolution": (lambda: nn.Conv2d(3, 5, 3), (8, 3, 9, 9)),
}


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("kind", list(LAYERS))
def test_the_first_batch_sets_the_outputs_to_mean_0_and_variance_1(kind: str, normed: bool) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer = initialised(make(), "data")
    layer = weight_norm(layer) if normed else layer
    x = 3 + 2 * torch.randn(shape)
    before = copy.deepcopy(layer).eval()(x)
    layer.eval()(x)
    assert torch.equal(layer(x), before)  # looking changes nothing
    y = layer.train()(x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(y.var(1, correction=0), torch.ones(5), atol=1e-4, rtol=0)
    if layer.bias is not None:
        torch.testing.assert_close(y.mean(1), torch.zeros(5), atol=1e-5, rtol=0)
    then = {k: v.clone() for k, v in layer.state_dict().items()}
    layer(torch.randn(shape))
    assert all(torch.equal(v, then[k]) for k, v in layer.state_dict().items())  # only the first


def test_a_layer_that_was_fitted_is_not_fitted_again_after_a_restart() -> None:
    torch.manual_seed(0)
    x = torch.randn(32, 6)
    old = initialised(nn.Linear(6, 5), "data")
    untouched = {k: v.clone() for k, v in old.state_dict().items()}
    old(x)
    new = initialised(nn.Linear(6, 5), "data")
    new.load_state_dict(old.state_dict())
    assert torch.equal(new(2 * x), old(2 * x))
    new.load_state_dict(untouched)  # back to before the first step: it has to be fitted
    assert torch.equal(new(x), old(x))


def test_weight_norm_does_not_see_the_length_of_v() -> None:
    torch.manual_seed(0)
    layer, x = weight_norm(nn.Linear(6, 5)), torch.randn(4, 6)
    before = layer(x)
    with torch.no_grad():
        layer.parametrizations["weight"].original1 *= 10
    torch.testing.assert_close(layer(x), before)
    with torch.no_grad():
        layer.parametrizations["weight"].original0 *= 10
    assert not torch.allclose(layer(x), before)


def test_weight_norm_has_the_gradients_of_its_paper() -> None:
    torch.manual_seed(0)
    layer, x = weight_norm(nn.Linear(6, 1, bias=False)), torch.randn(4, 6)
    layer(x).square().sum().backward()
    g, v = (layer.parametrizations["weight"].original0, layer.parametrizations["weight"].original1)
    w = (g * v / v.norm()).detach().requires_grad_()
    (x @ w.T).square().sum().backward()
    slope = (w.grad * v).sum() / v.norm()
    torch.testing.assert_close(g.grad.flatten(), slope.reshape(1))
    wanted = g / v.norm() * w.grad - g * slope / v.norm() ** 2 * v
    torch.testing.assert_close(v.grad, wanted)


def test_layer_norm_does_not_see_the_others_of_a_batch_and_batch_norm_does() -> None:
    torch.manual_seed(0)
    x, others = torch.randn(1, 6), torch.randn(3, 6)
    for norm, alone in ((nn.LayerNorm(6), True), (nn.BatchNorm1d(6), False)):
        one, two = norm(torch.cat([x, others]))[0], norm(torch.cat([x, 5 * others]))[0]
        assert torch.allclose(one, two) is alone


def test_batch_norm_gives_mean_0_and_variance_1_and_keeps_a_tenth_of_the_new() -> None:
    torch.manual_seed(0)
    norm, x = nn.BatchNorm1d(6), 3 + 2 * torch.randn(64, 6)
    y = norm(x)
    assert y.mean(0).abs().max() < 1e-5 and (y.var(0, correction=0) - 1).abs().max() < 1e-3
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.var(0))
