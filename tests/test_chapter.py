"""What chapters are made of: numbers with an origin, tables, runs by profile, figures."""

import xml.etree.ElementTree as ET

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from effcnn import chapter, ledger, plots, profiles, results
from effcnn.chapter import Number, Table


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
    digits, pictures = (
        results.cell(f"first/{name}", shelf / "results") for name in ("digits", "pictures")
    )
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
    same = [results.Run(one.folder, one.recipe, record(79.897)) for one in pictures]
    assert chapter.compare({"cifar10-143k-dw": same})["Difference"][0] == "+0.00"


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
        assert figure.axes[0].get_ylabel()  # one for the panels beside it
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
    piece = chapter.source(profiles.note, "if profile", "return").data
    assert piece.splitlines()[1:-1] == ['if profile == "quick":', "    return ("]
    for words in (("no such line",), ("if profile", "no such line")):
        with pytest.raises(StopIteration):
            chapter.source(profiles.note, *words)
