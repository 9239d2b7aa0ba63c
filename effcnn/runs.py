"""From a recipe to a run in the store, and from a run back to its net."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from effcnn import checkpoint, measure, provenance, results, store
from effcnn import data as datasets
from effcnn import watch as watching
from effcnn.data import Data
from effcnn.device import pick_compiled, pick_device
from effcnn.errors import UserError
from effcnn.recipe import Recipe
from effcnn.store import Busy, Stopped
from effcnn.train import Trainer, build, evaluate
from effcnn.watch import Report, Watcher

__all__ = ["Busy", "Report", "Stopped", "load", "retest", "train"]


def train(
    recipe: Recipe,
    root: Path,
    *,
    data: Path | str | None = None,
    device: str = "auto",
    threads: int | None = None,
    compiled: str = "auto",
    keep_weights: bool = True,
    keep_epochs: bool = False,
    progress: bool = False,
    watch: Watcher | None = None,
    stop: Callable[[], bool] | None = None,
    wait: bool = True,
) -> results.Run:
    """The run of `recipe` in the store `root`: the one that is there, else trained now.

    A checkpoint after every epoch makes it safe to kill: the next call goes on from there and says
    so, and on the same machine ends with the same bits. No two processes train the same recipe.

    Args:
        data: folder of the data sets; see `effcnn.data.folder_for`.
        device: auto, cpu, cuda or mps.
        threads: CPU threads; PyTorch's default if None.
        compiled: auto, on or off; see `effcnn.device.pick_compiled`. The same up to rounding.
        keep_weights: store the weights after the last epoch.
        keep_epochs: store the weights after every epoch too.
        progress: show a bar on a terminal, and a line per epoch elsewhere.
        watch: called with a `Report` after every epoch and about every 20 steps.
        stop: asked after every epoch, and while this waits, whether to stop.
        wait: for another process that trains this recipe, and return its run.

    Raises: UserError for missing or damaged data, and where the store cannot be written; Stopped
        where `stop` said so; Busy where another process trains this recipe and `wait` is false.
    """
    if (known := _known(recipe, root)) is not None:
        store.tidy(recipe, root)
        return known
    where = pick_device(device)
    compiles = pick_compiled(compiled, recipe, where)
    store.check_writable(root)
    with store.claim(recipe, root, wait=wait, stop=stop or (lambda: False)):
        if (known := _known(recipe, root)) is None:  # else by the process waited for
            if threads:
                torch.set_num_threads(threads)
            content = datasets.load(
                recipe.dataset, data, train_images=recipe.train_images, holdout=recipe.holdout
            )
            make = partial(Trainer, recipe, content, where, compiled=compiles)
            training = _Training(recipe, root, make, compiles, keep_epochs)
            with watching.shown(training.trainer) if progress else nullcontext() as shown:
                training.run([each for each in (shown, watch) if each], stop)
            known = training.finish(keep_weights)
        store.forget(recipe, root)
    return known


class _Training:
    """The training of one run, from its last checkpoint into the store."""

    def __init__(
        self, recipe: Recipe, root: Path, make: Callable[[], Trainer], compiled: bool, keep: bool
    ) -> None:
        self.recipe, self.root, self.keep_epochs = recipe, root, keep
        self.folder = store.place(recipe, root)
        self.checkpoint = self.folder.with_suffix(".safetensors")
        self.epochs = self.folder / "epochs"
        self.clock = time.perf_counter()
        epochs = self.epochs if keep else None
        self.trainer, before = checkpoint.resume(self.checkpoint, make, epochs)
        self.done = len(self.trainer.history)  # epochs in the checkpoint
        # Before training: the checkout may change while it goes on.
        self.made = provenance.made(recipe, self.trainer.device, compiled, before, self.done)
        if self.done:
            print(
                f"{watching.label(recipe)}: goes on after epoch {self.done} of {recipe.epochs}"
                f"{self.differs()}",
                file=sys.stderr,
                flush=True,
            )
        store.clear(self.folder, self.kept())

    def differs(self) -> str:
        """What is not as it was in the parts before: then the bits may be others."""
        now = {key: value for key, value in self.made["resumed"][-1].items() if key != "epochs"}
        return "".join(
            f", {key} now {value['is']}, not {value['was']}" for key, value in now.items()
        )

    def kept(self) -> list[str]:
        """The files of finished epochs that the run is to have."""
        numbers = range(1, self.done + 1) if self.keep_epochs else ()
        return [f"epochs/{number:02d}.safetensors" for number in numbers]

    def seconds(self) -> float:
        """Of all parts of the training so far."""
        return self.made["wall_seconds"] + time.perf_counter() - self.clock

    def run(self, watchers: list[Watcher], stop: Callable[[], bool] | None) -> None:
        """Train the epochs that are left; after each one, all of it is on the disk."""
        on_step, tell = watching.hooks(self.trainer, watchers)

        def on_epoch(entry: dict) -> None:
            with self.told():
                if self.keep_epochs:
                    store.make(self.folder)
                    store.make(self.epochs)
                    path = self.epochs / f"{entry['epoch']:02d}.safetensors"
                    store.put(path, _weights(self.trainer.model))
                made = {**self.made, "wall_seconds": self.seconds()}
                checkpoint.write(self.checkpoint, self.trainer, made)
            self.done = entry["epoch"]
            tell(entry)
            if self.trainer.status == "diverged" or self.done == self.recipe.epochs:
                return  # only testing is left, which takes a moment
            if stop is not None and stop():
                raise Stopped(self.done, self.recipe.epochs)

        self.trainer.run(on_step, on_epoch)

    def finish(self, keep_weights: bool) -> results.Run:
        """Test the net and put the run into its place."""
        record, predictions = _tested(self.trainer, self.trainer.data)
        files: dict[str, bytes] = {}
        if record["status"] == "finished":
            files["predictions.safetensors"] = save(predictions)
            if keep_weights:
                files["weights.safetensors"] = _weights(self.trainer.model)
        record["time"] = {
            "started": self.made["started"],
            "train_seconds": round(self.trainer.seconds, 2),
            "wall_seconds": round(self.seconds(), 2),
            "images_per_second": round(self.trainer.images_seen / self.trainer.seconds, 1),
        }
        record["provenance"] = self.made["provenance"]
        if self.made["resumed"]:
            record["resumed"] = self.made["resumed"]
        with self.told():
            return results.write(self.root, self.recipe, record, files, self.kept())

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say, where the disk is full, where the next start goes on."""
        try:
            yield
        except store.WriteError as error:
            there = self.done and os.path.isfile(self.checkpoint)
            then = f"it goes on after epoch {self.done}" if there else "it starts again"
            raise UserError(f"{error}: {then}") from None


def _known(recipe: Recipe, root: Path) -> results.Run | None:
    """The run that is there; an error if it is half a run, or of a technique that has changed."""
    known = results.find(recipe, root)
    if known is None:
        if (root / recipe.folder).exists():
            raise UserError(f"{root / recipe.folder} is not a whole run; move it away")
        return None
    if name := provenance.changed(recipe, known.record.get("sources", {})):
        raise UserError(
            f"technique '{name}' is not what it was when {known.folder} was trained; "
            "give it another name, or name another results folder"
        )
    return known


def _tested(trainer: Trainer, content: Data) -> tuple[dict, dict[str, Tensor]]:
    """The trained net on the test set: what `run.json` says of it, and its answers."""
    checked = evaluate(trainer.model, content.validation, content) if content.validation else None
    scores = evaluate(trainer.model, content.test, content)
    finished = trainer.status == "finished" and math.isfinite(scores["loss"])

    def of(found: dict) -> dict:
        return {key: found[key] if finished else None for key in ("accuracy", "loss")}

    record = {
        "command": trainer.recipe.command(),
        "status": "finished" if finished else "diverged",
        "test": {"images": len(content.test.labels), **of(scores)},
        # Of the net as it is tested: a technique may have changed it after the last epoch.
        "validation": of(checked) if checked else None,
        "costs": {
            "params": measure.count_parameters(trainer.model),
            "macs": measure.macs(trainer.model, tuple(content.test.images.shape[1:])),
            "size_bytes": measure.size_bytes(trainer.model),
            "torch_bytes": measure.torch_bytes(trainer.model),
        },
        "history": trainer.history,
        "touched": trainer.touched,
        "sources": provenance.sources(trainer.recipe),
        "normalisation": {"mean": content.mean, "std": content.std},
    }
    labels = content.test.labels.to(torch.uint8)
    return record, {"answer": scores["answer"], "confidence": scores["confidence"], "label": labels}


def load(run: results.Run | Path | str) -> nn.Module:
    """The trained net of a run that kept its weights, on the CPU, in evaluation mode.

    It takes images as `effcnn.data.normalise` makes them, with the mean and standard deviation that
    stand in the run's record under `normalisation`.

    Args:
        run: a run, or its folder.

    Raises: UserError if it kept none, or if the file is damaged or not of this net.
    """
    run = run if isinstance(run, results.Run) else results.read(run)
    path = run.folder / "weights.safetensors"
    if run.diverged:
        raise UserError(f"{run.folder} diverged: it has no trained net")
    if not path.is_file():
        raise UserError(f"{run.folder} kept no weights; train its recipe into another --results")
    model, _, _ = build(run.recipe)
    model.load_state_dict(checkpoint.weights(path, model))
    return model.eval()


def retest(run: results.Run, data: Path | str | None = None, device: str = "auto") -> dict:
    """Test a run's net again on the test set of its data set; see `effcnn.train.evaluate`."""
    model = load(run).to(pick_device(device))
    recipe = run.recipe
    content = datasets.load(
        recipe.dataset, data, train_images=recipe.train_images, holdout=recipe.holdout
    )
    return evaluate(model, content.test, content)


def _weights(model: nn.Module) -> bytes:
    """The weights as a safetensors file."""
    return save({name: value.cpu().contiguous() for name, value in model.state_dict().items()})
