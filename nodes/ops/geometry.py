"""Where pixels come from: sampling grids, and the samplers that read an image at them."""

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def middles(height: int, width: int, align_corners: bool, like: Tensor) -> Tensor:
    """The identity grid: (x, y) of each pixel's middle, in −1..1 of the image: H W 2."""

    def along(length: int) -> Tensor:
        edge = float(length > 1) if align_corners else 1 - 1 / length
        return torch.linspace(-edge, edge, length, dtype=torch.float64).to(like)

    y, x = torch.meshgrid(along(height), along(width), indexing="ij")
    return torch.stack([x, y], -1)


def affine_grid(
    theta: Tensor, height: int, width: int, align_corners: bool, absolute: bool = False
) -> Tensor:
    """(x_s, y_s) = A (x_t, y_t, 1), θ the rows of A: N 6 → N H W 2."""
    rows = theta if absolute else theta + theta.new_tensor([1, 0, 0, 0, 1, 0])
    a = rows.view(-1, 2, 3)
    at = middles(height, width, align_corners, theta).view(-1, 2)
    moved = at @ a[:, :, :2].transpose(1, 2) + a[:, None, :, 2]  # N HW 2
    return moved.view(-1, height, width, 2)


def attention_grid(
    theta: Tensor, height: int, width: int, align_corners: bool, absolute: bool = False
) -> Tensor:
    """s · (x_t, y_t) + (t_x, t_y), θ = (s, t_x, t_y): N 3 → N H W 2."""
    scale = theta[:, 0] if absolute else theta[:, 0] + 1
    at = middles(height, width, align_corners, theta)
    return scale[:, None, None, None] * at + theta[:, None, None, 1:]


def projective_grid(
    theta: Tensor, height: int, width: int, align_corners: bool, absolute: bool = False
) -> Tensor:
    """The first two rows of (θ, 1) as 3 × 3, times (x_t, y_t, 1), over the third: N 8 → N H W 2.

    Divisors are at least 0.01: nothing is seen from behind.
    """
    rows = theta if absolute else theta + theta.new_tensor([1, 0, 0, 0, 1, 0, 0, 0])
    h = torch.cat([rows, torch.ones_like(rows[:, :1])], 1).view(-1, 3, 3)
    at = middles(height, width, align_corners, theta).view(-1, 2)
    moved = at @ h[:, :, :2].transpose(1, 2) + h[:, None, :, 2]  # N HW 3
    found = moved[..., :2] / moved[..., 2:].clamp_min(0.01)
    return found.view(-1, height, width, 2)


def thin_plate_grid(
    theta: Tensor, height: int, width: int, align_corners: bool, points: int
) -> Tensor:
    """The identity plus the spline through the displacements θ of points × points control points.

    θ has x and y of each, row by row: N 2·points² → N H W 2.
    """
    spline = thin_plate(points, height, width, align_corners).to(theta)  # HW P
    flow = spline @ theta.view(len(theta), -1, 2)  # N HW 2
    return middles(height, width, align_corners, theta) + flow.view(-1, height, width, 2)


@functools.lru_cache(maxsize=16)
def thin_plate(points: int, height: int, width: int, align_corners: bool) -> Tensor:
    """The matrix from values at the control points to the spline's values at all pixels: HW P.

    f(p) = Σ wᵢ U(‖p − cᵢ‖) + a₀ + a₁ x + a₂ y with U(r) = r² log r², Σ wᵢ = Σ wᵢ cᵢ = 0. It is
    linear in the values, so it is solved once, for a 1 at each point.
    """
    like = torch.zeros((), dtype=torch.float64)
    control = middles(points, points, True, like).view(-1, 2)  # P 2
    at = middles(height, width, align_corners, like).view(-1, 2)

    def bend(p: Tensor) -> Tensor:
        r2 = (p[:, None] - control).square().sum(-1)
        return torch.special.xlogy(r2, r2)

    def plane(p: Tensor) -> Tensor:
        return torch.cat([torch.ones_like(p[:, :1]), p], 1)

    count = len(control)
    system = like.new_zeros(count + 3, count + 3)
    system[:count, :count], system[:count, count:] = bend(control), plane(control)
    system[count:, :count] = plane(control).T
    ones = torch.eye(count + 3, count, dtype=torch.float64)
    return torch.cat([bend(at), plane(at)], 1) @ torch.linalg.solve(system, ones)


def flow_grid(flow: Tensor, align_corners: bool, unit: str) -> Tensor:
    """The identity plus a flow, N 2 H W (x, then y) → N H W 2."""
    height, width = flow.shape[2:]
    moved = flow.permute(0, 2, 3, 1)
    if unit == "px":
        less = 1 if align_corners else 0
        moved = moved * flow.new_tensor([2 / max(1, n - less) for n in (width, height)])
    return middles(height, width, align_corners, flow) + moved


def grid_sample(x: Tensor, grid: Tensor, mode: str, padding: str, align_corners: bool) -> Tensor:
    """The image at each place of the grid."""
    return functional.grid_sample(x, grid, mode, padding, align_corners)


class Bilinear(torch.autograd.Function):
    """The sampler of the lecture's slide, and its derivatives, written as sums over all pixels.

    U N C H W, places x and y in pixels, each N P → V N C P.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """V = Σ_n Σ_m U_nm max(0, 1 − |x − m|) max(0, 1 − |y − n|)."""
        ctx.save_for_backward(u, x, y)
        return torch.einsum("ichw,iph,ipw->icp", u, tent(y, u.shape[2]), tent(x, u.shape[3]))

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """By the slide: ∂V/∂U_nm is the product of both tents; ∂V/∂x has slopes for one of them."""
        u, x, y = ctx.saved_tensors
        (g,) = given  # N C P
        high, wide = tent(y, u.shape[2]), tent(x, u.shape[3])
        to_u = torch.einsum("icp,iph,ipw->ichw", g, high, wide)
        to_x = torch.einsum("icp,ichw,iph,ipw->ip", g, u, high, slope(x, u.shape[3]))
        to_y = torch.einsum("icp,ichw,iph,ipw->ip", g, u, slope(y, u.shape[2]), wide)
        return to_u, to_x, to_y


def tent(x: Tensor, length: int) -> Tensor:
    """max(0, 1 − |x − m|) for each pixel m: N P → N P length."""
    m = torch.arange(length, device=x.device)
    return (1 - (x[..., None] - m).abs()).clamp_min(0)


def slope(x: Tensor, length: int) -> Tensor:
    """The slope of each tent: 0 if |m − x| ≥ 1, 1 if m ≥ x, −1 if m < x."""
    m = torch.arange(length, device=x.device)
    up = torch.where(m >= x[..., None], 1.0, -1.0).to(x)
    return up * ((m - x[..., None]).abs() < 1)


def bilinear_sample(x: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
    """The image at each place of the grid, by the slide's sums; zeros beyond the border."""
    size = grid.new_tensor([x.shape[3], x.shape[2]])
    pixels = (grid + 1) * (size - 1) / 2 if align_corners else ((grid + 1) * size - 1) / 2
    flat = pixels.flatten(1, 2)  # N P 2
    found = Bilinear.apply(x, flat[..., 0], flat[..., 1])
    return found.view(*x.shape[:2], *grid.shape[1:3])


def anchor_maps(landmarks: Tensor, height: int, width: int, align_corners: bool) -> Tensor:
    """(x − x_f, y − y_f) at each pixel, for each landmark f: N K 2 → N 2K H W."""
    at = middles(height, width, align_corners, landmarks).permute(2, 0, 1)  # 2 H W
    return (at - landmarks[..., None, None]).flatten(1, 2)


def tile(x: Tensor, height: int, width: int) -> Tensor:
    """The same vector at each pixel: N D → N D H W."""
    return x[:, :, None, None].expand(-1, -1, height, width)
