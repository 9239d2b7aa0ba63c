"""The search on held-out images: hand-made histories."""

import math

import pytest

from effcnn import results, search
from effcnn.errors import UserError
from effcnn.recipe import Recipe


@pytest.fixture
def run(record, tmp_path):
    def make(accuracies, *, status=98.0, lr=0.05, seed=0, **flags):
        recipe = Recipe.make("mnist", "1.5k-dw", lr=lr, seed=seed, holdout=10_000, **flags)
        content = record(status)
        content["history"] = [
            {"epoch": number, "validation_accuracy": value}
            for number, value in enumerate(accuracies, 1)
        ]
        if status is None:  # what diverges is not evaluated any more
            del content["history"][-1]["validation_accuracy"]
        return results.Run(tmp_path, recipe, content)

    return make


def test_the_best_mean_after_the_last_epoch_leads(run):
    runs = {
        "low": [run([99.0, 97.0]), run([99.0, 97.2], seed=1), run([99.0, 97.4], seed=2)],
        "high": [run([90.0, 98.0]), run([90.0, 98.2], seed=1), run([90.0, 98.4], seed=2)],
        "once": [run([90.0, 99.0])],
        "lost": [run([90.0, 98.0]), run([90.0], status=None)],
    }
    found = search.table(runs)
    assert list(found["cell"]) == ["once", "high", "low", "lost"]
    assert found["validation"][1].value == pytest.approx(98.2)
    assert found["validation"][3] is None
    assert search.best(found) == "high"  # of those with three runs
    assert search.best(found, least=1) == "once"
    shown = search.shown(found, runs)
    assert repr(shown["Validation (%)"][1]) == "98.20 ± 0.50"  # t(2) = 4.303, s = 0.2
    assert repr(shown["Validation (%)"][3]) == "diverged 1 of 2"
    with pytest.raises(UserError, match="no cell of the search has 4 runs"):
        search.best(found, least=4)


def test_wobble_is_over_the_last_five_epochs(run):
    one, two = [run([50.0, 97, 98, 97, 98, 97])], [run([50.0, 98, 98, 98, 98, 98])]
    assert search.wobble(one) == pytest.approx(math.sqrt(6 / 5 / 4))
    assert search.wobble(two) == 0
    assert search.wobble([*one, *two]) == pytest.approx(math.sqrt(6 / 5 / 4) / 2)


def test_runs_without_held_out_images_are_refused(run):
    bare = run([98.0])
    del bare.record["history"][-1]["validation_accuracy"]
    with pytest.raises(UserError, match="has no validation accuracy"):
        search.last([bare])


def test_a_step_of_the_ladder_is_kept_where_it_is_above_the_last_one_kept(run):
    steps = {
        "first": [run([98.0])],
        "blur": [run([98.5], techniques="bp")],
        "moved": [run([98.4], techniques="bp", augment="shift")],
        "long": [run([99.0], techniques="bp", epochs=60)],
        "tie": [run([99.0], techniques="bp", epochs=60, weight_decay=0.0)],
    }
    found = search.ladder(steps)
    assert list(found["kept"]) == [True, True, False, True, False]
    assert list(found["step"][1:]) == pytest.approx([0.5, -0.1, 0.5, 0.0])
    assert found["change"][1] == {"techniques": "bp"}
    assert found["change"][2] == {"augment": "shift"}
    assert found["change"][3] == {"epochs": 60}  # against "blur", not against "moved"
    with pytest.raises(UserError, match="diverged"):
        search.ladder({"lost": [run([98.0], status=None)]})
