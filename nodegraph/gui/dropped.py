"""Pictures that are dropped on the window: put through the run that is open, shown, and saved."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from .canvas import Shown
from .documents import Documents, Tab
from .popups import Popups
from .textures import Textures

HIGH = 360  # pixels of a picture, and of two that stand above each other
MANY = 5  # pictures that are shown of many
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


class Dropped:
    """Pictures, by `nodegraph run` in a process of its own; what is dropped together goes
    together."""

    def __init__(
        self, popups: Popups, documents: Documents,
        choose: Callable[[str, str, Callable[[Path], Any]], Any],
    ) -> None:  # fmt: skip
        self.popups, self.documents, self.choose = popups, documents, choose
        self.textures = Textures()
        self.folder = Path(tempfile.mkdtemp(prefix="nodegraph-pictures-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.errors = self.folder / "errors.txt"
        self.given: list[Path] = []
        self.out = Path()  # the folder of the results
        self.count = self.done = 0

    def ask(self) -> None:
        """Choose a picture or a folder, instead of dropping it."""

        def chosen(path: Path) -> None:
            self.popups.close()
            self.put([path])

        title = "Put a picture through the network"
        self.popups.files(title, Path.cwd(), chosen, save=False, suffixes=SUFFIXES, or_folder=True)

    def take(self, paths: list[Path]) -> None:
        """What was dropped: graphs are opened, pictures put through the run."""
        graphs = [p for p in paths if p.suffix in (".yaml", ".yml")]
        for path in graphs:
            self.documents.open(path)
        if others := [p for p in paths if p not in graphs]:
            self.put(others)

    def put(self, paths: list[Path]) -> None:
        """Begin with pictures and folders. They go in where the selected source is, and the other
        selected node gives the results; else the only ones that can."""
        tab = self.documents.tab
        pictures = [p for path in paths for p in ([path] if not path.is_dir() else inside(path))]
        if (refused := self.refusal(tab, paths, pictures)) or tab is None:
            self.documents.tell(refused, "refused")
            return
        self.count += 1
        self.given, self.done = pictures, 0
        self.out = self.folder / f"{self.count}"
        self.out.mkdir()
        words = [sys.executable, "-m", "nodegraph", "run", str(tab.live.folder)]
        words += ["--output", str(self.out)]
        chosen = tab.session.nodes_selected if not tab.session.path else []
        fed = {name: bool(tab.session.graph.inputs_of(name)) for name in chosen}
        for option, is_fed in (("--from", False), ("--to", True)):
            ends = [name for name in chosen if fed[name] == is_fed]
            words += [option, *ends] if len(ends) == 1 else []
        with self.errors.open("w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [*words, "--input", *map(str, pictures)], stdout=subprocess.DEVNULL, stderr=errors
            )
        what = pictures[0].name if len(pictures) == 1 else f"{len(pictures)} pictures"
        self.documents.tell(f"puts {what} through the network …")

    def refusal(self, tab: Tab | None, paths: list[Path], pictures: list[Path]) -> str:
        """Why pictures can't be put through now, or ""."""
        if tab is None or tab.live.folder is None:
            return "train, or open a run: a picture is put through the network that it has"
        if tab.live.remote:
            return f"the run is on {tab.live.remote}: use `nodegraph run` there"
        known = ", ".join(SUFFIXES)
        if not pictures:
            return f"{paths[0].name} has no pictures: {known}"
        for path in pictures:
            if path.suffix.lower() not in SUFFIXES:
                return f"{path.name} is no picture or graph: drop {known} or .yaml"
        return "pictures are on their way: wait for them" if self.process else ""

    def poll(self) -> bool:
        """Show what has come out; whether something has."""
        self.textures.sweep()
        if self.process is None:
            return False
        if self.process.poll() is None:
            return self.progress()
        failed, self.process = self.process.returncode, None
        lines = self.errors.read_text("utf-8", "replace").strip().splitlines() or ["it ended"]
        if failed:
            unclear = lines[-1].startswith(("--from: ", "--to: "))
            hint = "; select that node, then drop again" if unclear else ""
            self.documents.tell(lines[-1] + hint, "error")
        else:
            self.documents.tell("done: the results are shown, and can be saved")
        if self.made():
            self.show()
        return True

    def progress(self) -> bool:
        """Tell how many are done; whether there are more than before."""
        before, self.done = self.done, len({given for given, _ in self.results()})
        if self.done == before or len(self.given) == 1:
            return False
        bar = "▰" * (part := 20 * self.done // len(self.given)) + "▱" * (20 - part)
        self.documents.tell(f"{bar}  {self.done} of {len(self.given)} pictures")
        return True

    def made(self) -> list[Path]:
        """The results that are there."""
        return sorted(self.out.iterdir(), key=lambda p: (len(p.name), p.name))

    def results(self) -> list[tuple[Path, Path]]:
        """Each picture with what was made of it; of a pyramid with each level."""
        found: dict[str, list[Path]] = {}
        for made in self.made():
            found.setdefault(re.sub(r"-\d+$", "", made.stem), []).append(made)
        found |= {made.stem: [made] for made in self.made()}
        names = [(p, p.stem if p.stem in found else p.name) for p in self.given]
        return [(p, made) for p, name in names for made in found.get(name, ())]

    def show(self) -> None:
        """The pictures and what was made of them: one beside its result, many above theirs."""
        pairs = self.results()
        many = len(pairs) > 1
        high = HIGH // 2 if many else HIGH
        shown = [
            (given, found)
            for i, (given, result) in enumerate(pairs[:MANY])
            if (found := self.textures_of(i, given, result))
        ]
        widths = [[int(high * s.width / s.height) for s in found] for _, found in shown]
        wide = sum(max(w) if many else sum(w) for w in widths) + 12 * len(shown) + 60
        title = f"{self.given[0].name}, and what it becomes"
        if many:
            title = f"{len(shown)} of {len(pairs)} pictures, and what they become"
        self.popups.window(120, 90, wide, title)
        with dpg.group(parent=self.popups.tag):
            with dpg.group(horizontal=True):
                for (_, found), sizes in zip(shown, widths, strict=True):
                    with dpg.group(horizontal=not many):
                        for one, width in zip(found, sizes, strict=True):
                            dpg.add_image(one.texture, width=width, height=high)
            save = self.save_all if many else self.save
            dpg.add_button(label="Save…", tag="dropped:save", callback=lambda: save())

    def textures_of(self, number: int, given: Path, result: Path) -> list[Shown]:
        """A picture and its result, as far as they can be shown."""
        shown = [self.textures.of_file(f"{k}{number}", p) for k, p in
                 (("given", given), ("made", result))]  # fmt: skip
        return [s for s in shown if s is not None]

    def save(self) -> None:
        """Write the result where the person says."""
        (out,) = self.made()
        self.choose("Save the picture", ".png", lambda target: shutil.copyfile(out, target))

    def save_all(self) -> None:
        """Write the results into a new folder, in one that the person chooses."""
        out, name = self.out, f"made of {len(self.made())} pictures"

        def chosen(folder: Path) -> None:
            self.popups.close()
            target = folder / name
            try:
                shutil.copytree(out, target)
            except OSError as wrong:
                why = "it is there already" if target.exists() else wrong.strerror
                self.documents.tell(f"{target} was not written: {why}", "error")
            else:
                self.documents.tell(f"writes {target}")

        self.popups.files(f"Save as “{name}”", Path.cwd(), chosen, save=False, suffixes=(),
                          or_folder=True)  # fmt: skip

    def close(self) -> None:
        """The window closes."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def inside(folder: Path) -> list[Path]:
    """The pictures in a folder."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
