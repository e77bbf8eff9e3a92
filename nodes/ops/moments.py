"""Maximum mean discrepancy.

Li, Swersky, Zemel, Generative Moment Matching Networks, ICML 2015.
"""

import torch
from torch import Tensor


def mmd(
    x: Tensor,
    y: Tensor,
    sigmas: tuple[float, ...],
    sigma_is: str = "variance",
    estimator: str = "biased",
    root: bool = False,
) -> Tensor:
    """MMD² (or its root) of the samples x, N D, and y, M D, with k = Σ exp(−d² / (2σ))."""
    n, m = len(x), len(y)
    z = torch.cat([x, y])
    z = z - z.detach().mean(0)  # distances stay; the products below lose fewer digits
    norm = z.square().sum(1)  # N+M
    d2 = (norm[:, None] + norm - 2 * (z @ z.T)).clamp_min(0)
    # Exactly 0 on the diagonal, where rounding leaves a little.
    d2 = d2 * (1 - torch.eye(n + m, dtype=d2.dtype, device=d2.device))
    k = torch.zeros_like(d2)
    for sigma in sigmas:
        k = k + torch.exp(d2 / (-2 * (sigma if sigma_is == "variance" else sigma * sigma)))
    xx, yy, xy = k[:n, :n].sum(), k[n:, n:].sum(), k[:n, n:].mean()
    if estimator == "unbiased":
        ones = len(sigmas)  # each example's kernel with itself
        mmd2 = (xx - n * ones) / (n * (n - 1)) + (yy - m * ones) / (m * (m - 1)) - 2 * xy
    else:
        mmd2 = xx / (n * n) + yy / (m * m) - 2 * xy
    return (mmd2.clamp_min(0) + 1e-8).sqrt() if root else mmd2
