"""The store of runs: one readable folder per run, written whole or not at all, never edited.

A run's folder holds `run.json` (recipe, status, history, test result, costs, provenance),
`predictions.safetensors` (answer, confidence and label of every test image), and for the seeds
that kept them `weights.safetensors` and `epochs/01.safetensors` and so on.
Importing this needs neither torch nor pandas, so that training runs where only torch is installed.
"""

import errno
import json
import os
import warnings
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from effcnn import store
from effcnn.cells import cells, checkout
from effcnn.errors import UserError, unknown
from effcnn.recipe import Recipe
from effcnn.store import check_writable as check_writable  # part of what a reader calls the store

STATUSES = ("finished", "diverged")


@dataclass(frozen=True)
class Run:
    """One training that happened, as it lies in the store."""

    folder: Path
    recipe: Recipe
    record: dict  # run.json

    @property
    def diverged(self) -> bool:
        """Whether its loss became no number, so that it has no accuracy."""
        return self.record["status"] == "diverged"

    def predictions(self) -> dict[str, np.ndarray]:
        """`answer` and `label` (uint8) and `confidence` (float16), each (test images,)."""
        path = self.folder / "predictions.safetensors"
        try:
            found = load_file(path)
            shape = (self.record["test"]["images"],)
            kinds = {name: (str(part.dtype), part.shape) for name, part in found.items()}
            wanted = {"answer": "uint8", "confidence": "float16", "label": "uint8"}
            if kinds != {name: (dtype, shape) for name, dtype in wanted.items()}:
                raise TypeError("it does not hold the answers to all test images")
        # NumPy lacks some of the types that a file can name.
        except (OSError, SafetensorError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: {error}; train the run again in another folder") from None
        return found


def published() -> Path | None:
    """The `results/` folder of the book this process runs in, or None outside a checkout."""
    root = checkout()
    return root / "results" if root and (root / "results").is_dir() else None


def own() -> Path:
    """Where a reader's runs go: the folder in EFFCNN_RESULTS, else `runs/` here."""
    return Path(os.environ.get("EFFCNN_RESULTS") or "runs").expanduser()


def roots() -> list[Path]:
    """The folders that are read when none is named: the published runs and one's own."""
    folders = [folder for folder in (published(), own()) if folder is not None and folder.is_dir()]
    return list({folder.resolve(): folder for folder in folders}.values())


def find(recipe: Recipe, *folders: Path) -> Run | None:
    """The run of exactly this recipe in the first of `folders` that holds it."""
    # By hash: the folder above it is for people, and leaves out what are defaults today.
    dataset, net, *_, name = recipe.folder.split("/")
    pattern = f"{dataset}/{net}/*/{name}/run.json"
    paths = (path for folder in folders for path in folder.glob(pattern))
    path = next(paths, None)
    return None if path is None else read(path.parent)


def whole(recipe: Recipe, *folders: Path) -> Run | None:
    """As `find`; a damaged run is none. Whoever trains it will say that it is damaged."""
    try:
        return find(recipe, *folders)
    except UserError:
        return None


def read(folder: Path | str) -> Run:
    """Read one run's folder. Raises `UserError` if it is not a run or is damaged."""
    folder = Path(folder)
    path = folder / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        recipe = Recipe.from_dict(record["recipe"])
        if record["hash"] != recipe.hash:
            raise UserError("its recipe does not give its hash: it was edited")
        if record["status"] not in STATUSES:
            raise unknown("status", record["status"], STATUSES)
        run = Run(folder, recipe, record)
        if missing := set(COLUMNS) - set(row(run)):
            raise UserError(f"no {', '.join(sorted(missing))}")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is not a run: it has no run.json") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise UserError(f"{path} is damaged ({reason}); move the folder away") from None
    return run


def runs(*folders: Path | str) -> list[Run]:
    """Every run below `folders` (default: published and own), damaged ones named and skipped."""
    found = []
    for root in map(Path, folders or roots()):
        if not root.is_dir():
            raise UserError(f"there is no results folder {root}")
        for path in sorted(root.rglob("run.json")):
            if ".partial" in path.parts:
                continue
            try:
                found.append(read(path.parent))
            except UserError as error:
                warnings.warn(f"skipped: {error}", stacklevel=2)
    return found


def write(
    root: Path,
    recipe: Recipe,
    record: dict,
    files: dict[str, bytes],
    there: Collection[str] = (),
) -> Run:
    """Put a finished run into the store: whole or not at all.

    It is put together in `.partial/` and moved into its place in one step; a run that is already
    there stays as it is.

    Args:
        there: files of the run that lie in its folder in `.partial/` already.

    Raises: UserError if it cannot be written, or the disk is full.
    """
    partial, target = store.place(recipe, root), root / recipe.folder
    record = {"recipe": asdict(recipe), "hash": recipe.hash, **record}
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    try:
        store.clear(partial, keep=there)
        if lost := [name for name in there if not (partial / name).is_file()]:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), partial / lost[0])
        partial.mkdir(parents=True, exist_ok=True)
        for name, content in {**files, "run.json": text.encode()}.items():
            store.put(partial / name, content)
        store.move(partial, target)
    except OSError as error:
        raise store.WriteError.of(error, error.filename) from None
    return read(target)


def load(*folders: Path | str):
    """One row per run, as a pandas DataFrame; from `folders`, else published and one's own.

    Accuracy is in percent, on the test set; it and `loss` are missing where a run diverged.
    `cell` names the cells of the sweep files whose recipe this is, but for the seed; it is empty
    for other runs. `run` is the folder of the run, `hash` that of its recipe, and `command` trains
    it again.
    """
    import pandas as pd

    names: dict[Recipe, list[str]] = {}
    for one in cells().values():
        names.setdefault(one.recipe.with_seed(0), []).append(one.name)
    rows = [row(run, names.get(run.recipe.with_seed(0), [])) for run in runs(*folders)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    # A column that is empty in every run would hold objects.
    frame = frame.astype(dict.fromkeys(("lr", "accuracy", "loss"), float))
    return frame.sort_values(["dataset", "model", "techniques", "seed"], ignore_index=True)


COLUMNS = (
    *("dataset", "model", "techniques", "augment", "optimizer", "lr", "weight_decay"),
    *("batch_size", "precision", "train_images", "holdout", "epochs", "seed", "status"),
    *("params", "macs", "accuracy", "loss", "size_bytes", "torch_bytes", "train_seconds"),
    *("images_per_second", "device", "cpu", "threads", "compiled", "torch", "commit", "started"),
    *("recipe_version", "hash", "cell", "run", "command"),
)


def row(run: Run, names: Sequence[str] = ()) -> dict:
    """One run as a row of `load`, for the cells `names`."""
    record = run.record
    return {
        **asdict(run.recipe),
        "techniques": run.recipe.label,
        "status": record["status"],
        **record["costs"],
        "accuracy": record["test"]["accuracy"],
        "loss": record["test"]["loss"],
        **record["time"],
        **{key: record["provenance"][key] for key in ("device", "cpu", "threads", "torch")},
        # Runs without it were made before there was a choice: none of them was compiled.
        "compiled": record["provenance"].get("compiled", False),
        "commit": record["provenance"]["commit"],
        "hash": run.recipe.hash,
        "cell": " ".join(names),
        "run": str(run.folder),
        "command": run.recipe.command(),
    }


def cell(name: str, *folders: Path | str) -> list[Run]:
    """The runs of one cell, by its name in a sweep file (`table-3/mnist-25k`), one per seed.

    Raises `UserError` for an unknown cell and for a cell that lacks a run.
    """
    known = cells()
    if name not in known:
        raise unknown("cell", name, known)
    recipes = known[name].recipes()
    found = [find(recipe, *map(Path, folders or roots())) for recipe in recipes]
    missing = [str(recipe.seed) for recipe, run in zip(recipes, found, strict=True) if run is None]
    if missing:
        raise UserError(f"cell {name} has no run for seed {', '.join(missing)}")
    return found


def group(name: str, *folders: Path | str) -> list[Run]:
    """The runs of a cell, or of a folder such as `mnist/25k/baseline`, which must be one recipe.

    Raises `UserError` where there is no such cell or folder, or where the folder holds several
    recipes: a mean over different recipes means nothing.
    """
    if name in cells():
        return cell(name, *folders)
    for root in map(Path, folders):
        if not root.is_dir():
            raise UserError(f"there is no results folder {root}")
    places = [Path(root) / name for root in folders or roots()] + [Path(name)]
    found: dict[str, Run] = {}  # by hash: the same run may lie in two stores
    for path in (path for place in places for path in sorted(place.glob("seed*/run.json"))):
        run = read(path.parent)
        found.setdefault(run.recipe.hash, run)
    if not found:
        if cells():
            raise unknown("cell or folder of runs", name, cells())
        raise UserError(f"there is no folder of runs {name}; 'effcnn results' lists the runs")
    if len({run.recipe.with_seed(0) for run in found.values()}) > 1:
        listed = ", ".join(run.folder.name for run in found.values())
        raise UserError(f"{name} holds runs of several recipes ({listed}); name a cell instead")
    return list(found.values())


def accuracies(runs: list[Run], split: str = "test") -> list[float]:
    """Accuracies in percent on the images of a split, `test` or `validation`.

    Raises `UserError` if a run diverged: there is no mean then.
    """
    for run in runs:
        if run.diverged:
            raise UserError(f"{run.folder} diverged: its cell has no mean")
    return [run.record[split]["accuracy"] for run in runs]
