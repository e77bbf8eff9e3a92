"""A child process that speaks frames: its threads, its log, and why it ended.

Nothing here waits on behalf of the caller. Messages go through queues, and threads do the rest: one
that watches, and for each process one that writes, one that reads, and one for its log.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from .. import library
from . import frames
from .frames import Frame, ProtocolError

Message = Mapping[str, Any]

LOOK = 0.2  # seconds between two looks at the process
PING = 1.0  # seconds between two pings
HANGS = 3.0  # seconds without an answer after which it is killed, if it does nothing either
BUSY = 30.0  # seconds that one which computes may take to answer: the machine may be overloaded
START = 60.0  # seconds that the first answer may take, on a busy machine
HOST = re.compile(r"([\w.%+][\w.%+-]*@)?[\w.:%\[\]][\w.:%\[\]-]*")


def local_command() -> list[str]:
    """The worker of this installation, with the folders of node types that this process has."""
    own = (word for folder in library.folders() for word in ("--nodes", folder))
    return [sys.executable, "-m", "nodegraph", "worker", *own]


def remote_command(host: str, program: Sequence[str] = ("nodegraph", "worker")) -> list[str]:
    """The worker of another machine, `user@host`, through ssh: nothing listens there.

    It asks for no password, so a key must be set up. Raises ValueError for what is no host: one
    that begins with `-` would be an option.
    """
    if not HOST.fullmatch(host):
        raise ValueError(f"{host!r} is no host; write it like user@example.org")
    return ["ssh", "-T", "-o", "BatchMode=yes", host, shlex.join(program)]


def cpu_time(pid: int) -> int:
    """How much of the processor's time a process has used, in ticks; 0 where that is not told."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])  # in user mode, and in the kernel
    except (OSError, ValueError, IndexError):
        return 0


@dataclass
class Outgoing:
    """A message that is to be sent, or a function that makes it in another thread."""

    make: Callable[[], Message] | Message
    payloads: Sequence[bytes] = ()
    header: Message | None = None  # once it was written
    ended: int = 0  # how many workers ended after they had got it


@dataclass(frozen=True)
class End:
    """How a process ended: a reason that follows `it …`, and its exit status, None if killed."""

    why: str
    status: int | None


class Process:
    """One process, from its start to its end.

    `pull` gives the next message to write, or None when there is none; it is called under `lock`,
    which is notified when that may have changed. `take` gets what comes, `refused` what can't be
    sent, with the reason.
    """

    def __init__(
        self, command: Sequence[str], lock: threading.Condition, closing: threading.Event,
        pull: Callable[[], Outgoing | None], take: Callable[[Frame], None],
        refused: Callable[[Outgoing, str], None], log: deque[str],
    ) -> None:  # fmt: skip
        self.command, self.lock, self.closing = command, lock, closing
        self.pull, self.take, self.refused, self.log = pull, take, refused, log
        self.child: subprocess.Popen[bytes] | None = None
        self.patience = HANGS  # seconds without an answer to a ping, once it has answered one
        self._heard = 0.0
        self._numbers = itertools.count(1)
        self._ping: Outgoing | None = None
        self._over = False  # its writer may stop
        self._ended: list[str] = []  # why its reader stopped

    def live(self, grace: float = 1.0) -> End:
        """Run it to its end, in this thread. After `closing` it has `grace` seconds to end."""
        try:
            child = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as wrong:
            return End(f"cannot start: {wrong.strerror or wrong}", None)
        assert child.stdin and child.stdout and child.stderr
        with self.lock:
            self.child = child
        jobs: list[tuple[Callable[[IO[bytes]], None], IO[bytes]]] = [
            (self._write, child.stdin), (self._read, child.stdout), (self._note, child.stderr)
        ]  # fmt: skip
        threads = [
            threading.Thread(target=job, args=(stream,), daemon=True) for job, stream in jobs
        ]
        for thread in threads:
            thread.start()
        why = self._watch(child, grace)
        with self.lock:
            self._over = True
            self.lock.notify_all()
        if child.poll() is None:
            child.kill()
        status = child.wait()
        for thread in threads:
            thread.join(2)
        return End(why, status)

    def _watch(self, child: subprocess.Popen[bytes], grace: float) -> str:
        born = pinged = time.monotonic()
        asked = 0.0  # when the ping was sent that is not answered
        spent_before = 0  # of the processor's time, by then
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self.closing.is_set() or bool(self._ended), LOOK)
                now, heard = time.monotonic(), self._heard
                if self.closing.is_set():
                    break
                if self._ended or child.poll() is not None:
                    break
                if heard > asked:
                    asked = 0.0
                if not asked and (now - pinged > PING or not heard):
                    asked = pinged = now
                    spent_before = cpu_time(child.pid)
                    self._ping = Outgoing({"do": "ping", "id": next(self._numbers)})
                    self.lock.notify_all()
            silent = now - (asked or now)
            if silent > (self.patience if heard else START):
                if silent > max(BUSY, self.patience) or cpu_time(child.pid) <= spent_before:
                    return "hangs"
        if self.closing.is_set():
            try:
                child.wait(grace)
            except subprocess.TimeoutExpired:
                pass
            return "closed"
        garbage = next(filter(None, self._ended), "")
        try:
            code = child.wait(0.5)
        except subprocess.TimeoutExpired:
            return f"sent garbage: {garbage}" if garbage else "closed its channel"
        spent = time.monotonic() - born
        self.log.append(f"worker ended with status {code} after {spent:.1f} s")
        return f"sent garbage: {garbage}" if garbage else f"ended (status {code})"

    def _write(self, stream: IO[bytes]) -> None:
        try:
            while (sent := self._next()) is not None:
                try:
                    message = sent.make() if callable(sent.make) else sent.make
                    sent.header = {k: v for k, v in message.items() if k in ("do", "id", "key")}
                    frames.write(stream, message, sent.payloads)
                except (ProtocolError, TypeError, RecursionError) as wrong:
                    self.refused(sent, str(wrong))
        except (OSError, ValueError):
            pass  # the process is gone; who watches sees it
        finally:
            try:
                stream.close()
            except OSError:
                pass

    def _next(self) -> Outgoing | None:
        with self.lock:
            while not (self._over or self.closing.is_set()):
                if self._ping is not None:
                    ping, self._ping = self._ping, None
                    return ping
                if (found := self.pull()) is not None:
                    return found
                self.lock.wait(1.0)
            return None

    def _read(self, stream: IO[bytes]) -> None:
        why = ""
        try:
            while (frame := frames.read(stream)) is not None:
                with self.lock:
                    self._heard = time.monotonic()
                self.take(frame)
        except ProtocolError as wrong:
            why = str(wrong)
        except (OSError, ValueError):
            pass
        finally:
            stream.close()
        with self.lock:
            self._ended.append(why)
            self.lock.notify_all()

    def _note(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self.log.append(line.decode("utf-8", "replace").rstrip()[:2000])
