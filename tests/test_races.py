"""The races of optimisers: what is exact, against formulas written out in plain numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from acceptance import draw, graph
from nodegraph.nodes.ops.surfaces import HEIGHTS, surface
from torch import Tensor, nn

import nodegraph
from nodegraph.library import standard
from nodegraph.training.run import checked
from nodegraph.training.trainer import Finished, Stepped, Trainer, Watched

LIBRARY = standard()
RUNNERS = "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam"
Point = tuple[float, float]


def raced(preset: str = "", **settings: Any) -> tuple[dict[str, list[float]], dict[str, Point]]:
    """The height of each runner before each step of a race, and where it was at the end."""
    heights: dict[str, list[float]] = {name: [] for name in RUNNERS}
    ends: dict[str, Point] = {}
    for event in nodegraph.train(graph("optimiser_race"), preset, settings):
        if isinstance(event, Stepped):
            for name in RUNNERS:
                heights[name].append(event.losses[f"{name}.runner.height"].item())
        elif isinstance(event, Finished):
            ends = {n: tuple(event.state[f"{n}.runner.point.value"].tolist()) for n in RUNNERS}
    return heights, ends


def first_below(heights: list[float], level: float) -> int:
    """The steps until a height is below a level; −1 if it never is."""
    return next((i for i, h in enumerate(heights) if h < level), -1)


def gradient(name: str, w: list[float]) -> list[float]:
    """The slope of a surface, by formulas."""
    x, y = w
    if name == "saddle":
        return [2 * x, -2 * y]
    if name == "long valley":
        return [0.02 * x, 10 * y]
    parts = [(1.5 - x + x * y, y), (2.25 - x + x * y**2, y**2), (2.625 - x + x * y**3, y**3)]
    return [
        sum(2 * f * (p - 1) for f, p in parts),
        sum(2 * f * x * k * y ** (k - 1) for k, (f, _) in enumerate(parts, 1)),
    ]


def by_hand(method: str, lr: float, w: list[float], steps: int, name: str = "beale") -> list[float]:
    """Where torch's formulas lead, number by number."""
    v, s, d = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
    for t in range(1, steps + 1):
        g = gradient(name, w)
        for i in range(2):
            if method == "sgd":
                w[i] -= lr * g[i]
            elif method in ("momentum", "nesterov"):
                v[i] = 0.9 * v[i] + g[i]
                w[i] -= lr * (v[i] if method == "momentum" else g[i] + 0.9 * v[i])
            elif method == "adagrad":
                s[i] += g[i] ** 2
                w[i] -= lr * g[i] / (math.sqrt(s[i]) + 1e-10)
            elif method == "rmsprop":
                s[i] = 0.9 * s[i] + 0.1 * g[i] ** 2
                w[i] -= lr * g[i] / (math.sqrt(s[i]) + 1e-8)
            elif method == "adadelta":
                s[i] = 0.9 * s[i] + 0.1 * g[i] ** 2
                step = math.sqrt(d[i] + 1e-6) / math.sqrt(s[i] + 1e-6) * g[i]
                d[i] = 0.9 * d[i] + 0.1 * step**2
                w[i] -= lr * step
            else:
                v[i] = 0.9 * v[i] + 0.1 * g[i]
                s[i] = 0.999 * s[i] + 0.001 * g[i] ** 2
                high, low = math.sqrt(s[i] / (1 - 0.999**t)), 1 - 0.9**t
                w[i] -= lr * v[i] / low / (high + 1e-8)
    return w


@pytest.mark.parametrize("preset,steps", [("", 200), ("friendly", 200), ("long_valley", 200),
                                          ("saddle", 60)])  # fmt: skip
def test_each_runner_goes_as_its_formula_written_out(preset: str, steps: int) -> None:
    of = graph("optimiser_race")
    # RMSprop's jitter with a long step is chaotic: after 200 steps the last digits have grown.
    calm = {"rmsprop": 0.001}
    params = {**of.params, **of.presets[preset or "quick"], **calm}
    start = [float(n) for n in params["start"].split()[1:]]
    _, ends = raced(preset, steps=steps, **calm)
    for name in RUNNERS:
        wanted = by_hand(name, params[name], [*start], steps, params["surface"])
        if max(map(abs, wanted)) < params["limit"]:
            assert ends[name] == pytest.approx(wanted, abs=1e-10), name
    assert ends["sgd"] != pytest.approx(by_hand("sgd", 0.011, [*start], steps), abs=1e-10)


@pytest.mark.parametrize(
    "name,settings,wanted",
    [
        ("sgd", {}, 270), ("momentum", {}, 60), ("nesterov", {}, 55), ("adagrad", {}, 126),
        ("adagrad", {"adagrad": 0.5}, 255), ("rmsprop", {"rmsprop": 0.01}, 310),
        ("rmsprop", {}, 65), ("adadelta", {}, 699), ("adam", {"adam": 0.1}, 173), ("adam", {}, 42),
    ],
)  # fmt: skip
def test_steps_down_beales_function(name: str, settings: dict[str, float], wanted: int) -> None:
    heights, _ = raced(steps=wanted + 5, **settings)
    assert abs(first_below(heights[name], 0.01) - wanted) <= 1


def test_too_large_a_step_shoots_off_and_the_others_race_on() -> None:
    heights, ends = raced("shoots_off", steps=60)
    for name, within in (("momentum", 8), ("nesterov", 7)):
        far = [i for i, h in enumerate(heights[name]) if h > 1e6]
        assert far and far[0] <= within
        assert max(map(abs, ends[name])) > 1e3 and all(map(math.isfinite, ends[name]))
    assert heights["adam"][42] < 0.01 and heights["sgd"][-1] < heights["sgd"][0]


def test_steps_off_the_saddle() -> None:
    wanted = {"sgd": 73, "momentum": 72, "nesterov": 67, "adagrad": 17, "rmsprop": 4,
              "adadelta": 31, "adam": 11}  # fmt: skip
    made = Trainer(checked(graph("optimiser_race"), "saddle", {"steps": 100}))
    left: dict[str, int] = {}
    for step in range(1, 101):
        [*made.advance()]
        for name in RUNNERS:
            if abs(made.net.state_dict()[f"{name}.runner.point.value"][1]) > 1:
                left.setdefault(name, step)
    assert left == pytest.approx(wanted, abs=1)
    _, ends = raced("saddle", start="values -1.5 0")
    assert all(y == 0 for _, y in ends.values())  # without a push nothing leaves


def moved(optimiser: Any, steps: int, scale: float = 1.0) -> list[Tensor]:
    """Where an optimiser is after each step down Beale's function."""
    (weight,) = optimiser.param_groups[0]["params"]
    trail = []
    for _ in range(steps):
        optimiser.zero_grad()
        (scale * surface(weight, "beale", 1e3)).backward()
        optimiser.step()
        trail.append(weight.detach().clone())
    return trail


def optimiser_of(node: str, lr: float, **params: Any) -> Any:
    """An optimiser of the library over a point of its own."""
    from test_nodes import callable_of

    weight = nn.Parameter(torch.tensor([1.0, 1.5], dtype=torch.float64))
    numbers = {"momentum": params.pop("momentum", 0.0)} if node == "SGD" else {}  # may be linked
    made = LIBRARY[node](over=("net",), **params)
    recipe = made.recipe(made.bind({}))
    return callable_of(recipe.target)([weight], lr=lr, **numbers, **recipe.kwargs)


@pytest.mark.parametrize("node,lr,params", [
    ("SGD", 0.01, {}), ("SGD", 0.003, {"momentum": 0.9}),
    ("SGD", 0.003, {"momentum": 0.9, "nesterov": True}), ("Adagrad", 0.5, {}),
    ("RMSprop", 0.01, {}), ("Adam", 0.1, {}),
])  # fmt: skip
def test_the_lectures_formula_differs_from_torchs_only_by_eps(
    node: str, lr: float, params: dict[str, Any]
) -> None:
    def apart(eps: float) -> float:
        more = params if node == "SGD" else {**params, "eps": eps}
        ours, theirs = (moved(optimiser_of(node, lr, **more, formula=f), 50)
                        for f in ("lecture", "torch"))  # fmt: skip
        return max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))

    assert apart(1e-16) < 1e-9
    if node != "SGD":
        assert apart(1e-2) > 1e-6 > apart(1e-16)


def test_the_lectures_velocity_keeps_the_rate_that_it_was_made_with() -> None:
    weights = [nn.Parameter(torch.ones((), dtype=torch.float64)) for _ in range(2)]
    lecture = optimiser_of("SGD", 0.1, momentum=0.9, formula="lecture")
    theirs = optimiser_of("SGD", 0.1, momentum=0.9)
    for optimiser, weight in zip((lecture, theirs), weights, strict=True):
        optimiser.param_groups[0]["params"] = [weight]
        for lr, g in ((0.1, 1.0), (0.01, 0.0)):
            optimiser.param_groups[0]["lr"] = lr
            weight.grad = torch.full_like(weight, g)
            optimiser.step()
    assert weights[0].item() == pytest.approx(1 - 0.1 - 0.09)
    assert weights[1].item() == pytest.approx(1 - 0.1 - 0.009)


def test_torch_holds_the_look_ahead_of_nesterovs_method() -> None:
    w, v = [1.0, 1.5], [0.0, 0.0]
    trail = moved(optimiser_of("SGD", 0.003, momentum=0.9, nesterov=True), 30)
    for place in trail:
        g = gradient("beale", [a + 0.9 * b for a, b in zip(w, v)])
        v = [0.9 * b - 0.003 * c for b, c in zip(v, g)]
        w = [a + b for a, b in zip(w, v)]
        ahead = [a + 0.9 * b for a, b in zip(w, v)]
        assert place.tolist() == pytest.approx(ahead, abs=1e-12)


def test_adadelta_does_not_see_the_scale_of_the_surface() -> None:
    def end(node: str, lr: float, scale: float) -> Tensor:
        return moved(optimiser_of(node, lr, **({"rho": 0.9} if node == "Adadelta" else {})), 100,
                     scale)[-1]  # fmt: skip

    assert (end("Adadelta", 1.0, 1) - end("Adadelta", 1.0, 100)).abs().max() < 1e-3
    assert (end("SGD", 1e-4, 1) - end("SGD", 1e-4, 100)).abs().max() > 0.1


@pytest.mark.parametrize("name", list(HEIGHTS))
def test_a_surface_has_the_slope_of_its_formula_and_is_flat_outside(name: str) -> None:
    torch.manual_seed(0)
    point = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: surface(p, name, 1e3), point)
    (slope,) = torch.autograd.grad(surface(point, name, 1e3), point)
    assert slope.tolist() == pytest.approx(gradient(name, point.tolist()))
    out = torch.tensor([1e30, 0.5], dtype=torch.float64, requires_grad=True)
    height = surface(out, name, 1e3)
    assert torch.isfinite(height)
    assert torch.autograd.grad(height, out)[0].tolist() == [0, 0]


def test_beales_minimum_and_saddle() -> None:
    assert HEIGHTS["beale"](3.0, 0.5) == 0 and HEIGHTS["beale"](0.0, 1.0) == 14.203125
    assert gradient("beale", [0.0, 1.0]) == [0, 0]


def test_the_race_with_noise_measures_what_is_above_the_least_error() -> None:
    watched, state = {}, {}
    for event in nodegraph.train(graph("logistic_race"), settings={"steps": 3, "epoch": 1}):
        if isinstance(event, Watched):
            watched = event.metrics
        elif isinstance(event, Finished):
            state = event.state
    point, label = draw(graph("logistic_race"), "everything").draw()[:2]

    def error(w: Tensor) -> float:
        return nn.functional.binary_cross_entropy_with_logits(point @ w, label).item()

    least = error(state["best.weight"].T)
    for name in RUNNERS:
        above = error(state[f"{name}.w.value"]) - least
        assert watched[f"above.error_{name}"] == pytest.approx(above, abs=1e-6)
        assert above > 0.1  # it is at the beginning
