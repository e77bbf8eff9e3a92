"""Points of the plane that a generator should make, and how many of them it makes."""

import math

import torch
from torch import Tensor

from .noise import Noise
from .parameter import Constant


class GaussianRing(Noise):
    """A mixture of small Gaussians around a circle: point N 2, centre modes 2."""

    def __init__(self, batch: int, modes: int = 8, radius: float = 2.0, std: float = 0.05) -> None:
        super().__init__((2,), batch)
        self.modes, self.radius, self.std = modes, radius, std

    def centres(self) -> Tensor:
        """The means of all Gaussians, modes 2."""
        angle = 2 * math.pi * torch.arange(self.modes, device=self.device) / self.modes
        return self.radius * torch.stack([angle.cos(), angle.sin()], 1)

    def sample(self, rows: int, generator: torch.Generator) -> Tensor:
        """`rows` points from `generator`, where it lives."""
        device = generator.device
        which = torch.randint(self.modes, (rows,), generator=generator, device=device)
        noise = torch.randn(rows, 2, generator=generator, device=device)
        return self.centres().to(device)[which] + self.std * noise

    def draw(self) -> tuple[Tensor, ...]:
        """The next batch, and the centres."""
        return (*super().draw(), self.centres())

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Rows start..stop of an endless table, and the centres."""
        return (*super().held_out(start, stop), self.centres())


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
