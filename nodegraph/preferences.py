"""What the editor remembers of its user: theme, text size, recent files, the window's place.

One JSON file in the user's state folder. It may be damaged, from another version, or not writable:
then the defaults hold, and the editor starts all the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

RECENT = 20
THEMES = ("dark", "light")
SMALLEST, LARGEST = 80, 200  # text size in per cent


def state_folder() -> Path:
    """The folder of journals and preferences; `NODEGRAPH_STATE` names another."""
    if told := os.environ.get("NODEGRAPH_STATE"):
        return Path(told)
    import platformdirs

    return Path(platformdirs.user_state_dir("nodegraph", appauthor=False))


def config_folder() -> Path:
    """The folder of what the user has agreed to; `NODEGRAPH_CONFIG` names another."""
    if told := os.environ.get("NODEGRAPH_CONFIG"):
        return Path(told)
    import platformdirs

    return Path(platformdirs.user_config_dir("nodegraph", appauthor=False))


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, as seen by whoever reads it after a crash of this process.

    No fsync: that costs milliseconds, and only a crash of the machine would need it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class Preferences:
    """A value like a graph; `load` and `save` are its only ties to the disk."""

    theme: str = "dark"
    text_size: int = 100
    recent: tuple[str, ...] = ()
    window: Mapping[str, int] = field(default_factory=dict)  # x y width height
    panels: Mapping[str, Any] = field(default_factory=dict)  # what is shown at the sides
    remote: str = ""  # user@host that trains; "": this machine
    nodes: tuple[str, ...] = ()  # folders of the user's own node types

    def recent_files(self) -> list[Path]:
        """The recent files that are there, newest first."""
        return [path for path in map(Path, self.recent) if _is_file(path)]


def load(folder: Path | None = None) -> Preferences:
    """The preferences; defaults for all that is missing or makes no sense."""
    try:
        text = ((folder or state_folder()) / "preferences.json").read_text(encoding="utf-8")
        data = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return Preferences()
    return Preferences(**_sensible(data)) if isinstance(data, dict) else Preferences()


def _sensible(data: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    if data.get("theme") in THEMES:
        found["theme"] = data["theme"]
    if _is_number(data.get("text_size")):
        found["text_size"] = round(min(max(data["text_size"], SMALLEST), LARGEST))
    for name in ("recent", "nodes"):
        if isinstance(paths := data.get(name), list):
            texts = [p for p in paths if isinstance(p, str) and p and "\0" not in p]
            found[name] = tuple(dict.fromkeys(texts))[:RECENT]
    if isinstance(window := data.get("window"), dict):
        found["window"] = {k: round(v) for k, v in window.items() if _is_number(v)}
    if isinstance(panels := data.get("panels"), dict):
        found["panels"] = panels
    if isinstance(remote := data.get("remote"), str):
        found["remote"] = remote
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e6


def save(preferences: Preferences, folder: Path | None = None) -> str:
    """Write the preferences; "" or why they could not be written. Nothing depends on it."""
    folder = folder or state_folder()
    data = {f.name: getattr(preferences, f.name) for f in fields(preferences)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "preferences.json", json.dumps(data, indent=1) + "\n")
    except (OSError, TypeError, ValueError) as wrong:
        return f"preferences are not kept: {wrong}"
    return ""


def opened(preferences: Preferences, file: Path) -> Preferences:
    """`preferences` with a file as the most recent one."""
    names = [str(file.absolute()), *preferences.recent]
    there = [n for n in dict.fromkeys(names) if _is_file(Path(n))]
    return replace(preferences, recent=tuple(there[:RECENT]))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
