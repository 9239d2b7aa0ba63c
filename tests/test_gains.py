"""Gains over a baseline: hand-made runs, Welch and Holm from SciPy, figures, steps in time."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from effcnn import chapter, gains, plots, results, stats, timing
from effcnn.errors import UserError
from effcnn.recipe import Recipe

ACCURACIES = {
    "baseline": [79.0, 80.0, 81.0],
    "bp": [83.0, 84.0, 85.0],
    "m": [70.0, 71.0, 72.5],
    "bp+m": [80.0, 80.5, 81.5],
}
PAPER = {"baseline": 79.9, "bp": 83.16, "bp+m": 84.0}


@pytest.fixture
def runs(by_technique):
    return by_technique(ACCURACIES)


def test_gains_by_welch_and_holm(runs):
    table = gains.gains(runs, PAPER).set_index("techniques")
    assert [table["ours"][name].value for name in ACCURACIES] == pytest.approx(
        [80, 84, 213.5 / 3, 242 / 3]
    )
    assert table["gain"]["baseline"] is None
    raw = {}
    for name in ("bp", "m", "bp+m"):
        welch = scipy_stats.ttest_ind(ACCURACIES[name], ACCURACIES["baseline"], equal_var=False)
        raw[name] = welch.pvalue
        gap = table["gain"][name]
        assert (gap.low, gap.high) == pytest.approx(tuple(welch.confidence_interval()))
    order = sorted(raw, key=raw.get)  # Holm by hand: times 3, 2, 1
    assert [table["p"][name] for name in order] == pytest.approx(
        [min(1, factor * raw[name]) for factor, name in zip((3, 2, 1), order, strict=True)]
    )
    assert dict(table["verdict"]) == {
        **{"baseline": "–", "bp": "better", "m": "worse", "bp+m": "not resolved"}
    }
    assert table["paper_gain"]["bp"] == pytest.approx(3.26)
    assert math.isnan(table["paper_gain"]["m"])
    assert math.isnan(table["paper_gain"]["baseline"])


def test_single_runs_have_a_gain_but_no_verdict(runs):
    table = gains.gains({name: group[:1] for name, group in runs.items()})
    assert list(table["verdict"]) == ["–", *["one run"] * 3]
    assert [gap.text("+") for gap in table["gain"][1:]] == ["+4.00", "−9.00", "+1.00"]
    assert gains.largest(table) == ("bp", table["gain"][1])
    assert gains.reading(table, "published").startswith("**Previews, one run each.**")


def test_a_diverged_run_takes_its_row_out_and_a_diverged_baseline_all(runs, record, tmp_path):
    lost = results.Run(tmp_path, runs["m"][0].recipe, record(None))
    shown = {**runs, "m": [lost, *runs["m"][1:]]}
    table = gains.gains(shown, PAPER)
    assert list(table["diverged"]) == [0, 0, 1, 0]
    assert (table["ours"][2], table["gain"][2], table["verdict"][2]) == (None, None, "diverged")
    assert repr(gains.shown(table, shown)["Ours (%)"][2]) == "diverged 1 of 3"
    assert not gains.gains({**runs, "baseline": [lost]})["gain"].any()
    headless = gains.gains({**runs, "baseline": [lost]})
    assert gains.largest(headless) is None
    assert list(headless["verdict"][1:]) == ["no baseline"] * 3
    lone = gains.gains({**runs, "baseline": runs["baseline"][:1]})
    assert list(lone["verdict"][1:]) == ["one run"] * 3
    with pytest.raises(UserError, match="needs a baseline; it has bp, m"):
        gains.gains({"bp": runs["bp"], "m": runs["m"]})


def test_shown_puts_the_papers_numbers_beside_ours(runs):
    table = gains.gains(runs, PAPER)
    first, second, third, fourth = gains.shown(table, runs).to_dict("records")
    assert first["Techniques"] == "`baseline`"
    assert second["Techniques"] == "`bp` blurpool"
    assert fourth["Techniques"] == "`bp+m`"
    assert (second["Paper (%)"], second["Paper's gain"]) == ("83.16", "+3.26")
    assert (third["Paper (%)"], third["Paper's gain"]) == ("–", "–")
    assert repr(second["Ours (%)"]) == "84.00 ± 2.48"  # t(2) = 4.303, s = 1
    assert repr(second["Our gain"]) == "+4.00 ± 2.27"  # t(4) = 2.776, s = 1
    assert "minus cifar10/143k-dw/baseline: mean of 3 runs" in second["Our gain"].origin
    assert first["Our gain"] == "–"
    assert "Paper (%)" not in gains.shown(gains.gains(runs), runs)


def test_the_papers_number_agrees_within_our_prediction(runs):
    # s = 1, n = 3: t(2) * sqrt(1 + 1/3) = 4.97 to either side of 80.
    assert chapter.agrees(84.9, runs["baseline"]) == "yes"
    assert chapter.agrees(85.0, runs["baseline"]) == "no"
    assert chapter.agrees(75.0, runs["baseline"]) == "no"
    assert chapter.agrees(math.nan, runs["baseline"]) == "–"
    assert chapter.agrees(80.0, runs["baseline"][:1]) == "one run"
    assert chapter.agrees(80.0, [runs["baseline"][1]] * 3) == "no spread"


def test_equal_runs_have_no_interval_on_a_page(runs):
    equal = {name: [group[0]] * 3 for name, group in runs.items()}
    table = gains.gains(equal, PAPER)
    assert list(table["verdict"]) == ["–", *["no spread"] * 3]
    shown = gains.shown(table, equal)
    assert [repr(entry) for entry in shown["Ours (%)"][:2]] == ["79.00", "83.00"]
    assert repr(shown["Our gain"][1]) == "+4.00"
    assert list(shown["Agrees"][:2]) == ["no spread", "no spread"]


def test_what_is_resolved_counts_the_runs_of_the_baseline(runs):
    groups = {"baseline": runs["baseline"] * 2, "bp": runs["bp"]}
    spread = stats.spread([79.0, 80.0, 81.0] * 2)
    text = gains.resolves({"cifar10": groups})
    assert f">{stats.resolvable(spread, (3, 6)):.2f}<" in text
    assert "points (3 runs against 6 of the baseline)" in text
    assert "no gain can be told" in gains.resolves({"cifar10": {"baseline": runs["bp"][:1]}})


def test_advice_names_every_technique_once_with_what_it_costs(runs):
    table = gains.gains(runs, PAPER)
    alone = [name for name in runs if name != "baseline" and "+" not in name]
    seconds = {"baseline": 1.0} | dict.fromkeys(alone, 1.04) | {"bp": 1.52}
    text = gains.advice(table, seconds)
    assert all(text.count(f"`{name}` (") == 1 for name in alone)
    assert "1.5× the time of a step" in text
    assert "1.0×" not in text
    single = {name: group[:1] for name, group in runs.items()}
    text = gains.advice(gains.gains(single, PAPER), seconds)
    assert text.startswith("Without a verdict: ")
    assert text.count("(one run)") == len(alone)


def test_a_row_at_half_the_epochs_says_so(runs):
    table = gains.gains({"baseline": runs["baseline"], "bp-half": runs["bp"]}, PAPER)
    assert gains.shown(table, runs | {"bp-half": runs["bp"]})["Techniques"][1] == (
        "`bp`, half the epochs"
    )


def test_pick_takes_cells_by_the_start_of_their_name(runs):
    cells = {"table-4/mnist-bp": runs["bp"], "table-4/cifar10-bp+m": runs["bp+m"]}
    assert gains.pick(cells, "table-4/cifar10-") == {"bp+m": runs["bp+m"]}


def test_luck_is_the_reach_of_a_difference_of_two_single_runs():
    values = [83.81, 84.18, 84.19]
    spread = pd.Series(values).std()
    assert stats.luck(values) == pytest.approx(4.302652729911275 * spread * math.sqrt(2))
    assert math.isnan(stats.luck([84.0]))


def test_figures_draw_every_run_and_the_papers_number(runs):
    points = gains.single_runs(runs).assign(panel="CIFAR-10")
    axis = plots.strip(points, {("CIFAR-10", "bp"): 83.16}).axes[0]
    assert axis.figure.get_supxlabel() == "test accuracy (%)"
    assert [label.get_text() for label in axis.get_yticklabels()] == list(ACCURACIES)
    dots, diamond = axis.collections
    assert sorted(map(tuple, dots.get_offsets())) == sorted(
        (accuracy, row) for row, group in enumerate(ACCURACIES.values()) for accuracy in group
    )
    assert list(map(tuple, diamond.get_offsets())) == [(83.16, 1)]
    table = gains.gains(runs, PAPER).assign(panel="CIFAR-10")
    figure = plots.forest(table[1:])
    assert figure.get_supxlabel() == "gain over the baseline (points)"
    assert [text.get_text() for text in figure.legends[0].texts] == ["ours", "paper"]


def test_claims_are_drawn_with_both_intervals_and_what_is_said(runs):
    values = {
        name: [run.record["test"]["accuracy"] for run in group] for name, group in runs.items()
    }
    rows = [
        {
            "panel": panel,
            "label": f"{name} − baseline",
            "ours": stats.difference(values[name], values["baseline"]),
            "single": stats.single_difference(values[name], values["baseline"]),
            "paper": PAPER.get(name, math.nan) - PAPER["baseline"],
            "verdict": verdict,
        }
        for panel, name, verdict in (
            ("MNIST", "bp", "reproduced"),
            ("MNIST", "m", "not testable"),
            ("CIFAR-10", "bp+m", "not reproduced"),
        )
    ]
    figure = plots.verdicts(pd.DataFrame(rows))
    first = figure.axes[0]
    assert [axis.get_title() for axis in figure.axes] == ["MNIST", "CIFAR-10"]
    assert [text.get_text() for text in first.get_yticklabels()] == [
        "bp − baseline",
        "m − baseline",
    ]
    [right] = first.child_axes
    assert [text.get_text() for text in right.get_yticklabels()] == ["reproduced", "not testable"]
    thin, thick = first.lines[:2]
    assert tuple(thin.get_xdata()) == (rows[0]["single"].low, rows[0]["single"].high)
    assert tuple(thick.get_xdata()) == (rows[0]["ours"].low, rows[0]["ours"].high)
    diamonds = [offset for dots in first.collections for offset in dots.get_offsets()]
    assert sorted(x for x, _ in diamonds) == pytest.approx(
        sorted([rows[0]["ours"].value, rows[1]["ours"].value, PAPER["bp"] - PAPER["baseline"]])
    )
    single = [{**rows[0], "ours": stats.difference([1.0], [0.0])}]
    single[0]["single"] = single[0]["ours"]
    assert len(plots.verdicts(pd.DataFrame(single)).axes[0].lines) == 1  # zero alone, no bars


def test_the_best_by_luck_is_drawn_beside_the_papers():
    draws = stats.best_by_luck([79.0, 80.0, 81.5], 8)
    [axis] = plots.best_by_luck({"CIFAR-10": draws}, {"CIFAR-10": 3.62}).axes
    assert axis.get_xlabel() == "best gain (points)"
    heights = [patch.get_height() for patch in axis.patches]
    assert 95 < sum(heights) <= 100  # percent; a few draws lie outside
    assert [line.get_xdata()[0] for line in axis.lines] == [np.median(draws), 3.62, 0]


@pytest.mark.parametrize(
    ("measured", "other", "times"),
    [(timing.step_seconds, "oc", 1), (timing.latencies, "bp", 5)],  # a turn is five passes
    ids=["steps", "passes"],
)
def test_recipes_take_turns_and_the_warm_up_does_not_count(measured, other, times):
    ticks = itertools.count()
    cost = {"a": 1.0, "b": 3.0}

    def clock():
        """Each turn takes its recipe's time, but 100 times that in the first."""
        turn, ended = divmod(next(ticks), 2)
        slow = 100 if turn < 2 else 1
        return ended * slow * times * cost["ab"[turn % 2]]

    recipes = {
        name: Recipe.make("mnist-sample", "1.5k-dw", text, epochs=2)
        for name, text in (("a", ""), ("b", other))
    }
    assert measured(recipes, 3, clock=clock) == cost
    assert next(ticks) == 2 * 2 * 4
