"""The paper's numbers, as data: Ethiraj and Bolla 2022, "Training Efficient CNNs".

Each is a single number without an interval. Accuracy is "validation accuracy" in percent, most
likely on the 10,000 test images (an inference: no other split is named); latency is in seconds
for 10,000 test images on a CPU; size is in KB.
"""

from dataclasses import dataclass

# Tables 1 and 2: parameters. Table 1 has a seventh column of layers without a count.
PARAMETERS = {
    "mnist-25k": 25_144,
    "mnist-7k": 7_767,
    "mnist-7k-dw": 7_611,
    "mnist-5k": 5_712,
    "mnist-5k-dw": 5_616,
    "mnist-1.5k-dw": 1_560,
    "cifar10-143k": 143_208,
    "cifar10-143k-dw": 143_396,
}


@dataclass(frozen=True)
class Net:
    """A row of Table 3."""

    accuracy: float
    latency_s: float
    size_kb: int


TABLE_3 = {
    "mnist-25k": Net(99.35, 3.36, 107),
    "mnist-7k": Net(99.34, 2.67, 43),
    "mnist-7k-dw": Net(99.46, 3.35, 43),
    "mnist-5k": Net(99.33, 2.76, 34),
    "mnist-5k-dw": Net(99.27, 2.74, 34),
    "mnist-1.5k-dw": Net(98.35, 2.52, 19),
    "cifar10-143k": Net(81.57, 8.51, 578),
    "cifar10-143k-dw": Net(79.9, 8.82, 590),
}

# Table 4: accuracy by technique, on mnist-1.5k-dw and cifar10-143k-dw.
TABLE_4 = {
    "mnist": {
        "baseline": 98.35,
        "oc": 98.92,
        "co": 98.45,
        "bp": 99.21,
        "se": 99.18,
        "m": 97.85,
        "ls": 98.83,
        "sam": 98.77,
        "swa": 99.02,
        "bp+se+swa": 99.2,
    },
    "cifar10": {
        "baseline": 79.9,
        "oc": 79.42,
        "co": 82.92,
        "bp": 83.16,
        "se": 81.61,
        "m": 83.52,
        "ls": 81.06,
        "sam": 80.64,
        "swa": 82.1,
    },
}

# Table 5: accuracy of combinations, on cifar10-143k-dw.
TABLE_5 = {
    "bp+se+co+m": 85.55,
    "bp+co+m": 86.08,
    "bp+co+m+sam": 86.09,
    "bp+co+m+swa": 86.37,
    "bp+co+m+ls": 86.37,
    "bp+co+m+ls+sam+swa": 86.76,
}

# What the text says of CIFAR-10 otherwise than the tables.
ABSTRACT = 86.01  # reached, "with just over 140K parameters"
CONCLUSION_BASELINE = 77.9  # from which it says that 86.76 is reached


def accuracy(cell: str) -> float | None:
    """The paper's accuracy for a cell of the sweep files of its tables; None where it has none.

    >>> accuracy("table-4/mnist-bp")
    99.21
    """
    table, _, name = cell.partition("/")
    dataset, _, rest = name.partition("-")
    if table == "table-3":
        return TABLE_3[name].accuracy if name in TABLE_3 else None
    if table == "table-5" and rest in TABLE_5:
        return TABLE_5[rest]
    if table in ("table-4", "table-5"):
        return TABLE_4.get(dataset, {}).get(rest)
    return None
