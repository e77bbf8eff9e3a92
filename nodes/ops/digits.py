"""The handwritten digits of scikit-learn."""

import torch
from torch.nn import functional

from .source import Dataset, as_range


class Digits(Dataset):
    """UCI optdigits: image N channels size size, label N."""

    def __init__(self, batch: int, size: int = 16, channels: int = 1, range: str = "0..1") -> None:
        self.batch, self.size, self.channels, self.range = batch, size, channels, range

    def load(self) -> None:
        """Enlarge, and split 1400 : 397 by a fixed permutation."""
        from sklearn.datasets import load_digits

        data = load_digits()
        small = torch.from_numpy(data.images).float()[:, None] / 16  # N 1 8 8
        large = functional.interpolate(
            small, size=(self.size, self.size), mode="bicubic", align_corners=False
        )
        images = as_range(large.clamp(0, 1), self.range).repeat(1, self.channels, 1, 1)
        labels = torch.from_numpy(data.target).long()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        train, test = order[:1400], order[1400:]
        self.train = (images[train], labels[train])
        self.test = (images[test], labels[test])
