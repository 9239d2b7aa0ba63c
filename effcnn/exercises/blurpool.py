"""Checks of the chapter on BlurPool."""

import torch
from torch import nn

from effcnn.exercises import Wrong, checked, number
from effcnn.techniques.blurpool import BlurMaxPool2d


@checked
def shape(answer) -> None:
    """Rows that BlurMaxPool2d(3, stride=2, padding=1) makes of 15."""
    rows = BlurMaxPool2d(3, 2, 1)(torch.zeros(1, 1, 15, 15)).shape[2]
    number(answer, rows, "it is the shape that the max-pool itself would give")


@checked
def filter_by_hand(answer) -> None:
    """A function that blurs a row of numbers with [1, 2, 1] / 4, mirrored at both ends."""
    row = torch.tensor([4.0, 0.0, 0.0, 8.0, 0.0])
    got = torch.as_tensor(answer(row), dtype=torch.float)
    expected = torch.tensor([2.0, 1.0, 2.0, 4.0, 4.0])
    if got.shape != row.shape:
        raise Wrong(f"it must give {len(row)} numbers, and gives {tuple(got.shape)}")
    if torch.allclose(got, expected):
        return
    if torch.allclose(got[1:-1], expected[1:-1]):
        raise Wrong("the middle is right; the ends are not: mirrored, [4, 0, ...] has 0 before 4")
    raise Wrong(f"of {row.tolist()} it makes {got.tolist()}")


@checked
def constant(answer) -> None:
    """What a padding with zeros makes of a constant 1 in the corner of a map."""
    number(answer, 0.75**2, "a quarter of the filter hangs over each of the two borders")


@checked
def equivariant(answer) -> None:
    """The shifts, of 1, 2, 3 and 4 pixels, that move a BlurPool's output by whole pixels."""
    try:
        shifts = {int(shift) for shift in answer}
    except (TypeError, ValueError):
        raise Wrong("answer with a list or set of shifts, such as [1, 3]") from None
    if shifts != {2, 4}:
        raise Wrong("the pool keeps every second row: which shifts map kept rows to kept rows?")


@checked
def own_pool(answer) -> None:
    """A module that pools by 2 and moves by half a pixel where its input moves by one."""
    if not isinstance(answer, nn.Module):
        raise Wrong("the answer must be a module")
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        if (got := answer(images).shape) != (8, 3, 8, 8):
            raise Wrong(f"of (8, 3, 16, 16) it must make (8, 3, 8, 8), and makes {tuple(got)}")
        if not answer(images).std() > 0.01:
            raise Wrong("it hardly depends on the image any more")
        mine, plain = (off(pool, images) for pool in (answer, nn.MaxPool2d(2)))
    if mine >= plain:
        raise Wrong(f"it is off by {mine:.3f} of its spread, max-pooling by {plain:.3f}")


def off(pool: nn.Module, images: torch.Tensor) -> float:
    """How far a pool by 2 is from moving by half a pixel where its input moves by one.

    The mean distance from the middle between neighbours, over the output's standard deviation.
    """
    one, two = pool(images), pool(images.roll(1, 3))
    half = (one + one.roll(1, 3)) / 2
    return ((two - half)[..., 2:-2].abs().mean() / one.std()).item()
