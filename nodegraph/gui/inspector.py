"""The panel at the right: what is selected, with all that can be set on it; problems; history."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING
from typing import Any

import dearpygui.dearpygui as dpg

from ..graph import META, Reference
from ..library import Library
from ..node import Node, Nodes, Setting, describe, show
from ..scope import type_name
from ..session import Session
from ..yamltree import YamlError, scalar
from .boxes import clipped
from .palette import Palette
from .theme import SIZE

WIDTH = 330


class Inspector:
    """Shows a session's selection; every change goes through the session."""

    def __init__(self, palette: Palette, fonts: dict[str, int | str], library: Library) -> None:
        self.palette, self.fonts, self.library = palette, fonts, library
        self.session: Session | None = None
        self.fields: list[int | str] = []  # inputs that keep the keyboard while they are active
        self.wide = WIDTH - 40

    def build(self) -> None:
        """Make the tabs in the current container."""
        with dpg.tab_bar(tag="inspector"):
            for name in ("Node", "Graph", "Checks", "History"):
                with dpg.tab(label=name, tag=f"tab:{name}"):
                    dpg.add_child_window(tag=f"panel:{name}", border=False)

    def typing(self) -> bool:
        """Whether keys belong to one of the inputs."""
        return any(dpg.does_item_exist(f) and dpg.is_item_active(f) for f in self.fields)

    def show(self, session: Session) -> None:
        """Draw everything anew for a session."""
        self.session = session
        self.fields.clear()
        for name, fill in (
            ("Node", self.node), ("Graph", self.graph), ("Checks", self.problems),
            ("History", self.history),
        ):  # fmt: skip
            dpg.delete_item(f"panel:{name}", children_only=True)
            dpg.push_container_stack(f"panel:{name}")
            dpg.add_spacer(height=2)
            fill(session)
            dpg.pop_container_stack()
        count = len(session.analysis.problems) if session.analysis else 0
        dpg.set_item_label("tab:Checks", f"Checks ({count})" if count else "Checks")

    # Pieces ---------------------------------------------------------------------------------------

    def heading(self, text: str) -> None:
        """A small title over a part."""
        dpg.add_spacer(height=6)
        item = dpg.add_text(text, color=self.palette.dim)
        dpg.bind_item_font(item, self.fonts["bold"])

    def prose(self, text: str, colour: Any = None) -> None:
        """Text that wraps."""
        dpg.add_text(text, wrap=self.wide, color=colour or self.palette.text)

    def row(self, label: str, tip: str = "") -> None:
        """The label of a row; what follows stands beside it."""
        item = dpg.add_text(label, color=self.palette.dim)
        if tip:
            with dpg.tooltip(item):
                dpg.add_text(tip, wrap=320)

    # Tabs -----------------------------------------------------------------------------------------

    def node(self, session: Session) -> None:
        """The selected node, or how many are selected."""
        chosen = session.nodes_selected
        if not chosen:
            self.prose("Select a node to see and set its parameters.", self.palette.dim)
            self.prose("Double-click the canvas, or press Tab, to add one.", self.palette.dim)
            return
        if len(chosen) > 1:
            self.prose(f"{len(chosen)} nodes are selected.")
            dpg.add_button(label="Group  (Ctrl+G)", callback=lambda: session.group())
            return
        self.one(session, chosen[0])

    def one(self, session: Session, name: str) -> None:
        """All of one node."""
        graph, scope = session.graph, session.inner
        entry = graph.nodes[name]
        declared = scope.type_of(graph, name)
        item = dpg.add_input_text(
            default_value=name, width=self.wide, on_enter=True,
            callback=lambda _, text: session.rename(name, text),
        )  # fmt: skip
        self.fields.append(item)
        dpg.bind_item_font(item, self.fonts["bold"])
        kind = type_name(graph, name)
        self.prose(kind if not entry.shares else f"{kind} · a further call of {entry.shares}",
                   self.palette.accent)  # fmt: skip
        if isinstance(declared, type) and issubclass(declared, Node):
            page = inspect.cleandoc(declared.__doc__ or "")
            first, _, rest = page.partition("\n")
            self.prose(first)
            if rest.strip():
                with dpg.tree_node(label="More"):
                    dpg.add_text(rest.strip(), wrap=self.wide - 20, color=self.palette.dim)
        elif declared is not None and declared.meta.get("about"):
            self.prose(declared.meta["about"])
        self.node_problems(session, name)
        if entry.shares:
            dpg.add_button(
                label="Make independent", callback=lambda: session.make_independent(name)
            )
        else:
            settings = scope.settings(graph, name) or {}
            if settings:
                self.heading("Parameters")
            for setting in settings.values():
                self.setting(session, name, setting)
        self.ports(session, name)
        self.costs(session, name)
        self.source(session, name)

    def setting(self, session: Session, name: str, setting: Setting) -> None:
        """A row: label, widget, and a button that resets it."""
        entry = session.graph.nodes[name]
        value = entry.params.get(setting.name, setting.default)
        is_set = setting.name in entry.params
        linked = any(t.node == name and t.port == setting.name for t in session.graph.links)
        tip = describe(setting.type) + (f", {setting.range}" if _ranged(setting) else "")
        tip += f"; default {as_text(setting.default)}" if setting.default is not MISSING else ""
        tip += f"\n{setting.doc}" if setting.doc else ""
        unit = f" ({setting.unit})" if setting.unit else ""
        # The second item of such a group stands at twice the offset.
        with dpg.group(horizontal=True, xoffset=self.wide * 0.19):
            label = dpg.add_text(
                clipped(setting.name + unit, self.wide * 0.36, SIZE),
                color=self.palette.text if is_set else self.palette.dim,
            )
            with dpg.group(horizontal=True):
                if linked:
                    dpg.add_text("set by a link", color=self.palette.dim)
                else:
                    self.widget(session, name, setting, value)
                if is_set and setting.default is not MISSING:
                    self.small("reset", lambda: session.reset_param(name, setting.name))
                if session.path and not linked and not isinstance(value, Reference):
                    self.small("expose", lambda: session.expose_param(name, setting.name))
        with dpg.tooltip(label):
            dpg.add_text(tip, wrap=320)

    def small(self, label: str, run: Callable[[], Any]) -> None:
        """A small button."""
        dpg.add_button(label=label, small=True, callback=lambda: run())

    def widget(self, session: Session, name: str, setting: Setting, value: Any) -> None:
        """The widget for a setting's type."""

        def change(_: Any, new: Any) -> None:
            session.set_param(name, setting.name, new)

        wide = int(self.wide * 0.62) - (112 if session.path else 60)
        if setting.type is bool and isinstance(value, bool):
            dpg.add_checkbox(default_value=value, callback=change)
        elif setting.choices and not isinstance(value, Reference):
            texts = {as_text(c): c for c in setting.choices}
            shown = as_text(value) if value is not MISSING else ""
            dpg.add_combo(
                list(texts), default_value=shown, width=wide,
                callback=lambda _, text: change(_, texts[text]),
            )  # fmt: skip
        else:
            text = "" if value is MISSING else as_text(value)
            item = dpg.add_input_text(
                default_value=text, width=wide, on_enter=True,
                callback=lambda _, typed: change(_, read(typed, setting)),
            )  # fmt: skip
            self.fields.append(item)

    def node_problems(self, session: Session, name: str) -> None:
        """What is wrong with a node, with a button where there is a fix."""
        for problem in session.analysis.problems if session.analysis else ():
            if _about(problem, name, session.path):
                self.problem(session, problem)

    def problem(self, session: Session, problem: Any) -> None:
        """One problem."""
        bad = problem["severity"] == "error"
        mark = "Error: " if bad else "Warning: "
        cure = f"; {problem['cure']}" if problem.get("cure") else ""
        colour = self.palette.error if bad else self.palette.warning
        self.prose(f"{mark}{problem['text']}{cure}", colour)
        if problem.get("fix"):
            dpg.add_button(label="Fix it", callback=lambda: session.fix(problem))

    def ports(self, session: Session, name: str) -> None:
        """Inputs and outputs with the shapes that flow."""
        graph, scope = session.graph, session.inner
        self.heading("Ports")
        shapes = session.analysis.shapes if session.analysis else {}
        for port, declared in (scope.inputs(graph, name) or {}).items():
            self.prose(f"→ {port}: {declared.shape or 'a scalar'}  {declared.kind}",
                       self.palette.dim)  # fmt: skip
        for port, given in (scope.outputs(graph, name) or {}).items():
            found = shapes.get(session.place(name, port))
            shape = show(tuple(found)) if found is not None else given.shape or "a scalar"
            self.prose(f"{port} →: {shape}  {given.kind}")

    def costs(self, session: Session, name: str) -> None:
        """Parameters, multiplications, memory."""
        found = session.analysis.costs.get(session.place(name)) if session.analysis else None
        if found:
            self.heading("Costs of one step")
            self.prose(f"{found['parameters']:,} parameters")
            self.prose(f"{found['multiply_adds']:,} multiply-adds")
            self.prose(f"{found['activation_bytes'] / 1e6:.3g} MB of activations")

    def source(self, session: Session, name: str) -> None:
        """The lines that the compiler writes for a node."""
        text = session.analysis.source.get(session.place(name)) if session.analysis else ""
        if text:
            self.heading("Generated source")
            for line in text.splitlines():
                item = dpg.add_text(line, wrap=self.wide, color=self.palette.dim)
                dpg.bind_item_font(item, self.fonts["mono"])

    def graph(self, session: Session) -> None:
        """Words about the graph (or group), and its parameters."""
        graph = session.graph
        for key in META:
            text = graph.meta.get(key, "")
            if session.path and key != "about":
                continue
            self.heading(key.capitalize())
            many = key in ("about", "deviations")
            item = dpg.add_input_text(
                default_value=text, width=self.wide, multiline=many, height=90 if many else 0,
                on_enter=not many,
                callback=lambda _, new, key=key: session.set_meta(key, new, gesture=("meta", key)),
            )  # fmt: skip
            self.fields.append(item)
        self.heading("Parameters")
        for name, value in graph.params.items():
            with dpg.group(horizontal=True):
                dpg.add_text(f"${name}", color=self.palette.dim)
                item = dpg.add_input_text(
                    default_value=as_text(value), width=self.wide - 120, on_enter=True,
                    callback=lambda _, t, n=name: session.set_graph_param(n, typed(t)),
                )  # fmt: skip
                self.fields.append(item)
        if graph.presets:
            self.heading("Presets")
            for name, values in graph.presets.items():
                words = ", ".join(f"{k} {as_text(v)}" for k, v in values.items())
                self.prose(f"{name}: {words or 'as they stand'}", self.palette.dim)

    def problems(self, session: Session) -> None:
        """All problems; a click selects the node."""
        if session.analysis is None:
            self.prose("The graph is being checked.", self.palette.dim)
            return
        if not session.analysis.problems:
            self.prose("No problems: the graph compiles and trains.", self.palette.good)
        for problem in session.analysis.problems:
            node = _node(problem)
            if node in session.graph.nodes:
                dpg.add_button(
                    label=node, small=True, callback=lambda _, __, n=node: session.select(n),
                )  # fmt: skip
            self.problem(session, problem)
            dpg.add_separator()

    def history(self, session: Session) -> None:
        """Every step; a click goes there."""
        labels = session.history.labels
        for index in range(len(labels) - 1, -1, -1):
            here = index == session.history.cursor
            dpg.add_selectable(
                label=f"{labels[index]}##{index}", default_value=here,
                callback=lambda _, __, i=index: session.jump(i),
            )  # fmt: skip


def read(text: str, setting: Setting) -> Any:
    """What is typed into a field: a number, a list with commas, a text, a `$name`."""
    text = text.strip()
    if text.startswith("$") or setting.type in (str,):
        return text
    if "," in text or setting.type is Nodes or "tuple" in str(setting.type):
        return tuple(typed(part) for part in text.strip("[]()").split(",") if part.strip())
    return typed(text)


def typed(text: str) -> Any:
    """A number, a list with commas, or a text."""
    text = text.strip()
    if "," in text:
        return tuple(typed(part) for part in text.strip("[]()").split(",") if part.strip())
    try:
        return scalar(text)
    except (YamlError, ValueError):
        return text


def as_text(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(as_text, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _ranged(setting: Setting) -> bool:
    return setting.min != float("-inf") or setting.max != float("inf")


def _node(problem: Any) -> str:
    where = problem["where"]
    return where[where.index("nodes") + 1] if "nodes" in where[:-1] else ""


def _about(problem: Any, name: str, path: tuple[str, ...]) -> bool:
    where = problem["where"]
    group = where[1] if where[:1] == ["groups"] else ""
    return _node(problem) == name and group == (path[-1] if path else "")
