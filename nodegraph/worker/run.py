"""The editor's end of a worker that trains: one run, which the window starts, steers and polls.

Nothing here waits. A worker that dies or hangs is not started again by itself: its run is on disk,
and the person is asked.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from .frames import Frame
from .process import HANGS, START, Message, Outgoing, Process, local_command, remote_command

State = Literal["off", "starting", "running", "paused", "finished", "stopping", "stopped", "died"]

SAVES = 60.0  # seconds that it may take to write its checkpoint once it is told to end
LEAVES = 20.0  # seconds without an answer after that: an interpreter that ends gives none
KNOBS = ("apply", "look", "speed")  # of several that were not sent only the last counts
NEWEST = ("status", "previews")  # and of these that were not polled
LIVE = ("starting", "running", "paused", "finished")


class Run:
    """One run of training in a process of its own, here or on another machine."""

    def __init__(self, command: Sequence[str] = (), remote: str = "") -> None:
        self.command = list(command) or (remote_command(remote) if remote else local_command())
        self.remote = remote
        self.log: deque[str] = deque(maxlen=500)  # what it wrote to standard error
        self.state: State = "off"
        self.status: Message = {}  # the last one: stage, index, step, steps, rate
        self.folder = ""  # of the run, once it has started
        self.why = ""  # it died
        self._closing = threading.Event()
        self._lock = threading.Condition()
        self._out: deque[Outgoing] = deque()
        self._inbox: deque[Message] = deque()
        self._process: Process | None = None
        self._thread: threading.Thread | None = None

    # For the window: none of these waits ---------------------------------------------------------

    @property
    def told(self) -> str:
        """The state in words, for a corner of the window; "" when there is nothing to tell."""
        where = f" on {self.remote}" if self.remote else ""
        resume = "; it can be resumed from its last checkpoint" if self.folder else ""
        words = {
            "starting": f"training is starting{where}",
            "stopping": "training is writing its checkpoint" if self.folder else "",
            "died": f"training{where} {self.why}{resume}",
        }
        return words.get(self.state, "")

    @property
    def alive(self) -> bool:
        """Whether there is a process that takes messages."""
        return self.state in LIVE

    def start(self, message: Mapping[str, Any] | Callable[[], Message]) -> None:
        """Start the process, with a `train` message: id, and graph (with preset, settings, options,
        run) or resume (with checkpoint); paused. A function is called in another thread to make it.
        """
        if self._thread is not None:
            raise ValueError("a run is started once; make another for the next")
        self.state = "starting"
        made = message if callable(message) else {**message, "do": "train"}
        self._out.append(Outgoing(made))
        self._thread = threading.Thread(target=self._live, name="run", daemon=True)
        self._thread.start()

    def play(self) -> None:
        """Train on."""
        self._send({"do": "play"})

    def pause(self) -> None:
        """Stop after the step at hand."""
        self._send({"do": "pause"})

    def step(self, count: int = 1) -> None:
        """Train so many steps, then pause."""
        self._send({"do": "step", "count": count})

    def update(self, name: str) -> None:
        """Run one update of the stage at hand and no other, then pause."""
        self._send({"do": "update", "name": name})

    def speed(self, limit: float) -> None:
        """Train so many steps per second at most; 0: as fast as it goes."""
        self._send({"do": "speed", "limit": limit})

    def apply(
        self, id: int, graph: str | Callable[[], str], preset: str = "",
        settings: Mapping[str, Any] | None = None, names: Mapping[str, str] | None = None,
        folder: str = "",
    ) -> None:  # fmt: skip
        """Go on with another graph; the answer, `applied` or `failed`, has the same `id`. `names`
        are new names of nodes by old ones."""

        def made() -> Message:
            text = graph if isinstance(graph, str) else graph()
            chosen = {"preset": preset, "settings": dict(settings or {}), "folder": folder}
            return {"do": "apply", "id": id, "graph": text, **chosen, "names": dict(names or {})}

        self._send(made, "apply")

    def restore(self, id: int, checkpoint: str) -> None:
        """Go back to a checkpoint of this run; the answer, `restored`, has the graph it had."""
        self._send({"do": "restore", "id": id, "checkpoint": checkpoint})

    def look(
        self, views: Sequence[Any], peeks: Sequence[Any] = (), every: float = 1.0,
        probes: bool = False, theme: str = "dark",
    ) -> None:  # fmt: skip
        """What to preview from now on, every how many seconds, and on what ground."""
        wanted = {"views": [*views], "peeks": [*peeks], "every": every, "probes": probes}
        self._send({"do": "look", **wanted, "theme": theme})

    def save(self) -> None:
        """Write a checkpoint now."""
        self._send({"do": "save"})

    def stop(self) -> None:
        """Write a checkpoint and end."""
        with self._lock:  # else a status that is being taken could take its place
            if self.alive:
                self._send({"do": "stop"})
                self.state = "stopping"
                if self._process is not None:
                    self._process.patience = max(self._process.patience, LEAVES)

    def poll(self) -> list[Message]:
        """What has come since the last call. Payloads are under "payloads". Beside the messages of
        the worker there is `died {text, status, run}`, and `stopped {}` when it ended as told."""
        with self._lock:
            found, self._inbox = [*self._inbox], deque()
        return found

    def close(self) -> None:
        """Leave: the worker writes its checkpoint and ends by itself, without being waited for."""
        with self._lock:
            self._closing.set()
            self._out.clear()
            self._lock.notify_all()

    def wait_closed(self, timeout: float = 10.0) -> bool:
        """Whether the process has ended within a time. For tests and scripts."""
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    @property
    def pid(self) -> int:
        """The number of the process; 0 when there is none yet."""
        child = self._process.child if self._process else None
        return child.pid if child else 0

    # Threads --------------------------------------------------------------------------------------

    def _send(self, message: Message | Callable[[], Message], do: str = "") -> None:
        knob = do or (message["do"] if isinstance(message, Mapping) else "")
        with self._lock:
            if not self.alive:
                return
            if knob in KNOBS and self._out and self._out[-1].header == {"knob": knob}:
                self._out.pop()
            self._out.append(Outgoing(message, header={"knob": knob}))
            self._lock.notify_all()

    def _live(self) -> None:
        self._process = process = Process(
            self.command, self._lock, self._closing, self._pull, self._take, self._refused,
            self.log,
        )  # fmt: skip
        process.patience = START  # loading torch and data may hold up all threads of the worker
        end = process.live(SAVES)
        with self._lock:
            told = self.state == "stopping" or self._closing.is_set()
            if told and end.status == 0:
                self.state = "stopped"
                self._inbox.append({"do": "stopped"})
            else:
                self.why, self.state = end.why, "died"
                self._inbox.append(
                    {"do": "died", "text": self.told, "status": end.status, "run": self.folder}
                )

    def _pull(self) -> Outgoing | None:
        return self._out.popleft() if self._out else None

    def _refused(self, sent: Outgoing, why: str) -> None:
        with self._lock:
            self._inbox.append(
                {"do": "failed", "id": (sent.header or {}).get("id", 0), "text": why}
            )

    def _take(self, frame: Frame) -> None:
        header = frame.header
        do = header["do"]
        if do == "pong":
            return
        given = {"payloads": frame.payloads} if frame.payloads else {}
        with self._lock:
            if do in NEWEST:
                self._inbox = deque(m for m in self._inbox if m["do"] != do)
            self._inbox.append({**header, **given})
            if do == "started":
                self.folder = header["run"]
                assert self._process is not None
                if self.state != "stopping":
                    self._process.patience = HANGS
            elif do == "status":
                self.status = header
                if self.state in LIVE and header["state"] in LIVE:
                    self.state = header["state"]
            elif do == "failed" and self.state == "starting":  # there is no run to steer
                self.state = "stopping"
                self._out.append(Outgoing({"do": "stop"}))
                self._lock.notify_all()
