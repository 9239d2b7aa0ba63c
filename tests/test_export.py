"""The exported net gives PyTorch's answers: computed with NumPy from the exported numbers."""

import base64

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import nn

from effcnn import export, models
from effcnn.errors import UserError
from effcnn.techniques.blurpool import apply_blurpool
from effcnn.techniques.squeeze_excite import apply_squeeze_excite


def floats(text, shape):
    return np.frombuffer(base64.b64decode(text), np.float32).reshape(shape).astype(float)


def forward(layers, maps):
    """What the page computes, on maps (C, H, W)."""
    for layer in layers:
        if layer["type"] == "conv":
            n, groups, size = layer["outputs"], layer["groups"], layer["size"]
            each = layer["inputs"] // groups
            weight = floats(layer["weight"], (n, each, size, size))
            bias = floats(layer["bias"], (n,))
            out = []
            for o in range(n):
                first = o // (n // groups) * each
                parts = [correlate2d(maps[first + i], weight[o, i], "same") for i in range(each)]
                out.append(sum(parts) + bias[o])
            maps = np.maximum(out, 0) if layer["relu"] else np.array(out)
        elif layer["type"] == "max":
            c, h, w = maps.shape
            maps = maps.reshape(c, h // 2, 2, w // 2, 2).max((2, 4))
        elif layer["type"] == "blur":
            corners = [
                maps[:, y : y - 1 or None, x : x - 1 or None] for y in (0, 1) for x in (0, 1)
            ]
            dense = np.pad(np.max(corners, 0), ((0, 0), (1, 1), (1, 1)), mode="reflect")
            row = np.array([1, 2, 1]) / 4
            blurred = [correlate2d(one, np.outer(row, row), "valid") for one in dense]
            maps = np.array(blurred)[:, ::2, ::2]
        else:
            maps = maps.mean((1, 2), keepdims=True)
    return maps[:, 0, 0]


@pytest.mark.parametrize("blurred", [False, True])
@pytest.mark.parametrize("name", ["mnist-1.5k-dw", "mnist-5k"])
def test_the_same_logits(name, blurred):
    torch.manual_seed(0)
    net = models.build(name)
    if blurred:
        apply_blurpool(net)
    net.train()
    with torch.no_grad():
        for parameter in net.parameters():  # BatchNorm's too, away from 1 and 0
            parameter.add_(0.1 * torch.randn_like(parameter))
        for _ in range(3):
            net(torch.randn(16, 1, 28, 28))
    images = torch.randn(5, 1, 28, 28)
    with torch.no_grad():
        expected = net.eval()(images).numpy()
    layers = export.layers(net)
    for image, logits in zip(images.numpy(), expected, strict=True):
        assert np.allclose(forward(layers, image.astype(float)), logits, atol=1e-4)


def test_parts_that_the_page_cannot_compute_are_refused():
    gated = models.build("mnist-1.5k-dw")
    apply_squeeze_excite(gated)
    with pytest.raises(UserError, match="conv1: it has a squeeze-and-excite gate"):
        export.layers(gated)
    with pytest.raises(UserError, match="cannot export 0, a Linear"):
        export.layers(nn.Sequential(nn.Linear(2, 2)))
    zero = models.build("mnist-1.5k-dw")
    apply_blurpool(zero, padding="zero")
    with pytest.raises(UserError, match="cannot export pool1, a BlurMaxPool2d"):
        export.layers(zero)
