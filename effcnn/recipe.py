"""A recipe: everything that decides a training, as one immutable value with a short hash."""

import hashlib
import json
import shlex
from dataclasses import asdict, dataclass, fields, replace
from typing import get_type_hints

from effcnn import models
from effcnn.errors import UserError, unknown
from effcnn.techniques import canonical, parse

# Raised when the arithmetic of the training loop changes: older runs then no longer count.
RECIPE_VERSION = 1

TITLES = {"mnist": "MNIST", "mnist-sample": "MNIST sample", "cifar10": "CIFAR-10"}

# Images to train on and to test with. The paper says 50,000 for both data sets; MNIST's last
# 10,000 training images are left for validation.
TRAIN_IMAGES = {"mnist": 60_000, "mnist-sample": 4_000, "cifar10": 50_000}
DEFAULT_TRAIN_IMAGES = {"mnist": 50_000, "mnist-sample": 4_000, "cifar10": 50_000}

OPTIMIZERS = ("sgd", "adam", "adamw")
AUGMENTATIONS = ("flip", "rotate", "shift", "crop")  # in the order in which they are applied
PRECISIONS = ("bf16", "fp32")


@dataclass(frozen=True)
class Recipe:
    """Every flag of a training. Use `Recipe.make`, which checks and completes them.

    Nothing about the machine is part of it. Two recipes that mean the same are equal: techniques
    and augmentations are kept in one canonical spelling.
    """

    dataset: str
    model: str  # without the data set: 1.5k-dw; or layers of one's own: 8 M DW16 GAP 10
    techniques: str  # canonical, with all settings: bp(padding=reflect,layers=all)
    augment: str  # canonical: flip,crop
    epochs: int
    batch_size: int  # images per optimizer step
    optimizer: str
    lr: float | None  # None where a technique sets the rate
    weight_decay: float
    precision: str  # of the forward and backward pass: bf16 is autocast
    train_images: int  # the first ones of the training set
    holdout: int  # the last ones: validation images, 0 for none
    seed: int
    recipe_version: int = RECIPE_VERSION

    @classmethod
    def make(
        cls,
        dataset: str,
        model: str,
        techniques: str = "",
        *,
        augment: str = "",
        epochs: int = 10,
        batch_size: int = 128,
        optimizer: str = "sgd",
        lr: float | None = None,
        weight_decay: float = 5e-4,
        precision: str = "bf16",
        train_images: int | None = None,
        holdout: int = 0,
        seed: int = 0,
    ) -> "Recipe":
        """Check the flags and fill in what was left open.

        Args:
            lr: defaults to 0.02 for SGD and to 0.001 for Adam and AdamW.
            train_images: defaults to 50,000 (or what `holdout` leaves of them), 4,000 for
                mnist-sample.

        Raises: UserError for an unknown name (with the valid ones) and for settings that
            contradict each other.
        """
        dataset = dataset.strip().lower()
        if dataset not in TRAIN_IMAGES:
            raise unknown("data set", dataset, TRAIN_IMAGES)
        _, model = models.split(dataset, model)
        for name, value, choices in (
            ("optimizer", optimizer, OPTIMIZERS),
            ("precision", precision, PRECISIONS),
        ):
            if value not in choices:
                raise unknown(name, value, choices)
        if not 0 <= weight_decay < 1:
            raise UserError(f"weight_decay is {weight_decay}; it must be from 0 to below 1")
        if holdout < 0:
            raise UserError(f"holdout is {holdout}; it must be a whole number from 0 on")
        recipe = cls(
            dataset=dataset,
            model=model,
            techniques=canonical(techniques),
            augment=_augment(augment),
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=_rate(lr, optimizer, techniques),
            weight_decay=float(weight_decay) + 0.0,  # -0.0 is 0.0
            precision=precision,
            train_images=_train_images(dataset, train_images, holdout, batch_size),
            holdout=holdout,
            seed=seed,
        )
        recipe.check()
        return recipe

    def check(self) -> None:
        """Raise `UserError` where a technique cannot work with the rest of the recipe."""
        for spec, values in parse(self.techniques):
            if why := spec.refuses(values, self):
                raise UserError(f"{spec.word}: {why}")

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2), ("holdout", 0), ("seed", 0)):
            value = getattr(self, name)
            # BatchNorm needs two images in a batch. `True` is an int to Python, but not to a hash.
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UserError(f"{name} is {value}; it must be a whole number from {least} on")
        if self.seed >= 2**32:  # from there on the training loop's second generator is seeded
            raise UserError(f"seed is {self.seed}; it must be below {2**32:,}")

    @classmethod
    def from_dict(cls, values: dict) -> "Recipe":
        """The recipe of a stored run; missing and unknown fields are a `UserError`."""
        names = {field.name for field in fields(cls)}
        if names != set(values):
            odd = ", ".join(sorted(names ^ set(values)))
            raise UserError(f"not a recipe of this version of effcnn: check the field(s) {odd}")
        return cls(**values)

    def json(self) -> str:
        """The one canonical JSON form."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """The first 8 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.json().encode()).hexdigest()[:8]

    @property
    def label(self) -> str:
        """The techniques as the paper writes them, defaults left out: `bp+oc`, or `baseline`."""
        try:
            return canonical(self.techniques, short=True) or "baseline"
        except UserError:  # a reader's own technique, not defined in this process
            return self.techniques

    @property
    def folder(self) -> str:
        """Where its run lies below a results folder: mnist/1.5k-dw/bp+oc/seed0-1f3a9c2e."""
        net = self.model.replace(" ", "-")  # of layers of one's own
        techniques = self.label.replace("/", "-")  # a setting of one's own may be a path
        return f"{self.dataset}/{net}/{techniques}/seed{self.seed}-{self.hash}"

    def with_seed(self, seed: int) -> "Recipe":
        """The same recipe with another seed: another run of the same cell."""
        return replace(self, seed=seed)

    def command(self) -> str:
        """The command that trains it again, with every flag."""
        flags = {
            "dataset": self.dataset,
            "model": self.model,
            "techniques": self.label if self.techniques else None,
            "augment": self.augment or None,
            "epochs": self.epochs,
            "batch-size": self.batch_size,
            "optimizer": self.optimizer,
            "lr": self.lr,
            "weight-decay": self.weight_decay,
            "precision": self.precision,
            "train-images": self.train_images,
            "holdout": self.holdout,
            "seeds": self.seed,
        }
        given = {name: value for name, value in flags.items() if value is not None}
        words = (f"--{name} {shlex.quote(str(value))}" for name, value in given.items())
        return f"effcnn train {' '.join(words)}"


def _augment(text: str) -> str:
    """One spelling of `crop, flip`: the order in which they are applied."""
    named = [name.strip().lower() for name in text.split(",") if name.strip()]
    named = [] if named == ["none"] else named
    for name in named:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)
        if named.count(name) > 1:
            raise UserError(f"augmentation '{name}' is named twice in '{text}'; name it once")
    return ",".join(name for name in AUGMENTATIONS if name in named)


def _rate(lr: float | None, optimizer: str, text: str) -> float | None:
    """The constant rate, or None where a technique replaces it."""
    setters = [spec for spec, _ in parse(text) if spec.sets_lr]
    if len(setters) > 1:
        both = " and ".join(spec.word for spec in setters)
        raise UserError(f"{both} both set the learning rate; name one of them")
    if setters:
        setter = setters[0]
        if lr is not None:
            raise UserError(
                f"lr has no effect beside {setter.word}; leave it out and "
                f"write {setter.short}(max_lr={lr})"
            )
        return None
    if lr is None:
        return 0.02 if optimizer == "sgd" else 0.001
    if not 0 < lr < float("inf"):
        raise UserError(f"lr is {lr}; it must be a number above 0")
    return float(lr)


def _train_images(dataset: str, wanted: int | None, holdout: int, batch_size: int) -> int:
    """How many images are trained on: those asked for, if the hold-out leaves them."""
    left = TRAIN_IMAGES[dataset] - holdout
    images = min(DEFAULT_TRAIN_IMAGES[dataset], left) if wanted is None else wanted
    if not isinstance(images, int) or isinstance(images, bool) or not 1 <= images <= left:
        raise UserError(
            f"cannot train {dataset} on {images} images with {holdout} held out; "
            f"both together must be at most {TRAIN_IMAGES[dataset]:,}"
        )
    if images < batch_size:
        raise UserError(f"batch_size is {batch_size}, more than the {images} training images")
    return images


# What a flag of `Recipe.make` must be, where it comes from a file that may hold anything.
KINDS = {
    name: "text" if kind is str else "a number"
    for name, kind in get_type_hints(Recipe.make).items()
    if name != "return"
}


def fits(flag: str, value: object) -> bool:
    """Whether a value is of the flag's kind. A boolean is no number."""
    kind = str if KINDS[flag] == "text" else (int, float)
    return isinstance(value, kind) and not isinstance(value, bool)
