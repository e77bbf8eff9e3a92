"""Things that are drawn from what they are and how they are seen."""

from nodegraph.node import Axes, Module, Output, Param, Recipe, Source

from .digits import SEED


class Chairs(Source):
    """Chairs of boxes, each drawn from a seed, seen from all sides, in any colour, over white.

    After Aubry et al., Seeing 3D Chairs, CVPR 2014, as Dosovitskiy, Springenberg, Brox, Learning to
    Generate Chairs with Convolutional Neural Networks, CVPR 2015, use them. Image N 3 size size and
    mask N 1 size size in 0..1; label N: which chair; azimuth and elevation N 1 in radians; colour
    N 3: what the shades of grey are multiplied by. Held out: every second azimuth of every second
    chair. The pictures are kept in the user's cache.
    """

    aliases = ("shape renderer", "3D", "objects", "inverse graphics", "стулья", "рендер")
    image = Output("N 3 size size", kind="image")
    mask = Output("N 1 size size", kind="image")
    label = Output("N", kind="labels", classes="classes")
    azimuth = Output("N 1")
    elevation = Output("N 1")
    colour = Output("N 3")
    batch: int = Param(32, min=1, max=65536)
    size: int = Param(32, min=8, max=256, unit="px")
    classes: int = Param(8, min=2, max=4096, doc="chairs")
    azimuths: int = Param(24, min=2, max=360, doc="views around")
    elevations: tuple[float, ...] = Param((20.0,), min=-80.0, max=80.0, unit="°")
    seed: int = Param(0, min=0, max=1_000_000, doc=SEED)

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"N": self.batch}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("classes", "azimuths", "elevations", "seed")
        return Module(".ops.chairs.Chairs", batch=self.batch, size=self.size, **more)
