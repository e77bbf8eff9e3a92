"""Find a node type by a few letters of its name, its aliases, or its help; or what fits a pin.

Better first: the whole name, alias or category, then its beginning, then the beginning of a word in
it, then letters in their order, then words of the help. Where no word begins with what was typed,
last come those that do but for one slip of the hand. Case, spaces, ё, and American or British
spelling do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..graph import Entry, Graph
from ..library import first_line
from ..node import ACCEPTS, Input, Output
from ..scope import Scope, type_name
from .boxes import Pin

OUTPUT, INPUT = "Group output", "Group input"  # what else a pin can be linked to in a group
EXACT, PREFIX, WORD, LETTERS, HELP, SLIP, NOT = 0, 100, 200, 300, 400, 500, 1e9
FAMILY = 60  # the category itself: behind a name or alias, before what only begins so
SLIPPED = 4  # letters that a word must have to be taken for one with a slip
SPELLINGS = (("ё", "е"), ("iz", "is"), ("olou", "olo"), ("centre", "center"), ("grey", "gray"))


@dataclass(frozen=True)
class Found:
    """A type that was found; `port` is where the pin that was asked for would be linked."""

    name: str
    category: str
    help: str
    port: str = ""
    alias: str = ""  # the word that matched, when it is not the name
    score: float = 0.0  # less is better
    group: bool = False


def find(
    words: str, scope: Scope, graph: Graph, pin: Pin | None = None, without: Collection[str] = (),
    into: Pin | None = None,
) -> list[Found]:  # fmt: skip
    """The types that fit the words (all when there are none) and the pin, best first.

    `without` are the groups that are entered: they cannot contain themselves, and a pin in them can
    be linked to a new port of the group. `into` is the other end of a link that is to run through
    what is found: it fits that too, and a port of the group does not.
    """
    ports = fits(scope, graph, pin) if pin else None
    if into:
        other = fits(scope, graph, into)
        ports = {n: p for n, p in (other if ports is None else ports).items() if n in other}
    wanted, found = _plain(words), []
    for name, category, help_, aliases, group in _known(scope, graph, without):
        if ports is not None and name not in ports:
            continue
        best = min(((_score(wanted, n) + 50 * (i > 0), i) for i, n in enumerate((name, *aliases))))
        score, index = best
        if wanted and score > FAMILY and wanted in (_plain(category), _plain(category)[:-1]):
            score, index = FAMILY, 0
        if score >= HELP:
            score, index = HELP if _in_help(words, help_, category) else NOT, 0
        if score == NOT:
            slips = [_slip(wanted, n) for n in (name, *aliases, category)]
            score = min(slips)
            index = slips.index(score) % (len(aliases) + 1)
        if score < NOT:
            alias = aliases[index - 1] if index and wanted else ""
            port = ports[name] if ports else ""
            found.append(Found(name, category, help_, port, alias, score, group))
    if any(f.score < LETTERS for f in found):  # it is no slip where it is a word as it stands
        found = [f for f in found if f.score < SLIP]
    if pin and without and not into:
        name = OUTPUT if pin.side == "out" else INPUT
        if (score := _score(wanted, name)) < HELP:
            found.append(Found(name, "groups", "A new port of this group.", score=score))
    if pin and not wanted:  # what takes just this kind before what takes anything
        return sorted(found, key=lambda f: (_exact(scope, f, pin), not f.group, f.name))
    order = {} if wanted else {n: i for i, n in enumerate(scope.library)}
    return sorted(found, key=lambda f: (f.score, order.get(f.name, -1), len(f.name), f.name))


def fits(scope: Scope, graph: Graph, pin: Pin) -> dict[str, str]:
    """The types with a port at the other side that fits a pin, each with the best such port."""
    found = {}
    for name, (inputs, outputs) in _ports(scope, graph).items():
        if pin.side == "out":
            takes = [p for p, i in inputs.items() if pin.kind in ACCEPTS[i.kind]]
            takes.sort(key=lambda p: (inputs[p].default is not None, inputs[p].kind != pin.kind))
        else:
            takes = [p for p, o in outputs.items() if o.kind in ACCEPTS[pin.kind]]
            takes.sort(key=lambda p: outputs[p].kind != pin.kind)
        if takes:
            found[name] = takes[0]
    return found


Ports = tuple[dict[str, Input], dict[str, Output]]


def _ports(scope: Scope, graph: Graph) -> dict[str, Ports]:
    found: dict[str, Ports] = {n: (d.inputs, d.outputs) for n, d in scope.library.types.items()}
    for name in {**scope.groups, **graph.groups}:
        probe = Graph({"x": Entry(name)}, groups=graph.groups, params=graph.params)
        inputs, outputs = scope.inputs(probe, "x") or {}, scope.outputs(probe, "x") or {}
        found[name] = ({**inputs}, {**outputs})
    return found


def _exact(scope: Scope, found: Found, pin: Pin) -> bool:
    declared = scope.library.types.get(found.name)
    if declared is None:
        return False
    port: Input | Output
    port = declared.inputs[found.port] if pin.side == "out" else declared.outputs[found.port]
    return port.kind != pin.kind


def _known(
    scope: Scope, graph: Graph, without: Collection[str]
) -> Iterator[tuple[str, str, str, tuple[str, ...], bool]]:
    """Name, category, help and aliases of each type, and whether it is a group."""
    groups = {**scope.groups, **graph.groups}
    for name, body in groups.items():
        if not uses(groups, name) & set(without):
            yield name, "groups", body.meta.get("about", "A group of this file."), (), True
    for name, declared in scope.library.types.items():
        if name not in groups:
            yield name, declared.category, first_line(declared), declared.aliases, False


def uses(groups: Mapping[str, Graph], name: str) -> set[str]:
    """A group and all groups in it."""
    found, todo = {name}, [name]
    while todo:
        body = groups[todo.pop()]
        inside = {type_name(body, n) for n in body.nodes} & groups.keys() - found
        found |= inside
        todo += inside
    return found


def _spelt(text: str) -> str:
    """In small letters, and in one of two spellings."""
    text = text.casefold()
    for one, other in SPELLINGS:
        text = text.replace(one, other)
    return text


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    text = _spelt(text).strip()
    return re.sub(r"[\s_\-.]+", "", text) or text  # a sign may be all there is


@lru_cache(maxsize=4096)
def _starts(name: str) -> tuple[int, ...]:
    """Where words begin in the plain form of a name: at capitals, digits and after gaps."""
    starts, length = [], 0
    for match in re.finditer(r"[A-ZА-ЯЁ]+(?![a-zа-яё])|[A-ZА-ЯЁ]?[a-zа-яё]+|\d+|[^\W\d_]", name):
        starts.append(length)
        length += len(_plain(match.group()))
    return tuple(starts)


def _score(wanted: str, name: str) -> float:
    """How badly a name fits; HELP or more when it does not."""
    plain = _plain(name)
    if not wanted or wanted == plain:
        return EXACT
    if plain.startswith(wanted):
        return PREFIX + _left(plain, wanted)
    starts = _starts(name)
    if any(plain.startswith(wanted, s) for s in starts):
        return WORD + _left(plain, wanted) / 2
    initials = _initials(wanted, plain, starts)
    if initials is not None:
        return WORD + 20 + initials
    at, first, gaps = -1, -1, 0
    for letter in wanted:
        after = plain.find(letter, at + 1)
        if after < 0:
            return HELP
        first = after if first < 0 else first
        gaps += after - at - 1 if at >= 0 else 0
        at = after
    return LETTERS + min(gaps + first + len(plain) / 100, 49) if gaps <= len(wanted) * 3 else HELP


def _slip(wanted: str, name: str) -> float:
    """How badly a name fits where one letter was swapped, mistaken, added or left out."""
    wanted, plain = wanted.replace("ks", "x"), _plain(name).replace("ks", "x")
    if len(wanted) < SLIPPED or not any(_slipped(wanted, plain[s:]) for s in {0, *_starts(name)}):
        return NOT
    return SLIP + abs(len(plain) - len(wanted))


def _slipped(wanted: str, plain: str) -> bool:
    """Whether some beginning of `plain` is `wanted` but for one slip."""
    same = next((i for i, (a, b) in enumerate(zip(wanted, plain)) if a != b), -1)
    at = min(len(wanted), len(plain)) if same < 0 else same
    swapped = wanted[at : at + 2] == plain[at : at + 2][::-1]
    return (
        plain[at + 1 :].startswith(wanted[at + 1 :])  # mistaken
        or plain[at:].startswith(wanted[at + 1 :])  # added
        or plain[at + 1 :].startswith(wanted[at:])  # left out
        or (swapped and plain[at + 2 :].startswith(wanted[at + 2 :]))
    )


def _left(plain: str, wanted: str) -> float:
    """How many letters of a name are not asked for, so far as it matters."""
    return min(len(plain) - len(wanted), 39)


def _initials(wanted: str, plain: str, starts: tuple[int, ...]) -> float | None:
    """How many letters are left over when `wanted` is made of beginnings of words, in order."""

    def fit(left: str, word: int) -> bool:
        if not left:
            return True
        for k in range(word, len(starts)):
            end = starts[k + 1] if k + 1 < len(starts) else len(plain)
            part = plain[starts[k] : end]
            for size in range(min(len(part), len(left)), 0, -1):
                if part.startswith(left[:size]) and fit(left[size:], k + 1):
                    return True
        return False

    return _left(plain, wanted) / 2 if fit(wanted, 0) else None


def _in_help(words: str, help_: str, category: str) -> bool:
    page, asked = _spelt(help_ + " " + category), _spelt(words).split()
    return bool(asked) and all(w in page for w in asked if len(w) > 1) and len("".join(asked)) > 2
