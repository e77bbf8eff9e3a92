"""Where a run computes: the processor, a GPU, or one of several processes."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import nn

from ..graph import GraphError


@dataclass(frozen=True)
class Device:
    """A torch device, and this process's place among those that train together."""

    name: str
    rank: int = 0
    world: int = 1

    @classmethod
    def choose(cls, name: str = "auto") -> Device:
        """The device that is asked for; `auto`: CUDA, else Apple's GPU, else the processor.

        Under torchrun it joins the other processes. Raises GraphError for a device that is not
        there.
        """
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        there = ["cuda"] if count else []
        there += [f"cuda:{i}" for i in range(count)]
        there += ["mps", "cpu"] if torch.backends.mps.is_available() else ["cpu"]
        world = int(os.environ.get("WORLD_SIZE", "1"))
        rank, local = (int(os.environ.get(n, "0")) for n in ("RANK", "LOCAL_RANK"))
        name = there[0] if name == "auto" else name
        if world > 1 and name == "cuda":
            name = f"cuda:{local}"
        if name not in there:
            raise GraphError(f"no device {name!r} on this machine; it has: {', '.join(there)}")
        if world == 1:
            return cls(name)
        if name.startswith("cuda"):
            torch.cuda.set_device(name)
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if name.startswith("cuda") else "gloo")
        return cls(name, rank, world)

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks to the person."""
        return self.rank == 0

    @property
    def label(self) -> str:
        """The device in words."""
        many = f", process {self.rank + 1} of {self.world}" if self.world > 1 else ""
        if self.name.startswith("cuda"):
            return f"{torch.cuda.get_device_name(self.name)}{many}"
        return {"cpu": f"CPU, {torch.get_num_threads()} threads"}.get(self.name, self.name) + many

    def spread(self, net: nn.Module) -> None:
        """Give all processes the weights of the first."""
        if self.world > 1:
            for tensor in [*net.parameters(), *net.buffers()]:
                torch.distributed.broadcast(tensor.data, 0)

    def any(self, said: bool) -> bool:
        """Whether any of the processes says so; all of them must ask."""
        if self.world == 1:
            return said
        count = torch.tensor(float(said), device=self.name)
        torch.distributed.all_reduce(count)
        return bool(count.item())

    def leave(self) -> None:
        """Leave the group of processes."""
        if self.world > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
