"""What the window system offers beside Dear PyGui: waiting for events, and the clipboard.

Both are functions of GLFW, which Dear PyGui carries. Its own `get_clipboard_text` ends the process
when the clipboard holds no text.
"""

from __future__ import annotations

import ctypes
import time
from functools import cache
from typing import Any

import dearpygui.dearpygui as dpg

from ..session import Clipboard


@cache
def glfw() -> Any:
    """The library that Dear PyGui is in, whose functions of GLFW are visible on Linux and macOS."""
    found = ctypes.CDLL(dpg.internal_dpg.__file__)
    try:
        found.glfwGetClipboardString.restype = ctypes.c_char_p
        found.glfwGetClipboardString.argtypes = [ctypes.c_void_p]
        found.glfwSetClipboardString.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
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
