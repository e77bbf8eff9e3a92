"""The panel at the right: the selected node, the graph itself, all problems, the history."""

from __future__ import annotations

from functools import partial

import dearpygui.dearpygui as dpg

from ..session import Session
from .fields import Fields
from .graph_panel import GraphPanel
from .node_panel import NodePanel, place_of
from .palette import Palette
from .panel import Panel
from .popups import Popups
from .tabs import Tabs

WIDTH = 330
STEPS = 60  # of the history that are shown on either side of the present one


class ChecksPanel(Panel):
    """All problems; the button of each selects its node."""

    def show(self, session: Session) -> None:
        """Every problem of the file."""
        if session.analysis is None:
            self.prose("The graph is being checked.", self.palette.dim)
            return
        if not session.analysis.problems:
            self.prose("No problems: the graph compiles and trains.", self.palette.good)
        for index, problem in enumerate(session.analysis.problems):
            if place := place_of(problem):
                go = partial(session.visit, problem["where"])
                self.small(f"{place}##{index}", go, "Go there and select it")
            self.problem(session, problem)
            dpg.add_separator()


class HistoryPanel(Panel):
    """Every step; a click goes there."""

    def show(self, session: Session) -> None:
        """The steps around the present one, the newest first."""
        labels, here = session.history.labels, session.history.cursor
        first, last = max(0, here - STEPS), min(len(labels) - 1, here + STEPS)
        if last < len(labels) - 1:
            self.prose(f"{len(labels) - 1 - last} later steps", self.palette.dim)
        for index in range(last, first - 1, -1):
            dpg.add_selectable(
                label=f"{labels[index]}##{index}", default_value=index == here,
                callback=lambda _, __, i=index: session.jump(i),
            )  # fmt: skip
        if first:
            self.prose(f"{first} earlier steps", self.palette.dim)


class Inspector:
    """Tabs of panels; the one in front is drawn, the others when they come there."""

    def __init__(self, palette: Palette, fonts: dict[str, int | str], popups: Popups) -> None:
        kinds = {
            "Node": NodePanel, "Graph": GraphPanel, "Checks": ChecksPanel, "History": HistoryPanel,
        }  # fmt: skip
        self.panels: dict[str, Panel] = {
            name: kind(palette, fonts, popups) for name, kind in kinds.items()
        }
        self.session: Session | None = None
        self.tabs = Tabs("inspector", [*kinds], self.turned)

    @property
    def palette(self) -> Palette:
        """The colours of all panels."""
        return self.panels["Node"].palette

    @palette.setter
    def palette(self, palette: Palette) -> None:
        for panel in self.panels.values():
            panel.palette = palette
        self.tabs.style(palette.name)

    @property
    def scale(self) -> float:
        """The size of text, 1 at 100 %."""
        return self.panels["Node"].scale

    @scale.setter
    def scale(self, scale: float) -> None:
        for panel in self.panels.values():
            panel.scale = scale

    def fit(self, wide: int) -> None:
        """Use a width in pixels."""
        for panel in self.panels.values():
            panel.wide = wide - int(44 * self.scale)

    def build(self) -> None:
        """Make the tabs in the current container."""
        self.tabs.build()
        self.tabs.style(self.palette.name)

    def turned(self) -> None:
        """Another tab came to the front."""
        if self.session is not None:
            self.show(self.session)

    @property
    def fields(self) -> Fields:
        """The inputs of the tab in front."""
        return self.panels[self.tabs.front].fields

    def focus(self) -> None:
        """Give the keyboard to the first input; Tab goes on to the next."""
        name = self.tabs.front
        items = [f.item for f in self.panels[name].fields.known if dpg.does_item_exist(f.item)]
        if items:
            dpg.focus_item(items[min(1, len(items) - 1)] if name == "Node" else items[0])

    def show(self, session: Session) -> None:
        """Draw the tab in front anew for a session."""
        self.session = session
        name = self.tabs.front
        panel = self.panels[name]
        panel.fields.clear()
        dpg.delete_item(f"inspector:{name}", children_only=True)
        dpg.push_container_stack(f"inspector:{name}")
        dpg.add_spacer(height=2)
        panel.show(session)
        dpg.pop_container_stack()
        count = len(session.analysis.problems) if session.analysis else 0
        self.tabs.label("Checks", f"Checks ({count})" if count else "Checks")
