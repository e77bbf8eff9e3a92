"""Where boxes go by themselves: in layers from left to right; and aligned or spread by hand.

The layered drawing is Sugiyama's: K. Sugiyama, S. Tagawa, M. Toda, Methods for Visual Understanding
of Hierarchical System Structures, IEEE Trans. SMC 11, 1981; with the median order of E. Gansner et
al., A Technique for Drawing Directed Graphs, IEEE Trans. SE 19, 1993.

It is our own because nothing at hand serves: networkx has layers (`multipartite_layout`), but
neither an order with few crossings nor boxes of different heights; grandalf has both, under the GPL
or the EPL and last released in 2023, and one import here against 150 lines; fast-sugiyama is a
compiled extension that knows no heights and no pins; graphviz is a program to install.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from .view import Rect

ACROSS, DOWN = 70.0, 30.0  # gaps between columns and between boxes of one
SWEEPS = 12
Place = tuple[int, int]
Edge = tuple[
    str, str, float, float
]  # from, to, and how far below the tops the link leaves, arrives
Node = str | tuple[int, int]  # a box, or where the link of that number passes a column


def layered(sizes: Mapping[str, tuple[float, float]], edges: Iterable[Edge]) -> dict[str, Place]:
    """Upper left corners of boxes of some sizes (w, h), so that links lead to the right."""
    edges = _acyclic(sizes, edges)
    layer = _layers(sizes, edges)
    height: dict[Node, float] = {n: h for n, (_, h) in sizes.items()}
    columns: list[list[Node]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    links: list[tuple[Node, Node, float, float]] = []
    for name in _by_depth(sizes, edges):
        columns[layer[name]].append(name)
    passes: dict[tuple[str, int], Node] = {}  # links from one pin run together
    for number, (a, b, out, into) in enumerate(edges):
        last: tuple[Node, float] = (a, out)
        for column in range(layer[a] + 1, layer[b]):
            key = (f"{a} {out}", column)
            if key not in passes:
                dummy = passes[key] = (number, column)
                height[dummy] = 4.0
                columns[column].append(dummy)
                links.append((last[0], dummy, last[1], 2.0))
            last = (passes[key], 2.0)
        links.append((last[0], b, last[1], into))
    before: dict[Node, list[tuple[Node, float]]] = {n: [] for n in height}
    after: dict[Node, list[tuple[Node, float]]] = {n: [] for n in height}
    for left, right, out, into in links:
        before[right].append((left, out - into))
        after[left].append((right, into - out))
    columns = _ordered(columns, before, after)
    y = _heights(columns, height, before, after)
    found, x = {}, 0.0
    for column_nodes in columns:
        boxes = [n for n in column_nodes if isinstance(n, str)]
        for name in boxes:
            found[name] = (_round(x), _round(y[name]))
        x += max((sizes[n][0] for n in boxes), default=0.0) + ACROSS
    top = min((p[1] for p in found.values()), default=0)
    return {n: (px, py - top) for n, (px, py) in found.items()}


def aligned(rects: Mapping[str, Rect], side: str) -> dict[str, Place]:
    """Boxes with one side in line: left, right, top, bottom, centre (x) or middle (y)."""
    if not rects:
        return {}
    left, top = min(r[0] for r in rects.values()), min(r[1] for r in rects.values())
    right = max(r[0] + r[2] for r in rects.values())
    bottom = max(r[1] + r[3] for r in rects.values())

    def place(x: float, y: float, w: float, h: float) -> tuple[float, float]:
        at = {
            "left": (left, y), "right": (right - w, y), "centre": ((left + right - w) / 2, y),
            "top": (x, top), "bottom": (x, bottom - h), "middle": (x, (top + bottom - h) / 2),
        }  # fmt: skip
        return at[side]

    return {n: (round(x), round(y)) for n, r in rects.items() for x, y in [place(*r)]}


def distributed(rects: Mapping[str, Rect], axis: str) -> dict[str, Place]:
    """Boxes with equal gaps along "x" or "y"; the first and the last stay."""
    i = 0 if axis == "x" else 1
    order = sorted(rects, key=lambda n: (rects[n][i], n))
    if len(order) < 3:
        return {}
    first, last = rects[order[0]], rects[order[-1]]
    room = last[i] + last[i + 2] - first[i] - sum(rects[n][i + 2] for n in order)
    gap, at, found = room / (len(order) - 1), first[i], {}
    for name in order:
        x, y = rects[name][:2]
        found[name] = (round(at), round(y)) if axis == "x" else (round(x), round(at))
        at += rects[name][i + 2] + gap
    return found


def _round(value: float) -> int:
    return 10 * round(value / 10)


def _acyclic(names: Iterable[str], edges: Iterable[Edge]) -> list[Edge]:
    """The edges between `names`, without those that close a loop."""
    known = set(names)
    kept = [e for e in edges if e[0] in known and e[1] in known and e[0] != e[1]]
    while True:
        before: dict[str, set[str]] = {n: set() for n in known}
        for a, b, *_ in kept:
            before[b].add(a)
        try:
            TopologicalSorter(before).prepare()
        except CycleError as error:
            a, b = error.args[1][:2]
            kept = [e for e in kept if e[:2] not in ((a, b), (b, a))]
        else:
            return kept


def _by_depth(names: Iterable[str], edges: Iterable[Edge]) -> list[str]:
    before: dict[str, list[str]] = {n: [] for n in names}
    for a, b, *_ in edges:
        before[b].append(a)
    return list(TopologicalSorter(before).static_order())


def _layers(names: Iterable[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The longest way to each node, then nodes pulled to where their links get shorter."""
    before: dict[str, list[str]] = {n: [] for n in names}
    after: dict[str, list[str]] = {n: [] for n in before}
    for a, b, *_ in edges:
        before[b].append(a)
        after[a].append(b)
    order = _by_depth(before, edges)
    layer: dict[str, int] = {}
    for name in order:
        layer[name] = max((layer[b] + 1 for b in before[name]), default=0)
    for _ in range(4):
        for name in reversed(order):
            least = max((layer[b] + 1 for b in before[name]), default=0)
            most = min((layer[b] - 1 for b in after[name]), default=layer[name])
            if len(after[name]) > len(before[name]):
                layer[name] = max(most, least)
            elif after[name] and len(after[name]) < len(before[name]):
                layer[name] = least
    return layer


Near = Mapping[Node, Sequence[tuple[Node, float]]]


def _ordered(columns: list[list[Node]], before: Near, after: Near) -> list[list[Node]]:
    """The columns in an order with few crossings: medians to and fro, then swaps of neighbours."""
    best, fewest = columns, _crossings(columns, after)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        columns = [list(c) for c in columns]
        forth = sweep % 2 == 0
        near = before if forth else after
        steps = range(1, len(columns)) if forth else range(len(columns) - 2, -1, -1)
        for i in steps:
            row = {n: k for k, n in enumerate(columns[i - 1 if forth else i + 1])}
            now = {n: k for k, n in enumerate(columns[i])}
            middle = {
                n: _median([row[m] for m, _ in near[n] if m in row], now[n]) for n in columns[i]
            }
            columns[i].sort(key=lambda n: (middle[n], now[n]))
            _swap(columns[i], near, row)
        found = _crossings(columns, after)
        if found < fewest:
            best, fewest = columns, found
    return best


def _swap(column: list[Node], near: Near, row: Mapping[Node, int]) -> None:
    """Exchange neighbours in a column while that removes crossings with the one beside it."""
    ends = {n: sorted(row[m] for m, _ in near[n] if m in row) for n in column}
    for _ in range(4):
        better = False
        for k in range(len(column) - 1):
            a, b = ends[column[k]], ends[column[k + 1]]
            if a and b and a[-1] > b[0]:
                crossed = sum(x > y for x in a for y in b)
                if crossed > sum(x < y for x in a for y in b):
                    column[k], column[k + 1] = column[k + 1], column[k]
                    better = True
        if not better:
            return


def _median(rows: list[int], alone: float) -> float:
    if not rows:
        return alone
    rows.sort()
    half = len(rows) // 2
    return rows[half] if len(rows) % 2 else (rows[half - 1] + rows[half]) / 2


def _crossings(columns: Sequence[Sequence[Node]], after: Near) -> int:
    """How many pairs of links cross between neighbouring columns."""
    total = 0
    for left, right in zip(columns, columns[1:]):
        row = {n: k for k, n in enumerate(right)}
        seen: list[int] = []
        for node in left:
            ends = sorted(row[m] for m, _ in after[node] if m in row)
            total += sum(len(seen) - bisect_right(seen, e) for e in ends)
            for end in ends:
                insort(seen, end)
    return total


def _heights(
    columns: list[list[Node]], height: Mapping[Node, float], before: Near, after: Near
) -> dict[Node, float]:
    """The top of each node: near where its links are straight, in order, without overlap."""
    y: dict[Node, float] = {}
    for column in columns:
        top = 0.0
        for node in column:
            y[node] = top
            top += height[node] + DOWN
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        near = before if forth else after
        for column in columns if forth else reversed(columns):
            wanted = []
            for node in column:
                ends = sorted(y[m] + d for m, d in near[node])
                if sweep > SWEEPS - 3 or not ends:  # at last, all links have a say
                    ends = sorted([*(y[m] + d for m, d in (*before[node], *after[node]))])
                half = len(ends) // 2
                middle = (ends[half] + ends[~half]) / 2 if ends else y[node]
                # A link that only passes is kept straight before all else.
                wanted.append((middle, 1.0 if isinstance(node, str) else 4.0))
            gaps = [height[n] + (DOWN if isinstance(n, str) else DOWN / 2) for n in column]
            for node, top in zip(column, spread(wanted, gaps)):
                y[node] = top
    return y


def spread(wanted: Sequence[tuple[float, float]], gaps: Sequence[float]) -> list[float]:
    """Places nearest to the wanted ones (by weighted squares) that keep the order and the gaps.

    Pool adjacent violators: neighbours that come too near move as one block, to their mean.
    """
    blocks: list[list[float]] = []  # [mean, weight, how many]
    shift, offsets = 0.0, []
    for (place, weight), gap in zip(wanted, gaps):
        offsets.append(shift)
        blocks.append([place - shift, weight, 1])
        shift += gap
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, heavy, many = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * heavy) / (last[1] + heavy)
            last[1] += heavy
            last[2] += many
    places = [mean for mean, _, many in blocks for _ in range(int(many))]
    return [p + o for p, o in zip(places, offsets)]
