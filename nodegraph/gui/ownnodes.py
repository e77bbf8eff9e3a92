"""The user's own folders of node types in the editor: asked about, loaded, remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from .. import library, own
from ..graph import GraphError
from .documents import Documents
from .popups import Popups


class OwnNodes:
    """Asks before any code runs. `changed` is called when the library has other types."""

    def __init__(
        self, popups: Popups, documents: Documents, changed: Callable[[], Any]
    ) -> None:  # fmt: skip
        self.popups, self.documents, self.changed = popups, documents, changed

    def start(self, named: Iterable[Path]) -> None:
        """Load the folders of the command line and of the settings, as far as they are agreed to;
        ask about the others."""
        for path in dict.fromkeys([*named, *map(Path, self.documents.settings.nodes)]):
            self.open(path)

    def choose(self) -> None:
        """Choose a folder by one of its files, and keep it in the settings."""
        folders = library.folders()
        begin = Path(folders[-1]) if folders else Path.cwd()
        self.popups.files(
            "Own nodes: a file of their folder", begin, lambda file: self.open(file.parent, True),
            save=False, suffixes=(".py",),
        )  # fmt: skip

    def open(self, path: Path, keep: bool = False) -> None:
        """Load a folder if what is in it is agreed to; else ask, and do it after a yes."""
        try:
            folder = own.read(path)
        except (GraphError, OSError) as wrong:
            self.documents.tell(str(wrong), "error")
            return
        if own.is_trusted(folder):
            self.load(folder, keep)
            return
        self.popups.question(
            "Run the code of these node files?", own.question(folder),
            [("Leave it out", lambda: None), ("Run it", partial(self.agree, folder, keep))],
        )  # fmt: skip

    def agree(self, folder: own.Folder, keep: bool) -> None:
        """The person said yes to this content."""
        try:
            own.trust(folder)
        except OSError as wrong:
            self.documents.tell(f"what you agreed to can't be kept: {wrong}", "error")
            return
        self.load(folder, keep)

    def load(self, folder: own.Folder, keep: bool) -> None:
        """Add the folder's types, and tell what is wrong with them."""
        wrong = own.load(folder)
        if keep:
            kept = dict.fromkeys([*self.documents.settings.nodes, str(folder.path)])
            self.documents.remember(nodes=tuple(kept))
        self.changed()
        if wrong:
            self.documents.tell("; ".join(wrong), "error")
