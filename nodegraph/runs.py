"""Run folders, read without torch: what was trained, how far, how well, what can be gone back to.

RUN/graph.yaml         the graph as it was at the beginning
RUN/run.json           its preset and settings, the options of training, where it branched from
RUN/metrics.jsonl      losses and metrics, a line each
RUN/edits.jsonl        what was changed while it trained, a line each
RUN/graphs/NNNN.yaml   the graph after the change number NNNN
RUN/lock               held by whoever trains it, whom it names
RUN/checkpoints/…      named stage-step, and after a change stage-step-NNNN
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from . import files
from .graph import Graph, GraphError, choose, substitute
from .library import standard
from .lock import Held, lock, said
from .node import Loss, Metric

GRAPH, ABOUT, METRICS, EDITS, GRAPHS, LOCK = (
    "graph.yaml", "run.json", "metrics.jsonl", "edits.jsonl", "graphs", "lock"
)  # fmt: skip
# What a line of metrics holds beside its numbers. `took`: how many seconds the stage's steps before
# that moment took, without evaluations, checkpoints and views.
PLACE = ("index", "stage", "step", "kind", "took")
NAME = re.compile(r"(\d+)-(\d+)(?:-(\d+))?")


@dataclass(frozen=True, order=True)
class Checkpoint:
    """A moment of a run that can be gone back to: `step` steps of stage `index` are done. `graph`
    is the number of changes that were made before, 0 for the graph of the beginning."""

    index: int
    step: int
    graph: int = 0

    @property
    def name(self) -> str:
        """The name of its folder."""
        name = f"{self.index:02d}-{self.step:08d}"
        return f"{name}-{self.graph:04d}" if self.graph else name

    @classmethod
    def parse(cls, name: str) -> Checkpoint:
        """The checkpoint of a folder's name. Raises GraphError when it is none."""
        found = NAME.fullmatch(name)
        if not found:
            raise GraphError(f"{name!r} is no name of a checkpoint; one is like 00-00000100")
        return cls(*(int(n or 0) for n in found.groups()))


@dataclass(frozen=True)
class Edit:
    """Something that was done to a run at a moment: a change to the graph, or one update alone."""

    index: int
    step: int
    graph: int  # the number of the graph that was trained from then on
    what: tuple[str, ...] = ()
    checkpoint: str = ""  # the one before it
    update: str = ""  # the name of the update that was run alone
    preset: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    names: Mapping[str, str] = field(default_factory=dict)  # new ones of nodes, by old ones


@dataclass
class Series:
    """The numbers of one metric. `best` is the lowest of a loss, the highest of others."""

    low: bool
    last: float = 0.0
    best: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """One more."""
        better = value < self.best if self.low else value > self.best
        if self.count == 0 or better or self.best != self.best:
            self.best = value
        self.last, self.count = value, self.count + 1


@dataclass(frozen=True)
class Run:
    """A run folder, as it is on disk now. `index` and `step` say how far it came."""

    folder: Path
    title: str
    text: str  # the graph as it is trained now: after the last change
    preset: str
    settings: Mapping[str, Any]
    seed: int
    created: str
    stages: tuple[tuple[str, int], ...]  # of the newest graph: name and steps
    index: int
    step: int
    metrics: Mapping[str, Series]
    checkpoints: tuple[Checkpoint, ...]
    edits: tuple[Edit, ...]
    previews: tuple[Path, ...]
    branched_from: Mapping[str, str]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name


class Log:
    """The lines of a run's metrics, each call reading on where the last one ended."""

    def __init__(self, run: Path) -> None:
        self.path = run / METRICS
        self.restart()

    def restart(self) -> None:
        """Read from the beginning again."""
        self.offset, self.tail = 0, b""

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """The new rows, and whether they are all rows there are: the run may have gone back."""
        try:
            with open(self.path, "rb") as file:
                file.seek(max(0, self.offset - len(self.tail)))
                if file.read(len(self.tail)) != self.tail:
                    self.restart()
                    file.seek(0)
                whole = self.offset == 0
                raw = file.read()
        except OSError:
            whole = self.offset > 0
            self.restart()
            return [], whole
        raw = raw[: raw.rfind(b"\n") + 1]  # a line that is being written is for the next time
        self.offset += len(raw)
        self.tail = (self.tail + raw)[-80:]
        return [*_parsed(raw.splitlines())], whole


def rows(run: Path) -> list[dict[str, Any]]:
    """All lines of a run's metrics as a worker tells them: with the numbers under `values`."""
    return [
        {**row, "values": {k: v for k, v in row.items() if k not in PLACE}}
        for row in Log(run).read()[0]
    ]


def _parsed(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # a line that a crash cut
        if isinstance(row, dict):
            yield row


def stages(graph: Graph, preset: str, settings: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The names and steps of a graph's stages; 0 steps where that is not known."""
    params = choose(graph, preset, settings).params
    return [(stage.name, _steps(stage.steps, params)) for stage in graph.train]


def _steps(steps: Any, params: Mapping[str, Any]) -> int:
    try:
        return int(substitute(steps, params))
    except (GraphError, TypeError, ValueError):
        return 0


def summary(graph: Graph, rows: Iterable[Mapping[str, Any]]) -> dict[str, Series]:
    """The last and the best value of each watched number."""
    found: dict[str, Series] = {}
    for row in rows:
        if row.get("kind") == "metric":
            for name, value in row.items():
                if name not in PLACE and isinstance(value, (int, float)):
                    found.setdefault(name, Series(low_is_good(graph, name))).add(value)
    return found


def low_is_good(graph: Graph, name: str) -> bool:
    """Whether less is better of what a node gives: so of losses and errors."""
    entry = graph.nodes.get(name)
    kind = standard().types.get(str(graph.entry(name).type)) if entry else None
    if kind is not None and issubclass(kind, Metric):
        return kind.low_is_good
    return kind is not None and issubclass(kind, Loss)


# Reading -----------------------------------------------------------------------------------------


def about(run: Path) -> dict[str, Any]:
    """What a run says of itself. Raises GraphError when the folder is of no run."""
    try:
        found = json.loads((run / ABOUT).read_text(encoding="utf-8"))
        kinds = {"options": dict, "preset": str, "settings": dict}
        if not isinstance(found, dict) or not all(
            isinstance(found[key], kind) for key, kind in kinds.items()
        ):
            raise ValueError(f"{ABOUT} is of something else")
        if not isinstance(found["options"].get("seed", 0), int):
            raise ValueError("its seed is no number")
        return found
    except FileNotFoundError as error:
        raise GraphError(f"{run} is no folder of a run: it has no {ABOUT}") from error
    except (OSError, ValueError, KeyError) as error:
        raise GraphError(f"{run} is no folder of a run: {ABOUT}: {error}") from error


def checkpoints(run: Path) -> list[Checkpoint]:
    """The checkpoints of a run, the oldest first."""
    names = (p.name for p in (run / "checkpoints").glob("*"))
    return sorted(Checkpoint.parse(n) for n in names if NAME.fullmatch(n))


def edits(run: Path) -> list[Edit]:
    """What was done to a run while it trained, the oldest first."""
    try:
        lines = (run / EDITS).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise GraphError(f"{run / EDITS}: {error.strerror}") from error
    found = []
    for row in _parsed(lines):
        try:
            found.append(Edit(**{**row, "what": tuple(row.get("what", ()))}))
        except TypeError as error:
            raise GraphError(f"{run / EDITS} holds what is no change: {error}") from error
    return found


def graph_text(run: Path, number: int) -> tuple[str, str, Mapping[str, Any]]:
    """The text of a run's graph after a change, with its preset and settings; 0: the first.

    Raises GraphError when there is none.
    """
    if number == 0:
        found = about(run)
        chosen = found["preset"], found["settings"]
    else:
        rows = [e for e in edits(run) if e.graph == number and not e.update]
        if not rows:
            raise GraphError(f"{run} has no change number {number}")
        chosen = rows[-1].preset, rows[-1].settings
    path = run / GRAPHS / f"{number:04d}.yaml" if number else run / GRAPH
    try:
        return (path.read_text(encoding="utf-8"), *chosen)
    except (OSError, ValueError) as error:
        raise GraphError(f"{path} can't be read: {error}") from error


def read(folder: Path, log: Log | None = None, rows: Iterable[Mapping[str, Any]] = ()) -> Run:
    """A run's folder. Raises GraphError when it is none.

    `rows` are those that were read before from `log`; new ones are read from there on.
    """
    found, saved, edited = about(folder), checkpoints(folder), edits(folder)
    text, preset, settings = graph_text(folder, edited[-1].graph if edited else 0)
    try:
        graph = files.parse(text, str(folder)).graph
    except GraphError:
        graph = Graph()
    new, whole = (log or Log(folder)).read()
    every = new if whole else [*rows, *new]
    places = [(c.index, c.step) for c in saved]
    last = [(r.get("index"), r.get("step")) for r in every[-1:]]
    places += [(i, s) for i, s in last if isinstance(i, int) and isinstance(s, int)]
    index, step = max(places, default=(0, 0))
    return Run(
        folder, str(found.get("title", "")), text, preset, settings,
        int(found["options"].get("seed", 0)), str(found.get("created", "")),
        _stages(graph, preset, settings), index, step,
        summary(graph, every), tuple(saved), tuple(edited),
        tuple(sorted((folder / "previews").glob("**/*.png"))), found.get("branched_from", {}),
    )  # fmt: skip


def _stages(graph: Graph, preset: str, settings: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """The stages of a graph; none where it can't be trained any more."""
    try:
        return tuple(stages(graph, preset, settings))
    except GraphError:
        return ()


def runs(folder: Path) -> list[Run]:
    """All runs in a folder, the newest first. What is no run is passed over."""
    found = []
    for path in folder.glob("*"):
        if not path.name.startswith(".") and (path / ABOUT).is_file():
            try:
                found.append(read(path))
            except GraphError:
                continue
    return sorted(found, key=lambda r: (r.created, r.name), reverse=True)


def folder_for(graph: Graph, out: Path) -> Path:
    """A new name for a run in `out`: the title and the time."""
    title = "".join(c if c.isalnum() else "-" for c in graph.meta.get("title", "graph").lower())
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{title.strip('-')}-{stamp}"
    number = 2
    while (out / name).exists():
        name, number = f"{title.strip('-')}-{stamp}-{number}", number + 1
    return out / name


# Changing ----------------------------------------------------------------------------------------


CLAIMED: WeakValueDictionary[Path, Held] = WeakValueDictionary()  # by this process


def claim(run: Path, patience: float = 0.0) -> Held | None:
    """What whoever trains a run holds until it is forgotten, or the process ends: no other process
    may write in the run's folder meanwhile. One that does has `patience` seconds to end.

    Within a process the next one takes over: the one before was left where it stood.
    None on a file system that has no locks. Raises GraphError that says who holds it.
    """
    place, end = run.resolve(), time.monotonic() + patience
    if place in CLAIMED:
        return CLAIMED[place]
    try:
        while (held := lock(run / LOCK)) is None:
            if time.monotonic() >= end:
                raise GraphError(
                    f"{run} is being trained by {holder(run)}: stop it there, or go on from a "
                    "branch of it (in the editor: tab Runs, branch)"
                )
            time.sleep(0.05)
        since = time.strftime("%H:%M on %Y-%m-%d")
        held.say(f"process {os.getpid()} on {socket.gethostname()} since {since}")
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP):
            return None
        raise GraphError(f"{run / LOCK} can't be written: {error.strerror}") from error
    CLAIMED[place] = held
    return held


def holder(run: Path) -> str:
    """Who holds a run, in words."""
    try:
        return said(run / LOCK) or "another process"
    except OSError:
        return "another process"


def delete(run: Path) -> None:
    """Remove a run for good: ask the person first. Raises GraphError for a folder that is none, and
    while it is trained."""
    about(run)
    if run.is_symlink() or not (run / GRAPH).is_file():
        raise GraphError(f"{run} is no folder of a run: it stays")
    claim(run)  # and let it go: a folder with an open file can't be moved on Windows
    gone = run.with_name(f".{run.name}.deleted.{os.getpid()}")
    os.replace(run, gone)
    shutil.rmtree(gone)


def state_of(run: Path, checkpoint: str) -> dict[str, Any]:
    """The plain values of a checkpoint: graph, edits (how many), log (bytes), stage, step."""
    path = run / "checkpoints" / Checkpoint.parse(checkpoint).name / "state.json"
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))["map"]
        return {k: v for k, v in pairs if isinstance(v, (bool, int, float, str))}
    except (OSError, ValueError, KeyError) as error:
        raise GraphError(f"{run} has no checkpoint {checkpoint}: {error}") from error


def branch(run: Path, checkpoint: str, folder: Path) -> Path:
    """A new run that begins at a checkpoint of another, with all that led to it.

    Raises GraphError when the folder is there already, or the checkpoint is not.
    """
    state, found = state_of(run, checkpoint), about(run)
    if folder.exists():
        raise GraphError(f"{folder} is there already; choose another folder")
    found["branched_from"] = {"run": run.name, "checkpoint": checkpoint}
    found["created"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(run / "checkpoints" / checkpoint, partial / "checkpoints" / checkpoint)
        for name in (GRAPH, "network.py"):
            if (run / name).exists():
                shutil.copyfile(run / name, partial / name)
        if (run / METRICS).exists():
            (partial / METRICS).write_bytes((run / METRICS).read_bytes()[: state["log"]])
        if state.get("edits"):
            lines = (run / EDITS).read_bytes().splitlines(keepends=True)[: state["edits"]]
            (partial / EDITS).write_bytes(b"".join(lines))
            (partial / GRAPHS).mkdir()
            for number in {e.graph for e in edits(partial) if e.graph}:
                name = f"{GRAPHS}/{number:04d}.yaml"
                shutil.copyfile(run / name, partial / name)
        (partial / ABOUT).write_text(json.dumps(found, indent=1), encoding="utf-8")
        os.replace(partial, folder)
    except OSError as error:
        raise GraphError(f"can't make the run's folder {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder
