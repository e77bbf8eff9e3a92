"""The canvas as geometry: views, boxes, wires, what changed between two scenes, what is hit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import edits, files, layout
from nodegraph.graph import Entry, Graph, Ref, refs
from nodegraph.gui import gallery, hits
from nodegraph.gui.boxes import ROW, TITLE, clipped, measure
from nodegraph.gui.geometry import Grid, cells_of_curves, cells_of_rect, meet
from nodegraph.gui.scene import Link, Scene, build, changes
from nodegraph.gui.view import FARTHEST, LEGIBLE, NEAREST, View
from nodegraph.library import standard
from nodegraph.scope import Scope

SCOPE = Scope(standard())
GRAPHS = sorted((Path(__file__).parents[1] / "graphs").glob("*.yaml"))

SMALL = """
nodegraph: 1
nodes:
  noise: {type: Noise, shape: [10], batch: 4}
  fc: {type: Linear, features: 3, in: {x: noise}}
  act: {type: ReLU, in: {x: fc}}
  again: {shares: fc, in: {x: noise}}
layout:
  noise: [0, 0]
  fc: [300, 0]
  act: [600, 0]
  again: [300, 300]
"""


def small() -> Graph:
    return files.parse(SMALL).graph


def chain(n: int) -> Graph:
    nodes = {f"n{i}": Entry("ReLU") for i in range(n)}
    links = {Ref(f"n{i}", "x"): Ref(f"n{i - 1}") for i in range(1, n)}
    return Graph(nodes, links, layout={f"n{i}": [i % 40 * 220, i // 40 * 140] for i in range(n)})


numbers = st.floats(-1e5, 1e5)
views = st.builds(
    View, numbers, numbers, st.floats(FARTHEST, NEAREST), st.floats(50, 4000), st.floats(50, 4000)
)


@given(views, numbers, numbers)
def test_a_point_goes_to_the_screen_and_back(view: View, x: float, y: float) -> None:
    assert view.to_canvas(*view.to_screen(x, y)) == pytest.approx((x, y), abs=1e-3)


@given(views, st.floats(0.01, 100), st.floats(0, 1000), st.floats(0, 1000))
def test_zoom_keeps_what_is_under_the_mouse(view: View, by: float, x: float, y: float) -> None:
    near = view.zoomed(by, x, y)
    assert FARTHEST <= near.zoom <= NEAREST
    assert near.to_canvas(x, y) == pytest.approx(view.to_canvas(x, y), abs=1e-2)


@given(views, numbers, numbers, st.floats(1, 1e4), st.floats(1, 1e4))
def test_fit_shows_the_middle_and_all_where_it_can(
    view: View, x: float, y: float, w: float, h: float
) -> None:
    seen = view.fit((x, y, w, h), margin=10)
    left, top, wide, high = seen.rect
    assert (left + wide / 2, top + high / 2) == pytest.approx((x + w / 2, y + h / 2), abs=1e-2)
    if seen.zoom > FARTHEST:
        assert wide >= w and high >= h


ROOM = View(0, 0, 1.0, 1000, 600)  # at the zoom where titles can be read, 2777 by 1666


def test_a_graph_begins_as_a_whole_where_its_titles_can_be_read() -> None:
    boxes = [(0.0, 0.0, 120.0, 80.0), (1800.0, 700.0, 120.0, 80.0)]
    assert ROOM.beginning((0, 0, 1920, 780), boxes) == ROOM.fit((0, 0, 1920, 780))


@pytest.mark.parametrize("high", [900.0, 6000.0])
def test_a_large_graph_begins_at_its_left_where_most_boxes_are(high: float) -> None:
    row = [(300.0 * i, high / 2, 120.0, 80.0) for i in range(30)]
    lone = [(5000.0, 0.0, 120.0, 80.0), (100.0, high - 80, 120.0, 80.0)]
    seen = ROOM.beginning((0, 0, 8820, high), [*lone, *row])
    x, y, w, h = seen.rect
    assert seen.zoom == LEGIBLE and x == pytest.approx(-40 / LEGIBLE)
    assert all(y < b[1] and b[1] + b[3] < y + h for b in row)
    assert sum(b[0] + b[2] < x + w for b in row) == 9
    if high > h:
        assert y + h / 2 == pytest.approx(high / 2 + 40)  # in the middle of the row


def test_a_box_has_its_ports_and_what_was_set_on_it() -> None:
    scene = build(small(), SCOPE)
    fc = scene.boxes["fc"]
    assert (fc.x, fc.y, fc.face.title, fc.face.type_line) == (300, 0, "fc", "Linear")
    assert [p.port for p in fc.face.inputs] == ["x"]
    assert fc.face.inputs[0].linked and fc.face.outputs[0].linked
    assert [(f.setting, f.value, f.is_default) for f in fc.face.fields] == [
        ("features", "3", False)
    ]
    assert not scene.boxes["act"].face.outputs[0].linked


def test_a_further_call_names_its_module_and_shares_its_family() -> None:
    scene = build(small(), SCOPE)
    assert scene.boxes["again"].face.badge == "= fc"
    assert sorted(scene.calls("fc")) == sorted(scene.calls("again")) == ["again", "fc"]
    assert scene.calls("act") == []


def test_a_setting_that_must_be_given_is_marked() -> None:
    scene = build(edits.add(Graph(), "Linear", SCOPE), SCOPE)
    field = scene.boxes["linear"].face.fields[0]
    assert (field.setting, field.missing) == ("features", True)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda p: p.stem)
def test_every_link_of_every_graph_is_drawn(path: Path) -> None:
    graph = files.load(path)
    for body, scope in [(graph, SCOPE), *((g, SCOPE.inside(graph)) for g in graph.groups.values())]:
        scene = build(body, scope)
        links = {Link(to, r) for to, source in body.links.items() for r in refs(source)}
        links |= {Link(Ref("out:" + port), ref) for port, ref in body.outputs.items()}
        assert scene.wires.keys() == links
        assert {b for b in scene.boxes if scene.boxes[b].face.kind == "node"} == {*body.nodes}
        for box in scene.boxes.values():
            assert hits.at(scene, box.x + 75, box.y + 10).node == box.name or any(
                meet(box.rect, other.rect) for other in scene.boxes.values() if other is not box
            )


def test_a_moved_node_leaves_every_other_box_as_it_was() -> None:
    graph = chain(300)
    scene = build(graph, SCOPE)
    after = build(layout.place(graph, {"n7": (5, 5)}), SCOPE, scene)
    found = changes(scene, after)
    assert (found.moved, found.redrawn, found.added, found.removed) == (["n7"], [], [], [])
    assert {k.to.node for k in found.wires_changed} == {"n7", "n8"}
    assert after.boxes["n7"].face is scene.boxes["n7"].face


def test_an_edit_redraws_what_it_concerns() -> None:
    graph = small()
    scene = build(graph, SCOPE)
    set_ = build(edits.set_param(graph, "fc", "features", 9, SCOPE), SCOPE, scene)
    assert changes(scene, set_).redrawn == ["fc"]
    cut = build(edits.disconnect(graph, Ref("act", "x")), SCOPE, scene)
    assert sorted(changes(scene, cut).redrawn) == ["act", "fc"]
    assert changes(scene, cut).wires_removed == [Link(Ref("act", "x"), Ref("fc"))]
    gone = build(edits.remove(graph, ["act"], SCOPE), SCOPE, scene)
    assert changes(scene, gone).removed == ["act"]
    alone = build(edits.make_independent(graph, "again"), SCOPE, scene)
    assert set(changes(scene, alone).redrawn) >= {"again"}


def test_a_selection_redraws_nothing() -> None:
    graph = small()
    scene = build(graph, SCOPE)
    after = build(graph, SCOPE, scene, selection=frozenset({"fc"}))
    found = changes(scene, after)
    assert found.selected == {"fc"}
    assert not (found.redrawn or found.moved or found.wires_changed)


def same(a: Scene, b: Scene) -> bool:
    return (
        list(a.boxes.values()) == list(b.boxes.values())
        and dict(a.wires) == dict(b.wires)
        and a.frames == b.frames
        and {c: set(t) for c, t in a.grid.cells.items()}
        == {c: set(t) for c, t in b.grid.cells.items()}
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_scene_built_in_steps_is_the_one_built_at_once(seed: int) -> None:
    draw = random.Random(seed)
    graph = files.load(GRAPHS[0])
    scene = build(graph, SCOPE)
    for _ in range(40):
        names = list(graph.nodes)
        name = draw.choice(names)
        try:
            graph = draw.choice(
                [
                    lambda g, n: layout.place(g, {n: (draw.randint(0, 900), 7)}),
                    lambda g, n: edits.remove(g, [n], SCOPE),
                    lambda g, n: edits.rename(g, n, f"{n}_x", SCOPE),
                    lambda g, n: edits.make_independent(g, n),
                    lambda g, n: edits.freeze(g, n),
                    lambda g, n: layout.collapse(g, [n]),
                    lambda g, n: layout.set_colour(g, [n], "#aa3322"),
                    lambda g, n: edits.add(g, "Linear", SCOPE, at=(draw.randint(0, 900), 3)),
                    lambda g, n: edits.disconnect(g, draw.choice(list(g.links))),
                    lambda g, n: layout.set_reroutes(g, draw.choice(list(g.links)), [(50, 50)]),
                    lambda g, n: layout.set_frame(g, "f1", title=n),
                    lambda g, n: edits.group(g, [n], SCOPE, "G"),
                    lambda g, n: edits.set_graph_param(g, "more", draw.randint(0, 3), SCOPE),
                ]
            )(graph, name)
        except edits.EditError:
            continue
        scene = build(graph, SCOPE, scene)
        assert same(scene, build(graph, SCOPE))
        if len(graph.nodes) < 4:
            break


def test_what_is_under_a_point_is_found() -> None:
    scene = build(small(), SCOPE)
    fc = scene.boxes["fc"]
    x = fc.face.inputs[0]
    assert hits.at(scene, fc.x + x.x - 5, fc.y + x.y + 4).port == "x"
    assert hits.at(scene, fc.x + 60, fc.y + TITLE / 2).kind == "title"
    assert hits.at(scene, fc.x + 60, fc.y + TITLE + 8).kind == "node"
    rect = fc.face.fields[0].rect
    field = hits.at(scene, fc.x + rect[0] + 40, fc.y + rect[1] + ROW / 2)
    assert (field.kind, field.setting) == ("field", "features")
    assert hits.at(scene, fc.x + 60, fc.y + rect[1] + 5, fields=False).kind == "node"
    wire = next(w for w in scene.wires.values() if w.to.node == "act")
    (a, _), (b, y) = scene.point(scene.boxes["fc"].face.outputs[0]), wire.curves[-1][-1]
    assert hits.at(scene, (a + b) / 2, y).link == wire.link
    assert hits.at(scene, -500, -500).kind == "empty"


def test_pins_are_as_large_on_the_screen_from_afar() -> None:
    scene = build(small(), SCOPE)
    x, y = scene.point(scene.boxes["act"].face.outputs[0])
    for zoom in (0.2, 1.0, 3.0):
        assert hits.at(scene, x + 10 / zoom, y, hits.NEAR / zoom).kind == "pin"
    middle = scene.boxes["act"].x + 75
    assert hits.at(scene, middle, 10, hits.NEAR / 0.05).kind == "title"


def test_frames_reroutes_and_colours_are_seen() -> None:
    graph = layout.set_frame(small(), "f1", title="All", x=-50, y=-60, w=900, h=500)
    graph = layout.set_reroutes(graph, Ref("act", "x"), [(520, 200)])
    graph = layout.set_colour(layout.collapse(graph, ["act"]), ["act"], "#102030")
    scene = build(graph, SCOPE)
    assert hits.at(scene, 0, -50).kind == "frame_title"
    assert hits.at(scene, 849, 439).kind == "frame_corner"
    assert hits.at(scene, 100, 400).kind == "frame"
    assert hits.carried(scene, "frame:f1") == {"noise", "fc", "act", "again"}
    hit = hits.at(scene, 522, 203)
    assert (hit.kind, hit.index) == ("reroute", 0)
    assert len(scene.wires[Link(Ref("act", "x"), Ref("fc"))].curves) == 2
    act = scene.boxes["act"].face
    assert (act.collapsed, act.colour, act.h, act.fields) == (True, "#102030", TITLE, ())


def test_shapes_stand_on_links_and_problems_on_nodes() -> None:
    graph = small()
    scene = build(graph, SCOPE)
    after = build(
        graph, SCOPE, scene, shapes={Ref("fc", "y"): (64, 3)}, problems={"act": ("error", "bad")}
    )
    assert after.wires[Link(Ref("act", "x"), Ref("fc"))].label == "64×3"
    assert changes(scene, after).redrawn == ["act"]
    assert after.boxes["act"].face.severity == "error"
    assert len(changes(scene, after).wires_changed) == 1


def test_the_ports_of_a_group_have_boxes_beside_its_nodes() -> None:
    graph = files.load(next(p for p in GRAPHS if p.stem == "dann"))
    scene = build(graph.groups["Features"], SCOPE.inside(graph))
    assert scene.boxes["image"].face.kind == "input"
    assert scene.boxes["out:features"].face.kind == "output"
    nodes = [b for b in scene.boxes.values() if b.face.kind == "node"]
    assert scene.boxes["image"].x < min(b.x for b in nodes)
    assert scene.boxes["out:features"].x > max(b.x for b in nodes)


def test_nodes_without_a_place_get_one_and_keep_it() -> None:
    graph = small().with_(layout={})
    scene = build(graph, SCOPE)
    boxes = list(scene.boxes.values())
    assert not any(meet(a.rect, b.rect) for i, a in enumerate(boxes) for b in boxes[:i])
    after = build(edits.disconnect(graph, Ref("act", "x")), SCOPE, scene)
    assert [(b.x, b.y) for b in after.boxes.values()] == [(b.x, b.y) for b in boxes]


def test_a_node_of_an_unknown_type_is_drawn_with_the_ports_that_are_linked() -> None:
    graph = small()
    links = {**graph.links, Ref("fc", "x"): Ref("act", "q")}
    nodes = {**graph.nodes, "act": Entry("Nothing")}
    scene = build(graph.with_(nodes=nodes, links=links), SCOPE)
    assert [p.port for p in scene.boxes["act"].face.outputs] == ["q"]
    assert Link(Ref("act", "x"), Ref("fc")) in scene.wires


def test_the_grid_finds_what_a_rectangle_touches_and_forgets_what_is_gone() -> None:
    grid = Grid().changed([], [("a", cells_of_rect((0, 0, 300, 10)))])
    assert grid.near((280, 0, 5, 5)) == {"a"} == grid.near((-1e6, -1e6, 2e6, 2e6))
    assert not grid.near((600, 0, 5, 5))
    assert not grid.changed([("a", cells_of_rect((0, 0, 300, 10)))], []).cells
    curve = ((0.0, 0.0), (40.0, 0.0), (960.0, 0.0), (1000.0, 0.0))
    assert (3, 0) in cells_of_curves([curve])


def test_a_text_is_as_wide_as_its_letters_and_is_clipped_to_fit() -> None:
    assert measure("iiii") < measure("mmmm") < measure("WWWW")
    assert measure("свёртка", 26) == pytest.approx(2 * measure("свёртка"))
    assert clipped("reversed", 500) == "reversed"
    short = clipped("a_very_long_name_of_a_node", 80)
    assert short.endswith("…") and measure(short) <= 80


@pytest.mark.parametrize("path", GRAPHS, ids=[p.stem for p in GRAPHS])
def test_every_prebuilt_graph_has_its_place_in_the_lecture(path: Path) -> None:
    assert gallery.place(files.load(path))[0] < len(gallery.SLIDES), files.load(path).meta["slide"]
