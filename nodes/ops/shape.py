"""Other shapes of the same numbers."""

import torch
from torch import Tensor
from torch.nn import functional


def reshape(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """x with each example in the shape `size`."""
    return x.reshape(x.shape[0], *size)


def crop(x: Tensor, top: int, left: int, size: int) -> Tensor:
    """The square of `size` pixels at (top, left)."""
    return x[..., top : top + size, left : left + size]


def cut(x: Tensor, axis: int, start: int, stop: int, step: int) -> Tensor:
    """x[start:stop:step] along `axis`; stop 0 is the end."""
    return x[(slice(None),) * axis + (slice(start, stop or None, step),)]


def other_labels(labels: Tensor, classes: int, seed: int) -> Tensor:
    """Labels moved on by 1 … classes − 1, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    ahead = torch.randint(1, classes, labels.shape, generator=generator)
    return (labels + ahead.to(labels.device)) % classes


def unpool(x: Tensor, factor: int) -> Tensor:
    """Each pixel at the top left of a cell of factor × factor, zeros elsewhere."""
    y = x.new_zeros(*x.shape[:2], x.shape[2] * factor, x.shape[3] * factor)
    y[..., ::factor, ::factor] = x
    return y


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Rows with 1 at the label and 0 elsewhere."""
    return functional.one_hot(labels, classes).float()  # N K


def resize_like(x: Tensor, like: Tensor, mode: str, cut: bool = False) -> Tensor:
    """x, or with `cut` the middle of it that has the sides of `like`, in the size of `like`."""
    high, wide = like.shape[2:]
    if cut:
        scale = min(x.shape[2] / high, x.shape[3] / wide)
        h, w = max(1, round(high * scale)), max(1, round(wide * scale))
        top, left = (x.shape[2] - h) // 2, (x.shape[3] - w) // 2
        x = x[..., top : top + h, left : left + w]
    return functional.interpolate(x, (high, wide), mode=mode)
