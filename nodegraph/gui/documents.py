"""The open graphs, a tab each: opened, saved, closed, recovered; and nothing is lost unasked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from .. import files, preferences, provenance, runs
from ..graph import GraphError
from ..journal import Journal
from ..library import Library
from ..session import Clipboard, Session
from .gestures import Gestures
from .live import Live
from .popups import Popups

LOOK = 2.0  # seconds between two looks at the file on disk


class SystemClipboard(Clipboard):
    """The clipboard of the desktop, so that nodes go to another window and to a text editor."""

    @property
    def text(self) -> str:
        """What was copied last, by any program."""
        return dpg.get_clipboard_text() or ""

    @text.setter
    def text(self, text: str) -> None:
        dpg.set_clipboard_text(text)


@dataclass
class Tab:
    """An open graph, the hand on it, and its training."""

    session: Session
    gestures: Gestures
    live: Live


class Documents:
    """All tabs, the one in front, and what the editor remembers. `changed` is called when another
    tab is in front."""

    def __init__(self, library: Library, popups: Popups, changed: Callable[[], Any]) -> None:
        self.library, self.popups, self.changed = library, popups, changed
        self.settings = preferences.load()
        self.journal = Journal()
        self.clipboard = SystemClipboard()
        self.tabs: list[Tab] = []
        self.active = -1
        self.looked = 0.0  # when the file was last compared with the one on disk

    @property
    def tab(self) -> Tab | None:
        """The tab in front."""
        return self.tabs[self.active] if 0 <= self.active < len(self.tabs) else None

    def tell(self, text: str, kind: str = "info") -> None:
        """Show a message."""
        if self.tab is not None:
            self.tab.session.tell(text, kind)
        else:
            self.popups.question("nodegraph", text, [("Close", lambda: None)])

    def remember(self, **changes: Any) -> None:
        """Change the settings, and keep them."""
        self.settings = replace(self.settings, **changes)
        preferences.save(self.settings)

    # Tabs -----------------------------------------------------------------------------------------

    def attach(self, session: Session) -> Tab:
        """A tab for a session, in front, with all of its graph in sight."""
        gestures = Gestures(session)
        session.clipboard = self.clipboard
        self.tabs.append(Tab(session, gestures, Live(session)))
        self.show(len(self.tabs) - 1)  # the window gives the view its size
        gestures.fit()
        return self.tabs[-1]

    def show(self, index: int) -> None:
        """Bring a tab to the front; −1 shows the gallery when there is none."""
        self.active = index
        self.popups.close()
        self.changed()

    def next(self) -> None:
        """The tab after this one."""
        if self.tabs:
            self.show((self.active + 1) % len(self.tabs))

    def close(self, index: int | None = None) -> None:
        """Close a tab; asks when something would be lost."""
        index = self.active if index is None else index
        if not 0 <= index < len(self.tabs):
            return
        tab = self.tabs[index]

        def gone() -> None:
            at = self.tabs.index(tab)
            tab.live.stop()
            del self.tabs[at]
            after = self.active - (at < self.active)
            self.show(min(after, len(self.tabs) - 1))

        if not tab.session.changed:
            gone()
            return
        self.popups.question(
            "Not saved", f"{tab.session.title} has changes that are not saved.",
            [("Save", lambda: self.save(tab, then=gone)), ("Discard", gone),
             ("Cancel", lambda: None)],
        )  # fmt: skip

    def unsaved(self) -> list[str]:
        """The titles of what has changes that are not saved."""
        return [t.session.title for t in self.tabs if t.session.changed]

    # Files ----------------------------------------------------------------------------------------

    def open(self, path: Path, copy: bool = False) -> None:
        """Open a file in a tab of its own, or bring the one that has it to the front."""
        if path.suffix == ".png":
            self.open_picture(path)
            return
        for index, tab in enumerate(self.tabs):
            if not copy and tab.session.file == path.absolute():
                self.show(index)
                return
        try:
            session = Session.open(path, copy=copy, library=self.library)
        except (GraphError, OSError) as wrong:
            self.tell(str(wrong), "error")
            return
        if not copy:
            self._opened(path)
        self.attach(session)

    def open_run(self, folder: Path, checkpoint: str = "", branch: bool = False) -> None:
        """The graph of a run in a tab, and the run at a checkpoint, paused; or a branch of it."""
        try:
            graph = runs.Checkpoint.parse(checkpoint).graph if checkpoint else 0
            edits = [e.graph for e in runs.edits(folder) if not e.update]
            number = graph if checkpoint else max(edits, default=0)
            text, preset, _ = runs.graph_text(folder, number)
            session = Session(files.parse(text, str(folder)).graph, library=self.library)
        except GraphError as wrong:
            self.tell(str(wrong), "error")
            return
        live = self.attach(session).live
        live.options.preset = preset
        if branch:
            live.folder = folder
            live.branch(checkpoint)
        else:
            live.resume(folder, checkpoint)

    def open_picture(self, path: Path) -> None:
        """The state that a picture of a run shows: its graph, and a branch from its checkpoint."""
        try:
            about = provenance.read_png(path)
        except (OSError, ValueError) as wrong:
            self.tell(str(wrong), "error")
            return
        places = [*path.absolute().parents[1:3], Path("runs") / str(about.get("run", ""))]
        folder = next((p for p in places if (p / runs.ABOUT).is_file()), None)
        name = str(about.get("checkpoint", ""))
        if folder is None or not (folder / "checkpoints" / name).is_dir() or not name:
            gone = f"checkpoint {name} of " if folder and name else ""
            self.tell(f"{path.name} shows step {about.get('step')} of {about.get('run')}: {gone}"
                      "that run is not here any more", "error")  # fmt: skip
            return
        self.open_run(folder, name, branch=True)

    def new(self) -> None:
        """An empty graph."""
        self.attach(Session(library=self.library))

    def ask_open(self) -> None:
        """Choose a file to open."""
        folder = self.tab.session.file.parent if self.tab and self.tab.session.file else Path.cwd()

        def chosen(path: Path) -> None:
            self.popups.close()
            self.open(path)

        self.popups.files("Open", folder, chosen, save=False, suffixes=(".yaml", ".yml", ".png"))

    def save(
        self, tab: Tab | None = None, as_: bool = False, then: Callable[[], Any] = lambda: None
    ) -> None:
        """Save a tab (the one in front), asking for a name if it has none."""
        tab = tab or self.tab
        if tab is None:
            return
        session = tab.session

        def done(path: Path) -> None:
            self.popups.close()
            if session.save(path):
                self._opened(path)
                then()

        def overwrite() -> None:
            session.keep_mine()
            if session.save():
                then()

        if session.file is None or as_:
            start = session.file.parent if session.file else Path.cwd()
            self.popups.files("Save as", start, done, save=True)
        elif session.disk_changed():
            self.popups.question(
                "Changed on disk", f"{session.file.name} was changed by another program.",
                [("Overwrite it", overwrite),
                 ("Reload it", session.reload), ("Cancel", lambda: None)],
            )  # fmt: skip
        elif session.save():
            then()

    def _opened(self, path: Path) -> None:
        self.settings = preferences.opened(self.settings, path.absolute())
        preferences.save(self.settings)

    # What goes on by itself -----------------------------------------------------------------------

    def tick(self, now: float) -> bool:
        """Keep the journal, and look at the file on disk; whether a question was opened."""
        self.journal.tick(now, [t.session for t in self.tabs])
        if self.tab is None or now - self.looked <= LOOK or self.popups.open:
            return False
        self.looked = now
        session = self.tab.session
        if not session.disk_changed():
            return False
        name = session.file.name if session.file else ""
        self.popups.question(
            "Changed on disk", f"{name} was changed by another program.",
            [("Reload it", session.reload), ("Keep mine", session.keep_mine)],
        )  # fmt: skip
        return True

    def recover(self) -> None:
        """Offer what a session that ended badly left."""
        found = self.journal.orphans()
        if not found:
            return

        def restore() -> None:
            for lost in found:
                try:
                    session = Session.recover(lost.text, lost.file, self.library)
                    self.journal.adopt(lost, session)
                    self.attach(session)
                except GraphError as wrong:
                    self.tell(str(wrong), "error")

        def discard() -> None:
            for lost in found:
                self.journal.discard(lost)

        names = ", ".join(lost.title for lost in found)
        self.popups.question(
            "Recovered", f"The editor ended without closing {names}. Bring it back?",
            [("Bring back", restore), ("Discard", discard), ("Later", lambda: None)],
        )  # fmt: skip
