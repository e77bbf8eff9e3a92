"""`make bench`: ratios against what a user would pick instead.

All competitors of a row run in turn, many times, in one process; a row gives the median of the
ratios of neighbours in time. `null` is the same ratio for the hand-written code against a second
copy of itself: what the machine's noise alone makes of 1.00.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import nodegraph
from nodegraph import files
from nodegraph.checks import check, settled
from nodegraph.graph import Entry, Graph, Ref, Stage, choose
from nodegraph.infer import infer
from nodegraph.library import standard
from nodegraph.training.trainer import Options, Trainer
from nodegraph.worker.process import cpu_time
from nodegraph.worker.run import Run

ROOT = Path(__file__).parents[1]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def once(run: Callable[[], Any]) -> float:
    """Seconds of one run."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    run()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def ratios(
    ours: Callable[[], Any], theirs: Callable[[], Any], twin: Callable[[], Any], rounds: int
) -> tuple[float, float, float]:
    """Median of ours / theirs, of twin / theirs (the null), and the median seconds of ours."""
    for run in (ours, theirs, twin) * 2:
        run()
    gc.collect()
    gc.disable()
    rows = []
    for index in range(rounds):
        order = [("ours", ours), ("theirs", theirs), ("twin", twin)]
        order = order[index % 3 :] + order[: index % 3]  # so that no place in the turn is favoured
        rows.append({name: once(run) for name, run in order})
    gc.enable()
    median = statistics.median
    return (
        median(r["ours"] / r["theirs"] for r in rows),
        median(r["twin"] / r["theirs"] for r in rows),
        median(r["ours"] for r in rows),
    )


def row(name: str, wanted: str, figure: str, null: str = "", seconds: float | None = None) -> None:
    """One line of the table."""
    took = f"{seconds * 1e3:9.2f} ms" if seconds is not None else ""
    print(f"{name:<58} {figure:>8}  wanted {wanted:<8} {null:<11} {took}", flush=True)


def compared(
    name: str, wanted: str, ours: Callable[[], Any], theirs: Callable[[], Any],
    twin: Callable[[], Any], rounds: int,
) -> None:  # fmt: skip
    """Measure and print a ratio."""
    ratio, null, seconds = ratios(ours, theirs, twin, rounds)
    row(name, wanted, f"{ratio:.3f}", f"null {null:.3f}", seconds)


# Generated modules against hand-written ones -----------------------------------------------------


class ByHand(nn.Module):
    """Layers with a ReLU after each, as a person writes it: one line per layer."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        for index, layer in enumerate(layers):
            setattr(self, f"layer{index}", layer)
        lines = "\n".join(f"    x = torch.relu(self.layer{i}(x))" for i in range(len(layers)))
        space: dict[str, Any] = {"torch": torch}
        exec(f"def forward(self, x):\n{lines}\n    return x", space)
        self.run = space["forward"].__get__(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All layers."""
        return self.run(x)


def chain(depth: int, width: int) -> Graph:
    """`depth` times Linear and ReLU, in a file's form."""
    nodes: dict[str, Entry] = {
        "x": Entry("Noise", {"shape": (width,), "batch": 1}),
    }
    links: dict[Ref, Any] = {}
    last = "x"
    for index in range(depth):
        nodes[f"fc{index}"] = Entry("Linear", {"features": width})
        nodes[f"relu{index}"] = Entry("ReLU")
        links[Ref(f"fc{index}", "x")] = Ref(last)
        links[Ref(f"relu{index}", "x")] = Ref(f"fc{index}")
        last = f"relu{index}"
    return Graph(nodes, links)


def copied(to: nn.Module, of: nn.Module) -> nn.Module:
    """`to` with the weights of `of`, in order."""
    values = of.state_dict().values()
    to.load_state_dict(dict(zip(to.state_dict(), values, strict=True)))
    return to.to(DEVICE)


def there_and_back(net: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """One forward and backward pass."""

    def run() -> None:
        net.zero_grad()
        net(x).sum().backward()

    return run


def forward(net: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """One forward pass without gradients."""

    def run() -> None:
        with torch.no_grad():
            net(x)

    return run


def modules() -> None:
    """Generated modules against hand-written ones."""
    for name, depth, width, rounds in (
        ("30-layer MLP", 30, 64, 1500),
        ("300 layers", 300, 16, 200),
    ):
        graph = chain(depth, width)
        ours = nodegraph.compile(graph, ["x"], [f"relu{depth - 1}"]).to(DEVICE)
        theirs, twin = (
            copied(ByHand([nn.Linear(width, width) for _ in range(depth)]), ours) for _ in range(2)
        )
        x = torch.rand(1, width, device=DEVICE)
        for what, make in (("forward", forward), ("forward + backward", there_and_back)):
            compared(
                f"generated / by hand: {name}, batch 1, {what}", "≤ 1.02",
                make(ours, x), make(theirs, x), make(twin, x), rounds,
            )  # fmt: skip
    graph = choose(nodegraph.load(ROOT / "graphs/dcgan.yaml"), "paper")
    ours = nodegraph.compile(graph, ["z"], ["judge_fake"]).to(DEVICE)
    theirs, twin = (copied(nn.Sequential(*official(), nn.Flatten()), ours) for _ in range(2))
    z = torch.randn(8, 100, 1, 1, device=DEVICE)
    for what, make in (("forward", forward), ("forward + backward", there_and_back)):
        compared(
            f"generated / by hand: DCGAN-64, batch 8, {what}", "≤ 1.02",
            make(ours, z), make(theirs, z), make(twin, z), 40,
        )  # fmt: skip


# The GAN step against the loop of the PyTorch examples -------------------------------------------


def official() -> tuple[nn.Module, nn.Module]:
    """The networks of the DCGAN example of PyTorch, without the last sigmoid."""

    def up(i: int, o: int, *more: int) -> list[nn.Module]:
        conv = nn.ConvTranspose2d(i, o, 4, *more, bias=False)
        return [conv, nn.BatchNorm2d(o), nn.ReLU(True)]

    def down(i: int, o: int) -> list[nn.Module]:
        conv = nn.Conv2d(i, o, 4, 2, 1, bias=False)
        return [conv, nn.BatchNorm2d(o), nn.LeakyReLU(0.2, inplace=True)]

    g = nn.Sequential(
        *up(100, 512, 1, 0), *up(512, 256, 2, 1), *up(256, 128, 2, 1), *up(128, 64, 2, 1),
        nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    d = nn.Sequential(
        nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
        *down(64, 128), *down(128, 256), *down(256, 512), nn.Conv2d(512, 1, 4, 1, 0, bias=False),
    )  # fmt: skip
    return g, d


class OfficialLoop:
    """The body of the loop of the example, line by line."""

    def __init__(self, ours: Trainer, channels_last: bool = False) -> None:
        g, d = official()
        self.g, self.d = g.to(DEVICE), nn.Sequential(*d, nn.Sigmoid()).to(DEVICE)
        self.criterion = nn.BCELoss()
        self.g_adam = torch.optim.Adam(self.g.parameters(), lr=0.0002, betas=(0.5, 0.999))
        self.d_adam = torch.optim.Adam(self.d.parameters(), lr=0.0002, betas=(0.5, 0.999))
        self.sources = ours.sources

    def step(self) -> None:
        """One iteration."""
        self.d.zero_grad()
        real = self.sources["real.files"].draw()[0]
        batch = len(real)
        label = torch.full((batch,), 1.0, device=DEVICE)
        output = self.d(real).view(-1)
        err_real = self.criterion(output, label)
        err_real.backward()
        noise = torch.randn(batch, 100, 1, 1, device=DEVICE)
        fake = self.g(noise)
        label.fill_(0.0)
        output = self.d(fake.detach()).view(-1)
        err_fake = self.criterion(output, label)
        err_fake.backward()
        self.d_adam.step()
        self.g.zero_grad()
        label.fill_(1.0)
        output = self.d(fake).view(-1)
        err_g = self.criterion(output, label)
        err_g.backward()
        self.g_adam.step()
        (err_real + err_fake).item(), err_g.item()


def gan_graph(batch: int) -> Graph:
    """The paper preset of dcgan.yaml, on rendered images instead of a folder of photographs."""
    graph = choose(nodegraph.load(ROOT / "graphs/dcgan.yaml"), "paper", {"batch": batch})
    photos = graph.groups["Photos"]
    rendered = {
        "size": 64, "channels": 3, "count": 200, "held_out": 10, "range": "-1..1", "batch": batch
    }  # fmt: skip
    photos = photos.with_(nodes={"files": Entry("FontDigits", rendered)})
    stage = replace(graph.train[0], watch=())
    return settled(graph.with_(groups={**graph.groups, "Photos": photos}, train=(stage,)))


def gan() -> None:
    """One step of both networks."""
    graph = gan_graph(32)
    for options, wanted in ((Options(), "≤ 0.95"), (Options(channels_last=True), "≤ 0.85")):
        ours = Trainer(graph, options)
        ours.enter()
        theirs, twin = OfficialLoop(ours), OfficialLoop(ours)
        words = ", --channels-last" if options.channels_last else ""
        compared(
            f"GAN step / PyTorch's example: 64×64, batch 32{words}", wanted,
            ours.step, theirs.step, twin.step, 12 if DEVICE == "cpu" else 200,
        )  # fmt: skip


# Live training against the bare loop -------------------------------------------------------------


class Live:
    """A run in a worker process on a core of its own, and the time that its steps take."""

    def __init__(
        self, graph: str, settings: dict[str, Any], core: int, views: list[str], folder: str
    ) -> None:
        self.client = Run([sys.executable, "-c", PINNED.format(core=core)])
        self.ticks, self.shown = 0, -1  # previews so far, and the step of the last ones
        self.client.start({
            "id": 1, "graph": graph, "settings": settings, "paused": True, "run": folder,
            "options": {"device": DEVICE},
        })  # fmt: skip
        self.until("paused")
        self.client.look(views, [], 1.0)
        self.rest()

    def poll(self) -> None:
        """Take what has come."""
        for message in self.client.poll():
            if message["do"] == "previews":
                assert all(view["kind"] == "picture" for view in message["views"]), message
                self.ticks, self.shown = self.ticks + 1, message["step"]

    def rest(self) -> None:
        """Wait until what a pause shows is drawn: the core is then free for others."""
        while self.shown != self.client.status["step"]:
            self.poll()
            time.sleep(0.005)

    def until(self, state: str) -> None:
        """Wait, as a window does that polls often."""
        while self.client.state != state:
            assert self.client.alive, self.client.told
            self.poll()
            time.sleep(0.005)

    def steps(self, count: int) -> None:
        """So many steps."""
        self.client.step(count)
        while self.client.state != "running":
            time.sleep(0.001)
        self.until("paused")


LIVE_ROUNDS = 27


class Turn(NamedTuple):
    """What some steps took: seconds, which whoever shares the machine lengthens, and the
    processor's ticks."""

    wall: float
    cpu: int


PINNED = """
import os, sys
os.sched_setaffinity(0, {{{core}}})
os.environ["OMP_NUM_THREADS"] = "1"
from nodegraph.worker.server import serve
sys.exit(serve())
"""
BARE = """
import os, sys, time
os.sched_setaffinity(0, {{{core}}})
os.environ["OMP_NUM_THREADS"] = "1"
from nodegraph import files
from nodegraph.training.run import checked
from nodegraph.training.trainer import Stepped, Trainer
made = Trainer(checked(files.load({path!r}), "", {settings!r}))
print("ready", flush=True)
for line in sys.stdin:
    left = int(line)
    begin = time.perf_counter()
    while left:
        left -= sum(isinstance(e, Stepped) for e in made.advance())
    print(time.perf_counter() - begin, flush=True)
"""


def live() -> None:
    """Steps of a worker that is watched against those of the bare trainer, a process each, in turn
    on the same core. All views of a graph are drawn, sent and stored, once a second, but for a
    fiftieth of the time at most; each turn takes seconds, so that there are some in each."""
    core = max(os.sched_getaffinity(0))
    for name, views, count, settings in (
        ("dcgan", ["images"], 40, {"steps": 10_000_000}),
        ("dann", ["images", "mixing", "errors_t"], 40, {"steps": 10_000_000, "count": 500}),
    ):
        path = str(ROOT / f"graphs/{name}.yaml")
        code = BARE.format(core=core, path=path, settings=settings)
        bare = [
            subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]  # fmt: skip
        for process in bare:
            assert process.stdout and process.stdout.readline() == "ready\n"

        def timed(process: subprocess.Popen[str], count: int = count) -> Turn:
            assert process.stdin and process.stdout
            before = cpu_time(process.pid)
            process.stdin.write(f"{count}\n")
            process.stdin.flush()
            return Turn(float(process.stdout.readline()), cpu_time(process.pid) - before)

        with tempfile.TemporaryDirectory() as folder:
            ours = Live(Path(path).read_text(), settings, core, views, f"{folder}/run")

            def watched(ours: Live = ours, count: int = count) -> Turn:
                began, before = time.perf_counter(), cpu_time(ours.client.pid)
                ours.steps(count)
                turn = Turn(time.perf_counter() - began, cpu_time(ours.client.pid) - before)
                ours.rest()
                return turn

            racers = {
                "ours": watched, "theirs": partial(timed, bare[0]), "twin": partial(timed, bare[1])
            }  # fmt: skip
            for run in racers.values():
                run()
            rows, before = [], ours.ticks
            for index in range(LIVE_ROUNDS):
                order = [*racers][index % 3 :] + [*racers][: index % 3]
                rows.append({who: racers[who]() for who in order})
            spent = sum(r["ours"].wall for r in rows)
            ticks = (ours.ticks - before - LIVE_ROUNDS) / spent  # without those of pauses
            took = statistics.median(r["ours"].wall for r in rows) / count
            for clock, index in (("wall", 0), ("CPU", 1)):
                ratio = statistics.median(r["ours"][index] / r["theirs"][index] for r in rows)
                null = statistics.median(r["twin"][index] / r["theirs"][index] for r in rows)
                words = f"live / bare trainer, {clock} time: {name}, {ticks:.2f} previews/s"
                row(words, "≤ 1.03", f"{ratio:.3f}", f"null {null:.3f}", took)
            ours.client.stop()
            ours.client.wait_closed()
        for process in bare:
            process.kill()
            process.wait()


# The editor's part: no torch ---------------------------------------------------------------------


def graphs() -> None:
    """Inferring again after an edit, loading and checking."""
    library = standard()
    graph = chain(499, 64)
    nodes = {**graph.nodes, "end": Entry("Mean"), "sgd": Entry("SGD", {"over": ("fc0",)})}
    links = {**graph.links, Ref("end", "x"): Ref("relu498"), Ref("sgd", "loss"): (Ref("end"),)}
    graph = Graph(nodes, links, train=(Stage("s", 1, ("sgd",)),))
    memo: dict[Any, Any] = {}
    infer(graph, library, memo)
    times = []
    for index in range(60):
        name = f"fc{(index * 37) % 499}"
        changed = {**graph.nodes, name: Entry("Linear", {"features": 64, "bias": bool(index % 2)})}
        edited = graph.with_(nodes=changed)
        times.append(once(lambda edited=edited: infer(edited, library, memo)))
    found = statistics.median(times)
    row("shapes again after an edit, 1,000 nodes", "≤ 16 ms", f"{found * 1e3:.1f} ms")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.yaml"
        files.save(graph, path)

        def load_and_check() -> None:
            assert len(check(files.load(path))) >= 1

        times = [once(load_and_check) for _ in range(5)]
    found = statistics.median(times)
    row("load + check, 1,000 nodes", "≤ 1 s", f"{found:.2f} s")


# Textures ----------------------------------------------------------------------------------------


class Bank(nn.Module):
    """Filters of many sizes with a circular boundary, by FFT or directly."""

    SIZES = (3, 5, 7, 11, 15, 23, 37, 55)

    def __init__(self, layer: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer(3, 32, k) for k in self.SIZES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All maps."""
        return torch.cat([layer(x) for layer in self.layers], 1)


def direct(inputs: int, channels: int, kernel: int) -> nn.Module:
    """torch's own convolution."""
    return nn.Conv2d(inputs, channels, kernel, padding="same", padding_mode="circular")


def fft() -> None:
    """Convolution by FFT against torch's, at the sizes of `texture_random_filters`."""
    from nodegraph.nodes.ops.fft_conv import FFTConv2d

    ours, (theirs, twin) = Bank(FFTConv2d).to(DEVICE), (Bank(direct) for _ in range(2))
    theirs, twin = copied(theirs, ours), copied(twin, ours)
    x = torch.rand(1, 3, 96, 96, device=DEVICE)
    apart = (ours(x) - theirs(x)).abs().max().item()
    assert apart < 1e-4, f"they differ by {apart}"
    for kernels in ("trained", "frozen"):
        if kernels == "frozen":  # as the graph has them: the gradient is for the picture
            x.requires_grad_()
            for bank in (ours, theirs, twin):
                bank.requires_grad_(False)
        for what, make in (("forward", forward), ("forward + backward", there_and_back)):
            compared(
                f"FFT / direct: 8 × 32 {kernels} filters of 3 to 55 px, 96 px, {what}", "≤ 0.14",
                make(ours, x), make(theirs, x), make(twin, x), 6,
            )  # fmt: skip


def textures() -> None:
    """A trained generator's pass against the optimisation of an image, at equal loss."""
    race("quick", {})
    evaluation()


def textures_vgg() -> None:
    """The same by the network of the slide, with random weights, at 64 px: minutes on two cores."""
    race("random_vgg", {})


def textures_256() -> None:
    """The same at the paper's 256 px and batch, on a GPU. Random weights want a smaller rate than
    the paper's, and 500 steps are enough to see the loss."""
    if DEVICE == "cpu":
        print("textures_256 needs a GPU: 500 steps of VGG-19 at 256 px, 16 at once")
        return
    race("paper", {"weights": "", "lr": 0.01, "steps": 500})


def race(preset: str, settings: dict[str, Any]) -> None:
    """L-BFGS on the pixels until it has the loss of the generator's samples, against a pass.

    On a GPU also as it is fastest: torch.compile for the one, a CUDA graph for the other.
    """
    from nodegraph.nodes.ops.loss_vs_time import crossing

    graph = settled(choose(nodegraph.load(ROOT / "graphs/texture_net.yaml"), preset, settings))
    trainer = Trainer(graph, Options(device=DEVICE))
    curve = optimised(trainer)
    trainer.index, trainer.done, trainer.stage = 1, 0, None
    for _ in trainer.events():
        pass
    state = trainer.net.state_dict()

    def part(inputs: list[str], outputs: list[str]) -> nn.Module:
        net = nodegraph.compile(graph, inputs, outputs)
        net.load_state_dict({k: v for k, v in state.items() if k in net.state_dict()})
        return net.to(DEVICE).eval()

    noises = [f"noise{i}" for i in range(6)]
    sizes = [trainer.sources[name].shape for name in noises]
    wall = trainer.sources["source.source"].draw()[0]
    generate = part(noises, ["generator"])
    one, eight = ([torch.rand(n, *s, device=DEVICE) for s in sizes] for n in (1, 8))
    with torch.no_grad():
        loss = part(["generator", "source.source"], ["loss"])(generate(*eight), wall).item()
    ways = [("", curve, *(partial(sample, generate, z) for z in (one, eight)))]
    if DEVICE == "cuda":
        fast = optimised(Trainer(graph, Options(device=DEVICE, compile=True)))
        ways.append((", both replayed", fast, replayed(generate, one), replayed(generate, eight)))
    for words, (seconds, losses), single, batch in ways:
        reached = crossing((seconds, losses), loss)
        _, null, took = ratios(single, single, single, 50)
        share, *_ = ratios(batch, single, single, 50)
        for of, each in (("pass", took), ("pass for 8, for each", took * share / 8)):
            figure = "never" if reached is None else f"{reached / each:.0f}×"
            name = f"L-BFGS on pixels / TextureNet's {of}, loss {loss:.1e}{words}"
            row(name, "≥ 100×", figure, f"null {null:.3f}", each)


def optimised(trainer: Trainer) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and losses of L-BFGS on the pixels, after all that is done once was done."""
    begin = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    for _ in range(2):
        trainer.net.load_state_dict(begin)
        trainer.index, trainer.done = 0, 0
        seconds, losses = [], []
        for _ in range(trainer.enter().steps):
            losses.append(trainer.step()["pixels_loss"].item())
            seconds.append(trainer.began)  # a step's loss is that before its update
    return np.asarray(seconds), np.asarray(losses)


def replayed(net: nn.Module, z: list[torch.Tensor]) -> Callable[[], None]:
    """A pass whose kernels are launched at once, as a CUDA graph."""
    with torch.no_grad():
        with torch.cuda.stream(torch.cuda.Stream()):
            net(*z)  # what is made once
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            net(*z)
    run: Callable[[], None] = graph.replay
    return run


def evaluation() -> None:
    """One evaluation of VGG-19, with random weights, against one pass of the generator, at the
    paper's 256 px. The slide has 10 s of optimisation against 0.06 s: 167 passes."""
    graph = choose(
        nodegraph.load(ROOT / "graphs/texture_net.yaml"), "paper", {"weights": "", "batch": 1}
    )
    noises = [f"noise{i}" for i in range(6)]
    generate = nodegraph.compile(graph, noises, ["generator"]).to(DEVICE).eval()
    judge = nodegraph.compile(graph, ["pixels"], ["pixels_filters.style"]).to(DEVICE)
    judge.requires_grad_(False)
    image = torch.rand(1, 3, 256, 256, device=DEVICE, requires_grad=True)
    z = [torch.rand(1, 3, 8 * 2**i, 8 * 2**i, device=DEVICE) for i in range(6)]
    passes = [partial(sample, generate, z)] * 2
    ratio, null, took = ratios(lambda: judge(image).square().sum().backward(), *passes, 6)
    name = "an evaluation of the optimisation / a pass, 256², VGG-19"
    row(name, "–", f"{ratio:.1f}×", f"null {null:.3f}", took)


def sample(net: nn.Module, z: list[torch.Tensor]) -> None:
    """One texture from noise."""
    with torch.no_grad():
        net(*z)


def main() -> None:
    """All rows, or those whose names are given."""
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__} on {DEVICE}, {threads} threads; ours / theirs, medians")
    rows = {
        "graphs": graphs,
        "modules": modules,
        "gan": gan,
        "live": live,
        "fft": fft,
        "textures": textures,
        "textures_vgg": textures_vgg,
        "textures_256": textures_256,
    }
    for name in sys.argv[1:] or rows:
        rows[name]()


if __name__ == "__main__":
    main()
