"""The palette at the left: all node types by category, to click or to search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg

from ..library import Library, first_line
from .palette import Palette


class Shelf:
    """A tree of types; a click adds one, and it can be dragged onto the canvas."""

    def __init__(self, palette: Palette, library: Library, add: Callable[[str], Any]) -> None:
        self.palette, self.library, self.add = palette, library, add
        self.scale = 1.0
        self.input: int | str = 0
        self.words = ""
        self.rows: dict[int | str, str] = {}  # items that stand for types
        self.carried = ""  # the type that is dragged

    def build(self) -> None:
        """Make the field and the tree in the current container."""
        self.input = dpg.add_input_text(hint="Search nodes", width=-1, callback=self.narrow)
        dpg.add_child_window(tag="shelf", border=False)
        self.fill()

    def typing(self) -> bool:
        """Whether keys belong to the field."""
        return bool(self.input) and dpg.is_item_active(self.input)

    def focus(self) -> None:
        """Give the keyboard to the field."""
        dpg.focus_item(self.input)

    def take(self) -> bool:
        """Take up the type under the mouse, if there is one, to drag it."""
        for item, name in self.rows.items():
            if dpg.is_item_hovered(item):
                self.carried = name
        return bool(self.carried)

    def drop(self) -> str:
        """Let go of what is carried; its name."""
        carried, self.carried = self.carried, ""
        return carried

    def narrow(self, _: Any, words: str) -> None:
        """Show what fits the words."""
        self.words = words
        self.fill()

    def fill(self) -> None:
        """Draw the tree."""
        dpg.delete_item("shelf", children_only=True)
        self.rows.clear()
        names = self.library.search(self.words) if self.words else list(self.library)
        families: dict[str, list[str]] = {}
        for name in names:
            families.setdefault(self.library[name].category, []).append(name)
        for family in sorted(families):
            with dpg.tree_node(
                label=family, parent="shelf", default_open=bool(self.words), span_full_width=True
            ):
                for name in families[family]:
                    item = dpg.add_selectable(
                        label=name, callback=lambda _, __, n=name: self.pick(_, n)
                    )
                    self.rows[item] = name
                    with dpg.tooltip(item, delay=0.4):
                        dpg.add_text(first_line(self.library[name]), wrap=300)

    def pick(self, item: int | str, name: str) -> None:
        """A type was clicked."""
        dpg.set_value(item, False)
        self.add(name)
