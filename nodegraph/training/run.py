"""Run folders: the graph as trained, the generated source, metrics, checkpoints."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import files
from ..checks import check_chosen, settled
from ..compiler.text import Where, nowhere
from ..graph import Graph, GraphError, choose
from ..library import standard
from . import checkpoint
from .trainer import Options, Trainer

GRAPH, ABOUT = "graph.yaml", "run.json"


def checked(graph: Graph, preset: str, settings: Mapping[str, Any] | None) -> Graph:
    """A graph ready to train. Raises GraphError with all its errors."""
    graph = choose(graph, preset, settings)
    errors = [str(p) for p in check_chosen(graph, standard(), {}) if p.severity == "error"]
    if errors:
        raise GraphError("\n".join(errors))
    return settled(graph)


def start(
    graph: Graph,
    preset: str = "",
    settings: Mapping[str, Any] | None = None,
    run: Path | None = None,
    options: Options = Options(),  # noqa: B008 - a frozen value
    text: str | None = None,
    where: Where = nowhere,
) -> Trainer:
    """A trainer at the beginning. With `run` its folder is made, whole or not at all: it holds
    a checkpoint from the first moment on.

    `text` is the graph's file, to be kept with its comments.
    """
    ready = checked(graph, preset, settings)
    first = int(os.environ.get("RANK", "0")) == 0
    if run is not None and first and run.exists():
        raise GraphError(f"{run} is there already; choose another folder, or --resume {run}")
    trainer = Trainer(ready, options, where=where)
    if run is not None and first:
        about = {
            "title": graph.meta.get("title", ""), "preset": preset,
            "settings": dict(settings or {}), "options": asdict(options),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }  # fmt: skip
        partial = run.with_name(f".{run.name}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            (partial / GRAPH).write_text(text or files.dumps(graph), encoding="utf-8")
            (partial / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
            shutil.copyfile(str(trainer.module.__file__), partial / "network.py")
            trainer.run = partial
            trainer.save()
            os.replace(partial, run)
        except OSError as error:
            raise GraphError(f"can't make the run's folder {run}: {error.strerror}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        trainer.run = run
    return trainer


def resume(run: Path, at: str = "", **changes: Any) -> Trainer:
    """A trainer where a checkpoint of a run stands, the newest if none is named; `changes` replace
    its options.

    Raises GraphError when `run` is no run's folder.
    """
    try:
        about = json.loads((run / ABOUT).read_text(encoding="utf-8"))
        options = replace(Options(**about["options"]), **changes)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GraphError(f"{run} is no folder of a run: {error}") from error
    graph = checked(files.load(run / GRAPH), about["preset"], about["settings"])
    weights, state = checkpoint.load(checkpoint.latest(run))
    first = int(os.environ.get("RANK", "0")) == 0
    trainer = Trainer(graph, options, run if first else None)
    trainer.load_state(weights, state)
    if first:
        trim(run / "metrics.jsonl", state["log"])
    return trainer


def trim(log: Path, size: int) -> None:
    """Drop the reports that were made after the checkpoint."""
    if log.exists() and log.stat().st_size > size:
        os.truncate(log, size)


def folder_for(graph: Graph, out: Path) -> Path:
    """A new name for a run in `out`: the title and the time."""
    title = "".join(c if c.isalnum() else "-" for c in graph.meta.get("title", "graph").lower())
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{title.strip('-')}-{stamp}"
    number = 2
    while (out / name).exists():
        name, number = f"{title.strip('-')}-{stamp}-{number}", number + 1
    return out / name
