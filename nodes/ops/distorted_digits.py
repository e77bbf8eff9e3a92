"""Handwritten digits that are turned, moved and surrounded by pieces of others."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from .digits import Digits
from .downloads import MNIST
from .source import Dataset, as_range

OF_PATCH = 5  # random numbers for a piece of clutter


class DistortedDigits(Dataset):
    """Digits on a canvas: image N 1 size size, label N, motion N 3; distorted anew at each draw."""

    def __init__(
        self,
        batch: int,
        size: int = 32,
        turn: float = 0.0,
        shift: float = 0.5,
        smallest: float = 0.5,
        largest: float = 0.5,
        clutter: int = 6,
        patch: int = 6,
        digits: str = "scikit-learn",
        range: str = "0..1",
    ) -> None:
        self.batch, self.size, self.range = batch, size, range
        self.turn, self.shift, self.scales = turn * math.pi / 180, shift, (smallest, largest)
        self.clutter, self.patch, self.digits = clutter, patch, digits

    def load(self) -> None:
        """Read the digits; distort the held-out ones, once, always in the same way."""
        if self.digits == "MNIST":
            mnist = MNIST(self.batch)
            mnist.load()
            train, test = mnist.numbers(mnist.train), mnist.numbers(mnist.test)
        else:
            small = Digits(self.batch, 8)
            small.load()
            train, test = small.train, small.test
        images, labels = test
        chance = torch.rand(
            len(labels), self.numbers, generator=torch.Generator().manual_seed(0)
        )  # fmt: skip
        self.train, self.test = train, self.distorted(images, labels, images, chance)

    @property
    def numbers(self) -> int:
        """How many random numbers an example takes."""
        return 4 + OF_PATCH * self.clutter

    def draw(self) -> tuple[Tensor, ...]:
        """The next digits of the epoch, each moved in a way of its own."""
        images, labels = super().draw()
        chance = torch.rand(
            self.batch * self.world, self.numbers, generator=self.generator, device=self.device
        )
        return self.distorted(images, labels, self.train[0], self.share(chance))

    def distorted(
        self, images: Tensor, labels: Tensor, others: Tensor, chance: Tensor
    ) -> tuple[Tensor, ...]:
        """Digits, their labels, and how each was moved, by random numbers in 0..1: N numbers."""
        turn = (2 * chance[:, 0] - 1) * self.turn
        shift = (2 * chance[:, 1:3] - 1) * self.shift  # N 2
        low, high = self.scales
        canvas = placed(images, turn, shift, low + (high - low) * chance[:, 3], self.size)
        if self.clutter:
            side = round(self.size * (low + high) / 2)
            of_patch = chance[:, 4:].view(-1, self.clutter, OF_PATCH)
            canvas = torch.maximum(canvas, clutter(others, of_patch, side, self.patch, self.size))
        motion = torch.cat([turn[:, None], shift], 1)
        return as_range(canvas, self.range), labels, motion


def placed(images: Tensor, turn: Tensor, shift: Tensor, scale: Tensor, size: int) -> Tensor:
    """Images at `scale` of the canvas, turned clockwise, then moved: N 1 size size."""
    cos, sin = turn.cos() / scale, turn.sin() / scale
    back = torch.stack([cos, sin, -sin, cos], 1).view(-1, 2, 2)  # from the canvas to the image
    theta = torch.cat([back, -back @ shift[:, :, None]], 2)
    grid = functional.affine_grid(theta, [len(images), 1, size, size], align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def clutter(others: Tensor, chance: Tensor, side: int, patch: int, size: int) -> Tensor:
    """Squares of `patch` pixels, cut out of other digits of `side` pixels, at random places.

    M 1 h w, random numbers N K 5 → N 1 size size.
    """

    def whole(numbers: Tensor, count: int) -> Tensor:
        return (numbers * count).long().clamp_max(count - 1)

    n, k = chance.shape[:2]
    which = whole(chance[..., 0], len(others)).flatten()
    digits = functional.interpolate(
        others[which], size=side, mode="bilinear", align_corners=False
    ).view(n, k, side, side)  # fmt: skip
    example, piece = (torch.arange(m, device=chance.device) for m in (n, k))
    at = torch.arange(patch, device=chance.device)

    def index(room: int, column: int) -> tuple[Tensor, ...]:
        """Where each patch lies in a square of `room` pixels: indices that broadcast to N K h w."""
        top, left = (whole(chance[..., column + i], room - patch + 1) for i in (0, 1))
        rows, columns = top[..., None, None] + at[:, None], left[..., None, None] + at
        return example[:, None, None, None], piece[:, None, None], rows, columns

    sheets = torch.zeros(n, k, size, size, device=chance.device)
    sheets[index(size, 3)] = digits[index(side, 1)]
    return sheets.amax(1, keepdim=True)
