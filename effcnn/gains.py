"""Gains over a baseline: tables of techniques and combinations, ours beside the paper's."""

import math

import pandas as pd

from effcnn import families, stats, techniques
from effcnn.chapter import Number, accuracy, agrees, minus, origin
from effcnn.errors import UserError
from effcnn.recipe import TITLES
from effcnn.results import Run, accuracies

BASELINE = "baseline"
RESOLVED = 0.05  # a gain is called one below this p-value, after Holm's correction
HALF = "-half"  # ends the name of a row at half the epochs: sam looks at each batch twice


def pick(runs: dict[str, list[Run]], prefix: str) -> dict[str, list[Run]]:
    """The runs of the cells whose name starts with `prefix`, by what follows: bp+co+m, say."""
    found = {name: group for name, group in runs.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): group for name, group in found.items()}


def gains(runs: dict[str, list[Run]], theirs: dict[str, float] | None = None) -> pd.DataFrame:
    """Accuracy and gain over the baseline of each technique or combination, as numbers.

    Args:
        runs: the runs of one net, by techniques; one of them is `baseline`.
        theirs: the paper's accuracies, by techniques.
    Returns: one row per entry of `runs`: `techniques`, `n`, `diverged`, `ours` and `gain` (an
        Estimate each, None where a run diverged), `p` (after Holm's correction, see
        `effcnn.families.corrected`), `verdict`, `paper` and `paper_gain` (nan where the paper has
        no number).
    Raises: UserError if there is no baseline.
    """
    if BASELINE not in runs:
        raise UserError(f"a table of gains needs a {BASELINE}; it has {', '.join(runs)}")
    theirs = theirs or {}
    rows = []
    for name, group in runs.items():
        lost = sum(run.diverged for run in group)
        whole = not lost and not diverged(runs[BASELINE])
        gain = stats.difference(accuracies(group), accuracies(runs[BASELINE])) if whole else None
        paper = theirs.get(name, math.nan)
        rows.append(
            {
                "techniques": name,
                "n": len(group),
                "diverged": lost,
                "ours": None if lost else stats.mean(accuracies(group)),
                "gain": None if name == BASELINE else gain,
                "paper": paper,
                "paper_gain": paper - theirs.get(BASELINE, math.nan)
                if name != BASELINE
                else math.nan,
            }
        )
    table = pd.DataFrame(rows)
    others = [name for name in runs if name != BASELINE]
    p = families.corrected([(runs[name], runs[BASELINE]) for name in others])
    table["p"] = table["techniques"].map(dict(zip(others, p, strict=True)))
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    return table


def diverged(group: list[Run]) -> bool:
    """Whether a run of a cell diverged: the cell has no mean then."""
    return any(run.diverged for run in group)


def _verdict(row) -> str:
    """What may be said of a gain, and no more."""
    if row.techniques == BASELINE:
        return "–"
    if row.gain is None:
        return "diverged" if row.diverged else "no baseline"
    return called(row.gain, row.p, "better", "worse")


def called(gap: stats.Estimate, p: float, above: str, below: str) -> str:
    """What may be said of a difference with this corrected p-value, and no more."""
    if gap.lacks:
        return gap.lacks
    if p >= RESOLVED:
        return "not resolved"
    return above if gap.value > 0 else below


def shown(table: pd.DataFrame, runs: dict[str, list[Run]]) -> pd.DataFrame:
    """The table of `gains` for a page: each number of ours with its origin, the paper's beside."""
    rows = []
    with_paper = not table["paper"].isna().all()
    for row in table.itertuples():
        group, base = runs[row.techniques], runs[BASELINE]
        entry = {"Techniques": _name(row.techniques)}
        if with_paper:
            entry["Paper (%)"] = number(row.paper)
        entry["Ours (%)"] = accuracy(group)
        if with_paper:
            entry["Agrees"] = agrees(row.paper, group)
            entry["Paper's gain"] = number(row.paper_gain, "+")
        entry["Our gain"] = minus(row.gain, group, base)
        entry["Verdict"] = row.verdict
        entry["Parameters"] = f"{group[0].record['costs']['params']:,}"
        entry["Runs"] = str(row.n)
        rows.append(entry)
    return pd.DataFrame(rows)


def reading(table: pd.DataFrame, profile: str) -> str:
    """How to read a table of `gains`, as Markdown."""
    if profile == "quick":
        return (
            "**Not the results.** Here the MNIST net saw the sample for a moment; the CIFAR-10 "
            "rows are the published runs, because CIFAR-10 is not embedded."
        )
    if table["n"].max() == 1:
        return (
            "**Previews, one run each.** A gain is the difference of two single runs, so it has no "
            "interval. At a constant rate the last epoch of either may be lucky or unlucky, by a "
            "point and more: read neither a ranking nor a gain from this table."
        )
    return (
        "A gain is the difference of two means, with Welch's 95% interval. It is called better or "
        "worse where its p-value, after Holm's correction over all that is compared in that table "
        f"on that data set, is below {RESOLVED}. The paper's number agrees where it lies in the "
        "interval that our runs predict for one further run, in 95 of 100 cases."
    )


def advice(table: pd.DataFrame, seconds: dict[str, float]) -> str:
    """Which techniques alone gained, by mean gain, and which did not, as Markdown.

    Args:
        table: of `gains`, for one net.
        seconds: of a training step, by technique.
    """
    alone = [
        row
        for row in table.itertuples()
        if row.techniques != BASELINE and "+" not in row.techniques and HALF not in row.techniques
    ]
    alone.sort(key=lambda row: -row.gain.value if row.gain else math.inf)
    said = []
    for verdict, start in (
        ("better", "Try, by mean gain (whether that is their true order was not tested):"),
        ("not resolved", "Not resolved:"),
        ("worse", "Leave out:"),
    ):
        found = [
            f"`{row.techniques}` ({row.gain.text('+')} points, {_slower(row.techniques, seconds)})"
            for row in alone
            if row.verdict == verdict
        ]
        if found:
            said.append(f"{start} {', '.join(found)}.")
    judged = ("better", "not resolved", "worse")
    if other := [f"`{r.techniques}` ({r.verdict})" for r in alone if r.verdict not in judged]:
        said.append(f"Without a verdict: {', '.join(other)}.")
    return " ".join(said) or "These runs cannot advise: no gain has an interval."


def _slower(name: str, seconds: dict[str, float]) -> str:
    """What a step costs, in words; a difference below a tenth is not to be read."""
    ratio = seconds[name] / seconds[BASELINE]
    return f"{ratio:.1f}× the time of a step" if ratio >= 1.1 else "hardly any time"


def resolves(runs: dict[str, dict[str, list[Run]]]) -> str:
    """Which gain the numbers of runs can show, by data set, as Markdown.

    Args:
        runs: by data set and technique.
    """
    said = []
    for data, groups in runs.items():
        values = accuracies(groups[BASELINE]) if not diverged(groups[BASELINE]) else []
        if len(values) < 2:
            continue
        n = min(len(group) for name, group in groups.items() if name != BASELINE)
        text = f"{stats.resolvable(stats.spread(values), (n, len(values))):.2f}"
        each = f"{n} runs against {len(values)} of the baseline"
        source = f"80% power at 5%, {each}; spread from {origin(groups[BASELINE])}"
        number = Number(text, source)._repr_html_()
        said.append(f"on {TITLES[data]} {number} points ({each})")
    if not said:
        return "With one run per cell no gain can be told from chance."
    return (
        "How large must a gain be, so that four of five such comparisons find it (p below 5%)? "
        f"If both cells scatter as the baseline's seeds do, {', '.join(said)}. A row that scatters "
        "less needs a smaller gain; after Holm's correction all need a larger one. Smaller gains "
        "may be real and not show."
    )


def largest(table: pd.DataFrame) -> tuple[str, stats.Estimate] | None:
    """The techniques with the largest gain, and that gain; None where every row diverged."""
    known = [(row.techniques, row.gain) for row in table.itertuples() if row.gain]
    return max(known, key=lambda entry: entry[1].value, default=None)


def _name(text: str) -> str:
    """A technique alone with its word, a combination as it is: it would be too long."""
    if text.endswith(HALF):
        return f"`{text.removesuffix(HALF)}`, half the epochs"
    if text == BASELINE or "+" in text or techniques.find(text).word == text:
        return f"`{text}`"
    return f"`{text}` {techniques.find(text).word}"


def number(value: float, sign: str = "") -> str:
    """`83.16`, or `+3.26` with `sign="+"`; a dash for nan."""
    return "–" if math.isnan(value) else f"{value:{sign}.2f}".replace("-", "−")


def single_runs(runs: dict[str, list[Run]]) -> pd.DataFrame:
    """One row per finished run, for plots: `techniques`, `seed`, `accuracy` (percent)."""
    return pd.DataFrame(
        [
            (name, run.recipe.seed, run.record["test"]["accuracy"])
            for name, group in runs.items()
            for run in group
            if not run.diverged
        ],
        columns=["techniques", "seed", "accuracy"],
    )
