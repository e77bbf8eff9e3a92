"""What people do in the window, with real events. `test_window.py` runs this in a process."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from screen import BUTTONS, KEYS, MODS, Screen

from nodegraph import files, library
from nodegraph.checks import check
from nodegraph.graph import Ref, refs
from nodegraph.gui.canvas import middle as canvas_middle
from nodegraph.gui.desktop import SystemClipboard
from nodegraph.gui.live import Curve
from nodegraph.gui.overlay import Overlay
from nodegraph.gui.palette import CURVES, hexed
from nodegraph.gui.view import LEGIBLE
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


BANDS = """
nodegraph: 1
nodes:
  photo: {type: Photo, picture: flower, size: 33}
  bands: {type: LaplacianPyramid, in: {x: photo}}
  collapse: {type: CollapsePyramid}
  tanh: {type: Tanh}
layout:
  photo: [0, 0]
  bands: [260, 0]
  collapse: [660, 0]
  tanh: [660, 200]
"""


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("state"), (1280, 800))
    assert SystemClipboard().text == ""  # nobody has copied anything on this screen
    yield screen
    screen.close()


@pytest.fixture
def screen(opened: Screen) -> Iterator[Screen]:
    opened.fresh()
    yield opened
    faults, opened.window.faults = opened.window.faults, []
    assert not faults, faults
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


def pulled(screen: Screen, node: str, port: str) -> Overlay:
    """What shows while a link is pulled out of an output, over empty canvas."""
    screen.at(screen.pin(node, "out", port))
    screen.press()
    screen.at(screen.empty(0.5, 0.9))
    screen.turn()
    return screen.gestures.overlay


def test_pins_that_fit_light_up_while_dragging(small: Screen) -> None:
    overlay = pulled(small, "act", "y")
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


def test_a_pyramid_is_linked_undone_copied_grouped_and_saved_as_any_value(
    screen: Screen, tmp_path: Path
) -> None:
    session = screen.load(BANDS)
    out = screen.pin("bands", "out", "y")
    overlay = pulled(screen, "bands", "y")
    assert ("collapse", "in", "x") in overlay.lit and ("tanh", "in", "x") in overlay.faded
    screen.key("escape")
    screen.release()
    before = session.graph
    screen.drag(out, screen.pin("tanh", "in", "x"))  # a list fits no tensor
    assert session.graph is before and "bands gives pyramid" in (session.message or ("",))[0]
    screen.drag(screen.pin("photo", "out", "image"), screen.pin("collapse", "in", "x"))
    assert session.graph is before and "takes pyramid" in (session.message or ("",))[0]
    screen.drag(out, screen.empty(0.5, 0.9))
    kinds = {c.name for c in screen.window.popups.choices}
    assert {"PyramidLevel", "PyramidBlend", "PyramidGrid"} <= kinds and "Detach" not in kinds
    screen.key("escape")

    screen.drag(out, screen.title("collapse"))
    assert links(screen)["collapse.x"] == "bands" and screen.wait(screen.checked)
    screen.turn()
    (wire,) = (w for w in screen.scene.wires.values() if w.to == Ref("collapse", "x"))
    assert (wire.kind, wire.label) == ("pyramid", "3 levels of 1×3×33×33")
    screen.at(screen.wire("collapse.x", "bands"))
    assert "3 levels of 1×3×33×33" in screen.gestures.overlay.tooltip
    screen.key("z", "ctrl")
    assert "collapse.x" not in links(screen)
    screen.key("z", "ctrl", "shift")
    assert links(screen)["collapse.x"] == "bands"

    screen.click(screen.title("bands"))
    screen.click(screen.title("collapse"), mods=["shift"])
    screen.key("c", "ctrl")
    screen.at(screen.empty(0.3, 0.8))
    screen.key("v", "ctrl")
    assert links(screen)["collapse_2.x"] == "bands_2"
    screen.key("z", "ctrl")

    screen.click(screen.title("collapse"))
    screen.key("g", "ctrl")
    (group,) = session.graph.groups
    (name,) = (n for n, e in session.graph.nodes.items() if e.type == group)
    assert session.graph.groups[group].inputs == {"x": "L N C H W"}
    (pin,) = screen.scene.boxes[name].face.inputs
    assert pin.kind == "pyramid" and links(screen)[f"{name}.x"] == "bands"
    screen.key("s", "ctrl")
    screen.rewrite(str(tmp_path / "bands"))
    assert files.load(tmp_path / "bands.yaml") == session.graph
    assert {p.where[1] for p in check(session.graph)} == {"tanh"}  # which nothing feeds


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


def test_a_wide_graph_opens_so_near_that_its_names_can_be_read(small: Screen) -> None:
    path = files.graphs_folder() / "quality_panel.yaml"
    small.window.documents.open(path, copy=True)
    small.turn(6)
    view, boxes = small.gestures.view, small.scene.boxes
    assert view.zoom == LEGIBLE and not small.window.canvas.far
    x, y, w, h = view.rect
    assert all(
        x < boxes[n].x < x + w and y < boxes[n].y < y + h for n in ("real", "z", "generator")
    )
    small.key("f")
    small.turn(2)
    assert small.gestures.view.zoom < LEGIBLE
    seen = small.gestures.view
    small.window.arrange()  # what a person has chosen stays
    assert small.gestures.view == seen


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


# The palette, the programme, the inspector --------------------------------------------------------


def shelf_row(screen: Screen, name: str) -> tuple[float, float]:
    """A type in the palette, found by its field."""
    screen.click(screen.middle(screen.window.shelf.input))
    screen.type(name.lower())
    screen.turn(4)
    return screen.middle(screen.item(name, "mvSelectable"))


def test_a_type_is_dragged_from_the_palette_to_the_canvas(small: Screen) -> None:
    row = shelf_row(small, "Dropout")
    small.drag(row, small.spot(420, 340))
    (new,) = set(small.session.graph.nodes) - {"noise", "fc", "act", "free"}
    x, y = at(small, new)
    assert small.session.graph.entry(new).type == "Dropout" and abs(x - 345) < 60
    assert abs(y - 318) < 40
    small.drag(row, small.wire("act.x", "fc"))
    (other,) = set(small.session.graph.nodes) - {"noise", "fc", "act", "free", new}
    assert links(small)[f"{other}.x"] == "fc" and links(small)["act.x"] == other
    small.key("z", "ctrl")
    assert links(small)["act.x"] == "fc"
    before = small.session.graph
    small.drag(row, small.middle("inspector:tab:History"))  # not the canvas: nothing is added
    assert small.session.graph is before and not small.window.shelf.carried


GAME = """
nodegraph: 1
nodes:
  noise: {type: Noise, shape: [4], batch: 2}
  a: {type: Linear, features: 4, in: {x: noise}}
  b: {type: Linear, features: 4, in: {x: a}}
  loss: {type: MSELoss, in: {x: b, target: noise}}
  one: {type: SGD, over: [a], in: {loss: loss}}
  two: {type: SGD, over: [b], in: {loss: loss}}
train:
  - {stage: play, steps: 10, run: [one, two]}
"""


def run(screen: Screen) -> tuple[str, ...]:
    return screen.session.root.train[0].run


def test_updates_are_dragged_repeated_added_and_removed(screen: Screen) -> None:
    screen.load(GAME)
    screen.turn(4)
    row = {label: screen.item(label) for label in ("one", "two")}
    screen.drag(screen.middle(row["two"]), screen.middle(row["one"]))
    screen.turn(4)
    assert run(screen) == ("two", "one"), screen.session.message
    screen.click(screen.middle(screen.window.dock.strip.fields.known[2].item))
    screen.rewrite("3")
    assert run(screen) == ("two", "two", "two", "one")
    screen.click(screen.middle(screen.item("+ update")))
    screen.turn(3)
    screen.key("down")
    screen.key("enter")
    assert run(screen) == ("two", "two", "two", "one", "one")
    screen.turn(3)
    crosses = [i for i in screen.dpg.get_all_items() if screen.dpg.get_item_label(i) == "×##play1"]
    screen.click(screen.middle(crosses[0]))
    screen.turn(3)
    assert run(screen) == ("two", "two", "two")
    for _ in range(4):
        screen.key("z", "ctrl")
    assert run(screen) == ("one", "two")


def test_a_hovered_update_shows_whom_its_gradient_reaches(screen: Screen) -> None:
    screen.load(GAME)
    screen.turn(4)
    layers = screen.window.canvas.layers

    def drawn() -> int:
        return len(screen.dpg.get_item_children(layers["veil"], 2))

    assert drawn() == 0
    screen.at(screen.middle(screen.item("one")))
    screen.turn(4)
    reached = screen.window.reached
    assert reached and reached[0] == "one" and reached[2].nodes["a"] == ("moves", "+")
    assert reached[2].nodes["b"].how == "reach" and drawn() >= 3
    screen.at(screen.empty(0.5, 0.9))
    screen.turn(4)
    assert drawn() == 0


def test_a_knob_turns_a_number_in_one_step(small: Screen) -> None:
    small.click(small.title("fc"))
    small.turn(3)
    steps = len(small.session.history.labels)
    knob = small.inspector_items("mvDragFloat")[0]
    x, y = small.middle(knob)
    small.drag((x, y), (x + 80, y), steps=8)
    small.turn(4)
    features = small.session.graph.entry("fc").params["features"]
    assert features > 3 and len(small.session.history.labels) == steps + 1
    small.key("z", "ctrl")
    assert small.session.graph.entry("fc").params["features"] == 3


def test_a_parameter_of_the_graph_is_turned_by_its_knob(screen: Screen) -> None:
    params = "params: {content_weight_of_all: 0.1, words: x}"
    screen.load(SMALL.replace("nodes:", f"{params}\nnodes:", 1))
    screen.click(screen.middle("inspector:tab:Graph"))
    assert screen.wait(screen.checked)
    screen.turn(4)
    (knob,) = screen.inspector_items("mvDragFloat")  # none for what is no number
    x, y = screen.middle(knob, inspector=True)
    steps = len(screen.session.history.labels)
    screen.drag((x, y), (x + 80, y), steps=8)
    screen.turn(4)
    assert 0.1 < screen.session.root.params["content_weight_of_all"] < 10
    assert len(screen.session.history.labels) == steps + 1
    screen.key("z", "ctrl")
    assert screen.session.root.params["content_weight_of_all"] == 0.1
    screen.click(screen.middle("inspector:tab:Node"))


def test_nodes_are_copied_to_another_tab_through_the_desktop(small: Screen) -> None:
    small.click(small.title("fc"))
    small.key("c", "ctrl")
    assert "Linear" in small.dpg.get_clipboard_text()
    small.key("n", "ctrl")
    small.turn(3)
    small.at(small.empty())
    small.key("v", "ctrl")
    assert [e.type for e in small.session.graph.nodes.values()] == ["Linear"]


def test_a_node_is_coloured_aligned_and_nudged(small: Screen) -> None:
    small.click(small.title("free"), "right")
    small.click(small.middle(small.item("Colour…", "mvSelectable")))
    small.turn(2)
    small.click(small.middle(small.item("Gold", "mvSelectable")))
    assert small.scene.boxes["free"].face.colour == "#a87c1f"
    small.click(small.title("act"), mods=["shift"])
    small.key("left", "alt")
    assert at(small, "act")[0] == at(small, "free")[0] == 260
    small.key("right", "ctrl")
    small.key("right", "ctrl")
    assert at(small, "act")[0] == 280
    small.key("z", "ctrl")
    assert at(small, "act")[0] == 260  # both nudges were one step


def test_panels_give_their_room_to_the_canvas(small: Screen) -> None:
    wide = small.window.area[2]
    small.key("n")
    small.key("t")
    assert small.window.area[2] > wide + 400
    small.key("n")
    small.key("t")
    assert small.window.area[2] == wide


def test_a_long_programme_is_scrolled_and_its_dock_dragged(screen: Screen) -> None:
    window = screen.window
    window.dock.turn("Programme")
    kept = window.documents.settings.panels
    try:
        screen.load(graph=files.load(files.graphs_folder() / "lapgan.yaml"))
        screen.turn(4)
        left, top, w, h = window.area
        lines = window.dock.lines(window.tab)
        assert lines > window.heights[1] == window.dock.most
        line = (left + w / 2, top + h)
        screen.drag(line, (line[0], line[1] - 40))
        assert window.area[3] == pytest.approx(h - 40, abs=3)
        screen.load(GAME)
        screen.turn(4)
        assert window.heights[1] == window.dock.lines(window.tab)  # a short one takes no more
    finally:
        window.documents.remember(panels=kept)


def test_the_window_is_not_closed_over_unsaved_work(small: Screen) -> None:
    """What a window manager does when the button in the corner is pressed."""
    small.click(small.title("fc"))
    small.key("delete")
    small.close_button()
    assert small.wait(lambda: small.window.popups.open, 5)
    small.key("escape")
    assert small.window.running and small.session.changed


def test_a_killed_analysis_comes_back_and_the_window_says_so(small: Screen) -> None:
    worker = small.window.questions.worker
    assert small.wait(lambda: small.session.analysis is not None, 60)
    starts, process = worker.starts, worker._process
    process.kill()
    said = []

    def back() -> bool:
        said.append(" ".join(text for text, _ in small.window.bars.said()))
        return worker.starts > starts and worker.status == "ready"

    assert small.wait(back, 30)
    assert any("started again" in text for text in said)
    small.click(small.title("fc"))
    small.key("delete")
    edition = small.session.edition
    assert small.wait(lambda: small.session.analysis.revision == edition, 30)


def test_history_is_a_list_to_jump_in(small: Screen) -> None:
    before = small.session.graph
    for name in ("free", "act"):
        small.click(small.title(name))
        small.key("delete")
    small.click(small.middle("inspector:tab:History"))
    small.turn(4)
    small.click(small.middle(small.item("Open", "mvSelectable")))
    assert small.session.graph == before
    assert len(small.session.history.labels) == 3
    small.click(small.middle("inspector:tab:Node"))


def test_what_is_pressed_stays_until_the_button_is_released(small: Screen) -> None:
    """The answer of a check, which draws the panel anew, may come between press and release."""
    small.click(small.title("fc"))
    small.key("delete")
    small.click(small.middle("inspector:tab:History"))
    assert small.wait(small.checked, 60)
    small.turn(4)
    at = small.middle(small.item("Open", "mvSelectable"))
    small.at(at)
    small.press()
    small.window.stale = True
    small.turn(3)
    assert small.window.stale
    small.release()
    small.turn(2)
    assert small.session.history.cursor == 0
    small.click(small.middle("inspector:tab:Node"))


# Nothing is lost ----------------------------------------------------------------------------------


def inspector_field(screen: Screen, setting: str) -> int | str:
    return screen.window.inspector.panels["Node"].widgets[setting]


def test_what_is_typed_is_taken_when_the_field_is_left(small: Screen) -> None:
    def features() -> Any:
        return small.session.graph.entry("fc").params["features"]

    small.click(small.title("fc"))
    small.turn(3)
    small.click(small.middle(inspector_field(small, "features")))
    small.key("a", "ctrl")
    small.type("77")
    small.click(small.empty(0.7, 0.9))
    small.turn(3)
    assert features() == 77
    small.click(small.title("fc"))
    small.turn(3)
    small.click(small.middle(inspector_field(small, "features")))
    small.key("a", "ctrl")
    small.type("55")
    small.key("tab")
    small.turn(3)
    assert features() == 55
    small.key("escape")
    small.click(small.title("fc"))
    small.turn(3)
    small.click(small.middle(inspector_field(small, "features")))
    small.key("a", "ctrl")
    small.type("9")
    small.key("escape")
    small.turn(3)
    assert features() == 55


def test_weights_from_a_file_are_typed_into_the_inspector(small: Screen) -> None:
    small.click(small.title("fc"))
    small.turn(3)
    small.click(small.middle(inspector_field(small, "weights")))
    small.type("nowhere.pth")
    small.key("enter")
    small.turn(3)
    assert small.session.graph.entry("fc").weights == "nowhere.pth"
    said = lambda: [p["text"] for p in small.session.analysis.problems]  # noqa: E731
    small.wait(lambda: small.session.analysis and any("nowhere.pth" in t for t in said()), 20)
    small.session.undo()
    small.turn(3)
    assert small.session.graph.entry("fc").weights == ""
    assert small.dpg.get_value(inspector_field(small, "weights")) == ""


def test_weights_are_chosen_from_the_files_that_are_there(
    small: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "fc.safetensors").write_bytes(b"")
    (tmp_path / "mine" / "notes.txt").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    small.click(small.title("fc"))
    small.turn(3)
    row = small.dpg.get_item_parent(inspector_field(small, "weights"))
    items = small.dpg.get_item_children(row, 1)
    (button,) = [i for i in items if small.dpg.get_item_label(i) == "…"]
    small.click(small.middle(button))
    small.turn(3)
    small.type("mine/")
    small.turn(2)
    names = [c.name for c in small.window.popups.choices]
    assert "mine/" in names and "fc.safetensors" in names and "notes.txt" not in names
    small.type("fc")
    small.key("enter")
    small.turn(3)
    assert small.session.graph.entry("fc").weights == "mine/fc.safetensors"


def test_a_refused_value_gives_way_to_what_holds(small: Screen) -> None:
    small.click(small.title("fc"))
    small.turn(3)
    small.click(small.middle(inspector_field(small, "features")))
    small.rewrite("-7")
    small.turn(4)
    assert small.session.graph.entry("fc").params["features"] == 3
    assert (small.session.message or ("", ""))[1] == "refused"
    assert small.dpg.get_value(inspector_field(small, "features")) == "3"


def test_ctrl_s_in_a_field_saves_what_is_typed_too(small: Screen, tmp_path: Path) -> None:
    small.session.save(tmp_path / "here.yaml")
    small.click(small.title("fc"))
    small.turn(3)
    small.click(small.middle(inspector_field(small, "features")))
    small.key("a", "ctrl")
    small.type("21")
    small.key("s", "ctrl")
    small.turn(3)
    assert files.load(tmp_path / "here.yaml").nodes["fc"].params["features"] == 21


def test_save_as_asks_before_it_replaces_a_file(small: Screen, tmp_path: Path) -> None:
    (tmp_path / "precious.yaml").write_text("nodegraph: 1  # mine")
    small.session.save(tmp_path / "here.yaml")
    small.key("s", "ctrl", "shift")
    small.rewrite("precious")  # taken from the folder of the file
    assert small.window.popups.answers
    small.key("enter")  # the first answer is Cancel
    small.turn(3)
    assert (tmp_path / "precious.yaml").read_text() == "nodegraph: 1  # mine"
    small.key("s", "ctrl", "shift")
    small.rewrite("precious")
    small.key("right")
    small.key("enter")
    small.turn(3)
    assert files.load(tmp_path / "precious.yaml") == small.session.graph
    assert small.session.file == tmp_path / "precious.yaml"


def test_a_path_that_can_not_be_one_breaks_nothing(small: Screen) -> None:
    small.key("o", "ctrl")
    small.window.popups.narrow("x" * 3000)
    small.turn(2)
    small.key("escape")
    assert not small.window.popups.open


def test_a_fault_is_told_and_nothing_is_closed(small: Screen) -> None:
    small.window.guarded(lambda: 1 / 0)
    small.turn(2)
    assert "ZeroDivisionError" in (small.session.message or ("",))[0]
    assert [type(f) for f in small.window.faults] == [ZeroDivisionError]
    small.window.faults.clear()
    small.click(small.title("fc"))
    assert small.session.selection == {"fc"}


def test_a_file_deleted_on_disk_is_not_lost(small: Screen, tmp_path: Path) -> None:
    path = tmp_path / "gone.yaml"
    small.session.save(path)
    assert not small.session.changed
    path.unlink()
    assert small.wait(lambda: small.window.popups.answers, 10)
    assert small.session.changed  # also if nothing is answered
    small.key("enter")
    small.turn(3)
    assert files.load(path) == small.session.graph


def test_quitting_saves_all_when_told_so(small: Screen, tmp_path: Path) -> None:
    small.session.save(tmp_path / "a.yaml")
    small.click(small.title("free"))
    small.key("delete")
    small.key("q", "ctrl")
    assert small.window.popups.answers and small.window.running
    small.key("enter")
    small.turn(3)
    assert not small.window.running
    small.window.running = True
    assert "free" not in files.load(tmp_path / "a.yaml").nodes


def test_questions_wait_for_each_other(small: Screen) -> None:
    said: list[str] = []
    for name in ("one", "two"):
        small.window.popups.question(name, name, [("Yes", lambda n=name: said.append(n))])
    small.turn(2)
    small.key("enter")
    small.turn(2)
    assert said == ["one"] and small.window.popups.open
    small.key("enter")
    assert said == ["one", "two"] and not small.window.popups.open


def test_opening_and_styling_leave_no_items_behind(small: Screen) -> None:
    def round_() -> None:
        small.key("?")
        small.key("escape")
        small.click(small.title("fc"), "right")
        small.key("escape")
        for _ in range(2):
            small.window.switch_theme()
            small.turn(1)

    for _ in range(3):
        round_()
    before = len(small.dpg.get_all_items())
    for _ in range(8):
        round_()
    assert len(small.dpg.get_all_items()) == before


def test_a_link_to_the_output_of_a_group_is_cut_and_filled(small: Screen) -> None:
    small.click(small.title("fc"))
    small.key("g", "ctrl")
    (group,) = small.session.selection
    small.session.enter(group)
    small.turn(3)
    small.gestures.fit()
    small.turn(2)
    (out,) = [b for b in small.scene.boxes if b.startswith("out:")]
    wire = next(w for w in small.scene.wires.values() if w.to.node == out)
    small.double(small.spot(*canvas_middle(wire)))
    small.click(small.middle(small.item("Insert a node…", "mvSelectable")))
    small.type("tanh")
    small.key("enter")
    small.turn(3)
    source = small.session.graph.outputs[out.removeprefix("out:")]
    assert small.session.graph.entry(source.node).type == "Tanh", small.session.message
    small.key("z", "ctrl")
    small.turn(2)
    wire = next(w for w in small.scene.wires.values() if w.to.node == out)
    small.double(small.spot(*canvas_middle(wire)))
    small.click(small.middle(small.item("Delete the link", "mvSelectable")))
    text, kind = small.session.message or ("", "")
    assert kind == "refused" and "around the group" in text


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


@pytest.mark.drawn
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


class Hand:
    """What the case below does again and again, each with real events."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen

    @property
    def inspector(self) -> Any:
        return self.screen.window.inspector

    def tab(self, name: str) -> None:
        """Bring a tab of the inspector to the front, as it is once the graph has been checked.

        It is drawn anew when the check's answer arrives: widgets found before are gone then.
        """
        if self.inspector.tabs.front != name:
            self.screen.click(self.screen.middle(f"inspector:tab:{name}"))
        assert self.screen.wait(self.screen.checked, 60)
        self.screen.turn(3)
        assert self.inspector.tabs.front == name

    def write(self, item: int | str, text: str) -> None:
        """Type into a field of the inspector."""
        self.screen.click(self.screen.middle(item, inspector=True))
        self.screen.rewrite(text)

    def graph_field(self, what: str, text: str, after: str = "") -> None:
        """Type into a field of the graph: the title, with a hint, or of the last preset."""
        self.tab("Graph")
        dpg = self.screen.dpg
        fields = [f.item for f in self.inspector.panels["Graph"].fields.known]
        hints = {dpg.get_item_configuration(f).get("hint"): f for f in fields}
        last = fields[fields.index(hints["+ name of a new preset, Enter"]) - 1]
        item = fields[0] if what == "Title" else last if after else hints[what]
        self.write(item, text)

    def set(self, name: str, setting: str, value: str | int) -> None:
        """Set a parameter in the inspector."""
        self.screen.click(self.screen.title(name))
        self.tab("Node")
        self.screen.turn(2)
        item = self.inspector.panels["Node"].widgets[setting]
        if "Combo" not in self.screen.dpg.get_item_type(item):
            self.write(item, str(value))
            return
        choices = self.screen.dpg.get_item_configuration(item)["items"]
        x, y = self.screen.middle(item, inspector=True)
        self.screen.click((x, y))
        self.screen.turn(3)
        self.screen.click((x, y + 24 + 21 * choices.index(str(value))))
        self.screen.turn(2)

    def name(self, name: str) -> None:
        """Rename what is selected."""
        self.screen.at(self.screen.empty(0.5, 0.97))
        self.screen.key("f2")
        self.screen.rewrite(name)
        assert self.screen.session.message is None, self.screen.session.message

    def add(self, words: str, name: str, x: float, y: float, **params: str | int) -> None:
        """A node by search, its name, its parameters: in the field on it, else in the inspector."""
        screen = self.screen
        made = screen.add(words, screen.spot(x + 75, y + 22))
        assert made, f"nothing was added for {words}"
        if made != name:
            self.name(name)
        for setting, value in params.items():
            fields = [f.setting for f in screen.scene.boxes[name].face.fields]
            if setting in fields:
                screen.click(screen.field(name, setting))
                screen.rewrite(str(value))
            else:
                self.set(name, setting, value)
        set_ = screen.session.graph.entry(name).params
        assert set(params) <= set(set_), (name, set_, screen.session.message)

    def link(self, *pairs: str) -> None:
        """Drag from output pins to input pins."""
        screen = self.screen
        for pair in pairs:
            (source, port), (to, into) = (p.split(".") for p in pair.split())
            screen.drag(screen.pin(source, "out", port), screen.pin(to, "in", into), steps=2)
            found = screen.session.graph.links.get(Ref(to, into), ())
            assert source in [r.node for r in refs(found)], (pair, screen.session.message)

    def group(self, kind: str, name: str, first: str, last: str) -> None:
        """Draw a box around some nodes in a row, group them, and name the group and the node."""
        screen = self.screen
        a, b = screen.scene.boxes[first], screen.scene.boxes[last]
        screen.drag(screen.spot(a.x - 15, a.y - 15), screen.spot(b.x + b.face.w + 8, b.y + 45))
        screen.key("g", "ctrl")
        self.tab("Node")
        screen.turn(2)
        self.write(self.inspector.panels["Node"].fields.known[1].item, kind)
        self.name(name)
        assert screen.session.graph.entry(name).type == kind

    def ports(self, group: str, **names: str) -> None:
        """Enter a group, rename its ports, leave."""
        screen = self.screen
        screen.double(screen.title(group))
        screen.turn(3)
        for new, old in names.items():
            screen.click(screen.title(old))
            self.name(new)
        screen.key("escape")
        screen.turn(2)

    def again(self, name: str, new: str) -> None:
        """A further call of a node, under a name."""
        self.screen.click(self.screen.title(name))
        self.screen.key("d", "alt")
        self.name(new)

    def spread(self, **places: tuple[float, float]) -> None:
        """Drag nodes to other places."""
        screen = self.screen
        for name, (x, y) in places.items():
            box = screen.scene.boxes[name]
            (ax, ay), (bx, by) = screen.title(name), screen.spot(x, y)
            ox, oy = screen.spot(box.x, box.y)
            screen.drag((ax, ay), (ax + bx - ox, ay + by - oy), mods=["alt"])

    def button(self, label: str, kind: str = "mvButton") -> None:
        """Press a button or an entry of a menu."""
        self.screen.click(self.screen.middle(self.screen.item(label, kind)))
        self.screen.turn(3)

    def strip_field(self, index: int, text: str) -> None:
        """Type into a field of the training programme."""
        self.screen.click(
            self.screen.middle(self.screen.window.dock.strip.fields.known[index].item)
        )
        self.screen.rewrite(text)
        self.screen.turn(3)


DANN = """
nodegraph: 1
title: DANN by hand
params: {batch: 32, steps: 60}
presets: {long: {steps: 800}}
groups:
  Features:
    inputs: {image: N C H W}
    outputs: {features: flatten}
    nodes:
      conv: {type: Conv2d, channels: 16, kernel: 5, in: {x: image}}
      relu: {type: ReLU, in: {x: conv}}
      pool: {type: MaxPool2d, kernel: 2, in: {x: relu}}
      flatten: {type: Flatten, in: {x: pool}}
  Domain:
    inputs: {x: N D}
    outputs: {score: fc2}
    nodes:
      fc1: {type: Linear, features: 40, in: {x: x}}
      act: {type: ReLU, in: {x: fc1}}
      fc2: {type: Linear, features: 1, in: {x: act}}
nodes:
  source: {type: FontDigits, batch: $batch, channels: 3}
  target: {type: BlendedDigits, batch: $batch}
  features: {type: Features, in: {image: source.image}}
  features_t: {shares: features, in: {image: target.image}}
  digits: {type: Linear, features: 10, in: {x: features}}
  digits_t: {shares: digits, in: {x: features_t}}
  digit_loss: {type: CrossEntropy, in: {logits: digits, labels: source.label}}
  strength: {type: SigmoidRamp}
  reversed: {type: GradientReversal, in: {x: features, strength: strength}}
  reversed_t: {type: GradientReversal, in: {x: features_t, strength: strength}}
  domain: {type: Domain, in: {x: reversed}}
  domain_t: {shares: domain, in: {x: reversed_t}}
  is_source: {type: BCEWithLogits, target: 0, in: {logits: domain}}
  is_target: {type: BCEWithLogits, in: {logits: domain_t}}
  adapt: {type: Adam, over: [features, digits, domain],
          in: {loss: [digit_loss, is_source, is_target]}}
  accuracy_t: {type: Accuracy, in: {logits: digits_t, labels: target.label}}
train:
  - {stage: adapt, steps: $steps, run: [adapt], watch: [accuracy_t]}
"""


def test_dann_is_wired_from_nothing_by_mouse_and_keyboard(screen: Screen, tmp_path: Path) -> None:
    """Two domains, shared weights, a reversal, groups, parameters, a preset, a stage: by hand."""
    hand = Hand(screen)
    screen.key("n", "ctrl")
    screen.turn(3)
    view = screen.gestures.view
    screen.gestures.view = view.__class__(-40, -40, 0.62, view.width, view.height)
    screen.turn()
    hand.graph_field("Title", "DANN by hand")
    hand.graph_field("+ name: value, Enter", "batch: 32; steps: 60")
    # The feature extractor, drawn once as plain nodes, then grouped and called a second time.
    hand.add("font", "source", 0, 0, batch="$batch", channels=3)
    hand.add("blended", "target", 0, 560, batch="$batch")
    hand.add("conv2d", "conv", 200, 0, channels="16", kernel="5")
    hand.add("relu", "relu", 390, 0)
    hand.add("maxpool", "pool", 580, 0, kernel="2")
    hand.add("flatten", "flatten", 770, 0)
    hand.link("source.image conv.x", "conv.y relu.x", "relu.y pool.x", "pool.y flatten.x")
    hand.add("fc", "digits", 770, 160, features="10")
    hand.link("flatten.y digits.x")
    hand.group("Features", "features", "conv", "flatten")
    hand.ports("features", image="x", features="out:flatten")
    hand.again("features", "features_t")
    hand.again("digits", "digits_t")
    hand.spread(features=(200, 0), features_t=(200, 560), digits=(400, 0), digits_t=(400, 560))
    hand.link("target.image features_t.image", "features_t.features digits_t.x")
    # The two heads: digits by their labels, domains through the reversal.
    hand.add("cross", "digit_loss", 600, 0)
    hand.add("sigmoidramp", "strength", 200, 250)
    hand.add("grl", "reversed", 400, 180)
    hand.add("grl", "reversed_t", 400, 360)
    hand.link(
        "digits.y digit_loss.logits",
        "source.label digit_loss.labels",
        "features.features reversed.x",
        "strength.value reversed.strength",
        "features_t.features reversed_t.x",
        "strength.value reversed_t.strength",
    )
    hand.add("fc", "fc1", 600, 180, features="40")
    hand.add("relu", "act", 780, 180)
    hand.add("fc", "fc2", 960, 180, features="1")
    hand.link("reversed.y fc1.x", "fc1.y act.x", "act.y fc2.x")
    hand.add("bcewith", "is_source", 960, 320, target="0")
    hand.link("fc2.y is_source.logits")
    hand.group("Domain", "domain", "fc1", "fc2")
    hand.ports("domain", score="out:fc2")
    hand.again("domain", "domain_t")
    hand.spread(domain=(600, 180), domain_t=(600, 360), is_source=(780, 180))
    hand.add("bcewith", "is_target", 780, 360)
    hand.link("reversed_t.y domain_t.x", "domain_t.score is_target.logits")
    # What is minimised, over whose weights, and what is watched.
    hand.add("adam", "adapt", 960, 60, over="features, digits, domain")
    hand.add("accuracy", "accuracy_t", 600, 560)
    hand.link(
        "digit_loss.loss adapt.loss",
        "is_source.loss adapt.loss",
        "is_target.loss adapt.loss",
        "digits_t.y accuracy_t.logits",
        "target.label accuracy_t.labels",
    )
    hand.button("+ stage")
    hand.strip_field(0, "adapt")
    hand.strip_field(1, "$steps")
    hand.button("+ watch")
    hand.button("accuracy_t", "mvSelectable")
    hand.graph_field("+ name of a new preset, Enter", "long")
    hand.graph_field("", "steps: 800", after="long")
    screen.key("s", "ctrl")
    screen.rewrite(str(tmp_path / "dann"))
    made, wanted = files.load(tmp_path / "dann.yaml"), files.parse(DANN).graph
    assert {k: g.with_(layout={}) for k, g in made.groups.items()} == wanted.groups
    assert made.with_(layout={}, groups={}) == wanted.with_(groups={})
    assert not [p for p in check(made) if p.severity == "error"]


@pytest.mark.drawn
def test_a_curve_of_one_point_is_seen_beside_longer_ones(small: Screen, tmp_path: Path) -> None:
    assert small.window.tab is not None
    live, path = small.window.tab.live, tmp_path / "curves.png"

    def seen() -> list[int]:
        """How many pixels of the plot have the colour of the first curve, and of the second."""
        small.shot(path)
        left, top = small.dpg.get_item_rect_min("curves:plot")
        wide, high = small.dpg.get_item_rect_size("curves:plot")
        with Image.open(path) as shot:
            plot = shot.convert("RGB").crop((left, top, left + wide, top + high))
        pixels = np.asarray(plot).reshape(-1, 3)
        return [int((pixels == hexed(c)[:3]).all(1).sum()) for c in CURVES[:2]]

    live.curves = {"accuracy": Curve("metric"), "loss": Curve("loss")}
    for step in (0, 100):
        live.curves["loss"].add(step, step / 100)
    live.revision += 1
    small.key("2", "alt")
    assert seen()[0] == 0 and seen()[1] > 20
    live.curves["accuracy"].add(50, 0.7)
    live.revision += 1
    assert seen()[0] > 15
    small.window.dock.curves.toggle("accuracy", False)
    assert seen()[0] == 0


@pytest.mark.parametrize("log", [False, True])
def test_a_runaway_leaves_the_plot_with_a_mark(small: Screen, log: bool) -> None:
    assert small.window.tab is not None
    live, curves = small.window.tab.live, small.window.dock.curves
    live.curves = {"calm": Curve("loss"), "wild": Curve("loss")}
    for step in range(60):
        live.curves["calm"].add(step, 3.0 / (1 + step))
        live.curves["wild"].add(step, min(2.0**step, 2e9) if step < 55 else 10.0**290)
    curves.set(log=log)
    small.key("2", "alt")
    small.turn(4)
    low, high = small.dpg.get_axis_limits("curves:y")
    above = small.dpg.get_value("curves:above")
    if log:
        assert low < 3 / 60 and 2e9 < high < 1e15
        assert above[0] == [55.0]
    else:
        assert -1 < low < 3 / 60 and 3 < high < 4
        assert above[0] == [2.0] and 3 < above[1][0] < high
        tall = small.dpg.get_item_rect_size("curves:plot")[1] - 60  # without what the axis says
        assert (high - above[1][0]) / (high - low) * tall > 5.5  # all of the mark is in the plot
    beside = [small.dpg.get_value(curves.values[n]) for n in ("calm", "wild")]
    assert "leaves the plot" not in beside[0] and "leaves the plot" in beside[1]
    curves.set(whole=True)
    small.turn(4)
    assert small.dpg.get_axis_limits("curves:y")[1] >= 1e290
    assert small.dpg.get_value("curves:above")[0] == []
    curves.set(whole=False)
    curves.toggle("wild", False)
    small.turn(4)
    assert small.dpg.get_axis_limits("curves:y")[1] < (5 if log else 4)
    curves.toggle("wild", True)
    curves.set(log=False)


def test_adding_and_undoing_leaves_no_items_behind(small: Screen) -> None:
    def cycle() -> None:
        for kind in ("Linear", "Adam"):
            small.session.add(kind, [40, 200])
            small.turn(1)
        small.session.undo()
        small.session.undo()
        small.turn(1)

    def items() -> int:
        assert small.wait(small.checked)
        small.turn(2)
        return len(small.dpg.get_all_items())

    for _ in range(5):
        cycle()
    before = items()
    for _ in range(60):
        cycle()
    assert items() == before


def test_2000_random_events_break_nothing(screen: Screen) -> None:
    """Mouse and keys, seeded; what the model promises holds at the end."""
    draw = random.Random(7)
    screen.resize(1000, 600)
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


# Own node types -----------------------------------------------------------------------------------


OWN = """
from nodegraph.node import Input, Layer, Output


class {name}(Layer):
    \"\"\"y = 3 x.\"\"\"

    x = Input("N D")
    y = Output("N D")

    def forward(self, x):
        return 3 * x

    def backward(self, dy, x, y):
        return {factor} * dy
"""


@pytest.fixture
def mine(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:  # fmt: skip
    """A folder with a node file that nobody has agreed to."""
    monkeypatch.setenv("NODEGRAPH_CONFIG", str(tmp_path / "config"))
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "triple.py").write_text(OWN.format(name="Triple", factor=3))
    yield folder
    for path in library.folders():
        library.retract(path)
    screen.window.documents.remember(nodes=())
    screen.window.take_library()


def answer(screen: Screen, label: str) -> None:
    screen.click(screen.middle(screen.item(label)))
    screen.turn(4)


def choose_own(screen: Screen, folder: Path) -> None:
    screen.key("p", "ctrl", "shift")
    screen.type("own node types")
    screen.key("enter")
    screen.turn(3)
    screen.type(str(folder / "triple.py"))
    screen.turn(3)
    screen.key("enter")
    screen.turn(3)


def test_own_nodes_run_after_a_yes_and_a_change_asks_again(screen: Screen, mine: Path) -> None:
    screen.load(SMALL.replace("type: ReLU", "type: Triple"))
    popups = screen.window.popups
    choose_own(screen, mine)
    assert popups.answers and "Triple" not in screen.window.library
    screen.key("enter")  # the answer at hand is the safe one
    screen.turn(3)
    assert not popups.open and "Triple" not in screen.window.library
    choose_own(screen, mine)
    answer(screen, "Run it")
    assert "Triple" in screen.window.library
    screen.window.shelf.narrow(None, "triple")  # an earlier case may have left other words
    assert [*screen.window.shelf.rows.values()] == ["Triple"]
    session = screen.session

    def unknown() -> bool | None:
        """Whether the analysis says that the type of `act` is unknown; None before it answers."""
        if session.analysis is None:
            return None
        return any("act" in p["where"] for p in session.analysis.problems)

    assert screen.wait(lambda: unknown() is False, 60)
    assert screen.window.documents.settings.nodes == (str(mine),)
    (mine / "triple.py").write_text(OWN.format(name="Tripled", factor=3))
    choose_own(screen, mine)
    assert popups.answers and "Tripled" not in screen.window.library
    answer(screen, "Run it")
    assert "Tripled" in screen.window.library and "Triple" not in screen.window.library
    assert screen.wait(unknown, 60)


def test_a_broken_node_file_is_told_and_the_rest_is_there(screen: Screen, mine: Path) -> None:
    screen.load(SMALL)
    (mine / "broken.py").write_text("\ndef no(:")
    screen.window.own_nodes.start([mine])
    screen.turn(3)
    answer(screen, "Run it")
    assert "Triple" in screen.window.library
    text, kind = screen.session.message or ("", "")
    assert kind == "error" and f"{mine / 'broken.py'}:2: SyntaxError" in text


@pytest.mark.parametrize(("factor", "right"), [(3, True), (-3, False)])
def test_a_gradient_is_checked_by_the_menu_of_a_node(
    screen: Screen, mine: Path, factor: int, right: bool
) -> None:
    (mine / "triple.py").write_text(OWN.format(name="Triple", factor=factor))
    screen.window.own_nodes.start([mine])
    screen.turn(3)
    answer(screen, "Run it")
    screen.load(SMALL.replace("type: ReLU", "type: Triple"))
    screen.click(screen.title("act"), "right")
    screen.turn(2)
    labels = [c.name for c in screen.window.popups.choices]
    for _ in range(labels.index("Check the gradient") + 1):
        screen.key("down")
    screen.key("enter")
    assert screen.wait(lambda: screen.window.popups.answers, 120)
    told = [screen.dpg.get_value(i) for i in screen.dpg.get_item_children("popup", 1)]
    text = next(t for t in told if t and t.startswith("act:"))
    assert ("x: right to" in text) == right and ("off by 200 %" in text) != right
    said, kind = screen.session.message or ("", "")
    assert (kind, said) == (("info", "the gradient is right") if right else
                            ("error", "the gradient is not right"))  # fmt: skip
