"""Textures that are made from a few numbers."""

import torch
from torch import Tensor

from .source import Source, as_range


class FixedImage(Source):
    """One image, 1 C H W, the same at every draw and for every process."""

    image: Tensor

    def draw(self) -> tuple[Tensor, ...]:
        """The image."""
        return (self.image,)

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """The image, whichever rows are asked for."""
        return (self.image,)


class Bricks(FixedImage):
    """A wall of bricks, 1 3 size size."""

    def __init__(self, size: int, seed: int = 0, range: str = "-1..1") -> None:
        self.size, self.data_seed, self.range = size, seed, range

    def load(self) -> None:
        """Bricks of 32 × 16 px, every other row moved by half; mortar of 2 px."""
        generator = torch.Generator().manual_seed(self.data_seed)
        rows, columns = -(-self.size // 16), -(-self.size // 32)
        y, x = torch.meshgrid(torch.arange(self.size), torch.arange(self.size), indexing="ij")
        row = y // 16
        x = (x + 16 * (row % 2)) % (32 * columns)
        shade = 0.7 + 0.45 * torch.rand(rows, columns, 1, generator=generator)
        hue = 0.06 * torch.randn(rows, columns, 3, generator=generator)
        brick = torch.tensor([0.62, 0.27, 0.20]) * shade + hue  # rows columns 3
        colour = brick[row, x // 32]  # size size 3
        mortar = ((y % 16 < 2) | (x % 32 < 2))[..., None]
        grain = 0.03 * torch.randn(self.size, self.size, 1, generator=generator)
        image = torch.where(mortar, torch.tensor([0.72, 0.69, 0.64]), colour) + grain
        self.image = as_range(image.clamp(0, 1).permute(2, 0, 1)[None].contiguous(), self.range)
        self.image = self.image.to(self.device)


class PebbleTexture(FixedImage):
    """Cells of a Voronoi diagram on a torus, 1 3 size size."""

    def __init__(self, size: int, seed: int = 0, range: str = "-1..1") -> None:
        self.size, self.data_seed, self.range = size, seed, range

    def load(self) -> None:
        """One point in each square of about 16 px; shade by the distances to the nearest two."""
        generator = torch.Generator().manual_seed(self.data_seed)
        count = max(2, self.size // 16)
        cell = self.size / count
        place = torch.rand(count, count, 2, generator=generator) * 0.8 + 0.1
        base = torch.tensor([0.55, 0.52, 0.48]) * (
            0.6 + 0.7 * torch.rand(count, count, 1, generator=generator)
        )
        colour = base + 0.05 * torch.randn(count, count, 3, generator=generator)
        pixel = (torch.arange(self.size) + 0.5) / cell
        y, x = torch.meshgrid(pixel, pixel, indexing="ij")
        distances, shades = [], []
        for down in (-2, -1, 0, 1, 2):  # with 0.1 of jitter spared, no nearer point lies beyond
            for across in (-2, -1, 0, 1, 2):
                i, j = y.long() + down, x.long() + across
                at = place[i % count, j % count]  # size size 2
                distances.append(torch.hypot(i + at[..., 0] - y, j + at[..., 1] - x))
                shades.append(colour[i % count, j % count])
        near, which = torch.stack(distances).topk(2, 0, largest=False)
        shade = torch.stack(shades).gather(0, which[:1, ..., None].expand(1, *x.shape, 3))[0]
        gap = ((near[1] - near[0]) / 0.25).clamp(0, 1)[..., None]  # 0 at a border
        dome = 1 - 0.35 * near[0, ..., None].square()
        image = shade * dome * gap + 0.08 * (1 - gap)
        self.image = as_range(image.clamp(0, 1).permute(2, 0, 1)[None].contiguous(), self.range)
        self.image = self.image.to(self.device)


def plane(size: int) -> tuple[Tensor, Tensor]:
    """y and x of each pixel's centre, −1 … 1 over the image: size size each."""
    at = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    return y, x


class Fruit(FixedImage):
    """A ball lit from the upper left, 1 3 size size, its skin speckled."""

    SKIN = {"apple": ((0.75, 0.10, 0.12), 12.0), "orange": ((0.95, 0.55, 0.10), 3.0)}

    def __init__(self, picture: str, size: int, seed: int = 0, range: str = "0..1") -> None:
        self.picture, self.size, self.data_seed, self.range = picture, size, seed, range

    def load(self) -> None:
        """A disc of radius 0.8; an apple has streaks and a dent, an orange has pores."""
        colour, stretch = self.SKIN[self.picture]
        y, x = plane(self.size)
        radius = torch.hypot(x, y)
        up = (1 - (radius / 0.8).square()).clamp_min(0).sqrt()  # of the surface, towards us
        light = (0.35 + 0.75 * (0.8 * up - 0.35 * x - 0.45 * y)).clamp(0.1, 1.2)
        generator = torch.Generator().manual_seed(self.data_seed)
        spots = torch.rand(1, 1, round(self.size / stretch) + 1, self.size, generator=generator)
        skin = torch.nn.functional.interpolate(spots, (self.size, self.size), mode="bilinear")[0, 0]
        if self.picture == "apple":
            light = light * (1 - 0.6 * torch.exp(-(x.square() + (y + 0.55).square()) / 0.015))
        shaded = torch.tensor(colour)[:, None, None] * light * (0.8 + 0.35 * skin)
        ground = torch.full_like(shaded, 0.55) - 0.15 * y
        image = torch.where(radius < 0.8, shaded, ground).clamp(0, 1)
        self.image = as_range(image[None].contiguous(), self.range).to(self.device)


class Mask(FixedImage):
    """1 inside and 0 outside, 1 1 size size."""

    def __init__(self, form: str, size: int) -> None:
        self.form, self.size = form, size

    def load(self) -> None:
        """The left half without the column in the middle, or a disc of radius 0.6."""
        y, x = plane(self.size)
        inside = x < -0.5 / self.size if self.form == "left half" else torch.hypot(x, y) < 0.6
        self.image = inside.float()[None, None].to(self.device)
