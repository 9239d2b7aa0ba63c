"""What the commands that train nothing do: show what is there, and make pages of it.

They print their answer and return the exit status. Whatever takes long to import is imported by the
command that needs it.
"""

import os
from argparse import Namespace
from functools import partial

from effcnn.errors import UserError, unknown


def show_results(args: Namespace) -> int:
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
    frame["run"] = frame["run"].str.removeprefix(f"{os.getcwd()}{os.sep}")
    shown = frame[["run", "status", "epochs", "params", "accuracy", "images_per_second", "cell"]]
    print(shown.to_string(index=False, na_rep="-", float_format="{:,.2f}".format))
    return 0


def evaluate(args: Namespace) -> int:
    from effcnn import results

    run = results.read(args.folder)
    from effcnn import runs

    scores = runs.retest(run, args.data, args.device)
    then = run.record["test"]
    print(f"stored {then['accuracy']:.2f}%, loss {then['loss']:.4f}")
    print(f"now    {scores['accuracy']:.2f}%, loss {scores['loss']:.4f}")
    return 0


def analyse(args: Namespace) -> int:
    from tqdm import tqdm

    from effcnn import analyses, results

    if args.name not in analyses.NAMES:
        raise unknown("analysis", args.name, analyses.NAMES)
    chosen = [analyses.with_weights(results.group(cell)) for cell in args.cells]
    root = args.results or results.own()
    for run in chosen:
        show = partial(tqdm, desc=f"{args.name} {run.recipe.folder}", disable=None)
        print(analyses.make(args.name, run, root, args.data, show))
    return 0


def compare(args: Namespace) -> int:
    from effcnn import results, stats

    folders = [args.results] if args.results else []
    groups = [results.group(name, *folders) for name in (args.a, args.b)]
    for name, group in zip((args.a, args.b), groups, strict=True):
        one = stats.mean(results.accuracies(group))
        print(f"{name}: {one.text()} %, {one.n} run(s)")
    gap = stats.difference(*(results.accuracies(group) for group in groups))
    interval = f", 95% interval, p = {gap.p:.3g} (Welch)"
    note = f": no interval ({gap.lacks})" if gap.lacks else interval
    print(f"difference: {gap.text('+')} points{note}")
    return 0


def show_models(args: Namespace) -> int:
    from effcnn.ledger import frame

    table = frame().astype({"params_paper": "Int64"})
    print(table.to_string(index=False, na_rep="-", float_format="{:,.1f}".format))
    return 0


def show_techniques(args: Namespace) -> int:
    from effcnn import catalogue

    print(catalogue.text(args.names, args.model or catalogue.SMALL_NETS))
    return 0


def run_notebook(args: Namespace) -> int:
    from effcnn import book

    book.run_notebook(args.notebook, args.output, dict(args.parameter))
    return 0


def course(args: Namespace) -> int:
    from effcnn import course

    zips = course.make(args.output)
    if args.check is not None:
        course.check(zips[0], args.check)
    for path in zips:
        print(f"{path} ({path.stat().st_size / 1e6:.0f} MB)")
    return 0


def book(args: Namespace) -> int:
    from effcnn import book

    print(f"open {book.make(args.profile, force=args.force, pdf=args.pdf)}")
    return 0


def slides(args: Namespace) -> int:
    from effcnn import decks

    print(f"open {decks.make(args.output, pdf=args.pdf)}")
    return 0
