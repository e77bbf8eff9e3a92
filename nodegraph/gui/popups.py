"""What opens over the canvas: search, menus, the command palette, help, questions, file names."""

from __future__ import annotations

from collections import deque
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
from .fields import Fields
from .palette import DARK, Palette, faded
from .theme import SIZE, button_theme, padded

ROWS = 12  # results that are shown
WIDTH = 460
LINE = 23  # pixels of a result
FOLDER, NEW = "folder", "save"


@dataclass
class Choice:
    """A row to choose: a name, a word behind it, a line of help, and what it does."""

    name: str
    aside: str
    help: str
    run: Callable[[], Any]


Answers = Sequence[tuple[str, Callable[[], Any]]]


@dataclass
class Popups:
    """At most one thing is open at a time. Escape or a press beside it closes it; questions wait
    for each other, and for an answer."""

    palette: Palette = DARK
    scale: float = 1.0
    tag: str = ""
    choices: list[Choice] = field(default_factory=list)
    at: int = 0
    find: Callable[[str], list[Choice]] | None = None
    most: int = ROWS  # rows that are shown at once
    wide: float = WIDTH  # of what is in it
    fields: Fields = field(default_factory=Fields)  # one line to type
    answers: list[int | str] = field(default_factory=list)  # the buttons of a question
    questions: deque[tuple[str, str, Answers]] = field(default_factory=deque)

    @property
    def open(self) -> bool:
        """Whether something is open, so that keys are not for the canvas."""
        return bool(self.tag)

    def close(self) -> None:
        """Close what is open, and ask the next question that waits."""
        if self.tag and dpg.does_item_exist(self.tag):
            dpg.delete_item(self.tag)
        self.tag, self.find, self.choices = "", None, []
        self.fields.clear()
        self.answers.clear()
        if self.questions:
            self.question(*self.questions.popleft())

    def dismiss(self) -> None:
        """Close what is open, if it is no question."""
        if not self.answers:
            self.close()

    def leave(self) -> None:
        """A press beside it: take what was typed, and close. A question stays."""
        if self.fields.known:
            self.fields.take(self.fields.known[0])
        self.dismiss()

    def poll(self) -> bool:
        """Take a line that was typed; whether one was."""
        return self.fields.poll()

    def holds(self, x: float, y: float) -> bool:
        """Whether a point of the window is over what is open."""
        if not self.tag or not dpg.does_item_exist(self.tag):
            return False
        left, top = dpg.get_item_pos(self.tag)
        w, h = dpg.get_item_rect_size(self.tag)
        return left <= x <= left + w and top <= y <= top + h

    def window(self, x: float, y: float, width: float, title: str = "") -> None:
        """An empty window at a place."""
        waiting, self.questions = self.questions, deque()
        self.close()
        self.questions = waiting
        self.tag = "popup"
        dpg.add_window(
            tag=self.tag, pos=(int(x), int(y)), width=int(width), no_title_bar=not title,
            label=title, no_resize=True, no_move=not title, no_collapse=True, autosize=True,
            no_scrollbar=True, on_close=lambda: self.close(),
        )  # fmt: skip
        dpg.bind_item_theme(self.tag, padded(12 * self.scale, 10 * self.scale))

    def stay_inside(self) -> None:
        """Move what is open into the viewport, now that its size is known."""
        if not self.tag or not dpg.does_item_exist(self.tag):
            return
        (x, y), (w, h) = dpg.get_item_pos(self.tag), dpg.get_item_rect_size(self.tag)
        wide, high = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        inside = [max(4, min(x, wide - w - 8)), max(4, min(y, high - h - 8))]
        if h and [x, y] != inside:
            dpg.set_item_pos(self.tag, inside)

    def key(self, name: str) -> bool:
        """A key while something is open; whether it was for it."""
        if not self.open:
            return False
        forward = name in ("down", "tab") or (self.answers and name == "right")
        back = name == "up" or (self.answers and name == "left")
        if name == "escape":
            self.fields.clear()
            self.close()
        elif self.choices and (forward or back):
            self.at = (self.at + (1 if forward else -1)) % len(self.choices)
            self.redraw()
        elif name == "enter" and self.choices:
            self.choose(self.at)
        return True

    def redraw(self) -> None:
        """Show which choice is at hand."""
        if not self.answers:
            self.rows()
            return
        for index, item in enumerate(self.answers):
            strong = index == self.at
            colour = faded(self.palette.accent, 90) if strong else self.palette.raised
            dpg.bind_item_theme(item, button_theme(colour))

    def choose(self, index: int) -> None:
        """Run a choice."""
        if 0 <= index < len(self.choices):
            choice = self.choices[index]
            self.close()
            choice.run()

    # Lists to choose from -------------------------------------------------------------------------

    def ask(
        self, x: float, y: float, hint: str, find: Callable[[str], list[Choice]], words: str = "",
        title: str = "",
    ) -> None:  # fmt: skip
        """A field to type into, the choices that fit, and the help of the one at hand."""
        self.window(x, y, WIDTH * self.scale, title)
        self.find, self.wide, self.most = find, (WIDTH - 24) * self.scale, ROWS
        item = dpg.add_input_text(
            hint=hint, width=int(self.wide), default_value=words, parent=self.tag,
            callback=lambda _, text: self.narrow(text), auto_select_all=bool(words),
        )  # fmt: skip
        dpg.add_group(tag="popup:rows", parent=self.tag)
        dpg.add_separator(parent=self.tag)
        dpg.add_text(tag="popup:help", parent=self.tag, wrap=int(self.wide))
        dpg.focus_item(item)
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
        first = min(max(self.at - self.most // 2, 0), max(len(self.choices) - self.most, 0))
        shown = self.choices[first : first + self.most]
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
            rest = f"{more} more below" if more else ""
            dpg.set_value("popup:help", f"{help_}\n{rest}" if lines == 2 else help_)
            dpg.configure_item("popup:help", color=self.palette.dim)

    def search(
        self, x: float, y: float, graph: Graph, scope: Scope, pin: Pin | None,
        add: Callable[[search.Found], Any], inside: Sequence[str] = (), into: Pin | None = None,
    ) -> None:  # fmt: skip
        """Search for a node type, of those that fit a pin, or between two."""

        def find(words: str) -> list[Choice]:
            found = search.find(words, scope, graph, pin, inside, into)
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
        self.choices, self.at, self.most = list(choices), -1, max(len(choices), 1)
        dpg.add_group(tag="popup:rows", parent=self.tag)
        self.rows()

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Pairs of a key and what it does, in two columns of pairs."""
        wide = dpg.get_viewport_client_width()
        width = min(980 * self.scale, wide - 40)
        self.window((wide - width) / 2, 50, width, title)
        half = (len(rows) + 1) // 2
        with (
            dpg.child_window(
                parent=self.tag, border=False, width=int(width - 24 * self.scale),
                height=int(min(half * 27 * self.scale + 10,
                               dpg.get_viewport_client_height() - 150)),
            ),
            dpg.table(header_row=False, policy=dpg.mvTable_SizingFixedFit),
        ):  # fmt: skip
            for part in (0.19, 0.28, 0.19, 0.27):
                dpg.add_table_column(width_fixed=True, init_width_or_weight=width * part)
            for first, second in zip(rows[:half], [*rows[half:], ("", "")], strict=False):
                with dpg.table_row():
                    for keys, label in (first, second):
                        dpg.add_text(keys, color=self.palette.accent, wrap=int(width * 0.18))
                        dpg.add_text(label, wrap=int(width * 0.25))

    # Questions ------------------------------------------------------------------------------------

    def question(self, title: str, text: str, answers: Answers) -> None:
        """A question with buttons, once those before it are answered. Arrows and Enter choose;
        Escape answers nothing."""
        if self.answers:
            self.questions.append((title, text, answers))
            return
        wide, high = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        self.window(wide / 2 - 230 * self.scale, high / 3, 460 * self.scale, title)
        dpg.add_text(text, wrap=int(430 * self.scale), parent=self.tag)
        self.choices = [Choice(label, "", "", run) for label, run in answers]
        self.at = 0
        with dpg.group(horizontal=True, parent=self.tag):
            for index, (label, _) in enumerate(answers):
                item = dpg.add_button(label=label, callback=partial(self.choose, index))
                self.answers.append(item)
        self.redraw()

    def unless_there(self, path: Path, write: Callable[[Path], Any]) -> None:
        """Write a file; where one is there already, when the person says so."""
        if not path.exists():
            write(path)
            return
        self.question(
            "Replace", f"{path} is there already. Replace it?",
            [("Cancel", lambda: None), ("Replace it", partial(write, path))],
        )  # fmt: skip

    def type(
        self, title: str, label: str, value: str, done: Callable[[str], Any], x: float = -1,
        y: float = -1,
    ) -> None:  # fmt: skip
        """One line to type; Enter or a press beside it takes it, Escape does not."""
        if x < 0:
            x = dpg.get_viewport_client_width() / 2 - 220 * self.scale
            y = dpg.get_viewport_client_height() / 3
        self.window(x, y, 300 * self.scale, title)

        waiting = [done]  # Enter is told twice: by the field, and as it is left

        def taken(text: str) -> None:
            if waiting:
                waiting.clear()
                self.close()
                done(text)

        if label:
            dpg.add_text(label, color=self.palette.dim, parent=self.tag)
        with dpg.group(parent=self.tag):
            # The text that it had is none of those that a person can type: Enter takes it too.
            self.fields.add(value, 274 * self.scale, taken, auto_select_all=True, on_enter=True,
                            callback=lambda _, text: taken(text))  # fmt: skip
        dpg.focus_item(self.fields.known[0].item)

    def files(
        self, title: str, start: Path, done: Callable[[Path], Any], save: bool,
        suffixes: Sequence[str] = (".yaml", ".yml"), name: str = "", or_folder: bool = False,
    ) -> None:  # fmt: skip
        """Choose a file: folders and files of some kinds to walk through, or a path to type, which
        is taken from the folder that is shown. `name` is proposed; `or_folder`: the folder that is
        shown can be chosen too."""

        def at(folder: Path, words: str) -> None:
            label = f"{title}  in {folder}"
            hint = "name of the file, or a path" if save else "part of a name, or a path"
            self.ask(120, 90, hint, partial(listing, folder), words, label)

        def listing(base: Path, words: str) -> list[Choice]:
            path = base / Path(words.strip()).expanduser()
            within = words.endswith("/") or not words.strip() or is_dir(path)
            folder, part = (path, "") if within else (path.parent, path.name)
            rows: list[Choice] = []
            if or_folder and not part:
                rows.append(Choice(f"{folder.name}/", "this folder", str(folder),
                                   partial(done, folder)))  # fmt: skip
            if save and part:
                target = path if path.suffix in suffixes else path.with_name(part + suffixes[0])
                rows.append(Choice(target.name, NEW, str(target), partial(done, target)))
            rows += [
                Choice(f"{found.name or found}/" if found != folder.parent else "..", FOLDER,
                       str(found), partial(at, found, name if save else ""))
                for found in [folder.parent, *folders(folder, part)]
            ]  # fmt: skip
            rows += [
                Choice(found.name, "replace" if save else "", str(found), partial(done, found))
                for found in there(folder, part, suffixes)
            ]
            if not save and part:  # what fits the words before the way up
                rows = rows[1:] + rows[:1]
            return rows

        at(start.absolute(), name)


def is_dir(path: Path) -> bool:
    """Whether a path is a folder; what can't be a path is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def folders(folder: Path, part: str) -> list[Path]:
    """The folders in one, whose names hold a part; none where it can't be read."""
    return [p for p in _inside(folder, part) if is_dir(p)]


def there(folder: Path, part: str, suffixes: Sequence[str]) -> list[Path]:
    """The files in a folder, of some kinds, whose names hold a part."""
    return [p for p in _inside(folder, part) if p.suffix in suffixes and not is_dir(p)]


def _inside(folder: Path, part: str) -> list[Path]:
    try:
        found = sorted(folder.iterdir(), key=lambda p: p.name.casefold())
    except (OSError, ValueError):
        return []
    wanted = part.casefold()
    return [p for p in found if not p.name.startswith(".") and wanted in p.name.casefold()]
