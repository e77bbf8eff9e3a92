"""What is drawn over the canvas while a hand is on the mouse, all in canvas units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..graph import Graph, Ref
from ..library import first_line
from ..node import Node, show
from .boxes import Pin
from .geometry import Point
from .hits import Hit
from .scene import Link, Scene
from .view import Rect

PinKey = tuple[str, str, str]  # box, side, port


def key_of(pin: Pin) -> PinKey:
    """What `lit` and `faded` call a pin."""
    return pin.node, pin.side, pin.port


@dataclass(frozen=True)
class PendingWire:
    """The link under the hand. `start` is at an output when `side` is "out", else at an input."""

    start: Point
    end: Point
    side: str
    kind: str
    ok: bool = True  # whether it may be dropped here
    reason: str = ""  # why not
    target: Pin | None = None  # the pin that it would be linked to


@dataclass
class Overlay:
    """Empty when nothing happens; a gesture fills in what concerns it."""

    hover: Hit = Hit()
    tooltip: str = ""
    family: frozenset[str] = frozenset()  # boxes with the weights of the hovered one
    wire: PendingWire | None = None
    lifted: Link | None = None  # a link that is drawn as the pending wire instead
    lit: frozenset[PinKey] = frozenset()  # pins that fit
    faded: frozenset[PinKey] = frozenset()  # and those that do not
    box: Rect | None = None
    boxed: frozenset[str] = frozenset()  # what the box would select
    cut: tuple[Point, Point] | None = None
    cutting: frozenset[Link] = frozenset()
    guides: Sequence[tuple[Point, Point]] = ()
    insert: Link | None = None  # the link that the dragged node would be put on
    ghost: tuple[str, float, float] | None = None  # a type that is dragged here, and where
    moving: frozenset[str] = frozenset()


def tooltip(scene: Scene, hit: Hit) -> str:
    """What there is to say about a thing on the canvas."""
    if hit.pin:
        pin = hit.pin
        shape = scene.shapes.get(pin.ref) or scene.shapes.get(Ref(pin.node, pin.port))
        known = show(shape, pin.kind) if shape else pin.shape or "a number"
        many = ", any number of links" if pin.many and pin.side == "in" else ""
        return f"{pin.label}: {pin.kind}, {known}{many}"
    if hit.link and hit.link in scene.wires:
        wire = scene.wires[hit.link]
        ends = f"{wire.source} → {str(wire.to).removeprefix('out:')}"
        return f"{ends}: {wire.label}" if wire.label else ends
    box = scene.boxes.get(hit.node)
    if box is None or scene.scope is None or box.face.kind != "node":
        return ""
    declared = scene.scope.type_of(scene.graph, hit.node)
    if hit.field:
        settings = scene.scope.settings(scene.graph, hit.node) or {}
        setting = settings.get(hit.setting)
        words = f"{hit.setting} = {hit.field.value}"
        return f"{words}: {setting.doc}" if setting and setting.doc else words
    if box.face.problem:
        return box.face.problem
    if isinstance(declared, Graph):
        return declared.meta.get("about", "") or "A group: double-click to enter it."
    if isinstance(declared, type) and issubclass(declared, Node):
        return first_line(declared)
    return ""
