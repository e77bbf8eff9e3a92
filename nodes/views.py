"""Views: pictures of what flows through a graph, drawn while it trains."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from nodegraph.node import Axes, Function, Input, Mismatch, Nodes, Param, Recipe, Text, View, show

Range = Literal["auto", "0..1", "-1..1"]
RANGE = "what is black and white; auto: 0..1 or −1..1, else the least and the largest value"


class ImageGrid(View):
    """Images in a grid; those of several inputs under each other.

    The same held-out examples and the same noise at every tick, so that what changes is the
    network. N C H W with 1 channel (grey) or 3 (R G B; of more, the first three); rows N D are
    folded into squares.
    """

    aliases = ("samples", "pictures", "gallery", "картинки", "изображения")
    images = Input("N ...", kind="image", many=True)
    columns: int = Param(8, min=1, max=64)
    rows: int = Param(4, min=1, max=64, doc="of all inputs together")
    range: Range = Param("auto", doc=RANGE)

    def examples(self, links: int) -> int:
        return self.columns * max(1, self.rows // max(1, links))

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pictures.image_grid", self.columns, self.rows, self.range, self.size)


class PyramidGrid(View):
    """The levels of a pyramid beside each other, each as large against the finest as it is.

    After the figures of Burt & Adelson, The Laplacian Pyramid as a Compact Image Code, IEEE Trans.
    Communications, 1983. A list of N C H W, N C ⌈H/2⌉ ⌈W/2⌉, …
    """

    aliases = ("levels", "bands", "Laplacian pyramid", "Gaussian pyramid", "пирамида")
    pyramid = Input("L N C H W", kind="pyramid")
    example: int = Param(0, min=0, max=4095)
    range: Range = Param("auto", doc=RANGE)

    def examples(self, links: int) -> int:
        return self.example + 1

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pictures.pyramid_grid", self.example, self.range, self.size)


class Curve(View):
    """Numbers as lines: a vector or rows of one over their index, a scalar over the steps so far.

    A loss that is trained and a metric that is watched are shown as the run has recorded them;
    another scalar has a point at each tick. At most 8 lines; where a value is not finite, a line
    has a gap. One that runs away from the others leaves the plot, with a mark where it does.
    """

    aliases = ("line", "plot", "loss curve", "graph", "кривая", "график")
    x = Input("...", many=True)
    log: bool = Param(False, doc="the logarithm of positive values")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.charts.curve", self.log, self.size)


class Histogram(View):
    """How often values occur, as shares of all; several inputs as outlines.

    Any shape; at most a million values of each are counted, the rest is thinned out.
    """

    aliases = ("distribution", "density", "гистограмма")
    x = Input("...", many=True)
    bins: int = Param(50, min=2, max=400)
    log: bool = Param(False, doc="heights by their logarithm, so that rare values show")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.charts.histogram", self.bins, self.log, self.size)


class Scatter(View):
    """Examples as points of a plane: domains by their marker, labels by their colour.

    N D, D = 2 as it is, more by the two directions of largest variance, turned so that the picture
    does not jump from tick to tick; or by t-SNE (van der Maaten & Hinton, Visualizing Data using
    t-SNE, JMLR 2008), which takes a second. `labels` belong to `points` in their order.
    """

    aliases = ("PCA", "t-SNE", "tsne", "embedding", "features", "точки", "диаграмма рассеяния")
    points = Input("N ...", many=True)
    labels = Input("N", kind="labels", many=True, optional=True)
    projection: Literal["auto", "pca", "t-sne", "none"] = Param("auto")
    most: int = Param(150, min=2, max=2000, doc="examples of each input")

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        shapes = inputs.get("points", [])
        for other in shapes[1:]:
            if other[1:] != shapes[0][1:]:
                raise Mismatch(f"points are {show(shapes[0])} and {show(other)}: not in one space")
        return at

    def examples(self, links: int) -> int:
        return self.most

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.charts.scatter", self.projection, self.most, self.size)


class ConfusionMap(View):
    """Which label is taken for which: counts of (label, predicted) as a heat map.

    Logits N K with labels N, or counts K K alone (of the metric `Confusion`). A row is a label, its
    colours are shares of it.
    """

    classes_from = "K"
    aliases = ("confusion matrix", "errors", "матрица ошибок")
    logits = Input("N K")
    labels = Input("N", kind="labels", optional=True)
    classes: Text = Param("", doc="their names, with commas between")
    most: int = Param(200, min=1, max=10_000, doc="examples that are counted")

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        if "labels" not in inputs and "logits" in inputs and at.N != at.K:
            raise Mismatch(
                f"without labels, logits are counts K K, gets {show(inputs['logits'])}",
                "link the labels",
            )
        return at

    def examples(self, links: int) -> int:
        return self.most

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.charts.confusion_map", self.classes, self.size)


class FeatureMaps(View):
    """The channels of one example as heat maps.

    N C H W. Each map in its own range, or all in one (`scale: shared`).
    """

    aliases = ("activations", "channels", "карты признаков")
    x = Input("N C H W")
    example: int = Param(0, min=0, max=9999)
    channels: int = Param(36, min=1, max=256, doc="how many are shown")
    scale: Literal["each", "shared"] = Param("each")

    def examples(self, links: int) -> int:
        return self.example + 1

    def recipe(self, at: Axes) -> Recipe:
        options = self.example, self.channels, self.scale, self.size
        return Function(".ops.pictures.feature_maps", *options)


class Filters(View):
    """The weights of a convolution, a tile for each filter.

    It names a node in `of`, as an optimiser does in `over`, and is linked to nothing. Of a group
    the first convolution is shown, or the tensor whose name ends in `weight`. Filters over one map
    are blue below 0 and orange above; over three they are colours; over more, a row is a filter
    and a column a map that it reads. Rows of a `Linear` are folded into squares.
    """

    aliases = ("weights", "kernels", "фильтры", "ядра")
    of: Nodes = Param(doc="the nodes whose weights it shows")
    weight: Text = Param("", doc="the end of the weight's name, like conv2.weight")
    most: int = Param(64, min=1, max=400, doc="tiles")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pictures.filters", self.weight, self.most, self.size)


class Flow(View):
    """A field of displacements: its direction as hue, its length as saturation, and arrows.

    N 2 H W or N H W 2 (x, then y), in pixels, or `relative`: in units of half the image, as
    sampling grids are. Baker et al., A Database and Evaluation Methodology for Optical Flow, 2007.
    """

    aliases = ("optical flow", "warp", "displacement", "поток", "поле смещений")
    flow = Input("N ...")
    example: int = Param(0, min=0, max=9999)
    largest: float = Param(0.0, min=0.0, unit="px", doc="at full saturation; 0: as 99 % are")
    arrows: int = Param(12, min=0, max=64, doc="along the longer side")
    relative: bool = Param(False, doc="in units of half the image")

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        shape = inputs.get("flow", (1, 2, 1, 1))
        if len(shape) != 4 or 2 not in (shape[1], shape[3]):
            raise Mismatch(f"flow expects N 2 H W or N H W 2, gets {show(shape)}")
        return at

    def examples(self, links: int) -> int:
        return self.example + 1

    def recipe(self, at: Axes) -> Recipe:
        options = self.example, self.largest, self.arrows, self.relative, self.size
        return Function(".ops.pictures.flow_picture", *options)


class Quadrilateral(View):
    """Images, and on each the outline of where a spatial transformer looks.

    `where` is θ, N 2 3 or N 6, or the sampling grid N H W 2, in −1..1 of the image. The dot is the
    corner that comes out at the top left.

    Jaderberg et al., Spatial Transformer Networks, NIPS 2015.
    """

    aliases = ("spatial transformer", "STN", "affine", "attention", "четырёхугольник")
    image = Input("N C H W", kind="image")
    where = Input("N ...")
    count: int = Param(9, min=1, max=64, doc="images")
    align_corners: bool = Param(False, doc="as in the grid and the sampler")
    range: Range = Param("auto", doc=RANGE)

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        shape = inputs.get("where", (1, 6))
        if tuple(shape[1:]) not in ((6,), (2, 3)) and not (len(shape) == 4 and shape[3] == 2):
            raise Mismatch(f"where expects N 2 3, N 6 or N H W 2, gets {show(shape)}")
        return at

    def examples(self, links: int) -> int:
        return self.count

    def recipe(self, at: Axes) -> Recipe:
        options = self.count, self.align_corners, self.range, self.size
        return Function(".ops.pictures.quadrilateral", *options)


class GramMap(View):
    """Matrices as heat maps side by side, in one range of colours.

    H W, or N H W of which one example is shown. `sequential` from the least to the largest (the
    outermost hundredth left out), `diverging` with 0 in the middle.
    """

    aliases = ("matrix", "heat map", "covariance", "Gram matrix", "матрица Грама", "тепловая карта")
    matrix = Input("...", many=True)
    map: Literal["sequential", "diverging"] = Param("sequential")
    example: int = Param(0, min=0, max=9999)

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        for shape in inputs.get("matrix", []):
            if len(shape) not in (2, 3):
                raise Mismatch(f"matrix expects H W or N H W, gets {show(shape)}")
        return at

    def examples(self, links: int) -> int:
        return self.example + 1

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pictures.gram_map", self.map, self.example, self.size)


class ContourRace(View):
    """A loss surface from above, with the trails of points that optimisers move on it.

    Each of `points` holds one point, or rows of them, (x, y). Beale's function with its minimum at
    (3, ½); a saddle x² − y²; a long valley x²/100 + 5y². Or another surface, as its `heights` at
    the places of a square grid over ±`reach`, row by row from the lowest y; the lowest place is
    marked. A trail has a place for each step.

    After the animations of A. Radford, 2014; Beale, On an Iterative Method of Finding a Local
    Minimum, 1958.
    """

    aliases = ("loss surface", "optimisers", "Beale", "trajectory", "линии уровня", "гонка")
    each_step = ".ops.charts.follow"
    points = Input("...", many=True)
    heights = Input("...", optional=True, doc="of a surface of one's own")
    surface: Literal["beale", "saddle", "long valley"] = Param("beale", doc="without heights")
    reach: float = Param(4.0, min=1e-6, max=1e6, doc="of heights: where their grid ends")

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        for shape in inputs.get("points", ()):
            if math.prod(shape) % 2:
                raise Mismatch(f"points expects pairs (x, y), not {show(shape)}")
        count = math.prod(inputs.get("heights", (4,)))
        if math.isqrt(count) ** 2 != count or count < 4:
            raise Mismatch(f"heights expects a square grid, not {count} numbers")
        return Axes()

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("reach")
        return Function(".ops.charts.contour_race", self.surface, self.size, **more)


class LossVsTime(View):
    """How long the optimisation of an image takes to reach what a generator does in one pass.

    The loss over time, both by their logarithms: dots for an image that is optimised, as the run
    has recorded it; a line at the loss of a generator's samples, from the time of one pass on.
    Where they cross is how much faster it is. Measured on this machine: `optimised` by the steps
    of its stage alone, which should run nothing else; `samples` for one example, in evaluation.

    Ulyanov, Lebedev, Vedaldi, Lempitsky, Texture Networks, ICML 2016.
    """

    aliases = ("speed", "benchmark", "time to loss", "crossing", "время", "скорость")
    timed = "samples"
    optimised = Input("", kind="loss", many=True, doc="losses that a stage minimises")
    generated = Input("", kind="loss", doc="the same loss, of the samples")
    samples = Input("N ...", kind="image", doc="whose making is timed")

    def examples(self, links: int) -> int:
        return 8

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.loss_vs_time.loss_vs_time", self.size)


class DecisionSurface(View):
    """What a discriminator thinks of each place of the plane, and points on it.

    `logits` are its answers on a PlaneGrid of the same `reach`: orange where it says real (above
    0), blue where it says fake. The points are drawn upon that, each input in a colour of its own.
    """

    aliases = ("decision boundary", "discriminator", "2-D", "plane", "граница решения")
    logits = Input("G ...")
    points = Input("N 2", many=True)
    reach: float = Param(3.0, min=1e-6, max=1e6, doc="as in the PlaneGrid")
    most: int = Param(256, min=1, max=5000, doc="points of each input")

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        at = super().bind(inputs)
        shape = inputs.get("logits", (1,))
        if math.prod(shape) != shape[0] or math.isqrt(shape[0]) ** 2 != shape[0]:
            raise Mismatch(f"logits expects one for each point of a PlaneGrid, gets {show(shape)}")
        return at

    def examples(self, links: int) -> int:
        return self.most

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.charts.decision_surface", self.reach, self.most, self.size)


class BeforeAfter(View):
    """Two images side by side, and the distance between their pixels.

    N C H W, or rows N D that are folded into squares; one example. They may differ in size.
    """

    aliases = ("compare", "difference", "reconstruction", "до и после", "сравнение")
    before = Input("N ...", kind="image")
    after = Input("M ...", kind="image")
    example: int = Param(0, min=0, max=9999)
    range: Range = Param("auto", doc=RANGE)

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        for port, shape in inputs.items():
            super().bind({port: shape})
        return Axes()

    def examples(self, links: int) -> int:
        return self.example + 1

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.pictures.before_after", self.example, self.range, self.size)


class TextTable(View):
    """Numbers by name; with `top`, the most probable classes of one example.

    A scalar is itself, other tensors are their mean ± standard deviation. With `top`, rows N K are
    logits or probabilities.
    """

    aliases = ("numbers", "top-5", "classes", "values", "таблица", "числа")
    values = Input("...", many=True)
    top: int = Param(0, min=0, max=20, doc="classes of N K; 0: numbers")
    example: int = Param(0, min=0, max=9999)
    classes: Text = Param("", doc="their names, with commas between")

    def examples(self, links: int) -> int:
        return max(16, self.example + 1)

    def recipe(self, at: Axes) -> Recipe:
        options = self.top, self.example, self.classes, self.size
        return Function(".ops.charts.text_table", *options)


class Scoreboard(View):
    """A table of what was measured: a row for each group, a column for each metric in it.

    It is linked to nothing, and shows the numbers as the run has recorded them last, among them
    losses that a group gives. What is in no group is not in it.
    """

    aliases = ("table", "metrics", "quality", "comparison", "controls", "таблица", "сравнение")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.charts.scoreboard", self.size)
