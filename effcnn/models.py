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

LONGEST = 200  # characters of a layer string in a recipe: it gives a folder its name


def family(dataset: str) -> str:
    """The family of nets made for a data set: `mnist-sample` takes MNIST's."""
    return dataset.removesuffix("-sample")


def names() -> list[str]:
    """The full names, in the paper's order: mnist-25k ... cifar10-143k-dw."""
    return [f"{group}-{model}" for group, rows in ARCHITECTURES.items() for model in rows]


def split(dataset: str, model: str | None = None) -> tuple[str, str]:
    """`("mnist", "1.5k-dw")`, from that pair or from the full name in either place.

    A model may also be layers of one's own, "8 M DW16 GAP 10": they come back in one spelling, or
    as the paper's name where they are one of its nets.

    Raises `UserError` for an unknown name, for a net of another data set, and for layers that make
    no net for it.
    """
    if model is not None and len(model.split()) > 1:
        return family(dataset), _own(family(dataset), model)
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
        error = unknown(f"model for {group}", short, rows)
        raise UserError(f"{error}, or write its layers: '8 M DW16 GAP 10'")
    return group, short


def _own(group: str, layers: str) -> str:
    """Layers of one's own in one spelling; the paper's name where they are one of its nets."""
    if group not in FAMILIES:
        raise unknown("data set", group, FAMILIES)
    traits, text = FAMILIES[group], " ".join(layers.upper().split())
    if len(text) > LONGEST:
        raise UserError(f"layers have {len(text):,} characters; a recipe takes {LONGEST}")
    words = read(text)
    if words[-1] != ("GAP", traits.classes):
        raise UserError(f"layers '{text}': write 'GAP {traits.classes}', the classes of {group}")
    pools = words.count(("M", 0))
    if not traits.size >> pools:
        raise UserError(f"layers '{text}': {pools} M leave no pixel of {traits.size}x{traits.size}")
    return next((name for name, known in ARCHITECTURES[group].items() if known == text), text)


def read(layers: str) -> list[tuple[str, int]]:
    """The words of a layer string as kinds and widths; max-pooling has the width 0.

    >>> read("8 M DW16 GAP 10")
    [('', 8), ('M', 0), ('DW', 16), ('GAP', 10)]

    Raises: UserError for a word that is not in the notation, and where "GAP n" is not the end.
    """
    words = layers.split()
    number = "[1-9][0-9]{0,3}"  # no net here is near 10,000 channels, and a typing error may be
    if len(words) < 3 or words[-2] != "GAP" or not re.fullmatch(number, words[-1]):
        raise UserError(f"layers '{layers}': the end must be 'GAP' and the number of classes")
    found = []
    for word in words[:-2]:
        match = re.fullmatch(f"(?P<kind>DW|TB|)(?P<width>{number})|M", word)
        if match is None:
            raise UserError(
                f"layers '{layers}': cannot read '{word}'; write 16, DW16, TB16 or M, "
                "with up to 9,999 channels"
            )
        found.append(("M", 0) if word == "M" else (match["kind"], int(match["width"])))
    return [*found, ("GAP", int(words[-1]))]


def build(dataset: str, model: str | None = None):
    """Build a net with fresh weights: `build("mnist-1.5k-dw")` or `build("mnist", "1.5k-dw")`.

    The model may also be layers of one's own: `build("mnist", "8 M DW16 GAP 10")`. Weights are
    drawn by PyTorch's default initialisation from its global generator.

    Returns: an `nn.Sequential` that maps images (N, C, H, W) to logits (N, 10), for any H, W
        that the poolings leave at least one pixel.
    Raises: UserError for an unknown name or a net of another data set.
    """
    group, short = split(dataset, model)
    traits = FAMILIES[group]
    layers = ARCHITECTURES[group].get(short, short)
    return from_layers(layers, traits.channels, bias=traits.bias)


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

    net, counts = OrderedDict(), {"conv": 0, "tb": 0, "pool": 0}
    *words, (_, classes) = read(layers)
    for kind, width in words:
        part = {"M": "pool", "TB": "tb"}.get(kind, "conv")
        counts[part] += 1
        name = f"{part}{counts[part]}"
        if part == "pool":
            net[name] = nn.MaxPool2d(2)
            continue
        if part == "tb":
            net[name] = nn.Conv2d(channels, width, 1, bias=bias)
        else:
            net[name] = _block(channels, width, depthwise=kind == "DW", bias=bias)
        channels = width
    net["gap"] = nn.AdaptiveAvgPool2d(1)
    net["classifier"] = nn.Conv2d(channels, classes, 1, bias=False)
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
