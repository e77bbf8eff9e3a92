"""Curves, rectangles, and a grid of cells that finds what is near a point without asking all."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import lru_cache

from .view import Rect

Point = tuple[float, float]
Bezier = tuple[Point, Point, Point, Point]
CELL = 256
STEPS = 16  # straight pieces of a curve for hit tests
BEND = 140.0  # how far a link that leads back to the left may swing out

_BERNSTEIN = [
    ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    for t in (i / STEPS for i in range(STEPS + 1))
]


def wire(points: list[Point]) -> tuple[Bezier, ...]:
    """Curves through some points that leave to the right and arrive from the left."""
    curves = []
    slopes = [(1.0, 0.0)]
    for (ax, ay), (bx, by) in zip(points, points[2:]):
        length = math.hypot(bx - ax, by - ay) or 1.0
        slopes.append(((bx - ax) / length, (by - ay) / length))
    slopes.append((1.0, 0.0))
    for i, ((ax, ay), (bx, by)) in enumerate(zip(points, points[1:])):
        if len(points) == 2:
            # Back to the left, a bend as long as the way would swing far out.
            bend = max(40.0, (bx - ax) / 2) if bx >= ax else min(40.0 + (ax - bx) / 4, BEND)
        else:
            bend = math.hypot(bx - ax, by - ay) / 3
        (ux, uy), (vx, vy) = slopes[i], slopes[i + 1]
        curves.append(
            ((ax, ay), (ax + bend * ux, ay + bend * uy), (bx - bend * vx, by - bend * vy), (bx, by))
        )
    return tuple(curves)


@lru_cache(maxsize=20_000)
def polyline(curve: Bezier) -> tuple[Point, ...]:
    """A curve as straight pieces."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = curve
    return tuple(
        (a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy)
        for a, b, c, d in _BERNSTEIN
    )


def dashes(curves: Iterable[Bezier], on: float, off: float) -> list[list[Point]]:
    """Curves as dashes and gaps of some lengths, each dash a few points of a line."""
    line = [p for curve in curves for p in _fine(curve)]
    found, dash, left, drawn = list[list[Point]](), line[:1], on, True
    for a, b in zip(line, line[1:]):
        length = math.dist(a, b)
        while length > left:
            t = left / length
            a = (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t)
            length -= left
            if drawn:
                found.append([*dash, a])
            dash, drawn = [a], not drawn
            left = on if drawn else off
        dash.append(b)
        left -= length
    return [*found, dash] if drawn and len(dash) > 1 else found


def _fine(curve: Bezier) -> Iterator[Point]:
    for i in range(49):
        t = i / 48
        u = 1 - t
        weights = (u * u * u, 3 * t * u * u, 3 * t * t * u, t * t * t)
        yield (
            sum(w * p[0] for w, p in zip(weights, curve)),
            sum(w * p[1] for w, p in zip(weights, curve)),
        )


def distance(x: float, y: float, a: Point, b: Point) -> float:
    """From a point to a straight piece."""
    ax, ay = a
    dx, dy = b[0] - ax, b[1] - ay
    square = dx * dx + dy * dy
    t = 0.0 if square == 0 else min(max(((x - ax) * dx + (y - ay) * dy) / square, 0.0), 1.0)
    return math.hypot(x - ax - t * dx, y - ay - t * dy)


def away(x: float, y: float, curve: Bezier) -> float:
    """From a point to a curve."""
    line = polyline(curve)
    return min(distance(x, y, a, b) for a, b in zip(line, line[1:]))


def crosses(a: Point, b: Point, curve: Bezier) -> bool:
    """Whether the straight line from a to b cuts a curve."""
    line = polyline(curve)
    return any(_cut(a, b, c, d) for c, d in zip(line, line[1:]))


def enters(rect: Rect, curve: Bezier) -> bool:
    """Whether a curve has a point in a rectangle, seen at the curve's own steps."""
    return any(inside(x, y, rect) for x, y in polyline(curve))


def _cut(a: Point, b: Point, c: Point, d: Point) -> bool:
    def turn(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    # A line through the very point where two pieces meet cuts one of them.
    across = (turn(a, b, c) < 0) != (turn(a, b, d) < 0)
    return across and (turn(c, d, a) < 0) != (turn(c, d, b) < 0)


def inside(x: float, y: float, rect: Rect, slack: float = 0.0) -> bool:
    """Whether a point is in a rectangle, or that near to it."""
    left, top, w, h = rect
    return left - slack <= x <= left + w + slack and top - slack <= y <= top + h + slack


def meet(a: Rect, b: Rect) -> bool:
    """Whether two rectangles have a point in common."""
    return (
        a[0] <= b[0] + b[2] and b[0] <= a[0] + a[2] and a[1] <= b[1] + b[3] and b[1] <= a[1] + a[3]
    )


def holds(outer: Rect, inner: Rect) -> bool:
    """Whether one rectangle lies in another."""
    x, y, w, h = inner
    return inside(x, y, outer) and inside(x + w, y + h, outer)


def around(rects: Iterable[Rect]) -> Rect | None:
    """The least rectangle that holds all, or None when there is none."""
    found = list(rects)
    if not found:
        return None
    x, y = min(r[0] for r in found), min(r[1] for r in found)
    return x, y, max(r[0] + r[2] for r in found) - x, max(r[1] + r[3] for r in found) - y


def between(ax: float, ay: float, bx: float, by: float) -> Rect:
    """The rectangle with two points as corners."""
    return min(ax, bx), min(ay, by), abs(bx - ax), abs(by - ay)


Cell = tuple[int, int]


def cells_of_rect(rect: Rect) -> Iterator[Cell]:
    """The cells that a rectangle touches."""
    x, y, w, h = rect
    for i in range(int(x // CELL), int((x + w) // CELL) + 1):
        for j in range(int(y // CELL), int((y + h) // CELL) + 1):
            yield i, j


def cells_of_curves(curves: Iterable[Bezier]) -> set[Cell]:
    """The cells that some curves touch."""
    found: set[Cell] = set()
    for curve in curves:
        line = polyline(curve)
        for a, b in zip(line, line[1:]):
            found.update(cells_of_rect(between(*a, *b)))
    return found


class Grid:
    """Which things touch which cell. `changed` gives another grid; this one stays."""

    def __init__(self, cells: Mapping[Cell, tuple[Hashable, ...]] | None = None) -> None:
        self.cells = dict(cells or {})

    def changed(
        self, gone: Iterable[tuple[Hashable, Iterable[Cell]]],
        new: Iterable[tuple[Hashable, Iterable[Cell]]],
    ) -> Grid:  # fmt: skip
        """Without some things, and with others."""
        grid = Grid(self.cells)
        cells = grid.cells
        for thing, where in gone:
            for cell in where:
                left = tuple(t for t in cells.get(cell, ()) if t != thing)
                if left:
                    cells[cell] = left
                else:
                    cells.pop(cell, None)
        fresh: dict[Cell, list[Hashable]] = {}
        for thing, where in new:
            for cell in where:
                fresh.setdefault(cell, []).append(thing)
        for cell, things in fresh.items():
            cells[cell] = (*cells.get(cell, ()), *things)
        return grid

    def near(self, rect: Rect) -> set[Hashable]:
        """The things in the cells of a rectangle."""
        x, y, w, h = rect
        if (w / CELL + 2) * (h / CELL + 2) > len(self.cells):
            return {
                t for (i, j), things in self.cells.items() for t in things
                if (i + 1) * CELL >= x and i * CELL <= x + w
                and (j + 1) * CELL >= y and j * CELL <= y + h
            }  # fmt: skip
        return {t for cell in cells_of_rect(rect) for t in self.cells.get(cell, ())}
