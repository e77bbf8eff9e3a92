"""Do networks learn likelihoods that hold on pictures they never saw? `make accept` runs these."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from acceptance import Record, draw, graph, slice_of, trained
from test_flows import integral
from torch import Tensor
from torch.nn import functional

pytestmark = pytest.mark.accept


class Flow(NamedTuple):
    """Where a flow of pictures begins, its code and where that is drawn, where the way back ends,
    and how the weights are called that begin at 0."""

    begin: str
    code: list[str]
    prior: list[str]
    back: str
    zero: tuple[str, ...]


FLOWS = {
    "realnvp": Flow("logit.x", ["c6.y"], ["prior"], "back1.back", (".net.to_",)),
    "realnvp_multiscale": Flow(
        "logit.x", ["fine", "c10.y"], ["prior_fine", "prior_coarse"], "back1.back",
        (".net.s.", ".net.t."),
    ),
    "nice": Flow("dequantise", ["scaling.y"], ["prior"], "drawn", (".last.", "scaling.")),
}  # fmt: skip


class Measured(NamedTuple):
    """Bits per dimension of a flow, how far the way back is from where it began, and its pictures:
    those of training, and what the held-out ones are where it begins."""

    identity: float
    held_out: float
    seen: float
    noise: float
    error: float
    train: Tensor
    x: Tensor

    def hold(self) -> None:
        """What is asked of each flow."""
        assert self.identity - self.held_out >= 1.5
        assert self.held_out - self.seen <= 0.3
        assert self.noise > 8
        assert self.error <= 1e-4


def measured(name: str, seed: int, record: Record, **prototype: float) -> Measured:
    """A flow after its training, with a row for each of its numbers."""
    of, ends = graph(name), FLOWS[name]
    rows, state = trained(of, seed)
    source = draw(of.groups["Printed"].with_(params={}), "digits", batch=64)
    torch.manual_seed(seed)
    u = torch.rand_like(source.test[0])
    given = ["digits.digits.image", "noise"]
    score = slice_of(of, state, given, ["likelihood.bits"])
    there = slice_of(of, state, given, [ends.begin, *ends.code])
    back = slice_of(of, state, ends.prior, [ends.back])
    begun = {k: 0 * v if any(part in k for part in ends.zero) else v for k, v in state.items()}
    with torch.no_grad():
        x, *z = there(source.test[0], u)
        error = (back(*z) - x).abs().max().item()
        identity = slice_of(of, begun, given, ["likelihood.bits"])(source.test[0], u).mean().item()
        seen = score(source.train[0][:1000], u[:1000]).mean().item()
        noise = score(torch.rand_like(u), u).mean().item()
    bits = rows[-1]["bits_per_dim"]
    for figure, wanted, got, key in (
        ("bits/dim of the identity", "–", identity, "identity"),
        ("held-out bits/dim", "≤ identity − 1.5", bits, "held_out"),
        ("bits/dim of training pictures", "–", seen, "seen"),
        ("control: bits/dim of uniform noise", "> 8", noise, "noise"),
        ("there and back, largest error", "≤ 1e-4", error, "error"),
    ):
        record(name, figure, wanted, got, seed, prototype=prototype.get(key, ""))
    return Measured(identity, bits, seen, noise, error, source.train[0], x)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["realnvp", "realnvp_multiscale"])
def test_a_flow_of_pictures_learns_their_likelihood(name: str, seed: int, record: Record) -> None:
    prototype = {"identity": 12.43, "held_out": 2.73, "seen": 2.70, "error": 1e-5}
    found = measured(name, seed, record, **prototype if name == "realnvp" else {})
    found.hold()
    assert found.held_out > 0


@pytest.mark.parametrize("seed", [0, 1])
def test_additions_and_one_stretching_learn_a_likelihood(seed: int, record: Record) -> None:
    found = measured("nice", seed, record)
    nats = 784 * (8 - found.held_out) * math.log(2)
    # Pixels by themselves: a normal density for each, fitted to the training pictures.
    train = (255 * found.train + torch.rand_like(found.train)) / 256
    fit = torch.distributions.Normal(train.mean(0), train.std(0))
    alone = 8 - fit.log_prob(found.x).mean().item() / math.log(2)
    rigid = trained(graph("nice"), seed, "no_scaling", steps=300)[0][-1]["bits_per_dim"]
    record("nice", "baseline: bits/dim of a normal for each pixel", "–", alone, seed)
    record("nice", "held-out log-likelihood, nats", "–", nats, seed, paper=1980.5)
    record("nice", "control: bits/dim without the stretching, 300 steps", "≥ 10", rigid, seed)
    found.hold()
    assert found.held_out <= alone
    assert rigid >= 10  # no logistic density is above 1/4


@pytest.mark.parametrize("seed", [0, 1])
def test_a_flow_of_the_plane_is_a_density_of_two_moons(seed: int, record: Record) -> None:
    of = graph("realnvp_plane")
    rows, state = trained(of, seed)
    score = slice_of(of, state, ["moons.point"], ["likelihood.bits"])
    source = draw(of, "moons", batch=256, noise=0.1)
    points, test = source.train[0], source.test[0]
    fit = torch.distributions.MultivariateNormal(points.mean(0), torch.cov(points.T))
    nats = rows[-1]["bits_per_dim"] * 2 * math.log(2)
    normal = -fit.log_prob(test).mean().item()
    total = integral(score, half=6.0, steps=800)
    record("realnvp_plane", "baseline: nats of a fitted normal", "–", normal, seed)
    record("realnvp_plane", "held-out nats", "≤ normal − 0.5", nats, seed)
    record("realnvp_plane", "integral of the density", "1 ± 0.01", total, seed)
    assert nats <= normal - 0.5
    assert total == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_pixelcnn_predicts_pixels_that_it_has_not_seen(seed: int, record: Record) -> None:
    of = graph("pixelcnn")
    rows, state = trained(of, seed)
    source = draw(of.groups["Printed"].with_(params={}), "digits", batch=64, size=14)
    train, test = ((s[0] > 0.5).float() for s in (source.train, source.test))
    frequency = train.mean(0).clamp(1e-3, 1 - 1e-3).expand_as(test)
    bernoulli = functional.binary_cross_entropy(frequency, test, reduction="sum") / len(test)
    net = slice_of(of, state, ["digits.bits"], ["net"])

    def nats(x: Tensor) -> float:
        with torch.no_grad():
            bce = functional.binary_cross_entropy_with_logits(net(x), x, reduction="sum")
        return bce.item() / len(x)

    held_out, canvas = nats(test), state["canvas.value"]
    torch.manual_seed(seed)
    independent = (torch.rand(16, 1, 14, 14) < frequency[:1]).float()
    record("pixelcnn", "baseline: nats of independent pixels", "–", bernoulli.item(), seed)
    record("pixelcnn", "held-out nats", "≤ 0.6 · baseline", held_out, seed,
           missed=held_out > 0.6 * bernoulli.item())  # fmt: skip
    record("pixelcnn", "nats of training pictures", "–", nats(train[:1000]), seed)
    record("pixelcnn", "nats of its samples", "≤ 1.5 · held-out", nats(canvas), seed)
    record("pixelcnn", "control: nats of independent draws", "> 2 · held-out",
           nats(independent), seed)  # fmt: skip
    record("pixelcnn", "pixels that still change after drawing", "0", rows[-1]["changing"], seed)
    assert held_out <= 0.6 * bernoulli.item()
    assert nats(canvas) <= 1.5 * held_out
    assert nats(independent) > 2 * held_out
    assert rows[-1]["changing"] == 0
