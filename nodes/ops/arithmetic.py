"""Arithmetic that is not one call of torch."""

import torch
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


def threshold(x: Tensor, at: float) -> Tensor:
    """1 where x > at, else 0, in x's own type."""
    return (x > at).to(x.dtype)


def principal_axes(covariance: Tensor, count: int) -> Tensor:
    """The first eigenvectors of a symmetric matrix as columns, by falling eigenvalue: D count."""
    # In double: of eigenvalues that nearly agree the order should not hang on the last digit.
    _, vectors = torch.linalg.eigh(covariance.detach().double())
    axes = vectors.flip(1)[:, :count]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))  # 1 count
    return (axes * largest.sign()).to(covariance.dtype)
