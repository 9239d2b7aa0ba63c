"""Checks of the lesson on depth-wise convolutions."""

import copy

import numpy as np
import torch
from torch import nn

from effcnn import models
from effcnn.exercises import Wrong, checked, number, numbers


@checked
def traffic(answer) -> None:
    """The depth-wise part's shares of the work and of the traffic of a block of 16 to 32."""
    work, moved = numbers(answer, ["share of the work", "share of the traffic"], 0, 1)
    hint = "compare multiply-accumulates per place: 9 per channel, and one per pair of channels"
    number(work, 9 * 16 / (9 * 16 + 16 * 32), hint, within=0.005)
    hint = "per place each part reads its input channels and writes its output channels"
    number(moved, (16 + 16) / (16 + 16 + 16 + 32), hint, within=0.005)


@checked
def fold(answer) -> None:
    """A function that makes a module with one dense convolution of a depth-wise separable block."""
    block = models.build("cifar10-143k-dw").conv3.eval()
    plain = copy.deepcopy(block)
    for conv in (plain.depthwise, plain.pointwise):
        nn.init.zeros_(conv.bias)
    if _same(answer, block):
        return
    if _same(answer, plain):
        raise Wrong("the weights are right, the bias is not: where do depth-wise biases go?")
    raise Wrong("it gives other maps than the block, even where all biases are zero")


def _same(fold, block: nn.Module) -> bool:
    """Whether the folded block gives the block's maps; `Wrong` where it is no dense module."""
    images = torch.randn(2, 16, 9, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, folded = block(images), fold(copy.deepcopy(block))
        if not isinstance(folded, nn.Module):
            raise Wrong(f"it must return a module, and returns {type(folded).__name__}")
        if any(part.groups > 1 for part in folded.modules() if isinstance(part, nn.Conv2d)):
            raise Wrong("it still has a convolution with groups")
        got = folded(images)
    if got.shape != expected.shape:
        raise Wrong(f"it must make {tuple(expected.shape)} of its images, not {tuple(got.shape)}")
    return torch.allclose(got, expected, atol=1e-4)


@checked
def paired(answer) -> None:
    """A function that gives the ± of a difference of two nets, paired and unrelated, in points."""
    dense = np.arange(400) % 5 > 0
    wise = dense ^ (np.arange(400) % 9 == 0)  # mostly right where the other is
    n, b, c = 400, (dense & ~wise).sum(), (wise & ~dense).sum()
    errors = (b + c - (b - c) ** 2 / n) ** 0.5 / n, ((dense.var() + wise.var()) / n) ** 0.5
    names = ["± of the paired interval", "± of the unrelated one"]
    found = numbers(answer(dense, wise), names, 0, 100)
    for got, error, name in zip(found, errors, names, strict=True):
        if np.isclose(got, 1.96 * error, rtol=0.02):
            raise Wrong(f"the {name} is a share; in points it is a hundred times as much")
        if np.isclose(got, 100 * error, rtol=0.01):
            raise Wrong(f"the {name} is the standard error; a 95% interval is wider")
        if not np.isclose(got, 196 * error, rtol=0.01):
            raise Wrong(f"of {n} images it finds {got:.3f} points as {name}, not {196 * error:.3f}")
