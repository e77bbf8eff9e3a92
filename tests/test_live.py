"""Live training is the training of the command line; whatever breaks, the run goes on exactly."""

from __future__ import annotations

import io
import os
import queue
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from live import CPU, FAULTY, GAME, PLAIN, ROOT, Waited, alone, equal, far_machine, weights
from test_worker import framed

from nodegraph import files, runs
from nodegraph.gui.live import Live
from nodegraph.gui.live import Options as Chosen
from nodegraph.session import Session
from nodegraph.worker import frames
from nodegraph.worker.frames import ProtocolError
from nodegraph.worker.outbox import Outbox, thinned
from nodegraph.worker.process import remote_command
from nodegraph.worker.run import Run

torch.set_num_threads(1)
MANY = 50_000  # frames; they take a second


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def live() -> Iterator[Waited]:
    made = Waited()
    yield made
    made.run.close()
    assert made.run.wait_closed()


# Headless equals live ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("graph", "settings", "peek"),
    [
        (PLAIN, {"steps": 60}, "g"),
        ((ROOT / "graphs/dcgan.yaml").read_text(), {"steps": 12, "batch": 16}, "generator"),
    ],
)
def test_live_training_equals_that_of_the_command_line(
    graph: str, settings: dict, peek: str, tmp_path: Path, live: Waited
) -> None:
    whole = alone(tmp_path / "whole", graph, **settings)
    run = tmp_path / "live"
    live.run.start({
        "id": 1, "graph": graph, "settings": settings, "options": CPU, "run": str(run),
        "paused": True,
    })  # fmt: skip
    live.run.look([], [peek], every=0.1, probes=True)
    live.at("paused", 0)
    live.run.step()
    live.at("paused", 1)
    live.run.speed(20)
    live.run.step(3)
    live.at("paused", 4)
    live.run.apply(5, graph, settings=settings)
    told = live.until("applied")
    assert told["kept"] == told["of"] and told["what"] == []
    live.run.look([], [peek, "broken"], every=0.1)
    live.run.play()
    live.wait(lambda: live.run.status["step"] > 4)
    live.run.pause()
    live.at("paused")
    live.run.look([], [peek], every=0.1)
    live.run.speed(0)
    live.run.play()
    live.until("finished")
    assert live.end() == 0
    assert equal(weights(run), whole)
    assert not equal(weights(run), alone(tmp_path / "other", graph, seed=4, **settings))
    shown = live.all("previews")
    heads = [head for m in shown for head in m["views"]]
    assert all(len(m["payloads"]) == len(m["views"]) for m in shown) and len(shown) > 2
    assert {h["name"] for h in heads if h["kind"] == "picture"} == {peek}
    assert {h["kind"] for h in heads} == {"picture", "probe", "error"}
    assert any("broken" in h["name"] for h in heads if h["kind"] == "error")
    rows = [r for m in live.all("metrics") for r in m["rows"]]
    watched = [r["step"] for r in rows if r["kind"] == "metric"]
    assert watched == sorted({*watched}) and watched[-1] == settings["steps"]


def test_previews_come_less_often_where_they_would_hold_up_training() -> None:
    from nodegraph.worker.trainee import SHARE, Inbox, Trainee

    inbox: Inbox = queue.SimpleQueue()
    trainee = Trainee(inbox, Outbox(io.BytesIO()))
    trainee.wanted = {"views": ["x"], "peeks": [], "every": 1.0}
    trainee.costs.append(9.0)  # the first ones load what draws
    assert trainee.every() == 1.0
    trainee.costs.append(SHARE / 10)
    assert trainee.every() == 1.0
    trainee.costs.extend([0.06, 0.06, 0.06])
    assert trainee.every() == pytest.approx(0.06 / SHARE)
    trainee.limit, trainee.step_at = 1.0, time.monotonic() + 60  # steps are waited for anyway
    assert trainee.every() == 1.0


def test_a_view_that_fails_is_told_once_and_holds_up_nothing(tmp_path: Path) -> None:
    from nodegraph import files
    from nodegraph.gui.live import Live
    from nodegraph.session import Session

    odd = "  odd: {type: Breaks, how: view, in: {x: z}}\ntrain:"
    graph = files.parse(PLAIN.replace("train:", odd)).graph
    session = Session(graph.with_(params={**graph.params, "steps": 100_000}))
    live = Live(session, tmp_path, lambda remote: Run(FAULTY))
    live.options.device, live.peeks = "cpu", ["odd", "g"]
    assert live.start()
    assert live.run is not None
    live.run.look([], live.peeks, 0.1)
    shown, end = set(), time.monotonic() + 60
    while len(shown) < 8:
        assert time.monotonic() < end, (live.said(), live.told)
        live.poll()
        shown |= {picture.step for picture in live.pictures.values()}
        time.sleep(0.01)
    assert live.state == "running"
    told = [text for _, _, text in live.told if "it broke" in text]
    assert len(told) == 1 and told[0].startswith("odd: it broke at "), live.told
    live.stop()
    assert live.run.wait_closed(60)


def test_what_only_watches_may_fail_and_training_goes_on(live: Waited) -> None:
    # The samples are computed in evaluation mode, in which this node raises.
    live.train(settings={"how": "view", "steps": 100_000})
    told = live.until("warning", "failed", seconds=30)
    assert told["code"] == "samples" and "it broke at" in told["text"]
    before = live.run.status["step"]
    live.wait(lambda: live.run.status["step"] > before + 5000)  # past the next look
    time.sleep(2.5)
    assert live.run.state == "running" and len(live.all("warning")) == 1
    assert not live.all("failed")


def test_a_finished_run_stands_at_its_last_step(live: Waited) -> None:
    live.train(settings={"steps": 7})
    live.until("finished")
    live.at("finished", 7)
    status = live.run.status
    assert (status["stage"], status["index"], status["steps"]) == ("play", 0, 7)
    order = [m["do"] for m in live.said if m["do"] in ("status", "finished")]
    assert order[-2:] == ["status", "finished"]


# Messages ----------------------------------------------------------------------------------------


def test_a_run_can_be_played_changed_and_gone_back_in(tmp_path: Path, live: Waited) -> None:
    live.train(run=str(tmp_path / "run"), paused=True)
    began = live.until("started")
    assert (began["stages"], began["stage"], began["parameters"]) == ([["play", 60]], "play", 19)
    live.run.step(5)
    live.at("paused", 5)
    live.run.update("d_step")
    live.until("metrics", count=2)
    assert live.run.status["step"] == 5
    live.run.update("d_stop")
    assert "runs no update 'd_stop'; it runs: d_step, g_step" in live.until("failed")["text"]
    live.run.apply(7, GAME, settings={"lr": 0.5})
    told = live.until("applied")
    assert (told["id"], told["kept"], told["of"], told["lost"]) == (7, 3, 3, [])
    assert "d_step: lr 0.05 → 0.5" in told["what"]
    live.run.apply(8, GAME.replace("features: 3", "features: 5"))
    assert "d_g" in live.until("failed", count=2)["text"]
    live.run.apply(9, GAME.replace("steps: $steps", "steps: 3"))
    assert "5 are done" in live.until("failed", count=3)["text"]
    live.run.step(2)
    live.at("paused", 7)
    live.run.save()
    name = live.until("saved", count=2)["checkpoint"]
    assert name == "00-00000007-0001"
    live.run.restore(10, "00-00000000")
    back = live.until("restored")
    assert (back["id"], back["step"]) == (10, 0) and "lr: 0.05" in back["graph"]
    live.run.restore(11, name)
    assert live.until("restored", count=2)["settings"] == {"lr": 0.5}
    assert live.end() == 0
    assert live.all("stopped")
    found = runs.read(tmp_path / "run")
    assert found.checkpoints[-1].name == name and len(found.edits) == 2


def test_a_rename_and_its_undo_are_applied_at_once_and_lose_nothing(tmp_path: Path) -> None:
    session = Session(files.parse(PLAIN).graph)
    live = Live(session, tmp_path)
    live.options = Chosen(seed=3, device="cpu")

    def until(found: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not found():
            live.poll()
            assert time.monotonic() < end, (live.state, live.told, session.message)
            time.sleep(0.01)

    live.start(paused=True)
    until(lambda: live.state == "paused" and live.status)
    for turn, change in enumerate((
        lambda: session.rename("d_x", "critic"), lambda: session.rename("g_step", "maker"),
        session.undo, session.undo, lambda: session.rename("g", "made"),
        session.undo, lambda: session.set_param("g_step", "lr", 0.05),
    )):  # fmt: skip
        live.do("step", 5)
        until(lambda t=turn: live.step == 5 * (t + 1) and live.state == "paused")
        marks = len(live.marks)
        assert change()
        until(lambda m=marks: len(live.marks) > m or session.root is live.trained)
    words = [text for _, text in live.marks]
    assert words[:3] == [
        "d_x is called critic now", "g_step is called maker now", "maker is called g_step now",
    ]  # fmt: skip
    assert not live.waiting and not live.before and live.state == "paused"
    live.play()
    until(lambda: live.state == "finished")
    live.stop()
    until(lambda: live.state == "stopped")
    assert live.folder is not None
    assert equal(weights(live.folder), alone(tmp_path / "alone"))


def test_what_can_not_be_trained_is_told_and_ends(live: Waited) -> None:
    live.train(GAME.replace("Spread", "Spred"))
    assert "there is no node type 'Spred'" in live.until("failed")["text"]
    live.wait(lambda: live.run.state == "stopped")
    other = Waited().train(resume="/nowhere/at/all")
    assert "no folder of a run" in other.until("failed")["text"]
    other.wait(lambda: other.run.state == "stopped")
    third = Waited().train(options={"sped": 1})
    assert "no options of training" in third.until("failed")["text"]
    third.wait(lambda: third.run.state == "stopped")


def test_a_speed_limit_holds(live: Waited) -> None:
    live.train(paused=True)
    live.run.speed(10)
    live.run.play()
    live.wait(lambda: live.run.status["step"] >= 1)
    seconds = live.wait(lambda: live.run.status["step"] >= 11)
    assert seconds > 0.7  # as fast as it goes, it would be over by now
    live.run.speed(1e-300)
    live.run.pause()
    live.at("paused")


# What the reader does not read -------------------------------------------------------------------


class Stuck(io.RawIOBase):
    """A stream that is written to until it is held, and then waits."""

    def __init__(self) -> None:
        import threading

        self.got = io.BytesIO()
        self.free = threading.Event()

    def write(self, raw: bytes) -> int:  # type: ignore[override]
        self.free.wait()
        return self.got.write(raw)

    def flush(self) -> None:
        pass


def test_a_reader_that_does_not_read_holds_up_nothing() -> None:
    sink = Stuck()
    outbox = Outbox(sink)  # type: ignore[arg-type]
    place = {"index": 0, "step": 0}
    for step in range(20_000):
        kind = "metric" if step % 1000 == 0 else "loss"
        row = {"kind": kind, "step": step, "index": 0, "stage": "s", "values": {}}
        outbox.put({"do": "metrics", "rows": [row]})
        status = {"state": "running", "stage": "s", "steps": 9, "rate": 1, "index": 0}
        outbox.put({"do": "status", **status, "step": step})
        outbox.put({"do": "previews", **place, "views": []}, [bytes(1000)])
        if step % 5000 == 0:
            outbox.put({"do": "saved", "checkpoint": f"{step}", **place})
    assert len(outbox._waiting) < 30
    sink.free.set()
    outbox.close(10)
    sink.got.seek(0)
    said = []
    while (frame := frames.read(sink.got)) is not None:
        said.append(frame.header)
    rows = [r for m in said if m["do"] == "metrics" for r in m["rows"]]
    assert [r["step"] for r in rows if r["kind"] == "metric"] == [*range(0, 20_000, 1000)]
    assert 100 < sum(r["kind"] == "loss" for r in rows) < 1000
    assert rows[-1]["step"] == 19_999
    assert [m["checkpoint"] for m in said if m["do"] == "saved"] == ["0", "5000", "10000", "15000"]
    assert sum(m["do"] == "status" for m in said) <= 2 and said[-2]["step"] == 19_999


def test_thinning_keeps_the_newest_row_and_all_that_was_watched() -> None:
    rows = [{"kind": "metric" if i == 4 else "loss", "i": i} for i in range(8)]
    assert [r["i"] for r in thinned(rows)] == [0, 2, 4, 5, 7]


# Faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGSEGV, -11)])
def test_a_killed_worker_is_noticed_and_its_run_goes_on_exactly(
    number: int, status: int, tmp_path: Path, live: Waited
) -> None:
    whole = alone(tmp_path / "whole")
    live.train(run=str(tmp_path / "run"))
    live.run.speed(100)
    live.until("saved", count=2)
    os.kill(live.run.pid, number)
    assert live.wait(lambda: live.run.state == "died") < 1.0
    died = live.until("died")
    assert died["status"] == status and died["run"] == str(tmp_path / "run")
    assert "can be resumed" in live.run.told
    again = Waited()
    again.run.start({"id": 2, "resume": str(tmp_path / "run")})
    again.until("finished")
    assert again.end() == 0
    assert equal(weights(tmp_path / "run"), whole)


def test_a_damaged_checkpoint_is_told_when_a_run_goes_on_without_it(
    tmp_path: Path, live: Waited
) -> None:
    whole, run = alone(tmp_path / "whole"), tmp_path / "run"
    live.train(run=str(run))
    live.until("saved", count=3)
    live.run.stop()
    live.wait(lambda: live.run.state == "stopped")
    *_, before, newest = runs.checkpoints(run)
    (run / "checkpoints" / newest.name / "state.json").write_text("")
    again = Waited()
    again.run.start({"id": 2, "resume": str(run), "paused": True})
    assert again.until("started")["step"] == before.step
    told = again.until("warning")["text"]
    assert newest.name in told and f"goes on from {before.name}" in told
    again.run.play()
    again.until("finished")
    assert again.end() == 0
    assert equal(weights(run), whole)


def test_a_worker_that_hangs_is_noticed_and_killed(live: Waited, tmp_path: Path) -> None:
    live.train(run=str(tmp_path / "run"), paused=True)
    os.kill(live.run.pid, signal.SIGSTOP)
    assert live.wait(lambda: live.run.state == "died", 10) < 5.0
    assert "hangs" in live.until("died")["text"]
    assert live.run._process.child.returncode == -9  # type: ignore[union-attr]


def test_a_long_step_is_no_hang(live: Waited) -> None:
    live.train(settings={"at": 3, "how": "sleep", "steps": 6})
    live.until("finished", "died")
    assert live.run.state == "finished"


def test_a_worker_that_is_slow_to_end_is_no_hang(live: Waited) -> None:
    live.train(settings={"at": 3, "how": "linger", "steps": 6})
    live.until("finished", "died")
    assert live.end() == 0
    assert live.run.state == "stopped"


@pytest.mark.parametrize(("how", "status"), [("exit", 7), ("segv", -11)])
def test_a_node_that_ends_the_process_leaves_a_run_to_resume(
    how: str, status: int, tmp_path: Path, live: Waited
) -> None:
    live.train(run=str(tmp_path / "run"), settings={"at": 20, "how": how})
    assert live.until("died")["status"] == status
    assert runs.checkpoints(tmp_path / "run")[-1].step == 18


@pytest.mark.parametrize(
    ("how", "said"), [("raise", "KeyError: 'a mistake in a node'"), ("nan", "is not finite")]
)
def test_a_step_that_fails_leaves_the_run_before_it(
    how: str, said: str, tmp_path: Path, live: Waited
) -> None:
    whole = alone(tmp_path / "whole")
    # The second step's forward of the generator: the discriminator's weights are untouched yet.
    live.train(run=str(tmp_path / "run"), settings={"at": 20, "how": how})
    text = live.until("failed")["text"]
    assert said in text
    live.at("paused", 19)
    if how == "nan":
        assert live.until("warning")["node"] == "breaks"
    live.run.play()
    live.until("finished")
    assert live.end() == 0
    assert equal(weights(tmp_path / "run"), whole)


def test_a_full_disk_pauses_the_run_and_loses_nothing(tmp_path: Path, live: Waited) -> None:
    whole = alone(tmp_path / "whole")
    live.train(run=str(tmp_path / "run"), settings={"at": 11, "how": "full"})
    assert "can't be written" in live.until("failed")["text"]
    live.at("paused", 12)
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir() if p.name[0] == "."] == []
    live.run.play()
    live.until("finished")
    assert live.end() == 0
    assert equal(weights(tmp_path / "run"), whole)


def test_what_a_library_prints_does_not_get_into_the_channel(live: Waited) -> None:
    live.train(settings={"at": 3, "how": "print", "steps": 6})
    live.until("finished")
    assert any("a library says hello" in line for line in live.run.log)


def test_garbage_ends_the_worker_in_order(tmp_path: Path) -> None:
    train = framed({"do": "train", "id": 1, "graph": GAME, "run": str(tmp_path / "run"),
                    "options": CPU, "settings": {"steps": 100_000}})  # fmt: skip
    done = subprocess.run(FAULTY, input=train + b"GET / HTTP/1.1\r\n\r\n", capture_output=True,
                          timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0
    stream = io.BytesIO(done.stdout)
    said = []
    while (frame := frames.read(stream)) is not None:
        said.append(frame.header)
    assert any("no message is on the channel" in m.get("text", "") for m in said)
    assert said[-1]["do"] == "saved"


@pytest.mark.parametrize("how", ["closed", "terminated"])
def test_a_worker_whose_editor_is_gone_saves_and_ends(how: str, tmp_path: Path) -> None:
    whole = alone(tmp_path / "whole", steps=1000)
    run = tmp_path / "run"
    process = subprocess.Popen(FAULTY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin and process.stdout
    frames.write(process.stdin, {"do": "train", "id": 1, "graph": PLAIN, "run": str(run),
                                 "options": CPU, "settings": {"steps": 1000}})  # fmt: skip
    frames.write(process.stdin, {"do": "speed", "limit": 200})
    while (frame := frames.read(process.stdout)) and frame.header["do"] != "metrics":
        pass
    if how == "closed":
        process.stdin.close()
        process.stdout.close()
    else:
        process.terminate()
    code = process.wait(10)
    if how == "terminated":
        process.stdin.close()
        process.stdout.close()
        assert code == 0
    saved = runs.checkpoints(run)[-1]
    assert 0 < saved.step < 1000
    again = Waited()
    again.run.start({"id": 2, "resume": str(run)})
    again.until("finished")
    assert again.end() == 0
    assert equal(weights(run), whole)


def test_closing_the_client_lets_the_worker_save(tmp_path: Path, live: Waited) -> None:
    live.train(run=str(tmp_path / "run"), settings={"steps": 1_000_000})
    live.wait(lambda: live.run.status["step"] > 2)
    live.run.close()
    assert live.run.wait_closed()
    assert live.run.state == "stopped" and live.run._process.child.returncode == 0  # type: ignore[union-attr]
    assert runs.checkpoints(tmp_path / "run")[-1].step > 2


# Other machines ----------------------------------------------------------------------------------


def test_a_worker_on_another_machine_is_reached_through_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far_machine(tmp_path, tmp_path, monkeypatch)
    far = Waited(Run(remote="me@far.example"))
    far.train(PLAIN, settings={"steps": 5})
    far.until("finished")
    assert far.end() == 0
    assert (tmp_path / "asked").read_text().split() == [
        "-T", "-o", "BatchMode=yes", "me@far.example", "nodegraph", "worker"
    ]  # fmt: skip


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "me@-x", "", "a b", "a;b", "$(x)", "a\nb"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        remote_command(host)


def test_what_is_told_to_ssh_is_quoted() -> None:
    command = remote_command("me@far", ["/opt/my tools/python", "-m", "nodegraph", "worker"])
    assert command[-1] == "'/opt/my tools/python' -m nodegraph worker"


# Fuzz --------------------------------------------------------------------------------------------

TO = [
    {"do": "train", "id": 1, "graph": "nodegraph: 1", "options": {"seed": 1}, "settings": {"a": 1}},
    {"do": "play"}, {"do": "step", "count": 3}, {"do": "update", "name": "d"}, {"do": "pause"},
    {"do": "speed", "limit": 2.5}, {"do": "apply", "id": 2, "graph": "nodes: {}"},
    {"do": "restore", "id": 3, "checkpoint": "00-00000001"}, {"do": "save"},
    {"do": "ping", "id": 4},
    {"do": "look", "views": ["a"], "peeks": [], "every": 1, "probes": True},
]  # fmt: skip
FROM = [
    {"do": "started", "id": 1, "device": "d", "parameters": 1, "stages": [], "run": "r",
     "stage": "s", "index": 0, "step": 0},
    {"do": "status", "state": "paused", "stage": "s", "index": 0, "step": 1, "steps": 2, "rate": 1},
    {"do": "metrics", "rows": [{"kind": "loss"}]}, {"do": "failed", "id": 1, "text": "t"},
    {"do": "previews", "index": 0, "step": 1, "views": [{}], "bytes": [3]}, {"do": "pong", "id": 1},
    {"do": "warning", "code": "c", "node": "n", "text": "t", "index": 0, "step": 1},
]  # fmt: skip


def mutated(examples: list[dict], seed: int, count: int) -> Iterator[bytes]:
    """Frames with a few bytes changed, moved or cut, and bytes that never were one."""
    draw = random.Random(seed)
    for turn in range(count):
        if turn % 4 == 3:
            yield draw.randbytes(draw.randint(1, 60))
            continue
        header = draw.choice(examples)
        raw = bytearray(framed(header, *[b"abc"] * ("bytes" in header)))
        for _ in range(draw.randint(0, 3)):
            at = draw.randrange(4, len(raw))
            raw[at] = draw.choice(b'0123456789"{}[],:-.eE\\ truefalsn\xff\x00')
        yield bytes(raw[: draw.randint(4, len(raw))] if turn % 16 == 0 else raw)


def test_no_bytes_break_the_worker() -> None:
    import queue

    from nodegraph.worker.trainee import Trainee, asked

    sink = io.BytesIO()
    outbox = Outbox(sink)
    trainee = Trainee(queue.SimpleQueue(), outbox)
    understood = 0
    for raw in mutated(TO, 1, MANY):
        try:
            frame = frames.read(io.BytesIO(raw))
        except ProtocolError:
            continue
        understood += 1
        for message in asked([frame]):
            trainee.take(message)
    outbox.close(10)
    assert understood > MANY / 10 and trainee.trainer is None
    assert len(outbox._waiting) == 0 and not outbox.gone


def test_no_bytes_break_the_client() -> None:
    run = Run(["true"])
    run.start({"id": 1, "graph": ""})
    assert run.wait_closed()
    understood = 0
    for raw in mutated(FROM, 2, MANY):
        try:
            frame = frames.read(io.BytesIO(raw))
        except ProtocolError:
            continue
        if frame is not None:
            understood += 1
            run._take(frame)
            run.poll() if understood % 100 == 0 else None
            assert isinstance(run.told, str)
    assert understood > MANY / 10
