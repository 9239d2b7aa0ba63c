"""What a training goes on from, what it says of that, and what its record says afterwards."""

import errno
import os
import shutil

import pytest
from crashes import bits, child, forged, leftovers, recipe, start, train

from effcnn import checkpoint, results, runs
from effcnn.errors import UserError
from effcnn.techniques import Spec, Technique

WANTED = recipe(3, "sam+swa(start=0.5)")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return bits(train(WANTED, tmp_path_factory.mktemp("whole"), keep_epochs=True))


def test_it_says_so_once_and_the_parts_add_up(root, whole, capsys):
    path = start(root, WANTED, threads=1, progress=True)
    before = checkpoint.read(path)
    capsys.readouterr()
    run = train(WANTED, root, progress=True)
    lines = capsys.readouterr().err.splitlines()
    label = f"mnist-sample/5k/{WANTED.label} seed 0"
    assert lines[0] == f"{label}: goes on after epoch 1 of 3"
    assert [line.split(",")[0] for line in lines[1:]] == [
        f"{label}: epoch {epoch}/3" for epoch in (2, 3)
    ]
    assert bits(run)[1] == whole[1]
    assert run.record["resumed"] == [{"epochs": 1}]
    time, made = run.record["time"], before["made"]
    assert time["started"] == made["started"]
    assert time["train_seconds"] > before["state"]["seconds"]
    assert time["wall_seconds"] > made["wall_seconds"] > before["state"]["seconds"]
    assert train(WANTED, root, progress=True) == run
    assert capsys.readouterr().err == ""


def train_with_two_threads(pipe, root):
    start(root, recipe(3, ""), threads=2)


def test_another_number_of_threads_is_recorded(root):
    process, _ = child(train_with_two_threads, root)
    process.join()
    assert process.exitcode == 0
    start(root, recipe(3, ""))
    run = train(recipe(3, ""), root)
    assert run.record["provenance"]["threads"] == 2
    assert run.record["resumed"] == [{"epochs": 1, "threads": {"was": 2, "is": 1}}, {"epochs": 2}]
    assert results.read(run.folder) == run


def test_a_training_that_diverged_stays_so(root, small, monkeypatch):
    """Killed after its last epoch, before it is in the store."""
    wanted = small(lr=1e6, epochs=3, batch_size=8)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "_tested", killed)
        with pytest.raises(KeyboardInterrupt):
            runs.train(wanted, root)
    monkeypatch.setattr(runs.Trainer, "epoch", lambda *_: pytest.fail("trained on"))
    run = runs.train(wanted, root)
    assert run.record["status"] == "diverged"
    assert [entry["loss"] for entry in run.record["history"]] == [None]
    assert run.record["test"]["accuracy"] is None
    assert run.record["resumed"] == [{"epochs": 1}]
    assert leftovers(root) == []


def test_asked_to_stop_in_the_last_epoch_it_is_done(root, whole):
    start(root, WANTED, epochs=2, keep_epochs=True)
    assert bits(train(WANTED, root, keep_epochs=True, stop=lambda: True)) == whole


def test_what_a_kill_left_of_a_run_in_its_place_is_cleaned(root, whole):
    path = start(root, WANTED, epochs=2, keep_epochs=True)
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    run = train(WANTED, root, keep_epochs=True)
    shutil.copytree(copy / ".partial", root / ".partial", dirs_exist_ok=True)
    for end in ("safetensors.tmp", "lock"):
        path.with_suffix(f".{end}").touch()
    before = {name: name.stat().st_mtime_ns for name in run.folder.rglob("*")}
    assert train(WANTED, root, keep_epochs=True) == run
    assert {name: name.stat().st_mtime_ns for name in run.folder.rglob("*")} == before
    assert leftovers(root) == []


def test_a_folder_that_vanishes(root):
    def vanish(report):
        shutil.rmtree(root / ".partial")

    with pytest.raises(UserError, match=r"bring the folder back and run again: it starts again$"):
        train(WANTED, root, watch=vanish)


@pytest.mark.parametrize(
    ("number", "says"),
    [("EROFS", "make it writable"), ("EDQUOT", "free some space"), ("EIO", "mend that")],
)
def test_a_store_that_can_be_written_no_longer(root, whole, monkeypatch, number, says):
    path = start(root, WANTED, epochs=2, keep_epochs=True)
    before = path.read_bytes()

    def refuse(source, target):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)), source)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(UserError, match=rf"{says} and run again: it goes on after epoch 2$"):
            train(WANTED, root, keep_epochs=True)
    assert path.read_bytes() == before
    assert bits(train(WANTED, root, keep_epochs=True)) == whole


def test_a_technique_that_was_changed_starts_again(root, registry):
    class Dim(Technique, spec=Spec("dim", "dimmer", "")):
        def change_batch(self, images, targets, generator):
            return images / 2, targets

    wanted = recipe(2, "dim")
    start(root, wanted)

    class Dimmer(Technique, spec=Spec("dim", "dimmer", "")):
        def change_batch(self, images, targets, generator):
            return images / 3, targets

    with pytest.warns(UserWarning, match=r"not used, for technique 'dim' has changed since; this"):
        run = train(wanted, root)
    assert bits(run) == bits(train(wanted, root / "whole"))


def test_a_checkpoint_of_another_device_is_kept_until_the_first_epoch(root, whole):
    path = start(root, WANTED)
    forged(lambda saved: saved["made"].update(device="cuda"))(path)
    with pytest.warns(UserWarning, match="it is of a training on cuda, not cpu; this training"):
        run = train(WANTED, root, keep_epochs=True)
    assert bits(run) == whole
    assert leftovers(root) == []


@pytest.mark.parametrize("lost", ["all", "one", "damaged one"])
def test_epochs_that_were_not_kept(root, whole, lost):
    start(root, WANTED, epochs=2, keep_epochs=lost != "all")
    folder = root / ".partial" / WANTED.hash / "epochs"
    if lost != "all":
        assert sorted(path.name for path in folder.iterdir()) == [
            f"0{i}.safetensors" for i in (1, 2)
        ]
    if lost == "one":
        (folder / "01.safetensors").unlink()
    if lost == "damaged one":
        (folder / "01.safetensors").write_bytes(b"12345678")
    with pytest.warns(UserWarning, match="the weights after epoch 1 were not kept; this training"):
        run = train(WANTED, root, keep_epochs=True)
    assert bits(run) == whole


def test_epochs_and_other_leftovers_that_are_not_wanted(root, whole):
    start(root, WANTED, epochs=2, keep_epochs=True)
    folder = root / ".partial" / WANTED.hash
    (folder / "weights.safetensors").write_bytes(b"of a crash while storing")
    (folder / "epochs" / "03.safetensors.tmp").write_bytes(b"cut off")
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    run = train(WANTED, root, keep_weights=False)
    files = {name: whole[0][name] for name in ("predictions.safetensors",)}
    assert bits(run) == (files, whole[1])
    assert bits(train(WANTED, copy, keep_epochs=True)) == whole
    assert leftovers(root) == leftovers(copy) == []


def test_epochs_of_an_earlier_training_are_not_taken_for_its_own(root, whole):
    """That one began again, and its checkpoint is gone; this one keeps none at first."""
    start(root, WANTED, epochs=2, keep_epochs=True).unlink()
    start(root, WANTED, epochs=2)
    with pytest.warns(UserWarning, match="the weights after epoch 1 were not kept"):
        run = train(WANTED, root, keep_epochs=True)
    assert bits(run) == whole
