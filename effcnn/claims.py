"""The paper's claims, in our own words, as rules that runs judge; see `effcnn.verdicts`."""

from effcnn import paper
from effcnn.verdicts import MARGIN, Better, Claim, Equal, Leads, NotWorse, Reaches, Stated, papers

BASE = {data: f"table-4/{data}-baseline" for data in MARGIN}
SMALLEST, BLUR = "table-3/mnist-1.5k-dw", "table-4/mnist-bp"
TRIO = "table-5/cifar10-bp+co+m"
FULL = f"{TRIO}+ls+sam+swa"
SINGLE = {
    "oc": "One-cycle",
    "co": "Cutout",
    "bp": "BlurPool",
    "se": "Squeeze-and-excite",
    "m": "Mixup",
    "ls": "Label smoothing",
    "sam": "SAM",
    "swa": "SWA",
}
LOWER = {("mnist", "m"), ("cifar10", "oc")}  # the two that Table 4 has below the baseline


def _singles() -> list[Claim]:
    """Table 4: each technique against the baseline, with the sign that the paper prints."""
    found: list[Claim] = []
    for data, title in (("mnist", "MNIST"), ("cifar10", "CIFAR-10")):
        for name, word in SINGLE.items():
            cell = f"table-4/{data}-{name}"
            if (data, name) in LOWER:
                text = f"{word} alone loses accuracy on {title}"
                found.append(Better("Table 4", text, BASE[data], cell))
            else:
                text = f"{word} alone gains accuracy on {title}"
                found.append(Better("Table 4", text, cell, BASE[data]))
    return found


NETS: list[Claim] = [
    NotWorse(
        "IV.A",
        "A depth-wise net of 7K parameters is as accurate as one without, or more so",
        *("table-3/mnist-7k-dw", "table-3/mnist-7k"),
    ),
    NotWorse(
        "IV.A",
        "A depth-wise net of 5K parameters is as accurate as one without, or more so",
        *("table-3/mnist-5k-dw", "table-3/mnist-5k"),
    ),
    NotWorse(
        "IV.A",
        "On CIFAR-10 the depth-wise net is as accurate as the one without",
        *("table-3/cifar10-143k-dw", "table-3/cifar10-143k"),
    ),
    Stated(
        "IV.A",
        "A depth-wise net of 25K parameters is as accurate as one without, or more so",
        "the paper has no such net",
    ),
    Reaches(
        "IV.A, V",
        f"Without a technique 1,560 parameters reach {paper.accuracy(SMALLEST)}% on MNIST",
        *(SMALLEST, "table-3/mnist-5k-dw"),
    ),
    NotWorse(
        "IV.A",
        "The net of 1,560 parameters is as accurate as that of 25,144",
        *(SMALLEST, "table-3/mnist-25k"),
    ),
    NotWorse(
        "IV.A",
        "The net of 1,560 parameters is as accurate as that of 7,767",
        *(SMALLEST, "table-3/mnist-7k"),
    ),
]

ALONE: list[Claim] = [
    *_singles(),
    Leads("IV.C", "BlurPool gains most on MNIST", "mnist", ("bp",)),
    Leads(
        "IV.C", "BlurPool, squeeze-and-excite and SWA lead on MNIST", "mnist", ("bp", "se", "swa")
    ),
    Leads("IV.C", "Mixup gains most on CIFAR-10", "cifar10", ("m",)),
    Leads("IV.C", "Mixup, BlurPool and cutout lead on CIFAR-10", "cifar10", ("m", "bp", "co")),
    Reaches(
        "Abstract, IV.C",
        f"With BlurPool 1,560 parameters reach {paper.accuracy(BLUR)}% on MNIST",
        *(BLUR, BASE["mnist"]),
    ),
    Stated(
        "IV.C",
        "BlurPool is the most consistent technique",
        "the paper does not say what would count as consistent",
    ),
]

COMBINED: list[Claim] = [
    Equal(
        "IV.C",
        "On MNIST, BP+SE+SWA together are as accurate as BlurPool alone",
        *("table-4/mnist-bp+se+swa", BLUR),
    ),
    Better("Table 5", "BP+CO+M beats the best of its parts, mixup", TRIO, "table-4/cifar10-m"),
    Better(
        "Table 5",
        "BP+CO+M is better without squeeze-and-excite",
        TRIO,
        "table-5/cifar10-bp+se+co+m",
    ),
    Equal("Table 5", "SAM brings BP+CO+M nothing", f"{TRIO}+sam", TRIO),
    Better("Table 5", "SWA improves BP+CO+M", f"{TRIO}+swa", TRIO),
    Better("Table 5", "Label smoothing improves BP+CO+M", f"{TRIO}+ls", TRIO),
    Better("Table 5", "LS, SAM and SWA together improve BP+CO+M", FULL, TRIO),
    Better(
        "IV.C, V",
        f"All six together gain {papers(FULL, BASE['cifar10']):.2f} points over the baseline",
        FULL,
        BASE["cifar10"],
    ),
    Reaches(
        "IV.C",
        f"With all six 143,396 parameters reach {paper.accuracy(FULL)}% on CIFAR-10",
        *(FULL, BASE["cifar10"]),
    ),
    Stated(
        "Abstract",
        f"With just over 140K parameters {paper.ABSTRACT}% are reached on CIFAR-10",
        "no row of its tables has that number",
    ),
    Stated(
        "I, II",
        "The techniques make nets more robust",
        "the paper measures no robustness, and does not say against what",
    ),
    Stated(
        "V",
        "The gains on CIFAR-10 are more substantial than those on MNIST",
        "in points or in errors is not said, and the two differ",
    ),
    Stated(
        "Abstract, IV.A, IV.C, V",
        "The accuracies are the state of the art",
        "that is a statement about other people's nets, not about runs",
    ),
]

CLAIMS = [*NETS, *ALONE, *COMBINED]
