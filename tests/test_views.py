"""Every view draws: from what is usual, from what is hostile, and what can be counted is right."""

from __future__ import annotations

import importlib
import inspect
import math
import typing

import numpy as np
import pytest
import torch
from nodegraph.nodes.ops import charts, drawing, extent, ink, pictures
from torch import Tensor

from nodegraph import library
from nodegraph.node import Function, Mismatch, View, level_shapes

LIBRARY = library.standard()
VIEWS = [name for name in LIBRARY if issubclass(LIBRARY[name], View)]
PARAMETERS: dict[str, dict[str, typing.Any]] = {"Filters": {"of": ("net",)}}
# Parameters of other branches.
VARIANTS: list[tuple[str, dict[str, typing.Any]]] = [
    ("Scatter", {"projection": "pca"}), ("Scatter", {"projection": "t-sne", "most": 30}),
    ("Curve", {"log": True}), ("Histogram", {"log": True}), ("FeatureMaps", {"scale": "shared"}),
    ("GramMap", {"map": "diverging"}), ("TextTable", {"top": 3}), ("Flow", {"relative": True}),
    ("Flow", {"arrows": 0}), ("Quadrilateral", {"align_corners": True}),
    ("ContourRace", {"surface": "saddle"}), ("ContourRace", {"surface": "long valley"}),
    ("ImageGrid", {"size": 64, "columns": 64}), ("BeforeAfter", {"range": "-1..1"}),
]  # fmt: skip
CASES = [(name, {}) for name in VIEWS] + VARIANTS


def shapes_of(name: str, n: int = 6, c: int = 3, h: int = 9, w: int = 8) -> dict[str, typing.Any]:
    """A shape for each input (a list where it takes many, a tuple of them for a pyramid)."""
    return {
        "ImageGrid": {"images": [(n, c, h, w), (n, 16)]},
        "PyramidGrid": {"pyramid": tuple(level_shapes((3, n, c, h, w)))},
        "Curve": {"x": [(n, w), (w,)]},
        "Histogram": {"x": [(n, w), (h,)]},
        "Scatter": {"points": [(n, w), (2 * n, w)], "labels": [(n,), (2 * n,)]},
        "ConfusionMap": {"logits": (n, c), "labels": (n,)},
        "FeatureMaps": {"x": (n, c, h, w)},
        "Filters": {},
        "Flow": {"flow": (n, 2, h, w)},
        "Quadrilateral": {"image": (n, c, h, w), "where": (n, 2, 3)},
        "GramMap": {"matrix": [(n, c, c), (h, w)]},
        "ContourRace": {"points": [(2,), (2,)]},
        "BeforeAfter": {"before": (n, c, h, w), "after": (1, c, 2 * h, 2 * w)},
        "LossVsTime": {"optimised": [(), ()], "generated": (), "samples": (n, c, h, w)},
        "TextTable": {"values": [(n, c), (n, w)]},
        "Scoreboard": {},
        "DecisionSurface": {"logits": (h * h, 1), "points": [(n, 2), (n, 2)]},
    }[name]


def filled(shape: typing.Any, port: str, fill: float | None) -> typing.Any:
    """A tensor of one number, or of random ones."""
    if isinstance(shape, list):
        return [filled(s, port, fill) for s in shape]
    if port == "pyramid":
        return tuple(filled(s, "", fill) for s in shape)
    if port == "labels":
        return torch.randint(3, shape)
    return torch.randn(shape) if fill is None else torch.full(shape, fill)


def draw(name: str, values: dict[str, typing.Any], changes: typing.Any = None, **extra: typing.Any
         ) -> tuple[np.ndarray, dict[str, typing.Any]]:  # fmt: skip
    """The picture of a view, and what it says, from values by port."""
    view = LIBRARY[name](**(PARAMETERS.get(name, {}) | (changes or {})))
    shapes = {k: [tuple(x.shape) for x in v] if isinstance(v, list)
              else (len(v), *v[0].shape) if isinstance(v, tuple) else tuple(v.shape)
              for k, v in values.items()}  # fmt: skip
    recipe = view.recipe(view.bind(shapes))
    assert isinstance(recipe, Function)
    path, _, function = f"nodegraph.nodes{recipe.target}".rpartition(".")
    call = getattr(importlib.import_module(path), function)
    keywords = inspect.signature(call).parameters
    recorded = {"a.m": ([1.0], [float(torch.randn(()))]), "b.n": ([1.0], [math.inf])}
    extra = {k: v for k, v in ({"past": recorded} | extra).items() if k in keywords}
    given = [values.get(p, [] if i.many else None) for p, i in view.inputs.items()]
    result = call(*given, *recipe.args, **recipe.kwargs, **extra)
    picture, about = result if isinstance(result, tuple) else (result, {})
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert 1 <= picture.shape[0] <= 3 * view.size + 400, picture.shape  # type: ignore[attr-defined]
    assert 1 <= picture.shape[1] <= view.size + 8, picture.shape  # type: ignore[attr-defined]
    return picture, about


@pytest.mark.parametrize("name,changes", CASES, ids=lambda v: str(v) if v else "")
@pytest.mark.parametrize("fill", [None, 0.0, -7.5, math.nan, math.inf, -math.inf, 1e38])
def test_a_view_draws_whatever_flows_in(
    name: str, changes: dict[str, typing.Any], fill: float | None
) -> None:
    torch.manual_seed(0)
    values = {k: filled(s, k, fill) for k, s in shapes_of(name).items()}
    weights = [("net.weight", filled((5, 2, 3, 3), "", fill))]
    memory: dict[str, typing.Any] = {}
    once, _ = draw(
        name, values, changes, memory=memory, names=["a", "b"], weights=weights, seconds=0.01
    )
    again, _ = draw(
        name, values, changes, memory=memory, names=["a", "b"], weights=weights, seconds=0.01
    )
    assert once.shape == again.shape
    if fill is None:  # something is seen, and other values look otherwise
        assert once.std() > 3
        others = {k: filled(s, k, None) for k, s in shapes_of(name).items()}
        weights = [("net.weight", torch.randn(5, 2, 3, 3))]
        other, _ = draw(
            name, others, changes, memory={}, names=["a", "b"], weights=weights, seconds=0.01
        )
        assert not np.array_equal(once, other)


@pytest.mark.parametrize("name,changes", CASES, ids=lambda v: str(v) if v else "")
@pytest.mark.parametrize(
    "lengths", [{"n": 0}, {"n": 1}, {"c": 0}, {"h": 0}, {"w": 0}, {"n": 1, "c": 1, "h": 1, "w": 1}],
    ids=str,
)  # fmt: skip
def test_a_view_draws_from_nothing_and_from_one(
    name: str, changes: dict[str, typing.Any], lengths: dict[str, int]
) -> None:
    values = {k: filled(s, k, None) for k, s in shapes_of(name, **lengths).items()}
    empty = [("net.weight", torch.zeros(0, 2, 3, 3)), ("net.bias", torch.zeros(4))]
    draw(name, values, changes, memory={}, names=[], weights=empty if lengths == {"n": 0} else [])


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_caps_what_it_draws(name: str) -> None:
    large = {"n": 3000, "c": 70, "h": 5, "w": 6}
    values = {k: filled(s, k, None) for k, s in shapes_of(name, **large).items()}
    if name == "Scatter":
        values["labels"] = [torch.randint(500, (len(x),)) for x in values["labels"]]
    draw(name, values, memory={}, weights=[("net.weight", torch.randn(300, 200, 5, 5))])


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_leaves_its_inputs_as_they_are(name: str) -> None:
    values = {k: filled(s, k, None) for k, s in shapes_of(name).items()}
    flat = [x for v in values.values() for x in (v if isinstance(v, (list, tuple)) else [v])]
    before = [x.clone() for x in flat]
    draw(name, values, memory={}, weights=[("net.weight", torch.randn(4, 3, 3, 3))])
    assert all(torch.equal(x, y) for x, y in zip(flat, before, strict=True))


@pytest.mark.parametrize(
    "name,shapes,words",
    [
        ("ConfusionMap", {"logits": (4, 3)}, "without labels"),
        ("Flow", {"flow": (4, 3, 8, 8)}, "N 2 H W"),
        ("Quadrilateral", {"image": (1, 3, 8, 8), "where": (1, 3, 3)}, "N 2 3"),
        ("GramMap", {"matrix": [(1, 2, 3, 4)]}, "matrix expects"),
        ("Scatter", {"points": [(4, 3), (4, 5)]}, "not in one space"),
        ("ContourRace", {"points": [(3,)]}, "points expects"),
    ],
)
def test_shapes_that_cannot_be_drawn_are_named(
    name: str, shapes: dict[str, typing.Any], words: str
) -> None:
    with pytest.raises(Mismatch, match=words):
        LIBRARY[name]().bind(shapes)


# Oracles -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_drawn_on_the_ground_of_the_theme(name: str) -> None:
    torch.manual_seed(0)
    values = {k: filled(s, k, None) for k, s in shapes_of(name).items()}
    extra = {"names": ["a", "b"], "weights": [("net.weight", torch.randn(5, 2, 3, 3))]}
    extra["past"] = {"a.m": ([1.0], [0.5])}
    dark, light, again = (
        draw(name, values, memory={}, theme=theme, **extra) for theme in ("dark", "light", "dark")
    )
    assert dark[1] == light[1] == again[1]  # what it says is the same
    assert np.array_equal(dark[0], again[0]) and dark[0].shape == light[0].shape
    if name not in ("Flow", "BeforeAfter"):  # these fill their picture
        assert light[0].mean() > dark[0].mean() + 3


def test_a_view_that_fails_leaves_the_next_its_ground() -> None:
    with pytest.raises(AttributeError):
        charts.curve([None], False, 64, theme="light")
    assert ink.ink() is ink.DARK
    picture, _ = charts.curve([torch.arange(3.0)], False, 64)
    assert (picture == ink.DARK.ground).all(2).any()
    assert not (picture == ink.LIGHT.ground).all(2).any()


def test_a_confusion_counts_labels_by_rows() -> None:
    logits = torch.tensor([[3.0, 1, 2], [1, 3, 2], [1, 2, 3], [3, 2, 1], [math.nan, 0, 0]])
    labels = torch.tensor([0, 2, 2, 1, 0])
    wanted = [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    assert charts.confusion_counts(logits, labels).tolist() == wanted
    _, about = draw("ConfusionMap", {"logits": logits, "labels": labels})
    assert about == {"accuracy": 0.5, "examples": 4}
    assert charts.confusion_counts(torch.tensor(wanted).float(), None).tolist() == wanted


@pytest.mark.parametrize("n,d", [(50, 7), (12, 60)])
def test_principal_axes_are_those_of_the_singular_values(n: int, d: int) -> None:
    x = np.random.default_rng(0).normal(size=(n, d)) * np.linspace(3, 1, d)
    axes = charts.principal_directions(x)
    _, s, vt = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(axes * vt[:2], 1)), 1, atol=1e-8)
    flat, share = charts.projected(x, "pca", {})
    assert share == pytest.approx(np.square(s[:2]).sum() / np.square(s).sum())
    np.testing.assert_allclose(np.abs(flat), np.abs((x - x.mean(0)) @ vt[:2].T), atol=1e-6)


def test_a_projection_does_not_jump_when_axes_change_their_order_or_sign() -> None:
    random = np.random.default_rng(0)
    x, _ = np.linalg.qr(random.normal(size=(80, 5)))
    x = 9 * (x - x.mean(0)) * [3.0, 2.7, 1, 1, 1]
    memory: dict[str, typing.Any] = {}
    first, _ = charts.projected(x, "pca", memory)
    swapped, _ = charts.projected(x * [0.8, 1.2, 1, 1, 1], "pca", memory)
    alone, _ = charts.projected(x * [0.8, 1.2, 1, 1, 1], "pca", {})
    assert np.abs(swapped - first).mean() < 0.6
    assert np.abs(alone - first).mean() > 1  # without memory the axes have changed places


def test_a_flow_has_the_hue_of_its_angle() -> None:
    def hue(u: float, v: float, largest: float = 1.0) -> list[int]:
        return pictures.flow_colours(np.array([[u]]), np.array([[v]]), largest)[0, 0].tolist()

    assert len(pictures.colour_wheel()) == 55
    assert hue(0, 0) == [255, 255, 255]
    assert hue(1, 0) == [255, 0, 0]  # to the right: red, as in the reference code
    assert hue(0, 1)[0] == 255 and hue(0, 1)[2] == 0 and hue(0, 1)[1] > 180  # down: yellow
    assert hue(-1, 0)[2] == 255 and hue(-1, 0)[0] == 0  # to the left: blue, towards cyan
    assert hue(0, -1)[0] < hue(0, -1)[2] and hue(0, -1)[1] == 0  # up: violet
    half = hue(0.5, 0)
    assert half[0] == 255 and 126 <= half[1] <= 128  # paler, half as far
    assert hue(2, 0) == [int(0.75 * 255), 0, 0]  # beyond the largest: darker


def test_an_outline_is_where_the_grid_samples() -> None:
    theta = torch.tensor([[[0.5, -0.2, 0.1], [0.3, 0.4, -0.2]]])
    grid = torch.nn.functional.affine_grid(theta, [1, 1, 5, 7], align_corners=True)
    corners = [grid[0, 0, 0], grid[0, 0, -1], grid[0, -1, -1], grid[0, -1, 0]]
    np.testing.assert_allclose(pictures.outline(theta[0].numpy()), torch.stack(corners), atol=1e-6)
    border = pictures.outline(grid[0].numpy())
    assert len(border) == 2 * (5 + 7) - 4
    for corner in corners:
        assert np.abs(border - corner.numpy()).sum(1).min() < 1e-6
    _, about = draw("Quadrilateral", {"image": torch.rand(1, 1, 8, 8), "where": theta})
    np.testing.assert_allclose(about["corners"][0], torch.stack(corners), atol=1e-6)


def test_a_symmetric_matrix_looks_symmetric() -> None:
    f = torch.randn(8, 12)
    picture, about = draw("GramMap", {"matrix": [f @ f.T]}, {"size": 256})
    square = picture[:256, :256].astype(int)
    assert np.array_equal(square, square.transpose(1, 0, 2))
    square[0, -1] += 1
    assert not np.array_equal(square, square.transpose(1, 0, 2))
    assert about["low"] < about["high"]


def test_grids_show_examples_in_reading_order() -> None:
    images = torch.zeros(4, 1, 2, 2)
    images[1] = 1
    picture, _ = draw("ImageGrid", {"images": [images]}, {"columns": 2, "rows": 2, "size": 64})
    assert picture[16, 48].tolist() == [255, 255, 255]
    assert all(picture[y, x].tolist() == [0, 0, 0] for y, x in ((16, 16), (48, 16), (48, 48)))


def test_ranges_are_guessed_from_values() -> None:
    assert drawing.guessed(np.array([0.0, 0.4])) == (0, 1)
    assert drawing.guessed(np.array([-0.9, 0.4])) == (-1, 1)
    assert drawing.guessed(np.array([0.0, 255.0])) == (0, 255)


def test_values_that_are_not_finite_are_red() -> None:
    image = torch.full((1, 3, 4, 4), 0.5)
    image[0, 1, 0, 0] = math.nan
    picture = drawing.as_pictures(image.numpy())[0]
    assert picture[0, 0].tolist() == list(ink.DARK.wrong) and (picture[1:] == 128).all()


def test_surfaces_have_their_published_values() -> None:
    assert charts.beale(3.0, 0.5) == 0
    assert charts.beale(0.0, 1.0) == pytest.approx(14.203125)
    assert charts.beale(1.0, 1.5) == pytest.approx(41.25)


def test_a_race_keeps_the_trail_and_names_who_diverged() -> None:
    memory: dict[str, typing.Any] = {}
    for step in range(5):
        far = torch.tensor([0.1 * step, 10.0**step])
        here = torch.tensor([3.0, 0.5])
        _, about = draw("ContourRace", {"points": [here, far]}, names=["stays", "goes"],
                        memory=memory)  # fmt: skip
    assert about["diverged"] == ["goes"] and about["height"]["stays"] == 0
    assert len(memory["trails"][0]) == 1 and len(memory["trails"][1]) == 4


@pytest.mark.parametrize("fill", [None, float("nan"), float("inf"), 0.0])
def test_a_race_on_a_surface_of_ones_own(fill: float | None) -> None:
    at = torch.linspace(-2, 2, 9)
    bowl = (at[None] - 1).square() + (at[:, None] + 0.5).square()  # rows are y
    heights = bowl if fill is None else torch.full((9, 9), fill)
    here = torch.tensor([[1.0], [0.25]])  # between two rows
    picture, about = draw(
        "ContourRace", {"points": [here], "heights": heights}, {"reach": 2.0}, names=["one"]
    )
    assert picture.dtype == np.uint8 and picture.std() > 0
    if fill is None:
        assert charts.measured(heights, 2.0).lowest == (1.0, -0.5)
        assert about["height"]["one"] == pytest.approx((0.5**2 + 1.0**2) / 2)
        other = draw("ContourRace", {"points": [here], "heights": bowl.T}, {"reach": 2.0})[0]
        assert (other != picture).any()


def test_a_race_refuses_heights_that_are_no_square() -> None:
    race = LIBRARY["ContourRace"]()
    with pytest.raises(Mismatch, match="a square grid, not 12 numbers"):
        race.bind({"points": [(2,)], "heights": (12,)})
    with pytest.raises(Mismatch, match=r"pairs \(x, y\), not 3"):
        race.bind({"points": [(3,)]})


def test_a_scalar_becomes_a_curve_over_the_ticks() -> None:
    memory: dict[str, typing.Any] = {}
    for value in (3.0, 2.0, 1.0):
        draw("Curve", {"x": [torch.tensor(value)]}, names=["loss"], memory=memory)
    assert memory["loss"] == {0: 3, 1: 2, 2: 1}
    for step in (2, 7, 7):  # looked at twice at one step, it is one point
        draw("Curve", {"x": [torch.tensor(0.5)]}, names=["loss"], memory=memory, step=step)
    assert memory["loss"] == {0: 3, 1: 2, 2: 0.5, 7: 0.5}
    for step in range(8, last := 3 * charts.POINTS):
        charts.scalar(1.0, memory["loss"], None, step)
    assert len(memory["loss"]) <= charts.POINTS and [*memory["loss"]][-1] == last - 1


def test_a_curve_of_what_is_recorded_shows_every_step_of_it() -> None:
    steps, values = [*range(50, 250)], [math.sin(i / 9) for i in range(200)]
    given = {"x": [torch.tensor(0.0)]}
    pictures = [
        draw("Curve", given, names=[name], memory={}, past={"loss": (steps, values)}, step=250)[0]
        for name in ("loss", "other")
    ]
    blue = [int((p == ink.DARK.accent).all(2).any(0).sum()) for p in pictures]
    assert blue[0] > 100 > 10 > blue[1]  # columns of the picture that the line crosses


def heights(*lines: list[float]) -> tuple[float, float] | None:
    return extent.extent([extent.calm(line) for line in lines])


def test_lines_are_seen_whole_where_none_runs_away() -> None:
    falling = [2.3 / (1 + i) for i in range(200)]  # most of it is near 0.02, and its start counts
    assert heights(falling) == (falling[-1], 2.3)
    assert heights(falling, [0.1 + 0.004 * i for i in range(200)]) == (falling[-1], 2.3)
    assert heights([1.0] * 99 + [1.5]) == (1.0, 1.5)  # a step is no runaway
    assert heights([900.0] * 50, [0.5] * 50, [2.0] * 50) == (0.5, 900.0)  # nor another scale
    assert heights([0.0] * 9, [0.0] * 9) == (0.0, 0.0) and heights([0.0] * 30 + [1.0]) == (0.0, 1.0)
    assert heights([math.nan, math.inf]) is None and heights() is None


@pytest.mark.parametrize("end", [1e6, 1e30, -1e6])
def test_a_line_that_runs_away_is_cut_off(end: float) -> None:
    calm = [[41.0 / (1 + i) ** 2 for i in range(100)] for _ in range(3)]
    wild = [end ** (i / 8) if end > 0 else -((-end) ** (i / 8)) for i in range(9)]
    low, high = heights(*calm, wild) or (0, 0)
    assert (low, high) == ((calm[0][-1], 41.0) if end > 0 else (-1.0, 41.0))
    assert heights(calm[0], wild) == heights(*calm, wild)  # also of two
    gone = extent.leaves(wild, low, high)
    assert gone is not None and gone[1] == (end > 0)
    assert all(low <= v <= high for v in wild[: gone[0]]) and not low <= wild[gone[0]] <= high
    spike = [1.0 + 0.1 * math.sin(i) for i in range(100)]
    spike[40] = end  # one value of a line that is calm else
    assert heights(spike) == pytest.approx((0.9, 1.1), abs=0.2)


def test_a_line_is_cut_where_it_crosses_the_border() -> None:
    points = [(0.0, 0.0), (1.0, 4.0), (2.0, 0.0), (3.0, math.nan), (4.0, 1.0), (5.0, math.inf)]
    assert charts.within(points, 0, 2) == [
        [(0.0, 0.0), (0.5, 2.0)], [(1.5, 2.0), (2.0, 0.0)], [(4.0, 1.0)],
    ]  # fmt: skip
    assert charts.within([(0.0, -1.0), (1.0, 3.0)], 0, 2) == [[(0.25, 0.0), (0.75, 2.0)]]
    assert charts.within([(0.0, 3.0), (1.0, 5.0)], 0, 2) == []
    assert charts.within([(i, 1.0) for i in (0.0, 1.0, 2.0)], 0, 2) == [
        [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]
    ]


def test_a_runaway_leaves_the_plot_of_a_curve_and_the_others_are_seen() -> None:
    steps = torch.arange(60.0)
    calm = 40 * torch.exp(-steps / 15)
    blue = []
    for wild in (torch.full((60,), 5.0), 1.5**steps):
        picture, _ = draw("Curve", {"x": [calm, wild]}, {"size": 320})
        at = (picture == ink.DARK.accent).all(2).nonzero()[0]
        blue.append(at.max() - at.min())
    assert blue[1] > 0.6 * blue[0] > 60  # rows of the picture that the calm line covers


def test_a_table_has_the_most_probable_classes() -> None:
    logits = torch.tensor([[0.0, 0, 0], [1.0, 3.0, 2.0]])
    changes = {"top": 2, "example": 1, "classes": "cat, dog, emu"}
    _, about = draw("TextTable", {"values": [logits]}, changes)
    p: Tensor = logits[1].softmax(0)
    assert about["rows"] == [["dog", f"{100 * p[1]:.1f} %"], ["emu", f"{100 * p[2]:.1f} %"]]
    _, about = draw("TextTable", {"values": [torch.tensor(0.25)]}, names=["rate"])
    assert about["rows"] == [["rate", "0.25"]]


def test_ticks_are_round() -> None:
    assert drawing.ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert drawing.ticks(-0.3, 0.3, 3) == pytest.approx([-0.2, 0, 0.2])
    assert drawing.ticks(1, 1) == []


@pytest.mark.parametrize("shape", [(1, 2, 16, 2), (1, 2, 2, 16), (1, 2, 40, 3)])
def test_a_flow_of_any_proportions_has_its_arrows(shape: tuple[int, ...]) -> None:
    draw("Flow", {"flow": torch.randn(shape)})
