"""Every node type: what it declares is what its torch code does. Then the values of each."""

import ast
import copy
import importlib
import inspect
import math
import pkgutil
import typing
from dataclasses import MISSING

import nodegraph.nodes
import nodegraph.nodes.ops
import pytest
import torch
from nodegraph.nodes.ops import (
    losses,
    metrics,
    moments,
    preprocess,
    reversal,
    schedules,
    shape,
    textures,
)
from nodegraph.nodes.ops.fft_conv import FFTConv2d
from torch import Tensor, nn
from torch.nn import functional

from nodegraph import library
from nodegraph.node import (
    FilePath,
    FolderPath,
    Function,
    Loss,
    Metric,
    Mismatch,
    Module,
    Node,
    Nodes,
    Optimiser,
    Recipe,
    Schedule,
    Source,
    Text,
    View,
    level_shapes,
)

LIBRARY = library.standard()

# Samples follow from the declaration: an axis has a length, a parameter without a default a value.
LENGTHS = {"N": 4, "M": 5, "C": 8, "H": 9, "W": 11, "D": 12, "K": 6, "I": 3, "J": 7, "...": 8}
LENGTHS |= {"H'": 5, "W'": 6, "h": 5, "w": 6, "T": 7, "L": 4}
VALUES = {"channels": 6, "kernel": 3, "features": 5, "classes": 6, "groups": 2, "padding": 1}
VALUES |= {"size": 5, "over": ("net",), "factors": (0.5, 2.0), "height": 7, "width": 10}
# What does not follow: other parameters for the type, or shapes of its inputs.
PARAMETERS = {"Reshape": {"size": (4, 18)}, "ImageFile": {"path": "x.png"}}
PARAMETERS |= {"ImageFolder": {"path": "x"}}
SHAPES = {
    "PixelUnshuffle": {"x": (4, 8, 6, 10)},
    "RelativeError": {"x": (4, 8, 3), "target": (1, 8, 3)},
    "Maxout": {"x": (4, 8)},
    "Reshape": {"x": (4, 8, 9)},
    "ThinPlateGrid": {"theta": (4, 32)},
    "PyramidBlend": {"mask": (4, 1, 1, 9, 11)},
}
# Other settings of the same types, so that every branch of a recipe is built once.
VARIANTS = [
    ("Conv2d", {"padding": "same", "dilation": 2, "groups": 2, "bias": False}),
    ("Conv2d", {"stride": 2, "padding": 2, "padding_mode": "reflect", "init": "he"}),
    ("Conv2d", {"weight_norm": True, "init": "normal 0.02"}),
    ("ConvTranspose2d", {"kernel": 4, "stride": 2, "padding": 1, "output_padding": 1}),
    ("ConvTranspose2d", {"init": "xavier", "bias": False}),
    ("FFTConv2d", {"boundary": "zeros", "kernel": 4, "bias": False}),
    ("Linear", {"weight_norm": True}),
    ("Linear", {"weight_norm": True, "init": "data"}),
    ("Conv2d", {"init": "data"}),
    ("Linear", {"init": "orthogonal", "bias": False}),
    ("MaxPool2d", {"stride": 2, "ceil": True}),
    ("MaxPool2d", {"kernel": 2, "stride": 3, "padding": 1, "ceil": True}),
    ("AvgPool2d", {"kernel": 4, "padding": 2}),
    ("Upsample", {"mode": "bilinear", "factor": 3}),
    ("Resize", {"mode": "nearest"}),
    ("Resize", {"height": 30, "mode": "bicubic"}),
    ("ResizeLike", {"mode": "bilinear", "cut": True}),
    *((name, {"align_corners": True}) for name in LIBRARY if name.endswith(("Grid", "Sampler"))
      and "align_corners" in LIBRARY[name].settings),
    *((name, {"absolute": True}) for name in ("AffineGrid", "AttentionGrid", "ProjectiveGrid")),
    ("FlowGrid", {"unit": "px"}),
    ("GridSample", {"mode": "nearest", "padding_mode": "reflection", "align_corners": True}),
    ("AnchorMaps", {"align_corners": True}),
    ("Pad2d", {"padding": (1, 0, 2, 3), "mode": "reflect"}),
    ("Crop2d", {"top": 0, "left": 6}),
    ("BatchNorm2d", {"init": "normal 0.02"}),
    ("BatchNorm1d", {"affine": False}),
    ("LayerNorm", {"affine": False}),
    ("GroupNorm", {"affine": False, "eps": 1e-3}),
    ("InstanceNorm2d", {"affine": True, "init": "zeros"}),
    ("Mean", {"axes": "batch"}),
    ("Slice", {"start": 1, "stop": -1, "step": 2}),
    ("Slice", {"start": -2}),
    ("Parameter", {"shape": (1, 3, 8, 8), "init": "normal 0.1"}),
    ("Parameter", {"shape": (2,), "init": "values 1 -1.5"}),
    ("Constant", {"number": 2.0, "shape": (3,)}),
    ("Surface", {"surface": "saddle"}),
    ("Surface", {"surface": "long valley"}),
    ("Gram", {"by_channels": True}),
    ("Preprocess", {"convention": "caffe"}),
    ("Deprocess", {"convention": "caffe"}),
    ("TotalVariation", {"beta": 1.0}),
    ("MMD", {"estimator": "unbiased", "root": True, "sigma_is": "length"}),
    ("Concat", {"axis": 0}),
    *((name, {"reduction": r}) for name in LIBRARY if "reduction" in LIBRARY[name].settings
      for r in ("sum", "per example")),
]  # fmt: skip
ROLES = (Source, Schedule, Optimiser, View)  # with tests of their own; of views in test_views.py
CALLED = [(name, {}) for name in LIBRARY if not issubclass(LIBRARY[name], ROLES)]


def made(name: str, changes: dict[str, typing.Any]) -> Node:
    """A node of the type, with its required parameters filled in."""
    declared = LIBRARY[name]
    values = dict(PARAMETERS.get(name, {}))
    for setting in declared.settings.values():
        if setting.default is MISSING and setting.name not in values:
            assert setting.name in VALUES, (
                f"{name}.{setting.name} has no default: add one to VALUES or PARAMETERS here"
            )
            values[setting.name] = VALUES[setting.name]
    return declared(**(values | changes))


def sample_shapes(name: str, declared: type[Node]) -> dict[str, typing.Any]:
    """A shape for each input of the type."""

    def shape(spec: str) -> tuple[int, ...]:
        axes = "N D" if spec == "..." else spec
        for axis in axes.split():
            assert axis in LENGTHS or axis.isdigit(), (
                f"{name}: axis {axis!r} has no sample length: add one to LENGTHS or SHAPES here"
            )
        return tuple(int(a) if a.isdigit() else LENGTHS[a] for a in axes.split())

    found = {k: [shape(p.shape)] * 2 if p.many else shape(p.shape)
             for k, p in declared.inputs.items()}  # fmt: skip
    return found | SHAPES.get(name, {})


def sample(shape: typing.Any, kind: str) -> typing.Any:
    """A tensor, or a list of them, in 0.1..0.9, so that it is a probability too; or labels."""
    if isinstance(shape, list):
        return [sample(s, kind) for s in shape]
    if kind == "pyramid":
        return tuple(sample(s, "tensor") for s in level_shapes(shape))
    if kind == "labels":
        return torch.randint(LENGTHS["K"], shape)
    return (0.1 + 0.8 * torch.rand(shape)).requires_grad_()


def callable_of(target: str) -> typing.Any:
    """What a recipe's dotted name names."""
    if target.startswith("."):
        target = "nodegraph.nodes" + target
    path, _, name = target.rpartition(".")
    return getattr(importlib.import_module(path), name)


def literal(value: typing.Any) -> typing.Any:
    return built(value) if isinstance(value, Recipe) else value


def built(recipe: Recipe) -> typing.Any:
    """The object of a Module, or the function of a Function with its arguments filled in."""
    target = callable_of(recipe.target)
    args = [literal(a) for a in recipe.args]
    kwargs = {k: literal(v) for k, v in recipe.kwargs.items()}
    if isinstance(recipe, Function):
        return lambda *inputs: target(*inputs, *args, **kwargs)
    return target(*args, **kwargs)


def prints(value: typing.Any) -> bool:
    """Whether a recipe's argument is a literal."""
    if isinstance(value, Recipe):
        return all(map(prints, [*value.args, *value.kwargs.values()]))
    if isinstance(value, tuple):
        return all(map(prints, value))
    return value is None or type(value) in (int, float, str, bool)


@pytest.mark.parametrize("name,changes", CALLED + VARIANTS, ids=lambda v: str(v) if v else "")
def test_a_node_does_what_it_declares(name: str, changes: dict[str, typing.Any]) -> None:
    torch.manual_seed(0)
    node = made(name, changes)
    shapes = sample_shapes(name, type(node))
    values = {k: sample(s, type(node).inputs[k].kind) for k, s in shapes.items()}
    at = node.bind(shapes)
    recipe = node.recipe(at)
    assert prints(recipe), f"{recipe} holds something that is no literal"
    call = built(recipe)
    result = call(*values.values())
    results = result if isinstance(result, tuple) else (result,)
    declared = node.shapes(shapes)
    assert list(declared) == list(node.outputs)
    (kind, *_) = [port.kind for port in node.outputs.values()]
    tensors = level_shapes(declared["y"]) if kind == "pyramid" else declared.values()
    assert [tuple(r.shape) for r in results] == [*tensors]
    module = call if isinstance(call, nn.Module) else nn.Module()
    weights = {k: tuple(p.shape) for k, p in module.named_parameters()}
    assert weights == node.weights(at)
    first = next(iter(declared.values()))
    assert node.multiply_adds(at, first) >= 0
    if not isinstance(node, Metric) and results[0].requires_grad:
        sum((r + 1).square().sum() for r in results).backward()
        for key, weight in module.named_parameters():
            assert weight.grad is not None and torch.isfinite(weight.grad).all(), key
            if changes.get("init") != "zeros" and not (key == "bias" and "Norm" in name):
                assert weight.grad.abs().sum() > 0, f"no gradient reaches {key}"
    if isinstance(call, nn.Module):
        again = copy.deepcopy(call)
        assert again.state_dict().keys() == call.state_dict().keys()
        if type(node).stateful:
            again.eval(), call.eval()
        torch.testing.assert_close(again(*values.values()), call(*values.values()))
    if not node.stateful:
        twice = call(*values.values())
        assert all(map(torch.equal, twice if isinstance(twice, tuple) else (twice,), results))


@pytest.mark.parametrize("name", list(LIBRARY))
def test_a_node_is_documented_and_its_sizes_are_bounded(name: str) -> None:
    declared = LIBRARY[name]
    first, _, rest = inspect.cleandoc(declared.__doc__ or "").partition("\n")
    assert first.endswith(".") and len(first) > 5 and rest.strip(), "a line, a blank one, a text"
    assert "(" + name not in first and len(first) <= 100
    assert declared.category and declared.aliases
    for setting in declared.settings.values():
        if int in (setting.type, *typing.get_args(setting.type)) and not setting.choices:
            assert math.isfinite(setting.max) and math.isfinite(setting.min), setting.name
            with pytest.raises(ValueError, match="expects"):
                setting.coerce((10**9 + 1,) if "tuple" in str(setting.type) else 10**9 + 1)
        if setting.default is not MISSING and setting.default != ():
            assert setting.coerce(setting.default) == setting.default, setting.name
        plain = int, float, bool, Text, FilePath, FolderPath, Nodes
        assert setting.type in plain or typing.get_args(setting.type)


@pytest.mark.parametrize("name", [n for n in LIBRARY if issubclass(LIBRARY[n], Loss)])
def test_a_loss_writes_its_reduction(name: str) -> None:
    if "reduction" in LIBRARY[name].settings:
        node = made(name, {})
        recipe = node.recipe(node.bind(sample_shapes(name, type(node))))
        assert recipe.kwargs["reduction"] == "mean"


@pytest.mark.parametrize("name", [n for n in LIBRARY if issubclass(LIBRARY[n], Source)])
def test_a_source_builds_from_its_recipe(name: str) -> None:
    node = made(name, {})
    recipe = node.recipe(node.bind({}))
    assert isinstance(recipe, Module) and prints(recipe)
    source = built(recipe)
    assert callable(source.draw) and callable(source.start)
    shapes = node.shapes({})
    assert list(shapes) == list(node.outputs)
    assert all(s[0] == (1 if node.fixed else source.batch) for s in shapes.values())


@pytest.mark.parametrize("name", [n for n in LIBRARY if issubclass(LIBRARY[n], Schedule)])
def test_a_schedule_gives_finite_numbers(name: str) -> None:
    recipe = made(name, {}).recipe(LIBRARY[name]().bind({}))
    f = callable_of(recipe.target)
    for step in (0, 1, 500, 1000, 10**7):
        value = f(step, 1000, *recipe.args, **recipe.kwargs)
        assert type(value) is float and math.isfinite(value)


@pytest.mark.parametrize("name", [n for n in LIBRARY if issubclass(LIBRARY[n], Optimiser)])
def test_an_optimiser_minimises(name: str) -> None:
    node = made(name, {})
    recipe = node.recipe(node.bind({}))
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    options = {k: p.default for k, p in type(node).inputs.items() if p.default is not None}
    optimiser = callable_of(recipe.target)([weight], **options, **recipe.kwargs)
    assert set(optimiser.param_groups[0]) >= set(options)  # where a linked one is set

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (weight - 3).square().sum()
        loss.backward()
        return loss

    before = closure().item()
    for _ in range(5):
        optimiser.step(closure)
    assert closure().item() < before


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_fused_optimiser_moves_weights_as_a_plain_one(name: str) -> None:
    change = {"nesterov": True} if name == "SGD" else {"beta1": 0.5}
    kwargs = dict(made(name, change).recipe(LIBRARY[name](over=("net",)).bind({})).kwargs)
    kwargs |= {"momentum": 0.9} if name == "SGD" else {}
    assert kwargs.pop("fused")
    weights = [nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2)]
    target = callable_of(f"torch.optim.{name}")
    optimisers = [
        target([w], lr=0.01, fused=f, **kwargs) for w, f in zip(weights, (True, False), strict=True)
    ]
    for _ in range(20):
        for weight, optimiser in zip(weights, optimisers, strict=True):
            optimiser.zero_grad()
            (weight.sin() + weight.square()).sum().backward()
            optimiser.step()
    torch.testing.assert_close(weights[0], weights[1], atol=1e-6, rtol=1e-6)


def test_images_are_preprocessed_by_two_conventions_with_their_inverses() -> None:
    x = torch.tensor([0.5, 0.25, 1.0]).reshape(1, 3, 1, 1).double()  # R G B
    told = {
        "torchvision": [(0.5 - 0.485) / 0.229, (0.25 - 0.456) / 0.224, (1.0 - 0.406) / 0.225],
        "caffe": [255 - 103.939, 0.25 * 255 - 116.779, 0.5 * 255 - 123.68],
    }
    for convention, wanted in told.items():
        y = preprocess.preprocess(x, convention)
        torch.testing.assert_close(y.flatten(), torch.tensor(wanted).double())
        torch.testing.assert_close(preprocess.deprocess(y, convention), x)
        (other,) = told.keys() - {convention}
        assert (preprocess.deprocess(y, other) - x).abs().max() > 0.5  # they never mix


def test_names_are_unique_in_ops_so_that_an_export_can_hold_all() -> None:
    owner: dict[str, str] = {}
    for info in pkgutil.iter_modules(nodegraph.nodes.ops.__path__):
        module = importlib.import_module(f"nodegraph.nodes.ops.{info.name}")
        source = inspect.getsource(module)
        assert "nodegraph." not in source.replace('"nodegraph', "") and "__future__" not in source
        taken = {
            a.name for s in ast.parse(source).body if isinstance(s, ast.ImportFrom) for a in s.names
        }
        for name, value in vars(module).items():
            elsewhere = getattr(value, "__module__", module.__name__) != module.__name__
            elsewhere |= name in taken
            if name.startswith("__") or inspect.ismodule(value) or elsewhere:
                continue
            assert owner.setdefault(name, info.name) == info.name, f"{name} is declared twice"


def test_library_finds_nodes_by_the_words_of_the_lecture() -> None:
    for words, name in {
        "свёртка": "Conv2d", "FC": "Linear", "полносвязный": "Linear", "GRL": "GradientReversal",
        "moment matching": "MMD", "Gram matrix": "Gram", "stop gradient": "Detach",
        "TPS": "ThinPlateGrid", "grid_sample": "GridSample",
    }.items():  # fmt: skip
        assert name in LIBRARY.search(words)[:2], words


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name,changes,words",
    [
        ("Linear", {"init": "nromal 0.02"}, "init expects.*not 'nromal 0.02'"),
        ("Linear", {"init": "normal"}, "init expects"),
        ("Linear", {"init": "normal nan"}, "init expects"),
        ("Linear", {"init": "he 2"}, "init expects"),
        ("BatchNorm2d", {"init": "he"}, "init expects"),
        ("Parameter", {"init": "orthogonal"}, "init expects"),
        ("Parameter", {"init": "values 1 2"}, "2 values, shape 1"),
        ("Parameter", {"init": "values 1 x", "shape": (2,)}, "init expects"),
        ("Embedding", {"init": "data"}, "init expects"),
        ("SGD", {"formula": "lecture", "dampening": 0.1}, "no dampening"),
        ("Adam", {"formula": "lecture", "weight_decay": 0.1}, "no weight_decay"),
        ("Conv2d", {"padding": "same", "stride": 2}, "stride 1"),
        ("Conv2d", {"channels": 5, "groups": 2}, "groups"),
        ("ConvTranspose2d", {"stride": 2, "output_padding": 2}, "output_padding"),
        ("MaxPool2d", {"padding": 2}, "half of the kernel"),
        ("Pad2d", {"padding": (1, 2)}, "left, right, top, bottom"),
        ("SGD", {"nesterov": True, "dampening": 0.1}, "no dampening"),
        ("Clamp", {"low": 2.0}, "at most high"),
        ("DistortedDigits", {"smallest": 0.9}, "at most largest"),
        ("DistortedDigits", {"patch": 20}, "side of 16 px"),
        ("Eyes", {"gaze": (1.0,)}, "two angles"),
    ],
)
def test_wrong_parameters_are_named(name: str, changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(name, changes)


@pytest.mark.parametrize(
    "name,changes,shapes,words",
    [
        ("Conv2d", {"kernel": 20}, {"x": (4, 8, 9, 11)}, "does not fit"),
        ("Conv2d", {"groups": 3}, {"x": (4, 8, 9, 11)}, "groups"),
        ("Linear", {}, {"x": (4, 8, 9, 11)}, "x expects N D"),
        ("Concat", {}, {"x": [(4, 8, 9), (4, 8, 7)]}, "differ beside axis 1"),
        ("Concat", {"axis": 3}, {"x": [(4, 8, 9)]}, "no axis 3"),
        ("Add", {}, {"a": (4, 8), "b": (4, 7)}, "do not broadcast"),
        ("MSE", {}, {"x": (4, 1), "target": (4,)}, "target expects"),
        ("RelativeError", {}, {"x": (4, 8), "target": (3, 8)}, "target has 3"),
        ("Reshape", {}, {"x": (4, 8)}, "8 numbers"),
        ("Slice", {"start": 9}, {"x": (4, 8)}, "no part"),
        ("WeightedSum", {}, {"losses": [(), (), ()]}, "3 links"),
        ("PixelShuffle", {"factor": 3}, {"x": (4, 8, 9, 11)}, "multiple"),
        ("PixelUnshuffle", {"factor": 2}, {"x": (4, 8, 9, 11)}, "multiple"),
        ("Maxout", {"pieces": 3}, {"x": (4, 8)}, "multiple"),
        ("Crop2d", {"size": 10}, {"x": (4, 8, 9, 11)}, "inside"),
        ("TopKAccuracy", {}, {"logits": (4, 3), "labels": (4,)}, "3 classes"),
        ("Mean", {"axes": "spatial"}, {"x": (4, 8)}, "no spatial axes"),
        ("FFTConv2d", {"kernel": 10}, {"x": (4, 8, 9, 11)}, "larger"),
        ("GroupNorm", {"groups": 3}, {"x": (4, 8)}, "groups"),
        ("ThinPlateGrid", {}, {"theta": (4, 30)}, "4² points need 32"),
        ("FlowGrid", {}, {"flow": (4, 3, 8, 8)}, "flow expects N 2 H W"),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    name: str, changes: dict[str, object], shapes: dict[str, object], words: str
) -> None:
    with pytest.raises(Mismatch, match=words):
        made(name, changes).shapes(shapes)


@pytest.mark.parametrize("length", range(2, 13))
@pytest.mark.parametrize("kernel,stride,padding", [(2, 0, 0), (2, 3, 1), (3, 2, 1), (3, 1, 0)])
def test_pooling_with_ceil_has_the_length_that_torch_gives(
    length: int, kernel: int, stride: int, padding: int
) -> None:
    node = LIBRARY["MaxPool2d"](kernel=kernel, stride=stride, padding=padding, ceil=True)
    x = torch.zeros(1, 1, length, 12)
    if length + 2 * padding >= kernel:
        assert node.shapes({"x": x.shape})["y"] == built(node.recipe(node.bind({})))(x).shape


# Values ------------------------------------------------------------------------------------------


def test_convolution_is_the_sum_of_the_lecture() -> None:
    node = made("Conv2d", {"channels": 2, "kernel": 3, "bias": False})
    u = torch.rand(1, 3, 5, 6)
    conv = built(node.recipe(node.bind({"x": u.shape})))
    v = torch.zeros(1, 2, 3, 4)
    for t in range(2):
        for y in range(3):
            for x in range(4):
                for s in range(3):
                    for j in range(3):
                        for i in range(3):
                            v[0, t, y, x] += conv.weight[t, s, j, i] * u[0, s, y + j, x + i]
    torch.testing.assert_close(conv(u), v, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kernel", [3, 4, 11])
@pytest.mark.parametrize("boundary", ["circular", "zeros"])
def test_fft_convolution_equals_a_plain_one(kernel: int, boundary: str) -> None:
    torch.manual_seed(0)
    fft = FFTConv2d(3, 5, kernel, boundary)
    plain = nn.Conv2d(3, 5, kernel, padding="same", padding_mode=boundary)
    plain.load_state_dict(fft.state_dict())
    x = torch.randn(2, 3, 16, 21)
    torch.testing.assert_close(fft(x), plain(x), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(fft(x.flip(-1)), plain(x), atol=1e-5)


@pytest.mark.parametrize("inputs", [3, 8])
def test_frozen_kernels_are_transformed_once_and_again_when_they_change(
    inputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    fft, other = FFTConv2d(inputs, 5, 7), FFTConv2d(inputs, 5, 7)
    plain = nn.Conv2d(inputs, 5, 7, padding="same", padding_mode="circular")
    x = torch.randn(2, inputs, 16, 21, requires_grad=True)
    counted = []
    transform = torch.fft.rfft2
    monkeypatch.setattr(
        torch.fft, "rfft2", lambda v, **k: counted.append(v.shape) or transform(v, **k)
    )

    def agree() -> int:
        """How many transforms of kernels it takes to be the same, gradients included."""
        plain.load_state_dict(fft.state_dict())
        counted.clear()
        y, wanted = fft(x), plain(x)
        torch.testing.assert_close(y, wanted, atol=1e-5, rtol=1e-5)
        up = torch.randn_like(y)
        found, by_hand = (torch.autograd.grad(v, x, up)[0] for v in (y, wanted))
        torch.testing.assert_close(found, by_hand, atol=1e-4, rtol=1e-4)
        return counted.count(fft.weight.shape)

    assert [agree(), agree()] == [1, 1]
    fft.requires_grad_(False)
    assert [agree(), agree()] == [1, 0]
    fft.load_state_dict(other.state_dict())
    assert [agree(), agree()] == [1, 0]
    fft.weight *= 2
    assert [agree(), agree()] == [1, 0]
    with torch.inference_mode():
        fft(x[..., :-1])  # another size: what is made here can't be used outside
    counted.clear()
    assert fft(x[..., :-1]).grad_fn is not None and fft.weight.shape in counted
    fft.requires_grad_()
    assert [agree(), agree()] == [1, 1]


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, torch.tensor(0.3)])
def test_gradient_reversal_is_exact(strength: float | Tensor) -> None:
    x = torch.randn(5, 3, requires_grad=True)
    y = reversal.reverse_gradient(x, strength)
    assert torch.equal(y, x)
    upstream = torch.randn(5, 3)
    y.backward(upstream)
    assert x.grad is not None and torch.equal(x.grad, -strength * upstream)


def test_gradient_scale_passes_gradcheck_only_at_one() -> None:
    x = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: reversal.scale_gradient(x, 1.0), (x,))
    with pytest.raises(RuntimeError):
        torch.autograd.gradcheck(lambda x: reversal.reverse_gradient(x, 1.0), (x,))


@pytest.mark.filterwarnings("ignore")  # of torch's compiler
def test_gradient_reversal_compiles_in_one_graph() -> None:
    def f(x: Tensor, strength: Tensor) -> Tensor:
        return reversal.reverse_gradient(x * 2, strength).square().sum()

    x = torch.randn(3, requires_grad=True)
    torch.compile(f, backend="aot_eager", fullgraph=True)(x, torch.tensor(0.5)).backward()
    torch.testing.assert_close(x.grad, -0.5 * 8 * x)


def test_sigmoid_ramp_has_the_published_values() -> None:
    for step, value in {0: 0, 100: 0.46212, 200: 0.76159, 500: 0.98661, 1000: 0.99991}.items():
        assert schedules.sigmoid_ramp(step, 1000, 10, 1, 0, 0) == pytest.approx(value, abs=1e-5)
        low = schedules.sigmoid_ramp(step, 5000, 10, 3, 1, 1000)
        assert low == pytest.approx(1 + 2 * value, abs=1e-4)
    assert schedules.sigmoid_ramp(9000, 9000, 10, 1, 0, 1000) == pytest.approx(0.99991, abs=1e-5)


def test_annealing_has_the_published_values() -> None:
    for step, value in {0: 0.01, 500: 0.0026084, 1000: 0.0016558}.items():
        assert schedules.annealing(step, 1000, 0.01, 10, 0.75) == pytest.approx(value, abs=1e-6)


def test_schedules_have_their_formulas() -> None:
    assert schedules.step_decay(299, 1, 1.0, 0.1, 100) == pytest.approx(0.01)
    assert schedules.harmonic(25, 1, 0.001, 10, 10) == 0.001 / 12
    assert schedules.cosine(50, 100, 1.0, 0.0) == pytest.approx(0.5)
    assert schedules.linear_ramp(5, 100, 1.0, 2.0, 10) == 1.5
    assert schedules.inverse(1000, 1, 0.001, 0.001, 0.75) == pytest.approx(0.001 * 2**-0.75)
    assert schedules.exponential(3, 1, 0.1, 0.5, 0.0) == pytest.approx(0.0125)
    assert schedules.exponential(10**6, 1, 0.1, 0.5, 1e-6) == 1e-6


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("sigma_is", ["variance", "length"])
@pytest.mark.parametrize("root", [False, True])
def test_mmd_equals_a_double_loop(estimator: str, sigma_is: str, root: bool) -> None:
    torch.manual_seed(1)
    x, y, sigmas = torch.randn(6, 3), torch.randn(8, 3) + 1, (0.5, 2.0)

    def k(a: Tensor, b: Tensor) -> float:
        d2 = float(((a - b) ** 2).sum())
        return sum(math.exp(-d2 / (2 * (s if sigma_is == "variance" else s * s))) for s in sigmas)

    def mean(a: Tensor, b: Tensor, same: bool) -> float:
        skip = same and estimator == "unbiased"
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (skip and i == j)]
        return sum(k(a[i], b[j]) for i, j in pairs) / len(pairs)

    wanted = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    wanted = math.sqrt(max(wanted, 0) + 1e-8) if root else wanted
    assert float(moments.mmd(x, y, sigmas, sigma_is, estimator, root)) == pytest.approx(
        wanted, abs=1e-5
    )
    other = "length" if sigma_is == "variance" else "variance"
    assert float(moments.mmd(x, y, sigmas, other, estimator, root)) != pytest.approx(wanted, 1e-3)


def test_mmd_of_a_sample_with_itself_is_zero_and_its_root_has_a_gradient() -> None:
    x = (100 + torch.randn(6, 3)).requires_grad_()
    assert moments.mmd(x, x.detach(), (1.0,)).item() == pytest.approx(0, abs=1e-6)
    moments.mmd(x, x.detach(), (1.0,), root=True).backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_mmd_and_textures_pass_gradcheck() -> None:
    x = torch.rand(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    other = torch.rand(3, 2, 4, 5, dtype=torch.float64)
    check = torch.autograd.gradcheck
    assert check(lambda x: moments.mmd(x.flatten(1), other.flatten(1), (3.0,)), (x,))
    assert check(textures.gram, (x,))
    assert check(lambda x: textures.total_variation(x, 1.0, "sum"), (x,))
    assert check(lambda x: textures.relative_error(x, other[:1], "mean"), (x,))


def test_gram_is_the_mean_product_of_maps() -> None:
    x = torch.randn(2, 3, 4, 5)
    wanted = torch.einsum("nchw,ndhw->ncd", x, x) / 20
    torch.testing.assert_close(textures.gram(x), wanted)
    torch.testing.assert_close(textures.gram(x, by_channels=True), wanted / 3)
    big = torch.full((1, 2, 64, 64), 200.0, dtype=torch.float16)  # 200² · 4096 is beyond float16
    assert float(textures.gram(big)[0, 0, 0]) == pytest.approx(40000)


def test_relative_error_is_in_units_of_the_target() -> None:
    target = torch.randn(1, 4, 3)
    x = torch.cat([target * 2, target, torch.zeros_like(target)])
    each = textures.relative_error(x, target, "per example")
    torch.testing.assert_close(each, torch.tensor([1.0, 0.0, 1.0]))
    assert float(textures.relative_error(x, target, "mean")) == pytest.approx(2 / 3)


def test_total_variation_sums_squared_steps() -> None:
    x = torch.zeros(1, 1, 3, 3)
    x[0, 0, 1, 1] = 2.0
    assert float(textures.total_variation(x, 2.0, "sum")) == 16  # four neighbours, 2² each
    assert float(textures.total_variation(x, 2.0, "mean")) == pytest.approx(16 / 9)
    flat = torch.ones(1, 1, 3, 3, requires_grad=True)
    textures.total_variation(flat, 1.0, "sum").backward()
    assert flat.grad is not None and torch.equal(flat.grad, torch.zeros_like(flat))


def test_gan_losses_have_the_gradients_of_the_paper() -> None:
    for a in (-3.0, 0.0, 2.0):
        x = torch.tensor([a], requires_grad=True)
        losses.bce_with_logits(x, 1.0, "mean").backward()
        wanted = -(1 - torch.sigmoid(torch.tensor(a)))  # non-saturating: −(1 − σ(a))
        assert x.grad is not None
        torch.testing.assert_close(x.grad[0], wanted)


def test_losses_equal_those_of_torch() -> None:
    x, target = torch.randn(4, 3), torch.rand(4, 3)
    bce = functional.binary_cross_entropy_with_logits
    assert torch.equal(losses.bce_with_logits(x, target, "sum"), bce(x, target, reduction="sum"))
    smooth = losses.bce_with_logits(x, 0.9, "mean")
    assert torch.equal(smooth, bce(x, torch.full_like(x, 0.9)))
    assert torch.equal(smooth, losses.bce_with_logits(x, torch.tensor(0.9), "mean"))
    each = losses.per_example(x, target, "mse_loss")
    torch.testing.assert_close(each, (x - target).square().sum(1))
    torch.testing.assert_close(losses.hinge(x, 1.0, "sum"), (1 - x).clamp_min(0).sum())
    p = torch.sigmoid(x)
    torch.testing.assert_close(losses.bce(p, 1.0, "mean"), bce(x, torch.ones_like(x)))


def test_kl_divergence_equals_that_of_distributions() -> None:
    mu, logvar = torch.randn(4, 3), torch.randn(4, 3)
    normal = torch.distributions.Normal
    each = torch.distributions.kl_divergence(normal(mu, (logvar / 2).exp()), normal(0.0, 1.0))
    torch.testing.assert_close(losses.kl_divergence(mu, logvar, "per example"), each.sum(1))
    torch.testing.assert_close(losses.kl_divergence(mu, logvar, "mean"), each.sum(1).mean())


def test_metrics_count() -> None:
    logits = torch.tensor([[3.0, 1, 2], [1, 3, 2], [1, 2, 3], [3, 2, 1]])
    labels = torch.tensor([0, 2, 2, 1])
    assert float(metrics.accuracy(logits, labels)) == 0.5
    assert float(metrics.top_k_accuracy(logits, labels, 2)) == 1.0
    wanted = [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    assert metrics.confusion(logits, labels).tolist() == wanted
    signs = torch.tensor([1.0, -1, 2, 3])
    assert float(metrics.binary_accuracy(signs, 1.0)) == 0.75
    assert float(metrics.binary_accuracy(signs, 0.0)) == 0.25
    assert float(metrics.binary_accuracy(signs, torch.tensor([1.0, 0, 0, 1]))) == 0.75
    assert float(metrics.max_absolute_error(signs, torch.tensor([1.0, 1, 2, 4]))) == 2
    assert float(metrics.spread(torch.ones(4, 3))) == 0
    assert float(metrics.spread(torch.tensor([[0.0], [2.0]]))) == 1


def test_an_image_is_cut_to_the_sides_of_another_and_not_stretched() -> None:
    x = torch.arange(8.0 * 12).view(1, 1, 8, 12)
    assert torch.equal(shape.resize_like(x, torch.zeros(1, 3, 8, 4), "nearest", True), x[..., 4:8])
    half = shape.resize_like(x, torch.zeros(1, 3, 2, 6), "bilinear", True)  # of the rows 2 to 5
    torch.testing.assert_close(half, functional.avg_pool2d(x[:, :, 2:6], 2))
    for mode in ("nearest", "bilinear"):  # in its own size it is what it was, to the last bit
        assert torch.equal(shape.resize_like(x, x, mode, True), x)
        assert torch.equal(shape.resize_like(x, x, mode), x)
    assert shape.resize_like(x, torch.zeros(1, 3, 8, 4), "nearest")[0, 0, 0, 3] == 9


def test_maxout_takes_the_largest_of_neighbours() -> None:
    node = LIBRARY["Maxout"](pieces=3)
    maxout = built(node.recipe(node.bind({"x": (1, 6)})))
    assert maxout(torch.tensor([[1.0, 5, 2, -3, -1, -2]])).tolist() == [[5, -1]]


def test_init_draws_what_it_says() -> None:
    torch.manual_seed(0)

    def weight(name: str, init: str) -> Tensor:
        node = made(name, {"init": init} | ({"features": 400} if name == "Linear" else {}))
        shape = (2, 300) if name == "Linear" else (2, 5000, 2, 2)
        layer = built(node.recipe(node.bind({"x": shape})))
        assert not layer.bias.any()
        return layer.weight.detach()

    assert float(weight("Linear", "normal 0.02").std()) == pytest.approx(0.02, rel=0.02)
    assert float(weight("Linear", "he").std()) == pytest.approx(math.sqrt(2 / 300), rel=0.02)
    flat = weight("Linear", "uniform 0.05")
    assert 0.049 < float(flat.max()) <= 0.05 and float(flat.mean()) == pytest.approx(0, abs=1e-3)
    w = weight("Linear", "orthogonal")
    torch.testing.assert_close(w.T @ w, torch.eye(300), atol=1e-4, rtol=0)
    scale = weight("BatchNorm2d", "normal 0.02")
    assert float(scale.mean()) == pytest.approx(1, abs=2e-3)
    assert float(scale.std()) == pytest.approx(0.02, rel=0.05)
    assert not weight("BatchNorm2d", "zeros").any()


def test_noise_is_added_while_training_only() -> None:
    noise = built(LIBRARY["GaussianNoise"]().recipe(LIBRARY["GaussianNoise"]().bind({})))
    x = torch.zeros(10_000)
    assert float(noise(x, 0.3).std()) == pytest.approx(0.3, rel=0.05)
    assert torch.equal(noise.eval()(x, 0.3), x)


def test_a_parameter_can_be_optimised_by_lbfgs() -> None:
    node = LIBRARY["Parameter"](shape=(1, 3, 4, 4), init="normal 0.1")
    image = built(node.recipe(node.bind({})))
    kwargs = LIBRARY["LBFGS"](over=("image",)).recipe(node.bind({})).kwargs
    lbfgs = torch.optim.LBFGS(image.parameters(), lr=1.0, **kwargs)

    def closure() -> Tensor:
        lbfgs.zero_grad()
        loss = (image().permute(0, 2, 3, 1) - 1).square().sum()
        loss.backward()
        return loss

    lbfgs.step(closure)
    torch.testing.assert_close(image().detach(), torch.ones(1, 3, 4, 4))
