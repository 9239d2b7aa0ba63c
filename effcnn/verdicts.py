"""Rules by which runs judge what a paper says of accuracies.

Three questions are asked, in this order. What the runs answer neither way is "not testable" with
them; it is never called a failure of the paper.

Is a difference resolved? Its p-value (Welch's test of the means) is below 0.05 after Holm's
correction over the differences of that table and data set which the claims name and the runs give.
A resolved difference is taken as real, however small: no margin excuses it.

Is a difference absent? No number of runs shows it to be zero, so it is held against a margin: a
one-sided 5% test (one end of the 90% interval) says that it is smaller. Both ends within the margin
are a test of equivalence. Where the paper's own gain is smaller than the margin, that gain is what
must be excluded: who shows that a gain is below half a point has not refuted one of 0.3. These
tests are not corrected for their number.

Does the size agree? Our runs predict where the difference of two single further runs would fall in
95 of 100 cases, and the paper's difference of two single numbers should lie there. But a wide
interval agrees with everything. One that holds zero would have agreed with no gain at all, so it
says nothing of the size.

A claim that one cell beats another is then "reproduced" if the difference is resolved with the
claim's sign and the size agrees; "direction only" if it is resolved so, but the size differs or
cannot be told; "not reproduced" if it is resolved with the other sign, or the gain is shown to be
absent; and else "not testable". So is every claim on a cell with a diverged run.

The other kinds of claim (two cells are equal, one is not worse, some lead, one reaches a number)
are judged in the same spirit, as each class says. Only a number can be "direction only" there.
"""

import math
from dataclasses import dataclass

import pandas as pd

from effcnn import paper, stats
from effcnn.chapter import Number, minus, origin
from effcnn.gains import RESOLVED, diverged, number
from effcnn.results import Run, accuracies
from effcnn.stats import Estimate

VERDICTS = ("reproduced", "direction only", "not reproduced", "not testable")
# What counts as no difference, in points: less than a seed scatters.
MARGIN = {"mnist": 0.1, "cifar10": 0.5}

Runs = dict[str, list[Run]]  # by cell: table-4/mnist-bp
Pair = tuple[str, str]


@dataclass(frozen=True)
class Finding:
    """What our runs say of a claim."""

    verdict: str
    reason: str
    number: Number | str = ""


@dataclass(frozen=True)
class Gap:
    """The first cell of a pair minus the second one."""

    estimate: Estimate  # with its 95% interval
    p: float  # after correction
    inner: Estimate  # with its 90% interval
    single: Estimate  # of one further run each
    margin: float

    @property
    def sign(self) -> int:
        """1 or -1 for a resolved difference, else 0."""
        return int(math.copysign(1, self.estimate.value)) if self.p < RESOLVED else 0

    def leads_below(self, points: float) -> bool:
        """Whether the first is shown to be ahead by less than so much, if at all."""
        return self.inner.high < points

    def lags_below(self, points: float) -> bool:
        """Whether the first is shown to be behind by less than so much, if at all."""
        return self.inner.low > -points


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: where it stands, and what it says in our words."""

    section: str
    text: str

    def cells(self) -> tuple[str, ...]:
        """The cells whose runs judge it."""
        return ()

    def pairs(self) -> list[Pair]:
        """The differences that carry it."""
        return []

    def family(self) -> str:
        """Over whose differences p-values are corrected: those of a table and data set."""
        return ""

    def theirs(self) -> str:
        """The paper's number, where one number carries it."""
        return "–"

    def judge(self, runs: Runs, gaps: dict[Pair, Gap]) -> Finding:
        """What our runs say."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Pairwise(Claim):
    """A claim on the difference of two cells."""

    one: str
    two: str

    def cells(self) -> tuple[str, ...]:
        return self.one, self.two

    def pairs(self) -> list[Pair]:
        return [(self.one, self.two)]

    def family(self) -> str:
        table, _, name = self.one.partition("/")
        return f"{table}/{name.partition('-')[0]}"

    def theirs(self) -> str:
        return number(papers(self.one, self.two), "+")

    def judge(self, runs: Runs, gaps: dict[Pair, Gap]) -> Finding:
        gap = gaps[self.one, self.two]
        verdict, reason = self.say(gap)
        return Finding(verdict, reason, minus(gap.estimate, runs[self.one], runs[self.two]))

    def say(self, gap: Gap) -> tuple[str, str]:
        """The verdict, and why."""
        raise NotImplementedError


@dataclass(frozen=True)
class Better(_Pairwise):
    """The first cell beats the second one. The paper has both, and finds it so."""

    def say(self, gap: Gap) -> tuple[str, str]:
        if gap.sign < 0:
            return "not reproduced", "the difference has the other sign"
        theirs = papers(self.one, self.two)
        if gap.sign > 0:
            if not gap.single.low <= theirs <= gap.single.high:
                return "direction only", "resolved, but the size differs"
            if gap.single.low <= 0:
                return "direction only", "resolved, but single runs scatter too much for a size"
            return "reproduced", "sign and size agree"
        least = min(gap.margin, theirs)
        if gap.leads_below(least):
            return "not reproduced", f"a gain of {least:.2g} points is excluded"
        return "not testable", "these runs do not resolve it"


@dataclass(frozen=True)
class NotWorse(_Pairwise):
    """The first cell is as good as the second one, or better."""

    def say(self, gap: Gap) -> tuple[str, str]:
        if gap.sign < 0:
            return "not reproduced", "it is worse"
        if gap.sign > 0:
            return "reproduced", "it is better"
        if gap.lags_below(gap.margin):
            return "reproduced", f"a loss of {gap.margin} points is excluded"
        return "not testable", f"these runs do not exclude a loss of {gap.margin} points"


@dataclass(frozen=True)
class Equal(_Pairwise):
    """The two cells do not differ."""

    def say(self, gap: Gap) -> tuple[str, str]:
        if gap.sign:
            return "not reproduced", "they differ"
        if gap.leads_below(gap.margin) and gap.lags_below(gap.margin):
            return "reproduced", f"less than {gap.margin} points apart"
        return "not testable", f"these runs do not exclude a gap of {gap.margin} points"


@dataclass(frozen=True)
class Leads(Claim):
    """These techniques are the best of Table 4 on a data set, in any order.

    Each of them must beat each of the others. It is reproduced where all these differences are
    resolved so; not reproduced where one is resolved the other way, or one lead is shown to be
    absent. The differences of a ranking are others than the gains over the baseline,
    and are corrected among themselves.
    """

    dataset: str
    names: tuple[str, ...]

    def cells(self) -> tuple[str, ...]:
        return tuple(f"table-4/{self.dataset}-{name}" for name in alone(self.dataset))

    def pairs(self) -> list[Pair]:
        first = [f"table-4/{self.dataset}-{name}" for name in self.names]
        return [(one, two) for one in first for two in self.cells() if two not in first]

    def family(self) -> str:
        return f"{self.dataset}, led by {', '.join(sorted(self.names))}"

    def judge(self, runs: Runs, gaps: dict[Pair, Gap]) -> Finding:
        own = {pair: gaps[pair] for pair in self.pairs()}
        lost = [pair for pair, gap in own.items() if gap.sign < 0]
        undecided = [pair for pair, gap in own.items() if gap.sign == 0]
        least = {pair: min(gap.margin, papers(*pair)) for pair, gap in own.items()}
        absent = [pair for pair in undecided if own[pair].leads_below(least[pair])]
        # The pair that decides: the worst of those that say the same.
        deciding = lost or absent or undecided or list(own)
        pair = min(deciding, key=lambda pair: own[pair].estimate.value)
        ours = minus(own[pair].estimate, *(runs[name] for name in pair))
        one, two = (f"`{name.rpartition('-')[2]}`" for name in pair)
        if lost:
            return Finding("not reproduced", f"{two} beats {one}", ours)
        if absent:
            reason = f"that {one} leads {two} by {least[pair]:.2g} points is excluded"
            return Finding("not reproduced", reason, ours)
        if undecided:
            return Finding("not testable", f"these runs do not resolve {one} from {two}", ours)
        return Finding("reproduced", f"the smallest lead is that of {one} over {two}", ours)


@dataclass(frozen=True)
class Reaches(Claim):
    """A cell reaches the paper's number.

    Reproduced where the number lies in the interval that our runs predict for one further run; not
    reproduced where it lies above, direction only where it lies below: ours reach it and more. Not
    testable where the interval holds the number of `unlike` as well: it would have agreed with that
    one, too.
    """

    cell: str
    unlike: str  # a cell that the paper sets this one apart from

    def cells(self) -> tuple[str, ...]:
        return (self.cell,)

    def theirs(self) -> str:
        return number(paper.accuracy(self.cell))

    def judge(self, runs: Runs, gaps: dict[Pair, Gap]) -> Finding:
        group = runs[self.cell]
        expected = stats.prediction(accuracies(group))
        ours = Number(stats.mean(accuracies(group)).text(), origin(group))
        theirs, other = paper.accuracy(self.cell), paper.accuracy(self.unlike)
        if expected.lacks:
            return Finding("not testable", expected.lacks, ours)
        if theirs > expected.high:
            return Finding("not reproduced", "it lies above what our runs predict", ours)
        if theirs < expected.low:
            return Finding("direction only", "ours reach it, and more", ours)
        if expected.low <= other <= expected.high:
            reason = f"single runs scatter so much that {other:.2f} would agree, too"
            return Finding("not testable", reason, ours)
        return Finding("reproduced", "it lies where our runs predict a further run", ours)


@dataclass(frozen=True)
class Stated(Claim):
    """A claim that is not judged by runs: by counting, by a clock, or not at all."""

    why: str
    verdict: str = "not testable"
    number: Number | str = ""

    def judge(self, runs: Runs, gaps: dict[Pair, Gap]) -> Finding:
        return Finding(self.verdict, self.why, self.number)


def alone(dataset: str) -> list[str]:
    """The techniques that Table 4 tries alone on a data set."""
    return [name for name in paper.TABLE_4[dataset] if name != "baseline" and "+" not in name]


def split(claims: list[Claim], there: list[str]) -> tuple[list[Claim], list[Claim]]:
    """The claims whose cells are all in `there`, and those that wait for some of theirs."""
    ready = [claim for claim in claims if set(claim.cells()) <= set(there)]
    return ready, [claim for claim in claims if claim not in ready]


def judged(claims: list[Claim], runs: Runs) -> pd.DataFrame:
    """One row per claim: `claim`, `finding`, and `gap` (a Gap, None where no one pair decides).

    Args:
        runs: of all cells of the claims.
    """
    whole = [c for c in claims if not any(diverged(runs[name]) for name in c.cells())]
    families: dict[str, list[Pair]] = {}
    for claim in whole:
        families.setdefault(claim.family(), []).extend(claim.pairs())
    gaps = {family: corrected(pairs, runs) for family, pairs in families.items()}
    rows = []
    for claim in claims:
        if claim in whole:
            own = gaps[claim.family()]
            finding = claim.judge(runs, own)
        else:
            own = {}
            lost = [name for name in claim.cells() if diverged(runs[name])]
            finding = Finding("not testable", f"a run of {', '.join(lost)} diverged")
        pairs = claim.pairs()
        gap = own.get(pairs[0]) if len(pairs) == 1 else None
        rows.append({"claim": claim, "finding": finding, "gap": gap})
    return pd.DataFrame(rows, columns=["claim", "finding", "gap"])


def corrected(pairs: list[Pair], runs: Runs) -> dict[Pair, Gap]:
    """The difference of each pair, once, with p-values corrected over all of them."""
    pairs = list(dict.fromkeys(pairs))
    sides = [[accuracies(runs[name]) for name in pair] for pair in pairs]
    estimates = [stats.difference(*both) for both in sides]
    adjusted = stats.holm([estimate.p for estimate in estimates])
    return {
        pair: Gap(
            estimate,
            float(p),
            inner=stats.difference(*both, level=0.9),
            single=stats.single_difference(*both),
            margin=MARGIN[runs[pair[0]][0].recipe.dataset],
        )
        for pair, both, estimate, p in zip(pairs, sides, estimates, adjusted, strict=True)
    }


def counts(table: pd.DataFrame) -> dict[str, int]:
    """How many claims of `judged` have each verdict, all four in their order."""
    said = [finding.verdict for finding in table["finding"]]
    return {verdict: said.count(verdict) for verdict in VERDICTS}


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The claims of `judged` for a page."""
    return pd.DataFrame(
        {
            "Where": [claim.section for claim in table["claim"]],
            "The paper says": [claim.text for claim in table["claim"]],
            "Verdict": [f"**{finding.verdict}**" for finding in table["finding"]],
            "Paper": [claim.theirs() for claim in table["claim"]],
            "Ours": [finding.number or "–" for finding in table["finding"]],
            "Because": [finding.reason for finding in table["finding"]],
        }
    )


def papers(one: str, two: str) -> float:
    """The paper's difference between two cells, in points; nan where it lacks one."""
    a, b = (paper.accuracy(cell) for cell in (one, two))
    return math.nan if a is None or b is None else round(a - b, 2)
