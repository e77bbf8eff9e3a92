"""Do the classifiers read? `make accept` runs these, for minutes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from acceptance import Record, graph, trained

pytestmark = pytest.mark.accept

SOURCES = {"lenet": "digits"}
PROTOTYPE = {"lenet": 0.97}
# The papers' figures are on MNIST, and on ImageNet (top-1 of torchvision's weights).
PAPER = {"lenet": "0.9905", "alexnet": "0.5652", "vgg16": "0.7159", "vgg19": "0.7238"}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["lenet", "alexnet", "vgg16", "vgg19"])
def test_the_networks_read_handwriting(name: str, seed: int, record: Record) -> None:
    rows, _ = trained(graph(name), seed)
    got = rows[-1]["accuracy"]
    record(name, "accuracy on 397 held-out real digits", "≥ 0.95", got, seed,
           prototype=PROTOTYPE.get(name, ""), paper=PAPER[name])  # fmt: skip
    one_step, _ = trained(graph(name), seed, steps=1)
    record(name, "baseline: after one step", "–", one_step[-1]["accuracy"], seed)

    def shuffle(sources: dict[str, Any]) -> None:
        source = sources[SOURCES.get(name, "photos.files")]
        images, labels = source.train
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        source.train = images, labels[order]

    chance, _ = trained(graph(name), seed, spoil=shuffle)
    record(name, "control: labels shuffled", "≤ 0.15", chance[-1]["accuracy"], seed)
    assert got >= 0.95
    assert one_step[-1]["accuracy"] < 0.5  # the network alone is not it
    assert chance[-1]["accuracy"] <= 0.15


@pytest.mark.parametrize("seed", [0, 1])
def test_layers_that_are_written_out_learn_as_those_of_torch(seed: int, record: Record) -> None:
    written, state = trained(graph("custom_layer"), seed)
    built_in, twin = trained(graph("custom_layer"), seed, "built_in")
    got, other = written[-1]["accuracy"], built_in[-1]["accuracy"]
    record("custom_layer", "accuracy on 397 held-out real digits", "≥ 0.95", got, seed)
    record("custom_layer", "the same with torch's layers", "–", other, seed)
    apart = max((state[k] - twin[k]).abs().max().item() for k in twin)
    record("custom_layer", "weights apart after training, at most", "–", apart, seed)
    assert got >= 0.95 and abs(got - other) < 0.01
