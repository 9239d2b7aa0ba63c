"""Sphinx extension: docstrings of this package for autodoc, and the directive `modules`.

Docstrings here are plain text with `code`, and with sections such as `Args:` or `Raises:` that need
no line of their own. `{modules}` lists every module that its page has not described, with the first
paragraph of its docstring.
"""

import ast
import inspect
import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

PACKAGE = Path(__file__).parent
SECTION = re.compile(r"(Args|Attributes|Columns|Returns|Raises|Source):\s*(.*)")
# What would be markup in reStructuredText, outside of code: 3 w**2, |x|.
INLINE = re.compile(r"``[^`]+``|\*\*|\|")
DEFAULT = re.compile(r"<factory>|<function .*?<lambda>>")


def as_rst(docstring: str) -> list[str]:
    """A docstring of this package as lines of reStructuredText: sections become fields."""
    # What stands between an example's first line and the next empty one is left as it is.
    parts = re.split(r"(^>>> .*?(?:\n\n|\Z))", inspect.cleandoc(docstring), flags=re.M | re.S)
    texts, examples = parts[::2], [*parts[1::2], ""]
    return [
        line
        for text, example in zip(texts, examples, strict=True)
        for line in (*_fields(_inline(text)), *example.splitlines(), "")
    ]


def _inline(text: str) -> str:
    text = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", text)
    return INLINE.sub(lambda m: m[0] if m[0][0] == "`" else "\\" + "\\".join(m[0]), text)


def _fields(text: str) -> list[str]:
    lines, section = [], None
    for line in text.splitlines():
        if found := SECTION.fullmatch(line):
            # Fields that follow each other are one list, without an empty line between them.
            lines += [] if section or not lines or not lines[-1] else [""]
            lines.append(f":{found[1]}: {found[2]}".rstrip())
            section = found
        elif section and line:
            item = None if section[2] else re.fullmatch(r" {4}(\w[\w, ]*): (.*)", line)
            lines.append(f"    - ``{item[1]}``: {item[2]}" if item else f"      {line.strip()}")
        else:
            lines.append(line)
            section = None
    return lines


def _docstring(app, what: str, name: str, thing, options, lines: list[str]) -> None:
    """Autodoc's docstrings; of a module the first paragraph, for the rest is for its readers."""
    text = "\n".join(lines)
    lines[:] = as_rst(text.split("\n\n")[0] if what == "module" else text)


def _signature(app, what: str, name: str, thing, options, signature: str | None, returns):
    """Autodoc's signatures, with defaults that are made anew or have no name as `...`.

    Their reprs, `<factory>` say, are no Python, and one leaves the whole signature unparsed.
    """
    return DEFAULT.sub("...", signature or "") or None, returns


class Modules(SphinxDirective):
    """`{modules}`: no arguments; it stands below the `automodule` directives of its page."""

    def run(self):
        source = Path(self.env.doc2path(self.env.docname)).read_text(encoding="utf-8")
        shown = set(re.findall(r"automodule:: (\S+)", source))
        lines = []
        for name, text in sorted(paragraphs().items()):
            if name not in shown:
                lines += [f"`{name}`", f": {' '.join(text.splitlines())}", ""]
        box = nodes.container()
        self.state.nested_parse(StringList(lines, "modules"), self.content_offset, box)
        return box.children


def paragraphs() -> dict[str, str]:
    """The first paragraph of every module's docstring, by the module's name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[name] = text.split("\n\n")[0]
    return found


def setup(app) -> dict:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    app.add_directive("modules", Modules)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
