"""Is there a screen to open a window on? Without one Dear PyGui aborts the process: ask first."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys


def missing() -> str:
    """Why no window can be opened, in words for the terminal; "" when it can."""
    if not sys.platform.startswith("linux"):
        return ""
    shown = os.environ.get("DISPLAY", "")
    name = ctypes.util.find_library("X11")
    if name is None:
        return "the X11 library is missing (Debian: apt-get install libx11-6)"
    library = ctypes.CDLL(name)
    library.XOpenDisplay.restype = ctypes.c_void_p
    library.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = library.XOpenDisplay(None)
    if not display:
        return f"no display at DISPLAY={shown!r}" if shown else "no display: DISPLAY is not set"
    library.XCloseDisplay(display)
    return ""


def explain(why: str) -> str:
    """One sentence for stderr: what is wrong, and what to run instead."""
    return (
        f"nodegraph: cannot open a window, {why}; "
        "run `nodegraph train FILE` or `nodegraph check FILE`, or `xvfb-run nodegraph edit`"
    )
