"""Mistakes that run but teach nothing: each is told where it is made, and not where all is well.

That no prebuilt graph makes one, under any of its presets, is held by `test_compile`.
"""

from __future__ import annotations

from typing import Literal

import pytest
from acceptance import graph

import nodegraph
from nodegraph import files
from nodegraph.checks import check
from nodegraph.library import Library, standard
from nodegraph.node import Input, Node, Output, Param


def told(text: str) -> list[str]:
    """All problems of a graph, as they are written."""
    return [f"{p.severity} {p}" for p in nodegraph.check(files.parse(text).graph)]


# Stages and updates ------------------------------------------------------------------------------

TWO = """nodegraph: 1
groups:
  Stopped:
    inputs: {x: N D}
    outputs: {y: stop}
    nodes:
      fc: {type: Linear, features: 1, in: {x: x}}
      stop: {type: Detach, in: {x: fc}}
nodes:
  z: {type: Noise, shape: [4], batch: 8}
  one: {type: Linear, features: 1, in: {x: z}}
  two: {type: Linear, features: 1, in: {x: one}}
  loss: {type: BCEWithLogits, in: {logits: two}}
  a: {type: Adam, over: [one, two], in: {loss: loss}}
  b: {type: Adam, over: [two], in: {loss: loss}}
train:
  - {stage: first, steps: 1, run: [a]}
  - {stage: second, steps: 1, run: [b]}
"""


def test_weights_in_two_updates_are_told_if_both_run_in_one_stage() -> None:
    assert told(TWO) == []
    (found,) = told(TWO.replace("run: [a]", "run: [a, b]"))
    assert found == ("warning b: two is moved by a and by b in stage first; "
                     "take it out of one `over`, if this is not meant")  # fmt: skip


def test_a_loss_whose_gradient_ends_in_a_group_is_told() -> None:
    cut = TWO.replace("two: {type: Linear, features: 1,", "two: {type: Stopped,")
    found = told(cut)
    assert any("error b: its loss reaches none of its `over` (two)" in p for p in found), found
    assert any("no gradient of its loss reaches one" in p for p in found)
    assert told(cut.replace("Detach", "Identity")) == []


# Losses on logits --------------------------------------------------------------------------------

LOGITS = """nodegraph: 1
groups:
  Judge:
    inputs: {x: N D}
    outputs: {y: flat}
    nodes:
      fc: {type: Linear, features: 1, in: {x: x}}
      END: {type: Sigmoid, in: {x: fc}}
      flat: {type: Flatten, in: {x: END}}
  Real:
    inputs: {logits: N D}
    outputs: {loss: bce}
    nodes:
      bce: {type: BCEWithLogits, in: {logits: logits}}
nodes:
  z: {type: Noise, shape: [4], batch: 8}
  judge: {type: Judge, in: {x: z}}
  real: {type: Real, in: {logits: judge}}
  adam: {type: Adam, over: [judge], in: {loss: real}}
train: [{stage: s, steps: 1, run: [adam]}]
"""


def test_a_sigmoid_before_a_loss_on_logits_is_told_across_groups() -> None:
    (found,) = told(LOGITS)
    assert found == ("error Real.bce: logits expects values before a sigmoid or softmax, gets "
                     "judge.END; link what flows into judge.END")  # fmt: skip
    assert told(LOGITS.replace("Sigmoid", "ReLU")) == []


# Ranges ------------------------------------------------------------------------------------------

RANGES = """nodegraph: 1
groups:
  Decoder:
    inputs: {z: N D}
    outputs: {image: image}
    nodes:
      fc: {type: Linear, features: 64, in: {x: z}}
      end: {type: Tanh, in: {x: fc}}
      image: {type: Reshape, size: [1, 8, 8], in: {x: end}}
nodes:
  real: {type: FontDigits, batch: 8, size: 8}
  z: {type: Noise, shape: [4], batch: 8}
  made: {type: Decoder, in: {z: z}}
  loss: {type: MSE, in: {x: made, target: real.image}}
  adam: {type: Adam, over: [made], in: {loss: loss}}
train: [{stage: s, steps: 1, run: [adam]}]
"""


def test_a_tanh_is_held_against_the_range_of_the_source() -> None:
    (found,) = told(RANGES)
    assert found == (
        "warning loss: target gets numbers in 0..1 from real, x in -1..1 from made.end; set "
        "`range` of the source, or end real in Sigmoid for 0..1, Tanh for -1..1"
    )
    for fits in (RANGES.replace("size: 8}", "size: 8, range: -1..1}"),
                 RANGES.replace("Tanh", "Sigmoid"), RANGES.replace("Tanh", "ReLU")):  # fmt: skip
        assert told(fits) == []


def test_a_target_outside_of_what_a_loss_takes_is_told() -> None:
    text = RANGES.replace("Tanh", "Sigmoid").replace("MSE, in: {x:", "BCE, in: {p:")
    assert told(text) == []
    (found,) = told(text.replace("size: 8}", "size: 8, range: -1..1}"))
    assert found.startswith("warning loss: target expects numbers in 0..1, gets -1..1 from real;")
    assert any(p.startswith("warning loss: p expects numbers in 0..1, gets -1..1 from made.end;")
               for p in told(text.replace("Sigmoid", "Tanh")))  # fmt: skip


class Far(Node):
    """An image whose range is a number."""

    x = Input("...")
    y = Output("...", kind="image")
    range: float = Param(3.0)


class Named(Far):
    """An image whose range has a name."""

    range: Literal["near", "far"] = Param("near")  # type: ignore[assignment]


def test_a_parameter_of_another_kind_called_range_says_nothing() -> None:
    library = Library({**standard().types, "Far": Far, "Named": Named})
    for type_ in ("Far", "Named"):
        text = RANGES.replace("{type: Tanh,", f"{{type: {type_},")
        assert check(files.parse(text, library=library).graph, library) == []


# Reversals ---------------------------------------------------------------------------------------

DOMAINS = """nodegraph: 1
nodes:
  source: {type: Noise, shape: [4], batch: 8}
  features: {type: Linear, features: 3, in: {x: source}}
  turned: {type: GradientReversal, in: {x: features}}
  head: {type: Linear, features: 1, in: {x: turned}}
  loss: {type: BCEWithLogits, in: {logits: head}}
  classes: {type: Linear, features: 1, in: {x: features}}
  other: {type: BCEWithLogits, in: {logits: classes}}
  adam: {type: Adam, over: [features, head, classes], in: {loss: [loss, other]}}
train: [{stage: s, steps: 1, run: [adam]}]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("turned: {type: GradientReversal, in: {x: features}}",
         "turned: {type: GradientReversal, in: {x: source}}",
         "it reverses nothing: nothing up to source learns; put it between features and a head"),
        ("loss: [loss, other]", "loss: other",
         "it does nothing: the loss of no update comes after it; link what comes after it"),
        ("over: [features, head, classes]", "over: [head, classes]",
         "adam moves nothing before it, where the gradient is reversed; name what comes before"),
        ("over: [features, head, classes]", "over: [features, classes]",
         "nothing between it and the loss learns, so what comes before it has no opponent; put"),
        ("logits: head}", "logits: turned}",
         "nothing between it and the loss learns, so what comes before it has no opponent; put"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("type_", ["GradientReversal", "CustomReversal"])
def test_a_reversal_stands_between_features_and_a_head(
    type_: str, old: str, new: str, said: str
) -> None:
    assert told(DOMAINS) == [] and old in DOMAINS
    found = told(DOMAINS.replace(old, new).replace("GradientReversal", type_))
    assert any(p.startswith(f"warning turned: {said}") for p in found), found


def test_the_head_behind_a_reversal_may_learn_by_an_update_of_its_own() -> None:
    split = DOMAINS.replace("over: [features, head, classes]", "over: [features, classes]").replace(
        "train:", "  judge: {type: Adam, over: [head], in: {loss: loss}}\ntrain:"
    )
    assert told(split.replace("run: [adam]", "run: [judge, adam]")) == []


# Batches of one ----------------------------------------------------------------------------------

NORM = """nodegraph: 1
groups:
  Net:
    inputs: {x: N D}
    outputs: {y: fc2}
    nodes:
      fc1: {type: Linear, features: 4, in: {x: x}}
      norm: {type: BatchNorm1d, in: {x: fc1}}
      fc2: {type: Linear, features: 1, in: {x: norm}}
nodes:
  z: {type: Noise, shape: [4], batch: 8}
  net: {type: Net, in: {x: z}}
  first: {type: Slice, stop: 1, in: {x: z}}
  again: {shares: net, in: {x: first}}
  loss: {type: BCEWithLogits, in: {logits: LOGITS}}
  adam: {type: Adam, over: [net], in: {loss: loss}}
  seen: {type: Histogram, in: {x: again}}
train: [{stage: s, steps: 1, run: [adam]}]
"""


def test_a_batch_of_one_is_told_where_training_normalises_it() -> None:
    assert told(NORM.replace("LOGITS", "net")) == []  # the second call is only looked at
    (found,) = told(NORM.replace("LOGITS", "again"))
    assert found.startswith("error Net.norm: BatchNorm1d has a batch of 1, so nothing to average")
    assert told(NORM.replace("LOGITS", "again").replace("stop: 1", "stop: 2")) == []
    head = (
        NORM.replace("LOGITS", "head")
        .replace("over: [net]", "over: [head]")
        .replace("  loss:", "  head: {type: Linear, features: 1, in: {x: again}}\n  loss:")
    )
    assert told(head) == [found]
    assert told(head.replace("type: Net,", "type: Net, frozen: true,")) == []  # as in evaluation


# Margins -----------------------------------------------------------------------------------------

MARGIN = """nodegraph: 1
nodes:
  z: {type: Noise, shape: [4], batch: 8}
  real: {type: FontDigits, batch: 8, size: 8}
  rows: {type: Flatten, in: {x: real.image}}
  fc: {type: Linear, features: 64, in: {x: z}}
  error: {type: MSE, reduction: per example, in: {x: fc, target: rows}}
  energy: {type: Scale, factor: 1, in: {x: error}}
  high: {type: Hinge, margin: 10, in: {x: energy}}
  adam: {type: Adam, over: [fc], in: {loss: high}}
train: [{stage: s, steps: 1, run: [adam]}]
"""


def test_a_margin_for_sums_is_told_where_the_energy_is_a_mean() -> None:
    assert told(MARGIN) == []
    (found,) = told(MARGIN.replace("per example", "mean"))
    assert found == (
        "warning high: margin is 10, which error hardly ever reaches: as a mean of the errors of "
        "single numbers, times 1, it stays below 1; set a margin below 1, or sum over an example "
        "(`reduction: per example`)"
    )
    assert told(MARGIN.replace("per example", "mean").replace("margin: 10", "margin: 1")) == []
    (scaled,) = told(MARGIN.replace("factor: 1,", "factor: 0.015625,"))
    assert "times 1, it stays below 1" in scaled
    written_out = MARGIN.replace(
        "error: {type: MSE, reduction: per example, in: {x: fc, target: rows}}",
        "gap: {type: Sub, in: {a: fc, b: rows}}\n  error: {type: Square, in: {x: gap}}\n"
        "  of_one: {type: MEAN, axes: features, in: {x: error}}",
    ).replace("energy: {type: Scale, factor: 1, in: {x: error}}",
              "energy: {type: Scale, factor: 1, in: {x: of_one}}")  # fmt: skip
    assert told(written_out.replace("MEAN", "Sum")) == []
    (found,) = told(written_out.replace("MEAN", "Mean"))
    assert "margin is 10, which error hardly ever reaches" in found


def test_the_margin_of_logits_may_be_any() -> None:
    assert told(MARGIN.replace("in: {x: energy}", "in: {x: fc}")) == []


@pytest.mark.parametrize("value", ["-0.5", "$m"])
def test_a_margin_below_0_is_no_margin(value: str) -> None:
    text = MARGIN.replace("margin: 10", f"margin: {value}")
    text = text.replace("nodes:", "params: {m: -0.5}\nnodes:", 1)
    (found,) = told(text)
    assert found.startswith("error high: margin expects at least 0, not -0.5")
    assert told(text.replace("-0.5", "0")) == []
    # Of a number that is linked, nothing is known before it is computed.
    linked = MARGIN.replace("margin: 10, in: {x: energy}", "in: {x: energy, margin: m}")
    linked = linked.replace("nodes:", "nodes:\n  m: {type: ConstantValue, number: -0.5}", 1)
    assert told(linked) == []


def test_ebgan_tells_of_an_energy_whose_margin_was_forgotten() -> None:
    of = graph("ebgan")
    broken = of.with_(params={**of.params, "unit": 1 / 784})
    found = [str(p) for p in nodegraph.check(broken)]
    assert any("high_for_fake: margin is 10" in p and "below 1;" in p for p in found), found


# Pyramids ----------------------------------------------------------------------------------------

SPLINE = """nodegraph: 1
groups:
  Bands:
    params: {a: 0.4}
    inputs: {x: N C H W}
    outputs: {y: bands}
    nodes:
      bands: {type: LaplacianPyramid, a: $a, in: {x: x}}
nodes:
  image: {type: Noise, shape: [3, 33, 33], batch: 1}
  mask: {type: Noise, shape: [1, 33, 33], batch: 1}
  one: {type: Bands, in: {x: image}}
  two: {type: LaplacianPyramid, in: {x: image}}
  soft: {type: GaussianPyramid, a: 0.5, in: {x: mask}}
  blend: {type: PyramidBlend, in: {a: one, b: two, mask: soft}}
  whole: {type: CollapsePyramid, in: {x: blend}}
"""


def test_a_pyramid_that_is_added_up_by_another_kernel_is_told() -> None:
    def found(old: str, new: str) -> list[str]:
        assert old in SPLINE
        return told(SPLINE.replace(old, new))

    assert told(SPLINE) == []  # a mask may be blurred as one likes
    cure = "it is not undone exactly; give both the same a"
    wrong = [f"warning whole: a is 0.4, two has 0.3: {cure}"]
    assert found("two: {type: LaplacianPyramid,", "two: {type: LaplacianPyramid, a: 0.3,") == wrong
    wrong = [f"warning whole: a is 0.4, one.bands has 0.6: {cure}"]
    assert found("params: {a: 0.4}", "params: {a: 0.6}") == wrong
    assert len(found("{type: CollapsePyramid,", "{type: CollapsePyramid, a: 0.5,")) == 2
    levels = found("soft: {type: GaussianPyramid,", "soft: {type: GaussianPyramid, levels: 4,")
    assert any(p.startswith("error blend: mask expects") for p in levels), levels
