"""Normalisation of activations. (That of weights is `weight_norm` of Conv2d and Linear.)"""

import math

from nodegraph.node import (
    Axes,
    Function,
    Input,
    Mismatch,
    Module,
    Node,
    Output,
    Param,
    Recipe,
    Shape,
    Text,
)

from .init import NORMS, checked, initialised

NORMALISATION = "normalisation"
INIT = "how the scale starts: at 1 if empty; normal 0.02 is N(1, 0.02); zeros"


class _BatchNorm(Node):
    """What batch norms of both ranks have in common."""

    category = NORMALISATION
    aliases = ("BN", "batch normalisation", "batch normalization", "нормализация по батчу")
    normalises_batch = True
    stateful = True
    eps: float = Param(1e-5, min=0.0, max=1.0)
    momentum: float = Param(0.1, min=0.0, max=1.0, doc="of the running mean and variance")
    affine: bool = Param(True, doc="learn a scale and a shift")
    init: Text = Param("", doc=INIT)

    def __post_init__(self) -> None:
        checked(self.init, NORMS)

    def weights(self, at: Axes) -> dict[str, Shape]:
        return {"weight": (at.C,), "bias": (at.C,)} if self.affine else {}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("eps", "momentum", "affine")
        return initialised(Module(f"torch.nn.{type(self).__name__}", at.C, **more), self.init)


class BatchNorm1d(_BatchNorm):
    """Gives each feature mean 0 and variance 1 over the batch, then a learned scale and shift.

    y = (x − mean) / √(var + eps) · weight + bias; in evaluation with the running mean and variance.

    Ioffe & Szegedy, Batch Normalization, ICML 2015. N C → N C, with N > 1.
    """

    x = Input("N C")
    y = Output("N C")


class BatchNorm2d(_BatchNorm):
    """Gives each map mean 0 and variance 1 over batch and pixels, then a learned scale and shift.

    y = (x − mean) / √(var + eps) · weight + bias; in evaluation with the running mean and variance.

    Ioffe & Szegedy, Batch Normalization, ICML 2015. N C H W → N C H W, better with N > 1.
    """

    x = Input("N C H W")
    y = Output("N C H W")


class LayerNorm(Node):
    """Gives each example mean 0 and variance 1 over its last axes, then a learned scale and shift.

    Ba, Kiros, Hinton, Layer Normalization, 2016. Any shape, N … → N …; `axes` counts from the end.
    """

    category = NORMALISATION
    aliases = ("LN", "layer normalisation", "layer normalization", "нормализация слоя")
    x = Input("N ...")
    y = Output("N ...")
    axes: int = Param(1, min=1, max=8, doc="how many of the last axes")
    eps: float = Param(1e-5, min=0.0, max=1.0)
    affine: bool = Param(True, doc="learn a scale and a shift")

    def over(self, at: Axes) -> Shape:
        """The lengths of the axes that are normalised over."""
        if len(at.rest) < self.axes:
            raise Mismatch(f"x has {len(at.rest)} axes beside the batch, {self.axes} are wanted")
        return tuple(at.rest[-self.axes :])

    def sizes(self, at: Axes) -> dict[str, int]:
        self.over(at)
        return {}

    def weights(self, at: Axes) -> dict[str, Shape]:
        return {"weight": self.over(at), "bias": self.over(at)} if self.affine else {}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("eps") | ({} if self.affine else {"elementwise_affine": False})
        return Module("torch.nn.LayerNorm", self.over(at), **more)


class GroupNorm(Node):
    """Gives each group of maps of an example mean 0 and variance 1, then a scale and shift.

    Wu & He, Group Normalization, ECCV 2018. N C … → N C …; does not depend on the batch.
    """

    category = NORMALISATION
    aliases = ("GN", "group normalisation", "group normalization", "групповая нормализация")
    x = Input("N C ...")
    y = Output("N C ...")
    groups: int = Param(min=1, max=65536)
    eps: float = Param(1e-5, min=0.0, max=1.0)
    affine: bool = Param(True, doc="learn a scale and a shift")
    init: Text = Param("", doc=INIT)

    def __post_init__(self) -> None:
        checked(self.init, NORMS)

    def sizes(self, at: Axes) -> dict[str, int]:
        if at.C % self.groups:
            raise Mismatch(f"x has {at.C} channels, which {self.groups} groups cannot share")
        if at.C // self.groups * math.prod(at.rest) == 1:
            raise Mismatch("each group has one number, which would become 0", "use fewer groups")
        return {}

    def weights(self, at: Axes) -> dict[str, Shape]:
        return {"weight": (at.C,), "bias": (at.C,)} if self.affine else {}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("eps", "affine")
        return initialised(Module("torch.nn.GroupNorm", self.groups, at.C, **more), self.init)


class InstanceNorm2d(Node):
    """Gives each map of each image mean 0 and variance 1: takes its contrast away.

    y = (x − mean) / √(var + eps), with a learned scale and shift if `affine`.

    Ulyanov, Vedaldi, Lempitsky, Instance Normalization: The Missing Ingredient for Fast
    Stylization, 2016. N C H W → N C H W.
    """

    category = NORMALISATION
    aliases = ("IN", "instance normalisation", "contrast normalisation", "стилизация")
    x = Input("N C H W")
    y = Output("N C H W")
    eps: float = Param(1e-5, min=0.0, max=1.0)
    affine: bool = Param(False, doc="learn a scale and a shift")
    init: Text = Param("", doc=INIT)

    def __post_init__(self) -> None:
        checked(self.init, NORMS)

    def sizes(self, at: Axes) -> dict[str, int]:
        if at.H * at.W == 1:
            raise Mismatch("x has one pixel a map, which would become 0", "normalise before")
        return {}

    def weights(self, at: Axes) -> dict[str, Shape]:
        return {"weight": (at.C,), "bias": (at.C,)} if self.affine else {}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("eps", "affine")
        return initialised(Module("torch.nn.InstanceNorm2d", at.C, **more), self.init)


class LocalResponseNorm(Node):
    """Divides each value by the strength of its neighbouring maps: y = x / (k + α/n Σ x²)^β.

    Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep Convolutional Neural Networks,
    NIPS 2012. N C H W → N C H W, the sum over `size` maps around each.
    """

    category = NORMALISATION
    aliases = ("LRN", "AlexNet", "локальная нормализация")
    x = Input("N C H W")
    y = Output("N C H W")
    size: int = Param(5, min=1, max=65536, doc="how many maps")
    alpha: float = Param(1e-4, min=0.0, max=100.0)
    beta: float = Param(0.75, min=0.0, max=10.0)
    k: float = Param(2.0, min=0.0, max=100.0)

    def recipe(self, at: Axes) -> Recipe:
        name = "torch.nn.functional.local_response_norm"
        return Function(name, self.size, alpha=self.alpha, beta=self.beta, k=self.k)
