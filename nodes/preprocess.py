"""What published networks want images to be, and the way back."""

from typing import Literal

from nodegraph.node import Axes, Function, Input, Node, Output, Param, Recipe

Convention = Literal["torchvision", "caffe"]
WHICH = "that the weights were trained with; the two never mix"


class Preprocess(Node):
    """An image as a published network wants it: its channels shifted and scaled.

    `torchvision`: RGB, (x − mean) / std with mean 0.485 0.456 0.406 and std 0.229 0.224 0.225.
    `caffe` (VGG's authors, Gatys): BGR, 255·x − mean with mean 103.939 116.779 123.68.

    Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR
    2015. N 3 H W in 0..1 → N 3 H W.
    """

    category = "normalisation"
    aliases = ("Normalize", "mean and std", "ImageNet", "BGR", "предобработка")
    x = Input("N 3 H W", kind="image")
    y = Output("N 3 H W")
    convention: Convention = Param("torchvision", doc=WHICH)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.preprocess.preprocess", self.convention)


class Luminance(Node):
    """How bright each pixel is to the eye: Y = 0.299 R + 0.587 G + 0.114 B.

    ITU-R Recommendation BT.601. A content that is compared in it leaves the colours free; for a
    style that keeps them: Gatys, Bethge, Hertzmann, Shechtman, Preserving Color in Neural Artistic
    Style Transfer, 2016. N 3 H W → N 1 H W.
    """

    category = "normalisation"
    aliases = ("grey", "grayscale", "luma", "brightness", "original colours", "яркость")
    x = Input("N 3 H W", kind="image")
    y = Output("N 1 H W", kind="image")

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.preprocess.luminance")


class Deprocess(Node):
    """The way back from `Preprocess`: an image in 0..1 that can be shown; nothing is cut off.

    N 3 H W → N 3 H W.
    """

    category = "normalisation"
    aliases = ("Denormalize", "unnormalise", "postprocess", "ImageNet", "обратная предобработка")
    x = Input("N 3 H W")
    y = Output("N 3 H W", kind="image")
    convention: Convention = Param("torchvision", doc=WHICH)

    def recipe(self, at: Axes) -> Recipe:
        return Function(".ops.preprocess.deprocess", self.convention)
