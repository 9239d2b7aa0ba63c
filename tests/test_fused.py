"""Compiled layers against the layers they replace, the compiled loop against the plain one."""

import copy

import pytest
import torch
from torch import nn

from effcnn import device, fused
from effcnn.techniques import create
from effcnn.techniques.blurpool import BlurMaxPool2d
from effcnn.techniques.swa import update_batchnorm
from effcnn.train import Trainer

pytestmark = [
    pytest.mark.skipif(not fused.available(), reason="no C++ compiler"),
    pytest.mark.filterwarnings("ignore:SWA averaged one epoch"),
]

# One shape for all trainings, for each is compiled by itself.
FLAGS = {"precision": "fp32", "batch_size": 16, "epochs": 2}

# Pixels a multiple of 16 or not, channels few and many, H != W; and how near is near enough.
CASES = [
    ((3, 5, 6, 10), torch.float32, 2e-5),
    ((2, 64, 4, 8), torch.float32, 2e-5),
    ((4, 8, 8, 4), torch.bfloat16, 0.05),
]


def pair(layer):
    """A layer in training, and its fused twin."""
    return layer.train(), fused.fuse(copy.deepcopy(layer)).train()


def compare(layer, twin, shape, dtype, tolerance, offset=0.0):
    """Outputs and all gradients on the same input."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator) * 2 + offset
    found = []
    for net in (layer, twin):
        images = x.to(dtype, memory_format=torch.channels_last).requires_grad_()
        y = net(images)
        weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        y.backward(weight)
        found.append([y, images.grad, *(p.grad for p in net.parameters()), *net.buffers()])
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(other, one, rtol=tolerance, atol=tolerance)
    return found


def norm_and_relu(channels):
    layer = nn.Sequential(nn.BatchNorm2d(channels, momentum=0.3), nn.ReLU())
    with torch.no_grad():
        layer[0].weight.copy_(torch.linspace(-1, 2, channels))
        layer[0].bias.copy_(torch.linspace(-0.5, 0.5, channels))
    return layer


@pytest.mark.parametrize(("shape", "dtype", "tolerance"), CASES, ids=str)
def test_batchnorm_and_relu(shape, dtype, tolerance):
    layer, twin = pair(norm_and_relu(shape[1]))
    assert type(twin[0]) is fused.BatchNormReLU
    compare(layer, twin, shape, dtype, tolerance)
    assert twin[0].num_batches_tracked == 1


@pytest.mark.parametrize(("mean", "spread"), [(1000.0, 1.0), (100.0, 0.1), (333.0, 0.0)])
def test_a_mean_far_from_zero_costs_no_digits(mean, spread):
    layer, twin = pair(norm_and_relu(8))
    x = torch.randn(4, 8, 8, 4, generator=torch.Generator().manual_seed(0)) * spread + mean
    exact, own = copy.deepcopy(layer).double(), x.double().requires_grad_()
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    expected, found = exact(own), twin(x)
    expected.backward(weight.double())
    found.backward(weight)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-3)
    near = 1e-3 * own.grad.abs().max().item()
    torch.testing.assert_close(x.grad.double(), own.grad, rtol=0, atol=near)


def pools(blurred):
    return nn.Sequential(BlurMaxPool2d(2) if blurred else nn.MaxPool2d(2))


@pytest.mark.parametrize(("shape", "dtype", "tolerance"), CASES, ids=str)
@pytest.mark.parametrize("blurred", [False, True], ids=["max", "blurred"])
def test_pooling(shape, blurred, dtype, tolerance):
    layer, twin = pair(pools(blurred))
    assert type(twin[0]) is not type(layer[0])
    compare(layer, twin, shape, dtype, tolerance)


@pytest.mark.parametrize("blurred", [False, True], ids=["max", "blurred"])
def test_the_first_of_several_largest_pixels_gets_the_gradient(blurred):
    layer, twin = pair(pools(blurred))
    x = torch.randint(3, (4, 5, 8, 6), generator=torch.Generator().manual_seed(0)).float()
    for net in (layer, twin):
        net.images = x.clone(memory_format=torch.channels_last).requires_grad_()
        net(net.images).sum().backward()
    torch.testing.assert_close(twin.images.grad, layer.images.grad)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Sequential(nn.BatchNorm2d(4, momentum=None), nn.ReLU()),
        nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.ReLU()),
        nn.Sequential(nn.BatchNorm2d(4), nn.ReLU6()),
        nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.ReLU()),
        nn.MaxPool2d(3),
        nn.MaxPool2d(2, 1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d(2, return_indices=True),
    ],
    ids=str,
)
def test_what_cannot_be_fused_is_left_alone_or_falls_back(layer):
    twin = fused.fuse(copy.deepcopy(layer))
    x = torch.randn(2, 4, 7, 9, generator=torch.Generator().manual_seed(0))
    for mode in (True, False):
        expected, found = layer.train(mode)(x), twin.train(mode)(x)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_what_others_see_or_share_is_left_alone():
    class Backwards(nn.Sequential):
        def forward(self, x):
            return self[0](self[1](x))

    shared = nn.ReLU()
    heard = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())
    heard[0].register_forward_hook(lambda module, inputs, output: output.abs())
    nets = [
        Backwards(nn.BatchNorm2d(4), nn.ReLU()),
        nn.Sequential(nn.BatchNorm2d(4), shared, nn.Conv2d(4, 4, 1), shared),
        heard,
    ]
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    for net in nets:
        twin = fused.fuse(copy.deepcopy(net))
        assert torch.equal(twin(x), net(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_the_layers(dtype):
    layer, twin = pair(nn.Sequential(norm_and_relu(4), nn.MaxPool2d(2)).to(dtype))
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=0)


def test_goes_on_to_the_same_bits_when_compiled(sample, small):
    recipe = small("bp+se+co+m+ls+sam+swa+oc", **FLAGS)
    whole, first, second = (Trainer(recipe, sample, compiled=True) for _ in range(3))
    first.epoch(lambda *_: None)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for trainer in (whole, second):
        trainer.run()
    weights, same = whole.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_evaluation_and_keys_are_as_before(sample, small):
    plain, twin = (Trainer(small("bp"), sample, compiled=c).model for c in (False, True))
    assert list(plain.state_dict()) == list(twin.state_dict())
    x = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(plain.eval()(x), twin.eval()(x))


@pytest.mark.parametrize("text", ["", "bp+se+co+m+ls+sam+swa+oc"])
def test_the_compiled_loop_is_the_loop(sample, small, text):
    """20 steps in float32: the losses are equal up to rounding, which each step makes larger."""
    found = []
    for compiled in (False, True, True):
        sums = []
        trainer = Trainer(small(text, **FLAGS), sample, compiled=compiled)
        trainer.run(lambda step, loss, right, sums=sums: sums.append(loss.item()))
        found.append((sums, trainer.model.state_dict()))
    (expected, _), (losses, weights), (again, same) = found
    assert losses[:3] == pytest.approx(expected[:3], abs=1e-3)
    assert losses == pytest.approx(expected, rel=0.01)
    assert losses == again
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_sam_keeps_running_statistics_of_the_first_pass(sample, small):
    """In the second pass the fused BatchNorm must not learn either."""
    plain, twin = (
        Trainer(small("sam", **{**FLAGS, "epochs": 1}), sample, compiled=c) for c in (False, True)
    )
    for trainer in (plain, twin):
        trainer.model.train()
        trainer.step(torch.arange(16), 0)
    assert twin.model.conv1.bn.num_batches_tracked == plain.model.conv1.bn.num_batches_tracked == 1
    torch.testing.assert_close(
        twin.model.conv1.bn.running_mean, plain.model.conv1.bn.running_mean, rtol=1e-4, atol=1e-5
    )


def test_new_statistics_for_averaged_weights():
    layer, twin = pair(norm_and_relu(6))
    batches = torch.randn(4, 8, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    for net in (layer, twin):
        update_batchnorm(net, batches)
    for one, other in zip(layer.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_whole_step_compiled_is_the_step(sample, small, monkeypatch):
    """The path of a GPU, here without its graphs, and without waiting for a C++ compiler."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **_: compile_(f, backend="aot_eager"))
    recipe = small("m+ls+sam", precision="fp32", batch_size=80, epochs=1)
    plain, whole = Trainer(recipe, sample), Trainer(recipe, sample)
    whole.forward = device.compile_whole(whole._forward)
    losses = []
    for trainer in (plain, whole):
        trainer.run(lambda step, loss, right: losses.append(loss.item()))
    assert losses[2:] == pytest.approx(losses[:2], abs=1e-4)


def test_blurred_border_of_zeros_is_left_to_the_layer():
    (hook,) = create("bp(padding=zero)")
    net = nn.Sequential(nn.MaxPool2d(2))
    hook.change_model(net)
    assert type(fused.fuse(net)[0]) is BlurMaxPool2d
