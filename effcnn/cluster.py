"""The runs of a sweep as tasks of a Dask cluster, behind the same methods as a `Pool`.

No file system is shared: a task brings its run's checkpoint, if there is one, and sends back files.
The sweep's process alone touches the one store, and holds there the claim on the recipe of each
run while a worker trains it.
"""

import itertools
import queue
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from effcnn import remote, results, store
from effcnn.errors import UserError
from effcnn.pool import Event
from effcnn.recipe import Recipe
from effcnn.remote import Answer, Parcel

try:
    import distributed
except ImportError:
    raise UserError(
        "--scheduler needs dask.distributed, which the extra 'cluster' brings: "
        "pip install -c constraints.txt -e '.[cluster]'"
    ) from None


@dataclass
class _Run:
    """A job on its way."""

    job: object
    slot: int  # where the progress shows it
    claim: ExitStack
    future: object = None
    worker: str = ""  # which reported last


class Cluster:
    """The workers of a Dask scheduler, which may come and go. Each trains one run at a time.

    A worker that dies loses its run, which Dask starts again on another, up to `allowed-failures`
    of Dask's configuration.

    Args:
        address: tcp://HOST:PORT.
        root: the store.
        device: auto (the CPU), cpu, cuda (of workers with the resource GPU) or mps.
        threads: CPU threads of each run.
        use: a file that defines techniques; the workers get its content.

    Raises: UserError where no scheduler answers. While it has no workers, this says so and waits.
    """

    def __init__(
        self, address: str, *, root: Path, device: str, threads: int, use: Path | None = None
    ) -> None:
        self.address, self.root, self.threads = address, root, threads
        self.device = "cpu" if device == "auto" else device
        self.needs = {"GPU": 1} if self.device == "cuda" else {}
        self.use = use.read_bytes() if use else None
        self.name = f"effcnn-{uuid.uuid4().hex[:8]}"
        self.runs: dict[str, _Run] = {}  # by the task's key
        self.inbox: queue.Queue = queue.Queue()  # (key, kind, value), from Dask's threads
        self.looked = 0.0
        self.client = remote.client(address)
        self.client.subscribe_topic(self.name, lambda event: self.inbox.put(event[1]))
        self.halt = distributed.Event(self.name, client=self.client)
        self.workers = self._look()
        if not self.workers:
            print(self._none(), file=sys.stderr, flush=True)
        while not self.workers:
            time.sleep(0.5)
            self.workers = self._look()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def devices(self) -> list[str]:
        """One per worker, and where they are."""
        return [f"{self.device} at {self.address}"] * len(self.workers)

    @property
    def free(self) -> int:
        """How many workers wait for a job."""
        return max(0, len(self.workers) - self.busy)

    @property
    def busy(self) -> int:
        """How many jobs are on their way."""
        return len(self.runs)

    def submit(self, function: Callable, job: object) -> None:
        """Call `function(job, seat, root=...)` in a worker, unless another process has the run."""
        slots = {run.slot for run in self.runs.values()}
        slot = next(i for i in itertools.count() if i not in slots)
        key = f"{self.name}-{job.recipe.hash}-{uuid.uuid4().hex[:8]}"
        run = self.runs[key] = _Run(job, slot, ExitStack())
        try:
            run.claim.enter_context(store.claim(job.recipe, self.root, wait=False))
            answer, files = self._there(job.recipe), remote.read(job.recipe, self.root)
        except store.Busy:
            answer = Answer("busy")
        except (UserError, OSError) as error:
            answer = _failed(error)
        if answer:
            self.inbox.put((key, "end", answer))
            return
        where = (self.device, self.threads, self.use, self.name, remote.versions())
        parcel = Parcel(function, job, files, *where)
        run.future = self.client.submit(
            remote.work, parcel, key=key, pure=False, resources=self.needs
        )
        run.future.add_done_callback(lambda _: self.inbox.put((key, "end", None)))

    def events(self, timeout: float) -> list[Event]:
        """What has happened, at the latest after `timeout` seconds.

        Raises: UserError where the scheduler is gone.
        """
        found = self._came_and_went()
        with suppress(queue.Empty):
            found += self._hear(*self.inbox.get(timeout=timeout))
            while True:
                found += self._hear(*self.inbox.get_nowait())
        return found

    def stop(self) -> None:
        """Ask the running jobs to end at the next good moment."""
        with suppress(OSError):  # it is gone, as `events` will say
            self.halt.set()

    def close(self) -> None:
        """Let go of the cluster: it drops what runs still, at the end of its epoch."""
        for run in self.runs.values():
            run.claim.close()
        self.runs.clear()
        with suppress(Exception):  # of a cluster that is gone
            self.client.close(timeout=2)

    def _there(self, recipe: Recipe) -> Answer | None:
        """What makes it needless to train, where another process was there first."""
        if results.find(recipe, self.root):
            return Answer("there")
        if (folder := self.root / recipe.folder).exists():
            return Answer("failed", f"{folder} is not a whole run; move it away")
        return None

    def _look(self) -> set[str]:
        """The addresses of the workers that can take a run."""
        try:
            # Not `scheduler_info`, which now and then answers from a cache without workers.
            known = self.client.sync(self.client.scheduler.identity)["workers"]
        except (OSError, TimeoutError):
            raise self._lost() from None
        return {
            address
            for address, worker in known.items()
            if all(worker["resources"].get(name, 0) >= n for name, n in self.needs.items())
        }

    def _came_and_went(self) -> list[Event]:
        """Look for workers about every second; say which came and went."""
        if self.client.status != "running":
            raise self._lost()
        if time.monotonic() < self.looked + 1:
            return []
        before, self.workers, self.looked = self.workers, self._look(), time.monotonic()
        lines = [f"effcnn: worker {address} is gone" for address in sorted(before - self.workers)]
        if more := len(self.workers - before):
            lines.append(f"effcnn: {more} more worker{'s' * (more > 1)}, {len(self.workers)} now")
        lines += [self._none()] if before and not self.workers else []
        return [Event(0, None, "line", line) for line in lines]

    def _hear(self, key: str, kind: str, value: object) -> list[Event]:
        """What a message means: something said, a report, or the end of a run."""
        if kind in ("line", "warning"):
            return [Event(0, None, kind, value)]
        run = self.runs.get(key)
        if run is None:  # it has ended meanwhile
            return []
        if kind == "report":
            worker, report = value
            line = f"effcnn: {run.job.name}: its worker is gone; it starts again on {worker}"
            moved = (
                [Event(run.slot, run.job, "line", line)] if run.worker not in ("", worker) else []
            )
            run.worker = worker
            return [*moved, Event(run.slot, run.job, "report", report)]
        with run.claim:
            answer = value or self._answer(run)
        del self.runs[key]
        if answer.outcome == "raised":
            return [Event(run.slot, run.job, "raised", answer.reason)]
        return [Event(run.slot, run.job, "done", (answer.outcome, answer.reason))]

    def _answer(self, run: _Run) -> Answer:
        """What a task has come to; its files are then in the store."""
        if run.future.status == "error":
            error = run.future.exception()
            if isinstance(error, distributed.KilledWorker):
                return Answer("raised", f"{error.allowed_failures + 1} workers died training it")
            return Answer("raised", "".join(traceback.format_exception(error)))
        try:
            answer = run.future.result()
        except (OSError, TimeoutError, distributed.CancelledError):
            raise self._lost() from None
        try:
            remote.keep(answer, run.job.recipe, self.root)
        except (UserError, OSError) as error:
            return _failed(error)
        return answer

    def _lost(self) -> UserError:
        return UserError(f"the scheduler at {self.address} is gone; run again when it is back")

    def _none(self) -> str:
        what = "worker with the resource GPU" if self.needs else "worker"
        return f"effcnn: {self.address} has no {what}; waiting for one"


def _failed(error: Exception) -> Answer:
    """A store that cannot be written would refuse every other run too."""
    disk = isinstance(error, (store.WriteError, OSError))
    return Answer("refused" if disk else "failed", str(error))
