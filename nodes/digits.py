"""Digits without a download: handwritten ones, printed ones, and printed ones on photographs."""

from typing import Any, Literal

from nodegraph.node import Axes, Module, Output, Param, Recipe, Source

from .held import FIXED, MEASURED, drawn

SEED = "of the data themselves, apart from that of the run"
RANGE = "of the pixels: −1..1 goes with a generator that ends in Tanh"


class _Images(Source):
    """A source of labelled square images."""

    batch: int = Param(64, min=1, max=65536)
    size: int = Param(28, min=8, max=128, unit="px")
    range: Literal["0..1", "-1..1"] = Param("0..1", doc=RANGE)
    fixed: bool = Param(False, doc=FIXED)  # type: ignore[misc]

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"N": self.batch}

    def options(self) -> dict[str, Any]:
        return {"batch": self.batch, "size": self.size, **self.changed("range")}


class Digits(_Images):
    """Handwritten digits: 1797 scans of 8 × 8 pixels that come with scikit-learn.

    Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    1998. Enlarged to size × size; bilinearly, edges are softer. 1400 to train, 397 held out, the
    same ones for every seed. Image N channels size size in 0..1, label N.
    """

    aliases = ("UCI digits", "optdigits", "handwriting", "MNIST", "цифры", "рукописные цифры")
    image = Output("N channels size size", kind="image")
    label = Output("N", kind="labels", classes=10)
    size: int = Param(16, min=8, max=128, unit="px")
    channels: Literal[1, 3] = Param(1)
    enlarged: Literal["bicubic", "bilinear"] = Param("bicubic")

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("channels", "enlarged")
        return drawn(Module(".ops.digits.Digits", **self.options(), **more), self.fixed)


class FontDigits(_Images):
    """Printed digits, each of its own: face, size, slant, turn, place and blur vary.

    White on black: a DejaVu face at 0.70–0.95 of the image, turned by ±15°, sheared by ±0.25,
    moved by ±2 px of 28, half of them blurred (σ up to 0.8 px). Rendered where they are used, the
    same everywhere. Image N channels size size in 0..1, label N.
    """

    aliases = ("FONT-28", "synthetic digits", "printed digits", "source domain", "цифры", "шрифт")
    image = Output("N channels size size", kind="image")
    label = Output("N", kind="labels", classes=10)
    channels: Literal[1, 3] = Param(1)
    count: int = Param(4000, min=1, max=200_000, doc="training images")
    held_out: int = Param(1000, min=1, max=100_000, doc="held-out images")
    seed: int = Param(0, min=0, max=1_000_000, doc=SEED)
    measured: Literal["held out", "training"] = Param("held out", doc=MEASURED)

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("channels", "count", "held_out", "seed", "measured")
        return drawn(Module(".ops.font_digits.FontDigits", **self.options(), **more), self.fixed)


class DigitPairs(_Images):
    """Printed digits twice: before and after one attribute changes, and nothing else does.

    `bold`: the face becomes its bold one. `slant`: the shear to the right grows by 0.25, from −0.25
    … 0. `size`: the face grows by 0.2 of the image, from 0.70 … 0.75. All else is drawn as in
    FontDigits. Before and after N 1 size size in 0..1, label N.
    """

    aliases = ("before and after", "attribute", "bold", "slant", "paired data", "пары", "атрибут")
    before = Output("N 1 size size", kind="image")
    after = Output("N 1 size size", kind="image")
    label = Output("N", kind="labels", classes=10)
    attribute: Literal["bold", "slant", "size"] = Param("bold")
    count: int = Param(4000, min=1, max=200_000, doc="training pairs")
    held_out: int = Param(1000, min=1, max=100_000, doc="held-out pairs")
    seed: int = Param(0, min=0, max=1_000_000, doc=SEED)

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("count", "held_out", "seed")
        source = Module(".ops.font_digits.DigitPairs", self.attribute, **self.options(), **more)
        return drawn(source, self.fixed)


class BlendedDigits(_Images):
    """Printed digits blended with photographs: |contrast · patch − digit|, in colour.

    After MNIST-M of Ganin & Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML
    2015. The digits are drawn as in FontDigits, but are others; patches of the photographs' left
    halves are trained on, right halves held out. Image N 3 size size in 0..1, label N.

    Photographs by scikit-learn, CC BY 2.0: china.jpg by Ian Griffiths, flower.jpg by Jesus Solana.
    """

    aliases = ("FONT-M", "MNIST-M", "target domain", "synthetic", "цифры", "целевой домен")
    image = Output("N 3 size size", kind="image")
    label = Output("N", kind="labels", classes=10)
    contrast: float = Param(0.5, min=0.0, max=1.0, doc="of the photograph; 1 is the larger gap")
    count: int = Param(4000, min=1, max=200_000, doc="training images")
    held_out: int = Param(1000, min=1, max=100_000, doc="held-out images")
    seed: int = Param(0, min=0, max=1_000_000, doc=SEED)

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("contrast", "count", "held_out", "seed")
        return drawn(Module(".ops.font_digits.BlendedDigits", **self.options(), **more), self.fixed)


class DistortedDigits(_Images):
    """Handwritten digits that are turned, moved and surrounded by pieces of others.

    Each fills `smallest` to `largest` of the image's side, turned by up to ± `turn`, moved by up to
    ± `shift`, with `clutter` squares cut out of other digits; anew at each draw. Held-out ones are
    always the same. After the distorted MNIST of Jaderberg et al., Spatial Transformer Networks,
    NIPS 2015. Image N 1 size size in 0..1, label N, motion N 3: how it was moved, as its turn in
    radians (clockwise) and its shift to the right and down, in halves of the image.
    """

    aliases = ("cluttered MNIST", "rotated MNIST", "translated", "augmentation", "цифры", "поворот")
    image = Output("N 1 size size", kind="image")
    label = Output("N", kind="labels", classes=10)
    motion = Output("N 3", doc="turn, and shift (x, y)")
    size: int = Param(32, min=8, max=512, unit="px")
    turn: float = Param(0.0, min=0.0, max=180.0, unit="°", doc="at most, both ways")
    shift: float = Param(0.5, min=0.0, max=1.0, doc="at most, in halves of the image")
    smallest: float = Param(0.5, min=0.05, max=2.0, doc="share of the image's side")
    largest: float = Param(0.5, min=0.05, max=2.0, doc="share of the image's side")
    clutter: int = Param(6, min=0, max=256, doc="pieces of other digits")
    patch: int = Param(6, min=1, max=128, unit="px", doc="the side of a piece")
    digits: Literal["scikit-learn", "MNIST"] = Param("scikit-learn", doc="MNIST is downloaded")

    def __post_init__(self) -> None:
        if self.smallest > self.largest:
            raise ValueError(f"smallest expects at most largest, {self.largest}")
        side = round(self.size * (self.smallest + self.largest) / 2)
        if self.clutter and self.patch > min(side, self.size):
            raise ValueError(f"patch expects at most the digit's side of {side} px")

    def recipe(self, at: Axes) -> Recipe:
        names = "turn", "shift", "smallest", "largest", "clutter", "patch", "digits"
        more = self.changed(*names)
        source = Module(".ops.distorted_digits.DistortedDigits", **self.options(), **more)
        return drawn(source, self.fixed)
