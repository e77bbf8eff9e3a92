"""Schedules: numbers that follow training, for a learning rate, a strength, a noise level.

p is the progress step / steps of the stage, in 0 … 1.
"""

from nodegraph.node import Axes, Function, Param, Recipe, Schedule

STEPS = 1_000_000_000


class ConstantValue(Schedule):
    """A number that stays, so that several inputs can share it.

    f(step) = number.
    """

    aliases = ("fixed", "константа")
    number: float = Param(1.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.schedules.constant_value", self.number)


class StepDecay(Schedule):
    """A staircase: start · factor^⌊step / every⌋.

    Piecewise constant, as in Krizhevsky, Sutskever, Hinton, NIPS 2012.
    """

    aliases = ("StepLR", "piecewise constant", "ступенчатый")
    start: float = Param(0.01)
    factor: float = Param(0.1, min=0.0, max=1000.0)
    every: int = Param(1000, min=1, max=STEPS, unit="steps")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.schedules.step_decay", self.start, self.factor, self.every)


class Piecewise(Schedule):
    """A number for each part of training: valuesₖ until step untilₖ, then the next, the last stays.

    As published schedules are written: 0.004 for 100 steps, 0.0004 for 200, 0.00004.
    """

    aliases = ("MultiStepLR", "piecewise constant", "list of rates", "кусочный")
    values: tuple[float, ...] = Param((0.01, 0.001), doc="one more than there are steps in until")
    until: tuple[int, ...] = Param((1000,), min=1, max=STEPS, unit="steps", doc="rising")

    def __post_init__(self) -> None:
        if len(self.values) != len(self.until) + 1:
            counts = f"{len(self.until) + 1}, one more than until has, not {len(self.values)}"
            raise ValueError(f"values expects {counts}")
        if any(a >= b for a, b in zip(self.until, self.until[1:])):
            raise ValueError("until expects rising steps")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.schedules.piecewise", self.values, self.until)


class Harmonic(Schedule):
    """A slow decay: α[t] = a / (⌊t / every⌋ + b).

    Robbins & Monro, A Stochastic Approximation Method, 1951: Σ α = ∞, Σ α² < ∞.
    """

    aliases = ("1/t", "harmonic decay", "гармонический")
    a: float = Param(0.001)
    b: float = Param(10.0, min=1e-9, max=1e12)
    every: int = Param(1, min=1, max=STEPS, unit="steps")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.schedules.harmonic", self.a, self.b, self.every)


class Cosine(Schedule):
    """Half a cosine wave: stop + (start − stop) · (1 + cos πp) / 2.

    Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017.
    """

    aliases = ("cosine annealing", "косинус")
    start: float = Param(0.001)
    stop: float = Param(0.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.schedules.cosine", self.start, self.stop)


class LinearRamp(Schedule):
    """A straight line: start + (stop − start) · p.

    Over the whole stage, or over `ramp_steps` and then constant.
    """

    aliases = ("linear", "warm-up", "линейный")
    start: float = Param(0.0)
    stop: float = Param(1.0)
    ramp_steps: int = Param(0, min=0, max=STEPS, unit="steps", doc="0: the whole stage")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.schedules.linear_ramp", self.start, self.stop, self.ramp_steps)


class SigmoidRamp(Schedule):
    """From low to high along half a sigmoid: λ = low + (high − low) · (2 / (1 + e^(−γp)) − 1).

    Ganin & Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015, for the
    strength of the gradient's reversal. Over the whole stage, or over `ramp_steps`.
    """

    aliases = ("lambda schedule", "DANN", "domain adaptation factor", "сигмоида")
    gamma: float = Param(10.0, min=0.0, max=1000.0)
    high: float = Param(1.0)
    low: float = Param(0.0)
    ramp_steps: int = Param(0, min=0, max=STEPS, unit="steps", doc="0: the whole stage")

    def recipe(self, at: Axes) -> Recipe:
        args = self.gamma, self.high, self.low, self.ramp_steps
        return Function(".ops.schedules.sigmoid_ramp", *args)


class Annealing(Schedule):
    """A decay by progress: μ = start / (1 + alpha·p)^beta.

    Ganin & Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015, for the
    learning rate.
    """

    aliases = ("learning rate decay", "DANN", "mu schedule", "отжиг")
    start: float = Param(0.01)
    alpha: float = Param(10.0, min=0.0, max=1e9)
    beta: float = Param(0.75, min=0.0, max=100.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.schedules.annealing", self.start, self.alpha, self.beta)


class Inverse(Schedule):
    """A decay by steps: start · (1 + gamma·step)^(−power).

    The `inv` policy of Caffe: Jia et al., Caffe, ACM Multimedia 2014.
    """

    aliases = ("inv", "inverse decay", "обратный")
    start: float = Param(0.001)
    gamma: float = Param(0.001, min=0.0, max=1e9)
    power: float = Param(0.75, min=0.0, max=100.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.schedules.inverse", self.start, self.gamma, self.power)


class Exponential(Schedule):
    """A decay by the same factor every step, down to a floor: max(low, start · factor^step).

    Goodfellow et al., Generative Adversarial Nets, NIPS 2014, divide by 1.000004 after each update.
    """

    aliases = ("ExponentialLR", "экспоненциальный")
    start: float = Param(0.001)
    factor: float = Param(0.999, min=0.0, max=2.0)
    low: float = Param(0.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.schedules.exponential", self.start, self.factor, self.low)
