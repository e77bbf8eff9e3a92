"""How good generated samples are: metrics that compare them with real ones in some features.

Each looks at up to 1000 held-out examples at once (`together`): neighbours, covariances and tests
are not means over batches. Numbers in different features are not comparable.
"""

from typing import Literal

from nodegraph.node import Axes, Function, Input, Metric, Output, Param, Recipe

SCALED = "in units of the reference's standard deviation, so that the layer's scale is nothing"


class _Together(Metric):
    """A number of many examples at once."""

    together = True
    value = Output("", kind="scalar")


class _AgainstReal(_Together):
    """How features of samples compare with those of real examples."""

    x = Input("N D")
    reference = Input("M D", doc="features of real examples")


class KernelDistance(_AgainstReal):
    """How far samples are from real ones, by all moments up to the third: the unbiased MMD².

    MMD² = mean k(x,x') + mean k(y,y') − 2 mean k(x,y) over different x, x' and y, y', with
    k(u,v) = (uᵀv / D + 1)³. Near 0, and sometimes below, for samples of the same distribution.

    Bińkowski, Sutherland, Arbel, Gretton, Demystifying MMD GANs, ICLR 2018. Features x N D,
    reference M D.
    """

    aliases = ("KID", "kernel inception distance", "quality", "MMD", "качество")
    low_is_good = True
    scaled: bool = Param(True, doc=SCALED)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.quality.kernel_distance", self.scaled)


class FrechetDistance(_AgainstReal):
    """How far the means and covariances of samples are from those of real ones.

    ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½). Too large for few samples: take at least 10 D, and
    compare with the value of real against real at the same number.

    Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NIPS 2017. Features x N D,
    reference M D.
    """

    aliases = ("FID", "Fréchet inception distance", "quality", "Wasserstein", "качество")
    low_is_good = True
    scaled: bool = Param(True, doc=SCALED)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.quality.frechet_distance", self.scaled)


class InsideManifold(_Together):
    """The share of x that lies where others lie: not farther from one of these than its neighbours.

    Each of the others has a ball around it, up to its k-th nearest neighbour. Samples in the
    manifold of real examples: precision, how real they look. Real examples in that of the samples,
    links exchanged: recall, how much of what there is they show.

    Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative Models,
    NeurIPS 2019. x N D, manifold M D.
    """

    aliases = ("precision", "recall", "nearest neighbours", "k-NN", "полнота", "точность")
    x = Input("N D")
    manifold = Input("M D")
    k: int = Param(5, min=1, max=1000, doc="neighbours")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.quality.inside_manifold", self.k)


class KernelTwoSampleTest(_AgainstReal):
    """Whether samples can be told from real ones at all: MMD² against random divisions of both.

    The kernel is Gaussian, as wide as the median distance. `p value`: how often a random division
    has as large an MMD². At 1000 samples nearly any generator is rejected, so there is `ratio`:
    MMD² over what 95 % of random divisions stay below; 1 is as good as real.

    Gretton et al., A Kernel Two-Sample Test, JMLR 2012. Features x N D, reference M D.
    """

    aliases = ("permutation test", "p-value", "MMD test", "перестановочный тест")
    permutations: int = Param(200, min=19, max=10_000)
    give: Literal["p value", "ratio"] = Param("p value")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.quality.two_sample_test", self.permutations, self.give)


class ClassifierTwoSampleTest(_AgainstReal):
    """How well a fresh classifier tells samples from real ones: its accuracy on what it never saw.

    A logistic regression learns from one half and is asked about the other, and the other way
    round. 0.5: it can't. A user study without users: 2 · (1 − accuracy) is how often it is fooled.

    Lopez-Paz & Oquab, Revisiting Classifier Two-Sample Tests, ICLR 2017. Features x N D, reference
    M D.
    """

    aliases = ("C2ST", "fooling rate", "user study", "real or fake")
    low_is_good = True

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.quality.classifier_test")


class ClassEntropy(_Together):
    """How evenly samples fall into classes: the entropy of the predicted ones, in bits.

    At most log₂ K, when all are as frequent. It falls when a generator forgets some of them. A
    classifier also has an opinion on noise, so look at precision as well. Logits N K.
    """

    aliases = ("mode collapse", "mode coverage", "diversity", "энтропия классов")
    logits = Input("N K")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.quality.class_entropy")


class ClassCoverage(_Together):
    """How many classes occur: those predicted for at least a share `least` of the samples.

    Logits N K.
    """

    aliases = ("mode collapse", "modes", "missing classes", "покрытие классов")
    logits = Input("N K")
    least: float = Param(0.02, min=0.0, max=1.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.quality.class_coverage", self.least)


class InceptionScore(_Together):
    """exp E KL(p(y | x) ‖ p(y)): whether each sample is of a clear class, and all classes occur.

    From 1 to K. It sees nothing of what happens within a class, and is easily deceived.

    Salimans et al., Improved Techniques for Training GANs, NIPS 2016, here on the logits N K of any
    classifier.
    """

    aliases = ("IS", "quality", "качество")
    logits = Input("N K")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.quality.inception_score")


class CopyRatio(_Together):
    """Whether samples are copies: how near they are to training examples, where new ones are 1.

    The median distance of x to the nearest training example, over that of real examples that were
    not trained on. Near 0: they are copied. Pixels show near copies alone, features also shifted
    ones. x N D, training M D, reference K D.
    """

    aliases = ("memorisation", "overfitting", "nearest neighbour", "запоминание")
    x = Input("N D")
    training = Input("M D")
    reference = Input("K D", doc="real examples that were not trained on")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.quality.copy_ratio")
