"""Means with their uncertainty, and whether two runs really differ.

Bootstrap (Efron 1979): pictures are drawn again and again with replacement, and what varies between
the draws is how far a figure could have come out otherwise with other pictures of the same kind.
Values that could not be computed are ``None`` and left out, and counted by whoever asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over pictures.

    Args:
        mean: of the values there are; ``None`` where there is none.
        low, high: bounds of the 95 % bootstrap interval (percentiles); ``None`` under two values.
        count: how many values there are.
        missing: how many there are not.
    """

    mean: float | None
    low: float | None
    high: float | None
    count: int
    missing: int


def bootstrap_mean(values: Sequence[float | None], *, seed: int = 0) -> Mean:
    """The mean of values with its interval; infinite ones make the mean infinite."""
    there = np.array([value for value in values if value is not None and not np.isnan(value)])
    missing = len(values) - len(there)
    if not len(there):
        return Mean(mean=None, low=None, high=None, count=0, missing=missing)
    mean = float(there.mean())
    if len(there) < 2 or not np.isfinite(there).all():
        return Mean(mean=mean, low=None, high=None, count=len(there), missing=missing)
    low, high = _interval(there, seed)
    return Mean(mean=mean, low=low, high=high, count=len(there), missing=missing)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A second run's mean less the first's, over the pictures that both have.

    Args:
        mean: of the differences of pairs; ``None`` where there are no pairs.
        low, high: of its 95 % bootstrap interval; ``None`` under two pairs.
        pairs: how many pictures both have a value for.
    """

    mean: float | None
    low: float | None
    high: float | None
    pairs: int

    @property
    def real(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def paired_difference(
    first: Mapping[str, float | None], second: Mapping[str, float | None], *, seed: int = 0
) -> Difference:
    """Compare two runs picture by picture; values are by the pictures' names."""
    pairs = []
    for name in first.keys() & second.keys():
        before, after = first[name], second[name]
        if before is not None and after is not None and np.isfinite([before, after]).all():
            pairs.append((name, after - before))
    # In one order, so that the draws are the same every time.
    differences = np.array([value for _, value in sorted(pairs)])
    if len(differences) < 2:
        mean = float(differences.mean()) if len(differences) else None
        return Difference(mean=mean, low=None, high=None, pairs=len(differences))
    low, high = _interval(differences, seed)
    return Difference(mean=float(differences.mean()), low=low, high=high, pairs=len(differences))


def _interval(
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]", seed: int
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    means = np.empty(DRAWS)
    # In parts: ten thousand draws of ten thousand pictures do not fit into memory at once.
    step = max(1, 2_000_000 // len(values))
    for start in range(0, DRAWS, step):
        count = min(step, DRAWS - start)
        drawn = rng.integers(len(values), size=(count, len(values)))
        means[start : start + count] = values[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
