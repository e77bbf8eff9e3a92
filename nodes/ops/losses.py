"""Losses that torch has no callable for, or not for a target that is one number."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of all numbers, or the sum of each example's (`per example`)."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    return loss.reshape(loss.shape[0] if loss.dim() else 1, -1).sum(1)  # N


def per_example(x: Tensor, target: Tensor, name: str, **options: Any) -> Tensor:
    """A loss of torch.nn.functional, summed over each example."""
    loss = getattr(functional, name)(x, target, reduction="none", **options)
    return reduced(loss, "per example")


def spread_target(x: Tensor, target: float | Tensor) -> Tensor:
    """The target in the shape of x."""
    if isinstance(target, Tensor):
        return target.to(x.dtype).expand_as(x)
    return torch.full_like(x, target)


def bce_with_logits(logits: Tensor, target: float | Tensor, reduction: str) -> Tensor:
    """softplus(x) − t·x."""
    target = spread_target(logits, target)
    if reduction == "per example":
        return per_example(logits, target, "binary_cross_entropy_with_logits")
    return functional.binary_cross_entropy_with_logits(logits, target, reduction=reduction)


def bce(p: Tensor, target: float | Tensor, reduction: str) -> Tensor:
    """−t log p − (1 − t) log(1 − p), each logarithm at least −100."""
    target = spread_target(p, target)
    if reduction == "per example":
        return per_example(p, target, "binary_cross_entropy")
    return functional.binary_cross_entropy(p, target, reduction=reduction)


def hinge(x: Tensor, margin: float | Tensor, reduction: str) -> Tensor:
    """max(0, margin − x)."""
    return reduced(torch.relu(margin - x), reduction)


def kl_divergence(mu: Tensor, logvar: Tensor, reduction: str) -> Tensor:
    """KL( N(mu, exp logvar) ‖ N(0, 1) ), summed over each example, then reduced over examples."""
    kl = reduced(-0.5 * (1 + logvar - mu.square() - logvar.exp()), "per example")  # N
    return kl if reduction == "per example" else reduced(kl, reduction)


def pulling_away(codes: Tensor) -> Tensor:
    """The mean squared cosine between different rows."""
    unit = codes / codes.norm(dim=1, keepdim=True).clamp_min(1e-12)
    cosines = unit @ unit.T  # N N
    n = len(codes)
    return (cosines.square().sum() - cosines.diagonal().square().sum()) / (n * (n - 1))
