"""SAM on nets: what it must put back, BatchNorm and dropout in both passes, and the Trainer."""

import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD

from effcnn import techniques
from effcnn.data import normalise
from effcnn.techniques.cutout import cutout_batch
from effcnn.techniques.mixup import mixup_batch
from effcnn.techniques.sam import SAM
from effcnn.train import Trainer


def network():
    """Convolutions, BatchNorm of both sorts of momentum, dropout, and a weight without gradient."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Conv2d(4, 4, 3)]
        net = nn.Sequential(*layers, nn.BatchNorm2d(4, momentum=None), nn.Flatten())
    net.unused = nn.Parameter(torch.ones(3))
    return net


IMAGES = torch.randn(3, 2, 7, 6, generator=torch.Generator().manual_seed(1))


def gradients(net, seed=None):
    if seed is not None:
        torch.manual_seed(seed)
    net.zero_grad()
    F.cross_entropy(net(IMAGES), torch.tensor([1, 0, 2])).backward()
    return [p.grad for p in net.parameters() if p.grad is not None]


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_put_back_to_the_bit(fails):
    net, calls = network(), itertools.count()
    before = copy.deepcopy(net)
    optimizer = SAM(SGD(net.parameters(), lr=0.0, momentum=0.9, weight_decay=0.1), model=net)

    def closure():
        gradients(net)
        if next(calls) % 2 and fails:
            raise RuntimeError("out of luck")
        return torch.zeros(())

    for _ in range(5):
        if fails:
            with pytest.raises(RuntimeError, match="luck"):
                optimizer.step(closure)
        else:
            optimizer.step(closure)
        assert all(map(torch.equal, net.parameters(), before.parameters()))
    assert net.unused.grad is None
    for module, old in ((net[1], before[1]), (net[4], before[4])):
        assert (module.momentum, module.track_running_stats) == (old.momentum, True)


def test_both_passes_of_a_net():
    """Same dropout, batch statistics in both; the running ones of a single forward at w."""
    net, apart = network(), network()
    optimizer = SAM(SGD(net.parameters(), lr=0.1), 0.5, model=net)
    torch.manual_seed(5)
    optimizer.step(lambda: sum(g.sum() for g in gradients(net)))
    drawn = torch.get_rng_state()
    first, buffers = [g.clone() for g in gradients(apart, seed=5)], dict(apart.named_buffers())
    assert torch.equal(drawn, torch.get_rng_state())  # so that the next step has masks of its own
    assert [b.item() for name, b in buffers.items() if "tracked" in name] == [1, 1]
    for name, value in net.named_buffers():
        assert torch.equal(value, buffers[name])
    norm = math.sqrt(sum(g.double().square().sum() for g in first))
    with torch.no_grad():
        for p, g in zip((p for p in apart.parameters() if p.grad is not None), first, strict=True):
            p.add_(0.5 * g / norm)
    second = gradients(apart, seed=5)
    found = [p.grad for p in net.parameters() if p.grad is not None]
    torch.testing.assert_close(found, second, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(found[0], first[0], rtol=1e-2)


def test_a_frozen_batchnorm_stays_frozen():
    net = network().eval()
    kept, passes = copy.deepcopy(net.state_dict()), []

    def check(norm, inputs, output):
        passes.append(inputs)
        weight, bias = (p.view(-1, 1, 1) for p in norm.parameters())
        torch.testing.assert_close(output, inputs[0] / math.sqrt(1 + norm.eps) * weight + bias)

    net[4].register_forward_hook(check)  # its running mean is 0, its running variance 1
    SAM(SGD(net.parameters(), lr=0.0), 0.5, model=net).step(lambda: gradients(net)[0].sum())
    assert len(passes) == 2
    assert all(torch.equal(value, kept[name]) for name, value in net.state_dict().items())


def test_the_hook_and_the_loss_in_the_history(sample, small):
    (hook,), net = techniques.create("sam(rho=0.1,interval=2)"), network()
    base = SGD(net.parameters(), lr=0.1)
    made = hook.wrap_optimizer(base, net)
    assert (made.base, made.rho, made.interval, made.model) == (base, 0.1, 2, net)
    one = {"epochs": 1, "batch_size": 160}
    losses = [
        Trainer(small(text, **one), sample).run().history[0]["loss"] for text in ("", "sam(rho=5)")
    ]
    assert losses[0] == losses[1]  # of the one step there is, from the same weights


def test_cut_and_mixed_once_for_both_passes(sample, small):
    both = [Trainer(small(text, epochs=1), sample) for text in ("co+m", "co+m+sam")]
    passes, loss = [], both[1].loss_function
    both[1].model.register_forward_pre_hook(
        lambda net, x: passes.append([x[0]]) if net.training else None
    )
    both[1].loss_function = lambda y, t: (passes[-1].append(t), loss(y, t))[1]
    for trainer in both:
        trainer.run()
    assert torch.equal(*(trainer.draws.get_state() for trainer in both))
    assert len(passes) == 10
    for first, second in zip(passes[::2], passes[1::2], strict=True):
        assert all(map(torch.equal, first, second))
    assert not torch.equal(passes[0][0], passes[2][0])


def test_first_cut_then_mixed(sample, small):
    trainer, seen = Trainer(small("m(alpha=1)+co+sam"), sample), []
    trainer.model.register_forward_pre_hook(lambda net, x: seen.append(x[0]))
    trainer.step(torch.arange(32), 0)
    images = normalise(sample.train.images[:32], sample.mean, sample.std)
    targets = F.one_hot(sample.train.labels[:32], 10).float()
    draws = torch.Generator().manual_seed(trainer.recipe.seed + 2**32)
    cut = cutout_batch(images, generator=draws)
    mixed, _ = mixup_batch(cut, targets, 1.0, generator=draws)
    assert all(torch.equal(x, mixed) for x in seen)


def test_averages_of_weights_that_were_put_back(sample, small):
    trainer, kept = Trainer(small("sam(rho=1)+swa(start=0.5)"), sample), []
    names = [name for name, _ in trainer.model.named_parameters()]
    trainer.run(on_epoch=lambda entry: kept.append(copy.deepcopy(trainer.model).state_dict()))
    for name in names:
        mean = (kept[0][name].double() + kept[1][name].double()) / 2
        torch.testing.assert_close(trainer.model.get_parameter(name).double(), mean)
