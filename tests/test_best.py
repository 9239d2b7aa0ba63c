"""What the page on the best recipe says of made-up runs."""

import math

import pytest

from effcnn import best, ladder, results, search
from effcnn.errors import UserError

START = ladder.STARTS["mnist"]


@pytest.fixture
def run(record, tmp_path):
    def make(recipe, accuracy, seed=0):
        content = record(accuracy)
        content["validation"] = {"accuracy": accuracy, "loss": 0.1}
        return results.Run(tmp_path, recipe.with_seed(seed), content)

    return make


@pytest.fixture
def climbed(run):
    """A ladder: kept, kept, diverged, not kept."""
    cycle = ladder.change(START, {"techniques": "oc(max_lr=1.6)"})
    lower = ladder.change(cycle, {"techniques": "oc(max_lr=0.8)"})
    moved = ladder.change(lower, {"augment": "shift", "epochs": 30})
    steps = {
        "start": (START, 98.0),
        "oc-1.6": (cycle, 99.0),
        "oc-0.8": (lower, 99.05),
        "bp": (ladder.change(lower, {"techniques": "bp"}), None),
        "shift": (moved, 99.0),
    }
    return {name: [run(*step)] for name, step in steps.items()}


def test_a_step_is_said_by_what_it_changes_in_the_last_one_kept(climbed):
    found = best.steps(climbed)
    assert list(found["said"]) == [
        "the baseline, 15 epochs",
        "`oc(max_lr=1.6)`",
        "`oc(max_lr=0.8)` in place of `oc(max_lr=1.6)`",
        "`bp`",
        "`shift`, 30 epochs",
    ]
    assert best.changed(START, START) == "nothing"


def test_the_table_shows_every_step(climbed):
    rows = best.shown(best.steps(climbed), climbed).to_dict("records")
    assert [row["Kept"] for row in rows] == ["yes", "yes", "yes", "no", "no"]
    assert [row["Rise"] for row in rows] == ["–", "+1.00", "+0.05", "–", "−0.05"]
    assert [repr(row["Validation (%)"]) for row in rows[2:]] == ["99.05", "diverged", "99.00"]
    assert "10,000 held-out training images" in rows[1]["Validation (%)"].origin


def test_what_luck_may_do_is_pooled_over_recipes(run):
    groups = [
        [run(START, 98.0), run(START, 98.2, 1), run(START, 98.4, 2)],  # variance 0.04, 2 free
        [run(START, 99.0), run(START, 99.2, 1)],  # variance 0.02, 1 free
        [run(START, 90.0)],  # says nothing
    ]
    spread, free = best.scatter(groups)
    assert (spread, free) == (pytest.approx(math.sqrt((2 * 0.04 + 0.02) / 3)), 3)
    assert best.luck(spread, free) == pytest.approx(3.182 * spread * math.sqrt(2), rel=1e-3)
    with pytest.raises(UserError, match="several runs"):
        best.scatter(groups[2:])


def test_steps_beyond_luck_are_counted(climbed):
    assert best.resolved(best.steps(climbed), 0.2) == (1, 2)
    assert best.resolved(best.steps({"start": climbed["start"]}), 0.2) == (0, 0)


def test_the_rate_of_one_seed_stands_beside_that_of_three(climbed, book):
    text = '[cells.mnist-oc]\ndataset = "mnist"\nmodel = "1.5k-dw"\ntechniques = "oc(max_lr={})"\n'
    (book / "sweeps" / "table-4.toml").write_text(text.format(1.6))
    found = {"mnist": best.steps(climbed)}
    told = best.rates(found, {"mnist": climbed})
    assert "one seed chose `oc(max_lr=0.8)`, where three seeds" in told
    assert "chose `oc(max_lr=1.6)`." in told
    (book / "sweeps" / "table-4.toml").write_text(text.format(0.8))
    assert "the same as three seeds" in best.rates(found, {"mnist": climbed})


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((99.3, 99.31, 99.32), "yes"),
        ((99.1, 99.2, 99.33), "yes, by less than the interval"),
        ((99.1, 99.2, 99.27), "no, by less than the interval"),
        ((98.1, 98.11, 98.12), "no"),
        ((99.3, None, 99.3), "no"),
        ((99.3,), "by one run"),
        ((99.0,), "no"),
    ],
)
def test_a_goal_is_of_the_mean(run, values, verdict):
    runs = [run(START, value, seed) for seed, value in enumerate(values)]
    assert best.reached(runs, 99.2) == verdict


def test_the_answer_names_what_is_there_and_what_is_to_come(run):
    runs = [run(START, value, seed) for seed, value in enumerate((99.3, 99.31, 99.32))]
    told = best.answer({"mnist": runs})
    assert "1,560 parameters (3 runs); that reaches the goal of 99.2%." in told
    assert "best single run has 99.21%" in told
    assert told.endswith("on CIFAR-10 are still to come.")
    assert "still to come" in best.answer({})
    assert "cannot answer" in best.answer({"mnist": runs}, quick=True)
    below = [run(START, value, seed) for seed, value in enumerate((99.1, 99.2, 99.27))]
    assert "does not reach the goal of 99.2%, by less than" in best.answer({"mnist": below})


def test_the_samples_numbers_stand_beside_no_goal(run):
    runs = {"mnist": [run(START, 99.3)], "cifar10": [run(ladder.STARTS["cifar10"], 88.0)]}
    digits, pictures = best.final(runs, quick=True).to_dict("records")
    assert {digits["Goal (%)"], digits["Goal reached"], digits["Paper's best (%)"]} == {"–"}
    assert (pictures["Goal (%)"], pictures["Goal reached"]) == ("88.5", "no")
    assert pictures["Paper's best (%)"].startswith("86.76")
    assert best.final(runs).to_dict("records")[0]["Paper's best (%)"] == "99.21 (`bp`, one run)"


def test_recipes_in_full(run):
    recipe = ladder.final(ladder.change(START, {"techniques": "bp+oc", "augment": "shift"}))
    table = best.recipes({"mnist": [run(recipe, 99.0)]}).set_index("")
    column = table["`mnist-1.5k-dw`"]
    assert (column["Techniques"], column["Augmentation"]) == ("`bp+oc`", "`shift`")
    assert (column["Rate"], column["Training images"]) == ("one-cycle's", "60,000")


def test_steps_that_were_not_reached_are_named(climbed):
    assert "MNIST the budget ended before" in best.open_steps({"mnist": climbed})
    last = {"epochs-120": climbed["start"], **climbed}
    assert best.open_steps({"mnist": last}) == "Every step on the lists was tried."
    assert search.tested(climbed["bp"][0]) is None
