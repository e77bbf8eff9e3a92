"""Undo and redo: the graphs that were, in a list with a cursor. No edit has an inverse."""

from __future__ import annotations

from .graph import Graph
from .origins import Names, Origins, followed


class History:
    """Labelled graphs; `current` is the one at the cursor. A push drops what was undone."""

    def __init__(self, graph: Graph, label: str = "Open", saved: bool = True) -> None:
        self.steps: list[tuple[str, Graph]] = [(label, graph)]
        self.origins: list[Origins] = [followed({}, graph, {})]  # of the nodes of each graph
        self.cursor = 0
        self._gesture: object = None
        self._saved: Graph | None = graph if saved else None

    @property
    def current(self) -> Graph:
        """The graph at the cursor."""
        return self.steps[self.cursor][1]

    @property
    def labels(self) -> list[str]:
        """What each step is called, oldest first."""
        return [label for label, _ in self.steps]

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier graph."""
        return self.cursor > 0

    @property
    def can_redo(self) -> bool:
        """Whether something was undone."""
        return self.cursor < len(self.steps) - 1

    @property
    def is_saved(self) -> bool:
        """Whether the graph at the cursor is the one that was saved."""
        return self.current is self._saved

    def mark_saved(self) -> None:
        """Remember the graph at the cursor as the one in the file."""
        self._saved, self._gesture = self.current, None

    def mark_unsaved(self) -> None:
        """Remember no graph as the one in the file."""
        self._saved = None

    def push(
        self, label: str, graph: Graph, gesture: object = None, names: Names | None = None
    ) -> None:
        """Add a graph after the cursor. An equal one adds nothing. `names` are new places of nodes
        by old ones, where the edit renamed any.

        The steps of one `gesture` (a drag, a slider held down: any value but None) are one step.
        """
        origins = followed(self.origins[self.cursor], graph, names or {})
        if gesture is not None and gesture == self._gesture:
            self.steps[self.cursor :] = [(label, graph)]
            self.origins[self.cursor :] = [origins]
        elif graph != self.current:
            self.steps[self.cursor + 1 :] = [(label, graph)]
            self.origins[self.cursor + 1 :] = [origins]
            self.cursor += 1
            self._gesture = gesture

    def undo(self) -> Graph:
        """The graph before; the same one at the beginning."""
        return self.jump(self.cursor - 1)

    def redo(self) -> Graph:
        """The graph that was undone; the same one at the end."""
        return self.jump(self.cursor + 1)

    def jump(self, index: int) -> Graph:
        """The graph of step `index`, or of the nearest one."""
        self.cursor = min(max(index, 0), len(self.steps) - 1)
        self._gesture = None
        return self.current
