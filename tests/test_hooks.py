"""What the training loop promises to a technique: its hooks, their order and their arguments."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from effcnn.techniques import Setting, Spec, Technique, positive
from effcnn.train import Trainer, evaluate


class Twice:
    """An optimizer that looks at the loss twice in a step, as SAM does: here and far away."""

    def __init__(self, inner, model, calls):
        self.inner, self.model, self.calls = inner, model, calls
        self.param_groups = inner.param_groups

    def zero_grad(self):
        self.inner.zero_grad()

    def step(self, closure):
        here = closure().item()
        weight = self.model.classifier.weight
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.mul_(-100)
        there = closure().item()
        with torch.no_grad():
            weight.copy_(kept)
        self.inner.step()
        self.calls.append(("step", here, there, self.param_groups[0]["lr"]))


@pytest.fixture
def probe(registry):
    """A technique that overrides every hook, and the list of its calls."""
    calls = []
    scale = Setting(3.0, "made up", positive, "a number above 0")

    class Probe(Technique, spec=Spec("probe", "probe", "every hook", {"scale": scale}, ("lr",))):
        def change_model(self, model):
            calls.append(("change_model", sum(p.numel() for p in model.parameters())))
            return ["conv1"]

        def change_batch(self, images, targets, generator):
            calls.append(("change_batch", images, targets, generator))
            return images.flip(3), targets

        def wrap_loss(self, loss):
            calls.append(("wrap_loss", loss))
            return lambda logits, targets: self.scale * loss(logits, targets)

        def wrap_optimizer(self, optimizer, model):
            calls.append(("wrap_optimizer", optimizer, model))
            return Twice(optimizer, model, calls)

        def learning_rate(self, step, steps):
            calls.append(("learning_rate", step, steps))
            return 0.01 * (step + 1)

        def end_epoch(self, model, epoch, epochs):
            calls.append(("end_epoch", model, epoch, epochs))

        def finish(self, model, batches):
            calls.append(("finish", model, batches))
            with torch.no_grad():
                model.classifier.weight.zero_()

    return calls


def test_every_hook_is_called_in_order(probe, sample, small):
    trainer = Trainer(small("probe(scale=2)", augment="flip"), sample).run()
    step = ["change_batch", "learning_rate", "step"]
    assert [name for name, *_ in probe] == [
        *("change_model", "wrap_loss", "wrap_optimizer"),
        *(step * 5 + ["end_epoch"]) * 2,
        "finish",
    ]
    said = {name: [rest for n, *rest in probe if n == name] for name, *_ in probe}
    assert said["change_model"] == [[1560]]
    assert trainer.touched == {"probe": ["conv1"]}
    assert said["wrap_loss"] == [[F.cross_entropy]]
    ((inner, model),) = said["wrap_optimizer"]
    assert model is trainer.model
    assert isinstance(inner, torch.optim.SGD)
    assert said["learning_rate"] == [[i, 10] for i in range(10)]
    # Each rate holds for its very step, and the last one is in the history.
    assert [lr for *_, lr in said["step"]] == pytest.approx([0.01 * (i + 1) for i in range(10)])
    assert [entry["lr"] for entry in trainer.history] == pytest.approx([0.05, 0.1])
    assert said["end_epoch"] == [[model, 1, 2], [model, 2, 2]]
    for images, targets, generator in said["change_batch"]:
        assert images.shape == (32, 1, 28, 28)
        assert images.dtype == torch.float32
        assert targets.dtype == torch.float32
        assert targets.shape == (32, 10)
        assert generator is trainer.draws
    means = [images.mean().item() for images, *_ in said["change_batch"]]
    assert np.mean(means) == pytest.approx(0, abs=0.02)  # normalised: every image came twice


def test_hooks_see_augmented_images(probe, sample, small):
    recipe = small("probe", augment="flip", seed=4)
    Trainer(recipe, sample).run()
    order = torch.randperm(160, generator=torch.Generator().manual_seed(4))[:32]
    plain = (sample.train.images[order] / 255 - sample.mean[0]) / sample.std[0]
    images, targets, _ = next(rest for name, *rest in probe if name == "change_batch")
    is_plain, is_flipped = (
        (images - x).abs().amax((1, 2, 3)) < 1e-5 for x in (plain, plain.flip(3))
    )
    assert (is_plain ^ is_flipped).all()
    assert 4 < is_flipped.sum() < 28
    assert torch.equal(targets, F.one_hot(sample.train.labels[order], 10).float())


def test_training_loss_is_of_the_first_pass(probe, sample, small):
    trainer = Trainer(small("probe(scale=2)"), sample).run()
    here, there, _ = zip(*(rest for name, *rest in probe if name == "step"), strict=True)
    assert trainer.history[0]["loss"] == pytest.approx(np.mean(here[:5]), rel=1e-5)
    assert trainer.history[1]["loss"] == pytest.approx(np.mean(here[5:]), rel=1e-5)
    assert np.mean(there) > 2 * np.mean(here)


def test_finish_sees_clean_images_and_has_the_last_word(probe, sample, small):
    trainer = Trainer(small("probe", augment="crop"), sample).run()
    *_, batches = probe[-1]
    for _ in range(2):
        seen = list(batches())
        assert [len(batch) for batch in seen] == [32] * 5
        expected = (sample.train.images / 255 - sample.mean[0]) / sample.std[0]
        torch.testing.assert_close(torch.cat(seen), expected, rtol=1e-4, atol=1e-5)
    # All logits are 0 now, so every answer is class 0; the history is of the nets before that.
    zeros = (sample.test.labels == 0).float().mean().item()
    scores = evaluate(trainer.model, sample.test, sample)
    assert scores["accuracy"] == pytest.approx(100 * zeros)
    assert scores["loss"] == pytest.approx(np.log(10))
    for entry in trainer.history:
        assert entry["validation_loss"] != pytest.approx(np.log(10), rel=1e-6)


def test_every_end_of_epoch_comes_before_the_first_finish(registry, sample, small):
    events = []

    class First(Technique, spec=Spec("first", "first-one", "")):
        def end_epoch(self, model, epoch, epochs):
            events.append(("end", self.spec.short, epoch))

        def finish(self, model, batches):
            events.append(("finish", self.spec.short))

    class Second(First, spec=Spec("second", "second-one", "")):
        pass

    run = Trainer(small("first+second"), sample)
    run.run(on_epoch=lambda entry: events.append(("stored", entry["epoch"])))
    ends = [("end", "first", 2), ("end", "second", 2), ("stored", 2)]
    assert events[-5:] == [*ends, ("finish", "first"), ("finish", "second")]
