"""The worker that trains: one run, in the main thread, with messages taken between its steps."""

from __future__ import annotations

import queue
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import files
from .. import runs as folders
from ..graph import Graph, GraphError
from ..training import run as runs
from ..training.faults import Fault
from ..training.trainer import Applied, Event, Noted, Options, Saved, Stepped, Trainer, Watched
from ..training.warnings import Looks, Warned, Watch
from .frames import Frame, ProtocolError
from .outbox import Outbox

Message = Mapping[str, Any]
Item = Frame | ProtocolError | None  # what a reader puts into the inbox; None is the end
Inbox = queue.SimpleQueue[Item]

ROWS_EVERY = 0.1  # seconds between two readings of the losses
STATUS_EVERY = 0.25  # seconds between two reports while it runs
PREVIEWS_EVERY = 0.1  # the least that can be asked for
SHARE = 0.02  # of the time of training that previews may take
RATE_OVER = 2.0  # seconds over which steps are counted
GAMES_EVERY = 5.0  # seconds between two looks at what players make, and at gradients
ENDS = 10.0  # seconds that the worker before may take to end
LONGEST = 60.0  # seconds to wait at once
DRAIN = 5.0  # seconds that the editor may take to read the last words
KNOBS = ("apply", "look", "speed")
BEFORE = ("train", "stop", "ping", "look", "speed", "garbage")  # what needs no run
TRACE = 8  # lines of a traceback that are sent


def graph_in(message: Message) -> Graph:
    """The graph of a message, with the folder of its file."""
    graph = files.parse(message.get("graph", ""), "graph").graph
    return graph.with_(folder=message.get("folder", ""))


class Trainee:
    """A run between two queues."""

    def __init__(self, inbox: Inbox, outbox: Outbox) -> None:
        self.inbox, self.outbox = inbox, outbox
        self.trainer: Trainer | None = None
        self.state = "paused"
        self.stopping = False
        self.left: int | None = None  # steps to do before a pause; None: no end
        self.limit = 0.0  # steps per second
        self.spent = 0.0  # seconds of training
        self.unread: Stepped | None = None  # the last step, if its losses were not sent
        self.wanted: Message | None = None  # the last `look`
        self.previews: Any = None
        self.kept: set[str] = set()  # the views whose pictures are stored
        self.stored: dict[str, bytes] = {}  # the last one of each
        self.troubles: set[tuple[str, type]] = set()  # with what only watches, told already
        self.stale = False  # what is shown is not what there is
        self.times: deque[float] = deque(maxlen=1000)  # of the last steps
        self.watch: tuple[int, Watch] | None = None  # the stage, and its rules
        self.looks: Looks | None = None  # at what it does
        self.looked_at = 0.0
        self.costs: deque[float] = deque(maxlen=3)  # seconds that the last previews took
        self.rows_at = self.status_at = self.previews_at = self.step_at = 0.0
        self.takes: dict[str, Callable[[Message], None]] = {
            "play": self.play, "pause": self.pause, "step": self.step, "update": self.update,
            "speed": self.speed, "save": self.save, "look": self.look, "stop": self.stop,
            "train": self.train, "apply": self.apply, "restore": self.restore,
            "garbage": lambda m: self.failed(m, m["text"]),
            "ping": lambda m: self.outbox.put({"do": "pong", "id": m["id"]}),
        }  # fmt: skip

    def run(self, first: Sequence[Item]) -> int:
        """Train as the messages say, `first` and those of the inbox, until one says stop; the exit
        status."""
        for message in asked(first):
            self.take(message)
        self.show_previews()
        while not (self.stopping or self.outbox.gone):
            for message in self.messages():
                self.take(message)
            if not self.stopping and self.state == "running" and self.wait() == 0:
                self.advance()
            self.show_previews()
        return self.end()

    # Messages -------------------------------------------------------------------------------------

    def messages(self) -> list[Message]:
        """What has come; waits for it when there is nothing else to do."""
        found: list[Item] = []
        wait = self.wait() if self.state == "running" else None
        while True:
            try:
                found.append(self.inbox.get(timeout=wait) if wait != 0 else self.inbox.get_nowait())
            except queue.Empty:
                return asked(found)
            wait = 0

    def take(self, message: Message) -> None:
        """Do what one message says; what goes wrong is told, and the run stays as it is."""
        do = message["do"]
        take = self.takes.get(do)
        if take is None:
            self.failed(message, f"a worker that trains does not {do}")
        elif self.trainer is None and do not in BEFORE:
            self.failed(message, f"there is no run to {do}; send train first")
        else:
            self.guarded(message, lambda: take(message))

    def guarded(self, message: Message, work: Callable[[], None]) -> bool:
        """Whether some work was done; if not, why is told."""
        try:
            work()
            return True
        except GraphError as wrong:
            if isinstance(wrong, Fault):
                self.warn("not_finite" if "finite" in str(wrong) else "fault", wrong.node, wrong)
            self.failed(message, str(wrong))
        except Exception as wrong:
            traceback.print_exc()
            lines = traceback.format_exception(wrong)[-TRACE:]
            self.failed(message, f"{type(wrong).__name__}: {wrong}\n{''.join(lines)}"[:4000])
        return False

    def failed(self, message: Message, text: str) -> None:
        """Tell what went wrong."""
        self.outbox.put({"do": "failed", "id": message.get("id", 0), "text": text})

    def train(self, message: Message) -> None:
        """`train`: begin a run, or go on with one."""
        if self.trainer is not None:
            raise GraphError("this worker has a run already; start another worker")
        options = dict(message.get("options", {}))
        try:
            if "resume" in message:
                old, moment = Path(message["resume"]), message.get("checkpoint", "")
                if message.get("run"):
                    old, moment = folders.branch(old, moment, Path(message["run"])), ""
                trainer = runs.resume(old, moment, ENDS, **options)
            else:
                text = message.get("graph", "")
                folder = Path(message["run"]) if message.get("run") else None
                trainer = runs.start(
                    graph_in(message), message.get("preset", ""),
                    message.get("settings"), folder, Options(**options), text,
                )  # fmt: skip
        except TypeError as wrong:
            raise GraphError(f"these are no options of training: {wrong}") from wrong
        trainer.careful = True
        self.trainer, at = trainer, trainer.started()
        names = [name for name, _ in at.stages]
        self.outbox.put({
            "do": "started", "id": message["id"], "device": at.device,
            "parameters": at.parameters, "stages": [[*s] for s in at.stages],
            "run": str(at.run or ""), "checkpoints": self.checkpoints(),
            "index": trainer.index, "step": trainer.done,
            "stage": names[trainer.index] if trainer.index < len(names) else "",
            **self.graph_now(message), **self.past(message),
        })  # fmt: skip
        if trainer.run is not None and message.get("past"):
            self.outbox.put({"do": "metrics", "rows": folders.rows(trainer.run)})
        for event in trainer.notes():
            self.tell(event)
        self.turn("finished" if trainer.finished else
                  "paused" if message.get("paused") else "running")  # fmt: skip
        self.stale = True

    def past(self, message: Message) -> dict[str, Any]:
        """What was changed in a run before, for an editor that can't read its folder."""
        assert self.trainer is not None
        run = self.trainer.run
        if run is None or not message.get("past"):
            return {}
        return {"marks": [[e.index, e.step, "; ".join(e.what)] for e in folders.edits(run)
                          if e.what]}  # fmt: skip

    def checkpoints(self) -> list[str]:
        """The names of all that can be gone back to."""
        assert self.trainer is not None
        run = self.trainer.run
        return [c.name for c in folders.checkpoints(run)] if run is not None else []

    def graph_now(self, message: Message) -> dict[str, Any]:
        """The graph that is trained, as it is written."""
        assert self.trainer is not None
        if self.trainer.run is not None:
            names = "graph", "preset", "settings"
            return dict(zip(names, folders.graph_text(self.trainer.run, self.trainer.edition)))
        return {k: message[k] for k in ("graph", "preset", "settings") if k in message}

    def play(self, _: Message) -> None:
        """`play`: train on."""
        self.left = None
        self.begin()

    def pause(self, _: Message) -> None:
        """`pause`: stop after the step at hand."""
        if self.state == "running":
            self.turn("paused")

    def step(self, message: Message) -> None:
        """`step`: so many steps, then pause."""
        self.left = max(1, message.get("count", 1))
        self.begin()

    def begin(self) -> None:
        """Run, unless there is nothing to do any more."""
        assert self.trainer is not None
        self.step_at = 0.0
        self.times.clear()
        self.turn("finished" if self.trainer.finished else "running")

    def update(self, message: Message) -> None:
        """`update`: one update alone, then pause."""
        assert self.trainer is not None
        if self.state == "running":
            self.turn("paused")
        self.tell(self.trainer.only(message["name"]))
        self.send_losses()
        self.status()
        self.stale = True

    def speed(self, message: Message) -> None:
        """`speed`: so many steps per second at most."""
        self.limit, self.step_at = max(0.0, float(message["limit"])), 0.0

    def save(self, _: Message) -> None:
        """`save`: a checkpoint of this moment."""
        assert self.trainer is not None
        if self.trainer.run is None:
            raise GraphError("this run has no folder to save in; start it with one")
        self.tell(self.trainer.save())

    def apply(self, message: Message) -> None:
        """`apply`: go on with another graph."""
        assert self.trainer is not None
        begun, text, preset = time.monotonic(), message["graph"], message.get("preset", "")
        settings = message.get("settings", {})
        graph = runs.checked(graph_in(message), preset, settings)
        told = self.trainer.apply(graph, text, preset, settings, message.get("names", {}))
        if self.state == "finished" and not self.trainer.finished:
            self.state = "paused"
        self.tell(told, message["id"], time.monotonic() - begun)
        self.changed()

    def restore(self, message: Message) -> None:
        """`restore`: go back to a checkpoint of this run, and pause there."""
        assert self.trainer is not None
        runs.restore(self.trainer, message["checkpoint"])
        assert self.trainer.run is not None
        text, preset, settings = folders.graph_text(self.trainer.run, self.trainer.edition)
        self.unread = None
        self.outbox.put({
            "do": "restored", "id": message["id"], "checkpoint": message["checkpoint"],
            "graph": text, "preset": preset, "settings": dict(settings), **self.place(),
        })  # fmt: skip
        self.state = "finished" if self.trainer.finished else "paused"
        self.changed()

    def changed(self) -> None:
        """The network is another: previews and warnings look at the new one."""
        self.previews, self.stale, self.previews_at, self.watch = None, True, 0.0, None
        self.stored.clear()
        self.status()

    def look(self, message: Message) -> None:
        """`look`: what to preview from now on."""
        self.wanted = message
        self.troubles.clear()
        self.stale, self.previews_at = True, 0.0
        if self.previews is not None:
            self.aim()

    def stop(self, _: Message) -> None:
        """`stop`: save, and end."""
        self.stopping = True

    # The run --------------------------------------------------------------------------------------

    def wait(self) -> float:
        """Seconds until the next step is due."""
        left = self.step_at - time.monotonic() if self.limit else 0.0
        return min(max(0.0, left), LONGEST)

    def advance(self) -> None:
        """One step with all that is due after it; a failure leaves the run paused before it."""
        trainer, begun = self.trainer, time.monotonic()
        assert trainer is not None
        if self.limit:
            self.step_at = max(self.step_at, begun - 1 / self.limit) + 1 / self.limit

        def work() -> None:
            for event in trainer.advance():
                self.tell(event)

        if self.guarded({}, work):
            self.aside("samples", "a look at the samples", self.look_at_games)
            if self.previews is not None:
                self.aside("preview", "a view of each step", self.previews.follow_step)
        else:
            self.send_losses()
            self.turn("paused")
        self.spent += time.monotonic() - begun
        self.stale = True
        if trainer.finished:
            self.send_losses()
            self.turn("finished")  # first, so that the end is told at the last step
            self.outbox.put({"do": "finished", "seconds": round(self.spent, 3)})
        elif self.left == 0:
            self.left = None
            self.send_losses()
            self.turn("paused")
        elif time.monotonic() - self.status_at >= STATUS_EVERY:
            self.status()

    def tell(self, event: Event, id: int = 0, seconds: float = 0.0) -> None:
        """Pass on what happened."""
        now = time.monotonic()
        if isinstance(event, Stepped):
            self.unread = event
            self.times.append(now)
            if self.left is not None:
                self.left -= 1
            if event.step in (1, event.steps) or now - self.rows_at >= ROWS_EVERY:
                self.send_losses()
        elif isinstance(event, Watched):
            self.send_losses()
            self.row(event.stage, event.step, "metric", event.metrics)
        elif isinstance(event, Noted):
            self.warn("data" if event.node else "run", event.node, event.text)
        elif isinstance(event, Saved):
            place = self.place()
            self.outbox.put(
                {
                    "do": "saved",
                    "checkpoint": event.path.name,
                    "checkpoints": self.checkpoints(),
                    **place,
                }
            )
        elif isinstance(event, Applied):
            if event.saved:
                self.tell(event.saved)
            self.outbox.put({
                "do": "applied", "id": id, "kept": event.kept, "of": event.of,
                "lost": [*event.lost], "fresh": [*event.fresh], "what": [*event.what],
                "restarted": [*event.restarted], **self.place(), "seconds": round(seconds, 4),
            })  # fmt: skip

    def place(self) -> dict[str, int]:
        """The stage and the step at hand."""
        assert self.trainer is not None
        return {"index": self.trainer.index, "step": self.trainer.done}

    def send_losses(self) -> None:
        """Read the losses of the last step from the device, and send them."""
        if self.unread is not None:
            event, self.unread = self.unread, None
            self.rows_at = time.monotonic()
            losses = {k: v.item() for k, v in event.losses.items()}
            self.row(event.stage, event.step, "loss", losses)
            if self.state == "running":
                self.aside("losses", "a look at the losses", lambda: self.look_at_losses(losses))

    def row(self, stage: str, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Send a row of numbers."""
        assert self.trainer is not None
        row = {
            "stage": stage, "index": self.trainer.index, "step": step, "kind": kind,
            "values": dict(values),
        }  # fmt: skip
        self.outbox.put({"do": "metrics", "rows": [row]})

    def warn(self, code: str, node: str, text: object) -> None:
        """Send a warning."""
        place = self.place() if self.trainer else {"index": 0, "step": 0}
        told = {"do": "warning", "code": code, "node": node, "text": str(text), **place}
        self.outbox.put(told)

    def warn_all(self, found: Sequence[Warned]) -> None:
        """Send what the rules have found."""
        for warned in found:
            self.warn(warned.code, warned.node, warned.text)

    def aside(self, code: str, what: str, work: Callable[[], None]) -> None:
        """Do what training does not depend on: a failure is told once, and pauses nothing."""
        try:
            work()
        except Exception as wrong:
            kind = code, type(wrong)  # its words may differ from time to time
            if kind not in self.troubles:
                traceback.print_exc()
                self.troubles.add(kind)
                self.warn(code, "", f"{what} failed: {type(wrong).__name__}: {wrong}"[:500])

    def watched(self) -> Watch | None:
        """The rules over the stage at hand."""
        trainer = self.trainer
        assert trainer is not None
        if trainer.finished:
            return None
        if self.watch is None or self.watch[0] != trainer.index:
            self.watch = trainer.index, Watch(trainer.body, trainer.graph.train[trainer.index])
        return self.watch[1]

    def look_at_losses(self, losses: Mapping[str, float]) -> None:
        """Whether the losses go as they should."""
        if watch := self.watched():
            self.warn_all(watch.losses(losses))

    def look_at_games(self) -> None:
        """Whether samples are diverse, and gradients and kernels of use, now and then."""
        now = time.monotonic()
        if now - self.looked_at < GAMES_EVERY or not (watch := self.watched()):
            return
        self.looked_at = now
        if self.looks is None or self.looks.watch is not watch:
            assert self.trainer is not None
            self.looks = Looks(self.trainer, watch)
        self.warn_all(self.looks.look())

    def turn(self, state: str) -> None:
        """Run, pause or be finished, and say so."""
        self.state = state
        self.status()

    def status(self) -> None:
        """Say where the run is."""
        trainer, now = self.trainer, time.monotonic()
        assert trainer is not None
        self.status_at = now
        stages, place = trainer.module.STAGES, self.place()
        if trainer.finished:  # at the last step of the last stage, not at step 0 of the next
            place = {"index": len(stages) - 1, "step": stages[-1].steps}
        at = stages[place["index"]]
        while self.times and now - self.times[0] > RATE_OVER:
            self.times.popleft()
        span = self.times[-1] - self.times[0] if len(self.times) > 1 else 0
        rate = (len(self.times) - 1) / span if span else 0.0
        self.outbox.put({
            "do": "status", "state": self.state, "stage": at.name, **place,
            "steps": at.steps, "rate": round(rate, 3),
        })  # fmt: skip

    # Previews -------------------------------------------------------------------------------------

    def show_previews(self) -> None:
        """Compute and send what is wanted, if it is time."""
        if self.wanted is None or self.trainer is None or not self.stale:
            return
        now = time.monotonic()
        if self.state == "running" and now - self.previews_at < self.every():
            return
        self.previews_at, self.stale = now, False
        if not (self.wanted["views"] or self.wanted["peeks"] or self.wanted.get("probes")):
            return

        def work() -> None:
            if self.previews is None:
                self.aim()
            found: Sequence[Any] = self.previews.compute()
            self.keep(found)
            heads = [p.header for p in found]
            message = {"do": "previews", **self.place(), "views": heads}
            self.outbox.put(message, [p.payload for p in found])
            self.costs.append(time.monotonic() - now)

        self.aside("preview", "a preview", work)

    def every(self) -> float:
        """Seconds between previews: as was asked for, or more where they would hold up training.

        Where steps are waited for anyway, they hold up nothing. The first ones load what draws, and
        say nothing of those to come.
        """
        assert self.wanted is not None
        asked = max(PREVIEWS_EVERY, float(self.wanted["every"]))
        if self.wait() > 0 or len(self.costs) < 2:
            return asked
        return max(asked, min(self.costs) / SHARE)

    def keep(self, found: Sequence[Any]) -> None:
        """Store the pictures of view nodes in the run's folder, so that time can be travelled.

        One that is still the same is there already.
        """
        from ..training.frames import store

        assert self.trainer is not None
        for preview in found if self.trainer.run is not None else ():
            name = preview.header["name"]
            if preview.header["kind"] == "picture" and name in self.kept:
                if self.stored.get(name) != preview.payload:
                    store(preview, self.trainer)
                    self.stored[name] = preview.payload

    def aim(self) -> None:
        """Tell the previews what to look at."""
        from ..training.previews import Previews  # what few runs need, and loads drawing

        assert self.trainer is not None and self.wanted is not None
        if self.previews is None:
            self.previews = Previews(self.trainer)
        self.kept = {*self.wanted["views"]}
        wanted = self.wanted
        probes, theme = wanted.get("probes", False), wanted.get("theme", "dark")
        self.previews.look(wanted["views"], wanted["peeks"], probes, theme)
        self.costs.clear()

    # The end --------------------------------------------------------------------------------------

    def end(self) -> int:
        """Write a checkpoint, say so; the exit status."""
        trainer, done = self.trainer, True
        if trainer is not None:
            self.guarded({}, self.send_losses)
            if trainer.run is not None and not (trainer.finished or trainer.returned):
                done = self.guarded({}, lambda: self.tell(trainer.save()))
        self.outbox.close(DRAIN)
        return 0 if done else 1


def asked(items: Sequence[Item]) -> list[Message]:
    """What is asked for by what has come: of a knob that is being turned only where it stands."""
    found: list[Message] = []
    for item in items:
        if isinstance(item, Frame):
            message = item.header
            if message["do"] in KNOBS and found and found[-1]["do"] == message["do"]:
                found.pop()
            found.append(message)
        elif item is None:
            found.append({"do": "stop"})
        else:
            found += [{"do": "garbage", "text": str(item)}, {"do": "stop"}]
    return found
