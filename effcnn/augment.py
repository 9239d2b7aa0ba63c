"""Augmentation of whole batches of 8-bit images; every draw comes from the generator given.

Every function takes images (N, C, H, W) uint8 and returns the same; the input is left unchanged.
"""

import math
from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from effcnn.errors import UserError, unknown


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirror each image left to right with probability 1/2."""
    flipped = _draw(2, images, generator)
    both = torch.cat((images, images.flip(3)))
    # Copying whole images by index is several times faster than torch.where.
    return both.index_select(0, _numbers(images) + len(images) * flipped)


def crop(images: Tensor, generator: Generator, padding: int = 4) -> Tensor:
    """Move each image by up to `padding` pixels; what moves in is the image mirrored at its border.

    As torchvision's RandomCrop(32, padding=4, padding_mode="reflect") does; 4 is the value usual
    for CIFAR-10 (He et al., 2016). Mirrored and not black, as in the fastest CIFAR-10 trainings.
    Raises UserError for a side of no more than `padding` pixels.
    """
    if min(images.shape[2:]) <= padding:
        raise UserError(f"crop needs images of more than {padding} pixels a side, to mirror them")
    rows, columns = (_mirrored(size, padding, images.device) for size in images.shape[2:])
    return _windows(images[:, :, rows][:, :, :, columns], images.shape[2:], generator)


def shift(images: Tensor, generator: Generator, padding: int = 2) -> Tensor:
    """Move each image by up to `padding` pixels; what moves in is black: for MNIST, the background.

    2 pixels are this project's choice: digits leave a margin of 4.
    """
    return _windows(F.pad(images, (padding,) * 4), images.shape[2:], generator)


def _mirrored(size: int, padding: int, device: torch.device) -> Tensor:
    """Pixel numbers 2 1 0 1 2 3 ... of a side that is padded by mirroring."""
    index = torch.arange(-padding, size + padding, device=device).abs()
    return torch.minimum(index, 2 * (size - 1) - index)


def _windows(padded: Tensor, size: torch.Size, generator: Generator) -> Tensor:
    """One window of `size` from each padded image, each place equally likely."""
    height, width = size
    top = _draw(padded.shape[2] - height + 1, padded, generator)
    left = _draw(padded.shape[3] - width + 1, padded, generator)
    # All windows there are, as a view: (N, C, tops, lefts, H, W).
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[_numbers(padded), :, top, left]


def rotate(images: Tensor, generator: Generator, degrees: float = 15.0) -> Tensor:
    """Turn each image about its centre by an angle uniform in ±`degrees`, bilinearly.

    15 degrees are this project's choice: digits stay far from looking like others.
    """
    height, width = images.shape[2:]
    draws = torch.rand(len(images), generator=generator, device=generator.device)
    angle = (2 * draws.to(images.device) - 1) * math.radians(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # The grid runs from -1 to 1 along both sides, so an oblong image needs its aspect ratio here.
    rows = (cos, -sin * height / width, zero, sin * width / height, cos, zero)
    theta = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False).round().to(torch.uint8)


# In the order in which they are applied: black corners of a turned digit may be moved out again.
AUGMENTATIONS = {"flip": flip, "rotate": rotate, "shift": shift, "crop": crop}


def augment(images: Tensor, names: Collection[str], generator: Generator) -> Tensor:
    """Apply the augmentations named, in the order of AUGMENTATIONS whatever the order of `names`.

    >>> images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    >>> augment(images, ("crop", "flip"), torch.Generator()).shape  # first flip, then crop
    torch.Size([8, 3, 32, 32])

    Raises UserError for a name that is not in AUGMENTATIONS.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)
    for name, function in AUGMENTATIONS.items():
        if name in names:
            images = function(images, generator)
    return images


def _draw(high: int, images: Tensor, generator: Generator) -> Tensor:
    """One integer below `high` per image (N,): from a CPU generator the same on every device."""
    draws = torch.randint(high, (len(images),), generator=generator, device=generator.device)
    return draws.to(images.device)


def _numbers(images: Tensor) -> Tensor:
    return torch.arange(len(images), device=images.device)
