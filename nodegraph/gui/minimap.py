"""The whole graph in a corner of the canvas, with what is in sight; a press looks there."""

from __future__ import annotations

import time

import dearpygui.dearpygui as dpg

from .geometry import around, holds
from .palette import Palette, faded
from .scene import Scene
from .view import Rect, View

WIDE, HIGH, GAP = 190, 120, 14
MOST = 400  # boxes that are drawn: each costs a microsecond or two in every frame


class Minimap:
    """Boxes are drawn when the scene changes; the frame of the view moves with one call."""

    def __init__(self, palette: Palette) -> None:
        self.palette = palette
        self.scene: Scene | None = None
        self.whole: Rect = (0.0, 0.0, 1.0, 1.0)
        self.scale = 1.0
        self.at = (0.0, 0.0)
        self.seen: View | None = None
        self.due = 0.0  # when it may be drawn anew: it takes at most a part of the time

    def build(self) -> None:
        """Make its drawing, on a window of its own over the canvas."""
        with dpg.window(
            tag="minimap", no_title_bar=True, no_resize=True, no_move=True, no_scrollbar=True,
            no_focus_on_appearing=True, show=False,
            width=WIDE, height=HIGH, no_scroll_with_mouse=True,
        ):  # fmt: skip
            dpg.add_drawlist(WIDE, HIGH, tag="minimap:drawing")

    def place(self, area: tuple[int, int, int, int], shown: bool) -> None:
        """Put it into the lower right corner of the canvas; it shows when not all is in sight."""
        x, y, w, h = area
        self.at = (x + w - WIDE - GAP, y + h - HIGH - GAP)
        dpg.configure_item("minimap", pos=[int(v) for v in self.at], show=shown)
        self.scene = self.seen = None

    def holds(self, x: float, y: float) -> bool:
        """Whether a point of the window is over it."""
        left, top = self.at
        shown = bool(dpg.get_item_configuration("minimap")["show"])
        return shown and left <= x <= left + WIDE and top <= y <= top + HIGH

    def aim(self, x: float, y: float, view: View) -> View:
        """The view with what is under a point of the map in its middle."""
        wx, wy, _, _ = self.whole
        left, top = self.at
        return view.centred(wx + (x - left) / self.scale, wy + (y - top) / self.scale)

    def show(self, scene: Scene, view: View) -> None:
        """Draw what differs."""
        begin = time.perf_counter()
        if scene is not self.scene and (self.scene is None or begin >= self.due):
            self.draw(scene)
            end = time.perf_counter()
            self.due = end + 60 * (end - begin)
        if view != self.seen:
            self.seen = view
            bounds = scene.bounds
            dpg.configure_item("minimap", show=bounds is not None and not holds(view.rect, bounds))
            x, y, w, h = view.rect
            a, b = self.point(x, y), self.point(x + w, y + h)
            dpg.configure_item("minimap:view", pmin=a, pmax=b)

    def draw(self, scene: Scene) -> None:
        """All boxes anew."""
        self.scene, self.seen = scene, None
        p = self.palette
        x, y, w, h = around([b.rect for b in scene.boxes.values()]) or (0.0, 0.0, 100.0, 100.0)
        margin = 0.04 * max(w, h) + 20
        x, y, w, h = x - margin, y - margin, w + 2 * margin, h + 2 * margin
        self.scale = min(WIDE / w, HIGH / h)
        # In the middle of the map.
        x, y = x - (WIDE / self.scale - w) / 2, y - (HIGH / self.scale - h) / 2
        self.whole = (x, y, WIDE / self.scale, HIGH / self.scale)
        layer = "minimap:drawing"
        dpg.delete_item(layer, children_only=True)
        dpg.draw_rectangle(
            (0, 0), (WIDE, HIGH), fill=faded(p.panel, 235), color=p.edge, parent=layer
        )
        boxes = list(scene.boxes.values())
        for box in boxes[:: len(boxes) // MOST + 1]:  # of very many, some tell enough
            colour = p.family("group" if box.face.group else box.face.category)
            if box.name in scene.selection:
                colour = p.accent
            bx, by, bw, bh = box.rect
            dpg.draw_rectangle(
                self.point(bx, by), self.point(bx + bw, by + bh), fill=colour, color=(0, 0, 0, 0),
                parent=layer,
            )  # fmt: skip
        dpg.draw_rectangle(
            (0, 0), (1, 1), tag="minimap:view", color=p.accent, fill=faded(p.accent, 25),
            parent=layer,
        )  # fmt: skip

    def point(self, x: float, y: float) -> list[float]:
        """A canvas point on the map."""
        wx, wy, _, _ = self.whole
        px, py = (x - wx) * self.scale, (y - wy) * self.scale
        return [min(max(px, 0.0), WIDE - 1.0), min(max(py, 0.0), HIGH - 1.0)]
