"""Does moment matching bring samples to the data? `make accept` runs these, for minutes."""

from __future__ import annotations

import pytest
from acceptance import Record, graph, trained

pytestmark = pytest.mark.accept


@pytest.mark.parametrize("seed", [0, 1])
def test_moment_matching_brings_the_samples_to_the_data(seed: int, record: Record) -> None:
    of = graph("gmmn_ae")
    rows, _ = trained(of, seed)
    matching = [r for r in rows if "distance" in r]
    begin, _ = trained(of, seed, steps=1)
    start = begin[-1]["distance"] ** 2
    ratio = start / matching[-1]["distance"] ** 2
    record("gmmn_ae", "held-out MMD² of codes falls by", "≥ 20×", ratio, seed)
    assert ratio >= 20
    pixels = [r["pixel_distance"] for r in (begin[-1], matching[-1])]
    record("gmmn_ae", "MMD² of pixels, untrained generator", "–", pixels[0], seed)
    record("gmmn_ae", "MMD² of pixels", "–", pixels[1], seed)
    assert pixels[1] < pixels[0]
