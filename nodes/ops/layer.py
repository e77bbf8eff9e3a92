"""Layers with a forward and a backward of their own, as torch sees them."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Given:
    """What a script without nodegraph makes of a declaration: its parameters as attributes."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class WrittenFunction(torch.autograd.Function):
    """The mathematics of a layer: one output, and a gradient for each input and weight."""

    @staticmethod
    def forward(ctx: Any, layer: Any, *values: Any) -> Tensor:
        """layer.forward(*values); numbers among the values have no gradient."""
        y: Tensor = layer.forward(*values)
        ctx.layer = layer
        ctx.numbers = [None if isinstance(v, Tensor) else v for v in values]
        ctx.save_for_backward(*(v for v in values if isinstance(v, Tensor)), y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """layer.backward(dy, *values, y), checked: one gradient for each, of its shape."""
        *saved, y = ctx.saved_tensors
        tensors = iter(saved)
        values = [next(tensors) if n is None else n for n in ctx.numbers]
        found = ctx.layer.backward(dy, *values, y)
        found = found if isinstance(found, tuple) else (found,)
        name = type(ctx.layer).__name__
        if len(found) != len(values):
            told = f"{name}.backward returned {len(found)} gradients, forward has {len(values)}"
            raise ValueError(f"{told} inputs and weights; return one for each, or None")
        for place, (gradient, value) in enumerate(zip(found, values), 1):
            if isinstance(gradient, Tensor) and gradient.shape != value.shape:
                have, want = tuple(gradient.shape), tuple(value.shape)
                told = f"{name}.backward: gradient {place} has the shape {have}, its value {want}"
                raise ValueError(f"{told}; sum over what forward has repeated")
        return None, *found


class Written(nn.Module):
    """A layer and its weights. It computes in the precision of its weights, also in autocast."""

    def __init__(self, layer: Any, weights: tuple[tuple[str, tuple[int, ...]], ...]) -> None:
        super().__init__()
        self.layer = layer
        fan_in = weights[0][1] if weights else (1,)
        bound = (fan_in[0] / torch.Size(fan_in).numel()) ** 0.5
        for name, shape in weights:
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))

    def forward(self, *inputs: Any) -> Tensor:
        """The output for some inputs."""
        weights = [*self._parameters.values()]
        half = (torch.float16, torch.bfloat16)
        values = [v.float() if isinstance(v, Tensor) and v.dtype in half else v for v in inputs]
        device = next((v.device.type for v in inputs if isinstance(v, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            y: Tensor = WrittenFunction.apply(self.layer, *values, *weights)
        return y
