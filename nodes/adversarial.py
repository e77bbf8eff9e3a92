"""What adversarial training puts between networks."""

from nodegraph.node import Axes, Function, Input, Node, Output, Recipe


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
    x = Input("...")
    factor = Input("", default=1.0, kind="scalar")
    y = Output("...")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.reversal.scale_gradient")
