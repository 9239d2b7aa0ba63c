"""How long 10,000 test images take on the CPU, as the paper does it and as one should.

    python benchmarks/latency.py       # on a quiet machine, 9 minutes on 2 cores

- as described: the paper says "the test dataset of 10,000 data points" and "CPU" and no more. This
  is the common way: torchvision's data set and transforms, a DataLoader, all threads, one pass, no
  warm-up. The same pass without the net says how much of it is the loader.
- properly: images in memory, batches of 100, one thread or all of them, a pass to warm up, and the
  median of the passes after it.

All nine nets take turns, and the techniques that change the net, in the smallest net and the large
one. It goes to benchmarks/latency.json. Weights are fresh: they cost the same as trained ones.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from training import machine

from effcnn import data, files, measure, models
from effcnn.plan import cores
from effcnn.recipe import Recipe
from effcnn.train import build

IMAGES = 10_000
CHANGED = {"mnist-1.5k-dw": ("bp", "se"), "cifar10-143k-dw": ("bp", "se")}
HERE = Path(__file__).resolve().parent


def nets() -> dict[str, nn.Module]:
    """By name: mnist-25k, and mnist-1.5k-dw+bp where a technique has changed the net."""
    found = {name: models.build(name) for name in models.names()}
    for name, techniques in CHANGED.items():
        dataset, model = models.split(name)
        for technique in techniques:
            recipe = Recipe.make(dataset, model, technique)
            found[f"{name}+{technique}"] = build(recipe)[0].to(
                memory_format=torch.contiguous_format
            )
    return {name: net.eval() for name, net in found.items()}


def loaders() -> dict[str, DataLoader]:
    """The test set as tutorials load it, by data set."""
    datasets = files.torchvision_datasets()
    from torchvision import transforms

    found = {}
    for name, kind in {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10}.items():
        channels = models.FAMILIES[name].channels
        steps = [
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * channels, (0.25,) * channels),
        ]
        images = kind(data.folder_for(), train=False, transform=transforms.Compose(steps))
        found[name] = DataLoader(images, batch_size=100)
    return found


@torch.no_grad()
def one_pass(loader: DataLoader, net: nn.Module | None) -> float:
    """Seconds of one pass; without a net, of loading alone."""
    started = time.perf_counter()
    for images, _ in loader:
        if net:
            net(images)
    return time.perf_counter() - started


def in_turns(work: dict[str, object], turns: int) -> dict[str, dict]:
    """Median, quartiles and all seconds of each piece of work, after a turn to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(turns + 1):
        for name, once in work.items():
            took = once()
            if number:
                seconds[name].append(took)
        print(f"turn {number} of {turns}", flush=True)
    found = {}
    for name, all_ in seconds.items():
        low, _, high = statistics.quantiles(all_, n=4)
        found[name] = {"median": statistics.median(all_), "low": low, "high": high}
    return found


def properly(net: nn.Module, name: str) -> float:
    """Seconds of one pass over 10,000 images in memory."""
    traits = models.FAMILIES[models.split(name.split("+")[0])[0]]
    images = torch.randn(1000, traits.channels, traits.size, traits.size)
    started = time.perf_counter()
    with torch.inference_mode():
        for _ in range(IMAGES // 1000):
            for batch in images.split(100):
                net(batch)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7, help="default: 7")
    parser.add_argument("--output", type=Path, default=HERE / "latency.json")
    args = parser.parse_args()
    every, count = nets(), cores()
    load = loaders()
    rows: dict[str, dict] = {name: {"macs": macs(net, name)} for name, net in every.items()}
    torch.set_num_threads(count)
    for name, net in every.items():
        family = models.split(name.split("+")[0])[0]
        rows[name]["as described"] = one_pass(load[family], net)
    work = {name: (lambda loader=loader: one_pass(loader, None)) for name, loader in load.items()}
    loading = in_turns(work, 3)
    for threads in sorted({1, count}):
        torch.set_num_threads(threads)
        found = in_turns(
            {n: (lambda net=net, n=n: properly(net, n)) for n, net in every.items()}, args.turns
        )
        for name, one in found.items():
            rows[name][f"threads {threads}"] = one
    result = {"machine": machine(count), "images": IMAGES, "turns": args.turns}
    result |= {"loading": loading, "nets": rows}
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def macs(net: nn.Module, name: str) -> int:
    traits = models.FAMILIES[models.split(name.split("+")[0])[0]]
    return measure.macs(net, (traits.channels, traits.size, traits.size))


if __name__ == "__main__":
    main()
