"""What optimisers race on: surfaces over the plane, and two classes of points."""

from typing import Any, Literal

from nodegraph.node import Axes, Function, Input, Loss, Module, Output, Param, Recipe, Source

SURFACE = Literal["beale", "saddle", "long valley"]


class Surface(Loss):
    """The height of a test surface at a point (x, y), to be minimised.

    Beale's function (1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)², with its minimum 0 at
    (3, ½); a saddle x² − y²; a long valley x²/100 + 5y². Beyond ±limit the surface is flat: an
    optimiser that shoots off comes to rest, and the others race on.

    Beale, On an Iterative Method of Finding a Local Minimum, 1958. Point 2 → a scalar.
    """

    aliases = ("Beale", "test function", "loss surface", "valley", "функция Била", "поверхность")
    point = Input("2")
    height = Output("", kind="loss")
    surface: SURFACE = Param("beale")
    limit: float = Param(1000.0, min=0.001, max=1e6, doc="where the surface ends, in both axes")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.surfaces.surface", self.surface, self.limit)


class Moons(Source):
    """Points of two noisy half circles that reach into each other, a class each.

    After scikit-learn's make_moons; both axes have mean 0 and variance 1. Point N 2, label N 1 in
    0, 1, as BCEWithLogits expects it, and moon N, the same as a class. With batch 0 all points are
    drawn at once, each time the same, and no others are held out: for the exact loss on the
    training data.
    """

    aliases = ("two moons", "toy data", "binary classes", "луны", "две луны")
    point = Output("N 2")
    label = Output("N 1")
    moon = Output("N", kind="labels", classes=2)
    batch: int = Param(16, min=0, max=65536, doc="0: all of them")
    count: int = Param(500, min=2, max=200_000, doc="training points")
    held_out: int = Param(500, min=2, max=100_000, doc="held-out points")
    noise: float = Param(0.3, min=0.0, max=10.0, doc="standard deviation")
    seed: int = Param(0, min=0, max=1_000_000, doc="of the points, apart from that of the run")

    @property
    def fixed(self) -> bool:  # type: ignore[override]
        """Whether each draw is the same."""
        return self.batch == 0

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"N": self.batch or self.count}

    def recipe(self, at: Axes) -> Recipe:
        more: dict[str, Any] = self.changed("count", "held_out", "noise", "seed")
        return Module(".ops.moons.Moons", self.batch, **more)
