"""The training loop, against a plain PyTorch loop; testing, against NumPy."""

import random
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import effcnn
from effcnn import data, device, models, train
from effcnn.errors import UserError
from effcnn.train import Trainer, evaluate

OPTIMIZERS = {
    "sgd": lambda weights: torch.optim.SGD(
        weights, 0.05, momentum=0.9, nesterov=True, weight_decay=0.1, foreach=False
    ),
    "adam": lambda weights: torch.optim.Adam(weights, 0.05, weight_decay=0.1, foreach=False),
    "adamw": lambda weights: torch.optim.AdamW(weights, 0.05, weight_decay=0.1, foreach=False),
}


def plain_loop(recipe, data, dtype):
    """The losses and the net of a loop as one writes it without this package."""
    pixels = data.train.images.numpy() / 255
    images = torch.from_numpy((pixels - pixels.mean()) / pixels.std()).to(dtype)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        # In the loop's memory order, as another rounds sums differently.
        model = models.build("mnist-1.5k-dw").to(dtype, memory_format=torch.channels_last)
    optimizer = OPTIMIZERS[recipe.optimizer](model.parameters())
    generator = torch.Generator().manual_seed(recipe.seed)
    losses = []
    for _ in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator)
        for batch in order.split(recipe.batch_size):
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
                logits = model(images[batch])
            loss = F.cross_entropy(logits.float(), data.train.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses, model


def losses_of(trainer):
    """The loss of every step, from the sums that the loop reports."""
    sums = []
    trainer.run(lambda step, loss, correct: sums.append((step, loss.item())))
    assert [step for step, _ in sums] == [*range(1, trainer.steps + 1)] * trainer.recipe.epochs
    return [total - (sums[i - 1][1] if step > 1 else 0) for i, (step, total) in enumerate(sums)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_loop_is_the_plain_loop(sample, small, monkeypatch, optimizer):
    """For 20 steps, in double precision: rounding in single, times 20 steps, turns into noise."""
    flags = {"batch_size": 16, "lr": 0.05, "weight_decay": 0.1, "precision": "fp32"}
    recipe = small(optimizer=optimizer, **flags)
    monkeypatch.setattr(train, "normalise", partial(data.normalise, dtype=torch.float64))
    trainer = Trainer(recipe, sample)
    trainer.model.double()
    losses = losses_of(trainer)
    expected, model = plain_loop(recipe, sample, torch.float64)
    assert losses == pytest.approx(expected, abs=1e-5)
    assert np.mean(expected[10:]) < np.mean(expected[:10]) - 0.03  # it learns
    assert trainer.history[-1]["loss"] == pytest.approx(np.mean(losses[-10:]))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(trainer.model.state_dict()[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_loop_in_working_precision(sample, small, precision):
    flags = {"lr": 0.05, "weight_decay": 0.1, "seed": 5}
    recipe = small(precision=precision, **flags)
    losses = losses_of(Trainer(recipe, sample))
    expected, _ = plain_loop(recipe, sample, torch.float32)
    assert losses[:3] == pytest.approx(expected[:3], abs=1e-4)
    assert losses == pytest.approx(expected, abs=0.03)
    other = "fp32" if precision == "bf16" else "bf16"
    assert losses_of(Trainer(small(precision=other, **flags), sample))[0] != losses[0]


def test_incomplete_batch_is_left_out(sample, small):
    steps = []
    Trainer(small(batch_size=47, epochs=1), sample).run(lambda step, *_: steps.append(step))
    assert steps == [1, 2, 3]  # 160 // 47


def test_global_generators_are_left_alone(sample, small):
    torch.rand(3)  # so that the state is none that a seed gives
    before = (torch.get_rng_state(), str(np.random.get_state()), random.getstate())  # noqa: NPY002
    Trainer(small(epochs=1, augment="rotate,crop"), sample).run()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (str(np.random.get_state()), random.getstate()) == before[1:]  # noqa: NPY002


def test_evaluation_by_hand(sample):
    model = models.build("mnist-1.5k-dw")
    state = {name: value.clone() for name, value in model.state_dict().items()}
    pixels = (sample.test.images.double() / 255 - sample.mean[0]) / sample.std[0]
    scores = evaluate(model, sample.test, sample, batch_size=301)
    with torch.no_grad():
        probability = model.double().eval()(pixels).softmax(1).numpy()
    labels = sample.test.labels.numpy()
    assert scores["loss"] == pytest.approx(-np.log(probability[range(1000), labels]).mean())
    assert scores["answer"].dtype == torch.uint8
    assert scores["answer"].tolist() == probability.argmax(1).tolist()
    assert scores["accuracy"] == pytest.approx(100 * (probability.argmax(1) == labels).mean())
    assert scores["confidence"].dtype == torch.float16
    assert scores["confidence"].tolist() == pytest.approx(probability.max(1), abs=1e-3)
    for name, value in model.float().state_dict().items():
        assert torch.equal(value, state[name])


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99", "meta", "hpu"])
def test_device_that_is_not_there(name):
    with pytest.raises(UserError, match="choose from auto, cpu"):
        device.pick_device(name)


def test_when_it_compiles(small, monkeypatch):
    cpu = torch.device("cpu")
    there = SimpleNamespace(available=lambda: True)
    monkeypatch.setattr(effcnn, "fused", there, raising=False)
    monkeypatch.setitem(sys.modules, "effcnn.fused", there)
    long = {"epochs": 5000, "train_images": 160}

    def picks(name, **flags):
        return device.pick_compiled(name, small(**flags), cpu)

    assert [picks(name) for name in ("auto", "on", "off")] == [False, True, False]
    assert [picks(name, **long) for name in ("auto", "on", "off")] == [True, True, False]
    assert not picks("auto", **long, precision="fp32")
    there.available = lambda: False
    assert not picks("auto", **long)
    with pytest.raises(UserError, match="there is no C\\+\\+ compiler"):
        picks("on")
    with pytest.raises(UserError, match=r"unknown choice to compile 'yes'; choose from auto, on"):
        picks("yes")
