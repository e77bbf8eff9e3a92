"""Optimisers that treat each weight by itself."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

State = dict[str, Any]


class EachWeight(torch.optim.Optimizer):
    """Moves each weight that has a gradient by `move`, which has a state for each."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of all weights that have a gradient."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    self.move(w, w.grad, self.state[w], group)

    def move(self, w: Tensor, g: Tensor, state: State, option: Mapping[str, Any]) -> None:
        """Change a weight with the gradient g, in place."""
        raise NotImplementedError
