"""The two conventions of images for published networks."""

import torch
from torch import Tensor

# Of RGB images in 0..1: the mean and the deviation of each channel, and the order they come in.
CONVENTIONS = {
    "torchvision": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (0, 1, 2)),
    "caffe": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3, (2, 1, 0)),
}

LUMA = (0.299, 0.587, 0.114)  # of R, G, B in the luminance


def preprocess(x: Tensor, convention: str) -> Tensor:
    """From RGB in 0..1."""
    mean, std, order = CONVENTIONS[convention]
    y = (x - channels(mean, x)) / channels(std, x)
    return y if order == (0, 1, 2) else y[:, list(order)]


def deprocess(x: Tensor, convention: str) -> Tensor:
    """To RGB in 0..1. Both orders are their own inverse."""
    mean, std, order = CONVENTIONS[convention]
    y = x if order == (0, 1, 2) else x[:, list(order)]
    return y * channels(std, x) + channels(mean, x)


def channels(values: tuple[float, ...], like: Tensor) -> Tensor:
    """A number for each channel."""
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]


def luminance(x: Tensor) -> Tensor:
    """N 3 H W → N 1 H W."""
    return (x * channels(LUMA, x)).sum(1, keepdim=True)
