"""The generated source: what it says, what it computes, that the export is the same text."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import GRAPHS, ROOT
from lean import lean
from torch import nn

import nodegraph
from nodegraph import edits, files
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved, training_module
from nodegraph.compiler.script import standalone_source, training_source
from nodegraph.graph import GraphError, Ref, choose
from nodegraph.library import standard
from nodegraph.scope import Scope

CASES = [(path, preset) for path in GRAPHS for preset in nodegraph.load(path).presets]
IDS = [f"{path.stem}-{preset}" for path, preset in CASES]


def chosen(name: str, preset: str = "", **settings: object) -> nodegraph.graph.Graph:
    """A prebuilt graph with its parameters set."""
    graph = lean(nodegraph.load(ROOT / "graphs" / f"{name}.yaml"))
    return settled(choose(graph, preset, settings))


def source_of(graph: nodegraph.graph.Graph) -> str:
    """The text that trains a graph."""
    return training_source(resolved(graph, standard()), graph, "test")


@pytest.mark.parametrize("path, preset", CASES, ids=IDS)
def test_every_graph_compiles_under_every_preset(path: Path, preset: str) -> None:
    graph = settled(choose(nodegraph.load(path), preset))
    body = resolved(graph, standard())
    module = training_module(graph, body)
    assert [stage.name for stage in module.STAGES] == [stage.name for stage in graph.train]
    with torch.device("meta"):
        net = module.Network()
    declared = {
        f"{name}.{weight}": shape
        for name, call in body.calls.items()
        if call.owner == name
        for weight, shape in call.weights().items()
    }
    assert {k: tuple(v.shape) for k, v in net.named_parameters()} == declared


@pytest.mark.parametrize("path, preset", CASES, ids=IDS)
def test_no_prebuilt_graph_has_a_problem(path: Path, preset: str) -> None:
    assert [str(p) for p in nodegraph.check(choose(nodegraph.load(path), preset))] == []


@pytest.mark.parametrize(
    "name, preset, node, count",
    [
        ("texture_net", "quick", "generator", 71_659),
        ("texture_net", "paper", "generator", 71_659),
        ("dcgan", "paper", "generator", 3_576_704),
        ("dcgan", "paper", "judge_real", 2_765_568),
        ("gmmn_ae", "paper", "encoder", 784 * 1024 + 1024 + 1024 * 32 + 32),
        ("gmmn_ae", "paper", "codes", 379_104),
        ("lenet", "quick", "features", 416 + 12_832),
        ("dann", "paper", "features", 2_432 + 38_448),
    ],
)
def test_networks_have_the_published_sizes(name: str, preset: str, node: str, count: int) -> None:
    body = resolved(chosen(name, preset), standard())
    assert body.calls[node].parameters() == count


def test_the_source_reads_as_written_by_hand() -> None:
    path = ROOT / "graphs" / "lenet.yaml"
    document = files.read(path)
    graph = settled(document.graph)

    def where(place: tuple[str, ...]) -> str:
        return f"lenet.yaml:{document.line(*place)}"

    text = training_source(resolved(graph, standard()), graph, "LeNet", where)
    line = next(i for i, t in enumerate(path.read_text().splitlines(), 1) if "conv2:" in t)
    assert f"self.conv2 = nn.Conv2d(16, 32, 5, padding=2)  # lenet.yaml:{line}" in text
    assert "class Features(nn.Module):" in text
    assert 'losses["loss"] = loss.detach()' in text


def test_a_shared_call_is_a_call_of_one_module() -> None:
    text = source_of(chosen("dann"))
    assert text.count("self.features = Features()") == 1
    assert "features_t = self.net.features(target_image)" in text


def test_a_group_used_at_several_sizes_is_a_class_for_each_and_no_more() -> None:
    tree = ast.parse(source_of(chosen("texture_net")))
    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert [n for n in names if n.startswith("Finer")] == ["Finer", "Finer_2", "Finer_3", "Finer_4"]
    assert len([n for n in names if n.startswith("Filters")]) == 2  # with and without the bias


def test_a_slice_is_a_module_with_the_names_of_the_graph() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "lenet.yaml")
    torch.manual_seed(0)
    net = nodegraph.compile(graph, inputs=["digits.image"], outputs=["scores"])
    by_hand = nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    keys = ["features.conv1", "features.conv2", "hidden", "scores"]
    assert list(net.state_dict()) == [f"{k}.{w}" for k in keys for w in ("weight", "bias")]
    by_hand.load_state_dict(dict(zip(by_hand.state_dict(), net.state_dict().values(), strict=True)))
    x = torch.rand(7, 1, 16, 16)
    assert torch.equal(net(x), by_hand(x))


def test_a_slice_starts_and_ends_anywhere() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "lenet.yaml")
    head = nodegraph.compile(graph, inputs=["features"], outputs=["scores", "relu"])
    scores, relu = head(torch.rand(3, 512))
    assert scores.shape == (3, 10)
    assert relu.min() >= 0
    assert not any(k.startswith("features") for k in head.state_dict())


@pytest.mark.parametrize(
    "inputs, outputs, text",
    [
        (["digits.image"], ["score"], "did you mean 'scores'"),
        (["digits"], ["scores"], "digits.image, digits.label"),
        (["digits.image"], [], "name at least one output"),
    ],
)
def test_a_slice_of_what_is_not_there_is_refused(
    inputs: list[str], outputs: list[str], text: str
) -> None:
    graph = nodegraph.load(ROOT / "graphs" / "lenet.yaml")
    with pytest.raises(GraphError, match=text):
        nodegraph.compile(graph, inputs, outputs)


def test_the_output_of_a_group_that_is_no_module_is_that_of_a_node_inside() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "autoencoder.yaml")
    for given in ("digits.image", "digits.digits.image"):
        net = nodegraph.compile(graph, [given], ["decoder"])
        assert net.sizes.inputs == (Ref("digits.digits", "image"),)
    for given in ("digits", "digits.images"):
        with pytest.raises(GraphError, match=f"'{given}' is no output of digits; it has digits.im"):
            nodegraph.compile(graph, [given], ["decoder"])
    with pytest.raises(GraphError, match="there is no node 'digit'; did you mean 'digits'"):
        nodegraph.compile(graph, ["digit.image"], ["decoder"])


@pytest.mark.parametrize(
    "name, given, wanted, shape, text",
    [
        ("lenet", "digits.image", "scores", (2, 1, 4, 4),
         "hidden: its weight is 64×512, this needs 64×32 "
         "(made for digits.image of 64×1×16×16; 16×16 is the smallest that fits)"),
        ("lenet", "digits.image", "scores", (2, 3, 16, 16),
         "features: its conv1.weight is 16×1×5×5, this needs 16×3×5×5"),
        ("lenet", "digits.image", "scores", (16, 16), "digits.image is 16×16, not 64×1×16×16"),
        ("style_net", "photos", "generator", (2, 3, 8, 8),
         "Conv.norm: x has one pixel a map, which would become 0; normalise before "
         "(made for photos.image of 4×3×48×48; 9×9 is the smallest that fits)"),
    ],
)  # fmt: skip
def test_a_slice_says_which_node_does_not_take_a_size(
    name: str, given: str, wanted: str, shape: tuple[int, ...], text: str
) -> None:
    net = nodegraph.compile(nodegraph.load(ROOT / "graphs" / f"{name}.yaml"), [given], [wanted])
    with pytest.raises(GraphError, match=re.escape(text)):
        net(torch.zeros(shape))
    with pytest.raises(RuntimeError):  # what is not of sizes stays torch's
        net(torch.zeros(2, *net.sizes.body.value(net.sizes.inputs[0]).shape[1:]).long())


def test_the_smallest_size_that_is_told_fits_and_none_below_it() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "style_net.yaml")
    net = nodegraph.compile(graph, ["photos"], ["generator"])
    assert net(torch.zeros(2, 3, 9, 9)).shape[2] >= 9
    with pytest.raises(GraphError):
        net(torch.zeros(2, 3, 8, 8))


def test_a_slice_is_compiled_by_torch_in_one_piece() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "lenet.yaml")
    net = nodegraph.compile(graph, ["digits.image"], ["scores"])
    x = torch.rand(2, 1, 16, 16)
    assert torch.equal(net(digits_image=x), net(x))
    assert torch.equal(torch.compile(net, backend="eager", fullgraph=True)(x), net(x))


def test_node_names_that_python_or_torch_use_still_compile() -> None:
    graph = files.parse(
        """
nodegraph: 1
nodes:
  data: {type: Digits, batch: 8}
  train: {type: Flatten, in: {x: data.image}}
  type: {type: Linear, features: 4, in: {x: train}}
  torch: {type: ReLU, in: {x: type}}
  t: {type: Linear, features: 10, in: {x: torch}}
  losses: {type: CrossEntropy, in: {logits: t, labels: data.label}}
  step: {type: SGD, over: [type, t], in: {loss: losses}}
train:
  - {stage: stage, steps: 2, run: [step], watch: [losses]}
"""
    ).graph
    events = list(nodegraph.train(graph))
    assert "type_.weight" in events[-1].state


def test_the_generated_module_frees_each_value_after_its_last_use() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "lenet.yaml")
    net = nodegraph.compile(graph, inputs=["digits.image"], outputs=["scores"])
    import inspect

    text = inspect.getsource(type(net.features))  # also shows that inspect works
    assert "relu1 = torch.relu(conv1); conv1 = None" in text


RUN_SCRIPTS = f"""
import json, runpy, sys, traceback, torch
torch.set_num_threads(1)
sys.path = [p for p in sys.path if p not in ("", {str(ROOT)!r})]
for path in sys.stdin:
    rows = []
    try:
        space = runpy.run_path(path.strip())
        space["fit"](space["Network"], space["make_sources"], space["STAGES"], 5, "cpu",
                     lambda stage, step, values: rows.append([stage, step, values]))
        assert "nodegraph" not in sys.modules
    except BaseException:
        rows = traceback.format_exc()
    print(json.dumps(rows), flush=True)
"""


@pytest.fixture(scope="module")
def without_nodegraph() -> Iterator[subprocess.Popen[str]]:
    """A process that trains the scripts that it is told, and knows nothing of nodegraph."""
    command = [sys.executable, "-c", RUN_SCRIPTS]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tempfile.gettempdir()
    ) as process:
        yield process


@pytest.mark.parametrize("name", [path.stem for path in GRAPHS])
def test_the_export_needs_torch_alone_and_has_the_same_losses(
    name: str, small: dict, tmp_path: Path, without_nodegraph: subprocess.Popen[str]
) -> None:
    settings = {**small.get(name, {}), "steps": 3}
    if name == "gmmn_ae":
        settings["ae_steps"] = 2
    if name == "texture_random_filters":
        settings["steps"] = 2
    graph = chosen(name, **settings)
    text = standalone_source(resolved(graph, standard()), graph, name)
    assert "nodegraph" not in {
        n.name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for n in node.names
    } | {
        (node.module or "").split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
    }
    # The exported file, run in a process that cannot import nodegraph.
    script = tmp_path / "net.py"
    script.write_text(text)
    assert without_nodegraph.stdin and without_nodegraph.stdout
    print(script, file=without_nodegraph.stdin, flush=True)
    exported = json.loads(without_nodegraph.stdout.readline())
    assert isinstance(exported, list), exported
    torch.set_num_threads(1)
    trained = []
    for event in nodegraph.train(graph, seed=5):
        if hasattr(event, "losses"):
            values = {k: v.item() for k, v in event.losses.items()}
            trained.append([event.stage, event.step, values])
        elif hasattr(event, "metrics"):
            trained.append([event.stage, event.step, dict(event.metrics)])
    assert json.loads(json.dumps(trained)) == exported
    losses = [v for _, _, values in exported for v in values.values()]
    if any(stage.run for stage in graph.train):
        assert len(set(map(str, losses))) > 3  # it does learn: the numbers move


def test_a_value_that_does_not_fit_is_named_where_it_keeps_a_graph_from_compiling() -> None:
    graph = choose(nodegraph.load(ROOT / "graphs" / "spline_blend.yaml"), "", {"levels": 0})
    with pytest.raises(GraphError, match="levels expects 1 to 16, not 0"):
        nodegraph.compile(graph, ["one.image"], ["splined"])


def test_gradient_reversal_in_generated_code_reverses() -> None:
    graph = nodegraph.load(ROOT / "graphs" / "dann.yaml")
    net = nodegraph.compile(graph, inputs=["features", "strength"], outputs=["domain"])
    x = torch.rand(4, 768, requires_grad=True)
    net(x, 0.5).sum().backward()
    reversed_gradient = x.grad.clone()
    y = x.detach().requires_grad_()
    fc1, fc2 = net.domain.fc1, net.domain.fc2
    fc2(F.relu(fc1(y))).sum().backward()
    assert torch.equal(reversed_gradient, -0.5 * y.grad)


def test_a_bypassed_node_is_not_in_the_network() -> None:
    graph, scope = nodegraph.load(ROOT / "graphs" / "dann.yaml"), Scope(standard())
    name = next(n for n, e in graph.nodes.items() if e.type in graph.groups)
    group = str(graph.nodes[name].type)
    inner = next(n for n, e in graph.groups[group].nodes.items() if e.type == "ReLU")
    graph = edits.within(graph, [group], lambda g, s: edits.rename(g, inner, "spared", s), scope)
    whole = settled(graph)
    graph = edits.within(graph, [group], lambda g, s: edits.bypass(g, ["spared"], s), scope)
    metric = next(n for s in graph.train for n in s.watch if isinstance(n, str))
    run = settled(edits.bypass(graph, [metric], scope))
    assert nodegraph.check(run) == []
    assert "spared" in source_of(whole) and metric in source_of(whole)
    assert "spared" not in source_of(run) and metric not in source_of(run)
