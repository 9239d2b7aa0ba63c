"""BlurPool: blur before subsampling, so that a shifted image gives nearly the same features."""

import math
import warnings

import torch.nn.functional as F
from torch import Tensor, nn

from effcnn.errors import unknown
from effcnn.techniques import SPECS, Technique

PADDINGS = ("reflect", "zero")


def blur2d(x: Tensor, stride: int | tuple[int, int] = 1, padding: str = "reflect") -> Tensor:
    """Blur each channel with the 3x3 binomial filter [1, 2, 1] x [1, 2, 1] / 16, then subsample.

    The filter is two 2x2 averages in a row, and that is how it is computed: it needs no weights,
    and with "reflect" no padded copy. Output `i` is centred on input `i * stride`.

    Args:
        x: (N, C, H, W) or (C, H, W), floating point, any memory format.
        stride: keep every `stride`-th row and column.
        padding: "reflect" mirrors one pixel at the border (an axis of length 1 repeats it), so
            that a constant stays constant; "zero" darkens a constant 1 to 0.75 at the edges and
            0.5625 in the corners.
    Returns: (N, C, ceil(H / stride), ceil(W / stride)), the dtype of `x`.
    Raises: UserError for another padding.
    Source: Zhang 2019, arXiv:1904.11486 (Tri-3, reflect). Composer pads with zeros.

    >>> import torch
    >>> blur2d(torch.tensor([[[0.0, 0, 4, 0, 0]]]))
    tensor([[[0., 1., 2., 1., 0.]]])
    """
    if padding not in PADDINGS:
        raise unknown("blur padding", padding, PADDINGS)
    if padding == "zero":
        return F.avg_pool2d(F.avg_pool2d(x, 2, 1, padding=1), 2, stride)
    # Mirrored, the two averages beside a border pixel are equal, so one alone is their mean.
    size = [min(2, length) for length in x.shape[-2:]]
    margin = [length - 1 for length in size]
    return F.avg_pool2d(F.avg_pool2d(x, size, 1), size, stride, margin, count_include_pad=False)


class BlurMaxPool2d(nn.MaxPool2d):
    """Max-pooling in two steps: the maximum at every pixel (stride 1), then blur and subsample.

    Output `i` is the blurred maximum of the very window that `nn.MaxPool2d` reads for its output
    `i`, so the shape is the same, with `ceil_mode` too. Takes the arguments of `nn.MaxPool2d`;
    `blur_padding` is an attribute. Training and evaluation do not differ. Adds 0 parameters.
    """

    blur_padding = "reflect"

    def forward(self, x: Tensor) -> Tensor:
        if self.ceil_mode:
            # The last window may hang over the far border: as many more windows fit in there.
            window = map(_pair, (self.kernel_size, self.stride, self.padding, self.dilation))
            down, right = (min(s - 1, d * (k - 1) - p) for k, s, p, d in zip(*window, strict=True))
            x = F.pad(x, (0, right, 0, down), value=-math.inf)
        dense = F.max_pool2d(x, self.kernel_size, 1, self.padding, self.dilation)
        return blur2d(dense, self.stride, self.blur_padding)


class BlurConv2d(nn.Conv2d):
    """A strided convolution of the blurred input; same arguments and shape as `nn.Conv2d`.

    Zhang places the blur after the ReLU that follows the convolution, which a single layer cannot
    see. A blur between the two would equal this one, but for the border (both are linear), at
    stride**2 times the cost. Composer blurs the input too. Adds 0 parameters.
    """

    blur_padding = "reflect"

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(blur2d(x, 1, self.blur_padding))


BLURRED = {"maxpool": (nn.MaxPool2d, BlurMaxPool2d), "conv": (nn.Conv2d, BlurConv2d)}


def apply_blurpool(model: nn.Module, *, layers: str = "all", padding: str = "reflect") -> list[str]:
    """Blur the max-pools and convolutions of `model` that have a stride above 1, in place.

    Parameters, `state_dict` keys and optimizers stay as they are. Layers that were blurred before
    are left alone, and so are subclasses of the two (their `forward` is their own) and max-pools
    that return indices (a blurred value has none).

    Args:
        model: any module, a single layer included.
        layers: "all" (the paper, sec. III-F), "maxpool" or "conv".
        padding: "reflect" (Zhang 2019) or "zero" (Composer), see `blur2d`.
    Returns: the names of the layers it replaced; a shared layer has several, the root is "".
    Raises: UserError for other `layers` or `padding`. Warns if there is no layer to blur.
    Source: Zhang 2019, arXiv:1904.11486. Composer also blurs max-pools of stride 1, and skips
        convolutions with fewer than 16 input channels.

    >>> apply_blurpool(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2)))
    ['2']
    """
    if layers not in ("all", *BLURRED):
        raise unknown("layers for BlurPool", layers, ("all", *BLURRED))
    if padding not in PADDINGS:
        raise unknown("blur padding", padding, PADDINGS)
    blurred = dict(kind for name, kind in BLURRED.items() if layers in ("all", name))
    modules = list(model.named_modules(remove_duplicate=False))
    found = [(name, m) for name, m in modules if type(m) in blurred and _subsamples(m)]
    for module in {module for _, module in found}:
        # A new class on the same object keeps everything: parameters, hooks, mode, sharing, root.
        module.__class__ = blurred[type(module)]
        module.blur_padding = padding
    if not found and not any(type(module) in blurred.values() for _, module in modules):
        kinds = " or ".join(kind.__name__ for kind in blurred)
        warnings.warn(f"BlurPool has nothing to blur: no {kinds} with a stride > 1", stacklevel=2)
    return [name for name, _ in found]


def _subsamples(module: nn.MaxPool2d | nn.Conv2d) -> bool:
    return max(_pair(module.stride)) > 1 and not getattr(module, "return_indices", False)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


class BlurPool(Technique, spec=SPECS["bp"]):
    """`bp(padding=reflect,layers=all)` in a recipe."""

    def change_model(self, model: nn.Module) -> list[str]:
        return apply_blurpool(model, layers=self.layers, padding=self.padding)
