"""What stands under the canvas, a tab each: the programme, curves, pictures, runs, messages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from .canvas import Shown
from .curves import Curves
from .documents import Documents, Tab
from .live import Live
from .palette import Palette
from .popups import Popups
from .runs_panel import RunsPanel
from .strip import Strip
from .tabs import Tabs
from .viewer import Viewer

TABS = ("Programme", "Curves", "Pictures", "Runs", "Messages")
BAR = 32  # pixels of the tabs
HIGH = 280  # pixels, until it is dragged to another height


class Dock:
    """The tab in front is drawn when what it shows has changed."""

    def __init__(
        self, palette: Palette, fonts: dict[str, int | str], popups: Popups, documents: Documents,
        once: Callable[[str], Any],
    ) -> None:  # fmt: skip
        self.popups, self.documents = popups, documents
        self.strip = Strip(palette, fonts, popups, once)
        self.curves = Curves(palette, self.choose)
        self.viewer = Viewer(palette, self.choose)
        self.runs = RunsPanel(palette, documents, popups, self.curves, self.turn)
        self.tabs = Tabs("dock", TABS, self.turned)
        self.palette, self.scale = palette, 1.0
        self.seen: tuple[Any, ...] = ()
        self.busy: tuple[Any, ...] = ()  # the folders of the runs that are open

    @property
    def parts(self) -> tuple[Any, ...]:
        """All that is drawn in a palette, at a scale."""
        return self, self.strip, self.curves, self.viewer, self.runs

    def build(self) -> None:
        """Make the tabs in the current container."""
        self.tabs.build(sideways=("Programme", "Pictures"))
        self.tabs.style(self.palette.name)

    @property
    def front(self) -> str:
        """The name of the tab in front."""
        return self.tabs.front

    @property
    def palette(self) -> Palette:
        """The colours."""
        return self._palette

    @palette.setter
    def palette(self, palette: Palette) -> None:
        self._palette = palette
        if dpg.does_item_exist("dock:Programme"):
            self.tabs.style(palette.name)

    def turn(self, name: str) -> None:
        """Bring a tab to the front."""
        if self.front != name:
            self.tabs.bring(name)

    def turned(self) -> None:
        """Another tab came to the front: it is drawn, and may want another height."""
        self.seen = ()
        self.curves.clear()
        self.viewer.clear()

    def height(self, tab: Tab) -> int:
        """The pixels that the tab in front takes at a scale of 1: what is to be seen beside it is
        the canvas, so a long programme is scrolled."""
        return min(self.lines(tab), self.most) if self.front == "Programme" else self.most

    def given(self, tab: Tab) -> bool:
        """Whether the tab in front takes all the height that a person has given to the dock."""
        return self.front != "Programme" or self.lines(tab) > self.most

    def lines(self, tab: Tab) -> int:
        """The pixels that all lines of the programme take."""
        return BAR + self.strip.height(tab.session)

    @property
    def most(self) -> int:
        """The height of the dock, as a person has dragged it."""
        high = self.documents.settings.panels.get("dock", HIGH)
        return int(high) if isinstance(high, (int, float)) else HIGH

    def show(
        self, tab: Tab, shown: dict[str, Shown], looking: int | None, high: int, stale: bool
    ) -> None:
        """Draw the tab in front, where what it shows has changed. `high` is the dock's height;
        `stale`: the session is another than when it was drawn."""
        live, name = tab.live, self.front
        seen = (name, live.revision, id(live), looking, high, self.palette.name, self.scale)
        if name == "Curves" and live.curves and self.seen[:1] == (name,):
            self.curves.hover()
        if seen == self.seen and not stale:
            return
        was = self.seen
        first = not was or was[0] != name or was[2] != id(live) or was[5:] != seen[5:]
        self.seen = seen
        inner = max(high - int((BAR + 22) * self.scale), 60)
        parent = f"dock:{name}"
        if name == "Programme":
            if stale or first:
                self.strip.show(tab.session, parent)
        elif name == "Curves":
            self.curves.show(live, parent, looking, inner)
        elif name == "Pictures":
            self.viewer.show(live, shown, parent, inner, looking)
        elif name == "Runs":
            busy = tuple((t.live.folder, t.live.alive, t.live.remote) for t in self.documents.tabs)
            if first or busy != self.busy:
                self.busy = busy
                self.runs.show(live, parent)
        else:
            self.messages(live, parent)

    def messages(self, live: Live, parent: str) -> None:
        """What was done, and what the run has warned of, the newest first."""
        p = self.palette
        colours = {"warning": p.warning, "error": p.error, "done": p.text}
        dpg.delete_item(parent, children_only=True)
        dpg.push_container_stack(parent)
        if not live.told:
            dpg.add_text("Nothing to tell yet.", color=p.dim)
        for step, kind, text in reversed(live.told[-100:]):
            with dpg.group(horizontal=True):
                dpg.add_text(f"{step:>7,}", color=p.dim)
                word = {"warning": "Warning: ", "error": "Error: "}.get(kind, "")
                dpg.add_text(word + text, color=colours[kind], wrap=int(900 * self.scale))
        for line in [*live.run.log][-12:] if live.run and live.state == "died" else ():
            dpg.add_text(line, color=p.dim)
        dpg.pop_container_stack()

    def choose(self, title: str, suffix: str, done: Callable[[Path], Any]) -> None:
        """Ask for a file to write."""

        def write(path: Path) -> None:
            try:
                done(path)
            except OSError as wrong:
                self.documents.tell(f"{path.name} was not written: {wrong.strerror}", "error")
            else:
                self.documents.tell(f"writes {path}")

        def chosen(path: Path) -> None:
            self.popups.close()
            self.popups.unless_there(path, write)

        self.popups.files(title, Path.cwd(), chosen, save=True, suffixes=(suffix,))
