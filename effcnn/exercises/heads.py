"""Checks of the chapter on heads."""

import torch
from torch import nn

from effcnn.exercises import Wrong, checked, number, numbers


@checked
def dense(answer) -> None:
    """Weights of a dense head on 260 maps of 4x4."""
    number(answer, 260 * 16 * 10, "each of the 4,160 numbers is connected with each class")


@checked
def shuffle(answer) -> None:
    """Answers that change when the places of the last maps are shuffled."""
    number(answer, 0, "what does a mean know of the order?")


@checked
def gap(answer) -> None:
    """A convolution that takes the mean of each of 15 maps of 7x7."""
    if not isinstance(answer, nn.Conv2d):
        raise Wrong("the answer must be an nn.Conv2d")
    maps = torch.randn(3, 15, 7, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        got = answer(maps)
    if got.shape != (3, 15, 1, 1):
        raise Wrong(f"of (3, 15, 7, 7) it must make (3, 15, 1, 1), and makes {tuple(got.shape)}")
    if not torch.allclose(got, maps.mean((2, 3), keepdim=True), atol=1e-5):
        raise Wrong("the numbers are not the means; is each map on its own, and is there a bias?")


@checked
def maximum(answer) -> None:
    """The accuracy of a net with a maximum in place of the mean, in percent."""
    numbers(answer, ["accuracy in percent of a net that has learnt"], 30, 100)
