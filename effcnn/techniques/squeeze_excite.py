"""Squeeze-and-excite: a learned gate per channel, from the means of all channels."""

import warnings
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from effcnn.errors import UserError, unknown
from effcnn.techniques import SPECS, Technique


class SqueezeExcite2d(nn.Module):
    """Scale each channel of (N, C, H, W) by a gate between 0 and 1, one per image and channel.

    The gate is sigmoid(expand(relu(squeeze(mean over H and W)))). Training and evaluation do not
    differ. Adds 2 * C * max(1, int(ratio * C)) parameters: two layers without biases.

    Args:
        channels: C.
        ratio: width of the hidden layer as a share of C, above 0 and up to 1.
    Raises: UserError for another ratio.
    Source: Hu et al. 2018, arXiv:1709.01507, who take 1/16 and a block per residual unit; 1/4 is
        MobileNetV3's. The hidden layer keeps at least one unit, or nothing could be learnt.
    """

    def __init__(self, channels: int, ratio: float = 0.25) -> None:
        super().__init__()
        if not 0 < ratio <= 1:
            raise UserError(f"squeeze-and-excite ratio is {ratio}; choose above 0, up to 1")
        hidden = max(1, int(ratio * channels))
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.expand = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # One axis of pixels: PyTorch sums over two axes several times more slowly.
        pixels = x.permute(0, 2, 3, 1).flatten(1, 2)  # (N, H * W, C), a view
        gate = self.expand(self.squeeze(pixels.mean(1)).relu()).sigmoid()  # (N, C)
        scaled = pixels * gate[:, None]
        return scaled.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)


def apply_squeeze_excite(
    model: nn.Module, *, ratio: float = 0.25, layers: Sequence[str] | None = None
) -> list[str]:
    """Gate the output of each convolution block of `model`, in place.

    A block is a convolution whose next sibling is a BatchNorm of its output; depth-wise ones are
    left out, so a depth-wise separable block is gated once, after its point-wise part. Siblings are
    in the order in which the net defines them: name the `layers` where it calls them in another.
    The gate stands before the BatchNorm. It starts near 1/2, which that BatchNorm undoes.

    The gate becomes the submodule `se` of the convolution, which applies it by a forward hook:
    parameters, `state_dict` keys and types of all layers stay, so it makes no difference whether
    BlurPool comes before or after. Convolutions gated before are left alone. Build the optimizer
    afterwards: there are new parameters. They are trainable, though the convolution be frozen.

    Args:
        model: any module.
        ratio: see `SqueezeExcite2d`.
        layers: names of the convolutions to gate instead, for nets without BatchNorm; "" is a
            bare convolution.
    Returns: the names of the convolutions that got a gate; a shared one has several.
    Raises: UserError for another ratio and for a name that is no convolution of the model. Warns if
        there is nothing to gate.
    Source: Hu et al. 2018, arXiv:1709.01507. Composer gates every convolution with enough channels,
        depth-wise ones and the classifier too.

    >>> apply_squeeze_excite(nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()))
    ['0']
    """
    if not 0 < ratio <= 1:
        raise UserError(f"squeeze-and-excite ratio is {ratio}; choose above 0, up to 1")
    modules = dict(model.named_modules(remove_duplicate=False))
    convs = {name: m for name, m in modules.items() if isinstance(m, nn.Conv2d)}
    for name in layers or ():
        if name not in convs:
            raise unknown("convolution", name, convs)
    blocks = _block_convolutions(model)
    chosen = {
        name: m for name, m in convs.items() if (m in blocks if layers is None else name in layers)
    }
    new = {name: conv for name, conv in chosen.items() if not hasattr(conv, "se")}
    for conv in dict.fromkeys(new.values()):
        block = SqueezeExcite2d(conv.out_channels, ratio).to(conv.weight.device, conv.weight.dtype)
        conv.se = block.train(conv.training)
        conv.register_forward_hook(_gated)
    if not chosen:
        warnings.warn(
            "squeeze-and-excite has nothing to gate: "
            + (
                "no convolution is followed by BatchNorm; name the layers"
                if layers is None
                else "layers is empty; name some"
            ),
            stacklevel=2,
        )
    return list(new)


def _block_convolutions(model: nn.Module) -> set[nn.Module]:
    """The convolutions whose next sibling is a BatchNorm of their output, but no depth-wise one."""
    found = set()
    for parent in model.modules():
        for conv, norm in pairwise(parent.children()):
            if (
                isinstance(conv, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d)
                and norm.num_features == conv.out_channels
                and not conv.groups == conv.in_channels > 1
            ):
                found.add(conv)
    return found


def _gated(conv: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """The hook, a function of the module alone: copies of the net have gates of their own."""
    return conv.se(output)


class SqueezeExcite(Technique, spec=SPECS["se"]):
    """`se(ratio=0.25)` in a recipe."""

    def change_model(self, model: nn.Module) -> list[str]:
        return apply_squeeze_excite(model, ratio=self.ratio)
