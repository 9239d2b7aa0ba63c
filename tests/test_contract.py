"""What holds for every technique, and for all of them together."""

import itertools
import math
import random

import pytest
import torch

from effcnn import models, techniques
from effcnn.data import Data, Split
from effcnn.errors import UserError
from effcnn.recipe import Recipe
from effcnn.techniques import SPECS
from effcnn.techniques.blurpool import apply_blurpool
from effcnn.techniques.squeeze_excite import apply_squeeze_excite
from effcnn.train import Trainer, evaluate

NAMES = list(SPECS)
PAIRS = ["+".join(pair) for pair in itertools.combinations(NAMES, 2)]
ALL = "+".join(NAMES)
SURGERY = ("bp", "se")
DRAWING = ("co", "m")
each = pytest.mark.parametrize("name", NAMES)
# One wrong value, or more, for every setting.
BAD = {
    ("bp", "padding"): ["zeros", ""],
    ("bp", "layers"): ["pool", "1"],
    ("se", "ratio"): ["0", "-0.25", "1.5", "nan", "a"],
    ("co", "length"): ["0", "-1", "2.5", "nan", "29"],
    ("m", "alpha"): ["-0.1", "inf", "nan", "a"],
    ("ls", "smoothing"): ["-0.1", "1.1", "nan", "a"],
    ("sam", "rho"): ["-0.1", "inf", "nan", "a"],
    ("sam", "interval"): ["0", "-1", "1.5", "nan"],
    ("swa", "start"): ["0", "-0.5", "1.1", "nan"],
    ("oc", "max_lr"): ["0", "-0.1", "inf", "nan"],
}


def averaging_two_epochs(text):
    return text.replace("swa", "swa(start=0.5)")


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def cifar():
    """64 images of noise, with labels that a net could not guess."""
    images = torch.randint(256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator(0))
    split = Split(images, torch.randint(10, (64,), generator=generator(1)))
    return Data(split, None, split, (0.5,) * 3, (0.289,) * 3)


@pytest.fixture(scope="module")
def outcome(sample, small):
    """History and weights of a small training, computed once for each set of techniques."""
    known = {}

    def train(text):
        if text not in known:
            trainer = Trainer(small(text), sample).run()
            known[text] = (trainer.history, trainer.model.state_dict())
        return known[text]

    return train


def tensors_equal(first, second):
    return list(first) == list(second) and all(torch.equal(first[n], second[n]) for n in first)


def check_training(trainer):
    trainer.run()
    assert trainer.status == "finished"
    assert all(math.isfinite(entry["loss"]) for entry in trainer.history)
    assert len(trainer.history) == 2
    assert all(value.isfinite().all() for value in trainer.model.state_dict().values())
    scores = evaluate(trainer.model, trainer.data.test, trainer.data)
    assert math.isfinite(scores["loss"])
    assert set(trainer.touched) == set(SURGERY) & {hook.spec.short for hook in trainer.hooks}


@each
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_keep_their_form(name, layout, dtype):
    (hook,) = techniques.create(name)
    for size in [(3, 1, 28, 21), (5, 3, 13, 32), (1, 3, 32, 32)]:
        images = torch.randn(size, dtype=dtype, generator=generator(0)).to(memory_format=layout)
        targets = torch.rand(len(images), 10, generator=generator(1)).softmax(1)
        kept = images.clone(), targets.clone()
        changed, soft = hook.change_batch(images, targets, generator(2))
        assert torch.equal(images, kept[0])
        assert torch.equal(targets, kept[1])
        assert (changed.shape, changed.dtype, changed.device) == (size, dtype, images.device)
        assert changed.is_contiguous(memory_format=layout)
        assert (soft.shape, soft.dtype) == (targets.shape, targets.dtype)
        torch.testing.assert_close(soft.sum(1), torch.ones(len(soft)))
        assert (soft >= 0).all()


@each
def test_draws_come_from_the_generator_alone(name):
    (hook,) = techniques.create(name)
    images = torch.randn(8, 3, 20, 17, generator=generator(0))
    targets = torch.eye(10)[:8]
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(results))  # which is nobody's business
        results.append(hook.change_batch(images, targets, generator(seed)))
    first, again, other = results
    assert all(map(torch.equal, first, again))
    assert torch.equal(first[0], other[0]) is (name not in DRAWING)
    assert torch.equal(first[1], other[1]) is (name != "m")


@each
def test_settings(name):
    (hook,) = techniques.create(name)
    for setting, about in SPECS[name].settings.items():
        assert about.allowed(about.default)
        assert getattr(hook, setting) == about.default
        for value in BAD[name, setting]:
            with pytest.raises(UserError, match=f"{setting}|length") as caught:
                Recipe.make("mnist", "1.5k-dw", f"{name}({setting}={value})")
            assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=f"unknown setting of {SPECS[name].word} 'bogus'") as caught:
        Recipe.make("mnist", "1.5k-dw", f"{name}(bogus=1)")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("off", ["m(alpha=0)", "ls(smoothing=0)", "sam(rho=0)"])
def test_off_is_the_baseline_to_the_bit(off, outcome):
    history, weights = outcome(off)
    plain_history, plain_weights = outcome("")
    assert history == plain_history
    assert tensors_equal(weights, plain_weights)


@each
def test_no_technique_is_a_silent_no_op(name, outcome):
    weights, plain = outcome(averaging_two_epochs(name))[1], outcome("")[1]
    assert any(not torch.equal(weights[key], plain[key]) for key in plain)


@each
@pytest.mark.parametrize("full", ["mnist-7k", "mnist-1.5k-dw", "cifar10-143k", "cifar10-143k-dw"])
def test_surgery(name, full):
    (hook,) = techniques.create(name)
    model = models.build(full).double().eval()
    parameters, keys = dict(model.named_parameters()), set(model.state_dict())
    touched = hook.change_model(model)
    assert bool(touched) is (name in SURGERY)
    assert set(touched) <= {layer for layer, _ in model.named_modules()}
    assert keys <= set(model.state_dict())
    assert keys == set(model.state_dict()) or name == "se"
    now = dict(model.named_parameters())
    assert all(now[key] is value for key, value in parameters.items())
    assert {value.dtype for value in now.values()} == {torch.float64}
    assert not any(module.training for module in model.modules())
    channels = models.FAMILIES[full.split("-")[0]].channels
    images = torch.randn(3, channels, 28, 30, dtype=torch.float64, generator=generator(0))
    logits = model(images)
    assert (logits.shape, logits.dtype) == ((3, 10), torch.float64)
    kinds = [type(module) for module in model.modules()]
    assert hook.change_model(model) == []
    assert [type(module) for module in model.modules()] == kinds
    assert torch.equal(model(images), logits)


@pytest.mark.parametrize("full", ["mnist-1.5k-dw", "cifar10-143k"])
def test_surgery_in_either_order(full):
    states, logits = [], []
    channels = models.FAMILIES[full.split("-")[0]].channels
    for order in itertools.permutations([apply_blurpool, apply_squeeze_excite]):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            model = models.build(full)
            for apply in order:
                apply(model)
        states.append(model.state_dict())
        logits.append(model(torch.randn(3, channels, 32, 28, generator=generator(0))))
    assert tensors_equal(*states)
    assert torch.equal(*logits)


def test_the_order_of_names_means_nothing():
    names, shuffle = list(NAMES), random.Random(0).shuffle
    (expected,) = {Recipe.make("cifar10", "143k", ALL).hash}
    for _ in range(50):
        shuffle(names)
        assert Recipe.make("cifar10", "143k", "+".join(names)).hash == expected
        hooks = techniques.create(" + ".join(SPECS[name].word for name in names))
        assert [hook.spec.short for hook in hooks] == NAMES


@pytest.mark.parametrize("text", [*PAIRS, ALL])
def test_together_on_digits(text, sample, small):
    check_training(Trainer(small(averaging_two_epochs(text), augment="crop"), sample))


@pytest.mark.parametrize("text", [*PAIRS, ALL])
def test_together_on_colour_images(text, cifar):
    flags = {"epochs": 2, "batch_size": 16, "train_images": 64, "augment": "flip,crop"}
    recipe = Recipe.make("cifar10", "143k-dw", averaging_two_epochs(text), **flags)
    check_training(Trainer(recipe, cifar))
