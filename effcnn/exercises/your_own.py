"""Checks of the chapter on loops, nets and data of one's own."""

import math

from effcnn.exercises import Wrong, checked, number, numbers
from effcnn.techniques import Technique


@checked
def passes(answer) -> None:
    """Batches that go forward in three epochs of 1,000 images with SAM(interval=4) and after."""
    steps, clean = 3 * (1000 // 32), math.ceil(1000 / 32)
    for wrong, hint in (
        (steps, "those are the steps; some of them look twice"),
        (steps + steps // 4, "update_batchnorm looks at images, too"),
        (2 * steps + clean, "it looks twice in every fourth step only"),
        (steps + steps // 4 + clean - 1, "`clean` has the incomplete batch, too"),
        (steps + steps // 4 + 1 + clean, "the first step of four looks once, the fourth twice"),
    ):
        if answer == wrong:
            raise Wrong(hint)
    number(answer, steps + steps // 4 + clean, "steps, second looks, batches of `clean`")


@checked
def cosine(answer) -> None:
    """A technique whose rate falls along half a cosine from `max_lr`."""
    if not isinstance(answer, type) or not issubclass(answer, Technique):
        raise Wrong("answer with the class, not with an instance; it must be a Technique")
    if not answer.spec.sets_lr:
        raise Wrong("its Spec does not say that it sets the rate")
    if set(answer.spec.settings) != {"max_lr"}:
        raise Wrong("its one setting is max_lr")
    number(answer.spec.settings["max_lr"].default, 0.1, "that is the default of max_lr")
    for top in (0.1, 0.3):
        rates = [answer(max_lr=top).learning_rate(step, 40) for step in range(40)]
        if rates[0] is None:
            raise Wrong("no hook of it sets the rate of a step yet")
        number(rates[0], top, f"with max_lr={top} that is the first rate", within=1e-9)
        number(rates[20], top / 2, "half-way, half of max_lr is left", within=1e-9)
        for step, rate in enumerate(rates):
            expected = top * (1 + math.cos(math.pi * step / 40)) / 2
            number(rate, expected, f"step {step} of 40 is not on the cosine", within=1e-9)


@checked
def both(answer) -> None:
    """The accuracy of the residual net on the digits of scikit-learn, in percent."""
    numbers(answer, ["accuracy in percent of a net that has learnt"], 30, 100)
