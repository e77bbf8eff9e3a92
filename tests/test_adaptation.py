"""Domain adaptation: the published sizes, the distances of means, and the aligned subspaces."""

from __future__ import annotations

import numpy
import pytest
import torch
from acceptance import graph
from nodegraph.nodes.ops.arithmetic import principal_axes

import nodegraph
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import choose
from nodegraph.library import standard
from nodegraph.training.run import start
from nodegraph.training.trainer import Options, Stepped

STREET = {"extract": 312_256, "labels": 31_482_890, "domain": 9_440_257}


@pytest.mark.parametrize(
    "name, preset, settings, wanted",
    [
        ("dann", "paper", {}, {"features": 40_880, "digits": 88_010, "domain": 77_001}),
        ("dann", "padded", {}, {"features": 40_880, "digits": 246_410, "domain": 235_401}),
        ("dann_large", "svhn_to_mnist", {}, STREET),
        ("dann_large", "mnist_to_svhn", {}, STREET),
        ("dann_large", "synnumbers_to_svhn", {}, STREET),
        ("dann_large", "synsigns_to_gtsrb", {},
         {"extract": 1_053_712, "labels": 546_859, "domain": 2_100_225}),
        ("dann_large", "office", {},
         {"extract": 57_003_840, "features": 1_048_832, "labels": 7_967, "domain": 1_313_793}),
        ("ddc", "paper", {}, {"extract": 57_003_840, "features": 1_048_832, "labels": 7_967}),
    ],
)  # fmt: skip
def test_networks_of_domain_adaptation_have_their_sizes(
    name: str, preset: str, settings: dict, wanted: dict[str, int]
) -> None:
    body = resolved(settled(choose(graph(name), preset, settings)), standard())
    assert {part: body.calls[part].parameters() for part in wanted} == wanted
    if (name, preset) in (("dann", "paper"), ("dann", "padded")):
        assert sum(wanted.values()) == {"paper": 205_891, "padded": 522_691}[preset]


@pytest.mark.parametrize("preset", ["svhn_to_mnist", "synsigns_to_gtsrb"])
def test_networks_for_house_numbers_and_signs_learn(preset: str) -> None:
    """Two steps by hand: data of the presets are not there. Only the matrices are narrower."""
    of = settled(choose(graph("dann_large"), preset, {"f1": 96, "f2": 64, "width": 64}))
    size = of.params["size"]
    torch.manual_seed(0)
    net = nodegraph.compile(of, ["pixels", "pixels_t", "source.files.label", "strength"],
                            ["label_loss", "domain_loss"])  # fmt: skip
    images, labels = torch.rand(2, 2, 3, size, size), torch.randint(of.params["classes"], (2,))
    sgd = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    for _ in range(2):
        label_loss, domain_loss = net(*images, labels, torch.tensor(0.5))
        sgd.zero_grad()
        (label_loss + domain_loss).backward()
        sgd.step()
    assert torch.isfinite(label_loss + domain_loss)
    assert not [k for k, v in net.state_dict().items() if torch.equal(v, before[k])]


def test_house_numbers_alone_are_learned_as_those_of_two_domains_are() -> None:
    """The same networks, optimiser and first step; but the heads of domains stay as they were."""
    of = graph("dann_large")
    assert nodegraph.check(choose(of, "svhn_source_only")) == []
    both, alone = of.presets["svhn_to_mnist"], of.presets["svhn_source_only"]
    assert alone == both | {"update": "source_only_sgd", "invariance": ()}
    small = {"source_data": "PrintedDigits", "target_data": "DigitsOnPhotographs", "batch": 4,
             "c1": 4, "c2": 4, "c3": 4, "f1": 16, "f2": 16, "width": 16, "steps": 2}  # fmt: skip
    first, moved = [], []
    for preset in ("svhn_to_mnist", "svhn_source_only"):
        trainer = start(of, preset, small, options=Options(0, device="cpu"))
        before = {k: v.clone() for k, v in trainer.net.named_parameters()}
        losses = [e.losses for e in trainer.events() if isinstance(e, Stepped)]
        assert len(losses) == 2
        first.append(float(losses[0]["label_loss"]))
        after = dict(trainer.net.named_parameters())
        moved.append({k.partition(".")[0] for k in before if not torch.equal(before[k], after[k])})
    assert first[0] == first[1]
    assert moved == [{"extract", "labels", "domain"}, {"extract", "labels"}]


@pytest.mark.parametrize(
    "name, preset, missing",
    [
        ("dann_large", "synnumbers_to_svhn", "syn_numbers"),
        ("dann_large", "synsigns_to_gtsrb", "syn_signs"),
        ("dann_large", "office", "amazon"),
        ("ddc", "paper", "amazon"),
    ],
)
def test_a_folder_that_is_not_there_is_told_before_anything_is_fetched(
    name: str, preset: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nodegraph.nodes.ops import downloads, weights

    def refuse(*_: object) -> str:
        raise AssertionError("something was to be downloaded")

    monkeypatch.setattr(downloads, "fetched", refuse)
    monkeypatch.setattr(weights, "fetched", refuse)
    with pytest.raises((OSError, ValueError), match=f"{missing}: no such folder"):
        list(start(graph(name), preset).events())


# Distances of means ------------------------------------------------------------------------------


def test_the_mean_difference_is_that_of_a_double_loop() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(5, 7), torch.randn(4, 7) + 1
    net = nodegraph.compile(graph("ddc"), ["features", "features_t"], ["discrepancy"])
    wanted = 0.0
    for j in range(7):
        mean_x = sum(x[i, j].item() for i in range(5)) / 5
        mean_y = sum(y[i, j].item() for i in range(4)) / 4
        wanted += (mean_x - mean_y) ** 2
    torch.testing.assert_close(net(x, y), torch.tensor(wanted))
    # It is MMD² with the kernel k(x, y) = xᵀ y.
    mmd = (x @ x.T).mean() + (y @ y.T).mean() - 2 * (x @ y.T).mean()
    torch.testing.assert_close(net(x, y), mmd)


def test_features_that_shrink_do_not_come_closer_in_units_of_their_variance() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(64, 100), torch.randn(64, 100) + 0.5
    net = nodegraph.compile(graph("ddc"), ["features", "features_t"], ["separation", "discrepancy"])
    ratio, distance = net(x, y)
    smaller, less = net(x / 10, y / 10)
    torch.testing.assert_close(less, distance / 100)
    torch.testing.assert_close(smaller, ratio, rtol=1e-4, atol=0)
    around = torch.cat([x - x.mean(0), y - y.mean(0)]).square().mean(0).sum()
    torch.testing.assert_close(ratio, (x.mean(0) - y.mean(0)).square().sum() / around)


def test_only_with_its_weight_does_the_distance_pull_at_the_features() -> None:
    torch.manual_seed(0)
    x, y = (torch.randn(8, 100, requires_grad=True) for _ in range(2))
    for weight in (0.0, 0.25, 1.0):
        of = choose(graph("ddc"), settings={"weight": weight})
        net = nodegraph.compile(of, ["features", "features_t"], ["confusion"])
        pull = torch.autograd.grad(net(x, y), (x, y))
        apart = weight * 2 / 8 * (x.mean(0) - y.mean(0))
        torch.testing.assert_close(pull[0], apart.expand(8, 100))
        torch.testing.assert_close(pull[1], -apart.expand(8, 100))


# Subspaces ---------------------------------------------------------------------------------------


def whole(x: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Features with mean 0 and variance 1, and their principal axes, by a decomposition of them."""
    z = (x - x.mean(0)) / numpy.sqrt(x.var(0) + 1e-4)
    return z, numpy.linalg.svd(z - z.mean(0))[2].T


def test_a_subspace_is_that_of_the_singular_value_decomposition() -> None:
    torch.manual_seed(0)
    mixing = torch.randn(100, 100) * torch.linspace(0.1, 2, 100)[:, None]
    x = torch.randn(2, 64, 100) @ mixing + 3  # two batches
    of = graph("subspace_alignment")
    net = nodegraph.compile(of, ["features"], ["subspace.z", "subspace.axes", "subspace.loss"])
    for step, batch in enumerate(x):  # as SGD with a share of ½ / (t + 1) moves them
        loss = net(batch)[2]
        sgd = torch.optim.SGD(net.parameters(), 0.5 / (step + 1))
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    z, axes = (v.detach().double().numpy() for v in net(x.flatten(0, 1))[:2])
    wanted_z, wanted = whole(x.flatten(0, 1).double().numpy())
    numpy.testing.assert_allclose(z, wanted_z, atol=1e-4)
    for k in range(4):  # up to the sign
        assert abs(axes[:, k] @ wanted[:, k]) > 1 - 1e-5
    numpy.testing.assert_allclose(axes.T @ axes, numpy.eye(20), atol=1e-5)


def test_aligned_features_compare_as_the_paper_says() -> None:
    """z_S X_S M (z_T X_T)ᵀ = z_S A z_Tᵀ with A = X_S X_Sᵀ X_T X_Tᵀ, whatever the signs of axes."""
    torch.manual_seed(0)
    z_s, z_t = torch.randn(6, 9).double(), torch.randn(5, 9).double()
    x_s, x_t = (torch.linalg.qr(torch.randn(9, 3).double())[0] for _ in range(2))
    ends = ["subspace.z", "subspace.axes", "subspace_t.axes", "subspace_t.z"]
    net = nodegraph.compile(graph("subspace_alignment"), ends, ["turned", "components_t"])
    turned, there = net(z_s, x_s, x_t, z_t)
    wanted = z_s @ x_s @ x_s.T @ x_t @ x_t.T @ z_t.T
    torch.testing.assert_close(turned @ there.T, wanted)
    flipped, _ = net(z_s, -x_s, x_t, z_t)
    torch.testing.assert_close(flipped, turned)
    broken = nodegraph.compile(choose(graph("subspace_alignment"), "unaligned"), ends, ["turned"])
    assert not torch.allclose(broken(z_s, -x_s, x_t, z_t), broken(z_s, x_s, x_t, z_t))


def test_principal_axes_are_eigenvectors_by_falling_eigenvalue() -> None:
    covariance = torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 7.0]])
    root = 0.5**0.5
    wanted = torch.tensor([[0.0, root], [0.0, root], [1.0, 0.0]])
    torch.testing.assert_close(principal_axes(covariance, 2), wanted)


def test_a_reversal_that_is_written_out_adapts_as_the_one_of_nodegraph() -> None:
    states = []
    for preset in ("quick", "written_out"):
        made = start(graph("dann"), preset, {"count": 200, "batch": 8, "steps": 3})
        list(made.events())
        states.append(made.net.state_dict())
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, atol=1e-6, rtol=1e-5)
