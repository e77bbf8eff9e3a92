"""The window onto the canvas: where it looks, how near, and the way between canvas and screen."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

NEAREST, FARTHEST = 4.0, 0.05  # zoom: screen pixels per canvas unit
LEAST = 0.002  # zoom of a view that shows all, however large
LEGIBLE = 0.36  # zoom from which on titles can be read
Rect = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class View:
    """`x, y` is the canvas point at the upper left corner of a screen of `width` × `height`."""

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    width: float = 1280.0
    height: float = 720.0

    def to_canvas(self, x: float, y: float) -> tuple[float, float]:
        """The canvas point under a screen point."""
        return self.x + x / self.zoom, self.y + y / self.zoom

    def to_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a canvas point is on the screen."""
        return (x - self.x) * self.zoom, (y - self.y) * self.zoom

    @property
    def rect(self) -> Rect:
        """The part of the canvas that is seen."""
        return self.x, self.y, self.width / self.zoom, self.height / self.zoom

    def resized(self, width: float, height: float) -> View:
        """The same upper left corner and zoom on a screen of another size."""
        return replace(self, width=max(width, 1.0), height=max(height, 1.0))

    def panned(self, dx: float, dy: float) -> View:
        """The canvas pulled along by some screen pixels."""
        return replace(self, x=self.x - dx / self.zoom, y=self.y - dy / self.zoom)

    def zoomed(self, factor: float, x: float, y: float) -> View:
        """Nearer by a factor, within limits; what is under the screen point `x, y` stays there."""
        zoom = min(max(self.zoom * factor, min(FARTHEST, self.zoom)), NEAREST)
        cx, cy = self.to_canvas(x, y)
        return replace(self, x=cx - x / zoom, y=cy - y / zoom, zoom=zoom)

    def centred(self, x: float, y: float) -> View:
        """With a canvas point in the middle of the screen."""
        _, _, w, h = self.rect
        return replace(self, x=x - w / 2, y=y - h / 2)

    def fit(self, rect: Rect, margin: float = 40.0, nearest: float = 1.0) -> View:
        """All of a canvas rectangle in sight, `margin` pixels from the edge, not above `nearest`.

        What no allowed zoom can hold is centred.
        """
        x, y, w, h = rect
        room_x, room_y = max(self.width - 2 * margin, 1.0), max(self.height - 2 * margin, 1.0)
        zoom = min(room_x / max(w, 1.0), room_y / max(h, 1.0), nearest)
        zoom = min(max(zoom, LEAST), NEAREST)
        return replace(self, zoom=zoom).centred(x + w / 2, y + h / 2)

    def beginning(self, rect: Rect, boxes: Sequence[Rect], margin: float = 40.0) -> View:
        """All of a canvas rectangle, or what is at its left, so near that titles can be read: where
        the left is too high, there where most boxes are.
        """
        whole = self.fit(rect, margin)
        if whole.zoom >= LEGIBLE:
            return whole
        near = replace(self, zoom=LEGIBLE)
        x, y, w, h = rect
        gap = margin / LEGIBLE
        _, _, wide, high = near.rect
        left = x + w / 2 - wide / 2 if w + 2 * gap <= wide else x - gap
        top = y + h / 2 - high / 2
        if h + 2 * gap > high:
            room = high - 2 * gap
            inside = [b for b in boxes if b[0] + b[2] <= left + wide]
            tops, ends = sorted(b[1] for b in inside), sorted(b[1] + b[3] for b in inside)
            counts = {t: bisect_right(ends, t + room) - bisect_left(tops, t) for t in tops}
            first = max(counts, key=counts.__getitem__, default=y)  # the uppermost of equals
            last = max((e for e in ends if e <= first + room), default=first)
            top = (first + last - high) / 2
        return replace(near, x=left, y=top)
