"""Pictures of a run as files: each says which graph, run and step it is of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import files, provenance, runs
from ..preferences import write_whole
from .previews import Preview
from .trainer import Trainer


def provenance_of(preview: Preview, trainer: Trainer) -> dict[str, Any]:
    """Where a picture comes from, as `provenance.read_png` gives it back."""
    run, header = trainer.run, preview.header
    preset = ""
    settings: Mapping[str, Any] = {}
    saved: list[str] = []
    if run is not None:
        text, preset, settings = runs.graph_text(run, trainer.edition)
        here = (header["index"], header["step"])
        saved = [c.name for c in runs.checkpoints(run) if (c.index, c.step) <= here]
    else:
        text = files.dumps(trainer.graph)
    return {
        "graph": hashlib.sha256(text.encode()).hexdigest(),
        "title": trainer.graph.meta.get("title", ""),
        "run": run.name if run else "",
        "preset": preset,
        "settings": dict(settings),
        "seed": trainer.options.seed,
        "checkpoint": saved[-1] if saved else "",
        "node": header["name"],
        **{key: header[key] for key in ("view", "stage", "index", "step")},
    }


def as_png(preview: Preview, trainer: Trainer) -> bytes:
    """A picture as a file that says where it comes from."""
    header = preview.header
    if header["kind"] != "picture":
        raise ValueError(f"{header['name']} is a {header['kind']}, not a picture")
    about = provenance_of(preview, trainer)
    return provenance.png(header["width"], header["height"], preview.payload, about)


def save_png(path: Path, preview: Preview, trainer: Trainer) -> Path:
    """Write a picture that says where it comes from, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, as_png(preview, trainer))
    return path


def store(preview: Preview, trainer: Trainer) -> Path:
    """Keep a picture as a frame of its view in the run's folder."""
    if trainer.run is None:
        raise ValueError("the run has no folder to keep pictures in")
    header, data = preview.header, as_png(preview, trainer)
    at = header["index"], header["step"]
    return provenance.keep(trainer.run / "previews", header["name"], *at, data)
