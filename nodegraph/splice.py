"""A changed graph in the text that its author wrote: what did not change keeps every character.

Comments, empty lines, quotes, the order of keys and the author's own layout survive, so a file has
small diffs and may be edited by hand and by mouse in turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .yamltext import (
    WIDTH,
    Path,
    dump,
    entry,
    flow,
    is_section,
    item,
    key_text,
    pieces,
    wrap,
)  # fmt: skip
from .yamltree import Tree


class _RewriteError(Exception):
    """The text is too unlike the data to be edited in place: write this part anew."""


def splice(text: str, tree: Tree, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """`text`, whose meaning is `old`, with as few characters changed as make it mean `new`.

    The text may say the same thing in other words than `old` (a former name of a parameter, a port
    that need not be named). The caller checks that the result does mean `new`.
    """
    if same(old, new):
        return text
    splicer = _Splicer(text)
    try:
        if tree.style != "block" or not new:
            raise _RewriteError
        splicer.block(tree, old, new, ())
    except _RewriteError:
        return dump(new)
    return _apply(text, splicer.edits)


def same(a: Any, b: Any) -> bool:
    """Equality that tells 1 from 1.0 and from true, and takes nan for equal to itself."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if type(a) is not type(b):
        return False
    return bool(a == b) if not isinstance(a, float) else repr(a) == repr(b)


Edit = tuple[int, int, str]


def _apply(text: str, edits: list[Edit], start: int = 0, end: int | None = None) -> str:
    """`text[start:end]` with its edits made. Insertions at one point keep their order."""
    out, at = [], start
    for begin, stop, words in sorted(edits, key=lambda e: e[:2]):
        if begin < at:
            raise _RewriteError
        out += [text[at:begin], words]
        at = stop
    return "".join([*out, text[at:end]])


class _Splicer:
    """Collects the edits of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.edits: list[Edit] = []
        self.newline = "\r\n" if "\r\n" in text else "\n"

    # Collections --------------------------------------------------------------------------------

    def change(self, tree: Tree, old: Any, new: Any, path: Path, indent: int) -> None:
        """Make a value in a block mapping or block list mean `new`; `indent` is its parent's."""
        if same(old, new):
            return
        before = len(self.edits)
        try:
            if not tree.children or not new or not _alike(tree, old, new):
                raise _RewriteError
            if tree.style == "flow":
                self.flow(tree, old, new)
                self.check_width(tree, before)
            elif isinstance(new, Mapping):
                self.block(tree, old, new, path)
            else:
                self.items(tree, old, new)
        except _RewriteError:
            del self.edits[before:]
            self.replace(tree, new, path, indent)

    def block(self, tree: Tree, old: Any, new: Any, path: Path) -> None:
        """A block mapping: change, remove and add its entries."""
        assert isinstance(tree.children, dict)
        here = tree.children
        if (renamed := _renamed(old, new)) and renamed[0] in here:
            was, now = renamed
            self.edits.append((here[was].key_start, here[was].key_end, key_text(now)))
            here = {now if k == was else k: place for k, place in here.items()}
            old = {now if k == was else k: value for k, value in old.items()}
        unreachable = [k for k in old if k not in here and not (k in new and same(old[k], new[k]))]
        gone = [k for k in here if k in old and k not in new]
        kept = [k for k in here if k not in gone]
        if unreachable or not kept:
            raise _RewriteError
        for key in kept:
            if key in new:
                before = old[key] if key in old else here[key].plain()
                self.change(here[key], before, new[key], (*path, key), tree.column)
        for key in gone:
            start = self.line_start(here[key].key_start)
            self.edits.append((start, self.line_end(here[key].end), ""))
        previous = ""
        for key, value in new.items():
            if key in here:
                previous = key
            elif key not in old:
                lines = entry(key, value, (*path, key), tree.column)
                if not path and is_section(key, value):
                    lines.insert(0, "")
                self.insert(lines, here[previous] if previous else None, tree)

    def insert(self, lines: list[str], after: Tree | None, tree: Tree) -> None:
        """New lines behind the entry `after`, or in front of the first of `tree`."""
        if after is None:
            assert isinstance(tree.children, dict)
            at = self.line_start(next(iter(tree.children.values())).key_start)
        else:
            at = self.line_end(after.end)
        lead = "" if at == 0 or self.text[at - 1] == "\n" else self.newline
        self.edits.append((at, at, lead + "".join(line + self.newline for line in lines)))

    def items(self, tree: Tree, old: Any, new: Any) -> None:
        """A block list: change its items, or take out and put in between those that stay."""
        assert isinstance(tree.children, list)
        here = tree.children
        if len(old) == len(new):
            for place, was, value in zip(here, old, new, strict=True):
                self.change(place, was, value, ("",), tree.column)
            return
        head = tail = 0
        shorter = min(len(old), len(new))
        while head < shorter and same(old[head], new[head]):
            head += 1
        while tail < shorter - head and same(old[-1 - tail], new[-1 - tail]):
            tail += 1
        if not head and not tail:
            raise _RewriteError
        ends = [tree.start, *(place.end for place in here)]
        starts = [self.dash(ends[i], place) for i, place in enumerate(here)]
        for i in range(head, len(old) - tail):
            self.edits.append((starts[i], self.line_end(here[i].end), ""))
        at = self.line_end(here[head - 1].end) if head else starts[0]
        lead = "" if at == 0 or self.text[at - 1] == "\n" else self.newline
        lines = [ln for v in new[head : len(new) - tail] for ln in item(v, tree.column)]
        if lines:
            self.edits.append((at, at, lead + "".join(line + self.newline for line in lines)))

    def flow(self, tree: Tree, old: Any, new: Any) -> None:
        """A flow collection: change single members; write it anew when members come or go."""
        if same(old, new):
            return
        words = flow(new)
        if tree.children and new and _alike(tree, old, new):
            assert tree.children is not None
            before = len(self.edits)
            try:
                if isinstance(tree.children, list):
                    for place, was, value in zip(tree.children, old, new, strict=True):
                        self.flow(place, was, value)
                else:
                    for key, value in new.items():
                        if key not in tree.children:
                            raise _RewriteError
                        self.flow(tree.children[key], old[key], value)
                return
            except _RewriteError:
                del self.edits[before:]
        if tree.start == tree.end:  # an empty value, as in {a: , b}
            if not self.text[: tree.start].endswith(":"):
                raise _RewriteError
            words = " " + words
        self.edits.append((tree.start, tree.end, words))

    def check_width(self, tree: Tree, before: int) -> None:
        """Raises _RewriteError when the edits since `before` make a line of `tree` too long."""
        head = self.text[self.text.rfind("\n", 0, tree.start) + 1 : tree.start]
        after = head + _apply(self.text, self.edits[before:], tree.start, tree.end)
        if _widest(after) > max(WIDTH, _widest(head + self.text[tree.start : tree.end])):
            raise _RewriteError

    # Single values ------------------------------------------------------------------------------

    def replace(self, tree: Tree, new: Any, path: Path, indent: int) -> None:
        """Write the value of a block's entry or item anew, behind its key or dash."""
        if tree.key_start < 0:
            head = self.text[self.text.rfind("\n", 0, tree.start) + 1 : tree.start]
            if not re.fullmatch(r"[ -]*-[ ]*", head):
                raise _RewriteError
            space = "" if head.endswith(" ") else " "
            lines = wrap(pieces(new, flow=False), " " * len(head), indent + 4)
            lines[0] = lines[0].lstrip(" ")
            self.edits.append((tree.start, tree.end, space + self.newline.join(lines)))
            return
        lines = entry("k", new, path, indent)
        lines[0] = lines[0].lstrip(" ").removeprefix("k:")
        between = self.text[tree.key_end : tree.start]
        if "\n" in between or not re.fullmatch(r"\s*:\s*", between):
            start = tree.key_end
            lines[0] = ":" + lines[0]
        else:
            start = tree.start
            lines[0] = lines[0] if start == tree.end else lines[0].removeprefix(" ")
        end = tree.end
        if len(lines) > 1 and not lines[0].endswith(tuple(",[{")):  # a block: no comment may follow
            end = self.line_end(end)
            end -= len(self.newline) if self.text[:end].endswith(self.newline) else 0
            if not lines[0]:
                start = tree.key_end
                lines[0] = ":"
        self.edits.append((start, end, self.newline.join(lines)))

    # Places -------------------------------------------------------------------------------------

    def line_start(self, at: int) -> int:
        """Where the line of `at` begins, if only spaces stand before it."""
        start = self.text.rfind("\n", 0, at) + 1
        if self.text[start:at].strip(" \ufeff") or (start == 0 and at and self.text[0] == "\ufeff"):
            raise _RewriteError
        return start

    def line_end(self, at: int) -> int:
        """Where the line after `at` begins."""
        return self.text.find("\n", at) + 1 or len(self.text)

    def dash(self, after: int, place: Tree) -> int:
        """Where the line of an item begins."""
        at = self.text.rfind("-", after, place.start)
        if at < 0 or self.text[at + 1 : place.start].strip():
            raise _RewriteError
        return self.line_start(at)


def _renamed(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, str] | None:
    """The only key that has another name in the same place, and that name."""
    gone, come = [k for k in old if k not in new], [k for k in new if k not in old]
    if len(gone) == len(come) == 1 and same(old[gone[0]], new[come[0]]):
        if list(old).index(gone[0]) == list(new).index(come[0]):
            return gone[0], come[0]
    return None


def _alike(tree: Tree, old: Any, new: Any) -> bool:
    """Whether `old` and `new` can be compared member by member with what stands in the text."""
    if isinstance(tree.children, dict):
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):
            return False
        return tree.style == "block" or tree.children.keys() == old.keys() == new.keys()
    if not isinstance(old, (list, tuple)) or not isinstance(new, (list, tuple)):
        return False
    if tree.children is None or len(tree.children) != len(old):
        return False
    return tree.style == "block" or len(old) == len(new)


def _widest(text: str) -> int:
    return max(map(len, text.split("\n")))
