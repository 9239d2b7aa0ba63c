"""What a training tells while it runs, and how it is shown: a bar on a terminal, else lines."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor
from tqdm import tqdm

from effcnn.recipe import Recipe
from effcnn.train import Trainer

EVERY = 20  # steps: on a GPU each look at the loss waits for all steps before it


@dataclass(frozen=True)
class Report:
    """Where a training stands."""

    label: str  # mnist/1.5k-dw/bp+oc seed 0
    images: int  # put through optimizer steps so far, in earlier epochs too
    total: int  # images of the whole training
    epoch: int  # under way or, at its end, just finished
    epochs: int
    loss: float | None  # mean of this epoch so far, None where it is not a number
    accuracy: float  # percent, of this epoch so far
    images_per_second: float  # since this process went on with the training
    entry: dict | None = None  # the new one of the history, at the end of an epoch


Watcher = Callable[[Report], None]


def label(recipe: Recipe) -> str:
    """How a run is called in a line of progress."""
    return f"{recipe.dataset}/{recipe.model}/{recipe.label} seed {recipe.seed}"


def hooks(
    trainer: Trainer, watchers: Sequence[Watcher]
) -> tuple[Callable[[int, Tensor, Tensor], None], Callable[[dict], None]]:
    """`on_step` and `on_epoch` for `Trainer.run`, which give reports to the watchers."""
    recipe, name = trainer.recipe, label(trainer.recipe)
    per_epoch = trainer.steps * recipe.batch_size
    seen_before, seconds_before = trainer.images_seen, trainer.seconds
    mark = time.perf_counter()  # when this epoch began

    def tell(images: int, seconds: float, epoch: int, loss, accuracy: float, entry=None) -> None:
        loss = loss if loss is not None and math.isfinite(loss) else None
        speed = (images - seen_before) / max(seconds - seconds_before, 1e-9)
        total = recipe.epochs * per_epoch
        report = Report(name, images, total, epoch, recipe.epochs, loss, accuracy, speed, entry)
        for watch in watchers:
            watch(report)

    def on_step(step: int, loss: Tensor, correct: Tensor) -> None:
        if watchers and step % EVERY == 0 and step < trainer.steps:
            seen, mean = step * recipe.batch_size, loss.item() / step
            seconds = trainer.seconds + time.perf_counter() - mark
            images = len(trainer.history) * per_epoch + seen
            accuracy = 100 * correct.item() / seen
            tell(images, seconds, len(trainer.history) + 1, mean, accuracy)

    def on_epoch(entry: dict) -> None:
        nonlocal mark
        values = entry["epoch"], entry["loss"], entry["accuracy"]
        tell(trainer.images_seen, trainer.seconds, *values, entry)
        mark = time.perf_counter()

    return on_step, on_epoch


@contextmanager
def shown(trainer: Trainer) -> Iterator[Watcher]:
    """A watcher that shows a bar of images on a terminal, and elsewhere a line per epoch."""
    if not sys.stderr.isatty():
        yield _line
        return
    recipe = trainer.recipe
    bar = tqdm(
        total=recipe.epochs * trainer.steps * recipe.batch_size,
        initial=trainer.images_seen,
        desc=label(recipe),
        unit=" images",
        unit_scale=True,
        dynamic_ncols=True,
    )

    def watch(report: Report) -> None:
        loss = "not a number" if report.loss is None else f"{report.loss:.3f}"
        text = f"epoch {report.epoch}/{report.epochs}, loss {loss}"
        bar.set_postfix_str(f"{text}, accuracy {report.accuracy:.2f}%", refresh=False)
        bar.update(report.images - bar.n)

    with bar:
        yield watch


def _line(report: Report) -> None:
    if report.entry is None:
        return
    loss = "not a number" if report.loss is None else f"{report.loss:.4f}"
    checked = ""
    if "validation_accuracy" in report.entry:
        checked = f", validation {report.entry['validation_accuracy']:.2f}%"
    left = (report.total - report.images) / report.images_per_second
    print(
        f"{report.label}: epoch {report.epoch}/{report.epochs}, loss {loss}, "
        f"accuracy {report.accuracy:.2f}%{checked}, {report.images_per_second:,.0f} images/s, "
        f"{left:.0f} s left",
        file=sys.stderr,
        flush=True,
    )
