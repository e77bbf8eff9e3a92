"""How a node looks: a box with a title, a line for its type, pins at the sides, and fields.

One unit is one pixel at zoom 1. Coordinates are relative to the upper left corner of the box, so a
box that only moved looks the same. Inputs and outputs share rows; each field has a row of its own,
with a pin where the setting can be linked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from ..graph import Entry, Graph, Ref, Reference, is_frozen
from ..node import Input, Output, Setting
from ..scope import Scope, type_name
from .view import Rect

TITLE, HEAD, ROW, FOOT = 26, 44, 20, 6  # the title bar, with the line of the type, a row, the rest
NARROW, WIDE, PAD = 150, 190, 10  # least and greatest width, space at the sides
SHOWN = 5  # fields; more are folded
VIEW = (240, 260)  # width and height of a view, which holds a picture
TEXT = 13.0  # pixels
SMALL = 11.0

# Advance of DejaVu Sans in hundredths of its size: ASCII from the space on, then А–я.
_ASCII = (
    "32 40 46 84 64 95 78 27 39 39 50 84 32 36 32 34 64 64 64 64 64 64 64 64 64 64 34 34 84 "
    "84 84 53 100 68 69 70 77 63 58 77 75 29 29 66 56 86 75 79 60 79 69 63 61 73 68 99 69 61 "
    "69 39 34 39 84 50 50 61 63 55 63 62 35 63 63 28 28 58 28 97 63 61 63 63 41 52 39 63 59 "
    "82 59 59 52 64 34 64 84 "
)
_CYRILLIC = (
    "68 69 69 61 78 63 108 64 75 75 71 75 86 75 79 75 60 70 61 61 86 69 78 69 107 109 83 88 69 70 "
    "108 69 61 62 59 53 69 62 90 53 65 65 60 64 75 65 61 65 63 55 58 59 85 59 68 59 92 94 71 79 59 "
    "55 84 60"
)
_WIDTHS = {chr(32 + i): int(w) / 100 for i, w in enumerate(_ASCII.split())} | {
    chr(0x410 + i): int(w) / 100 for i, w in enumerate(_CYRILLIC.split())
}

Measure = Callable[[str, float], float]  # a text and its size in pixels: its width in pixels


def measure(text: str, size: float = TEXT) -> float:
    """The width of a text in DejaVu Sans, to within a per cent."""
    return size * sum(_WIDTHS.get(c, 0.84) for c in text)


def clipped(text: str, width: float, size: float = TEXT, by: Measure = measure) -> str:
    """`text`, ended by … where it is wider than `width`."""
    if by(text, size) <= width:
        return text
    while text and by(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


def wrapped(text: str, width: float, size: float = TEXT, by: Measure = measure) -> list[str]:
    """A text in lines that are not wider than `width`, where its words allow it."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and by(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


@dataclass(frozen=True)
class Pin:
    """An end for links at the side of a box; `x, y` is its middle, relative to the box.

    `ref` is what a link calls it. The pin of a group's output has the Ref of its box.
    """

    node: str  # the box
    port: str
    kind: str
    side: str  # "in" or "out"
    x: float
    y: float
    many: bool = False
    linked: bool = False
    required: bool = False
    label: str = ""
    shape: str = ""
    ref: Ref = Ref("")


@dataclass(frozen=True)
class Field:
    """A setting that is shown on the box; `rect` is relative to it."""

    node: str
    setting: str
    label: str
    value: str
    rect: Rect
    is_default: bool
    missing: bool = False  # it must be given, and is not
    linked: bool = False  # its value comes through a link, so it cannot be set
    toggle: bool = False  # a click changes it: it is true or false


@dataclass(frozen=True)
class Face:
    """All that is drawn of a box, but for where it stands."""

    kind: str  # "node", "input" or "output" (of the group around)
    title: str
    type_line: str
    w: float
    h: float
    inputs: tuple[Pin, ...] = ()
    outputs: tuple[Pin, ...] = ()
    fields: tuple[Field, ...] = ()
    folded: int = 0  # settings that are not shown
    category: str = ""
    colour: str = ""  # chosen by hand, "#rrggbb"; else it follows from the category
    badge: str = ""  # "= owner" of a further call of a module
    owner: str = ""  # the node with its weights, when several calls use them
    group: bool = False
    frozen: bool = False
    bypassed: bool = False
    collapsed: bool = False
    severity: str = ""  # of its worst problem
    problem: str = ""
    picture: Rect | None = None  # where a view shows what it has drawn


@dataclass(frozen=True)
class Box:
    """A face at a place on the canvas."""

    name: str
    x: float
    y: float
    face: Face

    @property
    def rect(self) -> Rect:
        """Where it stands and how large it is."""
        return self.x, self.y, self.face.w, self.face.h

    def pin(self, side: str, port: str) -> Pin | None:
        """Its pin for a port; "" is the only one."""
        pins = self.face.inputs if side == "in" else self.face.outputs
        return next((p for p in pins if p.port == port), pins[0] if pins and not port else None)


def node_face(
    graph: Graph,
    scope: Scope,
    name: str,
    linked: Collection[str],
    calls: Mapping[str, int],
    colour: str = "",
    collapsed: bool = False,
    problem: tuple[str, str] = ("", ""),
    by: Measure = measure,
) -> Face:
    """The face of a node; `linked` are its linked ports, `calls` how many use a module."""
    entry, declared = graph.nodes[name], scope.type_of(graph, name)
    owner = graph.owner(name)
    inputs, outputs = scope.inputs(graph, name) or {}, scope.outputs(graph, name) or {}
    if declared is None:  # an unknown type has the ports that its links name
        inputs = {p: Input() for p in sorted(linked) if p[:1] != ">"}
        outputs = {p[1:]: Output() for p in sorted(linked) if p[:1] == ">"}
    settings = {} if entry.shares else scope.settings(graph, name) or {}
    kind = type_name(graph, name)
    badge = f"= {entry.shares}" if entry.shares else ""
    type_line = f"{badge} · {kind}" if badge else kind
    texts = [by(name, TEXT) + 24, by(type_line, SMALL) + 20]
    rows = [p for p, i in inputs.items() if i.default is None or p not in settings]
    for left, right in zip([*rows, *[""] * len(outputs)], [*outputs, *[""] * len(rows)]):
        texts.append(by(left, SMALL) + by(right, SMALL) + 3 * PAD)
    shown = _shown(settings, entry, inputs, linked)
    values = {k: _value(entry.params.get(k, settings[k].default)) for k in shown}
    texts += [by(k, SMALL) + by(v, SMALL) + 4 * PAD for k, v in values.items()]
    view = getattr(declared, "category", "") == "views"
    w = VIEW[0] if view else min(max(NARROW, 10 * -(-max(texts) // 10)), WIDE)
    high = ROW * max(len(rows), len(outputs))

    def pin_at(port: str, side: str) -> tuple[float, float]:
        x = 0.0 if side == "in" else float(w)
        if collapsed:
            return x, TITLE / 2
        if side == "in" and port not in rows:
            return x, HEAD + high + ROW * (shown.index(port) + 0.5)
        return x, HEAD + ROW * ((rows if side == "in" else [*outputs]).index(port) + 0.5)

    pins_in = tuple(
        Pin(name, p, i.kind, "in", *pin_at(p, "in"), i.many, p in linked,
            i.needed, p, i.shape, Ref(name, p))
        for p, i in inputs.items()
    )  # fmt: skip
    only = len(outputs) == 1
    pins_out = tuple(
        Pin(name, p, o.kind, "out", *pin_at(p, "out"), True,
            f">{p}" in linked or (only and ">" in linked),
            False, p, o.shape, Ref(name, "" if only else p))
        for p, o in outputs.items()
    )  # fmt: skip
    fields = tuple(
        Field(
            name, k, clipped(k, w - 60, SMALL, by), values[k],
            (PAD, HEAD + high + ROW * i + 1, w - 2 * PAD, ROW - 2),
            k not in entry.params, settings[k].default is MISSING and k not in entry.params,
            k in linked, settings[k].type is bool,
        )
        for i, k in enumerate(shown)
    )  # fmt: skip
    under = HEAD + high + ROW * len(shown)
    picture = (FOOT, under, w - 2 * FOOT, VIEW[1] - HEAD - ROW - FOOT) if view else None
    whole = under + picture[3] if picture else under
    return Face(
        "node", clipped(name, w - 20, TEXT, by), clipped(type_line, w - 20, SMALL, by),
        float(w), float(TITLE if collapsed else whole + FOOT),
        pins_in, pins_out, () if collapsed else fields, len(settings) - len(shown),
        getattr(declared, "category", ""), colour, badge,
        owner if calls.get(owner, 1) > 1 else "", isinstance(declared, Graph),
        is_frozen(graph.nodes.get(owner, entry), graph.params), entry.bypassed, collapsed,
        *problem, None if collapsed else picture,
    )  # fmt: skip


def port_face(
    box: str, name: str, kind: str, shape: str, linked: bool, by: Measure = measure
) -> Face:
    """The face of an input or output of the group that is entered: a small box with one pin."""
    w = float(min(max(90, 10 * -(-(by(name, TEXT) + 30) // 10)), WIDE))
    end = box != name  # an output's box is called `out:NAME`, and its pin takes a link
    pin = Pin(
        box, "", kind, "in" if end else "out", 0.0 if end else w, TITLE / 2, not end, linked,
        end, name, shape, Ref(box),
    )  # fmt: skip
    title = clipped(name, w - 20, TEXT, by)
    pins: tuple[tuple[Pin, ...], tuple[Pin, ...]] = ((pin,), ()) if end else ((), (pin,))
    return Face("output" if end else "input", title, shape, w, float(TITLE), *pins)


def _shown(
    settings: Mapping[str, Setting], entry: Entry, inputs: Mapping[str, Input], linked: Any
) -> list[str]:
    """The settings on the box: what can be linked, what must be given, what was changed."""
    keys = list(settings)
    pins = [k for k in keys if k in inputs]
    must = [k for k in keys if k not in inputs and settings[k].default is MISSING]
    changed = [k for k in keys if k in entry.params and k not in pins and k not in must]
    chosen = [*must, *changed]
    return [*chosen[: max(SHOWN - len(pins), len(must))], *pins]


def _value(value: Any) -> str:
    """A setting's value as it stands in the field."""
    if value is MISSING or value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_value, value))
    return str(value)
