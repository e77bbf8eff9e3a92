"""Image pyramids: the steps between their levels, and whole ones as a list on one wire."""

from nodegraph.node import (
    Axes,
    Function,
    Input,
    Mismatch,
    Node,
    Output,
    Param,
    Recipe,
    half,
    level_shapes,
    show,
)

PYRAMIDS = "pyramids"
CENTRE = "the middle of the kernel; 0.4 is close to a Gaussian"
LEVELS = "with the image itself and the coarsest"
SMALLEST = 3  # pixels of a side that can be halved


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
        if min(at.H, at.W) < SMALLEST:
            raise Mismatch(f"x is {at.H}×{at.W}; a level of at least 3×3 can be reduced")
        return {"H'": half(at.H), "W'": half(at.W)}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pyramids.reduce", self.a)

    def multiply_adds(self, at: Axes, out: tuple[int, ...]) -> int:
        return reducing(at.N * at.C, at.H, at.W)


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
        if min(at.H, at.W) < SMALLEST:
            raise Mismatch(f"like is {at.H}×{at.W}; at least 3×3 can be expanded to")
        return {}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pyramids.expand", self.a)

    def multiply_adds(self, at: Axes, out: tuple[int, ...]) -> int:
        return expanding(at.N * at.C, at.H, at.W)


class GaussianPyramid(Node):
    """An image at several scales: each level is the one before it, blurred and half as large.

    G₀ = x, G_i+1 = REDUCE(G_i), as PyramidReduce does it.

    Burt & Adelson, The Laplacian Pyramid as a Compact Image Code, IEEE Trans. Communications, 1983.
    N C H W → a list of N C ⌈H/2ⁱ⌉ ⌈W/2ⁱ⌉ for i = 0 … levels − 1.
    """

    category = PYRAMIDS
    aliases = ("image pyramid", "multiscale", "scale space", "mipmap", "пирамида Гаусса")
    x = Input("N C H W")
    y = Output("levels N C H W", kind="pyramid")
    levels: int = Param(3, min=1, max=16, doc=LEVELS)
    a: float = Param(0.4, min=0.25, max=0.75, doc=CENTRE)

    def sizes(self, at: Axes) -> dict[str, int]:
        fitting = 1
        high, wide = at.H, at.W
        while min(high, wide) >= SMALLEST and fitting < self.levels:
            fitting, high, wide = fitting + 1, half(high), half(wide)
        if fitting < self.levels:
            text = f"x is {at.H}×{at.W}, too small for {self.levels} levels; {fitting} fit"
            raise Mismatch(text, "lower `levels`, or make the image larger")
        return {}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pyramids.gaussian_pyramid", self.levels, self.a)

    def multiply_adds(self, at: Axes, out: tuple[int, ...]) -> int:
        return sum(reducing(n * c, h, w) for n, c, h, w in [*level_shapes(out)][:-1])


class LaplacianPyramid(GaussianPyramid):
    """An image in bands of detail: what each level has that the next, coarser one lacks.

    L_i = G_i − EXPAND(G_i+1), the last L_i = G_i, with G as in GaussianPyramid and EXPAND as in
    PyramidExpand. CollapsePyramid adds them up to the image again.

    Burt & Adelson, The Laplacian Pyramid as a Compact Image Code, IEEE Trans. Communications, 1983.
    N C H W → a list of N C ⌈H/2ⁱ⌉ ⌈W/2ⁱ⌉ for i = 0 … levels − 1.
    """

    aliases = ("band-pass", "bands", "multiresolution", "subbands", "пирамида Лапласа")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pyramids.laplacian_pyramid", self.levels, self.a)

    def multiply_adds(self, at: Axes, out: tuple[int, ...]) -> int:
        finer = [*level_shapes(out)][:-1]
        return super().multiply_adds(at, out) + sum(expanding(n * c, h, w) for n, c, h, w in finer)


class CollapsePyramid(Node):
    """The image that the bands of a Laplacian pyramid add up to.

    From the coarsest on, G_i = L_i + EXPAND(G_i+1), as PyramidExpand does it, with the same a as
    the pyramid was made with.

    Burt & Adelson, The Laplacian Pyramid as a Compact Image Code, IEEE Trans. Communications, 1983.
    A list of N C H W, N C ⌈H/2⌉ ⌈W/2⌉, … → N C H W.
    """

    category = PYRAMIDS
    aliases = ("reconstruct", "Laplacian pyramid", "inverse", "sum of bands", "собрать пирамиду")
    undoes_with = "a"
    x = Input("L N C H W", kind="pyramid")
    y = Output("N C H W")
    a: float = Param(0.4, min=0.25, max=0.75, doc=CENTRE)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pyramids.collapse_pyramid", self.a)

    def multiply_adds(self, at: Axes, out: tuple[int, ...]) -> int:
        finer = [*level_shapes((at.L, *out))][:-1]
        return sum(expanding(n * c, h, w) for n, c, h, w in finer)


class PyramidBlend(Node):
    """Two pyramids mixed level by level, by the levels of a mask: a where it is 1, b where it is 0.

    y_i = a_i · m_i + b_i · (1 − m_i). Of Laplacian pyramids a and b and the Gaussian pyramid m of a
    mask it is a multiresolution spline: each band is mixed over an edge as wide as its details.

    Burt & Adelson, A Multiresolution Spline with Application to Image Mosaics, ACM Trans. Graphics,
    1983. a and b lists of N C H W, …; mask of M K H W, …, with M = 1 or N and K = 1 or C.
    """

    category = PYRAMIDS
    aliases = ("multiresolution spline", "splining", "image mosaic", "mix", "сплайн", "смешать")
    mixes = ("a", "b")
    a = Input("L N C H W", kind="pyramid")
    b = Input("L N C H W", kind="pyramid")
    mask = Input("L M K H W", kind="pyramid", doc="the Gaussian pyramid of a mask")
    y = Output("L N C H W", kind="pyramid")

    def sizes(self, at: Axes) -> dict[str, int]:
        if at.M not in (1, at.N) or at.K not in (1, at.C):
            text = f"mask has {at.M} images of {at.K} channels, a {at.N} of {at.C}"
            raise Mismatch(text, "a mask has as many as a, or one")
        return {}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pyramids.blend_pyramids")


class PyramidLevel(Node):
    """One level of a pyramid, as an image: 0 is the finest, −1 the coarsest.

    y = x[index]. What takes a tensor takes no pyramid, but its levels.

    A list of N C H W, N C ⌈H/2⌉ ⌈W/2⌉, … → N C H' W'.
    """

    category = PYRAMIDS
    aliases = ("list item", "index", "band", "octave", "элемент списка", "уровень")
    x = Input("L N C H W", kind="pyramid")
    y = Output("N C H' W'")
    index: int = Param(0, min=-16, max=15, doc="from the finest, or below 0 from the coarsest")

    def sizes(self, at: Axes) -> dict[str, int]:
        if not -at.L <= self.index < at.L:
            raise Mismatch(f"x has {at.L} levels, no level {self.index}",
                           f"index is {-at.L} to {at.L - 1}")  # fmt: skip
        high, wide = [*level_shapes((at.L, at.H, at.W))][self.index]
        return {"H'": high, "W'": wide}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pyramids.pyramid_level", self.index)


def reducing(images: int, high: int, wide: int) -> int:
    """The multiplications of REDUCE, of images of one channel."""
    return 5 * images * half(wide) * (high + 4 + half(high))


def expanding(images: int, high: int, wide: int) -> int:
    """The multiplications of EXPAND to this size."""
    return 5 * images * wide * (2 * high + 4)
