"""How good generated samples are: numbers over two sets of features, all of them at once."""

import math

import torch
from torch import Tensor

FOLDS = 2  # halves of the data that the classifier two-sample test learns from in turn


def square_distances(x: Tensor, y: Tensor) -> Tensor:
    """‖xᵢ − yⱼ‖²: N M, in 64 bits, so that differences of large products keep their digits."""
    x, y = x.double(), y.double()
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp_min(0)


def in_units_of(reference: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Both in units of the reference's standard deviation, one number for all features."""
    unit = reference.var(0, correction=0).mean().sqrt().clamp_min(1e-12)
    return tuple(t / unit for t in (*others, reference))


def kernel_distance(x: Tensor, reference: Tensor, scaled: bool) -> Tensor:
    """Unbiased MMD² with k(u, v) = (uᵀv / d + 1)³."""
    if scaled:
        x, reference = in_units_of(reference, x)
    n, m, d = len(x), len(reference), x.shape[1]
    z = torch.cat([x, reference]).double()
    k = (z @ z.T / d + 1) ** 3
    own, other, both = k[:n, :n], k[n:, n:], k[:n, n:]
    within = (own.sum() - own.trace()) / max(1, n * (n - 1))
    within = within + (other.sum() - other.trace()) / max(1, m * (m - 1))
    return (within - 2 * both.mean()).to(x.dtype)


def covariance_root(covariance: Tensor) -> Tensor:
    """The symmetric root of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def frechet_distance(x: Tensor, reference: Tensor, scaled: bool) -> Tensor:
    """‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½)."""
    if scaled:
        x, reference = in_units_of(reference, x)
    means, covariances = [], []
    for sample in (x.double(), reference.double()):
        means.append(sample.mean(0))
        from_mean = sample - means[-1]
        covariances.append(from_mean.T @ from_mean / max(1, len(sample) - 1))
    one, two = covariances
    half = covariance_root(one)  # (Σ₁Σ₂)^½ has the trace of (Σ₁^½ Σ₂ Σ₁^½)^½, which is symmetric
    both = torch.linalg.eigvalsh(half @ two @ half).clamp_min(0).sqrt().sum()
    found = (means[0] - means[1]).square().sum() + one.trace() + two.trace() - 2 * both
    return found.clamp_min(0).to(x.dtype)


def inside_manifold(x: Tensor, manifold: Tensor, k: int) -> Tensor:
    """The share of x that lies in a ball around some point of the manifold, which reaches to that
    point's k-th nearest neighbour."""
    between = square_distances(manifold, manifold)
    between.fill_diagonal_(math.inf)  # a point is no neighbour of itself
    k = min(k, len(manifold) - 1)
    if k < 1:
        return x.new_zeros(())
    reach = between.kthvalue(k, dim=1).values  # M
    reach = reach * (1 + 1e-9) + 1e-9  # the k-th neighbour itself is inside, whatever is rounded
    return (square_distances(x, manifold) <= reach).any(1).to(x.dtype).mean()


def two_sample_test(x: Tensor, reference: Tensor, permutations: int, give: str) -> Tensor:
    """MMD² with a Gaussian kernel as wide as the median distance, against random divisions.

    `p value`: the share of divisions, the true one among them, whose MMD² is as large; `ratio`: the
    true MMD² over that which 95 % of divisions stay below.
    """
    n, m = len(x), len(reference)
    z = torch.cat([x, reference])
    d2 = square_distances(z, z)
    pairs = d2[torch.triu(torch.ones_like(d2, dtype=torch.bool), 1)]
    if not pairs.numel():
        return x.new_ones(())
    k = torch.exp(-d2 / (2 * pairs.median().clamp_min(1e-12)))
    # Row 0 is the division that we are given, the others are drawn, the same ones at each call.
    side = torch.full((permutations + 1, n + m), -1 / m, dtype=d2.dtype)
    side[0, :n] = 1 / n
    generator = torch.Generator().manual_seed(0)
    for row in side[1:]:
        row[torch.randperm(n + m, generator=generator)[:n]] = 1 / n
    side = side.to(z.device)
    mmd2 = ((side @ k) * side).sum(1)  # the biased estimate of each division
    if give == "p value":
        return (mmd2 >= mmd2[0] * (1 - 1e-12)).to(x.dtype).mean()
    return (mmd2[0] / mmd2[1:].quantile(0.95).clamp_min(1e-30)).to(x.dtype)


def logistic(x: Tensor, target: Tensor, decay: float = 1e-2, steps: int = 12) -> Tensor:
    """The weights of a logistic regression by Newton's method; the last column of x is 1.

    Both sides of the target, 0 and 1, count the same, however many examples they have.
    """
    w = x.new_zeros(x.shape[1])
    share = target.mean()
    count = torch.where(target > 0.5, 0.5 / share, 0.5 / (1 - share))  # both sides count the same
    penalty = torch.full_like(w, decay)
    penalty[-1] = 1e-6
    for _ in range(steps):
        p = torch.sigmoid(x @ w)
        gradient = x.T @ (count * (p - target)) / len(x) + penalty * w
        curve = (x * (count * p * (1 - p))[:, None]).T @ x / len(x) + torch.diag(penalty)
        w = w - torch.linalg.solve(curve, gradient)
    return w


def classifier_test(x: Tensor, reference: Tensor) -> Tensor:
    """The accuracy with which a logistic regression tells halves that it has not seen apart; each
    side counts as much as the other."""
    z = torch.cat([x, reference]).double()
    z = (z - z.mean(0)) / z.std(0, correction=0).clamp_min(1e-6)
    z = torch.cat([z, torch.ones_like(z[:, :1])], 1)
    real = torch.cat([z.new_zeros(len(x)), z.new_ones(len(reference))])
    fold = torch.cat([torch.arange(len(x)), torch.arange(len(reference))]).to(z.device) % FOLDS
    right = []
    for held in range(FOLDS):
        seen, other = fold != held, fold == held
        if not other.any():
            continue
        w = logistic(z[seen], real[seen])
        hit = ((z[other] @ w > 0) == (real[other] > 0.5)).to(x.dtype)
        sides = [hit[real[other] == side] for side in (0, 1)]
        right.append(torch.stack([s.mean() for s in sides if len(s)]).mean())
    return torch.stack(right).mean()


def class_shares(logits: Tensor) -> Tensor:
    """How often each class is the predicted one: K."""
    counts = torch.bincount(logits.argmax(1), minlength=logits.shape[1])
    return counts.to(logits.dtype) / len(logits)


def class_entropy(logits: Tensor) -> Tensor:
    """The entropy of the predicted classes in bits."""
    shares = class_shares(logits)
    return -torch.special.xlogy(shares, shares).sum() / math.log(2)


def class_coverage(logits: Tensor, least: float) -> Tensor:
    """How many classes are predicted for at least that share of the samples."""
    return (class_shares(logits) >= least).to(logits.dtype).sum()


def inception_score(logits: Tensor) -> Tensor:
    """exp of the mean KL divergence from p(y) to p(y | x)."""
    log_p = logits.double().log_softmax(1)
    mean = log_p.exp().mean(0)
    kl = (log_p.exp() * (log_p - mean.clamp_min(1e-300).log())).sum(1)
    return kl.mean().exp().to(logits.dtype)


def nearest(x: Tensor, others: Tensor) -> Tensor:
    """The distance of each x to the nearest of the others: N."""
    found = [square_distances(part, others).min(1).values for part in x.split(250)]
    return torch.cat(found).sqrt().to(x.dtype)


def copy_ratio(x: Tensor, training: Tensor, reference: Tensor) -> Tensor:
    """The median distance to the nearest training example, over that of new examples."""
    new = nearest(reference, training).median()
    return nearest(x, training).median() / new.clamp_min(1e-12)
