"""How a run comes into the store: claimed while it trains, put together aside, moved in whole.

Below ROOT/.partial/ lie, by the recipe's hash: `HASH.lock` (the claim), `HASH.safetensors` (the
checkpoint of the last epoch) and `HASH/` (what there is of the run's folder). A process may die
between any two steps: what it leaves is used or cleaned by the next start.
"""

import errno
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from effcnn.errors import UserError
from effcnn.recipe import Recipe

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.ENOENT: "bring the folder back",
}


class WriteError(UserError):
    """What could not be written, why, and what to do about it."""

    @classmethod
    def of(cls, error: OSError, what: Path | str) -> "WriteError":
        remedy = REMEDIES.get(error.errno, "mend that")
        return cls(f"cannot write {what}: {error.strerror or error}; {remedy} and run again")


class Busy(Exception):
    """Another process is at work on this recipe in this store."""


class Stopped(Exception):
    """A training was told to stop and did so between two epochs; `epochs` of `total` are done."""

    def __init__(self, epochs: int, total: int) -> None:
        super().__init__(epochs, total)
        self.epochs, self.total = epochs, total

    def __str__(self) -> str:
        return f"stopped after epoch {self.epochs} of {self.total}"


def place(recipe: Recipe, root: Path) -> Path:
    """The folder in which the run is put together; beside it lie the checkpoint and the claim."""
    return root / ".partial" / recipe.hash


@contextmanager
def claim(
    recipe: Recipe, root: Path, *, wait: bool = True, stop: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold a recipe in the store `root`: no other process gets it meanwhile.

    The claim of a process that is killed ends with it. Where another one holds it, a line says so
    and this waits until it ends, or until `stop()` is true.

    Raises: Busy where another process holds it and `wait` is false; Stopped where `stop` says so;
        WriteError where the store cannot be written.
    """
    path = place(recipe, root).with_suffix(".lock")
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = _acquire(lock, 0)
        if not free and not wait:
            raise Busy(f"another process is at work on {recipe.folder} in {root}")
        if not free:
            print(f"{recipe.folder}: another process is at work on it; waiting", file=sys.stderr)
        while not free:
            if stop():
                raise Stopped(0, recipe.epochs)
            free = _acquire(lock, 0.5)
    except OSError as error:
        raise WriteError.of(error, path) from None
    try:
        yield
    finally:
        # While it is held: whoever waits for it finds it gone, and tries again with a new one.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _acquire(lock: FileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds, poll_interval=0.1)
    except Timeout:
        return False
    return True


def put(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, even where the power fails. Raises `WriteError`."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise WriteError.of(error, path) from None
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Let the names in a folder outlive a power failure, where its file system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make(folder: Path) -> None:
    """Make a folder of an unfinished run; `.partial/` must be there. Raises `WriteError`."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise WriteError.of(error, folder) from None


def clear(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove what lies in the folder of an unfinished run, but for the files `keep`."""
    try:
        if not keep and folder.exists():
            shutil.rmtree(folder)
        for path in sorted(folder.rglob("*"), reverse=True):  # a folder after what is in it
            if path.is_dir() and not path.is_symlink():
                with suppress(OSError):  # what is kept lies in it
                    path.rmdir()
            elif path.relative_to(folder).as_posix() not in keep:
                path.unlink()
    except OSError as error:
        raise WriteError.of(error, folder) from None


def move(folder: Path, target: Path) -> None:
    """Put a finished folder into its place in one step; a run that is there already stays."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
        except OSError:
            if not (target / "run.json").is_file():
                raise
            shutil.rmtree(folder)
        for parent in list(target.parents)[:4]:  # up to the store's own folder
            _sync(parent)
    except OSError as error:
        raise WriteError.of(error, f"the run to {target}") from None


def forget(recipe: Recipe, root: Path) -> None:
    """Remove the checkpoint, and all else that lies aside, of a run that is in its place."""
    folder = place(recipe, root)
    with suppress(OSError, UserError):  # leftovers are in nobody's way
        clear(folder)
        for end in (".safetensors", ".safetensors.tmp"):
            folder.with_suffix(end).unlink(missing_ok=True)


def tidy(recipe: Recipe, root: Path) -> None:
    """`forget` what a kill left of a run that is in its place, unless another process is at it."""
    left = place(recipe, root)
    ends = ("", ".safetensors", ".safetensors.tmp", ".lock")
    if any(os.path.exists(f"{left}{end}") for end in ends):
        with suppress(Busy, UserError), claim(recipe, root, wait=False):
            forget(recipe, root)


def check_writable(root: Path) -> None:
    """Fail before hours of training, not after; write nothing yet. Raises `UserError`."""
    place = root.absolute()
    try:
        while not place.exists():
            place = place.parent
    except OSError as error:  # a name that is too long
        raise UserError(f"cannot use the results folder {root}: {error.strerror}") from None
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        reason = "may not be written" if place.is_dir() else "is not a folder"
        raise UserError(
            f"cannot write to the results folder {root}: {place} {reason}; "
            "name another with --results or EFFCNN_RESULTS"
        )
