"""The rules that judge claims, by hand-made runs whose answer is known."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from effcnn import paper, results, stats, verdicts
from effcnn.recipe import Recipe
from effcnn.verdicts import Better, Equal, Leads, NotWorse, Reaches, Stated

BASE, BLUR = "table-4/mnist-baseline", "table-4/mnist-bp"  # 0.86 apart, the paper prints
GAINS = Better("Table 4", "it gains", BLUR, BASE)
NETS = "table-3/mnist-7k-dw", "table-3/mnist-7k"


@pytest.fixture
def group(record, tmp_path):
    def make(*accuracies, dataset="mnist"):
        net = {"mnist": "1.5k-dw", "cifar10": "143k-dw"}[dataset]
        return [
            results.Run(tmp_path, Recipe.make(dataset, net, seed=seed), record(accuracy))
            for seed, accuracy in enumerate(accuracies)
        ]

    return make


@pytest.fixture
def around(group):
    """Five runs with this mean and standard deviation."""
    shape = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) / np.sqrt(2.5)
    return lambda mean, deviation: group(*(mean + deviation * shape))


def finding(claim, runs):
    return verdicts.judged([claim], runs)["finding"][0]


def verdict(claim, runs):
    return finding(claim, runs).verdict


@pytest.mark.parametrize(
    ("gain", "deviation", "expected", "reason"),
    [
        (0.86, 0.05, "reproduced", "the sign agrees; the size is one that our single runs allow"),
        (0.30, 0.05, "direction only", "the size differs"),
        (2.00, 0.05, "direction only", "the size differs"),
        # Resolved by five runs, but two single ones may well show no gain.
        (0.86, 0.40, "direction only", "scatter too much"),
        (-0.30, 0.05, "not reproduced", "other sign"),
        (0.00, 0.05, "not reproduced", "a gain of 0.1 points is excluded"),
        (0.30, 0.40, "not testable", "do not resolve"),
        (-0.10, 0.40, "not testable", "do not resolve"),
        # The paper's 0.86 would lie in the wide interval; that is no agreement.
        (0.86, 1.50, "not testable", "do not resolve"),
    ],
)
def test_one_beats_the_other(around, gain, deviation, expected, reason):
    said = finding(GAINS, {BASE: around(98.0, deviation), BLUR: around(98.0 + gain, deviation)})
    assert said.verdict == expected
    assert reason in said.reason
    assert repr(said.number).startswith(f"{gain:+.2f} ± ".replace("-", "−"))


def test_a_wide_interval_agrees_with_the_size_and_with_no_gain(around):
    """What makes it direction only: it holds the paper's size, and zero as well."""
    runs = {BASE: around(98.0, 0.4), BLUR: around(98.86, 0.4)}
    gap = verdicts.judged([GAINS], runs)["gap"][0]
    assert gap.sign == 1
    assert gap.single.low < 0 < 0.86 < gap.single.high


def test_a_resolved_gain_below_the_margin_is_no_absence(around):
    """Whatever is resolved is judged first, by its sign."""
    runs = {BASE: around(98.0, 0.01), BLUR: around(98.05, 0.01)}
    gap = verdicts.judged([GAINS], runs)["gap"][0]
    assert gap.leads_below(0.1)
    assert gap.lags_below(0.1)
    assert verdict(GAINS, runs) == "direction only"
    assert verdict(Equal("", "", BLUR, BASE), runs) == "not reproduced"
    assert verdict(NotWorse("", "", BASE, BLUR), runs) == "not reproduced"
    assert verdict(NotWorse("", "", BLUR, BASE), runs) == "reproduced"


@pytest.mark.parametrize(
    ("deviation", "expected"), [(0.05, "not reproduced"), (0.35, "not testable")]
)
def test_a_small_gain_is_refuted_by_its_own_size(group, deviation, expected):
    """The paper's step is 0.29, the margin on CIFAR-10 0.5."""
    trio = "table-5/cifar10-bp+co+m"
    same = [86.0 + deviation * place for place in (-1.2, -0.4, 0.0, 0.4, 1.2)]
    runs = dict.fromkeys((f"{trio}+swa", trio), group(*same, dataset="cifar10"))
    table = verdicts.judged([Better("", "", f"{trio}+swa", trio)], runs)
    assert table["gap"][0].leads_below(0.5)
    assert table["finding"][0].verdict == expected
    if expected == "not reproduced":
        assert table["finding"][0].reason == "a gain of 0.29 points is excluded"


def test_a_loss_that_is_not_resolved_may_still_exclude_a_gain(group):
    runs = {BASE: group(98.0, 98.2, 98.4), BLUR: group(97.8, 98.0, 98.02)}
    gap = verdicts.judged([GAINS], runs)["gap"][0]
    assert gap.sign == 0
    assert not gap.lags_below(0.1)  # no equivalence
    assert verdict(GAINS, runs) == "not reproduced"


@pytest.mark.parametrize(
    ("gap", "deviation", "equal", "not_worse"),
    [
        (0.00, 0.01, "reproduced", "reproduced"),
        (0.30, 0.01, "not reproduced", "reproduced"),
        (-1.0, 0.01, "not reproduced", "not reproduced"),
        (0.00, 0.30, "not testable", "not testable"),
        (0.25, 0.25, "not testable", "reproduced"),  # shown to be no worse, though not better
        (-0.2, 0.25, "not testable", "not testable"),
    ],
)
def test_equal_and_not_worse_are_held_against_a_margin(around, gap, deviation, equal, not_worse):
    runs = dict(zip(NETS, (around(99.3 + gap, deviation), around(99.3, deviation)), strict=True))
    assert verdict(Equal("", "", *NETS), runs) == equal
    assert verdict(NotWorse("", "", *NETS), runs) == not_worse


def test_margins_are_those_of_the_data_set(group):
    runs = dict(zip(NETS, (group(80.0, 80.1, 80.2, dataset="cifar10"),) * 2, strict=True))
    assert finding(Equal("", "", *NETS), runs).reason == "less than 0.5 points apart"


def others(around, *names):
    """More gains on MNIST, each far from resolved."""
    return {f"table-4/mnist-{name}": around(98.0, 0.5) for name in names}


def test_p_is_corrected_over_the_table_and_data_set_alone(group, around):
    runs = {BASE: group(98.3, 98.4, 98.5), BLUR: group(98.6, 98.7, 98.8)}  # p = 0.021
    assert verdict(GAINS, runs) == "direction only"
    # A claim of another table does not count, nor the same difference once more.
    runs |= dict.fromkeys(NETS, around(99, 0.5))
    more = [GAINS, Better("V", "again", BLUR, BASE), Better("", "", *NETS)]
    assert verdicts.judged(more, runs)["finding"][0].verdict == "direction only"
    # Two more rows of the same table do, claimed or not: three times 0.021.
    runs |= others(around, "se", "m")
    for claims in ([GAINS], [GAINS, Better("", "", "table-4/mnist-se", BASE)]):
        table = verdicts.judged(claims, runs)
        assert table["finding"][0].verdict == "not testable"
        raw = scipy_stats.ttest_ind([98.6, 98.7, 98.8], [98.3, 98.4, 98.5], equal_var=False).pvalue
        assert table["gap"][0].p == pytest.approx(3 * raw)


def test_rankings_are_corrected_together_and_apart_from_the_gains(around):
    runs = others(around, *verdicts.alone("mnist")) | {BASE: around(98.0, 0.5)}
    one, three = (Leads("", "", "mnist", names) for names in (("bp",), ("bp", "se", "swa")))
    table = verdicts.judged([GAINS, one, three], runs)
    assert list(table["gap"].isna()) == [False, True, True]
    # The same pair has the same p-value in both, whichever is asked.
    alone = [verdicts.judged([claim], runs)["finding"][0] for claim in (one, three)]
    assert list(table["finding"][1:]) == alone


@pytest.fixture
def ranking(around):
    """Runs of all techniques alone: those named have these means, all others 97."""

    def make(deviation=0.05, **means):
        names = verdicts.alone("mnist")
        assert set(means) <= set(names)
        return {f"table-4/mnist-{n}": around(means.get(n, 97.0), deviation) for n in names}

    return make


@pytest.mark.parametrize(
    ("names", "means", "expected", "reason"),
    [
        (
            *(("bp", "se", "swa"), {"bp": 99, "se": 98.9, "swa": 99.1}),
            *("reproduced", "the smallest lead is that of `se`"),
        ),
        (("bp",), {"bp": 99, "se": 98.5}, "reproduced", "over `se`"),
        (("bp",), {"se": 99, "bp": 98.5}, "not reproduced", "`se` beats `bp`"),
        # One member of three fails against one outsider.
        (("bp", "se", "swa"), {"bp": 99, "se": 98, "m": 98.5}, "not reproduced", "`m` beats `swa`"),
        (("bp",), {"bp": 98.97, "se": 99}, "not reproduced", "`bp` leads `se` by 0.03 points"),
        (("bp",), {"bp": 98.9, "oc": 98.95}, "not reproduced", "`bp` leads `oc` by 0.1 points"),
        # The lead is below the margin, but so is the paper's.
        (("bp",), {"bp": 99, "se": 98.99}, "not testable", "do not resolve `bp` from `se`"),
    ],
)
def test_who_leads(ranking, names, means, expected, reason):
    said = finding(Leads("", "", "mnist", names), ranking(**means))
    assert said.verdict == expected
    assert reason in said.reason


@pytest.mark.parametrize(
    ("names", "means", "without"),
    [
        (("bp",), {"oc": 99.5, "bp": 99}, "reproduced, the smallest lead is that of `bp` over"),
        (("bp",), {"oc": 99.5, "bp": 99, "se": 99.3}, "not reproduced, `se` beats `bp`"),
        (("bp",), {"oc": 99.5, "bp": 99, "se": 98.99}, "not testable, these runs do not resolve"),
        (("bp",), {"oc": 99.5, "bp": 99, "se": 99.9}, None),  # it is not one-cycle that decides
        (("bp",), {"oc": 98.5, "bp": 99}, None),
    ],
)
def test_where_the_tuned_technique_decides_the_others_are_judged_too(
    ranking, names, means, without
):
    said = finding(Leads("", "", "mnist", names), ranking(**means))
    if without:
        assert said.verdict == "not reproduced"
        assert f"`oc` beats `bp`; without `oc`: {without}" in said.reason
    else:
        assert "without" not in said.reason


def test_the_first_by_means_alone_do_not_lead(ranking):
    runs = ranking(0.4, bp=99.0, se=98.8)
    said = finding(Leads("", "", "mnist", ("bp",)), runs)
    assert (said.verdict, said.reason) == (
        "not testable",
        "these runs do not resolve `bp` from `se`",
    )
    assert repr(said.number).startswith("+0.20 ± ")


def test_the_papers_number_stands_beside_ours(around):
    runs = {BASE: around(98.0, 0.05), BLUR: around(99.2, 0.05)}
    claims = [Better("", "", BASE, BLUR), Reaches("", "", BLUR, BASE)]
    assert list(verdicts.shown(verdicts.judged(claims, runs))["Paper"]) == ["−0.86", "99.21"]
    assert (Leads("", "", "mnist", ("bp",)).theirs(), Equal("", "", *NETS).theirs()) == (
        "–",
        "+0.12",
    )


def test_combinations_and_half_epochs_have_no_place_in_a_ranking(ranking, around):
    far = {f"table-4/mnist-{name}": around(99.9, 0.01) for name in ("sam-half", "bp+se+swa")}
    assert verdict(Leads("", "", "mnist", ("bp",)), ranking(bp=99.0) | far) == "reproduced"
    assert not set(far) & set(Leads("", "", "mnist", ("bp",)).cells())


@pytest.mark.parametrize(
    ("mean", "deviation", "expected"),
    [
        (99.2, 0.1, "reproduced"),
        (98.5, 0.1, "not reproduced"),
        (99.7, 0.1, "direction only"),  # reached, and more
        (99.0, 0.5, "not testable"),  # the baseline's 98.35 would agree, too
        (97.0, 0.5, "not reproduced"),
    ],
)
def test_reaching_the_papers_number(around, mean, deviation, expected):
    assert (paper.accuracy(BLUR), paper.accuracy(BASE)) == (99.21, 98.35)
    assert verdict(Reaches("", "", BLUR, BASE), {BLUR: around(mean, deviation)}) == expected


def test_what_is_stated_stays():
    table = verdicts.judged([Stated("IV", "it is new", "nobody knows")], {})
    said = table["finding"][0]
    assert (said.verdict, said.reason) == ("not testable", "nobody knows")
    assert verdicts.shown(table)["Ours"][0] == "–"


@pytest.mark.parametrize("runs", [(98.0,), (98.0, 98.0, 98.0)])
def test_without_an_interval_nothing_is_testable(group, runs):
    both = {BASE: group(*runs), BLUR: group(*(value + 0.5 for value in runs))}
    for claim in (GAINS, Equal("", "", BLUR, BASE), NotWorse("", "", BLUR, BASE)):
        assert verdict(claim, both) == "not testable"
    assert verdict(Reaches("", "", BLUR, BASE), both) == "not testable"


def test_a_diverged_run_makes_its_claims_untestable_and_no_others(group, around):
    runs = {BASE: around(98, 0.05), BLUR: group(99.0, None), "table-4/mnist-se": around(99, 0.05)}
    table = verdicts.judged([GAINS, Better("", "", "table-4/mnist-se", BASE)], runs)
    assert [found.verdict for found in table["finding"]] == ["not testable", "reproduced"]
    assert table["finding"][0].reason == "a run of table-4/mnist-bp diverged"


def test_claims_wait_for_their_cells():
    ranks, says = Leads("", "", "mnist", ("bp",)), Stated("V", "new", "nobody knows")
    claims = [GAINS, ranks, says]
    assert verdicts.split(claims, []) == ([says], [GAINS, ranks])
    assert verdicts.split(claims, [BASE]) == ([says], [GAINS, ranks])
    assert verdicts.split(claims, [BASE, BLUR]) == ([GAINS, says], [ranks])
    assert verdicts.split(claims, [BASE, *ranks.cells()]) == (claims, [])


def test_no_claim_is_a_table_of_none():
    table = verdicts.judged([], {})
    assert verdicts.counts(table) == dict.fromkeys(verdicts.VERDICTS, 0)
    assert verdicts.shown(table).empty


def test_counts_have_all_four(around):
    runs = {BASE: around(98.0, 0.05), BLUR: around(98.86, 0.05)}
    table = verdicts.judged([GAINS, Better("", "", BASE, BLUR)], runs)
    assert list(verdicts.counts(table).values()) == [1, 0, 1, 0]
    assert list(verdicts.counts(table)) == list(verdicts.VERDICTS)


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


def clock(**times):
    """Stored times of two nets: the quartiles with one thread, and with all four cores."""
    nets = {
        net: {
            f"threads {count}": {"low": low, "median": (low + high) / 2, "high": high}
            for count, (low, high) in zip((1, 4), both, strict=True)
        }
        for net, both in times.items()
    }
    return {"machine": {"cores": 4}, "nets": nets}


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ([(2, 3), (2, 3)], [(1, 1.5), (1, 1.5)], 1),
        ([(1, 1.5), (1, 1.5)], [(2, 3), (2, 3)], -1),
        # One thread says slower, the other count nothing, or the contrary.
        ([(2, 3), (1, 2)], [(1, 1.5), (1, 1.5)], 0),
        ([(2, 3), (1, 1.5)], [(1, 1.5), (2, 3)], 0),
        ([(1, 2), (1, 1.5)], [(1, 1.5), (2, 3)], 0),
        ([(1, 2), (1, 2)], [(2, 3), (2, 3)], 0),  # the halves touch
    ],
)
def test_slower_and_faster_need_both_thread_counts(one, two, expected):
    times = clock(one=one, two=two)
    assert verdicts.thread_counts(times) == ["threads 1", "threads 4"]
    assert verdicts.slower(times, "one", "two") == expected
    assert verdicts.slower(times, "two", "one") == -expected


def test_on_one_core_one_thread_says_it():
    times = clock(one=[(2, 3), (2, 3)], two=[(1, 1.5), (1, 1.5)]) | {"machine": {"cores": 1}}
    assert verdicts.thread_counts(times) == ["threads 1"]
    assert verdicts.slower(times, "one", "two") == 1
