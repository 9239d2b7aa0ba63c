"""What a training needs to go on after it was killed: one file per run, with no pickle in it.

It is a safetensors file. Its metadata holds the trainer's state as JSON, with numbers in the place
of tensors, and a digest of it all.
"""

import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from effcnn import provenance, store
from effcnn.errors import UserError
from effcnn.train import Trainer


def write(path: Path, trainer: Trainer, made: dict) -> None:
    """Store a trainer's state between two epochs, and what its record needs besides, `made`.

    The file before it stays valid until this one is whole. Raises `store.WriteError`.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_pack({"state": trainer.state_dict(), "made": made}, tensors))
    store.put(path, save(tensors, {"tree": text, "sha256": _digest(text, tensors)}))


def read(path: Path) -> dict:
    """The state and `made`, as they were stored. Raises something, where the file is damaged."""
    with safe_open(path, "pt") as file:
        said = file.metadata() or {}
        if not {"tree", "sha256"} <= said.keys():
            raise UserError("it is no checkpoint")
        tensors = {name: file.get_tensor(name).clone() for name in list(file.keys())}
    if said["sha256"] != _digest(said["tree"], tensors):
        raise UserError("its digest is wrong")
    return _unpack(json.loads(said["tree"]), tensors)


def resume(
    path: Path, make: Callable[[], Trainer], epochs: Path | None = None
) -> tuple[Trainer, dict | None]:
    """A trainer that goes on from the checkpoint `path`, and the `made` of the parts before.

    Without a checkpoint: a trainer at the beginning, and None. So too, with a warning, where the
    checkpoint is damaged, which is then moved aside, or does not fit what is to be trained now.

    Args:
        make: gives a trainer at the beginning.
        epochs: folder of the weights after every epoch, where these are to be kept.
    """
    trainer, again = make(), "this training starts from the beginning"
    if not os.path.lexists(path):
        return trainer, None
    try:
        saved = read(path)
        _check(saved, trainer)
        if why := _unfit(saved, trainer, epochs):
            warnings.warn(f"{path} is not used, for {why}; {again}", stacklevel=2)
            return trainer, None
        groups = _groups(trainer)
        trainer.load_state_dict(saved["state"])
        _check_optimizer(trainer, groups)
    # A hostile file can bring about any error, and none may stop the training.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        aside = path.with_name(f"{path.name}.damaged")
        with suppress(OSError):
            os.replace(path, aside)
        text = f"{path} is damaged ({reason}) and now called {aside.name}; {again}"
        warnings.warn(text, stacklevel=2)
        return make(), None
    return trainer, saved["made"]


def weights(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """The weights of a net from a file that may come from anywhere.

    Nothing is read before names and shapes are those of `model`, so that no header decides how much
    memory this takes. Raises `UserError` in one line.
    """
    wanted = model.state_dict()
    try:
        with safe_open(path, "pt") as file:
            if odd := sorted(wanted.keys() ^ set(file.keys())):
                raise UserError(f"{odd[0]} is {'missing' if odd[0] in wanted else 'not in it'}")
            for name, weight in wanted.items():
                shape = file.get_slice(name).get_shape()
                if shape != list(weight.shape):
                    raise UserError(f"{name} is {shape}, not {list(weight.shape)}")
            found = {name: file.get_tensor(name) for name in wanted}
        with path.open("rb") as raw:
            header = raw.read(int.from_bytes(raw.read(8), "little"))  # which safe_open has checked
        json.loads(header, object_pairs_hook=_once)
        for name, weight in wanted.items():
            if found[name].dtype != weight.dtype:
                raise UserError(f"{name} is {found[name].dtype}, not {weight.dtype}")
    except Exception as error:  # as above
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise UserError(f"{path} is not the weights of this net: {reason[0].strip()}") from None
    return found


def _once(pairs: list[tuple[str, object]]) -> dict:
    if len(dict(pairs)) < len(pairs):
        raise UserError("a name stands in it twice")
    return dict(pairs)


def _pack(tree: object, tensors: dict[str, Tensor]) -> object:
    """`tree` as JSON that keeps types; its tensors go to `tensors`, by number."""
    if isinstance(tree, Tensor):
        name = str(len(tensors))
        # A copy of its own: safetensors refuses what is shared or not in the order of its indices.
        tensors[name] = tree.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(tree, dict):
        return {"dict": [[_pack(key, tensors), _pack(tree[key], tensors)] for key in tree]}
    if isinstance(tree, (list, tuple)):
        kind = "list" if isinstance(tree, list) else "tuple"
        return {kind: [_pack(item, tensors) for item in tree]}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise UserError(
        f"a checkpoint cannot hold {tree!r}: let state_dict of your technique give tensors, "
        "numbers, text, None, and lists, tuples and dicts of those"
    )


def _unpack(tree: object, tensors: dict[str, Tensor]) -> object:
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {_unpack(key, tensors): _unpack(item, tensors) for key, item in value}
    return {"list": list, "tuple": tuple}[kind](_unpack(item, tensors) for item in value)


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _unfit(saved: dict, trainer: Trainer, epochs: Path | None) -> str | None:
    """Why a whole checkpoint of this recipe is of no use now."""
    made, done = saved["made"], len(saved["state"]["history"])
    if changed := provenance.changed(trainer.recipe, made["sources"]):
        return f"technique '{changed}' has changed since"
    if made["device"] != trainer.device.type:
        return f"it is of a training on {made['device']}, not {trainer.device.type}"
    try:
        for epoch in range(1, done + 1) if epochs else ():
            weights(epochs / f"{epoch:02d}.safetensors", trainer.model)
    except UserError:
        return f"the weights after epoch {epoch} were not kept"
    return None


def _kinds(tree: object) -> object:
    """Types in the place of values, below dicts; of tensors their dtype and shape."""
    if isinstance(tree, Tensor):
        return tree.dtype, tuple(tree.shape)
    return (
        {key: _kinds(item) for key, item in tree.items()} if isinstance(tree, dict) else type(tree)
    )


MADE = {
    **{"started": str, "wall_seconds": float, "device": str, "sources": dict},
    **{"provenance": dict, "machine": dict, "resumed": list},
}


def _check(saved: dict, trainer: Trainer) -> None:
    """Raise where this cannot be what `trainer` and its record need."""
    state, fresh = saved["state"], trainer.state_dict()
    done, diverged = len(state["history"]), state["status"] == "diverged"

    def sound(number: int, entry: dict) -> bool:
        spoilt = entry["loss"] is None and diverged and number == done
        values = [value for name, value in entry.items() if name != "loss" or not spoilt]
        numbers = all(isinstance(value, (int, float)) for value in values)
        return entry["epoch"] == number and numbers and {"lr", "accuracy"} <= entry.keys()

    fits = {
        "recipe": state["recipe"] == fresh["recipe"],
        "list of parts": state.keys() == fresh.keys()
        and {name: type(part) for name, part in saved["made"].items()} == MADE,
        "list of techniques": state["techniques"].keys() == fresh["techniques"].keys(),
        "model": _kinds(state["model"]) == _kinds(fresh["model"]),
        "generators": _kinds(state["generators"]) == _kinds(fresh["generators"]),
        "status": diverged or state["status"] == "finished",
        "history": 1 <= done <= trainer.recipe.epochs
        and all(sound(number, entry) for number, entry in enumerate(state["history"], 1)),
        "count of images": state["images_seen"] == done * trainer.steps * trainer.recipe.batch_size,
        "time": isinstance(state["seconds"], float) and 0 < state["seconds"] < math.inf,
    }
    for name, fit in fits.items():
        if not fit:
            raise UserError(f"its {name} does not fit")


def _groups(trainer: Trainer) -> list:
    """What the optimizer is set to; the rate may change, but not what it is."""
    return [_kinds({**group, "params": None}) for group in trainer.optimizer.param_groups]


def _check_optimizer(trainer: Trainer, groups: object) -> None:
    """Raise where the loaded state is not as the fused kernels want it, which do not check."""
    fits = _groups(trainer) == groups
    for parameter, values in trainer.optimizer.state.items():
        for name in values.keys() & {"momentum_buffer", "exp_avg", "exp_avg_sq"}:
            fits &= _kinds(values[name]) == _kinds(parameter.detach())
        fits &= "step" not in values or _kinds(values["step"]) == (torch.float32, ())
    if not fits:
        raise UserError("its optimizer does not fit")
