"""A few letters find a node type, and a pin finds what it fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodegraph import files
from nodegraph.graph import Graph
from nodegraph.gui.boxes import Pin
from nodegraph.gui.scene import build
from nodegraph.gui.search import INPUT, OUTPUT, SLIP, find, fits
from nodegraph.library import standard
from nodegraph.node import ACCEPTS
from nodegraph.scope import Scope

LIBRARY = standard()
SCOPE = Scope(LIBRARY)
DANN = files.load(Path(__file__).parents[1] / "graphs" / "dann.yaml")


def first(words: str) -> str:
    return find(words, SCOPE, Graph())[0].name


@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_every_type_is_found_first_by_its_name(name: str) -> None:
    assert first(name) == first(name.lower()) == name


@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_every_type_is_found_by_each_alias(name: str) -> None:
    for alias in LIBRARY[name].aliases:
        found = [f.name for f in find(alias, SCOPE, Graph())]
        assert name in found[:12], (alias, found)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("conv", "Conv2d"), ("GRL", "GradientReversal"), ("FC", "Linear"), ("свёртка", "Conv2d"),
        ("свертка", "Conv2d"), ("grev", "GradientReversal"), ("mp", "MaxPool2d"),
        ("cross entropy", "CrossEntropy"), ("bcewl", "BCEWithLogits"), ("lrelu", "LeakyReLU"),
    ],
)  # fmt: skip
def test_beginnings_initials_and_the_lectures_words_find_a_type(words: str, name: str) -> None:
    assert first(words) == name


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("cnov", "Conv2d"), ("softmaks", "Softmax"), ("lienar", "Linear"), ("dropuot", "Dropout"),
        ("convv", "Conv2d"), ("batchnrm", "BatchNorm1d"), ("acccuracy", "Accuracy"),
        ("Adim", "Adam"), ("свертак", "Conv2d"),
    ],
)  # fmt: skip
def test_one_slip_of_the_hand_is_forgiven(words: str, name: str) -> None:
    assert first(words) == name


@pytest.mark.parametrize("words", ["cmov2b", "ocnvvo", "xnoc", "sfotmaqs", "+-*/", "lin r"])
def test_two_slips_are_not(words: str) -> None:
    assert not {"Conv2d", "Softmax", "Add"} & {f.name for f in find(words, SCOPE, Graph())}


def test_a_word_as_it_is_spelt_is_no_slip() -> None:
    """Where a name begins with what was typed, names that are one letter off do not follow."""
    names = [f.name for f in find("conv", SCOPE, Graph())]
    assert names[0] == "Conv2d" and "Concat" not in names
    assert "Concat" in [f.name for f in find("conk", SCOPE, Graph())]
    assert [f for f in find("cnv", SCOPE, Graph()) if f.score >= SLIP] == []  # too short to tell
    found = find("grye", SCOPE, Graph())
    assert [f.score for f in found] == sorted(f.score for f in found)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("+", "Add"), ("-", "Sub"), ("−", "Sub"), ("*", "Mul"), ("×", "Mul"), ("/", "Div"),
        ("@", "MatMul"), ("^", "Power"), ("добавить", "Add"), ("умножить", "Mul"),
        ("multiply", "Mul"), ("subtract", "Sub"),
    ],
)  # fmt: skip
def test_signs_and_verbs_find_arithmetic(words: str, name: str) -> None:
    assert first(words) == name


@pytest.mark.parametrize("word", ["optimiser", "normalisation", "colour", "centre crop", "grey"])
def test_spellings_of_both_shores_find_the_same(word: str) -> None:
    american = word.replace("is", "iz").replace("our", "or").replace("tre", "ter")
    american = american.replace("grey", "gray")
    assert american != word
    found = [find(w, SCOPE, Graph()) for w in (word, american)]
    assert found[0] == found[1] != []


def test_a_category_finds_what_is_in_it() -> None:
    for words in ("optimizer", "Optimiser"):
        found = [f.name for f in find(words, SCOPE, Graph())]
        family = {n for n in LIBRARY if LIBRARY[n].category == "optimisers"}
        assert set(found[: len(family)]) == family
    assert first("Sum") == "Sum" and first("relu") == "ReLU"


def test_an_exact_name_comes_before_a_beginning_before_the_middle() -> None:
    names = [f.name for f in find("relu", SCOPE, Graph())]
    assert names[0] == "ReLU"
    assert "LeakyReLU" in names


def test_letters_that_are_nowhere_find_nothing() -> None:
    assert find("qqzzxx", SCOPE, Graph()) == []


def test_nothing_typed_lists_everything() -> None:
    assert {f.name for f in find("", SCOPE, Graph())} == {*LIBRARY}


def test_groups_of_the_file_are_found_but_not_inside_themselves() -> None:
    assert find("label", SCOPE, DANN)[0].name == "LabelHead"
    inner = SCOPE.inside(DANN)
    body = DANN.groups["Features"]
    assert "Features" in [f.name for f in find("feat", inner, body)]
    assert "Features" not in [f.name for f in find("feat", inner, body, without=["Features"])]


def pin(box: str, side: str, port: str) -> Pin:
    found = build(DANN, SCOPE).boxes[box].pin(side, port)
    assert found
    return found


def test_only_what_takes_an_output_is_offered_with_the_port() -> None:
    labels = pin("source", "out", "label")
    found = find("", SCOPE, DANN, labels)
    assert {f.name for f in found} == set(fits(SCOPE, DANN, labels))
    for f in found:
        if f.name in LIBRARY:
            assert "labels" in ACCEPTS[LIBRARY[f.name].inputs[f.port].kind]
    assert "CrossEntropy" in {f.name for f in found}
    assert "ReLU" not in {f.name for f in found}
    assert next(f for f in found if f.name == "CrossEntropy").port == "labels"


def test_only_what_gives_an_input_is_offered_with_the_port() -> None:
    logits = pin("digit_loss", "in", "labels")
    found = find("", SCOPE, DANN, logits)
    assert found and all(
        LIBRARY[f.name].outputs[f.port].kind == "labels" for f in found if f.name in LIBRARY
    )


def test_groups_that_take_a_pin_are_offered_too() -> None:
    found = fits(SCOPE, DANN, pin("source", "out", "image"))
    assert found["Features"] == "image"


def test_what_is_put_on_a_link_fits_both_ends_and_is_no_port() -> None:
    inner, body = SCOPE.inside(DANN), DANN.groups["Features"]
    scene = build(body, inner)
    name, to = next((to.node, to) for to in body.links if body.links[to].node in body.nodes)
    source = scene.boxes[body.links[to].node].pin("out", body.links[to].port or "y")
    end = scene.boxes[name].pin("in", to.port)
    assert source and end
    free = [f.name for f in find("", inner, body, source, without=["Features"])]
    assert OUTPUT in free
    on = [f.name for f in find("", inner, body, source, without=["Features"], into=end)]
    assert "ReLU" in on and OUTPUT not in on and INPUT not in on
    labels = pin("source", "out", "label"), pin("digit_loss", "in", "labels")
    assert find_names("", *labels) == ["OtherLabels"]  # nothing else makes labels of labels
    assert "OneHot" in find_names("", labels[0])


def find_names(words: str, source: Pin, into: Pin | None = None) -> list[str]:
    return [f.name for f in find(words, SCOPE, DANN, source, into=into)]
