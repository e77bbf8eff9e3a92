"""Arithmetic that is not one call of torch."""

from torch import Tensor


def root(x: Tensor, eps: float) -> Tensor:
    """√(x + eps)."""
    return (x + eps).sqrt()


def logarithm(x: Tensor, eps: float) -> Tensor:
    """log(x + eps)."""
    return (x + eps).log()


def weighted_sum(values: list[Tensor], weights: tuple[float, ...]) -> Tensor:
    """Σ weightᵢ · valueᵢ."""
    total = values[0] * weights[0]
    for value, weight in zip(values[1:], weights[1:], strict=True):
        total = total + value * weight
    return total
