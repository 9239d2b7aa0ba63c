"""A table trained again, beside the published runs and the paper's numbers.

Importing this needs no torch.
"""

from pathlib import Path

import pandas as pd

from effcnn import cells, paper, results, stats
from effcnn.cells import Cell
from effcnn.errors import UserError, unknown
from effcnn.results import Run

TABLES = ("3", "4", "5")

LEGEND = """\
published, here: mean test accuracy in percent with its 95% interval (runs).
paper in published, paper in here: whether the paper's number lies where these runs predict one
further run. here in published: whether the mean of the runs here lies where the published runs
predict the mean of so many further runs. After each answer stands how far the 95% prediction
interval reaches to either side: where it is wide, yes says little. One run predicts nothing,
nor do runs without spread.
epochs: --epochs made another recipe of the runs here, so that nothing is compared with them."""


def sweep_file(table: str) -> Path:
    """The sweep file of a table of the paper. Raises `UserError`."""
    if table not in TABLES:
        raise unknown("table", table, TABLES)
    path = cells.need_checkout() / "sweeps" / f"table-{table}.toml"
    if not path.is_file():
        raise UserError(f"no sweep file of table {table} here; run this in a checkout of the book")
    return path


def compare(wanted: list[Cell], own: list[Cell], here: Path, published: Path) -> pd.DataFrame:
    """A row per cell: the paper's number, the published runs, those made here, and who agrees.

    The paper's number agrees with runs if it lies where they predict one further run. The mean of
    the runs here agrees with the published ones if it lies where they predict the mean of so many
    further runs. Both in 95 of 100 cases.

    Args:
        wanted: the cells as they were trained here.
        own: the same cells as the sweep file has them.
        here, published: the two stores.
    """
    rows = []
    for cell, original in zip(wanted, own, strict=True):
        ours, theirs = _found(cell, here), _found(original, published)
        number = paper.accuracy(cell.name)
        single = None if number is None else [number]
        same = cell.recipe.with_seed(0) == original.recipe.with_seed(0)
        rows.append(
            {
                "cell": cell.name.partition("/")[2],  # every one is of this table
                "paper": "-" if number is None else f"{number:.2f}",
                "published": _text(theirs),
                "here": _text(ours),
                "paper in published": _agrees(single, theirs),
                "paper in here": _agrees(single, ours) if same else "epochs",
                "here in published": _agrees(_accuracies(ours), theirs) if same else "epochs",
            }
        )
    return pd.DataFrame(rows)


def text(compared: pd.DataFrame) -> str:
    """What `compare` has found, with its legend; heads in two lines keep it to 100 columns."""
    heads = [name.rpartition(" ")[::2] for name in compared]
    compared = compared.set_axis(pd.MultiIndex.from_tuples(heads), axis=1)
    return f"{compared.to_string(index=False, sparsify=False)}\n{LEGEND}"


def _found(cell: Cell, store: Path) -> list[Run]:
    return [run for recipe in cell.recipes() if (run := results.find(recipe, store))]


def _accuracies(runs: list[Run]) -> list[float] | None:
    """None where there is no run, or one diverged: the cell has no mean then."""
    whole = runs and not any(run.diverged for run in runs)
    return results.accuracies(runs) if whole else None


def _text(runs: list[Run]) -> str:
    if (values := _accuracies(runs)) is None:
        return "diverged" if runs else "no run"
    return f"{stats.mean(values).text()} ({len(values)})"


def _agrees(values: list[float] | None, runs: list[Run]) -> str:
    """Whether the mean of `values` lies where `runs` predict it: `yes ±0.25`, in points."""
    known = _accuracies(runs)
    if values is None or known is None:
        return "-"
    expected = stats.prediction(known, of=len(values))
    if expected.lacks:
        return expected.lacks
    within = expected.low <= stats.mean(values).value <= expected.high
    return f"{'yes' if within else 'no'} ±{expected.half:.{2 if expected.half < 10 else 1}f}"
