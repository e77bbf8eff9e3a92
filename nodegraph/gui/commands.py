"""Every command with its name, its keys and its help: for keys, menus, the palette and the help.

A command that the window must carry out (open a file, ask for a name) leaves a `request`, a tuple
that begins with a word: search, palette, help, menu, field, rename, save_as, open, new, close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass
from typing import TYPE_CHECKING, Any

from .. import edits, layout, wiring
from ..edits import EditError
from ..graph import Graph, Ref, is_frozen
from ..layout import FRAME
from ..scope import Scope
from ..session import Session
from . import arrange, hits
from .placing import edges, sizes
from .scene import Scene

if TYPE_CHECKING:
    from .gestures import Gestures

NUDGE = 10  # canvas units that the selection is moved by a key
MARGIN, TOP = 30, 50  # of a frame around its nodes, and for its title


@dataclass(frozen=True)
class Command:
    """`keys` are chords like "ctrl+shift+z", in the order of `chord`; the first is shown."""

    name: str
    label: str
    keys: tuple[str, ...]
    doc: str
    run: Callable[[Session, Gestures], object]
    section: str = "Edit"


def chord(name: str, mods: frozenset[str]) -> str:
    """A key with what is held down, as the table writes it."""
    held = [m for m in ("ctrl", "alt", "shift") if m in mods]
    return "+".join([*held, name])


def shortcut(command: Command) -> str:
    """A command's first key as people write it."""
    if not command.keys:
        return ""
    words = command.keys[0].split("+")
    return "+".join(w.capitalize() if len(w) > 1 else w.upper() for w in words)


def by_key(name: str, mods: frozenset[str]) -> Command | None:
    """The command of a key, if there is one. Signs may need Shift on a keyboard: `?` has none."""
    if not name.isalnum() and len(name) == 1:
        mods -= {"shift"}
    return KEYS.get(chord(name, mods))


def laid_out(session: Session, scene: Scene) -> bool:
    """Arrange what is selected (where it is now), or all; frames close around their boxes again."""
    chosen = [n for n in scene.boxes if n in session.selection]
    chosen = chosen if len(chosen) > 1 else list(scene.boxes)
    faces = {n: scene.boxes[n].face for n in chosen}
    places = arrange.layered(sizes(faces, chosen), edges(faces, scene.links))
    before = scene.bounds_of(chosen)
    if before is None:
        return False
    left, top = round(before[0] / 10) * 10, round(before[1] / 10) * 10
    positions = {n: (x + left, y + top) for n, (x, y) in places.items()}
    held = {f: hits.carried(scene, f) & scene.boxes.keys() for f in scene.frames}

    def edit(graph: Graph, scope: Scope) -> Graph:
        graph = layout.place(graph, {**scene.unplaced, **positions})
        for frame, names in held.items():
            if names & positions.keys():
                graph = _framed(graph, frame.removeprefix(FRAME), scene, names, positions)
        return graph

    return session.do("Lay out", edit)


def _framed(
    graph: Graph, frame: str, scene: Scene, names: set[str], at: dict[str, tuple[int, int]]
) -> Graph:
    """`graph` with a frame around some boxes, at new places."""
    boxes = [scene.boxes[n] for n in names]
    spots = [(*at.get(b.name, (b.x, b.y)), b.face.w, b.face.h) for b in boxes]
    x, y = min(s[0] for s in spots) - MARGIN, min(s[1] for s in spots) - TOP
    w = max(s[0] + s[2] for s in spots) + MARGIN - x
    h = max(s[1] + s[3] for s in spots) + MARGIN - y
    return layout.set_frame(graph, frame, x=x, y=y, w=w, h=h)


def _align(side: str) -> Callable[[Session, Gestures], object]:
    def run(session: Session, g: Gestures) -> object:
        rects = {n: b.rect for n, b in g.scene.boxes.items() if n in session.selection}
        if side in "xy":
            return session.move(arrange.distributed(rects, side), "Distribute")
        return session.move(arrange.aligned(rects, side), "Align")

    return run


ALIGN = "Arrange"


def _freeze(session: Session) -> None:
    for name in session.nodes_selected:
        owner = session.graph.owner(name)
        graph = session.graph
        session.freeze(owner, not is_frozen(graph.nodes[owner], graph.params))


def _reset(session: Session) -> None:
    for name in session.nodes_selected:
        settings = session.inner.settings(session.graph, name) or {}
        for key in list(session.graph.nodes[name].params):
            if key in settings and settings[key].default is not MISSING:
                session.reset_param(name, key)


def _fix(session: Session) -> None:
    problems = [p for p in (session.analysis.problems if session.analysis else ()) if p.get("fix")]
    chosen = session.nodes_selected
    ours = [p for p in problems if set(chosen) & set(map(str, p["where"]))]
    if found := ours or problems:
        session.fix(found[0])
    else:
        session.tell("no fix is offered for what is wrong here", "refused")


def _context(session: Session, g: Gestures) -> None:
    name = next((n for n in g.scene.boxes if n in session.selection), "")
    if name:
        x, y = g.view.to_screen(g.scene.boxes[name].x, g.scene.boxes[name].y)
        ask(g, "menu", x + 20, y + 20, hits.Hit("title", name))


def _nudge(dx: int, dy: int) -> Callable[[Session, Gestures], object]:
    def run(session: Session, g: Gestures) -> object:
        things: dict[str, Any] = {**g.scene.boxes, **g.scene.frames}
        chosen = {n: things[n] for n in session.selection if n in things}
        moved = {n: (t.x + NUDGE * dx, t.y + NUDGE * dy) for n, t in chosen.items()}
        return bool(moved) and session.move(moved, gesture=("nudge", session.selection))

    return run


def _frame(session: Session, g: Gestures) -> None:
    bounds = g.scene.bounds_of(session.selection)
    if bounds is None:
        x, y = g.canvas_cursor()
        session.add_frame(x, y, 300, 200, "Frame")
    else:
        x0, y0, w, h = bounds
        session.add_frame(x0 - MARGIN, y0 - TOP, w + 2 * MARGIN, h + TOP + MARGIN, "Frame")
    ask(g, "rename", *session.selection)


def _connect(session: Session, g: Gestures) -> None:
    """Link the selected nodes one after another, from left to right, where they fit."""
    names = sorted(session.nodes_selected, key=lambda n: g.scene.boxes[n].x)
    if len(names) < 2:
        session.tell("select two nodes to connect", "refused")
        return

    def edit(graph: Graph, scope: Scope) -> Graph:
        for a, b in zip(names, names[1:]):
            refused = EditError(f"{a} has no output; link it elsewhere")
            for port in scope.outputs(graph, a) or ():
                try:
                    to = wiring.best_input(graph, Ref(a, port), b, scope)
                    graph = edits.connect(graph, Ref(a, port), to, scope)
                except EditError as error:
                    refused = error
                else:
                    break
            else:
                raise refused
        return graph

    session.do("Connect", edit)


def _step(by: int) -> Callable[[Session, Gestures], object]:
    """Select the box after (or before) the selected one, in the order of reading."""

    def run(session: Session, g: Gestures) -> None:
        order = sorted(g.scene.boxes, key=lambda n: (g.scene.boxes[n].x, g.scene.boxes[n].y))
        chosen = [n for n in order if n in session.selection]
        at = order.index(chosen[-1]) + by if chosen else (0 if by > 0 else -1)
        if order:
            name = order[at % len(order)]
            session.select([name])
            x, y, w, h = g.scene.boxes[name].rect
            if name not in hits.in_rect(g.scene, g.view.rect):
                g.view = g.view.centred(x + w / 2, y + h / 2)

    return run


def _field(session: Session, g: Gestures) -> None:
    """Enter a selected group, or edit the first field of a selected node."""
    box = next((b for n, b in g.scene.boxes.items() if n in session.selection), None)
    if box and box.face.group:
        session.enter(box.name)
    elif box and box.face.fields:
        ask(g, "field", box.name, box.face.fields[0].setting)


def _bypass(session: Session, g: Gestures) -> object:
    return session.bypass()


def _save(session: Session, g: Gestures) -> None:
    if session.file is None:
        ask(g, "save_as")
    else:
        session.save()


def _rename(session: Session, g: Gestures) -> None:
    named = [n for n in (*g.scene.boxes, *g.scene.frames) if n in session.selection]
    if len(named) == 1:
        ask(g, "rename", named[0])
    else:
        session.tell("select one node to rename", "refused")


def _fit_selection(session: Session, g: Gestures) -> None:
    g.fit(session.selection or None)


def _zoom(factor: float) -> Callable[[Session, Gestures], object]:
    def run(session: Session, g: Gestures) -> None:
        wanted = factor or 1 / g.view.zoom
        g.view = g.view.zoomed(wanted, g.view.width / 2, g.view.height / 2)

    return run


def ask(g: Gestures, *what: Any) -> None:
    """Leave a request for the window."""
    g.request = what


def _search(session: Session, g: Gestures) -> None:
    ask(g, "search", *g.cursor, None)


def _asks(word: str) -> Callable[[Session, Gestures], object]:
    return lambda session, g: ask(g, word)


COMMANDS: tuple[Command, ...] = (
    Command("search", "Add a node", ("tab", "shift+a"), "Search for a node type and add it at "
            "the mouse.", _search, "Add"),
    Command("find_type", "Search the palette", ("/",), "Type into the palette's field.",
            _asks("find_type"), "Add"),
    Command("inspect", "Edit in the inspector", ("i",), "Type into the inspector's first field; "
            "Tab goes on to the next.", _asks("inspect")),
    Command("connect", "Connect selected", ("c",), "Link the selected nodes from left to right.",
            _connect, "Add"),
    Command("frame", "Frame selected", ("ctrl+j",), "Put a titled frame around the selection.",
            _frame, "Add"),
    Command("undo", "Undo", ("ctrl+z",), "Take the last step back.", lambda s, g: s.undo()),
    Command("redo", "Redo", ("ctrl+shift+z", "ctrl+y"), "Make the step again that was undone.",
            lambda s, g: s.redo()),
    Command("copy", "Copy", ("ctrl+c",), "Copy the selected nodes as text.",
            lambda s, g: s.copy()),
    Command("cut", "Cut", ("ctrl+x",), "Copy the selected nodes and delete them.",
            lambda s, g: s.cut()),
    Command("paste", "Paste", ("ctrl+v",), "Paste nodes at the mouse.",
            lambda s, g: s.paste(None, g.canvas_cursor())),
    Command("paste_linked", "Paste with links", ("ctrl+shift+v",), "Paste nodes at the mouse, fed "
            "by what feeds the originals.", lambda s, g: s.paste(None, g.canvas_cursor(), True)),
    Command("duplicate", "Duplicate", ("ctrl+d",), "Copy the selected nodes beside themselves.",
            lambda s, g: s.duplicate()),
    Command("call_again", "Duplicate with the same weights", ("alt+d",), "Add a further call of "
            "the selected nodes: it shares their weights.", lambda s, g: s.call_again()),
    Command("delete", "Delete", ("delete", "backspace"), "Delete the selection and its links.",
            lambda s, g: s.delete()),
    Command("dissolve", "Delete and reconnect", ("ctrl+delete", "ctrl+backspace"), "Delete the "
            "selected nodes and join what they stood between.", lambda s, g: s.delete(True)),
    Command("bypass", "Bypass", ("m",), "Run the graph as if the selected nodes were not there.",
            _bypass),
    Command("gradcheck", "Check the gradient", (), "Compare the backward of the selected node, or "
            "of all in the selected group, with finite differences.", _asks("gradcheck")),
    Command("rename", "Rename", ("f2",), "Give the selected node another name.", _rename),
    Command("edit", "Edit or enter", ("enter",), "Edit the first field of the selected node, or "
            "enter the selected group.", _field),
    Command("select_all", "Select all", ("ctrl+a", "a"), "Select every node.",
            lambda s, g: s.select_all(), "Select"),
    Command("select_none", "Select nothing", ("alt+a", "ctrl+shift+a"), "Select nothing.",
            lambda s, g: s.select(()), "Select"),
    Command("select_next", "Select the next node", ("]",), "Select the node after this one, from "
            "left to right.", _step(1), "Select"),
    Command("select_previous", "Select the node before", ("[",), "Select the node before this one.",
            _step(-1), "Select"),
    Command("group", "Group", ("ctrl+g",), "Make a group of the selected nodes.",
            lambda s, g: s.group(), "Groups"),
    Command("ungroup", "Ungroup", ("ctrl+shift+g",), "Replace the selected groups by their nodes.",
            lambda s, g: s.ungroup(), "Groups"),
    Command("freeze", "Freeze or train", (), "Keep the selected node's weights, or train them "
            "again.", lambda s, g: _freeze(s), "Groups"),
    Command("independent", "Make independent", (), "Give the selected further call weights of its "
            "own.", lambda s, g: [s.make_independent(n) for n in s.nodes_selected], "Groups"),
    Command("expose", "Expose a parameter…", (), "Make a setting of the selected node a parameter "
            "of the file or group.", _asks("expose"), "Groups"),
    Command("reset", "Reset parameters", (), "Put the selected node's parameters back to their "
            "defaults.", lambda s, g: _reset(s)),
    Command("colour", "Colour…", (), "Choose a colour for the selection.", _asks("colour"), ALIGN),
    Command("fix", "Fix the problem", ("ctrl+.",), "Apply the fix that is offered for the selected "
            "node, or for the first problem.", lambda s, g: _fix(s)),
    Command("context", "Menu of the selection", ("shift+f10",), "What can be done with what is "
            "selected.", lambda s, g: _context(s, g)),
    Command("leave", "Leave the group", ("escape",), "Show what is around the open group.",
            lambda s, g: s.leave(), "Groups"),
    Command("layout", "Lay out", ("l",), "Arrange the selection, or all, from left to right.",
            lambda s, g: laid_out(s, g.scene), ALIGN),
    Command("collapse", "Collapse or expand", ("h",), "Draw the selected nodes as titles alone, "
            "or in full.", lambda s, g: s.collapse(), ALIGN),
    *(
        Command(f"nudge_{side}", f"Move {side}", (f"ctrl+{side}",), f"Move the selection {side} by "
                "one cell of the grid.", _nudge(dx, dy), ALIGN)
        for side, dx, dy in (("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1))
    ),
    *(
        Command(f"align_{side}", f"Align {words}", (f"alt+{key}",) if key else (),
                f"Bring the selected nodes in line: {words}.", _align(side), ALIGN)
        for side, words, key in (
            ("left", "left sides", "left"), ("right", "right sides", "right"),
            ("top", "tops", "up"), ("bottom", "bottoms", "down"),
            ("centre", "centres in a column", ""), ("middle", "middles in a row", ""),
        )
    ),
    Command("distribute_x", "Distribute across", (), "Make the gaps between the selected nodes "
            "equal, from left to right.", _align("x"), ALIGN),
    Command("distribute_y", "Distribute down", (), "Make the gaps between the selected nodes "
            "equal, from top to bottom.", _align("y"), ALIGN),
    Command("fit", "Show all", ("f", "home"), "Bring everything in sight.", lambda s, g: g.fit(),
            "View"),
    Command("fit_selection", "Show the selection", (".",), "Bring the selection in sight.",
            _fit_selection, "View"),
    Command("zoom_in", "Nearer", ("+", "="), "Zoom in.", _zoom(1.25), "View"),
    Command("zoom_out", "Farther", ("-",), "Zoom out.", _zoom(0.8), "View"),
    Command("zoom_one", "Actual size", ("0",), "Zoom to 100 %.", _zoom(0.0), "View"),
    Command("play", "Train or pause", ("f5",), "Begin to train the graph, go on, or pause.",
            _asks("play"), "Train"),
    Command("step", "One step", ("f10",), "Train one step, then pause.", _asks("step"), "Train"),
    Command("stop", "Stop training", ("shift+f5",), "Save a checkpoint and end the run.",
            _asks("stop"), "Train"),
    Command("resume", "Resume the run", (), "Go on with the run that was stopped, or that died, "
            "from its last checkpoint.", _asks("resume"), "Train"),
    Command("apply", "Apply the changes", ("f6",), "Go on with the changed graph, and the weights "
            "of all that still matches.", _asks("apply"), "Train"),
    Command("checkpoint", "Save a checkpoint", ("ctrl+f5",), "Write a checkpoint of this moment.",
            _asks("checkpoint"), "Train"),
    Command("put", "Put a picture through…", (), "Put a picture, or a folder of them, through the "
            "run that is open, as if it was dropped on the window. The selected node gives the "
            "result.",
            _asks("put"), "Train"),
    Command("probes", "Probe the links", ("p",), "Show what each link carries, and the gradient "
            "that comes back.", _asks("probes"), "Train"),
    *(
        Command(f"dock_{name.lower()}", f"Show {name.lower()}", (f"alt+{number}",),
                f"Bring the tab {name} under the canvas to the front.",
                _asks(f"dock_{name.lower()}"), "Train")
        for number, name in enumerate(
            ("Programme", "Curves", "Pictures", "Runs", "Messages"), 1)
    ),
    Command("save", "Save", ("ctrl+s",), "Write the file.", _save, "File"),
    Command("save_as", "Save as…", ("ctrl+shift+s",), "Write another file.", _asks("save_as"),
            "File"),
    Command("open", "Open…", ("ctrl+o",), "Open a file.", _asks("open"), "File"),
    Command("new", "New", ("ctrl+n",), "Begin a new graph.", _asks("new"), "File"),
    Command("own_nodes", "Own node types…", (), "Use a folder of your own node files; you are "
            "asked before their code runs.", _asks("own_nodes"), "File"),
    Command("close", "Close", ("ctrl+w",), "Close this graph.", _asks("close"), "File"),
    Command("quit", "Quit", ("ctrl+q",), "Close the window.", _asks("quit"), "File"),
    Command("next_tab", "Next graph", ("ctrl+tab",), "Show the next open graph.",
            _asks("next_tab"), "View"),
    Command("panel_left", "Palette", ("t",), "Show or hide the palette at the left.",
            _asks("panel_left"), "View"),
    Command("panel_right", "Inspector", ("n",), "Show or hide the inspector at the right.",
            _asks("panel_right"), "View"),
    *(
        Command(f"tab_{name.lower()}", f"Inspector: {name.lower()}", (f"alt+shift+{number}",),
                f"Bring the tab {name} of the inspector to the front.",
                _asks(f"tab_{name.lower()}"), "View")
        for number, name in enumerate(("Node", "Graph", "Checks", "History"), 1)
    ),
    Command("theme", "Light or dark", ("ctrl+shift+l",), "Change between the light and the dark "
            "theme.", _asks("theme"), "View"),
    Command("larger", "Larger text", ("ctrl+=", "ctrl++"), "Text 10 % larger, up to 200 %.",
            _asks("larger"), "View"),
    Command("smaller", "Smaller text", ("ctrl+-",), "Text 10 % smaller, down to 80 %.",
            _asks("smaller"), "View"),
    Command("palette", "All commands", ("ctrl+shift+p",), "Search the commands.",
            _asks("palette"), "Help"),
    Command("help", "Keys", ("?", "f1"), "Show all keys.", _asks("help"), "Help"),
)  # fmt: skip

SECTIONS = ("File", "Edit", "Add", "Select", "Groups", "Arrange", "Train", "View", "Help")
BY_NAME = {c.name: c for c in COMMANDS}
KEYS = {key: c for c in COMMANDS for key in c.keys}

# What the mouse does, for the help beside the keys.
MOUSE: tuple[tuple[str, str], ...] = (
    ("Drag a node", "move the selection; onto a link to insert the node; Alt: no snapping"),
    ("Drag from a pin", "link it; on empty canvas add a node that fits"),
    ("Drag a linked input away", "move the link, or remove it"),
    ("Drag on empty canvas", "select; Shift adds, Ctrl toggles"),
    ("Middle drag, Space + drag, arrow keys", "pan"),
    ("Wheel", "zoom; Shift and Ctrl pan"),
    ("Ctrl + right drag", "cut links"),
    ("Shift + right drag on a link", "add a point to it; double-click takes it away"),
    (
        "Double-click",
        "on empty canvas: add; on a group: enter; on a title: rename; on a link: menu",
    ),
    ("Right-click", "menu"),
)
