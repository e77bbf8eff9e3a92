"""The canvas: a scene drawn on a plot without decorations, in retained items that scale in C++.

`show` draws only what differs from the scene before; `look` moves the view, which is two calls.
Nothing here knows what a click means.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dearpygui.dearpygui as dpg

from .boxes import HEAD, PAD, ROW, SMALL, TEXT, TITLE, Box, Face, Pin, clipped, measure
from .geometry import dashes, polyline
from .palette import Colour, Palette, faded, hexed
from .probing import OnLink
from .scene import Link, Scene, Wire, changes
from .view import View

FAR = 0.3  # zoom below which boxes are plain rectangles: their titles could not be read
DETAIL = 0.52  # zoom below which a large title stands for type, pins' names and fields
LABELS = 0.55  # zoom below which the shapes on wires are not drawn
RADIUS = 4.5  # of a pin
SEGMENTS = 24
DASHES = {"reversed": (10.0, 5.0), "detached": (2.5, 6.0)}  # on and off along a link
NOTHING = (0, 0, 0, 0)


@dataclass
class DrawnBox:
    """The retained items of a box: all of it, the part that is hidden from afar, and what stands
    for it from farther still."""

    item: int | str
    detail: int | str
    summary: int | str  # a title that is read from afar, instead of the detail
    far: int | str
    face: Face
    at: tuple[float, float]
    detailed: bool = False
    picture: int | str = 0  # the image of a view


@dataclass(frozen=True)
class Shown:
    """A picture that a box shows: a texture, and its size."""

    texture: int | str
    width: int
    height: int


@dataclass
class DrawnWire:
    """The retained items of a wire, of the shape that stands on it ("": none), and from afar."""

    item: int | str
    curves: list[int | str]
    chip: int | str
    far: list[int | str]
    width: float  # in parts of the usual one
    thick: float
    labelled: bool


def middle(wire: Wire) -> tuple[float, float]:
    """The point half-way along a wire."""
    a, b, c, d = wire.curves[len(wire.curves) // 2]
    x, y = ((p + 3 * q + 3 * r + s) / 8 for p, q, r, s in zip(a, b, c, d, strict=True))
    return x, y


def shape_words(label: str) -> tuple[str, ...]:
    """A shape, and with … for the batch where there is little room."""
    _, _, rest = label.partition("×")
    return (label, f"…×{rest}") if rest else (label,)


def fitted(wire: Wire, words: Sequence[str]) -> str:
    """The longest of some words that a wire has room for between boxes that stand close, or ""."""
    (ax, ay), (bx, by) = wire.curves[0][0], wire.curves[-1][3]
    far = abs(by - ay) > 60 or bx < ax  # it passes over or under the boxes
    return next((w for w in words if w and (far or measure(w, 10) + 16 <= bx - ax)), "")


@dataclass
class Canvas:
    """The drawn canvas inside a container of the window."""

    palette: Palette
    tag: str = "canvas"
    boxes: dict[str, DrawnBox] = field(default_factory=dict)
    wires: dict[Link, DrawnWire] = field(default_factory=dict)
    frames: dict[str, tuple[int | str, Any]] = field(default_factory=dict)
    scene: Scene = field(default_factory=Scene)
    view: View = field(default_factory=View)
    thick: float = 0.0
    far: bool = False
    visible: set[Hashable] = field(default_factory=set)  # the boxes and wires that are in sight
    grid_key: tuple[Any, ...] = ()
    pictures: Mapping[str, Shown] = field(default_factory=dict)  # by box
    views: set[str] = field(default_factory=set)  # the boxes that have room for a picture
    probes: Mapping[Link, OnLink] = field(default_factory=dict)  # instead of shapes

    def build(self) -> None:
        """Make the plot and its layers in the current container."""
        bare: dict[str, Any] = {
            "no_gridlines": True, "no_tick_marks": True, "no_tick_labels": True, "no_label": True,
            "no_highlight": True, "no_menus": True,
        }  # fmt: skip
        with dpg.plot(
            tag=self.tag, width=-1, height=-1, no_inputs=True, no_menus=True, no_title=True,
            no_mouse_pos=True, no_frame=True, no_box_select=True,
        ):  # fmt: skip
            self.x_axis = dpg.add_plot_axis(dpg.mvXAxis, **bare)
            self.y_axis = dpg.add_plot_axis(dpg.mvYAxis, invert=True, **bare)
            self.layers = {
                name: dpg.add_draw_layer()
                for name in (
                    "grid", "frames", "far_wires", "wires", "veil", "far_boxes", "boxes", "views",
                    "overlay",
                )
            }  # fmt: skip
            self.far_off(False)

    # View -----------------------------------------------------------------------------------------

    def look(self, view: View) -> None:
        """Move the view."""
        if view == self.view and self.grid_key:
            return
        self.view = view
        x, y, w, h = view.rect
        dpg.set_axis_limits(self.x_axis, x, x + w)
        dpg.set_axis_limits(self.y_axis, y, y + h)
        # Lines get no thinner than a pixel and a half; in steps, so that a zoom redraws few times.
        steps = math.ceil(math.log(max(0.75 / view.zoom, 1.0), 1.25))
        self.thick = 2.0 * 1.25**steps
        if (view.zoom < FAR) != self.far:
            self.far_off(view.zoom < FAR)
        self.grid()
        self.cull()

    def far_off(self, far: bool) -> None:
        """Show what stands for boxes and wires from afar, or themselves."""
        self.far = far
        for name in ("wires", "boxes"):
            dpg.configure_item(self.layers[name], show=not far)
            dpg.configure_item(self.layers[f"far_{name}"], show=far)

    def grid(self) -> None:
        """Faint lines, ten units apart times a power of two."""
        x, y, w, h = self.view.rect
        step = 40.0
        while step * self.view.zoom < 28:
            step *= 2
        key = (step, x // step, y // step, w // step, h // step, self.palette.name)
        if key == self.grid_key:
            return
        self.grid_key = key
        layer = self.layers["grid"]
        dpg.delete_item(layer, children_only=True)
        colour = self.palette.grid
        left, top = x // step * step, y // step * step
        for i in range(int(w / step) + 3):
            at = left + i * step
            dpg.draw_line((at, top - step), (at, top + h + 2 * step), color=colour, parent=layer)
        for i in range(int(h / step) + 3):
            at = top + i * step
            dpg.draw_line((left - step, at), (left + w + 2 * step, at), color=colour, parent=layer)

    # Content --------------------------------------------------------------------------------------

    def show(self, scene: Scene) -> None:
        """Draw a scene where the one before is on the screen."""
        found = changes(self.scene, scene)
        self.scene = scene
        for name in found.removed:
            drawn = self.boxes.pop(name)
            self.views.discard(name)
            dpg.delete_item(drawn.item)
            dpg.delete_item(drawn.far)
        for name in {*found.added, *found.redrawn, *found.selected}:
            if name in scene.boxes:
                self.draw_box(name, scene.boxes[name], name in scene.selection)
        for name in found.moved:
            self.place(self.boxes[name], scene.boxes[name])
        for link in found.wires_removed:
            self.erase_wire(link)
        for link in (*found.wires_added, *found.wires_changed):
            self.draw_wire(link, scene.wires[link])
        if found.frames or found.selected:
            self.draw_frames(scene.frames, scene.selection)
        self.cull()

    def place(self, drawn: DrawnBox, box: Box) -> None:
        """Move a drawn box."""
        drawn.at = (box.x, box.y)
        dpg.apply_transform(drawn.item, dpg.create_translation_matrix((box.x, box.y)))
        end = (box.x + box.face.w, box.y + box.face.h)
        dpg.configure_item(drawn.far, pmin=drawn.at, pmax=end)

    def draw_box(self, name: str, box: Box, selected: bool) -> None:
        """Draw a box anew."""
        old, views = self.boxes.get(name), box.face.picture is not None
        if old and views != (old.face.picture is not None):
            dpg.delete_item(old.item)
            dpg.delete_item(old.far)
            old = None
        edge, width = self.edge(box.face, selected)
        fill = faded(self.colour(box.face), 130)
        if views:  # pictures are seen from afar too
            fill, edge = NOTHING, NOTHING
        if old is None:
            self.visible.discard(name)
            layer = self.layers["views" if views else "boxes"]
            item = dpg.add_draw_node(parent=layer, show=False)
            far: int | str = dpg.draw_rectangle(
                (0, 0), (1, 1), fill=fill, color=edge, thickness=4 * width,
                parent=self.layers["far_boxes"],
            )  # fmt: skip
        else:
            item, far = old.item, old.far
            dpg.delete_item(item, children_only=True)
            dpg.configure_item(far, fill=fill, color=edge, thickness=4 * width)
        detailed = self.view.zoom >= DETAIL
        detail, summary = self.face(item, box.face, selected, detailed)
        picture = self.picture(item, name, box.face)
        nowhere = (math.nan, math.nan)
        drawn = DrawnBox(item, detail, summary, far, box.face, nowhere, detailed, picture)
        self.boxes[name] = drawn
        (self.views.add if views else self.views.discard)(name)
        self.place(drawn, box)

    def picture(self, item: int | str, name: str, face: Face) -> int | str:
        """What a view shows, as large as it fits; the image, or 0."""
        if face.picture is None:
            return 0
        x, y, w, h = face.picture
        p, shown = self.palette, self.pictures.get(name)
        dpg.draw_rectangle(
            (x, y), (x + w, y + h), fill=p.canvas, color=NOTHING, rounding=4, parent=item
        )
        if shown is None:
            words = "pictures come while it trains"
            at = (x + (w - measure(words, SMALL)) / 2, y + h / 2 - 8)
            dpg.draw_text(at, words, size=SMALL, color=p.dim, parent=item)
            return 0
        scale = min(w / shown.width, h / shown.height)
        wide, high = shown.width * scale, shown.height * scale
        left, top = x + (w - wide) / 2, y + (h - high) / 2
        return dpg.draw_image(shown.texture, (left, top), (left + wide, top + high), parent=item)

    def show_pictures(self, pictures: Mapping[str, Shown]) -> None:
        """Other pictures in the views; one of the same size takes the place of the one before."""
        before, self.pictures = self.pictures, pictures
        for name in {*before, *pictures}:
            drawn, old, new = self.boxes.get(name), before.get(name), pictures.get(name)
            if drawn is None or old == new:
                continue
            same = old and new and (old.width, old.height) == (new.width, new.height)
            if drawn.picture and same and new:
                dpg.configure_item(drawn.picture, texture_tag=new.texture)
            elif name in self.scene.boxes:
                self.draw_box(name, self.scene.boxes[name], name in self.scene.selection)

    def show_probes(self, probes: Mapping[Link, OnLink]) -> None:
        """Other words on the links, and other widths: what probes have found, instead of shapes."""
        before, self.probes = self.probes, probes
        for link in {*before, *probes}:
            if before.get(link) != probes.get(link) and link in self.scene.wires:
                self.draw_wire(link, self.scene.wires[link])

    def colour(self, face: Face) -> Colour:
        """The colour of a box's family, or the one that was chosen for it."""
        family = "group" if face.group else face.category
        return hexed(face.colour) if face.colour else self.palette.family(family)

    def edge(self, face: Face, selected: bool) -> tuple[Colour, float]:
        """Colour and width of a box's edge."""
        p = self.palette
        edge, width = faded(self.colour(face), 170), 1.2
        if face.severity:
            edge, width = (p.error if face.severity == "error" else p.warning), 2.2
        return (p.accent, 2.4) if selected else (edge, width)

    def face(
        self, item: int | str, face: Face, selected: bool, detailed: bool
    ) -> tuple[int | str, int | str]:
        """Draw a face into a group; returned are its detail, and what stands for it from afar."""
        p, colour = self.palette, self.colour(face)
        edge, width = self.edge(face, selected)
        dpg.draw_rectangle(
            (3, 4), (face.w + 3, face.h + 4), rounding=8, fill=(0, 0, 0, 45), color=NOTHING,
            parent=item,
        )  # fmt: skip
        dpg.draw_rectangle(
            (0, 0), (face.w, face.h), rounding=8, fill=p.node, color=NOTHING, parent=item
        )
        head = TITLE if face.collapsed or face.kind != "node" else HEAD - 4
        dpg.draw_rectangle(
            (0, 0), (face.w, min(head, face.h)), rounding=8, fill=faded(colour, 46), color=NOTHING,
            parent=item,
        )  # fmt: skip
        dpg.draw_rectangle(
            (0, 0), (face.w, face.h), rounding=8, fill=NOTHING, color=edge, thickness=width,
            parent=item,
        )  # fmt: skip
        if face.severity and selected:  # the selection is marked outside, the problem inside
            inner = p.error if face.severity == "error" else p.warning
            dpg.draw_rectangle(
                (3, 3), (face.w - 3, face.h - 3), rounding=6, fill=NOTHING, color=inner,
                thickness=1.6, parent=item,
            )  # fmt: skip
        if face.group:  # a second edge: there is more inside
            dpg.draw_rectangle(
                (3, 3), (face.w - 3, face.h - 3), rounding=6, fill=NOTHING, color=faded(edge, 110),
                parent=item,
            )  # fmt: skip
        sign = {"error": "✕", "warning": "!"}.get(face.severity, "")
        marks = ("❄" if face.frozen else "") + sign
        summary = dpg.add_draw_node(parent=item, show=not detailed)
        size = min(0.62 * head, 24.0)
        dpg.draw_text(
            (7, (head - size) / 2 - 1), clipped(face.title, face.w - 10, size), size=size,
            color=p.text, parent=summary,
        )  # fmt: skip
        detail = dpg.add_draw_node(parent=item, show=detailed)
        dpg.draw_text((PAD, 6), face.title, size=TEXT, color=p.text, parent=detail)
        if marks:
            dpg.draw_text(
                (face.w - PAD - 8 * len(marks), 6), marks, size=TEXT,
                color={"error": p.error, "warning": p.warning}.get(face.severity, p.dim),
                parent=detail,
            )  # fmt: skip
        if not face.collapsed and face.kind == "node":
            dpg.draw_text(
                (PAD, 23), face.type_line, size=SMALL, color=faded(colour, 255), parent=detail
            )
        for pin in (*face.inputs, *face.outputs):
            self.pin(item, detail, face, pin)
        if face.bypassed:  # a veil, a line through, and a word
            dpg.draw_rectangle(
                (0, 0), (face.w, face.h), rounding=8, fill=faded(p.canvas, 150), color=NOTHING,
                parent=item,
            )  # fmt: skip
            y = min(HEAD + ROW / 2, face.h / 2)
            for left in range(0, int(face.w), 14):
                ends = (left, y), (min(left + 8, face.w), y)
                dpg.draw_line(*ends, color=p.dim, thickness=2, parent=item)
            dpg.draw_text((PAD, -17), "bypassed", size=SMALL + 1, color=p.warning, parent=item)
        for shown in face.fields:
            x, y, w, h = shown.rect
            wrong = shown.missing
            dpg.draw_rectangle(
                (x, y), (x + w, y + h), rounding=4, fill=p.raised,
                color=p.error if wrong else NOTHING, parent=detail,
            )  # fmt: skip
            dim = p.dim if shown.is_default else p.text
            dpg.draw_text((x + 6, y + 3), shown.label, size=SMALL, color=p.dim, parent=detail)
            value = "linked" if shown.linked else shown.value
            value = clipped(value, w - 18 - measure(shown.label, SMALL), SMALL)
            at = x + w - 6 - measure(value, SMALL)
            dpg.draw_text((at, y + 3), value, size=SMALL, color=dim, parent=detail)
        return detail, summary

    def pin(self, item: int | str, detail: int | str, face: Face, pin: Pin) -> None:
        """A pin: filled when linked, a ring when not; a square when it takes many, a triangle for a
        pyramid."""
        colour = self.palette.kind(pin.kind)
        fill = colour if pin.linked else self.palette.node
        if pin.kind == "pyramid":
            r = RADIUS + 0.5
            dpg.draw_triangle(
                (pin.x - r, pin.y + r), (pin.x + r, pin.y + r), (pin.x, pin.y - r), fill=fill,
                color=colour, thickness=1.5, parent=item,
            )  # fmt: skip
        elif pin.many and pin.side == "in":
            r = RADIUS - 0.5
            dpg.draw_rectangle(
                (pin.x - r, pin.y - r), (pin.x + r, pin.y + r), fill=fill, color=colour,
                thickness=1.5, parent=item,
            )  # fmt: skip
        else:
            dpg.draw_circle(
                (pin.x, pin.y), RADIUS, fill=fill, color=colour, thickness=1.5, segments=16,
                parent=item,
            )  # fmt: skip
        in_field = any(f.setting == pin.port and pin.side == "in" for f in face.fields)
        if face.collapsed or face.kind != "node" or in_field:
            return
        left = pin.side == "in"
        x = pin.x + 10 if left else pin.x - 10 - measure(pin.label, SMALL)
        dpg.draw_text(
            (x, pin.y - ROW / 2 + 4), pin.label, size=SMALL, color=self.palette.dim, parent=detail
        )

    def erase_wire(self, link: Link) -> None:
        """Take a wire away."""
        drawn = self.wires.pop(link)
        for item in (drawn.item, *drawn.far):
            dpg.delete_item(item)

    def draw_wire(self, link: Link, wire: Wire) -> None:
        """Draw a wire, or the one that is drawn anew."""
        if link in self.wires:
            self.erase_wire(link)
        else:
            self.visible.discard(link)
        item = dpg.add_draw_node(parent=self.layers["wires"], show=link in self.visible)
        colour, probed = self.palette.kind(wire.kind), self.probes.get(link)
        labelled, width = self.view.zoom >= LABELS, probed.width if probed else 1.0
        thick = self.thick * width
        if wire.turn:
            curves = [
                dpg.draw_polyline(
                    [list(p) for p in dash], color=colour, thickness=thick, parent=item
                )
                for dash in dashes(wire.curves, *DASHES[wire.turn])
            ]
        else:
            curves = [
                dpg.draw_bezier_cubic(
                    *map(list, curve), color=colour, thickness=thick, parent=item,
                    segments=SEGMENTS if curve[3][0] > curve[0][0] else 2 * SEGMENTS,
                )
                for curve in wire.curves
            ]  # fmt: skip
        far = [
            dpg.draw_polyline(
                [list(p) for p in polyline(curve)[::4]], color=colour, thickness=5.0 * width,
                parent=self.layers["far_wires"],
            )
            for curve in wire.curves
        ]  # fmt: skip
        for point in wire.points:
            dpg.draw_circle(point, 4, fill=colour, color=NOTHING, segments=12, parent=item)
        if label := fitted(wire, probed.words if probed else shape_words(wire.label)):
            x, y = middle(wire)
            wide = measure(label, 10) + 12
            chip: int | str = dpg.add_draw_node(parent=item, show=labelled)
            dpg.draw_rectangle(
                (x - wide / 2, y - 8), (x + wide / 2, y + 8), rounding=7, parent=chip,
                fill=self.palette.canvas, color=faded(colour, 110),
            )  # fmt: skip
            dpg.draw_text(
                (x - wide / 2 + 6, y - 6), label, size=10, color=self.palette.dim, parent=chip
            )
        else:
            chip = ""
        self.wires[link] = DrawnWire(item, curves, chip, far, width, thick, labelled)

    def draw_frames(self, frames: Mapping[str, Any], chosen: frozenset[str]) -> None:
        """Comment frames, behind everything."""
        for name in [n for n in self.frames if n not in frames]:
            dpg.delete_item(self.frames.pop(name)[0])
        for name, frame in frames.items():
            look = (frame, name in chosen)
            if name in self.frames and self.frames[name][1] == look:
                continue
            if name in self.frames:
                dpg.delete_item(self.frames[name][0])
            item = dpg.add_draw_node(parent=self.layers["frames"])
            x, y, w, h = frame.rect
            colour = hexed(frame.colour) if frame.colour else self.palette.dim
            edge = self.palette.accent if name in chosen else faded(colour, 120)
            dpg.draw_rectangle(
                (x, y), (x + w, y + h), rounding=10, fill=faded(colour, 28), color=edge, parent=item
            )
            dpg.draw_text(
                (x + 12, y + 8), frame.title, size=15, color=faded(colour, 255), parent=item
            )
            self.frames[name] = (item, look)

    def cull(self, margin: float = 40.0) -> None:
        """Hide what is out of sight, for the library draws all that is shown; and give what is in
        sight the detail and the thickness of this zoom."""
        if self.far:  # few views are worth no search for those in sight
            for name in self.views - self.visible:
                self.toggle(name, True)
            self.visible = self.visible | self.views
            return
        x, y, w, h = self.view.rect
        near = self.scene.grid.near((x - margin, y - margin, w + 2 * margin, h + 2 * margin))
        for thing in self.visible - near:
            self.toggle(thing, False)
        for thing in near - self.visible:
            self.toggle(thing, True)
        self.visible = near
        detailed, labelled = self.view.zoom >= DETAIL, self.view.zoom >= LABELS
        for thing in near:
            box = self.boxes.get(thing) if isinstance(thing, str) else None
            if box is not None and box.detailed != detailed:
                box.detailed = detailed
                dpg.configure_item(box.detail, show=detailed)
                dpg.configure_item(box.summary, show=not detailed)
            wire = self.wires.get(thing) if isinstance(thing, Link) else None
            if wire is None:
                continue
            if wire.thick != self.thick * wire.width:
                wire.thick = self.thick * wire.width
                for item in wire.curves:
                    dpg.configure_item(item, thickness=wire.thick)
            if wire.chip and wire.labelled != labelled:
                wire.labelled = labelled
                dpg.configure_item(wire.chip, show=labelled)

    def toggle(self, thing: Hashable, shown: bool) -> None:
        """Show or hide a box or a wire, if it is there."""
        drawn: DrawnBox | DrawnWire | None = None
        if isinstance(thing, str):
            drawn = self.boxes.get(thing)
        elif isinstance(thing, Link):
            drawn = self.wires.get(thing)
        if drawn is not None:
            dpg.configure_item(drawn.item, show=shown)

    def clear(self) -> None:
        """Draw everything anew the next time: the theme has changed, or another graph is open."""
        for layer in self.layers.values():
            dpg.delete_item(layer, children_only=True)
        self.boxes.clear()
        self.views.clear()
        self.wires.clear()
        self.visible = set()
        self.frames.clear()
        self.grid_key = ()
        self.pictures, self.probes = {}, {}
        self.scene = Scene()
