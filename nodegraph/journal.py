"""Unsaved work of every open graph, kept in the user's state folder so that a crash loses little.

Each running editor has a folder there with a lock file that it holds. The system releases the lock
when the process ends, however it ends: a folder that can be locked belongs to an editor that
crashed, and one that cannot to an editor that lives. A process id would be given to another
process some day; the lock is right on Linux, macOS and Windows.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import files
from .graph import Graph, GraphError
from .lock import Held, lock
from .preferences import state_folder, write_whole
from .session import Session

EVERY = 1.0  # seconds between two writes of a graph: at most 2 are lost, writing included


@dataclass(frozen=True)
class Recovered:
    """What a crashed editor had not saved."""

    title: str
    file: Path | None
    when: float  # seconds since 1970
    text: str
    entry: Path


class Journal:
    """The journal of this process. Nothing here raises for what is on disk: `trouble` tells it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.trouble = ""
        self.root = (folder or state_folder()) / "journal"
        self.folder: Path | None = None
        self._lock: Held | None = None
        self._claimed: dict[Path, Held] = {}  # folders of crashed editors
        self._kept: dict[int, tuple[int, float]] = {}  # session: its edition as written, and when
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        try:
            self._open()
        except OSError as wrong:
            self.trouble = f"unsaved work is not kept: {wrong}"
        self._writer = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._writer.start()

    def _open(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        for _ in range(100):  # another editor that looks for orphans may lock it for a moment
            folder = self.root / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(4).hex()}"
            folder.mkdir()
            try:
                self._lock = lock(folder / "lock")
            except FileNotFoundError:  # taken for an empty one and removed
                continue
            if self._lock is not None:
                self.folder = folder
                return

    # While editing ------------------------------------------------------------------------------

    def tick(self, now: float, sessions: Collection[Session]) -> None:
        """Keep what changed in any of `sessions`, all that are open; called several times a second.

        Writing is done by a thread: a graph is a value that nobody changes meanwhile. `now` is in
        seconds of any clock.
        """
        if self.folder is None:
            return
        for session in sessions:
            edition, when = self._kept.get(session.id, (0, -EVERY))
            if not session.changed:
                self._forget(session.id)
            elif session.edition != edition and not 0 <= now - when < EVERY:
                self._kept[session.id] = (session.edition, now)
                graph, title, file = session.root, session.title, session.file
                entry = self._entry(session.id)
                self._jobs.put(partial(self._write, entry, graph, title, file))
        for gone in self._kept.keys() - {session.id for session in sessions}:
            self._forget(gone)

    def _entry(self, session: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{session}.json"

    def _forget(self, session: int) -> None:
        if self._kept.pop(session, None) is not None:
            entry = self._entry(session)
            self._jobs.put(lambda: entry.unlink(missing_ok=True))

    def _write(self, entry: Path, graph: Graph, title: str, file: Path | None) -> None:
        try:
            text = files.dumps(graph)
        except GraphError as wrong:
            self.trouble = f"unsaved work is not kept: {wrong}"
            return
        name = str(file) if file else None
        data = {"title": title, "file": name, "when": time.time(), "text": text}
        write_whole(entry, json.dumps(data))
        self.trouble = ""

    def _write_all(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except OSError as wrong:
                self.trouble = f"unsaved work is not kept: {wrong}"

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all is written."""
        done = threading.Event()
        self._jobs.put(done.set)
        return done.wait(timeout)

    def close(self) -> None:
        """The end of a session in peace: nothing of it is kept."""
        self._jobs.put(None)
        self._writer.join(2)
        for held in self._claimed.values():
            held.close()
        self._claimed.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    # After a crash ------------------------------------------------------------------------------

    def orphans(self) -> list[Recovered]:
        """What crashed editors left, newest first. From now on no other editor offers it."""
        found: list[Recovered] = []
        for folder in _folders(self.root):
            if folder == self.folder:
                continue
            if folder not in self._claimed:
                held = _claim(folder)
                if held is None:
                    continue
                self._claimed[folder] = held
            entries = [*_read(folder)]
            found += entries
            if not entries:
                self._release(folder)
        return sorted(found, key=lambda r: -r.when)

    def adopt(self, recovered: Recovered, session: Session) -> None:
        """The recovered work is `session`'s from now on. It is on disk at every moment."""
        if self.folder is not None:
            try:
                os.replace(recovered.entry, self._entry(session.id))
                self._kept[session.id] = (0, float("-inf"))
            except OSError as wrong:
                self.trouble = f"unsaved work is not kept: {wrong}"
        self._release(recovered.entry.parent)

    def discard(self, recovered: Recovered) -> None:
        """The recovered work is not wanted."""
        recovered.entry.unlink(missing_ok=True)
        self._release(recovered.entry.parent)

    def _release(self, folder: Path) -> None:
        """Remove a crashed editor's folder when nothing is left in it to offer."""
        if folder not in self._claimed or any(_read(folder)):
            return
        if not any(folder.glob("*.json")):  # else there are damaged ones, which are left alone
            shutil.rmtree(folder, ignore_errors=True)
        self._claimed.pop(folder).close()


def _claim(folder: Path) -> Held | None:
    """The lock of a crashed editor's folder; None when the editor lives."""
    try:
        if (folder / "lock").exists():
            return lock(folder / "lock")
        folder.rmdir()  # of one that ended before it had its lock
    except OSError:
        pass
    return None


def _folders(root: Path) -> Iterable[Path]:
    try:
        return sorted(p for p in root.iterdir() if p.is_dir())
    except OSError:
        return ()


def _read(folder: Path) -> Iterable[Recovered]:
    """The entries of a folder that make sense. Damaged ones stay where they are."""
    for entry in sorted(folder.glob("*.json")):
        try:
            data: Any = json.loads(entry.read_text(encoding="utf-8"))
            text, title, file, when = (data[k] for k in ("text", "title", "file", "when"))
            if isinstance(text, str) and isinstance(title, str) and isinstance(when, (int, float)):
                yield Recovered(title, Path(file) if file else None, float(when), text, entry)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
