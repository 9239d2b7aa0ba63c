"""One-cycle: the learning rate goes up in the first half of training and down in the second."""

import math

from effcnn.errors import UserError
from effcnn.techniques import SPECS, Technique


def one_cycle(
    step: int,
    steps: int,
    max_lr: float,
    *,
    pct_start: float = 0.5,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> float:
    """The learning rate of one optimizer step: half a cosine up to `max_lr`, half a cosine down.

    Count batches, not epochs. Momentum is not touched. The first step runs at `max_lr / div_factor`
    and the last at that over `final_div_factor`. Of two steps, the first is already the highest;
    a single step is the last one.

    Args:
        step: index of the step, 0..steps-1.
        steps: number of steps in the whole training, epochs times batches per epoch.
        max_lr: the highest rate, in optimizer step `pct_start * steps` counted from 1.
        pct_start: share of the steps that go up, 0 <= pct_start < 1; 0.5 in the paper.
        div_factor: `max_lr` over the first rate; 25 as in torch.
        final_div_factor: first rate over the last; 1e4 as in torch.
    Returns: the rate, the same numbers as `torch.optim.lr_scheduler.OneCycleLR` with
        `cycle_momentum=False` (two steps make that one divide by zero).
    Raises: UserError for a step out of range and for settings out of range.
    Source: Smith and Topin 2017, arXiv:1708.07120 (straight lines); torch's cosine, but up for
        half of training as in the paper, where torch's default is 0.3.

    >>> [round(one_cycle(step, 6, max_lr=1.0), 3) for step in range(6)]
    [0.04, 0.52, 1.0, 0.75, 0.25, 0.0]
    """
    if not 0 <= step < steps:
        raise UserError(f"one-cycle has no step {step} of {steps}; count from 0 to steps - 1")
    if not 0 <= pct_start < 1:
        raise UserError(f"one-cycle pct_start is {pct_start}; choose from 0 up to, not with, 1")
    factors = {"max_lr": max_lr, "div_factor": div_factor, "final_div_factor": final_div_factor}
    for name, value in factors.items():
        if not 0 < value < math.inf:
            raise UserError(f"one-cycle {name} is {value}; choose a number above 0")
    first = max_lr / div_factor
    peak = pct_start * steps - 1
    if step < peak:
        return _cosine(first, max_lr, step / peak)
    return _cosine(max_lr, first / final_div_factor, (step - peak) / (steps - 1 - peak))


def _cosine(start: float, end: float, part: float) -> float:
    """Half a cosine from `start` (part 0) to `end` (part 1), exact at both."""
    weight = (1 + math.cos(math.pi * part)) / 2
    return weight * start + (1 - weight) * end


class OneCycle(Technique, spec=SPECS["oc"]):
    """`oc(max_lr=0.2)` in a recipe; it replaces the recipe's own rate."""

    def learning_rate(self, step: int, steps: int) -> float:
        return one_cycle(step, steps, self.max_lr)
