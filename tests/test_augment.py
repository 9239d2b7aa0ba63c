"""Augmentations against torchvision and plain loops, and the distribution of their draws."""

import math

import numpy as np
import pytest
import torch

from effcnn.augment import AUGMENTATIONS, augment, crop, flip, rotate, shift
from effcnn.errors import UserError
from effcnn.files import torchvision_datasets


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(n=3, c=2, h=7, w=5, low=0):
    return torch.randint(low, 256, (n, c, h, w), dtype=torch.uint8, generator=seeded(99))


@pytest.fixture(scope="module")
def functional():
    torchvision_datasets()
    from torchvision.transforms.v2 import functional

    return functional


@pytest.mark.parametrize("function", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
@pytest.mark.parametrize("shape", [(3, 2, 7, 5), (1, 1, 5, 7), (4, 3, 6, 9)])
def test_contract(function, shape):
    images = batch(*shape)
    before, state = images.clone(), torch.random.get_rng_state()
    out = function(images, seeded())
    assert out.shape == images.shape
    assert out.dtype == torch.uint8
    assert torch.equal(images, before)
    assert torch.equal(out, function(images, seeded()))
    assert out.data_ptr() != images.data_ptr() or images.numel() == 0
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("function", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_each_image_has_its_own_draw_and_each_call_too(function):
    images = batch(1, low=1).expand(64, -1, -1, -1)
    generator = seeded()
    first, second = function(images, generator), function(images, generator)
    assert len(first.unique(dim=0)) > 1
    assert not torch.equal(first, second)


def test_flip_mirrors_left_to_right_one_image_in_two(functional):
    images = batch(4000)
    out = flip(images, seeded())
    flipped = (out != images).flatten(1).any(1)
    assert torch.equal(out[flipped], functional.horizontal_flip(images[flipped]))
    # Four standard deviations of a fair coin.
    assert abs(flipped.float().mean() - 0.5) < 4 * 0.5 / math.sqrt(4000)


MOVES = [(crop, 4, "reflect"), (shift, 2, "constant")]


def move(images, function, padding, mode, functional):
    """Where each image was moved to: the one place at which torchvision gives the same pixels."""
    padded = functional.pad(images.float(), [padding], padding_mode=mode).to(torch.uint8)
    height, width = images.shape[2:]
    out, places = function(images, seeded()), []
    for image, ours in zip(padded, out, strict=True):
        found = [
            (top, left)
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
            if torch.equal(ours, image[:, top : top + height, left : left + width])
        ]
        assert len(found) == 1
        places += found
    return np.array(places)


@pytest.mark.parametrize(("function", "padding", "mode"), MOVES)
def test_moves_are_torchvisions_and_reach_all_places_evenly(function, padding, mode, functional):
    n, side = 1215, 2 * padding + 1
    places = move(batch(n, 2, 7, 6, low=1), function, padding, mode, functional)
    counts = np.bincount(places @ [side, 1], minlength=side**2)
    assert counts.min() > 0
    # Chi-squared of side**2 - 1 degrees of freedom: mean plus five standard deviations.
    expected = n / side**2
    freedom = side**2 - 1
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 5 * math.sqrt(2 * freedom)
    assert abs(np.corrcoef(places.T)[0, 1]) < 4 / math.sqrt(n)


def test_crop_needs_pixels_to_mirror():
    with pytest.raises(UserError, match="more than 4 pixels"):
        crop(batch(3, 1, 4, 9), seeded())


@pytest.mark.parametrize("size", [(9, 9), (13, 8), (7, 12)])
def test_rotate_is_torchvisions_for_the_same_angles(functional, size):
    images = batch(6, 3, *size)
    out = rotate(images, seeded(5))
    draws = torch.rand(6, generator=seeded(5))
    for image, ours, draw in zip(images, out, draws, strict=True):
        theirs = functional.rotate(
            image, float(30 * draw - 15), functional.InterpolationMode.BILINEAR
        )
        assert (ours.int() - theirs.int()).abs().max() <= 1  # rounding
    assert not torch.equal(out, images)


def slow_rotation(image, angle):
    """Bilinear, about the centre, black outside: pixel by pixel."""
    h, w = image.shape
    black = np.pad(image.astype(float), 1)
    out = np.zeros((h, w))
    for row in range(h):
        for column in range(w):
            y, x = row - (h - 1) / 2, column - (w - 1) / 2
            y, x = (
                math.sin(angle) * x + math.cos(angle) * y + (h - 1) / 2 + 1,
                math.cos(angle) * x - math.sin(angle) * y + (w - 1) / 2 + 1,
            )
            i, j = math.floor(y), math.floor(x)
            for a, b in ((i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1)):
                if 0 <= a < h + 2 and 0 <= b < w + 2:
                    out[row, column] += (1 - abs(y - a)) * (1 - abs(x - b)) * black[a, b]
    return out


@pytest.mark.parametrize("size", [(5, 9), (8, 3)])
def test_rotate_is_a_rotation_on_oblong_images(size):
    images = batch(4, 1, *size)
    out = rotate(images, seeded(3), degrees=80)
    draws = torch.rand(4, generator=seeded(3)).tolist()
    for image, ours, draw in zip(images, out, draws, strict=True):
        slow = slow_rotation(image[0].numpy(), math.radians(160 * draw - 80))
        assert np.abs(ours[0].numpy() - slow).max() < 0.51


def test_rotate_turns_both_ways_and_up_to_its_limit():
    # A spot above the centre of a wide picture shows the angle by where it lands.
    images = torch.zeros(2000, 1, 41, 41, dtype=torch.uint8)
    images[:, :, 1:4, 19:22] = 255
    mass = rotate(images, seeded())[:, 0].double()
    x = (mass.sum(1) * torch.arange(-20, 21)).sum(1)
    y = (mass.sum(2) * torch.arange(-20, 21)).sum(1)
    angles = torch.atan2(x, -y).rad2deg()
    assert 14.8 < angles.max() < 15.2
    assert -15.2 < angles.min() < -14.8
    assert abs(angles.mean()) < 4 * (30 / math.sqrt(12)) / math.sqrt(2000)
    assert abs(angles.std() - 30 / math.sqrt(12)) < 0.4


def test_rotate_by_nothing_changes_nothing():
    images = batch(3, 1, 6, 9)
    assert torch.equal(rotate(images, seeded(), degrees=0.0), images)


def test_augment_has_one_order(functional):
    images, generator = batch(32, 1, 11, 9), seeded(7)
    expected = images
    for function in (flip, rotate, shift, crop):
        expected = function(expected, generator)
    for names in (("crop", "shift", "rotate", "flip"), ("rotate", "flip", "crop", "shift")):
        assert torch.equal(augment(images, names, seeded(7)), expected)
    assert torch.equal(augment(images, ("crop",), seeded(7)), crop(images, seeded(7)))
    assert torch.equal(augment(images, (), seeded(7)), images)


def test_unknown_name():
    with pytest.raises(
        UserError, match=r"did you mean 'flip'.*flip, rotate, shift, crop"
    ) as caught:
        augment(batch(), ("crop", "flop"), seeded())
    assert "\n" not in str(caught.value)
