"""Do the prebuilt graphs learn what they are for? `make accept` runs these, for minutes.

Each figure is taken on data that training never saw, beside a trivial baseline or a broken twin
that must fail, and goes with its seeds into graphs/RESULTS.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from torch import nn

import nodegraph
from nodegraph.graph import Entry, Graph
from nodegraph.training.trainer import Finished, Watched

pytestmark = pytest.mark.accept

Record = Callable[..., None]


def graph(name: str) -> Graph:
    """A prebuilt graph."""
    return nodegraph.load(ROOT / "graphs" / f"{name}.yaml")


def trained(
    of: Graph, seed: int, preset: str = "quick", **settings: Any
) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """The watched metrics over time (of the last stage), and the weights at the end."""
    rows: list[dict[str, Any]] = []
    state: dict[str, torch.Tensor] = {}
    for event in nodegraph.train(of, preset, settings, seed=seed):
        if isinstance(event, Watched):
            rows.append(dict(event.metrics))
        elif isinstance(event, Finished):
            state = {k: v.clone() for k, v in event.state.items()}
    return rows, state


def slice_of(
    of: Graph, state: dict[str, torch.Tensor], inputs: list[str], outputs: list[str]
) -> Any:
    """A part of a trained graph, in evaluation mode."""
    net = nodegraph.compile(of, inputs, outputs)
    net.load_state_dict({k: v for k, v in state.items() if k in net.state_dict()})
    return net.eval()


def draw(of: Graph, name: str, seed: int = 99, **params: Any) -> Any:
    """A source of a graph by itself, started, with some of its parameters changed."""
    from nodegraph.checks import settled
    from nodegraph.compiler.build import resolved, training_module
    from nodegraph.library import standard

    entry = of.nodes[name]
    entry = replace(entry, params={**entry.params, **params})
    ready = settled(of.with_(nodes={**of.nodes, name: entry}))
    source = training_module(ready, resolved(ready, standard())).make_sources()[name]
    source.start(name, seed)
    return source


@pytest.mark.parametrize("seed", [0, 1])
def test_lenet_reads_handwriting(seed: int, record: Record) -> None:
    rows, _ = trained(graph("lenet"), seed)
    record("lenet", "accuracy on 397 held-out real digits", "≥ 0.95", rows[-1]["accuracy"], seed)
    assert rows[-1]["accuracy"] >= 0.95
    one_step, _ = trained(graph("lenet"), seed, steps=1)
    assert one_step[-1]["accuracy"] < 0.5  # the network alone is not it


# DANN ---------------------------------------------------------------------------------------------


def domain_accuracy(of: Graph, state: dict[str, torch.Tensor], seed: int) -> float:
    """How well a fresh classifier tells the domains apart by the frozen features (held out).

    The classifier that was trained with them may just have lost; this one starts anew.
    """
    sources = [draw(of, name) for name in ("source", "target")]
    net = slice_of(of, state, ["source.image"], ["features"])
    with torch.no_grad():
        train = [net(s.train[0]) for s in sources]
        test = [net(s.test[0]) for s in sources]
    torch.manual_seed(seed)
    width = train[0].shape[1]
    judge = nn.Sequential(nn.Linear(width, 100), nn.ReLU(), nn.Linear(100, 1))
    adam = torch.optim.Adam(judge.parameters(), 1e-3)
    scale = torch.cat(train).std(0) + 1e-3  # so that small features are no advantage
    for _ in range(300):
        picked = [t[torch.randint(len(t), (128,))] / scale for t in train]
        logits = judge(torch.cat(picked)).squeeze(1)
        wanted = torch.cat([torch.zeros(128), torch.ones(128)])
        adam.zero_grad()
        F.binary_cross_entropy_with_logits(logits, wanted).backward()
        adam.step()
    with torch.no_grad():
        right = [(judge(t / scale) > 0).float().mean().item() for t in test]
    return ((1 - right[0]) + right[1]) / 2


def test_dann_adapts(record: Record) -> None:
    dann = graph("dann")
    gains, sources, fresh = [], [], []
    for seed in (0, 1, 2):
        alone, alone_state = trained(dann, seed, "source_only")
        adapted, adapted_state = trained(dann, seed)
        record("dann", "target accuracy, source only", "–", alone[-1]["accuracy_t"], seed)
        record("dann", "target accuracy, DANN", "–", adapted[-1]["accuracy_t"], seed)
        gains.append(adapted[-1]["accuracy_t"] - alone[-1]["accuracy_t"])
        sources.append(adapted[-1]["accuracy_s"])
        record("dann", "gain over source only", "> 0", gains[-1], seed)
        record("dann", "source accuracy, DANN", "≥ 0.97", sources[-1], seed)
        fresh.append([domain_accuracy(dann, s, seed) for s in (alone_state, adapted_state)])
        record("dann", "fresh domain classifier, source only", "–", fresh[-1][0], seed)
        record("dann", "fresh domain classifier, DANN", "lower", fresh[-1][1], seed)
    record("dann", "mean gain over source only", "≥ 0.03", sum(gains) / 3, "0–2")
    assert sum(gains) / 3 >= 0.03
    assert min(gains) > 0
    assert min(sources) >= 0.97
    assert all(after < before for before, after in fresh)


def test_dann_trained_on_the_target_is_the_upper_bound(record: Record) -> None:
    rows, _ = trained(graph("dann"), 0, "train_on_target")
    record("dann", "target accuracy, trained on the target", "–", rows[-1]["accuracy_t"], 0)
    adapted, _ = trained(graph("dann"), 0)
    assert rows[-1]["accuracy_t"] > adapted[-1]["accuracy_t"]


def test_dann_does_nothing_where_there_is_no_shift(record: Record) -> None:
    dann = graph("dann")
    alone, _ = trained(dann, 0, "source_only", contrast=0.0)
    adapted, _ = trained(dann, 0, contrast=0.0)
    gain = adapted[-1]["accuracy_t"] - alone[-1]["accuracy_t"]
    record("dann", "control, no shift: gain", "within 0.01", gain, 0)
    assert abs(gain) <= 0.01


def test_dann_with_the_wrong_sign_tells_the_domains_apart(record: Record) -> None:
    dann = graph("dann")
    wrong = Entry("SigmoidRamp", {"gamma": 10.0, "high": -1.0})
    rows, _ = trained(dann.with_(nodes={**dann.nodes, "strength": wrong}), 0)
    alone, _ = trained(dann, 0, "source_only")
    told = (rows[-1]["domain_s"] + rows[-1]["domain_a"]) / 2
    gain = rows[-1]["accuracy_t"] - alone[-1]["accuracy_t"]
    record("dann", "control, wrong sign: domain accuracy", "≥ 0.95", told, 0)
    record("dann", "control, wrong sign: gain", "< 0.03", gain, 0)
    assert told >= 0.95
    assert gain < 0.03


# Textures -----------------------------------------------------------------------------------------


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """The correlation of two images at the circular shift where it is highest."""
    a, b = a - a.mean((-2, -1), keepdim=True), b - b.mean((-2, -1), keepdim=True)
    product = torch.fft.rfft2(a) * torch.fft.rfft2(b).conj()
    across = torch.fft.irfft2(product, s=a.shape[-2:]).sum(1)
    return (across.max() / (a.norm() * b.norm())).item()


def test_random_filters_synthesise_a_texture(record: Record) -> None:
    texture = graph("texture_random_filters")
    images = []
    for seed in (0, 1):
        rows, state = trained(texture, seed, steps=10)
        record("texture_random_filters", "error, own filters", "< 1e-3", rows[-1]["error"], seed)
        held_out = rows[-1]["held_out"]
        record("texture_random_filters", "error, filters never used", "< 5e-3", held_out, seed)
        assert rows[-1]["error"] < 1e-3
        assert held_out < 5e-3
        images.append(state["image.value"])
        grade = slice_of(texture, state, ["image", "source"], ["held_out"])
        with torch.no_grad():
            source = draw(texture, "source", size=96).draw()[0]
            noise = grade(torch.rand_like(source) * 2 - 1, source).item()
            pebbles = {**texture.nodes, "source": Entry("PebbleTexture", {"size": 96})}
            other = draw(texture.with_(nodes=pebbles), "source").draw()[0]
            different = grade(images[-1], other).item()
        record("texture_random_filters", "baseline: noise image", "–", noise, seed)
        record("texture_random_filters", "against another texture", "> 0.1", different, seed)
        assert noise > 0.1
        assert different > 0.1
    alike = correlation(*images)
    record("texture_random_filters", "correlation of two seeds, best shift", "< 0.9", alike, "0, 1")
    assert alike < 0.9
    assert correlation(images[0], images[0].roll((7, 3), (-2, -1))) > 0.999


@pytest.mark.parametrize("seed", [0, 1])
def test_texture_net_generates_fresh_textures(seed: int, record: Record) -> None:
    net = graph("texture_net")
    _, state = trained(net, seed)
    noises = [f"noise{i}" for i in range(1, 6)]
    generate = slice_of(net, state, noises, ["generator"])
    grade = slice_of(net, state, ["generator", "source"], ["held_out"])
    torch.manual_seed(seed + 100)
    z = [torch.rand(8, 3, 3 * 2**i, 3 * 2**i) for i in range(5)]
    with torch.no_grad():
        samples = generate(*z)
        source = draw(net, "source", size=48).draw()[0]
        error = grade(samples, source).item()
        noise = grade(torch.rand_like(samples) * 2 - 1, source).item()
        spread = (samples.std(0).mean() / source.std()).item()
        wide = generate(*[torch.rand(8, 3, 6 * 2**i, 6 * 2**i) for i in range(5)])
        large = grade(wide, source).item()
        moved = generate(*[v.roll((2**i, 2**i), (-2, -1)) for i, v in enumerate(z)])
        shift = (moved - samples.roll((16, 16), (-2, -1))).abs().max().item()
    record("texture_net", "error of 8 fresh samples, other filters", "< 2e-2", error, seed)
    record("texture_net", "baseline: noise images", "–", noise, seed)
    record("texture_net", "spread / source's deviation", "≥ 0.3", spread, seed)
    record("texture_net", "error at twice the size / error", "≤ 2", large / error, seed)
    record("texture_net", "shifted noise shifts the image: difference", "< 1e-4", shift, seed)
    assert error < 2e-2 < 0.1 < noise
    assert spread >= 0.3
    assert large / error <= 2
    assert shift < 1e-4


# Moment matching ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_moment_matching_brings_the_samples_to_the_data(seed: int, record: Record) -> None:
    of = graph("gmmn_ae")
    rows, _ = trained(of, seed)
    matching = [r for r in rows if "distance" in r]
    begin, _ = trained(of, seed, steps=1)
    start = begin[-1]["distance"] ** 2
    ratio = start / matching[-1]["distance"] ** 2
    record("gmmn_ae", "held-out MMD² of codes falls by", "≥ 20×", ratio, seed)
    assert ratio >= 20
    pixels = [r["pixel_distance"] for r in (begin[-1], matching[-1])]
    record("gmmn_ae", "MMD² of pixels, untrained generator", "–", pixels[0], seed)
    record("gmmn_ae", "MMD² of pixels", "–", pixels[1], seed)
    assert pixels[1] < pixels[0]
