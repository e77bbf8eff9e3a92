"""A node that breaks, for tests of what happens then."""

from typing import Literal

from nodegraph.node import Axes, Input, Module, Node, Output, Param, Recipe


class Breaks(Node):
    """The identity, but for one call: what happens then says `how`."""

    category = "test"
    x = Input("...")
    y = Output("...")
    at: int = Param(5, min=0, doc="the call that breaks; 0: none")
    how: Literal[
        "raise", "exit", "segv", "nan", "full", "memory", "sleep", "print", "linger", "view"
    ] = Param("raise")

    def recipe(self, at: Axes) -> Recipe:
        return Module("tests.faulty.ops.Breaks", self.at, self.how)
