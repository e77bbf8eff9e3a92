"""What opens at the cursor when a gesture or a command asks: search, menus, names, help."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from ..graph import Graph, Ref, is_frozen, refs
from ..layout import OUT
from ..scope import Scope
from ..session import Session
from .boxes import Pin
from .commands import BY_NAME, COMMANDS, MOUSE, shortcut
from .documents import Documents, Tab
from .drags import without
from .hits import Hit
from .popups import Choice, Popups
from .scene import Link
from .values import as_text, read

TINTS = {
    "Blue": "#4f74ab", "Green": "#3f8f52", "Gold": "#a87c1f", "Red": "#bb4b37",
    "Violet": "#8a57ad", "Grey": "#66748a",
}  # fmt: skip
# The commands in the menu of a node.
OF_NODE = (
    "rename", "duplicate", "call_again", "delete", "dissolve", "bypass", "collapse", "group",
    "ungroup", "frame", "gradcheck",
)  # fmt: skip


class Menus:
    """Opens popups over the canvas, and carries out what is chosen in them."""

    def __init__(
        self, popups: Popups, documents: Documents, run: Callable[[str], Any]
    ) -> None:  # fmt: skip
        self.popups, self.documents, self.run = popups, documents, run
        self.area = (0, 0, 1, 1)  # of the canvas in the window

    def open(self, tab: Tab, what: str, *more: Any) -> None:
        """Open what a gesture asked for, by its word."""
        asked: dict[str, Callable[..., None]] = {
            "search": self.search, "menu": self.context, "field": self.field,
            "rename": self.rename, "expose": self.expose, "colour": self.colours,
        }  # fmt: skip
        asked[what](tab, *more)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point of the canvas in the window."""
        return self.area[0] + x, self.area[1] + y

    def search(self, tab: Tab, x: float, y: float, pin: Pin | None) -> None:
        """Search at the cursor; what is chosen is added there, linked to the pin."""
        session, gestures = tab.session, tab.gestures
        self.popups.search(
            *self.at(x, y), session.graph, session.inner, pin,
            lambda found: gestures.add(found, x, y, pin), session.path,
        )  # fmt: skip

    # Menus ----------------------------------------------------------------------------------------

    def context(self, tab: Tab, x: float, y: float, hit: Hit | None = None) -> None:
        """The menu of what was pressed: a link, a node, or the canvas."""
        session = tab.session
        entries: list[Choice] = []
        if hit is not None and hit.link is not None:
            entries = self.of_link(tab, x, y, hit.link)
        elif hit is not None and hit.pin is not None and hit.node in session.graph.nodes:
            entries = self.of_pin(tab, hit.pin)
        elif hit is not None and hit.node in session.selected_ports():
            entries = [self.choice("rename"), self.choice("delete")]
        elif hit is not None and hit.node:
            entries = [self.choice(n) for n in OF_NODE]
            entries += self.of_weights(session, hit.node)
            entries.append(Choice("Colour…", "", "", partial(self.colours, tab, x, y)))
        else:
            paste = partial(session.paste, at=tab.gestures.view.to_canvas(x, y))
            entries = [
                Choice("Add a node…", "Tab", "", partial(self.search, tab, x, y, None)),
                Choice("Paste", shortcut(BY_NAME["paste"]), "", paste),
                *map(self.choice, ("select_all", "layout", "fit")),
            ]
        self.popups.menu(*self.at(x, y), entries)

    def choice(self, name: str) -> Choice:
        """A command as a row of a menu."""
        command = BY_NAME[name]
        return Choice(command.label, shortcut(command), "", partial(self.run, name))

    def of_link(self, tab: Tab, x: float, y: float, link: Link) -> list[Choice]:
        """What can be done to a link; its shape stands there too."""
        session = tab.session
        wire = tab.gestures.scene.wires.get(link)
        shape = wire.label if wire and wire.label else "not known yet"
        ends = f"{link.source} → {link.to}: {shape}"
        insert = partial(self.insert, tab, x, y, link)

        def delete(graph: Graph, scope: Scope) -> Graph:
            return without(graph, scope, [link])

        return [
            Choice("Insert a node…", "", "", insert),
            Choice("Delete the link", "", "", partial(session.do, "Disconnect", delete)),
            Choice(f"Shape {shape}", "", "", partial(self.documents.tell, ends)),
        ]

    def of_pin(self, tab: Tab, pin: Pin) -> list[Choice]:
        """What can be done at a pin: peek at the value, or unlink it."""
        session, live = tab.session, tab.live
        linked = refs(session.graph.links.get(Ref(pin.node, pin.port), ()))
        found = []
        for ref in [pin.ref] if pin.side == "out" else linked:
            output = session.place(ref.node, ref.port)
            words = "Peek no more at" if output in live.peeks else "Peek at"
            found.append(Choice(f"{words} {output}", "", "", partial(live.peek, output)))
        if pin.side == "in" and linked:
            away = partial(session.disconnect, Ref(pin.node, pin.port))
            found.append(Choice("Delete the link", "", "", away))
        return found or [Choice("Nothing is linked here", "", "", lambda: None)]

    def of_weights(self, session: Session, name: str) -> list[Choice]:
        """What can be done about the weights of a node: share, part, freeze."""
        entry = session.graph.nodes.get(name)
        if entry is None:
            return []
        others = [n for n in session.nodes_selected if n != name]
        found: list[tuple[str, Callable[[], Any]]] = []
        if len(others) == 1:
            share = partial(session.share, name, others[0])
            found.append((f"Share the weights of {others[0]}", share))
        if entry.shares:
            found.append(("Make independent", partial(session.make_independent, name)))
        if session.inner.has_weights(session.graph, session.graph.owner(name)):
            frozen = is_frozen(session.graph.entry(name), session.graph.params)
            label = "Let its weights be trained" if frozen else "Freeze its weights"
            found.append((label, partial(session.freeze, name, not frozen)))
        return [Choice(label, "", "", run) for label, run in found]

    def expose(self, tab: Tab) -> None:
        """Choose a setting of the selected node to make a parameter of the graph."""
        session = tab.session
        for name in session.nodes_selected[:1]:
            settings = session.inner.settings(session.graph, name) or {}
            choices = [Choice(k, "", "", partial(session.expose_param, name, k)) for k in settings]
            box = tab.gestures.scene.boxes[name]
            self.popups.menu(*self.at(*tab.gestures.view.to_screen(box.x, box.y)), choices)

    def colours(self, tab: Tab, x: float = 40, y: float = 40) -> None:
        """Choose a colour for the selected nodes and frames."""
        session = tab.session
        rows = [("As its kind", None), *TINTS.items()]
        choices = [Choice(n, "", "", partial(session.set_colour, c)) for n, c in rows]
        self.popups.menu(*self.at(x, y), choices)

    def insert(self, tab: Tab, x: float, y: float, link: Link) -> None:
        """Search for a type to put on a link."""
        session = tab.session
        at, scene = tab.gestures.view.to_canvas(x, y), tab.gestures.scene
        pin, into = scene.pin("out", link.source), scene.pin("in", link.to)
        self.popups.search(
            *self.at(x, y), session.graph, session.inner, pin,
            lambda f: session.insert_on_link(f.name, link.to, link.source, at), session.path, into,
        )  # fmt: skip

    # Values and names -----------------------------------------------------------------------------

    def field(self, tab: Tab, node: str, setting: str) -> None:
        """Edit a field where it stands."""
        session = tab.session
        declared = (session.inner.settings(session.graph, node) or {}).get(setting)
        if declared is None:
            return
        given = session.graph.nodes[node].params
        value = given.get(setting, declared.default)
        if declared.type is bool and isinstance(value, bool):
            session.set_param(node, setting, not value)
            return
        box = tab.gestures.scene.boxes[node]
        place = next(f for f in box.face.fields if f.setting == setting)
        x, y = tab.gestures.view.to_screen(box.x + place.rect[0], box.y + place.rect[1])
        if declared.choices:
            rows = [
                Choice(str(c), "", "", partial(session.set_param, node, setting, c))
                for c in declared.choices
            ]
            self.popups.menu(*self.at(x, y), rows)
            return
        self.popups.type(
            "", f"{node}.{setting}", as_text(value) if given.get(setting) is not None else "",
            lambda typed: session.set_param(node, setting, read(typed, declared)), *self.at(x, y),
        )  # fmt: skip

    def rename(self, tab: Tab, name: str) -> None:
        """Ask for the new name of a node, or the title of a frame."""
        scene = tab.gestures.scene
        thing = scene.boxes.get(name) or scene.frames.get(name)
        x, y = tab.gestures.view.to_screen(thing.x, thing.y) if thing else (100.0, 100.0)
        frame = scene.frames.get(name)
        if frame is not None:
            self.popups.type(
                "", "title of the frame", frame.title,
                lambda new: tab.session.set_frame(name, title=new), *self.at(x, y),
            )  # fmt: skip
            return
        port = name in tab.session.selected_ports()
        rename = tab.session.rename_port if port else tab.session.rename
        shown = name.removeprefix(OUT)
        self.popups.type(
            "", f"rename {shown}", shown, lambda new: rename(name, new), *self.at(x, y)
        )

    # Over all -------------------------------------------------------------------------------------

    def commands(self, graphs: Iterable[tuple[Path, Graph]] = ()) -> None:
        """Every command, and every prebuilt graph, to search and run."""
        choices = [Choice(c.label, shortcut(c), c.doc, partial(self.run, c.name)) for c in COMMANDS]
        for path, graph in graphs:
            title, about = graph.meta.get("title", path.stem), graph.meta.get("about", "")
            opened = partial(self.documents.open, path, copy=True)
            choices.append(Choice(f"Open {title}", "prebuilt", about, opened))

        def find(words: str) -> list[Choice]:
            wanted = words.casefold().split()
            return [c for c in choices if all(w in f"{c.name} {c.help}".casefold() for w in wanted)]

        wide = dpg.get_viewport_client_width()
        self.popups.ask(wide / 2 - 230, 90, "Search a command or a graph", find)

    def help(self) -> None:
        """All keys."""
        self.popups.table(
            "Keys and mouse", [(shortcut(c), c.label) for c in COMMANDS if c.keys] + list(MOUSE)
        )
