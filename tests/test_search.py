"""A few letters find a node type, and a pin finds what it fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodegraph import files
from nodegraph.graph import Graph
from nodegraph.gui.boxes import Pin
from nodegraph.gui.scene import build
from nodegraph.gui.search import find, fits
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
