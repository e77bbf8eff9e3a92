"""Files that are broken, or made to break what opens them: name to bytes.

python tests/hostile.py FILE…     check each; print status, seconds, megabytes and messages
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from pathlib import Path

HEAD = "nodegraph: 1\n"


def _graph(*nodes: str) -> bytes:
    return (HEAD + "nodes:\n" + "".join(f"  {node}\n" for node in nodes)).encode()


def _text(text: str) -> bytes:
    return (HEAD + text).encode()


def _bomb(levels: int) -> str:
    lines = ['a0: &a0 ["lol", "lol"]']
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]")
    return "\n".join(lines)


def syntax() -> dict[str, bytes]:
    return {
        "empty": b"",
        "only_comments": b"# nothing\n" * 3,
        "only_spaces": b"   \n\n  \n",
        "null_document": b"---\n",
        "binary": bytes(range(256)) * 40,
        "nul_bytes": HEAD.encode() + b"title: a\x00b\n",
        "png": b"\x89PNG\r\n\x1a\n" + bytes(1000),
        "utf16": (HEAD + "title: текст\n").encode("utf-16"),
        "latin1": HEAD.encode() + "title: façade\n".encode("latin-1"),
        "escape_sequences": _text("title: \x1b[2Jgone\n"),
        "bidi_is_fine_but_c1_is_not": _text("title: a\x85b\n"),
        "line_separator": _text("title: a\u2028b\n"),
        "lone_carriage_returns": b"nodegraph: 1\rtitle: a\r",
        "crlf_mess": b"nodegraph: 1\r\ntitle: a\r\r\nabout: b\n\r",
        "tabs": _text("nodes:\n\ta: {type: ReLU}\n"),
        "unclosed_brace": _graph("a: {type: ReLU"),
        "unclosed_quote": _text("title: 'never closed\n"),
        "stray_bracket": _graph("a: {type: ReLU}]"),
        "bad_indent": _text("nodes:\n    a: {type: ReLU}\n  b: {type: ReLU}\n"),
        "colon_in_text": _text("title: a: b: c\n"),
        "at_sign": _text("title: @home\n"),
        "bad_escape": _text('title: "\\q"\n'),
        "surrogate_escape": _text('title: "\\ud800"\n'),
        "two_documents": _text("---\nnodegraph: 1\n"),
        "alias_bomb": _text(_bomb(12)),
        "anchor": _text("params: &p {a: 1}\n"),
        "alias": _text("params: *p\n"),
        "cyclic_alias": _text("params: &p [*p]\n"),
        "merge_key": _text("params: {<<: {a: 1}}\n"),
        "python_object": _text("params: !!python/object/apply:os.system ['touch hacked']\n"),
        "python_name": _text("title: !!python/name:os.system\n"),
        "own_tag": _text("title: !secret x\n"),
        "plain_tag": _text("title: !!str 12\n"),
        "duplicate_key": _graph("a: {type: ReLU}", "a: {type: ELU}"),
        "duplicate_section": _text("nodes: {}\nnodes: {}\n"),
        "number_as_key": _graph("1: {type: ReLU}"),
        "null_as_key": _text("params: {~: 1}\n"),
        "list_as_key": _text("params:\n  ? [a, b]\n  : 1\n"),
        "mapping_as_key": _text("params: {{a: 1}: 2}\n"),
        "deep_flow": b"a: " + b"[" * 100_000,
        "deep_flow_closed": b"a: " + b"[" * 100_000 + b"]" * 100_000,
        "deep_flow_maps": b"a: " + b"{a: " * 100_000,
        "deep_block": b"- " * 100_000,
        "deep_indent": b"\n".join(b" " * i + b"a:" for i in range(2_000)),
        "deep_questions": b"? " * 100_000,
        "endless_int": _text("params: {a: " + "9" * 10_000 + "}\n"),
        "endless_hex": _text("params: {a: 0x" + "f" * 10_000 + "}\n"),
        "endless_float": _text("params: {a: 0." + "1" * 10_000 + "}\n"),
    }


def big() -> dict[str, bytes]:
    return {
        "too_long": b"# padding\n" * 600_000,
        "too_long_binary": bytes(6_000_000),
        "brackets": b"[" * 4_999_999,
        "braces": b"{" * 4_999_999,
        "dashes": b"- " * 2_400_000,
        "bare_dashes": b"-" * 4_999_999,
        "colons": b":" * 4_999_999,
        "quotes": b'"' * 4_999_999,
        "newlines": b"\n" * 4_999_999,
        "long_key": b"a" * 4_900_000 + b": 1\n",
        "long_text_as_type": _graph("a: {type: " + "x" * 4_900_000 + "}"),
        "long_text_as_number": _graph("a: {type: Linear, features: " + "x" * 4_900_000 + "}"),
        "long_number": _text("params: {a: " + "1" * 4_900_000 + "}\n"),
        "long_tag": _text("title: !<" + "a" * 4_900_000 + "> b\n"),
        "many_items": b"nodegraph: 1\ntrain: [" + b"a, " * 1_600_000 + b"]\n",
        "many_keys": b"\n".join(b"k%d: 1" % i for i in range(400_000)),
        "many_unknown_keys": _text("".join(f"k{i}: 1\n" for i in range(140_000))),
        "many_unknown_params": _graph(
            "a: {type: ReLU, " + ", ".join(f"k{i}: 1" for i in range(140_000)) + "}"
        ),
        "many_empty_lists": _text("params: {a: [" + "[], " * 290_000 + "]}\nnodes: []\n"),
        "many_nodes": _graph(*(f"n{i}: {{type: ReLU}}" for i in range(10_001))),
        "many_wrong_nodes": _graph(*(f"n{i}: 7" for i in range(9_999))),
        "many_unknown_types": _graph(*(f"n{i}: {{type: Conf2d}}" for i in range(9_999))),
        "many_broken_links": _graph(
            *(f"n{i}: {{type: ReLU, in: {{x: m{i}}}}}" for i in range(2_000))
        ),
        "chain_of_shares": _graph(
            *(f"n{i}: {{shares: n{i + 1}, in: {{x: n{i + 1}}}}}" for i in range(2_000))
        ),
        "hidden_nodes_in_groups": _text(
            "groups:\n"
            + "".join(
                f"  G{i}: {{nodes: {{"
                + ", ".join(f"n{j}: {{type: ReLU}}" for j in range(600))
                + "}}\n"
                for i in range(20)
            )
        ),
    }


def meaning() -> dict[str, bytes]:
    return {
        "a_list": b"- a\n- b\n",
        "a_text": b"hello\n",
        "a_number": b"42\n",
        "no_version": b"nodes: {}\n",
        "version_as_text": b"nodegraph: '1'\n",
        "version_zero": b"nodegraph: 0\n",
        "version_true": b"nodegraph: true\n",
        "unknown_key": _text("nods: {}\n"),
        "nodes_a_list": _text("nodes: [a, b]\n"),
        "nodes_a_text": _text("nodes: all\n"),
        "node_a_text": _graph("a: ReLU"),
        "node_empty": _graph("a:"),
        "node_without_type": _graph("a: {features: 3}"),
        "type_a_list": _graph("a: {type: [ReLU]}"),
        "type_dotted": _graph("a: {type: os.system}"),
        "type_dotted_torch": _graph("a: {type: torch.nn.Linear, features: 1}"),
        "type_a_path": _graph("a: {type: ../../etc/passwd}"),
        "type_unknown": _graph("a: {type: Conf2d}"),
        "type_dunder": _graph("a: {type: __class__}"),
        "node_name_keyword": _graph("class: {type: ReLU}"),
        "node_name_dotted": _graph("a.b: {type: ReLU}"),
        "node_name_code": _graph("'a; import os': {type: ReLU}"),
        "node_name_newline": _graph('"a\\nb": {type: ReLU}'),
        "node_name_empty": _graph("'': {type: ReLU}"),
        "node_name_cyrillic": _graph("слой: {type: ReLU}"),
        "param_name_code": _text("params: {'a)': 1}\n"),
        "group_name_code": _text("groups: {'A(object': {}}\n"),
        "group_a_list": _text("groups: {A: [1]}\n"),
        "group_input_name": _text("groups: {A: {inputs: {'x y': N}}}\n"),
        "group_shape": _text("groups: {A: {inputs: {x: 'N; C'}}}\n"),
        "group_shape_a_list": _text("groups: {A: {inputs: {x: [N, C]}}}\n"),
        "group_output_empty": _text("groups: {A: {outputs: {y: }}}\n"),
        "group_contains_itself": _text(
            "groups: {A: {inputs: {x: N}, outputs: {y: a}, nodes: {a: {type: A, in: {x: x}}}}}\n"
            "nodes: {n: {type: Noise, shape: [3]}, b: {type: A, in: {x: n}}}\n"
        ),
        "in_a_list": _graph("a: {type: ReLU, in: [x]}"),
        "in_a_number": _graph("a: {type: ReLU, in: {x: 1}}"),
        "in_nested": _graph("a: {type: ReLU, in: {x: {y: z}}}"),
        "in_empty_text": _graph("a: {type: ReLU, in: {x: ''}}"),
        "in_unknown_node": _graph("a: {type: ReLU, in: {x: b}}"),
        "in_unknown_port": _graph("a: {type: ReLU, in: {wrong: a}}"),
        "loop": _graph("a: {type: ReLU, in: {x: b}}", "b: {type: ReLU, in: {x: a}}"),
        "links_to_itself": _graph("a: {type: ReLU, in: {x: a}}"),
        "shares_cycle": _graph("a: {shares: b}", "b: {shares: a}"),
        "shares_itself": _graph("a: {shares: a}"),
        "shares_nothing": _graph("a: {shares: zzz}"),
        "shares_a_list": _graph("a: {shares: [b]}"),
        "shares_and_type": _graph("a: {type: ReLU}", "b: {type: ReLU, shares: a}"),
        "frozen_a_text": _graph("a: {type: ReLU, frozen: yes}"),
        "unknown_param": _graph("a: {type: Linear, featuers: 3}"),
        "missing_param": _graph("a: {type: Linear}"),
        "param_a_text": _graph("a: {type: Linear, features: many}"),
        "param_a_float": _graph("a: {type: Linear, features: 3.5}"),
        "param_true": _graph("a: {type: Linear, features: true}"),
        "param_negative": _graph("a: {type: Linear, features: -1}"),
        "param_huge": _graph(
            "n: {type: Noise, shape: [3]}",
            f"a: {{type: Linear, features: {10**200}, in: {{x: n}}}}",
        ),
        "param_nan": _graph("a: {type: LeakyReLU, slope: .nan}"),
        "param_inf": _graph("a: {type: LeakyReLU, slope: .inf}"),
        "param_overflow": _graph("a: {type: LeakyReLU, slope: 1e999}"),
        "param_a_mapping": _graph("a: {type: Linear, features: {a: {b: [1]}}}"),
        "reference_to_nothing": _graph("a: {type: Linear, features: $width}"),
        "reference_to_no_name": _graph("a: {type: Linear, features: $}"),
        "reference_in_params": _text("params: {a: $b, b: $a}\n"),
        "type_reference_to_number": _text("params: {t: 3}\nnodes: {a: {type: $t}}\n"),
        "type_reference_to_list": _text("params: {t: [1]}\nnodes: {a: {type: $t}}\n"),
        "preset_unknown_param": _text("params: {a: 1}\npresets: {big: {b: 2}}\n"),
        "preset_a_number": _text("presets: {big: 2}\n"),
        "params_a_list": _text("params: [1, 2]\n"),
        "title_a_list": _text("title: [a]\n"),
        "layout_a_list": _text("layout: [a]\n"),
        "train_a_mapping": _text("train: {a: 1}\n"),
        "stage_a_text": _text("train: [adapt]\n"),
        "stage_without_name": _text("train: [{steps: 1, run: [a]}]\n"),
        "stage_steps_a_text": _text("train: [{stage: a, steps: many, run: [a]}]\n"),
        "stage_steps_negative": _text("train: [{stage: a, steps: -1, run: [a]}]\n"),
        "stage_unknown_key": _text("train: [{stage: a, steps: 1, runs: [a]}]\n"),
        "stage_runs_nothing": _text("train: [{stage: a, steps: 1, run: [zzz]}]\n"),
        "stage_runs_lists": _text("train: [{stage: a, steps: 1, run: [[a]]}]\n"),
        "over_a_mapping": _graph("a: {type: Adam, over: {a: 1}}"),
        "over_itself": _graph("a: {type: Adam, over: [a], in: {loss: a}}"),
    }


CASES = {"syntax": syntax, "big": big, "meaning": meaning}  # made when asked: they are large


def main(paths: list[str]) -> None:
    """Check each file in this process, as the command line does."""
    from nodegraph import cli

    for path in paths:
        start = time.process_time()
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = cli.main(["check", path])
        seconds = time.process_time() - start
        print(json.dumps([path, status, round(seconds, 3), round(peak()), out.getvalue()]))


def peak() -> float:
    """The most memory that this process has held, in MB.

    Not `ru_maxrss`, which begins at the memory of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main(sys.argv[1:])
