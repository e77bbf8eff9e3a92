"""The training programme under the canvas: stages as rows, updates in order, what is watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dearpygui.dearpygui as dpg

from .. import programme
from ..graph import Ref, refs, substitute
from ..node import Metric, Optimiser
from ..session import Session
from .inspector import typed
from .palette import Palette


class Strip:
    """Rows of the session's `train:`, each change an edit."""

    def __init__(self, palette: Palette, hover: Callable[[str], Any]) -> None:
        self.palette, self.hover = palette, hover
        self.fields: list[int | str] = []
        self.chips: dict[int | str, str] = {}  # item: the update that it shows

    def typing(self) -> bool:
        """Whether keys belong to one of the inputs."""
        return any(dpg.does_item_exist(f) and dpg.is_item_active(f) for f in self.fields)

    def hovered(self) -> str:
        """The update under the mouse, for the overlay of what its gradient reaches."""
        for item, name in self.chips.items():
            if dpg.does_item_exist(item) and dpg.is_item_hovered(item):
                return name
        return ""

    def show(self, session: Session, parent: str) -> None:
        """Draw the rows anew."""
        dpg.delete_item(parent, children_only=True)
        self.fields.clear()
        self.chips.clear()
        dpg.push_container_stack(parent)
        root = session.root
        if not root.train:
            with dpg.group(horizontal=True):
                dpg.add_text("No training yet.", color=self.palette.dim)
                dpg.add_button(label="Add a stage", callback=lambda: session.add_stage())
        for stage, updates in programme.rows(root):
            with dpg.group(horizontal=True):
                self.stage(session, stage, updates)
        if root.train:
            dpg.add_button(label="+ stage", small=True, callback=lambda: session.add_stage())
        dpg.pop_container_stack()

    def stage(self, session: Session, stage: Any, updates: Any) -> None:
        """One row."""
        p, name = self.palette, stage.name
        dpg.add_text(name, color=p.accent)
        steps = dpg.add_input_text(
            default_value=str(stage.steps), width=90, on_enter=True,
            callback=lambda _, text: session.set_steps(name, typed(text)),
        )  # fmt: skip
        self.fields.append(steps)
        dpg.add_text("steps of", color=p.dim)
        for position, (update, index, times) in enumerate(updates):
            if position:
                dpg.add_text("then", color=p.dim)
            label = f"{update}" + (f" ×{times}" if times > 1 else "")
            item = dpg.add_button(label=label, callback=lambda _, __, u=update: select(session, u))
            self.chips[item] = str(update)
            with dpg.tooltip(item):
                dpg.add_text(explain(session, update), wrap=420)
            with dpg.popup(item):
                dpg.add_menu_item(
                    label="Run once more",
                    callback=lambda _, __, i=index, t=times: session.repeat_update(name, i, t + 1),
                )
                dpg.add_menu_item(
                    label="Earlier",
                    callback=lambda _, __, i=index: session.move_update(name, i, i - 1),
                )
                dpg.add_menu_item(
                    label="Later",
                    callback=lambda _, __, i=index: session.move_update(name, i, i + 1),
                )
                dpg.add_menu_item(
                    label="Remove",
                    callback=lambda _, __, i=index: session.remove_update(name, i),
                )
        free = [n for n in kinds(session, Optimiser) if n not in map(str, stage.run)]
        self.adder("+ update", free, lambda n: session.add_update(name, n))
        dpg.add_text("  watching " + (", ".join(map(str, stage.watch)) or "nothing"), color=p.dim)
        free = [n for n in kinds(session, Metric) if n not in map(str, stage.watch)]
        self.adder("+ metric", free, lambda n: session.watch(name, n))
        dpg.add_button(label="remove stage", small=True,
                       callback=lambda: session.remove_stage(name))  # fmt: skip

    def adder(self, label: str, names: list[str], add: Callable[[str], Any]) -> None:
        """A button that offers some nodes."""
        if not names:
            return
        item = dpg.add_button(label=label, small=True)
        with dpg.popup(item, mousebutton=dpg.mvMouseButton_Left):
            for name in names:
                dpg.add_menu_item(label=name, callback=lambda _, __, n=name: add(n))


def kinds(session: Session, role: type) -> list[str]:
    """The nodes of the file with a role."""
    root = session.root
    found = ((n, session.scope.type_of(root, n)) for n in root.nodes)
    return [n for n, t in found if isinstance(t, type) and issubclass(t, role)]


def select(session: Session, update: Any) -> None:
    """Select the optimiser of an update."""
    name = str(substitute(update, session.root.params))
    session.leave(0)
    session.select(name)


def explain(session: Session, update: Any) -> str:
    """What an update minimises, and whose weights it moves."""
    root = session.root
    try:
        name = str(substitute(update, root.params))
    except ValueError:
        return f"{update} is no parameter of this file"
    if name not in root.nodes:
        return f"{name} does not exist"
    losses = root.links.get(Ref(name, "loss"), ())
    over = substitute(root.entry(name).params.get("over", ()), root.params)
    words = " + ".join(map(str, refs(losses))) or "nothing"
    return f"{name} minimises {words}, and moves the weights of {', '.join(over) or 'nothing'}"
