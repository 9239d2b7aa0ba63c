"""From a recipe to a stored run and back to its net: the same bits, tested once, damage named."""

import math
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import effcnn
from effcnn import data, provenance, results, runs, train
from effcnn.errors import UserError
from effcnn.techniques import Spec, Technique


def bits(run):
    """All files of a run; of its record what does not depend on the clock."""
    files = {path.name: path.read_bytes() for path in run.folder.rglob("*.safetensors")}
    kept = {name: run.record[name] for name in ("recipe", "status", "test", "costs", "history")}
    return files, kept


def test_same_recipe_same_bits(trained, tmp_path, small):
    torch.rand(7)  # the global generator has no say
    again = runs.train(small(), tmp_path, keep_epochs=True)
    assert again.folder != trained.folder
    assert bits(again) == bits(trained)
    other = runs.train(small(seed=1), tmp_path)
    for name in ("weights.safetensors", "predictions.safetensors"):
        assert bits(other)[0][name] != bits(trained)[0][name]


def test_a_net_of_layers_of_ones_own_is_found_and_loaded_again(tmp_path, small):
    recipe = replace(small("se", epochs=1), model="4 M DW6 TB5 GAP 10")
    run = runs.train(recipe, tmp_path)
    assert run.folder.parent == tmp_path / "mnist-sample" / "4-M-DW6-TB5-GAP-10" / "se"
    assert results.find(recipe, tmp_path).record == run.record
    net = effcnn.load(run.folder)
    assert list(net._modules)[:5] == ["conv1", "pool1", "conv2", "tb1", "gap"]
    assert sum(p.numel() for p in net.parameters()) == run.record["costs"]["params"]


def test_augmented_mixed_precision_run_is_repeatable(tmp_path, small):
    recipe = small("bp", augment="rotate,shift", optimizer="adamw", epochs=1)
    first, again = (runs.train(recipe, tmp_path / name) for name in "ab")
    assert bits(first) == bits(again)
    assert first.record["touched"] == {"bp": ["pool1", "pool2"]}


def test_history_and_held_out_images(trained):
    assert [entry["epoch"] for entry in trained.record["history"]] == [1, 2]
    last = trained.record["history"][-1]
    assert 0 < last["loss"] < 3
    assert 0 <= last["accuracy"] <= 100
    content = data.load("mnist-sample", train_images=160, holdout=40)
    assert torch.equal(content.validation.images, data.load("mnist-sample").train.images[-40:])
    scores = train.evaluate(runs.load(trained), content.validation, content)
    assert scores["accuracy"] == last["validation_accuracy"]
    assert scores["loss"] == pytest.approx(last["validation_loss"], rel=1e-4)


def test_nothing_held_out_nothing_validated(tmp_path, small):
    run = runs.train(small(holdout=0, epochs=1), tmp_path, keep_weights=False)
    assert set(run.record["history"][0]) == {"epoch", "lr", "loss", "accuracy"}
    assert [path.name for path in run.folder.rglob("*.safetensors")] == ["predictions.safetensors"]
    with pytest.raises(UserError, match="kept no weights"):
        runs.load(run)


def test_every_epoch_is_kept(trained):
    first, last = (load_file(trained.folder / f"epochs/0{i}.safetensors") for i in (1, 2))
    weights = load_file(trained.folder / "weights.safetensors")
    assert all(torch.equal(last[name], value) for name, value in weights.items())
    assert not torch.equal(first["classifier.weight"], last["classifier.weight"])
    assert (first["conv1.bn.num_batches_tracked"], last["conv1.bn.num_batches_tracked"]) == (5, 10)


def test_loaded_net_gives_the_stored_predictions(trained, sample):
    for net in (runs.load(trained), runs.load(str(trained.folder)), effcnn.load(trained)):
        assert not net.training
        with torch.no_grad():
            logits = net(data.normalise(sample.test.images, sample.mean, sample.std))
        probability, answer = logits.softmax(1).max(1)
        stored = trained.predictions()
        assert answer.tolist() == stored["answer"].tolist()
        np.testing.assert_allclose(probability, stored["confidence"], atol=1e-3)
    now = runs.retest(trained)
    assert now["accuracy"] == trained.record["test"]["accuracy"]
    assert now["loss"] == pytest.approx(trained.record["test"]["loss"])


def test_test_set_is_used_once_and_last(tmp_path, small, monkeypatch):
    seen = []

    def spy(model, split, content):
        seen.append("test" if split is content.test else "validation")
        return evaluate(model, split, content)

    evaluate = train.evaluate
    monkeypatch.setattr(train, "evaluate", spy)
    monkeypatch.setattr(runs, "evaluate", spy)
    runs.train(small(), tmp_path)
    assert seen == ["validation", "validation", "validation", "test"]


def test_run_that_is_there_is_not_trained(trained, small, monkeypatch):
    monkeypatch.setattr(runs, "Trainer", lambda *_: pytest.fail("trained again"))
    assert runs.train(small(), trained.folder.parents[3]) == trained


def test_store_is_checked_before_training(tmp_path, small, monkeypatch):
    monkeypatch.setattr(runs, "Trainer", lambda *_: pytest.fail("trained for nothing"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write to the results folder .*EFFCNN_RESULTS"):
        runs.train(small(), tmp_path / "file")


def assert_diverged(run, epochs):
    assert run.record["status"] == "diverged"
    assert run.record["test"] == {"images": 1000, "accuracy": None, "loss": None}
    assert len(run.record["history"]) == epochs
    assert not list(run.folder.rglob("*.safetensors"))
    assert results.read(run.folder) == run
    with pytest.raises(UserError, match="its cell has no mean"):
        results.accuracies([run])


def test_diverged_run_is_stored_without_accuracy(tmp_path, small):
    run = runs.train(small(lr=1e6, epochs=3, batch_size=8), tmp_path)
    assert_diverged(run, epochs=1)
    assert run.record["history"][0]["loss"] is None


@pytest.mark.parametrize("holdout", [0, 40])
def test_run_that_diverges_in_its_last_step(tmp_path, small, registry, holdout):
    """Every training loss was a number, but the net is none."""

    class Spoil(Technique, spec=Spec("spoil", "spoil", "breaks the net after the last epoch")):
        def finish(self, model, batches):
            with torch.no_grad():
                model.classifier.weight.fill_(math.nan)

    assert_diverged(runs.train(small("spoil", holdout=holdout), tmp_path), epochs=2)


def test_provenance_without_git(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    found = provenance.machine(torch.device("cpu"))
    assert (found["commit"], found["changed"]) == (None, None)
    assert (found["torch"], found["device"], found["threads"]) == (torch.__version__, "cpu", 1)
    assert found["effcnn"] == effcnn.__version__
    assert found["cpu"]


def test_a_technique_that_was_changed_does_not_return_its_old_run(tmp_path, small, registry):
    class Dim(Technique, spec=Spec("dim", "dimmer", "")):
        def change_batch(self, images, targets, generator):
            return images / 2, targets

    first = runs.train(small("dim", epochs=1), tmp_path)
    assert runs.train(small("dim", epochs=1), tmp_path) == first

    class Dimmer(Technique, spec=Spec("dim", "dimmer", "")):
        def change_batch(self, images, targets, generator):
            return images / 3, targets

    with pytest.raises(UserError, match="'dim' is not what it was"):
        runs.train(small("dim", epochs=1), tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        "by = 3",
        "by = property(lambda self: 3)",
        "def divided(self, x, by=3): return x / by",
        "def divided(self, x, *, by=3): return x / by",
    ],
)
def test_any_part_of_a_class_counts_as_its_code(body):
    """A constant, a property and a default, wherever the class stands in its file."""

    def code(text):
        space = {}
        exec(f"class Dim:\n    {text}", space)
        return provenance._code(space["Dim"])

    assert code(body) == code(f"\n\n    {body}")
    assert code(body) != code(body.replace("3", "4"))


def test_half_a_run_is_told_before_training(tmp_path, small, monkeypatch):
    recipe = small(epochs=1)
    (tmp_path / recipe.folder).mkdir(parents=True)
    monkeypatch.setattr(runs, "Trainer", lambda *_: pytest.fail("trained for nothing"))
    with pytest.raises(UserError, match="not a whole run; move it away"):
        runs.train(recipe, tmp_path)
