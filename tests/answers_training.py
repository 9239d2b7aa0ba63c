"""Right and wrong answers in the chapters on training and techniques; see test_exercises.py."""

import math

import torch
from torch import nn

from effcnn import models, techniques
from effcnn.techniques import Setting, Spec, Technique, positive
from effcnn.techniques.blurpool import apply_blurpool
from effcnn.techniques.squeeze_excite import apply_squeeze_excite


def trapezoid(step, steps, top):
    done = (step + 1) / steps
    return top * min(10 * done, 1, 2 * (1 - done))


def operated(blurred=True, gates=True, seed=0):
    """The largest net after surgery."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = models.build("cifar10-143k-dw")
        torch.manual_seed(seed)
        if gates:
            apply_squeeze_excite(net)
    if blurred:
        apply_blurpool(net)
    return net


def other_surgery():
    net = operated()
    net.conv1.relu = nn.Tanh()
    return net


def schedule(rate, short="linear", settings=None, sets_lr=True):
    """A technique that sets this rate."""
    spec = Spec(short, f"{short}-answer", "an answer", settings or {}, sets_lr=sets_lr)
    made = type("Answer", (Technique,), {"learning_rate": rate} if rate else {}, spec=spec)
    del techniques.SPECS[short], techniques._CLASSES[short]  # no other test shall see it
    return made


def falling(self, step, steps):
    return 0.1 * (1 - step / steps)


def half_cosine(self, step, steps):
    return self.max_lr * (1 + math.cos(math.pi * step / steps)) / 2


def ever_the_same_cosine(self, step, steps):
    return 0.1 * (1 + math.cos(math.pi * step / steps)) / 2


TOP = {"max_lr": Setting(0.1, "a guess", positive, "a number above 0")}


# By check: a right answer, and wrong ones with a piece of the hint.
CASES = {
    "combinations.surgery": (
        (operated(), operated()),
        [
            (operated(), "with the two nets"),
            ((operated(), operated(blurred=False)), "no BlurMaxPool2d"),
            ((operated(gates=False), operated()), "no SqueezeExcite2d"),
            ((operated(), operated(seed=1)), "drawn anew"),
            ((operated(), nn.Sequential(operated())), "the same names"),
            ((operated(), other_surgery()), "different outputs"),
        ],
    ),
    "combinations.average": (
        (0.117, 0.054),
        [
            ((0.05, 0.12), "in this order"),
            ((0, 0), "keep a copy"),
            ((11.7, 5.4), "between 0 and 1"),
        ],
    ),
    "combinations.reach": (
        14,
        [
            (13, "nothing below 0.31"),
            (15, "are fewer enough"),
            (14.5, "a whole number"),
            (1, "2 and"),
        ],
    ),
    "one_cycle.first": (0.02, [(0.5, "over 25"), (0.01, "over 25")]),
    "one_cycle.mean": (0.051, [(0.1, "of all 1,000"), (0.054, "of all 1,000")]),
    "one_cycle.trapezoid": (
        trapezoid,
        [
            (lambda step, steps, top: trapezoid(step - 1, steps, top), "step 0"),
            (lambda step, steps, top: min(trapezoid(step, steps, top), 0.5 * top), "the rise ends"),
            (lambda step, steps, top: trapezoid(step % 500, steps, top), "half-way down"),
            (
                lambda step, steps, top: trapezoid(step, steps, top) + (step == 400),
                "above the highest",
            ),
            (lambda step, steps, top: top, "step 0"),
        ],
    ),
    "one_cycle.rise_or_fall": (
        (90, 88),
        [((0.9, 0.88), "between 50 and 100"), (90, "2 number(s)")],
    ),
    "swa.epochs": (4, [(3, "count epochs from 1"), (12, "count epochs from 1")]),
    "swa.running": (
        lambda mean, n, new: mean + (new - mean) / (n + 1),
        [
            (lambda mean, n, new: (mean + new) / 2, "after 3 tensors"),
            (lambda mean, n, new: new, "after 2 tensors"),
        ],
    ),
    "swa.circle": (0.5, [(0.25, "variance of a mean"), (2, "variance of a mean")]),
    "swa.seeds": (11.0, [(97, "too good"), (-1, "between 0 and 100")]),
    "techniques.target": (
        [0.01, 0.01, 0.01, 0.64, 0.01, 0.28, 0.01, 0.01, 0.01, 0.01],
        [
            ([0, 0, 0, 0.7, 0, 0.3, 0, 0, 0, 0], "gives every class"),
            ([0.01, 0.01, 0.01, 0.28, 0.01, 0.64, 0.01, 0.01, 0.01, 0.01], "for class 3"),
            ([0.01, 0.01, 0.01, 0.63, 0.01, 0.27, 0.01, 0.01, 0.01, 0.01], "these to 0.98"),
            ([0.64, 0.28], "10 number(s)"),
        ],
    ),
    "techniques.area": (
        82.94,
        [(100, "hangs over"), (81, "cut on average"), (0.106, "on average")],
    ),
    "techniques.confidence": (
        (73.0, 46.6, 68.8, 38.2),
        [
            ((73.0, 38.2, 68.8, 46.6), "in this order"),
            ((0.73, 0.47, 0.69, 0.38), "between 10 and 100"),
            ((73.0, 100, 68.8, 38.2), "no net is wholly sure"),
            ((73.0, 68.8), "4 number(s)"),
        ],
    ),
    "training_loop.steps": (
        (4680, 80, 8e-7),
        [
            ((4692, 80, 8e-7), "that is not full"),
            ((390, 80, 8e-7), "of one epoch"),
            ((4687.5, 80, 8e-7), "full batches"),
            ((4680, 960, 8e-7), "the full batches are taken out"),
            ((4680, 80, 8e-3), "names max_lr"),
        ],
    ),
    "training_loop.linear": (
        schedule(falling),
        [
            (schedule(None), "no hook of it"),
            (schedule(falling, sets_lr=False), "would have two"),
            (schedule(lambda self, *args: 2 * falling(self, *args)), "of the first step"),
            (schedule(lambda self, step, steps: 0.1 - step / 1e4), "not near 0"),
            (schedule(lambda self, *args: 10 * falling(self, *args) ** 2), "on a straight line"),
            (schedule(falling)(), "not with an instance"),
            (falling, "must be a Technique"),
        ],
    ),
    "training_loop.coverage": (
        (0.813, 0.951),
        [
            ((0.951, 0.813), "which one is wider"),
            ((0.9, 0.95), "divides by n - 1"),
            ((0.813, 0.975), "on both sides together"),
            ((81.3, 95.1), "between 0 and 1"),
        ],
    ),
    "your_own.passes": (
        148,
        [
            (93, "some of them look twice"),
            (116, "update_batchnorm"),
            (218, "every fourth step only"),
            (147, "the incomplete batch"),
            (149, "the fourth twice"),
            (100, "second looks"),
        ],
    ),
    "your_own.cosine": (
        schedule(half_cosine, "cosine", TOP),
        [
            (schedule(None, "cosine", TOP), "no hook of it"),
            (schedule(half_cosine, "cosine", TOP, sets_lr=False), "that it sets the rate"),
            (schedule(falling, "cosine"), "its one setting"),
            (schedule(falling, "cosine", TOP), "step 1 of 40"),
            (schedule(ever_the_same_cosine, "cosine", TOP), "with max_lr=0.3"),
            (schedule(lambda *args: 2 * half_cosine(*args), "cosine", TOP), "with max_lr=0.1"),
            (schedule(lambda *a: half_cosine(a[0], a[1], 2 * a[2]), "cosine", TOP), "half-way"),
            (half_cosine, "must be a Technique"),
        ],
    ),
    "your_own.both": (83.2, [(0.832, "between 30 and 100"), (10.0, "that has learnt")]),
}
