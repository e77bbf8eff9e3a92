"""Metrics: numbers to watch, over the held-out data."""

from collections.abc import Mapping
from typing import Any

from nodegraph.node import Axes, Function, Input, Metric, Mismatch, Output, Param, Recipe


class Accuracy(Metric):
    """The share of examples whose highest score is at the label.

    Logits (or probabilities) N K, labels N.
    """

    classes_from = "K"
    aliases = ("correct", "precision", "точность")
    logits = Input("N K")
    labels = Input("N", kind="labels")
    value = Output("", kind="scalar")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.metrics.accuracy")


class BinaryAccuracy(Metric):
    """The share of logits on the target's side of 0: above for target 1, else below.

    Logits of any shape, before a sigmoid; target a number or a tensor of that shape. For a
    discriminator or domain classifier: 0.5 is chance when both sides are watched.
    """

    aliases = ("domain accuracy", "discriminator accuracy", "точность")
    logits = Input("...", logits=True)
    target = Input("...", default=1.0, min=0.0, max=1.0)
    value = Output("", kind="scalar")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.metrics.binary_accuracy")


class TopKAccuracy(Metric):
    """The share of examples whose label is among the k highest scores.

    Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015, with k = 5.
    Logits N K, labels N.
    """

    classes_from = "K"
    aliases = ("top-5", "top5", "точность")
    logits = Input("N K")
    labels = Input("N", kind="labels")
    value = Output("", kind="scalar")
    k: int = Param(5, min=1, max=1_000_000)

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        if "K" in vars(at) and self.k > at.K:
            raise Mismatch(f"k is {self.k}, logits has {at.K} classes")
        return at

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.metrics.top_k_accuracy", self.k)


class Confusion(Metric):
    """How often each class (row) is taken for each class (column).

    Logits N K, labels N → counts K K, summed over the held-out data.
    """

    classes_from = "K"
    aliases = ("confusion matrix", "матрица ошибок")
    total = True
    logits = Input("N K")
    labels = Input("N", kind="labels")
    value = Output("K K")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.metrics.confusion")


class MeanAbsoluteError(Metric):
    """The mean of |x − target|.

    Two tensors of the same shape.
    """

    aliases = ("MAE", "error", "средняя ошибка")
    low_is_good = True
    x = Input("...")
    target = Input("...")
    value = Output("", kind="scalar")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.l1_loss", reduction="mean")


class MaxAbsoluteError(Metric):
    """The largest |x − target|: how far apart two tensors are where they differ most.

    Two tensors of the same shape; over several batches, the mean of their largest.
    """

    aliases = ("largest difference", "max error", "L∞", "Chebyshev", "наибольшая разность")
    low_is_good = True
    x = Input("...")
    target = Input("...")
    value = Output("", kind="scalar")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.metrics.max_absolute_error")


class IoU(Metric):
    """How well two masks cover each other: |A ∩ B| / |A ∪ B|, the mean over examples.

    Jaccard, 1901. Two tensors N …, a pixel belongs to a mask where it is above `threshold`.
    """

    aliases = ("intersection", "union", "Jaccard", "segmentation", "маска", "мера Жаккара")
    mask = Input("N ...")
    target = Input("N ...")
    value = Output("", kind="scalar")
    threshold: float = Param(0.5)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.metrics.iou", self.threshold)


class Value(Metric):
    """The mean of a tensor: a loss on held-out data, or any number of a graph.

    Any shape; a scalar is itself.
    """

    aliases = ("watch", "scalar", "validation loss", "значение")
    low_is_good = True
    x = Input("...")
    value = Output("", kind="scalar")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.mean")


class Spread(Metric):
    """How much examples differ: the standard deviation over the batch, averaged over positions.

    Near 0 when a generator has collapsed onto one picture. N …, with N > 1.
    """

    aliases = ("diversity", "mode collapse", "standard deviation", "разброс")
    x = Input("N ...")
    value = Output("", kind="scalar")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.metrics.spread")
