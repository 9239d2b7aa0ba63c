"""The book on paper: what is left of the site, and what is said where it cannot be printed."""

import re
import sys
from types import ModuleType

import pytest
from bs4 import BeautifulSoup

import effcnn.book
from effcnn import book, book_pdf
from effcnn.cli import main

PAGE = """<!DOCTYPE html><html data-theme="auto"><head><title>A book</title>
<script>folding()</script><script src="_static/mathjax/tex.js"></script>
<script>window.MathJax = {}</script></head><body>
<nav class="bd-docs-nav"><p class="caption">One</p><p class="caption">Two</p></nav>
<article><section><h1>Home</h1><a href="index.html#fig">figure</a> <a href="#">top</a>
<a href="runs.csv">csv</a> <a href="https://example.org/x">web</a>
<div data-print="Not on paper."><button>press</button></div></section>
<div class="toctree-wrapper">
<span id="document-a"></span><section id="a"><h2>1. A<a class="headerlink" href="#a">#</a></h2>
<details class="hide"><pre>plotting()</pre></details><details class="more">seen</details>
<div class="solution dropdown"><p>solved</p></div></section>
<span id="document-b"></span><section id="b"><h2>2. B</h2></section></div>
<div class="toctree-wrapper"><span id="document-c"></span><section><h2>C</h2></section></div>
</article><div class="component-author">By us</div></body></html>"""


@pytest.fixture
def paper():
    text = book_pdf.printable(PAGE, "@page {}", {"document-a": 4, "document-c": 17})
    return BeautifulSoup(text, "html.parser")


def test_a_site_made_anew_leaves_the_pdf_and_nothing_of_the_old_site(book, monkeypatch):
    built = book / "_build"
    for name in ("html/old.html", "jupyter_execute/old.ipynb", ".doctrees/old", "effcnn.pdf"):
        (built / name).parent.mkdir(parents=True, exist_ok=True)
        (built / name).touch()
    monkeypatch.setattr(effcnn.book, "_sphinx", lambda root, into, builder: into)
    effcnn.book._render(book)
    assert [path.name for path in built.iterdir()] == ["effcnn.pdf"]


def test_contents_name_parts_chapters_and_pages(paper):
    lines = paper.select(".book-contents li, .book-contents h3")
    assert [line.get_text("|") for line in lines] == ["One", "1. A|4", "2. B|0", "Two", "C|17"]
    anchors = [link["href"][1:] for link in paper.select(".book-contents a")]
    assert anchors == ["document-a", "document-b", "document-c"]
    # The heading itself: an anchor before the break would name the page before.
    assert [paper.find(id=anchor).name for anchor in anchors] == ["h2"] * 3
    assert paper.select_one(".book-cover").get_text("|") == "A book|By us"


def test_paper_needs_no_script_no_click_and_no_other_file(paper):
    article = paper.select_one("article")
    text = article.get_text()
    assert "plotting" not in text
    assert "press" not in text
    assert "Not on paper." in text
    assert "solved" in text
    assert article.select_one("details.more").has_attr("open")
    assert paper.html["data-theme"] == "light"
    scripts = "".join(str(script) for script in paper.select("script"))
    assert "folding" not in scripts
    assert "mathjax/tex.js" in scripts
    assert "window.MathJax" in scripts
    links = [link["href"] for link in article.select("a")]
    assert links == ["#fig", "#", "https://example.org/x"]
    assert "csv" in text
    assert paper.head.style.string == "@page {}"


@pytest.mark.parametrize(
    ("name", "said"), [("playwright.sync_api", "Playwright"), ("pypdf", "pypdf")]
)
def test_a_missing_tool_is_told_before_anything_runs(name, said, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pypdf", ModuleType("pypdf"))  # it need not be here
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(book, "run_notebook", lambda *_: pytest.fail("it ran a chapter"))
    assert main(["book", "--pdf"]) == 2
    assert re.fullmatch(rf"effcnn: .*{said}.*install.*\n", capsys.readouterr().err)
