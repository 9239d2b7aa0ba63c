"""Checks of the book on paper; run after `make pdf`: python -m pytest tests/check_pdf.py."""

import re
from html import unescape
from pathlib import Path
from unicodedata import normalize

import pytest
import yaml
from pypdf import PdfReader

from effcnn import book_pdf

ROOT = Path(__file__).resolve().parent.parent
PDF = ROOT / "_build" / "effcnn.pdf"
CHAPTERS = [
    chapter["file"]
    for part in yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    for chapter in part["chapters"]
]


@pytest.fixture(scope="module")
def reader():
    return PdfReader(PDF)


@pytest.fixture(scope="module")
def texts(reader):
    """The text of each page, without line breaks and ligatures."""
    found = (normalize("NFKC", page.extract_text()) for page in reader.pages)
    return [" ".join(text.split()) for text in found]


def test_every_chapter_begins_where_the_contents_say(texts):
    numbers = book_pdf.page_numbers(PDF)
    first = min(numbers[f"document-{name}"] for name in CHAPTERS)
    contents = " ".join(texts[: first - 1])
    listed = [int(number) for number in re.findall(r"(?<= )(\d+)(?= |$)", contents)]
    for name in CHAPTERS:
        number = numbers[f"document-{name}"]
        assert number in listed, name
        page = (ROOT / "_build/html" / f"{name}.html").read_text(encoding="utf-8")
        title = re.search(r"<h1>(?:<span[^>]*>[^<]*</span>)?([^<]+)", page)[1]
        assert unescape(title).strip() in texts[number - 1], name


def test_a_page_shows_its_number(texts):
    # Chromium writes the margin before the page.
    wrong = [n for n, text in enumerate(texts[1:], 2) if not text.startswith(f"{n} ")]
    assert wrong == []


def test_no_link_leads_to_a_file_of_this_machine(reader):
    notes = [note.get_object() for page in reader.pages for note in page.get("/Annots", [])]
    targets = [note["/A"]["/URI"] for note in notes if "/URI" in note.get("/A", {})]
    assert targets
    assert [target for target in targets if not target.startswith("http")] == []


def test_solutions_stand_open_and_interactive_parts_are_sentences(texts):
    whole = " ".join(texts)
    assert whole.count("Solution to Exercise") >= 20
    assert "nothing to draw on" in whole
    assert "Show code cell" not in whole
