"""Pictures of a run as files: each says which graph, run and step it is of."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import files, provenance, runs
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


def frame_name(header: Mapping[str, Any]) -> str:
    """Stage and step, as checkpoints are named."""
    return f"{header['index']:02d}-{header['step']:08d}"


def save_png(path: Path, preview: Preview, trainer: Trainer) -> Path:
    """Write a picture that says where it comes from, whole or not at all."""
    header = preview.header
    if header["kind"] != "picture":
        raise ValueError(f"{header['name']} is a {header['kind']}, not a picture")
    about = provenance_of(preview, trainer)
    data = provenance.png(header["width"], header["height"], preview.payload, about)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def store(preview: Preview, trainer: Trainer) -> Path:
    """Keep a picture as a frame of its view in the run's folder, `previews/NODE/II-SSSSSSSS.png`.

    Frames of later steps are dropped: they are of a past that the run went back on.
    """
    if trainer.run is None:
        raise ValueError("the run has no folder to keep pictures in")
    name = re.sub(r"[^\w.-]", ".", preview.header["name"]).strip(".") or "view"
    path = trainer.run / "previews" / name / f"{frame_name(preview.header)}.png"
    save_png(path, preview, trainer)
    for frame in provenance.frames(path.parent):
        if frame.name > path.name:
            frame.unlink(missing_ok=True)
    provenance.thin(path.parent)
    return path
