"""The list of figures and tables: all that have a number, in order, and where they lead."""

import re

import pytest
from docutils import nodes

from effcnn.book_figures import first_sentence

PAGE = """# {title}

```{{figure}} one.png
:name: fig-{title}
:alt: a dot

All of $x^2$, see Fig. 5 or e.g. {{numref}}`tab-{title}`. And more.
```

| plain | table |
| :-- | :-- |
| without | number |

```{{table}} Words of {title}
:name: tab-{title}

| a |
| :-- |
| b |
```
"""
INDEX = """# Home

```{toctree}
:numbered:

second
first
list
```
"""


@pytest.fixture
def site(tmp_path, render):
    """Render two pages with a figure and a table each; returns the list's HTML and warnings."""

    def build(text: str) -> tuple[str, str]:
        source = tmp_path / "source"
        source.mkdir()
        for title in ("first", "second"):
            (source / f"{title}.md").write_text(PAGE.format(title=title))
        (source / "index.md").write_text(INDEX)
        (source / "list.md").write_text(f"# List\n\n{text}\n")
        (source / "one.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        config = {"myst_enable_extensions": ["dollarmath"], "numfig": True}
        out, warnings = render(source, "effcnn.book_figures", **config)
        return (out / "list.html").read_text(), warnings

    return build


@pytest.mark.filterwarnings("default")
def test_every_number_in_the_order_of_the_book(site):
    html, warnings = site("```{numbered} figure\n```\n\n```{numbered} table\n```")
    assert warnings == ""
    article = html.split('role="main"')[1].split("sphinxsidebar")[0]
    links = re.findall(r'href="(\w+\.html#[\w-]+)"[^>]*>((?:Fig\.|Table) [\d.]+)</a>:', article)
    assert links == [
        ("second.html#fig-second", "Fig. 1.1"),
        ("first.html#fig-first", "Fig. 2.1"),
        ("second.html#tab-second", "Table 1.1"),
        ("first.html#tab-first", "Table 2.1"),
    ]
    assert "Words of second" in article
    assert "And more" not in article
    assert "without" not in article


@pytest.mark.filterwarnings("default")
def test_math_and_references_of_a_caption_work_on_the_list_too(site):
    html, _ = site("```{numbered} figure\n```")
    assert "mathjax" in html.lower()
    assert re.search(r'href="first\.html#tab-first"[^>]*><span[^>]*>Table 2\.1', html)


@pytest.mark.filterwarnings("default")
def test_an_unknown_kind_is_a_warning(site):
    _, warnings = site("```{numbered} figures\n```")
    assert "unknown kind of numbered thing 'figures' (did you mean 'figure'?)" in warnings


@pytest.mark.parametrize(
    ("caption", "first"),
    [
        ("One. Two.", "One."),
        ("One", "One"),
        ("See Fig. 5 and i.e. Table 3. Then", "See Fig. 5 and i.e. Table 3."),
        ("Why? Because.", "Why?"),
        ("A factor of 1.5 here. End", "A factor of 1.5 here."),
    ],
)
def test_a_sentence_ends_where_it_does(caption, first):
    node = nodes.caption("", "", nodes.Text(caption))
    assert "".join(part.astext() for part in first_sentence(node)) == first


def test_what_is_no_text_is_kept_and_copied():
    code = nodes.literal("", "x. Y")
    node = nodes.caption("", "", nodes.Text("In "), code, nodes.Text(" first. Second "), code)
    kept = first_sentence(node)
    assert [part.astext() for part in kept] == ["In ", "x. Y", " first."]
    assert kept[1] is not code
