"""Pictures that say where they come from: PNG files with the run, the step and the graph in them.

A PNG is a signature and a list of chunks; the state of the run stands in a text chunk, as JSON
(Portable Network Graphics, W3C Recommendation, 2003, sections 5.3 and 11.3.4.3). Nothing here needs
torch, so the window can read which state a picture shows, and reopen it.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .preferences import write_whole

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"nodegraph"
KEPT = 60  # frames of a view
LONGEST = 1 << 20  # bytes of text that are believed


def png(width: int, height: int, rows: bytes, about: Mapping[str, Any]) -> bytes:
    """A PNG file of R G B rows, with `about` as JSON in it."""
    if len(rows) != 3 * width * height or not rows:
        raise ValueError(f"{len(rows)} bytes are no picture of {width}×{height}")
    stride = 3 * width
    plain = b"".join(b"\0" + rows[y * stride : (y + 1) * stride] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits each of R, G, B
    text = KEYWORD + b"\0" + json.dumps(about).encode("ascii")
    # Half the time of level 6, for a tenth more bytes: it is paid while the run trains.
    parts = ((b"IHDR", head), (b"tEXt", text), (b"IDAT", zlib.compress(plain, 1)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def read_png(path: str | Path) -> dict[str, Any]:
    """What a picture says of itself: `graph` (SHA-256 of the YAML), `title`, `run` (the folder's
    name), `preset`, `settings`, `seed`, `stage`, `index`, `step`, `checkpoint`, `node`, `view`.

    Raises ValueError, in a sentence, for a file that is no picture of a run, OSError when it can't
    be read.
    """
    name = Path(path).name
    with open(path, "rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise ValueError(f"{name} is no PNG picture; open one from a run's previews folder")
        for kind, data in _chunks(file):
            if kind == b"tEXt" and data.startswith(KEYWORD + b"\0"):
                try:
                    about = json.loads(data[len(KEYWORD) + 1 :])
                except ValueError:
                    about = None
                if isinstance(about, dict):
                    return about
                raise ValueError(f"{name}: what it says of its run is damaged")
    raise ValueError(
        f"{name} does not say which run it comes from; open one from a run's previews folder"
    )


def _chunks(file: Any) -> Iterator[tuple[bytes, bytes]]:
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind != b"tEXt" or length > LONGEST:
            file.seek(length + 4, 1)
            continue
        data = file.read(length)
        known = file.read(4)
        if len(known) == 4 and struct.unpack(">I", known)[0] == zlib.crc32(kind + data):
            yield kind, data


def frames(folder: Path) -> list[Path]:
    """The pictures of a view, the oldest first."""
    return sorted(p for p in folder.glob("*.png") if not p.name.startswith("."))


def safe(view: str) -> str:
    """The name of the folder of a view's pictures."""
    return re.sub(r"[^\w.-]", ".", view).strip(".") or "view"


def keep(previews: Path, view: str, index: int, step: int, data: bytes) -> Path:
    """Keep a picture as a frame of its view, `previews/VIEW/II-SSSSSSSS.png`, named as checkpoints
    are; it is there whole or not at all.

    Frames of later steps are dropped: they are of a past that the run went back on.
    """
    path = previews / safe(view) / f"{index:02d}-{step:08d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    for frame in frames(path.parent):
        if frame.name > path.name:
            frame.unlink(missing_ok=True)
    thin(path.parent)
    return path


def thin(folder: Path, kept: int = KEPT) -> None:
    """Drop frames until `kept` are left, as evenly spread over the steps as they can be.

    The first, the last and the ends of stages stay.
    """
    there = frames(folder)
    while len(there) > max(2, kept):
        places = [tuple(map(int, p.stem.split("-"))) for p in there]
        gaps = [
            (after[1] - before[1], i)
            for i, (before, at, after) in enumerate(zip(places, places[1:], places[2:]), 1)
            if before[0] == at[0] == after[0]
        ]
        _, i = min(gaps, default=(0, len(there) // 2))
        there.pop(i).unlink(missing_ok=True)
