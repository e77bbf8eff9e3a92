"""Whole files: what `nodegraph train` runs, the same as a script of its own, and slices.

The text that trains and the text that is exported are the same; only the imports differ.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Mapping
from importlib.abc import InspectLoader

from ..body import Body
from ..graph import Graph, GraphError, Ref
from .source import Program
from .stages import stage_class
from .text import Where, attribute, docstring, nowhere, quoted

RUNTIME = "nodegraph.compiler.runtime"


def training_source(body: Body, graph: Graph, title: str, where: Where = nowhere) -> str:
    """The file that `nodegraph train` runs: groups, network, sources, stages.

    Ends in `STAGES`, the classes of the stages in order.
    """
    program = Program(body, where)
    parts = _training(program, graph)
    return "\n\n".join([program.header(title), *parts])


def standalone_source(body: Body, graph: Graph, title: str, where: Where = nowhere) -> str:
    """A script that trains the graph by itself: `training_source` with its imports written out."""
    program = Program(body, where)
    parts = _training(program, graph, graph.folder)
    given = ", given=lambda net: load_weights(net, WEIGHTS)" if weights(body) else ""
    return "\n\n".join([_inlined(program.imports, title), *parts, MAIN % given])


def weights(body: Body) -> dict[str, str]:
    """The files that weights start from, by the dotted names of the modules."""
    named = {name: call.files() for name, call in body.calls.items() if call.owner == name}
    return {
        attribute(f"{name}.{part}".rstrip(".")): file
        for name, files in named.items()
        for part, file in files.items()
    }


def _training(program: Program, graph: Graph, folder: str = "") -> list[str]:
    """The parts of a file; weights that lie in `folder` are named from everywhere."""
    network, sources = program.network(), program.sources()
    stages = [stage_class(program, stage) for stage in graph.train]
    needed = ["Stage", "backward", "set_options", "weights_of"]
    program.imports.setdefault(RUNTIME, set()).update(needed)
    table = f"STAGES = [{', '.join(name for name, _ in stages)}]\n"
    if files := weights(program.body):
        program.imports.setdefault("nodegraph.nodes.ops.weights", set()).add("load_weights")
        there = {k: os.path.join(folder, f) for k, f in files.items()}
        files |= {k: f for k, f in there.items() if folder and os.path.exists(f)}
        lines = (f"    {quoted(k)}: {quoted(f)},\n" for k, f in files.items())
        table += "# What weights start from, by the name of the part.\n"
        table += f"WEIGHTS = {{\n{''.join(lines)}}}\n"
    return [*program.class_texts, network, sources, *(text for _, text in stages), table]


MAIN = """if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--save", help="file for the trained weights (a torch state dict)")
    options = parser.parse_args()
    trained = fit(Network, make_sources, STAGES, options.seed, options.device%s)
    if options.save:
        torch.save(trained.state_dict(), options.save)
"""


def slice_source(
    body: Body, inputs: list[Ref], outputs: list[Ref], title: str,
    where: Where = nowhere, probe: bool = False,
) -> str:  # fmt: skip
    """The file of a slice: its groups and `Slice`."""
    program = Program(body, where, probe)
    text = program.slice(inputs, outputs)
    if probe:
        program.imports.setdefault(RUNTIME, set()).add("probe")
    return "\n\n".join([program.header(title), *program.class_texts, text])


def _inlined(imports: Mapping[str, set[str]], title: str) -> str:
    """The text of all imported modules, one after the other, what they need first."""
    heads: dict[str, None] = {
        "import torch": None,
        "import torch.nn.functional as F": None,
        "from torch import nn": None,
    }
    parts: dict[str, str] = {}

    def visit(module: str) -> None:
        if module in parts:
            return
        spec = importlib.util.find_spec(module)  # reads the file without running it
        assert spec is not None and isinstance(spec.loader, InspectLoader)
        text = spec.loader.get_source(module) or ""
        tree = ast.parse(text)
        if declaring := _declaring(tree):
            visit(LAYERS)
            tree = ast.parse(text := _undeclared(tree, declaring, module))
        rows = text.splitlines()
        drop: set[int] = set()
        for statement in tree.body:
            if isinstance(statement, ast.ImportFrom) and statement.level:
                visit(f"{module.rpartition('.')[0]}.{statement.module}")
            elif isinstance(statement, (ast.Import, ast.ImportFrom)):
                heads[ast.unparse(statement)] = None
            elif statement is not tree.body[0] or not isinstance(statement, ast.Expr):
                continue
            drop.update(range(statement.lineno - 1, statement.end_lineno or statement.lineno))
        kept = "\n".join(row for i, row in enumerate(rows) if i not in drop)
        parts[module] = kept.strip("\n") + "\n"

    for module in sorted(imports):
        visit(module)
    first = sorted(heads, key=lambda head: not head.startswith("from __future__"))
    lines = [docstring(title), "", *first, ""]
    return "\n".join(lines) + "\n\n" + "\n\n".join(parts.values())


LAYERS = "nodegraph.nodes.ops.layer"


def _declaring(tree: ast.Module) -> set[str]:
    """The names that a module takes from nodegraph, to declare nodes."""
    found: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and not statement.level:
            if str(statement.module).partition(".")[0] == "nodegraph":
                found |= {alias.asname or alias.name for alias in statement.names}
        elif isinstance(statement, ast.Import):
            names = ((a, a.name.partition(".")[0]) for a in statement.names)
            found |= {a.asname or first for a, first in names if first == "nodegraph"}
    return found


def _undeclared(tree: ast.Module, declaring: set[str], module: str) -> str:
    """The text of a module without what declares nodes: a layer's forward and backward are left,
    and its parameters are attributes."""

    def declares(node: ast.AST) -> bool:
        return any(isinstance(n, ast.Name) and n.id in declaring for n in ast.walk(node))

    body: list[ast.stmt] = []
    for statement in tree.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            if _declaring(ast.Module([statement], [])):
                continue
        elif isinstance(statement, ast.ClassDef):
            for method in statement.body:
                if getattr(method, "name", "") in ("forward", "backward") and declares(method):
                    where = f"{module.rpartition('.')[2]}.py:{method.lineno}"
                    text = f"{where}: {statement.name}.{method.name} uses what nodegraph declares"  # type: ignore[attr-defined]
                    raise GraphError(f"{text}, which a script by itself has not; leave it out")
            bases = [ast.Name("Given") if declares(b) else b for b in statement.bases]
            kept = [s for s in statement.body if not declares(s)] or [ast.Pass()]
            statement.bases, statement.body = list(dict.fromkeys(bases)), kept
        elif declares(statement):
            continue
        body.append(statement)
    tree.body = body
    return ast.unparse(ast.fix_missing_locations(tree))
