"""The training of one open graph: its run, and all that has been heard of it. Draws nothing.

A knob that is turned while the graph trains is applied at once; any other change waits until the
person applies it. Undoing such a change brings back the checkpoint from before it, too.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import files, provenance, runs
from ..changes import Change, changes
from ..graph import Graph, GraphError, choose
from ..node import View
from ..origins import Origins, renames
from ..scope import Scope
from ..session import Session
from ..worker.run import Run

KNOB = 0.12  # seconds between two values of a knob that are sent
EVERY = 1.0  # seconds between previews
SPEEDS = {"full speed": 0.0, "25 steps/s": 25.0, "5 steps/s": 5.0, "1 step/s": 1.0}
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Picture:
    """What a view, or a peek, showed at a step; `rows` are its R G B rows."""

    name: str
    width: int
    height: int
    rows: bytes
    step: int
    view: str = ""
    peek: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Curve:
    """A number over the steps of the whole run."""

    kind: str  # "loss" or "metric"
    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: float, value: float) -> None:
        """One more; what was later than it is of a past that the run went back on."""
        self.back_to(step)
        if self.steps and self.steps[-1] == step:
            self.values[-1] = value
        else:
            self.steps.append(step)
            self.values.append(value)

    def back_to(self, step: float) -> None:
        """Without what is later than a step."""
        while self.steps and self.steps[-1] > step:
            self.steps.pop()
            self.values.pop()


@dataclass
class Options:
    """How to train, as a person has chosen."""

    preset: str = ""
    seed: int = 0
    device: str = "auto"
    amp: bool = False
    compile: bool = False
    channels_last: bool = False
    remote: str = ""

    def of_training(self) -> dict[str, Any]:
        """What the worker is told."""
        names = ("seed", "device", "amp", "compile", "channels_last")
        return {name: getattr(self, name) for name in names}


class Live:
    """A session's run. None of its methods waits."""

    def __init__(
        self, session: Session, out: Path | None = None, make: Callable[[str], Run] | None = None
    ) -> None:
        self.session, self.out = session, out or Path("runs")
        self.make = make or (lambda remote: Run(remote=remote))
        self.options = Options()
        self.speed = 0.0
        self.run: Run | None = None
        self.revision = 0  # grows with everything that is heard
        self.probing = False
        self.theme = "dark"  # of the pictures
        self.peeks: list[str] = []
        self._ids = itertools.count(1)
        self.forget()

    def forget(self) -> None:
        """Begin with nothing known."""
        self.folder: Path | None = None
        self.remote = ""  # the machine that the run is on
        self.device, self.parameters = "", 0
        self.stages: list[tuple[str, int]] = []
        self.curves: dict[str, Curve] = {}
        self.pictures: dict[str, Picture] = {}
        self.probe: Mapping[str, Any] = {}
        self.failing: set[str] = set()  # views that could not be drawn, which was told
        self.told: list[tuple[int, str, str]] = []  # step, kind, text: warnings and what was done
        self.found: set[str] = set()  # what probes have told already
        self.marks: list[tuple[int, str]] = []  # step, and what was changed there
        self.trained: Graph | None = None  # the graph that the worker has
        self.origins = self.session.origins  # which of its nodes is which
        self.before: list[tuple[Graph, str]] = []  # graphs that were changed, their checkpoints
        self.waiting: list[Change] = []  # what is to be applied
        # By id: a graph, its origins, and whether to undo it.
        self._sent: dict[int, tuple[Graph, Origins, bool]] = {}
        self._compared: Graph | None = None
        self._knob_at = 0.0
        self.kept: list[runs.Checkpoint] = []  # what can be gone back to
        self._branching = False  # the graph of the branch that begins is to be shown
        self.saved = ""  # the checkpoint that was written last

    # What there is --------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """off, starting, running, paused, finished, stopping, stopped or died."""
        return self.run.state if self.run else "off"

    @property
    def alive(self) -> bool:
        """Whether there is a process that trains, or could go on."""
        return bool(self.run and self.run.alive)

    @property
    def status(self) -> Mapping[str, Any]:
        """Where the run is: stage, index, step, steps, rate."""
        return self.run.status if self.run else {}

    @property
    def step(self) -> int:
        """How many steps of the whole run are done."""
        at = self.status
        return self.place(at.get("index", 0), at.get("step", 0)) if at else 0

    @property
    def total(self) -> int:
        """The steps of all stages."""
        return sum(steps for _, steps in self.stages)

    def place(self, index: int, step: int) -> int:
        """A step of a stage among those of the whole run."""
        return sum(steps for _, steps in self.stages[:index]) + step

    def said(self) -> str:
        """The state in a line."""
        at = self.status
        if self.run is None:
            return ""
        if self.run.told:
            return self.run.told
        if not at:
            return self.state
        if self.state == "finished":
            return f"finished after {self.step:,} step{'s' * (self.step != 1)}"
        words = f"{at['stage']} {at['step']:,}/{at['steps']:,}"
        if self.state == "running":  # the button says so already
            return f"{words} · {at['rate']:.3g} steps/s" if at.get("rate") else words
        return f"{words} · {self.state}"

    def views(self) -> list[str]:
        """The view nodes of the graph, also those in groups (`features/maps`)."""
        return list(view_names(self.session.root, self.session.scope))

    # Steering -------------------------------------------------------------------------------------

    def play(self) -> None:
        """Begin to train, or go on."""
        if self.alive:
            assert self.run is not None
            self.run.play()
        else:
            self.start()

    def toggle(self) -> None:
        """Play, or pause."""
        if self.state == "finished" and not self.waiting:
            text = "the run is finished: stop it and train anew, or raise the steps of a stage"
            self.session.tell(text)
        if self.state == "running":
            assert self.run is not None
            self.run.pause()
        else:
            self.play()

    def do(self, what: str, *arguments: Any) -> None:
        """Tell the run: step, update, save. Begins it, paused, where there is none."""
        if not self.alive:
            self.start(paused=True)
        if self.run is not None:
            getattr(self.run, what)(*arguments)

    def set_speed(self, limit: float) -> None:
        """Steps per second at most; 0: as fast as it goes."""
        self.speed = limit
        if self.run is not None:
            self.run.speed(limit)

    def stop(self) -> None:
        """Save, and end the run."""
        if self.run is not None:
            self.run.stop()

    def go_on(self) -> None:
        """Resume the run that was stopped, or that died, from its last checkpoint."""
        if self.folder is not None and not self.alive:
            self.resume(self.folder, paused=False, remote=self.remote)

    def start(self, paused: bool = False) -> bool:
        """Begin a new run of the graph as it stands; False and a message when it can't be."""
        session, chosen = self.session, self.options
        problems = session.analysis.problems if session.analysis else ()
        wrong = [p for p in problems if p["severity"] == "error"]
        if not session.root.train:
            session.tell("nothing is trained yet: add an optimiser, then a stage below", "refused")
        elif wrong:
            session.tell(f"mend this first: {wrong[0]['text']}", "refused")
        if not session.root.train or wrong:
            session.revision += 1
            return False
        graph, preset, place = session.root, chosen.preset, session.folder
        # On another machine the folder is beside where its worker starts.
        folder = runs.folder_for(graph, Path("runs") if chosen.remote else self.out.absolute())

        def message() -> dict[str, Any]:
            return {
                "do": "train", "id": 1, "graph": files.dumps(graph), "preset": preset,
                "options": chosen.of_training(), "run": str(folder), "paused": paused,
                "past": bool(chosen.remote), "folder": place,
            }  # fmt: skip

        self.forget()
        self.remote = chosen.remote
        self.trained = self._compared = graph
        self._begin(message)
        return True

    def resume(
        self, folder: Path, checkpoint: str = "", paused: bool = True, remote: str = "",
        branch: Path | None = None,
    ) -> None:  # fmt: skip
        """Go on with a run that is on disk, here or on another machine, from a checkpoint or the
        newest one; or with a `branch` of it."""
        folder = folder if remote else folder.absolute()
        message = {"id": 1, "resume": str(folder), "paused": paused, "past": bool(remote)}
        if branch is not None:
            message["run"], folder = str(branch), branch
        self.stop()
        self.forget()
        self.folder, self.remote, self._branching = folder, remote, branch is not None
        self._begin(message | ({"checkpoint": checkpoint} if checkpoint else {}))

    def _begin(self, message: Any) -> None:
        self.run = self.make(self.remote)
        self.run.start(message)
        if self.speed:
            self.run.speed(self.speed)
        self.look()
        self.revision += 1

    def look(self) -> None:
        """Tell the run what is looked at; pictures of what is not there any more go."""
        root = self.session.root
        self.peeks = [p for p in self.peeks if p.partition("/")[0].partition(".")[0] in root.nodes]
        wanted = {*self.views(), *self.peeks}
        self.pictures = {k: v for k, v in self.pictures.items() if k in wanted}
        if self.run is not None:
            self.run.look(self.views(), self.peeks, EVERY, self.probing, self.theme)

    def peek(self, output: str) -> None:
        """Look at an output without a view, or no more."""
        if output in self.peeks:
            self.peeks.remove(output)
            self.pictures.pop(output, None)
        else:
            self.peeks.append(output)
        self.look()
        self.revision += 1

    def set_theme(self, name: str) -> None:
        """Have pictures drawn on a dark or a light ground."""
        self.theme = name
        self.look()

    def set_probing(self, on: bool) -> None:
        """Have each link probed, or no more."""
        self.probing = on
        if not on:
            self.probe = {}
        self.look()
        self.revision += 1

    def restore(self, checkpoint: str) -> None:
        """Go back to a checkpoint of this run, with the graph that it had."""
        if self.run is not None:
            self.run.restore(next(self._ids), checkpoint)

    def branch(self, checkpoint: str) -> Path | None:
        """A new run that begins at a checkpoint of this one, with the graph that it had; paused."""
        if self.folder is None:
            return None
        if self.remote:  # where only its worker can read it
            target = runs.folder_for(self.session.root, self.folder.parent)
            self.resume(self.folder, checkpoint, remote=self.remote, branch=target)
            return target
        number = runs.Checkpoint.parse(checkpoint).graph
        target = runs.folder_for(self.session.root, self.out.absolute())
        try:
            text, preset, _ = runs.graph_text(self.folder, number)
            graph = files.parse(text, "the run").graph
            runs.branch(self.folder, checkpoint, target)
        except GraphError as wrong:
            self.session.tell(str(wrong), "error")
            return None
        if graph.with_(layout={}) != self.session.root.with_(layout={}):
            self.session.do("Branch", lambda g, s: graph, where=())
        self.options.preset = preset
        self.resume(target)
        return target

    # Changes while it trains ----------------------------------------------------------------------

    def follow(self) -> None:
        """See what has changed in the graph: apply knobs, go back by what was undone, or wait."""
        root = self.session.root
        if not self.alive or self.trained is None or root is self._compared:
            return
        now = time.monotonic()
        if now - self._knob_at < KNOB or self._sent:
            return
        self._compared = root
        if self.before and root is self.before[-1][0]:  # an undo: the history holds that value
            graph, checkpoint = self.before.pop()
            self.waiting = []
            self.trained = graph
            self.restore(checkpoint)
            return
        self.waiting = self.differences(root)
        self.revision += 1
        if not self.waiting:
            self.trained, self.origins = root, self.session.origins
        elif not any(change.structural for change in self.waiting):
            self._knob_at = now
            self.apply()

    def names(self) -> dict[str, str]:
        """What the nodes that the worker knows are called now, where that is something else."""
        return renames(self.origins, self.session.origins)

    def differences(self, root: Graph) -> list[Change]:
        """What the worker does not know yet."""
        assert self.trained is not None
        preset, names = self.options.preset, self.names()
        try:
            found = changes(choose(self.trained, preset), choose(root, preset), names=names)
        except GraphError as wrong:
            return [Change(str(wrong))]
        # Views are no part of training: there is nothing to ask.
        scope = self.session.scope
        was, now = (choose(without_views(g, scope), preset) for g in (self.trained, root))
        if not any(c.structural for c in changes(was, now, names=names)):
            return [Change(c.text, structural=False) for c in found]
        return found

    def close(self) -> None:
        """Leave the run: it writes its checkpoint and ends by itself."""
        if self.run is not None:
            self.run.close()

    def apply(self) -> None:
        """Go on with the graph as it stands, with the weights of all that still matches."""
        root, folder = self.session.root, self.session.folder
        on_its_way = any(sent is root for sent, *_ in self._sent.values())
        if self.run is None or not self.waiting or on_its_way:
            return
        id = next(self._ids) + 1
        structural = any(change.structural for change in self.waiting)
        self._sent[id] = (root, self.session.origins, structural)
        self.run.apply(id, lambda: files.dumps(root), self.options.preset, names=self.names(),
                       folder=folder)  # fmt: skip
        self.look()

    # What is heard --------------------------------------------------------------------------------

    def poll(self) -> bool:
        """Take what has come; whether anything has."""
        messages = self.run.poll() if self.run else []
        for message in messages:
            take = getattr(self, f"_hear_{message['do']}", None)
            if take is not None:
                take(message)
        self.revision += len(messages)
        self.follow()
        return bool(messages)

    def _hear_started(self, message: Mapping[str, Any]) -> None:
        self.device, self.parameters = message["device"], message["parameters"]
        self.stages = [(name, steps) for name, steps in message["stages"]]
        self.folder = Path(message["run"]) if message["run"] else None
        self._keep(message)
        if self.trained is None:
            self.trained = graph = self._given(message)
            if self._branching and graph is not self.session.root:
                self.session.do("Branch", lambda g, s: graph, where=())
                self.trained = self.session.root
        if self.remote:
            self.marks = [(self.place(i, step), words) for i, step, words in message["marks"]]
        elif self.folder is not None and self.folder.is_dir():
            self.read(self.folder)

    def _keep(self, message: Mapping[str, Any]) -> None:
        self.kept = [runs.Checkpoint.parse(name) for name in message.get("checkpoints", ())]

    def _given(self, message: Mapping[str, Any]) -> Graph:
        """The graph that a message holds; the session's where that is the same."""
        try:
            graph = files.parse(message["graph"], "the run").graph
        except (GraphError, KeyError):
            return self.session.root
        root = self.session.root
        return root if graph.with_(layout={}) == root.with_(layout={}) else graph

    def read(self, folder: Path) -> None:
        """What a run's folder holds of its past."""
        for row in runs.rows(folder):
            self._row(row)
        for edit in runs.edits(folder):
            if edit.what:
                self.marks.append((self.place(edit.index, edit.step), "; ".join(edit.what)))

    def _hear_metrics(self, message: Mapping[str, Any]) -> None:
        for row in message["rows"]:
            self._row(row)

    def _row(self, row: Mapping[str, Any]) -> None:
        step = self.place(row.get("index", 0), row.get("step", 0))
        for name, value in row["values"].items():
            if isinstance(value, (int, float)):
                self.curves.setdefault(name, Curve(str(row.get("kind", "")))).add(step, value)

    def _hear_previews(self, message: Mapping[str, Any]) -> None:
        step = self.place(message["index"], message["step"])
        for header, payload in zip(message["views"], message.get("payloads", ()), strict=False):
            name = header["name"]
            if header["kind"] == "picture":
                self.failing.discard(name)
                self.pictures[name] = Picture(
                    name, header["width"], header["height"], payload, step,
                    header.get("view", ""), name in self.peeks, header.get("about", {}),
                )  # fmt: skip
                if self.remote:
                    self._store(self.pictures[name], message["index"], message["step"])
            elif header["kind"] == "probe":
                self.probe = header["about"]
                for found in self.probe.get("findings", ()):
                    key = f"{found['kind']} {found['node']}"
                    if key not in self.found:  # its numbers change from second to second
                        self.found.add(key)
                        self._tell(step, "warning", found["text"])
            elif name not in self.failing:  # once, also where the words differ from tick to tick
                self.failing.add(name)
                self._tell(step, "warning", f"{name}: {header['about'].get('text', '')}")

    def _hear_warning(self, message: Mapping[str, Any]) -> None:
        step = self.place(message["index"], message["step"])
        node = f"{message['node']}: " if message["node"] else ""
        self._tell(step, "warning", node + message["text"])
        self.session.tell(node + message["text"], "refused")

    def _tell(self, step: int, kind: str, text: str) -> None:
        if not any(t == text for _, _, t in self.told[-40:]):
            self.told = [*self.told[-500:], (step, kind, text)]

    def _hear_saved(self, message: Mapping[str, Any]) -> None:
        self.saved = message["checkpoint"]
        self._keep(message)

    def _hear_applied(self, message: Mapping[str, Any]) -> None:
        step = self.place(message["index"], message["step"])
        here = self.session.root, self.session.origins, False
        root, origins, structural = self._sent.pop(message["id"], here)
        if structural and self.trained not in (None, root) and self.saved:
            assert self.trained is not None
            self.before.append((self.trained, self.saved))
        self.trained, self.origins, self.waiting = root, origins, []
        self._compared = None  # what was changed meanwhile is looked at anew
        self.restage(root)
        if message["what"]:
            words = "; ".join(message["what"])
            self.marks.append((step, words))
            new = [*message["lost"], *message["fresh"]]
            kept = f"{message['kept']} of {message['of']} layers kept" if structural else ""
            kept += f", anew: {', '.join(dict.fromkeys(new))}" if kept and new else ""
            self._tell(step, "done", f"{words} ({kept})" if kept else words)
            if structural:
                self.session.tell(f"applied: {kept}")

    def restage(self, graph: Graph) -> None:
        """The stages and their steps, as a graph has them."""
        self.stages = runs.stages(graph, self.options.preset, {})

    def _hear_restored(self, message: Mapping[str, Any]) -> None:
        step = self.place(message["index"], message["step"])
        graph = self._given(message)
        self.trained, self.waiting = graph, []
        if graph is not self.session.root:
            self.session.do("Go back", lambda g, s: graph, where=())
        self._compared = self.trained = self.session.root
        self.origins = self.session.origins
        for curve in self.curves.values():
            curve.back_to(step)
        self.marks = [m for m in self.marks if m[0] <= step]
        self._tell(step, "done", f"went back to step {step}")

    def _hear_failed(self, message: Mapping[str, Any]) -> None:
        self._sent.pop(message["id"], None)
        step, text = self.step, message["text"]
        if self.told and self.told[-1][2].endswith(text):  # the warning, which names the node
            step, _, text = self.told.pop()
        self._tell(step, "error", text)
        self.session.tell(text.splitlines()[0], "error")

    def _hear_finished(self, message: Mapping[str, Any]) -> None:
        self._tell(self.step, "done", f"finished after {message['seconds']:.1f} s of training")

    def _hear_died(self, message: Mapping[str, Any]) -> None:
        self._tell(self.step, "error", message["text"])
        self.session.tell(message["text"], "error")

    # Time travel ----------------------------------------------------------------------------------

    def checkpoints(self) -> list[tuple[int, str]]:
        """What can be gone back to: the step of the whole run, and the name."""
        return [(self.place(c.index, c.step), c.name) for c in self.kept]

    @property
    def shots(self) -> Path | None:
        """Where its pictures are kept: in its folder, or for a run elsewhere in one of ours."""
        if self.folder is None or not self.remote:
            return self.folder and self.folder / "previews"
        name = re.sub(r"[^\w.@-]", "_", f"{self.folder.name}@{self.remote}")
        return self.out / name / "previews"

    def _store(self, picture: Picture, index: int, step: int) -> None:
        """Keep a picture of a run elsewhere."""
        if self.shots is None or picture.peek or not picture.view:
            return
        about = {"node": picture.name, "view": picture.view, "step": picture.step}
        data = provenance.png(picture.width, picture.height, picture.rows, about)
        try:
            provenance.keep(self.shots, picture.name, index, step, data)
        except OSError as wrong:
            self._tell(picture.step, "warning", f"pictures are not kept: {wrong}")

    def frame(self, view: str, step: int) -> Path | None:
        """The stored picture of a view that was newest at a step."""
        folder = self.shots / provenance.safe(view) if self.shots else None
        if folder is None or not folder.is_dir():
            return None
        best: Path | None = None
        for path in sorted(folder.glob("*.png")):
            if 0 <= self.step_of(path) <= step:
                best = path
        return best

    def step_of(self, frame: Path) -> int:
        """The step of the whole run that a stored picture is of; −1 for another file."""
        index, _, done = frame.stem.partition("-")
        known = index.isdecimal() and done.isdecimal()
        return self.place(int(index), int(done)) if known else -1

    def frame_step(self, view: str, step: int) -> int:
        """The step of the stored picture that `frame` gives."""
        found = self.frame(view, step)
        return self.step_of(found) if found else step


def view_names(graph: Graph, scope: Scope, before: str = "") -> Iterator[str]:
    """The views of a graph and of the groups in it."""
    for name, entry in graph.nodes.items():
        declared = scope.type_of(graph, name)
        if isinstance(declared, Graph) and not entry.shares:
            inner = scope.inside(graph) if graph.groups else scope
            yield from view_names(declared, inner, f"{before}{name}/")
        elif isinstance(declared, type) and issubclass(declared, View):
            yield before + name


def without_views(graph: Graph, scope: Scope) -> Graph:
    """A graph as training sees it: without its views, also in groups."""
    inner = scope.inside(graph)
    views = set(view_names(graph, scope))
    kept = {n: e for n, e in graph.nodes.items() if n not in views}
    links = {to: source for to, source in graph.links.items() if to.node in kept}
    groups = {k: without_views(g, inner) for k, g in graph.groups.items()}
    return graph.with_(nodes=kept, links=links, groups=groups)
