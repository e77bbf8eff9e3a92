"""What is drawn over the canvas: the pending wire, boxes, tooltips, what a gradient reaches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import dearpygui.dearpygui as dpg

from ..reach import Reach
from .boxes import NARROW, measure, wrapped
from .canvas import LABELS, NOTHING, RADIUS, SEGMENTS, Canvas
from .geometry import dashes, wire
from .gestures import Gestures
from .hits import Hit
from .palette import Colour, faded
from .scene import Link
from .view import View

Row = tuple[str, Colour, str]  # of a legend: a mark or word, its colour, and what it means

DELAY = 0.6  # seconds of rest after which a tooltip shows
WIDE = 420  # pixels of a tooltip


class Marks:
    """The overlay layer of a canvas, drawn anew when a gesture changes it."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.seen: tuple[Any, ...] = ()
        self.since = 0.0
        self.hover = Hit()
        self.shown = False  # whether what shows after a rest (tooltip, reach) is
        self.told = False  # whether a frame was drawn since the rest

    @property
    def rested(self) -> bool:
        """Whether the mouse has been on one thing for a moment."""
        return time.monotonic() - self.since > DELAY

    def due(self) -> bool:
        """Whether a tooltip waits for its moment, which needs a frame."""
        return self.hover != Hit() and not self.told and self.rested

    def show(
        self, gestures: Gestures, reach: Reach | None = None,
        notes: Mapping[str, tuple[str, str]] | None = None, tips: bool = True,
        probing: bool = False,
    ) -> bool:  # fmt: skip
        """Draw the overlay, what a gradient reaches, and notes under boxes (a kind,
        "warning" or "", and a text), or that links are probed; whether anything changed."""
        notes = notes or {}
        overlay = gestures.overlay
        if overlay.hover != self.hover:
            self.hover, self.since = overlay.hover, time.monotonic()
        self.told = self.rested
        self.shown = tips and self.rested and not gestures.busy
        drawn = (id(overlay), id(gestures.scene), id(reach), tuple(notes.items()))
        seen = (*drawn, gestures.view, self.shown, overlay.hover, probing, bool(self.canvas.probes))
        if seen == self.seen and not gestures.busy:
            return False
        self.seen = seen
        layer, veil = (self.canvas.layers[name] for name in ("overlay", "veil"))
        dpg.delete_item(layer, children_only=True)
        dpg.delete_item(veil, children_only=True)
        if reach is not None:
            dpg.push_container_stack(veil)
            self.reached_links(gestures, reach)
            dpg.pop_container_stack()
        dpg.push_container_stack(layer)
        if reach is not None:
            self.reached_nodes(gestures, reach)
            self.legend(gestures.view, self.of_reach())
        else:
            self.notes(gestures, notes)
            if probing:
                self.legend(gestures.view, self.of_probes(gestures.view))
        self.draw(gestures)
        if self.shown and overlay.tooltip:
            self.text(gestures.view, gestures.cursor, overlay.tooltip)
        dpg.pop_container_stack()
        return True

    def reached_links(self, gestures: Gestures, reach: Reach) -> None:
        """A veil over all links, and on it those that a gradient flows along, dashed where it is
        reversed and dotted where it stops."""
        p, scene, px = self.canvas.palette, gestures.scene, 1 / gestures.view.zoom
        x, y, w, h = gestures.view.rect
        dpg.draw_rectangle((x, y), (x + w, y + h), fill=faded(p.canvas, 190), color=NOTHING)
        for link in scene.grid.near(gestures.view.rect):
            if not isinstance(link, Link) or link not in scene.wires:
                continue
            curves, sign = scene.wires[link].curves, reach.links.get((link.to, link.source), "")
            if sign == "+":
                self.curves(curves, p.accent, 3.5 * px)
            elif sign == "0":
                self.dashed(curves, p.warning, 3 * px, (2 * px, 6 * px))
            elif sign:
                self.dashed(curves, p.accent, 3.5 * px, (12 * px, 5 * px))

    def reached_nodes(self, gestures: Gestures, reach: Reach) -> None:
        """Whom a gradient reaches, and whose weights move: in words, not by colour alone."""
        p, scene, px = self.canvas.palette, gestures.scene, 1 / gestures.view.zoom
        labels = []
        for name in scene.grid.near(gestures.view.rect):
            if not isinstance(name, str) or name not in scene.boxes:
                continue
            x, y, w, h = scene.boxes[name].rect
            how, sign = reach.nodes.get(name, ("beyond", ""))
            if how == "beyond":
                dpg.draw_rectangle(
                    (x - 2, y - 2), (x + w + 2, y + h + 2), rounding=8,
                    fill=faded(p.canvas, 170), color=NOTHING,
                )  # fmt: skip
                continue
            colour = p.good if how == "moves" else p.accent
            dpg.draw_rectangle(
                (x - 1, y - 1), (x + w + 1, y + h + 1), rounding=9, fill=NOTHING, color=colour,
                thickness=(3.5 if how == "moves" else 2) * px,
            )  # fmt: skip
            labels.append((f"{'moves' if how == 'moves' else 'gradient'} {sign}", x, y, colour))
        size = 12 * px
        for words, x, y, colour in labels:
            dpg.draw_rectangle(
                (x, y - 19 * px), (x + measure(words, size) + 10 * px, y - 3 * px),
                rounding=4 * px, fill=colour, color=NOTHING,
            )  # fmt: skip
            dpg.draw_text((x + 5 * px, y - 18 * px), words, size=size, color=p.canvas)

    def of_reach(self) -> Sequence[Row]:
        """What the marks of a gradient's reach mean."""
        p = self.canvas.palette
        return (
            ("moves", p.good, "its weights move"),
            ("gradient", p.accent, "the gradient passes"),
            ("+  −  ±", p.accent, "its sign: − after a reversal (dashed), ± where both meet"),
            ("· · ·", p.warning, "the gradient stops"),
        )

    def of_probes(self, view: View) -> Sequence[Row]:
        """What probes show, and where it is to be seen at this zoom."""
        p = self.canvas.palette
        if not self.canvas.probes:
            return (("probes", p.accent, "come with the next step: train, or make one step"),)
        wide = ("wide", p.text, "a large gradient comes back; thin: a small one, thinnest: none")
        near = ("zoom in", p.accent, "to read mean ± deviation, zeros and ∇ on the links")
        return (wide, near) if view.zoom < LABELS else (wide,)

    def legend(self, view: View, rows: Sequence[Row]) -> None:
        """What marks mean, in the lower left corner."""
        p, px = self.canvas.palette, 1 / view.zoom
        left, top = view.to_canvas(10, view.height - 22 * len(rows) - 14)
        wide = 86 + max(measure(text, 12) for _, _, text in rows)
        dpg.draw_rectangle(
            (left, top), (left + (wide + 20) * px, top + (22 * len(rows) + 6) * px),
            rounding=6 * px, fill=faded(p.panel, 235), color=p.edge, thickness=px,
        )  # fmt: skip
        for row, (word, colour, text) in enumerate(rows):
            y = top + (5 + 22 * row) * px
            dpg.draw_text((left + 10 * px, y), word, size=12 * px, color=colour)
            dpg.draw_text((left + 86 * px, y), text, size=12 * px, color=p.text)

    def notes(self, gestures: Gestures, notes: Mapping[str, tuple[str, str]]) -> None:
        """A line or two under a box."""
        p, scene, px = self.canvas.palette, gestures.scene, 1 / gestures.view.zoom
        for name, (kind, text) in notes.items():
            if name not in scene.boxes:
                continue
            x, y, w, h = scene.boxes[name].rect
            colour = p.warning if kind == "warning" else p.accent
            for row, line in enumerate(text.split("\n")):
                top = y + h + (4 + 17 * row) * px
                wide = (measure(line, 11) + 10) * px
                dpg.draw_rectangle(
                    (x, top), (x + wide, top + 16 * px), rounding=4 * px, fill=p.panel,
                    color=faded(colour, 140),
                )  # fmt: skip
                dpg.draw_text((x + 5 * px, top + 2 * px), line, size=11 * px, color=colour)

    def draw(self, gestures: Gestures) -> None:
        """Everything but the tooltip."""
        overlay, view, scene = gestures.overlay, gestures.view, gestures.scene
        p, px = self.canvas.palette, 1 / gestures.view.zoom
        for link in overlay.cutting:
            if link in scene.wires:
                self.curves(scene.wires[link].curves, p.error, 4 * px)
        for over in (overlay.insert, overlay.hover.link):
            if over is not None and over in scene.wires:
                self.curves(scene.wires[over].curves, p.accent, 3.5 * px)
        if overlay.lifted is not None and overlay.lifted in scene.wires:
            self.curves(scene.wires[overlay.lifted].curves, p.canvas, 4 * px)
        for box in scene.boxes.values() if overlay.lit or overlay.faded else ():
            for pin in (*box.face.inputs, *box.face.outputs):
                key = (pin.node, pin.side, pin.port)
                at = (box.x + pin.x, box.y + pin.y)
                if key in overlay.lit:
                    colour = p.kind(pin.kind)
                    dpg.draw_circle(at, RADIUS + 4, color=faded(colour, 160), thickness=2)
                elif key in overlay.faded:
                    dpg.draw_circle(at, RADIUS + 1.5, color=NOTHING, fill=faded(p.node, 205))
        if overlay.wire is not None:
            pending = overlay.wire
            ends = [pending.start, pending.end]
            ends = ends if pending.side == "out" else ends[::-1]
            colour = p.kind(pending.kind) if pending.ok else p.error
            self.curves(wire(ends), colour, 2.5 * px)
            if pending.reason:
                self.text(view, gestures.cursor, pending.reason, error=True)
        if overlay.box is not None:
            x, y, w, h = overlay.box
            dpg.draw_rectangle(
                (x, y), (x + w, y + h), fill=faded(p.accent, 30), color=p.accent, thickness=px
            )
        for name in overlay.boxed:
            if name in scene.boxes:
                x, y, w, h = scene.boxes[name].rect
                dpg.draw_rectangle(
                    (x, y), (x + w, y + h), rounding=8, color=p.accent, thickness=2 * px
                )
        if overlay.cut is not None:
            dpg.draw_line(*map(list, overlay.cut), color=p.error, thickness=2 * px)
        for a, b in overlay.guides:
            dpg.draw_line(list(a), list(b), color=faded(p.accent, 140), thickness=px)
        for name in overlay.family if len(overlay.family) > 1 else ():
            if name in scene.boxes:
                x, y, w, h = scene.boxes[name].rect
                dpg.draw_rectangle(
                    (x - 2, y - 2), (x + w + 2, y + h + 2), rounding=9, fill=NOTHING,
                    color=p.accent, thickness=2 * px,
                )  # fmt: skip
        if overlay.ghost is not None:
            name, x, y = overlay.ghost
            wide = max(NARROW, measure(name, 13) + 24)
            dpg.draw_rectangle(
                (x - wide / 2, y - 13), (x + wide / 2, y + 31), rounding=8,
                fill=faded(p.accent, 40), color=p.accent,
            )  # fmt: skip
            dpg.draw_text((x - wide / 2 + 10, y - 7), name, size=13, color=p.text)
        hover = overlay.hover
        if hover.pin is not None and hover.node in scene.boxes:
            box = scene.boxes[hover.node]
            at = (box.x + hover.pin.x, box.y + hover.pin.y)
            dpg.draw_circle(at, RADIUS + 3, color=p.kind(hover.pin.kind), thickness=2)

    def curves(self, curves: Any, colour: Any, thick: float) -> None:
        """Bézier curves."""
        for curve in curves:
            dpg.draw_bezier_cubic(
                *map(list, curve), color=colour, thickness=thick, segments=SEGMENTS
            )

    def dashed(self, found: Any, colour: Any, thick: float, lengths: tuple[float, float]) -> None:
        """Bézier curves in dashes."""
        for dash in dashes(found, *lengths):
            dpg.draw_polyline([list(p) for p in dash], color=colour, thickness=thick)

    def text(self, view: View, cursor: tuple[float, float], text: str, error: bool = False) -> None:
        """A tooltip beside the mouse, the same size at any zoom."""
        p, px = self.canvas.palette, 1 / view.zoom
        lines = wrapped(text, WIDE, 13)[:8]
        wide = max(measure(line, 13) for line in lines) + 18
        x, y = cursor[0] + 16, cursor[1] + 18
        x, y = min(x, view.width - wide - 6), min(y, view.height - 18 * len(lines) - 16)
        left, top = view.to_canvas(max(x, 4), max(y, 4))
        dpg.draw_rectangle(
            (left, top), (left + wide * px, top + (18 * len(lines) + 10) * px), rounding=5 * px,
            fill=p.panel, color=p.error if error else p.edge, thickness=px,
        )  # fmt: skip
        for row, line in enumerate(lines):
            dpg.draw_text(
                (left + 9 * px, top + (5 + 18 * row) * px), line, size=13 * px, color=p.text
            )
