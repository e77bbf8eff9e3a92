"""Eyes without a download, for the redirection of gaze."""

from nodegraph.node import Axes, Module, Output, Param, Recipe, Source

ACROSS_AND_UP = "across and up, at most, in degrees"


class Eyes(Source):
    """Pairs of drawn eyes: the same eye before and after it looks elsewhere.

    Eyes differ in place, shape, tilt, colours, light; lids follow the gaze, and the glint moves at
    half the iris's speed. Each training pair is of a new eye; the held-out ones are of others, the
    same in each run. It stands for the film of 33 persons of Ganin, Kononenko, Sungatullina,
    Lempitsky, DeepWarp, ECCV 2016. Image N 3 height width in 0..1; landmarks N 7 2, (x, y) in −1..1
    of six points of its lids and of the pupil; angle N 2, the change in degrees, to the right and
    up; target N 3 height width.
    """

    aliases = ("gaze", "DeepWarp", "eye renderer", "redirection", "глаза", "взгляд")
    image = Output("N 3 height width", kind="image")
    landmarks = Output("N 7 2")
    angle = Output("N 2", doc="the change, in degrees: to the right, and up")
    target = Output("N 3 height width", kind="image")
    batch: int = Param(32, min=1, max=65536)
    height: int = Param(32, min=8, max=512, unit="px")
    width: int = Param(40, min=8, max=512, unit="px")
    gaze: tuple[float, ...] = Param((20.0, 12.0), min=0.0, max=60.0, doc=ACROSS_AND_UP)
    change: tuple[float, ...] = Param((20.0, 15.0), min=0.0, max=60.0, doc=ACROSS_AND_UP)
    held_out: int = Param(256, min=1, max=65536, doc="pairs")
    seed: int = Param(0, min=0, max=1_000_000, doc="of the held-out eyes, apart from the run's")

    def __post_init__(self) -> None:
        for name in ("gaze", "change"):
            if len(getattr(self, name)) != 2:
                raise ValueError(f"{name} expects two angles: {ACROSS_AND_UP}")

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"N": self.batch}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("height", "width", "gaze", "change", "held_out", "seed")
        return Module(".ops.eyes.Eyes", batch=self.batch, **more)
