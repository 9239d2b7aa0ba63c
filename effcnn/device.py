"""Where a training runs: the device, and whether torch.compile speeds it up there."""

from collections.abc import Callable

import torch
from torch import Tensor

from effcnn.errors import UserError, unknown
from effcnn.recipe import Recipe

COMPILE = ("auto", "on", "off")
WORTH_COMPILING = 500_000  # images: what a compiled training gains here, the compiler has cost


def pick_compiled(name: str, recipe: Recipe, device: torch.device) -> bool:
    """Whether to compile: "auto" does in long trainings in bf16, where there is a compiler.

    On the CPU float32 gains nothing. Raises `UserError` for another name, and for "on" without a
    compiler.
    """
    if name not in COMPILE:
        raise unknown("choice to compile", name, COMPILE)
    worth = recipe.precision == "bf16" and recipe.epochs * recipe.train_images >= WORTH_COMPILING
    if name == "off" or (name == "auto" and not worth):
        return False
    from effcnn import fused  # here, for the compiler takes long to import

    if name == "on" and not fused.available():
        raise UserError("cannot compile: there is no C++ compiler that torch.compile can use")
    return device.type != "mps" and fused.available()


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU. Raises `UserError` if it is not there."""
    here = ["cpu"]
    here += ["cuda"] if torch.cuda.is_available() else []
    here += ["mps"] if torch.backends.mps.is_available() else []
    try:
        device = torch.device(name.replace("auto", "cuda" if "cuda" in here else "cpu"))
        if device.type not in here:
            raise RuntimeError
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError):
        raise UserError(f"no device '{name}' here; choose from auto, {', '.join(here)}") from None
    return device


def compile_whole(forward: Callable) -> Callable:
    """Loss and gradients as one graph, which a GPU replays: launching kernels one by one bounds it.

    The results are copies: the next replay writes over what the graph gave.
    """
    graph = torch.compile(forward, mode="reduce-overhead", dynamic=False)

    def replay(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        torch.compiler.cudagraph_mark_step_begin()
        loss, logits = graph(images, targets)
        return loss.clone(), logits.clone()

    return replay
