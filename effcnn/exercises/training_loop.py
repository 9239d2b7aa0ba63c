"""Checks of the chapter on the training loop."""

import math

from scipy.stats import t

from effcnn.exercises import Wrong, checked, number, numbers
from effcnn.techniques import Technique


@checked
def steps(answer) -> None:
    """Optimizer steps, images left out of an epoch, and the last rate of first-steps/cifar10."""
    names = ["optimizer steps", "images left out of each epoch", "the last rate"]
    total, left_out, rate = numbers(answer, names, 0, 1e6)
    if total == 12 * math.ceil(50_000 / 128):
        raise Wrong("a batch that is not full is left out")
    if total == 50_000 // 128:
        raise Wrong("those are the steps of one epoch")
    number(total, 12 * (50_000 // 128), "full batches per epoch, times epochs")
    number(left_out, 50_000 % 128, "what is left when the full batches are taken out")
    number(rate, 0.2 / 25 / 10_000, "the recipe above names max_lr", within=1e-9)


@checked
def linear(answer) -> None:
    """A technique whose rate falls in a straight line from 0.1 towards 0."""
    if not isinstance(answer, type) or not issubclass(answer, Technique):
        raise Wrong("answer with the class, not with an instance; it must be a Technique")
    rates = [answer().learning_rate(step, 50) for step in range(50)]
    if rates[0] is None:
        raise Wrong("no hook of it sets the rate of a step yet")
    if not answer.spec.sets_lr:
        raise Wrong("its Spec does not say that it sets the rate, so a recipe would have two")
    number(rates[0], 0.1, "that is the rate of the first step", within=1e-6)
    if not 0 <= rates[-1] <= 0.1 / 50 + 1e-9:
        raise Wrong(f"the last of 50 steps has rate {rates[-1]:g}, which is not near 0")
    line = [0.1 + (rates[-1] - 0.1) * step / 49 for step in range(50)]
    if not all(map(math.isclose, rates[:-1], line[:-1])):
        raise Wrong("the rates do not lie on a straight line")


@checked
def coverage(answer) -> None:
    """How often the intervals of three values hold the mean: with 1.96, and with t."""
    names = ["share with 1.96", "share with t"]
    normal, student = numbers(answer, names, 0, 1)
    if normal > student:
        raise Wrong("the wider interval holds the mean more often: which one is wider?")
    hint = "s divides by n - 1, and each experiment has an s of its own"
    number(normal, 2 * t.cdf(1.96, 2) - 1, hint, within=0.01)
    number(student, 0.95, "take t for 95% on both sides together, with two degrees", within=0.01)
