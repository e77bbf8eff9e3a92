"""How little does it take to fool a network that reads digits? `make accept` runs these."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pytest
import torch
from acceptance import Record, draw, graph, slice_of, trained
from nodegraph.nodes.ops.shape import other_labels
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy

from nodegraph.attack import against
from nodegraph.graph import choose
from nodegraph.training.run import start
from nodegraph.training.trainer import Options

pytestmark = pytest.mark.accept

SOFT = "bilinear"  # how the digits are enlarged, as the prototype's were
SIZES = (0.05, 0.1, 0.15, 0.2, 0.3)
# Of the prototype: accuracy under noise, FGSM and PGD at each size.
PROTOTYPE = {
    "noise": (0.97, 0.975, 0.962, 0.947, 0.902),
    "fgsm": (0.771, 0.264, 0.035, 0.015, 0.013),
    "pgd": (0.756, 0.191, 0.003, 0.0, 0.0),
}
# Of the papers, on MNIST: a maxout network, and a convolutional one.
PAPER = {("fgsm", 0.3): "0.106 at 0.25", ("pgd", 0.3): "≈ 0"}


class Victim(NamedTuple):
    """A trained classifier, held-out digits, and where its run lies."""

    net: Any
    image: Tensor
    label: Tensor
    run: Path

    def right(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Which of the first digits are read as their label, or as another one."""
        with torch.no_grad():
            wanted = (self.label if label is None else label)[: len(image)]
            return self.net(image).argmax(1) == wanted

    def accuracy(self, image: Tensor) -> float:
        """The share that is read right."""
        return self.right(image).float().mean().item()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this file lie."""
    return tmp_path_factory.mktemp("attacks")


@functools.cache
def victim(seed: int, folder: Path, enlarged: str) -> Victim:
    """A run of lenet, on digits with soft edges, as those of the prototype and of the attacks."""
    of, run = graph("lenet"), folder / f"{enlarged}-{seed}"
    entry = replace(of.nodes["digits"], type="Digits")
    entry = replace(entry, params={**entry.params, "enlarged": enlarged})
    of = of.with_(nodes={**of.nodes, "digits": entry})
    made = start(of, "quick", {}, run=run, options=Options(seed))
    list(made.events())
    net = slice_of(made.graph, made.net.state_dict(), ["digits.image"], ["scores"])
    return Victim(net, *draw(made.graph, "digits").held_out(0, 397), run)


@functools.cache
def attacked(
    name: str, eps: float, seed: int, folder: Path, enlarged: str = SOFT
) -> tuple[Tensor, float]:
    """The digits after an attack, and the accuracy that the run has measured."""
    of = victim(seed, folder, enlarged)
    rows, state = trained(against(choose(graph(name), "", {"eps": eps}), of.run), seed)
    for key, value in of.net.state_dict().items():
        assert torch.equal(state[f"classifier.{key}"], value)  # the attack moved no weight
    image = (of.image + eps * state["perturbed.u.value"]).clamp(0, 1)
    return image, rows[-1]["accuracy_attacked"]


def least_lengths(of: Victim, image: Tensor, label: Tensor, towards: bool) -> Tensor:
    """The lengths of the first FGSM steps that reach a label, or leave it, of those that do."""
    x = image.clone().requires_grad_()
    cross_entropy(of.net(x), label, reduction="sum").backward()
    assert x.grad is not None
    sign = -x.grad.sign() if towards else x.grad.sign()
    found = torch.full((len(image),), torch.nan)
    for eps in torch.arange(0.005, 1, 0.005):
        moved = (image + eps * sign).clamp(0, 1)
        done = of.right(moved, label) == towards
        lengths = (moved - image).flatten(1).norm(dim=1)
        found = torch.where(done & found.isnan(), lengths, found)
    return found[~found.isnan()]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_small_step_by_the_gradient_fools_where_noise_does_not(
    seed: int, folder: Path, record: Record
) -> None:
    of = victim(seed, folder, SOFT)
    clean = of.accuracy(of.image)
    random = torch.Generator().manual_seed(seed)
    record("fgsm", "accuracy on clean digits", "≥ 0.95", clean, seed, prototype=0.97)
    assert clean >= 0.95
    found: dict[str, list[float]] = {"noise": [], "fgsm": [], "pgd": []}
    for i, eps in enumerate(SIZES):
        sign = torch.randint(2, of.image.shape, generator=random) * 2 - 1
        found["noise"].append(of.accuracy((of.image + eps * sign).clamp(0, 1)))
        for name in ("fgsm", "pgd"):
            image, told = attacked(name, eps, seed, folder)
            found[name].append(of.accuracy(image))
            assert told == pytest.approx(found[name][-1], abs=1e-6)
        wanted = {"noise": "≥ 0.9", "fgsm": "< 0.5"} if eps == 0.1 else {}
        for name, row in found.items():
            graph_, what = ("fgsm", f"control: accuracy, ±{eps}") if name == "noise" else (
                name, f"accuracy, ε = {eps}")  # fmt: skip
            limit = "≤ FGSM's" if name == "pgd" else wanted.get(name, "–")
            record(graph_, what, limit, row[i], seed, prototype=PROTOTYPE[name][i],
                   paper=PAPER.get((name, eps), ""))  # fmt: skip
    _, sharp = attacked("fgsm", 0.1, seed, folder, "bicubic")
    record("fgsm", "accuracy, ε = 0.1, the sharper digits of lenet", "–", sharp, seed)
    at = SIZES.index(0.1)
    assert found["fgsm"][at] < 0.5 and found["noise"][at] >= 0.9
    assert all(p <= f for p, f in zip(found["pgd"], found["fgsm"], strict=True))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_the_digits_stay_in_the_ball_and_the_box_also_as_pictures(
    name: str, seed: int, folder: Path, record: Record
) -> None:
    of = victim(seed, folder, SOFT)
    furthest = saved = lost = 0.0
    for eps in SIZES:
        image, told = attacked(name, eps, seed, folder)
        assert 0 <= image.min() and image.max() <= 1
        furthest = max(furthest, (image - of.image).abs().max().item() - eps)
        png = folder / f"{name}-{eps}-{seed}.png"
        rows = (image.flatten(1) * 255).round().numpy().astype(numpy.uint8)  # a digit is a row
        Image.fromarray(rows).save(png)
        again = torch.from_numpy(numpy.array(Image.open(png))).float().view_as(image) / 255
        saved = max(saved, (again - of.image).abs().max().item() - eps)
        lost = max(lost, abs(of.accuracy(again) - told))
    record(name, "furthest pixel, beyond ε", "≤ 1e-6", furthest, seed)
    record(name, "furthest pixel in the PNG, beyond ε", "≤ 1/255", saved, seed)
    record(name, "accuracy, change by the PNG", "–", lost, seed)
    assert furthest <= 1e-6 and saved <= 1 / 255
    over = (of.image + 0.11 * torch.ones_like(of.image)).clamp(0, 1)
    assert (over - of.image).abs().max() > 0.1 + 1e-6  # the check sees a pixel that is too far


@pytest.mark.parametrize("seed", [0, 1])
def test_the_least_perturbation_reaches_any_label(seed: int, folder: Path, record: Record) -> None:
    of, name = victim(seed, folder, SOFT), "adversarial_example"
    rows, state = trained(against(graph(name), of.run), seed)
    kept = state["kept.kept.value"]
    count = len(kept)
    clean, target = of.image[:count], other_labels(of.label[:count], 10, 0)
    known = of.right(clean)
    adversarial = clean + kept
    assert adversarial.min() >= -1e-6 and adversarial.max() <= 1 + 1e-6
    hit = of.right(adversarial, target) & known
    success = hit.sum().item() / known.sum().item()
    lengths = kept.flatten(1).norm(dim=1)[hit]
    rms = (lengths / 16).mean().item()
    record(name, "digits that were read right", "–", known.sum().item(), seed)
    record(name, "targeted success among them", "≥ 0.9", success, seed, prototype=1.0, paper=1.0)
    record(name, "mean distortion √(Σ r² / n)", "–", rms, seed, prototype=0.089, paper=0.058)
    record(name, "mean ‖r‖", "< FGSM's", lengths.mean().item(), seed, prototype=1.42)
    assert success >= 0.9

    # FGSM at the least size of the table that succeeds as often: it may end at any other label.
    for eps in SIZES:
        image = attacked("fgsm", eps, seed, folder)[0][:count]
        fooled = ~of.right(image) & known
        if fooled.sum() >= 0.9 * known.sum():
            break
    others = (image - clean).flatten(1).norm(dim=1)[fooled].mean().item()
    record(name, "‖r‖ of FGSM with ≥ 0.9 success", "> ours", others, seed)
    record(name, "ε of FGSM with ≥ 0.9 success", "–", eps, seed)
    assert fooled.sum() >= 0.9 * known.sum() and lengths.mean() < others

    # FGSM with the least size for each digit: to the same labels, and to any.
    aimed = least_lengths(of, clean[hit], target[hit], towards=True)
    away = least_lengths(of, clean[hit], of.label[:count][hit], towards=False)
    record(
        name, "‖r‖ of FGSM, least ε of each digit, same label", "> ours", aimed.mean().item(), seed
    )
    record(name, "digits that it reaches so", "–", len(aimed), seed)
    record(
        name, "‖r‖ of FGSM, least ε of each digit, any label", "> ours", away.mean().item(), seed
    )
    assert lengths.mean() < aimed.mean() and len(aimed) < hit.sum()

    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(of.image.shape, generator=random)
    noise *= lengths.mean() / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    noisy = of.accuracy((of.image + noise).clamp(0, 1))
    record(
        name, "control: accuracy, noise of that norm", "within 0.03", noisy, seed, prototype=0.97
    )
    assert abs(noisy - of.accuracy(of.image)) <= 0.03
    swapped = of.right((clean + kept.roll(1, 0)).clamp(0, 1), target).float().mean().item()
    record(name, "control: another digit's perturbation", "< 0.3", swapped, seed)
    assert swapped < 0.3
    if away.mean() <= lengths.mean():
        pytest.xfail("to leave a label takes less than to reach one that was chosen beforehand")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_network_that_comes_with_the_attack_is_fooled_too(seed: int, record: Record) -> None:
    rows, _ = trained(graph("fgsm"), seed)
    got = rows[-1]["accuracy_attacked"]
    record("fgsm", "accuracy under attack, its own network", "< 0.5", got, seed, prototype=0.264)
    assert got < 0.5
