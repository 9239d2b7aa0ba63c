"""What a sweep shows while it runs, and the time left by hand."""

import io
import sys

import pytest

from effcnn import results
from effcnn.progress import Progress, alike, duration, images


def report(recipe, done, speed, entry=None):
    whole = {"label": "", "images": done, "total": images(recipe), "epochs": recipe.epochs}
    return {**whole, "epoch": 1, "loss": 0.5, "accuracy": 80.0, "images_per_second": speed} | {
        "entry": entry
    }


@pytest.fixture
def ended(small, tmp_path):
    """A run with this record."""
    return lambda content: results.Run(tmp_path, small(), content)


@pytest.fixture
def three(small):
    """Two runs of one kind and one of another; 320 images each, for 32 times 5 are 160."""
    return {"a": small(lr=0.1), "b": small(seed=1, holdout=20), "c": small("bp", train_images=175)}


def test_time_left_by_hand(three, record, ended, capsys):
    assert [images(recipe) for recipe in three.values()] == [320] * 3
    assert alike(three["a"]) == alike(three["b"]) != alike(three["c"])
    progress = Progress(three, done=1, workers=2)
    assert progress.seconds_left() is None
    progress.report(0, "a", report(three["a"], 160, 10.0))
    # 16 s, 32 s, and 32 s at the speed of the others, on two workers.
    assert progress.seconds_left() == pytest.approx((16 + 32 + 32) / 2)
    progress.report(1, "c", report(three["c"], 20, 2.5, {"epoch": 1}))
    assert progress.seconds_left() == pytest.approx((16 + 32 + 120) / 2)
    progress.finished("a", ended(record(98.614)))
    assert progress.seconds_left() == pytest.approx((32 + 120) / 2)
    progress.given_up("c")
    assert progress.seconds_left() == pytest.approx(32)  # one run takes one worker
    progress.finished("b", ended(record(None)), elsewhere=True)
    assert progress.seconds_left() == 0
    assert capsys.readouterr().err.splitlines() == [
        "[2/4] a: 98.61% (2 s, 200 images/s), 76 s left",
        "[3/4] b: diverged (trained by another process), 0 s left",
    ]


def test_the_test_images_stay_unseen_where_others_count(three, record, ended, capsys):
    progress = Progress(three, done=0, workers=1, split="validation")
    progress.finished("a", ended(record(98.614) | {"validation": {"accuracy": 7}}))
    progress.finished("b", ended(record(None) | {"validation": None}))
    err = capsys.readouterr().err
    assert "a: 7.00%" in err
    assert "98.6" not in err
    assert "b: diverged" in err


def test_a_single_run_shows_its_epochs(three, capsys):
    progress = Progress({"a": three["a"]}, done=0, workers=1)
    progress.report(0, "a", report(three["a"], 100, 10.0))
    progress.report(0, "a", report(three["a"], 160, 10.0, {"epoch": 1}))
    line = "a: epoch 1/2, loss 0.5000, accuracy 80.00%, 10 images/s, 16 s left\n"
    assert capsys.readouterr().err == line


def test_bars_on_a_terminal(three, record, ended, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    progress = Progress(three, done=1, workers=2)
    progress.report(1, "a", report(three["a"], 160, 10.0))
    progress.finished("a", ended(record(98.614)))
    progress.idle(1)
    assert (progress.bars[0].n, progress.bars[0].total) == (320, 960)
    progress.close()
    shown = sys.stderr.getvalue()
    assert "1/4 runs   0%|" in shown
    assert "2/4 runs, 32 s left  33%|" in shown
    assert "a: epoch 1/2, loss 0.5000, accuracy 80.00%" in shown
    assert "[2/4] a: 98.61% (2 s, 200 images/s), 32 s left\n" in shown


def test_durations():
    assert [duration(s) for s in (0.4, 89, 2460, 11_400)] == ["0 s", "89 s", "41 min", "3 h 10 min"]
