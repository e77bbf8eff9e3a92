"""Chairs of boxes, drawn from a seed and seen from all sides."""

import math
import os

import torch
from torch import Tensor

from .source import Dataset

CHAIR_LIGHT = (-0.45, 0.6, 0.66)  # to the right, up, towards the eye
CHAIR_VERSION = 1  # of the pictures: another number, another file in the cache

Box = tuple[tuple[float, float, float], tuple[float, float, float], float]


def chair_boxes(style: int, seed: int) -> list[Box]:
    """The boxes of one chair: middles, half sizes, and how far each leans back, in radians.

    x is to the right of who sits in it, y to the front, z up. It is as large as fits into −1..1,
    seen from 20° above.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + style)

    def pick(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    def one_of(count: int) -> int:
        return int(torch.randint(count, (), generator=generator))

    wide, deep = pick(0.36, 0.56), pick(0.34, 0.52)  # half the seat
    high, thick, leg = pick(0.7, 0.95), pick(0.06, 0.12), pick(0.06, 0.11)
    boxes: list[Box] = [((0, 0, high), (wide, deep, thick), 0)]
    if one_of(3):  # four legs, else a pedestal
        x, y = wide - leg, deep - leg
        corners = [(sx * x, sy * y) for sx in (-1, 1) for sy in (-1, 1)]
        boxes += [((cx, cy, high / 2), (leg, leg, high / 2), 0) for cx, cy in corners]
    else:
        boxes.append(((0, 0, high / 2), (1.5 * leg, 1.5 * leg, high / 2), 0))
        foot = pick(0.3, 0.45)
        boxes += [((0, 0, 0.05), half, 0) for half in ((foot, leg, 0.05), (leg, foot, 0.05))]
    tall, lean, board = pick(0.35, 0.6), pick(0.0, 0.25), pick(0.05, 0.09)

    def on_back(across: float, up: float, half_wide: float, half_tall: float) -> Box:
        """A board of the back, `up` along it from the seat."""
        y, z = -deep + board - math.sin(lean) * up, high + math.cos(lean) * up
        return (across, y, z), (half_wide, board, half_tall), lean

    kind = one_of(3)
    if kind == 0:
        boxes.append(on_back(0, tall, wide * pick(0.6, 1.0), tall))
    else:
        boxes += [on_back(s * (wide - 0.08), tall, 0.08, tall) for s in (-1, 1)]
        boxes.append(on_back(0, 2 * tall - 0.1, wide, 0.1))
        count = 1 + one_of(2)
        for place in ((i + 1) / (count + 1) for i in range(count)):
            if kind == 1:  # slats that stand
                boxes.append(on_back((2 * place - 1) * wide, tall, 0.07, tall))
            else:  # rails that lie
                boxes.append(on_back(0, 2 * tall * place, wide, 0.08))
    if one_of(2):  # arms
        up = pick(0.3, 0.45)
        for side in (-wide, wide):
            boxes.append(((side, 0, high + up), (0.08, deep, 0.06), 0))
            boxes.append(((side, deep - 0.06, high + up / 2), (0.07, 0.07, up / 2), 0))
    top = high + 2 * tall * math.cos(lean)
    around = math.hypot(wide, deep) + tall * math.sin(lean)
    level, lift = cos_sin(math.radians(20))
    size = 0.95 / max(around, top / 2 * level + around * lift)

    def placed(box: Box) -> Box:
        (x, y, z), (a, b, c), tilt = box
        return (x * size, y * size, (z - top / 2) * size), (a * size, b * size, c * size), tilt

    return [placed(box) for box in boxes]


def render_boxes(boxes: list[Box], azimuth: float, elevation: float, size: int) -> Tensor:
    """Shade and mask of a chair, 2 size size in 0..1; four rays for each pixel, parallel.

    A ray meets the first box whose three slabs it is in at once. Shade is 0.35 + 0.65 · cos of the
    angle to the light, 0 outside. At azimuth 0 it is seen from its front.
    """
    cos, sin, level, lift = *cos_sin(azimuth), *cos_sin(elevation)
    right = torch.tensor([-cos, sin, 0.0])
    out = torch.tensor([sin * level, cos * level, lift])  # to the eye
    up = torch.tensor([-sin * lift, -cos * lift, level])
    side = 2 * size
    steps = (torch.arange(side) + 0.5) / side * 2 - 1
    start = (
        steps[None, :, None] * right - steps[:, None, None] * up + 9 * out  # side side 3
    ).reshape(-1, 3)
    light = CHAIR_LIGHT[0] * right + CHAIR_LIGHT[1] * up + CHAIR_LIGHT[2] * out
    near, shade = torch.full((len(start),), math.inf), torch.zeros(len(start))
    for middle, half, tilt in boxes:
        c, s = cos_sin(tilt)
        turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])  # to the box's own axes
        origin, ray = (start - torch.tensor(middle)) @ turn.T, -(turn @ out)
        ray = torch.where(ray.abs() < 1e-6, torch.full_like(ray, 1e-6), ray)
        ends = torch.stack([(sign * torch.tensor(half) - origin) / ray for sign in (-1, 1)])
        first, axis = ends.amin(0).max(1)
        hit = (first < ends.amax(0).amin(1)) & (first < near)
        cosines = (-ray.sign() * (turn @ light))[axis].clamp_min(0)
        near = torch.where(hit, first, near)
        shade = torch.where(hit, 0.35 + 0.65 * cosines, shade)
    found = torch.stack([shade, near.isfinite().float()]).view(2, side, side)
    return torch.nn.functional.avg_pool2d(found, 2)


def cos_sin(angle: float) -> tuple[float, float]:
    """Cosine and sine."""
    return math.cos(angle), math.sin(angle)


def chair_views(azimuths: int, elevations: tuple[float, ...]) -> list[tuple[float, float]]:
    """Azimuth and elevation of each view of a chair, in radians."""
    return [
        (2 * math.pi * k / azimuths, math.radians(e)) for e in elevations for k in range(azimuths)
    ]


def chair_pictures(
    classes: int, azimuths: int, elevations: tuple[float, ...], size: int, seed: int
) -> Tensor:
    """All views of all chairs, classes views 2 size size in 0..255, from the user's cache if there.

    A file there that is damaged, or can't be written, costs time only.
    """
    import hashlib

    import numpy
    import pooch

    told = repr((CHAIR_VERSION, classes, azimuths, elevations, size, seed))
    name = hashlib.sha256(told.encode()).hexdigest()[:16] + ".npy"
    path = os.path.join(str(pooch.os_cache("nodegraph")), "chairs", name)
    seen = chair_views(azimuths, elevations)
    shape = classes, len(seen), 2, size, size
    try:
        kept = numpy.load(path, allow_pickle=False)
        if kept.shape == shape and kept.dtype == numpy.uint8:
            return torch.from_numpy(kept)
    except (OSError, ValueError, EOFError):
        pass
    found = torch.empty(shape, dtype=torch.uint8)
    for style in range(classes):
        boxes = chair_boxes(style, seed)
        for place, (azimuth, elevation) in enumerate(seen):
            found[style, place] = (
                (render_boxes(boxes, azimuth, elevation, size) * 255).round().byte()
            )
    part = f"{path}.{os.getpid()}.part"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(part, "wb") as file:
            numpy.save(file, found.numpy())
        os.replace(part, path)
    except OSError:
        pass
    return found


class Chairs(Dataset):
    """Image N 3 size size, mask N 1 size size, label N, azimuth N 1, elevation N 1, colour N 3."""

    def __init__(
        self,
        batch: int,
        size: int = 32,
        classes: int = 8,
        azimuths: int = 24,
        elevations: tuple[float, ...] = (20.0,),
        seed: int = 0,
    ) -> None:
        self.batch, self.data_seed = batch, seed
        self.made = classes, azimuths, elevations, size

    def load(self) -> None:
        """Render all, and hold out every second azimuth of every second chair, in fixed colours."""
        classes, azimuths, elevations, _ = self.made
        self.pictures = chair_pictures(*self.made, self.data_seed).flatten(0, 1).to(self.device)
        self.angles = torch.tensor(chair_views(azimuths, elevations)).repeat(classes, 1)
        self.angles = self.angles.to(self.device)
        number = torch.arange(len(self.pictures))
        self.labels = (number // (azimuths * len(elevations))).to(self.device)
        held = (number % azimuths % 2 == 1) & (self.labels.cpu() % 2 == 1)
        generator = torch.Generator().manual_seed(self.data_seed)
        self.train = (number[~held],)
        self.test = number[held], self.colours(int(held.sum()), generator)

    def colours(self, count: int, generator: torch.Generator) -> Tensor:
        """Colours, count 3 in 0.2 … 0.95."""
        rows = torch.rand(count, 3, generator=generator, device=generator.device)
        return 0.2 + 0.75 * rows

    def draw(self) -> tuple[Tensor, ...]:
        """A batch in new colours."""
        (index,) = super().draw()
        fresh = self.colours(self.batch * self.world, self.generator)
        return self.painted(index, self.share(fresh))

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Azimuths at which these chairs are never shown."""
        return self.painted(*super().held_out(start, stop))

    def painted(self, index: Tensor, colour: Tensor) -> tuple[Tensor, ...]:
        """Some views in colours, over white."""
        shade, mask = (self.pictures[index].float() / 255).split(1, 1)  # N 1 size size
        image = 1 - mask + colour[:, :, None, None] * shade
        azimuth, elevation = self.angles[index].split(1, 1)
        return image, mask, self.labels[index], azimuth, elevation, colour
