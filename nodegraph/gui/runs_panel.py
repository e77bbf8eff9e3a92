"""The runs on this machine: open one, lay its curves over, compare its graph, delete it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial

import dearpygui.dearpygui as dpg

from .. import files, runs
from ..changes import changes
from ..graph import GraphError, choose
from .curves import Curves
from .documents import Documents
from .flow import Flow
from .live import Live
from .palette import Palette
from .popups import Popups

ROWS = 2  # that are drawn in a frame
HEAD, LEAST = 34, 130  # pixels over the table, and of the table at least


class RunsPanel:
    """A table of the folder of runs; read when the tab comes to the front, and when asked."""

    def __init__(
        self, palette: Palette, documents: Documents, popups: Popups, curves: Curves,
        seen: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.palette, self.documents, self.popups = palette, documents, popups
        self.curves, self.seen = curves, seen
        self.scale, self.wide = 1.0, 600.0
        self.parent = ""  # where it is drawn
        self.live: Live | None = None
        self.reading: Future[list[runs.Run]] | None = None
        self.rows: Iterator[None] = iter(())  # adds a row each time
        self.drawn, self.count = 0, 0
        self.table: int | str = 0

    def show(self, live: Live, parent: str) -> None:
        """Read the folder in a thread: many runs take a second. What is shown stays meanwhile."""
        self.live, self.parent = live, parent
        if not dpg.get_item_children(parent, 1):
            dpg.add_text("Reading the runs…", color=self.palette.dim, parent=parent)
        reading: Future[list[runs.Run]] = Future()
        self.reading = reading

        def read() -> None:
            try:
                reading.set_result(runs.runs(live.out) if live.out.is_dir() else [])
            except Exception as wrong:  # told in the window's thread
                reading.set_exception(wrong)

        threading.Thread(target=read, name="runs", daemon=True).start()

    def poll(self) -> bool:
        """Draw what was read, some rows at a time; whether there is anything to come."""
        if self.reading is not None and self.reading.done():
            found, self.reading = self.reading.result(), None
            self.draw(found)
        if self.table and dpg.does_item_exist(self.table):
            room = dpg.get_item_rect_size(self.parent)[1] - HEAD * self.scale
            high = int(max(room, LEAST * self.scale))  # where it is less, the panel scrolls
            if dpg.get_item_height(self.table) != high:
                dpg.set_item_height(self.table, high)
        for _ in range(ROWS):
            next(self.rows, None)
        return self.reading is not None or self.drawn < self.count

    def draw(self, found: list[runs.Run]) -> None:
        """The head of the table; its rows follow in the next frames."""
        live, p = self.live, self.palette
        assert live is not None
        dpg.delete_item(self.parent, children_only=True)
        dpg.push_container_stack(self.parent)
        with dpg.group(horizontal=True):
            dpg.add_button(label="Read again", callback=lambda: self.show(live, self.parent))
            count = f"{len(found)} run{'s' * (len(found) != 1)}"
            dpg.add_text(f"{count} in {live.out.absolute()}", color=p.dim)
        with dpg.table(
            header_row=True, policy=dpg.mvTable_SizingFixedFit, resizable=True, scrollX=True,
            scrollY=True, freeze_columns=1, freeze_rows=1, height=-1,
        ) as self.table:  # fmt: skip
            for label in ("run", "", "graph", "preset", "seed", "steps", "best"):
                dpg.add_table_column(label=label)
        dpg.pop_container_stack()
        self.drawn, self.count = 0, len(found)
        self.rows = self.add_rows(live, found, self.table)

    def add_rows(self, live: Live, found: list[runs.Run], table: int | str) -> Iterator[None]:
        """Add a row each time."""
        p = self.palette
        for run in found:
            with dpg.table_row(parent=table):
                here = self.documents.training(run.folder)
                dpg.add_text(run.name, color=p.accent if here else p.text)
                self.buttons(live, run, here)
                dpg.add_text(run.title)
                dpg.add_text(run.preset or "—")
                dpg.add_text(str(run.seed))
                dpg.add_text(done(run))
                best = (f"{k} {v.best:.4g}" for k, v in [*run.metrics.items()][:3])
                dpg.add_text(", ".join(best) or "—")
            self.drawn += 1
            yield

    def buttons(self, live: Live, run: runs.Run, here: bool) -> None:
        """What can be done with a run, in two lines where there is little room."""
        does: dict[str, Callable[..., None]] = {"compare": self.compare}
        if not here:
            does = {"open": self.open, "overlay": self.overlay, **does, "delete": self.delete}
        if run.checkpoints:
            does |= {"branch": self.branch, "attack": self.attack}
        with dpg.group():
            flow = Flow(self.wide / 2, self.scale)
            for label, do in does.items():
                flow.button(label)
                dpg.add_button(label=f"{label}##{run.name}", small=True,
                               callback=partial(do, live, run))  # fmt: skip
            flow.end()

    def branch(self, live: Live, run: runs.Run) -> None:
        """A new run from its newest checkpoint, in a tab of its own: also of one that another
        editor trains."""
        self.documents.open_run(run.folder, run.checkpoints[-1].name, branch=True)

    def attack(self, live: Live, run: runs.Run) -> None:
        """A graph that fools the network of a run, in a tab of its own."""
        ways = {"One step (FGSM)": "fgsm", "Many steps (PGD)": "pgd",
                "The least change": "adversarial_example"}  # fmt: skip
        self.popups.question(
            "Attack", f"Perturb what {run.name} holds out until its network is fooled:",
            [*((label, partial(self.documents.attack, run.folder, by))
               for label, by in ways.items()), ("Cancel", lambda: None)],
        )  # fmt: skip

    def open(self, live: Live, run: runs.Run) -> None:
        """Open a run's graph in a tab of its own, at its newest checkpoint, paused."""
        self.documents.open_run(run.folder)

    def overlay(self, live: Live, run: runs.Run) -> None:
        """Its curves over those of this run, or no more."""
        other = Live(live.session, live.out)
        other.stages = [*run.stages]
        other.read(run.folder)
        self.curves.lay_over(run.name, other.curves)
        self.seen("Curves")

    def compare(self, live: Live, run: runs.Run) -> None:
        """What differs between its graph and the one that is open, and how both did."""
        try:
            was = choose(files.parse(run.text, str(run.folder)).graph, run.preset, run.settings)
            found = changes(was, choose(live.session.root, live.options.preset))
        except GraphError as wrong:
            self.popups.question("Compare", str(wrong), [("Close", lambda: None)])
            return
        rows = [("from the run", "to the open graph")]
        rows += [("", change.text) for change in found] or [("", "the same graph")]
        for name, series in run.metrics.items():
            mine = live.curves.get(name)
            now = f"{mine.values[-1]:.4g}" if mine and mine.values else "—"
            rows.append((name, f"{series.last:.4g} there, {now} here"))
        self.popups.table(f"{run.name} against {live.session.title}", rows)

    def delete(self, live: Live, run: runs.Run) -> None:
        """Remove a run's folder, after a question."""

        def gone() -> None:
            try:
                runs.delete(run.folder)
            except (GraphError, OSError) as wrong:
                live.session.tell(str(wrong), "error")
            self.show(live, self.parent)

        self.popups.question(
            "Delete a run", f"Delete {run.name} with its checkpoints and pictures for good?",
            [("Delete", gone), ("Keep", lambda: None)],
        )  # fmt: skip


def done(run: runs.Run) -> str:
    """How far a run came, in words."""
    if run.index >= len(run.stages) > 0:
        return f"{sum(steps for _, steps in run.stages):,}, finished"
    if not run.stages:  # its graph can't be read
        return f"{run.step:,}" + (f" of stage {run.index + 1}" if run.index else "")
    name, steps = run.stages[run.index]
    where = f" in {name}" if len(run.stages) > 1 else ""
    return f"{run.step:,} of {steps:,}{where}"
