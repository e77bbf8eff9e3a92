"""A user's own folders of node types: read, agreed to once for their content, loaded from memory.

Loading a folder runs its code. So it is loaded only after a person has agreed to what is in it: a
SHA-256 sum over the names and contents of all its files, remembered in the user's config folder.
What was summed is what runs: modules are made from the bytes that were read, never from the disk
again, and never from compiled files. A graph cannot name a folder.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from . import library
from .graph import GraphError
from .node import Input, Layer, Node, Output, axis_names
from .preferences import config_folder, write_whole

MOST_FILES, MOST_BYTES = 500, 20_000_000
TRUSTED = "trusted_nodes.json"


@dataclass(frozen=True)
class Folder:
    """What lies in a folder: contents by names relative to it, with `/` between."""

    path: Path
    files: Mapping[str, bytes]

    @property
    def sum(self) -> str:
        """SHA-256 over all names and contents."""
        total = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            for part in (name.encode("utf-8", "surrogatepass"), content):
                total.update(len(part).to_bytes(8, "big") + part)
        return total.hexdigest()

    @property
    def modules(self) -> list[str]:
        """The node files: those directly in the folder whose names are Python's."""
        names = (n.removesuffix(".py") for n in self.files if n.endswith(".py"))
        return sorted(n for n in names if n.isidentifier() and not n.startswith("_"))


def read(path: Path) -> Folder:
    """A folder's content, hidden files and `__pycache__` left out. Raises GraphError."""
    path = path.expanduser().absolute()
    if not path.is_dir():
        raise GraphError(f"{path} is no folder; name one that holds node files (*.py)")
    files: dict[str, bytes] = {}
    size = 0
    for found in _below(path):
        files[found.relative_to(path).as_posix()] = content = found.read_bytes()
        size += len(content)
        if len(files) > MOST_FILES or size > MOST_BYTES:
            limits = f"{MOST_FILES} files or {MOST_BYTES // 1_000_000} MB"
            raise GraphError(f"{path} holds more than {limits}; give node files a folder alone")
    return Folder(path, files)


def _below(path: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(path):
        folders[:] = sorted(f for f in folders if f != "__pycache__" and not f.startswith("."))
        yield from (p for n in sorted(names) if not n.startswith(".")
                    and (p := Path(here, n)).is_file())  # fmt: skip


# Trust -------------------------------------------------------------------------------------------


def is_trusted(folder: Folder) -> bool:
    """Whether a person has agreed to this content."""
    return folder.sum in _agreed()


def trust(folder: Folder) -> None:
    """Remember that a person agrees to this content. Raises OSError when it can't be kept."""
    place = config_folder()
    place.mkdir(parents=True, exist_ok=True)
    agreed = {**_agreed(), folder.sum: str(folder.path)}
    write_whole(place / TRUSTED, json.dumps(agreed, indent=1) + "\n")


def _agreed() -> dict[str, Any]:
    try:
        found = json.loads((config_folder() / TRUSTED).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def question(folder: Folder) -> str:
    """What a person is asked."""
    names = [f"  {name}  ({len(content):,} bytes)" for name, content in folder.files.items()]
    more = [f"  and {len(names) - 12} more"] if len(names) > 12 else []
    lines = [
        f"{folder.path} holds node types. Using them runs this code, with all that you may do on "
        "this machine:", *names[:12], *more, f"SHA-256 {folder.sum}",
        "Run it only if you know where it comes from. You are asked again when it changes.",
    ]  # fmt: skip
    # Names end in a terminal: no escape sequences, no line ends.
    return "\n".join("".join(c if c.isprintable() else "�" for c in line) for line in lines)


# Loading -----------------------------------------------------------------------------------------


def use(
    paths: Iterable[Path], agree: Callable[[Folder], bool]
) -> tuple[list[str], list[Folder]]:  # fmt: skip
    """Add the node types of folders to the library of this process.

    `agree` is asked about a content that nobody has agreed to yet. Returns what is wrong, in words,
    and the folders that were left out because of a no. Raises GraphError for what is no folder.
    """
    wrong: list[str] = []
    refused: list[Folder] = []
    for path in paths:
        folder = read(path)
        if is_trusted(folder):
            wrong += load(folder)
        elif agree(folder):
            try:
                trust(folder)
            except OSError as error:
                wrong.append(f"{config_folder()}: what you agreed to is not kept: {error}")
                continue
            wrong += load(folder)
        else:
            refused.append(folder)
    return wrong, refused


def load(folder: Folder) -> list[str]:
    """Add a trusted folder's types to the library; what is wrong with its files, in words.

    A file that is broken is left out, the others are loaded.
    """
    if not is_trusted(folder):
        raise PermissionError(f"nobody has agreed to run what is in {folder.path}")
    package = f"nodegraph_own_{folder.sum[:16]}"
    if not any(isinstance(f, _Finder) and f.package == package for f in sys.meta_path):
        sys.meta_path.append(_Finder(package, folder))
    library.retract(str(folder.path))  # what it had before
    known = library.standard()
    types: dict[str, type[Node]] = {}
    wrong: list[str] = []
    for name in folder.modules:
        try:
            module = importlib.import_module(f"{package}.{name}")
            found = library.declared(module)
            for type_name, declared in found.items():
                check_declaration(module, type_name, declared)
                if type_name in known or type_name in types:
                    raise Broken(module, type_name, "there is a node type of this name already; "
                                 "give it another")  # fmt: skip
            types |= found
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also SystemExit: the code is not ours
            wrong.append(told(error, folder.path / f"{name}.py", folder.path))
    library.extend(str(folder.path), types)
    return wrong


class Broken(ValueError):
    """A declaration that can't be used."""

    def __init__(self, module: ModuleType, name: str, text: str) -> None:
        loader = module.__loader__
        assert isinstance(loader, _Finder)
        rows = loader.get_data(str(module.__file__)).decode("utf-8", "replace").splitlines()
        starts = (i for i, row in enumerate(rows, 1) if row.startswith(f"class {name}"))
        self.line = next(starts, 1)
        super().__init__(f"{name}: {text}")


def check_declaration(module: ModuleType, name: str, declared: type[Node]) -> None:
    """Raise Broken for what would only show later."""
    ports: dict[str, Input | Output] = {**declared.inputs, **declared.outputs}
    for port, about in ports.items():
        try:
            axis_names(about.shape)
        except ValueError as wrong:
            raise Broken(module, name, f"{port}: {wrong}") from wrong
        if about.kind == "pyramid" and issubclass(declared, Layer):
            raise Broken(module, name, f"{port}: a Layer has tensors alone; declare a Node")
    if not declared.category:
        declared.category = "own nodes"


def told(error: BaseException, file: Path, inside: Path) -> str:
    """What went wrong in a folder's code: file, line, and what."""
    line = getattr(error, "line", None)
    if isinstance(error, SyntaxError):
        file, line = Path(error.filename or file), error.lineno
    elif not isinstance(line, int):
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if Path(f.filename).is_relative_to(inside)]
        if ours:
            file, line = Path(ours[-1].filename), ours[-1].lineno
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    kind = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
    return f"{file}:{line or 1}: {kind}{' '.join(text.split())}; this file was left out"


def fault(error: BaseException) -> str:
    """What went wrong in a user's declaration when it was asked: what, file and line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):  # type: ignore[misc]
    """Finds and loads the modules of one folder, from what was read of it."""

    def __init__(self, package: str, folder: Folder) -> None:
        self.package, self.folder = package, folder

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec of the package, or of a module or folder below it."""
        first, _, rest = fullname.partition(".")
        if first != self.package:
            return None
        place = rest.replace(".", "/")
        if f"{place}.py" in self.folder.files:
            file = str(self.folder.path / f"{place}.py")
            return importlib.util.spec_from_file_location(fullname, file, loader=self)
        if not place or any(n.startswith(f"{place}/") for n in self.folder.files):
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = []
            return spec
        return None

    def get_filename(self, fullname: str) -> str:
        """Where a module's source lies."""
        place = fullname.partition(".")[2].replace(".", "/")
        return str(self.folder.path / f"{place}.py")

    def get_data(self, path: str | bytes) -> bytes:
        """The content that was read, not what is there now."""
        name = Path(os.fsdecode(path)).relative_to(self.folder.path).as_posix()
        try:
            return self.folder.files[name]
        except KeyError as wrong:
            raise OSError(f"{name} was not read") from wrong
