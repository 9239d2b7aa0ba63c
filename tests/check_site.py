"""Checks of the rendered book; run after `make book`: python -m pytest tests/check_site.py."""

import filecmp
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from effcnn import slides

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
PAGES = sorted(SITE.glob("*.html"))
# What a browser fetches by itself, and what it only follows on a click.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}


class Page(HTMLParser):
    """The links, fetched addresses, ids, images and class names of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.fetched, self.ids, self.images, self.classes = [], [], set(), [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids.add(values.get("id"))
        self.classes |= set((values.get("class") or "").split())
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "link" and "stylesheet" in (values.get("rel") or ""):
            self.fetched.append(values.get("href"))
        if values.get(FETCHED.get(tag)):
            self.fetched.append(values[FETCHED[tag]])
        if tag == "img":
            self.images.append(values)


def test_the_book_is_built():
    assert {path.name for path in PAGES} >= {"index.html", "shrinking.html", "references.html"}


@pytest.fixture(scope="module")
def pages():
    return {path: Page(path) for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_internal_link_has_a_target(path, pages):
    broken = []
    for link in pages[path].links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        target = target / "index.html" if target.is_dir() else target
        found = target.is_file()
        if found and parts.fragment and target in pages:
            found = unquote(parts.fragment) in pages[target].ids
        if not found:
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path, pages):
    assert [address for address in pages[path].fetched if re.match("(https?:)?//", address)] == []
    for address in pages[path].fetched:
        assert (path.parent / unquote(urlsplit(address).path)).is_file(), address


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_number_is_missing_and_every_figure_has_a_text(path, pages):
    assert not {"problematic", "system-message"} & pages[path].classes
    assert [image for image in pages[path].images if not slides.described(image)] == []


def test_pages_hold_no_path_of_this_machine():
    for path in PAGES:
        assert str(ROOT) not in path.read_text(encoding="utf-8"), path


def test_the_page_on_the_package_shows_no_repr_of_a_default():
    page = next(path for path in PAGES if path.name == "api.html").read_text(encoding="utf-8")
    assert "sets_lr" in page
    assert not re.search(r"&lt;(?:factory|function|object)|\b0x[0-9a-f]{6,}", page)


def test_the_same_sources_give_the_same_bytes(tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("benchmarks", "book", "course", "notebooks", "results", "sweeps"):
        shutil.copytree(ROOT / name, copy / name)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, copy)
    code = "from pathlib import Path; from effcnn import book; book._render(Path.cwd())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=copy, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0
    pages = [path.relative_to(SITE).as_posix() for path in SITE.rglob("*") if path.is_file()]
    _, different, missing = filecmp.cmpfiles(SITE, copy / "_build/html", pages, shallow=False)
    assert (different, missing) == ([], [])
