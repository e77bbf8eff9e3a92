"""Graphs in files: read with the line of every part, saved whole or not at all.

Opening a file executes nothing. Saving touches only the lines of what changed (`splice`), and what
is about to be written is read back first: a file never means something else than its graph.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import yamltree
from .graph import Graph, GraphError
from .library import Library, standard
from .problem import Problem, short
from .schema import FaultsError, from_data, to_data
from .settings import graph_problems, settle
from .splice import same, splice
from .yamltext import dump
from .yamltree import Tree, YamlError


@dataclass(frozen=True, eq=False)
class Document:
    """A graph with the text that it was read from."""

    graph: Graph
    text: str
    tree: Tree
    path: str
    problems: tuple[Problem, ...]

    def line(self, *where: str) -> int:
        """The line of a place in the graph, or of what is nearest around it, counted from 1."""
        return _line(self.tree, where)


def _line(tree: Tree, where: Iterable[str]) -> int:
    line = tree.line
    for part in where:
        child = None
        if isinstance(tree.children, dict):
            # A node that an inlined group holds is called `group.node`.
            child = tree.children.get(part) or tree.children.get(part.partition(".")[0])
        elif isinstance(tree.children, list) and part.isdecimal():
            child = tree.children[int(part)] if int(part) < len(tree.children) else None
        if child is None:
            break
        tree, line = child, child.line
    return line


def graphs_folder() -> Path:
    """The prebuilt graphs: beside the package in a checkout, inside it in a wheel."""
    here = Path(__file__).parent
    inside = here / "graphs"
    return inside if inside.is_dir() else here.parent / "graphs"


# Reading -----------------------------------------------------------------------------------------


def load(path: str | Path, library: Library | None = None) -> Graph:
    """The graph in a file. Raises GraphError when it cannot be read; see `read` for problems."""
    return read(path, library).graph


def read(path: str | Path, library: Library | None = None) -> Document:
    """A file as a document. Raises GraphError with a line `file:line: where: what; cure` for
    everything that keeps it from being a graph."""
    raw = _bytes(Path(path))
    try:
        text = yamltree.decode(raw)
    except YamlError as wrong:
        raise _error(str(path), wrong) from None
    found = parse(text, str(path), library)
    return replace(found, graph=found.graph.with_(folder=str(Path(path).resolve().parent)))


def _bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block, a device never end
            raise GraphError(f"{path}: this is no file; give the path of a graph's YAML file")
        with path.open("rb") as file:
            return file.read(yamltree.MAX_BYTES + 1)
    except (OSError, ValueError) as wrong:
        if isinstance(wrong, GraphError):
            raise
        reason = wrong.strerror if isinstance(wrong, OSError) else wrong
        raise GraphError(f"{path}: it cannot be read: {reason}; look at the path") from None


def parse(text: str, name: str = "<text>", library: Library | None = None) -> Document:
    """A text as a document; `name` stands for it in messages. Raises GraphError like `read`."""
    library = library or standard()
    try:
        tree = yamltree.parse(text)
        graph, problems = from_data(tree.plain())
    except YamlError as wrong:
        raise _error(name, wrong) from None
    except FaultsError as wrong:
        raise GraphError(
            "\n".join(f"{name}:{_line(tree, f.where)}: {f}" for f in wrong.faults)
        ) from None
    graph = settle(graph, library)
    return Document(graph, text, tree, name, (*problems, *graph_problems(graph, library)))


def _error(name: str, wrong: YamlError) -> GraphError:
    return GraphError(f"{name}:{wrong.line}: column {wrong.column}: {short(wrong.text, 400)}")


# Writing -----------------------------------------------------------------------------------------


def dumps(graph: Graph) -> str:
    """A graph as the text of a new file. Raises GraphError for what no file can hold."""
    return _dump(to_data(graph))


def _dump(data: dict[str, Any]) -> str:
    try:
        return dump(data)
    except ValueError as wrong:
        raise GraphError(f"the graph cannot be saved: {wrong}") from None


def save(
    graph: Graph, path: str | Path, base: str | None = None, library: Library | None = None
) -> str:
    """Write a graph; the text that the file has now.

    `base` is the text that the graph was read from (default: what is at `path`); its comments and
    formatting survive, and an unchanged graph changes no byte. Raises GraphError for a graph that
    no file can hold, OSError when the folder can't be written; then the old file is as it was.
    """
    path, library = Path(path), library or standard()
    there = text_at(path)
    text = rewrite(there if base is None else base, graph, library)
    if text != there:
        _replace(Path(os.path.realpath(path)), text.encode("utf-8"))
    return text


def rewrite(base: str | None, graph: Graph, library: Library | None = None) -> str:
    """`base` with what must change for it to mean `graph`; all anew when it is no graph."""
    library = library or standard()
    wanted = to_data(settle(graph, library))
    if base is not None:
        try:
            before = parse(base, library=library)
            text = splice(base, before.tree, to_data(before.graph), wanted)
            if text is base or same(_meaning(text, library), wanted):
                return text
        except ValueError:
            pass  # the text is no graph, or too unlike it: written anew
    text = _dump(wanted)
    try:
        found = _meaning(text, library)
    except GraphError as wrong:
        raise GraphError(f"the graph cannot be saved: {wrong}") from None
    if not same(found, wanted):
        raise GraphError("the graph cannot be saved: no file says what it says; undo the last edit")
    return text


def _meaning(text: str, library: Library) -> dict[str, Any]:
    return to_data(parse(text, "the new file", library).graph)


def text_at(path: Path) -> str | None:
    """What a file says; None when it can't be read."""
    try:
        return yamltree.decode(_bytes(path))
    except ValueError:
        return None


def _replace(path: Path, raw: bytes) -> None:
    """Write a file whole or not at all: power may fail at any moment."""
    temporary = path.with_name(f".{path.name[:80]}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            if path.exists():
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
