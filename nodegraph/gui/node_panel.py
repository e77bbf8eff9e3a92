"""The inspector's first tab: the selected node, with all that can be set on it and known of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from ..body import memory
from ..graph import Graph, Reference, is_frozen, refs
from ..layout import OUT
from ..node import FilePath, FolderPath, Node, Setting, show
from ..scope import type_name
from ..session import Session
from .boxes import clipped
from .panel import Panel
from .theme import SIZE
from .values import about, as_text, read, scrubbed

LABEL, BUTTONS = 0.36, 62  # the part of a row that its label takes; pixels for small buttons
BROWSE = 26  # pixels for the one that opens a choice of files
WEIGHTS = (".pth", ".pt", ".safetensors")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


class NodePanel(Panel):
    """Shows the selection; every change goes through the session."""

    widgets: dict[str, int | str]  # by the setting that they show

    def show(self, session: Session) -> None:
        """The selected node, or port of the group, or how many are selected."""
        chosen, ports = session.nodes_selected, session.selected_ports()
        self.widgets = {}
        if len(chosen) == 1 and not ports:
            self.one(session, chosen[0])
        elif len(ports) == 1 and not chosen:
            self.port(session, ports[0])
        elif chosen or ports:
            self.prose(f"{len(chosen) + len(ports)} are selected.")
            dpg.add_button(label="Group  (Ctrl+G)", callback=lambda: session.group())
        else:
            self.prose("Select a node to see and set its parameters.", self.palette.dim)
            self.prose("Double-click the canvas, or press Tab, to add one.", self.palette.dim)

    def one(self, session: Session, name: str) -> None:
        """All of one node."""
        graph, scope = session.graph, session.inner
        entry = graph.nodes[name]
        declared = scope.type_of(graph, name)
        item = self.field(name, self.wide, lambda text: session.rename(name, text.strip()))
        dpg.bind_item_font(item, self.fonts["bold"])
        kind = type_name(graph, name)
        category = getattr(declared, "category", "group")
        words = kind if category == "group" else f"{kind} · {category}"
        if entry.bypassed:
            with dpg.group(horizontal=True):
                dpg.add_text("Bypassed: the graph runs without it.", color=self.palette.warning)
                self.small("Use again", lambda: session.bypass([name]))
        self.prose(f"{kind} · a further call of {entry.shares}" if entry.shares else words,
                   self.palette.accent)  # fmt: skip
        if isinstance(declared, Graph) and kind in session.root.groups:
            with dpg.group(horizontal=True):
                dpg.add_text("a node of the group", color=self.palette.dim)
                self.field(kind, self.wide * 0.45,
                           lambda text: session.rename_group(kind, text.strip()))  # fmt: skip
        self.doc(declared)
        self.weights(session, name)
        for problem in session.analysis.problems if session.analysis else ():
            if _about(problem, name, session.path):
                self.problem(session, problem)
        if not entry.shares:
            settings = scope.settings(graph, name) or {}
            if settings:
                self.heading("Parameters")
            for setting in settings.values():
                self.setting(session, name, setting)
        self.ports(session, name)
        self.costs(session, name)
        self.source(session, name)

    def doc(self, declared: type[Node] | Graph | None) -> None:
        """The page of its type: the first line, and the rest when it is unfolded."""
        if isinstance(declared, type):
            page = inspect.cleandoc(declared.__doc__ or "")
            first, _, rest = page.partition("\n")
            self.prose(first)
            if rest.strip():
                with dpg.tree_node(label="Equation, shapes, paper"):
                    dpg.add_text(rest.strip(), wrap=int(self.wide - 24 * self.scale),
                                 color=self.palette.dim)  # fmt: skip
        elif declared is not None and declared.meta.get("about"):
            self.prose(declared.meta["about"])

    def weights(self, session: Session, name: str) -> None:
        """Whether it shares its weights with other calls, and whether they are trained."""
        graph = session.graph
        owner = graph.owner(name)
        calls = [n for n in graph.nodes if graph.owner(n) == owner and n != name]
        if calls:
            self.prose(f"The same weights as {', '.join(calls)}.", self.palette.dim)
        with dpg.group(horizontal=True):
            if graph.nodes[name].shares:
                self.small(
                    "Make independent",
                    lambda: session.make_independent(name),
                    "Give this call a copy of the parameters and weights of its own",
                )
            if session.inner.has_weights(graph, owner):
                frozen = is_frozen(graph.entry(name), graph.params)
                self.small(
                    "Unfreeze" if frozen else "Freeze", lambda: session.freeze(owner, not frozen),
                    "Frozen weights are not trained; gradients still pass through",
                )  # fmt: skip
        if session.inner.has_weights(graph, owner) and not graph.nodes[name].shares:
            self.file(session, name)

    def file(self, session: Session, name: str) -> None:
        """The row of what its weights start from."""
        given = as_text(session.graph.nodes[name].weights)
        with dpg.group(horizontal=True, xoffset=self.wide * LABEL):
            dpg.add_text("weights", color=self.palette.text if given else self.palette.dim)
            with dpg.group(horizontal=True, horizontal_spacing=int(4 * self.scale)):
                item = self.fields.add(
                    given, self.wide * (1 - LABEL) - BUTTONS * self.scale,
                    lambda text: session.set_weights(name, text.strip()), hint="drawn at random",
                )  # fmt: skip
                self.browse(
                    f"Weights of {name}: a file, or a run's folder", WEIGHTS, True,
                    lambda path: session.set_weights(name, shortest(path, session.folder)),
                )  # fmt: skip
        self.tip(
            item,
            "What its weights start from when training starts: a .pth or .safetensors file, a "
            "run's folder, or a published name like vgg19-dcbb9e9d.pth",
        )
        self.widgets["weights"] = item

    # Settings -------------------------------------------------------------------------------------

    def setting(self, session: Session, name: str, setting: Setting) -> None:
        """A row: label, widget, the knob of a number, buttons to reset and to expose it."""
        entry = session.graph.nodes[name]
        value = entry.params.get(setting.name, setting.default)
        is_set = setting.name in entry.params
        linked = any(t.node == name and t.port == setting.name for t in session.graph.links)
        unit = f" ({setting.unit})" if setting.unit else ""
        # The second item of such a group stands at twice the offset.
        with dpg.group(horizontal=True, xoffset=self.wide * LABEL / 2):
            label = dpg.add_text(
                clipped(setting.name + unit, self.wide * LABEL - 6, SIZE * self.scale),
                color=self.palette.text if is_set else self.palette.dim,
            )
            with dpg.group(horizontal=True, horizontal_spacing=int(4 * self.scale)):
                if linked:
                    dpg.add_text("set by a link", color=self.palette.dim)
                else:
                    self.widget(session, name, setting, value)
                if is_set and setting.default is not MISSING:
                    self.small(
                        "↺",
                        lambda: session.reset_param(name, setting.name),
                        f"Back to its default, {as_text(setting.default) or 'nothing'}",
                    )
                if not linked and not isinstance(value, Reference):
                    where = "the group" if session.path else "the file"
                    self.small("$", lambda: session.expose_param(name, setting.name),
                               f"Make it a parameter of {where}, ${setting.name}")  # fmt: skip
        self.tip(label, f"{setting.name}: {about(setting)}")

    def widget(self, session: Session, name: str, setting: Setting, value: Any) -> None:
        """The widget for a setting's type."""

        def change(new: Any, gesture: object = None) -> None:
            session.set_param(name, setting.name, new, gesture)

        wide = self.wide * (1 - LABEL) - BUTTONS * self.scale
        if setting.type is bool and isinstance(value, bool):
            item = dpg.add_checkbox(default_value=value, callback=lambda _, on: change(on))
        elif setting.choices and not isinstance(value, Reference):
            texts = {as_text(c): c for c in setting.choices}
            item = dpg.add_combo(
                list(texts), default_value=as_text(value), width=int(wide),
                callback=lambda _, text: change(texts[text]),
            )  # fmt: skip
        elif isinstance(value, (int, float)):
            knob = 26 * self.scale if wide > 100 * self.scale else 0.0  # else numbers are cut
            item = self.field(
                as_text(value), wide - knob - 4 * bool(knob),
                lambda text: change(read(text, setting)),
            )  # fmt: skip
            if knob:
                self.knob(knob, lambda steps: scrubbed(value, steps, setting), change, item)
        elif setting.type in (FilePath, FolderPath):
            item = self.field(as_text(value), wide - BROWSE * self.scale,
                              lambda text: change(read(text, setting)))  # fmt: skip
            self.browse(
                f"{setting.name} of {name}", PICTURES, setting.type is FolderPath,
                lambda path: change(shortest(path, Path.cwd())),
            )  # fmt: skip
        else:
            item = self.field(as_text(value), wide, lambda text: change(read(text, setting)))
        self.tip(item, about(setting))
        self.widgets[setting.name] = item

    def browse(
        self, title: str, suffixes: Sequence[str], or_folder: bool, done: Callable[[Path], Any]
    ) -> None:
        """A button behind a field of a path: choose it from the files that are there."""

        def chosen(path: Path) -> None:
            self.popups.close()
            done(path)

        self.small(
            "…", lambda: self.popups.files(title, Path.cwd(), chosen, save=False,
                                           suffixes=suffixes, or_folder=or_folder),
            "Choose it from the files that are there",
        )  # fmt: skip

    # What is known of it --------------------------------------------------------------------------

    def ports(self, session: Session, name: str) -> None:
        """Inputs and outputs with the shapes that flow."""
        graph, scope = session.graph, session.inner
        self.heading("Ports")
        shapes = session.analysis.shapes if session.analysis else {}
        for port, declared in (scope.inputs(graph, name) or {}).items():
            linked = refs(graph.inputs_of(name).get(port, ()))
            found = [shapes.get(session.place(str(r)), _only(shapes, session.place(r.node)))
                     for r in linked]  # fmt: skip
            given = ", ".join(show(s, declared.kind) for s in found if s is not None)
            wanted = {"": "a scalar", "...": "any shape"}.get(declared.shape, declared.shape)
            self.prose(f"→ {port}: {given or wanted}  {declared.kind}", self.palette.dim)
        for port, output in (scope.outputs(graph, name) or {}).items():
            shape = shapes.get(session.place(name, port))
            words = show(shape, output.kind) if shape is not None else output.shape or "a scalar"
            self.prose(f"{port} →: {words}  {output.kind}")

    def port(self, session: Session, box: str) -> None:
        """A port of the group that is entered: its name, its shape, what it is linked to."""
        graph, end = session.graph, box.startswith(OUT)
        name = box.removeprefix(OUT)
        self.heading("Output of the group" if end else "Input of the group")
        item = self.field(name, self.wide, lambda text: session.rename_port(box, text.strip()))
        dpg.bind_item_font(item, self.fonts["bold"])
        if end:
            self.prose(f"gives {graph.outputs[name]}", self.palette.dim)
            remove = lambda: session.set_output(name, None)  # noqa: E731 - one of two
        else:
            self.prose("Shape: named axes like N C H W, or ... for any", self.palette.dim)
            self.field(graph.inputs[name], self.wide,
                       lambda text: session.set_input(name, text.strip()))  # fmt: skip
            remove = lambda: session.set_input(name, None)  # noqa: E731
        dpg.add_button(label="Remove this port", callback=lambda: remove())

    def costs(self, session: Session, name: str) -> None:
        """Parameters, multiplications, memory."""
        found = session.analysis.costs.get(session.place(name)) if session.analysis else None
        if found and any(found.values()):
            self.heading("Costs of one step")
            self.prose(f"{found['parameters']:,} parameters")
            self.prose(f"{found['multiply_adds']:,} multiply-adds")
            self.prose(f"{memory(found['activation_bytes'])} of activations")

    def source(self, session: Session, name: str) -> None:
        """The lines that the compiler writes for a node."""
        text = session.analysis.source.get(session.place(name)) if session.analysis else ""
        if text:
            self.heading("Generated source")
            for line in text.splitlines():
                item = self.prose(line, self.palette.dim)
                dpg.bind_item_font(item, self.fonts["mono"])


def shortest(path: Path, base: str | Path) -> str:
    """A path as it is written in a graph: from a folder on if it is inside, else whole."""
    base = Path(base).absolute()
    return (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()


def _only(shapes: Any, place: str) -> Any:
    """The shape of the only output of a place, or None."""
    found = [
        v for k, v in shapes.items() if k.startswith(f"{place}.") and "/" not in k[len(place) :]
    ]
    return found[0] if len(found) == 1 else None


def node_of(problem: Any) -> str:
    """The node that a problem is about, or ""."""
    where = problem["where"]
    return where[where.index("nodes") + 1] if "nodes" in where[:-1] else ""


def place_of(problem: Any) -> str:
    """Where a problem is, in words: the node, and the group that it is in."""
    where, node = problem["where"], node_of(problem)
    inside = f" in {where[1]}" if where[:1] == ["groups"] and len(where) > 1 else ""
    return f"{node or 'the group'}{inside}" if node or inside else ""


def _about(problem: Any, name: str, path: tuple[str, ...]) -> bool:
    where = problem["where"]
    group = where[1] if where[:1] == ["groups"] else ""
    return node_of(problem) == name and group == (path[-1] if path else "")
