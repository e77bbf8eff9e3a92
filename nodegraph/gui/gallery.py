"""The first screen: the prebuilt graphs as pictures, and recent files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import dearpygui.dearpygui as dpg

from .. import files
from ..graph import Graph, GraphError
from ..scope import Scope
from .boxes import clipped, wrapped
from .documents import Documents
from .palette import THEMES, Palette, faded
from .scene import build
from .theme import SIZE

CARD, HIGH, PICTURE, GAP = 320, 334, 150, 16
# How the slides of the lecture begin, in their order, as far as graphs name them.
SLIDES = (
    "Standard convolutional networks", "The abstract class Layer",
    "Generating images by inverting CNNs", "Adversarial examples", "Practical optimisation",
    "Inverted ConvNet", "Spatial transformer nets", "DeepWarp", "Moment matching",
    "Textures by optimisation", "TextureNet", "Neural algorithm", "“Style” network",
    "Adversarial networks", "Adversarial loss", "Laplacian pyramid", "Multiresolution splining",
    "Laplacian GAN", "DCGAN", "Energy-based GAN", "Open problems", "Domain adaptation",
    "Autoencoder", "Editing with an autoencoder", "TODO",
)  # fmt: skip


def prebuilt() -> list[Path]:
    """The graphs that come with nodegraph."""
    return sorted(files.graphs_folder().glob("*.yaml"))


class Gallery:
    """Cards in rows; a click opens a copy of a prebuilt graph, or a recent file."""

    def __init__(
        self, palette: Palette, fonts: dict[str, int | str], documents: Documents
    ) -> None:  # fmt: skip
        self.palette, self.fonts, self.documents = palette, fonts, documents
        self.scale = 1.0
        self.known: list[tuple[Path, Graph]] = []
        self.shown: tuple[object, ...] = ()  # what the cards that stand there depend on

    @property
    def graphs(self) -> list[tuple[Path, Graph]]:
        """The prebuilt graphs in the order of the lecture; read once."""
        if not self.known:
            for path in prebuilt():
                try:
                    self.known.append((path, files.load(path, self.documents.library)))
                except GraphError:
                    continue
            self.known.sort(key=lambda found: place(found[1]))
        return self.known

    @property
    def recent(self) -> tuple[Path, ...]:
        """The files that were open last."""
        return tuple(self.documents.settings.recent_files()[:6])

    def show(self, parent: str, width: float) -> None:
        """Draw it into a container, unless it stands there as it should."""
        s = self.scale
        wanted = width, s, self.palette.name, self.recent
        if wanted == self.shown:
            return
        self.shown = wanted
        dpg.delete_item(parent, children_only=True)
        dpg.push_container_stack(parent)
        dpg.add_spacer(height=int(18 * s))
        with dpg.group(horizontal=True):
            dpg.add_spacer(width=int(24 * s))
            with dpg.group():
                title = dpg.add_text("Start from a graph of the lecture, or from nothing")
                dpg.bind_item_font(title, self.fonts["title"])
                self.files()
                columns = max(1, int((width - 48 * s) // ((CARD + GAP) * s)))
                for start in range(0, len(self.graphs), columns):
                    with dpg.group(horizontal=True, horizontal_spacing=int(GAP * s)):
                        for path, graph in self.graphs[start : start + columns]:
                            self.card(path, graph)
                    dpg.add_spacer(height=int(8 * s))
        dpg.pop_container_stack()

    def files(self) -> None:
        """A new graph, a file, or one of the recent ones."""
        documents = self.documents
        with dpg.group(horizontal=True):
            dpg.add_button(label="New graph  (Ctrl+N)", callback=lambda: documents.new())
            dpg.add_button(label="Open…  (Ctrl+O)", callback=lambda: documents.ask_open())
            if self.recent:
                dpg.add_text("   recent", color=self.palette.dim)
            for path in self.recent:
                item = dpg.add_button(
                    label=path.name, callback=lambda _, __, p=path: documents.open(p)
                )
                with dpg.tooltip(item):
                    dpg.add_text(str(path))
        dpg.add_spacer(height=int(8 * self.scale))

    def card(self, path: Path, graph: Graph) -> None:
        """One graph: its picture, title, what it is, where in the lecture, and its paper."""
        s, p = self.scale, self.palette
        wide, inner = int(CARD * s), int((CARD - 28) * s)
        with dpg.child_window(width=wide, height=int(HIGH * s), border=False, no_scrollbar=True):
            dpg.bind_item_theme(dpg.last_container(), card_theme(self.palette.name))
            with dpg.drawlist(wide, int(PICTURE * s)) as drawing:
                self.picture(graph)
            with dpg.group(horizontal=True):
                dpg.add_spacer(width=int(4 * s))
                with dpg.group():
                    title = dpg.add_text(graph.meta.get("title", path.stem))
                    dpg.bind_item_font(title, self.fonts["bold"])
                    about = graph.meta.get("about", "").split(". ")[0].rstrip(".")
                    lines = wrapped(about, inner, SIZE * s)
                    if len(lines) > 3:
                        lines = [*lines[:2], lines[2] + " …"]
                    short = dpg.add_text(
                        "\n".join([*lines, *[" "] * (3 - len(lines))]), color=p.dim
                    )
                    with dpg.tooltip(short, delay=0.4):
                        dpg.add_text(graph.meta.get("about", ""), wrap=400)
                    if slide := graph.meta.get("slide", ""):
                        dpg.add_text(clipped(f"Slide: {slide}", inner, SIZE * s))
                    paper = graph.meta.get("paper", "")
                    text = dpg.add_text(clipped(paper, inner, SIZE * s), color=p.dim)
                    with dpg.tooltip(text):
                        dpg.add_text(paper, wrap=400)
                    dpg.add_spacer(height=int(2 * s))
                    dpg.add_button(
                        label="Open", callback=lambda: self.documents.open(path, copy=True)
                    )
        with dpg.item_handler_registry() as clicks:
            dpg.add_item_clicked_handler(callback=lambda: self.documents.open(path, copy=True))
        dpg.bind_item_handler_registry(drawing, clicks)

    def picture(self, graph: Graph) -> None:
        """The graph in small."""
        scene = build(graph, Scope(self.documents.library))
        bounds = scene.bounds
        wide, high = CARD * self.scale, PICTURE * self.scale
        dpg.draw_rectangle((0, 0), (wide, high), fill=self.palette.canvas, color=(0, 0, 0, 0))
        if bounds is None:
            return
        x, y, w, h = bounds
        scale = min((wide - 24) / w, (high - 20) / h, 0.4 * self.scale)
        left, top = (wide - w * scale) / 2, (high - h * scale) / 2

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


@cache
def card_theme(name: str) -> int | str:
    """The theme of a card: raised from the ground."""
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_color(dpg.mvThemeCol_ChildBg, THEMES[name].node)
        dpg.add_theme_style(dpg.mvStyleVar_ChildRounding, 6)
    return made


def place(graph: Graph) -> tuple[int, str]:
    """Where a graph stands: by its slide, then by its title; after all where none begins so."""
    slide, title = graph.meta.get("slide", ""), graph.meta.get("title", "")
    found = (i for i, words in enumerate(SLIDES) if slide.startswith(words))
    return next(found, len(SLIDES)), title
