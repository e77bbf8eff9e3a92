"""Training in the real window: the cases of `live_cases.py`, in a process of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import screen
from test_window import run_cases

LACKING = screen.missing()

# One process runs both: two windows drawn in software are more than two cores can bear.
pytestmark = [pytest.mark.gui, pytest.mark.xdist_group("gui")]


@pytest.mark.skipif(bool(LACKING), reason=LACKING)
def test_people_train_in_the_window(tmp_path: Path) -> None:
    assert run_cases("live_cases.py", tmp_path) >= 5
