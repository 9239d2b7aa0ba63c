"""The command line: `effcnn COMMAND`, or `python -m effcnn COMMAND`.

Whatever takes long to import is imported by the command that needs it.
"""

import argparse
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from effcnn import __version__, commands
from effcnn import commands_show as show
from effcnn.errors import UserError, unknown


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
    subparsers = top.add_subparsers(metavar="COMMAND", parser_class=Parser)

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(run=run)
        return sub

    sub = command("train", commands.train, "train a recipe, with one or more seeds")
    sub.add_argument("--dataset", required=True, help="mnist, mnist-sample or cifar10")
    sub.add_argument("--model", required=True, help="1.5k-dw, say, or '8 M DW16 GAP 10'")
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
    _use_flag(sub)
    _machine_flags(sub)

    sub = command("sweep", commands.sweep, "train the runs that a sweep file's cells still miss")
    sub.add_argument("file", type=Path, help="a TOML file as in sweeps/")
    _sweep_flags(sub)

    sub = command("reproduce", commands.reproduce, "train a table of the paper again, and compare")
    sub.add_argument("--table", required=True, help="3, 4 or 5")
    sub.epilog = (
        "Ends with a row per cell: the paper's number, the mean of the published runs and of those "
        "made here, and which lies in whose 95% prediction interval; a legend stands below it."
    )
    _sweep_flags(sub)

    sub = command("score", commands.score, "train what students handed in, and rank it")
    text = "submissions as in course/, or folders of them"
    sub.add_argument("files", type=_folder, nargs="+", metavar="FILE.toml", help=text)
    text = "the test images count, in the end (default: the held-out training images)"
    sub.add_argument("--test", action="store_true", help=text)
    sub.add_argument("--seeds", default="0-2", help="of every submission (default: 0-2)")
    sub.add_argument("--book-seeds", default="0-9", help="of the book's recipe (default: 0-9)")
    sub.add_argument("--epochs", type=_int, help="a rehearsal: so many, in place of each one's own")
    sub.add_argument("--sample", action="store_true", help="a rehearsal on the embedded images")
    sub.add_argument("--csv", type=Path, metavar="FILE", help="write every column to FILE too")
    _side_by_side_flags(sub)
    sub.set_defaults(use=None)  # nothing that was handed in is ever executed
    _machine_flags(sub, threads="CPU threads of each worker (default: 1)")

    sub = command("results", show.show_results, "list the runs in the store")
    sub.add_argument("--results", type=_folder, help="default: the published ones and your own")
    sub.add_argument("--csv", type=Path, metavar="FILE", help="write every column to FILE too")

    sub = command("evaluate", show.evaluate, "test the net of a run again")
    sub.add_argument("folder", type=Path, metavar="RUN", help="the run's folder")
    sub.add_argument("--data", help="folder of the data sets")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")

    sub = command("analyse", show.analyse, "measure what the trained net of a cell is like")
    sub.add_argument("name", help="gates, path, sharpness, shift or spectrum")
    sub.add_argument("cells", nargs="+", metavar="CELL", help="table-4/mnist-bp, say")
    sub.add_argument("--data", help="folder of the data sets (default: EFFCNN_DATA, or a cache)")
    sub.add_argument(
        "--results", type=_folder, help="where it goes (default: EFFCNN_RESULTS, or runs/)"
    )

    sub = command("compare", show.compare, "the difference of two cells, with its interval")
    sub.add_argument("a", help="table-3/mnist-25k, or a folder of runs such as mnist/25k/baseline")
    sub.add_argument("b", help="the cell that is subtracted")
    sub.add_argument("--results", type=_folder, help="default: the published ones and your own")

    command("models", show.show_models, "the ledger of the nine nets")

    sub = command("techniques", show.show_techniques, "what each technique does and touches")
    sub.add_argument(
        "names", nargs="*", metavar="TECHNIQUE", help="'bp(layers=conv)' (default: all)"
    )
    sub.add_argument("--model", nargs="+", metavar="NET", help="mnist-25k, say (default: two nets)")
    _use_flag(sub)

    sub = command("run-notebook", show.run_notebook, "execute a chapter with other parameters")
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

    sub = command("course", show.course, "write the students' notebooks, and zips to hand out")
    sub.add_argument("--output", type=_folder, help="folder (default: _course/ in the checkout)")
    text = "run the students' notebooks from their zip: these, or (in minutes) all"
    sub.add_argument("--check", nargs="*", metavar="CHAPTER", help=text)

    sub = command("book", show.book, "execute all notebooks and render the book")
    sub.add_argument("--profile", default="published", help="published, quick or full")
    sub.add_argument("--force", action="store_true", help="execute again what has not changed")
    sub.add_argument(
        "--pdf", action="store_true", help="one PDF in place of the site; Chromium prints it"
    )

    sub = command("slides", show.slides, "make decks of slides of the rendered book")
    sub.add_argument("--pdf", action="store_true", help="as PDF too, which needs Chromium")
    sub.add_argument(
        "--output", type=_folder, metavar="DIR", help="where they go (default: _slides/)"
    )
    return top


def _sweep_flags(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--cells", nargs="+", metavar="CELL", help="only these (default: all)")
    sub.add_argument("--seeds", help="0-2, say, in place of each cell's own")
    sub.add_argument("--epochs", type=_int, help="in place of each cell's own")
    _side_by_side_flags(sub)
    _use_flag(sub)
    _machine_flags(sub, threads="CPU threads of each worker (default: 1)")


def _side_by_side_flags(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--workers", type=_int, help="runs side by side (default: one per CPU core)")
    sub.add_argument(
        "--scheduler", metavar="tcp://HOST:PORT", help="train on the workers of a Dask cluster"
    )
    sub.add_argument("--dry-run", action="store_true", help="show the plan, and how long it takes")


def _use_flag(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--use", type=_folder, metavar="FILE.py", help="a file that defines techniques of your own"
    )


def _machine_flags(
    sub: argparse.ArgumentParser, threads: str = "CPU threads (default: PyTorch's)"
) -> None:
    """Flags that change where and how fast, but not what is trained."""
    sub.add_argument("--data", help="folder of the data sets (default: EFFCNN_DATA, or a cache)")
    sub.add_argument(
        "--results", type=_folder, help="the store (default: EFFCNN_RESULTS, or runs/)"
    )
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    sub.add_argument(
        "--compile", default="auto", help="auto, on or off: torch.compile, in long trainings"
    )
    sub.add_argument("--threads", type=_int, help=threads)


def _folder(text: str) -> Path:
    return Path(text).expanduser()


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


LISTINGS = ("results", "compare", "models", "techniques", "--help", "--version")
COMMANDS = (
    *("train", "sweep", "reproduce", "score", "results", "evaluate", "analyse", "compare"),
    *("models", "techniques", "run-notebook", "course", "book", "slides"),
)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 0, 1 where a run diverged, 2 for bad input, 130 when stopped."""
    argv = sys.argv[1:] if argv is None else argv
    warnings.showwarning = _show_warning
    sys.stderr = _Lasting(sys.stderr)
    try:
        if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
            raise unknown("command", argv[0], COMMANDS)
        args = parser().parse_args(argv or ["--help"])
        if getattr(args, "use", None):
            from effcnn import catalogue

            catalogue.use(args.use)
        status = args.run(args)
        sys.stdout.flush()  # a closed pipe shows up here, not when Python exits
        return status
    except UserError as error:
        print(f"effcnn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("effcnn: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `effcnn results | head` has what it wants
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0 if argv[0] in LISTINGS else 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"effcnn: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    finally:
        sys.stderr = sys.stderr.stream


class _Lasting:
    """Standard error that outlives its reader: `2>&1 | tee log` dies of the same Ctrl-C."""

    def __init__(self, stream) -> None:
        self.stream = stream

    def __getattr__(self, name: str):
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with suppress(BrokenPipeError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(BrokenPipeError):
            self.stream.flush()


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """One line, without the place in our code."""
    print(f"effcnn: warning: {message}", file=sys.stderr)
