"""Decks are whole, ask for nothing from elsewhere, and replace nothing but decks."""

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from effcnn import browser, cells, decks
from effcnn.cli import main
from effcnn.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
TOC = """
root: index
parts:
  - caption: The nets & more
    chapters:
      - file: heads
        sections:
          - file: inner
  - caption: Reference
    chapters:
      - file: cluster
"""
PAGE = """<article class="bd-article"><section id="top"><h1>{0}</h1><p>Why {0}?</p>
<section id="work"><h2>At work</h2><p>See this.</p>
<figure><img alt="Two lines." src="_images/{0}.svg"/></figure></section></section></article>"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A built book of three pages, one of them with a notebook."""
    root = tmp_path / "book"
    site = root / "_build" / "html"
    for folder in ("notebooks", "book", "_build/html/_images", "_build/html/_static/mathjax"):
        (root / folder).mkdir(parents=True)
    (root / "_toc.yml").write_text(TOC)
    (root / "_config.yml").write_text("title: A book\nauthor: Its authors\n")
    (root / "notebooks" / "heads.ipynb").touch()
    (root / "book" / "inner.md").touch()
    for name in ("heads", "inner"):
        (site / f"{name}.html").write_text(PAGE.format(name))
        (site / "_images" / f"{name}.svg").touch()
    (site / "_static" / "pygments.css").touch()
    shutil.copytree(ROOT / "slides", root / "slides")
    monkeypatch.setattr(decks, "need_checkout", lambda: root)
    return root


def test_one_deck_per_part_with_notebooks(book):
    index = decks.make()
    assert index == book / "_slides" / "index.html"
    assert [path.name for path in index.parent.glob("*.html")].count("the-nets-more.html") == 1
    assert "Reference" not in index.read_text()
    text = (index.parent / "the-nets-more.html").read_text()
    assert "<title>The nets &amp; more · A book</title>" in text
    assert re.findall(r'section id="([\w-]+)"', text) == [
        *("start", "heads", "heads-2", "inner", "inner-2")
    ]
    assert re.findall(r"(\d+) slides", index.read_text()) == ["5"]


def test_a_deck_has_all_that_it_loads_beside_it(book):
    folder = decks.make().parent
    for page in folder.glob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'(?:src|<link [^>]*href)="([^"]+)"', text)
        own = [name for name in loaded if not name.startswith("data:")]
        assert [name for name in own if not (folder / name).is_file()] == [
            *(["mathjax/tex-mml-chtml.js"] if page.name != "index.html" else [])  # a stub here
        ]
        links = re.findall(r'href="([^"#]+\.html)', text)
        assert [
            link for link in links if not (folder / link).exists() and "index" not in link
        ] == []


def test_links_lead_to_the_book_from_wherever_the_decks_are(book, tmp_path):
    inside = book / "_build" / "html" / "slides"
    text = (decks.make(inside).parent / "the-nets-more.html").read_text()
    assert 'href="../heads.html#work"' in text


def test_decks_replace_decks_and_nothing_else(book, tmp_path):
    folder = decks.make().parent
    (folder / "old-part.html").touch()
    decks.make()
    assert not (folder / "old-part.html").exists()
    other = tmp_path / "letters"
    other.mkdir()
    (other / "dear.txt").touch()
    with pytest.raises(UserError, match="letters holds other things"):
        decks.make(other)
    assert (other / "dear.txt").exists()
    templates = sorted((book / "slides").rglob("*"))
    with pytest.raises(UserError, match="slides holds other things"):
        decks.make(book / "slides")  # the sources of every deck
    assert sorted((book / "slides").rglob("*")) == templates
    with pytest.raises(UserError, match=r"dear\.txt is a file"):
        decks.make(other / "dear.txt")


def test_a_book_that_is_missing_or_old_is_one_line(book, capsys):
    os.utime(book / "notebooks" / "heads.ipynb", (2e9, 2e9))
    assert main(["slides"]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"effcnn: .*heads.html is older than .*heads.ipynb; .*make book.*\n", said)
    (book / "_build" / "html" / "heads.html").unlink()
    assert main(["slides"]) == 2
    assert re.fullmatch(r"effcnn: .* not built: .*make book.*\n", capsys.readouterr().err)
    assert not (book / "_slides").exists()


def test_no_book(monkeypatch):
    monkeypatch.setattr(cells, "checkout", lambda: None)
    with pytest.raises(UserError, match="no book here"):
        decks.make()


def test_a_browser_is_found_or_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    with pytest.raises(UserError, match=r"needs Chromium.*apt install chromium.*CHROMIUM"):
        browser.find()
    own = tmp_path / "own"
    own.touch()
    assert browser.find(str(own)) == str(own)
    program = tmp_path / "google-chrome"
    program.touch(mode=0o755)
    assert browser.find(str(own)) == str(program)
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"CHROMIUM is .*none, which is no program"):
        browser.find()


def test_without_playwright_the_decks_are_made_and_no_pdf_is_listed(book, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    assert main(["slides", "--pdf"]) == 2
    assert re.fullmatch(
        r"effcnn: a PDF needs Playwright; .*pip install.*\n", capsys.readouterr().err
    )
    assert (book / "_slides" / "the-nets-more.html").is_file()
    assert ".pdf" not in (book / "_slides" / "index.html").read_text()


def test_the_list_has_the_pdfs_that_were_made(book, monkeypatch):
    asked = []
    monkeypatch.setattr(
        browser, "print_pdf", lambda url, output, ready: asked.append((url, output))
    )
    folder = decks.make(pdf=True).parent
    deck = folder / "the-nets-more"
    assert asked == [(f"file://{deck}.html?print-pdf", Path(f"{deck}.pdf"))]
    assert 'href="the-nets-more.pdf"' in (folder / "index.html").read_text()


def test_reveal_is_what_npm_has():
    folder = ROOT / "slides" / "reveal"
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in map(str.split, lines)}
    assert set(sums) == {path.name for path in folder.iterdir()} - {"README.md", "SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
