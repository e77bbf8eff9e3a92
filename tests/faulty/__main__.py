"""`python -m tests.faulty`: the worker, with a node type that breaks in many ways, for tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nodegraph.nodes

import nodegraph.training
from nodegraph.worker.server import serve

HERE = Path(__file__).parent

if __name__ == "__main__":
    nodegraph.nodes.__path__.append(str(HERE / "nodes"))
    if importlib.util.find_spec("nodegraph.training.previews") is None:
        nodegraph.training.__path__.append(str(HERE / "training"))
    raise SystemExit(serve())
