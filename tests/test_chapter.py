"""What chapters are made of: numbers with an origin, tables, runs by profile, figures."""

import shutil
import xml.etree.ElementTree as ET

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from tiny import DEFAULTS

from effcnn import chapter, ledger, plots, results
from effcnn.chapter import Number, Table
from effcnn.errors import UserError

CELLS = ("digits", "pictures")
SWEEP = """
[defaults]
epochs = 1
[cells.digits]
dataset = "mnist"
model = "1.5k-dw"
[cells.pictures]
dataset = "cifar10"
model = "143k-dw"
seeds = "0-1"
"""


@pytest.fixture
def shelf(book, record):
    """A book with the runs of both cells of one sweep file."""
    (book / "sweeps" / "first.toml").write_text(SWEEP)
    from effcnn import cells

    for number, cell in enumerate(cells.cells().values()):
        for recipe in cell.recipes():
            accuracy = 90.0 + number + recipe.seed
            results.write(book / "results", recipe, record(accuracy), {})
    return book


def test_a_number_shows_its_origin_and_cannot_break_the_page():
    html = Number("99.31", 'a "cell" of <runs>')._repr_html_()
    span = ET.fromstring(html)
    assert span.text == "99.31"
    assert span.attrib["title"] == span.attrib["data-origin"] == 'a "cell" of <runs>'
    assert span.attrib["tabindex"] == "0"


def test_a_table_is_markdown_with_numbers_to_the_right():
    frame = pd.DataFrame({"Net": ["`a`", "–"], "Gap": ["−0.30", Number("+0.1", "here")]})
    lines = Table(frame)._repr_markdown_().splitlines()
    assert lines[0] == "| Net | Gap |"
    assert lines[1] == "| :-- | --: |"
    assert lines[2] == "| `a` | −0.30 |"
    assert 'data-origin="here"' in lines[3]


def test_published_reads_and_trains_nothing(shelf, own_results):
    runs = chapter.runs(["first/digits", "first/pictures"])
    assert [run.record["test"]["accuracy"] for run in runs["first/pictures"]] == [91.0, 92.0]
    assert not own_results.exists()


def test_quick_trains_the_digits_on_the_sample_and_reads_the_rest(shelf, own_results):
    runs = chapter.runs(["first/digits", "first/pictures"], "quick", seeds="1", epochs=1)
    (run,) = runs["first/digits"]
    assert (run.recipe.dataset, run.recipe.seed, run.recipe.epochs) == ("mnist-sample", 1, 1)
    assert own_results in run.folder.parents
    assert runs["first/pictures"][0].recipe.dataset == "cifar10"
    again = chapter.runs(["first/digits"], "quick", seeds="1", epochs=1)["first/digits"]
    assert again[0].record == run.record


def test_full_takes_what_is_there_and_asks_for_data_only_for_the_rest(shelf, monkeypatch, tmp_path):
    monkeypatch.setenv("EFFCNN_DATA", str(tmp_path / "file"))
    (tmp_path / "file").write_text("not a folder")
    assert chapter.runs(["first/digits"], "full")["first/digits"][0].recipe.dataset == "mnist"
    with pytest.raises(UserError, match="file"):
        chapter.runs(["first/digits"], "full", seeds="7")


def contents(folder):
    """Every file below a folder, and when it was written."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def bits(folder):
    """A run's answers to the test images and its weights; its record says when it was made."""
    found = {path: content for path, (content, _) in contents(folder).items()}
    assert found.pop(folder / "run.json")
    assert found[folder / "predictions.safetensors"]
    return found


def test_full_trains_the_one_run_that_is_gone_to_the_same_bits(book, own_results, capsys):
    text = f"{DEFAULTS}[cells.three]\nepochs = 2\nseeds = '0-2'\nkeep_epochs = '1'\n"
    (book / "sweeps" / "tiny.toml").write_text(text)
    first = chapter.runs(["tiny/three"], "full")["tiny/three"]
    gone, others = first[1], (first[0], first[2])
    before = [contents(run.folder) for run in others]
    files = bits(gone.folder)
    assert [path.parent.name for path in files].count("epochs") == 2
    shutil.rmtree(gone.folder)
    capsys.readouterr()

    again = chapter.runs(["tiny/three"], "full")["tiny/three"]
    assert capsys.readouterr().out == "training tiny/three, seed 1, 2 epochs\n"
    assert [contents(run.folder) for run in others] == before
    assert again[::2] == list(others)
    assert again[1].folder == gone.folder
    assert again[1].record["test"] == gone.record["test"]
    assert again[1].record["history"] == gone.record["history"]
    assert bits(gone.folder) == files
    chapter.runs(["tiny/three"], "full")
    assert capsys.readouterr().out == ""  # nothing is missing any more


def test_epochs_are_kept_only_where_the_cell_keeps_them(book, own_results):
    text = f"{DEFAULTS}[cells.three]\nepochs = 1\nseeds = '0-1'\nkeep_epochs = '0'\n"
    (book / "sweeps" / "tiny.toml").write_text(text)
    runs = chapter.runs(["tiny/three"], "full", seeds="0-1", epochs=2)["tiny/three"]
    assert [(run.folder / "epochs").is_dir() for run in runs] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"profile": "quik"}, "unknown profile 'quik'.*published, quick, full"),
        ({"seeds": "0-2"}, "quick or full"),
        ({"epochs": 3}, "quick or full"),
        ({"names": ["first/digts"]}, "unknown cell.*did you mean 'first/digits'"),
    ],
)
def test_bad_arguments(shelf, arguments, says):
    with pytest.raises(UserError, match=says):
        chapter.runs(**{"names": ["first/digits"], **arguments})


def test_a_missing_run_is_an_error(shelf):
    run = results.cell("first/pictures", shelf / "results")[1]
    run.folder.joinpath("run.json").unlink()
    with pytest.raises(UserError, match="first/pictures has no run for seed 1"):
        chapter.runs(["first/pictures"])


def test_origin_names_cell_seeds_and_machine(shelf):
    runs = results.cell("first/pictures", shelf / "results")
    text = chapter.origin(runs)
    for word in (
        "cifar10/143k-dw/baseline",
        "mean of 2 runs",
        "0, 1",
        "1 epochs",
        "50,000",
        "some CPU",
    ):
        assert word in text


def test_origin_lists_machines_in_the_order_of_the_runs(shelf):
    run = results.cell("first/pictures", shelf / "results")[0]
    names = [f"CPU {number}" for number in range(20)]  # a set of them would be shuffled
    runs = [
        results.Run(run.folder, run.recipe, {**run.record, "provenance": made})
        for name in names
        for made in [{**run.record["provenance"], "cpu": name}]
    ]
    assert chapter.origin(runs).endswith(", ".join(names))


def test_protocol_is_read_from_the_recipes(shelf):
    digits, pictures = (results.cell(f"first/{name}", shelf / "results") for name in CELLS)
    text = chapter.protocol({"a": digits, "b": pictures})
    assert text == (
        "MNIST: one run per row, 1 epoch on 50,000 images, sgd at rate 0.02, "
        "batches of 128, weight decay 0.0005, bf16. "
        "CIFAR-10: 2 runs per row, 1 epoch on 50,000 images, sgd at rate 0.02, "
        "batches of 128, weight decay 0.0005, bf16."
    )


def test_comparison_counts_diverged_runs_and_gives_them_no_mean(shelf, record):
    pictures = results.cell("first/pictures", shelf / "results")
    lost = results.Run(pictures[0].folder, pictures[0].recipe, record(None))
    table = chapter.compare(
        {"cifar10-143k-dw": pictures, "cifar10-143k": [lost, pictures[1]], "mine": pictures[:1]}
    )
    first, second, third = table.to_dict("records")
    assert repr(first["Ours (%)"]) == "91.50 ± 6.35"  # 91 and 92; t(1) = 12.706
    assert (first["Paper (%)"], first["Difference"]) == ("79.90", "+11.60")
    assert repr(second["Ours (%)"]) == "diverged 1 of 2"
    assert second["Difference"] == "–"
    assert (third["Paper (%)"], third["Runs"]) == ("–", "one\N{NO-BREAK SPACE}run")
    assert "Paper (%)" not in chapter.compare({"mine": pictures}, paper_too=False)


def test_plain_papermill_makes_a_number_of_a_seed(shelf):
    (run,) = chapter.runs(["first/digits"], "quick", seeds=1, epochs=1)["first/digits"]
    assert run.recipe.seed == 1
    (run,) = chapter.runs(["first/digits"], "quick", seeds=0, epochs=1)["first/digits"]
    assert run.recipe.seed == 0


def test_figures_label_their_axes_with_units_and_leave_pyplot():
    points = pd.DataFrame(
        {
            "model": ["a", "b"],
            "params": [1560, 25_144],
            "accuracy": [98.0, 99.0],
            "source": ["ours", "paper"],
            "convolutions": ["dense", "depth-wise"],
        }
    )
    history = pd.DataFrame(
        [
            {"model": m, "epoch": e, "images": i, "accuracy": 90.0 + e, "seed": 0}
            for m in "abcd"
            for e in (1, 2)
            for i in chapter.CURVES
        ]
    )
    layers = ledger.layers("mnist-1.5k-dw")
    figures = [
        plots.accuracy_by_parameters(points),
        plots.curves(history),
        plots.shares_by_layer(layers[layers["macs"] > 0]),
    ]
    for figure in figures:
        for axes in figure.axes:
            assert axes.get_xlabel()
            assert axes.get_ylabel()
    assert len(figures[1].axes) == 4
    assert "%" in figures[0].axes[0].get_ylabel()
    widths = sum(bar.get_width() for bar in figures[2].axes[0].containers[0])
    assert widths == pytest.approx(100)  # shares of the parameters
    assert plt.get_fignums() == []


def test_parts_of_a_bar_stand_on_each_other():
    index = pd.MultiIndex.from_tuples([("small", "dw"), ("small", "dense"), ("large", "dw")])
    parts = pd.DataFrame({"weights": [6.0, 5.0, 9.0], "names": [1.0, 2.0, 3.0]}, index)
    figure = plots.stacked(parts, "size (KiB)")
    [axis] = figure.axes
    weights, names = axis.containers
    assert [bar.get_x() for bar in names] == [bar.get_width() for bar in weights] == [6, 5, 9]
    assert [bar.get_width() for bar in names] == [1, 2, 3]
    assert [bar.get_hatch() for bar in (weights[0], names[0])] == [None, "//"]  # not colour alone
    assert axis.get_yticklabels()[0].get_text() == "small\ndw"
    top, bottom = (axis.transData.transform((0, y))[1] for y in (0, 2))
    assert top > bottom
    assert axis.get_xlabel() == "size (KiB)"


def test_source_is_the_packages_own_or_a_piece_of_it():
    whole = chapter.source(Table.__repr__).data
    assert whole.splitlines() == [
        "```python",
        "def __repr__(self) -> str:",
        "    return self.frame.to_string(index=False)",
        "```",
    ]
    piece = chapter.source(chapter.note, "if profile", "return").data
    assert piece.splitlines()[1:-1] == ['if profile == "quick":', "    return ("]
    for words in (("no such line",), ("if profile", "no such line")):
        with pytest.raises(StopIteration):
            chapter.source(chapter.note, *words)
