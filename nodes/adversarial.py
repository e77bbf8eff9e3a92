"""What adversarial training puts between networks."""

from nodegraph.node import Axes, Function, Input, Mismatch, Module, Node, Output, Param, Recipe


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


class Replay(Node):
    """Some examples of before among those of now, so that a judge forgets no trick of its opponent.

    It keeps `size` examples. Until it is full it stores each and passes it on; then each is swapped
    with a random one of those with the given probability. In evaluation all are those of now.
    Shrivastava et al., Learning from Simulated and Unsupervised Images through Adversarial
    Training, CVPR 2017. N … → N …; no gradient flows back, as the kept ones have none.
    """

    category = "adversarial"
    aliases = ("replay buffer", "image pool", "history", "past fakes", "память")
    stops_gradient = True
    stateful = True
    x = Input("N ...")
    y = Output("N ...")
    size: int = Param(1280, min=1, max=1_000_000, doc="how many examples are kept")
    probability: float = Param(0.5, min=0.0, max=1.0, doc="of a swap; 0 keeps nothing")

    def sizes(self, at: Axes) -> dict[str, int]:
        if self.probability and at.N > self.size:
            raise Mismatch(f"x has {at.N} examples, {self.size} are kept", "keep more than a batch")
        return {}

    def recipe(self, at: Axes) -> Recipe:
        if not self.probability:
            return Function("torch.detach")
        return Module(".ops.replay.Replay", self.size, tuple(at.rest), self.probability)


class MinibatchStd(Node):
    """A further map that says how much the examples of the batch differ.

    The standard deviation over the batch of each number, averaged over all of them: one value,
    everywhere. A judge that sees it takes no generator for real whose samples are all alike.

    Karras et al., Progressive Growing of GANs, ICLR 2018; a short form of the minibatch
    discrimination of Salimans et al., Improved Techniques for Training GANs, NIPS 2016.
    N C … → N C+1 ….
    """

    category = "adversarial"
    aliases = ("minibatch discrimination", "minibatch stddev", "mode collapse", "разброс батча")
    normalises_batch = True
    x = Input("N C ...")
    y = Output("N C' ...")

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"C'": at.C + 1}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.minibatch_std.minibatch_std")
