"""Sweep files: what a cell is, and errors that name the file and the cell."""

import pytest

from effcnn import cells
from effcnn.errors import UserError
from effcnn.recipe import Recipe

SWEEP = """
title = "A preview"

[defaults]
dataset = "mnist"
epochs = 3
seeds = "0-2"

[cells.25k]
model = "25k"

[cells."5k+bp"]
model = "5k"
techniques = "blurpool"
epochs = 4
seeds = "1,5"
keep_epochs = "5"
"""


@pytest.fixture
def sweep(tmp_path):
    def write(text):
        path = tmp_path / "preview.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_cells_in_the_files_order(sweep):
    first, second = cells.read(sweep(SWEEP))
    assert first == cells.Cell(
        "preview/25k", Recipe.make("mnist", "25k", epochs=3, seed=0), (0, 1, 2)
    )
    assert second.name == "preview/5k+bp"
    assert second.recipes() == [
        Recipe.make("mnist", "5k", "bp", epochs=4, seed=seed) for seed in (1, 5)
    ]
    assert (first.keep_epochs, second.keep_epochs) == ((), (5,))


def test_defaults_of_a_data_set(sweep):
    text = """
[defaults]
epochs = 3
[defaults.mnist]
model = "25k"
lr = 0.5
[defaults.cifar10]
model = "143k"
lr = 0.1
[cells.a]
dataset = "mnist"
[cells.b]
dataset = "cifar10"
techniques = "oc"
[cells.c]
dataset = "cifar10"
lr = 0.2
"""
    assert [cell.recipe for cell in cells.read(sweep(text))] == [
        Recipe.make("mnist", "25k", epochs=3, lr=0.5),
        Recipe.make("cifar10", "143k", "oc", epochs=3),
        Recipe.make("cifar10", "143k", epochs=3, lr=0.2),
    ]
    with pytest.raises(UserError, match=r"cell b: lr has no effect beside one-cycle"):
        cells.read(sweep(text.replace('techniques = "oc"', 'techniques = "oc"\nlr = 0.1')))
    with pytest.raises(UserError, match=r"unknown data set in defaults 'minst' \(did you mean"):
        cells.read(sweep(text.replace("defaults.mnist", "defaults.minst")))


def test_cells_of_the_book_this_process_is_in(book, sweep, monkeypatch):
    assert cells.checkout() == book
    assert cells.cells() == {}
    sweep(SWEEP).rename(book / "sweeps" / "b.toml")
    sweep(SWEEP).rename(book / "sweeps" / "a.toml")
    monkeypatch.chdir(book / "sweeps")  # below it too
    assert list(cells.cells()) == ["a/25k", "a/5k+bp", "b/25k", "b/5k+bp"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title = ", "preview.toml: "),
        ("", "preview.toml has no cells; write a table .cells.NAME."),
        ("[cells]", "has no cells"),
        ("[cell.25k]", "unknown entry in .*preview.toml 'cell' .did you mean 'cells'"),
        ("cells = 3", "preview.toml"),
        ("[cells]\n25k = 3", "preview.toml.*25k"),
        ("defaults = 3\n[cells.25k]", "preview.toml"),
        (SWEEP.replace("25k", "26k"), "preview.toml, cell 26k: .*did you mean '25k'"),
        (SWEEP.replace('"0-2"', '"2-0"'), "preview.toml, cell 25k: seeds are '2-0'"),
        (SWEEP.replace("epochs = 4", "epoch = 4"), "cell 5k.bp: .*'epoch' .did you mean 'epochs'"),
        (SWEEP.replace("epochs = 4", 'epochs = "4"'), "preview.toml, cell 5k.bp: epochs is '4'"),
        (SWEEP.replace("epochs = 4", "seed = 4"), "cell 5k.bp: .*'seed'.*seeds, keep_epochs$"),
        (SWEEP.replace('epochs = "5"', 'epochs = "6"'), "5k.bp: keep_epochs names seed 6; .* 1, 5"),
        (SWEEP.replace('epochs = "5"', "epochs = true"), "cell 5k.bp: keep_epochs is True; write"),
        (SWEEP.replace('epochs = "5"', 'epochs = "-"'), "cell 5k.bp: keep_epochs are '-'"),
        (SWEEP.replace("epochs = 4", "lr = true"), "cell 5k.bp: lr is True; it must be a number"),
        (SWEEP.replace("epochs = 4", 'lr = "fast"'), "preview.toml, cell 5k.bp: lr is 'fast'"),
        (SWEEP.replace('"mnist"', "1"), "preview.toml, cell 25k: dataset is 1; it must be text"),
        (SWEEP.replace('"blurpool"', "true"), "preview.toml, cell 5k.bp: techniques is True"),
        (SWEEP.replace('dataset = "mnist"', ""), "preview.toml, cell 25k: it names no dataset"),
    ],
)
def test_bad_sweep_file_is_one_line(sweep, text, says):
    with pytest.raises(UserError, match=says) as error:
        cells.read(sweep(text))
    assert "\n" not in str(error.value)


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"there is no sweep file .*none\.toml"):
        cells.read(tmp_path / "none.toml")
    with pytest.raises(UserError, match=str(tmp_path)):
        cells.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", (0,)),
        ("0-2", (0, 1, 2)),
        ("7-7", (7,)),
        ("3,0", (3, 0)),
        (" 0 - 1 , 4 ", (0, 1, 4)),
        ("10-11,2", (10, 11, 2)),
    ],
)
def test_seeds(text, seeds):
    assert cells.parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text",
    ["", "a", "-1", "1-", "2-0", "0,0", "0-2,1", "0..2", "0-1-2", "1.5", "0,", "²", "[0, 1]"],
)
def test_seeds_that_cannot_be_read(text):
    with pytest.raises(UserError, match="seeds are"):
        cells.parse_seeds(text)
