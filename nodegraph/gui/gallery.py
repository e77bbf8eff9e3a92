"""The first screen: the prebuilt graphs as pictures, and recent files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from .. import files
from ..graph import Graph, GraphError
from ..library import Library
from ..scope import Scope
from .boxes import clipped
from .palette import Palette, faded
from .scene import build
from .theme import SIZE

CARD, HIGH, PICTURE = 300, 292, 150


def prebuilt() -> list[Path]:
    """The graphs that come with nodegraph."""
    return sorted(files.graphs_folder().glob("*.yaml"))


class Gallery:
    """Cards in rows; a click opens a copy of a prebuilt graph, or a recent file."""

    def __init__(
        self, palette: Palette, fonts: dict[str, int | str], library: Library,
        open_copy: Callable[[Path], Any], open_file: Callable[[Path], Any],
        new: Callable[[], Any],
    ) -> None:  # fmt: skip
        self.palette, self.fonts, self.library = palette, fonts, library
        self.open_copy, self.open_file, self.new = open_copy, open_file, new
        self.graphs: list[tuple[Path, Graph]] = []

    def load(self) -> None:
        """Read the prebuilt graphs, once."""
        if not self.graphs:
            for path in prebuilt():
                try:
                    self.graphs.append((path, files.load(path, self.library)))
                except GraphError:
                    continue

    def show(self, parent: str, width: float, recent: Sequence[Path]) -> None:
        """Draw it into a container."""
        self.load()
        dpg.delete_item(parent, children_only=True)
        dpg.push_container_stack(parent)
        dpg.add_spacer(height=18)
        with dpg.group(horizontal=True):
            dpg.add_spacer(width=24)
            with dpg.group():
                title = dpg.add_text("Start from a graph of the lecture")
                dpg.bind_item_font(title, self.fonts["title"])
                with dpg.group(horizontal=True):
                    dpg.add_button(label="New graph  (Ctrl+N)", callback=lambda: self.new())
                    for path in recent[:5]:
                        dpg.add_button(
                            label=path.name, callback=lambda _, __, p=path: self.open_file(p)
                        )
                        with dpg.tooltip(dpg.last_item()):
                            dpg.add_text(str(path))
                dpg.add_spacer(height=10)
                columns = max(1, int((width - 48) // (CARD + 16)))
                for start in range(0, len(self.graphs), columns):
                    with dpg.group(horizontal=True, horizontal_spacing=16):
                        for path, graph in self.graphs[start : start + columns]:
                            self.card(path, graph)
                    dpg.add_spacer(height=10)
        dpg.pop_container_stack()

    def card(self, path: Path, graph: Graph) -> None:
        """One graph: its picture, title, what it is, and its paper."""
        with dpg.child_window(width=CARD, height=HIGH, border=True):
            with dpg.drawlist(CARD - 2, PICTURE):
                self.picture(graph)
            with dpg.group(horizontal=True):
                dpg.add_spacer(width=4)
                with dpg.group():
                    title = dpg.add_text(graph.meta.get("title", path.stem))
                    dpg.bind_item_font(title, self.fonts["bold"])
                    about = graph.meta.get("about", "").split(". ")[0]
                    dpg.add_text(_short(about, 105), wrap=CARD - 24, color=self.palette.dim)
                    paper = graph.meta.get("paper", "")
                    dpg.add_text(clipped(paper, CARD - 24, SIZE), color=self.palette.dim)
                    with dpg.tooltip(dpg.last_item()):
                        dpg.add_text(paper, wrap=400)
                    dpg.add_button(label="Open", callback=lambda _, __, p=path: self.open_copy(p))

    def picture(self, graph: Graph) -> None:
        """The graph in small."""
        scene = build(graph, Scope(self.library))
        bounds = scene.bounds
        dpg.draw_rectangle((0, 0), (CARD, PICTURE), fill=self.palette.canvas, color=(0, 0, 0, 0))
        if bounds is None:
            return
        x, y, w, h = bounds
        scale = min((CARD - 24) / w, (PICTURE - 20) / h, 0.4)
        left, top = (CARD - w * scale) / 2, (PICTURE - h * scale) / 2

        def at(px: float, py: float) -> list[float]:
            return [left + (px - x) * scale, top + (py - y) * scale]

        for wire in scene.wires.values():
            for curve in wire.curves:
                dpg.draw_bezier_cubic(
                    *(at(*point) for point in curve), thickness=1.2, segments=16,
                    color=faded(self.palette.kind(wire.kind), 190),
                )  # fmt: skip
        for box in scene.boxes.values():
            family = "group" if box.face.group else box.face.category
            colour = self.palette.family(family)
            dpg.draw_rectangle(
                at(box.x, box.y), at(box.x + box.face.w, box.y + box.face.h), rounding=2,
                fill=faded(colour, 150), color=colour,
            )  # fmt: skip


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
