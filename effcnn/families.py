"""Which differences are corrected together, so that two cells have one verdict on every page.

A difference counts as resolved by its p-value after Holm's correction over its family. One table
of the paper on one data set is one family, whatever page shows a part of it: the rows of Tables 4
and 5 against the baseline, and the nets and combinations that the paper sets against each other.
Who leads in Table 4 is asked of other differences, technique against technique; these are one more
family per data set. Of a family those pairs count whose runs are there: it grows while its table
trains, and a verdict may fall when it does.
"""

import math
from collections.abc import Sequence
from itertools import product

from effcnn import cells, paper, results, stats
from effcnn.recipe import Recipe
from effcnn.results import Run, accuracies

Pair = tuple[str, str]  # of cells; its order does not matter here
Runs = dict[str, list[Run]]  # by cell: table-4/mnist-bp

TRIO = "bp+co+m"  # what Table 5 builds on
# The techniques that the paper has lead in Table 4: the first one, and the first three.
LEADERS = {"mnist": (("bp",), ("bp", "se", "swa")), "cifar10": (("m",), ("m", "bp", "co"))}


def alone(dataset: str) -> list[str]:
    """The techniques that Table 4 tries alone on a data set."""
    return [name for name in paper.TABLE_4[dataset] if name != "baseline" and "+" not in name]


def ranking(dataset: str, names: Sequence[str]) -> list[Pair]:
    """Each of the techniques `names` and each of those that they would lead in Table 4."""
    others = [name for name in alone(dataset) if name not in names]
    return _named(f"table-4/{dataset}-", product(names, others))


def _named(prefix: str, pairs) -> list[Pair]:
    return [(f"{prefix}{one}", f"{prefix}{two}") for one, two in pairs]


def _families() -> dict[str, list[Pair]]:
    """The pairs of each family."""
    nets = [("7k-dw", "7k"), ("5k-dw", "5k"), ("1.5k-dw", "25k"), ("1.5k-dw", "7k")]
    found = {
        "table-3/mnist": _named("table-3/mnist-", nets),
        "table-3/cifar10": _named("table-3/cifar10-", [("143k-dw", "143k")]),
    }
    for data, rows in paper.TABLE_4.items():
        techniques = [name for name in (*rows, "sam-half") if name != "baseline"]
        pairs = [(name, "baseline") for name in techniques]
        pairs += [(name, "bp") for name in techniques if "+" in name]
        found[f"table-4/{data}"] = _named(f"table-4/{data}-", pairs)
        led = [pair for names in LEADERS[data] for pair in ranking(data, names)]
        found[f"table-4/{data}, who leads"] = list(dict.fromkeys(led))
    own, single = "table-5/cifar10-", "table-4/cifar10-"
    pairs = [(f"{own}{name}", f"{single}baseline") for name in paper.TABLE_5]
    pairs += _named(own, [(name, TRIO) for name in paper.TABLE_5 if name != TRIO])
    found["table-5/cifar10"] = [*pairs, (f"{own}{TRIO}", f"{single}m")]
    return found


FAMILIES = _families()
# Every cell of a family.
CELLS = list(dict.fromkeys(cell for pairs in FAMILIES.values() for pair in pairs for cell in pair))


def by_cell(runs: Runs) -> dict[frozenset[str], float]:
    """The corrected p-value of every pair of a family whose two cells are in `runs`.

    It is nan, and the pair does not count in the correction, where a run diverged, or a cell has
    one run or no spread.
    """
    found = {}
    for pairs in FAMILIES.values():
        there = [pair for pair in pairs if set(pair) <= set(runs)]
        adjusted = stats.holm([_p(runs[one], runs[two]) for one, two in there])
        found |= {frozenset(pair): float(p) for pair, p in zip(there, adjusted, strict=True)}
    return found


def corrected(pairs: Sequence[tuple[list[Run], list[Run]]]) -> list[float]:
    """The corrected p-value of each difference of two groups of runs, for any page.

    A group belongs to the cell of the tables whose recipe it has. What the page does not show of
    the families is read from results/, if all runs of the cell are there. Pairs of no family
    (previews, runs on the sample, other recipes) are corrected among themselves.
    """
    recipes = {name: cell.recipe for name, cell in cells.cells().items() if name in CELLS}
    names = [_cells_of(pair, recipes) for pair in pairs]
    given: Runs = {}
    others = []
    for cell_pair, groups in zip(names, pairs, strict=True):
        if cell_pair:
            given |= zip(cell_pair, groups, strict=True)
        else:
            others.append(_p(*groups))
    known, rest = by_cell({**_stored(given), **given}), iter(stats.holm(others))
    return [known[frozenset(one)] if one else float(next(rest)) for one in names]


def _p(one: list[Run], two: list[Run]) -> float:
    """Welch's p-value of no difference, before correction."""
    if any(run.diverged for run in (*one, *two)):
        return math.nan
    return stats.difference(accuracies(one), accuracies(two)).p


def _cells_of(groups: tuple[list[Run], list[Run]], recipes: dict[str, Recipe]) -> Pair | None:
    """The pair of a family that has the recipes of two groups, but for the seed."""
    owns = [group[0].recipe for group in groups]
    sides = [
        [name for name, recipe in recipes.items() if recipe.with_seed(own.seed) == own]
        for own in owns
    ]
    known = {frozenset(pair) for pairs in FAMILIES.values() for pair in pairs}
    return next((pair for pair in product(*sides) if frozenset(pair) in known), None)


def _stored(given: Runs) -> Runs:
    """The other cells of the families of `given`, those with all their runs in results/."""
    folder, known = results.published(), cells.cells()
    touched = [
        pairs for pairs in FAMILIES.values() if any(set(pair) <= set(given) for pair in pairs)
    ]
    names = {cell for pairs in touched for pair in pairs for cell in pair} & set(known) - set(given)
    found = {
        name: [results.find(recipe, folder) for recipe in known[name].recipes()]
        for name in names
        if folder
    }
    return {name: group for name, group in found.items() if all(group)}
