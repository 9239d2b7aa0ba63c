"""What every lesson on a technique shows of the runs: its gain on both nets, and its cost."""

import pandas as pd

from effcnn import cells, chapter, gains, paper, profiles, results, techniques
from effcnn.chapter import Number
from effcnn.recipe import TITLES
from effcnn.results import Run

TABLE = "table-4"
NETS = {"mnist": "1.5k-dw", "cifar10": "143k-dw"}
BASELINE = gains.BASELINE
QUICK_EPOCHS = 10  # enough for a schedule or an average to be seen, and under a minute

Runs = dict[str, dict[str, list[Run]]]  # by data set and technique


def runs(short: str, profile: str, *, seeds: str = "", epochs: int = 0) -> Runs:
    """The runs of Table 4 for a lesson; see `effcnn.profiles.runs`.

    All of the table where none is trained, because p-values are corrected over it; with the profile
    `quick` the baseline and this technique alone. A data set on which the technique or the baseline
    still lacks runs is left out; `pending` names it.
    """
    names = [name for name in cells.cells() if name.startswith(f"{TABLE}/")]
    pairs = {data: [f"{TABLE}/{data}-{name}" for name in (BASELINE, short)] for data in NETS}
    if profile == "quick":
        names = [name for name in names if any(name in pair for pair in pairs.values())]
    there = profiles.trained(names, profile)
    found = profiles.runs(there, profile, seeds=seeds, epochs=epochs, quick_epochs=QUICK_EPOCHS)
    return {
        data: gains.pick(found, f"{TABLE}/{data}-")
        for data, pair in pairs.items()
        if set(pair) <= set(there)
    }


def pending(found: Runs) -> str:
    """A sentence on the data sets whose runs are still to come, as Markdown; empty if none are."""
    missing = [TITLES[data] for data in NETS if data not in found]
    return f"The runs on {' and '.join(missing)} are still to come." if missing else ""


def analysed(name: str, short: str, found: Runs, profile: str = "published") -> dict[str, dict]:
    """The analysis `name` of the net trained with `short` (or `baseline`), by data set.

    Of the published nets, even with the profile `quick`: a net trained for a moment has no minimum
    to look at. The profile `full` makes an analysis that is missing.
    """
    source = {
        data: groups[short]
        if profile == "full"
        else results.cell(f"{TABLE}/{data}-{short}", results.published())
        for data, groups in found.items()
    }
    return {data: profiles.analysis(name, runs, profile) for data, runs in source.items()}


def gave(short: str, found: Runs, profile: str = "published") -> pd.DataFrame:
    """What the technique gave on each net: gain, verdict, the paper's gain, parameters if any."""
    rows = []
    for data, groups in found.items():
        # The sample's numbers never stand beside the paper's.
        theirs = {} if profile == "quick" and data == "mnist" else paper.TABLE_4[data]
        table = gains.gains(groups, theirs).set_index("techniques")
        row, group, base = table.loc[short], groups[short], groups[BASELINE]
        params = [runs[0].record["costs"]["params"] for runs in (base, group)]
        rows.append(
            {
                "Net": f"`{data}-{NETS[data]}`",
                "Baseline (%)": chapter.accuracy(base),
                f"With `{short}` (%)": chapter.accuracy(group),
                "Our gain": chapter.minus(row.gain, group, base),
                "Verdict": row.verdict,
                "Paper's gain": gains.number(row.paper_gain, "+"),
                "Params": f"{params[1] - params[0]:+,}",  # short: the table has to fit
                "Runs": f"{len(group)}, {len(base)}",
            }
        )
    table = pd.DataFrame(rows)
    return table.drop(columns="Params") if (table["Params"] == "+0").all() else table


def cost(short: str, *, inference: bool = False) -> pd.DataFrame:
    """What a training step costs with the technique, measured here and now by Table 4's recipes.

    Args:
        inference: measure a pass of 100 images through the net too, for techniques that change it.
    """
    from effcnn import timing

    rows = []
    for data, repeats in (("mnist", 9), ("cifar10", 5)):
        both = {name: cells.cells()[f"{TABLE}/{data}-{name}"].recipe for name in (BASELINE, short)}
        step = timing.step_seconds(both, repeats)
        rows.append(
            {
                "Net": f"`{data}-{NETS[data]}`",
                "Batch": both[short].batch_size,
                "Step, baseline (ms)": f"{1000 * step[BASELINE]:.1f}",
                f"Step, `{short}` (ms)": f"{1000 * step[short]:.1f}",
                "Step, times": f"{step[short] / step[BASELINE]:.2f}×",
            }
        )
        if inference:
            wait = timing.latencies(both, repeats)
            rows[-1]["Inference, times"] = f"{wait[short] / wait[BASELINE]:.2f}×"
    return pd.DataFrame(rows)


def answer(short: str, found: Runs, profile: str = "published") -> str:
    """One sentence on what the technique gave, as Markdown."""
    if profile == "quick":
        return "A moment's training on the sample cannot answer that."
    said = []
    for row, data in zip(gave(short, found).to_dict("records"), found, strict=True):
        number = row["Our gain"]
        text = number._repr_html_() if isinstance(number, Number) else "no number"
        said.append(f"{text} points on {TITLES[data]} ({row['Verdict']})")
    return f"Here {' and '.join(said)}. {pending(found)}".strip()


def overview(found: Runs) -> pd.DataFrame:
    """Each technique alone in one row: our gain with its verdict, and the paper's, by data set.

    Args:
        found: with a baseline for each data set. A technique without runs on a data set
            has `to come` there.
    """
    rows = {}
    for data, groups in found.items():
        table = gains.gains(groups, paper.TABLE_4[data]).set_index("techniques")
        for name, spec in techniques.SPECS.items():
            row = rows.setdefault(name, {"Technique": spec.word})
            title = TITLES[data]
            row[f"{title}: gain"], row[f"{title}: verdict"] = "to come", "–"
            if name in groups:
                one = table.loc[name]
                gap = chapter.minus(one.gain, groups[name], groups[BASELINE])
                row[f"{title}: gain"] = gap
                row[f"{title}: verdict"] = one.verdict
            theirs = paper.TABLE_4[data]
            row[f"{title}: paper"] = gains.number(theirs[name] - theirs[BASELINE], "+")
    return pd.DataFrame(list(rows.values()))
