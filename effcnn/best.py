"""What the page on the best recipe shows: the ladder's steps, and the last one beside its goal."""

import math
from dataclasses import asdict

import pandas as pd
from scipy import stats as distributions

from effcnn import cells, chapter, gains, ladder, paper, search, stats
from effcnn.chapter import Number, origin
from effcnn.errors import UserError
from effcnn.lesson import NETS
from effcnn.recipe import TITLES, Recipe
from effcnn.results import Run, accuracies

NEAR = "by less than the interval"
# Of the mean over seeds, in percent: what this project set itself before it searched.
GOALS = {"mnist": 99.2, "cifar10": 88.5}

Steps = dict[str, list[Run]]  # one run per step of a ladder, in its order


def papers_best(dataset: str) -> tuple[str, float]:
    """The paper's highest accuracy on this net, one run, and its techniques."""
    known = dict(paper.TABLE_4[dataset])
    if dataset == "cifar10":
        known |= paper.TABLE_5
    return max(known.items(), key=lambda entry: entry[1])


def changed(recipe: Recipe, leader: Recipe | None) -> str:
    """What a step changes in the recipe that leads, as Markdown."""
    if leader is None:
        return f"the baseline, {recipe.epochs} epoch{'s' * (recipe.epochs > 1)}"
    old, new = asdict(leader), asdict(recipe)
    said = []
    before, after = ([*_parts(each.label)] for each in (leader, recipe))
    for part in after:
        if part in before:
            continue
        same = [each for each in before if each.partition("(")[0] == part.partition("(")[0]]
        said.append(f"`{part}`" + (f" in place of `{same[0]}`" if same else ""))
    added = set(_names(recipe.augment)) - set(_names(leader.augment))
    said += [f"`{name}`" for name in _names(recipe.augment) if name in added]
    words = {"epochs": "{} epochs", "weight_decay": "weight decay {:g}", "batch_size": "batch {}"}
    said += [text.format(new[flag]) for flag, text in words.items() if new[flag] != old[flag]]
    return ", ".join(said) or "nothing"


def _parts(label: str) -> list[str]:
    return [] if label == "baseline" else label.split("+")


def _names(augment: str) -> list[str]:
    return [name for name in augment.split(",") if name]


def steps(runs: Steps) -> pd.DataFrame:
    """One row per step: `search.ladder`'s columns, and its change in words (`said`)."""
    found = search.ladder(runs)
    leader, said = None, []
    for row in found.itertuples():
        recipe = runs[row.cell][0].recipe
        said.append(changed(recipe, leader))
        leader = recipe if row.kept else leader
    return found.assign(said=said)


def shown(found: pd.DataFrame, runs: Steps) -> pd.DataFrame:
    """The table of `steps` for a page, each number with its origin."""
    rows = []
    for number, row in enumerate(found.itertuples()):
        group = runs[row.cell]
        text = f"{row.validation.value:.2f}" if row.validation else "diverged"
        rise = math.nan if row.step is None else row.step
        source = f"{group[0].recipe.holdout:,} held-out training images; {origin(group)}"
        rows.append(
            {
                "Step": str(number),
                "Change": row.said,
                "Validation (%)": Number(text, source),
                "Rise": gains.number(rise, "+"),
                "Kept": "yes" if row.kept else "no",
                "Parameters": f"{group[0].record['costs']['params']:,}",
                "Minutes": f"{group[0].record['time']['train_seconds'] / 60:.0f}",
            }
        )
    return pd.DataFrame(rows)


def scatter(groups: list[list[Run]]) -> tuple[float, int]:
    """How far validation accuracies of one recipe scatter, pooled over recipes with several seeds.

    Returns: the standard deviation in points, and its degrees of freedom.
    """
    values = [[search.tested(run) for run in group] for group in groups if len(group) > 1]
    free = sum(len(each) - 1 for each in values)
    if not free:
        raise UserError("the scatter of seeds needs a recipe with several runs")
    squares = sum((len(each) - 1) * stats.spread(each) ** 2 for each in values)
    return math.sqrt(squares / free), free


def luck(spread: float, free: int, level: float = 0.95) -> float:
    """How far apart two single runs of one recipe may fall by luck: t(free) * s * sqrt(2)."""
    return float(distributions.t.ppf((1 + level) / 2, free)) * spread * math.sqrt(2)


def resolved(found: pd.DataFrame, bound: float) -> tuple[int, int]:
    """How many of the kept steps rise by more than luck, and how many were kept; see `luck`."""
    rises = [row.step for row in found.iloc[1:].itertuples() if row.kept]
    return sum(rise > bound for rise in rises), len(rises)


def rates(found: dict[str, pd.DataFrame], runs: dict[str, Steps]) -> str:
    """One-cycle's rates that one seed chose, beside those of Table 4, as Markdown.

    The latter were chosen by the mean of three seeds, on the same images.
    """
    known, said = cells.cells(), []
    for dataset, steps in found.items():
        tried = [row for row in steps.itertuples() if row.cell.startswith("oc-") and row.kept]
        searched = known.get(f"table-4/{dataset}-oc")
        if not (tried and searched):
            continue
        one, three = runs[dataset][tried[-1].cell][0].recipe.label, searched.recipe.label
        verdict = "the same as" if one == three else "where"
        ends = "three seeds of the search chose" if one != three else "three seeds of the search"
        others = f" `{three}`" if one != three else ""
        said.append(f"on {TITLES[dataset]} one seed chose `{one}`, {verdict} {ends}{others}")
    return f"One-cycle's highest rate is an example: {'; '.join(said)}." if said else ""


def final(runs: dict[str, list[Run]], quick: bool = False) -> pd.DataFrame:
    """The best recipe of each net on the test images, beside its goal and the paper's best.

    Args:
        runs: by data set.
        quick: trained on the sample, whose numbers stand beside neither.
    """
    rows = []
    for dataset, group in runs.items():
        alone = quick and dataset == "mnist"
        techniques, theirs = papers_best(dataset)
        rows.append(
            {
                "Net": f"`{dataset}-{NETS[dataset]}`",
                "Parameters": f"{group[0].record['costs']['params']:,}",
                "Ours (%)": chapter.accuracy(group),
                "Runs": str(len(group)),
                "Goal (%)": "–" if alone else f"{GOALS[dataset]:.1f}",
                "Goal reached": "–" if alone else reached(group, GOALS[dataset]),
                "Paper's best (%)": "–" if alone else f"{theirs:.2f} (`{techniques}`, one run)",
            }
        )
    return pd.DataFrame(rows)


def reached(runs: list[Run], goal: float) -> str:
    """Whether the mean over seeds is at the goal, and whether its interval is above it."""
    if gains.diverged(runs):
        return "no"
    mean = stats.mean(accuracies(runs))
    if mean.value < goal:
        near = not math.isnan(mean.half) and mean.high >= goal
        return f"no, {NEAR}" if near else "no"
    if math.isnan(mean.half):
        return "by one run"
    return "yes" if mean.low > goal else f"yes, {NEAR}"


def answer(runs: dict[str, list[Run]], quick: bool = False) -> str:
    """What the best recipes give, one sentence per net, as Markdown."""
    if quick:
        return "A moment's training on the sample cannot answer that."
    said = []
    for dataset, group in runs.items():
        verdict = reached(group, GOALS[dataset])
        word = "reaches" if not verdict.startswith("no") else "does not reach"
        edge = f", {NEAR}" if NEAR in verdict else ""
        params = f"{group[0].record['costs']['params']:,}"
        said.append(
            f"On {TITLES[dataset]} the best recipe gives {chapter.accuracy(group)._repr_html_()}% "
            f"with {params} parameters ({len(group)} runs); that {word} the goal of "
            f"{GOALS[dataset]:.1f}%{edge}. The paper's best single run has "
            f"{papers_best(dataset)[1]:.2f}%."
        )
    missing = [TITLES[dataset] for dataset in NETS if dataset not in runs]
    if missing:
        said.append(f"The runs of the best recipe on {' and '.join(missing)} are still to come.")
    return " ".join(said)


def recipes(runs: dict[str, list[Run]]) -> pd.DataFrame:
    """The best recipes in full, one column per net."""
    flags = {
        "Techniques": lambda r: f"`{r.label}`",
        "Augmentation": lambda r: f"`{r.augment or 'none'}`",
        "Epochs": lambda r: str(r.epochs),
        "Batch": lambda r: str(r.batch_size),
        "Optimizer": lambda r: f"`{r.optimizer}`",
        "Rate": lambda r: "one-cycle's" if r.lr is None else f"{r.lr:g}",
        "Weight decay": lambda r: f"{r.weight_decay:g}",
        "Precision": lambda r: f"`{r.precision}`",
        "Training images": lambda r: f"{r.train_images:,}",
    }
    table = {"": list(flags)}
    for dataset, group in runs.items():
        recipe = group[0].recipe
        table[f"`{dataset}-{recipe.model}`"] = [say(recipe) for say in flags.values()]
    return pd.DataFrame(table)


def open_steps(found: dict[str, Steps]) -> str:
    """Which steps of the ladders were not reached, as Markdown."""
    said = []
    for dataset, runs in found.items():
        if left := ladder.untried(dataset, runs):
            names = ", ".join(f"`{name}`" for name in left)
            said.append(f"On {TITLES[dataset]} the budget ended before {names}.")
    return " ".join(said) or "Every step on the lists was tried."
