"""A link under the hand: from a pin to another, to a node, or to a new node on empty canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import edits, wiring
from ..edits import EditError
from ..graph import Graph, Ref, refs
from ..layout import OUT
from ..node import ACCEPTS
from ..scope import Scope
from . import hits
from .boxes import Pin
from .drags import Cursor, Drag, without
from .overlay import PendingWire, PinKey, key_of
from .scene import Link, Scene

if TYPE_CHECKING:
    from .gestures import Gestures


class Linking(Drag):
    """Pulls a wire out of a pin. From a linked input it takes the link off, to put it elsewhere."""

    def __init__(self, g: Gestures, start: Cursor, hit: hits.Hit) -> None:
        super().__init__(g, start, hit)
        assert hit.pin is not None
        scene, pin = g.scene, hit.pin
        self.graph = scene.graph
        self.lifted = _last_link(scene, pin)
        if self.lifted and (out := scene.pin("out", self.lifted.source)):
            pin = out
            if self.lifted.to in self.graph.links:
                self.graph = edits.disconnect(self.graph, *self.lifted)
        self.pin = pin
        # A link keeps the words that its file has for the output: `a` or `a.y`.
        self.ref = self.lifted.source if self.lifted else pin.ref
        lit, faded = fitting(scene, self.graph, pin)
        g.overlay.lit, g.overlay.faded, g.overlay.lifted = lit, faded, self.lifted

    def move(self, g: Gestures, at: Cursor) -> None:
        """The end follows, and clings to a pin that it fits."""
        target, reason = self._target(g, at)
        end = (at.cx, at.cy)
        if target and not reason:
            end = g.scene.point(target)
        start = g.scene.point(self.pin)
        g.overlay.tooltip = reason
        g.overlay.wire = PendingWire(
            start, end, self.pin.side, self.pin.kind, not reason, reason, target
        )

    def drop(self, g: Gestures, at: Cursor) -> None:
        """Link it, say why not, take it away, or ask for a new node."""
        target, reason = self._target(g, at)
        if reason:
            if g.hit(at).pin != self.hit.pin:  # else it is back where it was
                g.session.tell(reason, "refused")
        elif target:
            self._link(g, target)
        elif self.lifted:
            link = self.lifted
            g.session.do("Disconnect", lambda graph, scope: without(graph, scope, [link]))
        else:
            g.request = ("search", at.x, at.y, self.pin)

    def _link(self, g: Gestures, target: Pin) -> None:
        source, to = (self.ref, target.ref) if self.pin.side == "out" else (target.ref, self.ref)
        if self.lifted and self.lifted.to == to:
            return
        was = self.lifted

        def edit(graph: Graph, scope: Scope) -> Graph:
            if was and was.to in graph.links:
                graph = edits.disconnect(graph, *was)
            return linked(graph, scope, source, to)

        g.session.do("Connect" if was is None else "Move a link", edit)

    def _target(self, g: Gestures, at: Cursor) -> tuple[Pin | None, str]:
        """The pin that a drop would link, or why it would not; neither on empty canvas."""
        hit = g.hit(at)
        scene, out = g.scene, self.pin.side == "out"
        scope = g.session.inner
        box = scene.boxes.get(hit.node)
        if box is None:
            return None, ""
        side = "in" if out else "out"
        pin = hit.pin if hit.side == side else None
        if pin is None:
            if box.name == self.pin.node:
                return None, "a node cannot feed itself; drop the link on another one"
            pins = box.face.inputs if out else box.face.outputs
            try:
                if box.face.kind != "node":
                    pin = pins[0] if pins else None
                elif out:
                    ref = wiring.best_input(self.graph, self.ref, box.name, scope)
                    pin = scene.pin("in", ref)
                else:
                    pin = scene.pin(
                        "out", wiring.best_output(self.graph, box.name, self.ref, scope)
                    )
            except EditError as refused:
                return None, str(refused)
            if pin is None:
                return None, f"{box.name.removeprefix(OUT)} has no {side}put"
        source, to = (self.ref, pin.ref) if out else (pin.ref, self.ref)
        return pin, fault(self.graph, scope, source, to)


def linked(graph: Graph, scope: Scope, source: Ref, to: Ref) -> Graph:
    """`graph` with a link, to an output of the group (`out:NAME`) too. Raises EditError."""
    if to.node.startswith(OUT):
        return edits.set_output(graph, to.node.removeprefix(OUT), source, scope)
    return edits.connect(graph, source, to, scope)


def fault(graph: Graph, scope: Scope, source: Ref, to: Ref) -> str:
    """Why there can be no link between two ends, or ""; loops are told too."""
    try:
        linked(graph, scope, source, to)
    except EditError as refused:
        return str(refused)
    return ""


def fitting(scene: Scene, graph: Graph, pin: Pin) -> tuple[frozenset[PinKey], frozenset[PinKey]]:
    """The pins at the other side that a link from `pin` may end in, and all the others."""
    scope, out = scene.scope, pin.side == "out"
    assert scope is not None
    closed = _reach(graph, pin.node, against=out)
    lit: set[PinKey] = set()
    faded: set[PinKey] = set()
    for name, box in scene.boxes.items():
        for other in (*box.face.inputs, *box.face.outputs):
            ok = other.side != pin.side and name not in closed
            if ok:
                source, to = (pin, other) if out else (other, pin)
                if box.face.kind == "output":
                    ok = scope.output(graph, source.ref) is not None
                elif source.ref.node in graph.inputs:
                    ok = not scope.link_fault(graph, source.ref, to.ref)
                else:
                    ok = source.kind in ACCEPTS[to.kind]
            (lit if ok else faded).add(key_of(other))
    faded.discard(key_of(pin))
    return frozenset(lit), frozenset(faded)


def _reach(graph: Graph, start: str, against: bool) -> set[str]:
    """The nodes that lead to one (`against` the links), or that it leads to; itself among them."""
    beside: dict[str, list[str]] = {}
    for to, source in graph.links.items():
        for ref in refs(source):
            a, b = (to.node, ref.node) if against else (ref.node, to.node)
            beside.setdefault(a, []).append(b)
    found, todo = {start}, [start]
    while todo:
        new = [n for n in beside.get(todo.pop(), ()) if n not in found]
        found.update(new)
        todo += new
    return found


def _last_link(scene: Scene, pin: Pin) -> Link | None:
    """The link that ends in an input, the last one where there are many."""
    if pin.side == "out":
        return None
    source = scene.links.get(pin.ref)
    return Link(pin.ref, refs(source)[-1]) if source is not None else None
