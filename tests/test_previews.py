"""Previews of a run: the same examples at every tick, and not a bit of training changed."""

from __future__ import annotations

import copy
import gc
import itertools
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import GRAPHS, ROOT
from torch import Tensor

import nodegraph
from nodegraph import files, layout
from nodegraph.checks import settled
from nodegraph.compiler.script import standalone_source, training_source
from nodegraph.graph import Graph
from nodegraph.library import Library, standard
from nodegraph.node import Axes, Function, Input, Recipe, View
from nodegraph.picture import VIEW, is_view
from nodegraph.scope import Scope
from nodegraph.training import past
from nodegraph.training import trainer as trainer_module
from nodegraph.training.previews import Preview, Previews
from nodegraph.training.run import checked, restore, start
from nodegraph.training.trainer import Options, Stepped, Trainer
from nodegraph.unfold import unfold

LIBRARY = standard()

TINY = """nodegraph: 1
title: Tiny
groups:
  Inner:
    inputs: {x: N C H W}
    outputs: {y: norm, also: relu}
    nodes:
      conv: {type: Conv2d, channels: 4, kernel: 3, in: {x: x}}
      norm: {type: BatchNorm2d, in: {x: conv}}
      relu: {type: ReLU, in: {x: norm}}
      maps: {type: FeatureMaps, in: {x: relu}}
  Outer:
    inputs: {x: N C H W}
    outputs: {z: flat}
    nodes:
      a: {type: Inner, in: {x: x}}
      flat: {type: Flatten, in: {x: a.also}}
nodes:
  data: {type: FontDigits, batch: 8, count: 64, held_out: 40}
  net: {type: Outer, in: {x: data.image}}
  drop: {type: Dropout, p: 0.5, in: {x: net}}
  scores: {type: Linear, features: 10, in: {x: drop}}
  loss: {type: CrossEntropy, in: {logits: scores, labels: data.label}}
  rate: {type: StepDecay, start: 0.01, every: 2}
  adam: {type: Adam, over: [net, scores], in: {loss: loss, lr: rate}}
VIEWS
train:
  - {stage: learn, steps: 6, run: [adam]}
"""
VIEWS = """
  images: {type: ImageGrid, columns: 4, rows: 1, in: {images: data.image}}
  points: {type: Scatter, most: 20, in: {points: net, labels: data.label}}
  wrong: {type: ConfusionMap, most: 20, in: {logits: scores, labels: data.label}}
  kernels: {type: Filters, of: [net]}
  numbers: {type: TextTable, in: {values: [loss, rate]}}
"""


def tiny(views: str = VIEWS) -> Graph:
    return files.parse(TINY.replace("VIEWS", views)).graph


def trainer_of(graph: Graph, steps: int = 0, **settings: object) -> Trainer:
    """A trainer after some steps."""
    trainer = start(graph, settings=settings, options=Options(device="cpu"))
    advance(trainer, steps)
    return trainer


def advance(trainer: Trainer, steps: int) -> None:
    """Some more steps."""
    if trainer.stage is None and steps:
        trainer.enter()
    for _ in range(steps):
        trainer.step()


def looked(trainer: Trainer, *peeks: str, views: list[str] | None = None) -> dict[str, Preview]:
    previews = Previews(trainer)
    previews.look(views, peeks)
    return {p.header["name"]: p for p in previews.compute()}


def test_training_does_not_know_of_views() -> None:
    for make in (training_source, standalone_source):
        texts = []
        for views in (VIEWS, ""):
            trainer = trainer_of(tiny(views))
            texts.append(make(trainer.body, trainer.graph, "tiny"))
        assert texts[0] == texts[1]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("when", ["every step", "never"])
def test_weights_are_the_same_bit_for_bit_with_previews(when: str, theme: str) -> None:
    plain = trainer_of(tiny(""), 6)
    watched = trainer_of(tiny())
    previews = Previews(watched)
    previews.look(None, ["net/a/conv", "data.image"], probes=True, theme=theme)
    for _ in range(6):
        advance(watched, 1)
        if when == "every step":
            results = previews.compute()
            assert {p.header["kind"] for p in results} <= {"picture", "probe"}, results
    for (name, a), b in zip(
        plain.net.state_dict().items(), watched.net.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    assert torch.equal(torch.get_rng_state(), torch.get_rng_state())
    for a, b in zip(plain.sources.values(), watched.sources.values(), strict=True):
        assert all(map(torch.equal, a.draw(), b.draw()))


def test_a_preview_that_drew_from_training_would_be_noticed() -> None:
    """The control of the test above: one draw more, and the weights differ."""
    plain, other = trainer_of(tiny(""), 1), trainer_of(tiny(""), 1)
    other.sources["data"].draw()
    advance(plain, 1), advance(other, 1)
    pairs = zip(plain.net.parameters(), other.net.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


def test_everything_stands_where_it_stood() -> None:
    trainer = trainer_of(tiny(), 2)
    trainer.net.get_submodule("drop").eval()
    modes = [m.training for m in trainer.net.modules()]
    state = copy.deepcopy(trainer.net.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in trainer.net.parameters()]
    sources = copy.deepcopy(trainer.sources["data"].state())
    torch_state, numpy_state, python_state = (
        torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(),
    )  # fmt: skip
    previews = Previews(trainer)
    previews.look(None, ["scores", "nothing.here"], probes=True)
    previews.compute()
    assert [m.training for m in trainer.net.modules()] == modes
    assert all(torch.equal(a, state[k]) for k, a in trainer.net.state_dict().items())
    for before, p in zip(gradients, trainer.net.parameters(), strict=True):
        assert p.requires_grad and (
            p.grad is None if before is None else torch.equal(p.grad, before)
        )
    now = trainer.sources["data"].state()
    assert torch.equal(sources["generator"], now["generator"])
    assert sources["position"] == now["position"]
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])
    assert python_state == random.getstate()


def test_headers_say_what_and_when() -> None:
    trainer = trainer_of(tiny(), 3)
    found = looked(trainer)
    assert list(found) == ["net/a/maps", "images", "points", "wrong", "kernels", "numbers"]
    header = found["images"].header
    assert (header["kind"], header["view"]) == ("picture", "ImageGrid")
    assert (header["stage"], header["index"], header["step"]) == ("learn", 0, 3)
    assert header["seconds"] >= 0
    for preview in found.values():
        assert len(preview.payload) == 3 * preview.header["width"] * preview.header["height"]
    assert found["wrong"].header["about"]["examples"] == 20
    assert found["kernels"].header["about"]["weight"] == "net.a.conv.weight"
    rows = found["numbers"].header["about"]["rows"]
    assert [r[0] for r in rows] == ["loss", "rate"] and rows[1][1] == "0.001"


def test_pictures_are_on_the_ground_that_was_asked_for_and_else_dark() -> None:
    previews = Previews(trainer_of(tiny()))
    seen = {}
    for theme in ("", "light", "dark"):
        previews.look(["points"], **({"theme": theme} if theme else {}))
        (found,) = previews.compute()
        seen[theme] = found.payload
    assert seen[""] == seen["dark"] != seen["light"]
    assert sum(seen["light"]) > 3 * sum(seen["dark"])


def test_the_same_examples_are_shown_at_every_tick() -> None:
    trainer = trainer_of(tiny())
    previews = Previews(trainer)
    previews.look(["images", "points"])
    first = previews.compute()
    advance(trainer, 2)
    again = previews.compute()
    assert first[0].payload == again[0].payload
    assert first[1].payload != again[1].payload  # the features of it have moved


def test_a_curve_has_every_recorded_step_up_to_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "LOG_EVERY", 0.0)
    graph = tiny("\n  line: {type: Curve, in: {x: [loss, rate]}}\n")
    made = start(graph, run=tmp_path / "run", options=Options(seed=3, device="cpu"))
    previews = Previews(made)
    previews.look(["line"])

    def train(count: int) -> tuple[list[float], list[float]]:
        """Some steps, and what is recorded of the loss by then."""
        goal = made.done + count
        while made.done < goal:
            for event in made.advance():
                if isinstance(event, Stepped):
                    seen[event.step] = event.losses["loss"].item()
        (found,) = previews.compute()
        assert found.header["kind"] == "picture"
        return previews.past.read()["loss"]

    seen: dict[int, float] = {}
    assert train(3) == ([1, 2, 3], [*seen.values()])
    saved = made.save().path.name
    assert train(2) == ([1, 2, 3, 4, 5], [*seen.values()])
    restore(made, saved)
    assert previews.past.read()["loss"][0] == [1, 2, 3]
    assert train(1)[0] == [1, 2, 3, 4]
    assert {*previews.looks[0].memory["rate"]} <= {3, 4, 5} and not previews.looks[0].memory["loss"]
    # A preview without a folder has its ticks; and no past is without an end.
    assert Previews(trainer_of(graph, 2)).past.read() == {}
    for step in range(50_000):
        previews.past.add("long", step, 0.0)
    assert len(previews.past.series["long"][0]) <= past.MOST


FIXED = """
nodegraph: 1
nodes:
  x: {type: Noise, shape: [4], batch: 8}
  still: {type: Linear, features: 4, frozen: true, in: {x: x}}
  moved: {type: Linear, features: 4, in: {x: still}}
  noisy: {type: GaussianNoise, in: {x: still}}
  loss: {type: MSE, in: {x: moved, target: noisy}}
  adam: {type: Adam, lr: 0.1, over: [moved], in: {loss: loss}}
  a: {type: Histogram, in: {x: still}}
  b: {type: Histogram, in: {x: moved}}
  c: {type: Histogram, in: {x: [still, moved]}}
train:
  - {stage: learn, steps: 9, run: [adam]}
"""


def test_what_no_update_moves_is_computed_and_drawn_once() -> None:
    trainer = trainer_of(files.parse(FIXED).graph)
    calls: list[str] = []
    for name in ("still", "moved"):
        part = trainer.net.get_submodule(name)
        part.register_forward_hook(lambda *_, n=name: calls.append(n))
    previews = Previews(trainer)

    def ticks() -> list[list[bytes]]:
        """The pictures before and after a step."""
        found = []
        for _ in range(2):
            found.append([p.payload for p in previews.compute()])
            calls.append("|")
            advance(trainer, 1)
            del calls[calls.index("|") + 1 :]
            told.append("".join(n[0] for n in calls[:-1]))
            calls.clear()
        return found

    told: list[str] = []
    one, two = ticks()
    assert told == ["sm", "m"]
    assert [x == y for x, y in zip(one, two, strict=True)] == [True, False, False]
    # Who sets its weights by hand sees it.
    with torch.no_grad():
        trainer.net.get_submodule("still").weight.mul_(3)  # type: ignore[operator]
    three, _ = ticks()
    assert told[2:] == ["sm", "m"] and three[0] != two[0]
    # The same as from an evaluation of everything.
    fresh = Previews(trainer)
    assert [p.payload for p in fresh.compute()] == [p.payload for p in previews.compute()]


def test_a_parameter_that_is_looked_at_itself_is_drawn_as_it_moves() -> None:
    trainer = trainer_of(
        files.parse("""
nodegraph: 1
nodes:
  image: {type: Parameter, shape: [1, 1, 4, 4], init: constant 1}
  square: {type: Square, in: {x: image}}
  loss: {type: Mean, in: {x: square}}
  sgd: {type: SGD, lr: 1, over: [image], in: {loss: loss}}
  grid: {type: ImageGrid, range: 0..1, in: {images: image}}
train:
  - {stage: fade, steps: 9, run: [sgd]}
""").graph
    )
    previews = Previews(trainer)
    pictures = []
    for _ in range(2):
        pictures.append(previews.compute()[0].payload)
        advance(trainer, 1)
    assert pictures[0] != pictures[1]


def test_values_are_those_of_the_network_in_evaluation_mode() -> None:
    trainer = trainer_of(tiny(), 4)
    previews = Previews(trainer)
    previews.look([], ["scores"])
    previews.compute()
    assert previews.unfolded is not None
    one = previews.looks[0]
    (value,) = previews.evaluate([one]).values()
    images, _ = trainer.sources["data"].held_out(0, len(value))
    trainer.net.eval()
    with torch.no_grad():
        wanted = trainer.net.scores(trainer.net.net(images))
    assert torch.equal(value, wanted)


@pytest.mark.parametrize(
    "peek,view",
    [
        ("data.image", "ImageGrid"), ("data.label", "TextTable"), ("net/a/conv", "FeatureMaps"),
        ("net/a/norm.y", "FeatureMaps"), ("net/a.also", "FeatureMaps"), ("net", "Scatter"),
        ("net.z", "Scatter"), ("scores.y", "Scatter"), ("loss", "TextTable"),
        ("rate", "TextTable"),
    ],
)  # fmt: skip
def test_any_output_can_be_looked_at_without_a_node(peek: str, view: str) -> None:
    preview = looked(trainer_of(tiny()), peek, views=[])[peek]
    assert (preview.header["kind"], preview.header["view"]) == ("picture", view)


@pytest.mark.parametrize(
    "peek,words",
    [("nett", "did you mean 'net'"), ("net.q", "it has net.z"), ("net/b", "no node"),
     ("net/a", "it has net/a.y, net/a.also"), ("adam", "it has none")],
)  # fmt: skip
def test_what_is_not_there_is_an_error_in_words_beside_the_others(peek: str, words: str) -> None:
    found = looked(trainer_of(tiny()), peek, "scores", views=["images", "gone"])
    assert found[peek].header["kind"] == "error"
    assert words in found[peek].header["about"]["text"]
    assert "no view 'gone'" in found["gone"].header["about"]["text"]
    assert found["images"].payload and found["scores"].payload


def test_a_view_that_fails_keeps_no_other_from_being_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nodegraph.nodes.ops import charts

    def broken(*_: object) -> None:
        raise RuntimeError("it broke")

    monkeypatch.setattr(charts, "confusion_map", broken)
    trainer = trainer_of(tiny())
    found = looked(trainer)
    assert found["wrong"].header["kind"] == "error"
    assert found["wrong"].header["about"]["text"] == "RuntimeError: it broke"
    assert found["images"].payload
    assert trainer.net.training


def test_ticks_of_a_view_that_fails_leave_nothing_behind() -> None:
    trainer = trainer_of(tiny())
    trainer.net.scores.weight = torch.nn.Parameter(torch.zeros(10, 3))
    previews = Previews(trainer)
    previews.look(None)
    counts = []
    for tick in range(30):
        assert any(p.header["kind"] == "error" for p in previews.compute())
        if tick % 10 == 9:
            gc.collect()
            counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] <= 10, counts  # what a tick kept would be here ten times


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_previews_compile_nothing_and_change_no_compiled_weight() -> None:
    from torch._dynamo.utils import counters

    nets, graphs = [], []
    for watched in (False, True):
        torch._dynamo.reset()
        counters.clear()
        options = Options(device="cpu", compile=True)
        trainer = start(tiny(VIEWS if watched else ""), options=options)
        previews = Previews(trainer)
        previews.look(None, ["net/a/conv"], probes=True)
        for _ in range(4):
            advance(trainer, 1)
            if watched:
                assert {p.header["kind"] for p in previews.compute()} == {"picture", "probe"}
        nets.append(trainer.net.state_dict())
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] == graphs[1] > 0
    assert all(torch.equal(a, b) for a, b in zip(nets[0].values(), nets[1].values(), strict=True))


def test_a_value_that_fails_keeps_no_other_from_being_drawn() -> None:
    trainer = trainer_of(tiny())
    trainer.net.scores.weight = torch.nn.Parameter(torch.zeros(10, 3))
    found = looked(trainer)
    assert found["wrong"].header["kind"] == "error"
    assert found["points"].payload and found["images"].payload


def test_a_changed_graph_is_looked_at_anew() -> None:
    trainer = trainer_of(tiny())
    previews = Previews(trainer)
    previews.look(None, ["scores"])
    before = {p.header["name"] for p in previews.compute()}
    other = trainer_of(tiny("\n  only: {type: Histogram, in: {x: scores}}\n"))
    trainer.graph, trainer.body = other.graph, other.body
    trainer.net, trainer.sources, trainer.module = other.net, other.sources, other.module
    after = {p.header["name"] for p in previews.compute()}
    assert before - after == {"images", "points", "wrong", "kernels", "numbers"}
    assert after == {"net/a/maps", "only", "scores"}


def test_shares_and_groups_with_sources_are_unfolded() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "dcgan.yaml")
    trainer = trainer_of(graph, batch=16)
    found = looked(trainer, "judge_fake/conv", "real.image", "real/files.image", "generator",
                   views=[])  # fmt: skip
    assert {p.header["kind"] for p in found.values()} == {"picture"}
    assert found["real.image"].payload == found["real/files.image"].payload
    unfolded = unfold(trainer.body, trainer.graph)
    assert unfolded.body.calls["judge_fake.conv"].owner == "judge_real.conv"


@pytest.mark.parametrize("path", GRAPHS, ids=lambda p: p.stem)
def test_every_value_of_every_graph_can_be_looked_at(
    path: Path, small: dict[str, dict[str, object]]
) -> None:
    trainer = trainer_of(nodegraph.load(path), **small.get(path.stem, {}))
    unfolded = unfold(trainer.body, trainer.graph)
    peeks = [f"{unfolded.path(n)}.{p}" for n, p in unfolded.at]
    assert len(peeks) > 10
    previews = Previews(trainer)
    previews.look(None, peeks)
    wrong = [p.header for p in previews.compute() if p.header["kind"] == "error"]
    assert wrong == []


def test_a_view_in_the_library_has_a_page() -> None:
    from nodegraph.manual import page

    text = page(LIBRARY["Scatter"], "Scatter")
    assert "Scatter  (views)" in text and "may stay unlinked" in text


@pytest.mark.parametrize(
    "view,words",
    [
        ("k: {type: Filters, of: [nett]}", "of names nett, which does not exist; did you mean"),
        ("k: {type: Filters, of: [drop]}", "of names drop, which has no weights"),
        ("k: {type: ConfusionMap, in: {logits: scores}}", "logits are counts K K"),
        ("k: {type: ConfusionMap, in: {labels: data.label}}", "input logits is not linked"),
        ("k: {type: Histogram, in: {x: scores}}\n  more: {type: ReLU, in: {x: k}}", "no output"),
    ],
)
def test_a_view_that_cannot_be_is_a_problem_of_the_graph(view: str, words: str) -> None:
    problems = [str(p) for p in nodegraph.check(tiny(f"\n  {view}\n"))]
    assert len(problems) == 1 and words in problems[0], problems


def test_a_view_feeds_no_loss_and_no_training_waits_for_it() -> None:
    assert [str(p) for p in nodegraph.check(tiny())] == []
    assert not any(LIBRARY[n].outputs for n in LIBRARY if issubclass(LIBRARY[n], View))


def test_files_keep_views() -> None:
    graph = tiny()
    assert files.parse(files.dumps(graph)).graph == graph
    assert graph.nodes["kernels"].params == {"of": ("net",)}


@pytest.mark.parametrize("path", GRAPHS, ids=lambda p: p.stem)
def test_boxes_of_prebuilt_graphs_do_not_overlap(path: Path) -> None:
    graph = nodegraph.load(path)
    assert any(is_view(graph, Scope(LIBRARY), n) for n in graph.nodes)
    for part in (graph, *graph.groups.values()):
        folded = layout.collapsed(part.layout)  # to their title
        boxes = {}
        for name in part.nodes.keys() & part.layout.keys():
            size = VIEW if is_view(part, Scope(LIBRARY), name) else (160, 80)
            boxes[name] = (*part.layout[name], size[0], 26 if name in folded else size[1])
        for (a, one), (b, other) in itertools.combinations(boxes.items(), 2):
            (x, y, w, h), (x2, y2, w2, h2) = one, other
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y, (a, b)


class Saliency(View):
    """How hard a loss pulls at each number of x.

    Simonyan, Vedaldi, Zisserman, Deep Inside Convolutional Networks, ICLR Workshop 2014.
    """

    aliases = ("gradient",)
    gradient = True
    x = Input("N D")
    loss = Input("")

    def recipe(self, at: Axes) -> Recipe:
        return Function("test_previews.saliency")


def saliency(x: Tensor, loss: Tensor) -> tuple[np.ndarray, dict[str, float]]:
    (gradient,) = torch.autograd.grad(loss, [x])
    return np.zeros((4, 4, 3), np.uint8), {"norm": gradient.norm().item()}


def test_a_view_may_ask_for_gradients_and_training_has_none_of_them() -> None:
    types = {**LIBRARY.types, "Saliency": Saliency}
    text = TINY.replace("VIEWS", "\n  pull: {type: Saliency, in: {x: net, loss: loss}}\n")
    graph = settled(files.parse(text, library=Library(types)).graph)
    trainer = Trainer(graph, Options(device="cpu"), library=Library(types))
    found = looked(trainer)
    norm = found["pull"].header["about"]["norm"]
    images, labels = trainer.sources["data"].held_out(0, 16)
    trainer.net.eval()
    x = trainer.net.net(images).detach().requires_grad_()
    torch.nn.functional.cross_entropy(trainer.net.scores(x), labels).backward(inputs=[x])
    assert norm == pytest.approx(x.grad.norm().item(), rel=1e-5)
    assert all(p.grad is None for p in trainer.net.parameters())


def test_a_view_inside_a_group_shows_the_weights_that_its_call_uses() -> None:
    text = TINY.replace(
        "maps: {type: FeatureMaps, in: {x: relu}}", "k: {type: Filters, of: [conv]}"
    )
    more = "\n  again: {shares: net, in: {x: data.image}}\n"
    trainer = trainer_of(files.parse(text.replace("VIEWS", more)).graph)
    found = looked(trainer)
    assert list(found) == ["net/a/k", "again/a/k"]
    assert found["net/a/k"].header["about"]["weight"] == "net/a/conv.weight"
    assert found["net/a/k"].payload == found["again/a/k"].payload


def test_a_race_of_optimisers_is_followed_from_tick_to_tick() -> None:
    text = """nodegraph: 1
title: Race
nodes:
  slow: {type: Parameter, shape: [2], init: uniform 1}
  fast: {type: Parameter, shape: [2], init: uniform 1}
  goal: {type: Constant, number: 2, shape: [2]}
  a: {type: MSE, in: {x: slow, target: goal}}
  b: {type: MSE, in: {x: fast, target: goal}}
  sgd: {type: SGD, lr: 0.01, over: [slow], in: {loss: a}}
  adam: {type: Adam, lr: 0.1, over: [fast], in: {loss: b}}
  race: {type: ContourRace, surface: long valley, in: {points: [slow, fast]}}
train:
  - {stage: race, steps: 20, run: [sgd, adam]}
"""
    trainer = trainer_of(files.parse(text).graph)
    previews = Previews(trainer)
    for _ in range(5):
        (preview,) = previews.compute()
        advance(trainer, 1)
    assert set(preview.header["about"]["height"]) == {"slow", "fast"}
    trails = previews.looks[0].memory["trails"]
    assert [len(t) for t in trails.values()] == [5, 5]
    assert trails[1][-1] == pytest.approx(trainer.net.fast.value.tolist(), abs=0.2)
    trainer.done = 0  # another past
    previews.compute()
    assert [len(t) for t in previews.looks[0].memory["trails"].values()] == [1, 1]


def test_a_race_has_a_place_for_each_step_and_is_not_disturbed() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "optimiser_race.yaml")
    watched, alone = (Trainer(checked(graph, "", {"steps": 30})) for _ in range(2))
    previews = Previews(watched)
    previews.look(["race"])
    previews.compute()
    for _ in range(20):
        for trainer in (watched, alone):
            list(trainer.advance())
        previews.follow_step()
    (look,) = previews.looks
    trails = look.memory["trails"]
    assert [len(trails[i]) for i in range(7)] == [21] * 7
    here = watched.net.state_dict()["adam.runner.point.value"].tolist()
    assert trails[6][-1] == pytest.approx(here)
    for name, value in alone.net.state_dict().items():
        assert torch.equal(value, watched.net.state_dict()[name])
