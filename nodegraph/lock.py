"""A file that one process holds. The system releases it when the process ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


class Held:
    """A file that is held until it is closed, or nobody knows of it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def say(self, text: str) -> None:
        """Put a text into the file. On Windows nobody else can read its first byte."""
        os.truncate(self.number, 0)
        os.write(self.number, f" {text}".encode())

    def close(self) -> None:
        """Let others have it."""
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    __del__ = close


def lock(path: Path) -> Held | None:
    """A file, held from now on; None while another one holds it. Raises OSError where it can't be
    made, and on a file system without locks."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(number, 0, os.SEEK_SET)
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as wrong:
        os.close(number)
        if wrong.errno in TAKEN:
            return None
        raise
    return Held(number)


def said(path: Path) -> str:
    """The text that whoever holds a file has put into it."""
    with open(path, "rb", buffering=0) as file:
        file.seek(1)
        return file.read().decode("utf-8", "replace")
