"""A body with its groups unfolded: every inner value has a name of its own, and can be asked for.

An inner call is named `group.node`, as the network holds its module, so a slice of an unfolded body
runs on the network that trains. People write it `group/node`, which can't be taken for a port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .body import Body, Call, Value
from .graph import Graph, GraphError, Ref, Source, refs, substitute
from .library import near
from .node import Function, Input, Node, Optimiser, Output, Recipe, Schedule, View

TAP = "@"  # in front of the name of a tap


class Tap(Node):
    """The identity: the gradient through one link apart from that through the others.

    Any shape, or a pyramid.
    """

    x = Input()
    y = Output()

    def recipe(self, at: object) -> Recipe:
        """A view of x."""
        return Function("nodegraph.nodes.ops.reversal.tap")


@dataclass(frozen=True)
class Unfolded:
    """`at` says which output a port of a node or group is; `links` which output each tap reads."""

    body: Body
    at: Mapping[tuple[str, str], Ref]
    paths: Mapping[str, str]  # calls, groups among them, as people write them
    owners: Mapping[str, str]  # calls, groups among them, to those that hold their weights
    links: Mapping[str, Ref]  # name of a tap to what it reads
    places: Mapping[str, tuple[str, ...]]  # calls to where they stand in the file

    def find(self, text: str) -> Ref:
        """The output that is written as "node", "node.port" or "group/node.port".

        Raises GraphError.
        """
        names = {path: name for name, path in self.paths.items()}
        for node, port in ((text, ""), text.rpartition(".")[::2]):
            name = names.get(node)
            if name is None:
                continue
            ports = [p for n, p in self.at if n == name]
            if port in ports or (not port and len(ports) == 1):
                return self.at[name, port or ports[0]]
            known = ", ".join(f"{node}.{p}" for p in ports) or "none"
            raise GraphError(f"{text!r} is no output of {node}; it has {known}")
        raise GraphError(f"no node {text!r} to look at{near(text, names)}")

    def over(self, update: Call) -> tuple[str, ...]:
        """The nodes and groups that hold the weights which an update moves."""
        assert isinstance(update.node, Optimiser)
        return tuple(self.owners.get(n, n) for n in update.node.over)

    def path(self, name: str) -> str:
        """A call or tap as people write it: `group/node`, of a tap `group/node.port`."""
        if name.startswith(TAP):
            node, _, port = name.removeprefix(TAP).rpartition(".")
            return f"{self.paths.get(node, node)}.{port}"
        return self.paths.get(name, name)


def unfold(body: Body, graph: Graph | None = None, taps: bool = False) -> Unfolded:
    """All calls of declared nodes, at any depth of groups, in one body.

    With the `graph`, groups that hold sources can be asked for too, though they are no calls. With
    `taps` there is one on each link between layers, also on those into a group.
    """
    walk = _Walk(taps)
    walk.body(body, "", "", "", {}, False, graph, ())
    if graph is not None:
        walk.dissolved(graph)
    flat = Body(body.type, body.about, walk.calls, tuple(walk.calls))
    return Unfolded(flat, walk.at, walk.paths, walk.owners, walk.links, walk.places)


class _Walk:
    def __init__(self, taps: bool) -> None:
        self.taps = taps
        self.calls: dict[str, Call] = {}
        self.at: dict[tuple[str, str], Ref] = {}
        self.paths: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.links: dict[str, Ref] = {}
        self.places: dict[str, tuple[str, ...]] = {}

    def body(
        self, body: Body, before: str, path: str, owner: str, given: Mapping[str, Ref],
        frozen: bool, graph: Graph | None, where: tuple[str, ...],
    ) -> None:  # fmt: skip
        """Unfold the calls of a body whose names start with `before`."""

        def found(ref: Ref) -> Ref:
            if ref.node in given:
                return given[ref.node]
            return self.at[before + ref.node, body.port(ref)]

        for name, call in body.calls.items():
            full = before + name
            written = name in graph.nodes if graph else True  # else a dissolved group is around it
            self.paths[full] = path + (name if written else name.replace(".", "/"))
            self.owners[full] = owner + call.owner
            self.places[full] = (*where, "nodes", name)
            tapped = self.taps and not isinstance(call.node, (Optimiser, View))
            inputs: dict[str, Source] = {}
            for port, source in call.inputs.items():
                many = not isinstance(source, Ref)
                ends = [found(r) for r in refs(source)]
                if tapped:
                    names = [f"{full}.{port}[{i}]" if many else f"{full}.{port}"
                             for i in range(len(ends))]  # fmt: skip
                    ends = [self.tap(n, end) for n, end in zip(names, ends, strict=True)]
                inputs[port] = tuple(ends) if many else ends[0]
            if call.body is None:
                own = self.owners[full]
                still = frozen or call.frozen
                self.calls[full] = replace(call, name=full, owner=own, inputs=inputs, frozen=still)
                self.at |= {(full, port): Ref(full, port) for port in call.outputs}
                continue
            inner = {port: source for port, source in inputs.items() if isinstance(source, Ref)}
            around = (f"{full}.", f"{self.paths[full]}/", f"{self.owners[full]}.")
            place = ("groups", call.body.type)
            self.body(call.body, *around, inner, frozen or call.frozen, None, place)
            for port, ref in call.body.outputs.items():
                if ref.node in inner:
                    self.at[full, port] = inner[ref.node]
                else:
                    self.at[full, port] = self.at[f"{full}.{ref.node}", call.body.port(ref)]

    def tap(self, name: str, end: Ref) -> Ref:
        """The output of a tap on what flows from `end`; `end` where no gradient could."""
        source = self.calls[end.node]
        value = source.outputs[end.port]
        if value.kind == "labels" or isinstance(source.node, Schedule):
            return end
        name = TAP + name
        self.links[name] = end
        given = Value(value.shape, "pyramid" if value.kind == "pyramid" else "tensor")
        self.calls[name] = Call(name, name, {"x": end}, {}, {"y": given}, Tap())
        return Ref(name, "y")

    def dissolved(self, graph: Graph) -> None:
        """Name the outputs of groups that hold sources: their nodes stand in the body itself."""
        for name in graph.nodes:
            group = graph.groups.get(str(substitute(graph.entry(name).type, graph.params)))
            if name in self.paths or group is None:
                continue
            self.paths[name] = name
            for port, ref in group.outputs.items():
                for end in self.ends(f"{name}.{ref.node}", ref.port):
                    self.at[name, port] = end

    def ends(self, name: str, port: str) -> Iterator[Ref]:
        """The output at a port, the only one if it is not named."""
        known = [p for n, p in self.at if n == name]
        if port in known or (not port and len(known) == 1):
            yield self.at[name, port or known[0]]
