"""The techniques as data: names, settings with their sources, and what they refuse.

It imports no technique and no torch, so that a recipe can be checked and read anywhere.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from effcnn.errors import UserError
from effcnn.models import FAMILIES, family

NO_TECHNIQUE = ("none", "baseline")


@dataclass(frozen=True)
class Setting:
    """One setting of a technique: default, where it comes from, and which values are allowed."""

    default: float | int | str
    source: str
    allowed: Callable[[object], bool]
    says: str  # `allowed` in words, for the error line


@dataclass(frozen=True)
class Spec:
    """What is known of a technique without importing it."""

    short: str  # the paper's shorthand, lower case
    word: str
    about: str
    settings: dict[str, Setting] = field(default_factory=dict)
    sets_lr: bool = False  # then the recipe has no learning rate of its own
    # From the settings and the recipe: why they do not go together, or None.
    refuses: Callable[[dict, object], str | None] = lambda values, recipe: None

    def __post_init__(self) -> None:
        for name in (self.short, self.word):
            if not re.fullmatch("[a-z][a-z0-9-]*", name) or name in NO_TECHNIQUE:
                raise UserError(f"a technique cannot be named '{name}'; write noise, or my-noise-2")
        for name, setting in self.settings.items():
            if type(setting.default) not in (int, float, str):
                raise UserError(f"{self.word}: the default of {name} must be int, float or str")


def positive(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value < float("inf")


def between(least: float, most: float = float("inf")) -> Callable[[object], bool]:
    """Numbers from `least` to `most`, both included, but not infinity."""
    return lambda value: (
        isinstance(value, (int, float)) and least <= value <= most and value < float("inf")
    )


def whole(value: object) -> bool:
    return isinstance(value, int) and value >= 1


def _whole_image(values: dict, recipe) -> str | None:
    """Cutout of the whole image leaves nothing to learn from."""
    side = FAMILIES[family(recipe.dataset)].size
    if values["length"] <= side:
        return None
    return f"length is {values['length']}; it must be at most {side}, the side of {recipe.dataset}"


def _one_epoch(values: dict, recipe) -> str | None:
    """An average of one net is that net."""
    if recipe.epochs > 1:
        return None
    return "it averages the weights after several epochs; epochs is 1, choose 2 or more"


# In canonical order: what changes the model, the batch, the loss, the optimizer, the weights after
# training, the schedule.
SPECS: dict[str, Spec] = {
    spec.short: spec
    for spec in (
        Spec(
            "bp",
            "blurpool",
            "anti-aliased downsampling: a blur between dense max-pooling and subsampling",
            {
                "padding": Setting(
                    "reflect",
                    "Zhang 2019; the library the paper used pads with zeros",
                    lambda value: value in ("reflect", "zero"),
                    "reflect or zero",
                ),
                "layers": Setting(
                    "all",
                    "paper III.F: at the convolutional and the max-pooling layers",
                    lambda value: value in ("all", "maxpool", "conv"),
                    "all, maxpool or conv",
                ),
            },
        ),
        Spec(
            "se",
            "squeeze-excite",
            "a learned gate per channel after each convolution block, from the channels' means",
            {
                "ratio": Setting(
                    0.25,
                    "MobileNetV3; the paper names none, Hu et al. take 1/16",
                    lambda value: positive(value) and value <= 1,
                    "a number above 0, up to 1",
                )
            },
        ),
        Spec(
            "co",
            "cutout",
            "one square of each training image, at a random place, is set to the mean",
            {
                "length": Setting(
                    10, "paper III.G: 10x10 pixels", whole, "a whole number of pixels from 1"
                )
            },
            refuses=_whole_image,
        ),
        Spec(
            "m",
            "mixup",
            "each training image and its label are mixed with those of another one",
            {
                # Below 0.01 float64 cannot draw from this Beta distribution.
                "alpha": Setting(
                    0.2,
                    "Zhang et al. 2018 for ImageNet; the paper names none",
                    lambda value: value == 0 or between(0.01, 1e6)(value),
                    "0, or a number from 0.01 to 1,000,000",
                )
            },
        ),
        Spec(
            "ls",
            "label-smoothing",
            "the targets give a little of their weight to all classes",
            {"smoothing": Setting(0.1, "paper III.J", between(0, 1), "a number from 0 to 1")},
        ),
        Spec(
            "sam",
            "sam",
            "sharpness-aware minimisation: the gradient is taken where the loss nearby is highest",
            {
                "rho": Setting(
                    0.05, "Foret et al. 2021; the paper names none", between(0), "a number from 0"
                ),
                "interval": Setting(
                    1,
                    "every step, as in Foret et al. 2021",
                    whole,
                    "a whole number of steps from 1",
                ),
            },
        ),
        Spec(
            "swa",
            "swa",
            "stochastic weight averaging: the mean of the weights after each of the last epochs",
            {
                "start": Setting(
                    0.75,
                    "paper III.E: after 75% of the training time",
                    lambda value: positive(value) and value <= 1,
                    "a share of the epochs above 0, up to 1",
                )
            },
            refuses=_one_epoch,
        ),
        Spec(
            "oc",
            "one-cycle",
            "one-cycle learning rate: up in the first half of training, down in the second",
            {"max_lr": Setting(0.2, "the paper names none", positive, "a number above 0")},
            sets_lr=True,
        ),
    )
}
