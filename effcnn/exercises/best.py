"""Checks of the page on the best recipe."""

from effcnn.exercises import Wrong, checked, number, numbers


@checked
def grid(answer) -> None:
    """Trainings to try ten yes-or-no steps: all combinations, and a ladder."""
    every, ladder = numbers(answer, ["all combinations", "a ladder"], 0, 1e6)
    number(every, 2**10, "each step may be in or out, whatever the others are")
    number(ladder, 11, "a ladder trains the start, and then each step once")


@checked
def greedy(answer) -> None:
    """A function from scores by step, None for a divergence, to the steps that are kept."""
    for scores, expected, what in (
        ({"start": 98.0, "a": 98.5}, ["start", "a"], "a step that rises is kept, and the start"),
        (
            {"start": 98.0, "a": 99.0, "b": 98.5, "c": 98.8},
            ["start", "a"],
            "a step is held against the last one that was kept, not against the one before",
        ),
        ({"start": 98.0, "a": 98.0}, ["start"], "a tie is no rise"),
        ({"start": 98.0, "a": None, "b": 98.1}, ["start", "b"], "a step that diverged is not kept"),
    ):
        got = answer(dict(scores))
        if list(got) != expected:
            raise Wrong(f"of {scores} it keeps {list(got)}: {what}")


@checked
def nothing(answer) -> None:
    """How many of 20 steps that do nothing are kept, on average."""
    expected = sum(1 / k for k in range(2, 22))
    hint = "step k is kept where it is the highest of the first k + 1 scores; how likely is that?"
    number(answer, expected, hint, within=0.1)


@checked
def seeds(answer) -> None:
    """Runs for an interval of at most 0.05 points to either side, at a spread of 0.08."""
    hint = "the half-width is t(n - 1) * s / sqrt(n), and t shrinks with n as well"
    number(answer, 13, hint)
