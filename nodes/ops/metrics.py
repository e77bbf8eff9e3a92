"""Numbers to watch."""

import torch
from torch import Tensor


def hits(logits: Tensor, labels: Tensor) -> Tensor:
    """1 for each row whose maximum is at the label, 0 for the others."""
    return (logits.argmax(1) == labels).float()  # N


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """The share of rows whose maximum is at the label."""
    return hits(logits, labels).mean()


def binary_accuracy(logits: Tensor, target: float | Tensor) -> Tensor:
    """The share of logits that are above 0 where the target is above ½, and not elsewhere."""
    return ((logits > 0) == (target > 0.5)).float().mean()


def top_k_accuracy(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    """The share of rows whose k highest hold the label."""
    return (logits.topk(k, 1).indices == labels[:, None]).any(1).float().mean()


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts of (label, predicted): K K."""
    k = logits.shape[1]
    return torch.bincount(labels * k + logits.argmax(1), minlength=k * k).view(k, k)


def spread(x: Tensor) -> Tensor:
    """The standard deviation over the batch, averaged over positions."""
    return x.std(0, correction=0).mean()


def max_absolute_error(x: Tensor, target: Tensor) -> Tensor:
    """The largest |x − target|."""
    return (x - target).abs().max()


def iou(mask: Tensor, target: Tensor, threshold: float) -> Tensor:
    """The mean over examples of what both masks cover, over what either does; 1 where none does."""
    one, other = ((m > threshold).flatten(1) for m in (mask, target))
    either = (one | other).sum(1)
    both = (one & other).sum(1)
    return torch.where(either > 0, both / either.clamp_min(1), 1.0).mean()
