"""A game that can be watched as a whole: points of the plane around a ring of Gaussians."""

from nodegraph.node import Axes, Function, Input, Metric, Module, Output, Param, Recipe, Source

from .plumbing import _Made

WITHIN = "distance that counts as near; 4 standard deviations are usual"


class GaussianRing(Source):
    """Points from small Gaussians at equal distances around a circle: as many modes as those.

    A generator that has collapsed covers some of them only, which is seen at once. After Metz,
    Poole, Pfau, Sohl-Dickstein, Unrolled Generative Adversarial Networks, ICLR 2017. Point N 2, new
    at every draw; RingCentres has the means.
    """

    aliases = ("toy data", "mixture of Gaussians", "mode collapse", "2-D", "кольцо", "смесь")
    point = Output("N 2")
    batch: int = Param(64, min=1, max=65536)
    modes: int = Param(8, min=1, max=100)
    radius: float = Param(2.0, min=0.0, max=1000.0)
    std: float = Param(0.05, min=0.0, max=100.0, doc="of each Gaussian, along both axes")

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"N": self.batch}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("modes", "radius", "std")
        return Module(".ops.ring.GaussianRing", batch=self.batch, **more)


class PlaneGrid(_Made):
    """The points of a square grid: where a function of the plane is to be seen.

    steps × steps points in −reach … reach, row by row from the top left. steps² 2.
    """

    aliases = ("meshgrid", "lattice", "decision surface", "сетка")
    value = Output("...")
    reach: float = Param(3.0, min=1e-6, max=1e6)
    steps: int = Param(40, min=2, max=512)

    @property
    def numbers(self) -> tuple[int, ...]:
        return (self.steps**2, 2)

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.ring.PlaneGrid", self.reach, self.steps)


class RingCentres(_Made):
    """The means of the Gaussians of a GaussianRing of the same modes and radius.

    modes 2.
    """

    aliases = ("modes", "mixture of Gaussians", "кольцо")
    value = Output("...")
    modes: int = Param(8, min=1, max=100)
    radius: float = Param(2.0, min=0.0, max=1000.0)

    @property
    def numbers(self) -> tuple[int, ...]:
        return (self.modes, 2)

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.ring.RingCentres", self.modes, self.radius)


class NearCentres(Metric):
    """The share of samples that are near some centre: how many are good.

    x N D, centres K D.
    """

    aliases = ("high-quality samples", "precision", "modes")
    x = Input("N D")
    centres = Input("K D")
    value = Output("", kind="scalar")
    within: float = Param(0.2, min=0.0, doc=WITHIN)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.ring.near_share", self.within)


class ModeCoverage(Metric):
    """How many centres have samples near them, each at least a share `least` of all.

    Fewer than there are: a generator has collapsed onto some. x N D, centres K D.
    """

    aliases = ("mode collapse", "modes", "recall", "diversity", "моды")
    together = True
    x = Input("N D")
    centres = Input("K D")
    value = Output("", kind="scalar")
    within: float = Param(0.2, min=0.0, doc=WITHIN)
    least: float = Param(0.03, min=0.0, max=1.0)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.ring.mode_coverage", self.within, self.least)
