"""What every test relies on: one thread, no display, no network, no writing into the book."""

import os

os.environ["MPLBACKEND"] = "Agg"

import socket

import pytest
import torch

from effcnn import cells, data, results, runs, techniques
from effcnn.recipe import Recipe

torch.set_num_threads(1)
LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "", None)


def _at_home(function, host_of):
    """`function` as it is for this machine; a failed test for any other."""

    def guarded(*args, **kwargs):
        host = host_of(*args)
        if host not in LOOPBACK:
            # `Failed` is no Exception, so that no `except` in the package can hide it.
            pytest.fail(f"reached for the network: {host}")
        return function(*args, **kwargs)

    return guarded


@pytest.fixture(scope="session", autouse=True)
def no_network():
    def peer(_, address, *__):
        return address[0] if isinstance(address, tuple) else "localhost"  # or a Unix socket

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _at_home(getattr(socket.socket, name), peer))
        patch.setattr(socket, "getaddrinfo", _at_home(socket.getaddrinfo, lambda host, *_: host))
        yield


@pytest.fixture(autouse=True)
def own_results(tmp_path_factory, monkeypatch):
    """A reader's own store, new and not yet made for each test."""
    folder = tmp_path_factory.mktemp("own") / "runs"
    monkeypatch.setenv("EFFCNN_RESULTS", str(folder))
    return folder


@pytest.fixture
def root(tmp_path):
    """A store, not yet made."""
    return tmp_path / "store"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """An empty book, with this process inside: `_toc.yml`, `sweeps/` and `results/`."""
    folder = tmp_path / "book"
    for name in ("sweeps", "results"):
        (folder / name).mkdir(parents=True)
    (folder / "_toc.yml").touch()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def sample():
    """The data of the small runs here: 160 digits to train on, 40 to validate, 1,000 to test."""
    return data.load("mnist-sample", train_images=160, holdout=40)


@pytest.fixture(scope="session")
def small():
    """The recipe of a training that takes a fraction of a second."""

    def make(techniques: str = "", **flags) -> Recipe:
        defaults = {"epochs": 2, "batch_size": 32, "train_images": 160, "holdout": 40}
        return Recipe.make("mnist-sample", "1.5k-dw", techniques, **{**defaults, **flags})

    return make


@pytest.fixture(scope="session")
def trained(tmp_path_factory, small) -> results.Run:
    """One run on the sample, every epoch kept."""
    return runs.train(small(), tmp_path_factory.mktemp("store"), keep_epochs=True)


@pytest.fixture(scope="session")
def record():
    """What a training hands over, of a finished run or (accuracy None) of one that diverged."""

    def make(accuracy: float | None = 98.5) -> dict:
        finished = accuracy is not None
        return {
            "status": "finished" if finished else "diverged",
            "test": {"images": 3, "accuracy": accuracy, "loss": 0.05 if finished else None},
            "costs": {"params": 1560, "macs": 407_046, "size_bytes": 9720, "torch_bytes": 18_228},
            "time": {
                "started": "2026-01-31T12:00:00+00:00",
                "train_seconds": 1.5,
                "images_per_second": 200.0,
            },
            "history": [{"epoch": 1, "lr": 0.05, "loss": 1.2, "accuracy": 60.0}],
            "touched": {},
            "provenance": {
                **{"effcnn": "0.1.0", "commit": None, "changed": None, "torch": "2.13.0"},
                **{"device": "cpu", "cpu": "some CPU", "threads": 1, "system": "Linux"},
            },
        }

    return make


@pytest.fixture
def by_technique(record, tmp_path):
    """Runs on CIFAR-10 by technique, from their accuracies."""

    def make(accuracies):
        return {
            name: [
                results.Run(
                    tmp_path, Recipe.make("cifar10", "143k-dw", name, seed=seed), record(accuracy)
                )
                for seed, accuracy in enumerate(group)
            ]
            for name, group in accuracies.items()
        }

    return make


@pytest.fixture
def registry():
    """Techniques that a test defines are forgotten after it."""
    known = set(techniques.SPECS)
    yield
    for short in set(techniques.SPECS) - known:
        del techniques.SPECS[short], techniques._CLASSES[short]


@pytest.fixture
def render(tmp_path):
    """Make HTML of a folder of MyST pages; returns the folder of the HTML and the warnings."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    def make(source, *extensions: str, **config):
        out, log = tmp_path / "html", tmp_path / "warnings"
        parser = [] if "myst_nb" in extensions else ["myst_parser"]  # it brings the parser itself
        config["extensions"] = [*parser, *extensions]
        # Without a namespace of its own a build would warn of the nodes of the one before.
        with docutils_namespace(), log.open("w") as warning:
            places = (source, None, out, tmp_path / "doctrees")
            Sphinx(*places, "html", config, status=None, warning=warning).build()
        return out, log.read_text()

    return make


@pytest.fixture(scope="session")
def browser():
    """A Chromium, for the checks of what was rendered."""
    from playwright.sync_api import sync_playwright

    from effcnn.browser import find

    with sync_playwright() as playwright:
        path = find(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


SHELF = """
[defaults]
epochs = 1
[cells.digits]
dataset = "mnist"
model = "1.5k-dw"
[cells.pictures]
dataset = "cifar10"
model = "143k-dw"
seeds = "0-1"
"""


@pytest.fixture
def shelf(book, record):
    """A book with the runs of both cells of one sweep file."""
    (book / "sweeps" / "first.toml").write_text(SHELF)
    for number, cell in enumerate(cells.cells().values()):
        for recipe in cell.recipes():
            accuracy = 90.0 + number + recipe.seed
            results.write(book / "results", recipe, record(accuracy), {})
    return book
