"""From a graph to its body: types resolved, calls in order, the shape of every value.

Nothing here needs torch, so a graph is checked in milliseconds and a layer of 10⁹ channels is a
message, not a crash: sizes are multiplied as Python integers. That the declared shapes are those of
torch is held by a test over all node types.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import edits, groups, own
from .body import FLOAT, Body, Call, Value, memory
from .graph import Entry, Graph, GraphError, Ref, Reference, Source, is_frozen, refs, substitute
from .library import Library, near
from .node import ACCEPTS, Axes, Input, Mismatch, Node, Output, Shape, axis_names, bind, show
from .problem import Problem, error
from .scope import Scope

LARGEST = 1 << 40  # bytes of one tensor: 1 TiB
# Where kinds do not fit: what a value of a kind is made into, and what a port of a kind is fed by.
OUT_OF = {
    "labels": "put OneHot between",
    "pyramid": "put PyramidLevel, which takes one of its levels, between",
}
INTO = {"pyramid": "put GaussianPyramid or LaplacianPyramid between"}


# A memo holds what was inferred for (an entry, the groups, its parameters, its inputs), with the
# objects whose ids are in the key, so that no other takes these. An edit makes one new entry.
Memo = dict[Any, tuple[Any, Any]]


def infer(
    graph: Graph, library: Library, memo: Memo | None = None, given: Mapping[Ref, Shape] = {},
) -> tuple[Body, list[Problem]]:  # fmt: skip
    """The body of a graph whose preset is chosen, and what is wrong with its links and shapes.

    Calls that can't be resolved are left out of the body, and so is what depends on them. `given`
    are outputs, with their ports, that have other shapes than their nodes give them.
    """
    problems: list[Problem] = []
    flat = dissolve(edits.passed_by(graph, Scope(library)), library)
    body = _Walk(library, graph.groups, problems, {} if memo is None else memo, given).body(
        "", flat, {}, flat.params, ()
    )
    return body, problems


ROLES_OUTSIDE = ("sources", "schedules", "optimisers", "metrics")


def dissolve(graph: Graph, library: Library) -> Graph:
    """`graph` without the groups that hold sources, schedules, optimisers or metrics: their nodes
    stand in the graph itself, as `group.node`. What is left can be a module of its own."""

    def impure(type_: Any, seen: tuple[str, ...] = ()) -> bool:
        if isinstance(type_, Reference):
            type_ = graph.params.get(type_.name)
        if type_ in library and type_ not in graph.groups:
            return library[type_].category in ROLES_OUTSIDE
        if type_ not in graph.groups or type_ in seen:
            return False
        inner = graph.groups[type_].nodes.values()
        return any(impure(e.type, (*seen, type_)) for e in inner if not e.shares)

    done = not graph.groups
    while not done:
        done = True
        for name, entry in graph.nodes.items():
            type_ = substitute_or_none(entry.type, graph.params)
            if not entry.shares and type_ in graph.groups and impure(type_):
                graph = groups.inline(graph, name, "{}.{}".format, Scope(library))
                done = False
                break
    return graph


def substitute_or_none(value: Any, params: Mapping[str, Any]) -> Any:
    """`substitute`, with None for a name that is not declared."""
    try:
        return substitute(value, params)
    except GraphError:
        return None


def has_reference(value: Any) -> bool:
    """Whether a value is or holds a `$name`."""
    if isinstance(value, (list, tuple)):
        return any(map(has_reference, value))
    return isinstance(value, Reference)


@dataclass
class _Walk:
    library: Library
    groups: Mapping[str, Graph]
    problems: list[Problem]
    memo: Memo
    given: Mapping[Ref, Shape]

    def body(
        self, type_: str, graph: Graph, inputs: Mapping[str, Value], params: Mapping[str, Any],
        inside: tuple[str, ...],
    ) -> Body:  # fmt: skip
        """Resolve all nodes of a graph or group. `inside` are the groups around it."""
        where = ("groups", type_) if inside else ()
        graph = edits.passed_by(graph, Scope(self.library, self.groups))
        linked: dict[str, dict[str, Source]] = {name: {} for name in graph.nodes}
        for to, source in graph.links.items():
            linked.setdefault(to.node, {})[to.port] = source
        order, loop = in_order(graph, linked)
        if loop:
            path = " → ".join(loop)
            self.problems.append(
                error((*where, "nodes", loop[0]), f"a loop: {path}", "remove one of these links")
            )
        calls: dict[str, Call] = {}
        about = graph.meta.get("about", "")
        body = Body(type_, about, calls, tuple(graph.nodes), inputs, graph.outputs)
        for name in order:
            place = (*where, "nodes", name)
            call = self.call(graph, body, name, linked[name], params, place, inside)
            if call is not None:
                calls[name] = call if inside else self.as_given(call)
        self.compare_shared(body, where)
        for port, ref in graph.outputs.items():
            if ref.node in graph.nodes or ref.node in inputs:
                continue
            known = near(ref.node, [*graph.nodes, *inputs])
            self.problems.append(
                error((*where, "outputs", port), f"output {port} is from {ref.node}, "
                      f"which is not in the group{known}")
            )  # fmt: skip
        return body

    def as_given(self, call: Call) -> Call:
        """A call of the graph itself whose outputs have the shapes that are given."""
        shapes = {p: s for p in call.outputs if (s := self.given.get(Ref(call.name, p)))}
        if not shapes:
            return call
        changed = {p: v._replace(shape=shapes.get(p, v.shape)) for p, v in call.outputs.items()}
        return replace(call, outputs=changed)

    def call(
        self, graph: Graph, body: Body, name: str, linked: Mapping[str, Source],
        params: Mapping[str, Any], place: tuple[str, ...], inside: tuple[str, ...],
    ) -> Call | None:  # fmt: skip
        """One node, resolved; None when it, or something before it, can't be."""
        owner = graph.owner(name)
        entry = graph.nodes.get(owner)
        if entry is None or entry.shares:
            what = "shares itself" if entry else f"shares {owner}, which does not exist"
            self.problems.append(error((*place, "shares"), what, "name a node that has a type"))
            return None
        values = self.gather(graph, body, linked, place)
        if values is None:
            return None
        type_: Any = entry.type
        given: Mapping[str, Any] = entry.params
        file: Any = entry.weights
        frozen = entry.frozen is True
        settled: tuple[Any, ...] = ()
        if self.refers(entry):
            type_ = substitute_or_none(entry.type, params)
            given = {k: substitute_or_none(v, params) for k, v in entry.params.items()}
            file, frozen = substitute_or_none(entry.weights, params), is_frozen(entry, params)
            settled = (type_, file, frozen, *given.items())
        key = (id(entry), name, inside, settled, *values.items())
        if type_ in self.groups:
            key = (*key, id(self.groups))
        found = self.memo.get(key)
        if found is not None:
            call = found[1]
            return call if call.inputs == linked else replace(call, inputs=linked)
        before = len(self.problems)
        if type_ in self.groups:
            call = self.group_call(type_, given, values, place, inside)
        elif type_ in self.library:
            call = self.node_call(self.library[type_], given, values, place)
        else:
            return None  # an unknown type: a problem of the entry, reported by `settings`
        if call is None:
            return None
        call = replace(
            call, name=name, owner=owner, inputs=linked, frozen=frozen,
            file=file if isinstance(file, str) else "",
        )  # fmt: skip
        if len(self.problems) == before:
            self.memo[key] = ((entry, self.groups), call)
        return call

    def refers(self, entry: Entry) -> bool:
        """Whether an entry refers to parameters around it."""
        found = self.memo.get(id(entry))
        if found is None:
            words = [entry.type, entry.weights, entry.frozen, *entry.params.values()]
            found = self.memo[id(entry)] = (entry, any(map(has_reference, words)))
        return found[1]

    def gather(
        self, graph: Graph, body: Body, linked: Mapping[str, Source], place: tuple[str, ...]
    ) -> dict[str, Any] | None:
        """The value (or, for many links, the tuple of values) at each linked input."""
        values: dict[str, Any] = {}
        for port, source in linked.items():
            found = [self.value_at(graph, body, ref, port, place) for ref in refs(source)]
            if None not in found:
                values[port] = found[0] if isinstance(source, Ref) else tuple(found)
        return values if len(values) == len(linked) else None

    def value_at(
        self, graph: Graph, body: Body, ref: Ref, port: str, place: tuple[str, ...]
    ) -> Value | None:
        """The value at the other end of a link; None when it can't be known."""
        call = body.calls.get(ref.node)
        if call is not None:
            value = _pick(call, ref.port)
            if isinstance(value, Value):
                return value
            self.problems.append(error((*place, "in", port), f"{port} {value}"))
        elif ref.node in body.inputs:
            return body.inputs[ref.node]
        elif ref.node not in graph.nodes:
            known = near(ref.node, [*graph.nodes, *body.inputs])
            text = f"{port} comes from {ref.node}, which does not exist{known}"
            self.problems.append(error((*place, "in", port), text))
        return None

    def node_call(
        self, declared: type[Node], given: Mapping[str, Any], values: Mapping[str, Any],
        place: tuple[str, ...],
    ) -> Call | None:  # fmt: skip
        """A node of the library, with parameters and shapes checked."""
        names = {k: v for k, v in given.items() if k in declared.settings}
        try:
            set_ = {k: declared.settings[k].coerce(v) for k, v in names.items()}
        except ValueError:
            return None  # a problem of the entry, reported by `settings`
        try:
            node = declared(**{k: v for k, v in set_.items() if k not in declared.inputs})
        except TypeError:
            return None  # a parameter is missing: likewise
        except ValueError as wrong:  # parameters that do not go together
            self.problems.append(error(place, str(wrong)))
            return None
        values = {
            name: (value,) if name in declared.inputs and declared.inputs[name].many
            and isinstance(value, Value) else value
            for name, value in values.items()
        }  # fmt: skip
        if not self.fits(declared.inputs, values, place):
            return None
        try:
            shapes_in = {
                p: v.shape if isinstance(v, Value) else [w.shape for w in v]
                for p, v in values.items()
            }
            shapes = node.shapes(shapes_in)
            at = node.bind(shapes_in)
            weights = node.weights(at)
        except Mismatch as wrong:
            self.problems.append(error(place, str(wrong), wrong.cure))
            return None
        except Exception as wrong:
            if declared.__module__.startswith("nodegraph.nodes"):  # a bug of ours
                raise
            cure = f"mend the declaration of {declared.__name__}"
            self.problems.append(error(place, own.fault(wrong), cure))
            return None
        for what, shape in [*shapes.items(), *weights.items()]:
            if any(n < 1 for n in shape) and what in shapes:
                text = f"nothing is left of {what}: it would be {show(shape)}"
                cure = "make the kernel or stride smaller, or the input larger"
                self.problems.append(error(place, text, cure))
                return None
            if math.prod(shape) * FLOAT > LARGEST:
                size = memory(math.prod(shape) * FLOAT)
                text = f"{what} is {show(shape)}, {size}: too large for any machine"
                self.problems.append(error(place, text, "make it smaller"))
                return None
        literals = {
            name: set_.get(name, port.default)
            for name, port in declared.inputs.items()
            if port.default is not None and name not in values
        }
        try:
            node.agree(literals)
        except ValueError as wrong:
            self.problems.append(error(place, str(wrong)))
            return None
        if node.classes_from and not self.enough_classes(node, at, values, place):
            return None
        known = max((v.classes for v in values.values() if isinstance(v, Value)), default=0)
        outputs = {
            name: Value(shapes[name], port.kind, _classes(node, port) or known)
            for name, port in declared.outputs.items()
        }
        return Call("", "", {}, literals, outputs, node=node, at=at)

    def enough_classes(
        self, node: Node, at: Axes, values: Mapping[str, Any], place: tuple[str, ...]
    ) -> bool:
        """Whether labels that flow in are below the number that the node has room for."""
        axis = node.classes_from
        room = vars(at)[axis] if axis in vars(at) else getattr(node, axis)
        for port, value in values.items():
            if isinstance(value, Value) and value.kind == "labels" and value.classes > room:
                text = f"{port} has classes 0 to {value.classes - 1}, there is room for {room}"
                cure = f"make {axis if hasattr(node, axis) else 'the logits'} {value.classes} wide"
                self.problems.append(error((*place, "in", port), text, cure))
                return False
        return True

    def fits(
        self, ports: Mapping[str, Input], values: Mapping[str, Any], place: tuple[str, ...],
        any_kind: bool = False,
    ) -> bool:  # fmt: skip
        """Whether every input that must be linked is, and the kinds fit."""
        before = len(self.problems)
        for name in values:
            if name not in ports:
                text = f"it has no input {name!r}{near(name, ports)}"
                self.problems.append(error((*place, "in", name), text))
        for name, port in ports.items():
            if name not in values:
                if port.needed:
                    text = f"input {name} is not linked"
                    self.problems.append(error(place, text, f"link something to {name}"))
                continue
            several = not isinstance(values[name], Value)
            if several and not port.many:
                text = f"input {name} takes one link, not a list"
                self.problems.append(error((*place, "in", name), text))
                continue
            for value in values[name] if several else [values[name]]:
                if not any_kind and value.kind not in ACCEPTS[port.kind]:
                    text = f"{name} expects {port.kind}, gets {value.kind}"
                    cure = OUT_OF.get(value.kind) or INTO.get(port.kind, "")
                    self.problems.append(error((*place, "in", name), text, cure))
        return len(self.problems) == before

    def group_call(
        self, type_: str, given: Mapping[str, Any], values: Mapping[str, Any],
        place: tuple[str, ...], inside: tuple[str, ...],
    ) -> Call | None:  # fmt: skip
        """An instance of a group: its inputs bound, its body resolved with these values."""
        group = self.groups[type_]
        if type_ in inside:
            path = " → ".join((*inside, type_))
            self.problems.append(error(place, f"group {type_} contains itself: {path}"))
            return None
        ports = {name: Input(shape) for name, shape in group.inputs.items()}
        if not self.fits(ports, values, place, any_kind=True):
            return None
        try:
            ports = {n: replace(p, kind=values[n].kind) for n, p in ports.items()}
            at = bind(ports, {name: value.shape for name, value in values.items()})
        except Mismatch as wrong:
            self.problems.append(error(place, str(wrong), wrong.cure))
            return None
        walk = replace(self, groups={**self.groups, **group.groups}) if group.groups else self
        body = walk.body(type_, group, values, {**group.params, **given}, (*inside, type_))
        outputs: dict[str, Value] = {}
        for name, ref in group.outputs.items():
            if ref.node in body.inputs:
                outputs[name] = body.inputs[ref.node]
            elif ref.node in body.calls:
                value = _pick(body.calls[ref.node], ref.port)
                if isinstance(value, Value):
                    outputs[name] = value
        if len(outputs) < len(group.outputs):
            return None
        return Call("", "", {}, {}, outputs, body=body, at=at)

    def compare_shared(self, body: Body, where: tuple[str, ...]) -> None:
        """A second call must find weights of the shapes that the first one built."""
        for name, call in body.calls.items():
            owner = body.calls.get(call.owner)
            if owner is None or owner is call:
                continue
            for (weight, mine), theirs in zip(
                call.weights().items(), owner.weights().values(), strict=True
            ):
                if mine != theirs:
                    self.problems.append(error(
                        (*where, "nodes", name, "shares"),
                        f"it shares {call.owner}, whose {weight} is {show(theirs)}, "
                        f"but this input asks for {show(mine)}",
                        "feed both the same shape, or make this call independent",
                    ))  # fmt: skip
                    break


def _classes(node: Node, port: Output) -> int:
    return port.classes if isinstance(port.classes, int) else int(getattr(node, port.classes))


def _pick(call: Call, port: str) -> Value | str:
    """An output's value, or what is wrong with asking for it."""
    found = call.outputs.get(port)
    if found is not None:
        return found
    if not port and len(call.outputs) == 1:
        return next(iter(call.outputs.values()))
    ports = ", ".join(call.outputs) or "none"
    if port:
        return f"comes from {call.name}.{port}, but {call.name} has the outputs {ports}"
    if not call.outputs:
        return f"comes from {call.name}, which has no output"
    return f"comes from {call.name}, which has several outputs: write {call.name}.PORT ({ports})"


def in_order(
    graph: Graph, linked: Mapping[str, Mapping[str, Source]]
) -> tuple[list[str], list[str]]:
    """The nodes with everything before what reads it, else in the order of the file; and a loop.

    Depth first without recursion, as a chain may have 10,000 nodes.
    """
    order: list[str] = []
    loop: list[str] = []
    state: dict[str, int] = {}  # 1 on the path, 2 done; in the order in which they are entered
    for root in graph.nodes:
        stack = [root]
        while stack:
            name = stack[-1]
            if state.get(name) == 2:
                stack.pop()
                continue
            if state.get(name) == 1:
                state[name] = 2
                order.append(name)
                stack.pop()
                continue
            state[name] = 1
            before = [r.node for s in linked[name].values() for r in refs(s)]
            for other in reversed(before):
                if state.get(other) == 1 and not loop:
                    path = [n for n, s in state.items() if s == 1]
                    loop = [*path[path.index(other) :], other]
                if other in graph.nodes and other not in state:
                    stack.append(other)
    return order, loop


def group_input_problems(graph: Graph) -> list[Problem]:
    """Groups whose inputs are not shapes."""
    problems = []
    for name, group in graph.groups.items():
        for port, spec in group.inputs.items():
            try:
                axis_names(spec)
            except ValueError as wrong:
                problems.append(error(("groups", name, "inputs", port), str(wrong)))
    return problems
