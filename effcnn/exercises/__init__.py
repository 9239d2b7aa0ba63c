"""Self-checks of the book's exercises, one module per chapter.

    from effcnn.exercises import blurpool as check

    check.shape(answer)

A check says "Right", or raises `Wrong` with a hint. It tries your answer or compares it with what
it works out by itself; you can read how, but then the exercise is gone.
"""

from collections.abc import Callable
from functools import wraps


class Wrong(AssertionError):
    """The answer is not right; the text says what to look at."""


def checked(function: Callable) -> Callable:
    """Let a check print "Right", and refuse what was not answered yet or cannot be tried."""

    @wraps(function)
    def check(answer) -> None:
        parts = answer if isinstance(answer, tuple) else (answer,)
        if any(part is ... for part in parts):
            raise Wrong("no answer yet: put it in place of the three dots")
        try:
            function(answer)
        except Wrong:
            raise
        except Exception as error:  # an answer may be anything, and a student's code raise anything
            raise Wrong(f"it cannot be tried: {type(error).__name__}: {error}") from error
        print("Right.")

    return check


def number(answer: object, expected: float, hint: str, within: float = 0) -> None:
    """Raise `Wrong` unless the answer is this number."""
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise Wrong(f"the answer must be a number, not {type(answer).__name__}") from None
    if not abs(value - expected) <= within:
        raise Wrong(f"{value:g} is not right: {hint}")


def numbers(answer: object, names: list[str], low: float, high: float) -> list[float]:
    """The answer as one number per name, or raise `Wrong` if it is none between these bounds."""
    try:
        values = [float(value) for value in (answer if len(names) > 1 else [answer])]
    except (TypeError, ValueError):
        values = []
    if len(values) != len(names):
        raise Wrong(f"answer with {len(names)} number(s): {', '.join(names)}")
    for name, value in zip(names, values, strict=True):
        if not low <= value <= high:
            raise Wrong(f"{value:g} as {name} is not between {low:g} and {high:g}")
    return values
