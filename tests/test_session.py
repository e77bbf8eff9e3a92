"""A session: every gesture is one step, what is selected survives, files are not lost."""

from __future__ import annotations

import gc
import os
import random
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from nodegraph import checks, files, layout
from nodegraph.graph import Graph, Ref, Reference, refs
from nodegraph.infer import infer
from nodegraph.library import standard
from nodegraph.programme import rows
from nodegraph.session import Analysis, Session

ROOT = Path(__file__).parents[1]
DANN = ROOT / "graphs" / "dann.yaml"
TEXT = """nodegraph: 1
title: Small
nodes:
  digits: {type: FontDigits, in: {}}  # a source
  flat: {type: Flatten, in: {x: digits.image}}
  fc: {type: Linear, features: 10, in: {x: flat}}
  act: {type: ReLU, in: {x: fc}}
  loss: {type: CrossEntropy, in: {logits: act, labels: digits.label}}
  adam: {type: Adam, over: [fc], in: {loss: loss}}
  accuracy: {type: Accuracy, in: {logits: act, labels: digits.label}}
train:
  - {stage: learn, steps: 10, run: [adam], watch: [accuracy]}
layout:
  digits: [0, 0]
  flat: [100, 0]
  fc: [200, 0]
  act: [300, 0]
"""


FCS = """nodegraph: 1
nodes:
  noise: {type: Noise, shape: [4]}
  fc: {type: Linear, features: 3, in: {x: noise}}
  fc2: {type: Linear, features: 7, in: {x: fc}}
  fc3: {type: Linear, features: 3, in: {x: fc2}}
"""


def small() -> Session:
    return Session(files.parse(TEXT).graph)


def errors(graph: Graph) -> list[str]:
    return [str(p) for p in checks.check(graph) if p.severity == "error"]


# Edits -------------------------------------------------------------------------------------------


def test_every_edit_is_one_step_that_can_be_undone():
    session = small()

    def grouped() -> bool:
        session.select(["fc", "act"])
        return session.group("Head")

    def inside() -> bool:
        return session.enter("head") and session.set_param("fc", "features", 12)

    def outside() -> bool:
        return session.leave() and session.ungroup()

    steps = [
        lambda: session.add("Conv2d", at=(3.4, 5)),
        lambda: session.rename("conv2d", "conv"),
        lambda: session.set_param("conv", "channels", 4),
        lambda: session.connect(Ref("digits", "image"), Ref("conv", "x")),
        lambda: session.insert_on_link("Dropout", Ref("loss", "logits")),
        lambda: session.move({"conv": (7, 8), "gone": (0, 0)}),
        lambda: session.add_frame(0, 0, 300, 200, "Part"),
        lambda: session.set_colour("#aa3322", ["conv"]),
        lambda: session.collapse(True, ["fc"]),
        lambda: session.set_reroutes(Ref("conv", "x"), [(1, 2), (3, 4)]),
        lambda: session.expose_param("fc", "features", "width"),
        lambda: session.bypass(["act"]),
        lambda: session.freeze("conv"),
        lambda: session.set_meta("title", "Other"),
        lambda: session.repeat_update("learn", 0, 3),
        lambda: session.set_steps("learn", 20),
        grouped,
        inside,
        outside,
    ]
    seen = [session.root]
    for step in steps:
        session.select([*session.selection])
        assert step(), session.message
        assert len(session.history.labels) == len(seen) + 1, session.history.labels
        seen.append(session.root)
        assert files.parse(files.dumps(session.root)).graph == session.root
    for graph in seen[-2::-1]:
        session.undo()
        assert session.root is graph
    assert not session.undo() and not session.changed
    for graph in seen[1:]:
        session.redo()
        assert session.root is graph


def test_a_refused_edit_changes_nothing_and_says_why():
    session = small()
    before, edition = session.root, session.edition
    assert not session.connect(Ref("act"), Ref("fc", "x"))
    assert session.message == (
        "this link would close the loop act → fc → act; remove a link of it first", "refused"
    )  # fmt: skip
    assert session.root is before and session.edition == edition and not session.changed
    assert not session.add("Linearr") and "did you mean 'Linear'" in session.message[0]


def test_a_drag_is_one_step_whatever_it_passes():
    session = small()
    for x in range(50):
        session.move({"fc": (200 + x, 0)}, gesture=1)
    assert session.history.labels == ["Open", "Move"]
    session.move({"fc": (0, 0)}, gesture=2)
    assert len(session.history.labels) == 3
    session.undo()
    assert session.graph.layout["fc"] == [249, 0]


def test_the_selection_follows_what_is_selected():
    session = small()
    session.select("fc")
    session.rename("fc", "dense")
    assert session.selection == {"dense"}
    session.undo()
    assert session.selection == {"fc"}
    session.select(["act"], add=True)
    session.select(["fc"], toggle=True)
    assert session.selection == {"act"}
    session.duplicate()
    assert session.selection == {"act_2"}
    session.delete()
    assert session.selection == frozenset()
    session.undo()
    assert session.selection == {"act_2"}
    session.select(["fc", "act"])
    session.group("Head")
    assert session.selection == {"head"}
    session.ungroup()
    assert session.selection == {"fc", "act"}


def test_a_new_node_takes_the_link_that_was_dragged_to_it():
    session = small()
    session.add("Sigmoid", link_from=Ref("act"))
    assert session.graph.links[Ref("sigmoid", "x")] == Ref("act")
    session.add("Linear", link_to=Ref("act", "x"))
    assert session.graph.links[Ref("act", "x")] == Ref("linear")
    assert not session.add("FontDigits", link_from=Ref("act"))
    assert "font_digits" not in session.graph.nodes


def test_a_link_dragged_away_moves_in_one_step():
    session = small()
    session.add("Sigmoid")
    session.connect(Ref("fc"), Ref("sigmoid", ""), instead=Ref("act", "x"))
    assert session.graph.links[Ref("sigmoid", "x")] == Ref("fc")
    assert Ref("act", "x") not in session.graph.links
    assert len(session.history.labels) == 3


def test_inserting_keeps_the_place_among_many_links():
    session = Session.open(DANN)
    assert session.insert_on_link("Clamp" if "Clamp" in session.library else "Detach",
                                  Ref("adapt", "loss"), Ref("digit_loss"))  # fmt: skip
    first, second = refs(session.graph.links[Ref("adapt", "loss")])
    assert second == Ref("domain_loss") and session.graph.links[Ref(first.node, "x")]


def test_a_bypassed_node_is_passed_by_and_comes_back():
    session = small()
    session.select("act")
    assert session.bypass()
    assert session.graph.nodes["act"].bypassed and session.graph.links[Ref("act", "x")]
    body, _ = infer(session.root, standard())
    assert "act" not in body.calls
    assert body.calls["loss"].inputs["logits"] == Ref("fc")
    assert errors(session.root) == []
    assert files.parse(files.dumps(session.root)).graph == session.root
    assert session.bypass() and not session.graph.nodes["act"].bypassed
    assert not session.bypass(["fc"])
    assert session.message[0] == "adam trains nothing else; bypass adam too, or neither"


def test_a_bypassed_node_in_a_group_is_passed_by_in_every_call():
    session = Session.open(DANN)
    assert session.enter("features") and session.bypass(["relu1"])
    body, problems = infer(session.root, standard())
    inner = body.calls["features_t"].body
    assert inner is not None and "relu1" not in inner.calls and problems == []
    assert inner.calls["pool1"].inputs["x"] == Ref("conv1")


def test_a_bypassed_module_leaves_its_weights_to_the_next_call():
    text = TEXT.replace("  act:", "  again: {shares: fc, in: {x: flat}}\n  act:")
    session = Session(files.parse(text.replace("{x: fc}", "{x: again}")).graph)
    assert session.bypass(["fc"])
    body, problems = infer(session.root, standard())
    assert problems == [] and body.calls["again"].owner == "again"
    assert body.calls["adam"].node.over == ("again",)


def test_a_parameter_of_a_group_is_exposed():
    session = Session.open(DANN)
    session.enter("features")
    assert session.expose_param("conv1", "channels", "width")
    assert session.graph.params["width"] == 32
    assert session.graph.nodes["conv1"].params["channels"] == Reference("width")
    session.leave()
    assert session.set_param("features", "width", 8), session.message
    assert errors(session.root) == []
    assert session.set_param("source", "batch", "$batch")
    assert not session.set_param("source", "batch", "$nothing")


def test_exposing_changes_no_value():
    session = Session(files.parse(FCS).graph)
    for name in ("fc", "fc2", "fc3"):
        assert session.expose_param(name, "features")
    assert session.root.params == {"features": 3, "features_2": 7}
    given = {n: e.params["features"] for n, e in session.root.nodes.items() if n != "noise"}
    shared = Reference("features")
    assert given == {"fc": shared, "fc2": Reference("features_2"), "fc3": shared}
    assert session.expose_param("fc2", "bias", "features")  # true is not 3
    assert session.root.params["features_3"] is True
    assert session.add("Linear") and session.expose_param("linear", "features")  # it has none yet
    assert session.root.nodes["linear"].params == {"features": shared}


# Groups ------------------------------------------------------------------------------------------


def test_groups_are_entered_edited_and_left():
    session = Session.open(DANN)
    assert not session.enter("source") and session.message[1] == "refused"
    session.enter("features_t")
    assert session.path == ("Features",) and "conv1" in session.graph.nodes
    assert session.place("conv1", "y") == "features_t/conv1.y"
    session.add("ReLU")
    session.leave()
    assert session.selection == {"features_t"} and session.path == ()
    session.undo()
    assert session.path == ("Features",)  # where what was undone can be seen
    session.leave()
    session.redo()
    assert session.path == ("Features",) and session.selection == frozenset()


def test_undoing_a_group_leaves_it():
    session = small()
    session.select(["fc", "act"])
    session.group("Head")
    session.enter("head")
    session.undo()
    assert session.path == () and "fc" in session.graph.nodes


# Clipboard ---------------------------------------------------------------------------------------


def test_nodes_go_through_the_clipboard_to_another_window():
    here, there = Session.open(DANN), Session()
    here.add_frame(0, 0, 9, 9, "F")
    here.select(["features", "digits", "frame:f1"])
    here.set_colour("#123456")
    text = here.copy()
    assert text.startswith("nodegraph: 1")
    assert there.paste(text, at=(1000, 500)), there.message
    assert there.selection == {"features", "digits", "frame:f1"}
    assert "Features" in there.root.groups and "LabelHead" in there.root.groups
    xs = [there.graph.layout[n][0] for n in ("features", "digits")]
    assert sum(xs) == 2000
    assert layout.section(there.graph.layout, "colours")["features"] == "#123456"
    assert layout.frames(there.graph.layout)["f1"]["title"] == "F"


def test_a_paste_keeps_inbound_links_only_when_asked():
    session = small()
    session.select("act")
    session.copy()
    session.paste()
    assert Ref("act_2", "x") not in session.graph.links
    session.paste(keep_inbound=True)
    assert session.graph.links[Ref("act_3", "x")] == Ref("fc")


@pytest.mark.parametrize("text", ["", "hello", "nodegraph: 1", "a: [", "{}", "\0"])
def test_a_clipboard_without_nodes_is_refused(text: str):
    session = small()
    assert not session.paste(text)
    assert session.message == ("the clipboard holds no nodes; copy some first", "refused")


def test_cutting_is_one_step_that_keeps_what_was_cut():
    session = small()
    session.select("act")
    assert session.cut() and "act" not in session.graph.nodes
    assert len(session.history.labels) == 2
    assert session.paste() and "act" in session.graph.nodes


# Layout ------------------------------------------------------------------------------------------


def test_frames_colours_and_reroutes_follow_their_nodes():
    session = small()
    session.set_colour("#ff0000", ["fc", "act"])
    session.collapse(True, ["fc"])
    session.set_reroutes(Ref("fc", "x"), [(5, 5)])
    session.rename("fc", "dense")
    found = session.graph.layout
    assert found["colours"] == {"dense": "#ff0000", "act": "#ff0000"}
    assert found["collapsed"] == ["dense"] and found["reroutes"] == {"dense.x": [[5, 5]]}
    session.select(["dense", "act"])
    session.group("Head")
    assert not {"colours", "collapsed", "reroutes"} & {*session.graph.layout}
    assert session.root.groups["Head"].layout["colours"]["dense"] == "#ff0000"
    session.ungroup()
    assert session.graph.layout["colours"] == found["colours"]
    session.disconnect(Ref("dense", "x"))
    assert "reroutes" not in session.graph.layout
    session.select("dense")
    session.delete()
    assert "collapsed" not in session.graph.layout


def test_a_layout_of_anything_at_all_hurts_nobody():
    words = ("frames", "colours", "collapsed", "reroutes", "remarks", "fc", "act", "x")
    values = [3, "a", [1, 2], [1], {"a": 1}, {"fc": [1, 2]}, {"fc.x": [[1]]}, {"f": {"x": "a"}},
              ["fc", 3], {"f": {"x": 1, "y": 2, "w": 3, "h": 4}}, None,
              [1, float("nan")]]  # fmt: skip
    draw = random.Random(3)
    for _ in range(150):
        graph = files.parse(TEXT).graph
        session = Session(graph.with_(layout={w: draw.choice(values) for w in words}))
        session.select_all()
        session.duplicate()
        session.rename("fc", "dense")
        session.add_frame(1, 2, 3, 4)
        session.collapse()
        session.set_colour("#123456")
        session.select(["dense", "act"])
        session.group("Head")
        session.ungroup()
        session.delete()
        session.jump(0)


# Training ----------------------------------------------------------------------------------------


def test_the_training_programme_is_edited_from_inside_a_group_too():
    session = Session.open(DANN)
    session.enter("features")
    assert session.add_stage("more") and session.path == ("Features",)
    assert session.move_stage("more", 0)
    assert session.set_stage("more", run=("adapt",))
    assert session.add_update("more", "adapt_sgd") and session.repeat_update("more", 0, 3)
    assert rows(session.root.train[0]) == [("adapt", 3), ("adapt_sgd", 1)]
    assert session.move_update("more", 1, 0)
    assert rows(session.root.train[0]) == [("adapt_sgd", 1), ("adapt", 3)]
    assert session.repeat_update("more", 1, 2)
    assert session.root.train[0].run == ("adapt_sgd", "adapt", "adapt")
    assert session.watch("more", "accuracy_t") and session.watch("more", "domain_s")
    assert session.watch("more", "accuracy_t", on=False)
    assert session.root.train[0].watch == ("domain_s",)
    assert session.set_steps("more", "$steps") and not session.set_steps("more", 0)
    assert not session.add_update("more", "domain_loss") and "no update" in session.message[0]
    assert not session.remove_update("more", 7)
    assert session.remove_stage("more")


# Files -------------------------------------------------------------------------------------------


def test_saving_keeps_comments_and_clears_the_mark(tmp_path: Path):
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    session = Session.open(file)
    assert not session.changed and session.title == "Small"
    session.move({"fc": (1, 2)})
    assert session.changed and session.save() and not session.changed
    assert file.read_text() == TEXT.replace("fc: [200, 0]", "fc: [1, 2]")
    session.undo()
    assert session.changed
    assert session.redo() and not session.changed


def test_an_unsaved_graph_asks_for_a_file_and_takes_no_comments_of_another(tmp_path: Path):
    other = tmp_path / "other.yaml"
    other.write_text(TEXT)
    session = Session.open(DANN, copy=True)
    assert not session.save() and "choose one" in session.message[0]
    assert session.save(other) and "# a source" not in other.read_text()
    assert Session.open(other).root == session.root


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_lost(tmp_path: Path):
    session = small()
    session.add("ReLU")
    assert not session.save(tmp_path / "no" / "folder.yaml")
    assert session.message[1] == "error" and session.changed and session.file is None


def test_a_change_on_disk_is_noticed_and_can_be_taken_over(tmp_path: Path):
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    session = Session.open(file)
    assert not session.disk_changed()
    os.utime(file, ns=(1, 1))
    assert not session.disk_changed()  # touched, not changed
    file.write_text(TEXT.replace("title: Small", "title: Large"))
    assert session.disk_changed()
    assert session.reload() and session.title == "Large" and not session.changed
    assert not session.disk_changed()
    assert session.undo() and session.title == "Small" and session.changed
    file.unlink()
    assert session.disk_changed()
    assert not session.reload() and session.message[1] == "error"
    session.keep_mine()
    assert session.changed and not session.disk_changed() and session.save()


def test_a_file_of_a_newer_format_is_opened_with_a_word(tmp_path: Path):
    file = tmp_path / "newer.yaml"
    file.write_text(TEXT.replace("nodegraph: 1", "nodegraph: 2"))
    for copy in (False, True):
        session = Session.open(file, copy=copy)
        assert session.message and session.message[1] == "refused"
        assert "newer" in session.message[0], session.message
    file.write_text(TEXT)
    session = Session.open(file)
    assert session.message is None
    file.write_text(TEXT.replace("nodegraph: 1", "nodegraph: 2"))
    assert session.reload() and "newer" in session.message[0]


def test_a_file_is_one_file_however_it_is_named(tmp_path: Path):
    file, link = tmp_path / "small.yaml", tmp_path / "link.yaml"
    file.write_text(TEXT)
    link.symlink_to(file.name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "way").symlink_to("folder")
    names = [file, link, tmp_path / "folder" / ".." / "small.yaml", tmp_path / "way/../link.yaml"]
    assert [Session.open(name).file for name in names] == [file.resolve()] * 4
    assert Session.recover(TEXT, link).file == file.resolve()
    assert Session.open(link, copy=True).file is None


def test_a_save_through_a_link_writes_what_it_leads_to(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    file, link = tmp_path / "folder" / "small.yaml", tmp_path / "link.yaml"
    file.write_text(TEXT)
    link.symlink_to(file)
    session = Session.open(link)
    assert session.set_meta("title", "Large") and session.save()
    assert link.is_symlink() and file.read_text() == TEXT.replace("Small", "Large")
    assert session.set_meta("title", "Larger") and session.save(link) and not session.changed
    assert link.is_symlink() and session.file == file.resolve()
    assert file.read_text() == TEXT.replace("Small", "Larger")
    assert {p.name for p in tmp_path.rglob("*")} == {"folder", "small.yaml", "link.yaml"}
    other = small()  # a link to what is not there yet
    (tmp_path / "new.yaml").symlink_to(tmp_path / "folder" / "made.yaml")
    assert other.save(tmp_path / "new.yaml") and other.file == (file.parent / "made.yaml").resolve()
    assert (tmp_path / "new.yaml").is_symlink() and not other.disk_changed()
    file.unlink()
    assert session.disk_deleted() and session.save() and link.read_text() == file.read_text()


def test_a_graph_whose_file_is_deleted_is_not_lost(tmp_path: Path):
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    session = Session.open(file)
    assert not session.disk_deleted() and not session.changed
    file.unlink()
    assert session.changed and session.disk_changed() and session.disk_deleted()
    assert not session.reload() and session.message == (
        "small.yaml is gone; save the graph to write it again", "error"
    )  # fmt: skip
    assert session.changed and session.root.nodes
    assert session.save() and file.read_text() == TEXT
    assert not session.changed and not session.disk_changed() and not session.disk_deleted()


def test_a_file_that_was_deleted_and_came_back_is_not_deleted(tmp_path: Path):
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    session = Session.open(file)
    file.unlink()
    assert session.disk_deleted()
    file.write_text(TEXT)  # as some programs save
    assert not session.disk_deleted() and not session.disk_changed() and not session.changed
    file.write_text("nodegraph: [")  # no graph: nothing of the one here may be lost
    assert session.disk_changed() and not session.disk_deleted()
    assert not session.reload() and "is gone" not in session.message[0] and session.changed


# The analysis, time and memory -------------------------------------------------------------------


def test_a_fix_of_the_analysis_is_one_step():
    session = small()
    session.select("flat")
    session.delete(reconnect=True)
    assert session.graph.links[Ref("fc", "x")] == Ref("digits", "image")
    fix = {"do": "insert", "type": "Flatten", "on": "fc.x"}
    message = {"id": session.edition, "problems": [{"fix": fix}], "key": "", "do": "analysis"}
    session.analysis = Analysis.from_message(message)
    assert session.fix(session.analysis.problems[0])
    assert errors(session.root) == []
    assert session.history.labels[-1] == "Insert Flatten on fc.x"
    fixed = session.root
    assert not session.fix(session.analysis.problems[0]) and session.root is fixed
    assert "before the last change" in session.message[0] and session.message[1] == "refused"
    assert session.undo()  # to an equal graph, which may have been analysed: it is asked again
    session.analysis = Analysis.from_message({**message, "id": session.edition})
    assert session.fix(session.analysis.problems[0]) and session.root == fixed
    session.analysis = Analysis.from_message({**message, "id": session.edition})
    assert not session.fix({"fix": {"do": "set", "node": "no", "param": "x", "value": 1}})
    assert not session.fix({}) and session.message[1] == "refused"


def chain(length: int) -> Session:
    lines = [f"  n{i}: {{type: ReLU, in: {{x: n{i - 1}}}}}" for i in range(1, length)]
    places = [f"  n{i}: [{i * 100}, 0]" for i in range(length)]
    head = "nodegraph: 1\nnodes:\n  n0: {type: FontDigits}\n"
    text = head + "\n".join(lines).replace("x: n0}", "x: n0.image}")
    return Session(files.parse(text + "\nlayout:\n" + "\n".join(places)).graph)


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, whatever the machine does beside it."""
    count = 0

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_the_work_of_an_edit_grows_no_faster_than_the_graph():
    def work(nodes: int) -> list[int]:
        session = chain(nodes)
        edits = [
            lambda: session.add("ReLU"),
            lambda: session.connect(Ref("n11"), Ref("re_lu", "x")),
            lambda: session.move({"n12": (1, 2)}),
            lambda: session.rename("n13", "m13"),
            lambda: session.undo(),
        ]
        return [calls(edit) for edit in edits]

    for few, many in zip(work(250), work(1000), strict=True):
        assert many < 5 * few and many < 100 * 1000, (few, many)


def test_memory_does_not_grow_by_adding_and_undoing():
    session = small()

    def cycles(count: int) -> None:
        for _ in range(count):
            assert session.add("ReLU", at=(1, 2)) and session.undo()

    cycles(100)
    gc.collect()
    tracemalloc.start()
    cycles(4900)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_000_000
    assert len(session.history.labels) == 2


def test_a_further_call_shares_the_weights_of_what_is_selected():
    session = Session.open(DANN)
    session.select(["features", "reversed"])
    assert session.call_again()
    new = [n for n in session.root.nodes if n in session.selection]
    shares = {n: session.root.nodes[n].shares for n in new}
    assert sorted(shares.values()) == ["", "features"]  # a reversal has no weights to share
    call = next(n for n, s in shares.items() if s)
    assert session.root.owner(call) == "features"
    other = next(n for n in new if n != call)
    assert session.root.links[Ref(other, "x")].node == call  # links between them are copied too
    session.undo()
    assert session.root == Session.open(DANN).root
