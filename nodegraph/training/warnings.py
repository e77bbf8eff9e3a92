"""What goes wrong in training without an error, told in plain words while it happens.

Each rule looks at the last rows of losses, or at a few samples; it speaks at most once per window.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import hypot
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..body import Body, Call, behind
from ..checks import owners
from ..compiler.build import compile_slice
from ..graph import Ref, Stage, refs
from ..node import Source
from ..unfold import unfold
from . import checkpoint
from .slices import Slice, held_out, slice_of, untouched

if TYPE_CHECKING:
    from .trainer import Trainer

WINDOW = 40  # rows of losses that are looked at
AGAIN = 400  # rows after which the same may be said again
WON = 0.1  # the loss of a judge that is hardly ever wrong
RISE = 1.5  # how much a loss must rise over the window
JUMP = 20.0  # times what it was at the beginning, a loss has left all bounds
FIRST = 10  # rows that say how large a loss was at the beginning
GAINS = 0.5  # of its loss at first, below which a player that still gains has an easy game
STEEP = 100.0  # the length of a gradient whose losses were about 1 at the beginning
COLLAPSED = 0.02  # of the spread that samples had
LOOKS = 3  # in a row that must see it
SAMPLES = 64
NARROW, WIDE = 0.05, 20.0  # times the median squared distance, between which a kernel can tell


@dataclass(frozen=True)
class Warned:
    """A warning: what kind, at which node, and in words."""

    code: str
    node: str
    text: str


@dataclass(frozen=True)
class Game:
    """Two updates against each other: the judge learns to tell what the player makes from others,
    the player to be taken for one of these. `made` is what the player makes."""

    judge: str
    player: str
    judge_losses: tuple[str, ...]
    player_losses: tuple[str, ...]
    made: Ref


def losses_of(body: Body, update: str) -> tuple[str, ...]:
    """The names of the losses that an update minimises."""
    return tuple(map(str, refs(body.calls[update].inputs["loss"])))


def games(body: Body, stage: Stage) -> list[Game]:
    """The games of a stage: each update's loss depends on the weights that the other moves, and
    what the player makes flows into the judge."""
    found = []
    updates = [n for n in dict.fromkeys(map(str, stage.run)) if n in body.calls]
    moved = {u: set(owners(body, body.calls[u])) for u in updates}
    below = {u: behind(body, body.calls[u].sources) for u in updates}
    for judge in updates:
        for player in updates:
            if judge == player or moved[judge] & moved[player]:
                continue
            weights = {body.calls[n].owner for n in below[judge]}
            against = {body.calls[n].owner for n in below[player]}
            if not (moved[player] & weights and moved[judge] & against):
                continue
            made = next(_made(body, moved[player], moved[judge]), None)
            if made is not None:
                losses = losses_of(body, judge), losses_of(body, player)
                found.append(Game(judge, player, losses[0], losses[1], made))
    return found


def _made(body: Body, players: set[str], judges: set[str]) -> Iterator[Ref]:
    """What flows into a judge and depends on the player's weights."""
    for call in body.calls.values():
        if call.owner in judges:
            for ref in call.sources:
                if any(body.calls[n].owner in players for n in behind(body, [ref])):
                    yield ref


# Rules over losses: rows are the oldest first ----------------------------------------------------


def _sums(rows: Sequence[Mapping[str, float]], losses: Sequence[str]) -> list[float]:
    """What an update minimises, row by row."""
    return [sum(row[name] for name in losses) for row in rows]


def _quarters(values: Sequence[float]) -> list[float]:
    """The means of the four quarters of a window."""
    size = len(values) // 4
    return [fmean(values[i * size : (i + 1) * size]) for i in range(4)]


def judge_wins(game: Game, rows: Sequence[Mapping[str, float]]) -> Warned | None:
    """The judge is hardly ever wrong, and the player falls behind."""
    rows = rows[-WINDOW // 2 :]
    judge, player = _sums(rows, game.judge_losses), _sums(rows, game.player_losses)
    half = len(rows) // 2
    if max(judge) < WON and fmean(player[half:]) > 1.05 * fmean(player[:half]):
        text = (
            f"{game.judge} has won: its loss stays near 0 while that of {game.player} rises, so "
            f"{game.player} learns nothing from it; lower the learning rate of {game.judge}, or "
            f"run {game.player} more often"
        )
        return Warned("judge_wins", game.judge, text)
    return None


def judge_swings(game: Game, rows: Sequence[Mapping[str, float]], first: float) -> Warned | None:
    """The judge's loss jumps about: it deviates from its mean by more than that, and up to above
    what it was when the judge knew nothing."""
    judge = _sums(rows, game.judge_losses)
    if pstdev(judge) > fmean(judge) > 0 and max(judge) > first:
        text = (
            f"the loss of {game.judge} jumps about, from {min(judge):.3g} to {max(judge):.3g}: it "
            f"is sure, and wrong in turn; lower its learning rate, or soften its labels"
        )
        return Warned("judge_swings", game.judge, text)
    return None


def player_wins(game: Game, rows: Sequence[Mapping[str, float]], first: float) -> Warned | None:
    """The player's loss falls from quarter to quarter of the window, far below where it began, and
    the judge's rises: what it makes need not be good for that."""
    player, judge = (
        _quarters(_sums(rows, losses)) for losses in (game.player_losses, game.judge_losses)
    )
    falls = all(a > b for a, b in zip(player, player[1:], strict=False))
    if falls and player[3] < GAINS * min(player[0], first) and judge[3] > judge[0]:
        text = (
            f"the loss of {game.player} falls steadily, to {player[3]:.3g}, while that of "
            f"{game.judge} rises: {game.judge} takes for real whatever it is shown, also garbage; "
            f"raise its learning rate, or run it more often"
        )
        return Warned("player_wins", game.player, text)
    return None


def steep(update: str, lengths: Sequence[float], first: float) -> Warned | None:
    """The gradient of an update of a game is far too long for the size of its losses, not just in
    passing."""
    recent = lengths[-LOOKS:]
    if len(recent) == LOOKS and min(recent) > STEEP * max(1.0, first):
        text = (
            f"the gradient of {update} has the length {recent[-1]:.3g}: its steps go anywhere;"
            " lower its learning rate, normalise between layers, or go back to a checkpoint"
        )
        return Warned("steep", update, text)
    return None


def rate_too_high(
    update: str, loss: str, rows: Sequence[Mapping[str, float]], first: float
) -> Warned | None:
    """A loss rises from quarter to quarter of the window, back to where it began; or it jumps far
    above that."""
    means = _quarters([r[loss] for r in rows])
    highest = max(r[loss] for r in rows)
    if highest > JUMP * first > 0:
        text = (
            f"{loss} has jumped to {highest:.3g}, from {first:.3g} at the beginning: the steps of "
            f"{update} are far too long; lower its learning rate, and go back to a checkpoint"
        )
        return Warned("rate_too_high", update, text)
    rises = all(a < b for a, b in zip(means, means[1:], strict=False))
    if rises and means[3] - means[0] > (RISE - 1) * abs(means[0]) and means[3] > first / 2:
        text = (
            f"{loss} rises, from {means[0]:.3g} to {means[3]:.3g}: the steps of {update} are too "
            "long; lower its learning rate, go back to a checkpoint, and go on from there"
        )
        return Warned("rate_too_high", update, text)
    return None


def collapse(game: Game, spreads: Sequence[float]) -> Warned | None:
    """All samples of the player are nearly the same, and were not always."""
    recent = spreads[-LOOKS:]
    if len(spreads) > LOOKS and max(recent) < COLLAPSED * max(spreads):
        text = (
            f"all samples of {game.made} are nearly the same: {game.player} has found one that "
            f"{game.judge} takes, and makes nothing else; go back to a checkpoint and lower its "
            "learning rate, or give the judge a view of the whole batch"
        )
        return Warned("collapse", game.made.node, text)
    return None


class Watch:
    """The rules over one stage of a run. Each says the same at most once per `AGAIN` rows."""

    def __init__(self, body: Body, stage: Stage) -> None:
        self.games = games(body, stage)
        self.rows: deque[Mapping[str, float]] = deque(maxlen=WINDOW)
        self.first: list[Mapping[str, float]] = []
        self.spreads: dict[Game, list[float]] = {game: [] for game in self.games}
        self.count = 0
        self.said: dict[tuple[str, str], int] = {}
        self.of_update = {g.judge: g.judge_losses for g in self.games}
        self.of_update |= {g.player: g.player_losses for g in self.games}
        self.lengths: dict[str, list[float]] = {name: [] for name in self.of_update}
        # A loss behind a reversal of the gradient is meant to rise.
        self.falling = [
            (update, loss)
            for update in dict.fromkeys(map(str, stage.run))
            if update in body.calls and update not in self.of_update
            for loss in losses_of(body, update)
            if not any(_adversarial(body, n) for n in behind(body, [Ref.parse(loss)]))
        ]

    def losses(self, values: Mapping[str, float]) -> list[Warned]:
        """What the losses of one more step tell."""
        self.count += 1
        if self.rows and values.keys() != self.rows[-1].keys():
            return []  # of one update alone
        self.rows.append(values)
        if len(self.first) < FIRST:
            self.first.append(values)
        if len(self.rows) < WINDOW:
            return []
        rows = [*self.rows]
        found = [judge_wins(game, rows) for game in self.games]
        for game in self.games:
            found.append(judge_swings(game, rows, sum(map(self.at_first, game.judge_losses))))
            found.append(player_wins(game, rows, sum(map(self.at_first, game.player_losses))))
        for update, loss in self.falling:
            found.append(rate_too_high(update, loss, rows, self.at_first(loss)))
        return self.new(found)

    def at_first(self, loss: str) -> float:
        """What a loss was at the beginning."""
        return fmean(r[loss] for r in self.first)

    def gradient(self, update: str, length: float) -> list[Warned]:
        """What the length of the last gradient of an update of a game tells."""
        if not self.first:
            return []
        first = max(map(self.at_first, self.of_update[update]))
        self.lengths[update].append(length)
        return self.new([steep(update, self.lengths[update], first)])

    def spread(self, game: Game, value: float) -> list[Warned]:
        """What the spread of some samples of a player tells."""
        self.spreads[game].append(value)
        return self.new([collapse(game, self.spreads[game])])

    def new(self, found: Sequence[Warned | None]) -> list[Warned]:
        """Those that were not said lately."""
        fresh = []
        for warned in filter(None, found):
            key = (warned.code, warned.node)
            if key not in self.said or self.count - self.said[key] >= AGAIN:
                self.said[key] = self.count
                fresh.append(warned)
        return fresh


def _adversarial(body: Body, name: str) -> bool:
    leaves = body.calls[name].leaf_calls()
    return any(leaf.node and leaf.node.category == "adversarial" for leaf in leaves)


class Samples:
    """Samples of what a player makes, from held-out sources: they change nothing of the run."""

    def __init__(self, trainer: Trainer, game: Game) -> None:
        self.trainer, body = trainer, trainer.body
        names = behind(body, [game.made])
        self.sources = [n for n in body.calls if n in names
                        and isinstance(body.calls[n].node, Source)]  # fmt: skip
        ports = [f"{n}.{p}" for n in self.sources for p in body.calls[n].outputs]
        random = checkpoint.random_state()
        try:
            made = compile_slice(trainer.graph, ports, [str(game.made)], trainer.library)
        finally:
            checkpoint.set_random_state(random)
        self.module = made.to(trainer.device.name).eval()

    @torch.no_grad()
    def spread(self) -> float:
        """The standard deviation over samples, averaged over positions."""
        trainer = self.trainer
        random = checkpoint.random_state()
        try:
            self.module.load_state_dict(trainer.net.state_dict(), strict=False)
            drawn = []
            for name in self.sources:
                source = trainer.sources[trainer.body.calls[name].owner]
                size = source.held_out_size()
                drawn += source.held_out(0, SAMPLES if size is None else min(size, SAMPLES))
            return float(self.module(*drawn).std(0, correction=0).mean())
        finally:
            checkpoint.set_random_state(random)


class Kernels:
    """The kernels in a stage's losses, and how far apart is what flows into them, on held-out
    examples. Each is told of once: how wide it has to be is a question of units, which no graph
    answers before it runs."""

    def __init__(self, trainer: Trainer, stage: Stage) -> None:
        self.trainer = trainer
        self.unfolded = unfold(trainer.body, trainer.graph)
        calls = self.unfolded.body.calls
        ends = [ref for name in map(str, stage.run) for ref in calls[name].sources]
        below = behind(self.unfolded.body, ends)
        self.left = [c for n, c in calls.items()
                     if n in below and c.node and c.node.kernel_widths()]  # fmt: skip
        self.seen: Counter[str] = Counter()  # how often in a row a kernel did not fit
        self.run: Slice | None = None

    @torch.no_grad()
    def look(self) -> list[Warned]:
        """Those that saw all pairs of examples as equally near, or as equally far, some looks in a
        row: features begin small, and grow."""
        if not self.left:
            return []
        trainer = self.trainer
        if self.run is None:
            ends = tuple(dict.fromkeys(ref for c in self.left for ref in c.sources))
            self.run = slice_of(self.unfolded, ends, "kernels")
        sources = [trainer.sources[owner] for owner in self.run.sources.values()]
        rows = min([SAMPLES, *(n for s in sources if (n := s.held_out_size()))])
        with untouched(trainer), trainer.precision():
            trainer.net.eval()
            values = self.run(trainer, [held_out(s, rows) for s in sources])
        found = []
        for call in [*self.left]:
            points = torch.cat([values[ref].flatten(1).float() for ref in call.sources])
            told = unfit(call, self.unfolded.path(call.name), points)
            self.seen[call.name] = self.seen[call.name] + 1 if told else 0
            if told and self.seen[call.name] >= LOOKS:
                self.left.remove(call)
                found.append(told)
        return found


def unfit(call: Call, path: str, points: Tensor) -> Warned | None:
    """None of a node's kernels fits the distances between some points."""
    assert call.node is not None
    median = float(torch.pdist(points).square().median())
    widths = call.node.kernel_widths()
    fitting = any(NARROW * median <= w <= WIDE * median for w in widths)
    if fitting or not 0 < median < float("inf"):
        return None
    least, most = f"{min(widths):.3g}", f"{max(widths):.3g}"
    said = f"a kernel of width {least}" if least == most else f"kernels of widths {least} to {most}"
    text = (
        f"{path} has {said}, and half of what flows into it lies further apart than {median:.3g} "
        f"(squared): {'near' if max(widths) > median else 'far'} is all that it sees, so it "
        f"hardly pulls; set {call.node.kernel_for(median)}"
    )
    return Warned("kernel_width", path.partition("/")[0], text)


class Gradients:
    """The length of the gradient of some updates, at the first step after each reading."""

    def __init__(self, optimisers: Mapping[str, torch.optim.Optimizer]) -> None:
        self.lengths: dict[str, float] = {}
        for name, optimiser in optimisers.items():
            # After the step it is gone.
            optimiser.register_step_pre_hook(partial(self.take, name))

    def take(self, name: str, optimiser: torch.optim.Optimizer, *_: object) -> None:
        """Measure, where it has not been done."""
        if name not in self.lengths:
            parts = [p.grad for group in optimiser.param_groups for p in group["params"]]
            self.lengths[name] = hypot(*(float(g.norm()) for g in parts if g is not None))

    def read(self) -> dict[str, float]:
        """What was measured since the last reading."""
        found, self.lengths = self.lengths, {}
        return found


class Looks:
    """Looks at a stage, now and then: at samples and gradients of its games, and at kernels."""

    def __init__(self, trainer: Trainer, watch: Watch) -> None:
        self.watch = watch
        self.samples = {game: Samples(trainer, game) for game in watch.games}
        self.kernels = Kernels(trainer, trainer.graph.train[trainer.index])
        optimisers = trainer.stage.optimisers if trainer.stage else {}
        self.gradients = Gradients({n: o for n, o in optimisers.items() if n in watch.of_update})

    def look(self) -> list[Warned]:
        """What they tell."""
        found = []
        for game, made in self.samples.items():
            found += self.watch.spread(game, made.spread())
        for update, length in self.gradients.read().items():
            found += self.watch.gradient(update, length)
        return found + self.kernels.look()
