"""Does the panel order what is known to be good and bad? `make accept` runs these, for minutes."""

from __future__ import annotations

import pytest
from acceptance import Record, graph, trained

pytestmark = pytest.mark.accept

CONTROLS = ("real", "untrained", "noise", "mean", "blurred", "collapsed", "copied")
SHOWN = ("kernel_distance", "precision", "recall", "entropy", "told_apart", "copy_pixels")


@pytest.mark.parametrize("seed", [0, 1])
def test_the_panel_orders_its_controls(seed: int, record: Record) -> None:
    rows, _ = trained(graph("quality_panel"), seed)
    accuracy = max(row["accuracy"] for row in rows if "accuracy" in row)
    last = rows[-1]
    found = {name: {k.split(".")[1]: v for k, v in last.items() if k.startswith(f"of_{name}.")}
             for name in CONTROLS}  # fmt: skip
    found["generator"] = {k.split(".")[1]: v for k, v in last.items() if k.startswith("panel.")}
    record("quality_panel", "accuracy of the classifier", "≥ 0.97", accuracy, seed, prototype=0.99)
    for name, values in found.items():
        for metric in SHOWN:
            figure = f"{metric.replace('_', ' ')} of {name.replace('_', ' ')}"
            record("quality_panel", figure, "–", values[metric], seed)
    real, made, copied = found["real"], found["generator"], found["copied"]
    bad = [found[n] for n in ("untrained", "noise", "mean", "blurred", "collapsed")]
    assert accuracy >= 0.97
    # The floor: real against real is as good as a memoriser, and nothing is better.
    assert abs(real["kernel_distance"]) < 0.1 * made["kernel_distance"]
    assert abs(copied["kernel_distance"]) < made["kernel_distance"]
    assert min(real["precision"], real["recall"]) >= 0.95
    assert real["p_value"] > 0.01 and real["mmd_ratio"] < 1.5
    assert real["told_apart"] == pytest.approx(0.5, abs=0.05)
    assert real["entropy"] >= 3.28
    # The trained generator lies between real images and all that is bad.
    assert all(made["kernel_distance"] < b["kernel_distance"] for b in bad)
    assert all(made["frechet_distance"] < b["frechet_distance"] for b in bad)
    assert all(made["told_apart"] < b["told_apart"] for b in bad)
    assert all(b["recall"] <= 0.1 < made["recall"] for b in bad)
    assert all(b["p_value"] < 0.01 for b in bad)
    assert real["told_apart"] < made["told_apart"]
    # Precision alone is deceived by a collapsed generator; recall is not.
    assert found["collapsed"]["precision"] >= 0.99 and found["collapsed"]["recall"] <= 0.02
    assert found["noise"]["precision"] <= 0.05 and found["untrained"]["precision"] <= 0.05
    assert found["mean"]["entropy"] < 2.5 < made["entropy"]
    # Only a memoriser rings the alarm of copies.
    assert copied["copy_pixels"] <= 0.1 and copied["copy_features"] <= 0.1
    assert copied["precision"] >= 0.95 and copied["recall"] >= 0.95
    assert min(v["copy_pixels"] for v in found.values() if v is not copied) > 0.5
    assert real["copy_pixels"] == pytest.approx(1.0, abs=0.1)
