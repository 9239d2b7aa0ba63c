"""Sphinx extension: the directive `calculator`, parameters and MACs that the reader can change.

It counts in the page itself, in `book/_static/calculator.js`, as `effcnn.measure` does; no server
and no network. Pages without the directive do not load the script.
"""

import json
from dataclasses import asdict
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from effcnn import models

SCRIPT = "calculator.js"


class calculator(nodes.raw):
    """The calculator, as HTML: by its kind a page is known that needs the script."""


class Calculator(SphinxDirective):
    """No arguments: a form for one block and one for a whole net."""

    def run(self):
        frame = Path(self.env.srcdir, "_static", "calculator.html")
        self.env.note_dependency(str(frame))
        return [calculator("", html(frame), format="html")]


def html(frame: Path) -> str:
    """The form, and the nets and the images they are for as JSON in it."""
    nets = {}
    for name in models.names():
        family, short = models.split(name)
        nets[name] = {"family": family, "layers": models.ARCHITECTURES[family][short]}
    families = {name: asdict(traits) for name, traits in models.FAMILIES.items()}
    # "</" would end the script element that the data stand in.
    data = json.dumps({"families": families, "nets": nets}).replace("</", "<\\/")
    script = f'<script type="application/json" id="calculator-data">{data}</script>'
    return frame.read_text(encoding="utf-8") + script


def _only_there(app, page: str, template: str, context: dict, doctree) -> None:
    """Jupyter Book loads every script of `_static` on every page; this one has a single place."""
    if doctree is None or not any(doctree.findall(calculator)):
        files = context.get("script_files", [])
        context["script_files"] = [each for each in files if not _named(each).endswith(SCRIPT)]


def _named(script) -> str:
    return str(getattr(script, "filename", script) or "")


def setup(app) -> dict:
    # Written as any other raw HTML.
    def visit(translator, node):
        translator.visit_raw(node)

    app.add_node(calculator, html=(visit, None), latex=(visit, None), text=(visit, None))
    app.add_directive("calculator", Calculator)
    app.connect("html-page-context", _only_there, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
