"""The calculator's form and script; what it counts is checked in a browser."""

import json
import re
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from effcnn import book_calculator, models

STATIC = Path(__file__).resolve().parent.parent / "book" / "_static"


@pytest.fixture
def site(tmp_path, render):
    """Two pages, one of them with the calculator, and scripts that all pages load."""
    source = tmp_path / "source"
    (source / "_static").mkdir(parents=True)
    for name in ("calculator.html", "calculator.js", "runs.js"):
        shutil.copy(STATIC / name, source / "_static")
    (source / "index.md").write_text("# One\n\n```{toctree}\nother\n```\n\n```{calculator}\n```\n")
    (source / "other.md").write_text("# Other\n\nNothing.\n")
    scripts = {"html_static_path": ["_static"], "html_js_files": ["calculator.js", "runs.js"]}
    return render(source, "effcnn.book_calculator", **scripts)


@pytest.mark.filterwarnings("default")
def test_the_script_is_loaded_on_the_calculators_page_alone(site):
    out, warnings = site
    assert warnings == ""
    for name, there in (("index", True), ("other", False)):
        page = BeautifulSoup((out / f"{name}.html").read_text(), "html.parser")
        sources = " ".join(each["src"] for each in page.select("script[src]"))
        assert ("calculator.js" in sources) == there
        assert "runs.js" in sources
        assert bool(page.select("#calculator")) == there


def test_the_form_holds_the_nets_and_labels_every_field():
    page = BeautifulSoup(book_calculator.html(STATIC / "calculator.html"), "html.parser")
    data = json.loads(page.select_one("#calculator-data").string)
    assert list(data["nets"]) == models.names()
    assert data["nets"]["mnist-1.5k-dw"]["layers"].endswith("DW15 GAP 10")
    assert data["families"]["cifar10"] == {"channels": 3, "size": 32, "classes": 10, "bias": True}
    for field in page.select("input, select"):
        assert field.find_parent("label"), field
        assert field.find_parent("fieldset").legend.string


def test_the_script_asks_for_nothing():
    text = (STATIC / "calculator.js").read_text()
    assert not re.search(r"fetch|XMLHttp|import\(|https?:|innerHTML", text)
