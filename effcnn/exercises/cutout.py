"""Checks of the chapter on cutout."""

import torch

from effcnn.exercises import Wrong, checked, number


def share(size: int, length: int) -> float:
    """Expected share of an image of this size that cutout hides, by counting."""
    rows = [
        sum(0 <= row < size for row in range(centre - length // 2, centre - length // 2 + length))
        for centre in range(size)
    ]
    return (sum(rows) / size**2) ** 2


@checked
def one_pixel(answer) -> None:
    """Pixels that a square of one pixel hides."""
    number(answer, 1, "can a single pixel hang over the border?")


@checked
def as_strong(answer) -> None:
    """The length on 32x32 pixels that hides the share of 10 on 28x28."""
    best = min(range(1, 33), key=lambda length: abs(share(32, length) - share(28, 10)))
    number(answer, best, "compare expected shares, not lengths")


@checked
def always_inside(answer) -> None:
    """A function that zeroes a whole square in each image."""
    draws = torch.Generator().manual_seed(0)
    images = torch.ones(2000, 2, 12, 10)
    got = answer(images, 4, draws)
    if not torch.equal(images, torch.ones_like(images)):
        raise Wrong("it changes the images that it was given; work on a copy")
    cut = got == 0
    if not torch.equal(cut[:, 0], cut[:, 1]):
        raise Wrong("the square must be the same in all channels of an image")
    if (counts := cut[:, 0].sum((1, 2))).ne(16).any():
        raise Wrong(f"a square of 4 must hide 16 pixels; it hides {counts.unique().tolist()}")
    if not cut[:, 0].any(0).all():
        raise Wrong("some pixels are never hidden in 2,000 images; are all places possible?")
    if (cut[:, 0].any(2).sum(1) != 4).any() or (cut[:, 0].any(1).sum(1) != 4).any():
        raise Wrong("what it hides is not a square of 4x4")
    if (cut[:, 0] != cut[:1, 0]).flatten(1).any(1).sum() < 1000:
        raise Wrong("each image must draw a place of its own")


@checked
def loss_by_digit(answer) -> None:
    """Points of accuracy lost by digit, when the middle is hidden."""
    if not isinstance(answer, dict) or set(answer) != set(range(10)):
        raise Wrong("answer with a dict of all ten digits: {0: points lost, 1: ...}")
    lost = list(map(float, answer.values()))
    if not all(-100 <= value <= 100 for value in lost):
        raise Wrong("points of accuracy lie between -100 and 100")
    if max(lost) <= 0:
        raise Wrong("hiding the middle must cost some digit something; is the square there?")
