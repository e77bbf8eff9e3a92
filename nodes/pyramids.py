"""Image pyramids: the steps between their levels.

A level is a wire, so a pyramid is a group that is used once for each level.
"""

from nodegraph.node import Axes, Function, Input, Mismatch, Node, Output, Param, Recipe, show

PYRAMIDS = "pyramids"
CENTRE = "the middle of the kernel; 0.4 is close to a Gaussian"


def half(length: int) -> int:
    """The length of the next level."""
    return (length + 1) // 2


class PyramidReduce(Node):
    """The next level of a Gaussian pyramid: blurred, and half as large.

    y(i,j) = Σ w(m) w(n) x(2i+m, 2j+n) over m, n = −2 … 2, w = [¼ − a/2, ¼, a, ¼, ¼ − a/2]. The
    border is reflected.

    Burt & Adelson, The Laplacian Pyramid as a Compact Image Code, IEEE Trans. Communications, 1983.
    N C H W → N C ⌈H/2⌉ ⌈W/2⌉; sizes 2ⁿ + 1 (65, 33, 17, …) keep the first and the last pixel.
    """

    category = PYRAMIDS
    aliases = ("REDUCE", "Gaussian pyramid", "pyrDown", "downsample", "subsample", "пирамида")
    x = Input("N C H W")
    y = Output("N C H' W'")
    a: float = Param(0.4, min=0.25, max=0.75, doc=CENTRE)

    def sizes(self, at: Axes) -> dict[str, int]:
        if min(at.H, at.W) < 3:
            raise Mismatch(f"x is {at.H}×{at.W}; a level of at least 3×3 can be reduced")
        return {"H'": half(at.H), "W'": half(at.W)}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pyramids.reduce", self.a)

    def multiply_adds(self, at: Axes, out: tuple[int, ...]) -> int:
        return 5 * at.N * at.C * half(at.W) * (at.H + 4 + half(at.H))


class PyramidExpand(Node):
    """A level of a pyramid in the size of the one below it, with no more detail.

    y(i,j) = 4 Σ w(m) w(n) x((i−m)/2, (j−n)/2), over those m, n = −2 … 2 where both are whole
    numbers; w as in PyramidReduce. `like` gives the size alone, which halved is that of x.

    Burt & Adelson, The Laplacian Pyramid as a Compact Image Code, IEEE Trans. Communications, 1983.
    x N C ⌈H/2⌉ ⌈W/2⌉, like M K H W → N C H W.
    """

    category = PYRAMIDS
    aliases = ("EXPAND", "Laplacian pyramid", "pyrUp", "upsample", "interpolate", "пирамида")
    x = Input("N C h w")
    like = Input("M K H W", doc="an image of the size that is wanted")
    y = Output("N C H W")
    a: float = Param(0.4, min=0.25, max=0.75, doc=CENTRE)

    def sizes(self, at: Axes) -> dict[str, int]:
        if (half(at.H), half(at.W)) != (at.h, at.w):
            wanted = show((half(at.H), half(at.W)))
            raise Mismatch(f"x is {at.h}×{at.w}, half of {at.H}×{at.W} is {wanted}",
                           "link `like` to the level that x was reduced from")  # fmt: skip
        if min(at.H, at.W) < 3:
            raise Mismatch(f"like is {at.H}×{at.W}; at least 3×3 can be expanded to")
        return {}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pyramids.expand", self.a)

    def multiply_adds(self, at: Axes, out: tuple[int, ...]) -> int:
        return 5 * at.N * at.C * at.W * (2 * at.H + 4)
