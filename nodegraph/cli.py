"""The command line. Each command imports what it needs when it runs, so `--help` is instant."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__

if TYPE_CHECKING:
    from .files import Document
    from .graph import Graph
    from .problem import Problem


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status. 0 fine, 1 something is wrong with the graph, 2 with usage."""
    from .graph import GraphError

    options = parser().parse_args(arguments)
    try:
        if options.command is not edit:
            own_nodes(options)
        return options.command(options)
    except GraphError as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output, like `head`, has left
        sys.stderr.close()
        return 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{where}{error.strerror or error}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="nodegraph",
        description="Wire neural networks as a graph of nodes, train them, watch what happens.",
    )
    top.add_argument("--version", action="version", version=f"nodegraph {__version__}")
    top.set_defaults(command=edit, files=[], remote=None, nodes_from=[], trust=False)
    commands = top.add_subparsers(metavar="COMMAND")

    sub = commands.add_parser("edit", help="open the editor (also without a command)")
    sub.set_defaults(command=edit)
    sub.add_argument("files", nargs="*", type=Path, metavar="FILE")
    sub.add_argument(
        "--remote", metavar="USER@HOST", help="train there, by ssh; kept until another is named"
    )

    sub = commands.add_parser("train", help="train a graph")
    sub.set_defaults(command=train)
    sub.add_argument("file", nargs="?", type=Path, help="a graph's YAML file")
    _chosen(sub, "a preset of the file; of several, a,b,c, each is trained and all are compared")
    sub.add_argument("--seed", type=seed, help="of initial weights and all draws (0)")
    sub.add_argument("--device", help="auto, cpu, cuda, cuda:N or mps (auto)")
    sub.add_argument("--amp", action="store_true", help="compute in bfloat16 where it is safe")
    sub.add_argument("--compile", action="store_true", help="compile the networks by torch")
    sub.add_argument("--channels-last", action="store_true", help="faster convolutions")
    sub.add_argument(
        "--checkpoint-every", type=interval, metavar="N", help="steps (a tenth of each stage)"
    )
    sub.add_argument("--resume", type=Path, metavar="RUN", help="go on with a run's folder")
    sub.add_argument("--out", type=Path, metavar="DIR", help="folder of the run (runs/TITLE-TIME)")
    sub.add_argument(
        "--victim", metavar="RUN[:SCORES]", help="of an attack: the run whose network is attacked"
    )
    sub.add_argument("--tensorboard", action="store_true", help="write RUN/tensorboard too")

    sub = commands.add_parser("run", help="put pictures through a trained graph")
    sub.set_defaults(command=run)
    sub.add_argument("trained", type=Path, metavar="RUN_OR_GRAPH", help="a run's folder, or a file")
    sub.add_argument("--input", nargs="+", type=Path, metavar="PICTURE",
                     help="or folders; none: draw noise")  # fmt: skip
    sub.add_argument("--output", type=Path, metavar="PICTURE", required=True, help="or a folder")
    sub.add_argument("--from", dest="start", default="", metavar="NODE", help="takes the picture")
    sub.add_argument("--to", dest="end", default="", metavar="NODE", help="gives the result")
    sub.add_argument("--seed", type=int, default=0, help="of what is drawn without an input (0)")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (auto)")
    _chosen(sub)

    sub = commands.add_parser("compare", help="lay the curves of runs over each other")
    sub.set_defaults(command=compare)
    sub.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    sub.add_argument(
        "--output", type=Path, metavar="PICTURE", help="of the curves: .png, .svg, .pdf"
    )

    sub = commands.add_parser("check", help="list all problems of graphs")
    sub.set_defaults(command=check)
    sub.add_argument("files", nargs="+", type=Path, metavar="FILE")
    sub.add_argument("--shapes", action="store_true", help="a table of shapes and costs per node")
    _chosen(sub)

    sub = commands.add_parser("export", help="write a graph as a Python script that trains")
    sub.set_defaults(command=export)
    sub.add_argument("file", type=Path)
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: standard output")
    _chosen(sub)

    sub = commands.add_parser(
        "normalise", help="scale a network so that each map has the mean 1, into a weights file"
    )
    sub.set_defaults(command=normalise)
    sub.add_argument("file", type=Path)
    sub.add_argument("node", help="the node or group, like features")
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", required=True)
    sub.add_argument("--images", type=interval, default=16, metavar="N", help="examples (16)")
    sub.add_argument("--keep-last", action="store_true", help="leave the last layer's outputs")
    _chosen(sub)

    sub = commands.add_parser("draw", help="draw a graph as an SVG picture")
    sub.set_defaults(command=draw)
    sub.add_argument("file", type=Path)
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: standard output")
    sub.add_argument("--group", default="", metavar="NAME", help="the inside of a group")
    _chosen(sub)

    sub = commands.add_parser("nodes", help="list the node types, or show the manual page of one")
    sub.set_defaults(command=nodes)
    sub.add_argument("words", nargs="*", help="a type's name, or words to search for")

    sub.add_argument(
        "--template", metavar="NAME", help="print a node file of one's own, with the type NAME"
    )

    sub = commands.add_parser(
        "gradcheck", help="compare the backward of nodes with finite differences"
    )
    sub.set_defaults(command=gradcheck)
    sub.add_argument(
        "what", metavar="TYPE|FILE[:NODE]", help="like Conv2d, or net.yaml:features/conv1"
    )
    _chosen(sub)

    sub = commands.add_parser("worker", help="answer the editor's messages on standard input")
    sub.set_defaults(command=worker)
    for sub in commands.choices.values():
        sub.add_argument(
            "--nodes", dest="nodes_from", action="append", default=[], type=Path, metavar="DIR",
            help="a folder of your own node files; its code is run once you have agreed to it",
        )  # fmt: skip
        sub.add_argument(
            "--trust", action="store_true", help="agree to what is in those folders now"
        )
    return top


def seed(text: str) -> int:
    """`--seed`"""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"expects a whole number from 0 to 2^63 − 1, not {text}")
    return int(text)


def interval(text: str) -> int:
    """`--checkpoint-every`"""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expects a number of steps, at least 1, not {text}")
    return int(text)


def _chosen(sub: argparse.ArgumentParser, preset: str = "a preset of the file") -> None:
    sub.add_argument("--preset", default="", metavar="NAME", help=preset)
    sub.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the file"
    )


def settings(words: list[str]) -> dict[str, Any]:
    """`--set` options as parameters, each value read as in a file: 3, words, [a, list], ""."""
    from .graph import GraphError
    from .yamltree import YamlError, parse, scalar

    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise GraphError(f"--set {word}: write it as NAME=VALUE, like --set batch=32")
        try:
            if value.startswith(("[", "'", '"')):  # a list, or a text in quotes
                read = parse(f"value: {value}").plain()["value"]
                found[name] = tuple(read) if isinstance(read, list) else read
            else:
                found[name] = scalar(value)
        except (YamlError, ValueError) as wrong:
            raise GraphError(f"--set {word}: {wrong}") from None
    return found


def own_nodes(options: argparse.Namespace) -> None:
    """Load the user's own folders, of `--nodes` and of the settings, where they are agreed to.

    Raises GraphError for one of `--nodes` that is not.
    """
    from . import own, preferences
    from .graph import GraphError

    named = [path.expanduser().absolute() for path in options.nodes_from]
    kept = [p for p in map(Path, preferences.load().nodes) if p not in named]
    talks = options.command is not worker  # whose standard input is a channel

    def agree(folder: own.Folder) -> bool:
        if folder.path in named and options.trust:
            return True
        if not (talks and sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        print(own.question(folder), file=sys.stderr)
        return input("Run this code? [y/N] ").strip().casefold() in ("y", "yes")

    for path in (*named, *kept):
        try:
            wrong, refused = own.use([path], agree)
        except GraphError as error:  # gone
            if path in named and talks:
                raise
            wrong, refused = [str(error)], []
        for text in wrong:
            print(text, file=sys.stderr)
        for folder in refused:
            text = f"{folder.path}: what is in it now is not agreed to, so its node types are not "
            text += f"there; look into it, then add --nodes {folder.path} --trust"
            if folder.path in named and talks:
                raise GraphError(f"{own.question(folder)}\n{text}")
            print(text, file=sys.stderr)


# Commands ----------------------------------------------------------------------------------------


def edit(options: argparse.Namespace) -> int:
    """`nodegraph edit [FILE…]`"""
    from .gui.display import explain, missing

    why = missing()
    if why:
        print(explain(why), file=sys.stderr)
        return 2
    try:
        from .gui.window import Window
    except ImportError as error:
        if error.name is None or not error.name.startswith("dearpygui"):
            raise
        print("the editor needs Dear PyGui: pip install 'nodegraph[gui]'", file=sys.stderr)
        return 2
    return Window(options.files, remote=options.remote, nodes=options.nodes_from).run()


def check(options: argparse.Namespace) -> int:
    """`nodegraph check FILE…`"""
    from . import files
    from .checks import check as all_problems
    from .graph import GraphError, choose

    wrong = False
    for path in options.files:
        try:
            document = files.read(path)
            graph = choose(document.graph, options.preset, settings(options.set))
        except GraphError as error:
            print(error, file=sys.stderr)
            wrong = True
            continue
        problems = [*document.problems, *all_problems(graph)]
        for line in report(document, problems):
            print(line, file=sys.stderr)
        errors = sum(p.severity == "error" for p in problems)
        wrong |= errors > 0
        if options.shapes:
            from .costs import table
            from .infer import infer
            from .library import standard

            print("\n".join(table(infer(graph, standard())[0])))
        elif not problems:
            print(f"{path}: no problems")
    return int(wrong)


def report(document: Document, problems: Sequence[Problem]) -> Iterator[str]:
    """Problems as lines that an editor can jump to, each once, in the order of the file."""
    lines = {}
    for p in problems:
        line = document.line(*p.where)
        mark = "" if p.severity == "error" else "warning: "
        lines[f"{document.path}:{line}: {mark}{p}"] = line
    yield from sorted(lines, key=lambda text: lines[text])


def export(options: argparse.Namespace) -> int:
    """`nodegraph export FILE -o net.py`"""
    from . import files
    from .checks import check_chosen, settled
    from .compiler.script import standalone_source
    from .graph import GraphError, choose
    from .infer import infer
    from .library import standard

    called(options.output, ".py")
    document = files.read(options.file)
    graph = choose(document.graph, options.preset, settings(options.set))
    refuse(document, [*document.problems, *check_chosen(graph, standard(), {})])
    if not graph.train:
        text = f"{options.file} has no `train` stages: a script of it would do nothing"
        raise GraphError(f"{text}; add one, or take a slice in Python with nodegraph.compile")
    graph = settled(graph)
    body, _ = infer(graph, standard())
    title = graph.meta.get("title", options.file.stem)
    text = standalone_source(body, graph, f"{title}, exported by nodegraph.", places(document))
    write(text, options.output, f"; run it with: python {options.output}")
    return 0


def called(path: Path | None, suffix: str) -> None:
    """Raise GraphError when a file to write is not called by its kind: it may be another's."""
    from .graph import GraphError

    if path is not None and path.suffix != suffix:
        raise GraphError(f"{path} should be called {path.stem}{suffix}")


def write(text: str, path: Path | None, hint: str = "") -> None:
    """Put a text where `-o` says."""
    if path is None:
        sys.stdout.write(text)
    else:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}{hint}")


def normalise(options: argparse.Namespace) -> int:
    """`nodegraph normalise FILE NODE -o weights.safetensors`"""
    from . import files

    called(options.output, ".safetensors")
    from .training.normalise import normalised, write_weights

    found = normalised(
        files.load(options.file), options.node, options.preset, settings(options.set),
        options.images, options.keep_last,
    )  # fmt: skip
    write_weights(found, options.output)
    print(f"wrote {options.output}; use it with `weights: {options.output}` on {options.node}")
    return 0


def draw(options: argparse.Namespace) -> int:
    """`nodegraph draw FILE -o net.svg`"""
    from . import files
    from .graph import GraphError, choose
    from .library import near, standard
    from .picture import svg

    called(options.output, ".svg")
    graph = choose(files.load(options.file), options.preset, settings(options.set))
    if options.group and options.group not in graph.groups:
        known = near(options.group, graph.groups)
        raise GraphError(f"{options.file} has no group {options.group!r}{known}")
    if options.group:
        graph = graph.groups[options.group].with_(groups=graph.groups)
    if not graph.nodes:
        raise GraphError(f"{options.file} has no nodes to draw")
    write(svg(graph, standard()) + "\n", options.output)
    return 0


def refuse(document: Document, problems: Sequence[Problem]) -> None:
    """Print the problems; raise GraphError when one is an error."""
    from .graph import GraphError

    errors = [p for p in problems if p.severity == "error"]
    for line in report(document, [p for p in problems if p.severity == "warning"]):
        print(line, file=sys.stderr)
    if errors:
        raise GraphError("\n".join(report(document, errors)))


def places(document: Document) -> Any:
    """The comment that generated code carries for a place in a file."""
    name = Path(document.path).name if document.path else "graph"

    def where(place: tuple[str, ...]) -> str:
        return f"{name}:{document.line(*place)} {'.'.join(place[1::2])}"

    return where


def train(options: argparse.Namespace) -> int:
    """`nodegraph train FILE`; of several presets, `--preset quick,source_only`, each in turn."""
    if len(presets := options.preset.split(",")) > 1:
        return train_each(options, presets)
    from . import files
    from .checks import check_chosen
    from .graph import GraphError, choose
    from .library import standard

    named = {
        k: getattr(options, k)
        for k in ("seed", "device", "amp", "compile", "channels_last", "checkpoint_every")
        if getattr(options, k) not in (None, False)
    }
    if (options.file is None) == (options.resume is None):
        raise GraphError("name a graph to train, or --resume a run's folder")
    if options.tensorboard:
        from .training.board import require

        require()
    if options.resume is not None:
        if options.preset or options.set or "seed" in named or options.out or options.victim:
            raise GraphError("--resume goes on with the run's own graph, preset, settings and seed")
        from .training.run import resume

        return follow(resume(options.resume, **named), options.tensorboard)
    document = files.read(options.file)
    preset, chosen = options.preset, settings(options.set)
    graph = choose(document.graph, preset, chosen)
    if options.victim:
        document, preset, chosen = attacked(graph, options.victim), "", {}
        graph = document.graph
    refuse(document, [*document.problems, *check_chosen(graph, standard(), {})])
    from .runs import folder_for
    from .training.run import start
    from .training.trainer import Options

    out = options.out or folder_for(graph, Path("runs"))
    trainer = start(
        document.graph, preset, chosen, out, Options(**named),
        document.text, places(document),
    )  # fmt: skip
    return follow(trainer, options.tensorboard)


def train_each(options: argparse.Namespace, presets: list[str]) -> int:
    """Train one preset after the other, the names of their folders ending in theirs; compare."""
    from . import files, runs
    from .graph import GraphError, choose

    if options.file is None:
        raise GraphError("name a graph to train its presets")
    if twice := sorted({p for p in presets if presets.count(p) > 1}):
        raise GraphError(f"--preset names {', '.join(twice)} twice; once is enough")
    graph = files.read(options.file).graph
    for preset in presets:
        choose(graph, preset, settings(options.set))  # before the first is trained
    base = options.out or runs.folder_for(graph, Path("runs"))
    folders = [base.with_name(f"{base.name}-{preset}") for preset in presets]
    for preset, folder in zip(presets, folders):
        print(f"preset {preset}")
        if status := train(
            argparse.Namespace(**{**vars(options), "preset": preset, "out": folder})
        ):
            return status
    picture = base.with_name(f"{base.name}-compared.png")
    return compare(argparse.Namespace(runs=folders, output=picture))


def compare(options: argparse.Namespace) -> int:
    """`nodegraph compare RUN RUN --output curves.png`"""
    from .compare import read, table, write

    found = read(options.runs)
    print(table(found))
    if options.output is not None:
        write(found, options.output)
        print(f"wrote {options.output}")
    return 0


def attacked(graph: Graph, victim: str) -> Document:
    """An attack on a run, `RUN` or `RUN:SCORES`, as a file would have it."""
    from . import files
    from .attack import against

    made = against(graph, *path_and_part(victim))
    return files.parse(files.dumps(made), "the attack")


def path_and_part(text: str) -> tuple[Path, str]:
    """`PATH:PART` as two, `PATH` with an empty part; what exists may have colons in its name."""
    path, _, part = text.rpartition(":")
    return (Path(path), part) if path and not Path(text).exists() else (Path(text), "")


def run(options: argparse.Namespace) -> int:
    """`nodegraph run RUN_OR_GRAPH --input photo.jpg --output out.png`"""
    from .node import show
    from .training.pictures import Pictures, listed, opened, put, sample, write

    pairs = listed(options.input, options.output) if options.input else []
    graph, state, told = opened(options.trained, options.preset, settings(options.set))
    for line in told:
        print(line, file=sys.stderr)
    if options.input is None:
        made = sample(graph, state, options.end, options.seed, options.device)
        print(f"wrote {', '.join(map(str, write(made, options.output)))}")
        return 0
    net = Pictures(graph, state, options.start, options.end, options.device)
    print(f"from {net.start} to {net.end} on {net.device.label}", file=sys.stderr)
    if net.raw():
        hint = "name a run's folder for trained ones"
        print(f"warning: {', '.join(net.raw())}: weights as drawn at random; {hint}",
              file=sys.stderr)  # fmt: skip
    written = put(net, pairs)
    if net.refused:
        print(f"pictures whose size does not fit: these were scaled to {show(net.wanted[2:])} "
              f"and cut; {net.refused}", file=sys.stderr)  # fmt: skip
    if net.shifted:
        print(f"{net.end} has values around 0: −1 is black, 0 grey, 1 white", file=sys.stderr)
    print(f"wrote {options.output if len(pairs) > 1 else ', '.join(map(str, written))}")
    return 0


def follow(trainer: Any, tensorboard: bool = False) -> int:
    """Train to the end with a progress bar (plain lines when piped); Ctrl-C saves and says how to
    go on."""
    from .training.board import Board
    from .training.progress import Progress

    wanted = tensorboard and trainer.device.first
    progress = Progress(trainer, Board(trainer.run / "tensorboard") if wanted else None)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, progress.interrupt)
    try:
        return 0 if progress.follow() else 130
    finally:
        progress.close()
        trainer.device.leave()


def nodes(options: argparse.Namespace) -> int:
    """`nodegraph nodes [WORDS]`"""
    from .graph import GraphError
    from .library import first_line, near, standard
    from .manual import page, template

    if options.template is not None:
        sys.stdout.write(template(options.template))
        return 0
    library = standard()
    words = " ".join(options.words)
    if words in library:
        print(page(library[words], words))
        return 0
    found = library.search(words) if words else list(library)
    if not found:
        raise GraphError(f"no node type has {words!r}{near(words, library)}")
    families: dict[str, list[str]] = {}
    for name in found:
        families.setdefault(library[name].category, []).append(name)
    width = max(map(len, found))
    for family, names in families.items():
        print(family)
        for name in names:
            print(f"  {name:<{width}}  {first_line(library[name])}")
    return 0


def gradcheck(options: argparse.Namespace) -> int:
    """`nodegraph gradcheck TYPE`, `nodegraph gradcheck FILE:NODE`"""
    from . import files
    from .checks import settled
    from .compiler.gradcheck import check_graph, check_type
    from .graph import GraphError, choose
    from .library import near, standard

    library, chosen = standard(), settings(options.set)
    if options.what in library:
        reports = [check_type(library, options.what, chosen)]
    else:
        path, place = path_and_part(options.what)
        if not Path(options.what).exists() and not path.is_file():
            known = near(options.what, library)
            raise GraphError(f"{options.what} is neither a node type nor FILE:NODE{known}")
        graph = choose(files.load(path), options.preset, chosen)
        reports = check_graph(settled(graph), library, place)
    for report in reports:
        print(report)
    return int(not all(report.right for report in reports))


def worker(options: argparse.Namespace) -> int:
    """`nodegraph worker`"""
    from .worker.server import serve

    return serve()
