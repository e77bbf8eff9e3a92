"""The layers hold: who may import what, read from the source of every module."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "dearpygui", "sklearn", "matplotlib", "PIL", "scipy", "networkx", "pooch")
STDLIB = tuple(sys.stdlib_module_names)
ABOVE = ("cli", "__main__", "__init__")  # of the package's own files, those over all layers
MODEL = [p.stem for p in ROOT.glob("nodegraph/*.py") if p.stem not in ABOVE]
LIGHT = tuple(f"nodegraph.{name}" for name in (*MODEL, "__version__"))
DISPLAY_FREE = (
    "arrange|boxes|commands|drags|geometry|gestures|hits|linking|overlay|placing|scene|search|view"
)

# The first rule whose pattern fits a file says what it may import: names of packages or modules.
# Imports inside functions count too, except where `lazily` grants more to them.
RULES: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
    # file, may import, lazily also
    (r"nodegraph/(__init__|__main__)\.py", (*STDLIB, *LIGHT, "nodegraph.cli"), ("nodegraph",)),
    (r"nodegraph/cli\.py", (*STDLIB, *LIGHT), ("nodegraph",)),
    (
        r"nodegraph/preferences\.py",
        (*STDLIB, *LIGHT, "platformdirs"),
        (),
    ),
    (r"nodegraph/compare\.py", (*STDLIB, *LIGHT), ("matplotlib",)),
    (r"nodegraph/[a-z_]+\.py", (*STDLIB, *LIGHT, "yaml", "numpy"), ("nodegraph.nodes",)),
    (
        r"nodegraph/compiler/(__init__|plan|source)\.py",
        (*STDLIB, *LIGHT, "nodegraph.compiler"),
        ("nodegraph.nodes",),
    ),
    (
        r"nodegraph/compiler/[a-z_]+\.py",
        (*STDLIB, *LIGHT, "nodegraph.compiler", "torch", "numpy"),
        ("nodegraph.nodes",),
    ),
    (
        r"nodegraph/training/[a-z_]+\.py",
        (
            *STDLIB,
            *LIGHT,
            "nodegraph.compiler",
            "nodegraph.training",
            "torch",
            "numpy",
            "safetensors",
            "tqdm",
            "PIL",
        ),
        ("nodegraph.nodes",),
    ),
    (
        # what the window needs, and an analysis
        r"nodegraph/worker/(__init__|frames|outbox|process|client|run|server)\.py",
        (*STDLIB, *LIGHT, "nodegraph.compiler", "nodegraph.worker", "numpy"),
        (),
    ),
    (r"nodegraph/worker/[a-z_]+\.py", (*STDLIB, *HEAVY, "nodegraph", "numpy"), ()),
    (  # of the window, what is tested without one
        rf"nodegraph/gui/({DISPLAY_FREE})\.py",
        (*STDLIB, *LIGHT, "nodegraph.gui"),
        (),
    ),
    (  # its plot has the heights of the view Curve
        r"nodegraph/gui/curves\.py",
        (*STDLIB, *LIGHT, "nodegraph.gui", "dearpygui", "numpy", "nodegraph.nodes.ops.extent"),
        (),
    ),
    (
        r"nodegraph/gui/[a-z_]+\.py",
        (*STDLIB, *LIGHT, "nodegraph.gui", "nodegraph.worker", "dearpygui", "numpy"),
        (),
    ),
    (r"nodes/custom\.py", (*STDLIB, "nodegraph.node"), ("torch",)),
    (r"nodes/[a-z_\d]+\.py", (*STDLIB, "nodegraph.node", "nodes"), ()),
    (r"nodes/ops/extent\.py", STDLIB, ()),
    (
        r"nodes/ops/[a-z_\d]+\.py",
        (*STDLIB, *HEAVY, "numpy", "requests", "safetensors", "tqdm", "nodes.ops"),
        (),
    ),
]


def modules() -> list[str]:
    """All modules that are shipped, relative to the root."""
    found = [*ROOT.glob("nodegraph/**/*.py"), *ROOT.glob("nodes/**/*.py")]
    return sorted(str(p.relative_to(ROOT)) for p in found)


def imports(path: str, source: str) -> Iterator[tuple[str, bool]]:
    """The full names that a module imports, and whether it does so inside a function.

    What only a type checker reads (`if TYPE_CHECKING:`) is not imported.
    """
    package = path.split("/")[:-1]

    def walk(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool]]:
        inside |= isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            known = [f"{name}.{alias.name}" for alias in node.names]
            yield from ((k if _is_module(k) else name, inside) for k in known)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                yield from walk(child, inside)
        else:
            for child in ast.iter_child_nodes(node):
                yield from walk(child, inside)

    yield from walk(ast.parse(source), False)


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file() or name == "nodegraph.__version__"


def broken(path: str, source: str) -> list[str]:
    """The imports of a module that its layer does not allow, as sentences."""
    rule = next((r for r in RULES if re.fullmatch(r[0], path)), None)
    if rule is None:
        return [f"{path} is in no layer; add it to the table of rules"]
    _, may, lazily = rule
    wrong = []
    for name, inside in imports(path, source):
        allowed = (*may, *lazily) if inside else may
        if not any(name == a or name.startswith(a + ".") for a in allowed):
            wrong.append(f"{path} may not import {name}" + (" there" if inside else ""))
    return wrong


@pytest.mark.parametrize("path", modules())
def test_imports_follow_the_layers(path: str) -> None:
    assert broken(path, (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("nodegraph/checks.py", "import torch"),
        ("nodegraph/checks.py", "def f():\n    from torch import nn"),
        ("nodegraph/checks.py", "from .compiler import plan"),
        ("nodegraph/checks.py", "from . import compiler"),
        ("nodegraph/checks.py", "import nodegraph.training.trainer"),
        ("nodegraph/__init__.py", "from .compiler.build import compile_slice"),
        ("nodegraph/cli.py", "from . import training"),
        ("nodegraph/compiler/plan.py", "import torch"),
        ("nodegraph/compiler/build.py", "from ..training import trainer"),
        ("nodegraph/training/trainer.py", "from ..gui import window"),
        ("nodegraph/gui/window.py", "import torch"),
        ("nodegraph/gui/gestures.py", "import dearpygui"),
        ("nodegraph/gui/drags.py", "from dearpygui import dearpygui"),
        ("nodegraph/worker/client.py", "import torch"),
        ("nodegraph/worker/server.py", "import torch"),
        ("nodegraph/session.py", "from .gui import window"),
        ("nodegraph/session.py", "from .worker import client"),
        ("nodegraph/journal.py", "import dearpygui"),
        ("nodes/layers.py", "import torch"),
        ("nodes/layers.py", "from nodegraph.graph import Graph"),
        ("nodes/ops/gram.py", "from nodegraph.node import Node"),
        ("nodes/ops/gram.py", "from ..layers import Linear"),
        ("nodegraph/other/new.py", ""),
    ],
)
def test_an_import_that_points_up_is_found(path: str, source: str) -> None:
    assert len(broken(path, source)) == 1


def test_what_a_layer_allows_is_not_reported() -> None:
    assert broken("nodegraph/cli.py", "def f():\n    from .training import run") == []
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"
    assert broken("nodegraph/checks.py", typed) == []


@pytest.mark.parametrize(
    "what",
    [
        "nodegraph",
        "nodegraph.cli",
        "nodegraph.checks",
        "nodegraph.edits",
        "nodegraph.session",
        "nodegraph.journal",
        "nodegraph.worker.client",
        "nodegraph.worker.server",
    ],
)
def test_importing_the_model_loads_neither_torch_nor_the_window(what: str) -> None:
    code = f"import sys, {what}; print(*{{*{HEAVY!r}}} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_the_library_loads_without_torch() -> None:
    code = "import sys; from nodegraph.library import standard; assert len(standard().types) > 40"
    code += "; assert not {'torch', 'dearpygui'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def shipped() -> list[Path]:
    """All text files that git would take, this one excepted."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    names = done.stdout.decode().split("\0") if done.returncode == 0 else []
    paths = [ROOT / n for n in names if n] or [p for p in ROOT.glob("*") if p.is_file()]
    texts = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".cfg", ""}
    found = [p for p in paths if p.suffix in texts and p.is_file()]
    return [p for p in found if p != Path(__file__)]


def test_no_file_mentions_a_place_on_one_machine() -> None:
    private = re.compile(r"(?<![\w.])/(home|root|tmp|Users)/\w|\blocalhost:")
    for path in shipped():
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [f"{path}:{i}: {x}" for i, x in enumerate(lines, 1) if private.search(x)]
        assert found == []


def test_nothing_executes_what_a_file_says() -> None:
    """No pickle, eval, exec or unsafe YAML: opening a graph or a checkpoint executes nothing."""
    unsafe = re.compile(
        r"\b(pickle|shelve|marshal)\b|(?<![\w.])(eval|exec)\(|yaml\.(unsafe_|full_)?load\(|os\.system"
    )
    for path in modules():
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Call, ast.Import, ast.ImportFrom)):
                assert not unsafe.search(ast.unparse(node).split("\n")[0]), f"{path}:{node.lineno}"
