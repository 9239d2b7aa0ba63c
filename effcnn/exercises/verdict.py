"""Checks of the chapter on the verdict."""

import numpy as np

from effcnn.exercises import Wrong, checked, number, numbers

# An interval of a difference, and what is said of it, where the margin is 0.1.
CASES = (
    ((0.05, 0.35), "better", "the whole interval lies above zero"),
    ((0.01, 0.04), "better", "it is resolved: what is real needs no margin, however small it is"),
    ((-0.40, -0.02), "worse", "the whole interval lies below zero"),
    ((-0.04, -0.01), "worse", "it is resolved: what is real needs no margin, however small it is"),
    ((-0.03, 0.08), "no gain", "a gain of the margin or more is excluded"),
    ((-0.60, 0.08), "no gain", "whatever it loses, a gain of the margin or more is excluded"),
    ((-0.03, 0.30), "undecided", "it may be nothing, and it may be more than the margin"),
    ((-2.00, 3.00), "undecided", "a wide interval is not evidence of absence"),
)


@checked
def rule(answer) -> None:
    """A function of low, high and margin: better, worse, no gain or undecided."""
    if not callable(answer):
        raise Wrong("answer with the function itself, without calling it")
    for (low, high), expected, why in CASES:
        if (said := answer(low, high, 0.1)) != expected:
            raise Wrong(f"for {low:+g} to {high:+g} it says {said!r}: {why}")
    if answer(-0.03, 0.3, 0.5) != "no gain":
        raise Wrong("does it use the margin that it is given?")


@checked
def signs(answer) -> None:
    """The chance that at least 8 of 9 techniques that do nothing come out above the baseline."""
    [chance] = numbers(answer, ["chance, as a fraction of 1"], 0, 1)
    if abs(chance - 10 / 2**9) < 0.002:
        raise Wrong("a coin each would be right if each had a baseline of its own; they share one")
    if abs(chance - 0.1) < 0.002:
        raise Wrong("that is the chance of 9 of 9; 8 of 9 counts, too")
    hint = "of ten runs that differ in nothing, in which place may the baseline be?"
    number(chance, 0.2, hint, within=0.012)


@checked
def best(answer) -> None:
    """What the best of nine gains that do nothing exceeds in one case of twenty, spread 0.3."""
    [reach] = numbers(answer, ["points"], 0, 5)
    runs = 0.3 * np.random.default_rng(0).normal(size=(100_000, 10))
    gains = runs[:, 1:] - runs[:, :1]
    expected = np.quantile(gains.max(1), 0.95)
    for wrong, hint in (
        (np.quantile(gains[:, 0], 0.95), "that is for one gain; the paper shows the best of nine"),
        (np.quantile(runs[:, 1:].max(1), 0.95), "the baseline is a single run, and scatters, too"),
        (np.median(gains.max(1)), "that is the middle of all cases, not one in twenty"),
    ):
        if abs(reach - wrong) < 0.02:
            raise Wrong(hint)
    number(reach, expected, "simulate ten runs: the largest of nine, minus the tenth", within=0.03)
