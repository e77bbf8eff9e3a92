"""The runs on this machine: open one, lay its curves over, compare its graph, delete it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import dearpygui.dearpygui as dpg

from .. import files, runs
from ..changes import changes
from ..graph import GraphError, choose
from .curves import Curves
from .documents import Documents
from .live import Live
from .palette import Palette
from .popups import Popups


class RunsPanel:
    """A table of the folder of runs; read when the tab comes to the front, and when asked."""

    def __init__(
        self, palette: Palette, documents: Documents, popups: Popups, curves: Curves,
        seen: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.palette, self.documents, self.popups = palette, documents, popups
        self.curves, self.seen = curves, seen
        self.scale = 1.0

    def show(self, live: Live, parent: str) -> None:
        """Read the folder, and draw the table."""
        found = runs.runs(live.out) if live.out.is_dir() else []
        p = self.palette
        dpg.delete_item(parent, children_only=True)
        dpg.push_container_stack(parent)
        with dpg.group(horizontal=True):
            count = f"{len(found)} run{'s' * (len(found) != 1)}"
            dpg.add_text(f"{count} in {live.out.absolute()}", color=p.dim)
            dpg.add_button(label="Read again", small=True, callback=lambda: self.show(live, parent))
        with dpg.table(header_row=True, policy=dpg.mvTable_SizingStretchProp, resizable=True):
            for label in ("run", "graph", "preset", "seed", "steps", "best"):
                dpg.add_table_column(label=label)
            dpg.add_table_column(width_fixed=True, init_width_or_weight=260 * self.scale)
            for run in found:
                with dpg.table_row():
                    here = self.documents.training(run.folder)
                    dpg.add_text(run.name, color=p.accent if here else p.text)
                    dpg.add_text(run.title)
                    dpg.add_text(run.preset or "—")
                    dpg.add_text(str(run.seed))
                    dpg.add_text(done(run))
                    best = (f"{k} {v.best:.4g}" for k, v in [*run.metrics.items()][:3])
                    dpg.add_text(", ".join(best) or "—")
                    self.buttons(live, run, here, parent)
        dpg.pop_container_stack()

    def buttons(self, live: Live, run: runs.Run, here: bool, parent: str) -> None:
        """What can be done with a run."""
        with dpg.group(horizontal=True):
            if not here:
                for label, do in (("open", self.open), ("overlay", self.overlay)):
                    dpg.add_button(label=f"{label}##{run.name}", small=True,
                                   callback=partial(do, live, run))  # fmt: skip
            dpg.add_button(label=f"compare##{run.name}", small=True,
                           callback=partial(self.compare, live, run))  # fmt: skip
            if not here:
                dpg.add_button(label=f"delete##{run.name}", small=True,
                               callback=partial(self.delete, live, run, parent))  # fmt: skip

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

    def delete(self, live: Live, run: runs.Run, parent: str) -> None:
        """Remove a run's folder, after a question."""

        def gone() -> None:
            try:
                runs.delete(run.folder)
            except (GraphError, OSError) as wrong:
                live.session.tell(str(wrong), "error")
            self.show(live, parent)

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
