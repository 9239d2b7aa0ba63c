"""What every lesson on a technique shows of the runs: its gain on both nets, and its cost."""

import pandas as pd

from effcnn import cells, chapter, gains, paper
from effcnn.chapter import Number, origin
from effcnn.recipe import TITLES
from effcnn.results import Run

TABLE = "table-4"
NETS = {"mnist": "1.5k-dw", "cifar10": "143k-dw"}
BASELINE = gains.BASELINE

Runs = dict[str, dict[str, list[Run]]]  # by data set and technique


def runs(short: str, profile: str, *, seeds: str = "", epochs: int = 0) -> Runs:
    """The runs of Table 4 for a lesson; see `effcnn.chapter.runs`.

    All of the table where none is trained, because p-values are corrected over it; with the profile
    `quick` the baseline and this technique alone.
    """
    names = [name for name in cells.cells() if name.startswith(f"{TABLE}/")]
    if profile == "quick":
        wanted = {f"{TABLE}/{data}-{name}" for data in NETS for name in (BASELINE, short)}
        names = [name for name in names if name in wanted]
    found = chapter.runs(names, profile, seeds=seeds, epochs=epochs)
    return {data: gains.pick(found, f"{TABLE}/{data}-") for data in NETS}


def gave(short: str, found: Runs, profile: str = "published") -> pd.DataFrame:
    """What the technique gave on each net: gain, verdict, the paper's gain, parameters if any."""
    rows = []
    for data, groups in found.items():
        # The sample's numbers never stand beside the paper's.
        theirs = {} if profile == "quick" and data == "mnist" else paper.TABLE_4[data]
        table = gains.gains(groups, theirs).set_index("techniques")
        row, group, base = table.loc[short], groups[short], groups[BASELINE]
        params = [runs[0].record["costs"]["params"] for runs in (base, group)]
        source = f"{origin(group)}; minus {origin(base)}"
        rows.append(
            {
                "Net": f"`{data}-{NETS[data]}`",
                "Baseline (%)": chapter.accuracy(base),
                f"With `{short}` (%)": chapter.accuracy(group),
                "Our gain": Number(row.gain.text("+"), source) if row.gain else "–",
                "Verdict": row.verdict,
                "Paper's gain": gains.number(row.paper_gain, "+"),
                "Parameters": f"{params[1] - params[0]:+,}",
                "Runs": f"{len(group)}, {len(base)}",
            }
        )
    table = pd.DataFrame(rows)
    return table.drop(columns="Parameters") if (table["Parameters"] == "+0").all() else table


def answer(short: str, found: Runs, profile: str = "published") -> str:
    """One sentence on what the technique gave, as Markdown."""
    if profile == "quick":
        return "A moment's training on the sample cannot answer that."
    said = []
    for row, data in zip(gave(short, found).to_dict("records"), found, strict=True):
        number = row["Our gain"]
        text = number._repr_html_() if isinstance(number, Number) else "no number"
        said.append(f"{text} points on {TITLES[data]} ({row['Verdict']})")
    return f"Here {' and '.join(said)}."
