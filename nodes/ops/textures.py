"""Statistics of textures and losses on images."""

import torch
from torch import Tensor
from torch.nn import functional

from .losses import reduced


def gram(x: Tensor, by_channels: bool = False) -> Tensor:
    """F Fᵀ / (H·W), divided before the product, in float32 at least: N C H W → N C C.

    Gatys, Ecker, Bethge, NIPS 2015.
    """
    with torch.autocast(x.device.type, enabled=False):
        f = x.flatten(2)  # N C M
        f = f.float() if f.dtype in (torch.float16, torch.bfloat16) else f
        count = f.shape[2] * (f.shape[1] if by_channels else 1)
        return (f / count) @ f.mT


def relative_error(x: Tensor, target: Tensor, reduction: str) -> Tensor:
    """‖x − t‖² / ‖t‖² of each example, then reduced."""
    size = target.square().flatten(1).sum(1).clamp_min(torch.finfo(target.dtype).tiny)  # N or 1
    return reduced((x - target).square().flatten(1).sum(1) / size, reduction)


def total_variation(x: Tensor, beta: float, reduction: str) -> Tensor:
    """Σ ((∂x)² + (∂y)²)^(beta/2) over forward differences, 0 at the far border."""
    across = functional.pad(x.diff(dim=-1), (0, 1)).square()
    down = functional.pad(x.diff(dim=-2), (0, 0, 0, 1)).square()
    v = across + down
    # The root has an infinite slope at 0, which times the zero difference would be nan.
    return reduced(v if beta == 2 else (v + 1e-10) ** (beta / 2), reduction)
