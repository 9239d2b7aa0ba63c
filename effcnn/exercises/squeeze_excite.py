"""Checks of the chapter on squeeze-and-excite."""

import torch

from effcnn import measure, models
from effcnn.errors import UserError
from effcnn.exercises import Wrong, checked, number
from effcnn.techniques.squeeze_excite import SqueezeExcite2d, apply_squeeze_excite


@checked
def count(answer) -> None:
    """Weights of a gate on 60 channels."""
    number(answer, measure.count_parameters(SqueezeExcite2d(60)), "two layers, 60 to 15 and back")


@checked
def blind(answer) -> None:
    """How much the gates of a map change when its pixels change places."""
    number(answer, 0, "what does a mean know of the order?")


@checked
def own(answer) -> None:
    """A function that gates maps with two given matrices."""
    draws = torch.Generator().manual_seed(0)
    gate = SqueezeExcite2d(8)
    w1, w2 = torch.randn(2, 8, generator=draws), torch.randn(8, 2, generator=draws)
    maps = torch.randn(3, 8, 5, 4, generator=draws)
    with torch.no_grad():
        gate.squeeze.weight.copy_(w1)
        gate.expand.weight.copy_(w2)
        expected, got = gate(maps), answer(maps, w1, w2)
    if got.shape != maps.shape:
        raise Wrong(f"the maps must keep their shape {tuple(maps.shape)}; got {tuple(got.shape)}")
    if torch.allclose(got, maps):
        raise Wrong("nothing is gated yet")
    if not torch.allclose(got, expected, atol=1e-5):
        raise Wrong("the gates are not right: mean, W1, ReLU, W2, sigmoid")


@checked
def rival(answer) -> None:
    """A layer string: as wide as mnist-1.5k-dw everywhere, and within the gated net's count."""
    own = models.ARCHITECTURES["mnist"]["1.5k-dw"]
    gated = models.build("mnist-1.5k-dw")
    apply_squeeze_excite(gated)
    limit = measure.count_parameters(gated)
    try:
        net = models.from_layers(answer, channels=1, bias=False)
    except (UserError, AttributeError) as error:
        raise Wrong(f"cannot build it: {error}") from None
    kinds = [[word.rstrip("0123456789") for word in text.split()] for text in (own, answer)]
    if kinds[0] != kinds[1]:
        raise Wrong(f"it must have the layers of '{own}', with other widths")
    widths = [
        [int("".join(filter(str.isdigit, word)) or 0) for word in text.split()]
        for text in (own, answer)
    ]
    if any(mine < theirs for theirs, mine in zip(*widths, strict=True)):
        raise Wrong("some layer is narrower than in mnist-1.5k-dw")
    if widths[1][-1] != 10:
        raise Wrong("there are ten classes")
    if (mine := measure.count_parameters(net)) > limit:
        raise Wrong(f"it has {mine:,} parameters; the gated net has {limit:,}")
    if widths[0] == widths[1]:
        raise Wrong("it is mnist-1.5k-dw itself; spend the weights")
