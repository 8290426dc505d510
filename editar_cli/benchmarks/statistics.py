"""Means with their uncertainty, and whether two runs really differ.

Bootstrap (Efron 1979): pictures are drawn again and again with replacement, and what varies between
the draws is how far a figure could have come out otherwise with other pictures of the same kind.
Where several values come from one photograph, it is photographs that are drawn, with all of theirs.

Sign-flip test (Fisher 1935): if two runs do not differ, each pair's difference could as well have
had the other sign; p is the share of sign patterns whose mean is at least as far from 0. Of many
comparisons some come out by chance; Holm's adjustment (1979) keeps the chance that any of them is
called real without being so at 1 - ``LEVEL``.

Values that could not be computed are ``None`` and left out, and counted by whoever asks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
LEVEL = 0.95

EXACT_PAIRS = 14
"""Up to so many pairs all sign patterns are tried; beyond, patterns are drawn."""

FLIPS = 100_000
"""Drawn sign patterns: the smallest p is one in so many, small enough to pass among thousands."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over pictures.

    Args:
        mean: of the values there are; ``None`` where there is none.
        low, high: bounds of the 95 % bootstrap interval (percentiles); ``None`` under two values,
            or under two units where values come in units.
        count: how many values there are.
        missing: how many there are not.
    """

    mean: float | None
    low: float | None
    high: float | None
    count: int
    missing: int


def bootstrap_mean(
    values: Sequence[float | None], *, units: Sequence[str] | None = None, seed: int = 0
) -> Mean:
    """The mean of values with its interval; infinite ones make the mean infinite.

    Args:
        values: of pictures; ``None`` and NaN are counted as missing.
        units: what each value belongs to, such as its photograph; by default each stands alone.
        seed: of the draws.
    """
    names = [str(number) for number in range(len(values))] if units is None else units
    pairs = [
        (value, name)
        for value, name in zip(values, names, strict=True)
        if value is not None and not np.isnan(value)
    ]
    there = np.array([value for value, _ in pairs])
    missing = len(values) - len(there)
    if not len(there):
        return Mean(mean=None, low=None, high=None, count=0, missing=missing)
    mean = float(there.mean())
    units_there = [name for _, name in pairs]
    if len(set(units_there)) < 2 or not np.isfinite(there).all():
        return Mean(mean=mean, low=None, high=None, count=len(there), missing=missing)
    low, high = _interval(there, units_there, seed)
    return Mean(mean=mean, low=low, high=high, count=len(there), missing=missing)


def bootstrap_statistic(
    count: int,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    missing: int = 0,
    seed: int = 0,
) -> Mean:
    """A figure of all pictures together, such as a quotient of sums, with its interval.

    Args:
        count: pictures.
        statistic: (D, count) how often each picture is drawn -> (D,) the figure of each draw.
        missing: pictures that it could not be computed of.
        seed: of the draws.
    """
    if not count:
        return Mean(mean=None, low=None, high=None, count=0, missing=missing)
    mean = float(statistic(np.ones((1, count)))[0])
    if np.isnan(mean):
        return Mean(mean=None, low=None, high=None, count=0, missing=count + missing)
    if count < 2:
        return Mean(mean=mean, low=None, high=None, count=count, missing=missing)
    rng = np.random.default_rng(seed)
    step = max(1, 2_000_000 // count)
    found = [
        statistic(
            rng.multinomial(count, np.full(count, 1 / count), min(step, DRAWS - start)).astype(
                np.float64
            )
        )
        for start in range(0, DRAWS, step)
    ]
    low, high = np.nanquantile(np.concatenate(found), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Mean(mean=mean, low=float(low), high=float(high), count=count, missing=missing)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A second run's mean less the first's, over the pictures that both have.

    Args:
        mean: of the differences of pairs; ``None`` where there are no pairs.
        low, high: of its 95 % bootstrap interval; ``None`` under two pairs or units.
        pairs: how many pictures both have a value for.
        p: of the sign-flip test; ``None`` without pairs. Where it is one of several comparisons,
            adjusted for them.
    """

    mean: float | None
    low: float | None
    high: float | None
    pairs: int
    p: float | None

    @property
    def real(self) -> bool:
        """Whether the interval leaves 0 out and chance does not explain it either.

        The interval speaks of other photographs, the test of other draws of the same.
        """
        if self.low is None or self.high is None or self.p is None:
            return False
        return not self.low <= 0 <= self.high and self.p < 1 - LEVEL


def paired_difference(
    first: Mapping[str, float | None],
    second: Mapping[str, float | None],
    *,
    units: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Difference:
    """Compare two runs picture by picture; values are by the pictures' names.

    Args:
        first, second: the runs.
        units: what each picture belongs to, such as its photograph; by default each stands alone.
        seed: of the draws.
    """
    pairs = []
    for name in first.keys() & second.keys():
        before, after = first[name], second[name]
        if before is not None and after is not None and np.isfinite([before, after]).all():
            pairs.append((name, after - before))
    # In one order, so that the draws are the same every time.
    pairs.sort()
    differences = np.array([value for _, value in pairs])
    belongs = [name if units is None else units[name] for name, _ in pairs]
    low, high = _interval(differences, belongs, seed) if len(set(belongs)) > 1 else (None, None)
    return Difference(
        mean=float(differences.mean()) if pairs else None,
        low=low,
        high=high,
        pairs=len(pairs),
        p=sign_flip_p(differences, seed=seed) if pairs else None,
    )


def sign_flip_p(differences: Values, *, seed: int = 0) -> float:
    """The two-sided p of the sign-flip test of paired differences, (n,) with n at least 1.

    Exact up to ``EXACT_PAIRS`` pairs; beyond, estimated from drawn patterns, the observed one
    counted among them (Phipson and Smyth 2010), so that it is never 0.
    """
    count = len(differences)
    # Sums that are equal but for rounding count as equal.
    bar = abs(float(differences.sum())) * (1 - 1e-12)
    if count <= EXACT_PAIRS:
        patterns = np.arange(2**count)[:, None] >> np.arange(count) & 1
        return float((np.abs((2 * patterns - 1) @ differences) >= bar).mean())
    rng = np.random.default_rng(seed)
    beyond = done = 0
    # What is no surprise shows in the first part: more draws only make small p exact.
    while done < FLIPS and beyond < 500:
        signs = 2 * rng.integers(0, 2, size=(FLIPS // 20, count), dtype=np.int8) - 1
        beyond += int((np.abs(signs @ differences) >= bar).sum())
        done += len(signs)
    return (beyond + 1) / (done + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p of several comparisons adjusted by Holm's step-down method, in the same order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def least_pairs(comparisons: int) -> int:
    """How many pairs are needed at least for one of several comparisons to be called real.

    All n differences with one sign have p = 2^(1 - n), which Holm multiplies by their number.
    """
    pairs = 2
    while comparisons * 2.0 ** (1 - pairs) >= 1 - LEVEL:
        pairs += 1
    return pairs


def _interval(values: Values, units: Sequence[str], seed: int) -> tuple[float, float]:
    """Percentile interval of the mean when units are drawn with all their values."""
    places = {name: place for place, name in enumerate(dict.fromkeys(units))}
    of = np.array([places[name] for name in units])
    sums = np.bincount(of, weights=values)
    counts = np.bincount(of)
    rng = np.random.default_rng(seed)
    means = np.empty(DRAWS)
    # In parts: ten thousand draws of ten thousand pictures do not fit into memory at once.
    step = max(1, 2_000_000 // len(sums))
    for start in range(0, DRAWS, step):
        size = min(step, DRAWS - start)
        drawn = rng.integers(len(sums), size=(size, len(sums)))
        means[start : start + size] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
