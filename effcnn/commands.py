"""What the commands that train do. They print their answer and return the exit status.

Whatever takes long to import is imported by the command that needs it.
"""

import sys
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

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


def train(args: Namespace) -> int:
    from effcnn.cells import parse_seeds
    from effcnn.recipe import Recipe

    seeds = parse_seeds(args.seeds)
    flags = {name: getattr(args, name) for name in RECIPE_FLAGS}
    recipe = Recipe.make(**flags, seed=seeds[0])
    return _train(args, [recipe.with_seed(seed) for seed in seeds], args.keep_epochs)


def sweep(args: Namespace) -> int:
    """Exit status: 0 if all runs are there, 1 if one diverged, 2 if one failed, 130 if stopped."""
    from effcnn import sweep as sweeping

    cells, _, note = _cells(args, args.file)
    return _sweep(args, cells, note, lambda root: _text(sweeping.table(cells, root)))


def reproduce(args: Namespace) -> int:
    """As `sweep`, with the published runs and the paper's numbers beside those made here."""
    from effcnn import reproduce, results

    file = reproduce.sweep_file(args.table)
    published, root = results.published(), args.results or results.own()
    if published is None:
        raise UserError("there are no published runs here; run this in a checkout of the book")
    if root.resolve() == published.resolve():
        raise UserError(f"{root} holds the published runs; name another folder with --results")
    cells, own, note = _cells(args, file)

    def table(root: Path) -> str:
        return reproduce.text(reproduce.compare(cells, own, root, published))

    return _sweep(args, cells, note, table)


def _text(table) -> str:
    return table.to_string(index=False)


def score(args: Namespace) -> int:
    """Exit status: as `sweep`; 1 too where a submission was refused, 2 where every one was."""
    from effcnn import score as scoring
    from effcnn import submission
    from effcnn.cells import parse_seeds

    base = submission.SAMPLE if args.sample else submission.BASELINE
    if args.csv and (args.csv.is_dir() or not args.csv.parent.is_dir()):
        raise UserError(f"cannot write {args.csv}: it is no file in a folder that is there")
    seeds = parse_seeds(args.seeds), parse_seeds(args.book_seeds, "book-seeds")
    entries = submission.entries(args.files, base, *seeds, args.epochs)
    for each in entries[1:]:
        counted = f"{each.name}: {each.params or 0:,} parameters"
        why = f"effcnn: {each.name}: refused: {each.refused}"
        print(why if each.refused else counted, file=sys.stderr)
    cells = [each.cell for each in entries if each.cell]
    if len(cells) == 1:  # the book's own, which needs no training when there is nothing beside it
        return 2
    split = "test" if args.test else "validation"
    how = {"rehearsal": args.sample or args.epochs is not None, "csv": args.csv}
    table = partial(scoring.report, entries, split=split, **how)
    return _sweep(args, cells, "", table, split) or int(len(cells) < len(entries))


def _sweep(
    args: Namespace, cells: list, note: str, table: Callable[[Path], str], split: str = "test"
) -> int:
    """Train what the cells miss, and end with `table(root)` and a note."""
    _check_machine(args)
    if args.workers is not None and args.workers < 1:
        raise UserError(f"workers is {args.workers}; it must be a whole number from 1 on")
    from effcnn import plan, results
    from effcnn import sweep as sweeping

    root, threads = args.results or results.own(), args.threads or 1
    tasks = plan.plan(cells)
    missing = plan.check(tasks, root)
    device, cluster = args.device, None
    if args.scheduler:
        from effcnn import remote

        device, cluster = "cpu", remote.connect(args, root, len(missing))
    seats = plan.devices(device, args.workers, threads, len(missing))
    seats = cluster.devices if cluster else seats
    if not (args.dry_run or cluster):
        plan.provide(missing, args.data)
    print(plan.summary(missing, len(tasks) - len(missing), root, seats, threads), file=sys.stderr)
    pool = {"threads": threads, "use": args.use}
    if args.dry_run:
        seconds, total = plan.forecast(missing, seats, root, **pool)
        print(_text(plan.table(cells, seconds, root)))
        how = "without torch.compile, measured just now"
        print(f"{len(missing)} runs to train: about {total} {how}{note}")
        return 0
    there = {"root": root, "data": args.data, "compiled": args.compile, "cluster": cluster}
    stopped = sweeping.run(missing, len(tasks) - len(missing), seats, split=split, **there, **pool)
    print(f"{table(root)}{note}")
    found = [run for task in tasks if (run := results.whole(task.recipe, root))]
    if stopped and len(found) < len(tasks):
        return _stopped(stopped, len(found), len(tasks), root)
    if len(found) < len(tasks):
        lost = len(tasks) - len(found)
        print(f"effcnn: {lost} of {len(tasks)} runs are missing", file=sys.stderr)
        return 2
    return int(any(run.diverged for run in found))


def _cells(args: Namespace, file: Path) -> tuple[list, list, str]:
    """The cells that are asked for, as the file has them, and a note where these are not alike."""
    from effcnn import cells

    found = {cell.name: cell for cell in cells.read(file)}
    # The file's own name may be left out: `--cells mnist-bp`.
    names = [name if name in found else f"{file.stem}/{name}" for name in args.cells or found]
    for name in names:
        if name not in found:
            raise unknown(f"cell of {file}", name.removeprefix(f"{file.stem}/"), found)
    wanted = [found[name] for name in dict.fromkeys(names)]
    seeds = cells.parse_seeds(args.seeds) if args.seeds is not None else ()
    try:
        changed = [cell.override(seeds, args.epochs) for cell in wanted]
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    own = {recipe for cell in wanted for recipe in cell.recipes()}
    if own.issuperset(recipe for cell in changed for recipe in cell.recipes()):
        return changed, wanted, ""
    return changed, wanted, f"\n--seeds or --epochs made these other runs than {file} itself names."


def _check_machine(args: Namespace) -> None:
    if args.threads is not None and args.threads < 1:
        raise UserError(f"threads is {args.threads}; it must be a whole number from 1 on")
    if args.device.split(":")[0] not in ("auto", "cpu", "cuda", "mps"):
        raise unknown("device", args.device, ("auto", "cpu", "cuda", "mps"))
    if args.compile not in ("auto", "on", "off"):
        raise unknown("choice to compile", args.compile, ("auto", "on", "off"))


def _train(args: Namespace, recipes: list, keep_epochs: bool) -> int:
    """Train what is missing; the first seed keeps its weights. Exit status 1 if one diverged."""
    _check_machine(args)
    from effcnn import interrupt, results, runs

    root = args.results or results.own()
    first = results.find(recipes[0], root)
    if keep_epochs and first and not (first.folder / "epochs").is_dir():
        raise UserError(f"{first.folder} is there without its epochs; name another --results")
    diverged, done = False, 0
    with interrupt.gently() as hand:
        for recipe in recipes:
            if hand.stop():  # pressed when the run before was being tested
                return _stopped("stopped", done, len(recipes), root)
            known = results.find(recipe, root)
            try:
                run = runs.train(
                    recipe,
                    root,
                    data=args.data,
                    device=args.device,
                    threads=args.threads,
                    compiled=args.compile,
                    keep_weights=recipe is recipes[0],
                    keep_epochs=keep_epochs and recipe is recipes[0],
                    progress=True,
                    stop=hand.stop,
                )
            except runs.Stopped as stopped:
                return _stopped(str(stopped), done, len(recipes), root)
            except KeyboardInterrupt:
                return _stopped("stopped within an epoch", done, len(recipes), root)
            done += 1
            diverged |= run.diverged
            print(_outcome(run, known))
    return 1 if diverged else 0


def _stopped(how: str, done: int, wanted: int, root) -> int:
    """Say what there is after Ctrl-C."""
    there = f"{done} of {wanted} runs are in {root}"
    print(f"effcnn: {how}; {there}; the same command goes on from there", file=sys.stderr)
    return 130


def _outcome(run, known) -> str:
    """One line on a run."""
    test, time = run.record["test"], run.record["time"]
    outcome = "diverged: its loss stopped being a number"
    if not run.diverged:
        outcome = f"test accuracy {test['accuracy']:.2f}%, loss {test['loss']:.4f}"
    took = "already there" if known else f"{time['images_per_second']:,.0f} images/s"
    return f"{run.folder}: {outcome} ({took})"
