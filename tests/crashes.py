"""Children that train, and die or find the disk full at any step that they take on the disk."""

import errno
import json
import multiprocessing
import os
import signal
import sys
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from effcnn import checkpoint, data, runs
from effcnn.recipe import Recipe

torch.set_num_threads(1)
# Children come from a server that has all this imported and has never trained: each takes
# milliseconds, and neither autograd nor OpenMP is forked in the middle of its work.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pytest", "crashes", "torch._dynamo"])  # optimizers import it
_SAMPLE = data.load("mnist-sample", train_images=64, holdout=20)
_FEW = data.Split(_SAMPLE.test.images[:100], _SAMPLE.test.labels[:100])
CONTENT = replace(_SAMPLE, test=_FEW)


def recipe(
    epochs: int, techniques: str = "bp+se+co+m+ls+sam+swa(start=0.5)+oc", batch_size: int = 32
) -> Recipe:
    # A net with dense convolutions: their weights are not in memory as their indices run.
    flags = {"epochs": epochs, "batch_size": batch_size, "train_images": 64, "holdout": 20}
    return Recipe.make("mnist-sample", "5k", techniques, augment="shift", **flags)


def train(wanted: Recipe, root: Path, **flags):
    """`runs.train` on very little data."""
    load, runs.datasets.load = runs.datasets.load, lambda *_, **__: CONTENT
    try:
        return runs.train(wanted, root, device="cpu", **flags)
    finally:
        runs.datasets.load = load


def bits(run) -> tuple:
    """All that must be the same, however often a training was interrupted."""
    names = ("recipe", "status", "test", "validation", "costs", "history", "touched")
    files = sorted(run.folder.rglob("*.safetensors"))
    content = {str(path.relative_to(run.folder)): path.read_bytes() for path in files}
    return content, {name: run.record[name] for name in names}


def start(root: Path, wanted: Recipe, epochs: int = 1, **flags) -> Path:
    """Train so many epochs and stop; the checkpoint."""
    done = iter(range(1, 99))
    with pytest.raises(runs.Stopped):
        train(wanted, root, stop=lambda: next(done) == epochs, **flags)
    return root / ".partial" / f"{wanted.hash}.safetensors"


def forged(change):
    """What somebody does to a checkpoint who knows how it is written."""

    def damage(path: Path) -> None:
        saved, tensors = checkpoint.read(path), {}
        change(saved)
        text = json.dumps(checkpoint._pack(saved, tensors))
        digest = checkpoint._digest(text, tensors)
        path.write_bytes(save(tensors, {"tree": text, "sha256": digest}))

    return damage


def leftovers(root: Path) -> list[str]:
    return [path.name for path in (root / ".partial").iterdir()]


def child(target, *arguments):
    """A process that runs `target`; both ends of a pipe, its own being the first argument."""
    with pytest.MonkeyPatch.context() as patch:  # of old, it does not hear where tests lie
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        forkserver.ensure_running()
    mine, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=target, args=(theirs, *arguments))
    process.start()
    theirs.close()
    return process, mine


def train_and_tell(pipe, wanted, root):
    """Say when each epoch is over."""
    os.fsync = lambda handle: None
    train(wanted, root, keep_epochs=True, watch=lambda report: pipe.send(report.epoch))


def train_to_step(pipe, wanted, root, last, how, **flags):
    """Train until a step on the disk, counted from 0. Sends the steps taken, and what was raised.

    Args:
        how: what happens before it: "die", or "full": the disk is, from then on.
    """
    steps, changes = [], []

    def before(kind: str, path: str, handle: int | None = None) -> None:
        steps.append((kind, Path(path).name))
        folder = os.path.isdir(path)
        idle = folder and (
            kind in ("os.mkdir", "fsync") or (kind == "os.rmdir" and os.listdir(path))
        )
        if not idle and not (kind == "os.remove" and not os.path.exists(path)):
            changes.append(steps[-1])
        if last is None or len(changes) <= last:
            return
        if how == "die":
            if handle is not None and os.path.isfile(path):  # not all of it was on the disk
                os.ftruncate(handle, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        if kind in ("open", "fsync", "os.mkdir", "os.rename"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    _spy(root, before)
    try:
        train(wanted, root, keep_epochs=True, **flags)
        pipe.send((steps, changes, None))
    except Exception as error:
        pipe.send((steps, changes, error))


def _spy(root: Path, before) -> None:
    """Call `before` ahead of every step that changes something below `root`."""

    def place(handle: int) -> str:
        return os.readlink(f"/proc/self/fd/{handle}")

    def hook(event: str, arguments: tuple) -> None:
        path, *rest = arguments or (None,)
        if event == "open":
            if not isinstance(path, (str, os.PathLike)) or not rest[1] & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            return
        path = os.fspath(path)
        if event in ("os.remove", "os.rmdir") and rest[0] >= 0:  # shutil.rmtree works that way
            path = os.path.join(place(rest[0]), path)
        if path.startswith(str(root)):
            before(event, path)

    os.fsync = lambda handle: before("fsync", place(handle), handle)  # a kill needs no more
    sys.addaudithook(hook)
