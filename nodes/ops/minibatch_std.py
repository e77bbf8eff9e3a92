"""How much the examples of a batch differ, for a judge to see."""

import torch
from torch import Tensor


def minibatch_std(x: Tensor) -> Tensor:
    """x, N C …, and a map of the mean standard deviation over the batch: N C+1 …."""
    deviation = (x.var(0, correction=0) + 1e-8).sqrt().mean()
    return torch.cat([x, deviation.expand_as(x[:, :1])], 1)
