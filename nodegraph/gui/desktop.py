"""What the window system offers beside Dear PyGui: events, the clipboard, dropped files.

All are functions of GLFW, which Dear PyGui carries. Its own `get_clipboard_text` ends the process
when the clipboard holds no text.
"""

from __future__ import annotations

import ctypes
import time
from functools import cache
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from ..session import Clipboard

DROP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))
DROPPED: list[Path] = []  # files that were dropped, and that nobody has taken yet


@DROP
def drop(_: Any, count: int, paths: Any) -> None:
    """GLFW's callback."""
    DROPPED.extend(Path(paths[i].decode("utf-8", "surrogateescape")) for i in range(count))


@cache
def glfw() -> Any:
    """The library that Dear PyGui is in, whose functions of GLFW are visible on Linux and macOS."""
    found = ctypes.CDLL(dpg.internal_dpg.__file__)
    try:
        found.glfwGetClipboardString.restype = ctypes.c_char_p
        found.glfwGetClipboardString.argtypes = [ctypes.c_void_p]
        found.glfwSetClipboardString.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        found.glfwGetCurrentContext.restype = ctypes.c_void_p
        found.glfwSetDropCallback.restype = ctypes.c_void_p
        found.glfwSetDropCallback.argtypes = [ctypes.c_void_p, DROP]
    except AttributeError:
        return None
    return found


def wait(seconds: float) -> bool:
    """Wait for an event of any device, but not longer; whether one came."""
    begin, library = time.perf_counter(), glfw()
    if library is None:  # draw, at a low rate
        time.sleep(0.03)
        return True
    library.glfwWaitEventsTimeout(ctypes.c_double(seconds))
    return time.perf_counter() - begin < 0.95 * seconds


def take_drops() -> None:
    """Let files be dropped on the window, which is there by now."""
    library = glfw()
    if library is not None and (window := library.glfwGetCurrentContext()):
        library.glfwSetDropCallback(window, drop)


class SystemClipboard(Clipboard):
    """The clipboard of the desktop, so that nodes go to another window and to a text editor."""

    kept = ""  # where there is none

    @property
    def text(self) -> str:
        """What was copied last, by any program; "" when that is no text."""
        library = glfw()
        if library is None:
            return self.kept
        found = library.glfwGetClipboardString(None)
        return found.decode("utf-8", "replace") if found else ""

    @text.setter
    def text(self, text: str) -> None:
        self.kept = text
        if (library := glfw()) is not None:
            library.glfwSetClipboardString(None, text.encode())
