"""Where data come from: the same for the same seed, all of it once an epoch, exact on resume."""

import functools
import gzip
import hashlib
import http.server
import io
import shutil
import struct
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from nodegraph.nodes.ops import downloads
from nodegraph.nodes.ops.digits import Digits
from nodegraph.nodes.ops.distorted_digits import DistortedDigits
from nodegraph.nodes.ops.eyes import Eyes
from nodegraph.nodes.ops.font_digits import BlendedDigits, FontDigits, patches
from nodegraph.nodes.ops.images import ImageFile, ImageFolder
from nodegraph.nodes.ops.noise import Noise
from nodegraph.nodes.ops.procedural import Bricks, PebbleTexture
from nodegraph.nodes.ops.source import Dataset, Source
from PIL import Image

import nodegraph
from nodegraph import files
from nodegraph.training.trainer import Finished, Noted


class Counting(Dataset):
    """The numbers 0..9, three at a time, so that batches cross the end of an epoch."""

    batch = 3

    def load(self) -> None:
        self.train, self.test = (torch.arange(10),), (torch.arange(10, 14),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of ten grey pictures, each of its own shade."""
    root = tmp_path_factory.mktemp("pictures")
    for label, name in enumerate(("cats", "dogs")):
        (root / name).mkdir()
        for i in range(10):
            shade = 10 * (10 * label + i)
            Image.new("RGB", (20, 14), (shade,) * 3).save(root / name / f"{i}.png")
    return root


@pytest.fixture
def mine(folder: Path, tmp_path: Path) -> Path:
    """The same folder, to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "mine"))


SOURCES: dict[str, Any] = {
    "counting": lambda path: Counting(),
    "digits": lambda path: Digits(8, 8),
    "font digits": lambda path: FontDigits(8, 16, count=50, held_out=20),
    "blended digits": lambda path: BlendedDigits(8, 16, count=50, held_out=20),
    "distorted digits": lambda path: DistortedDigits(8, turn=30.0),
    "eyes": lambda path: Eyes(8, held_out=20),
    "noise": lambda path: Noise((5,), 8),
    "uniform": lambda path: Noise((2, 3), 8, "uniform", -2, 3),
    "sphere": lambda path: Noise((7,), 8, "sphere"),
    "folder": lambda path: ImageFolder(str(path), 4, 8, 2, augment=True, workers=0),
}


def started(name: str, path: Path, seed: int = 0, rank: int = 0, world: int = 1) -> Source:
    source: Source = SOURCES[name](path)
    source.start("data", seed, "cpu", rank, world)
    return source


def of_folder(path: Path, batch: int, workers: int = 0) -> ImageFolder:
    """Its pictures, started; a tenth is held out."""
    source = ImageFolder(str(path), batch, 8, 2, held_out=0.1, workers=workers)
    source.start("data", 0)
    return source


def same(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", SOURCES)
def test_the_same_seed_draws_the_same(name: str, folder: Path) -> None:
    one, two, other = (started(name, folder, s) for s in (3, 3, 4))
    assert all(same(one.draw(), two.draw()) for _ in range(20))
    assert not same(one.draw(), other.draw())
    assert same(one.held_out(0, 2), two.held_out(0, 2))


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_goes_on_where_its_state_was_taken(name: str, folder: Path) -> None:
    source = started(name, folder)
    for _ in range(7):
        source.draw()
    state = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in source.state().items()}
    wanted = [source.draw() for _ in range(9)]
    again = started(name, folder)
    assert not same(again.draw(), wanted[0])
    again.load_state(state)
    assert all(same(again.draw(), w) for w in wanted)
    source.load_state(state)
    assert same(source.draw(), wanted[0])


@pytest.mark.parametrize("name", SOURCES)
def test_two_processes_see_what_one_sees_at_twice_the_batch(name: str, folder: Path) -> None:
    shares = [started(name, folder, 0, rank, 2) for rank in (0, 1)]
    whole = started(name, folder)
    whole.batch *= 2
    for _ in range(12):
        first, second = (s.draw() for s in shares)
        assert len(first[0]) == len(second[0])
        joined = tuple(torch.cat(pair) for pair in zip(first, second, strict=True))
        assert same(joined, whole.draw())


@pytest.mark.parametrize("name", SOURCES)
def test_drawing_leaves_the_random_numbers_of_the_run_alone(name: str, folder: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    source = started(name, folder)
    source.draw(), source.held_out(0, 2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", SOURCES)
def test_held_out_examples_are_the_same_however_they_are_cut(name: str, folder: Path) -> None:
    source = started(name, folder)
    size = source.held_out_size()
    end = min(size or 600, 600)
    whole = source.held_out(0, end)
    assert len(whole[0]) == end
    middle = end // 2 + 1 if end > 2 else 1
    parts = zip(source.held_out(0, middle), source.held_out(middle, end), strict=True)
    assert same(tuple(torch.cat(p) for p in parts), whole)
    source.draw()
    assert same(source.held_out(0, end), whole)


def test_an_epoch_has_every_example_once() -> None:
    source = Counting()
    source.start("data", 0)
    drawn = torch.cat([source.draw()[0] for _ in range(10)])
    epochs = drawn.view(3, 10)
    assert all(sorted(e.tolist()) == list(range(10)) for e in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_a_batch_larger_than_the_data_repeats_them() -> None:
    source = Counting()
    source.batch = 25
    source.start("data", 0)
    counts = torch.bincount(torch.cat([source.draw()[0] for _ in range(2)]))
    assert counts.tolist() == [5] * 10


@pytest.mark.parametrize("kind", [Digits, FontDigits, BlendedDigits])
@pytest.mark.parametrize("range", ["0..1", "-1..1"])
def test_digits_have_their_range_and_all_classes(kind: Any, range: str) -> None:
    source = kind(64, 16, range=range)
    source.start("data", 0)
    images, labels = source.train
    low = 0 if range == "0..1" else -1
    assert low <= images.min() < low + 0.05 and 0.9 < images.max() <= 1
    assert images.dtype == torch.float32 and labels.dtype == torch.long
    assert labels.unique().tolist() == list(builtin_range(10))
    assert source.draw()[0].shape == (64, images.shape[1], 16, 16)


builtin_range = range


def test_digits_are_split_the_same_for_every_seed() -> None:
    one, two = Digits(8), Digits(8)
    one.start("a", 0)
    two.start("b", 1)
    assert len(one.train[0]) == 1400 and one.held_out_size() == 397
    assert same(one.train, two.train) and same(one.test, two.test)
    trained = {i.numpy().tobytes() for i in one.train[0]}
    assert not any(i.numpy().tobytes() in trained for i in one.test[0])


def test_rendered_splits_are_disjoint_and_domains_have_digits_of_their_own() -> None:
    # As many in each half: from one seed, they would be the same pictures.
    font = FontDigits(8, count=2500, held_out=2500)
    blend = BlendedDigits(8, contrast=0.0, count=2500, held_out=2500)
    font.start("a", 0)
    blend.start("b", 0)
    pictures = [*font.train[0], *font.test[0], *blend.train[0][:, :1], *blend.test[0][:, :1]]
    assert len({p.numpy().tobytes() for p in pictures}) == len(pictures) == 10_000


def test_printed_digits_are_upright_and_centred() -> None:
    font = FontDigits(8, 28)
    font.start("a", 0)
    images, labels = font.train
    means = torch.stack([images[labels == k].mean(0)[0] for k in builtin_range(10)])
    at = torch.arange(28.0) - 13.5
    assert means.sum(1).mv(at).abs().max() < means.sum((1, 2)).max() * 1.5
    seven, four = means[7], means[4]
    assert seven[7:10].sum() > 1.5 * seven[18:21].sum()  # its bar is at the top
    assert four[:, 14:].sum() > four[:, :14].sum()  # its stem is at the right


def test_held_out_patches_come_from_other_halves_of_the_photographs() -> None:
    from nodegraph.nodes.ops.font_digits import photographs

    pictures = photographs()
    for left in (True, False):
        half = pictures[..., :320] if left else pictures[..., 320:]
        patch = patches(3, 20, 0, left)[0]
        windows = half.unfold(2, 20, 1).unfold(3, 20, 1)  # 2 3 rows columns 20 20
        corner = windows[..., 0, 0] == patch[:, 0, 0, None, None]
        hits = corner.all(1).nonzero().tolist()
        assert any(torch.equal(windows[i, :, y, x], patch) for i, y, x in hits)


def test_blended_digits_that_are_held_out_lie_on_the_other_halves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    halves = torch.zeros(2, 3, 427, 640)
    halves[..., 320:] = 0.25
    monkeypatch.setattr("nodegraph.nodes.ops.font_digits.photographs", lambda: halves)
    patches.cache_clear()
    try:
        source = BlendedDigits(8, count=30, held_out=30)
        source.start("data", 0)
    finally:
        patches.cache_clear()
    corners = [part[0][:, :, 0, 0].unique() for part in (source.train, source.test)]
    assert corners[0].tolist() != corners[1].tolist() and all(len(c) == 1 for c in corners)


def test_noise_has_its_distribution() -> None:
    for name, low, high, std in (("uniform", -2, 3, 1.443), ("normal", -9, 9, 1.0)):
        noise = Noise((100,), 1000, name, -2, 3)
        noise.start("z", 0)
        (z,) = noise.draw()
        assert low <= z.min() and z.max() <= high
        assert float(z.std()) == pytest.approx(std, rel=0.02)
    sphere = Noise((4, 4), 10, "sphere")
    sphere.start("z", 0)
    torch.testing.assert_close(sphere.draw()[0].flatten(1).norm(dim=1), torch.full((10,), 4.0))


@pytest.mark.parametrize("texture", [Bricks, PebbleTexture])
def test_a_texture_is_the_same_picture_whatever_the_seed_of_the_run(texture: Any) -> None:
    one, two, other = texture(64), texture(64), texture(64, seed=1)
    for seed, source in enumerate((one, two, other)):
        source.start("texture", seed)
    assert same(one.draw(), two.draw()) and same(one.draw(), one.held_out(0, 9))
    assert not same(one.draw(), other.draw())
    (image,) = one.draw()
    assert image.shape == (1, 3, 64, 64) and image.is_contiguous()
    assert -1 <= image.min() < -0.3 and 0 < image.max() <= 1
    assert image[0].std((1, 2)).min() > 0.1


# Files -------------------------------------------------------------------------------------------


def test_an_image_file_is_scaled_and_cut_to_its_middle(tmp_path: Path) -> None:
    pixels = numpy.zeros((40, 80, 3), numpy.uint8)
    pixels[:, 20:60] = (255, 128, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    source = ImageFile(str(tmp_path / "a.png"), 10, "-1..1")
    source.start("image", 0)
    (image,) = source.draw()
    assert image.shape == (1, 3, 10, 10) and image.is_contiguous()
    torch.testing.assert_close(image[0, :, 5, 5], torch.tensor([1.0, 128 / 127.5 - 1, -1.0]))


def test_a_missing_image_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere.png: no such image file"):
        ImageFile(str(tmp_path / "nowhere.png")).start("image", 0)


def test_a_folder_gives_every_file_once_an_epoch_with_its_class(folder: Path) -> None:
    source = of_folder(folder, 6)
    assert source.held_out_size() == 2
    drawn = [source.draw() for _ in range(6)]  # two epochs of 18
    shades = torch.cat([(i[:, 0, 4, 4] * 25.5).round() for i, _ in drawn]).long()
    labels = torch.cat([label for _, label in drawn])
    assert torch.equal(labels, shades // 10)
    held = (source.held_out(0, 2)[0][:, 0, 4, 4] * 25.5).round().long().tolist()
    for epoch in shades.view(2, 18).tolist():
        assert sorted([*epoch, *held]) == list(range(20))


@pytest.mark.filterwarnings("ignore:.*fork")
def test_workers_change_nothing_and_reading_ahead_is_not_state(folder: Path) -> None:
    plain, ahead = (
        ImageFolder(str(folder), 4, 8, 2, augment=True, workers=w) for w in (0, 1)
    )  # fmt: skip
    plain.start("data", 0)
    ahead.start("data", 0)
    assert all(same(plain.draw(), ahead.draw()) for _ in range(3))
    ahead.load_state(plain.state())
    assert same(plain.draw(), ahead.draw())


def test_augmentation_varies_from_epoch_to_epoch(tmp_path: Path) -> None:
    gradient = numpy.tile(numpy.arange(0, 200, 10, dtype=numpy.uint8)[None, :, None], (20, 1, 3))
    Image.fromarray(gradient).save(tmp_path / "a.png")
    source = ImageFolder(str(tmp_path), 1, 8, held_out=0.0, augment=True, workers=0)
    source.start("data", 0)
    pictures = [source.draw()[0] for _ in range(8)]
    assert len({p.numpy().tobytes() for p in pictures}) > 2


def test_files_that_are_no_images_are_told_and_left_out(mine: Path) -> None:
    whole = of_folder(mine, 6)
    assert whole.notes == []
    broken = [Path(whole.train.files[i][0]) for i in (3, 8)]
    broken[0].write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    broken[1].write_bytes(b"")
    source = of_folder(mine, 4)
    (note,) = source.notes
    assert note.startswith("2 of 20 files can't be read as images and are left out: ")
    assert all(str(p.relative_to(mine)) in note for p in broken)
    assert source.train.files == [f for f in whole.train.files if Path(f[0]) not in broken]
    assert source.test.files == whole.test.files  # the others stay where they were
    for _ in range(8):
        source.draw()
    assert len(source.notes) == 1


@pytest.mark.filterwarnings("ignore:.*fork")
@pytest.mark.parametrize("workers", [0, 1])
def test_the_next_file_stands_for_one_that_turns_out_to_be_damaged(
    mine: Path, workers: int
) -> None:
    whole = of_folder(mine, 18)
    path, _ = whole.train.files[4]
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: data.index(b"IDAT") + 8])  # its header is fine
    source = of_folder(mine, 18, workers)
    assert source.notes == [] and source.train.files == whole.train.files
    image, labels = source.draw()
    shades = (image[:, 0, 4, 4] * 25.5).round().long().tolist()
    assert labels.tolist() == [shade // 10 for shade in shades]
    named = [10 * label + int(Path(p).stem) for p, label in whole.train.files]
    assert sorted(shades) == sorted([*named[:4], named[5], *named[5:]])
    source.draw()
    (note,) = source.notes  # once, though it was drawn twice
    assert note.startswith(f"{path}: cannot be read as an image")
    assert note.endswith("replace or remove it; the file after it is drawn in its place")


def test_a_folder_without_any_image_ends_training(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"rubbish")
    with pytest.raises(
        ValueError, match=r"none of its files can be read as an image: a.png, b.jpg"
    ):
        ImageFolder(str(tmp_path), 1, 8, held_out=0.0, workers=0).start("data", 0)


def test_a_folder_that_goes_away_ends_training(mine: Path) -> None:
    source = of_folder(mine, 4)
    shutil.rmtree(mine)
    with pytest.raises(
        OSError, match=r"18 files in a row can't be read; the first: .*no such image"
    ):
        source.draw()


def test_a_broken_picture_does_not_end_training_and_is_told_once(mine: Path) -> None:
    (mine / "cats" / "bad.png").write_bytes(b"rubbish")
    text = f"""nodegraph: 1
nodes:
  photos: {{type: ImageFolder, path: {mine}, classes: 2, batch: 5, size: 8, workers: 0}}
  flat: {{type: Flatten, in: {{x: photos.image}}}}
  scores: {{type: Linear, features: 2, in: {{x: flat}}}}
  loss: {{type: CrossEntropy, in: {{logits: scores, labels: photos.label}}}}
  adam: {{type: Adam, over: [scores], in: {{loss: loss}}}}
train: [{{stage: s, steps: 9, run: [adam]}}]
"""
    events = [*nodegraph.train(files.parse(text).graph)]
    noted = [e for e in events if isinstance(e, Noted)]
    assert [(e.node, "cats/bad.png" in e.text) for e in noted] == [("photos", True)]
    assert isinstance(events[-1], Finished)


def test_a_folder_that_does_not_fit_says_why(folder: Path, tmp_path: Path) -> None:
    for path, classes, words in (
        (folder, 3, "has 2 class folders, but classes says 3"),
        (folder / "cats", 2, "no class folders"),
        (tmp_path / "nowhere", 1, "no such folder"),
        (tmp_path, 1, "has no images"),
    ):
        with pytest.raises((OSError, ValueError), match=words):
            ImageFolder(str(path), 4, 8, classes).start("data", 0)


# Downloads ---------------------------------------------------------------------------------------


class Mirror(http.server.SimpleHTTPRequestHandler):
    """A web server that knows Range, and breaks off after `limit` bytes."""

    limit: int | None = None
    asked: list[str] = []

    def do_GET(self) -> None:
        body = Path(self.translate_path(self.path)).read_bytes()
        wanted = self.headers.get("Range", "")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : start + (Mirror.limit or len(body))])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a server on this machine gives out, and that is fetched from."""
    served = tmp_path / "served"
    served.mkdir()
    handler = functools.partial(Mirror, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("NODEGRAPH_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    Mirror.limit, Mirror.asked = None, []
    yield served
    server.shutdown()
    server.server_close()


def serve(
    root: Path, name: str, data: bytes, monkeypatch: pytest.MonkeyPatch, checksum: str = ""
) -> None:
    """Put a file on the server, and its checksum into the table."""
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(data)
    checksum = checksum or hashlib.sha256(data).hexdigest()
    monkeypatch.setitem(downloads.FILES, name, (checksum, len(data) / 1e6))


def idx(array: numpy.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.tobytes())


@pytest.fixture
def mnist(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> numpy.ndarray:
    """A tiny MNIST on the mirror; its training images."""
    random = numpy.random.default_rng(0)
    images = random.integers(0, 256, (30, 28, 28), numpy.uint8)
    labels = (numpy.arange(30) % 10).astype(numpy.uint8)
    for part, some in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        serve(mirror, f"mnist/{part}-images-idx3-ubyte.gz", idx(images[some]), monkeypatch)
        serve(mirror, f"mnist/{part}-labels-idx1-ubyte.gz", idx(labels[some]), monkeypatch)
    return images[:20]


def test_mnist_is_read_and_fetched_once(mnist: Any, capsys: pytest.CaptureFixture[str]) -> None:
    source = downloads.MNIST(batch=5, channels=3, range="-1..1")
    source.start("data", 0)
    images, labels = source.draw()
    assert images.shape == (5, 3, 28, 28) and images.min() >= -1 and labels.dtype == torch.long
    assert source.held_out_size() == 10
    assert source.held_out(0, 10)[1].tolist() == list(range(10))
    assert numpy.array_equal(source.train[0][:, 0].numpy(), mnist)
    said = capsys.readouterr().err
    assert "fetching train-images-idx3-ubyte.gz" in said and "http://127.0.0.1" in said
    fetched = len(Mirror.asked)
    downloads.MNIST(batch=5).start("data", 0)
    assert len(Mirror.asked) == fetched == 4
    assert "fetching" not in capsys.readouterr().err


def test_a_download_that_broke_off_goes_on(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = numpy.random.default_rng(0).bytes(500_000)
    serve(mirror, "svhn/test_32x32.mat", data, monkeypatch)
    Mirror.limit = 200_000
    with pytest.raises(OSError, match="cannot fetch .*try again"):
        downloads.cached("svhn/test_32x32.mat")
    Mirror.limit = None
    path = Path(downloads.cached("svhn/test_32x32.mat"))
    whole, rest = Mirror.asked
    assert whole == "" and 100_000 < int(rest[len("bytes=") : -1]) <= 200_000
    assert path.read_bytes() == data
    assert [f.name for f in path.parent.iterdir()] == ["test_32x32.mat"]


def test_a_file_with_another_checksum_is_refused(
    mirror: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve(mirror, "mnist/t10k-labels-idx1-ubyte.gz", b"not it", monkeypatch, "0" * 64)
    with pytest.raises(ValueError, match="is not the file that was published"):
        downloads.cached("mnist/t10k-labels-idx1-ubyte.gz")
    assert not [f for f in (tmp_path / "cache").rglob("*") if f.is_file()]


def test_a_missing_file_says_what_to_do(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEGRAPH_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(OSError, match="cannot fetch .*put the file into"):
        downloads.cached("svhn/test_32x32.mat")


def test_plain_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for root in ("http://example.org/data", "ftp://example.org", "file:///etc"):
        monkeypatch.setenv("NODEGRAPH_MIRROR", root)
        with pytest.raises(ValueError, match="https only"):
            downloads.cached("svhn/test_32x32.mat")
    assert all(home.startswith("https://") for home in downloads.HOMES.values())


def test_svhn_is_read(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    random = numpy.random.default_rng(0)
    for part in ("train", "test"):
        file = io.BytesIO()
        x = random.integers(0, 256, (32, 32, 3, 12), numpy.uint8)
        savemat(file, {"X": x, "y": numpy.arange(1, 13)[:, None] % 10 + 1})
        serve(mirror, f"svhn/{part}_32x32.mat", file.getvalue(), monkeypatch)
    source = downloads.SVHN(batch=4)
    source.start("data", 0)
    images, labels = source.held_out(0, 12)
    assert labels.tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3]
    torch.testing.assert_close(images[5, 2, 3, 4] * 255, torch.tensor(float(x[3, 4, 2, 5])))


def test_cifar_is_read(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
            rows = b"".join(bytes([k]) + bytes([k * 20]) * 3072 for k in range(3))
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = len(rows)
            archive.addfile(info, io.BytesIO(rows))
    serve(mirror, "cifar10/cifar-10-binary.tar.gz", file.getvalue(), monkeypatch)
    source = downloads.CIFAR10(batch=4)
    source.start("data", 0)
    assert len(source.train[0]) == 15 and source.held_out_size() == 3
    images, labels = source.held_out(0, 3)
    assert labels.tolist() == [0, 1, 2]
    torch.testing.assert_close(images[:, 0, 0, 0] * 255, torch.tensor([0.0, 20.0, 40.0]))
