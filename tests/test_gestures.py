"""Mouse and keys, as plain events on a session without a window."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from nodegraph import files, layout
from nodegraph.graph import Graph, Ref, refs
from nodegraph.gui.commands import BY_NAME, COMMANDS, KEYS, MOUSE, by_key
from nodegraph.gui.gestures import Gestures
from nodegraph.gui.scene import Link
from nodegraph.gui.search import find
from nodegraph.gui.view import View
from nodegraph.library import standard
from nodegraph.scope import Scope
from nodegraph.session import Analysis, Session

SCOPE = Scope(standard())
CTRL, SHIFT = frozenset({"ctrl"}), frozenset({"shift"})

SMALL = """
nodegraph: 1
nodes:
  noise: {type: Noise, shape: [10], batch: 4}
  fc: {type: Linear, features: 3, in: {x: noise}}
  act: {type: ReLU, in: {x: fc}}
  free: {type: Tanh}
layout:
  noise: [0, 0]
  fc: [300, 0]
  act: [600, 0]
  free: [300, 300]
"""


class Hand:
    """A person: points at things by name, and answers what the window would ask."""

    def __init__(self, text: str = SMALL) -> None:
        self.session = Session(files.parse(text).graph if text else Graph())
        self.g = Gestures(self.session, View(-100, -100, 1.0, 1400, 900))

    def spot(self, name: str, port: str = "", side: str = "in") -> tuple[float, float]:
        """The screen point of a pin, or of a title."""
        box = self.g.scene.boxes[name]
        if side == "title":
            return self.g.view.to_screen(box.x + 60, box.y + 12)
        pin = box.pin(side, port)
        assert pin, (name, port, side)
        return self.g.view.to_screen(box.x + pin.x, box.y + pin.y)

    def title(self, name: str) -> tuple[float, float]:
        return self.spot(name, side="title")

    def point(self, x: float, y: float) -> tuple[float, float]:
        return self.g.view.to_screen(x, y)

    def middle(self, to: str, source: str) -> tuple[float, float]:
        """A point on a wire."""
        wire = self.g.scene.wires[Link(Ref.parse(to), Ref.parse(source))]
        (ax, ay), (bx, by) = wire.curves[0][0], wire.curves[0][-1]
        return self.point((ax + bx) / 2, (ay + by) / 2)

    def click(self, at: tuple[float, float], mods: Any = (), button: str = "left") -> None:
        self.g.press(button, *at, frozenset(mods))
        self.g.release(button, *at, frozenset(mods))

    def double(self, at: tuple[float, float]) -> None:
        self.click(at)
        self.g.request = None
        self.g.press("left", *at, frozenset(), double=True)
        self.g.release("left", *at, frozenset())

    def hold(
        self, a: tuple[float, float], b: tuple[float, float], mods: Any = (), button: str = "left"
    ) -> None:
        self.g.press(button, *a, frozenset(mods))
        for i in range(1, 6):
            x, y = (p + (q - p) * i / 5 for p, q in zip(a, b))
            self.g.move(x, y, frozenset(mods))

    def drag(
        self, a: tuple[float, float], b: tuple[float, float], mods: Any = (), button: str = "left"
    ) -> None:
        self.hold(a, b, mods, button)
        self.g.release(button, *b, frozenset(mods))

    def key(self, chord: str) -> bool:
        *mods, name = chord.split("+")
        return self.g.key(name, frozenset(mods))

    @property
    def graph(self) -> Graph:
        return self.session.graph

    @property
    def steps(self) -> int:
        return self.session.history.cursor

    def at(self, name: str) -> list[int]:
        return self.graph.layout[name]


def links(graph: Graph) -> set[tuple[str, str]]:
    return {(str(to), str(r)) for to, source in graph.links.items() for r in refs(source)}


# Select, move -------------------------------------------------------------------------------------


def test_a_click_selects_shift_adds_ctrl_toggles_and_empty_canvas_clears() -> None:
    hand = Hand()
    hand.click(hand.title("fc"))
    assert hand.session.selection == {"fc"}
    hand.click(hand.title("act"), SHIFT)
    assert hand.session.selection == {"fc", "act"}
    hand.click(hand.title("fc"), CTRL)
    assert hand.session.selection == {"act"}
    hand.click(hand.point(500, 600))
    assert not hand.session.selection


def test_a_box_selects_what_it_touches() -> None:
    hand = Hand()
    hand.hold(hand.point(250, -50), hand.point(700, 50))
    assert hand.g.overlay.boxed == {"fc", "act"}
    assert hand.g.overlay.box == pytest.approx((250, -50, 450, 100))
    hand.g.release("left", *hand.point(700, 50))
    assert hand.session.selection == {"fc", "act"}
    assert hand.g.overlay.box is None
    hand.drag(hand.point(-50, -50), hand.point(20, 50), SHIFT)
    assert hand.session.selection == {"noise", "fc", "act"}


def test_a_drag_moves_all_that_is_selected_as_one_step_on_the_grid() -> None:
    hand = Hand()
    hand.session.select(["fc", "act"])
    before = hand.steps
    x, y = hand.title("fc")
    hand.drag((x, y), (x + 233, y + 551))
    assert hand.at("fc") == [530, 550]
    assert hand.at("act") == [830, 550]
    assert hand.at("noise") == [0, 0]
    assert hand.steps == before + 1
    hand.session.undo()
    assert hand.at("fc") == [300, 0]


def test_a_drag_shows_before_it_changes_and_escape_takes_it_back() -> None:
    hand = Hand()
    x, y = hand.title("fc")
    hand.hold((x, y), (x + 200, y + 500))
    assert hand.g.scene.boxes["fc"].y == 500
    assert hand.at("fc") == [300, 0]
    assert hand.key("escape")
    assert hand.g.scene.boxes["fc"].y == 0
    hand.g.release("left", x + 200, y + 500)
    assert hand.at("fc") == [300, 0] and hand.steps == 0


def test_a_press_that_trembles_is_a_click() -> None:
    hand = Hand()
    x, y = hand.title("fc")
    hand.drag((x, y), (x + 2, y - 2))
    assert hand.session.selection == {"fc"} and hand.steps == 0


def test_edges_attract_each_other_and_a_line_shows_it() -> None:
    hand = Hand()
    x, y = hand.title("free")
    hand.hold((x, y), (x + 296, y + 3))
    assert hand.g.scene.boxes["free"].x == 600
    (line,) = [a for a in hand.g.overlay.guides if a[0][0] == a[1][0] == 600]
    assert line[0][1] == 0
    hand.g.move(x + 296, y + 3, frozenset({"alt"}))
    assert hand.g.scene.boxes["free"].x == 596


def test_a_frame_carries_its_nodes_and_its_corner_resizes_it() -> None:
    hand = Hand()
    hand.session.add_frame(280, -50, 500, 250, "Head")
    hand.drag(hand.point(400, -40), hand.point(500, 460))
    assert (hand.at("fc"), hand.at("act")) == ([400, 500], [700, 500])
    (frame,) = layout.frames(hand.graph.layout).values()
    assert (frame["x"], frame["y"]) == (380, 450)
    hand.drag(hand.point(879, 699), hand.point(919, 759))
    (frame,) = layout.frames(hand.graph.layout).values()
    assert (frame["w"], frame["h"]) == (540, 310)


def test_a_node_without_a_place_gets_one_when_another_moves() -> None:
    hand = Hand(SMALL.partition("layout:")[0])
    x, y = hand.title("free")
    hand.drag((x, y), (x, y + 300))
    assert {*hand.graph.layout} == {"noise", "fc", "act", "free"}


def test_the_graph_changing_under_the_hand_ends_the_gesture() -> None:
    hand = Hand()
    hand.hold(hand.title("fc"), hand.point(500, 500))
    hand.session.delete()
    hand.g.move(10, 10)
    hand.g.release("left", 10, 10)
    assert "fc" not in hand.graph.nodes and hand.g.drag is None


# Connect ------------------------------------------------------------------------------------------


def test_a_link_is_drawn_from_an_output_to_an_input_and_the_other_way_round() -> None:
    hand = Hand()
    hand.drag(hand.spot("act", side="out"), hand.spot("free", "x"))
    assert ("free.x", "act") in links(hand.graph)
    hand.session.undo()
    hand.drag(hand.spot("free", "x"), hand.spot("act", side="out"))
    assert ("free.x", "act") in links(hand.graph)


def test_pins_that_fit_light_up_and_the_others_fade() -> None:
    hand = Hand()
    hand.hold(hand.spot("act", side="out"), hand.point(500, 500))
    overlay = hand.g.overlay
    assert ("free", "in", "x") in overlay.lit
    assert ("fc", "in", "x") in overlay.faded  # a loop
    assert ("fc", "out", "y") in overlay.faded
    assert overlay.wire and overlay.wire.ok and overlay.wire.target is None
    hand.key("escape")
    assert not hand.g.overlay.lit and not hand.g.overlay.wire


def test_a_drop_anywhere_on_a_node_takes_its_best_pin() -> None:
    hand = Hand()
    hand.drag(hand.spot("act", side="out"), hand.title("free"))
    assert ("free.x", "act") in links(hand.graph)


def test_a_loop_is_refused_in_words_before_and_after_the_drop() -> None:
    hand = Hand()
    to = hand.spot("fc", "x")
    hand.hold(hand.spot("act", side="out"), to)
    wire = hand.g.overlay.wire
    assert wire and not wire.ok and "loop" in wire.reason == hand.g.overlay.tooltip
    hand.g.release("left", *to)
    assert hand.session.message == (wire.reason, "refused")
    assert ("fc.x", "noise") in links(hand.graph)


def test_the_wrong_kind_is_refused_in_words() -> None:
    hand = Hand("nodegraph: 1\nnodes:\n  a: {type: FontDigits}\n  b: {type: ReLU}\n"
                "layout: {a: [0, 0], b: [300, 0]}")  # fmt: skip
    hand.drag(hand.spot("a", "label", "out"), hand.spot("b", "x"))
    assert hand.session.message and "labels" in hand.session.message[0]
    assert not hand.graph.links


def test_an_inputs_end_is_dragged_to_another_input_or_away() -> None:
    hand = Hand()
    hand.drag(hand.spot("act", "x"), hand.spot("free", "x"))
    assert links(hand.graph) == {("fc.x", "noise"), ("free.x", "fc")}
    assert hand.steps == 1
    hand.hold(hand.spot("free", "x"), hand.point(900, 600))
    assert hand.g.overlay.lifted == Link(Ref("free", "x"), Ref("fc"))
    hand.g.release("left", *hand.point(900, 600))
    assert links(hand.graph) == {("fc.x", "noise")}
    assert hand.g.request is None


def test_an_end_put_back_where_it_was_changes_nothing() -> None:
    hand = Hand()
    x, y = hand.spot("act", "x")
    hand.hold((x, y), (x - 80, y + 90))
    hand.g.release("left", x, y)
    assert hand.steps == 0


def test_a_link_dropped_on_empty_canvas_asks_for_a_node_that_arrives_connected() -> None:
    hand = Hand()
    where = hand.point(900, 200)
    hand.drag(hand.spot("act", side="out"), where)
    request = hand.g.take()
    assert request and request[:3] == ("search", *where) and hand.g.request is None
    pin = request[3]
    found = find("sigm", SCOPE, hand.graph, pin)[0]
    before = hand.steps
    assert hand.g.add(found, *where, pin)
    assert ("sigmoid.x", "act") in links(hand.graph)
    assert hand.steps == before + 1
    assert hand.session.selection == {"sigmoid"}
    assert hand.g.scene.boxes["sigmoid"].x == 900


def test_a_search_from_an_input_adds_what_feeds_it() -> None:
    hand = Hand()
    hand.drag(hand.spot("free", "x"), hand.point(100, 320))
    request = hand.g.take()
    assert request
    hand.g.add("ReLU", request[1], request[2], request[3])
    assert ("free.x", "relu") in links(hand.graph)


def test_a_node_dragged_onto_a_link_is_inserted_in_one_step() -> None:
    hand = Hand()
    x, y = hand.middle("act.x", "fc")
    hand.hold(hand.title("free"), (x - 15, y - 40))
    assert hand.g.overlay.insert == Link(Ref("act", "x"), Ref("fc"))
    hand.g.release("left", x - 15, y - 40)
    assert links(hand.graph) == {("fc.x", "noise"), ("free.x", "fc"), ("act.x", "free")}
    assert hand.steps == 1
    hand.session.undo()
    assert hand.graph == files.parse(SMALL).graph


def test_a_linked_node_is_not_inserted() -> None:
    hand = Hand()
    x, y = hand.middle("fc.x", "noise")
    hand.hold(hand.title("act"), (x, y))
    assert hand.g.overlay.insert is None


def test_a_line_cuts_the_links_that_it_crosses_in_one_step() -> None:
    hand = Hand()
    x, y = hand.middle("act.x", "fc")
    hand.hold((x, y - 60), (x + 3, y + 60), CTRL, "right")
    assert hand.g.overlay.cutting == {Link(Ref("act", "x"), Ref("fc"))}
    hand.g.release("right", x + 3, y + 60, CTRL)
    assert links(hand.graph) == {("fc.x", "noise")}
    assert hand.steps == 1 and hand.g.request is None


def test_a_point_is_added_to_a_link_moved_and_taken_away() -> None:
    hand = Hand()
    x, y = hand.middle("act.x", "fc")
    hand.drag((x, y), (x, y + 100), SHIFT, "right")
    points = layout.reroutes(hand.graph.layout)["act.x"]
    assert len(points) == 1
    hand.drag(hand.point(*points[0]), hand.point(points[0][0] + 50, points[0][1]))
    (moved,) = layout.reroutes(hand.graph.layout)["act.x"]
    assert moved == [points[0][0] + 50, points[0][1]]
    hand.double(hand.point(*moved))
    assert not layout.reroutes(hand.graph.layout)


def test_links_to_a_port_of_many_keep_each_other() -> None:
    hand = Hand("nodegraph: 1\nnodes:\n  a: {type: ReLU}\n  b: {type: ReLU}\n  c: {type: Concat}\n"
                "layout: {a: [0, 0], b: [0, 300], c: [400, 0]}")  # fmt: skip
    hand.drag(hand.spot("a", side="out"), hand.spot("c", "x"))
    hand.drag(hand.spot("b", side="out"), hand.spot("c", "x"))
    assert hand.graph.links[Ref("c", "x")] == (Ref("a"), Ref("b"))
    hand.drag(hand.spot("c", "x"), hand.point(700, 500))
    assert hand.graph.links[Ref("c", "x")] == (Ref("a"),)


# Clicks that ask ----------------------------------------------------------------------------------


def test_double_clicks_search_enter_rename_and_open_menus() -> None:
    hand = Hand()
    where = hand.point(200, 600)
    hand.double(where)
    assert hand.g.take() == ("search", *where, None)
    hand.double(hand.title("fc"))
    assert hand.g.take() == ("rename", "fc")
    x, y = hand.middle("act.x", "fc")
    hand.double((x, y))
    request = hand.g.take()
    assert request and request[0] == "menu" and request[3].link == Link(Ref("act", "x"), Ref("fc"))


def test_a_right_click_opens_the_menu_of_what_is_under_it() -> None:
    hand = Hand()
    hand.click(hand.title("act"), button="right")
    request = hand.g.take()
    assert request and request[0] == "menu" and request[3].node == "act"
    assert hand.session.selection == {"act"}
    hand.click(hand.point(200, 600), button="right")
    request = hand.g.take()
    assert request and request[3].kind == "empty"


def test_a_click_on_a_field_edits_it_and_on_a_switch_turns_it() -> None:
    hand = Hand(SMALL.replace("features: 3", "features: 3, bias: false"))
    box = hand.g.scene.boxes["fc"]
    spots = {f.setting: hand.point(box.x + 60, box.y + f.rect[1] + 8) for f in box.face.fields}
    hand.click(spots["features"])
    assert hand.g.take() == ("field", "fc", "features")
    hand.click(spots["bias"])
    assert "bias" not in hand.graph.nodes["fc"].params  # true is the default
    assert hand.g.take() is None


def test_a_group_is_made_entered_and_left() -> None:
    hand = Hand()
    hand.session.select(["fc", "act"])
    assert hand.key("ctrl+g")
    (name,) = hand.session.selection
    box = hand.g.scene.boxes[name]
    assert box.face.group
    view = hand.g.view
    hand.double(hand.title(name))
    assert hand.session.path == ("Group",)
    assert {"fc", "act"} <= hand.g.scene.boxes.keys()
    assert hand.g.view != view
    hand.key("escape")
    assert hand.session.path == () and name in hand.g.scene.boxes
    assert hand.g.view == view
    hand.key("ctrl+shift+g")
    assert {"fc", "act"} <= hand.graph.nodes.keys()


def test_inside_a_group_a_link_on_empty_canvas_can_become_a_port() -> None:
    hand = Hand()
    hand.session.select(["fc", "free"])
    hand.key("ctrl+g")
    hand.session.enter(*hand.session.selection)
    for side, name, where in (
        ("out", "Group output", (700, 300)),
        ("in", "Group input", (-9, 300)),
    ):
        hand.drag(hand.spot("free", side=side), hand.point(*where))
        request = hand.g.take()
        assert request
        found = find(name, SCOPE, hand.graph, request[3], without=hand.session.path)
        assert found[0].name == name
        assert hand.g.add(found[0], *request[1:])
    assert [*hand.graph.outputs.values()].count(Ref("free")) == 2  # one it had, as an end
    assert hand.graph.links[Ref("free", "x")].node in hand.graph.inputs
    assert len([b for b in hand.g.scene.boxes.values() if b.face.kind != "node"]) == 5


def test_inside_a_group_its_ports_are_linked_like_nodes() -> None:
    hand = Hand(SMALL.replace("free: {type: Tanh}", "free: {type: Tanh, in: {x: act}}"))
    hand.session.select(["fc", "act"])
    hand.key("ctrl+g")
    (name,) = hand.session.selection
    hand.session.enter(name)
    (port,) = hand.graph.inputs
    hand.drag(hand.spot("act", "x"), hand.point(-2000, -2000))
    assert links(hand.graph) == {("fc.x", port)}
    hand.drag(hand.spot(port, side="out"), hand.spot("act", "x"))
    assert links(hand.graph) == {("fc.x", port), ("act.x", port)}
    (box,) = [b for b in hand.g.scene.boxes if b.startswith("out:")]
    hand.drag(hand.spot("fc", side="out"), hand.spot(box))
    assert [*hand.graph.outputs.values()] == [Ref("fc")]
    x, y = hand.title(port)
    hand.drag((x, y), (x, y + 200))
    assert port in hand.graph.layout


# View and keys ------------------------------------------------------------------------------------


def test_the_canvas_is_panned_and_zoomed() -> None:
    hand = Hand()
    for button, mods in (("middle", ()), ("left", ("space",))):
        x = hand.g.view.x
        hand.drag((300, 700), (350, 700), mods, button)
        assert hand.g.view.x == x - 50
    hand.key("right")
    assert hand.g.view.x > x - 50
    under = hand.g.view.to_canvas(200, 200)
    hand.g.wheel(3, 200, 200)
    assert hand.g.view.zoom > 1 and hand.g.view.to_canvas(200, 200) == pytest.approx(under)
    hand.key("f")
    left, top, w, h = hand.g.view.rect
    assert left < 0 and top < 0 and left + w > 750 and top + h > 350
    hand.session.select(["free"])
    hand.key(".")
    assert hand.g.view.to_canvas(700, 450)[0] == pytest.approx(375)


def test_hovering_says_what_is_there_and_lights_the_calls_of_a_module() -> None:
    hand = Hand(SMALL.replace("free: {type: Tanh}", "free: {shares: fc, in: {x: noise}}"))
    hand.g.move(*hand.spot("fc", "x"))
    assert hand.g.overlay.hover.port == "x" and "N D" in hand.g.overlay.tooltip
    hand.g.move(*hand.title("fc"))
    assert hand.g.overlay.family == {"fc", "free"}
    hand.session.analysis = Analysis(1, {"fc.y": [4, 3]}, [
        {"severity": "error", "where": ["nodes", "act", "in"], "text": "bad", "cure": "mend it"},
    ])  # fmt: skip
    hand.g.move(*hand.middle("act.x", "fc"))
    assert "4×3" in hand.g.overlay.tooltip
    hand.g.move(*hand.title("act"))
    assert hand.g.overlay.tooltip == "bad; mend it"
    assert hand.g.scene.boxes["act"].face.severity == "error"


FAULTY = """
nodegraph: 1
params: {kind: Bad}
groups:
  Bad: {inputs: {x: N D}, outputs: {y: c}, nodes: {c: {type: ReLU, in: {x: x}}}}
  Good: {inputs: {x: N D}, outputs: {y: c}, nodes: {c: {type: ReLU, in: {x: x}}}}
  Around: {inputs: {x: N D}, outputs: {y: c}, nodes: {c: {type: Bad, in: {x: x}}}}
nodes:
  noise: {type: Noise, shape: [10], batch: 4}
  first: {type: Bad, in: {x: noise}}
  again: {shares: first, in: {x: noise}}
  chosen: {type: $kind, in: {x: noise}}
  deep: {type: Around, in: {x: noise}}
  fine: {type: Good, in: {x: noise}}
"""


def test_every_instance_of_a_group_at_fault_is_marked() -> None:
    hand = Hand(FAULTY)
    problem = {"severity": "error", "where": ["groups", "Bad", "nodes", "c"], "text": "bad"}
    hand.session.analysis = Analysis(1, {}, [problem])
    boxes = hand.g.scene.boxes
    assert {n for n in boxes if boxes[n].face.severity} == {"first", "again", "chosen", "deep"}
    assert boxes["again"].face.problem == "in Bad: bad"
    assert hand.session.enter("deep") and hand.g.scene.boxes["c"].face.severity == "error"
    assert hand.session.enter("c") and hand.g.scene.boxes["c"].face.problem == "bad"


def test_keys_edit() -> None:
    hand = Hand()
    hand.session.select(["act"])
    hand.key("m")
    assert hand.graph.nodes["act"].bypassed
    hand.key("h")
    assert hand.g.scene.boxes["act"].face.collapsed
    hand.key("f2")
    assert hand.g.take() == ("rename", "act")
    hand.key("ctrl+c")
    hand.key("ctrl+v")
    assert "act_2" in hand.graph.nodes
    hand.key("ctrl+z")
    assert "act_2" not in hand.graph.nodes
    hand.key("ctrl+shift+z")
    hand.key("ctrl+a")
    assert len(hand.session.selection) == 5
    hand.key("delete")
    assert not hand.graph.nodes
    hand.key("ctrl+y")
    assert not hand.key("ctrl+alt+q")


def test_deleting_can_join_what_the_node_stood_between() -> None:
    hand = Hand()
    hand.session.select(["fc"])
    hand.key("ctrl+delete")
    assert links(hand.graph) == {("act.x", "noise")}


def test_nodes_are_added_linked_and_edited_without_a_mouse() -> None:
    hand = Hand()
    hand.key("tab")
    request = hand.g.take()
    assert request and request[0] == "search"
    hand.g.add("Sigmoid", *request[1:3])
    hand.session.select(["act", "sigmoid"])
    hand.session.move({"sigmoid": (900, 0)})
    hand.key("c")
    assert ("sigmoid.x", "act") in links(hand.graph)
    hand.session.select(["noise"])
    hand.key("]")
    assert hand.session.selection == {"fc"}
    hand.key("enter")
    assert hand.g.take() == ("field", "fc", "features")


def test_l_lays_out_all_or_the_selection_and_frames_follow() -> None:
    hand = Hand()
    hand.session.add_frame(280, -50, 500, 250, "Head")
    hand.session.select(())
    hand.session.move({"act": (320, 10)})
    hand.key("l")
    boxes = hand.g.scene.boxes
    assert boxes["noise"].x < boxes["fc"].x < boxes["act"].x
    (frame,) = hand.g.scene.frames.values()
    assert frame.x < boxes["fc"].x and frame.x + frame.w > boxes["act"].x + boxes["act"].face.w
    hand.session.select(["fc", "act"])
    BY_NAME["align_top"].run(hand.session, hand.g)
    assert hand.at("fc")[1] == hand.at("act")[1]


def test_every_command_has_help_and_no_key_has_two() -> None:
    keys = [key for c in COMMANDS for key in c.keys]
    assert len(keys) == len(set(keys)) == len(KEYS)
    assert all(c.label and c.doc.endswith(".") for c in COMMANDS)
    assert len({c.name for c in COMMANDS}) == len(COMMANDS)
    assert MOUSE
    found = by_key("?", SHIFT)
    assert found and found.name == "help"
    wanted = "tab f . delete ctrl+delete ctrl+c ctrl+x ctrl+v ctrl+shift+v ctrl+d ctrl+g"
    wanted += (
        " ctrl+shift+g ctrl+z ctrl+y ctrl+shift+z ctrl+a ctrl+s m f2 escape h ctrl+shift+p ? l"
    )
    assert set(wanted.split()) <= KEYS.keys()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_every_command_runs_on_nothing_and_on_something(command: Any) -> None:
    for hand in (Hand(""), Hand()):
        command.run(hand.session, hand.g)
        hand.session.select_all()
        command.run(hand.session, hand.g)
        assert list(SCOPE.faults(hand.session.root)) == []
        assert hand.g.scene.boxes.keys() >= {*hand.graph.nodes}


# A whole network ----------------------------------------------------------------------------------

DANN = """
nodegraph: 1
groups:
  Group:
    inputs: {x: N C H W}
    outputs: {flat: flat}
    nodes:
      conv: {type: Conv2d, channels: 8, kernel: 5, in: {x: x}}
      relu: {type: ReLU, in: {x: conv}}
      flat: {type: Flatten, in: {x: relu}}
nodes:
  source: {type: FontDigits, batch: 32, channels: 3}
  target: {type: BlendedDigits, batch: 32}
  features: {type: Group, in: {x: source.image}}
  features_t: {shares: features, in: {x: target.image}}
  digits: {type: Linear, features: 10, in: {x: features}}
  digit_loss: {type: CrossEntropy, in: {logits: digits, labels: source.label}}
  strength: {type: SigmoidRamp}
  reversed: {type: GradientReversal, in: {x: features, strength: strength}}
  reversed_t: {type: GradientReversal, in: {x: features_t, strength: strength}}
  domain: {type: Linear, features: 1, in: {x: reversed}}
  domain_t: {shares: domain, in: {x: reversed_t}}
  is_source: {type: BCEWithLogits, target: 0, in: {logits: domain}}
  is_target: {type: BCEWithLogits, in: {logits: domain_t}}
  adam:
    type: Adam
    over: [features, digits, domain]
    in: {loss: [digit_loss, is_source, is_target]}
"""


class Builder(Hand):
    """Adds and names nodes through the requests that events leave."""

    def called(self, name: str, **params: Any) -> None:
        """Rename the node that was just added, and set its fields."""
        (new,) = self.session.selection
        if new != name:
            self.key("f2")
            assert self.g.take() == ("rename", new)
            assert self.session.rename(new, name)
        for key, value in params.items():
            assert self.session.set_param(name, key, value)

    def new(self, words: str, x: float, y: float, name: str, **params: Any) -> None:
        """Double-click, type, take the first."""
        self.double(self.point(x, y))
        request = self.g.take()
        assert request and request[0] == "search"
        found = find(words, self.session.inner, self.graph)[0]
        assert self.g.add(found, request[1], request[2])
        self.called(name, **params)

    def pull(
        self, source: str, port: str, x: float, y: float, words: str, name: str, **params: Any
    ) -> None:
        """Drag a link to empty canvas, type, take the first."""
        self.drag(self.spot(source, port, "out"), self.point(x, y))
        request = self.g.take()
        assert request and request[0] == "search", (self.session.message, request)
        found = find(words, self.session.inner, self.graph, request[3])[0]
        assert self.g.add(found, *request[1:])
        self.called(name, **params)

    def link(self, source: str, port: str, to: str, at: str = "") -> None:
        self.drag(self.spot(source, port, "out"), self.spot(to, at) if at else self.title(to))


def test_dann_is_wired_from_nothing_saved_and_equal_to_a_file_by_hand(tmp_path: Path) -> None:
    hand = Builder("")
    hand.g.view = View(-100, -400, 0.6, 2600, 1700)
    hand.new("font", 80, 0, "source", batch=32, channels=3)
    hand.new("blended", 80, 500, "target", batch=32)
    hand.pull("source", "image", 300, 0, "свёртка", "conv", channels=8, kernel=5)
    hand.pull("conv", "", 550, 0, "relu", "relu")
    hand.pull("relu", "", 800, 0, "flat", "flat")
    hand.pull("flat", "", 1060, -200, "FC", "digits", features=10)
    hand.drag(hand.point(280, -150), hand.point(980, 30))
    assert hand.session.selection == {"conv", "relu", "flat"}
    hand.key("ctrl+g")
    hand.called("features")
    hand.click(hand.title("features"))
    hand.key("ctrl+d")
    hand.called("features_t")
    x, y = hand.title("features_t")
    hand.drag((x, y), (x, y + 400))
    assert hand.session.share("features_t", "features")
    hand.link("target", "image", "features_t")
    hand.pull("digits", "", 1300, -200, "cross", "digit_loss")
    hand.link("source", "label", "digit_loss", "labels")
    hand.new("sigmoid ramp", 800, 250, "strength")
    hand.pull("features", "", 1000, 50, "GRL", "reversed")
    hand.pull("features_t", "", 1000, 450, "GRL", "reversed_t")
    hand.link("strength", "", "reversed", "strength")
    hand.link("strength", "", "reversed_t", "strength")
    hand.pull("reversed", "", 1300, 50, "linear", "domain", features=1)
    hand.pull("reversed_t", "", 1300, 450, "linear", "domain_t", features=1)
    assert hand.session.share("domain_t", "domain")
    hand.pull("domain", "", 1600, 50, "bcewith", "is_source", target=0)
    hand.pull("domain_t", "", 1600, 450, "bcewith", "is_target")
    hand.pull("digit_loss", "", 2000, 0, "adam", "adam", over=["features", "digits", "domain"])
    hand.link("is_source", "", "adam")
    hand.link("is_target", "", "adam", "loss")
    assert hand.session.save(tmp_path / "dann.yaml")

    def bare(graph: Graph) -> Graph:
        return graph.with_(layout={}, groups={k: bare(g) for k, g in graph.groups.items()})

    made, wanted = bare(files.load(tmp_path / "dann.yaml")), bare(files.parse(DANN).graph)
    assert made.nodes == wanted.nodes
    assert made.links == wanted.links
    assert made == wanted
    boxes = hand.g.scene.boxes
    assert len(boxes) == 14 and len(hand.g.scene.wires) == len(links(hand.graph)) == 16


# Anything at all ----------------------------------------------------------------------------------

MODS = [frozenset[str](), frozenset[str](), SHIFT, CTRL, frozenset({"alt"}), frozenset({"space"})]


def answer(hand: Hand, draw: random.Random) -> None:
    """What a window would do with a request, if not always."""
    request = hand.g.take()
    if request is None or draw.random() < 0.2:
        return
    if request[0] == "search":
        found = find(draw.choice(["", "re", "lin", "loss"]), hand.session.inner, hand.graph,
                     request[3], without=hand.session.path)  # fmt: skip
        if found:
            hand.g.add(draw.choice(found), *request[1:])
    elif request[0] == "rename" and request[1] in hand.graph.nodes:
        hand.session.rename(request[1], draw.choice(["a", "b", "act", "for"]))
    elif request[0] == "field":
        hand.session.set_param(request[1], request[2], draw.choice([1, 2.5, "x", "$p", True]))


def anywhere(g: Gestures, draw: random.Random) -> tuple[float, float]:
    """A pin, a point of a box, or any point of the screen."""
    box = draw.choice([*g.scene.boxes.values(), None])
    if box is None:
        return draw.uniform(0, 1400), draw.uniform(0, 900)
    pins = [(p.x, p.y) for p in (*box.face.inputs, *box.face.outputs)]
    inner = (draw.uniform(0, box.face.w), draw.uniform(0, box.face.h))
    x, y = draw.choice([*pins, inner, (60, 12)])
    return g.view.to_screen(box.x + x, box.y + y)


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_random_events_leave_a_sound_graph(seed: int) -> None:
    draw = random.Random(seed)
    text = (Path(__file__).parents[1] / "graphs" / "dann.yaml").read_text(encoding="utf-8")
    hand = Hand([SMALL, text][seed % 2])
    g = hand.g
    g.fit()
    keys = [k for k in KEYS if not k.startswith(("ctrl+s", "ctrl+shift+s"))]
    buttons = ["left", "left", "left", "right", "middle"]
    done = 0
    while done < 1000:
        if len(hand.graph.nodes) < 4:
            g.add(draw.choice(["Linear", "ReLU", "Concat", "MSE", "Adam"]), 500, 400)
        x, y = anywhere(g, draw)
        mods, button = draw.choice(MODS), draw.choice(buttons)
        kind = draw.random()
        if kind < 0.15:
            hand.key(draw.choice(keys))
        elif kind < 0.2:
            g.wheel(draw.uniform(-3, 3), x, y, mods)
        elif kind < 0.3:
            g.press(button, x, y, mods, double=True)
            g.release(button, x, y, mods)
        else:
            g.press(button, x, y, mods)
            for _ in range(draw.randint(0, 3)):
                x, y = anywhere(g, draw)
                g.move(x, y, mods)
                done += 1
            if draw.random() < 0.1:
                hand.key(draw.choice(["escape", "delete"]))
            g.release(button, x, y, mods)
        done += 2
        answer(hand, draw)
        assert list(SCOPE.faults(hand.session.root)) == []
        assert not g.busy and g.drag is None
        assert {b for b, v in g.scene.boxes.items() if v.face.kind == "node"} == {*hand.graph.nodes}
        wired = {(str(k.to), str(k.source)) for k in g.scene.wires if ":" not in k.to.node}
        assert wired == links(hand.graph)
    while hand.session.undo():
        pass
    assert hand.session.root == files.parse([SMALL, text][seed % 2]).graph
