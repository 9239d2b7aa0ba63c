"""Errors a user can mend: one line that says what, where, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Bad input or a missing file. The command line prints it in one line and exits with 2."""


def unknown(what: str, value: str, choices: Iterable[str]) -> UserError:
    """The error for a `value` that is not among `choices`: names the closest and lists all."""
    choices = [str(choice) for choice in choices]
    near = get_close_matches(str(value).lower(), choices, n=1, cutoff=0.6)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return UserError(f"unknown {what} '{value}'{hint}; choose from {', '.join(choices)}")
