"""The window: tabs of sessions, the canvas, the panels around it, and the loop that runs them.

One thread. Each turn polls the devices, lets gestures and popups act on the session, and draws what
differs from the screen. When nothing happens it sleeps until an event.
"""

from __future__ import annotations

import ctypes
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from .. import preferences
from ..files import dumps
from ..graph import GraphError, Ref, Reference, refs, substitute
from ..journal import Journal
from ..library import standard
from ..session import Analysis, Session
from ..worker.client import Worker
from . import theme
from .canvas import Canvas
from .commands import BY_NAME, COMMANDS, MOUSE, Command, by_key
from .gallery import Gallery
from .gestures import Gestures
from .hits import Hit
from .input import Event, Input
from .inspector import WIDTH, Inspector, as_text, read
from .marks import Marks
from .minimap import Minimap
from .palette import THEMES
from .popups import Choice, Popups
from .shelf import Shelf
from .strip import Strip
from .view import View

LEFT, TOP, STRIP, STATUS = 190, 64, 92, 28
FRAME = 1 / 60
LOOK = 2.0  # seconds between two looks at the file on disk
TINTS = {
    "Blue": "#4f74ab", "Green": "#3f8f52", "Gold": "#a87c1f", "Red": "#bb4b37",
    "Violet": "#8a57ad", "Grey": "#66748a",
}  # fmt: skip
IDLE = 0.25  # seconds that the window may sleep when nothing moves


@dataclass
class Tab:
    """An open graph and how it is looked at."""

    session: Session
    gestures: Gestures
    views: dict[tuple[str, ...], View] = field(default_factory=dict)


class Window:
    """The editor. `run` opens it and returns when it is closed."""

    def __init__(self, paths: list[Path], size: tuple[int, int] = (1440, 900)) -> None:
        self.journal = Journal()
        self.settings = preferences.load()
        self.palette = THEMES[self.settings.theme]
        self.scale = self.settings.text_size / 100
        self.library = standard()
        self.tabs: list[Tab] = []
        self.active = -1
        self.paths, self.size = paths, size
        self.seen: tuple[Any, ...] = ()
        self.looked = 0.0  # when the files were last compared with those on disk
        self.asked: dict[int, int] = {}
        self.running = True
        self.typed = False  # whether a field took a text in this turn
        self.hanging: list[int | str] = []  # the menus of the bar

    # Opening --------------------------------------------------------------------------------------

    def run(self) -> int:
        """Open the window, and keep it until it is closed."""
        self.build()
        for path in self.paths:
            self.open(path)
        self.recover()
        while self.running and dpg.is_dearpygui_running():
            self.step()
        self.shut()
        return 0

    def step(self) -> None:
        """A turn, and rest until the next one. Where nothing happens, no frame is drawn."""
        if self.quiet > 3 and not self.sleep(IDLE):
            self.behind()
            return
        begin = time.perf_counter()
        self.turn()
        rest = FRAME - (time.perf_counter() - begin)
        if rest > 0:
            time.sleep(rest)

    def build(self) -> None:
        """Make the window and everything that stays in it."""
        dpg.create_context()
        dpg.configure_app(manual_callback_management=True)
        self.fonts = theme.load_fonts(self.settings.text_size)
        theme.bind(self.palette, self.scale)
        dpg.create_viewport(title="nodegraph", width=self.size[0], height=self.size[1])
        dpg.setup_dearpygui()
        self.input = Input()
        self.input.build()
        self.canvas = Canvas(self.palette)
        self.popups = Popups(self.palette, self.scale)
        self.inspector = Inspector(self.palette, self.fonts, self.library)
        self.strip = Strip(self.palette, lambda _: None)
        self.shelf = Shelf(self.palette, self.library, self.add_from_shelf)
        self.marks = Marks(self.canvas)
        self.minimap = Minimap(self.palette)
        self.gallery = Gallery(
            self.palette, self.fonts, self.library,
            lambda p: self.open(p, copy=True), self.open, self.new,
        )  # fmt: skip
        margin = theme.padded(12 * self.scale, 8 * self.scale)
        with dpg.window(tag="main", no_scrollbar=True, no_scroll_with_mouse=True):
            self.menus()
            inner = {"border": False, "always_use_window_padding": True}
            dpg.add_child_window(tag="tabs", no_scrollbar=True, **inner)
            dpg.add_child_window(tag="gallery", border=False)
            with dpg.child_window(tag="left", **inner):
                self.shelf.build()
            with dpg.child_window(tag="right", **inner):
                self.inspector.build()
            dpg.add_child_window(tag="strip", **inner)
            dpg.add_child_window(tag="status", no_scrollbar=True, **inner)
            # Last: the library looks for an item from the first one on, and here are the most.
            with dpg.child_window(tag="centre", border=False, no_scrollbar=True):
                self.canvas.build()
        for part in ("left", "right", "strip"):
            dpg.bind_item_theme(part, margin)
        for part in ("tabs", "status"):
            dpg.bind_item_theme(part, theme.padded(12 * self.scale, 4 * self.scale))
        dpg.set_primary_window("main", True)
        self.minimap.build()
        dpg.bind_item_theme("minimap", theme.padded(0, 0))
        dpg.set_viewport_resize_callback(self.arrange)
        dpg.set_exit_callback(lambda: None)
        dpg.show_viewport()
        dpg.render_dearpygui_frame()
        self.arrange()
        self.worker = Worker()
        self.worker.start()
        self.quiet = 0
        self.library_handle = ctypes.CDLL(dpg.internal_dpg.__file__)

    def menus(self) -> None:
        """The menu bar, from the table of commands."""
        with dpg.menu_bar():
            for title in ("File", "Edit", "Add", "Select", "Groups", "Arrange", "View", "Help"):
                with dpg.menu(label=title) as menu:
                    self.hanging.append(menu)
                    for command in (c for c in COMMANDS if c.section == title):
                        dpg.add_menu_item(
                            label=command.label, shortcut=shortcut(command),
                            callback=lambda _, __, c=command: self.command(c.name),
                        )  # fmt: skip

    def arrange(self) -> None:
        """Give every part its place in the window."""
        wide, high = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        s = self.scale
        menu = int(24 * s)
        tabs = int(36 * s)
        left, right = int(LEFT * s), int(WIDTH * s)
        strip, status = int(STRIP * s), int(STATUS * s)
        body = high - menu - tabs - status
        empty = not self.tabs
        places = {
            "tabs": (0, menu, wide, tabs),
            "gallery": (0, menu + tabs, wide, body),
            "left": (0, menu + tabs, left, body),
            "centre": (left, menu + tabs, wide - left - right, body - strip),
            "strip": (left, menu + tabs + body - strip, wide - left - right, strip),
            "right": (wide - right, menu + tabs, right, body),
            "status": (0, high - status, wide, status),
        }
        for part, (x, y, w, h) in places.items():
            dpg.configure_item(part, pos=(x, y), width=max(w, 1), height=max(h, 1))
            shown = part in ("tabs", "status") or (part == "gallery") == empty
            dpg.configure_item(part, show=shown)
        self.inspector.wide = right - int(36 * s)
        self.area = places["centre"]
        self.minimap.place(self.area, shown=not empty)
        self.quiet = 0
        if self.tab is not None:
            x, y, w, h = self.area
            self.tab.gestures.view = self.tab.gestures.view.resized(w, h)
        self.seen = ()

    # Sessions -------------------------------------------------------------------------------------

    @property
    def tab(self) -> Tab | None:
        """The tab in front."""
        return self.tabs[self.active] if 0 <= self.active < len(self.tabs) else None

    def open(self, path: Path, copy: bool = False) -> None:
        """Open a file in a tab of its own, or bring the one that has it to the front."""
        for index, tab in enumerate(self.tabs):
            if not copy and tab.session.file == path.absolute():
                self.show(index)
                return
        try:
            session = Session.open(path, copy=copy, library=self.library)
        except (GraphError, OSError) as wrong:
            self.tell(str(wrong), "error")
            return
        if not copy:
            self.settings = preferences.opened(self.settings, path.absolute())
            preferences.save(self.settings)
        self.attach(session)

    def new(self) -> None:
        """An empty graph."""
        self.attach(Session(library=self.library))

    def attach(self, session: Session) -> None:
        """A tab for a session, in front."""
        wide, high = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        view = View(width=max(wide - LEFT - WIDTH, 200), height=max(high - 180, 200))
        gestures = Gestures(session, view)
        self.tabs.append(Tab(session, gestures))
        self.show(len(self.tabs) - 1)
        x, y, w, h = self.area
        gestures.view = gestures.view.resized(w, h)
        if gestures.scene.bounds:
            gestures.view = gestures.view.fit(gestures.scene.bounds)

    def show(self, index: int) -> None:
        """Bring a tab to the front."""
        self.active = index
        self.popups.close()
        self.canvas.clear()
        self.arrange()

    def close_tab(self, index: int | None = None) -> None:
        """Close a tab; asks when something would be lost."""
        index = self.active if index is None else index
        if not 0 <= index < len(self.tabs):
            return
        session = self.tabs[index].session

        def gone() -> None:
            del self.tabs[index]
            self.show(min(self.active, len(self.tabs) - 1))

        def saved() -> None:
            self.save(then=gone)

        if not session.changed:
            gone()
            return
        self.popups.question(
            "Not saved", f"{session.title} has changes that are not saved.",
            [("Save", saved), ("Discard", gone), ("Cancel", lambda: None)],
        )  # fmt: skip

    def save(self, as_: bool = False, then: Callable[[], Any] = lambda: None) -> None:
        """Save the tab in front, asking for a name if it has none."""
        if self.tab is None:
            return
        session = self.tab.session

        def done(path: Path) -> None:
            self.popups.close()
            if session.save(path):
                self.settings = preferences.opened(self.settings, path)
                preferences.save(self.settings)
                then()

        def overwrite() -> None:
            session.keep_mine()
            if session.save():
                then()

        if session.file is None or as_:
            start = session.file.parent if session.file else Path.cwd()
            self.popups.files("Save as", start, done, save=True)
        elif session.disk_changed():
            self.popups.question(
                "Changed on disk", f"{session.file.name} was changed by another program.",
                [("Overwrite it", overwrite),
                 ("Reload it", session.reload), ("Cancel", lambda: None)],
            )  # fmt: skip
        elif session.save():
            then()

    def recover(self) -> None:
        """Offer what a session that ended badly left."""
        found = self.journal.orphans()
        if not found:
            return

        def restore() -> None:
            for lost in found:
                try:
                    session = Session.recover(lost.text, lost.file, self.library)
                    self.journal.adopt(lost, session)
                    self.attach(session)
                except GraphError as wrong:
                    self.tell(str(wrong), "error")

        def discard() -> None:
            for lost in found:
                self.journal.discard(lost)

        names = ", ".join(lost.title for lost in found)
        self.popups.question(
            "Recovered", f"The editor ended without closing {names}. Bring it back?",
            [("Bring back", restore), ("Discard", discard), ("Later", lambda: None)],
        )  # fmt: skip

    # One turn -------------------------------------------------------------------------------------

    def turn(self) -> None:
        """One frame."""
        self.quiet += 1
        jobs = dpg.get_callback_queue()
        self.typed = any(len(job) > 2 and isinstance(job[2], str) for job in jobs or ())
        if jobs:
            run_callbacks(jobs)
            self.quiet = 0
        for event in self.input.poll():
            self.quiet = 0
            self.event(event)
        tab = self.tab
        if tab is not None:
            if not any(self.input.down.values()):  # else a field that opens gets no keys
                self.requests(tab)
            self.draw(tab)
        elif self.seen != ("gallery",):
            self.gallery.show(
                "gallery", dpg.get_viewport_client_width(), self.settings.recent_files()
            )
            self.bars()
            self.seen = ("gallery",)
        self.behind()
        dpg.render_dearpygui_frame()

    def behind(self) -> None:
        """What goes on also while nothing is drawn: the journal, answers, the file on disk."""
        now = time.monotonic()
        self.journal.tick(now, [t.session for t in self.tabs])
        if self.tab is not None:
            if self.marks.due() and not self.tab.gestures.busy:
                self.quiet = 0
            self.analyse(self.tab)
            if now - self.looked > LOOK:
                self.looked = now
                self.disk(self.tab.session)

    def disk(self, session: Session) -> None:
        """Tell when another program has changed the file."""
        if self.popups.open or not session.disk_changed():
            return
        name = session.file.name if session.file else ""
        self.popups.question(
            "Changed on disk", f"{name} was changed by another program.",
            [("Reload it", session.reload), ("Keep mine", session.keep_mine)],
        )  # fmt: skip
        self.quiet = 0

    def event(self, event: Event) -> None:
        """Give an event to the popup, else to the canvas."""
        if event.kind == "key" and self.popups.key(event.what):
            return
        if event.kind == "press" and self.popups.open and self.popups.tag == "popup":
            if self.popups.holds(event.x, event.y):
                return
            self.popups.close()
            return
        tab = self.tab
        if event.kind == "key":
            command = by_key(event.what, event.mods)
            if self.typed or self.typing() or (command is None and tab is None):
                return  # `typed`: Enter has just closed the field that it was typed into
            if tab is not None and self.over(event):
                tab.gestures.cursor = (event.x - self.area[0], event.y - self.area[1])
            if command is not None and (tab is None or command.name in self.own):
                self.command(command.name)
            elif tab is not None:
                tab.gestures.key(event.what, event.mods)
            return
        if tab is None:
            return
        left, top, w, h = self.area
        x, y = event.x - left, event.y - top
        inside = 0 <= x < w and 0 <= y < h
        gestures = tab.gestures
        if self.minimap.holds(event.x, event.y) and not gestures.busy:
            if event.kind == "press" or (event.kind == "move" and self.input.down.get("left")):
                gestures.view = self.minimap.aim(event.x, event.y, gestures.view)
            return
        if event.kind == "press" and inside and not self.menu_open():
            gestures.press(event.what, x, y, event.mods, event.double)
        elif event.kind == "release":
            gestures.release(event.what, x, y, event.mods)
        elif event.kind == "move" and not self.popups.open:
            gestures.move(x, y, event.mods)
        elif event.kind == "wheel" and inside and not self.popups.open:
            gestures.wheel(event.steps, x, y, event.mods)

    def over(self, event: Event) -> bool:
        """Whether an event was over the canvas."""
        left, top, w, h = self.area
        return left <= event.x < left + w and top <= event.y < top + h

    def typing(self) -> bool:
        """Whether keys belong to a text field."""
        return (
            self.popups.open
            or self.inspector.typing()
            or self.strip.typing()
            or (self.shelf.typing())
        )

    def menu_open(self) -> bool:
        """Whether a menu of the bar hangs over the canvas."""
        return any(dpg.get_item_state(m).get("toggled_open") for m in self.hanging)

    @property
    def own(self) -> dict[str, Callable[[], Any]]:
        """The commands that are the window's, not the canvas's."""
        return {
            "new": self.new, "save": self.save, "save_as": lambda: self.save(as_=True),
            "open": lambda: self.popups.files("Open", Path.cwd(), self.opened, save=False),
            "close": self.close_tab, "quit": self.quit, "theme": self.switch_theme,
            "larger": lambda: self.resize_text(10), "smaller": lambda: self.resize_text(-10),
            "palette": self.command_palette, "help": self.help,
            "next_tab": self.next_tab,
        }  # fmt: skip

    def next_tab(self) -> None:
        """The tab after this one."""
        if self.tabs:
            self.show((self.active + 1) % len(self.tabs))

    def command(self, name: str) -> None:
        """Run a command by its name."""
        if name in self.own:
            self.own[name]()
        elif self.tab is not None:
            BY_NAME[name].run(self.tab.session, self.tab.gestures)

    def opened(self, path: Path) -> None:
        """A file was chosen."""
        self.popups.close()
        self.open(path)

    def requests(self, tab: Tab) -> None:
        """Open what a gesture asked for."""
        request = tab.gestures.take()
        if request is None:
            return
        what, *more = request
        if what == "search":
            x, y, pin = more
            self.search(tab, x, y, pin)
        elif what == "menu":
            self.context(tab, *more)
        elif what == "field":
            self.edit_field(tab, *more)
        elif what == "rename":
            self.rename(tab, *more)
        elif what in self.own:
            self.own[what]()

    def search(self, tab: Tab, x: float, y: float, pin: Any) -> None:
        """Search at the cursor; what is chosen is added there, linked to the pin."""
        left, top, *_ = self.area
        session, gestures = tab.session, tab.gestures
        self.popups.search(
            left + x, top + y, session.graph, session.inner, pin,
            lambda found: gestures.add(found, x, y, pin), session.path,
        )  # fmt: skip

    def add_from_shelf(self, kind: str) -> None:
        """A type of the palette was clicked: it goes to the middle of the canvas."""
        if self.tab is None:
            return
        view = self.tab.gestures.view
        self.tab.gestures.add(kind, view.width / 2, view.height / 2)

    def context(self, tab: Tab, x: float, y: float, hit: Hit | None = None) -> None:
        """The menu of what was pressed: a link, a node, or the canvas."""
        left, top, *_ = self.area
        session = tab.session
        link = hit.link if hit is not None else None
        entries: list[tuple[str, Callable[[], Any]]] = []
        if link is not None:
            at = tab.gestures.view.to_canvas(x, y)
            entries = [
                ("Insert a node…", lambda: self.insert(tab, x, y, link, at)),
                ("Delete the link", lambda: session.disconnect(link.to, link.source)),
                ("Shape of the tensor", lambda: self.tell(self.shape(session, link))),
            ]
        elif hit is not None and hit.node:
            names = ("rename", "duplicate", "delete", "dissolve", "bypass", "group", "ungroup",
                     "collapse", "frame")  # fmt: skip
            entries = [(BY_NAME[n].label, partial(self.command, n)) for n in names]
            entries += self.of_weights(session, hit.node)
            entries.append(("Colour…", partial(self.colours, session, left + x, top + y)))
        else:
            entries = [
                ("Add a node…", lambda: self.search(tab, x, y, None)),
                ("Paste", lambda: session.paste(at=tab.gestures.view.to_canvas(x, y))),
                ("Fit all", lambda: self.command("fit")),
            ]
        self.popups.menu(left + x, top + y, entries)

    def of_weights(self, session: Session, name: str) -> list[tuple[str, Callable[[], Any]]]:
        """What can be done about the weights of a node: share, part, freeze."""
        entry = session.graph.nodes.get(name)
        if entry is None:
            return []
        others = [n for n in session.nodes_selected if n != name]
        found: list[tuple[str, Callable[[], Any]]] = []
        if len(others) == 1:
            found.append((f"Share the weights of {others[0]}",
                          partial(session.share, name, others[0])))  # fmt: skip
        if entry.shares:
            found.append(("Make independent", partial(session.make_independent, name)))
        if session.inner.has_weights(session.graph, session.graph.owner(name)):
            frozen = session.graph.entry(name).frozen
            label = "Let its weights be trained" if frozen else "Freeze its weights"
            found.append((label, partial(session.freeze, name, not frozen)))
        return found

    def colours(self, session: Session, x: float, y: float) -> None:
        """Choose a colour for the selected nodes and frames."""
        self.popups.menu(
            x, y,
            [("As its kind", partial(session.set_colour, None)),
             *((n, partial(session.set_colour, c)) for n, c in TINTS.items())],
        )  # fmt: skip

    def insert(self, tab: Tab, x: float, y: float, link: Any, at: Any) -> None:
        """Search for a type to put on a link."""
        left, top, *_ = self.area
        session = tab.session
        pin = tab.gestures.scene.pin("out", link.source)
        self.popups.search(
            left + x, top + y, session.graph, session.inner, pin,
            lambda f: session.insert_on_link(f.name, link.to, link.source, at), session.path,
        )  # fmt: skip

    def shape(self, session: Session, link: Any) -> str:
        """What flows along a link, in words."""
        found = self.tab.gestures.scene.wires.get(link) if self.tab else None
        label = found.label if found else ""
        return f"{link.source} → {link.to}: {label or 'its shape is not known yet'}"

    def edit_field(self, tab: Tab, node: str, setting: str) -> None:
        """Edit a field where it stands."""
        session = tab.session
        settings = session.inner.settings(session.graph, node) or {}
        if setting not in settings:
            return
        declared = settings[setting]
        value = session.graph.nodes[node].params.get(setting, declared.default)
        if declared.type is bool and isinstance(value, bool):
            session.set_param(node, setting, not value)
            return
        left, top, *_ = self.area
        box = tab.gestures.scene.boxes[node]
        place = next(f for f in box.face.fields if f.setting == setting)
        x, y = tab.gestures.view.to_screen(box.x + place.rect[0], box.y + place.rect[1])
        if declared.choices:
            self.popups.menu(
                left + x, top + y,
                [(str(c), partial(session.set_param, node, setting, c)) for c in declared.choices],
            )  # fmt: skip
            return
        text = as_text(value) if session.graph.nodes[node].params.get(setting) is not None else ""
        self.popups.type(
            "", f"{node}.{setting}", text,
            lambda typed: session.set_param(node, setting, read(typed, declared)),
            left + x, top + y,
        )  # fmt: skip

    def rename(self, tab: Tab, name: str) -> None:
        """Ask for a node's new name."""
        left, top, *_ = self.area
        box = tab.gestures.scene.boxes.get(name)
        x, y = tab.gestures.view.to_screen(box.x, box.y) if box else (100.0, 100.0)
        self.popups.type(
            "", f"rename {name}", name, lambda new: tab.session.rename(name, new), left + x, top + y
        )

    # Drawing --------------------------------------------------------------------------------------

    def draw(self, tab: Tab) -> None:
        """Bring the screen up to the session."""
        session, gestures = tab.session, tab.gestures
        scene = gestures.scene
        self.canvas.look(gestures.view)
        seen = (session.id, session.revision, id(session.analysis), session.message)
        states = self.states(session, gestures)
        if scene is not self.canvas.scene or states != self.canvas.states:
            self.canvas.show(scene, states)
            self.quiet = 0
        if seen != self.seen:
            fresh = self.seen[:3] != seen[:3]
            self.seen = seen
            self.quiet = 0
            if fresh and not self.inspector.typing():
                self.inspector.show(session)
                self.strip.show(session, "strip")
            self.bars()
        self.minimap.show(scene, gestures.view)
        if self.marks.show(gestures):
            self.quiet = 0

    def states(self, session: Session, gestures: Gestures) -> dict[str, str]:
        """Marks on the boxes: the family of what is hovered, or what an update reaches."""
        update = self.strip.hovered()
        if update and not session.path:
            return reach(session, update)
        family = gestures.overlay.family
        return dict.fromkeys(family, "owner") if len(family) > 1 else {}

    def bars(self) -> None:
        """Tabs with the breadcrumb, and the status line."""
        dpg.delete_item("tabs", children_only=True)
        dpg.push_container_stack("tabs")
        with dpg.group(horizontal=True):
            for index, tab in enumerate(self.tabs):
                mark = " •" if tab.session.changed else ""
                item = dpg.add_button(
                    label=f"{tab.session.title}{mark}##{index}",
                    callback=lambda _, __, i=index: self.show(i),
                )  # fmt: skip
                if index == self.active:
                    dpg.bind_item_font(item, self.fonts["bold"])
                dpg.add_button(
                    label=f"×##{index}", small=True,
                    callback=lambda _, __, i=index: self.close_tab(i),
                )  # fmt: skip
            dpg.add_button(label="+", callback=lambda: self.new())
            if self.tab is not None and self.tab.session.path:
                session = self.tab.session
                dpg.add_text("   ")
                dpg.add_button(label="top", small=True, callback=lambda: session.leave(0))
                for depth, name in enumerate(session.path):
                    dpg.add_text("›", color=self.palette.dim)
                    dpg.add_button(
                        label=f"{name}##crumb{depth}", small=True,
                        callback=lambda _, __, d=depth: session.leave(d + 1),
                    )  # fmt: skip
        dpg.pop_container_stack()
        dpg.delete_item("status", children_only=True)
        dpg.push_container_stack("status")
        with dpg.group(horizontal=True):
            for text, colour in self.status():
                dpg.add_text(text, color=colour)
        dpg.pop_container_stack()

    def status(self) -> list[tuple[str, Any]]:
        """What the line at the bottom says."""
        p = self.palette
        if self.tab is None:
            return [("Open a graph, or press Ctrl+N for an empty one.", p.dim)]
        session = self.tab.session
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
            rows.append((words, p.error if errors else p.dim))
            total = sum(c["parameters"] for k, c in analysis.costs.items() if "/" not in k)
            rows.append((f"{total:,} weights", p.dim))
        for told in (self.worker.told, self.journal.trouble):
            if told:
                rows.append((told, p.dim))
        rows.append(("? keys   Ctrl+Shift+P commands   Tab add", p.dim))
        return rows

    def tell(self, text: str, kind: str = "info") -> None:
        """Show a message."""
        if self.tab is not None:
            self.tab.session.tell(text, kind)
            self.seen = ()
        else:
            self.popups.question("nodegraph", text, [("Close", lambda: None)])

    # Analysis -------------------------------------------------------------------------------------

    def analyse(self, tab: Tab) -> None:
        """Ask the worker about what has changed, and take its answers."""
        session = tab.session
        if self.asked.get(session.id) != session.edition:
            self.asked[session.id] = session.edition
            self.worker.analyse(session.edition, partial(dumps, session.root), key=str(session.id))
        for answer in self.worker.poll():
            for other in self.tabs:
                if answer.get("key") == str(other.session.id) and "shapes" in answer:
                    if answer["id"] == other.session.edition:
                        other.session.analysis = Analysis.from_message(answer)
                        self.quiet = 0

    # Settings, help, the end ----------------------------------------------------------------------

    def switch_theme(self) -> None:
        """Dark to light, or back."""
        name = "light" if self.palette.name == "dark" else "dark"
        self.settings = replace(self.settings, theme=name)
        preferences.save(self.settings)
        self.restyle()

    def resize_text(self, step: int) -> None:
        """Text between 80 and 200 %."""
        size = min(max(self.settings.text_size + step, 80), 200)
        self.settings = replace(self.settings, text_size=size)
        preferences.save(self.settings)
        self.scale = size / 100
        self.fonts.update(theme.load_fonts(size))
        self.restyle()

    def restyle(self) -> None:
        """Draw everything in the present theme and size."""
        self.palette = THEMES[self.settings.theme]
        for part in (self.minimap, self.canvas, self.popups, self.inspector, self.strip, self.shelf,
                     self.gallery):  # fmt: skip
            part.palette = self.palette
        self.popups.scale = self.scale
        theme.bind(self.palette, self.scale)
        self.shelf.fill()
        self.canvas.clear()
        self.arrange()

    def command_palette(self) -> None:
        """Every command, to search and run."""

        def find(words: str) -> list[Choice]:
            wanted = words.casefold().split()
            return [
                Choice(c.label, shortcut(c), c.doc, partial(self.command, c.name))
                for c in COMMANDS
                if all(w in f"{c.label} {c.doc}".casefold() for w in wanted)
            ]

        wide = dpg.get_viewport_client_width()
        self.popups.ask(wide / 2 - 230, 90, "Search a command", find)

    def help(self) -> None:
        """All keys."""
        wide = dpg.get_viewport_client_width()
        self.popups.window(wide / 2 - 480, 50, 960 * self.scale, "Keys and mouse")
        with dpg.table(parent=self.popups.tag, header_row=False, policy=dpg.mvTable_SizingFixedFit):
            for _ in range(4):
                dpg.add_table_column()
            rows = [(shortcut(c), c.label) for c in COMMANDS if c.keys] + list(MOUSE)
            half = (len(rows) + 1) // 2
            for first, second in zip(rows[:half], [*rows[half:], ("", "")], strict=False):
                with dpg.table_row():
                    for keys, label in (first, second):
                        dpg.add_text(keys, color=self.palette.accent)
                        dpg.add_text(label, wrap=int(330 * self.scale))

    def quit(self) -> None:
        """Close the window; asks when something would be lost."""
        lost = [t.session.title for t in self.tabs if t.session.changed]
        if not lost:
            self.running = False
            return

        def leave() -> None:
            self.running = False

        self.popups.question(
            "Not saved", f"{', '.join(lost)}: there are changes that are not saved.",
            [("Discard and quit", leave), ("Cancel", lambda: None)],
        )  # fmt: skip

    def shut(self) -> None:
        """After the loop: the worker ends, journals of what was closed in order go."""
        self.worker.close()
        self.journal.close()
        dpg.destroy_context()

    def sleep(self, seconds: float) -> bool:
        """Wait for an event, but not longer; whether one came."""
        begin = time.perf_counter()
        try:
            self.library_handle.glfwWaitEventsTimeout(ctypes.c_double(seconds))
        except AttributeError:  # no such function on this system: draw, at a low rate
            time.sleep(0.03)
            self.quiet = 1
            return True
        came = time.perf_counter() - begin < 0.95 * seconds
        if came:
            self.quiet = 1
        return came


def run_callbacks(jobs: list[Any]) -> None:
    """Call what widgets want called, with sender, value and user data as far as each takes them.

    Dear PyGui's own function would also pass them for parameters that have a default, which is
    where our callbacks keep what they are about.
    """
    for callback, *given in jobs:
        if callback is not None:
            takes = inspect.signature(callback).parameters.values()
            wanted = sum(p.default is p.empty for p in takes)
            callback(*given[:wanted])


def shortcut(command: Command) -> str:
    """A command's first key as people write it."""
    if not command.keys:
        return ""
    words = command.keys[0].split("+")
    return "+".join(w.capitalize() if len(w) > 1 else w.upper() for w in words)


def reach(session: Session, update: str) -> dict[str, str]:
    """What an update does to each node: "moves" its weights, "reach" by its gradient, "beyond"."""
    root, scope = session.root, session.scope
    try:
        name = str(substitute(Reference(update[1:]) if update[:1] == "$" else update, root.params))
        over = substitute(root.entry(name).params.get("over", ()), root.params)
    except (GraphError, KeyError):
        return {}
    moved = {root.owner(n) for n in over if n in root.nodes}
    reached: set[str] = set()
    stack = [r.node for r in refs(root.links.get(Ref(name, "loss"), ()))]
    while stack:
        node = stack.pop()
        declared = scope.type_of(root, node)
        outside = getattr(declared, "category", "") in ("sources", "schedules")
        stops = outside or getattr(declared, "stops_gradient", False)
        if node in reached or node not in root.nodes or stops:
            continue
        reached.add(node)
        stack += [r.node for s in root.inputs_of(node).values() for r in refs(s)]
    states = dict.fromkeys(root.nodes, "beyond")
    states |= dict.fromkeys(reached, "reach")
    states |= {n: "moves" for n in reached if root.owner(n) in moved}
    return {**states, name: "moves"}
