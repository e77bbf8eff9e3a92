"""Losses: what an optimiser can minimise.

`reduction` says how the numbers of all examples become one: their `mean`, their `sum`, or not at
all (`per example`: one number for each, summed over the example's other axes).
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

from nodegraph.node import Axes, Function, Input, Loss, Mismatch, Output, Param, Recipe, Shape

Reduction = Literal["mean", "sum", "per example"]


class _Reduced(Loss):
    """A loss whose `reduction` may leave the examples apart."""

    loss = Output("", kind="loss")
    reduction: Reduction = Param("mean", doc="over examples; always written out")

    def shapes(self, inputs: Mapping[str, Any]) -> dict[str, Shape]:
        at = self.bind(inputs)
        return {"loss": (self.examples(at),) if self.reduction == "per example" else ()}

    def examples(self, at: Axes) -> int:
        """The length of the batch."""
        if "N" in vars(at):
            return at.N
        return at.rest[0] if at.rest else 1


class _Elementwise(_Reduced):
    """A distance of torch between tensors of the same shape."""

    compares = ("x", "target")
    distance = True
    x = Input("...")
    target = Input("...")

    def function(self) -> tuple[str, dict[str, Any]]:
        """The name in torch.nn.functional, and options."""
        raise NotImplementedError

    def recipe(self, at: Axes) -> Recipe:
        name, more = self.function()
        if self.reduction == "per example":
            return Function(".ops.losses.per_example", name, **more)
        return Function(f"torch.nn.functional.{name}", reduction=self.reduction, **more)

    def gathers(self, at: Axes) -> float:
        if self.reduction == "mean":
            return 1.0
        return float(math.prod(at.rest[1:] if self.reduction == "per example" else at.rest))


class CrossEntropy(_Reduced):
    """How surprised the scores are by the labels: −log softmax(logits)[label].

    Bridle, Probabilistic Interpretation of Feedforward Classification Network Outputs, 1990.
    Logits N K, before a softmax; labels N in 0 … K − 1. Smoothing ε mixes the label with the
    uniform distribution: Szegedy et al., Rethinking the Inception Architecture, CVPR 2016.
    """

    classes_from = "K"
    aliases = ("softmax loss", "log loss", "classification", "кросс-энтропия", "энтропия")
    logits = Input("N K", logits=True)
    labels = Input("N", kind="labels")
    label_smoothing: float = Param(0.0, min=0.0, max=1.0)

    def recipe(self, at: Axes) -> Recipe:
        reduction = "none" if self.reduction == "per example" else self.reduction
        more = self.changed("label_smoothing")
        return Function("torch.nn.functional.cross_entropy", reduction=reduction, **more)


class NLL(_Reduced):
    """The negative log-likelihood: −log_p[label], from log-probabilities.

    CrossEntropy is LogSoftmax followed by this. log_p N K, labels N in 0 … K − 1.
    """

    classes_from = "K"
    aliases = ("negative log-likelihood", "правдоподобие")
    log_p = Input("N K")
    labels = Input("N", kind="labels")

    def recipe(self, at: Axes) -> Recipe:
        reduction = "none" if self.reduction == "per example" else self.reduction
        return Function("torch.nn.functional.nll_loss", reduction=reduction)


class BCEWithLogits(_Reduced):
    """Binary cross-entropy of logits: −t log σ(x) − (1 − t) log(1 − σ(x)).

    Computed as softplus(x) − t·x, which does not overflow. With target 1 it is the loss of a
    generator that does not saturate: Goodfellow et al., Generative Adversarial Nets, NIPS 2014.
    Logits of any shape; target a number (0.9 is one-sided smoothing) or a tensor of that shape.
    """

    aliases = ("BCE", "logistic loss", "GAN loss", "domain loss", "real or fake", "логистическая")
    logits = Input("...", logits=True)
    target = Input("...", default=1.0, min=0.0, max=1.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.losses.bce_with_logits", reduction=self.reduction)


class BCE(_Reduced):
    """Binary cross-entropy of probabilities: −t log p − (1 − t) log(1 − p).

    Also the pixel loss of an autoencoder that ends in a Sigmoid; BCEWithLogits is safer. p in 0 … 1
    of any shape; target a number or a tensor of that shape.
    """

    aliases = ("binary cross-entropy", "Bernoulli", "бинарная кросс-энтропия")
    p = Input("...", min=0.0, max=1.0)
    target = Input("...", default=1.0, min=0.0, max=1.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.losses.bce", reduction=self.reduction)


class MSE(_Elementwise):
    """Squared error: (x − target)², the mean over all numbers, or their sum.

    Legendre, Nouvelles méthodes, 1805. Two tensors of the same shape.
    """

    aliases = ("mean squared error", "L2", "Euclidean loss", "reconstruction", "квадратичная")

    def function(self) -> tuple[str, dict[str, Any]]:
        return "mse_loss", {}


class L1(_Elementwise):
    """Absolute error: |x − target|, the mean over all numbers, or their sum.

    Boscovich, 1757. Two tensors of the same shape. Blurs less than the squared error.
    """

    aliases = ("mean absolute error", "MAE", "Manhattan", "модуль")

    def function(self) -> tuple[str, dict[str, Any]]:
        return "l1_loss", {}


class SmoothL1(_Elementwise):
    """Squared error d²/(2·beta) for |d| < beta, |d| − beta/2 beyond.

    Girshick, Fast R-CNN, ICCV 2015. Two tensors of the same shape.
    """

    aliases = ("robust loss",)
    beta: float = Param(1.0, min=1e-9, max=1e9, doc="where the parabola becomes a line")

    def function(self) -> tuple[str, dict[str, Any]]:
        return "smooth_l1_loss", self.changed("beta")


class Huber(_Elementwise):
    """Squared error d²/2 for |d| < delta, delta·(|d| − delta/2) beyond.

    Huber, Robust Estimation of a Location Parameter, 1964. Two tensors of the same shape.
    """

    aliases = ("robust loss", "Хьюбер")
    delta: float = Param(1.0, min=1e-9, max=1e9, doc="where the parabola becomes a line")

    def function(self) -> tuple[str, dict[str, Any]]:
        return "huber_loss", self.changed("delta")


class Hinge(_Reduced):
    """How far x stays below a margin: max(0, margin − x).

    Zhao, Mathieu, LeCun, Energy-based Generative Adversarial Network, ICLR 2017: [m − E(fake)]₊.
    x of any shape, margin a number.
    """

    aliases = ("margin loss", "EBGAN", "SVM", "отступ")
    margin_in = "margin"
    x = Input("...")
    margin = Input("", default=1.0, min=0.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.losses.hinge", reduction=self.reduction)


class KLDivergence(_Reduced):
    """How far Gaussian codes are from N(0, I): −½ Σ (1 + log σ² − μ² − σ²), summed over an example.

    Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014. mu and logvar N D. `mean` is over
    examples, so it goes with a reconstruction loss that is summed over pixels.
    """

    aliases = ("VAE", "Kullback-Leibler", "variational", "дивергенция", "КЛ")
    mu = Input("N ...")
    logvar = Input("N ...")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.losses.kl_divergence", reduction=self.reduction)


class PullingAway(Loss):
    """How alike the codes of a batch are: the mean squared cosine between two of them.

    PT = 1 / (N (N − 1)) Σᵢ Σ_{j≠i} (Sᵢᵀ Sⱼ / (‖Sᵢ‖ ‖Sⱼ‖))², from 0 (orthogonal) to 1 (all along one
    line). A generator that minimises it makes its samples differ.

    Zhao, Mathieu, LeCun, Energy-based Generative Adversarial Network, ICLR 2017. Codes N D with
    N > 1; of random ones it is about 1 / D, of codes after a rectifier far more.
    """

    aliases = ("PT", "repelling regularizer", "EBGAN-PT", "diversity", "mode collapse")
    codes = Input("N D")
    loss = Output("", kind="loss")

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        if getattr(at, "N", 2) < 2:
            raise Mismatch("codes are of one example, which has no other to differ from",
                           "use a larger batch")  # fmt: skip
        return at

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.losses.pulling_away")
