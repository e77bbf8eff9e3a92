"""Convolution by Fourier transforms, for large kernels."""

import math

import torch
from torch import Tensor, nn


class FFTConv2d(nn.Module):
    """conv2d(x, weight, bias) that keeps the size, with a circular or zero boundary."""

    def __init__(
        self, inputs: int, channels: int, kernel: int, boundary: str = "circular", bias: bool = True
    ) -> None:
        super().__init__()
        self.kernel, self.boundary = kernel, boundary
        self.weight = nn.Parameter(torch.empty(channels, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(channels)) if bias else None
        # As torch.nn.Conv2d starts.
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(inputs * kernel * kernel)
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """N C H W → N channels H W."""
        high, wide = x.shape[-2:]
        before = (self.kernel - 1) // 2  # conv2d pads `same` with the smaller half in front
        more = 0 if self.boundary == "circular" else self.kernel - 1
        size = (high + more, wide + more)
        u = torch.fft.rfft2(x, s=size)
        k = torch.fft.rfft2(self.weight, s=size)
        y = torch.fft.irfft2(torch.einsum("nchw,ochw->nohw", u, k.conj()), s=size)
        # Correlation puts the window that starts at a pixel there; `same` has it at the middle.
        y = y.roll((before, before), (-2, -1))[..., :high, :wide]
        return y if self.bias is None else y + self.bias[:, None, None]
