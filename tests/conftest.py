"""What all tests share: one torch thread, so that runs repeat and tests can run side by side."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

# How fast examples are made tells how busy the machine is.
settings.register_profile("any pace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any pace")

ROOT = Path(__file__).parents[1]
GRAPHS = sorted((ROOT / "graphs").glob("*.yaml"))
LEARNING = [path for path in GRAPHS if "run: [" in path.read_text("utf-8")]  # others only look


@pytest.fixture
def small() -> dict[str, dict[str, object]]:
    """Settings that make each prebuilt graph small enough for a few steps in a test."""
    return {
        "dann": {"count": 300},
        "dcgan": {"batch": 16},
        "dann_large": {"batch": 8},
        "ddc": {"batch": 16},
        "subspace_alignment": {"batch": 16, "batches": 3, "again_steps": 3},
        "nice": {"batch": 16},
        "realnvp": {"batch": 16},
        "realnvp_multiscale": {"batch": 4},
        "pixelcnn": {"batch": 8, "canvas": (2, 1, 14, 14), "draws": 3},
        "texture_random_filters": {"size": 56, "image": (1, 3, 56, 56), "maps": 4},
        "texture_gatys": {"size": 16, "image": (1, 3, 16, 16), "iterations": 4},
        "neural_style": {"size": 24, "style_size": 24},
        "style_net_residual": {"batch": 1, "size": 44, "style_size": 16},
        "style_net": {"batch": 2, "size": 16, "style_size": 16},
        "texture_net": {"optimise_steps": 3},
        "spatial_transformer": {"batch": 16},
        "deepwarp": {"batch": 8, "held_out": 40},
        "gmmn_ae": {"batch": 50, "count": 300},
        "attribute_editing": {"batch": 8, "pairs": 3},
        "gan": {"batch": 16, "count": 60},
        "gan_ring": {"batch": 32},
        "ebgan": {"batch": 16, "count": 60},
        "gmmn": {"batch": 50, "count": 300},
        "lapgan": {"batch": 8, "count": 30, "maps": 4, "coarse_steps": 2, "middle_steps": 2},
        "deepsim": {"batch": 8, "count": 30, "first_steps": 2},
        "quality_panel": {"batch": 16, "count": 40, "held_out": 30, "classifier_steps": 2},
        "feature_inversion": {"size": 16, "image": (1, 3, 16, 16)},
        "fgsm": {"train_steps": 3, "count": 8, "shape": (8, 1, 16, 16)},
        "pgd": {"train_steps": 3, "count": 8, "shape": (8, 1, 16, 16)},
        "adversarial_example": {
            "train_steps": 3,
            "count": 8,
            "shape": (8, 1, 16, 16),
            "prices": (8,),
        },
    }


def pytest_configure(config: pytest.Config) -> None:
    """A GPU is for `make gpu` alone: elsewhere numbers are compared to the last bit, and many
    processes side by side would share its memory."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest first, so that processes side by side end together."""
    items.sort(key=lambda item: item.get_closest_marker("gui") is None)


# The table of `make accept` -----------------------------------------------------------------------

ROWS: dict[tuple[str, ...], tuple[str, ...]] = {}
RESULTS = ROOT / "graphs" / "RESULTS.md"
HEAD = """# Results

Written by `make accept`: each row is a figure of a prebuilt graph after training its quick preset
(or the preset that the row names; attacks are on a run of `lenet`, its digits enlarged bilinearly),
on data that training never saw, counted in iterations, on a CPU. Baselines and controls are broken
or trivial twins that show what the figure would be without learning. ✗ marks what misses what was
wanted; the reasons stand below the table. A prototype is what the same small preset gave when it
was first tried, written by hand, mostly with one seed. The paper's figure is on its own data and
sizes, so it says how far the small preset is from the real thing.

| graph | figure | seed | wanted | got | prototype | paper |
|---|---|--:|--:|--:|--:|--:|
"""


SHORT = "\n## Where it falls short\n\n"
NUMBER = r"(-?[\d.]+(?:e-?\d+)?)"
BOUND = re.compile(rf"([<>≤≥]) {NUMBER}(?:/(\d+))?(?:×| of \d+)?")
RANGE = re.compile(rf"{NUMBER}(?: to |–){NUMBER}")
AROUND = re.compile(rf"{NUMBER} ± {NUMBER}")


def shown(value: float | str) -> str:
    """A figure of the table."""
    return value if isinstance(value, str) else f"{value:.4g}"


def misses(got: float, wanted: str) -> bool:
    """Whether a figure is beyond a bound that is a number; other bounds are in the tests."""
    if ends := RANGE.fullmatch(wanted):
        return not float(ends[1]) <= got <= float(ends[2])
    if about := AROUND.fullmatch(wanted):
        return not abs(got - float(about[1])) <= float(about[2])
    found = BOUND.fullmatch(wanted)
    if not found:
        return False
    bound = float(found[2]) / float(found[3] or 1)
    met = {"<": got < bound, "≤": got <= bound, ">": got > bound, "≥": got >= bound}
    return not met[found[1]]


@pytest.fixture
def record() -> Callable[..., None]:
    """Take a row for the table; `missed` where the bound is no number, and not met."""

    def take(
        graph: str,
        figure: str,
        wanted: str,
        got: float,
        seed: object,
        *,
        prototype: float | str = "",
        paper: float | str = "",
        missed: bool = False,
    ) -> None:
        row = graph, figure, str(seed), wanted
        mark = " ✗" if missed or misses(got, wanted) else ""
        ROWS[row] = shown(got) + mark, shown(prototype), shown(paper)

    return take


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the rows of this run, and put them into graphs/RESULTS.md beside those of others."""
    if not ROWS:
        return
    for (graph, figure, seed, wanted), (got, *_) in ROWS.items():
        terminalreporter.write_line(f"{graph:<24} {figure:<44} {seed:>4} {wanted:>12} {got:>10}")
    known: dict[tuple[str, ...], tuple[str, ...]] = {}  # by graph, figure, seed
    for line in RESULTS.read_text(encoding="utf-8").splitlines():
        cells = tuple(c.strip() for c in line.strip("|").split("|"))
        if line.startswith("| ") and cells[0] != "graph":
            known[cells[:3]] = cells[3:]
    rows = known | {k[:3]: (*k[3:], *v) for k, v in ROWS.items()}
    lines = [f"| {' | '.join([*k, *v])} |" for k, v in sorted(rows.items(), key=lambda r: r[0][0])]
    RESULTS.write_text(HEAD + "\n".join(lines) + "\n" + reasons(terminalreporter), encoding="utf-8")


def reasons(terminalreporter: pytest.TerminalReporter) -> str:
    """What the tests that fall short say, of this run and, of others, what is there already."""
    reports = [r for kind in ("passed", "xfailed") for r in terminalreporter.stats.get(kind, ())]
    ran = {r.nodeid.partition("::")[2]: getattr(r, "wasxfail", "") for r in reports}
    known = dict(re.findall(r"^- `(.*?)`: (.*)$", RESULTS.read_text(encoding="utf-8"), re.M))
    known |= {test: why.removeprefix("reason: ") for test, why in ran.items()}
    lines = [f"- `{test}`: {why}\n" for test, why in sorted(known.items()) if why]
    return SHORT + "".join(lines) if lines else ""
