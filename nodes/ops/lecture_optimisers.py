"""Optimisers as the lecture writes them; torch's differ in where ε stands and what α multiplies."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .each_weight import EachWeight, State


class LectureOptimiser(EachWeight):
    """Moves each weight by `change`, which has a state for each."""

    def __init__(self, params: Any, lr: float = 0.01, **options: Any) -> None:
        super().__init__(params, {"lr": lr, **options})

    def move(self, w: Tensor, g: Tensor, state: State, option: Mapping[str, Any]) -> None:
        """Add the change to a weight."""
        w += self.change(g, state, option)

    def change(self, g: Tensor, state: State, option: Mapping[str, Any]) -> Tensor:
        """What is added to a weight with the gradient g."""
        raise NotImplementedError


class LectureSGD(LectureOptimiser):
    """v ← μ v − α g; w ← w + v. With a look ahead, g is that at w + μ v, and that is what is held.

    When α changes, v keeps the steps that were made with the old one, or begins at 0 (`reset`).
    """

    def change(self, g: Tensor, state: State, option: Mapping[str, Any]) -> Tensor:
        """v, and with a look ahead the way from the old one to the new one."""
        forgets = option.get("reset") and state.get("lr") != option["lr"]
        old = torch.zeros_like(g) if forgets else state.get("v", torch.zeros_like(g))
        if option.get("reset"):
            state["lr"] = option["lr"]
        momentum: float = option["momentum"]
        state["v"] = v = momentum * old - option["lr"] * g
        return v + momentum * (v - old) if option["nesterov"] else v


class LectureAdagrad(LectureOptimiser):
    """G ← G + g²; w ← w − α g / √(G + ε)."""

    def change(self, g: Tensor, state: State, option: Mapping[str, Any]) -> Tensor:
        """−α g / √(G + ε)."""
        state["G"] = state.get("G", 0) + g.square()
        step: Tensor = -option["lr"] * g / (state["G"] + option["eps"]).sqrt()
        return step


class LectureRMSprop(LectureOptimiser):
    """G ← μ G + (1 − μ) g²; w ← w − α g / √(G + ε)."""

    def change(self, g: Tensor, state: State, option: Mapping[str, Any]) -> Tensor:
        """−α g / √(G + ε)."""
        state["G"] = option["alpha"] * state.get("G", 0) + (1 - option["alpha"]) * g.square()
        step: Tensor = -option["lr"] * g / (state["G"] + option["eps"]).sqrt()
        return step


class LectureAdam(LectureOptimiser):
    """v ← β v + (1 − β) g; G ← μ G + (1 − μ) g²; w ← w − α √(1 − μᵗ) / (1 − βᵗ) · v / √(G + ε)."""

    def change(self, g: Tensor, state: State, option: Mapping[str, Any]) -> Tensor:
        """−α √(1 − μᵗ) / (1 − βᵗ) · v / √(G + ε)."""
        beta, mu = option["betas"]
        state["t"] = t = state.get("t", 0) + 1
        state["v"] = beta * state.get("v", 0) + (1 - beta) * g
        state["G"] = mu * state.get("G", 0) + (1 - mu) * g.square()
        factor = (1 - mu**t) ** 0.5 / (1 - beta**t)
        step: Tensor = -option["lr"] * factor * state["v"] / (state["G"] + option["eps"]).sqrt()
        return step
