"""Right and wrong answers in the lessons of one technique each; see test_exercises.py."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from effcnn.techniques.blurpool import BlurMaxPool2d


def blur(row, **padding):
    wide = F.pad(row.view(1, 1, -1), (1, 1), **padding).flatten()
    return (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4


def pooled(after):
    """A pool by 2 and then `after`, as a module."""
    pool = nn.MaxPool2d(2)
    pool.register_forward_hook(lambda *args: after(args[2]))
    return pool


def cut(images, length, generator, own=2000, sides=(1, 1), apart=False):
    """Zero a whole square in each image; from the image `own` on, where the first has it."""
    images = images.clone()
    high, wide = int(length * sides[0]), int(length * sides[1])
    spans = images.shape[2] - high + 1, images.shape[3] - wide + 1
    places = [[torch.randint(n, (), generator=generator) for n in spans] for _ in images]
    for i, image in enumerate(images):
        y, x = places[i if i < own else 0]
        image[: 1 if apart else None, y : y + high, x : x + wide] = 0
    return images


def same_place(images, length):
    """So many draws that all pixels are hidden, and half of the images alike."""
    return cut(images, length, torch.Generator().manual_seed(2), own=999)


def cut_in_place(images, length, generator):
    images[:] = cut(images, length, generator)
    return images


def ece(confidence, right, bins=10, weighted=True, upper=True):
    places = np.ceil(confidence * bins) if upper else np.floor(confidence * bins)
    found = [
        (np.mean(places == one) if weighted else 1)
        * abs(confidence[places == one].mean() - right[places == one].mean())
        for one in np.unique(places)
    ]
    return 100 * sum(found)


def mixed(images, targets, alpha, rng, each=True, same=True):
    n = len(images)
    lam = rng.beta(alpha, alpha, n) if each else np.full(n, rng.beta(alpha, alpha))
    lam, order = torch.from_numpy(lam).float(), torch.from_numpy(rng.permutation(n))
    wide = lam.view(-1, 1, 1, 1) if same else 1 - lam.view(-1, 1, 1, 1)
    soft = lam[:, None] * targets + (1 - lam[:, None]) * targets[order]
    return wide * images + (1 - wide) * images[order], soft


def sam_step(weights, loss, rho, rate, per_tensor=False, climb=1):
    grads = torch.autograd.grad(loss(), weights)
    whole = torch.cat([grad.flatten() for grad in grads]).norm()
    ups = [climb * rho * grad / (grad.norm() if per_tensor else whole) for grad in grads]
    with torch.no_grad():
        for weight, up in zip(weights, ups, strict=True):
            weight += up
    grads = torch.autograd.grad(loss(), weights)
    with torch.no_grad():
        for weight, up, grad in zip(weights, ups, grads, strict=True):
            weight -= up + rate * grad


def pictures(**ratios):
    """Stored pictures: SAM's border over its centre is this, the baseline's 1."""
    squares = {}
    for data in ratios:
        for name, ratio in (("sam", ratios[data]), ("baseline", 1.0)):
            square = np.full((5, 5), ratio)
            square[2, 2] = 1
            squares[data, name] = {"picture": square.tolist()}
    return squares


def gated(maps, w1, w2, between=torch.relu):
    return maps * torch.sigmoid(between(maps.mean((2, 3)) @ w1.T) @ w2.T)[..., None, None]


# By check: a right answer, and wrong ones with a piece of the hint.
CASES = {
    "blurpool.shape": (8, [(7, "the shape that the max-pool"), ("eight", "must be a number")]),
    "blurpool.filter_by_hand": (
        lambda row: blur(row, mode="reflect"),
        [
            (blur, "the ends are not"),
            (lambda row: blur(row, mode="replicate"), "the ends are not"),
            (lambda row: row, "of [4.0"),
            (lambda row: row[1:], "must give 5 numbers"),
            (lambda row: None, "cannot be tried"),
        ],
    ),
    "blurpool.constant": (9 / 16, [(0.75, "two borders"), (1, "hangs over")]),
    "blurpool.equivariant": (
        [4, 2],
        [([2], "kept rows"), ([1, 2, 3, 4], "kept rows"), (2, "a list or set")],
    ),
    "blurpool.own_pool": (
        BlurMaxPool2d(2, 2),
        [
            (nn.MaxPool2d(2), "off by"),
            (nn.MaxPool2d(4), "must make (8, 3, 8, 8)"),
            (pooled(torch.zeros_like), "hardly depends"),
            (nn.MaxPool2d, "must be a module"),
        ],
    ),
    "cutout.one_pixel": (1, [(0.75, "hang over"), (0, "hang over")]),
    "cutout.as_strong": (11, [(10, "shares"), (12, "shares")]),
    "cutout.always_inside": (
        cut,
        [
            (lambda images, *_: images, "hides [0]"),
            (cut_in_place, "work on a copy"),
            (lambda *args: cut(*args, own=1), "never hidden"),
            (lambda images, length, _: same_place(images, length), "a place of its own"),
            (lambda *args: cut(*args, sides=(2, 0.5)), "not a square"),
            (lambda *args: cut(*args, apart=True), "in all channels"),
            (lambda images, *_: None, "cannot be tried"),
        ],
    ),
    "cutout.loss_by_digit": (
        dict.fromkeys(range(10), 3.0),
        [
            ({}, "all ten digits"),
            (dict.fromkeys(range(10), 0), "must cost some digit"),
            (dict.fromkeys(range(10), 300), "between -100 and 100"),
        ],
    ),
    "label_smoothing.goal": (0.802, [(0.8, "also gets its part"), (0.9, "also gets its part")]),
    "label_smoothing.lead": (4.51, [(2.2, "0.01 each"), (math.log(9), "0.01 each")]),
    "label_smoothing.ece": (
        ece,
        [
            (lambda *args: ece(*args) / 100, "95% sure, 50% right"),
            (lambda *args: ece(*args, bins=2), "two bins of one"),
            (lambda *args: ece(*args, weighted=False), "5 and 55 points"),
            (lambda *args: ece(*args, upper=False), "lies on an edge"),
            (lambda confidence, right: 100 * abs(confidence - right).mean(), "50% right"),
        ],
    ),
    "label_smoothing.temperature": (1.4, [(0, "between 0.5 and 3"), (10, "as temperature")]),
    "mixup.same_class": (1, [(0.7, "go to the same class"), (0.58, "the same class")]),
    "mixup.least": (0.693, [(0, "the target itself"), (1, "the target itself")]),
    "mixup.per_image": (
        mixed,
        [
            (lambda *args: mixed(*args, each=False), "draw one for each"),
            (lambda *args: mixed(*args, same=False), "that the targets show"),
            (lambda images, targets, *_: (images, targets), "nothing is mixed"),
            (lambda images, targets, *_: (images, 2 * targets), "must sum to 1"),
            (lambda images, *_: images, "return the mixed images and"),
        ],
    ),
    "mixup.intruders": ((0.3, 0.1), [((30, 10), "between 0 and 1"), (0.3, "2 number(s)")]),
    "sam.step": (
        0.2,
        [(0.8, "plain gradient"), (1.2, "from the raised weight"), (1, "at w + rho")],
    ),
    "sam.flat": (100, [(10, "second derivatives"), (1, "second derivatives")]),
    "sam.own": (
        sam_step,
        [
            (lambda *args: None, "do not move"),
            (lambda *args: sam_step(*args, per_tensor=True), "one norm over all"),
            (lambda *args: sam_step(*args, climb=0), "it goes to"),
            (lambda *args: sam_step(*args, climb=-1), "it goes to"),
        ],
    ),
    "sam.picture": (
        (["mnist"], pictures(mnist=0.9, cifar10=1.1)),
        [
            ((["cifar10"], pictures(mnist=0.9, cifar10=1.1)), "the outer frame"),
            (([], pictures(mnist=0.9, cifar10=1.1)), "the outer frame"),
            (([], pictures(mnist=0.9)), "the outer frame"),  # a data set that is still to come
            ((..., pictures(mnist=0.9, cifar10=1.1)), "no answer yet"),
            (["mnist"], "cannot be tried"),
        ],
    ),
    "squeeze_excite.count": (1800, [(3600, "60 to 15"), (1875, "and back")]),
    "squeeze_excite.blind": (0, [(1, "what does a mean know"), (0.5, "of the order")]),
    "squeeze_excite.own": (
        gated,
        [
            (lambda maps, *_: maps, "nothing is gated"),
            (lambda *args: gated(*args, between=lambda x: x), "mean, W1, ReLU"),
            (lambda maps, *_: maps.mean((2, 3)), "keep their shape"),
        ],
    ),
    "squeeze_excite.rival": (
        "8 DW12 TB8 M DW12 DW18 TB14 M DW17 GAP 10",
        [
            ("8 DW12 TB8 M DW12 DW16 TB12 M DW15 GAP 10", "spend the weights"),
            ("8 DW12 TB8 M DW12 DW15 TB12 M DW18 GAP 10", "some layer is narrower"),
            ("8 DW12 TB8 M DW12 DW64 TB12 M DW15 GAP 10", "the gated net has"),
            ("8 DW12 TB8 M DW12 DW16 TB12 M DW15 GAP 11", "ten classes"),
            ("8 M 16 GAP 10", "must have the layers"),
            (8, "cannot build it"),
        ],
    ),
}
