"""Identities whose gradient is changed.

Ganin & Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015.
"""

from typing import Any

import torch
from torch import Tensor


class ScaledGradient(torch.autograd.Function):
    """Forward x, backward factor · gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float | Tensor) -> Tensor:
        """x, as another tensor."""
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """factor · gradient for x; none for the factor."""
        return gradients[0] * ctx.factor, None


def scale_gradient(x: Tensor, factor: float | Tensor) -> Tensor:
    """x, with its gradient times factor."""
    factor = factor.detach() if isinstance(factor, Tensor) else factor
    y: Tensor = ScaledGradient.apply(x, factor)
    return y


def reverse_gradient(x: Tensor, strength: float | Tensor) -> Tensor:
    """x, with its gradient times −strength."""
    return scale_gradient(x, -strength)


def tap(x: Any) -> Any:
    """x as another tensor, or as other tensors where it is a pyramid."""
    return tuple(map(tap, x)) if isinstance(x, tuple) else scale_gradient(x, 1.0)
