"""Printed digits, rendered: alone, and blended with photographs."""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .images import packaged, photograph
from .source import Dataset, as_range

FACES = [
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
]  # fmt: skip
EM = 96  # font size of the glyphs that are warped, about four times that of a digit of 28 px
CANVAS = 128


@functools.lru_cache(maxsize=1)
def glyphs() -> Tensor:
    """Each digit in each face, white on black, centred: faces·10 1 CANVAS CANVAS."""
    import numpy
    from PIL import Image, ImageDraw, ImageFont

    sheets = []
    for face in FACES:
        # The basic layout gives the same picture with and without libraqm.
        path = packaged("matplotlib", f"mpl-data/fonts/ttf/{face}.ttf")
        font = ImageFont.truetype(path, EM, layout_engine=ImageFont.Layout.BASIC)
        for digit in "0123456789":
            sheet = Image.new("L", (CANVAS, CANVAS))
            left, top, right, bottom = font.getbbox(digit)
            corner = (CANVAS - left - right) / 2, (CANVAS - top - bottom) / 2
            ImageDraw.Draw(sheet).text(corner, digit, fill=255, font=font)
            sheets.append(numpy.asarray(sheet))
    return torch.from_numpy(numpy.stack(sheets)).float()[:, None] / 255


class Pose(NamedTuple):
    """How each of n digits is drawn."""

    size: Tensor  # of the face, in units of the image
    turn: Tensor  # radians
    shear: Tensor
    right: Tensor  # both in halves of the image
    down: Tensor
    blur: Tensor  # σ in pixels of an image of 28


def uniform(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    """Numbers in low … high."""
    return torch.rand(count, generator=generator) * (high - low) + low


def poses(count: int, generator: torch.Generator) -> Pose:
    """Poses as printed digits have them."""
    draw = functools.partial(uniform, count=count, generator=generator)
    return Pose(
        size=draw(0.70, 0.95),
        turn=draw(-15, 15) * math.pi / 180,
        shear=draw(-0.25, 0.25),
        right=draw(-2, 2) * 2 / 28,
        down=draw(-2, 2) * 2 / 28,
        blur=draw(0, 0.8) * (draw(0, 1) < 0.5),
    )


@functools.lru_cache(maxsize=8)
def font_digits(count: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` images, count 1 size size in 0..1, and their labels; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (count,), generator=generator)
    faces = torch.randint(len(FACES), (count,), generator=generator)
    return draw_digits(labels, faces, poses(count, generator), size), labels


def draw_digits(labels: Tensor, faces: Tensor, pose: Pose, size: int) -> Tensor:
    """Digits in faces and poses: n 1 size size in 0..1."""
    # From a pixel of the image to one of the glyph: undo the shift, turn, shear and size.
    scale = pose.size / EM * CANVAS  # of the glyph's canvas, in units of the image
    cos, sin = pose.turn.cos() / scale, pose.turn.sin() / scale
    rows = torch.stack([cos + pose.shear * sin, sin - pose.shear * cos, -sin, cos], 1)
    rows = rows.view(-1, 2, 2)
    move = -rows @ torch.stack([pose.right, pose.down], 1)[:, :, None]
    warp = torch.cat([rows, move], 2)  # n 2 3
    blur = pose.blur * size / 28
    parts = [
        render(glyphs()[faces[some] * 10 + labels[some]], warp[some], blur[some], size)
        for some in torch.arange(len(labels)).split(500)
    ]
    return torch.cat(parts)


def render(glyph: Tensor, warp: Tensor, blur: Tensor, size: int) -> Tensor:
    """Glyphs as images: warped at twice the size, averaged down, blurred: n 1 size size."""
    grid = functional.affine_grid(warp, [len(glyph), 1, 2 * size, 2 * size], align_corners=False)
    images = functional.avg_pool2d(functional.grid_sample(glyph, grid, align_corners=False), 2)
    reach = max(1, math.ceil(3 * 0.8 * size / 28))
    at = torch.arange(-reach, reach + 1).float()
    kernel = torch.exp(-at.square() / (2 * blur[:, None].square().clamp_min(1e-4)))  # n taps
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None]  # n 1 taps
    flat = images.transpose(0, 1)  # 1 n size size: one group for each image
    flat = functional.conv2d(flat, kernel[..., None], padding=(reach, 0), groups=len(images))
    flat = functional.conv2d(flat, kernel[:, :, None], padding=(0, reach), groups=len(images))
    return flat.transpose(0, 1).clamp(0, 1)


@functools.lru_cache(maxsize=1)
def photographs() -> Tensor:
    """The two photographs of scikit-learn (CC BY 2.0), 2 3 427 640 in 0..1."""
    import numpy
    from PIL import Image

    opened = (Image.open(photograph(name)) for name in ("china", "flower"))
    pictures = numpy.stack([numpy.asarray(picture) for picture in opened])  # 2 427 640 3
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float() / 255


@functools.lru_cache(maxsize=8)
def patches(count: int, size: int, seed: int, left: bool) -> Tensor:
    """Squares at random places of the photographs' left or right halves: count 3 size size."""
    generator = torch.Generator().manual_seed(seed)
    pictures = photographs()
    middle = pictures.shape[3] // 2
    pictures = pictures[..., :middle] if left else pictures[..., middle:]
    which = torch.randint(len(pictures), (count,), generator=generator)
    top = torch.randint(pictures.shape[2] - size + 1, (count,), generator=generator)
    edge = torch.randint(pictures.shape[3] - size + 1, (count,), generator=generator)
    side = torch.arange(size)
    rows, columns = (top[:, None] + side)[:, :, None], (edge[:, None] + side)[:, None]
    return pictures[which[:, None, None], :, rows, columns].permute(0, 3, 1, 2).contiguous()


class FontDigits(Dataset):
    """Printed digits: image N channels size size, label N."""

    def __init__(
        self,
        batch: int,
        size: int = 28,
        channels: int = 1,
        count: int = 4000,
        held_out: int = 1000,
        seed: int = 0,
        range: str = "0..1",
        measured: str = "held out",
    ) -> None:
        self.batch, self.size, self.channels, self.range = batch, size, channels, range
        self.counts, self.data_seed, self.measured = (count, held_out), seed, measured

    def load(self) -> None:
        """Render both splits, from seeds of their own."""
        train, test = (self.split(n, 2 * self.data_seed + i) for i, n in enumerate(self.counts))
        self.train, self.test = train, test

    def split(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Images and labels."""
        images, labels = font_digits(count, self.size, seed)
        return as_range(images.repeat(1, self.channels, 1, 1), self.range), labels


class DigitPairs(Dataset):
    """The same digits before and after one attribute changes: both N 1 size size, label N."""

    def __init__(
        self,
        attribute: str,
        batch: int,
        size: int = 28,
        count: int = 4000,
        held_out: int = 1000,
        seed: int = 0,
        range: str = "0..1",
    ) -> None:
        self.attribute, self.batch, self.size, self.range = attribute, batch, size, range
        self.counts, self.data_seed = (count, held_out), seed

    def load(self) -> None:
        """Render both splits, from seeds of their own."""
        self.train, self.test = (
            self.split(n, 7_000_000 + 2 * self.data_seed + i) for i, n in enumerate(self.counts)
        )

    def split(self, count: int, seed: int) -> tuple[Tensor, ...]:
        """Both images, and labels. A face with an even number has a bold twin behind it."""
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(10, (count,), generator=generator)
        plain = 2 * torch.randint(len(FACES) // 2, (count,), generator=generator)
        faces = plain + torch.randint(2, (count,), generator=generator)
        pose = poses(count, generator)
        before, after = (faces, pose), (faces, pose)
        if self.attribute == "bold":
            before, after = (plain, pose), (plain + 1, pose)
        elif self.attribute == "slant":
            left = pose._replace(shear=pose.shear / 2 + 0.125)  # 0 … 0.25
            before, after = (faces, left), (faces, left._replace(shear=left.shear - 0.25))
        else:
            small = pose._replace(size=0.70 + (pose.size - 0.70) * 0.2)  # 0.70 … 0.75
            before, after = (faces, small), (faces, small._replace(size=small.size + 0.20))
        first, second = (
            as_range(draw_digits(labels, *how, self.size), self.range) for how in (before, after)
        )
        return first, second, labels


class BlendedDigits(Dataset):
    """|contrast · patch − digit|: image N 3 size size, label N."""

    def __init__(
        self,
        batch: int,
        size: int = 28,
        contrast: float = 0.5,
        count: int = 4000,
        held_out: int = 1000,
        seed: int = 0,
        range: str = "0..1",
    ) -> None:
        self.batch, self.size, self.contrast, self.range = batch, size, contrast, range
        self.counts, self.data_seed = (count, held_out), seed

    def load(self) -> None:
        """Blend both splits, each with its own halves of the photographs."""
        train, test = (self.split(n, i) for i, n in enumerate(self.counts))
        self.train, self.test = train, test

    def split(self, count: int, part: int) -> tuple[Tensor, Tensor]:
        """Images and labels of the training (0) or held-out part (1)."""
        seed = 5_000_000 + 2 * self.data_seed + part  # none that FontDigits draws from
        digits, labels = font_digits(count, self.size, seed)
        images = (patches(count, self.size, seed, part == 0) * self.contrast - digits).abs()
        return as_range(images, self.range), labels
