"""Eyes that are drawn from a few numbers, and look where they are told to."""

import math

import torch
from torch import Tensor

from .source import Source

# What makes an eye its own, each uniform between two numbers, in half widths of the image.
IDENTITY = {
    "across": (-0.1, 0.1), "down": (-0.1, 0.1), "half_width": (0.6, 0.8),
    "upper": (0.30, 0.48), "lower": (0.16, 0.28), "tilt": (-0.1, 0.1),
    "skin_red": (0.55, 0.95), "skin_green": (0.6, 0.85), "skin_blue": (0.65, 0.9),
    "iris_red": (0.1, 0.6), "iris_green": (0.1, 0.6), "iris_blue": (0.1, 0.6),
    "iris": (0.20, 0.25), "pupil": (0.08, 0.12), "light": (-0.2, 0.2),
    "glint_across": (-0.1, 0.1), "glint_down": (-0.12, -0.04),
}  # fmt: skip
LID = 0.006  # how far the upper lid follows a degree of vertical gaze
SOFT = 0.03  # of edges
HELD_OUT = 1_000_003  # the seed of the eyes that are never trained on, plus that of the data


class Eyes(Source):
    """Pairs of one eye that looks two ways.

    Image N 3 H W, landmarks N 7 2, angle N 2 in degrees, target N 3 H W. Each training pair is of
    another eye.
    """

    def __init__(
        self,
        batch: int,
        height: int = 32,
        width: int = 40,
        gaze: tuple[float, ...] = (20.0, 12.0),
        change: tuple[float, ...] = (20.0, 15.0),
        held_out: int = 256,
        seed: int = 0,
    ) -> None:
        self.batch, self.size, self.gaze, self.change = batch, (height, width), gaze, change
        self.count, self.data_seed = held_out, seed

    def load(self) -> None:
        """Draw the held-out pairs: eyes of their own, the same for every run."""
        generator = torch.Generator().manual_seed(HELD_OUT + self.data_seed)
        chance = torch.rand(self.count, len(IDENTITY) + 4, generator=generator)
        self.test = self.pairs(chance.to(self.device))

    def draw(self) -> tuple[Tensor, ...]:
        """Pairs of new eyes."""
        chance = torch.rand(
            self.batch * self.world, len(IDENTITY) + 4,
            generator=self.generator, device=self.device,
        )  # fmt: skip
        return self.pairs(self.share(chance))

    def held_out_size(self) -> int:
        """How many pairs are held out."""
        return self.count

    def held_out(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Some of the held-out pairs."""
        return tuple(t[start:stop] for t in self.test)

    def pairs(self, chance: Tensor) -> tuple[Tensor, ...]:
        """Image, landmarks, angle and target, by random numbers in 0..1: N identity + 4."""
        eye = {
            name: low + (high - low) * chance[:, i, None, None]
            for i, (name, (low, high)) in enumerate(IDENTITY.items())
        }
        turns = 2 * chance[:, len(IDENTITY) :] - 1  # N 4
        gaze = turns[:, :2] * turns.new_tensor(self.gaze)
        angle = turns[:, 2:] * turns.new_tensor(self.change)
        image, landmarks = drawn_eye(eye, gaze, *self.size)
        target, _ = drawn_eye(eye, gaze + angle, *self.size)
        return image, landmarks, angle, target


def drawn_eye(
    eye: dict[str, Tensor], gaze: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Images N 3 H W, and seven landmarks N 7 2 in −1..1: six of the lids, and the pupil.

    `gaze` is N 2, in degrees to the right and upwards as one sees the image.
    """
    ratio = height / width
    x = (2 * torch.arange(width, device=gaze.device) + 1) / width - 1
    y = ((2 * torch.arange(height, device=gaze.device) + 1) / height - 1)[:, None] * ratio
    cos, sin = eye["tilt"].cos(), eye["tilt"].sin()
    u = (x - eye["across"]) * cos + (y - eye["down"]) * sin  # N H W, along the eye
    v = (y - eye["down"]) * cos - (x - eye["across"]) * sin  # and across it, downwards
    radians = gaze[..., None, None] * (math.pi / 180)
    iris_u, iris_v = 0.8 * radians[:, 0].sin(), -0.8 * radians[:, 1].sin()
    upper = eye["upper"] + LID * gaze[:, 1, None, None]

    def inside(distance: Tensor) -> Tensor:
        return torch.sigmoid(distance / SOFT)[:, None]  # N 1 H W

    def colour(name: str) -> Tensor:
        return torch.stack([eye[f"{name}_{c}"] for c in ("red", "green", "blue")], 1)  # N 3 1 1

    curve = 1 - (u / eye["half_width"]).square()
    under = v + upper * curve  # how far below the upper lid
    opening = inside(under) * inside(eye["lower"] * curve - v)
    from_iris = torch.hypot(u - iris_u, v - iris_v)
    glint = torch.hypot(u - iris_u / 2 - eye["glint_across"], v - iris_v / 2 - eye["glint_down"])
    ball = (0.65 + 0.27 * curve.clamp(0, 1))[:, None] * gaze.new_tensor([1, 0.97, 0.95])[
        :, None, None
    ]
    in_iris, in_pupil = inside(eye["iris"] - from_iris), inside(eye["pupil"] - from_iris)
    ball = ball * (1 - in_iris) + colour("iris") * in_iris
    ball = ball * (1 - in_pupil) + 0.04 * in_pupil
    ball = ball * (1 - 0.4 * torch.exp(-under.clamp_min(0) / 0.08))[:, None]  # the lid's shadow
    in_glint = inside(0.05 - glint)
    ball = ball * (1 - in_glint) + in_glint
    # Skin is darker in green than in red, and darker still in blue.
    red = colour("skin")[:, :1]
    skin = torch.cat([red, red * colour("skin")[:, 1:2], red * colour("skin")[:, 2:] * 0.8], 1)
    crease = 1 - 0.25 * torch.exp(-((under + 0.14) / 0.05).square()) * (curve > -0.2)
    image = skin * crease[:, None] * (1 - opening) + ball * opening
    image = (image * (1 + eye["light"] * x)[:, None]).clamp(0, 1)

    half = eye["half_width"][:, 0]  # N 1
    along = torch.cat([-half, -half / 2, half / 2, half, half / 2, -half / 2], 1)
    bend = 1 - (along / half).square()
    lids = torch.cat([-upper[:, 0] * bend[:, :3], eye["lower"][:, 0] * bend[:, 3:]], 1)
    at_u = torch.cat([along, iris_u[:, 0]], 1)  # N 7
    at_v = torch.cat([lids, iris_v[:, 0]], 1)
    cos, sin = cos[:, 0], sin[:, 0]
    at_x = eye["across"][:, 0] + at_u * cos - at_v * sin
    at_y = eye["down"][:, 0] + at_u * sin + at_v * cos
    return image, torch.stack([at_x, at_y / ratio], -1)
