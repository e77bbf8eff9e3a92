"""Training on a GPU gives what training on a processor gives. Without a CUDA device: skipped."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from conftest import LEARNING, ROOT
from torch import Tensor

import nodegraph
from nodegraph.cli import main
from nodegraph.graph import GraphError
from nodegraph.training.previews import Previews
from nodegraph.training.run import resume, start
from nodegraph.training.trainer import Options, Saved, Stepped, Trainer
from tests.lean import lean
from tests.live import PLAIN, Waited, alone, equal
from tests.live import weights as weights_of

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """The same sums in the same order, and no TF32, so that numbers can be compared."""
    kept = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = kept


@contextmanager
def handed_over(of: Trainer, to: Trainer) -> Iterator[None]:
    """`to` draws on the processor what `of` drew on the GPU, in the same order."""
    kept: dict[str, list[tuple[Tensor, ...]]] = {}
    draws = {name: source.draw for name, source in of.sources.items()}

    def listening(name: str) -> Callable[[], tuple[Tensor, ...]]:
        def draw() -> tuple[Tensor, ...]:
            values = draws[name]()
            kept.setdefault(name, []).append(values)
            return values

        return draw

    def repeating(name: str) -> Callable[[], tuple[Tensor, ...]]:
        return lambda: tuple(v.cpu() for v in kept[name].pop(0))

    for name in draws:
        of.sources[name].draw, to.sources[name].draw = listening(name), repeating(name)
    yield
    for name in draws:
        del of.sources[name].draw, to.sources[name].draw


@pytest.mark.parametrize("path", LEARNING, ids=lambda p: p.stem)
def test_the_losses_of_a_step_are_those_of_the_processor(
    path: Path, small: dict[str, dict[str, object]]
) -> None:
    """The first step of each stage, from the same weights, on the same data; then all is seen."""
    graph, settings = lean(nodegraph.load(path)), small.get(path.stem, {})
    gpu, cpu = (start(graph, settings=settings, options=Options(device=d)) for d in (DEVICE, "cpu"))
    for index in range(len(gpu.module.STAGES)):
        gpu.index = cpu.index = index
        gpu.done = cpu.done = 0
        cpu.net.load_state_dict(gpu.net.state_dict())
        with handed_over(gpu, cpu):
            gpu.enter()
            cpu.enter()
            random = torch.get_rng_state()
            found, wanted = gpu.step(), cpu.step()
        drawn = not torch.equal(random, torch.get_rng_state())  # dropout or noise inside
        for name, loss in found.items():
            assert loss.is_cuda and loss.isfinite(), name
            if not drawn:
                apart = (loss.cpu() - wanted[name]).abs().item()
                assert apart <= 1e-4 + 2e-2 * wanted[name].abs().item(), (name, loss, wanted[name])
        assert gpu.stage is not None
        if gpu.stage.watched:
            metrics = gpu.stage.evaluate(gpu.sources, 0)
            assert all(torch.as_tensor(v).isfinite().all() for v in metrics.values()), metrics
        previews = Previews(gpu)
        previews.look(None, [], probes=True)
        previews.compute()
        previews.follow_step()
        told = [p.header for p in previews.compute() if p.header["kind"] == "error"]
        assert not told


SMALL = """
nodegraph: 1
nodes:
  data: {type: Digits, batch: 16}
  conv: {type: Conv2d, channels: 8, kernel: 3, in: {x: data.image}}
  norm: {type: BatchNorm2d, in: {x: conv}}
  relu: {type: ReLU, in: {x: norm}}
  drop: {type: Dropout, p: 0.3, in: {x: relu}}
  flat: {type: Flatten, in: {x: drop}}
  scores: {type: Linear, features: 10, in: {x: flat}}
  loss: {type: CrossEntropy, in: {logits: scores, labels: data.label}}
  right: {type: Accuracy, in: {logits: scores, labels: data.label}}
  adam: {type: Adam, over: [conv, norm, scores], lr: 0.01, in: {loss: loss}}
train:
  - {stage: learn, steps: 12, run: [adam], watch: [right]}
"""


@pytest.fixture
def small_graph(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, "utf-8")
    return path


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {k: v.cpu().clone() for k, v in trainer.net.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_stopped_and_resumed_is_the_run_that_went_on(
    small_graph: Path, tmp_path: Path
) -> None:
    graph, options = nodegraph.load(small_graph), Options(seed=3, device=DEVICE, checkpoint_every=5)
    whole = start(graph, run=tmp_path / "whole", options=options)
    list(whole.events())
    part = start(graph, run=tmp_path / "part", options=options)
    for event in part.events():
        if isinstance(event, Saved):
            break
    assert part.done == 5
    torch.cuda.manual_seed(99)  # it must not be what the generator was left at
    again = resume(tmp_path / "part")
    assert again.device.name == DEVICE
    list(again.events())
    assert same(weights(whole), weights(again))
    # The control: without the dropout of the GPU where it stood, the weights are others.
    other = resume(tmp_path / "whole", at="00-00000005")
    torch.cuda.manual_seed(99)
    list(other.events())
    assert not same(weights(whole), weights(other))


def test_previews_never_change_the_weights(small_graph: Path) -> None:
    ends = []
    for watched in (False, True):
        trainer = start(nodegraph.load(small_graph), options=Options(seed=3, device=DEVICE))
        previews = Previews(trainer)
        previews.look(None, ["conv", "drop"], probes=True)
        for event in trainer.events():
            if watched and isinstance(event, Stepped):
                kinds = {p.header["kind"] for p in previews.compute()}
                assert kinds == {"picture", "probe"}
        ends.append(weights(trainer))
    assert same(*ends)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("options", [{"amp": True}, {"channels_last": True}, {"compile": True}])
def test_each_way_to_compute_learns(small_graph: Path, options: dict[str, bool]) -> None:
    graph = nodegraph.load(small_graph)
    losses = [
        event.losses["loss"].item()
        for event in nodegraph.train(graph, device=DEVICE, **options)
        if isinstance(event, Stepped)
    ]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ["dann", "gmmn_ae"])
def test_a_replayed_network_trains_as_one_that_is_not(
    name: str, small: dict[str, dict[str, object]]
) -> None:
    """Losses that are kept, what is computed once, evaluations, previews: all is that of eager."""
    graph = lean(nodegraph.load(ROOT / f"graphs/{name}.yaml"))
    steps = {k: 4 for k in graph.params if k.endswith("steps")}
    kept: list[list[float]] = []
    for compiled in (False, True):
        torch._dynamo.reset()
        options = Options(seed=3, device=DEVICE, compile=compiled)
        trainer = start(graph, settings={**small.get(name, {}), **steps}, options=options)
        previews, losses = Previews(trainer), []
        for event in trainer.events():
            if isinstance(event, Stepped):
                losses += event.losses.values()
                assert not [p for p in previews.compute() if p.header["kind"] == "error"]
        kept.append([loss.item() for loss in losses])
    eager, replayed = kept
    assert replayed == pytest.approx(eager, rel=5e-2, abs=1e-4)


def test_a_step_that_fails_is_undone(small_graph: Path) -> None:
    made = start(nodegraph.load(small_graph), options=Options(device=DEVICE))
    made.careful = True
    made.enter()
    made.step()
    before = weights(made)
    random = torch.cuda.get_rng_state()
    with torch.no_grad():
        made.net.scores.bias[0] = torch.nan
    with pytest.raises(GraphError, match="scores"):
        made.step()
    with torch.no_grad():
        made.net.scores.bias[0] = before["scores.bias"][0]
    assert same(before, weights(made))
    assert torch.equal(random, torch.cuda.get_rng_state())


def test_memory_that_runs_out_is_told_of() -> None:
    graph = nodegraph.load(ROOT / "graphs/gan.yaml")
    made = start(graph, settings={"batch": 6000}, options=Options(device=DEVICE))
    made.enter()
    torch.cuda.empty_cache()
    share = (torch.cuda.memory_allocated() + 50e6) / torch.cuda.get_device_properties(
        0
    ).total_memory
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        with pytest.raises(GraphError, match="memory"):
            made.step()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_worker_trains_is_changed_and_taken_back_there(tmp_path: Path) -> None:
    whole, run = alone(tmp_path / "whole", device=DEVICE), tmp_path / "run"
    live = Waited()
    options = {"device": DEVICE, "seed": 3}
    live.train(PLAIN, run=str(run), options=options, paused=True)
    label = torch.cuda.get_device_name()
    assert live.until("started")["device"] == label
    live.run.look([], ["g"], every=0.05, probes=True)
    live.run.step(5)
    live.at("paused", 5)
    live.run.save()
    name = live.until("saved")["checkpoint"]
    live.run.apply(7, PLAIN, settings={"lr": 0.5})
    assert "d_step: lr 0.05 → 0.5" in live.until("applied")["what"]
    live.run.step(2)
    live.at("paused", 7)
    live.run.restore(8, name)
    live.until("restored")
    live.run.play()
    live.until("finished")
    assert live.end() == 0
    assert equal(weights_of(run), whole)
    assert not equal(weights_of(run), alone(tmp_path / "other", seed=4, device=DEVICE))
    heads = [head for m in live.all("previews") for head in m["views"]]
    assert {h["kind"] for h in heads} == {"picture", "probe"}


def test_an_exported_script_trains_there(
    small_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    script, saved = tmp_path / "small_script.py", tmp_path / "weights.pt"
    assert main(["export", str(small_graph), "-o", str(script)]) == 0
    monkeypatch.setattr("sys.argv", [str(script), "--seed", "3", "--save", str(saved)])
    runpy.run_path(str(script), run_name="__main__")
    assert "learn" in capsys.readouterr().out
    trained = start(nodegraph.load(small_graph), options=Options(seed=3, device=DEVICE))
    list(trained.events())
    loaded = torch.load(saved, map_location="cpu", weights_only=True)
    assert same(weights(trained), loaded)


def test_the_commands_take_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = [f"--set={k}" for k in ("steps=2", "batch=2", "size=16", "style_size=16")]
    train = ["train", str(ROOT / "graphs/style_net.yaml"), "--out", "run", *few]
    assert main([*train, "--device", DEVICE]) == 0
    picture = str(ROOT / "graphs/pictures/near.png")
    put = ["--input", picture, "--device", DEVICE, "--output"]
    assert main(["run", "run", *put, "out.png"]) == 0
    pyramid = str(ROOT / "graphs/pyramid.yaml")
    assert main(["run", pyramid, "--to", "collapse", *put, "again.png"]) == 0
    assert Path("out.png").exists() and Path("again.png").exists()
