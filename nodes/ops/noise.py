"""Noise as a source."""

import math
from typing import Any

import torch
from torch import Tensor

from .source import Source

ROWS = 256  # held-out rows are made in blocks, each from a seed of its own


class Noise(Source):
    """Random numbers, N shape: normal, uniform in low … high, or on a sphere of radius √d."""

    def __init__(
        self,
        shape: tuple[int, ...],
        batch: int,
        distribution: str = "normal",
        low: float = -1.0,
        high: float = 1.0,
    ) -> None:
        self.shape, self.batch, self.distribution = shape, batch, distribution
        self.low, self.high = low, high

    def sample(self, rows: int, generator: torch.Generator) -> Tensor:
        """`rows` examples from `generator`, where it lives."""
        options: dict[str, Any] = {"generator": generator, "device": generator.device}
        if self.distribution == "uniform":
            unit = torch.rand(rows, *self.shape, **options)
            return unit * (self.high - self.low) + self.low
        z = torch.randn(rows, *self.shape, **options)
        if self.distribution == "sphere":
            length = z.flatten(1).norm(dim=1).view(-1, *[1] * len(self.shape))
            return z * (math.sqrt(math.prod(self.shape)) / length)
        return z

    def draw(self) -> tuple[Tensor, ...]:
        """The next batch."""
        return (self.share(self.sample(self.batch * self.world, self.generator)),)

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Rows start..stop of a fixed endless table, the same however it is cut."""
        first, last = start // ROWS, max(start, stop - 1) // ROWS
        blocks = []
        for block in range(first, last + 1):
            seed = (self.seed + (block + 1) * 0x9E3779B1) % 2**63
            blocks.append(self.sample(ROWS, torch.Generator().manual_seed(seed)))
        rows = torch.cat(blocks)[start - first * ROWS : stop - first * ROWS]
        return (rows.to(self.device),)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Codes along great circles from a to b, n …, at the shares t, T 1."""
    shape = (len(t), *a.shape[1:])
    a, b = a.flatten(1), b.flatten(1)
    cosine = torch.nn.functional.cosine_similarity(a, b)[:, None].clamp(-1, 1)
    angle = cosine.acos()
    straight = angle < 1e-4
    sine = torch.where(straight, 1.0, angle.sin())
    one = torch.where(straight, 1 - t, ((1 - t) * angle).sin() / sine)
    other = torch.where(straight, t, (t * angle).sin() / sine)
    return (one * a + other * b).reshape(shape)
