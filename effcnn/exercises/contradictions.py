"""Checks of the chapter on the paper's contradictions."""

from itertools import combinations

from torch import nn

from effcnn import models, paper
from effcnn.exercises import Wrong, checked, number, numbers


@checked
def errors(answer) -> None:
    """By data set: points gained by the best number, and the share of the errors that is gone."""
    best = {
        "mnist": max(paper.TABLE_4["mnist"].values()),
        "cifar10": max([*paper.TABLE_4["cifar10"].values(), *paper.TABLE_5.values()]),
    }
    if not isinstance(answer, dict) or set(answer) != set(best):
        raise Wrong("answer with a dict: {'mnist': (points, percent), 'cifar10': ...}")
    for data, highest in best.items():
        points, gone = numbers(answer[data], ["points", "percent of the errors"], 0, 100)
        before = paper.TABLE_4[data]["baseline"]
        hint = f"the best number for {data} in both tables, minus its baseline"
        number(points, highest - before, hint, within=0.006)
        hint = f"which percentage of {data}'s images does the baseline get wrong?"
        number(gone, 100 * (highest - before) / (100 - before), hint, within=0.6)


@checked
def gates(answer) -> None:
    """The smallest `min_channels` that gates nothing of mnist-1.5k-dw."""
    convs = [m for m in models.build("mnist-1.5k-dw").modules() if isinstance(m, nn.Conv2d)]
    widest = max(min(conv.in_channels, conv.out_channels) for conv in convs)
    if answer == widest:
        raise Wrong("that many channels one convolution still has on both sides")
    number(answer, widest + 1, "the smaller side of each convolution counts: which is the largest?")


@checked
def order(answer) -> None:
    """Pairs that Table 4 orders alike on both data sets: of all eight, and without M and OC."""
    names = ["pairs of all eight", "pairs without M and OC"]
    eight, six = numbers(answer, names, 0, 28)
    hint = "a pair is ordered alike where the same one is higher in both columns"
    number(eight, _alike(), hint)
    number(six, _alike(without=("m", "oc")), f"of the six: {hint}")


def _alike(without: tuple[str, ...] = ()) -> int:
    """Pairs of single techniques that both columns of Table 4 order alike."""
    mnist, cifar = paper.TABLE_4["mnist"], paper.TABLE_4["cifar10"]
    left = [n for n in mnist if n in cifar and n not in ("baseline", *without)]
    return sum((mnist[a] > mnist[b]) == (cifar[a] > cifar[b]) for a, b in combinations(left, 2))
