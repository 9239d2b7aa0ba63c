"""Sweeps with real workers: killed, stopped, side by side, and still the same bits in the end."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tiny import DEFAULTS, LONG, SHORT

from effcnn import cells, cli, plan, results, runs, sweep


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A sweep file's path, to be written."""
    # A test run in the background of a shell may have inherited that it is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield tmp_path / "f.toml"
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def command(file, root, capfd):
    """`effcnn sweep` in this process, with real workers: status, standard output and error."""

    def run(text, *words):
        file.write_text(text)
        status = cli.main(["sweep", str(file), "--results", str(root), "--device", "cpu", *words])
        return status, *capfd.readouterr()

    return run


@pytest.fixture
def at_report(monkeypatch):
    """Do something with the worker's pid when a report comes, as often as is said."""

    def at(what, times=1):
        class Hook(sweep.Sweep):
            def hear(self, event):
                nonlocal times
                if event.kind == "report" and "long" in event.job.name and times:
                    times -= 1
                    what(self.pool.workers[event.worker].process.pid)
                super().hear(event)

        monkeypatch.setattr(sweep, "Sweep", Hook)

    return at


def bits(run):
    """All files of a run; of its record what does not depend on the clock."""
    files = {path.name: path.read_bytes() for path in run.folder.rglob("*.safetensors")}
    return files, {name: run.record[name] for name in ("recipe", "status", "test", "history")}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The run of the cell `long`, trained in this process."""
    file = tmp_path_factory.mktemp("whole") / "f.toml"
    file.write_text(LONG)
    return runs.train(cells.read(file)[0].recipe, file.parent, device="cpu", keep_epochs=True)


def assert_whole(root, run):
    assert bits(results.find(run.recipe, root)) == bits(run)
    assert not [path.name for path in (root / ".partial").iterdir() if path.suffix != ".lock"]


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def test_a_killed_workers_run_goes_on(command, root, at_report, uninterrupted):
    at_report(kill)
    status, out, err = command(LONG + SHORT)
    assert status == 0
    assert err.count("f/long seed 0: its worker ended by SIGKILL; trying once more\n") == 1
    assert err.count("goes on after epoch") == 1
    assert err.startswith("2 runs: 0 there, 2 to train; ")
    assert_whole(root, uninterrupted)
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["f/long", "1/1"],
        ["f/short", "1/1"],
    ]


def test_a_run_whose_worker_is_killed_twice_has_failed(command, root, at_report):
    at_report(kill, times=2)
    status, out, err = command(LONG + SHORT, "--workers", "1")
    assert status == 2
    assert "effcnn: f/long seed 0: its worker ended by SIGKILL, 2 times\n" in err
    assert err.endswith("effcnn: 1 of 2 runs are missing\n")
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["f/long", "0/1"],
        ["f/short", "1/1"],
    ]


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_finishes_the_epoch_and_twice_stops_now(
    command, root, at_report, uninterrupted, times
):
    at_report(lambda _: [os.kill(os.getpid(), signal.SIGINT) for _ in range(times)])
    status, out, err = command(LONG + SHORT, "--workers", "1")
    assert status == 130
    how = "stopped" if times == 1 else "stopped within an epoch"
    last = f"effcnn: {how}; 0 of 2 runs are in {root}; the same command goes on from there"
    assert err.splitlines()[-1] == last
    assert "stopping after these epochs; Ctrl-C again stops now" in err
    assert " 0/1 " in out
    if times == 1:
        assert plan.epochs_done(uninterrupted.recipe, root) in range(1, 20)
        status, _, err = command(LONG, "--cells", "f/long")
        assert status == 0
        assert "1 to train, 1 of them from a checkpoint;" in err
        assert_whole(root, uninterrupted)


def start(file, root, *words):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "effcnn",
            "sweep",
            file,
            "--results",
            root,
            "--device",
            "cpu",
            *words,
        ],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
    )


def test_workers_end_when_the_sweep_is_killed(command, file, root, uninterrupted):
    file.write_text(LONG)
    parent, recipe = start(file, root), uninterrupted.recipe
    while not plan.started(recipe, root):
        assert parent.poll() is None, parent.communicate()
        time.sleep(0.05)
    assert plan.elsewhere(recipe, root)
    parent.kill()
    parent.communicate(timeout=10)  # not before the workers close their standard output too
    for _ in range(50):
        if not plan.elsewhere(recipe, root):
            break
        time.sleep(0.1)
    assert not plan.elsewhere(recipe, root)
    assert command(LONG)[0] == 0
    assert_whole(root, uninterrupted)


TWO = f"""{DEFAULTS}
[cells.plain]
epochs = 6
seeds = "0-2"
[cells.twin]
epochs = 6
seeds = "1-2"
[cells.fast]
lr = 1e6
batch_size = 8
epochs = 3
"""


def test_two_sweeps_at_once_train_each_recipe_once(file, root):
    file.write_text(TWO)
    both = [start(file, root, "--workers", workers) for workers in "12"]
    outputs = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [1, 1]  # a cell diverges
    lines = [line for _, err in outputs for line in err.splitlines() if line.startswith("[")]
    trained = [line for line in lines if " images/s)" in line]
    assert len(trained) == 4
    assert len({line.split("] ")[1].split(":")[0] for line in trained}) == 4
    assert len([line for line in lines if "(trained by another process)" in line]) == 8 - 4 - sum(
        int(err.split(" runs: ")[1].split(" there")[0]) for _, err in outputs
    )
    found = results.runs(root)  # a damaged one would warn, and warnings are errors
    assert len(found) == 4
    weights = [run.recipe.seed for run in found if (run.folder / "weights.safetensors").exists()]
    assert weights == [0, 1]  # the first of each cell
    for out, _ in outputs:
        plain, twin, fast = out.splitlines()[1:]
        assert plain.split()[:2] == ["f/plain", "3/3"]
        assert "±" in plain
        assert twin.split()[:2] == ["f/twin", "2/2"]
        assert fast.split()[:4] == ["f/fast", "1/1", "-", "1"]
