"""The Python source of a stage: its optimisers, its straight-line `step`, its metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..body import watched
from ..graph import Ref, Stage
from ..node import Metric, Module, Optimiser, Schedule, Source
from .plan import Evaluation, Update, ancestors, plan
from .source import Program, Statement
from .text import Lines, Names, attribute, docstring, flat, quoted, tuple_of

Variables = dict[tuple[Any, str], str]  # an evaluation's id (or a node's name) and a port


def stage_class(program: Program, stage: Stage) -> tuple[str, str]:
    """The name and the text of the class of a stage whose references are resolved."""
    writer = _StageWriter(program, stage)
    return writer.name, writer.text()


class _StageWriter:
    def __init__(self, program: Program, stage: Stage) -> None:
        self.program, self.body, self.stage = program, program.body, stage
        self.planned = plan(program.body, stage)
        title = "".join(word.capitalize() for word in stage.name.split("_"))
        named = f"{title}Stage" if title[:1].isalpha() else f"Stage{title}"
        self.name = program.class_names.fresh(named)
        self.once: Variables = {}  # what `prepare` keeps, as attributes
        self.watched = self.metrics_by_sources()
        self.lines = Lines()

    def text(self) -> str:
        """The whole class."""
        lines, stage = self.lines, self.stage
        steps = int(stage.steps)  # type: ignore[arg-type]
        lines.block(f"class {self.name}(Stage):")
        lines.add(docstring(f"{stage.name}: {', '.join(map(str, stage.run))}, once per step."))
        lines.add()
        lines.add(f"name = {quoted(stage.name)}")
        lines.add(f"steps = {steps}")
        lines.add(f"watch_every = {stage.watch_every or max(1, steps // 10)}")
        totals = [m for metrics in self.watched for m in metrics if self.is_total(m)]
        if totals:
            lines.add(f"totals = frozenset({{{', '.join(map(quoted, totals))}}})")
        together = [m for metrics in self.watched for m in metrics if self.is_together(m)]
        if together:
            lines.add(f"together = frozenset({{{', '.join(map(quoted, together))}}})")
        methods = [self.constructor, *([self.prepare] if self.planned.once else []), self.step]
        for method in methods:
            lines.add()
            method()
        for index, metrics in enumerate(self.watched):
            lines.add()
            self.watch(index, metrics)
        return "\n".join(lines.text) + "\n"

    # What the stage holds -------------------------------------------------------------------------

    def constructor(self) -> None:
        """`__init__`: sources, optimisers, the modules that stay fixed, what is watched."""
        lines, planned = self.lines, self.planned
        lines.block("def __init__(self, net: Network, sources: dict) -> None:")
        lines.add("self.net = net")
        used = [*planned.once, *planned.evaluations()]
        for owner in dict.fromkeys(e.call.owner for e in used if isinstance(e.call.node, Source)):
            lines.add(f"self.{flat(owner)} = sources[{quoted(owner)}]")
        updates = {u.call.name: u for u in planned.updates if u.over}
        for update in updates.values():
            self.optimiser(update)
        words = ", ".join(f"{quoted(n)}: self.{flat(n)}" for n in updates)
        lines.add(f"self.optimisers = {{{words}}}")
        held = {c.name for c in self.program.held() if self.program.is_module(c)}
        fixed = [f"net.{attribute(n)}" for n in planned.fixed if self.holder(n) in held]
        if fixed:
            lines.add(f"self.fixed = [{', '.join(fixed)}]")
        if self.watched:
            lines.block("self.watched = [")
            for index, metrics in enumerate(self.watched):
                sources = tuple_of([self.body.calls[n].owner for n in self.sources_of(metrics)])
                lines.add(f"({tuple_of(metrics)}, {sources}, self.watch_{index}),")
            lines.depth -= 1
            lines.add("]")
        lines.depth -= 1

    def holder(self, name: str) -> str:
        """The call of the graph that a dotted name is in."""
        parts = name.split(".")
        heads = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        return next((head for head in heads if head in self.body.calls), "")

    def optimiser(self, update: Update) -> None:
        """An optimiser, and the list of the weights that it moves."""
        call, own = update.call, flat(update.call.name)
        modules = ", ".join(f"net.{attribute(o)}" for o in update.over)
        recipe, package = self.program.recipe(call)
        # Inputs that are not linked, like lr, are options of the optimiser from the beginning.
        made = Module(recipe.target, *recipe.args, **call.literals, **recipe.kwargs)
        text = self.program.expression(made, package, first=[f"self.{own}_weights"])
        frozen = [
            f"net.{attribute(f'{owner}.{part}'.rstrip('.'))}"
            for owner in update.over
            for part in self.body.calls[owner].frozen_parts()
        ]
        without = f", without=[{', '.join(frozen)}]" if frozen else ""
        self.lines.add(f"self.{own}_weights = weights_of({modules}{without})")
        self.lines.add(f"self.{own} = {text}", self.program.where(("nodes", call.name)))

    # The step -------------------------------------------------------------------------------------

    def statements(
        self, evaluations: list[Evaluation], variables: Variables, names: Names
    ) -> list[Statement]:
        """Planned evaluations as statements; `variables` gets their outputs, by their ids."""
        made = []
        for evaluation in evaluations:

            def variable(ref: Ref, reads: dict[str, Evaluation] = evaluation.reads) -> str:
                return variables[id(reads[ref.node]), self.body.port(ref)]

            call = evaluation.call
            suffix = f"_{evaluation.variant + 1}" if evaluation.variant else ""
            statement = self.program.line(
                call, variables, id(evaluation), names, variable, (), "self.net.", suffix
            )
            # What is drawn or scheduled needs no block of its own to be without a gradient.
            outside = isinstance(call.node, (Source, Schedule))
            statement.gradient = evaluation.gradient or outside
            made.append(statement)
        return made

    def prepare(self) -> None:
        """What stays the same in all steps, kept as attributes where a step reads it."""
        lines, planned = self.lines, self.planned
        lines.block("def prepare(self) -> None:")
        lines.add('"""Compute what no step changes."""')
        variables: Variables = {}
        statements = self.statements(planned.once, variables, self.program.names())
        for statement in statements:
            statement.gradient = True  # all of `prepare` runs without
        read = {id(r) for e in planned.evaluations() for r in e.reads.values()}
        read |= {id(e) for u in planned.updates for _, e in (*u.losses, *u.options.values())}
        keep = {key: name for key, name in variables.items() if key[0] in read}
        self.program.write(lines, statements, keep=keep.values())
        for key, name in keep.items():
            self.once[key] = f"self.once_{name}"
            lines.add(f"{self.once[key]} = {name}")
        lines.depth -= 1

    def step(self) -> None:
        """The straight line through all updates."""
        lines, names = self.lines, self.program.names()
        variables = dict(self.once)
        lines.block("def step(self, t: int) -> dict:")
        lines.add('"""One step; returns the losses."""')
        lines.add("losses = {}")
        # Statements of all updates are made first: only then is known which read is the last.
        written = [
            (
                update,
                self.statements(update.before, variables, names),
                self.statements(update.inside, variables, names),
            )
            for update in self.planned.updates
        ]
        for index, (update, before, inside) in enumerate(written):
            keep = self.results(update, variables) | {r for s in inside for r in s.reads}
            for later, *blocks in written[index + 1 :]:
                keep |= self.results(later, variables)
                keep |= {r for block in blocks for s in block for r in s.reads}
            words = " + ".join(str(ref) for ref, _ in update.losses)
            over = ", ".join(update.over) or "nothing, as all is frozen"
            lines.add(f"# {update.call.name}: minimise {words} over {over}")
            self.program.write(lines, before, keep)
            self.run(update, inside, variables)
        lines.add("return losses")
        lines.depth -= 1

    def output(self, evaluation: Evaluation, variables: Variables, port: str = "") -> str:
        """The variable of an evaluation's output."""
        return variables[id(evaluation), port or next(iter(evaluation.call.outputs))]

    def results(self, update: Update, variables: Variables) -> set[str]:
        """The variables that an update itself reads: losses, and options like a learning rate."""
        losses = {self.output(e, variables, r.port) for r, e in update.losses}
        return losses | {self.output(e, variables, r.port) for r, e in update.options.values()}

    def run(self, update: Update, inside: list[Statement], variables: Variables) -> None:
        """Gradient and step of one update."""
        lines, own = self.lines, flat(update.call.name)
        losses = [(self.output(e, variables, r.port), str(r)) for r, e in update.losses]
        total = " + ".join(variable for variable, _ in losses)
        if update.options and update.over:
            options = update.options.items()
            words = (f"{k}={self.output(e, variables, r.port)}" for k, (r, e) in options)
            lines.add(f"set_options(self.{own}, {', '.join(words)})")
        assert isinstance(update.call.node, Optimiser)
        closure = update.call.node.closure and bool(update.over)
        clip = f", {update.call.node.clip_norm!r}" if update.call.node.clip_norm else ""
        if closure:
            lines.block("def closure():")
            lines.add(f"self.{own}.zero_grad()")
            # What comes from outside is read again at the next evaluation.
            outside = {r for s in inside for r in s.reads} - {v for s in inside for v in s.sets}
            self.program.write(lines, inside, keep={*outside, *(v for v, _ in losses)})
            if len(losses) > 1:
                lines.add(f"loss = {total}")
                total = "loss"
        for variable, label in losses:
            value = f"{variable}.detach()"
            if closure:  # the loss before the update, not that of the last evaluation
                lines.add(f"losses.setdefault({quoted(label)}, {value})")
            else:
                lines.add(f"losses[{quoted(label)}] = {value}")
        if not update.over:
            return
        lines.add(f"backward({quoted(update.call.name)}, {total}, self.{own}_weights{clip})")
        if closure:
            lines.add(f"return {total}")
            lines.depth -= 1
        lines.add(f"self.{own}.step({'closure' if closure else ''})")
        lines.add(f"self.{own}.zero_grad()")

    # Watching -------------------------------------------------------------------------------------

    def is_total(self, name: str) -> bool:
        """Whether a watched value is summed over the data."""
        node = self.body.calls[name].node
        return isinstance(node, Metric) and node.total

    def is_together(self, name: str) -> bool:
        """Whether a watched value is of many examples at once, and no mean over batches."""
        node = self.body.calls[name].node
        return isinstance(node, Metric) and node.together

    def sources_of(self, names: Iterable[str]) -> list[str]:
        """The sources that some calls are computed from."""
        below = ancestors(self.body, list(names))
        return [n for n in below if isinstance(self.body.calls[n].node, Source)]

    def metrics_by_sources(self) -> list[list[str]]:
        """The watched metrics, in a row where they are computed from the same sources."""
        groups: dict[tuple[bool, tuple[str, ...]], list[str]] = {}
        for name in watched(self.body, self.stage.watch):
            key = self.is_together(name), tuple(self.sources_of([name]))
            groups.setdefault(key, []).append(name)
        return list(groups.values())

    def watch(self, index: int, metrics: list[str]) -> None:
        """The method that computes some metrics from one batch of their sources."""
        lines, names = self.lines, self.program.names()
        variables: Variables = {}
        drawn: list[str] = []
        statements = []

        def variable(ref: Ref) -> str:
            return variables[ref.node, self.body.port(ref)]

        for name in ancestors(self.body, metrics):
            call = self.body.calls[name]
            if isinstance(call.node, Source):
                for port in call.outputs:
                    variables[name, port] = names.fresh(f"{name}_{port}")
                    drawn.append(variables[name, port])
            else:
                made = self.program.line(call, variables, name, names, variable, (), "self.net.")
                statements.append(made)
        lines.block(f"def watch_{index}({', '.join(['self', 't', *drawn])}):")
        lines.add(docstring(f"{', '.join(metrics)} of one batch."))
        results = [variable(Ref(name)) for name in metrics]
        self.program.write(lines, statements, keep=results)
        lines.add(f"return {', '.join(results)}{',' if len(results) == 1 else ''}")
        lines.depth -= 1
