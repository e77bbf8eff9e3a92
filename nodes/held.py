"""The parameter `fixed` of data sets: the same held-out examples at every draw."""

from nodegraph.node import Module, Recipe

FIXED = "always the first `batch` held-out examples, so that each can be attacked"


def drawn(source: Module, fixed: bool) -> Recipe:
    """The recipe of a data set, or of a batch of its held-out examples that stays."""
    return Module(".ops.source.FixedBatch", source) if fixed else source
