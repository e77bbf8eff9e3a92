"""The editor's end of a worker: starts it, talks to it, starts it again when it dies or hangs.

Nothing here waits on behalf of the caller. Messages go through queues, and threads do the rest:
one that supervises, and for each process one that writes, one that reads, and one for its log.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

from . import frames
from .frames import Frame, ProtocolError

Message = Mapping[str, Any]
Status = Literal["off", "starting", "ready", "restarting", "closed"]

LOOK = 0.2  # seconds between two looks at the process
PING = 1.0  # seconds between two pings
HANGS = 3.0  # seconds without an answer after which it is killed
START = 60.0  # seconds that the first answer may take, on a busy machine
PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)  # before each further start in a row
STEADY = 20.0  # seconds of life after which the row begins anew
TRIES = 2  # workers that may end on one message before it is given up


@dataclass
class _Sent:
    """A message that must be answered, kept until it is."""

    make: Callable[[], Message] | Message
    payloads: Sequence[bytes]
    header: Message | None = None  # once it was written
    ended: int = 0  # how many workers ended after they had got it


class Worker:
    """A child process that answers messages, and comes back when it dies."""

    def __init__(self, command: Sequence[str] = ()) -> None:
        self.command = list(command) or [sys.executable, "-m", "nodegraph", "worker"]
        self.log: deque[str] = deque(maxlen=500)  # what it wrote to standard error
        self.starts = 0
        self.why = ""  # of the last restart
        self.status: Status = "off"
        self._closing = threading.Event()
        self._lock = threading.Condition()
        self._out: deque[str | _Sent] = deque()  # keys of `_wanted`, or messages without a key
        self._wanted: dict[str, _Sent] = {}
        self._inbox: deque[Message] = deque()
        self._process: subprocess.Popen[bytes] | None = None
        self._generation = 0
        self._heard = 0.0
        self._numbers = itertools.count(1)
        self._supervisor: threading.Thread | None = None

    # For the window: none of these waits ---------------------------------------------------------

    @property
    def told(self) -> str:
        """The status in words, for a corner of the window; "" when there is nothing to tell."""
        words = {
            "starting": "the analysis is starting",
            "restarting": f"the analysis {self.why}; it is being started again",
        }
        return words.get(self.status, "")

    def start(self) -> None:
        """Start the process in the background."""
        with self._lock:
            if self._supervisor is None and not self._closing.is_set():
                self.status = "starting"
                self._supervisor = threading.Thread(
                    target=self._supervise, name="worker", daemon=True
                )
                self._supervisor.start()

    def send(
        self, message: Message | Callable[[], Message], payloads: Sequence[bytes] = (),
        replaces: str = "",
    ) -> None:  # fmt: skip
        """Have a message sent. A function is called in another thread to make it.

        With `replaces`, it takes the place of an unanswered one of the same key, and is sent again
        to the next worker if this one dies; an answer has the key as its `key`.
        """
        self.start()
        sent = _Sent(message, payloads)
        with self._lock:
            if replaces:
                if replaces not in self._out:
                    self._out.append(replaces)
                self._wanted[replaces] = sent
            else:
                self._out.append(sent)
            self._lock.notify_all()

    def analyse(
        self, id: int, graph: str | Callable[[], str], preset: str = "", key: str = ""
    ) -> None:
        """Ask for the analysis of a graph's text; the answer has the same `id` and `key`."""

        def question() -> Message:
            text = graph if isinstance(graph, str) else graph()
            return {"do": "analyse", "id": id, "graph": text, "preset": preset, "key": key}

        self.send(question, replaces=key or "graph")

    def poll(self) -> list[Message]:
        """The answers that have come since the last call. Payloads are under "payloads"."""
        found = []
        while self._inbox:
            found.append(self._inbox.popleft())
        return found

    def close(self) -> None:
        """End the worker, without waiting for it."""
        with self._lock:
            self.status = "closed"
            self._closing.set()
            self._out.clear()
            self._wanted.clear()
            self._lock.notify_all()

    def wait_closed(self, timeout: float = 5.0) -> bool:
        """Whether the worker has ended within a time, after `close`. For tests and scripts."""
        if self._supervisor is not None:
            self._supervisor.join(timeout)
            return not self._supervisor.is_alive()
        return True

    # Threads --------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        in_a_row = 0
        while not self._closing.is_set():
            born = time.monotonic()
            why = self._live()
            if self._closing.is_set():
                return
            in_a_row = 0 if time.monotonic() - born > STEADY else in_a_row
            with self._lock:
                self.why, self.status = why, "restarting"
                self._give_up_on_killers()
                self._lock.wait_for(
                    lambda: self._closing.is_set(), PAUSES[min(in_a_row, len(PAUSES) - 1)]
                )
            in_a_row += 1

    def _give_up_on_killers(self) -> None:
        """Put what was sent and not answered back into the queue, but not what ends each worker."""
        for key, sent in [*self._wanted.items()]:
            sent.ended += sent.header is not None
            if sent.ended >= TRIES:
                del self._wanted[key]
                text = f"the analysis {self.why} on this graph {TRIES} times; change the graph"
                known = {"do": "failed", "id": 0, "key": key, "text": text}
                self._inbox.append({**known, **_id(sent)})
            elif key not in self._out:
                sent.header = None
                self._out.append(key)

    def _live(self) -> str:
        """Run one process to its end; why it ended."""
        try:
            process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as wrong:
            return f"cannot start: {wrong.strerror or wrong}"
        assert process.stdin and process.stdout and process.stderr
        with self._lock:
            self._process = process
            self.starts += 1
            self._generation += 1
            self._heard = 0.0
            generation = self._generation
        ended: list[str] = []
        jobs: list[tuple[Callable[..., None], IO[bytes]]] = [
            (self._write, process.stdin), (self._read, process.stdout), (self._note, process.stderr)
        ]  # fmt: skip
        threads = [
            threading.Thread(target=job, args=(stream, generation, ended), daemon=True)
            for job, stream in jobs
        ]
        for thread in threads:
            thread.start()
        why = self._watch(process, ended)
        with self._lock:
            self._generation += 1  # its writer may stop
            self._lock.notify_all()
        if process.poll() is None:
            process.kill()
        process.wait()
        for thread in threads:
            thread.join(2)
        return why

    def _watch(self, process: subprocess.Popen[bytes], ended: list[str]) -> str:
        born = pinged = time.monotonic()
        asked = 0.0  # when the ping was sent that is not answered
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._closing.is_set() or bool(ended), LOOK)
                now, heard = time.monotonic(), self._heard
                if self._closing.is_set():
                    break
                if ended or process.poll() is not None:
                    break
                if heard > asked:
                    asked = 0.0
                if not asked and (now - pinged > PING or not heard):
                    asked = pinged = now
                    ping = {"do": "ping", "id": next(self._numbers)}
                    self._out.appendleft(_Sent(ping, ()))
                    self._lock.notify_all()
            if now - (asked or now) > (HANGS if heard else START):
                return "hangs"
        if self._closing.is_set():
            try:
                process.wait(1.0)
            except subprocess.TimeoutExpired:
                pass
            return "closed"
        try:
            code = process.wait(0.5)
        except subprocess.TimeoutExpired:
            return f"sent garbage: {ended[0]}" if ended and ended[0] else "closed its channel"
        spent = time.monotonic() - born
        self.log.append(f"worker ended with status {code} after {spent:.1f} s")
        return f"sent garbage: {ended[0]}" if ended and ended[0] else f"ended (status {code})"

    def _write(self, stream: IO[bytes], generation: int, ended: list[str]) -> None:
        try:
            while (sent := self._next(generation)) is not None:
                try:
                    message = sent.make() if callable(sent.make) else sent.make
                    sent.header = {k: v for k, v in message.items() if k in ("do", "id", "key")}
                    frames.write(stream, message, sent.payloads)
                except (ProtocolError, TypeError, RecursionError) as wrong:
                    self._inbox.append({"do": "failed", "id": 0, "text": str(wrong), **_id(sent)})
        except (OSError, ValueError):
            pass  # the process is gone; the supervisor sees it
        finally:
            try:
                stream.close()
            except OSError:
                pass

    def _next(self, generation: int) -> _Sent | None:
        with self._lock:
            while True:
                if self._generation != generation or self._closing.is_set():
                    return None
                while self._out:
                    found = self._out.popleft()
                    if isinstance(found, _Sent):
                        return found
                    if found in self._wanted:
                        return self._wanted[found]
                self._lock.wait(1.0)

    def _read(self, stream: IO[bytes], generation: int, ended: list[str]) -> None:
        why = ""
        try:
            while (frame := frames.read(stream)) is not None:
                self._take(frame)
        except ProtocolError as wrong:
            why = str(wrong)
        except (OSError, ValueError):
            pass
        finally:
            stream.close()
        with self._lock:
            ended.append(why)
            self._lock.notify_all()

    def _take(self, frame: Frame) -> None:
        with self._lock:
            self._heard = time.monotonic()
            if not self._closing.is_set():
                self.status = "ready"
            header = frame.header
            if header["do"] == "pong":
                return
            key = header.get("key") or "graph"
            sent = self._wanted.get(key)
            if sent and sent.header and sent.header.get("id") == header.get("id"):
                del self._wanted[key]
        given = {"payloads": frame.payloads} if frame.payloads else {}
        self._inbox.append({**header, **given})

    def _note(self, stream: IO[bytes], generation: int, ended: list[str]) -> None:
        with stream:
            for line in stream:
                self.log.append(line.decode("utf-8", "replace").rstrip()[:2000])


def _id(sent: _Sent) -> dict[str, Any]:
    """The number and key of a message that was written."""
    return {k: v for k, v in (sent.header or {}).items() if k in ("id", "key")}
