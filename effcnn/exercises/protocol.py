"""Checks of the chapter on the protocol."""

import math

from effcnn import cells
from effcnn.exercises import Wrong, checked, number, numbers


@checked
def holm(answer) -> None:
    """Holm's correction of the p-values 0.040, 0.010 and 0.020."""
    names = [f"the corrected {p}" for p in ("0.040", "0.010", "0.020")]
    got = numbers(answer, names, 0, 1)
    if math.isclose(got[0], 0.12, abs_tol=1e-6):
        raise Wrong("that is Bonferroni's correction: Holm's multiplies only the smallest by 3")
    for name, value, expected in zip(names, got, (0.04, 0.03, 0.04), strict=True):
        if not math.isclose(value, expected, abs_tol=1e-6):
            raise Wrong(f"{value:g} as {name} is not right: sort them first, then sort them back")


@checked
def luck(answer) -> None:
    """How far the best mean of 12 equal settings lies above the truth, 3 seeds of spread 0.5."""
    [value] = numbers(answer, ["points"], 0, 10)
    if math.isclose(value, 0.815, abs_tol=0.03):
        raise Wrong("that is the best of 12 single runs: take the mean of 3 first")
    hint = "the largest of 12 means, averaged over many repetitions"
    number(value, 1.6292 * 0.5 / math.sqrt(3), hint, within=0.02)


@checked
def count(answer) -> None:
    """Different runs of Tables 3, 4 and 5 together."""
    tables = [
        cell
        for name, cell in cells.cells().items()
        if name.startswith(("table-3/", "table-4/", "table-5/"))
    ]
    if answer == sum(len(cell.seeds) for cell in tables):
        raise Wrong("a run that two cells share is counted twice")
    hashes = {recipe.hash for cell in tables for recipe in cell.recipes()}
    number(answer, len(hashes), "one run per recipe and seed, over the three sweeps")
