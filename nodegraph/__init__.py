"""nodegraph: wire neural networks as a graph of nodes, train them, and watch what happens.

    graph = nodegraph.load("graphs/lenet.yaml")
    for problem in nodegraph.check(graph):
        print(problem)
    for event in nodegraph.train(graph, preset="quick", seed=1):
        print(event)
    digits = nodegraph.compile(graph, inputs=["digits.image"], outputs=["scores"])  # an nn.Module

Importing this package loads neither torch nor the window; each function loads what it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from .graph import Graph
    from .problem import Problem
    from .training.trainer import Event

__version__ = "0.1.0"

# In a wheel nodes/ and graphs/ lie inside this package; in a checkout they lie beside it.
if not (Path(__file__).parent / "nodes").is_dir():
    __path__.append(str(Path(__file__).parents[1]))


def load(path: str | Path) -> Graph:
    """The graph in a YAML file. Executes nothing.

    Raises GraphError, whose text holds a line `file:line: where: what; cure` for each thing that
    can't be read. What can be read but is wrong (an unknown type, say) is kept: `check` tells.
    """
    from . import files

    return files.load(Path(path))


def save(graph: Graph, path: str | Path) -> None:
    """Write a graph to a YAML file, whole or not at all.

    Of a file that is there only the lines of what changed are touched: comments and formatting of
    all else survive. Raises OSError when the folder can't be written.
    """
    from . import files

    files.save(graph, Path(path))


def check(graph: Graph) -> list[Problem]:
    """All problems of a graph, under its parameters as they stand and under each preset.

    Each has a severity ("error", "warning"), where it is, what is wrong, and a cure. [] means that
    the graph compiles and trains. Needs no torch.
    """
    from .checks import check as check_

    return check_(graph)


def compile(graph: Graph, inputs: Iterable[str], outputs: Iterable[str]) -> nn.Module:
    """A slice of a graph as a module: from some outputs of nodes ("source.image") to others.

    Its forward takes one tensor per name in `inputs`, shaped as `nodegraph check --shapes` says but
    with any number of examples, and returns the tensor of the one name in `outputs`, or a tuple of
    theirs. Keys of its state are the names of the nodes. Raises GraphError when the graph has
    errors or a name is not in it.
    """
    from .compiler.build import compile_slice

    return compile_slice(graph, inputs, outputs)


def train(
    graph: Graph,
    preset: str = "",
    settings: Mapping[str, Any] | None = None,
    run: str | Path | None = None,
    **options: Any,
) -> Iterator[Event]:
    """Train a graph; each step, evaluation and checkpoint is an event.

    `settings` set parameters of the file, after those of `preset`. `run` is a new folder for
    checkpoints and metrics; without it nothing is written. `options` are those of
    `nodegraph.training.trainer.Options`, where the events are too: seed, device ("auto", "cpu",
    "cuda", "mps"), amp, compile, channels_last, checkpoint_every.
    Raises GraphError when the graph has errors, or when a loss is not finite.
    """
    from .training.run import start
    from .training.trainer import Options

    trainer = start(graph, preset, settings, Path(run) if run else None, Options(**options))
    yield from trainer.events()
