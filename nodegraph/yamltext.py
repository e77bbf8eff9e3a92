"""Data as YAML text in the one style that the project's files have.

Sections are blocks, a node is one line (`conv1: {type: Conv2d, kernel: 5, in: {x: image}}`),
wrapped at 100 columns. What is written reads back as the same value by the rules of `yamltree`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .yamltree import FORBIDDEN, INT, MAX_DIGITS, scalar

WIDTH = 100
BLOCKS = ("groups", "nodes", "presets", "train", "layout")  # everything else is on one line

Path = tuple[str, ...]

KEY = re.compile(r"[^\W\d][\w-]*")
NOT_PLAIN_START = frozenset("-?:,[]{}#&*!|>'\"%@`")
NOT_PLAIN = re.compile(r": |:$| #|[\n\t]")
NOT_PLAIN_FLOW = re.compile(r"[,\[\]{}]|:$|: | #|[\n\t]")
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def dump(data: Mapping[str, Any]) -> str:
    """`data` as a whole file."""
    lines: list[str] = []
    for key, value in data.items():
        if lines and is_section(key, value):
            lines.append("")
        lines += entry(key, value, (key,), 0)
    return "".join(line + "\n" for line in lines) or "{}\n"


def is_section(key: str, value: Any) -> bool:
    """Whether a top-level key is set off by an empty line."""
    return key in BLOCKS and bool(value)


def is_block(path: Path) -> bool:
    """Whether what lies at `path` is written as a block, one line or more for each member."""
    while len(path) >= 2 and path[0] == "groups":  # a group is laid out like a file
        path = path[2:]
    return path == () or (len(path) == 1 and path[0] in BLOCKS)


def entry(key: str, value: Any, path: Path, indent: int) -> list[str]:
    """The lines of `key: value`."""
    head = " " * indent + key_text(key) + ":"
    if value and is_block(path):
        if isinstance(value, Mapping):
            below = (entry(k, v, (*path, k), indent + 2) for k, v in value.items())
            return [head, *(line for lines in below for line in lines)]
        if isinstance(value, (list, tuple)):
            return [head, *(line for v in value for line in item(v, indent + 2))]
    if isinstance(value, str) and (lines := _paragraph(value, head, indent + 2)):
        return lines
    return wrap(pieces(value, flow=False), head + " ", indent + 4)


def item(value: Any, indent: int) -> list[str]:
    """The lines of `- value`."""
    return wrap(pieces(value, flow=False), " " * indent + "- ", indent + 4)


def wrap(words: Iterable[str], head: str, indent: int) -> list[str]:
    """`words` after `head`, on as many lines as they need."""
    lines, line = [], head
    for part in words:
        if len(line) + len(part) > WIDTH and line.strip() and line != head:
            lines.append(line.rstrip(" "))
            line = " " * indent
        line += part + " "
    return [*lines, line.rstrip(" ")]


def pieces(value: Any, flow: bool = True) -> list[str]:
    """The parts of a value in flow style, between which a line may break."""
    if isinstance(value, Mapping):
        parts = [(key_text(k) + ": ", pieces(v)) for k, v in value.items()]
        brackets = "{}"
    elif isinstance(value, (list, tuple)):
        parts = [("", pieces(v)) for v in value]
        brackets = "[]"
    else:
        return [word(value, flow)]
    if not parts:
        return [brackets]
    words: list[str] = []
    for head, sub in parts:
        words += [head + sub[0], *sub[1:-1], sub[-1] + ","] if sub[1:] else [head + sub[0] + ","]
    words[0] = brackets[0] + words[0]
    words[-1] = words[-1].removesuffix(",") + brackets[1]
    return words


def flow(value: Any) -> str:
    """A value on one line."""
    return " ".join(pieces(value))


def key_text(key: str) -> str:
    """A key, quoted when a reader would not take it for this text."""
    plain = KEY.fullmatch(key) and isinstance(scalar(key), str)
    return key if plain else quoted(key)


def word(value: Any, flow: bool = True) -> str:
    """A number, a text, true, false or null. Raises ValueError for anything else."""
    if isinstance(value, str):
        return _text(value, flow)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        if abs(value) >= 10**MAX_DIGITS:
            raise ValueError(f"a whole number of more than {MAX_DIGITS} digits cannot be saved")
        return str(value)
    if isinstance(value, float):
        return re.sub("(inf|nan)", r".\1", repr(float(value)))
    raise ValueError(f"a {type(value).__name__} cannot be saved; a file holds numbers and texts")


def _text(text: str, flow: bool) -> str:
    plain = (
        text
        and text == text.strip()
        and text[0] not in NOT_PLAIN_START
        and not (NOT_PLAIN_FLOW if flow else NOT_PLAIN).search(text)
        and not FORBIDDEN.search(text)
        and not (INT.fullmatch(text) or len(text) > MAX_DIGITS and text[0] in "+.0123456789")
        and isinstance(scalar(text), str)
    )
    return text if plain else quoted(text)


def quoted(text: str) -> str:
    """`text` in quotes: single ones, unless something must be escaped."""
    if not re.search(r"[\n\t\r]", text) and not FORBIDDEN.search(text):
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(ESCAPES.get(c) or _escape(c) for c in text) + '"'


def _escape(char: str) -> str:
    if not FORBIDDEN.match(char):
        return char
    code = ord(char)
    if 0xD800 <= code < 0xE000:
        raise ValueError("half a character (a lone surrogate) cannot be saved; delete it")
    return f"\\x{code:02X}" if code < 256 else f"\\u{code:04X}"


def _paragraph(text: str, head: str, indent: int) -> list[str]:
    """A long text as a block: `|` when it has line ends, `>-` when it is one long line."""
    pad = " " * indent
    lines = text.removesuffix("\n").split("\n")
    if FORBIDDEN.search(text) or "\r" in text or "\t" in text:
        return []
    if len(lines) > 1 or text.endswith("\n"):
        simple = lines[0].strip() and lines[-1] and all(line == line.rstrip() for line in lines)
        if not simple or lines[0].startswith(" "):
            return []
        mark = " |" if text.endswith("\n") else " |-"
        return [head + mark, *(pad + line if line else "" for line in lines)]
    words = text.split(" ")
    if len(head) + 1 + len(text) <= WIDTH or not all(words):
        return []
    return [head + " >-", *wrap(words, pad, indent)]
