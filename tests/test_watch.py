"""What a training reports while it runs, and how seldom it looks at the loss."""

import pytest
import torch
from crashes import CONTENT, recipe, start, train

from effcnn import runs, watch
from effcnn.train import Trainer


@pytest.fixture
def long(small):
    """Thirty-two steps in an epoch."""
    return small(epochs=2, batch_size=2, train_images=64, holdout=20)


def test_reports_at_every_20th_step_and_at_the_end(root, long, capsys):
    reports = []
    run = train(long, root, watch=reports.append)
    assert [(r.epoch, r.images, r.entry is None) for r in reports] == [
        *((1, 40, True), (1, 64, False), (2, 104, True), (2, 128, False))
    ]
    assert {(r.label, r.total, r.epochs) for r in reports} == {
        ("mnist-sample/1.5k-dw/baseline seed 0", 128, 2)
    }
    assert [r.entry for r in reports[1::2]] == run.record["history"]
    for report in reports:
        assert report.images_per_second > 0
        assert 0 <= report.accuracy <= 100
        if report.entry:
            assert (report.loss, report.accuracy) == (
                report.entry["loss"],
                report.entry["accuracy"],
            )
    assert capsys.readouterr().err == ""


def test_the_mean_so_far(long):
    """By hand: the mean of the first twenty losses."""
    seen, losses = [], []
    trainer = Trainer(long, CONTENT)
    on_step, _ = watch.hooks(trainer, [seen.append])
    step = trainer.step
    trainer.step = lambda *words: losses.append(step(*words)) or losses[-1]
    trainer.epoch(on_step)
    assert len(losses) == 32
    assert seen[0].loss == pytest.approx(sum(loss.item() for loss, _ in losses[:20]) / 20)
    assert seen[0].accuracy == 100 * sum(right.item() for _, right in losses[:20]) / 40


def test_nothing_waits_for_the_device_in_between(long, monkeypatch):
    trainer = Trainer(long, CONTENT)
    looks = []
    item = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda tensor: looks.append(1) or item(tensor))
    counts = {}
    for name, watchers in (("watched", [lambda report: None]), ("alone", [])):
        on_step, _ = watch.hooks(trainer, watchers)
        for step in range(1, 33):
            on_step(step, torch.tensor(1.0), torch.tensor(1))
        counts[name] = len(looks)
        looks.clear()
    assert counts == {"watched": 2, "alone": 0}


def test_earlier_parts_count(root):
    wanted, reports = recipe(3, "oc"), []
    start(root, wanted)
    train(wanted, root, watch=reports.append)
    assert [(r.epoch, r.images, r.total) for r in reports] == [(2, 128, 192), (3, 192, 192)]


def test_a_loss_that_is_no_number(root, small, capsys):
    wanted, reports = small(lr=1e6, epochs=3, batch_size=2, train_images=64), []
    runs.train(wanted, root, progress=True, watch=reports.append)
    assert [report.loss for report in reports] == [None] * len(reports)
    assert len(reports) == 2
    assert "epoch 1/3, loss not a number, accuracy" in capsys.readouterr().err


def test_a_bar_on_a_terminal(root, capsys, monkeypatch):
    import sys

    wanted = recipe(3, "oc")
    start(root, wanted)
    capsys.readouterr()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    train(wanted, root, progress=True)
    said = capsys.readouterr().err
    assert said.splitlines()[0].endswith("seed 0: goes on after epoch 1 of 3")
    assert "192/192" in said
    assert "epoch 3/3, loss" in said
