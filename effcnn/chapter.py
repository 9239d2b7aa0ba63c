"""What every chapter shows: numbers with their origin, tables, sentences on the runs."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from inspect import getsource
from textwrap import dedent

import pandas as pd

from effcnn import paper, results, stats
from effcnn.recipe import TITLES

# Which entry of a run's history holds the accuracy on which images.
CURVES = {"training": "accuracy", "validation": "validation_accuracy"}


@dataclass(frozen=True)
class Number:
    """A number in prose that says where it comes from, on hover and on focus."""

    text: str
    origin: str

    def _repr_html_(self) -> str:
        origin = escape(self.origin, quote=True)
        text = self.text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
        return (
            f'<span class="measured" tabindex="0" data-origin="{origin}" '
            f'title="{origin}">{escape(text)}</span>'
        )

    def __repr__(self) -> str:
        return self.text


class Table:
    """A DataFrame as a Markdown table: it follows the page's theme, and reads well in Jupyter."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def _repr_markdown_(self) -> str:
        frame = self.frame
        right = [numeric(map(str, frame[column])) for column in frame]
        lines = [frame.columns, ["--:" if is_right else ":--" for is_right in right]]
        lines += frame.map(_markdown).itertuples(index=False)
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def __repr__(self) -> str:
        return self.frame.to_string(index=False)


def _markdown(entry: object) -> str:
    """A number keeps its origin; other entries are Markdown already."""
    return entry._repr_html_() if isinstance(entry, Number) else str(entry)


def numeric(column: Iterable[str]) -> bool:
    """Whether a table's column is mostly of numbers; what stands for a missing one does not count.

    >>> [numeric([text]) for text in ("99.31 ± 0.1", "1.05×", "−0.3", "1.15 (1.13–1.17)", "5, 10")]
    [True, True, True, True, True]
    >>> numeric(["–", "one run", "25,144"]), numeric(["–"]), numeric(["cutout", "2"])
    (True, False, False)
    """
    number = r"[+−-]?[\d,.]+( ± [\d.]+)?( \([\d.]+–[\d.]+\))?(, \d+)?[%×]?"
    words = [text.replace("\N{NO-BREAK SPACE}", " ") for text in column]
    there = [text for text in words if text not in ("", "–", "one run", "to come")]
    return 2 * sum(bool(re.fullmatch(number, text)) for text in there) > len(there)


def origin(runs: list[results.Run]) -> str:
    """Where a mean over runs of one recipe comes from: recipe, seeds, epochs, commit, machine."""
    recipe = runs[0].recipe
    made = [run.record["provenance"] for run in runs]
    machines = [m["cpu"] if m["device"] == "cpu" else m["device"] for m in made]
    count = "one run" if len(runs) == 1 else f"mean of {len(runs)} runs"
    return (
        f"{recipe.dataset}/{recipe.model}/{recipe.label}: {count}, "
        f"seed {_listed(run.recipe.seed for run in runs)}, "
        f"{recipe.epochs} epochs on {recipe.train_images:,} images, "
        f"commit {_listed((m['commit'] or 'unknown')[:7] for m in made)}, {_listed(machines)}"
    )


def protocol(runs: dict[str, list[results.Run]]) -> str:
    """One sentence per data set on how the runs were made, read from their recipes."""
    sentences = []
    every = [run for group in runs.values() for run in group]
    for dataset in dict.fromkeys(run.recipe.dataset for run in every):
        recipes = [run.recipe for run in every if run.recipe.dataset == dataset]
        counts = {len(group) for group in runs.values() if group[0].recipe.dataset == dataset}
        runs_each = "one run" if counts == {1} else f"{_listed(sorted(counts), ' or ')} runs"
        epochs = _listed((r.epochs for r in recipes), " or ")
        epochs += " epoch" if epochs == "1" else " epochs"
        rates = " or ".join(sorted({str(r.lr or "a technique's own") for r in recipes}))
        held = _listed(f"{recipe.holdout:,}" for recipe in recipes if recipe.holdout)
        sentences.append(
            f"{TITLES[dataset]}: {runs_each} per row, {epochs} on "
            f"{_listed(f'{r.train_images:,}' for r in recipes)} images, "
            f"{_listed(r.optimizer for r in recipes)} at rate {rates}, "
            f"batches of {_listed(r.batch_size for r in recipes)}, "
            f"weight decay {_listed(r.weight_decay for r in recipes)}, "
            f"{_listed(r.precision for r in recipes)}"
            + (f", {held} other training images for validation." if held else ".")
        )
    return " ".join(sentences)


def source(thing, first: str = "", last: str = ""):
    """The package's own code as Markdown, or its lines from one that has `first` to `last`."""
    from IPython.display import Markdown

    lines = getsource(thing).splitlines()
    start = next(i for i, line in enumerate(lines) if first in line)
    ends = (i + 1 for i, line in enumerate(lines) if last in line and i >= start)
    piece = "\n".join(lines[start : next(ends) if last else None])
    return Markdown(f"```python\n{dedent(piece)}\n```")


def compare(runs: dict[str, list[results.Run]], *, paper_too: bool = True) -> pd.DataFrame:
    """Accuracy of each net: ours with its interval and, from Table 3, the paper's beside it.

    A cell with a diverged run has no mean; the table says how many diverged.

    Args:
        runs: the runs of one cell, by full name of the net.
        paper_too: off where the data are not the paper's.
    """
    rows = []
    for net, group in runs.items():
        row = {"Net": f"`{net}`"}
        row["Ours (%)"] = accuracy(group)
        if paper_too:
            theirs = paper.TABLE_3.get(net)
            row["Paper (%)"] = f"{theirs.accuracy:.2f}" if theirs else "–"
            row["Difference"] = "–"
            if theirs and not any(run.diverged for run in group):
                mean = stats.mean(results.accuracies(group)).value
                apart = round(float(mean - theirs.accuracy), 2) + 0.0  # never -0.00
                row["Difference"] = f"{apart:+.2f}".replace("-", "−")
            row["Agrees"] = agrees(theirs.accuracy, group) if theirs else "–"
        row["Parameters"] = f"{group[0].record['costs']['params']:,}"
        row["Runs"] = "one\N{NO-BREAK SPACE}run" if len(group) == 1 else str(len(group))
        row["Data"] = group[0].recipe.dataset
        rows.append(row)
    return pd.DataFrame(rows)


def accuracy(runs: list[results.Run]) -> Number:
    """The mean test accuracy of a cell with its interval, or how many of its runs diverged."""
    lost = sum(run.diverged for run in runs)
    mean = None if lost else stats.mean(results.accuracies(runs)).text()
    return Number(mean or f"diverged {lost} of {len(runs)}", origin(runs))


def minus(
    gap: stats.Estimate | None, one: list[results.Run], two: list[results.Run]
) -> Number | str:
    """A difference of two cells for a page, with both origins; a dash where there is none."""
    return Number(gap.text("+"), f"{origin(one)}; minus {origin(two)}") if gap else "–"


def agrees(theirs: float, runs: list[results.Run]) -> str:
    """Whether the paper's single number lies where our runs predict one further run."""
    if math.isnan(theirs) or any(run.diverged for run in runs):
        return "–"
    expected = stats.prediction(results.accuracies(runs))
    return expected.lacks or ("yes" if expected.low <= theirs <= expected.high else "no")


def _listed(values, between: str = ", ") -> str:
    """Each value once, in their order: `0, 1, 2`."""
    return between.join(dict.fromkeys(map(str, values)))
