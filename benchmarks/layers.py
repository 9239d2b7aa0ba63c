"""What bounds a training step, layer by layer: run it on a quiet machine.

    python benchmarks/layers.py

Each layer of a net alone, forward and backward on one core in bf16, on a batch of 128 images: as
PyTorch has it, and as `effcnn.fused` does it. For convolutions also the multiply-accumulates per
second, beside those of a large matrix product: what the core can do. It goes to
benchmarks/layers.json.
"""

import json
import statistics
import time
from pathlib import Path

import torch
from torch import nn
from training import NETS, machine

from effcnn import models
from effcnn.fused import fuse
from effcnn.techniques.blurpool import BlurMaxPool2d

BATCH, REPEATS = 128, 30
HERE = Path(__file__).resolve().parent


def seconds(work) -> float:
    """Median of the repeats, after five to warm up."""
    times = []
    for _ in range(REPEATS + 5):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times[5:])


def step_seconds(layer: nn.Module, x: torch.Tensor, wants_gradient: bool) -> float:
    """Forward and backward of a layer on (N, C, H, W)."""
    x = x.requires_grad_(wants_gradient)
    wanted = [*layer.parameters(), *([x] if wants_gradient else [])]
    with torch.autocast("cpu", torch.bfloat16):
        gradient = torch.randn_like(layer(x))

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        torch.autograd.grad(y, wanted, gradient)

    return seconds(work)


def layers(dataset: str) -> list[dict]:
    """One row per convolution, per BatchNorm with its ReLU, and per pooling, in order."""
    traits = models.FAMILIES[dataset]
    net = models.build(dataset, NETS[dataset]).to(memory_format=torch.channels_last).train()
    x = torch.randn(BATCH, traits.channels, traits.size, traits.size)
    rows, first = [], True
    for name, part in net.named_children():
        blocks = dict(part.named_children()) or {"": part}
        blocks.pop("relu", None)
        for inner, module in blocks.items():
            if not isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)):
                continue
            layer = nn.Sequential(module, nn.ReLU()) if inner == "bn" else nn.Sequential(module)
            x = x.detach().to(torch.float32 if first else torch.bfloat16)
            x = x.contiguous(memory_format=torch.channels_last)
            row = {"layer": f"{name}.{inner}".strip("."), "kind": type(module).__name__}
            row["seconds"] = step_seconds(layer, x, not first)
            with torch.autocast("cpu", torch.bfloat16):
                y = layer(x)
            if isinstance(module, nn.Conv2d):
                macs = BATCH * module.weight.numel() * y.shape[2] * y.shape[3]
                row["macs_per_second"] = (2 if first else 3) * macs / row["seconds"]
            else:
                row["fused_seconds"] = step_seconds(fuse(layer), x, True)
            if isinstance(module, nn.MaxPool2d):
                blurred = nn.Sequential(BlurMaxPool2d(2)).train()
                row["blurred_seconds"] = step_seconds(blurred, x, True)
                row["fused_blurred_seconds"] = step_seconds(fuse(blurred), x, True)
            rows.append(row)
            x, first = y, False
    return rows


def main() -> None:
    torch.set_num_threads(1)
    a, b = (torch.randn(1024, 1024, dtype=torch.bfloat16) for _ in range(2))
    result = {"machine": machine(1), "matrix_macs_per_second": 1024**3 / seconds(lambda: a @ b)}
    result["nets"] = {}
    for dataset, model in NETS.items():
        rows = layers(dataset)
        result["nets"][f"{dataset}-{model}"] = rows
        print(f"{dataset}-{model}, ms for {BATCH} images, forward and backward")
        for row in rows:
            extra = {key: value for key, value in row.items() if key not in ("layer", "kind")}
            shown = "  ".join(
                f"{key.removesuffix('_seconds')} {1000 * value:.2f} ms"
                if "macs" not in key
                else f"{value / 1e9:.0f} GMAC/s"
                for key, value in extra.items()
            )
            print(f"  {row['layer']:18} {shown}")
    print(f"matrix product: {result['matrix_macs_per_second'] / 1e9:.0f} GMAC/s")
    (HERE / "layers.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
