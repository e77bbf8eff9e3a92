"""What the tests of what graphs learn (`make accept`) share.

Each figure is taken on data that training never saw, beside a trivial baseline or a broken twin
that must fail, and goes with its seeds into graphs/RESULTS.md.
"""

from __future__ import annotations

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
