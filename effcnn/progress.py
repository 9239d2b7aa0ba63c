"""What a sweep shows on standard error while it runs: bars on a terminal, lines elsewhere."""

import sys
from dataclasses import replace

from tqdm import tqdm

from effcnn.recipe import Recipe
from effcnn.results import Run


def images(recipe: Recipe) -> int:
    """How many images go through a whole training; an incomplete last batch is left out."""
    return recipe.epochs * (recipe.train_images // recipe.batch_size * recipe.batch_size)


def alike(recipe: Recipe) -> Recipe:
    """The same for all recipes whose steps cost the same: without seed, epochs and rates."""
    rate = None if recipe.lr is None else 0.01
    # Not one epoch: some techniques need more.
    return replace(recipe, seed=0, epochs=100, lr=rate, weight_decay=0.0, holdout=0)


def duration(seconds: float) -> str:
    """`50 s`, `41 min` or `3 h 10 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Progress:
    """Counts the images that are left, and shows where the runs stand.

    Args:
        recipes: of the runs that are missing, by name.
        done: how many are there already.
        workers: how many run side by side.
        split: whose accuracy is shown of a finished run, `test` or `validation`.
    """

    def __init__(
        self, recipes: dict[str, Recipe], done: int, workers: int, split: str = "test"
    ) -> None:
        self.recipes, self.done, self.workers, self.split = recipes, done, workers, split
        self.total = done + len(recipes)
        self.left = {name: images(recipe) for name, recipe in recipes.items()}
        self.speeds: dict[Recipe, float] = {}  # images/s of one worker
        self.bars = []
        if sys.stderr.isatty():
            every = {"dynamic_ncols": True, "leave": False, "file": sys.stderr}
            form = "{desc} {percentage:3.0f}%|{bar}|"
            self.bars = [tqdm(total=sum(self.left.values()) or 1, bar_format=form, **every)]
            for i in range(workers):
                self.bars.append(tqdm(position=i + 1, bar_format="{desc}", **every))
        self.refresh()

    def say(self, text: str) -> None:
        """One line, above the bars."""
        if self.bars:
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def report(self, worker: int, name: str, report: dict) -> None:
        """Show a worker's report on a run, the fields of `effcnn.runs.Report`."""
        recipe, speed = self.recipes[name], report["images_per_second"]
        self.left[name] = report["total"] - report["images"]
        self.speeds[alike(recipe)] = speed
        loss = "not a number" if report["loss"] is None else f"{report['loss']:.4f}"
        line = (
            f"{name}: epoch {report['epoch']}/{report['epochs']}, loss {loss}, "
            f"accuracy {report['accuracy']:.2f}%"
        )
        if self.bars:
            self.show(worker, line)
        elif report["entry"] and len(self.recipes) == 1:
            self.say(f"{line}, {speed:,.0f} images/s{self.time_left()}")
        self.refresh()

    def finished(self, name: str, run: Run, elsewhere: bool = False) -> None:
        """A run is in the store."""
        self.done += 1
        self.left[name] = 0
        time = run.record["time"]
        diverged = run.diverged
        took = f"{time['train_seconds']:.0f} s, {time['images_per_second']:,.0f} images/s"
        outcome = "diverged" if diverged else f"{run.record[self.split]['accuracy']:.2f}%"
        took = "trained by another process" if elsewhere else took
        left = self.time_left() if self.done < self.total else ""
        self.say(f"[{self.done}/{self.total}] {name}: {outcome} ({took}){left}")
        self.refresh()

    def given_up(self, name: str) -> None:
        """A run that failed takes no more time."""
        self.left[name] = 0
        self.refresh()

    def idle(self, worker: int) -> None:
        """A worker has no run at the moment."""
        self.show(worker, "")

    def show(self, worker: int, line: str) -> None:
        """Set a worker's line, where there are bars. Those who join later have none."""
        for bar in self.bars[worker + 1 : worker + 2]:
            bar.set_description_str(line)

    def seconds_left(self) -> float | None:
        """Images left by the speed of runs alike, or of the others; None before a report."""
        if not self.speeds:
            return None
        usual = len(self.speeds) / sum(1 / speed for speed in self.speeds.values())
        kinds = {name: alike(self.recipes[name]) for name, left in self.left.items() if left}
        seconds = sum(
            self.left[name] / self.speeds.get(kind, usual) for name, kind in kinds.items()
        )
        return seconds / max(1, min(self.workers, len(kinds)))

    def time_left(self) -> str:
        """`, 41 min left`, or nothing while nothing is known."""
        seconds = self.seconds_left()
        return "" if seconds is None else f", {duration(seconds)} left"

    def refresh(self) -> None:
        """Draw the bar of all runs again."""
        if self.bars:
            bar = self.bars[0]
            bar.n = bar.total - sum(self.left.values())
            bar.set_description_str(f"{self.done}/{self.total} runs{self.time_left()}")

    def close(self) -> None:
        """Take the bars away."""
        for bar in reversed(self.bars):
            bar.close()
