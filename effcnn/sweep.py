"""A sweep: the runs of a file's cells, trained by worker processes side by side.

Importing this needs no torch; the workers do.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

from effcnn import interrupt, results, store
from effcnn.cells import Cell
from effcnn.errors import UserError
from effcnn.pool import Event, Pool, Seat
from effcnn.progress import Progress
from effcnn.recipe import Recipe

ASK_AGAIN = 3.0  # seconds until a run that another process trains is looked at again
TRIES = 2  # per run, where its worker dies


@dataclass(frozen=True)
class Task:
    """One run of a sweep, and what is to be stored with it."""

    name: str  # table-3/mnist-25k seed 0
    recipe: Recipe
    keep_weights: bool
    keep_epochs: bool


def train(
    task: Task, seat: Seat, *, root: Path, data: str | None, compiled: str = "auto"
) -> tuple[str, str]:
    """Train one run in a worker.

    Returns: what became of it: trained, there (by another process, meanwhile), busy (another one
        trains it), stopped, failed or refused by the disk (with the reason).
    """
    from effcnn import data as datasets
    from effcnn import runs

    if not hasattr(datasets.load, "cache_info"):
        # A worker trains many runs on the same images, and nothing changes them.
        datasets.load = lru_cache(maxsize=2)(datasets.load)
    there = results.whole(task.recipe, root)
    try:
        runs.train(
            task.recipe,
            root,
            data=data,
            device=seat.device,
            threads=seat.threads,
            compiled=compiled,
            keep_weights=task.keep_weights,
            keep_epochs=task.keep_epochs,
            watch=lambda report: seat.report(asdict(report)),
            stop=seat.stop,
            wait=False,
        )
    except runs.Busy:
        return "busy", ""
    except runs.Stopped:
        return "stopped", ""
    except store.WriteError as error:
        return "refused", str(error)
    except UserError as error:
        return "failed", str(error)
    return "there" if there else "trained", ""


class Sweep:
    """Hands tasks to a pool until every run is in the store, has failed, or is to wait.

    Attributes:
        failed: what went wrong, by name of the run.
    """

    def __init__(
        self,
        tasks: list[Task],
        pool: Pool,
        progress: Progress,
        *,
        root: Path,
        data: str | None,
        compiled: str = "auto",
    ) -> None:
        self.queue, self.later = deque(tasks), deque()  # later: (when to ask again, task)
        self.pool, self.progress, self.root = pool, progress, root
        self.train = partial(train, root=root, data=data, compiled=compiled)
        self.tries: Counter = Counter()
        self.failed: dict[str, str] = {}
        self.refused = False
        self.said: set[str] = set()

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Go on until nothing is left, or `stop()`: then until the running epochs are finished."""
        told = False
        while self.pool.busy or not (told or self.refused or self.nothing_left()):
            if stop() and not told:
                told = True
                self.pool.stop()
            while self.pool.free and not (told or self.refused) and (task := self.next_task()):
                self.pool.submit(self.train, task)
            for event in self.pool.events(0.2):
                self.hear(event)
            self.progress.workers = self.pool.busy + self.pool.free  # of a cluster they change

    def nothing_left(self) -> bool:
        return not self.queue and not self.later

    def next_task(self) -> Task | None:
        """The next run that is missing and not being trained by another process."""
        while self.queue or (self.later and self.later[0][0] <= time.monotonic()):
            task = self.queue.popleft() if self.queue else self.later.popleft()[1]
            run = results.whole(task.recipe, self.root)
            if run is None:
                return task
            self.progress.finished(task.name, run, elsewhere=True)
        return None

    def hear(self, event: Event) -> None:
        """Note what happened to a task."""
        task = event.job
        if event.kind == "report":
            self.progress.report(event.worker, task.name, event.value)
            return
        if event.kind in ("line", "warning"):
            line = event.value if event.kind == "line" else f"effcnn: warning: {event.value}"
            if line not in self.said:  # every worker gives a warning of its own
                self.progress.say(line)
            self.said.add(line)
            return
        self.progress.idle(event.worker)
        outcome, reason = event.value if event.kind == "done" else (event.kind, event.value)
        if outcome in ("trained", "there"):
            run = results.whole(task.recipe, self.root)
            self.progress.finished(task.name, run, elsewhere=outcome == "there")
        elif outcome == "busy":
            self.later.append((time.monotonic() + ASK_AGAIN, task))
        elif outcome == "died":
            self.died(task, reason)
        elif outcome in ("refused", "failed", "raised"):
            self.refused |= outcome == "refused"  # the next run would meet the same full disk
            self.fail(task, reason.strip())

    def died(self, task: Task, how: str) -> None:
        """Its worker is gone: try once more, from the run's last checkpoint."""
        self.tries[task] += 1
        if self.tries[task] < TRIES:
            self.progress.say(f"effcnn: {task.name}: its worker ended by {how}; trying once more")
            self.queue.appendleft(task)
        else:
            self.fail(task, f"its worker ended by {how}, {TRIES} times")

    def fail(self, task: Task, reason: str) -> None:
        self.failed[task.name] = reason
        self.progress.say(f"effcnn: {task.name}: {reason}")
        self.progress.given_up(task.name)


def run(
    missing: list[Task],
    done: int,
    devices: list[str],
    *,
    root: Path,
    data: str | None = None,
    threads: int = 1,
    compiled: str = "auto",
    use: Path | None = None,
    cluster=None,
    split: str = "test",
) -> str:
    """Train the missing runs in a pool of processes, and show how it goes.

    Args:
        done: how many other runs of the sweep are there already.
        devices: one per worker; see `effcnn.plan.devices`.
        cluster: an `effcnn.cluster.Cluster` in the place of the pool; it is closed in the end.
        split: the images whose accuracy is shown when a run has finished.
    Returns: how Ctrl-C stopped it, or "".
    """
    if not missing:
        return ""
    recipes = {task.name: task.recipe for task in missing}
    with interrupt.gently("stopping after these epochs; Ctrl-C again stops now") as hand:
        try:
            with (
                closing(Progress(recipes, done, len(devices), split)) as progress,
                cluster or Pool(devices, threads=threads, use=use) as pool,
            ):
                Sweep(missing, pool, progress, root=root, data=data, compiled=compiled).run(
                    hand.stop
                )
        except KeyboardInterrupt:
            return "stopped within an epoch"
    return "stopped" if hand.stop() else ""


def table(cells: list[Cell], root: Path):
    """A row per cell: how many of its runs are there, their mean with its interval, and time.

    A cell with a diverged run has no mean.
    """
    import pandas as pd

    from effcnn import stats

    rows = []
    for cell in cells:
        found = [run for recipe in cell.recipes() if (run := results.whole(recipe, root))]
        lost = sum(run.diverged for run in found)
        accuracy = "-"
        if found and not lost:
            accuracy = stats.mean(results.accuracies(found)).text()
            accuracy += ", one run" if len(found) == 1 else ""
        seconds = [run.record["time"]["train_seconds"] for run in found]
        rows.append(
            {
                "cell": cell.name,
                "runs": f"{len(found)}/{len(cell.seeds)}",
                "test accuracy (%)": accuracy,
                "diverged": lost,
                "seconds/run": f"{sum(seconds) / len(seconds):.0f}" if seconds else "-",
            }
        )
    return pd.DataFrame(rows)
