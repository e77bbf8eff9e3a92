"""Run folders as the editor lists, guards and goes back in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import PLAIN, Waited

from nodegraph import files, runs
from nodegraph.cli import main
from nodegraph.graph import GraphError
from nodegraph.gui.live import Live
from nodegraph.gui.runs_panel import done
from nodegraph.session import Session
from nodegraph.training import run as training
from nodegraph.training.trainer import Options, Trainer

TWO = PLAIN + "  - {stage: more, steps: 4, run: [d_step]}\n"


def begun(folder: Path, graph: str = PLAIN, steps: int = 9) -> Trainer:
    """A run at its beginning, of so many steps."""
    options = Options(seed=3, device="cpu")
    return training.start(files.parse(graph).graph, "", {"steps": steps}, folder, options)


def test_how_far_a_run_came_is_told_in_words(tmp_path: Path) -> None:
    one, two = begun(tmp_path / "one"), begun(tmp_path / "two", TWO)
    assert done(runs.read(tmp_path / "one")) == "0 of 9"
    for made, steps in ((one, 3), (two, 11)):
        while made.index * 9 + made.done < steps:
            list(made.advance())
        made.save()
    assert done(runs.read(tmp_path / "one")) == "3 of 9"
    assert done(runs.read(tmp_path / "two")) == "2 of 4 in more"
    for made in (one, two):
        list(made.events())
    assert done(runs.read(tmp_path / "one")) == "9, finished"
    assert done(runs.read(tmp_path / "two")) == "13, finished"
    (tmp_path / "two" / "graph.yaml").write_text("{")
    assert done(runs.read(tmp_path / "two")) == "0 of stage 3"


def test_the_steps_of_a_run_are_those_of_its_newest_graph(tmp_path: Path) -> None:
    made = begun(tmp_path / "run")
    list(made.advance())
    raised = files.parse(PLAIN.replace("steps: $steps", "steps: 20")).graph
    made.apply(training.checked(raised, "", {}), files.dumps(raised))
    assert done(runs.read(tmp_path / "run")) == "1 of 20"


# Two at once -------------------------------------------------------------------------------------


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Waited]:
    """A worker that trains tmp_path/run, and waits."""
    made = Waited().train(PLAIN, run=str(tmp_path / "run"), paused=True)
    yield made
    made.run.close()
    assert made.run.wait_closed()


def test_a_run_that_is_trained_is_refused_to_all_others(
    tmp_path: Path, held: Waited, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    wanted = f"{run} is being trained by process {held.run.pid} on "
    assert main(["train", "--resume", str(run)]) == 1
    said = capsys.readouterr().err
    assert wanted in said and "branch" in said
    other = Waited().train(resume=str(run))
    assert wanted in other.until("failed")["text"]
    other.wait(lambda: other.run.state == "stopped")
    with pytest.raises(GraphError, match="is being trained"):
        runs.delete(run)
    assert runs.read(run).stages == (("play", 60),)  # reading stays possible
    branch = runs.branch(run, "00-00000000", tmp_path / "branch")
    assert training.resume(branch).index == 0


def test_a_crash_frees_the_run_and_so_does_an_end(tmp_path: Path, held: Waited) -> None:
    os.kill(held.run.pid, signal.SIGKILL)
    held.until("died")
    again = Waited().train(resume=str(tmp_path / "run"), paused=True)
    assert again.until("started", "failed")["do"] == "started"
    again.run.stop()  # who begins at once waits for the one that is ending
    third = Waited().train(resume=str(tmp_path / "run"), paused=True)
    assert third.until("started", "failed")["do"] == "started"
    assert third.end() == 0
    runs.delete(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_run_of_the_command_line_is_refused_to_the_worker(tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text(PLAIN)
    command = [sys.executable, "-m", "nodegraph", "train", str(tmp_path / "graph.yaml"),
               "--set", "steps=1000000", "--out", str(tmp_path / "run")]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not (tmp_path / "run" / "metrics.jsonl").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        with pytest.raises(GraphError, match=f"trained by process {process.pid} "):
            training.resume(tmp_path / "run")
    finally:
        process.kill()
        process.wait()
    assert training.resume(tmp_path / "run").run == tmp_path / "run"


# Other machines ----------------------------------------------------------------------------------


class Told:
    """Stands where a run's process would, and keeps what it is started with."""

    alive, state, status, told = False, "died", {}, ""

    def __init__(self, remote: str) -> None:
        self.remote = remote

    def start(self, message: dict) -> None:
        self.message = message

    def look(self, *wanted: object) -> None:
        pass

    stop = look


def test_a_run_of_this_machine_is_resumed_on_this_machine(tmp_path: Path) -> None:
    made: list[Told] = []
    session = Session(files.parse(PLAIN).graph)
    live = Live(session, tmp_path, lambda remote: made.append(Told(remote)) or made[-1])  # type: ignore
    live.options.remote = "me@far"
    live.resume(tmp_path / "run")
    live.go_on()
    assert [m.remote for m in made] == ["", ""]
    assert live.start()  # a new one is trained there, and goes on there
    live.folder = Path("runs/x")
    live.options.remote = ""
    live.go_on()
    assert [m.remote for m in made[2:]] == ["me@far", "me@far"]
    assert made[-1].message["resume"] == "runs/x"
