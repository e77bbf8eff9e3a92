"""Examples of before among those of now."""

import torch
from torch import Tensor, nn


class Replay(nn.Module):
    """Swaps examples with kept ones, which are part of the state: they come back with it."""

    kept: Tensor
    seen: Tensor

    def __init__(self, size: int, shape: tuple[int, ...], probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.register_buffer("kept", torch.zeros(size, *shape))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))  # up to size

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """N …, in training some of them earlier ones."""
        if not self.training:
            return x.detach()
        n, size = len(x), len(self.kept)
        chance = torch.rand(n, device=x.device) < self.probability
        drawn = torch.randperm(size, device=x.device)[:n]  # no place twice
        # All on the device, which nobody waits for: whether it is full is a tensor, too.
        full = self.seen >= size
        place = self.seen + torch.arange(n, device=x.device)
        stores = torch.where(full, chance, place < size)
        slot = torch.where(full, drawn, place % size)
        earlier = self.kept[slot]
        rows = stores.view(-1, *[1] * (x.ndim - 1))
        self.kept[slot] = torch.where(rows, x.to(earlier.dtype), earlier)
        self.seen.add_(n).clamp_(max=size)
        return torch.where(rows & full, earlier.to(x.dtype), x)
