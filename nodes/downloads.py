"""Data sets that are downloaded once, checked, and kept in the user's cache folder."""

from typing import Literal

from nodegraph.node import Axes, Module, Output, Param, Recipe, Source

from .held import FIXED, MEASURED, drawn

RANGE = "of the pixels: −1..1 goes with a generator that ends in Tanh"


class _Download(Source):
    """A downloaded data set of labelled images."""

    batch: int = Param(64, min=1, max=65536)
    range: Literal["0..1", "-1..1"] = Param("0..1", doc=RANGE)
    fixed: bool = Param(False, doc=FIXED)  # type: ignore[misc]
    measured: Literal["held out", "training"] = Param("held out", doc=MEASURED)

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"N": self.batch}

    def recipe(self, at: Axes) -> Recipe:
        more = [n for n in ("channels", "size", "range", "measured") if n in self.settings]
        name = f".ops.downloads.{type(self).__name__}"
        return drawn(Module(name, batch=self.batch, **self.changed(*more)), self.fixed)


class MNIST(_Download):
    """Handwritten digits: 60 000 to train, 10 000 held out, grey, 28 × 28. Downloads 12 MB.

    LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition,
    Proc. IEEE, 1998. Image N channels 28 28 in 0..1, label N.
    """

    aliases = ("handwriting", "digits", "рукописные цифры", "МНИСТ")
    image = Output("N channels size size", kind="image")
    label = Output("N", kind="labels", classes=10)
    channels: Literal[1, 3] = Param(1)
    size: int = Param(28, min=8, max=512, unit="px")


class SVHN(_Download):
    """House numbers in photographs: 73 257 to train, 26 032 held out, colour, 32 × 32. 246 MB.

    Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS
    Workshop, 2011. Image N 3 32 32 in 0..1, label N: the digit in the middle.
    """

    aliases = ("house numbers", "street view", "digits", "номера домов")
    image = Output("N 3 size size", kind="image")
    label = Output("N", kind="labels", classes=10)
    size: int = Param(32, min=8, max=512, unit="px")


class CIFAR10(_Download):
    """Small photographs of 10 classes: 50 000 to train, 10 000 held out, colour, 32 × 32. 170 MB.

    Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. Image N 3 32 32 in
    0..1, label N: plane, car, bird, cat, deer, dog, frog, horse, ship, lorry.
    """

    aliases = ("tiny images", "photographs", "СИФАР")
    image = Output("N 3 size size", kind="image")
    label = Output("N", kind="labels", classes=10)
    size: int = Param(32, min=8, max=512, unit="px")
