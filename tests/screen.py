"""A private screen with the real window on it, and a hand that moves its mouse and types.

    with xvfb():
        screen = Screen(state_folder)
        screen.load(text)
        screen.drag(screen.pin("noise", "out", "y"), screen.pin("fc", "in", "x"))

Events are made with XTEST in this thread. A turn renders what the device did, the next one acts on
it; so each event is followed by turns until the window has seen it, and each gesture by some.
Points are pixels of the window. One `Screen` per process: Dear PyGui leaves its window behind when
a context ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodegraph import files
from nodegraph.graph import Graph, Ref
from nodegraph.session import Session

if TYPE_CHECKING:
    from nodegraph.gui.gestures import Gestures
    from nodegraph.gui.scene import Scene

Point = tuple[float, float]
BUTTONS = {"left": 1, "middle": 2, "right": 3}
MODS = {"ctrl": "Control_L", "shift": "Shift_L", "alt": "Alt_L", "space": "space"}
KEYS = {
    " ": "space", ".": "period", ",": "comma", "-": "minus", "=": "equal", "/": "slash",
    "?": "question", "_": "underscore", "$": "dollar", ":": "colon", ";": "semicolon",
    "[": "bracketleft", "]": "bracketright",
    "enter": "Return", "escape": "Escape", "tab": "Tab", "delete": "Delete", "f1": "F1",
    "f2": "F2", "left": "Left", "right": "Right", "up": "Up", "down": "Down", "home": "Home",
    "end": "End", "backspace": "BackSpace",
}  # fmt: skip
FRAME = 0.015  # seconds of a turn that draws, in software
SHIFTED = "?_$:ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def missing() -> str:
    """Why no window can be tested here; "" when it can."""
    if shutil.which("Xvfb") is None:
        return "Xvfb is missing (Debian: apt-get install xvfb)"
    try:
        import dearpygui  # noqa: F401
        import Xlib  # noqa: F401
    except ImportError as error:
        return f"{error.name} is missing (pip install 'nodegraph[gui,test]')"
    return ""


@contextlib.contextmanager
def xvfb(size: tuple[int, int] = (1600, 1000)) -> Iterator[str]:
    """A display of its own, under a number that is free, as DISPLAY until the end."""
    read, write = os.pipe()
    screen = f"{size[0]}x{size[1]}x24"
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", screen, "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    before = os.environ.get("DISPLAY")
    try:
        with os.fdopen(read) as told:
            number = told.readline().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        os.environ["DISPLAY"] = f":{number}"
        yield f":{number}"
    finally:
        if before is None:
            os.environ.pop("DISPLAY", None)
        else:
            os.environ["DISPLAY"] = before
        server.terminate()
        server.wait()


class Screen:
    """The window and the devices. DISPLAY must be set."""

    def __init__(self, state: Path, size: tuple[int, int] = (1440, 900)) -> None:
        os.environ["NODEGRAPH_STATE"] = str(state)
        import dearpygui.dearpygui as dpg
        from Xlib import display

        from nodegraph.gui.window import Window

        self.dpg, self.display = dpg, display.Display()
        self.window = Window([], size)
        self.window.build()
        dpg.set_viewport_pos([0, 0])
        self.turn(6)

    # The window -----------------------------------------------------------------------------------

    def turn(self, times: int = 2) -> None:
        """Let the window make some turns."""
        for _ in range(times):
            self.window.turn()

    def wait(self, until: Callable[[], Any], seconds: float = 10.0) -> bool:
        """Turn until something holds; whether it did in time."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                return False
            self.turn(1)
            time.sleep(0.04)  # frames are drawn by the CPU, which what is waited for needs, too
        return True

    def checked(self) -> bool:
        """Whether the check's answer is about the graph as it is."""
        session = self.session
        return session.analysis is not None and session.analysis.revision == session.edition

    def fresh(self) -> None:
        """The gallery alone, as at the start."""
        window = self.window
        for button in BUTTONS.values():
            self._fake(5, button)
        window.popups.close()
        window.documents.tabs.clear()
        window.documents.show(-1)
        window.seen = ()
        self.turn(3)
        window.input.queue.clear()
        self.forget_press()

    def forget_press(self) -> None:
        """So that the next press is never the second of a double click."""
        self.window.input.last_press = ("", 0.0, 0.0, 0.0)

    def load(self, text: str = "", graph: Graph | None = None, zoom: float = 1.0) -> Session:
        """A tab with a graph, its origin 20 px from the corner of the canvas."""
        from nodegraph.gui.view import View

        if graph is None:
            graph = files.parse(text).graph if text else Graph()
        session = Session(graph, library=self.window.library)
        self.window.documents.attach(session)
        _, _, w, h = self.window.area
        self.gestures.view = View(-20, -20, zoom, w, h)
        self.turn(3)
        return session

    def close(self) -> None:
        """End what can be ended: the worker, and the devices."""
        self.window.questions.worker.close()
        self.window.documents.journal.close()
        self.display.close()

    def resize(self, width: int, height: int) -> None:
        """Another size of the window."""
        self.dpg.set_viewport_width(width)
        self.dpg.set_viewport_height(height)
        self.turn(4)
        self.window.arrange()

    @property
    def session(self) -> Session:
        """The session of the tab in front."""
        assert self.window.tab is not None
        return self.window.tab.session

    @property
    def gestures(self) -> Gestures:
        """The gestures of the tab in front."""
        assert self.window.tab is not None
        return self.window.tab.gestures

    @property
    def scene(self) -> Scene:
        """What the tab in front shows."""
        return self.gestures.scene

    def shot(self, path: Path) -> None:
        """Write a picture of the window."""
        self.turn(4)
        path.unlink(missing_ok=True)
        self.dpg.output_frame_buffer(str(path))
        if not self.wait(path.exists):
            raise RuntimeError(f"{path} was not written")
        self.turn(2)

    # Where things are -----------------------------------------------------------------------------

    def spot(self, x: float, y: float) -> Point:
        """A canvas point."""
        left, top, *_ = self.window.area
        sx, sy = self.gestures.view.to_screen(x, y)
        return left + sx, top + sy

    def empty(self, fx: float = 0.5, fy: float = 0.5) -> Point:
        """A place on the canvas, in parts of its width and height."""
        left, top, w, h = self.window.area
        return left + w * fx, top + h * fy

    def pin(self, node: str, side: str, port: str) -> Point:
        """The middle of a pin."""
        box = self.scene.boxes[node]
        pin = box.pin(side, port)
        assert pin is not None, f"{node} has no {side} {port}"
        return self.spot(box.x + pin.x, box.y + pin.y)

    def title(self, node: str) -> Point:
        """On a node's title."""
        box = self.scene.boxes[node]
        return self.spot(box.x + min(60, box.face.w / 2), box.y + 12)

    def field(self, node: str, setting: str) -> Point:
        """The middle of a field."""
        box = self.scene.boxes[node]
        x, y, w, h = next(f.rect for f in box.face.fields if f.setting == setting)
        return self.spot(box.x + x + w / 2, box.y + y + h / 2)

    def items(self, label: str, kind: str = "mvButton") -> list[int]:
        """The widgets that are in sight, by what stands on them (or, in an empty field, in it)."""
        dpg, found = self.dpg, []
        for item in dpg.get_all_items():
            if kind not in dpg.get_item_type(item) or not dpg.is_item_visible(item):
                continue
            said = dpg.get_item_configuration(item).get("hint") or dpg.get_item_label(item) or ""
            if said.partition("##")[0] == label and dpg.get_item_state(item).get("rect_size"):
                found.append(int(item))
        return found

    def item(self, label: str, kind: str = "mvButton") -> int:
        """The first of these widgets."""
        found = self.items(label, kind)
        assert found, f"no {kind} {label!r} is in sight"
        return found[0]

    def inspector_items(self, kind: str) -> list[int]:
        """The widgets of a kind in the inspector, from above."""
        dpg = self.dpg
        left = dpg.get_item_pos("right")[0]
        found = [i for i in dpg.get_all_items() if kind in dpg.get_item_type(i)]
        found = [i for i in found if dpg.get_item_state(i).get("rect_size")]
        found = [i for i in found if dpg.get_item_rect_min(i)[0] > left]
        return sorted(found, key=lambda i: dpg.get_item_rect_min(i)[1])

    def close_button(self) -> None:
        """What the button in the corner of the window sends."""
        from Xlib import X
        from Xlib.protocol.event import ClientMessage

        root = self.display.screen().root
        for window in root.query_tree().children:
            if window.get_wm_name() == "nodegraph":
                atom, kind = (
                    self.display.intern_atom(n) for n in ("WM_DELETE_WINDOW", "WM_PROTOCOLS")
                )
                event = ClientMessage(window=window, client_type=kind,
                                      data=(32, [atom, X.CurrentTime, 0, 0, 0]))  # fmt: skip
                window.send_event(event)
        self.display.sync()
        self.turn(4)

    def middle(self, item: int | str, inspector: bool = False) -> Point:
        """The middle of a widget; the wheel turns the inspector until it is in sight."""
        dpg = self.dpg
        left, top = dpg.get_item_pos("right")
        high = dpg.get_item_rect_size("right")[1]
        for _ in range(60 if inspector else 0):
            y = dpg.get_item_rect_min(item)[1]
            if top + 44 <= y <= top + high - 40:
                break
            self.wheel((left + 30, top + high / 2), -1 if y > top + 44 else 1)
        (x, y), (w, h) = dpg.get_item_rect_min(item), dpg.get_item_rect_size(item)
        return x + w / 2, y + h / 2

    def wire(self, to: str, source: str) -> Point:
        """The middle of a link."""
        from nodegraph.gui.canvas import middle

        wires = self.scene.wires.values()
        wanted = Ref.parse(to), Ref.parse(source)
        found = next(w for w in wires if w.to == wanted[0] and w.source.node == wanted[1].node)
        return self.spot(*middle(found))

    # The hand -------------------------------------------------------------------------------------

    def _fake(self, kind: int, detail: int = 0, at: Point | None = None) -> None:
        from Xlib.ext import xtest

        where = {"x": round(at[0]), "y": round(at[1])} if at else {}
        xtest.fake_input(self.display, kind, detail, **where)
        self.display.sync()

    def _code(self, name: str) -> int:
        from Xlib import XK

        function = name[1:].isdecimal() and name[0] == "f"
        word = name.upper() if function else KEYS.get(name, name)
        code = self.display.keysym_to_keycode(XK.string_to_keysym(word))
        assert code, f"no key gives {name!r}"
        return code

    def seen(self, that: Callable[[], Any], turns: int = 20) -> None:
        """Turn until the window has noticed what a device did; many turns where they are short."""
        end = time.monotonic() + turns * FRAME
        while True:
            self.turn(1)
            turns -= 1
            if that() or (turns <= 0 and time.monotonic() > end):
                return

    def at(self, point: Point) -> None:
        """Move the mouse."""
        self._fake(6, at=point)
        where = tuple(map(round, point))
        self.seen(lambda: tuple(map(round, self.window.input.at)) == where, 4)

    def press(self, button: str = "left") -> None:
        """A button goes down."""
        self._fake(4, BUTTONS[button])
        self.seen(lambda: self.window.input.down.get(button))

    def release(self, button: str = "left") -> None:
        """A button goes up."""
        self._fake(5, BUTTONS[button])
        self.seen(lambda: not self.window.input.down.get(button))

    @contextlib.contextmanager
    def held(self, mods: Sequence[str]) -> Iterator[None]:
        """Modifiers (or the space bar) that are held down."""
        codes = [self._code(MODS[m]) for m in mods]
        for code in codes:
            self._fake(2, code)
        if codes:
            self.turn(1)
        yield
        for code in codes:
            self._fake(3, code)
        if codes:
            self.turn(1)

    def click(self, point: Point, button: str = "left", mods: Sequence[str] = ()) -> None:
        """A single click, never the second of a double click."""
        self.forget_press()
        with self.held(mods):
            self.at(point)
            self.press(button)
            self.release(button)
            self.turn(1)

    def double(self, point: Point) -> None:
        """A double click."""
        self.click(point)
        self.press()
        self.release()
        self.turn(4)

    def drag(
        self, start: Point, end: Point, button: str = "left", mods: Sequence[str] = (),
        steps: int = 4,
    ) -> None:  # fmt: skip
        """Press, move, release."""
        self.forget_press()
        with self.held(mods):
            self.at(start)
            self.press(button)
            for i in range(1, steps + 1):
                part = i / steps
                self.at(tuple(a + (b - a) * part for a, b in zip(start, end)))  # type: ignore[arg-type]
            self.release(button)
            self.turn(1)
        self.turn()

    def wheel(self, point: Point, steps: int, mods: Sequence[str] = ()) -> None:
        """Turn the wheel, away from the hand where `steps` > 0."""
        self.at(point)
        with self.held(mods):
            for _ in range(abs(steps)):
                self._fake(4, 4 if steps > 0 else 5)
                self._fake(5, 4 if steps > 0 else 5)
                self.turn()

    def key(self, name: str, *mods: str) -> None:
        """Press a key."""
        held = [*mods, *(["shift"] if name in SHIFTED and "shift" not in mods else [])]
        with self.held(held):
            code = self._code(name)
            self._fake(2, code)
            self.turn(1)
            self._fake(3, code)
            self.turn(1)

    def type(self, text: str) -> None:
        """Type a text."""
        for sign in text:
            self.key(sign)
        self.turn(1)

    def add(self, words: str, at: Point) -> str:
        """Tab, what to search for, Enter; the name of the new node."""
        before = set(self.session.graph.nodes)
        self.at(at)
        self.key("tab")
        self.turn()
        self.type(words)
        self.key("enter")
        self.turn(3)
        new = [n for n in self.session.graph.nodes if n not in before]
        return new[0] if new else ""

    def rewrite(self, text: str) -> None:
        """Replace what stands in the field that has the keyboard, and press Enter."""
        self.key("a", "ctrl")
        self.type(text)
        self.key("enter")
        self.turn(2)
