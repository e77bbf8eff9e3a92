"""A graph as an SVG picture: boxes where the layout has them, links in the colour of their kind."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from .graph import Graph, Ref, refs
from .library import Library
from .scope import Scope, type_name

WIDTH, HEAD, ROW, MARGIN = 160, 50, 18, 40
VIEW = (240, 260)  # width and height of a view, which holds a picture
COLOURS = {
    "tensor": "#8aa4c8", "image": "#c8a24a", "labels": "#b07cc6", "scalar": "#7fb77e",
    "loss": "#d0655a", "pyramid": "#53b8ad",
}  # fmt: skip
FAMILIES = {
    "sources": "#c8a24a", "losses": "#d0655a", "optimisers": "#e08a3c", "schedules": "#7fb77e",
    "metrics": "#5aa9b5", "views": "#58a6ff", "": "#7d8796",
}  # fmt: skip


def svg(graph: Graph, library: Library) -> str:
    """The picture of a graph whose parameters are set. Nodes without a place stand in columns."""
    return "\n".join(_svg(graph, Scope(library)))


def places(graph: Graph) -> dict[str, tuple[int, int]]:
    """Where each node stands: as laid out, else in a column by how many nodes are before it."""
    found: dict[str, tuple[int, int]] = {}
    depth: dict[str, int] = {}
    rows: dict[int, int] = {}
    waiting = list(graph.nodes)
    for _ in graph.nodes:
        for name in waiting:
            before = [r.node for s in graph.inputs_of(name).values() for r in refs(s)]
            known = [b for b in before if b in graph.nodes]
            if all(b in depth for b in known):
                depth[name] = max((depth[b] + 1 for b in known), default=0)
        waiting = [n for n in waiting if n not in depth]
    for name in graph.nodes:
        at = graph.layout.get(name)
        if isinstance(at, (list, tuple)) and len(at) == 2:
            found[name] = (int(at[0]), int(at[1]))
        else:
            column = depth.get(name, 0)
            found[name] = (column * (WIDTH + 70), rows.get(column, 0) * 130)
            rows[column] = rows.get(column, 0) + 1
    return found


def is_view(graph: Graph, scope: Scope, name: str) -> bool:
    """Whether a node shows a picture."""
    return getattr(scope.type_of(graph, name), "category", "") == "views"


def _svg(graph: Graph, scope: Scope) -> Iterator[str]:
    at = places(graph)
    inputs = {n: [*(scope.inputs(graph, n) or {}), *graph.inputs_of(n)] for n in graph.nodes}
    inputs = {n: list(dict.fromkeys(p for p in ports if Ref(n, p) in graph.links))
              for n, ports in inputs.items()}  # fmt: skip
    outputs = {n: list(scope.outputs(graph, n) or {}) for n in graph.nodes}
    height = {n: HEAD + ROW * max(len(inputs[n]), len(outputs[n]), 1) for n in graph.nodes}
    left, top = min(x for x, _ in at.values()), min(y for _, y in at.values())
    views = {n for n in graph.nodes if is_view(graph, scope, n)}
    width = {n: VIEW[0] if n in views else WIDTH for n in graph.nodes}
    height |= dict.fromkeys(views, VIEW[1])
    right = max(at[n][0] + width[n] for n in at)
    bottom = max(at[n][1] + height[n] for n in at)
    box = f"{left - MARGIN} {top - MARGIN} {right - left + 2 * MARGIN} {bottom - top + 2 * MARGIN}"
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" '
           'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12">')  # fmt: skip
    x, y, wide, high = box.split()
    yield f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" fill="#1e2229"/>'
    for to, source in graph.links.items():
        for ref in refs(source):
            if ref.node in at and to.node in at:
                port = scope.output(graph, ref)
                colour = COLOURS.get(port.kind if port else "tensor", COLOURS["tensor"])
                given = outputs[ref.node]
                row = given.index(ref.port) if ref.port in given else 0
                x1, y1 = at[ref.node][0] + width[ref.node], at[ref.node][1] + HEAD + ROW * row
                x2, y2 = (
                    at[to.node][0],
                    at[to.node][1] + HEAD + ROW * inputs[to.node].index(to.port),
                )
                bend = max(40, abs(x2 - x1) // 2)
                yield (f'<path d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}" '
                       f'fill="none" stroke="{colour}" stroke-width="2"/>')  # fmt: skip
    for name, (left, top) in at.items():
        size = width[name], height[name]
        yield from _box(graph, scope, name, left, top, size, inputs[name], outputs[name])
    yield "</svg>"


def _box(
    graph: Graph, scope: Scope, name: str, x: int, y: int, size: tuple[int, int],
    inputs: list[str], outputs: list[str],
) -> Iterator[str]:  # fmt: skip
    wide, high = size
    kind = scope.type_of(graph, name)
    family = getattr(kind, "category", "")
    colour = FAMILIES.get(family, FAMILIES[""])
    shared = graph.nodes[name].shares
    what = f"= {shared}" if shared else type_name(graph, name)
    dashes = ' stroke-dasharray="5 3"' if shared else ""
    yield (f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="6" fill="#2b313b" '
           f'stroke="{colour}"{dashes}/>')  # fmt: skip
    yield f'<text x="{x + 10}" y="{y + 17}" fill="#e8ebf0" font-weight="bold">{escape(name)}</text>'
    yield f'<text x="{x + 10}" y="{y + 31}" fill="{colour}" font-size="10">{escape(what)}</text>'
    if is_view(graph, scope, name):
        top = HEAD + ROW * len(inputs) - 6
        yield (f'<rect x="{x + 10}" y="{y + top}" width="{wide - 20}" height="{high - top - 10}" '
               'rx="3" fill="#1b1f25"/>')  # fmt: skip
    for row, port in enumerate(inputs):
        at = y + HEAD + ROW * row
        yield f'<circle cx="{x}" cy="{at}" r="4" fill="#aab4c2"/>'
        yield f'<text x="{x + 10}" y="{at + 4}" fill="#aab4c2" font-size="10">{escape(port)}</text>'
    for row, port in enumerate(outputs):
        at = y + HEAD + ROW * row
        yield f'<circle cx="{x + wide}" cy="{at}" r="4" fill="#aab4c2"/>'
        yield (f'<text x="{x + wide - 10}" y="{at + 4}" fill="#aab4c2" font-size="10" '
               f'text-anchor="end">{escape(port)}</text>')  # fmt: skip
