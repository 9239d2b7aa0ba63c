"""Killed, or with a full disk, at any moment: a training goes on, and ends in the same bits."""

import os
import random
import re
import signal
import sys
import time

import pytest
from crashes import bits, child, leftovers, recipe, train, train_and_tell, train_to_step

from effcnn import results
from effcnn.errors import UserError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
LONG, SHORT = recipe(epochs=24), recipe(2, "", batch_size=64)


@pytest.fixture(scope="module", autouse=True)
def no_waiting():
    """For a disk that only a power failure would make a difference to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


def finish(wanted, root):
    """The run, by as many starts as it takes: one."""
    run = train(wanted, root, keep_epochs=True)
    assert leftovers(root) == []
    assert results.runs(root) == [run]
    return bits(run)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bits of trainings that nobody disturbed."""
    return {wanted: finish(wanted, tmp_path_factory.mktemp("whole")) for wanted in (LONG, SHORT)}


def heard(pipe, seconds):
    """The epoch that is over by then, if any; 0 if the child is gone."""
    try:
        return pipe.recv() if pipe.poll(seconds) else None
    except EOFError:
        return 0


def test_killed_at_random_moments(root, whole):
    """Of one training with all techniques; at its very end, too, some more times."""
    draw = random.Random(5)
    kills, epochs, ends = 0, 0, 0
    while ends < 3:
        process, pipe = child(train_and_tell, LONG, root)
        # Sometimes between an epoch's end and the next, sometimes on the way to the first; and
        # not so late that the training is over after a few kills.
        if epochs <= kills and draw.random() < 0.7:
            epochs = heard(pipe, 60) or epochs
            time.sleep(draw.uniform(0, 0.05))
        else:
            epochs = heard(pipe, draw.uniform(0, 0.3)) or epochs
        process.kill()
        process.join()
        if process.exitcode == 0:  # it was faster
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        ends += epochs == LONG.epochs
    assert kills >= 20
    assert finish(LONG, root) == whole[LONG]


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """What a short training does on the disk."""
    root = tmp_path_factory.mktemp("steps") / "store"
    process, pipe = child(train_to_step, SHORT, root, None, "die")
    found, changes, error = pipe.recv()
    process.join()
    assert error is None
    return found, changes


def test_the_steps_are_all_seen(steps):
    """Each file is whole on the disk before it has its name, and the run before its place."""
    steps, changes = steps
    hash_ = SHORT.hash
    for name in ("01.safetensors", "02.safetensors", f"{hash_}.safetensors", "run.json"):
        place = steps.index(("open", f"{name}.tmp"))
        assert steps[place + 1 : place + 3] == [
            ("fsync", f"{name}.tmp"),
            ("os.rename", f"{name}.tmp"),
        ]
        assert steps[place + 3][0] == "fsync"
    last = [
        steps.index(step) for step in (("os.rename", hash_), ("os.remove", f"{hash_}.safetensors"))
    ]
    assert steps.index(("os.rename", "run.json.tmp")) < last[0] < last[1]
    assert {kind for kind, _ in changes} == {"open", "fsync", "os.rename", "os.mkdir", "os.remove"}


def test_killed_before_every_step(root, whole, steps):
    _, changes = steps
    for number in range(len(changes) + 1):  # the last one lives
        place = root / str(number)
        process, _ = child(train_to_step, SHORT, place, number, "die")
        process.join()
        assert process.exitcode == (-signal.SIGKILL if number < len(changes) else 0)
        assert finish(SHORT, place) == whole[SHORT], changes[number:]


def test_full_disk_at_every_step(root, whole, steps):
    """One line says so, no half file is left, and what was trained so far is not lost."""
    for number, (kind, _) in enumerate(steps[1]):
        if kind == "open":  # what is written comes to the disk with the next step, fsync
            continue
        place = root / str(number)
        process, pipe = child(train_to_step, SHORT, place, number, "full")
        _, done, error = pipe.recv()
        process.join()
        partial = place / ".partial"
        assert not partial.exists() or not list(partial.rglob("*.tmp"))
        kept = (partial / f"{SHORT.hash}.safetensors").is_file()
        if error is None:  # what came after was cleaning up and syncing alone
            assert ("os.rename", SHORT.hash) in done
        else:
            assert isinstance(error, UserError), error
            text = str(error)
            assert "\n" not in text
            assert re.search(r"cannot write .*: No space left on device; free some space and", text)
            assert ("goes on after epoch" in text) == kept
            assert not results.runs(place) if place.exists() else True
        assert finish(SHORT, place) == whole[SHORT], done
