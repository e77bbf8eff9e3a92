"""Where weights come from: a file, a run's folder, a published name. Reads no tensor."""

import glob
import hashlib
import os
import re
from typing import NamedTuple


class Published(NamedTuple):
    """A file of weights that somebody has published."""

    home: str
    megabytes: float
    convention: str  # what `Preprocess` has to make of images


TORCH = "https://download.pytorch.org/models"
BETHGE = "https://bethgelab.org/media/uploads/pytorch_models"
PUBLISHED = {
    "vgg16-397923af.pth": Published(TORCH, 527.8, "torchvision"),
    "vgg19-dcbb9e9d.pth": Published(TORCH, 548.1, "torchvision"),
    "alexnet-owt-7be5be79.pth": Published(TORCH, 233.0, "torchvision"),
    "vgg_conv.pth": Published(BETHGE, 80.0, "caffe"),  # its name has no hash to compare with
}
FORMATS = (".pth", ".pt", ".safetensors")


def find(what: str, folder: str = "") -> str:
    """The file that `what` names, or "" for a published one that may have to be downloaded.

    It is looked for in `folder`, that of the graph, then where the program was started. Of a run's
    folder it is the newest checkpoint. Raises FileNotFoundError, in words.
    """
    path = os.path.expanduser(what)
    for place in dict.fromkeys(os.path.join(base, path) for base in (folder, os.getcwd())):
        if os.path.isdir(place):
            saved = glob.glob(os.path.join(place, "checkpoints", "[0-9]*", "weights.safetensors"))
            if not saved:
                raise FileNotFoundError(f"{place} is no run's folder with a checkpoint; name a run")
            return max(saved)
        if os.path.isfile(place):
            if not place.endswith(FORMATS):
                known = ", ".join(FORMATS)
                raise FileNotFoundError(f"{place} is no file of weights; known are {known}")
            return place
    if what in PUBLISHED:
        return ""
    looked = " or ".join(dict.fromkeys(base for base in (folder, os.getcwd()) if base))
    known = ", ".join(PUBLISHED)
    raise FileNotFoundError(
        f"there is no file or run {what!r} in {looked}; name one, or a published file: {known}"
    )


def compare_hash(path: str) -> None:
    """Raise ValueError when a name like vgg19-dcbb9e9d.pth tells of another SHA-256 sum."""
    told = re.search(r"-([0-9a-f]{8,64})\.\w+$", os.path.basename(path))
    if not told:
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(told[1]):
        raise ValueError(
            f"{path}: its SHA-256 sum begins with {found[: len(told[1])]}, its name says "
            f"{told[1]}: it is not the file that was published; delete it, and fetch it again"
        )
