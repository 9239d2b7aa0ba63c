"""What a Dask cluster costs in time: the same grid on one and on two workers of this machine.

    python benchmarks/cluster.py            # 5 minutes on 2 cores

Starts a scheduler and its workers on the loopback, each worker with one thread and warmed up by a
run of its own, and trains the grid with `effcnn.sweep`, first on one worker, then on two. Times go
to benchmarks/cluster.json, with what they give by arithmetic for more workers: a grid takes as many
rounds as there are runs per worker, and each round the time of a run and the overhead of a task.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
GRIDS = (8, 200)  # runs: the one that is measured, and about what the paper's tables need
WORKERS = (1, 2, 4, 16)


@contextmanager
def machines(workers: int, folder: Path):
    """A scheduler with that many workers; gives its address."""
    from effcnn.pool import MEMORY

    def start(what: str, *words: object) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{what}", *map(str, words), *local],
            env={**MEMORY, "OMP_NUM_THREADS": "1", **os.environ},
            stderr=subprocess.DEVNULL,
        )

    local = ("--host", "127.0.0.1", "--no-dashboard")
    file = folder / "scheduler.json"
    started = [start("scheduler", "--port", 0, "--scheduler-file", file)]
    try:
        while not file.is_file() or not file.read_text().endswith("}"):
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        for _ in range(workers):
            place = ("--local-directory", folder / "workers")
            started.append(start("worker", address, "--nthreads", 1, "--no-nanny", *place))
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def train(recipes: list, address: str, workers: int, root: Path) -> float:
    """Seconds in which the recipes are trained on the cluster, and lie in the store `root`."""
    from effcnn import sweep
    from effcnn.cluster import Cluster

    cluster = Cluster(address, root=root, device="cpu", threads=1)
    while len(cluster.workers) < workers:
        cluster.events(1.0)
    tasks = [sweep.Task(f"seed {one.seed}", one, True, False) for one in recipes]
    clock = time.perf_counter()
    sweep.run(tasks, 0, cluster.devices, root=root, compiled="off", cluster=cluster)
    return time.perf_counter() - clock


def measure(recipe, runs: int, workers: int) -> dict:
    """Seconds of the grid, of a run in its worker, and of what a task adds to a run."""
    from effcnn import results

    with TemporaryDirectory() as folder, machines(workers, Path(folder)) as address:
        root, clock = Path(folder) / "store", time.perf_counter()
        warm = [recipe.with_seed(100 + i) for i in range(workers)]
        train(warm, address, workers, root)
        first = time.perf_counter() - clock
        grid = [recipe.with_seed(i) for i in range(runs)]
        seconds = train(grid, address, workers, root)
        inside = [results.find(one, root).record["time"]["wall_seconds"] for one in grid]
        warmed = [results.find(one, root).record["time"]["wall_seconds"] for one in warm]
    return {
        "seconds": seconds,
        "run_seconds": statistics.mean(inside),
        "task_seconds": seconds / math.ceil(runs / workers) - statistics.mean(inside),
        "start_seconds": first - max(warmed),  # until a worker has imported and loaded all
    }


def machine() -> dict:
    """What the numbers depend on."""
    import torch

    from effcnn import measure, plan, provenance

    made = provenance.machine(torch.device("cpu"))
    return {
        **{"cpu": measure.cpu_name(), "cores": plan.cores()},
        **{name: made[name] for name in ("system", "python", "torch", "commit", "changed")},
        "distributed": __import__("distributed").__version__,
        "load_before": os.getloadavg()[0],
        "date": datetime.now(UTC).date().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2, help="default: 2")
    parser.add_argument("--output", type=Path, default=HERE / "cluster.json")
    args = parser.parse_args()
    from effcnn.recipe import Recipe

    recipe = Recipe.make("mnist", "1.5k-dw", epochs=args.epochs)
    runs = GRIDS[0]
    result = {
        "machine": machine(),
        "grid": {"runs": runs, "net": "mnist-1.5k-dw", "epochs": args.epochs},
        "measured": {str(n): measure(recipe, runs, n) for n in (1, 2)},
    }
    one = result["measured"]["1"]
    result["arithmetic"] = {
        f"{grid} runs": {
            str(n): math.ceil(grid / n) * (one["run_seconds"] + one["task_seconds"])
            for n in WORKERS
        }
        for grid in GRIDS
    }
    text = json.dumps(result, indent=1)
    print(text)
    args.output.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
