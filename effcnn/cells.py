"""The cells of the tables: exact recipes by name, from the sweep files in `sweeps/`."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from effcnn.errors import UserError, unknown
from effcnn.recipe import KINDS, TRAIN_IMAGES, Recipe, fits
from effcnn.techniques import parse


@dataclass(frozen=True)
class Cell:
    """One cell of a table: a recipe, and the seeds it is run with."""

    name: str  # FILE/NAME: table-3/mnist-25k
    recipe: Recipe  # with the first seed
    seeds: tuple[int, ...]
    keep_epochs: tuple[int, ...] = ()  # the seeds whose weights are kept after every epoch

    def recipes(self) -> list[Recipe]:
        """One recipe per seed."""
        return [self.recipe.with_seed(seed) for seed in self.seeds]

    def override(self, seeds: tuple[int, ...] = (), epochs: int | None = None) -> "Cell":
        """The cell with other seeds or epochs, where they are given. Raises `UserError`."""
        recipe = self.recipe if epochs is None else replace(self.recipe, epochs=epochs)
        recipe.check()
        seeds = seeds or self.seeds
        kept = tuple(seed for seed in self.keep_epochs if seed in seeds)
        return Cell(self.name, recipe.with_seed(seeds[0]), seeds, kept)


def checkout() -> Path | None:
    """The folder of the book this process runs in: here, above here, or around the package."""
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parent.parent):
        if (folder / "_toc.yml").is_file() and (folder / "sweeps").is_dir():
            return folder
    return None


def need_checkout() -> Path:
    """The folder of the book. Raises `UserError` where there is none."""
    root = checkout()
    if root is None:
        raise UserError("no book here; run this inside a checkout (a folder with _toc.yml)")
    return root


def cells() -> dict[str, Cell]:
    """Every cell of every sweep file of the book, by name; none outside a checkout."""
    root = checkout()
    files = sorted((root / "sweeps").glob("*.toml")) if root else []
    return {cell.name: cell for file in files for cell in read(file)}


def read(path: Path | str) -> list[Cell]:
    """The cells of one sweep file, in its order.

    The file is TOML: a `title`, a table `[defaults]`, and one table `[cells.NAME]` per cell, both
    with the flags of `effcnn train`. `[defaults.mnist]` holds for the cells of that data set; an
    `lr` from defaults is left out where a technique sets the rate. `seeds` and `keep_epochs` are
    seeds as text, "0-2"; the latter changes nothing in a run but what is stored with it. Raises
    `UserError` naming the file and the cell.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no sweep file {path}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"sweep file {path}: {error}") from None
    tables = ("title", "defaults", "cells")
    for name in content:
        if name not in tables:
            raise unknown(f"entry in {path}", name, tables)
    if not isinstance(content.get("cells"), dict) or not content["cells"]:
        raise UserError(f"sweep file {path} has no cells; write a table [cells.NAME]")
    return [_cell(path, content, name) for name in content["cells"]]


def _cell(path: Path, content: dict, name: str) -> Cell:
    """One cell, its flags over the defaults."""
    try:
        flags = _flags(content.get("defaults", {}), content["cells"][name])
        seeds = parse_seeds(str(flags.pop("seeds", "0")))
        keep_epochs = _keep_epochs(flags.pop("keep_epochs", ""), seeds)
        _check_types(flags)
        recipe = Recipe.make(**flags, seed=seeds[0])
    except (TypeError, UserError) as error:
        raise UserError(f"sweep file {path}, cell {name}: {error}") from None
    return Cell(f"{path.stem}/{name}", recipe, seeds, keep_epochs)


def _flags(defaults: dict, own: dict) -> dict:
    """A cell's own flags over its data set's defaults over those of the file."""
    if not isinstance(defaults, dict) or not isinstance(own, dict):
        raise UserError("it and defaults must be tables of flags")
    common = {name: value for name, value in defaults.items() if not isinstance(value, dict)}
    groups = {name: value for name, value in defaults.items() if isinstance(value, dict)}
    for name in groups:
        if name not in TRAIN_IMAGES:
            raise unknown("data set in defaults", name, TRAIN_IMAGES)
    dataset = str(own.get("dataset", common.get("dataset")))
    inherited = {**common, **groups.get(dataset, {})}
    techniques = own.get("techniques", inherited.get("techniques", ""))
    if isinstance(techniques, str) and any(spec.sets_lr for spec, _ in parse(techniques)):
        inherited.pop("lr", None)  # the baseline's; one in the cell itself is a contradiction
    return {**inherited, **own}


def _keep_epochs(text: str, seeds: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds named by `keep_epochs`, which must be among the cell's."""
    # Not True, which a reader of the flag --keep-epochs may write.
    if not isinstance(text, str):
        raise UserError(f'keep_epochs is {text!r}; write its seeds as text: "0", or "" for none')
    kept = parse_seeds(text, "keep_epochs") if text.strip() else ()
    if strangers := set(kept) - set(seeds):
        listed = ", ".join(map(str, seeds))
        raise UserError(f"keep_epochs names seed {min(strangers)}; choose from {listed}")
    return kept


def _check_types(flags: dict) -> None:
    """TOML brings values of any type under any name."""
    names = [name for name in KINDS if name != "seed"]
    for name in ("dataset", "model"):
        if name not in flags:
            raise UserError(f"it names no {name}")
    for name, value in flags.items():
        if name not in names:
            raise unknown("flag", name, (*names, "seeds", "keep_epochs"))
        if not fits(name, value):
            raise UserError(f"{name} is {value!r}; it must be {KINDS[name]}")


def parse_seeds(text: str, what: str = "seeds") -> tuple[int, ...]:
    """`0-2` is 0, 1, 2; `0,3` is 0 and 3. Raises `UserError`."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UserError(f"{what} are '{text}'; write 0-2 for 0, 1, 2, or 0,3 for 0 and 3")
        if int(last or first) - int(first) >= 10_000:
            raise UserError(f"{what} are '{text}'; that is more than 10,000 runs")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"{what} are '{text}'; name at least one, each once, the lower first")
    return tuple(seeds)
