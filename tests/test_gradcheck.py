"""The check of gradients: it passes what is right, and names what is wrong and by how much."""

from __future__ import annotations

from typing import Any

import nodegraph.nodes.custom as custom
import pytest
import torch
from conftest import ROOT
from torch.nn import functional

import nodegraph
from nodegraph import cli, library
from nodegraph.checks import settled
from nodegraph.compiler.gradcheck import Report, built, check_graph, check_type
from nodegraph.graph import GraphError, choose
from nodegraph.library import Library
from nodegraph.node import Axes, Input, Layer, Metric, Optimiser, Output, Schedule, Source, View

LIBRARY = library.standard()
GRAPH = ROOT / "graphs" / "custom_layer.yaml"
WRITTEN = [n for n, c in LIBRARY.types.items() if issubclass(c, Layer)]
GIVEN = {  # that fit small inputs
    "Reshape": {"size": (2, 2)},
    "ThinPlateGrid": {"points": 2},
    "PixelUnshuffle": {"factor": 1},
}
NEVER = (Source, Schedule, Optimiser, View, Metric)


def report_on(declared: type[Layer], **given: Any) -> Report:
    """The report on a type that is in no library."""
    return check_type(Library({declared.__name__: declared}), declared.__name__, given)


def found(report: Report) -> dict[str, bool]:
    return {f.name: f.right for f in report.findings}


@pytest.mark.parametrize("name", list(LIBRARY))
def test_the_gradient_of_each_type_is_right_or_it_says_that_it_has_none(name: str) -> None:
    report = check_type(LIBRARY, name, GIVEN.get(name, {}))
    assert report.right, str(report)
    declared = LIBRARY[name]
    if issubclass(declared, NEVER) or declared.stops_gradient:
        assert not report.findings and "no gradient" in str(report)
    elif declared.inputs and any(p.kind != "labels" and p.needed for p in declared.inputs.values()):
        assert report.findings and "not judged" not in str(report)


def test_each_input_and_weight_of_a_layer_is_checked() -> None:
    assert len(WRITTEN) == 6
    assert [*found(check_type(LIBRARY, "CustomConv2d", {}))] == ["x", "weight", "bias"]
    assert [*found(check_type(LIBRARY, "CustomSampler", {}))] == ["x", "grid"]


class WrongSign(custom.CustomLinear):
    """Right, but for the sign of dW."""

    def backward(self, dy: Any, x: Any, weight: Any, bias: Any, y: Any) -> Any:
        dx, dw, db = super().backward(dy, x, weight, bias, y)
        return dx, -dw, db


class OneNumber(custom.CustomLinear):
    """Right, but for one number of dx."""

    def backward(self, dy: Any, x: Any, weight: Any, bias: Any, y: Any) -> Any:
        dx, dw, db = super().backward(dy, x, weight, bias, y)
        dx[1, 2] += 0.5
        return dx, dw, db


class Forgotten(custom.CustomLinear):
    """Has no gradient for its weight."""

    def backward(self, dy: Any, x: Any, weight: Any, bias: Any, y: Any) -> Any:
        dx, _, db = super().backward(dy, x, weight, bias, y)
        return dx, None, db


class TooFew(custom.CustomLinear):
    """Returns dx alone."""

    def backward(self, dy: Any, x: Any, weight: Any, bias: Any, y: Any) -> Any:
        return dy @ weight


class NotReduced(custom.CustomLinear):
    """Forgets that the bias was repeated for each example."""

    def backward(self, dy: Any, x: Any, weight: Any, bias: Any, y: Any) -> Any:
        dx, dw, _ = super().backward(dy, x, weight, bias, y)
        return dx, dw, dy


def test_a_wrong_sign_of_dw_alone_is_found_by_name_and_size() -> None:
    report = report_on(WrongSign)
    assert found(report) == {"x": True, "weight": False, "bias": True}
    wrong = next(f for f in report.findings if not f.right)
    assert "off by 200 %" in wrong.text and "-1 times what is right" in wrong.text
    assert found(report_on(custom.CustomLinear)) == {"x": True, "weight": True, "bias": True}


def test_one_wrong_number_is_found_at_its_place() -> None:
    report = report_on(OneNumber)
    assert found(report) == {"x": False, "weight": True, "bias": True}
    assert "at [1, 2]" in str(report) and "1 of 24 numbers are wrong" in str(report)


@pytest.mark.parametrize(
    "declared, words",
    [
        (Forgotten, "weight: WRONG: it gets no gradient"),
        (TooFew, "TooFew.backward returned 1 gradients, forward has 3 inputs and weights"),
        (NotReduced, r"gradient 3 has the shape (3, 2), its value (2,); sum over"),
    ],
)
def test_what_backward_leaves_out_is_told(declared: type[Layer], words: str) -> None:
    report = report_on(declared)
    assert not report.right and words in str(report)


class Doubled(custom.CustomReversal):
    """Reverses twice as strongly as it says."""

    def backward(self, dy: Any, x: Any, strength: Any, y: Any) -> Any:
        return -2 * strength * dy, None


class Plain(custom.CustomReversal):
    """A reversal that does not say that it is one."""

    gradient_times = ""


@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_a_reversal_is_checked_exactly_instead(strength: float) -> None:
    for name in ("GradientReversal", "CustomReversal"):
        report = check_type(LIBRARY, name, {"strength": strength})
        assert report.right and f"-{strength:g} times its gradient, exactly" in str(report)
    doubled = report_on(Doubled, strength=strength)
    assert not doubled.right and "-2 times it" in str(doubled) or strength != 1.0
    assert not doubled.right and not report_on(Plain, strength=strength).right


FIRST: dict[str, torch.Tensor] = {}


class Kinked(Layer):
    """|x − c|, with c where it is first called, except for the last row, which is a line."""

    x = Input("N D")
    y = Output("N D")

    def forward(self, x: Any) -> Any:
        away = (x - FIRST.setdefault("c", x.detach().clone())).abs()
        return torch.cat([away[:-1], 3 * x[-1:]])

    def backward(self, dy: Any, x: Any, y: Any) -> Any:
        return torch.cat([0 * dy[:-1], 3 * dy[-1:]])


def test_numbers_at_a_kink_are_not_judged() -> None:
    report = report_on(Kinked)
    assert report.right and "(8 of 24 numbers)" in str(report)  # only the line was


def test_the_nodes_of_a_graph_are_checked_by_their_places() -> None:
    graph = settled(choose(nodegraph.load(GRAPH), "quick"))
    reports = {r.name: r for r in check_graph(graph, LIBRARY)}
    assert {"features/conv1", "features/pool2", "hidden", "loss"} <= reports.keys()
    assert "digits" not in reports and "adam" not in reports  # they have none
    assert all(r.right for r in reports.values())
    assert [r.name for r in check_graph(graph, LIBRARY, "features/conv1")] == ["features/conv1"]
    with pytest.raises(GraphError, match="no node 'feature' to check; did you mean 'features"):
        check_graph(graph, LIBRARY, "feature")


def test_gradcheck_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gradcheck", "CustomLinear", "--set", "features=3"]) == 0
    assert "weight: right" in capsys.readouterr().out
    assert cli.main(["gradcheck", f"{GRAPH}:hidden"]) == 0
    assert capsys.readouterr().out.startswith("hidden:\n  x: right")
    assert cli.main(["gradcheck", "Digits"]) == 0
    assert "Digits has no gradient" in capsys.readouterr().out
    assert cli.main(["gradcheck", "CustomLinea"]) == 1
    assert "did you mean 'CustomLinear'" in capsys.readouterr().err


# The layers that are written out ------------------------------------------------------------------


def layer(name: str, at: Axes, **params: Any) -> Any:
    return built(LIBRARY[name](**params).recipe(at), "nodegraph.nodes")


def both(ours: Any, theirs: Any, *inputs: torch.Tensor) -> None:
    """The same values, and the same gradients for all inputs."""
    results = []
    for f in (ours, theirs):
        given = [x.clone().requires_grad_() for x in inputs]
        y = f(*given)
        torch.manual_seed(3)
        results.append([y, *torch.autograd.grad((y * torch.rand_like(y)).sum(), given)])
    for one, other in zip(*results):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_the_written_layers_are_those_of_torch() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 9, 7)
    conv = layer("CustomConv2d", Axes(C=4, H=9, W=7), channels=5, kernel=3, padding=1)
    both(conv, lambda x: functional.conv2d(x, conv.weight, conv.bias, padding=1), x)
    both(layer("CustomMaxPool2d", Axes()), lambda x: functional.max_pool2d(x, 2), x)
    both(layer("CustomReLU", Axes()), torch.relu, x)
    grid = torch.rand(3, 5, 6, 2) * 2.6 - 1.3  # some of it outside of the image
    both(layer("CustomSampler", Axes()),
         lambda x, g: functional.grid_sample(x, g, align_corners=False), x, grid)  # fmt: skip


def losses(preset: str, seed: int) -> list[float]:
    graph, found = nodegraph.load(GRAPH), []
    for event in nodegraph.train(graph, preset, {"steps": 20}, seed=seed, device="cpu"):
        if hasattr(event, "losses"):
            found.append(event.losses["loss"].item())
    return found


def test_lenet_of_written_layers_learns_as_lenet_of_built_in_ones() -> None:
    written, built_in, other = losses("quick", 0), losses("built_in", 0), losses("built_in", 1)
    assert len(written) == len(built_in) == 20
    assert max(abs(a - b) for a, b in zip(written, built_in)) < 1e-5
    assert max(abs(a - b) for a, b in zip(written, other)) > 1e-3
    assert written[-1] < written[0] - 0.2
