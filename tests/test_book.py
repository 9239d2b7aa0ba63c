"""Running chapters with parameters, and the roles and directive that read the runs."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from effcnn import book, cells, paper, results
from effcnn.cli import main
from effcnn.errors import UserError

SWEEP = """
[cells.mnist-25k]
dataset = "mnist"
model = "25k"
seeds = "0-2"
"""


@pytest.fixture
def chapter(tmp_path):
    """A chapter with two parameters, which prints them."""
    parameters = 'profile: str = "published"  # which\nepochs: int = 0  # how many'
    path = tmp_path / "chapter.ipynb"
    notebook = new_notebook(
        cells=[
            new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            new_code_cell("print(profile, epochs + 1)"),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}
        },
    )
    nbformat.write(notebook, path)
    return path


@pytest.mark.filterwarnings("default")  # the kernel's own libraries warn
def test_a_chapter_runs_with_its_parameters_and_leaks_nothing(chapter, tmp_path):
    before = chapter.read_bytes()
    output = tmp_path / "out" / "executed.ipynb"
    book.run_notebook(chapter, output, {"profile": "quick", "epochs": "2"})
    executed = nbformat.read(output, as_version=4)
    assert executed.cells[-1].outputs[0]["text"] == "quick 3\n"
    injected = executed.cells[1]
    assert {"injected-parameters", "hide-input"} <= set(injected.metadata.tags)
    assert injected.metadata.mystnb.code_prompt_show == "Show the parameters of this copy"
    assert "epochs = 2" in injected.source
    text = output.read_text()
    assert str(tmp_path) not in text
    assert "start_time" not in text
    assert chapter.read_bytes() == before


@pytest.mark.filterwarnings("default")
def test_a_failing_cell_is_one_line_and_leaves_the_copy(chapter, tmp_path, capsys):
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells[1].source = "1 / 0"
    nbformat.write(notebook, chapter)
    output = tmp_path / "executed.ipynb"
    assert main(["run-notebook", str(chapter), str(output)]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "chapter.ipynb failed" in last
    assert "ZeroDivisionError" in last
    assert output.is_file()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"profil": "quick"}, "unknown parameter.*did you mean 'profile'.*profile, epochs"),
        ({"epochs": "many"}, "epochs is 'many'; it must be of type int"),
        ({"profile": "fast"}, "unknown profile 'fast'.*published, quick, full"),
    ],
)
def test_bad_parameters_are_refused_before_anything_runs(chapter, tmp_path, parameters, says):
    output = tmp_path / "executed.ipynb"
    with pytest.raises(UserError, match=says):
        book.run_notebook(chapter, output, parameters)
    assert not output.exists()


@pytest.mark.parametrize("content", ["", "no JSON", "[1]", "{}"])
def test_what_is_not_a_notebook_is_one_line(tmp_path, content):
    source = tmp_path / "odd.ipynb"
    source.write_text(content)
    with pytest.raises(UserError, match=r"odd.ipynb is not a notebook: .") as error:
        book.run_notebook(source, tmp_path / "out.ipynb", {})
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("default")
def test_output_that_cannot_be_written_is_told_before_anything_runs(chapter, tmp_path):
    (tmp_path / "file").touch()
    for output in (tmp_path / "file" / "out.ipynb", tmp_path):
        with pytest.raises(UserError, match="cannot write"):
            book.run_notebook(chapter, output, {})


def test_missing_notebook_and_source_as_output(chapter, tmp_path):
    with pytest.raises(UserError, match="no notebook"):
        book.run_notebook(tmp_path / "none.ipynb", tmp_path / "out.ipynb", {})
    with pytest.raises(UserError, match="is the source"):
        book.run_notebook(chapter, chapter, {})


def test_unknown_profile_and_no_book(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="unknown profile"):
        book.make("fast")
    monkeypatch.setattr(cells, "checkout", lambda: None)
    with pytest.raises(UserError, match="no book here"):
        book.make()


def test_a_chapter_is_stale_when_what_it_depends_on_changes(tmp_path):
    source = tmp_path / "notebooks" / "one.ipynb"
    for path in (source, tmp_path / "sweeps" / "a.toml", tmp_path / "results" / "x" / "run.json"):
        path.parent.mkdir(parents=True)
        path.write_text("1")
    stamps = [book._stamp(tmp_path, source, "published")]
    for path in (source, tmp_path / "sweeps" / "a.toml", tmp_path / "results" / "x" / "run.json"):
        path.write_text("2")
        stamps.append(book._stamp(tmp_path, source, "published"))
    stamps.append(book._stamp(tmp_path, source, "quick"))
    assert len(set(stamps)) == len(stamps)
    assert book._stamp(tmp_path, source, "quick") == stamps[-1]


@pytest.fixture
def site(book_of_runs, tmp_path, render):
    """Render one page of MyST with the extension; returns its HTML and the warnings."""

    def build(text: str, *others: str) -> tuple[str, str]:
        source = tmp_path / "source"
        source.mkdir()
        for name in others:
            (source / f"{name}.md").write_text("---\norphan: true\n---\n# Another page\n")
        (source / "index.md").write_text(f"# Page\n\n{text}\n")
        out, warnings = render(source, "effcnn.book_extension")
        return (out / "index.html").read_text(), warnings

    return build


@pytest.fixture
def book_of_runs(book, record):
    """A book with three runs of one net."""
    (book / "sweeps" / "seen.toml").write_text(SWEEP)
    for cell in cells.cells().values():
        for recipe, accuracy in zip(cell.recipes(), (98.0, 99.0, 99.6), strict=True):
            results.write(book / "results", recipe, record(accuracy), {})
    speed = {"machine": {"cpu": "some CPU", "date": "2026-01-31"}, "by workers": {"2": 61.7}}
    (book / "benchmarks").mkdir()
    (book / "benchmarks" / "speed.json").write_text(json.dumps(speed))
    return book


@pytest.mark.filterwarnings("default")
def test_roles_print_numbers_with_their_origin(site):
    html, warnings = site(
        "Ours {run}`seen/mnist-25k:accuracy:.3f`, {paper}`table-3/mnist-25k:accuracy`, "
        "{paper}`table-4/mnist/bp`, {paper}`parameters/mnist-25k`, {bench}`speed:by workers.2:.0f`."
    )
    assert warnings == ""
    assert ">98.867</span>" in html  # the mean of 98.0, 99.0 and 99.6
    assert "mnist/25k/baseline: mean of 3 runs, seed 0, 1, 2" in html
    assert "benchmarks/speed.py on some CPU, 2026-01-31" in html
    for number in ("99.35", "99.21", "25,144", "62"):
        assert f">{number}</span>" in html


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "text",
    [
        "{run}`seen/mnist-7k:accuracy`",
        "{run}`seen/mnist-25k:acuracy`",
        "{run}`seen/mnist-25k:dataset`",
        "{run}`seen/mnist-25k`",
        "{paper}`table-9/mnist-25k:accuracy`",
        "{paper}`table-4/mnist/xx`",
        "{bench}`sped:by workers.2`",
        "{bench}`speed:by workers.3`",
        "{bench}`speed:by workers`",
        "{bench}`speed:machine.cpu:.0f`",
        "{bench}`speed`",
    ],
)
def test_a_missing_number_is_a_warning_and_so_fails_the_strict_build(site, text):
    html, warnings = site(text)
    assert "no number for" in warnings
    assert "problematic" in html


@pytest.mark.filterwarnings("default")
def test_the_table_stands_beside_the_paper_and_misses_no_row_in_silence(site):
    html, warnings = site("```{paper-compare} seen\n:caption: Both\n:name: both\n```")
    missing = set(paper.TABLE_3) - {"mnist-25k"}
    assert all(f"seen/{net}" in warnings for net in missing)
    assert warnings.count("no row") == len(missing)
    assert (
        "98.87\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}2.01" in html
    )  # t(2) = 4.303, s = 0.808, n = 3
    assert "−0.48" in html  # 98.87 - 99.35
    assert 'id="both"' in html


@pytest.mark.filterwarnings("default")
def test_the_table_of_techniques(site, book, record):
    cells_ = '[cells.mnist-baseline]\ndataset = "mnist"\n[cells.mnist-se]\ndataset = "mnist"\n'
    text = f'[defaults.mnist]\nmodel = "1.5k-dw"\nseeds = "0-2"\n{cells_}techniques = "se"\n'
    (book / "sweeps" / "alone.toml").write_text(text)
    for name, first in (("baseline", 98.0), ("se", 99.0)):
        for recipe in cells.cells()[f"alone/mnist-{name}"].recipes():
            results.write(book / "results", recipe, record(first + 0.1 * recipe.seed), {})
    html, warnings = site("```{techniques} alone\n:caption: All\n:name: all\n```", "mixup")
    assert warnings == ""
    assert re.findall(r'<td.*?href="(\w+).html"', html) == ["mixup"]  # the lesson that there is
    assert "+1.00\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.23" in html  # t(4) = 2.776, s = 0.1
    assert html.count("to come") == 7
    assert "CIFAR-10" not in html


@pytest.mark.filterwarnings("default")
def test_a_table_of_techniques_without_a_baseline_is_a_warning(site):
    assert "no baseline in 'seen/'" in site("```{techniques} seen\n```")[1]


def test_executed_copies_are_not_in_git():
    root = Path(__file__).resolve().parent.parent
    assert "/book/*.ipynb" in (root / ".gitignore").read_text().split()
    for path in (root / "notebooks").glob("*.ipynb"):
        assert all(not cell.get("outputs") for cell in json.loads(path.read_text())["cells"])
