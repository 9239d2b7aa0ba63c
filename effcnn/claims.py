"""The paper's claims, in our own words, as rules that runs judge; see `effcnn.verdicts`.

What stands in its text is a claim that the authors make. What only stands in a table is a number;
that it has a sign is our reading, and so these claims say no more than what is printed.
"""

from effcnn import families, paper
from effcnn.families import LEADERS
from effcnn.gains import number
from effcnn.verdicts import MARGIN, Better, Claim, Equal, Leads, NotWorse, Reaches, Stated, papers

BASE = {data: f"table-4/{data}-baseline" for data in MARGIN}
SMALLEST, BLUR = "table-3/mnist-1.5k-dw", "table-4/mnist-bp"
MIXUP = "table-4/cifar10-m"
TRIO = f"table-5/cifar10-{families.TRIO}"
WITH_SE, FULL = "table-5/cifar10-bp+se+co+m", f"{TRIO}+ls+sam+swa"
SINGLE = {
    "oc": "one-cycle",
    "co": "cutout",
    "bp": "BlurPool",
    "se": "squeeze-and-excite",
    "m": "mixup",
    "ls": "label smoothing",
    "sam": "SAM",
    "swa": "SWA",
}


def _printed(what: str, one: str, two: str) -> str:
    """What a table prints for the first of two cells, over the second one."""
    return f"{number(papers(one, two), '+')} for {what}"


def _singles() -> list[Claim]:
    """Table 4: each technique against the baseline, with the sign of what is printed."""
    found: list[Claim] = []
    for data, title in (("mnist", "MNIST"), ("cifar10", "CIFAR-10")):
        for name, word in SINGLE.items():
            cell = f"table-4/{data}-{name}"
            text = _printed(f"{word} alone on {title}", cell, BASE[data])
            gains = papers(cell, BASE[data]) > 0
            pair = (cell, BASE[data]) if gains else (BASE[data], cell)
            found.append(Better("Table 4", text, *pair))
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
    Leads("IV.C", "BlurPool gains most on MNIST", "mnist", LEADERS["mnist"][0]),
    Leads(
        "IV.C",
        "BlurPool, squeeze-and-excite and SWA lead on MNIST",
        *("mnist", LEADERS["mnist"][1]),
    ),
    Leads("IV.C", "Mixup gains most on CIFAR-10", "cifar10", LEADERS["cifar10"][0]),
    Leads(
        "IV.C",
        "Mixup, BlurPool and cutout lead on CIFAR-10",
        *("cifar10", LEADERS["cifar10"][1]),
    ),
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
    Better(
        "Tables 4, 5",
        _printed("BP+CO+M over the best of its parts, mixup", TRIO, MIXUP),
        *(TRIO, MIXUP),
    ),
    Better(
        "Table 5",
        _printed("squeeze-and-excite added to BP+CO+M", WITH_SE, TRIO),
        *(TRIO, WITH_SE),
    ),
    Equal(
        "Table 5",
        _printed("SAM added to BP+CO+M, which we read as nothing", f"{TRIO}+sam", TRIO),
        *(f"{TRIO}+sam", TRIO),
    ),
    Better("Table 5", _printed("SWA added to BP+CO+M", f"{TRIO}+swa", TRIO), f"{TRIO}+swa", TRIO),
    Better(
        "Table 5",
        _printed("label smoothing added to BP+CO+M", f"{TRIO}+ls", TRIO),
        *(f"{TRIO}+ls", TRIO),
    ),
    Better(
        "Table 5", _printed("LS, SAM and SWA together added to BP+CO+M", FULL, TRIO), FULL, TRIO
    ),
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
