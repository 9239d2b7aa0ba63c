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

VERDICTS = ("paper in published", "paper in here", "here in published")


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
    one, two, three = (table.loc[f"mnist-{name}"] for name in ("baseline", "bp", "own"))
    assert one["here"] == "98.40 ± 0.64 (2)"
    assert one["published"] == "98.40 ± 0.25 (3)"
    # 98.3, 98.4, 98.5 predict one more run within t(2) * 0.1 * sqrt(1 + 1/3), the mean of two
    # within t(2) * 0.1 * sqrt(1/2 + 1/3); 98.35, 98.45 within t(1) * 0.0707 * sqrt(1 + 1/2).
    assert one[["paper", *VERDICTS]].tolist() == ["98.35", "yes ±0.50", "yes ±1.10", "yes ±0.39"]
    # 99.21 is farther from 98.4 and from 97.1 than 0.50, and 97.1 from 98.4 than 0.35.
    assert two[["paper", *VERDICTS]].tolist() == ["99.21", "no ±0.50", "no ±0.50", "no ±0.35"]
    assert (three["paper"], three["published"], three["here"]) == ("-", "no run", "diverged")
    assert three[list(VERDICTS)].tolist() == ["-", "-", "-"]


def test_the_papers_number_is_held_against_the_runs_here_too(file, tmp_path, record):
    """Also where nothing is published, and whatever the published runs say."""
    cells = sweeps.read(file)[:2]
    here, published = tmp_path / "here", tmp_path / "published"
    put(here, cells[0], (98.3, 98.4, 98.5), record)
    put(here, cells[1], (99.2,), record)
    put(published, cells[1], (99.1, 99.2, 99.3), record)
    table = reproduce.compare(cells, cells, here, published)
    assert table[list(VERDICTS)].values.tolist() == [
        ["-", "yes ±0.50", "-"],
        ["yes ±0.50", "one run", "yes ±0.50"],
    ]


def test_other_epochs_are_other_recipes(file, tmp_path, record):

    cells = sweeps.read(file)
    short = [cell.override((0,), 2) for cell in cells]
    put(tmp_path, short[0], (98.0,), record)
    put(tmp_path, cells[0], (98.0, 98.2), record)
    table = reproduce.compare(short, cells, tmp_path, tmp_path)
    # t(1) = 12.706 * sqrt(0.02) * sqrt(1 + 1/2)
    assert table.loc[0, list(VERDICTS)].tolist() == ["yes ±2.20", "epochs", "epochs"]
    assert table["here"][0] == "98.00 (1)"


def test_a_terminal_of_100_columns_holds_it(file, tmp_path, record):
    """The longest names of the paper's tables, and means with the widest intervals."""
    from dataclasses import replace

    cells = [
        replace(cell, name=f"table-5/cifar10-{row}")
        for cell, row in zip(sweeps.read(file), (*paper.TABLE_5,)[::-1], strict=False)
    ]
    put(tmp_path, cells[0], (70.0, 71.0, 75.0), record)
    put(tmp_path, cells[1], (70.0, 74.0), record)
    compared = reproduce.compare(cells, cells, tmp_path, tmp_path)
    assert compared["here"][1] == "72.00 ± 25.41 (2)"
    assert compared["paper in here"][1] == "yes ±44.0"
    first, second, *rest = reproduce.text(compared).splitlines()
    assert max(map(len, (first, second, *rest))) <= 100
    assert first.split() == ["paper", "in", "paper", "in", "here", "in"]
    assert " ".join(second.split()) == "cell paper published here published here published"
    assert rest[0].split()[0] == "cifar10-bp+co+m+ls+sam+swa"
    for name in ("published, here:", *VERDICTS):
        assert name in reproduce.LEGEND


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
    _, head, one, two, *legend = (" ".join(line.split()) for line in out.splitlines())
    assert status == 0
    assert head == "cell paper published here published here published"
    # Cell, the paper's number, three published runs, three made here, and three verdicts.
    runs = "98.40 ± 0.25 (3) 98.41 ± 0.25 (3)"
    assert one == f"mnist-bp 99.21 {runs} no ±0.50 no ±0.50 yes ±0.35"
    assert two == f"mnist-own - {runs} - - yes ±0.35"
    assert "\n".join(legend) == reproduce.LEGEND


def test_help_says_what_the_columns_are(capsys):
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "--help"])
    assert "lies in whose 95% prediction interval" in " ".join(capsys.readouterr().out.split())


def test_from_nothing_and_smaller(book, capsys, own_results):
    text = f"{DEFAULTS}[cells.mnist-baseline]\nepochs = 2\nseeds = '0-2'\n"
    (book / "sweeps" / "table-4.toml").write_text(text)
    status, out, _ = reproduced(capsys, "--seeds", "1", "--epochs", "1", "--workers", "1")
    assert status == 0
    assert "(1)" in out
    assert out.splitlines()[2].split()[-2:] == ["epochs", "epochs"]
    assert "--seeds or --epochs made these other runs than" in out
    (run,) = results.runs(own_results)
    assert (run.recipe.seed, run.recipe.epochs) == (1, 1)


def test_the_published_runs_are_not_compared_with_themselves(file, capsys):
    status, _, err = reproduced(capsys, "--results", str(results.published()))
    assert status == 2
    assert "holds the published runs; name another folder with --results" in err
