"""The inspector's second tab: the graph or group itself, its words, parameters and presets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg

from ..graph import META
from ..node import Setting
from ..session import Session
from .boxes import clipped, wrapped
from .panel import Panel
from .theme import SIZE
from .values import as_pairs, as_text, pairs, scrubbed, typed

FIRST = ("title", "about")  # the other words stand below what is turned
LONG = ("about", "deviations")  # what takes several lines


class GraphPanel(Panel):
    """Words about the graph, `$parameters`, and presets, each a field."""

    def show(self, session: Session) -> None:
        """All of it, of the graph or group that is shown."""
        for key in FIRST:
            if not session.path or key == "about":
                self.words(session, key)
        self.heading("Parameters")
        self.prose("A node's setting follows one that it is given as $name.", self.palette.dim)
        for name, value in session.graph.params.items():
            self.parameter(session, name, value)
        self.adder(session, "name: value", lambda given: declare(session, given))
        if session.path:
            return
        self.heading("Presets")
        for name, values in session.graph.presets.items():
            self.preset(session, name, as_pairs(values))
        item = self.field("", self.wide, lambda text: session.set_preset(text.strip(), {}))
        dpg.configure_item(item, hint="+ name of a new preset, Enter")
        for key in META:
            if key not in FIRST:
                self.words(session, key)

    def words(self, session: Session, key: str) -> None:
        """The title, or another word about the graph."""
        long = key in LONG

        def change(text: str) -> None:
            session.set_meta(key, " ".join(text.split()))

        self.heading(key.capitalize())
        text = session.graph.meta.get(key, "")
        if long:  # a field does not wrap by itself
            rows = wrapped(text, self.wide - 30 * self.scale, SIZE * self.scale)
            self.field("\n".join(rows), self.wide, change, lines=max(3, min(len(rows) + 1, 8)))
        else:
            self.field(text, self.wide, change)

    def parameter(self, session: Session, name: str, value: Any) -> None:
        """What the file (or group) can be told from outside; a number is dragged, too."""
        with dpg.group(horizontal=True, xoffset=self.wide * 0.36):
            shown = clipped(f"${name}", self.wide * 0.34, SIZE * self.scale)
            with dpg.group():  # one piece of the row, with its tip
                label = dpg.add_text(shown, color=self.palette.dim)
                if shown != f"${name}":
                    self.tip(label, f"${name}")
            with dpg.group(horizontal=True):
                number = isinstance(value, (int, float)) and not isinstance(value, bool)
                knob = 26 * self.scale * number
                item = self.field(
                    as_text(value), self.wide * 0.64 - 34 * self.scale - knob - 8 * number,
                    lambda text: session.set_graph_param(name, typed(text)),
                )  # fmt: skip
                if number:
                    setting = Setting(name, type(value), value)
                    self.knob(knob, lambda steps: scrubbed(value, steps, setting),
                              partial(session.set_graph_param, name), item)  # fmt: skip
                remove = partial(session.remove_graph_param, name)
                self.small(f"×##{name}", remove, f"Without ${name}")

    def preset(self, session: Session, name: str, values: str) -> None:
        """Values for some parameters, under a name."""
        with dpg.group(horizontal=True):
            dpg.add_text(name)
            remove = partial(session.set_preset, name, None)
            self.small(f"×##preset {name}", remove, f"Without the preset {name}")

        def change(text: str) -> None:
            self.read(session, text, lambda given: session.set_preset(name, given))

        self.field(values, self.wide, change)

    def adder(self, session: Session, hint: str, add: Callable[[dict[str, Any]], Any]) -> None:
        """A field for something new."""
        item = self.field("", self.wide, lambda text: self.read(session, text, add))
        dpg.configure_item(item, hint=f"+ {hint}, Enter")

    @staticmethod
    def read(session: Session, text: str, use: Callable[[dict[str, Any]], Any]) -> None:
        """Use pairs that were typed, or say what is wrong with them."""
        try:
            use(pairs(text))
        except ValueError as wrong:
            session.tell(str(wrong), "refused")


def declare(session: Session, given: dict[str, Any]) -> None:
    """New parameters of the graph or group."""
    for name, value in given.items():
        session.set_graph_param(name, value)
