"""Checks of the chapter on mixup."""

import math

import numpy as np
import torch

from effcnn.exercises import Wrong, checked, number, numbers


@checked
def same_class(answer) -> None:
    """The target of a class that both images have."""
    number(answer, 1, "both parts of the target go to the same class", within=1e-6)


@checked
def least(answer) -> None:
    """The smallest loss on targets of one half and one half."""
    number(answer, math.log(2), "the best answer is the target itself", within=1e-3)


@checked
def per_image(answer) -> None:
    """A function that mixes with a weight per image."""
    images = torch.rand(64, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.eye(64)
    got = answer(images.clone(), targets.clone(), 0.5, np.random.default_rng(0))
    if not isinstance(got, tuple) or [x.shape for x in got] != [images.shape, targets.shape]:
        raise Wrong("return the mixed images and the mixed targets, in their shapes")
    mixed, soft = got
    if not torch.allclose(soft.sum(1), torch.ones(64)):
        raise Wrong("each row of targets must sum to 1")
    expected = torch.einsum("ij,jchw->ichw", soft, images)
    if not torch.allclose(mixed, expected, atol=1e-4):
        raise Wrong("the images are not mixed with the weights that the targets show")
    own = soft.diag()
    if (own > 1 - 1e-6).all():
        raise Wrong("nothing is mixed")
    if own[own < 1 - 1e-6].unique().numel() < 20:
        raise Wrong("the weight is the same for many images; draw one for each")


@checked
def intruders(answer) -> None:
    """Shares of the steps with a third class, for two nets."""
    numbers(answer, ["share of the plain net", "share of the net with mixup"], 0, 1)
