"""The loop of the chapter on your own code, fed with data and techniques of a reader's own."""

import importlib
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from effcnn import data, files, models
from effcnn.errors import UserError
from effcnn.recipe import Recipe
from effcnn.train import Trainer, evaluate

CHAPTER = Path(__file__).resolve().parent.parent / "notebooks" / "your-own.ipynb"
CELLS = {cell.id: cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells}
ALL = "bp+se+co+m+ls+sam+swa+oc"


def fit(loader, clean):
    """Four epochs of the chapter's loop with all eight techniques, as it stands there."""
    names = {"nn": nn, "torch": torch}
    for cell in ("functions", "plain-fit", "all-epoch", "all-fit"):
        exec(CELLS[cell], names)
    torch.manual_seed(0)
    net = models.build("mnist-1.5k-dw").to(memory_format=torch.channels_last)
    return names["fit_all"](net, loader, 4, clean, torch.Generator().manual_seed(2**32)).module


def trainer(content, techniques=ALL, **flags):
    flags = {"epochs": 4, "batch_size": 48, "precision": "fp32", "train_images": 160, **flags}
    return Trainer(Recipe.make("mnist-sample", "1.5k-dw", techniques, **flags), content)


def grey(image):
    """An image file's pixels as (1, H, W), 0..1."""
    return torch.from_numpy(np.array(image.convert("L"))).unsqueeze(0) / 255


def test_the_loop_ends_with_the_trainers_weights(sample):
    images = data.normalise(sample.train.images, sample.mean, sample.std)
    train = TensorDataset(images, sample.train.labels)
    # Fewer images than there are, so that it draws one order per epoch, as the trainer does.
    order = RandomSampler(train, num_samples=144, generator=torch.Generator().manual_seed(0))
    mine = fit(DataLoader(train, 48, sampler=order), DataLoader(train, 48)).state_dict()
    theirs = trainer(sample).run().model.state_dict()
    assert list(mine) == list(theirs)
    assert not [name for name in mine if not torch.equal(mine[name], theirs[name])]


def test_a_data_set_of_torchvision_feeds_the_loop(tmp_path):
    raw, rng = tmp_path / "FashionMNIST" / "raw", np.random.default_rng(0)
    raw.mkdir(parents=True)
    pixels, sizes = rng.bytes(64 * 784), np.array([64, 28, 28], ">i4").tobytes()
    for stem in ("train", "t10k"):
        (raw / f"{stem}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + pixels)
        labels = b"\0\0\x08\x01" + sizes[:4] + bytes(i % 10 for i in range(64))
        (raw / f"{stem}-labels-idx1-ubyte").write_bytes(labels)
    fashion = files.torchvision_datasets().FashionMNIST(tmp_path, transform=grey)
    image, label = fashion[13]
    assert (label, len(fashion)) == (3, 64)
    assert (255 * image).round().byte().numpy().tobytes() == pixels[13 * 784 : 14 * 784]
    net = fit(DataLoader(fashion, 32, shuffle=True), DataLoader(fashion, 24))
    assert net.conv1.bn.num_batches_tracked == 3  # of the pass after averaging


def test_a_folder_of_images_feeds_the_loop(sample, tmp_path):
    for i, label in enumerate(sample.train.labels):
        (tmp_path / f"digit-{label}").mkdir(exist_ok=True)
        image = Image.fromarray(sample.train.images[i, 0].numpy())
        image.save(tmp_path / f"digit-{label}" / f"{i:03}.png")
    digits = files.torchvision_datasets().ImageFolder(tmp_path, grey)
    for (path, _), (image, label) in zip(digits.samples, digits, strict=True):
        number = int(Path(path).stem)
        assert label == sample.train.labels[number]
        assert torch.equal((255 * image).round(), sample.train.images[number].float())
    net = fit(DataLoader(digits, 32, shuffle=True), DataLoader(digits, 32))
    assert net.conv1.bn.num_batches_tracked == 5


def test_data_made_from_arrays_trains():
    rng, names = np.random.default_rng(0), {}
    labels = torch.from_numpy(rng.permutation(320) % 10)
    grey = 20 * labels.numpy()[:, None, None, None] + rng.integers(0, 50, (320, 1, 28, 28))
    split = data.Split(torch.from_numpy(grey.astype(np.uint8)), labels)
    exec(CELLS["own-tensors"], names)
    mean, std = names["moments"](split.images)
    assert (mean, std) == (pytest.approx([grey.mean() / 255]), pytest.approx([grey.std() / 255]))
    own = data.Data(split, None, split, mean, std)
    # With swa: after so few steps a net whose batch statistics are old swings widely when tested.
    trained = trainer(own, "bp+se+swa+oc", epochs=16, batch_size=32, train_images=320).run()
    assert evaluate(trained.model, split, own)["accuracy"] > 30  # by chance: 10


def test_the_chapters_technique_from_a_file(sample, tmp_path, monkeypatch, registry):
    source = ["from torch import nn", CELLS["technique"], CELLS["technique-class"]]
    (tmp_path / "clip_of_the_chapter.py").write_text("\n\n".join(source))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("clip_of_the_chapter")
    longest = {}
    for names in ("sam+oc", "clip(norm=0.05)+sam+oc"):
        lengths, mine = [], trainer(sample, names, epochs=1)

        def note(*_, net=mine.model, lengths=lengths):
            lengths.append(nn.utils.get_total_norm([p.grad for p in net.parameters()]).item())

        mine.run(note)
        longest[mine.recipe.label] = max(lengths)
    assert longest["sam+oc"] > 0.1
    assert longest["sam+oc+clip(norm=0.05)"] == pytest.approx(0.05, rel=1e-3)
    with pytest.raises(UserError, match=r"clip\(norm=-1\): norm must be a number above 0"):
        trainer(sample, "clip(norm=-1)")
