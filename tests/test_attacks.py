"""Inverted features and adversarial examples: what is exact, against torch and SciPy by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from acceptance import draw, graph, slice_of
from nodegraph.nodes.ops import images, metrics, preprocess, schedules, shape, textures
from nodegraph.nodes.ops.bounded_optimisers import LBFGSB, Bisection, ProjectedSign
from nodegraph.nodes.ops.digits import Digits
from nodegraph.nodes.ops.lecture_optimisers import LectureSGD
from nodegraph.nodes.ops.source import FixedBatch
from scipy.optimize import rosen, rosen_der
from torch import Tensor, nn
from torch.nn import functional

import nodegraph
from nodegraph import files
from nodegraph.attack import against
from nodegraph.body import Body
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import GraphError, Reference, choose
from nodegraph.library import standard
from nodegraph.training.run import start
from nodegraph.training.trainer import Options, Trainer

torch.set_num_threads(1)
ATTACKS = "fgsm", "pgd", "adversarial_example"
FEW = {"train_steps": 40, "count": 6}


def few(name: str, **more: Any) -> dict[str, Any]:
    """Settings that make an attack small."""
    prices = {"prices": (6,)} if name == "adversarial_example" else {}
    return {**FEW, "shape": (6, 1, 16, 16), **prices, **more}


def body(name: str, preset: str) -> Body:
    return resolved(settled(choose(graph(name), preset)), standard())


def at_stage(name: str, index: int, preset: str = "quick", **settings: Any) -> Trainer:
    """A graph that has been trained up to the beginning of a stage."""
    made = start(graph(name), preset, settings, options=Options(0))
    while made.index < index:
        list(made.advance())
    made.enter()
    return made


# Optimisers ---------------------------------------------------------------------------------------


def minimise(optimiser: torch.optim.Optimizer, loss: Any, steps: int = 1) -> int:
    """Run an optimiser; how often the loss was evaluated."""
    count = 0

    def closure() -> Tensor:
        nonlocal count
        count += 1
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(steps):
        optimiser.step(closure)
    return count


def rosenbrock(w: Tensor) -> Tensor:
    return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()


def test_lbfgsb_is_scipys_between_bounds() -> None:
    from scipy.optimize import minimize

    w = nn.Parameter(torch.tensor([-1.2, 1.0, 0.3], dtype=torch.float64))
    high = torch.tensor([0.5, 2.0, 2.0], dtype=torch.float64)
    count = minimise(LBFGSB([w], low=-2.0, high=high, max_iter=200), lambda: rosenbrock(w))
    told = minimize(
        rosen, [-1.2, 1.0, 0.3], jac=rosen_der, method="L-BFGS-B",
        bounds=list(zip([-2.0] * 3, high.tolist())), options={"maxiter": 200},
    )  # fmt: skip
    assert count == told.nfev
    numpy.testing.assert_allclose(w.detach().numpy(), told.x, atol=1e-9)
    assert w[0] == 0.5  # a bound holds: without it the minimum is at (1, 1, 1)
    free = nn.Parameter(w.detach().clone())
    minimise(LBFGSB([free], low=-2.0, high=2.0, max_iter=200), lambda: rosenbrock(free))
    torch.testing.assert_close(free.detach(), torch.ones(3).double(), atol=1e-4, rtol=0)


def test_lbfgsb_begins_at_zero_or_goes_on() -> None:
    ends = {}
    for restart in (False, True):
        w = nn.Parameter(torch.tensor([-1.2, 1.0]))
        optimiser = LBFGSB([w], low=-2.0, high=2.0, max_iter=3, restart=restart)
        minimise(optimiser, lambda w=w: rosenbrock(w))
        first = w.detach().clone()
        minimise(optimiser, lambda w=w: rosenbrock(w))
        ends[restart] = torch.equal(first, w)
    assert ends == {False: False, True: True}


def test_lbfgsb_that_fails_leaves_the_weights_where_they_were() -> None:
    w = nn.Parameter(torch.tensor([0.25, 0.5]))
    calls = []

    def loss() -> Tensor:
        calls.append(w.detach().clone())
        if len(calls) > 2:
            raise FloatingPointError
        return (w - 0.9).square().sum() ** 2

    with pytest.raises(FloatingPointError):
        minimise(LBFGSB([w]), loss)
    assert not torch.equal(calls[1], calls[0])
    assert w.tolist() == [0.25, 0.5]


def test_a_bound_of_another_shape_is_refused() -> None:
    w = nn.Parameter(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"shape \[4\], the weights that it bounds \[2, 3\]"):
        minimise(ProjectedSign([w], low=torch.zeros(4)), lambda: w.sum())


def test_projected_sign_steps_by_the_sign_and_comes_back() -> None:
    w = nn.Parameter(torch.tensor([0.5, 0.5, 0.5, 0.95]))
    slope = torch.tensor([1e-6, -300.0, 0.0, -1.0])
    minimise(ProjectedSign([w], lr=0.1, low=0.0, high=torch.ones(4)), lambda: (w * slope).sum())
    torch.testing.assert_close(w.detach(), torch.tensor([0.4, 0.6, 0.5, 1.0]))


def test_bisection_finds_where_the_sign_turns() -> None:
    roots = torch.tensor([0.3, 11.7, -5.2])
    w = nn.Parameter(torch.zeros(3))
    optimiser = Bisection([w], lr=math.log(4))
    path = []
    for _ in range(24):
        path.append(w.detach().clone())
        minimise(optimiser, lambda: (w * torch.where(w < roots, -1.0, 1.0)).sum())
    assert [round(x[1].item() / math.log(4), 4) for x in path[:12]] == [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8.5, 8.25,
    ]  # fmt: skip
    # 9 steps to the far root, then the interval of log 4 is halved 14 times and more.
    assert (w - roots).abs().max() < math.log(4) / 2**13
    never = nn.Parameter(torch.zeros(1))
    minimise(Bisection([never], lr=1.0), lambda: -never.sum(), 7)
    assert never.item() == 7.0  # no turn, no halving


def test_a_velocity_that_is_reset_begins_anew_at_each_rate() -> None:
    ends = {}
    for reset in (True, False):
        w = nn.Parameter(torch.tensor([2.0]))
        optimiser = LectureSGD([w], momentum=0.9, nesterov=False, reset=reset)
        x, v, rates = 2.0, 0.0, [0.1] * 4 + [0.01] * 4
        for t, rate in enumerate(rates):
            optimiser.param_groups[0]["lr"] = rate
            minimise(optimiser, lambda w=w: (w**2).sum())
            v = 0.9 * (0.0 if reset and t == 4 else v) - rate * 2 * x
            x += v
        assert w.item() == pytest.approx(x, rel=1e-5)
        ends[reset] = w.item()
    assert abs(ends[True] - ends[False]) > 0.1
    with pytest.raises(ValueError, match="reset expects the formula lecture"):
        standard()["SGD"](over=("w",), reset=True)


@pytest.mark.parametrize("high, wanted", [("far.b", 0.75), ("far.a", 0.25)])
def test_an_optimisers_option_comes_from_the_output_that_is_linked(
    high: str, wanted: float
) -> None:
    text = f"""
groups:
  Two:
    outputs: {{a: a, b: b}}
    nodes:
      a: {{type: Constant, number: 0.25, shape: [2]}}
      b: {{type: Constant, number: 0.75, shape: [2]}}
nodes:
  w: {{type: Parameter, shape: [2]}}
  far: {{type: Two}}
  down: {{type: Scale, factor: -1, in: {{x: w}}}}
  sum: {{type: Sum, in: {{x: down}}}}
  walk: {{type: KIND, over: [w], in: {{loss: sum, high: {high}}}}}
train: [{{stage: s, steps: 9, run: [walk]}}]
"""
    for kind in ("ProjectedSign", "LBFGSB"):
        of = files.parse("nodegraph: 1\n" + text.replace("KIND", kind)).graph
        made = Trainer(settled(of), Options(device="cpu"))
        list(made.events())
        assert made.net.w.value.tolist() == [wanted, wanted]


def test_a_bound_that_moves_with_what_it_bounds_is_refused() -> None:
    text = """nodegraph: 1
nodes:
  w: {type: Parameter, shape: [2]}
  more: {type: Shift, amount: 1, in: {x: w}}
  sum: {type: Sum, in: {x: w}}
  walk: {type: LBFGSB, over: [w], in: {loss: sum, high: more}}
train: [{stage: s, steps: 1, run: [walk]}]
"""
    with pytest.raises(GraphError, match="high comes from more, which walk moves"):
        list(Trainer(settled(files.parse(text).graph), Options(device="cpu")).events())


# Small nodes --------------------------------------------------------------------------------------


def test_piecewise_has_a_value_for_each_part() -> None:
    values, until = (0.004, 0.0004, 0.00004), (100, 300)
    found = [schedules.piecewise(t, 400, values, until) for t in (0, 99, 100, 299, 300, 399)]
    assert found == [0.004, 0.004, 0.0004, 0.0004, 0.00004, 0.00004]
    with pytest.raises(ValueError, match="values expects 2"):
        standard()["Piecewise"](values=(1.0,))
    with pytest.raises(ValueError, match="rising"):
        standard()["Piecewise"](values=(1.0, 2.0, 3.0), until=(5, 5))


def test_other_labels_are_others_and_stay() -> None:
    labels = torch.arange(1000) % 10
    other = shape.other_labels(labels, 10, 0)
    assert torch.equal(other, shape.other_labels(labels, 10, 0))
    assert not torch.equal(other, shape.other_labels(labels, 10, 1))
    assert not (other == labels).any() and other.unique().tolist() == list(range(10))


def test_hits_are_one_where_the_highest_score_is_at_the_label() -> None:
    logits = torch.tensor([[0.0, 2.0], [3.0, 1.0], [0.5, 0.1]])
    labels = torch.tensor([1, 1, 0])
    assert metrics.hits(logits, labels).tolist() == [1.0, 0.0, 1.0]
    assert metrics.accuracy(logits, labels).item() == pytest.approx(2 / 3)


def test_a_fixed_batch_is_the_first_held_out_examples_and_stays() -> None:
    of = Digits(5)
    fixed = FixedBatch(Digits(5))
    for source in (of, fixed):
        source.start("digits", 3)
    image, label = fixed.draw()
    for again in (fixed.draw(), fixed.held_out(0, 2), of.held_out(0, 5)):
        assert torch.equal(again[0], image) and torch.equal(again[1], label)
    assert not torch.equal(of.draw()[0], image)
    with pytest.raises(ValueError, match="holds 397 examples out, and batch is 398"):
        FixedBatch(Digits(398)).start("digits", 3)


# Inversion ----------------------------------------------------------------------------------------


def test_the_papers_preset_inverts_vgg19_up_to_relu3_3() -> None:
    calls = body("feature_inversion", "paper").calls
    assert calls["network"].outputs["y"].shape == (1, 256, 56, 56)
    # conv1_1 … conv3_3 of VGG-19.
    convs = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256)]
    assert calls["network"].parameters() == sum(9 * i * o + o for i, o in convs)
    assert next(iter(calls["network"].weights())) == "conv1_1.weight"
    small = {"size": 32, "image": (1, 3, 32, 32), "weights": ""}
    made = start(graph("feature_inversion"), "paper", small, options=Options(0))
    made.enter()
    before = made.net.image.value.clone()
    first, second = made.step(), made.step()
    assert math.isfinite(second["energy"]) and not torch.equal(before, made.net.image.value)
    assert first.keys() == second.keys()


@pytest.mark.parametrize(
    "layer, shape", [("ToRelu1_2", (32, 64, 64)), ("ToRelu2_2", (64, 32, 32)),
                     ("ToRelu3_2", (128, 16, 16)), ("ToRelu4_1", (128, 8, 8))],
)  # fmt: skip
def test_the_layers_that_are_inverted(layer: str, shape: tuple[int, ...]) -> None:
    of = settled(choose(graph("feature_inversion"), "quick", {"layer": layer}))
    assert resolved(of, standard()).calls["network"].outputs["y"].shape[1:] == shape


def test_the_descent_is_that_of_deep_goggle_written_by_hand() -> None:
    small = {"size": 16, "image": (1, 3, 16, 16), "until": (3, 5), "steps": 8}
    made = start(graph("feature_inversion"), "descent_relu2_2", small, options=Options(0))
    made.enter()
    net = made.net
    x = net.image.value.detach().clone()
    v = torch.zeros_like(x)
    photo = images.Photo("hopper", 16)
    photo.start("photo", 0)
    with torch.no_grad():
        code = net.network(preprocess.preprocess(photo.image, "caffe"))
    y0 = code.square().sum()
    rates = [4e-3] * 3 + [4e-4] * 2 + [4e-5] * 3
    for t, rate in enumerate(rates):
        made.step()
        x.requires_grad_()
        features = net.network(x)
        fit = (features - code).square().sum()
        across, down = x.diff(dim=3).square().sum(), x.diff(dim=2).square().sum()
        penalty = 1 / 2 * (across + down) + 8e-10 / 2 * (x**6).sum()
        (to_fit,) = torch.autograd.grad(fit, x)
        (to_penalty,) = torch.autograd.grad(penalty, x)
        if t in (3, 5):
            v = torch.zeros_like(v)
        # With R for the penalty: v ← 0.9 v − lr · dR/dx − lr · (σ² / ‖Φ₀‖²) · d‖Φ − Φ₀‖² / dx.
        v = 0.9 * v - rate * to_penalty - rate * 8.1e7 / y0 * to_fit
        x = (x + v).detach()
        torch.testing.assert_close(net.image.value.detach(), x, rtol=1e-3, atol=1e-2)
    assert (x - preprocess.preprocess(photo.image, "caffe")).abs().max() > 1  # it is under way


def test_total_variation_of_the_image_is_zero_when_it_is_flat_and_its_slope_finite() -> None:
    for beta in (1.0, 2.0):
        x = torch.full((1, 3, 5, 5), 40.0, requires_grad=True)
        loss = textures.total_variation(x, beta, "sum")
        loss.backward()
        assert loss.item() < 1e-2 and torch.isfinite(x.grad).all()


# Attacks ------------------------------------------------------------------------------------------


def test_fgsm_is_one_step_written_by_hand() -> None:
    made = at_stage("fgsm", 1, **few("fgsm"), eps=0.07)
    image, label = made.sources["victims.digits"].draw()
    x = image.clone().requires_grad_()
    functional.cross_entropy(made.net.classifier(x), label, reduction="sum").backward()
    wanted = (image + 0.07 * x.grad.sign()).clamp(0, 1)
    made.step()
    found = (image + 0.07 * made.net.perturbed.u.value).detach()
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    assert (found - image).abs().max() == pytest.approx(0.07, abs=1e-6)


def test_pgd_is_the_loop_written_by_hand() -> None:
    made = at_stage("pgd", 1, **few("pgd"), eps=0.2, step=0.25)
    image, label = made.sources["victims.digits"].draw()
    start_at = image + 0.2 * made.net.perturbed.u.value.detach()
    assert start_at.min() < 0  # a random start in the ball: the first gradient is at its cut
    adversary = start_at
    for _ in range(8):
        made.step()
        x = adversary.clamp(0, 1).requires_grad_()
        functional.cross_entropy(made.net.classifier(x), label, reduction="sum").backward()
        # Where the start was cut off, the cut has no gradient.
        sign = x.grad.sign() * ((adversary >= 0) & (adversary <= 1))
        ball = (adversary + 0.05 * sign).clamp(image - 0.2, image + 0.2)
        adversary = ball.clamp(0, 1)
        found = image + 0.2 * made.net.perturbed.u.value.detach()
        torch.testing.assert_close(found, adversary.detach(), atol=1e-5, rtol=0)


def test_a_classifier_is_not_moved_by_its_attack() -> None:
    for name in ATTACKS:
        made = at_stage(name, 1, **few(name))
        before = {k: v.clone() for k, v in made.net.classifier.state_dict().items()}
        others = {k: v.clone() for k, v in made.net.named_parameters() if "classifier" not in k}
        made.step()
        assert not made.net.classifier.training
        assert all(torch.equal(v, before[k]) for k, v in made.net.classifier.state_dict().items())
        moved = {
            k for k, v in made.net.named_parameters() if k in others and (v != others[k]).any()
        }
        assert "perturbed.u.value" in moved


def test_the_search_raises_the_price_while_it_succeeds_and_keeps_what_hit() -> None:
    made = at_stage("adversarial_example", 1, **few("adversarial_example", train_steps=200))
    net = made.net
    image, label = made.sources["victims"].draw()
    target = shape.other_labels(label, 10, 0)
    good = torch.full((6,), -math.inf)
    bad = torch.full((6,), math.inf)
    kept = torch.zeros_like(image)
    for _ in range(12):
        log_c = net.price.log_c.value.detach().clone()
        made.step()
        u = net.perturbed.u.value.detach()
        hit = net.classifier(image + u).argmax(1) == target
        kept[hit] = u[hit]
        good, bad = torch.where(hit, log_c, good), torch.where(hit, bad, log_c)
        torch.testing.assert_close(net.kept.kept.value.detach(), kept, atol=1e-6, rtol=0)
        # By hand: times 4 or a 4th until both a price that holds and one that does not are known.
        far = torch.where(hit, log_c + 1.3863, log_c - 1.3863)
        both = good.isfinite() & bad.isfinite()
        wanted = torch.where(both, (good + bad) / 2, far)
        torch.testing.assert_close(net.price.log_c.value.detach(), wanted, atol=1e-4, rtol=0)
    assert good.isfinite().all() and bad.isfinite().all()
    assert (net.classifier(image + kept).argmax(1) == target).all()
    assert (image + kept).min() >= -1e-6 and (image + kept).max() <= 1 + 1e-6


@pytest.mark.parametrize(
    "name, preset, count",
    [
        # LeNet with MNIST's sizes: two convolutions, then 784 → 84 → 10.
        ("fgsm", "paper", 26 * 6 + 151 * 16 + 785 * 84 + 85 * 10),
        ("pgd", "paper", 26 * 6 + 151 * 16 + 785 * 84 + 85 * 10),
        ("adversarial_example", "paper", 785 * 100 + 101 * 100 + 101 * 10),  # FC100-100-10
    ],
)
def test_the_papers_classifiers_have_their_sizes(name: str, preset: str, count: int) -> None:
    calls = body(name, preset).calls
    assert calls["classifier"].parameters() == count
    pixels = calls["victims"].outputs["image"].shape
    assert pixels[1:] == (1, 28, 28) and calls["perturbed"].outputs["u"].shape == pixels


@pytest.mark.parametrize("name", ATTACKS)
def test_the_papers_presets_take_two_steps(name: str) -> None:
    # The digits that need no download, at the paper's size.
    small = {"prices": (4,)} if name == "adversarial_example" else {}
    small |= {"data": "Digits", "shape": (4, 1, 28, 28), "count": 4, "train_steps": 2, "steps": 2}
    for event in nodegraph.train(graph(name), "paper", small):
        last = event
    assert all(torch.isfinite(v).all() for v in last.state.values())
    assert last.state["perturbed.u.value"].abs().max() > 0


# Attacks on a run ---------------------------------------------------------------------------------


def ran(name: str, folder: Path, **settings: Any) -> Trainer:
    """A run of a prebuilt graph, of a few steps."""
    made = start(graph(name), "quick", settings, run=folder, options=Options(4))
    list(made.events())
    return made


def on(name: str, run: Path, scores: str = "", **settings: Any) -> Trainer:
    """An attack on a run, as a file has it."""
    made = against(choose(graph(name), "", {"count": 6, **settings}), run, scores)
    made = files.parse(files.dumps(made)).graph
    assert nodegraph.check(made) == []
    trainer = start(made, options=Options(0))
    trainer.enter()
    return trainer


@pytest.mark.parametrize("name", ATTACKS)
def test_a_run_of_lenet_is_attacked_as_it_is(name: str, tmp_path: Path) -> None:
    of = ran("lenet", tmp_path / "lenet", steps=30)
    made = on(name, tmp_path / "lenet")
    victims, labels = draw(of.graph, "digits").held_out(0, 6)
    torch.testing.assert_close(made.sources["victims"].draw()[0], victims)
    assert torch.equal(made.sources["victims"].draw()[1], labels)
    told = slice_of(of.graph, of.net.state_dict(), ["digits.image"], ["scores"])(victims)
    assert torch.equal(made.net.classifier(victims), told)
    before = made.net.perturbed.u.value.clone()
    made.step()
    assert torch.equal(made.net.classifier(victims), told)
    assert not torch.equal(made.net.perturbed.u.value, before)
    assert [s.name for s in made.graph.train] == [graph(name).train[1].name]


@pytest.mark.parametrize(
    "name, settings, image, scores, classes",
    [
        ("vgg16", {"batch": 8, "steps": 2}, "photos.files.image", "classifier", 10),
        ("lenet", {"network": "LeNet5", "size": 28, "maps1": 6, "maps2": 16, "hidden": 84,
                   "act": "Tanh", "steps": 2}, "digits.image", "scores", 10),
        ("dann", {"count": 300, "steps": 2}, "target.image", "digits_t", 10),
    ],
)  # fmt: skip
def test_whatever_the_network_is(
    name: str, settings: dict[str, Any], image: str, scores: str, classes: int, tmp_path: Path
) -> None:
    of = ran(name, tmp_path / "run", **settings)
    made = on("pgd", tmp_path / "run", scores)
    x, *_ = made.sources["victims"].draw()
    net = slice_of(of.graph, of.net.state_dict(), [image], [scores])
    with torch.no_grad():
        torch.testing.assert_close(made.net.classifier(x), net(x), atol=1e-5, rtol=1e-4)
        assert made.net.classifier(x).shape == (6, classes)
    assert made.graph.nodes["target"].params["classes"] == Reference("classes")
    assert made.graph.params["classes"] == classes
    before = made.net.perturbed.u.value.clone()
    made.step()
    assert not torch.equal(made.net.perturbed.u.value, before)


OWN = """nodegraph: 1
title: Own
params: {wide: 9}
groups:
  Perturbed:  # called like one of the attack's
    inputs: {x: N D}
    outputs: {y: fc}
    params: {wide: 3}
    nodes:
      fc: {type: Linear, features: $wide, in: {x: x}}
nodes:
  data: {type: FontDigits, batch: 8, count: 40, held_out: 20, range: 0..1}
  pixels: {type: Scale, factor: 2, in: {x: data.image}}
  image: {type: Flatten, in: {x: pixels}}
  body: {type: Perturbed, wide: $wide, in: {x: image}}
  again: {shares: head, in: {x: body}}
  noisy: {type: GaussianNoise, in: {x: body}}
  head: {type: Linear, features: 10, in: {x: noisy}}
  loss: {type: CrossEntropy, in: {logits: head, labels: data.label}}
  accuracy: {type: Accuracy, in: {logits: again, labels: data.label}}
  adam: {type: Adam, over: [body, head], in: {loss: loss}}
train: [{stage: learn, steps: 2, run: [adam], watch: [accuracy]}]
"""


def own(folder: Path, *changes: tuple[str, str]) -> Trainer:
    """A run of a network of one's own, with some of its text replaced."""
    text = OWN
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    made = start(files.parse(text).graph, run=folder, options=Options(4), text=text)
    list(made.events())
    return made


@pytest.mark.parametrize("name", ATTACKS)
def test_ones_own_network_is_attacked_under_its_own_names(name: str, tmp_path: Path) -> None:
    of = own(tmp_path / "run")
    made = on(name, tmp_path / "run")  # the scores `again`, whose weights are those of `head`
    x, _ = made.sources["victims"].draw()
    told = of.net.head(of.net.body(2 * x.flatten(1)))
    torch.testing.assert_close(made.net.classifier(x), told)
    assert {*made.net.classifier.state_dict()} == {
        "body.fc.weight", "body.fc.bias", "head.weight", "head.bias",
    }  # fmt: skip
    made.step()


def test_a_run_that_can_not_be_attacked_is_refused_in_a_sentence(tmp_path: Path) -> None:
    def refused(what: str, folder: Path, attack: str = "fgsm", scores: str = "") -> None:
        with pytest.raises(GraphError, match=what):
            against(choose(graph(attack)), folder, scores)

    own(tmp_path / "run")
    refused("this graph is no attack: it has no node 'classifier'", tmp_path / "run", "lenet")
    refused("'body' is not compared with labels in .*; scores that are: again, head",
            tmp_path / "run", scores="body")  # fmt: skip
    refused("has no run.json|no folder of a run|no run", tmp_path)
    own(tmp_path / "other", ("range: 0..1", "range: -1..1"))
    refused("data gives pixels in -1..1, and an attack keeps them in 0..1", tmp_path / "other")
    more = ("  pixels:", "  more: {type: FontDigits, batch: 8, count: 40, held_out: 20}\n  pixels:")
    both = ("  image:", "  both: {type: Concat, in: {x: [pixels, more.image]}}\n  image:")
    own(tmp_path / "two", more, ("x: pixels}", "x: both}"), both)
    refused("again is computed from data.image and more.image|more.image and data.image",
            tmp_path / "two")  # fmt: skip
    own(tmp_path / "labels", more, ("labels: data.label}", "labels: more.label}"))
    refused("again is 8×10, for labels of more.label; .* the labels of data", tmp_path / "labels")
    ran("gan_ring", tmp_path / "ring", batch=8, steps=1)
    refused("reads no labels", tmp_path / "ring")


def test_large_images_are_fewer(tmp_path: Path) -> None:
    own(tmp_path / "run")
    found = against(choose(graph("pgd"), "", {"count": 10**9}), tmp_path / "run")
    side = found.params["shape"][2]
    assert found.params["count"] == found.params["shape"][0] == 4_000_000 // side**2
