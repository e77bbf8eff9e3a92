"""A picture says where it comes from; one that does not is refused in a sentence."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from nodegraph import files, provenance
from nodegraph.training.frames import save_png, store
from nodegraph.training.previews import Previews
from nodegraph.training.run import start
from nodegraph.training.trainer import Options, Trainer

TEXT = """nodegraph: 1
title: Small
params: {size: 16}
presets: {larger: {size: 20}}
nodes:
  data: {type: FontDigits, batch: 4, count: 16, held_out: 16, size: $size}
  flat: {type: Flatten, in: {x: data.image}}
  scores: {type: Linear, features: 10, in: {x: flat}}
  loss: {type: CrossEntropy, in: {logits: scores, labels: data.label}}
  adam: {type: Adam, lr: 0.001, over: [scores], in: {loss: loss}}
  images: {type: ImageGrid, columns: 2, rows: 2, in: {images: data.image}}
train:
  - {stage: learn, steps: 40, run: [adam]}
"""


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    made = start(
        files.parse(TEXT).graph, "larger", {}, tmp_path / "first", Options(seed=3, device="cpu"),
        text=TEXT,
    )  # fmt: skip
    made.enter()
    return made


def test_a_picture_gives_back_where_it_comes_from(trainer: Trainer, tmp_path: Path) -> None:
    for _ in range(3):
        trainer.step()
    trainer.save()
    trainer.step()
    (preview,) = Previews(trainer).compute()
    path = store(preview, trainer)
    assert path == tmp_path / "first" / "previews" / "images" / "00-00000004.png"
    assert provenance.read_png(path) == {
        "graph": hashlib.sha256(TEXT.encode()).hexdigest(), "title": "Small", "run": "first",
        "preset": "larger", "settings": {}, "seed": 3, "stage": "learn", "index": 0, "step": 4,
        "checkpoint": "00-00000003", "node": "images", "view": "ImageGrid",
    }  # fmt: skip
    pixels = np.asarray(Image.open(path))
    header = preview.header
    assert pixels.shape == (header["height"], header["width"], 3)
    assert pixels.tobytes() == preview.payload
    assert json.loads(Image.open(path).text["nodegraph"])["step"] == 4  # type: ignore[attr-defined]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_run_without_a_folder_is_told_by_its_graph(tmp_path: Path) -> None:
    trainer = start(files.parse(TEXT).graph, options=Options(device="cpu"))
    (preview,) = Previews(trainer).compute()
    about = provenance.read_png(save_png(tmp_path / "a.png", preview, trainer))
    assert (about["run"], about["checkpoint"], about["step"]) == ("", "", 0)
    assert about["graph"] == hashlib.sha256(files.dumps(trainer.graph).encode()).hexdigest()


def test_frames_are_thinned_evenly(trainer: Trainer) -> None:
    previews = Previews(trainer)
    folder = None
    for _ in range(30):
        trainer.step()
        (preview,) = previews.compute()
        folder = store(preview, trainer).parent
        provenance.thin(folder, 8)
    assert folder is not None
    steps = [int(p.stem.split("-")[1]) for p in provenance.frames(folder)]
    assert len(steps) == 8 and steps[0] == 1 and steps[-1] == 30
    gaps = np.diff(steps)
    assert gaps.max() <= 4 * gaps.min(), steps


def test_frames_of_a_past_that_was_gone_back_on_are_dropped(trainer: Trainer) -> None:
    previews = Previews(trainer)
    for _ in range(4):
        trainer.step()
        store(previews.compute()[0], trainer)
    trainer.done = 2
    path = store(previews.compute()[0], trainer)
    assert [p.stem[-1] for p in provenance.frames(path.parent)] == ["1", "2"]


@pytest.mark.parametrize("change", ["another program's", "text", "empty", "cut", "damaged"])
def test_a_picture_without_it_is_refused_in_a_sentence(
    change: str, trainer: Trainer, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    save_png(path, Previews(trainer).compute()[0], trainer)
    data = path.read_bytes()
    if change == "another program's":
        Image.new("RGB", (4, 4)).save(path)
    elif change == "damaged":
        path.write_bytes(data.replace(b'"step"', b'"stop"'))
    else:
        path.write_bytes({"text": b"hello", "empty": b"", "cut": data[:60]}[change])
    with pytest.raises(ValueError, match="^picture.png .*; open one from a run's previews folder$"):
        provenance.read_png(path)


def test_reading_a_picture_needs_no_torch() -> None:
    code = "import sys, nodegraph.provenance; print('torch' in sys.modules, 'PIL' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]
