"""Layers with weights: convolutions, matrix products, embeddings."""

import math
from typing import Literal

from nodegraph.node import (
    Axes,
    Input,
    Mismatch,
    Module,
    Node,
    Output,
    Param,
    Recipe,
    Shape,
    Text,
)

from .init import FITTED, INIT, LAYERS, Initialised, initialised

LAYER = "layers"
WEIGHT_NORM = "learn the length and the direction of each output's weights apart"


def window(length: int, kernel: int, stride: int, padding: int) -> int:
    """How many windows fit: ⌊(length + 2·padding − kernel) / stride⌋ + 1. Raises Mismatch."""
    if length + 2 * padding < kernel:
        raise Mismatch(
            f"a kernel of {kernel} does not fit into {length}"
            + (f" with padding {padding}" if padding else ""),
            "make the kernel smaller, pad, or take out a pooling layer before it",
        )
    return (length + 2 * padding - kernel) // stride + 1


def affine_weights(weight: Shape, bias: int, normed: bool) -> dict[str, Shape]:
    """The tensors of a layer x W + b as torch names them, with or without weight norm."""
    weights: dict[str, Shape] = {"bias": (bias,)} if bias else {}
    if not normed:
        return {"weight": weight} | weights
    length = (weight[0],) + (1,) * (len(weight) - 1)
    path = "parametrizations.weight.original"
    return weights | {path + "0": length, path + "1": weight}


def weight_normed(layer: Recipe, normed: bool) -> Recipe:
    """`layer`, its weight as length times direction if `normed`.

    Salimans & Kingma, Weight Normalization, NIPS 2016.
    """
    return Module("torch.nn.utils.parametrizations.weight_norm", layer) if normed else layer


class Conv2d(Initialised, Node):
    """Slides a small kernel over the image: the lecture's generalised convolution.

    V(x,y,t) = b(t) + Σ_ij Σ_s K(i,j,s,t) · U(x·stride + i, y·stride + j, s), with no flip of K.

    LeCun et al., Backpropagation Applied to Handwritten Zip Code Recognition, Neural Computation,
    1989. N C H W → N channels H' W', with H' = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) /
    stride⌋ + 1. `same` pads so that the size stays (stride 1).
    """

    category = LAYER
    aliases = ("convolution", "conv", "generalised convolution", "свёртка", "свертка")
    words = FITTED
    x = Input("N C H W")
    y = Output("N channels H' W'")
    channels: int = Param(min=1, max=65536, doc="output maps")
    kernel: int = Param(min=1, max=1024, unit="px")
    stride: int = Param(1, min=1, max=1024, unit="px")
    padding: int | Literal["same"] = Param(0, min=0, max=1024, unit="px")
    dilation: int = Param(1, min=1, max=1024, unit="px")
    groups: int = Param(1, min=1, max=65536, doc="parts the maps fall into, apart from each other")
    bias: bool = Param(True)
    padding_mode: Literal["zeros", "circular", "reflect", "replicate"] = Param("zeros")
    weight_norm: bool = Param(False, doc=WEIGHT_NORM)
    init: Text = Param("", doc=INIT)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding == "same" and self.stride != 1:
            raise ValueError(f"padding 'same' needs stride 1, not {self.stride}")
        if self.channels % self.groups:
            raise ValueError(f"channels {self.channels} cannot be split into {self.groups} groups")

    def sizes(self, at: Axes) -> dict[str, int]:
        if at.C % self.groups:
            raise Mismatch(f"x has {at.C} channels, which {self.groups} groups cannot share")
        reach = self.dilation * (self.kernel - 1)
        if self.padding == "same":
            return {"H'": at.H, "W'": at.W}
        most = min(at.H, at.W) - (self.padding_mode == "reflect")
        if self.padding_mode in ("reflect", "circular") and self.padding > most:
            raise Mismatch(f"{self.padding_mode} padding of {self.padding} exceeds {at.H}×{at.W}")
        return {
            "H'": window(at.H, reach + 1, self.stride, self.padding),
            "W'": window(at.W, reach + 1, self.stride, self.padding),
        }

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("stride", "padding", "dilation", "groups", "bias", "padding_mode")
        layer = Module("torch.nn.Conv2d", at.C, self.channels, self.kernel, **more)
        return weight_normed(initialised(layer, self.init), self.weight_norm)

    def weights(self, at: Axes) -> dict[str, Shape]:
        weight = (self.channels, at.C // self.groups, self.kernel, self.kernel)
        return affine_weights(weight, self.channels * self.bias, self.weight_norm)

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        return math.prod(out) * (at.C // self.groups) * self.kernel**2


class ConvTranspose2d(Initialised, Node):
    """The transpose of a convolution: each input pixel adds a kernel to the output; enlarges.

    H' = (H − 1)·stride − 2·padding + kernel + output_padding.

    Dosovitskiy, Springenberg, Brox, Learning to Generate Chairs with Convolutional Neural
    Networks, CVPR 2015. N C H W → N channels H' W'. A kernel that the stride divides avoids a
    checkerboard.
    """

    category = LAYER
    aliases = ("deconvolution", "up-convolution", "fractional stride", "развёртка", "деконволюция")
    x = Input("N C H W")
    y = Output("N channels H' W'")
    channels: int = Param(min=1, max=65536, doc="output maps")
    kernel: int = Param(min=1, max=1024, unit="px")
    stride: int = Param(1, min=1, max=1024, unit="px")
    padding: int = Param(0, min=0, max=1024, unit="px", doc="how much to cut off each side")
    output_padding: int = Param(0, min=0, max=1023, unit="px", doc="added at the far sides")
    bias: bool = Param(True)
    init: Text = Param("", doc=INIT)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output_padding >= self.stride:
            raise ValueError(
                f"output_padding expects less than the stride {self.stride}, "
                f"not {self.output_padding}"
            )

    def caution(self) -> tuple[str, str] | None:
        if self.stride == 1 or self.kernel % self.stride == 0:
            return None
        text = f"kernel {self.kernel} is no multiple of stride {self.stride}: some pixels are "
        text += "written to more often than others, which shows as a checkerboard"
        near = -(-self.kernel // self.stride) * self.stride
        return text, f"make the kernel {near}, or enlarge the image and use Conv2d"

    def sizes(self, at: Axes) -> dict[str, int]:
        more = self.kernel + self.output_padding - 2 * self.padding
        high, wide = ((length - 1) * self.stride + more for length in (at.H, at.W))
        if min(high, wide) < 1:
            raise Mismatch(f"padding {self.padding} cuts off all of {at.H}×{at.W}")
        return {"H'": high, "W'": wide}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("stride", "padding", "output_padding", "bias")
        layer = Module("torch.nn.ConvTranspose2d", at.C, self.channels, self.kernel, **more)
        return initialised(layer, self.init)

    def weights(self, at: Axes) -> dict[str, Shape]:
        weight = (at.C, self.channels, self.kernel, self.kernel)
        return affine_weights(weight, self.channels * self.bias, False)

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        return at.N * at.C * at.H * at.W * self.channels * self.kernel**2


class MaskedConv2d(Initialised, Node):
    """A convolution that sees only pixels that come before, row by row; keeps the size.

    Each output is a function of the pixels above, and of those on its left. `A` hides the pixel
    itself, for the first layer; `B` shows it, for those after, whose maps hold only what was before
    already. The mask is on the kernel at every call, so no update fills it in. Stacks of kernels
    of 3 never see some pixels above on the right: a blind spot. N C H W → N channels H W.

    van den Oord, Kalchbrenner, Kavukcuoglu, Pixel Recurrent Neural Networks, ICML 2016.
    """

    category = LAYER
    aliases = ("PixelCNN", "causal convolution", "autoregressive", "masked", "маска", "причинная")
    words = LAYERS
    x = Input("N C H W")
    y = Output("N channels H W")
    channels: int = Param(min=1, max=65536, doc="output maps")
    kernel: int = Param(3, min=1, max=1023, unit="px", doc="odd, so that it has a centre")
    mask: Literal["A", "B"] = Param("B", doc="A hides the pixel itself too")
    bias: bool = Param(True)
    init: Text = Param("", doc=INIT)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel expects an odd number, not {self.kernel}")
        if self.kernel == 1 and self.mask == "A":
            raise ValueError("kernel expects at least 3 with the mask A, which hides the centre")

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("mask", "bias")
        layer = Module(".ops.masked_conv.MaskedConv2d", at.C, self.channels, self.kernel, **more)
        return initialised(layer, self.init)

    def weights(self, at: Axes) -> dict[str, Shape]:
        weight = (self.channels, at.C, self.kernel, self.kernel)
        return affine_weights(weight, self.channels * self.bias, False)

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        return math.prod(out) * at.C * self.kernel**2


class FFTConv2d(Initialised, Node):
    """A convolution with a large kernel, computed by Fourier transforms; keeps the size.

    The same numbers as Conv2d with padding `same`: V = F⁻¹( F(U) · conj F(K) ), summed over input
    maps. Faster than Conv2d from kernels of about 11 px. N C H W → N channels H W.

    Mathieu, Henaff, LeCun, Fast Training of Convolutional Networks through FFTs, ICLR 2014.
    """

    category = LAYER
    aliases = ("Fourier convolution", "large kernel", "filter bank", "свёртка через Фурье")
    x = Input("N C H W")
    y = Output("N channels H W")
    channels: int = Param(min=1, max=65536, doc="output maps")
    kernel: int = Param(min=1, max=1024, unit="px")
    boundary: Literal["circular", "zeros"] = Param("circular")
    bias: bool = Param(True)
    init: Text = Param("", doc=INIT)

    def sizes(self, at: Axes) -> dict[str, int]:
        if self.boundary == "circular" and self.kernel > min(at.H, at.W):
            raise Mismatch(f"a circular kernel of {self.kernel} is larger than {at.H}×{at.W}")
        return {}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("boundary", "bias")
        layer = Module(".ops.fft_conv.FFTConv2d", at.C, self.channels, self.kernel, **more)
        return initialised(layer, self.init)

    def weights(self, at: Axes) -> dict[str, Shape]:
        weight = (self.channels, at.C, self.kernel, self.kernel)
        return affine_weights(weight, self.channels * self.bias, False)

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        pixels = at.H * at.W
        maps = at.N * at.C + at.N * self.channels + at.C * self.channels
        return maps * pixels * pixels.bit_length() + 2 * at.N * at.C * self.channels * pixels


class Linear(Initialised, Node):
    """Matrix product: y = x Wᵀ + b; every output sees every input.

    Rosenblatt, The Perceptron, Psychological Review, 1958. N D → N features.
    """

    category = LAYER
    aliases = ("FC", "fully connected", "dense", "matrix multiplication", "полносвязный")
    words = FITTED
    x = Input("N D")
    y = Output("N features")
    features: int = Param(min=1, max=1_000_000)
    bias: bool = Param(True)
    weight_norm: bool = Param(False, doc=WEIGHT_NORM)
    init: Text = Param("", doc=INIT)

    def recipe(self, at: Axes) -> Recipe:
        layer = Module("torch.nn.Linear", at.D, self.features, **self.changed("bias"))
        return weight_normed(initialised(layer, self.init), self.weight_norm)

    def weights(self, at: Axes) -> dict[str, Shape]:
        return affine_weights((self.features, at.D), self.features * self.bias, self.weight_norm)

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        return at.N * at.D * self.features


class Embedding(Initialised, Node):
    """A learned vector for each class: row `label` of a table.

    Bengio et al., A Neural Probabilistic Language Model, JMLR 2003. N labels → N features. Labels
    lie in 0 … classes − 1.
    """

    category = LAYER
    classes_from = "classes"
    aliases = ("lookup table", "class code", "вложение", "эмбеддинг")
    labels = Input("N", kind="labels")
    y = Output("N features")
    classes: int = Param(min=1, max=1_000_000)
    features: int = Param(min=1, max=65536)
    init: Text = Param("", doc=INIT)

    def recipe(self, at: Axes) -> Recipe:
        return initialised(Module("torch.nn.Embedding", self.classes, self.features), self.init)

    def weights(self, at: Axes) -> dict[str, Shape]:
        return {"weight": (self.classes, self.features)}
