"""Pictures of a run as files: each says which graph, run and step it is of."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import files, provenance
from . import checkpoint
from .previews import Preview
from .run import ABOUT, GRAPH
from .trainer import Trainer


def provenance_of(preview: Preview, trainer: Trainer) -> dict[str, Any]:
    """Where a picture comes from, as `provenance.read_png` gives it back."""
    run = trainer.run
    header = preview.header
    about: dict[str, Any] = {"preset": "", "settings": {}}
    text, checkpoints = files.dumps(trainer.graph), []
    if run is not None:
        about |= json.loads((run / ABOUT).read_text(encoding="utf-8"))
        text = (run / GRAPH).read_text(encoding="utf-8")
        checkpoints = [p.name for p in checkpoint.found(run) if p.name <= frame_name(header)]
    return {
        "graph": hashlib.sha256(text.encode()).hexdigest(),
        "title": trainer.graph.meta.get("title", ""),
        "run": run.name if run else "",
        "preset": about["preset"],
        "settings": about["settings"],
        "seed": trainer.options.seed,
        "checkpoint": checkpoints[-1] if checkpoints else "",
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
