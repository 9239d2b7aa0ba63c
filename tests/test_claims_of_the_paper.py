"""The paper's claims, judged by hand-made runs whose answer is known."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from effcnn import cells, claims, paper, results, stats
from effcnn.claims import Better, Equal, Leads, NotWorse, Reaches, Stated
from effcnn.recipe import Recipe

BASE, BLUR = "table-4/mnist-baseline", "table-4/mnist-bp"


@pytest.fixture
def group(record, tmp_path):
    def make(*accuracies, dataset="mnist"):
        net = {"mnist": "1.5k-dw", "cifar10": "143k-dw"}[dataset]
        return [
            results.Run(tmp_path, Recipe.make(dataset, net, seed=seed), record(accuracy))
            for seed, accuracy in enumerate(accuracies)
        ]

    return make


def verdict(claim, runs):
    return claims.judged([claim], runs)["finding"][0].verdict


def test_one_beats_the_other(group):
    claim = Better("Table 4", "it gains", BLUR, BASE)  # by 0.86, the paper prints
    base = group(98.35, 98.4, 98.45)
    cases = {
        "reproduced": (99.2, 99.3, 99.4),
        "direction only": (98.58, 98.59, 98.6),
        "not reproduced": (98.4, 98.5, 98.6),
    }
    for expected, ours in cases.items():
        assert verdict(claim, {BASE: base, BLUR: group(*ours)}) == expected
    below = claims.judged([claim], {BASE: base, BLUR: group(97.0, 97.1, 97.2)})["finding"][0]
    assert (below.verdict, below.reason) == ("not reproduced", "the difference has the other sign")
    assert repr(below.number).startswith("−1.30 ± ")


def test_a_gain_that_one_claim_shows_may_be_lost_among_many(group):
    runs = {BASE: group(98.3, 98.4, 98.5), BLUR: group(98.6, 98.7, 98.8)}  # p = 0.021
    claim = Better("", "it gains", BLUR, BASE)
    assert verdict(claim, runs) != "not reproduced"
    many = claims.judged([claim] * 3, runs)["finding"]
    assert {finding.verdict for finding in many} == {"not reproduced"}


def test_equal_and_not_worse_are_held_against_a_margin(group):
    names = "table-3/mnist-7k-dw", "table-3/mnist-7k"
    cases = [
        ((99.30, 99.31, 99.32), (99.30, 99.31, 99.32), "reproduced", "reproduced"),
        ((99.60, 99.61, 99.62), (99.30, 99.31, 99.32), "not reproduced", "reproduced"),
        ((98.30, 98.31, 98.32), (99.30, 99.31, 99.32), "not reproduced", "not reproduced"),
        ((99.0, 99.3, 99.6), (99.0, 99.3, 99.6), "not testable", "not testable"),
    ]
    for one, two, equal, not_worse in cases:
        runs = dict(zip(names, (group(*one), group(*two)), strict=True))
        assert verdict(Equal("", "", *names), runs) == equal
        assert verdict(NotWorse("", "", *names), runs) == not_worse


def test_who_leads(group):
    runs = {
        BASE: group(98.0, 98.1),
        BLUR: group(99.0, 99.1, 99.2),
        "table-4/mnist-se": group(98.9, 99.0, 99.1),
        "table-4/mnist-m": group(97.0, 97.1, 97.2),
        "table-4/mnist-sam-half": group(99.9, 99.9),
        "table-4/mnist-bp+se+swa": group(99.9, 99.9),
    }
    assert verdict(Leads("", "", "mnist", ("se", "bp")), runs) == "reproduced"
    assert verdict(Leads("", "", "mnist", ("bp",)), runs) == "direction only"
    assert verdict(Leads("", "", "mnist", ("se",)), runs) == "not reproduced"


def test_reaching_the_papers_number(group):
    assert verdict(Reaches("", "", BLUR), {BLUR: group(99.1, 99.2, 99.3)}) == "reproduced"
    for accuracies in ((98.0, 98.1, 98.2), (99.7, 99.75, 99.8)):
        assert verdict(Reaches("", "", BLUR), {BLUR: group(*accuracies)}) == "not reproduced"


def test_what_is_stated_stays(group):
    finding = Stated("IV", "it is new", "nobody knows").judge({}, math.nan)
    assert (finding.verdict, finding.reason) == ("not testable", "nobody knows")


def test_every_claim_names_cells_that_exist_and_a_verdict():
    known = cells.cells()
    for claim in claims.CLAIMS:
        names = [getattr(claim, field, None) for field in ("one", "two", "cell")]
        for name in filter(None, names):
            assert name in known, claim
        if isinstance(claim, Reaches):
            assert paper.accuracy(claim.cell) is not None
        if isinstance(claim, Better):
            assert paper.accuracy(claim.one) > paper.accuracy(claim.two), claim.text
        if isinstance(claim, Leads):
            rows = paper.TABLE_4[claim.dataset]
            order = sorted(claims.SINGLE, key=rows.get, reverse=True)
            assert set(order[: len(claim.names)]) == set(claim.names)


def test_difference_of_single_runs_by_simulation():

    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        a, b = rng.normal(1, 1, 4), rng.normal(0, 3, 6)
        expected = stats.single_difference(a, b)
        inside += expected.low <= rng.normal(1, 1) - rng.normal(0, 3) <= expected.high
    assert 0.93 < inside / 2000 < 0.97
    # With equal numbers the half-width is Welch's times sqrt(n + 1).
    a, b = [1.0, 2.0, 3.5], [0.0, 1.0, 1.5]
    low, high = scipy_stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    half = stats.single_difference(a, b).half
    assert half == pytest.approx((high - low) / 2 * 2)
