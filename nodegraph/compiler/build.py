"""Generated source made into modules, through importlib: tracebacks, inspect and pickle work."""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

from torch import nn

from ..body import Body, needed
from ..graph import Graph, GraphError, Ref
from ..infer import dissolve, infer
from ..library import Library, near, standard
from ..scope import Scope
from ..settings import graph_problems
from .part import Part, Sizes
from .script import slice_source, training_source
from .text import Where, nowhere


def load_source(text: str) -> ModuleType:
    """The module that a generated text is, from a temporary file."""
    name = "nodegraph_generated_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    path = _folder() / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__dict__["TEXT"] = text
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def forget(module: ModuleType) -> None:
    """Let go of a generated module that is not used any more: each knob turned makes one."""
    if sys.modules.get(module.__name__) is module:
        del sys.modules[module.__name__]
        Path(str(module.__file__)).unlink(missing_ok=True)


@cache
def _folder() -> Path:
    path = Path(tempfile.mkdtemp(prefix="nodegraph-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def resolved(graph: Graph, library: Library) -> Body:
    """The body of a graph. Raises GraphError with all that is wrong with it."""
    body, problems = infer(graph, library)
    if any(n not in body.calls for n in body.names):  # a value that does not fit, say
        problems = [*problems, *graph_problems(graph, library)]
    errors = [str(p) for p in problems if p.severity == "error"]
    errors = errors or [f"{n} can't be resolved; see `check`" for n in body.names
                        if n not in body.calls]  # fmt: skip
    if errors:
        raise GraphError("\n".join(errors))
    return body


def compile_slice(
    graph: Graph,
    inputs: Iterable[str],
    outputs: Iterable[str],
    library: Library | None = None,
    where: Where = nowhere,
    probe: bool = False,
) -> nn.Module:
    """A module that computes `outputs` from `inputs`, both like "node" or "node.port".

    Its forward takes one tensor per input and returns one per output (a tuple when several), of
    the shapes that `infer` says, at any batch size. Keys of its state are the names of the nodes,
    so `load_state_dict` takes what a training run saved (strict=False when it holds more). Inputs
    may have other sizes where the graph's nodes take these; others it refuses by a GraphError.
    Raises GraphError when the graph has errors, or a name is not in it.
    """
    library = library or standard()
    body = resolved(graph, library)
    given, wanted = (
        [output(graph, library, body, text) for text in texts] for texts in (inputs, outputs)
    )
    if not wanted:
        raise GraphError("name at least one output to compile")
    title = f"A slice of {graph.meta.get('title', 'a graph')}."
    text = slice_source(body, given, wanted, title, where, probe)
    module: Part = load_source(text).Slice()
    calls = tuple(call.name for call in needed(body, wanted, given))
    module.sizes = Sizes(graph, library, body, tuple(given), calls)
    if probe:
        for path, part in module.named_modules():
            part.path = path
    return module


def output(graph: Graph, library: Library, body: Body, text: str) -> Ref:
    """An output as it is called in the body of a graph, with its port. That of a group which is no
    module of its own, as it holds data or metrics, is of a node inside. Raises GraphError."""
    ref = Ref(text) if text in body.calls or text in graph.nodes else Ref.parse(text)
    if ref.node in body.calls:
        ports = list(body.calls[ref.node].outputs)
    elif isinstance(group := Scope(library).type_of(graph, ref.node), Graph):
        ports = list(group.outputs)
    else:
        known = near(ref.node, [*graph.nodes, *body.calls])
        raise GraphError(f"there is no node {ref.node!r}{known}")
    if not ref.port and len(ports) == 1:
        ref = Ref(ref.node, ports[0])
    if ref.port not in ports:
        known = ", ".join(f"{ref.node}.{p}" for p in ports) or "none"
        raise GraphError(f"{text!r} is no output of {ref.node}; it has {known}")
    if ref.node in body.calls:
        return ref
    inner = dissolve(graph.with_(outputs={"": ref}), library).outputs.get("")
    if inner is None:
        raise GraphError(f"nothing flows out of {text}")
    return output(graph, library, body, str(inner))


def training_module(graph: Graph, body: Body, where: Where = nowhere) -> ModuleType:
    """The module with `Network`, `make_sources` and `STAGES` of a graph."""
    title = graph.meta.get("title", "A graph")
    return load_source(training_source(body, graph, f"{title}, made by nodegraph.", where))
