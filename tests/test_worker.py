"""The worker: frames, answers, and a client that never waits and survives the worker's end."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nodegraph.library import standard
from nodegraph.worker import frames
from nodegraph.worker.client import Worker
from nodegraph.worker.frames import Frame, ProtocolError
from nodegraph.worker.server import analyse, latest

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "nodegraph", "worker"]
GRAPH = (ROOT / "graphs" / "dann.yaml").read_text(encoding="utf-8")
FAULTY = """
nodegraph: 1
nodes:
  digits: {type: FontDigits}
  misspelt: {type: Flaten, in: {x: digits.image}}
  low: {type: Linear, features: 0, in: {x: digitz.image}}
  long: {type: Linear, features: 3, in: {x: digits.image}}
  words: {type: Conv2d, chanels: 3, kernel: 3, in: {x: digits.image}}
"""


def framed(header: object, *payloads: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(4, "big") + text + b"".join(payloads)


def until(found: Callable[[], object], seconds: float = 20.0) -> float:
    """Wait for something to be true; how long it took."""
    start = time.monotonic()
    while not found():
        assert time.monotonic() - start < seconds, "it did not happen"
        time.sleep(0.01)
    return time.monotonic() - start


# Frames ------------------------------------------------------------------------------------------


def test_a_message_comes_back_as_it_was_sent():
    stream = io.BytesIO()
    frames.write(stream, {"do": "failed", "id": 7, "text": "мера ×"}, [b"\0\1", b"", b"abc"])
    frames.write(stream, {"do": "stop"})
    stream.seek(0)
    first = frames.read(stream)
    assert first == Frame({"do": "failed", "id": 7, "text": "мера ×"}, [b"\0\1", b"", b"abc"])
    assert frames.read(stream) == Frame({"do": "stop"}, [])
    assert frames.read(stream) is None


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"Hello, I am a library that prints\n", "something that is no message is on the channel"),
        (b"\0\0", "ends inside a frame"),
        (b"\0\0\0\x09{}", "ends inside a frame"),
        (b"\0\0\0\x02[]", "a header is a JSON object"),
        (b"\0\0\0\x03{]}", "no JSON"),
        (b"\0\0\0\x02\xff\xfe", "no JSON"),
        (b"\0\0\0\0", "the limit is"),
        (framed({"do": "explode"}), "there is no message 'explode'; known: analyse"),
        (framed({"do": ["ping"]}), "there is no message"),
        (framed({}), "there is no message None"),
        (framed({"do": "ping"}), "ping: id is missing"),
        (framed({"do": "ping", "id": "x"}), "ping: id is 'x', not a whole number"),
        (framed({"do": "ping", "id": True}), "ping: id is True, not a whole number"),
        (framed({"do": "stop", "bytes": [-1]}), "a list of at most 1000 lengths"),
        (framed({"do": "stop", "bytes": {"a": 1}}), "a list of at most 1000 lengths"),
        (framed({"do": "stop", "bytes": [2**40]}), "the limit is"),
        (framed({"do": "stop", "bytes": [9]}, b"short"), "5 of 9 bytes"),
        ((200_000).to_bytes(4, "big") + b"[" * 200_000, "no JSON"),
    ],
)
def test_garbage_is_an_error_in_words(raw: bytes, why: str):
    with pytest.raises(ProtocolError, match=why):
        frames.read(io.BytesIO(raw))


def test_random_bytes_are_a_message_or_a_protocol_error():
    draw = random.Random(5)
    good = framed({"do": "analyse", "id": 1, "graph": "nodegraph: 1", "bytes": [3]}, b"abc")
    for _ in range(2000):
        raw = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            raw[draw.randrange(len(raw))] = draw.randrange(256)
        try:
            frames.read(io.BytesIO(bytes(raw[: draw.randint(1, len(raw))])))
        except ProtocolError:
            pass


def test_what_the_other_end_would_refuse_is_not_sent():
    with pytest.raises(ProtocolError, match="the limit is"):
        frames.write(io.BytesIO(), {"do": "stop"}, [bytes(frames.LIMIT), b"x"])
    with pytest.raises(ProtocolError, match="graph is missing"):
        frames.write(io.BytesIO(), {"do": "analyse", "id": 1})


# Answers -----------------------------------------------------------------------------------------


def test_an_analysis_tells_shapes_and_costs_at_any_depth():
    found = analyse(GRAPH, "", standard(), {})
    assert found["problems"] == []
    assert found["shapes"]["source.image"] == [64, 3, 28, 28]
    assert found["shapes"]["features/conv1.y"] == [64, 32, 24, 24]
    conv = found["costs"]["features/conv1"]
    assert conv["parameters"] == 32 * 3 * 25 + 32
    assert conv["activation_bytes"] == 4 * 64 * 32 * 24 * 24
    assert found["costs"]["features_t"]["parameters"] == 0  # it shares them
    json.dumps(found)


def test_a_group_that_is_dissolved_costs_what_its_nodes_cost():
    text = (Path(__file__).parents[1] / "graphs/logistic_race.yaml").read_text()
    costs = analyse(text, "", standard(), {})["costs"]
    inside = [c["multiply_adds"] for name, c in costs.items() if name.count("/") == 1
              and name.startswith("above/of_")]  # fmt: skip
    assert len(inside) == 7 and costs["above"]["multiply_adds"] == sum(inside) > 0
    assert sum(c["parameters"] for name, c in costs.items() if "/" not in name) == 16


def test_a_view_with_an_input_that_is_not_linked_is_analysed():
    text = """
nodegraph: 1
nodes:
  noise: {type: Noise, shape: [2]}
  cloud: {type: Scatter, in: {points: noise}}
"""
    told = analyse(text, "", standard(), {})
    assert not [p for p in told["problems"] if p["severity"] == "error"]
    assert "noise" in told["source"]


def test_an_analysis_offers_fixes_that_work():
    from nodegraph import files, fixes
    from nodegraph.scope import Scope

    found = analyse(FAULTY, "", standard(), {})["problems"]
    graph, scope = files.parse(FAULTY).graph, Scope(standard())
    for problem in [p for p in found if p["fix"]]:
        graph = fixes.apply(graph, problem["fix"], scope)
        assert fixes.label(problem["fix"]) != "Fix"
    does = sorted(p["fix"]["do"] for p in found if p["fix"])
    assert does == ["insert", "link", "rename", "retype", "set"]
    left = analyse(files.dumps(graph), "", standard(), {})["problems"]
    # What is left is a consequence of wiring pictures into a matrix product, with its own fix.
    assert [p["text"] for p in left] == ["x expects N D, gets 64×1×28×28"]
    graph = fixes.apply(graph, left[0]["fix"], scope)
    assert analyse(files.dumps(graph), "", standard(), {})["problems"] == []


def test_what_is_no_graph_is_a_problem_not_a_failure():
    found = analyse("nodes: [", "", standard(), {})
    assert found["problems"][0]["severity"] == "error" and found["shapes"] == {}


def test_of_the_questions_about_one_graph_the_last_is_answered():
    def ask(id: int, key: str) -> Frame:
        return Frame({"do": "analyse", "id": id, "graph": "", "key": key})

    ping = Frame({"do": "ping", "id": 9})
    batch = [ask(1, "a"), ask(2, "b"), ping, ask(3, "a"), None]
    assert list(latest(batch)) == [ask(2, "b"), ping, ask(3, "a"), None]


# The process -------------------------------------------------------------------------------------


def talk(raw: bytes) -> tuple[int, bytes, str]:
    done = subprocess.run(COMMAND, input=raw, capture_output=True, cwd=ROOT, timeout=30)
    return done.returncode, done.stdout, done.stderr.decode()


def test_the_worker_ends_with_its_input_and_when_told_to():
    assert talk(b"")[0] == 0
    code, out, _ = talk(framed({"do": "ping", "id": 4}) + framed({"do": "stop"}))
    assert code == 0
    assert frames.read(io.BytesIO(out)) == Frame({"do": "pong", "id": 4}, [])


def test_the_worker_answers_garbage_in_words_and_ends():
    code, out, _ = talk(b"GET / HTTP/1.1\r\n\r\n")
    answer = frames.read(io.BytesIO(out))
    assert code == 2 and answer is not None
    assert "something that is no message is on the channel" in answer.header["text"]


def test_the_worker_needs_no_torch():
    code = (
        "import sys; from nodegraph.worker.server import analyse; from nodegraph.library import "
        "standard; analyse(open('graphs/dann.yaml').read(), '', standard(), {});"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# The client --------------------------------------------------------------------------------------


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.chdir(ROOT)
    found = Worker()
    yield found
    found.close()
    assert found.wait_closed()


def answer(worker: Worker, seconds: float = 20.0) -> dict:
    got: list = []
    until(lambda: got.extend(worker.poll()) or got, seconds)
    return got[-1]


def test_the_client_gets_the_answer_and_never_waits(worker: Worker):
    start = time.monotonic()
    worker.analyse(1, GRAPH)
    for id in range(2, 500):
        worker.analyse(id, lambda: GRAPH)
    worker.poll()
    assert time.monotonic() - start < 0.5  # starting Python alone takes about as long
    seen: list = []
    until(lambda: seen.extend(worker.poll()) or (seen and seen[-1]["id"] == 499))
    assert len(seen) < 50  # the others were replaced before they were sent
    assert seen[-1]["shapes"]["source.image"] == [64, 3, 28, 28]
    assert worker.status == "ready" and worker.told == ""


def test_a_killed_worker_comes_back_and_answers(worker: Worker):
    worker.analyse(1, GRAPH)
    assert answer(worker)["id"] == 1
    for id in (2, 3):
        assert worker._process is not None
        os.kill(worker._process.pid, signal.SIGKILL)
        assert until(lambda n=id: worker.status == "restarting" or worker.starts == n) < 1.0
        worker.analyse(id, GRAPH)
        assert answer(worker)["id"] == id
        assert "ended" in worker.why
    assert worker.starts == 3


def test_what_was_not_answered_is_asked_again(worker: Worker):
    worker.start()
    until(lambda: worker.status == "ready")
    assert worker._process is not None
    os.kill(worker._process.pid, signal.SIGSTOP)
    worker.analyse(5, GRAPH)
    until(lambda: worker._wanted["graph"].header)
    os.kill(worker._process.pid, signal.SIGKILL)
    assert answer(worker)["id"] == 5


def test_a_worker_that_hangs_is_noticed_and_replaced(worker: Worker):
    worker.start()
    until(lambda: worker.status == "ready")
    assert worker._process is not None
    os.kill(worker._process.pid, signal.SIGSTOP)
    assert until(lambda: worker.status == "restarting", 10) < 6.5  # a ping is due each second
    assert "hangs" in worker.told
    worker.analyse(2, GRAPH)
    assert answer(worker)["id"] == 2


def test_a_graph_that_ends_every_worker_is_given_up():
    reads = (
        "import sys; from nodegraph.worker import frames as f\nwhile m := f.read(sys.stdin.buffer):"
    )
    dies = "\n if m.header['do'] == 'analyse': sys.exit(3)"
    pongs = "\n f.write(sys.stdout.buffer, {'do': 'pong', 'id': m.header['id']})"
    worker = Worker([sys.executable, "-c", reads + dies + pongs])
    worker.analyse(8, GRAPH)
    found = answer(worker)
    assert (found["do"], found["id"]) == ("failed", 8) and "2 times" in found["text"]
    until(lambda: worker.status == "ready")
    worker.close()
    assert worker.wait_closed()


def test_a_worker_that_cannot_start_or_talks_nonsense_says_so():
    for command, why in (
        (["/no/such/program"], "cannot start"),
        ([sys.executable, "-c", "print('welcome to my shell!')"], "garbage"),
    ):  # fmt: skip
        worker = Worker(command)
        worker.analyse(1, GRAPH)
        until(lambda w=worker, y=why: y in w.told)
        worker.close()
        assert worker.wait_closed()


def test_closing_at_once_leaves_no_process_behind():
    worker = Worker()
    worker.start()
    until(lambda: worker._process)
    start = time.monotonic()
    worker.close()
    assert time.monotonic() - start < 0.1
    assert worker.wait_closed()
    assert worker._process is not None and worker._process.returncode is not None
