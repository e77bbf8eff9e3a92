"""Boxes laid out in layers, aligned, and spread."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nodegraph import files
from nodegraph.gui.arrange import Edge, aligned, distributed, layered, spread
from nodegraph.gui.geometry import meet
from nodegraph.gui.scene import build
from nodegraph.library import standard
from nodegraph.scope import Scope

SCOPE = Scope(standard())
GRAPHS = sorted((Path(__file__).parents[1] / "graphs").glob("*.yaml"))
Sizes = dict[str, tuple[float, float]]


def edge(a: str, b: str) -> Edge:
    return a, b, 50.0, 50.0


def made(n: int, seed: int = 0) -> tuple[Sizes, list[Edge]]:
    draw = random.Random(seed)
    sizes = {f"n{i}": (150.0, float(draw.randint(3, 12) * 20)) for i in range(n)}
    pairs = {(draw.randrange(max(0, i - 12), i), i) for i in range(1, n) for _ in range(2)}
    return sizes, [edge(f"n{a}", f"n{b}") for a, b in sorted(pairs)]


def crossings(places: dict[str, tuple[int, int]], edges: list[Edge]) -> int:
    lines = [(places[a], places[b]) for a, b, *_ in edges]
    columns = [(p, q) for p, q in lines if p[0] < q[0]]
    return sum(
        a[0] == c[0] and b[0] == d[0] and (a[1] - c[1]) * (b[1] - d[1]) < 0
        for i, (a, b) in enumerate(columns)
        for c, d in columns[:i]
    )


@pytest.mark.parametrize("n", [1, 2, 30, 300])
def test_every_link_leads_to_the_right_and_no_box_is_on_another(n: int) -> None:
    sizes, edges = made(n)
    places = layered(sizes, edges)
    assert places.keys() == sizes.keys()
    assert all(places[a][0] + sizes[a][0] < places[b][0] for a, b, *_ in edges)
    rects = [(*places[k], *sizes[k]) for k in sizes]
    assert not any(meet(a, b) for i, a in enumerate(rects) for b in rects[:i])


def test_nothing_at_all_is_laid_out() -> None:
    assert layered({}, []) == {}


def test_what_can_be_drawn_without_crossings_is() -> None:
    names = [f"{side}{i}" for side in "ab" for i in range(6)]
    draw = random.Random(1)
    order = draw.sample(range(6), 6)
    edges = [edge(f"a{i}", f"b{order[i]}") for i in range(6)]
    assert crossings(layered(dict.fromkeys(names, (100.0, 50.0)), edges), edges) == 0


def test_a_chain_is_a_straight_line() -> None:
    edges = [edge(str(i), str(i + 1)) for i in range(9)]
    places = layered({str(i): (100.0, 80.0) for i in range(10)}, edges)
    assert len({y for _, y in places.values()}) == 1


def test_a_source_stands_beside_what_it_feeds() -> None:
    edges = [*(edge(str(i), str(i + 1)) for i in range(5)), edge("rate", "5")]
    places = layered(dict.fromkeys(["rate", *map(str, range(6))], (100.0, 80.0)), edges)
    assert places["rate"][0] == places["4"][0]


def test_a_loop_of_a_broken_file_is_laid_out_all_the_same() -> None:
    places = layered(dict.fromkeys("abc", (10.0, 10.0)), [edge("a", "b"), edge("b", "a")])
    assert len(set(places.values())) == 3


@pytest.mark.parametrize("path", GRAPHS, ids=lambda p: p.stem)
def test_prebuilt_graphs_without_their_layout_overlap_nowhere(path: Path) -> None:
    scene = build(files.load(path).with_(layout={}), SCOPE)
    boxes = list(scene.boxes.values())
    assert not any(meet(a.rect, b.rect) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_same_graph_is_laid_out_alike_each_time() -> None:
    assert layered(*made(80)) == layered(*made(80))


def test_places_keep_order_and_gaps_and_stay_near_where_they_want_to_be() -> None:
    assert spread([(0, 1), (100, 1)], [10, 10]) == [0, 100]
    assert spread([(5, 1), (5, 1)], [10, 10]) == [0, 10]
    assert spread([(0, 1), (5, 1), (0, 2)], [10, 10, 10]) == [-11.25, -1.25, 8.75]


def test_boxes_are_aligned_and_spread() -> None:
    square = (10.0, 10.0)
    rects = {"a": (0.0, 0.0, *square), "b": (50.0, 5.0, 20.0, 30.0), "c": (90.0, 9.0, *square)}
    assert {x for x, _ in aligned(rects, "left").values()} == {0}
    assert aligned(rects, "right")["b"] == (80, 5)
    assert {y for _, y in aligned(rects, "top").values()} == {0}
    assert aligned(rects, "bottom")["a"] == (0, 25)
    assert aligned(rects, "centre")["b"][0] == 40
    assert aligned(rects, "middle")["b"][1] == 2
    assert distributed(rects, "x") == {"a": (0, 0), "b": (40, 5), "c": (90, 9)}
    assert distributed({"a": rects["a"]}, "x") == {} == aligned({}, "left")
