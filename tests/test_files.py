"""Reading data folders that are right, damaged or hostile, with any build of torchvision."""

import errno
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from fabricated import CIFAR, MNIST, cifar_folder, listing, message, mnist_folder, trust, trust_md5

from effcnn import data, files


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    return mnist_folder(tmp_path / "data", monkeypatch)


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    return cifar_folder(tmp_path / "data", monkeypatch)


def test_mnist_is_read_as_it_lies(mnist, monkeypatch, capsys):
    # A folder of an old torchvision also holds tensors, which nobody verified.
    (mnist / "MNIST" / "processed").mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(1, 9, 9), torch.zeros(1)), mnist / "MNIST" / "processed" / name)
    monkeypatch.setenv("EFFCNN_DATA", str(mnist))
    loaded = data.load("mnist", holdout=1)
    pixels = np.frombuffer((mnist / MNIST[0]).read_bytes(), np.uint8)[16:].reshape(3, 1, 5, 4)
    assert np.array_equal(loaded.train.images, pixels[:2])
    assert np.array_equal(loaded.validation.images, pixels[2:])
    assert loaded.train.labels.tolist() == [0, 1]
    assert loaded.test.images.shape == (2, 1, 5, 4)
    assert capsys.readouterr() == ("", "")


def test_cifar10_is_read_as_it_lies(cifar):
    loaded = data.load("cifar10", str(cifar))
    batches = [pickle.loads((cifar / name).read_bytes())["data"] for name in CIFAR[:6]]
    assert np.array_equal(loaded.train.images, np.concatenate(batches[:5]).reshape(-1, 3, 32, 32))
    assert np.array_equal(loaded.test.images, batches[5].reshape(-1, 3, 32, 32))
    assert loaded.train.labels.tolist() == [0, 1] * 5
    assert loaded.train.labels.dtype == torch.int64


@pytest.mark.parametrize("name", MNIST)
@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_damaged_file(mnist, name, damage):
    (mnist / name).write_bytes(damage((mnist / name).read_bytes()))
    assert str(mnist / name) in message("mnist", mnist)
    assert "delete it and run again" in message("mnist", mnist)
    assert listing(mnist) == sorted(MNIST)


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", [CIFAR[0], CIFAR[5], CIFAR[6]])
def test_pickle_that_is_not_the_original_is_never_opened(cifar, name, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    (cifar / name).write_bytes(pickle.dumps(Evil(marker)))
    trust_md5(monkeypatch, cifar)
    assert str(cifar / name) in message("cifar10", cifar)
    assert not marker.exists()
    trust(monkeypatch, "cifar10", cifar, CIFAR)  # without this the test would prove nothing
    with pytest.raises(TypeError):
        data.load("cifar10", cifar)
    assert marker.exists()


def test_file_that_cannot_be_read(mnist, monkeypatch):
    (mnist / MNIST[1]).unlink()
    (mnist / MNIST[1]).mkdir()
    assert f"cannot read {mnist / MNIST[1]}" in message("mnist", mnist)

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert f"cannot read {mnist / MNIST[0]} (Permission denied)" in message("mnist", mnist)


def fake_torchvision(monkeypatch, getattr_):
    fake = types.ModuleType("torchvision")
    fake.__getattr__ = getattr_
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    monkeypatch.setattr(files, "_DECLARED", [])


def test_operators_are_declared_only_where_they_are_missed(monkeypatch):
    def import_datasets(attribute):
        for name in ("effcnn_first", "effcnn_second"):
            if not hasattr(torch.ops.torchvision, name):
                raise RuntimeError(f"operator torchvision::{name} does not exist")
        return attribute

    fake_torchvision(monkeypatch, import_datasets)
    assert files.torchvision_datasets() == "datasets"
    assert len(files._DECLARED) == 2
    fake_torchvision(monkeypatch, lambda attribute: attribute)
    assert files.torchvision_datasets() == "datasets"
    assert files._DECLARED == []


def test_other_errors_of_torchvision_pass(monkeypatch):
    def broken(attribute):
        raise RuntimeError("built for another torch")

    fake_torchvision(monkeypatch, broken)
    with pytest.raises(RuntimeError, match="built for another torch"):
        files.torchvision_datasets()
