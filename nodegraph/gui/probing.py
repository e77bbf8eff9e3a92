"""What probes have found, put where it belongs: on the links and under the boxes in sight."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ..graph import refs
from ..session import Session
from .scene import Link

T = TypeVar("T")
THIN, THICK = 0.5, 3.5  # of the width of a link


class OnLink(NamedTuple):
    """What is found on a link: words, the longest first, and how wide the link is drawn."""

    words: tuple[str, ...]
    width: float = 1.0


Probed = tuple[dict[Link, OnLink], dict[str, tuple[str, str]]]  # on links, under boxes


def here(found: Mapping[str, T], session: Session) -> dict[str, T]:
    """Of things by path (`features/maps`) those of the graph that is shown, by node."""
    before = session.place("")
    inner = {k.removeprefix(before): v for k, v in found.items() if k.startswith(before)}
    return {k: v for k, v in inner.items() if "/" not in k}


def probes_on(
    links: Iterable[Link], probe: Mapping[str, Any], session: Session
) -> dict[Link, OnLink]:
    """What stands on each link: mean ± deviation, the share of zeros, the gradients' norms; and
    less of it, for links that are short. The larger the gradient, the wider the link."""
    known = here(probe.get("links", {}), session) if probe else {}
    found = {}
    for link in links if known else ():
        sources = refs(session.graph.links.get(link.to, ()))
        index = sources.index(link.source) if link.source in sources else 0
        about = known.get(str(link.to)) or known.get(f"{link.to}[{index}]")
        if about is not None:
            found[link] = about
    widths = wide([gradient(about) for about in found.values()])
    return {
        link: OnLink(in_words(about), width)
        for (link, about), width in zip(found.items(), widths, strict=True)
    }


def gradient(about: Mapping[str, Any]) -> float:
    """The length of all gradients that come back through a link; ∞ where one is not finite."""
    norms = (about.get("gradients") or {}).values()
    return math.hypot(*(math.inf if g is None else g for g in norms))


def wide(norms: Sequence[float]) -> list[float]:
    """Widths for gradients, by their logarithm; thin where none comes back."""
    logs = [math.log10(n) for n in norms if 0 < n < math.inf]
    low, span = min(logs, default=0.0), max(logs, default=0.0) - min(logs, default=0.0)

    def width(norm: float) -> float:
        if norm == 0:
            return THIN
        share = (math.log10(norm) - low) / span if span and norm < math.inf else 1.0
        return 1.0 + (THICK - 1.0) * share

    return [*map(width, norms)]


def in_words(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The numbers of one link in a line, the longest first."""
    values = f"{number(about.get('mean'))} ± {number(about.get('std'))}"
    share = about.get("zeros") or 0.0
    zeros = f" · {share:.0%} zero" if share >= 0.005 else ""
    gradients = [g for g in (about.get("gradients") or {}).values() if g is not None]
    back = f"∇ {' | '.join(map(number, gradients))}" if gradients else ""
    parts = (f"{values}{zeros} · {back}", f"{values} · {back}", back) if back else ()
    return (*parts, f"{values}{zeros}", values)


def number(value: Any) -> str:
    """A number in three digits; what is not finite comes as None."""
    return "not finite" if value is None else f"{value:.3g}"


def notes_on(probe: Mapping[str, Any], session: Session) -> dict[str, tuple[str, str]]:
    """What stands under boxes: what is wrong there, how a reversal turns the gradient, and where
    the gradients of several losses meet, how large each is and whether they agree."""
    if not probe:
        return {}
    found: dict[str, tuple[str, str]] = {}
    for turned in probe.get("reversals", ()):
        words = f"∇ × {number(turned.get('factor'))}"
        found[turned["node"]] = ("", words)
    for met in probe.get("meets", ()):
        lines = [f"∇ {loss}: {number(norm)}" for loss, norm in met["gradients"].items()]
        lines += [f"cos({pair}): {number(cosine)}" for pair, cosine in met["cosines"].items()]
        found[met["node"]] = ("", "\n".join(lines[:4]))
    for wrong in probe.get("findings", ()):
        found[wrong["node"]] = ("warning", f"{wrong['kind']}: {wrong['text']}"[:70])
    return here(found, session)
