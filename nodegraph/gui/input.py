"""Mouse and keyboard, polled once a frame: presses, releases, movement, the wheel, key names."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dearpygui.dearpygui as dpg

BUTTONS = (("left", dpg.mvMouseButton_Left), ("right", dpg.mvMouseButton_Right),
           ("middle", dpg.mvMouseButton_Middle))  # fmt: skip
DOUBLE = 0.35  # seconds between the presses of a double click
SHIFTED = {"/": "?", "=": "+"}
NEAR = 6.0  # px between them


def key_names() -> dict[int, str]:
    """Key codes as names: a letter, a digit, or a word."""
    names = {getattr(dpg, f"mvKey_{c}"): c.lower() for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    names |= {getattr(dpg, f"mvKey_{c}"): c for c in "0123456789"}
    names |= {getattr(dpg, f"mvKey_F{n}"): f"f{n}" for n in range(1, 13)}
    words = {
        "Delete": "delete", "Back": "backspace", "Escape": "escape", "Tab": "tab",
        "Return": "enter", "Spacebar": "space", "Left": "left", "Right": "right", "Up": "up",
        "Down": "down", "Home": "home", "End": "end", "Period": ".", "Comma": ",", "Slash": "/",
        "Minus": "-", "Plus": "=", "Open_Brace": "[", "Close_Brace": "]", "Prior": "pageup",
        "Next": "pagedown", "NumPadEnter": "enter", "NumPadEqual": "=", "Add": "+", "Subtract": "-",
    }  # fmt: skip
    for code, name in words.items():
        found = getattr(dpg, f"mvKey_{code}", None)
        if found is not None:
            names[found] = name
    return {**names, 602: "="}  # on the main block; Dear PyGui has no name for it


@dataclass(frozen=True)
class Event:
    """One thing that happened: kind is press, release, move, wheel or key."""

    kind: str
    what: str = ""  # the button or the key
    x: float = 0.0
    y: float = 0.0
    mods: frozenset[str] = frozenset()
    double: bool = False
    steps: float = 0.0


@dataclass
class Input:
    """The state of the devices, and what changed in it."""

    queue: list[Event] = field(default_factory=list)
    down: dict[str, bool] = field(default_factory=dict)
    at: tuple[float, float] = (-1.0, -1.0)
    last_press: tuple[str, float, float, float] = ("", 0.0, 0.0, 0.0)

    def build(self) -> None:
        """Register what can only be had as callbacks."""
        self.names = key_names()
        with dpg.handler_registry():
            dpg.add_mouse_wheel_handler(callback=self.on_wheel)
            dpg.add_key_press_handler(callback=self.on_key)

    def mods(self) -> frozenset[str]:
        """The modifiers that are held, and the space bar, which drags the canvas."""
        held = {
            "ctrl": (dpg.mvKey_LControl, dpg.mvKey_RControl),
            "shift": (dpg.mvKey_LShift, dpg.mvKey_RShift),
            "alt": (dpg.mvKey_LAlt, dpg.mvKey_RAlt),
            "space": (dpg.mvKey_Spacebar,),
        }
        return frozenset(n for n, keys in held.items() if any(map(dpg.is_key_down, keys)))

    def on_wheel(self, _: int, steps: float) -> None:
        """The wheel has turned."""
        self.queue.append(Event("wheel", x=self.at[0], y=self.at[1], mods=self.mods(), steps=steps))

    def on_key(self, _: int, code: int) -> None:
        """A key has gone down, or repeats."""
        name = self.names.get(code)
        if name is None:
            return
        mods = self.mods() - {"space"}
        if "shift" in mods and name in SHIFTED:
            name, mods = SHIFTED[name], mods - {"shift"}
        self.queue.append(Event("key", name, *self.at, mods))

    def poll(self) -> Iterator[Event]:
        """Everything since the last frame."""
        x, y = dpg.get_mouse_pos(local=False)
        mods = self.mods()
        if (x, y) != self.at:
            self.at = (x, y)
            yield Event("move", "", x, y, mods)
        for name, code in BUTTONS:
            down = dpg.is_mouse_button_down(code)
            if down and not self.down.get(name):
                now = time.monotonic()
                button, when, px, py = self.last_press
                double = button == name and now - when < DOUBLE and abs(x - px) + abs(y - py) < NEAR
                self.last_press = ("", 0.0, 0.0, 0.0) if double else (name, now, x, y)
                yield Event("press", name, x, y, mods, double)
            elif not down and self.down.get(name):
                yield Event("release", name, x, y, mods)
            self.down[name] = down
        queue, self.queue = self.queue, []
        yield from queue


def run_callback(job: tuple[Any, ...]) -> None:
    """Call what a widget wants called, with sender, value and user data as far as it takes them.

    Dear PyGui's own function would also pass them for parameters that have a default, which is
    where our callbacks keep what they are about.
    """
    callback, *given = job
    if callback is not None:
        takes = inspect.signature(callback).parameters.values()
        wanted = sum(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in takes)
        callback(*given[:wanted])
