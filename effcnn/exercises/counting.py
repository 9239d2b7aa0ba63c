"""Checks of the chapter on counting."""

from torch import nn

from effcnn import measure, models
from effcnn.errors import UserError
from effcnn.exercises import Wrong, checked, number


@checked
def layer(answer) -> None:
    """Parameters of a 3x3 convolution from 24 to 32 channels and its BatchNorm."""
    pair = nn.Sequential(nn.Conv2d(24, 32, 3, bias=False), nn.BatchNorm2d(32))
    expected = measure.count_parameters(pair)
    if answer == 9 * 24 * 32:
        raise Wrong("that is the convolution alone; batch normalisation has parameters too")
    if answer == 9 * 24 * 32 + 4 * 32:
        raise Wrong("running mean and variance are no parameters: nothing trains them")
    number(answer, expected, "a kernel for each pair of channels, a scale and a shift per channel")


@checked
def macs(answer) -> None:
    """Multiply-accumulates of that convolution on 14x14."""
    conv = nn.Conv2d(24, 32, 3, padding=1, bias=False)
    number(answer, measure.macs(conv, (24, 14, 14)), "every kernel is used at every place")


@checked
def field(answer) -> None:
    """The receptive field of conv, conv, pool, conv, conv."""
    number(answer, 14, "after the pooling each step is two pixels")


@checked
def function(answer) -> None:
    """A function that counts a dense 3x3 net from its widths."""
    for widths in ([1, 8, 16], [3, 10], [1, 4, 4, 20]):
        layers = " ".join(map(str, widths[1:]))
        net = models.from_layers(f"{layers} GAP 10", channels=widths[0], bias=False)
        expected = measure.count_parameters(net)
        if (got := answer(widths)) != expected:
            raise Wrong(f"for {widths} it gives {got}, and the net has {expected}")


@checked
def design(answer) -> None:
    """A layer string within three budgets."""
    within_budgets(answer, parameters=2_000, macs=500_000, pixels=24)


def within_budgets(answer: str, *, parameters: int, macs: int, pixels: int) -> None:
    """Raise `Wrong` unless this net for 28x28 pixels keeps to the budgets.

    Args:
        answer: layers, in the notation of `effcnn.models`.
        parameters, macs: at most so many.
        pixels: of the receptive field before GAP, per side: at least so many.
    """
    try:
        net = models.from_layers(answer, channels=1, bias=False)
    except (UserError, AttributeError) as error:
        raise Wrong(f"cannot build it: {error}") from None
    rows = measure.ledger(net, (1, 28, 28))
    gap = next(i for i, row in enumerate(rows) if row.kind == "AdaptiveAvgPool2d")
    found = {
        "parameters": (measure.count_parameters(net), parameters, "at most"),
        "MACs": (measure.macs(net, (1, 28, 28)), macs, "at most"),
        "pixels of receptive field": (rows[gap - 1].receptive_field, pixels, "at least"),
    }
    for name, (value, limit, which) in found.items():
        if (value > limit) if which == "at most" else (value < limit):
            raise Wrong(f"it has {value:,} {name}; it must have {which} {limit:,}")
