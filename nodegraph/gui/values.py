"""Values as a person types and reads them in fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

from ..node import Nodes, Setting, describe
from ..yamltree import YamlError, scalar


def read(text: str, setting: Setting) -> Any:
    """What is typed into a setting's field: a number, a list with commas, a text, a `$name`."""
    text = text.strip()
    if text.startswith("$") or (isinstance(setting.type, type) and issubclass(setting.type, str)):
        return text
    if "," in text or setting.type is Nodes or "tuple" in str(setting.type):
        return tuple(typed(part) for part in text.strip("[]()").split(",") if part.strip())
    return typed(text)


def typed(text: str) -> Any:
    """A number, a list with commas (also in brackets), or a text."""
    text = text.strip()
    if "," in text or (text[:1] == "[" and text[-1:] == "]"):
        return tuple(typed(part) for part in text.strip("[]()").split(",") if part.strip())
    try:
        return scalar(text)
    except (YamlError, ValueError):
        return text


def pairs(text: str) -> dict[str, Any]:
    """`a: 1; b: 2, 3` (or with = and new lines) as a mapping. Raises ValueError."""
    found = {}
    for part in text.replace("\n", ";").split(";"):
        if not part.strip():
            continue
        at = min((i for i in (part.find(":"), part.find("=")) if i >= 0), default=-1)
        if at < 1:
            raise ValueError(f"{part.strip()!r}: write values as name: value; name: value")
        found[part[:at].strip()] = typed(part[at + 1 :])
    return found


def as_pairs(values: Mapping[str, Any]) -> str:
    """What `pairs` reads; a list keeps its brackets where it would not be seen as one."""
    return "; ".join(f"{k}: {_bracketed(v)}" for k, v in values.items())


def _bracketed(value: Any) -> str:
    short = isinstance(value, (list, tuple)) and len(value) < 2
    return f"[{as_text(value)}]" if short else as_text(value)


def as_text(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(as_text, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or value is MISSING else str(value)


def about(setting: Setting) -> str:
    """What a setting takes, its range, its default, and its help, in lines."""
    ranged = setting.min != float("-inf") or setting.max != float("inf")
    words = describe(setting.type) + (f", {setting.range}" if ranged else "")
    words += f" ({setting.unit})" if setting.unit else ""
    if setting.default is MISSING:
        words += "; must be given"
    elif setting.default is not None:
        words += f"; default {as_text(setting.default)}"
    return words + (f"\n{setting.doc}" if setting.doc else "")


def scrubbed(value: float, steps: float, setting: Setting) -> float | int:
    """A number after a drag of some steps: a whole one by units, another by 2 % of itself, or from
    0 on by a thousandth; never out of the setting's range."""
    if setting.type is int or (isinstance(value, int) and setting.type is not float):
        found: float | int = value + round(steps / 4)
    elif value == 0:
        found = round(steps / 4) * 0.001
    else:
        found = float(f"{value * 1.02**steps if value > 0 else value * 1.02**-steps:.4g}")
    return type(found)(min(max(found, setting.min), setting.max))
