"""A training that stopped between two epochs goes on to the same bits, whatever its techniques."""

import copy
import io

import numpy as np
import pytest
import torch

from effcnn import train
from effcnn.errors import UserError
from effcnn.techniques import SPECS
from effcnn.train import Trainer, evaluate

EPOCHS = 4
TEXTS = ["", *SPECS, "+".join(SPECS)]


def stored(trainer):
    """What a file would hold."""
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    return file.getvalue()


def loaded(content):
    return torch.load(io.BytesIO(content), weights_only=True)


def equal(first, second):
    """Whether two states are the same to the bit, all the way down."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    return type(first) is type(second) and first == second


def untimed(trainer):
    return {name: part for name, part in trainer.state_dict().items() if name != "seconds"}


@pytest.fixture(scope="module")
def whole(sample, small):
    """Per recipe: it, trained in one go, its states after 0, 1, ... epochs and its test."""
    known = {}

    def run(text):
        if text not in known:
            recipe = small(text, epochs=EPOCHS, augment="flip,crop")
            trainer = Trainer(recipe, sample)
            states = [stored(trainer)]
            trainer.run(on_epoch=lambda _: states.append(stored(trainer)))
            known[text] = trainer, states, evaluate(trainer.model, sample.test, sample)
        return known[text]

    return run


@pytest.mark.parametrize("text", TEXTS)
def test_goes_on_to_the_same_bits(text, whole, sample):
    trainer, states, scores = whole(text)
    assert len(states) == EPOCHS + 1
    for done, state in enumerate(states):
        fresh = Trainer(trainer.recipe, sample)
        fresh.load_state_dict(loaded(state))
        assert len(fresh.history) == done
        assert equal(loaded(stored(fresh)), loaded(state))
        fresh.run()
        assert fresh.history == trainer.history
        assert equal(untimed(fresh), untimed(trainer))
        assert equal(evaluate(fresh.model, sample.test, sample), scores)
        assert fresh.images_seen == trainer.images_seen
    assert fresh.seconds == trainer.seconds  # the last one had nothing left to train


@pytest.mark.parametrize("text", ["", "sam", "+".join(SPECS)])
def test_momentum_is_in_the_state(text, small, sample, monkeypatch):
    made = []
    make = train.make_optimizer
    monkeypatch.setattr(train, "make_optimizer", lambda *a: made.append(make(*a)) or made[-1])
    recipe = small(text, epochs=EPOCHS)
    trainer = Trainer(recipe, sample)
    trainer.epoch(lambda *_: None)
    fresh = Trainer(recipe, sample)
    fresh.load_state_dict(loaded(stored(trainer)))
    base, again = made
    buffers = [
        [optimizer.state[p]["momentum_buffer"] for p in t.model.parameters()]
        for optimizer, t in ((base, trainer), (again, fresh))
    ]
    assert equal(*buffers)
    assert all(buffer.abs().max() > 0 for buffer in buffers[0])


@pytest.mark.parametrize("text", ["swa", "+".join(SPECS)])
def test_the_average_is_in_the_state(text, whole):
    trainer, states, _ = whole(text)
    states = [loaded(state) for state in states]
    parts = [state["techniques"]["swa"] for state in states]
    assert [bool(part) for part in parts] == [False, False, False, True, True]
    assert [int(part["n_averaged"]) for part in parts[3:]] == [1, 2]
    names = [name for name, _ in trainer.model.named_parameters()]
    for place, name in enumerate(names):
        third, fourth = (states[epoch]["model"][name].double().numpy() for epoch in (3, 4))
        assert np.array_equal(parts[3][f"module.{place}"].numpy(), third)
        mean = parts[4][f"module.{place}"].numpy()
        np.testing.assert_allclose(mean, (third + fourth) / 2, rtol=1e-6, atol=1e-7)


def test_a_state_from_before_the_average_forgets_it(whole, sample):
    trainer, states, scores = whole("swa")
    used = Trainer(trainer.recipe, sample)
    for state in (states[-1], states[1]):
        used.load_state_dict(loaded(state))
    used.run()
    assert equal(evaluate(used.model, sample.test, sample), scores)


def test_a_state_is_not_tied_to_the_trainer_it_went_into(whole, sample):
    trainer, states, _ = whole("+".join(SPECS))
    state = loaded(states[2])
    kept = copy.deepcopy(state)
    for _ in range(2):
        fresh = Trainer(trainer.recipe, sample)
        fresh.load_state_dict(state)
        fresh.run()
        assert fresh.history == trainer.history
        assert equal(state, kept)


@pytest.mark.parametrize("text", ["bp", "swa(start=0.5)", "oc"])
def test_a_state_of_another_recipe(text, whole, small, sample):
    state = loaded(whole("swa")[1][1])
    other = Trainer(small(text, epochs=EPOCHS, augment="flip,crop"), sample)
    before = loaded(stored(other))
    with pytest.raises(UserError, match="this state is of another recipe"):
        other.load_state_dict(state)
    assert equal(loaded(stored(other)), before)
