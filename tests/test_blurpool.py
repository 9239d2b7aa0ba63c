"""BlurPool: the filter, the shapes, what it is for (shift consistency), and the surgery."""

import copy
import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from effcnn import techniques
from effcnn.errors import UserError
from effcnn.techniques.blurpool import BlurConv2d, BlurMaxPool2d, apply_blurpool, blur2d

FILTER = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
SCIPY_MODE = {"reflect": "mirror", "zero": "constant"}
both_paddings = pytest.mark.parametrize("padding", ["reflect", "zero"])


def noise(*shape, dtype=torch.float32):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def net():
    strided = nn.Conv2d(3, 4, 3, padding=1, stride=2, padding_mode="circular")
    return nn.Sequential(strided, nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3))


def slow_blur(x, stride, padding):
    blurred = ndimage.correlate(x.numpy(), FILTER[None, None], mode=SCIPY_MODE[padding])
    return torch.from_numpy(blurred[..., ::stride, ::stride])


@both_paddings
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_blur_is_the_binomial_filter(padding, stride):
    for height, width in [(7, 5), (2, 3), (6, 8)]:
        x = noise(3, 2, height, width, dtype=torch.float64)
        torch.testing.assert_close(blur2d(x, stride, padding), slow_blur(x, stride, padding))


@both_paddings
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool_is_blurred_dense_maximum(padding, ceil_mode):
    x = noise(3, 2, 9, 5, dtype=torch.float64)
    rows, columns = (9, 5) if ceil_mode else (8, 4)  # with ceil_mode the last windows hang over
    dense = np.empty((3, 2, rows, columns))
    for i, j in itertools.product(range(rows), range(columns)):
        dense[:, :, i, j] = x[:, :, i : i + 2, j : j + 2].amax((2, 3))
    pool = BlurMaxPool2d(2, ceil_mode=ceil_mode)
    pool.blur_padding = padding
    torch.testing.assert_close(pool(x), slow_blur(torch.from_numpy(dense), 2, padding))


def test_constants_and_borders():
    assert torch.equal(blur2d(torch.ones(2, 3, 7, 9), 2), torch.ones(2, 3, 4, 5))
    zero = blur2d(torch.ones(2, 3, 7, 9), 1, "zero")
    assert (zero[..., [0, -1], 1:-1] == 0.75).all()
    assert (zero[..., 1:-1, [0, -1]] == 0.75).all()
    assert (zero[..., [0, 0, -1, -1], [0, -1, 0, -1]] == 0.5625).all()
    x = noise(3, 2, 1, 1)  # one pixel has no neighbour to mirror
    assert torch.equal(blur2d(x, 2), x)
    torch.testing.assert_close(blur2d(x, 2, "zero"), x / 4)
    row = torch.tensor([[[0.0, 4, 0, 0]]])
    assert blur2d(row).tolist() == [[[2, 2, 1, 0]]]
    assert blur2d(row.mT, 2).tolist() == [[[2], [1]]]


def test_channels_and_images_do_not_mix():
    x = noise(3, 4, 8, 6)
    changed = x.clone()
    changed[1, 2] += 1
    differ = (BlurMaxPool2d(2)(x) != BlurMaxPool2d(2)(changed)).any(3).any(2)
    assert differ.argwhere().tolist() == [[1, 2]]


def test_shapes_are_those_of_the_layer_replaced():
    compared = 0
    for height, kernel, stride, padding, dilation, ceil in itertools.product(
        range(1, 9), [1, 2, 3, (3, 2)], [1, 2, 3, (2, 1)], [0, 1], [1, 2], [False, True]
    ):
        arguments = (kernel, stride, padding, dilation, False, ceil)
        x = noise(1, 2, height, height + 3)
        try:
            expected = nn.MaxPool2d(*arguments)(x)
        except RuntimeError:
            continue
        got = BlurMaxPool2d(*arguments)(x)
        assert got.shape == expected.shape, (height, arguments)
        assert got.isfinite().all() or expected.isinf().any(), (height, arguments)
        compared += 1
    assert compared > 500
    assert BlurMaxPool2d([2, 2], ceil_mode=True)(noise(2, 5, 5)).shape == (2, 3, 3)
    for conv in [(4, 6, 3, 2, 1), (4, 6, 3, (1, 3), 0)]:
        x = noise(3, 4, 9, 7)
        assert BlurConv2d(*conv)(x).shape == nn.Conv2d(*conv)(x).shape


def test_shift_changes_the_pooled_map_less():
    x, pools = noise(4, 3, 32, 24), (nn.MaxPool2d(2), BlurMaxPool2d(2))
    change = [(pool(x) - pool(x.roll(1, -1)))[..., 2:-2].abs().mean() for pool in pools]
    assert change[1] < 0.6 * change[0]
    spread = [pool(x).std() for pool in pools]  # less change than the map's own smoothing explains
    assert change[1] / spread[1] < 0.85 * change[0] / spread[0]
    pooled, shifted = pools[1](x), pools[1](x.roll((2, 2), (-2, -1)))
    assert torch.equal(shifted[..., 2:-2, 2:-2], pooled[..., 1:-3, 1:-3])


@both_paddings
def test_conv_of_the_blurred_input(padding):
    x = noise(2, 3, 13, 12, dtype=torch.float64)
    conv = nn.Conv2d(3, 4, 3, stride=2).double()
    plain = copy.deepcopy(conv)
    apply_blurpool(conv, padding=padding)
    torch.testing.assert_close(conv(x), plain(slow_blur(x, 1, padding)))
    plain.stride = (1, 1)  # blur directly after the convolution: the same, but for the border
    torch.testing.assert_close(conv(x)[..., 1:-1, 1:-1], blur2d(plain(x), 2)[..., 1:-1, 1:-1])


def test_gradients_dtypes_and_memory_format():
    x = noise(2, 2, 5, 6, dtype=torch.float64).requires_grad_()
    for padding in ("reflect", "zero"):
        assert torch.autograd.gradcheck(lambda x, p=padding: blur2d(x, 2, p), x)
    assert torch.autograd.gradcheck(BlurMaxPool2d(3, 2, 1, ceil_mode=True), x)
    x = noise(2, 8, 10, 7)
    last = BlurMaxPool2d(2)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, BlurMaxPool2d(2)(x))
    assert last.is_contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        half = BlurMaxPool2d(2)(x.bfloat16())
        assert (blur2d(x).dtype, half.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(half.float(), BlurMaxPool2d(2)(x), rtol=0.02, atol=0.02)


def test_surgery_keeps_everything_but_the_class():
    model = net().double().eval()
    model[0].weight.requires_grad_(False)
    calls = []
    model[2].register_forward_hook(lambda *_: calls.append(1))
    before = dict(model.named_parameters())
    layers, plain = list(model), copy.deepcopy(model)
    assert apply_blurpool(model) == ["0", "2"]
    assert [type(layer) for layer in model] == [BlurConv2d, nn.ReLU, BlurMaxPool2d, nn.Conv2d]
    assert all(old is new for old, new in zip(layers, model, strict=True))
    assert all(before[name] is value for name, value in model.named_parameters())
    assert list(model.state_dict()) == list(plain.state_dict())
    assert model.load_state_dict(plain.state_dict(), strict=True)
    assert (model[0].weight.requires_grad, model[2].training) == (False, False)
    assert model[0].padding_mode == "circular"
    assert model(noise(3, 3, 13, 16, dtype=torch.float64)).dtype == torch.float64
    assert calls == [1]
    assert apply_blurpool(model) == apply_blurpool(model, padding="zero") == []  # nor a warning
    assert model[0].blur_padding == "reflect"


def test_hook_and_optimizer_momentum():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(noise(3, 3, 16, 13)).sum().backward()
    optimizer.step()
    momentum = optimizer.state[model[0].weight]["momentum_buffer"]
    (hook,) = techniques.create("blurpool(layers=conv,padding=zero)")
    assert (hook.change_model(model), model[0].blur_padding) == (["0"], "zero")
    assert optimizer.state[model[0].weight]["momentum_buffer"] is momentum


def test_shared_root_and_stride_one_layers():
    pool = nn.MaxPool2d(2)
    model = nn.ModuleDict({"a": pool, "b": nn.Sequential(pool), "c": nn.MaxPool2d(3, 1)})
    assert apply_blurpool(model) == ["a", "b.0"]
    assert model["a"] is model["b"][0] is pool
    assert type(model["c"]) is nn.MaxPool2d
    root = nn.MaxPool2d(2)
    assert apply_blurpool(root) == [""]
    assert type(root) is BlurMaxPool2d


def test_nothing_to_blur_warns():
    own = type("OwnPool", (nn.MaxPool2d,), {})
    others = nn.Sequential(nn.Conv2d(1, 2, 3), own(2), nn.MaxPool2d(2, return_indices=True))
    with pytest.warns(UserWarning, match="no MaxPool2d or Conv2d with a stride > 1"):
        assert apply_blurpool(others) == []
    pooled = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2))
    with pytest.warns(UserWarning, match="no Conv2d with a stride > 1"):
        assert apply_blurpool(pooled, layers="conv") == []
    assert apply_blurpool(pooled) == ["1"]  # no warning: those are errors here


def test_bad_arguments():
    with pytest.raises(UserError, match=r"layers for BlurPool 'pool'.*all, maxpool, conv"):
        apply_blurpool(net(), layers="pool")
    with pytest.raises(UserError, match=r"blur padding 'zeros' \(did you mean 'zero'"):
        apply_blurpool(net(), padding="zeros")
    with pytest.raises(UserError, match="choose from reflect, zero"):
        blur2d(torch.ones(1, 1, 3, 3), 2, "same")
