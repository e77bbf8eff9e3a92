"""The network of a run as the victim of an attack, whatever its layers are.

An attack (fgsm.yaml, pgd.yaml, adversarial_example.yaml, or a graph of one's own) first trains a
network of its own, the node `classifier`, then perturbs what the source `victims` holds out. Here
both become those of a run: the layers between its images and its scores are a group, with the
weights that the run has reached, and nothing is left to be trained but the perturbation.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import edits, files, layout, runs
from .body import Body, behind
from .graph import Entry, Graph, GraphError, Ref, choose, refs, substitute
from .groups import rename_group
from .infer import dissolve, infer
from .library import Library, standard
from .names import fresh, like, references
from .node import Loss, Metric, Optimiser, Schedule, Source, View, show
from .scope import Scope
from .settings import settle

CLASSIFIER, VICTIMS, GROUP = "classifier", "victims", "Victim"
NUMBERS = 4_000_000  # of all images that are attacked at once, at most: 26 of 224×224 in colour


def against(attack: Graph, run: Path, scores: str = "", library: Library | None = None) -> Graph:
    """`attack`, whose preset is chosen, with the classifier of a run in the place of its own.

    `scores` names the output that is to be fooled, if not that of the first accuracy. Raises
    GraphError when the run's scores are not those of one image, and when `attack` is none.
    """
    library = library or standard()
    if lacking := [n for n in (CLASSIFIER, VICTIMS) if n not in attack.nodes]:
        raise GraphError(
            f"this graph is no attack: it has no node {lacking[0]!r}; an attack has a classifier, "
            "and victims that it perturbs, as in pgd.yaml"
        )
    found = runs.read(run)
    victim = choose(files.parse(found.text, str(run), library).graph, found.preset, found.settings)
    victim = dissolve(edits.passed_by(victim, Scope(library)), library)
    body, _ = infer(victim, library)
    logits, label = judged(body, scores, run)
    image, inside = path_to(body, logits)
    shape = body.value(logits).shape
    if image.node != label.node or len(shape) != 2:
        raise GraphError(
            f"{logits} is {show(shape)}, for labels of {label}; an attack needs scores N classes "
            f"and the labels of {image.node}"
        )
    attack = settle(attack, library)
    attack = only_the_attack(attack, Scope(library))
    attack = seated(attack, *grouped(victim, image, logits, inside, library), run, library)
    attack = perturbing(attack, victim, image, label)
    attack = with_sizes(attack, body.value(image).shape[1:], shape[1])
    title = f"{attack.meta.get('title', 'Attack')} on {found.title or run.name}"
    return attack.with_(meta={**attack.meta, "title": title})


# The run -----------------------------------------------------------------------------------------


def judged(body: Body, scores: str, run: Path) -> tuple[Ref, Ref]:
    """The scores of a classifier and the labels that they are compared with."""
    pairs = []
    for kind in (Metric, Loss):
        for call in body.calls.values():
            ends = call.inputs.get("logits"), call.inputs.get("labels")
            if isinstance(call.node, kind) and all(isinstance(e, Ref) for e in ends):
                pairs.append(ends)
    for logits, label in pairs:
        assert isinstance(logits, Ref) and isinstance(label, Ref)
        fits = not scores or scores in (logits.node, str(logits))
        if fits and isinstance(body.calls[label.node].node, Source):
            return logits, label
    known = ", ".join(dict.fromkeys(str(logits) for logits, _ in pairs))
    what = (
        f"{scores!r} is not compared with labels in {run}" if scores else f"{run} reads no labels"
    )
    raise GraphError(f"{what}; scores that are: {known or 'none'}, so it can't be attacked")


def path_to(body: Body, logits: Ref) -> tuple[Ref, list[str]]:
    """The image that some scores are of, and the calls between them."""
    back = behind(body, [logits])
    inside = [n for n, c in body.calls.items() if n in back and not isinstance(c.node, Source)]
    read = [ref for name in inside for ref in body.calls[name].sources if ref.node not in inside]
    ends = dict.fromkeys(Ref(ref.node, body.port(ref)) for ref in read)
    if len(ends) != 1 or body.value(image := next(iter(ends))).kind != "image":
        listed = " and ".join(map(str, ends)) or "nothing"
        raise GraphError(f"{logits} is computed from {listed}; an attack perturbs one image")
    if (scale := getattr(body.calls[image.node].node, "range", "0..1")) != "0..1":
        raise GraphError(
            f"{image.node} gives pixels in {scale}, and an attack keeps them in 0..1; train with "
            f"`range: 0..1` on {image.node}, and a Preprocess after it"
        )
    for name in inside:
        if isinstance(body.calls[name].node, Schedule):
            raise GraphError(f"{logits} depends on {name}, which follows the progress of training")
        if "." in name:
            group = name.partition(".")[0]
            raise GraphError(f"{name} lies in a group with data or metrics; ungroup {group} first")
    return image, inside


def grouped(
    victim: Graph, image: Ref, logits: Ref, inside: Collection[str], library: Library
) -> tuple[str, Graph]:
    """The name of the input of the group `Victim`, and a graph of it and the groups in it.

    Its nodes are called as in the run, a further call like the module whose weights it has.
    """
    scope = Scope(library)
    others = [n for n in victim.nodes if n not in inside]
    bare = edits.remove(victim.with_(train=()), others, scope)
    names = {}
    for name in inside:
        owner = victim.owner(name)
        if owner in others and owner not in bare.nodes:
            bare, names[name] = edits.rename(bare, name, owner, scope), owner
    port = fresh("image", bare.nodes)
    links = {}
    for to, source in victim.links.items():
        if to.node in inside:
            ends = [Ref(port) if r.node == image.node else Ref(names.get(r.node, r.node), r.port)
                    for r in refs(source)]  # fmt: skip
            links[Ref(names.get(to.node, to.node), to.port)] = like(source, ends)
    nodes = {n: unloaded(e) for n, e in bare.nodes.items()}
    used = set().union(*map(references, nodes.values()))
    group = Graph(
        nodes, links,
        params={k: v for k, v in victim.params.items() if k in used},
        inputs={port: "N C H W"},
        outputs={"scores": Ref(names.get(logits.node, logits.node), logits.port)},
        meta={"about": "What the run computes from an image."},
        layout=with_ends(layout.only(bare.layout, nodes), port),
    )  # fmt: skip
    kinds = {k: g.with_(nodes={n: unloaded(e) for n, e in g.nodes.items()})
             for k, g in victim.groups.items()}  # fmt: skip
    name = fresh(GROUP, kinds)
    whole = Graph({CLASSIFIER: Entry(name)}, groups={**kinds, name: group})
    return port, edits.copy(whole, [CLASSIFIER], scope)


def with_ends(places: dict[str, Any], port: str) -> dict[str, Any]:
    """A layout with the input of a group at its left and the output at its right."""
    known = [at for at in places.values() if layout.is_position(at)]
    if not known:
        return places
    (left, top), (right, bottom) = min(known), max(known)
    return {**places, port: [left - 240, top], f"{layout.OUT}scores": [right + 240, bottom]}


def unloaded(entry: Entry) -> Entry:
    """A node whose weights come with the whole."""
    return replace(entry, weights="", frozen=False)


# The attack --------------------------------------------------------------------------------------


def only_the_attack(attack: Graph, scope: Scope) -> Graph:
    """`attack` without the stages that train its own classifier, and what these alone need."""
    gone = [
        name for name, entry in attack.nodes.items()
        if scope.is_a(attack, name, Optimiser)
        and {attack.owner(n) for n in moved(attack, entry, scope)} == {CLASSIFIER}
    ]  # fmt: skip
    stages = []
    for stage in attack.train:
        run = substitute(stage.run, attack.params)
        if not run or set(run) - {*gone}:
            stages.append(stage)
    named = {n for s in stages for n in substitute((*s.run, *s.watch), attack.params)}
    wanted = named | {
        n for n in attack.nodes
        if scope.is_a(attack, n, View, Optimiser) and n not in gone
    }  # fmt: skip
    wanted |= {n for w in [*wanted] for n in moved(attack, attack.nodes[w], scope)}
    wanted |= {CLASSIFIER, VICTIMS}
    todo = [*wanted]
    while todo:
        name = todo.pop()
        before = {r.node for s in attack.inputs_of(name).values() for r in refs(s)}
        if name == CLASSIFIER:
            before = set()  # what it sees from now on are the victims
        new = ({*before, attack.owner(name)} - wanted) & {*attack.nodes}
        wanted |= new
        todo += new
    attack = attack.with_(train=tuple(stages))
    return edits.remove(attack, [n for n in attack.nodes if n not in wanted], scope)


def moved(graph: Graph, entry: Entry, scope: Scope) -> Iterator[str]:
    """The nodes whose weights an optimiser moves."""
    for key in scope.node_lists(graph, entry):
        value = substitute(entry.params[key], graph.params)
        yield from [value] if isinstance(value, str) else value


def seated(attack: Graph, port: str, victim: Graph, run: Path, library: Library) -> Graph:
    """`attack` with the run's group as its classifier, and the groups that this needs."""
    scope = Scope(library)
    entry = Entry("", weights=str(run.resolve()), frozen=True)
    attack = attack.with_(nodes={**attack.nodes, CLASSIFIER: entry})
    attack = attack.with_(groups=dict(used_groups(attack, scope)))
    for kind in victim.groups:
        if kind in attack.groups:
            other = fresh(kind, {*attack.groups, *victim.groups, *library})
            victim = rename_group(victim, kind, other, scope)
    entry = replace(entry, type=victim.nodes[CLASSIFIER].type)
    links = {
        Ref(to.node, port) if attack.owner(to.node) == CLASSIFIER else to: source
        for to, source in attack.links.items()
    }
    links[Ref(CLASSIFIER, port)] = Ref(VICTIMS, "image")
    attack = attack.with_(
        nodes={**attack.nodes, CLASSIFIER: entry},
        links=links,
        groups={**attack.groups, **victim.groups},
    )
    for name in [n for n, e in attack.nodes.items() if e.shares == CLASSIFIER]:
        if attack.inputs_of(name) == attack.inputs_of(CLASSIFIER):  # one call is enough
            place = attack.layout.get(name, attack.layout.get(CLASSIFIER))
            to = {to: like(s, [Ref(CLASSIFIER, r.port) if r.node == name else r for r in refs(s)])
                  for to, s in attack.links.items()}  # fmt: skip
            attack = edits.remove(attack.with_(links=to), [name], scope)
            attack = attack.with_(layout={**attack.layout, CLASSIFIER: place})
    return attack


def used_groups(graph: Graph, scope: Scope) -> Iterator[tuple[str, Graph]]:
    """The groups that a graph's nodes are of, at any depth."""
    fragment = edits.copy(graph, [n for n, e in graph.nodes.items() if e.type or e.shares], scope)
    for name, group in graph.groups.items():
        if name in fragment.groups:
            yield name, group


def perturbing(attack: Graph, victim: Graph, image: Ref, label: Ref) -> Graph:
    """`attack` on what the source of a run holds out, the same examples at every draw."""
    entry, own = victim.nodes[image.node], attack.nodes[VICTIMS]
    params = {k: substitute(v, victim.params) for k, v in entry.params.items()}
    params |= {"batch": own.params.get("batch", params.get("batch")), "fixed": True}
    kind = substitute(entry.type, victim.params)
    ports = {"image": image.port, "label": label.port}

    def end(ref: Ref) -> Ref:
        return Ref(VICTIMS, ports.get(ref.port, ref.port)) if ref.node == VICTIMS else ref

    return attack.with_(
        nodes={**attack.nodes, VICTIMS: Entry(kind, params)},
        links={to: like(s, map(end, refs(s))) for to, s in attack.links.items()},
    )


def with_sizes(attack: Graph, image: tuple[int, ...], classes: int) -> Graph:
    """`attack` with its parameters as the images need them, without those that nothing reads."""
    count = max(1, min(int(attack.params.get("count", 1)), NUMBERS // math.prod(image)))
    sizes = {"count": count, "shape": (count, *image), "prices": (count,), "classes": classes}
    used = set().union(*map(references, attack.nodes.values()))
    for stage in attack.train:
        used |= references((stage.steps, stage.watch_every, *stage.run, *stage.watch))
    params = {k: sizes.get(k, v) for k, v in attack.params.items() if k in used}
    presets = {
        name: values for name, values in attack.presets.items()
        if all(k in params and k not in sizes for k in values)
    }  # fmt: skip
    return attack.with_(params=params, presets=presets)
