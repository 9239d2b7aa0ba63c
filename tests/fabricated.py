"""Small data folders for the tests, and the means to make them pass for the originals."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from effcnn import data, files
from effcnn.errors import UserError

datasets = files.torchvision_datasets()
MNIST = [line.split()[1] for line in files.SHA256["mnist"].strip().splitlines()]
CIFAR = [line.split()[1] for line in files.SHA256["cifar10"].strip().splitlines()]


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def trust(monkeypatch, dataset, folder, names):
    """Take the files there for the originals."""
    digests = (hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names)
    lines = (f"{digest}  {name}" for digest, name in zip(digests, names, strict=True))
    monkeypatch.setitem(files.SHA256, dataset, "\n".join(lines))


def trust_md5(monkeypatch, folder):
    """Let torchvision's own check of CIFAR-10 pass."""
    sums = [[Path(name).name, md5(folder / name)] for name in CIFAR]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", sums[5:6])
    monkeypatch.setitem(datasets.CIFAR10.meta, "md5", sums[6][1])


def mnist_folder(folder, monkeypatch):
    """3 training and 2 test images of 5x4 pixels."""
    (folder / "MNIST" / "raw").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for images, labels, n in ((*MNIST[:2], 3), (*MNIST[2:], 2)):
        sizes = np.array([n, 5, 4], ">i4").tobytes()
        (folder / images).write_bytes(b"\0\0\x08\x03" + sizes + rng.bytes(n * 20))
        (folder / labels).write_bytes(b"\0\0\x08\x01" + sizes[:4] + bytes(range(n)))
    trust(monkeypatch, "mnist", folder, MNIST)
    return folder


def cifar_folder(folder, monkeypatch):
    """Five batches of 2 training images, and 3 test images."""
    (folder / "cifar-10-batches-py").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n, name in zip((2, 2, 2, 2, 2, 3), CIFAR[:6], strict=True):
        batch = {"data": rng.integers(0, 256, (n, 3072), np.uint8), "labels": list(range(n))}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / CIFAR[6]).write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    trust(monkeypatch, "cifar10", folder, CIFAR)
    trust_md5(monkeypatch, folder)
    return folder


def message(dataset, folder):
    """What the user reads when loading fails."""
    with pytest.raises(UserError) as caught:
        data.load(dataset, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
