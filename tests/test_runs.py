"""Run folders as the editor lists, guards and goes back in them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live import PLAIN, Waited, far_machine
from soak import GRAPH

from nodegraph import files, runs
from nodegraph.cli import main
from nodegraph.graph import GraphError
from nodegraph.gui.live import Live
from nodegraph.gui.runs_panel import done
from nodegraph.session import Session
from nodegraph.training import record, trainer
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


# Checkpoints -------------------------------------------------------------------------------------


def test_slow_steps_have_more_checkpoints_where_these_are_cheap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "SAVE_EVERY", 0.0)

    def steps(name: str, share: float, every: int = 0) -> list[int]:
        monkeypatch.setattr(trainer, "SAVE_SHARE", share)
        options = Options(seed=3, device="cpu", checkpoint_every=every)
        run = tmp_path / name
        made = training.start(files.parse(PLAIN).graph, "", {"steps": 40}, run, options)
        list(made.events())
        return [c.step for c in runs.checkpoints(run) if c.index == 0]

    tenths = [*range(0, 40, 4)]
    assert steps("cheap", 1e9) == [*range(40)]
    assert steps("dear", 1e-9) == tenths
    assert steps("asked", 1e9, every=20) == [0, 20]


def test_small_checkpoints_are_kept_longer_than_large_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = begun(tmp_path / "run", steps=60)
    one = tmp_path / "run" / "checkpoints" / "00-00000000"
    size = sum(path.stat().st_size for path in one.iterdir())

    def kept() -> int:
        for step in range(1, 60):
            there = one.with_name(f"00-{step:08d}")
            if not there.exists():
                shutil.copytree(one, there)
        record.prune(made.run)
        return len(runs.checkpoints(made.run))

    assert kept() == 60
    monkeypatch.setattr(record, "DISK", 40 * size + 1)
    assert 40 <= kept() <= 41  # and the first
    monkeypatch.setattr(record, "DISK", size)
    assert 24 <= kept() <= 25


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


def heard(live: Live, found: Callable[[], object]) -> None:
    """Poll until something is so."""
    end = time.monotonic() + 90
    while not found():
        assert time.monotonic() < end, (live.said(), live.told)
        live.poll()
        time.sleep(0.01)


def test_a_run_on_another_machine_is_looked_back_in_branched_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, here = tmp_path / "far", tmp_path / "here"
    far.mkdir(), here.mkdir()
    far_machine(tmp_path, far, monkeypatch)
    monkeypatch.chdir(here)
    live = Live(Session(files.parse(GRAPH.replace("20000", "400")).graph))
    live.options.remote, live.options.device = "me@far", "cpu"
    live.speed = 40.0
    assert live.start()
    heard(live, lambda: len(live.checkpoints()) > 2 and live.step > 90)
    live.run.pause()  # type: ignore[union-attr]
    heard(live, lambda: live.state == "paused" and live.pictures)
    assert live.folder is not None and not live.folder.exists()  # it is in far/
    assert (far / live.folder / "metrics.jsonl").exists()
    early, late = live.frame("images", 0), live.frame("images", live.step)
    assert late is not None and early != late and here in late.absolute().parents
    assert live.step_of(late) == live.frame_step("images", live.step) <= live.step
    # The worker dies: its curves are there again when the run goes on.
    steps = live.curves["loss"].steps[:5]
    live.run.stop()  # type: ignore[union-attr]
    heard(live, lambda: live.state == "stopped")
    first = live.folder
    live.go_on()
    heard(live, lambda: live.state == "running" and live.curves)
    assert set(live.curves["loss"].steps) & {*steps} and live.folder == first
    # A branch begins over there, with the graph that the run had.
    live.session.set_graph_param("steps", 500)
    heard(live, lambda: live.marks)
    place, name = live.checkpoints()[1]
    target = live.branch(name)
    heard(live, lambda: live.state == "paused" and live.checkpoints())
    assert live.folder == target and live.step == place
    assert runs.about(far / target)["branched_from"] == {"run": first.name, "checkpoint": name}
    assert live.session.root.params["steps"] == 400
    live.stop()
    heard(live, lambda: live.state == "stopped")
