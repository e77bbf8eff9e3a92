"""The real window under real events: the cases of `window_cases.py`, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import screen

ROOT = Path(__file__).parents[1]
LACKING = screen.missing()

# In one file, so that one process runs all: two windows are more than two cores can bear.
pytestmark = pytest.mark.gui


def run_cases(name: str, folder: Path, drawn: bool = False) -> int:
    """Run a module of cases in a process and on a screen of its own; how many there were.

    A window stays behind when its context ends, and a crash in it ends the process. Pixels that
    are drawn in software are nine tenths of a turn; so those of the cases that do not look at them
    are left out, by the driver.
    """
    report = folder / "report.xml"
    with screen.xvfb() as display:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", str(ROOT / "tests" / name), f"--junitxml={report}",
             "-p", "no:cacheprovider", "-p", "no:randomly", f"--basetemp={folder / 'cases'}", "-q",
             "--no-header", "--tb=short", "--durations=5", "-m", "drawn" if drawn else "not drawn"],
            cwd=ROOT, capture_output=True, text=True, timeout=600,
            env={**os.environ, "DISPLAY": display, "GALLIUM_NOOP": "" if drawn else "1"},
        )  # fmt: skip
    assert report.exists(), f"the process ended with {done.returncode}\n{done.stdout}{done.stderr}"
    suite = ElementTree.parse(report).getroot()[0]
    failed = [c.get("name") for c in suite if c.find("failure") is not None or c.find("error")]
    assert not failed, f"{', '.join(map(str, failed))}\n{done.stdout}"
    return int(suite.get("tests", "0"))


@pytest.mark.skipif(bool(LACKING), reason=LACKING)
def test_the_window_does_what_people_do_with_it(tmp_path: Path) -> None:
    assert run_cases("window_cases.py", tmp_path) >= 74


@pytest.mark.skipif(bool(LACKING), reason=LACKING)
def test_what_the_window_draws_is_seen(tmp_path: Path) -> None:
    assert run_cases("window_cases.py", tmp_path, drawn=True) >= 2


@pytest.mark.skipif(bool(LACKING), reason=LACKING)
def test_people_train_in_the_window(tmp_path: Path) -> None:
    assert run_cases("live_cases.py", tmp_path) >= 15


def test_without_a_display_one_sentence_says_what_to_do() -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-m", "nodegraph", "edit"], cwd=ROOT, env=environment,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1 and "nodegraph train" in done.stderr
