"""Sweeps on a Dask cluster of real processes on this machine: the same bits, whatever dies."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import DEFAULTS, LONG

from effcnn import catalogue, cells, cli, plan, remote, results, runs, store

SHORT = f"{DEFAULTS}\n[cells.short]\nepochs = 1\n"
MIXED = f"""{DEFAULTS}
[cells.plain]
epochs = 2
seeds = "0-1"
[cells.kept]
epochs = 3
techniques = "bp+m+oc"
keep_epochs = "0"
[cells.own]
epochs = 2
techniques = "own(std=0.2)"
"""
OWN = """
import torch
from effcnn.techniques import Setting, Spec, Technique, positive

STD = Setting(0.1, "", positive, "")

class Own(Technique, spec=Spec("own", "own-noise", "noise", {"std": STD})):
    def change_batch(self, images, targets, generator):
        return images + self.std * torch.empty_like(images).normal_(generator=generator), targets
"""


class Process:
    """A process whose output goes to a file."""

    def __init__(self, log, *words, **environment):
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *map(str, words)],
                **{"stdout": file, "stderr": file, "env": {**os.environ, **environment}},
            )

    def said(self, text=None):
        """Its output so far; with `text`, once that stands in it or it has ended."""
        until = time.monotonic() + 120
        while text and text not in self.log.read_text() and self.process.poll() is None:
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)
        return self.log.read_text()

    def end(self):
        """Its exit status and its output."""
        return self.process.wait(120), self.log.read_text()

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(60)


class Machines:
    """A scheduler and its workers."""

    def __init__(self, folder):
        self.folder, self.workers, self.count = folder, [], 0
        words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter")
        file = folder / "scheduler.json"
        self.scheduler = Process(
            folder / "scheduler", "distributed.cli.dask_scheduler", *words, "--scheduler-file", file
        )
        until = time.monotonic() + 60
        while not file.is_file() or not file.read_text().endswith("}"):
            assert time.monotonic() < until, self.scheduler.said()
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]

    def start(self, *more):
        self.count += 1
        place = self.folder / f"worker{self.count}"
        words = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        worker = Process(
            place.with_suffix(".log"),
            *("distributed.cli.dask_worker", self.address, *words, *more),
            *("--local-directory", place),
            EFFCNN_DATA=__file__,  # no folder: where no data can be, nor be downloaded to
        )
        worker.place = place
        self.workers.append(worker)
        return worker

    def training(self):
        """The worker that trains at this moment, of the one run that there is."""
        (worker,) = [worker for worker in self.workers if self.leftovers([worker])]
        return worker

    def leftovers(self, workers):
        return [path for worker in workers for path in worker.place.rglob("effcnn-*")]

    def end(self):
        for process in (*self.workers, self.scheduler):
            if process.process.poll() is None:
                process.kill()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    machines = Machines(tmp_path_factory.mktemp("cluster"))
    yield machines
    machines.end()


@pytest.fixture
def machines(two):
    """Two workers, started anew if a test before has killed one."""
    two.workers = [worker for worker in two.workers if worker.process.poll() is None]
    while len(two.workers) < 2:
        two.start()
    return two


@pytest.fixture
def sweep(tmp_path, root):
    """Start `effcnn sweep` of a text."""
    started = []

    def start(text, address, *words):
        file = tmp_path / "f.toml"
        file.write_text(text)
        words = ("sweep", file, "--results", root, "--scheduler", address, *words)
        started.append(Process(tmp_path / f"sweep{len(started)}", "effcnn", *words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


def bits(run):
    """All files of a run; of its record what does not depend on the clock."""
    files = {path.name: path.read_bytes() for path in run.folder.rglob("*.safetensors")}
    return files, {name: run.record[name] for name in ("recipe", "status", "test", "history")}


def assert_tidy(root):
    assert [path.name for path in (root / ".partial").iterdir()] == []


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The run of the cell `long`, trained in this process."""
    file = tmp_path_factory.mktemp("whole") / "f.toml"
    file.write_text(LONG)
    return runs.train(cells.read(file)[0].recipe, file.parent, device="cpu", keep_epochs=True)


def test_the_same_bits_as_here(machines, sweep, root, tmp_path, registry):
    own = tmp_path / "own.py"
    own.write_text(OWN)
    status, said = sweep(MIXED, machines.address, "--use", own).end()
    assert status == 0, said
    assert f"on cpu at {machines.address}, 1 thread each" in said
    assert said.count("\n[") == 4
    catalogue.use(own)
    for cell in cells.read(tmp_path / "f.toml"):
        for recipe in cell.recipes():
            kept = recipe.seed in cell.keep_epochs
            first = recipe.seed == cell.seeds[0]
            here = runs.train(
                *(recipe, tmp_path / "here"), device="cpu", keep_weights=first, keep_epochs=kept
            )
            there = results.find(recipe, root)
            assert bits(there) == bits(here)
            assert there.record["provenance"] == here.record["provenance"]
            assert there.record["sources"] == here.record["sources"]
    assert_tidy(root)
    assert machines.leftovers(machines.workers) == []


def test_a_killed_workers_run_goes_to_another(machines, sweep, root, uninterrupted):
    one = sweep(LONG, machines.address)
    one.said("epoch 1/20")
    machines.training().kill()
    status, said = one.end()
    assert status == 0, said
    assert "effcnn: f/long seed 0: its worker is gone; it starts again on tcp://127" in said
    assert bits(results.find(uninterrupted.recipe, root)) == bits(uninterrupted)
    assert_tidy(root)


def test_ctrl_c_finishes_the_epoch_and_brings_its_checkpoint_home(
    machines, sweep, root, uninterrupted
):
    one = sweep(LONG, machines.address)
    one.said("epoch 1/20")
    one.process.send_signal(signal.SIGINT)
    status, said = one.end()
    assert status == 130, said
    last = f"effcnn: stopped; 0 of 1 runs are in {root}; the same command goes on from there"
    assert last in said.splitlines()
    assert plan.epochs_done(uninterrupted.recipe, root) in range(1, 20)
    assert not plan.elsewhere(uninterrupted.recipe, root)
    status, said = sweep(LONG, machines.address).end()
    assert status == 0, said
    assert "1 to train, 1 of them from a checkpoint;" in said
    assert said.count("sam+swa seed 0: goes on after epoch") == 1
    found = results.find(uninterrupted.recipe, root)
    assert bits(found) == bits(uninterrupted)
    assert found.record["resumed"]
    assert_tidy(root)


def test_a_sweep_that_is_killed_leaves_the_workers_free(machines, sweep, root, uninterrupted):
    one = sweep(LONG, machines.address)
    one.said("epoch 1/20")
    one.kill()
    until = time.monotonic() + 60
    while machines.leftovers(machines.workers):  # they train on until the end of the epoch
        assert time.monotonic() < until
        time.sleep(0.05)
    assert results.find(uninterrupted.recipe, root) is None
    assert not plan.elsewhere(uninterrupted.recipe, root)


def test_a_run_that_another_process_trains_is_left_to_it(machines, sweep, root, tmp_path):
    (tmp_path / "f.toml").write_text(SHORT)
    with store.claim(cells.read(tmp_path / "f.toml")[0].recipe, root):
        one = sweep(SHORT, machines.address)
        assert "1 running elsewhere" in one.said("running elsewhere")
        time.sleep(1)
        assert machines.leftovers(machines.workers) == []
    status, said = one.end()
    assert status == 0, said
    assert_tidy(root)


def test_a_worker_without_the_data_set_is_named(machines, sweep, root):
    text = LONG.replace("mnist-sample", "mnist")
    status, said = sweep(text, machines.address).end()
    assert status == 2
    (line,) = [line for line in said.splitlines() if "is not a folder" in line]
    assert line.startswith("effcnn: f/long seed 0: worker tcp://127.0.0.1:")
    assert "name another with --data or EFFCNN_DATA" in line
    assert "effcnn: 1 of 1 runs are missing" in said
    assert_tidy(root)


OTHER = """
from effcnn import cli, remote
remote.versions = lambda: {"effcnn": "0.0.1", "torch": "1.0"} | {NAMES}
raise SystemExit(cli.main())
"""


@pytest.mark.parametrize("same", [(), ("effcnn",)], ids=["refused", "warned"])
def test_other_versions(machines, sweep, root, tmp_path, same):
    mine = {name: remote.versions()[name] for name in same}
    script = tmp_path / "other.py"
    script.write_text(OTHER.replace("{NAMES}", repr(mine)))
    file = tmp_path / "f.toml"
    file.write_text(SHORT)
    words = ("sweep", file, "--results", root, "--scheduler", machines.address)
    done = subprocess.run(
        [sys.executable, script, *words], capture_output=True, text=True, timeout=120
    )
    (line,) = [line for line in done.stderr.splitlines() if "worker tcp" in line]
    here = remote.versions()
    assert done.returncode == (0 if same else 2)
    if same:
        assert line.startswith("effcnn: warning: worker tcp://127.0.0.1:")
        assert line.endswith(f" has torch {here['torch']}, not 1.0")
    else:
        assert line.startswith("effcnn: f/short seed 0: worker tcp://127.0.0.1:")
        assert line.endswith(f" has effcnn {here['effcnn']}, not 0.0.1")


def test_waiting_for_a_gpu_and_the_end_of_the_scheduler(tmp_path, sweep, root):
    machines = Machines(tmp_path)
    try:
        one = sweep(LONG, machines.address, "--device", "cuda")
        line = f"effcnn: {machines.address} has no worker with the resource GPU; waiting for one\n"
        assert one.said(line) == line
        machines.start().said("Registered to")
        assert one.said() == line
        machines.start("--resources", "GPU=1")
        status, said = one.end()
        assert f"1 worker on cuda at {machines.address}" in said
        if not torch.cuda.is_available():  # as that worker has said
            assert status == 2
            assert "no device 'cuda' here" in said
        one = sweep(LONG, machines.address)
        one.said("epoch 1/20")
        machines.scheduler.kill()
        status, said = one.end()
        assert status == 2
        last = f"effcnn: the scheduler at {machines.address} is gone; run again when it is back"
        assert said.splitlines()[-1] == last
        assert not plan.elsewhere(cells.read(tmp_path / "f.toml")[0].recipe, root)
    finally:
        machines.end()


def test_a_run_that_kills_its_workers_is_given_up():
    """Dask says so after `allowed-failures` more than one."""
    from distributed import KilledWorker

    from effcnn.cluster import Cluster

    future = SimpleNamespace(status="error", exception=lambda: KilledWorker("key", None, 3))
    answer = Cluster._answer(None, SimpleNamespace(future=future))
    assert (answer.outcome, answer.reason) == ("raised", "4 workers died training it")


@pytest.fixture
def refused(tmp_path, root, capsys):
    """The line with which a sweep with such flags is refused."""

    def run(*flags):
        file = tmp_path / "f.toml"
        file.write_text(LONG)
        assert cli.main(["sweep", str(file), "--results", str(root), *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--scheduler", "here"], "'here' is not the address of a scheduler"),
        (["--scheduler", "tcp://here"], "'tcp://here' is not the address of a scheduler"),
        (["--scheduler", "http://here:8786"], "it has the form tcp://HOST:PORT"),
        (["--scheduler", "tcp://a:1", "--workers", "2"], "--workers is about this machine"),
        (["--scheduler", "tcp://a:1", "--dry-run"], "--dry-run is about this machine"),
        (["--scheduler", "tcp://a:1", "--device", "cuda:1"], "with --scheduler it is cuda"),
    ],
)
def test_flags_that_are_refused(refused, flags, says):
    assert says in refused(*flags)


@pytest.mark.parametrize("listens", [False, True])
def test_no_scheduler_there(refused, monkeypatch, listens):
    monkeypatch.setattr(remote, "TIMEOUT", 1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listens:  # but never answers
            other.listen()
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        assert f"no scheduler answers at {address}" in refused("--scheduler", address)


def test_without_distributed(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "effcnn.cluster")
    line = refused("--scheduler", "tcp://127.0.0.1:1")
    assert "needs dask.distributed, which the extra 'cluster' brings" in line


def test_the_extra_that_is_named_is_there():
    text = (Path(__file__).resolve().parent.parent / "pyproject.toml").read_text()
    assert "\ncluster = " in text
