"""Where things lie on the canvas: what the keys of `layout:` mean, and how edits carry them along.

A node's name stands for its position `[x, y]`, and so does that of a group's input; `out:NAME` is
an output's. Other keys are `WORDS`, about things that are not nodes or not positions:

    layout:
      conv1: [40, 120]
      frames: {f1: {title: Features, x: 0, y: 0, w: 400, h: 200, colour: '#335577'}}
      colours: {conv1: '#aa3322'}
      collapsed: [conv1]
      reroutes: {conv1.x: [[100, 80], [160, 80]]}  # points of the link that ends in this input
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from .graph import Graph, Ref

WORDS = ("frames", "colours", "collapsed", "reroutes", "remarks")
FRAME, OUT = "frame:", "out:"  # what the name of a frame or an output box begins with

Layout = Mapping[str, Any]


def is_position(value: Any) -> bool:
    """Whether a value of the layout is `[x, y]`."""
    if type(value) in (list, tuple) and len(value) == 2:  # nearly all: a canvas asks often
        x, y = value
        if type(x) is type(y) is int and -1e9 < x < 1e9 and -1e9 < y < 1e9:
            return True
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)
        and all(map(math.isfinite, value))
    )


def section(layout: Layout, word: str) -> dict[str, Any]:
    """A mapping of the layout by its word; empty when the file has none, or something else."""
    found = layout.get(word)
    return dict(found) if isinstance(found, Mapping) else {}


def collapsed(layout: Layout) -> list[str]:
    """The nodes that are drawn as a title alone."""
    found = layout.get("collapsed")
    listed = isinstance(found, (list, tuple)) and not is_position(found)
    return [str(n) for n in found] if listed and found is not None else []


def frames(layout: Layout) -> dict[str, dict[str, Any]]:
    """The frames that have a place and a size; a file may hold anything."""
    found = section(layout, "frames").items()
    return {
        name: dict(frame)
        for name, frame in found
        if isinstance(frame, Mapping)
        and is_position([frame.get("x"), frame.get("y")])
        and is_position([frame.get("w"), frame.get("h")])
    }


def reroutes(layout: Layout) -> dict[str, list[Any]]:
    """The points of links by input, where they are points."""
    found = section(layout, "reroutes").items()
    return {k: [p for p in v if is_position(p)] for k, v in found if isinstance(v, (list, tuple))}


def with_section(layout: Layout, word: str, value: Any) -> dict[str, Any]:
    """`layout` with a word's value, left out when empty. A node of that name keeps its place."""
    if is_position(layout.get(word)):
        return dict(layout)
    left = {k: v for k, v in layout.items() if k != word}
    return {**left, word: value} if value else left


def mapped(layout: Layout, become: Callable[[str], str | None]) -> dict[str, Any]:
    """`layout` with each node called as `become` says; None drops what belongs to it."""
    found: dict[str, Any] = {}
    for key, value in layout.items():
        if key not in WORDS or is_position(value):
            if (name := become(key)) is not None:
                found[name] = value
    for word in WORDS:
        if word not in layout or is_position(layout[word]):
            continue
        if word == "colours":
            pairs = section(layout, word).items()
            value = {new: c for old, c in pairs if (new := become(old)) is not None}
        elif word == "reroutes":
            value = {}
            for old, points in reroutes(layout).items():
                to = Ref.parse(old)
                if (new := become(to.node)) is not None:
                    value[str(Ref(new, to.port))] = points
        elif word == "collapsed":
            value = [new for n in collapsed(layout) if (new := become(n)) is not None]
        else:
            value = layout[word]
        if value:
            found[word] = value
    return found


def renamed(layout: Layout, names: Mapping[str, str]) -> dict[str, Any]:
    """`layout` with nodes called by new names."""
    return mapped(layout, lambda name: names.get(name, name))


def without(layout: Layout, names: Collection[str]) -> dict[str, Any]:
    """`layout` without what belongs to some nodes."""
    return mapped(layout, lambda name: None if name in names else name)


def only(layout: Layout, names: Collection[str], framed: Collection[str] = ()) -> dict[str, Any]:
    """What of `layout` belongs to some nodes, and to some frames."""
    found = mapped(layout, lambda name: name if name in names else None)
    found.pop("remarks", None)
    kept = {k: v for k, v in frames(layout).items() if k in framed}
    return with_section(found, "frames", kept)


def shifted(layout: Layout, by: Sequence[float]) -> dict[str, Any]:
    """`layout` with everything at another place."""

    def moved(at: Sequence[float]) -> list[int]:
        return [round(at[0] + by[0]), round(at[1] + by[1])]

    found = {k: moved(v) if is_position(v) else v for k, v in layout.items()}
    routes = {k: list(map(moved, points)) for k, points in reroutes(layout).items()}
    moved_frames = {}
    for name, frame in frames(layout).items():
        x, y = moved((frame["x"], frame["y"]))
        moved_frames[name] = {**frame, "x": x, "y": y}
    return with_section(with_section(found, "reroutes", routes), "frames", moved_frames)


def merged(layout: Layout, more: Layout) -> dict[str, Any]:
    """Both layouts; frames of `more` get ids of their own."""
    found = {**layout, **{k: v for k, v in more.items() if k not in WORDS or is_position(v)}}
    for word in ("colours", "reroutes"):
        both = section(layout, word) | section(more, word)
        found = with_section(found, word, both)
    listed = dict.fromkeys([*collapsed(layout), *collapsed(more)])
    found = with_section(found, "collapsed", list(listed))
    both = frames(layout)
    for frame in frames(more).values():
        both[fresh_frame(both)] = frame
    return with_section(found, "frames", both)


def fresh_frame(used: Collection[str]) -> str:
    """An id that no frame has yet."""
    return next(name for i in range(1, len(used) + 2) if (name := f"f{i}") not in used)


# Edits --------------------------------------------------------------------------------------------


def place(graph: Graph, positions: Mapping[str, Sequence[float]]) -> Graph:
    """Nodes, inputs, outputs (`out:NAME`) and frames (`frame:ID`) at other positions.

    Names of nothing are passed over: an automatic layout may come back after an edit.
    """
    at = {k: [round(x), round(y)] for k, (x, y) in positions.items()}
    boxes = {k: v for k, v in at.items() if k in graph.nodes or k in graph.inputs}
    boxes |= {k: v for k, v in at.items() if k.removeprefix(OUT) in graph.outputs and OUT in k}
    placed = {**graph.layout, **boxes}
    found = frames(graph.layout)
    for name, (x, y) in at.items():
        if (key := name.removeprefix(FRAME)) in found and name != key:
            found[key] = {**found[key], "x": x, "y": y}
            placed = with_section(placed, "frames", found)
    return graph.with_(layout=placed)


def set_frame(graph: Graph, name: str, **changes: Any) -> Graph:
    """A frame with some of `title x y w h colour` changed; made when there is none of the name."""
    found = frames(graph.layout)
    frame = {"title": "", "x": 0, "y": 0, "w": 200, "h": 120, **found.get(name, {}), **changes}
    frame = {k: round(v) if k in "xywh" else v for k, v in frame.items() if v is not None}
    return graph.with_(layout=with_section(graph.layout, "frames", {**found, name: frame}))


def remove_frames(graph: Graph, names: Collection[str]) -> Graph:
    """Without some frames; their nodes stay."""
    left = {k: v for k, v in frames(graph.layout).items() if k not in names}
    return graph.with_(layout=with_section(graph.layout, "frames", left))


def set_colour(graph: Graph, names: Collection[str], colour: str | None) -> Graph:
    """Nodes in a colour, or in that of their kind again."""
    colours = {k: c for k, c in section(graph.layout, "colours").items() if k not in names}
    if colour:
        colours |= {n: colour for n in graph.nodes if n in names}
    return graph.with_(layout=with_section(graph.layout, "colours", colours))


def collapse(graph: Graph, names: Collection[str], on: bool = True) -> Graph:
    """Nodes drawn as a title alone, or in full again."""
    left = [n for n in collapsed(graph.layout) if n not in names]
    left += [n for n in graph.nodes if n in names] if on else []
    return graph.with_(layout=with_section(graph.layout, "collapsed", left))


def set_reroutes(graph: Graph, to: Ref, points: Sequence[Sequence[float]]) -> Graph:
    """The points that the link into an input runs through."""
    routes = reroutes(graph.layout)
    routes[str(to)] = [[round(x), round(y)] for x, y in points]
    routes = {k: v for k, v in routes.items() if v}
    return graph.with_(layout=with_section(graph.layout, "reroutes", routes))


def pruned(graph: Graph) -> Graph:
    """`graph` without the points of links that are gone."""
    if "reroutes" not in graph.layout:
        return graph
    found = reroutes(graph.layout)
    left = {to: points for to, points in found.items() if Ref.parse(to) in graph.links}
    if len(left) == len(found):
        return graph
    return graph.with_(layout=with_section(graph.layout, "reroutes", left))
