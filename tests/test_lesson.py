"""What a lesson shows of the runs of Table 4."""

import shutil

import pytest

from effcnn import cells, lesson, profiles, results, timing
from effcnn.techniques import SPECS

FILE = """
[defaults.mnist]
model = "1.5k-dw"
seeds = "0-2"
[defaults.cifar10]
model = "143k-dw"
seeds = "0-1"
[cells.mnist-baseline]
dataset = "mnist"
[cells.mnist-se]
dataset = "mnist"
techniques = "se"
[cells.mnist-bp]
dataset = "mnist"
techniques = "bp"
[cells.cifar10-baseline]
dataset = "cifar10"
[cells.cifar10-se]
dataset = "cifar10"
techniques = "se"
[cells.cifar10-bp]
dataset = "cifar10"
techniques = "bp"
"""
ACCURACIES = {
    "mnist-baseline": (98.0, 98.1, 98.2),
    "mnist-se": (99.0, 99.1, 99.2),
    "mnist-bp": (98.0, 98.1, 98.2),
    "cifar10-baseline": (79.0, 81.0),
    "cifar10-se": (80.0, 82.0),
    "cifar10-bp": (85.0, None),
}


@pytest.fixture
def found(book, record):
    (book / "sweeps" / "table-4.toml").write_text(FILE)
    for name, cell in cells.cells().items():
        values = ACCURACIES[name.removeprefix("table-4/")]
        for recipe, accuracy in zip(cell.recipes(), values, strict=True):
            content = record(accuracy)
            content["costs"]["params"] += 394 * (recipe.label == "se")
            results.write(book / "results", recipe, content, {})
    return lesson.runs("se", "published")


def test_a_technique_on_both_nets(found):
    digits, pictures = lesson.gave("se", found).to_dict("records")
    assert repr(digits["Baseline (%)"]) == "98.10 ± 0.25"  # t(2) = 4.303, s = 0.1
    assert repr(digits["With `se` (%)"]) == "99.10 ± 0.25"
    assert repr(digits["Our gain"]) == "+1.00 ± 0.23"  # t(4) = 2.776
    assert (digits["Verdict"], digits["Paper's gain"]) == ("better", "+0.83")
    assert (digits["Params"], digits["Runs"]) == ("+394", "3, 3")
    assert pictures["Verdict"] == "not resolved"
    assert "Here" in lesson.answer("se", found)


def test_parameters_are_left_out_where_none_are_added_and_divergence_is_told(found):
    digits, pictures = lesson.gave("bp", found).to_dict("records")
    assert "Params" not in digits
    assert digits["Verdict"] == "not resolved"
    assert repr(pictures["With `bp` (%)"]) == "diverged 1 of 2"
    assert (pictures["Our gain"], pictures["Verdict"]) == ("–", "diverged")


def test_the_samples_numbers_do_not_stand_beside_the_papers(found):
    digits, pictures = lesson.gave("se", found, "quick").to_dict("records")
    assert (digits["Paper's gain"], pictures["Paper's gain"]) == ("–", "+1.71")
    assert "cannot answer" in lesson.answer("se", found, "quick")


def test_a_table_grows_while_it_trains(found, book):
    for path in (book / "results").glob("cifar10/143k-dw/se/seed1-*"):
        shutil.rmtree(path)
    fewer = lesson.runs("se", "published")
    assert list(fewer) == ["mnist"]
    assert "bp" in fewer["mnist"]  # the whole column: p-values are corrected over it
    assert list(lesson.runs("bp", "published")) == ["mnist", "cifar10"]
    assert lesson.pending(fewer) == "The runs on CIFAR-10 are still to come."
    assert lesson.pending(found) == ""
    assert len(lesson.gave("se", fewer)) == 1
    assert lesson.answer("se", fewer).endswith("still to come.")


def test_quick_pages_show_analyses_of_the_published_nets(found, monkeypatch):
    monkeypatch.setattr(profiles, "analysis", lambda name, runs, profile: (name, runs, profile))
    quick = {data: {"se": []} for data in found}
    for profile, runs in (("quick", found["mnist"]["se"]), ("full", [])):
        name, shown, _ = lesson.analysed("gates", "se", quick, profile)["mnist"]
        assert (name, [run.folder for run in shown]) == ("gates", [run.folder for run in runs])


def test_all_techniques_in_one_table(found):
    table = lesson.overview(found).set_index("Technique")
    assert list(table.index) == [spec.word for spec in SPECS.values()]
    gate = table.loc["squeeze-excite"]
    assert repr(gate["MNIST: gain"]) == "+1.00 ± 0.23"
    assert (gate["MNIST: verdict"], gate["MNIST: paper"]) == ("better", "+0.83")
    assert table.loc["blurpool", "CIFAR-10: gain"] == "–"  # a run diverged
    assert table.loc["mixup", "MNIST: gain"] == "to come"


def test_the_cost_of_a_technique_is_measured_by_the_recipes_of_the_table(found, monkeypatch):
    seen = []

    def times(recipes, repeats):
        seen.extend(recipe.label for recipe in recipes.values())
        return {"baseline": 0.010, "se": 0.0254}

    monkeypatch.setattr(timing, "step_seconds", times)
    monkeypatch.setattr(timing, "latencies", lambda *args: {"baseline": 0.1, "se": 0.12})
    digits, pictures = lesson.cost("se", inference=True).to_dict("records")
    assert digits == {
        "Net": "`mnist-1.5k-dw`",
        "Batch": 128,
        "Step, baseline (ms)": "10.0",
        "Step, `se` (ms)": "25.4",
        "Step, times": "2.54×",
        "Inference, times": "1.20×",
    }
    assert seen == ["baseline", "se"] * 2
    assert pictures["Net"] == "`cifar10-143k-dw`"
    assert "Inference, times" not in lesson.cost("se")
