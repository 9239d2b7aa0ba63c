"""The scores of "Beat the book": submissions ranked, each beside the book's own recipe.

Importing this needs no torch.
"""

import math
from pathlib import Path
from textwrap import fill

import pandas as pd

from effcnn import results, stats
from effcnn.errors import UserError
from effcnn.recipe import Recipe
from effcnn.results import Run
from effcnn.stats import Estimate
from effcnn.submission import BOOK, Entry

COLUMNS = (
    *("rank", "submission", "status", "accuracy", "half", "gain", "gain_half", "p", "p_holm"),
    *("beats", "runs", "params", "macs", "minutes", "validation", "model", "techniques", "note"),
)
WIDTH = 98  # characters of a line of text
DIGITS = 6  # of a mean of percents: more are rounding, and would break ties
NONE = Estimate(math.nan, math.nan, 0)


def report(
    entries: list[Entry],
    root: Path,
    *,
    split: str,
    rehearsal: bool = False,
    csv: Path | None = None,
) -> str:
    """The ranking for a terminal, and how to read it.

    Args:
        rehearsal: say that these are not the scores.
        csv: where every column of `scores` goes too.
    Raises: UserError if that cannot be written.
    """
    table = scores(entries, root, split)
    if csv:
        try:
            table.to_csv(csv, index=False, float_format="%.6g")
        except OSError as error:
            raise UserError(f"cannot write {csv}: {error.strerror or error}") from None
    parts = [shown(table), "", *(fill(text, WIDTH) for text in legend(entries, root, split))]
    if rehearsal:
        parts.append("A REHEARSAL: with --epochs or --sample these are not the scores.")
    return "\n".join(parts)


def scores(entries: list[Entry], root: Path, split: str) -> pd.DataFrame:
    """One row per entry, the best first, those without a score last.

    Args:
        entries: the first one is the book's own.
        root: the store.
        split: the images that count, `validation` or `test`.
    Returns: `rank` (the same for the same mean; missing for the book and without a score),
        `submission`, `status` (scored, incomplete, diverged or refused), `accuracy` (percent) with
        `half`, of its 95% interval; `gain` over the book (points) with `gain_half` and `p`, of
        Welch's test; `p_holm`, corrected over the table; `beats` (whether the gain's interval lies
        above zero); `runs`, `params`, `macs`; `minutes` of training per run; `validation`, the mean
        on the held-out images; `model`, `techniques` and `note`.
    """
    runs = {entry.name: _runs(entry, root) for entry in entries}
    theirs = _accuracies(entries[0], runs[BOOK], split)
    table = pd.DataFrame([_row(entry, runs[entry.name], theirs, split) for entry in entries])
    table["p_holm"] = stats.holm(table["p"])
    table["note"] = _notes(entries)
    means = table["accuracy"].round(DIGITS)
    ranked = means.where(table["submission"] != BOOK)
    table["rank"] = ranked.rank(method="min", ascending=False).astype("Int64")
    table[["params", "macs"]] = table[["params", "macs"]].astype("Int64")
    table = table.assign(order=-means).sort_values(["order", "submission"], ignore_index=True)
    return table[list(COLUMNS)]


def _runs(entry: Entry, root: Path) -> list[Run]:
    recipes = entry.cell.recipes() if entry.cell else ()
    return [run for recipe in recipes if (run := results.whole(recipe, root))]


def _status(entry: Entry, runs: list[Run]) -> str:
    if entry.cell is None:
        return "refused"
    if any(run.diverged for run in runs):
        return "diverged"
    return "scored" if len(runs) == len(entry.cell.seeds) else "incomplete"


def _accuracies(entry: Entry, runs: list[Run], split: str) -> list[float]:
    """One per run; none where the entry has no score."""
    return results.accuracies(runs, split) if _status(entry, runs) == "scored" else []


def _row(entry: Entry, runs: list[Run], theirs: list[float], split: str) -> dict:
    values, held = (_accuracies(entry, runs, name) for name in (split, "validation"))
    mean = stats.mean(values) if values else NONE
    compared = values and theirs and entry.name != BOOK
    gain = stats.difference(values, theirs) if compared else NONE
    seconds = [run.record["time"]["train_seconds"] for run in runs]
    return {
        "submission": entry.name,
        "status": _status(entry, runs),
        "accuracy": mean.value,
        "half": mean.half,
        "gain": gain.value,
        "gain_half": gain.half,
        "p": gain.p,
        "beats": _beats(gain),
        "runs": len(runs),
        "params": entry.params,
        "macs": entry.macs,
        "minutes": sum(seconds) / len(seconds) / 60 if seconds else math.nan,
        "validation": stats.mean(held).value if held else math.nan,
        "model": entry.cell.recipe.model if entry.cell else "",
        "techniques": entry.cell.recipe.label if entry.cell else "",
    }


def _beats(gain: Estimate) -> str:
    """Whether the interval of the gain lies above zero, or why there is none."""
    if math.isnan(gain.value):
        return ""
    return gain.lacks or ("yes" if gain.low > 0 else "no")


def _notes(entries: list[Entry]) -> list[str]:
    """Why an entry was refused, or whose recipe it repeats."""
    first: dict[Recipe, str] = {}
    notes = []
    for entry in entries:
        key = entry.cell.recipe.with_seed(0) if entry.cell else None
        twin = first.setdefault(key, entry.name) if key else entry.name
        notes.append(entry.refused if twin == entry.name else f"the same recipe as {twin}")
    return notes


def shown(table: pd.DataFrame) -> str:
    """The table of `scores` for a terminal, and its notes."""
    several = table["rank"].count() > 1
    rows = []
    for row in table.itertuples():
        texts = {"rank": "-" if pd.isna(row.rank) else row.rank, "submission": row.submission}
        scored = row.status == "scored"
        texts["accuracy (%)"] = _text(row.accuracy, row.half) if scored else row.status
        texts["gain"] = "-" if math.isnan(row.gain) else _text(row.gain, row.gain_half, "+")
        texts["beats the book"] = row.beats or "-"
        if several:
            texts["p (Holm)"] = "-" if math.isnan(row.p_holm) else f"{row.p_holm:.3f}"
        texts["parameters"] = "-" if pd.isna(row.params) else f"{row.params:,}"
        texts["MACs"] = "-" if pd.isna(row.macs) else f"{row.macs:,}"
        texts["min/run"] = "-" if math.isnan(row.minutes) else f"{row.minutes:.1f}"
        rows.append(texts)
    notes = [f"{row.submission}: {row.note}" for row in table.itertuples() if row.note]
    return "\n".join([pd.DataFrame(rows).to_string(index=False), *notes])


def _text(value: float, half: float, sign: str = "") -> str:
    return Estimate(value, half, 0).text(sign)


def legend(entries: list[Entry], root: Path, split: str) -> list[str]:
    """How to read the table: which images, which intervals, and what may be claimed."""
    book, *others = (entry.cell for entry in entries if entry.cell)
    held = f"the {book.recipe.holdout:,} held-out training images"
    said = [
        f"Mean accuracy on {'the test images' if split == 'test' else held} with its 95% interval, "
        f"{_seeds(others[0].seeds)}; the book's with {_seeds(book.seeds)}, trained here too. The "
        "book is beaten where the interval of the gain over it (Welch's) lies above zero."
    ]
    if len(others) > 1:
        said.append(
            "p (Holm) is corrected for the number of submissions: it is for claims on the whole "
            "table, such as that the best of them beats the book."
        )
    if split == "validation":
        count = looks(root, book.recipe)
        said.append(f"Recipes looked at on these images in {root}: {count}. Report the number.")
    return said


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def looks(root: Path, base: Recipe) -> int:
    """With how many recipes the held-out images were looked at in this store, but the book's."""
    kept = {"dataset", "train_images", "holdout"}
    found = {run.recipe.with_seed(0) for run in results.runs(root)} if root.is_dir() else set()
    alike = [r for r in found if all(getattr(r, name) == getattr(base, name) for name in kept)]
    return len(set(alike) - {base.with_seed(0)})
