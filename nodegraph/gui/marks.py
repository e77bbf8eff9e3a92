"""What is drawn over the canvas while a hand is on the mouse: the pending wire, boxes, tooltips."""

from __future__ import annotations

import time
from typing import Any

import dearpygui.dearpygui as dpg

from .boxes import measure
from .canvas import NOTHING, RADIUS, SEGMENTS, Canvas
from .geometry import wire
from .gestures import Gestures
from .palette import faded
from .view import View

DELAY = 0.6  # seconds of rest after which a tooltip shows


class Marks:
    """The overlay layer of a canvas, drawn anew when a gesture changes it."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.seen: tuple[Any, ...] = ()
        self.since = 0.0
        self.tip = ""
        self.shown = False  # whether the tooltip is

    def due(self) -> bool:
        """Whether a tooltip waits for its moment, which needs a frame."""
        return bool(self.tip) and not self.shown and time.monotonic() - self.since > DELAY

    def show(self, gestures: Gestures) -> bool:
        """Draw the overlay; whether anything changed."""
        overlay = gestures.overlay
        now = time.monotonic()
        if overlay.tooltip != self.tip:
            self.tip, self.since = overlay.tooltip, now
        shown = bool(self.tip) and now - self.since > DELAY and not gestures.busy
        self.shown = shown
        seen = (id(overlay), gestures.view, shown, overlay.hover, id(gestures.scene))
        if seen == self.seen and not gestures.busy:
            return False
        self.seen = seen
        layer = self.canvas.layers["overlay"]
        dpg.delete_item(layer, children_only=True)
        dpg.push_container_stack(layer)
        self.draw(gestures)
        if shown:
            self.text(gestures.view, gestures.cursor, overlay.tooltip)
        dpg.pop_container_stack()
        return True

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

    def text(self, view: View, cursor: tuple[float, float], text: str, error: bool = False) -> None:
        """A tooltip beside the mouse, the same size at any zoom."""
        p, px = self.canvas.palette, 1 / view.zoom
        lines = wrapped(text, 58)
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


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most so many characters."""
    lines = [""]
    for found in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(found) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + found
    return lines[:8]
