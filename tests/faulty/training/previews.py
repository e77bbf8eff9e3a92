"""A stand-in for previews: the weights of a layer, and one view that always fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preview:
    header: dict[str, Any]
    payload: bytes


class Previews:
    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.views: Sequence[str] = ()

    def look(self, views: Sequence[str], peeks: Sequence[str], probes: bool) -> None:
        self.views = views

    def compute(self) -> list[Preview]:
        if "broken" in self.views:
            raise RuntimeError("this view can not be drawn")
        weights = dict(self.trainer.net.named_parameters())
        found = []
        for name in self.views:
            values = weights[name].detach().double().flatten()
            head = {"name": name, "kind": "weights", "width": len(values), "height": 1}
            found.append(Preview(head, values.numpy().tobytes()))
        return found
