"""Plumbing: what joins, cuts, makes, or stops tensors."""

import math
from collections.abc import Mapping
from typing import Any, Literal

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
    show,
)

from .init import TENSORS, checked, numbers_of

PLUMBING = "plumbing"
LONGEST = 1_000_000


class Concat(Node):
    """Joins tensors along an axis; the other axes are the same.

    Axis 0 joins batches, axis 1 channels or features.
    """

    category = PLUMBING
    aliases = ("cat", "stack", "append", "join", "конкатенация")
    x = Input("...", many=True)
    y = Output("...")
    axis: int = Param(1, min=0, max=7)

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = Axes()
        first, *others = [tuple(s) for s in inputs.get("x", ())] or [()]
        if len(first) <= self.axis:
            raise Mismatch(f"x is {show(first)}, which has no axis {self.axis}")
        lengths = [first[self.axis]]
        before, after = first[: self.axis], first[self.axis + 1 :]
        for shape in others:
            if len(shape) != len(first) or (
                (shape[: self.axis], shape[self.axis + 1 :]) != (before, after)
            ):
                raise Mismatch(
                    f"{show(first)} and {show(shape)} differ beside axis {self.axis}",
                    "all other axes must have the same lengths",
                )
            lengths.append(shape[self.axis])
        at.rest = (*before, sum(lengths), *after)
        return at

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.cat", dim=self.axis)


class Slice(Node):
    """The part start:stop:step of a tensor along an axis.

    Axis 0 takes some examples of a batch. Stop 0 is the end; a negative number counts from it.
    """

    category = PLUMBING
    aliases = ("cut", "split", "part of a batch", "срез")
    x = Input("...")
    y = Output("...")
    axis: int = Param(0, min=0, max=7)
    start: int = Param(0, min=-LONGEST, max=LONGEST)
    stop: int = Param(0, min=-LONGEST, max=LONGEST, doc="0: the end")
    step: int = Param(1, min=1, max=LONGEST)

    def shapes(self, inputs: Mapping[str, Any]) -> dict[str, Shape]:
        at = self.bind(inputs)
        if len(at.rest) <= self.axis:
            raise Mismatch(f"x is {show(at.rest)}, which has no axis {self.axis}")
        shape = list(at.rest)
        part = slice(self.start, self.stop or None, self.step)
        shape[self.axis] = len(range(shape[self.axis])[part])
        if not shape[self.axis]:
            raise Mismatch(
                f"{self.start}:{self.stop or ''} is no part of axis {self.axis} of {show(at.rest)}"
            )
        return {"y": tuple(shape)}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.shape.cut", self.axis, self.start, self.stop, self.step)


class Detach(Node):
    """The identity, without a way back for gradients.

    What comes before learns nothing from what comes after. Any shape.
    """

    category = PLUMBING
    stops_gradient = True
    aliases = ("stop gradient", "stop_gradient", "block", "остановить градиент")
    passes = True
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.detach")


class Identity(Node):
    """Its input, unchanged: a place to name or to watch.

    Any shape.
    """

    category = PLUMBING
    aliases = ("pass through", "reroute", "тождество")
    passes = True
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Module("torch.nn.Identity")


class OneHot(Node):
    """Labels as rows of zeros with a 1 at the label.

    N labels in 0 … classes − 1 → N classes.
    """

    category = PLUMBING
    stops_gradient = True
    classes_from = "classes"
    aliases = ("class code", "indicator", "condition", "код класса")
    labels = Input("N", kind="labels")
    y = Output("N classes")
    classes: int = Param(min=1, max=1_000_000)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.shape.one_hot", self.classes)


class OtherLabels(Node):
    """For each label another one, drawn once and for all: what an attack wants to be read.

    Szegedy et al., Intriguing Properties of Neural Networks, ICLR 2014. N labels in
    0 … classes − 1 → as many, none of them the same.
    """

    category = PLUMBING
    stops_gradient = True
    classes_from = "classes"
    aliases = ("target class", "wrong label", "targeted attack", "чужая метка")
    labels = Input("N", kind="labels")
    other = Output("N", kind="labels", classes="classes")
    classes: int = Param(10, min=2, max=1_000_000)
    seed: int = Param(0, min=0, max=1_000_000, doc="of the choice, apart from that of the run")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.shape.other_labels", self.classes, self.seed)


class Hits(Node):
    """1 for each example whose highest score is at the label, and 0 for the others.

    Logits (or probabilities) N K, labels N → N. Its mean is the accuracy.
    """

    category = PLUMBING
    stops_gradient = True
    classes_from = "K"
    aliases = ("correct", "success", "argmax", "per-example accuracy", "попадания")
    logits = Input("N K")
    labels = Input("N", kind="labels")
    y = Output("N")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.metrics.hits")


class _Made(Node):
    """A tensor without inputs."""

    category = PLUMBING

    @property
    def numbers(self) -> Shape:
        """The shape of the tensor."""
        raise NotImplementedError

    def shapes(self, inputs: Mapping[str, Any]) -> dict[str, Shape]:
        return {"value": self.numbers}


class Constant(_Made):
    """A tensor that holds one number everywhere and does not learn.

    A scalar, or any `shape`, whose first axis is the batch.
    """

    aliases = ("fill", "ones", "zeros", "константа")
    value = Output("...")
    number: float = Param(0.0)
    shape: tuple[int, ...] = Param((), min=1, max=LONGEST, doc="a scalar if left out")

    @property
    def numbers(self) -> Shape:
        return self.shape

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.parameter.Constant", self.number, self.shape)


class Linspace(_Made):
    """Numbers at equal distances from start to stop, one for each example.

    All angles of a turn, a slide from one code to another. N 1, with N = steps.
    """

    aliases = ("arange", "range", "sweep", "interpolation", "ряд", "интерполяция")
    value = Output("...")
    start: float = Param(0.0)
    stop: float = Param(1.0)
    steps: int = Param(8, min=1, max=LONGEST)

    @property
    def numbers(self) -> Shape:
        return (self.steps, 1)

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.parameter.Linspace", self.start, self.stop, self.steps)


class Checkerboard(_Made):
    """1 and 0 by turns along every axis: which numbers a coupling layer keeps, and which it moves.

    1 where the sum of the indices is even; where it is odd with `odd`. Dinh, Sohl-Dickstein,
    Bengio, Density Estimation Using Real NVP, ICLR 2017. Any `shape` of one example, without the
    batch; a row of numbers is masked at every other place.
    """

    aliases = ("mask", "coupling", "RealNVP", "NICE", "parity", "even and odd", "шахматная маска")
    value = Output("...")
    shape: tuple[int, ...] = Param((2,), min=1, max=LONGEST, doc="of one example")
    odd: bool = Param(False)

    @property
    def numbers(self) -> Shape:
        return self.shape

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.parameter.Checkerboard", self.shape, **self.changed("odd"))


class ChannelMask(_Made):
    """1 in the first half of the channels, 0 in the other: which maps a coupling layer keeps.

    The other way round with `odd`. Dinh, Sohl-Dickstein, Bengio, Density Estimation Using Real NVP,
    ICLR 2017, after a squeeze (PixelUnshuffle). A `shape` C H W of one example, with C even.
    """

    aliases = ("mask", "coupling", "RealNVP", "channel-wise", "маска каналов")
    value = Output("...")
    shape: tuple[int, ...] = Param((4, 14, 14), min=1, max=LONGEST, doc="of one example")
    odd: bool = Param(False)

    def __post_init__(self) -> None:
        if self.shape[0] % 2:
            raise ValueError(f"shape has {self.shape[0]} channels, which have no half")

    @property
    def numbers(self) -> Shape:
        return self.shape

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.parameter.ChannelMask", self.shape, **self.changed("odd"))


class UnitVector(Node):
    """A row with a number at one place and 0 elsewhere.

    The code of one class; or, added to a layer, what changes one of its neurons. batch size: the
    same row for each example; one row broadcasts.
    """

    category = PLUMBING
    aliases = ("one-hot", "basis vector", "one neuron", "class code", "единичный вектор", "нейрон")
    number = Input("", default=1.0, kind="scalar")
    y = Output("batch size")
    size: int = Param(min=1, max=LONGEST)
    index: int = Param(0, min=0, max=LONGEST)
    batch: int = Param(1, min=1, max=LONGEST)

    def __post_init__(self) -> None:
        if self.index >= self.size:
            raise ValueError(f"index expects less than the size {self.size}, not {self.index}")

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.parameter.UnitVector", self.size, self.index, self.batch)


class Parameter(_Made):
    """A tensor that learns: an image that is optimised, a scale, the point of a race.

    Mahendran & Vedaldi, Understanding Deep Image Representations by Inverting Them, CVPR 2015, for
    the image. A scalar, or any `shape`, such as [1, 3, 64, 64]. `init` is zeros, ones, constant c,
    normal s (N(0, s)), uniform r (−r … r), or all numbers: values 1 1.5.
    """

    aliases = ("variable", "trainable tensor", "image as parameter", "trainable", "параметр")
    value = Output("...")
    shape: tuple[int, ...] = Param((), min=1, max=LONGEST, doc="a scalar if left out")
    init: Text = Param("zeros", doc="zeros, ones, constant 0.5, normal 0.1, uniform 1, values 1 2")
    double: bool = Param(False, doc="numbers of 64 bits, for races that are told apart by digits")

    def __post_init__(self) -> None:
        if not checked(self.init, TENSORS):
            raise ValueError("init expects zeros, ones, constant 0.5, normal 0.1 or uniform 1")
        there, wanted = len(numbers_of(self.init)), math.prod(self.shape)
        if self.init.startswith("values") and there != wanted:
            raise ValueError(f"init has {there} values, shape {wanted}")

    @property
    def numbers(self) -> Shape:
        return self.shape

    def weights(self, at: Axes) -> dict[str, Shape]:
        return {"value": self.shape}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("double")
        return Module(".ops.parameter.Parameter", self.shape, self.init, **more)


class NoiseLike(Node):
    """Random numbers of the shape of what flows in, new at each call.

    For a network that takes images of any size, and noise beside them: Ulyanov, Lebedev, Vedaldi,
    Lempitsky, Texture Networks, ICML 2016. Any shape.
    """

    category = PLUMBING
    aliases = ("noise", "rand_like", "latent", "random", "шум")
    stateful = True
    stops_gradient = True
    x = Input("...")
    y = Output("...")
    distribution: Literal["uniform", "normal"] = Param("uniform", doc="in 0 … 1, or N(0, 1)")

    def recipe(self, at: Axes) -> Recipe:
        return Function(f"torch.rand{'n' if self.distribution == 'normal' else ''}_like")


class GaussianNoise(Node):
    """Adds normal noise: x + std · ε, ε from N(0, 1); while training, or always.

    Sønderby et al., Amortised MAP Inference for Image Super-Resolution, ICLR 2017, for the noise
    that steadies a discriminator. Any shape; std may follow a schedule.
    """

    category = PLUMBING
    aliases = ("instance noise", "additive noise", "reparameterisation", "шум")
    stateful = True
    x = Input("...")
    std = Input("", default=0.1, kind="scalar", min=0.0)
    y = Output("...")
    always: bool = Param(False, doc="in evaluation too")

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.gaussian_noise.GaussianNoise", **self.changed("always"))
