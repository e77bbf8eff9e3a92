"""The standard convolutional networks: their sizes, their weights, what they compute."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import safetensors.torch
import torch
from conftest import ROOT
from PIL import Image
from torch import Tensor, nn

import nodegraph
from nodegraph import cli, files
from nodegraph.body import Body
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import Graph, GraphError, choose
from nodegraph.library import standard
from nodegraph.training import run as runs
from nodegraph.training.normalise import normalise_activations, normalised

CONVS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
# Where torchvision's `features` has each convolution.
INDEX = {
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
}


def graph(name: str) -> Graph:
    return nodegraph.load(ROOT / "graphs" / f"{name}.yaml")


def body(name: str, preset: str) -> Body:
    return resolved(settled(choose(graph(name), preset)), standard())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with two classes of pictures: light and dark ones."""
    random = numpy.random.default_rng(0)
    for label, name in enumerate(("cats", "dogs")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(12):
            pixels = random.integers(150 * label, 100 + 150 * label, (40, 40, 3), numpy.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


# Sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, preset, count",
    [
        ("lenet", "paper", 61_706),
        ("alexnet", "torchvision", 61_100_840),
        ("alexnet", "published", 61_100_840),
        ("alexnet", "paper", 60_965_224),
        ("vgg16", "paper", 138_357_544),
        ("vgg19", "paper", 143_667_240),
        ("vgg19", "published", 143_667_240),
    ],
)
def test_the_published_networks_have_the_published_sizes(
    name: str, preset: str, count: int
) -> None:
    calls = body(name, preset).calls.values()
    assert sum(c.parameters() for c in calls if c.owner == c.name) == count


@pytest.mark.parametrize("name", CONVS)
def test_vgg_gives_512_maps_of_7_by_7_to_its_classifier(name: str) -> None:
    found = body(name, "paper")
    assert found.calls["features"].outputs["maps"].shape == (32, 512, 7, 7)
    convs = [k for k in found.calls["features"].weights() if k.endswith("weight")]
    told = [
        f"block{b}.conv{b}_{i}.weight"
        for b, count in enumerate(CONVS[name], 1)
        for i in range(1, count + 1)
    ]
    assert convs == told


def test_lenet5_sees_a_digit_as_the_paper_has_it() -> None:
    features = body("lenet", "paper").calls["features"].body
    assert features is not None
    shapes = {n: v.shape[1:] for n, c in features.calls.items() for v in c.outputs.values()}
    assert shapes["conv1"] == (6, 28, 28) and shapes["pool1"] == (6, 14, 14)
    assert shapes["conv2"] == (16, 10, 10) and shapes["pool2"] == (16, 5, 5)
    assert shapes["conv3"] == (120, 1, 1)


def test_a_convolution_is_the_sum_of_the_slide() -> None:
    text = """
nodegraph: 1
nodes:
  x: {type: Parameter, shape: [2, 3, 5, 6]}
  conv: {type: Conv2d, channels: 4, kernel: 3, padding: 1, in: {x: x}}
"""
    net = nodegraph.compile(files.parse(text).graph, ["x"], ["conv"]).double()
    u, delta = torch.randn(2, 3, 5, 6).double(), 1
    kernel, bias = net.conv.weight, net.conv.bias
    v = torch.zeros(2, 4, 5, 6).double()
    n, t, y, x = (range(length) for length in v.shape)
    for a, b, c, d in itertools.product(n, t, y, x):
        for s, j, i in itertools.product(range(3), range(c - 1, c + 2), range(d - 1, d + 2)):
            if 0 <= j < 5 and 0 <= i < 6:
                v[a, b, c, d] += kernel[b, s, j - c + delta, i - d + delta].item() * u[a, s, j, i]
        v[a, b, c, d] += bias[b].item()
    torch.testing.assert_close(net(u), v, atol=1e-5, rtol=0)
    flipped = nn.functional.conv2d(u, kernel.flip(-1, -2), bias, padding=1)
    assert (flipped - v).abs().max() > 0.1  # a convolution with a flip is another


# Weights -----------------------------------------------------------------------------------------


def by_hand(name: str, widths: tuple[int, ...], hidden: int, pool: type[nn.Module]) -> nn.Module:
    """VGG as torchvision writes it, at other widths, for 32×32 images."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in zip(widths, CONVS[name], strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(pool(2))
    net = nn.Module()
    net.features = nn.Sequential(*layers)
    net.classifier = nn.Sequential(
        nn.Linear(channels, hidden), nn.ReLU(), nn.Dropout(),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, 10),
    )  # fmt: skip
    return net.eval()


@pytest.mark.parametrize("pool", ["MaxPool2d", "AvgPool2d"])
@pytest.mark.parametrize("name", CONVS)
def test_vgg_with_weights_of_torchvisions_names_computes_the_same(
    name: str, pool: str, tmp_path: Path
) -> None:
    torch.manual_seed(7)
    theirs = by_hand(name, (8, 16, 32, 64, 64), 64, getattr(nn, pool))
    assert tuple(
        i for i, m in enumerate(theirs.features) if isinstance(m, nn.Conv2d)
    ) == INDEX[name]  # fmt: skip
    torch.save(theirs.state_dict(), path := tmp_path / "vgg.pth")
    of = choose(graph(name), settings={"pool": pool})
    given = {"weights": str(path), "head_weights": str(path)}
    trainer = runs.start(of, "quick", given)
    net = nodegraph.compile(of, ["pixels"], ["features", "classifier"]).eval()
    net.load_state_dict(trainer.net.state_dict())
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        maps, scores = net(x)
        wanted = theirs.features(x)
        torch.testing.assert_close(maps, wanted)
        torch.testing.assert_close(scores, theirs.classifier(wanted.flatten(1)))


def test_the_caffe_weights_have_the_names_of_the_layers(tmp_path: Path) -> None:
    theirs = by_hand("vgg19", (8, 16, 32, 64, 64), 64, nn.MaxPool2d).features
    convs = iter(m for m in theirs if isinstance(m, nn.Conv2d))
    named = OrderedDict(
        (f"conv{b}_{i}", next(convs))
        for b, count in enumerate(CONVS["vgg19"], 1)
        for i in range(1, count + 1)
    )
    torch.save(nn.Sequential(named).state_dict(), path := tmp_path / "conv.pth")
    net = runs.start(graph("vgg19"), "quick", {"weights": str(path), "convention": "caffe"}).net
    assert torch.equal(net.features.block4.conv4_3.weight, named["conv4_3"].weight)


def test_published_weights_of_one_convention_do_not_take_images_of_the_other() -> None:
    given = {"weights": "vgg_conv.pth", "head_weights": ""}
    told = [p.cure for p in nodegraph.check(choose(graph("vgg19"), "published", given))]
    assert "set `convention: caffe` on pixels" in told
    right = choose(graph("vgg19"), "published", {**given, "convention": "caffe"})
    assert not [p for p in nodegraph.check(right) if not p.text.count("preset")]


# Training ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, preset, settings",
    [
        ("lenet", "paper", {"data": "Digits", "batch": 8}),  # so that nothing is downloaded
        ("alexnet", "paper", {"batch": 2, "hidden": 256}),  # 58 of 61 million are in its end
        ("alexnet", "torchvision", {"batch": 2, "hidden": 256}),
        ("vgg16", "paper", {"batch": 2, "hidden": 128, "size": 64}),
        ("vgg19", "paper", {"batch": 2, "hidden": 128, "size": 64}),
    ],
)
def test_the_published_networks_take_two_steps(
    name: str, preset: str, settings: dict, photos: Path
) -> None:
    more = {} if name == "lenet" else {"folder": str(photos), "classes": 2}
    *_, done = nodegraph.train(graph(name), preset, {**settings, **more, "steps": 2}, device="cpu")
    assert all(v.isfinite().all() for v in done.state.values())


@pytest.mark.parametrize("name", ["vgg16", "alexnet"])
def test_a_new_head_is_tuned_on_a_folder(name: str, photos: Path, tmp_path: Path) -> None:
    of, run = graph(name), tmp_path / "run"
    pretrained = runs.start(of, "quick", {"steps": 2}, run)
    list(pretrained.events())
    sizes = {k: of.params[k] for k in ("c1", "c2", "c3", "c4", "c5", "hidden")}
    sizes |= {"cells": 1, "init": "he", "size": 64} if name == "alexnet" else {"size": 32}
    given = {**sizes, "folder": str(photos), "weights": str(run), "batch": 8, "steps": 100}
    trainer = runs.start(of, "finetune", given)
    was = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    told = [e.metrics["accuracy"] for e in trainer.events() if hasattr(e, "metrics")]
    before, now = pretrained.net.state_dict(), trainer.net.state_dict()
    for key in now:
        if key.startswith("features"):
            assert torch.equal(now[key], before[key])
    assert not torch.equal(now["classifier.fc8.weight"], was["classifier.fc8.weight"])
    assert trainer.net.classifier.fc8.out_features == 2
    assert told[-1] == 1.0


# Normalised activations --------------------------------------------------------------------------


def means(net: nn.Module, x: Tensor) -> list[Tensor]:
    """Of each convolution, the mean of each map after a ReLU."""
    found: list[Tensor] = []
    hooks = [
        m.register_forward_hook(lambda _, __, out: found.append(out.relu().mean((0, 2, 3))))
        for m in net.modules()
        if isinstance(m, nn.Conv2d)
    ]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("pool", [nn.MaxPool2d, nn.AvgPool2d])
def test_normalising_makes_each_mean_1_and_keeps_the_function(pool: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = by_hand("vgg19", (8, 16, 32, 64, 64), 64, pool)
    chain = nn.Sequential(net.features, nn.Flatten(), net.classifier)
    for m in net.features:
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight)
    net.features[0].bias.data[3] = -1e3  # a map that is always 0
    x, other = torch.rand(16, 3, 32, 32), torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        before = chain(other)
    assert (means(net.features, x)[5] - 1).abs().max() > 0.1
    normalise_activations(chain, lambda: chain(x), keep_last=True)
    with torch.no_grad():
        after = chain(other)
    assert ((after - before).abs().max() / before.abs().max()).item() < 1e-4
    for mean in means(net.features, x):
        alive = mean > 0
        assert alive.any() and (mean[alive] - 1).abs().max() < 1e-3
    assert means(net.features, x)[0][3] == 0


def test_what_is_no_chain_is_refused_and_stays_as_it_was() -> None:
    torch.manual_seed(0)
    odd = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.Conv2d(4, 4, 3)).eval()
    shared = nn.Conv2d(3, 3, 3)
    for net in (odd, nn.Sequential(shared, nn.ReLU(), shared)):
        before = {k: v.clone() for k, v in net.state_dict().items()}
        with pytest.raises(ValueError, match="has to be a chain"):
            normalise_activations(net, lambda net=net: net(torch.rand(2, 3, 9, 9)), keep_last=True)
        assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_groups_of_maps_are_normalised() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3, groups=2), nn.ReLU())
    x = torch.rand(8, 3, 9, 9)
    normalise_activations(net, lambda: net(x))
    for mean in means(net, x):
        assert (mean[mean > 0] - 1).abs().max() < 1e-3


def test_a_normalised_network_is_a_file_of_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "vgg.safetensors"
    vgg = str(ROOT / "graphs" / "vgg16.yaml")
    assert cli.main(["normalise", vgg, "features", "-o", str(path), "--images", "80"]) == 0
    assert "weights:" in capsys.readouterr().out
    trainer = runs.start(graph("vgg16"), "quick", {"weights": str(path)})
    wanted = safetensors.torch.load_file(path)
    assert torch.equal(trainer.net.features.block1.conv1_1.weight, wanted["block1.conv1_1.weight"])
    features = nodegraph.compile(graph("vgg16"), ["photos.files.image"], ["features"]).eval()
    features.load_state_dict({f"features.{k}": v for k, v in wanted.items()})
    source = runs.start(graph("vgg16"), "quick").sources["photos.files"]
    images = torch.cat([source.draw()[0] for _ in range(2)])[:80]
    for mean in means(features, images):
        assert (mean[mean > 0] - 1).abs().max() < 1e-3
    with pytest.raises(GraphError, match="no node 'nothing' with weights"):
        normalised(graph("vgg16"), "nothing")
    assert cli.main(["normalise", vgg, "features", "-o", str(tmp_path / "vgg.pth")]) == 1
    assert "should be called vgg.safetensors" in capsys.readouterr().err


# Written by hand ---------------------------------------------------------------------------------


def convolutions_2014(c: tuple[int, ...]) -> list[nn.Module]:
    return [
        nn.Conv2d(3, c[0], 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(c[0], c[1], 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(c[1], c[2], 3, 1, 1), nn.ReLU(), nn.Conv2d(c[2], c[3], 3, 1, 1), nn.ReLU(),
        nn.Conv2d(c[3], c[4], 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2),
    ]  # fmt: skip


def convolutions_2012(c: tuple[int, ...]) -> list[nn.Module]:
    return [
        nn.Conv2d(3, c[0], 11, 4), nn.ReLU(), nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(c[0], c[1], 5, 1, 2, groups=2), nn.ReLU(),
        nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0), nn.MaxPool2d(3, 2),
        nn.Conv2d(c[1], c[2], 3, 1, 1), nn.ReLU(),
        nn.Conv2d(c[2], c[3], 3, 1, 1, groups=2), nn.ReLU(),
        nn.Conv2d(c[3], c[4], 3, 1, 1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
    ]  # fmt: skip


def fully_connected(hidden: int, flat: int) -> list[nn.Module]:
    return [
        nn.Flatten(), nn.Dropout(), nn.Linear(flat, hidden), nn.ReLU(),
        nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 10),
    ]  # fmt: skip


def same_function(made: nn.Module, twin: nn.Module, x: Tensor) -> None:
    """Both compute the same with the same weights, and what matters little matters."""
    torch.manual_seed(0)
    for ours, theirs in zip(made.parameters(), twin.parameters(), strict=True):
        assert ours.shape == theirs.shape
        values = torch.randn(ours.shape) / max(1, ours[0].numel()) ** 0.5
        ours.data.copy_(values)
        theirs.data.copy_(values)
    with torch.no_grad():
        torch.testing.assert_close(made.eval()(x), twin.eval()(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "preset, convolutions", [("torchvision", convolutions_2014), ("paper", convolutions_2012)]
)
def test_alexnet_is_what_it_is_by_hand(
    preset: str, convolutions: Callable[[tuple[int, ...]], list[nn.Module]]
) -> None:
    widths = (6, 8, 12, 8, 8)
    settings = dict(zip(("c1", "c2", "c3", "c4", "c5"), widths, strict=True))
    small = {**settings, "size": 99, "hidden": 20, "classes": 10, "cells": 2, "batch": 2}
    of = choose(graph("alexnet"), preset, small)
    made = nodegraph.compile(of, ["pixels"], ["classifier"])
    twin = nn.Sequential(
        *convolutions(widths), nn.AdaptiveAvgPool2d(2), *fully_connected(20, 8 * 2 * 2)
    )
    same_function(made, twin, 200 * torch.randn(2, 3, 99, 99))


def test_lenet5_is_what_it_is_by_hand() -> None:
    made = nodegraph.compile(choose(graph("lenet"), "paper"), ["digits.image"], ["scores"])
    twin = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(),
        nn.AvgPool2d(2), nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(),
        nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip
    same_function(made, twin, 3 * torch.randn(5, 1, 28, 28))
