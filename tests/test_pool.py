"""Worker processes: what they start with, job after job, and every way in which they end."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest

from effcnn.pool import MEMORY, Pool


def about(job, seat):
    """What a worker is, told from inside."""
    import torch

    names = (*MEMORY, "OMP_NUM_THREADS")
    found = {name: os.environ.get(name) for name in names}
    return found | {
        "job": job,
        "pid": os.getpid(),
        "device": seat.device,
        "threads": (seat.threads, torch.get_num_threads()),
        "interrupt": signal.getsignal(signal.SIGINT),
    }


def count(job, seat):
    """Report every tenth of a second, until told to stop."""
    for i in range(600):
        seat.report(i)
        if seat.stop():
            return f"stopped after {i}"
        time.sleep(0.1)


def warn(job, seat):
    print("half a ", end="", file=sys.stderr)
    print("line", file=sys.stderr, flush=True)
    warnings.warn(f"beware of {job}", stacklevel=1)
    raise ValueError("went wrong")


def gone(pid, seconds=10):
    """Whether a process ends in time. One that nobody has fetched yet has ended too."""
    for _ in range(10 * seconds):
        done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
        if done.stdout.strip()[:1] in ("", "Z"):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def pool():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MALLOC_TOP_PAD_", "4096")
        with Pool(["cpu", "cuda:0"], threads=1) as pool:
            yield pool
    assert not multiprocessing.active_children()


def answers(pool, jobs=1):
    """The next events that end a job, in the order of the workers."""
    found = []
    while len(found) < jobs:
        found += [event for event in pool.events(60) if event.kind in ("done", "raised", "died")]
    return sorted(found, key=lambda event: event.worker)


def test_what_a_worker_is(pool):
    before = dict(os.environ)
    assert (pool.free, pool.busy) == (2, 0)
    for job in ("first", "second"):
        pool.submit(about, job)
    assert (pool.free, pool.busy) == (0, 2)
    first, second = answers(pool, 2)
    assert (first.worker, first.job, first.kind) == (0, "first", "done")
    for event, device in ((first, "cpu"), (second, "cuda:0")):
        value = event.value
        assert value.items() >= {"device": device, "threads": (1, 1), "job": event.job}.items()
        assert value["OMP_NUM_THREADS"] == "1"
        assert value["interrupt"] is signal.SIG_IGN
        assert value["MALLOC_TRIM_THRESHOLD_"] == MEMORY["MALLOC_TRIM_THRESHOLD_"]
        assert value["MALLOC_TOP_PAD_"] == "4096"  # the user's own
    assert first.value["pid"] != second.value["pid"]
    assert dict(os.environ) == before
    pool.submit(about, "third")
    assert answers(pool)[0].value["pid"] == first.value["pid"]  # it has lived on


def test_reports_and_stop(pool):
    pool.submit(count, "long")
    assert [(event.kind, event.value) for event in pool.events(60)] == [("report", 0)]
    pool.stop()
    assert answers(pool)[0].value.startswith("stopped after")
    pool.stop()  # nothing runs, and nothing remembers it
    pool.submit(count, "long")
    assert pool.events(60)[0].value == 0
    assert pool.events(60)[0].value == 1
    pool.stop()
    answers(pool)


def test_what_is_said_and_an_error_reach_the_parent(pool):
    pool.submit(warn, "it")
    said, warned, raised = (pool.events(60)[0] for _ in range(3))
    assert (said.kind, said.value) == ("line", "half a line")
    assert (warned.kind, warned.value) == ("warning", "beware of it")
    assert raised.kind == "raised"
    assert raised.value.endswith("ValueError: went wrong\n")


@pytest.mark.parametrize("when", ["busy", "idle"])
def test_killed_worker_is_replaced(pool, when):
    pool.submit(about, "short")
    pid = answers(pool)[0].value["pid"]
    if when == "busy":
        pool.submit(count, "long")
        pool.events(60)
    os.kill(pid, signal.SIGKILL)
    if when == "busy":
        (event,) = answers(pool)
        assert (event.job, event.kind, event.value) == ("long", "died", "SIGKILL")
    else:
        assert gone(pid)
        assert pool.events(1) == []
    pool.submit(about, "short")
    assert answers(pool)[0].value["pid"] != pid


PARENT = """
import os, sys
from effcnn.pool import Pool
from test_pool import about, count
if __name__ == "__main__":
    with Pool(["cpu", "cpu"]) as pool:
        pool.submit(about, "short")
        pool.submit(about, "short")
        pids = []
        while len(pids) < 2:
            pids += [str(event.value["pid"]) for event in pool.events(60)]
        pool.submit(count, "long")
        pool.events(60)
        print(*pids, flush=True)
        pool.events(60)
        sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, None], ids=str)
def test_workers_end_with_their_parent(tmp_path, how):
    """One is idle and one is busy; None is a parent that ends by itself, with an error."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT + ("" if how else "        raise SystemExit(3)\n"))
    parent = subprocess.Popen(
        [sys.executable, script],
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True},
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    if how:
        parent.send_signal(how)
    parent.communicate(timeout=10)
    assert parent.returncode == (-how if how else 3)
    assert all(gone(pid) for pid in pids)
