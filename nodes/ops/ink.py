"""The colours that views draw with: one ink for a dark ground, one for a light one."""

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Ink:
    """What is seen behind and around, and a hue for each line or class."""

    ground: Colour
    raised: Colour
    edge: Colour
    text: Colour
    dim: Colour
    wrong: Colour
    hues: tuple[Colour, ...]

    @property
    def accent(self) -> Colour:
        """The hue of what is alone."""
        return self.hues[0]


def hexadecimal(text: str) -> Colour:
    """`#rrggbb` as a colour."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def mixed(plain: str, hues: str) -> Ink:
    """An ink, from its colours in their order."""
    ground, raised, edge, text, dim, wrong = map(hexadecimal, plain.split())
    return Ink(ground, raised, edge, text, dim, wrong, tuple(map(hexadecimal, hues.split())))


# Hues after Okabe & Ito, Color Universal Design, 2008, lifted for a dark ground and lowered for a
# light one; then two more for ten digits.
DARK = mixed(
    "#1b1f25 #262c35 #4a5462 #e6e9ee #97a2b1 #f0615c",
    "#58a6ff #f0a030 #3ec79a #e58ac1 #f5e663 #e8663c #9fdcff #b9bec6 #9a86f0 #b08d57",
)
LIGHT = mixed(
    "#f4f5f7 #e4e7eb #b4bcc7 #1f2630 #5f6b7a #cc2f2a",
    "#1f6feb #c96f00 #00875f #b8478e #9c8500 #bf3d12 #2592c4 #7b838d #6a4fd0 #86642c",
)
THEMES = {"dark": DARK, "light": LIGHT}
INK: ContextVar[Ink] = ContextVar("ink", default=DARK)


def ink() -> Ink:
    """What the picture at hand is drawn with."""
    return INK.get()


def themed(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A function that draws, with one more keyword: `theme`, dark or light."""

    @functools.wraps(draw)
    def drawn(*args: Any, theme: str = "dark", **keywords: Any) -> Any:
        before = INK.set(THEMES[theme])
        try:
            return draw(*args, **keywords)
        finally:
            INK.reset(before)

    own = inspect.signature(draw)
    more = inspect.Parameter("theme", inspect.Parameter.KEYWORD_ONLY, default="dark")
    drawn.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*own.parameters.values(), more]
    )
    return drawn
