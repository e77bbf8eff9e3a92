"""What a training worker has to say: never waited for, and never more than the editor can read.

A thread of its own writes. Of what is only worth knowing when it is new, the newest waits; rows of
losses are thinned when they pile up; all else is kept, in order.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from . import frames
from .frames import ProtocolError

ROWS = 400  # rows of losses that wait at most
AT_ONCE = 1000  # rows in one frame
NEWEST = ("status", "previews", "pong")  # a newer one takes the place of one that was not sent


@dataclass
class _Letter:
    header: dict[str, Any]
    payloads: Sequence[bytes] = ()


class Outbox:
    """Messages on their way to the other end."""

    def __init__(self, sink: IO[bytes]) -> None:
        self.sink = sink
        self.gone = False  # the other end does not read any more
        self._waiting: deque[_Letter] = deque()
        self._lock = threading.Condition()
        self._busy = False
        self._rows = 0  # of losses that wait, or more
        threading.Thread(target=self._write, name="outbox", daemon=True).start()

    def put(self, header: Mapping[str, Any], payloads: Sequence[bytes] = ()) -> None:
        """Have a message sent. Raises ProtocolError for what the other end would refuse."""
        frames.checked({**header})
        do = header["do"]
        with self._lock:
            if self.gone:
                return
            if do in NEWEST:
                kept = [x for x in self._waiting if x.header["do"] != do]
                self._waiting = deque(kept)
            if do == "metrics":
                self._add_rows(header["rows"])
            elif do == "pong":  # whoever asks wants to know now
                self._waiting.appendleft(_Letter({**header}))
            else:
                self._waiting.append(_Letter({**header}, payloads))
            self._lock.notify_all()

    def _add_rows(self, rows: list[Any]) -> None:
        # What is only worth knowing when it is new may be overtaken.
        last = next((x for x in reversed(self._waiting) if x.header["do"] not in NEWEST), None)
        if last is None or last.header["do"] != "metrics" or len(last.header["rows"]) > AT_ONCE:
            self._waiting.append(_Letter({"do": "metrics", "rows": [*rows]}))
        else:
            last.header["rows"] += rows
        self._rows += len(rows)
        if self._rows > ROWS:  # count anew: some were sent
            there = [x for x in self._waiting if x.header["do"] == "metrics"]
            losses = sum(r["kind"] == "loss" for x in there for r in x.header["rows"])
            if losses > ROWS:
                for letter in there:
                    letter.header["rows"] = thinned(letter.header["rows"])
                losses //= 2
            self._rows = losses

    def close(self, timeout: float) -> None:
        """Wait until all is sent, but not longer."""
        end = time.monotonic() + timeout
        with self._lock:
            self._lock.wait_for(
                lambda: self.gone or not (self._waiting or self._busy),
                max(0.0, end - time.monotonic()),
            )

    def _write(self) -> None:
        try:
            while True:
                with self._lock:
                    self._busy = False
                    self._lock.notify_all()
                    self._lock.wait_for(lambda: bool(self._waiting))
                    letter = self._waiting.popleft()
                    self._busy = True
                try:
                    frames.write(self.sink, letter.header, letter.payloads)
                except ProtocolError as wrong:  # nothing of it was written
                    print(f"not sent: {letter.header['do']}: {wrong}", file=sys.stderr)
        except (OSError, ValueError):
            with self._lock:
                self.gone = True
                self._waiting.clear()
                self._lock.notify_all()


def thinned(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Every second row of losses, the newest among them, and all other rows."""
    losses = [i for i, row in enumerate(rows) if row["kind"] == "loss"]
    drop = set(losses[-2::-2])
    return [row for i, row in enumerate(rows) if i not in drop]
