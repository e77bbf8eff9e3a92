"""What is under a point of the canvas, and what is in a rectangle."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .boxes import TITLE, Box, Field, Pin
from .geometry import away, holds, inside, meet
from .scene import Link, Scene, Wire
from .view import Rect

FRAME_TITLE = 26
NEAR = 12.0  # pixels around a pin that are the pin's, at any zoom


@dataclass(frozen=True)
class Hit:
    """The uppermost thing at a point.

    `kind`: pin, field, title, node, reroute, wire, frame_title, frame_corner, frame or empty.
    """

    kind: str = "empty"
    node: str = ""  # the box, or the frame
    pin: Pin | None = None
    field: Field | None = None
    link: Link | None = None
    index: int = 0  # of the reroute point

    @property
    def port(self) -> str:
        """The port of the pin."""
        return self.pin.port if self.pin else ""

    @property
    def side(self) -> str:
        """The side of the pin: "in", "out", or ""."""
        return self.pin.side if self.pin else ""

    @property
    def setting(self) -> str:
        """The setting of the field."""
        return self.field.setting if self.field else ""


def at(scene: Scene, x: float, y: float, slack: float = NEAR, fields: bool = True) -> Hit:
    """What is at a canvas point; pins, wires and corners reach `slack` further than they look.

    Without `fields` (they are not drawn from afar) the node is hit.
    """
    boxes, wires = [], []
    for thing in scene.grid.near((x - slack, y - slack, 2 * slack, 2 * slack)):
        if isinstance(thing, Link):
            wires.append(scene.wires[thing])
        elif isinstance(thing, str):
            boxes.append(scene.boxes[thing])
    if len(boxes) > 1:
        boxes.sort(key=lambda b: -scene.rank[b.name])
    for box in boxes:  # from the uppermost down
        if hit := _in_box(box, x, y, slack, fields):
            return hit
    reach = slack * 0.75
    for w in wires:
        for i, (px, py) in enumerate(w.points):
            if abs(px - x) <= reach and abs(py - y) <= reach:
                return Hit("reroute", link=w.link, index=i)
    offs = [(off, w) for w in wires if (off := _off(w, x, y, reach / 1.5)) <= reach / 1.5]
    if offs:
        return Hit("wire", link=min(offs, key=lambda o: o[0])[1].link)
    return _in_frame(scene, x, y, slack)


def _off(drawn: Wire, x: float, y: float, reach: float) -> float:
    """How far a wire is, where it is within reach (a curve lies in the hull of its points)."""
    least = math.inf
    for curve in drawn.curves:
        xs, ys = [p[0] for p in curve], [p[1] for p in curve]
        if min(xs) - reach <= x <= max(xs) + reach and min(ys) - reach <= y <= max(ys) + reach:
            least = min(least, away(x, y, curve))
    return least


def _in_box(box: Box, x: float, y: float, slack: float, fields: bool) -> Hit | None:
    face, rx, ry = box.face, x - box.x, y - box.y
    within = inside(x, y, box.rect)
    reach = min(slack, face.w / 5) if within else slack  # from afar, a box is not all pins
    best, least = None, reach
    for pin in (*face.inputs, *face.outputs):
        off = max(abs(pin.x - rx), abs(pin.y - ry))
        if off < least or (off == least and best is None):
            best, least = pin, off
    if best:
        return Hit("pin", box.name, best)
    if not within:
        return None
    for field in face.fields if fields else ():
        if inside(rx, ry, field.rect):
            return Hit("field", box.name, field=field)
    return Hit("title" if ry <= TITLE else "node", box.name)


def _in_frame(scene: Scene, x: float, y: float, slack: float) -> Hit:
    for frame in reversed([*scene.frames.values()]):
        left, top, w, h = frame.rect
        if abs(left + w - x) <= slack and abs(top + h - y) <= slack:
            return Hit("frame_corner", frame.name)
        if inside(x, y, (left, top, w, min(h, FRAME_TITLE))):
            return Hit("frame_title", frame.name)
        if inside(x, y, frame.rect):
            return Hit("frame", frame.name)
    return Hit()


def in_rect(scene: Scene, rect: Rect) -> frozenset[str]:
    """The boxes that a rectangle touches, and the frames that lie in it."""
    near = scene.grid.near(rect)
    boxes = {t for t in near if isinstance(t, str) and meet(scene.boxes[t].rect, rect)}
    return frozenset(boxes | {n for n, f in scene.frames.items() if holds(rect, f.rect)})


def carried(scene: Scene, frame: str) -> set[str]:
    """What a frame takes along: the boxes and frames that lie in it."""
    outer = scene.frames[frame].rect
    boxes = {n for n, b in scene.boxes.items() if holds(outer, b.rect)}
    return boxes | {n for n, f in scene.frames.items() if n != frame and holds(outer, f.rect)}
