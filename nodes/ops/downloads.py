"""Data sets that are downloaded: MNIST, SVHN, CIFAR-10. Nothing in them is ever executed."""

import gzip
import os
import struct
import sys
import tarfile
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor
from torch.nn import functional

from .source import Dataset, as_range

HOMES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist",
    "svhn": "https://ufldl.stanford.edu/housenumbers",
    "cifar10": "https://www.cs.toronto.edu/~kriz",
}
# Of each file: its SHA-256 sum, and its size in MB.
FILES = {
    "mnist/train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        9.9,
    ),
    "mnist/train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        0.03,
    ),
    "mnist/t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        1.6,
    ),
    "mnist/t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        0.005,
    ),
    "svhn/train_32x32.mat": (
        "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        182.0,
    ),
    "svhn/test_32x32.mat": (
        "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        64.3,
    ),
    "cifar10/cifar-10-binary.tar.gz": (
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        170.0,
    ),
}


def cached(name: str) -> str:
    """The path of a file of FILES, downloaded and checked if it is not there.

    The environment variable NODEGRAPH_MIRROR names another root to fetch from. Raises OSError or
    ValueError that says what to do.
    """
    checksum, megabytes = FILES[name]
    group, _, file = name.partition("/")
    return fetched(f"{HOMES[group]}/{file}", name, checksum, megabytes)


def fetched(url: str, name: str, checksum: str | None, megabytes: float) -> str:
    """The path of the file `name` in the user's cache, downloaded from `url` if it is not there."""
    import pooch

    mirror = os.environ.get("NODEGRAPH_MIRROR", "").rstrip("/")
    url = f"{mirror}/{name}" if mirror else url
    refuse_plain_http(url)
    group, _, file = name.partition("/")
    folder = os.path.join(str(pooch.os_cache("nodegraph")), group)
    path = os.path.join(folder, file)
    if not os.path.exists(path):
        print(f"fetching {file} ({megabytes:g} MB) from {url} to {folder}", file=sys.stderr)
    pooch.get_logger().setLevel("WARNING")
    known = f"sha256:{checksum}" if checksum else None
    try:
        pooch.retrieve(url, known, file, folder, downloader=resume)
    except ValueError as error:
        raise ValueError(
            f"{url} is not the file that was published: its SHA-256 sum is not {checksum}. "
            "It was not kept; try again later, or another NODEGRAPH_MIRROR"
        ) from error
    except OSError as error:
        raise OSError(
            f"cannot fetch {url}: {error}. What has arrived is kept, so try again; "
            f"or put the file into {folder} yourself"
        ) from error
    return path


def refuse_plain_http(url: str) -> None:
    """Raise ValueError unless `url` is https, or of this machine."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not local:
        raise ValueError(f"{url}: data are fetched through https only")


def resume(url: str, output: Any, pooch: Any) -> None:
    """Download `url` to the path `output`, going on where an earlier attempt broke off."""
    import requests
    from tqdm import tqdm

    part = os.path.join(
        os.path.dirname(output), "." + os.path.basename(urlsplit(url).path) + ".part"
    )
    have = os.path.getsize(part) if os.path.exists(part) else 0
    asked = {"Range": f"bytes={have}-"} if have else {}
    asked["Accept-Encoding"] = "identity"
    with requests.get(url, headers=asked, stream=True, timeout=30) as answer:
        for hop in [*answer.history, answer]:
            refuse_plain_http(hop.url)
        if answer.status_code == 416:  # the part is whole, or longer than the file
            os.replace(part, output)
            return
        answer.raise_for_status()
        have = have if answer.status_code == 206 else 0
        length = int(answer.headers.get("Content-Length", 0))
        with (
            open(part, "ab" if have else "wb") as file,
            tqdm(total=have + length, initial=have, unit="B", unit_scale=True, disable=None) as bar,
        ):
            got = 0
            for piece in answer.iter_content(1 << 16):
                file.write(piece)
                got += len(piece)
                bar.update(len(piece))
        if got < length:
            raise OSError(f"the connection broke off after {have + got} of {have + length} bytes")
    os.replace(part, output)


def read_idx(path: str) -> Tensor:
    """The array of unsigned bytes in a gzipped file in LeCun's IDX format."""
    with gzip.open(path) as file:
        data = file.read()
    kind, rank = data[2], data[3]
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    array = torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=4 + 4 * rank)
    if kind != 8 or len(array) != torch.Size(shape).numel():
        raise ValueError(f"{path}: is not a whole IDX file of bytes; delete it, and it is fetched")
    return array.view(shape)


class Downloaded(Dataset):
    """Images kept as bytes, a quarter of the memory, and made numbers as they are drawn."""

    def __init__(
        self,
        batch: int,
        channels: int = 0,
        size: int = 0,
        range: str = "0..1",
        measured: str = "held out",
    ) -> None:
        self.batch, self.channels, self.size, self.range = batch, channels, size, range
        self.measured = measured

    def read(self, training: bool) -> tuple[Tensor, Tensor]:
        """Images N C H W and labels N, as bytes."""
        raise NotImplementedError

    def load(self) -> None:
        """Fetch and read both splits."""
        self.train, self.test = self.read(True), self.read(False)

    def numbers(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Pixels in `range`, labels as indices."""
        images, labels = batch
        images = images.float() / 255
        if self.size not in (0, images.shape[-1]):
            images = functional.interpolate(
                images, size=self.size, mode="bilinear", antialias=True, align_corners=False
            )
        images = as_range(images, self.range)
        return images.repeat(1, 3 if self.channels == 3 else 1, 1, 1), labels.long()

    def draw(self) -> tuple[Tensor, ...]:
        """A batch of the current epoch."""
        return self.numbers(super().draw())

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """A slice of the test split."""
        return self.numbers(super().held_out(start, stop))


class MNIST(Downloaded):
    """Handwritten digits, N channels 28 28."""

    def read(self, training: bool) -> tuple[Tensor, Tensor]:
        """From IDX files."""
        part = "train" if training else "t10k"
        images = read_idx(cached(f"mnist/{part}-images-idx3-ubyte.gz"))
        return images[:, None], read_idx(cached(f"mnist/{part}-labels-idx1-ubyte.gz"))


class SVHN(Downloaded):
    """House numbers, N 3 32 32."""

    def read(self, training: bool) -> tuple[Tensor, Tensor]:
        """From MATLAB files; the label of a zero is 10 there."""
        from scipy.io import loadmat

        data = loadmat(cached(f"svhn/{'train' if training else 'test'}_32x32.mat"))
        images = torch.from_numpy(data["X"]).permute(3, 2, 0, 1).contiguous()
        return images, torch.from_numpy(data["y"].reshape(-1).astype("uint8") % 10)


class CIFAR10(Downloaded):
    """Small photographs, N 3 32 32."""

    def read(self, training: bool) -> tuple[Tensor, Tensor]:
        """From the binary version: rows of a label and 3072 bytes."""
        names = [f"data_batch_{i}.bin" for i in range(1, 6)] if training else ["test_batch.bin"]
        rows = bytearray()
        with tarfile.open(cached("cifar10/cifar-10-binary.tar.gz")) as archive:
            for name in names:
                member = archive.extractfile(f"cifar-10-batches-bin/{name}")
                assert member is not None
                rows += member.read()
        table = torch.frombuffer(rows, dtype=torch.uint8).view(-1, 1 + 3072)
        return table[:, 1:].reshape(-1, 3, 32, 32).contiguous(), table[:, 0].contiguous()
