"""Right and wrong answers on the page on the best recipe; see test_exercises.py."""


def kept(scores, better=lambda new, old: new > old):
    names, top = [], None
    for name, score in scores.items():
        if score is not None and (top is None or better(score, top)):
            names.append(name)
            top = score
    return names


def against_the_one_before(scores):
    names, before = [], float("-inf")
    for name, score in scores.items():
        if score is not None and score > before:
            names.append(name)
        before = score
    return names


# By check: a right answer, and wrong ones with a piece of the hint.
CASES = {
    "best.grid": (
        (1024, 11),
        [
            ((1024, 10), "the start"),
            ((100, 11), "in or out"),
            (1024, "answer with 2 number(s)"),
        ],
    ),
    "best.greedy": (
        kept,
        [
            (lambda scores: list(scores)[:1], "a step that rises is kept"),
            (against_the_one_before, "against the last one that was kept"),
            (lambda scores: kept(scores, lambda new, old: new >= old), "a tie is no rise"),
            (
                lambda scores: kept({n: s or 100.0 for n, s in scores.items()}),
                "a step that diverged",
            ),
            (42, "it cannot be tried"),
        ],
    ),
    "best.nothing": (2.65, [(10, "the highest of the first"), (3.65, "how likely")]),
    "best.seeds": (13, [(12, "t(n - 1)"), (10, "shrinks with n")]),
}
