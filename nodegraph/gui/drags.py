"""What a mouse button held down can do, each a small state: `move`, then `drop` or nothing.

A state shows what it would do as a preview and changes the session in `drop` alone, so that Escape
has nothing to take back and one gesture is one step of the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from .. import edits, layout, wiring
from ..edits import EditError
from ..graph import Graph
from ..layout import FRAME, OUT
from ..scope import Scope
from . import hits
from .geometry import Point, away, between, crosses, enters
from .scene import Link, Scene
from .view import Rect

if TYPE_CHECKING:
    from .gestures import Gestures

GRID = 10
ALIGN = 6.0  # pixels within which edges of boxes attract each other
SMALLEST = 60  # side of a frame


class Cursor(NamedTuple):
    """Where the mouse is on the screen and on the canvas, and the keys held down."""

    x: float
    y: float
    cx: float
    cy: float
    mods: frozenset[str]


class Drag:
    """Pulls the canvas along. The other states are like it."""

    def __init__(self, g: Gestures, start: Cursor, hit: hits.Hit) -> None:
        self.start, self.hit, self.last = start, hit, start

    def move(self, g: Gestures, at: Cursor) -> None:
        """The mouse is elsewhere."""
        g.view = g.view.panned(at.x - self.last.x, at.y - self.last.y)
        self.last = at

    def drop(self, g: Gestures, at: Cursor) -> None:
        """The button is released."""


class Select(Drag):
    """Draws a rectangle; what it touches is selected."""

    def move(self, g: Gestures, at: Cursor) -> None:
        """The rectangle reaches to the mouse."""
        g.overlay.box = between(self.start.cx, self.start.cy, at.cx, at.cy)
        g.overlay.boxed = hits.in_rect(g.scene, g.overlay.box)

    def drop(self, g: Gestures, at: Cursor) -> None:
        """Select what is in it."""
        toggle = "ctrl" in at.mods
        g.session.select(g.overlay.boxed, add="shift" in at.mods and not toggle, toggle=toggle)


class Move(Drag):
    """Moves the selected boxes; a frame takes along what lies in it; a node may go on a link."""

    def __init__(self, g: Gestures, start: Cursor, hit: hits.Hit) -> None:
        super().__init__(g, start, hit)
        scene = g.scene
        names = set(g.session.selection) | {hit.node}
        for name in [n for n in names if n in scene.frames]:
            names |= hits.carried(scene, name)
        self.rects: dict[str, Rect] = {n: b.rect for n, b in scene.boxes.items() if n in names}
        self.rects |= {n: f.rect for n, f in scene.frames.items() if n in names}
        self.positions: dict[str, tuple[float, float]] = {}
        self.fits: dict[Link, bool] = {}
        others = hits.in_rect(scene, g.view.rect) & scene.boxes.keys() - names
        self.xs = {x: scene.boxes[n].rect for n in others for x in _sides(scene.boxes[n].rect, 0)}
        self.ys = {y: scene.boxes[n].rect for n in others for y in _sides(scene.boxes[n].rect, 1)}

    def move(self, g: Gestures, at: Cursor) -> None:
        """The boxes follow, snapped to others' edges or to the grid (Alt: to nothing)."""
        rect = self.rects.get(self.hit.node)
        if rect is None:
            return
        dx, dy = at.cx - self.start.cx, at.cy - self.start.cy
        guides: list[tuple[Point, Point]] = []
        if "alt" not in at.mods:
            reach = ALIGN / g.view.zoom
            dx, x = _snapped(rect, dx, 0, self.xs, reach)
            dy, y = _snapped(rect, dy, 1, self.ys, reach)
            left, top, w, h = rect[0] + dx, rect[1] + dy, rect[2], rect[3]
            if x is not None:
                other = self.xs[x]
                ends = min(top, other[1]), max(top + h, other[1] + other[3])
                guides.append(((x, ends[0]), (x, ends[1])))
            if y is not None:
                other = self.ys[y]
                ends = min(left, other[0]), max(left + w, other[0] + other[2])
                guides.append(((ends[0], y), (ends[1], y)))
        self.positions = {n: (r[0] + dx, r[1] + dy) for n, r in self.rects.items()}
        g.show(layout.place(g.session.graph, self.positions))
        g.overlay.guides, g.overlay.moving = guides, frozenset(self.rects)
        g.overlay.insert = self._link_under(g, (rect[0] + dx, rect[1] + dy, rect[2], rect[3]))

    def drop(self, g: Gestures, at: Cursor) -> None:
        """Leave them there, and put a single node on the link under it."""
        insert, gesture = g.overlay.insert, object()
        where = _rounded(self.positions)
        if where == {n: (round(r[0]), round(r[1])) for n, r in self.rects.items()}:
            return
        g.session.move({**g.scene.unplaced, **where}, gesture=gesture)
        if insert:
            g.session.insert_on_link(self.hit.node, insert.to, insert.source, gesture=gesture)

    def _link_under(self, g: Gestures, rect: Rect) -> Link | None:
        """The link that the one node that is moved could be inserted on, where it lies on one."""
        name, scene = self.hit.node, g.scene
        if len(self.rects) > 1 or name not in scene.graph.nodes or scene.attached.get(name):
            return None
        for thing in scene.grid.near(rect):
            if isinstance(thing, Link):
                if thing not in self.fits:
                    self.fits[thing] = _inserts(scene, name, thing)
                if self.fits[thing] and any(enters(rect, c) for c in scene.wires[thing].curves):
                    return thing
        return None


def _inserts(scene: Scene, name: str, link: Link) -> bool:
    assert scene.scope is not None
    try:
        wiring.insert(scene.graph, name, link.to, scene.scope, link.source)
    except EditError:
        return False
    return True


def _sides(rect: Rect, axis: int) -> tuple[float, float]:
    return rect[axis], rect[axis] + rect[axis + 2]


def _snapped(
    rect: Rect, delta: float, axis: int, others: Mapping[float, Rect], reach: float
) -> tuple[float, float | None]:
    """How far to move so that a side meets one of another box, and where, or so that it is even."""
    best, line = reach, None
    found = delta
    for side in _sides(rect, axis):
        for other in others:
            if abs(other - side - delta) < best:
                best, line, found = abs(other - side - delta), other, other - side
    if line is None:
        found = GRID * round((rect[axis] + delta) / GRID) - rect[axis]
    return found, line


def _rounded(positions: Mapping[str, tuple[float, float]]) -> dict[str, tuple[int, int]]:
    return {n: (round(x), round(y)) for n, (x, y) in positions.items()}


class Resize(Drag):
    """Pulls the lower right corner of a frame."""

    def move(self, g: Gestures, at: Cursor) -> None:
        """The corner follows."""
        g.show(layout.set_frame(g.session.graph, self._name, **self._size(g, at)))

    def drop(self, g: Gestures, at: Cursor) -> None:
        """Leave it there."""
        g.session.set_frame(self._name, None, **self._size(g, at))

    @property
    def _name(self) -> str:
        return self.hit.node.removeprefix(FRAME)

    def _size(self, g: Gestures, at: Cursor) -> dict[str, int]:
        frame = layout.frames(g.session.graph.layout).get(self._name, {"w": 200, "h": 120})
        wide, high = (
            max(SMALLEST, GRID * round(size / GRID))
            for size in (frame["w"] + at.cx - self.start.cx, frame["h"] + at.cy - self.start.cy)
        )
        return {"w": wide, "h": high}


class Cut(Drag):
    """Draws a line; the links that it crosses are cut."""

    def move(self, g: Gestures, at: Cursor) -> None:
        """The line reaches to the mouse."""
        a, b = (self.start.cx, self.start.cy), (at.cx, at.cy)
        near = g.scene.grid.near(between(*a, *b))
        wires = [g.scene.wires[t] for t in near if isinstance(t, Link)]
        g.overlay.cut = a, b
        g.overlay.cutting = frozenset(
            w.link for w in wires if any(crosses(a, b, curve) for curve in w.curves)
        )

    def drop(self, g: Gestures, at: Cursor) -> None:
        """Cut them, as one step."""
        if g.overlay.cutting:
            links = sorted(g.overlay.cutting, key=str)
            g.session.do("Cut links", lambda graph, scope: without(graph, scope, links))


def without(graph: Graph, scope: Scope, links: list[Link]) -> Graph:
    """`graph` without some links; an output of a group goes with its link."""
    for link in links:
        if link.to.node.startswith(OUT):
            graph = edits.set_output(graph, link.to.node.removeprefix(OUT), None, scope)
        else:
            graph = wiring.cut(graph, [link])
    return graph


class Reroute(Drag):
    """Moves a point of a link, or makes one where there was none."""

    def __init__(self, g: Gestures, start: Cursor, hit: hits.Hit) -> None:
        super().__init__(g, start, hit)
        self.points: list[tuple[float, float]] = []
        self.index = hit.index
        if hit.link and hit.link.to in g.scene.graph.links:
            wire = g.scene.wires[hit.link]
            self.points = [*wire.points]
            if hit.kind == "wire":
                off = [away(start.cx, start.cy, curve) for curve in wire.curves]
                self.index = off.index(min(off))
                self.points.insert(self.index, (start.cx, start.cy))

    def move(self, g: Gestures, at: Cursor) -> None:
        """The point follows, on the grid."""
        if self.hit.link and self.points:
            self.points[self.index] = (GRID * round(at.cx / GRID), GRID * round(at.cy / GRID))
            g.show(layout.set_reroutes(g.session.graph, self.hit.link.to, self.points))

    def drop(self, g: Gestures, at: Cursor) -> None:
        """Leave it there."""
        if self.hit.link and self.points:
            g.session.set_reroutes(self.hit.link.to, self.points)
