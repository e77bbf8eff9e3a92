"""What a `Breaks` node does."""

from __future__ import annotations

import atexit
import ctypes
import os
import resource
import time
from pathlib import Path

import torch
from torch import Tensor, nn

SMALL = 16_000  # bytes of a file when the disk is full: a log fits, a checkpoint does not
ROOM = 16 << 20  # bytes that a process with a limit may still take; then it asks for more


class Breaks(nn.Module):
    """The identity, but for the training call number `at`."""

    sick = False  # the next call gives NaN, whoever makes it: that which looks for the fault

    def __init__(self, at: int, how: str) -> None:
        super().__init__()
        self.at, self.how, self.calls = at, how, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        if self.training and self.how == "full" and self.calls in (self.at, self.at + 4):
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            soft = SMALL if self.calls == self.at else hard
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        elif self.training and self.calls == self.at:
            if self.how == "raise":
                raise KeyError("a mistake in a node")
            if self.how == "exit":
                os._exit(7)
            if self.how == "segv":
                ctypes.string_at(0)
            if self.how == "memory":  # from here on
                used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                hard = resource.getrlimit(resource.RLIMIT_AS)[1]
                resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, hard))
                x = x + torch.zeros(ROOM).sum()  # four times as many bytes
            if self.how == "linger":
                atexit.register(time.sleep, 5)
            if self.how == "sleep":
                time.sleep(8)
            if self.how == "print":
                os.write(1, b"a library says hello\n")
                print("and so does Python")
            if self.how == "nan":
                Breaks.sick = True
                return x / (x - x)
        elif not self.training and self.how == "view":
            raise ValueError(f"it broke at {time.monotonic()}")
        elif Breaks.sick:
            Breaks.sick = False
            return x / (x - x)
        return x
