"""Surfaces for optimisers to race on: heights over a point (x, y)."""

from typing import Any

import torch
from torch import Tensor


def beale(x: Any, y: Any) -> Any:
    """Beale 1958; its minimum, 0, is at (3, ½), and (0, 1) is a saddle of height 14.2."""
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def saddle(x: Any, y: Any) -> Any:
    """Down along y, up along x, without an end."""
    return x**2 - y**2


def long_valley(x: Any, y: Any) -> Any:
    """500 times as steep across as along; its minimum, 0, is at the origin."""
    return 0.01 * x**2 + 5 * y**2


HEIGHTS = {"beale": beale, "saddle": saddle, "long valley": long_valley}


def surface(point: Tensor, name: str, limit: float) -> Tensor:
    """The height at a point; beyond ±limit it is flat, so nothing becomes infinite."""
    outside = (point.abs() > limit).any()
    held = torch.where(outside, point.detach().clamp(-limit, limit), point)
    height: Tensor = HEIGHTS[name](held[0], held[1])
    return height
