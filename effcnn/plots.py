"""The figures of the book, drawn with seaborn from tables of runs."""

from contextlib import suppress

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

WIDTH = 7.2  # inches: the column of a page


def setup() -> None:
    """One look for all figures: SVG, colour-blind safe, the same bytes for the same data."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update(
        {
            "svg.hashsalt": "effcnn",  # else element ids are random
            "svg.fonttype": "none",  # text stays text: it can be searched and selected
            "figure.figsize": (WIDTH, 4.0),
            "axes.titlesize": "medium",
        }
    )
    with suppress(ImportError):  # outside Jupyter there is no inline backend to set
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None}, bbox_inches="tight")


def accuracy_by_parameters(table: pd.DataFrame) -> Figure:
    """Accuracy against parameters, one mark per run or paper number.

    Args:
        table: columns `model`, `params`, `accuracy` (percent), `source` (ours or the paper) and
            `convolutions` (dense or depth-wise).
    """
    figure, axes = plt.subplots(layout="constrained")
    sns.scatterplot(
        table,
        x="params",
        y="accuracy",
        hue="source",
        style="convolutions",
        s=80,
        ax=axes,
    )
    axes.set(xscale="log", xlabel="parameters (log scale)", ylabel="test accuracy (%)")
    ticks: list[int] = []
    for count in sorted(set(table["params"])):
        if not ticks or count > 1.3 * ticks[-1]:  # nearer ones would run into each other
            ticks.append(count)
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.minorticks_off()
    axes.legend(title=None, fontsize="small")
    return _finished(figure)


def curves(history: pd.DataFrame) -> Figure:
    """Training curves: one panel per net, accuracy by epoch on training and validation images.

    Args:
        history: columns `model`, `epoch`, `accuracy` (percent), `images` (training or validation)
            and `seed`; several seeds become a mean with a band.
    """
    models = list(dict.fromkeys(history["model"]))
    columns = min(3, len(models))
    rows = -(-len(models) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 2.3 * rows), layout="constrained", sharex=True, squeeze=False
    )
    for axis, model in zip(axes.flat, models, strict=False):
        part = history[history["model"] == model]
        sns.lineplot(
            part,
            x="epoch",
            y="accuracy",
            hue="images",
            style="images",
            ax=axis,
            errorbar=("ci", 95),
            seed=0,  # the band is a bootstrap: the same runs give the same figure
        )
        axis.set(title=model, xlabel="epoch", ylabel="accuracy (%)")
        if axis is not axes.flat[0]:
            axis.get_legend().remove()
        else:
            axis.legend(title=None, fontsize="x-small")
    for axis in axes.flat[len(models) :]:
        axis.remove()
    for axis in axes.flat[max(0, len(models) - columns) : len(models)]:
        axis.tick_params(labelbottom=True)  # the last of its column, though not of the grid
    return _finished(figure)


def shares_by_layer(layers: pd.DataFrame) -> Figure:
    """Where a net's weights and its work sit: each layer's share of both.

    Args:
        layers: columns `name`, `params` and `macs`, one row per layer, in order.
    """
    long = layers.rename(columns={"params": "parameters", "macs": "MACs"}).melt(
        "name", ["parameters", "MACs"], "quantity", "count"
    )
    long["share"] = 100 * long["count"] / long.groupby("quantity")["count"].transform("sum")
    figure, axes = plt.subplots(figsize=(WIDTH, 3.6), layout="constrained")
    sns.barplot(long, y="name", x="share", hue="quantity", ax=axes)
    axes.set(xlabel="share of all convolutions (%)", ylabel="layer")
    axes.legend(title=None, fontsize="small")
    return _finished(figure)


def _finished(figure: Figure) -> Figure:
    """Out of pyplot's hands, else a notebook shows it a second time."""
    plt.close(figure)
    return figure
