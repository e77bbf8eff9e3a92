"""Two classes of points in the plane."""

import torch

from .source import Dataset


class Moons(Dataset):
    """Two noisy half circles: point N 2, label N 1, moon N."""

    def __init__(
        self, batch: int, count: int = 500, held_out: int = 500, noise: float = 0.3, seed: int = 0
    ) -> None:
        self.all = batch == 0  # at every draw, in their order
        self.batch = batch or count
        self.count, self.test_count, self.noise, self.data_seed = count, held_out, noise, seed

    def load(self) -> None:
        """Draw them; both splits in units of the training points' deviation."""
        from sklearn.datasets import make_moons

        def points(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
            x, moon = make_moons(count, noise=self.noise, random_state=seed)
            return torch.from_numpy(x), torch.from_numpy(moon)

        x, moon = points(self.count, self.data_seed)
        other, other_moon = points(self.test_count, self.data_seed + 1)
        mean, std = x.mean(0), x.std(0, correction=0)
        self.train = (((x - mean) / std).float(), moon.float()[:, None], moon)
        self.test = (((other - mean) / std).float(), other_moon.float()[:, None], other_moon)
        if self.all:
            self.test = self.train

    def shuffled(self) -> torch.Tensor:
        """A new order; none where all are drawn."""
        return torch.arange(self.count, device=self.device) if self.all else super().shuffled()
