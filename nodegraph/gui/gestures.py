"""From mouse and keys to edits: which button over what starts which state, and what a click does.

    gestures.press("left", 100, 80, frozenset())
    gestures.move(300, 120, frozenset())
    gestures.release("left", 300, 120, frozenset())

Points are screen pixels from the upper left corner of the canvas. The window draws `scene` seen
through `view`, and `overlay` over it, and opens what `request` asks for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import layout
from ..edits import add, set_input, set_output
from ..graph import Graph, Ref
from ..layout import OUT
from ..names import fresh, taken
from ..node import Optimiser
from ..scope import Scope, type_name
from ..session import Analysis, Session
from . import hits
from .boxes import HEAD, NARROW, ROW, Measure, Pin, measure
from .drags import GRID, Cursor, Cut, Drag, Move, Reroute, Resize, Select
from .geometry import holds
from .linking import Linking, linked
from .overlay import Overlay, tooltip
from .scene import Problems, Scene, Shapes, build
from .search import INPUT, OUTPUT, Found, uses
from .view import View

NONE: frozenset[str] = frozenset()
THRESHOLD = 4.0  # pixels that a press may move and still be a click
STEP = 60.0  # pixels that an arrow key pans
FIELDS_FROM = 0.52  # zoom from which fields are drawn
WHEEL = 1.15  # zoom of one notch

ANY: tuple[str, ...] = ()
BODY = ("title", "node", "field", "frame_title")
EMPTY = ("empty", "frame", "wire")
# Which state a button held over a thing starts: the first row that fits.
STARTS: list[tuple[str, str, tuple[str, ...], type[Drag] | None]] = [
    ("middle", "", ANY, Drag),
    ("left", "space", ANY, Drag),
    ("right", "ctrl", ANY, Cut),
    ("right", "shift", ("wire", "reroute"), Reroute),
    ("left", "", ("pin",), Linking),
    ("left", "", BODY, Move),
    ("left", "", ("reroute",), Reroute),
    ("left", "", ("frame_corner",), Resize),
    ("left", "", EMPTY, Select),
]
ARROWS = {"left": (STEP, 0.0), "right": (-STEP, 0.0), "up": (0.0, STEP), "down": (0.0, -STEP)}


class Gestures:
    """The hand on one session's canvas."""

    def __init__(self, session: Session, view: View | None = None, by: Measure = measure) -> None:
        self.session = session
        self.view = view or View()
        self.overlay = Overlay()
        self.request: tuple[Any, ...] | None = None
        self.drag: Drag | None = None
        self.cursor = (self.view.width / 2, self.view.height / 2)
        self._pressed: tuple[str, Cursor, hits.Hit] | None = None
        self._by = by
        self._preview: Graph | None = None
        self._scene = Scene()
        self._shown: tuple[int, Analysis | None, Graph | None] | None = None
        self._path = session.path
        self._views: dict[tuple[str, ...], View] = {}
        self._revision = 0
        self._begun: tuple[View, int] | None = None  # as the graph was opened, and its revision

    # What is seen -------------------------------------------------------------------------------

    @property
    def scene(self) -> Scene:
        """The geometry of what the session shows, with the preview of the gesture."""
        session = self.session
        if session.path != self._path:
            self._turn_to(session.path)
        revision, analysis, preview = self._shown or (0, None, None)
        if revision == session.revision and preview is self._preview:
            if analysis is session.analysis:
                return self._scene
        known = self._shown is not None and analysis is session.analysis
        problems, shapes = (None, None) if known else _analysed(session)
        self._scene = build(
            self._preview or session.graph, session.inner, self._scene if self._shown else None,
            selection=session.selection, problems=problems, shapes=shapes, by=self._by,
        )  # fmt: skip
        self._shown = (session.revision, session.analysis, self._preview)
        return self._scene

    def show(self, preview: Graph | None) -> None:
        """Draw another graph than the session's, until the gesture ends."""
        self._preview = preview

    def fit(self, names: Iterable[str] | None = None) -> None:
        """All in sight, or some boxes."""
        scene = self.scene
        bounds = scene.bounds if names is None else scene.bounds_of(names)
        if bounds is not None:
            self.view = self.view.fit(bounds)

    def begin(self) -> None:
        """What a graph opens with: all of it if its titles can be read so, else its left."""
        scene = self.scene
        if scene.bounds is not None:
            self.view = self.view.beginning(scene.bounds, [b.rect for b in scene.boxes.values()])
        self._begun = self.view, self.session.revision

    def resize(self, width: float, height: float) -> None:
        """A canvas of another size; what was all in sight stays so."""
        bounds, was = self.scene.bounds, self.view
        self.view = was.resized(width, height)
        if (was, self.session.revision) == self._begun:
            self.begin()
        elif bounds and holds(was.rect, bounds) and not holds(self.view.rect, bounds):
            self.fit()

    def take(self) -> tuple[Any, ...] | None:
        """The request, once."""
        request, self.request = self.request, None
        return request

    def _turn_to(self, path: tuple[str, ...]) -> None:
        self._views[self._path] = self.view
        self._path, self._shown, self._preview, self.drag = path, None, None, None
        self.overlay = Overlay()
        if path in self._views:
            old = self._views[path]
            self.view = old.resized(self.view.width, self.view.height)
        else:
            self.begin()

    # Events -------------------------------------------------------------------------------------

    def press(
        self, button: str, x: float, y: float, mods: frozenset[str] = NONE, double: bool = False
    ) -> None:
        """A button goes down; `double` when it is the second time in a moment."""
        self.cursor = (x, y)
        if self._pressed:  # another button is held: it cancels, as in a text editor's drag
            self.cancel()
            return
        at = self._at(x, y, mods)
        hit = self.hit(at)
        if double and button == "left":
            self._double(at, hit)
            return
        self._pressed = (button, at, hit)
        if button == "left" and hit.kind in BODY and hit.node not in self.session.selection:
            if "ctrl" not in mods and "space" not in mods:
                self.session.select([hit.node], add="shift" in mods)
        self._revision = self.session.revision

    def move(self, x: float, y: float, mods: frozenset[str] = NONE) -> None:
        """The mouse moves."""
        self.cursor = (x, y)
        at = self._at(x, y, mods)
        if self._pressed and self.session.revision != self._revision:
            self.cancel()  # the graph changed under the hand
        if self._pressed is None:
            self._hover(at)
            return
        button, start, hit = self._pressed
        if self.drag is None:
            if max(abs(x - start.x), abs(y - start.y)) < THRESHOLD:
                return
            start_drag = self._start(button, start.mods, hit.kind)
            if start_drag is None:
                return
            self.overlay = Overlay()
            self.drag = start_drag(self, start, hit)
        self.drag.move(self, at)

    def release(self, button: str, x: float, y: float, mods: frozenset[str] = NONE) -> None:
        """A button goes up: the drag ends, or it was a click."""
        if self._pressed is None or self._pressed[0] != button:
            return
        _, start, hit = self._pressed
        self.move(x, y, mods)
        if not self.busy:  # the graph changed meanwhile
            return
        drag = self.drag
        at = self._at(x, y, mods)
        if drag is not None:
            drag.drop(self, at)
        elif max(abs(x - start.x), abs(y - start.y)) < THRESHOLD:
            self._click(button, start, hit)
        self.cancel()
        self._hover(at)

    def wheel(self, steps: float, x: float, y: float, mods: frozenset[str] = NONE) -> None:
        """Zoom about the mouse; with Shift pan sideways, with Ctrl up and down."""
        if "shift" in mods or "ctrl" in mods:
            far = steps * STEP
            self.view = self.view.panned(*((far, 0.0) if "shift" in mods else (0.0, far)))
        else:
            self.view = self.view.zoomed(WHEEL**steps, x, y)

    def key(self, name: str, mods: frozenset[str] = NONE) -> bool:
        """A key goes down; whether it means anything here."""
        from .commands import by_key  # the table names what is here

        if self._pressed:
            if name == "escape":
                self.cancel()
            return name == "escape"
        if name in ARROWS and not mods:
            self.view = self.view.panned(*ARROWS[name])
            return True
        command = by_key(name, mods)
        if command is None:
            return False
        command.run(self.session, self)
        return True

    @property
    def busy(self) -> bool:
        """Whether a button is held."""
        return self._pressed is not None

    def cancel(self) -> None:
        """End the gesture without doing anything."""
        self._pressed = self.drag = self._preview = None
        self.overlay = Overlay()

    # What they mean -----------------------------------------------------------------------------

    def hit(self, at: Cursor) -> hits.Hit:
        """What is under the mouse."""
        zoom = self.view.zoom
        return hits.at(self.scene, at.cx, at.cy, hits.NEAR / zoom, zoom >= FIELDS_FROM)

    def canvas_cursor(self) -> tuple[int, int]:
        """The canvas point under the mouse, on the grid."""
        x, y = self.view.to_canvas(*self.cursor)
        return GRID * round(x / GRID), GRID * round(y / GRID)

    def _at(self, x: float, y: float, mods: frozenset[str]) -> Cursor:
        return Cursor(x, y, *self.view.to_canvas(x, y), mods)

    @staticmethod
    def _start(button: str, mods: frozenset[str], kind: str) -> type[Drag] | None:
        for held, mod, kinds, state in STARTS:
            if button == held and (not mod or mod in mods) and (not kinds or kind in kinds):
                return state
        return None

    def _hover(self, at: Cursor) -> None:
        hit, scene = self.hit(at), self.scene
        if hit != self.overlay.hover:
            family = frozenset(scene.calls(hit.node)) if hit.node else NONE
            self.overlay = Overlay(hover=hit, tooltip=tooltip(scene, hit), family=family)

    def _click(self, button: str, at: Cursor, hit: hits.Hit) -> None:
        session, selected = self.session, hit.node in self.session.selection
        if button == "right":
            if hit.node and hit.kind != "frame" and not selected:
                session.select([hit.node])
            self.request = ("menu", at.x, at.y, hit)
        elif button == "left" and hit.kind in (*BODY, "pin", "frame_corner"):
            if "ctrl" in at.mods:
                session.select([hit.node], toggle=True)
            elif "shift" in at.mods:
                session.select([hit.node], add=True)
            else:
                session.select([hit.node])
                if hit.field:
                    self._edit(hit)
        elif button == "left" and not at.mods & {"ctrl", "shift", "space"}:
            session.select(())

    def _edit(self, hit: hits.Hit) -> None:
        field = hit.field
        assert field is not None
        if field.linked:
            self.session.tell(f"{field.setting} comes through a link; remove it to set a value")
        elif field.toggle and field.value in ("yes", "no"):
            self.session.set_param(field.node, field.setting, field.value == "no")
        else:
            self.request = ("field", field.node, field.setting)

    def _double(self, at: Cursor, hit: hits.Hit) -> None:
        box = self.scene.boxes.get(hit.node)
        if hit.kind in ("empty", "frame"):
            self.request = ("search", at.x, at.y, None)
        elif hit.kind == "wire":
            self.request = ("menu", at.x, at.y, hit)
        elif hit.kind == "reroute" and hit.link:
            points = [*self.scene.wires[hit.link].points]
            del points[hit.index]
            self.session.set_reroutes(hit.link.to, points)
        elif hit.field:
            if not hit.field.toggle:  # the first click of the two has turned it
                self._edit(hit)
        elif box and box.face.group and hit.kind in ("title", "node"):
            self.session.enter(hit.node)
        elif hit.kind in ("title", "frame_title"):
            self.request = ("rename", hit.node)

    # What the window asks for -------------------------------------------------------------------

    def add(self, found: Found | str, x: float, y: float, pin: Pin | None = None) -> bool:
        """The answer to a search at a screen point: a new node, linked to the pin."""
        kind, port = (found, "") if isinstance(found, str) else (found.name, found.port)
        cx, cy = self.view.to_canvas(x, y)
        level = cy - HEAD - ROW / 2  # the first pin where the mouse is
        left = {"out": cx, "in": cx - NARROW}.get(pin.side if pin else "", cx - NARROW / 2)
        at = [GRID * round(v / GRID) for v in (left, level if pin else cy - HEAD / 2)]
        if pin and kind in (OUTPUT, INPUT):
            return self._add_port(pin, at)
        if pin is None or not port:
            ref, out = (pin.ref, pin.side == "out") if pin else (None, False)
            return self.session.add(kind, at, ref if out else None, None if out else ref)

        def edit(graph: Graph, scope: Scope) -> Graph:
            assert pin is not None
            graph = add(graph, kind, scope, at=at)
            new = Ref(list(graph.nodes)[-1], port)
            ends = (pin.ref, new) if pin.side == "out" else (new, pin.ref)
            return linked(graph, scope, *ends)

        return self.session.do(f"Add {kind}", edit, select_new=True)

    def carry_type(self, kind: str, x: float, y: float) -> None:
        """A type that is dragged from the palette is here, or elsewhere (""); it would go on the
        link under it."""
        at = self._at(x, y, NONE)
        link = self.hit(at).link if kind else None
        ghost = (kind, at.cx, at.cy) if kind else None
        self.overlay = Overlay(ghost=ghost, insert=link)

    def drop_type(self, kind: str, x: float, y: float) -> bool:
        """Add the type that was dragged here, on a link if there is one."""
        link = self.overlay.insert
        self.overlay = Overlay()
        if link is None:
            return self.add(kind, x, y)
        at = [GRID * round(v / GRID) for v in self.view.to_canvas(x, y)]
        return self.session.insert_on_link(kind, link.to, link.source, at)

    def loss_hovered(self) -> str:
        """The optimiser, or node that gives a loss, under the mouse, or ""."""
        hit, session = self.overlay.hover, self.session
        box = self.scene.boxes.get(hit.node)
        if hit.kind not in ("title", "node") or box is None or box.face.kind != "node":
            return ""
        optimises = session.inner.is_a(session.graph, hit.node, Optimiser)
        gives = any(pin.kind == "loss" for pin in box.face.outputs)
        return hit.node if optimises or gives else ""

    def _add_port(self, pin: Pin, at: list[int]) -> bool:
        """A new output of the group, fed by an output pin; or an input that feeds an input pin."""

        def edit(graph: Graph, scope: Scope) -> Graph:
            if pin.side == "out":
                name = fresh(pin.label, graph.outputs)
                graph = set_output(graph, name, pin.ref, scope)
                return layout.place(graph, {OUT + name: at})
            name = fresh(pin.label, taken(graph))
            graph = set_input(graph, name, pin.shape or "...")
            return layout.place(linked(graph, scope, Ref(name), pin.ref), {name: at})

        return self.session.do("Add a port", edit)


def _analysed(session: Session) -> tuple[Problems, Shapes]:
    """What the analysis says of the graph that is shown: problems by node, shapes by output."""
    analysis = session.analysis
    if analysis is None:
        return {}, {}
    before = session.place("")
    shapes = {
        Ref.parse(key.removeprefix(before)): shape
        for key, shape in analysis.shapes.items()
        if key.startswith(before) and "/" not in key.removeprefix(before)
    }
    problems: dict[str, tuple[str, str]] = {}
    graph, here = session.graph, session.path[-1] if session.path else ""
    groups = session.root.groups
    kinds = {n: type_name(graph, n) for n in graph.nodes}
    held = {kind: uses(groups, kind) for kind in groups.keys() & kinds.values()}
    for problem in analysis.problems:
        where = tuple(problem.get("where") or ())
        text = "; ".join(filter(None, (str(problem["text"]), str(problem.get("cure") or ""))))
        inside = where[1] if where[:1] == ("groups",) and len(where) > 1 else ""
        names: list[str] = []
        if inside == here:
            where = where[2:] if inside else where
            names = [where[1]] if len(where) > 1 and where[0] == "nodes" else []
        elif inside in groups:  # the boxes that hold the group at fault, near or deep in them
            names = [n for n, kind in kinds.items() if kind in groups and inside in held[kind]]
            text = f"in {inside}: {text}"
        for name in names:
            worst = problems.get(name, ("", ""))[0]
            if worst != "error":
                problems[name] = (str(problem["severity"]), text)
    return problems, shapes
