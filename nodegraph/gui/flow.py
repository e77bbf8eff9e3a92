"""Widgets beside each other, on as many lines as their widths need."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from .boxes import measure
from .theme import SIZE


class Flow:
    """Lines of widgets in the current container; `room` before each widget that is added."""

    def __init__(self, wide: float, scale: float) -> None:
        self.wide, self.scale = wide, scale
        self.lines, self.used = 0, 0.0
        self.turn()

    def turn(self) -> None:
        """Begin another line."""
        if self.lines:
            dpg.pop_container_stack()
        self.lines, self.used = self.lines + 1, 0.0
        dpg.push_container_stack(dpg.add_group(horizontal=True))

    def room(self, wide: float) -> None:
        """Make room for a widget of so many pixels."""
        if self.used and self.used + wide > self.wide:
            self.turn()
        self.used += wide + 8 * self.scale

    def text(self, words: str, frame: float = 0) -> None:
        """Make room for words, with so many pixels (at a scale of 1) of a frame around them."""
        self.room(measure(words, SIZE * self.scale) * 1.02 + frame * self.scale)

    def button(self, label: str) -> None:
        """Make room for a button."""
        self.text(label, 16)

    def check(self, label: str) -> None:
        """Make room for a box to check, with a label."""
        self.text(label, SIZE + 12)

    @property
    def left(self) -> float:
        """The pixels that are left in this line."""
        return self.wide - self.used

    def end(self) -> int:
        """The number of lines; what follows is no part of them."""
        dpg.pop_container_stack()
        return self.lines
