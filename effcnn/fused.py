"""BatchNorm with ReLU, max-pooling and BlurPool in fewer passes over memory, on the CPU.

In nets as small as these, half of a training step goes into layers that hardly compute: they read
and write activations. Here each pass does more, compiled by torch.compile, piece by piece: given
a whole net it merges what then leaves the vector registers. The arithmetic is that of the layers
replaced, but for the order and the rounding of sums. Evaluation stays as it is.
"""

from collections import Counter
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from effcnn.fused_pools import POOLS, compiled, trains


@cache
def available() -> bool:
    """Whether torch.compile works on this machine: it needs a C++ compiler."""
    try:
        return torch.compile(lambda x: x + 1)(torch.zeros(3)).tolist() == [1, 1, 1]
    except Exception:  # whatever the compiler trips over
        return False


def fuse(model: nn.Module) -> nn.Module:
    """Replace what can be fused, in place; return `model`.

    That is BatchNorm and the ReLU after it in an `nn.Sequential`, and max-pools and blurred ones of
    2x2 pixels. Layers that are shared, or that somebody listens to, stay as they are, and so do
    parameters, `state_dict` keys and optimizers.
    """
    uses = Counter(module for _, module in model.named_modules(remove_duplicate=False))
    for parent in [module for module in uses if type(module) is nn.Sequential]:
        for norm, relu in pairwise(parent.children()):
            alone = uses[norm] == uses[relu] == 1 and not (_heard(norm) or _heard(relu))
            if alone and type(relu) is nn.ReLU and _plain(norm):
                norm.__class__, relu.__class__ = BatchNormReLU, nn.Identity
    for module in model.modules():
        if type(module) in POOLS and _is_2x2(module):
            module.__class__ = POOLS[type(module)]
    return model


def _plain(norm: nn.Module) -> bool:
    usual = type(norm) is nn.BatchNorm2d and norm.affine and norm.track_running_stats
    return usual and norm.momentum is not None


def _heard(module: nn.Module) -> bool:
    """Whether somebody wants to see, or change, what passes between two layers."""
    return any(hooks for name, hooks in vars(module).items() if name.endswith("_hooks"))


def _is_2x2(pool: nn.MaxPool2d) -> bool:
    window = (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    reflects = getattr(pool, "blur_padding", "reflect") == "reflect"
    return window == (2, 2, 0, 1) and reflects and not pool.return_indices


class BatchNormReLU(nn.BatchNorm2d):
    """ReLU of BatchNorm; parameters and buffers are those of `nn.BatchNorm2d`."""

    def forward(self, x: Tensor) -> Tensor:
        n = x.numel() // x.shape[1]
        if not trains(self, x) or self.weight.dtype != torch.float32 or n == 1:
            return super().forward(x).relu()
        y, mean, variance = _BatchNormReLU.apply(x, self.weight, self.bias, self.eps)
        if self.track_running_stats:  # SAM's second pass does not
            self.num_batches_tracked += 1
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * (n / (n - 1)), self.momentum)
        return y


class _BatchNormReLU(Function):
    @staticmethod
    def forward(ctx, x, *rest):
        rows, channels = _rows(x.detach()), x.shape[1]
        spread = _spread(channels, rows.shape[1] // channels)
        with torch.autocast(x.device.type, enabled=False):
            y, mean, variance, inverse = _normalise(rows, spread, *rest)
        ctx.save_for_backward(rows, y, spread, rest[0], mean, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return _images(y, x), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient, *_):
        with torch.autocast(gradient.device.type, enabled=False):
            found, *of_weights = _normalise_backward(_rows(gradient), *ctx.saved_tensors)
        return _images(found, gradient), *of_weights, None


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W) as rows of whole pixels, wide enough for vector registers, without a copy."""
    pixels = x.permute(0, 2, 3, 1).contiguous()
    wide = x.shape[1] < 64 and pixels.shape[:3].numel() % 16 == 0
    return pixels.view(-1, (16 if wide else 1) * x.shape[1])


def _images(rows: Tensor, like: Tensor) -> Tensor:
    n, channels, height, width = like.shape
    return rows.view(n, height, width, channels).permute(0, 3, 1, 2)


@cache
def _spread(channels: int, pixels: int) -> Tensor:
    """(C, pixels * C): times it, a number per channel becomes one per column of `_rows`.

    A product also keeps the compiler from merging the loops before and after it.
    """
    return torch.eye(channels).repeat(1, pixels)


@compiled
def _normalise(x, spread, weight, bias, eps):
    channels = len(weight)
    n = x.numel() // channels
    # Around one of the values, or the mean of squares would lose digits.
    some = x[0, :channels].float()
    shifted = x.float() - some @ spread
    sums = torch.stack((shifted.sum(0), shifted.square().sum(0)))
    first, second = (sums @ spread.T / n).unbind()
    mean, variance = some + first, (second - first.square()).clamp(min=0)
    inverse = (variance + eps).rsqrt()
    wide = torch.stack((mean, weight * inverse, bias)) @ spread
    y = ((x.float() - wide[0]) * wide[1] + wide[2]).relu().to(x.dtype)
    return y, mean, variance, inverse


@compiled
def _normalise_backward(gradient, x, y, spread, weight, mean, inverse):
    n = x.numel() // len(weight)
    gradient = torch.where(y > 0, gradient.float(), 0.0)
    centred = x.float() - mean @ spread
    sums = torch.stack((gradient.sum(0), (gradient * centred).sum(0)))
    first, second = (sums @ spread.T).unbind()
    scale = weight * inverse
    wide = torch.stack((scale, scale * inverse.square() * second / n, scale * first / n)) @ spread
    found = gradient * wide[0] - centred * wide[1] - wide[2]
    return found.to(x.dtype), inverse * second, first
