"""Cutout: one square of every training image, at a random place, is set to zero."""

from numbers import Integral

import torch
from torch import Generator, Tensor

from effcnn.errors import UserError
from effcnn.techniques import SPECS, Technique


def cutout_batch(images: Tensor, length: int = 10, *, generator: Generator) -> Tensor:
    """Zero one square of every image; each image draws its own centre.

    Centres are uniform over pixels and the square is clipped at the border, so up to three quarters
    of it may fall outside. It covers rows `y - length // 2` onward, exactly `length` of them, odd
    lengths included (columns alike), in all channels.

    Args:
        images: (N, C, H, W), already normalised: zero is the training mean.
        length: side in pixels, 1..min(H, W); 10 in the paper (sec. III-G).
        generator: draws the N centres.
    Returns: (N, C, H, W), same dtype, device and memory format; `images` is left unchanged.
    Raises: UserError if `images` is not 4-D or `length` is out of range.
    Source: DeVries and Taylor 2017, arXiv:1708.04552. Composer draws one square for a whole batch.

    >>> images = torch.ones(2, 1, 8, 8)
    >>> int((cutout_batch(images, 3, generator=torch.Generator().manual_seed(0)) == 0).sum()) <= 18
    True
    """
    if images.dim() != 4:
        raise UserError(f"cutout takes images (N, C, H, W); these are {tuple(images.shape)}")
    sizes = images.shape[2:]
    if not isinstance(length, Integral) or not 1 <= length <= min(sizes):
        raise UserError(
            f"cutout length is {length}; for images of {sizes[0]}x{sizes[1]} pixels it must be a "
            f"whole number from 1 to {min(sizes)}"
        )
    rows, columns = (_inside(len(images), size, length, generator, images) for size in sizes)
    square = rows[:, None, :, None] & columns[:, None, None, :]  # (N, 1, H, W)
    return torch.where(square, 0, images)


def _inside(n: int, size: int, length: int, generator: Generator, like: Tensor) -> Tensor:
    """Which pixels of a side lie in the square, one draw per image: (N, size)."""
    centre = torch.randint(size, (n, 1), generator=generator, device=generator.device)
    after = torch.arange(size, device=like.device) - (centre.to(like.device) - length // 2)
    return (after >= 0) & (after < length)


class Cutout(Technique, spec=SPECS["co"]):
    """`co(length=10)` in a recipe."""

    def change_batch(self, images: Tensor, targets: Tensor, generator: Generator):
        return cutout_batch(images, self.length, generator=generator), targets
