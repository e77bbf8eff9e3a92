"""Values as they are typed, numbers as they are scrubbed, curves as they are drawn and written."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import MISSING

import hypothesis.strategies as st
import pytest
from hypothesis import given

from nodegraph.gui.curves import MOST, as_csv, smoothed, thinned
from nodegraph.gui.geometry import dashes, wire
from nodegraph.gui.live import Curve
from nodegraph.gui.probing import THICK, THIN, gradient, in_words, number, wide
from nodegraph.gui.values import about, as_pairs, as_text, pairs, read, scrubbed, typed
from nodegraph.node import Nodes, Setting

FLOAT, INT = Setting("lr", float, 0.1, min=0.0), Setting("n", int, 3, min=1, max=10)


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("1e-3", 0.001), ("true", True), ("a, b", ("a", "b")), ("[3]", (3,)),
     ("[]", ()), ("1, 2.5", (1, 2.5)), ("words", "words"), ("", None)],
)  # fmt: skip
def test_what_is_typed_is_read_as_a_file_would(text: str, value: object) -> None:
    assert typed(text) == value


def test_a_reference_and_a_list_of_nodes_are_read_by_their_setting() -> None:
    assert read(" $rate ", FLOAT) == "$rate"
    assert read("a", Setting("over", Nodes, MISSING)) == ("a",)


@given(st.dictionaries(
    st.text("abcxyz", min_size=1, max_size=5),
    st.one_of(st.integers(-9, 9), st.booleans(),
              st.lists(st.integers(0, 9), max_size=3).map(tuple)), max_size=4))  # fmt: skip
def test_pairs_come_back_as_they_were(values: dict) -> None:
    assert pairs(as_pairs(values)) == values


@pytest.mark.parametrize("text", ["novalue", ": 3", "a: 1; b"])
def test_pairs_without_a_name_or_a_value_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="name: value"):
        pairs(text)


def test_a_setting_says_its_range_and_default() -> None:
    assert about(INT) == "a whole number, 1 to 10; default 3"
    assert "must be given" in about(Setting("n", int, MISSING))
    assert as_text(MISSING) == as_text(None) == ""


def test_a_number_is_scrubbed_within_its_range() -> None:
    assert scrubbed(3, 8, INT) == 5 and scrubbed(3, 400, INT) == 10 and scrubbed(3, -99, INT) == 1
    assert scrubbed(0.1, 35, FLOAT) == pytest.approx(0.2, rel=0.01)
    assert 0 < scrubbed(0.1, -35, FLOAT) < 0.06
    assert scrubbed(0.0, 8, FLOAT) > 0 == scrubbed(0.0, -8, FLOAT)
    assert scrubbed(-2.0, 10, Setting("x", float, 0.0)) > -2.0


def test_smoothing_keeps_a_constant_and_passes_over_what_is_not_finite() -> None:
    assert smoothed([3.0] * 5, 0.9) == pytest.approx([3.0] * 5)
    assert smoothed([1.0, 2.0], 0.0) == [1.0, 2.0]
    rough = [(-1.0) ** i for i in range(50)]
    assert max(map(abs, smoothed(rough, 0.9)[20:])) < 0.2
    assert math.isfinite(smoothed([1.0, math.nan, 1.0], 0.5)[-1])


def test_thinning_keeps_ends_and_extremes() -> None:
    steps = [float(i) for i in range(50_000)]
    values = [0.0] * 50_000
    values[31_234], values[777] = 9.0, -9.0
    xs, ys = thinned(steps, values)
    assert len(xs) <= MOST + 2 and xs[0] == 0 and xs[-1] == 49_999
    assert max(ys) == 9.0 and min(ys) == -9.0 and xs == sorted(xs)
    assert thinned(steps[:10], values[:10]) == (steps[:10], values[:10])


def test_a_curve_that_goes_back_forgets_what_was_later() -> None:
    curve = Curve("loss")
    for step in range(5):
        curve.add(step, float(step))
    curve.add(2, 20.0)
    assert curve.steps == [0, 1, 2] and curve.values == [0.0, 1.0, 20.0]
    curve.back_to(0)
    assert curve.steps == [0]


def test_numbers_are_exported_as_a_table() -> None:
    curve = Curve("loss", [1, 2], [0.5, 0.25])
    rows = list(csv.reader(io.StringIO(as_csv({"a,b": {"loss": curve}}))))
    assert rows == [["run", "name", "step", "value"], ["a,b", "loss", "1", "0.5"],
                    ["a,b", "loss", "2", "0.25"]]  # fmt: skip


def test_dashes_are_as_long_as_they_are_asked_for() -> None:
    curves = wire([(0.0, 0.0), (200.0, 0.0)])
    found = dashes(curves, 10.0, 5.0)
    lengths = [sum(map(math.dist, d, d[1:])) for d in found]
    assert lengths[:-1] == pytest.approx([10.0] * (len(found) - 1), abs=0.01)
    assert len(found) == pytest.approx(200 / 15, abs=1)
    gaps = [math.dist(a[-1], b[0]) for a, b in zip(found, found[1:])]
    assert gaps == pytest.approx([5.0] * len(gaps), abs=0.01)


def test_probes_say_the_most_first_and_less_where_there_is_no_room() -> None:
    words = in_words({"mean": 0.5, "std": 2, "zeros": 0.25, "gradients": {"a": 0.1, "b": None}})
    assert words[0] == "0.5 ± 2 · 25% zero · ∇ 0.1" and "∇ 0.1" in words
    assert [len(w) for w in words[:3]] == sorted((len(w) for w in words[:3]), reverse=True)
    assert in_words({"mean": None, "std": None}) == ("not finite ± not finite",) * 2
    assert number(None) == "not finite"


def test_the_larger_a_gradient_the_wider_its_link() -> None:
    assert wide([1e-4, 0.0, 1e-2, 1.0]) == [1.0, THIN, pytest.approx((1 + THICK) / 2), THICK]
    assert wide([0.5, 0.5]) == [THICK, THICK] and wide([0.0]) == [THIN] and wide([]) == []
    assert gradient({"gradients": {"a": 3.0, "b": 4.0}}) == 5.0 and gradient({}) == 0.0
    broken = gradient({"gradients": {"a": None}})  # not finite: what is wrong is to be seen
    assert wide([1e-3, broken, 1e3]) == [1.0, THICK, THICK]
