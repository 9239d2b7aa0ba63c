"""Checks of the chapter on stochastic weight averaging."""

import math

import torch

from effcnn.exercises import Wrong, checked, number, numbers


@checked
def epochs(answer) -> None:
    """How many of 15 epochs lie at or after 75% of training."""
    number(answer, sum(epoch >= 0.75 * 15 for epoch in range(1, 16)), "count epochs from 1")


@checked
def running(answer) -> None:
    """A function that updates a mean by one tensor."""
    draws = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    mean = draws[0].clone()
    for n in range(1, 5):
        mean = answer(mean, n, draws[n])
        if not torch.allclose(mean, draws[: n + 1].mean(0), atol=1e-6):
            raise Wrong(f"after {n + 1} tensors it is not their mean")


@checked
def circle(answer) -> None:
    """The root mean square distance of the mean of four independent draws."""
    number(answer, 1 / math.sqrt(4), "how does the variance of a mean shrink?", within=1e-3)


@checked
def seeds(answer) -> None:
    """The accuracy of the mean of two nets from different seeds, in percent."""
    [value] = numbers(answer, ["accuracy in percent"], 0, 100)
    if value > 90:
        raise Wrong("that is too good for a mean of two trainings; did you average their weights?")
