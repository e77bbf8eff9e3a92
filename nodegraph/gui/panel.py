"""What all tabs of the inspector are made of: headings, prose, fields, small buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg

from ..session import Session
from .fields import Fields
from .palette import Palette
from .popups import Popups
from .values import as_text


class Panel:
    """A tab's content; `show` draws it anew into the current container."""

    held = 0  # counts the drags of numbers: each is one step of the history

    def __init__(self, palette: Palette, fonts: dict[str, int | str], popups: Popups) -> None:
        self.palette, self.fonts, self.popups = palette, fonts, popups
        self.scale = 1.0
        self.wide = 290  # pixels that it may fill
        self.fields = Fields()

    def show(self, session: Session) -> None:
        """Draw all of it for a session."""
        raise NotImplementedError

    # Pieces ---------------------------------------------------------------------------------------

    def heading(self, text: str) -> None:
        """A small title over a part."""
        dpg.add_spacer(height=int(6 * self.scale))
        item = dpg.add_text(text, color=self.palette.dim)
        dpg.bind_item_font(item, self.fonts["bold"])

    def prose(self, text: str, colour: Any = None) -> int | str:
        """Text that wraps."""
        return dpg.add_text(text, wrap=int(self.wide), color=colour or self.palette.text)

    def field(
        self, text: str, wide: float, done: Callable[[str], Any], lines: int = 1
    ) -> int | str:
        """An input, of one line or several; it is taken when it is left."""
        more = {"multiline": True, "height": int(lines * 19 * self.scale)} if lines > 1 else {}
        return self.fields.add(text, wide, done, **more)

    def knob(
        self, wide: float, turned: Callable[[float], Any], change: Callable[[Any, object], Any],
        shown: int | str,
    ) -> None:  # fmt: skip
        """A handle behind a field `shown`, which changes its number while it is dragged, as one
        step of the history; `turned` is the number after some steps."""
        Panel.held += 1
        gesture = ("knob", Panel.held)

        def turn(_: Any, steps: float) -> None:
            new = turned(steps)
            change(new, gesture)
            dpg.set_value(shown, as_text(new))

        item = dpg.add_drag_float(
            width=int(wide), format="<>", speed=0.25, callback=turn, no_input=True
        )
        self.fields.hold(item)  # it is not drawn anew under the hand
        self.tip(item, "Drag to change the number")

    def small(self, label: str, run: Callable[[], Any], tip: str = "") -> None:
        """A small button; what it does shows when the mouse rests on it."""
        item = dpg.add_button(label=label, small=True, callback=lambda: run())
        if tip:
            self.tip(item, tip)

    def tip(self, item: int | str, text: str) -> None:
        """What shows when the mouse rests on an item."""
        with dpg.tooltip(item, delay=0.4):
            dpg.add_text(text, wrap=360)

    def problem(self, session: Session, problem: Any) -> None:
        """A problem, with a button where there is a fix."""
        bad = problem["severity"] == "error"
        mark = "Error: " if bad else "Warning: "
        cure = f"; {problem['cure']}" if problem.get("cure") else ""
        colour = self.palette.error if bad else self.palette.warning
        self.prose(f"{mark}{problem['text']}{cure}", colour)
        if problem.get("fix"):
            dpg.add_button(label="Fix it", callback=lambda: session.fix(problem))
