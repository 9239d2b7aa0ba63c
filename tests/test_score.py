"""The assignment's scores: ranks, ties and intervals by hand, and the command with real workers."""

import csv
import os
import signal
from dataclasses import replace

import pytest

import effcnn
from effcnn import cli, results, score, submission, sweep
from effcnn.submission import BASELINE, BOOK, Entry

MODEL = 'model = "4 M DW6 GAP 10"\nbatch_size = 32\n'


@pytest.fixture
def store(root, record):
    """Entries whose runs have these accuracies on the test images; held out they have 10 less."""
    made = []

    def put(name, accuracies, lr=None):
        recipe = replace(BASELINE, lr=lr or 0.1 + len(made))
        entry = submission._entry(name, recipe if made else BASELINE, (0, 1, 2), None)
        for one, accuracy in zip(entry.cell.recipes(), accuracies, strict=False):
            content = record(accuracy)
            held = None if accuracy is None else accuracy - 10
            content["validation"] = {"accuracy": held, "loss": None}
            content["time"]["train_seconds"] = 90.0
            results.write(root, one, content, {})
        made.append(entry)
        return made

    put(BOOK, (98.3, 98.4, 98.5))
    return put


def ranking(entries, root, split="test"):
    return score.scores(entries, root, split).set_index("submission")


def test_ranks_and_gains_by_hand(store, root):
    store("worse", (97.0, 97.1, 97.2))
    store("near", (98.5, 98.3, 98.7))
    store("better", (99.0, 99.1, 99.2))
    entries = [*store("slow", (99.2,)), Entry("bad", refused="too large")]
    table = ranking(entries, root)
    assert list(table.index) == ["better", "near", BOOK, "worse", "bad", "slow"]
    assert list(table["rank"].dropna()) == [1, 2, 3]
    assert table["rank"].isna()[[BOOK, "bad", "slow"]].all()
    better = table.loc["better"]
    assert better["accuracy"] == pytest.approx(99.1)
    assert better["half"] == pytest.approx(4.303 * 0.1 / 3**0.5, abs=1e-3)
    # Both standard deviations are 0.1, so Welch's test has 4 degrees of freedom.
    assert better["gain"] == pytest.approx(0.7)
    assert better["gain_half"] == pytest.approx(2.776 * 0.1 * (2 / 3) ** 0.5, abs=1e-3)
    assert list(table["beats"]) == ["yes", "no", "", "no", "", ""]
    assert list(table["status"]) == ["scored"] * 4 + ["refused", "incomplete"]
    assert list(table["runs"]) == [3, 3, 3, 3, 0, 1]
    assert list(table["minutes"].dropna()) == [1.5] * 5
    # The least of three p-values is multiplied by three.
    assert table["p_holm"]["worse"] == pytest.approx(3 * table["p"]["worse"])
    assert table["p_holm"]["near"] == pytest.approx(table["p"]["near"])
    assert table["note"]["bad"] == "too large"


def test_held_out_images_count_unless_the_test_is_asked_for(store, root):
    entries = store("ada", (99.0, 99.1, 99.2))
    assert ranking(entries, root, "validation")["accuracy"]["ada"] == pytest.approx(89.1)
    table = ranking(entries, root, "test")
    assert table["accuracy"]["ada"] == pytest.approx(99.1)
    assert table["validation"]["ada"] == pytest.approx(89.1)
    text = score.report(entries, root, split="validation")
    assert "89.10 ± 0.25" in text
    assert "99.1" not in text
    assert "on the 10,000 held-out training images with its" in text
    assert "seeds 0, 1, 2; the book's with seeds 0, 1, 2, trained" in " ".join(text.split())
    assert "Recipes looked at on these images" in text
    text = score.report(entries, root, split="test")
    assert "99.10 ± 0.25 +0.70 ± 0.23            yes" in text
    assert "Mean accuracy on the test images" in text
    assert "looked at" not in text


def test_ties_share_a_rank(store, root):
    store("b", (98.1, 98.2, 98.6))
    store("a", (98.2, 98.6, 98.1))  # the same mean but for the last bit
    store("c", (98.0, 98.0, 98.0))
    table = ranking(store("d", (98.6, 98.6, 98.6)), root)
    assert list(table.index) == ["d", BOOK, "a", "b", "c"]
    assert list(table["rank"].dropna()) == [1, 2, 2, 4]


def test_a_recipe_that_was_handed_in_twice_is_told(store, root):
    store("ada", (99.0, 99.1, 99.2), lr=0.3)
    entries = store("bob", (99.0, 99.1, 99.2), lr=0.3)
    copied = submission._entry("cara", BASELINE, (1, 2), None)
    table = ranking([*entries, copied], root)
    assert list(table["rank"].dropna()) == [1, 1, 3]
    assert table["note"].to_dict() == {
        **{"ada": "", "bob": "the same recipe as ada"},
        **{BOOK: "", "cara": "the same recipe as the book"},
    }
    assert table["gain"]["cara"] == pytest.approx(0.05)
    assert table["beats"]["cara"] == "no"


def test_diverged_runs_have_no_score(store, root):
    entries = store("ada", (99.0, None, 99.2))
    table = ranking(entries, root)
    assert table["status"]["ada"] == "diverged"
    assert table[["accuracy", "gain", "rank"]].loc["ada"].isna().all()
    (line,) = [line for line in score.shown(table.reset_index()).splitlines() if "ada" in line]
    assert line.split()[:5] == ["-", "ada", "diverged", "-", "-"]


def test_without_the_books_score_there_is_no_gain(root, record):
    book, other = (
        submission._entry(name, replace(BASELINE, lr=lr), (0,), None)
        for name, lr in ((BOOK, 0.05), ("ada", 0.1))
    )
    content = record(99.0) | {"validation": {"accuracy": 98.0, "loss": 0.1}}
    results.write(root, other.cell.recipe, content, {})
    row = ranking([book, other], root).loc["ada"]
    assert (row["status"], row["beats"], row["rank"]) == ("scored", "", 1)
    assert row[["gain", "gain_half", "p", "half"]].isna().all()
    results.write(root, book.cell.recipe, content, {})
    assert ranking([book, other], root).loc["ada"]["beats"] == "one run"


def test_no_spread_is_no_interval(root, record):
    book, other = (
        submission._entry(name, replace(BASELINE, lr=lr), (0, 1, 2), None)
        for name, lr in ((BOOK, 0.05), ("ada", 0.1))
    )
    for entry, accuracy in ((book, 98.5), (other, 99.0)):
        for one in entry.cell.recipes():
            content = record(accuracy) | {"validation": {"accuracy": 98.0, "loss": 0.1}}
            results.write(root, one, content, {})
    assert ranking([book, other], root)["beats"]["ada"] == "no spread"


def test_looks_count_the_recipes_of_a_store(store, root, record, small):
    assert score.looks(root / "none", BASELINE) == 0
    store("a", (97.0, 97.1, 97.2))
    store("b", (97.0,))
    results.write(root, small(), record(), {})  # of other images
    assert score.looks(root, BASELINE) == 2


@pytest.fixture
def command(tmp_path, root, capfd, monkeypatch):
    """`effcnn score` on a folder of files, on few images: status, output and errors."""
    tiny = replace(submission.SAMPLE, train_images=160, holdout=40, epochs=3)
    monkeypatch.setattr(submission, "SAMPLE", replace(tiny, batch_size=32))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(files, *words):
        folder = tmp_path / "class"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.toml").write_text(text)
        flags = ("--sample", "--book-seeds", "0", "--results", str(root), "--device", "cpu")
        return cli.main(["score", str(folder), *flags, *words]), *capfd.readouterr()

    yield run
    signal.signal(signal.SIGINT, before)


def rows(out):
    """The words of the table's lines, by submission."""
    table = out.partition("\n\n")[0].splitlines()
    return {words[1]: words for words in map(str.split, table)}


def test_the_command_scores_ranks_and_keeps(command, root, tmp_path, monkeypatch):
    files = {
        "ada": f"{MODEL}epochs = 3\nlr = 0.05",
        "eve": f"{MODEL}epochs = 3\nlr = 1e6\nbatch_size = 16".replace("batch_size = 32\n", ""),
        "mal": "import os\nos.system('touch hacked')",
        "bob": f"{MODEL}epochs = 2\nlr = 0.1\ntechniques = 'swa+bp'",
    }
    path = tmp_path / "scores.csv"
    status, out, err = command(files, "--seeds", "0-1", "--workers", "1", "--csv", str(path))
    assert status == 1  # one was refused, one diverged
    assert "effcnn: mal: refused: it is not TOML: " in err
    assert "7 runs: 0 there, 7 to train; 1 worker on cpu, 1 thread each" in err
    found = rows(out)
    assert found["eve"][2] == "diverged"
    assert found["mal"][2] == "refused"
    assert "mal: it is not TOML: " in out
    assert "A REHEARSAL" in out
    with path.open(newline="") as file:
        table = {row["submission"]: row for row in csv.DictReader(file)}
    assert {table["ada"]["rank"], table["bob"]["rank"]} <= {"1", "2"}
    # What is shown, and while it trains too, is the accuracy on held-out images.
    runs = [run for run in results.runs(root) if run.recipe.model == "4 M DW6 GAP 10"]
    ada = [run for run in runs if run.recipe.lr == 0.05]
    held = [run.record["validation"]["accuracy"] for run in ada]
    assert float(table["ada"]["accuracy"]) == pytest.approx(sum(held) / 2, rel=1e-5)
    for run, one in zip(ada, held, strict=True):
        assert f"] ada seed {run.recipe.seed}: {one:.2f}% (" in err
    net = effcnn.load(ada[0])
    assert sum(p.numel() for p in net.parameters()) == int(table["ada"]["params"])
    assert int(table["ada"]["macs"]) == ada[0].record["costs"]["macs"]

    # The test images were looked at for the record; showing them trains nothing again.
    monkeypatch.setattr(sweep, "Pool", lambda *_, **__: pytest.fail("trained again"))
    status, out, err = command({}, "--seeds", "0-1", "--test", "--csv", str(path))
    assert status == 1
    assert "7 runs: 7 there, 0 to train" in err
    tested = sum(run.record["test"]["accuracy"] for run in ada) / 2
    with path.open(newline="") as file:
        table = {row["submission"]: row for row in csv.DictReader(file)}
    assert float(table["ada"]["accuracy"]) == pytest.approx(tested, rel=1e-5)


def test_ctrl_c_and_the_same_command_again(command, root, monkeypatch):
    class Hook(sweep.Sweep):
        pressed = False

        def hear(self, event):
            if event.kind == "report" and not Hook.pressed:
                Hook.pressed = True
                os.kill(os.getpid(), signal.SIGINT)
            super().hear(event)

    monkeypatch.setattr(sweep, "Sweep", Hook)
    words = ("--seeds", "0", "--workers", "1")
    files = {"ada": f"{MODEL}epochs = 15"}
    status, out, err = command(files, *words)
    assert status == 130
    assert rows(out)["ada"][2] == "incomplete"
    assert "the same command goes on from there" in err
    status, out, err = command(files, *words)
    assert status == 0
    assert "2 to train, 1 of them from a checkpoint" in err
    assert rows(out)["ada"][0] == "1"


def test_a_submission_whose_training_fails_does_not_stop_the_others(command, root, tmp_path):
    files = {"ada": f"{MODEL}epochs = 3", "bob": f"{MODEL}epochs = 2"}
    (tmp_path / "ada.toml").write_text(files["ada"])
    recipe = submission.read(tmp_path / "ada.toml", submission.SAMPLE)
    (root / recipe.folder).mkdir(parents=True)  # half a run, which somebody must look at
    status, out, err = command(files, "--seeds", "0", "--workers", "1")
    assert status == 2
    assert "effcnn: ada seed 0: " in err
    assert "is not a whole run; move it away" in err
    assert rows(out)["ada"][2] == "incomplete"
    assert rows(out)["bob"][0] == "1"


def test_a_plan_trains_nothing(command, root):
    status, out, _ = command({"ada": MODEL, "mal": ""}, "--dry-run", "--workers", "1")
    assert status == 1
    assert "4 runs to train: about" in out
    assert not results.runs(root) if root.exists() else True
    status, out, err = command({"ada": "", "mal": ""}, "--dry-run")
    assert (status, out) == (2, "")
    assert err.count("refused: it names no model") == 2
