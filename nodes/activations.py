"""Activations: element-wise functions, and those over the classes."""

from typing import Any

from nodegraph.node import Axes, Function, Input, Mismatch, Node, Output, Param, Recipe

ACTIVATION = "activations"


class ReLU(Node):
    """Rectifier: max(x, 0).

    Nair & Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines, ICML 2010.
    Any shape.
    """

    category = ACTIVATION
    aliases = ("rectifier", "nonlinearity", "нелинейность", "релу")
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.relu")


class LeakyReLU(Node):
    """A rectifier that lets a little through: x if x > 0, else slope · x.

    Maas, Hannun, Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models, ICML 2013.
    Any shape.
    """

    category = ACTIVATION
    aliases = ("lrelu", "leaky rectifier", "нелинейность")
    x = Input("...")
    y = Output("...")
    slope: float = Param(0.01, min=0.0, max=1.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.leaky_relu", self.slope)


class ELU(Node):
    """A smooth rectifier: x if x > 0, else alpha · (eˣ − 1).

    Clevert, Unterthiner, Hochreiter, Fast and Accurate Deep Network Learning by Exponential Linear
    Units, ICLR 2016. Any shape.
    """

    category = ACTIVATION
    aliases = ("exponential linear unit", "нелинейность")
    x = Input("...")
    y = Output("...")
    alpha: float = Param(1.0, min=0.0, max=100.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.elu", self.alpha)


class GELU(Node):
    """A smooth rectifier: x · Φ(x), with Φ the normal distribution function.

    Hendrycks & Gimpel, Gaussian Error Linear Units, 2016. Any shape.
    """

    category = ACTIVATION
    aliases = ("Gaussian error linear unit", "нелинейность")
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.gelu")


class SiLU(Node):
    """A smooth rectifier: x · σ(x), also called swish.

    Elfwing, Uchibe, Doya, Sigmoid-Weighted Linear Units, Neural Networks, 2018. Any shape.
    """

    category = ACTIVATION
    aliases = ("swish", "нелинейность")
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.silu")


class Softplus(Node):
    """A smooth rectifier: log(1 + eˣ).

    Dugas et al., Incorporating Second-Order Functional Knowledge for Better Option Pricing,
    NIPS 2001. −log σ(x) = softplus(−x), which is how losses on logits are written. Any shape.
    """

    category = ACTIVATION
    aliases = ("smooth rectifier", "нелинейность")
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.softplus")


class Tanh(Node):
    """Hyperbolic tangent: into −1 … 1.

    LeCun et al., Efficient BackProp, 1998. Any shape. A generator that ends in it wants data in
    −1 … 1.
    """

    category = ACTIVATION
    aliases = ("hyperbolic tangent", "нелинейность", "тангенс")
    gives = "-1..1"
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.tanh")


class Sigmoid(Node):
    """The logistic function σ(x) = 1 / (1 + e⁻ˣ): into 0 … 1.

    Cox, The Regression Analysis of Binary Sequences, 1958. Any shape. Not before a loss that takes
    logits: that one has its own.
    """

    category = ACTIVATION
    aliases = ("logistic", "probability", "сигмоида")
    squashes = True
    gives = "0..1"
    x = Input("...")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.sigmoid")


class Softmax(Node):
    """Scores into probabilities that sum to 1: eˣⁱ / Σ eˣʲ over the classes.

    Bridle, Probabilistic Interpretation of Feedforward Classification Network Outputs, 1990.
    N K … → the same. Not before CrossEntropy, which has its own.
    """

    category = ACTIVATION
    aliases = ("probabilities", "softargmax", "софтмакс")
    squashes = True
    x = Input("N K ...")
    y = Output("N K ...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.softmax", dim=1)


class LogSoftmax(Node):
    """The logarithm of Softmax: xᵢ − log Σ eˣʲ over the classes, as NLL expects it.

    Bridle, Probabilistic Interpretation of Feedforward Classification Network Outputs, 1990.
    N K … → the same.
    """

    category = ACTIVATION
    aliases = ("log probabilities", "логарифм софтмакс")
    squashes = True
    x = Input("N K ...")
    y = Output("N K ...")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.log_softmax", dim=1)


class Maxout(Node):
    """The largest of each group of neighbouring features: y_j = max over i of x_(j·pieces + i).

    Goodfellow et al., Maxout Networks, ICML 2013: after a Linear with units · pieces features.
    N C … → N C/pieces ….
    """

    category = ACTIVATION
    aliases = ("pieces", "максаут")
    x = Input("N C ...")
    y = Output("N C' ...")
    pieces: int = Param(2, min=1, max=4096, doc="how many features each output chooses from")

    def sizes(self, at: Axes) -> dict[str, Any]:
        if at.C % self.pieces:
            raise Mismatch(f"x has {at.C} features, not a multiple of {self.pieces} pieces")
        return {"C'": at.C // self.pieces}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.maxout.maxout", self.pieces)
