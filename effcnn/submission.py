"""What students hand in for "Beat the book": files that may hold anything, read as data.

A submission is a TOML file with a layer string and settings. Nothing in it is ever executed, and
whatever else it holds is refused in one line.
"""

import tomllib
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from effcnn.cells import Cell
from effcnn.errors import UserError, unknown
from effcnn.recipe import KINDS, Recipe, fits

# The book's recipe: `table-4/mnist-baseline`, with the last 10,000 training images held out, which
# no net of the tables trains on either.
BASELINE = Recipe.make(
    "mnist",
    "1.5k-dw",
    epochs=15,
    batch_size=64,
    lr=0.025,
    weight_decay=0.0,
    train_images=50_000,
    holdout=10_000,
)
# The same on the embedded images: to see that everything works, in seconds.
SAMPLE = replace(BASELINE, dataset="mnist-sample", train_images=3_500, holdout=500)
BOOK = "the book"  # its name among the submissions

SETTINGS = ("model", "techniques", "augment", "epochs", "batch_size", "optimizer", "lr")
SETTINGS += ("weight_decay", "precision")
FIXED = ("dataset", "train_images", "holdout", "seed", "seeds", "keep_epochs", "recipe_version")

# The rules. The book's net has exactly so many parameters, and its recipe so many epochs.
MOST_PARAMETERS = 1_560
MOST_EPOCHS = BASELINE.epochs
BATCHES = (16, 1_024)  # smaller ones take hours, larger ones the memory of a laptop
# Of what may come from anywhere: no recipe needs nearly as much.
MOST_BYTES = 10_000
MOST_CHARACTERS = 200
MOST_NUMBER = 1_000_000


@dataclass(frozen=True)
class Entry:
    """One submission, or the book's own recipe: a cell to train, or why it was refused."""

    name: str
    cell: Cell | None = None
    params: int | None = None  # of the net as it is trained, with all techniques
    macs: int | None = None  # of one image
    refused: str = ""


def entries(
    paths: list[Path],
    base: Recipe,
    seeds: tuple[int, ...],
    book_seeds: tuple[int, ...],
    epochs: int | None = None,
) -> list[Entry]:
    """The book's own recipe, and then the submissions in these files and folders.

    Args:
        base: `BASELINE` or `SAMPLE`, which fixes data set and images.
        seeds: of every submission.
        book_seeds: of the book's recipe, which all of them are compared with.
        epochs: in place of each recipe's own.
    Raises: UserError where there is nothing to score, and for epochs beyond the rules.
    """
    if epochs is not None and not 1 <= epochs <= MOST_EPOCHS:
        raise UserError(f"epochs is {epochs}; it must be from 1 to {MOST_EPOCHS}")
    named = collect(paths)
    book = _entry(BOOK, base, book_seeds, epochs)
    return [book, *(_enter(name, path, base, seeds, epochs) for name, path in named.items())]


def collect(paths: list[Path]) -> dict[str, Path]:
    """The files by the names they are listed under: those named, and all `.toml` in folders.

    What lies in a folder and is no `.toml` gives a warning. Raises `UserError` where there is no
    such file or folder, and where there is nothing to score.
    """
    found: dict[Path, str] = {}
    for path in paths:
        if path.is_dir():
            found |= {each: each.relative_to(path).with_suffix("").as_posix() for each in _in(path)}
        elif path.exists():
            found[path] = path.stem
        else:
            raise UserError(f"there is no file or folder {path} to score")
    if not found:
        where = ", ".join(map(str, paths))
        raise UserError(f"there is no .toml file in {where}; course/submission.toml is one")
    named: dict[str, Path] = {}
    for path, name in found.items():
        # A spreadsheet would take what begins with one of these for a formula.
        name = line(name, 60).lstrip("=+-@ ") or "unnamed"
        while name in (BOOK, *named):
            name += "'"
        named[name] = path
    return named


def _in(folder: Path) -> list[Path]:
    """The submissions in a folder and below; a warning names what else lies there."""
    # Hidden ones are the system's: macOS puts `._ada.toml` beside `ada.toml` in a zip.
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if not path.is_dir() and not any(p[0] == "." for p in path.relative_to(folder).parts)
    ]
    wanted = [path for path in files if path.suffix.lower() == ".toml"]
    if others := [path.name for path in files if path not in wanted]:
        listed = line(", ".join(others))
        warnings.warn(f"{folder}: only .toml files are scored, not {listed}", stacklevel=4)
    return wanted


def _enter(
    name: str, path: Path, base: Recipe, seeds: tuple[int, ...], epochs: int | None
) -> Entry:
    """A submitted file as an entry; refused in one line where it breaks a rule."""
    try:
        return _entry(name, read(path, base), seeds, epochs)
    except UserError as error:
        reason = str(error)
    except Exception as error:  # a hostile file can bring about any, and the others want a score
        reason = f"it cannot be read as a recipe ({type(error).__name__})"
    return Entry(name, refused=line(reason))


def _entry(name: str, recipe: Recipe, seeds: tuple[int, ...], epochs: int | None) -> Entry:
    """A recipe with these seeds, and what its net costs. Raises `UserError` if that is too much."""
    cell = Cell(name, recipe, seeds[:1]).override(seeds, epochs)
    params, macs = costs(cell.recipe)
    if params > MOST_PARAMETERS:
        raise UserError(
            f"{params:,} parameters with its techniques; at most {MOST_PARAMETERS:,} are allowed"
        )
    return Entry(name, cell, params, macs)


def read(path: Path, base: Recipe = BASELINE) -> Recipe:
    """The recipe in a submitted file. Raises `UserError` for anything that breaks a rule."""
    flags = _toml(path)
    for name, value in flags.items():
        if name in FIXED:
            raise UserError(f"{name} is the same for everybody; leave it out")
        if name not in SETTINGS:
            raise unknown("setting", name[:MOST_CHARACTERS], SETTINGS)
        _check(name, value)
    if "model" not in flags:
        raise UserError('it names no model; write model = "8 M DW16 GAP 10", say')
    fixed = {name: getattr(base, name) for name in ("dataset", "train_images", "holdout")}
    recipe = Recipe.make(**flags, **fixed)
    if recipe.epochs > MOST_EPOCHS:
        raise UserError(f"epochs is {recipe.epochs}; at most {MOST_EPOCHS} are allowed")
    least, most = BATCHES
    if not least <= recipe.batch_size <= most:
        raise UserError(f"batch_size is {recipe.batch_size}; it must be from {least} to {most:,}")
    return recipe


def _toml(path: Path) -> dict:
    """What stands in the file, if it is a short text file of TOML."""
    if not path.is_file():  # a pipe would never end
        raise UserError("it is not a file")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"it cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"it has more than {MOST_BYTES:,} bytes; a recipe takes a few lines")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))  # some editors begin with a mark
    except UnicodeDecodeError:
        raise UserError("it is not text in UTF-8; save it as UTF-8") from None
    except RecursionError:
        raise UserError("it is nested too deeply; a recipe is a list of name = value") from None
    except ValueError as error:  # not TOML's own error alone: a number may have too many digits
        raise UserError(f"it is not TOML: {error}") from None


def _check(name: str, value: object) -> None:
    """Refuse what is of another type, and what is too large to be printed."""
    text = KINDS[name] == "text"
    if not fits(name, value):
        raise UserError(f"{name} must be {'text in quotes' if text else 'a number'}")
    if text and len(value) > MOST_CHARACTERS:
        raise UserError(f"{name} has {len(value):,} characters; at most {MOST_CHARACTERS}")
    if not text and not abs(value) <= MOST_NUMBER:
        raise UserError(f"{name} must be a number up to {MOST_NUMBER:,}")


def costs(recipe: Recipe) -> tuple[int, int]:
    """Parameters and multiply-accumulates of one image, of the net as it is trained.

    Counted without its weights, so that a net of any size takes no memory.
    """
    import torch

    from effcnn import measure, models
    from effcnn.train import build

    traits = models.FAMILIES[models.family(recipe.dataset)]
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training will say that a technique touches nothing
        net, _, _ = build(recipe, "meta")
        shape = (traits.channels, traits.size, traits.size)
        return measure.count_parameters(net), measure.macs(net, shape)


def line(text: str, most: int = 300) -> str:
    """What may come from anywhere as one printable line."""
    text = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return text if len(text) <= most else f"{text[:most]}..."
