"""Training means exactly what the six sentences say, and a run goes on exactly where it stopped."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from conftest import ROOT
from lean import lean
from torch import nn

import nodegraph
from nodegraph import files
from nodegraph.checks import settled
from nodegraph.graph import GraphError, choose
from nodegraph.training.progress import Progress
from nodegraph.training.run import resume, start
from nodegraph.training.trainer import Options, Saved, Stepped, Trainer, Watched

torch.set_num_threads(1)


def trainer(name: str, seed: int = 0, preset: str = "", **settings: Any) -> Trainer:
    """A prebuilt graph at the beginning of its first stage."""
    graph = lean(nodegraph.load(ROOT / "graphs" / f"{name}.yaml"))
    made = Trainer(settled(choose(graph, preset, settings)), Options(seed=seed, device="cpu"))
    made.enter()
    return made


def of(text: str, **settings: Any) -> Trainer:
    """A trainer of a graph that is written in the test."""
    graph = files.parse("nodegraph: 1\n" + text).graph
    assert [str(p) for p in nodegraph.check(graph) if p.severity == "error"] == []
    made = Trainer(settled(choose(graph, "", settings)), Options(device="cpu"))
    made.enter()
    return made


# Against loops written by hand -------------------------------------------------------------------


class Up(nn.Sequential):
    def __init__(self, i: int, o: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()
        )


def dcgan28() -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator as one would write them."""
    g = nn.Sequential(
        nn.Linear(64, 3136, bias=False), nn.Unflatten(1, (64, 7, 7)), nn.BatchNorm2d(64), nn.ReLU(),
        Up(64, 32), nn.ConvTranspose2d(32, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    d = nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(3136, 1),
    )  # fmt: skip
    return g, d


def copy_state(to: nn.Module, of_: nn.Module) -> None:
    """Give a module the weights of one with other names but the same order."""
    values = of_.state_dict().values()
    to.load_state_dict(dict(zip(to.state_dict(), map(torch.clone, values), strict=True)))


def same_state(a: nn.Module, b: nn.Module) -> bool:
    """Whether all parameters and buffers are equal, bit for bit."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_five_steps_of_dcgan_equal_the_plain_loop_bit_for_bit() -> None:
    ours = trainer("dcgan", batch=16)
    g, d = dcgan28()
    copy_state(g, ours.net.generator)
    copy_state(d, ours.net.judge_real)
    real_source, z_source = trainer("dcgan", batch=16).sources.values()
    g_adam = torch.optim.Adam(g.parameters(), 0.0005, betas=(0.5, 0.999), fused=True)
    d_adam = torch.optim.Adam(d.parameters(), 0.0005, betas=(0.5, 0.999), fused=True)
    bce = nn.BCEWithLogitsLoss()
    for _ in range(5):
        losses = ours.step()
        real, z = real_source.draw()[0], z_source.draw()[0]
        d_adam.zero_grad()
        logits = d(real)
        loss_real = bce(logits, torch.ones_like(logits))
        loss_real.backward()
        fake = g(z)
        logits = d(fake.detach())
        loss_fake = bce(logits, torch.zeros_like(logits))
        loss_fake.backward()
        d_adam.step()
        g_adam.zero_grad()
        logits = d(fake)
        loss_g = bce(logits, torch.ones_like(logits))
        loss_g.backward()
        g_adam.step()
        assert torch.equal(losses["real_is_real"], loss_real.detach())
        assert torch.equal(losses["fake_is_fake"], loss_fake.detach())
        assert torch.equal(losses["fake_is_real"], loss_g.detach())
    assert same_state(g, ours.net.generator)
    assert same_state(d, ours.net.judge_real)
    copy_state(g, dcgan28()[0])
    assert not same_state(g, ours.net.generator)  # the comparison can fail


class Reverse(torch.autograd.Function):
    """The reversal layer as one writes it in torch, with a sign to get wrong."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient * ctx.factor, None


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_first_update_of_dann_equals_torch_written_by_hand(sign: float) -> None:
    ours, twin = trainer("dann", count=200), trainer("dann", count=200)
    ours.done = 400  # half-way, so that the reversal is on
    ours.step()
    net = twin.net
    source, label = twin.sources["source"].draw()
    target, _ = twin.sources["target"].draw()
    strength = 2 / (1 + math.exp(-10 * 0.5)) - 1
    fs, ft = net.features(source), net.features(target)
    domain_s = net.domain(Reverse.apply(fs, sign * strength))
    domain_t = net.domain(Reverse.apply(ft, sign * strength))
    bce = F.binary_cross_entropy_with_logits
    domain = 0.5 * bce(domain_s, torch.zeros_like(domain_s))
    domain = domain + 0.5 * bce(domain_t, torch.ones_like(domain_t))
    (F.cross_entropy(net.digits(fs), label) + domain).backward()
    rate = 0.001 / (1 + 10 * 0.5) ** 0.75
    torch.optim.Adam(net.parameters(), rate, fused=True).step()
    assert same_state(net, ours.net) == (sign == -1.0)  # the wrong sign is told apart


def test_without_reversal_the_features_learn_as_from_the_source_alone() -> None:
    with_domain = trainer("dann", count=200, gamma=0)
    alone = trainer("dann", count=200, preset="source_only")
    head = with_domain.net.domain.fc2.weight.clone()
    for _ in range(20):
        with_domain.step()
        alone.step()
    for name in ("features", "digits"):
        pairs = zip(
            with_domain.net.get_submodule(name).parameters(),
            alone.net.get_submodule(name).parameters(),
            strict=True,
        )
        assert all(torch.allclose(a, b, rtol=1e-6, atol=1e-7) for a, b in pairs)
    assert not torch.equal(head, with_domain.net.domain.fc2.weight)


# The six sentences -------------------------------------------------------------------------------

GAME = """
nodes:
  x: {type: Noise, shape: [3], batch: 8}
  z: {type: Noise, shape: [2], batch: 8}
  g: {type: Linear, features: 3, in: {x: z}}
  norm: {type: BatchNorm1d, in: {x: g}}
  d_x: {type: Linear, features: 1, in: {x: x}}
  d_g: {shares: d_x, in: {x: norm}}
  real: {type: BCEWithLogits, target: 1, in: {logits: d_x}}
  fake: {type: BCEWithLogits, target: 0, in: {logits: d_g}}
  fool: {type: BCEWithLogits, target: 1, in: {logits: d_g}}
  d_step: {type: SGD, lr: 0.1, over: [d_x], in: {loss: [real, fake]}}
  g_step: {type: SGD, lr: 0.1, over: [g, norm], in: {loss: fool}}
train:
  - {stage: play, steps: 10, run: RUN}
"""


def step_source(made: Trainer) -> str:
    """The text of the generated `step`."""
    import inspect

    return inspect.getsource(type(made.stage).step)


def test_an_update_moves_the_weights_of_its_over_and_no_others() -> None:
    for run, moved, still in (("[d_step]", "d_x", "g"), ("[g_step]", "g", "d_x")):
        made = of(GAME.replace("RUN", run))
        before = {k: v.clone() for k, v in made.net.state_dict().items()}
        made.step()
        after = made.net.state_dict()
        assert not torch.equal(before[f"{moved}.weight"], after[f"{moved}.weight"])
        assert torch.equal(before[f"{still}.weight"], after[f"{still}.weight"])
        assert all(p.grad is None for p in made.net.parameters())


def test_a_value_is_reused_until_a_weight_before_it_moves() -> None:
    text = step_source(of(GAME.replace("RUN", "[d_step, g_step]")))
    assert text.count("self.net.g(") == 1  # g has not moved when g_step needs it
    assert text.count("self.net.d_x(") == 3  # real, fake, and fake again after d_step
    assert text.count("self.net.norm(") == 1
    back = step_source(of(GAME.replace("RUN", "[g_step, d_step]")))
    assert back.count("self.net.g(") == 2  # here it has


def test_batch_norm_counts_one_forward_per_evaluation() -> None:
    made = of(GAME.replace("RUN", "[d_step, g_step]"))
    made.step()
    assert made.net.norm.num_batches_tracked == 1
    made = of(GAME.replace("RUN", "[g_step, d_step]"))
    made.step()
    assert made.net.norm.num_batches_tracked == 2


def test_a_source_is_drawn_once_per_step_and_again_for_a_second_run() -> None:
    text = step_source(of(GAME.replace("RUN", "[d_step, d_step, d_step, g_step]")))
    assert text.count("self.x.draw()") == 3
    assert text.count("self.z.draw()") == 3  # g_step takes the last one that d_step drew
    assert "self.net.g(" in text


def test_what_no_trained_weight_needs_runs_without_a_gradient_graph() -> None:
    alone = step_source(of(GAME.replace("RUN", "[d_step]")))
    head, tail = alone.split("with torch.no_grad():")
    assert "self.net.g(" in tail.splitlines()[1]
    both = step_source(of(GAME.replace("RUN", "[d_step, g_step]")))
    assert "no_grad" not in both


def test_what_a_stage_does_not_train_is_in_evaluation_mode() -> None:
    made = of(GAME.replace("RUN", "[d_step]"))
    made.step()
    assert not made.net.norm.training
    assert made.net.norm.num_batches_tracked == 0
    assert made.net.d_x.training


def test_frozen_weights_pass_the_gradient_on() -> None:
    made = of("""
nodes:
  image: {type: Parameter, shape: [1, 4], init: normal 1}
  judge: {type: Linear, features: 3, frozen: true, in: {x: image}}
  wanted: {type: Constant, number: 1, shape: [1, 3]}
  loss: {type: MSE, in: {x: judge, target: wanted}}
  adam: {type: Adam, lr: 0.05, over: [image], in: {loss: loss}}
train:
  - {stage: fit, steps: 600, run: [adam], watch: [loss]}
""")
    before = made.net.judge.weight.clone()
    first = made.step()["loss"].item()
    for _ in range(599):
        last = made.step()["loss"].item()
    assert last < first / 100
    assert torch.equal(before, made.net.judge.weight)


def test_what_never_changes_is_computed_once_per_stage() -> None:
    made = trainer("texture_random_filters", size=56, image=(1, 3, 56, 56), maps=2, steps=2)
    assert "draw" not in step_source(made)
    assert made.stage is not None and not made.stage.once_wanted.requires_grad  # type: ignore[attr-defined]


def test_watched_metrics_are_of_all_held_out_data_in_evaluation_mode() -> None:
    made = trainer("lenet")
    for _ in range(5):
        made.step()
    state = made.state()["random"]["torch"]
    metrics = made.stage.evaluate(made.sources, 4, batch=100)  # type: ignore[union-attr]
    images, labels = made.sources["digits"].test
    net = made.net.eval()
    scores = net.scores(F.relu(net.hidden(net.features(images))))
    assert len(labels) == 397
    assert metrics["accuracy"].item() == pytest.approx(
        (scores.argmax(1) == labels).float().mean().item(), abs=1e-6
    )
    assert metrics["loss"].item() == pytest.approx(F.cross_entropy(scores, labels).item(), 1e-5)
    assert torch.equal(state, made.state()["random"]["torch"])


def test_a_wired_learning_rate_follows_its_schedule() -> None:
    made = trainer("dann", preset="paper", count=200, steps=100)
    rates = []
    for _ in range(3):
        made.step()
        rates.append(made.stage.adapt_sgd.param_groups[0]["lr"])  # type: ignore[union-attr]
    assert rates == [0.01 / (1 + 10 * t / 100) ** 0.75 for t in range(3)]


def test_stages_run_one_after_the_other_and_freeze_what_is_done() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "gmmn_ae.yaml")
    settings = {"batch": 50, "count": 200, "ae_steps": 3, "steps": 3}
    made = Trainer(settled(choose(graph, "", settings)), Options())
    states = []
    for event in made.events():
        if isinstance(event, Stepped):
            states.append((event.stage, {k: v.clone() for k, v in made.net.state_dict().items()}))
    assert [name for name, _ in states] == ["autoencoder"] * 3 + ["matching"] * 3
    ae, end = states[2][1], states[5][1]
    assert all(torch.equal(ae[k], end[k]) for k in ae if k.startswith(("encoder", "decoder")))
    assert not torch.equal(ae["codes.fc1.weight"], end["codes.fc1.weight"])
    assert torch.equal(states[0][1]["codes.fc1.weight"], ae["codes.fc1.weight"])


# Runs --------------------------------------------------------------------------------------------


def finish(made: Trainer) -> dict[str, torch.Tensor]:
    """The weights after training to the end."""
    return list(made.events())[-1].state  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name, settings, stop",
    [
        ("lenet", {"steps": 40}, 23),
        ("dcgan", {"steps": 6, "batch": 16}, 4),
        ("dcgan", {"steps": 6, "batch": 8, "kept": 20, "past": 0.7, "critics": ["d_replay"]}, 4),
        ("dann", {"steps": 6, "count": 200}, 3),
        ("texture_random_filters", {"size": 56, "image": (1, 3, 56, 56), "maps": 2, "steps": 4}, 2),
        ("gmmn_ae", {"batch": 50, "count": 200, "ae_steps": 3, "steps": 3}, 4),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    name: str, settings: dict[str, Any], stop: int, tmp_path: Path
) -> None:
    graph = lean(nodegraph.load(ROOT / "graphs" / f"{name}.yaml"))
    whole = finish(start(graph, "", settings, tmp_path / "whole", Options(seed=3)))
    part = start(graph, "", settings, tmp_path / "part", Options(seed=3, checkpoint_every=1))
    events = part.events()
    seen = 0
    while seen < stop:
        seen += isinstance(next(events), Stepped)
    part.save()
    torch.manual_seed(99)  # what another process would have
    again = finish(resume(tmp_path / "part"))
    assert list(again) == list(whole)
    assert all(torch.equal(again[k], whole[k]) for k in whole)
    other = finish(start(graph, "", settings, None, Options(seed=4)))
    assert not all(torch.equal(other[k], whole[k]) for k in whole)


STAGES = """
params: {steps: 20}
nodes:
  x: {type: Noise, shape: [3], batch: 8}
  layer: {type: Linear, features: 1, in: {x: x}}
  loss: {type: BCEWithLogits, target: 1, in: {logits: layer}}
  sgd: {type: SGD, lr: 0.1, over: [layer], in: {loss: loss}}
train:
  - {stage: one, steps: $steps, run: [sgd], watch: [loss]}
  - {stage: two, steps: 3, run: [sgd]}
"""


def begun(run: Path | None, text: str = STAGES, **options: Any) -> Trainer:
    """A run in a folder, at its beginning."""
    graph = files.parse("nodegraph: 1\n" + text).graph
    return start(graph, run=run, options=Options(device="cpu", **options))


def checkpoints(run: Path) -> list[str]:
    """The names of a run's checkpoints."""
    return sorted(p.name for p in (run / "checkpoints").iterdir())


def rows(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log, without what the steps took, which no two runs have in common."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(r).items() if k != "took"} for r in lines]


def test_a_run_can_go_on_from_its_first_moment(tmp_path: Path) -> None:
    whole = finish(begun(tmp_path / "whole"))
    begun(tmp_path / "part")
    assert checkpoints(tmp_path / "part") == ["00-00000000"]
    torch.manual_seed(99)
    again = finish(resume(tmp_path / "part"))
    assert all(torch.equal(again[k], whole[k]) for k in whole)


def test_each_stage_is_saved_ten_times_and_at_its_end(tmp_path: Path) -> None:
    saved = [e.step for e in begun(tmp_path / "run").events() if isinstance(e, Saved)]
    assert saved == [*range(2, 20, 2), 0, 1, 2, 0]
    ends = ["00-00000000", "01-00000000", "02-00000000"]
    within = [f"00-{n:08d}" for n in range(2, 20, 2)] + ["01-00000001", "01-00000002"]
    assert checkpoints(tmp_path / "run") == sorted(ends + within)
    seldom = begun(tmp_path / "seldom", checkpoint_every=15)
    assert [e.step for e in seldom.events() if isinstance(e, Saved)] == [15, 0, 0]


def test_a_library_run_has_a_log_of_all_evaluations_and_some_losses(tmp_path: Path) -> None:
    graph = files.parse("nodegraph: 1\n" + STAGES).graph
    events = list(nodegraph.train(graph, run=tmp_path / "run", device="cpu"))
    found = rows(tmp_path / "run")
    watched = [e for e in events if isinstance(e, Watched)]
    assert len(watched) == 10
    for event in watched:
        of_step = [r for r in found if (r["stage"], r["step"]) == (event.stage, event.step)]
        assert len(of_step) == 2 and event.metrics.items() <= of_step[1].items()
    steps = {(r["index"], r["step"]) for r in found}
    assert {(0, 1), (0, 20), (1, 1), (1, 3)} <= steps


@pytest.mark.parametrize("stop", [4, 5, 20])
def test_a_stop_before_an_evaluation_does_not_lose_it(stop: int, tmp_path: Path) -> None:
    def watched(made: Trainer) -> list[Watched]:
        return [e for e in made.events() if isinstance(e, Watched)]

    whole = watched(begun(tmp_path / "whole"))
    part = begun(tmp_path / "part")
    seen, events = [], part.events()
    for event in events:
        seen += [event] if isinstance(event, Watched) else []
        if isinstance(event, Stepped) and event.step == stop:
            break
    part.save()
    next(events)  # what is logged after the checkpoint is not logged twice
    assert seen + watched(resume(tmp_path / "part")) == whole
    logs = [[r for r in rows(tmp_path / run) if r["step"] % 2 == 0] for run in ("whole", "part")]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("file", ["weights.safetensors", "state.safetensors", "state.json", ""])
def test_a_run_whose_newest_checkpoints_are_damaged_goes_on_from_the_one_before(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, run = begun(tmp_path / "whole", checkpoint_every=4), tmp_path / "run"
    finish(whole)
    events = begun(run, checkpoint_every=4).events()
    while not (isinstance(event := next(events), Saved) and event.step == 12):
        pass
    for name in ("00-00000008", "00-00000012"):
        for path in (run / "checkpoints" / name).glob(file or "*"):
            if file:
                path.write_bytes(path.read_bytes()[:-9])
            else:
                path.unlink()
    made = resume(run)
    assert (made.index, made.done) == (0, 4)
    assert [r["step"] for r in rows(run) if r["kind"] == "metric"] == [2, 4]
    assert Progress(made).follow()
    said = capsys.readouterr().out
    for name in ("00-00000008", "00-00000012"):
        assert f"{name} is no checkpoint that can be read" in said
        assert f"it is called {name}.damaged now, and the run goes on from 00-00000004" in said
    assert same_state(made.net, whole.net)
    metrics = [[r for r in rows(tmp_path / f) if r["kind"] == "metric"] for f in ("whole", "run")]
    assert metrics[0] == metrics[1]
    assert "goes on from" not in (Progress(resume(run)).follow(), capsys.readouterr().out)[1]
    for path in (run / "checkpoints").glob("*/state.json"):
        path.write_text("null")
    with pytest.raises(GraphError, match="02-00000000 is no checkpoint that can be read"):
        resume(run)


def test_a_run_whose_graph_was_given_another_optimiser_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    events = begun(run, checkpoint_every=4).events()
    while not (isinstance(event := next(events), Saved) and event.step == 4):
        pass
    file = run / "graph.yaml"
    file.write_text(file.read_text().replace("type: SGD", "type: Adam"))
    with pytest.raises(GraphError, match="of another graph: its sgd is another optimiser"):
        resume(run)


def test_a_run_that_is_no_folder_is_not_made_by_a_start_that_fails(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="no device 'cpu:7'"):
        start(files.parse("nodegraph: 1\n" + STAGES).graph, run=tmp_path / "run",
              options=Options(device="cpu:7"))  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    finish(begun(tmp_path / "run", seed=2**63 - 1))


def test_options_that_can_not_be_are_refused() -> None:
    for seed in (-1, 2**63, "1", 1.0):
        with pytest.raises(GraphError, match="seed: expects a whole number"):
            Options(seed=seed)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="checkpoint_every: expects a number of steps"):
        Options(checkpoint_every=-1)


def test_a_second_ctrl_c_stops_at_once_and_names_the_last_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = begun(tmp_path / "run")
    made.enter()
    progress = Progress(made)
    assert made.stage is not None
    step = made.stage.step

    def twice(t: int) -> dict[str, torch.Tensor]:
        if t == 5:
            progress.interrupt()
            progress.interrupt()
        return step(t)

    made.stage.step = twice  # type: ignore[method-assign]
    assert not progress.follow()
    said = capsys.readouterr().out
    assert f"--resume {tmp_path / 'run'} goes on from its last checkpoint, 00-00000004" in said
    assert made.done == 5 and checkpoints(tmp_path / "run")[-1] == "00-00000004"


def cli(*words: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run `python -m nodegraph`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "nodegraph", *words], capture_output=True, text=True, cwd=cwd,
        env=environment, timeout=120, **more,
    )  # fmt: skip


def test_a_run_killed_at_any_step_goes_on_exactly(tmp_path: Path) -> None:
    lenet = str(ROOT / "graphs" / "lenet.yaml")
    common = ["--set", "steps=60", "--set", "batch=16", "--seed", "2"]
    whole = cli("train", lenet, *common, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    command = [sys.executable, "-m", "nodegraph", "train", lenet, *common, "--out", "part"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--checkpoint-every", "7"], cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "00000021" in line:
            process.kill()
            break
    process.wait()
    process.stdout.close()
    again = cli("train", "--resume", "part", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    first, second = (
        safetensors.torch.load_file(tmp_path / f / "checkpoints/01-00000000/weights.safetensors")
        for f in ("whole", "part")
    )
    assert all(torch.equal(first[k], second[k]) for k in first)
    steps = [r["step"] for r in rows(tmp_path / "part") if "accuracy" in r]
    assert steps == sorted(set(steps)) and steps[-1] == 60


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nodegraph", "train", str(ROOT / "graphs/lenet.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--out", "run", "--set", "steps=100000"], cwd=tmp_path, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("train "):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "go on with: nodegraph train --resume run" in out
    assert "Traceback" not in err
    assert list((tmp_path / "run" / "checkpoints").iterdir())


def test_a_run_folder_says_all_that_is_needed_to_repeat_it(tmp_path: Path) -> None:
    graph = ROOT / "graphs" / "lenet.yaml"
    out = cli("train", str(graph), "--set", "steps=2", "--out", "run", cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    run = tmp_path / "run"
    assert (run / "graph.yaml").read_text() == graph.read_text()
    assert "class Features(nn.Module):" in (run / "network.py").read_text()
    about = json.loads((run / "run.json").read_text())
    assert about["settings"] == {"steps": 2} and about["options"]["seed"] == 0
    again = cli("train", str(graph), "--set", "steps=2", "--out", "run", cwd=tmp_path)
    assert again.returncode == 1 and "is there already" in again.stderr


# When it goes wrong ------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_before_the_update_and_names_the_node() -> None:
    made = of("""
nodes:
  x: {type: Noise, shape: [3], batch: 8}
  layer: {type: Linear, features: 3, in: {x: x}}
  root: {type: Log, eps: 0, in: {x: layer}}
  mean: {type: Mean, in: {x: root}}
  sgd: {type: SGD, over: [layer], in: {loss: mean}}
train:
  - {stage: s, steps: 3, run: [sgd]}
""")
    before = made.net.layer.weight.clone()
    with pytest.raises(GraphError, match="first bad value comes from root"):
        made.step()
    assert torch.equal(before, made.net.layer.weight)


BAD = """
nodes:
  x: {type: Noise, shape: [3], batch: 8}
  layer: {type: Linear, features: 3, in: {x: x}}
  square: {type: Square, in: {x: layer}}
  mean: {type: Mean, in: {x: square}}
  move: {type: OPTIMISER, lr: 1e20, over: [layer], in: {loss: mean}}
train:
  - {stage: s, steps: 9, run: [move]}
"""


def test_the_cure_for_what_is_not_finite_depends_on_when_it_comes() -> None:
    root = BAD.replace("Square, in: {x: layer}", "Log, eps: 0, in: {x: layer}")
    with pytest.raises(GraphError) as first:
        of(root.replace("OPTIMISER", "SGD")).step()
    assert "square; look at what it is given and at its parameters" in str(first.value)
    assert "learning rate" not in str(first.value)
    for optimiser in ("SGD", "LBFGS, line_search: none"):
        with pytest.raises(GraphError, match="lower the learning rate"):
            finish(of(BAD.replace("OPTIMISER", optimiser)))


def test_running_out_of_memory_says_what_was_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainer("lenet")

    def full(_: int) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(made.stage, "step", full)
    with pytest.raises(GraphError, match="at batch 64; try --set batch=32"):
        made.step()


def test_a_wrong_graph_is_not_trained() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "lenet.yaml")
    with pytest.raises(GraphError, match="no preset 'papr'"):
        next(nodegraph.train(graph, preset="papr"))
    with pytest.raises(GraphError, match="no parameter 'stpes'"):
        next(nodegraph.train(graph, settings={"stpes": 3}))
    with pytest.raises(GraphError, match="no device 'tpu'"):
        next(nodegraph.train(graph, device="tpu"))


@pytest.mark.parametrize("option", ["amp", "channels_last"])
def test_options_that_change_how_it_is_computed_still_learn(option: str) -> None:
    graph = nodegraph.load(ROOT / "graphs" / "lenet.yaml")
    events = nodegraph.train(graph, settings={"steps": 110}, **{option: True})
    accuracy = [e.metrics["accuracy"] for e in events if isinstance(e, Watched)]
    assert accuracy[-1] > 0.85


# Several processes -------------------------------------------------------------------------------

PAIR = """
nodegraph: 1
params: {batch: 8}
nodes:
  data: {type: Digits, batch: $batch}
  z: {type: Noise, shape: [256], batch: $batch}
  flat: {type: Flatten, in: {x: data.image}}
  both: {type: Add, in: {a: flat, b: z}}
  norm: {type: LayerNorm, in: {x: both}}
  hidden: {type: Linear, features: 16, in: {x: norm}}
  relu: {type: ReLU, in: {x: hidden}}
  scores: {type: Linear, features: 10, in: {x: relu}}
  loss: {type: CrossEntropy, in: {logits: scores, labels: data.label}}
  sgd: {type: SGD, lr: 0.1, over: [norm, hidden, scores], in: {loss: loss}}
train:
  - {stage: s, steps: 20, run: [sgd]}
"""


def weights_in(run: Path) -> Iterator[tuple[str, torch.Tensor]]:
    yield from safetensors.torch.load_file(
        run / "checkpoints" / "01-00000000" / "weights.safetensors"
    ).items()


def test_two_processes_equal_one_at_twice_the_batch(tmp_path: Path) -> None:
    graph = tmp_path / "pair.yaml"
    graph.write_text(PAIR)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pair = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port",
         str(20000 + os.getpid() % 20000), "-m", "nodegraph", "train", str(graph),
         "--out", str(tmp_path / "two"), "--device", "cpu"],
        capture_output=True, text=True, env=environment, timeout=200, cwd=tmp_path,
    )  # fmt: skip
    assert pair.returncode == 0, pair.stderr
    out = cli("train", str(graph), "--out", "one", "--set", "batch=16", cwd=tmp_path)
    assert out.returncode == 0, out.stderr
    one, two = dict(weights_in(tmp_path / "one")), dict(weights_in(tmp_path / "two"))
    assert max((one[k] - two[k]).abs().max() for k in one) < 1e-5
    half = cli("train", str(graph), "--out", "half", cwd=tmp_path)
    assert half.returncode == 0
    other = dict(weights_in(tmp_path / "half"))
    assert max((one[k] - other[k]).abs().max() for k in one) > 1e-3  # the comparison can fail


def test_ctrl_c_in_one_process_stops_all_after_the_same_step(tmp_path: Path) -> None:
    graph = tmp_path / "pair.yaml"
    graph.write_text(PAIR.replace("steps: 20", "steps: 1000000"))
    common = {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(20000 + (os.getpid() + 7) % 20000),
    }  # fmt: skip
    command = [sys.executable, "-m", "nodegraph", "train", str(graph), "--device", "cpu"]
    both = [
        subprocess.Popen(
            [*command, "--out", "run"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.PIPE, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]  # fmt: skip
    first, second = both
    assert first.stdout is not None
    for line in first.stdout:
        if line.startswith("s "):
            second.send_signal(signal.SIGINT)
            break
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [130, 130], said
    assert "stopped; go on with" in said[0][0]
    assert not any("Traceback" in err for _, err in said)
    assert checkpoints(tmp_path / "run")[-1] > "00-00000000"
