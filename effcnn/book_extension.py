"""Sphinx extension: numbers and tables from run records, and no request outside the site.

`` {run}`table-3/mnist-25k:accuracy:.2f` `` is the mean of a column of `effcnn.results.load` over
a cell's runs; `` {paper}`table-3/mnist-25k:accuracy` `` is the paper's number;
`` {bench}`cluster:measured.2.seconds:.0f` `` stands in `benchmarks/cluster.json`; the directives
`paper-compare` and `techniques` are tables of runs beside the paper. Each shows its origin;
a missing one is a warning, which fails the build.
"""

import json
from importlib.metadata import distribution
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from pandas import DataFrame
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.fileutil import copy_asset

from effcnn import chapter, gains, lesson, paper, profiles, results, stats
from effcnn.cells import cells, checkout
from effcnn.errors import UserError

LOG = logging.getLogger(__name__)

# All that MathJax needs to set TeX offline; the whole package is 24 MB.
MATHJAX = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2")


class RunRole(SphinxRole):
    """`cell:column:format`: the mean over the cell's runs, with its origin."""

    def run(self):
        try:
            name, column, spec = (*self.text.split(":", 2), "")[:3]
            runs = results.cell(name, results.published() or Path("results"))
            values = [results.row(run)[column] for run in runs]
            text = format(stats.mean(values).value, spec or ".4g")
        except (UserError, KeyError, ValueError, TypeError) as error:
            return self.missing(error)
        for run in runs:
            self.env.note_dependency(str(run.folder / "run.json"))
        return [_number(text, f"{column} of {chapter.origin(runs)}")], []

    def missing(self, error: Exception):
        LOG.warning("no number for %r: %s", self.text, error, location=self.get_location())
        return [nodes.problematic(self.rawtext, self.text)], []


class PaperRole(RunRole):
    """`table-3/row:column:format`, or `table-4/mnist/row`: a number of the paper."""

    def run(self):
        try:
            path, column, spec = (*self.text.split(":", 2), "", "")[:3]
            table, *rows = path.split("/")
            value = getattr(paper, table.upper().replace("-", "_"))
            for row in rows:
                value = value[row]
            text = format(getattr(value, column) if column else value, spec or ",")
        except (AttributeError, KeyError, ValueError, TypeError) as error:
            return self.missing(error)
        return [_number(text, f"the paper, {path.replace('/', ', ')}")], []


class BenchRole(RunRole):
    """`name:path.to.value:format`: what a script in `benchmarks/` has measured."""

    def run(self):
        try:
            name, path, spec = (*self.text.split(":", 2), "")[:3]
            file = (checkout() or Path()) / "benchmarks" / f"{name}.json"
            found = json.loads(file.read_text(encoding="utf-8"))
            value, machine = found, found["machine"]
            for key in path.split("."):
                value = value[key]
            if not isinstance(value, (int, float, str)):
                raise TypeError("it is not one value")
            text = format(value, spec)
        except (OSError, KeyError, ValueError, TypeError) as error:
            return self.missing(error)
        self.env.note_dependency(str(file))
        origin = f"benchmarks/{name}.py on {machine['cpu']}, {machine['date']}"
        return [_number(text, origin)], []


def _number(text: str, origin: str) -> nodes.raw:
    """A number that shows its origin on hover and on focus."""
    return nodes.raw("", chapter.Number(text, origin)._repr_html_(), format="html")


class PaperCompare(SphinxDirective):
    """Table 3 of the paper beside the cells of a sweep: `{paper-compare} table-3`."""

    required_arguments = 1
    option_spec: ClassVar = {
        "caption": directives.unchanged_required,
        "name": directives.unchanged_required,
    }

    def run(self):
        found = {}
        for net in paper.TABLE_3:
            name = f"{self.arguments[0]}/{net}"
            try:
                found[net] = results.cell(name, results.published() or Path("results"))
            except UserError as error:
                LOG.warning("no row %r: %s", name, error, location=self.get_location())
        for run in (run for group in found.values() for run in group):
            self.env.note_dependency(str(run.folder / "run.json"))
        frame = chapter.compare(found).drop(columns="Data")
        table = _table(frame, self.options.get("caption", ""))
        self.add_name(table)
        self.set_source_info(table)
        return [table]


class Techniques(SphinxDirective):
    """Each technique alone, from the cells of a sweep as Table 4's: `{techniques} table-4`."""

    required_arguments = 1
    option_spec: ClassVar = PaperCompare.option_spec

    def run(self):
        start = f"{self.arguments[0]}/"
        names = profiles.trained([name for name in cells() if name.startswith(start)])
        runs = profiles.runs(names)
        found = {data: gains.pick(runs, f"{start}{data}-") for data in lesson.NETS}
        found = {data: groups for data, groups in found.items() if gains.BASELINE in groups}
        if not found:
            LOG.warning("no baseline in %r", start, location=self.get_location())
            return []
        for run in (run for group in runs.values() for run in group):
            self.env.note_dependency(str(run.folder / "run.json"))
        table = _table(lesson.overview(found), self.options.get("caption", ""))
        for row in table[1][-1]:
            self._link(row[0][0])
        self.add_name(table)
        self.set_source_info(table)
        return [table]

    def _link(self, field: nodes.paragraph) -> None:
        """Put the title of its lesson, a page of the technique's name, in its place, as a link."""
        name = field.astext()
        if name in self.env.found_docs:
            inner, to = nodes.inline("", name), {"refdomain": "std", "reftype": "doc"}
            to |= {"reftarget": f"/{name}", "refexplicit": False, "refwarn": True}
            field.clear()
            field += addnodes.pending_xref("", inner, **to)


def _table(frame: DataFrame, caption: str) -> nodes.table:
    """A table of Sphinx nodes: it follows the theme, takes a number, and scrolls on a phone."""
    group = nodes.tgroup(cols=len(frame.columns))
    group += [nodes.colspec(colwidth=1) for _ in frame.columns]
    body = frame.itertuples(index=False)
    for kind, lines in ((nodes.thead(), [frame.columns]), (nodes.tbody(), body)):
        for line in lines:
            entries = [nodes.entry("", nodes.paragraph("", "", _node(value))) for value in line]
            kind += nodes.row("", *entries)
        group += kind
    return nodes.table("", nodes.title("", caption), group)


def _node(value: object) -> nodes.Node:
    """What stands in one field: a number with its origin, `code`, or text."""
    if isinstance(value, chapter.Number):
        return nodes.raw("", value._repr_html_(), format="html")
    if str(value).startswith("`"):
        return nodes.literal("", value.strip("`"))
    return nodes.Text(str(value))


def _copy_mathjax(app, error: Exception | None) -> None:
    """Serve MathJax from the site itself instead of a CDN."""
    if error or app.builder.format != "html":
        return
    package = distribution("sphinx-mathjax-offline")
    source = Path(package.locate_file("sphinx-mathjax-offline/static/mathjax"))
    target = Path(app.outdir, "_static", "mathjax")
    for item in MATHJAX:
        into = target / item if (source / item).is_dir() else (target / item).parent
        copy_asset(str(source / item), str(into))


def _single_page(app) -> None:
    """For the PDF: sphinx-exercise names its writers for `singlehtml`, which hides all others."""
    writers = app.registry.translation_handlers
    if "singlehtml" in writers:
        writers["singlehtml"] = {**writers.get("html", {}), **writers["singlehtml"]}


def setup(app) -> dict:
    app.connect("builder-inited", _single_page)
    app.add_role("run", RunRole())
    app.add_role("paper", PaperRole())
    app.add_role("bench", BenchRole())
    app.add_directive("paper-compare", PaperCompare)
    app.add_directive("techniques", Techniques)
    app.connect("build-finished", _copy_mathjax)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
