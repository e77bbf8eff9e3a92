"""The Python source of a graph's parts: a class per group, the network, its data sources, slices.

Each line ends in the node and the line of the file that it comes from. A variable is set to None
after its last use, so that no activation lives longer than it must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..body import Body, Call, needed
from ..graph import GraphError, Ref, refs
from ..node import Module, Optimiser, Recipe, Schedule, Source, View
from .plan import ancestors
from .text import Lines, Names, Where, attribute, docstring, flat, nowhere, quoted

ALIASES = {"torch.nn.functional.": "F.", "torch.nn.": "nn."}


@dataclass
class Statement:
    """One assignment of a straight line: what it sets, what it reads, its text."""

    sets: tuple[str, ...]
    reads: tuple[str, ...]
    text: str
    comment: str = ""
    gradient: bool = True


class Program:
    """The source of one file, made from a body. Collects imports and group classes as it goes."""

    def __init__(self, body: Body, where: Where = nowhere, probe: bool = False) -> None:
        self.body, self.where, self.probe = body, where, probe
        self.imports: dict[str, set[str]] = {}  # module to the names taken from it
        self.classes: dict[tuple[str, str], str] = {}  # (group, text without the name) to the name
        self.class_texts: list[str] = []
        self.class_names = Names()
        self.class_names.used |= {"Network", "Slice", "Stage"}
        leaves = [leaf for call in body.calls.values() for leaf in call.leaf_calls()]
        for leaf in leaves:  # so that no group's class takes the name of something imported
            if not isinstance(leaf.node, View):
                self.expression(*self.recipe(leaf))
        self.imported = {n for names in self.imports.values() for n in names}
        self.class_names.used |= self.imported
        self.imports.clear()

    def names(self) -> Names:
        """The variables of a new function."""
        return Names(self.imported)

    # Expressions ----------------------------------------------------------------------------------

    def name_of(self, target: str, package: str) -> str:
        """A callable as it is written in the file; what is not torch's is imported."""
        for long, short in ALIASES.items():
            if target.startswith(long):
                return short + target.removeprefix(long)
        if target.startswith("."):
            target = package + target
        module, _, name = target.rpartition(".")
        if module.split(".")[0] == "torch":
            return target
        self.imports.setdefault(module, set()).add(name)
        return name

    def expression(self, recipe: Recipe, package: str, first: Iterable[str] = ()) -> str:
        """A recipe as Python."""

        def literal(value: Any) -> str:
            if isinstance(value, Recipe):
                return self.expression(value, package)
            return quoted(value)

        words = [*first, *map(literal, recipe.args)]
        words += [f"{name}={literal(value)}" for name, value in recipe.kwargs.items()]
        return f"{self.name_of(recipe.target, package)}({', '.join(words)})"

    def recipe(self, call: Call) -> tuple[Recipe, str]:
        """The recipe of a declared node, and the package that its relative names start from."""
        assert call.node is not None
        return call.node.recipe(call.at), type(call.node).__module__.rpartition(".")[0]

    def is_module(self, call: Call) -> bool:
        """Whether a call needs an object that is kept."""
        return call.body is not None or isinstance(self.recipe(call)[0], Module)

    def built(self, call: Call) -> str:
        """The expression that builds a call's module."""
        if call.body is not None:
            return f"{self.group_class(call.body)}()"
        return self.expression(*self.recipe(call))

    def applied(self, call: Call, arguments: list[str], holder: str) -> str:
        """The expression that evaluates a call on its arguments."""
        if isinstance(call.node, Source):
            return f"self.{flat(call.owner)}.draw()"
        if self.is_module(call):
            return f"{holder}{attribute(call.owner)}({', '.join(arguments)})"
        if isinstance(call.node, Schedule):
            arguments = ["t", "self.steps"] if holder == "self.net." else ["1", "1"]
        return self.expression(*self.recipe(call), first=arguments)

    def arguments(self, call: Call, variable: Callable[[Ref], str]) -> tuple[list[str], list[str]]:
        """A call's arguments in the order of its ports, and the variables among them."""
        ports = call.node.inputs if call.node is not None else call.body.inputs  # type: ignore[union-attr]
        written: list[str] = []
        reads: list[str] = []
        for port in ports:
            if port not in call.inputs:
                written.append(repr(call.literals[port]))
                continue
            source = call.inputs[port]
            found = [variable(r) for r in refs(source)]
            reads += found
            many = call.node is not None and call.node.inputs[port].many
            written.append(f"[{', '.join(found)}]" if many else found[0])
        return written, reads

    # Straight lines -------------------------------------------------------------------------------

    def line(
        self, call: Call, variables: dict[tuple[Any, str], str], key: Any, names: Names,
        variable: Callable[[Ref], str], place: tuple[str, ...], holder: str, suffix: str = "",
    ) -> Statement:  # fmt: skip
        """The statement that evaluates `call`, whose outputs become variables under `key`."""
        ports = list(call.outputs)
        for port in ports:
            wanted = call.name + suffix if len(ports) == 1 else f"{call.name}_{port}{suffix}"
            variables[key, port] = names.fresh(wanted)
        sets = tuple(variables[key, port] for port in ports)
        arguments, reads = self.arguments(call, variable)
        value = self.applied(call, arguments, holder)
        comma = "," if isinstance(call.node, Source) and len(sets) == 1 else ""
        text = f"{', '.join(sets)}{comma} = {value}"
        if self.probe:
            checks = "".join(f"; probe(self, {quoted(call.name)}, {v})" for v in sets)
            text += checks
        return Statement(sets, tuple(reads), text, self.where((*place, "nodes", call.name)))

    def write(self, lines: Lines, statements: list[Statement], keep: Iterable[str] = ()) -> None:
        """Write statements with what each sets free, those without a gradient in blocks."""
        kept = set(keep)
        last: dict[str, int] = {}
        for index, statement in enumerate(statements):
            for name in (*statement.sets, *statement.reads):
                last[name] = index
        quiet = False
        for index, statement in enumerate(statements):
            if statement.gradient == quiet:
                quiet = not statement.gradient
                if quiet:
                    lines.block("with torch.no_grad():")
                else:
                    lines.depth -= 1
            dead = dict.fromkeys(
                n for n in (*statement.reads, *statement.sets)
                if last[n] == index and n not in kept and not n.startswith("self.")
            )  # fmt: skip
            free = f"; {' = '.join(dead)} = None" if dead else ""
            lines.add(statement.text + free, statement.comment)
        if quiet:
            lines.depth -= 1

    # Classes --------------------------------------------------------------------------------------

    def constructor(self, lines: Lines, calls: Iterable[Call], place: tuple[str, ...]) -> None:
        """`__init__` with one line per module."""
        lines.block("def __init__(self) -> None:")
        lines.add("super().__init__()")
        made: set[str] = set()
        for call in calls:
            if isinstance(call.node, View) or call.owner != call.name or not self.is_module(call):
                continue
            parts = attribute(call.name).split(".")
            for n in range(1, len(parts)):
                if (holder := ".".join(parts[:n])) not in made:
                    made.add(holder)
                    lines.add(f"self.{holder} = nn.Module()")
            comment = self.where((*place, "nodes", call.name))
            lines.add(f"self.{attribute(call.name)} = {self.built(call)}", comment)
        lines.depth -= 1

    def group_class(self, body: Body) -> str:
        """The name of the class of a group at these shapes, written on first use."""
        place = ("groups", body.type)
        lines = Lines()
        lines.depth = 1
        lines.add(docstring(body.about or f"The group {body.type}."))
        lines.add()
        self.constructor(lines, body.calls.values(), place)
        lines.add()
        names = self.names()
        inputs = {name: names.fresh(name) for name in body.inputs}
        lines.block(f"def forward({', '.join(['self', *inputs.values()])}):")
        variables: dict[tuple[Any, str], str] = {}
        needed = ancestors(body, [r.node for r in body.outputs.values()])

        def variable(ref: Ref) -> str:
            if ref.node in inputs:
                return inputs[ref.node]
            return variables[ref.node, body.port(ref)]

        statements = [
            self.line(body.calls[n], variables, n, names, variable, place, "self.") for n in needed
        ]
        results = [variable(r) for r in body.outputs.values()]
        self.write(lines, statements, keep=results)
        lines.add(f"return {', '.join(results)}")
        text = "\n".join(lines.text)
        key = (body.type, text)
        if key not in self.classes:
            self.classes[key] = self.class_names.fresh(body.type)
            self.class_texts.append(f"class {self.classes[key]}(nn.Module):\n{text}\n")
        return self.classes[key]

    def network(self) -> str:
        """The class that holds all weights of the graph."""
        lines = Lines()
        lines.block("class Network(nn.Module):")
        lines.add(
            '"""All weights of the graph; the keys of its state are the names of the nodes."""'
        )
        lines.add()
        self.constructor(lines, self.held(), ())
        return "\n".join(lines.text) + "\n"

    def held(self) -> list[Call]:
        """The calls of the graph itself that are layers."""
        outside = (Source, Schedule, Optimiser, View)
        return [
            c for name in self.body.names
            if (c := self.body.calls.get(name)) and not isinstance(c.node, outside)
        ]  # fmt: skip

    def sources(self) -> str:
        """The function that makes the data sources, by name."""
        lines = Lines()
        lines.block("def make_sources() -> dict:")
        lines.add('"""The data sources by name; call `start` on each before the first draw."""')
        lines.block("return {")
        for name in self.body.names:
            call = self.body.calls.get(name)
            if call and isinstance(call.node, Source) and call.owner == name:
                comment = self.where(("nodes", name))
                lines.add(f"{quoted(name)}: {self.built(call)},", comment)
        lines.depth -= 1
        lines.add("}")
        return "\n".join(lines.text) + "\n"

    # Slices ---------------------------------------------------------------------------------------

    def slice(self, inputs: list[Ref], outputs: list[Ref]) -> str:
        """A module from some outputs of the graph to others."""
        cut = {(r.node, self.body.port(r)) for r in inputs}
        names = self.names()
        variables: dict[tuple[Any, str], str] = {}
        for ref in inputs:
            variables[ref.node, self.body.port(ref)] = names.fresh(str(ref).replace(".", "_"))
        arguments = list(variables.values())
        calls = needed(self.body, outputs, inputs)

        def variable(ref: Ref) -> str:
            return variables[ref.node, self.body.port(ref)]

        self.refuse_sources(calls, cut, outputs)
        lines = Lines()
        self.imports.setdefault("nodegraph.compiler.part", set()).add("Part")
        lines.block("class Slice(Part):")
        words = ", ".join(map(str, outputs)) + " from " + (", ".join(map(str, inputs)) or "nothing")
        lines.add(docstring(f"{words}."))
        lines.add()
        owners = dict.fromkeys(c.owner for c in calls)
        self.constructor(lines, [self.body.calls[o] for o in self.body.calls if o in owners], ())
        lines.add()
        lines.block(f"def forward({', '.join(['self', *arguments])}):")
        statements = []
        for call in calls:
            kept = {p: variables[call.name, p] for p in call.outputs if (call.name, p) in cut}
            made = self.line(call, variables, call.name, names, variable, (), "self.")
            variables |= {(call.name, p): v for p, v in kept.items()}
            statements.append(made)
        results = [variable(r) for r in outputs]
        self.write(lines, statements, keep=results)
        lines.add(f"return {', '.join(results)}")
        return "\n".join(lines.text) + "\n"

    def refuse_sources(
        self, calls: list[Call], cut: set[tuple[str, str]], outputs: list[Ref]
    ) -> None:
        """Raise GraphError when a slice would have to draw data: these must be inputs."""
        drawn = {c.name for c in calls if isinstance(c.node, Source)}
        reads = [r for c in calls for r in c.sources] + outputs
        names = {f"{r.node}.{self.body.port(r)}" for r in reads
                 if r.node in drawn and (r.node, self.body.port(r)) not in cut}  # fmt: skip
        if names:
            raise GraphError(f"the slice also needs {', '.join(sorted(names))}; add to its inputs")

    def header(self, title: str) -> str:
        """Docstring and imports of a file that runs beside nodegraph."""
        lines = [docstring(title), "", "import torch", "import torch.nn.functional as F"]
        lines += ["from torch import nn", ""]
        for module in sorted(self.imports):
            lines.append(f"from {module} import {', '.join(sorted(self.imports[module]))}")
        return "\n".join(lines) + "\n"
