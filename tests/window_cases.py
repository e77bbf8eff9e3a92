"""What people do in the window, with real events. `test_window.py` runs this in a process."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from screen import BUTTONS, KEYS, MODS, Screen

from nodegraph import files
from nodegraph.graph import Ref
from nodegraph.library import standard
from nodegraph.scope import Scope

SMALL = """
nodegraph: 1
nodes:
  noise: {type: Noise, shape: [10], batch: 4}
  fc: {type: Linear, features: 3, in: {x: noise}}
  act: {type: ReLU, in: {x: fc}}
  free: {type: Tanh}
layout:
  noise: [0, 0]
  fc: [260, 0]
  act: [520, 0]
  free: [260, 300]
"""


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("state"), (1280, 800))
    yield screen
    screen.close()


@pytest.fixture
def screen(opened: Screen) -> Iterator[Screen]:
    opened.fresh()
    yield opened
    for button in BUTTONS.values():
        opened._fake(5, button)
    for key in MODS.values():
        opened._fake(3, opened._code(key))


@pytest.fixture
def small(screen: Screen) -> Screen:
    screen.load(SMALL)
    return screen


def links(screen: Screen) -> dict[str, str]:
    return {str(to): str(source) for to, source in screen.session.graph.links.items()}


def at(screen: Screen, node: str) -> tuple[float, float]:
    box = screen.scene.boxes[node]
    return box.x, box.y


# Add ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "kind"), [("fc", "Linear"), ("conv2", "Conv2d")])
def test_tab_searches_and_adds_at_the_mouse(screen: Screen, words: str, kind: str) -> None:
    session = screen.load()
    name = screen.add(words, screen.empty(0.4, 0.3))
    assert session.graph.entry(name).type == kind
    x, y = screen.spot(*at(screen, name))
    wanted = screen.empty(0.4, 0.3)
    assert abs(x - wanted[0]) < 200 and abs(y - wanted[1]) < 60


def test_a_double_click_on_empty_canvas_searches(screen: Screen) -> None:
    session = screen.load()
    screen.double(screen.empty())
    assert screen.window.popups.open
    screen.type("grl")
    screen.key("enter")
    assert [session.graph.entry(n).type for n in session.graph.nodes] == ["GradientReversal"]
    assert not screen.window.popups.open


def test_arrows_choose_in_the_search_and_escape_closes_it(screen: Screen) -> None:
    session = screen.load()
    screen.at(screen.empty())
    screen.key("tab")
    screen.type("relu")
    second = screen.window.popups.choices[1].name
    screen.key("down")
    screen.key("enter")
    assert [session.graph.entry(n).type for n in session.graph.nodes] == [second]
    screen.key("tab")
    screen.key("escape")
    assert not screen.window.popups.open and len(session.graph.nodes) == 1


def test_a_click_in_the_palette_adds(screen: Screen) -> None:
    session = screen.load()
    dpg = screen.dpg
    x, y = dpg.get_item_rect_min(screen.window.shelf.input)
    screen.click((x + 40, y + 10))
    screen.type("tanh")
    screen.turn(4)
    tree = dpg.get_item_children("shelf", 1)[0]
    item = dpg.get_item_children(tree, 1)[0]
    x, y = dpg.get_item_rect_min(item)
    screen.click((x + 10, y + 8))
    screen.turn(3)
    found = [session.graph.entry(n).type for n in session.graph.nodes]
    screen.window.shelf.narrow(None, "")
    dpg.set_value(screen.window.shelf.input, "")
    assert found == ["Tanh"]


# Connect ------------------------------------------------------------------------------------------


def test_a_drag_from_output_to_input_links(small: Screen) -> None:
    small.drag(small.pin("act", "out", "y"), small.pin("free", "in", "x"))
    assert links(small)["free.x"] == "act"


def test_a_drag_from_input_to_output_links(small: Screen) -> None:
    small.drag(small.pin("free", "in", "x"), small.pin("fc", "out", "y"))
    assert links(small)["free.x"] == "fc"


def test_a_drop_on_a_node_takes_its_best_pin(small: Screen) -> None:
    small.drag(small.pin("act", "out", "y"), small.title("free"))
    assert links(small)["free.x"] == "act"


def test_pins_that_fit_light_up_while_dragging(small: Screen) -> None:
    small.at(small.pin("act", "out", "y"))
    small.press()
    small.at(small.empty(0.5, 0.9))
    small.turn()
    overlay = small.gestures.overlay
    assert ("free", "in", "x") in overlay.lit and ("fc", "in", "x") in overlay.faded
    small.key("escape")
    assert small.gestures.overlay.wire is None
    small.release()
    assert "free.x" not in links(small)


def test_a_release_on_empty_canvas_adds_a_node_that_is_linked(small: Screen) -> None:
    small.drag(small.pin("act", "out", "y"), small.empty(0.8, 0.6))
    assert small.window.popups.open
    kinds = {c.name for c in small.window.popups.choices}
    assert "Noise" not in kinds  # a source takes nothing
    small.type("softplus")
    small.key("enter")
    assert links(small)["softplus.x"] == "act"


def test_a_loop_is_refused_in_words(small: Screen) -> None:
    before = small.session.graph
    small.drag(small.pin("act", "out", "y"), small.pin("fc", "in", "x"))
    assert small.session.graph is before
    text, kind = small.session.message or ("", "")
    assert kind == "refused" and "loop" in text


def test_an_inputs_end_dragged_away_removes_the_link(small: Screen) -> None:
    small.drag(small.pin("act", "in", "x"), small.empty(0.7, 0.8))
    assert "act.x" not in links(small)


def test_an_inputs_end_dragged_to_another_input_moves_the_link(small: Screen) -> None:
    small.drag(small.pin("act", "in", "x"), small.pin("free", "in", "x"))
    assert links(small) == {"fc.x": "noise", "free.x": "fc"}


def test_a_node_dragged_over_a_link_is_inserted(small: Screen) -> None:
    x, y = small.wire("act.x", "fc")
    start = small.title("free")
    box = small.scene.boxes["free"]
    end = x - box.face.w / 2 + min(60, box.face.w / 2), y - box.face.h / 2 + 12
    small.drag(start, end)
    assert links(small)["free.x"] == "fc" and links(small)["act.x"] == "free"
    small.key("z", "ctrl")
    assert "free.x" not in links(small) and at(small, "free") == (260, 300)


def test_ctrl_and_a_right_drag_cut_links(small: Screen) -> None:
    x, y = small.wire("act.x", "fc")
    small.drag((x, y - 60), (x, y + 60), "right", ["ctrl"])
    assert "act.x" not in links(small)
    assert not small.window.popups.open


def test_shift_and_a_right_drag_add_a_reroute_point(small: Screen) -> None:
    x, y = small.wire("act.x", "fc")
    small.drag((x, y), (x, y + 90), "right", ["shift"])
    wire = next(w for w in small.scene.wires.values() if w.to == Ref("act", "x"))
    assert len(wire.points) == 1
    small.double(small.spot(*wire.points[0]))
    wire = next(w for w in small.scene.wires.values() if w.to == Ref("act", "x"))
    assert wire.points == ()


def test_a_double_click_on_a_link_opens_its_menu(small: Screen) -> None:
    small.double(small.wire("act.x", "fc"))
    names = [c.name for c in small.window.popups.choices]
    assert any("Insert" in n for n in names) and any("Delete" in n for n in names)
    small.key("down")
    small.key("down")
    small.key("enter")
    assert "act.x" not in links(small)


def test_c_connects_what_is_selected(small: Screen) -> None:
    small.click(small.title("act"))
    small.click(small.title("free"), mods=["shift"])
    small.key("c")
    assert links(small)["act.x"] == "free"  # from left to right


# Arrange ------------------------------------------------------------------------------------------


def test_a_node_is_dragged_and_the_step_undone_and_redone(small: Screen) -> None:
    start = small.title("free")
    small.drag(start, (start[0] + 100, start[1] + 60))
    assert at(small, "free") == (360, 360)
    assert len(small.session.history.labels) == 2
    small.key("z", "ctrl")
    assert at(small, "free") == (260, 300)
    small.key("z", "ctrl", "shift")
    assert at(small, "free") == (360, 360)


def test_a_box_selects_what_it_touches(small: Screen) -> None:
    small.drag(small.spot(200, -15), small.spot(640, 150))
    assert small.session.selection == {"fc", "act"}
    small.click(small.empty(0.9, 0.9))
    assert small.session.selection == frozenset()


@pytest.mark.parametrize(("button", "mods"), [("middle", []), ("left", ["space"])])
def test_pan(small: Screen, button: str, mods: list[str]) -> None:
    x, y = small.gestures.view.x, small.gestures.view.y
    small.drag(small.empty(0.5, 0.8), small.empty(0.6, 0.9), button, mods)
    _, _, w, h = small.window.area
    view = small.gestures.view
    assert (view.x, view.y) == pytest.approx((x - w / 10, y - h / 10), abs=2)


def test_arrow_keys_pan(small: Screen) -> None:
    x = small.gestures.view.x
    small.key("right")
    assert small.gestures.view.x > x


def test_the_wheel_zooms_about_the_mouse(small: Screen) -> None:
    left, top, *_ = small.window.area
    mouse = small.empty(0.3, 0.6)
    under = small.gestures.view.to_canvas(mouse[0] - left, mouse[1] - top)
    small.wheel(mouse, 3)
    view = small.gestures.view
    assert view.zoom == pytest.approx(1.15**3)
    assert view.to_canvas(mouse[0] - left, mouse[1] - top) == pytest.approx(under, abs=0.5)


def test_f_shows_all_and_a_dot_the_selection(small: Screen) -> None:
    small.wheel(small.empty(), -12)
    small.key("f")
    view = small.gestures.view
    x, y, w, h = view.rect
    bx, by, bw, bh = small.scene.bounds
    assert x < bx and y < by and bx + bw < x + w and by + bh < y + h
    assert view.zoom == pytest.approx(1.0)
    small.click(small.title("free"))
    small.key(".")
    x, y, w, h = small.gestures.view.rect
    box = small.scene.boxes["free"]
    assert x + w / 2 == pytest.approx(box.x + box.face.w / 2, abs=1)


def test_l_lays_out_and_h_collapses(small: Screen) -> None:
    small.key("l")
    assert at(small, "noise")[0] < at(small, "fc")[0] < at(small, "act")[0]
    small.gestures.fit()
    small.turn()
    small.click(small.title("fc"))
    high = small.scene.boxes["fc"].face.h
    small.key("h")
    assert small.scene.boxes["fc"].face.h < high


def test_a_frame_carries_its_nodes(small: Screen) -> None:
    small.gestures.view = small.gestures.view.panned(60, 100)
    small.click(small.title("free"))
    small.key("j", "ctrl")
    small.key("escape")
    frame = next(iter(small.scene.frames.values()))
    start = small.spot(frame.x + 60, frame.y + 12)
    small.drag(start, (start[0] + 50, start[1] + 50))
    assert at(small, "free") == (310, 350)


# Edit ---------------------------------------------------------------------------------------------


def test_delete_and_ctrl_delete(small: Screen) -> None:
    small.click(small.title("fc"))
    small.key("delete", "ctrl")
    assert links(small) == {"act.x": "noise"}
    small.key("z", "ctrl")
    small.click(small.title("fc"))
    small.key("delete")
    assert "fc" not in small.session.graph.nodes and links(small) == {}


def test_copy_paste_and_duplicate(small: Screen) -> None:
    small.click(small.title("fc"))
    small.key("c", "ctrl")
    small.at(small.empty(0.7, 0.7))
    small.key("v", "ctrl")
    assert len(small.session.graph.nodes) == 5 and len(links(small)) == 2
    small.key("v", "ctrl", "shift")
    assert len(small.session.graph.nodes) == 6 and len(links(small)) == 3
    small.key("d", "ctrl")
    assert len(small.session.graph.nodes) == 7
    small.key("x", "ctrl")
    assert len(small.session.graph.nodes) == 6


def test_m_bypasses(small: Screen) -> None:
    small.click(small.title("act"))
    small.key("m")
    assert small.scene.boxes["act"].face.bypassed
    small.key("m")
    assert not small.scene.boxes["act"].face.bypassed


def test_f2_renames_and_tells_when_the_name_is_taken(small: Screen) -> None:
    small.click(small.title("free"))
    small.key("f2")
    small.rewrite("squash")
    assert "squash" in small.session.graph.nodes and "free" not in small.session.graph.nodes
    small.key("f2")
    small.rewrite("fc")
    assert (small.session.message or ("", ""))[1] == "refused"


def test_a_field_is_edited_in_place(small: Screen) -> None:
    small.click(small.field("fc", "features"))
    assert small.window.popups.open
    small.rewrite("12")
    assert small.session.graph.entry("fc").params["features"] == 12
    assert not small.window.popups.open


def test_keys_in_a_field_are_not_commands(small: Screen) -> None:
    small.click(small.title("fc"))
    small.key("f2")
    small.type("mxl")
    small.key("delete")
    small.key("escape")
    assert set(small.session.graph.nodes) == {"noise", "fc", "act", "free"}
    assert len(small.session.history.labels) == 1


# Groups -------------------------------------------------------------------------------------------


def test_group_enter_leave_ungroup(small: Screen) -> None:
    before = small.session.graph
    small.drag(small.spot(200, -15), small.spot(640, 150))
    small.key("g", "ctrl")
    (group,) = small.session.selection
    assert small.scene.boxes[group].face.group
    small.gestures.fit()
    small.double(small.title(group))
    assert small.session.path and {"fc", "act"} <= set(small.session.graph.nodes)
    small.key("escape")
    assert not small.session.path
    small.click(small.title(group))
    small.key("g", "ctrl", "shift")
    assert set(small.session.graph.nodes) == set(before.nodes)
    assert small.session.graph.links == before.links


# The window ---------------------------------------------------------------------------------------


def test_the_theme_and_the_size_of_text(small: Screen) -> None:
    window = small.window
    small.key("l", "ctrl", "shift")
    assert window.palette.name == "light"
    small.key("l", "ctrl", "shift")
    assert window.palette.name == "dark"
    try:
        for step, end in ((10, 200), (-10, 80)):
            for _ in range(13):
                window.resize_text(step)
                small.turn(1)
            assert window.documents.settings.text_size == end
            small.click(small.title("noise"))
            assert small.session.selection == {"noise"}
            small.session.select(())
    finally:
        window.resize_text(100 - window.documents.settings.text_size)
        small.turn()
    small.key("=", "ctrl")
    assert window.documents.settings.text_size == 110
    small.key("-", "ctrl")
    assert window.documents.settings.text_size == 100


def test_help_lists_the_keys(small: Screen) -> None:
    small.key("?")
    assert small.window.popups.open
    small.key("escape")
    assert not small.window.popups.open


def test_the_command_palette_runs_a_command(small: Screen) -> None:
    small.key("p", "ctrl", "shift")
    small.type("select every")
    small.key("enter")
    assert small.session.selection == set(small.session.graph.nodes)


def test_tabs_and_closing_asks_before_anything_is_lost(small: Screen, tmp_path: Path) -> None:
    window = small.window
    small.key("n", "ctrl")
    assert len(window.documents.tabs) == 2 and window.documents.active == 1
    small.key("tab", "ctrl")
    assert window.documents.active == 0
    small.click(small.title("fc"))
    small.key("delete")
    assert small.session.changed
    small.key("w", "ctrl")
    assert window.popups.open and len(window.documents.tabs) == 2
    small.key("escape")
    assert len(window.documents.tabs) == 2
    small.key("z", "ctrl")
    assert not small.session.changed
    small.key("w", "ctrl")
    assert len(window.documents.tabs) == 1


def test_save_writes_the_file(small: Screen, tmp_path: Path) -> None:
    small.key("s", "ctrl")
    assert small.window.popups.open  # it has no file yet
    small.rewrite(str(tmp_path / "made"))
    assert small.session.file == tmp_path / "made.yaml", small.session.message
    assert files.load(tmp_path / "made.yaml") == small.session.graph
    small.click(small.title("free"))
    small.key("delete")
    assert small.session.changed
    small.key("s", "ctrl")
    assert not small.session.changed
    assert "free" not in files.load(tmp_path / "made.yaml").nodes


def test_the_gallery_opens_a_copy(screen: Screen) -> None:
    dpg, window = screen.dpg, screen.window
    screen.turn(4)
    cards = [i for i in dpg.get_all_items() if dpg.get_item_label(i) == "Open"]
    buttons = [i for i in cards if "mvButton" in dpg.get_item_type(i)]
    assert len(buttons) == len(window.gallery.graphs) >= 6
    x, y = dpg.get_item_rect_min(buttons[0])
    screen.click((x + 10, y + 8))
    screen.turn(3)
    assert window.tab is not None and screen.session.file is None
    assert screen.session.root == window.gallery.graphs[0][1]


# All of it ----------------------------------------------------------------------------------------

NETWORK = """
nodegraph: 1
nodes:
  digits: {type: Digits}
  conv2d: {type: Conv2d, channels: 8, kernel: 5, in: {x: digits.image}}
  relu: {type: ReLU, in: {x: conv2d}}
  max_pool2d: {type: MaxPool2d, kernel: 2, in: {x: relu}}
  flatten: {type: Flatten, in: {x: max_pool2d}}
  scores: {type: Linear, features: 10, in: {x: flatten}}
  loss: {type: CrossEntropy, in: {logits: scores, labels: digits.label}}
  adam: {type: Adam, lr: 0.01, over: [conv2d, scores], in: {loss: [loss]}}
  accuracy: {type: Accuracy, in: {logits: scores, labels: digits.label}}
"""


def test_a_network_is_wired_from_nothing_by_mouse_and_keyboard(
    screen: Screen, tmp_path: Path
) -> None:
    """With what the window offers: search, links, fields, names, the file."""
    screen.key("n", "ctrl")
    screen.turn(3)
    nodes = [
        ("uci", "digits", 0, 0, {}),
        ("conv2d", "conv2d", 230, 0, {"channels": "8", "kernel": "5"}),
        ("relu", "relu", 460, 0, {}),
        ("maxpool", "max_pool2d", 690, 0, {"kernel": "2"}),
        ("flatten", "flatten", 0, 260, {}),
        ("fc", "scores", 230, 260, {"features": "10"}),
        ("crossentropy", "loss", 460, 260, {}),
        ("adam", "adam", 690, 260, {"lr": "0.01", "over": "conv2d, scores"}),
        ("accuracy", "accuracy", 460, 440, {}),
    ]
    screen.gestures.view = screen.gestures.view.__class__(-20, -20, 0.85, *screen.window.area[2:])
    screen.turn()
    for words, wanted, x, y, params in nodes:
        name = screen.add(words, screen.spot(x + 75, y + 22))
        assert name, f"nothing was added for {words}"
        if name != wanted:
            screen.click(screen.title(name))
            screen.key("f2")
            screen.rewrite(wanted)
        for setting, value in params.items():
            screen.click(screen.field(wanted, setting))
            assert screen.window.popups.open, f"{wanted}.{setting}"
            screen.rewrite(value)
    for source, port, to, into in (
        ("digits", "image", "conv2d", "x"), ("conv2d", "y", "relu", "x"),
        ("relu", "y", "max_pool2d", "x"), ("max_pool2d", "y", "flatten", "x"),
        ("flatten", "y", "scores", "x"), ("scores", "y", "loss", "logits"),
        ("digits", "label", "loss", "labels"), ("loss", "loss", "adam", "loss"),
        ("scores", "y", "accuracy", "logits"), ("digits", "label", "accuracy", "labels"),
    ):  # fmt: skip
        screen.drag(screen.pin(source, "out", port), screen.pin(to, "in", into))
        assert Ref(to, into) in screen.session.graph.links, (to, into, screen.session.message)
    screen.key("s", "ctrl")
    screen.rewrite(str(tmp_path / "net"))
    made, wanted_graph = files.load(tmp_path / "net.yaml"), files.parse(NETWORK).graph
    assert set(made.links.items()) ^ set(wanted_graph.links.items()) == set()
    assert made.with_(layout={}) == wanted_graph
    assert not list(Scope(standard()).faults(made))


def test_2000_random_events_break_nothing(screen: Screen) -> None:
    """Mouse and keys, seeded; what the model promises holds at the end."""
    draw = random.Random(7)
    screen.resize(1000, 600)  # a small window is drawn faster
    screen.load(SMALL)
    window = screen.window
    keys = [k for k in [*KEYS, *"abcdefghjklmnpqrstvxyz0123"] if k != "w"]
    down: list[str] = []
    for _ in range(2000):
        if window.tab is None:
            screen.load(SMALL)
        what = draw.random()
        if what < 0.45:
            names = list(screen.scene.boxes)
            point = screen.empty(draw.uniform(-0.05, 1.05), draw.uniform(0, 1))
            if names and draw.random() < 0.6:
                box = screen.scene.boxes[draw.choice(names)]
                pins = [*box.face.inputs, *box.face.outputs]
                if pins and draw.random() < 0.6:
                    pin = draw.choice(pins)
                    point = screen.spot(box.x + pin.x, box.y + pin.y)
                else:
                    point = screen.spot(box.x + draw.uniform(0, box.face.w), box.y + 10)
            point = min(max(point[0], 195), 990), min(max(point[1], 70), 590)
            screen._fake(6, at=point)
        elif what < 0.62:
            if down:
                screen._fake(5, BUTTONS[down.pop()])
            else:
                down.append(draw.choice(["left", "left", "left", "middle", "right"]))
                screen._fake(4, BUTTONS[down[-1]])
        elif what < 0.68:
            button = draw.choice([4, 5])
            screen._fake(4, button)
            screen._fake(5, button)
        else:
            mod = draw.choice(["", "", "", "ctrl", "shift", "ctrl"])
            key = draw.choice(keys)
            if mod == "ctrl" and key in "qosw":
                continue
            codes = [screen._code(MODS[mod])] if mod else []
            codes.append(screen._code(key))
            for code in codes:
                screen._fake(2, code)
            screen.turn(1)
            for code in reversed(codes):
                screen._fake(3, code)
        screen.turn(1)
        if len(screen.window.documents.tabs) > 6:
            del window.documents.tabs[1:]
            window.documents.show(0)
        if window.tab is not None and len(screen.session.root.nodes) > 150:
            screen.load(SMALL)
    for tab in window.documents.tabs:
        session = tab.session
        assert list(session.scope.faults(session.root)) == []
        assert files.parse(files.dumps(session.root)).graph == session.root
