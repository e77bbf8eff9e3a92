"""Views that show numbers: curves, histograms, scatters, confusions, races, tables."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .drawing import (
    Axes,
    Sheet,
    clipped,
    diverging,
    enlarged,
    legend,
    legend_rows,
    mapped,
    named,
    note,
    numbers,
    sequential,
    short,
    span,
    stacked,
    text_size,
    typeface,
)
from .extent import calm, extent, leaves
from .ink import DARK, Colour, ink, themed
from .surfaces import beale, long_valley, saddle

POINTS = 2048  # of a curve, beyond which it is thinned
VALUES = 1_000_000  # of a histogram, beyond which it is thinned
LINES = 8


def thinned(x: Tensor, most: int) -> Tensor:
    """Every k-th value of a flat tensor, `most` at the most."""
    flat = x.detach().reshape(-1)
    return flat[:: max(1, -(-len(flat) // most))]


def scalar(
    value: float, memory: dict[int, float], recorded: Any, step: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The steps and values of a number so far: as training recorded them, else of all ticks."""
    if recorded and recorded[0]:
        at, seen = recorded
    else:
        memory[max(memory, default=-1) + 1 if step is None else step] = value
        if len(memory) > POINTS:
            for old in [*memory][1:-1:2]:
                del memory[old]
        at, seen = [*memory], [*memory.values()]
    return np.asarray(at, np.float64), np.asarray(seen, np.float32)


@themed
def curve(
    x: list[Tensor], log: bool, size: int, names: list[str] | None = None,
    memory: dict[str, Any] | None = None, past: Any = None, step: int | None = None,
) -> Any:  # fmt: skip
    """Rows of numbers as lines; a scalar as the line of its values over the steps so far."""
    memory = {} if memory is None else memory
    found: list[tuple[str, np.ndarray, np.ndarray]] = []
    for values, name in zip(x, named(names, len(x)), strict=True):
        if values.numel() == 1:
            recorded = (past or {}).get(name)
            found.append(
                (name, *scalar(float(values), memory.setdefault(name, {}), recorded, step))
            )
            continue
        if not values.numel():
            continue
        table = values.reshape(-1, values.shape[-1] if values.ndim else 1)
        for k, row in enumerate(table[:LINES]):
            own, shown = name if len(table) == 1 else f"{name} {k}", numbers(thinned(row, POINTS))
            found.append((own, np.arange(len(shown), dtype=np.float64), shown))
    found = [line for line in found if line[2].size][:LINES]
    if not found:
        return note("no numbers", size)
    lines, places = [(n, v) for n, _, v in found], [at for _, at, _ in found]
    if log:
        with np.errstate(all="ignore"):
            lines = [(n, np.log10(np.where(v > 0, v, np.nan))) for n, v in lines]
    rows_of = legend_rows([n for n, _ in lines], size) if len(lines) > 1 else []
    under = len(rows_of) * (text_size(size) + 5)
    sheet = Sheet(size, round(size * 0.66) + under)
    seen = extent([calm(v.tolist()) for _, v in lines])
    high = span(np.asarray(seen if seen else ()))
    edge = 0.06 * (high[1] - high[0])
    first, last_at = min(at[0] for at in places), max(at[-1] for at in places)
    axes = Axes(sheet, (first, max(first + 1, last_at)), (high[0] - edge, high[1] + edge), size,
                bottom=under)  # fmt: skip
    for k, (_, series) in enumerate(lines):
        for part in within([*zip(places[k].tolist(), series.tolist(), strict=True)], *axes.y):
            points = [axes.at(*p) for p in part]
            sheet.line(points, ink().hues[k], 1.5)
            if len(points) == 1:
                sheet.mark(0, points[0], 2.5, ink().hues[k])
        if gone := leaves(series.tolist(), *axes.y):
            leaving(sheet, axes, float(places[k][gone[0]]), gone[1], ink().hues[k])
    legend(sheet, rows_of, sheet.high - under, size, ink().hues, [2])
    if log:
        sheet.text(axes.left + 4, axes.top, "log₁₀", ink().dim, text_size(size), "lt")
    last = {n: float(v[-1]) if math.isfinite(v[-1]) else None for n, v in lines}
    return sheet.done(), {"last": last}


Point = tuple[float, float]


def within(points: Sequence[Point], low: float, high: float) -> list[list[Point]]:
    """The parts of a line of points between two heights, cut where it crosses them; a value that is
    not finite is a gap."""
    parts: list[list[Point]] = []
    for i, (x, y) in enumerate(points):
        if low <= y <= high:
            alone = not any(math.isfinite(p[1]) for p in (*points[max(i - 1, 0) : i],
                                                          *points[i + 1 : i + 2]))  # fmt: skip
            if alone:
                parts.append([(x, y)])
        if i and (cut := between(points[i - 1], (x, y), low, high)):
            if parts and parts[-1][-1] == cut[0]:
                parts[-1].append(cut[1])
            else:
                parts.append([*cut])
    return parts


def between(a: Point, b: Point, low: float, high: float) -> tuple[Point, Point] | None:
    """The part of a segment between two heights, or None."""
    if not (math.isfinite(a[1]) and math.isfinite(b[1])):
        return None
    if max(a[1], b[1]) < low or min(a[1], b[1]) > high:
        return None

    def end(p: Point) -> Point:
        edge = min(max(p[1], low), high)
        if edge == p[1]:
            return p
        return a[0] + (edge - a[1]) / (b[1] - a[1]) * (b[0] - a[0]), edge

    return end(a), end(b)


def leaving(sheet: Sheet, axes: Axes, x: float, above: bool, colour: Colour) -> None:
    """A mark at the border of a plot: a line goes on beyond it."""
    at, _ = axes.at(x, axes.y[0])
    tip, foot = (axes.top, axes.top + 6) if above else (axes.bottom, axes.bottom - 6)
    sheet.pen.polygon([(2 * at + 2 * dx, 2 * y) for dx, y in ((0, tip), (5, foot), (-5, foot))],
                      fill=colour)  # fmt: skip


@themed
def histogram(
    x: list[Tensor], bins: int, log: bool, size: int, names: list[str] | None = None
) -> Any:
    """How often values occur; of several inputs the outlines."""
    found = [numbers(thinned(v, VALUES)) for v in x[:LINES]]
    finite = [v[np.isfinite(v)] for v in found]
    known = named(names, len(found))
    if not sum(v.size for v in finite):
        return note("no finite numbers", size)
    low, high = span(np.concatenate(finite))
    counts = [np.histogram(v, bins, (low, high))[0] / max(1, v.size) for v in finite]
    shown = [np.log10(1 + 1000 * c) for c in counts] if log else counts
    about = {
        name: {
            "mean": float(v.mean(dtype=np.float64)) if v.size else None,
            "std": float(v.std(dtype=np.float64)) if v.size else None,
            "not finite": int(f.size - v.size),
        }
        for name, v, f in zip(known, finite, found, strict=True)
    }
    rows = legend_rows(known, size) if len(found) > 1 else []
    px = text_size(size)
    under = px + 6 + (len(rows) or 1) * (px + 5)
    sheet = Sheet(size, round(size * 0.6) + under)
    top = max(float(c.max()) for c in shown) * 1.05 or 1.0
    axes = Axes(sheet, (low, high), (0, top), size, bottom=under, numbered=False)
    sheet.line([(axes.left, axes.bottom), (axes.right, axes.bottom)], ink().edge, 0.5)
    width = (high - low) / bins
    for k, c in enumerate(shown):
        steps: list[tuple[float, float]] = [axes.at(low, 0)]
        for i, height in enumerate(c):
            (x0, y0), (x1, _) = axes.at(low + i * width, height), axes.at(low + (i + 1) * width, 0)
            if len(shown) == 1:
                sheet.box(x0, y0, max(0.5, x1 - x0 - 0.5), axes.bottom - y0, ink().accent)
            steps += [(x0, y0), (x1, y0)]
        if len(shown) > 1:
            sheet.line([*steps, axes.at(high, 0)], ink().hues[k], 1.25)
    sheet.text(axes.left, axes.bottom + 4, short(low), ink().dim, px, "lt")
    sheet.text(axes.right, axes.bottom + 4, short(high), ink().dim, px, "rt")
    below = axes.bottom + px + 10
    if rows:
        legend(sheet, rows, below, size, ink().hues, [2])
    else:
        only = next(iter(about.values()))
        words = f"mean {short(only['mean'] or 0)}   std {short(only['std'] or 0)}"
        bad = only["not finite"]
        words += f"   {bad} not finite" if bad else ""
        sheet.text(6, below, words, ink().text, px, "lt")
    return sheet.done(), about


# Scatter -----------------------------------------------------------------------------------------


def principal_directions(x: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
    """The two directions of largest variance of rows, 2 D, orthonormal.

    Signs are such that the largest entry is positive; with axes of `before` they are turned and
    mirrored within their plane to lie as close to these as they can (Schönemann 1966), so that a
    picture made of them does not jump.
    """
    from scipy.linalg import eigh

    centred = x.astype(np.float64) - x.mean(0)
    n, d = centred.shape
    if d <= n:
        values, vectors = eigh(centred.T @ centred, subset_by_index=[max(0, d - 2), d - 1])
        axes = vectors.T[::-1]
    else:
        values, vectors = eigh(centred @ centred.T, subset_by_index=[max(0, n - 2), n - 1])
        axes = (centred.T @ vectors).T[::-1]
        lengths = np.linalg.norm(axes, axis=1, keepdims=True)
        axes = np.where(lengths > 1e-9 * max(1e-300, lengths.max()), axes / (lengths + 1e-300), 0)
    if len(axes) < 2:
        axes = np.concatenate([axes, np.zeros((2 - len(axes), d))])
    if before is not None and before.shape == axes.shape:
        u, _, vt = np.linalg.svd(before @ axes.T)
        turned: np.ndarray = u @ vt @ axes
        return turned
    largest = axes[np.arange(2), np.abs(axes).argmax(1)]
    signed: np.ndarray = axes * np.where(largest < 0, -1, 1)[:, None]
    return signed


def projected(rows: np.ndarray, how: str, memory: dict[str, Any]) -> tuple[np.ndarray, float]:
    """Rows N D as N 2, and the share of their variance that is seen (NaN for t-SNE)."""
    if rows.shape[1] == 1:
        return np.concatenate([rows, np.zeros_like(rows)], 1), 1.0
    if how == "auto":
        how = "none" if rows.shape[1] == 2 else "pca"
    if how == "none" or len(rows) < 2:
        return rows[:, :2], 1.0
    scale = float(np.abs(rows).max()) or 1.0  # so that squares do not overflow
    axes = principal_directions(rows / scale, memory.get("axes"))
    memory["axes"] = axes
    centred = rows - rows.mean(0, dtype=np.float64)
    flat: np.ndarray = centred @ axes.T
    if how == "t-sne" and len(rows) > 4:
        return neighbours(rows / scale, flat, memory), math.nan
    total = float(np.square(centred).sum())
    return flat, float(np.square(flat).sum()) / total if total > 0 else 1.0


def neighbours(rows: np.ndarray, flat: np.ndarray, memory: dict[str, Any]) -> np.ndarray:
    """t-SNE: van der Maaten & Hinton, JMLR 2008; it goes on from where it stood last."""
    from sklearn.manifold import TSNE

    start = memory.get("places")
    if start is None or start.shape != flat.shape:
        start = flat / (flat.std() or 1.0) * 1e-2
    tsne = TSNE(
        2, perplexity=min(30.0, (len(rows) - 1) / 3), init=start.astype(np.float32), max_iter=400,
        early_exaggeration=4.0, random_state=0, n_jobs=1,
    )  # fmt: skip
    found: np.ndarray = tsne.fit_transform(rows)
    if not np.isfinite(found).all():
        return flat
    memory["places"] = found / (found.std() or 1.0) * 1e-2
    return found


@themed
def scatter(
    points: list[Tensor], labels: list[Tensor], projection: str, most: int, size: int,
    names: list[str] | None = None, memory: dict[str, Any] | None = None,
) -> Any:  # fmt: skip
    """Examples as points of the plane; each input has its shape of marker, each label a colour."""
    memory = {} if memory is None else memory
    domains, classes, rows = [], [], []
    for i, x in enumerate(points):
        x = x[:most]
        flat = numbers(x.reshape(len(x), math.prod(x.shape[1:])))
        whole = np.isfinite(flat).all(1)
        rows.append(flat[whole])
        domains.append(np.full(int(whole.sum()), i))
        own = np.full(len(whole), -1)
        if i < len(labels) and len(labels[i]) >= len(whole):
            own = labels[i][: len(whole)].detach().cpu().numpy().astype(int)
        classes.append(own[whole])
    widths = {r.shape[1] for r in rows if r.size}
    if not widths:
        return note("no finite points", size)
    if len(widths) > 1:
        return note("points of different lengths", size)
    data = np.concatenate([r for r in rows if r.size])
    domain, label = np.concatenate(domains), np.concatenate(classes)
    at, share = projected(data, projection, memory)
    told = sorted(set(label[label >= 0].tolist()))
    known = named(names, len(points))
    px = text_size(size)
    by_domain = legend_rows(known, size) if len(points) > 1 else []
    by_class = legend_rows([str(c) for c in told], size) if 1 < len(told) <= 20 else []
    under = (len(by_domain) + len(by_class)) * (px + 5) + 4
    sheet = Sheet(size, size + under)
    (x0, x1), (y0, y1) = span(at[:, 0]), span(at[:, 1])
    dx, dy = 0.04 * (x1 - x0), 0.04 * (y1 - y0)
    axes = Axes(sheet, (x0 - dx, x1 + dx), (y0 - dy, y1 + dy), size, bottom=under, numbered=False)
    sheet.frame(axes.left - 4, axes.top - 4, axes.right - axes.left + 8,
                axes.bottom - axes.top + 8)  # fmt: skip
    radius = max(1.6, min(4.0, size / 100 * math.sqrt(200 / max(40, len(at)))))
    # Domains interleaved, so that none hides the other.
    order = np.argsort(np.concatenate([np.linspace(0, 1, len(r)) for r in rows]), kind="stable")
    for i in order:
        hue = ink().hues[(label[i] if label[i] >= 0 else domain[i]) % len(ink().hues)]
        sheet.mark(int(domain[i]), axes.at(float(at[i, 0]), float(at[i, 1])), radius, hue)
    y = sheet.high - under + 3
    plain = [ink().text] if told else ink().hues
    legend(sheet, by_domain, y, size, plain, range(5))
    y += len(by_domain) * (px + 5)
    legend(sheet, by_class, y, size, [ink().hues[c % len(ink().hues)] for c in told], [2])
    about = {"shown": len(at), "dropped": int(sum(len(p[:most]) for p in points) - len(at))}
    return sheet.done(), about | ({"variance": share} if math.isfinite(share) else {})


# Confusion ---------------------------------------------------------------------------------------


def confusion_counts(logits: Tensor, labels: Tensor | None) -> np.ndarray:
    """Counts of (label, predicted), K K: counted, or given as they are."""
    if labels is None:
        return np.where(np.isfinite(x := numbers(logits)), x, 0)
    k = logits.shape[-1]
    finite = torch.isfinite(logits).all(-1) & (labels >= 0) & (labels < k)
    if not k or not bool(finite.any()):
        return np.zeros((k, k), np.float32)
    pairs = (labels * k + logits.argmax(-1))[finite]
    return numbers(torch.bincount(pairs, minlength=k * k).view(k, k))


@themed
def confusion_map(logits: Tensor, labels: Tensor | None, classes: str, size: int) -> Any:
    """A heat map with its numbers: a row for each label, a column for each prediction."""
    counts = confusion_counts(logits, labels)
    k = len(counts)
    if not k:
        return note("no classes", size)
    total = float(counts.sum())
    right = float(np.trace(counts)) / total if total > 0 else 0.0
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1e-12)  # of each label
    px = text_size(size)
    words = [c.strip() for c in classes.split(",")] if classes else []
    words = named(words, k, "") if words else [str(i) for i in range(k)]
    spare = min(size * 0.25, max(typeface(px).getlength(w) for w in words) + 8)
    left, top = (spare if k <= 40 else 6), px + 8
    cell = (size - left - 4) / k
    sheet = Sheet(size, round(top + cell * k + px + 12))
    if cell >= 3:
        colours = mapped(shares, 0, 1, sequential()).tolist()
        for i in range(k):
            for j in range(k):
                share = shares[i, j]
                fill = tuple(colours[i][j]) if counts[i, j] else ink().raised
                sheet.box(left + j * cell, top + i * cell, cell - 1, cell - 1, fill)
                text = short(float(counts[i, j]))
                if counts[i, j] and typeface(px).getlength(text) <= cell - 1 and cell > px:
                    sheet.text(left + (j + 0.5) * cell, top + (i + 0.5) * cell, text,
                               DARK.ground if share > 0.6 else DARK.text, px, "mm")  # fmt: skip
    else:
        from PIL import Image

        side = round(cell * k)
        picture = enlarged(mapped(np.sqrt(shares), 0, 1, sequential()), side, side)
        sheet.image.paste(Image.fromarray(picture).resize((2 * side, 2 * side)),
                          (round(2 * left), round(2 * top)))  # fmt: skip
    if k <= 40 and cell > 6:
        every = max(1, math.ceil((px + 2) / cell))
        for i in range(0, k, every):
            word = clipped(words[i], left - 8, px)
            sheet.text(left - 5, top + (i + 0.5) * cell, word, ink().dim, px, "rm")
        widest = max(typeface(px).getlength(w) for w in words)
        every = max(1, math.ceil((min(widest, cell) + 3) / cell)) if widest < cell * 3 else 1
        for j in range(0, k, every):
            word = clipped(words[j], cell * every - 2, px)
            sheet.text(left + (j + 0.5) * cell, top - 4, word, ink().dim, px, "mb")
    said = clipped("row: label, column: predicted", size - 62, px)
    sheet.text(6, sheet.high - 4, said, ink().dim, px, "lb")
    sheet.text(size - 5, sheet.high - 4, f"{100 * right:.1f} %", ink().text, px, "rb")
    return sheet.done(), {"accuracy": right, "examples": int(total)}


# Races -------------------------------------------------------------------------------------------


# Name: height, the window in x and y, the minimum if there is one, contours by logarithm.
SURFACES: dict[str, tuple[Any, tuple[float, float], tuple[float, float], Any, bool]] = {
    "beale": (beale, (-4.5, 4.5), (-4.5, 4.5), (3.0, 0.5), True),
    "saddle": (saddle, (-1.5, 1.5), (-1.0, 1.0), None, False),
    "long valley": (long_valley, (-4.5, 4.5), (-1.5, 1.5), (0.0, 0.0), True),
}  # fmt: skip


class Land(NamedTuple):
    """A surface to race on."""

    height: Callable[[Any, Any], Any]
    across: tuple[float, float]
    up: tuple[float, float]
    lowest: tuple[float, float] | None
    log: bool


def measured(heights: Tensor, reach: float) -> Land:
    """The surface between heights on a square grid over ±reach, from the lowest y."""
    side = math.isqrt(heights.numel())
    f = np.nan_to_num(numbers(heights.reshape(side, side)).astype(np.float64)).clip(-1e9, 1e9)
    row, column = divmod(int(f.argmin()), side)
    at = np.linspace(-reach, reach, side)

    def height(x: Any, y: Any) -> Any:
        """Between four heights, bilinearly; beyond the grid as at its edge."""
        x, y = np.broadcast_arrays(x, y)
        u = np.clip((x + reach) / (2 * reach) * (side - 1), 0, side - 1)
        v = np.clip((y + reach) / (2 * reach) * (side - 1), 0, side - 1)
        i, j = np.minimum(u.astype(int), side - 2), np.minimum(v.astype(int), side - 2)
        u, v = u - i, v - j
        low = f[j, i] * (1 - u) + f[j, i + 1] * u
        return low * (1 - v) + (f[j + 1, i] * (1 - u) + f[j + 1, i + 1] * u) * v

    window = (-reach, reach)
    return Land(lambda x, y: height(x, y) - f.min(), window, window, (at[column], at[row]), True)


def terrain(land: Land, wide: int, high: int) -> np.ndarray:
    """The bands of height of a surface, as a picture near the ground."""
    x = np.linspace(*land.across, wide)[None]
    y = np.linspace(*land.up[::-1], high)[:, None]
    f = land.height(x, y) + 0 * x * y
    f = np.log10(f + 1e-3) if land.log else f
    bands = 14
    low, top = f.min(), f.max()
    level = np.floor((f - low) / max(top - low, 1e-12) * bands * 0.999)
    picture = mapped(level / bands, -0.35, 1.25, sequential()).astype(np.float32) * 0.52
    picture += 0.0 if ink().ground < ink().text else 0.48 * 255
    edge = np.zeros(f.shape, bool)
    edge[1:] |= level[1:] != level[:-1]
    edge[:, 1:] |= level[:, 1:] != level[:, :-1]
    picture[edge] = picture[edge] * 0.6 + 45
    return picture.clip(0, 255).astype(np.uint8)


Trails = dict[int, list[tuple[float, float]]]
FAR = 1e3  # from the origin: who is there does not come back


def follow(
    points: list[Tensor], heights: Tensor | None, memory: dict[str, Any]
) -> tuple[Trails, list[int]]:
    """The trails of all points with their places of now, and which have none: they diverged."""
    places: list[tuple[float, float]] = []
    for x in points:
        places += [tuple(p) for p in numbers(x.reshape(-1, 2))[: LINES + 2].tolist()]
    trails: Trails = memory.setdefault("trails", {})
    for i, place in enumerate(places):
        trail = trails.setdefault(i, [])
        if all(map(math.isfinite, place)) and max(map(abs, place)) <= FAR:
            if not trail or trail[-1] != place:
                trail.append(place)
            if len(trail) > POINTS:
                del trail[1:-1:2]
    return trails, [i for i, p in enumerate(places) if not trails[i] or trails[i][-1] != p]


@themed
def contour_race(
    points: list[Tensor], heights: Tensor | None, surface: str, size: int, reach: float = 4.0,
    names: list[str] | None = None, memory: dict[str, Any] | None = None,
) -> Any:  # fmt: skip
    """A surface from above, and on it each point with the trail of its places so far."""
    memory = {} if memory is None else memory
    land = Land(*SURFACES[surface]) if heights is None else measured(heights, reach)
    key = f"{surface} {size} {ink().ground}"
    high = round(size * 0.75)
    if key not in memory or heights is not None:
        memory[key] = terrain(land, size, high)
    trails, gone = follow(points, heights, memory)
    known = named(names, len(trails), "point")
    lost = [known[i] for i in gone]
    values = {known[i]: float(land.height(*t[-1])) for i, t in trails.items() if i not in gone}
    px = text_size(size)
    rows = legend_rows([f"{n} (diverged)" if n in lost else n for n in known], size)
    under = len(rows) * (px + 5) + 6
    sheet = Sheet(size, high, memory[key])
    axes = Axes(sheet, land.across, land.up, size, numbered=False)
    axes.left, axes.right, axes.top, axes.bottom = 0, size, 0, high
    if land.lowest:
        sheet.mark(4, axes.at(*land.lowest), 4, ink().text)
    for i, trail in trails.items():
        sheet.line([axes.at(*p) for p in trail], ink().hues[i % len(ink().hues)], 1.75)
    for i, trail in ((i, t) for i, t in trails.items() if t):
        sheet.mark(0, axes.at(*trail[-1]), 5.5, ink().ground)
        sheet.mark(0, axes.at(*trail[-1]), 4, ink().hues[i % len(ink().hues)])
    below = Sheet(size, max(1, under))
    legend(below, rows, 5, size, ink().hues, [0])
    return stacked([sheet.done(), below.done()]), {"height": values, "diverged": lost}


@themed
def decision_surface(
    logits: Tensor, points: list[Tensor], reach: float, most: int, size: int,
    names: list[str] | None = None, memory: dict[str, Any] | None = None,
) -> Any:  # fmt: skip
    """σ(logits) − ½ over a square of the plane, and points upon it."""
    side = math.isqrt(len(logits))
    with np.errstate(all="ignore"):
        said = 1 / (1 + np.exp(-numbers(logits).reshape(side, side).clip(-50, 50))) - 0.5
    ground = mapped(said, -0.8, 0.8, diverging())  # pale, so that points are seen
    high = cell = size
    sheet = Sheet(size, high, enlarged(ground, cell, cell) if side else None)
    axes = Axes(sheet, (-reach, reach), (-reach, reach), size, numbered=False)
    axes.left, axes.right, axes.top, axes.bottom = 0, size, 0, high
    rows = [numbers(x.reshape(-1, 2)[:most]) for x in points[:LINES]]
    hues = [ink().text, *ink().hues[2:]]
    for places, hue in zip(rows, hues):
        for place in places[np.isfinite(places).all(1)]:
            if np.abs(place).max() <= reach:
                sheet.mark(0, axes.at(*map(float, place)), max(1.2, size / 170), hue)
    known = legend_rows(named(names, len(rows), "points"), size) if rows else []
    below = Sheet(size, len(known) * (text_size(size) + 5) + 6)
    legend(below, known, 5, size, hues, [0])
    real = float((said > 0).mean()) if said.size else 0.0
    return stacked([sheet.done(), below.done()]), {"real": real}


# Tables ------------------------------------------------------------------------------------------


def table_rows(
    values: list[Tensor], names: list[str], top: int, example: int, classes: str
) -> list[tuple[str, str, float]]:
    """Name, text and, for a bar, a share of 1 (NaN for none) of each row."""
    words = [c.strip() for c in classes.split(",")] if classes else []
    found: list[tuple[str, str, float]] = []
    for x, name in zip(values, names, strict=True):
        if top and x.ndim == 2 and len(x) > example:
            row = x[example].detach().float().cpu()
            given = bool((row >= 0).all()) and abs(float(row.sum()) - 1) < 1e-3
            p = torch.nan_to_num(row if given else row.softmax(0))
            best = p.topk(min(top, len(p)))
            for share, k in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                word = words[k] if k < len(words) else f"{name} {k}"
                found.append((word, f"{100 * share:.1f} %", share))
        elif x.numel() == 1:
            found.append((name, short(float(x)), math.nan))
        elif not x.numel():
            found.append((name, "no numbers", math.nan))
        elif x.is_floating_point():
            flat = numbers(thinned(x, VALUES))
            some = flat[np.isfinite(flat)].astype(np.float64)
            text = f"{short(float(some.mean()))} ± {short(float(some.std()))}" if some.size else "–"
            bad = flat.size - some.size
            found.append((name, text + (f", {bad} not finite" if bad else ""), math.nan))
        else:
            first = " ".join(map(str, x.reshape(-1)[:12].tolist()))
            found.append((name, first + (" …" if x.numel() > 12 else ""), math.nan))
    return found


@themed
def text_table(
    values: list[Tensor], top: int, example: int, classes: str, size: int,
    names: list[str] | None = None,
) -> Any:  # fmt: skip
    """Rows of a name and a number; classes with a bar of their probability."""
    rows = table_rows(values, named(names, len(values)), top, example, classes)[:40]
    if not rows:
        return note("no numbers", size)
    px = text_size(size) + 1
    line = px + 9
    sheet = Sheet(size, line * len(rows) + 4)
    for i, (name, text, share) in enumerate(rows):
        y = 2 + i * line
        if i:
            sheet.line([(6, y), (size - 6, y)], ink().raised, 0.5)
        wide = typeface(px).getlength(text)
        if math.isfinite(share):
            sheet.box(6, y + line - 4, (size - 12) * share, 2, ink().accent)
        text = clipped(text, size * 0.62, px)
        sheet.text(size - 7, y + line / 2 - 1, text, ink().text, px, "rm")
        room = size - 24 - min(wide, size * 0.62)
        sheet.text(7, y + line / 2 - 1, clipped(name, room, px), ink().dim, px, "lm")
    return sheet.done(), {"rows": [[n, t] for n, t, _ in rows]}


def scores(past: Mapping[str, Any]) -> tuple[list[str], list[str], dict[tuple[str, str], float]]:
    """Groups, their metrics, and the last value of each that was recorded."""
    found = {}
    for name, (_, values) in past.items():
        group, _, metric = name.rpartition(".")
        if group and values:
            found[group, metric] = float(values[-1])
    return [*dict.fromkeys(g for g, _ in found)], [*dict.fromkeys(m for _, m in found)], found


@themed
def scoreboard(size: int, past: Mapping[str, Any] | None = None) -> Any:
    """Groups as rows, metrics as columns."""
    groups, metrics, found = scores(past or {})
    if not found:
        return note("nothing is measured yet", size)
    px = text_size(size)
    face = typeface(px)
    first = min(size * 0.3, max(face.getlength(g) for g in groups) + 14)
    wide = (size - first) / len(metrics)
    heads = [split_to(m.replace("_", " "), wide - 6, px) for m in metrics]
    line, top = px + 8, max(map(len, heads)) * (px + 3) + 8
    sheet = Sheet(size, round(top + line * len(groups) + 4))
    for column, words in enumerate(heads):
        for row, word in enumerate(words):
            x, y = first + wide * (column + 1) - 4, 6 + row * (px + 3)
            sheet.text(x, y, word, ink().dim, px, "rt")
    for row, group in enumerate(groups):
        y = top + line * row
        sheet.line([(6, y), (size - 6, y)], ink().raised, 0.5)
        sheet.text(7, y + line / 2, clipped(group, first - 10, px), ink().text, px, "lm")
        for column, metric in enumerate(metrics):
            if (group, metric) in found:
                text = clipped(short(found[group, metric]), wide - 4, px)
                x = first + wide * (column + 1) - 4
                sheet.text(x, y + line / 2, text, ink().text, px, "rm")
    return sheet.done(), {"rows": [[g, m, v] for (g, m), v in found.items()]}


def split_to(text: str, room: float, px: int) -> list[str]:
    """Words in lines that are not wider than `room`; a longer word is cut."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and typeface(px).getlength(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return [clipped(line, room, px) for line in lines]
