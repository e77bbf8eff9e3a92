"""Where boxes stand: as the graph's layout says, else found by `arrange`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .. import layout
from ..graph import Graph, Ref, Source, refs
from . import arrange
from .boxes import Box, Face
from .geometry import around

Faces = Mapping[str, Face]
Links = Mapping[Ref, Source]
Places = Mapping[str, tuple[float, float]]


def placed(
    graph: Graph, faces: Faces, links: Links, known: Mapping[str, arrange.Place]
) -> tuple[Places, Mapping[str, arrange.Place]]:
    """Where each box stands, and those of the places that `arrange` found.

    Boxes that stood at `known` places, and still have none of their own, stay there.
    """
    at = graph.layout
    laid = {n: (at[n][0], at[n][1]) for n in faces if layout.is_position(at.get(n))}
    missing = [n for n in faces if n not in laid]
    if not missing:
        return laid, {}
    found = {n: known[n] for n in missing if n in known}
    if len(found) < len(missing):
        found = _arranged(faces, links, laid, missing)
    return {**laid, **found}, found


def _arranged(
    faces: Faces, links: Links, laid: Places, missing: Sequence[str]
) -> dict[str, arrange.Place]:
    """Places for the boxes without one: ports beside the nodes that stand, the rest below them."""
    whole = around((x, y, faces[n].w, faces[n].h) for n, (x, y) in laid.items())
    if whole is None:
        return arrange.layered(sizes(faces, missing), edges(faces, links))
    left, top, w, h = whole
    inner = [n for n in missing if faces[n].kind == "node"]
    under = arrange.layered(sizes(faces, inner), edges(faces, links))
    found = {n: (round(left) + x, round(top + h) + 60 + y) for n, (x, y) in under.items()}
    at = {**laid, **found}
    for side, x in (("input", left - 170), ("output", left + w + 70)):
        level = {n: _level(n, faces, links, at, top) for n in missing if faces[n].kind == side}
        names = sorted(level, key=lambda n: level[n])
        tops = arrange.spread([(level[n], 1.0) for n in names], [46.0] * len(names))
        found |= {n: (round(x), round(y)) for n, y in zip(names, tops)}
    return found


def _level(name: str, faces: Faces, links: Links, at: Places, top: float) -> float:
    """The height at which a port of the group is level with what it is linked to."""
    ys = []
    for to, source in links.items():
        for ref in refs(source):
            other, side = (to, "in") if ref.node == name else (ref, "out")
            if name in (to.node, ref.node) and other.node in at:
                if pin := Box(other.node, 0, 0, faces[other.node]).pin(side, other.port):
                    ys.append(at[other.node][1] + pin.y - faces[name].h / 2)
    return sorted(ys)[len(ys) // 2] if ys else top


def sizes(faces: Faces, names: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Width and height of some boxes, as `arrange` takes them."""
    return {n: (faces[n].w, faces[n].h) for n in names}


def edges(faces: Faces, links: Links) -> list[arrange.Edge]:
    """The links between boxes with the heights of their pins, as `arrange` takes them."""
    found = []
    for to, source in links.items():
        for ref in refs(source):
            if ref.node in faces and to.node in faces:
                out = Box(ref.node, 0, 0, faces[ref.node]).pin("out", ref.port)
                into = Box(to.node, 0, 0, faces[to.node]).pin("in", to.port)
                if out and into:
                    found.append((ref.node, to.node, out.y, into.y))
    return found
