"""The search for the best recipe of the paper's own nets: a ladder of steps, climbed greedily.

A step changes one thing of the recipe that leads, trains it with one seed, and is kept where the
accuracy on held-out training images rises. `benchmarks/ladder.py` climbs; it leaves ordinary runs,
and a sweep file with a cell per step, from which the book's page reads what was tried.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from effcnn import cells, search, store
from effcnn.recipe import TRAIN_IMAGES, Recipe
from effcnn.results import Run
from effcnn.submission import BASELINE
from effcnn.techniques import find, parse

Train = Callable[[dict[str, Recipe]], dict[str, Run]]
Rung = dict[str, dict]  # steps from the same recipe, by name: the flags that each one changes

# The baselines of the tables, with images held out. They and one-cycle's rates are there already,
# from the search for the baselines.
STARTS = {
    "mnist": BASELINE,
    "cifar10": Recipe.make(
        "cifar10", "143k-dw", epochs=20, lr=0.1, weight_decay=0.0, holdout=5_000
    ),
}

# Squeeze-and-excite is no step: it adds parameters, and these nets are to keep their counts. What
# one expects most of comes first, because each list is cut to what some two hours of a core hold.
# So the techniques have the settings of Table 4, and what only long schedules could decide is left
# out: other sizes of the cut, other alphas of mixup, other starts of the average, other angles.
RUNGS: dict[str, tuple[Rung, ...]] = {
    # At 15 epochs a run takes two to three minutes of a core. The net hardly overfits, so longer
    # training comes early, and what makes training harder is tried on 30 epochs; the augmentation
    # once more on 60, because that is where it could begin to pay.
    "mnist": (
        {f"oc-{rate}": {"techniques": f"oc(max_lr={rate})"} for rate in (1.6, 0.8, 0.4)},
        {"bp": {"techniques": "bp"}},
        {"epochs-30": {"epochs": 30}},
        {"shift": {"augment": "shift"}, "rotate": {"augment": "rotate"}},
        {"ls": {"techniques": "ls"}},
        {"swa": {"techniques": "swa"}},
        {"decay-5e-5": {"weight_decay": 5e-5}, "decay-5e-4": {"weight_decay": 5e-4}},
        {"co": {"techniques": "co"}},
        {"m": {"techniques": "m"}},
        {"sam": {"techniques": "sam"}},
        {"epochs-60": {"epochs": 60}},
        {"shift-60": {"augment": "shift"}},
        {"epochs-120": {"epochs": 120}},
    ),
    # At 20 epochs a run takes 12 to 25 minutes of a core. SAM is tried at half the epochs, that is
    # at the same cost, and only one weight decay, the value that is usual for CIFAR-10.
    "cifar10": (
        {f"oc-{rate}": {"techniques": f"oc(max_lr={rate})"} for rate in (0.4, 0.8, 0.2)},
        {"flip-crop": {"augment": "flip,crop"}},
        {"bp": {"techniques": "bp"}},
        {"decay-5e-4": {"weight_decay": 5e-4}},
        {"ls": {"techniques": "ls"}},
        {"co": {"techniques": "co"}},
        {"m": {"techniques": "m"}},
        {"epochs-40": {"epochs": 40}},
        {"swa": {"techniques": "swa"}},
        {"epochs-60": {"epochs": 60}},
        {"sam-half": {"techniques": "sam", "epochs": 30}},
    ),
}
FINAL_SEEDS = {"mnist": "1-5", "cifar10": "1-3"}  # without the ladder's, that was chosen by


def change(recipe: Recipe, flags: dict) -> Recipe:
    """The recipe with these flags, completed as `Recipe.make` does.

    Techniques and augmentations are added; a technique that is there gets the new settings.

    >>> start = Recipe.make("cifar10", "143k-dw", "oc(max_lr=0.4)", epochs=20)
    >>> change(start, {"techniques": "bp"}).label
    'bp+oc(max_lr=0.4)'
    """
    new = {**asdict(recipe), **flags}
    del new["recipe_version"]
    if "techniques" in flags:
        added = [spec for spec, _ in parse(flags["techniques"])]
        kept = [part for part in recipe.techniques.split("+") if part]
        kept = [part for part in kept if find(part.partition("(")[0]) not in added]
        new["techniques"] = "+".join([*kept, flags["techniques"]])
        if any(spec.sets_lr for spec in added):
            new["lr"] = None
    if "augment" in flags:
        names = [*recipe.augment.split(","), *flags["augment"].split(",")]
        new["augment"] = ",".join(dict.fromkeys(names))
    return Recipe.make(**new)


def climb(
    start: Recipe,
    rungs: Sequence[Rung],
    train: Train,
    note: Callable[[dict[str, Run]], None] = lambda tried: None,
) -> dict[str, Run]:
    """Try every rung on the best recipe so far; return the runs by name of the step.

    A step whose recipe was tried before is left out.

    Args:
        train: gives the runs of the recipes, those that are there already too. It ends the climb
            where it gives fewer.
        note: told all runs so far after every rung.
    Raises: UserError where the start diverged.
    """
    tried = train({"start": start})
    if not tried:
        return tried
    note(tried)
    for rung in rungs:
        leader, known = best(tried), {run.recipe for run in tried.values()}
        wanted = {name: change(leader, flags) for name, flags in rung.items()}
        wanted = {name: recipe for name, recipe in wanted.items() if recipe not in known}
        found = train(wanted) if wanted else {}
        tried |= found
        note(tried)
        if len(found) < len(wanted):
            break
    return tried


def best(tried: dict[str, Run]) -> Recipe:
    """The recipe of the last step that was kept. Raises `UserError` where the first diverged."""
    steps = search.ladder({name: [run] for name, run in tried.items()})
    return tried[steps[steps["kept"]].iloc[-1]["cell"]].recipe


def untried(dataset: str, tried: Collection[str]) -> list[str]:
    """The steps after the last one that was tried."""
    names = [name for rung in RUNGS[dataset] for name in rung]
    return names[max((i + 1 for i, name in enumerate(names) if name in tried), default=0) :]


def final(recipe: Recipe) -> Recipe:
    """The recipe on all training images, without held-out ones."""
    return replace(recipe, holdout=0, train_images=TRAIN_IMAGES[recipe.dataset])


def rehearsal(start: Recipe) -> tuple[Recipe, list[Rung]]:
    """The ladder of a data set on the embedded sample, in minutes: it shows that all works."""
    rungs = [
        {
            name: {**flags, "epochs": flags["epochs"] // 10} if "epochs" in flags else flags
            for name, flags in rung.items()
        }
        for rung in RUNGS[start.dataset]
    ]
    sample = {"dataset": "mnist-sample", "train_images": 2_000, "holdout": 1_000, "epochs": 2}
    return replace(start, **sample), rungs


HEADER = """\
# Written by `python benchmarks/ladder.py {name}`: a step changes one thing of the last step that
# was kept, and is kept where the accuracy on held-out training images is higher. One seed a step.
"""

BEST = """\
# The best recipe we know for the very nets of the paper: `effcnn sweep sweeps/best.toml`. The last
# step that was kept of sweeps/ladder-mnist.toml and sweeps/ladder-cifar10.toml, trained on all
# training images, with several seeds. Written by `python benchmarks/ladder.py`.
"""


def write(path: Path, name: str, recipes: dict[str, Recipe]) -> None:
    """The steps as a sweep file, a cell each."""
    title = f"The ladder to the best recipe: {name}"
    _put(path, HEADER.format(name=name), title, {step: (r, "0") for step, r in recipes.items()})


def write_best(path: Path, dataset: str, recipe: Recipe) -> None:
    """Put the recipe into the sweep file of best recipes, beside that of the other data set."""
    known = (
        {each.name.partition("/")[2]: each for each in cells.read(path)} if path.exists() else {}
    )
    kept = {
        name: (each.recipe, ",".join(map(str, each.seeds)))
        for name, each in known.items()
        if name.endswith("-best")
    }
    kept[f"{dataset}-best"] = recipe, FINAL_SEEDS.get(dataset, "0")
    _put(path, BEST, "The best recipe we know for these nets", dict(sorted(kept.items())[::-1]))


def _put(path: Path, header: str, title: str, steps: dict[str, tuple[Recipe, str]]) -> None:
    tables = [f"{header}title = {json.dumps(title)}\n"]
    for name, (recipe, seeds) in steps.items():
        # In double quotes: a name may hold a point.
        lines = [f"[cells.{json.dumps(name)}]", f"seeds = {json.dumps(seeds)}"]
        lines += [f"{flag} = {json.dumps(value)}" for flag, value in _flags(recipe).items()]
        tables.append("\n".join(lines) + "\n")
    store.put(path, "\n".join(tables).encode())


def _flags(recipe: Recipe) -> dict:
    """What the cell of a recipe has to say: what is not a default, and what a reader looks for."""
    said = {name: value for name, value in asdict(recipe).items() if value is not None}
    said["techniques"] = recipe.label if recipe.techniques else ""
    plain = asdict(Recipe.make(recipe.dataset, recipe.model, holdout=recipe.holdout))
    always = ("dataset", "model", "epochs", "batch_size", "lr", "weight_decay")
    always += ("holdout",) if recipe.holdout else ()
    return {
        name: value
        for name, value in said.items()
        if name not in ("seed", "recipe_version") and (name in always or value != plain[name])
    }
