"""YAML text as a tree of values that know their place in the text.

PyYAML's own loader follows YAML 1.1 (`1e-4` is a text, `no` is false, `012` is ten, duplicate keys
pass in silence) and recurses. This one reads its events, resolves scalars by the core schema of
YAML 1.2, and refuses what a graph does not need and an attacker does: anchors and aliases, merge
keys, tags, deep nesting, and sizes without end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 5_000_000
MAX_DEPTH = 64
MAX_VALUES = 200_000  # keys count too
MAX_DIGITS = 300
MAX_KEY = 1_000

SPECIAL: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{s + w: float(s + "inf") for s in ("", "+", "-") for w in (".inf", ".Inf", ".INF")},
}
INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
STARTS_NUMBER = frozenset("+-.0123456789")

# Outside of what YAML calls printable, and line ends that editors disagree on.
FORBIDDEN = re.compile(
    "\r(?!\n)|[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd"
    "\U00010000-\U0010ffff]"
)

CURES = {
    "mapping values are not allowed": "look at its indentation, or quote a text that holds ': '",
    "could not find expected ':'": "write each line of a mapping as `key: value`",
    "expected ',' or": "put a comma or the closing bracket",
    "did not find expected key": "look at its indentation, or at a quote or bracket before it",
    "did not find expected '-'": "indent all items of the list alike",
    "found unexpected end of stream": "close the quote or bracket",
    "unknown escape": "use single quotes, where a backslash is a backslash",
    "did not find expected node content": "put a value, or close the bracket before it",
    "expected <document start>": "write each line as `key: value`",
    "cannot start any token": "put the text in quotes, and indent with spaces",
}


class YamlError(ValueError):
    """Text that is no YAML, or more YAML than a graph may hold; lines and columns count from 1."""

    def __init__(self, text: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"line {line}, column {column}: {text}")
        self.text, self.line, self.column = text, line, column


@dataclass(slots=True, eq=False)
class Tree:
    """A value and where it stands: `text[start:end]`. Block collections end with their last item.

    `key_start` and `key_end` enclose the key that it is filed under, if any. `line`, counted from
    1, is the key's, else its own. `column` counts from 0, and is where a block's keys begin.
    """

    value: Any  # of a scalar
    children: dict[str, Tree] | list[Tree] | None
    style: str  # block | flow | plain | quoted | literal
    start: int
    end: int
    line: int
    column: int
    key_start: int = -1
    key_end: int = -1

    def plain(self) -> Any:
        """The value as dicts, lists and scalars."""
        if isinstance(self.children, dict):
            return {k: v.plain() for k, v in self.children.items()}
        if isinstance(self.children, list):
            return [v.plain() for v in self.children]
        return self.value


def decode(raw: bytes) -> str:
    """The text of a file. Raises YamlError when it is none, or too long."""
    if len(raw) > MAX_BYTES:
        raise YamlError(f"the file is longer than {MAX_BYTES:,} bytes; a graph is a few thousand")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise YamlError("the file is UTF-16; save it as UTF-8")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        byte = raw[error.start]
        raise YamlError(
            f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8 text", line, column
        ) from None


def parse(text: str) -> Tree:
    """The tree of `text`. Raises YamlError for the first thing that is wrong with it."""
    _check_characters(text)
    bom = text.startswith("\ufeff")
    try:
        return _build(text, int(bom))
    except yaml.MarkedYAMLError as error:
        what = error.problem or "not YAML"
        cure = next((c for words, c in CURES.items() if words in what), "look at this line")
        mark: Any = error.problem_mark or error.context_mark
        raise YamlError(f"{what}; {cure}", mark.line + 1, mark.column + 1) from None


def _check_characters(text: str) -> None:
    if len(text) > MAX_BYTES:
        raise YamlError(f"the text is longer than {MAX_BYTES:,} characters")
    if bad := FORBIDDEN.search(text, int(text.startswith("\ufeff"))):
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - text.rfind("\n", 0, bad.start())
        if bad.group() == "\r":
            raise YamlError("a carriage return without a line feed; save with LF", line, column)
        code = f"U+{ord(bad.group()):04X}"
        raise YamlError(f"control character {code}; a graph is text: delete it", line, column)


def _build(text: str, offset: int) -> Tree:
    """One pass over the parser's events, with a stack of our own: depth costs no recursion."""
    root: Tree | None = None
    stack: list[Tree] = []
    key: tuple[str, int, int, int] | None = None  # with its start, end and line
    count = documents = 0
    event: Any
    for event in yaml.parse(text[offset:] if offset else text, Loader=Loader):
        kind = type(event)
        if kind is yaml.ScalarEvent or kind is yaml.MappingStartEvent or (
            kind is yaml.SequenceStartEvent
        ):  # fmt: skip
            mark = event.start_mark
            start, line = mark.index + offset, mark.line + 1
            count += 1
            if count > MAX_VALUES:
                raise _error(f"more than {MAX_VALUES:,} values; a graph has a few hundred", mark)
            if event.anchor is not None:
                raise _error(f"anchor &{_cut(event.anchor)}; write the value out each time", mark)
            if event.tag is not None:
                raise _error(f"tag {_cut(event.tag)}; a graph holds plain values: delete it", mark)
            top = stack[-1] if stack else None
            in_mapping = top is not None and type(top.children) is dict
            if in_mapping and key is None:
                key = (_key(event, top), start, event.end_mark.index + offset, line)
                continue
            if kind is yaml.ScalarEvent:
                end = event.end_mark.index + offset
                node = _scalar(event, text, start, end, line, mark)
            else:
                children: Any = {} if kind is yaml.MappingStartEvent else []
                style = "flow" if event.flow_style else "block"
                node = Tree(None, children, style, start, start, line, mark.column)
            if top is None:
                root = node
            elif in_mapping and key is not None:
                name, node.key_start, node.key_end, node.line = key
                top.children[name] = node  # type: ignore[index, call-overload]
                key = None
            else:
                top.children.append(node)  # type: ignore[union-attr]
            if kind is not yaml.ScalarEvent:
                stack.append(node)
                if len(stack) > MAX_DEPTH:
                    raise _error(f"nested deeper than {MAX_DEPTH}; a graph is flat", mark)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            node = stack.pop()
            node.end = event.end_mark.index + offset
            if node.style == "block" and node.children:
                last = next(reversed(node.children.values())) if isinstance(
                    node.children, dict) else node.children[-1]  # fmt: skip
                node.end = last.end
        elif kind is yaml.AliasEvent:
            raise _error(
                f"alias *{_cut(event.anchor)}; write the value out (`shares: name` repeats a node)",
                event.start_mark,
            )
        elif kind is yaml.DocumentStartEvent:
            documents += 1
            if documents > 1:
                raise _error("a second document; one file holds one graph", event.start_mark)
    if root is None:
        raise YamlError("the file is empty; a graph begins with `nodegraph: 1`")
    return root


def _error(text: str, mark: Any) -> YamlError:
    return YamlError(text, mark.line + 1, mark.column + 1)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _key(event: Any, mapping: Tree | None) -> str:
    """The text of a key event. Raises YamlError for all that is no text, `<<` and duplicates."""
    mark = event.start_mark
    if type(event) is not yaml.ScalarEvent:
        raise _error("a list or mapping as a key; keys are names", mark)
    name: str = event.value
    if len(name) > MAX_KEY or FORBIDDEN.search(name) or "\n" in name:
        raise _error(f"{_cut(name)!r} is no name; keys are short words on one line", mark)
    if event.implicit[0]:
        if name == "<<":
            raise _error("merge key <<; write the keys out", mark)
        if not isinstance(_resolve(name, mark), str):
            shown = _cut(name) or "an empty key"
            raise _error(f"{shown} is no name; keys are texts: quote it", mark)
    assert mapping is not None and isinstance(mapping.children, dict)
    if name in mapping.children:
        first = mapping.children[name].line
        raise _error(f"{_cut(name)!r} is here twice (line {first}); remove one", mark)
    return name


def _scalar(event: Any, text: str, start: int, end: int, line: int, mark: Any) -> Tree:
    value, style = event.value, "quoted"
    if event.implicit[0]:
        value, style = _resolve(value, mark), "plain"
    elif event.style in ("|", ">"):
        style = "literal"
        # libyaml ends a block at the next token. Its blank lines belong to the text only with `+`.
        if "+" in text[start : start + 3]:
            end -= text.endswith("\n", start, end) + text.endswith("\r\n", start, end)
        else:
            while end > start and text[end - 1] in " \t\r\n":
                end -= 1
    return Tree(value, None, style, start, end, line, mark.column)


def _resolve(value: str, mark: Any) -> Any:
    try:
        return scalar(value)
    except ValueError as wrong:
        raise _error(str(wrong), mark) from None


def scalar(value: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2. Raises ValueError for endless numbers."""
    if value in SPECIAL:
        return SPECIAL[value]
    if value[0] not in STARTS_NUMBER:
        return value
    if len(value) > MAX_DIGITS:  # int() takes quadratic time, and refuses more than 4,300
        if FLOAT.fullmatch(value) or INT.fullmatch(value):
            raise ValueError(f"a number of {len(value):,} digits; quote it if it is a text")
        return value
    if INT.fullmatch(value):
        base = {"0x": 16, "0o": 8}.get(value[:2], 10)
        return int(value, base)
    return float(value) if FLOAT.fullmatch(value) else value
