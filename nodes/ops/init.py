"""How the weights of a layer start."""

import torch
from torch import Tensor, nn


def initialised(module: nn.Module, init: str) -> nn.Module:
    """`module` with its weight drawn as `init` says, and its bias 0.

    `normal s` is N(0, s), `uniform r` is U(−r, r), `he` keeps the variance through a ReLU (He et
    al., ICCV 2015), `xavier` through a linear layer (Glorot & Bengio, AISTATS 2010). A
    normalisation's weight is drawn around 1.
    """
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)
    if isinstance(weight, Tensor):
        draw(weight, init)
        if weight.dim() == 1 and init != "zeros":
            with torch.no_grad():
                weight += 1.0
    return module


def draw(weight: Tensor, init: str) -> Tensor:
    """Fill `weight` in place, as `init` says."""
    word, _, width = init.partition(" ")
    number = float(width or 0.0)
    if word == "normal":
        return nn.init.normal_(weight, 0.0, number)
    if word == "uniform":
        return nn.init.uniform_(weight, -number, number)
    if word == "he":
        return nn.init.kaiming_normal_(weight, nonlinearity="relu")
    if word == "xavier":
        return nn.init.xavier_uniform_(weight)
    if word == "orthogonal":
        return nn.init.orthogonal_(weight)
    if word == "ones":
        return nn.init.ones_(weight)
    if word in ("zeros", "constant"):
        return nn.init.constant_(weight, number)
    raise ValueError(f"init expects normal, uniform, he, xavier, orthogonal or zeros, not {init!r}")
