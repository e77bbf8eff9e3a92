"""Points of the plane that a generator should make, and how many of them it makes."""

import math

import torch
from torch import Tensor

from .noise import Noise
from .parameter import Constant


def ring_centres(modes: int, radius: float) -> Tensor:
    """Points at equal distances around a circle, modes 2."""
    angle = 2 * math.pi * torch.arange(modes) / modes
    return radius * torch.stack([angle.cos(), angle.sin()], 1)


class GaussianRing(Noise):
    """A mixture of small Gaussians around a circle: point N 2."""

    def __init__(self, batch: int, modes: int = 8, radius: float = 2.0, std: float = 0.05) -> None:
        super().__init__((2,), batch)
        self.centres, self.std = ring_centres(modes, radius), std

    def sample(self, rows: int, generator: torch.Generator) -> Tensor:
        """`rows` points from `generator`, where it lives."""
        device, modes = generator.device, len(self.centres)
        which = torch.randint(modes, (rows,), generator=generator, device=device)
        noise = torch.randn(rows, 2, generator=generator, device=device)
        return self.centres.to(device)[which] + self.std * noise


class RingCentres(Constant):
    """The means of such a mixture, modes 2."""

    def __init__(self, modes: int, radius: float) -> None:
        super().__init__(0.0, (modes, 2))
        self.value += ring_centres(modes, radius)


class PlaneGrid(Constant):
    """The points of a square grid, row by row from the top: steps² 2."""

    def __init__(self, reach: float, steps: int) -> None:
        super().__init__(0.0, (steps * steps, 2))
        side = torch.linspace(-reach, reach, steps)
        y, x = torch.meshgrid(side.flip(0), side, indexing="ij")
        self.value += torch.stack([x, y], -1).reshape(-1, 2)


def near(x: Tensor, centres: Tensor, within: float) -> Tensor:
    """Whether each point is near each centre: N K."""
    return torch.cdist(x, centres) <= within


def near_share(x: Tensor, centres: Tensor, within: float) -> Tensor:
    """The share of points that are near any centre."""
    return near(x, centres, within).any(1).to(x.dtype).mean()


def mode_coverage(x: Tensor, centres: Tensor, within: float, least: float) -> Tensor:
    """How many centres have at least that share of all points near them."""
    shares = near(x, centres, within).to(x.dtype).mean(0)  # K
    return (shares >= least).to(x.dtype).sum()
