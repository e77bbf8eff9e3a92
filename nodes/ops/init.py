"""How the weights of a layer start."""

from typing import Any

import torch
from torch import Tensor, nn


def initialised(module: nn.Module, init: str) -> nn.Module:
    """`module` with its weight drawn as `init` says, and its bias 0.

    `normal s` is N(0, s), `uniform r` is U(−r, r), `he` keeps the variance through a ReLU (He et
    al., ICCV 2015), `xavier` through a linear layer (Glorot & Bengio, AISTATS 2010). A
    normalisation's weight is drawn around 1. `data` is as in `data_dependent`.
    """
    if init == "data":
        return data_dependent(module)
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
    number = float(width or 0.0) if word != "values" else 0.0
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
    if word == "values":
        with torch.no_grad():
            found = torch.tensor([float(n) for n in width.split()], dtype=weight.dtype)
            return weight.copy_(found.view_as(weight))
    if word in ("zeros", "constant"):
        return nn.init.constant_(weight, number)
    raise ValueError(f"init expects normal, uniform, he, xavier, orthogonal or zeros, not {init!r}")


def data_dependent(layer: Any) -> Any:
    """`layer`, set by the first batch that it is trained with so that its outputs are normalised.

    Each feature or map then has mean 0 and variance 1 over that batch. Salimans & Kingma, Weight
    Normalization, NIPS 2016, section 3. Several processes take the batch of all.
    """
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    nn.init.normal_(weight, 0.0, 0.05)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)
    layer.register_buffer("was_fitted", torch.tensor(False))

    def wait(layer: Any, *_: object) -> None:  # a checkpoint may be of before or after it
        layer.waits = True

    wait(layer)
    layer.register_load_state_dict_post_hook(wait)
    layer.register_forward_pre_hook(fit_to_batch)
    return layer


def fit_to_batch(layer: Any, inputs: tuple[Tensor, ...]) -> None:
    """Set the weights of a layer by a batch, if it has not been done."""
    if not (layer.training and layer.waits):
        return
    layer.waits = False  # in the layer's time this is asked once: it waits for the device
    if layer.was_fitted:
        return
    with torch.no_grad():
        y = layer.forward(inputs[0])
        rows = y.transpose(0, 1).flatten(1)  # features first
        mean, square = rows.mean(1), rows.square().mean(1)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            both = torch.stack([mean, square])
            torch.distributed.all_reduce(both)
            mean, square = both / torch.distributed.get_world_size()
        scale = (square - mean.square() + 1e-8).rsqrt()
        normed = getattr(layer, "parametrizations", {})
        length = normed["weight"].original0 if "weight" in normed else layer.weight
        length *= scale.view(-1, *[1] * (length.ndim - 1))
        if layer.bias is not None:
            layer.bias.sub_(mean).mul_(scale)
        layer.was_fitted.fill_(True)
