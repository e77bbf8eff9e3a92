"""Weights from files: read without executing anything, fitted by names, or by the order of layers.

Run beside nodegraph, and in exported scripts.
"""

import os
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .downloads import fetched
from .weight_files import PUBLISHED, compare_hash, find

Weights = Mapping[str, Tensor]


def load_weights(net: nn.Module, files: Mapping[str, str], folder: str = "") -> None:
    """Start parts of `net`, by their dotted names, from files (see `find`).

    All are read and fitted before the first is changed. Raises OSError or ValueError, in words.
    """
    read: dict[str, tuple[str, Weights]] = {}
    fitting = []
    for name, what in files.items():
        if what not in read:
            path = find(what, folder) or download(what)
            compare_hash(path)
            read[what] = path, read_weights(path)
        wanted = net.get_submodule(name).state_dict()
        fitting.append((wanted, fitted(wanted, read[what][1], name, read[what][0])))
    for wanted, found in fitting:
        for key, value in found.items():
            wanted[key].copy_(value)


def download(name: str) -> str:
    """The path of a published file in the user's cache, fetched if it is not there."""
    home, megabytes, _ = PUBLISHED[name]
    path = fetched(f"{home}/{name}", f"weights/{name}", None, megabytes)
    try:
        compare_hash(path)
    except ValueError:
        os.remove(path)
        raise
    return path


def read_weights(path: str) -> Weights:
    """The tensors of a file by name. Raises OSError or ValueError that names the file."""
    if path.endswith(".safetensors"):
        import safetensors.torch

        try:
            return safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path}: cannot be read ({error}); fetch or save it again") from error
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of many types: what a file holds may be anything
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        text = f"{path}: is no file of plain tensors ({first})"
        raise ValueError(f"{text}; save it with torch.save(net.state_dict(), path)") from error
    for key in ("state_dict", "model"):  # around the weights, in files of whole trainings
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    tensors = found.items() if isinstance(found, Mapping) else ()
    found = {k: v for k, v in tensors if isinstance(v, Tensor)}
    if not found:
        raise ValueError(f"{path}: holds no tensors by name; save a state_dict")
    return found


def fitted(wanted: Weights, found: Weights, name: str, path: str) -> dict[str, Tensor]:
    """The tensors of a file for each of `wanted`, the weights of the part `name`.

    By equal names; with the part's own name in front; with another part's name in front, if only
    one has tensors of these names and shapes; else, in a file that keeps the order of layers, the
    one run of layers with these shapes. Raises ValueError.
    """
    own = f"{name}." if name else ""
    for front in ("", own):
        if any(front + key in found for key in wanted):
            return {key: taken(found, front + key, key, wanted, name, path) for key in wanted}
    first = next(iter(wanted))
    fronts = [k.removesuffix(first) for k in found if k.endswith(f".{first}")]
    fronts = [f for f in fronts if all(
        f + k in found and found[f + k].shape == v.shape for k, v in wanted.items()
    )]  # fmt: skip
    if len(fronts) > 1:
        parts = ", ".join(f.rstrip(".") for f in fronts)
        raise ValueError(f"{path}: {parts} would all fit {name}; call it like the one you mean")
    if fronts:
        return {key: found[fronts[0] + key] for key in wanted}
    if path.endswith(".safetensors"):  # which sorts its tensors, so that their order says nothing
        holds = ", ".join(list(found)[:4])
        raise ValueError(
            f"{path}: has no part with the names and shapes of {name} (like {first}, "
            f"{sized(wanted[first])}); it holds {holds}, …; give {name} the same layers"
        )
    return in_order(wanted, found, name, path)


def taken(found: Weights, key: str, own: str, wanted: Weights, name: str, path: str) -> Tensor:
    """One tensor by its name. Raises ValueError when it is missing or of another shape."""
    if key not in found:
        text = f"{path}: has no {key}, which {name} needs ({sized(wanted[own])})"
        raise ValueError(f"{text}; take that layer out, or choose another file")
    if found[key].shape != wanted[own].shape:
        text = f"{path}: {key} is {sized(found[key])}, and {name} expects {sized(wanted[own])}"
        raise ValueError(f"{text}; give the layer that size, or choose another file")
    return found[key]


def in_order(wanted: Weights, found: Weights, name: str, path: str) -> dict[str, Tensor]:
    """Tensors by the order of layers: a run of layers of the file whose shapes are `wanted`'s."""
    mine, theirs = by_layer(wanted), by_layer(found)

    def misfit(start: int) -> str:
        """Why the layers from `start` on are not those that are wanted, or ""."""
        for (ours, parts), (other, given) in zip(mine.items(), list(theirs.items())[start:]):
            shapes = [{k: v.shape for k, v in side.items()} for side in (parts, given)]
            if shapes[0] != shapes[1]:
                return (
                    f"its layer {other} ({described(given)}) is not {name}.{ours} "
                    f"({described(parts)})"
                )
        return ""

    starts = [i for i in range(len(theirs) - len(mine) + 1) if not misfit(i)]
    if len(starts) == 1:
        run = list(theirs.values())[starts[0] :]
        return {
            f"{ours}.{k}" if ours else k: given[k]
            for (ours, parts), given in zip(mine.items(), run)
            for k in parts
        }
    if starts:
        places = ", ".join(list(theirs)[i] for i in starts)
        raise ValueError(f"{path}: {name} would fit at {places}; set `weights` on more layers")
    if len(mine) > len(theirs):
        text = f"it has {len(theirs)} layers, and {name} has {len(mine)}"
    else:
        text = f"no layers in a row are those of {name}: {misfit(0)}"
    raise ValueError(f"{path}: {text}; give them the same sizes, or choose another file")


def by_layer(weights: Weights) -> dict[str, dict[str, Tensor]]:
    """Tensors by the layer that they are of, then by the rest of their name."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in weights.items():
        layer, _, part = key.rpartition(".")
        found.setdefault(layer, {})[part] = value
    return found


def sized(tensor: Tensor) -> str:
    """A shape as people write it."""
    return "×".join(map(str, tensor.shape)) or "a scalar"


def described(parts: Weights) -> str:
    """The tensors of a layer in words."""
    return ", ".join(f"{k} {sized(v)}" for k, v in parts.items())
