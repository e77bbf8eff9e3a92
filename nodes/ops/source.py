"""Where a step's data comes from: sources are drawn once per step, the same for the same seed."""

import zlib
from typing import Any

import torch
from torch import Tensor


class Source:
    """Something that is drawn in batches.

    Its random numbers come from a generator of its own, seeded by `seed` and `name`, so what other
    nodes draw does not change its order. Of several processes each draws the batch of all and keeps
    its share: `world` processes at batch b see what one sees at batch world·b.
    """

    batch = 1

    def start(
        self,
        name: str,
        seed: int,
        device: str | torch.device = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Make the data ready on `device`. Called once, before the first draw."""
        self.device = torch.device(device)
        self.seed = (seed * 1_000_003 + zlib.crc32(name.encode())) % 2**63
        self.generator = torch.Generator(self.device).manual_seed(self.seed)
        self.rank, self.world = rank, world
        self.notes: list[str] = []  # what a person should be told; whoever tells it takes it out
        self.load()

    def load(self) -> None:
        """Read or make the data; raises OSError or ValueError, in words, when it can't be had."""

    def draw(self) -> tuple[Tensor, ...]:
        """The next batch, one tensor per output."""
        raise NotImplementedError

    def held_out_size(self) -> int | None:
        """How many held-out examples there are; None when any number can be drawn."""
        return None

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Examples start..stop of the held-out split, in a fixed order, never seen in training."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Everything that the next draw depends on."""
        return {"generator": self.generator.get_state(), "seed": self.seed}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        self.generator.set_state(state["generator"].cpu())
        self.seed = state.get("seed", self.seed)  # of the name that it had when it started

    def share(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch that all processes drew."""
        return batch.tensor_split(self.world)[self.rank] if self.world > 1 else batch


class FixedBatch(Source):
    """The first held-out examples of another source, at every draw and for every process."""

    def __init__(self, of: Source) -> None:
        self.of, self.batch = of, of.batch

    def start(
        self, name: str, seed: int, device: Any = "cpu", rank: int = 0, world: int = 1
    ) -> None:
        """Start the other source, and take them. Raises ValueError when there are too few."""
        super().start(name, seed, device, rank, world)
        self.of.start(name, seed, device)
        self.notes = self.of.notes
        size = self.of.held_out_size()
        if size is not None and size < self.batch:
            raise ValueError(f"holds {size} examples out, and batch is {self.batch}; lower it")
        self.examples = self.of.held_out(0, self.batch)

    def draw(self) -> tuple[Tensor, ...]:
        """The examples."""
        return self.examples

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """The examples, whichever are asked for."""
        return self.examples


class Dataset(Source):
    """Tensors on the device, batched by index: every example once per epoch, in random order.

    `load` sets `train` and `test`, each a tuple with one tensor per output, examples first.
    """

    train: tuple[Tensor, ...]
    test: tuple[Tensor, ...]
    measured = "held out"  # or "training": what metrics and views see

    def start(
        self, name: str, seed: int, device: Any = "cpu", rank: int = 0, world: int = 1
    ) -> None:
        """Load the data, move it to `device`, and shuffle."""
        super().start(name, seed, device, rank, world)
        self.train = tuple(t.to(self.device) for t in self.train)
        known = self.train if self.measured == "training" else self.test
        self.test = tuple(t.to(self.device) for t in known)
        self.order = self.shuffled()
        self.position = 0

    def shuffled(self) -> Tensor:
        """A new order of the training examples."""
        return torch.randperm(len(self.train[0]), generator=self.generator, device=self.device)

    def draw(self) -> tuple[Tensor, ...]:
        """A batch of the current epoch; the last of an epoch is filled up from the next."""
        end = self.position + self.batch * self.world
        while end > len(self.order):
            self.order = torch.cat([self.order[self.position :], self.shuffled()])
            end -= self.position
            self.position = 0
        index = self.share(self.order[self.position : end])
        self.position = end
        return tuple(t[index] for t in self.train)

    def held_out_size(self) -> int:
        """The size of the test split."""
        return len(self.test[0])

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """A slice of the test split."""
        return tuple(t[start:stop] for t in self.test)

    def state(self) -> dict[str, Any]:
        """Generator, order and position."""
        return {**super().state(), "order": self.order, "position": self.position}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        super().load_state(state)
        self.order, self.position = state["order"].to(self.device), state["position"]


def as_range(images: Tensor, range: str) -> Tensor:
    """Images in 0..1 as `range` says: 0..1 or -1..1."""
    return images * 2 - 1 if range == "-1..1" else images
