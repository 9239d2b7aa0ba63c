"""SWA: which epochs, the mean of their weights, the BatchNorm pass, and what it leaves alone."""

import copy
import dataclasses
import doctest
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from effcnn import techniques
from effcnn.errors import UserError
from effcnn.techniques import swa
from effcnn.techniques.swa import swa_epochs, update_batchnorm
from effcnn.train import Trainer, evaluate

FLAGS = {"epochs": 4, "batch_size": 48, "precision": "fp32"}  # 160 images: a last batch of 16


def weights(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(first, second):
    return list(first) == list(second) and all(torch.equal(first[n], second[n]) for n in first)


def train(recipe, data, *, double=False):
    """A finished trainer, the weights after each epoch, and what the net saw after the last one."""
    trainer, snapshots, late = Trainer(recipe, data), [], []
    if double:
        trainer.model.double()
        trainer.model.register_forward_pre_hook(lambda _, x: x[0].double())
    trainer.model.register_forward_pre_hook(
        lambda _, x: late.append(x[0].clone()) if len(snapshots) == recipe.epochs else None
    )
    trainer.run(on_epoch=lambda _: snapshots.append(weights(trainer.model)))
    return trainer, snapshots, list(late)


def clean_batches(data, size):
    images = (data.train.images.numpy() / 255 - data.mean[0]) / data.std[0]
    return [torch.from_numpy(images[i : i + size]) for i in range(0, len(images), size)]


def slow_statistics(model, batches):
    """Per BatchNorm: the image-weighted mean of the batches' means and unbiased variances."""
    model, seen = copy.deepcopy(model).train(), {}  # in training mode nothing is read of the old
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            inputs = seen[name] = []
            module.register_forward_pre_hook(lambda _, x, i=inputs: i.append(x[0].detach().numpy()))
    for batch in batches:
        model(batch)
    counts = [len(batch) for batch in batches]
    for name, inputs in seen.items():
        flat = [np.moveaxis(x, 1, 0).reshape(x.shape[1], -1) for x in inputs]
        mean = np.average([x.mean(1) for x in flat], axis=0, weights=counts)
        var = np.average([x.var(1, ddof=1) for x in flat], axis=0, weights=counts)
        yield name, torch.from_numpy(mean), torch.from_numpy(var)


@pytest.fixture(scope="module")
def run(small, sample):
    return train(small("swa(start=0.5)", **FLAGS), sample, double=True)


def test_which_epochs():
    assert list(swa_epochs(0.75, 8)) == [6, 7, 8]
    assert list(swa_epochs(0.75, 20)) == [15, 16, 17, 18, 19, 20]
    assert [list(swa_epochs(0.75, n)) for n in (1, 2, 3, 4)] == [[1], [2], [3], [3, 4]]
    assert swa_epochs(0.07, 100).start == 7  # the product is 7.000000000000001
    assert list(swa_epochs(1, 5)) == [5]
    assert list(swa_epochs(1e-12, 3)) == [1, 2, 3]
    for hundredth in range(1, 101):
        for epochs in range(1, 121):
            first = max(1, math.ceil(Fraction(hundredth, 100) * epochs))
            assert swa_epochs(hundredth / 100, epochs) == range(first, epochs + 1)
            assert swa_epochs(hundredth / 101, 101) == range(hundredth, 102)
    for start in (0, -0.5, 1.01, math.nan):
        with pytest.raises(UserError, match=f"swa start is {start}; choose"):
            swa_epochs(start, 4)
    with pytest.raises(UserError, match="epochs is 0"):
        swa_epochs(0.5, 0)


def test_weights_are_the_mean_of_the_last_epochs(run):
    trainer, snapshots, _ = run
    model, (hook,) = trainer.model, trainer.hooks
    assert hook.average.n_averaged == 3
    spread = 0
    for name, value in model.named_parameters():
        mean = np.mean([snapshot[name].numpy() for snapshot in snapshots[1:]], axis=0)
        np.testing.assert_allclose(value.detach().numpy(), mean, rtol=0, atol=1e-12)
        spread = max(spread, np.abs(mean - snapshots[-1][name].numpy()).max())
    assert spread > 1e-4  # no two snapshots are one tensor
    assert [p.data_ptr() for p in hook.average.parameters()] != [
        p.data_ptr() for p in model.parameters()
    ]


def test_batchnorm_pass_of_the_averaged_net(run, sample):
    trainer, snapshots, late = run
    batches = clean_batches(sample, 48)
    assert [len(batch) for batch in batches] == [48, 48, 48, 16]
    # Each clean training image once, in order, and nothing else: no test image, no augmentation.
    torch.testing.assert_close(torch.cat(late), torch.cat(batches).double(), rtol=1e-4, atol=1e-5)
    theirs = copy.deepcopy(trainer.model)
    update_bn(late, theirs)
    for name, mean, var in slow_statistics(trainer.model, late):
        norm = trainer.model.get_submodule(name)
        torch.testing.assert_close(norm.running_mean, mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(norm.running_var, var, rtol=1e-12, atol=1e-12)
        assert norm.num_batches_tracked == 4
        assert norm.num_batches_tracked.dtype == torch.int64
        assert norm.momentum == 0.1
        assert norm.training == trainer.model.training
        # In torch the last 16 images weigh as much as each 48.
        assert (theirs.get_submodule(name).running_mean - mean).abs().max() > 1e-4
        assert (snapshots[-1][f"{name}.running_mean"] - mean).abs().max() > 1e-4


def test_clean_images_whatever_the_net_was_trained_on(small, sample):
    recipe = small("swa(start=0.5)+bp+se+co+m+sam", augment="crop", **FLAGS | {"epochs": 2})
    blind = dataclasses.replace(sample, test=None)  # training has no way to see a test image
    _, _, late = train(recipe, blind)
    expected = torch.cat(clean_batches(sample, 48))
    torch.testing.assert_close(torch.cat(late), expected, rtol=1e-4, atol=1e-5, check_dtype=False)


def test_statistics_matter(small, sample, monkeypatch):
    recipe = small("swa(start=0.5)", **FLAGS)
    scores = evaluate(train(recipe, sample)[0].model, sample.test, sample)
    monkeypatch.setattr(swa, "update_batchnorm", lambda *_: None)
    stale = evaluate(train(recipe, sample)[0].model, sample.test, sample)
    assert not torch.equal(scores["confidence"], stale["confidence"])
    assert abs(scores["loss"] - stale["loss"]) > 1e-3


@pytest.mark.parametrize("other", ["", "oc(max_lr=0.3)"])
def test_the_running_net_and_the_rate_never_notice(other, small, sample):
    seen = {}
    for name in (other, f"swa(start=0.3)+{other}".strip("+")):
        trainer, states, lrs = Trainer(small(name, **FLAGS), sample), [], []
        trainer.run(
            on_step=lambda *_, t=trainer, r=lrs: r.append(t.optimizer.param_groups[0]["lr"]),
            on_epoch=lambda _, t=trainer, s=states: s.append(copy.deepcopy(t.state_dict())),
        )
        seen[name] = (lrs, states, trainer)
    (lrs, without, plain), (same_lrs, states, averaged) = seen.values()
    assert lrs == same_lrs
    assert len(set(lrs)) == (12 if other else 1)
    for old, new in zip(without, states, strict=True):
        assert same(old["model"], new["model"])
        assert same(old["generators"], new["generators"])
        assert old["history"] == new["history"]
        for index, values in old["optimizer"]["state"].items():
            assert same(values, new["optimizer"]["state"][index])
    # The history is of the running net, what is tested in the end is the mean.
    running, final = (evaluate(t.model, sample.validation, sample) for t in (plain, averaged))
    assert averaged.history[-1]["validation_loss"] == running["loss"] != final["loss"]


def test_a_diverged_training_has_no_mean(small, sample):
    trainer, snapshots, late = train(small("swa(start=0.5)", **FLAGS, lr=1e30), sample)
    assert trainer.status == "diverged"
    assert not late
    assert len(snapshots) < FLAGS["epochs"]


def test_state_survives_exactly(small, sample):
    (hook,), (fresh,) = techniques.create("swa"), techniques.create("swa")
    model, generator = nn.Linear(3, 2), torch.Generator().manual_seed(0)
    for epoch in range(1, 9):
        with torch.no_grad():
            model.weight.normal_(generator=generator)
        hook.end_epoch(model, epoch, 8)
        fresh.load_state_dict(copy.deepcopy(hook.state_dict()), model)
        assert (fresh.state_dict() == {}) is (epoch < 6)
        assert same(fresh.state_dict(), hook.state_dict())
        fresh.end_epoch(nn.Linear(3, 2), 8, 8)  # which must not reach into the first one's
    assert hook.average.n_averaged == 3
    fresh.load_state_dict({}, model)  # from before the first snapshot
    assert fresh.average is None


def test_one_epoch_is_no_average(small, sample):
    with pytest.raises(UserError, match=r"swa: it averages .* epochs is 1, choose 2 or more"):
        small("swa", epochs=1)
    with pytest.raises(UserError, match="start must be a share"):
        small("swa(start=0)")
    trainer, snapshots = Trainer(small("swa"), sample), []
    with pytest.warns(UserWarning, match="SWA averaged one epoch only") as caught:
        trainer.run(on_epoch=lambda _: snapshots.append(weights(trainer.model)))
    assert "\n" not in str(caught[0].message)
    assert all(torch.equal(v, snapshots[-1][n]) for n, v in trainer.model.named_parameters())


class Net(nn.Module):
    """Dropout and a BatchNorm that stands at two places, parts of it not in training."""

    def __init__(self):
        super().__init__()
        self.norm = self.again = nn.BatchNorm1d(2, momentum=None)
        self.frozen = nn.BatchNorm1d(2, momentum=0.3, track_running_stats=False)
        self.drop = nn.Dropout(0.5)
        self.train()
        self.norm.eval()
        self.seen = []

    def forward(self, x):
        modules = (self.norm, self.drop, self.frozen)
        self.seen.append((*(m.training for m in modules), torch.is_grad_enabled()))
        return self.again(self.drop(self.norm(x)) * 3 + self.frozen(x).detach())


def batches(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, 2, generator=generator) + 5 for size in sizes]


def modes(model):
    return [module.training for module in model.modules()]


def test_shared_norms_modes_momenta_and_broken_statistics():
    model = Net()
    model.norm.running_mean.fill_(math.nan)
    model.norm.num_batches_tracked.fill_(99)
    before = modes(model)
    update_batchnorm(model, iter(batches(4, 3)))
    assert model.seen == [(True, False, False, False)] * 2
    assert modes(model) == before
    assert (model.norm.momentum, model.frozen.momentum) == (None, 0.3)
    assert model.norm.num_batches_tracked == 4
    assert not model.norm.num_batches_tracked.is_floating_point()
    calls = []
    for x in batches(4, 3):
        normal = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()
        calls += [x, normal * 4]
    mean = sum(len(x) * x.mean(0) for x in calls) / 14
    torch.testing.assert_close(model.norm.running_mean, mean)
    var = sum(len(x) * x.var(0) for x in calls) / 14
    torch.testing.assert_close(model.norm.running_var, var)
    assert not model.norm._forward_pre_hooks


def test_errors_leave_modes_and_momenta_alone():
    model = Net()
    before, kept = modes(model), weights(model)
    with pytest.raises(UserError, match="no batch to compute BatchNorm statistics from"):
        update_batchnorm(model, iter([]))
    assert same(kept, weights(model))
    with pytest.raises(RuntimeError):
        update_batchnorm(model, [*batches(4), torch.ones(3, 7)])
    assert modes(model) == before
    assert model.norm.momentum is None
    assert not model.norm._forward_pre_hooks


def test_nets_without_batchnorm_and_autocast():
    def never():
        pytest.fail("looked at the batches")
        yield

    update_batchnorm(nn.Sequential(nn.Linear(2, 2), nn.Dropout()), never())
    outputs = []
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[0].register_forward_hook(lambda *args: outputs.append(args[-1]))
    with torch.autocast("cpu", torch.bfloat16):
        update_batchnorm(model, batches(5))
    assert outputs[0].dtype == torch.float32
    torch.testing.assert_close(model[1].running_mean, outputs[0].mean(0))


def test_own_loop_and_documented_examples():
    assert doctest.testmod(swa).failed == 0
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).double()
    average = AveragedModel(model)
    for _ in range(3):
        average.update_parameters(model)
    data = [x.double() for x in batches(5, 4)]
    update_batchnorm(average, data)
    mean = model[0](torch.cat(data)).mean(0)
    torch.testing.assert_close(average.module[1].running_mean, mean)
