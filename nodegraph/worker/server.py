"""`nodegraph worker`: answers the messages on its standard input, on its standard output.

It analyses graphs: shapes, problems and costs after each edit. Of several questions about one graph
only the last is answered. The message `train` makes it a worker that trains (`trainee`), to its
end. Whatever prints goes to standard error; the channel carries frames alone.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import IO, Any

from .. import files, own
from ..body import Body
from ..checks import check, choose_known, settled
from ..compiler.source import Program
from ..compiler.text import attribute
from ..fixes import fix_for
from ..graph import GraphError, Ref
from ..infer import Memo, infer
from ..library import Library, standard
from ..node import Optimiser, View
from ..problem import Problem
from ..scope import Scope
from . import frames
from .frames import Frame, ProtocolError
from .outbox import Outbox

LAST = 3.0  # seconds that a piece of work may go on after the editor has gone
LAST_STEP = 60.0  # the same for a step of training and its checkpoint
MEMO = 50_000  # entries of inferred calls to keep

Answer = dict[str, Any]


def serve() -> int:
    """Take over standard input and output, and answer until the other end closes or says stop."""
    channel_in, channel_out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what C code prints must not get into the channel either
    sys.stdout = sys.stderr
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the editor
    return Server(channel_in, channel_out).run()


class Server:
    """The analysing worker between two streams."""

    def __init__(self, source: IO[bytes], sink: IO[bytes], library: Library | None = None) -> None:
        self.source, self.sink = source, sink
        self.library = library or standard()
        self.memos: dict[str, Memo] = {}
        self.inbox: queue.SimpleQueue[Frame | ProtocolError | None] = queue.SimpleQueue()
        self.last = LAST
        self.outbox: Outbox | None = None  # of a worker that trains
        self.long = False  # whether it is at something that may take long, and is no hang
        self.writing = threading.Lock()

    def run(self) -> int:
        """Answer messages; the exit status."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        while True:
            batch = [self.inbox.get()]
            while not self.inbox.empty():
                batch.append(self.inbox.get())
            items = latest(batch)
            for item in items:
                if item is None or (isinstance(item, Frame) and item.header["do"] == "stop"):
                    return 0
                if isinstance(item, Frame) and item.header["do"] == "train":
                    return self._train([item, *items])
                try:
                    if isinstance(item, ProtocolError):
                        frames.write(self.sink, {"do": "failed", "id": 0, "text": str(item)})
                        return 2
                    answer = self.answer(item.header)
                    with self.writing:
                        frames.write(self.sink, answer)
                except (BrokenPipeError, ValueError) as gone:
                    print(f"the channel is closed: {gone}", file=sys.stderr)
                    return 1

    def _read(self) -> None:
        """Put what comes into the inbox; see to it that nothing outlives the editor."""
        try:
            while (frame := frames.read(self.source)) is not None:
                if self.outbox and frame.header["do"] == "ping":  # a long step is no hang
                    self.outbox.put({"do": "pong", "id": frame.header["id"]})
                elif self.long and frame.header["do"] == "ping":
                    with self.writing:
                        frames.write(self.sink, {"do": "pong", "id": frame.header["id"]})
                else:
                    if frame.header["do"] == "train":
                        self.last = LAST_STEP
                    self.inbox.put(frame)
        except ProtocolError as wrong:
            self.inbox.put(wrong)
        except (OSError, ValueError):
            pass
        self.inbox.put(None)
        time.sleep(self.last)
        os._exit(1)

    def _train(self, items: list[Frame | ProtocolError | None]) -> int:
        """Be a worker that trains until told to stop; the exit status. `items` came already."""
        self.outbox = Outbox(self.sink)
        from .trainee import Trainee  # this loads torch

        signal.signal(signal.SIGTERM, lambda *_: self.inbox.put(None))
        return Trainee(self.inbox, self.outbox).run(items)

    def answer(self, message: Mapping[str, Any]) -> Answer:
        """The answer to one message."""
        match message["do"]:
            case "ping":
                return {"do": "pong", "id": message["id"]}
            case "analyse":
                return self._analyse(message)
            case "gradcheck":
                return self._gradcheck(message)
        text = f"this worker does not {message['do']}"
        return {"do": "failed", "id": message.get("id", 0), "text": text}

    def _gradcheck(self, message: Mapping[str, Any]) -> Answer:
        self.long = True
        try:
            return self._gradchecked(message)
        finally:
            self.long = False

    def _gradchecked(self, message: Mapping[str, Any]) -> Answer:
        from ..compiler.gradcheck import check_graph  # this loads torch

        known = {"id": message["id"], "key": message.get("key", "")}
        try:
            graph = files.parse(message["graph"], "graph", self.library).graph
            graph = graph.with_(folder=message.get("folder", ""))
            reports = check_graph(settled(graph), self.library, message.get("node", ""))
        except Exception as wrong:  # also of a person's own code, with the place in it
            traceback.print_exc()
            told = str(wrong) if isinstance(wrong, GraphError) else own.fault(wrong)
            return {"do": "failed", **known, "text": f"the gradient can't be checked: {told}"}
        right = all(report.right for report in reports)
        return {"do": "gradchecked", **known, "right": right, "text": "\n".join(map(str, reports))}

    def _analyse(self, message: Mapping[str, Any]) -> Answer:
        start, key = time.perf_counter(), message.get("key", "")
        memo = self.memos.setdefault(key, {})
        if len(memo) > MEMO:
            memo.clear()
        try:
            folder = message.get("folder", "")
            found = analyse(message["graph"], message.get("preset", ""), self.library, memo, folder)
        except Exception as wrong:  # a bug of ours must not silence all further answers
            traceback.print_exc()
            text = f"the analysis failed: {type(wrong).__name__}: {wrong}"
            return {"do": "failed", "id": message["id"], "key": key, "text": text[:500]}
        seconds = round(time.perf_counter() - start, 4)
        return {"do": "analysis", "id": message["id"], "key": key, **found, "seconds": seconds}


def latest(batch: list[Frame | ProtocolError | None]) -> Iterator[Frame | ProtocolError | None]:
    """What of a batch is to be done: of the questions about one graph only the last."""

    def about(item: Frame | ProtocolError | None) -> str | None:
        if isinstance(item, Frame) and item.header["do"] == "analyse":
            return str(item.header.get("key", ""))
        return None

    last = {about(item): index for index, item in enumerate(batch)}
    for index, item in enumerate(batch):
        if about(item) is None or last[about(item)] == index:
            yield item


# The analysis ------------------------------------------------------------------------------------


def analyse(
    text: str, preset: str, library: Library, memo: Memo, folder: str = ""
) -> dict[str, Any]:
    """Shapes, problems and costs of a graph's text; where it can't be read, the problems say so.

    `folder` is that of its file.
    """
    try:
        document = files.parse(text, "graph", library)
    except GraphError as wrong:
        told = [as_data(Problem("error", (), line), None) for line in str(wrong).split("\n")]
        return {"shapes": {}, "problems": told, "costs": {}, "source": {}}
    graph = whole = document.graph.with_(folder=folder)
    scope = Scope(library)
    if preset in graph.presets:
        graph = choose_known(graph, preset)
    body, _ = infer(graph, library, memo)
    problems = dict.fromkeys([*document.problems, *check(whole, library, memo)])
    fixed = [as_data(p, fix_for(p, document.graph, scope)) for p in problems]
    shapes: dict[str, list[int]] = {}
    costs: dict[str, dict[str, int]] = {}
    source: dict[str, str] = {}
    collect(body, "", shapes, costs)
    written(Program(body), body, "", source)
    return {"shapes": shapes, "problems": fixed, "costs": costs, "source": source}


def written(program: Program, body: Body, inside: str, source: dict[str, str]) -> None:
    """Put the generated lines of each call into a table, by `group/node`."""

    def variable(ref: Ref) -> str:
        return str(ref).replace(".", "_")

    for name, call in body.calls.items():
        place = inside + name.replace(".", "/")
        lines = []
        if call.owner == name and program.is_module(call):
            made = f"{call.body.type}()" if call.body else program.expression(*program.recipe(call))
            lines.append(f"self.{attribute(name)} = {made}")
        if not isinstance(call.node, (Optimiser, View)):  # views are no part of the programme
            arguments, _ = program.arguments(call, variable)
            outputs = ", ".join(variable(Ref(name, p if len(call.outputs) > 1 else ""))
                                for p in call.outputs)  # fmt: skip
            lines.append(f"{outputs} = {program.applied(call, arguments, 'self.')}")
        source[place] = "\n".join(lines)
        if call.body is not None:
            written(program, call.body, f"{place}/", source)


def as_data(problem: Problem, fix: Mapping[str, Any] | None) -> dict[str, Any]:
    """A problem as JSON has it."""
    return {
        "severity": problem.severity, "where": list(problem.where), "text": problem.text,
        "cure": problem.cure, "fix": dict(fix) if fix else None,
    }  # fmt: skip


def collect(
    body: Body, inside: str, shapes: dict[str, list[int]], costs: dict[str, dict[str, int]]
) -> None:
    """Put what is known of the calls of a body into two tables, by `group/node.port` and
    `group/node`. A node without a name for its only output is found by `group/node` too."""
    for name, call in body.calls.items():
        parts = name.split(".")  # `group.node` where a group was dissolved
        place = inside + "/".join(parts)
        for port, value in call.outputs.items():
            shapes[f"{place}.{port}"] = list(value.shape)
        found = {
            "parameters": call.parameters() if call.owner == name else 0,
            "multiply_adds": call.multiply_adds(),
            "activation_bytes": call.activation_bytes(),
        }
        costs[place] = found
        for end in range(1, len(parts)):
            group = costs.setdefault(inside + "/".join(parts[:end]), dict.fromkeys(found, 0))
            for what, number in found.items():
                group[what] += number
        if call.body is not None:
            collect(call.body, f"{place}/", shapes, costs)
