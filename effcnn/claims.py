"""The paper's claims on accuracy, in our own words, judged by our runs.

A claim that one cell beats another is *reproduced* where the difference of the means has the
claim's sign and is resolved (its p-value, after Holm's correction for all claims, is below 0.05),
and the paper's difference lies where our runs predict that of two single further runs. Without
the latter it is *direction only*; unresolved, or with the other sign, it is *not reproduced*.
A claim that two cells are equal, or that one is not worse, is held against a margin, because no
number of runs shows a difference to be zero.
"""

import math
from dataclasses import dataclass

import pandas as pd

from effcnn import paper, stats
from effcnn.chapter import Number, origin
from effcnn.gains import HALF, RESOLVED
from effcnn.results import Run, accuracies

VERDICTS = ("reproduced", "direction only", "not reproduced", "not testable")
# What counts as equal, in points: less than a seed scatters.
MARGIN = {"mnist": 0.1, "cifar10": 0.5}

Runs = dict[str, list[Run]]  # by cell: table-4/mnist-bp


@dataclass(frozen=True)
class Finding:
    """What our runs say of a claim."""

    verdict: str
    reason: str
    number: Number | str = ""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: where it stands, and what it says in our words."""

    section: str
    text: str

    def pair(self) -> tuple[str, str] | None:
        """The two cells whose difference carries the claim, if one does."""
        return None

    def judge(self, runs: Runs, p: float) -> Finding:
        """What our runs say, with the p-value of the pair after correction."""
        raise NotImplementedError


@dataclass(frozen=True)
class Better(Claim):
    """The first cell beats the second one."""

    one: str
    two: str

    def pair(self) -> tuple[str, str]:
        return self.one, self.two

    def judge(self, runs: Runs, p: float) -> Finding:
        a, b = accuracies(runs[self.one]), accuracies(runs[self.two])
        number = _difference(runs, self.one, self.two)
        if not p < RESOLVED:
            return Finding("not reproduced", "the difference is not resolved", number)
        if stats.mean(a).value < stats.mean(b).value:
            return Finding("not reproduced", "the difference has the other sign", number)
        theirs = _papers(self.one, self.two)
        expected = stats.single_difference(a, b)
        if theirs is None or not expected.low <= theirs <= expected.high:
            return Finding("direction only", "its size differs", number)
        return Finding("reproduced", "sign and size agree", number)


@dataclass(frozen=True)
class NotWorse(Claim):
    """The first cell is at most the margin below the second one."""

    one: str
    two: str

    def judge(self, runs: Runs, p: float) -> Finding:
        gap = stats.difference(accuracies(runs[self.one]), accuracies(runs[self.two]))
        number, margin = _difference(runs, self.one, self.two), _margin(runs[self.one])
        if gap.low > -margin:
            return Finding("reproduced", f"at most {margin} points worse", number)
        if gap.high < 0:
            return Finding("not reproduced", "it is worse", number)
        return Finding("not testable", f"these runs do not exclude a loss of {margin}", number)


@dataclass(frozen=True)
class Equal(Claim):
    """The two cells are less than the margin apart."""

    one: str
    two: str

    def judge(self, runs: Runs, p: float) -> Finding:
        a, b = accuracies(runs[self.one]), accuracies(runs[self.two])
        gap, margin = stats.difference(a, b), _margin(runs[self.one])
        number = _difference(runs, self.one, self.two)
        if stats.equivalent(a, b, margin):
            return Finding("reproduced", f"less than {margin} points apart", number)
        if gap.low > 0 or gap.high < 0:
            return Finding("not reproduced", "they differ", number)
        return Finding("not testable", f"these runs do not exclude a gap of {margin}", number)


@dataclass(frozen=True)
class Leads(Claim):
    """These techniques are the best of Table 4 on a data set, in any order."""

    dataset: str
    names: tuple[str, ...]

    def judge(self, runs: Runs, p: float) -> Finding:
        means = singles(runs, self.dataset)
        order = sorted(means, key=means.get, reverse=True)
        n, cell = len(self.names), f"table-4/{self.dataset}-"
        first, last, next_one = order[:n], cell + order[n - 1], cell + order[n]
        listed = ", ".join(f"`{name}`" for name in first)
        if set(first) != set(self.names):
            return Finding("not reproduced", f"here {listed}")
        lead = stats.difference(accuracies(runs[last]), accuracies(runs[next_one]))
        number = _difference(runs, last, next_one)
        if lead.low > 0:
            return Finding("reproduced", f"here {listed}, ahead of the next", number)
        return Finding("direction only", f"here {listed}, ahead by less than is resolved", number)


@dataclass(frozen=True)
class Reaches(Claim):
    """A cell reaches the paper's number."""

    cell: str

    def judge(self, runs: Runs, p: float) -> Finding:
        group = runs[self.cell]
        expected = stats.prediction(accuracies(group))
        theirs = paper.accuracy(self.cell)
        number = Number(stats.mean(accuracies(group)).text(), origin(group))
        if expected.low <= theirs <= expected.high:
            return Finding("reproduced", "it lies where our runs predict a further run", number)
        side = "above" if theirs > expected.high else "below"
        return Finding("not reproduced", f"it lies {side} what our runs predict", number)


@dataclass(frozen=True)
class Stated(Claim):
    """A claim that is not judged by runs: by counting, by a clock, or not at all."""

    why: str
    verdict: str = "not testable"
    number: Number | str = ""

    def judge(self, runs: Runs, p: float) -> Finding:
        return Finding(self.verdict, self.why, self.number)


def singles(runs: Runs, dataset: str) -> dict[str, float]:
    """The mean accuracy of each technique alone on a data set, at full epochs."""
    start = f"table-4/{dataset}-"
    names = [name.removeprefix(start) for name in runs if name.startswith(start)]
    alone = [n for n in names if n != "baseline" and "+" not in n and not n.endswith(HALF)]
    return {name: stats.mean(accuracies(runs[start + name])).value for name in alone}


def judged(claims: list[Claim], runs: Runs) -> pd.DataFrame:
    """One row per claim: `claim`, `finding`. The p-values are corrected over all of them."""
    p = [math.nan] * len(claims)
    for place, claim in enumerate(claims):
        if pair := claim.pair():
            p[place] = stats.difference(*(accuracies(runs[name]) for name in pair)).p
    findings = [c.judge(runs, value) for c, value in zip(claims, stats.holm(p), strict=True)]
    return pd.DataFrame({"claim": claims, "finding": findings})


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The claims for a page."""
    return pd.DataFrame(
        {
            "Where": [claim.section for claim in table["claim"]],
            "The paper says": [claim.text for claim in table["claim"]],
            "Verdict": [f"**{finding.verdict}**" for finding in table["finding"]],
            "Ours": [finding.number for finding in table["finding"]],
            "Because": [finding.reason for finding in table["finding"]],
        }
    )


def _difference(runs: Runs, one: str, two: str) -> Number:
    gap = stats.difference(accuracies(runs[one]), accuracies(runs[two]))
    return Number(gap.text("+"), f"{origin(runs[one])}; minus {origin(runs[two])}")


def _papers(one: str, two: str) -> float | None:
    """The paper's difference between two cells, where it has both."""
    a, b = paper.accuracy(one), paper.accuracy(two)
    return None if a is None or b is None else a - b


def _margin(runs: list[Run]) -> float:
    return MARGIN[runs[0].recipe.dataset]


BASE = {data: f"table-4/{data}-baseline" for data in MARGIN}
TRIO = "table-5/cifar10-bp+co+m"
FULL = f"{TRIO}+ls+sam+swa"
SINGLE = {
    **{"oc": "One-cycle", "co": "Cutout", "bp": "BlurPool", "se": "Squeeze-and-excite"},
    **{"m": "Mixup", "ls": "Label smoothing", "sam": "SAM", "swa": "SWA"},
}
LOWER = {("mnist", "m"), ("cifar10", "oc")}  # the two that Table 4 has below the baseline


def _singles() -> list[Claim]:
    """Table 4: each technique against the baseline, with the sign that the paper prints."""
    found: list[Claim] = []
    for data, title in (("mnist", "MNIST"), ("cifar10", "CIFAR-10")):
        for name, word in SINGLE.items():
            cell = f"table-4/{data}-{name}"
            if (data, name) in LOWER:
                text = f"{word} alone loses accuracy on {title}"
                found.append(Better("Table 4", text, BASE[data], cell))
            else:
                text = f"{word} alone gains accuracy on {title}"
                found.append(Better("Table 4", text, cell, BASE[data]))
    return found


CLAIMS: list[Claim] = [
    NotWorse(
        "IV.A",
        "A depth-wise net of 7K parameters is as accurate as one without, or more so",
        *("table-3/mnist-7k-dw", "table-3/mnist-7k"),
    ),
    NotWorse(
        "IV.A",
        "A depth-wise net of 5K parameters is as accurate as one without, or more so",
        *("table-3/mnist-5k-dw", "table-3/mnist-5k"),
    ),
    NotWorse(
        "IV.A",
        "On CIFAR-10 the depth-wise net is as accurate as the one without",
        *("table-3/cifar10-143k-dw", "table-3/cifar10-143k"),
    ),
    Stated(
        "IV.A",
        "A depth-wise net of 25K parameters is as accurate as one without, or more so",
        "the paper has no such net",
    ),
    NotWorse(
        "IV.A",
        "The net of 1,560 parameters is as accurate as that of 25,144",
        *("table-3/mnist-1.5k-dw", "table-3/mnist-25k"),
    ),
    NotWorse(
        "IV.A",
        "The net of 1,560 parameters is as accurate as that of 7,767",
        *("table-3/mnist-1.5k-dw", "table-3/mnist-7k"),
    ),
    *_singles(),
    Leads("IV.C", "BlurPool gains most on MNIST", "mnist", ("bp",)),
    Leads(
        "IV.C", "BlurPool, squeeze-and-excite and SWA lead on MNIST", "mnist", ("bp", "se", "swa")
    ),
    Leads("IV.C", "Mixup gains most on CIFAR-10", "cifar10", ("m",)),
    Leads("IV.C", "Mixup, BlurPool and cutout lead on CIFAR-10", "cifar10", ("m", "bp", "co")),
    Reaches("Abstract, IV.C", "1,560 parameters reach 99.21% on MNIST", "table-4/mnist-bp"),
    Equal(
        "IV.C",
        "On MNIST, BP+SE+SWA together bring no more than BlurPool alone",
        *("table-4/mnist-bp+se+swa", "table-4/mnist-bp"),
    ),
    Better("Table 5", "BP+CO+M beats the best of its parts, mixup", TRIO, "table-4/cifar10-m"),
    Better(
        "Table 5",
        "BP+CO+M is better without squeeze-and-excite",
        TRIO,
        "table-5/cifar10-bp+se+co+m",
    ),
    Equal("Table 5", "SAM brings BP+CO+M nothing", f"{TRIO}+sam", TRIO),
    Better("Table 5", "SWA improves BP+CO+M", f"{TRIO}+swa", TRIO),
    Better("Table 5", "Label smoothing improves BP+CO+M", f"{TRIO}+ls", TRIO),
    Better("Table 5", "LS, SAM and SWA together improve BP+CO+M", FULL, TRIO),
    Better("IV.C, V", "All six together gain 6.86 points over the baseline", FULL, BASE["cifar10"]),
    Reaches("IV.C", "143,396 parameters reach 86.76% on CIFAR-10", FULL),
    Stated(
        "Abstract, IV.A, IV.C, V",
        "The accuracies are the state of the art",
        "that is a statement about other people's nets, not about runs",
    ),
]
