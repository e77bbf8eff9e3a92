"""A user's own folder of node types: its code runs only after a yes to what is in it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

import nodegraph
from nodegraph import cli, files, library, own, preferences
from nodegraph.compiler.build import resolved
from nodegraph.compiler.script import standalone_source
from nodegraph.graph import GraphError
from nodegraph.worker.process import local_command

GAIN = '''
"""A layer of mine."""
from pathlib import Path

from nodegraph.node import Input, Layer, Output, Param
from .parts.scale import scaled

Path(MARK).write_text("it ran")


class Gain(Layer):
    """y = strength · gain · x."""

    x = Input("N D")
    y = Output("N D")
    strength: float = Param(2.0)

    def weights(self, at):
        return {"gain": (at.D,)}

    def forward(self, x, gain):
        return scaled(gain * x, self.strength)

    def backward(self, dy, x, gain, y):
        dy = scaled(dy, self.strength)
        return dy * gain, (dy * x).sum(0)
'''
GRAPH = """
nodegraph: 1
nodes:
  noise: {type: Noise, shape: [6], batch: 4}
  gain: {type: Gain, strength: 0.5, in: {x: noise}}
  target: {type: Constant, number: 1.0, shape: [4, 6]}
  loss: {type: MSE, in: {x: gain, target: target}}
  sgd: {type: SGD, lr: 0.1, over: [gain], in: {loss: loss}}
train:
  - {stage: s, steps: 3, run: [sgd]}
"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A config and state folder of the test's own, and a library as it was."""
    monkeypatch.setenv("NODEGRAPH_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("NODEGRAPH_STATE", str(tmp_path / "state"))
    yield
    for folder in library.folders():
        library.retract(folder)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a layer, which leaves a mark where its code runs, and a module beside it."""
    folder = tmp_path / "mine"
    (folder / "parts").mkdir(parents=True)
    (folder / "gain.py").write_text(GAIN.replace("MARK", repr(str(tmp_path / "mark"))))
    (folder / "parts" / "scale.py").write_text("def scaled(x, by):\n    return x * by\n")
    (tmp_path / "net.yaml").write_text(GRAPH)
    return folder


def ran(mine: Path) -> bool:
    """Whether the code has run; the mark is taken away."""
    mark = mine.parent / "mark"
    found = mark.exists()
    mark.unlink(missing_ok=True)
    return found


def yes(folder: own.Folder) -> bool:
    return True


def command(*words: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "nodegraph", *map(str, words)]
    return subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=120,
                          **{"stdin": subprocess.DEVNULL, **more})  # type: ignore[call-overload]  # fmt: skip


# Trust -------------------------------------------------------------------------------------------


def test_nothing_runs_without_a_yes(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = mine.parent / "net.yaml"
    done = command("check", net, "--nodes", mine)
    assert done.returncode == 1 and not ran(mine)
    assert "gain.py" in done.stderr and "SHA-256" in done.stderr and "--trust" in done.stderr
    wrong, refused = own.use([mine], lambda folder: False)
    assert [f.path for f in refused] == [mine] and not wrong and not ran(mine)
    with pytest.raises(PermissionError, match="nobody has agreed"):
        own.load(own.read(mine))
    assert not ran(mine) and "Gain" not in library.standard()


def test_trust_is_remembered_for_the_content(mine: Path) -> None:
    net = mine.parent / "net.yaml"
    assert command("check", net, "--nodes", mine, "--trust").stdout == f"{net}: no problems\n"
    assert ran(mine)
    assert command("check", net, "--nodes", mine).returncode == 0 and ran(mine)
    (mine / "parts" / "scale.py").write_text("def scaled(x, by):\n    return by * x\n")
    assert command("check", net, "--nodes", mine).returncode == 1 and not ran(mine)
    assert not (mine / "__pycache__").exists()
    kept = [p.name for p in (mine.parent / "config").iterdir()]
    assert kept == [own.TRUSTED]


def test_any_change_of_names_or_contents_changes_the_sum(mine: Path) -> None:
    sums = {own.read(mine).sum}
    (mine / "data.txt").write_text("1")
    sums.add(own.read(mine).sum)
    (mine / "data.txt").rename(mine / "other.txt")
    sums.add(own.read(mine).sum)
    (mine / "other.txt").write_text("2")
    sums.add(own.read(mine).sum)
    assert len(sums) == 4
    (mine / "__pycache__").mkdir()
    (mine / "__pycache__" / "gain.cpython-311.pyc").write_bytes(b"not looked at")
    assert own.read(mine).sum in sums
    a, b = own.Folder(mine, {"ab": b"c"}), own.Folder(mine, {"a": b"bc"})
    assert a.sum != b.sum


def test_what_was_read_is_what_runs(mine: Path) -> None:
    folder = own.read(mine)
    own.trust(folder)
    (mine / "gain.py").write_text("raise SystemExit('another code')")
    (mine / "parts" / "scale.py").write_text("raise SystemExit('another code')")
    assert own.load(folder) == [] and ran(mine)
    assert "Gain" in library.standard()


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_a_terminal_is_asked(mine: Path, answer: str) -> None:
    here, there = pty.openpty()
    os.write(here, f"{answer}\n".encode())
    net = mine.parent / "net.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "nodegraph", "check", str(net), "--nodes", str(mine)],
        cwd=ROOT, stdin=there, stdout=subprocess.PIPE, stderr=there, timeout=120,
    )  # fmt: skip
    os.close(there)
    told = os.read(here, 10_000).decode()
    os.close(here)
    assert "gain.py" in told and (done.returncode == 0) == ran(mine) == (answer == "y")


def test_a_folder_of_the_settings_is_used_and_asked_about_alike(mine: Path) -> None:
    net = mine.parent / "net.yaml"
    preferences.save(preferences.Preferences(nodes=(str(mine),)))
    done = command("check", net)
    assert done.returncode == 1 and not ran(mine) and "not agreed to" in done.stderr
    own.trust(own.read(mine))
    assert command("check", net).returncode == 0 and ran(mine)


def test_a_worker_never_asks_and_never_runs_what_is_not_agreed_to(mine: Path) -> None:
    done = command("worker", "--nodes", mine, "--trust", stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and ran(mine)  # a person wrote --trust
    (mine / "new.py").write_text("")
    done = command("worker", "--nodes", mine)
    assert done.returncode == 0 and not ran(mine) and done.stdout == ""
    own.use([mine], yes)
    assert local_command()[-2:] == ["--nodes", str(mine)]


def test_a_graph_cannot_name_a_folder(mine: Path) -> None:
    for text in (
        GRAPH.replace("nodegraph: 1", f"nodegraph: 1\nnodes_from: [{mine}]"),
        GRAPH.replace("type: Gain", f"type: {mine}/gain.py"),
        GRAPH.replace("type: Gain", "type: mine.gain.Gain"),
    ):
        path = mine.parent / "net.yaml"
        path.write_text(text)
        done = command("check", path)
        assert done.returncode == 1 and not ran(mine), text


def test_what_is_asked_holds_no_escape_sequences(tmp_path: Path) -> None:
    folder = own.Folder(tmp_path, {"a\x1b[2J\n.py": b""})
    assert "\x1b" not in own.question(folder) and "a�[2J�.py" in own.question(folder)


def test_a_folder_that_is_none_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="is no folder"):
        own.read(tmp_path / "nowhere")
    with (tmp_path / "big").open("wb") as file:
        file.truncate(own.MOST_BYTES + 1)
    with pytest.raises(GraphError, match="holds more than 500 files or 20 MB"):
        own.read(tmp_path)


# Loading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, line, words",
    [
        ("x = 1\ndef broken(:\n", 2, "SyntaxError"),
        ("import math\n\nmath.nothing\n", 3, "AttributeError"),
        ("import no_such_module_here\n", 1, "ModuleNotFoundError"),
        ("\nraise SystemExit(3)\n", 2, "SystemExit: 3"),
        ("from nodegraph.node import *\n\nclass Linear(Layer):\n    x = Input()\n", 3,
         "there is a node type of this name already"),
        ("from nodegraph.node import *\n\nclass Odd(Layer):\n    x = Input('N ... ...')\n", 3,
         "Odd: x: 'N ... ...' is not a shape"),
        ("from nodegraph.node import *\n\nclass Odd(Layer):\n    x = Input('L', kind='pyramid')\n",
         3, "Odd: x: a Layer has tensors alone; declare a Node"),
    ],
)  # fmt: skip
def test_a_broken_file_is_told_with_its_line_and_the_rest_works(
    mine: Path, text: str, line: int, words: str
) -> None:
    (mine / "broken.py").write_text(text)
    wrong, _ = own.use([mine], yes)
    assert len(wrong) == 1 and wrong[0].startswith(f"{mine / 'broken.py'}:{line}: ")
    assert words in wrong[0] and "left out" in wrong[0]
    assert "Gain" in library.standard() and "Linear" in library.standard()
    assert library.standard()["Linear"].__module__.startswith("nodegraph.nodes")


def test_a_fault_in_a_declaration_is_a_problem_of_its_node(mine: Path) -> None:
    text = (mine / "gain.py").read_text().replace('{"gain": (at.D,)}', '{"gain": (at.Q,)}')
    (mine / "gain.py").write_text(text)
    own.use([mine], yes)
    (problem,) = nodegraph.check(files.parse(GRAPH).graph)
    assert problem.where[:2] == ("nodes", "gain") and "no input binds an axis 'Q'" in problem.text
    assert "mend the declaration of Gain" in problem.cure


def test_a_changed_folder_takes_the_place_of_what_it_was(mine: Path) -> None:
    own.use([mine], yes)
    assert library.standard()["Gain"].settings["strength"].default == 2.0
    (mine / "gain.py").write_text((mine / "gain.py").read_text().replace("(2.0)", "(3.0)"))
    own.use([mine], yes)
    assert library.standard()["Gain"].settings["strength"].default == 3.0
    assert library.standard()["Gain"].category == "own layers"


def test_a_layer_of_ones_own_trains_and_its_export_holds_it(mine: Path) -> None:
    own.use([mine], yes)
    graph = files.parse(GRAPH).graph
    losses = [e.losses["loss"].item() for e in nodegraph.train(graph, seed=3, device="cpu")
              if hasattr(e, "losses")]  # fmt: skip
    assert losses[2] != losses[0]
    text = standalone_source(resolved(graph, library.standard()), graph, "net")
    script = mine.parent / "net.py"
    script.write_text(text)
    runner = (
        "import runpy, sys, torch; torch.set_num_threads(1)\n"
        f"sys.path = [p for p in sys.path if p not in ('', {str(ROOT)!r})]\n"
        f"space = runpy.run_path({str(script)!r})\n"
        "space['fit'](space['Network'], space['make_sources'], space['STAGES'], 3, 'cpu',\n"
        "             lambda stage, step, values: print(repr(values['loss'])))\n"
        "assert 'nodegraph' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", runner], capture_output=True, text=True,
                          cwd=mine.parent)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(map(float, done.stdout.split())) == losses


def test_an_export_says_what_it_cannot_hold(mine: Path) -> None:
    text = (mine / "gain.py").read_text()
    (mine / "gain.py").write_text(text.replace("scaled(gain * x,", "Param and scaled(gain * x,"))
    own.use([mine], yes)
    graph = files.parse(GRAPH).graph
    with pytest.raises(GraphError, match=r"gain.py:\d+: Gain.forward uses what nodegraph declares"):
        standalone_source(resolved(graph, library.standard()), graph, "net")


def test_the_template_is_a_node_file_that_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["nodes", "--template", "MyGain"]) == 0
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "mine.py").write_text(capsys.readouterr().out)
    assert cli.main(["gradcheck", "MyGain", "--nodes", str(folder), "--trust"]) == 0
    assert "gain: right" in capsys.readouterr().out
    assert cli.main(["nodes", "--template", "two words"]) == 1
