"""A row of names and a panel for each, one of them in front.

It is our own: the first tab of Dear PyGui's bar takes all the room when the window grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import dearpygui.dearpygui as dpg

from .palette import THEMES, faded


class Tabs:
    """`prefix:tab:NAME` are the buttons, `prefix:NAME` the panels; `turned` is called when another
    one comes to the front."""

    def __init__(self, prefix: str, names: Sequence[str], turned: Callable[[], Any]) -> None:
        self.prefix, self.names, self.turned = prefix, tuple(names), turned
        self.front = self.names[0]
        self.theme = ""

    def build(self, sideways: Sequence[str] = ()) -> None:
        """Make the row and the panels in the current container; some panels scroll `sideways`."""
        with dpg.group(horizontal=True, horizontal_spacing=2):
            for name in self.names:
                bring = partial(self.bring, name)
                dpg.add_button(label=name, tag=f"{self.prefix}:tab:{name}", callback=bring)
        for name in self.names:
            dpg.add_child_window(
                tag=f"{self.prefix}:{name}", border=False, show=name == self.front,
                horizontal_scrollbar=name in sideways,
            )  # fmt: skip

    def bring(self, name: str) -> None:
        """Bring a panel to the front."""
        self.front = name
        for other in self.names:
            dpg.configure_item(f"{self.prefix}:{other}", show=other == name)
        self.style(self.theme)
        self.turned()

    def label(self, name: str, text: str) -> None:
        """Other words on a button."""
        dpg.set_item_label(f"{self.prefix}:tab:{name}", text)

    def style(self, palette: str) -> None:
        """In the colours of a palette, by its name."""
        self.theme = palette
        for name in self.names if palette else ():
            look = tab_theme(palette, name == self.front)
            dpg.bind_item_theme(f"{self.prefix}:tab:{name}", look)


@cache
def tab_theme(palette: str, front: bool) -> int | str:
    """The theme of a tab: raised in front, flat behind."""
    p = THEMES[palette]
    with dpg.theme() as made, dpg.theme_component(dpg.mvButton):
        dpg.add_theme_color(dpg.mvThemeCol_Button, p.raised if front else faded(p.panel, 0))
        dpg.add_theme_color(dpg.mvThemeCol_Text, p.text if front else p.dim)
        dpg.add_theme_style(dpg.mvStyleVar_FrameRounding, 4)
    return made
