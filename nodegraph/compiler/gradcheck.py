"""Whether a node's gradient is that of its value: backward against finite differences.

A random mixture L of the outputs is differentiated by backward, and by moving one number of an
input or weight at a time, in double precision: (L(x + ε) − L(x − ε)) / 2ε. Where the slopes on both
sides differ (a kink), a number is not judged.
"""

from __future__ import annotations

import importlib
import math
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..body import Body, Call, Value
from ..graph import Graph, GraphError
from ..infer import infer
from ..library import Library, near
from ..node import (
    Function,
    Metric,
    Node,
    Optimiser,
    Recipe,
    Schedule,
    Setting,
    Source,
    View,
    axis_names,
    level_shapes,
)
from .build import resolved

EPS = 1e-6
CLOSE = 1e-3  # relative to the number itself
LEAST = 1e-4  # relative to the largest of its tensor
NOISE = 1e-8  # of the value, what rounding makes of a difference
NUMBERS = 48  # of a tensor that are moved
EXAMPLES = 3  # of a batch
LENGTHS = {"N": 3, "M": 3, "C": 4, "H": 6, "W": 7, "h": 3, "w": 4, "D": 8, "K": 4, "L": 3, "...": 4}
NOTHING = (Source, Schedule, Optimiser, View, Metric)


@dataclass(frozen=True)
class Finding:
    """What was found of one input or weight."""

    name: str
    right: bool
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {'' if self.right else 'WRONG: '}{self.text}"


@dataclass(frozen=True)
class Report:
    """What was found of one node; `why` there is nothing to find."""

    name: str
    findings: tuple[Finding, ...] = ()
    why: str = ""

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return all(f.right for f in self.findings)

    def __str__(self) -> str:
        if not self.findings:
            return f"{self.name}: {self.why or 'no input or weight of it has a gradient'}"
        return "\n".join([f"{self.name}:", *(f"  {finding}" for finding in self.findings)])


# What is checked ---------------------------------------------------------------------------------


def check_type(library: Library, name: str, given: Mapping[str, Any]) -> Report:
    """A node type by itself, at small shapes; `given` are parameters. Raises GraphError."""
    declared = library[name]
    if why := without_gradient(declared):
        return Report(name, why=why)
    values: dict[str, Any] = {}
    try:
        for key, value in given.items():
            if key not in declared.settings:
                raise ValueError(f"has no parameter {key!r}{near(key, declared.settings)}")
            values[key] = declared.settings[key].coerce(value)
        for setting in declared.settings.values():
            if setting.default is MISSING and setting.name not in values:
                values[setting.name] = likely(setting)
        literals = {k: float(values.pop(k, p.default)) for k, p in declared.inputs.items()
                    if p.default is not None}  # fmt: skip
        node = declared(**values)
        shapes = {
            port: [sample_shape(about.shape)] * 2 if about.many else sample_shape(about.shape)
            for port, about in declared.inputs.items()
            if about.needed
        }
        node.shapes(shapes)
        return Report(name, tuple(findings(node, shapes, literals, {})))
    except ValueError as wrong:
        text = f"{name} can't be checked by itself: {wrong}"
        raise GraphError(f"{text}; give parameters with --set, or check GRAPH:NODE") from wrong


def check_graph(graph: Graph, library: Library, place: str = "") -> list[Report]:
    """The nodes of a graph, or one (`conv`, `features/conv1`), each kind of call once.

    One is also checked in a graph that is not ready, if its own inputs are. Raises GraphError when
    the graph has errors, or nothing can be checked at `place`.
    """
    body, problems = infer(graph, library) if place else (resolved(graph, library), [])
    found = dict(leaves(body, "", all_calls=bool(place)))
    chosen = {p: c for p, c in found.items() if place in ("", p) or p.startswith(f"{place}/")}
    if not chosen:
        wrong = [str(p) for p in problems if p.severity == "error"]
        raise GraphError("\n".join([f"no node {place!r} to check{near(place, found)}", *wrong]))
    reports, seen = [], set()
    for path, (call, inputs) in chosen.items():
        node = call.node
        assert node is not None
        shapes = {k: [v.shape for v in vs] if node.inputs[k].many else vs[0].shape
                  for k, vs in inputs.items()}  # fmt: skip
        key = repr((node, sorted(shapes.items()), sorted(call.literals.items())))
        if key in seen:
            continue
        seen.add(key)
        if why := without_gradient(type(node)):
            if place:
                reports.append(Report(path, why=why))
            continue
        small = fewer(node, shapes)
        classes = {k: vs[0].classes for k, vs in inputs.items()}
        reports.append(Report(path, tuple(findings(node, small, call.literals, classes))))
    return reports


def leaves(
    body: Body, inside: str, all_calls: bool
) -> Iterator[tuple[str, tuple[Call, dict[str, list[Value]]]]]:
    """The calls of declared nodes with the values at their inputs, by their places."""
    for name, call in body.calls.items():
        path = inside + name.replace(".", "/")
        if call.owner != name and not all_calls:  # the same weights again
            continue
        if call.body is not None:
            yield from leaves(call.body, f"{path}/", all_calls)
            continue
        inputs = {
            port: [body.value(ref) for ref in (source if isinstance(source, tuple) else (source,))]
            for port, source in call.inputs.items()
        }
        yield path, (call, inputs)


def without_gradient(declared: type[Node]) -> str:
    """Why a type has no gradient to check, or ""."""
    name = declared.__name__
    if issubclass(declared, NOTHING):
        return f"{name} has no gradient: nothing is learned through it"
    if declared.stops_gradient:
        return f"{name} has no gradient: it stops there"
    return ""


def likely(setting: Setting) -> Any:
    """A value for a parameter that has no default."""
    if setting.choices:
        return setting.choices[0]
    kind = next(iter(typing.get_args(setting.type)), setting.type)
    if typing.get_origin(setting.type) is tuple:
        return (0.5, 2.0) if kind is float else (LENGTHS["..."],)
    if kind in (int, float):
        return kind(min(max(2, setting.min), setting.max))
    return setting.type("x") if issubclass(setting.type, str) else setting.coerce(2)


def sample_shape(spec: str) -> tuple[int, ...]:
    """A small shape like a written one."""
    axes = axis_names("N D" if spec == "..." else spec)
    return tuple(int(a) if a.isdigit() else LENGTHS.get(a, 4) for a in axes)


def fewer(node: Node, shapes: Mapping[str, Any]) -> dict[str, Any]:
    """The shapes of a call with only some examples, where that is still one that fits."""

    def cut(spec: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        first = spec.partition(" ")[0]
        return (min(shape[0], EXAMPLES), *shape[1:]) if shape and first in ("N", "M") else shape

    small: dict[str, Any] = {}
    for port, shape in shapes.items():
        spec = node.inputs[port].shape
        many = node.inputs[port].many
        small[port] = [cut(spec, s) for s in shape] if many else cut(spec, shape)
    try:
        node.shapes(small)
    except ValueError:
        return dict(shapes)
    return small


# One node ----------------------------------------------------------------------------------------


def findings(
    node: Node, shapes: Mapping[str, Any], literals: Mapping[str, float], classes: Mapping[str, int]
) -> Iterator[Finding]:
    """What is found of each input and weight of a node, at inputs of some shapes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        recipe, package = node.recipe(node.bind(shapes)), type(node).__module__.rpartition(".")[0]
        made = built(recipe, package)
        if isinstance(made, nn.Module):
            made.double()
        for signed in (True, False):  # some have a value for positive numbers alone
            values = {port: samples(node, port, shapes.get(port), literals, classes, signed, i)
                      for i, port in enumerate(node.inputs)}  # fmt: skip
            try:
                if all(y.isfinite().all() for y in called(made, values)):
                    break
            except (RuntimeError, ValueError, IndexError):
                if not signed:
                    raise
        yield from compared(node, made, values)


def samples(
    node: Node, port: str, shape: Any, literals: Mapping[str, float], classes: Mapping[str, int],
    signed: bool, number: int,
) -> Any:  # fmt: skip
    """A value for an input: numbers that lie apart from each other, from 0 and from ±1."""
    about = node.inputs[port]
    if shape is None:
        return literals.get(port)

    def one(shape: tuple[int, ...], shift: float) -> Tensor:
        if about.kind == "labels":
            return torch.randint(max(classes.get(port, 0), 2), shape)
        count = math.prod(shape)
        apart = torch.linspace(0.1, 0.9, count, dtype=torch.float64) if count > 1 else None
        rows = torch.tensor([0.37], dtype=torch.float64) if apart is None else apart
        rows = rows[torch.randperm(count)] + 0.00123 * (1 + shift)
        if signed:
            rows = rows * (torch.randint(2, (count,)) * 2 - 1)
        return rows.view(shape).requires_grad_()

    if about.many:
        return [one(s, number + i / 7) for i, s in enumerate(shape)]
    if about.kind == "pyramid":
        return tuple(one(s, number + i / 7) for i, s in enumerate(level_shapes(shape)))
    return one(shape, number)


def called(made: Any, values: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """The outputs for some inputs; what is random is the same at each call."""
    torch.manual_seed(1)
    result = made(*values.values())
    return result if isinstance(result, tuple) else (result,)


def compared(node: Node, made: Any, values: Mapping[str, Any]) -> Iterator[Finding]:
    """Backward against differences, tensor by tensor."""
    tensors = {}
    for port, given in values.items():
        listed = given if isinstance(given, (list, tuple)) else [given]
        for i, tensor in enumerate(listed):
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                tensors[port if len(listed) == 1 else f"{port}[{i}]"] = tensor
    if isinstance(made, nn.Module):
        tensors |= dict(made.named_parameters())
    if not tensors:
        return
    outputs = called(made, values)
    # Away from 0, so that no part of the outputs goes unseen.
    mixture = [0.5 + torch.rand_like(y) for y in outputs]

    def value() -> Tensor:
        with torch.no_grad():
            return sum((u * y).sum() for u, y in zip(mixture, called(made, values)))  # type: ignore[return-value]

    if not any(y.requires_grad for y in outputs):
        yield Finding("output", False, "backward reaches nothing: it depends on no input or weight")
        return
    total: Tensor = sum((u * y).sum() for u, y in zip(mixture, outputs))  # type: ignore[assignment]
    try:
        found = torch.autograd.grad(total, [*tensors.values()], allow_unused=True)
    except (RuntimeError, ValueError) as wrong:
        yield Finding("backward", False, str(wrong))
        return
    gradients = dict(zip(tensors, found))
    if node.gradient_times:
        yield multiplied(node, outputs[0], mixture[0], values, gradients)
        return
    for name, tensor in tensors.items():
        gradient = gradients[name]
        yield judged(name, tensor, torch.zeros_like(tensor) if gradient is None else gradient,
                     value, gradient is None)  # fmt: skip


def multiplied(
    node: Node, y: Tensor, u: Tensor, values: Mapping[str, Any], gradients: Mapping[str, Any]
) -> Finding:
    """Of an identity that changes its gradient: both exactly."""
    port = next(iter(node.inputs))
    sign = -1.0 if node.gradient_times.startswith("-") else 1.0
    factor = sign * float(values[node.gradient_times.lstrip("-")])
    words = f"the identity, and {factor:g} times its gradient"
    if not torch.equal(y, values[port]):
        return Finding(
            port, False, f"the output is not the input; {type(node).__name__} is {words}"
        )
    got = gradients[port]
    if got is None or not torch.equal(got, factor * u):
        told = "nothing" if got is None else f"{float((got / u).mean()):.6g} times it, on average"
        return Finding(port, False, f"backward gives {told}; it should give {factor:g} times it")
    return Finding(port, True, f"{words}, exactly")


def judged(
    name: str, tensor: Tensor, gradient: Tensor, value: Callable[[], Tensor], unused: bool
) -> Finding:
    """Some numbers of a tensor, moved one by one."""
    rows, given = tensor.detach().reshape(-1), gradient.reshape(-1)
    assert rows.data_ptr() == tensor.data_ptr(), "moving `rows` must move the tensor"
    middle = value()
    noise = NOISE * float(middle.abs().clamp_min(1))
    at = torch.randperm(len(rows))[:NUMBERS].tolist()
    told, slopes, kinks = [], [], 0
    for i in at:
        was = float(rows[i])
        rows[i] = was + EPS
        above = value()
        rows[i] = was - EPS
        below = value()
        rows[i] = was
        right, left = float(above - middle) / EPS, float(middle - below) / EPS
        if abs(right - left) > 1e-3 * max(abs(right), abs(left)) + 100 * noise:
            kinks += 1
            continue
        told.append((i, float(given[i])))
        slopes.append(float(above - below) / (2 * EPS))
    if not told:
        return Finding(name, True, f"not judged: all of its {kinks} numbers lie at kinks")
    largest = max(max(map(abs, slopes)), max(abs(g) for _, g in told))
    if 0 < largest < 3 * noise:
        return Finding(name, True, f"not judged: gradients of {largest:.0e} are lost in rounding")
    errors = [abs(g - s) for (_, g), s in zip(told, slopes)]
    allowed = [CLOSE * abs(s) + LEAST * largest + noise for s in slopes]
    over = [e / a for e, a in zip(errors, allowed)]
    worst = over.index(max(over))
    of = f"{len(told)} of {len(rows):,} numbers"
    if over[worst] <= 1:
        relative = max(errors) / largest if largest else 0.0
        told_of = "no gradient, and it needs none" if unused else f"right to {relative:.0e}"
        return Finding(name, True, f"{told_of} ({of})")
    (i, got), want = told[worst], slopes[worst]
    bad = sum(o > 1 for o in over)
    place = index_of(i, tuple(tensor.shape))
    off = f"off by {100 * errors[worst] / max(abs(want), 1e-300):.3g} %" if want else "it is not 0"
    if unused:
        return Finding(name, False, f"it gets no gradient; at {place} it is {want:.6g}")
    ratio = [g / s for (_, g), s in zip(told, slopes) if s]
    same = ratio and max(ratio) - min(ratio) < 1e-3 * abs(ratio[0])
    times = f"; all of it is {ratio[0]:.4g} times what is right" if same and len(told) > 1 else ""
    text = f"at {place} backward gives {got:.6g}, it is {want:.6g} ({off}); "
    return Finding(name, False, f"{text}{bad} of {len(told)} numbers are wrong{times}")


def index_of(flat: int, shape: tuple[int, ...]) -> str:
    """A place in a tensor, like [1, 0, 2]."""
    found = []
    for length in reversed(shape):
        flat, rest = divmod(flat, length)
        found.append(rest)
    return str(found[::-1])


def built(recipe: Recipe, package: str) -> Any:
    """The object of a Module, or the function of a Function with its arguments filled in."""

    def argument(value: Any) -> Any:
        return built(value, package) if isinstance(value, Recipe) else value

    target = package + recipe.target if recipe.target.startswith(".") else recipe.target
    path, _, name = target.rpartition(".")
    make = getattr(importlib.import_module(path), name)
    args = [argument(a) for a in recipe.args]
    kwargs = {k: argument(v) for k, v in recipe.kwargs.items()}
    if isinstance(recipe, Function):
        return lambda *inputs: make(*inputs, *args, **kwargs)
    return make(*args, **kwargs)
