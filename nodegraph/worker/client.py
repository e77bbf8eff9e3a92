"""The editor's end of the worker that analyses: asks it, starts it again when it dies or hangs."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

from .frames import Frame
from .process import Message, Outgoing, Process, local_command

Status = Literal["off", "starting", "ready", "restarting", "closed"]

PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)  # before each further start in a row
STEADY = 20.0  # seconds of life after which the row begins anew
TRIES = 2  # workers that may end on one message before it is given up


class Worker:
    """A child process that answers messages, and comes back when it dies."""

    def __init__(self, command: Sequence[str] = ()) -> None:
        self.command = list(command) or local_command()
        self.log: deque[str] = deque(maxlen=500)  # what it wrote to standard error
        self.starts = 0
        self.why = ""  # of the last restart
        self.status: Status = "off"
        self._closing = threading.Event()
        self._lock = threading.Condition()
        self._out: deque[str | Outgoing] = deque()  # keys of `_wanted`, or messages without a key
        self._wanted: dict[str, Outgoing] = {}
        self._inbox: deque[Message] = deque()
        self._live: Process | None = None
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
        sent = Outgoing(message, payloads)
        with self._lock:
            if replaces:
                if replaces not in self._out:
                    self._out.append(replaces)
                self._wanted[replaces] = sent
            else:
                self._out.append(sent)
            self._lock.notify_all()

    def analyse(
        self, id: int, graph: str | Callable[[], str], preset: str = "", key: str = "",
        folder: str = "",
    ) -> None:  # fmt: skip
        """Ask for the analysis of a graph's text, of a file in `folder`; the answer has the same
        `id` and `key`."""

        def question() -> Message:
            text = graph if isinstance(graph, str) else graph()
            asked = {"graph": text, "preset": preset, "key": key, "folder": folder}
            return {"do": "analyse", "id": id, **asked}

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

    @property
    def _process(self) -> subprocess.Popen[bytes] | None:
        return self._live.child if self._live else None

    # Threads --------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        in_a_row = 0
        while not self._closing.is_set():
            born = time.monotonic()
            with self._lock:
                self.starts += 1
                self._live = Process(
                    self.command, self._lock, self._closing, self._pull, self._take,
                    self._refused, self.log,
                )  # fmt: skip
            why = self._live.live().why
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

    def _pull(self) -> Outgoing | None:
        while self._out:
            found = self._out.popleft()
            if isinstance(found, Outgoing):
                return found
            if found in self._wanted:
                return self._wanted[found]
        return None

    def _refused(self, sent: Outgoing, why: str) -> None:
        self._inbox.append({"do": "failed", "id": 0, "text": why, **_id(sent)})

    def _take(self, frame: Frame) -> None:
        with self._lock:
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


def _id(sent: Outgoing) -> dict[str, Any]:
    """The number and key of a message that was written."""
    return {k: v for k, v in (sent.header or {}).items() if k in ("id", "key")}
