"""Autoencoders: sizes, the losses of the variational one, and the direction of an attribute."""

from __future__ import annotations

import pytest
import torch
from acceptance import draw, graph, slice_of, trained
from nodegraph.nodes.ops.font_digits import DigitPairs
from nodegraph.nodes.ops.losses import kl_divergence

import nodegraph
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import choose
from nodegraph.library import standard


def test_the_published_networks_have_their_sizes() -> None:
    for name, preset, part, wanted in (
        ("vae", "paper", ("encoder", "decoder"), 652_824),
        ("autoencoder", "paper", ("encoder",), 1_418_280),
        ("autoencoder", "paper", ("decoder",), 1_419_034),
    ):
        body = resolved(settled(choose(graph(name), preset)), standard())
        assert sum(body.calls[p].parameters() for p in part) == wanted, (name, part)


def test_the_divergence_is_that_of_draws() -> None:
    torch.manual_seed(0)
    mu, logvar = torch.randn(3, 5), torch.randn(3, 5)
    sigma = (logvar / 2).exp()
    z = mu + sigma * torch.randn(400_000, 3, 5)
    log_q = -((z - mu) / sigma).square() / 2 - sigma.log()
    sampled = (log_q + z.square() / 2).sum(2).mean(0)  # 3: E log q(z) − log p(z)
    torch.testing.assert_close(kl_divergence(mu, logvar, "per example"), sampled,
                               rtol=0.01, atol=0)  # fmt: skip


def test_gradients_pass_through_a_draw() -> None:
    net = nodegraph.compile(graph("vae"), ["encoder.mu", "encoder.logvar", "epsilon"], ["z"])
    torch.manual_seed(0)
    mu, logvar, epsilon = (torch.randn(4, 20, requires_grad=True) for _ in range(3))
    z = net(mu, logvar, epsilon)
    sigma = (logvar / 2).exp()
    torch.testing.assert_close(z, mu + sigma * epsilon)
    to_mu, to_logvar = torch.autograd.grad(z.sum(), (mu, logvar))
    torch.testing.assert_close(to_mu, torch.ones_like(mu))
    torch.testing.assert_close(to_logvar, sigma * epsilon / 2)


def test_the_bound_is_the_sum_over_pixels_and_the_divergence() -> None:
    vae = graph("vae")
    whole = ["decoder", "digits.digits.image", "encoder.mu", "encoder.logvar"]
    net = nodegraph.compile(vae, whole, ["bound.loss"])
    torch.manual_seed(1)
    logits, image = torch.randn(6, 1, 28, 28), torch.rand(6, 1, 28, 28)
    mu, logvar = torch.randn(6, 20), torch.randn(6, 20)
    p = logits.sigmoid()
    nats = -(image * p.log() + (1 - image) * (1 - p).log()).sum((1, 2, 3)).mean()
    kl = kl_divergence(mu, logvar, "mean")
    torch.testing.assert_close(net(logits, image, mu, logvar), nats + kl)
    heavy = nodegraph.compile(choose(vae, "beta"), whole, ["bound.loss"])
    torch.testing.assert_close(heavy(logits, image, mu, logvar), nats + 4 * kl)


def test_an_optimiser_computes_the_mean_difference_of_all_pairs() -> None:
    small = {"batch": 8, "code": 6, "direction": (6,), "steps": 2, "pairs": 5}
    of = graph("attribute_editing")
    entry = of.nodes["pairs"]
    of = of.with_(nodes={**of.nodes, "pairs": entry.__class__(
        entry.type, {**entry.params, "count": 64, "held_out": 16})})  # fmt: skip
    _, state = trained(of, 3, **small)
    encode = slice_of(settled(choose(of, "quick", small)), state, ["pairs.before"], ["encoder"])
    source = draw(of, "pairs", seed=3, batch=8)
    batches = [source.draw() for _ in range(7)][2:]
    with torch.no_grad():
        differences = [encode(after) - encode(before) for before, after, _ in batches]
    wanted = torch.stack(differences).mean((0, 1))
    torch.testing.assert_close(state["v.value"], wanted, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(state["v.value"], differences[-1].mean(0), rtol=0.1)


def lean(images: torch.Tensor) -> torch.Tensor:
    """How far the ink leans to the right: −Σ xy / Σ y² about its centre, of each image."""
    x = torch.linspace(-1, 1, images.shape[-1])
    y = x[:, None]
    ink = images[:, 0] / images.sum((1, 2, 3))[:, None, None]
    dx = x - (ink * x).sum((1, 2))[:, None, None]
    dy = y - (ink * y).sum((1, 2))[:, None, None]
    return -(ink * dx * dy).sum((1, 2)) / (ink * dy.square()).sum((1, 2))


@pytest.mark.parametrize("attribute", ["bold", "slant", "size"])
def test_pairs_differ_in_one_attribute(attribute: str) -> None:
    source = DigitPairs(attribute, 8, count=200, held_out=50)
    source.load()
    before, after, label = source.train
    ink = after.sum((1, 2, 3)) / before.sum((1, 2, 3))
    leaning = lean(after) - lean(before)
    assert len(label) == 200 and not torch.equal(before[:50], source.test[0])
    if attribute == "slant":
        assert leaning.median() > 0.2 and (leaning > 0.1).float().mean() > 0.95
        assert (ink - 1).abs().median() < 0.05
    else:
        assert (ink > 1.1).float().mean() > 0.95
        assert leaning.abs().median() < 0.05
