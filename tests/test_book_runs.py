"""The page of all runs: each run with its command, and every column as CSV."""

import io
import shlex
from html.parser import HTMLParser

import pandas as pd
import pytest

from effcnn import book_runs, cells, results
from effcnn.cli import parser
from effcnn.commands import RECIPE_FLAGS
from effcnn.recipe import Recipe

SWEEP = """
[cells.first]
dataset = "cifar10"
model = "143k-dw"
techniques = "bp+co(length=8)"
"""


class Fields(HTMLParser):
    """The text of every field, row by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture
def store(book, record):
    (book / "sweeps" / "some.toml").write_text(SWEEP)
    results.write(book / "results", cells.cells()["some/first"].recipe, record(80.5), {})
    other = Recipe.make("mnist", "1.5k-dw", seed=3)
    results.write(book / "results", other, record(None), {})
    return book / "results"


def test_every_run_with_its_command(store):
    rows = Fields(book_runs.html(store)).rows
    head, one, two = ([text.strip() for text in row] for row in rows)
    one, two = (dict(zip(head, row, strict=True)) for row in (one, two))
    assert one["Run"].startswith("cifar10/143k-dw/bp+co(length=8)/seed0-")
    assert (one["Accuracy (%)"], one["Cells"]) == ("80.50", "some/first")
    assert (two["Accuracy (%)"], two["Cells"]) == ("diverged", "")
    assert (two["Epochs"], two["Minutes"]) == ("10", "0.0")
    assert "/seed3-" in two["Run"]
    made = one["Repeat"].split("Made on ")[1]
    assert "torch 2.13.0, 200 images/s" in made


def test_the_command_trains_the_same_recipe(store):
    for run in results.runs(store):
        row = next(r for r in Fields(book_runs.html(store)).rows if run.recipe.hash in r[0])
        command = row[-2].removeprefix("how").split("Made on")[0]
        args = parser().parse_args(shlex.split(command)[1:])
        flags = {name: getattr(args, name) for name in RECIPE_FLAGS}
        assert Recipe.make(**flags, seed=int(args.seeds)) == run.recipe


def test_csv_holds_every_column_and_no_path_of_this_machine(store):
    text = book_runs.csv(store)
    frame = pd.read_csv(io.StringIO(text))
    assert list(frame.columns) == list(results.COLUMNS)
    assert frame["accuracy"].tolist()[0] == 80.5
    assert str(store) not in text
    assert (store / frame["run"][0] / "run.json").is_file()
    first = cells.cells()["some/first"].recipe
    row = frame.iloc[0]
    assert (row["hash"], row["recipe_version"], row["compiled"]) == (first.hash, 1, False)
    assert row["command"] == first.command()
