"""Which cells a page shows while a table still trains."""

import pytest

from effcnn import cells, previews, results

SWEEP = """
[defaults]
dataset = "mnist"
model = "1.5k-dw"
epochs = {epochs}
seeds = "{seeds}"
[cells.one]
[cells.two]
model = "5k-dw"
"""
PAIRS = {
    "both": [("table/one", "preview/one"), ("table/two", "preview/two")],
    "first": [("table/one", "preview/one")],
}


@pytest.fixture
def shelf(book, record):
    for name, epochs, seeds in (("table", 2, "0-1"), ("preview", 1, "0")):
        text = SWEEP.format(epochs=epochs, seeds=seeds)
        (book / "sweeps" / f"{name}.toml").write_text(text)

    def put(name, count):
        for recipe in cells.cells()[name].recipes()[:count]:
            results.write(book / "results", recipe, record(98.0), {})

    return put


def test_a_group_comes_from_the_table_as_soon_as_all_of_it_is_there(shelf):
    assert previews.choose(PAIRS) == {
        "both": ["preview/one", "preview/two"],
        "first": ["preview/one"],
    }
    shelf("table/one", 2)
    shelf("table/two", 1)
    assert previews.choose(PAIRS) == {
        "both": ["preview/one", "preview/two"],
        "first": ["table/one"],
    }
    shelf("table/two", 2)
    assert previews.choose(PAIRS) == {"both": ["table/one", "table/two"], "first": ["table/one"]}


def test_full_trains_what_is_missing_so_it_takes_the_table(shelf):
    assert previews.choose(PAIRS, "full")["both"] == ["table/one", "table/two"]


def test_a_preview_says_so(shelf):
    shelf("preview/one", 1)
    runs = results.cell("preview/one")
    assert previews.shown("preview/one", runs) == "`preview/one` (preview, one run)"
    assert previews.shown("preview/one", runs * 2) == "`preview/one` (preview, 2 runs)"
    assert previews.shown("table/one", runs) == "`table/one`"


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        (["table/one"], ""),
        (["table/one", "preview/two", "preview/one"], "**2 of 3 pairs are still previews**"),
        (["table/one", "preview/two"], "**One of 2 pairs is still a preview**"),
        (["preview/one", "preview/two"], "**All pairs are still previews**"),
        (["preview/one"], "**The row is still a preview**"),
    ],
)
def test_a_page_says_how_much_is_to_come(chosen, says):
    text = previews.pending(chosen, "pairs")
    assert text.startswith(says)
    assert bool(text) == bool(says)
