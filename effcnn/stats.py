"""Means with intervals, differences with intervals, and what a number of seeds can resolve.

Every function takes plain numbers, one per run (in percent, say), and needs at least two of them
for an interval: with one run the interval is `nan`, never zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from effcnn.errors import UserError


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means, with the half-width of its interval."""

    value: float
    half: float  # nan for a single run
    n: int | tuple[int, ...]
    p: float = math.nan  # two-sided, of no difference

    def text(self, sign: str = "") -> str:
        """`98.71 ± 0.12`, or `98.71` without an interval; `sign="+"` writes `+0.10` and `−0.10`."""
        interval = "" if math.isnan(self.half) else f" ± {self.half:.2f}"
        return f"{self.value:{sign}.2f}{interval}".replace("-", "−")

    @property
    def low(self) -> float:
        return self.value - self.half

    @property
    def high(self) -> float:
        return self.value + self.half


def mean(values: Sequence[float], level: float = 0.95) -> Estimate:
    """The mean with its t interval: half-width t(n-1) * s / sqrt(n)."""
    x = _numbers(values)
    return Estimate(x.mean(), _half(x, 1 / len(x), level), len(x))


def prediction(values: Sequence[float], level: float = 0.95, *, of: int = 1) -> Estimate:
    """Where the mean of `of` further runs would fall: half-width t(n-1) * s * sqrt(1/of + 1/n).

    A single published number agrees with our runs if it lies in this interval for one run.
    """
    x = _numbers(values)
    return Estimate(x.mean(), _half(x, 1 / of + 1 / len(x), level), len(x))


def spread(values: Sequence[float]) -> float:
    """The standard deviation between runs (n - 1 below); nan for a single one."""
    x = _numbers(values)
    return float(x.std(ddof=1)) if len(x) > 1 else math.nan


def luck(values: Sequence[float], level: float = 0.95) -> float:
    """How far apart two further runs of this recipe may fall by luck: t(n-1) * s * sqrt(2)."""
    return _half(_numbers(values), 2, level)


def single_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Estimate:
    """Where one further run of `a` minus one further run of `b` would fall (Welch's freedom)."""
    x, y = _numbers(a), _numbers(b)
    gap, n = float(x.mean() - y.mean()), (len(x), len(y))
    if min(n) < 2:
        return Estimate(gap, math.nan, n)
    parts = [z.var(ddof=1) * (1 + 1 / len(z)) for z in (x, y)]
    if not (both := sum(parts)):
        return Estimate(gap, math.nan, n)
    freedom = both**2 / sum(part**2 / (k - 1) for part, k in zip(parts, n, strict=True))
    return Estimate(gap, float(stats.t.ppf((1 + level) / 2, freedom) * math.sqrt(both)), n)


def difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Estimate:
    """The mean of `a` minus the mean of `b`, with Welch's interval and p-value."""
    x, y = _numbers(a), _numbers(b)
    gap, n = float(x.mean() - y.mean()), (len(x), len(y))
    if min(n) < 2:
        return Estimate(gap, math.nan, n)
    variances = x.var(ddof=1) / n[0], y.var(ddof=1) / n[1]
    both = sum(variances)
    if both == 0:
        return Estimate(gap, math.nan, n)
    freedom = both**2 / sum(v**2 / (k - 1) for v, k in zip(variances, n, strict=True))
    reach = stats.t.ppf((1 + level) / 2, freedom)
    p = 2 * stats.t.sf(abs(gap) / math.sqrt(both), freedom)
    return Estimate(gap, float(reach * math.sqrt(both)), n, float(p))


def equivalent(a: Sequence[float], b: Sequence[float], margin: float) -> bool:
    """Whether two one-sided 5% tests (TOST) say that the means differ by less than `margin`.

    That is, Welch's 90% interval of the difference lies within it. False for single runs.
    """
    gap = difference(a, b, level=0.9)
    return -margin < gap.low and gap.high < margin


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's correction: p-values adjusted for being looked at together; `nan` stays `nan`."""
    p = np.asarray(p, float)
    adjusted = np.full(len(p), math.nan)
    order = [i for i in np.argsort(p) if not math.isnan(p[i])]
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


def resolvable(spread: float, n: int, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest true difference of two cells that Welch's test of n runs each finds this often.

    Simulated with fixed draws: with few runs Welch's test finds less than the textbook formula,
    which is the pooled test's, promises. Good to about 1%.

    Args:
        spread: standard deviation between seeds, the same in both cells.
        n: runs per cell, at least 2; `nan` for one.
    """
    if n < 2:
        return math.nan
    a, b = np.random.default_rng(0).normal(size=(2, 40_000, n))
    variances = a.var(1, ddof=1) / n, b.var(1, ddof=1) / n
    both = sum(variances)
    freedom = both**2 * (n - 1) / sum(variance**2 for variance in variances)
    reach = stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(both)
    # A true gap is found where gap + noise > reach, so the gap is a quantile of reach - noise.
    return spread * float(np.quantile(reach - (a.mean(1) - b.mean(1)), power))


def _numbers(values: Sequence[float]) -> np.ndarray:
    """An array of at least one finite number, or an error that says what came instead."""
    x = np.asarray(list(values), float)
    if len(x) == 0 or not np.isfinite(x).all():
        raise UserError(f"statistics need at least one finite number; these are {x.tolist()}")
    return x


def _half(x: np.ndarray, factor: float, level: float) -> float:
    """Half-width of a t interval with variance `factor` times that of one run."""
    if len(x) < 2:
        return math.nan
    reach = stats.t.ppf((1 + level) / 2, len(x) - 1)
    return float(reach * x.std(ddof=1) * math.sqrt(factor))


def contrast(
    groups: Sequence[Sequence[float]], weights: Sequence[float], level: float = 0.95
) -> Estimate:
    """The sum of weights times the means of `groups`, with Welch and Satterthwaite's interval.

    `contrast([a, b], [1, -1])` is `difference(a, b)`. What two techniques gain together beyond the
    sum of their single gains is `contrast([both, one, other, base], [1, -1, -1, 1])`: the baseline
    stands in it once, with all its error. A group of weight 0 does not count.
    """
    used = [(w, _numbers(x)) for x, w in zip(groups, weights, strict=True) if w]
    value, n = float(sum(w * x.mean() for w, x in used)), tuple(len(x) for _, x in used)
    if not used or min(n) < 2:
        return Estimate(value, math.nan, n)
    parts = [w**2 * x.var(ddof=1) / len(x) for w, x in used]
    if not (total := sum(parts)):
        return Estimate(value, math.nan, n)
    freedom = total**2 / sum(part**2 / (k - 1) for part, k in zip(parts, n, strict=True))
    reach = stats.t.ppf((1 + level) / 2, freedom)
    p = 2 * stats.t.sf(abs(value) / math.sqrt(total), freedom)
    return Estimate(value, float(reach * math.sqrt(total)), n, float(p))
