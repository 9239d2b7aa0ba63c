"""Recipes: one value for one meaning, a hash that lasts, and flags that are refused."""

import dataclasses
import hashlib
import json
import shlex

import pytest

from effcnn import cli, commands, models
from effcnn.errors import UserError
from effcnn.recipe import Recipe
from effcnn.techniques import Setting, Spec, Technique

# Written down by hand: the names of published runs hang on these very bytes.
CANONICAL = (
    '{"augment":"flip,crop","batch_size":128,"dataset":"cifar10","epochs":50,"holdout":0,'
    '"lr":null,"model":"143k-dw","optimizer":"sgd","precision":"bf16","recipe_version":1,'
    '"seed":3,"techniques":"bp(padding=reflect,layers=all)+oc(max_lr=0.1)",'
    '"train_images":50000,"weight_decay":0.0005}'
)


@pytest.fixture
def recipe():
    return Recipe.make(
        "cifar10", "143k-dw", "oc(max_lr=0.1)+bp", augment="crop,flip", epochs=50, seed=3
    )


def test_canonical_json_and_hash(recipe):
    assert recipe.json() == CANONICAL
    assert recipe.hash == hashlib.sha256(CANONICAL.encode()).hexdigest()[:8]
    assert recipe.folder == f"cifar10/143k-dw/bp+oc(max_lr=0.1)/seed3-{recipe.hash}"


def test_one_meaning_is_one_recipe(recipe):
    other = Recipe.make(
        " CIFAR10",
        "cifar10-143K-DW",
        " One_Cycle( max_lr = 1e-1 ) + blurpool(layers=all)",
        augment=" Flip , crop",
        epochs=50,
        weight_decay=0.0005,
        seed=3,
        train_images=50_000,
    )
    assert other == recipe
    assert hash(other) == hash(recipe)


def test_a_recipe_is_a_value(recipe):
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 4
    assert recipe.with_seed(4).seed == 4
    assert recipe.with_seed(4).with_seed(3) == recipe


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Recipe)])
def test_every_field_counts(recipe, field):
    value = getattr(recipe, field)
    other = "x" if isinstance(value, str) else (value or 0) + 1
    assert dataclasses.replace(recipe, **{field: other}).hash != recipe.hash


@pytest.mark.parametrize(
    ("dataset", "holdout", "images"),
    [
        ("mnist", 0, 50_000),
        ("mnist", 10_000, 50_000),
        ("mnist", 20_000, 40_000),
        ("cifar10", 0, 50_000),
        ("cifar10", 5_000, 45_000),
        ("mnist-sample", 0, 4_000),
        ("mnist-sample", 500, 3_500),
    ],
)
def test_images_that_are_left(dataset, holdout, images):
    model = "143k" if dataset == "cifar10" else "25k"
    assert Recipe.make(dataset, model, holdout=holdout).train_images == images


@pytest.mark.parametrize(
    ("flags", "rate"),
    [
        ({}, 0.02),
        ({"optimizer": "adam"}, 0.001),
        ({"optimizer": "adamw"}, 0.001),
        ({"optimizer": "adam", "lr": 1}, 1.0),
        ({"techniques": "oc"}, None),
        ({"techniques": "bp"}, 0.02),
    ],
)
def test_rate_that_was_left_open(flags, rate):
    lr = Recipe.make("mnist", "25k", **flags).lr
    assert lr == rate
    assert lr is None or isinstance(lr, float)  # 1 and 1.0 would give two hashes


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("", "baseline"),
        ("none", "baseline"),
        ("oc+bp", "bp+oc"),
        ("bp(padding=zero)", "bp(padding=zero)"),
        ("oc(max_lr=0.2)+bp(padding=reflect)", "bp+oc"),
    ],
)
def test_label_leaves_out_defaults(text, label):
    recipe = Recipe.make("mnist", "25k", text)
    assert recipe.label == label
    assert recipe.folder == f"mnist/25k/{label}/seed0-{recipe.hash}"


def test_label_of_a_technique_this_process_does_not_know(recipe):
    assert dataclasses.replace(recipe, techniques="noise(std=0.1)").label == "noise(std=0.1)"


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe.make("mnist", "25k"),
        Recipe.make("mnist", "5k", "oc", optimizer="adamw", weight_decay=0),
        Recipe.make("mnist-sample", "7k-dw", "bp(padding=zero)", lr=1e-5, precision="fp32"),
        Recipe.make("cifar10", "143k", "bp", augment="crop,flip", holdout=5_000, seed=7, epochs=1),
        Recipe.make("mnist", "8 M DW16 GAP 10", "se"),
    ],
    ids=lambda recipe: recipe.folder,
)
def test_command_trains_the_same_recipe(recipe):
    program, *words = shlex.split(recipe.command())
    args = cli.parser().parse_args(words)
    flags = {name: getattr(args, name) for name in commands.RECIPE_FLAGS}
    assert program == "effcnn"
    assert Recipe.make(**flags, seed=int(args.seeds)) == recipe


def test_layers_of_ones_own():
    recipe = Recipe.make("mnist", "8  dw12 M GAP 10", "bp")
    assert recipe.model == "8 DW12 M GAP 10"
    assert recipe.folder == f"mnist/8-DW12-M-GAP-10/bp/seed0-{recipe.hash}"
    assert Recipe.from_dict(json.loads(recipe.json())) == recipe
    # The layers of one of the paper's nets are that net: its runs are found again.
    layers = models.ARCHITECTURES["mnist"]["1.5k-dw"]
    assert Recipe.make("mnist", layers).hash == Recipe.make("mnist", "1.5k-dw").hash


def test_a_setting_that_is_a_path_stays_inside_the_store(registry):
    settings = {"file": Setting("", "", lambda _: True, "")}

    class Own(Technique, spec=Spec("own", "owned", "", settings=settings)):
        pass

    recipe = Recipe.make("mnist", "1.5k-dw", "own(file=../../x)")
    assert recipe.folder == f"mnist/1.5k-dw/own(file=..-..-x)/seed0-{recipe.hash}"


def test_stored_recipe_comes_back(recipe):
    assert Recipe.from_dict(json.loads(recipe.json())) == recipe


def test_stored_recipe_with_other_fields(recipe):
    values = json.loads(recipe.json())
    del values["holdout"]
    with pytest.raises(UserError, match="holdout, swing"):
        Recipe.from_dict({**values, "swing": 1})


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"dataset": "mnits"}, r"data set 'mnits' \(did you mean 'mnist'\?\).*cifar10"),
        ({"model": "25kk"}, r"did you mean '25k'\?.*1\.5k-dw"),
        ({"model": "cifar10-143k"}, "not for mnist.*25k"),
        ({"techniques": "blurpol"}, "did you mean 'blurpool'"),
        ({"techniques": "bp+blurpool"}, "named twice"),
        ({"techniques": "bp(pad=zero)"}, "padding, layers"),
        ({"techniques": "bp(padding=mirror)"}, "must be reflect or zero"),
        ({"techniques": "oc(max_lr=nan)"}, "must be a number above 0"),
        ({"techniques": "oc", "lr": 0.1}, r"one-cycle.*oc\(max_lr=0\.1\)"),
        ({"augment": "flop"}, "did you mean 'flip'.*flip, rotate, shift, crop"),
        ({"augment": "flip,crop,flip"}, "named twice"),
        ({"optimizer": "SDG"}, "did you mean 'sgd'.*sgd, adam, adamw"),
        ({"precision": "fp16"}, "bf16, fp32"),
        ({"epochs": 0}, "epochs is 0.*from 1"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"batch_size": 1}, "batch_size is 1.*from 2"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296.*below 4,294,967,296"),
        ({"holdout": -1}, "holdout is -1"),
        ({"holdout": 60_000}, "at most 60,000"),
        ({"train_images": 50_001, "holdout": 10_000}, "at most 60,000"),
        ({"train_images": 100}, "batch_size is 128, more than the 100"),
        ({"lr": 0.0}, "above 0"),
        ({"lr": float("nan")}, "above 0"),
        ({"lr": float("inf")}, "above 0"),
        ({"weight_decay": -0.1}, "from 0 to below 1"),
        ({"weight_decay": float("nan")}, "from 0 to below 1"),
    ],
    ids=str,
)
def test_bad_flag_is_one_line(flags, says):
    with pytest.raises(UserError, match=says) as error:
        Recipe.make(**{"dataset": "mnist", "model": "25k", **flags})
    assert "\n" not in str(error.value)
