import os
import random
import re
import signal
import stat
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nodegraph import files
from nodegraph.edits import rename
from nodegraph.graph import Entry, Graph, GraphError, Ref, Reference, Stage
from nodegraph.library import Library, standard
from nodegraph.node import Input, Node, Output, Param
from nodegraph.schema import is_name, to_data
from nodegraph.scope import Scope
from nodegraph.settings import settle
from nodegraph.splice import same, splice
from nodegraph.yamltext import dump
from nodegraph.yamltree import YamlError
from nodegraph.yamltree import parse as parse_yaml

GRAPHS = sorted((Path(__file__).parents[1] / "graphs").glob("*.yaml"))

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)

# Random graphs -----------------------------------------------------------------------------------

NAMES = ["a", "b", "conv1", "no", "y", "_x", "Null", "e1", "off"]
names = st.sampled_from([n for n in NAMES if is_name(n)])
texts = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12),
    st.sampled_from([
        "", "no", "on", "1e-4", "012", "1:30", "null", "~", "0x1F", ".inf", "$width", "$$", "- a",
        "a: b", "a #b", "'q'", '"', "{a}", "[a]", "a,b", "#", "&a", "*a", "!t", "%", "@x", "`", "|",
        ">", "?", "---", "...", "привет, мир", "a\nb\n", "a\n\nb", " a", "a ", "\ta", "x " * 90,
        "a\n\n", "\n", "\na", "a\n b\n", "\\n", "\x00", "\x85", "\u2028", "\ufeff", "😀", "=", "<<",
    ]),
)  # fmt: skip
floats = st.floats(allow_nan=False)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), floats, texts)
settable = st.one_of(scalars, st.builds(Reference, names))
values = st.one_of(settable, st.lists(settable, max_size=4).map(tuple))
params = st.dictionaries(names, values, max_size=4)
refs_ = st.builds(Ref, names, st.sampled_from(["", "image", "label"]))
sources = st.one_of(refs_, st.lists(refs_, max_size=3).map(tuple))
entries = st.one_of(
    st.builds(
        Entry, st.sampled_from(["Mystery", "Linear", "G", "Conv2d"]), params, frozen=st.booleans()
    ),
    st.builds(Entry, st.builds(Reference, names), params),
    st.builds(Entry, shares=names),
)
counts = st.one_of(st.integers(), st.builds(Reference, names))
runs = st.lists(st.one_of(names, st.builds(Reference, names)), max_size=3).map(tuple)
stages = st.builds(Stage, texts, counts, runs, runs, counts)
plain = st.dictionaries(names, st.one_of(scalars, st.lists(st.integers(), max_size=3)), max_size=3)
metas = st.dictionaries(st.sampled_from(["title", "about", "paper"]), texts.filter(bool))


def bodies(**more):
    return st.builds(
        Graph,
        nodes=st.dictionaries(names, entries, max_size=5),
        params=st.dictionaries(names, st.one_of(scalars, st.lists(scalars).map(tuple)), max_size=3),
        meta=metas,
        layout=st.dictionaries(names, st.lists(st.integers(), max_size=2), max_size=4),
        **more,
    ).flatmap(linked)


def linked(graph):
    ends = [Ref(n, p) for n in graph.nodes for p in ("x", "image")]
    if not ends:
        return st.just(graph)
    links = st.dictionaries(st.sampled_from(ends), sources, max_size=6)
    return links.map(lambda found: graph.with_(links=found))


groups = bodies(
    inputs=st.dictionaries(names, st.sampled_from(["", "N D", "... C"]), max_size=2),
    outputs=st.dictionaries(names, refs_, max_size=2),
)
graphs = bodies(
    groups=st.dictionaries(st.sampled_from(["G", "H"]), groups, max_size=2),
    presets=st.dictionaries(names, plain, max_size=2).map(
        lambda p: {k: {n: tuple(v) if isinstance(v, list) else v for n, v in d.items()}
                   for k, d in p.items()}
    ),
    train=st.lists(stages, max_size=3).map(tuple),
).map(lambda g: settle(g, standard()))  # fmt: skip


def meaning(text):
    return to_data(files.parse(text).graph)


@quick
@given(graphs)
def test_a_graph_comes_back_from_its_text(graph):
    assert files.parse(files.dumps(graph)).graph == graph


@quick
@given(graphs)
def test_an_unchanged_graph_changes_no_byte(graph):
    text = files.dumps(graph)
    assert files.rewrite(text, graph) == text


@quick
@given(graphs, graphs, st.randoms(use_true_random=False))
def test_any_edit_of_any_text_means_the_new_graph(graph, other, rng):
    text = files.dumps(graph)
    new = mixed(to_data(graph), to_data(other), rng)
    new["nodegraph"] = 1
    out = splice(text, parse_yaml(text), to_data(graph), new)
    assert same(parse_yaml(out).plain(), new)


def mixed(a, b, rng):
    """`a` with some parts replaced by parts of `b`, added or removed."""
    if not isinstance(a, dict) or not isinstance(b, dict):
        return rng.choice([a, b])
    out = {}
    for key in [*a, *(k for k in b if k not in a)]:
        if key in a and rng.random() < 0.2:
            continue
        if key in a and key in b:
            out[key] = mixed(a[key], b[key], rng) if rng.random() < 0.6 else a[key]
        elif key in a or rng.random() < 0.5:
            out[key] = a.get(key, b.get(key))
    return out


@quick
@given(graphs, graphs, st.randoms(use_true_random=False))
def test_comments_beside_unchanged_nodes_survive(graph, other, rng):
    graph = graph.with_(meta={}, train=(), groups={})
    data = {**to_data(graph), "nodes": to_data(graph).get("nodes", {}) or {"a": {"type": "ReLU"}}}
    lines = []
    for line in dump(data).splitlines():
        name = re.match(r"  (\w+): \{type|  (\w+): \{shares", line)
        if name:
            lines += ["", f"  # above {name[1] or name[2]}"]
        lines.append(line)
    text = "\n".join(lines)  # no line end at the end
    before = files.parse(text)
    old = to_data(before.graph)
    new = {**old, "nodes": mixed(old["nodes"], to_data(other).get("nodes", {}), rng) or {
        "b": {"type": "ELU"}}}  # fmt: skip
    kept = [n for n in old["nodes"] if n in new["nodes"]]
    out = splice(text, before.tree, old, new)
    assert same(parse_yaml(out).plain(), new)
    if kept:  # else nothing is left to stand beside
        for name in old["nodes"]:
            assert (f"  # above {name}\n" in out) == (f"  # above {name}\n" in text)
    lines = set(out.splitlines())
    for name in kept:
        if same(old["nodes"][name], new["nodes"][name]):
            place = before.tree.children["nodes"].children[name]
            assert text[place.key_start : place.end].splitlines()[0] in {ln[2:] for ln in lines}


@quick
@given(texts | floats | st.integers())
@example("a" * 400)
@example("1" * 290)
def test_every_scalar_reads_back_as_itself(value):
    for data in ({"k": value}, {"k": [value, {"l": value}]}, {"nodes": {"n": {"k": value}}}):
        assert same(parse_yaml(dump(data)).plain(), data)


# Files that are there ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", GRAPHS, ids=lambda p: p.stem)
def test_saving_a_prebuilt_graph_unchanged_changes_no_byte(path, tmp_path):
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    files.save(files.load(copy), copy)
    assert copy.read_bytes() == path.read_bytes()
    assert list(tmp_path.iterdir()) == [copy]


@pytest.mark.parametrize("path", GRAPHS, ids=lambda p: p.stem)
def test_a_prebuilt_graph_has_no_problems_and_survives_the_canonical_style(path):
    document = files.read(path)
    assert document.problems == ()
    assert files.parse(files.dumps(document.graph)).graph == document.graph


ODD = {
    "crlf": "nodegraph: 1\r\nnodes:\r\n  a: {type: ReLU}  # one\r\n  b: {type: ReLU}\r\n",
    "bom": "\ufeffnodegraph: 1\nnodes:\n  a: {type: ReLU}\n",
    "no_line_end": "nodegraph: 1\nnodes: {a: {type: ReLU}}",
    "all_flow": "{nodegraph: 1, nodes: {a: {type: ReLU, in: {x: a.y}}}}\n",
    "all_block": "nodegraph: 1\nnodes:\n    a:\n        type: Linear\n        features: 3\n"
                 "        in:\n            x: b.y\n    b:\n        type: ReLU\n",
    "json": '{"nodegraph": 1,\n "nodes": {"a": {"type": "Linear", "features": 3}}}\n',
    "marks": "%YAML 1.2\n---\n# a\nnodegraph: 1 # b\n\n\nnodes: # c\n# d\n  # e\n  a: # f\n"
             "    {type: ReLU, # g\n     in: {x: a}} # h\n# i\n",
    "order": "layout: {a: [1, 2]}\nnodes: {a: {in: {x: b}, type: ReLU}, b: {type: ReLU}}\n"
             "nodegraph: 1\n",
    "cyrillic": "nodegraph: 1\ntitle: Сеть # название\nabout: |\n  Первая.\n\n  Вторая 😀.\n\n\n"
                "nodes:\n  a: {type: ReLU}\n",
    "numbers": "nodegraph: 1\nparams: {a: 1e-4, b: 0x10, c: +1, d: .5, e: 1., f: 012, g: -.inf}\n",
    "empties": "nodegraph: 1\ntitle:\nparams: {}\ngroups:\nnodes:\ntrain: []\nlayout: ~\n",
    "sequences": "nodegraph: 1\ntrain:\n- stage: a\n  steps: 1\n  run:\n  - b\n  - c\n"
                 "-   {stage: b, steps: 2, run: c}\n",
    "quotes": "'nodegraph': 1\n\"title\": \"a\\tb \\\n   c\"\nabout: 'it''s\n\n  two'\n",
    "question_marks": "? nodegraph\n: 1\n? nodes\n: a: {type: ReLU}\n",
    "keep": "nodegraph: 1\nabout: |+\n  text\n\n\nnodes:\n  a: {type: ReLU}\n",
    "unknown": "nodegraph: 1\nnodes: {a: {type: Zzz, deep: {b: [1, {c: $$d}]}, e: $f}}\nzzz: [1]\n",
    "newer": "nodegraph: 7\nnodes: {}\nwires: {a: [b, {c: 1.0}]}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_style_survives_unchanged_and_edited(name, tmp_path):
    text = ODD[name]
    path = tmp_path / "g.yaml"
    path.write_bytes(text.encode())
    graph = files.load(path)
    files.save(graph, path)
    assert path.read_bytes() == text.encode()

    changed = graph.with_(
        nodes={**graph.nodes, "new": Entry("ReLU")},
        links={**graph.links, Ref("new", "x"): Ref("a")},
        meta={**graph.meta, "title": "Новое: имя"},
        layout={**graph.layout, "new": [3, 4]},
    )
    files.save(changed, path)
    assert files.load(path) == changed
    now = path.read_bytes().decode()
    for comment in re.findall("# [a-i]\n", text):
        assert comment in now
    assert ("\r\n" in text) == ("\r\n" in now) and not re.search("[^\r]\n.*\r\n", now, re.S)
    assert now.startswith("\ufeff") == text.startswith("\ufeff")

    files.save(graph, path)
    assert files.load(path) == graph


STYLED = """\
nodegraph: 1
title: "Quoted"      # the title

params: {lr: 1e-3, steps: 10}   # numbers
nodes:
  # the input
  source: {type: Noise, shape: [3]}

  first:          # written as a block
    type: Linear
    features: 16  # wide
    in: {x: source.y}
  second: {type: Linear,   features: 0x10, in: {x: first.y}}   # hexadecimal

# stages
train:
  - {stage: one, steps: $steps, run: [a]}  # first stage
  - {stage: two, steps: 5, run: [a]}       # second stage
"""


def edited(**changes):
    graph = files.parse(STYLED).graph
    nodes = {n: replace(e, params={**e.params, **changes.get(n, {})}) if n in changes else e
             for n, e in graph.nodes.items()}  # fmt: skip
    return files.rewrite(STYLED, graph.with_(nodes=nodes))


def test_a_changed_value_replaces_its_own_characters_only():
    assert edited(second={"features": 32}) == STYLED.replace("0x10", "32")
    assert edited(first={"features": 8}) == STYLED.replace("16  #", "8  #")
    graph = files.parse(STYLED).graph
    out = files.rewrite(STYLED, graph.with_(meta={"title": "New"}))
    assert out == STYLED.replace('"Quoted"', "New")
    out = files.rewrite(STYLED, graph.with_(params={"lr": 0.01, "steps": 10}))
    assert out == STYLED.replace("1e-3", "0.01")


def test_a_new_parameter_stands_where_it_belongs():
    out = edited(first={"bias": False})
    assert out == STYLED.replace("# wide\n", "# wide\n    bias: false\n")
    out = edited(second={"bias": False})
    line = "  second: {type: Linear, features: 16, bias: false, in: {x: first}}   # hexadecimal"
    assert line in out.splitlines() and len(out.splitlines()) == len(STYLED.splitlines())


def test_a_removed_node_takes_its_lines_and_nobody_elses():
    graph = files.parse(STYLED).graph
    nodes = {k: v for k, v in graph.nodes.items() if k != "first"}
    out = files.rewrite(STYLED, graph.with_(nodes=nodes, links={}))
    kept = [ln for ln in STYLED.splitlines() if "second:" not in ln]
    gone = STYLED.splitlines()[8:12]
    assert [ln for ln in out.splitlines() if "second:" not in ln] == [
        ln for ln in kept if ln not in gone
    ]


def test_a_renamed_node_keeps_its_lines_and_comments():
    graph = files.parse(STYLED).graph
    out = files.rewrite(STYLED, rename(graph, "first", "hidden", Scope(standard())))
    assert out == STYLED.replace("  first:  ", "  hidden:  ").replace("x: first.y", "x: hidden")
    out = files.rewrite(STYLED, rename(graph, "second", "true", Scope(standard())))
    assert out == STYLED.replace("  second:", "  'true':")
    others = {n: e for n, e in graph.nodes.items() if n != "first"}
    other = graph.with_(nodes={**others, "third": Entry("ReLU")}, links={})
    assert "# wide" not in files.rewrite(STYLED, other)  # another node, not another name


def test_a_new_section_comes_behind_the_one_before_it():
    graph = files.parse(STYLED).graph.with_(layout={"first": [1, 2]})
    assert files.rewrite(STYLED, graph) == STYLED + "\nlayout:\n  first: [1, 2]\n"


def test_stages_are_added_and_removed_one_by_one():
    graph = files.parse(STYLED).graph
    one, two = graph.train
    new = Stage("mid", 3, ("a",))
    out = files.rewrite(STYLED, graph.with_(train=(one, new, two)))
    line = "  - {stage: mid, steps: 3, run: [a]}\n"
    assert out == STYLED.replace("# first stage\n", "# first stage\n" + line)
    out = files.rewrite(STYLED, graph.with_(train=(two,)))
    assert out == re.sub(".*# first stage\n", "", STYLED)


def test_a_section_that_becomes_empty_goes():
    graph = files.parse(STYLED).graph.with_(train=())
    out = files.rewrite(STYLED, graph)
    assert "stage:" not in out and "# stages\n" in out


# Types and formats that change -------------------------------------------------------------------


class Wide(Node):
    """A type that has been renamed."""

    was = ("Narrow",)
    x = Input("N D")
    y = Output("N width")
    width: int = Param(min=1, was="features")
    rate: float = Param(1.0)


LIBRARY = Library({"Wide": Wide}, {"Narrow": "Wide"})


def test_former_names_load_as_present_ones_and_stay_until_they_change():
    text = "nodegraph: 1\nnodes:\n  a: {type: Narrow, features: 3} # old\n  b: {type: Wide}\n"
    document = files.parse(text, library=LIBRARY)
    assert document.graph.nodes["a"] == Entry("Wide", {"width": 3})
    assert files.rewrite(text, document.graph, LIBRARY) == text
    nodes = {**document.graph.nodes, "a": Entry("Wide", {"width": 4})}
    out = files.rewrite(text, document.graph.with_(nodes=nodes), LIBRARY)
    assert out == text.replace("type: Narrow, features: 3", "type: Wide, width: 4")


def test_values_take_their_parameters_types():
    text = "nodegraph: 1\nnodes:\n  a: {type: Wide, width: 3, rate: 2, in: {x: [a.y, b.z]}}\n"
    graph = files.parse(text, library=LIBRARY).graph
    assert repr(graph.nodes["a"].params["rate"]) == "2.0"
    assert graph.links == {Ref("a", "x"): (Ref("a"), Ref("b", "z"))}


def test_a_newer_format_warns_and_loses_nothing():
    document = files.parse(ODD["newer"])
    assert {p.severity for p in document.problems} == {"warning"}
    assert document.graph.extra["wires"] == {"a": ["b", {"c": 1.0}]}
    data = parse_yaml(files.dumps(document.graph)).plain()
    assert data["nodegraph"] == 7 and data["wires"] == {"a": ["b", {"c": 1.0}]}


def test_dollars_are_references_unless_doubled():
    text = "nodegraph: 1\nnodes: {a: {type: $t, p: $x, q: [$x, $$x], r: $$, s: a$b}}\n"
    entry = files.parse(text).graph.nodes["a"]
    assert entry.type == Reference("t")
    assert entry.params == {"p": Reference("x"), "q": (Reference("x"), "$x"), "r": "$", "s": "a$b"}


def test_problems_say_where_what_and_what_to_do():
    document = files.parse(
        "nodegraph: 1\nparams: {width: big}\nnodes:\n  a: {type: Linear, featurs: 3}\n"
        "  b:\n    type: Linear\n    features: $wdth\n  c: {type: Linear, features: $width}\n"
        "  d: {type: Linaer}\nnods: 1\n",
        "g.yaml",
    )
    said = [f"{document.line(*p.where)}: {p}" for p in document.problems]
    assert said == [
        "10: nods: a graph has no key 'nods'; did you mean 'nodes'?",
        "4: a: Linear has no parameter 'featurs'; did you mean 'features'?",
        "4: a: Linear needs the parameter 'features'; add `features: …`",
        "7: b: $wdth is no parameter here; did you mean 'width'?",
        "8: c: features expects a whole number, not 'big' ($width)",
        "9: d: there is no node type 'Linaer'; did you mean 'Linear'?",
    ]


def test_all_faults_are_told_at_once():
    with pytest.raises(GraphError) as caught:
        files.parse("nodes:\n  a: 1\n  b: {type: x.y}\n", "g.yaml")
    lines = str(caught.value).splitlines()
    assert [ln.split(" ")[0] for ln in lines] == ["g.yaml:1:", "g.yaml:2:", "g.yaml:3:"]


def test_a_graph_that_no_file_can_hold_is_refused_and_the_file_stays(tmp_path):
    path = tmp_path / "g.yaml"
    files.save(Graph(), path)
    before = path.read_bytes()
    for bad in (
        Graph({"not a name": Entry("ReLU")}),
        Graph({"a": Entry("os.system")}),
        Graph({"a": Entry("ReLU", {"p": "\ud800"})}),
        Graph({"a": Entry("ReLU", {"p": object()})}),
        Graph({"a": Entry("ReLU", {"p": 10**400})}),
    ):
        with pytest.raises(GraphError, match="cannot be saved"):
            files.save(bad, path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


# Places ------------------------------------------------------------------------------------------


def test_spans_hold_the_characters_of_keys_and_values():
    text = (
        "\ufeffключ: {ы: 'ъ😀', b: [1, два]} # x\r\nt: |\r\n  стих\r\n  ещё\r\n\r\n# c\r\nu: a b\n"
    )
    tree = parse_yaml(text)

    def at(*path):
        found = tree
        for part in path:
            found = found.children[part]
        return found, text[found.start : found.end]

    assert at("ключ", "ы")[1] == "'ъ😀'"
    assert at("ключ", "b")[1] == "[1, два]"
    assert at("ключ", "b", 1)[1] == "два"
    assert at("t")[1] == "|\r\n  стих\r\n  ещё"
    assert at("u")[1] == "a b"
    for key, child in tree.children.items():
        assert text[child.key_start : child.key_end] == key
    assert [c.line for c in tree.children.values()] == [1, 2, 7]
    assert text[tree.start : tree.end] == text[1:-1]


def test_line_walks_up_to_what_is_there():
    document = files.parse(STYLED)
    assert document.line("nodes", "first", "features") == 11
    assert document.line("nodes", "first", "in", "x") == 12
    assert document.line("nodes", "first", "in", "nothing") == 12
    assert document.line("nodes", "first", "nothing") == 9
    assert document.line("nodes", "nothing") == 5
    assert document.line("train", "1", "run") == 18
    assert document.line("nothing") == 1


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-4", 1e-4), ("no", "no"), ("on", "on"), ("012", 12), ("1:30", "1:30"), ("0o17", 15),
        ("0x1f", 31), (".5", 0.5), ("+.5e1", 5.0), ("1_000", "1_000"), ("~", None), ("Null", None),
        ("nULL", "nULL"), ("TRUE", True), ("yes", "yes"), ("-0", 0), ("1.", 1.0), (".", "."),
        ("-", YamlError), ("2001-01-01", "2001-01-01"), ("'1'", "1"), ("+", "+"), ("-.INF", -1e999),
        ("0b1", "0b1"), ("1e5", 1e5), ("=", "="), ("٣", "٣"),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text, value):
    if value is YamlError:
        assert parse_yaml(f"a: {text}x").plain() == {"a": "-x"}
    else:
        assert same(parse_yaml(f"a: {text}").plain()["a"], value)


def test_the_python_parser_gives_the_same_tree(monkeypatch):
    import yaml

    from nodegraph import yamltree

    def flat(tree):
        inner = tree.children or ()
        inner = inner.items() if isinstance(inner, dict) else enumerate(inner)
        # libyaml and PyYAML disagree on where a block's text ends, and on nothing else.
        return (tree.value, tree.start, tree.line, tree.key_start, [(k, flat(v)) for k, v in inner])

    fast = {name: flat(parse_yaml(text)) for name, text in ODD.items()}
    monkeypatch.setattr(yamltree, "Loader", yaml.SafeLoader)
    assert {name: flat(parse_yaml(text)) for name, text in ODD.items()} == fast


# Saving ------------------------------------------------------------------------------------------


def big(title):
    return Graph({f"n{i}": Entry("ReLU") for i in range(300)}, meta={"title": title * 200})


def save_for_ever(path):
    while True:
        for title in "ab":
            files._replace(path, files.dumps(big(title)).encode())


def test_a_kill_during_a_save_leaves_one_whole_version(tmp_path):
    path = tmp_path / "g.yaml"
    wanted = {files.dumps(big(t)).encode() for t in "ab"}
    rng = random.Random(0)
    path.write_bytes(min(wanted))
    seen = set()
    for _ in range(20):
        child = get_context("fork").Process(target=save_for_ever, args=(path,))
        child.start()
        time.sleep(0.02 + rng.random() * 0.06)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        seen.add(path.read_bytes())
    assert seen <= wanted


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "g.yaml"
    files.save(big("a"), path)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.save(big("b"), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_saving_keeps_the_mode_and_goes_through_links(tmp_path):
    path, link = tmp_path / "g.yaml", tmp_path / "link.yaml"
    files.save(big("a"), path)
    path.chmod(0o640)
    link.symlink_to(path)
    files.save(big("b"), link)
    assert link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert files.load(path) == big("b")


def test_the_text_that_was_read_is_the_base_of_a_save_elsewhere(tmp_path):
    graph = files.parse(STYLED).graph
    path = tmp_path / "new.yaml"
    files.save(graph, path, base=STYLED)
    assert path.read_text() == STYLED


def test_an_unreadable_path_is_one_line(tmp_path):
    for path in (tmp_path, tmp_path / "none.yaml", tmp_path / "a\0b", Path("/dev/zero")):
        with pytest.raises(GraphError) as caught:
            files.read(path)
        assert str(caught.value).startswith(str(path) + ": ")
        assert "\n" not in str(caught.value)
