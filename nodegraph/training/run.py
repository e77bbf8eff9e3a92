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

from .. import files, runs
from ..checks import check_chosen, settled
from ..compiler.script import weights
from ..compiler.text import Where, nowhere
from ..graph import Graph, GraphError, choose
from ..library import standard
from ..runs import branch
from . import checkpoint
from .trainer import Noted, Options, Trainer

__all__ = ["branch", "checked", "graph_at", "restore", "resume", "start"]


def checked(
    graph: Graph, preset: str, settings: Mapping[str, Any] | None, begun: bool = False
) -> Graph:
    """A graph ready to train. Raises GraphError with all its errors.

    A run that has `begun` has its weights: the files that they came from may be gone.
    """
    graph = choose(graph, preset, settings)
    errors = [str(p) for p in check_chosen(graph, standard(), {}) if p.severity == "error"
              and not (begun and p.where[-1:] == ("weights",))]  # fmt: skip
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
    if given := weights(trainer.body):
        trainer.load_weights(trainer.net, given, graph.folder)
    if run is not None and first:
        about = {
            "title": graph.meta.get("title", ""), "preset": preset,
            "settings": dict(settings or {}), "options": asdict(options),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "folder": graph.folder,
        }  # fmt: skip
        partial = run.with_name(f".{run.name}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            (partial / runs.GRAPH).write_text(text or files.dumps(graph), encoding="utf-8")
            (partial / runs.ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
            shutil.copyfile(str(trainer.module.__file__), partial / "network.py")
            trainer.run = partial
            trainer.save()
            os.replace(partial, run)
        except OSError as error:
            raise GraphError(f"can't make the run's folder {run}: {error.strerror}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        trainer.run, trainer.held = run, runs.claim(run)
    return trainer


def graph_at(run: Path, number: int) -> Graph:
    """The graph of a run after a change, ready to train; 0: that of the beginning."""
    text, preset, settings = runs.graph_text(run, number)
    name = f"{run / runs.GRAPHS}/{number:04d}.yaml" if number else str(run / runs.GRAPH)
    graph = files.parse(text, name).graph.with_(folder=runs.about(run).get("folder", ""))
    return checked(graph, preset, settings, begun=True)


def resume(run: Path, at: str = "", patience: float = 0.0, **changes: Any) -> Trainer:
    """A trainer where a checkpoint of a run stands; `changes` replace its options.

    Without a name it is the newest that is whole, and what was changed after it is changed again
    where it was; with one, what came after it goes as soon as training goes on. Damaged ones are
    told and set aside.
    Raises GraphError when `run` is no run's folder, and when it is being trained: whoever does so
    has `patience` seconds to end.
    """
    first = int(os.environ.get("RANK", "0")) == 0
    about = runs.about(run)
    held = runs.claim(run, patience) if first else None
    try:
        options = replace(Options(**about["options"]), **changes)
    except TypeError as error:
        raise GraphError(f"{run} is no folder of a run: {error}") from error
    named = [run / "checkpoints" / runs.Checkpoint.parse(at).name] if at else checkpoint.found(run)
    folder, (weights, state), damaged = checkpoint.newest(named)
    trainer = Trainer(graph_at(run, state.get("graph", 0)), options, run if first else None)
    trainer.held = held
    trainer.load_state(weights, state)
    for wrong in damaged if first else ():
        aside = checkpoint.set_aside(wrong.folder)
        text = f"{wrong}; it is called {aside.name} now, and the run goes on from {folder.name}"
        trainer.noted.append(Noted("", text))
    if first and at:
        trainer.returned = True
    elif first:
        trim(run / runs.METRICS, state["log"])
        trainer.ahead = [
            (edit, None if edit.update else graph_at(run, edit.graph))
            for edit in runs.edits(run)[trainer.edits :]
        ]
        for _ in trainer.catch_up():
            pass
    return trainer


def restore(trainer: Trainer, name: str) -> None:
    """Go back to a checkpoint of the run that a trainer trains, with the graph that it had.

    Raises GraphError when there is none of that name; then nothing has changed.
    """
    if trainer.run is None:
        raise GraphError("this run has no folder, so there is nothing to go back to")
    folder = trainer.run / "checkpoints" / runs.Checkpoint.parse(name).name
    weights, state = checkpoint.load(folder)
    trainer.restore(graph_at(trainer.run, state.get("graph", 0)), weights, state)


def trim(log: Path, size: int) -> None:
    """Drop the reports that were made after the checkpoint."""
    if log.exists() and log.stat().st_size > size:
        os.truncate(log, size)
