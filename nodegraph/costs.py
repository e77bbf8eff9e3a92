"""What a graph costs: a table with a row per node, those of a group indented under it."""

from __future__ import annotations

from collections.abc import Iterator

from .body import Body, memory

HEAD = ("node", "type", "output", "parameters", "multiply-adds", "activations")


def table(body: Body) -> Iterator[str]:
    """Lines: output shape, parameters, multiply-adds and activation memory of one forward pass."""
    total = [0, 0, 0]
    for call in body.calls.values():
        mine = call.parameters() if call.owner == call.name else 0
        costs = (mine, call.multiply_adds(), call.activation_bytes())
        total = [a + b for a, b in zip(total, costs, strict=True)]
    last = ("total", "", "", f"{total[0]:,}", f"{total[1]:,}", memory(total[2]))
    rows = [HEAD, *_rows(body, "", False), last]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    for row in rows:
        left = [f"{cell:<{w}}" for cell, w in zip(row[:3], widths[:3], strict=True)]
        right = [f"{cell:>{w}}" for cell, w in zip(row[3:], widths[3:], strict=True)]
        yield "  ".join([*left, *right]).rstrip()


def _rows(body: Body, indent: str, shared: bool) -> Iterator[tuple[str, ...]]:
    for name, call in body.calls.items():
        kind = type(call.node).__name__ if call.node else call.body.type if call.body else ""
        shapes = "  ".join(map(str, call.outputs.values())) or "–"
        own = f"shares {call.owner}" if call.owner != name else f"{call.parameters():,}"
        adds, held = f"{call.multiply_adds():,}", memory(call.activation_bytes())
        yield indent + name, kind, shapes, "" if shared else own, adds, held
        if call.body is not None:
            yield from _rows(call.body, indent + "  ", shared or call.owner != name)
