"""Search for the best recipe of a net of the paper, step by step, on held-out training images.

    python benchmarks/ladder.py mnist --results results --hours 2
    python benchmarks/ladder.py cifar10 --results results --hours 2.5
    effcnn sweep sweeps/best.toml --results results

A run that is there is not trained again, so the same command goes on where it was stopped. After
each step `sweeps/ladder-mnist.toml` names the steps so far, in the end `sweeps/best.toml` the best
recipe, to be trained with several seeds. With --sample all of it goes into the folder of the
runs, and shows within minutes that it works. The steps and the rule are in `effcnn/ladder.py`.
"""

import argparse
import sys
import time
from pathlib import Path

from effcnn import cells, ladder, plan, results, search, sweep
from effcnn.errors import UserError
from effcnn.recipe import Recipe
from effcnn.results import Run


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        epilog="Exit status: 0 when every step was tried, 1 when stopped before, 2 for an error.",
    )
    parser.add_argument("dataset", choices=ladder.RUNGS)
    parser.add_argument("--results", type=Path, default=results.own(), help="store of the runs")
    parser.add_argument("--hours", type=float, default=100.0, help="then begin no more training")
    parser.add_argument("--workers", type=int, default=1, help="processes, where a rung has steps")
    parser.add_argument("--data", help="folder of the data sets; default: EFFCNN_DATA")
    parser.add_argument("--sample", action="store_true", help="rehearse on the embedded sample")
    args = parser.parse_args()
    try:
        return search_for(args)
    except UserError as error:
        print(f"ladder: {error}", file=sys.stderr)
        return 2


def search_for(args: argparse.Namespace) -> int:
    root, book = args.results, cells.checkout()
    start, rungs = ladder.STARTS[args.dataset], ladder.RUNGS[args.dataset]
    if args.sample:
        start, rungs = ladder.rehearsal(start)
    elif book is None:
        raise UserError("run this in a checkout of the book, whose sweeps/ it writes to")
    folder = root if args.sample else book / "sweeps"
    path = folder / f"ladder-{start.dataset}.toml"
    ends = time.monotonic() + 3600 * args.hours

    def train(recipes: dict[str, Recipe]) -> dict[str, Run]:
        tasks = [sweep.Task(name, recipe, False, False) for name, recipe in recipes.items()]
        stores = [root, *results.roots()]
        missing = [
            task for task in plan.check(tasks, root) if not results.whole(task.recipe, *stores)
        ]
        if missing and time.monotonic() < ends:
            plan.provide(missing, args.data)
            seats = plan.devices("cpu", args.workers, 1, len(missing))
            done = len(tasks) - len(missing)
            sweep.run(missing, done, seats, root=root, data=args.data, split="validation")
        found = {name: results.whole(recipe, *stores) for name, recipe in recipes.items()}
        return {name: run for name, run in found.items() if run}

    def note(tried: dict[str, Run]) -> None:
        ladder.write(path, start.dataset, {name: run.recipe for name, run in tried.items()})
        print(f"{len(tried)} steps; best: {ladder.best(tried).command()}", flush=True)

    tried = ladder.climb(start, rungs, train, note)
    if not tried:
        print("ladder: not even the start is there", file=sys.stderr)
        return 1
    ladder.write_best(folder / "best.toml", start.dataset, ladder.final(ladder.best(tried)))
    table = search.ladder({name: [run] for name, run in tried.items()})
    table["validation"] = [each.text() if each else "diverged" for each in table["validation"]]
    print(table[["cell", "validation", "step", "kept"]].to_string(index=False))
    left = ladder.untried(args.dataset, tried)
    print(f"not tried: {', '.join(left) or 'nothing'}")
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
