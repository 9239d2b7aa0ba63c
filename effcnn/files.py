"""The original files of MNIST and CIFAR-10, verified; the one place that knows torchvision.

No file is read before its SHA-256 is right: CIFAR-10 comes as pickles, and a pickle can run code.
"""

import hashlib
import os
import re
import shutil
import socket
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, library

from effcnn.errors import UserError

# Of the original files, uncompressed, as sha256sum prints them.
SHA256 = {
    "mnist": """
ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  MNIST/raw/train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  MNIST/raw/train-labels-idx1-ubyte
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  MNIST/raw/t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  MNIST/raw/t10k-labels-idx1-ubyte
""",
    "cifar10": """
54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd  cifar-10-batches-py/data_batch_1
766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8  cifar-10-batches-py/data_batch_2
0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9  cifar-10-batches-py/data_batch_3
3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b  cifar-10-batches-py/data_batch_4
d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154  cifar-10-batches-py/data_batch_5
f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831  cifar-10-batches-py/test_batch
f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb  cifar-10-batches-py/batches.meta
""",
}


def read(dataset: str, folder: Path) -> list[tuple[Tensor, Tensor]]:
    """The training and the test part: images (N, C, H, W) uint8 and labels (N,) int64 of each.

    Files that are missing are downloaded. Raises UserError if that fails, or if a file is there
    that is not the original.
    """
    _provide(dataset, folder)
    part = {"mnist": _mnist, "cifar10": _cifar10}[dataset]
    return [part(folder, train=True), part(folder, train=False)]


def _provide(dataset: str, folder: Path) -> None:
    if missing := _missing(dataset, folder):
        path, datasets = folder / missing[0], torchvision_datasets()
        if folder.exists() and not folder.is_dir():
            raise UserError(
                f"{path} cannot be read, for {folder} is not a folder: "
                "name another with --data or EFFCNN_DATA"
            )
        timeout = socket.getdefaulttimeout()
        try:
            socket.setdefaulttimeout(30)  # torchvision sets none, and would wait for ever
            _download(datasets, dataset, folder, missing)
        except (OSError, HTTPException, RuntimeError) as error:
            cause = str(error).rstrip().rpartition("\n")[2] or type(error).__name__
            raise UserError(
                f"{path} is missing and cannot be downloaded ({cause}): copy the original files "
                f"into {folder}, or name a folder that has them with --data or EFFCNN_DATA, or use "
                "--dataset mnist-sample, which needs no files"
            ) from error
        finally:
            socket.setdefaulttimeout(timeout)
        _missing(dataset, folder)


def _missing(dataset: str, folder: Path) -> list[str]:
    """The files that are not there. Raises UserError for one that is there but not the original."""
    missing = []
    for line in SHA256[dataset].strip().splitlines():
        digest, name = line.split()
        path = folder / name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            missing.append(name)
            continue
        except OSError as error:
            raise UserError(
                f"cannot read {path} ({error.strerror}): "
                "mend it, or name another folder with --data or EFFCNN_DATA"
            ) from error
        if found != digest:
            raise UserError(f"{path} is truncated or corrupted: delete it and run again")
    return missing


def _download(datasets, dataset: str, folder: Path, missing: list[str]) -> None:
    cifar = datasets.CIFAR10
    for name in missing:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    # Files move in whole, so that what an interrupted download leaves is not taken for them.
    with TemporaryDirectory(prefix=".download-", dir=folder) as temporary:
        for archive in (cifar.filename, *(f"{name}.gz" for name in missing)):
            if (folder / archive).is_file():  # brought by hand: nothing to download
                (Path(temporary) / archive).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / archive, Path(temporary) / archive)
        if dataset == "mnist":
            datasets.MNIST(temporary, download=True)
        else:
            # Not CIFAR10(download=True): that unpickles what only MD5 has vouched for.
            datasets.utils.download_and_extract_archive(
                cifar.url, temporary, filename=cifar.filename, md5=cifar.tgz_md5
            )
        for name in missing:
            os.replace(Path(temporary) / name, folder / name)


def _mnist(folder: Path, train: bool) -> tuple[Tensor, Tensor]:
    # Not datasets.MNIST: it prefers the unverified MNIST/processed of old releases to these files.
    mnist = torchvision_datasets().mnist
    stem = folder / "MNIST" / "raw" / ("train" if train else "t10k")
    images = mnist.read_image_file(f"{stem}-images-idx3-ubyte").unsqueeze(1)
    return images, mnist.read_label_file(f"{stem}-labels-idx1-ubyte")


def _cifar10(folder: Path, train: bool) -> tuple[Tensor, Tensor]:
    cifar = torchvision_datasets().CIFAR10(folder, train)
    images = torch.from_numpy(cifar.data).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor(cifar.targets)


_DECLARED = []  # a declaration lives as long as its Library


def torchvision_datasets():
    """torchvision.datasets, also where torchvision's compiled operators cannot be loaded.

    A CUDA build of torchvision beside a CPU build of torch does not import, because it describes
    operators that nothing declared. So declare the one it asks for, and try again.
    """
    try:
        from torchvision import datasets
    except RuntimeError as error:
        found = re.search(r"operator torchvision::(\w+) does not exist", str(error))
        if found is None:
            raise
        _DECLARED.append(library.Library("torchvision", "FRAGMENT"))
        _DECLARED[-1].define(f"{found[1]}(Tensor dets, Tensor scores, float threshold) -> Tensor")
        return torchvision_datasets()
    return datasets
