"""Weights from files: found, compared with their hash, fitted to layers, loaded once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import nodegraph.nodes.ops.weights
import pytest
import safetensors.torch
import torch
from nodegraph.nodes.ops import weight_files
from nodegraph.nodes.ops.weights import download, load_weights, read_weights
from test_sources import Mirror, mirror  # noqa: F401 - a fixture
from torch import Tensor, nn

import nodegraph
from nodegraph import edits, files, groups
from nodegraph.changes import changes
from nodegraph.compiler.build import resolved
from nodegraph.compiler.script import standalone_source
from nodegraph.graph import Graph, GraphError, Reference, choose
from nodegraph.library import standard
from nodegraph.names import EditError
from nodegraph.schema import to_data
from nodegraph.scope import Scope
from nodegraph.session import Session
from nodegraph.training import run as runs

TEXT = """
nodegraph: 1
params: {weights: ""}
presets: {quick: {}, given: {weights: part.pth}}
groups:
  Part:
    inputs: {x: N C H W}
    outputs: {y: relu}
    nodes:
      conv1_1: {type: Conv2d, channels: 4, kernel: 3, in: {x: x}}
      conv1_2: {type: Conv2d, channels: 4, kernel: 3, in: {x: conv1_1}}
      relu: {type: ReLU, in: {x: conv1_2}}
nodes:
  data: {type: Digits, batch: 8}
  part: {type: Part, frozen: true, weights: $weights, in: {x: data.image}}
  flat: {type: Flatten, in: {x: part}}
  head: {type: Linear, features: 10, in: {x: flat}}
  loss: {type: CrossEntropy, in: {logits: head, labels: data.label}}
  adam: {type: Adam, over: [head], in: {loss: loss}}
train:
  - {stage: learn, steps: 2, run: [adam]}
"""


def graph(folder: Path, text: str = TEXT) -> Graph:
    """A graph in a file of `folder`."""
    (folder / "graph.yaml").write_text(text, encoding="utf-8")
    return nodegraph.load(folder / "graph.yaml")


def torchvision(seed: int = 5) -> nn.Module:
    """A network whose layers are named by numbers; its first two are those of `Part`.

    Its seed is that of no run, which would draw the same weights.
    """
    torch.manual_seed(seed)
    net = nn.Module()
    net.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())
    net.classifier = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 2))
    return net


def part() -> nn.Module:
    """The layers of `Part`."""
    return nn.Sequential(OrderedDict(conv1_1=nn.Conv2d(1, 4, 3), conv1_2=nn.Conv2d(4, 4, 3)))


def equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def hashed(path: Path, right: bool = True) -> Path:
    """`path` with eight digits of its hash in its name, or others."""
    told = hashlib.sha256(path.read_bytes()).hexdigest()[:8] if right else "0123abcd"
    return path.rename(path.with_name(f"{path.stem}-{told}{path.suffix}"))


# Fitting -----------------------------------------------------------------------------------------


def loaded(path: Path, name: str = "part") -> dict[str, Tensor]:
    """A part with a file's weights."""
    net = nn.Module()
    setattr(net, name, part())
    load_weights(net, {name: str(path)})
    return net.get_submodule(name).state_dict()


@pytest.mark.parametrize("front", ["", "part.", "old.", "a.b."])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_weights_fit_by_name_also_with_a_part_in_front(
    front: str, suffix: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    wanted = part().state_dict()
    named = {f"{front}{k}": v for k, v in wanted.items()} | {"else.weight": torch.ones(3)}
    path = tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(named, path)
    else:
        torch.save(named, path)
    assert not equal(part().state_dict(), wanted)
    assert equal(loaded(path), wanted)


def test_weights_fit_by_the_order_of_layers(tmp_path: Path) -> None:
    net = torchvision()
    torch.save(net.state_dict(), path := tmp_path / "w.pth")
    found = loaded(path)
    assert equal(
        found,
        {
            "conv1_1.weight": net.features[0].weight, "conv1_1.bias": net.features[0].bias,
            "conv1_2.weight": net.features[2].weight, "conv1_2.bias": net.features[2].bias,
        },
    )  # fmt: skip
    head = nn.Module()
    head.head = nn.Sequential(OrderedDict(fc1=nn.Linear(5, 7), fc2=nn.Linear(7, 2)))
    load_weights(head, {"head": str(path)})  # the end of the file, as well as its beginning
    assert torch.equal(head.head.fc2.weight, net.classifier[1].weight)


def test_weights_around_which_a_training_is_saved_are_found(tmp_path: Path) -> None:
    wanted = part().state_dict()
    torch.save({"epoch": 3, "state_dict": wanted}, path := tmp_path / "w.pth")
    assert equal(loaded(path), wanted)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"conv1_2.bias": None}, "has no conv1_2.bias, which part needs .4."),
        (
            {"conv1_1.weight": torch.zeros(4, 3, 3, 3)},
            "conv1_1.weight is 4×3×3×3, and part expects",
        ),
    ],
)
def test_what_does_not_fit_by_name_says_which_key_and_shape(
    change: dict, words: str, tmp_path: Path
) -> None:
    found = {k: v for k, v in (part().state_dict() | change).items() if v is not None}
    torch.save(found, path := tmp_path / "w.pth")
    with pytest.raises(ValueError, match=words) as raised:
        loaded(path)
    assert str(path) in str(raised.value)


def test_what_does_not_fit_by_order_says_which_layer_and_shape(tmp_path: Path) -> None:
    net = torchvision()
    net.features[2] = nn.Conv2d(4, 5, 3)
    torch.save(net.state_dict(), path := tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"features.2 .*5×4×3×3.* is not part.conv1_2 .*4×4×3×3"):
        loaded(path)
    torch.save({"a.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="it has 1 layers, and part has 2"):
        loaded(path)


def test_weights_that_fit_twice_are_refused(tmp_path: Path) -> None:
    both = {f"{n}.{k}": v for n in ("one", "two") for k, v in part().state_dict().items()}
    torch.save(both, path := tmp_path / "w.pth")
    with pytest.raises(ValueError, match="one, two would all fit part"):
        loaded(path)
    assert loaded(path, "two")  # its own name decides
    ordered = {f"{i}.{k}": v for i in (0, 1) for k, v in nn.Conv2d(4, 4, 3).state_dict().items()}
    torch.save(ordered, path)
    net = nn.Module()
    net.part = nn.Sequential(OrderedDict(mine=nn.Conv2d(4, 4, 3)))
    with pytest.raises(ValueError, match="part would fit at 0, 1"):
        load_weights(net, {"part": str(path)})


def test_a_safetensors_file_is_not_fitted_by_order(tmp_path: Path) -> None:
    safetensors.torch.save_file(torchvision().state_dict(), path := tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="has no part with the names and shapes of part"):
        loaded(path)


def test_nothing_is_changed_when_one_part_does_not_fit(tmp_path: Path) -> None:
    torch.save(torchvision().state_dict(), path := tmp_path / "w.pth")
    net = nn.Module()
    net.part, net.other = part(), nn.Sequential(nn.Linear(3, 3))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(ValueError):
        load_weights(net, {"part": str(path), "other": str(path)})
    assert equal(net.state_dict(), before)


# Files -------------------------------------------------------------------------------------------


class Evil:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple:
        return (print, ("executed",))


def test_a_file_never_executes_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"w": Evil()}, path := tmp_path / "w.pth")
    with pytest.raises(ValueError, match="no file of plain tensors"):
        read_weights(str(path))
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(b"not weights")
        with pytest.raises(ValueError, match=str(tmp_path / name)):
            read_weights(str(tmp_path / name))
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="holds no tensors by name"):
        read_weights(str(path))
    assert "executed" not in capsys.readouterr().out


def test_eight_digits_in_the_name_are_compared_with_the_hash(tmp_path: Path) -> None:
    torch.save(torchvision().state_dict(), tmp_path / "w.pth")
    right = hashed(tmp_path / "w.pth")
    assert loaded(right)
    wrong = hashed(right.rename(tmp_path / "v.pth"), right=False)
    with pytest.raises(ValueError, match="begins with .*, its name says 0123abcd"):
        loaded(wrong)


def published(name: str, data: bytes, served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish a file, on a server of this machine."""
    (served / "weights").mkdir(exist_ok=True)
    (served / "weights" / name).write_bytes(data)
    known = weight_files.Published("https://example.org", len(data) / 1e6, "caffe")
    monkeypatch.setitem(weight_files.PUBLISHED, name, known)


def test_published_weights_are_fetched_once_and_compared(
    mirror: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.save(torchvision().state_dict(), tmp_path / "net.pth")
    file = hashed(tmp_path / "net.pth")
    published(file.name, file.read_bytes(), mirror, monkeypatch)
    monkeypatch.chdir(mirror)  # where no file is called so
    assert weight_files.find(file.name) == ""
    assert loaded(Path(file.name))
    assert loaded(Path(file.name)) and len(Mirror.asked) == 1
    published("bad-0123abcd.pth", b"something else", mirror, monkeypatch)
    with pytest.raises(ValueError, match="its name says 0123abcd"):
        download("bad-0123abcd.pth")
    kept = [f.name for f in (tmp_path / "cache").rglob("*") if f.is_file()]
    assert kept == [file.name]


def test_all_published_names_are_known_with_their_convention() -> None:
    assert weight_files.PUBLISHED["vgg_conv.pth"].convention == "caffe"
    assert {n for n, p in weight_files.PUBLISHED.items() if p.convention == "torchvision"} == {
        "vgg16-397923af.pth", "vgg19-dcbb9e9d.pth", "alexnet-owt-7be5be79.pth",
    }  # fmt: skip
    assert all(p.home.startswith("https://") for p in weight_files.PUBLISHED.values())


# In a graph --------------------------------------------------------------------------------------


def test_a_graph_with_weights_is_read_and_written_as_it_is(tmp_path: Path) -> None:
    of = graph(tmp_path)
    assert of.nodes["part"].weights == Reference("weights")
    assert files.parse(files.dumps(of)).graph == of
    given = edits.set_weights(of, "part", "other.pth")
    text = files.save(given, tmp_path / "graph.yaml")
    assert text == TEXT.replace("weights: $weights", "weights: other.pth")
    cleared = edits.set_weights(given, "part", "")
    assert "weights" not in to_data(cleared)["nodes"]["part"]


def test_a_preset_can_give_weights_relative_to_the_file(tmp_path: Path) -> None:
    torch.save(torchvision().state_dict(), tmp_path / "part.pth")
    of = graph(tmp_path)
    assert nodegraph.check(of) == []
    drawn, given = runs.start(of, "quick").net, runs.start(of, "given").net
    first = torchvision().features[0].weight
    assert torch.equal(given.part.conv1_1.weight, first)
    assert not torch.equal(drawn.part.conv1_1.weight, first)
    assert torch.equal(given.head.weight, drawn.head.weight)  # the draws are the same


def test_checking_loads_nothing_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(nodegraph.nodes.ops.weights, "read_weights", refused)
    torch.save(torchvision().state_dict(), tmp_path / "part.pth")
    of = graph(tmp_path)
    assert nodegraph.check(of) == []
    (tmp_path / "part.pth").unlink()
    (problem,) = nodegraph.check(of)
    assert problem.where == ("nodes", "part", "weights")
    assert "no file or run 'part.pth'" in problem.text and "preset given" in problem.text
    assert "vgg19-dcbb9e9d.pth" in problem.cure
    with pytest.raises(GraphError, match="no file or run"):
        runs.start(of, "given")


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("$weights", "3", "weights is the number 3"),
        ("$weights", "$file", "\\$file is no parameter here"),
        ("flat: {type: Flatten,", "flat: {type: Flatten, weights: part.pth,", "has no weights"),
        ("$weights", "vgg_conv.pth", ""),  # which need not be there
    ],
)
def test_wrong_weights_are_told(old: str, new: str, words: str, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "part.pth")
    try:
        told = [str(p) for p in nodegraph.check(graph(tmp_path, TEXT.replace(old, new)))]
    except GraphError as wrong:
        told = [str(wrong)]
    assert any(words in t.replace("$", "\\$") for t in told) if words else told == []


def test_a_further_call_has_no_weights_of_its_own(tmp_path: Path) -> None:
    more = "  again: {shares: part, weights: part.pth, in: {x: data.image}}\ntrain:"
    document = files.parse(TEXT.replace("train:", more))
    assert any("sets 'weights'" in str(p) for p in document.problems)


def test_images_of_the_other_convention_are_told(tmp_path: Path) -> None:
    with_images = TEXT.replace(
        "  part:",
        "  pre: {type: Preprocess, convention: torchvision, in: {x: data.image}}\n  part:",
    ).replace("in: {x: data.image}}\n  flat", "in: {x: pre}}\n  flat")
    with_images = with_images.replace("batch: 8", "batch: 8, channels: 3")
    wrong = graph(tmp_path, with_images.replace("$weights", "vgg_conv.pth"))
    assert ["set `convention: caffe` on pre"] == [
        p.cure for p in nodegraph.check(wrong) if p.where[-1] == "weights" and "expects" in p.text
    ]
    right = graph(tmp_path, with_images.replace("$weights", "vgg16-397923af.pth"))
    assert not [p for p in nodegraph.check(right) if "expects images" in p.text]


def test_a_run_is_a_file_of_weights_also_under_another_name(tmp_path: Path) -> None:
    of = graph(tmp_path)
    trainer = runs.start(of, "quick", run=tmp_path / "run")
    list(trainer.events())
    text = TEXT.replace("$weights", "run").replace("part:", "body:").replace("x: part", "x: body")
    again = runs.start(graph(tmp_path, text), options=runs.Options(seed=1))
    assert equal(again.net.body.state_dict(), trainer.net.part.state_dict())
    single = TEXT.replace("type: Linear,", "type: Linear, weights: run,")
    head = runs.start(graph(tmp_path, single), options=runs.Options(seed=1)).net.head
    assert equal(head.state_dict(), trainer.net.head.state_dict())
    (tmp_path / "empty").mkdir()
    with pytest.raises(GraphError, match="no run's folder with a checkpoint"):
        runs.start(graph(tmp_path, TEXT.replace("$weights", "empty")))


def test_weights_inside_a_group_are_loaded(tmp_path: Path) -> None:
    torch.save(torchvision().state_dict(), tmp_path / "part.pth")
    text = TEXT.replace("kernel: 3, in: {x: x}", "kernel: 3, weights: part.pth, in: {x: x}")
    net = runs.start(graph(tmp_path, text)).net
    assert torch.equal(net.part.conv1_1.weight, torchvision().features[0].weight)


def test_a_resumed_run_does_not_load_again(tmp_path: Path) -> None:
    torch.save(torchvision().state_dict(), tmp_path / "part.pth")
    of = graph(tmp_path, TEXT.replace("frozen: true, ", "").replace("[head]", "[part, head]"))
    straight = runs.start(of, "given", {}, tmp_path / "a")
    list(straight.events())
    stopped = runs.start(of, "given", {}, tmp_path / "b")
    for _ in stopped.advance():
        pass
    stopped.save()
    (tmp_path / "part.pth").unlink()
    resumed = runs.resume(tmp_path / "b")
    list(resumed.events())
    assert equal(resumed.net.state_dict(), straight.net.state_dict())
    assert not torch.equal(resumed.net.part.conv1_1.weight, torchvision().features[0].weight)


def test_weights_named_while_it_trains_are_loaded_once(tmp_path: Path) -> None:
    torch.save(torchvision().state_dict(), tmp_path / "1.pth")
    text = TEXT.replace("frozen: true, ", "").replace("[head]", "[part, head]")
    of = graph(tmp_path, text)
    trainer = runs.start(of, "quick")
    named = runs.checked(choose(of, settings={"weights": "1.pth"}), "", {})
    said = trainer.apply(named).what
    assert said == ("part: weights drawn → 1.pth",)
    wanted = torchvision().features[0].weight
    assert torch.equal(trainer.net.part.conv1_1.weight, wanted)
    for _ in trainer.advance():
        pass
    moved = trainer.net.part.conv1_1.weight.clone()
    assert not torch.equal(moved, wanted)
    rate = edits.set_param(named, "adam", "lr", 0.1, Scope(standard()))
    trainer.apply(rate)  # another change: the weights go on
    assert torch.equal(trainer.net.part.conv1_1.weight, moved)
    trainer.apply(edits.rename(rate, "part", "trunk", Scope(standard())), names={"part": "trunk"})
    assert torch.equal(trainer.net.trunk.conv1_1.weight, moved)


def test_a_change_of_weights_is_told_in_words(tmp_path: Path) -> None:
    of = graph(tmp_path)
    (told,) = changes(of, edits.set_weights(of, "part", "x.pth"))
    assert told.text == "part: weights drawn → x.pth" and told.structural


def test_an_exported_script_loads_the_weights_too(tmp_path: Path) -> None:
    torch.save(torchvision().state_dict(), tmp_path / "part.pth")
    of = runs.checked(graph(tmp_path), "given", {})
    (tmp_path / "elsewhere").mkdir()
    script, saved = tmp_path / "elsewhere" / "net.py", tmp_path / "net.pth"
    script.write_text(standalone_source(resolved(of, standard()), of, "net"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", str(script), "--save", str(saved)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = torch.load(saved, weights_only=True)
    assert torch.equal(found["part.conv1_1.weight"], torchvision().features[0].weight)
    drawn = runs.checked(graph(tmp_path), "quick", {})
    assert "load_weights" not in standalone_source(resolved(drawn, standard()), drawn, "net")


def test_a_group_with_weights_is_not_taken_apart(tmp_path: Path) -> None:
    of = edits.set_weights(graph(tmp_path), "part", "part.pth")
    with pytest.raises(EditError, match="clear `weights` first"):
        groups.ungroup(of, "part", Scope(standard()))
    assert groups.ungroup(edits.set_weights(of, "part", ""), "part", Scope(standard()))


def test_weights_are_set_in_a_session_and_undone(tmp_path: Path) -> None:
    session = Session(graph(tmp_path))
    assert session.set_weights("part", "vgg_conv.pth")
    assert session.graph.nodes["part"].weights == "vgg_conv.pth"
    assert session.set_weights("part", "$weights")
    assert session.graph.nodes["part"].weights == Reference("weights")
    assert not session.set_weights("part", "$other")
    session.undo()
    assert session.graph.nodes["part"].weights == "vgg_conv.pth"


def test_a_preset_can_freeze(tmp_path: Path) -> None:
    text = TEXT.replace("frozen: true", "frozen: $still").replace("[head]", "$over")
    text = text.replace('{weights: ""}', '{weights: "", still: false, over: [part, head]}')
    text = text.replace("{weights: part.pth}", "{still: true, over: [head]}")
    of = graph(tmp_path, text)
    assert nodegraph.check(of) == []
    assert files.parse(files.dumps(of)).graph == of
    for preset, moves in (("quick", True), ("given", False)):
        trainer = runs.start(of, preset)
        before = trainer.net.part.conv1_1.weight.clone()
        list(trainer.events())
        assert torch.equal(trainer.net.part.conv1_1.weight, before) != moves
    flat = groups.flat(choose(of, "given"), Scope(standard()))
    assert resolved(flat, standard()).calls["part.conv1_1"].frozen
    told = [c.text for c in changes(of, choose(of, "given"))]
    assert "part: frozen" in told
    wrong = nodegraph.check(choose(of, settings={"still": 3}))
    assert any("frozen is 3" in p.text for p in wrong)


def test_a_frozen_file_with_no_boolean_is_refused() -> None:
    with pytest.raises(GraphError, match="write true or false, or `\\$name`"):
        files.parse(TEXT.replace("frozen: true", "frozen: 3"))
