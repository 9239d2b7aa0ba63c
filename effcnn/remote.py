"""One run of a sweep on a machine of a Dask cluster: what goes there and what comes back.

Importing this needs no torch, for the sweep's own process does; `work` does.
"""

import logging
import queue
import re
import threading
import time
import warnings
from argparse import Namespace
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import effcnn
from effcnn import results, store
from effcnn.errors import UserError
from effcnn.pool import Lines, Seat
from effcnn.recipe import RECIPE_VERSION, Recipe

ADDRESS = r"(tcp|tls)://([\w.-]+|\[[\da-fA-F:.]+\]):\d{1,5}"
TIMEOUT = 10  # seconds, for the scheduler to answer
REPORTS = 1.0  # seconds from one to the next: all workers' go through one scheduler

_one = threading.Lock()  # a process trains one run at a time, however many threads Dask gives it


@dataclass(frozen=True)
class Parcel:
    """All that a worker gets for one run."""

    train: partial  # effcnn.sweep.train, but for job, seat and root
    job: object  # an effcnn.sweep.Task
    files: dict[str, bytes]  # what the store has of it: checkpoint and kept epochs
    device: str
    threads: int
    use: bytes | None  # a file of techniques
    sweep: str  # topic of its reports, and name of the event that stops it
    versions: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What a worker sends back."""

    outcome: str  # as `effcnn.sweep.train` has it
    reason: str = ""
    files: dict[str, bytes] = field(default_factory=dict)  # of the run; if stopped, as it got them


def connect(args: Namespace, root: Path, missing: int):
    """The `Cluster` that the flags of a sweep ask for; None where no run is missing.

    Raises: UserError for flags that do not go together, and where no scheduler answers.
    """
    for flag, given in (("workers", args.workers is not None), ("dry-run", args.dry_run)):
        if given:
            raise UserError(f"--{flag} is about this machine; leave it or --scheduler out")
    if ":" in args.device:
        raise UserError(f"device is {args.device}; with --scheduler it is cuda, one per worker")
    if not re.fullmatch(ADDRESS, args.scheduler):
        where = f"'{args.scheduler}' is not the address of a scheduler"
        raise UserError(f"{where}; it has the form tcp://HOST:PORT")
    from effcnn.cluster import Cluster

    machine = {"device": args.device, "threads": args.threads or 1, "use": args.use}
    return Cluster(args.scheduler, root=root, **machine) if missing else None


def client(address: str):
    """A `distributed.Client` of the scheduler there. Raises `UserError` where none answers."""
    import distributed
    from distributed.versions import VersionMismatchWarning

    for name in ("distributed", "distributed.client", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told in one line
    found: queue.Queue = queue.Queue()

    def connect() -> None:
        try:
            found.put(distributed.Client(address, timeout=TIMEOUT, set_as_default=False))
        except (OSError, TimeoutError, ValueError, KeyError):
            found.put(None)

    with warnings.catch_warnings():
        # It has several lines; `work` compares the versions that matter.
        warnings.simplefilter("ignore", VersionMismatchWarning)
        # In a thread, for Dask waits for ever where another program listens and says nothing.
        threading.Thread(target=connect, daemon=True).start()
        with suppress(queue.Empty):
            if one := found.get(timeout=TIMEOUT + 1):
                return one
    raise UserError(f"no scheduler answers at {address}; 'dask scheduler' starts one")


def versions() -> dict[str, str]:
    """What should be the same on all machines."""
    return {
        "effcnn": f"{effcnn.__version__} with recipes {RECIPE_VERSION}",
        "torch": version("torch").partition("+")[0],
    }


def read(recipe: Recipe, root: Path) -> dict[str, bytes]:
    """The files of an unfinished run, by their path in `.partial/`; the checkpoint comes last."""
    folder = store.place(recipe, root)
    paths = [*sorted(folder.rglob("*")), folder.with_suffix(".safetensors")]
    return _contents(paths, folder.parent)


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Put files below a folder, in their order. Raises `store.WriteError`."""
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise store.WriteError.of(error, path.parent) from None
        store.put(path, content)


def keep(answer: Answer, recipe: Recipe, root: Path) -> None:
    """Put a finished run into its place in the store `root`, and a stopped one where it waits.

    Raises: UserError where that cannot be done.
    """
    folder = store.place(recipe, root)
    if answer.outcome == "stopped":
        write(folder.parent, answer.files)
    if answer.outcome == "trained":
        store.clear(folder)
        write(folder, answer.files)
        if results.read(folder).recipe != recipe:
            raise UserError(f"{folder}: a worker has sent another run")
        store.move(folder, root / recipe.folder)
        store.forget(recipe, root)


def _contents(paths: list[Path], below: Path) -> dict[str, bytes]:
    files = [path for path in paths if path.is_file()]
    return {path.relative_to(below).as_posix(): path.read_bytes() for path in files}


def work(parcel: Parcel) -> Answer:
    """Train one run in a store of this worker's own: a task of the cluster."""
    import distributed

    worker = distributed.get_worker()
    key, name = worker.get_current_task(), f"worker {worker.address}"
    here, there = versions(), parcel.versions
    if here["effcnn"] != there["effcnn"]:
        return Answer("refused", f"{name} has effcnn {here['effcnn']}, not {there['effcnn']}")

    def tell(kind: str, value: object) -> None:
        worker.log_event(parcel.sweep, (key, kind, value))

    with (
        _one,
        TemporaryDirectory(prefix="effcnn-", dir=worker.local_directory) as folder,
        warnings.catch_warnings(),
        redirect_stderr(Lines(lambda line: tell("line", line))),
    ):
        warnings.showwarning = lambda message, *_, **__: tell("warning", str(message))
        if here["torch"] != there["torch"]:
            tell("warning", f"{name} has torch {here['torch']}, not {there['torch']}")
        root, files = Path(folder), {}
        outcome, reason = _train(parcel, root, worker, tell)
        if outcome == "trained":
            place = root / parcel.job.recipe.folder
            files = _contents(sorted(place.rglob("*")), place)
        if outcome == "stopped":
            files = read(parcel.job.recipe, root)
        return Answer(outcome, f"{name}: {reason}" if reason else "", files)


def _train(parcel: Parcel, root: Path, worker, tell: Callable) -> tuple[str, str]:
    """Call `parcel.train` with a seat that reports to the sweep and listens to it."""
    import distributed

    from effcnn import catalogue
    from effcnn import data as datasets
    from effcnn.device import pick_device

    key, last = worker.get_current_task(), 0.0
    halt, recipe = distributed.Event(parcel.sweep), parcel.job.recipe

    def report(value: dict) -> None:
        nonlocal last
        if value["entry"] or time.monotonic() > last + REPORTS:
            last = time.monotonic()
            tell("report", (worker.address, value))

    def stop() -> bool:
        task = worker.state.tasks.get(key)  # not wanted any more where the sweep is gone
        return task is None or task.state == "cancelled" or halt.is_set()

    if stop():
        return "stopped", ""
    try:
        write(root / ".partial", parcel.files)
        if parcel.use is not None:  # under one name, so that each takes the place of the last
            write(Path(worker.local_directory), {"techniques.py": parcel.use})
            catalogue.use(Path(worker.local_directory) / "techniques.py")
        # What is wrong with the machine, and not with one run, would fail all the others too.
        pick_device(parcel.device)
        part = {"train_images": recipe.train_images, "holdout": recipe.holdout}
        datasets.load(recipe.dataset, parcel.train.keywords["data"], **part)
    except UserError as error:
        return "refused", str(error)
    return parcel.train(parcel.job, Seat(parcel.device, parcel.threads, report, stop), root=root)
