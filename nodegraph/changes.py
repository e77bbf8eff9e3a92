"""What differs between two graphs, in words: `strength: gamma 10 → 5`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .graph import Entry, Graph, Stage, is_frozen, refs, substitute
from .library import Library, standard
from .names import EditError
from .origins import Names, renamed
from .problem import short
from .scope import Scope


class Change(NamedTuple):
    """One difference. `structural`: more than the value of a parameter."""

    text: str
    structural: bool = True


def changes(
    old: Graph, new: Graph, library: Library | None = None, names: Names | None = None
) -> list[Change]:
    """The differences that training can see, of two graphs whose presets are chosen.

    References count as the values that they stand for, so `$gamma` differs where `gamma` does.
    `names` are new places of nodes by old ones: a node of another name is the same node.
    """
    library = library or standard()
    found = []
    if names:
        old = renamed(old, names, Scope(library))
        found = [Change(f"{a} is called {b} now", False) for a, b in names.items()]
    found += _inside(old, new, "", library)
    before, after = ({s.name: s for s in g.train} for g in (old, new))
    found += [Change(f"stage {name} removed") for name in before if name not in after]
    found += [Change(f"stage {name} added") for name in after if name not in before]
    for name in before:
        if name in after:
            found += _stage(before[name], after[name], old.params, new.params)
    if [n for n in before if n in after] != [n for n in after if n in before]:
        found.append(Change("the stages have another order"))
    return found


def _inside(old: Graph, new: Graph, group: str, library: Library) -> Iterator[Change]:
    """Nodes and links of a graph or group, and of the groups in it."""
    for name in old.nodes:
        if name not in new.nodes:
            yield Change(f"{group}{name} removed")
    for name, entry in new.nodes.items():
        if name not in old.nodes:
            what = f"a call of {entry.shares}" if entry.shares else entry.type
            yield Change(f"{group}{name} added: {what}")
        else:
            yield from _entry(
                group + name, old.nodes[name], entry, old.params, new.params, library
            )  # fmt: skip
    for to in dict.fromkeys([*old.links, *new.links]):
        before, after = (g.links.get(to) for g in (old, new))
        if before != after and to.node in old.nodes and to.node in new.nodes:
            words = [", ".join(map(str, refs(x))) if x else "nothing" for x in (before, after)]
            yield Change(f"{group}{to.node}: {to.port} from {' → '.join(words)}")
    if (old.inputs, old.outputs) != (new.inputs, new.outputs):
        yield Change(f"{group.rstrip('.')}: other inputs or outputs")
    if group:
        for name in dict.fromkeys([*old.params, *new.params]):
            yield from _value(group + name, "", old.params.get(name), new.params.get(name))
    for name in dict.fromkeys([*old.groups, *new.groups]):
        if name in old.groups and name in new.groups:
            yield from _inside(old.groups[name], new.groups[name], f"{group}{name}.", library)


def _entry(
    name: str, old: Entry, new: Entry, before: Mapping[str, Any], after: Mapping[str, Any],
    library: Library,
) -> Iterator[Change]:  # fmt: skip
    """A node that both graphs have."""
    types = _plain(old.type, before), _plain(new.type, after)
    if types[0] != types[1] or old.shares != new.shares:
        words = (str(t or f"a call of {e.shares}") for t, e in zip(types, (old, new)))
        yield Change(f"{name}: {' → '.join(words)}")
        return
    for flag, was, now in (
        ("frozen", is_frozen(old, before), is_frozen(new, after)),
        ("bypassed", old.bypassed, new.bypassed),
    ):
        if was != now:
            yield Change(f"{name}: {'' if now else 'no longer '}{flag}")
    files = _plain(old.weights, before), _plain(new.weights, after)
    yield from _value(name, "weights", *(file or "drawn" for file in files))
    settings = library[types[1]].settings if types[1] in library else {}
    for key in dict.fromkeys([*old.params, *new.params]):
        default = settings[key].default if key in settings else None
        pair = [_plain(e.params.get(key, default), p) for e, p in ((old, before), (new, after))]
        yield from _value(name, key, *pair)


def _value(name: str, key: str, before: Any, after: Any) -> Iterator[Change]:
    """A parameter."""
    if before != after:
        plain = numbers(before) == numbers(after) != 0
        words = f"{short(f'{before}', 40)} → {short(f'{after}', 40)}"
        yield Change(f"{name}: {key} {words}" if key else f"{name} {words}", not plain)


def numbers(value: Any) -> int:
    """How many numbers a value is; 0 if it is anything else."""
    values = value if isinstance(value, (tuple, list)) else [value]
    return len(values) if all(isinstance(v, (int, float)) for v in values) else 0


def _stage(
    old: Stage, new: Stage, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Change]:
    """A stage that both graphs have."""
    for key in ("steps", "run", "watch", "watch_every"):
        pair = _plain(getattr(old, key), before), _plain(getattr(new, key), after)
        yield from _value(f"stage {new.name}", key, *pair)


def _plain(value: Any, params: Mapping[str, Any]) -> Any:
    """A value without references; as it is written where they refer to nothing."""
    try:
        return substitute(value, params)
    except (EditError, ValueError):
        return value
