"""Does a net give the same answer when the image moves by a few pixels?"""

import torch
import torch.nn.functional as F
from torch import Tensor

from effcnn import runs
from effcnn.analyses import Show, rounded
from effcnn.data import Data, Split
from effcnn.results import Run
from effcnn.train import evaluate

REACH = 3  # pixels, in each direction


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """Images (N, C, H, W) uint8 moved by whole pixels, up to 3; the border is mirrored.

    >>> moved(torch.arange(25, dtype=torch.uint8).view(1, 1, 5, 5), 1, 0)[0, 0, :, 0]
    tensor([ 5,  0,  5, 10, 15], dtype=torch.uint8)
    """
    height, width = images.shape[-2:]
    padded = F.pad(images.float(), (REACH,) * 4, mode="reflect").to(images.dtype)
    top, left = REACH - down, REACH - right
    return padded[..., top : top + height, left : left + width]


def analyse(run: Run, content: Data, show: Show = iter) -> dict:
    """The net's answers to the test images at all shifts up to 3 pixels.

    Returns: `same` and `accuracy`, 7x7 each, by the shift down (-3..3) and to the right, in percent
        of the images: same answer as without a shift, and right answer; `consistency`, the mean of
        `same` over the 48 shifts; `always`, the percentage of the images with one answer at all.
    """
    model, test = runs.load(run), content.test
    plain = evaluate(model, test, content)["answer"]
    side = range(-REACH, REACH + 1)
    same, accuracy = torch.empty((2, len(side), len(side)), dtype=torch.double)
    always = torch.ones_like(plain, dtype=torch.bool)
    for down, right in show([(down, right) for down in side for right in side]):
        scores = evaluate(model, Split(moved(test.images, down, right), test.labels), content)
        equal = scores["answer"] == plain
        always &= equal
        same[down + REACH, right + REACH] = 100 * equal.double().mean()
        accuracy[down + REACH, right + REACH] = scores["accuracy"]
    others = (same.sum() - 100) / (same.numel() - 1)  # the unmoved one agrees with itself
    return {
        "images": len(plain),
        "same": rounded(same),
        "accuracy": rounded(accuracy),
        "consistency": rounded(others),
        "always": rounded(100 * always.double().mean()),
    }
