"""One thing that is wrong with a graph: where, what, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .library import near


@dataclass(frozen=True)
class Problem:
    """`where` is a path into the graph: ("nodes", "digits", "in", "logits")."""

    severity: Literal["error", "warning"]
    where: tuple[str, ...]
    text: str
    cure: str = ""

    @property
    def place(self) -> str:
        """The node in words: `digits`, or `Features.conv1` inside a group."""
        words = [w for w in self.where if w not in ("nodes", "groups", "in")]
        return ".".join(words[: 2 if self.where[:1] == ("groups",) else 1])

    def __str__(self) -> str:
        text = f"{self.place}: {self.text}" if self.place else self.text
        words = f"{text}; {self.cure}" if self.cure else text
        # A file's texts end in a terminal: no escape sequences, no line ends.
        return short("".join(c if c.isprintable() else "�" for c in words[:600]), 500)


def error(where: tuple[str, ...], text: str, cure: str = "") -> Problem:
    """A problem that keeps the graph from running."""
    return Problem("error", where, text, cure)


def warning(where: tuple[str, ...], text: str, cure: str = "") -> Problem:
    """A problem that the graph runs with, perhaps not as meant."""
    return Problem("warning", where, text, cure)


def near_miss(name: str, known: Iterable[str]) -> str:
    """The cure for a misspelt `name`: "did you mean …?", the names there are, or ""."""
    return near(short(name, 100), known).removeprefix("; ")


def short(text: str, length: int = 200) -> str:
    """`text`, cut where a message would become unreadable."""
    return text if len(text) <= length else text[: length - 1] + "…"
