"""Sphinx extension: the directive `all-runs`, every published run as a table to search.

All columns of `effcnn.results.load` lie beside the page as `runs.csv`.
"""

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from effcnn import results

HEADS = ("Run", "Accuracy (%)", "Epochs", "Minutes", "Repeat", "Cells")
NUMBERS = ("Accuracy (%)", "Epochs", "Minutes")


def csv(folder: Path) -> str:
    """Every column of every run; where a run lies is relative to the store."""
    frame = results.load(folder)
    frame["run"] = [Path(run).relative_to(folder).as_posix() for run in frame["run"]]
    return frame.to_csv(index=False)


def html(folder: Path) -> str:
    """The table, the field to search it, and the link to the CSV file."""
    frame = results.load(folder)
    rows = "\n".join(_row(row, folder) for row in frame.itertuples())
    heads = "".join(
        f'<th scope="col"{_class(head)}><button type="button">{head}</button></th>'
        for head in HEADS
    )
    paper = f"On the book's site a table stands here, to search and sort, of all {len(frame)} runs."
    return f"""<div class="all-runs" data-print="{paper}">
<p><label for="runs-search">Search the runs</label>
<input type="search" id="runs-search" placeholder="cifar10 bp seed0" autocomplete="off">
<output id="runs-count" for="runs-search">{len(frame)} runs</output>
<a href="runs.csv" download>All columns as CSV</a></p>
<div class="pst-scrollable-table-container" tabindex="0" role="region" aria-label="All runs">
<table class="table" id="runs-table"><thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table></div></div>"""


def _row(row, folder: Path) -> str:
    accuracy = f"{row.accuracy:.2f}" if row.status == "finished" else row.status
    machine = row.cpu if row.device == "cpu" else row.device
    threads = "1 thread" if row.threads == 1 else f"{row.threads} threads"
    made = escape(
        f"Made on {row.started[:10]} at commit {(row.commit or 'unknown')[:7]}: {machine}, "
        f"{threads}, torch {row.torch}, {row.images_per_second:,.0f} images/s"
    )
    fields = {
        "Run": f"<code>{escape(Path(row.run).relative_to(folder).as_posix())}</code>",
        "Accuracy (%)": accuracy,
        "Epochs": str(row.epochs),
        "Minutes": f"{row.train_seconds / 60:.1f}",
        "Repeat": f"<details><summary>how</summary><code>{escape(row.command)}</code><p>{made}</p>"
        "</details>",
        "Cells": escape(row.cell),
    }
    return "<tr>" + "".join(f"<td{_class(h)}>{fields[h]}</td>" for h in HEADS) + "</tr>"


def _class(head: str) -> str:
    return ' class="num"' if head in NUMBERS else ""


class AllRuns(SphinxDirective):
    """`{all-runs}`: no arguments; the runs are those in the book's `results/`."""

    def run(self):
        folder = results.published() or Path("results")
        for path in sorted(folder.rglob("run.json")):
            self.env.note_dependency(str(path))
        return [nodes.raw("", html(folder), format="html")]


def _write_csv(app, error: Exception | None) -> None:
    folder = results.published()
    if not error and folder and app.builder.format == "html":
        Path(app.outdir, "runs.csv").write_text(csv(folder), encoding="utf-8")


def setup(app) -> dict:
    app.add_directive("all-runs", AllRuns)
    app.connect("build-finished", _write_csv)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
