"""Layers without weights: pooling, resizing, reshaping, dropout."""

import math
from typing import Any, Literal

from nodegraph.node import (
    Axes,
    Function,
    Input,
    Mismatch,
    Module,
    Node,
    Output,
    Param,
    Recipe,
    Shape,
    show,
)

from .layers import LAYER, window


class _Pool2d(Node):
    """What both kinds of pooling have in common."""

    category = LAYER
    x = Input("N C H W")
    y = Output("N C H' W'")
    kernel: int = Param(min=1, max=1024, unit="px")
    stride: int = Param(0, min=0, max=1024, unit="px", doc="0: as large as the kernel")
    padding: int = Param(0, min=0, max=512, unit="px")
    ceil: bool = Param(False, doc="keep a last window that hangs over the border")

    def __post_init__(self) -> None:
        if 2 * self.padding > self.kernel:
            raise ValueError(
                f"padding expects at most half of the kernel {self.kernel}, not {self.padding}"
            )

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"H'": self.length(at.H), "W'": self.length(at.W)}

    def length(self, length: int) -> int:
        stride = self.stride or self.kernel
        count = window(length, self.kernel, stride, self.padding)
        over = (length + 2 * self.padding - self.kernel) % stride > 0
        # A window may hang over, but has to start inside of the image or its left padding.
        return count + (self.ceil and over and count * stride < length + self.padding)

    def options(self) -> dict[str, Any]:
        ceil = {"ceil_mode": True} if self.ceil else {}
        return {"kernel_size": self.kernel, **self.changed("stride", "padding"), **ceil}


class MaxPool2d(_Pool2d):
    """The largest value in each window.

    y(i,j) = max over the kernel's window at (i·stride, j·stride); the gradient goes to the largest.

    Riesenhuber & Poggio, Hierarchical Models of Object Recognition in Cortex, Nature Neuroscience,
    1999. N C H W → N C H' W'.
    """

    aliases = ("max-pool", "subsampling", "максимум", "пулинг")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.max_pool2d", **self.options())


class AvgPool2d(_Pool2d):
    """The mean of each window.

    y(i,j) = mean over the kernel's window at (i·stride, j·stride), padding counted as zeros.

    LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proc. IEEE, 1998.
    N C H W → N C H' W'.
    """

    aliases = ("average pool", "mean pool", "subsampling", "усреднение", "пулинг")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.avg_pool2d", **self.options())


class AdaptiveAvgPool2d(Node):
    """Means over a grid of size × size equal parts of the image, whatever its size.

    Size 1 is global average pooling: Lin, Chen, Yan, Network in Network, ICLR 2014.
    N C H W → N C size size.
    """

    category = LAYER
    aliases = ("global average pooling", "GAP", "глобальное усреднение")
    x = Input("N C H W")
    y = Output("N C size size")
    size: int = Param(1, min=1, max=16384, unit="px")

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.adaptive_avg_pool2d", self.size)


def interpolation(mode: str) -> dict[str, Any]:
    """How torch is to interpolate: by edges, not middles, of the outermost pixels."""
    return {"mode": mode, **({} if mode == "nearest" else {"align_corners": False})}


class Upsample(Node):
    """Enlarges the image by a whole factor, by repeating or interpolating pixels.

    Odena, Dumoulin, Olah, Deconvolution and Checkerboard Artifacts, Distill, 2016: followed by a
    convolution it replaces a transposed one. N C H W → N C H·factor W·factor.
    """

    category = LAYER
    aliases = ("unpooling", "resize", "interpolate", "enlarge", "увеличение")
    x = Input("N C H W")
    y = Output("N C H' W'")
    factor: int = Param(2, min=1, max=256)
    mode: Literal["nearest", "bilinear", "bicubic"] = Param("nearest")

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"H'": at.H * self.factor, "W'": at.W * self.factor}

    def recipe(self, at: Axes) -> Recipe:
        name = "torch.nn.functional.interpolate"
        return Function(name, scale_factor=self.factor, **interpolation(self.mode))


class Resize(Node):
    """The image at another size, whole or not a multiple: pixels are interpolated.

    Enlarges maps of half the size to the size of an odd image. To shrink by much, take AvgPool2d,
    which leaves no pixel out. N C H W → N C height width.
    """

    category = LAYER
    aliases = ("interpolate", "rescale", "upsample to", "изменить размер")
    x = Input("N C H W")
    y = Output("N C height width")
    height: int = Param(min=1, max=16384, unit="px")
    width: int = Param(min=1, max=16384, unit="px")
    mode: Literal["nearest", "bilinear", "bicubic"] = Param("bilinear")

    def recipe(self, at: Axes) -> Recipe:
        name = "torch.nn.functional.interpolate"
        return Function(name, size=(self.height, self.width), **interpolation(self.mode))


class ResizeLike(Node):
    """An image in the height and width of another one: pixels are repeated or interpolated.

    Joins maps of two scales whatever the size of the picture; where that is a multiple, it is
    `Upsample`. N C H W, like M K H' W' → N C H' W'.
    """

    category = LAYER
    aliases = ("upsample to", "interpolate", "match size", "подогнать размер")
    x = Input("N C H W")
    like = Input("M K H' W'")
    y = Output("N C H' W'")
    mode: Literal["nearest", "bilinear", "bicubic"] = Param("nearest")
    cut: bool = Param(False, doc="the middle, in the shape of `like`: nothing is stretched")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.shape.resize_like", self.mode, **self.changed("cut"))


class Unpool2d(Node):
    """Puts each pixel at the top left of a factor × factor cell; the others are 0.

    With a convolution after it, an up-convolution: Dosovitskiy, Springenberg, Brox, Learning to
    Generate Chairs with Convolutional Neural Networks, CVPR 2015. A kernel smaller than
    2·factor − 1 leaves a checkerboard. N C H W → N C H·factor W·factor.
    """

    category = LAYER
    aliases = ("unpooling", "up-convolution", "uconv", "zero insertion", "распулинг", "увеличение")
    x = Input("N C H W")
    y = Output("N C H' W'")
    factor: int = Param(2, min=1, max=256)

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"H'": at.H * self.factor, "W'": at.W * self.factor}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.shape.unpool", self.factor)


class PixelShuffle(Node):
    """Turns groups of factor² maps into factor × factor pixels each.

    Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network, CVPR 2016. N C H W → N C/factor² H·factor W·factor.
    """

    category = LAYER
    aliases = ("depth to space", "sub-pixel convolution", "unsqueeze")
    x = Input("N C H W")
    y = Output("N C' H' W'")
    factor: int = Param(2, min=1, max=256)

    def sizes(self, at: Axes) -> dict[str, int]:
        if at.C % self.factor**2:
            raise Mismatch(f"x has {at.C} channels, not a multiple of {self.factor}²")
        return {
            "C'": at.C // self.factor**2,
            "H'": at.H * self.factor,
            "W'": at.W * self.factor,
        }

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.pixel_shuffle", self.factor)


class PixelUnshuffle(Node):
    """Turns factor × factor pixels into as many maps, without loss: PixelShuffle undoes it.

    The squeeze of invertible networks: Dinh, Sohl-Dickstein, Bengio, Density Estimation Using Real
    NVP, ICLR 2017. N C H W → N C·factor² H/factor W/factor.
    """

    category = LAYER
    aliases = ("squeeze", "space to depth", "RealNVP", "Glow")
    x = Input("N C H W")
    y = Output("N C' H' W'")
    factor: int = Param(2, min=1, max=256)

    def sizes(self, at: Axes) -> dict[str, int]:
        if at.H % self.factor or at.W % self.factor:
            raise Mismatch(f"x has {at.H}×{at.W} pixels, not a multiple of {self.factor}")
        return {
            "C'": at.C * self.factor**2,
            "H'": at.H // self.factor,
            "W'": at.W // self.factor,
        }

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.nn.functional.pixel_unshuffle", self.factor)


class Flatten(Node):
    """All numbers of an example in one row, as a Linear expects them.

    N … → N D, with D the product of the other axes.
    """

    category = LAYER
    aliases = ("vectorise", "ravel", "вытянуть")
    passes = True
    x = Input("N ...")
    y = Output("N D")

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"D": math.prod(at.rest)}

    def recipe(self, at: Axes) -> Recipe:
        return Function("torch.flatten", 1)


class Reshape(Node):
    """The same numbers of each example in another shape: a code becomes a small image.

    N … → N size; `size` leaves out the batch, such as [64, 7, 7].
    """

    category = LAYER
    aliases = ("view", "unflatten", "project and reshape", "форма")
    passes = True
    x = Input("N ...")
    y = Output("...")
    size: tuple[int, ...] = Param(min=1, max=1_000_000, doc="the shape of one example")

    def shapes(self, inputs: Any) -> dict[str, Shape]:
        at = self.bind(inputs)
        have, want = math.prod(at.rest), math.prod(self.size)
        if have != want:
            text = f"x has {have} numbers an example ({show(at.rest)}), {show(self.size)} is {want}"
            raise Mismatch(text, "make the layer before it give as many")
        return {"y": (at.N, *self.size)}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.shape.reshape", self.size)


class Pad2d(Node):
    """Adds pixels around the image.

    N C H W → N C H' W'. `padding` is one width for all sides, or [left, right, top, bottom].
    """

    category = LAYER
    aliases = ("border", "frame", "ZeroPad2d", "ReflectionPad2d", "поля")
    x = Input("N C H W")
    y = Output("N C H' W'")
    padding: int | tuple[int, ...] = Param(min=0, max=4096, unit="px")
    mode: Literal["constant", "reflect", "replicate", "circular"] = Param("constant")
    value: float = Param(0.0, doc="of the new pixels, in mode constant")

    def __post_init__(self) -> None:
        if isinstance(self.padding, tuple) and len(self.padding) != 4:
            raise ValueError(
                "padding expects one width or [left, right, top, bottom], "
                f"not {len(self.padding)} widths"
            )

    @property
    def sides(self) -> tuple[int, ...]:
        """Left, right, top, bottom."""
        return self.padding if isinstance(self.padding, tuple) else (self.padding,) * 4

    def sizes(self, at: Axes) -> dict[str, int]:
        left, right, top, bottom = self.sides
        spare = {"reflect": 1}.get(self.mode, 0)
        fits = max(left, right) <= at.W - spare and max(top, bottom) <= at.H - spare
        if self.mode in ("reflect", "circular") and not fits:
            raise Mismatch(f"{self.mode} padding of {self.sides} exceeds {at.H}×{at.W}")
        return {"H'": at.H + top + bottom, "W'": at.W + left + right}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("mode", "value")
        return Function("torch.nn.functional.pad", self.sides, **more)


class Crop2d(Node):
    """Cuts a square out of the image: its centre, or at a given corner.

    N C H W → N C size size.
    """

    category = LAYER
    aliases = ("centre crop", "cut", "обрезка")
    x = Input("N C H W")
    y = Output("N C size size")
    size: int = Param(min=1, max=16384, unit="px")
    top: int | Literal["centre"] = Param("centre", min=0, max=16384, unit="px")
    left: int | Literal["centre"] = Param("centre", min=0, max=16384, unit="px")

    def corner(self, at: Axes) -> tuple[int, int]:
        """The top and left pixel of the square."""
        top = (at.H - self.size) // 2 if self.top == "centre" else self.top
        left = (at.W - self.size) // 2 if self.left == "centre" else self.left
        if min(top, left, at.H - self.size - top, at.W - self.size - left) < 0:
            raise Mismatch(f"a square of {self.size} px does not lie inside of {at.H}×{at.W}")
        return top, left

    def sizes(self, at: Axes) -> dict[str, int]:
        self.corner(at)
        return {}

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.shape.crop", *self.corner(at), self.size)


class Dropout(Node):
    """Sets each number to 0 with probability p while training, and scales the others by 1/(1 − p).

    Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, JMLR 2014.
    `always` also in evaluation: as the noise of a generator, Isola et al., Image-to-Image
    Translation with Conditional Adversarial Networks, CVPR 2017. Any shape.
    """

    category = LAYER
    aliases = ("drop", "дропаут", "прореживание")
    stateful = True
    x = Input("...")
    y = Output("...")
    p: float = Param(0.5, min=0.0, max=1.0, doc="the share that is dropped")
    always: bool = Param(False, doc="in evaluation too")

    def recipe(self, at: Axes) -> Recipe:
        if self.always:
            return Function("torch.nn.functional.dropout", self.p, True)
        return Module("torch.nn.Dropout", self.p)


class Dropout2d(Node):
    """Sets whole maps to 0 with probability p while training, and scales the others by 1/(1 − p).

    Tompson et al., Efficient Object Localization Using Convolutional Networks, CVPR 2015. N C H W.
    """

    category = LAYER
    aliases = ("spatial dropout", "drop maps", "дропаут")
    stateful = True
    x = Input("N C H W")
    y = Output("N C H W")
    p: float = Param(0.5, min=0.0, max=1.0, doc="the share that is dropped")

    def recipe(self, at: Axes) -> Recipe:
        return Module("torch.nn.Dropout2d", self.p)
