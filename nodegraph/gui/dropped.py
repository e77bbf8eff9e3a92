"""A picture that is dropped on the window: put through the run that is open, shown, and saved."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from .documents import Documents, Tab
from .popups import Popups
from .textures import Textures

HIGH = 360  # pixels of a picture
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


class Dropped:
    """One picture at a time, by `nodegraph run` in a process of its own."""

    def __init__(
        self, popups: Popups, documents: Documents,
        choose: Callable[[str, str, Callable[[Path], Any]], Any],
    ) -> None:  # fmt: skip
        self.popups, self.documents, self.choose = popups, documents, choose
        self.textures = Textures()
        self.folder = Path(tempfile.mkdtemp(prefix="nodegraph-pictures-"))
        self.process: subprocess.Popen[str] | None = None
        self.given, self.out, self.count = Path(), Path(), 0

    def ask(self) -> None:
        """Choose a picture, instead of dropping it."""

        def chosen(path: Path) -> None:
            self.popups.close()
            self.put(path)

        title = "Put a picture through the network"
        self.popups.files(title, Path.cwd(), chosen, save=False, suffixes=SUFFIXES)

    def take(self, path: Path) -> None:
        """A file that was dropped: a graph is opened, a picture put through the run."""
        if path.suffix in (".yaml", ".yml"):
            self.documents.open(path)
        else:
            self.put(path)

    def put(self, path: Path) -> None:
        """Begin with a picture. The selected node gives the result, else the only one that can."""
        tab = self.documents.tab
        if (refused := self.refusal(tab, path)) or tab is None:
            self.documents.tell(refused, "refused")
            return
        self.count += 1
        self.given, self.out = path, self.folder / f"{self.count}.png"
        words = [sys.executable, "-m", "nodegraph", "run", str(tab.live.folder)]
        words += ["--input", str(path), "--output", str(self.out)]
        chosen = tab.session.nodes_selected if not tab.session.path else []
        words += ["--to", next(iter(chosen))] if len(chosen) == 1 else []
        self.process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.documents.tell(f"puts {path.name} through the network …")

    def refusal(self, tab: Tab | None, path: Path) -> str:
        """Why a picture can't be put through now, or ""."""
        if tab is None or tab.live.folder is None:
            return "train, or open a run: a picture is put through the network that it has"
        if tab.live.remote:
            return f"the run is on {tab.live.remote}: use `nodegraph run` there"
        if path.suffix.lower() not in SUFFIXES:
            return f"{path.name} is no picture or graph: drop {', '.join(SUFFIXES)} or .yaml"
        return "one picture is on its way: wait for it" if self.process else ""

    def poll(self) -> bool:
        """Show what has come out; whether something has."""
        self.textures.sweep()
        if self.process is None or self.process.poll() is None:
            return False
        _, told = self.process.communicate()
        failed, self.process = self.process.returncode, None
        lines = told.strip().splitlines() or ["it ended"]
        if failed:
            hint = "; select that node, then drop again" if "--to" in lines[-1] else ""
            self.documents.tell(lines[-1] + hint, "error")
        else:
            self.documents.tell(lines[-1])
            self.show()
        return True

    def show(self) -> None:
        """The picture and what was made of it, side by side."""
        shown = [self.textures.of_file(k, p) for k, p in
                 (("given", self.given), ("made", self.out))]  # fmt: skip
        pictures = [s for s in shown if s is not None]
        wide = [int(HIGH * s.width / s.height) for s in pictures]
        self.popups.window(120, 90, sum(wide) + 60, f"{self.given.name}, and what it becomes")
        with dpg.group(parent=self.popups.tag):
            with dpg.group(horizontal=True):
                for one, width in zip(pictures, wide, strict=True):
                    dpg.add_image(one.texture, width=width, height=HIGH)
            dpg.add_button(label="Save…", tag="dropped:save", callback=lambda: self.save())

    def save(self) -> None:
        """Write the result where the person says."""
        out = self.out
        self.choose("Save the picture", ".png", lambda target: shutil.copyfile(out, target))

    def close(self) -> None:
        """The window closes."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
