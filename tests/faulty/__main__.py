"""`python -m tests.faulty`: the worker, with a node type that breaks in many ways, for tests."""

from __future__ import annotations

from pathlib import Path

import nodegraph.nodes

from nodegraph.worker.server import serve

HERE = Path(__file__).parent

if __name__ == "__main__":
    nodegraph.nodes.__path__.append(str(HERE / "nodes"))
    raise SystemExit(serve())
