"""Checks of the chapter on combinations."""

import copy

import torch
from torch import nn

from effcnn import stats
from effcnn.exercises import Wrong, checked, numbers
from effcnn.techniques.blurpool import BlurMaxPool2d
from effcnn.techniques.squeeze_excite import SqueezeExcite2d


@checked
def surgery(answer) -> None:
    """Two nets of the same weights, with BlurPool and gates from surgery in either order."""
    first, second = answer if isinstance(answer, (tuple, list)) else (answer, None)
    if not isinstance(first, nn.Module) or not isinstance(second, nn.Module):
        raise Wrong("answer with the two nets")
    for net in (first, second):
        for kind in (BlurMaxPool2d, SqueezeExcite2d):
            if not any(isinstance(part, kind) for part in net.modules()):
                raise Wrong(f"a net has no {kind.__name__}: both need both kinds of surgery")
    one, two = (copy.deepcopy(net).eval() for net in (first, second))
    states = one.state_dict(), two.state_dict()
    if states[0].keys() != states[1].keys():
        raise Wrong("their weights do not have the same names; are they copies of one net?")
    if not all(torch.equal(states[0][name], states[1][name]) for name in states[0]):
        raise Wrong("their weights differ: the gates' are drawn anew in each surgery")
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        if not torch.equal(one(images), two(images)):
            raise Wrong("they give different outputs, so surgery did something else to one of them")


@checked
def average(answer) -> None:
    """How far the weights move in the last epoch with `swa` and `swa+oc`, over their length."""
    plain, cycle = numbers(answer, ["share with swa", "share with swa+oc"], 0, 1)
    if plain == 0 or cycle == 0:
        raise Wrong("nothing moves: `detach` is not enough, keep a copy of the weights")
    if cycle >= plain:
        raise Wrong("where is the rate at the end of one cycle? Are the two in this order?")


@checked
def reach(answer) -> None:
    """Runs per cell that resolve 0.3 points, where seeds scatter by 0.27."""
    [n] = numbers(answer, ["runs per cell"], 2, 1000)
    if n != int(n):
        raise Wrong("answer with a whole number of runs")
    if (found := stats.resolvable(0.27, int(n))) > 0.3:
        raise Wrong(f"with {n:g} runs each, nothing below {found:.2f} points is found so often")
    if stats.resolvable(0.27, int(n) - 1) <= 0.3:
        raise Wrong("that is enough; are fewer enough, too?")
