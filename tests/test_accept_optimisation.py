"""Do the optimisers find what they look for? `make accept` runs these, for minutes."""

from __future__ import annotations

import pytest
from acceptance import Record, graph, trained
from test_races import RUNNERS, first_below, raced

pytestmark = pytest.mark.accept

# Steps down Beale's function to 0.01, learning rate and what a first trial gave.
BEALE = {
    "sgd": (0.01, 270), "momentum": (0.003, 60), "nesterov": (0.003, 55), "adagrad": (1.0, 126),
    "rmsprop": (0.1, 65), "adadelta": (1.0, 699), "adam": (0.5, 42),
}  # fmt: skip


def test_the_race_down_beales_function(record: Record) -> None:
    heights, _ = raced(steps=800)
    for name, (lr, steps) in BEALE.items():
        got = first_below(heights[name], 0.01)
        record("optimiser_race", f"steps to 0.01, {name}, rate {lr}", f"{steps} ± 1", got, "–",
               prototype=steps)  # fmt: skip
        assert abs(got - steps) <= 1


def test_all_come_near_the_best_logistic_regression(record: Record) -> None:
    of, seeds = graph("logistic_race"), range(10)
    runs = [trained(of, seed)[0] for seed in seeds]  # a row each epoch
    assert all(len(rows) == 20 for rows in runs)
    start, _ = trained(of, 0, steps=1, epoch=1)
    for name in RUNNERS:
        key = f"above.error_{name}"
        for epoch in (1, 5, 20):
            got = [rows[epoch - 1][key] for rows in runs]
            wanted, mean = "< 0.02" if epoch == 20 else "–", sum(got) / len(got)
            what = f"mean error above the least, epoch {epoch}, {name}"
            record("logistic_race", what, wanted, mean, "0–9")
        assert 0 <= min(got) and max(got) < 0.02 < 0.2 < start[-1][key]
    same = [trained(of, seed, "one_rate_for_all")[0][-1] for seed in seeds[:2]]
    worst = [rows["above.error_adadelta"] for rows in same]
    for seed, found in zip(seeds, worst):
        record("logistic_race", "adadelta at the others' rate", "–", found, seed)
    assert min(worst) > 0.2  # one rate for all says nothing about the methods


@pytest.mark.parametrize("seed", [0, 1])
def test_normalisation_repairs_a_bad_start(seed: int, record: Record) -> None:
    rows, _ = trained(graph("normalisation"), seed)
    plain = rows[-1]["plain_accuracy"]
    record("normalisation", "accuracy after 300 steps, plain", "< 0.3", plain, seed)
    assert plain < 0.3
    for name in ("batch", "layer", "weight"):
        accuracy = rows[-1][f"{name}_accuracy"]
        record("normalisation", f"accuracy after 300 steps, {name} norm", "> 0.9", accuracy, seed)
        assert accuracy > 0.9
    good, _ = trained(graph("normalisation"), seed, start="he")
    record("normalisation", "plain, started well", "> 0.9", good[-1]["plain_accuracy"], seed)
    assert good[-1]["plain_accuracy"] > 0.9  # it was the start
