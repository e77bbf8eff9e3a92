"""What a person can do to an open graph, each a step of its history under the name it is undone by.

The edits themselves are functions elsewhere (`edits`, `wiring`, `layout`, `programme`); here they
get a label, the gesture that they are part of, and a selection afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING
from typing import Any

from . import edits, groups, layout, programme, wiring
from .graph import Graph, Ref, Reference
from .layout import FRAME, OUT
from .problem import short
from .scope import Scope

Edit = Callable[[Graph, Scope], Graph]


class Editing:
    """The edits of a session. Each returns whether it was done; if not, a message says why."""

    selection: frozenset[str]
    path: tuple[str, ...]

    @property
    def graph(self) -> Graph:
        """The graph or group that is edited."""
        raise NotImplementedError

    def do(
        self, label: str, edit: Edit, gesture: object = None, *,
        select: Iterable[str] | None = None, select_new: bool = False,
        where: Sequence[str] | None = None, names: Mapping[str, str] | None = None,
    ) -> bool:  # fmt: skip
        """Make an edit."""
        raise NotImplementedError

    @property
    def nodes_selected(self) -> list[str]:
        """The selected nodes in the order of the graph."""
        return [n for n in self.graph.nodes if n in self.selection]

    # Nodes --------------------------------------------------------------------------------------

    def add(
        self, kind: str, at: Sequence[float] | None = None, link_from: Ref | None = None,
        link_to: Ref | None = None,
    ) -> bool:  # fmt: skip
        """A node of a type or group, linked from an output or to an input where one is given."""
        return self.do(
            f"Add {kind}",
            lambda g, s: wiring.add_linked(g, kind, s, at, link_from, link_to),
            select_new=True,
        )

    def delete(self, reconnect: bool = False) -> bool:
        """Without what is selected; `reconnect` joins what the nodes stood between."""
        chosen = self.selection
        return self.do(
            "Delete and reconnect" if reconnect else "Delete",
            lambda g, s: wiring.delete(g, chosen, s, reconnect),
        )

    def rename(self, old: str, new: str) -> bool:
        """A node by another name."""
        chosen = {new if n == old else n for n in self.selection}
        return self.do(
            f"Rename {old}", lambda g, s: edits.rename(g, old, new, s), select=chosen,
            names={old: new},
        )  # fmt: skip

    def rename_group(self, old: str, new: str) -> bool:
        """A group by another name."""
        return self.do(
            f"Rename {old}", lambda g, s: groups.rename_group(g, old, new, s), where=(),
            select=self.selection,
        )  # fmt: skip

    def rename_port(self, old: str, new: str) -> bool:
        """A port of the group that is entered (an output is called `out:NAME`) by another name."""
        group = self.path[-1]
        chosen = [OUT + new if old.startswith(OUT) else new]
        return self.do(
            f"Rename {old.removeprefix(OUT)}",
            lambda g, s: groups.rename_port(g, group, old, new, s), where=(), select=chosen,
        )  # fmt: skip

    def bypass(self, names: Collection[str] | None = None) -> bool:
        """The selected nodes passed by, or in use again when all of them are passed by."""
        chosen = list(names) if names is not None else self.nodes_selected
        on = any(n in self.graph.nodes and not self.graph.nodes[n].bypassed for n in chosen)
        return self.do("Bypass" if on else "Use again", lambda g, s: edits.bypass(g, chosen, s, on))

    def freeze(self, name: str, frozen: bool = True) -> bool:
        """A node whose weights no update trains, or may train again."""
        return self.do(
            f"Freeze {name}" if frozen else f"Unfreeze {name}",
            lambda g, s: edits.freeze(g, name, frozen),
        )

    def set_weights(self, name: str, weights: str) -> bool:
        """A node whose weights start from a file; "": they are drawn."""
        return self.do(
            f"Weights of {name} {f'from {weights}' if weights else 'drawn'}",
            lambda g, s: edits.set_weights(g, name, referring(weights)),
        )

    def share(self, name: str, module: str) -> bool:
        """A node as a further call of another's module."""
        return self.do(f"Share {module}", lambda g, s: edits.share(g, name, module, s))

    def make_independent(self, name: str) -> bool:
        """A further call as a module with weights of its own."""
        return self.do(f"Make {name} independent", lambda g, s: edits.make_independent(g, name))

    def group(self, called: str = "Group") -> bool:
        """The selected nodes as a group, and one instance of it."""
        chosen = self.nodes_selected
        return self.do("Group", lambda g, s: edits.group(g, chosen, s, called), select_new=True)

    def ungroup(self) -> bool:
        """The selected instances of groups as plain nodes."""
        chosen = self.nodes_selected
        return self.do("Ungroup", lambda g, s: wiring.ungroup(g, chosen, s), select_new=True)

    # Links --------------------------------------------------------------------------------------

    def connect(self, source: Ref, to: Ref, instead: Ref | None = None) -> bool:
        """A link; `instead` is the input that it ended in before it was dragged here."""
        return self.do("Connect", lambda g, s: wiring.relink(g, source, to, s, instead))

    def disconnect(self, to: Ref, source: Ref | None = None) -> bool:
        """Without the link into an input, or one of its many."""
        return self.do("Disconnect", lambda g, s: edits.disconnect(g, to, source))

    def cut_links(self, links: Sequence[tuple[Ref, Ref]]) -> bool:
        """Without some links, each (input, output)."""
        return self.do("Cut links", lambda g, s: wiring.cut(g, links))

    def insert_on_link(
        self, what: str, to: Ref, source: Ref | None = None, at: Sequence[float] | None = None,
        gesture: object = None,
    ) -> bool:  # fmt: skip
        """A node that is there, or a new one of a type, put on the link into an input."""
        return self.do(
            f"Insert {what}",
            lambda g, s: wiring.insert(g, what, to, s, source, at),
            gesture,
            select_new=what not in self.graph.nodes,
        )

    # Parameters ---------------------------------------------------------------------------------

    def set_param(self, name: str, key: str, value: Any, gesture: object = None) -> bool:
        """A parameter; the text `$p` refers to the graph's own."""
        value = referring(value)
        return self.do(
            f"Set {name}.{key} to {short(f'{value}', 24)}",
            lambda g, s: edits.set_param(g, name, key, value, s), gesture,
        )  # fmt: skip

    def reset_param(self, name: str, key: str) -> bool:
        """A parameter at its default."""
        return self.do(f"Reset {name}.{key}", lambda g, s: wiring.reset(g, name, key, s))

    def expose_param(self, name: str, key: str, called: str = "") -> bool:
        """A node's setting as a parameter of the graph or group around it."""
        return self.do(
            f"Expose {name}.{key}", lambda g, s: wiring.expose(g, name, key, s, called or key)
        )

    def set_graph_param(self, name: str, value: Any, gesture: object = None) -> bool:
        """A parameter of the graph or group itself."""
        return self.do(
            f"Set ${name}", lambda g, s: edits.set_graph_param(g, name, value, s), gesture
        )

    def remove_graph_param(self, name: str) -> bool:
        """Without a parameter of the graph or group."""
        return self.do(f"Remove ${name}", lambda g, s: edits.set_graph_param(g, name, MISSING, s))

    def set_meta(self, key: str, text: str, gesture: object = None) -> bool:
        """The title, or another word about the graph."""
        return self.do(f"Set {key}", lambda g, s: edits.set_meta(g, key, text), gesture)

    def set_input(self, name: str, shape: str | None) -> bool:
        """An input of the group that is entered; None removes it."""
        return self.do(f"Set input {name}", lambda g, s: edits.set_input(g, name, shape))

    def set_output(self, name: str, source: Ref | None) -> bool:
        """An output of the group that is entered; None removes it."""
        return self.do(f"Set output {name}", lambda g, s: edits.set_output(g, name, source, s))

    # Places -------------------------------------------------------------------------------------

    def move(
        self, positions: Mapping[str, Sequence[float]], label: str = "Move", gesture: object = None
    ) -> bool:
        """Nodes, ports of the group, and frames at other positions."""
        return self.do(label, lambda g, s: layout.place(g, positions), gesture)

    def add_frame(self, x: float, y: float, w: float, h: float, title: str = "") -> bool:
        """A frame with a title around a part of the canvas."""
        name = layout.fresh_frame(layout.frames(self.graph.layout))
        box = {"title": title, "x": x, "y": y, "w": w, "h": h}
        return self.do(
            "Add a frame", lambda g, s: layout.set_frame(g, name, **box), select=[FRAME + name]
        )

    def set_frame(self, name: str, gesture: object = None, **changes: Any) -> bool:
        """A frame with some of `title x y w h colour` changed; `name` with or without `frame:`."""
        key = name.removeprefix(FRAME)
        return self.do("Change a frame", lambda g, s: layout.set_frame(g, key, **changes), gesture)

    def set_colour(self, colour: str | None, names: Collection[str] | None = None) -> bool:
        """The selected nodes and frames in a colour; None gives the one of their kind."""
        chosen = self.selection if names is None else names
        return self.do("Colour", lambda g, s: wiring.colour(g, chosen, colour))

    def collapse(self, on: bool | None = None, names: Collection[str] | None = None) -> bool:
        """The selected nodes drawn as titles (`on`), in full, or the other way round (None)."""
        chosen = self.nodes_selected if names is None else list(names)
        if on is None:
            on = not set(chosen) <= set(layout.collapsed(self.graph.layout))
        label = "Collapse" if on else "Expand"
        return self.do(label, lambda g, s: layout.collapse(g, chosen, bool(on)))

    def set_reroutes(
        self, to: Ref, points: Sequence[Sequence[float]], gesture: object = None
    ) -> bool:
        """The points that the link into an input runs through."""
        return self.do("Reroute", lambda g, s: layout.set_reroutes(g, to, points), gesture)

    # Training -----------------------------------------------------------------------------------

    def add_stage(self, name: str = "", index: int | None = None) -> bool:
        """One more stage of training, with all updates that no stage runs yet."""
        return self._train("Add a stage", lambda g, s: programme.add(g, s, name, index))

    def remove_stage(self, name: str) -> bool:
        """Without a stage."""
        return self._train(f"Remove {name}", lambda g, s: edits.remove_stage(g, name))

    def move_stage(self, name: str, index: int) -> bool:
        """A stage at another place in the order."""
        return self._train(f"Move {name}", lambda g, s: programme.move(g, name, index))

    def set_stage(self, stage: str, gesture: object = None, **changes: Any) -> bool:
        """Some of a stage's `name steps run watch watch_every`."""
        label = f"Change {stage}"
        return self._train(label, lambda g, s: edits.set_stage(g, stage, s, **changes), gesture)

    def set_steps(self, stage: str, steps: int | str, gesture: object = None) -> bool:
        """How many steps a stage has; `$p` refers to the graph's parameter."""
        given = Reference(steps[1:]) if isinstance(steps, str) and steps[:1] == "$" else steps
        return self.set_stage(stage, gesture, steps=given)

    def add_update(self, stage: str, node: str, index: int | None = None) -> bool:
        """One more row of updates in a stage's step, last or at an index."""
        return self._train(
            f"Run {node}", lambda g, s: programme.add_update(g, stage, node, s, index)
        )

    def remove_update(self, stage: str, index: int) -> bool:
        """Without the row of updates at an index."""
        return self._train(
            "Remove an update", lambda g, s: programme.remove_update(g, stage, index, s)
        )

    def move_update(self, stage: str, index: int, to: int, gesture: object = None) -> bool:
        """A row of updates earlier or later in the step."""
        return self._train(
            "Reorder updates", lambda g, s: programme.move_update(g, stage, index, to, s), gesture
        )

    def repeat_update(self, stage: str, index: int, times: int) -> bool:
        """The update of a row that many times in each step."""
        return self._train(
            "Repeat an update", lambda g, s: programme.repeat(g, stage, index, times, s)
        )

    def set_preset(self, name: str, values: Mapping[str, Any] | None) -> bool:
        """A preset's values by the names of the file's parameters; None removes it."""
        label = f"Set preset {name}" if values is not None else f"Remove preset {name}"
        return self._train(label, lambda g, s: edits.set_preset(g, name, values, s))

    def watch(self, stage: str, node: str, on: bool = True) -> bool:
        """A metric or loss watched in a stage, or no more."""
        label = f"Watch {node}" if on else f"Stop watching {node}"
        return self._train(label, lambda g, s: programme.watch(g, stage, node, s, on))

    def _train(self, label: str, edit: Edit, gesture: object = None) -> bool:
        # Of the file, also while a group is entered: a group has no training.
        return self.do(label, edit, gesture, where=())

    def selected_ports(self) -> list[str]:
        """The selected ports of the group that is entered."""
        ports = [n for n in self.graph.inputs if n in self.selection]
        return ports + [OUT + n for n in self.graph.outputs if OUT + n in self.selection]


def referring(value: Any) -> Any:
    """What is typed for a value: the text `$p` refers to the graph's own parameter."""
    if isinstance(value, str) and value.startswith("$"):
        return value[1:] if value.startswith("$$") else Reference(value[1:])
    return value
