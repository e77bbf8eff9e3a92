"""The state before a step, kept until the step is done: what fails half-way is undone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..compiler.runtime import Stage


class Moment:
    """What a step may have changed when it fails: buffers, random generators, and the weights and
    optimisers of all updates but the last, as an update moves nothing before its gradient is known;
    but L-BFGS does, which evaluates several times.

    The copies are made once and filled again before each step.
    """

    def __init__(self, net: nn.Module, stage: Stage, run: tuple[str, ...]) -> None:
        self.net = net
        # An update that runs twice moves weights ahead of its last run.
        run = tuple(name for name in run if name in stage.optimisers)  # the others move nothing
        early = dict.fromkeys(run[:-1])
        early |= {n: None for n in run if isinstance(stage.optimisers[n], torch.optim.LBFGS)}
        self.optimisers = [stage.optimisers[name] for name in early]
        self.live: list[Tensor] = []
        self.copies: list[Tensor] = []
        self.taken: list[dict[Any, dict[str, Any]]] = []

    def tensors(self) -> list[Tensor]:
        """All that is copied, as it lies in the network and the optimisers."""
        found: dict[int, Tensor] = {id(b): b for b in self.net.buffers()}
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                found |= {id(p): p for p in group["params"]}
            for values in optimiser.state.values():
                found |= {id(v): v for v in values.values() if isinstance(v, Tensor)}
        return [t.detach() for t in found.values()]

    @torch.no_grad()
    def take(self, sources: Mapping[str, Any]) -> None:
        """Keep this moment."""
        self.sources = {name: source.state() for name, source in sources.items()}
        self.random = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        self.taken = [
            {
                # L-BFGS keeps lists of tensors that it changes in place.
                p: copy.deepcopy(v) if isinstance(o, torch.optim.LBFGS) else {**v}
                for p, v in o.state.items()
            }
            for o in self.optimisers
        ]
        live = self.tensors()
        if [t.data_ptr() for t in live] != [t.data_ptr() for t in self.live]:
            self.live, self.copies = live, [t.clone() for t in live]
        elif live:
            torch._foreach_copy_(self.copies, live)

    @torch.no_grad()
    def undo(self, sources: Mapping[str, Any]) -> None:
        """Go back to it."""
        for weight in self.net.parameters():
            weight.grad = None
        if self.live:
            torch._foreach_copy_(self.live, self.copies)
        for optimiser, taken in zip(self.optimisers, self.taken, strict=True):
            optimiser.state.clear()
            optimiser.state.update(taken)
        for name, source in sources.items():
            source.load_state(self.sources[name])
        torch.set_rng_state(self.random)
        if self.cuda is not None:
            torch.cuda.set_rng_state_all(self.cuda)
