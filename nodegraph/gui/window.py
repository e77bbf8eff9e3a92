"""The window: its parts in their places, and the loop that runs them.

One thread. Each turn polls the devices, lets gestures and popups act on the session, and draws what
differs from the screen. When nothing happens it sleeps until an event.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from ..graph import Graph
from ..library import standard
from ..reach import Reach, reach
from . import desktop, theme
from .bars import Bars
from .canvas import Canvas, Shown
from .commands import BY_NAME, COMMANDS, SECTIONS, by_key, shortcut
from .dock import TABS as TABS_OF_DOCK
from .dock import Dock
from .documents import Documents, Tab
from .dropped import Dropped
from .fields import Fields
from .gallery import Gallery
from .input import Event, Input, run_callback
from .inspector import WIDTH, Inspector
from .live import Live
from .marks import Marks
from .menus import Menus
from .minimap import Minimap
from .ownnodes import OwnNodes
from .palette import THEMES
from .popups import Popups
from .probing import Probed, here, notes_on, probes_on
from .questions import Questions
from .shelf import Shelf
from .textures import Textures
from .transport import Transport

LEFT, MENU, TABS, STATUS = 190, 24, 36, 28
MARGIN = 12  # pixels beside what stands in a panel
FRAME = 1 / 60
GRIP = 4  # pixels on either side of a line that is dragged
IDLE = 0.25  # seconds that the window may sleep when nothing moves


# What the commands of training do to a run.
TRAINING: dict[str, Callable[[Live], Any]] = {
    "play": Live.toggle, "stop": Live.stop, "apply": Live.apply, "resume": Live.go_on,
    "step": lambda live: live.do("step"), "checkpoint": lambda live: live.do("save"),
    "probes": lambda live: live.set_probing(not live.probing),
}  # fmt: skip


class Window:
    """The editor. `run` opens it and returns when it is closed."""

    def __init__(
        self, paths: list[Path], size: tuple[int, int] | None = None, remote: str | None = None,
        nodes: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        self.paths, self.size, self.remote, self.nodes = paths, size, remote, nodes
        self.library = standard()
        self.seen: tuple[Any, ...] = ()
        self.stale = True  # whether the panels show another state than the session's
        self.reached: tuple[str, Graph, Reach] | None = None
        self.running = True
        self.faults: list[Exception] = []
        self.resizing = False
        self.pictured: tuple[tuple[Any, ...], dict[str, Shown]] = ((), {})
        self.probed: tuple[tuple[Any, ...], Probed] = ((), ({}, {}))
        self.typed = False  # whether a field took a text in this turn
        self.hanging: list[int | str] = []  # the menus of the bar

    # Opening --------------------------------------------------------------------------------------

    def run(self) -> int:
        """Open the window, and keep it until it is closed."""
        self.build()
        self.own_nodes.start(self.nodes)
        for path in self.paths:
            self.documents.open(path)
        self.documents.recover()
        while self.running and dpg.is_dearpygui_running():
            self.step()
        self.shut()
        return 0

    def step(self) -> None:
        """A turn, and rest until the next one. Where nothing happens, no frame is drawn."""
        if self.quiet > 3 and not self.rest(IDLE):
            self.behind()
            return
        begin = time.perf_counter()
        self.turn()
        rest = FRAME - (time.perf_counter() - begin)
        if rest > 0:
            time.sleep(rest)

    def rest(self, seconds: float) -> bool:
        """Sleep until an event, but not longer; whether one came."""
        came = desktop.wait(seconds)
        if came:
            self.quiet = 1
        return came

    def build(self) -> None:
        """Make the window and everything that stays in it."""
        dpg.create_context()
        dpg.configure_app(manual_callback_management=True)
        popups = Popups()
        self.popups = popups
        self.documents = documents = Documents(self.library, popups, self.turned)
        self.own_nodes = OwnNodes(popups, documents, self.take_library)
        if self.remote is not None:
            documents.remember(remote=self.remote)
        settings = documents.settings
        self.palette = THEMES[settings.theme]
        self.scale = settings.text_size / 100
        self.fonts = dict(theme.load_fonts(settings.text_size))
        place = settings.window
        wide, high = self.size or (place.get("width", 1440), place.get("height", 900))
        dpg.create_viewport(
            title="nodegraph", width=wide, height=high, min_width=800, min_height=500,
            disable_close=True,
        )  # fmt: skip
        theme.bind(self.palette, self.scale)
        dpg.set_exit_callback(self.quit)
        dpg.setup_dearpygui()
        self.input = Input()
        self.input.build()
        self.canvas = Canvas(self.palette)
        self.menus = Menus(popups, documents, self.command)
        self.inspector = Inspector(self.palette, self.fonts, popups)
        self.dock = Dock(self.palette, self.fonts, popups, documents, self.once)
        self.transport = Transport(
            self.palette, popups, self.command, lambda host: documents.remember(remote=host)
        )
        self.shelf = Shelf(self.palette, self.library, self.add_from_shelf)
        self.marks = Marks(self.canvas)
        self.minimap = Minimap(self.palette)
        self.gallery = Gallery(self.palette, self.fonts, documents)
        self.questions = Questions(popups, documents)
        self.bars = Bars(self.palette, self.fonts, documents, self.questions)
        for part in self.parts:
            part.scale = self.scale
        self.textures = Textures()
        self.dropped = Dropped(popups, documents, self.dock.choose)
        margin = theme.padded(MARGIN * self.scale, 8 * self.scale)
        with dpg.window(tag="main", no_scrollbar=True, no_scroll_with_mouse=True):
            self.menu_bar()
            inner = {"border": False, "always_use_window_padding": True}
            dpg.add_child_window(tag="tabs", no_scrollbar=True, **inner)
            dpg.add_child_window(tag="gallery", border=False)
            with dpg.child_window(tag="left", **inner):
                self.shelf.build()
            with dpg.child_window(tag="right", **inner):
                self.inspector.build()
            dpg.add_child_window(tag="transport", no_scrollbar=True, **inner)
            with dpg.child_window(tag="dock", no_scrollbar=True, **inner):
                self.dock.build()
            dpg.add_child_window(tag="status", no_scrollbar=True, **inner)
            # Last: the library looks for an item from the first one on, and here are the most.
            with dpg.child_window(tag="centre", border=False, no_scrollbar=True):
                self.canvas.build()
        dpg.bind_item_theme("centre", theme.unpainted())
        for part in ("left", "right", "dock"):
            dpg.bind_item_theme(part, margin)
        for part in ("tabs", "status", "transport"):
            dpg.bind_item_theme(part, theme.padded(MARGIN * self.scale, 4 * self.scale))
        dpg.set_primary_window("main", True)
        dpg.configure_item("main", no_background=True)  # its parts cover it
        self.minimap.build()
        dpg.bind_item_theme("minimap", theme.padded(0, 0))
        dpg.set_viewport_resize_callback(self.arrange)
        dpg.show_viewport()
        dpg.render_dearpygui_frame()
        desktop.take_drops()
        self.quiet = 0
        self.arrange()
        self.questions.worker.start()

    @property
    def parts(self) -> tuple[Any, ...]:
        """All that is drawn in a palette, at a scale."""
        return (
            self.minimap, self.canvas, self.popups, self.inspector, self.shelf, self.gallery,
            self.bars, self.transport, *self.dock.parts,
        )  # fmt: skip

    def menu_bar(self) -> None:
        """The menus, from the table of commands."""
        with dpg.menu_bar():
            for title in SECTIONS:
                with dpg.menu(label=title) as menu:
                    self.hanging.append(menu)
                    for command in (c for c in COMMANDS if c.section == title):
                        dpg.add_menu_item(
                            label=command.label, shortcut=shortcut(command),
                            callback=lambda _, __, c=command: self.command(c.name),
                        )  # fmt: skip

    def arrange(self) -> None:
        """Give every part its place in the window; the ground between them shows as hair lines."""
        wide, high = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        s, tab, panels = self.scale, self.tab, self.documents.settings.panels
        menu, tabs, status = int(MENU * s), int(TABS * s), int(STATUS * s)
        left = min(int(LEFT * s), int(0.2 * wide)) if panels.get("left", True) else 0
        right = min(int(WIDTH * s), int(0.32 * wide)) if panels.get("right", True) else 0
        top = menu + tabs + 1
        self.body = body = high - top - status - 1
        bar, dock = self.heights = self.wanted(tab)
        centre = wide - left - right - (left > 0) - (right > 0)
        start = left + (left > 0)
        places = {
            "tabs": (0, menu, wide, tabs),
            "gallery": (0, top, wide, body),
            "left": (0, top, left, body),
            "centre": (start, top, centre, body - dock - bar - 2),
            "transport": (start, top + body - dock - bar - 1, centre, bar),
            "dock": (start, top + body - dock, centre, dock),
            "right": (wide - right, top, right, body),
            "status": (0, high - status, wide, status),
        }
        for part, (x, y, w, h) in places.items():
            dpg.configure_item(part, pos=(x, y), width=max(w, 1), height=max(h, 1))
            shown = part in ("tabs", "status") or (part == "gallery") == (tab is None)
            dpg.configure_item(part, show=shown and w > 0)
        self.inspector.fit(right)
        self.transport.wide = self.dock.runs.wide = centre - 2 * MARGIN * s
        self.area = self.menus.area = places["centre"]
        self.minimap.place(self.area, shown=tab is not None)
        self.quiet = 0
        if tab is not None:
            tab.gestures.resize(*self.area[2:])
        self.seen = ()

    def wanted(self, tab: Tab | None) -> tuple[int, int]:
        """The heights of the controls of training and of the dock; what is left is the canvas's."""
        bar = min(int(self.transport.high), self.body // 2)
        dock = int(self.dock.height(tab) * self.scale) if tab else 0
        return bar, min(dock, (self.body - bar) // 2)

    # Tabs -----------------------------------------------------------------------------------------

    @property
    def tab(self) -> Tab | None:
        """The tab in front."""
        return self.documents.tab

    def turned(self) -> None:
        """Another tab is in front."""
        self.canvas.clear()
        self.arrange()

    # One turn -------------------------------------------------------------------------------------

    def turn(self) -> None:
        """One frame."""
        self.quiet += 1
        left = [f.poll() for f in self.fields]  # before the keys: Enter has closed its field
        self.typed = any(left) or self.popups.poll()
        if self.typed:
            self.stale, self.quiet = True, 0  # also what was refused gives way to what there is
        for job in dpg.get_callback_queue() or ():
            self.guarded(partial(run_callback, job))
            self.quiet = 0
        for event in self.input.poll():
            self.quiet = 0
            self.guarded(partial(self.event, event))
        self.textures.sweep()
        tab = self.tab
        if tab is not None:
            if not any(self.input.down.values()):  # else a field that opens gets no keys
                self.guarded(partial(self.requests, tab))
            self.guarded(partial(self.draw, tab))
        elif self.seen != ("gallery",):
            self.gallery.show("gallery", dpg.get_viewport_client_width())
            self.bars.show()
            self.seen = ("gallery",)
        self.behind()
        dpg.render_dearpygui_frame()

    def guarded(self, work: Callable[[], Any]) -> None:
        """Do what a person asked for. A fault in it is told, and costs neither the window nor what
        is open in it."""
        try:
            work()
        except Exception as wrong:
            text = f"this went wrong, and was not done: {type(wrong).__name__}: {wrong}"
            if not self.faults or repr(self.faults[-1]) != repr(wrong):  # not in every frame
                traceback.print_exc()
                self.documents.tell(text, "error")
                self.faults.append(wrong)

    def behind(self) -> None:
        """What goes on also while nothing is drawn: the journal, the file on disk, answers."""
        busy = self.typing() or (self.tab is not None and self.tab.gestures.busy)
        if self.documents.tick(time.monotonic(), busy):
            self.quiet = 0
        self.popups.stay_inside()
        if desktop.DROPPED:
            paths = desktop.DROPPED[:]
            desktop.DROPPED.clear()
            self.guarded(partial(self.dropped.take, paths))
            self.quiet = 0
        if self.dropped.poll():
            self.quiet = 0
        for tab in self.documents.tabs:
            self.guarded(partial(self.hear, tab))
        if self.tab is not None:
            if self.marks.due() and not self.tab.gestures.busy:
                self.quiet = 0
            if self.dock.front == "Runs" and self.dock.runs.poll():
                self.quiet = 0
            self.questions.analyse(self.tab.session)
            if self.questions.poll():
                self.quiet = 0

    def event(self, event: Event) -> None:
        """Give an event to the popup, else to what it is over."""
        if event.kind == "key":
            self.key(event)
            return
        popups = self.popups
        if event.kind == "press" and popups.open and popups.tag == "popup":
            if not popups.holds(event.x, event.y):
                popups.leave()
            return
        tab = self.tab
        if tab is None:
            return
        left, top, w, h = self.area
        x, y = event.x - left, event.y - top
        inside = 0 <= x < w and 0 <= y < h
        gestures = tab.gestures
        if self.minimap.holds(event.x, event.y) and not gestures.busy:
            if event.kind == "press" or (event.kind == "move" and self.input.down.get("left")):
                gestures.view = self.minimap.aim(event.x, event.y, gestures.view)
        elif self.resize_dock(event):
            pass
        elif event.kind == "press" and event.what == "left" and self.shelf.take():
            pass  # it is carried until the button is released
        elif self.shelf.carried and event.kind == "release":
            kind = self.shelf.drop()
            if inside:
                gestures.drop_type(kind, x, y)
        elif self.shelf.carried and event.kind == "move":
            gestures.carry_type(self.shelf.carried if inside else "", x, y)
        elif event.kind == "press" and inside and not self.menu_open():
            gestures.press(event.what, x, y, event.mods, event.double)
        elif event.kind == "release":
            gestures.release(event.what, x, y, event.mods)
        elif event.kind == "move" and not popups.open:
            gestures.move(x, y, event.mods)
        elif event.kind == "wheel" and inside and not popups.open:
            gestures.wheel(event.steps, x, y, event.mods)

    def hear(self, tab: Tab) -> None:
        """Take what the training of a tab has to say."""
        if tab.live.poll() and tab is self.tab:
            self.quiet = 0

    def resize_dock(self, event: Event) -> bool:
        """Drag the line over the controls of training; whether the event was for that."""
        left, top, w, h = self.area
        on_line = abs(event.y - top - h) <= GRIP and left <= event.x < left + w
        if event.kind == "press" and event.what == "left" and on_line:
            # A short programme is as high as its lines.
            self.resizing = self.tab is not None and self.dock.given(self.tab)
        elif event.kind == "release":
            was, self.resizing = self.resizing, False
            if was:
                self.documents.remember()
            return was
        elif event.kind == "move" and self.resizing:
            high = (self.heights[1] + top + h - event.y) / self.scale
            panels = {**self.documents.settings.panels, "dock": round(min(max(high, 90), 2000))}
            self.documents.set(panels=panels)  # kept when the button is released
            self.arrange()
        return self.resizing

    def key(self, event: Event) -> None:
        """A key: of the popup, of the field that has the keyboard, else a command."""
        if self.popups.key(event.what):
            return
        tab, command = self.tab, by_key(event.what, event.mods)
        if command and command.section == "File" and "ctrl" in event.mods:
            for fields in self.fields:  # what is being typed belongs to what is saved
                fields.commit()
        elif self.typed or self.typing():
            return  # `typed`: Enter has just closed the field that it was typed into
        if command is None and tab is None:
            return
        left, top, w, h = self.area
        if tab is not None and left <= event.x < left + w and top <= event.y < top + h:
            tab.gestures.cursor = (event.x - left, event.y - top)
        if command is not None and (tab is None or command.name in self.own):
            self.command(command.name)
        elif tab is not None:
            tab.gestures.key(event.what, event.mods)

    def typing(self) -> bool:
        """Whether keys belong to a text field."""
        return self.popups.open or self.shelf.typing() or any(f.typing() for f in self.fields)

    @property
    def fields(self) -> tuple[Fields, ...]:
        """All inputs of the panels."""
        return self.inspector.fields, self.dock.strip.fields, self.transport.fields

    def menu_open(self) -> bool:
        """Whether a menu of the bar hangs over the canvas."""
        return any(dpg.get_item_state(m).get("toggled_open") for m in self.hanging)

    # Commands -------------------------------------------------------------------------------------

    @property
    def own(self) -> dict[str, Callable[[], Any]]:
        """The commands that are the window's, not the canvas's."""
        documents, tabs = self.documents, self.inspector.tabs
        return {
            "own_nodes": self.own_nodes.choose, "gradcheck": self.questions.gradcheck,
            "put": self.dropped.ask,
            "new": documents.new, "open": documents.ask_open, "save": documents.save,
            "save_as": partial(documents.save, as_=True), "close": documents.close,
            "next_tab": documents.next, "quit": self.quit, "theme": self.switch_theme,
            "larger": partial(self.resize_text, 10), "smaller": partial(self.resize_text, -10),
            "palette": self.command_palette, "help": self.menus.help,
            "find_type": self.shelf.focus, "inspect": self.inspector.focus,
            "panel_left": partial(self.toggle, "left"),
            "panel_right": partial(self.toggle, "right"),
            **{f"dock_{name.lower()}": partial(self.dock.turn, name) for name in TABS_OF_DOCK},
            **{f"tab_{n.lower()}": partial(tabs.bring, n) for n in tabs.names},
            **{name: partial(self.training, name) for name in TRAINING},
        }  # fmt: skip

    def command_palette(self) -> None:
        """Every command and prebuilt graph; the graphs are read when it is first opened."""
        self.menus.commands(self.gallery.graphs)

    def command(self, name: str) -> None:
        """Run a command by its name."""
        if name in self.own:
            self.own[name]()
        elif self.tab is not None:
            BY_NAME[name].run(self.tab.session, self.tab.gestures)

    def training(self, what: str) -> None:
        """Do something to the training of the tab in front."""
        if self.tab is None:
            return
        live = self.tab.live
        TRAINING[what](live)
        if live.state == "starting" and self.dock.front in ("Programme", "Runs", "Messages"):
            self.dock.turn("Curves")

    def once(self, update: str) -> None:
        """Run one update alone."""
        if self.tab is not None:
            self.tab.live.do("update", update)

    def requests(self, tab: Tab) -> None:
        """Open what a gesture asked for."""
        if (request := tab.gestures.take()) is None:
            return
        if request[0] in self.own:
            self.own[request[0]]()
        else:
            self.menus.open(tab, *request)

    def add_from_shelf(self, kind: str) -> None:
        """A type of the palette was clicked: it goes to the middle of the canvas."""
        if self.tab is not None:
            view = self.tab.gestures.view
            self.tab.gestures.add(kind, view.width / 2, view.height / 2)

    def quit(self) -> None:
        """Close the window; asks when something would be lost."""

        def leave() -> None:
            self.running = False

        self.documents.before_quitting(leave)

    def shut(self) -> None:
        """After the loop: the worker ends, journals of what was closed in order go."""
        size = {"width": dpg.get_viewport_width(), "height": dpg.get_viewport_height()}
        self.documents.remember(window=size)
        for tab in self.documents.tabs:
            tab.live.close()
        self.questions.worker.close()
        self.dropped.close()
        self.documents.journal.close()
        dpg.destroy_context()

    # Drawing --------------------------------------------------------------------------------------

    def draw(self, tab: Tab) -> None:
        """Bring the screen up to the session."""
        session, gestures = tab.session, tab.gestures
        scene = gestures.scene
        self.canvas.look(gestures.view)
        shown = self.shown(tab)
        self.canvas.show_pictures(here(shown, session))
        if scene is not self.canvas.scene:
            self.canvas.show(scene)
            self.quiet = 0
        on_links, notes = self.probes(tab)
        self.canvas.show_probes(on_links)
        known = (session.id, session.revision, id(session.analysis))
        told = (self.questions.told, self.documents.journal.trouble, tab.live.state)
        seen = (*known, session.message, *told)
        if seen != self.seen:
            self.stale |= self.seen[:4] != seen[:4]  # a refusal, too: fields show what holds
            self.seen = seen
            self.quiet = 0
            self.bars.show()
        pressing = any(self.input.down.values()) and not gestures.busy  # a button of a panel, say
        stale = self.stale and not pressing and not any(f.typing() for f in self.fields)
        if stale:
            self.stale = False
            self.quiet = 0
            self.inspector.show(session)
        self.dock.show(tab, shown, self.transport.looking, self.heights[1], stale)
        self.transport.show(tab.live)
        if self.heights != self.wanted(tab):
            self.arrange()
        self.minimap.show(scene, gestures.view)
        tips = not self.popups.open
        if self.marks.show(gestures, self.reach(tab), notes, tips, tab.live.probing):
            self.quiet = 0

    def shown(self, tab: Tab) -> dict[str, Shown]:
        """The pictures of views and peeks: as they are, or as they were at the step looked back
        to."""
        live, looking = tab.live, self.transport.looking
        known = (live, live.revision, looking)
        if self.pictured[0] == known:
            return self.pictured[1]
        found = {}
        for name, picture in live.pictures.items():
            key = f"{tab.session.id} {name}"
            if looking is None:
                found[name] = self.textures.of_picture(key, picture)
            elif (path := live.frame(name, looking)) is not None:  # else nothing is kept of then
                if (shown := self.textures.of_file(key, path)) is not None:
                    found[name] = shown
        self.textures.keep({f"{tab.session.id} {name}" for name in found})
        self.pictured = (known, found)
        return found

    def probes(self, tab: Tab) -> Probed:
        """What probes have found, on the links and under the boxes that are shown."""
        session, probe, wires = tab.session, tab.live.probe, tab.gestures.scene.wires
        known = (probe, wires, session.id, session.instances)  # the same objects compare at once
        if self.probed[0] != known:
            found = probes_on(wires, probe, session), notes_on(probe, session)
            self.probed = (known, found)
        return self.probed[1]

    def reach(self, tab: Tab) -> Reach | None:
        """What the gradient reaches of the update (in the strip) or loss that is hovered."""
        session, root = tab.session, tab.session.root
        name = self.dock.strip.hovered()
        if not name and self.marks.rested and not tab.gestures.busy:
            name = tab.gestures.loss_hovered()
        if not name or session.path:
            return None
        if self.reached is None or self.reached[0] != name or self.reached[1] is not root:
            self.reached = (name, root, reach(root, session.scope, name))
        return self.reached[2]

    # Node types and settings ----------------------------------------------------------------------

    def take_library(self) -> None:
        """There are other node types: everything that shows or judges them begins anew."""
        self.library = self.documents.library = self.shelf.library = standard()
        self.shelf.fill()
        for tab in self.documents.tabs:
            tab.session.use(self.library)
        self.questions.renew()
        self.quiet = 0

    def switch_theme(self) -> None:
        """Dark to light, or back."""
        self.documents.remember(theme="light" if self.palette.name == "dark" else "dark")
        for tab in self.documents.tabs:
            tab.live.set_theme(self.documents.settings.theme)
        self.restyle()

    def resize_text(self, step: int) -> None:
        """Text between 80 and 200 %."""
        size = min(max(self.documents.settings.text_size + step, 80), 200)
        self.documents.remember(text_size=size)
        self.scale = size / 100
        self.fonts.update(theme.load_fonts(size))
        self.restyle()

    def toggle(self, panel: str) -> None:
        """Show the panel at a side, or give its room to the canvas."""
        if self.tab is None:
            return
        panels = self.documents.settings.panels
        self.documents.remember(panels={**panels, panel: not panels.get(panel, True)})
        self.arrange()

    def restyle(self) -> None:
        """Draw everything in the present theme and size."""
        self.palette = THEMES[self.documents.settings.theme]
        for part in self.parts:
            part.palette, part.scale = self.palette, self.scale
        theme.bind(self.palette, self.scale)
        self.shelf.fill()
        self.turned()
