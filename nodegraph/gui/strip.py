"""The training programme: stages, the updates of each in order, what is watched.

A row of updates is dragged by its name to another place; a stage too. Hovering an update shows on
the canvas whom its gradient reaches.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg

from .. import programme
from ..checks import flatten
from ..graph import GraphError, Ref, Stage, refs, substitute
from ..node import Loss, Metric, Node, Optimiser
from ..reach import moved
from ..session import Session
from .fields import Fields
from .palette import Palette
from .popups import Choice, Popups
from .values import typed

ROW, EDGE = 29, 16  # pixels of a line, and around all of them
NAME, STEPS, TIMES = 110, 80, 34


class Strip:
    """Lines of the session's `train:`, each change an edit."""

    def __init__(
        self, palette: Palette, fonts: dict[str, int | str], popups: Popups,
        once: Callable[[str], Any],
    ) -> None:  # fmt: skip
        self.palette, self.fonts, self.popups, self.once = palette, fonts, popups, once
        self.scale = 1.0
        self.fields = Fields()
        self.chips: dict[int | str, str] = {}  # item: the update or loss that it shows

    def hovered(self) -> str:
        """The update or loss under the mouse, for the overlay of what its gradient reaches."""
        for item, name in self.chips.items():
            if dpg.does_item_exist(item) and dpg.is_item_hovered(item):
                return name
        return ""

    @staticmethod
    def height(session: Session) -> int:
        """The pixels that its lines take at a scale of 1."""
        lines = sum(2 + len(programme.rows(stage)) for stage in session.root.train)
        return EDGE + ROW * max(lines, 1)

    def show(self, session: Session, parent: str) -> None:
        """Draw the lines anew."""
        dpg.delete_item(parent, children_only=True)
        self.fields.clear()
        self.chips.clear()
        dpg.push_container_stack(parent)
        root = session.root
        for index, stage in enumerate(root.train):
            self.stage(session, index, stage)
            for position, (update, times) in enumerate(programme.rows(stage)):
                self.update(session, stage, position, update, times)
            self.end(session, stage, last=index == len(root.train) - 1)
        if not root.train:
            with dpg.group(horizontal=True):
                dpg.add_text("Nothing is trained yet.", color=self.palette.dim)
                self.add_stage(session)
        dpg.pop_container_stack()

    # Lines ----------------------------------------------------------------------------------------

    def stage(self, session: Session, index: int, stage: Stage) -> None:
        """The line of a stage: its name, its steps, what is watched."""
        p, name = self.palette, stage.name
        with dpg.group(horizontal=True):
            grip = self.grip(f"stage {index + 1}", "stage", index,
                             lambda moved: move_stage(session, moved, index))  # fmt: skip
            dpg.bind_item_font(grip, self.fonts["bold"])
            self.field(name, NAME, lambda text: session.set_stage(name, name=text.strip()))
            self.field(str(stage.steps), STEPS, lambda text: session.set_steps(name, typed(text)))
            dpg.add_text("steps, watching", color=p.dim)
            for watched in map(str, stage.watch):
                with dpg.group(horizontal=True, horizontal_spacing=0):
                    item = dpg.add_button(label=watched, callback=partial(select, session, watched))
                    if self.is_loss(session, watched):
                        self.chips[item] = watched
                    self.button(
                        f"×##{name}{watched}", partial(session.watch, name, watched, False),
                        f"Watch {watched} no more",
                    )  # fmt: skip
            free = [n for n in kinds(session, Metric, Loss) if n not in map(str, stage.watch)]
            self.adder("+ watch", free, lambda n: session.watch(name, n), "A metric or a loss")

    def end(self, session: Session, stage: Stage, last: bool) -> None:
        """The line after a stage's updates: what can be added or removed."""
        name = stage.name
        with dpg.group(horizontal=True):
            dpg.add_spacer(width=int(14 * self.scale))
            updates = kinds(session, Optimiser)
            tip = f"One more update in each step of {name}"
            self.adder("+ update", updates, lambda n: session.add_update(name, n), tip)
            self.button(f"remove stage##{name}", lambda: session.remove_stage(name),
                        f"Without the stage {name}")  # fmt: skip
            if last:
                self.add_stage(session)

    def add_stage(self, session: Session) -> None:
        """A button that adds a stage at the end."""
        tip = "A stage of training after the others, with the optimisers that none runs yet"
        self.button("+ stage", lambda: session.add_stage(), tip)

    def update(
        self, session: Session, stage: Stage, position: int, update: Any, times: int
    ) -> None:
        """The line of an update: how often it runs, what it minimises, whose weights it moves."""
        p, name = self.palette, stage.name
        with dpg.group(horizontal=True):
            dpg.add_spacer(width=int(14 * self.scale))
            grip = self.grip(
                str(update), f"update of {name}", position,
                lambda moved: session.move_update(name, moved, position),
                click=partial(select, session, update),
            )  # fmt: skip
            self.chips[grip] = str(update)
            dpg.add_text("×", color=p.dim)
            self.field(
                str(times), TIMES,
                lambda text: session.repeat_update(name, position, typed(text)),
            )  # fmt: skip
            self.button(
                f"once##{name}{position}", partial(self.run_once, session, update),
                "Run this update alone, once: training pauses after it",
            )  # fmt: skip
            minimised, moves, words = effect(session, update)
            dpg.add_text("minimises", color=p.dim)
            for loss in minimised:
                item = dpg.add_button(
                    label=loss, small=True, callback=partial(select, session, loss)
                )
                self.chips[item] = loss
            if not minimised:
                dpg.add_text("nothing", color=p.warning)
            dpg.add_text("moves", color=p.dim)
            dpg.add_text(words, color=p.text if moves else p.warning)
            self.button(
                f"×##{name}{position}", lambda: session.remove_update(name, position),
                f"Without this update in {name}",
            )  # fmt: skip

    def run_once(self, session: Session, update: Any) -> None:
        """Have an update run alone, or each of those that a parameter lists."""
        try:
            for name in dict.fromkeys(flatten([substitute(update, session.root.params)])):
                self.once(name)
        except GraphError as wrong:
            session.tell(str(wrong), "refused")

    # Pieces ---------------------------------------------------------------------------------------

    def grip(
        self, label: str, kind: str, index: int, drop: Callable[[int], Any],
        click: Callable[[], Any] = lambda: None,
    ) -> int | str:  # fmt: skip
        """A button that is dragged onto another of its kind; `drop` gets the index of that."""
        item = dpg.add_button(
            label=f"{label}##{kind}{index}", callback=click, payload_type=kind[:32],
            drop_callback=lambda _, moved: drop(moved),
        )  # fmt: skip
        with dpg.drag_payload(parent=item, drag_data=index, payload_type=kind[:32]):
            dpg.add_text(label)
        return item

    def field(self, text: str, wide: int, done: Callable[[str], Any]) -> None:
        """An input that is taken when it is left."""
        self.fields.add(text, wide * self.scale, done)

    def button(self, label: str, run: Callable[[], Any], tip: str) -> None:
        """A small button with a tooltip."""
        item = dpg.add_button(label=label, small=True, callback=lambda: run())
        with dpg.tooltip(item, delay=0.4):
            dpg.add_text(tip)

    def adder(self, label: str, names: list[str], add: Callable[[str], Any], tip: str) -> None:
        """A button that offers some nodes."""
        if not names:
            return
        choices = [Choice(name, "", "", partial(add, name)) for name in names]

        def offer() -> None:
            x, y = dpg.get_mouse_pos(local=False)
            self.popups.menu(x, y, choices)

        self.button(label, offer, tip)

    @staticmethod
    def is_loss(session: Session, name: str) -> bool:
        """Whether a watched name is a loss."""
        return name in kinds(session, Loss)


def move_stage(session: Session, index: int, to: int) -> None:
    """Put a stage where another is."""
    if 0 <= index < len(session.root.train):
        session.move_stage(session.root.train[index].name, to)


def kinds(session: Session, *roles: type[Node]) -> list[str]:
    """The nodes of the file with a role."""
    root = session.root
    return [n for n in root.nodes if session.scope.is_a(root, n, *roles)]


def select(session: Session, name: Any) -> None:
    """Select a node of the file."""
    try:
        name = str(substitute(name, session.root.params))
    except GraphError:
        return
    session.leave(0)
    session.select(name)


def effect(session: Session, update: Any) -> tuple[list[str], list[str], str]:
    """What an update minimises, whose weights it moves, and that in words, with the frozen; of a
    parameter that lists updates all that they do."""
    root = session.root
    try:
        names = flatten([substitute(update, root.params)])
    except GraphError:
        names = iter(())
    losses: dict[str, None] = {}
    moves: dict[str, None] = {}
    frozen: dict[str, None] = {}
    for name in names:
        losses |= dict.fromkeys(map(str, refs(root.links.get(Ref(name, "loss"), ()))))
        moving, still = moved(root, session.scope, name)
        moves |= dict.fromkeys(moving)
        frozen |= dict.fromkeys(still)
    words = ", ".join(moves) or "nothing"
    if frozen:
        words += f"; {', '.join(frozen)} {'is' if len(frozen) == 1 else 'are'} frozen"
    return [*losses], [*moves], words
