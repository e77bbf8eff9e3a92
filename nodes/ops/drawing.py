"""What all views draw with: colour tables, smooth lines, text."""

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from .ink import Colour, Ink, ink

# Values ------------------------------------------------------------------------------------------


def numbers(x: Any) -> np.ndarray:
    """A tensor as floats of the processor; what is not finite stays so."""
    if isinstance(x, Tensor):
        x = x.detach().float().cpu().numpy()
    return np.asarray(x, np.float32)


def span(values: np.ndarray, share: float = 0.0) -> tuple[float, float]:
    """The range of the finite values, `share` of them left out at each end; never empty."""
    found = values[np.isfinite(values)].astype(np.float64)
    if not found.size:
        return 0.0, 1.0
    low, high = found.min(), found.max()
    if share and found.size > 2:
        low, high = np.quantile(found, [share, 1 - share])
    if high - low <= 1e-6 * max(abs(low), abs(high)) or high - low < 1e-30:
        wide = max(0.5, 0.5 * abs(low))
        return float(low - wide), float(high + wide)
    return float(low), float(high)


def short(value: float) -> str:
    """A number in few digits."""
    if not math.isfinite(value):
        return "∞" if value == math.inf else "−∞" if value == -math.inf else "NaN"
    whole = f"{value:.0f}" if value == round(value) and abs(value) < 1e5 else f"{value:.3g}"
    return whole.replace("-", "−").replace("e+0", "e").replace("e−0", "e−")


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers in an interval, about `count` of them."""
    step = (high - low) / max(1, count)
    if not math.isfinite(step) or step <= 0:
        return []
    power = 10.0 ** math.floor(math.log10(step))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= step * 0.999)
    first = math.ceil(low / step - 1e-9)
    found = [i * step for i in range(first, first + 4 * count) if i * step <= high + 1e-9 * step]
    return [0.0 if abs(v) < step * 1e-6 else v for v in found]


# Colours -----------------------------------------------------------------------------------------


@functools.cache
def sequential() -> np.ndarray:
    """Viridis, 256 3: van der Walt & Smith, A Better Default Colormap for Matplotlib, 2015."""
    import matplotlib

    table = matplotlib.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3]
    return np.round(table * 255).astype(np.uint8)


@functools.cache
def diverging_on(ink: Ink) -> np.ndarray:
    """Blue below, the ground at 0, orange above: 256 3."""
    at = np.array([0, 0.25, 0.5, 0.75, 1])
    ends = ink.hues[:2]
    half = [[a * 0.55 + g * 0.45 for a, g in zip(c, ink.ground)] for c in ends]
    stops = np.array([ends[0], half[0], ink.ground, half[1], ends[1]], np.float64)
    x = np.linspace(0, 1, 256)
    return np.stack([np.interp(x, at, stops[:, i]) for i in range(3)], 1).round().astype(np.uint8)


def diverging() -> np.ndarray:
    """`diverging_on` the present ground."""
    return diverging_on(ink())


def mapped(values: np.ndarray, low: float, high: float, table: np.ndarray) -> np.ndarray:
    """Values in the colours of a table, … 3; those that are not finite in red."""
    with np.errstate(all="ignore"):
        unit = (values.astype(np.float64) - low) / (high - low)
        index = np.nan_to_num(np.clip(unit, 0, 1) * 255, nan=0.0).round().astype(np.uint8)
    colours = table[index]
    colours[~np.isfinite(values)] = ink().wrong
    return colours


def as_pictures(images: np.ndarray, range: str = "auto") -> np.ndarray:
    """Images N C H W as N H W 3: one channel is grey, of others the first three are R G B."""
    n, c, h, w = images.shape
    if not images.size:
        return np.zeros((n, max(1, h), max(1, w), 3), np.uint8)
    low, high = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}.get(range) or guessed(images)
    if c == 2:
        images = np.concatenate([images, np.zeros_like(images[:, :1])], 1)
    colours = images[:, :3] if c != 1 else np.repeat(images, 3, 1)
    with np.errstate(all="ignore"):
        unit = np.clip((colours.astype(np.float64) - low) / (high - low), 0, 1)
    pictures = np.nan_to_num(unit * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    pictures[~np.isfinite(colours).all(1)] = ink().wrong
    return np.ascontiguousarray(pictures)


def guessed(images: np.ndarray) -> tuple[float, float]:
    """The range that images seem to be in: 0..1, −1..1, or from the least to the largest."""
    low, high = span(images, 0.005)
    if high > 1.5 or low < -1.5:
        return span(images)
    return (-1.0, 1.0) if low < -0.2 else (0.0, 1.0)


# Pictures ----------------------------------------------------------------------------------------


def enlarged(picture: np.ndarray, wide: int, high: int) -> np.ndarray:
    """A picture at another size: crisp pixels where it grows, averaged where it shrinks."""
    from PIL import Image

    wide, high = max(1, wide), max(1, high)
    h, w = picture.shape[:2]
    if (h, w) == (high, wide):
        return picture
    image = Image.fromarray(picture)
    if wide >= w and high >= h:  # to whole multiples, and from there down to the size
        image = image.resize((-(-wide // w) * w, -(-high // h) * h), Image.Resampling.NEAREST)
    if image.size != (wide, high):
        image = image.resize((wide, high), Image.Resampling.BOX)
    return np.asarray(image)


def cell_of(shape: Sequence[int], room: float) -> tuple[int, int]:
    """Height and width at which a picture fills `room` pixels."""
    scale = room / max(*shape[:2], 1)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def tiled(
    pictures: Sequence[np.ndarray], columns: int, size: int, between: Colour | None = None
) -> np.ndarray:
    """Pictures of one size side by side, about `size` wide, which holds `columns` of them."""
    rows, gap = -(-len(pictures) // columns), 2
    h, w = cell_of(pictures[0].shape, (size - gap * (columns + 1)) / columns)
    sheet = np.empty((rows * (h + gap) + gap, columns * (w + gap) + gap, 3), np.uint8)
    sheet[:] = between or ink().ground
    # Under each other they are enlarged at once, which is ten times as fast as one by one.
    grown = enlarged(np.concatenate(pictures), w, len(pictures) * h)
    for i in range(len(pictures)):
        y, x = gap + i // columns * (h + gap), gap + i % columns * (w + gap)
        sheet[y : y + h, x : x + w] = grown[i * h : (i + 1) * h]
    return sheet


def stacked(parts: Sequence[np.ndarray], across: bool = False, gap: int = 0) -> np.ndarray:
    """Pictures under each other, or side by side, on one ground."""
    axis, other = (1, 0) if across else (0, 1)
    longest = max(p.shape[other] for p in parts)
    padded = []
    for part in parts:
        fill = [(0, 0), (0, 0), (0, 0)]
        fill[other] = (0, longest - part.shape[other])
        fill[axis] = (0, gap if part is not parts[-1] else 0)
        grown = np.pad(part, fill)
        grown[part.shape[0] :] = ink().ground
        grown[:, part.shape[1] :] = ink().ground
        padded.append(grown)
    return np.concatenate(padded, axis)


@functools.cache
def typeface(px: int) -> Any:
    """DejaVu Sans, which comes with matplotlib."""
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    # The basic layout gives the same picture with and without libraqm.
    return ImageFont.truetype(str(path), px, layout_engine=ImageFont.Layout.BASIC)


def text_size(size: int) -> int:
    """The height of text in a picture that wide."""
    return min(15, max(10, round(size / 23)))


def clipped(text: str, room: float, px: int) -> str:
    """A text that fits, its end left out."""
    if typeface(px).getlength(text) <= room:
        return text
    while text and typeface(px).getlength(text + "…") > room:
        text = text[:-1]
    return text + "…" if text else ""


class Sheet:
    """A picture to draw on: shapes at twice its size, so that they come out smooth, then text."""

    def __init__(self, wide: int, high: int, under: np.ndarray | None = None) -> None:
        from PIL import Image, ImageDraw

        self.wide, self.high = int(wide), int(high)
        if under is not None:
            self.image = Image.fromarray(under).resize((2 * self.wide, 2 * self.high), 0)
        else:
            self.image = Image.new("RGB", (2 * self.wide, 2 * self.high), ink().ground)
        self.pen = ImageDraw.Draw(self.image)
        self.texts: list[tuple[float, float, str, Colour, int, str]] = []

    def line(self, points: Iterable[Any], colour: Colour, width: float = 1.5) -> None:
        """A line through points."""
        found = [(2 * float(x), 2 * float(y)) for x, y in points]
        if len(found) > 1:
            self.pen.line(found, fill=colour, width=max(1, round(2 * width)), joint="curve")

    def box(self, x: float, y: float, wide: float, high: float, colour: Colour) -> None:
        """A filled rectangle."""
        if wide > 0 and high > 0:
            self.pen.rectangle(
                [2 * x, 2 * y, max(2 * x, 2 * (x + wide) - 1), max(2 * y, 2 * (y + high) - 1)],
                fill=colour,
            )

    def frame(self, x: float, y: float, wide: float, high: float) -> None:
        """A thin outline."""
        self.pen.rectangle(
            [2 * x, 2 * y, 2 * (x + wide) - 1, 2 * (y + high) - 1], outline=ink().edge
        )

    def mark(self, shape: int, at: Any, r: float, colour: Colour) -> None:
        """A marker: circle, triangle, square, diamond, or cross."""
        x, y, r = 2 * float(at[0]), 2 * float(at[1]), 2 * r
        kind = shape % 5
        if kind == 0:
            self.pen.ellipse([x - r, y - r, x + r, y + r], fill=colour)
        elif kind == 4:
            for s in (-1, 1):
                self.pen.line([(x - r, y - s * r), (x + r, y + s * r)], fill=colour, width=3)
        else:
            corners = (
                [(0, -1.25), (1.15, 0.85), (-1.15, 0.85)],
                [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
                [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
            )[kind - 1]
            self.pen.polygon([(x + r * a, y + r * b) for a, b in corners], fill=colour)

    def text(self, x: float, y: float, words: str, colour: Colour, px: int, at: str) -> None:
        """Text whose point `at` (as Pillow's anchors) is at x, y."""
        if words:
            self.texts.append((x, y, words, colour, px, at))

    def done(self) -> np.ndarray:
        """The picture."""
        from PIL import ImageDraw

        small = self.image.reduce(2)
        pen = ImageDraw.Draw(small)
        for x, y, words, colour, px, at in self.texts:
            pen.text((round(x), round(y)), words, fill=colour, font=typeface(px), anchor=at)
        return np.array(small)


def caption(words: str, wide: int, px: int) -> np.ndarray:
    """One line of text as a picture."""
    sheet = Sheet(wide, px + 6)
    sheet.text(3, (px + 6) / 2, clipped(words, wide - 6, px), ink().dim, px, "lm")
    return sheet.done()


def note(words: str, size: int) -> np.ndarray:
    """A picture that says why there is nothing to see."""
    sheet, px = Sheet(size, size // 2), text_size(size)
    sheet.frame(0, 0, size, size // 2)
    sheet.text(size / 2, size / 4, clipped(words, size - 12, px), ink().dim, px, "mm")
    return sheet.done()


class Axes:
    """A plot on a sheet: a frame with round numbers at its sides, data coordinates inside."""

    def __init__(
        self, sheet: Sheet, x: tuple[float, float], y: tuple[float, float], size: int,
        top: int = 6, bottom: int = 0, numbered: bool = True,
    ) -> None:  # fmt: skip
        px = text_size(size)
        self.sheet, self.x, self.y = sheet, x, y
        labels = [short(v) for v in ticks(*y)] if numbered else []
        wide = max((typeface(px).getlength(t) for t in labels), default=0)
        self.left = 6 + (wide + 4 if numbered else 0)
        self.top = top
        self.right = sheet.wide - 8
        self.bottom = sheet.high - bottom - (px + 9 if numbered else 6)
        if not numbered:
            return
        for value in ticks(*y):
            _, at = self.at(x[0], value)
            sheet.line([(self.left, at), (self.right, at)], ink().raised, 0.5)
            sheet.text(self.left - 4, at, short(value), ink().dim, px, "rm")
        end = -1e9
        for value in ticks(*x):
            at, _ = self.at(value, y[0])
            half = typeface(px).getlength(short(value)) / 2
            at_text = min(max(at, self.left + half - 4), sheet.wide - half - 2)
            sheet.line([(at, self.bottom), (at, self.bottom + 3)], ink().edge, 0.5)
            if at_text - half > end + 6:
                sheet.text(at_text, self.bottom + 5, short(value), ink().dim, px, "mt")
                end = at_text + half
        sheet.line([(self.left, self.top), (self.left, self.bottom)], ink().edge, 0.5)
        sheet.line([(self.left, self.bottom), (self.right, self.bottom)], ink().edge, 0.5)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a point."""
        u = (x - self.x[0]) / (self.x[1] - self.x[0])
        v = (y - self.y[0]) / (self.y[1] - self.y[0])
        u, v = min(max(u, -9.0), 9.0), min(max(v, -9.0), 9.0)
        return self.left + u * (self.right - self.left), self.bottom - v * (self.bottom - self.top)


def legend_rows(names: Sequence[str], size: int, marked: float = 14) -> list[list[tuple[int, str]]]:
    """(index, text) of each entry of a legend, in as many rows as they need."""
    px, rows, x = text_size(size), [[]], 6.0  # type: tuple[int, list[list[tuple[int, str]]], float]
    for i, name in enumerate(names):
        name = clipped(name, size - 12 - marked, px)
        wide = marked + typeface(px).getlength(name) + 10
        if x + wide > size and rows[-1]:
            rows.append([])
            x = 6.0
        rows[-1].append((i, name))
        x += wide
    return [row for row in rows if row]


def legend(
    sheet: Sheet, rows: list[list[tuple[int, str]]], y: float, size: int,
    colours: Sequence[Colour], shapes: Sequence[int],
) -> None:  # fmt: skip
    """Draw a legend whose first row is at `y`."""
    px = text_size(size)
    for row in rows:
        x = 6.0
        for i, name in row:
            sheet.mark(shapes[i % len(shapes)], (x + 5, y + px / 2), 4, colours[i % len(colours)])
            sheet.text(x + 13, y + px / 2, name, ink().text, px, "lm")
            x += 14 + typeface(px).getlength(name) + 10
        y += px + 5


def named(names: Sequence[str] | None, count: int, word: str = "input") -> list[str]:
    """A name for each of `count` things."""
    known = list(names or ())
    return [known[i] if i < len(known) else f"{word} {i + 1}" for i in range(count)]
