"""SAM: every step against NumPy, the way there and back, and all that it must leave alone."""

import copy
import io
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import SWALR

from effcnn import techniques
from effcnn.errors import UserError
from effcnn.techniques.one_cycle import one_cycle
from effcnn.techniques.sam import SAM
from effcnn.train import Trainer

SGD = {"kind": "sgd", "lr": 0.3, "momentum": 0.9, "nesterov": True, "weight_decay": 0.02}
ADAM = {"kind": "adam", "lr": 0.1, "weight_decay": 0.02}
BASES = pytest.mark.parametrize("settings", [SGD, ADAM], ids=["sgd", "adam"])


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def make(weights, kind, **settings):
    return {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[kind](weights, fused=True, **settings)


def task(dtype=torch.float64):
    """Weight, bias, the closure of tanh(x @ weight + bias) against noise, and where it was."""
    weight, bias = (nn.Parameter(noise(*s, seed=3, dtype=dtype)) for s in ((4, 3), (3,)))
    calls = []

    def closure():
        weight.grad = bias.grad = None
        calls.append((weight.detach().clone(), bias.detach().clone()))
        x, y = noise(7, 4, seed=1, dtype=dtype), noise(7, 3, seed=2, dtype=dtype)
        loss = ((x @ weight + bias).tanh() - y).square().mean()
        loss.backward()
        return loss

    return weight, bias, closure, calls


def slow_gradients(weight, bias):
    """Of that loss, by hand."""
    x, y = (noise(7, n, seed=s, dtype=torch.float64).numpy() for n, s in ((4, 1), (3, 2)))
    out = np.tanh(x @ weight + bias)
    delta = 2 * (out - y) * (1 - out**2) / out.size
    return [x.T @ delta, delta.sum(0)]


def slow_steps(weights, settings, steps, *, rho, interval=1, adaptive=False):
    """The weights after each step in NumPy; `settings` for each weight."""
    weights, memory = [w.detach().numpy().copy() for w in weights], [None, None]
    for t in range(1, steps + 1):
        gradients = slow_gradients(*weights)
        if t % interval == 0:
            scale = [np.abs(w) if adaptive else np.ones_like(w) for w in weights]
            lengths = [np.linalg.norm(s * g) for s, g in zip(scale, gradients, strict=True)]
            moved = zip(weights, scale, gradients, strict=True)
            by = rho / math.hypot(*lengths)
            gradients = slow_gradients(*[w + by * s**2 * g for w, s, g in moved])
        for i, base in enumerate(settings):
            w = weights[i]
            g = gradients[i] + base["weight_decay"] * w
            if base["kind"] == "sgd":
                memory[i] = g if t == 1 else 0.9 * memory[i] + g
                weights[i] = w - base["lr"] * (g + 0.9 * memory[i])
            else:
                first, second = memory[i] or (0, 0)
                memory[i] = first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
                root = np.sqrt(second / (1 - 0.999**t)) + 1e-8
                weights[i] = w - base["lr"] * first / (1 - 0.9**t) / root
        yield [torch.from_numpy(w) for w in weights]


@BASES
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("adaptive", "interval"), [(False, 1), (True, 1), (False, 2)])
def test_steps_are_those_of_numpy(settings, groups, adaptive, interval):
    weight, bias, closure, _ = task()
    other = {**settings, "lr": 0.05, "weight_decay": 0.3} if groups == 2 else settings
    lists = [{"params": [weight]}, {"params": [bias], "lr": 0.05, "weight_decay": 0.3}]
    base = make(lists if groups == 2 else [weight, bias], **settings)
    kinds = {"interval": interval, "adaptive": adaptive}
    expected = slow_steps([weight, bias], [settings, other], 6, rho=0.5, **kinds)
    optimizer = SAM(base, 0.5, **kinds)
    for now in expected:
        optimizer.step(closure)
        torch.testing.assert_close([weight.data, bias.data], now, rtol=1e-9, atol=1e-9)
    assert optimizer.steps == 6


@BASES
def test_the_move_has_one_length_and_the_direction_of_the_gradient(settings):
    weight, bias, closure, calls = task()
    unused = nn.Parameter(torch.ones(2, dtype=torch.float64))
    lists = [{"params": [weight, unused]}, {"params": [bias], "weight_decay": 0.5}]
    optimizer = SAM(make(lists, **settings), 0.3)
    for _ in range(3):  # with momentum from the second on
        optimizer.step(closure)
        here, there = (parameters_to_vector(weights) for weights in calls[-2:])
        gradient = slow_gradients(*(w.numpy() for w in calls[-2]))
        gradient = parameters_to_vector([torch.from_numpy(g) for g in gradient])
        move = there - here
        assert move.norm().item() == pytest.approx(0.3, rel=1e-9)
        torch.testing.assert_close(move, 0.3 * gradient / gradient.norm())
    assert torch.equal(unused, torch.ones(2, dtype=torch.float64))


class Net(nn.Module):
    """BatchNorms of every kind, dropout, and a layer without use."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            self.conv, self.unused = nn.Conv2d(2, 4, 3), nn.Linear(2, 2)
        self.norm, self.mean = nn.BatchNorm2d(4), nn.BatchNorm2d(4, momentum=None)
        self.frozen = nn.BatchNorm2d(4).eval()
        self.plain = nn.BatchNorm2d(4, track_running_stats=False)
        self.drop, self.masks = nn.Dropout(0.5), []

    def forward(self, x):
        x = self.plain(self.frozen(self.mean(self.norm(self.conv(x)) ** 2)))
        mask = self.drop(torch.ones_like(x))
        self.masks.append(mask)
        return x * mask + 1

    def closure(self, images):
        def compute():
            self.zero_grad()
            loss = self(images).square().mean()
            loss.backward()
            return loss

        return compute


def norms(model):
    kept = [model.norm, model.mean, model.frozen]
    return [buffer for norm in kept for buffer in norm.buffers()]


def state(model):
    return [value.clone() for value in model.state_dict().values()]


def equal(first, second):
    return len(first) == len(second) and all(map(torch.equal, first, second))


def test_there_and_back_to_the_bit():
    torch.manual_seed(0)
    model, images = Net(), noise(3, 2, 9, 7)
    before = state(model)[:4]
    for base in (torch.optim.SGD, torch.optim.Adam):
        optimizer = SAM(base(model.parameters(), lr=0.0, weight_decay=0.1), 0.7, model=model)
        for _ in range(5):
            optimizer.step(model.closure(images))
            assert equal(state(model)[:4], before)
    assert len(model.masks) == 20


def test_batchnorm_learns_from_the_first_pass_alone():
    model, images = Net(), noise(3, 2, 9, 7)
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1), 0.5, model=model)
    for step in range(1, 4):
        once = copy.deepcopy(model)
        torch.manual_seed(step)
        once.closure(images)()
        torch.manual_seed(step)
        optimizer.step(model.closure(images))
        assert equal(norms(model), norms(once))
        assert model.norm.num_batches_tracked == model.mean.num_batches_tracked == step
        flags = [m.track_running_stats for m in (model.norm, model.mean, model.frozen, model.plain)]
        assert flags == [True, True, True, False]
        assert (model.norm.momentum, model.mean.momentum) == (0.1, None)
        # The second pass is that of a net in training, at the place that the first led to.
        moved = [weight for weight in once.parameters() if weight.grad is not None]
        gradient = parameters_to_vector([weight.grad for weight in moved])
        there = parameters_to_vector(moved) + 0.5 * gradient / gradient.norm()
        vector_to_parameters(there.detach(), moved)
        torch.manual_seed(step)
        once.closure(images)()
        torch.testing.assert_close(model.conv.weight.grad, once.conv.weight.grad)
    twice = Net()
    SAM(torch.optim.SGD(twice.parameters(), lr=0.1)).step(twice.closure(images))
    assert twice.norm.num_batches_tracked == 2  # it was not told of the net


def test_both_passes_draw_the_same():
    model, images = Net(), noise(3, 2, 9, 7)
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1), 0.5, model=model)
    torch.manual_seed(5)
    for _ in range(3):
        optimizer.step(model.closure(images))
    after = torch.get_rng_state()
    first, second = model.masks[::2], model.masks[1::2]
    assert equal(first, second)
    assert not torch.equal(first[0], first[1])
    torch.manual_seed(5)
    plain = Net()
    for _ in range(3):
        plain(images)
    assert equal(plain.masks, first)
    assert torch.equal(torch.get_rng_state(), after)  # as if there were no second pass


@BASES
def test_rho_zero_is_the_base_to_the_bit(settings):
    (weight, bias, closure, calls), (w, b, plain, _) = task(torch.float32), task(torch.float32)
    optimizer, base = SAM(make([weight, bias], **settings), 0.0), make([w, b], **settings)
    for _ in range(5):
        loss = optimizer.step(closure)
        assert torch.equal(loss, base.step(plain))
        assert equal([weight, bias], [w, b])
    assert len(calls) == 5


@pytest.mark.parametrize("interval", [1, 2, 3])
def test_which_steps_look_twice(interval):
    weight, bias, closure, calls = task()
    optimizer = SAM(torch.optim.SGD([weight, bias], lr=0.1), interval=interval)
    passes = []
    for _ in range(7):
        before = len(calls)
        optimizer.step(closure)
        passes.append(len(calls) - before)
    assert passes == [1 + (step % interval == 0) for step in range(1, 8)]


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("adaptive", [False, True])
def test_gradients_that_lead_nowhere(bad, adaptive):
    """The step is the base optimizer's, and no second pass."""
    outcomes, calls = [], []
    for wrap in (False, True):
        weights = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.full((3,), 2.0))]
        base = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=0.1)
        optimizer = SAM(base, adaptive=adaptive) if wrap else base

        def closure(weights=weights, wrap=wrap):
            calls.append(wrap)
            weights[0].grad, weights[1].grad = torch.full((2,), bad), torch.zeros(3)
            return torch.tensor(bad)

        loss = optimizer.step(closure)
        assert torch.equal(loss.nan_to_num(7), torch.tensor(bad).nan_to_num(7))
        outcomes.append([weight.detach().nan_to_num(7) for weight in weights])
    assert calls == [False, True]
    assert equal(*outcomes)
    assert outcomes[0][1].tolist() == pytest.approx([1.98] * 3)


@pytest.mark.parametrize("fails", [1, 2])
def test_a_closure_that_raises(fails):
    model, images, passes = Net(), noise(3, 2, 9, 7), []
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1), 0.5, model=model)
    before, compute = state(model)[:4], model.closure(images)

    def closure():
        passes.append(state(model)[:4])
        if len(passes) == fails:
            raise RuntimeError("out of memory")
        return compute()

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(closure)
    assert equal(passes[-1], before) is (fails == 1)
    assert equal(state(model)[:4], before)
    assert model.norm.track_running_stats
    assert model.mean.track_running_stats
    assert not model.plain.track_running_stats
    assert not optimizer.state
    assert optimizer.steps == 0


def test_the_loss_is_that_of_the_weights_before():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = SAM(torch.optim.SGD([weight], lr=0.1), 5.0)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum() - 25  # 0 here, and still a step
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 0
    assert weight.tolist() == pytest.approx([3 - 0.1 * 12, 4 - 0.1 * 16])  # gradient at 2w


@BASES
def test_schedulers_and_sharing(settings):
    weight, bias, closure, _ = task()
    base = make([weight], **settings)
    optimizer = SAM(base)
    optimizer.add_param_group({"params": [bias], "lr": 0.7})

    def check():
        assert optimizer.param_groups is base.param_groups
        assert optimizer.state is base.state
        assert optimizer.defaults is base.defaults

    check()
    momentum = {"sgd": lambda g: g["momentum"], "adam": lambda g: g["betas"][0]}[settings["kind"]]
    schedule = OneCycleLR(optimizer, [0.5, 0.25], total_steps=9, cycle_momentum=True)
    for step in range(8):
        optimizer.step(closure)
        schedule.step()
        assert schedule.get_last_lr() == [group["lr"] for group in base.param_groups]
        if step == 3:
            optimizer.load_state_dict(optimizer.state_dict())
            check()
            base.load_state_dict(base.state_dict())
            check()
    assert base.param_groups[0]["lr"] < 0.01
    assert momentum(base.param_groups[0]) == pytest.approx(0.95)
    before = weight.detach().clone()
    average = SWALR(optimizer, swa_lr=0.125, anneal_epochs=1)
    for _ in range(2):
        optimizer.step(closure)
        average.step()
    assert [group["lr"] for group in base.param_groups] == [0.125, 0.125]
    assert not torch.equal(weight, before)
    optimizer.zero_grad()
    assert weight.grad is bias.grad is None


@BASES
@pytest.mark.parametrize("interval", [1, 2])
def test_resume_is_bit_identical(settings, interval):
    weight, bias, closure, calls = task(torch.float32)
    optimizer = SAM(make([weight, bias], **settings), 0.5, interval=interval)
    for _ in range(3):
        optimizer.step(closure)
    file, start = io.BytesIO(), [weight.detach().clone(), bias.detach().clone()]
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert (set(saved), saved["steps"]) == ({"base", "steps"}, 3)
    assert saved["base"].keys() == optimizer.base.state_dict().keys()
    w, b, again, others = task(torch.float32)
    with torch.no_grad():
        w.copy_(start[0]), b.copy_(start[1])
    fresh = SAM(make([w, b], **{**settings, "lr": 9.0}), 0.5, interval=interval)
    fresh.load_state_dict(saved)
    del calls[:], others[:]
    for _ in range(3):
        assert torch.equal(optimizer.step(closure), fresh.step(again))
        assert equal([weight, bias], [w, b])
    assert len(calls) == len(others) == (6 if interval == 1 else 5)


def test_errors():
    base = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    for rho in (-0.1, math.nan, math.inf):
        with pytest.raises(UserError, match=f"SAM's rho is {rho}; it must be a number from 0"):
            SAM(base, rho)
    for interval in (0, -1, 1.5):
        with pytest.raises(UserError, match=f"SAM's interval is {interval}; it must be a whole"):
            SAM(base, interval=interval)
    with pytest.raises(UserError, match="SAM already; wrap its base"):
        SAM(SAM(base))
    with pytest.raises(UserError, match="give step a closure"):
        SAM(base).step()


def test_in_the_training_loop(sample, small):
    recipe = small("sam(rho=0.1,interval=2)+oc(max_lr=0.3)+m+co", epochs=4)
    trainer, seen, rates = Trainer(recipe, sample), [], []
    optimizer = trainer.optimizer
    assert isinstance(optimizer, SAM)
    assert (optimizer.rho, optimizer.interval, optimizer.model) == (0.1, 2, trainer.model)
    assert isinstance(optimizer.base, torch.optim.SGD)
    trainer.model.register_forward_pre_hook(
        lambda model, x: seen.append(x[0]) if model.training else None
    )
    optimizer.base.register_step_pre_hook(lambda base, *_: rates.append(base.param_groups[0]["lr"]))
    trainer.run()
    assert rates == [one_cycle(step, 20, 0.3) for step in range(20)]
    assert len(seen) == 30
    assert equal(seen[1::3], seen[2::3])  # cut and mixed once
    assert not any(map(torch.equal, seen[::3], seen[1::3]))
    assert trainer.model.conv1.bn.num_batches_tracked == 20
    assert trainer.history[-1]["loss"] < trainer.history[0]["loss"]
    (hook,) = techniques.create("sam")
    assert (hook.rho, hook.interval) == (0.05, 1)


def test_it_moves_uphill_and_lands_lower(sample, small):
    """On one batch: the loss nearby is above that here, and the steps bring both down."""
    trainer = Trainer(small("sam(rho=0.05)", precision="fp32"), sample)
    batch, losses = torch.arange(32), []
    loss = trainer.loss_function
    trainer.loss_function = lambda *args: losses.append(loss(*args)) or losses[-1]
    for step in range(8):
        trainer.step(batch, step)
    here, there = losses[::2], losses[1::2]
    assert all(near > at for at, near in zip(here, there, strict=True))
    assert here[-1] < here[0]
