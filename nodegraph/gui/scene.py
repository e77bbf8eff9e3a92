"""All that is on the canvas, as geometry: boxes, wires, frames; and what is under a point.

    scene = build(graph, scope)
    after = build(edited, scope, scene)  # what did not change are the same objects
    changes(scene, after).moved

A scene is never changed. `build` with an earlier scene asks only what differs between the graphs,
so that one moved node among thousands costs the screen, and us, next to nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from .. import layout
from ..graph import Graph, Ref, Source, refs
from ..layout import FRAME, OUT
from ..node import show
from ..reach import turn
from ..scope import Scope
from .boxes import Box, Face, Measure, Pin, measure, node_face, port_face
from .geometry import Bezier, Grid, around, cells_of_curves, cells_of_rect, wire
from .placing import placed
from .view import Rect


class Link(NamedTuple):
    """A link by its ends. The input of a group's output is `Ref("out:NAME")`."""

    to: Ref
    source: Ref


@dataclass(frozen=True)
class Wire:
    """A link as it is drawn: curves through its reroute points, the colour's kind, a label."""

    link: Link
    curves: tuple[Bezier, ...]
    kind: str
    label: str = ""  # the shape of the tensor
    turn: str = ""  # "reversed" or "detached": what happens here to the gradient
    points: tuple[tuple[int, int], ...] = ()

    @property
    def source(self) -> Ref:
        """The output that it comes from."""
        return self.link.source

    @property
    def to(self) -> Ref:
        """The input that it ends in."""
        return self.link.to


@dataclass(frozen=True)
class Frame:
    """A titled rectangle behind the nodes; `name` is `frame:ID`."""

    name: str
    title: str
    x: float
    y: float
    w: float
    h: float
    colour: str = ""

    @property
    def rect(self) -> Rect:
        """Where it stands and how large it is."""
        return self.x, self.y, self.w, self.h


Problems = Mapping[str, tuple[str, str]]  # by node: severity, text
Shapes = Mapping[Ref, Sequence[int]]  # by output


@dataclass(frozen=True, eq=False)
class Scene:
    """The boxes in the order in which they are drawn, the wires, the frames."""

    graph: Graph = Graph()
    scope: Scope | None = None
    boxes: Mapping[str, Box] = field(default_factory=dict)
    wires: Mapping[Link, Wire] = field(default_factory=dict)
    frames: Mapping[str, Frame] = field(default_factory=dict)
    selection: frozenset[str] = frozenset()
    problems: Problems = field(default_factory=dict)
    shapes: Shapes = field(default_factory=dict)
    attached: Mapping[str, frozenset[Link]] = field(default_factory=dict)  # by box
    unplaced: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # found by `arrange`
    grid: Grid = field(default_factory=Grid)
    links: Mapping[Ref, Source] = field(default_factory=dict)  # with those to the group's outputs

    @cached_property
    def rank(self) -> Mapping[str, int]:
        """The order in which boxes are drawn: the uppermost has the highest number."""
        return {name: i for i, name in enumerate(self.boxes)}

    @property
    def bounds(self) -> Rect | None:
        """The rectangle around all of it, or None when it is empty."""
        return around(
            [b.rect for b in self.boxes.values()] + [f.rect for f in self.frames.values()]
        )

    def bounds_of(self, names: Iterable[str]) -> Rect | None:
        """The rectangle around some boxes and frames."""
        things: Mapping[str, Any] = {**self.boxes, **self.frames}
        return around(things[n].rect for n in names if n in things)

    def pin(self, side: str, ref: Ref) -> Pin | None:
        """The pin of an end of a link ("in" or "out")."""
        box = self.boxes.get(ref.node)
        return box.pin(side, ref.port) if box else None

    def point(self, pin: Pin) -> tuple[float, float]:
        """Where a pin is on the canvas."""
        box = self.boxes[pin.node]
        return box.x + pin.x, box.y + pin.y

    def calls(self, name: str) -> list[str]:
        """The boxes that use the same weights as `name`, itself among them."""
        owner = self.boxes[name].face.owner if name in self.boxes else ""
        return [n for n, b in self.boxes.items() if owner and b.face.owner == owner]


@dataclass(frozen=True)
class Changes:
    """Names of boxes and links that differ between two scenes; `moved` look as they did."""

    added: list[str]
    removed: list[str]
    redrawn: list[str]
    moved: list[str]
    selected: frozenset[str]  # those that became selected or unselected
    wires_added: list[Link]
    wires_removed: list[Link]
    wires_changed: list[Link]
    frames: bool  # whether any frame changed


def changes(old: Scene, new: Scene) -> Changes:
    """What to draw anew for `new` where `old` is on the screen."""
    added: list[str] = []
    redrawn: list[str] = []
    moved: list[str] = []
    for name, box in new.boxes.items():
        was = old.boxes.get(name)
        if was is not box:
            kind = added if was is None else moved if was.face is box.face else redrawn
            kind.append(name)
    removed = [n for n in old.boxes if n not in new.boxes]
    more: list[Link] = []
    other: list[Link] = []
    less: list[Link] = []
    if old.wires is not new.wires:
        for link, now in new.wires.items():
            before = old.wires.get(link)
            if before is not now:
                (more if before is None else other).append(link)
        less = [k for k in old.wires if k not in new.wires]
    return Changes(
        added, removed, redrawn, moved, old.selection ^ new.selection, more, less, other,
        old.frames != new.frames,
    )  # fmt: skip


def build(
    graph: Graph,
    scope: Scope,
    old: Scene | None = None,
    *,
    selection: frozenset[str] = frozenset(),
    problems: Problems | None = None,
    shapes: Shapes | None = None,
    by: Measure = measure,
) -> Scene:
    """The scene of a graph; `scope` is the one that `graph` is edited in."""
    old = old or Scene()
    problems = old.problems if problems is None else problems
    shapes = old.shapes if shapes is None else shapes
    new = replace(
        old, graph=graph, scope=scope, selection=selection, problems=problems, shapes=shapes
    )
    links, attached, gone, fresh = _linked(old, graph)
    new = replace(new, links=links, attached=attached)
    faces = _faces(old, new, {n for k in (*gone, *fresh) for n in (k.to.node, k.source.node)}, by)
    places, unplaced = placed(graph, faces, links, old.unplaced)
    boxes, touched = dict[str, Box](), set[str]()
    for name, face in faces.items():
        x, y = places[name]
        box = old.boxes.get(name)
        if box is None or box.face is not face or box.x != x or box.y != y:
            box = Box(name, x, y, face)
            touched.add(name)
        boxes[name] = box
    lost = [n for n in old.boxes if n not in boxes]
    new = replace(new, boxes=boxes, unplaced=unplaced, frames=_frames(old, graph))
    wires, bent = _wires(old, new, touched, gone, fresh)
    new = replace(new, wires=wires)
    if touched or lost or gone or bent:
        was = [(n, cells_of_rect(old.boxes[n].rect)) for n in (*touched, *lost) if n in old.boxes]
        went = [(k, cells_of_curves(old.wires[k].curves)) for k in {*gone, *bent} & {*old.wires}]
        now = [(n, cells_of_rect(boxes[n].rect)) for n in touched]
        come = [(k, cells_of_curves(wires[k].curves)) for k in bent]
        new = replace(new, grid=old.grid.changed([*was, *went], [*now, *come]))
    return new


def _linked(
    old: Scene, graph: Graph
) -> tuple[Mapping[Ref, Source], Mapping[str, frozenset[Link]], set[Link], set[Link]]:
    """All links, those at each box, and which of them are gone or new."""
    if graph.links is old.graph.links and graph.outputs is old.graph.outputs:
        return old.links, old.attached, set(), set()
    links: dict[Ref, Source] = dict(graph.links)
    links |= {Ref(OUT + port): ref for port, ref in graph.outputs.items()}
    gone: set[Link] = set()
    fresh: set[Link] = set()
    for to, source in links.items():
        before = old.links.get(to)
        if before is not source and before != source:
            fresh |= {Link(to, r) for r in refs(source)}
            gone |= {Link(to, r) for r in refs(before)} if before is not None else set()
    gone |= {Link(to, r) for to, s in old.links.items() if to not in links for r in refs(s)}
    gone, fresh = gone - fresh, fresh - gone
    attached = dict(old.attached)
    for several, change in ((gone, frozenset.difference), (fresh, frozenset.union)):
        ends: dict[str, set[Link]] = {}
        for link in several:
            ends.setdefault(link.to.node, set()).add(link)
            ends.setdefault(link.source.node, set()).add(link)
        for name, found in ends.items():
            attached[name] = change(attached.get(name, frozenset()), found)
    return links, attached, gone, fresh


def _faces(old: Scene, new: Scene, dirty: set[str], by: Measure) -> dict[str, Face]:
    """The face of each box; those of an earlier scene where nothing that they show changed."""
    graph, scope, was = new.graph, new.scope, old.graph
    assert scope is not None
    everything = old.scope is None or scope.library is not old.scope.library
    everything = everything or (graph.params is not was.params and graph.params != was.params)
    if not everything and graph.nodes is not was.nodes:
        families = set()
        for name in {*graph.nodes, *was.nodes}:
            a, b = graph.nodes.get(name), was.nodes.get(name)
            if a is not b and a != b:
                dirty.add(name)
                families |= {graph.owner(name), was.owner(name)}
        dirty |= {n for n, e in graph.nodes.items() if e.shares and graph.owner(n) in families}
        dirty |= families
    groups = {**scope.groups, **graph.groups}
    known = {**old.scope.groups, **was.groups} if old.scope else {}
    if any(groups.get(k) is not known.get(k) for k in {*groups, *known}):
        named = {*groups, *known}
        dirty |= {n for n in graph.nodes if getattr(graph.entry(n), "type", "") in named}
        dirty |= {*graph.inputs} | {OUT + p for p in graph.outputs}
    shut, hues = _shut(graph), _hues(graph)
    if graph.layout is not was.layout:
        dirty |= shut ^ _shut(was)
        dirty |= {n for n, _ in hues.items() ^ _hues(was).items()}
    if new.problems is not old.problems:
        dirty |= {n for n, _ in new.problems.items() ^ old.problems.items()}
    calls: dict[str, int] = {}
    for name, entry in graph.nodes.items():
        if entry.shares:
            owner = graph.owner(name)
            calls[owner] = calls.get(owner, 1) + 1
    faces: dict[str, Face] = {}
    for name in (*graph.inputs, *graph.nodes, *(OUT + port for port in graph.outputs)):
        box = old.boxes.get(name)
        if box and not everything and name not in dirty:
            faces[name] = box.face
            continue
        ports = _ports(name, new.attached.get(name, ()))
        if name in graph.inputs:
            shape, kind = graph.inputs[name], scope.kind_taken(graph, name)
            face = port_face(name, name, kind, shape, bool(ports), by)
        elif name in graph.nodes:
            problem = new.problems.get(name, ("", ""))
            shown = (hues.get(name, ""), name in shut, problem)
            face = node_face(graph, scope, name, ports, calls, *shown, by)
        else:
            port = name.removeprefix(OUT)
            given = scope.output(graph, graph.outputs[port])
            face = port_face(name, port, given.kind if given else "tensor", "", True, by)
        faces[name] = box.face if box and box.face == face else face
    return faces


def _ports(name: str, links: Iterable[Link]) -> set[str]:
    """The linked ports of a node; an output is written `>port`."""
    ports = set()
    for to, source in links:
        if to.node == name:
            ports.add(to.port)
        if source.node == name:
            ports.add(">" + source.port)
    return ports


def _shut(graph: Graph) -> set[str]:
    return set(layout.collapsed(graph.layout)) if "collapsed" in graph.layout else set()


def _hues(graph: Graph) -> dict[str, str]:
    colours = layout.section(graph.layout, "colours") if "colours" in graph.layout else {}
    return {str(k): str(v) for k, v in colours.items()}


def _frames(old: Scene, graph: Graph) -> Mapping[str, Frame]:
    if graph.layout is old.graph.layout:
        return old.frames
    found = {
        FRAME + k: Frame(FRAME + k, str(f.get("title") or ""), f["x"], f["y"], f["w"], f["h"],
                         str(f.get("colour") or ""))
        for k, f in layout.frames(graph.layout).items()
    }  # fmt: skip
    return old.frames if found == old.frames else found


def _wires(
    old: Scene, new: Scene, touched: Collection[str], gone: set[Link], fresh: set[Link]
) -> tuple[Mapping[Link, Wire], set[Link]]:
    """The wires, and those of them that run otherwise than before."""
    routes = layout.reroutes(new.graph.layout) if "reroutes" in new.graph.layout else {}
    if new.graph.layout is not old.graph.layout:
        before = layout.reroutes(old.graph.layout) if "reroutes" in old.graph.layout else {}
        bent = {k for k in {*routes, *before} if routes.get(k) != before.get(k)}
        other = {k for b in bent for k in new.attached.get(Ref.parse(b).node, ())
                 if str(k.to) == b}  # fmt: skip
    else:
        other = set()
    other |= fresh | {k for n in touched for k in new.attached.get(n, ())}
    if not other and not gone and new.shapes is old.shapes:
        return old.wires, set()
    wires = dict(old.wires)
    for link in gone:
        wires.pop(link, None)
    drawn = set()
    for link in other:
        out, into = new.pin("out", link.source), new.pin("in", link.to)
        if out is None or into is None:  # a broken file's: there is nowhere to draw it
            if wires.pop(link, None):
                gone.add(link)
            continue
        points = tuple((round(x), round(y)) for x, y in routes.get(str(link.to), ()))
        curves = wire([new.point(out), *points, new.point(into)])
        turned = turn(new.graph, new.scope, link.to) if new.scope else ""
        label = _label(new, link.source, out.kind)
        wires[link] = Wire(link, curves, out.kind, label, turned, points)
        drawn.add(link)
    if new.shapes is not old.shapes:
        for link, now in wires.items():
            if now.label != (label := _label(new, link.source, now.kind)):
                wires[link] = replace(now, label=label)
    return wires, drawn


def _label(scene: Scene, source: Ref, kind: str) -> str:
    shape = scene.shapes.get(source)
    if shape is None and not source.port and (pin := scene.pin("out", source)):
        shape = scene.shapes.get(Ref(source.node, pin.port))
    return show(shape, kind) if shape else ""
