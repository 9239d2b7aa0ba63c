"""Checks of the chapter on speed."""

import json

from effcnn import cells
from effcnn.exercises import Wrong, checked, number, numbers


@checked
def traffic(answer) -> None:
    """Megabytes that a pass over 128 x 8 x 28 x 28 numbers of two bytes reads and writes."""
    size = 128 * 8 * 28 * 28 * 2 / 1e6
    if isinstance(answer, (int, float)) and abs(answer - size) < 0.1:
        raise Wrong("so much it reads; it also writes")
    number(answer, 2 * size, "images, channels, places, bytes; read and written", within=0.1)


@checked
def share(answer) -> None:
    """The convolutions' share of a step of mnist-1.5k-dw, in percent, on any machine."""
    numbers(answer, ["percent of a step"], 2, 98)


@checked
def amdahl(answer) -> None:
    """How much faster a step gets where dense convolutions take a quarter of their time."""
    file = cells.checkout() / "benchmarks" / "layers.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["nets"]["cifar10-143k-dw"]
    convs = [row for row in rows if row["kind"] == "Conv2d"]
    dense = sum(row["seconds"] for row in convs if "depthwise" not in row["layer"])
    step = sum(row.get("fused_seconds", row["seconds"]) for row in rows)
    every = sum(row["seconds"] for row in convs)
    if abs(answer - step / (step - every * 3 / 4)) < 0.03:
        raise Wrong("depth-wise convolutions do not get faster")
    hint = "what is left of the step: the rest, and a quarter of the dense convolutions"
    number(answer, step / (step - dense * 3 / 4), hint, within=0.06)
