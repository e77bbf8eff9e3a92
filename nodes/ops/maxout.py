"""Maxout units."""

from torch import Tensor


def maxout(x: Tensor, pieces: int) -> Tensor:
    """The largest of each `pieces` neighbouring features: N C … → N C/pieces …."""
    return x.unflatten(1, (-1, pieces)).amax(2)
