"""Views that show images: grids, maps, filters, flows, where a sampler looks."""

import math
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from .drawing import (
    Sheet,
    as_pictures,
    caption,
    cell_of,
    diverging,
    enlarged,
    guessed,
    mapped,
    named,
    note,
    numbers,
    sequential,
    short,
    span,
    stacked,
    text_size,
    tiled,
)
from .ink import ink, themed

WIDEST = 4096  # pixels of a side, beyond which an image is thinned before anything is computed


def four_axes(x: Tensor, most: int, room: float = WIDEST) -> np.ndarray:
    """Images n C H W, `most` at the most; rows of numbers are folded into squares.

    What is to be shown in `room` pixels is averaged down to about that where it lies.
    """
    x = x[:most]
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim < 3:
        n, count = (len(x) if x.ndim else 1), math.prod(x.shape[1:])
        x = x.reshape(n, count)
        for channels in (1, 3):
            side = math.isqrt(count // channels)
            if count and side * side * channels == count:
                return numbers(x).reshape(-1, channels, side, side)
        return numbers(x)[:, None, None, :WIDEST]
    if x.ndim > 4:
        x = x.reshape(*x.shape[:3], math.prod(x.shape[3:]))
    step = int(max(x.shape[2:]) // max(1.0, room))
    if step > 1 and x.numel():
        x = functional.avg_pool2d(x.detach().float(), step, ceil_mode=True)
    return numbers(x)


@themed
def image_grid(
    images: list[Tensor], columns: int, rows: int, range: str, size: int,
    names: list[str] | None = None,
) -> np.ndarray:  # fmt: skip
    """Examples in rows; those of several inputs under each other, each with its name."""
    parts: list[np.ndarray] = []
    each = max(1, rows // len(images)) if images else 1
    columns = max(1, min(columns, max((len(x) for x in images), default=1)))
    for image, name in zip(images, named(names, len(images)), strict=True):
        shown = four_axes(image, each * columns, size / columns)
        if len(images) > 1:
            parts.append(caption(name, size, text_size(size)))
        if shown.size:
            parts.append(tiled(list(as_pictures(shown, range)), columns, size))
        else:
            parts.append(note("no examples", size))
    return stacked(parts) if parts else note("no examples", size)


@themed
def pyramid_grid(
    pyramid: tuple[Tensor, ...], example: int, range: str, size: int
) -> np.ndarray:  # fmt: skip
    """One example: the finest level at the left, the others under each other at its right."""
    shown = [as_pictures(four_axes(x[example : example + 1], 1), range) for x in pyramid]
    if not all(map(len, shown)):
        return note(f"there is no example {example}", size)
    finest, *others = (x[0] for x in shown)
    wide = sum(x.shape[1] for x in [finest, *others[:1]])
    scale = (size - 2) / max(wide, finest.shape[0])
    fitted = [enlarged(x, round(scale * x.shape[1]), round(scale * x.shape[0]))
              for x in (finest, *others)]  # fmt: skip
    return stacked([fitted[0], stacked(fitted[1:])], across=True, gap=2) if others else fitted[0]


@themed
def feature_maps(x: Tensor, example: int, channels: int, scale: str, size: int) -> np.ndarray:
    """The channels of one example as heat maps, each in its own range or all in one."""
    if not x.numel() or example >= len(x):
        return note(f"there is no example {example}", size)
    shown = x[example : example + 1, :channels]
    maps = four_axes(shown, 1, size / math.ceil(math.sqrt(shown.shape[1])))[0]
    whole = span(maps, 0.001)
    pictures = []
    for one in maps:
        low, high = whole if scale == "shared" else span(one)
        pictures.append(mapped(one, low, high, sequential()))
    return tiled(pictures, math.ceil(math.sqrt(len(pictures))), size)


@themed
def filters(
    weight: str, most: int, size: int, weights: list[tuple[str, Tensor]] | None = None
) -> Any:
    """The first tensor of filters (or the one named): a tile for each; 0 is the ground."""
    found = [(n, w) for n, w in weights or () if not weight or n.endswith(weight)]
    wanted = next(((n, w) for n, w in found if w.ndim == 4), None)
    wanted = wanted or next(((n, w) for n, w in found if w.ndim >= 2), None)
    if wanted is None or not wanted[1].numel():
        return note(f"no weight {weight or 'with filters'}", size)
    name, tensor = wanted
    w = numbers(tensor.flatten(3) if tensor.ndim > 4 else tensor)
    about = {"weight": name, "shape": list(tensor.shape)}
    if w.ndim == 3:
        w = w[:, None]
    if w.ndim == 2:
        images = four_axes(tensor, most)
        if images.shape[2] == 1:  # rows that fold into no square
            return heat(w[: most * 4, : most * 8], size), about
        w = images
    if w.shape[1] == 3:
        reach = float(np.nanmax(np.abs(np.where(np.isfinite(w), w, 0)))) or 1.0
        pictures = list(as_pictures(w[:most] / reach, "-1..1"))
        return tiled(pictures, math.ceil(math.sqrt(len(pictures))), size), about
    if w.shape[1] == 1:
        tiles, columns = w[:most, 0], math.ceil(math.sqrt(min(most, len(w))))
    else:  # a row for each filter, a column for each map that it reads
        columns = min(w.shape[1], max(1, math.isqrt(most)))
        tiles = w[: max(1, most // columns), :columns].reshape(-1, *w.shape[2:])
    reach = reach_of(tiles)
    pictures = [mapped(tile, -reach, reach, diverging()) for tile in tiles]
    return tiled(pictures, columns, size, ink().edge), about


def reach_of(values: np.ndarray) -> float:
    """The largest distance from 0, never 0."""
    low, high = span(values, 0.001)
    return max(abs(low), abs(high)) or 1.0


def heat(values: np.ndarray, size: int) -> np.ndarray:
    """A matrix of weights, 0 the ground."""
    reach = reach_of(values)
    picture = mapped(values, -reach, reach, diverging())
    h, w = cell_of(picture.shape, size)
    return enlarged(picture, w, min(size, max(h, 8 * len(values))))


@themed
def before_after(
    before: Tensor, after: Tensor, example: int, range: str, size: int
) -> Any:  # fmt: skip
    """Two images and the distance of their pixels, each of which has its caption."""
    pair = []
    for x in (before, after):
        at = example if example < len(x) else 0  # a fixed image has one example for all
        pair.append(four_axes(x[at : at + 1], 1, size))
    if not (pair[0].size and pair[1].size):
        return note(f"there is no example {example}", size)
    low, high = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}.get(range) or guessed(
        np.concatenate([p.ravel() for p in pair])
    )
    unit = [(p - low) / (high - low) for p in pair]
    shown = [as_pictures(u, "0..1")[0] for u in unit]
    h, w = cell_of(shown[0].shape, (size - 4) / 3)
    panels = [enlarged(s, w, h) for s in shown]
    away = np.abs(panels[0].astype(np.float32) - panels[1]).mean(2) / 255  # H W in 0..1
    top = max(float(away.max()), 1e-6)
    panels.append(mapped(away, 0, top, sequential()))
    px = text_size(size)
    words = ["before", "after", f"|Δ| ≤ {top:.2g}"]
    columns = [stacked([caption(t, w, px), p]) for t, p in zip(words, panels, strict=True)]
    about = {"difference": float(away.mean()), "largest": float(away.max())}
    return stacked(columns, across=True, gap=2), about


# Flow --------------------------------------------------------------------------------------------


def colour_wheel() -> np.ndarray:
    """The 55 hues of Baker et al., A Database and Evaluation Methodology for Optical Flow, 2007."""
    parts = []  # from a hue to the next: which channel is full, which rises or falls, how many
    for count, full, moves, sign in (
        (15, 0, 1, 1), (6, 1, 0, -1), (4, 1, 2, 1), (11, 2, 1, -1), (13, 2, 0, 1), (6, 0, 2, -1),
    ):  # fmt: skip
        part = np.zeros((count, 3))
        part[:, full] = 255
        ramp = np.floor(255 * np.arange(count) / count)
        part[:, moves] = ramp if sign > 0 else 255 - ramp
        parts.append(part)
    return np.concatenate(parts)


def flow_colours(u: np.ndarray, v: np.ndarray, largest: float) -> np.ndarray:
    """Directions as hues, lengths as saturations, 0 white: H W 3."""
    wheel = colour_wheel()
    with np.errstate(all="ignore"):
        u, v = (np.nan_to_num(a.astype(np.float64) / largest).clip(-9, 9) for a in (u, v))
        length = np.hypot(u, v)
        at = (np.arctan2(-v, -u) / np.pi + 1) / 2 * (len(wheel) - 1)
    below = np.floor(at).astype(int)
    part = (at - below)[..., None]
    colour = (1 - part) * wheel[below] / 255 + part * wheel[(below + 1) % len(wheel)] / 255
    far = length[..., None]
    colour = np.where(far <= 1, 1 - far * (1 - colour), colour * 0.75)
    return np.floor(255 * colour).astype(np.uint8)


@themed
def flow_picture(
    flow: Tensor, example: int, largest: float, arrows: int, relative: bool, size: int
) -> Any:
    """Colours and arrows of one flow, in pixels or in units of half the image."""
    if flow.ndim == 3:
        flow = flow[None]
    if not flow.numel() or example >= len(flow):
        return note(f"there is no example {example}", size)
    field = flow[example]
    if field.shape[0] != 2:
        field = field.permute(2, 0, 1)
    step = max(1, -(-max(field.shape[1:]) // WIDEST))
    values = numbers(field[:, ::step, ::step]).astype(np.float64)  # 2 H W
    high, wide = values.shape[1:]
    if relative:
        values = values * np.array([wide / 2, high / 2])[:, None, None]
    length = np.hypot(*np.where(np.isfinite(values), values, 0))
    top = largest or float(np.quantile(length, 0.99)) or 1.0
    picture = flow_colours(values[0], values[1], top)
    picture[~np.isfinite(values).all(0)] = ink().wrong
    scale = size / max(high, wide)
    w, h = round(wide * scale), round(high * scale)
    picture = enlarged(picture, max(8, w), max(8, h))
    h, w = picture.shape[:2]
    sheet = Sheet(w, h, picture)
    pitch = max(w, h) / max(1, arrows)
    # A little less than the sides, as arange may step onto its end.
    for row in np.arange(pitch / 2, h - 0.5 if arrows else 0, pitch):
        for column in np.arange(pitch / 2, w - 0.5, pitch):
            u, v = values[:, int(row / h * high), int(column / w * wide)]
            if not (math.isfinite(u) and math.isfinite(v)):
                continue
            far = math.hypot(u, v)
            scale = 0.9 * pitch / top * min(1.0, top / far) if far > 0 else 0.0
            dx, dy = float(u) * scale, float(v) * scale
            if math.hypot(dx, dy) < 2:
                sheet.mark(0, (column, row), 0.8, (40, 46, 56))
                continue
            tip = column + dx / 2, row + dy / 2
            sheet.line([(column - dx / 2, row - dy / 2), tip], (30, 34, 42), 1)
            for turn in (2.6, -2.6):
                c, s, r = math.cos(turn), math.sin(turn), 0.3
                end = tip[0] + r * (c * dx - s * dy), tip[1] + r * (s * dx + c * dy)
                sheet.line([tip, end], (30, 34, 42), 1)
    about = {"largest": float(length.max()), "mean": float(length.mean())}
    return sheet.done(), about


# Where a sampler looks ---------------------------------------------------------------------------


def outline(where: np.ndarray) -> np.ndarray:
    """The border of where one example is sampled, k 2 (x, y) in −1..1, from the top left around.

    `where` is θ, 2×3 or 6 numbers, or the grid h w 2.
    """
    if where.size == 6:
        theta = where.reshape(2, 3).astype(np.float64)
        corners = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], np.float64)
        return corners @ theta.T
    grid = where.astype(np.float64)
    sides = [grid[0], grid[1:, -1], grid[-1, -2::-1], grid[-2:0:-1, 0]]
    return np.concatenate(sides)


@themed
def quadrilateral(
    image: Tensor, where: Tensor, count: int, align_corners: bool, range: str, size: int
) -> Any:
    """Images with the outline of where each is sampled, a dot where its top left comes from."""
    images = four_axes(image, count, size)
    looks = numbers(where[:count])
    if not (images.size and looks.size):
        return note("no examples", size)
    pictures = as_pictures(images, range)
    columns = math.ceil(math.sqrt(len(pictures)))
    room = (size - 2 * (columns + 1)) / columns
    margin = 0.15  # of the image at each side, so that a look beyond it is seen
    h, w = cell_of(pictures.shape[1:3], room / (1 + 2 * margin))
    drawn: list[np.ndarray] = []
    corners: list[list[list[float]]] = []
    for picture, look in zip(pictures, looks, strict=False):
        sheet = Sheet(round(w * (1 + 2 * margin)), round(h * (1 + 2 * margin)))
        left, top = round(w * margin), round(h * margin)
        from PIL import Image

        small = Image.fromarray(enlarged(picture, w, h))
        sheet.image.paste(small.resize((2 * w, 2 * h), 0), (2 * left, 2 * top))
        corners.append([])
        if np.isfinite(look).all():
            border = outline(look)
            corners[-1] = border[:: max(1, len(border) // 4)][:4].tolist()
            high, wide = picture.shape[:2]
            if align_corners:  # ±1 are the middles of the outermost pixels
                border = border * np.array([(wide - 1) / wide, (high - 1) / high])
            points = np.clip((border + 1) / 2, -4, 5) * np.array([w, h]) + np.array([left, top])
            sheet.line([*points, points[0], points[1]], ink().ground, 3.5)
            sheet.line([*points, points[0], points[1]], ink().hues[1], 1.75)
            sheet.mark(0, points[0], 4.5, ink().ground)
            sheet.mark(0, points[0], 3, ink().accent)
        drawn.append(sheet.done())
    return tiled(drawn, columns, size), {"corners": corners}


# Matrices ----------------------------------------------------------------------------------------


@themed
def gram_map(
    matrix: list[Tensor], map: str, example: int, size: int, names: list[str] | None = None
) -> Any:
    """Matrices as heat maps side by side, in one range of colours, with the scale below."""
    panels, px = [], text_size(size)
    for m in matrix:
        m = m[min(example, len(m) - 1)] if m.ndim > 2 and len(m) else m
        step = max(1, -(-max(*m.shape[-2:], 1) // 1024))
        panels.append(numbers(m.reshape(-1, m.shape[-1])[::step, ::step] if m.numel() else m))
    panels = [p for p in panels if p.size]
    if not panels:
        return note("no matrix", size)
    every = np.concatenate([p.ravel() for p in panels])
    low, high = span(every, 0.01)
    table = sequential()
    if map == "diverging":
        high = max(abs(low), abs(high)) or 1.0
        low, table = -high, diverging()
    columns = []
    room = (size - 4 * (len(panels) - 1)) // len(panels)
    for panel, name in zip(panels, named(names, len(panels)), strict=False):
        scale = room / max(panel.shape)
        w, h = (max(1, round(n * scale)) for n in panel.shape[::-1])
        picture = enlarged(mapped(panel, low, high, table), w, h)
        head = [caption(name, room, px)] if len(panels) > 1 else []
        columns.append(stacked([*head, picture]))
    bar = Sheet(size, px + 10)
    wide = size // 3
    strip = mapped(np.linspace(low, high, wide)[None], low, high, table)
    from PIL import Image

    bar.image.paste(Image.fromarray(np.repeat(strip, 8, 0)).resize((2 * wide, 16), 0),
                    (2 * (size // 3), px + 2))  # fmt: skip
    bar.text(size // 3 - 5, (px + 10) / 2, short(low), ink().dim, px, "rm")
    bar.text(size // 3 + wide + 5, (px + 10) / 2, short(high), ink().dim, px, "lm")
    picture = stacked([stacked(columns, across=True, gap=4), bar.done()])
    return picture, {"low": low, "high": high}
