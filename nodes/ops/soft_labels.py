"""Labels of real and fake that are not quite sure."""

import torch
from torch import Tensor, nn


class SoftLabels(nn.Module):
    """Uniform numbers in low … high, each with probability `flip` replaced by 1 − y.

    In evaluation it gives the middle.
    """

    def __init__(self, low: float, high: float, flip: float = 0.0, cut: bool = False) -> None:
        super().__init__()
        self.low, self.high, self.flip, self.cut = low, high, flip, cut

    def forward(self, like: Tensor) -> Tensor:
        """In the shape of `like`."""
        y = torch.full_like(like, (self.low + self.high) / 2)
        if self.training and self.low < self.high:
            y = self.low + (self.high - self.low) * torch.rand_like(like)
        if self.training and self.flip:
            y = torch.where(torch.rand_like(like) < self.flip, 1 - y, y)
        return y.clamp(max=1) if self.cut else y
