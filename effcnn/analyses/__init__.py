"""Results about trained nets that need the data sets, or minutes: `effcnn analyse NAME CELL`.

One analysis is one module here, with a function `analyse(run, content, show)`: from a stored run
and its data to numbers that JSON can hold. They are kept as one file per run in the store, beside
the runs, so that pages can show them on a machine without the data.

Importing this needs no torch.
"""

import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from effcnn import results, store
from effcnn.errors import UserError, unknown
from effcnn.results import Run

NAMES = ("gates", "path", "sharpness", "shift", "spectrum")

# What an analysis wraps around its longest loop, to show how far it is.
Show = Callable[[Iterable], Iterable]


def place(name: str, run: Run, root: Path) -> Path:
    """Where the analysis of a run lies in a store."""
    if name not in NAMES:
        raise unknown("analysis", name, NAMES)
    return root / "analyses" / name / f"{run.recipe.folder}.json"


def read(name: str, run: Run, *roots: Path) -> dict:
    """A stored analysis of `run`, from the first of `roots` that has it (default: all).

    Raises `UserError` where there is none, or it is damaged.
    """
    for root in roots or results.roots():
        path = place(name, run, root)
        try:
            return json.loads(path.read_text(encoding="utf-8"))["result"]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged ({error}); delete it and make it again") from None
    raise UserError(
        f"no analysis '{name}' of {run.recipe.folder}; make it with "
        f"'effcnn analyse {name} CELL' (see --help)"
    )


def make(
    name: str, run: Run, root: Path, data: Path | str | None = None, show: Show = iter
) -> Path:
    """The file of an analysis of `run` in the store `root`: the one that is there, else made now.

    Args:
        run: one that kept its weights (`path`: after every epoch).
        data: folder of the data sets; see `effcnn.data.folder_for`.
        show: wraps the longest loop, for a progress bar.

    Raises: UserError for a run without what the analysis needs, and where the file cannot be
        written.
    """
    path = place(name, run, root)
    if path.is_file():
        return path
    store.check_writable(root)
    # One at a time per run: two at once would write the same temporary file.
    with store.claim(run.recipe, root):
        return path if path.is_file() else _make(name, run, path, data, show)


def _make(name: str, run: Run, path: Path, data: Path | str | None, show: Show) -> Path:
    import torch

    from effcnn import data as datasets
    from effcnn import provenance

    content = datasets.load(
        run.recipe.dataset, data, train_images=run.recipe.train_images, holdout=run.recipe.holdout
    )
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    result = import_module(f"{__name__}.{name}").analyse(run, content, show)
    record = {
        "analysis": name,
        "run": run.recipe.folder,
        "started": started,
        "seconds": round(time.perf_counter() - clock, 1),
        "provenance": provenance.machine(torch.device("cpu")),
        "result": result,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        store.put(path, (json.dumps(record, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise store.WriteError.of(error, path) from None
    return path


def with_weights(runs: list[Run]) -> Run:
    """The run of a cell that kept its weights. Raises `UserError` where none did."""
    for run in runs:
        if (run.folder / "weights.safetensors").is_file():
            return run
    raise UserError(f"no run in {runs[0].folder.parent} kept its weights")


def rounded(values, digits: int = 5) -> list:
    """A tensor as nested lists of numbers with so many significant digits."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, list):
        return [rounded(value, digits) for value in values]
    return float(f"{values:.{digits}g}")
