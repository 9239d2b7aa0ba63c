"""Families of differences: every route to a pair gives one p-value, and it is Holm's."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from effcnn import cells, families, gains, results, verdicts
from effcnn.claims import BASE, CLAIMS
from effcnn.recipe import Recipe
from effcnn.verdicts import Better

SWEEPS = Path(cells.__file__).parent.parent / "sweeps"


def holm(p, among):
    """Holm's adjusted p-value, from its definition: the least level at which p is rejected.

    Of k p-values the i-th smallest is rejected at a level a if all up to it are: p(j) <= a/(k-j+1).
    """
    ordered = sorted(among)
    steps = [(len(ordered) - j) * each for j, each in enumerate(ordered) if each <= p]
    return min(1.0, max(steps))


@pytest.fixture
def stored(book, record):
    """Tables 3 to 5 with three made-up runs in each cell; its runs by cell."""
    for table in ("table-3", "table-4", "table-5"):
        lines = (SWEEPS / f"{table}.toml").read_text().splitlines()
        kept = ['seeds = "0-2"' if line.startswith("seeds") else line for line in lines]
        (book / "sweeps" / f"{table}.toml").write_text("\n".join(kept))
    rng, made, runs = np.random.default_rng(0), {}, {}
    for name in families.CELLS:
        cell = cells.cells()[name]
        if cell.recipe not in made:
            means = rng.normal(95, 0.3) + rng.normal(0, 0.1, 3)
            made[cell.recipe] = [
                results.write(book / "results", recipe, record(accuracy), {})
                for recipe, accuracy in zip(cell.recipes(), means, strict=True)
            ]
        runs[name] = made[cell.recipe]
    return runs


def raw(runs, pair):
    a, b = (results.accuracies(runs[name]) for name in pair)
    return scipy_stats.ttest_ind(a, b, equal_var=False).pvalue


def test_every_route_gives_the_same_p_and_it_is_holms(stored):
    expected = {}
    for pairs in families.FAMILIES.values():
        among = [raw(stored, pair) for pair in pairs]
        expected |= {frozenset(pair): holm(p, among) for pair, p in zip(pairs, among, strict=True)}
    assert len(expected) == sum(map(len, families.FAMILIES.values()))  # none is in two of them
    assert families.by_cell(stored) == pytest.approx(expected)
    # A page that shows one pair alone, whichever is first, and one that shows many.
    for one, two in (
        ("table-3/mnist-7k-dw", "table-3/mnist-7k"),
        ("table-4/mnist-bp", BASE["mnist"]),
    ):
        pair = stored[one], stored[two]
        for found in (families.corrected([pair]), families.corrected([pair[::-1]])):
            assert found == pytest.approx([expected[frozenset((one, two))]])
    every = [pair for pairs in families.FAMILIES.values() for pair in pairs]
    found = families.corrected([(stored[one], stored[two]) for one, two in every])
    assert found == pytest.approx([expected[frozenset(pair)] for pair in every])
    # The tables of gains, with all of their rows or some.
    for data in BASE:
        groups = gains.pick(stored, f"table-4/{data}-")
        few = {name: groups[name] for name in ("swa", "baseline", "bp")}
        for shown in (groups, few):
            table = gains.gains(shown).set_index("techniques")
            for name in set(shown) - {"baseline"}:
                pair = frozenset((f"table-4/{data}-{name}", BASE[data]))
                assert table["p"][name] == pytest.approx(expected[pair])
    combined = gains.pick(stored, "table-5/cifar10-") | {"baseline": stored[BASE["cifar10"]]}
    table = gains.gains(combined).set_index("techniques")
    for name in set(combined) - {"baseline"}:
        pair = frozenset((f"table-5/cifar10-{name}", BASE["cifar10"]))
        assert table["p"][name] == pytest.approx(expected[pair])
    # The claims.
    for row in verdicts.judged(CLAIMS, stored).itertuples():
        if row.gap:
            assert row.gap.p == pytest.approx(expected[frozenset(row.claim.pairs()[0])])


def test_a_verdict_is_the_same_on_both_pages(stored):
    words = {1: "better", -1: "worse", 0: "not resolved"}
    for data, base in BASE.items():
        groups = gains.pick(stored, f"table-4/{data}-")
        table = gains.gains(groups).set_index("techniques")
        for name in families.alone(data):
            claim = Better("", "", f"table-4/{data}-{name}", base)
            gap = verdicts.judged([claim], stored)["gap"][0]
            assert table["verdict"][name] == words[gap.sign]


def test_a_family_grows_with_the_runs_that_are_there(stored):
    pair = "table-4/mnist-bp", BASE["mnist"]
    first = {name: stored[name] for name in pair}
    assert families.by_cell(first) == {frozenset(pair): pytest.approx(raw(stored, pair))}
    more = first | {"table-4/mnist-se": stored["table-4/mnist-se"]}
    among = [raw(stored, (f"table-4/mnist-{name}", pair[1])) for name in ("bp", "se")]
    assert families.by_cell(more)[frozenset(pair)] == pytest.approx(holm(among[0], among))


def test_what_lacks_a_p_value_does_not_count(stored, record, tmp_path):
    runs = {name: stored[name] for name in ("table-4/mnist-bp", BASE["mnist"])}
    alone = families.by_cell(runs)
    lost = results.Run(tmp_path, stored["table-4/mnist-se"][0].recipe, record(None))
    runs["table-4/mnist-se"] = [lost, *stored["table-4/mnist-se"][1:]]
    runs["table-4/mnist-m"] = stored["table-4/mnist-m"][:1]
    found = families.by_cell(runs)
    assert {pair: found[pair] for pair in alone} == alone
    for name in ("se", "m"):
        assert math.isnan(found[frozenset((f"table-4/mnist-{name}", BASE["mnist"]))])


def test_a_cell_that_lacks_a_run_is_not_read(stored):
    pair = stored["table-3/mnist-7k-dw"], stored["table-3/mnist-7k"]
    among = [raw(stored, names) for names in families.FAMILIES["table-3/mnist"]]
    assert families.corrected([pair]) == pytest.approx([holm(among[0], among)])
    folder = stored["table-3/mnist-25k"][0].folder
    folder.rename(folder.with_name("elsewhere"))
    del among[2]  # 1.5k-dw minus 25k
    assert families.corrected([pair]) == pytest.approx([holm(among[0], among)])


def test_pairs_of_no_family_are_corrected_among_themselves(stored, record, tmp_path):
    values = {"": [98.0, 98.2, 98.4], "bp": [98.5, 98.6, 98.9], "m": [97.0, 97.4, 97.5]}
    sample = {
        name: [
            results.Run(
                tmp_path, Recipe.make("mnist-sample", "1.5k-dw", name, seed=seed), record(x)
            )
            for seed, x in enumerate(group)
        ]
        for name, group in values.items()
    }
    pairs = [(sample[name], sample[""]) for name in ("bp", "m")]
    among = [
        scipy_stats.ttest_ind(values[name], values[""], equal_var=False).pvalue
        for name in ("bp", "m")
    ]
    known = stored["table-3/cifar10-143k-dw"], stored["table-3/cifar10-143k"]
    found = families.corrected([pairs[0], known, pairs[1]])
    names = families.FAMILIES["table-3/cifar10"][0]
    assert found == pytest.approx(
        [holm(among[0], among), raw(stored, names), holm(among[1], among)]
    )
    # Nor are runs of other epochs taken for the cell's.
    short = [results.Run(run.folder, _shorter(run.recipe), run.record) for run in known[0]]
    assert families.corrected([(short, known[1])]) == pytest.approx([raw(stored, names)])
    assert families.corrected([]) == []


def _shorter(recipe):
    return Recipe(**{**vars(recipe), "epochs": 1})


def test_outside_a_book_the_pairs_that_are_asked_are_corrected(stored, monkeypatch):
    monkeypatch.setattr(cells, "checkout", lambda: None)
    pair = stored["table-4/mnist-bp"], stored[BASE["mnist"]]
    assert families.corrected([pair]) == pytest.approx(
        [raw(stored, ("table-4/mnist-bp", BASE["mnist"]))]
    )
