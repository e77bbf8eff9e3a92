"""Optimisers: what flows in is minimised, by moving the weights of the nodes in `over`.

Each takes the fastest form that torch has on every device: `fused` is 3 to 5 times as fast as the
plain loop over tensors on a CPU, `foreach` up to 2 times.
"""

from collections.abc import Mapping
from typing import Any, Literal

from nodegraph.node import Axes, Input, Module, Optimiser, Param, Recipe, bind

LR = "learning rate: how far one update goes"
DECAY = "pull of the weights towards 0"
CLIP = "the longest that the gradient of all its weights together may be, by its L2 norm; 0: any"
Formula = Literal["torch", "lecture"]
FORMULA = "torch's, or as the lecture writes it"
LECTURE = ".ops.lecture_optimisers.Lecture"


def lacks(node: Optimiser, *names: str) -> None:
    """Raises ValueError when one of these parameters is set, which the lecture does not have."""
    if wrong := node.changed(*names):
        raise ValueError(f"the lecture's formula has no {next(iter(wrong))}; take torch's")


class _Descent(Optimiser):
    """What goes down a gradient, which may be shortened first: g ← g · min(1, clip_norm / ‖g‖).

    Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, ICML 2013.
    """

    clip_norm: float = Param(0.0, min=0.0, doc=CLIP)


class SGD(_Descent):
    """Stochastic gradient descent, with or without momentum: v ← μ v + g; w ← w − lr · v.

    Robbins & Monro, A Stochastic Approximation Method, 1951; Polyak, 1964, for the momentum;
    Nesterov, 1983, for the look ahead: w ← w − lr · (g + μ v).

    The lecture's velocity v ← μ v − lr · g keeps the learning rate that each step was made with;
    torch's holds gradients, so a new rate changes all that is in it. For a constant rate they are
    equal. With the look ahead both hold the point w + μ v, where the gradient is taken.

    The momentum may follow a schedule, as lr may; while it is 0, torch's holds no v.
    """

    aliases = ("momentum", "gradient descent", "Nesterov", "NAG", "градиентный спуск", "импульс")
    lr = Input("", default=0.01, kind="scalar", min=0.0, doc=LR)
    momentum = Input("", default=0.0, kind="scalar", min=0.0, max=1.0, doc="what a step keeps of v")
    dampening: float = Param(0.0, min=0.0, max=1.0, doc="of the gradient that enters the momentum")
    nesterov: bool = Param(False, doc="take the gradient as if the momentum had moved already")
    weight_decay: float = Param(0.0, min=0.0, max=100.0, doc=DECAY)
    formula: Formula = Param("torch", doc=FORMULA)
    reset: bool = Param(False, doc="forget the velocity when lr changes; of the lecture's formula")

    def __post_init__(self) -> None:
        if self.formula == "lecture":
            lacks(self, "dampening", "weight_decay")
        elif self.reset:
            raise ValueError("reset expects the formula lecture: torch's keeps its velocity")
        if self.nesterov and self.dampening != 0:
            raise ValueError("nesterov needs no dampening")

    def agree(self, numbers: Mapping[str, float]) -> None:
        if self.nesterov and not numbers.get("momentum"):  # torch asks for it from the beginning
            raise ValueError("nesterov needs a momentum above 0, as a number that is not linked")

    def recipe(self, at: Axes) -> Recipe:
        if self.formula == "lecture":
            more = self.changed("reset")
            return Module(LECTURE + "SGD", nesterov=self.nesterov, **more)
        more = self.changed("dampening", "nesterov", "weight_decay")
        return Module("torch.optim.SGD", **more, fused=True)


class Adagrad(_Descent):
    """Divides each weight's step by the root of all its squared gradients: G += g²; w −= lr g / √G.

    Duchi, Hazan, Singer, Adaptive Subgradient Methods, JMLR 2011. The lecture divides by
    √(G + eps), torch by √G + eps.
    """

    aliases = ("adaptive gradient", "адаптивный")
    lr = Input("", default=0.01, kind="scalar", min=0.0, doc=LR)
    lr_decay: float = Param(0.0, min=0.0, max=100.0)
    eps: float = Param(1e-10, min=0.0, max=1.0)
    weight_decay: float = Param(0.0, min=0.0, max=100.0, doc=DECAY)
    formula: Formula = Param("torch", doc=FORMULA)

    def __post_init__(self) -> None:
        if self.formula == "lecture":
            lacks(self, "lr_decay", "weight_decay")

    def recipe(self, at: Axes) -> Recipe:
        if self.formula == "lecture":
            return Module(LECTURE + "Adagrad", eps=self.eps)
        more = self.changed("lr_decay", "eps", "weight_decay")
        return Module("torch.optim.Adagrad", **more, foreach=True)


class RMSprop(_Descent):
    """Adagrad that forgets: G ← alpha G + (1 − alpha) g²; w ← w − lr · g / (√G + eps).

    Tieleman & Hinton, Lecture 6.5 of Neural Networks for Machine Learning, 2012. The lecture
    divides by √(G + eps), torch by √G + eps.
    """

    aliases = ("rmsprop", "адаптивный")
    lr = Input("", default=0.01, kind="scalar", min=0.0, doc=LR)
    alpha: float = Param(0.99, min=0.0, max=1.0, doc="how much of the past is kept; Hinton: 0.9")
    momentum: float = Param(0.0, min=0.0, max=1.0)
    centered: bool = Param(False, doc="divide by the deviation: G less the squared mean gradient")
    eps: float = Param(1e-8, min=0.0, max=1.0)
    weight_decay: float = Param(0.0, min=0.0, max=100.0, doc=DECAY)
    formula: Formula = Param("torch", doc=FORMULA)

    def __post_init__(self) -> None:
        if self.formula == "lecture":
            lacks(self, "momentum", "centered", "weight_decay")

    def recipe(self, at: Axes) -> Recipe:
        if self.formula == "lecture":
            return Module(LECTURE + "RMSprop", alpha=self.alpha, eps=self.eps)
        more = self.changed("alpha", "momentum", "centered", "eps", "weight_decay")
        return Module("torch.optim.RMSprop", **more, foreach=True)


class Adadelta(_Descent):
    """RMSprop whose step is scaled by the size of past steps, so that it needs no learning rate.

    Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012. w ← w − lr · √(d + eps) / √(G + eps)
    · g, with G and d running means of g² and of squared steps.
    """

    aliases = ("адаптивный",)
    lr = Input("", default=1.0, kind="scalar", min=0.0, doc=LR)
    rho: float = Param(0.9, min=0.0, max=1.0, doc="how much of the past is kept")
    eps: float = Param(1e-6, min=0.0, max=1.0)
    weight_decay: float = Param(0.0, min=0.0, max=100.0, doc=DECAY)

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("rho", "eps", "weight_decay")
        return Module("torch.optim.Adadelta", **more, foreach=True)


class _Adam(_Descent):
    """What Adam and AdamW have in common."""

    lr = Input("", default=1e-3, kind="scalar", min=0.0, doc=LR)
    beta1: float = Param(0.9, min=0.0, max=0.999999, doc="how much of the mean gradient is kept")
    beta2: float = Param(0.999, min=0.0, max=0.999999, doc="and of the mean squared gradient")
    eps: float = Param(1e-8, min=0.0, max=1.0)

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("eps", "weight_decay")
        name = f"torch.optim.{type(self).__name__}"
        return Module(name, betas=(self.beta1, self.beta2), **more, fused=True)


class Adam(_Adam):
    """Momentum divided by the root of the mean squared gradient: w ← w − lr · m̂ / (√v̂ + eps).

    Kingma & Ba, Adam: A Method for Stochastic Optimization, ICLR 2015. m and v are running means of
    g and g², with the hat corrected for their start at 0. GANs like beta1 = 0.5. The lecture has
    eps inside the root, before that correction.
    """

    aliases = ("adaptive moments", "адам")
    weight_decay: float = Param(0.0, min=0.0, max=100.0, doc=DECAY)
    formula: Formula = Param("torch", doc=FORMULA)

    def __post_init__(self) -> None:
        if self.formula == "lecture":
            lacks(self, "weight_decay")

    def recipe(self, at: Axes) -> Recipe:
        if self.formula == "lecture":
            return Module(LECTURE + "Adam", betas=(self.beta1, self.beta2), eps=self.eps)
        return super().recipe(at)


class AdamW(_Adam):
    """Adam whose weight decay acts on the weights directly: w ← w − lr · weight_decay · w.

    Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019.
    """

    aliases = ("decoupled weight decay", "адам")
    weight_decay: float = Param(0.01, min=0.0, max=100.0, doc=DECAY)


class LBFGS(Optimiser):
    """Quasi-Newton steps from the last gradients; evaluates the loss several times an update.

    Liu & Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, 1989. For losses
    without noise: an image that is optimised, as in Gatys, Ecker, Bethge, CVPR 2016.
    """

    aliases = ("quasi-Newton", "BFGS", "квазиньютоновский")
    closure = True
    lr = Input("", default=1.0, kind="scalar", min=0.0, doc=LR)
    max_iter: int = Param(20, min=1, max=100_000, doc="iterations in one update")
    history: int = Param(100, min=1, max=10_000, doc="how many past gradients are kept")
    line_search: Literal["strong_wolfe", "none"] = Param("strong_wolfe")
    tolerance_grad: float = Param(1e-7, min=0.0, max=1.0, doc="stop at gradients this small")
    tolerance_change: float = Param(1e-9, min=0.0, max=1.0, doc="stop at steps this small")

    def recipe(self, at: Axes) -> Recipe:
        return Module(
            "torch.optim.LBFGS",
            **self.changed("max_iter", "tolerance_grad", "tolerance_change"),
            history_size=self.history,
            line_search_fn=None if self.line_search == "none" else self.line_search,
        )


BOX = "bound of each weight: a number, or a tensor of the weights' shape"


class LBFGSB(Optimiser):
    """L-BFGS whose weights stay between bounds: one update is a whole search by SciPy.

    Byrd, Lu, Nocedal, Zhu, A Limited Memory Algorithm for Bound Constrained Optimization, SIAM
    Journal on Scientific Computing, 1995; for the adversarial examples of Szegedy et al.,
    Intriguing Properties of Neural Networks, ICLR 2014. It counts in 64 bits, the network in its
    own numbers. `low` and `high` are scalars or tensors of the shape of what is moved.
    """

    aliases = ("L-BFGS-B", "box constraints", "bounds", "quasi-Newton", "квазиньютоновский")
    closure = True
    low = Input("...", default=0.0, doc=BOX)
    high = Input("...", default=1.0, doc=BOX)
    max_iter: int = Param(50, min=1, max=100_000, doc="iterations in one update")
    history: int = Param(10, min=1, max=10_000, doc="how many past gradients are kept")
    restart: bool = Param(False, doc="each update begins at 0, not where the last one ended")

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        return bounded(self, inputs)

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("max_iter", "history", "restart")
        return Module(".ops.bounded_optimisers.LBFGSB", **more)


class ProjectedSign(Optimiser):
    """A step of equal length for every weight, then back between bounds: w ← [w − lr · sign g].

    One step from the image is the fast gradient sign method: Goodfellow, Shlens, Szegedy,
    Explaining and Harnessing Adversarial Examples, ICLR 2015. Many are projected gradient descent:
    Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018.
    `low` and `high` are scalars or tensors of the shape of what is moved.
    """

    aliases = ("FGSM", "PGD", "sign gradient", "signSGD", "projected gradient", "знак градиента")
    lr = Input("", default=0.1, kind="scalar", min=0.0, doc=LR)
    low = Input("...", default=0.0, doc=BOX)
    high = Input("...", default=1.0, doc=BOX)

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        return bounded(self, inputs)

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.bounded_optimisers.ProjectedSign")


class Bisection(Optimiser):
    """Finds where a gradient changes its sign, for each weight by itself: w ← w − s · sign g.

    The steps s are lr long until the sign changes for the first time; from then on each is half of
    the one before, which is the bisection of an interval. Of the gradient only the sign counts, so
    a loss may be w times −1 or +1: go on, or go back. With w the logarithm of a factor, lr = log 4
    multiplies it by 4 while that succeeds.
    """

    aliases = ("line search", "root", "binary search", "interval halving", "деление пополам")
    lr = Input("", default=1.0, kind="scalar", min=0.0, doc="the first steps")

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.bounded_optimisers.Bisection")


def bounded(node: Optimiser, inputs: Mapping[str, Any]) -> Axes:
    """The axes of an optimiser's inputs; its two bounds may differ in shape, as they are spread."""
    for name, shape in inputs.items():
        bind({name: node.inputs[name]}, {name: shape})
    return Axes()
