"""Worker processes that take one job after another, so that each imports torch only once.

An executor of another kind, on many machines say, needs what `Pool` has: `free`, `busy`, `submit`,
`events`, `stop`, `close`, and a `Seat` for its jobs. Importing this needs no torch.
"""

import io
import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

# glibc gives large blocks back to the system after each step and then asks for them again, which
# costs 8 to 25% of a training. These let it keep them; other systems take no notice.
MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}


@dataclass(frozen=True)
class Seat:
    """What a job finds where it runs."""

    device: str
    threads: int
    report: Callable[[object], None]  # to the parent, as an Event
    stop: Callable[[], bool]  # whether the job should end at the next good moment


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: report, line, warning, done, raised or died."""

    worker: int
    job: object
    kind: str
    value: object  # what was reported, printed or returned, a traceback, or how the worker ended


@dataclass
class _Worker:
    device: str
    process: multiprocessing.Process | None = None
    pipe: Connection | None = None
    job: object = None


class Pool:
    """Processes on this machine. A worker that dies loses its job and is started anew.

    Ctrl-C does not reach the workers: the parent decides. When the parent is gone they end by
    themselves, at the next report at the latest.

    Args:
        devices: one per worker: cpu, or cuda:0 and so on.
        threads: CPU threads of each worker.
        use: a file that defines techniques, read by each worker.
    """

    def __init__(
        self, devices: Sequence[str], *, threads: int = 1, use: Path | None = None
    ) -> None:
        self.threads, self.use = threads, use
        self.workers = [_Worker(device) for device in devices]
        for worker in self.workers:
            self._start(worker)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind, *_) -> None:
        self.close(now=kind is not None)

    @property
    def free(self) -> int:
        """How many workers wait for a job."""
        return sum(worker.job is None for worker in self.workers)

    @property
    def busy(self) -> int:
        """How many jobs are running."""
        return len(self.workers) - self.free

    def submit(self, function: Callable, job: object) -> None:
        """Call `function(job, seat)` in a free worker; both must pickle, and no job is None."""
        worker = next(worker for worker in self.workers if worker.job is None)
        if worker.process is None or not worker.process.is_alive():
            self._end(worker)
            self._start(worker)
        worker.job = job
        with suppress(OSError):  # it may have died just now; `events` will say so
            worker.pipe.send((function, job))

    def events(self, timeout: float) -> list[Event]:
        """What has happened, at the latest after `timeout` seconds."""
        pipes = {worker.pipe: i for i, worker in enumerate(self.workers) if worker.process}
        found = []
        for pipe in wait(list(pipes), timeout):
            worker = self.workers[pipes[pipe]]
            job = worker.job
            try:
                kind, value = pipe.recv()
            except (EOFError, OSError):
                kind, value = "died", self._end(worker)
            if kind not in ("report", "line", "warning"):
                worker.job = None
            if job is not None:
                found.append(Event(pipes[pipe], job, kind, value))
        return found

    def stop(self) -> None:
        """Ask the running jobs to end at the next good moment."""
        for worker in self.workers:
            if worker.job is not None:
                with suppress(OSError):  # as above
                    worker.pipe.send(None)

    def close(self, now: bool = False) -> None:
        """End the workers: idle ones by themselves, all of them at once if `now`."""
        for worker in self.workers:
            if worker.process and (now or worker.job is not None):
                worker.process.terminate()
            if worker.pipe:
                worker.pipe.close()
        for worker in self.workers:
            self._end(worker)

    def _start(self, worker: _Worker) -> None:
        context = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
        worker.pipe, theirs = context.Pipe()
        arguments = (theirs, worker.device, self.threads, self.use)
        worker.process = context.Process(target=_serve, args=arguments, daemon=True)
        with _environment(self.threads), _no_interrupt():
            worker.process.start()
        theirs.close()  # so that the worker's end is the only one, and its death closes the pipe

    def _end(self, worker: _Worker) -> str:
        """Forget a worker that has died or is about to; returns how it ended."""
        if worker.process is None:
            return ""
        worker.pipe.close()
        worker.process.join(5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        code = worker.process.exitcode
        worker.process = worker.pipe = None
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"


@contextmanager
def _environment(threads: int):
    """The environment of a worker, which is read before its first line runs."""
    before = dict(os.environ)
    os.environ.update({**MEMORY, **before, "OMP_NUM_THREADS": str(threads)})
    try:
        yield
    finally:
        for name in {*MEMORY, "OMP_NUM_THREADS"}:
            os.environ.pop(name)
            if name in before:
                os.environ[name] = before[name]


@contextmanager
def _no_interrupt():
    """A process started in here is deaf to Ctrl-C from its very start."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Lines(io.TextIOBase):
    """A worker's standard error: line by line to the parent, which may have bars there."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell, self.begun = tell, ""

    def write(self, text: str) -> int:
        *lines, self.begun = (self.begun + text).split("\n")
        for line in filter(None, lines):
            self.tell(line)
        return len(text)


def _serve(pipe: Connection, device: str, threads: int, use: Path | None) -> None:
    """The life of a worker: job after job, until the parent closes the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for Windows: see _no_interrupt
    told = False

    def tell(kind: str, value: object = None) -> None:
        try:
            pipe.send((kind, value))
        except OSError:
            os._exit(1)  # not an exception: it could be taken for one of the job's

    def heard() -> object:
        try:
            return pipe.recv()
        except (EOFError, OSError):
            os._exit(0)

    def stop() -> bool:
        nonlocal told
        while pipe.poll():
            told = heard() is None
        return told

    sys.stderr = Lines(lambda line: tell("line", line))
    warnings.showwarning = lambda message, *_, **__: tell("warning", str(message))
    import torch

    torch.set_num_threads(threads)
    if use:
        from effcnn import catalogue

        catalogue.use(use)
    seat = Seat(device, threads, lambda value: tell("report", value), stop)
    while True:
        if (message := heard()) is None:  # told to stop when it had just finished
            continue
        told = False
        function, job = message
        try:
            tell("done", function(job, seat))
        except Exception:
            tell("raised", traceback.format_exc())
