"""What a sweep is before it runs, its table, and what it must not start with."""

import os

import pytest
import torch
from tiny import DEFAULTS, LONG, SHORT

from effcnn import cells, cli, device, plan, results, store, sweep
from effcnn.errors import UserError


@pytest.fixture
def file(tmp_path):
    return tmp_path / "f.toml"


@pytest.fixture
def command(file, root, capfd):
    """`effcnn sweep` in this process: status, standard output and error."""

    def run(text, *words):
        file.write_text(text)
        status = cli.main(["sweep", str(file), "--results", str(root), "--device", "cpu", *words])
        return status, *capfd.readouterr()

    return run


def plan_of(text, file):
    file.write_text(text)
    return plan.plan(cells.read(file))


def test_one_task_per_recipe(file):
    """Two cells share the runs of seeds 1 and 2; each first seed keeps its weights."""
    text = f"{DEFAULTS}[cells.a]\nseeds = '0-2'\n[cells.b]\nseeds = '1-3'\nkeep_epochs = '2'"
    tasks = plan_of(text, file)
    assert [task.name for task in tasks] == [
        *("f/a seed 0", "f/a seed 1", "f/a seed 2", "f/b seed 3"),
    ]
    assert [task.keep_weights for task in tasks] == [True, True, False, False]
    assert [task.keep_epochs for task in tasks] == [False, False, True, False]


def test_other_seeds_and_epochs(file, small):
    file.write_text(LONG)
    (cell,) = cells.read(file)
    assert cell.override() == cell
    other = cell.override((3, 0), 5)
    assert [(r.seed, r.epochs) for r in other.recipes()] == [(3, 5), (0, 5)]
    assert (other.recipe.seed, other.keep_epochs) == (3, (0,))
    assert cell.override((3,)).keep_epochs == ()
    with pytest.raises(UserError, match="swa"):  # it needs two epochs
        cell.override(epochs=1)


@pytest.mark.parametrize(
    ("name", "workers", "threads", "runs", "expected"),
    [
        ("cpu", None, 1, 90, ["cpu"] * 6),
        ("cpu", None, 2, 90, ["cpu"] * 3),
        ("cpu", None, 8, 90, ["cpu"]),
        ("cpu", None, 1, 2, ["cpu"] * 2),
        ("cpu", 9, 1, 90, ["cpu"] * 9),
        ("cpu", 9, 1, 0, ["cpu"]),
        ("auto", None, 1, 90, ["cuda:0", "cuda:1"] * 4),
        ("cuda", 3, 1, 90, ["cuda:0", "cuda:1", "cuda:0"]),
        ("cuda:1", None, 1, 90, ["cuda:1"] * 4),
        ("mps", None, 1, 90, ["mps"]),
    ],
)
def test_devices(monkeypatch, name, workers, threads, runs, expected):
    """As on a machine with two cards, where this process may use six cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    pick = lambda name: torch.device("cuda" if name == "auto" else name)  # noqa: E731
    monkeypatch.setattr(device, "pick_device", pick)
    assert plan.devices(name, workers, threads, runs) == expected


def test_table(file, root, record):
    """98 and 99: mean 98.5, and 12.706 * s / sqrt(2) = 12.706 * 0.5 beside it."""
    text = f"{DEFAULTS}[cells.a]\nseeds = '0-2'\n[cells.b]\nlr = 9\n[cells.c]\nlr = 8\n"
    for task, accuracy in zip(plan_of(text, file), (98.0, 99.0, None, None), strict=False):
        if "seed 2" not in task.name:
            results.write(root, task.recipe, record(accuracy), {})
    results.write(root, plan_of(text, file)[3].recipe, record(None), {})
    table = sweep.table(cells.read(file), root)
    assert table.to_numpy().tolist() == [
        ["f/a", "2/3", "98.50 ± 6.35", 0, "2"],
        ["f/b", "1/1", "-", 1, "2"],
        ["f/c", "0/1", "-", 0, "-"],
    ]


def test_damaged_runs_fail_alone(command, root):
    """Half a run, and a run.json that was cut off: both are named, and the third is trained."""
    text = f"{DEFAULTS}[cells.bad]\nepochs = 1\nseeds = '0-2'\n"
    half, cut, good = (task.recipe for task in plan_of(text, root.parent / "g.toml"))
    for recipe in (half, cut):
        (root / recipe.folder).mkdir(parents=True)
    (root / cut.folder / "run.json").write_text('{"recipe"')
    status, out, err = command(text, "--workers", "1")
    assert status == 2
    assert f"f/bad seed 0: {root / half.folder} is not a whole run; move it away" in err
    assert f"f/bad seed 1: {root / cut.folder / 'run.json'} is damaged" in err
    assert "f/bad  1/3" in out
    assert results.find(good, root)


def test_damaged_data_start_no_worker(command, root, monkeypatch):
    monkeypatch.setattr(sweep, "Pool", lambda *_, **__: pytest.fail("started a worker"))
    raw = root.parent / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"not the original")
    text = "[cells.a]\ndataset = 'mnist'\nmodel = '25k'\n"
    status, out, err = command(text, "--data", str(root.parent))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "train-images-idx3-ubyte is truncated or corrupted: delete it" in err
    assert not root.exists()


def test_dry_run_writes_nothing_and_says_how_long(command, file, root):
    text = LONG + SHORT
    recipe = plan_of(text, file)[1].recipe
    with store.claim(recipe, root):
        pass
    before = sorted((path, path.is_file() and path.read_bytes()) for path in root.rglob("*"))
    status, out, err = command(text, "--dry-run", "--epochs", "2")
    assert status == 0, err
    _, long, short, total, note = out.splitlines()
    assert long.split()[:6] == ["f/long", "0", "2", "0", "-", "1"]
    assert short.split()[:3] == ["f/short", "1", "2"]
    assert total.startswith("2 runs to train: about ")
    assert note.startswith("--seeds or --epochs made these other runs than ")
    assert before == sorted(
        (path, path.is_file() and path.read_bytes()) for path in root.rglob("*")
    )


def test_nothing_to_do_starts_no_worker(command, root, record, file, monkeypatch):
    for task in plan_of(f"{DEFAULTS}{SHORT}", file):
        results.write(root, task.recipe, record(98.0), {})
    monkeypatch.setattr(sweep, "Pool", lambda *_, **__: pytest.fail("started a worker"))
    status, out, err = command(f"{DEFAULTS}{SHORT}")
    assert (status, err) == (0, "1 runs: 1 there, 0 to train; 1 worker on cpu, 1 thread each\n")
    assert "98.00, one run" in out
    assert command(f"{DEFAULTS}{SHORT}", "--dry-run")[0] == 0
    status, out, err = command(f"{DEFAULTS}{SHORT}keep_epochs = '1'\n")
    assert (status, out) == (2, "")
    assert "is there without its epochs; name another --results" in err
