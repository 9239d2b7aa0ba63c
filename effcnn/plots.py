"""The figures of the book, drawn with seaborn from tables of runs."""

import math
from collections.abc import Sequence
from contextlib import suppress

import matplotlib.pyplot as plt
import numpy as np
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
            and `seed`; several seeds become a mean with a band over their range.
    """
    models = list(dict.fromkeys(history["model"]))
    columns = min(3, len(models))
    rows = -(-len(models) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 2.3 * rows), layout="constrained", squeeze=False
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
            errorbar=("pi", 100),  # few seeds: their range, no bootstrap of it
        )
        first = axis in axes[:, 0]  # elsewhere the label would touch the panel beside it
        axis.set(title=model, xlabel="epoch", ylabel="accuracy (%)" if first else "")
        if axis is not axes.flat[0]:
            axis.get_legend().remove()
        else:
            axis.legend(title=None, fontsize="x-small")
    for axis in axes.flat[len(models) :]:
        axis.remove()
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


def stacked(parts: pd.DataFrame, label: str) -> Figure:
    """Stacked bars, one per row, the first on top.

    Args:
        parts: one column per part of the bars; an index of two levels: the bars of one of the
            first stand together.
        label: of the values, with their unit.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 0.5 * len(parts)), layout="constrained")
    left = pd.Series(0.0, parts.index)
    for number, part in enumerate(parts):
        axes.barh(
            range(len(parts)),
            parts[part],
            left=left,
            label=part,
            hatch=(None, "//", "..")[number % 3],
        )
        left = left + parts[part]
    axes.set_yticks(range(len(parts)), [f"{outer}\n{inner}" for outer, inner in parts.index])
    axes.set(ylim=(len(parts) - 0.5, -0.5), xlabel=label)
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper right", ncols=len(parts.columns), fontsize="small")
    return _finished(figure)


def strip(runs: pd.DataFrame, paper: dict[tuple[str, str], float]) -> Figure:
    """Every run as a dot, one row per technique; the paper's single number as a diamond.

    Args:
        runs: columns `panel` (the data set), `techniques`, `accuracy` (percent).
        paper: accuracy by panel and technique; empty where ours may not stand beside it.
    """
    figure, axes, names = _rows(runs, "test accuracy (%)")
    for panel, axis in axes.items():
        part = runs[runs["panel"] == panel]
        places = part["techniques"].map(names.index)
        axis.scatter(part["accuracy"], places, s=36, color="C0", label="ours, one run")
        for row, name in enumerate(names):
            if (panel, name) in paper:
                _diamond(axis, paper[panel, name], row)
        axis.set(title=panel)
    _legend(figure)
    return _finished(figure)


def forest(gains: pd.DataFrame) -> Figure:
    """Gains over the baseline with their intervals, the paper's single gains as diamonds.

    Args:
        gains: columns `panel`, `techniques`, `gain` (an Estimate or None), `paper_gain` (points,
            nan where the paper has none).
    """
    figure, axes, names = _rows(gains, "gain over the baseline (points)")
    for panel, axis in axes.items():
        for row in gains[gains["panel"] == panel].itertuples():
            place = names.index(row.techniques)
            if row.gain:
                half = 0 if math.isnan(row.gain.half) else row.gain.half
                axis.errorbar(row.gain.value, place, xerr=half, fmt="o", color="C0", label="ours")
            if not math.isnan(row.paper_gain):
                _diamond(axis, row.paper_gain, place)
        axis.axvline(0, color="0.3", linewidth=1)
        axis.set(title=panel)
    _legend(figure)
    return _finished(figure)


def verdicts(claims: pd.DataFrame) -> Figure:
    """Differences that claims are about, with two intervals each, and what is said of them.

    Args:
        claims: columns `panel`, `label`, `ours` (Estimate of the difference of the means), `single`
            (Estimate of that of two further single runs), `paper` (points, nan where it has none)
            and `verdict`. A positive difference is as the claim has it.
    """
    sizes = claims.groupby("panel", sort=False).size()
    figure, panels = plt.subplots(
        *(len(sizes), 1),
        figsize=(WIDTH, 1.2 * len(sizes) + 0.32 * len(claims)),
        height_ratios=list(sizes + 1),
        layout="constrained",
        squeeze=False,
    )
    for axis, panel in zip(panels.flat, sizes.index, strict=True):
        part = claims[claims["panel"] == panel].reset_index(drop=True)
        for row in part.itertuples():
            for gap, width, label in (
                (row.single, 1.0, "ours, two further runs"),
                (row.ours, 3.5, "ours, means"),
            ):
                if not math.isnan(gap.half):
                    ends = (gap.low, gap.high)
                    axis.plot(ends, (row.Index,) * 2, color="C0", linewidth=width, label=label)
            axis.scatter(row.ours.value, row.Index, s=36, color="C0", zorder=3)
            if not math.isnan(row.paper):
                _diamond(axis, row.paper, row.Index)
        axis.axvline(0, color="0.3", linewidth=1)
        axis.set_yticks(range(len(part)), part["label"])
        axis.set(title=panel, ylim=(len(part) - 0.5, -0.5))
        said = axis.secondary_yaxis("right")
        said.set_yticks(range(len(part)), part["verdict"])
        for side in (axis, said):
            side.tick_params(axis="y", labelsize="small", length=0)
    panels.flat[-1].set_xlabel("difference (points)")
    _legend(figure)
    return _finished(figure)


def best_by_luck(draws: dict[str, Sequence[float]], paper: dict[str, float]) -> Figure:
    """How large the best of gains that do nothing is, by panel, with the paper's best one.

    Args:
        draws: simulated largest gains (points), by panel.
        paper: the paper's largest gain, by panel.
    """
    figure, axes = plt.subplots(
        1, len(draws), figsize=(WIDTH, 3.0), layout="constrained", squeeze=False
    )
    for axis, (panel, values) in zip(axes.flat, draws.items(), strict=True):
        # A few draws lie far out; they count in the shares all the same.
        low, high = np.quantile(values, (0.001, 0.995))
        reach = (min(low, 0), max(high, 1.1 * paper[panel]))
        weights = np.full(len(values), 100 / len(values))
        axis.hist(values, bins=60, range=reach, weights=weights, color="C0", alpha=0.6)
        axis.axvline(np.median(values), color="C0", linewidth=2, label="luck alone, median")
        axis.axvline(paper[panel], color="C1", linestyle="--", linewidth=2, label="paper's best")
        axis.axvline(0, color="0.3", linewidth=1)
        axis.set(title=panel, xlabel="best gain (points)", ylabel="share of simulations (%)")
    _legend(figure)
    return _finished(figure)


def sums(found: pd.DataFrame) -> Figure:
    """The gain of each combination beside the sum of its parts' gains, with their intervals.

    Args:
        found: columns `panel`, `techniques`, `together` and `summed` (Estimates, or None).
    """
    figure, axes, names = _rows(found, "gain over the baseline (points)")
    kinds = (
        ("summed", "sum of the parts", -0.15, {"fmt": "s", "color": "C1", "mfc": "none"}),
        ("together", "together", 0.15, {"fmt": "o", "color": "C0"}),
    )
    for panel, axis in axes.items():
        for row in found[found["panel"] == panel].to_dict("records"):
            for column, label, shift, look in kinds:
                if one := row[column]:
                    place = names.index(row["techniques"]) + shift
                    half = 0 if math.isnan(one.half) else one.half
                    axis.errorbar(one.value, place, xerr=half, label=label, **look)
        axis.set(title=panel)
    _legend(figure)
    return _finished(figure)


def _rows(table: pd.DataFrame, label: str) -> tuple[Figure, dict, list[str]]:
    """One panel per data set, one row per technique, the first on top, one label below all."""
    panels, names = (list(dict.fromkeys(table[column])) for column in ("panel", "techniques"))
    size = (WIDTH, 1.1 + 0.32 * len(names))
    figure, axes = plt.subplots(
        1, len(panels), figsize=size, layout="constrained", sharey=True, squeeze=False
    )
    axes.flat[0].set_yticks(range(len(names)), names)
    axes.flat[0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel(label, fontsize="medium")
    return figure, dict(zip(panels, axes.flat, strict=True)), names


def _diamond(axis, value: float, place: int) -> None:
    axis.scatter(value, place, marker="D", s=36, color="none", edgecolor="C1", label="paper")


def _legend(figure: Figure) -> None:
    """One legend above all panels, each label once; none where there is one kind of mark."""
    once = {}
    for axis in figure.axes:
        handles, labels = axis.get_legend_handles_labels()
        once |= dict(zip(labels, handles, strict=True))
    once = dict(sorted(once.items(), key=lambda entry: entry[0]))
    if len(once) > 1:
        place = {"loc": "outside upper right", "ncols": len(once)}
        figure.legend(once.values(), once, fontsize="small", **place)


def _finished(figure: Figure) -> Figure:
    """Out of pyplot's hands, else a notebook shows it a second time."""
    plt.close(figure)
    return figure
