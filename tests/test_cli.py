"""What the command line refuses, and the sentence that it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

from nodegraph import compare, runs
from nodegraph.cli import main, settings
from nodegraph.graph import GraphError

LENET = str(ROOT / "graphs" / "lenet.yaml")

TINY = """\
nodegraph: 1
params: {lr: 0.1, steps: 4, width: 1}
groups:
  Head:
    inputs: {x: N D}
    outputs: {y: fc}
    params: {width: null}
    nodes:
      fc: {type: Linear, features: $width, in: {x: x}}
nodes:
  x: {type: Noise, shape: [3], batch: 8}
  head: {type: Head, width: $width, in: {x: x}}
  loss: {type: BCEWithLogits, target: 1, in: {logits: head}}
  sgd: {type: SGD, lr: $lr, over: [head], in: {loss: loss}}
train:
  - {stage: fit, steps: $steps, run: [sgd], watch: [loss]}
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A graph that trains at once, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def says(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit status of a command and all that it wrote."""
    try:
        status = main(words)
    except SystemExit as left:
        assert isinstance(left.code, int)
        status = left.code
    out = capsys.readouterr()
    return status, out.out + out.err


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--seed", "99999999999999999999"], "expects a whole number from 0 to 2^63"),
        (["--seed", "-1"], "expects a whole number from 0 to 2^63"),
        (["--checkpoint-every", "-3"], "expects a number of steps, at least 1, not -3"),
    ],
)
def test_an_option_that_can_not_be_is_refused_in_a_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = says(capsys, "train", LENET, *words)
    assert status == 2 and sentence in text


def test_a_start_that_fails_leaves_no_folder(
    tiny: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for device in ("cpu:7", "cuda:99", "tpu", "cpu:", "cuda:x"):
        status, text = says(capsys, "train", "tiny.yaml", "--out", "run", "--device", device)
        assert status == 1 and f"no device {device!r} on this machine; it has: " in text
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_run_is_attacked_by_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pgd = str(Path(LENET).with_name("pgd.yaml"))
    assert says(capsys, "train", LENET, "--set", "steps=2", "--out", "run")[0] == 0
    less = ("--set", "count=4", "--set", "steps=2")
    status, text = says(capsys, "train", pgd, "--victim", "run:scores", *less, "--out", "attack")
    assert status == 0 and "accuracy_attacked" in text and "learn" not in text
    assert f"weights: {tmp_path / 'run'}" in (tmp_path / "attack" / "graph.yaml").read_text()
    for wrong, sentence in (
        (("--victim", "nowhere"), "nowhere"),
        (("--victim", "run:hidden"), "'hidden' is not compared"),
        (("--victim", "run", "--preset", "no"), "no preset 'no'"),
    ):  # fmt: skip
        status, text = says(capsys, "train", pgd, *wrong)
        assert status == 1 and sentence in text and len(text.splitlines()) == 1
    assert says(capsys, "train", "--resume", "attack", "--victim", "run")[0] == 1


def test_presets_are_trained_in_turn_and_compared(
    tiny: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = TINY.replace("groups:", "presets: {slow: {lr: 0.001}, fast: {lr: 1}}\ngroups:")
    tiny.write_text(text)
    status, text = says(capsys, "train", "tiny.yaml", "--preset", "slow,fast", "--out", "a-run")
    assert status == 0, text
    slow, fast = (runs.rows(tmp_path / f"a-run-{name}") for name in ("slow", "fast"))
    last = [f"{rows[-1]['loss']:.4g}" for rows in (slow, fast)]
    *_, names, numbers, wrote = text.splitlines()
    assert names.split() == ["slow", "fast"] and numbers.split() == ["loss", *last]
    assert last[0] > last[1] and wrote == "wrote a-run-compared.png"
    found = compare.read([tmp_path / "a-run-slow", tmp_path / "a-run-fast"])
    (panel,) = compare.picture(found).axes
    for line, rows in zip(panel.get_lines(), (slow, fast)):
        points = [(r["step"], r["loss"]) for r in rows if r["kind"] == "metric"]
        assert [*zip(*line.get_data())] == points and len(points) > 1
    with Image.open(tmp_path / "a-run-compared.png") as drawn:
        assert drawn.width > 300
    for words, sentence in (
        (("compare", "a-run-slow", "nowhere"), "nowhere is no folder of a run"),
        (("compare", "a-run-slow", "--output", "a.png"), "no two runs of a-run-slow have a curve"),
        (("compare", "a-run-slow", "a-run-fast", "--output", "a.txt"), "ends in .png, .svg, .pdf"),
        (("train", "tiny.yaml", "--preset", "slow,no"), "no preset 'no'"),
        (("train", "tiny.yaml", "--preset", "slow,fast,slow"), "--preset names slow twice"),
    ):
        status, text = says(capsys, *words)
        assert status == 1 and sentence in text.splitlines()[-1]
    assert not (tmp_path / "runs").exists()  # nothing was trained before the mistake was found


@pytest.mark.parametrize("command", ["export", "draw"])
def test_no_file_of_another_kind_is_written_over(
    command: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = says(capsys, command, "tiny.yaml", "-o", "tiny.yaml")
    assert status == 1 and "tiny.yaml should be called tiny." in told
    assert tiny.read_text() == TINY


def test_a_graph_that_does_not_train_is_not_exported(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write_text(TINY[: TINY.index("train:")])
    status, text = says(capsys, "export", "tiny.yaml", "-o", "out.py")
    assert status == 1 and "nodegraph.compile" in text
    assert not tiny.with_name("out.py").exists()
    assert says(capsys, "train", "tiny.yaml")[0] == 1


@pytest.mark.parametrize("name, text", [("lr", "sgd: lr is empty ($lr); give lr a value"),
                                        ("width", "head: width is empty ($width)")])  # fmt: skip
def test_a_parameter_without_a_value_is_a_problem_everywhere(
    name: str, text: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("check", "train", "export"):
        status, said = says(capsys, command, "tiny.yaml", "--set", f"{name}=")
        assert status == 1 and text in said
    assert says(capsys, "check", "tiny.yaml")[0] == 0  # a group's own may be left open


def test_a_preset_is_checked_by_itself(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    presets = "presets: {wide: {width: 30}, bad: {lr: x}}"
    tiny.write_text(TINY.replace("params:", f"{presets}\nparams:", 1))
    assert "(preset bad)" in says(capsys, "check", "tiny.yaml")[1]
    assert says(capsys, "check", "tiny.yaml", "--preset", "wide")[0] == 0
    assert says(capsys, "check", "tiny.yaml", "--preset", "bad")[0] == 1


def test_lists_and_quoted_texts_are_set_as_in_a_file() -> None:
    words = ["shape=[1, 3, 32]", 'weights=""', "name='7'", "rate=1e-3", "out=runs/x", "none="]
    assert settings(words) == {
        "shape": (1, 3, 32), "weights": "", "name": "7", "rate": 1e-3, "out": "runs/x", "none": None
    }  # fmt: skip
    with pytest.raises(GraphError, match=r"--set a=\[1: .*closing bracket"):
        settings(["a=[1"])


def test_a_number_of_steps_that_is_none_has_its_own_cure(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = says(capsys, "check", "tiny.yaml", "--set", "steps=abc")
    assert status == 1 and "not 'abc'; write one" in text and "declare" not in text
    tiny.write_text(TINY.replace("$steps", "$stpes"))
    assert "declare it under params" in says(capsys, "check", "tiny.yaml")[1]


def test_tensorboard_is_asked_for_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    folder = tmp_path / "run"
    code, text = says(
        capsys, "train", LENET, "--set", "steps=2", "--out", str(folder), "--tensorboard"
    )
    if importlib.util.find_spec("tensorboard") is None:
        assert code == 1 and "pip install 'nodegraph[tensorboard]'" in text
        assert not folder.exists()
    else:
        assert code == 0 and list((folder / "tensorboard").iterdir())
