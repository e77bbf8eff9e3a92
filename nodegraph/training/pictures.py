"""Pictures from files, put through a part of a graph that was trained.

A picture takes the place of an output of the graph, and the part behind it is checked and compiled
as any graph is, so it may have a size of its own wherever the network allows that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from tqdm import tqdm

from .. import files, runs
from ..body import Body, needed
from ..checks import settled
from ..compiler.build import compile_slice, output, resolved, training_module
from ..compiler.part import Sizes
from ..compiler.script import weights
from ..graph import Entry, Graph, GraphError, Ref, choose, refs
from ..infer import dissolve, infer
from ..library import standard
from ..node import Schedule, Shape, Source
from . import checkpoint
from .device import Device
from .slices import function_of


class Pictures:
    """A graph with its weights, through which pictures are put from one output to another."""

    def __init__(
        self, graph: Graph, state: Mapping[str, Tensor] | None, start: str = "", end: str = "",
        device: str = "auto",
    ) -> None:  # fmt: skip
        """`graph` has its preset chosen; without a `state` its weights are as training starts.

        Raises GraphError when `start` or `end` is no picture, or is left out and not clear.
        """
        # Sources stand in no group then, and can draw one example.
        self.whole, self.state = settled(graph), state
        self.graph = dissolve(self.whole, standard())
        self.body = resolved(self.graph, standard())
        self.device = Device.choose(device)
        self.start = self.chosen("from", start, sources(self.body))
        self.end = self.chosen("to", end, ends(self.body, self.start))
        self.wanted = self.body.value(self.start).shape
        self.nets: dict[Shape, tuple[nn.Module, list[Any]] | None] = {}
        names = tuple(c.name for c in needed(self.body, [self.end], [self.start]))
        self.sizes = Sizes(self.graph, standard(), self.body, (self.start,), names)
        self.refused = ""  # why some picture had to be scaled to the graph's size
        self.shifted = False  # whether 0 was shown as grey in some picture of a graph in 0..1

    def chosen(self, option: str, text: str, known: list[Ref]) -> Ref:
        """The output that an option names, or the only one there is."""
        ref = named(self.whole, self.body, option, text, known)
        if option == "to" and self.start not in behind(self.body, ref):
            raise GraphError(f"--to {text}: this picture does not come of {self.start}")
        return ref

    def raw(self) -> list[str]:
        """The nodes on the way whose weights nothing was trained to."""
        if self.state is not None:
            return []
        graph = placed(self.graph, self.body, self.start, self.end, (1, *self.wanted[1:]))
        calls = [c for n, c in self.body.calls.items() if n in graph.nodes]
        return [c.name for c in calls if c.weights() and not c.files()]

    def through(self, picture: Image.Image) -> list[Image.Image]:
        """What the graph makes of a picture, of a pyramid all levels: in its own size if the
        network takes that, else in the graph's, the middle cut out."""
        channels, *size = self.wanted[1:]
        picture = picture.convert("L" if channels == 1 else "RGB")
        if (found := self.net(picture.height, picture.width)) is None:
            picture = ImageOps.fit(picture, (size[1], size[0]), Image.Resampling.BICUBIC)
            found = self.net(*size)
        assert found is not None
        net, given = found
        x = self.scaled(tensor_of(picture)).to(self.device.name)
        with torch.no_grad():
            made = levels_of(net(x, *given))
        high, wide = x.shape[2:]
        if 0 <= made[0].shape[2] - high < 32 and 0 <= made[0].shape[3] - wide < 32:
            made[0] = made[0][..., :high, :wide]  # a network that rounds sizes up to a multiple
        bands = [not self.signed and is_difference(y) for y in made]
        bands[:-1] = [any(bands[:-1])] * len(bands[:-1])  # also where a band is empty
        self.shifted |= any(bands)
        return [picture_of((y + 1) / 2 if b or self.signed else y)
                for y, b in zip(made, bands, strict=True)]  # fmt: skip

    @property
    def signed(self) -> bool:
        """Whether the graph's pictures are in −1..1."""
        return getattr(self.body.calls[self.start.node].node, "range", "0..1") == "-1..1"

    def scaled(self, x: Tensor) -> Tensor:
        """0..1 as the graph has it."""
        return x * 2 - 1 if self.signed else x

    def net(self, high: int, wide: int) -> tuple[nn.Module, list[Any]] | None:
        """The network for pictures of this size and what else flows into it; None where it takes
        no such size."""
        shape = (1, self.wanted[1], high, wide)
        if shape not in self.nets:
            self.nets[shape] = self.built(shape)
        return self.nets[shape]

    def built(self, shape: Shape) -> tuple[nn.Module, list[Any]] | None:
        """`net`, made."""
        if shape[2:] != self.wanted[2:] and self.sizes.wrong([shape], {}):
            self.refused = self.refused or self.sizes.refusal([shape])
            return None
        graph = placed(self.graph, self.body, self.start, self.end, shape)
        body = resolved(graph, standard())
        if not self.fits(body):
            raise GraphError(f"{self.end} can't be computed from one picture at {self.start}")
        drawn, given = given_to(graph, body, self.graph, self.device.name)
        net = compile_slice(graph, [stand_in(self.graph), *drawn], [str(self.end)]).eval()
        load(net, self.state, self.graph, body)
        return net.to(self.device.name), given

    def fits(self, body: Body) -> bool:
        """Whether the weights have the shapes that the graph has."""
        return all(c.weights() == self.body.calls[n].weights() for n, c in body.calls.items()
                   if n in self.body.calls)  # fmt: skip


def sample(
    graph: Graph, state: Mapping[str, Tensor] | None, end: str = "", seed: int = 0,
    device: str = "auto",
) -> list[Image.Image]:  # fmt: skip
    """A picture that comes of what the sources of a graph draw, such as noise of any size; of a
    pyramid all levels.

    Raises GraphError when `end` is no picture, or is left out and not clear.
    """
    undissolved = settled(graph)
    graph = dissolve(undissolved, standard())
    body = resolved(graph, standard())
    made = [Ref(n, p) for n, c in body.calls.items() if not isinstance(c.node, Source)
            for p in c.outputs]  # fmt: skip
    ref = named(undissolved, body, "to", end, [r for r in made if is_picture(body, r)])
    place = Device.choose(device).name
    part = placed(graph, body, Ref(""), ref, (1,))
    inner, _ = infer(part, standard())
    drawn, given = given_to(part, inner, graph, place, seed)
    net = compile_slice(part, drawn, [str(ref)]).eval()
    load(net, state, graph, inner)
    torch.manual_seed(seed)  # for nodes that draw by themselves
    with torch.no_grad():
        levels = levels_of(net.to(place)(*given))
    # No source says what is black: what lies well below 0 is in −1..1.
    return [picture_of((y + 1) / 2 if y.min() < -0.1 else y) for y in levels]


def given_to(
    graph: Graph, body: Body, whole: Graph, device: str, seed: int = 0
) -> tuple[list[str], list[Any]]:
    """Other values that flow in, by their outputs: sources are drawn once, schedules are as at the
    end of the last stage of the whole graph."""
    made = training_module(graph, body).make_sources()
    found: dict[str, Any] = {}
    steps = int(whole.train[-1].steps) if whole.train else 1  # type: ignore[arg-type]
    for name, call in body.calls.items():
        if isinstance(call.node, Source):
            try:
                made[name].start(name, seed, device)
                values = made[name].draw()
            except (OSError, ValueError, ImportError) as error:
                raise GraphError(f"{name}: {error}") from error
            found |= {f"{name}.{p}": v for p, v in zip(call.outputs, values, strict=True)}
        elif isinstance(call.node, Schedule):
            recipe = call.node.recipe(call.at)
            function = function_of(call.node, recipe.target)
            found[name] = function(steps, steps, *recipe.args, **recipe.kwargs)
    return list(found), list(found.values())


def load(net: nn.Module, state: Mapping[str, Tensor] | None, graph: Graph, body: Body) -> None:
    """Give a part of a graph its weights: those of a state, or those that the graph starts from."""
    from nodegraph.nodes.ops.weights import load_weights

    try:
        if state is None:
            load_weights(net, weights(body), graph.folder)
        else:
            net.load_state_dict({k: v for k, v in state.items() if k in net.state_dict()})
    except RuntimeError as error:
        raise GraphError(f"the checkpoint is of another graph: {error}") from error
    except (OSError, ValueError, ImportError) as error:
        raise GraphError(str(error)) from error


# Which part --------------------------------------------------------------------------------------


def named(graph: Graph, body: Body, option: str, text: str, known: list[Ref]) -> Ref:
    """The picture that an option names, or the only one that is known. Raises GraphError."""
    said = ", ".join(map(str, known)) or "none"
    if not text:
        if len(known) != 1:
            raise GraphError(f"--{option}: name the output that is meant; pictures are: {said}")
        return known[0]
    try:
        ref = output(graph, standard(), body, text)
    except GraphError as wrong:
        raise GraphError(f"--{option} {text}: {wrong}") from None
    if not is_picture(body, ref, levels=option == "to"):
        given = body.value(ref)
        raise GraphError(f"--{option} {text} gives {given}, no picture; these do: {said}")
    return ref


def whole(body: Body, ref: Ref) -> Ref:
    """An output with its port, also where it is the only one."""
    ports = body.calls[ref.node].outputs if ref.node in body.calls else {}
    return Ref(ref.node, next(iter(ports))) if not ref.port and len(ports) == 1 else ref


def is_picture(body: Body, ref: Ref, levels: bool = False) -> bool:
    """Whether an output is shaped as pictures are: N 1 H W or N 3 H W; or, if `levels` of one will
    do, as a pyramid of them."""
    shape, kind, _ = body.value(ref)
    if levels and kind == "pyramid":
        shape = shape[1:]
    return len(shape) == 4 and shape[1] in (1, 3)


def sources(body: Body) -> list[Ref]:
    """The pictures that sources give: the only data set of pictures if there is one, beside which
    a style that is always the same is not meant."""
    calls = {n: c.node for n, c in body.calls.items() if isinstance(c.node, Source)}
    found = [Ref(n, p) for n in calls for p in body.calls[n].outputs]
    found = [r for r in found if is_picture(body, r)]
    varied = [r for r in found if not calls[r.node].fixed and body.value(r).kind == "image"]
    return varied if len(varied) == 1 else found


def ends(body: Body, start: Ref) -> list[Ref]:
    """The pictures that come of `start` and are not on the way to another one; else pyramids."""
    found = [Ref(n, p) for n, c in body.calls.items() for p in c.outputs]
    before = {r: behind(body, r) for r in found if is_picture(body, r, levels=True)}
    come = [r for r in before if start in before[r]]
    come = [r for r in come if is_picture(body, r)] or come
    passed = {r.node for o in come for r in before[o]}
    return [r for r in come if r.node not in passed]


def behind(body: Body, ref: Ref) -> set[Ref]:
    """All outputs that one is computed from."""
    calls = needed(body, [ref])
    return {whole(body, r) for c in calls for r in c.sources}


def stand_in(graph: Graph) -> str:
    """A new name, of the node that takes the place of an output."""
    name = "picture"
    while name in graph.nodes:
        name += "_"
    return name


def placed(graph: Graph, body: Body, start: Ref, end: Ref, shape: Shape) -> Graph:
    """The part of a graph that computes `end` with a picture in the place of `start`: no stages,
    and one example of each other source."""
    picture = stand_in(graph)

    def moved(ref: Ref) -> Ref:
        return Ref(picture) if whole(body, ref) == start else ref

    links = {to: moved(s) if isinstance(s, Ref) else tuple(map(moved, s))
             for to, s in graph.links.items()}  # fmt: skip
    kept: set[str] = set()
    stack = [moved(end).node]
    while stack:
        name = stack.pop()
        if name not in kept:
            kept.add(name)
            stack += [r.node for to, s in links.items() if to.node == name for r in refs(s)]
            stack += [graph.nodes[name].shares] if name in graph.nodes else []
    nodes = {n: one_example(body, n, e) for n, e in graph.nodes.items() if n in kept}
    nodes[picture] = Entry("Constant", {"shape": shape})
    return graph.with_(
        nodes=nodes, links={t: s for t, s in links.items() if t.node in nodes}, train=()
    )


def one_example(body: Body, name: str, entry: Entry) -> Entry:
    """A source that draws one example, as there is one picture; other nodes as they are."""
    node = body.calls[name].node
    if isinstance(node, Source) and "batch" in type(node).settings:
        return replace(entry, params={**entry.params, "batch": 1})
    return entry


# Files -------------------------------------------------------------------------------------------


def opened(
    place: Path, preset: str, settings: Mapping[str, Any]
) -> tuple[Graph, dict[str, Tensor] | None, list[str]]:
    """The graph of a run at its newest checkpoint with its weights, or that of a file alone; and
    what is to be told of that."""
    if place.is_dir():
        about = runs.about(place)
        folder, (saved, state), damaged = checkpoint.newest(checkpoint.found(place))
        told = [f"warning: {wrong}; this one is used: {folder.name}" for wrong in damaged]
        text, chosen, turned = runs.graph_text(place, state.get("graph", 0))
        graph = files.parse(text, str(place)).graph.with_(folder=about.get("folder", ""))
        return choose(graph, preset or chosen, {**turned, **settings}), saved, told
    return choose(files.load(place), preset, settings), None, []


def listed(given: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """What to read and where to write it: of a folder all its pictures. Many become PNGs in one."""
    found = [picture for path in given for picture in pictures_of(path)]
    if len(given) == 1 and not given[0].is_dir():
        return [(given[0], written_as(given[0], out))]
    if out.is_file():
        raise GraphError(f"{out} is a file; --output names a folder where pictures are many")
    if any(path.is_dir() and out.resolve() == path.resolve() for path in given):
        text = f"{out} is the folder that is read: the next call would read the results"
        raise GraphError(f"{text}; --output names another folder, which may lie in it")
    if out.suffix.lower() in Image.registered_extensions() and not out.exists():
        raise GraphError(f"{out} is called as a picture; --output names a folder of many")
    stems, names = ([getattr(p, part) for p in found] for part in ("stem", "name"))
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise GraphError(f"{', '.join(twice)}: given twice, and would be written over each other")
    pairs = [(p, out / f"{p.stem if stems.count(p.stem) == 1 else p.name}.png") for p in found]
    if taken := {p.resolve() for p in found} & {to.resolve() for _, to in pairs}:
        raise GraphError(
            f"{min(taken)} is read, and would be written; --output names another folder"
        )
    return pairs


def pictures_of(path: Path) -> list[Path]:
    """A file, or the pictures in a folder."""
    from nodegraph.nodes.ops.images import SUFFIXES

    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not found:
            raise GraphError(f"{path} has no pictures; known are {', '.join(SUFFIXES)}")
        return found
    if not path.is_file():
        raise GraphError(f"{path}: no such file or folder")
    return [path]


def written_as(given: Path, out: Path) -> Path:
    """Where the result of one picture goes."""
    out = out / f"{given.stem}.png" if out.is_dir() else out
    if out.suffix.lower() not in Image.registered_extensions():
        raise GraphError(f"{out}: call it .png or .jpg, or name a folder that is there")
    return out


def read(path: Path) -> Image.Image:
    """A picture, upright, of 8 bits, on white where it is transparent. Raises GraphError for what
    is none."""
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            upright.load()
            if upright.mode.startswith("I;16"):
                upright = Image.fromarray((np.array(upright) / 257).round().astype(np.uint8))
            if upright.mode in ("F", "I"):
                raise ValueError("its numbers have no known range; save it with 8 or 16 bits")
            if upright.has_transparency_data:
                shown = upright.convert("RGBA")
                white = Image.new("RGBA", shown.size, "white")
                upright = Image.alpha_composite(white, shown).convert("RGB")
            return upright
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise GraphError(f"{path} can't be read as a picture: {error}") from error


def put(net: Pictures, pairs: Sequence[tuple[Path, Path]]) -> list[Path]:
    """Put pictures through and write what comes out, with a bar if they are many; the files. Raises
    GraphError and OSError; for what can't be read, after all others were put through."""
    unread, written = [], []
    for given, out in tqdm(pairs, unit="picture", disable=len(pairs) == 1):
        try:
            picture = read(given)
        except GraphError as wrong:
            unread.append(str(wrong))
            continue
        written += write(net.through(picture), out, given)
    if unread:
        done = [f"wrote {len(pairs) - len(unread)} of {len(pairs)}"] if len(pairs) > 1 else []
        raise GraphError("\n".join([*unread, *done]))
    return written


def write(made: Sequence[Image.Image], out: Path, given: Path | None = None) -> list[Path]:
    """Write a picture, or of several `out-0.png`, `out-1.png` …; the files. Raises GraphError."""
    out.parent.mkdir(parents=True, exist_ok=True)
    names = [out.with_stem(f"{out.stem}-{i}") for i in range(len(made))]
    for picture, name in zip(made, names := names if len(made) > 1 else [out], strict=True):
        if given and name.exists() and name.samefile(given):
            raise GraphError(f"{name} is the picture that is read; give the result another name")
        try:
            picture.save(name)
        except ValueError as error:
            raise GraphError(f"{name} can't be written: {error}") from error
    return names


def levels_of(made: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    """The levels of a pyramid, from the finest on; a picture is one."""
    return [made] if isinstance(made, Tensor) else [*made]


def tensor_of(picture: Image.Image) -> Tensor:
    """Pixels in 0..1, 1 C H W."""
    pixels = torch.from_numpy(np.array(picture))
    pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return pixels[None].float() / 255


def is_difference(y: Tensor) -> bool:
    """Whether values lie around 0, like a band of a pyramid: those below weigh at least half as
    much as those above. A picture in 0..1 that overshoots has few and small ones below."""
    return bool((-y).clamp_min(0).sum() > y.clamp_min(0).sum() / 2)


def picture_of(y: Tensor) -> Image.Image:
    """The first example of N C H W in 0..1; what lies outside is cut off."""
    pixels = (y[0].float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
