"""All node types by name: those that come with nodegraph, and a user's own folders of them."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import ModuleType

from . import node
from .node import Node


@dataclass(frozen=True)
class Library:
    """Node types by name, with the former names of types so that old files load."""

    types: Mapping[str, type[Node]]
    renamed: Mapping[str, str] = field(default_factory=dict)

    def current(self, name: str) -> str:
        """The present name of a type."""
        return self.renamed.get(name, name)

    def __contains__(self, name: object) -> bool:
        return name in self.types

    def __getitem__(self, name: str) -> type[Node]:
        return self.types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.types)

    def search(self, words: str) -> list[str]:
        """Types whose name, aliases or first line of help hold all `words`, best first."""
        wanted = words.casefold().split()

        def rank(name: str) -> int | None:
            declared = self.types[name]
            names = " ".join([name, *declared.aliases]).casefold()
            page = names + " " + first_line(declared).casefold()
            if not all(w in page for w in wanted):
                return None
            return 0 if name.casefold().startswith(words.casefold()) else 1 + (words not in names)

        ranked = sorted((r, name) for name in self.types if (r := rank(name)) is not None)
        return [name for _, name in ranked]


def first_line(declared: type[Node]) -> str:
    """A type's help in one line."""
    return inspect.cleandoc(declared.__doc__ or "").partition("\n")[0]


def near(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """'; did you mean …?' when one of `known` is close to `name`, or all of them when few."""
    short = tuple(k for k in known if len(k) <= 100)
    # A comparison with each of more would take longer than reading the file.
    return _near(name, short, cutoff) if len(short) <= 300 else ""


@lru_cache(maxsize=1024)  # a wrong name is often met many times
def _near(name: str, known: tuple[str, ...], cutoff: float) -> str:
    close = difflib.get_close_matches(name, known, 1, cutoff)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; it has {', '.join(known)}" if 0 < len(known) <= 12 else ""


def declared(module: ModuleType) -> dict[str, type[Node]]:
    """The node types that a module declares: public subclasses of Node with a category."""
    roles = {c for c in vars(node).values() if isinstance(c, type)}
    return {
        name: c
        for name, c in vars(module).items()
        if isinstance(c, type) and issubclass(c, Node) and c not in roles
        and c.__module__ == module.__name__ and not name.startswith("_")
    }  # fmt: skip


_added: dict[str, Mapping[str, type[Node]]] = {}  # by folder; like sys.modules, of the process


def extend(folder: str, types: Mapping[str, type[Node]]) -> None:
    """Have the types of a folder in `standard`, in place of those that it had before."""
    _added[folder] = types
    standard.cache_clear()


def retract(folder: str) -> None:
    """Take the types of a folder out of `standard`."""
    _added.pop(folder, None)
    standard.cache_clear()


def folders() -> list[str]:
    """The folders whose types are in `standard`."""
    return [*_added]


@cache
def standard() -> Library:
    """The library of this process: what comes with nodegraph, and what `extend` has added."""
    types = dict(shipped())
    for found in _added.values():
        types |= found
    return Library(types, {old: name for name, c in types.items() for old in c.was})


@cache
def shipped() -> Mapping[str, type[Node]]:
    """The types that come with nodegraph."""
    package = importlib.import_module("nodegraph.nodes")
    types: dict[str, type[Node]] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        if not info.ispkg:
            found = declared(importlib.import_module(f"{package.__name__}.{info.name}"))
            assert not types.keys() & found.keys(), f"declared twice: {types.keys() & found.keys()}"
            types |= found
    return types
