"""What generated code needs at run time. Needs torch alone: an exported script carries it whole."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class NotFinite(FloatingPointError):
    """A loss or a gradient is infinite or not a number. `update` says which update stopped."""

    def __init__(self, update: str, what: str) -> None:
        super().__init__(f"{what} of update {update} is not finite, and moved no weight")
        self.update = update


def weights_of(*modules: nn.Module, without: Iterable[nn.Module] = ()) -> list[nn.Parameter]:
    """All parameters of some modules, each once, but not those of the modules `without`."""
    left_out = {p for module in without for p in module.parameters()}
    found = dict.fromkeys(p for module in modules for p in module.parameters())
    return [p for p in found if p not in left_out]


def backward(update: str, loss: Tensor, weights: list[nn.Parameter], clip: float = 0.0) -> None:
    """Gradients of `loss` for `weights` and nothing else, averaged over the processes; with `clip`
    made so short together.

    Raises NotFinite before anything has moved.
    """
    loss.backward(inputs=weights)
    gradients = [p.grad for p in weights if p.grad is not None]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        average(gradients)
    # One number tells for all: a NaN or infinity in any gradient makes the norm one.
    norms = torch._foreach_norm(gradients) if gradients else []
    total = torch.stack([loss.detach().float(), *(n.float() for n in norms)]).sum().item()
    if not math.isfinite(total):
        # The norm of large but finite gradients may overflow: look at each before giving up.
        bad = [] if torch.isfinite(loss) else ["the loss"]
        bad += [] if all(torch.isfinite(g).all() for g in gradients) else ["the gradient"]
        if bad:
            for weight in weights:
                weight.grad = None
            raise NotFinite(update, bad[0])
    if clip:
        nn.utils.clip_grad_norm_(weights, clip)


def probe(module: nn.Module, name: str, value: Tensor | tuple[Tensor, ...]) -> None:
    """Raise NotFinite for the first node whose value is not finite."""
    tensors = value if isinstance(value, tuple) else (value,)
    if any(x.is_floating_point() and not torch.isfinite(x).all() for x in tensors):
        path = getattr(module, "path", "")
        raise NotFinite(f"{path}.{name}" if path else name, "the value")


def average(gradients: list[Tensor]) -> None:
    """Replace each gradient by its mean over the processes, in one message per dtype."""
    for dtype in {g.dtype for g in gradients}:
        same = [g for g in gradients if g.dtype == dtype]
        flat = torch.cat([g.flatten() for g in same])
        torch.distributed.all_reduce(flat)
        flat /= torch.distributed.get_world_size()
        for gradient, mean in zip(same, flat.split([g.numel() for g in same]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def set_options(optimiser: torch.optim.Optimizer, **options: float) -> None:
    """Set an option, like the learning rate, of all parameter groups."""
    for group in optimiser.param_groups:
        group.update(options)


TOGETHER = 1000  # held-out examples that a metric sees at once if it is no mean over batches


class Stage:
    """A part of training: `step(t)` runs its updates once and returns the losses.

    `fixed` are the modules that the stage does not train. They are in evaluation mode: they give
    the same output for the same input, and keep their running statistics; their weights have no
    gradient.
    """

    net: nn.Module
    name = ""
    steps = 0
    watch_every = 0
    fixed: list[nn.Module] = []
    optimisers: dict[str, torch.optim.Optimizer] = {}
    # Each watched group: its metrics, the sources that it is computed from, its method.
    watched: list[tuple[tuple[str, ...], tuple[str, ...], Callable[..., tuple[Tensor, ...]]]] = []
    totals: frozenset[str] = frozenset()  # metrics that are summed over the data, not averaged
    together: frozenset[str] = frozenset()  # metrics of many examples at once

    def begin(self) -> None:
        """Set the modes and what has gradients, and compute what stays the same in all steps."""
        self.net.train()
        for module in self.fixed:
            module.eval().requires_grad_(False)
        for optimiser in self.optimisers.values():
            for weight in optimiser.param_groups[0]["params"]:
                weight.requires_grad_()
        with torch.no_grad():
            self.prepare()

    def prepare(self) -> None:
        """Compute what depends on nothing that moves in this stage."""

    def step(self, t: int) -> dict[str, Tensor]:
        """Run every update once; `t` counts the steps of this stage from 0."""
        raise NotImplementedError

    def evaluate(self, sources: dict, t: int, batch: int = 250) -> dict[str, Tensor]:
        """The watched metrics in evaluation mode, on the held-out data, all of it.

        Several data sets are read side by side, until the shortest ends. Where every source is
        endless (noise), one batch is drawn, as large as in training. What needs examples together
        has the first ones, in one batch.
        """
        modes = [(m, m.training) for m in self.net.modules()]
        self.net.eval()
        results: dict[str, Tensor] = {}
        with torch.no_grad():
            for metrics, names, compute in self.watched:
                sizes = [n for s in names if (n := sources[s].held_out_size()) is not None]
                # Of endless sources one batch, as large as in training.
                end = min(sizes, default=max((sources[s].batch for s in names), default=1))
                sums: list = [0] * len(metrics)
                at_once = self.together.issuperset(metrics)
                if sizes and at_once:
                    end = min(end, TOGETHER)
                size = batch if sizes and not at_once else end
                for start in range(0, end, size):
                    stop = min(start + size, end)
                    drawn = [value for s in names for value in sources[s].held_out(start, stop)]
                    for i, number in enumerate(compute(t, *drawn)):
                        value = torch.as_tensor(number)  # a schedule gives a plain number
                        total = metrics[i] in self.totals
                        sums[i] = sums[i] + (value if total else value * ((stop - start) / end))
                results |= dict(zip(metrics, sums, strict=True))
        for module, mode in modes:
            module.training = mode
        return results


def fit(
    network: Callable[[], nn.Module],
    make_sources: Callable[[], dict],
    stages: Iterable[Callable[..., Stage]],
    seed: int = 0,
    device: str = "cpu",
    report: Callable[..., None] = print,
    given: Callable[[nn.Module], None] = lambda net: None,
) -> nn.Module:
    """Train all stages in order, and return the network. `given` sets weights that are known."""
    torch.manual_seed(seed)
    net = network().to(device)
    given(net)
    sources = make_sources()
    for name, source in sources.items():
        source.start(name, seed, device)
        for text in getattr(source, "notes", ()):
            print(f"warning: {name}: {text}")
    for make in stages:
        stage = make(net, sources)
        stage.begin()
        for t in range(stage.steps):
            losses = stage.step(t)
            report(stage.name, t + 1, {k: v.item() for k, v in losses.items()})
            due = (t + 1) % stage.watch_every == 0 or t + 1 == stage.steps
            if stage.watched and due:
                metrics = stage.evaluate(sources, t)
                report(stage.name, t + 1, {k: v.tolist() for k, v in metrics.items()})
    return net
