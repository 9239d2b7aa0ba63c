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


def test_what_rounds_to_zero_has_no_minus():
    assert stats.Estimate(-0.004, 0.1, 3).text("+") == "+0.00 ± 0.10"
    assert stats.Estimate(-0.004, math.nan, 1).text() == "0.00"
    assert stats.Estimate(-0.006, 0.1, 3).text("+") == "−0.01 ± 0.10"


def test_equal_runs_have_no_interval_and_say_why():
    equal = [98.1] * 3  # NumPy gives them a spread of 1e-14
    assert np.std(equal, ddof=1) > 0
    assert stats.spread(equal) == 0
    for one in (stats.mean(equal), stats.prediction(equal), stats.difference(equal, equal)):
        assert math.isnan(one.half)
        assert one.lacks == "no spread"
        assert "±" not in one.text()
    assert math.isnan(stats.luck(equal))
    assert (stats.mean([7]).lacks, stats.difference([7], A).lacks) == ("one run", "one run")
    assert (stats.mean(A).lacks, stats.difference(equal, A).lacks) == ("", "")


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 1.0]])
@pytest.mark.parametrize(
    "function",
    [
        *(stats.mean, stats.prediction),
        *(lambda x: stats.difference(A, x), lambda x: stats.single_difference(x, A)),
        *(lambda x: stats.luck(A, x), lambda x: stats.best_by_luck(x, 9)),
    ],
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


@pytest.mark.parametrize("sizes", [(3, 10), (10, 3), (5, 10)])
def test_resolvable_gap_of_unequal_numbers_is_found_that_often(sizes):
    gap = stats.resolvable(0.27, sizes)
    rng = np.random.default_rng(1)
    a, b = (rng.normal(mean, 0.27, (20_000, n)) for mean, n in zip((gap, 0), sizes, strict=True))
    p = scipy_stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.015)
    assert stats.resolvable(0.27, max(sizes)) < gap < stats.resolvable(0.27, min(sizes))
    assert stats.resolvable(0.27, (5, 5)) == stats.resolvable(0.27, 5)
    assert math.isnan(stats.resolvable(0.27, (1, 10)))


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


def test_luck_of_two_recipes_covers_their_single_runs():
    """In 95 of 100 simulated cases; the recipes scatter differently, their true means are equal."""
    rng = np.random.default_rng(0)
    apart = []
    for _ in range(4000):
        reach = stats.luck(rng.normal(0, 1, 8), rng.normal(0, 3, 5))
        apart.append(abs(rng.normal(0, 1) - rng.normal(0, 3)) <= reach)
    assert 0.935 < np.mean(apart) < 0.965
    u, v = 5 / 3, 28.0  # the variances of A and B
    freedom = (u + v) ** 2 / (u**2 / 3 + v**2 / 2)
    expected = scipy_stats.t.ppf(0.975, freedom) * math.sqrt(u + v)
    assert stats.luck(A, B) == stats.luck(B, A) == pytest.approx(expected)
    assert stats.luck(A) == pytest.approx(T3 * math.sqrt(5 / 3) * math.sqrt(2))
    assert math.isnan(stats.luck(A, [1.0]))


def test_single_differences_have_no_p_of_the_means():
    assert math.isnan(stats.single_difference(A, B).p)
    assert stats.single_difference(A, B).value == stats.difference(A, B).value


def test_the_best_of_techniques_that_do_nothing():
    """Against the exact distribution for a spread that is known well: one baseline for all."""
    many = np.random.default_rng(1).normal(80, 1, 4000)
    best = stats.best_by_luck(many, 9) / stats.spread(many)
    base = np.linspace(-8, 8, 4001)
    for gain in (0.5, 1.5, 3.0):
        inside = scipy_stats.norm.cdf(base + gain) ** 9 * scipy_stats.norm.pdf(base)
        assert (best <= gain).mean() == pytest.approx(np.trapezoid(inside, base), abs=0.01)
    assert np.median(stats.best_by_luck(many, 20)) > np.median(stats.best_by_luck(many, 9))
    # One gain is the difference of two single runs, and few runs know the spread badly.
    assert np.quantile(stats.best_by_luck(A, 1), 0.975) == pytest.approx(stats.luck(A), rel=0.03)
    assert np.isnan(stats.best_by_luck([5.0, 5.0], 9)).all()
    assert np.isnan(stats.best_by_luck([5.0], 9)).all()
