"""What of a run lives on when its graph changes: weights, buffers, and the states of optimisers.

A layer lives on when a node of its name, or of the new name that it was given, is of the same type
and all its tensors have their shapes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ..body import Body, Call
from ..compiler.runtime import Stage
from ..compiler.text import attribute
from ..origins import Former


@dataclass(frozen=True)
class Layers:
    """The layers with weights of a new graph that live on or begin anew, and those of the old one
    that are lost, as dotted names."""

    kept: tuple[str, ...]
    fresh: tuple[str, ...]
    lost: tuple[str, ...]
    tensors: Mapping[str, str]  # the names of what lives on, by new ones


def networks(module: ModuleType) -> dict[str, str]:
    """The classes of a generated module that hold weights, as syntax: comments do not count."""
    return _networks(module.TEXT)


@lru_cache(maxsize=8)
def _networks(text: str) -> dict[str, str]:
    tree = ast.parse(text)
    classes = (c for c in tree.body if isinstance(c, ast.ClassDef))
    return {c.name: ast.dump(c) for c in classes if "nn.Module" in map(ast.unparse, c.bases)}


def leaves(body: Body, inside: str = "") -> Iterator[tuple[str, Call]]:
    """The layers of a body by their dotted names, at any depth."""
    for name, call in body.calls.items():
        if call.owner != name:
            continue
        if call.body is not None:
            yield from leaves(call.body, f"{inside}{name}.")
        else:
            yield inside + name, call


def by_layer(body: Body, net: nn.Module) -> dict[str, dict[str, Tensor]]:
    """The tensors of each layer, weights and buffers, by the rest of their names."""
    paths = {attribute(path): path for path, _ in leaves(body)}
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in net.state_dict().items():
        parts = key.split(".")
        for n in range(len(parts) - 1, 0, -1):
            if path := paths.get(".".join(parts[:n]), ""):
                found.setdefault(path, {})[".".join(parts[n:])] = value
                break
    return found


@torch.no_grad()
def carry(old: Body, old_net: nn.Module, new: Body, new_net: nn.Module, was: Former) -> Layers:
    """Copy what lives on into a new network (or the same one); what became of the layers."""
    before, after = by_layer(old, old_net), by_layer(new, new_net)
    calls = dict(leaves(old)), dict(leaves(new))
    former = {path: was(path) for path in after}

    def same(path: str) -> bool:
        at = former[path]
        shapes = [{k: v.shape for k, v in side.items()}
                  for side in (before.get(at, {}), after[path])]  # fmt: skip
        types = [type(side[p].node) if p in side else None for side, p in zip(calls, (at, path))]
        return shapes[0] == shapes[1] and types[0] is types[1]

    going_on = {path: former[path] for path in after if same(path)}
    if old_net is not new_net:
        for path, at in going_on.items():
            for key, value in after[path].items():
                value.copy_(before[at][key])
    weighty = [p for p in after if calls[1][p].weights()]
    return Layers(
        tuple(p for p in weighty if p in going_on),
        tuple(p for p in weighty if p not in going_on),
        tuple(p for p in before if p not in going_on.values() and calls[0][p].weights()),
        {f"{attribute(path)}.{key}": f"{attribute(at)}.{key}"
         for path, at in going_on.items() for key in after[path]},
    )  # fmt: skip


def carry_optimisers(
    old: Stage, old_net: nn.Module, new: Stage, new_net: nn.Module, layers: Layers, was: Former
) -> list[str]:
    """Give the optimisers of a stage the states that their namesakes had; which begin anew."""
    there = dict(old_net.named_parameters())
    before = {now: there[at] for now, at in layers.tensors.items() if at in there}
    after = {weight: name for name, weight in new_net.named_parameters()}
    restarted = []
    for name, optimiser in new.optimisers.items():
        former = old.optimisers.get(was(name))
        if former is None or not alike(former, optimiser):
            restarted.append(name)
            continue
        mine = [after[w] for group in optimiser.param_groups for w in group["params"]]
        weights = dict(zip(mine, (w for g in optimiser.param_groups for w in g["params"])))
        olds = {id(w) for group in former.param_groups for w in group["params"]}
        going_on = [n for n in mine if id(before.get(n)) in olds]
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
