"""What the tests of what graphs learn (`make accept`) share.

Each figure is taken on data that training never saw, beside a trivial baseline or a broken twin
that must fail, and goes with its seeds into graphs/RESULTS.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from conftest import ROOT

import nodegraph
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved, training_module
from nodegraph.graph import Graph
from nodegraph.library import standard
from nodegraph.training.run import start
from nodegraph.training.trainer import Finished, Options, Watched

Record = Callable[..., None]


def graph(name: str) -> Graph:
    """A prebuilt graph."""
    return nodegraph.load(ROOT / "graphs" / f"{name}.yaml")


def trained(
    of: Graph, seed: int, preset: str = "quick", spoil: Callable[[Any], None] | None = None,
    **settings: Any,
) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:  # fmt: skip
    """The watched metrics over time (of the last stage), and the weights at the end.

    `spoil` may change the sources of data before the first step, for a control.
    """
    rows: list[dict[str, Any]] = []
    state: dict[str, torch.Tensor] = {}
    trainer = start(of, preset, settings, options=Options(seed))
    if spoil:
        spoil(trainer.sources)
    for event in trainer.events():
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
    entry = of.nodes[name]
    entry = replace(entry, params={**entry.params, **params})
    ready = settled(of.with_(nodes={**of.nodes, name: entry}))
    source = training_module(ready, resolved(ready, standard())).make_sources()[name]
    source.start(name, seed)
    return source


@functools.cache
def classifier() -> Any:
    """From images in −1..1 to features and scores, as the panel's first stage learns them with the
    seed 0, and what it sees in 1000 real digits that were held out.

    All samples are measured by it, so that their numbers can be compared.
    """
    of = graph("quality_panel")
    _, state = trained(of.with_(train=of.train[:1]), 0)
    net = slice_of(of, state, ["panel.real.image"], ["panel.classifier.features",
                                                     "panel.classifier.scores"])  # fmt: skip
    real = draw_digits(0)
    with torch.no_grad():
        features, _ = net(real)
    return net, features


def draw_digits(seed: int, count: int = 1000) -> torch.Tensor:
    """Held-out printed digits in −1..1; those of seed 0 are the reference of all measurements."""
    from nodegraph.nodes.ops.font_digits import FontDigits

    source = FontDigits(1, count=1, held_out=count, seed=seed, range="-1..1")
    source.start("digits", 0)
    return source.test[0]


def quality(images: torch.Tensor) -> dict[str, float]:
    """How good samples in −1..1 are, beside 1000 held-out digits."""
    from nodegraph.nodes.ops import quality as ops

    net, real = classifier()
    with torch.no_grad():
        seen, scores = net(images)
        found = {
            "kernel distance": ops.kernel_distance(seen, real, scaled=True),
            "precision": ops.inside_manifold(seen, real, 5),
            "recall": ops.inside_manifold(real, seen, 5),
            "class entropy": ops.class_entropy(scores),
            "classes": ops.class_coverage(scores, 0.02),
        }
    return {name: float(value) for name, value in found.items()}
