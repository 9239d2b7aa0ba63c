"""The runs of a chapter, by profile: read from results/, trained small, or trained where missing.

Reading published runs needs no torch; the profiles that train do.
"""

import warnings
from dataclasses import replace
from pathlib import Path

from effcnn import analyses, cells, results
from effcnn.cells import Cell
from effcnn.errors import UserError, unknown

PROFILES = ("published", "quick", "full")

# Sample runs are for trying a chapter out: an epoch or two, so that a page takes under a minute.
QUICK_EPOCHS = 2
QUICK_IMAGES = 2_000
QUICK_HOLDOUT = 500


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
