"""No file can crash, stall or fill the program: each gives clear lines, fast, in little memory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import hostile
import pytest

ROOT = Path(__file__).parents[1]
SECONDS = 10.0  # of this process's own time, beyond which it stalls; the slowest takes 1
MEGABYTES = 200  # the largest takes 80


@pytest.mark.parametrize("group", hostile.CASES)
def test_hostile_files_give_clear_errors(group, tmp_path):
    paths = []
    for name, raw in hostile.CASES[group]().items():
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_bytes(raw)
    done = subprocess.run(
        [sys.executable, Path(hostile.__file__), *paths],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(paths)
    for path, status, seconds, megabytes, said in results:
        assert status == 1, path
        assert "Traceback" not in said, said
        lines = said.splitlines()
        assert lines, path
        for line in lines:
            assert re.match(re.escape(path) + r":\d+: .", line), line
            assert line.isprintable() and len(line) < len(path) + 600
        assert seconds < SECONDS, (path, seconds)
        assert megabytes < MEGABYTES, (path, megabytes)
    assert not (tmp_path / "hacked").exists()


def test_there_are_many_of_them():
    assert sum(len(make()) for make in hostile.CASES.values()) >= 140
