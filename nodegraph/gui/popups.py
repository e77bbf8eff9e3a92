"""What opens over the canvas: search, menus, the command palette, help, questions, file names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from ..graph import Graph
from ..scope import Scope
from . import search
from .boxes import Pin, measure
from .palette import DARK, Palette
from .theme import SIZE, padded

ROWS = 12  # results that are shown
WIDTH = 460
LINE = 23  # pixels of a result


@dataclass
class Choice:
    """A row to choose: a name, a word behind it, a line of help, and what it does."""

    name: str
    aside: str
    help: str
    run: Callable[[], Any]


@dataclass
class Popups:
    """At most one thing is open at a time; Escape or a press beside it closes it."""

    palette: Palette = DARK
    scale: float = 1.0
    tag: str = ""
    input: int | str = 0
    choices: list[Choice] = field(default_factory=list)
    at: int = 0
    find: Callable[[str], list[Choice]] | None = None
    wide: float = WIDTH  # of what is in it

    @property
    def open(self) -> bool:
        """Whether something is open, so that keys are not for the canvas."""
        return bool(self.tag)

    def close(self) -> None:
        """Close what is open."""
        if self.tag and dpg.does_item_exist(self.tag):
            dpg.delete_item(self.tag)
        self.tag, self.find, self.choices, self.input = "", None, [], 0

    def holds(self, x: float, y: float) -> bool:
        """Whether a point of the window is over what is open."""
        if not self.tag or not dpg.does_item_exist(self.tag):
            return False
        left, top = dpg.get_item_pos(self.tag)
        w, h = dpg.get_item_rect_size(self.tag)
        return left <= x <= left + w and top <= y <= top + h

    def window(self, x: float, y: float, width: float, title: str = "") -> None:
        """An empty window at a place, inside the viewport."""
        self.close()
        self.tag = "popup"
        wide, high = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        x = max(8, min(x, wide - width - 8))
        y = max(8, min(y, high - 380 * self.scale))
        dpg.add_window(
            tag=self.tag, pos=(int(x), int(y)), width=int(width), no_title_bar=not title,
            label=title, no_resize=True, no_move=not title, no_collapse=True, autosize=True,
            no_scrollbar=True, on_close=lambda: self.close(),
        )  # fmt: skip
        dpg.bind_item_theme(self.tag, padded(12 * self.scale, 10 * self.scale))

    # Lists to choose from -------------------------------------------------------------------------

    def ask(
        self, x: float, y: float, hint: str, find: Callable[[str], list[Choice]], words: str = ""
    ) -> None:
        """A field to type into, the choices that fit, and the help of the one at hand."""
        self.window(x, y, WIDTH * self.scale)
        self.find, self.wide = find, (WIDTH - 24) * self.scale
        self.input = dpg.add_input_text(
            hint=hint, width=int(self.wide), default_value=words, parent=self.tag,
            callback=lambda _, text: self.narrow(text),
        )  # fmt: skip
        dpg.add_group(tag="popup:rows", parent=self.tag)
        dpg.add_separator(parent=self.tag)
        dpg.add_text(tag="popup:help", parent=self.tag, wrap=int(self.wide))
        dpg.focus_item(self.input)
        self.narrow(words)

    def narrow(self, words: str) -> None:
        """Show what fits the words."""
        if self.find is None:
            return
        self.choices = self.find(words)
        self.at = 0
        self.rows()

    def rows(self) -> None:
        """Draw the choices around the one at hand: a name, and a word at the right."""
        dpg.delete_item("popup:rows", children_only=True)
        if not self.choices:
            dpg.add_text("nothing fits", color=self.palette.dim, parent="popup:rows")
        first = min(max(self.at - ROWS // 2, 0), max(len(self.choices) - ROWS, 0))
        shown = self.choices[first : first + ROWS]
        aside = max((measure(c.aside, SIZE * self.scale) for c in shown), default=0.0)
        with dpg.table(
            parent="popup:rows", header_row=False, policy=dpg.mvTable_SizingFixedFit,
            width=int(self.wide), no_pad_outerX=True,
        ):  # fmt: skip
            dpg.add_table_column(width_fixed=True, init_width_or_weight=self.wide - aside - 8)
            dpg.add_table_column(width_fixed=True, init_width_or_weight=aside)
            for index, choice in enumerate(shown, first):
                with dpg.table_row():
                    dpg.add_selectable(
                        label=f"{choice.name}##{index}", default_value=index == self.at,
                        span_columns=True, height=int(LINE * self.scale),
                        callback=lambda _, __, i=index: self.choose(i),
                    )  # fmt: skip
                    dpg.add_text(choice.aside, color=self.palette.dim)
        if self.find is not None:
            # Always two lines high, so that nothing jumps while a person moves through the rows.
            help_ = self.choices[self.at].help if self.choices else ""
            lines = 2 - (measure(help_, SIZE * self.scale) > self.wide)
            more = len(self.choices) - first - len(shown)
            words = f"{help_}\n" if lines == 2 else help_
            dpg.set_value(
                "popup:help", words + (f"{more} more below" if more and lines == 2 else "")
            )
            dpg.configure_item("popup:help", color=self.palette.dim)

    def choose(self, index: int) -> None:
        """Run a choice."""
        if 0 <= index < len(self.choices):
            choice = self.choices[index]
            self.close()
            choice.run()

    def key(self, name: str) -> bool:
        """A key while something is open; whether it was for it."""
        if not self.open:
            return False
        if name == "escape":
            self.close()
        elif self.choices and name in ("down", "up", "tab"):
            self.at = (self.at + (-1 if name == "up" else 1)) % len(self.choices)
            self.rows()
        elif name == "enter" and self.choices:
            self.choose(self.at)
        return True

    def search(
        self, x: float, y: float, graph: Graph, scope: Scope, pin: Pin | None,
        add: Callable[[search.Found], Any], inside: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Search for a node type, of those that fit a pin."""

        def find(words: str) -> list[Choice]:
            found = search.find(words, scope, graph, pin, inside)
            return [
                Choice(f.name, f"{f.category}{f' · {f.alias}' if f.alias else ''}", f.help,
                       partial(add, f))
                for f in found
            ]  # fmt: skip

        what = f"what {pin.node} can go to" if pin and pin.side == "out" else "a node"
        what = f"what can go into {pin.port}" if pin and pin.side == "in" else what
        self.ask(x, y, f"Search {what}: conv, FC, GRL, свёртка …", find)

    def menu(self, x: float, y: float, choices: Sequence[Choice]) -> None:
        """A few things to do, at the cursor."""
        rows = (measure(f"{c.name}    {c.aside}", SIZE * self.scale) for c in choices)
        self.wide = max(170 * self.scale, *rows) + 16
        self.window(x, y, self.wide + 24 * self.scale)
        self.choices, self.at = list(choices), -1
        dpg.add_group(tag="popup:rows", parent=self.tag)
        self.rows()

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Pairs of a key and what it does, in two columns of pairs."""
        wide = dpg.get_viewport_client_width()
        width = min(980 * self.scale, wide - 40)
        self.window((wide - width) / 2, 50, width, title)
        half = (len(rows) + 1) // 2
        with dpg.child_window(
            parent=self.tag, border=False, width=int(width - 24 * self.scale),
            height=int(min(half * 25 * self.scale + 10, dpg.get_viewport_client_height() - 150)),
        ), dpg.table(header_row=False, policy=dpg.mvTable_SizingFixedFit):  # fmt: skip
            for part in (0.19, 0.28, 0.19, 0.27):
                dpg.add_table_column(width_fixed=True, init_width_or_weight=width * part)
            for first, second in zip(rows[:half], [*rows[half:], ("", "")], strict=False):
                with dpg.table_row():
                    for keys, label in (first, second):
                        dpg.add_text(keys, color=self.palette.accent, wrap=int(width * 0.18))
                        dpg.add_text(label, wrap=int(width * 0.25))

    # Questions ------------------------------------------------------------------------------------

    def question(
        self, title: str, text: str, answers: Sequence[tuple[str, Callable[[], Any]]]
    ) -> None:
        """A question with buttons; Escape answers nothing."""
        wide, high = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        self.window(wide / 2 - 230, high / 3, 460 * self.scale, title)
        dpg.add_text(text, wrap=int(430 * self.scale), parent=self.tag)
        with dpg.group(horizontal=True, parent=self.tag):
            for label, run in answers:
                dpg.add_button(label=label, callback=lambda _, __, r=run: self.answer(r))

    def answer(self, run: Callable[[], Any]) -> None:
        """Close, and do what was chosen."""
        self.close()
        run()

    def type(
        self, title: str, label: str, value: str, done: Callable[[str], Any], x: float = -1,
        y: float = -1,
    ) -> None:  # fmt: skip
        """One line to type; Enter takes it."""
        if x < 0:
            x = dpg.get_viewport_client_width() / 2 - 220
            y = dpg.get_viewport_client_height() / 3
        self.window(x, y, 440 * self.scale, title)
        dpg.add_text(label, color=self.palette.dim, parent=self.tag)
        self.input = dpg.add_input_text(
            default_value=value, width=int(410 * self.scale), on_enter=True, parent=self.tag,
            callback=lambda _, text: self.answer(partial(done, text)),
        )  # fmt: skip
        dpg.focus_item(self.input)

    def files(
        self, title: str, start: Path, done: Callable[[Path], Any], save: bool,
        suffixes: Sequence[str] = (".yaml", ".yml"),
    ) -> None:  # fmt: skip
        """Choose a file: folders and files of some kinds to walk through, or a path to type."""

        def listing(words: str) -> list[Choice]:
            path = Path(words).expanduser()
            folder = path if words.endswith("/") or path.is_dir() else path.parent
            part = "" if folder == path else path.name
            rows: list[Choice] = []
            if save and part:
                name = path if path.suffix else path.with_suffix(suffixes[0])
                word = "replace" if name.exists() else "save"
                rows.append(Choice(name.name, word, str(name), partial(done, name)))
            try:
                inside = sorted(folder.iterdir(), key=lambda p: (p.is_file(), p.name.casefold()))
            except OSError:
                inside = []
            for found in [folder.parent, *inside]:
                if found.name.startswith(".") or part.casefold() not in found.name.casefold():
                    continue
                if found.is_dir():
                    label = ".." if found == folder.parent else f"{found.name}/"
                    go = f"{found}/"
                    rows.append(
                        Choice(label, "folder", str(found),
                               partial(self.ask, 120, 90, title, listing, go))
                    )  # fmt: skip
                elif found.suffix in suffixes:
                    rows.append(Choice(found.name, "", str(found), partial(done, found)))
            return rows

        self.ask(120, 90, title, listing, f"{start}/")
