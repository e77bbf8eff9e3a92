"""Schedules: f(step, steps, …) is a number, with p = step / steps the progress of the stage."""

import math


def progress(step: int, steps: int) -> float:
    """p in 0 … 1."""
    return min(1.0, step / steps) if steps > 0 else 1.0


def constant_value(step: int, steps: int, number: float) -> float:
    """The number."""
    return number


def step_decay(step: int, steps: int, start: float, factor: float, every: int) -> float:
    """start · factor^⌊step / every⌋."""
    return start * bounded_power(factor, step // every)


def piecewise(step: int, steps: int, values: tuple[float, ...], until: tuple[int, ...]) -> float:
    """The value of the part of training that the step is in."""
    return values[sum(step >= end for end in until)]


def harmonic(step: int, steps: int, a: float, b: float, every: int) -> float:
    """a / (⌊step / every⌋ + b)."""
    return a / (step // every + b)


def cosine(step: int, steps: int, start: float, stop: float) -> float:
    """stop + (start − stop) · (1 + cos πp) / 2."""
    return stop + (start - stop) * (1 + math.cos(math.pi * progress(step, steps))) / 2


def linear_ramp(step: int, steps: int, start: float, stop: float, ramp_steps: int) -> float:
    """start + (stop − start) · p."""
    return start + (stop - start) * progress(step, ramp_steps or steps)


def sigmoid_ramp(
    step: int, steps: int, gamma: float, high: float, low: float, ramp_steps: int
) -> float:
    """low + (high − low) · (2 / (1 + exp(−γp)) − 1)."""
    p = progress(step, ramp_steps or steps)
    return low + (high - low) * (2 / (1 + math.exp(-gamma * p)) - 1)


def annealing(step: int, steps: int, start: float, alpha: float, beta: float) -> float:
    """start / (1 + alpha·p)^beta."""
    return start / (1 + alpha * progress(step, steps)) ** beta


def inverse(step: int, steps: int, start: float, gamma: float, power: float) -> float:
    """start · (1 + gamma·step)^(−power)."""
    return start * (1 + gamma * step) ** -power


def exponential(step: int, steps: int, start: float, factor: float, low: float) -> float:
    """max(low, start · factor^step)."""
    return max(low, start * bounded_power(factor, step))


def bounded_power(factor: float, count: int) -> float:
    """factor^count, at most 10³⁰⁰: a run should see a huge number, not an OverflowError."""
    if factor > 1 and count * math.log(factor) > 690:
        return 1e300
    return float(factor**count)
