"""One-cycle: torch's numbers, its shape, and what it leaves alone."""

import math
import subprocess
import sys

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from effcnn import techniques
from effcnn.errors import UserError
from effcnn.techniques.one_cycle import one_cycle


def rates(steps, max_lr=0.2, **settings):
    return [one_cycle(step, steps, max_lr, **settings) for step in range(steps)]


def torch_rates(steps, max_lr=0.2, **settings):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    settings = {"pct_start": 0.5, "cycle_momentum": False} | settings
    scheduler = OneCycleLR(optimizer, max_lr, total_steps=steps, **settings)
    lrs = [scheduler.get_last_lr()[0]]
    for _ in range(steps - 1):
        optimizer.step()
        scheduler.step()
        lrs.append(scheduler.get_last_lr()[0])
    return lrs


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 10, 37, 390])
def test_the_same_numbers_as_torch(steps):
    assert rates(steps) == pytest.approx(torch_rates(steps), rel=1e-9)
    other = {"pct_start": 0.3, "div_factor": 10.0, "final_div_factor": 50.0}
    assert rates(steps, 3.0, **other) == pytest.approx(torch_rates(steps, 3.0, **other), rel=1e-9)


@pytest.mark.parametrize("steps", [4, 10, 390])
def test_one_peak_at_half_and_an_end_below_the_start(steps):
    lrs = rates(steps, 0.3)
    peak = steps // 2 - 1
    assert (lrs[0], lrs[peak]) == (pytest.approx(0.3 / 25), 0.3)
    assert lrs[-1] == 0.3 / 25 / 1e4
    assert lrs.count(0.3) == 1
    assert lrs[: peak + 1] == sorted(lrs[: peak + 1])
    assert lrs[peak:] == sorted(lrs[peak:], reverse=True)


def test_short_trainings():
    last = 1 / 25 / 1e4
    assert rates(1, 1.0) == [last]
    assert rates(2, 1.0) == [1, last]
    assert rates(3, 1.0) == pytest.approx([1 / 25, 0.75 + 0.25 * last, last])


def test_hand_made_numbers():
    half_up = 0.04 + 0.96 * (1 - math.cos(math.pi / 2)) / 2
    assert rates(6, 1.0)[:3] == pytest.approx([0.04, half_up, 1.0])


@pytest.mark.parametrize(
    ("step", "steps", "max_lr", "settings", "says"),
    [
        (4, 4, 0.1, {}, "no step 4 of 4; count from 0"),
        (-1, 4, 0.1, {}, "no step -1 of 4"),
        (0, 0, 0.1, {}, "no step 0 of 0"),
        (0, 4, 0.0, {}, "max_lr is 0.0; choose a number above 0"),
        (0, 4, math.nan, {}, "max_lr is nan"),
        (0, 4, math.inf, {}, "max_lr is inf"),
        (0, 4, 0.1, {"pct_start": 1.0}, "pct_start is 1.0"),
        (0, 4, 0.1, {"pct_start": -0.1}, "pct_start is -0.1"),
        (0, 4, 0.1, {"div_factor": 0.0}, "div_factor is 0.0"),
        (0, 4, 0.1, {"final_div_factor": -1.0}, "final_div_factor is -1.0"),
    ],
)
def test_bad_arguments(step, steps, max_lr, settings, says):
    with pytest.raises(UserError, match=says):
        one_cycle(step, steps, max_lr, **settings)


def test_the_hook_sets_the_rate_and_nothing_else():
    blur, hook = techniques.create("oc(max_lr=0.1) + bp(padding=zero)")
    assert (blur.padding, blur.layers, hook.max_lr) == ("zero", "all", 0.1)
    assert [hook.learning_rate(step, 9) for step in range(9)] == rates(9, 0.1)
    assert techniques.create("one-cycle")[0].max_lr == 0.2
    assert blur.learning_rate(0, 9) is None
    optimizer = object()  # it has no momentum that could be cycled
    assert hook.wrap_optimizer(optimizer, None) is optimizer


def test_it_needs_no_torch():
    code = "import sys, effcnn.techniques.one_cycle; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
