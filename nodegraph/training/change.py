"""A graph changed while it trains: everything that has not changed goes on where it stands.

A knob that is turned and a layer that is put in are the same here: another graph.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .. import files, runs
from ..body import Body
from ..changes import changes
from ..compiler.build import forget, resolved, training_module
from ..compiler.script import weights
from ..graph import Graph, GraphError, is_part
from ..node import Source
from ..origins import Former, Names, places
from . import checkpoint, record
from .carry import Layers, carry, carry_optimisers, networks

if TYPE_CHECKING:
    from .trainer import Applied, Trainer


@dataclass(frozen=True)
class Rebuilt:
    """What a trainer needs for another graph. `net` is the trainer's own where no class of its
    modules has changed, and so is each source with the same declaration."""

    graph: Graph
    body: Body
    module: ModuleType
    net: nn.Module
    sources: dict[str, Any]
    layers: Layers
    was: Former
    restarted: tuple[str, ...]  # sources

    def put(self, trainer: Trainer) -> None:
        """Have a trainer train this."""
        old = trainer.module
        trainer.graph, trainer.body, trainer.module = self.graph, self.body, self.module
        trainer.net, trainer.sources = self.net, self.sources
        if old is not self.module and type(self.net).__module__ != old.__name__:
            forget(old)


def rebuild(trainer: Trainer, graph: Graph, edition: int, names: Names) -> Rebuilt:
    """What a trainer needs for another graph, with the weights that live on, also in nodes that
    have new `names`. Changes nothing.

    New weights are drawn from a seed of their own, so the caller must put back the random state.
    """
    body = resolved(graph, trainer.library)
    module = training_module(graph, body)
    net = trainer.net
    was = Former(graph, names)
    weighed = weights(trainer.body) != weights(body)
    if names or networks(trainer.module) != networks(module) or weighed:
        torch.manual_seed(zlib.crc32(f"{trainer.options.seed} {edition}".encode()))
        net = trainer.network(module)
    sources = module.make_sources()
    restarted = []
    for name in sources:
        call, former = body.calls[name], trainer.body.calls.get(was(name))
        if former and isinstance(former.node, Source) and former.node == call.node:
            sources[name] = trainer.sources[was(name)]
        else:
            trainer.start_source(name, sources[name])
            restarted.append(name)
    layers = carry(trainer.body, trainer.net, body, net, was)
    return Rebuilt(graph, body, module, net, sources, layers, was, tuple(restarted))


def to_load(trainer: Trainer, new: Rebuilt) -> dict[str, str]:
    """The weights that start from a file now: it is another one, or none of the part lives on."""
    before = weights(trainer.body)

    def lives(name: str) -> bool:
        return any(is_part(layer, name) for layer in new.layers.kept)

    return {
        n: f for n, f in weights(new.body).items() if before.get(new.was(n)) != f or not lives(n)
    }


def place(trainer: Trainer, graph: Graph) -> tuple[int, int]:
    """The stage and step of another graph that a trainer is at. Raises GraphError when it has no
    such stage, or one that would be over already."""
    names = [stage.name for stage in graph.train]
    if trainer.finished:
        last = trainer.graph.train[-1]
        index = names.index(last.name) if last.name in names else -1
        if index >= 0 and int(graph.train[index].steps) > int(last.steps):  # type: ignore[arg-type]
            return index, int(last.steps)  # type: ignore[arg-type]
        return len(trainer.graph.train), 0
    name = trainer.graph.train[trainer.index].name
    if name not in names:
        text = f"stage {name} is at hand, and the changed graph has none of that name"
        raise GraphError(f"{text}; keep it, or begin a new run")
    index = names.index(name)
    steps = int(graph.train[index].steps)  # type: ignore[arg-type]
    if trainer.done > steps:
        text = f"stage {name} has {steps} steps in the changed graph, {trainer.done} are done"
        raise GraphError(f"{text}; give it more steps, or go back to a checkpoint")
    return index, trainer.done


def apply(
    trainer: Trainer, graph: Graph, text: str, preset: str, settings: Mapping[str, Any],
    names: Names, again: bool = False,
) -> Applied:  # fmt: skip
    """`Trainer.apply`. With `again` it is a change that the run has seen before."""
    from .trainer import Applied

    if not graph.train:
        raise GraphError("nothing to train: the graph has no `train` stages; add one")
    index, done = place(trainer, graph)
    here = {*places(trainer.graph)}  # what was renamed twice in a hurry has its new name already
    names = {old: new for old, new in names.items() if old in here}
    what = changes(trainer.graph, graph, trainer.library, names)
    random, saved = checkpoint.random_state(), None
    stage, restarted = None, []
    try:
        new = rebuild(trainer, graph, trainer.edition + 1, names)
        if given := to_load(trainer, new):
            trainer.load_weights(new.net, given, graph.folder)
        if trainer.stage is not None:
            with trainer.precision(), trainer.as_written():
                stage = new.module.STAGES[index](new.net, new.sources)
                stage.begin()
            restarted = carry_optimisers(
                trainer.stage, trainer.net, stage, new.net, new.layers, new.was
            )
        checkpoint.set_random_state(random)
        layers = new.layers
        structural = any(c.structural for c in what) or bool(layers.lost or layers.fresh)
        if trainer.run and not again and (structural or restarted or new.restarted):
            saved = trainer.save()
    except BaseException:
        checkpoint.set_random_state(random)
        if trainer.stage is not None:
            with trainer.as_written():
                trainer.stage.begin()  # the modes of the network are those of another stage
        raise
    new.put(trainer)
    trainer.index, trainer.done, trainer.stage = index, done, stage
    trainer.due = trainer.due and stage is not None and bool(stage.watched)
    trainer.settle()
    words = tuple(c.text for c in what)
    if words or saved:
        trainer.edition += 1
        trainer.edits += 1
        if trainer.run and not again:
            edit = runs.Edit(
                index, done, trainer.edition, words, saved.path.name if saved else "", "",
                preset, dict(settings), names=names,
            )  # fmt: skip
            record.note(trainer.run, edit, text or files.dumps(graph))
    return Applied(
        len(layers.kept), len(layers.kept) + len(layers.fresh), layers.fresh, layers.lost,
        (*new.restarted, *restarted), words, saved,
    )  # fmt: skip
