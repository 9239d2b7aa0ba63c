"""The command line: `effcnn COMMAND`, or `python -m effcnn COMMAND`.

Whatever takes long to import is imported by the command that needs it.
"""

import argparse
import os
import sys
from pathlib import Path

from effcnn import __version__
from effcnn.errors import UserError, unknown

RECIPE_FLAGS = (
    "dataset",
    "model",
    "techniques",
    "augment",
    "epochs",
    "batch_size",
    "optimizer",
    "lr",
    "weight_decay",
    "precision",
    "train_images",
    "holdout",
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line that names the valid choices."""

    def parse_known_args(self, args=None, namespace=None):
        namespace, rest = super().parse_known_args(args, namespace)
        if rest:
            flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
            raise unknown("argument", rest[0], flags)
        return namespace, rest

    def error(self, message: str) -> None:
        raise UserError(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(prog="effcnn", description=__doc__.splitlines()[0], allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"effcnn {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", parser_class=Parser)

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(run=run)
        return sub

    sub = command("train", train, "train a recipe with one or more seeds and store the runs")
    sub.add_argument("--dataset", required=True, help="mnist, mnist-sample or cifar10")
    sub.add_argument("--model", required=True, help="1.5k-dw, say; see 'effcnn models'")
    sub.add_argument("--techniques", default="", help="bp+oc(max_lr=0.1), say (default: none)")
    sub.add_argument("--augment", default="", help="of flip,crop,shift,rotate (default: none)")
    sub.add_argument("--epochs", type=_int, default=10, help="default: 10")
    sub.add_argument("--batch-size", type=_int, default=128, help="default: 128 images")
    sub.add_argument("--optimizer", default="sgd", help="sgd, adam or adamw (default: sgd)")
    sub.add_argument("--lr", type=_float, help="default: 0.02 for sgd, 0.001 for adam and adamw")
    sub.add_argument("--weight-decay", type=_float, default=5e-4, help="default: 0.0005")
    sub.add_argument("--precision", default="bf16", help="bf16 or fp32 (default: bf16)")
    sub.add_argument("--train-images", type=_int, help="the first N (default: 50,000)")
    sub.add_argument("--holdout", type=_int, default=0, help="the last N validate (default: 0)")
    sub.add_argument("--seeds", default="0", help="0-2 is 0, 1, 2 (default: 0)")
    sub.add_argument("--keep-epochs", action="store_true", help="store weights of every epoch")
    _machine_flags(sub)

    sub = command("sweep", sweep, "train the runs that a sweep file's cells still miss")
    sub.add_argument("file", type=Path, help="a TOML file as in sweeps/")
    sub.add_argument("--cells", nargs="+", metavar="CELL", help="only these (default: all)")
    _machine_flags(sub)

    sub = command("results", show_results, "list the runs in the store")
    sub.add_argument("--results", type=Path, help="default: the published ones and your own")
    sub.add_argument("--csv", type=Path, metavar="FILE", help="write every column to FILE too")

    sub = command("evaluate", evaluate, "test the net of a run again")
    sub.add_argument("folder", type=Path, metavar="RUN", help="the run's folder")
    sub.add_argument("--data", help="folder of the data sets")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")

    sub = command("compare", compare, "the difference in accuracy of two cells, with its interval")
    sub.add_argument("a", help="preview/mnist-25k, or a folder of runs such as mnist/25k/baseline")
    sub.add_argument("b", help="the cell that is subtracted")
    sub.add_argument("--results", type=Path, help="default: the published ones and your own")

    command("models", show_models, "the ledger of the nine nets")

    sub = command("run-notebook", run_notebook, "execute a chapter with other parameters")
    sub.add_argument("notebook", type=Path, help="notebooks/shrinking.ipynb, say")
    sub.add_argument("output", type=Path, help="where the executed copy goes")
    sub.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="profile quick, say; may be repeated",
    )

    sub = command("book", book, "execute all notebooks and render the book")
    sub.add_argument("--profile", default="published", help="published, quick or full")
    sub.add_argument("--force", action="store_true", help="execute again what has not changed")
    return top


def _machine_flags(sub: argparse.ArgumentParser) -> None:
    """Flags that change where and how fast, but not what is trained."""
    sub.add_argument("--data", help="folder of the data sets (default: EFFCNN_DATA, or a cache)")
    sub.add_argument("--results", type=Path, help="the store (default: EFFCNN_RESULTS, or runs/)")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    sub.add_argument("--threads", type=_int, help="CPU threads (default: PyTorch's)")


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None


def train(args: argparse.Namespace) -> int:
    from effcnn.cells import parse_seeds
    from effcnn.recipe import Recipe

    seeds = parse_seeds(args.seeds)
    flags = {name: getattr(args, name) for name in RECIPE_FLAGS}
    recipe = Recipe.make(**flags, seed=seeds[0])
    return _train(args, [recipe.with_seed(seed) for seed in seeds], args.keep_epochs)


def sweep(args: argparse.Namespace) -> int:
    from effcnn import cells

    found = {cell.name: cell for cell in cells.read(args.file)}
    for name in args.cells or []:
        if name not in found:
            raise unknown(f"cell of {args.file}", name, found)
    wanted = [found[name] for name in args.cells or found]
    _check_machine(args)
    status = 0
    for cell in wanted:
        print(cell.name, file=sys.stderr)
        status = max(status, _train(args, cell.recipes(), keep_epochs=False))
        if status == 130:  # stopped by hand
            break
    return status


def _check_machine(args: argparse.Namespace) -> None:
    if args.threads is not None and args.threads < 1:
        raise UserError(f"threads is {args.threads}; it must be a whole number from 1 on")
    if args.device.split(":")[0] not in ("auto", "cpu", "cuda", "mps"):
        raise unknown("device", args.device, ("auto", "cpu", "cuda", "mps"))


def _train(args: argparse.Namespace, recipes: list, keep_epochs: bool) -> int:
    """Train what is missing; the first seed keeps its weights. Exit status 1 if one diverged."""
    _check_machine(args)
    from effcnn import results, runs

    root = args.results or results.own()
    first = results.find(recipes[0], root)
    if keep_epochs and first and not (first.folder / "epochs").is_dir():
        raise UserError(f"{first.folder} is there without its epochs; name another --results")
    for finished, recipe in enumerate(recipes):
        known = results.find(recipe, root)
        try:
            run = known or runs.train(
                recipe,
                root,
                data=args.data,
                device=args.device,
                threads=args.threads,
                keep_weights=recipe is recipes[0],
                keep_epochs=keep_epochs and recipe is recipes[0],
                progress=True,
            )
        except KeyboardInterrupt:
            print(
                f"effcnn: stopped; {finished} of {len(recipes)} runs are in {root}, "
                "the unfinished one is not stored",
                file=sys.stderr,
            )
            return 130
        test, time = run.record["test"], run.record["time"]
        if run.record["status"] == "diverged":
            outcome = "diverged: its loss stopped being a number"
        else:
            outcome = f"test accuracy {test['accuracy']:.2f}%, loss {test['loss']:.4f}"
        took = "already there" if known else f"{time['images_per_second']:,.0f} images/s"
        print(f"{run.folder}: {outcome} ({took})")
    diverged = any(results.find(r, root).record["status"] == "diverged" for r in recipes)
    return 1 if diverged else 0


def show_results(args: argparse.Namespace) -> int:
    from effcnn import results

    frame = results.load(*([args.results] if args.results else []))
    if args.csv:
        try:
            frame.to_csv(args.csv, index=False)
        except OSError as error:
            raise UserError(f"cannot write {args.csv}: {error.strerror or error}") from None
    if frame.empty:
        where = args.results or " or ".join(map(str, results.roots())) or results.own()
        print(f"no runs in {where}; 'effcnn train --help' says how to make one")
        return 0
    shown = frame[["run", "status", "epochs", "params", "accuracy", "images_per_second", "cell"]]
    print(shown.to_string(index=False, na_rep="-", float_format="{:,.2f}".format))
    return 0


def evaluate(args: argparse.Namespace) -> int:
    from effcnn import results

    run = results.read(args.folder)
    from effcnn import runs

    scores = runs.retest(run, args.data, args.device)
    then = run.record["test"]
    print(f"stored {then['accuracy']:.2f}%, loss {then['loss']:.4f}")
    print(f"now    {scores['accuracy']:.2f}%, loss {scores['loss']:.4f}")
    return 0


def compare(args: argparse.Namespace) -> int:
    from effcnn import results, stats

    folders = [args.results] if args.results else []
    groups = [results.group(name, *folders) for name in (args.a, args.b)]
    for name, group in zip((args.a, args.b), groups, strict=True):
        values = results.accuracies(group)
        one = stats.mean(values)
        print(f"{name}: {_percent(one.value, one.half)}, {len(values)} run(s)")
    gap = stats.difference(*(results.accuracies(group) for group in groups))
    note = f", p = {gap.p:.3g} (Welch)" if gap.p == gap.p else ": no interval, one run or no spread"
    print(f"difference: {_percent(gap.value, gap.half, sign='+')} points{note}")
    return 0


def _percent(value: float, half: float, sign: str = "") -> str:
    """`99.31 ± 0.08`, or the value alone where there is no interval."""
    return f"{value:{sign}.2f}" + (f" ± {half:.2f} (95%)" if half == half else "")


def show_models(args: argparse.Namespace) -> int:
    from effcnn.ledger import frame

    table = frame().astype({"params_paper": "Int64"})
    print(table.to_string(index=False, na_rep="-", float_format="{:,.1f}".format))
    return 0


def run_notebook(args: argparse.Namespace) -> int:
    from effcnn import book

    book.run_notebook(args.notebook, args.output, dict(args.parameter))
    return 0


def book(args: argparse.Namespace) -> int:
    from effcnn import book

    print(f"open {book.make(args.profile, force=args.force)}")
    return 0


COMMANDS = (
    *("train", "sweep", "results", "evaluate", "compare", "models"),
    *("run-notebook", "book"),
)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 0, 1 where a run diverged, 2 for bad input, 130 when stopped."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
            raise unknown("command", argv[0], COMMANDS)
        args = parser().parse_args(argv or ["--help"])
        status = args.run(args)
        sys.stdout.flush()  # a closed pipe shows up here, not when Python exits
        return status
    except UserError as error:
        print(f"effcnn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("effcnn: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `effcnn results | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
