"""Noise: what a generator makes its images from."""

import math
from typing import Literal

from nodegraph.node import (
    Axes,
    Function,
    Input,
    Module,
    Node,
    Output,
    Param,
    Recipe,
    Shape,
    Source,
)


class Noise(Source):
    """Random numbers, new at every draw: the code that a generator starts from.

    `uniform` in low … high; `normal` with mean 0 and deviation 1; `sphere`: a random direction of
    length √d. Goodfellow et al., Generative Adversarial Nets, NIPS 2014, take ±√3: variance 1.
    N shape; with a `factor`, `shape` C H W is of a picture, and the noise that of a coarser scale:
    N C ⌈H/factor⌉ ⌈W/factor⌉.
    """

    aliases = ("latent", "code", "z", "random", "prior", "шум", "латентный код")
    z = Output("N ...")
    shape: tuple[int, ...] = Param((100,), min=1, max=1_000_000, doc="of one example")
    batch: int = Param(64, min=1, max=65536)
    distribution: Literal["normal", "uniform", "sphere"] = Param("normal")
    low: float = Param(-1.0, doc="of uniform")
    high: float = Param(1.0, doc="of uniform")
    factor: int = Param(1, min=1, max=1024, doc="how many times smaller all axes are but the first")

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low} expects to be at most high, {self.high}")
        if math.prod(self.shape) > 2**31:
            raise ValueError(f"shape has {math.prod(self.shape)} numbers, at most 2³¹ are possible")

    def shapes(self, inputs: object) -> dict[str, Shape]:
        return {"z": (self.batch, *self.drawn())}

    def drawn(self) -> tuple[int, ...]:
        """The shape of one example."""
        first, *rest = self.shape
        return (first, *(-(-size // self.factor) for size in rest))

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("distribution", "low", "high")
        return Module(".ops.noise.Noise", self.drawn(), batch=self.batch, **more)


class Slerp(Node):
    """A way from code to code along a great circle: sin((1 − t)Ω)/sin Ω · a + sin(tΩ)/sin Ω · b.

    Ω is the angle between them; where it is almost 0, the straight line. Normal codes of many
    dimensions lie near a sphere, and a straight line between them runs through its empty inside.
    Shoemake, Animating Rotation with Quaternion Curves, SIGGRAPH 1985; White, Sampling Generative
    Networks, 2016. a and b 1 …, cut out by Slice; t T 1, such as a Linspace → T ….
    """

    category = "arithmetic"
    aliases = ("interpolation", "great circle", "latent walk", "lerp", "интерполяция")
    a = Input("1 ...")
    b = Input("1 ...")
    t = Input("T 1")
    y = Output("T ...")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.noise.slerp")
