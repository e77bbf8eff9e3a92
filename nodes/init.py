"""The parameter `init`: how the weights of a layer start."""

import math
from typing import ClassVar

from nodegraph.node import Module, Recipe

INIT = "how weights start: torch's own way if empty, else normal 0.02, he, data, …"
WIDTHS = ("normal", "uniform", "constant")  # these words are followed by a number
LAYERS = ("normal", "uniform", "he", "xavier", "orthogonal", "zeros")
FITTED = (*LAYERS, "data")
NORMS = ("normal", "uniform", "zeros")
TENSORS = ("normal", "uniform", "constant", "zeros", "ones", "values")


def checked(init: str, words: tuple[str, ...]) -> str:
    """`init` itself. Raises ValueError when it's not one of `words`, with a number where due."""
    word, *width = init.split() or [""]
    if word == "values" and word in words and numbers_of(init):
        return init
    if not word or word in words and _numbers(width) == (word in WIDTHS):
        return init
    known = ", ".join(w + " 0.02" if w in WIDTHS else w for w in words)
    raise ValueError(f"init expects nothing or one of {known}, not {init!r}")


def numbers_of(init: str) -> tuple[float, ...]:
    """The numbers after `values`; () when it says something else."""
    word, *width = init.split() or [""]
    try:
        found = tuple(map(float, width)) if word == "values" else ()
    except ValueError:
        return ()
    return found if all(map(math.isfinite, found)) else ()


def _numbers(words: list[str]) -> int:
    """How many finite numbers, not below zero, `words` are; −1 when one of them is not."""
    try:
        return len(words) if all(math.isfinite(n) for n in map(float, words)) else -1
    except ValueError:
        return -1


def initialised(layer: Module, init: str) -> Recipe:
    """The recipe of `layer` with its weights set the way `init` says."""
    return Module(".ops.init.initialised", layer, init) if init else layer


class Initialised:
    """A node type with the parameter `init`, checked as the node is made."""

    init: str
    words: ClassVar[tuple[str, ...]] = LAYERS

    def __post_init__(self) -> None:
        checked(self.init, self.words)
