"""Checks of the chapter on the techniques."""

import math

from effcnn.exercises import Wrong, checked, number, numbers
from effcnn.exercises.cutout import share


@checked
def target(answer) -> None:
    """The target of a 3 that is mixed with a 5 at 0.7 and smoothed with 0.1."""
    got = numbers(answer, [f"class {digit}" for digit in range(10)], 0, 1)
    if not math.isclose(sum(got), 1, abs_tol=1e-3):
        raise Wrong(f"the numbers of a target sum to 1, and these to {sum(got):g}")
    hint = "label smoothing takes a tenth of all, and gives every class a hundredth"
    for digit, value in enumerate(got):
        expected = 0.9 * {3: 0.7, 5: 0.3}.get(digit, 0) + 0.01
        if not math.isclose(value, expected, abs_tol=1e-4):
            raise Wrong(f"{value:g} for class {digit} is not right: {hint}")


@checked
def area(answer) -> None:
    """Pixels that a square of 10 removes of 28x28 on average."""
    if answer == 100:
        raise Wrong("so many are removed where nothing hangs over the border")
    hint = "how many rows are cut on average, over all centres?"
    number(answer, 28**2 * share(28, 10), hint, within=0.05)


@checked
def confidence(answer) -> None:
    """Accuracy and confidence in percent, of a net with `oc` and of one with `ls+oc`."""
    names = [f"{what} with {net}" for net in ("oc", "ls+oc") for what in ("accuracy", "confidence")]
    _, plain, _, smoothed = numbers(answer, names, 10, 100)
    if max(plain, smoothed) == 100:
        raise Wrong("no net is wholly sure: take the mean probability of its answers, in percent")
    if smoothed >= plain:
        raise Wrong("the net with label smoothing should be less sure; are they in this order?")
