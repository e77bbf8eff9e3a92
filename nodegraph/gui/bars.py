"""The bars above and below: tabs with the way into groups, and what the editor has to say."""

from __future__ import annotations

from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg

from .boxes import clipped, measure
from .documents import Documents
from .palette import Palette
from .questions import Questions
from .tabs import tab_theme
from .theme import SIZE


class Bars:
    """Draws the containers "tabs" and "status" anew."""

    def __init__(
        self,
        palette: Palette,
        fonts: dict[str, int | str],
        documents: Documents,
        questions: Questions,
    ) -> None:
        self.palette, self.fonts = palette, fonts
        self.documents, self.questions = documents, questions
        self.scale = 1.0

    def show(self) -> None:
        """Both bars."""
        for tag, fill in (("tabs", self.tabs), ("status", self.status)):
            dpg.delete_item(tag, children_only=True)
            with dpg.group(horizontal=True, parent=tag) as row:
                dpg.push_container_stack(row)
                fill()
                dpg.pop_container_stack()

    def tabs(self) -> None:
        """A tab for each graph, the one in front marked; then the groups that are entered."""
        documents = self.documents
        room = dpg.get_viewport_client_width() - 260 * self.scale
        most = max(60.0, room / max(len(documents.tabs), 1) - 60 * self.scale)
        first = self.first(len(documents.tabs), room)
        for index, tab in [*enumerate(documents.tabs)][first:]:
            front = index == documents.active
            mark = " •" if tab.session.changed else ""
            mark += {"running": " ▶", "paused": " ‖", "died": " (died)"}.get(tab.live.state, "")
            title = clipped(tab.session.title, most, SIZE * self.scale)
            with dpg.group(horizontal=True, horizontal_spacing=0):
                show = dpg.add_button(
                    label=f"{title}{mark}##{index}",
                    callback=lambda _, __, i=index: documents.show(i),
                )  # fmt: skip
                shut = dpg.add_button(
                    label=f"×##{index}", callback=lambda _, __, i=index: documents.close(i)
                )
                for item in (show, shut):
                    dpg.bind_item_theme(item, tab_theme(self.palette.name, front))
                if front:
                    dpg.bind_item_font(show, self.fonts["bold"])
            with dpg.tooltip(show):
                dpg.add_text(str(tab.session.file or tab.session.title))
        new = dpg.add_button(label="+", callback=lambda: documents.new())
        dpg.bind_item_theme(new, tab_theme(self.palette.name, False))
        with dpg.tooltip(new):
            dpg.add_text("A new graph (Ctrl+N)")
        session = documents.tab.session if documents.tab else None
        if session is None or not session.path:
            return
        dpg.add_text("   ")
        top = clipped(session.title, 160 * self.scale, SIZE * self.scale)
        dpg.add_button(label=top, callback=partial(session.leave, 0))
        for depth, name in enumerate(session.path):
            dpg.add_text("›", color=self.palette.dim)
            here = depth + 1 == len(session.path)
            item = dpg.add_button(
                label=f"{name}##crumb{depth}", callback=partial(session.leave, depth + 1)
            )
            if here:
                dpg.bind_item_font(item, self.fonts["bold"])

    def first(self, count: int, room: float) -> int:
        """The first tab that is drawn, so that the one in front is in sight."""
        fit = max(1, int(room / (125 * self.scale)))
        return max(0, min(self.documents.active - fit + 2, count - fit)) if count > fit else 0

    def status(self) -> None:
        """What the editor says, in words and their colours."""
        said = self.said()
        rest = sum(measure(text, SIZE * self.scale) + 16 for text, _ in said[1:])
        room = dpg.get_viewport_client_width() - rest - 40 * self.scale
        for index, (text, colour) in enumerate(said):
            line = " ".join(text.split())
            short = clipped(line, max(room, 200), SIZE * self.scale) if index == 0 else line
            item = dpg.add_text(short, color=colour)
            if short != line:
                with dpg.tooltip(item):
                    dpg.add_text(text, wrap=700)

    def said(self) -> list[tuple[str, Any]]:
        """The pieces of the status line: a message first, then the state of the graph."""
        p, tab = self.palette, self.documents.tab
        if tab is None:
            return [("Open a graph, or press Ctrl+N for an empty one.", p.dim)]
        session = tab.session
        rows: list[tuple[str, Any]] = []
        if session.message:
            text, kind = session.message
            rows.append((text, {"refused": p.warning, "error": p.error}.get(kind, p.text)))
        analysis = session.analysis
        if analysis is not None:
            errors = sum(q["severity"] == "error" for q in analysis.problems)
            other = len(analysis.problems) - errors
            counts = ((errors, "error"), (other, "warning"))
            words = ", ".join(f"{n} {w}{'s' * (n > 1)}" for n, w in counts if n) or "no problems"
            rows.append((words, p.error if errors else p.warning if other else p.good))
            total = sum(c["parameters"] for k, c in analysis.costs.items() if "/" not in k)
            rows.append((f"{total:,} weights", p.dim))
        rows += [(told, p.warning) for told in (self.questions.told, self.documents.journal.trouble)
                 if told]  # fmt: skip
        rows.append(("Tab: add · ?: keys · Ctrl+Shift+P: commands", p.dim))
        gap = [(row, ("·", p.dim)) for row in rows]
        return [piece for pair in gap for piece in pair][:-1]
