"""The keys of a graph's file: plain data (dicts, lists, scalars) as a Graph, and a Graph as data.

What a Graph cannot hold is a fault, and the file does not open. What it can hold but is wrong (a
key that nobody knows) is a problem: the file opens, and saving it loses nothing.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from .graph import META, Entry, Graph, Ref, Reference, Source, Stage, refs
from .node import axis_names
from .problem import Problem, error, near_miss, short, warning

FORMAT = 1
MAX_NODES = 10_000
ENOUGH = 100  # faults or problems to tell of

BODY = ("params", "groups", "nodes", "layout")
FILE_KEYS = ("nodegraph", *META, "params", "presets", "groups", "nodes", "train", "layout")
GROUP_KEYS = (*META, "inputs", "outputs", *BODY)
STAGE_KEYS = ("stage", "steps", "run", "watch", "watch_every")
RESERVED = (
    "type",
    "shares",
    "frozen",
    "bypassed",
    "weights",
    "in",
)  # of a node; its other keys are parameters

Where = tuple[str, ...]


class FaultsError(ValueError):
    """Why some data is no graph."""

    def __init__(self, faults: Iterable[Problem]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))


# Data → graph ------------------------------------------------------------------------------------


def from_data(data: Any) -> tuple[Graph, list[Problem]]:
    """The graph that `data` describes, and what is odd about it. Raises FaultsError."""
    reader = _Reader()
    graph = Graph()
    try:
        graph = reader.file(data)
    except _EnoughError:
        pass
    if reader.faults:
        raise FaultsError(reader.faults)
    return graph, reader.problems


class _EnoughError(Exception):
    """So many faults that more of them would help nobody."""


class _Reader:
    """Collects faults and problems along the way through the data."""

    def __init__(self) -> None:
        self.faults: list[Problem] = []
        self.problems: list[Problem] = []
        self.nodes = 0
        self.newer = False

    def fault(self, where: Where, text: str, cure: str = "") -> None:
        self.faults.append(error(where, text, cure))
        if len(self.faults) >= ENOUGH:
            raise _EnoughError

    def file(self, data: Any) -> Graph:
        """A whole file."""
        if not isinstance(data, dict):
            self.fault((), f"a graph is a mapping, not {kind(data)}", "begin with `nodegraph: 1`")
            return Graph()
        extra = self.format(data)
        graph = self.body(data, (), FILE_KEYS)
        presets = self.mapping(data, "presets", ())
        return graph.with_(
            presets={
                name: {
                    self.name(key, ("presets", name, key), "parameter"): self.value(value)
                    for key, value in self.mapping(presets, name, ("presets",)).items()
                }
                for name in presets
            },
            train=self.train(data.get("train")),
            extra={**graph.extra, **extra},
        )

    def format(self, data: dict[str, Any]) -> dict[str, Any]:
        """The version of the format; kept in `extra` when it is not ours."""
        found = data.get("nodegraph")
        where = ("nodegraph",)
        if type(found) is not int:
            what = "is missing" if "nodegraph" not in data else f"is {kind(found)}, not a number"
            text = f"the version of the format {what}"
            self.fault(where, text, f"begin the file with `nodegraph: {FORMAT}`")
        elif found < 1:
            self.fault(where, f"there is no format {found}", f"write `nodegraph: {FORMAT}`")
        elif found > FORMAT:
            self.newer = True
            text = f"format {short(str(found), 30)} is newer than the {FORMAT} of this program"
            self.problems.append(warning(where, text, "what it does not know, it keeps; update it"))
            return {"nodegraph": found}
        return {}

    def body(self, data: dict[str, Any], where: Where, known: tuple[str, ...]) -> Graph:
        """What files and groups have in common."""
        links: dict[Ref, Source] = {}
        nodes: dict[str, Entry] = {}
        given = self.mapping(data, "nodes", where)
        self.nodes += len(given)
        if self.nodes > MAX_NODES:
            text = f"more than {MAX_NODES:,} nodes"
            self.fault((*where, "nodes"), text, "a group used many times is written once")
            return Graph()
        for name, value in given.items():
            place = (*where, "nodes", name)
            nodes[self.name(name, place, "node")] = self.entry(name, value, place, links)
        groups = self.mapping(data, "groups", where)
        params = self.mapping(data, "params", where)
        return Graph(
            nodes=nodes,
            links=links,
            groups={
                self.name(name, (*where, "groups", name), "group"): self.group(
                    value, (*where, "groups", name)
                )
                for name, value in groups.items()
            },
            params={
                self.name(name, (*where, "params", name), "parameter"): self.value(value)
                for name, value in params.items()
            },
            meta=self.meta(data, where),
            layout=self.mapping(data, "layout", where),
            extra=self.unknown(data, where, known),
        )

    def group(self, data: Any, where: Where) -> Graph:
        """A group: a body with inputs and outputs."""
        if not isinstance(data, dict):
            cure = "write inputs, outputs and nodes under it"
            self.fault(where, f"a group is a mapping, not {kind(data)}", cure)
            return Graph()
        inputs: dict[str, str] = {}
        for name, shape in self.mapping(data, "inputs", where).items():
            place = (*where, "inputs", name)
            if not isinstance(shape, str | None):
                cure = "write its axes as text, like `N C H W`"
                self.fault(place, f"the shape of input {name} is {kind(shape)}", cure)
                continue
            inputs[self.name(name, place, "input")] = shape or ""
            try:
                axis_names(shape or "")
            except ValueError as wrong:
                self.problems.append(error(place, short(str(wrong))))
        outputs: dict[str, Ref] = {}
        for name, source in self.mapping(data, "outputs", where).items():
            place = (*where, "outputs", name)
            if is_output(source):
                outputs[self.name(name, place, "output")] = Ref.parse(source)
            else:
                cure = "name the node that gives it, like `features: flat`"
                self.fault(place, f"output {name} is {kind(source)}", cure)
        return self.body(data, where, GROUP_KEYS).with_(inputs=inputs, outputs=outputs)

    def entry(self, name: str, data: Any, where: Where, links: dict[Ref, Source]) -> Entry:
        """A node, whose links are put into `links`."""
        if not isinstance(data, dict):
            cure = f"write `{short(name, 30)}: {{type: …, in: {{…}}}}`"
            self.fault(where, f"a node is a mapping, not {kind(data)}", cure)
            return Entry()
        for port, source in self.mapping(data, "in", where).items():
            self.name(port, (*where, "in", port), "input")
            found = self.source(port, source, (*where, "in", port))
            if found is not None:
                links[Ref(name, port)] = found
        shares = data.get("shares", "")
        if not isinstance(shares, str) or (shares and not is_name(shares)):
            self.fault((*where, "shares"), f"shares is {kind(shares)}", "name one node")
        frozen, bypassed = self.value(data.get("frozen", False)), data.get("bypassed", False)
        if not isinstance(frozen, bool | Reference):
            text = f"frozen is {kind(data['frozen'])}"
            self.fault((*where, "frozen"), text, "write true or false, or `$name`")
        if not isinstance(bypassed, bool):
            self.fault((*where, "bypassed"), f"bypassed is {kind(bypassed)}", "write true or false")
        weights = data.get("weights", "")
        if not isinstance(weights, str):
            cure = "name a file, a run's folder, or a published file like vgg19-dcbb9e9d.pth"
            self.fault((*where, "weights"), f"weights is {kind(weights)}", cure)
        if "type" not in data and not shares:
            cure = "say `type: Conv2d`, or `shares: other_node`"
            self.fault(where, "it has neither a type nor a node whose weights it shares", cure)
        params = {k: self.value(v) for k, v in data.items() if k not in RESERVED}
        if shares and (mine := [k for k in ("type", "weights", *params) if k in data]):
            text = f"a further call of {short(shares, 40)!r} has its settings, yet sets {mine[0]!r}"
            self.problem((*where, mine[0]), text, lambda: f"remove it, or set it on {shares}")
        type_ = self.type(data.get("type", ""), where)
        return Entry(type_, params, shares, frozen, bypassed, self.value(weights))

    def type(self, found: Any, where: Where) -> str | Reference:
        """The name of a node type."""
        where = (*where, "type")
        if not isinstance(found, str):
            self.fault(where, f"its type is {kind(found)}", "write a type's name, like Conv2d")
            return ""
        value = self.value(found)
        if not isinstance(value, Reference) and found and not is_name(found):
            if "." in found:
                cure = (
                    "types are short names from the library; a dotted path is refused because "
                    "resolving code from data would execute it"
                )
            else:
                cure = "types are names like Conv2d; `nodegraph nodes` lists them"
            self.fault(where, f"{short(found, 60)!r} is no type", cure)
        return value if isinstance(value, Reference) else found

    def source(self, port: str, found: Any, where: Where) -> Source | None:
        """Where an input comes from: an output, or several."""
        if is_output(found):
            return Ref.parse(found)
        if isinstance(found, list) and all(map(is_output, found)):
            return tuple(Ref.parse(f) for f in found)
        port = short(port, 40)
        cure = f"write `{port}: node`, or a list of nodes"
        if isinstance(found, (bool, int, float)):
            cure = f"a value stands beside `in:`, as `{port}: {short(str(found), 40)}`"
        self.fault(where, f"input {port} comes from {kind(found)}", cure)
        return None

    def train(self, found: Any) -> tuple[Stage, ...]:
        """The stages of training."""
        if found is None:
            return ()
        if not isinstance(found, list):
            cure = "write stages as `- {stage: …, steps: …, run: […]}`"
            self.fault(("train",), f"it is a list of stages, not {kind(found)}", cure)
            return ()
        return tuple(self.stage(data, ("train", str(i))) for i, data in enumerate(found))

    def stage(self, data: Any, where: Where) -> Stage:
        """One stage."""
        if not isinstance(data, dict):
            cure = "write `{stage: …, steps: …, run: […]}`"
            self.fault(where, f"a stage is a mapping, not {kind(data)}", cure)
            return Stage("", 0, ())
        for key in data:
            if key not in STAGE_KEYS:
                text = f"a stage has no key {short(key, 60)!r}"
                self.fault((*where, key), text, near_miss(key, STAGE_KEYS))
        name = data.get("stage")
        if not isinstance(name, str):
            what = kind(name) if "stage" in data else "missing"
            self.fault((*where, "stage"), f"the name of the stage is {what}", "add `stage: name`")
        return Stage(
            str(name),
            self.count(data.get("steps"), (*where, "steps"), "steps: 1000"),
            self.names(data.get("run"), (*where, "run"), "run: [adam]"),
            self.names(data.get("watch"), (*where, "watch"), "watch: [accuracy]"),
            self.count(data.get("watch_every", 0), (*where, "watch_every"), "watch_every: 100"),
        )

    def count(self, found: Any, where: Where, example: str) -> Any:
        """A whole number, or a reference to one."""
        value = self.value(found)
        if type(value) is int or isinstance(value, Reference):
            return value
        what = "missing" if found is None else kind(found)
        self.fault(where, f"{where[-1]} is {what}", f"write a whole number, like `{example}`")
        return 0

    def names(self, found: Any, where: Where, example: str) -> tuple[Any, ...]:
        """A list of nodes, or a single one."""
        if found is None:
            return ()
        value = self.value(found if isinstance(found, list) else [found])
        if all(isinstance(v, (str, Reference)) for v in value):
            return tuple(value)
        self.fault(where, f"{where[-1]} is no list of node names", f"write `{example}`")
        return ()

    def meta(self, data: dict[str, Any], where: Where) -> dict[str, str]:
        """Title, remarks and so on. A number is taken as the text that it is."""
        found = {}
        for key in META:
            value = data.get(key)
            if isinstance(value, (str, int, float)) and not isinstance(value, bool):
                found[key] = str(value)
            elif value is not None:
                text = f"it is {kind(value)}, and should be a text"
                self.fault((*where, key), text, "put it in quotes")
        return found

    def unknown(self, data: dict[str, Any], where: Where, known: tuple[str, ...]) -> dict[str, Any]:
        """Keys that nobody knows, kept so that saving loses nothing."""
        extra = {k: v for k, v in data.items() if k not in known}
        for key in extra:
            owner = "a group" if where else "a graph"
            text = f"{owner} has no key {short(key, 60)!r}"
            self.problem((*where, key), text, partial(near_miss, key, known))
        return extra

    def problem(self, where: Where, text: str, cure: Callable[[], str]) -> None:
        """An error, or a warning when the file is newer than the program."""
        if len(self.problems) < ENOUGH:
            self.problems.append((warning if self.newer else error)(where, text, cure()))

    def mapping(self, data: dict[str, Any], key: str, where: Where) -> dict[str, Any]:
        """`data[key]`, which may be missing or empty."""
        found = data.get(key)
        if found is None:
            return {}
        if not isinstance(found, dict):
            named = where or key in ("nodes", "groups")  # in the message, in front of this text
            text = f"{key if named else 'it'} is {kind(found)}, and should be a mapping"
            self.fault((*where, key), text, "write `name: value` lines under it")
            return {}
        return found

    def name(self, name: str, where: Where, what: str) -> str:
        """`name`, which must be one in Python too: the compiler writes it."""
        if not is_name(name):
            text = f"{short(name, 60)!r} cannot name {'an' if what[0] in 'aio' else 'a'} {what}"
            cure = "use letters a–z, digits and _, no digit first, and no word of Python"
            self.fault(where, text, cure)
        return name

    def value(self, found: Any) -> Any:
        """A parameter's value: `$name` is a reference, `$$` a dollar, a list a tuple."""
        if isinstance(found, str) and found.startswith("$"):
            return found[1:] if found.startswith("$$") else Reference(found[1:])
        if isinstance(found, list):
            return tuple(map(self.value, found))
        if isinstance(found, dict):
            return {k: self.value(v) for k, v in found.items()}
        return found


def is_name(name: str) -> bool:
    """Whether a node, group or parameter can be called so."""
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name)


def is_output(text: Any) -> bool:
    """Whether a text can name an output: `node` or `node.port`."""
    return isinstance(text, str) and all(map(is_name, text.split(".")))


def kind(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {short(str(value), 30)}"
    if isinstance(value, str):
        return f"the text {short(value, 30)!r}"
    if value is None:
        return "empty"
    return "a mapping" if isinstance(value, Mapping) else "a list"


# Graph → data ------------------------------------------------------------------------------------


def to_data(graph: Graph) -> dict[str, Any]:
    """A graph as data, its keys in the order of `FILE_KEYS`. Empty sections are left out."""
    data = {"nodegraph": FORMAT, **_body(graph)}
    data["presets"] = {name: _plain(preset) for name, preset in graph.presets.items()}
    data["train"] = [_stage(stage) for stage in graph.train]
    return _ordered({**data, **graph.extra}, FILE_KEYS)


def _body(graph: Graph) -> dict[str, Any]:
    links: dict[str, dict[str, Source]] = {}
    for to, source in graph.links.items():
        links.setdefault(to.node, {})[to.port] = source
    return {
        **{k: v for k, v in graph.meta.items() if v},
        "params": _plain(graph.params),
        "groups": {name: _group(group) for name, group in graph.groups.items()},
        "nodes": {name: _entry(e, links.get(name, {})) for name, e in graph.nodes.items()},
        "layout": dict(graph.layout),
    }


def _group(group: Graph) -> dict[str, Any]:
    outputs = {name: str(ref) for name, ref in group.outputs.items()}
    data = {**_body(group), "inputs": dict(group.inputs), "outputs": outputs, **group.extra}
    return _ordered(data, GROUP_KEYS)


def _ordered(data: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The known keys in order, unknown ones before the layout, empty ones left out."""
    unknown = [k for k in data if k not in keys]
    order = (*keys[:-1], *unknown, keys[-1])
    return {k: data[k] for k in order if k in data and (data[k] or k in unknown)}


def _entry(entry: Entry, links: Mapping[str, Source]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if entry.type:
        data["type"] = str(entry.type)
    if entry.shares:
        data["shares"] = entry.shares
    data |= _plain(entry.params)
    if entry.frozen:
        data["frozen"] = _plain(entry.frozen)
    if entry.bypassed:
        data["bypassed"] = True
    if entry.weights != "":
        data["weights"] = _plain(entry.weights)
    if links:
        data["in"] = {
            port: str(source) if isinstance(source, Ref) else [str(r) for r in refs(source)]
            for port, source in links.items()
        }
    return data


def _stage(stage: Stage) -> dict[str, Any]:
    data = {"stage": stage.name, "steps": stage.steps, "run": stage.run}
    if stage.watch:
        data["watch"] = stage.watch
    if stage.watch_every != 0:
        data["watch_every"] = stage.watch_every
    return {"stage": stage.name, **{k: _plain(v) for k, v in data.items() if k != "stage"}}


def _plain(value: Any) -> Any:
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, str) and value.startswith("$"):
        return "$" + value
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value
