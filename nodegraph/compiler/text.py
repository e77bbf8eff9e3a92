"""Pieces of generated Python: lines, names, literals."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

# Names that generated code uses for itself, and attributes that every nn.Module has.
TAKEN = {"self", "torch", "nn", "F", "t", "net", "sources", "closure", "losses", "math", "probe"}
MODULE_ATTRIBUTES = frozenset(
    """T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda
    double dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu load_state_dict modules mtia named_buffers named_children named_modules
    named_parameters parameters register_backward_hook register_buffer register_forward_hook
    register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
    register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
    set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu
    zero_grad path""".split()
)

Where = Callable[[tuple[str, ...]], str]  # the comment for a place in the graph, "" for none


def nowhere(_: tuple[str, ...]) -> str:
    """No comments: for graphs that never were a file."""
    return ""


def attribute(name: str) -> str:
    """The attribute that holds a node's module: its name, unless every nn.Module has that."""
    return ".".join(f"{n}_" if n in MODULE_ATTRIBUTES else n for n in name.split("."))


@dataclass
class Lines:
    """Python lines with the indentation of the block that they are in."""

    text: list[str] = field(default_factory=list)
    depth: int = 0

    def add(self, line: str = "", comment: str = "") -> None:
        """Append one line at the present depth."""
        line = "    " * self.depth + line if line else ""
        self.text.append(f"{line}  # {comment}" if comment else line)

    def block(self, head: str) -> None:
        """Append `head` and indent what follows."""
        self.add(head)
        self.depth += 1


class Names:
    """Variables of one function: no two alike, none that Python or the generated code needs."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = {*TAKEN, *taken}
        self.used = set(self.taken)

    def fresh(self, wanted: str) -> str:
        """`wanted`, or that with a number."""
        wanted = re.sub(r"\W", "_", wanted)
        if keyword.iskeyword(wanted) or wanted in self.taken:
            wanted += "_"
        name, n = wanted, 2
        while name in self.used:
            name, n = f"{wanted}_{n}", n + 1
        self.used.add(name)
        return name


def docstring(text: str) -> str:
    """The first line of a text as a docstring."""
    safe = text.strip().splitlines()[0].replace("\\", "\\\\").replace('"""', "'''") if text else ""
    return f'"""{safe}"""' if not safe.endswith('"') else f'"""{safe} """'


def flat(name: str) -> str:
    """A dotted name as one attribute of a stage, apart from those that Stage has itself."""
    flat = name.replace(".", "_")
    own = {"net", "name", "steps", "watch_every", "fixed", "optimisers", "watched", "totals",
           "begin", "prepare", "step", "evaluate"}  # fmt: skip
    return f"{flat}_" if flat in own or keyword.iskeyword(flat) else flat


def tuple_of(words: list[str]) -> str:
    """Texts as a tuple."""
    return f"({', '.join(map(quoted, words))}{',' if len(words) == 1 else ''})"


def quoted(value: Any) -> str:
    """A literal as Python, texts in double quotes."""
    text = repr(value)
    if isinstance(value, str) and '"' not in text:
        return f'"{text[1:-1]}"'
    return text
