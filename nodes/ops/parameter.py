"""Tensors that a graph holds: one that learns, one that does not."""

import torch
from torch import Tensor, nn

from .init import draw


class Parameter(nn.Module):
    """A trainable tensor; calling it gives the tensor."""

    def __init__(self, shape: tuple[int, ...], init: str, double: bool = False) -> None:
        super().__init__()
        empty = torch.empty(shape, dtype=torch.float64 if double else None)
        # Contiguous: LBFGS flattens gradients with view, which fails on permuted ones.
        self.value = nn.Parameter(draw(empty, init).contiguous())

    def forward(self) -> Tensor:
        """The tensor."""
        return self.value


class Constant(nn.Module):
    """A tensor that holds one number everywhere; moves with the module, is not saved."""

    value: Tensor

    def __init__(self, number: float, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("value", torch.full(shape, number), persistent=False)

    def forward(self) -> Tensor:
        """The tensor."""
        return self.value


class Linspace(Constant):
    """Numbers from start to stop, steps 1."""

    def __init__(self, start: float, stop: float, steps: int) -> None:
        super().__init__(0.0, (steps, 1))
        self.value += torch.linspace(start, stop, steps)[:, None]


class Checkerboard(Constant):
    """1 where the sum of the indices is even, or odd, and 0 elsewhere."""

    def __init__(self, shape: tuple[int, ...], odd: bool = False) -> None:
        super().__init__(0.0, shape)
        places = torch.meshgrid(*map(torch.arange, shape), indexing="ij")
        self.value += (torch.stack(places).sum(0) + odd + 1) % 2


class ChannelMask(Constant):
    """1 in the first half of the channels, or in the second, and 0 elsewhere."""

    def __init__(self, shape: tuple[int, ...], odd: bool = False) -> None:
        super().__init__(0.0, shape)
        first, second = self.value.chunk(2)
        (second if odd else first).fill_(1)


class UnitVector(nn.Module):
    """Rows with a number at `index`, batch size."""

    row: Tensor

    def __init__(self, size: int, index: int, batch: int) -> None:
        super().__init__()
        row = torch.zeros(batch, size)
        row[:, index] = 1
        self.register_buffer("row", row, persistent=False)

    def forward(self, number: float | Tensor) -> Tensor:
        """The rows."""
        return self.row * number
