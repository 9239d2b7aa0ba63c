"""Checks of the chapter on one-cycle."""

import math

from effcnn.exercises import Wrong, checked, number, numbers
from effcnn.techniques.one_cycle import one_cycle


@checked
def first(answer) -> None:
    """The first rate for a highest one of 0.5."""
    number(answer, 0.5 / 25, "it starts at the highest rate over 25", within=1e-9)


@checked
def mean(answer) -> None:
    """The mean rate of a cycle with a highest rate of 0.1."""
    expected = sum(one_cycle(step, 1000, 0.1) for step in range(1000)) / 1000
    number(answer, expected, "take the mean of all 1,000 rates", within=1e-4)


@checked
def trapezoid(answer) -> None:
    """A schedule: up over a tenth, flat, down over the last half."""
    rates = [answer(step, 1000, 0.3) for step in range(1000)]
    for step, expected, what in (
        (0, 0.003, "the first step is one hundredth of the rise"),
        (49, 0.15, "half-way up"),
        (99, 0.3, "the rise ends with the highest rate"),
        (300, 0.3, "between rise and fall it stays"),
        (749, 0.15, "half-way down"),
        (999, 0.0, "the last step has rate zero"),
    ):
        if not math.isclose(rates[step], expected, abs_tol=0.002):
            raise Wrong(f"step {step} of 1,000 has rate {rates[step]:.4f}: {what}")
    if max(rates) > 0.3 + 1e-9:
        raise Wrong(f"it rises above the highest rate, to {max(rates):g}")


@checked
def rise_or_fall(answer) -> None:
    """Accuracies of two trainings on the sample, in percent."""
    numbers(answer, ["accuracy of one-cycle in percent", "accuracy of the fall alone"], 50, 100)
