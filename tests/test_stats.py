"""Statistics: hand-made numbers, textbook formulas, SciPy, and simulation."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from effcnn import stats
from effcnn.errors import UserError

A = [1.0, 2.0, 3.0, 4.0]  # mean 2.5, variance 5/3
B = [2.0, 4.0, 12.0]  # mean 6, variance 28
T3 = 3.182446305284263  # 97.5% point of Student's t with 3 degrees of freedom, from a table


def test_mean_by_hand():
    one = stats.mean(A)
    assert (one.value, one.n) == (2.5, 4)
    assert one.half == pytest.approx(T3 * math.sqrt(5 / 3) / 2)
    assert one.low == pytest.approx(2.5 - one.half)
    assert one.high == pytest.approx(2.5 + one.half)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_mean_is_scipys_interval(level):
    interval = scipy_stats.t.interval(level, 2, 6.0, scipy_stats.sem(B))
    assert (stats.mean(B, level).low, stats.mean(B, level).high) == pytest.approx(interval)


def test_prediction_by_hand():
    one = stats.prediction(A)
    assert one.value == 2.5
    assert one.half == pytest.approx(T3 * math.sqrt(5 / 3) * math.sqrt(5 / 4))


def test_prediction_covers_one_further_run():
    draws = np.random.default_rng(0).normal(86, 0.3, (4000, 5))
    inside = 0
    for *known, new in draws:
        one = stats.prediction(known)
        inside += one.low <= new <= one.high
    assert inside / len(draws) == pytest.approx(0.95, abs=0.015)


def test_difference_by_hand():
    gap = stats.difference(A, B)
    u, v = 5 / 3 / 4, 28 / 3  # squared standard errors
    freedom = (u + v) ** 2 / (u**2 / 3 + v**2 / 2)  # Welch and Satterthwaite
    assert gap.value == -3.5
    assert gap.n == (4, 3)
    assert gap.half == pytest.approx(scipy_stats.t.ppf(0.975, freedom) * math.sqrt(u + v))
    assert gap.p == pytest.approx(2 * scipy_stats.t.sf(3.5 / math.sqrt(u + v), freedom))


def test_difference_has_a_sign():
    there, back = stats.difference(A, B), stats.difference(B, A)
    assert (there.value, there.half, there.p) == pytest.approx((-back.value, back.half, back.p))
    assert stats.difference(A, A).p == pytest.approx(1)


def test_p_below_5_percent_is_an_interval_without_zero():
    rng = np.random.default_rng(0)
    verdicts = set()
    for _ in range(300):
        gap = stats.difference(rng.normal(0, 1, 3), rng.normal(2, 1, 4))
        assert (gap.p < 0.05) == (gap.high < 0 or gap.low > 0)
        verdicts.add(gap.p < 0.05)
    assert verdicts == {True, False}


@pytest.mark.parametrize(("a", "b"), [([1.0], A), (A, [1.0]), ([1.0], [2.0]), ([1, 1], [2, 2])])
def test_no_interval_without_spread(a, b):
    gap = stats.difference(a, b)
    assert gap.value == np.mean(a) - np.mean(b)
    assert math.isnan(gap.half)
    assert math.isnan(gap.p)
    assert gap.n == (len(a), len(b))


def test_one_run_has_no_interval():
    for one in (stats.mean([7]), stats.prediction([7])):
        assert one.value == 7
        assert math.isnan(one.half)
        assert math.isnan(one.low)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 1.0]])
@pytest.mark.parametrize(
    "function", [stats.mean, stats.prediction, lambda x: stats.difference(A, x)]
)
def test_numbers_that_are_none(function, values):
    with pytest.raises(UserError, match="at least one finite number"):
        function(values)


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 4 * .005, 3 * .01, 2 * .03, .04
        ([0.5, 0.9], [1, 1]),
        ([0.02], [0.02]),
        ([0.01, math.nan, 0.03], [0.02, math.nan, 0.03]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([], []),
    ],
)
def test_holm_by_hand(p, adjusted):
    assert stats.holm(p) == pytest.approx(adjusted, nan_ok=True)


def test_holm_keeps_false_alarms_rare():
    p = np.random.default_rng(0).uniform(size=(4000, 8))
    alarms = np.mean([(stats.holm(row) < 0.05).any() for row in p])
    assert alarms == pytest.approx(0.05, abs=0.012)
    # Between no correction and Bonferroni's.
    assert all(((row <= stats.holm(row)) & (stats.holm(row) <= 8 * row)).all() for row in p[:50])


@pytest.mark.parametrize(("n", "power"), [(2, 0.8), (3, 0.8), (5, 0.8), (5, 0.5), (20, 0.9)])
def test_resolvable_gap_is_found_that_often(n, power):
    gap = stats.resolvable(0.27, n, power)
    rng = np.random.default_rng(n)
    a, b = rng.normal(gap, 0.27, (20_000, n)), rng.normal(0, 0.27, (20_000, n))
    p = scipy_stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue
    assert (p < 0.05).mean() == pytest.approx(power, abs=0.015)


def test_resolvable_gap_scales():
    assert stats.resolvable(0.5, 5) == pytest.approx(5 * stats.resolvable(0.1, 5), rel=1e-4)
    assert stats.resolvable(0, 5) == 0
    gaps = [stats.resolvable(0.27, n) for n in (2, 3, 5, 10, 100)]
    assert gaps == sorted(gaps, reverse=True)
    # Many runs: the textbook's (1.96 + 0.84) * s * sqrt(2 / n).
    assert gaps[-1] == pytest.approx(2.8016 * 0.27 * math.sqrt(2 / 100), rel=0.01)
    assert math.isnan(stats.resolvable(0.27, 1))


def test_equivalence_by_two_one_sided_tests():
    """Against SciPy's one-sided Welch tests of the shifted samples."""
    rng = np.random.default_rng(0)
    said = set()
    for gap in (0.0, 0.1, 0.2):
        for margin in (0.05, 0.15, 0.3):
            a, b = rng.normal(gap, 0.1, 9), rng.normal(0, 0.2, 12)
            above = scipy_stats.ttest_ind(a + margin, b, equal_var=False, alternative="greater")
            below = scipy_stats.ttest_ind(a - margin, b, equal_var=False, alternative="less")
            expected = max(above.pvalue, below.pvalue) < 0.05
            assert stats.equivalent(a, b, margin) == expected
            said.add(bool(expected))
    assert said == {True, False}
    assert not stats.equivalent([1.0], [1.0], 10.0)


def test_prediction_of_a_mean_covers_it():
    """In 95 of 100 simulated cases; and for one run it is what it was."""
    rng = np.random.default_rng(0)
    known, more = rng.normal(size=(4000, 4)), rng.normal(size=(4000, 3)).mean(1)
    inside = [
        (p := stats.prediction(row, of=3)).low <= value <= p.high
        for row, value in zip(known, more, strict=True)
    ]
    assert 0.94 < np.mean(inside) < 0.96
    assert stats.prediction(known[0]) == stats.prediction(known[0], of=1)
