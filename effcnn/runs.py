"""From a recipe to a run in the store, and from a run back to its net."""

import math
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from tqdm import tqdm

from effcnn import data as datasets
from effcnn import measure, provenance, results
from effcnn.errors import UserError
from effcnn.recipe import Recipe
from effcnn.train import Trainer, build, evaluate, pick_device


def train(
    recipe: Recipe,
    root: Path,
    *,
    data: Path | str | None = None,
    device: str = "auto",
    threads: int | None = None,
    keep_weights: bool = True,
    keep_epochs: bool = False,
    progress: bool = False,
) -> results.Run:
    """The run of `recipe` in the store `root`: the one that is there, else trained now.

    Args:
        data: folder of the data sets; see `effcnn.data.folder_for`.
        device: auto, cpu, cuda or mps.
        threads: CPU threads; PyTorch's default if None.
        keep_weights: store the weights after the last epoch.
        keep_epochs: store the weights after every epoch too.
        progress: show a bar on a terminal, and a line per epoch elsewhere.

    Raises: UserError for missing or damaged data, and where the store cannot be written.
    """
    if (known := _known(recipe, root)) is not None:
        return known
    where = pick_device(device)
    results.check_writable(root)
    if threads:
        torch.set_num_threads(threads)
    content = datasets.load(
        recipe.dataset, data, train_images=recipe.train_images, holdout=recipe.holdout
    )
    # Before training: the checkout may change while it goes on.
    made, started = provenance.machine(where), datetime.now(UTC).isoformat(timespec="seconds")
    clock = time.perf_counter()
    files: dict[str, bytes] = {}
    trainer = Trainer(recipe, content, where)
    with _progress(trainer, progress) as (on_step, show):

        def on_epoch(entry: dict) -> None:
            show(entry)
            if keep_epochs:
                files[f"epochs/{entry['epoch']:02d}.safetensors"] = _weights(trainer.model)

        trainer.run(on_step, on_epoch)
    record, predictions = _tested(trainer, content)
    if record["status"] == "finished":
        files["predictions.safetensors"] = save(predictions)
        if keep_weights:
            files["weights.safetensors"] = _weights(trainer.model)
    record["time"] = {
        "started": started,
        "train_seconds": round(trainer.seconds, 2),
        "wall_seconds": round(time.perf_counter() - clock, 2),
        "images_per_second": round(trainer.images_seen / trainer.seconds, 1),
    }
    record["provenance"] = made
    return results.write(root, recipe, record, files)


def _known(recipe: Recipe, root: Path) -> results.Run | None:
    """The run that is there; an error if it is half a run, or of a technique that has changed."""
    known = results.find(recipe, root)
    if known is None:
        if (root / recipe.folder).exists():
            raise UserError(f"{root / recipe.folder} is not a whole run; move it away")
        return None
    sources = provenance.sources(recipe)
    for name, (python, code) in known.record.get("sources", {}).items():
        if python == sources[name][0] and code != sources[name][1]:
            raise UserError(
                f"technique '{name}' is not what it was when {known.folder} was trained; "
                "give it another name, or name another results folder"
            )
    return known


def _tested(trainer: Trainer, content: datasets.Data) -> tuple[dict, dict[str, Tensor]]:
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
    if run.record["status"] != "finished":
        raise UserError(f"{run.folder} {run.record['status']}: it has no trained net")
    if not path.is_file():
        raise UserError(f"{run.folder} kept no weights; train its recipe into another --results")
    model, _, _ = build(run.recipe)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"{path} is not the weights of this net: {reason}") from None
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


@contextmanager
def _progress(trainer: Trainer, shown: bool):
    """A bar that counts images on a terminal; elsewhere one line per epoch."""
    recipe = trainer.recipe
    label = f"{recipe.dataset}/{recipe.model}/{recipe.label} seed {recipe.seed}"
    bar = tqdm(
        total=recipe.epochs * trainer.steps * recipe.batch_size,
        desc=label,
        unit=" images",
        unit_scale=True,
        disable=not shown or not sys.stderr.isatty(),
        dynamic_ncols=True,
    )

    def on_step(step: int, loss, correct) -> None:
        bar.update(recipe.batch_size)
        if not bar.disable and step % 20 == 0:
            seen = step * recipe.batch_size
            bar.set_postfix_str(
                f"epoch {len(trainer.history) + 1}/{recipe.epochs}, "
                f"loss {loss.item() / step:.3f}, accuracy {100 * correct.item() / seen:.2f}%",
                refresh=False,
            )

    def on_epoch(entry: dict) -> None:
        if shown and bar.disable:
            speed = trainer.images_seen / trainer.seconds
            left = trainer.seconds / entry["epoch"] * (recipe.epochs - entry["epoch"])
            loss = "not a number" if entry["loss"] is None else f"{entry['loss']:.4f}"
            checked = (
                f", validation {entry['validation_accuracy']:.2f}%"
                if "validation_accuracy" in entry
                else ""
            )
            print(
                f"{label}: epoch {entry['epoch']}/{recipe.epochs}, loss {loss}, "
                f"accuracy {entry['accuracy']:.2f}%{checked}, {speed:,.0f} images/s, "
                f"{left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    with bar:
        yield on_step, on_epoch
