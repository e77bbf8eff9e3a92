"""Textures and the inversion of features: statistics and losses on images."""

from collections.abc import Mapping
from typing import Any, Literal

from nodegraph.node import Axes, Function, Input, Loss, Mismatch, Node, Output, Param, Recipe, Shape


class Gram(Node):
    """How maps go together, wherever in the image: G = F Fᵀ / M, with F the maps as rows.

    Gatys, Ecker, Bethge, Texture Synthesis Using Convolutional Neural Networks, NIPS 2015.
    N C H W → N C C; M = H·W positions, times C if `by_channels`. In float32 at least.
    """

    category = "textures"
    aliases = ("Gram matrix", "style", "texture statistics", "correlation", "матрица Грама")
    x = Input("N C H W")
    y = Output("N C C")
    by_channels: bool = Param(False, doc="divide by the number of maps too")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.textures.gram", **self.changed("by_channels"))

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        return at.N * at.C * at.C * at.H * at.W


class RelativeError(Loss):
    """Squared distance in units of the target: ‖x − t‖² / ‖t‖² of each example.

    Mahendran & Vedaldi, Understanding Deep Image Representations by Inverting Them, CVPR 2015.
    Two tensors N …; a target with one example serves all.
    """

    aliases = ("normalised error", "feature distance", "content loss", "относительная ошибка")
    x = Input("N ...")
    target = Input("M ...")
    loss = Output("", kind="loss")
    reduction: Literal["mean", "sum", "per example"] = Param(
        "mean", doc="over examples; always written out"
    )

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        if {"N", "M"} <= vars(at).keys() and at.M not in (1, at.N):
            raise Mismatch(f"target has {at.M} examples, x has {at.N}", "give one, or as many")
        return at

    def shapes(self, inputs: Mapping[str, Any]) -> dict[str, Shape]:
        at = self.bind(inputs)
        return {"loss": (at.N,) if self.reduction == "per example" else ()}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.textures.relative_error", reduction=self.reduction)


class TotalVariation(Loss):
    """How rough an image is: Σ ((∂x)² + (∂y)²)^(beta/2), over forward differences.

    Rudin, Osher, Fatemi, Nonlinear Total Variation Based Noise Removal, Physica D, 1992; with beta:
    Mahendran & Vedaldi, CVPR 2015. N C H W; differences across the border are 0. `mean` divides by
    the count of all numbers.
    """

    aliases = ("TV", "smoothness", "regulariser", "полная вариация")
    x = Input("N C H W")
    loss = Output("", kind="loss")
    beta: float = Param(2.0, min=0.1, max=10.0)
    reduction: Literal["mean", "sum", "per example"] = Param(
        "mean", doc="over all numbers; always written out"
    )

    def shapes(self, inputs: Mapping[str, Any]) -> dict[str, Shape]:
        at = self.bind(inputs)
        return {"loss": (at.N,) if self.reduction == "per example" else ()}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.textures.total_variation", self.beta, reduction=self.reduction)
