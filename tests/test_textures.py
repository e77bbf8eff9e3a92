"""Textures and style: the parts that their graphs are made of, against what is written by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from acceptance import graph, slice_of
from nodegraph.nodes.images import PhotoCrops, Picture
from nodegraph.nodes.ops import images, loss_vs_time, preprocess, shape, textures
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

import nodegraph
from nodegraph import runs
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import choose
from nodegraph.library import standard
from nodegraph.training import previews, run
from nodegraph.training.pictures import Pictures
from nodegraph.training.trainer import Options, Trainer

NOTHING = {"weights": ""}  # of files


def body(name: str, preset: str, **settings: Any) -> Any:
    return resolved(settled(choose(graph(name), preset, settings)), standard())


def started(name: str, preset: str = "quick", **settings: Any) -> Trainer:
    made = run.start(graph(name), preset, settings, options=Options(0))
    made.enter()
    return made


# Photographs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", images.PHOTOGRAPHS)
def test_photographs_come_with_the_packages(name: str) -> None:
    assert name in Picture.__args__ and len(Picture.__args__) == len(images.PHOTOGRAPHS)
    photo = images.Photo(name, 48)
    photo.start("photo", 0)
    photo.start("photo", 0)  # also a second time
    (image,) = photo.draw()
    assert image.shape == (1, 3, 48, 48) and 0 <= image.min() and image.max() <= 1
    grey = name in ("brick", "grass", "gravel")
    colour = (image[:, 0] - image[:, 2]).abs().mean()
    assert image.std() > 0.03 and (colour > 0.003) != grey


def crops(**settings: Any) -> images.PhotoCrops:
    node = PhotoCrops(**({"size": 24} | settings))
    made = images.PhotoCrops(node.named("pictures"), node.named("held_out"), node.batch, node.size,
                             **node.changed("least", "range"))  # fmt: skip
    made.start("photos", 0)
    return made


def test_cuts_are_random_and_held_out_are_those_of_other_photographs() -> None:
    photos = crops(batch=5)
    state = photos.state()
    (first,), (second,) = photos.draw(), photos.draw()
    assert first.shape == (5, 3, 24, 24) and 0 <= first.min() and first.max() <= 1
    assert not torch.equal(first, second)
    photos.load_state(state)
    assert torch.equal(photos.draw()[0], first)
    (held_out,) = photos.held_out(0, 5)
    assert torch.equal(torch.cat([photos.held_out(0, 2)[0], photos.held_out(2, 5)[0]]), held_out)
    whole = images.Photo("astronaut", 24)
    whole.start("photo", 0)
    assert (held_out[0] - whole.draw()[0][0]).abs().mean() < 0.02  # but for a second scaling
    signed = crops(batch=5, range="-1..1")
    torch.testing.assert_close(signed.held_out(0, 5)[0], held_out * 2 - 1)


def test_a_cut_of_the_whole_is_the_middle_and_half_of_them_are_mirrored() -> None:
    photos = crops(pictures="coffee", held_out="china", batch=64, least=1.0)
    picture = photos.pictures[0]
    high = picture.size[1]
    assert high == 24  # no larger than it must be
    cut = photos.cut(picture, 1, 0.5, 0.5, False)
    mirrored = photos.cut(picture, 1, 0.5, 0.5, True)
    assert torch.equal(cut.flip(-1), mirrored) and not torch.equal(cut, mirrored)


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"pictures": "coffee, tea"}, "not 'tea'"),
        ({"held_out": ""}, "held_out expects names"),
        ({"pictures": "coffee, hopper"}, "hopper is in pictures and in held_out"),
    ],
)
def test_photographs_that_are_not_there_are_refused(settings: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PhotoCrops(**settings)


# Nodes --------------------------------------------------------------------------------------------


def test_luminance_weighs_green_most() -> None:
    x = torch.eye(3)[:, :, None, None]  # red, green, blue
    assert preprocess.luminance(x).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])


def test_maps_are_enlarged_to_the_size_of_others() -> None:
    x = torch.randn(2, 3, 4, 5)
    doubled = shape.resize_like(x, torch.zeros(1, 7, 8, 10), "nearest")
    assert torch.equal(doubled, functional.interpolate(x, scale_factor=2))
    assert shape.resize_like(x, torch.zeros(1, 7, 9, 11), "bilinear").shape == (2, 3, 9, 11)


def test_noise_has_the_shape_of_what_flows_in() -> None:
    node = standard()["NoiseLike"]
    for distribution, low, deviation in (("uniform", 0.0, 12**-0.5), ("normal", -9.0, 1.0)):
        made = node(distribution=distribution).recipe(node().bind({"x": (1,)}))
        draw = getattr(torch, made.target.removeprefix("torch."))
        x = draw(torch.zeros(20_000))
        assert x.min() >= low and float(x.std()) == pytest.approx(deviation, rel=0.05)
        assert not torch.equal(x, draw(torch.zeros(20_000)))


def test_noise_of_a_coarser_scale_is_a_picture_made_small() -> None:
    node = standard()["Noise"](shape=(3, 48, 50), factor=4, batch=2)
    assert node.shapes({}) == {"z": (2, 3, 12, 13)} and node.drawn() == (3, 12, 13)
    assert standard()["Noise"](shape=(7,), factor=4).drawn() == (7,)


@pytest.mark.parametrize("preset, size", [("quick", 48), ("twice_as_large", 96)])
def test_one_number_sets_the_size_of_all_noises(preset: str, size: int) -> None:
    calls = body("texture_net", preset).calls
    for i, factor in enumerate((16, 8, 4, 2, 1), 1):
        assert calls[f"noise{i}"].outputs["z"].shape[2:] == (size // factor,) * 2
    assert calls["generator"].outputs["image"].shape[2:] == (size, size)


@pytest.mark.parametrize("size", [37, 100])
def test_a_texture_has_any_size(size: int) -> None:
    noises = [f"noise{i}" for i in range(6)]
    net = choose(graph("texture_net"), "", {"size": size})
    generate = nodegraph.compile(net, noises, ["generator"]).eval()
    z = [torch.rand(1, 3, *(-(-size // 2 ** (5 - i)),) * 2) for i in range(6)]
    with torch.no_grad():
        assert generate(*z).shape == (1, 3, size, size)


# Sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, preset, node, count",
    [
        ("texture_net", "quick", "generator", 71_659),
        ("texture_net", "six_scales", "generator", 116_915),
        ("texture_net", "paper", "generator", 71_659),
        ("texture_net", "paper_six", "generator", 116_915),
        ("texture_net", "paper", "filters", 12_944_960),  # VGG-19 up to conv5_1
        ("style_net", "paper", "generator", 118_211),
        ("style_net", "paper", "described", 12_944_960),
        ("style_net_residual", "paper", "generator", 1_679_235),
        ("style_net_residual", "paper", "described", 7_635_264),  # VGG-16 up to conv4_3
        ("neural_style", "paper", "described", 12_944_960),
        ("texture_gatys", "paper", "features", 10_585_152),  # up to conv4_4
    ],
)
def test_the_generators_have_the_published_sizes(
    name: str, preset: str, node: str, count: int
) -> None:
    assert body(name, preset).calls[node].parameters() == count


@pytest.mark.parametrize("name, settings", [
    ("style_net", {"size": 64, "style_size": 64, "batch": 1}),
    ("style_net_residual", {"size": 48, "style_size": 32, "batch": 1}),
    ("neural_style", {"size": 32, "style_size": 48}),
    ("texture_gatys", {"size": 32, "image": (1, 3, 32, 32), "iterations": 1}),
    ("texture_net", {"size": 32, "source_size": 32, "batch": 2, "optimise_steps": 1}),
])  # fmt: skip
def test_the_papers_presets_take_two_steps(name: str, settings: dict[str, Any]) -> None:
    made = started(name, "paper", **NOTHING, **settings)
    for _ in range(2):
        losses = made.step()
        assert all(math.isfinite(v) for v in losses.values())
        if made.done == made.stage.steps:  # type: ignore[union-attr]
            made.index, made.done = made.index + 1, 0
            made.enter()


# Style --------------------------------------------------------------------------------------------


def test_the_statistics_of_vgg_are_gatys_loss_by_hand() -> None:
    of = choose(graph("neural_style"), "vgg", NOTHING)
    torch.manual_seed(0)
    net = nodegraph.compile(of, ["colours.compared"], ["described.style", "described.content"])
    x, y = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    (a, content), (b, _) = net(x), net(y)
    layers: list[list[Tensor]] = []
    for image in (x, y):
        h = preprocess.preprocess(image / 2 + 0.5, "torchvision")
        found = []
        for block, depth in enumerate((2, 2, 4, 4, 1), 1):
            h = functional.avg_pool2d(h, 2) if block > 1 else h
            for i in range(1, depth + 1):
                conv = net.get_submodule(f"described.conv{block}_{i}")
                h = torch.relu(functional.conv2d(h, conv.weight, conv.bias, padding=1))
                found += [h] if i == 1 else []
                if image is x and (block, i) == (4, 2):
                    torch.testing.assert_close(content, h)
        layers.append(found)
    loss = torch.zeros(())
    for f, g in zip(*layers, strict=True):
        n, m = f.shape[1], f.shape[2] * f.shape[3]
        grams = [v.flatten(2)[0] @ v.flatten(2)[0].T for v in (f, g)]
        loss = loss + (grams[0] - grams[1]).square().sum() / (4 * n**2 * m**2)
    torch.testing.assert_close((a - b).square().sum(), loss, rtol=1e-4, atol=0)


def test_own_colours_are_those_of_the_photograph() -> None:
    of = choose(graph("neural_style"), "own_colours")
    net = nodegraph.compile(of, ["image", "content.source"], ["colours.compared", "colours.shown"])
    image, photo = torch.rand(2, 1, 3, 8, 8) * 2 - 1
    compared, shown = net(image, photo)
    grey = preprocess.luminance(image)
    torch.testing.assert_close(compared, grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(preprocess.luminance(shown), grey)
    torch.testing.assert_close(shown - grey, photo - preprocess.luminance(photo))


@pytest.mark.parametrize("start, moved", [("FromContent", False), ("FromNoise", True)])
def test_an_image_starts_as_the_photograph_or_as_noise(start: str, moved: bool) -> None:
    of = choose(graph("neural_style"), "quick", {"start": start})
    torch.manual_seed(0)
    photo = torch.rand(1, 3, 96, 96)
    net = nodegraph.compile(of, ["content.source"], ["image"])
    assert (not torch.equal(net(photo), photo)) == moved


def test_the_loss_is_the_weighted_sum_of_the_slide() -> None:
    made = started("neural_style", size=24, style_size=24, start="FromNoise")
    losses = made.step()
    of = made.graph
    torch.manual_seed(0)
    again = run.start(graph("neural_style"), "quick",
                      {"size": 24, "style_size": 24, "start": "FromNoise"},
                      options=Options(0))  # fmt: skip
    net = slice_of(of, again.net.state_dict(), ["content.source", "style.source"],
                   ["image", "described.style", "described_style.style", "described.content",
                    "described_content.content"])  # fmt: skip
    photo, wall = (again.sources[n].draw()[0] for n in ("content.source", "style.source"))
    image, g, g_style, f, f_photo = net(photo, wall)
    style = (g - g_style).square().sum() / g_style.square().sum()
    content = (f - f_photo).square().sum() / f_photo.square().sum()
    rough = image.diff(dim=-1).square().sum() + image.diff(dim=-2).square().sum()
    wanted = 1e4 * (style + 0.1 * content + 0.005 * rough / image.numel())
    torch.testing.assert_close(losses["loss"], wanted.detach(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("norm, independent", [("InstanceNorm2d", True), ("BatchNorm2d", False)])
def test_instance_norm_draws_each_photograph_by_itself(norm: str, independent: bool) -> None:
    of = choose(graph("style_net"), "quick", {"norm": norm})
    torch.manual_seed(0)
    net = nodegraph.compile(of, ["photos"], ["generator"])
    photos = torch.rand(2, 3, 16, 16)
    other = torch.cat([photos[:1], 5 * photos[1:]])
    with torch.no_grad():
        drawn = []
        for x in (photos, other):
            torch.manual_seed(1)  # the same noise
            drawn.append(net(x)[0])
    assert torch.allclose(*drawn, atol=1e-5) == independent


def test_a_photograph_of_any_size_keeps_it() -> None:
    net = Pictures(choose(graph("style_net"), "quick"), None, device="cpu")
    assert (str(net.start), str(net.end)) == ("photos.image", "generator.image")
    picture = Image.effect_noise((61, 83), 60).convert("RGB")
    (made,) = net.through(picture)
    assert made.size == (61, 83) and not net.refused


# Networks of style, written by hand ---------------------------------------------------------------


def convolved(x: Tensor, conv: Any, mode: str, **options: int) -> Tensor:
    """Padded to keep its size, then convolved with the weights of a layer."""
    border = conv.weight.shape[-1] // 2
    padded = functional.pad(x, (border,) * 4, mode) if mode and border else x
    return functional.conv2d(padded, conv.weight, conv.bias, **options)


def instance_norm(x: Tensor, norm: Any) -> Tensor:
    mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
    scale, shift = (v[:, None, None] for v in (norm.weight, norm.bias))
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def batch_norm(x: Tensor, norm: Any) -> Tensor:
    """That of training, over the batch too."""
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, correction=0)
    scale, shift = (v[:, None, None] for v in (norm.weight, norm.bias))
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


NORMS = {"InstanceNorm2d": instance_norm, "BatchNorm2d": batch_norm}


def disturbed(net: nn.Module) -> nn.Module:
    """With weights that are nowhere 0 or 1, so that none of them can be missed; and in double
    precision, as norms over 2×2 px magnify what is rounded."""
    torch.manual_seed(0)
    net.double()
    for weight in net.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return net


def scales_by_hand(net: Any, photo: Tensor, norm: Any, factors: tuple[int, ...]) -> Tensor:
    """Texture Networks, 2016, with a photograph beside the noise of each scale."""

    def block(x: Tensor, part: Any) -> Tensor:
        for unit in (part.first, part.second, part.third):
            y = norm(convolved(x, unit.conv, "replicate"), unit.norm)
            x = torch.where(y > 0, y, 0.01 * y)
        return x

    def branch(part: Any, factor: int) -> Tensor:
        small = functional.avg_pool2d(photo, factor)
        return block(torch.cat([small, torch.rand_like(small)], 1), part.block)

    h = branch(net.scale1, factors[0])
    for index, factor in enumerate(factors[1:], 2):
        part = net.get_submodule(f"scale{index}")
        fine = branch(part.branch, factor)
        up = h.repeat_interleave(2, 2).repeat_interleave(2, 3)
        both = torch.cat([norm(up, part.norm_coarse), norm(fine, part.norm_branch)], 1)
        h = block(both, part.block)
    return functional.conv2d(h, net.pixels.weight, net.pixels.bias)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("network, factors", [
    ("FourScales", (8, 4, 2, 1)), ("SixScales", (32, 16, 8, 4, 2, 1)),
])  # fmt: skip
def test_the_style_network_is_what_it_is_by_hand(
    network: str, factors: tuple[int, ...], norm: str
) -> None:
    settings = {"norm": norm, "network": network, "size": 64, "batch": 2}
    net: Any = nodegraph.compile(
        choose(graph("style_net"), "", settings), ["photos"], ["generator"]
    )
    disturbed(net)
    photo = torch.rand(2, 3, 64, 64).double() * 2 - 1
    drawn = []
    with torch.no_grad():
        torch.manual_seed(1)
        drawn.append(net(photo))
        torch.manual_seed(1)  # the same noise
        drawn.append(scales_by_hand(net.generator, photo, NORMS[norm], factors))
    torch.testing.assert_close(*drawn, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_the_residual_network_is_what_it_is_by_hand(norm: str) -> None:
    """c9s1-32, d64, d128, R128 × 5, u64, u32, c9s1-3 of Johnson et al. 2016."""
    settings = {"norm": norm, "size": 48, "batch": 2}
    of = choose(graph("style_net_residual"), "", settings)
    compiled: Any = nodegraph.compile(of, ["photos"], ["generator"])
    net, normal = disturbed(compiled).generator, NORMS[norm]  # type: ignore[attr-defined]

    def unit(x: Tensor, part: Any, **options: int) -> Tensor:
        return normal(functional.conv2d(x, part.conv.weight, part.conv.bias, **options),
                      part.norm).relu()  # fmt: skip

    photo = torch.rand(2, 3, 48, 48).double() * 2 - 1
    with torch.no_grad():
        h = unit(functional.pad(functional.pad(photo, (40,) * 4, "reflect"), (4,) * 4, "reflect"),
                 net.first)  # fmt: skip
        h = unit(unit(h, net.down1, stride=2, padding=1), net.down2, stride=2, padding=1)
        for i in range(1, 6):
            part = net.get_submodule(f"block{i}")
            inner = convolved(unit(h, part.first), part.second, "")
            h = h[:, :, 2:-2, 2:-2] + normal(inner, part.norm)
        for part in (net.up1, net.up2):
            h = unit(h.repeat_interleave(2, 2).repeat_interleave(2, 3), part, padding=1)
        by_hand = convolved(h, net.last, "reflect").tanh()
        assert by_hand.shape == photo.shape
        torch.testing.assert_close(compiled(photo), by_hand, atol=1e-5, rtol=1e-5)


# Their losses, written by hand --------------------------------------------------------------------


def gram_by_hand(maps: Tensor) -> Tensor:
    return torch.einsum("nchw,ndhw->ncd", maps, maps) / maps[0, 0].numel()


def relative(x: Tensor, target: Tensor) -> Tensor:
    """‖x − t‖² / ‖t‖², the mean over examples."""
    return ((x - target).square().flatten(1).sum(1) / target.square().flatten(1).sum(1)).mean()


def filtered(filters: Any, image: Tensor, bias: float = 0.0) -> Tensor:
    """The Gram matrix of random filters of five sizes on a torus."""
    maps = [convolved(image, filters.get_submodule(f"f{k}"), "circular") for k in (3, 5, 7, 11, 15)]
    return gram_by_hand((torch.cat(maps, 1) + bias).relu())


def seen(network: Any, image: Tensor) -> Tensor:
    """Features of a random network, of the luminance."""
    grey = (image * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    h = functional.avg_pool2d(convolved(grey, network.conv1, "constant").relu(), 2)
    return convolved(h, network.conv2, "constant").relu()


@pytest.mark.parametrize("name, content", [("style_net", 0.02), ("style_net_residual", 0.1)])
def test_the_loss_of_a_style_network_is_what_it_is_by_hand(name: str, content: float) -> None:
    of = choose(graph(name), "", {"size": 48, "batch": 2, "style_size": 40})
    torch.manual_seed(0)
    net: Any = nodegraph.compile(of, ["generator", "photos", "style.source"],
                                 ["loss", "described.style", "described.content"])  # fmt: skip
    drawn, photo = torch.rand(2, 2, 3, 48, 48) * 2 - 1
    wall = torch.rand(1, 3, 40, 40) * 2 - 1
    with torch.no_grad():
        loss, style, features = net(drawn, photo, wall)
        filters, network = net.described.filters, net.described.network
        torch.testing.assert_close(style, filtered(filters, drawn), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(features, seen(network, drawn), atol=1e-5, rtol=1e-5)
        rough = drawn.diff(dim=-1).square().sum() + drawn.diff(dim=-2).square().sum()
        wanted = (
            relative(filtered(filters, drawn), filtered(filters, wall))
            + content * relative(seen(network, drawn), seen(network, photo))
            + 0.01 * rough / drawn.numel()
        )
    torch.testing.assert_close(loss, wanted, atol=0, rtol=1e-5)


def vgg_by_hand(net: Any, image: Tensor, depths: tuple[int, ...], pool: Any) -> dict[str, Tensor]:
    """The rectified layers and the pools of VGG, by name, of an image in −1..1."""
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))  # fmt: skip
    h, found = ((image + 1) / 2 - mean) / deviation, {}
    for block, depth in enumerate(depths, 1):
        for i in range(1, depth + 1):
            h = convolved(h, net.get_submodule(f"conv{block}_{i}"), "constant").relu()
            found[f"relu{block}_{i}"] = h
        found[f"pool{block}"] = h = pool(h, 2)
    return found


@pytest.mark.parametrize("name, node, depths, layers, content, pool", [
    ("style_net", "described", (2, 2, 4, 4, 1), (1, 1, 1, 1, 1), "relu4_2", "avg"),
    ("style_net_residual", "described", (2, 2, 3, 3), (2, 2, 3, 3), "relu3_3", "max"),
    ("texture_net", "filters", (2, 2, 4, 4, 1), (1, 1, 1, 1, 1), "", "avg"),
])  # fmt: skip
def test_the_published_descriptors_are_what_they_are_by_hand(
    name: str, node: str, depths: tuple[int, ...], layers: tuple[int, ...], content: str, pool: str
) -> None:
    of = choose(graph(name), "paper", {**NOTHING, "size": 48, "batch": 1})
    torch.manual_seed(0)
    second = "content" if content else "gram"
    net: Any = nodegraph.compile(of, ["generator"], [f"{node}.style", f"{node}.{second}"])
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        style, other = net(image)
        pooled = {"avg": functional.avg_pool2d, "max": functional.max_pool2d}[pool]
        found = vgg_by_hand(net.get_submodule(node), image, depths, pooled)
        grams = [gram_by_hand(found[f"relu{block}_{i}"]) for block, i in enumerate(layers, 1)]
        row = torch.cat([(g / (2 * len(g[0]))).flatten(1) for g in grams], 1)
    torch.testing.assert_close(style, row, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(other, found[content] if content else grams[1], atol=1e-5, rtol=1e-5)


def test_the_loss_of_gatys_is_what_it_is_by_hand() -> None:
    of = choose(graph("texture_gatys"), "", {"size": 32, "layers": (1, 0.5, 2, 1, 3)})
    torch.manual_seed(0)
    net: Any = nodegraph.compile(of, ["image", "source.source"], ["loss", "features.g3"])
    image, wall = (torch.rand(1, 3, size, size) * 2 - 1 for size in (64, 32))
    names = ("relu1_1", "pool1", "pool2", "pool3", "pool4")
    with torch.no_grad():
        loss, third = net(image, wall)
        x, y = ([gram_by_hand(f[n]) for n in names] for f in (
            vgg_by_hand(net.features, v, (2, 2, 4, 4), functional.avg_pool2d)
            for v in (image, wall)))  # fmt: skip
    torch.testing.assert_close(third, x[3], atol=1e-5, rtol=1e-5)
    wanted = sum(w * relative(a, b) for w, a, b in zip((1, 0.5, 2, 1, 3), x, y))
    torch.testing.assert_close(loss, 1e6 * torch.as_tensor(wanted), atol=0, rtol=1e-5)


def test_the_losses_of_texture_net_are_what_they_are_by_hand() -> None:
    torch.manual_seed(0)
    net: Any = nodegraph.compile(graph("texture_net"), ["generator", "pixels", "source.source"],
                                 ["loss", "pixels_loss", "held_out"])  # fmt: skip
    drawn, pixels, wall = torch.rand(2, 3, 48, 48), *(torch.rand(2, 1, 3, 48, 48) * 2 - 1)
    with torch.no_grad():
        losses = net(drawn, pixels, wall)
        wanted = [relative(filtered(f, x, bias), filtered(f, wall, bias))
                  for f, x, bias in ((net.filters, drawn, 0.3), (net.filters, pixels, 0.3),
                                     (net.other, drawn, 0.0))]  # fmt: skip
    torch.testing.assert_close(list(losses), wanted, atol=0, rtol=1e-4)


# Textures by VGG-19 -------------------------------------------------------------------------------


def test_the_gradient_of_a_layer_is_that_of_the_paper() -> None:
    f, target = torch.randn(1, 3, 4, 5), torch.randn(1, 3, 4, 5)
    relu = f.relu().requires_grad_()
    n, m = 3, 20
    e = (textures.gram(relu) - textures.gram(target)).square().sum() / (4 * n**2)
    e.backward()
    rows = relu.detach().flatten(2)[0]
    difference = rows @ rows.T - target.flatten(2)[0] @ target.flatten(2)[0].T
    wanted = difference @ rows / (n**2 * m**2)  # 0 where a unit is inactive, once through its ReLU
    assert relu.grad is not None
    torch.testing.assert_close(relu.grad.flatten(2)[0], wanted)
    assert (
        (relu.grad * (f > 0)).flatten(2)[0].equal(torch.where(rows > 0, relu.grad[0].flatten(1), 0))
    )


def test_the_layers_of_gatys_are_conv1_1_and_four_pools() -> None:
    of = choose(graph("texture_gatys"), "quick")
    torch.manual_seed(0)
    net = nodegraph.compile(
        of, ["image"], [f"features.{g}" for g in ("g1_1", "g1", "g2", "g3", "g4")]
    )
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    grams = net(image)
    h = preprocess.preprocess(image / 2 + 0.5, "torchvision")
    found = []
    for block, depth in enumerate((2, 2, 4, 4), 1):
        for i in range(1, depth + 1):
            conv = net.get_submodule(f"features.conv{block}_{i}")
            h = torch.relu(functional.conv2d(h, conv.weight, conv.bias, padding=1))
            found += [h] if (block, i) == (1, 1) else []
        h = functional.avg_pool2d(h, 2)
        found.append(h)
    assert len(grams) == 5
    for gram, maps in zip(grams, found, strict=True):
        rows = maps.flatten(2)[0]
        torch.testing.assert_close(gram[0], rows @ rows.T / rows.shape[1], rtol=1e-4, atol=1e-6)


# Loss against time --------------------------------------------------------------------------------


def test_curves_cross_a_loss_between_two_points() -> None:
    curve = loss_vs_time.recorded("x", {"x": ([1, 2, 3, 4], [1.0, 0.1, math.nan, 0.001])},
                                  {"x": [0.0, 2.0, 3.0, 4.0]})  # fmt: skip
    assert [list(v) for v in curve] == [[0.0, 2.0, 4.0], [1.0, 0.1, 0.001]]
    assert loss_vs_time.crossing(curve, 0.1**0.5) == pytest.approx(1.0)
    assert loss_vs_time.crossing(curve, 0.01) == pytest.approx(3.0)
    assert loss_vs_time.crossing(curve, 2.0) == 0.0
    assert loss_vs_time.crossing(curve, 1e-4) is None


def test_the_plot_says_how_many_times_as_long() -> None:
    past, clock = {"pixels": ([1, 2], [1.0, 0.01])}, {"pixels": [0.0, 2.0]}
    given = [torch.tensor(0.01)], torch.tensor(0.1), torch.zeros(1, 3, 8, 8), 256
    found = {"names": ["pixels"], "past": past, "clock": clock, "seconds": 0.004}
    _, about = loss_vs_time.loss_vs_time(*given, **found)
    assert about["pass"] == 0.004
    assert about["pixels"] == pytest.approx({"seconds": 1.0, "ratio": 250.0})
    _, about = loss_vs_time.loss_vs_time(given[0], torch.tensor(1e-3), *given[2:], **found)
    assert about["pixels"] == {"seconds": None, "ratio": None}
    assert loss_vs_time.verdict("p", (torch.ones(0).numpy(),) * 2, 1.0, 1.0)[0].endswith("yet")
    for seconds, words in ((3e-5, "30 µs"), (0.0061, "6.1 ms"), (0.9999, "1 s"), (12.34, "12.3 s")):
        assert loss_vs_time.duration(seconds) == words


def test_the_log_says_what_the_steps_took_and_the_view_reads_it(tmp_path: Path) -> None:
    small = {"size": 16, "source_size": 16, "batch": 2, "optimise_steps": 3, "steps": 2}
    made = run.start(graph("texture_net"), "quick", small, run=tmp_path / "r", options=Options(0))
    made.logged = math.inf  # only what must be logged is
    events = made.events()
    for _ in events:
        if (made.index, made.done) == (1, 1):
            break
    look = previews.Previews(made)
    look.look(["race"])
    (found,) = look.compute()
    about = found.header["about"]
    assert found.header["kind"] == "picture" and about["pass"] > 0
    assert {"seconds", "ratio"} == about["pixels_loss"].keys()
    rows = [json.loads(r) for r in (tmp_path / "r" / runs.METRICS).read_text().splitlines()]
    took = [r["took"] for r in rows if r["stage"] == "optimise" and r["kind"] == "loss"]
    assert took[0] == 0 and took == sorted(took) and took[-1] > 0
    assert [r["took"] for r in rows if r["stage"] == "learn"][0] == 0  # each stage by itself
    state = made.state()
    assert state["took"] == made.took > 0


# The generator of TextureNet, written by hand -----------------------------------------------------


def unit(channels: int, out: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, padding_mode="circular")
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.LeakyReLU(0.01))


def block(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(unit(channels, out, 3), unit(out, out, 3), unit(out, out, 1))


class ByHand(nn.Module):
    """Ulyanov et al. 2016: 8 more maps at each scale, from coarse to fine."""

    def __init__(self, scales: int) -> None:
        super().__init__()
        self.first = block(3, 8)
        self.rest = nn.ModuleList(
            nn.ModuleList([
                block(3, 8), nn.BatchNorm2d(8 * i), nn.BatchNorm2d(8), block(8 * i + 8, 8 * i + 8)
            ])
            for i in range(1, scales)
        )  # fmt: skip
        self.pixels = nn.Conv2d(8 * scales, 3, 1)

    def forward(self, *z: Tensor) -> Tensor:
        h = self.first(z[0])
        for noise, (branch, norm_coarse, norm_noise, joined) in zip(z[1:], self.rest, strict=True):
            up = h.repeat_interleave(2, 2).repeat_interleave(2, 3)
            h = joined(torch.cat([norm_coarse(up), norm_noise(branch(noise))], 1))
        return self.pixels(h)


@pytest.mark.parametrize("scales, preset", [(5, "quick"), (6, "six_scales")])
def test_the_generator_is_what_it_is_by_hand(scales: int, preset: str) -> None:
    names = [f"noise{i}" for i in range(6)]
    made = nodegraph.compile(choose(graph("texture_net"), preset), names, ["generator"])
    twin = ByHand(scales)
    torch.manual_seed(0)
    for ours, theirs in zip(made.parameters(), twin.parameters(), strict=True):
        assert ours.shape == theirs.shape
        values = torch.randn(ours.shape) * 0.3
        ours.data.copy_(values)
        theirs.data.copy_(values)
    z = [torch.rand(2, 3, 2**i, 2**i) for i in range(6)]
    with torch.no_grad():
        torch.testing.assert_close(made(*z), twin(*z[6 - scales :]), atol=1e-4, rtol=1e-4)


def test_the_generator_is_fed_and_graded_as_the_paper_has_it() -> None:
    trainer = started("texture_net")
    for i in range(1, 6):
        (z,) = trainer.sources[f"noise{i}"].draw()
        assert 0 <= z.min() and z.max() <= 1 and abs(z.mean() - 0.5) < 0.1
    x = torch.randn(1, 3, 48, 48)
    grade = nodegraph.compile(graph("texture_net"), ["generator"], ["other.gram"])
    with torch.no_grad():  # without a bias, doubled maps have four times the Gram matrix
        torch.testing.assert_close(grade(2 * x), 4 * grade(x), rtol=1e-3, atol=1e-6)
