"""A network whose activations have the mean 1: scaled layer by layer, it computes the same.

Gatys, Ecker, Bethge, Texture Synthesis Using Convolutional Neural Networks, NIPS 2015: with mᵢ the
mean of relu(map i) over images and positions, the filter i is divided by mᵢ, and the next layer's
weights that read map i are multiplied by it. ReLU and pooling let a positive factor through.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from ..body import Body, behind
from ..compiler.build import compile_slice
from ..graph import Graph, GraphError, Ref
from ..node import Source
from .run import start
from .trainer import Options

TOLERANCE = 1e-4  # of the outputs, in units of their largest


def normalised(
    graph: Graph, name: str, preset: str = "", settings: Mapping[str, Any] | None = None,
    images: int = 16, keep_last: bool = False, seed: int = 0,
) -> dict[str, Tensor]:  # fmt: skip
    """The weights of the node `name`, normalised on so many examples that its sources draw.

    Raises GraphError for what is no chain of layers, ReLUs and pooling.
    """
    trainer = start(graph, preset, settings, options=Options(seed, "cpu"))
    if name not in trainer.body.calls or not trainer.body.calls[name].weights():
        raise GraphError(f"no node {name!r} with weights to normalise")
    drawn: dict[str, Tensor] = {}
    for source, call in trainer.body.calls.items():
        if isinstance(call.node, Source):
            batches = [trainer.sources[source].draw()]
            while sum(len(b[0]) for b in batches) < images:
                batches.append(trainer.sources[source].draw())
            for port, values in zip(call.outputs, zip(*batches)):
                drawn[f"{source}.{port}"] = torch.cat(values)[:images]
    needed = _read(trainer.body, name, drawn)
    net = compile_slice(trainer.graph, needed, [name]).eval()
    own = trainer.net.state_dict()
    net.load_state_dict({k: own[k] for k in net.state_dict()})
    part = net.get_submodule(name)
    try:
        normalise_activations(part, lambda: net(*(drawn[n] for n in needed)), keep_last)
    except ValueError as error:
        raise GraphError(f"{name}: {error}") from error
    return {k: v.detach().contiguous() for k, v in part.state_dict().items()}


def write_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write a file that `weights` can name. Raises GraphError when it can't be written."""
    try:
        safetensors.torch.save_file(dict(weights), path)
    except (OSError, safetensors.SafetensorError) as error:
        raise GraphError(f"{path} can't be written: {error}") from error


def _read(body: Body, name: str, drawn: Container[str]) -> list[str]:
    """The outputs of sources that a node is computed from."""
    reads = [ref for n in behind(body, [Ref(name)]) for ref in body.calls[n].sources]
    outputs = (f"{ref.node}.{body.port(ref)}" for ref in reads)
    return sorted({output for output in outputs if output in drawn})


@torch.no_grad()
def normalise_activations(
    part: nn.Module, compute: Callable[[], Tensor], keep_last: bool = False
) -> None:
    """Scale the convolutions and matrix products of `part`, in the order that `compute` runs them.

    `keep_last` leaves the last one's outputs as they were. A map that is 0 everywhere stays as it
    is. Raises ValueError, after putting all back, when more than the scale of the result changes.
    """
    layers = [m for m in part.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    before = {m: [p.clone() for p in m.parameters()] for m in layers}
    order: list[nn.Module] = []
    hooks = [m.register_forward_hook(lambda m, *_: order.append(m)) for m in layers]
    wanted = compute()
    _remove(hooks)
    scale: Tensor | None = None

    def enter(layer: Any, _: Any) -> None:
        if scale is not None:
            weight, groups = layer.weight, getattr(layer, "groups", 1)
            by_input = scale.repeat_interleave(weight.shape[1] * groups // len(scale))
            parts = weight.view(groups, len(weight) // groups, *weight.shape[1:])
            ones = (1,) * (weight.ndim - 2)
            parts.mul_(by_input.view(groups, 1, weight.shape[1], *ones))

    def leave(layer: Any, _: Any, out: Tensor) -> Tensor | None:
        nonlocal scale
        scale = torch.ones(out.shape[1])
        if keep_last and layer is order[-1]:
            return None
        mean = out.relu().transpose(0, 1).flatten(1).mean(1)
        scale = torch.where(mean > 0, mean, 1.0)
        ones = (1,) * (out.ndim - 2)
        layer.weight.div_(scale.view(-1, 1, *(1,) * (layer.weight.ndim - 2)))
        if layer.bias is not None:
            layer.bias.div_(scale)
        return out / scale.view(-1, *ones)

    if len(set(order)) == len(order) > 0:
        hooks = [m.register_forward_pre_hook(enter) for m in layers]
        hooks += [m.register_forward_hook(leave) for m in layers]
        try:
            compute()
        except RuntimeError:
            pass  # layers that are not one after the other: told below
        _remove(hooks)
        found = compute()
        assert scale is not None
        if found.shape[1] % len(scale) == 0:
            ones = (1,) * (found.ndim - 2)
            found = found * scale.repeat_interleave(found.shape[1] // len(scale)).view(-1, *ones)
        if (found - wanted).abs().max() <= TOLERANCE * wanted.abs().max():
            return
    for layer, values in before.items():
        for parameter, value in zip(layer.parameters(), values):
            parameter.copy_(value)
    raise ValueError(
        "scaling its layers changes what it computes; it has to be a chain of convolutions, matrix "
        "products, ReLUs and pooling, each used once"
    )


def _remove(hooks: list[Any]) -> None:
    for hook in hooks:
        hook.remove()
