"""A run's numbers for TensorBoard, beside those in its folder."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

from ..graph import GraphError
from .trainer import Event, Stepped, Watched

EVERY = 1.0  # seconds between two readings of the losses


def require() -> None:
    """Raise GraphError when TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise GraphError("--tensorboard needs TensorBoard: pip install 'nodegraph[tensorboard]'")


class Board:
    """Writes losses and metrics as scalars, each stage under its name."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))
        self.read = 0.0

    def take(self, event: Event) -> None:
        """Write what an event holds."""
        now = time.monotonic()
        if isinstance(event, Watched):
            for name, value in event.metrics.items():
                if isinstance(value, (int, float)):
                    self.scalar(f"{event.stage}/{name}", value, event.step)
            self.writer.flush()
        elif isinstance(event, Stepped) and (
            event.step in (1, event.steps) or now - self.read >= EVERY
        ):
            self.read = now
            for name, loss in event.losses.items():
                self.scalar(f"{event.stage}/loss/{name}", loss.item(), event.step)

    def scalar(self, name: str, value: float, step: int) -> None:
        """One number."""
        self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()
