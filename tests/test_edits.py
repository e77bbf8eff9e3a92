"""Edits, groups and history: what each does, what each refuses, and laws over random edits."""

from __future__ import annotations

import functools
from dataclasses import MISSING, replace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nodegraph import edits, files, groups
from nodegraph.checks import check
from nodegraph.edits import EditError
from nodegraph.graph import Entry, Graph, Ref, Reference, Stage, refs
from nodegraph.groups import flat
from nodegraph.history import History
from nodegraph.library import Library, standard
from nodegraph.node import ACCEPTS, Input, Loss, Metric, Node, Optimiser, Output, Param, Source
from nodegraph.scope import Scope, type_name


class Digits(Source):
    """Pictures and what they show."""

    image = Output("N 1 28 28", kind="image")
    label = Output("N", kind="labels", classes=10)
    batch: int = Param(64, min=1)


class Dense(Node):
    """A layer with weights."""

    x = Input("N D")
    y = Output("N features")
    features: int = Param(8, min=1)

    def weights(self, at):
        return {"weight": (self.features, at.D)}


class ReLU(Node):
    """A layer without weights."""

    x = Input()
    y = Output()


class Scale(Node):
    """x times a number that may be wired."""

    x = Input("N D")
    by = Input("", default=1.0, min=0.0, kind="scalar")
    y = Output("N D")


class Sum(Node):
    """Adds what it is given."""

    x = Input(many=True)
    y = Output()


class Entropy(Loss):
    """A loss."""

    logits = Input("N K", logits=True)
    labels = Input("N", kind="labels")
    loss = Output("", kind="loss")


class Hits(Metric):
    """A metric."""

    x = Input()
    value = Output("", kind="scalar")


class Descent(Optimiser):
    """An optimiser."""

    lr: float = Param(0.1, min=0.0)


TYPES = (Digits, Dense, ReLU, Scale, Sum, Entropy, Hits, Descent)
SCOPE = Scope(Library({t.__name__: t for t in TYPES}, {"FC": "Dense"}))


def small() -> Graph:
    """Digits, two layers, a loss, its update, a stage."""
    return Graph(
        nodes={
            "data": Entry("Digits", {"batch": Reference("batch")}),
            "one": Entry("Dense", {"features": Reference("width")}),
            "act": Entry("ReLU"),
            "two": Entry("Dense"),
            "loss": Entry("Entropy"),
            "step": Entry("Descent", {"over": ("one", "two")}),
            "hits": Entry("Hits"),
        },
        links={
            Ref("one", "x"): Ref("data", "image"),
            Ref("act", "x"): Ref("one"),
            Ref("two", "x"): Ref("act"),
            Ref("loss", "logits"): Ref("two"),
            Ref("loss", "labels"): Ref("data", "label"),
            Ref("step", "loss"): (Ref("loss"),),
            Ref("hits", "x"): Ref("two"),
        },
        params={"batch": 32, "width": 16},
        train=(Stage("fit", 100, ("step",), ("hits",)),),
        layout={n: [100 * i, 0] for i, n in enumerate(("data", "one", "act", "two", "loss"))},
    )


def grouped() -> Graph:
    """`small` with both layers in a group."""
    return edits.group(small(), ["one", "act", "two"], SCOPE, "Net")


def shared() -> Graph:
    """`small` with one layer called twice, and a group called twice."""
    graph = edits.share(edits.add(small(), "Dense", SCOPE, name="again"), "again", "one", SCOPE)
    graph = edits.group(graph, ["act", "two"], SCOPE, "Net")
    return edits.share(edits.add(graph, "Net", SCOPE), "net_2", "net", SCOPE)


# Nodes -------------------------------------------------------------------------------------------


def test_a_new_node_is_named_after_its_type():
    graph = edits.add(edits.add(Graph(), "Dense", SCOPE), "Dense", SCOPE, params={"features": 3})
    assert graph.nodes == {"dense": Entry("Dense"), "dense_2": Entry("Dense", {"features": 3})}
    assert [*edits.add(Graph(), "ReLU", SCOPE, at=(1.4, 2)).layout.items()] == [("relu", [1, 2])]
    with pytest.raises(EditError, match="no node type 'Dens'; did you mean 'Dense'"):
        edits.add(graph, "Dens", SCOPE)


def test_removing_a_node_removes_its_links_and_its_name_from_lists():
    graph = edits.remove(small(), ["two", "hits"], SCOPE)
    assert Ref("two", "x") not in graph.links and Ref("loss", "logits") not in graph.links
    assert graph.nodes["step"].params == {"over": ("one",)}
    assert graph.train[0].watch == () and "two" not in graph.layout


def test_removing_with_reconnect_joins_what_was_before_to_what_comes_after():
    graph = edits.remove(small(), ["act", "two"], SCOPE, reconnect=True)
    assert graph.links[Ref("loss", "logits")] == graph.links[Ref("hits", "x")] == Ref("one")


def test_the_weights_of_a_removed_module_pass_to_its_next_call():
    graph = edits.share(small(), "two", "one", SCOPE)
    graph = edits.remove(graph, ["one"], SCOPE)
    assert graph.nodes["two"] == small().nodes["one"]
    assert graph.nodes["step"].params == {"over": ("two",)}


def test_renaming_reaches_every_place():
    graph = edits.share(small(), "two", "one", SCOPE)
    for old in ("one", "hits", "step", "data"):
        graph = edits.rename(graph, old, old + "_new", SCOPE)
    assert graph.nodes["two"].shares == "one_new"
    assert graph.links[Ref("act", "x")] == Ref("one_new")
    assert graph.links[Ref("one_new", "x")] == Ref("data_new", "image")
    assert graph.nodes["step_new"].params["over"] == ("one_new",)
    assert graph.train == (Stage("fit", 100, ("step_new",), ("hits_new",)),)
    assert graph.layout["one_new"] == [100, 0] and "one" not in graph.layout


def test_renaming_reaches_a_parameter_that_names_nodes():
    graph = small().with_(
        params={"nets": ("one",), "batch": "one"}, presets={"b": {"nets": ("two",)}}
    )
    graph = edits.set_param(graph, "step", "over", Reference("nets"), SCOPE)
    graph = edits.rename(edits.rename(graph, "one", "a", SCOPE), "two", "b", SCOPE)
    assert graph.params == {"nets": ("a",), "batch": "one"}
    assert graph.presets == {"b": {"nets": ("b",)}}


@pytest.mark.parametrize("name", ["two", "1st", "a.b", "class", ""])
def test_a_name_is_a_free_word(name):
    with pytest.raises(EditError, match="name"):
        edits.rename(small(), "one", name, SCOPE)


def test_sharing_keeps_the_links_and_independence_gives_the_weights_back():
    graph = edits.share(small(), "two", "one", SCOPE)
    assert graph.nodes["two"] == Entry(shares="one") and graph.links == small().links
    assert graph.nodes["step"].params["over"] == ("one",)
    assert edits.make_independent(graph, "two").nodes["two"] == small().nodes["one"]
    with pytest.raises(EditError, match="act is a ReLU and one a Dense"):
        edits.share(small(), "act", "one", SCOPE)
    with pytest.raises(EditError, match="the other way round"):
        edits.share(graph, "one", "two", SCOPE)


def test_a_chain_of_shares_survives_the_loss_of_a_link_of_it():
    chain = {"a": Entry("Dense"), "b": Entry(shares="a"), "c": Entry(shares="b")}
    assert edits.make_independent(Graph(chain), "b").nodes["c"].shares == "a"
    assert edits.remove(Graph(chain), ["b"], SCOPE).nodes["c"].shares == "a"
    assert edits.remove(Graph(chain), ["a"], SCOPE).nodes["c"].shares == "b"
    assert edits.remove(Graph(chain), ["a", "b"], SCOPE).nodes == {"c": Entry("Dense")}


def test_freezing_a_further_call_freezes_its_module():
    graph = edits.freeze(edits.share(small(), "two", "one", SCOPE), "two")
    assert graph.nodes["one"].frozen and not graph.nodes["two"].frozen


# Links -------------------------------------------------------------------------------------------


def test_a_link_replaces_the_one_before_and_is_added_where_many_fit():
    graph = edits.connect(small(), Ref("one", "y"), Ref("two", "x"), SCOPE)
    assert graph.links[Ref("two", "x")] == Ref("one")
    graph = edits.connect(graph, Ref("hits"), Ref("step", "loss"), SCOPE)
    assert graph.links[Ref("step", "loss")] == (Ref("loss"), Ref("hits"))
    assert edits.connect(graph, Ref("hits"), Ref("step", "loss"), SCOPE) is graph
    assert edits.disconnect(graph, Ref("step", "loss"), Ref("hits")).links[Ref("step", "loss")] == (
        Ref("loss"),
    )
    assert Ref("step", "loss") not in edits.disconnect(graph, Ref("step", "loss")).links


@pytest.mark.parametrize(
    ("source", "to", "why"),
    [
        ("two", "act.x", "would close the loop two → act → two"),
        ("act", "act.x", "would close the loop act → act"),
        ("two", "one.x", "would close the loop two → one → act → two"),
        ("data.image", "loss.labels", "takes labels, and data.image gives image"),
        ("data", "act.x", "several outputs; say which: image, label"),
        ("data.labels", "act.x", "did you mean 'label'"),
        ("data.image", "act.y", "act has no input 'y'"),
        ("nobody", "act.x", "no node 'nobody'"),
        ("act", "onee.x", "did you mean 'one'"),
        ("step", "act.x", "step has no output"),
    ],
)
def test_a_link_that_does_not_fit_is_refused_with_the_reason(source, to, why):
    with pytest.raises(EditError, match=why):
        edits.connect(small(), Ref.parse(source), Ref.parse(to), SCOPE)


def test_a_wired_number_loses_its_literal():
    graph = edits.add(small(), "Scale", SCOPE, params={"by": 2})
    assert graph.nodes["scale"].params == {"by": 2.0}
    graph = edits.connect(graph, Ref("loss"), Ref("scale", "by"), SCOPE)
    assert graph.nodes["scale"].params == {}
    with pytest.raises(EditError, match="scale.by is linked"):
        edits.set_param(graph, "scale", "by", 3.0, SCOPE)


# Parameters --------------------------------------------------------------------------------------


def test_a_parameter_is_checked_and_its_default_left_out():
    graph = edits.set_param(small(), "two", "features", 3, SCOPE)
    assert graph.nodes["two"].params == {"features": 3}
    assert edits.set_param(graph, "two", "features", 8, SCOPE).nodes["two"].params == {}
    assert edits.reset_param(graph, "two", "features").nodes["two"].params == {}
    for value, why in ((0, "at least 1"), ("x", "a whole number"), (Reference("no"), "declare it")):
        with pytest.raises(EditError, match=why):
            edits.set_param(graph, "two", "features", value, SCOPE)
    with pytest.raises(EditError, match="did you mean 'features'"):
        edits.set_param(graph, "two", "feature", 3, SCOPE)
    with pytest.raises(EditError, match="no node 'three'"):
        edits.set_param(graph, "step", "over", ["three"], SCOPE)


def test_a_parameter_of_the_graph_is_checked_where_it_is_used():
    assert edits.set_graph_param(small(), "width", 4, SCOPE).params["width"] == 4
    with pytest.raises(EditError, match="one.features expects a whole number"):
        edits.set_graph_param(small(), "width", "wide", SCOPE)
    with pytest.raises(EditError, match=r"\$width is used by one"):
        edits.set_graph_param(small(), "width", MISSING, SCOPE)
    graph = edits.set_param(small(), "one", "features", 3, SCOPE)
    assert edits.set_graph_param(graph, "width", MISSING, SCOPE).params == {"batch": 32}


def test_words_and_stages_are_set():
    graph = edits.set_meta(small(), "title", "A")
    assert graph.meta == {"title": "A"} and edits.set_meta(graph, "title", "").meta == {}
    graph = edits.set_stage(graph, "fit", SCOPE, steps=5)
    graph = edits.add_stage(graph, Stage("tune", Reference("batch"), ("step",)), SCOPE, 0)
    assert [s.name for s in graph.train] == ["tune", "fit"] and graph.train[1].steps == 5
    assert edits.remove_stage(graph, "fit").train == graph.train[:1]
    for change, why in (
        ({"run": ("nobody",)}, "no node 'nobody'"),
        ({"run": ("hits",)}, "hits is no update"),
        ({"steps": 0}, "whole number of steps"),
        ({"name": "tune"}, "a name of its own"),
    ):
        with pytest.raises(EditError, match=why):
            edits.set_stage(graph, "fit", SCOPE, **change)


# Groups ------------------------------------------------------------------------------------------


def test_a_group_has_the_ports_of_the_links_that_it_cuts():
    graph = grouped()
    body = graph.groups["Net"]
    assert graph.nodes["net"] == Entry("Net", {"width": Reference("width")})
    assert body.inputs == {"x": "N D"} and body.outputs == {"two": Ref("two")}
    assert body.params == {"width": 16} and body.links[Ref("one", "x")] == Ref("x")
    assert graph.links[Ref("net", "x")] == Ref("data", "image")
    assert graph.links[Ref("hits", "x")] == Ref("net")
    assert graph.nodes["step"].params["over"] == ("net",)
    assert graph.layout["net"] == [200, 0] and body.layout["two"] == [300, 0]
    assert [*graph.nodes] == ["data", "net", "loss", "step", "hits"]
    assert SCOPE.inputs(graph, "net")["x"].kind == "tensor"
    assert SCOPE.settings(graph, "net")["width"].min == 1
    assert not [*SCOPE.faults(graph)]


def test_ungrouping_is_the_inverse_of_grouping():
    graph = edits.ungroup(grouped(), "net", SCOPE)
    assert graph == small()


def test_what_trains_a_part_of_a_group_trains_it_also_if_an_inner_node_has_the_groups_name():
    graph = edits.rename(small(), "act", "group", SCOPE)
    made = edits.group(graph, ["group", "two"], SCOPE)
    assert made.nodes["step"].params["over"] == ("one", "group_2")
    assert edits.ungroup(made, "group_2", SCOPE).nodes["step"].params["over"] == ("one", "two")


def test_the_inputs_of_a_group_take_what_they_feed():
    graph = edits.group(small(), ["loss"], SCOPE, "Ends")
    assert graph.groups["Ends"].inputs == {"logits": "N K", "labels": "N"}
    assert SCOPE.inputs(graph, "ends")["labels"].kind == "labels"
    assert SCOPE.outputs(graph, "ends")["loss"].kind == "loss"
    with pytest.raises(EditError, match="takes labels"):
        edits.connect(graph, Ref("data", "image"), Ref("ends", "labels"), SCOPE)


def test_the_ends_of_what_is_grouped_become_outputs():
    chain = edits.remove(small(), ["loss", "step"], SCOPE).with_(train=())
    ends = {
        ("one", "act", "two"): {"two": Ref("two")},
        ("one", "act", "two", "hits"): {"two": Ref("two")},  # a metric only looks on
        ("data",): {"image": Ref("data", "image")},  # its label is not an end of anything
    }
    for names, outputs in ends.items():
        graph = edits.group(chain, names, SCOPE, "Net")
        assert graph.groups["Net"].outputs == outputs and not [*SCOPE.faults(graph)]
        assert edits.ungroup(graph, "net", SCOPE) == chain
    alone = edits.group(edits.add(Graph(), "Digits", SCOPE), ["digits"], SCOPE)
    assert [*alone.groups["Group"].outputs] == ["image", "label"]
    linked = edits.add(alone, "ReLU", SCOPE, name="act")
    assert edits.connect(linked, Ref("group", "image"), Ref("act", "x"), SCOPE)


def test_what_is_computed_with_or_only_seen_is_no_end():
    graph = edits.add(small(), "Dense", SCOPE, name="more")
    graph = edits.connect(graph, Ref("two"), Ref("more", "x"), SCOPE).with_(train=())
    everything = edits.group(graph, [*graph.nodes], SCOPE, "All")
    assert everything.groups["All"].outputs == {"more": Ref("more")}
    assert edits.group(graph, ["hits"], SCOPE, "Look").groups["Look"].outputs == {}


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (
            ["one", "two", "again"],
            "the path one → act → two leaves the group and comes back; choose act too",
        ),
        (["step"], "step trains one, outside"),
        (["hits"], "stage 'fit' names hits"),
        (["two", "more"], "step trains two, not more"),
        (["two", "again"], "again is a further call of one"),
        ([], "nothing to group"),
    ],
)
def test_a_group_that_cannot_be_is_refused_with_the_reason(names, why):
    graph = edits.connect(edits.add(small(), "Dense", SCOPE, name="more"), Ref("two"),
                          Ref("more", "x"), SCOPE)  # fmt: skip
    graph = edits.share(edits.add(graph, "Dense", SCOPE, name="again"), "again", "one", SCOPE)
    with pytest.raises(EditError, match=why):
        edits.group(graph, names, SCOPE)


def test_a_group_whose_output_is_its_input_hides_no_link_that_does_not_fit():
    def bridged(body: Graph, scope: Scope) -> Graph:
        return edits.remove(body, ["one", "act", "two"], scope, reconnect=True)

    through = edits.within(grouped(), ["Net"], bridged, SCOPE)
    through = edits.connect(through, Ref("net", "two"), Ref("step", "loss"), SCOPE)
    with pytest.raises(EditError, match=r"without Net, step\.loss takes loss .* gives image"):
        edits.ungroup(through, "net", SCOPE)


def test_two_calls_of_a_group_dissolve_into_shared_nodes():
    graph = edits.add(grouped(), "Net", SCOPE, name="other")
    graph = edits.connect(graph, Ref("net"), Ref("other", "x"), SCOPE)
    graph = edits.share(graph, "other", "net", SCOPE)
    once = edits.ungroup(graph, "other", SCOPE)
    assert once.groups == {} and not [*SCOPE.faults(once)]
    assert once.nodes["one_2"] == Entry(shares="one") and once.nodes["two_2"].shares == "two"
    assert once.links[Ref("one_2", "x")] == Ref("two")
    named = flat(graph, SCOPE)
    assert named.nodes["other.one"] == Entry(shares="net.one")
    assert named.nodes["net.one"] == Entry("Dense", {"features": Reference("width")})
    assert named.nodes["step"].params["over"] == ("net.one", "net.two")


def test_groups_nest_and_dissolve_with_dotted_names():
    graph = edits.group(grouped(), ["net", "loss"], SCOPE, "All")
    assert flat(graph, SCOPE).nodes["all.net.one"].params == {"features": Reference("width")}
    assert edits.ungroup(edits.ungroup(graph, "all", SCOPE), "net", SCOPE) == small()


def test_an_output_that_is_left_alone_is_linked_as_a_file_has_it():
    two = edits.connect(small(), Ref("one"), Ref("loss", "logits"), SCOPE)
    two = edits.disconnect(two, Ref("hits", "x"))
    two = edits.group(two, ["one", "act", "two"], SCOPE, "Net")
    assert two.links[Ref("loss", "logits")] == Ref("net", "one")
    left = edits.within(two, ["Net"], lambda g, s: edits.set_output(g, "two", None, s), SCOPE)
    assert left.links[Ref("loss", "logits")] == Ref("net")
    assert files.parse(files.dumps(left), library=SCOPE.library).graph == left


def test_an_edit_within_a_group_keeps_the_graph_around_it_whole():
    graph = edits.within(
        grouped(), ["Net"], lambda body, s: edits.rename(body, "two", "last", s), SCOPE
    )
    assert graph.groups["Net"].outputs == {"two": Ref("last")}
    graph = edits.within(
        graph, ["Net"], lambda body, s: edits.set_output(body, "mid", Ref("act"), s), SCOPE
    )
    assert graph.links[Ref("hits", "x")] == Ref("net", "two"), "no longer the only output"
    with pytest.raises(EditError, match="net has no output 'two'"):
        edits.within(graph, ["Net"], lambda body, s: edits.remove(body, ["last"], s), SCOPE)
    with pytest.raises(EditError, match="net has no input 'x'"):
        edits.within(graph, ["Net"], lambda body, s: edits.set_input(body, "x", None), SCOPE)
    with pytest.raises(EditError, match="a group contains itself: Net → Net"):
        edits.within(graph, ["Net"], lambda body, s: edits.add(body, "Net", s), SCOPE)


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda g: edits.set_graph_param(g, "a b", 1, SCOPE), "parameter"),
        (lambda g: edits.set_preset(g, "a b", {"width": 2}, SCOPE), "preset"),
        (lambda g: edits.add(g, "Dense", SCOPE, name="a b"), "node"),
        (lambda g: edits.group(g, ["act"], SCOPE, "a b"), "group"),
    ],
)
def test_a_wrong_name_is_refused_with_what_it_would_name(edit, what):
    with pytest.raises(EditError, match=f"'a b' cannot name a {what}: use letters"):
        edit(small())


@pytest.mark.parametrize("kind", [*standard()])
def test_every_type_of_the_library_can_be_added_grouped_and_removed(kind: str):
    scope = Scope(standard())
    start = edits.add(Graph(), "GaussianNoise" if kind != "GaussianNoise" else "ReLU", scope)
    graph = edits.add(start, kind, scope)
    name = [*graph.nodes][-1]
    alone = edits.group(graph, [name], scope)
    assert not [*scope.faults(alone)]
    assert edits.ungroup(alone, [*alone.nodes][-1], scope) == graph
    assert edits.remove(graph, [name], scope) == start


# Copies and history ------------------------------------------------------------------------------


def test_a_pasted_copy_has_fresh_names_and_its_inner_links():
    graph = edits.share(small(), "two", "one", SCOPE)
    fragment = edits.copy(graph, ["one", "act", "two", "step"], SCOPE)
    pasted = edits.paste(graph, fragment, SCOPE)
    assert [*pasted.nodes][-4:] == ["one_2", "act_2", "two_2", "step_2"]
    assert pasted.nodes["two_2"].shares == "one_2"
    assert pasted.nodes["step_2"].params["over"] == ("one_2",)
    assert pasted.links[Ref("one_2", "x")] == Ref("data", "image")
    assert pasted.links[Ref("two_2", "x")] == Ref("act_2")
    assert pasted.layout["act_2"] == [240, 40] and not [*SCOPE.faults(pasted)]
    assert Ref("one_2", "x") not in edits.paste(graph, fragment, SCOPE, inbound=False).links


def test_a_copy_brings_its_groups_and_parameters_to_another_graph():
    fragment = edits.copy(grouped(), ["net", "step"], SCOPE)
    pasted = edits.paste(Graph(), fragment, SCOPE)
    assert pasted.groups == grouped().groups and pasted.params == {"width": 16}
    assert pasted.links == {} and pasted.nodes["step"].params == {"over": ("net",)}
    changed = edits.within(
        grouped(), ["Net"], lambda b, s: edits.set_param(b, "two", "features", 2, s), SCOPE
    )
    pasted = edits.paste(changed, fragment, SCOPE)
    assert pasted.nodes["net_2"].type == "Net_2" and not [*SCOPE.faults(pasted)]


def test_history_goes_back_and_forth_and_forgets_what_was_undone():
    one, two, three = (Graph(meta={"title": t}) for t in "123")
    history = History(one)
    history.push("Two", two)
    history.push("Two again", replace(two))
    assert history.labels == ["Open", "Two"] and not history.is_saved
    assert history.undo() is one and history.undo() is one and history.is_saved
    assert history.can_redo and history.redo() is two and history.redo() is two
    history.mark_saved()
    history.undo()
    history.push("Three", three)
    assert history.labels == ["Open", "Three"] and not history.can_redo and not history.is_saved


def test_a_gesture_is_one_step():
    history = History(Graph())
    for x in range(5):
        history.push("Move", Graph(layout={"a": [x + 1, 0]}), gesture=1)
    history.push("Move", Graph(layout={"a": [9, 0]}), gesture=2)
    assert history.labels == ["Open", "Move", "Move"]
    assert history.undo().layout == {"a": [5, 0]} and history.undo() == Graph()


# Laws --------------------------------------------------------------------------------------------


def holds_together(graph: Graph, scope: Scope = SCOPE) -> None:
    """What must be true of a graph after any edits, said apart from `Scope.faults`."""
    for name, entry in graph.nodes.items():
        assert scope.type_of(graph, name) is not None
        assert bool(entry.type) != bool(entry.shares), name
        assert not entry.shares or not graph.nodes[graph.owner(name)].shares, name
        for n in entry.params.get("over", ()):
            assert n in graph.nodes
    feeds: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for to, source in graph.links.items():
        port = scope.inputs(graph, to.node)[to.port]
        assert isinstance(source, tuple) == port.many and source != ()
        for ref in refs(source):
            if ref.node in graph.nodes:
                outputs = scope.outputs(graph, ref.node)
                given = outputs[ref.port] if ref.port else [*outputs.values()][0]
                assert ref.port or len(outputs) == 1
                assert given.kind in ACCEPTS[port.kind], (ref, to)
                feeds[ref.node].add(to.node)
            else:
                assert ref.node in graph.inputs and not ref.port
    left = dict(feeds)
    while ends := [n for n, fed in left.items() if not fed & left.keys()]:
        for n in ends:
            del left[n]
    assert not left, "a loop"
    assert all(ref.node in {*graph.nodes, *graph.inputs} for ref in graph.outputs.values())
    for stage in graph.train:
        assert {*stage.run, *stage.watch} <= {*graph.nodes}
    for body in graph.groups.values():
        assert not body.groups, "all groups are declared in the graph"
        holds_together(body, scope.inside(graph))


class Editing(RuleBasedStateMachine):
    """Random edits, in the graph and in its groups, with undo and redo among them."""

    @initialize(start=st.sampled_from([small, grouped, shared, Graph]))
    def start(self, start):
        self.history = History(start())
        self.undone: list[Graph] = []

    @property
    def graph(self) -> Graph:
        return self.history.current

    def edit(self, data, change) -> None:
        """Apply `change(graph, scope)` to the graph or to one of its groups."""
        before = self.graph
        where = data.draw(st.sampled_from([(), (), *((g,) for g in before.groups)]))
        try:
            after = edits.within(before, where, functools.partial(change, data), SCOPE)
        except EditError as refusal:
            assert str(refusal) and "\n" not in str(refusal)
            return
        steps = len(self.history.steps)
        self.history.push("Edit", after)
        if after != before:
            assert len(self.history.steps) <= steps + 1
            assert self.history.undo() is before and self.history.redo() is after

    @rule(data=st.data(), kind=st.sampled_from([t.__name__ for t in TYPES]))
    def add(self, data, kind):
        self.edit(data, lambda d, g, s: edits.add(g, kind, s, at=(7, 7)))

    @precondition(lambda self: self.graph.groups)
    @rule(data=st.data())
    def add_group(self, data):
        kind = data.draw(st.sampled_from([*self.graph.groups]))
        self.edit(data, lambda d, g, s: edits.add(g, kind, s))

    @rule(data=st.data(), bridge=st.booleans())
    def remove(self, data, bridge):
        self.edit(data, lambda d, g, s: edits.remove(g, some(d, g), s, reconnect=bridge))

    @rule(data=st.data())
    def connect(self, data):
        def change(d, g, s):
            ends = [Ref(n, p) for n in g.nodes for p in s.outputs(g, n)] + [*map(Ref, g.inputs)]
            into = [Ref(n, p) for n in g.nodes for p in s.inputs(g, n)]
            if not ends or not into:
                return g
            return edits.connect(g, d.draw(st.sampled_from(ends)), d.draw(st.sampled_from(into)), s)

        for _ in range(3):
            self.edit(data, change)

    @rule(data=st.data())
    def disconnect(self, data):
        def change(d, g, s):
            return edits.disconnect(g, d.draw(st.sampled_from([*g.links]))) if g.links else g

        self.edit(data, change)

    @rule(data=st.data(), new=st.sampled_from(["a", "b", "c", "x", "one"]))
    def rename(self, data, new):
        self.edit(data, lambda d, g, s: edits.rename(g, one(d, g), new, s))

    @rule(data=st.data(), value=st.sampled_from([1, 2, 8, 0, "x", Reference("width")]))
    def set_features(self, data, value):
        self.edit(
            data, lambda d, g, s: edits.set_param(g, one(d, g, "Dense"), "features", value, s)
        )

    @rule(data=st.data())
    def set_over(self, data):
        self.edit(
            data, lambda d, g, s: edits.set_param(g, one(d, g, "Descent"), "over", some(d, g), s)
        )

    @rule(data=st.data())
    def share(self, data):
        def change(d, g, s):
            name = one(d, g)
            return edits.share(g, name, one(d, g, type_name(g, name)), s)

        self.edit(data, change)

    @rule(data=st.data())
    def make_independent(self, data):
        self.edit(data, lambda d, g, s: edits.make_independent(g, one(d, g)))

    @rule(data=st.data())
    def group(self, data):
        self.edit(data, lambda d, g, s: edits.group(g, some(d, g), s))

    @rule(data=st.data())
    def group_what_is_alone(self, data):
        """A group that the graph allows comes apart again into the graph that it was."""
        names = some(data, self.graph)
        try:
            graph = edits.group(self.graph, names, SCOPE)
        except EditError:
            return
        instance = (set(graph.nodes) - (set(self.graph.nodes) - set(names))).pop()
        again = edits.ungroup(graph, instance, SCOPE)
        assert again.links == self.graph.links and again.train == self.graph.train
        assert again.nodes.keys() == self.graph.nodes.keys()
        for name, entry in again.nodes.items():
            was = self.graph.nodes[name]
            held = {n for n in self.graph.nodes if SCOPE.has_weights(self.graph, n)}
            over = [
                held & {self.graph.owner(n) for n in e.params.get("over", ())} for e in (was, entry)
            ]
            assert over[0] == over[1], "names without weights may come or go"
            assert (entry.type, entry.shares) == (was.type, was.shares)

    @rule(data=st.data())
    def ungroup(self, data):
        def change(d, g, s):
            inside = [n for n in g.nodes if isinstance(s.type_of(g, n), Graph)]
            return edits.ungroup(g, d.draw(st.sampled_from(inside)), s) if inside else g

        self.edit(data, change)

    @rule(data=st.data())
    def set_ports(self, data):
        def change(d, g, s):
            if g is self.graph:
                return g  # only a group has ports
            if d.draw(st.booleans()):
                return edits.set_input(g, "free", d.draw(st.sampled_from(["N D", None])))
            return edits.set_output(g, "more", Ref(one(d, g)), s)

        self.edit(data, change)

    @rule(data=st.data())
    def copy_and_paste(self, data):
        if len(self.graph.nodes) < 25:
            names = some(data, self.graph)
            fragment = edits.copy(self.graph, names, SCOPE)
            self.edit(data, lambda d, g, s: edits.paste(g, fragment, s))

    @rule(back=st.integers(1, 4))
    def undo(self, back):
        for _ in range(back):
            self.history.undo()

    @rule()
    def redo(self):
        self.history.redo()

    @rule()
    def save_and_open(self):
        assert files.parse(files.dumps(self.graph), library=SCOPE.library).graph == self.graph

    @invariant()
    def whole(self):
        if hasattr(self, "history"):
            assert not [*SCOPE.faults(self.graph)]
            holds_together(self.graph)


def one(data, graph: Graph, kind: str = "") -> str:
    names = [n for n in graph.nodes if kind in ("", type_name(graph, n))]
    return data.draw(st.sampled_from(names or [*graph.nodes] or ["none"]))


def some(data, graph: Graph) -> list[str]:
    names = st.sampled_from([*graph.nodes] or ["none"])
    return data.draw(st.lists(names, max_size=4, unique=True))


TestEditing = Editing.TestCase
TestEditing.settings = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking one takes minutes
    suppress_health_check=[*HealthCheck],
)


GROUPED = """
nodegraph: 1
params: {kind: Twice}
presets: {other: {kind: Once}}
groups:
  Once:
    inputs: {x: N D}
    outputs: {y: fc}
    nodes:
      fc: {type: Linear, features: 4, in: {x: x}}
  Twice:
    inputs: {x: N D}
    outputs: {y: b, z: a}
    nodes:
      a: {type: Once, in: {x: x}}
      b: {type: Once, in: {x: a.y}}
nodes:
  noise: {type: Noise, shape: [4], batch: 2}
  net: {type: $kind, in: {x: noise}}
  again: {shares: net, in: {x: net.y}}
"""


def test_a_group_is_renamed_wherever_it_is_a_type():
    graph = files.parse(GROUPED).graph
    scope = Scope(standard())
    after = groups.rename_group(groups.rename_group(graph, "Twice", "Deep", scope), "Once", "One",
                                scope)  # fmt: skip
    assert after == files.parse(GROUPED.replace("Twice", "Deep").replace("Once", "One")).graph
    for wrong in ("Deep", "Linear", "no name"):
        with pytest.raises(EditError):
            groups.rename_group(after, "One", wrong, scope)


def test_a_port_is_renamed_in_all_that_use_the_group():
    graph = files.parse(GROUPED.replace("$kind", "Twice")).graph
    scope = Scope(standard())
    after = groups.rename_port(graph, "Once", "x", "given", scope)
    after = groups.rename_port(after, "Once", "out:y", "made", scope)
    inner = after.groups["Once"]
    assert inner.inputs == {"given": "N D"} and inner.links[Ref("fc", "x")] == Ref("given")
    assert list(inner.outputs) == ["made"]
    twice = after.groups["Twice"]
    assert twice.links == {Ref("a", "given"): Ref("x"), Ref("b", "given"): Ref("a")}
    outer = groups.rename_port(after, "Twice", "x", "image", scope)
    outer = groups.rename_port(outer, "Twice", "out:y", "code", scope)
    assert outer.links[Ref("again", "image")] == Ref("net", "code")
    assert list(outer.groups["Twice"].outputs) == ["code", "z"] and not check(outer)
    with pytest.raises(EditError, match="no port"):
        groups.rename_port(graph, "Once", "z", "w", scope)
    with pytest.raises(EditError, match="taken"):
        groups.rename_port(graph, "Once", "x", "fc", scope)


def test_presets_are_declared_changed_and_removed():
    scope = Scope(standard())
    graph = files.parse(GROUPED).graph
    graph = edits.set_preset(graph, "fast", {"kind": "Once"}, scope)
    assert graph.presets["fast"] == {"kind": "Once"} and list(graph.presets) == ["other", "fast"]
    assert "fast" not in edits.set_preset(graph, "fast", None, scope).presets
    for name, values in (("fast", {"kinds": "Once"}), ("not a name", {}), ("gone", None)):
        with pytest.raises(EditError):
            edits.set_preset(graph, name, values, scope)
