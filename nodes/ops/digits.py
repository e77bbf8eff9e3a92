"""The handwritten digits of scikit-learn."""

import numpy
import torch
from torch.nn import functional

from .images import packaged
from .source import Dataset, as_range


class Digits(Dataset):
    """UCI optdigits: image N channels size size, label N."""

    def __init__(
        self, batch: int, size: int = 16, channels: int = 1, range: str = "0..1",
        enlarged: str = "bicubic",
    ) -> None:  # fmt: skip
        self.batch, self.size, self.channels, self.range = batch, size, channels, range
        self.enlarged = enlarged

    def load(self) -> None:
        """Enlarge, and split 1400 : 397 by a fixed permutation."""
        rows = numpy.loadtxt(packaged("sklearn", "datasets/data/digits.csv.gz"), delimiter=",")
        data = torch.from_numpy(rows)  # N 65: pixels of 0..16, the label
        small = data[:, :64].reshape(-1, 1, 8, 8).float() / 16
        large = functional.interpolate(
            small, size=(self.size, self.size), mode=self.enlarged, align_corners=False
        )
        images = as_range(large.clamp(0, 1), self.range).repeat(1, self.channels, 1, 1)
        labels = data[:, 64].long()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        train, test = order[:1400], order[1400:]
        self.train = (images[train], labels[train])
        self.test = (images[test], labels[test])
