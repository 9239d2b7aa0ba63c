"""Squeeze-and-excite: the gate, where it stands, and what the surgery leaves as it was."""

import copy
import doctest
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from effcnn import measure, models, techniques
from effcnn.errors import UserError
from effcnn.files import torchvision_datasets
from effcnn.techniques import squeeze_excite
from effcnn.techniques.blurpool import BlurConv2d, apply_blurpool, blur2d
from effcnn.techniques.squeeze_excite import SqueezeExcite2d, apply_squeeze_excite
from effcnn.train import Trainer, build

MNIST = ["conv1.conv", *(f"conv{i}.pointwise" for i in range(2, 6))]
CIFAR = [f"conv{i}.{'conv' if i in (1, 2, 4, 6) else 'pointwise'}" for i in range(1, 10)]


def noise(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def strong(channels, ratio=0.25):
    """A block whose gates are far from 1/2: for a positive mean its first hidden unit is on."""
    block = SqueezeExcite2d(channels, ratio).double()
    with torch.no_grad():
        block.squeeze.weight.copy_(noise(*block.squeeze.weight.shape) / channels)[0].abs_()
        block.expand.weight.copy_(noise(*block.expand.weight.shape).flip(0))
    return block


def slow_gate(block, x):
    """(N, C) from (N, C, H, W), in NumPy."""
    squeeze, expand = (weight.detach().numpy() for weight in block.parameters())
    hidden = np.maximum(x.detach().numpy().mean((2, 3)) @ squeeze.T, 0)
    return torch.from_numpy(1 / (1 + np.exp(-hidden @ expand.T)))


def net():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, stride=2, padding_mode="circular"),
        nn.BatchNorm2d(6),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3),
    )


@pytest.mark.parametrize(("channels", "ratio"), [(5, 0.4), (8, 0.25), (3, 1), (1, 0.25)])
def test_output_is_the_input_times_the_gate(channels, ratio):
    block, x = strong(channels, ratio), noise(3, channels, 7, 4) + 1
    gate = slow_gate(block, x)
    assert gate.shape == (3, channels)
    assert ((gate > 0) & (gate < 1) & (gate != 0.5)).all()
    torch.testing.assert_close(block(x), x * gate[:, :, None, None])
    assert torch.equal(block.eval()(x), block.train()(x))
    assert torch.autograd.gradcheck(block, x[:2, :, :3, :2].requires_grad_())


def test_one_gate_for_each_image_and_channel():
    block, x = strong(6), noise(4, 6, 5, 3) + 1
    gates = block(x) / x
    assert ((gates > 0) & (gates < 1)).all()
    assert (gates.amax((2, 3)) - gates.amin((2, 3))).max() < 1e-12
    assert len(gates.mean((2, 3)).round(decimals=6).unique()) == 24
    shuffled = x.flatten(2)[:, :, torch.randperm(15, generator=torch.Generator())].view_as(x)
    torch.testing.assert_close(block(shuffled) / shuffled, gates)
    changed = x.clone()
    changed[1, 2] += 1  # changes the gates of all channels, of this image alone
    differ = ((block(changed) / changed - gates).abs() > 1e-9).all(3).all(2)
    assert differ.tolist() == [[image == 1] * 6 for image in range(4)]


@pytest.mark.parametrize("ratio", [0.01, 0.125, 0.25, 0.3, 1.0])
def test_parameters(ratio):
    for channels in (1, 2, 3, 4, 7, 8, 260):
        hidden = max(1, int(ratio * channels))
        block = SqueezeExcite2d(channels, ratio)
        assert measure.count_parameters(block) == 2 * channels * hidden
        assert all(weight.std() > 0 for weight in block.parameters() if weight.numel() > 1)
        assert not list(block.buffers())


def test_torchvisions_block_without_biases():
    torchvision_datasets()
    from torchvision.ops import SqueezeExcitation

    block, other = strong(8, 0.5), SqueezeExcitation(8, 4).double()
    for conv, linear in ((other.fc1, block.squeeze), (other.fc2, block.expand)):
        conv.weight.data = linear.weight.data[:, :, None, None].clone()
        nn.init.zeros_(conv.bias)
    x = noise(3, 8, 5, 7)
    torch.testing.assert_close(block(x), other(x))


@pytest.mark.parametrize("shape", [(3, 8, 5, 7), (1, 8, 5, 7), (3, 1, 5, 7), (3, 8, 1, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_layouts_and_mixed_precision(shape, layout):
    block, x = strong(shape[1]).float(), noise(*shape, dtype=torch.float32)
    x = x.to(memory_format=layout)
    out, exact = block(x), x * slow_gate(block, x)[:, :, None, None].float()
    torch.testing.assert_close(out, exact)
    assert out.is_contiguous(memory_format=layout)
    conv = nn.Conv2d(shape[1], shape[1], 1)
    conv.weight.data = torch.eye(shape[1])[:, :, None, None].clone()
    nn.init.zeros_(conv.bias)
    apply_squeeze_excite(conv.to(memory_format=layout), layers=[""])
    conv.se = block
    with torch.autocast("cpu", torch.bfloat16):
        half = conv(x)
        assert half.dtype == torch.bfloat16
        assert half.is_contiguous(memory_format=layout)
        assert block(x).dtype == torch.float32  # as it came
    torch.testing.assert_close(half.float(), exact, rtol=0.05, atol=0.05)
    half.sum().backward()
    assert all(weight.grad.dtype == torch.float32 for weight in conv.parameters())


@pytest.mark.parametrize(
    ("full", "convs", "parameters"),
    # 2 * sum of C * (C // 4) over the blocks' channels, on top of the paper's counts
    [("mnist-1.5k-dw", MNIST, 1560 + 394), ("cifar10-143k-dw", CIFAR, 143_396 + 65_800)],
)
def test_blocks_of_the_small_nets(full, convs, parameters):
    model = models.build(full)
    shape = (models.FAMILIES[full.split("-")[0]].channels, 32, 32)
    plain, macs = measure.count_parameters(model), measure.macs(model, shape)
    assert apply_squeeze_excite(model) == convs
    gates = [name for name, m in model.named_modules() if isinstance(m, SqueezeExcite2d)]
    assert gates == [f"{name}.se" for name in convs]  # none on a transition or the classifier
    assert measure.count_parameters(model) == parameters
    assert measure.macs(model, shape) - macs == parameters - plain  # each weight once an image


@pytest.mark.parametrize("full", models.names())
def test_one_block_for_each_batchnorm(full):
    model = models.build(full)
    gated = apply_squeeze_excite(model)
    norms = [name for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert [name.split(".")[0] for name in gated] == [name.split(".")[0] for name in norms]


def test_torchvisions_nets():
    torchvision_datasets()
    from torchvision import models

    resnet = models.resnet18(num_classes=10)
    convs = [name for name, m in resnet.named_modules() if isinstance(m, nn.Conv2d)]
    assert apply_squeeze_excite(resnet) == convs
    assert len(convs) == 20
    assert resnet(noise(2, 3, 33, 40, dtype=torch.float32)).shape == (2, 10)
    mobile = models.mobilenet_v2()
    dense = [n for n, m in mobile.named_modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    assert apply_squeeze_excite(mobile) == dense
    assert len(dense) == 35


def test_surgery_keeps_everything_that_was_there():
    model = net().double().eval()
    model[0].weight.requires_grad_(False)
    model[0].bias.requires_grad_(False)
    calls = []
    model[0].register_forward_hook(lambda *_: calls.append(1))
    before, layers, plain = dict(model.named_parameters()), list(model), copy.deepcopy(model)
    assert apply_squeeze_excite(model) == ["0"]
    assert [type(layer) for layer in model] == [type(layer) for layer in plain]
    assert all(old is new for old, new in zip(layers, model, strict=True))
    after = dict(model.named_parameters())
    assert all(after[name] is value for name, value in before.items())
    assert all(torch.equal(before[n], value) for n, value in plain.named_parameters())
    new = set(after) - set(before)
    assert new == {"0.se.squeeze.weight", "0.se.expand.weight"}
    assert all(after[n].dtype == torch.float64 and after[n].requires_grad for n in new)
    assert not before["0.weight"].requires_grad
    assert not any(module.training for module in model.modules())
    missing = model.load_state_dict(plain.state_dict(), strict=False)
    assert (set(missing.missing_keys), missing.unexpected_keys) == (new, [])
    x = noise(3, 3, 13, 16)
    out = model(x)
    assert calls == [1]
    again = apply_squeeze_excite(model), apply_squeeze_excite(model, ratio=1)
    assert again == ([], [])  # nor a warning
    assert torch.equal(model(x), out)


def test_dtype_device_and_mode_of_the_new_block():
    model = net().to("meta")
    apply_squeeze_excite(model)
    assert all(weight.device.type == "meta" for weight in model.parameters())
    assert all(module.training for module in model.modules())
    half = net().bfloat16()
    apply_squeeze_excite(half)
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}


def test_with_blurpool_in_either_order():
    outputs, x = [], noise(3, 3, 14, 17)
    plain, block = net().double(), strong(6)
    for order in ([apply_blurpool, apply_squeeze_excite], [apply_squeeze_excite, apply_blurpool]):
        model = copy.deepcopy(plain)
        names = {apply: apply(model) for apply in order}
        assert names == {apply_blurpool: ["0", "2"], apply_squeeze_excite: ["0"]}
        assert type(model[0]) is BlurConv2d
        model[0].se.load_state_dict(block.state_dict())
        outputs.append(model[0](x))
        for apply in order:
            assert apply(model) == []
    assert torch.equal(*outputs)
    conv = plain[0](blur2d(x))
    torch.testing.assert_close(outputs[0], conv * slow_gate(block, conv)[:, :, None, None])


def test_copies_have_gates_of_their_own():
    model, x = net().double(), noise(3, 3, 13, 16)
    apply_squeeze_excite(model)
    out, file = model[0](x), io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    copies.append(torch.load(file, weights_only=False))
    for other in copies:
        assert torch.equal(other[0](x), out)
        nn.init.zeros_(other[0].se.expand.weight)  # every gate is 1/2
        torch.testing.assert_close(other[0](x), net_conv(other[0], x) / 2)
        assert torch.equal(model[0](x), out)
        assert apply_squeeze_excite(other) == []


def net_conv(conv, x):
    """The convolution alone."""
    return conv._conv_forward(x, conv.weight, conv.bias)


def test_named_shared_and_bare_convolutions():
    conv = nn.Conv2d(2, 4, 1)
    shared = nn.ModuleDict({"a": nn.Sequential(conv, nn.BatchNorm2d(4)), "b": nn.Sequential(conv)})
    assert apply_squeeze_excite(shared) == ["a.0", "b.0"]
    assert len(conv._forward_hooks) == 1
    assert len([m for m in shared.modules() if isinstance(m, SqueezeExcite2d)]) == 1
    root, x = nn.Conv2d(2, 8, 3).double(), noise(3, 2, 5, 6)
    assert apply_squeeze_excite(root, layers=[""], ratio=0.5) == [""]
    out = net_conv(root, x)
    torch.testing.assert_close(root(x), out * slow_gate(root.se, out)[:, :, None, None])
    assert root.se.squeeze.out_features == 4
    model = net()
    assert apply_squeeze_excite(model, layers=["3"]) == ["3"]  # those and no others
    assert not hasattr(model[0], "se")
    assert apply_squeeze_excite(model) == ["0"]


def test_nothing_to_gate_and_bad_arguments():
    away = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2))
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(1))  # not of its channels
    depthwise = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.BatchNorm2d(4))
    grouped = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.BatchNorm2d(4))
    assert apply_squeeze_excite(grouped) == ["0"]
    for model in (away, other, depthwise, nn.Conv2d(1, 2, 3)):
        with pytest.warns(UserWarning, match="has nothing to gate"):
            assert apply_squeeze_excite(model) == []
    for ratio in (0, -0.25, 1.5, float("nan")):
        with pytest.raises(UserError, match=f"ratio is {ratio}; choose above 0, up to 1"):
            apply_squeeze_excite(away, ratio=ratio)
        with pytest.raises(UserError, match=f"ratio is {ratio}; choose above 0, up to 1"):
            SqueezeExcite2d(8, ratio)
    model = models.build("mnist-1.5k-dw")
    with pytest.raises(UserError, match=r"convolution 'conv1\.con' \(did you mean 'conv1\.conv'\?"):
        apply_squeeze_excite(model, layers=["conv1.conv", "conv1.con"])
    with pytest.raises(UserError, match=r"unknown convolution 'conv1\.bn'"):
        apply_squeeze_excite(model, layers=["conv1.bn"])
    assert measure.count_parameters(model) == 1560  # none was gated before the error
    assert doctest.testmod(squeeze_excite).failed == 0


def test_training_moves_every_gate(sample, small):
    (hook,) = techniques.create("squeeze-excite(ratio=0.5)")
    model = models.build("mnist-1.5k-dw")
    assert hook.change_model(model) == MNIST
    assert measure.count_parameters(model) == 1560 + 2 * (32 + 72 + 72 + 128 + 105)
    recipe = small("se")
    trainer, start = Trainer(recipe, sample), build(recipe)[0].state_dict()
    known = [weight for group in trainer.optimizer.param_groups for weight in group["params"]]
    assert set(known) == set(trainer.model.parameters())
    trainer.run()
    assert trainer.touched == {"se": MNIST}
    moved = [n for n, v in trainer.model.state_dict().items() if not torch.equal(v, start[n])]
    assert {n for n in start if ".se." in n} <= set(moved)
