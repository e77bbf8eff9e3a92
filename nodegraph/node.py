"""What a node type is: ports, parameters, a docstring, and the recipe for its PyTorch code.

A type is a class. An attribute made by `Input` or `Output` is a port, an annotated attribute is a
parameter, the docstring is the page in the manual. Everything else that the project knows of a
type (the keys in the file, the shape check, the generated source) follows from this declaration:

    class Linear(Node):
        \"\"\"Matrix product: y = x Wᵀ + b.\"\"\"
        x = Input("N D")
        y = Output("N features")
        features: int = Param(min=1)

        def recipe(self, at):
            return Module("torch.nn.Linear", at.D, self.features)

        def weights(self, at):
            return {"weight": (self.features, at.D), "bias": (self.features,)}

**Shapes** are written as named axes, `"N C H W"`: a name of an input binds the length that it
meets (the same name, the same length), a number asks for that length, `...` takes any axes that
are left. The axes of an output are looked up among the bound ones, then among the node's
parameters, then in what `sizes` returns. `""` is a scalar.

**A pyramid** is a list of images on one wire, of the kind `pyramid`. Its shape, `"L N C H W"`, is
how many levels it has, then the shape of the finest; each next one is half as high and wide
(`level_shapes`). Torch code gets and gives a tuple of tensors. Ports of other kinds refuse it.

**Recipes** name a callable of torch (`torch.nn.Conv2d`), or one beside the node's own file
(`.ops.gram.gram`, relative to that file's package), with literal arguments. The same recipe builds
the module and is printed as source, so it never holds anything that does not print.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any, ClassVar, Literal

Shape = tuple[int, ...]

KINDS = ("tensor", "image", "labels", "scalar", "loss", "pyramid")
# What an input of a kind takes beside its own: an image is a tensor, a loss is a scalar.
ACCEPTS: Mapping[str, tuple[str, ...]] = {
    "tensor": ("tensor", "image", "scalar", "loss"),
    "image": ("tensor", "image"),
    "labels": ("labels",),
    "scalar": ("scalar", "loss"),
    "loss": ("loss", "scalar", "tensor"),
    "pyramid": ("pyramid",),
}


class Mismatch(ValueError):
    """Shapes that do not fit a node; the text names both shapes, `cure` the likely repair."""

    def __init__(self, text: str, cure: str = "") -> None:
        super().__init__(text)
        self.cure = cure


@dataclass(frozen=True)
class Input:
    """A port that takes a value. With a `default` it may stay unlinked, and shows a widget.

    `many` takes any number of links (at least one), as a list. `logits` says that the port expects
    values before a sigmoid or softmax. An `optional` one of a view may stay unlinked: it is None,
    or of `many` an empty list.
    """

    shape: str = "..."
    default: float | None = None
    kind: str = "tensor"
    many: bool = False
    min: float = -math.inf
    max: float = math.inf
    logits: bool = False
    optional: bool = False
    doc: str = ""

    @property
    def needed(self) -> bool:
        """Whether it must be linked."""
        return self.default is None and not self.optional


@dataclass(frozen=True)
class Output:
    """A port that gives a value. `classes`: how many classes its labels have, or the parameter."""

    shape: str = "..."
    kind: str = "tensor"
    classes: int | str = 0
    doc: str = ""


def Param(  # noqa: N802 - reads as the declaration that it is
    default: Any = MISSING,
    *,
    min: float = -math.inf,
    max: float = math.inf,
    unit: str = "",
    was: str = "",
    doc: str = "",
) -> Any:
    """A parameter's range, unit, help and old name (`was`), for `name: type = Param(...)`."""
    about = {"min": min, "max": max, "unit": unit, "was": was, "doc": doc}
    return field(default=default, metadata=about, kw_only=True)


class Nodes(tuple[str, ...]):
    """The type of a parameter that names other nodes of the same graph (an optimiser's `over`)."""


class Text(str):
    """The type of a parameter that is any text: the widget is a text field."""


class FilePath(Text):
    """The type of a parameter that names a file, which the editor lets people browse for."""


class FolderPath(Text):
    """The type of a parameter that names a folder, which the editor lets people browse for."""


class Recipe:
    """A callable's dotted name and its literal arguments."""

    def __init__(self, target: str, *args: Any, **kwargs: Any) -> None:
        self.target, self.args, self.kwargs = target, args, kwargs

    def __repr__(self) -> str:
        words = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return f"{self.target}({', '.join(words)})"


class Module(Recipe):
    """Builds an object that is kept (weights, buffers, a data source, an optimiser)."""


class Function(Recipe):
    """Is called on the inputs, in the order of the ports, then on its literal arguments."""


@dataclass(frozen=True)
class Setting:
    """One thing a person sets on a node: a parameter, or an unlinked input with a default."""

    name: str
    type: Any
    default: Any  # MISSING when it must be given
    min: float = -math.inf
    max: float = math.inf
    unit: str = ""
    was: str = ""
    doc: str = ""

    @property
    def choices(self) -> tuple[Any, ...]:
        """The allowed values of a `Literal`, or ()."""
        return typing.get_args(self.type) if typing.get_origin(self.type) is Literal else ()

    def coerce(self, value: Any) -> Any:
        """`value` as this setting's type. Raises ValueError with what was expected."""
        result = _coerce(self.type, value)
        if result is None:
            raise ValueError(f"expects {describe(self.type)}, not {value!r}")
        for number in result if isinstance(result, tuple) else (result,):
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"expects a finite number, not {value!r}")
            if isinstance(number, (int, float)) and not self.min <= number <= self.max:
                raise ValueError(f"expects {self.range}, not {value!r}")
        return result

    @property
    def range(self) -> str:
        """The range in words."""
        low, high = f"{self.min:.12g}", f"{self.max:.12g}"
        if math.isinf(self.max):
            return f"at least {low}"
        return f"at most {high}" if math.isinf(self.min) else f"{low} to {high}"


def _coerce(type_: Any, value: Any) -> Any:
    """`value` as `type_`, or None. Widens int to float; never narrows, never parses text."""
    origin, args = typing.get_origin(type_), typing.get_args(type_)
    if origin is Literal:
        exact = (c for c in args if c == value and type(c) is type(value))
        return next(exact, None)
    if origin in (types.UnionType, typing.Union):
        return next((r for a in args if (r := _coerce(a, value)) is not None), None)
    if type_ is Nodes or origin is tuple:
        if not isinstance(value, (list, tuple)):
            return None
        items = tuple(_coerce(str if type_ is Nodes else args[0], v) for v in value)
        return None if None in items or not items else items
    if type_ is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else None
    if type_ in (str, Text, FilePath, FolderPath):
        return value if isinstance(value, str) else None
    return value if type(value) is type_ else None


def describe(type_: Any) -> str:
    """A parameter's type in words."""
    origin, args = typing.get_origin(type_), typing.get_args(type_)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (types.UnionType, typing.Union):
        return " or ".join(describe(a) for a in args)
    if type_ is Nodes:
        return "a list of node names"
    if origin is tuple:
        return f"a list, each {describe(args[0])}"
    words = {int: "a whole number", float: "a number", bool: "true or false"}
    return words.get(type_, "a text")


class Node:
    """The base of all declarations. An instance is a node with its parameters set."""

    category: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()  # search words: the lecture's, other libraries'
    was: ClassVar[tuple[str, ...]] = ()  # former names of the type, so that old files load
    inputs: ClassVar[dict[str, Input]] = {}
    outputs: ClassVar[dict[str, Output]] = {}
    settings: ClassVar[dict[str, Setting]] = {}
    squashes: ClassVar[bool] = False  # a sigmoid or softmax: must not feed a loss on logits
    gives: ClassVar[str] = ""  # the interval that its output lies in: "0..1" or "-1..1"
    passes: ClassVar[bool] = False  # its output has the values of its first input
    normalises_batch: ClassVar[bool] = False  # statistics over the batch: needs more than one
    stops_gradient: ClassVar[bool] = False  # nothing flows back through it
    reverses_gradient: ClassVar[bool] = False  # what flows back through its first input is negated
    classes_from: ClassVar[str] = ""  # the axis or parameter that has room for each class
    gradient_times: ClassVar[str] = ""  # "-strength": its gradient is not of its value, but that
    stateful: ClassVar[bool] = False  # draws random numbers or moves buffers when it is called
    compares: ClassVar[tuple[str, ...]] = ()  # inputs that it measures the distance between
    distance: ClassVar[bool] = False  # its output is an error: of 0, or further from it
    scales_by: ClassVar[str] = ""  # the input that its first input is multiplied by
    undoes_with: ClassVar[str] = ""  # the parameter that must be that of what it undoes
    mixes: ClassVar[tuple[str, ...]] = ()  # inputs of one kind that its output is a mixture of
    margin_in: ClassVar[str] = ""  # the input that its first input is to reach, but not to exceed

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True)(cls)
        members = {k: v for c in reversed(cls.__mro__) for k, v in vars(c).items()}
        cls.inputs = {k: v for k, v in members.items() if isinstance(v, Input)}
        cls.outputs = {k: v for k, v in members.items() if isinstance(v, Output)}
        hints = typing.get_type_hints(cls)
        cls.settings = {
            f.name: Setting(f.name, hints[f.name], f.default, **f.metadata)
            for f in dataclasses.fields(cls)  # type: ignore[arg-type]
        } | {
            name: Setting(name, float, port.default, port.min, port.max, doc=port.doc)
            for name, port in cls.inputs.items()
            if port.default is not None
        }

    # What a declaration may say -----------------------------------------------------------------

    def recipe(self, at: Axes) -> Recipe:
        """The torch code of this node, given the bound axes."""
        raise NotImplementedError(f"{type(self).__name__} declares no recipe")

    def sizes(self, at: Axes) -> dict[str, int]:
        """Lengths of the output axes that are neither bound by an input nor a parameter."""
        return {}

    def shapes(self, inputs: Mapping[str, Any]) -> dict[str, Shape]:
        """Output shapes by port, from input shapes by port (a list of shapes where `many`)."""
        at = self.bind(inputs)
        return {name: self.shape_of(port, at) for name, port in self.outputs.items()}

    def weights(self, at: Axes) -> dict[str, Shape]:
        """The trainable tensors of the module: name to shape."""
        return {}

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        """Multiplications of one forward pass, where they dominate; `out` is the first output."""
        return 0

    def gathers(self, at: Axes) -> float:
        """If each number of the output is a mean of the first input's, times what; else 0."""
        return 0.0

    def kernel_widths(self) -> tuple[float, ...]:
        """The squared distances between examples that its kernels are made for."""
        return ()

    def kernel_for(self, squared: float) -> str:
        """The setting that makes a kernel for such a squared distance."""
        return ""

    def caution(self) -> tuple[str, str] | None:
        """What torch takes without complaint but is rarely meant, and the cure."""
        return None

    def agree(self, numbers: Mapping[str, float]) -> None:
        """Raises ValueError when numbers at unlinked inputs do not go with the parameters."""

    # What follows from it -----------------------------------------------------------------------

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        """The named axes of all inputs, checked against each other. Raises Mismatch."""
        return bind(self.inputs, inputs)

    def shape_of(self, port: Output, at: Axes) -> Shape:
        """The shape of an output, from bound axes, parameters and `sizes`."""
        found = {**vars(at), **self.sizes(at)}
        shape: list[int] = []
        for axis in port.shape.split():
            if axis == "...":
                shape += at.rest
            elif axis.isdigit():
                shape.append(int(axis))
            else:
                shape.append(found[axis] if axis in found else getattr(self, axis))
        return tuple(shape)

    def changed(self, *names: str) -> dict[str, Any]:
        """Those of the parameters `names` that differ from their defaults, as keyword arguments."""
        values = ((n, getattr(self, n)) for n in names)
        return {n: v for n, v in values if v != self.settings[n].default}


class Axes(types.SimpleNamespace):
    """The lengths that the named axes of the inputs met: `at.C`; `at.rest` for `...`."""

    rest: Sequence[int] = ()

    def __getattr__(self, name: str) -> int:  # for type checkers: axes are integers
        raise AttributeError(f"no input binds an axis {name!r}")


def bind(ports: Mapping[str, Input], shapes: Mapping[str, Any]) -> Axes:
    """The named axes of `ports`, given the shape (or list of shapes) at each. Raises Mismatch."""
    at = Axes()
    for name, port in ports.items():
        if name in shapes:
            for shape in shapes[name] if port.many else [shapes[name]]:
                _match(f"{name} expects", port, shape, at)
    return at


def _match(who: str, port: Input, shape: Shape, at: Axes) -> None:
    """Bind the axes of a port to `shape`. Raises Mismatch."""
    spec, given = port.shape, show(shape, port.kind)
    axes = spec.split()
    head = axes.index("...") if "..." in axes else len(axes)
    tail = len(axes) - head - 1
    if len(shape) < len(axes) - 1 or ("..." not in axes and len(shape) != len(axes)):
        wanted = spec or "a scalar"
        raise Mismatch(f"{who} {wanted}, gets {given}", _rank_cure(axes, shape))
    if "..." in axes:
        rest = tuple(shape[head : len(shape) - tail])
        if "rest" in vars(at) and at.rest != rest:
            raise Mismatch(
                f"{who} the axes {show(at.rest)} of the other input, gets {given}",
                "the inputs must have the same shape; look at the layer that changed it",
            )
        at.rest = rest
        pairs = [*zip(axes[:head], shape), *zip(axes[head + 1 :], shape[len(shape) - tail :])]
    else:
        pairs = list(zip(axes, shape))
    for axis, length in pairs:
        want = int(axis) if axis.isdigit() else vars(at).setdefault(axis, length)
        if want != length:
            other = "" if axis.isdigit() else " as the other input has"
            raise Mismatch(f"{who} {spec} with {axis} = {want}{other}, gets {given}")


def _rank_cure(axes: Sequence[str], shape: Shape) -> str:
    if len(axes) == 2 and len(shape) > 2:
        return "put Flatten between"
    if len(axes) == 4 and len(shape) == 2:
        return "put Reshape between"
    if not axes:
        return "put Mean between"
    return f"it has {len(shape)} axes, {len(axes)} are wanted"


def show(shape: Sequence[int], kind: str = "tensor") -> str:
    """A shape as people write it: 64×32×7×7; of a pyramid, 5 levels of 1×3×129×129."""
    if kind == "pyramid" and shape:
        return f"{shape[0]} level{'s' if shape[0] > 1 else ''} of {show(shape[1:])}"
    return "×".join(map(str, shape)) if shape else "a scalar"


def half(length: int) -> int:
    """The height or width of the next level of a pyramid."""
    return (length + 1) // 2


def level_shapes(shape: Shape) -> Iterator[Shape]:
    """The shapes of a pyramid's levels, L N C H W, from the finest to the coarsest."""
    count, *rest, high, wide = shape
    for _ in range(count):
        yield (*rest, high, wide)
        high, wide = half(high), half(wide)


def axis_names(spec: str) -> list[str]:
    """The words of a shape. Raises ValueError when it is not one."""
    axes = spec.split()
    if axes.count("...") > 1 or not all(re.fullmatch(r"\.\.\.|\d+|[A-Za-z]\w*'?", a) for a in axes):
        raise ValueError(f"{spec!r} is not a shape: write axes as names or numbers, like N C H W")
    return axes


# Roles -------------------------------------------------------------------------------------------


class Source(Node):
    """A node without inputs whose values are drawn: data, noise, a picture.

    The recipe builds an object with the methods of `nodes/ops/source.py`. A source that is `fixed`
    gives the same value at every draw, so what depends on it alone is computed once.
    """

    category = "sources"
    fixed: ClassVar[bool] = False


class Schedule(Node):
    """A number that follows training.

    The recipe is a Function called as f(step, steps, *arguments), with the step of this stage.
    """

    category = "schedules"
    value = Output("", kind="scalar")


class Loss(Node):
    """A scalar to be minimised, the sum or mean that `reduction` says."""

    category = "losses"


class Metric(Node):
    """A number to watch, averaged over the held-out data (`total`: summed).

    One of examples `together` is no mean over batches, like a covariance: it is taken of up to 1000
    held-out examples at once.
    """

    category = "metrics"
    stops_gradient = True
    total: ClassVar[bool] = False
    together: ClassVar[bool] = False
    low_is_good: ClassVar[bool] = False


class View(Node):
    """A picture of what flows into it, drawn now and then while the graph trains.

    It is evaluated on held-out data, in evaluation mode and without a gradient unless it says
    `gradient`; the code that trains does not contain it. The recipe is a Function of the inputs'
    tensors (or lists of them) that returns a picture, a uint8 array H W 3, or a pair of it and a
    dict of numbers and texts about it. It must not change its inputs in place, and draws something
    for any values: infinite ones, or none. If the function has a keyword of these names, it gets

    - `names`: a list of texts, what is linked to the first input;
    - `memory`: a dict, the same at each tick of a run, empty at the first;
    - `weights`: pairs of a name and a tensor, all weights of the nodes in the parameter `of`;
    - `past`: by name the steps and the values of the losses and metrics that the run has recorded;
    - `step`: how many steps of the run are done;
    - `clock`: for the values in `past` how many seconds the stage's steps before them took;
    - `seconds`: how long one example of the input that `timed` names takes to compute;
    - `theme`: "dark" or "light", the ground that the picture is looked at on.
    """

    category = "views"
    stops_gradient = True
    gradient: ClassVar[bool] = False
    timed: ClassVar[str] = ""  # the input whose computation is timed
    each_step: ClassVar[str] = ""  # a function of the inputs' tensors and `memory`, for cheap ones
    size: int = Param(256, min=64, max=1024, unit="px", doc="the width of the picture, about")

    def examples(self, links: int) -> int:
        """How many examples it can make use of, if its first input has so many links."""
        return 16

    def bind(self, inputs: Mapping[str, Any]) -> Axes:
        """The axes of the inputs of one link; those of a `many` port need not agree."""
        for name, port in self.inputs.items():
            for shape in inputs.get(name, ()) if port.many else ():
                bind({name: dataclasses.replace(port, many=False)}, {name: shape})
        return bind({k: p for k, p in self.inputs.items() if not p.many}, inputs)


class Optimiser(Node):
    """Minimises the sum of the losses that flow into it, by moving the weights of `over`.

    The recipe is a Module built from the list of parameters; an input of the same name as an
    option of its parameter groups (`lr`) is set before each update. `closure` says that one update
    evaluates the loss several times, `clip_norm` how long the gradient may be where it is not 0.
    """

    category = "optimisers"
    closure: ClassVar[bool] = False
    clip_norm = 0.0
    loss = Input("", kind="loss", many=True)
    over: Nodes = Param(doc="the nodes whose weights it moves")


class Layer(Node):
    """A node written out, as the lecture's `Layer`: its own forward and its own backward.

        class Linear(Layer):
            \"\"\"y = x Wᵀ.\"\"\"
            x = Input("N D")
            y = Output("N features")
            features: int = Param(8, min=1, max=4096)

            def weights(self, at):
                return {"w": (self.features, at.D)}

            def forward(self, x, w):
                return x @ w.T

            def backward(self, dy, x, w, y):
                return dy @ w, dy.T @ x  # dx, dw

    `forward` gets the inputs in the order of the ports, then the weights, and returns the output.
    `backward` gets the gradient of the output, all that forward had, and the output; it returns
    dzdx for each input and dzdw for each weight, in their order, None for what has no gradient.
    What needs torch imports it inside of the methods. Weights are drawn as those of torch's layers,
    uniformly within 1/√(inputs of one output of the first).
    """

    category = "own layers"

    def forward(self, *values: Any) -> Any:
        """The output."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, dy: Any, *values: Any) -> Any:
        """The gradients of the inputs and weights; the last of `values` is the output."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def recipe(self, at: Axes) -> Recipe:
        """The layer in a torch module, which holds its weights."""
        declared = type(self)
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(declared)}  # type: ignore[arg-type]
        layer = Module(f"{declared.__module__}.{declared.__name__}", **given)
        weights = tuple(self.weights(at).items())
        return Module("nodegraph.nodes.ops.layer.Written", layer, weights)
