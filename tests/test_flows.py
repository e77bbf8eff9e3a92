"""Invertible networks: the way back, the determinant, and a density that sums to 1."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from acceptance import graph
from torch import Tensor, nn

import nodegraph
from nodegraph.checks import settled
from nodegraph.compiler.build import resolved
from nodegraph.graph import Entry, Graph, Ref, choose
from nodegraph.library import standard
from nodegraph.node import Mismatch
from nodegraph.training.trainer import Stepped

EIGHT = {"shape": (8,), "size": 8, "width": 16}


def shaken(net: nn.Module, std: float, seed: int = 0) -> nn.Module:
    """A network whose weights are large, so that it is far from the identity."""
    torch.manual_seed(seed)
    for weight in net.parameters():
        nn.init.normal_(weight, 0.0, std)
    return net


def two_steps(of: Graph, **settings: object) -> list[float]:
    """The losses of the first two steps of a graph at the sizes of its paper."""
    run = nodegraph.train(of, "paper", settings)
    steps = (e for e in run if isinstance(e, Stepped))
    return [float(e.losses["likelihood.loss"]) for e in itertools.islice(steps, 2)]


def flow(name: str, first: str, code: str, **settings: object) -> tuple[nn.Module, nn.Module]:
    """The way there (code, stretches) and the way back of a graph, with the same random weights."""
    of = choose(graph(name), settings=settings)
    there = nodegraph.compile(of, [first], [code, "stretches"])
    torch.manual_seed(0)
    for weight in there.parameters():  # they start as the identity, which would hide mistakes
        nn.init.normal_(weight, 0.0, 0.5 / math.sqrt(max(weight.shape[-1:] or (4,))))
    back = nodegraph.compile(of, ["prior"], ["back1.back"])
    back.load_state_dict(there.state_dict())
    return there, back


@pytest.mark.parametrize("double", [False, True])
def test_what_a_flow_does_to_pictures_is_undone(double: bool) -> None:
    there, back = flow("realnvp", "logit.x", "c6.y")
    torch.manual_seed(1)
    x = torch.randn(4, 1, 28, 28) * 2
    if double:
        there, back, x = there.double(), back.double(), x.double()
    with torch.no_grad():
        z, _ = there(x)
        error = (back(z) - x).abs().max().item()
    assert (z - x).abs().mean() > 0.1
    assert error <= (1e-9 if double else 1e-4)


def eight() -> nn.Module:
    """A flow of eight numbers: the one of the plane, made wider."""
    of = graph("realnvp_plane")
    points = Entry("Noise", {"shape": (8,), "batch": 256})
    of = of.with_(
        nodes={k: v for k, v in of.nodes.items() if k not in ("points", "codes", "half")}
        | {"moons": points},
        params={**of.params, **EIGHT},
    )
    text = nodegraph.files.dumps(of).replace("x: moons.point", "x: moons")
    of = nodegraph.files.parse(text).graph
    return shaken(nodegraph.compile(of, ["moons"], ["c6.y", "stretches"]), 0.3, seed=3).double()


def test_the_stretches_are_the_determinant_of_the_jacobian() -> None:
    there = eight()
    torch.manual_seed(4)
    for x in torch.randn(3, 8).double():
        jacobian = torch.autograd.functional.jacobian(lambda v: there(v[None])[0][0], x)
        _, wanted = torch.linalg.slogdet(jacobian)
        told = there(x[None])[1].sum()
        torch.testing.assert_close(told, wanted)
        assert abs(wanted) > 1e-2


def test_a_coupling_keeps_every_other_number() -> None:
    net = nodegraph.compile(graph("realnvp"), ["logit.x"], ["c1.y", "c1.s", "c1.back"])
    nn.init.normal_(net.get_parameter("c1.net.to_s.weight"))
    nn.init.normal_(net.get_parameter("c1.net.to_t.weight"))
    x = torch.randn(2, 1, 28, 28)
    y, s, back = net(x)
    rows, columns = torch.meshgrid(torch.arange(28), torch.arange(28), indexing="ij")
    kept = (rows + columns) % 2 == 0
    assert torch.equal(y[..., kept], x[..., kept]) and torch.equal(back[..., kept], x[..., kept])
    assert (s[..., kept] == 0).all()
    assert (y[..., ~kept] != x[..., ~kept]).all() and (s[..., ~kept] != 0).all()


def test_pixels_become_logits_and_their_slope_is_the_derivative() -> None:
    of = graph("realnvp")
    net = nodegraph.compile(
        of, ["digits.digits.image", "noise"], ["logit.x", "logit.slope"]
    ).double()
    torch.manual_seed(0)
    image = torch.rand(2, 1, 28, 28).double()
    image[0, 0, 0, :14], image[0, 0, 0, 14:] = 0, 1  # black and white stay finite
    u = torch.rand_like(image)
    x, slope = net(image, u)
    assert torch.isfinite(x).all()
    byte = image * 255
    p = 0.025 + 0.95 * (byte + u) / 256
    torch.testing.assert_close(x, (p / (1 - p)).log())
    # d logit / d ((255 x + u) / 256), by autograd through the image
    image.requires_grad_()
    (found,) = torch.autograd.grad(net(image, u)[0].sum(), image)
    torch.testing.assert_close(slope, (found * 256 / 255).log())
    pixels = nodegraph.compile(of, ["back1.back"], ["pixels"]).double()
    torch.testing.assert_close(pixels(x), (byte + u).detach() / 256)


def test_bits_per_dimension_are_those_of_the_formula() -> None:
    of = graph("realnvp")
    ends = ["c6.y", "stretches", "logit.slope"]
    net = nodegraph.compile(of, ends, ["likelihood.bits"]).double()
    torch.manual_seed(0)
    z, slope = torch.randn(2, 3, 1, 28, 28).double()
    s = torch.randn(3, 6, 28, 28).double()
    d = 784
    for i, bits in enumerate(net(z, s, slope)):
        energy = 0.5 * z[i].square().sum() + d / 2 * math.log(2 * math.pi)
        nats = energy - s[i].sum() - slope[i].sum() + d * math.log(256)
        torch.testing.assert_close(bits, nats / (d * math.log(2)))


# Two scales --------------------------------------------------------------------------------------

FOUR = {"shape": (1, 4, 4), "squeezed": (4, 2, 2), "coarse": (2, 2, 2), "batch": 4}


def scales(small: bool = False) -> tuple[nn.Module, nn.Module]:
    """The way there (fine and coarse codes, stretches) and back of the same random network."""
    of = graph("realnvp_multiscale")
    if small:
        points = Entry("Noise", {"shape": (1, 4, 4), "batch": 4})
        of = choose(of.with_(nodes={**of.nodes, "digits": points}), settings=FOUR)
    there = nodegraph.compile(of, ["logit.x"], ["fine", "c10.y", "fine_s", "coarse_s"])
    there = shaken(there, 0.3).double()
    back = nodegraph.compile(of, ["prior_fine", "prior_coarse"], ["back1.back"]).double()
    back.load_state_dict(there.state_dict())
    return there, back


@pytest.mark.parametrize("double", [False, True])
def test_what_a_flow_does_at_two_scales_is_undone(double: bool) -> None:
    there, back = scales()
    torch.manual_seed(1)
    x = torch.randn(2, 1, 28, 28).double()
    if not double:
        there, back, x = there.float(), back.float(), x.float()
    with torch.no_grad():
        fine, coarse, *_ = there(x)
        assert fine.shape == coarse.shape == (2, 2, 14, 14)
        error = (back(fine, coarse) - x).abs().max()
        assert error <= (1e-9 if double else 1e-4)
        assert (back(coarse, fine) - x).abs().mean() > 0.1


def test_the_stretches_at_two_scales_are_the_determinant() -> None:
    there, _ = scales(small=True)
    torch.manual_seed(2)
    for x in torch.randn(3, 1, 4, 4).double():
        jacobian = torch.autograd.functional.jacobian(
            lambda v: torch.cat([z.flatten() for z in there(v[None])[:2]]), x
        ).reshape(16, 16)
        _, wanted = torch.linalg.slogdet(jacobian)
        torch.testing.assert_close(torch.cat(there(x[None])[2:], 1).sum(), wanted)
        assert abs(wanted) > 1e-2
        assert (jacobian != 0).all(1).any()  # some code depends on every pixel


def test_bits_at_two_scales_are_those_of_the_formula() -> None:
    ends = ["fine", "c10.y", "fine_s", "coarse_s", "logit.slope"]
    net = nodegraph.compile(graph("realnvp_multiscale"), ends, ["likelihood.bits"]).double()
    torch.manual_seed(0)
    fine, coarse = torch.randn(2, 3, 2, 14, 14).double()
    s, slope = torch.randn(3, 6 * 784 + 4 * 392).double(), torch.randn(3, 1, 28, 28).double()
    for i, bits in enumerate(net(fine, coarse, s[:, :4704], s[:, 4704:], slope)):
        energy = 0.5 * (fine[i].square().sum() + coarse[i].square().sum())
        nats = energy + 392 * math.log(2 * math.pi) - s[i].sum() - slope[i].sum()
        torch.testing.assert_close(bits, (nats + 784 * math.log(256)) / (784 * math.log(2)))


def test_couplings_keep_a_checkerboard_then_half_of_the_maps() -> None:
    names = [f"c{i}.{port}" for i in (1, 2, 4, 5) for port in ("y", "s")]
    net = nodegraph.compile(graph("realnvp_multiscale"), ["logit.x", "squeeze"], names)
    net = shaken(net, 0.3)
    x, maps = torch.randn(2, 1, 28, 28), torch.randn(2, 4, 14, 14)
    y1, s1, y2, s2, y4, s4, y5, s5 = net(x, maps)
    rows, columns = torch.meshgrid(torch.arange(28), torch.arange(28), indexing="ij")
    even = ((rows + columns) % 2 == 0).expand(1, 28, 28)
    first = torch.zeros(4, 14, 14, dtype=torch.bool)
    first[:2] = True
    for before, y, s, kept in ((x, y1, s1, even), (y1, y2, s2, ~even), (maps, y4, s4, first),
                               (y4, y5, s5, ~first)):  # fmt: skip
        assert torch.equal(y[:, kept], before[:, kept])
        assert (y[:, ~kept] != before[:, ~kept]).all()
        assert torch.equal(s.view_as(y) != 0, (~kept).expand_as(y))


def test_two_scales_have_their_size() -> None:
    body = resolved(settled(choose(graph("realnvp_multiscale"), "paper")), standard())

    def coupling(channels: int, width: int) -> int:
        first = 9 * channels * width + 2 * width
        return first + 16 * (9 * width**2 + 2 * width) + 2 * (width + 1) * channels + 1

    found = [body.calls[f"c{i}"].parameters() for i in range(1, 11)]
    assert found == [coupling(3, 64)] * 3 + [coupling(12, 64)] * 3 + [coupling(6, 128)] * 4
    assert body.value(Ref("fine")).shape == body.value(Ref("c10", "y")).shape == (64, 6, 16, 16)
    # Two steps on a quarter of the pixels.
    points = Entry("Noise", {"shape": (3, 16, 16), "batch": 2, "distribution": "uniform", "low": 0})
    of = graph("realnvp_multiscale")
    of = of.with_(nodes={**of.nodes, "digits": points})
    first, second = two_steps(of, shape=(3, 16, 16), squeezed=(12, 8, 8), coarse=(6, 8, 8), batch=2)
    assert 8 < second < first < 12


def test_squeezing_is_that_of_a_loop() -> None:
    squeeze = nodegraph.compile(graph("realnvp_multiscale"), ["c3.y"], ["squeeze"])
    x = torch.randn(2, 1, 28, 28)
    y = squeeze(x)
    for i, j in itertools.product(range(2), range(2)):
        assert torch.equal(y[:, 2 * i + j], x[:, 0, i::2, j::2])
    unsqueeze = nodegraph.compile(graph("realnvp_multiscale"), ["back4.back"], ["unsqueeze"])
    assert torch.equal(unsqueeze(y), x)
    with pytest.raises(Mismatch, match="4×5 pixels, not a multiple of 2"):
        standard()["PixelUnshuffle"]().shapes({"x": (2, 3, 4, 5)})
    with pytest.raises(ValueError, match="3 channels, which have no half"):
        standard()["ChannelMask"](shape=(3, 4, 4))


# NICE: additions, and one stretching --------------------------------------------------------------


def nice(**settings: object) -> Graph:
    """The graph, of eight numbers if no settings are given."""
    of = graph("nice")
    if settings:
        return choose(of, settings=settings)
    points = Entry("Noise", {"shape": (1, 2, 4), "batch": 64})
    of = of.with_(nodes={**of.nodes, "digits": points})
    return choose(of, settings={"shape": (1, 2, 4), "size": 8, "half": 4, "width": 16})


def test_nice_has_its_size() -> None:
    body = resolved(settled(choose(graph("nice"), "paper")), standard())
    net = 392 * 1000 + 1000 + 4 * (1000 * 1000 + 1000) + 1000 * 392 + 392
    flow = [body.calls[name].parameters() for name in ("c1", "c2", "c3", "c4", "scaling")]
    assert flow == [net] * 4 + [784] and sum(flow) == 19_158_352
    first, second = two_steps(graph("nice"), data="Printed", batch=16)
    assert 9 < second < first < 11


@pytest.mark.parametrize("double", [False, True])
def test_what_nice_does_to_pictures_is_undone(double: bool) -> None:
    of = nice(width=64)
    there = shaken(nodegraph.compile(of, ["dequantise"], ["scaling.y"]), 0.1)
    back = nodegraph.compile(of, ["prior"], ["drawn"])
    back.load_state_dict(there.state_dict())
    x = torch.rand(4, 1, 28, 28)
    if double:
        there, back, x = there.double(), back.double(), x.double()
    with torch.no_grad():
        z = there(x)
        assert (z.view_as(x) - x).abs().mean() > 0.1
        assert (back(z) - x).abs().max() <= (1e-9 if double else 1e-4)


def test_what_nice_stretches_is_the_determinant_of_its_jacobian() -> None:
    there = shaken(nodegraph.compile(nice(), ["dequantise"], ["scaling.y", "scaling.s"]), 0.5)
    with torch.no_grad():
        there.get_parameter("scaling.w.value").copy_(torch.linspace(-0.1, 0.2, 8))
    there = there.double()
    moved = nodegraph.compile(nice(), ["dequantise"], ["joined"]).double()
    moved.load_state_dict({k: v for k, v in there.state_dict().items() if k in moved.state_dict()})
    for x in torch.rand(3, 1, 2, 4).double():
        jacobian = torch.autograd.functional.jacobian(lambda v: there(v[None])[0][0], x)
        sign, wanted = torch.linalg.slogdet(jacobian.reshape(8, 8))
        torch.testing.assert_close(there(x[None])[1].sum(), wanted)
        assert sign == 1 and wanted == pytest.approx(4)
        # The additions alone mix all numbers, and change no volume.
        jacobian = torch.autograd.functional.jacobian(lambda v: moved(v[None])[0], x)
        jacobian = jacobian.reshape(8, 8)
        assert (jacobian != 0).sum() > 40
        torch.testing.assert_close(torch.linalg.det(jacobian), torch.ones(()).double())


def test_a_coupling_of_nice_is_that_of_its_equation() -> None:
    ends = ["split.even", "split.odd", "c1.moved", "c2.moved", "joined"]
    net = shaken(nodegraph.compile(nice(), ["dequantise"], ends), 0.5)
    x = torch.rand(5, 1, 2, 4)
    even, odd, first, second, joined = net(x)
    rows = x.flatten(1)
    assert torch.equal(even, rows[:, ::2]) and torch.equal(odd, rows[:, 1::2])

    def m(name: str, h: Tensor) -> Tensor:
        for layer in ("fc1", "fc2", "fc3", "fc4", "fc5"):
            part = net.get_submodule(f"{name}.m.{layer}")
            h = torch.relu(h @ part.weight.T + part.bias)
        last = net.get_submodule(f"{name}.m.last")
        return h @ last.weight.T + last.bias

    torch.testing.assert_close(first, odd + m("c1", even))
    torch.testing.assert_close(second, even + m("c2", first))
    third = first + m("c3", second)
    wanted = torch.stack([second + m("c4", third), third], 2).flatten(1)
    torch.testing.assert_close(joined, wanted)


def test_the_likelihood_of_nice_is_that_of_a_logistic_prior() -> None:
    net = nodegraph.compile(nice(width=8), ["scaling.y", "scaling.s"], ["likelihood.bits"]).double()
    torch.manual_seed(0)
    z, s = 3 * torch.randn(4, 784).double(), torch.randn(784).double()
    bits = net(z, s)
    uniform = torch.distributions.Uniform(torch.zeros(784), torch.ones(784), validate_args=False)
    maps = [torch.distributions.SigmoidTransform().inv]
    prior = torch.distributions.TransformedDistribution(uniform, maps)
    log_p = prior.log_prob(z).sum(1) + s.sum()
    torch.testing.assert_close(bits, (784 * math.log(256) - log_p) / (784 * math.log(2)))
    draw = nodegraph.compile(nice(width=8), ["uniform"], ["prior"]).double()
    u = torch.rand(4, 784).double()
    torch.testing.assert_close(draw(u), (u / (1 - u)).log())


def density(bits: Tensor) -> Tensor:
    """Of points of the plane, from their bits per dimension."""
    return torch.exp(-bits * 2 * math.log(2))


def integral(net: Callable[[Tensor], Tensor], half: float = 12.0, steps: int = 400) -> float:
    """The sum of a density over a square of the plane."""
    line = torch.linspace(-half, half, steps)
    points = torch.cartesian_prod(line, line)
    with torch.no_grad():
        p = torch.cat([density(net(some)) for some in points.split(60_000)])
    return (p.sum() * (2 * half / (steps - 1)) ** 2).item()


def test_the_density_of_a_plane_sums_to_1() -> None:
    net = nodegraph.compile(graph("realnvp_plane"), ["moons.point"], ["likelihood.bits"])
    assert integral(net) == pytest.approx(1, abs=1e-3)  # the identity: a normal
    there, _ = flow("realnvp_plane", "moons.point", "c6.y")
    net.load_state_dict(there.state_dict())
    assert integral(net) == pytest.approx(1, abs=0.01)
    parts = nodegraph.compile(graph("realnvp_plane"), ["c6.y", "stretches"], ["likelihood.bits"])

    def forgetful(points: Tensor) -> Tensor:
        """The same flow, which forgets what it stretched."""
        z, s = there(points)
        bits: Tensor = parts(z, 0 * s)
        return bits

    assert abs(integral(forgetful) - 1) > 0.05
