"""How fast effcnn trains beside a plain PyTorch loop: run it on a quiet machine.

    python benchmarks/training.py            # all, 25 minutes on 2 cores
    python benchmarks/training.py --quick    # the two nets without techniques, 6 minutes

The contestants take turns; each turn lasts some seconds after a warm-up, in processes of its own,
and the median of the turns counts. The ratios go to benchmarks/training.json.

- plain: as tutorials write it: torchvision's data set and transforms, DataLoader, float32, all
  threads; the best of 0, 1 and 2 loading workers.
- one run: `effcnn.train.Trainer`, one process with one thread, compiled or not.
- side by side: as many such processes at once as there are cores, as a sweep has them; their images
  per second are summed. Starting, testing and checkpoints are not part of it: a few seconds a run.
- sweep: `effcnn sweep` of one short run per core, from its start to its end, all included.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

NETS = {"mnist": "1.5k-dw", "cifar10": "143k-dw"}
AUGMENT = {"mnist": "shift", "cifar10": "flip,crop"}
TECHNIQUES = ("bp", "se", "co", "m", "ls", "sam", "bp+co+m+ls+sam")
EPOCHS = 4  # of the runs of the whole sweep
HERE = Path(__file__).resolve().parent


def plain(dataset: str, workers: int, seconds: float) -> float:
    """Images per second of a loop as one writes it without this package, but for the net."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader

    from effcnn import data, files, models

    datasets = files.torchvision_datasets()
    from torchvision import transforms

    mean, std = (
        (0.5,) * models.FAMILIES[dataset].channels,
        (0.25,) * models.FAMILIES[dataset].channels,
    )
    changes = {
        "mnist": [transforms.RandomCrop(28, padding=2)],
        "cifar10": [
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
        ],
    }[dataset]
    changes += [transforms.ToTensor(), transforms.Normalize(mean, std)]
    kind = {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10}[dataset]
    images = kind(data.folder_for(), train=True, transform=transforms.Compose(changes))
    loader = DataLoader(images, batch_size=128, shuffle=True, drop_last=True, num_workers=workers)
    model = models.build(dataset, NETS[dataset]).train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    criterion = nn.CrossEntropyLoss()
    batches = (batch for _ in range(100) for batch in loader)

    def step() -> None:
        images, labels = next(batches)
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()  # for the running mean that such loops print

    return timed(step, seconds)


def ours(dataset: str, techniques: str, compiled: bool, seconds: float) -> float:
    """Images per second of this package's loop, in this process with one thread."""
    import torch

    torch.set_num_threads(1)
    from effcnn import data
    from effcnn.recipe import Recipe
    from effcnn.train import Trainer

    recipe = Recipe.make(dataset, NETS[dataset], techniques, augment=AUGMENT[dataset], lr=0.01)
    trainer = Trainer(recipe, data.load(dataset, train_images=50_000), compiled=compiled)
    trainer.model.train()
    batches = iter(torch.randperm(50_000).split(128)[:-1] * 20)
    return timed(lambda: trainer.step(next(batches), 0)[0].item(), seconds)


def sweep(dataset: str, cores: int) -> float:
    """Images per second of `effcnn sweep`: one short run per core, all that it does."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "sweep.toml"
        file.write_text(
            f'[cells.a]\ndataset = "{dataset}"\nmodel = "{NETS[dataset]}"\nlr = 0.01\n'
            f'augment = "{AUGMENT[dataset]}"\nepochs = {EPOCHS}\nseeds = "0-{cores - 1}"\n'
        )
        command = [sys.executable, "-m", "effcnn", "sweep", file, "--results", f"{folder}/runs"]
        command += ["--compile", "on"]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return cores * EPOCHS * 50_000 / (time.perf_counter() - started)


def timed(step, seconds: float) -> float:
    """Images per second of steps of 128 images, after ten steps to warm up.

    The first line printed says that it is warm; it goes on when a line comes in, so that
    processes that are timed together start together, and waits for no other to have ended.
    """
    for _ in range(10):
        step()
    print("warm", flush=True)
    sys.stdin.readline()
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        step()
        steps += 1
    return 128 * steps / (time.perf_counter() - started)


def turn(jobs: list[list[str]], seconds: float) -> float:
    """Run these jobs at once; returns the sum of their images per second."""
    from effcnn.pool import MEMORY

    running = []
    for job in jobs:
        kept = {} if job[0] == "plain" else {**MEMORY, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--job", json.dumps([*job, seconds])]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen(command, env={**os.environ, **kept}, **pipes))
    for process in running:
        if process.stdout.readline() != "warm\n":
            sys.exit(f"{process.args} failed")
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in running)


def compare(contestants: dict[str, list[list[str]]], turns: int, seconds: float) -> dict:
    """Median images per second by name, and all turns."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(turns):
        for name, jobs in contestants.items():
            rates[name].append(turn(jobs, seconds))
            print(f"turn {number + 1}/{turns} {name}: {rates[name][-1]:,.0f} images/s", flush=True)
    return {
        name: {"median": statistics.median(all_), "turns": all_} for name, all_ in rates.items()
    }


def measure(dataset: str, cores: int, turns: int, seconds: float, techniques) -> dict:
    """One net: the plain loop, one run, and sweeps with and without each technique."""
    contestants = {f"plain, {n} loading workers": [["plain", dataset, n]] for n in (0, 1, 2)}
    contestants["one run"] = [["ours", dataset, "", True]]
    for name in ("", *techniques):
        for compiled in (False, True):
            title = f"side by side {name or 'baseline'}, {'compiled' if compiled else 'eager'}"
            contestants[title] = [["ours", dataset, name, compiled]] * cores
    found = compare(contestants, turns, seconds)
    rate = sweep(dataset, cores)
    found["whole sweep"] = {"median": rate, "turns": [rate]}
    best = max(one["median"] for name, one in found.items() if name.startswith("plain"))
    for one in found.values():
        one["ratio"] = one["median"] / best
    return found


def machine(cores: int) -> dict:
    """What the numbers depend on."""
    import torch

    from effcnn import measure, provenance

    commit = provenance.machine(torch.device("cpu"))["commit"]
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "cpu": measure.cpu_name(),
        "capability": capability,
        "cores": cores,
        "torch": torch.__version__,
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the techniques")
    parser.add_argument("--turns", type=int, default=5, help="default: 5")
    parser.add_argument("--seconds", type=float, default=4, help="per turn (default: 4)")
    parser.add_argument("--output", type=Path, default=HERE / "training.json")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        kind, *rest = json.loads(args.job)
        print({"plain": plain, "ours": ours}[kind](*rest))
        sys.stdout.flush()
        os._exit(0)  # loading workers may hang
    from effcnn.plan import cores

    busy = os.getloadavg()[0]
    if busy > 0.3:
        print(f"warning: something else runs here (load {busy:.1f})", file=sys.stderr)
    result = {"machine": machine(cores()), "seconds": args.seconds, "load_before": busy, "nets": {}}
    for dataset, model in NETS.items():
        techniques = () if args.quick else TECHNIQUES
        found = measure(dataset, cores(), args.turns, args.seconds, techniques)
        result["nets"][f"{dataset}-{model}"] = found
        print(f"{dataset}-{model}: ratio to the best plain loop")
        for name, one in found.items():
            print(f"  {name:35} {one['median']:10,.0f} images/s {one['ratio']:7.2f}x")
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
