"""Before a sweep: which runs it has, where they go, what is missing, and how long it will take."""

import heapq
import os
import time
from pathlib import Path

from effcnn import results, store
from effcnn.cells import Cell
from effcnn.errors import UserError
from effcnn.pool import Pool, Seat
from effcnn.progress import alike, duration, images
from effcnn.recipe import Recipe
from effcnn.sweep import Task

PER_CARD = 4  # workers side by side on one GPU: a guess for nets this small, until measured
TEST_IMAGES = {"mnist": 10_000, "mnist-sample": 1_000, "cifar10": 10_000}


def plan(cells: list[Cell]) -> list[Task]:
    """One task per recipe, in the cells' order; the first seed of a cell keeps its weights."""
    tasks: dict[Recipe, Task] = {}
    for cell in cells:
        for recipe in cell.recipes():
            name = f"{cell.name} seed {recipe.seed}"
            weights, epochs = recipe.seed == cell.seeds[0], recipe.seed in cell.keep_epochs
            if twin := tasks.get(recipe):  # two cells may share a run
                name, weights = twin.name, weights or twin.keep_weights
                epochs = epochs or twin.keep_epochs
            tasks[recipe] = Task(name, recipe, weights, epochs)
    return list(tasks.values())


def devices(name: str, workers: int | None, threads: int, runs: int) -> list[str]:
    """The device of each worker.

    Args:
        name: auto, cpu, cuda, cuda:1 or mps; `cuda` is all cards, taken in turn.
        workers: default: on the CPU as many as keep every core of this process busy, which beats
            one process with all threads; on a GPU 4 per card, a guess until it is measured.
        runs: there are never more workers than these.
    Raises: UserError for a device that is not there.
    """
    cards = [name]
    if name != "cpu":
        import torch

        from effcnn.device import pick_device

        cards = [str(pick_device(name))]
        if cards == ["cuda"]:
            cards = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if workers is None and cards == ["cpu"]:
        workers = cores() // threads
    elif workers is None:
        workers = PER_CARD * len(cards) if cards[0].startswith("cuda") else 1
    return [cards[i % len(cards)] for i in range(max(1, min(workers, runs)))]


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check(tasks: list[Task], root: Path) -> list[Task]:
    """The runs that are missing. Raises `UserError` where they could not be stored."""
    store.check_writable(root)
    missing = []
    for task in tasks:
        known = results.whole(task.recipe, root)  # a damaged one fails alone, in its worker
        if known is None:
            missing.append(task)
        elif task.keep_epochs and not (known.folder / "epochs").is_dir():
            raise UserError(f"{known.folder} is there without its epochs; name another --results")
    return missing


def provide(missing: list[Task], data: str | None) -> None:
    """Have the data sets here before any worker starts. Raises `UserError`."""
    for name in sorted({task.recipe.dataset for task in missing} - {"mnist-sample"}):
        from effcnn import data as datasets

        datasets.load(name, data)


def elsewhere(recipe: Recipe, root: Path) -> bool:
    """Whether another process trains it in the store `root` at this moment."""
    path = store.place(recipe, root).with_suffix(".lock")
    if not path.exists():
        return False
    from filelock import FileLock, Timeout

    lock = FileLock(path)  # not store.claim, which would remove what a kill has left
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def started(recipe: Recipe, root: Path) -> bool:
    """Whether it has a checkpoint to go on from."""
    return store.place(recipe, root).with_suffix(".safetensors").exists()


def epochs_done(recipe: Recipe, root: Path) -> int:
    """Epochs in its checkpoint; 0 without one, and where it is damaged."""
    if not started(recipe, root):
        return 0
    from effcnn import checkpoint

    try:
        path = store.place(recipe, root).with_suffix(".safetensors")
        return len(checkpoint.read(path)["state"]["history"])
    except Exception:  # whatever it is, training will say so and start again
        return 0


def summary(missing: list[Task], done: int, root: Path, seats: list[str], threads: int) -> str:
    """What a sweep begins with, in one line."""
    begun = sum(started(task.recipe, root) for task in missing)
    taken = sum(elsewhere(task.recipe, root) for task in missing)
    parts = [f"{done + len(missing)} runs: {done} there, {len(missing)} to train"]
    parts += [f"{begun} of them from a checkpoint"] if begun else []
    parts += [f"{taken} running elsewhere"] if taken else []
    cards = ", ".join(dict.fromkeys(seats))
    workers = f"{len(seats)} worker{'s' * (len(seats) > 1)} on {cards}"
    return f"{', '.join(parts)}; {workers}, {threads} thread{'s' * (threads > 1)} each"


def measure(recipe: Recipe, seat: Seat) -> tuple[float, float, float]:
    """In a worker: seconds per image of training and testing, and how long it took to find out."""
    from effcnn import timing

    clock = time.perf_counter()
    return *timing.image_seconds(recipe, seat.device), time.perf_counter() - clock


def forecast(
    missing: list[Task], seats: list[str], root: Path, **pool
) -> tuple[dict[str, float], str]:
    """How long the missing runs take, from a second of measuring per kind of run.

    Args:
        seats: one device per worker; `pool` is what else a `Pool` is told.
    Returns: seconds by name of the run, and the time that all of them take, in words.
    Raises: UserError where a kind of run cannot be trained.
    """
    if not missing:
        return {}, duration(0)
    with Pool(seats, **pool) as workers:
        found, start = _measured(missing, workers)
    seconds = {}
    for task in missing:
        recipe, (train, test) = task.recipe, found[alike(task.recipe)]
        left = recipe.epochs - epochs_done(recipe, root)
        tested = TEST_IMAGES[recipe.dataset] + recipe.holdout * (left + 1)
        seconds[task.name] = images(recipe) / recipe.epochs * left * train + tested * test
    ends = [start] * len(seats)  # of each worker: they start by importing torch
    for one in seconds.values():
        heapq.heapreplace(ends, ends[0] + one)
    return seconds, duration(max(ends))


def _measured(missing: list[Task], pool: Pool) -> tuple[dict[Recipe, tuple[float, float]], float]:
    """What `measure` gives for each kind of run, and the seconds in which workers start.

    In the pool, because processes side by side slow each other down.
    """
    kinds = list(dict.fromkeys(alike(task.recipe) for task in missing))
    waiting = kinds * -(-len(pool.workers) // len(kinds))  # so that all are busy
    found: dict[Recipe, tuple[float, float]] = {}
    clock, start = time.perf_counter(), 0.0
    while waiting or pool.busy:
        while waiting and pool.free:
            pool.submit(measure, waiting.pop())
        for event in pool.events(1.0):
            if event.kind in ("raised", "died"):
                reason = str(event.value).strip().splitlines()[-1]
                one = event.job
                raise UserError(f"{one.dataset}/{one.model}/{one.label}: {reason}")
            if event.kind == "done":
                found[event.job] = event.value[:2]
                start = start or time.perf_counter() - clock - event.value[2]
    return found, start


def table(cells: list[Cell], seconds: dict[str, float], root: Path):
    """A row per cell: its runs that are there, begun and to do, and the time that they take.

    Args:
        seconds: of each missing run, from `forecast`, by its name.
    """
    import pandas as pd

    names = {task.recipe: task.name for task in plan(cells)}
    rows = []
    for cell in cells:
        missing = [recipe for recipe in cell.recipes() if names[recipe] in seconds]
        epochs = [epochs_done(recipe, root) for recipe in missing]
        rows.append(
            {
                "cell": cell.name,
                "seeds": ",".join(map(str, cell.seeds)),
                "epochs": cell.recipe.epochs,
                "done": len(cell.seeds) - len(missing),
                "begun (epochs)": ",".join(str(done) for done in epochs if done) or "-",
                "to do": len(missing),
                "worker time": duration(sum(seconds[names[recipe]] for recipe in missing)),
            }
        )
    return pd.DataFrame(rows)
