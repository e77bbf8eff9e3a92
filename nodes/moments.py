"""Distances between distributions, from a sample of each."""

import math
from typing import Literal

from nodegraph.node import Axes, Function, Input, Loss, Output, Param, Recipe, Shape


class MMD(Loss):
    """Maximum mean discrepancy: how far apart two samples are, in all moments at once.

    MMD² = mean k(x,x') + mean k(y,y') − 2 mean k(x,y), with k(x,y) = Σ exp(−‖x − y‖² / (2σ)) over
    `sigmas`, each a variance, or a length (σ² in its place).

    Li, Swersky, Zemel, Generative Moment Matching Networks, ICML 2015; Gretton et al., A Kernel
    Two-Sample Test, JMLR 2012. x N D, y M D. `unbiased` leaves out the pairs x = x', and may be
    below 0; `root` gives √(MMD² + 10⁻⁸), which pulls harder when the samples are close.
    """

    aliases = ("GMMN", "moment matching", "kernel distance", "two-sample", "моменты")
    compares = ("x", "y")
    x = Input("N D")
    y = Input("M D")
    loss = Output("", kind="loss")
    sigmas: tuple[float, ...] = Param((2.0, 5.0, 10.0, 20.0, 40.0, 80.0), min=1e-12, max=1e12)
    sigma_is: Literal["variance", "length"] = Param("variance")
    estimator: Literal["biased", "unbiased"] = Param("biased")
    root: bool = Param(False)

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("sigma_is", "estimator", "root")
        return Function(".ops.moments.mmd", self.sigmas, **more)

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        return (at.N + at.M) ** 2 * at.D

    def kernel_widths(self) -> tuple[float, ...]:
        return tuple(s if self.sigma_is == "variance" else s**2 for s in self.sigmas)

    def kernel_for(self, squared: float) -> str:
        return f"sigmas: [{squared if self.sigma_is == 'variance' else math.sqrt(squared):.3g}]"
