"""Max-pooling and BlurPool of 2x2 pixels in compiled pieces; see `effcnn.fused`."""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from effcnn.techniques.blurpool import BlurMaxPool2d

with warnings.catch_warnings():  # it uses what PyTorch itself has deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    import torch._inductor.compile_fx

# One shape per layer, and a sweep may have many nets: by default torch.compile gives up after 8.
for _limit in ("recompile_limit", "accumulated_recompile_limit"):
    setattr(torch._dynamo.config, _limit, max(getattr(torch._dynamo.config, _limit), 2_000))
compiled = torch.compile(dynamic=False)


def trains(module: nn.Module, x: Tensor) -> bool:
    """Whether a gradient will be asked for, of images (N, C, H, W) as they are in training.

    All else is left to PyTorch's own layers.
    """
    usual = x.dim() == 4 and x.dtype in (torch.bfloat16, torch.float32)
    return usual and module.training and torch.is_grad_enabled()


class MaxPool2x2(nn.MaxPool2d):
    """`nn.MaxPool2d(2)`; of several largest pixels the first gets the gradient, as there."""

    def forward(self, x: Tensor) -> Tensor:
        if not trains(self, x) or x.shape[2] % 2 or x.shape[3] % 2:
            return super().forward(x)
        return _MaxPool2x2.apply(x)


class _MaxPool2x2(Function):
    @staticmethod
    def forward(ctx, x):
        y, place = _pool(_pixels(x))
        ctx.save_for_backward(place)
        return y.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return _pool_backward(_pixels(gradient), *ctx.saved_tensors).permute(0, 3, 1, 2)


class BlurMaxPool2x2(BlurMaxPool2d):
    """`BlurMaxPool2d(2)` that mirrors the border."""

    def forward(self, x: Tensor) -> Tensor:
        if not trains(self, x) or min(x.shape[2:]) < 4 or x.shape[2] % 2 or x.shape[3] % 2:
            return super().forward(x)
        return _BlurMaxPool2x2.apply(x)


class _BlurMaxPool2x2(Function):
    @staticmethod
    def forward(ctx, x):
        largest, place = _dense_pool(_pixels(x))
        ctx.save_for_backward(place)
        return _blur(largest).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        gradient = _blur_backward(_pixels(gradient))
        return _dense_pool_backward(gradient, *ctx.saved_tensors).permute(0, 3, 1, 2)


POOLS = {nn.MaxPool2d: MaxPool2x2, BlurMaxPool2d: BlurMaxPool2x2}


def _pixels(x: Tensor) -> Tensor:
    """(N, C, H, W) as (N, H, W, C): without a copy, for images in channels_last."""
    return x.detach().permute(0, 2, 3, 1).contiguous()


def _largest(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of four, and the number of the first that is; numbers in the type of `a`.

    With several types in one loop the compiler leaves the vector registers.
    """
    top, bottom = torch.maximum(a, b), torch.maximum(c, d)
    inner = torch.where(a >= b, 0.0, 1.0), torch.where(c >= d, 2.0, 3.0)
    return torch.maximum(top, bottom), torch.where(top >= bottom, *inner).to(a.dtype)


@compiled
def _pool(x):
    n, height, width, channels = x.shape
    x = x.view(n, height // 2, 2, width // 2, 2, channels)
    return _largest(x[:, :, 0, :, 0], x[:, :, 0, :, 1], x[:, :, 1, :, 0], x[:, :, 1, :, 1])


@compiled
def _pool_backward(gradient, place):
    n, height, width, channels = gradient.shape
    places = torch.arange(4, dtype=place.dtype).view(1, 1, 2, 1, 2, 1)
    found = torch.where(place[:, :, None, :, None] == places, gradient[:, :, None, :, None], 0)
    return found.view(n, 2 * height, 2 * width, channels)


@compiled
def _dense_pool(x):
    n, height, width, channels = x.shape
    x = x.view(n, height, width * channels)
    left, right = x[:, :, :-channels], x[:, :, channels:]
    found = _largest(left[:, :-1], right[:, :-1], left[:, 1:], right[:, 1:])
    return tuple(part.view(n, height - 1, width - 1, channels) for part in found)


@compiled
def _dense_pool_backward(gradient, place):
    n, height, width, channels = gradient.shape
    if channels < 32:  # then whole rows are what fills vector registers
        gradient, place = (x.view(n, height, 1, width * channels) for x in (gradient, place))
        margin, size = (channels, channels, 0, 0, 1, 1), (height + 1, 1, (width + 1) * channels)
        corners = [(1, 0, channels), (1, 0, 0), (0, 0, channels), (0, 0, 0)]
    else:
        margin, size = (0, 0, 1, 1, 1, 1), (height + 1, width + 1, channels)
        corners = [(1, 1, 0), (1, 0, 0), (0, 1, 0), (0, 0, 0)]
    gradient, place = F.pad(gradient, margin), F.pad(place, margin, value=4.0)
    found = 0
    for number, (i, j, k) in enumerate(corners):  # each pixel was in four windows
        part = (..., *(slice(o, o + s) for o, s in zip((i, j, k), size, strict=True)))
        found = found + torch.where(place[part] == number, gradient[part], 0)
    return found.view(n, height + 1, width + 1, channels)


@compiled
def _blur(x):
    blurred = x.float()
    for dim in (1, 2):
        even, odd = (blurred[(slice(None),) * dim + (slice(i, None, 2),)] for i in (0, 1))
        ends = odd.narrow(dim, 0, 1), odd.narrow(dim, odd.shape[dim] - 1, 1)
        before, after = torch.cat((ends[0], odd), dim), torch.cat((odd, ends[1]), dim)
        blurred = (before + 2 * even + after) / 4
    return blurred.to(x.dtype)


@compiled
def _blur_backward(gradient):
    found = gradient.float()
    for dim in (1, 2):
        size = found.shape[dim]
        before, after = found.narrow(dim, 1, size - 1), found.narrow(dim, 0, size - 1)
        outer = (0, 0) * (3 - dim)
        ends = found.narrow(dim, 0, 1), found.narrow(dim, size - 1, 1)
        odd = before + after + F.pad(ends[0], (*outer, 0, size - 2))
        odd = F.pad(odd + F.pad(ends[1], (*outer, size - 2, 0)), (*outer, 0, 1))
        shape = [*found.shape[:dim], 2 * size, *found.shape[dim + 1 :]]
        found = torch.stack((found / 2, odd / 4), dim + 1).view(shape)
        found = found.narrow(dim, 0, 2 * size - 1)
    return found.to(gradient.dtype)
