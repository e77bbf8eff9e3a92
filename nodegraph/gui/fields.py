"""Inputs that take what was typed when they are left: by Enter, Tab, or a click elsewhere.

Escape gives the old text back. A field that Enter alone would take loses what was typed into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dearpygui.dearpygui as dpg


@dataclass
class Field:
    """An input, the text that it showed, and what is done with another one."""

    item: int | str
    text: str
    done: Callable[[str], Any]


class Fields:
    """The inputs of a panel; `poll` once a frame."""

    def __init__(self) -> None:
        self.known: list[Field] = []

    def clear(self) -> None:
        """Without any: the panel is drawn anew."""
        self.known.clear()

    def add(self, text: str, wide: float, done: Callable[[str], Any], **more: Any) -> int | str:
        """An input in the current container."""
        item: int | str = dpg.add_input_text(default_value=text, width=int(wide), **more)
        self.known.append(Field(item, text, done))
        return item

    def hold(self, item: int | str) -> None:
        """Another widget during whose use the panel is not drawn anew."""
        self.known.append(Field(item, "", lambda _: None))

    def typing(self) -> bool:
        """Whether keys belong to one of them."""
        return any(dpg.does_item_exist(f.item) and dpg.is_item_active(f.item) for f in self.known)

    def poll(self) -> bool:
        """Take what was typed into a field that was left; whether one was."""
        left = [f for f in self.known if dpg.does_item_exist(f.item)
                and dpg.is_item_deactivated_after_edit(f.item)]  # fmt: skip
        for field in left:
            self.take(field)
        return bool(left)

    def commit(self) -> None:
        """Take what stands in the field that has the keyboard."""
        for field in self.known:
            if dpg.does_item_exist(field.item) and dpg.is_item_active(field.item):
                self.take(field)

    @staticmethod
    def take(field: Field) -> None:
        """Use the text of a field, if it is another than it was."""
        text = dpg.get_value(field.item)
        if text != field.text:
            field.text = text
            field.done(text)
