"""What every chapter needs: runs by profile, numbers that show their origin, tables.

Reading published runs needs no torch; the profiles that train do.
"""

import math
import re
import warnings
from dataclasses import dataclass, replace
from html import escape
from inspect import getsource
from pathlib import Path
from textwrap import dedent

import pandas as pd

from effcnn import analyses, cells, paper, results, stats
from effcnn.cells import Cell
from effcnn.errors import UserError, unknown
from effcnn.recipe import TITLES

PROFILES = ("published", "quick", "full")

# Sample runs are for trying a chapter out: an epoch or two, so that a page takes under a minute.
QUICK_EPOCHS = 2
QUICK_IMAGES = 2_000
QUICK_HOLDOUT = 500

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
        left = [2 * sum(map(_numeric, frame[column])) <= len(frame) for column in frame]
        lines = [frame.columns, [":--" if is_left else "--:" for is_left in left]]
        lines += frame.map(_markdown).itertuples(index=False)
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def __repr__(self) -> str:
        return self.frame.to_string(index=False)


def _markdown(entry: object) -> str:
    """A number keeps its origin; other entries are Markdown already."""
    return entry._repr_html_() if isinstance(entry, Number) else str(entry)


def _numeric(entry: object) -> bool:
    """Whether a table's entry is a number, as `99.31 ± 0.1`, `25,144`, `1.05×` and `−0.3` are."""
    return bool(re.fullmatch(r"[+−]?[\d,.]+( ± [\d.]+)?[%×]?", str(entry)))


def note(profile: str) -> str:
    """One sentence on what the reader is looking at, for the top of a chapter."""
    if profile == "quick":
        return (
            "**Quick profile.** The MNIST runs on this page were trained on this machine, for a "
            "moment, on the embedded sample. They show that everything works; "
            "they are *not* the results."
        )
    if profile == "full":
        return "**Full profile.** Runs that were missing were trained on this machine."
    return (
        "**Published profile.** The runs on this page come from `results/`. The page “All runs” "
        "lists them."
    )


def runs(
    names: list[str],
    profile: str = "published",
    *,
    seeds: str = "",
    epochs: int = 0,
    quick_epochs: int = QUICK_EPOCHS,
) -> dict[str, list[results.Run]]:
    """The runs of the cells `names`, as the profile says.

    Args:
        names: cells of the sweep files: table-3/mnist-25k.
        profile: `published` reads results/ and trains nothing. `quick` trains the MNIST cells on
            the embedded sample for a moment, one seed each, into the reader's own store, and
            reads the published runs of the others. `full` trains each run that is missing, on the
            real data, into the reader's own store.
        seeds: "0-2", in place of the cells' seeds; only where the profile trains. A bare number
            is a seed too: plain papermill makes one of `-p seeds 1`.
        epochs: in place of the profile's; only where the profile trains.
        quick_epochs: of the profile `quick`.

    Raises: UserError for an unknown cell or profile, a missing run, and for seeds or epochs
        beside `published`, where they could change nothing.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    seeds = str(seeds)
    if profile == "published" and (seeds or epochs):
        raise UserError("seeds and epochs need a profile that trains: quick or full")
    folder, known = results.published(), cells.cells()
    if folder is None:
        raise UserError("no results/ folder here; run this inside a checkout of the book")
    for name in names:
        if name not in known:
            raise unknown("cell", name, known)
    epochs = epochs or (quick_epochs if profile == "quick" else 0)
    found = {}
    for name in names:
        embedded = known[name].recipe.dataset == "mnist"
        if profile == "published" or (profile == "quick" and not embedded):
            found[name] = results.cell(name, folder)
        else:
            cell = _adapt(known[name], profile, seeds, epochs)
            # A folder of its own keeps these runs from those that a reader makes on the sample.
            quick = profile == "quick"
            found[name] = _train(cell, results.own() / "quick" if quick else results.own())
    return found


def trained(names: list[str], profile: str = "published") -> list[str]:
    """Of the cells `names` those with all their runs in results/: a table grows while it trains.

    With the profile `full` all of them, because it trains what is missing.
    """
    if profile == "full":
        return list(names)
    folder, known = results.published(), cells.cells()
    return [
        name
        for name in names
        if folder and all(results.find(recipe, folder) for recipe in known[name].recipes())
    ]


def _adapt(cell: Cell, profile: str, seeds: str, epochs: int) -> Cell:
    """The cell as the profile trains it."""
    if profile == "quick":
        recipe = replace(
            cell.recipe,
            dataset="mnist-sample",
            train_images=QUICK_IMAGES,
            holdout=QUICK_HOLDOUT,
        )
        cell = replace(cell, recipe=recipe, seeds=cell.seeds[:1])
    return cell.override(cells.parse_seeds(seeds) if seeds else (), epochs or None)


def _train(cell: Cell, root: Path) -> list[results.Run]:
    """The cell's runs: those that are there, else trained now, with the epochs the cell keeps."""
    found = []
    for recipe in cell.recipes():
        run = results.find(recipe, *results.roots(), root)
        if run is None:
            from effcnn import runs as training

            print(f"training {cell.name}, seed {recipe.seed}, {recipe.epochs} epochs")
            with warnings.catch_warnings():
                # A warning on a page fails the build, and so few epochs leave SWA one to average.
                warnings.simplefilter("ignore")
                # One thread, as sweeps have: another number would round otherwise.
                keep = recipe.seed in cell.keep_epochs
                run = training.train(recipe, root, threads=1, keep_epochs=keep)
        found.append(run)
    return found


def analysis(name: str, runs: list[results.Run], profile: str = "published") -> dict:
    """What `effcnn analyse` has found of a cell's net; see `effcnn.analyses`.

    Where it is missing, a profile that trains makes it now, into the reader's own store; the
    published profile raises `UserError`.
    """
    run = analyses.with_weights(runs)
    root = results.own() / "quick" if profile == "quick" else results.own()
    try:
        return analyses.read(name, run, *results.roots(), root)
    except UserError:
        if profile == "published":
            raise
    print(f"analysing {run.recipe.folder}: {name}")
    analyses.make(name, run, root)
    return analyses.read(name, run, root)


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
                row["Difference"] = f"{mean - theirs.accuracy:+.2f}".replace("-", "−")
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
