"""Colours: two themes of one restrained palette, one accent, a hue for each kind of value.

Nothing is told by colour alone: kinds also have names on their pins, problems a mark and a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Colour = tuple[int, int, int, int]


def hexed(text: str, alpha: int = 255) -> Colour:
    """`#rrggbb` as a colour."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16), alpha


def faded(colour: Colour, alpha: int) -> Colour:
    """A colour, more or less transparent."""
    return (*colour[:3], alpha)


@dataclass(frozen=True)
class Palette:
    """All colours of a theme."""

    name: str
    canvas: Colour
    grid: Colour
    panel: Colour  # side panels, bars
    raised: Colour  # fields, buttons
    edge: Colour
    text: Colour
    dim: Colour
    accent: Colour
    node: Colour
    node_head: Colour
    error: Colour
    warning: Colour
    good: Colour
    kinds: Mapping[str, Colour]
    families: Mapping[str, Colour]

    def kind(self, name: str) -> Colour:
        """The colour of a wire."""
        return self.kinds.get(name, self.kinds["tensor"])

    def family(self, name: str) -> Colour:
        """The colour of a category of nodes."""
        return self.families.get(name, self.families[""])


KINDS = {
    "tensor": "#86a3cc", "image": "#d0a54a", "labels": "#b58bd0", "scalar": "#7fb98a",
    "loss": "#d97a68", "pyramid": "#4fc3b8",
}  # fmt: skip
FAMILIES = {
    "sources": "#d0a54a", "losses": "#d97a68", "optimisers": "#e0935a", "schedules": "#7fb98a",
    "metrics": "#5fb0bd", "adversarial": "#c77fae", "views": "#58a6ff", "group": "#9aa7ff",
    "": "#8793a5",
}  # fmt: skip
KINDS_LIGHT = {
    "tensor": "#4f74ab", "image": "#a87c1f", "labels": "#8a57ad", "scalar": "#3f8f52",
    "loss": "#bb4b37", "pyramid": "#0f857a",
}  # fmt: skip
# Of curves: told apart by the colour-blind too (M. Okabe & K. Ito, Color Universal Design, 2008).
CURVES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#b8a81c", "#999999")
FAMILIES_LIGHT = {
    "sources": "#a87c1f", "losses": "#bb4b37", "optimisers": "#c46a22", "schedules": "#3f8f52",
    "metrics": "#22808f", "adversarial": "#a34c86", "views": "#1f6feb", "group": "#5560d0",
    "": "#66748a",
}  # fmt: skip

DARK = Palette(
    name="dark",
    canvas=hexed("#1b1f25"), grid=hexed("#262c35"), panel=hexed("#22272f"),
    raised=hexed("#2d343f"), edge=hexed("#3a434f"), text=hexed("#e6e9ee"), dim=hexed("#97a2b1"),
    accent=hexed("#58a6ff"), node=hexed("#2a303a"), node_head=hexed("#333b47"),
    error=hexed("#f0615c"), warning=hexed("#e3b341"), good=hexed("#5bbd72"),
    kinds={k: hexed(v) for k, v in KINDS.items()},
    families={k: hexed(v) for k, v in FAMILIES.items()},
)  # fmt: skip
LIGHT = Palette(
    name="light",
    canvas=hexed("#f4f5f7"), grid=hexed("#e4e7eb"), panel=hexed("#ffffff"),
    raised=hexed("#eceff3"), edge=hexed("#c9d0d9"), text=hexed("#1f2630"), dim=hexed("#5f6b7a"),
    accent=hexed("#1f6feb"), node=hexed("#ffffff"), node_head=hexed("#eef1f5"),
    error=hexed("#cc2f2a"), warning=hexed("#9a6700"), good=hexed("#2b8a3e"),
    kinds={k: hexed(v) for k, v in KINDS_LIGHT.items()},
    families={k: hexed(v) for k, v in FAMILIES_LIGHT.items()},
)  # fmt: skip
THEMES = {"dark": DARK, "light": LIGHT}
