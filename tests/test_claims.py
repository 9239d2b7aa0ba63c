"""Two processes on one store: no recipe is trained twice, and a claim ends with its process."""

import os
import pickle
import signal

import pytest
from crashes import bits, child, leftovers, recipe, train

from effcnn import results, runs, store

WANTED = recipe(4, "oc")


def train_and_count(pipe, root):
    """Train as soon as told; send the number of epochs that this process trained."""
    epochs = []
    pipe.send("ready")
    pipe.recv()
    run = train(WANTED, root, watch=lambda report: epochs.append(report.epoch))
    pipe.send((len(epochs), bits(run)))


def train_and_wait(pipe, root):
    """Go on after each epoch when told."""

    def watch(report):
        pipe.send(report.epoch)
        pipe.recv()

    train(WANTED, root, watch=watch)


@pytest.fixture
def owner(root):
    """A process that has finished one epoch and holds the claim."""
    process, pipe = child(train_and_wait, root)
    assert pipe.recv() == 1
    yield process, pipe
    process.kill()
    process.join()


def test_two_processes_at_once_train_once(root):
    children = [child(train_and_count, root) for _ in range(2)]
    for _, pipe in children:
        assert pipe.recv() == "ready"
    for _, pipe in children:
        pipe.send("go")
    (one, bits_one), (other, bits_other) = (pipe.recv() for _, pipe in children)
    for process, _ in children:
        process.join()
    assert sorted([one, other]) == [0, 4]
    assert bits_one == bits_other == bits(train(WANTED, root / "whole"))
    assert leftovers(root) == []


def test_a_claimed_recipe_is_busy(root, owner, monkeypatch):
    monkeypatch.setattr(runs, "Trainer", lambda *_: pytest.fail("trained twice"))
    with pytest.raises(runs.Busy, match="another process is at work on mnist-sample/5k/oc/seed0-"):
        train(WANTED, root, wait=False)
    asked = iter([False, True])
    with pytest.raises(runs.Stopped) as stopped:
        train(WANTED, root, stop=lambda: next(asked))
    assert stopped.value.epochs == 0


def test_other_recipes_are_free(root, owner):
    assert train(WANTED.with_seed(1), root, wait=False).recipe.seed == 1


def test_who_waits_gets_the_others_run(root, owner, capsys, monkeypatch):
    process, pipe = owner
    monkeypatch.setattr(runs, "Trainer", lambda *_: pytest.fail("trained twice"))

    def release():  # asked only while it waits
        for _ in range(WANTED.epochs):
            pipe.send("go on")
        return False

    run = train(WANTED, root, stop=release)
    assert (
        capsys.readouterr().err == f"{WANTED.folder}: another process is at work on it; waiting\n"
    )
    assert results.runs(root) == [run]
    process.join()
    assert leftovers(root) == []


def test_a_process_that_is_killed_gives_its_claim_back(root, owner):
    process, _ = owner
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    run = train(WANTED, root, wait=False)
    assert run.record["resumed"] == [{"epochs": 1}]
    assert leftovers(root) == []


def test_an_error_gives_the_claim_back(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(runs.Trainer, "run", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(WANTED, root)
    assert train(WANTED, root, wait=False)


def test_what_a_worker_raises_crosses_to_its_parent(root):
    for error in (runs.Stopped(3, 12), runs.Busy("busy"), store.WriteError("no")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
    assert str(runs.Stopped(3, 12)) == "stopped after epoch 3 of 12"
