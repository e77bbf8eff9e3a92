"""Additive noise."""

import torch
from torch import Tensor, nn


class GaussianNoise(nn.Module):
    """x + std · ε while training, or `always`; else x."""

    def __init__(self, always: bool = False) -> None:
        super().__init__()
        self.always = always

    def forward(self, x: Tensor, std: float | Tensor) -> Tensor:
        """Any shape."""
        return x + std * torch.randn_like(x) if self.training or self.always else x
