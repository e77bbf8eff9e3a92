"""An open graph: its file, its history, where in it a person is, and what is selected.

The graph itself is a value; this is one of the few places that hold state. A window draws what is
here whenever `revision` has grown, and changes it by the methods of `Editing` alone.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import edits, files, fixes, layout, wiring
from .editing import Edit, Editing
from .graph import Graph, GraphError
from .groups import centre
from .history import History
from .layout import FRAME, OUT
from .library import Library, standard
from .origins import Origins, place
from .scope import Scope, type_name

STEP = 40  # how far from the original a copy is put


@dataclass(frozen=True)
class Analysis:
    """What the worker found about the graph that the session had at `revision`, its edition."""

    revision: int
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    problems: Sequence[Mapping[str, Any]] = ()
    costs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Analysis:
        """An answer of the worker."""
        wanted = ("shapes", "problems", "costs", "source", "seconds")
        return cls(message["id"], **{k: message[k] for k in wanted if k in message})


class Clipboard:
    """What was copied last, for all sessions. A window has one that is the system's."""

    text = ""


class Session(Editing):
    """One graph that is being edited."""

    _ids = itertools.count(1)

    def __init__(
        self, graph: Graph | None = None, file: Path | None = None, text: str | None = None,
        library: Library | None = None, saved: bool = True, clipboard: Clipboard | None = None,
    ) -> None:  # fmt: skip
        self.id = next(Session._ids)
        self.library = library or standard()
        self.scope = Scope(self.library)
        self.history = History(graph or Graph(), saved=saved)
        self.file = None if file is None else resolved(file)
        self.path: tuple[str, ...] = ()
        self.instances: tuple[str, ...] = ()  # the nodes through which the groups were entered
        self.selection: frozenset[str] = frozenset()
        self.message: tuple[str, str] | None = None
        self.revision = 1
        self.edition = 1  # grows with the root graph alone
        self.analysis: Analysis | None = None
        self.clipboard = clipboard or Clipboard()
        self._text = text  # that the file had when it was read or written
        self._stamp = _stamp(self.file)

    @classmethod
    def open(
        cls, path: str | Path, *, copy: bool = False, library: Library | None = None
    ) -> Session:
        """The session of a file, or of a new graph like it (`copy`). Raises GraphError.

        `file` is what a link leads to, so a file has one name however it was opened.
        """
        path = Path(path)
        document = files.read(path, library)
        if copy:
            session = cls(document.graph, library=library)
        else:
            session = cls(document.graph, path, document.text, library)
        session._warn(document)
        return session

    @classmethod
    def recover(
        cls, text: str, file: Path | None = None, library: Library | None = None
    ) -> Session:
        """What a journal kept of a session that ended badly. Raises GraphError."""
        document = files.parse(text, str(file or "the journal"), library)
        base = files.text_at(file) if file else None
        return cls(document.graph, file, base, library, saved=False)

    def use(self, library: Library) -> None:
        """Take other node types: what was unknown may be known now, and the other way round."""
        self.library, self.scope = library, Scope(library)
        self.revision += 1
        self.edition += 1

    # What there is ------------------------------------------------------------------------------

    @property
    def folder(self) -> str:
        """The folder of its file, "" while it has none."""
        return str(self.file.parent) if self.file else ""

    @property
    def root(self) -> Graph:
        """The whole graph."""
        return self.history.current

    @property
    def origins(self) -> Origins:
        """Which node of the whole graph is which, through all its names."""
        return self.history.origins[self.history.cursor]

    @property
    def graph(self) -> Graph:
        """The graph that is shown: the root, or the group that was entered last."""
        return self.root.groups[self.path[-1]] if self.path else self.root

    @property
    def inner(self) -> Scope:
        """The scope of the graph that is shown."""
        return self.scope.inside(self.root) if self.path else self.scope

    @property
    def title(self) -> str:
        """What a tab is called."""
        return self.root.meta.get("title") or (self.file.stem if self.file else "Untitled")

    @property
    def changed(self) -> bool:
        """Whether something would be lost by closing: an edit, or all of it if its file is gone."""
        return not self.history.is_saved or self.disk_deleted()

    def place(self, name: str, port: str = "") -> str:
        """A node or port of the graph that is shown, as the analysis calls it."""
        return "/".join((*self.instances, name)) + (f".{port}" if port else "")

    def tell(self, text: str, kind: str = "info") -> None:
        """A message for the person: kind is info, refused or error."""
        self.message = (text, kind)

    def _warn(self, document: files.Document) -> None:
        """Tell what is odd about a file that was read: a newer format, say."""
        if told := [str(p) for p in document.problems if p.severity == "warning"]:
            more = f"; and {len(told) - 3} more, see `nodegraph check`" if len(told) > 3 else ""
            self.tell("; ".join(told[:3]) + more, "refused")

    # Edits --------------------------------------------------------------------------------------

    def do(
        self, label: str, edit: Edit, gesture: object | None = None, *,
        select: Iterable[str] | None = None, select_new: bool = False,
        where: Sequence[str] | None = None, names: Mapping[str, str] | None = None,
    ) -> bool:  # fmt: skip
        """Make an edit of the graph that is shown, as one step; False and a message if refused.

        Edits of one `gesture` are one step. `select` is selected afterwards, or what is new.
        `where` is the path of another graph than the one shown; `names` are new names of nodes in
        it by old ones.
        """
        before, path = self.graph, self.path if where is None else where

        def pruned(graph: Graph, scope: Scope) -> Graph:
            return layout.pruned(edit(graph, scope))

        try:
            root = edits.within(self.root, path, pruned, self.scope)
        except GraphError as refused:
            self.tell(str(refused), "refused")
            return False
        was, group = self.history.current, path[-1] if path else ""
        moved = {place(group, old): place(group, new) for old, new in (names or {}).items()}
        self.history.push(label, root, gesture, moved)
        if self.history.current is not was:
            self.edition += 1
        self.message = None
        if select_new:
            select = [n for n in self.graph.nodes if n not in before.nodes] or self.selection
        self._select(self.selection if select is None else select)
        return True

    def undo(self) -> bool:
        """One step back."""
        if not self.history.can_undo:
            self.tell("there is nothing to undo")
            return False
        label = self.history.labels[self.history.cursor]
        return self._travel(self.history.cursor - 1, f"Undid: {label}")

    def redo(self) -> bool:
        """One step forth again."""
        if not self.history.can_redo:
            self.tell("there is nothing to redo")
            return False
        index = self.history.cursor + 1
        label = self.history.labels[min(index, len(self.history.labels) - 1)]
        return self._travel(index, f"Redid: {label}")

    def jump(self, index: int) -> bool:
        """To any step of the history."""
        steps = self.history.labels
        return self._travel(index, f"Went to: {steps[min(max(index, 0), len(steps) - 1)]}")

    def _travel(self, index: int, told: str) -> bool:
        """Go to a step, show where it differs, and select what came (back)."""
        before, shown = self.root, self.graph
        if self.history.jump(index) is before:
            return False
        self.edition += 1
        self._show(before)
        came: list[str] = []
        if self.path and before.groups.get(self.path[-1]) is shown or not self.path:
            came = [n for n in self.graph.nodes if n not in shown.nodes]
        self._select(came or self.selection)
        self.tell(told)
        return True

    def _show(self, before: Graph) -> None:
        """Leave groups that are no more, and enter the only one that differs from `before`."""
        groups = self.root.groups
        while self.path and self.path[-1] not in groups:
            self.path, self.instances = self.path[:-1], self.instances[:-1]
        differ = [k for k, g in groups.items() if before.groups.get(k) is not g]
        shown = self.path[-1] if self.path else ""
        if shown in differ or not differ or before.with_(groups=groups) != self.root:
            return
        self.path, self.instances, self.selection = (), (), frozenset()
        way = _way_to(self.root, differ[0])
        if way:
            self.instances = tuple(name for name, _ in way)
            self.path = tuple(kind for _, kind in way)

    def fix(self, problem: Mapping[str, Any]) -> bool:
        """Apply the fix that the analysis offers for a problem."""
        fix = problem.get("fix")
        if not fix:
            self.tell("there is no fix for this problem; its text says what to do", "refused")
            return False
        if self.analysis is not None and self.analysis.revision != self.edition:
            self.tell("this problem is of the graph before the last change; wait for it to be "
                      "looked at again", "refused")  # fmt: skip
            return False
        where = (fix["group"],) if fix.get("group") else ()
        return self.do(fixes.label(fix), lambda g, s: fixes.apply(g, fix, s), where=where)

    # Where, and what is selected ----------------------------------------------------------------

    def select(self, names: Iterable[str], add: bool = False, toggle: bool = False) -> None:
        """These nodes and frames, beside the selected ones (`add`), or the other way round."""
        chosen = frozenset([names] if isinstance(names, str) else names)
        if toggle:
            chosen = self.selection ^ chosen
        self._select(self.selection | chosen if add else chosen)

    def select_all(self) -> None:
        """Every node of the graph that is shown."""
        self._select(self.graph.nodes)

    def _select(self, names: Iterable[str]) -> None:
        graph = self.graph
        there = {*graph.nodes, *graph.inputs, *(OUT + n for n in graph.outputs)}
        there |= {FRAME + n for n in layout.frames(graph.layout)}
        self.selection = frozenset(names) & there
        self.revision += 1

    def enter(self, name: str) -> bool:
        """Show the inside of a group's instance."""
        kind = type_name(self.graph, name)
        if kind not in self.root.groups:
            found = "declared in a group; it opens in a text editor only"
            what = found if kind in self.inner.inside(self.graph).groups else "not a group"
            self.tell(f"{name} is {what}", "refused")
            return False
        self.path, self.instances = (*self.path, kind), (*self.instances, name)
        self._select(())
        return True

    def leave(self, depth: int | None = None) -> bool:
        """Show what is around the group, or what is `depth` groups deep."""
        depth = len(self.path) - 1 if depth is None else depth
        if not 0 <= depth < len(self.path):
            return False
        came = self.instances[depth]
        self.path, self.instances = self.path[:depth], self.instances[:depth]
        self._select([came])
        return True

    def visit(self, where: Sequence[str]) -> bool:
        """Show the place of a problem (`groups`, name, `nodes`, name …), and select what is there;
        whether it is still there."""
        group = where[1] if where[:1] == ["groups"] and len(where) > 1 else ""
        if group != (self.path[-1] if self.path else ""):
            way = _way_to(self.root, group) if group else []
            if group and not way:
                self.tell(f"no node uses the group {group}", "refused")
                return False
            self.instances = tuple(name for name, _ in way)
            self.path = tuple(kind for _, kind in way)
        names = [where[i + 1] for i, word in enumerate(where[:-1]) if word == "nodes"]
        self._select(names[:1])
        return bool(self.selection) or not names

    # Clipboard ----------------------------------------------------------------------------------

    def copy(self) -> str:
        """The selected nodes and frames as YAML, also kept in `clipboard`; "" when there is none.

        The text holds what the nodes need, so another window can paste it.
        """
        framed = [n.removeprefix(FRAME) for n in self.selection if n.startswith(FRAME)]
        if not self.nodes_selected and not framed:
            self.tell("nothing is selected to copy", "refused")
            return ""
        self.clipboard.text = files.dumps(self._fragment(framed))
        return self.clipboard.text

    def _fragment(self, framed: Sequence[str]) -> Graph:
        """The selected nodes and frames as a graph of their own."""
        fragment = edits.copy(self.graph, self.nodes_selected, self.inner)
        return fragment.with_(layout=layout.only(self.graph.layout, self.nodes_selected, framed))

    def cut(self) -> str:
        """`copy`, and the selected nodes are gone."""
        text = self.copy()
        chosen = self.selection
        if text and not self.do("Cut", lambda g, s: wiring.delete(g, chosen, s, False)):
            return ""
        return text

    def paste(
        self, text: str | None = None, at: Sequence[float] | None = None,
        keep_inbound: bool = False,
    ) -> bool:  # fmt: skip
        """The nodes of a copied text (default: of `clipboard`), their middle at a place.

        `keep_inbound`: what flowed into the originals flows into the copies, where it is here.
        """
        try:
            fragment = files.parse(self.clipboard.text if text is None else text).graph
        except GraphError:
            fragment = Graph()
        return self._paste("Paste", fragment, at, keep_inbound)

    def duplicate(self, keep_inbound: bool = False) -> bool:
        """A copy of the selected nodes beside them; the clipboard keeps what it has."""
        framed = [n.removeprefix(FRAME) for n in self.selection if n.startswith(FRAME)]
        if not self.nodes_selected and not framed:
            self.tell("nothing is selected to duplicate", "refused")
            return False
        return self._paste("Duplicate", self._fragment(framed), None, keep_inbound)

    def call_again(self) -> bool:
        """A further call of each selected node beside it: the same weights, other links."""
        chosen = self.nodes_selected
        fragment = edits.copy(self.graph, chosen, self.inner)
        if not fragment.nodes:
            self.tell("select the nodes to call again", "refused")
            return False

        def edit(graph: Graph, scope: Scope) -> Graph:
            after = edits.paste(graph, fragment, scope, offset=(0, 4 * STEP), inbound=False)
            new = [n for n in after.nodes if n not in graph.nodes]
            for name, again in zip(fragment.nodes, new, strict=True):
                if scope.has_weights(graph, graph.owner(name)):
                    after = edits.share(after, again, name, scope)
            return after

        return self.do("Call again", edit, select_new=True)

    def _paste(
        self, label: str, fragment: Graph, at: Sequence[float] | None, inbound: bool
    ) -> bool:
        if not fragment.nodes and not layout.frames(fragment.layout):
            self.tell("the clipboard holds no nodes; copy some first", "refused")
            return False
        offset, middle = (STEP, STEP), centre(fragment, fragment.nodes)
        if at is not None and middle is not None:
            offset = (round(at[0] - middle[0]), round(at[1] - middle[1]))
        framed = {FRAME + f for f in layout.frames(self.graph.layout)}
        done = self.do(
            label,
            lambda g, s: edits.paste(g, fragment, s, offset=offset, inbound=inbound),
            select_new=True,
        )
        new = {FRAME + f for f in layout.frames(self.graph.layout)} - framed
        if done and new:
            nodes = self.selection if fragment.nodes else frozenset()
            self._select(nodes | new)
        return done

    # File ---------------------------------------------------------------------------------------

    def save(self, path: str | Path | None = None) -> bool:
        """Write the file; False and a message when it can't be. Comments in it survive."""
        target = resolved(path) if path is not None else self.file
        if target is None:
            self.tell("this graph has no file yet; choose one to save it in", "refused")
            return False
        try:
            # Without a text of its own, it takes none over from another graph at `target`.
            self._text = files.save(self.root, target, self._text or "", self.library)
        except (GraphError, OSError) as wrong:
            reason = wrong.strerror if isinstance(wrong, OSError) else wrong
            self.tell(f"{target.name} was not saved: {reason or wrong}", "error")
            return False
        self.file, self._stamp = target, _stamp(target)
        self.history.mark_saved()
        self.revision += 1
        self.tell(f"saved {target.name}")
        return True

    def reload(self) -> bool:
        """The graph as the file has it now, as a step that can be undone.

        When it cannot be read, the graph stays, and is not saved any more.
        """
        if self.file is None:
            return False
        try:
            document = files.read(self.file, self.library)
        except GraphError as wrong:
            gone = f"{self.file.name} is gone; save the graph to write it again"
            self.tell(gone if self.disk_deleted() else str(wrong), "error")
            self.history.mark_unsaved()
            self.revision += 1
            return False
        before = self.root
        self.history.push("Reload", document.graph)
        self.history.mark_saved()
        self._text, self._stamp = document.text, _stamp(self.file)
        self.edition += self.root is not before
        self._show(before)
        self._select(self.selection)
        self._warn(document)
        return True

    def disk_changed(self) -> bool:
        """Whether another program has written (or deleted) the file since it was read or saved.

        One look at its time and size; its text is read when these have changed.
        """
        now = _stamp(self.file)
        if self.file is None or now == self._stamp:
            return False
        if now is not None and files.text_at(self.file) == self._text:
            self._stamp = now  # touched, not changed
            return False
        return True

    def disk_deleted(self) -> bool:
        """Whether what `disk_changed` tells is that the file is gone."""
        return self._stamp is not None and _stamp(self.file) is None

    def keep_mine(self) -> None:
        """Take the file as it is on disk for known: the next save overwrites it."""
        self._stamp = _stamp(self.file)
        self.history.mark_unsaved()
        self.revision += 1


def resolved(path: str | Path) -> Path:
    """The only name of a file: without links and `..`, also where nothing is there yet."""
    return Path(os.path.realpath(path))


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    """What tells one state of a file from another; None when there is none."""
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _way_to(root: Graph, kind: str) -> list[tuple[str, str]]:
    """The instances (node, type) on the shortest way from the root to one of a group."""
    ways: list[list[tuple[str, str]]] = [[]]
    seen: set[str] = set()
    for way in ways:
        graph = root.groups[way[-1][1]] if way else root
        for name in graph.nodes:
            found = type_name(graph, name)
            if found == kind:
                return [*way, (name, found)]
            if found in root.groups and found not in seen:
                seen.add(found)
                ways.append([*way, (name, found)])
    return []
