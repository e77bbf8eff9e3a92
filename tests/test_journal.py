"""The journal: a crash loses two seconds at most; what lives is not taken for crashed."""

from __future__ import annotations

import json
import multiprocessing
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import editing
import pytest

from nodegraph import files, preferences
from nodegraph.journal import Journal
from nodegraph.preferences import Preferences
from nodegraph.session import Session

ROOT = Path(__file__).parents[1]
TEXT = "nodegraph: 1\nslide: 0\nnodes:\n  a: {type: ReLU}  # a comment\n"
KILLS = 200
FORKS = multiprocessing.get_context("forkserver")  # each start would take 0.3 s otherwise


def edited(title: str = "Work") -> Session:
    session = Session()
    session.set_meta("title", title)
    return session


def crash(journal: Journal) -> None:
    """What the system does when the process ends: the lock is free, the files stay."""
    journal.flush()
    journal._jobs.put(None)
    journal._writer.join()
    for held in (journal._lock, *journal._claimed.values()):
        if held:
            held.close()


def entries(state: Path) -> list[Path]:
    return sorted(state.glob("journal/*/*.json"))


def test_unsaved_work_is_offered_after_a_crash(tmp_path: Path):
    journal, session = Journal(tmp_path), edited()
    session.add("ReLU", at=(3, 4))
    journal.tick(0.0, [session])
    crash(journal)

    after = Journal(tmp_path)
    (found,) = after.orphans()
    assert (found.title, found.file) == ("Work", None) and time.time() - found.when < 10
    again = Session.recover(found.text, found.file)
    assert again.root == session.root and again.changed
    after.adopt(found, again)
    assert len(entries(tmp_path)) == 1 and after.orphans() == []  # safe all the while
    after.tick(1.0, [again])
    again.save(tmp_path / "work.yaml")
    after.tick(2.0, [again])
    after.flush()
    assert entries(tmp_path) == []
    after.close()
    assert [*(tmp_path / "journal").iterdir()] == []


def test_recovered_work_keeps_the_comments_of_its_file(tmp_path: Path):
    file = tmp_path / "a.yaml"
    file.write_text(TEXT)
    journal, session = Journal(tmp_path), Session.open(file)
    session.add("ReLU")
    journal.tick(0.0, [session])
    crash(journal)
    after = Journal(tmp_path)
    (found,) = after.orphans()
    again = Session.recover(found.text, found.file)
    assert again.save() and "# a comment" in file.read_text() and "  relu:" in file.read_text()
    after.discard(found)
    assert after.orphans() == [] and entries(tmp_path) == []
    after.close()


def test_a_second_editor_that_lives_is_not_taken_for_a_crash(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(TEXT)
    words = [tmp_path, tmp_path / "a.yaml", tmp_path / "marks", "1"]
    command = [sys.executable, "-m", "tests.editing", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT) as living:
        deadline = time.monotonic() + 20
        while not entries(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.01)
        journal = Journal(tmp_path)
        assert len(entries(tmp_path)) == 1 and journal.orphans() == []
        living.kill()
        living.wait()
    assert len(journal.orphans()) == 1
    third = Journal(tmp_path)
    assert third.orphans() == []  # offered by one editor at a time
    journal.close()
    assert len(third.orphans()) == 1  # neither adopted nor discarded, so it is offered again
    third.close()


def test_a_clean_close_and_an_undo_leave_nothing(tmp_path: Path):
    journal, one, two = Journal(tmp_path), edited(), edited()
    journal.tick(0.0, [one, two])
    journal.flush()
    assert len(entries(tmp_path)) == 2
    journal.tick(0.1, [one])  # the other was closed
    journal.flush()
    assert len(entries(tmp_path)) == 1
    one.undo()
    journal.tick(0.2, [one])
    journal.flush()
    assert entries(tmp_path) == []
    journal.close()
    assert [*(tmp_path / "journal").iterdir()] == []


def test_a_graph_is_written_at_most_once_a_second_and_only_when_it_changed(tmp_path: Path):
    journal, session = Journal(tmp_path), edited()
    written = []
    for step in range(100):
        if step < 50:
            session.set_meta("slide", str(step))
        journal.tick(step * 0.1, [session])
        journal.flush()
        text = json.loads(entries(tmp_path)[0].read_text())["text"]
        if not written or written[-1] != text:
            written.append(text)
    assert 5 <= len(written) <= 6 and "slide: '49'" in written[-1].replace('"', "'")
    journal.close()


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"text": 3}', "\0\xff", "[" * 100_000])
def test_a_damaged_journal_prevents_nothing_and_is_left_alone(tmp_path: Path, damage: str):
    journal = Journal(tmp_path)
    journal.tick(0.0, [edited("Good")])
    journal.flush()
    bad = entries(tmp_path)[0].with_name("99.json")
    bad.write_text(damage, encoding="utf-8")
    crash(journal)
    after = Journal(tmp_path)
    (found,) = after.orphans()
    assert found.title == "Good"
    after.discard(found)
    after.close()
    assert bad.exists() and Journal(tmp_path).orphans() == []


def test_a_folder_that_cannot_be_made_prevents_nothing(tmp_path: Path):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file")
    assert "unsaved work is not kept" in journal.trouble
    journal.tick(0.0, [edited()])
    assert journal.orphans() == []
    journal.close()


def test_a_full_disk_is_told_and_forgotten_when_it_is_over(tmp_path: Path):
    journal, session = Journal(tmp_path), edited()
    assert journal.folder is not None
    hidden = journal.folder.rename(tmp_path / "elsewhere")
    journal.tick(0.0, [session])
    journal.flush()
    assert "unsaved work is not kept" in journal.trouble
    hidden.rename(journal.folder)
    session.add("ReLU")
    journal.tick(5.0, [session])
    journal.flush()
    assert journal.trouble == "" and len(entries(tmp_path)) == 1
    journal.close()


def killed_once(folder: Path, seed: int) -> float:
    """Kill an editor at a random moment; how many seconds of edits are lost."""
    folder.mkdir()
    file, told = folder / "a.yaml", folder / "marks"
    file.write_text(TEXT)
    told.touch()
    child = FORKS.Process(target=editing.edit_for_ever, args=(folder, file, told, seed))
    child.start()
    while not told.stat().st_size:
        time.sleep(0.01)
    time.sleep(random.Random(seed).expovariate(1 / 0.5))
    killed = time.time()
    child.kill()
    child.join()
    child.close()
    marks = {int(mark): float(at) for mark, at in map(str.split, told.read_text().splitlines())}
    saved = files.read(file)  # raises when it is corrupt
    assert saved.problems == () and "# a comment" in saved.text
    kept = int(saved.graph.meta["slide"])
    journal = Journal(folder)
    for found in journal.orphans():
        kept = max(kept, int(Session.recover(found.text, found.file).root.meta["slide"]))
    journal.close()
    return killed - marks[kept + 1] if kept < max(marks) else 0.0


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork, to be fast")
def test_two_hundred_kills_corrupt_no_file_and_lose_two_seconds_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))  # what is preloaded is looked for there
    FORKS.set_forkserver_preload(["editing"])
    with ThreadPoolExecutor(12) as pool:
        lost = list(pool.map(lambda i: killed_once(tmp_path / str(i), i), range(KILLS)))
    assert len(lost) == KILLS and max(lost) < 2.0
    assert max(lost) > 0  # else it was never killed in the middle of editing


# Preferences -------------------------------------------------------------------------------------


def test_preferences_come_back(tmp_path: Path):
    for name in "abc":
        (tmp_path / name).write_text("")
    found = Preferences(theme="light", text_size=150, window={"x": 3}, panels={"side": True})
    for name in ("a", "b", "a"):
        found = preferences.opened(found, tmp_path / name)
    assert preferences.save(found, tmp_path / "new" / "folder") == ""
    again = preferences.load(tmp_path / "new" / "folder")
    assert again == found and again.recent_files() == [tmp_path / "a", tmp_path / "b"]
    (tmp_path / "b").unlink()
    assert again.recent_files() == [tmp_path / "a"]


def test_recent_files_are_twenty_at_most(tmp_path: Path):
    found = Preferences()
    for i in range(30):
        (tmp_path / str(i)).write_text("")
        found = preferences.opened(found, tmp_path / str(i))
    assert len(found.recent) == 20 and found.recent[0] == str(tmp_path / "29")


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", "\0", "[" * 100_000,
        '{"theme": 3, "text_size": "big", "recent": [1, "\\u0000", {}], "window": [], "new": 1}',
        '{"text_size": 1e999, "window": {"x": NaN, "y": "a"}, "recent": {"a": 1}, "panels": 3}',
    ],
)  # fmt: skip
def test_damaged_preferences_are_the_defaults(tmp_path: Path, text: str):
    (tmp_path / "preferences.json").write_text(text, encoding="utf-8")
    assert preferences.load(tmp_path) == Preferences()


def test_preferences_that_cannot_be_written_are_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert "not kept" in preferences.save(Preferences(), tmp_path / "file")


def test_the_state_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("NODEGRAPH_STATE", str(tmp_path))
    assert preferences.state_folder() == tmp_path
    monkeypatch.delenv("NODEGRAPH_STATE")
    assert preferences.state_folder().name in ("nodegraph", "State")
