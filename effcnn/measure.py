"""What a net costs: parameters, multiply-accumulates, memory, bytes on disk."""

import io
import platform
import statistics
import time
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Layer:
    """One row of a ledger: a leaf module as it ran on one image."""

    name: str
    kind: str
    shape: tuple[int, ...]  # of its output, without the batch
    params: int
    macs: int
    receptive_field: int  # pixels of the input image that one output sees, per side
    inputs: int  # numbers it reads


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters, shared ones once; buffers such as running means are not counted."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def macs(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one image (C, H, W) through convolutions and matrix products.

    PyTorch's own counter, halved: it counts a multiply-accumulate as two operations. BatchNorm,
    ReLU and pooling are not counted, as is the custom.
    """
    counter = FlopCounterMode(display=False)
    with counter:
        _forward_one(model, shape)
    return counter.get_total_flops() // 2


def ledger(model: nn.Module, shape: tuple[int, int, int]) -> list[Layer]:
    """The layers of `model` in the order in which they end on one image (C, H, W).

    These are the modules without children, and convolutions: one with a gate ends after it.

    The receptive field follows kernel sizes and strides, and may exceed the image; after global
    pooling it is the whole image. A blur after max-pooling is not counted. Depth-wise, point-wise
    and dense convolutions are told apart.
    """
    rows: list[Layer] = []
    field, jump = 1, 1

    def record(name: str, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal field, jump
        work = 0
        if isinstance(module, nn.AdaptiveAvgPool2d):
            field = max(shape[1:])
        elif isinstance(module, (nn.Conv2d, nn.MaxPool2d)):
            size, stride = _side(module.kernel_size), _side(module.stride)
            field, jump = field + (size - 1) * jump, jump * stride
        if isinstance(module, nn.Conv2d):
            work = module.weight.numel() * output.shape[2] * output.shape[3]
        elif isinstance(module, nn.Linear):
            work = module.weight.numel()
        rows.append(
            Layer(
                name,
                _kind(module),
                tuple(output.shape[1:]),
                sum(p.numel() for p in module.parameters(recurse=False)),
                work,
                field,
                inputs[0].numel(),
            )
        )

    handles = [
        module.register_forward_hook(lambda m, i, o, name=name: record(name, m, i, o))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) or not list(module.children())
    ]
    try:
        _forward_one(model, shape)
    finally:
        for handle in handles:
            handle.remove()
    return rows


def activation_bytes(rows: list[Layer]) -> int:
    """Peak memory of activations for one image in float32: the largest input plus output.

    BatchNorm and ReLU work in place here, as any deployed net runs them.
    """
    layers = [row for row in rows if row.kind not in ("BatchNorm2d", "ReLU")]
    return 4 * max(row.inputs + torch.Size(row.shape).numel() for row in layers)


def size_bytes(model: nn.Module) -> int:
    """Bytes of the net as a safetensors file."""
    return len(save({k: v.contiguous() for k, v in model.state_dict().items()}))


def torch_bytes(model: nn.Module) -> int:
    """Bytes of the net's `state_dict` as `torch.save` writes it: most likely the paper's size."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell()


def checkpoint_parts(model: nn.Module) -> dict[str, int]:
    """What the bytes of `torch_bytes` consist of.

    Returns: `weights` (the parameters), `statistics` (BatchNorm's running ones and its counters),
        `names` (of the tensors, with their shapes, pickled), `container` (the headers of the zip
        file, and the padding that starts each tensor at a multiple of 64).
    """
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    size = buffer.tell()
    with zipfile.ZipFile(buffer) as file:
        names = sum(i.file_size for i in file.infolist() if i.filename.endswith("data.pkl"))
    parts = {
        "weights": sum(p.numel() * p.element_size() for p in model.parameters()),
        "statistics": sum(b.numel() * b.element_size() for b in model.buffers()),
        "names": names,
    }
    return {**parts, "container": size - sum(parts.values())}


def cpu_name() -> str:
    """The model of the processor, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Timing:
    """Seconds of one pass over all images: median and quartiles of the repeats."""

    median: float
    low: float
    high: float
    threads: int


def latency(
    model: nn.Module,
    images: Tensor,
    *,
    batch_size: int = 100,
    repeats: int = 7,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Time the net alone on images (N, C, H, W) in memory: no loader, after one warm-up pass.

    Args:
        batch_size: images per forward pass.
        repeats: timed passes over all images, at least 2.
        clock: returns seconds.
    """
    seconds = []
    with torch.inference_mode(), _evaluating(model):
        for _ in range(repeats + 1):
            started = clock()
            for batch in images.split(batch_size):
                model(batch)
            if images.is_cuda:
                torch.cuda.synchronize()
            seconds.append(clock() - started)
    low, median, high = statistics.quantiles(seconds[1:], n=4)
    return Timing(median, low, high, torch.get_num_threads())


def _forward_one(model: nn.Module, shape: tuple[int, int, int]) -> None:
    """One zero image through the net in evaluation mode."""
    parameter = next(model.parameters())
    with torch.no_grad(), _evaluating(model):
        model(torch.zeros(1, *shape, device=parameter.device, dtype=parameter.dtype))


@contextmanager
def _evaluating(model: nn.Module):
    """Evaluation mode for a while; every part of the net gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _side(size: int | tuple[int, ...]) -> int:
    """Kernel sizes and strides are numbers or pairs."""
    return size if isinstance(size, int) else max(size)


def _kind(module: nn.Module) -> str:
    """The module's type; convolutions by what they do."""
    if not isinstance(module, nn.Conv2d):
        return type(module).__name__
    size = "x".join(map(str, module.kernel_size))
    if module.groups == module.in_channels > 1:
        return f"depth-wise {size}"
    return f"point-wise {size}" if module.kernel_size == (1, 1) else f"conv {size}"
