"""The command line: training end to end, the other commands' answers, and how it stops."""

import subprocess
import sys
from pathlib import Path

import pytest

from effcnn import cli, results, runs

FLAGS = (
    *("--dataset", "mnist-sample", "--model", "1.5k-dw", "--epochs", "1", "--batch-size", "32"),
    *("--train-images", "160", "--holdout", "40", "--device", "cpu", "--threads", "1"),
)


@pytest.fixture
def cli_output(capsys):
    """Exit status, standard output and standard error of a command."""

    def run(*words):
        capsys.readouterr()
        status = cli.main([str(word) for word in words])
        return status, *capsys.readouterr()

    return run


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_the_output_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "effcnn", "models"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode != 0
    assert "effcnn: No space left on device" in done.stderr


@pytest.fixture
def stop_at(monkeypatch):
    """Ctrl-C in the training of one seed."""

    def stop(seed):
        def interrupted(self, *hooks):
            if self.recipe.seed == seed:
                raise KeyboardInterrupt
            return run(self, *hooks)

        run = runs.Trainer.run
        monkeypatch.setattr(runs.Trainer, "run", interrupted)

    return stop


def test_train_evaluate_and_train_again(book, cli_output, own_results, monkeypatch):
    status, out, err = cli_output("train", *FLAGS, "--seeds", "0-1", "--keep-epochs")
    first, second = results.runs(own_results)
    assert status == 0
    accuracy, loss = (first.record["test"][name] for name in ("accuracy", "loss"))
    lines = out.splitlines()
    assert lines[0].startswith(f"{first.folder}: test accuracy {accuracy:.2f}%, loss {loss:.4f} (")
    assert lines[1].startswith(f"{second.folder}: test accuracy ")
    assert "1.5k-dw/baseline seed 0: epoch 1/1, loss " in err
    assert f"validation {first.record['history'][0]['validation_accuracy']:.2f}%" in err
    # The first seed keeps its weights.
    kept = ["01.safetensors", "predictions.safetensors", "run.json", "weights.safetensors"]
    assert sorted(path.name for path in first.folder.rglob("*.*")) == kept
    assert sorted(path.name for path in second.folder.rglob("*.*")) == kept[1:3]

    status, out, _ = cli_output("evaluate", first.folder)
    assert status == 0
    expected = f"{accuracy:.2f}%, loss {loss:.4f}"
    assert out.splitlines() == [f"stored {expected}", f"now    {expected}"]
    status, out, err = cli_output("evaluate", second.folder)
    assert (status, out) == (2, "")
    assert "kept no weights" in err

    monkeypatch.setattr(runs, "Trainer", lambda *_: pytest.fail("trained again"))
    status, out, err = cli_output("train", *FLAGS, "--seeds", "0,1")
    assert status == 0
    assert [line.rpartition("(")[2] for line in out.splitlines()] == ["already there)"] * 2
    assert err == ""


def test_flags_end_up_in_the_recipe(cli_output, small, tmp_path, record):
    """Its run is there already, so no training is needed to see that it is the one meant."""
    recipe = small("bp(padding=zero)", lr=0.01, augment="shift", optimizer="adam", seed=3)
    results.write(tmp_path, recipe, record(), {})
    words = recipe.command().replace("'", "").split()[1:]
    status, out, _ = cli_output(*words, "--results", tmp_path)
    assert status == 0
    assert out.startswith(f"{tmp_path / recipe.folder}: test accuracy 98.50%")


def test_diverged_run_is_status_1(cli_output, own_results):
    words = ("train", *FLAGS, "--batch-size", "8", "--lr", "1e6")
    for took in ("images/s", "already there"):
        status, out, _ = cli_output(*words)
        assert status == 1
        assert "diverged: its loss stopped being a number (" in out
        assert took in out
    (run,) = results.runs(own_results)
    assert run.record["test"]["accuracy"] is None


def test_ctrl_c_keeps_the_finished_runs(cli_output, own_results, stop_at):
    stop_at(seed=1)
    status, out, err = cli_output("train", *FLAGS, "--seeds", "0-2")
    assert status == 130
    assert [run.recipe.seed for run in results.runs(own_results)] == [0]
    assert len(out.splitlines()) == 1
    assert err.splitlines()[-1] == (
        f"effcnn: stopped within an epoch; 1 of 3 runs are in {own_results}; "
        "the same command goes on from there"
    )


def test_results_lists_and_writes_csv(book, cli_output, own_results, small, record, tmp_path):
    assert cli_output("results") == (
        0,
        f"no runs in {book / 'results'}; 'effcnn train --help' says how to make one\n",
        "",
    )
    results.write(own_results, small(), record(98.25), {})
    results.write(book / "results", small("bp"), record(None), {})
    status, out, err = cli_output("results", "--csv", tmp_path / "runs.csv")
    assert (status, err) == (0, "")
    header, plain, blurred = (line.split() for line in out.splitlines())
    assert " ".join(header) == "run status epochs params accuracy images_per_second cell"
    assert plain == [str(own_results / small().folder), "finished", "2", "1560", "98.25", "200.00"]
    assert blurred[1:] == ["diverged", "2", "1560", "-", "200.00"]
    table = (tmp_path / "runs.csv").read_text().splitlines()
    assert table[0] == ",".join(results.COLUMNS)
    assert len(table) == 3
    assert len(cli_output("results", "--results", own_results)[1].splitlines()) == 2


def test_compare_by_hand(book, cli_output, own_results, small, record):
    """Variances 0.5, so the difference has 4.303 * sqrt(0.5 / 2 + 0.5 / 2) with 2 degrees."""
    for techniques, seed, accuracy in (("", 0, 97), ("", 1, 98), ("bp", 0, 98.5), ("bp", 1, 99.5)):
        results.write(own_results, small(techniques, seed=seed), record(float(accuracy)), {})
    one, other = (f"mnist-sample/1.5k-dw/{name}" for name in ("bp", "baseline"))
    status, out, _ = cli_output("compare", one, other)
    assert status == 0
    assert out.splitlines() == [
        f"{one}: 99.00 ± 6.35 %, 2 run(s)",
        f"{other}: 97.50 ± 6.35 %, 2 run(s)",
        "difference: +1.50 ± 3.04 points, 95% interval, p = 0.168 (Welch)",
    ]


def test_compare_single_and_diverged_runs(book, cli_output, own_results, small, record):
    for techniques, accuracy in (("", 97.0), ("bp", 98.5), ("oc", None)):
        results.write(own_results, small(techniques), record(accuracy), {})
    folder = own_results / "mnist-sample" / "1.5k-dw"
    status, out, _ = cli_output("compare", folder / "baseline", folder / "bp")
    assert status == 0
    assert out.splitlines()[-1].startswith("difference: −1.50 points: no interval")
    status, out, err = cli_output("compare", folder / "baseline", folder / "oc")
    assert status == 2
    assert "seed0-" in err
    assert err.endswith("diverged: its cell has no mean\n")


def test_models_is_the_ledger(cli_output):
    status, out, err = cli_output("models")
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert (status, err, len(rows)) == (0, "", 9)
    assert rows["mnist-1.5k-dw"].count(" 1560") == 2  # the paper's and ours
    assert " 407046 " in rows["mnist-1.5k-dw"]
    assert rows["mnist-5k-dw-narrow"].count("5016") == 1
