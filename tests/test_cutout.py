"""Cutout: where the square lies, how much of it, what fills it, and who draws it."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from effcnn import techniques
from effcnn.data import normalise
from effcnn.errors import UserError
from effcnn.techniques.cutout import cutout_batch
from effcnn.train import Trainer, evaluate


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape):
    return torch.randn(shape, generator=generator(9))


def slow_mask(height, width, length, y, x):
    """Which pixels the square about (y, x) takes, counted one by one."""
    mask = np.zeros((height, width), dtype=bool)
    for i, j in itertools.product(range(length), range(length)):
        row, column = y - length // 2 + i, x - length // 2 + j
        if 0 <= row < height and 0 <= column < width:
            mask[row, column] = True
    return mask


def all_masks(height, width, length):
    """One mask for each centre, as bytes: `length` up to the short side makes them all differ."""
    centres = itertools.product(range(height), range(width))
    masks = [slow_mask(height, width, length, *centre).tobytes() for centre in centres]
    assert len(set(masks)) == height * width
    return masks


def drawn_masks(n, height, width, length, seed=0):
    cut = cutout_batch(torch.ones(n, 1, height, width), length, generator=generator(seed))
    return (cut[:, 0] == 0).numpy()


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_every_centre_equally_often_and_nothing_else(length):
    expected = all_masks(7, 5, length)
    drawn = [mask.tobytes() for mask in drawn_masks(7000, 7, 5, length)]
    assert set(drawn) == set(expected)  # all 35 centres, the corners among them
    counts = [drawn.count(mask) for mask in expected]
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("length", [1, 2, 9, 10])
def test_area(length):
    masks = drawn_masks(2000, 28, 32, length)
    area = masks.sum((1, 2))
    assert area.min() >= 1
    assert area.max() == length**2
    border = masks[:, [0, -1]].any((1, 2)) | masks[:, :, [0, -1]].any((1, 2))
    assert (area[~border] == length**2).all()
    assert (~border).sum() > 500


@pytest.mark.parametrize(("side", "mean"), [(28, 82.94), (32, 84.99)])
def test_mean_area_of_the_papers_square(side, mean):
    centres = itertools.product(range(side), range(side))
    exact = [slow_mask(side, side, 10, *centre).sum() for centre in centres]
    assert np.mean(exact) == pytest.approx(mean, abs=0.005)
    area = drawn_masks(5000, side, side, 10).sum((1, 2))
    assert area.mean() == pytest.approx(np.mean(exact), abs=4 * np.std(exact) / 5000**0.5)


def test_each_image_has_its_own_square():
    masks = drawn_masks(128, 32, 32, 10)
    assert len({mask.tobytes() for mask in masks}) > 100
    rows, columns = (np.array([m.any(axis).argmax() for m in masks]) for axis in (1, 0))
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.3  # nor do they lie on the diagonal


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_rest_is_left_alone(layout, dtype):
    images = noise(32, 3, 13, 11).to(dtype).to(memory_format=layout)
    images[:, 0, 0, 0] = torch.nan
    images[:, :, 6, 5] = torch.inf  # a product with zero would not be zero
    kept = images.clone()
    cut = cutout_batch(images, 4, generator=generator())
    assert torch.equal(images.nan_to_num(7.0), kept.nan_to_num(7.0))
    assert (cut.dtype, cut.shape) == (dtype, images.shape)
    assert cut.is_contiguous(memory_format=layout)
    mask = torch.from_numpy(drawn_masks(32, 13, 11, 4))[:, None].expand_as(cut)  # all channels
    assert mask[:, :, 6, 5].any()
    assert (cut[mask] == 0).all()
    assert torch.equal(cut[~mask].nan_to_num(7.0), images[~mask].nan_to_num(7.0))


def test_the_generator_alone_decides():
    first, again, other = (drawn_masks(16, 28, 20, 10, seed) for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any((1, 2)).sum() > 12
    images, draws = torch.ones(16, 1, 28, 20), generator(3)
    batches = [cutout_batch(images, generator=draws) for _ in range(2)]
    assert torch.equal(batches[0][:, 0] == 0, torch.from_numpy(first))  # 10 is the default
    assert not torch.equal(*batches)


@pytest.mark.parametrize("length", [0, -1, 12, 2.5, 4.0, float("nan"), "10"])
def test_bad_lengths(length):
    says = rf"cutout length is {length}; for images of 13x11 pixels .* whole number from 1 to 11"
    with pytest.raises(UserError, match=says) as caught:
        cutout_batch(noise(2, 3, 13, 11), length, generator=generator())
    assert "\n" not in str(caught.value)


def test_other_arguments():
    with pytest.raises(UserError, match=r"images \(N, C, H, W\); these are \(3, 13, 11\)"):
        cutout_batch(noise(3, 13, 11), 4, generator=generator())
    images = noise(3, 1, 11, 13)
    by_numpy = cutout_batch(images, np.int64(11), generator=generator())
    assert torch.equal(by_numpy, cutout_batch(images, 11, generator=generator()))
    assert techniques.create("cutout")[0].length == 10


def test_it_cuts_in_training_and_not_in_evaluation(sample, small):
    trainer, seen = Trainer(small("co"), sample), {True: [], False: []}
    trainer.model.register_forward_pre_hook(
        lambda model, inputs: seen[model.training].append(inputs[0].clone())
    )
    kept = sample.train.images.clone()
    trainer.run()
    evaluate(trainer.model, sample.test, sample)
    assert torch.equal(sample.train.images, kept)
    splits = (sample.validation, sample.validation, sample.test)
    for images, split in zip(seen[False], splits, strict=True):
        assert torch.equal(images, normalise(split.images, sample.mean, sample.std))
    background = normalise(kept, sample.mean, sample.std).min()
    assert background < -0.1  # so a zero is the mean and not black
    epochs = torch.cat(seen[True]).split(160)
    for images in epochs:
        area = (images == 0).sum((1, 2, 3))
        assert ((area >= 1) & (area <= 100)).all()
        assert len(area.unique()) > 10
    assert not torch.equal(*(images == 0 for images in epochs))
