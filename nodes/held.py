"""The parameters of data sets that say which examples are held out, and which are drawn."""

from nodegraph.node import Module, Recipe

FIXED = "always the first `batch` held-out examples, so that each can be attacked"
MEASURED = "which metrics and views see; training: to look for copies of them"


def drawn(source: Module, fixed: bool) -> Recipe:
    """The recipe of a data set, or of a batch of its held-out examples that stays."""
    return Module(".ops.source.FixedBatch", source) if fixed else source
