"""The store: whole runs or none, nothing edited, damage named."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from effcnn import results, store
from effcnn.errors import UserError


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_written_run_comes_back(root, small, record):
    labels = np.array([7, 2, 1], np.uint8)
    said = {"label": labels, "answer": labels, "confidence": np.ones(3, np.float16)}
    run = results.write(root, small(), record(), {"predictions.safetensors": save(said)})
    assert run == results.find(small(), root) == results.read(root / small().folder)
    assert run.recipe == small()
    assert run.record["test"]["accuracy"] == 98.5
    assert run.predictions()["label"].tolist() == [7, 2, 1]
    assert files(root) == [
        f"{small().folder}/predictions.safetensors",
        f"{small().folder}/run.json",
    ]
    assert results.find(small(seed=1), root) is None


def test_record_of_a_training(trained, sample):
    """What is stored agrees with itself: accuracy from the answers, sizes from the files."""
    said, costs = trained.predictions(), trained.record["costs"]
    assert said["label"].tolist() == sample.test.labels.tolist()
    right = 100 * np.mean(said["answer"] == said["label"])
    assert trained.record["test"]["accuracy"] == pytest.approx(right)
    assert said["confidence"].shape == (1000,)
    assert ((said["confidence"] >= 0.1) & (said["confidence"] <= 1)).all()
    assert costs["params"] == 1560
    assert costs["size_bytes"] == (trained.folder / "weights.safetensors").stat().st_size
    assert trained.record["provenance"]["threads"] == 1


@pytest.mark.parametrize("failing", [1, 2, 3])
@pytest.mark.parametrize(
    ("reason", "raised", "says"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), UserError, "No space left on device"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
    ids=["full disk", "Ctrl-C"],
)
def test_a_write_that_fails_leaves_no_run(
    root, small, record, monkeypatch, failing, reason, raised, says
):
    """In the first file, in the last, and when all are written but not yet in place."""
    calls = []

    def fail(*args):
        calls.append(args)
        if len(calls) >= failing:
            raise reason

    content = {"weights.safetensors": b"1234"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        patch.setattr(Path, "rename", fail)
        with pytest.raises(raised, match=says) as error:
            results.write(root, small(), record(), content)
    assert raised is KeyboardInterrupt or str(root) in str(error.value)
    assert len(calls) == failing
    assert results.runs(root) == []
    assert results.find(small(), root) is None
    assert all(name.startswith(".partial/") for name in files(root))
    # What was left over does not get into the way of the next try, nor into its run.
    results.write(root, small(), record(), {"predictions.safetensors": b"5"})
    assert files(root) == [
        f"{small().folder}/predictions.safetensors",
        f"{small().folder}/run.json",
    ]


def test_a_run_that_is_there_stays(root, small, record):
    first = results.write(root, small(), record(98.5), {"weights.safetensors": b"1"})
    text = (first.folder / "run.json").read_bytes()
    again = results.write(root, small(), record(11.0), {"weights.safetensors": b"2"})
    assert again == first
    assert (first.folder / "run.json").read_bytes() == text
    assert (first.folder / "weights.safetensors").read_bytes() == b"1"
    assert not list((root / ".partial").iterdir())


def test_store_that_cannot_be_written(tmp_path, small, record):
    (tmp_path / "file").touch()
    for check in (
        lambda root: store.check_writable(root),
        lambda root: results.write(root, small(), record(), {}),
    ):
        with pytest.raises(UserError, match=r"cannot write .*file"):
            check(tmp_path / "file")
    store.check_writable(tmp_path / "new" / "store")
    assert files(tmp_path) == ["file"]


def edited(text, **changes):
    values = json.loads(text)
    return json.dumps({**values, **changes})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "", "damaged"),
        (lambda text: "[]", "damaged"),
        (lambda text: text.replace('"lr": 0.02', '"lr": 0.03'), "edited"),
        (lambda text: text.replace('"seed": 0', '"seed": 1'), "edited"),
        (lambda text: text.replace('"holdout"', '"holdin"'), "holdin, holdout"),
        (lambda text: edited(text, status="great"), "unknown status 'great'.*finished, diverged"),
        (lambda text: edited(text, recipe=3), "damaged"),
        (lambda text: json.dumps({"recipe": json.loads(text)["recipe"]}), "no 'hash'"),
    ],
)
def test_damaged_run_is_named_and_skipped(root, small, record, damage, says):
    good = results.write(root, small(seed=1), record(), {})
    bad = results.write(root, small(), record(), {}).folder / "run.json"
    before = bad.read_text()
    bad.write_text(damage(before))
    assert bad.read_text() != before
    with pytest.raises(UserError, match=says) as error:
        results.read(bad.parent)
    assert str(bad) in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.warns(UserWarning, match=f"skipped: {bad}"):
        assert results.runs(root) == [good]


def test_not_a_run(tmp_path, root, small, record):
    with pytest.raises(UserError, match=r"is not a run: it has no run\.json"):
        results.read(tmp_path)
    with pytest.raises(UserError, match="there is no results folder"):
        results.runs(root)


@pytest.mark.parametrize("name", ["cut off", "a part", "another length", "floats", "bfloat16"])
def test_damaged_predictions_are_named(root, small, record, name):
    answers, sure = np.array([7, 2, 1], np.uint8), np.ones(3, np.float16)
    good = {"label": answers, "answer": answers, "confidence": sure}
    content = {
        "cut off": save(good)[:-2],
        "a part": save({"label": answers}),
        "another length": save({name: part[:2] for name, part in good.items()}),
        "floats": save({**good, "answer": sure}),
        "bfloat16": save(good).replace(b'"F16"', b'"BF16"').replace(b"  ", b" ", 1),
    }[name]
    run = results.write(root, small(), record(), {"predictions.safetensors": content})
    assert results.runs(root) == [run]
    with pytest.raises(UserError, match=r"predictions\.safetensors: ") as error:
        run.predictions()
    assert "\n" not in str(error.value)
    (run.folder / "predictions.safetensors").unlink()
    with pytest.raises(UserError, match=r"predictions\.safetensors: "):
        run.predictions()
