"""Convolutions that see only what comes before a pixel.

van den Oord, Kalchbrenner, Kavukcuoglu, Pixel Recurrent Neural Networks, ICML 2016.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class MaskedConv2d(nn.Conv2d):
    """conv2d that keeps the size, its kernel 0 at the pixels that come after the centre."""

    mask: Tensor

    def __init__(
        self, inputs: int, channels: int, kernel: int, mask: str = "B", bias: bool = True
    ) -> None:
        super().__init__(inputs, channels, kernel, padding=kernel // 2, bias=bias)
        before = torch.arange(kernel * kernel) < kernel * kernel // 2 + (mask == "B")
        seen = before.view(kernel, kernel).to(self.weight.dtype)
        self.register_buffer("mask", seen, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """N C H W → N channels H W."""
        return functional.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)
