"""Checks of the chapter on training curves."""

import math

from effcnn.exercises import Wrong, checked, numbers


@checked
def running(answer) -> None:
    """Mean and end of an epoch in which accuracy rises as 90 (1 - exp(-t / 0.2)), in percent."""
    mean, end = numbers(answer, ["the mean over the epoch", "the end"], 0, 100)
    if mean > end:
        raise Wrong("accuracy rises, so its end lies above its mean; are they in this order?")
    if not math.isclose(end, 90 * (1 - math.exp(-5)), abs_tol=0.1):
        raise Wrong(f"{end:g} is not the end: put t = 1 into the formula")
    if not math.isclose(mean, 90 * (1 - 0.2 * (1 - math.exp(-5))), abs_tol=0.3):
        raise Wrong(f"{mean:g} is not the mean: average the formula over t from 0 to 1")


@checked
def bonus(answer) -> None:
    """A function of the validation accuracies of a run: the best epoch minus the last."""
    if not callable(answer):
        raise Wrong("answer with the function itself, not with its result")
    for values, expected in (([90.0, 94, 93, 95, 94], 1), ([90.0, 91, 92], 0), ([97.5], 0)):
        if not math.isclose(got := float(answer(values)), expected, abs_tol=1e-9):
            raise Wrong(f"for {values} it gives {got:g}: how far is the last below the best?")
