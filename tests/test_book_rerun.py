"""The box that says how to rerun a page: nothing is typed there, and nothing may be missing."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from effcnn import book_rerun, cells, results
from effcnn.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
PARAMETERS = """profile: str = "published"  # published | quick
seeds: str = "0-1"  # of the trainings
"""
TIMES = {"one": {"published": 12.4, "quick": 31.6}}


@pytest.fixture
def source(book):
    """The notebook of the page `one`, and the time that it took."""
    path = book / "notebooks" / "one.ipynb"
    path.parent.mkdir()
    kernel = {"name": "python3", "display_name": "Python", "language": "python"}
    cell = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    nbformat.write(new_notebook(cells=[cell], metadata={"kernelspec": kernel}), path)
    measured = {"machine": {"cpu": "some CPU", "date": "2026-01-31"}, "pages": TIMES}
    (book / "benchmarks").mkdir()
    (book / "benchmarks" / "pages.json").write_text(json.dumps(measured))
    return path


@pytest.fixture
def site(source, book, render):
    """Render the page `one` with this text; returns its HTML, the warnings and the folder."""

    def build(text: str, **options):
        (book / "book").mkdir()
        (book / "book" / "one.md").write_text(f"# Page\n\n{text}\n")
        names = ("sphinx_design", "effcnn.book_extension", "effcnn.book_rerun")
        theme = {"html_theme": "pydata_sphinx_theme", "html_theme_options": options}
        out, warnings = render(book / "book", *names, root_doc="one", **theme)
        return (out / "one.html").read_text(), warnings, out

    return build


@pytest.mark.filterwarnings("default")
def test_times_command_parameters_and_download(site, source):
    html, warnings, out = site("```{rerun}\n:with: seeds '0, 3'\nSpecial here.\n```")
    assert warnings == ""
    text = re.sub(r"<[^>]+>", "", html).replace("&quot;", '"').replace("&#39;", "'")
    assert "Special here." in text
    for command in ("papermill", "effcnn run-notebook"):
        assert f"{command} notebooks/one.ipynb out.ipynb -p seeds '0, 3'" in text
    assert ">12</span>" in html
    assert ">32</span>" in html
    assert "benchmarks/pages.py on some CPU, 2026-01-31" in html
    for name, default, meaning in (
        ("profile", '"published"', "published | quick"),
        ("seeds", '"0-1"', "of the trainings"),
    ):
        assert re.search(rf"{name}\s+{re.escape(default)}\s+{re.escape(meaning)}", text)
    link = re.search(r'href="(_downloads/[^"]+/one\.ipynb)"', html)[1]
    assert (out / link).read_bytes() == source.read_bytes()
    assert "make course" not in html


@pytest.mark.filterwarnings("default")
def test_a_page_with_exercises_says_where_to_do_them(site, source):
    page = nbformat.read(source, 4)
    page.cells.append(new_markdown_cell("```{exercise-start} One\n```\n```{exercise-end}\n```"))
    nbformat.write(page, source)
    html, warnings, _ = site("```{rerun}\n```")
    assert warnings == ""
    assert "_course/students/one.ipynb" in html


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("box", "says"),
    [
        ("```{rerun}\n:with: seed 0-4\n```", "unknown parameter.*did you mean 'seeds'"),
        ("```{rerun}\n:with: seeds\n```", "not pairs of name and value"),
        ("```{rerun}\n:with: profile fast\n```", "unknown profile 'fast'"),
        ("```{rerun}\n:with: profile 'quick\n```", "No closing quotation"),
        ("```{rerun}\n:cells: table-9/*\n```", "unknown cell 'table-9/\\*'"),
    ],
)
def test_a_command_that_would_fail_is_a_warning(site, box, says):
    html, warnings, _ = site(box)
    assert re.search(f"cannot say how to rerun: .*{says}", warnings)
    assert "papermill" not in html


SWEEP = """
[cells.one]
dataset = "mnist"
model = "1.5k-dw"
seeds = "0-3"
"""


def test_full_takes_as_long_as_the_stored_runs_did(source, book, record):
    (book / "sweeps" / "tiny.toml").write_text(SWEEP)

    def said(*patterns):
        return "\n".join(book_rerun.markdown(source, {}, list(patterns)))

    assert "as long as the runs take" in said("tiny/*")
    recipes = cells.cells()["tiny/one"].recipes()
    for recipe, seconds in zip(recipes, (600, 1200), strict=False):
        content = record(98.0)
        content["time"]["train_seconds"] = seconds
        results.write(book / "results", recipe, content, {})
    # Four runs of a mean of 15 minutes; the same cell twice is trained once.
    assert "about 60\N{NO-BREAK SPACE}min of one core, for all 4 runs" in said("tiny/*", "tiny/one")
    assert "trains nothing on the real data" in said()
    assert "runs take" not in said()


@pytest.mark.filterwarnings("default")
def test_a_page_that_was_never_timed_is_a_warning(site, book):
    (book / "benchmarks" / "pages.json").write_text(
        json.dumps({"machine": {"cpu": "some CPU", "date": "2026-01-31"}, "pages": {}})
    )
    _, warnings, _ = site("```{rerun}\n```")
    assert warnings.count("no number for 'pages:pages.one.") == 2


def test_a_page_without_notebook_is_told(book):
    with pytest.raises(UserError, match=r"no notebook two\.ipynb"):
        book_rerun.markdown(book / "notebooks" / "two.ipynb", {})


@pytest.mark.parametrize("url", ["", "https://github.com/some/where"])
def test_buttons_are_there_when_there_is_a_repository(url):
    options = {"repository_url": url, "launch_buttons": {"colab_url": "https://colab"}}
    book_rerun._buttons(None, SimpleNamespace(html_theme_options=options))
    assert options.get("use_repository_button", False) == bool(url)
    assert ("launch_buttons" in options) == bool(url)


@pytest.mark.filterwarnings("default")
def test_launch_buttons_lead_to_sources_that_are_there(render, tmp_path):
    """Empty chapters with the book's own settings, to which only the two addresses are added."""
    from jupyter_book.config import get_final_config

    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    settings["repository"]["url"] = "https://github.com/some/where"
    settings["launch_buttons"]["jupyterhub_url"] = "https://hub.example.org"
    branch = settings["repository"]["branch"]
    cli = {"latex_individualpages": False}  # it wants this one to be there
    options = get_final_config(user_yaml=settings, cli_config=cli)[0]["html_theme_options"]
    source = tmp_path / "source"
    source.mkdir()
    names = [path.stem for path in (ROOT / "notebooks").glob("*.ipynb")]
    for name in names:
        nbformat.write(new_notebook(cells=[new_markdown_cell("# Page")]), source / f"{name}.ipynb")
    theme = {"html_theme": "sphinx_book_theme", "html_theme_options": options}
    out, _ = render(source, "myst_nb", "effcnn.book_rerun", root_doc=names[0], **theme)
    for name in names:
        page = BeautifulSoup((out / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        links = [link["href"] for link in page.select(".dropdown-launch-buttons a[href]")]
        file = f"notebooks/{name}.ipynb"
        assert (ROOT / file).is_file()
        hub = {"repo": "https://github.com/some/where", "branch": branch}
        hub["urlpath"] = f"lab/tree/where/{file}"
        assert links[1].partition("?")[0] == "https://hub.example.org/hub/user-redirect/git-pull"
        assert {key: value for key, [value] in parse_qs(urlsplit(links[1]).query).items()} == hub
        assert [links[0], *links[2:]] == [
            f"https://mybinder.org/v2/gh/some/where/{branch}?urlpath=lab/tree/{file}",
            f"https://colab.research.google.com/github/some/where/blob/{branch}/{file}",
        ]
