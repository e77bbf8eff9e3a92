"""Does domain adaptation adapt? `make accept` runs these, for minutes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from acceptance import Record, draw, graph, slice_of, trained
from torch import Tensor, nn

from nodegraph.graph import Entry, Graph

pytestmark = pytest.mark.accept

Rows = list[dict[str, Any]]  # the watched metrics over time


def domain_accuracy(of: Graph, state: dict[str, torch.Tensor], seed: int) -> float:
    """How well a fresh classifier tells the domains of DANN apart (held out)."""
    sources = [draw(of, name) for name in ("source", "target")]
    net = slice_of(of, state, ["source.image"], ["features"])
    with torch.no_grad():
        train = [net(s.train[0]) for s in sources]
        test = [net(s.test[0]) for s in sources]
    return told_apart(train, test, seed)


def told_apart(train: list[Tensor], test: list[Tensor], seed: int) -> float:
    """How well a fresh classifier tells two domains apart by their frozen features (held out).

    The classifier that was trained with them may just have lost; this one starts anew.
    """
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


def gain_of(
    name: str, method: str, seed: int, record: Record, wanted: str, alone: Rows, adapted: Rows
) -> float:
    """What a method gains on the target over training on the source alone, with its rows."""
    gain = adapted[-1]["accuracy_t"] - alone[-1]["accuracy_t"]
    record(name, "target accuracy, source only", "–", alone[-1]["accuracy_t"], seed)
    record(name, f"target accuracy, {method}", "–", adapted[-1]["accuracy_t"], seed)
    record(name, "gain over source only", wanted, gain, seed)
    record(name, f"source accuracy, {method}", "≥ 0.97", adapted[-1]["accuracy_s"], seed)
    return gain


def test_dann_adapts(record: Record) -> None:
    dann = graph("dann")
    gains, sources, fresh = [], [], []
    for seed in (0, 1, 2):
        alone, alone_state = trained(dann, seed, "source_only")
        adapted, adapted_state = trained(dann, seed)
        gains.append(gain_of("dann", "DANN", seed, record, "> 0", alone, adapted))
        sources.append(adapted[-1]["accuracy_s"])
        fresh.append([domain_accuracy(dann, s, seed) for s in (alone_state, adapted_state)])
        record("dann", "fresh domain classifier, source only", "–", fresh[-1][0], seed)
        record("dann", "fresh domain classifier, DANN", "lower", fresh[-1][1], seed)
    record("dann", "mean gain over source only", "≥ 0.03", sum(gains) / 3, "0–2")
    assert sum(gains) / 3 >= 0.03
    assert min(gains) > 0
    assert min(sources) >= 0.97
    assert all(after < before for before, after in fresh)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_dann_trained_on_the_target_is_the_upper_bound(seed: int, record: Record) -> None:
    rows, _ = trained(graph("dann"), seed, "train_on_target")
    record("dann", "target accuracy, trained on the target", "–", rows[-1]["accuracy_t"], seed)
    adapted, _ = trained(graph("dann"), seed)
    assert rows[-1]["accuracy_t"] > adapted[-1]["accuracy_t"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_dann_does_nothing_where_there_is_no_shift(seed: int, record: Record) -> None:
    dann = graph("dann")
    alone, _ = trained(dann, seed, "source_only", contrast=0.0)
    adapted, _ = trained(dann, seed, contrast=0.0)
    gain = adapted[-1]["accuracy_t"] - alone[-1]["accuracy_t"]
    record("dann", "control, no shift: gain", "within 0.01", gain, seed)
    assert abs(gain) <= 0.01


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_dann_with_the_wrong_sign_tells_the_domains_apart(seed: int, record: Record) -> None:
    dann = graph("dann")
    wrong = Entry("SigmoidRamp", {"gamma": 10.0, "high": -1.0})
    rows, _ = trained(dann.with_(nodes={**dann.nodes, "strength": wrong}), seed)
    alone, _ = trained(dann, seed, "source_only")
    told = (rows[-1]["domain_s"] + rows[-1]["domain_a"]) / 2
    gain = rows[-1]["accuracy_t"] - alone[-1]["accuracy_t"]
    record("dann", "control, wrong sign: domain accuracy", "≥ 0.95", told, seed)
    record("dann", "control, wrong sign: gain", "< 0.03", gain, seed)
    assert told >= 0.95
    assert gain < 0.03


@pytest.mark.parametrize("seed", [0, 1])
def test_the_larger_dann_adapts(seed: int, record: Record) -> None:
    large = graph("dann_large")
    alone, _ = trained(large, seed, "source_only")
    adapted, _ = trained(large, seed)
    gain = gain_of("dann_large", "DANN", seed, record, "≥ 0.03", alone, adapted)
    record("dann_large", "source accuracy, source only", "–", alone[-1]["accuracy_s"], seed)
    assert alone[-1]["accuracy_s"] >= 0.97
    source = adapted[-1]["accuracy_s"]
    if gain < 0.03 or source < 0.97:
        pytest.xfail(f"{gain:+.3f}, and {source:.3f} on the source: the reversed gradient undid it")


@pytest.mark.parametrize("seed", [0, 1])
def test_matching_means_adapts(seed: int, record: Record) -> None:
    ddc = graph("ddc")
    alone, alone_state = trained(ddc, seed, "source_only")
    adapted, adapted_state = trained(ddc, seed)
    sources = [
        draw(ddc.groups["PrintedDigits"].with_(params={}), "files", batch=64),
        draw(ddc.groups["DigitsOnPhotographs"].with_(params={}), "files", batch=64, contrast=0.5),
    ]
    fresh = []
    for state in (alone_state, adapted_state):
        net = slice_of(ddc, state, ["pixels"], ["features"])
        with torch.no_grad():
            train, test = ([net(s.train[0]) for s in sources], [net(s.test[0]) for s in sources])
        fresh.append(told_apart(train, test, seed))
    gain = gain_of("ddc", "DDC", seed, record, "> 0", alone, adapted)
    record("ddc", "distance of means / variance, source only", "–", alone[-1]["apart"], seed)
    record("ddc", "distance of means / variance, DDC", "≤ half", adapted[-1]["apart"], seed)
    record("ddc", "fresh domain classifier, source only", "–", fresh[0], seed)
    record("ddc", "fresh domain classifier, DDC", "lower", fresh[1], seed)
    assert adapted[-1]["accuracy_s"] >= 0.97
    assert adapted[-1]["apart"] <= alone[-1]["apart"] / 2
    assert fresh[1] < fresh[0]
    if gain <= 0:
        # +0.029 and −0.006 with two seeds: the domains come closer, but means alone are not all.
        pytest.xfail(f"means agree, and the target is read no better: {gain:+.3f}")


def linear(x: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """A linear classifier of whole data."""
    torch.manual_seed(seed)
    net = nn.Linear(x.shape[1], 10)
    adam = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(200):
        loss = F.cross_entropy(net(x), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return net


@pytest.mark.parametrize("seed", [0, 1])
def test_subspaces_can_be_aligned(seed: int, record: Record) -> None:
    of = graph("subspace_alignment")
    rows, state = trained(of, seed)
    own, aligned = rows[-1]["accuracy_t"], rows[-1]["aligned_t"]
    # The control: the components of each domain as they are.
    source, target = draw(of, "source"), draw(of, "target")
    net = slice_of(of, state, ["source.image", "target.image"],
                   ["subspace.z", "subspace.axes", "components_t"])  # fmt: skip
    with torch.no_grad():
        z, axes, _ = net(source.train[0][:2000], target.test[0])
        there = net(source.test[0][:2], target.test[0])[2]
    reads = linear(z @ axes, source.train[1][:2000], seed)
    with torch.no_grad():
        unaligned = (reads(there).argmax(1) == target.test[1]).float().mean().item()
    name = "subspace_alignment"
    record(name, "target accuracy, source only", "–", own, seed)
    record(name, "target accuracy, aligned", "≥ source only − 0.02", aligned, seed)
    record(name, "source accuracy, aligned", "≥ 0.97", rows[-1]["aligned_s"], seed)
    record(name, "control: target accuracy, not aligned", "≤ aligned − 0.2", unaligned, seed)
    assert aligned >= own - 0.02
    assert rows[-1]["aligned_s"] >= 0.97
    assert unaligned <= aligned - 0.2
