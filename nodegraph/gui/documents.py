"""The open graphs, a tab each: opened, saved, closed, recovered; and nothing is lost unasked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import files, preferences, provenance, runs
from ..attack import against
from ..graph import GraphError
from ..journal import Journal
from ..library import Library
from ..session import Session, resolved
from .desktop import SystemClipboard
from .gestures import Gestures
from .live import Live
from .popups import Popups

LOOK = 2.0  # seconds between two looks at the file on disk


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

    def set(self, **changes: Any) -> None:
        """Change the settings, until the editor ends or they are kept."""
        self.settings = replace(self.settings, **changes)

    def remember(self, **changes: Any) -> None:
        """Change the settings, and keep them."""
        self.set(**changes)
        preferences.save(self.settings)

    # Tabs -----------------------------------------------------------------------------------------

    def attach(self, session: Session) -> Tab:
        """A tab for a session, in front, with its graph in sight."""
        gestures = Gestures(session)
        session.clipboard = self.clipboard
        live = Live(session)
        live.options.remote = self.settings.remote
        live.theme = self.settings.theme
        self.tabs.append(Tab(session, gestures, live))
        self.show(len(self.tabs) - 1)  # the window gives the view its size
        gestures.begin()
        return self.tabs[-1]

    def show(self, index: int) -> None:
        """Bring a tab to the front; −1 shows the gallery when there is none."""
        if self.tab is not None:
            self.tab.gestures.cancel()  # a button may be held
        self.active = index
        self.popups.dismiss()
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

    # Files ----------------------------------------------------------------------------------------

    def open(self, path: Path, copy: bool = False) -> None:
        """Open a file in a tab of its own, or bring the one that has it to the front."""
        if path.suffix == ".png":
            self.open_picture(path)
            return
        for index, tab in enumerate(self.tabs):
            if not copy and tab.session.file == resolved(path):
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

    def training(self, folder: Path) -> bool:
        """Whether a tab has a run that is alive in a folder."""
        lives = (t.live for t in self.tabs if not t.live.remote)
        return any(v.alive and v.folder and resolved(v.folder) == resolved(folder) for v in lives)

    def open_run(self, folder: Path, checkpoint: str = "", branch: bool = False) -> None:
        """The graph of a run in a tab, and the run at a checkpoint, paused; or a branch of it."""
        try:
            graph = runs.Checkpoint.parse(checkpoint).graph if checkpoint else 0
            edits = [e.graph for e in runs.edits(folder) if not e.update]
            number = graph if checkpoint else max(edits, default=0)
            text, preset, _ = runs.graph_text(folder, number)
            if self.training(folder) and not branch:
                raise GraphError(f"{folder.name} is open in a tab already, and trains there")
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

    def attack(self, folder: Path, by: str) -> None:
        """A prebuilt attack on the network of a run, as a graph that is not saved yet."""
        try:
            graph = against(
                files.load(files.graphs_folder() / f"{by}.yaml"), folder, "", self.library
            )
        except GraphError as wrong:
            self.tell(str(wrong), "error")
            return
        self.attach(Session(graph, library=self.library))

    def open_picture(self, path: Path) -> None:
        """The state that a picture of a run shows: its graph, and a branch from its checkpoint."""
        try:
            about = provenance.read_png(path)
        except (OSError, ValueError) as wrong:
            self.tell(str(wrong), "error")
            return
        if "run" not in about:
            self.tell(f"{path.name} is a plot: it shows no state that could be opened", "error")
            return
        name = Path(str(about["run"])).name  # what it says is not to be trusted as a path
        places = [*path.absolute().parents[1:3], Path("runs") / name]
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

        def write(path: Path) -> None:
            if session.save(path):
                self._opened(path)
                then()

        def done(path: Path) -> None:
            """A name was chosen; another file, or another tab's, is not replaced unasked."""
            self.popups.close()
            ours = session.file == resolved(path)
            if any(t.session.file == resolved(path) for t in self.tabs if t is not tab):
                text = f"{path.name} is open in another tab; choose another name."
                self.popups.question("Open elsewhere", text, [("Close", lambda: None)])
            elif ours:
                write(path)
            else:
                self.popups.unless_there(path, write)

        def overwrite() -> None:
            session.keep_mine()
            if session.save():
                then()

        if session.file is None or as_:
            start = session.file.parent if session.file else Path.cwd()
            self.popups.files("Save as", start, done, save=True, name=proposed(session))
        elif session.disk_changed():
            self.popups.question(
                "Changed on disk", f"{session.file.name} was changed by another program.",
                [("Overwrite it", overwrite),
                 ("Reload it", session.reload), ("Cancel", lambda: None)],
            )  # fmt: skip
        elif session.save():
            then()

    def before_quitting(self, leave: Callable[[], Any]) -> None:
        """Leave, once nothing would be lost: what has changes is saved, or the person says so."""
        unsaved = [t for t in self.tabs if t.session.changed]
        if not unsaved:
            leave()
            return

        def save_all() -> None:
            if left := [t for t in self.tabs if t.session.changed]:
                self.show(self.tabs.index(left[0]))
                self.save(left[0], then=save_all)
            else:
                leave()

        titles = ", ".join(t.session.title for t in unsaved)
        self.popups.question(
            "Not saved", f"{titles}: there are changes that are not saved.",
            [("Save all and quit", save_all), ("Discard and quit", leave),
             ("Cancel", lambda: None)],
        )  # fmt: skip

    def _opened(self, path: Path) -> None:
        self.settings = preferences.opened(self.settings, path.absolute())
        preferences.save(self.settings)

    # What goes on by itself -----------------------------------------------------------------------

    def tick(self, now: float, busy: bool) -> bool:
        """Keep the journal, and look at the file on disk, but not while a hand is `busy`; whether
        a question was opened."""
        self.journal.tick(now, [t.session for t in self.tabs])
        if self.tab is None or now - self.looked <= LOOK or busy:
            return False
        self.looked = now
        session = self.tab.session
        if session.file is None or not session.disk_changed():
            return False
        there = not session.disk_deleted()
        text = f"{session.file.name} was {'changed' if there else 'deleted'} by another program."
        keep = ("Keep mine", session.keep_mine)  # it counts as not saved
        if there:
            answers = [("Reload it", session.reload), keep]
        else:
            session.keep_mine()
            answers = [("Write it again", lambda: self.save(self.tab)), keep]
        self.popups.question("Changed on disk" if there else "Deleted", text, answers)
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


def proposed(session: Session) -> str:
    """A name for a session's file."""
    if session.file is not None:
        return session.file.name
    words = "".join(c if c.isalnum() else "_" for c in session.title.lower())
    return f"{words.strip('_') or 'graph'}.yaml"
