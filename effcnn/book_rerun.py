"""Sphinx extension: the directive `rerun`, how to execute the chapter that it stands in again.

    ```{rerun}
    :with: seeds 0-4
    :cells: table-4/*-bp table-4/*-baseline
    It trains small nets on the embedded sample, the same ones with every profile.
    ```

All else is read from where it is kept: the parameters from the notebook's source, the times from
`benchmarks/pages.json` (`benchmarks/pages.py` measures them). The content says what is special
about this page; `:with:` gives the parameters of the command (default: `profile quick`), `:cells:`
the cells, or patterns of them, that the page trains with the profile `full`: from their stored runs
it says how long that takes. Without them it says that `full` trains nothing on the real data.

The theme's buttons to the repository and to launch a chapter (Binder, Colab, JupyterHub) show up
when `_config.yml` names a repository; a chapter's first cell installs the book where it is missing.
"""

import os
import shlex
from fnmatch import filter as matching
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from effcnn import book, cells, results
from effcnn.cells import checkout
from effcnn.errors import UserError, unknown

LOG = logging.getLogger(__name__)
# Worded so that each holds on a page that trains nothing, too.
PROFILES = {
    "published": "the runs stored in `results/`; it trains none of them",
    "quick": "what it trains, it trains small, on the embedded sample: to see it work, no more",
    "full": "each run that is missing is trained first, on the real data",
}


class Rerun(SphinxDirective):
    """A box: times, command, parameters and download of the notebook that the page is made from."""

    has_content = True
    option_spec: ClassVar = {
        "with": directives.unchanged_required,
        "cells": directives.unchanged_required,
    }

    def run(self):
        source = (checkout() or Path()) / "notebooks" / f"{Path(self.env.docname).name}.ipynb"
        try:
            words = shlex.split(self.options.get("with", "profile quick"))
            if len(words) % 2:
                raise UserError(f"':with: {' '.join(words)}' is not pairs of name and value")
            values = dict(zip(words[::2], words[1::2], strict=True))
            lines = markdown(source, values, self.options.get("cells", "").split())
        except (UserError, ValueError) as error:
            LOG.warning("cannot say how to rerun: %s", error, location=self.get_location())
            return []
        self.env.note_dependency(str(source))
        here = Path(self.env.doc2path(self.env.docname)).parent
        path = Path(os.path.relpath(source, here)).as_posix()
        lines += ["", f"{{download}}`Download the notebook, without outputs <{path}>`"]
        if "exercise-start" in source.read_text(encoding="utf-8"):
            copy = f"_course/students/{source.name}"
            lines += [
                "",
                f"For the exercises take `{copy}`, which `make course` writes: behind each "
                "answer it has a check in place of the solution.",
            ]
        box = nodes.admonition("", nodes.title("", "Rerun this page"), classes=["rerun"])
        self.set_source_info(box)
        for part in (self.content, StringList(lines, str(source))):
            self.state.nested_parse(part, self.content_offset, box)
        return [box]


def markdown(source: Path, values: dict[str, str], trained: list[str] = ()) -> list[str]:
    """Times and meaning of the profiles, the command with `values`, and every parameter.

    Args:
        trained: the cells, or patterns of them, that the page trains with the profile `full`; none
            where it trains nothing on the real data.

    Raises: UserError where there is no such notebook or cell, or no such parameter or value.
    """
    if not source.is_file():
        raise UserError(f"there is no notebook {source.name} in notebooks/")
    book.check_parameters(source, values)
    import papermill

    given = "".join(f" -p {name} {shlex.quote(value)}" for name, value in values.items())
    command = f"notebooks/{source.name} out.ipynb{given}"
    times = {name: _time(source.stem, name) for name in ("published", "quick")}
    times["full"], texts = _long(trained), dict(PROFILES)
    if not trained:
        texts["full"], times["full"] = "it trains nothing on the real data", "about as long"
    profiles = [(f"`{name}`", text, times[name]) for name, text in texts.items()]
    parameters = [
        (f"`{name}`", f"`{parameter['default']}`", parameter["help"])
        for name, parameter in papermill.inspect_notebook(str(source)).items()
    ]
    return [
        *_table(("Profile", "What the page shows", "Time"), profiles),
        "```bash",
        f"papermill {command}",
        "# or, refusing misspelt parameters:",
        f"effcnn run-notebook {command}",
        "```",
        "````{dropdown} Parameters",
        *_table(("Name", "Default", "Meaning"), parameters),
        "````",
    ]


def _time(page: str, profile: str) -> str:
    """What a page took when it was measured; a page that never was is a warning of the role."""
    return f"{{bench}}`pages:pages.{page}.{profile}:.0f`\N{NO-BREAK SPACE}s"


def _long(patterns: list[str]) -> str:
    """How long the runs of some cells take, from those that are stored."""
    known, recipes = cells.cells(), {}
    for pattern in patterns:
        if not (names := matching(known, pattern)):
            raise unknown("cell", pattern, known)
        recipes |= {recipe.hash: recipe for name in names for recipe in known[name].recipes()}
    folder = results.published()
    there = [results.whole(recipe, folder) for recipe in recipes.values()] if folder else []
    seconds = [run.record["time"]["train_seconds"] for run in there if run]
    if not seconds:
        return "as long as the runs take"
    minutes = sum(seconds) / len(seconds) * len(recipes) / 60
    amount, unit = (minutes, "min") if minutes < 100 else (minutes / 60, "h")
    return f"about {amount:.0f}\N{NO-BREAK SPACE}{unit} of one core, for all {len(recipes)} runs"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [head, [":--"] * len(head)]
    lines += [[field.replace("|", "\\|") for field in row] for row in rows]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def _buttons(app, config) -> None:
    """Without a repository the theme has nothing that its buttons could lead to."""
    options = config.html_theme_options
    if options.get("repository_url"):
        options["use_repository_button"] = True
    else:
        options.pop("launch_buttons", None)


def setup(app) -> dict:
    app.connect("config-inited", _buttons)
    app.add_directive("rerun", Rerun)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
