"""Arithmetic on tensors: between two, of each element, sums and means."""

import math
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, Literal

from nodegraph.node import (
    Axes,
    Function,
    Input,
    Mismatch,
    Node,
    Output,
    Param,
    Recipe,
    Shape,
    show,
)

ARITHMETIC = "arithmetic"
LONGEST = 1_000_000


def broadcast(one: Shape, other: Shape) -> Shape:
    """The shape of an element-wise result: a missing axis or one of length 1 is repeated."""
    pairs = list(zip_longest(reversed(one), reversed(other), fillvalue=1))
    if any(p != q and 1 not in (p, q) for p, q in pairs):
        raise Mismatch(
            f"{show(one)} and {show(other)} do not broadcast",
            "axes are compared from the right: they must be equal, or one of them 1",
        )
    return tuple(q if p == 1 else p for p, q in reversed(pairs))


class _Broadcast(Node):
    """An element-wise function of its inputs, each repeated along axes that it lacks."""

    category = ARITHMETIC

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        shape: Shape = ()
        for name in self.inputs:
            shape = broadcast(shape, tuple(inputs.get(name, ())))
        at = Axes()
        at.rest = shape
        return at


class Add(_Broadcast):
    """a + b, element by element.

    Two inputs of the same shape, or that broadcast: axes from the right are equal or 1.
    """

    aliases = ("+", "plus", "sum", "residual", "skip connection", "сложение", "добавить", "плюс")
    a = Input("...")
    b = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.add")


class Sub(_Broadcast):
    """a − b, element by element.

    Two inputs of the same shape, or that broadcast: axes from the right are equal or 1.
    """

    aliases = ("-", "−", "minus", "subtract", "difference", "вычитание", "минус")
    a = Input("...")
    b = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.sub")


class Mul(_Broadcast):
    """a · b, element by element.

    Two inputs of the same shape, or that broadcast: axes from the right are equal or 1.
    """

    aliases = (
        "*", "×", "·", "times", "multiply", "product", "mask", "gate", "умножение", "умножить",
    )  # fmt: skip
    a = Input("...")
    b = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.mul")


class Div(_Broadcast):
    """a / b, element by element.

    Two inputs of the same shape, or that broadcast: axes from the right are equal or 1.
    """

    aliases = ("/", "÷", "divide", "quotient", "ratio", "деление", "разделить")
    a = Input("...")
    b = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.div")


class Scale(_Broadcast):
    """x · factor: a fixed number, or one that follows a schedule.

    Any shape; factor a scalar.
    """

    aliases = ("weight", "multiply by", "gain", "масштаб")
    scales_by = "factor"
    x = Input("...")
    factor = Input("", default=1.0, kind="scalar")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.mul")


class Shift(_Broadcast):
    """x + amount: a fixed number, or one that follows a schedule.

    Any shape; amount a scalar.
    """

    aliases = ("offset", "add constant", "bias", "сдвиг")
    x = Input("...")
    amount = Input("", default=0.0, kind="scalar")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.add")


class Power(Node):
    """x to a fixed power: xᵖ.

    Any shape. A power that is not whole needs x ≥ 0.
    """

    category = ARITHMETIC
    aliases = ("^", "**", "exponent", "степень")
    x = Input("...")
    y = Output("...")
    p: float = Param(2.0, min=-100.0, max=100.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.pow", self.p)


class Abs(Node):
    """|x|, element by element.

    Any shape.
    """

    category = ARITHMETIC
    aliases = ("|x|", "absolute value", "modulus", "модуль")
    distance = True
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.abs")


class Sqrt(Node):
    """√(x + eps), element by element; eps keeps the gradient finite at 0.

    Any shape, x ≥ 0.
    """

    category = ARITHMETIC
    aliases = ("√", "square root", "корень")
    x = Input("...")
    y = Output("...")
    eps: float = Param(1e-8, min=0.0, max=1.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.arithmetic.root", self.eps)


class Square(Node):
    """x², element by element.

    Any shape.
    """

    category = ARITHMETIC
    aliases = ("²", "squared", "квадрат")
    distance = True
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.square")


class Exp(Node):
    """eˣ, element by element.

    Any shape. √(eˣ) with x = log σ² is a standard deviation: Scale by ½ before.
    """

    category = ARITHMETIC
    aliases = ("exponential", "экспонента")
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.exp")


class Log(Node):
    """log(x + eps), element by element.

    Any shape, x ≥ 0. For probabilities prefer LogSoftmax or a loss on logits.
    """

    category = ARITHMETIC
    aliases = ("logarithm", "логарифм")
    x = Input("...")
    y = Output("...")
    eps: float = Param(1e-8, min=0.0, max=1.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.arithmetic.logarithm", self.eps)


class Sin(Node):
    """The sine of x, element by element.

    Any shape, in radians: a turn in degrees goes through Scale by π/180 = 0.0174532925.
    """

    category = ARITHMETIC
    aliases = ("sine", "angle", "azimuth", "синус", "угол")
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.sin")


class Cos(Node):
    """The cosine of x, element by element.

    Any shape, in radians: a turn in degrees goes through Scale by π/180 = 0.0174532925.
    """

    category = ARITHMETIC
    aliases = ("cosine", "angle", "azimuth", "косинус", "угол")
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.cos")


class Clamp(Node):
    """x cut off below `low` and above `high`.

    Any shape. The gradient is 0 where it cuts.
    """

    category = ARITHMETIC
    aliases = ("clip", "limit", "projection", "ограничение")
    x = Input("...")
    y = Output("...")
    low: float = Param(0.0)
    high: float = Param(1.0)

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low} expects to be at most high, {self.high}")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.clamp", self.low, self.high)


class MatMul(Node):
    """The matrix product a b of two activations.

    a … I K, b … K J → … I J. For a product with learned weights take Linear.
    """

    category = ARITHMETIC
    aliases = ("@", "matrix product", "dot product", "умножение матриц")
    a = Input("... I K")
    b = Input("... K J")
    y = Output("... I J")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.matmul")

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        return math.prod(out) * at.K


class Transpose(Node):
    """A matrix turned over: rows become columns.

    … I J → … J I, for the last two axes of anything.
    """

    category = ARITHMETIC
    aliases = ("T", "swap axes", "matrix", "транспонирование")
    x = Input("... I J")
    y = Output("... J I")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.transpose", -1, -2)


class Threshold(Node):
    """1 where x is above a number, and 0 elsewhere: x > at. No gradient passes.

    Any shape. Binarises a picture; above uniform noise in 0 … 1 a probability becomes a draw.
    """

    category = ARITHMETIC
    stops_gradient = True
    aliases = ("binarise", "step function", "Heaviside", "greater", "sign", "порог", "бинаризация")
    x = Input("...")
    y = Output("...")
    at: float = Param(0.5)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.arithmetic.threshold", self.at)


class PrincipalAxes(Node):
    """The directions in which data vary most: the first eigenvectors of their covariance.

    C v = λ v, by falling λ; each v is of length 1, its largest number positive. Projections on them
    are principal components (PCA). Pearson, On Lines and Planes of Closest Fit to Systems of
    Points in Space, 1901. A covariance or correlation D D → D count; no gradient passes.
    """

    category = ARITHMETIC
    stops_gradient = True
    aliases = ("PCA", "principal components", "eigenvectors", "subspace", "главные компоненты")
    covariance = Input("D D")
    axes = Output("D count")
    count: int = Param(2, min=1, max=65536, doc="how many")

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        if "D" in vars(at) and self.count > at.D:
            raise Mismatch(f"count is {self.count}, covariance has {at.D} directions")
        return at

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.arithmetic.principal_axes", self.count)

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        return at.D**3


class _Over(Node):
    """A sum or mean over some of the axes."""

    category = ARITHMETIC
    x = Input("...")
    y = Output("...")
    axes: Literal["all", "features", "spatial", "batch"] = Param("all", doc="which are summed over")

    def over(self, at: Axes) -> tuple[int, ...]:
        """The axes that go."""
        rank = len(at.rest)
        wanted = {
            "all": range(rank),
            "features": range(1, rank),
            "spatial": range(rank - 2, rank),
            "batch": range(min(rank, 1)),
        }[self.axes]
        if self.axes == "spatial" and rank < 3 or not wanted and self.axes != "all":
            raise Mismatch(f"x is {show(at.rest)}, which has no {self.axes} axes")
        return tuple(wanted)

    def shapes(self, inputs: Mapping[str, Any]) -> dict[str, Shape]:
        at = self.bind(inputs)
        gone = self.over(at)
        return {"y": tuple(n for axis, n in enumerate(at.rest) if axis not in gone)}

    def recipe(self, at: Axes) -> Recipe:
        name = f"torch.{type(self).__name__.lower()}"
        return Function(name) if self.axes == "all" else Function(name, dim=self.over(at))


class Sum(_Over):
    """The sum over all numbers, or over some axes.

    N … → a scalar (`all`), N (`features`: all but the batch), N C (`spatial`: the last two), or
    the shape of one example (`batch`).
    """

    aliases = ("Σ", "∑", "total", "reduce", "сумма")

    def gathers(self, at: Axes) -> float:
        return float(math.prod(at.rest[axis] for axis in self.over(at)))


class Mean(_Over):
    """The mean of all numbers, or over some axes.

    N … → a scalar (`all`), N (`features`: all but the batch), N C (`spatial`: the last two), or
    the shape of one example (`batch`).
    """

    aliases = ("average", "reduce", "среднее")

    def gathers(self, at: Axes) -> float:
        return 1.0


class WeightedSum(Node):
    """Losses times factors, added: Σ factorᵢ · lossᵢ.

    Any number of scalars, in the order of their links, and as many factors.
    """

    category = ARITHMETIC
    aliases = ("total loss", "combine losses", "lambda", "взвешенная сумма")
    losses = Input("", kind="loss", many=True)
    loss = Output("", kind="loss")
    factors: tuple[float, ...] = Param(doc="one for each loss")

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        links = len(inputs.get("losses", ()))
        if links != len(self.factors):
            raise Mismatch(f"losses has {links} links, factors has {len(self.factors)} numbers")
        return super().bind(inputs)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.arithmetic.weighted_sum", self.factors)
