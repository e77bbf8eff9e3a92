"""Where an eye looks, measured on its picture."""

from __future__ import annotations

import torch
from nodegraph.nodes.ops import geometry
from torch import Tensor

DARK = 0.4  # of the iris and pupil; the white is above it but for its shadow


def openings(landmarks: Tensor, height: int, width: int) -> Tensor:
    """The pixels between the lids, by the six landmarks on them: N H W."""
    ratio = torch.tensor([1.0, height / width])
    points = landmarks * ratio
    left, right = points[:, 0], points[:, 3]
    middle, half = (left + right) / 2, (right - left).norm(dim=1) / 2
    along = (right - left) / (2 * half[:, None])
    across = torch.stack([-along[:, 1], along[:, 0]], 1)
    at = (geometry.middles(height, width, False, landmarks) * ratio)[None] - middle[:, None, None]
    u = (at * along[:, None, None]).sum(-1) / half[:, None, None]
    v = (at * across[:, None, None]).sum(-1)
    curve = 1 - u.square()

    def lid(one: int, other: int) -> Tensor:  # points at ± half the width: 0.75 of the height
        height = (((points[:, one] + points[:, other]) / 2 - middle) * across).sum(1) / 0.75
        return height[:, None, None] * curve

    return (curve > 0) & (v > lid(1, 2) + 0.02) & (v < lid(4, 5) - 0.02)


def irises(images: Tensor, opening: Tensor) -> Tensor:
    """The centroid of the dark pixels between the lids, (x, y) in −1..1."""
    dark = (DARK - images.mean(1)).clamp_min(0) * opening
    at = geometry.middles(*images.shape[2:], False, images)
    return (dark[..., None] * at).sum((1, 2)) / dark.sum((1, 2))[:, None].clamp_min(1e-9)
