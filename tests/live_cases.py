"""A run in the real window: play, watch, turn, change, go back, branch, stop. Real events alone.

`test_window.py` runs this in a process of its own.
"""

from __future__ import annotations

import ctypes
import math
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from screen import Screen
from soak import GRAPH, grown, soak

from nodegraph import files, runs
from nodegraph.gui import desktop
from nodegraph.gui.curves import SIDE
from nodegraph.gui.live import Curve, Live
from nodegraph.gui.probing import notes_on

GRAPHS = files.graphs_folder()
START = 240.0  # seconds that the worker may take to begin, on a busy machine


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("state"), (1280, 860))
    yield screen
    screen.close()


@pytest.fixture
def screen(opened: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    monkeypatch.chdir(tmp_path)  # runs/ is made there
    opened.fresh()
    yield opened
    for tab in opened.window.documents.tabs:
        tab.live.stop()
        assert opened.wait(lambda t=tab: not t.live.alive and t.live.state != "stopping", 90)
    assert not opened.window.faults, opened.window.faults


def live_of(screen: Screen) -> Live:
    assert screen.window.tab is not None
    return screen.window.tab.live


def small_dann(screen: Screen) -> Live:
    """DANN on few digits, opened, checked, all in sight."""
    graph = files.load(GRAPHS / "dann.yaml")
    screen.load(graph=graph.with_(params={**graph.params, "count": 300, "batch": 16, "steps": 400}))
    assert screen.wait(lambda: screen.session.analysis is not None, 60)
    screen.key("f")
    return live_of(screen)


def written(screen: Screen) -> set[str]:
    """The words that stand over the canvas."""
    found = screen.dpg.get_item_children(screen.window.canvas.layers["overlay"], 2)
    texts = [i for i in found if "mvDrawText" in screen.dpg.get_item_type(i)]
    return {screen.dpg.get_item_configuration(i)["text"] for i in texts}


def state(screen: Screen, wanted: str, seconds: float = 90) -> None:
    live = live_of(screen)
    assert screen.wait(lambda: live.state == wanted, seconds), (live.state, live.said(), live.told)


def show_runs(screen: Screen) -> None:
    """The tab of the runs, once they are read and listed."""
    screen.key("4", "alt")
    screen.turn(4)
    panel = screen.window.dock.runs
    assert screen.wait(lambda: panel.reading is None and panel.drawn == panel.count)
    screen.turn(4)


def test_dann_is_opened_trained_turned_changed_and_branched(screen: Screen) -> None:
    dpg, window = screen.dpg, screen.window
    # From the gallery, by a click on its card.
    screen.turn(4)
    cards = [i for i in dpg.get_all_items() if dpg.get_item_label(i) == "Open"]
    cards = [i for i in cards if "mvButton" in dpg.get_item_type(i)]
    index = next(i for i, (p, _) in enumerate(window.gallery.graphs) if p.stem == "dann")
    while dpg.get_item_rect_min(cards[index])[1] > 800:  # it is farther down
        screen.wheel((600, 400), -1)
    screen.click(screen.middle(cards[index]))
    assert screen.session.title == "DANN"
    screen.session.set_graph_param("count", 300)
    screen.session.set_graph_param("batch", 16)
    assert screen.wait(lambda: screen.session.analysis is not None, 60)
    live = live_of(screen)
    # Play: curves move, pictures come.
    screen.click(screen.middle(screen.item("Train")))
    state(screen, "running", START)
    assert screen.wait(lambda: "mixing" in live.pictures and live.step > 5, 60)
    first = live.pictures["mixing"]
    texture = window.canvas.pictures["mixing"].texture
    assert screen.wait(lambda: live.pictures["mixing"].step > first.step, 90)
    screen.turn(3)
    assert live.pictures["mixing"].rows != first.rows  # other pixels
    assert window.canvas.pictures["mixing"].texture != texture
    assert screen.wait(lambda: len(live.curves["digit_loss"].steps) > 5, 60)
    assert all(map(math.isfinite, live.curves["digit_loss"].values))
    (line,) = [v for (run, name), v in window.dock.curves.lines.items() if name == "digit_loss"]
    assert len(dpg.get_value(line)[0]) > 3
    # λ is turned while it runs: one step of the history, marked on the curves.
    steps = len(screen.session.history.labels)
    screen.click(screen.title("strength"))
    screen.turn(3)
    screen.click(screen.middle(window.inspector.panels["Node"].widgets["gamma"], inspector=True))
    screen.rewrite("5")
    assert len(screen.session.history.labels) == steps + 1
    assert screen.wait(lambda: live.marks, 60), live.told
    assert "gamma" in live.marks[-1][1] and "5" in live.marks[-1][1]
    assert live.state == "running"
    # Pause, one step.
    screen.at(screen.empty(0.5, 0.05))
    screen.key("f5")
    state(screen, "paused")
    before = live.step
    screen.key("f10")
    assert screen.wait(lambda: live.step == before + 1 and live.state == "paused", 60)
    # A structural edit waits until it is applied; the other layers keep their weights.
    screen.session.insert_on_link("Tanh", *one_link(screen, "digit_loss", "logits"))
    screen.turn(4)
    assert screen.wait(lambda: live.waiting, 40)
    screen.click(screen.middle(screen.item("Apply")))
    assert screen.wait(lambda: any("layers kept" in t for *_, t in live.told), 90), live.told
    assert "7 of 7 layers kept" in " ".join(t for *_, t in live.told)
    screen.key("f10")
    assert screen.wait(lambda: live.step == before + 2, 60)
    # Undo brings the old graph and its checkpoint back.
    screen.key("z", "ctrl")
    assert "tanh" not in screen.session.graph.nodes
    assert screen.wait(lambda: live.step == before + 1, 90), live.told
    # Look back, and branch.
    screen.key("f10")
    assert screen.wait(lambda: live.step == before + 2, 60)
    old = live.folder
    screen.turn(6)  # the bar may still change its rows
    x, y = dpg.get_item_rect_min("transport:time")
    screen.click((x + 8, y + 10))  # at the very beginning
    screen.turn(4)
    assert window.transport.looking is not None
    screen.click(screen.middle(screen.item("Branch from 0")))
    state(screen, "paused", START)
    assert screen.wait(lambda: live.folder not in (old, None), 60)
    assert runs.about(live.folder)["branched_from"]["run"] == old.name
    state(screen, "paused", START)
    screen.turn(3)
    screen.click(screen.middle(screen.item("Stop")))
    state(screen, "stopped", 90)


def one_link(screen: Screen, node: str, port: str) -> tuple:
    from nodegraph.graph import Ref

    return Ref(node, port), None


def weights(run: Path) -> dict[str, torch.Tensor]:
    last = runs.checkpoints(run)[-1].name
    return load_file(run / "checkpoints" / last / "weights.safetensors")


def test_a_run_in_the_window_equals_one_in_the_terminal(screen: Screen, tmp_path: Path) -> None:
    from nodegraph.training import run as training
    from nodegraph.training.trainer import Options

    live = small_dann(screen)
    screen.session.set_graph_param("steps", 6)
    live.options.device, live.options.seed = "cpu", 3
    screen.key("f5")
    state(screen, "running", START)
    screen.key("p")  # probes, and pictures, and pauses change nothing
    screen.key("f5")
    screen.wait(lambda: live.state in ("paused", "finished"), 60)
    screen.key("f5")
    state(screen, "finished", 60)
    trainer = training.start(screen.session.root, run=tmp_path / "alone",
                             options=Options(seed=3, device="cpu"))  # fmt: skip
    for _ in trainer.events():
        pass
    ours, theirs = weights(live.folder), weights(tmp_path / "alone")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    other = training.start(screen.session.root, run=tmp_path / "other",
                           options=Options(seed=4, device="cpu"))  # fmt: skip
    for _ in other.events():
        pass
    assert not all(torch.equal(ours[k], v) for k, v in weights(tmp_path / "other").items())


def test_a_killed_worker_is_told_and_its_run_goes_on(screen: Screen) -> None:
    import os
    import signal

    live = small_dann(screen)
    screen.key("f5")
    state(screen, "running", START)
    assert screen.wait(lambda: live.step > 3, 90)
    os.kill(live.run.pid, signal.SIGKILL)
    state(screen, "died", 5)
    assert screen.wait(lambda: any("resumed" in text for *_, text in live.told), 5)
    folder = live.folder
    screen.key("4", "alt")
    screen.turn(4)
    assert folder is not None
    screen.window.documents.open_run(folder)
    state(screen, "paused", START)
    assert live_of(screen) is not live
    assert screen.wait(lambda: live_of(screen).folder == folder, 60)


def test_peek_probe_and_a_stored_picture(screen: Screen) -> None:
    live = small_dann(screen)
    screen.key("f5")
    state(screen, "running", START)
    view = screen.gestures.view
    box = screen.scene.boxes["features"]
    screen.gestures.view = view.__class__(box.x - 60, box.y - 60, 1.0, view.width, view.height)
    screen.turn(2)
    screen.click(screen.pin("features", "out", "features"), "right")
    screen.turn(2)
    screen.key("down")
    screen.key("enter")
    assert live.peeks == ["features"]
    assert screen.wait(lambda: "features" in live.pictures, 90), live.told
    screen.at(screen.empty(0.5, 0.95))
    canvas = screen.window.canvas
    plain = {link: wire.width for link, wire in canvas.wires.items()}
    assert {*plain.values()} == {1.0} and "zoom in" not in written(screen)
    screen.key("p")
    assert screen.wait(lambda: live.probe, 90), live.told
    screen.turn(4)
    assert any("±" in found.words[0] for found in canvas.probes.values())
    # From afar the numbers can't be read: links are wide or thin, and a legend says what to do.
    assert "zoom in" not in written(screen)
    near = screen.gestures.view
    screen.gestures.view = replace(near, zoom=0.25)
    screen.turn(4)
    assert canvas.far and "zoom in" in written(screen)
    assert canvas.views > {"images", "mixing"}  # pictures are there from afar too
    for item in (canvas.layers["views"], *(canvas.boxes[name].item for name in canvas.views)):
        assert screen.dpg.get_item_configuration(item)["show"]
    widths = {to: canvas.wires[link].width for link in plain for to in [str(link.to)]}
    assert widths["digits.x"] > 1 > widths["accuracy_t.logits"]  # no loss flows through a metric
    thick = [screen.dpg.get_item_configuration(item)["thickness"]
             for wire in canvas.wires.values() for item in wire.far]  # fmt: skip
    assert max(thick) > 2 * min(thick)
    screen.gestures.view = near
    screen.turn(2)
    notes = notes_on(live.probe, screen.session)
    assert "∇ × −" in notes["reversed"][1].replace("-", "−") and "cos" in notes["features"][1]
    assert screen.wait(lambda: live.frame("images", live.step) is not None, 60)
    picture = live.frame("images", live.step)
    folder = live.folder
    screen.key("f5")
    state(screen, "paused")
    # Pictures follow the theme, also while nothing is trained.
    for theme, ground in (("light", (244, 245, 247)), ("dark", (27, 31, 37))):
        screen.window.switch_theme()
        assert screen.window.palette.name == theme
        assert screen.wait(lambda g=ground: live.pictures["mixing"].rows[-3:] == bytes(g), 60)
    # A picture says where it comes from: opening it begins a branch there.
    screen.window.documents.open(picture)
    state(screen, "paused", START)
    branch = live_of(screen)
    assert branch is not live and screen.wait(lambda: branch.folder not in (folder, None), 60)
    assert runs.about(branch.folder)["branched_from"]["run"] == folder.name


def test_two_presses_of_apply_are_one_and_a_branch_has_its_graph(screen: Screen) -> None:
    live = small_dann(screen)
    screen.key("f10")
    state(screen, "paused", START)
    assert screen.wait(lambda: live.step == 1, 60)
    original = screen.session.root
    screen.session.insert_on_link("Tanh", *one_link(screen, "digit_loss", "logits"))
    assert screen.wait(lambda: live.waiting, 60)
    screen.key("f6")
    screen.key("f6")
    screen.session.set_graph_param("rate", 0.002)  # a knob before the answer
    assert screen.wait(lambda: len(live.marks) == 2 and not live.waiting, 60), live.marks
    assert len(live.before) == 1 and "tanh" in live.marks[0][1] and "rate" in live.marks[1][1]
    screen.key("f10")
    assert screen.wait(lambda: live.step == 2, 60)
    first = live.checkpoints()[0]
    screen.window.transport.branch_at(first[1])
    assert screen.wait(lambda: live.state == "paused" and live.step == first[0], START)
    assert screen.session.root.with_(layout={}) == original.with_(layout={})
    screen.turn(5)
    assert not live.waiting and screen.wait(lambda: live.pictures, 60)  # also while it is paused


def test_a_run_folder_that_is_broken_breaks_nothing(screen: Screen, tmp_path: Path) -> None:
    live = small_dann(screen)
    screen.key("f10")
    state(screen, "paused", START)
    assert screen.wait(lambda: live.folder, 60)
    screen.key("f5", "shift")
    state(screen, "stopped", 90)
    for name, part, text in (
        ("a", "edits.jsonl", '{"a": 1}\n'), ("b", "run.json", '{"options": {"seed": "x"}}'),
        ("c", "graph.yaml", "\udcff"), ("d", "metrics.jsonl", '{"index": "x", "step": []}\n'),
    ):  # fmt: skip
        shutil.copytree(live.folder, tmp_path / "runs" / name)
        raw = text.encode("utf-8", "surrogateescape")
        (tmp_path / "runs" / name / part).write_bytes(raw)
    show_runs(screen)
    assert not screen.window.faults and len(screen.items("compare")) >= 2
    screen.click(screen.middle(screen.item("Resume")))
    state(screen, "running", START)


def test_the_programme_runs_one_update_alone(screen: Screen) -> None:
    screen.load((GRAPHS / "dcgan.yaml").read_text())
    screen.session.set_graph_param("batch", 8)
    assert screen.wait(lambda: screen.session.analysis is not None, 60)
    screen.key("f10")
    state(screen, "paused", START)
    live = live_of(screen)
    assert screen.wait(lambda: live.step == 1, 90)
    screen.key("1", "alt")
    screen.turn(4)
    screen.click(screen.middle(screen.item("once")))
    assert screen.wait(lambda: any(e.update == "d_step" for e in runs.edits(live.folder)), 90)
    assert live.step == 1 and live.state == "paused"  # one update is no step


def test_runs_are_listed_overlaid_compared_exported_and_deleted(
    screen: Screen, tmp_path: Path
) -> None:
    screen.load(GRAPH.replace("20000", "12, rate: 0.03").replace("lr: 0.01", "lr: $rate"))
    live = live_of(screen)
    screen.key("f5")
    state(screen, "finished", START)
    first = live.folder
    screen.session.set_graph_param("rate", 0.01)
    assert screen.wait(lambda: live.marks and not live.waiting, 60)
    screen.turn(3)
    screen.click(screen.middle(screen.item("Stop")))
    state(screen, "stopped", 90)
    live.options.seed = 5
    screen.click(screen.middle(screen.item("Train")))
    state(screen, "finished", START)
    assert live.folder != first and first is not None
    show_runs(screen)
    screen.click(screen.middle(screen.item("overlay")))
    screen.turn(4)
    curves = screen.window.dock.curves
    assert screen.window.dock.front == "Curves" and list(curves.others) == [first.name]
    assert (first.name, "loss") in curves.lines
    line = curves.lines[first.name, "loss"]
    assert len(screen.dpg.get_value(line)[0]) >= 2
    # Numbers, and a picture, of what is shown.
    screen.click(screen.middle(screen.item("CSV")))
    screen.rewrite("numbers")
    screen.turn(3)
    text = (tmp_path / "numbers.csv").read_text()
    assert f"{first.name},loss,1," in text and f"{live.folder.name},loss,1," in text
    screen.click(screen.middle(screen.item("PNG")))
    screen.rewrite("plot")
    assert screen.wait((tmp_path / "plot.png").exists, 40)
    screen.turn(3)
    wide, high, *_ = screen.dpg.load_image(str(tmp_path / "plot.png"))
    assert wide > 200 and high > 80
    # What differs, in words; and away with it.
    show_runs(screen)
    screen.click(screen.middle(screen.item("open")))
    screen.turn(4)
    state(screen, "finished", START)
    assert screen.wait(lambda: live_of(screen).folder == first, 60)
    assert len(screen.items("delete")) == 0  # both are open in a tab
    other = live_of(screen)
    screen.key("w", "ctrl")
    assert screen.wait(lambda: not other.alive and other.state != "stopping", 60)
    screen.session.set_graph_param("rate", 0.02)
    screen.key("1", "alt")
    show_runs(screen)
    shown = screen.items("compare")
    screen.click(screen.middle(shown[-1]))
    screen.turn(3)
    words = [screen.dpg.get_value(i) for i in screen.dpg.get_all_items()
             if "mvText" in screen.dpg.get_item_type(i)]  # fmt: skip
    assert any("0.01 → 0.02" in str(w) for w in words)  # its last rate, not the one it began with
    screen.key("escape")
    screen.click(screen.middle(screen.items("delete")[-1]))
    screen.turn(2)
    screen.key("enter")
    assert screen.wait(lambda: not first.exists(), 5)
    assert live.folder.exists()


def test_training_is_refused_in_words_where_it_can_not_be(screen: Screen) -> None:
    screen.load("nodegraph: 1\nnodes:\n  x: {type: Noise, shape: [2]}\n")
    screen.turn(3)
    screen.key("f5")
    text, kind = screen.session.message or ("", "")
    assert kind == "refused" and "optimiser" in text and live_of(screen).state == "off"


def test_views_say_what_they_wait_for_and_look_into_groups(screen: Screen) -> None:
    screen.load((GRAPHS / "lenet.yaml").read_text())
    assert screen.wait(lambda: screen.session.analysis is not None, 60)
    live = live_of(screen)
    inner = [name for name in live.views() if "/" in name]
    assert inner
    screen.key("f5")
    state(screen, "running", START)
    assert screen.wait(lambda: inner[0] in live.pictures, 60), live.told
    group, view = inner[0].split("/")
    screen.session.enter(group)
    screen.turn(4)
    assert view in screen.window.canvas.pictures


def cut_off(screen: Screen) -> list[str]:
    """What of the controls of training is not wholly in sight."""
    dpg = screen.dpg
    (left, top), (wide, high) = dpg.get_item_pos("transport"), dpg.get_item_rect_size("transport")
    found, items = [], [*dpg.get_item_children("transport", 1)]
    for item in items:
        kind, known = dpg.get_item_type(item), dpg.get_item_state(item)
        if "mvGroup" in kind:
            items += dpg.get_item_children(item, 1)
        if "mvGroup" in kind or "mvTooltip" in kind or not known.get("rect_size"):
            continue
        (x, y), (w, h) = dpg.get_item_rect_min(item), dpg.get_item_rect_size(item)
        if x < left or y < top or x + w > left + wide or y + h > top + high:
            found.append(f"{kind} {dpg.get_item_label(item)} {(x, y, w, h)}")
    return found


def test_the_controls_of_training_are_in_reach_at_every_size_of_text(
    screen: Screen, tmp_path: Path
) -> None:
    window = screen.window
    screen.load(GRAPH.replace("20000", "60"))
    live = live_of(screen)
    try:
        for percent in (200, 150, 100):
            window.resize_text(percent - window.documents.settings.text_size)
            screen.turn(6)
            assert cut_off(screen) == []
        screen.key("f5")
        state(screen, "finished", START)
        show_runs(screen)
        x, y = screen.dpg.get_item_rect_min("transport:time")
        screen.click((x + 60, y + 10))
        screen.turn(3)
        step, name = window.transport.branching
        assert step % 6 == 0 and step <= window.transport.looking < step + 6
        for percent in (100, 150, 200):
            window.resize_text(percent - window.documents.settings.text_size)
            screen.turn(6)
            assert cut_off(screen) == [], percent
            ticks = screen.dpg.get_item_children("transport:ticks", 2)
            assert len(ticks) == len(live.checkpoints()) >= 11
            panel = screen.window.dock.runs
            assert screen.wait(lambda p=panel: p.reading is None and p.drawn == p.count)
            screen.turn(4)
            left, top = screen.dpg.get_item_pos("dock")
            for label in ("compare", "branch"):  # else the wheel brings it into sight
                for _ in range(9):
                    if not screen.items(label):
                        screen.wheel((left + 60, top + 42 * window.scale), -1)
                        screen.turn(2)
                assert screen.items(label), (percent, label)
        screen.dpg.set_item_width("transport", 120)  # a control: there things are cut off
        screen.turn(2)
        assert cut_off(screen)
        window.arrange()
        screen.turn(4)
        old = live.folder
        screen.click(screen.middle(screen.item(f"Branch from {step:,}")))
        state(screen, "paused", START)
        assert screen.wait(lambda: live.folder not in (old, None) and live.step == step, 60)
        assert runs.about(live.folder)["branched_from"]["checkpoint"] == name
    finally:
        window.resize_text(100 - window.documents.settings.text_size)
        screen.turn(4)


def test_a_run_is_attacked_in_a_tab_of_its_own(screen: Screen) -> None:
    graph = files.load(GRAPHS / "lenet.yaml")
    screen.load(graph=graph.with_(params={**graph.params, "steps": 20}))
    screen.key("f5")
    state(screen, "finished", START)
    old = live_of(screen)
    show_runs(screen)
    screen.click(screen.middle(screen.item("attack")))
    screen.turn(3)
    screen.click(screen.middle(screen.item("One step (FGSM)")))
    screen.turn(3)
    assert live_of(screen) is not old and screen.session.title.endswith("on LeNet")
    assert screen.session.graph.nodes["classifier"].weights == str(old.folder.resolve())
    screen.key("f5")
    state(screen, "finished", START)
    new = live_of(screen)
    assert screen.wait(lambda: "accuracy_attacked" in new.curves), new.curves.keys()


def test_a_seed_that_is_none_gives_way_to_the_one_that_holds(screen: Screen) -> None:
    screen.load(GRAPH)
    live, dpg = live_of(screen), screen.dpg
    live.options.seed = 7
    live.set_speed(3.0)  # none of those that can be chosen
    screen.window.transport.seen = ()
    screen.turn(3)
    fields = screen.window.transport.fields

    def seed() -> str:
        return str(dpg.get_value(fields.known[0].item))

    assert seed() == "7" and screen.window.transport.fields.known
    combos = [i for i in dpg.get_all_items() if "mvCombo" in dpg.get_item_type(i)]
    assert "3 steps/s" in [dpg.get_value(i) for i in combos]
    for typed, holds in (("1.5", "7"), ("99999999999999999999", "7"), ("12", "12")):
        screen.session.message = None
        screen.click(screen.middle(fields.known[0].item))
        screen.rewrite(typed)
        screen.turn(3)
        assert seed() == holds and live.options.seed == int(holds)
        told = screen.session.message
        assert (typed in told[0] and told[1] == "refused") if holds == "7" else told is None


def test_runs_are_read_while_the_window_goes_on(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen.load(GRAPH)
    (tmp_path / "runs" / "a").mkdir(parents=True)
    text = '{"options": {}, "preset": "", "settings": {}}'
    (tmp_path / "runs" / "a" / "run.json").write_text(text)
    (tmp_path / "runs" / "a" / "graph.yaml").write_text(GRAPH)
    for name in range(40):
        shutil.copytree(tmp_path / "runs" / "a", tmp_path / "runs" / f"b{name}")
    may = threading.Event()
    read = runs.read
    monkeypatch.setattr(runs, "read", lambda *a: read(*a) if may.wait(60) else None)
    screen.key("1", "alt")
    screen.key("4", "alt")
    screen.turn(5)  # a read that is waited for would be here for a minute
    assert screen.window.dock.runs.reading is not None
    assert len(screen.items("compare")) <= 3  # at most what a test before has left
    may.set()
    panel = screen.window.dock.runs
    assert screen.wait(lambda: panel.reading is None and panel.drawn == 41, 20)
    assert screen.wait(lambda: len(screen.items("compare")) > 3)


def test_watching_a_run_leaves_no_items_behind(screen: Screen) -> None:
    samples = soak(screen, 500, 60.0, 60)
    assert len(samples) >= 6 and samples[-1].pictures > 10
    assert set(grown(samples).values()) == {0}, samples


# A picture through the run -----------------------------------------------------------------------


def drop_file(screen: Screen, path: Path) -> None:
    """Hand a file over as the window system does, by the callback that GLFW has."""
    library = desktop.glfw()
    ours = library.glfwSetDropCallback(library.glfwGetCurrentContext(), desktop.drop)
    assert ours, "the window takes no files"
    desktop.drop(None, 1, (ctypes.c_char_p * 1)(str(path).encode()))


def test_a_picture_that_is_dropped_goes_through_the_run_and_is_saved(
    screen: Screen, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("RGB", (64, 48), (200, 100, 50)).save(given := tmp_path / "photo.png")
    screen.load(graph=files.load(GRAPHS / "pyramid.yaml"))
    drop_file(screen, given)
    assert screen.wait(lambda: "train, or open a run" in str(screen.session.message))
    assert screen.wait(lambda: screen.session.analysis is not None, 60)
    screen.key("f5")
    live = live_of(screen)
    assert screen.wait(lambda: live.state == "finished", START)
    dropped = screen.window.dropped
    drop_file(screen, given)  # two nodes could give the result
    assert screen.wait(lambda: "select that node" in str(screen.session.message), 120)
    assert not screen.window.popups.open
    screen.session.select(["collapse"])
    drop_file(screen, given)
    assert screen.wait(lambda: screen.window.popups.open, 120), screen.session.message
    with Image.open(dropped.made()[0]) as made:
        assert made.size == (64, 48) and made.getpixel((0, 0)) == (200, 100, 50)
    screen.turn(4)
    x, y = screen.dpg.get_item_rect_min("dropped:save")
    screen.click((x + 10, y + 8))
    screen.turn(4)
    screen.rewrite("saved")
    assert screen.wait(lambda: (tmp_path / "saved.png").exists())
    # A pyramid: all levels are shown, and saved together.
    screen.session.select(["bands"])
    drop_file(screen, given)
    assert screen.wait(lambda: screen.window.popups.open, 120), screen.session.message
    assert [p.name for _, p in dropped.results()] == [f"photo-{i}.png" for i in range(6)]
    screen.turn(4)
    x, y = screen.dpg.get_item_rect_min("dropped:save")
    screen.click((x + 10, y + 8))
    screen.turn(4)
    screen.key("enter")  # this folder
    assert screen.wait(lambda: (tmp_path / "made of 6 pictures" / "photo-5.png").exists())
    screen.session.select(["collapse", "photo"])  # the source that the picture stands for, too
    # A folder: how many are done is told, all results are saved together.
    colours = [(i * 9, 255 - i * 9, 80) for i in range(24)]
    for i, colour in enumerate(colours):
        (folder := tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), colour).save(folder / f"{i:02}.png")
    drop_file(screen, folder)
    assert screen.wait(lambda: "of 24 pictures" in str(screen.session.message), 120)
    assert screen.wait(lambda: screen.window.popups.open, 120), screen.session.message
    screen.turn(4)
    x, y = screen.dpg.get_item_rect_min("dropped:save")
    screen.click((x + 10, y + 8))
    screen.turn(4)
    screen.key("enter")  # this folder
    saved = tmp_path / "made of 24 pictures"
    assert screen.wait(lambda: len(list(saved.glob("*.png"))) == 24), screen.session.message
    for i, colour in enumerate(colours):
        with Image.open(saved / f"{i:02}.png") as made:
            assert made.getpixel((5, 5)) == colour


def test_the_value_of_a_curve_is_in_view_however_long_its_name_is(screen: Screen) -> None:
    screen.load(graph=files.load(GRAPHS / "lenet.yaml"))
    live, dock, dpg = live_of(screen), screen.window.dock, screen.dpg

    def shown() -> list[str]:
        return [dpg.get_value(v) for name, v in dock.curves.values.items() if name in live.curves]

    live.curves = {"n" * size: Curve("loss", [1.0], [-0.1234]) for size in (4, 18, 60)}
    live.revision += 1
    dock.turn("Curves")
    assert screen.wait(lambda: dock.curves.live is live and all(shown()))
    screen.turn(4)
    edge = dpg.get_item_rect_max("curves:plot")[0] + SIDE * dock.curves.scale
    assert all(text.startswith("-0.1234") for text in shown()) and len(shown()) == 3
    for value in dock.curves.values.values():
        assert dpg.get_item_rect_min(value)[0] + dpg.get_item_rect_size(value)[0] < edge


def test_what_stands_over_the_runs_is_on_one_line(screen: Screen) -> None:
    screen.load(graph=files.load(GRAPHS / "lenet.yaml"))
    dock, dpg = screen.window.dock, screen.dpg
    dock.turn("Runs")
    assert screen.wait(lambda: dock.runs.table)
    screen.turn(4)
    (line, *_) = dpg.get_item_children("dock:Runs", 1)
    middles = [dpg.get_item_rect_min(i)[1] + dpg.get_item_rect_size(i)[1] / 2
               for i in dpg.get_item_children(line, 1)]  # fmt: skip
    assert len(middles) == 2 and abs(middles[0] - middles[1]) <= 1
