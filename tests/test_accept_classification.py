"""Do the classifiers read? `make accept` runs these, for minutes."""

from __future__ import annotations

import pytest
from acceptance import Record, graph, trained

pytestmark = pytest.mark.accept


@pytest.mark.parametrize("seed", [0, 1])
def test_lenet_reads_handwriting(seed: int, record: Record) -> None:
    rows, _ = trained(graph("lenet"), seed)
    record("lenet", "accuracy on 397 held-out real digits", "≥ 0.95", rows[-1]["accuracy"], seed)
    assert rows[-1]["accuracy"] >= 0.95
    one_step, _ = trained(graph("lenet"), seed, steps=1)
    assert one_step[-1]["accuracy"] < 0.5  # the network alone is not it
