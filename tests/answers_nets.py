"""Right and wrong answers in the chapters on nets, claims and speed; see test_exercises.py."""

import json
from itertools import pairwise
from pathlib import Path

from torch import nn


def count(widths, norm=2):
    return sum(9 * a * b + norm * b for a, b in pairwise(widths)) + 10 * widths[-1]


def folded(block, bias=True):
    first, mix = block.depthwise, block.pointwise
    wide = nn.Conv2d(16, 32, 3, padding=1)
    wide.weight.data = mix.weight * first.weight.transpose(0, 1)
    wide.bias.data = mix.bias + bias * (mix.weight[:, :, 0, 0] @ first.bias)
    return nn.Sequential(wide, block.bn, block.relu)


def halves(dense, wise, z=1.96, points=100, swapped=False):
    n, b, c = len(dense), (dense & ~wise).sum(), (wise & ~dense).sum()
    errors = (b + c - (b - c) ** 2 / n) ** 0.5 / n, ((dense.var() + wise.var()) / n) ** 0.5
    return tuple(points * z * error for error in (errors[::-1] if swapped else errors))


def mean_of_maps(groups=15, bias=False, weight=1 / 49):
    conv = nn.Conv2d(15, 15, 7, groups=groups, bias=bias)
    nn.init.constant_(conv.weight, weight)
    return conv


def gain(faster):
    """How much faster a step is if these convolutions take a quarter of their time."""
    file = Path(__file__).parent.parent / "benchmarks" / "layers.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["nets"]["cifar10-143k-dw"]
    before = sum(row.get("fused_seconds", row["seconds"]) for row in rows)
    saved = [row["seconds"] * 0.75 for row in rows if faster(row["kind"], row["layer"])]
    return before / (before - sum(saved))


ERRORS = {"mnist": (0.86, 52), "cifar10": (6.86, 34)}


# By check: a right answer, and wrong ones with a piece of the hint.
CASES = {
    "contradictions.errors": (
        ERRORS,
        [
            ({"mnist": (0.86, 52)}, "with a dict"),
            ({**ERRORS, "mnist": (0.85, 52)}, "the best number for mnist"),
            ({**ERRORS, "cifar10": (3.62, 18)}, "the best number for cifar10"),
            ({**ERRORS, "cifar10": (6.86, 8.6)}, "of cifar10's images"),
            ({**ERRORS, "mnist": (0.86, 0.52)}, "of mnist's images"),
            ({**ERRORS, "mnist": 0.86}, "2 number(s)"),
        ],
    ),
    "contradictions.gates": (13, [(12, "still has"), (16, "the smaller side"), (0, "which is")]),
    "contradictions.order": (
        (13, 10),
        [((15, 10), "ordered alike"), ((13, 5), "of the six"), (13, "2 number(s)")],
    ),
    "counting.layer": (6976, [(6912, "alone"), (7040, "nothing trains"), (1, "a kernel for each")]),
    "counting.macs": (1_354_752, [(6912, "at every place"), (2 * 1_354_752, "at every place")]),
    "counting.field": (14, [(10, "each step is two"), (18, "each step is two")]),
    "counting.function": (
        count,
        [
            (lambda widths: count(widths, norm=0), "the net has"),
            (lambda widths: None, "gives None"),
        ],
    ),
    "counting.design": (
        "6 M DW12 DW16 M DW16 DW18 GAP 10",
        [
            ("8 M 16 GAP 10", "at least 24"),
            ("64 64 GAP 10", "at most 2,000"),
            ("12 8 GAP 10", "at most 500,000"),
            ("8 16", "cannot build it"),
            (8, "cannot build it"),
        ],
    ),
    "depthwise.traffic": (
        (0.22, 0.4),
        [
            ((0.4, 0.22), "per place"),
            ((0.22, 0.5), "reads its input"),
            ((22, 40), "between 0 and 1"),
        ],
    ),
    "depthwise.fold": (
        folded,
        [
            (lambda block: folded(block, bias=False), "the bias is not"),
            (lambda block: block, "with groups"),
            (lambda block: nn.Conv2d(16, 32, 3, padding=1), "other maps"),
            (lambda block: nn.Conv2d(16, 32, 3), "must make (2, 32, 9, 8)"),
            (lambda block: None, "must return a module"),
        ],
    ),
    "depthwise.paired": (
        halves,
        [
            (lambda *args: halves(*args, points=1), "a hundred times"),
            (lambda *args: halves(*args, z=1), "is wider"),
            (lambda *args: halves(*args, swapped=True), "as ± of the paired"),
            (lambda *args: halves(*args)[0], "2 number(s)"),
        ],
    ),
    "heads.dense": (41_600, [(2600, "each of the 4,160"), (41_610, "each class")]),
    "heads.shuffle": (0, [(100, "what does a mean know"), ("none", "a number")]),
    "heads.gap": (
        mean_of_maps(),
        [
            (mean_of_maps(groups=1), "on its own"),
            (mean_of_maps(bias=True), "is there a bias"),
            (mean_of_maps(weight=1), "not the means"),
            (nn.Conv2d(15, 15, 3), "must make (3, 15, 1, 1)"),
            (nn.AdaptiveAvgPool2d(1), "an nn.Conv2d"),
        ],
    ),
    "heads.maximum": (91.5, [(0.915, "between 30 and 100"), (None, "1 number(s)")]),
    "shrinking.block": (
        192,
        [(888, "dense"), (168, "normalisation has"), (208, "one normalisation")],
    ),
    "shrinking.net": (
        "6 DW8 TB6 M DW8 DW12 TB8 M DW12 GAP 10",
        [
            ("8 DW12 TB8 M DW12 DW16 TB12 M DW15 GAP 10", "at most 999"),
            ("4 DW8 M DW12 GAP 10", "at least 20"),
            ("6 DW6 DW6 DW6 DW6 DW6 M DW6 DW6 GAP 10", "at most 407,045"),
            ("", "cannot build it"),
        ],
    ),
    "shrinking.seeds": (
        ([73.0, 52.4, 57.5], 26.7),
        [
            (([73.0, 52.4, 57.5], 12.2), "takes the spread for known"),
            (([73.0, 52.4, 57.5], 10.8), "a t interval"),
            (([60.0, 60.0, 60.0], 0), "a seed of its own"),
            (([0.73, 0.52, 0.58], 0.27), "between 20 and 100"),
            (([73.0, 52.4], 26.7), "3 number(s)"),
            ([73.0, 52.4, 57.5], "with two things"),
        ],
    ),
    "speed.traffic": (3.2, [(1.6, "it also writes"), (3.2e6, "read and written")]),
    "speed.share": (36, [(0.36, "between 2 and 98"), (100, "between 2 and 98")]),
    "speed.amdahl": (
        gain(lambda kind, layer: kind == "Conv2d" and "depthwise" not in layer),
        [
            (4, "what is left"),
            (1, "what is left"),
            (gain(lambda kind, layer: kind == "Conv2d"), "do not get faster"),
        ],
    ),
}
