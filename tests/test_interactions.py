"""Do gains add up: contrasts by hand and in simulation, tables of hand-made runs."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from effcnn import cells, interactions, plots, stats
from effcnn.errors import UserError

A, B, C = [1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 12.0], [5.0, 5.5, 7.0]
FULL = "bp+co+m+ls+sam+swa"


def test_a_contrast_of_two_is_welchs_test():
    welch = scipy_stats.ttest_ind(A, B, equal_var=False)
    one = stats.contrast([A, B], [1, -1])
    assert (one.value, one.n) == (-3.5, (4, 3))
    assert (one.low, one.high) == pytest.approx(tuple(welch.confidence_interval()))
    assert one.p == pytest.approx(welch.pvalue)
    assert stats.contrast([A], [1]).half == pytest.approx(stats.mean(A).half)
    assert stats.contrast([A, B, C], [1, -1, 0]) == one


def test_a_contrast_by_hand():
    one = stats.contrast([A, B, C], [2, -1, 0.5])
    u, v, w = 4 * (5 / 3) / 4, 28 / 3, 0.25 * np.var(C, ddof=1) / 3
    freedom = (u + v + w) ** 2 / (u**2 / 3 + v**2 / 2 + w**2 / 2)
    assert one.value == pytest.approx(5 - 6 + 17.5 / 6)
    assert one.half == pytest.approx(scipy_stats.t.ppf(0.975, freedom) * math.sqrt(u + v + w))


def test_a_contrast_of_equal_cells_is_the_pooled_test():
    """With one spread and one n everywhere: the t test of an interaction in a 2x2 design."""
    cell = np.array([-1.0, 0.0, 1.0])
    both, one, other, base = cell + 7, cell + 5, cell + 4, cell
    found = stats.contrast([both, one, other, base], [1, -1, -1, 1])
    error = math.sqrt(4 * 1 / 3)
    assert found.value == -2
    assert found.half == pytest.approx(scipy_stats.t.ppf(0.975, 8) * error)  # 4 * (3 - 1)
    assert found.p == pytest.approx(2 * scipy_stats.t.sf(2 / error, 8))


def test_a_contrast_covers_the_truth():
    rng = np.random.default_rng(0)
    weights, truth, inside = [1, -1, -1, -1, 2], 86.0 - 83 - 82 - 81 + 2 * 80, 0
    for _ in range(3000):
        groups = [
            rng.normal(m, 0.3, n)
            for m, n in zip((86, 83, 82, 81, 80), (5, 3, 3, 3, 5), strict=True)
        ]
        one = stats.contrast(groups, weights)
        inside += one.low <= truth <= one.high
    assert inside / 3000 == pytest.approx(0.95, abs=0.015)


def test_a_contrast_without_spread_has_no_interval():
    for groups in ([A, [1.0]], [[1, 1], [2, 2]]):
        one = stats.contrast(groups, [1, -1])
        assert one.value == np.mean(groups[0]) - np.mean(groups[1])
        assert math.isnan(one.half)
        assert math.isnan(one.p)
    with pytest.raises(UserError, match="at least one finite number"):
        stats.contrast([A, []], [1, -1])
    with pytest.raises(ValueError, match="shorter"):
        stats.contrast([A, B], [1])


def around(mean, n=3):
    """n accuracies with this mean, and a spread of 0.1."""
    x = np.arange(n) - (n - 1) / 2
    return list(mean + 0.1 * x / x.std(ddof=1))


GAINS = {"baseline": 80, "bp": 83, "co": 82, "m": 81}


def test_sums_and_what_is_beyond_them(by_technique):
    accuracies = {
        name: around(mean, 5 if name == "baseline" else 3) for name, mean in GAINS.items()
    }
    accuracies |= {"bp+co+m": around(84, 5), "bp+co": around(85), "co+m": around(85)}
    found = interactions.table(by_technique(accuracies)).set_index("techniques")
    assert found["verdict"].to_dict() == {
        "bp+co+m": "less",
        "bp+co": "not resolved",
        "co+m": "more",
    }
    assert [one.value for one in found["together"]] == pytest.approx([4, 5, 5])
    assert [one.value for one in found["summed"]] == pytest.approx([6, 5, 3])
    said = interactions.reading(found.reset_index())
    assert said.startswith(
        "Held against the sum of their parts' gains, 1 of 3 is shown to gain less (`bp+co+m`), "
        "and 1 of 3 is shown to gain more (`co+m`). For the other one these runs do not decide: "
    )
    low, high = found.loc["bp+co", "excess"].low, found.loc["bp+co", "excess"].high
    assert f"its interval reaches from {low:+.1f} to {high:+.1f} points".replace("-", "−") in said
    assert said.endswith(", and 0 of 1 leave out zero before the correction.")
    one = found.loc["bp+co+m", "excess"]
    # The baseline counts twice here, not once per gain: (3 - 1)^2 / 5, and 3 parts and a whole.
    assert one.value == pytest.approx(-2)
    error = 0.1 * math.sqrt(1 / 5 + 3 * 1 / 3 + 4 / 5)
    assert math.sqrt(2) * 0.1 == pytest.approx(error)
    freedom = 4 / (1 / 25 / 4 + 3 * (1 / 9 / 2) + 16 / 25 / 4)
    assert one.half == pytest.approx(scipy_stats.t.ppf(0.975, freedom) * error)
    # Holm over the three rows; the smallest p-value is tripled.
    raw = {name: excess.p for name, excess in found["excess"].items()}
    least = min(raw, key=raw.get)
    assert found.loc[least, "p"] == pytest.approx(3 * raw[least])


def test_what_cannot_be_judged_says_why(by_technique):
    accuracies = {name: around(mean) for name, mean in GAINS.items()}
    accuracies |= {"bp+ls": around(84), "bp+co": [84.0], "bp+m": [84.0, None, 84.2]}
    found = interactions.table(by_technique(accuracies)).set_index("techniques")
    assert found["verdict"].to_dict() == {
        "bp+ls": "parts missing",
        "bp+co": "one run",
        "bp+m": "diverged",
    }
    assert found.loc["bp+ls", "missing"] == ["ls"]
    assert "cannot be judged here" in interactions.reading(found)
    assert found.loc["bp+co", "excess"].value == pytest.approx(84 - 83 - 82 + 80)
    assert found.loc["bp+m", "excess"] is None
    chosen = interactions.table(by_technique(accuracies), ["bp+co"])
    assert list(chosen["techniques"]) == ["bp+co"]
    assert interactions.table(by_technique({"baseline": [80.0]})).empty


def test_an_interval_without_zero_is_not_called_possible(by_technique):
    # 0.3 points below the sum: one comparison alone excludes zero, four corrected ones do not.
    runs = by_technique(
        {"baseline": around(80, 5)}
        | {part: around(83) for part in ("bp", "co", "m", "ls", "se")}
        | {pair: around(85.7) for pair in ("bp+co", "bp+m", "bp+ls", "bp+se")}
    )
    found = interactions.table(runs)
    assert set(found["verdict"]) == {"not resolved"}
    assert all(one.high < 0 for one in found["excess"])
    assert "and 4 of 4 leave out zero before the correction" in interactions.reading(found)


def test_leave_one_out(by_technique):
    runs = by_technique(
        {"bp+co+m": around(86, 5), "co+m": around(83), "bp+m": around(86.01), "bp+co": around(87)}
    )
    found = interactions.leave_one_out(runs, "bp+co+m").set_index("part")
    assert found["verdict"].to_dict() == {"bp": "carries", "co": "not resolved", "m": "harms"}
    assert found.loc["bp", "carries"].value == pytest.approx(3)
    assert (found.loc["bp", "techniques"], found.loc["bp", "n"]) == ("co+m", (3, 5))
    assert list(found["p"]) == pytest.approx(stats.holm([one.p for one in found["carries"]]))
    raw = scipy_stats.ttest_ind(around(86, 5), around(83), equal_var=False).pvalue
    assert found.loc["bp", "p"] == pytest.approx(3 * raw)
    # With a part that no run lacks, none of these is a rest of the whole.
    whole = {**runs, FULL: runs["bp+co+m"]}
    assert list(interactions.leave_one_out(whole, FULL)["part"]) == []
    lost = {**runs, "co+m": by_technique({"co+m": [83.0, None]})["co+m"]}
    assert interactions.leave_one_out(lost, "bp+co+m")["verdict"][0] == "diverged"


def test_which_parts_carry_it_in_words(by_technique):
    runs = {
        "bp+co+m": around(86, 5),
        "co+m": around(83),
        "bp+m": around(86.01),
        "bp+co": around(87),
    }
    said = interactions.carried(interactions.leave_one_out(by_technique(runs), "bp+co+m"))
    assert said.startswith(
        "Shown to carry it: `bp`. It is shown to do better without `m`. Not resolved: `co`."
    )
    runs["co+m"], runs["bp+m"], runs["bp+co"] = [83.0], [86.0], [87.0]
    said = interactions.carried(interactions.leave_one_out(by_technique(runs), "bp+co+m"))
    assert said == "These runs cannot say which parts carry it."


def test_steps_beyond_a_combination(by_technique):
    runs = by_technique(
        {
            **{"baseline": around(80), "bp+co+m": around(86, 5), "bp+co": around(85)},
            **{"bp+se+co+m": around(85), "bp+co+m+ls+swa": around(86.02), "bp+co+m+sam": [87.0]},
        }
    )
    found = interactions.steps(runs, "bp+co+m").set_index("added")
    assert found["verdict"].to_dict() == {"se": "worse", "ls+swa": "not resolved", "sam": "one run"}
    raw = scipy_stats.ttest_ind(around(85), around(86, 5), equal_var=False).pvalue
    assert found.loc["se", "p"] == pytest.approx(2 * raw)  # of two that have a p-value
    assert found.loc["sam", "gain"].value == pytest.approx(1)


def test_the_papers_sums_stand_beside_ours_with_their_luck(by_technique):
    accuracies = {name: around(mean) for name, mean in GAINS.items()}
    runs = by_technique({**accuracies, "bp+co+m": around(84)})
    theirs = {"baseline": 79.9, "bp": 83.16, "co": 82.92, "m": 83.52, "bp+co+m": 86.08}
    [row] = interactions.shown(interactions.table(runs), runs, theirs, 1.0).to_dict("records")
    assert (row["Paper: sum"], row["Paper: together"]) == ("+9.90", "+6.18")
    reach = interactions.by_luck(runs, "bp+co+m", 1.0)
    assert (row["Paper: difference"], row["By luck (±)"]) == ("−3.72", f"{reach:.2f}")
    assert repr(row["Ours: sum"]).startswith("+6.00 ± ")
    assert row["Verdict"] == "less"
    assert row["Ours: difference"].origin.count("mean of 3 runs") == 5


def test_luck_is_that_of_single_runs(by_technique):
    """Of the excess of three parts: five draws, the baseline's twice."""
    spreads = {"bp+co+m": 0.3, "bp": 0.2, "co": 0.1, "m": 0.4, "baseline": 0.5}
    noise = np.random.default_rng(0).normal(size=(5, 400))
    noise = (noise - noise.mean(1, keepdims=True)) / noise.std(1, ddof=1, keepdims=True)
    runs = {n: list(80 + s * z) for (n, s), z in zip(spreads.items(), noise, strict=True)}
    draws = np.random.default_rng(1).normal(size=(100_000, 5)) * list(spreads.values())
    excess = draws @ [1, -1, -1, -1, 2]
    reach = interactions.by_luck(by_technique(runs), "bp+co+m", math.nan)
    assert (np.abs(excess) < reach).mean() == pytest.approx(0.95, abs=0.003)
    # Where a cell has one run, some other cell's luck stands for all.
    runs["m"] = runs["m"][:1]
    draws = np.random.default_rng(1).normal(0, 0.3, (100_000, 5))
    excess = draws @ [1, -1, -1, -1, 2]
    reach = interactions.by_luck(by_technique(runs), "bp+co+m", 1.96 * 0.3 * math.sqrt(2))
    assert (np.abs(excess) < reach).mean() == pytest.approx(0.95, abs=0.003)


def test_a_number_names_all_its_runs(by_technique):
    runs = by_technique({name: around(mean) for name, mean in GAINS.items()})
    number = interactions.number(stats.Estimate(-0.5, 0.25, (3, 3)), runs, ("bp", "baseline"))
    assert repr(number) == "−0.50 ± 0.25"
    assert "143k-dw/bp: mean of 3 runs" in number.origin
    assert "143k-dw/baseline: mean of 3 runs" in number.origin
    assert interactions.number(None, runs, ()) == "–"


def test_the_sweep_leaves_out_each_part_and_nothing_else():
    known = cells.cells()
    whole = known[f"table-5/cifar10-{FULL}"].recipe
    found = {name: cell for name, cell in known.items() if name.startswith("leave-one-out/")}
    left = set()
    for name, cell in found.items():
        names = set(cell.recipe.label.split("+"))
        left |= set(FULL.split("+")) - names
        assert name == f"leave-one-out/cifar10-{cell.recipe.label}"
        assert cell.recipe == replace(whole, techniques=cell.recipe.techniques)
        assert len(names) == 5
        assert cell.seeds == (0, 1, 2)
    assert left == set(FULL.split("+"))
    assert len(found) == 6


def test_the_figure_draws_what_is_known_with_its_interval(by_technique):
    accuracies = {name: around(mean) for name, mean in GAINS.items()}
    found = interactions.table(
        by_technique({**accuracies, "bp+co": [84.0, None], "co+m": around(85)})
    )
    figure = plots.sums(found.assign(panel="CIFAR-10"))
    [axes] = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["bp+co", "co+m"]
    assert figure.get_supxlabel() == "gain over the baseline (points)"
    assert sorted(each.get_label() for each in axes.containers) == ["sum of the parts", "together"]
    middle = {each.get_label(): each.lines[0].get_xdata()[0] for each in axes.containers}
    assert middle == pytest.approx({"together": 5, "sum of the parts": 3})
