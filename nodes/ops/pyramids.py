"""Image pyramids: the two steps, down by half and up again, and what is made of them."""

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


Pyramid = tuple[Tensor, ...]  # from the finest level to the coarsest


def gaussian_pyramid(x: Tensor, levels: int, a: float) -> Pyramid:
    """x, and each level reduced from the one before it."""
    pyramid = [x]
    while len(pyramid) < levels:
        pyramid.append(reduce(pyramid[-1], a))
    return tuple(pyramid)


def laplacian_pyramid(x: Tensor, levels: int, a: float) -> Pyramid:
    """What each level of the Gaussian pyramid has beside the next one; the coarsest as it is."""
    pyramid = gaussian_pyramid(x, levels, a)
    bands = (fine - expand(coarse, fine, a) for fine, coarse in zip(pyramid, pyramid[1:]))
    return (*bands, pyramid[-1])


def collapse_pyramid(pyramid: Pyramid, a: float) -> Tensor:
    """The image that the levels of a Laplacian pyramid add up to."""
    *bands, image = pyramid
    for band in reversed(bands):
        image = band + expand(image, band, a)
    return image


def blend_pyramids(a: Pyramid, b: Pyramid, mask: Pyramid) -> Pyramid:
    """Level by level a · mask + b · (1 − mask)."""
    return tuple(x * m + y * (1 - m) for x, y, m in zip(a, b, mask, strict=True))


def pyramid_level(pyramid: Pyramid, index: int) -> Tensor:
    """One level."""
    return pyramid[index]
