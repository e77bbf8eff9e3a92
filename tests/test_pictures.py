"""`nodegraph run`: pictures from files through a part of a graph that was trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy
import pytest
import torch
from conftest import ROOT
from PIL import Image
from test_cli import says
from torch import Tensor
from torch.nn import functional

import nodegraph
from nodegraph import files
from nodegraph.graph import GraphError
from nodegraph.training import checkpoint
from nodegraph.training.pictures import is_difference, read

CONVS = """\
nodegraph: 1
params: {folder: photos}
nodes:
  picture: {type: ImageFolder, path: $folder, size: 16, batch: 4, range: -1..1, workers: 0}
  conv: {type: Conv2d, channels: 3, kernel: 3, padding: 1, in: {x: picture.image}}
  norm: {type: BatchNorm2d, in: {x: conv}}
  drop: {type: Dropout, in: {x: norm}}
  loss: {type: MSE, in: {x: drop, target: picture.image}}
  adam: {type: Adam, lr: 0.05, over: [conv, norm], in: {loss: loss}}
train:
  - {stage: fit, steps: 8, run: [adam], watch: [loss]}
"""
ROWS = CONVS.replace(
    "  norm: {type: BatchNorm2d, in: {x: conv}}\n",
    "  flat: {type: Flatten, in: {x: conv}}\n"
    "  rows: {type: Linear, features: 768, in: {x: flat}}\n"
    "  norm: {type: Reshape, size: [3, 16, 16], in: {x: rows}}\n",
).replace("[conv, norm]", "[conv, rows]")


def run_of(text: str, folder: Path) -> Path:
    """A run that is done, on photographs that are gone by now."""
    photos = folder.with_name("photos")
    for i in range(8):
        photo(photos / f"{i}.png", (20, 20), seed=i)
    graph = files.parse(text).graph
    for _ in nodegraph.train(graph, settings={"folder": str(photos)}, run=folder):
        pass
    shutil.rmtree(photos)
    return folder


def photo(path: Path, size: tuple[int, int], seed: int = 0) -> Path:
    pixels = numpy.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), numpy.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def pixels(path: Path) -> Tensor:
    """3 H W in 0..255."""
    with Image.open(path) as picture:
        return torch.from_numpy(numpy.array(picture)).permute(2, 0, 1).float()


def by_hand(weights: dict[str, Tensor], path: Path) -> Tensor:
    """What CONVS makes of a picture, in evaluation mode: 3 H W in 0..255."""
    x = pixels(path)[None] / 255 * 2 - 1
    y = functional.conv2d(x, weights["conv.weight"], weights["conv.bias"], padding=1)
    names = ("running_mean", "running_var", "weight", "bias")
    y = functional.batch_norm(y, *(weights[f"norm.{n}"] for n in names))
    return ((y[0] + 1) / 2).clamp(0, 1) * 255


def test_a_run_makes_of_a_picture_what_its_newest_checkpoint_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, given, out = run_of(CONVS, tmp_path / "run"), photo(tmp_path / "a.png", (30, 21)), "b.png"
    status, told = says(
        capsys, "run", str(run), "--input", str(given), "--output", str(tmp_path / out)
    )
    assert status == 0 and "from picture.image to drop.y" in told and "warning" not in told
    made = pixels(tmp_path / out)
    assert made.shape == (3, 21, 30)  # its own size, in one piece
    saved = checkpoint.found(run)
    new, old = (checkpoint.load(p)[0] for p in (saved[-1], saved[0]))
    assert (made - by_hand(new, given)).abs().max() <= 0.51
    assert (made - by_hand(old, given)).abs().max() > 5  # not the weights of the beginning
    (saved[-1] / "state.json").unlink()
    status, told = says(
        capsys, "run", str(run), "--input", str(given), "--output", str(tmp_path / out)
    )
    assert status == 0 and f"this one is used: {saved[-2].name}" in told
    wanted = by_hand(checkpoint.load(saved[-2])[0], given)
    assert (pixels(tmp_path / out) - wanted).abs().max() <= 0.51


def test_a_network_of_one_size_gets_the_middle_in_its_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, given = run_of(ROWS, tmp_path / "run"), photo(tmp_path / "a.jpg", (40, 30))
    out = tmp_path / "new" / "b.jpg"
    status, told = says(capsys, "run", str(run), "--input", str(given), "--output", str(out))
    assert status == 0 and "these were scaled to 16×16" in told
    assert "rows: its weight is 768×768, this needs 768×3600 (made for picture.image" in told
    assert pixels(out).shape == (3, 16, 16)


def test_a_folder_goes_into_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(CONVS, tmp_path / "run")
    for i, size in enumerate([(12, 9), (9, 12), (12, 9)]):
        photo(tmp_path / "in" / f"{i}.png", size, seed=i)
    photo(tmp_path / "in" / "0.jpg", (5, 5))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    words = ["run", str(run), "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    status, told = says(capsys, *words)
    assert status == 0 and "4/4" in told
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["0.jpg.png", "0.png.png", "1.png", "2.png"]
    weights = checkpoint.load(checkpoint.found(run)[-1])[0]
    for i in (1, 2):
        wanted = by_hand(weights, tmp_path / "in" / f"{i}.png")
        assert (pixels(tmp_path / "out" / f"{i}.png") - wanted).abs().max() <= 0.51


def test_results_are_not_read_as_pictures_and_write_over_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, photos = run_of(CONVS, tmp_path / "run"), tmp_path / "in"
    jpg, png = photo(photos / "a.jpg", (9, 9)), photo(photos / "b.png", (9, 9))
    before = png.read_bytes()
    words = ["run", str(run), "--output"]
    status, told = says(capsys, *words, str(photos / "." / ""), "--input", str(photos))
    assert status == 1 and "the next call would read the results; --output names another" in told
    status, told = says(capsys, *words, str(photos), "--input", str(jpg), str(png))
    assert status == 1 and f"{png} is read, and would be written; --output names another" in told
    assert png.read_bytes() == before and len([*photos.iterdir()]) == 2
    for _ in range(2):  # a folder within is not read
        assert says(capsys, *words, str(photos / "out"), "--input", str(photos))[0] == 0
        assert sorted(p.name for p in (photos / "out").iterdir()) == ["a.png", "b.png"]


def test_several_pictures_and_folders_go_into_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = run_of(CONVS, tmp_path / "run"), tmp_path / "out"
    given = [photo(tmp_path / name, (9, 9)) for name in ("a.png", "b.png", "in/c.png")]
    words = ["run", str(run), "--output", str(out), "--input"]
    status, told = says(capsys, *words, *map(str, [*given[:2], tmp_path / "in"]))
    assert status == 0 and "3/3" in told
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.png", "c.png"]
    again = photo(tmp_path / "in" / "a.png", (9, 9))
    status, told = says(capsys, *words, str(given[0]), str(again))
    assert status == 1 and "a.png: given twice" in told
    status, told = says(capsys, *words, str(given[0]), str(tmp_path / "none.png"))
    assert status == 1 and "none.png: no such file" in told


def test_what_can_not_be_read_keeps_no_other_from_being_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(CONVS, tmp_path / "run")
    for name in ("a.png", "z.png"):
        photo(tmp_path / "in" / name, (9, 9))
    (tmp_path / "in" / "m.png").write_text("no picture")
    words = ["run", str(run), "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    status, told = says(capsys, *words)
    assert status == 1 and "m.png can't be read as a picture" in told
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "z.png"]
    same = str(tmp_path / "in" / "a.png")
    status, told = says(capsys, "run", str(run), "--input", same, "--output", same)
    assert status == 1 and "is the picture that is read" in told
    words[-1] = str(tmp_path / "out.png")
    status, told = says(capsys, *words)
    assert status == 1 and "called as a picture" in told


def test_pictures_of_16_bits_and_with_holes_are_read_as_they_look(tmp_path: Path) -> None:
    grey = numpy.linspace(0, 65535, 64, dtype=numpy.uint16).reshape(8, 8)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    deep = numpy.array(read(tmp_path / "deep.png").convert("L"))
    assert numpy.abs(deep - grey / 257).max() <= 0.51
    hole = numpy.zeros((4, 4, 4), numpy.uint8)
    hole[0, 0] = 10, 20, 30, 255
    Image.fromarray(hole, "RGBA").save(tmp_path / "hole.png")
    found = numpy.array(read(tmp_path / "hole.png"))
    assert (
        found.shape == (4, 4, 3) and (found[0, 0] == (10, 20, 30)).all() and found[1:].min() == 255
    )


@pytest.mark.parametrize("kind", [numpy.float32, numpy.int32])
def test_numbers_of_no_known_range_are_refused(kind: type, tmp_path: Path) -> None:
    Image.fromarray(numpy.ones((4, 4), kind)).save(tmp_path / "raw.tif")
    with pytest.raises(GraphError, match="no known range; save it with 8 or 16 bits"):
        read(tmp_path / "raw.tif")


def test_what_lies_around_0_is_shown_around_grey(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, given = str(ROOT / "graphs" / "pyramid.yaml"), photo(tmp_path / "a.png", (65, 65))
    words = ("run", name, "--input", str(given), "--output")
    status, told = says(capsys, *words, str(tmp_path / "L0.png"), "--to", "pyramid.L0")
    assert status == 0 and "pyramid.L0 has values around 0: −1 is black, 0 grey" in told
    net = nodegraph.compile(nodegraph.load(Path(name)), ["image"], ["pyramid.L0"])
    with torch.no_grad():
        band = net(pixels(given)[None] / 255)[0]
    assert band.min() < -0.1
    wanted = (band + 1) / 2 * 255
    assert (pixels(tmp_path / "L0.png") - wanted).abs().max() <= 0.51
    status, told = says(capsys, *words, str(tmp_path / "G1.png"), "--to", "pyramid.G1")
    assert status == 0 and "grey" not in told


BANDS = """\
nodegraph: 1
nodes:
  image: {type: Photo, size: 33}
  bands: {type: LaplacianPyramid, levels: 3, in: {x: image}}
  again: {type: CollapsePyramid, in: {x: bands}}
"""


def test_of_a_pyramid_each_level_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (graph := tmp_path / "bands.yaml").write_text(BANDS)
    given, flat = photo(tmp_path / "in" / "a.png", (41, 21)), tmp_path / "in" / "flat.png"
    words = ["run", str(graph), "--output", str(tmp_path / "new" / "b.png"), "--input", str(given)]
    status, told = says(capsys, *words, "--to", "bands")
    names = [tmp_path / "new" / f"b-{i}.png" for i in range(3)]
    assert status == 0 and f"wrote {', '.join(map(str, names))}" in told and "0 grey" in told
    net = nodegraph.compile(nodegraph.load(graph), ["image"], ["bands"])
    *bands, coarsest = net(pixels(given)[None] / 255)
    wanted = [*((band[0] + 1) / 2 * 255 for band in bands), coarsest[0] * 255]
    for name, level in zip(names, wanted, strict=True):
        assert (pixels(name) - level.clamp(0, 255)).abs().max() <= 0.51
    # Of many each; where a picture has no details, its bands are grey like those of others.
    Image.new("RGB", (40, 40), (9, 200, 30)).save(flat)
    words[3:] = [str(tmp_path / "out"), "--input", str(tmp_path / "in"), "--to", "bands"]
    assert says(capsys, *words)[0] == 0
    found = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert found == [f"{n}-{i}.png" for n in ("a", "flat") for i in range(3)]
    assert {*pixels(tmp_path / "out" / "flat-0.png").unique().tolist()} <= {127.0, 128.0}
    # A picture is what is meant, unless there is none.
    words[3:] = [str(tmp_path / "c.png"), "--input", str(given)]
    assert "to again.y" in says(capsys, *words)[1]
    graph.write_text(BANDS.partition("  again")[0])
    assert "to bands.y" in says(capsys, *words)[1] and (tmp_path / "c-2.png").exists()
    # Nothing is written over what is read.
    again = ["run", str(graph), "--input", str(tmp_path / "c-1.png"), "--output"]
    status, told = says(capsys, *again, str(tmp_path / "c.png"))
    assert status == 1 and "c-1.png is the picture that is read" in told
    assert (
        says(capsys, *again[:2], "--output", str(tmp_path / "drawn.png"), "--to", "bands")[0] == 0
    )
    assert (tmp_path / "drawn-2.png").exists()


def test_a_picture_that_overshoots_is_no_difference() -> None:
    assert is_difference(torch.tensor([-0.3, 0.0, 0.3, 0.1, -0.1]))
    assert not is_difference(torch.tensor([-0.3, 0.9, 0.5, 1.2]))
    assert not is_difference(torch.zeros(4))


def test_a_part_is_named_and_the_other_sources_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, given = str(ROOT / "graphs" / "spline_blend.yaml"), photo(tmp_path / "a.png", (65, 65))
    out = tmp_path / "b.png"
    words = ["run", graph, "--input", str(given), "--output", str(out), "--set", "size=65"]
    status, told = says(capsys, *words, "--from", "one", "--to", "cut")
    assert status == 0 and "from one.image to cut.image" in told
    made, one = pixels(out), pixels(given)
    assert torch.equal(made[..., :32], one[..., :32])  # where the mask is 1
    assert (made[..., 32:] - one[..., 32:]).abs().mean() > 10


@pytest.mark.parametrize("size", [(200, 133), (97, 160)])
def test_a_splined_photograph_keeps_its_size(
    size: tuple[int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, given = str(ROOT / "graphs" / "spline_blend.yaml"), photo(tmp_path / "a.png", size)
    out = tmp_path / "b.png"
    words = ["run", graph, "--input", str(given), "--output", str(out), "--from", "one"]
    status, told = says(capsys, *words, "--to", "splined", "--set", "levels=3")
    assert status == 0 and "scaled" not in told
    made, one = pixels(out), pixels(given)
    assert made.shape == one.shape == (3, *size[::-1])
    away = (made - one).abs().mean((0, 1))  # over the columns: the orange is in the right half
    assert away[: size[0] // 3].max() < 0.5 and away[-size[0] // 3 :].min() > 10


def test_a_source_inside_a_group_gives_way_to_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, given = str(ROOT / "graphs" / "alexnet.yaml"), photo(tmp_path / "a.png", (40, 50))
    out = tmp_path / "b.png"
    status, told = says(capsys, "run", graph, "--input", str(given), "--output", str(out))
    assert status == 0 and "photos" in told
    assert pixels(out).shape == (3, 50, 40)


def test_weights_that_nothing_was_trained_to_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.yaml").write_text(CONVS)
    given = photo(tmp_path / "a.png", (8, 8))
    words = ["--input", str(given), "--output", str(tmp_path / "b.png")]
    status, told = says(capsys, "run", str(tmp_path / "net.yaml"), *words)
    assert status == 0 and "warning: conv, norm: weights as drawn at random" in told


@pytest.mark.parametrize(
    "graph, words, sentence",
    [
        ("pyramid", [], "name the output that is meant; pictures are: collapse.image"),
        ("spline_blend", ["--to", "cut"], "name the output that is meant; pictures are: one."),
        ("spline_blend", ["--from", "ones"], "there is no node 'ones'; did you mean 'one'"),
        ("pyramid", ["--to", "pyramid.L9"], "'pyramid.L9' is no output of pyramid; it has"),
        ("pyramid", ["--to", "error"], "--to error gives a scalar, no picture; these do: collapse"),
        ("pyramid", ["--to", "collapse", "--output", "b.xyz"], "b.xyz: call it .png or .jpg"),
        ("pyramid", ["--to", "collapse", "--input", "none.png"], "none.png: no such file"),
        ("pyramid", ["--to", "collapse", "--input", "bad.png"], "bad.png can't be read"),
        ("pyramid", ["--to", "collapse", "--input", "."], "b.png is a file"),
        ("pyramid", ["--to", "collapse", "--device", "tpu"], "no device 'tpu' on this machine"),
        ("autoencoder", ["--from", "digits.image"], "name the output that is meant; pictures"),
        ("autoencoder", ["--from", "digits.label"], "--from digits.label gives 64, no picture"),
        ("pyramid", ["--to", "image"], "this picture does not come of image.image"),
    ],
)  # fmt: skip
def test_what_can_not_be_run_is_told_with_the_choices(
    graph: str, words: list[str], sentence: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "a.png", (33, 33))
    (tmp_path / "bad.png").write_text("no picture")
    if "." in words:
        photo(tmp_path / "b.png", (3, 3))
    name = str(ROOT / "graphs" / f"{graph}.yaml")
    status, told = says(capsys, "run", name, "--input", "a.png", "--output", "b.png", *words)
    assert status == 1 and sentence in told


def test_a_generator_is_sampled_in_any_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"size": 16, "source_size": 16, "batch": 2, "optimise_steps": 1, "steps": 1}
    graph = nodegraph.load(ROOT / "graphs" / "texture_net.yaml")
    for _ in nodegraph.train(graph, settings=small, run=tmp_path / "run"):
        pass
    made = []
    larger = ("--set", "size=32")
    for name, more in (("a", ()), ("b", ()), ("c", ("--seed", "1")), ("d", larger)):
        out = str(tmp_path / f"{name}.png")
        says(capsys, "run", str(tmp_path / "run"), "--to", "generator", "--output", out, *more)
        made.append(numpy.array(Image.open(out)))
    assert made[0].shape == (16, 16, 3) and made[3].shape == (32, 32, 3)
    assert (made[0] == made[1]).all() and (made[0] != made[2]).any()
    code, output = says(capsys, "run", str(tmp_path / "run"), "--output", str(tmp_path / "e.png"))
    assert code and "--to: name the output that is meant" in output


def test_a_folder_without_a_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = photo(tmp_path / "a.png", (8, 8))
    words = ["--input", str(given), "--output", str(tmp_path / "b.png")]
    status, told = says(capsys, "run", str(tmp_path), *words)
    assert status == 1 and "is no folder of a run" in told
