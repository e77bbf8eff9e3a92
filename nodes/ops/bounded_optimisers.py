"""Optimisers that search: between bounds, by the sign of the gradient alone, or both."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .each_weight import EachWeight, State

Bound = float | Tensor


def spread_bound(bound: Bound, weight: Tensor) -> Tensor:
    """A bound in the shape of a weight. Raises ValueError when it has another."""
    like = torch.as_tensor(bound, dtype=weight.dtype, device=weight.device)
    try:
        return like.broadcast_to(weight.shape)
    except RuntimeError as error:
        shapes = f"{list(like.shape)}, the weights that it bounds {list(weight.shape)}"
        raise ValueError(f"a bound has the shape {shapes}; give them the same") from error


class LBFGSB(torch.optim.Optimizer):
    """SciPy's L-BFGS-B; `step` is a whole search, and keeps nothing for the next."""

    def __init__(
        self, params: Any, low: Bound = 0.0, high: Bound = 1.0, max_iter: int = 50,
        history: int = 10, restart: bool = False,
    ) -> None:  # fmt: skip
        self.max_iter, self.history, self.restart = max_iter, history, restart
        super().__init__(params, {"low": low, "high": high})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Search from where the weights are, or from 0. A failure leaves them where they were."""
        import numpy
        from scipy.optimize import minimize

        assert closure is not None
        pairs = [(w, group) for group in self.param_groups for w in group["params"]]
        weights = [w for w, _ in pairs]
        before = [w.clone() for w in weights]
        low, high = (
            numpy.concatenate([as_row(spread_bound(g[end], w)) for w, g in pairs])
            for end in ("low", "high")
        )

        def put(point: Any) -> None:
            """Move the weights to a point; rounding to their own numbers leaves no box."""
            parts = torch.from_numpy(point).split([w.numel() for w in weights])
            for (w, group), part in zip(pairs, parts, strict=True):
                found = part.view_as(w).to(w)
                ends = (spread_bound(group[end], w) for end in ("low", "high"))
                w.copy_(found.clamp(*ends))

        def loss_and_gradient(point: Any) -> tuple[float, Any]:
            put(point)
            with torch.enable_grad():
                loss = closure()
            slopes = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
            return float(loss), numpy.concatenate([as_row(g) for g in slopes])

        start = numpy.concatenate([as_row(w) for w in weights]) * (not self.restart)
        options = {"maxiter": self.max_iter, "maxcor": self.history}
        try:
            found = minimize(
                loss_and_gradient, numpy.clip(start, low, high), jac=True, method="L-BFGS-B",
                bounds=numpy.stack([low, high], 1), options=options,
            )  # fmt: skip
        except BaseException:
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)
            raise
        put(found.x)


def as_row(tensor: Tensor) -> Any:
    """A tensor as a row of NumPy's 64-bit numbers, which SciPy needs."""
    return tensor.detach().double().cpu().flatten().numpy()


class ProjectedSign(EachWeight):
    """w ← w − lr · sign(g), cut off at the bounds."""

    def __init__(self, params: Any, lr: float = 0.1, low: Bound = 0.0, high: Bound = 1.0) -> None:
        super().__init__(params, {"lr": lr, "low": low, "high": high})

    def move(self, w: Tensor, g: Tensor, state: State, option: Mapping[str, Any]) -> None:
        """A step against the sign, and back between the bounds."""
        ends = (spread_bound(option[end], w) for end in ("low", "high"))
        w.copy_((w - option["lr"] * g.sign()).clamp(*ends))


class Bisection(EachWeight):
    """w ← w − s · sign(g); s halves with each step from the first change of the sign on."""

    def __init__(self, params: Any, lr: float = 1.0) -> None:
        super().__init__(params, {"lr": lr})

    def move(self, w: Tensor, g: Tensor, state: State, option: Mapping[str, Any]) -> None:
        """A step against the sign, half as long as the last one after the first turn."""
        sign = g.sign()
        # The share of lr that a step is: 1 until the sign turns, then 1/2, 1/4, …
        share = state.get("share", torch.ones_like(w))
        turned = (share < 1) | (sign * state.get("sign", sign) < 0)
        state["share"] = share = torch.where(turned, share / 2, share)
        state["sign"] = sign
        w -= option["lr"] * share * sign
