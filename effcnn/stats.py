"""Means with intervals, differences with intervals, and what a number of seeds can resolve.

Every function takes plain numbers, one per run (in percent, say). One run has no interval, and
runs that are all equal have none either: its half-width is `nan`, never zero, because a spread that
no run shows is not known to be none. `Estimate.lacks` says which of the two it is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from effcnn.errors import UserError


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means, with the half-width of its interval."""

    value: float
    half: float  # nan where there is none
    n: int | tuple[int, ...]
    p: float = math.nan  # two-sided, of no difference

    def text(self, sign: str = "") -> str:
        """`98.71 ± 0.12`, or `98.71` without an interval; `sign="+"` writes `+0.10` and `−0.10`."""
        interval = "" if math.isnan(self.half) else f" ± {self.half:.2f}"
        value = round(float(self.value), 2) + 0.0  # never -0.00
        return f"{value:{sign}.2f}{interval}".replace("-", "−")

    @property
    def lacks(self) -> str:
        """Why there is no interval: `one run`, or `no spread` between runs; empty if there is."""
        if not math.isnan(self.half):
            return ""
        fewest = min(self.n) if isinstance(self.n, tuple) else self.n
        return "one run" if fewest == 1 else "no spread"

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
    if len(x) < 2:
        return math.nan
    # Of equal numbers NumPy's mean may be off by a rounding, and then they seem to differ.
    return float(x.std(ddof=1)) if x.min() < x.max() else 0.0


def luck(
    values: Sequence[float], others: Sequence[float] | None = None, level: float = 0.95
) -> float:
    """How far apart two further runs may fall by luck alone, if their true means are the same.

    Of one recipe: t(n-1) * s * sqrt(2). With the runs of another recipe as `others`, one run of
    each: t * sqrt(s1^2 + s2^2), with Welch's freedom.
    """
    if others is None:
        return _half(_numbers(values), 2, level)
    return _single(values, others, lambda n: 1, level).half


def single_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Estimate:
    """Where one further run of `a` minus one further run of `b` would fall (Welch's freedom)."""
    return replace(_single(a, b, lambda n: 1 + 1 / n, level), p=math.nan)


def difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Estimate:
    """The mean of `a` minus the mean of `b`, with Welch's interval and p-value."""
    return contrast([a, b], [1, -1], level)


def contrast(
    groups: Sequence[Sequence[float]], weights: Sequence[float], level: float = 0.95
) -> Estimate:
    """The sum of weights times the means of `groups`, with Welch and Satterthwaite's interval.

    What two techniques gain together beyond the sum of their single gains is
    `contrast([both, one, other, base], [1, -1, -1, 1])`: the baseline stands in it once, with all
    its error. A group of weight 0 does not count.
    """
    used = [(w, _numbers(x)) for x, w in zip(groups, weights, strict=True) if w]
    value = float(sum(w * x.mean() for w, x in used))
    parts = [w**2 * spread(x) ** 2 / len(x) for w, x in used]
    return _welch(value, parts, tuple(len(x) for _, x in used), level)


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


def resolvable(
    spread: float, n: int | tuple[int, int], power: float = 0.8, level: float = 0.95
) -> float:
    """The smallest true difference of two cells that Welch's test finds this often.

    Simulated with fixed draws: with few runs Welch's test finds less than the textbook formula,
    which is the pooled test's, promises. Good to about 1%.

    Args:
        spread: standard deviation between seeds, the same in both cells.
        n: runs in each cell, or in the one and the other; at least 2, else the answer is `nan`.
    """
    sizes = n if isinstance(n, tuple) else (n, n)
    if min(sizes) < 2:
        return math.nan
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(40_000, size)) for size in sizes)
    variances = [x.var(1, ddof=1) / size for x, size in zip((a, b), sizes, strict=True)]
    freedom = _freedom(variances, sizes)
    reach = stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(sum(variances))
    # A true gap is found where gap + noise > reach, so the gap is a quantile of reach - noise.
    return spread * float(np.quantile(reach - (a.mean(1) - b.mean(1)), power))


def best_by_luck(values: Sequence[float], tried: int, draws: int = 40_000) -> np.ndarray:
    """The largest of `tried` gains that do nothing: single runs over one single baseline run.

    Simulated with fixed draws, normal, with the spread of `values`. How badly these few runs know
    it counts too: each draw takes a spread of its own, from what they leave open.

    Returns: the largest gain of each draw; all `nan` where the runs show no spread.
    """
    rng, n = np.random.default_rng(0), len(_numbers(values))
    runs = rng.normal(size=(draws, tried + 1))
    gains = runs[:, 1:].max(1) - runs[:, 0]
    if n < 2 or not spread(values):
        return np.full(draws, math.nan)
    return gains * spread(values) * np.sqrt((n - 1) / rng.chisquare(n - 1, draws))


def _numbers(values: Sequence[float]) -> np.ndarray:
    """An array of at least one finite number, or an error that says what came instead."""
    x = np.asarray(list(values), float)
    if len(x) == 0 or not np.isfinite(x).all():
        raise UserError(f"statistics need at least one finite number; these are {x.tolist()}")
    return x


def _single(
    a: Sequence[float], b: Sequence[float], share: Callable[[int], float], level: float
) -> Estimate:
    """The difference of the means, where so much of the variance between n runs counts, by n."""
    x, y = _numbers(a), _numbers(b)
    parts = [share(len(z)) * spread(z) ** 2 for z in (x, y)]
    return _welch(float(x.mean() - y.mean()), parts, (len(x), len(y)), level)


def _welch(value: float, parts: Sequence[float], n: tuple[int, ...], level: float) -> Estimate:
    """A sum of means with its interval and p-value, from the variance that each group adds."""
    if not n or min(n) < 2 or not (deviation := math.sqrt(sum(parts))):
        return Estimate(value, math.nan, n)
    freedom = _freedom(parts, n)
    reach = float(stats.t.ppf((1 + level) / 2, freedom))
    p = float(2 * stats.t.sf(abs(value) / deviation, freedom))
    return Estimate(value, reach * deviation, n, p)


def _freedom(parts, n):
    """Degrees of freedom of a sum of variances, by Welch and Satterthwaite."""
    return sum(parts) ** 2 / sum(part**2 / (k - 1) for part, k in zip(parts, n, strict=True))


def _half(x: np.ndarray, factor: float, level: float) -> float:
    """Half-width of a t interval with variance `factor` times that of one run."""
    if len(x) < 2 or not (deviation := spread(x)):
        return math.nan
    reach = stats.t.ppf((1 + level) / 2, len(x) - 1)
    return float(reach * deviation * math.sqrt(factor))
