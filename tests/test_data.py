"""The sample, the splits, the pixel statistics, and the real files where EFFCNN_DATA names them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from effcnn import data
from effcnn.errors import UserError

with_files = pytest.mark.skipif(
    not os.environ.get("EFFCNN_DATA"), reason="EFFCNN_DATA names no folder with the data"
)


@pytest.fixture
def sample():
    return data.load("mnist-sample")


def same(split, other):
    return torch.equal(split.images, other.images) and torch.equal(split.labels, other.labels)


def test_sample_is_5000_distinct_digits(sample):
    assert sample.train.images.shape == (4000, 1, 28, 28)
    assert sample.test.images.shape == (1000, 1, 28, 28)
    assert sample.train.images.dtype == torch.uint8
    assert sample.train.labels.dtype == torch.int64
    both = torch.cat((sample.train.images, sample.test.images))
    # All distinct, so no test image is among those trained on.
    assert len(both.flatten(1).unique(dim=0)) == 5000
    assert both.max() == 255
    assert not both[:, :, 0].any()


def test_sample_needs_no_folder(monkeypatch):
    monkeypatch.setenv("EFFCNN_DATA", __file__)
    monkeypatch.setattr(data, "folder_for", lambda folder: pytest.fail("looked for files"))
    assert len(data.load("mnist-sample", folder=Path(__file__) / "nowhere").test.labels) == 1000


def test_sample_is_shuffled_and_balanced(sample):
    counts = torch.bincount(sample.train.labels)
    assert torch.equal(counts + torch.bincount(sample.test.labels), torch.full((10,), 500))
    assert counts.min() > 360
    assert torch.bincount(sample.train.labels[:1000]).min() > 70
    # Pinned: runs on the sample are only comparable as long as it is split in the same way.
    assert sample.train.labels[:5].tolist() == [4, 2, 0, 9, 6]


def test_sample_is_the_same_each_time_and_unshared(sample):
    again = data.load("mnist-sample")
    assert same(sample.train, again.train)
    assert same(sample.test, again.test)
    again.train.images.zero_()
    assert data.load("mnist-sample").train.images.any()


def test_splits(sample):
    part = data.load("mnist-sample", train_images=100, holdout=300)
    assert same(part.train, data.Split(sample.train.images[:100], sample.train.labels[:100]))
    assert same(part.validation, data.Split(sample.train.images[-300:], sample.train.labels[-300:]))
    assert same(part.test, sample.test)
    assert sample.validation is None
    assert len(data.load("mnist-sample", holdout=300).train.labels) == 3700


@pytest.mark.parametrize(
    ("train_images", "holdout"),
    [(0, 0), (-5, 0), (4001, 0), (3001, 1000), (None, 4000), (None, -1), (10, -10)],
)
def test_impossible_splits(train_images, holdout):
    with pytest.raises(UserError, match=r"mnist-sample .*at most 4000") as caught:
        data.load("mnist-sample", train_images=train_images, holdout=holdout)
    assert "\n" not in str(caught.value)


def test_unknown_data_set():
    with pytest.raises(UserError, match=r"did you mean 'cifar10'.* mnist, cifar10, mnist-sample"):
        data.load("cifar-10")


def test_statistics_are_of_the_images_trained_on():
    few = data.load("mnist-sample", train_images=7, holdout=5)
    pixels = few.train.images.numpy().astype(np.float64) / 255
    assert len(pixels) == 7
    np.testing.assert_allclose(few.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(few.std, pixels.std(axis=(0, 2, 3)), rtol=1e-13)


def test_statistics_per_channel():
    images = torch.zeros(3, 2, 5, 4, dtype=torch.uint8)
    images[:, 1, :, :2] = 255
    assert data._moments(images) == ((0.0, 0.5), (0.0, 0.5))


def test_normalise():
    pixels = np.random.default_rng(1).integers(0, 256, (3, 2, 5, 4), np.uint8)
    images, mean, std = torch.from_numpy(pixels.copy()), (0.2, 0.7), (0.3, 0.1)
    channels = [(pixels[:, c] / 255.0 - mean[c]) / std[c] for c in range(2)]
    expected = torch.from_numpy(np.stack(channels, axis=1))
    out = data.normalise(images, mean, std)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, expected.float(), rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(data.normalise(images, mean, std, torch.float64), expected)
    assert np.array_equal(images.numpy(), pixels)
    with pytest.raises(ValueError, match="argument 2"):
        data.normalise(images, mean, (0.3,))


def test_normalised_training_images_have_mean_0_and_std_1(sample):
    pixels = data.normalise(sample.train.images, sample.mean, sample.std).double()
    assert pixels.mean().abs() < 1e-6
    assert (pixels.std(correction=0) - 1).abs() < 1e-6


def test_data_folder(monkeypatch):
    monkeypatch.setenv("EFFCNN_DATA", "~/there")
    assert data.folder_for("here") == Path("here")
    assert data.folder_for(Path("here")) == Path("here")
    assert data.folder_for() == Path.home() / "there"
    monkeypatch.setenv("EFFCNN_DATA", "")
    assert data.folder_for().parts[-2:] == ("effcnn", "data")
    monkeypatch.delenv("EFFCNN_DATA")
    assert data.folder_for().is_absolute()


def test_import_is_light():
    code = (
        "import sys, effcnn.data; "
        "print(*{'torchvision', 'mlxtend', 'platformdirs', 'PIL'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@with_files
def test_mnist():
    mnist = data.load("mnist")
    assert mnist.train.images.shape == (60_000, 1, 28, 28)
    assert mnist.test.images.shape == (10_000, 1, 28, 28)
    assert mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    np.testing.assert_allclose((*mnist.mean, *mnist.std), (0.1307, 0.3081), atol=5e-5)


@with_files
def test_the_sample_is_of_mnists_training_images(sample):
    train = {image.tobytes() for image in data.load("mnist").train.images.numpy()}
    ours = torch.cat((sample.train.images, sample.test.images)).numpy()
    assert all(image.tobytes() in train for image in ours)


@with_files
def test_cifar10():
    cifar = data.load("cifar10", holdout=5000)
    assert cifar.train.images.shape == (45_000, 3, 32, 32)
    assert cifar.validation.images.shape == (5_000, 3, 32, 32)
    assert cifar.test.images.shape == (10_000, 3, 32, 32)
    assert cifar.train.images.is_contiguous()
    assert cifar.train.labels[:5].tolist() == [6, 9, 9, 4, 1]
    # The first row of the first image, a frog, in red, as the file's first bytes have it.
    assert cifar.train.images[0, 0, 0, :4].tolist() == [59, 43, 50, 68]
    mean, std = data._moments(torch.cat((cifar.train.images, cifar.validation.images)))
    np.testing.assert_allclose(mean, (0.4914, 0.4822, 0.4465), atol=5e-5)
    np.testing.assert_allclose(std, (0.2470, 0.2435, 0.2616), atol=5e-5)
