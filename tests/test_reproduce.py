"""A table made again: beside the published runs and the paper's numbers."""

import pytest
from tiny import DEFAULTS

from effcnn import cells as sweeps
from effcnn import cli, paper, reproduce, results
from effcnn.errors import UserError

TABLE = """
[defaults]
dataset = "mnist"
model = "1.5k-dw"
seeds = "0-2"
[cells.mnist-baseline]
[cells.mnist-bp]
techniques = "bp"
[cells.mnist-own]
techniques = "co"
"""


@pytest.fixture
def file(book):
    path = book / "sweeps" / "table-4.toml"
    path.write_text(TABLE)
    return path


def put(store, cell, accuracies, record):
    for recipe, accuracy in zip(cell.recipes(), accuracies, strict=False):
        results.write(store, recipe, record(accuracy), {})


def test_each_cell_beside_the_published_and_the_papers(file, tmp_path, record):
    cells = sweeps.read(reproduce.sweep_file("4"))
    published, here = tmp_path / "published", tmp_path / "here"
    for cell in cells[:2]:
        put(published, cell, (98.3, 98.4, 98.5), record)
    put(here, cells[0], (98.35, 98.45), record)
    put(here, cells[1], (97.0, 97.1, 97.2), record)
    put(here, cells[2], (98.0, None), record)
    table = reproduce.compare(cells, cells, here, published).set_index("cell")
    one, two, three = (table.loc[f"table-4/mnist-{name}"] for name in ("baseline", "bp", "own"))
    assert one["here"] == "98.40 ± 0.64 (2)"
    assert one["published"] == "98.40 ± 0.25 (3)"
    assert (one["paper"], one["paper agrees"], one["here agrees"]) == ("98.35", "yes", "yes")
    assert (two["paper"], two["paper agrees"], two["here agrees"]) == ("99.21", "no", "no")
    assert (three["paper"], three["published"], three["here"]) == ("-", "no run", "diverged")
    assert three["here agrees"] == "-"


def test_other_epochs_are_other_recipes(file, tmp_path, record):
    from effcnn import plan

    cells = sweeps.read(file)
    short = [plan.override(cell, (0,), 2) for cell in cells]
    put(tmp_path, short[0], (98.0,), record)
    put(tmp_path, cells[0], (98.0, 98.2), record)
    table = reproduce.compare(short, cells, tmp_path, tmp_path)
    assert table["here agrees"][0] == "other recipe"
    assert table["here"][0] == "98.00 (1)"


def test_numbers_of_the_paper_by_cell():
    assert paper.accuracy("table-3/mnist-25k") == 99.35
    assert paper.accuracy("table-3/mnist-5k-dw-narrow") is None
    assert paper.accuracy("table-4/cifar10-m") == 83.52
    assert paper.accuracy("table-4/mnist-sam-half") is None
    assert paper.accuracy("table-5/cifar10-bp+co+m") == 86.08
    assert paper.accuracy("table-5/cifar10-baseline") == 79.9
    assert paper.accuracy("preview/mnist-25k") is None


def test_every_cell_of_the_paper_has_a_cell_here():
    root = sweeps.checkout()
    names = {
        cell.name for number in "345" for cell in sweeps.read(root / f"sweeps/table-{number}.toml")
    }
    wanted = {f"table-3/{net}" for net in paper.TABLE_3}
    wanted |= {f"table-4/{data}-{row}" for data, rows in paper.TABLE_4.items() for row in rows}
    wanted |= {f"table-5/cifar10-{row}" for row in paper.TABLE_5}
    assert wanted <= names
    assert all(paper.accuracy(name) is not None for name in wanted)


def test_bad_tables(book):
    with pytest.raises(UserError, match="unknown table '6'; choose from 3, 4, 5"):
        reproduce.sweep_file("6")
    with pytest.raises(UserError, match="no sweep file of table 4 here"):
        reproduce.sweep_file("4")


def reproduced(capsys, *flags):
    status = cli.main(["reproduce", "--table", "4", *flags])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command_ends_with_the_comparison(file, own_results, record, capsys):
    for cell in sweeps.read(file):
        put(results.published(), cell, (98.3, 98.4, 98.5), record)
        put(own_results, cell, (98.31, 98.41, 98.51), record)
    status, out, _ = reproduced(capsys, "--cells", "mnist-bp", "table-4/mnist-own")
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert status == 0
    # Cell, the paper's number, three published runs, three made here, and two verdicts.
    assert rows[1] == "table-4/mnist-bp 99.21 98.40 ± 0.25 (3) 98.41 ± 0.25 (3) no yes"
    assert rows[2].endswith("- yes")
    assert len(out.splitlines()) == 3 + reproduce.LEGEND.count("\n") + 1


def test_from_nothing_and_smaller(book, capsys, own_results):
    text = f"{DEFAULTS}[cells.mnist-baseline]\nepochs = 2\nseeds = '0-2'\n"
    (book / "sweeps" / "table-4.toml").write_text(text)
    status, out, _ = reproduced(capsys, "--seeds", "1", "--epochs", "1", "--workers", "1")
    assert status == 0
    assert "(1)" in out
    assert "other recipe" in out
    assert "--seeds or --epochs made these other runs than" in out
    (run,) = results.runs(own_results)
    assert (run.recipe.seed, run.recipe.epochs) == (1, 1)


def test_the_published_runs_are_not_compared_with_themselves(file, capsys):
    status, _, err = reproduced(capsys, "--results", str(results.published()))
    assert status == 2
    assert "holds the published runs; name another folder with --results" in err
