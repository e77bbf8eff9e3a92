"""The wheel: what is in it, and that it trains from another folder without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from conftest import ROOT


def test_a_wheel_holds_one_package_and_trains_by_itself(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    tops = {path.name for path in site.iterdir()}
    assert tops == {"nodegraph", "nodegraph-0.1.0.dist-info"}
    assert (site / "nodegraph/nodes/ops/source.py").exists()
    assert not list(site.rglob("test_*"))
    code = "import nodegraph; print(nodegraph.__path__)"
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert found.stdout.strip() == repr([str(site / "nodegraph")])
    run = subprocess.run(
        [sys.executable, "-m", "nodegraph", "train", str(site / "nodegraph/graphs/lenet.yaml"),
         "--set", "steps=110", "--out", "run"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    last = next(line for line in reversed(run.stdout.splitlines()) if "accuracy" in line)
    assert float(last.split("accuracy")[1].split()[0]) > 0.85
