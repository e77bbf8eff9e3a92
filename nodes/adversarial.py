"""What adversarial training puts between networks."""

from nodegraph.node import Axes, Function, Input, Module, Node, Output, Param, Recipe


class GradientReversal(Node):
    """The identity; its gradient is multiplied by −strength.

    Forward y = x; backward ∂L/∂x = −strength · ∂L/∂y. What comes after learns to tell, what comes
    before learns to hide.

    Ganin & Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015. Any shape;
    strength may follow a schedule.
    """

    category = "adversarial"
    reverses_gradient = True
    gradient_times = "-strength"
    aliases = ("GRL", "gradient reversal layer", "reverse", "DANN", "разворот градиента")
    passes = True
    x = Input("...")
    strength = Input("", default=1.0, kind="scalar", min=0.0)
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.reversal.reverse_gradient")


class GradientScale(Node):
    """The identity; its gradient is multiplied by factor.

    Forward y = x; backward ∂L/∂x = factor · ∂L/∂y. Slows down what comes before, or stops it (0).

    Ganin & Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015, for the
    mirrored form. Any shape; factor may follow a schedule.
    """

    category = "adversarial"
    gradient_times = "factor"
    aliases = ("gradient multiplier", "slow down", "масштаб градиента")
    passes = True
    x = Input("...")
    factor = Input("", default=1.0, kind="scalar")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.reversal.scale_gradient")


class SoftLabels(Node):
    """What a discriminator is told an image is: a number in low … high, not 1 or 0.

    Drawn anew for each logit; with probability `flip` it is 1 − y, the wrong answer, so that the
    discriminator stays unsure. Salimans et al., Improved Techniques for Training GANs, NIPS 2016:
    0.9 for real ones alone (one-sided). A `high` above 1 leaves the loss of one image without a
    bound, though not the mean; `cut` ends at 1. Any shape → the same.
    """

    category = "adversarial"
    aliases = ("label smoothing", "label flipping", "one-sided", "noisy labels", "метки")
    stops_gradient = True
    stateful = True
    like = Input("...", doc="logits, for their shape")
    y = Output("...")
    low: float = Param(0.9, min=0.0, max=2.0)
    high: float = Param(0.9, min=0.0, max=2.0)
    flip: float = Param(0.0, min=0.0, max=1.0, doc="probability of the wrong answer")
    cut: bool = Param(False, doc="at 1")

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low} expects to be at most high, {self.high}")

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("flip", "cut")
        return Module(".ops.soft_labels.SoftLabels", self.low, self.high, **more)
