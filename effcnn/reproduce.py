"""A table trained again, beside the published runs and the paper's numbers.

Importing this needs no torch.
"""

import math
from pathlib import Path

import pandas as pd

from effcnn import cells, paper, results, stats
from effcnn.cells import Cell
from effcnn.errors import UserError, unknown
from effcnn.results import Run

TABLES = ("3", "4", "5")

LEGEND = (
    "Mean test accuracy in percent with its 95% interval (runs). The paper agrees if its number\n"
    "lies where the published runs predict one further run; here agrees if the mean lies where\n"
    "they predict the mean of so many further runs (95 of 100 cases)."
)


def sweep_file(table: str) -> Path:
    """The sweep file of a table of the paper. Raises `UserError`."""
    if table not in TABLES:
        raise unknown("table", table, TABLES)
    root = cells.checkout()
    path = root / "sweeps" / f"table-{table}.toml" if root else None
    if path is None or not path.is_file():
        raise UserError(f"no sweep file of table {table} here; run this in a checkout of the book")
    return path


def compare(wanted: list[Cell], own: list[Cell], here: Path, published: Path) -> pd.DataFrame:
    """A row per cell: the paper's number, the published runs, those made here, and who agrees.

    The mean of the runs here agrees with the published ones if it lies where they predict the mean
    of so many further runs, in 95 of 100 cases. The paper's number agrees if it lies where the
    published runs predict one further run.

    Args:
        wanted: the cells as they were trained here.
        own: the same cells as the sweep file has them.
        here, published: the two stores.
    """
    rows = []
    for cell, original in zip(wanted, own, strict=True):
        ours, theirs = _found(cell, here), _found(original, published)
        number = paper.accuracy(cell.name)
        same = cell.recipe.with_seed(0) == original.recipe.with_seed(0)
        rows.append(
            {
                "cell": cell.name,
                "paper": "-" if number is None else f"{number:.2f}",
                "published": _text(theirs),
                "here": _text(ours),
                "paper agrees": _agrees(None if number is None else [number], theirs),
                "here agrees": _agrees(_accuracies(ours), theirs) if same else "other recipe",
            }
        )
    return pd.DataFrame(rows)


def _found(cell: Cell, store: Path) -> list[Run]:
    return [run for recipe in cell.recipes() if (run := results.find(recipe, store))]


def _accuracies(runs: list[Run]) -> list[float] | None:
    """None where there is no run, or one diverged: the cell has no mean then."""
    whole = runs and all(run.record["status"] == "finished" for run in runs)
    return results.accuracies(runs) if whole else None


def _text(runs: list[Run]) -> str:
    if (values := _accuracies(runs)) is None:
        return "diverged" if runs else "no run"
    return f"{stats.mean(values).text()} ({len(values)})"


def _agrees(values: list[float] | None, runs: list[Run]) -> str:
    """Whether the mean of `values` lies where `runs` predict it."""
    known = _accuracies(runs)
    if values is None or known is None:
        return "-"
    expected = stats.prediction(known, of=len(values))
    if math.isnan(expected.half):
        return "one run"
    return "yes" if expected.low <= stats.mean(values).value <= expected.high else "no"
