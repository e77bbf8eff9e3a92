"""The metrics of samples: each against a double loop or a number known beforehand."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from acceptance import graph
from nodegraph.nodes.ops import quality
from torch import Tensor

import nodegraph
from nodegraph import files
from nodegraph.training.run import start
from nodegraph.training.trainer import Options, Watched


def samples(seed: int = 0, n: int = 30, m: int = 25, d: int = 4) -> tuple[Tensor, Tensor]:
    """Two sets of features, the second moved and wider."""
    torch.manual_seed(seed)
    return torch.randn(n, d), 0.7 + 1.5 * torch.randn(m, d)


def distance(a: Tensor, b: Tensor) -> float:
    return math.sqrt(sum((p - q) ** 2 for p, q in zip(a.tolist(), b.tolist())))


# Distances between distributions -----------------------------------------------------------------


def test_the_kernel_distance_is_a_double_loop() -> None:
    x, y = samples()
    d = x.shape[1]

    def k(u: Tensor, v: Tensor) -> float:
        return (sum(a * b for a, b in zip(u.tolist(), v.tolist())) / d + 1) ** 3

    def pairs(z: Tensor) -> float:
        found = [k(u, v) for (i, u), (j, v) in itertools.product(enumerate(z), repeat=2) if i != j]
        return sum(found) / len(found)

    between = [k(u, v) for u, v in itertools.product(x, y)]
    wanted = pairs(x) + pairs(y) - 2 * sum(between) / len(between)
    assert float(quality.kernel_distance(x, y, scaled=False)) == pytest.approx(wanted, rel=1e-4)
    unit = y.var(0, correction=0).mean().sqrt()
    scaled = quality.kernel_distance(x / unit, y / unit, scaled=False)
    assert torch.allclose(quality.kernel_distance(7 * x, 7 * y, scaled=True), scaled, rtol=1e-4)
    assert abs(float(scaled) - wanted) > 0.1


def test_the_kernel_distance_of_one_distribution_is_0_on_average() -> None:
    torch.manual_seed(0)
    draws = [quality.kernel_distance(*torch.randn(2, 100, 8), scaled=False) for _ in range(200)]
    found = torch.stack(draws)
    assert found.min() < 0 < found.max()
    assert abs(float(found.mean())) < 3 * float(found.std()) / math.sqrt(200)


def test_the_frechet_distance_of_commuting_gaussians_is_known() -> None:
    torch.manual_seed(0)
    base = torch.linalg.qr(torch.randn(200, 3))[0]
    base = base - base.mean(0)
    base = torch.linalg.qr(base)[0] * math.sqrt(199)  # covariance 1, mean 0, exactly
    x = base * torch.tensor([1.0, 2.0, 3.0]) + 1.0
    y = base * torch.tensor([2.0, 2.0, 0.5])
    # Diagonal covariances: Σ (σ₁ − σ₂)², and the means.
    wanted = 3.0 + 1.0 + 0.0 + 2.5**2
    assert float(quality.frechet_distance(x, y, scaled=False)) == pytest.approx(wanted, rel=1e-4)


def test_the_frechet_distance_is_that_of_a_matrix_root() -> None:
    import scipy.linalg

    x, y = samples(n=60, m=50)
    one, two = (torch.cov(z.double().T).numpy() for z in (x, y))
    root = scipy.linalg.sqrtm(one @ two).real
    means = (x.double().mean(0) - y.double().mean(0)).square().sum()
    wanted = float(means) + (one + two - 2 * root).trace()
    assert float(quality.frechet_distance(x, y, scaled=False)) == pytest.approx(wanted, rel=1e-4)


# Neighbours --------------------------------------------------------------------------------------


def test_precision_counts_what_lies_within_the_reach_of_a_neighbour() -> None:
    x, y = samples()
    x, k = 2 * x, 3
    reach = [sorted(distance(a, b) for j, b in enumerate(y) if j != i)[k - 1]
             for i, a in enumerate(y)]  # fmt: skip
    inside = [any(distance(a, b) <= r for b, r in zip(y, reach)) for a in x]
    assert float(quality.inside_manifold(x, y, k)) == pytest.approx(sum(inside) / len(x))
    assert 0 < sum(inside) < len(x)


def test_ten_images_again_and_again_have_precision_but_no_recall() -> None:
    torch.manual_seed(0)
    real = torch.randn(300, 8)
    collapsed = real[:10].repeat(30, 1)
    assert quality.inside_manifold(collapsed, real, 5) == 1
    assert quality.inside_manifold(real, collapsed, 5) <= 10 / 300
    assert quality.inside_manifold(real, torch.randn(300, 8), 5) > 0.8


def test_the_copy_ratio_is_of_medians_of_nearest_distances() -> None:
    x, training = samples()
    reference, _ = samples(seed=1, n=11)
    nearest = [sorted(min(distance(a, b) for b in training) for a in z) for z in (x, reference)]
    # torch's median is the lower of the two in the middle
    wanted = nearest[0][(len(x) - 1) // 2] / nearest[1][5]
    assert float(quality.copy_ratio(x, training, reference)) == pytest.approx(wanted, rel=1e-5)
    assert quality.copy_ratio(training[:9], training, reference) == 0


# Tests -------------------------------------------------------------------------------------------


def test_the_permutation_test_rejects_a_true_hypothesis_as_often_as_it_says() -> None:
    torch.manual_seed(0)
    p = [float(quality.two_sample_test(*torch.randn(2, 30, 3), 99, "p value")) for _ in range(100)]
    assert sum(v <= 0.2 for v in p) in range(10, 32)  # 20 ± 3 σ
    x, y = samples()
    assert quality.two_sample_test(x, y, 99, "p value") == pytest.approx(0.01)
    assert quality.two_sample_test(x, y, 99, "ratio") > 1.5
    assert quality.two_sample_test(x, x.clone(), 99, "ratio") < 0.5


def test_the_mmd_of_the_permutation_test_is_that_of_the_loss() -> None:
    """The ratio of two divisions is that of their MMD², whose kernel is the median's."""
    from nodegraph.nodes.ops import moments

    x, y = samples()
    z = torch.cat([x, y])
    d2 = torch.tensor([distance(a, b) ** 2 for a, b in itertools.combinations(z, 2)])
    sigma = float(d2.median())
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(19):
        order = torch.randperm(len(z), generator=generator)
        one = torch.zeros(len(z), dtype=torch.bool)
        one[order[: len(x)]] = True
        found.append(moments.mmd(z[one], z[~one], (sigma,)))
    wanted = moments.mmd(x, y, (sigma,)) / torch.stack(found).quantile(0.95)
    assert quality.two_sample_test(x, y, 19, "ratio") == pytest.approx(float(wanted), rel=1e-3)


def test_a_classifier_tells_apart_what_differs_and_nothing_else() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(400, 6), torch.randn(400, 6)
    assert float(quality.classifier_test(x, y)) == pytest.approx(0.5, abs=0.08)
    assert quality.classifier_test(x, y + 8) == 1
    few = torch.randn(2, 100, 32)  # so few that it would tell apart what it has learned from
    assert float(quality.classifier_test(*few)) == pytest.approx(0.5, abs=0.1)
    # One axis moved by 2 σ: the best that can be done is Φ(1) = 0.841.
    moved = y + torch.tensor([2.0, 0, 0, 0, 0, 0])
    assert float(quality.classifier_test(x, moved)) == pytest.approx(0.841, abs=0.05)
    assert float(quality.classifier_test(x[:40], moved)) == pytest.approx(0.841, abs=0.12)


# Classes -----------------------------------------------------------------------------------------


def test_entropy_and_coverage_count_the_predicted_classes() -> None:
    even = 9 * torch.eye(8).repeat(5, 1)
    assert quality.class_entropy(even) == pytest.approx(3.0)
    assert quality.class_coverage(even, 0.02) == 8
    two = 9 * torch.eye(8)[[0, 0, 0, 1]].repeat(25, 1)  # 3/4 and 1/4
    assert quality.class_entropy(two) == pytest.approx(2 - 0.75 * math.log2(3))
    assert quality.class_coverage(two, 0.02) == 2
    assert quality.class_coverage(two, 0.3) == 1
    assert quality.class_entropy(two[:1]) == 0


def test_the_inception_score_is_between_1_and_the_number_of_classes() -> None:
    sure = 60 * torch.eye(8)
    assert quality.inception_score(sure) == pytest.approx(8.0)
    assert quality.inception_score(torch.randn(1, 8).repeat(5, 1)) == pytest.approx(1.0)
    torch.manual_seed(0)
    p = torch.randn(20, 8).softmax(1)
    kl = (p * (p / p.mean(0)).log()).sum(1).mean()
    assert quality.inception_score(p.log()) == pytest.approx(float(kl.exp()), rel=1e-5)


# In a graph --------------------------------------------------------------------------------------

TOGETHER = """
nodegraph: 1
groups:
  Look:
    inputs: {image: N C H W}
    outputs: {mean: mean}
    params: {held_out: 40}
    nodes:
      real: {type: FontDigits, batch: 8, count: 8, held_out: $held_out, size: 8}
      x: {type: Flatten, in: {x: image}}
      y: {type: Flatten, in: {x: real.image}}
      distance: {type: KernelDistance, in: {x: x, reference: y}}
      mean: {type: Value, in: {x: image}}
nodes:
  others: {type: FontDigits, batch: 8, count: 8, held_out: 40, size: 8, seed: 1}
  look: {type: Look, held_out: 40, in: {image: others.image}}
train:
  - {stage: see, steps: 1, watch: [look]}
"""


def test_a_group_in_watch_means_all_metrics_in_it(tmp_path: Path) -> None:
    of = files.parse(TOGETHER).graph
    assert [str(p) for p in nodegraph.check(of)] == []
    for held_out in (40, 300):  # 300: more than a batch of evaluation
        text = TOGETHER.replace("40", str(held_out))
        trainer = start(files.parse(text).graph, options=Options(0))
        (found,) = [e.metrics for e in trainer.events() if isinstance(e, Watched)]
        assert sorted(found) == ["look.distance", "look.mean"]
        images = [trainer.sources[n].test[0].flatten(1) for n in ("others", "look.real")]
        wanted = quality.kernel_distance(*images, scaled=True)
        assert found["look.distance"] == pytest.approx(float(wanted), rel=1e-4)
        halves = [quality.kernel_distance(*(i[a : a + held_out // 2] for i in images), scaled=True)
                  for a in (0, held_out // 2)]  # fmt: skip
        assert found["look.distance"] != pytest.approx(float(sum(halves)) / 2, rel=1e-2)


def test_a_group_without_metrics_cannot_be_watched() -> None:
    of = files.parse(TOGETHER.replace("[look]", "[luk]")).graph
    told = "\n".join(map(str, nodegraph.check(of)))
    assert "watch names luk, which does not exist" in told


def test_the_training_images_can_be_measured() -> None:
    of = graph("quality_panel")
    trainer = start(of, settings={"count": 60, "batch": 8}, options=Options(0))
    real, training, copied = (
        trainer.sources[n] for n in ("panel.real", "panel.training", "copied")
    )
    assert torch.equal(training.examples[0], real.train[0])
    assert torch.equal(copied.held_out(0, 20)[0], real.train[0][:20])
    assert not torch.equal(real.held_out(0, 20)[0], real.train[0][:20])
