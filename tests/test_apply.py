"""A graph changed while it trains: what has not changed goes on, bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from lean import lean

import nodegraph
from nodegraph import edits, files, runs
from nodegraph.changes import changes
from nodegraph.graph import Entry, Graph, GraphError, Ref
from nodegraph.library import standard
from nodegraph.scope import Scope
from nodegraph.session import Session
from nodegraph.training import record
from nodegraph.training.run import checked, graph_at, restore, resume, start
from nodegraph.training.trainer import Options, Stepped, Trainer

torch.set_num_threads(1)

SMALL: dict[str, dict[str, Any]] = {
    "lenet": {"steps": 12},
    "dcgan": {"steps": 6, "batch": 16},
    "dann": {"steps": 6, "count": 200},
    "texture_random_filters": {"size": 56, "image": (1, 3, 56, 56), "maps": 2, "steps": 6},
    "gmmn_ae": {"batch": 50, "count": 200, "ae_steps": 3, "steps": 3},
}


def named(name: str, **settings: Any) -> Graph:
    """A prebuilt graph, small, ready to train."""
    graph = lean(nodegraph.load(ROOT / "graphs" / f"{name}.yaml"))
    return checked(graph, "", SMALL[name] | settings)


def begun(graph: Graph, run: Path | None = None, seed: int = 3, every: int = 0) -> Trainer:
    """A run of a graph at its beginning."""
    return start(graph, run=run, options=Options(seed, "cpu", checkpoint_every=every))


def steps(made: Trainer, count: int) -> Trainer:
    """Train on for some steps."""
    while count and not made.finished:
        count -= sum(isinstance(e, Stepped) for e in made.advance())
    return made


def same(a: Trainer, b: Trainer) -> bool:
    """Whether two runs have the same weights, bit for bit."""
    one, two = a.net.state_dict(), b.net.state_dict()
    return list(one) == list(two) and all(torch.equal(one[k], two[k]) for k in one)


def reworded(graph: Graph, word: object) -> Graph:
    """The same graph whose groups say something else of themselves, so their classes are new."""
    groups = {n: g.with_(meta={"about": f"Word {word}."}) for n, g in graph.groups.items()}
    return graph.with_(groups=groups)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("anew", [False, True])
def test_applying_the_same_graph_changes_nothing(name: str, anew: bool) -> None:
    graph = named(name)
    whole = steps(begun(graph), 99)
    part = begun(graph)
    for turn, count in enumerate((1, 2, 1)):
        net = steps(part, count).net
        told = part.apply(reworded(graph, turn) if anew else graph)
        assert told.kept == told.of > 0 and told.lost == told.fresh == told.restarted == ()
        assert (net is not part.net) == (anew and bool(graph.groups))
    assert same(whole, steps(part, 99))
    assert not same(whole, steps(begun(graph, seed=4), 99))


def test_a_turned_knob_is_as_if_the_graph_had_been_so_from_there_on() -> None:
    ours = steps(begun(named("dann")), 3)
    theirs = steps(begun(named("dann")), 3)
    assert ours.apply(named("dann", gamma=5)).what == ("strength: gamma 10 → 5",)
    kept = theirs.stage.optimisers["adapt"].state_dict()  # type: ignore[union-attr]
    other = begun(named("dann", gamma=5))
    other.net.load_state_dict(theirs.net.state_dict())
    other.done = 3
    other.enter().optimisers["adapt"].load_state_dict(kept)
    for name, source in other.sources.items():
        source.load_state(theirs.sources[name].state())
    torch.manual_seed(0), steps(ours, 3)
    torch.manual_seed(0), steps(other, 3)
    assert same(ours, other)
    assert not same(ours, steps(theirs, 3))


def test_a_learning_rate_that_is_a_number_is_taken_over() -> None:
    made = steps(begun(named("dcgan")), 2)
    told = made.apply(named("dcgan", lr=0.25))
    assert {"d_step: lr 0.0005 → 0.25", "g_step: lr 0.0005 → 0.25"} <= {*told.what}
    assert all(words.endswith(": lr 0.0005 → 0.25") for words in told.what)  # of other presets too
    optimisers = made.stage.optimisers  # type: ignore[union-attr]
    assert [o.param_groups[0]["lr"] for o in optimisers.values()] == [0.25, 0.25]
    assert all(o.state for o in optimisers.values()) and told.restarted == ()


def test_a_discriminator_is_frozen_and_set_free_while_it_trains() -> None:
    made = steps(begun(named("dcgan")), 2)
    weight = made.net.judge_real.conv.weight
    for frozen in (True, False):
        told = made.apply(named("dcgan", d_frozen=frozen))
        assert told.restarted == (() if frozen else ("d_step",))
        made.careful = True  # as in the worker: a step that fails is undone
        made.settle()
        before = weight.clone()
        steps(made, 2)
        assert torch.equal(weight, before) is frozen


def test_what_is_put_in_begins_anew_and_all_else_goes_on() -> None:
    graph = named("lenet")
    made = steps(begun(graph), 4)
    before = {k: v.clone() for k, v in made.net.state_dict().items()}
    random = made.state()["random"]["torch"]
    from nodegraph.graph import Entry

    nodes = {**graph.nodes, "more": Entry("Linear", {"features": 64})}
    links = {**graph.links}
    hidden = next(n for n in graph.nodes if n == "hidden")
    links[Ref("more", "x")] = Ref(hidden)
    user = next(to for to, source in graph.links.items() if source == Ref(hidden))
    links[user] = Ref("more")
    optimiser = next(n for n, e in graph.nodes.items() if "over" in e.params)
    over = (*graph.nodes[optimiser].params["over"], "more")
    entry = graph.nodes[optimiser]
    nodes[optimiser] = replace(entry, params={**entry.params, "over": over})
    told = made.apply(checked(graph.with_(nodes=nodes, links=links), "", None))
    assert told.fresh == ("more",) and told.lost == () and told.kept == told.of - 1
    after = made.net.state_dict()
    assert all(torch.equal(after[k], before[k]) for k in before)
    assert torch.equal(made.state()["random"]["torch"], random)
    state = made.stage.optimisers[optimiser].state  # type: ignore[union-attr]
    names = {p: n for n, p in made.net.named_parameters()}
    assert {names[p] for p in state} == {n for n in names.values() if not n.startswith("more.")}
    steps(made, 2)
    back = made.apply(graph)
    assert back.lost == ("more",) and back.kept == back.of == told.of - 1


NAMES = {
    "features": "body", "Features/conv2": "second", "digits": "head", "adapt": "both",
    "source": "pages", "digit_loss": "reading",
}  # fmt: skip


def called(graph: Graph, names: dict[str, str]) -> Graph:
    """A graph with new names, as a person gives them one by one."""
    session = Session(graph)
    for old, new in names.items():
        group, _, name = old.rpartition("/")
        session.path = (group,) if group else ()
        assert session.rename(name, new), session.message
    return session.root


@pytest.mark.parametrize("told", [True, False])
def test_what_is_renamed_goes_on_as_it_was(told: bool, tmp_path: Path) -> None:
    graph = named("dann")
    whole = steps(begun(graph), 99)
    part = steps(begun(graph, tmp_path / "run"), 2)
    places = {o: f"{o.rpartition('/')[0]}/{n}".lstrip("/") for o, n in NAMES.items()}
    other = checked(called(graph, NAMES), "", {})
    found = part.apply(other, names=places if told else {})
    again = list(part.net.state_dict())
    assert "body.second.weight" in again and "features.conv2.weight" not in again
    if not told:  # the control: another node in its place is another node
        assert {"body.conv1", "body.second", "head.fc1"} <= {*found.fresh}
        assert {"pages", "both"} <= {*found.restarted}
    else:
        assert found.kept == found.of == 7 and not (found.fresh or found.lost or found.restarted)
        assert found.saved is None and found.what[0] == "features is called body now"
        steps(part, 2)
        # Killed here: the last checkpoint has the old names, the change is made again.
        part = resume(tmp_path / "run")
    steps(part, 99)
    a, b = (list(t.net.state_dict().values()) for t in (whole, part))
    assert all(map(torch.equal, a, b)) == told
    if told:  # and back: an undo is a change like others
        part = steps(begun(graph), 2)
        part.apply(other, names=places)
        steps(part, 1)
        back = {new: old for old, new in places.items()}
        assert part.apply(graph, names=back).kept == 7
        assert same(whole, steps(part, 99))


def test_names_that_are_exchanged_and_taken_over_take_their_weights_along() -> None:
    graph = named("lenet", steps=6)
    part = steps(begun(graph), 2)
    layers = [k for k, c in part.body.calls["features"].body.calls.items() if c.weights()]
    first, second = (f"Features/{k}" for k in layers[:2])
    kept = {k: v.clone() for k, v in part.net.state_dict().items()}
    # The second layer takes the name of the first, which is new: it has another shape, too.
    told = part.apply(graph, names={first: second})
    assert told.fresh == (f"features.{layers[0]}", f"features.{layers[1]}")
    part = steps(begun(graph), 2)
    body = graph.groups["Features"]
    turned = edits.rename(body, layers[0], "spare", Scope(standard()))
    turned = edits.rename(turned, layers[1], layers[0], Scope(standard()))
    turned = edits.rename(turned, "spare", layers[1], Scope(standard()))
    other = graph.with_(groups={**graph.groups, "Features": turned})
    told = part.apply(other, names={first: second, second: first})
    now = part.net.state_dict()
    assert told.kept == told.of and not told.lost
    for a, b in (layers[:2], layers[1::-1]):
        assert torch.equal(now[f"features.{a}.weight"], kept[f"features.{b}.weight"])


def test_a_source_is_loaded_again_only_when_it_is_another() -> None:
    made = steps(begun(named("dann")), 2)
    there = dict(made.sources)
    told = made.apply(named("dann", contrast=0.75))
    assert told.restarted == ("target",)
    assert made.sources["source"] is there["source"]
    assert made.sources["target"] is not there["target"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda g: g.with_(train=(replace(g.train[0], steps=2),)), "2 steps .* 3 are done"),
        (lambda g: g.with_(train=(replace(g.train[0], name="other"),)), "has none of that name"),
        (lambda g: g.with_(train=()), "nothing to train"),
        (lambda g: g.with_(nodes={n: e for n, e in g.nodes.items() if n != "digits"}), "digits"),
    ],
)
def test_a_change_that_can_not_be_changes_nothing(change: Any, why: str) -> None:
    graph = named("dann")
    made, twin = steps(begun(graph), 3), steps(begun(graph), 3)
    with pytest.raises(GraphError, match=why):
        made.apply(change(graph))
    assert made.graph == graph and made.edition == 0
    assert same(steps(made, 3), steps(twin, 3))


def test_one_update_alone_moves_its_weights_and_counts_no_step() -> None:
    made = steps(begun(named("dcgan")), 2)
    before = {k: v.clone() for k, v in made.net.named_parameters()}
    state = made.stage.optimisers["d_step"].state_dict()["state"][0]["step"].clone()  # type: ignore[union-attr]
    assert set(made.only("d_step").losses) == {"real_is_real", "fake_is_fake"}
    moved = {
        k.split(".")[0] for k, v in made.net.named_parameters() if not torch.equal(v, before[k])
    }
    assert moved == {"judge_real"} and made.done == 2
    assert made.stage.optimisers["d_step"].state_dict()["state"][0]["step"] == state + 1  # type: ignore[union-attr]
    with pytest.raises(GraphError, match="runs no update 'd_stop'; it runs: d_step, g_step"):
        made.only("d_stop")


@pytest.mark.parametrize("careful", [True, False])
def test_a_step_of_lbfgs_that_fails_half_way_is_undone(careful: bool) -> None:
    text = """
nodegraph: 1
params: {lr: 0.001}
nodes:
  x: {type: Noise, shape: [3], batch: 8}
  layer: {type: Linear, features: 3, in: {x: x}}
  square: {type: Square, in: {x: layer}}
  mean: {type: Mean, in: {x: square}}
  move: {type: LBFGS, lr: $lr, line_search: none, over: [layer], in: {loss: mean}}
train:
  - {stage: s, steps: 9, run: [move]}
"""
    graph = files.parse(text).graph
    made = start(graph, "", None, options=Options(3, "cpu"))
    made.careful = careful
    steps(made, 2).apply(checked(graph, "", {"lr": 1e25}))
    before = {k: v.clone() for k, v in made.net.state_dict().items()}
    with pytest.raises(GraphError, match="lower the learning rate"):
        steps(made, 1)
    assert all(torch.equal(v, before[k]) for k, v in made.net.state_dict().items()) == careful
    if careful:
        made.apply(checked(graph, "", None))
        assert same(steps(made, 7), steps(start(graph, options=Options(3, "cpu")), 9))


# Run folders -------------------------------------------------------------------------------------


def edited(run: Path | None) -> Trainer:
    """A run of DCGAN with four interventions, 5 of 6 steps done."""
    made = steps(begun(named("dcgan"), run, every=2), 2)
    made.apply(named("dcgan", lr=0.01))
    steps(made, 1).only("d_step")
    other = renamed(named("dcgan", lr=0.01))
    made.apply(other)
    steps(made, 1)
    made.apply(checked(other, "", {"lr": 0.001}))
    return steps(made, 1)


@pytest.mark.parametrize("keep", [1, 2, 3, 4])
def test_a_run_with_edits_that_was_killed_goes_on_exactly(keep: int, tmp_path: Path) -> None:
    whole = steps(edited(None), 9)
    edited(tmp_path / "run")
    import shutil

    names = [c.name for c in runs.checkpoints(tmp_path / "run")]
    assert names[:1] == ["00-00000000"] and len(names) == 4
    for name in names[keep:]:
        shutil.rmtree(tmp_path / "run" / "checkpoints" / name)
    torch.manual_seed(99)
    again = resume(tmp_path / "run")
    steps(again, 9)
    assert same(again, whole)
    assert (again.edition, again.edits) == (whole.edition, whole.edits) == (3, 4)


def test_a_run_folder_tells_what_was_changed_when(tmp_path: Path) -> None:
    edited(tmp_path / "run")
    found = runs.read(tmp_path / "run")
    assert [(e.index, e.step, e.graph, e.update) for e in found.edits] == [
        (0, 2, 1, ""), (0, 3, 1, "d_step"), (0, 3, 2, ""), (0, 4, 3, "")
    ]  # fmt: skip
    told = found.edits[0].what
    assert "g_step: lr 0.0005 → 0.01" in told
    assert found.edits[0].checkpoint == ""
    assert found.checkpoints[-1] == runs.Checkpoint(0, 4, 2)
    assert (tmp_path / "run" / "graphs" / "0003.yaml").is_file()
    first, last = (runs.graph_text(tmp_path / "run", n)[0] for n in (0, 3))
    assert found.text == last != first  # as it is trained now


def test_what_a_run_gained_while_it_trained_is_known_for_a_loss(tmp_path: Path) -> None:
    graph = named("lenet", steps=8)
    made = steps(begun(graph, tmp_path / "run"), 2)
    nodes = {**graph.nodes, "far": Entry("MSE")}
    links = {**graph.links, Ref("far", "x"): Ref("scores"), Ref("far", "target"): Ref("scores")}
    train = (replace(graph.train[0], watch=("accuracy", "far")),)
    made.apply(graph.with_(nodes=nodes, links=links, train=train))
    steps(made, 8)
    assert runs.read(tmp_path / "run").metrics["far"].low


def test_going_back_brings_the_graph_and_drops_the_future_only_when_going_on(
    tmp_path: Path,
) -> None:
    made = steps(begun(named("dcgan"), tmp_path / "run", every=2), 3)
    made.apply(named("dcgan", lr=0.5))
    steps(made, 2)
    names = [c.name for c in runs.checkpoints(made.run)]  # type: ignore[arg-type]
    assert names == ["00-00000000", "00-00000002", "00-00000004-0001"]
    restore(made, "00-00000002")
    assert made.graph == named("dcgan") and (made.done, made.edition) == (2, 0)
    assert [c.name for c in runs.checkpoints(made.run)] == names  # type: ignore[arg-type]
    restore(made, "00-00000004-0001")
    assert made.graph.params["lr"] == 0.5
    restore(made, "00-00000002")
    assert same(steps(made, 9), steps(begun(named("dcgan")), 9))
    names = [c.name for c in runs.checkpoints(made.run)]  # type: ignore[arg-type]
    assert names == ["00-00000000", "00-00000002", "00-00000004", "01-00000000"]
    assert runs.edits(made.run) == []  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="no checkpoint that can be read"):
        restore(made, "00-00000077")


def test_a_branch_goes_on_as_the_run_did(tmp_path: Path) -> None:
    whole = steps(edited(tmp_path / "run"), 9)
    for checkpoint in runs.checkpoints(tmp_path / "run")[1:-1]:
        folder = runs.branch(tmp_path / "run", checkpoint.name, tmp_path / checkpoint.name)
        assert runs.read(folder).branched_from == {"run": "run", "checkpoint": checkpoint.name}
        made = resume(folder)
        assert made.graph == graph_at(tmp_path / "run", checkpoint.graph)
        assert made.done == checkpoint.step and made.ahead == []
    assert same(steps(made, 1), steps(begun(named("dcgan")), 0)) is False
    with pytest.raises(GraphError, match="is there already"):
        runs.branch(tmp_path / "run", "00-00000000", tmp_path / "run")
    assert whole.finished


def test_checkpoints_are_thinned_evenly_but_not_those_before_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "DISK", 0)
    graph = named("lenet", steps=200)
    made = steps(begun(graph, tmp_path / "run", every=2), 31)
    made.apply(renamed(graph))
    steps(made, 130)
    there = runs.checkpoints(tmp_path / "run")
    assert runs.Checkpoint(0, 31, 0) in there and runs.Checkpoint(0, 0) in there
    assert len(there) <= 24 + 2
    places = [c.step for c in there]
    gaps = [b - a for a, b in zip(places, places[1:])]
    assert max(gaps) <= 4 * 161 / 24


def renamed(graph: Graph) -> Graph:
    """The graph with another kind of activation somewhere: a change of structure."""
    text = files.dumps(graph).replace("type: ReLU", "type: Tanh", 1)
    return checked(files.parse(text).graph, "", None)


def test_a_log_is_read_on_and_noticed_when_it_went_back(tmp_path: Path) -> None:
    made = steps(begun(named("lenet", steps=40), tmp_path / "run", every=10), 10)
    log = runs.Log(tmp_path / "run")
    first, whole = log.read()
    assert first and whole
    steps(made, 10)
    more, whole = log.read()
    assert more and not whole and log.read() == ([], False)
    restore(made, "00-00000010")
    made.apply(named("lenet", steps=40, lr=0.1))
    steps(made, 12)
    rows, whole = log.read()
    assert whole and rows[: len(first)] == first


def test_runs_are_listed_with_the_best_and_the_last_of_each_metric(tmp_path: Path) -> None:
    steps(begun(named("lenet", steps=40), tmp_path / "one"), 40)
    (tmp_path / "none").mkdir()
    (tmp_path / "file").write_text("x")
    (found,) = runs.runs(tmp_path)
    rows = [json.loads(r) for r in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    accuracy = [r["accuracy"] for r in rows if r["kind"] == "metric"]
    loss = [r["loss"] for r in rows if r["kind"] == "metric"]
    assert (found.metrics["accuracy"].best, found.metrics["accuracy"].last) == (
        max(accuracy), accuracy[-1]
    )  # fmt: skip
    assert found.metrics["loss"].best == min(loss)
    assert (found.name, found.index, found.step, found.seed) == ("one", 1, 0, 3)
    with pytest.raises(GraphError, match="no folder of a run"):
        runs.delete(tmp_path / "none")
    runs.delete(found.folder)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "none"]


# Words -------------------------------------------------------------------------------------------


def test_what_differs_is_told_in_words() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "dann.yaml")
    text = files.dumps(graph)

    def told(*pairs: tuple[str, str]) -> list[str]:
        new = text
        for old, other in pairs:
            assert old in new
            new = new.replace(old, other, 1)
        return [c.text for c in changes(graph, files.parse(new).graph)]

    assert told() == []
    assert told(("gamma: 10", "gamma: 5")) == ["strength: gamma 10 → 5"]
    assert told(("steps: 800", "steps: 900")) == ["stage adapt: steps 800 → 900"]
    assert told(("channels: 32", "channels: 16")) == ["Features.conv1: channels 32 → 16"]
    assert told(("type: MaxPool2d", "type: AvgPool2d")) == ["Features.pool1: MaxPool2d → AvgPool2d"]
    assert told(("logits: digits_t", "logits: digits")) == [
        "digit_loss_t: logits from digits_t → digits"
    ]


@pytest.mark.parametrize(
    ("factors", "waits"), [((1.0, 2.0), False), ((1, 0.1), False), ((1.0,), True), ("$given", True)]
)
def test_numbers_that_change_wait_for_nobody(factors: object, waits: bool) -> None:
    """A number, and each of a list of them; another count of them is another network."""
    text = """nodegraph: 1
nodes:
  p: {type: Parameter, shape: [1]}
  one: {type: Mean, in: {x: p}}
  two: {type: Mean, in: {x: p}}
  sum: {type: WeightedSum, factors: [1.0, 0.1], in: {losses: [one, two]}}
"""
    old = files.parse(text).graph
    entry = replace(old.nodes["sum"], params={"factors": factors})
    new = old.with_(nodes={**old.nodes, "sum": entry})
    told = changes(old, new)
    assert any(c.structural for c in told) == waits
    assert len(told) == (factors != (1, 0.1))
