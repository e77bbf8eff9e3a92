"""The exact state of a run on disk: tensors as safetensors, all else as JSON, never pickle.

A checkpoint is a folder, written under another name and renamed, so it is there whole or not at
all.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from .. import runs
from ..graph import GraphError

TENSOR = "tensor"  # {"tensor": key} in the JSON stands for a tensor in the other file
FILES = ("weights.safetensors", "state.safetensors", "state.json")

Moment = tuple[dict[str, Tensor], dict[str, Any]]  # the weights and the state of a checkpoint


class Damaged(GraphError):
    """The files of a checkpoint are missing, cut off, or not what was written."""

    def __init__(self, folder: Path, why: object) -> None:
        super().__init__(f"{folder} is no checkpoint that can be read: {why}")
        self.folder = folder


def pack(value: Any, tensors: dict[str, Tensor], path: str = "") -> Any:
    """`value` as JSON, with its tensors moved into `tensors`."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().contiguous().clone()
        return {TENSOR: path}
    if isinstance(value, Mapping):
        # JSON keys are texts, an optimiser's are numbers: keep both as pairs.
        return {"map": [[k, pack(v, tensors, f"{path}/{k}")] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [pack(v, tensors, f"{path}/{i}") for i, v in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{path}: a {type(value).__name__} can't be saved")


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `pack` was given."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == TENSOR:
        return tensors[inner]
    if kind == "map":
        return {k: unpack(v, tensors) for k, v in inner}
    items = [unpack(v, tensors) for v in inner]
    return items if kind == "list" else tuple(items)


def random_state() -> dict[str, Any]:
    """Where the random generators of torch, CUDA, NumPy and Python stand."""
    name, keys, *rest = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(np.asarray(keys, np.int64)), *rest],
        "python": [version, list(internal), gauss],
    }
    if torch.cuda.is_available():
        state["cuda"] = list(torch.cuda.get_rng_state_all())
    return state


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go back to `random_state`."""
    torch.set_rng_state(state["torch"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def save(folder: Path, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
    """Write a checkpoint at `folder`, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    tensors: dict[str, Tensor] = {}
    document = json.dumps(pack(state, tensors))
    copies = {k: v.detach().contiguous().clone() for k, v in weights.items()}
    try:
        safetensors.torch.save_file(copies, partial / FILES[0])
        safetensors.torch.save_file(tensors, partial / FILES[1])
        (partial / FILES[2]).write_text(document, encoding="utf-8")
        for path in partial.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, safetensors.SafetensorError):  # which is what a full disk gives
            raise OSError(f"{folder} can't be written: {error}") from error
        raise
    if folder.exists():  # moved away first: a folder with less than all files is never seen
        os.replace(folder, old := partial.with_suffix(".old"))
        os.replace(partial, folder)
        shutil.rmtree(old)
    else:
        os.replace(partial, folder)
    return folder


def load(folder: Path) -> Moment:
    """A checkpoint as it was saved. Raises Damaged when it is none, and GraphError when it can't be
    read."""
    try:
        weights = safetensors.torch.load_file(folder / FILES[0])
        # Cloned, as sums over a tensor that lies at another offset of a file round differently.
        tensors = {k: v.clone() for k, v in safetensors.torch.load_file(folder / FILES[1]).items()}
        document = json.loads((folder / FILES[2]).read_text(encoding="utf-8"))
        state = unpack(document, tensors)
        if not isinstance(state, dict):
            raise ValueError(f"{FILES[2]} holds no state")
        return weights, state
    except (ValueError, KeyError, TypeError, FileNotFoundError, safetensors.SafetensorError) as e:
        raise Damaged(folder, e) from e
    except OSError as error:  # which says nothing of what is in it
        raise GraphError(f"{folder} can't be read: {error.strerror or error}") from error


def found(run: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first. Raises GraphError when there is none."""
    there = [run / "checkpoints" / c.name for c in runs.checkpoints(run)]
    if not there:
        raise GraphError(f"{run} holds no checkpoint to resume from")
    return there


def newest(there: Sequence[Path]) -> tuple[Path, Moment, list[Damaged]]:
    """The last of some checkpoints that is whole, and what is wrong with those after it.

    Raises GraphError when none is.
    """
    damaged: list[Damaged] = []
    for folder in reversed(there):
        try:
            return folder, load(folder), damaged
        except Damaged as error:
            damaged.append(error)
    raise damaged[0]


def set_aside(folder: Path) -> Path:
    """Give a damaged checkpoint a name that is none of a checkpoint's; what is in it stays."""
    aside = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    return folder.rename(aside)
