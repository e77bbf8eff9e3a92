"""What stopped a step, in words: the node at fault, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..compiler.build import compile_slice
from ..compiler.runtime import NotFinite
from ..graph import GraphError, refs
from ..node import Optimiser, Source

if TYPE_CHECKING:
    from .trainer import Trainer


class Fault(GraphError):
    """What stopped a step; `node` is the node at fault, "" when there is no one."""

    def __init__(self, text: str, node: str = "") -> None:
        super().__init__(text)
        self.node = node


def explain(trainer: Trainer, error: NotFinite) -> Fault:
    """Which node gave the first value that is not finite, found by doing the step again."""
    update = trainer.body.calls[error.update]

    def cure(look: str) -> str:
        """In the first step nothing has grown, unless the optimiser tries several points."""
        slower = "lower the learning rate"
        if trainer.done:
            return slower
        assert isinstance(update.node, Optimiser)
        return f"{look}, or {slower}" if update.node.closure else look

    for name, weight in trainer.net.named_parameters():
        if not torch.isfinite(weight).all():
            look = cure("look at its initial values")
            node = name.rpartition(".")[0]
            return Fault(f"{error}: the weight {name} is not finite; {look}", node)
    losses = [str(r) for r in refs(update.inputs["loss"])]
    draws: dict[str, Tensor] = {}
    for name, source in trainer.sources.items():
        source.load_state(trainer.before[name])
    for name, call in trainer.body.calls.items():
        if not isinstance(call.node, Source):
            continue
        source, ports = trainer.sources[call.owner], list(call.outputs)
        for port, value in zip(ports, source.draw(), strict=True):
            if not torch.isfinite(value).all():
                text = f"{error}: the source {name}.{port} gave a value that is not finite"
                return Fault(text, name)
            draws[f"{name}.{port}"] = value
    try:
        module = compile_slice(
            trainer.graph, list(draws), losses, trainer.library, probe=True
        ).to(trainer.device.name)  # fmt: skip
        module.load_state_dict(trainer.net.state_dict(), strict=False)
        with torch.no_grad():
            module(*draws.values())
    except NotFinite as found:
        look = cure("look at what it is given and at its parameters")
        text = f"{error}: the first bad value comes from {found.update}; {look}"
        return Fault(text, found.update)
    look = cure("look for a root, a logarithm or a division at 0")
    text = f"{error}: every value is finite, a gradient is not; {look}"
    return Fault(text, error.update)


def out_of_memory(trainer: Trainer, text: str) -> Fault:
    """What was needed, and which batch might fit."""
    needed = sum(c.activation_bytes() for c in trainer.body.calls.values())
    batches = [
        batch for c in trainer.body.calls.values()
        if isinstance(c.node, Source) and (batch := getattr(c.node, "batch", 1)) > 1
    ]  # fmt: skip
    words = f"out of memory: the values of one step take {needed / 1e9:.3g} GB"
    if batches:
        words += f" at batch {max(batches)}; try --set batch={max(1, max(batches) // 2)}"
    return Fault(f"{words} ({text.splitlines()[0]})")
