"""The manual: a node type's page, made from its declaration."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Iterator
from dataclasses import MISSING

from .graph import GraphError
from .node import Input, Node, Output, describe


def page(declared: type[Node], name: str) -> str:
    """All that a declaration says of a type, as text."""
    return "\n".join(_lines(declared, name))


def _lines(declared: type[Node], name: str) -> Iterator[str]:
    yield f"{name}  ({declared.category})"
    yield ""
    yield from inspect.cleandoc(declared.__doc__ or "").splitlines()
    for title, ports in (("Inputs", declared.inputs), ("Outputs", declared.outputs)):
        if ports:
            yield ""
            yield title
            for port, about in ports.items():
                yield f"  {port:<14} {_port(about)}"
    if declared.settings:
        yield ""
        yield "Parameters"
        for setting in declared.settings.values():
            default = "required" if setting.default is MISSING else f"default {setting.default!r}"
            unit = f" {setting.unit}" if setting.unit else ""
            doc = f"; {setting.doc}" if setting.doc else ""
            yield f"  {setting.name:<14} {describe(setting.type)}{unit}, {default}{doc}"
    if declared.aliases:
        yield ""
        yield f"Also found as: {', '.join(declared.aliases)}"


def _port(port: Input | Output) -> str:
    shape = {"": "a scalar", "...": "any shape"}.get(port.shape, port.shape)
    many = ", any number of links" if isinstance(port, Input) and port.many else ""
    default = ""
    if isinstance(port, Input) and port.default is not None:
        default = f", or the number {port.default:g} when it is not linked"
    if isinstance(port, Input) and port.optional:
        default = ", may stay unlinked"
    doc = f"; {port.doc}" if port.doc else ""
    return f"{shape} ({port.kind}){many}{default}{doc}"


TEMPLATE = '''"""Node types of my own. Open them with: nodegraph edit --nodes FOLDER"""

from nodegraph.node import Input, Layer, Output, Param


class NAME(Layer):
    """A gain for each feature: y = strength · gain · x.

    N D → N D. This line and what follows is its page in the manual.
    """

    x = Input("N D")  # axes have names; the same name has the same length
    y = Output("N D")
    strength: float = Param(1.0, doc="a number that a person sets")

    def weights(self, at):
        return {"gain": (at.D,)}  # what is trained, by its shape

    def forward(self, x, gain):  # the inputs, then the weights
        return self.strength * gain * x

    def backward(self, dy, x, gain, y):  # the gradient of y, all that forward had, and y
        dx = self.strength * gain * dy
        dgain = (self.strength * x * dy).sum(0)
        return dx, dgain  # for each input, then for each weight; None for what has none
'''


def template(name: str) -> str:
    """A node file to begin with, that declares one type. Raises GraphError for what is no name."""
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise GraphError(f"{name!r} can't be the name of a type; write it like MyLayer")
    return TEMPLATE.replace("NAME", name)
