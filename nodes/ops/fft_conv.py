"""Convolution by Fourier transforms, for large kernels."""

import math

import torch
from torch import Tensor, nn

FEW = 4  # channels, as of an image: a sum of products takes less time than products of matrices


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
        self.kept: tuple[object, Tensor] | None = None  # what a spectrum is of, and the spectrum

    def spectrum(self, size: tuple[int, int]) -> Tensor:
        """The transform of the flipped kernels; of frozen ones it is kept, being most of the work.

        It is made anew when they are loaded or moved to a device.
        """
        frozen = not (self.weight.requires_grad or torch.is_inference_mode_enabled())
        if not frozen or torch.compiler.is_compiling():
            return torch.fft.rfft2(self.weight.flip(-2, -1), s=size)
        of = size, self.weight._version, self.weight.data_ptr()
        if self.kept is None or self.kept[0] != of:
            self.kept = of, torch.fft.rfft2(self.weight.flip(-2, -1), s=size)
        return self.kept[1]

    def forward(self, x: Tensor) -> Tensor:
        """N C H W → N channels H W."""
        high, wide = x.shape[-2:]
        more = 0 if self.boundary == "circular" else self.kernel - 1
        size = high + more, wide + more
        u, k = torch.fft.rfft2(x, s=size), self.spectrum(size)
        few = self.weight.shape[1] <= FEW
        y = (u[:, None] * k).sum(2) if few else torch.einsum("nchw,ochw->nohw", u, k)
        # A flipped kernel has the window that ends at a pixel there; `same` has it at the middle,
        # with the larger half behind.
        after = self.kernel // 2
        y = torch.fft.irfft2(y, s=size).roll((-after, -after), (-2, -1))[..., :high, :wide]
        return y if self.bias is None else y + self.bias[:, None, None]
