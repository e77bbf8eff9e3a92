"""A run seen from a terminal: a progress bar, or plain lines when the output is piped."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from . import checkpoint
from .board import Board
from .trainer import Event, Finished, Noted, Saved, Started, Stepped, Trainer, Watched

INTERVAL = 1.0  # seconds between plain lines


class Progress:
    """Follows a trainer's events and prints them."""

    def __init__(self, trainer: Trainer, board: Board | None = None) -> None:
        self.trainer, self.board = trainer, board
        self.quiet = not trainer.device.first
        self.bar: tqdm[Any] | None = None
        self.live = sys.stderr.isatty()
        self.interrupted = False
        self.shown = 0.0

    def follow(self) -> bool:
        """Train to the end, or until `interrupt`: then save, and say how to go on. Whether it
        came to the end."""
        run, device = self.trainer.run, self.trainer.device
        try:
            for event in self.trainer.events():
                if not self.quiet:
                    self.show(event)
                    if self.board:
                        self.board.take(event)
                # Each process hears of Ctrl-C at a step of its own; all stop after the same one.
                if isinstance(event, Stepped) and device.any(self.interrupted):
                    break
            else:
                return True
            self.close()
            if run:
                self.show(self.trainer.save())
                self.say(f"stopped; go on with: nodegraph train --resume {run}")
            device.any(True)  # wait for the first: when one leaves, torchrun ends the others
        except KeyboardInterrupt:
            self.close()
            if run:
                self.say(f"stopped at once; nodegraph train --resume {run} goes on from its last "
                         f"checkpoint, {checkpoint.found(run)[-1].name}")  # fmt: skip
        return False

    def interrupt(self, *_: Any) -> None:
        """Stop after the step at hand, so that what is saved is whole. Twice: stop at once."""
        # torchrun passes Ctrl-C on to processes that have had it already, and ends those that hang.
        if self.interrupted and self.trainer.device.world == 1:
            raise KeyboardInterrupt
        self.interrupted = True

    def show(self, event: Event) -> None:
        """Print one event."""
        if isinstance(event, Started):
            stages = ", then ".join(f"{name}: {steps} steps" for name, steps in event.stages)
            count = f"{event.parameters:,} weights, frozen ones included"
            self.say(f"training on {event.device}, {count}; {stages}")
            if event.run:
                self.say(f"run folder: {event.run}")
        elif isinstance(event, Stepped):
            self.step(event)
        elif isinstance(event, Watched):
            self.say(f"{event.stage} {event.step:>6}  {words(event.metrics)}")
        elif isinstance(event, Noted):
            node = f"{event.node}: " if event.node else ""
            self.say(f"warning: {node}{event.text}")
        elif isinstance(event, Saved):
            if event.step == 0 or self.trainer.options.checkpoint_every:  # else there are many
                self.say(f"checkpoint: {event.path}")
        elif isinstance(event, Finished):
            self.close()
            if self.board:
                self.board.close()
            self.say(f"done in {event.seconds:.1f} s")

    def step(self, event: Stepped) -> None:
        """Count a step; show the losses when it is time."""
        if self.bar is None or self.bar.desc != event.stage:
            self.close()
            self.bar = tqdm(
                total=event.steps, initial=event.step - 1, desc=event.stage, unit="step",
                disable=not self.live, dynamic_ncols=True, leave=False,
            )  # fmt: skip
            # tqdm drops the description of a disabled bar; it tells the stages apart.
            self.bar.desc = event.stage
        self.bar.update()
        now = time.monotonic()
        if event.step == 1 or event.step == event.steps or now - self.shown >= INTERVAL:
            self.shown = now
            losses = {k: v.item() for k, v in event.losses.items()}
            if self.live:
                self.bar.set_postfix_str(words(losses))
            else:
                self.say(f"{event.stage} {event.step:>6}/{event.steps}  {words(losses)}")

    def say(self, text: str) -> None:
        """A line above the bar."""
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def words(values: Mapping[str, Any]) -> str:
    """Numbers by name in one line; tables only by their size."""
    return "  ".join(
        f"{k} {v:.4g}" if isinstance(v, (int, float)) else f"{k} {len(v)} rows"
        for k, v in values.items()
    )
