"""The ladder to the best recipe: its rule and its files, with trainings that are made up."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from effcnn import cells, ladder, results, search
from effcnn.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
START = ladder.STARTS["mnist"]
RUNGS = (
    {"low": {"techniques": "oc(max_lr=0.1)"}, "high": {"techniques": "oc(max_lr=0.4)"}},
    {"bp": {"techniques": "bp"}},
    {"shift": {"augment": "shift"}},
    {"long": {"epochs": 60}},
)
SCORES = {"start": 98.0, "low": 98.5, "high": 99.0, "bp": 98.9, "shift": 99.0, "long": 99.1}


@pytest.fixture
def trainer(record, tmp_path):
    """Trains nothing: gives each step its score, None for a divergence, and notes who was asked."""

    class Fake:
        def __init__(self, scores, stop_at=None):
            self.scores, self.stop_at, self.asked = scores, stop_at, []

        def __call__(self, recipes):
            found = {}
            for name, recipe in recipes.items():
                if name == self.stop_at:
                    break
                self.asked.append(name)
                content = record(self.scores[name])
                content["validation"] = {"accuracy": self.scores[name], "loss": 0.1}
                content["test"]["accuracy"] = 100 - (self.scores[name] or 0)  # not to be looked at
                found[name] = results.Run(tmp_path, recipe, content)
            return found

    return Fake


def test_a_step_is_kept_only_where_it_rises(trainer):
    train = trainer(SCORES)
    tried = ladder.climb(START, RUNGS, train)
    assert list(tried) == train.asked == list(SCORES)
    assert tried["low"].recipe.label == "oc(max_lr=0.1)"
    assert tried["bp"].recipe.label == "bp+oc(max_lr=0.4)"  # on the better of the rung
    assert tried["shift"].recipe.label == "oc(max_lr=0.4)"  # bp fell, so it is gone
    assert tried["long"].recipe.augment == ""  # a tie is no rise
    best = ladder.best(tried)
    assert (best.label, best.epochs, best.augment) == ("oc(max_lr=0.4)", 60, "")
    steps = search.ladder({name: [run] for name, run in tried.items()})
    assert list(steps["cell"][steps["kept"]]) == ["start", "low", "high", "long"]


def test_one_thing_changes_per_step(trainer):
    tried = ladder.climb(START, RUNGS, trainer(SCORES))
    steps = search.ladder({name: [run] for name, run in tried.items()})
    # One-cycle takes the rate's place.
    assert [set(change) for change in steps["change"][1:]] == [
        {"techniques", "lr"},
        {"techniques"},
        {"techniques"},
        {"augment"},
        {"epochs"},
    ]


def test_a_step_that_diverged_is_not_kept(trainer):
    tried = ladder.climb(START, RUNGS, trainer({**SCORES, "high": None}))
    assert tried["high"].record["status"] == "diverged"
    assert tried["bp"].recipe.label == ladder.best(tried).label == "bp+oc(max_lr=0.1)"
    with pytest.raises(UserError, match="the first step of the ladder, start, diverged"):
        ladder.climb(START, RUNGS, trainer({"start": None}))


def test_it_ends_where_a_run_is_missing_and_goes_on_from_there(trainer):
    train, noted = trainer(SCORES, stop_at="shift"), []
    tried = ladder.climb(START, RUNGS, train, lambda tried: noted.append(list(tried)))
    assert list(tried) == ["start", "low", "high", "bp"]
    assert noted[0] == ["start"]
    assert noted[-1] == list(tried)
    again = ladder.climb(START, RUNGS, trainer(SCORES))
    assert {name: again[name].recipe for name in tried} == {n: r.recipe for n, r in tried.items()}
    assert ladder.climb(START, RUNGS, trainer(SCORES, stop_at="start")) == {}


def test_a_recipe_is_not_tried_twice(trainer):
    rungs = (*RUNGS, {"again": {"techniques": "oc(max_lr=0.4)"}, "end": {"weight_decay": 0.1}})
    train = trainer({**SCORES, "again": 99.9, "end": 99.9})
    tried = ladder.climb(START, rungs, train)
    assert "again" not in train.asked  # it is the recipe that leads
    assert tried["end"].recipe.weight_decay == 0.1


def test_averaged_weights_are_judged_and_not_those_of_the_last_epoch(record, tmp_path):
    content = record(98.0)
    content["history"][-1]["validation_accuracy"] = 97.0
    content["validation"] = {"accuracy": 98.5, "loss": 0.1}
    assert search.tested(results.Run(tmp_path, START, content)) == 98.5
    content["validation"] = None  # of older runs
    assert search.tested(results.Run(tmp_path, START, content)) == 97.0


def test_changes_add_to_what_is_there():
    both = ladder.change(ladder.change(START, {"techniques": "oc"}), {"techniques": "bp+co"})
    assert (both.label, both.lr) == ("bp+co+oc", None)
    other = ladder.change(both, {"techniques": "oc(max_lr=0.8)", "augment": "shift"})
    assert other.label == "bp+co+oc(max_lr=0.8)"
    assert ladder.change(other, {"augment": "rotate"}).augment == "rotate,shift"
    assert ladder.change(START, {"epochs": 30}) == replace(START, epochs=30)
    with pytest.raises(UserError, match="unknown technique"):
        ladder.change(START, {"techniques": "bb"})


@pytest.mark.parametrize("dataset", ladder.RUNGS)
def test_every_step_of_the_ladders_is_a_recipe_of_the_papers_net(dataset, trainer):
    names = [name for rung in ladder.RUNGS[dataset] for name in rung]
    assert len(set(names)) == len(names)
    scores = {name: float(place) for place, name in enumerate(("start", *names), 1)}
    tried = ladder.climb(ladder.STARTS[dataset], ladder.RUNGS[dataset], trainer(scores))
    for name, run in tried.items():
        assert run.recipe.model == ladder.STARTS[dataset].model, name
        assert "se" not in run.recipe.label.split("+"), name  # it adds parameters
        assert run.recipe.holdout, name
    assert ladder.untried(dataset, tried) == []
    assert ladder.untried(dataset, ["start"]) == names
    assert ladder.untried(dataset, ["start", names[0]]) == names[1:]


@pytest.mark.parametrize("dataset", ladder.STARTS)
def test_the_start_is_the_baseline_of_the_tables(dataset):
    known = {cell.name: cell for cell in cells.read(ROOT / "sweeps" / "table-4.toml")}
    baseline = known[f"table-4/{dataset}-baseline"].recipe
    start, images = ladder.STARTS[dataset], baseline.train_images
    same = {"holdout": 0, "train_images": images}
    assert replace(start, **same) == replace(baseline, **same)


@pytest.mark.parametrize("dataset", ladder.STARTS)
def test_the_steps_are_cells_of_a_sweep_file(dataset, trainer, tmp_path):
    names = ["start"] + [name for rung in ladder.RUNGS[dataset] for name in rung]
    scores = {name: float(place) for place, name in enumerate(names, 1)}
    tried = ladder.climb(ladder.STARTS[dataset], ladder.RUNGS[dataset], trainer(scores))
    recipes = {name: run.recipe for name, run in tried.items()}
    path = tmp_path / "ladder-x.toml"
    ladder.write(path, dataset, recipes)
    read = cells.read(path)
    assert {cell.name: cell.recipe for cell in read} == {
        f"ladder-x/{name}": recipe for name, recipe in recipes.items()
    }
    assert {cell.seeds for cell in read} == {(0,)}


def test_the_best_recipe_stands_beside_the_other_data_sets(tmp_path):
    path = tmp_path / "best.toml"
    path.write_text('[cells.old]\ndataset = "mnist"\nmodel = "25k"\n')
    digits = ladder.final(ladder.change(START, {"techniques": "bp+oc", "epochs": 60}))
    assert (digits.train_images, digits.holdout) == (60_000, 0)
    objects = ladder.final(ladder.change(ladder.STARTS["cifar10"], {"augment": "flip"}))
    ladder.write_best(path, "mnist", START)
    ladder.write_best(path, "cifar10", objects)
    ladder.write_best(path, "mnist", digits)
    found = {cell.name: cell for cell in cells.read(path)}
    assert {name: cell.recipe for name, cell in found.items()} == {
        "best/mnist-best": digits.with_seed(1),
        "best/cifar10-best": objects.with_seed(1),
    }
    for cell in found.values():
        assert len(cell.seeds) >= 3
        assert START.seed not in cell.seeds  # the ladder has chosen with that one


def test_the_rehearsal_is_on_the_sample():
    start, rungs = ladder.rehearsal(START)
    assert (start.dataset, start.epochs) == ("mnist-sample", 2)
    assert [flags["epochs"] for rung in rungs for flags in rung.values() if "epochs" in flags] == [
        3,
        6,
        12,
    ]


def test_the_script_says_what_it_takes():
    command = [sys.executable, ROOT / "benchmarks" / "ladder.py", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--hours" in told
    assert "mnist" in told
