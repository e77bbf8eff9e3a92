"""Images: files, folders of files, and textures that are made."""

from typing import Any, Literal, get_args

from nodegraph.node import (
    Axes,
    FilePath,
    FolderPath,
    Module,
    Output,
    Param,
    Recipe,
    Source,
    Text,
)

from .held import FIXED, drawn

Picture = Literal[
    "hopper",
    "china",
    "flower",
    "astronaut",
    "coffee",
    "chelsea",
    "rocket",
    "retina",
    "hubble",
    "brick",
    "grass",
    "gravel",
]
RANGE = "of the pixels: −1..1 goes with a generator that ends in Tanh"


class ImageFile(Source):
    """One picture from a file: a style, a content, a texture to imitate.

    Its shorter side is scaled to `size`, the middle cut out. PNG, JPEG and whatever else Pillow
    reads. 1 3 size size in 0..1, the same at every draw.
    """

    aliases = ("picture", "photo", "style image", "content image", "картинка", "изображение")
    fixed = True
    image = Output("1 3 size size", kind="image")
    path: FilePath = Param(doc="of the file; relative to the folder that the run is started in")
    size: int = Param(128, min=1, max=16384, unit="px")
    range: Literal["0..1", "-1..1"] = Param("0..1", doc=RANGE)

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("range")
        return Module(".ops.images.ImageFile", str(self.path), size=self.size, **more)


class Photo(Source):
    """A photograph that needs no download: one that comes with a package that nodegraph needs.

    Its shorter side is scaled to `size`, the middle cut out. 1 3 size size in 0..1, the same at
    every draw. `china` (a temple, by Ian Griffiths) and `flower` (a dahlia, by Jesus Solana) come
    with scikit-learn, CC BY 2.0; `hopper` (Grace Hopper, by the US Navy, public domain) comes with
    matplotlib. The others come with scikit-image: `astronaut` (Eileen Collins, NASA), `rocket`
    (SpaceX) and `hubble` (deep field, NASA, ESA) are in the public domain; `coffee` (by Rachel
    Michetti), `chelsea` (a cat, by Stéfan van der Walt), `retina`, and the grey textures `brick`,
    `grass` and `gravel` are CC0.
    """

    aliases = ("picture", "sample image", "content image", "portrait", "фотография", "картинка")
    fixed = True
    image = Output("1 3 size size", kind="image")
    picture: Picture = Param("hopper")
    size: int = Param(128, min=1, max=16384, unit="px")
    range: Literal["0..1", "-1..1"] = Param("0..1", doc=RANGE)

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("range")
        return Module(".ops.images.Photo", self.picture, size=self.size, **more)


class PhotoCrops(Source):
    """Random cuts of the photographs that `Photo` has, and held out those of other ones.

    A cut is a square of `least` to the whole of the shorter side, scaled to `size`; half of them
    are mirrored. Held out are first the middles of `held_out`, then cuts of these. N 3 size size in
    0..1.
    """

    aliases = ("random crops", "augmentation", "photographs", "content images", "фотографии")
    image = Output("N 3 size size", kind="image")
    pictures: Text = Param("coffee, chelsea, rocket, retina", doc="to train on, by Photo's names")
    held_out: Text = Param("astronaut, hubble, hopper", doc="that training never sees")
    batch: int = Param(4, min=1, max=65536)
    size: int = Param(64, min=1, max=16384, unit="px")
    least: float = Param(0.5, min=0.05, max=1.0, doc="of the shorter side, the smallest cut")
    range: Literal["0..1", "-1..1"] = Param("0..1", doc=RANGE)
    fixed: bool = Param(False, doc=FIXED)  # type: ignore[misc]

    def __post_init__(self) -> None:
        for port in ("pictures", "held_out"):
            for name in self.named(port) or [""]:
                if name not in get_args(Picture):
                    known = ", ".join(get_args(Picture))
                    raise ValueError(f"{port} expects names with commas of {known}, not {name!r}")
        if both := set(self.named("pictures")) & set(self.named("held_out")):
            raise ValueError(f"{min(both)} is in pictures and in held_out")

    def named(self, port: str) -> tuple[str, ...]:
        """The photographs of a parameter."""
        return tuple(n.strip() for n in getattr(self, port).split(",") if n.strip())

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"N": self.batch}

    def recipe(self, at: Axes) -> Recipe:
        kinds = self.named("pictures"), self.named("held_out")
        more = self.changed("least", "range")
        made = Module(".ops.images.PhotoCrops", *kinds, batch=self.batch, size=self.size, **more)
        return drawn(made, self.fixed)


class ImageFolder(Source):
    """Pictures from a folder, read while training: one folder for each class, or all in one.

    Any number of files; read by other processes ahead of time. A share is held out. Files that are
    no images are told and left out, and the next file stands for one that turns out to be damaged.
    `augment` mirrors half of them and moves the cut a little. Image N 3 size size in 0..1, label N:
    the number of the class folder in alphabetical order, or 0.
    """

    aliases = ("dataset", "photos", "files", "папка", "датасет")
    image = Output("N 3 size size", kind="image")
    label = Output("N", kind="labels", classes="classes")
    path: FolderPath = Param(doc="of the folder; relative to the folder that the run is started in")
    classes: int = Param(1, min=1, max=65536, doc="how many class folders there are")
    batch: int = Param(64, min=1, max=65536)
    size: int = Param(64, min=1, max=16384, unit="px")
    range: Literal["0..1", "-1..1"] = Param("0..1", doc=RANGE)
    held_out: float = Param(0.1, min=0.0, max=0.9, doc="share of the files")
    augment: bool = Param(False)
    workers: int = Param(2, min=0, max=64, doc="processes that read; 0: none but the run's own")
    fixed: bool = Param(False, doc=FIXED)  # type: ignore[misc]

    def sizes(self, at: Axes) -> dict[str, int]:
        return {"N": self.batch}

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("classes", "range", "held_out", "augment", "workers")
        given: dict[str, Any] = {"batch": self.batch, "size": self.size}
        return drawn(Module(".ops.images.ImageFolder", str(self.path), **given, **more), self.fixed)


class _Texture(Source):
    """A texture that is made, the same at every draw."""

    fixed = True
    size: int = Param(96, min=8, max=2048, unit="px")
    seed: int = Param(0, min=0, max=1_000_000, doc="of the picture, apart from that of the run")
    range: Literal["0..1", "-1..1"] = Param("-1..1", doc=RANGE)

    def recipe(self, at: Axes) -> Recipe:
        name = f".ops.procedural.{type(self).__name__}"
        return Module(name, size=self.size, **self.changed("seed", "range"))


class Bricks(_Texture):
    """A brick wall: a running bond, each brick of its own shade, with mortar between.

    A texture with structure, for the synthesis of Gatys, Ecker, Bethge, NIPS 2015, without a
    download. 1 3 size size in −1..1; it tiles when size is a multiple of 32.
    """

    aliases = ("brick wall", "texture", "running bond", "кирпичи", "текстура")
    image = Output("1 3 size size", kind="image")


class PebbleTexture(_Texture):
    """Pebbles: the cells of points on a jittered grid, each of its own shade, dark in between.

    Worley, A Cellular Texture Basis Function, SIGGRAPH 1996. 1 3 size size in −1..1; it tiles.
    """

    aliases = ("Voronoi", "cells", "stones", "texture", "галька", "текстура")
    image = Output("1 3 size size", kind="image")


class Fruit(_Texture):
    """An apple or an orange on grey, drawn as a shaded disc: two images that are good to blend.

    After the figure of Burt & Adelson, A Multiresolution Spline with Application to Image Mosaics,
    ACM Trans. Graphics, 1983. 1 3 size size in 0..1.
    """

    aliases = ("apple", "orange", "disc", "fruit", "яблоко", "апельсин")
    image = Output("1 3 size size", kind="image")
    picture: Literal["apple", "orange"] = Param("apple")
    range: Literal["0..1", "-1..1"] = Param("0..1", doc=RANGE)

    def recipe(self, at: Axes) -> Recipe:
        more = self.changed("seed", "range")
        return Module(".ops.procedural.Fruit", self.picture, size=self.size, **more)


class Mask(Source):
    """Where to take the one image (1) and where the other (0): a half plane, or a disc.

    Burt & Adelson, A Multiresolution Spline with Application to Image Mosaics, ACM Trans. Graphics,
    1983. 1 1 size size, the same at every draw.
    """

    aliases = ("alpha", "matte", "region", "half plane", "disc", "маска")
    fixed = True
    mask = Output("1 1 size size", kind="image")
    form: Literal["left half", "disc"] = Param("left half")
    size: int = Param(128, min=1, max=16384, unit="px")

    def recipe(self, at: Axes) -> Recipe:
        return Module(".ops.procedural.Mask", self.form, size=self.size)
