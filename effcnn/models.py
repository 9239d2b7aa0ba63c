"""The nine architectures, from a table that reads like the paper's Tables 1 and 2.

Importing this needs no torch; building a net does.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass

from effcnn.errors import UserError, unknown

# "8" is a 3x3 convolution to 8 channels, "DW12" a depth-wise 3x3 and a point-wise 1x1 to 12,
# "TB8" a transition block (a bare 1x1 convolution), "M" 2x2 max-pooling, "GAP" global average
# pooling; the last number is the 1x1 classifier.
ARCHITECTURES: dict[str, dict[str, str]] = {
    "mnist": {
        "25k": "8 16 M 32 64 M GAP 10",
        "7k": "8 12 TB8 M 12 16 TB12 M 15 15 GAP 10",
        "7k-dw": "10 DW12 TB10 M 13 16 TB12 M 15 15 GAP 10",
        "5k": "8 12 TB8 M 12 16 TB12 M 15 GAP 10",
        "5k-dw": "8 DW12 TB8 M 13 18 TB12 M 16 GAP 10",
        "1.5k-dw": "8 DW12 TB8 M DW12 DW16 TB12 M DW15 GAP 10",
        # A seventh column of Table 1, without a count or a result of its own.
        "5k-dw-narrow": "8 DW12 TB8 M 12 16 TB12 M 15 GAP 10",
    },
    "cifar10": {
        "143k": "16 16 M 32 32 M 64 64 M 120 GAP 10",
        "143k-dw": "16 16 M DW32 32 M DW64 64 M DW128 DW192 DW260 GAP 10",
    },
}


@dataclass(frozen=True)
class Family:
    """What the nets of one data set share."""

    channels: int  # of the input image
    size: int  # height and width of the input image, in pixels
    classes: int
    bias: bool  # whether the convolutions before the classifier have one


# Biases are not in the paper's text: its printed counts come out exactly with these alone.
FAMILIES = {"mnist": Family(1, 28, 10, bias=False), "cifar10": Family(3, 32, 10, bias=True)}


def family(dataset: str) -> str:
    """The family of nets made for a data set: `mnist-sample` takes MNIST's."""
    return dataset.removesuffix("-sample")


def names() -> list[str]:
    """The full names, in the paper's order: mnist-25k ... cifar10-143k-dw."""
    return [f"{group}-{model}" for group, rows in ARCHITECTURES.items() for model in rows]


def split(dataset: str, model: str | None = None) -> tuple[str, str]:
    """`("mnist", "1.5k-dw")`, from that pair or from the full name in either place.

    Raises `UserError` for an unknown name and for a net of another data set.
    """
    full = (dataset if model is None else model).strip().lower()
    group = next((group for group in ARCHITECTURES if full.startswith(f"{group}-")), None)
    if group is None:
        if model is None:
            raise unknown("model", full, names())
        group = family(dataset)
    rows = ARCHITECTURES.get(group)
    if rows is None:
        raise unknown("data set", dataset, ARCHITECTURES)
    short = full.removeprefix(f"{group}-")
    if model is not None and family(dataset) != group:
        raise UserError(
            f"model '{full}' is not for {dataset}; "
            f"choose from {', '.join(ARCHITECTURES.get(family(dataset), names()))}"
        )
    if short not in rows:
        raise unknown(f"model for {group}", short, rows)
    return group, short


def build(dataset: str, model: str | None = None):
    """Build a net with fresh weights: `build("mnist-1.5k-dw")` or `build("mnist", "1.5k-dw")`.

    Weights are drawn by PyTorch's default initialisation from its global generator.

    Returns: an `nn.Sequential` that maps images (N, C, H, W) to logits (N, 10), for any H, W
        that the poolings leave at least one pixel.
    Raises: UserError for an unknown name or a net of another data set.
    """
    group, short = split(dataset, model)
    traits = FAMILIES[group]
    return from_layers(ARCHITECTURES[group][short], traits.channels, bias=traits.bias)


def from_layers(layers: str, channels: int, *, bias: bool):
    """Build the net written as `layers`, in the notation of `ARCHITECTURES`.

    After each convolution but the classifier and the transition blocks stand one BatchNorm and
    one ReLU; in a depth-wise block they follow the point-wise part, with nothing before it.

    Args:
        layers: e.g. "8 DW12 TB8 M 16 GAP 10".
        channels: of the input image.
        bias: whether the convolutions before the classifier have one; the classifier has none.
    Raises: UserError for a word that is not in the notation, and where "GAP n" is not the end.
    """
    from torch import nn

    words = layers.split()
    if len(words) < 3 or words[-2] != "GAP" or not words[-1].isdigit():
        raise UserError(f"layers '{layers}': the end must be 'GAP' and the number of classes")
    net, counts = OrderedDict(), {"conv": 0, "tb": 0, "pool": 0}
    for word in words[:-2]:
        match = re.fullmatch(r"(?P<kind>DW|TB|)(?P<width>[1-9]\d*)|M", word)
        if match is None:
            raise UserError(f"layers '{layers}': cannot read '{word}'; write 16, DW16, TB16 or M")
        part = "pool" if word == "M" else "tb" if match["kind"] == "TB" else "conv"
        counts[part] += 1
        name = f"{part}{counts[part]}"
        if part == "pool":
            net[name] = nn.MaxPool2d(2)
            continue
        width = int(match["width"])
        if part == "tb":
            net[name] = nn.Conv2d(channels, width, 1, bias=bias)
        else:
            net[name] = _block(channels, width, depthwise=match["kind"] == "DW", bias=bias)
        channels = width
    net["gap"] = nn.AdaptiveAvgPool2d(1)
    net["classifier"] = nn.Conv2d(channels, int(words[-1]), 1, bias=False)
    net["flatten"] = nn.Flatten()
    return nn.Sequential(net)


def _block(inputs: int, outputs: int, *, depthwise: bool, bias: bool):
    """Convolution, BatchNorm, ReLU; the convolution dense or depth-wise separable."""
    from torch import nn

    if depthwise:
        convs = {
            "depthwise": nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=bias),
            "pointwise": nn.Conv2d(inputs, outputs, 1, bias=bias),
        }
    else:
        convs = {"conv": nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)}
    return nn.Sequential(OrderedDict(**convs, bn=nn.BatchNorm2d(outputs), relu=nn.ReLU()))
