"""Messages between the editor and its worker: frames over two binary streams.

A frame is 4 bytes (the length of the header, most significant first), the header as JSON, then the
payloads (images, arrays) that `header["bytes"]` gives the lengths of. Nothing in it is executed,
so the other end may be a program on another machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

LIMIT = 64 << 20  # bytes of a header, and of all payloads of a frame together
MAX_PAYLOADS = 1000

# What each message must and may hold, beside `do` and `bytes`: name to type; a `?` may be missing.
NUMBER = (int, float)
MESSAGES: dict[str, dict[str, type | tuple[type, ...]]] = {
    # to a worker
    "analyse": {"id": int, "graph": str, "folder?": str, "preset?": str, "key?": str},
    "gradcheck": {"id": int, "graph": str, "node": str, "folder?": str, "key?": str},
    "ping": {"id": int},
    "stop": {},
    # to one that trains: `train` comes first, and makes it one
    "train": {
        "id": int, "graph?": str, "preset?": str, "settings?": dict, "options?": dict,
        "run?": str, "resume?": str, "checkpoint?": str, "paused?": bool, "past?": bool,
        "folder?": str,
    },
    "play": {},
    "pause": {},
    "step": {"count?": int},
    "update": {"name": str},
    "speed": {"limit": NUMBER},  # steps per second; 0: as fast as it goes
    "apply": {
        "id": int, "graph": str, "folder?": str, "preset?": str, "settings?": dict, "names?": dict,
    },
    "restore": {"id": int, "checkpoint": str},
    "save": {},
    "look": {"views": list, "peeks": list, "every": NUMBER, "probes?": bool, "theme?": str},
    # from one that trains
    "started": {
        "id": int, "device": str, "parameters": int, "stages": list, "run": str, "stage": str,
        "index": int, "step": int, "graph?": str, "preset?": str, "settings?": dict,
        "checkpoints?": list, "marks?": list,
    },
    "status": {
        "state": str, "stage": str, "index": int, "step": int, "steps": int, "rate": NUMBER,
    },
    "metrics": {"rows": list},
    "saved": {"checkpoint": str, "checkpoints?": list, "index": int, "step": int},
    "applied": {
        "id": int, "kept": int, "of": int, "lost": list, "fresh": list, "restarted": list,
        "what": list, "index": int, "step": int, "seconds": NUMBER,
    },
    "restored": {
        "id": int, "checkpoint": str, "graph": str, "preset": str, "settings": dict,
        "index": int, "step": int,
    },
    "previews": {"index": int, "step": int, "views": list},
    "warning": {"code": str, "node": str, "text": str, "index": int, "step": int},
    "finished": {"seconds": NUMBER},
    # from a worker
    "pong": {"id": int},
    "analysis": {
        "id": int, "key": str, "shapes": dict, "problems": list, "costs": dict,
        "source": dict,
        "seconds": NUMBER,
    },
    "gradchecked": {"id": int, "key": str, "right": bool, "text": str},
    "failed": {"id": int, "text": str, "key?": str},
}  # fmt: skip

WORDS = {
    int: "a whole number", str: "a text", dict: "a mapping", list: "a list",
    NUMBER: "a number", bool: "true or false",
}  # fmt: skip


class ProtocolError(ValueError):
    """Bytes that are no frame, or a frame that is no message; the text says what came instead."""


@dataclass(frozen=True)
class Frame:
    """A message and its payloads."""

    header: Mapping[str, Any]
    payloads: Sequence[bytes] = field(default=())


def write(stream: IO[bytes], header: Mapping[str, Any], payloads: Sequence[bytes] = ()) -> None:
    """Write a message. Raises ProtocolError when the other end would refuse it."""
    checked({**header})
    given = {**header, "bytes": [len(p) for p in payloads]} if payloads else header
    text = json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    for size in (len(text), sum(map(len, payloads))):
        if size > LIMIT:
            raise ProtocolError(f"a message of {size:,} bytes; the limit is {LIMIT:,}")
    stream.write(b"".join([len(text).to_bytes(4, "big"), text, *payloads]))
    stream.flush()


def read(stream: IO[bytes]) -> Frame | None:
    """The next message; None at the end. Raises ProtocolError for anything else."""
    head = stream.read(4)
    if not head:
        return None
    if len(head) < 4:
        raise ProtocolError(f"the stream ends inside a frame, after {_shown(head)}")
    length = int.from_bytes(head, "big")
    if not 2 <= length <= LIMIT:
        begin = head + stream.read(min(36, length))
        raise ProtocolError(
            f"a frame of {length:,} bytes is announced, the limit is {LIMIT:,}; something that is "
            f"no message is on the channel: {_shown(begin)}"
        )
    header = parsed(_exactly(stream, length))
    sizes = header.pop("bytes", [])
    payloads = [_exactly(stream, size) for size in checked_sizes(sizes)]
    return Frame(checked(header), payloads)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise ProtocolError(f"the stream ends inside a frame: {len(found):,} of {size:,} bytes")
    return found


def parsed(text: bytes) -> dict[str, Any]:
    """A header as data. Raises ProtocolError."""
    try:
        header = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ProtocolError(f"a header is no JSON: {_shown(text)}") from None
    if not isinstance(header, dict):
        raise ProtocolError(f"a header is a JSON object, not {_shown(text)}")
    return header


def checked_sizes(sizes: Any) -> list[int]:
    """The lengths of payloads. Raises ProtocolError."""
    whole = isinstance(sizes, list) and all(type(n) is int and n >= 0 for n in sizes)
    if not whole or len(sizes) > MAX_PAYLOADS:
        raise ProtocolError(f"bytes is a list of at most {MAX_PAYLOADS} lengths")
    if sum(sizes) > LIMIT:
        raise ProtocolError(f"payloads of {sum(sizes):,} bytes; the limit is {LIMIT:,}")
    return list(sizes)


def checked(header: dict[str, Any]) -> dict[str, Any]:
    """A message that has all it must have. Raises ProtocolError."""
    do = header.get("do")
    if not isinstance(do, str) or do not in MESSAGES:
        raise ProtocolError(f"there is no message {do!r:.60}; known: {', '.join(MESSAGES)}")
    for name, kind in MESSAGES[do].items():
        key = name.removesuffix("?")
        if key not in header:
            if key == name:
                raise ProtocolError(f"{do}: {key} is missing")
        elif not isinstance(header[key], kind) or isinstance(header[key], bool) != (kind is bool):
            expected = WORDS[kind]
            raise ProtocolError(f"{do}: {key} is {header[key]!r:.60}, not {expected}")
    return header


def _shown(raw: bytes) -> str:
    return f"{raw[:40]!r}"[1:] + ("…" if len(raw) > 40 else "")
