"""Files that are missing: downloaded, unpacked, or asked for. No test here uses the network."""

import errno
import gzip
import os
import shutil
import tarfile
import urllib.request
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from fabricated import CIFAR, MNIST, cifar_folder, datasets, listing, md5, message, mnist_folder

from effcnn import data


def refuse(error):
    def function(*args, **kwargs):
        raise error

    return function


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", refuse(URLError("no network")))


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    return mnist_folder(tmp_path / "data", monkeypatch)


def download_from(source, monkeypatch, fail=None):
    """Let torchvision's download copy from a folder, or break off in the middle of a file."""

    def fetch(url, download_root, filename, md5):
        name = filename.removesuffix(".gz")
        shutil.copy(source / "MNIST" / "raw" / name, download_root)
        if fail:
            os.truncate(Path(download_root) / name, 3)
            raise fail

    monkeypatch.setattr(datasets.mnist, "download_and_extract_archive", fetch)


@pytest.mark.parametrize(("dataset", "name"), [("mnist", MNIST[0]), ("cifar10", CIFAR[0])])
def test_missing_without_network(tmp_path, dataset, name, capsys):
    text = message(dataset, tmp_path / "new")
    assert str(tmp_path / "new" / name) in text
    for advice in ("no network", "--data", "EFFCNN_DATA", "mnist-sample"):
        assert advice in text
    assert listing(tmp_path) == []
    assert capsys.readouterr().err == ""  # the error's one line is all there is


def test_download(mnist, tmp_path, monkeypatch):
    new = tmp_path / "new"
    download_from(mnist, monkeypatch)
    loaded = data.load("mnist", new)
    assert np.array_equal(loaded.train.images, data.load("mnist", mnist).train.images)
    assert listing(new) == sorted(MNIST)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), EOFError()])
def test_broken_download_leaves_nothing(mnist, tmp_path, monkeypatch, error):
    new = tmp_path / "new"
    download_from(mnist, monkeypatch, fail=error)
    if isinstance(error, OSError):
        assert "No space left on device" in message("mnist", new)
    else:
        with pytest.raises(EOFError):
            data.load("mnist", new)
    assert listing(new) == []
    assert list(new.glob(".*")) == []
    download_from(mnist, monkeypatch)
    assert len(data.load("mnist", new).train.labels) == 3


def test_download_keeps_the_files_that_are_there(mnist, tmp_path, monkeypatch):
    new = tmp_path / "new" / MNIST[3]
    new.parent.mkdir(parents=True)
    shutil.copy(mnist / MNIST[3], new)
    before = new.stat()
    download_from(mnist, monkeypatch)
    data.load("mnist", tmp_path / "new")
    assert new.stat().st_ino == before.st_ino
    assert new.stat().st_mtime_ns == before.st_mtime_ns


def test_download_that_is_not_the_original(mnist, tmp_path, monkeypatch):
    (mnist / MNIST[3]).write_bytes(b"other")
    download_from(mnist, monkeypatch)
    assert str(tmp_path / "new" / MNIST[3]) in message("mnist", tmp_path / "new")


def test_archives_brought_by_hand(mnist, tmp_path, monkeypatch):
    new = tmp_path / "new" / "MNIST" / "raw"
    new.mkdir(parents=True)
    archives = [new / f"{Path(name).name}.gz" for name in MNIST]
    for name, archive in zip(MNIST, archives, strict=True):
        archive.write_bytes(gzip.compress((mnist / name).read_bytes()))
    resources = [(archive.name, md5(archive)) for archive in archives]
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    assert len(data.load("mnist", tmp_path / "new").train.labels) == 3
    assert all(archive.exists() for archive in archives)


def test_tar_brought_by_hand(tmp_path, monkeypatch):
    cifar = cifar_folder(tmp_path / "data", monkeypatch)
    new = tmp_path / "new" / datasets.CIFAR10.filename
    new.parent.mkdir()
    with tarfile.open(new, "w:gz") as tar:
        tar.add(cifar / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(new))
    assert len(data.load("cifar10", new.parent).train.labels) == 10
    assert listing(new.parent) == sorted([new.name, *CIFAR])
    shutil.rmtree(new.parent / "cifar-10-batches-py")
    new.write_bytes(b"cut off")
    assert "no network" in message("cifar10", new.parent)
    assert new.read_bytes() == b"cut off"


def test_folders_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert str(folder / MNIST[0]) in message("mnist", folder)
    monkeypatch.setattr(Path, "mkdir", refuse(PermissionError(errno.EACCES, "Permission denied")))
    assert "Permission denied" in message("mnist", tmp_path / "new")
