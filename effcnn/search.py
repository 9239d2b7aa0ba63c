"""What a search on held-out training images tried, and what it gave."""

from dataclasses import asdict

import pandas as pd

from effcnn import stats
from effcnn.chapter import Number, origin
from effcnn.errors import UserError
from effcnn.results import Run

LATE = 5  # the last epochs, over which the wobble is taken


def last(runs: list[Run]) -> list[float]:
    """Accuracy on the held-out images after the last epoch, in percent, one per run.

    Raises `UserError` where a run held none out, or diverged.
    """
    for run in runs:
        if run.diverged:
            raise UserError(f"{run.folder} diverged")
        if "validation_accuracy" not in run.record["history"][-1]:
            raise UserError(f"{run.folder} has no validation accuracy after its last epoch")
    return [run.record["history"][-1]["validation_accuracy"] for run in runs]


def wobble(runs: list[Run]) -> float:
    """How much the accuracy on held-out images moves from epoch to epoch at the end, in points.

    The mean over the runs of the standard deviation over the last five epochs.
    """
    late = [[e["validation_accuracy"] for e in run.record["history"][-LATE:]] for run in runs]
    return float(pd.DataFrame(late).std(axis=1, ddof=1).mean())


def table(runs: dict[str, list[Run]]) -> pd.DataFrame:
    """One row per cell, the best first.

    Columns: `cell`, `n`, `diverged`, `validation` (an Estimate in percent, None where a run
    diverged) and `wobble` (points).
    """
    rows = []
    for name, group in runs.items():
        lost = sum(run.diverged for run in group)
        rows.append(
            {
                "cell": name,
                "n": len(group),
                "diverged": lost,
                "validation": None if lost else stats.mean(last(group)),
                "wobble": float("nan") if lost else wobble(group),
            }
        )
    order = sorted(rows, key=lambda row: row["validation"] is None or -row["validation"].value)
    return pd.DataFrame(order)


def best(found: pd.DataFrame, least: int = 3) -> str:
    """The cell with the best mean among those with at least `least` runs."""
    tried = found[(found["n"] >= least) & (found["diverged"] == 0)]
    if tried.empty:
        raise UserError(f"no cell of the search has {least} runs")
    return tried.iloc[0]["cell"]


def shown(found: pd.DataFrame, runs: dict[str, list[Run]]) -> pd.DataFrame:
    """The table for a page: each setting, its mean on held-out images, and its origin."""
    rows = []
    for row in found.itertuples():
        group, recipe = runs[row.cell], runs[row.cell][0].recipe
        text = row.validation.text() if row.validation else f"diverged {row.diverged} of {row.n}"
        rate = "–" if recipe.lr is None else f"{recipe.lr:g}"
        rows.append(
            {
                "Optimizer": recipe.optimizer,
                "Rate": f"`{recipe.label}`" if recipe.techniques else rate,
                "Weight decay": f"{recipe.weight_decay:g}",
                "Batch": str(recipe.batch_size),
                "Validation (%)": Number(text, f"last epoch, held-out images; {origin(group)}"),
                "Wobble (points)": f"{row.wobble:.2f}",
                "Runs": str(row.n),
            }
        )
    return pd.DataFrame(rows)


def tested(run: Run) -> float | None:
    """Accuracy on the held-out images of the net that is tested, in percent; None if it diverged.

    Weights that are averaged after the last epoch are in no epoch's entry of the history.
    """
    if run.diverged:
        return None
    return (run.record.get("validation") or {}).get("accuracy") or last([run])[0]


def ladder(runs: dict[str, list[Run]]) -> pd.DataFrame:
    """A greedy search in the order given: a step is kept where it is above the last one kept.

    Columns: `cell`, `change` (the fields that differ from the last step kept), `validation` (an
    Estimate in percent, None where a run diverged), `step` (points above the last step kept, None
    for the first and where a run diverged) and `kept`. Raises `UserError` where the first diverged.
    """
    rows, top, before = [], None, {}
    for name, group in runs.items():
        values, recipe = [tested(run) for run in group], asdict(group[0].recipe)
        if None in values and top is None:
            raise UserError(f"the first step of the ladder, {name}, diverged")
        validation = None if None in values else stats.mean(values)
        recipe["techniques"] = group[0].recipe.label
        change = {key: value for key, value in recipe.items() if before.get(key) != value}
        step = None if top is None or validation is None else validation.value - top
        kept = top is None or (step is not None and step > 0)
        rows.append(
            {
                "cell": name,
                "change": {key: value for key, value in change.items() if key != "seed"},
                "validation": validation,
                "step": step,
                "kept": kept,
            }
        )
        if kept:
            top, before = validation.value, recipe
    return pd.DataFrame(rows)
