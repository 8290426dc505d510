"""Bootstrap intervals hold what they promise, and differences are told from chance."""

import numpy as np
import pytest

from editar_cli.benchmarks.statistics import bootstrap_mean, paired_difference


def test_a_mean_leaves_out_what_could_not_be_computed_and_counts_it():
    found = bootstrap_mean([1.0, None, 3.0, float("nan")])
    assert (found.mean, found.count, found.missing) == (2.0, 2, 2)
    assert 1.0 <= found.low <= 2.0 <= found.high <= 3.0
    nothing = bootstrap_mean([None])
    assert (nothing.mean, nothing.low, nothing.count, nothing.missing) == (None, None, 0, 1)
    assert bootstrap_mean([float("inf"), 1.0]).mean == float("inf")
    assert bootstrap_mean([2.0]).low is None


def test_intervals_are_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = bootstrap_mean(values.tolist())
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_intervals_hold_the_truth_in_about_nineteen_of_twenty_cases():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        found = bootstrap_mean(rng.normal(0, 1, 60).tolist())
        held += found.low <= 0 <= found.high
    assert 87 <= held <= 100


def test_pairs_find_a_difference_that_means_alone_would_not():
    rng = np.random.default_rng(2)
    hard = rng.normal(0, 10, 50)
    first = {f"{i}.png": value for i, value in enumerate(hard)}
    second = {f"{i}.png": v + 0.5 + rng.normal(0, 0.3) for i, v in enumerate(hard)}
    found = paired_difference(first, second)
    assert found.real
    assert found.mean == pytest.approx(0.5, abs=0.15)
    other = {f"{i}.png": v + rng.normal(0, 0.3) for i, v in enumerate(hard)}
    assert not paired_difference(first, other).real


def test_pictures_of_one_run_alone_do_not_count():
    first = {"a": 1.0, "b": None, "c": 3.0, "d": float("inf")}
    found = paired_difference(first, {"a": 2.0, "b": 1.0, "e": 5.0, "d": 1.0})
    assert (found.mean, found.pairs, found.real) == (1.0, 1, False)
    assert paired_difference({}, first).mean is None


def test_the_same_values_in_another_order_give_the_same_interval():
    first = {name: float(i) for i, name in enumerate("abcdef")}
    second = {name: value**2 for name, value in first.items()}
    backwards = dict(reversed(second.items()))
    assert paired_difference(first, second) == paired_difference(first, backwards)
