"""Do gains add up? What a combination gains beside the sum of what its parts gain alone.

All gains are against the runs of one baseline, so their errors are not independent: a combination
of k techniques gains beyond the sum `together - (part 1 + ... + part k) + (k - 1) * baseline`. That
is one contrast of means, in whose interval every run counts once.
"""

import math
from collections.abc import Iterable

import pandas as pd

from effcnn import families, gains, stats
from effcnn.chapter import Number, origin
from effcnn.gains import BASELINE, diverged
from effcnn.results import Run, accuracies

Runs = dict[str, list[Run]]  # of one net, by techniques


def table(runs: Runs, names: Iterable[str] | None = None) -> pd.DataFrame:
    """Whether combinations are shown to gain less, or more, than the sum of their parts.

    Args:
        runs: the combinations, their parts, and `baseline`.
        names: of the combinations; all of `runs` if None.
    Returns: one row per combination: `techniques`, `missing` (parts that are not in `runs`),
        `together` and `summed` (gains), `excess` (the first minus the second; Estimates, None
        where a part is missing or a run diverged), `p` (of no excess, after Holm's correction over
        the rows) and `verdict`: less, more, not resolved, one run, no spread, diverged, parts
        missing.
    """
    rows = []
    for name in names if names is not None else [name for name in runs if "+" in name]:
        parts = name.split("+")
        missing = [part for part in (*parts, BASELINE) if part not in runs]
        row = {"techniques": name, "missing": missing}
        row |= dict.fromkeys(("together", "summed", "excess"))
        if not missing and not any(map(diverged, [runs[n] for n in (name, *parts, BASELINE)])):
            base, alone = accuracies(runs[BASELINE]), [accuracies(runs[part]) for part in parts]
            whole, k = accuracies(runs[name]), len(parts)
            row["together"] = stats.difference(whole, base)
            row["summed"] = stats.contrast([*alone, base], [*[1] * k, -k])
            row["excess"] = stats.contrast([whole, *alone, base], [1, *[-1] * k, k - 1])
        rows.append(row)
    columns = ["techniques", "missing", "together", "summed", "excess"]
    found = pd.DataFrame(rows, columns=columns)
    found = _judged(found, "excess", "more", "less")
    found.loc[found["missing"].map(bool), "verdict"] = "parts missing"
    return found


def reading(found: pd.DataFrame) -> str:
    """What a `table` shows, as sentences in Markdown."""
    judged = found[found["verdict"].isin(["less", "more", "not resolved"])]
    if judged.empty:
        return "Whether gains add up cannot be judged here: that takes several runs of every cell."
    said = []
    for word in ("less", "more"):
        names = [f"`{name}`" for name in judged["techniques"][judged["verdict"] == word]]
        count = {0: "none", len(judged): f"all {len(judged)}"}.get(
            len(names), f"{len(names)} of {len(judged)}"
        )
        verb = "is" if len(names) < 2 else "are"
        listed = f" ({', '.join(names)})" if 0 < len(names) < len(judged) else ""
        said.append(f"{count} {verb} shown to gain {word}{listed}")
    text = f"Held against the sum of their parts' gains, {', and '.join(said)}."
    open_ = judged[judged["verdict"] == "not resolved"]["excess"]
    if len(open_):
        low, high = min(one.low for one in open_), max(one.high for one in open_)
        reach = f"from {low:+.1f} to {high:+.1f} points".replace("-", "−")
        apart = sum(one.low > 0 or one.high < 0 for one in open_)
        them = "the other one" if len(open_) == 1 else f"the other {len(open_)}"
        if len(open_) == len(judged):
            them = "them" if len(open_) > 1 else "it"
        reaches = "its interval reaches" if len(open_) == 1 else "their intervals reach"
        text += f" For {them} these runs do not decide: {reaches} {reach}"
        text += f", and {apart} of {len(open_)} {'leaves' if apart == 1 else 'leave'} out zero "
        text += "before the correction."
    if left := len(found) - len(judged):
        text += f" {left} more cannot be judged: they lack runs."
    return text


def by_luck(runs: Runs, name: str, luck: float) -> float:
    """How far the excess of the combination `name` falls from its mean by luck, in single runs.

    That is, in 95 of 100 cases, if every cell scatters as its runs here do. Where a cell has one
    run, all are taken to scatter alike, by `luck`: `effcnn.stats.luck` of some cell.
    """
    parts = name.split("+")
    names, weights = (name, *parts, BASELINE), (1, *[-1] * len(parts), len(parts) - 1)
    groups = [accuracies(runs[each]) for each in names]
    if min(map(len, groups)) < 2:
        return luck * math.sqrt(sum(weight**2 for weight in weights) / 2)
    # A mean of n runs scatters less than one run by the square root of n.
    single = [w * math.sqrt(len(x)) for w, x in zip(weights, groups, strict=True)]
    return stats.contrast(groups, single).half


def shown(found: pd.DataFrame, runs: Runs, theirs: dict[str, float], luck: float) -> pd.DataFrame:
    """A `table` for a page, beside the paper's accuracies `theirs`; see `by_luck`."""
    rows = []
    for row in found.itertuples():
        parts = row.techniques.split("+")
        alone = sum(theirs[part] - theirs[BASELINE] for part in parts)
        together = theirs[row.techniques] - theirs[BASELINE]
        reach = math.nan if row.excess is None else by_luck(runs, row.techniques, luck)
        whole, sums = (row.techniques, BASELINE), (*parts, BASELINE)
        rows.append(
            {
                "Techniques": f"`{row.techniques}`",
                "Paper: sum": gains.number(alone, "+"),
                "Paper: together": gains.number(together, "+"),
                "Paper: difference": gains.number(together - alone, "+"),
                "By luck (±)": gains.number(reach),
                "Ours: sum": number(row.summed, runs, sums),
                "Ours: together": number(row.together, runs, whole),
                "Ours: difference": number(row.excess, runs, (row.techniques, *sums)),
                "Verdict": row.verdict,
            }
        )
    return pd.DataFrame(rows)


def steps(runs: Runs, base: str) -> pd.DataFrame:
    """What further techniques add to the combination `base`.

    Returns: one row per combination in `runs` that holds all of `base` and more: `techniques`,
        `added` (those beyond `base`), `gain` (an Estimate, None where a run diverged), `p` (after
        Holm's correction, see `effcnn.families.corrected`) and `verdict` (better, worse, not
        resolved, one run, no spread, diverged).
    """
    known = set(base.split("+"))
    rows = []
    for name in runs:
        if known < set(name.split("+")):
            added = "+".join(part for part in name.split("+") if part not in known)
            row = {"techniques": name, "added": added, "gain": _gap(runs[name], runs[base])}
            rows.append(row)
    found = pd.DataFrame(rows, columns=["techniques", "added", "gain"])
    p = families.corrected([(runs[name], runs[base]) for name in found["techniques"]])
    return _judged(found, "gain", "better", "worse", p)


def leave_one_out(runs: Runs, full: str) -> pd.DataFrame:
    """What the combination `full` loses without each of its parts.

    Returns: one row per part whose combination without it is in `runs`: `part`, `techniques` (those
        that stay), `n` (runs, without and with), `carries` (accuracy with the part minus without;
        an Estimate, or None where a run diverged), `p` (after Holm's correction over the rows) and
        `verdict`: carries, harms, not resolved, one run, no spread, diverged.
    """
    rows = []
    for part in full.split("+"):
        rest = "+".join(other for other in full.split("+") if other != part)
        if rest in runs:
            row = {"part": part, "techniques": rest, "n": (len(runs[rest]), len(runs[full]))}
            rows.append({**row, "carries": _gap(runs[full], runs[rest])})
    found = pd.DataFrame(rows, columns=["part", "techniques", "n", "carries"])
    return _judged(found, "carries", "carries", "harms")


def carried(found: pd.DataFrame) -> str:
    """What `leave_one_out` shows, as sentences in Markdown."""
    said = []
    for verdict, text in (
        ("carries", "Shown to carry it: {}."),
        ("harms", "It is shown to do better without {}."),
        ("not resolved", "Not resolved: {}. That does not show them to be useless."),
    ):
        if names := [f"`{part}`" for part in found["part"][found["verdict"] == verdict]]:
            said.append(text.format(", ".join(names)))
    return " ".join(said) or "These runs cannot say which parts carry it."


def number(estimate: stats.Estimate | None, runs: Runs, names: Iterable[str]) -> Number | str:
    """An Estimate for a page, with the runs of `names` as its origin; a dash for None."""
    if estimate is None:
        return "–"
    return Number(estimate.text("+"), "; ".join(origin(runs[name]) for name in names))


def _gap(a: list[Run], b: list[Run]) -> stats.Estimate | None:
    """The difference of two cells, if no run diverged."""
    return None if diverged(a) or diverged(b) else stats.difference(accuracies(a), accuracies(b))


def _judged(
    found: pd.DataFrame, column: str, above: str, below: str, p: list[float] | None = None
) -> pd.DataFrame:
    """With `p`, by default after Holm's correction over the rows, and `verdict` of Estimates."""
    raw = [one.p if one else math.nan for one in found[column]]
    found["p"] = stats.holm(raw) if p is None else p
    pairs = zip(found[column], found["p"], strict=True)
    found["verdict"] = [
        gains.called(one, p, above, below) if one else "diverged" for one, p in pairs
    ]
    return found
