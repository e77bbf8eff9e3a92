"""What of a run lives on when its graph changes: weights, buffers, and the states of optimisers.

A layer lives on when a node of its name is of the same type and all its tensors have their shapes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ..body import Body, Call
from ..compiler.runtime import Stage
from ..compiler.text import attribute


@dataclass(frozen=True)
class Layers:
    """The layers with weights of a new graph that live on or begin anew, and those of the old one
    that are lost, as dotted names."""

    kept: tuple[str, ...]
    fresh: tuple[str, ...]
    lost: tuple[str, ...]


def networks(module: ModuleType) -> dict[str, str]:
    """The classes of a generated module that hold weights, as syntax: comments do not count."""
    return _networks(module.TEXT)


@lru_cache(maxsize=8)
def _networks(text: str) -> dict[str, str]:
    tree = ast.parse(text)
    classes = (c for c in tree.body if isinstance(c, ast.ClassDef))
    return {c.name: ast.dump(c) for c in classes if "nn.Module" in map(ast.unparse, c.bases)}


def leaves(body: Body, inside: str = "") -> Iterator[tuple[str, Call]]:
    """The layers of a body by the dotted names of their modules, at any depth."""
    for name, call in body.calls.items():
        if call.owner != name:
            continue
        path = inside + attribute(name)
        if call.body is not None:
            yield from leaves(call.body, f"{path}.")
        else:
            yield path, call


def by_layer(body: Body, net: nn.Module) -> dict[str, dict[str, Tensor]]:
    """The tensors of each layer, weights and buffers, by the rest of their names."""
    paths = dict(leaves(body))
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in net.state_dict().items():
        parts = key.split(".")
        for n in range(len(parts) - 1, 0, -1):
            if (path := ".".join(parts[:n])) in paths:
                found.setdefault(path, {})[".".join(parts[n:])] = value
                break
    return found


@torch.no_grad()
def carry(old: Body, old_net: nn.Module, new: Body, new_net: nn.Module) -> Layers:
    """Copy what lives on into a new network (or the same one); what became of the layers."""
    before, after = by_layer(old, old_net), by_layer(new, new_net)
    calls = dict(leaves(old)), dict(leaves(new))

    def same(path: str) -> bool:
        shapes = [{k: v.shape for k, v in side.get(path, {}).items()} for side in (before, after)]
        types = [type(side[path].node) if path in side else None for side in calls]
        return shapes[0] == shapes[1] and types[0] is types[1]

    going_on = [path for path in after if same(path)]
    if old_net is not new_net:
        for path in going_on:
            for key, value in after[path].items():
                value.copy_(before[path][key])
    weighty = [p for p in after if calls[1][p].weights()]
    return Layers(
        tuple(p for p in weighty if p in going_on),
        tuple(p for p in weighty if p not in going_on),
        tuple(p for p in before if p not in going_on and calls[0][p].weights()),
    )


def carry_optimisers(
    old: Stage, old_net: nn.Module, new: Stage, new_net: nn.Module, layers: Layers
) -> list[str]:
    """Give the optimisers of a stage the states that their namesakes had; which begin anew."""
    before = dict(old_net.named_parameters())
    after = {weight: name for name, weight in new_net.named_parameters()}
    fresh = tuple(f"{path}." for path in layers.fresh)
    restarted = []
    for name, optimiser in new.optimisers.items():
        former = old.optimisers.get(name)
        if former is None or not alike(former, optimiser):
            restarted.append(name)
            continue
        mine = [after[w] for group in optimiser.param_groups for w in group["params"]]
        weights = dict(zip(mine, (w for g in optimiser.param_groups for w in g["params"])))
        olds = {id(w) for group in former.param_groups for w in group["params"]}
        going_on = [n for n in mine if not n.startswith(fresh) and id(before.get(n)) in olds]
        if isinstance(optimiser, torch.optim.LBFGS):  # its state is of all weights together
            if going_on != mine or len(olds) != len(mine):
                restarted.append(name)
                continue
            going_on = mine[:1]
        for key in going_on:
            if before[key] in former.state:
                optimiser.state[weights[key]] = former.state[before[key]]
    return restarted


def alike(old: torch.optim.Optimizer, new: torch.optim.Optimizer) -> bool:
    """Whether the state of one optimiser can be that of another: rates may differ, rules not."""

    def rules(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        defaults = optimiser.defaults
        flags = {k: v for k, v in defaults.items() if v is None or isinstance(v, (bool, str))}
        return {**flags, "momentum": bool(defaults.get("momentum"))}

    return type(old) is type(new) and rules(old) == rules(new)
