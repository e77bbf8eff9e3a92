"""Prebuilt graphs as tests want them, where what they learn is not the point."""

from __future__ import annotations

from dataclasses import replace

from nodegraph.graph import Graph
from nodegraph.library import standard

HELD_OUT = 64


def lean(graph: Graph) -> Graph:
    """`graph` with few held-out examples: looking at 1000 takes longer than some steps."""
    library = standard()
    able = {
        name for name in library  # elsewhere it is a share of the files
        if (setting := library[name].settings.get("held_out")) and setting.type is int
    }  # fmt: skip
    nodes = {
        name: replace(e, params={"held_out": HELD_OUT, **e.params}) if e.type in able else e
        for name, e in graph.nodes.items()
    }
    return graph.with_(nodes=nodes, groups={k: lean(g) for k, g in graph.groups.items()})
