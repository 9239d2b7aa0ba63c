"""Runs as rows, and the runs that a cell or a folder names."""

import math

import pandas as pd
import pytest
from pandas.api.types import is_numeric_dtype

from effcnn import results
from effcnn.errors import UserError

SWEEP = """
[defaults]
dataset = "mnist-sample"
model = "1.5k-dw"
epochs = 2
batch_size = 32
train_images = 160
holdout = 40
seeds = "1,0"
[cells.plain]
[cells.also-plain]
[cells.bp]
techniques = "bp"
"""

NUMBERS = (
    *("lr", "weight_decay", "batch_size", "train_images", "holdout", "epochs", "seed", "params"),
    *("macs", "accuracy", "loss", "size_bytes", "torch_bytes", "train_seconds"),
    *("images_per_second", "threads", "recipe_version"),
)
WORDS = (
    *("dataset", "model", "techniques", "augment", "optimizer", "precision", "status", "device"),
    *("cell", "run", "hash", "command"),
)


@pytest.fixture
def stored(book, small, record):
    """Two plain runs and one that diverged, published; one of another recipe, a reader's own."""
    (book / "sweeps" / "small.toml").write_text(SWEEP)
    for recipe, accuracy in (
        (small(), 98.0),
        (small(seed=1), 99.0),
        (small("bp"), None),
        (small("oc(max_lr=0.1)", augment="shift"), 97.0),
    ):
        root = results.own() if recipe.lr is None else book / "results"
        results.write(root, recipe, record(accuracy), {})
    return book


def test_one_row_per_run(stored, small):
    frame = results.load()
    assert {*NUMBERS, *WORDS} <= set(frame.columns)
    assert list(frame["techniques"]) == ["baseline", "baseline", "bp", "oc(max_lr=0.1)"]
    first = frame.iloc[0]
    assert (first["dataset"], first["model"], first["seed"]) == ("mnist-sample", "1.5k-dw", 0)
    assert (first["accuracy"], first["loss"], first["lr"]) == (98.0, 0.05, 0.02)
    assert (first["params"], first["size_bytes"], first["train_seconds"]) == (1560, 9720, 1.5)
    assert first["run"] == str(stored / "results" / small().folder)
    assert (first["hash"], first["recipe_version"]) == (small().hash, small().recipe_version)
    assert first["command"] == small().command()
    assert frame["augment"].iloc[3] == "shift"
    assert all(is_numeric_dtype(frame[name]) for name in NUMBERS)
    assert frame.groupby("techniques")["accuracy"].mean()["baseline"] == 98.5


def test_cells_name_their_runs_and_no_others(stored):
    frame = results.load().set_index("techniques")
    assert list(frame.loc["baseline", "cell"]) == ["small/plain small/also-plain"] * 2
    assert frame.loc["bp", "cell"] == "small/bp"
    assert frame.loc["oc(max_lr=0.1)", "cell"] == ""


def test_diverged_run_has_no_accuracy(stored, tmp_path, small, record):
    frame = results.load().set_index("techniques")
    assert frame.loc["bp", "status"] == "diverged"
    assert pd.isna(frame.loc["bp", ["accuracy", "loss"]]).all()
    results.write(tmp_path / "bad", small(), record(None), {})
    assert is_numeric_dtype(results.load(tmp_path / "bad")["accuracy"])


def test_compiled_as_the_run_says_and_not_where_it_is_older(tmp_path, small, record):
    made = record()
    results.write(tmp_path, small(), made, {})  # as before nets were compiled
    made["provenance"]["compiled"] = True
    results.write(tmp_path, small(seed=1), made, {})
    assert results.load(tmp_path)["compiled"].tolist() == [False, True]


def test_rate_of_a_technique_is_missing(stored, tmp_path, small, record):
    assert math.isnan(results.load().set_index("techniques").loc["oc(max_lr=0.1)", "lr"])
    results.write(tmp_path / "cycles", small("oc"), record(), {})
    assert is_numeric_dtype(results.load(tmp_path / "cycles")["lr"])


def test_empty_store_has_the_columns(book):
    frame = results.load()
    assert frame.empty
    assert is_numeric_dtype(frame["accuracy"])
    assert {*NUMBERS, *WORDS} <= set(frame.columns)
    assert frame[frame["accuracy"] > 90].empty


def test_where_runs_are_looked_for(book, own_results, monkeypatch):
    assert results.published() == book / "results"
    assert results.own() == own_results
    assert results.roots() == [book / "results"]
    own_results.mkdir()
    assert results.roots() == [book / "results", own_results]
    monkeypatch.setenv("EFFCNN_RESULTS", str(book / "results"))
    assert len(results.roots()) == 1
    monkeypatch.delenv("EFFCNN_RESULTS")
    assert results.own().resolve() == book / "runs"


def test_named_folders_replace_the_usual_ones(stored, own_results):
    assert len(results.load(own_results)) == 1
    assert len(results.load(stored / "results", own_results)) == 4


def test_unfinished_run_is_none(stored):
    run = results.runs(stored / "results")[0]
    run.folder.rename(stored / "results" / ".partial" / "seed0")
    assert len(results.load()) == 3


def test_cell_is_its_runs_in_order(stored):
    assert results.accuracies(results.cell("small/plain")) == [99.0, 98.0]
    assert results.group("small/plain") == results.cell("small/plain")
    with pytest.raises(UserError, match="small/bp has no run for seed 1"):
        results.cell("small/bp")
    with pytest.raises(UserError, match=r"unknown cell 'small/plan' \(did you mean 'small/plain'"):
        results.cell("small/plan")


def test_diverged_run_has_no_mean(stored, own_results, small, record):
    results.write(own_results, small("bp", seed=1), record(97.0), {})
    with pytest.raises(UserError, match="diverged: its cell has no mean"):
        results.accuracies(results.cell("small/bp"))


def test_folder_is_its_runs(stored, own_results, small, record):
    name = "mnist-sample/1.5k-dw/baseline"
    expected = results.cell("small/plain")[::-1]
    assert results.group(name) == results.group(name, stored / "results") == expected
    assert results.group(str(stored / "results" / name)) == expected
    results.write(own_results, small(seed=2), record(97.0), {})
    results.write(own_results, small(seed=1), record(99.0), {})  # published too: counts once
    assert results.accuracies(results.group(name)) == [98.0, 99.0, 97.0]


def test_folder_of_several_recipes_has_no_mean(stored, own_results, small, record):
    results.write(own_results, small(seed=2, lr=0.01), record(97.0), {})
    with pytest.raises(UserError, match=r"runs of several recipes .*name a cell instead"):
        results.group("mnist-sample/1.5k-dw/baseline")
    with pytest.raises(UserError, match=r"unknown cell or folder of runs 'nowhere'.*small/plain"):
        results.group("nowhere")
    (stored / "sweeps" / "small.toml").unlink()
    with pytest.raises(UserError, match="there is no folder of runs nowhere"):
        results.group("nowhere")


def test_a_run_says_whether_it_diverged(record, tmp_path, small):
    for accuracy, lost in ((98.5, False), (None, True)):
        run = results.Run(tmp_path, small(), record(accuracy))
        assert run.diverged is lost
    with pytest.raises(UserError, match="diverged: its cell has no mean"):
        results.accuracies([run])
