"""The table of results: which figures get a ✗, and whether those that stand there have theirs."""

from __future__ import annotations

import math
from collections.abc import Callable

import conftest
import pytest
from conftest import AROUND, BOUND, RANGE, RESULTS, misses


@pytest.mark.parametrize(
    "wanted, met, missed",
    [
        ("≥ 0.9", [0.9, 0.95, 7], [0.8999, 0, -1]),
        ("> 0", [1e-9, 3], [0, -0.1]),
        ("≤ 3", [3, 2.9, -4], [3.001]),
        ("≤ -0.5", [-0.5, -1], [-0.49, 0]),
        ("< 5e-4", [4.9e-4, 0, -1], [5e-4, 0.1]),
        ("≥ 20×", [20, 43.9], [19.9]),
        ("≥ 2 of 3", [2, 3], [1]),
        ("≤ 1/255", [0.0039], [0.004]),
        ("0.8–1.2", [0.8, 1, 1.2], [0.79, 1.21]),
        ("0.5 to 2", [0.5, 2], [0.49, 2.01]),
        ("-1 to -0.5", [-1, -0.5], [-1.1, 0]),
        ("55 ± 1", [54, 55, 56], [53, 57]),
    ],
)
def test_a_figure_misses_a_bound_that_is_a_number(
    wanted: str, met: list[float], missed: list[float]
) -> None:
    assert not any(misses(got, wanted) for got in met)
    assert all(misses(got, wanted) for got in missed)
    assert misses(math.nan, wanted)


@pytest.mark.parametrize(
    "wanted",
    ["falls", "–", "within 0.03", "< FGSM's", "≤ baseline − 100", "> 0, < noise", "≤ 1.5 · ours"],
)
def test_a_bound_in_words_is_not_judged(wanted: str) -> None:
    assert not any(misses(got, wanted) for got in (-1e9, 0, 0.03, 1e9))


@pytest.mark.parametrize(
    "wanted, got, missed, cell",
    [
        ("≥ 0.9", 0.91, False, "0.91"),
        ("≥ 0.9", 0.899999, False, "0.9 ✗"),  # as it is, not as it is shown
        ("lower", 2.0, True, "2 ✗"),
        ("lower", 2.0, False, "2"),
        ("≥ 0.9", 0.95, True, "0.95 ✗"),  # a test may ask for more
        ("≥ 0.9", 0.2, False, "0.2 ✗"),  # and can't allow less
    ],
)
def test_a_missed_figure_is_recorded_with_a_cross(
    wanted: str, got: float, missed: bool, cell: str, record: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    rows: dict[tuple[str, ...], tuple[str, ...]] = {}
    monkeypatch.setattr(conftest, "ROWS", rows)  # the table stays as it is
    record("graph", "figure", wanted, got, 0, missed=missed)
    assert rows == {("graph", "figure", "0", wanted): (cell, "", "")}


def test_the_rows_of_the_table_have_the_crosses_that_they_need() -> None:
    rows = [line for line in RESULTS.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    judged = 0
    for row in rows:
        _, _, _, wanted, got, *_ = (cell.strip() for cell in row.strip("|").split("|"))
        if any(form.fullmatch(wanted) for form in (BOUND, RANGE, AROUND)):
            assert got.endswith(" ✗") is misses(float(got.removesuffix(" ✗")), wanted), row
            judged += 1
    assert judged > 100
