"""Images from files."""

import importlib.util
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from .procedural import FixedImage
from .source import Source, as_range

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
MARGIN = 1.15  # augmented images are cut out of ones that are larger by this
CHECKED = 20_000  # files of a folder whose beginnings are read before training: some seconds
IN_A_ROW = 20  # files that can't be read, after which the folder is at fault
NAMED = 5  # of those that are left out


def opens(path: str) -> bool:
    """Whether a file begins like an image. What is behind its header may still be damaged."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return min(picture.size) > 0
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def read_image(path: str, size: int, seed: int | None = None) -> Tensor:
    """The picture, 3 size size in 0..1: its middle, or a random cut and mirroring from `seed`.

    Raises OSError that names the file.
    """
    import numpy
    from PIL import Image, ImageOps

    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such image file (looked in {os.getcwd()})")
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (2 * size, 2 * size))  # JPEG: decode no larger than needed
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise OSError(
            f"{path}: cannot be read as an image ({error}); replace or remove it"
        ) from error
    wanted = size if seed is None else round(size * MARGIN)
    scale = wanted / min(upright.size)
    wide, high = (max(wanted, round(length * scale)) for length in upright.size)
    upright = upright.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (wide - size) // 2, (high - size) // 2
    if seed is not None:
        random = torch.Generator().manual_seed(seed)
        left = int(torch.randint(wide - size + 1, (), generator=random))
        top = int(torch.randint(high - size + 1, (), generator=random))
        if torch.rand((), generator=random) < 0.5:
            upright, left = ImageOps.mirror(upright), wide - size - left
    pixels = numpy.array(upright.crop((left, top, left + size, top + size)))  # size size 3
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


class ImageFile(FixedImage):
    """One picture, 1 3 size size."""

    def __init__(self, path: str, size: int = 128, range: str = "0..1") -> None:
        self.path, self.size, self.range = path, size, range

    def load(self) -> None:
        """Read it."""
        image = read_image(os.path.expanduser(self.path), self.size)
        self.image = as_range(image[None].contiguous(), self.range).to(self.device)


# Photographs by the packages that they come with.
PHOTOGRAPHS = {
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "astronaut": ("skimage", "data/astronaut.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "retina": ("skimage", "data/retina.jpg"),
    "hubble": ("skimage", "data/hubble_deep_field.jpg"),
    "brick": ("skimage", "data/brick.png"),
    "grass": ("skimage", "data/grass.png"),
    "gravel": ("skimage", "data/gravel.png"),
}


def photograph(name: str) -> str:
    """The path of a photograph. Raises OSError when its package is not installed."""
    return packaged(*PHOTOGRAPHS[name])


def packaged(package: str, place: str) -> str:
    """The path of a file of a package, which is not imported: that takes a second.

    Raises OSError when it is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        wanted = {"sklearn": "scikit-learn", "skimage": "scikit-image"}.get(package, package)
        raise FileNotFoundError(f"{place} comes with {wanted}: pip install {wanted}")
    return os.path.join(os.path.dirname(found.origin), *place.split("/"))


class Photo(ImageFile):
    """A photograph of a package, 1 3 size size."""

    def load(self) -> None:
        """Find it in its package, and read it."""
        self.path = photograph(self.path) if self.path in PHOTOGRAPHS else self.path
        super().load()


class PhotoCrops(Source):
    """Random squares of photographs, N 3 size size; held out, those of other photographs."""

    def __init__(
        self,
        pictures: tuple[str, ...],
        held_out: tuple[str, ...],
        batch: int,
        size: int,
        least: float = 0.5,
        range: str = "0..1",
    ) -> None:
        self.names, self.other_names = pictures, held_out
        self.batch, self.size, self.least, self.range = batch, size, least, range

    def load(self) -> None:
        """Read the photographs, no larger than cuts of them need."""
        self.pictures, self.others = (
            [self.read(name) for name in names] for names in (self.names, self.other_names)
        )

    def read(self, name: str) -> Any:
        """A photograph whose smallest cut has `size` pixels, or fewer if it is smaller."""
        from PIL import Image

        with Image.open(photograph(name)) as file:
            picture = file.convert("RGB")
        scale = self.size / self.least / min(picture.size)
        wide, high = (round(length * scale) for length in picture.size)
        return picture.resize((wide, high), Image.Resampling.BICUBIC) if scale < 1 else picture

    def cut(self, picture: Any, side: float, across: float, down: float, mirror: bool) -> Tensor:
        """The square whose side is a share of the shorter one, at a place in 0..1: 3 size size."""
        import numpy
        from PIL import Image

        wide, high = picture.size
        side *= min(wide, high)
        left, top = across * (wide - side), down * (high - side)
        box = (left, top, left + side, top + side)
        square = picture.resize((self.size, self.size), Image.Resampling.BICUBIC, box=box)
        pixels = torch.from_numpy(numpy.array(square)).permute(2, 0, 1).float() / 255
        return pixels.flip(-1) if mirror else pixels

    def random_cut(self, pictures: list[Any], generator: torch.Generator) -> Tensor:
        """A random cut of a random photograph."""
        which, side, across, down, mirror = torch.rand(5, generator=generator).tolist()
        picture = pictures[int(which * len(pictures))]
        return self.cut(picture, self.least + (1 - self.least) * side, across, down, mirror < 0.5)

    def draw(self) -> tuple[Tensor, ...]:
        """The next batch."""
        seeds = torch.randint(2**31, (self.batch * self.world,), generator=self.generator,
                              device=self.device)  # fmt: skip
        return (self.joined(self.pictures, self.share(seeds).tolist()),)

    def joined(self, pictures: list[Any], seeds: list[int]) -> Tensor:
        """A cut of some photograph for each seed."""
        cuts = [self.random_cut(pictures, torch.Generator().manual_seed(s)) for s in seeds]
        return as_range(torch.stack(cuts), self.range).to(self.device)

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """The middles of the other photographs, then random cuts of them."""
        middles = [self.cut(p, 1, 0.5, 0.5, False) for p in self.others[start:stop]]
        whole = [as_range(torch.stack(middles), self.range).to(self.device)] if middles else []
        seeds = list(range(max(start, len(self.others)), stop))
        return (torch.cat([*whole, *([self.joined(self.others, seeds)] if seeds else [])]),)


class ImageFiles(torch.utils.data.Dataset[Any]):
    """Files with their classes; an index is (file, seed of its augmentation)."""

    def __init__(self, files: list[tuple[str, int]], size: int, range: str) -> None:
        self.files, self.size, self.range = files, size, range

    def read(self, index: int, seed: int | None = None) -> tuple[Tensor, int]:
        """An image and its class."""
        path, label = self.files[index]
        return as_range(read_image(path, self.size, seed), self.range), label

    def readable(self, index: int, seed: int | None = None) -> tuple[Tensor, int, list[str]]:
        """An image and its class, of the file after it where that can't be read, and why."""
        wrong: list[str] = []
        for other in range(min(len(self.files), IN_A_ROW)):
            try:
                return *self.read((index + other) % len(self.files), seed), wrong
            except OSError as error:
                wrong.append(str(error))
        raise OSError(f"{len(wrong)} files in a row can't be read; the first: {wrong[0]}")

    def __getitem__(self, index: tuple[int, int | None]) -> tuple[Tensor, int, list[str]] | str:
        # The text of an error, as an error in a worker arrives with a page of traceback.
        try:
            return self.readable(*index)
        except OSError as error:
            return str(error)


def joined(examples: list[Any]) -> tuple[Tensor, Tensor, list[str]] | str:
    """A batch and what could not be read, or the text of the first error."""
    for example in examples:
        if isinstance(example, str):
            return example
    return batch_of(examples)


def batch_of(
    examples: Iterable[tuple[Tensor, int, list[str]]],
) -> tuple[Tensor, Tensor, list[str]]:
    """Images and classes, and what could not be read."""
    images, labels, wrong = zip(*examples, strict=True)
    return torch.stack(images), torch.tensor(labels), [text for texts in wrong for text in texts]


class ImageFolder(Source):
    """Pictures of a folder, batched by a DataLoader: image N 3 size size, label N.

    The endless order of examples is a function of the seed alone, so where a run is, is one
    number, however far ahead the workers read. Files that are no images are left out, and told.
    """

    def __init__(
        self,
        path: str,
        batch: int,
        size: int = 64,
        classes: int = 1,
        range: str = "0..1",
        held_out: float = 0.1,
        augment: bool = False,
        workers: int = 2,
    ) -> None:
        self.path, self.batch, self.size, self.classes = path, batch, size, classes
        self.range, self.part, self.augment, self.workers = range, held_out, augment, workers

    def load(self) -> None:
        """List the files, and hold some out: always the same ones of the same folder."""
        files = self.listed(os.path.expanduser(self.path))
        order = torch.randperm(len(files), generator=torch.Generator().manual_seed(0)).tolist()
        first = round(len(files) * self.part)
        broken = self.broken([path for path, _ in files]) if len(files) <= CHECKED else set()
        # Left out after the halves are dealt, so that a file that is mended moves no other.
        self.train, self.test = (
            ImageFiles([files[i] for i in part if files[i][0] not in broken], self.size, self.range)
            for part in (order[first:], order[:first])
        )
        self.said = broken
        if not self.train.files:
            raise ValueError(f"{self.path}: only {len(files)} images; none is left to train on")
        self.drawn = 0
        self.batches: Iterator[Any] | None = None

    def broken(self, paths: list[str]) -> set[str]:
        """The files that are no images, told by name. Raises ValueError if no other is left."""
        with ThreadPoolExecutor(8) as pool:  # a disk answers several questions at once
            found = [p for p, fine in zip(paths, pool.map(opens, paths), strict=True) if not fine]
        names = ", ".join(os.path.relpath(p, os.path.expanduser(self.path)) for p in found[:NAMED])
        names += f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        if len(found) == len(paths):
            raise ValueError(f"{self.path}: none of its files can be read as an image: {names}")
        if found:
            self.notes.append(f"{len(found)} of {len(paths)} files can't be read as images and are "
                              f"left out: {names}; replace or remove them")  # fmt: skip
        return set(found)

    def tell(self, wrong: list[str]) -> None:
        """Note files that turned out to be damaged, each once."""
        for text in wrong:
            if text not in self.said:
                self.said.add(text)
                self.notes.append(f"{text}; the file after it is drawn in its place")

    def listed(self, root: str) -> list[tuple[str, int]]:
        """(path, class) of each image, in alphabetical order."""
        if not os.path.isdir(root):
            raise FileNotFoundError(f"{root}: no such folder (looked in {os.getcwd()})")
        folders = sorted(f.path for f in os.scandir(root) if f.is_dir() and f.name[0] != ".")
        if len(folders or [root]) != self.classes:
            found = f"{len(folders)} class folders" if folders else "no class folders, so 1 class"
            raise ValueError(f"{root}: has {found}, but classes says {self.classes}")
        files = [
            (os.path.join(inside, name), label)
            for label, folder in enumerate(folders or [root])
            for inside, below, names in sorted(os.walk(folder))
            for name in sorted(names)
            if name.lower().endswith(SUFFIXES) and name[0] != "."
        ]
        if not files:
            raise ValueError(f"{root}: has no images; known are {', '.join(SUFFIXES)}")
        return files

    def indices(self, start: int) -> Iterator[list[tuple[int, int | None]]]:
        """This process's share of each batch from example `start` of the endless order on."""
        count, total, epoch = len(self.train.files), self.batch * self.world, -1
        order: list[int] = []
        while True:
            batch: list[tuple[int, int | None]] = []
            for place in range(start, start + total):
                if place // count != epoch:
                    epoch = place // count
                    shuffle = torch.Generator().manual_seed((self.seed + epoch) % 2**63)
                    order = torch.randperm(count, generator=shuffle).tolist()
                seed = (self.seed * 31 + place) % 2**63 if self.augment else None
                batch.append((order[place % count], seed))
            yield batch[self.rank * self.batch : (self.rank + 1) * self.batch]
            start += total

    def draw(self) -> tuple[Tensor, ...]:
        """The next batch."""
        if self.batches is None:
            loader: torch.utils.data.DataLoader[Any] = torch.utils.data.DataLoader(
                self.train,
                batch_sampler=self.indices(self.drawn),
                num_workers=self.workers,
                collate_fn=joined,
                pin_memory=self.device.type == "cuda",
                generator=torch.Generator().manual_seed(0),  # else it draws from the run's own
            )
            self.batches = iter(loader)
        batch = next(self.batches)
        if isinstance(batch, str):
            self.batches = None
            raise OSError(batch)
        images, labels, wrong = batch
        self.tell(wrong)
        self.drawn += self.batch * self.world
        return self.moved(images), self.moved(labels)

    def moved(self, batch: Tensor) -> Tensor:
        """`batch` on the device; from pinned memory without waiting."""
        return batch.to(self.device, non_blocking=batch.is_pinned())

    def held_out_size(self) -> int:
        """How many files are held out."""
        return len(self.test.files)

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Held-out images start..stop, not augmented."""
        stop = min(stop, len(self.test.files))
        images, labels, wrong = batch_of(map(self.test.readable, range(start, stop)))
        self.tell(wrong)
        return self.moved(images), self.moved(labels)

    def state(self) -> dict[str, Any]:
        """How many examples were drawn."""
        return {**super().state(), "drawn": self.drawn}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        super().load_state(state)
        self.drawn, self.batches = int(state["drawn"]), None
