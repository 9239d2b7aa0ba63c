"""The page on the package: Sphinx can read every docstring, and no module is missing."""

import ast
import re
from pathlib import Path

import pytest
from docutils.core import publish_doctree

from effcnn import book_api

ROOT = Path(__file__).resolve().parent.parent
DOCSTRING = """
    Give `a**2` and 3 w**2, |x|.

    Args:
        a, b: the sides; see
            `effcnn.data`.
        c: another.
    Returns: (N, K), the
        rows: all of them.
    Raises: UserError for `a`.

    And more.

    >>> f(`a`, 2**3)
    8

    At the `end`.
"""


def test_sections_become_fields_and_examples_stay():
    assert book_api.as_rst(DOCSTRING) == [
        "Give ``a**2`` and 3 w\\*\\*2, \\|x\\|.",
        "",
        ":Args:",
        "    - ``a, b``: the sides; see",
        "      ``effcnn.data``.",
        "    - ``c``: another.",
        ":Returns: (N, K), the",
        "      rows: all of them.",
        ":Raises: UserError for ``a``.",
        "",
        "And more.",
        "",
        ">>> f(`a`, 2**3)",
        "8",
        "",
        "",
        "At the ``end``.",
        "",
    ]


def docstrings():
    for path in sorted((ROOT / "effcnn").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            public = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"
            if public and (text := ast.get_docstring(node)):
                yield f"{path.stem}.{node.name}", text


def test_every_public_docstring_can_be_read():
    for name, text in docstrings():
        strict = {"halt_level": 2, "report_level": 5, "traceback": True}
        tree = publish_doctree("\n".join(book_api.as_rst(text)), name, settings_overrides=strict)
        # A single backtick that was left would be a title, in italics.
        assert not re.search("<title_reference>", str(tree)), name


@pytest.mark.filterwarnings("default")
def test_modules_without_a_section_are_listed_below(render, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    block = "```{eval-rst}\n.. automodule:: effcnn.errors\n   :members:\n```"
    (source / "index.md").write_text(f"# Page\n\n{block}\n\n```{{modules}}\n```\n")
    out, warnings = render(source, "effcnn.book_api", myst_enable_extensions=["deflist"])
    html = (out / "index.html").read_text()
    assert warnings == ""
    assert 'id="effcnn.errors.UserError"' in html
    listed = set(re.findall(r'<dt><code[^>]*><span class="pre">([\w.]+)</span>', html))
    assert listed == set(book_api.paragraphs()) - {"effcnn.errors"}
    assert "Errors a user can mend" in html


def test_every_module_says_what_it_is():
    assert all(book_api.paragraphs().values())


def test_the_page_names_modules_that_exist():
    named = re.findall(r"automodule:: (\S+)", (ROOT / "book" / "api.md").read_text())
    assert set(named) <= set(book_api.paragraphs())
    assert len(set(named)) == len(named)
