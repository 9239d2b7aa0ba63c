"""The runs of a chapter by profile: what is read, what is trained, and what is refused."""

import shutil

import pytest
from tiny import DEFAULTS

from effcnn import profiles, results
from effcnn.errors import UserError


def test_published_reads_and_trains_nothing(shelf, own_results):
    runs = profiles.runs(["first/digits", "first/pictures"])
    assert [run.record["test"]["accuracy"] for run in runs["first/pictures"]] == [91.0, 92.0]
    assert not own_results.exists()


def test_quick_trains_the_digits_on_the_sample_and_reads_the_rest(shelf, own_results):
    runs = profiles.runs(["first/digits", "first/pictures"], "quick", seeds="1", epochs=1)
    (run,) = runs["first/digits"]
    assert (run.recipe.dataset, run.recipe.seed, run.recipe.epochs) == ("mnist-sample", 1, 1)
    assert own_results in run.folder.parents
    assert runs["first/pictures"][0].recipe.dataset == "cifar10"
    again = profiles.runs(["first/digits"], "quick", seeds="1", epochs=1)["first/digits"]
    assert again[0].record == run.record


def test_full_takes_what_is_there_and_asks_for_data_only_for_the_rest(shelf, monkeypatch, tmp_path):
    monkeypatch.setenv("EFFCNN_DATA", str(tmp_path / "file"))
    (tmp_path / "file").write_text("not a folder")
    assert profiles.runs(["first/digits"], "full")["first/digits"][0].recipe.dataset == "mnist"
    with pytest.raises(UserError, match="file"):
        profiles.runs(["first/digits"], "full", seeds="7")


def contents(folder):
    """Every file below a folder, and when it was written."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def bits(folder):
    """A run's answers to the test images and its weights; its record says when it was made."""
    found = {path: content for path, (content, _) in contents(folder).items()}
    assert found.pop(folder / "run.json")
    assert found[folder / "predictions.safetensors"]
    return found


def test_full_trains_the_one_run_that_is_gone_to_the_same_bits(book, own_results, capsys):
    text = f"{DEFAULTS}[cells.three]\nepochs = 2\nseeds = '0-2'\nkeep_epochs = '1'\n"
    (book / "sweeps" / "tiny.toml").write_text(text)
    first = profiles.runs(["tiny/three"], "full")["tiny/three"]
    gone, others = first[1], (first[0], first[2])
    before = [contents(run.folder) for run in others]
    files = bits(gone.folder)
    assert [path.parent.name for path in files].count("epochs") == 2
    shutil.rmtree(gone.folder)
    capsys.readouterr()

    again = profiles.runs(["tiny/three"], "full")["tiny/three"]
    assert capsys.readouterr().out == "training tiny/three, seed 1, 2 epochs\n"
    assert [contents(run.folder) for run in others] == before
    assert again[::2] == list(others)
    assert again[1].folder == gone.folder
    assert again[1].record["test"] == gone.record["test"]
    assert again[1].record["history"] == gone.record["history"]
    assert bits(gone.folder) == files
    profiles.runs(["tiny/three"], "full")
    assert capsys.readouterr().out == ""  # nothing is missing any more


def test_epochs_are_kept_only_where_the_cell_keeps_them(book, own_results):
    text = f"{DEFAULTS}[cells.three]\nepochs = 1\nseeds = '0-1'\nkeep_epochs = '0'\n"
    (book / "sweeps" / "tiny.toml").write_text(text)
    runs = profiles.runs(["tiny/three"], "full", seeds="0-1", epochs=2)["tiny/three"]
    assert [(run.folder / "epochs").is_dir() for run in runs] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"profile": "quik"}, "unknown profile 'quik'.*published, quick, full"),
        ({"seeds": "0-2"}, "quick or full"),
        ({"epochs": 3}, "quick or full"),
        ({"names": ["first/digts"]}, "unknown cell.*did you mean 'first/digits'"),
    ],
)
def test_bad_arguments(shelf, arguments, says):
    with pytest.raises(UserError, match=says):
        profiles.runs(**{"names": ["first/digits"], **arguments})


def test_a_missing_run_is_an_error(shelf):
    run = results.cell("first/pictures", shelf / "results")[1]
    run.folder.joinpath("run.json").unlink()
    with pytest.raises(UserError, match="first/pictures has no run for seed 1"):
        profiles.runs(["first/pictures"])


def test_plain_papermill_makes_a_number_of_a_seed(shelf):
    (run,) = profiles.runs(["first/digits"], "quick", seeds=1, epochs=1)["first/digits"]
    assert run.recipe.seed == 1
    (run,) = profiles.runs(["first/digits"], "quick", seeds=0, epochs=1)["first/digits"]
    assert run.recipe.seed == 0
