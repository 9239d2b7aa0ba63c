"""Right and wrong answers in the chapters on protocol and curves; see test_exercises.py."""

from effcnn import cells

TABLES = [
    c for name, c in cells.cells().items() if name.startswith(("table-3", "table-4/", "table-5"))
]
SEEDS = sum(len(cell.seeds) for cell in TABLES)
HASHES = {recipe.hash for cell in TABLES for recipe in cell.recipes()}

# By check: a right answer, and wrong ones with a piece of the hint.
CASES = {
    "protocol.holm": (
        [0.04, 0.03, 0.04],
        [
            ([0.12, 0.03, 0.06], "Bonferroni's"),
            ([0.03, 0.04, 0.04], "sort them back"),
            ([0.04, 0.03], "3 number(s)"),
        ],
    ),
    "protocol.luck": (0.47, [(0.815, "single runs"), (0.0, "averaged over many")]),
    "protocol.count": (
        len(HASHES),
        [(SEEDS, "counted twice"), (len(TABLES), "one run per recipe")],
    ),
    "curves.running": (
        (72.1, 89.4),
        [
            ((89.4, 72.1), "in this order"),
            ((72.1, 90.0), "put t = 1"),
            ((45.0, 89.4), "average the formula"),
            (72.1, "2 number(s)"),
        ],
    ),
    "curves.bonus": (
        lambda values: max(values) - values[-1],
        [
            (1.0, "the function itself"),
            (lambda values: values[-1] - max(values), "how far is the last"),
            (lambda values: max(values) - min(values), "how far is the last"),
        ],
    ),
}
