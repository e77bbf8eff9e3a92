"""The two steps of image pyramids: down by half, and up again."""

import torch
from torch import Tensor
from torch.nn import functional


def _weights(a: float, x: Tensor) -> Tensor:
    """The five numbers whose outer product is the kernel, for each channel of x: C 1 5."""
    w = torch.tensor([0.25 - a / 2, 0.25, a, 0.25, 0.25 - a / 2], dtype=torch.float64)
    return w.to(x).expand(x.shape[1], 1, 5)


def blurred(x: Tensor, w: Tensor, stride: int = 1) -> Tensor:
    """x filtered along both axes, its border reflected; every `stride`-th pixel from the first."""
    channels = x.shape[1]
    x = functional.pad(x, (2, 2, 2, 2), mode="reflect")
    x = functional.conv2d(x, w[:, :, None, :], stride=(1, stride), groups=channels)
    return functional.conv2d(x, w[:, :, :, None], stride=(stride, 1), groups=channels)


def reduce(x: Tensor, a: float) -> Tensor:
    """Blurred, and each second row and column: N C H W → N C ⌈H/2⌉ ⌈W/2⌉."""
    return blurred(x, _weights(a, x), stride=2)


def expand(x: Tensor, like: Tensor, a: float) -> Tensor:
    """Pixels moved apart from index 0 on, and what lies between filled by the kernel: the size of
    `like`."""
    apart = x.new_zeros(*x.shape[:2], *like.shape[2:])
    apart[..., ::2, ::2] = x
    # Three of four pixels are 0, so the kernel is taken four times: twice along each axis.
    return blurred(apart, 2 * _weights(a, x))
