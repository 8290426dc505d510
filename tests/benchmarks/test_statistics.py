"""Bootstrap intervals hold what they promise, and differences are told from chance."""

import numpy as np
import pytest

from editar_cli.benchmarks.statistics import (
    EXACT_PAIRS,
    bootstrap_mean,
    holm,
    least_pairs,
    paired_difference,
    sign_flip_p,
)


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


def test_values_of_one_photograph_are_drawn_together():
    # Ten photographs of twenty equal values each know no more than ten values.
    values = [float(photo) for photo in range(10) for _ in range(20)]
    units = [str(photo) for photo in range(10) for _ in range(20)]
    apart, together = bootstrap_mean(values), bootstrap_mean(values, units=units)
    alone = bootstrap_mean([float(photo) for photo in range(10)])
    assert together.mean == apart.mean == alone.mean
    assert (together.low, together.high) == (alone.low, alone.high)
    assert apart.high - apart.low < (together.high - together.low) / 3
    assert bootstrap_mean([1.0, 2.0], units=["a", "a"]).low is None


def test_differences_of_one_photograph_are_drawn_together():
    shift = {"a": 3.0, "b": -1.0, "c": 2.0}
    names = [f"{photo} {i}" for photo in shift for i in range(30)]
    units = {name: name[0] for name in names}
    first = dict.fromkeys(names, 0.0)
    second = {name: shift[name[0]] for name in names}
    assert paired_difference(first, second).real
    # All say the same of three photographs, and one of the three has it the other way round.
    found = paired_difference(first, second, units=units)
    assert (found.low, found.high, found.real) == (-1.0, 3.0, False)


def test_the_sign_flip_test_is_exact_for_few_pairs():
    # Of 2^n patterns two have all signs alike.
    assert sign_flip_p(np.full(6, 0.3)) == 2 / 64
    # |sum| of 1, 2, 3 is 6 in 2 of 8 patterns and 4 or more in 4.
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert sign_flip_p(np.array([-1.0, 2.0, 3.0])) == 4 / 8
    assert sign_flip_p(np.zeros(5)) == 1.0


def test_drawn_patterns_agree_with_the_normal_approximation():
    differences = np.random.default_rng(5).normal(0.25, 1, 200)
    z = abs(differences.sum()) / np.sqrt((differences**2).sum())
    # Two-sided tail of the standard normal distribution.
    from math import erfc

    assert sign_flip_p(differences) == pytest.approx(erfc(z / 2**0.5), rel=0.2)
    sure = sign_flip_p(np.ones(EXACT_PAIRS + 20))
    assert 0 < sure < 2e-5


def test_the_sign_flip_test_is_wrong_once_in_twenty():
    rng = np.random.default_rng(6)
    wrong = sum(sign_flip_p(rng.normal(0, 1, 12)) < 0.05 for _ in range(200))
    assert 2 <= wrong <= 20


def test_holm_multiplies_by_what_is_left_and_keeps_the_order():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_so_many_pairs_are_needed_for_a_verdict_among_comparisons():
    assert least_pairs(1) == 6  # 2 / 64 < 0.05 <= 2 / 32
    assert least_pairs(100) == 12
    assert holm([sign_flip_p(np.ones(12))] * 100)[0] < 0.05
    assert holm([sign_flip_p(np.ones(11))] * 100)[0] >= 0.05


def test_of_many_comparisons_without_a_difference_any_is_called_real_once_in_twenty():
    rng = np.random.default_rng(8)
    any_raw = any_adjusted = 0
    for _ in range(40):
        p_values = [sign_flip_p(rng.normal(0, 1, 12)) for _ in range(30)]
        any_raw += min(p_values) < 0.05
        any_adjusted += min(holm(p_values)) < 0.05
    assert any_raw > 20
    assert any_adjusted <= 5
