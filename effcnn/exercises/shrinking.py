"""Checks of the chapter on shrinking."""

import math

from effcnn import measure, models, stats
from effcnn.exercises import Wrong, checked, number, numbers
from effcnn.exercises.counting import within_budgets


@checked
def block(answer) -> None:
    """Parameters of the second block of mnist-5k-dw."""
    if answer == 9 * 8 * 12 + 2 * 12:
        raise Wrong("that is the dense block; this one has no kernel per pair of channels")
    if answer == 9 * 8 + 8 * 12:
        raise Wrong("those are its convolutions; batch normalisation has parameters too")
    expected = measure.count_parameters(models.build("mnist-5k-dw").conv2)
    number(answer, expected, "a kernel per input channel, a weight per pair, one normalisation")


@checked
def net(answer) -> None:
    """A layer string with fewer than 1,000 parameters and fewer MACs than mnist-1.5k-dw."""
    work = measure.macs(models.build("mnist-1.5k-dw"), (1, 28, 28))
    within_budgets(answer, parameters=999, macs=work - 1, pixels=20)


@checked
def seeds(answer) -> None:
    """The accuracies of three seeds, and half the width of their mean's interval."""
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise Wrong("answer with two things: the list of accuracies, and the ± of their mean")
    names = [f"accuracy of seed {seed} in percent" for seed in range(3)]
    values = numbers(answer[0], names, 20, 100)
    if len(set(values)) == 1:
        raise Wrong("three equal accuracies: was each net trained anew, with a seed of its own?")
    [half] = numbers(answer[1], ["half the width of the interval"], 0, math.inf)
    expected = stats.mean(values).half
    if math.isclose(half, 1.96 / 4.303 * expected, rel_tol=0.01):
        raise Wrong("1.96 takes the spread for known; it comes from three values")
    number(half, expected, "a t interval: t for two degrees of freedom, s, and √3", within=0.06)
