"""Rules by which runs judge what a paper says of accuracies.

Three questions are asked, in this order. What the runs answer neither way is "not testable" with
them; it is never called a failure of the paper.

Is a difference resolved? Its p-value (Welch's test of the means) is below 0.05 after Holm's
correction over its family, see `effcnn.families`. A resolved difference is taken as real, however
small: no margin excuses it.

Is a difference absent? No number of runs shows it to be zero, so it is held against a margin: a
one-sided 5% test (one end of the 90% interval) says that it is smaller. Both ends within the margin
are a test of equivalence. Where the paper's own gain is smaller than the margin, that gain is what
must be excluded: who shows that a gain is below half a point has not refuted one of 0.3. These
tests are not corrected for their number.

Does the size agree? Our runs predict where the difference of two single further runs would fall in
95 of 100 cases, and the paper's difference of two single numbers should lie there. But a wide
interval agrees with everything. One that holds zero would have agreed with no gain at all, so it
says nothing of the size; of any other it can be said that it allows the size, and no more.

A claim that one cell beats another is then "reproduced" if the difference is resolved with the
claim's sign and the size agrees; "direction only" if it is resolved so, but the size differs or
cannot be told; "not reproduced" if it is resolved with the other sign, or the gain is shown to be
absent; and else "not testable". So is every claim on a cell with a diverged run.

The other kinds of claim (two cells are equal, one is not worse, some lead, one reaches a number)
are judged in the same spirit, as each class says. Only a number can be "direction only" there.
"""

import math
from dataclasses import dataclass, replace

import pandas as pd

from effcnn import families, paper, stats
from effcnn.chapter import Number, minus, origin
from effcnn.families import Pair, Runs, alone
from effcnn.gains import RESOLVED, diverged, number
from effcnn.results import Run, accuracies
from effcnn.stats import Estimate

VERDICTS = ("reproduced", "direction only", "not reproduced", "not testable")
# What counts as no difference, in points: less than a seed scatters.
MARGIN = {"mnist": 0.1, "cifar10": 0.5}
TUNED = "oc"  # the only technique whose setting was chosen here, on held-out images


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
            return "reproduced", "the sign agrees; the size is one that our single runs allow"
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
    absent. Where one-cycle, the technique that was tuned, decides against it, the reason says what
    the others give without it.
    """

    dataset: str
    names: tuple[str, ...]

    def cells(self) -> tuple[str, ...]:
        return tuple(f"table-4/{self.dataset}-{name}" for name in alone(self.dataset))

    def pairs(self) -> list[Pair]:
        return families.ranking(self.dataset, self.names)

    def judge(self, runs: Runs, gaps: dict[Pair, Gap]) -> Finding:
        found, pair = self._decide(self.pairs(), runs, gaps)
        tuned = f"table-4/{self.dataset}-{TUNED}"
        if found.verdict == "reproduced" or pair[1] != tuned:
            return found
        rest, _ = self._decide([pair for pair in self.pairs() if pair[1] != tuned], runs, gaps)
        without = f"without `{TUNED}`: {rest.verdict}, {rest.reason}"
        return replace(found, reason=f"{found.reason}; {without}")

    def _decide(self, pairs: list[Pair], runs: Runs, gaps: dict[Pair, Gap]) -> tuple[Finding, Pair]:
        """What these pairs say, and the pair that decides."""
        own = {pair: gaps[pair] for pair in pairs}
        lost = [pair for pair, gap in own.items() if gap.sign < 0]
        undecided = [pair for pair, gap in own.items() if gap.sign == 0]
        least = {pair: min(gap.margin, papers(*pair)) for pair, gap in own.items()}
        absent = [pair for pair in undecided if own[pair].leads_below(least[pair])]
        # The worst of those that say the same.
        deciding = lost or absent or undecided or list(own)
        pair = min(deciding, key=lambda pair: own[pair].estimate.value)
        ours = minus(own[pair].estimate, *(runs[name] for name in pair))
        one, two = (f"`{name.rpartition('-')[2]}`" for name in pair)
        if lost:
            verdict, reason = "not reproduced", f"{two} beats {one}"
        elif absent:
            reason = f"that {one} leads {two} by {least[pair]:.2g} points is excluded"
            verdict = "not reproduced"
        elif undecided:
            verdict, reason = "not testable", f"these runs do not resolve {one} from {two}"
        else:
            verdict, reason = "reproduced", f"the smallest lead is that of {one} over {two}"
        return Finding(verdict, reason, ours), pair


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


def split(claims: list[Claim], there: list[str]) -> tuple[list[Claim], list[Claim]]:
    """The claims whose cells are all in `there`, and those that wait for some of theirs."""
    ready = [claim for claim in claims if set(claim.cells()) <= set(there)]
    return ready, [claim for claim in claims if claim not in ready]


def judged(claims: list[Claim], runs: Runs) -> pd.DataFrame:
    """One row per claim: `claim`, `finding`, and `gap` (a Gap, None where no one pair decides).

    Args:
        runs: of all cells of the claims. Those of further cells count in the corrections.
    Raises: KeyError for a difference that is in no family of `effcnn.families`.
    """
    whole = [c for c in claims if not any(diverged(runs[name]) for name in c.cells())]
    p = families.by_cell(runs)
    gaps = {
        pair: _gap(*(runs[name] for name in pair), p[frozenset(pair)])
        for claim in whole
        for pair in claim.pairs()
    }
    rows = []
    for claim in claims:
        pairs = claim.pairs()
        if claim in whole:
            finding = claim.judge(runs, gaps)
        else:
            lost = [name for name in claim.cells() if diverged(runs[name])]
            finding = Finding("not testable", f"a run of {', '.join(lost)} diverged")
        gap = gaps.get(pairs[0]) if len(pairs) == 1 else None
        rows.append({"claim": claim, "finding": finding, "gap": gap})
    return pd.DataFrame(rows, columns=["claim", "finding", "gap"])


def _gap(one: list[Run], two: list[Run], p: float) -> Gap:
    """The difference of two cells, with its corrected p-value."""
    both = accuracies(one), accuracies(two)
    return Gap(
        stats.difference(*both),
        p,
        inner=stats.difference(*both, level=0.9),
        single=stats.single_difference(*both),
        margin=MARGIN[one[0].recipe.dataset],
    )


def slower(clock: dict, one: str, two: str) -> int:
    """1 where the net `one` is slower than `two`, -1 where it is faster, 0 where neither is.

    It is slower where the middle half of its turns, between their quartiles, lies above that of the
    other net, and faster where it lies below. One thread and all cores must both say so.

    Args:
        clock: what `benchmarks/latency.py` has stored.
    """
    said = set()
    for threads in thread_counts(clock):
        a, b = (clock["nets"][net][threads] for net in (one, two))
        said.add((a["low"] > b["high"]) - (a["high"] < b["low"]))
    return said.pop() if len(said) == 1 else 0


def thread_counts(clock: dict) -> list[str]:
    """Under which names a net has its times: `threads 1`, and that of all cores."""
    return list(dict.fromkeys(f"threads {count}" for count in (1, clock["machine"]["cores"])))


def counts(table: pd.DataFrame) -> dict[str, int]:
    """How many claims of `judged` have each verdict, all four in their order."""
    said = [finding.verdict for finding in table["finding"]]
    return {verdict: said.count(verdict) for verdict in VERDICTS}


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The claims of `judged` for a page."""
    return pd.DataFrame(
        {
            "Where": [claim.section for claim in table["claim"]],
            "The paper says or prints": [claim.text for claim in table["claim"]],
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
