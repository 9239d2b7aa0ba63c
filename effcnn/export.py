"""A trained net as plain numbers, for a page that computes its answers without Python.

BatchNorm is folded into the convolution before it: it is linear, so the answers stay the same.
"""

import base64

import torch
from torch import Tensor, nn

from effcnn.errors import UserError
from effcnn.techniques.blurpool import BlurMaxPool2d


def layers(model: nn.Module) -> list[dict]:
    """The layers of one of the paper's MNIST nets, in order, with float32 weights in base64.

    Returns: dicts with `name` and `type`: `conv` (with `inputs`, `outputs`, `size`, `groups`,
        `relu`, `weight` and `bias`; padding keeps the size), `max` and `blur` (pooling by 2),
        `mean` (over all pixels).
    Raises: UserError for a net with parts that are none of these.
    """
    model, found = model.eval(), []
    for name, part in model.named_children():
        if isinstance(part, nn.Sequential):
            found += _block(name, part)
        elif isinstance(part, nn.Conv2d):
            found.append(_conv(name, part, part.weight, part.bias, relu=False))
        elif isinstance(part, BlurMaxPool2d) and part.blur_padding == "reflect":
            found.append({"name": name, "type": "blur"})
        elif type(part) is nn.MaxPool2d:
            found.append({"name": name, "type": "max"})
        elif isinstance(part, nn.AdaptiveAvgPool2d):
            found.append({"name": name, "type": "mean"})
        elif not isinstance(part, nn.Flatten):
            raise UserError(f"cannot export {name}, a {type(part).__name__}")
    return found


def _block(name: str, block: nn.Sequential) -> list[dict]:
    """The convolutions of a block, the last one with BatchNorm folded in and a ReLU."""
    *first, last = [part for part in block if isinstance(part, nn.Conv2d)]
    if any(hasattr(conv, "se") for conv in (*first, last)):
        raise UserError(f"cannot export {name}: it has a squeeze-and-excite gate")
    found = [_conv(f"{name}.depthwise", c, c.weight, c.bias, relu=False) for c in first]
    scale = block.bn.weight / torch.sqrt(block.bn.running_var + block.bn.eps)
    bias = torch.zeros_like(scale) if last.bias is None else last.bias
    shift = block.bn.bias + (bias - block.bn.running_mean) * scale
    weight = last.weight * scale[:, None, None, None]
    return [*found, _conv(f"{name}.pointwise" if first else name, last, weight, shift, relu=True)]


def _conv(name: str, conv: nn.Conv2d, weight: Tensor, bias: Tensor | None, *, relu: bool) -> dict:
    bias = torch.zeros(conv.out_channels) if bias is None else bias
    return {
        "name": name,
        "type": "conv",
        "inputs": conv.in_channels,
        "outputs": conv.out_channels,
        "size": conv.kernel_size[0],
        "groups": conv.groups,
        "relu": relu,
        "weight": _text(weight),
        "bias": _text(bias),
    }


def _text(numbers: Tensor) -> str:
    return base64.b64encode(numbers.detach().float().contiguous().numpy().tobytes()).decode()
