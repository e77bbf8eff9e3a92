"""Geometry: where pixels come from. Grids, and samplers that read an image at them.

A grid N H W 2 says for each pixel of the output where in the input it comes from: (x, y) in −1..1
of the image. So a motion of the grid is the inverse of what one sees the image do.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from nodegraph.node import Axes, Function, Input, Mismatch, Node, Output, Param, Recipe, Shape

GEOMETRY = "geometry"
ALIGN = "±1 are the middles of the outermost pixels; else their outer edges, as torch has it"
ABSOLUTE = "theta is the map itself, as in torch; else it is added to the identity"


class _Grid(Node):
    """A grid of a size, from numbers that say where it lies."""

    category = GEOMETRY
    function: ClassVar[str]  # in ops.geometry
    grid = Output("N height width 2")
    height: int = Param(min=1, max=16384, unit="px", doc="of the output")
    width: int = Param(min=1, max=16384, unit="px", doc="of the output")
    align_corners: bool = Param(False, doc=ALIGN)

    def recipe(self, at: Axes) -> Recipe:
        name = f".ops.geometry.{self.function}"
        return Function(name, self.height, self.width, self.align_corners, **self.more())

    def more(self) -> dict[str, Any]:
        """Further arguments of it."""
        return self.changed("absolute")


class AffineGrid(_Grid):
    """An affine map of the plane: (x_s, y_s) = A (x_t, y_t, 1); theta 0 is the identity.

    theta holds the six numbers of A, row by row, less those of the identity (1 0 0, 0 1 0): a layer
    that starts at 0 starts by looking at the whole image. Set `absolute` for theta as in torch's
    affine_grid. Jaderberg, Simonyan, Zisserman, Kavukcuoglu, Spatial Transformer Networks, NIPS
    2015. N 6 → N height width 2.
    """

    aliases = ("affine_grid", "spatial transformer", "STN", "theta", "аффинное преобразование")
    theta = Input("N 6")
    absolute: bool = Param(False, doc=ABSOLUTE)
    function = "affine_grid"


class AttentionGrid(_Grid):
    """A square to look at: s · (x_t, y_t) + (t_x, t_y); theta 0 is the identity.

    theta is (s − 1, t_x, t_y), or (s, t_x, t_y) if `absolute`. Jaderberg et al., Spatial
    Transformer Networks, NIPS 2015. N 3 → N height width 2.
    """

    aliases = ("crop", "glimpse", "zoom", "spatial transformer", "внимание")
    theta = Input("N 3")
    absolute: bool = Param(False, doc=ABSOLUTE)
    function = "attention_grid"


class ProjectiveGrid(_Grid):
    """A plane seen from another side: a homography; theta 0 is the identity.

    (x_s, y_s, w) = A (x_t, y_t, 1), divided by w. theta holds eight numbers of A, row by row, less
    those of the identity, unless `absolute`; the ninth is 1. w is at least 0.01. Jaderberg et al.,
    Spatial Transformer Networks, NIPS 2015. N 8 → N height width 2.
    """

    aliases = ("homography", "perspective", "spatial transformer", "проективное преобразование")
    theta = Input("N 8")
    absolute: bool = Param(False, doc=ABSOLUTE)
    function = "projective_grid"


class ThinPlateGrid(_Grid):
    """A sheet bent as little as control points allow: a thin-plate spline; theta 0 is the identity.

    theta holds the displacement (x, y) of each control point; they lie on a regular points × points
    grid over the whole image. Bookstein, Principal Warps, PAMI 1989; Jaderberg et al., Spatial
    Transformer Networks, NIPS 2015, with 16 points. N 2·points² → N height width 2.
    """

    aliases = ("TPS", "thin plate spline", "elastic", "spatial transformer", "сплайн")
    theta = Input("N D")
    points: int = Param(4, min=2, max=16, doc="control points along each side")
    function = "thin_plate_grid"

    def more(self) -> dict[str, Any]:
        return {"points": self.points}

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        wanted = 2 * self.points**2
        if "D" in vars(at) and at.D != wanted:
            raise Mismatch(
                f"theta has {at.D} numbers, {self.points}² points need {wanted}",
                f"give the layer before it {wanted} features",
            )
        return at


class FlowGrid(Node):
    """A displacement of each pixel, as a grid: the identity plus the flow.

    O(x, y) = I(x + u(x, y), y + v(x, y)), the warp of Ganin, Kononenko, Sungatullina, Lempitsky,
    DeepWarp, ECCV 2016, with GridSample behind. Flow N 2 H W, u then v, in halves of the image or
    in pixels → N H W 2.
    """

    category = GEOMETRY
    aliases = ("warp", "optical flow", "displacement", "DeepWarp", "поле смещений")
    flow = Input("N 2 H W")
    grid = Output("N H W 2")
    unit: Literal["half image", "px"] = Param("half image", doc="that the flow is measured in")
    align_corners: bool = Param(False, doc=ALIGN)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.geometry.flow_grid", self.align_corners, self.unit)


class _Sampler(Node):
    """An image, read at the places of a grid."""

    category = GEOMETRY
    x = Input("N C H W", kind="image")
    grid = Input("N H' W' 2")
    y = Output("N C H' W'", kind="image")
    align_corners: bool = Param(False, doc=ALIGN)


class GridSample(_Sampler):
    """Reads an image at the places of a grid, between pixels too; gradients reach both.

    torch's grid_sample. Beyond the border there are zeros, or the nearest pixel (`border`), or the
    mirrored image. Take the same `align_corners` as in the grid. Jaderberg et al., Spatial
    Transformer Networks, NIPS 2015. x N C H W, grid N H' W' 2 → N C H' W'.
    """

    aliases = ("grid_sample", "warp", "sampler", "resample", "remap", "сэмплер")
    mode: Literal["bilinear", "nearest", "bicubic"] = Param("bilinear")
    padding_mode: Literal["zeros", "border", "reflection"] = Param("zeros")

    def recipe(self, at: Axes) -> Recipe:
        options = self.mode, self.padding_mode, self.align_corners
        return Function(".ops.geometry.grid_sample", *options)


class BilinearSampler(_Sampler):
    """GridSample as the lecture writes it: a sum over all pixels, with its own derivative.

    V = Σₙ Σₘ Uₙₘ max(0, 1 − |x − m|) max(0, 1 − |y − n|), and ∂V/∂x has in place of the first
    tent: 0 if |m − x| ≥ 1, 1 if m ≥ x, −1 if m < x. At a whole x that is the one pixel m = x, a
    subgradient of no use: start a little beside, or take GridSample, which is also faster. Zeros
    beyond the border. Jaderberg et al., Spatial Transformer Networks, NIPS 2015.
    x N C H W, grid N H' W' 2 → N C H' W'.
    """

    aliases = ("sampler of the slide", "bilinear interpolation", "tent", "билинейный сэмплер")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.geometry.bilinear_sample", self.align_corners)

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        n, c, high, wide = out
        return n * c * high * wide * at.W * (at.H + 1)


class AnchorMaps(Node):
    """Where each pixel lies as seen from landmarks: maps of x − x_f and of y − y_f.

    So a convolution knows where it is in a face or an eye. Landmarks are (x, y) in −1..1 of the
    image. Ganin et al., DeepWarp, ECCV 2016. N K 2 → N 2K height width.
    """

    category = GEOMETRY
    aliases = ("landmarks", "feature points", "coordinates", "CoordConv", "ключевые точки")
    landmarks = Input("N K 2")
    maps = Output("N D height width")
    height: int = Param(min=1, max=16384, unit="px")
    width: int = Param(min=1, max=16384, unit="px")
    align_corners: bool = Param(False, doc=ALIGN)

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"D": 2 * at.K}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.geometry.anchor_maps", self.height, self.width, self.align_corners)


class Tile(Node):
    """A vector repeated at each pixel, to join it to maps of an image.

    N D → N D height width.
    """

    category = GEOMETRY
    aliases = ("expand", "broadcast", "repeat", "vector to map", "condition", "размножить")
    x = Input("N D")
    y = Output("N D height width")
    height: int = Param(min=1, max=16384, unit="px")
    width: int = Param(min=1, max=16384, unit="px")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.geometry.tile", self.height, self.width)
