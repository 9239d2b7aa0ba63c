"""Right and wrong answers in the chapter on the verdict; see test_exercises.py."""


def judge(low, high, margin):
    if low > 0 or high < 0:
        return "better" if low > 0 else "worse"
    return "no gain" if high < margin else "undecided"


def margin_first(low, high, margin):
    if high < margin:
        return "no gain"
    return "better" if low > 0 else "undecided"


def two_sided(low, high, margin):
    """Equivalence in place of an absent gain."""
    said = judge(low, high, margin)
    return "undecided" if said == "no gain" and low < -margin else said


def absence_of_evidence(low, high, margin):
    return judge(low, high, margin).replace("undecided", "no gain")


# By check: a right answer, and wrong ones with a piece of the hint.
CASES = {
    "verdict.rule": (
        judge,
        [
            ("better", "the function itself"),
            (margin_first, "needs no margin"),
            (two_sided, "whatever it loses"),
            (absence_of_evidence, "more than the margin"),
            (lambda low, high, margin: judge(low, high, 0.1), "the margin that it is given"),
            (lambda low, high, margin: judge(low, high, -1), "a gain of the margin or more"),
            (lambda low, high: judge(low, high, 0.1), "cannot be tried"),
        ],
    ),
    "verdict.signs": (
        0.2,
        [
            (10 / 512, "they share one"),
            (0.1, "9 of 9"),
            (0.5, "in which place"),
            (20, "between 0 and 1"),
        ],
    ),
    "verdict.best": (
        1.02,
        [
            (0.70, "the best of nine"),
            (0.76, "scatters, too"),
            (0.44, "the middle of all cases"),
            (0.9, "simulate ten runs"),
        ],
    ),
}
