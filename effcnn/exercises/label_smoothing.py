"""Checks of the chapter on label smoothing."""

import math

import numpy as np

from effcnn.exercises import Wrong, checked, number, numbers


@checked
def goal(answer) -> None:
    """The confidence with the smallest loss for s = 0.2 and 100 classes."""
    number(answer, 0.802, "the right class also gets its part of the share", within=1e-6)


@checked
def lead(answer) -> None:
    """The lead of the right logit with the smallest loss for s = 0.1 and ten classes."""
    number(answer, math.log(0.91 / 0.01), "the others get 0.01 each", within=0.01)


@checked
def ece(answer) -> None:
    """A function that computes the expected calibration error with ten bins."""
    cases = (
        ([0.95, 0.95], [1, 0], 45.0, "one bin: 95% sure, 50% right"),
        ([0.95, 0.55], [1, 0], 30.0, "two bins of one answer each: 5 and 55 points off"),
        ([0.95, 0.95, 0.95, 0.15], [1, 1, 1, 1], 25.0, "weigh each bin by its answers"),
        ([0.9, 0.81], [1, 0], 35.5, "0.9 lies on an edge: it belongs to the bin below"),
        ([0.5, 0.41], [1, 0], 4.5, "distances within a bin cancel: means first"),
    )
    for confidence, right, expected, hint in cases:
        got = answer(np.array(confidence), np.array(right, float))
        if not math.isclose(got, expected, abs_tol=1e-6):
            raise Wrong(f"for {confidence} and {right} it gives {got:g}, not {expected:g}: {hint}")


@checked
def temperature(answer) -> None:
    """A temperature between 0.5 and 3."""
    numbers(answer, ["temperature"], 0.5, 3)
