"""The course: every exercise checks itself, students get no solutions, and the zip runs alone."""

import ast
import builtins
import importlib.util
import json
import re
from pathlib import Path
from unittest.mock import MagicMock
from zipfile import ZipFile

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from effcnn import course
from effcnn.cli import main
from effcnn.errors import UserError
from effcnn.exercises import Wrong

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = {
    path.stem: nbformat.read(path, as_version=4) for path in (ROOT / "notebooks").glob("*.ipynb")
}
EVERY = pytest.mark.parametrize("name", sorted(NOTEBOOKS))
DIRECTIVE = re.compile(r"^```\{(exercise-start|solution-start|solution-end)\}", re.MULTILINE)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


@EVERY
def test_an_exercise_is_a_question_and_a_folded_solution_with_a_check(name):
    order, text = [], ""
    for cell in NOTEBOOKS[name].cells:
        tags = cell.metadata.get("tags", [])
        text += cell.source
        if cell.cell_type == "markdown":
            order += DIRECTIVE.findall(cell.source)
        elif "solution" in tags or "check" in tags:
            order.append("solution" if "solution" in tags else "check")
        elif order and order[-1] in ("solution-start", "solution"):
            order.append(cell.id)  # code between the question and the check
    one = ["exercise-start", "solution-start", "solution", "check", "solution-end"]
    count = len(order) // len(one)
    assert order == count * one
    assert (3 if "## Takeaways" in text else 2) <= count <= 5  # lessons have three


def scope(notebook, code):
    """What `code` needs: the notebook's imports, and a mock of what the page computes."""
    names, bound = {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name)}, {}
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.id != "setup"]
    for node in ast.parse("\n".join(cell.source for cell in cells)).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [one for one in node.names if (one.asname or one.name) in names]
            if node.names:
                exec(compile(ast.Module([node], []), "imports", "exec"), bound)
    return {name: MagicMock() for name in names - set(vars(builtins))} | bound


@EVERY
def test_each_check_refuses_an_untouched_student_version(name, registry):
    """Without the page: no training. `effcnn course --check` runs it all."""
    original, made = NOTEBOOKS[name], course.student(NOTEBOOKS[name])
    solutions = {cell.id: cell.source for cell in tagged(original, "solution")}
    stubs = [cell for cell in made.cells if cell.id in solutions]
    for stub, check in zip(stubs, tagged(made, "check"), strict=True):
        assert stub.source != solutions[stub.id]
        names = scope(original, f"{stub.source}\n{check.source}")
        exec(stub.source, names)
        with pytest.raises(Wrong):
            exec(check.source, names)


@EVERY
def test_a_student_version_has_the_page_and_no_solution(name):
    original, made = NOTEBOOKS[name], course.student(NOTEBOOKS[name])
    nbformat.validate(made)
    text = nbformat.writes(made)
    assert "{solution" not in text
    assert "{exercise" not in text
    sources = {cell.id: cell.source for cell in made.cells}
    for cell in tagged(original, "solution"):
        assert cell.source not in sources.values()
    exercises = next(i for i, c in enumerate(original.cells) if "exercise-start" in c.source)
    assert made.cells[:exercises] == original.cells[:exercises]
    titles = re.findall(
        r"^```\{exercise-start\} (.*)", "\n".join(c.source for c in original.cells), re.M
    )
    assert re.findall(r"^### Exercise: (.*)", "\n".join(sources.values()), re.M) == titles
    assert not [c.id for c in made.cells if c.cell_type == "code" and c.outputs]


def test_what_is_folded_goes_and_what_stands_around_it_stays():
    before = (
        "Before.\n\n```{exercise-start} One\n:label: ex-one\n```\nHow many?\n```{exercise-end}\n```"
    )
    folded = "\n\n```{solution-start} ex-one\n:class: dropdown\n```\nSECRET\n```python\nSECRET\n```"
    notebook = new_notebook(
        cells=[
            new_markdown_cell(before + folded),
            new_code_cell("SECRET", metadata={"tags": ["solution", "demonstration"]}),
            new_code_cell("check.one(answer)", metadata={"tags": ["check"]}),
            new_code_cell("SECRET", id="more"),
            new_markdown_cell("SECRET, more of it"),
            new_markdown_cell("SECRET\n```{solution-end}\n```\n\nAfter."),
            new_code_cell("stays()"),
        ]
    )
    made = course.student(notebook)
    assert [cell.source for cell in made.cells] == [
        "Before.\n\n### Exercise: One\n\nHow many?",
        "answer = ...",
        "check.one(answer)",
        "After.",
        "stays()",
    ]
    kept = [cell.id for cell in notebook.cells if cell.source in ("SECRET", "stays()")]
    assert [made.cells[1].id, made.cells[4].id] == [kept[0], kept[2]]
    assert made.cells[2].metadata.tags == ["check", "raises-exception"]
    assert "SECRET" in notebook.cells[0].source  # the source is not touched


@pytest.fixture(scope="module")
def zips(tmp_path_factory):
    return course.make(tmp_path_factory.mktemp("course"))


def test_the_zips_hold_what_they_should(zips, tmp_path):
    hand_out, whole = (set(ZipFile(path).namelist()) for path in zips)
    teachers = {f"effcnn-course/teachers/{name}.ipynb" for name in NOTEBOOKS}
    assert whole - hand_out == teachers
    assert {f"effcnn-course/students/{name}.ipynb" for name in NOTEBOOKS} <= hand_out
    for name in ("README.md", "pyproject.toml", "effcnn/cli.py", "sweeps/first-steps.toml"):
        assert f"effcnn-course/{name}" in hand_out
    assert not [name for name in whole if "/epochs/" in name or "/." in name]
    for name in ("heads", "speed"):
        teacher = ZipFile(zips[1]).read(f"effcnn-course/teachers/{name}.ipynb")
        assert teacher == (ROOT / "notebooks" / f"{name}.ipynb").read_bytes()


def test_the_same_sources_give_the_same_bytes(zips, tmp_path):
    stray = tmp_path / "students" / "notes.txt"
    stray.parent.mkdir()
    stray.write_text("mine")
    again = course.make(tmp_path)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in zips]
    assert stray.read_text() == "mine"
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.filterwarnings("default")  # the kernel's own libraries warn
def test_a_student_notebook_runs_from_the_zip(zips, tmp_path, monkeypatch, capsys):
    """One that reads stored runs, with the package of the zip; all: `effcnn course --check`."""
    monkeypatch.chdir(tmp_path)
    course.check(zips[0], ["contradictions"])
    assert capsys.readouterr().out == "students/contradictions.ipynb: executing\n"


def test_the_command_checks_the_chapters_that_it_names(tmp_path, monkeypatch, capsys):
    archive, ran = tmp_path / "some.zip", []
    with ZipFile(archive, "w") as opened:
        for name in ("sam", "heads", "speed"):
            opened.writestr(f"effcnn-course/students/{name}.ipynb", "")
    monkeypatch.setattr(course, "make", lambda output: [archive])
    monkeypatch.setattr(course, "_run", lambda source: ran.append(source.stem))
    for words, expected in (
        ([], []),
        (["--check", "speed", "heads"], ["speed", "heads"]),
        (["--check"], ["heads", "sam", "speed"]),
    ):
        ran.clear()
        assert main(["course", *words]) == 0
        assert ran == expected
    assert main(["course", "--check", "sped"]) == 2
    assert "unknown chapter 'sped' (did you mean 'speed'?)" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("code", "tags", "says"),
    [
        ("print('Right.')", ["check", "raises-exception"], "the check one takes what is no answer"),
        ("1 / 0", ["check", "raises-exception"], "the check one fails with ZeroDivisionError"),
        ("1 / 0", [], "cell one fails: ZeroDivisionError: division by zero"),
    ],
)
def test_a_notebook_that_does_not_run_is_named(tmp_path, code, tags, says):
    cell = new_code_cell(code, id="one", metadata={"tags": tags})
    archive = tmp_path / "some.zip"
    with ZipFile(archive, "w") as opened:
        opened.writestr(
            "effcnn-course/students/odd.ipynb", nbformat.writes(new_notebook(cells=[cell]))
        )
    with pytest.raises(UserError, match=f"odd.ipynb: {re.escape(says)}"):
        course.check(archive)


def test_where_nothing_can_be_made_is_one_line(tmp_path, book, capsys):
    assert main(["course"]) == 2
    assert "no notebooks/ here; run this inside a checkout" in capsys.readouterr().err


def test_what_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["course", "--output", str(tmp_path / "file")]) == 2
    assert "cannot write" in capsys.readouterr().err


def setup_cell(monkeypatch, folder, installed):
    """What the first code cell of a notebook does in `folder`: the commands it gives IPython."""
    [source] = {n.cells[1].source for n in NOTEBOOKS.values() if n.cells[1].id == "setup"}
    done = []

    class Shell:
        def system(self, command):
            done.append(command)

        def run_line_magic(self, name, rest):
            done.append(f"%{name} {rest}")

    monkeypatch.chdir(folder)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: installed or None)
    monkeypatch.setattr("sys.path", [])
    plain = TransformerManager().transform_cell(source)
    exec(plain, {"get_ipython": Shell})
    return done


def test_the_first_code_cell_installs_the_book_where_it_is_missing(monkeypatch, tmp_path):
    (tmp_path / "students").mkdir()
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert setup_cell(monkeypatch, tmp_path, installed=True) == []
    clone, install = setup_cell(monkeypatch, tmp_path, installed=False)
    assert f"{cited['repository-code']} {{book}}" in clone
    (tmp_path / "_toc.yml").touch()
    assert setup_cell(monkeypatch, tmp_path / "students", installed=False) == [install]


@EVERY
def test_the_first_code_cell_is_the_one_that_installs(name):
    first = next(cell for cell in NOTEBOOKS[name].cells if cell.cell_type == "code")
    assert (first.id, first.metadata.tags) == ("setup", ["remove-cell"])


def minutes(notebook):
    """200 words or 20 lines of visible code a minute, half a minute for a figure or a table."""
    words = lines = figures = 0
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type == "code" and not tags & {"hide-input", "remove-cell", "parameters"}:
            lines += sum(bool(line.strip()) for line in cell.source.splitlines())
        elif cell.cell_type == "markdown":
            prose, exercises, _ = cell.source.partition("## Exercises")
            words += len(re.findall(r"\w[\w'’-]*", prose))
            figures += len(re.findall(r"glue:figure|:::\{table", prose))
            if exercises:
                break
    return words / 200 + lines / 20 + figures / 2


@EVERY
def test_the_minutes_to_read_are_those_of_what_there_is_to_read(name):
    text = "".join(cell.source for cell in NOTEBOOKS[name].cells if cell.cell_type == "markdown")
    said = int(re.search(r"about (\d+) minutes to read", text)[1])
    assert abs(said - minutes(NOTEBOOKS[name])) <= 2.5


def test_from_the_home_page_to_a_lesson_that_was_rerun_takes_half_an_hour():
    home = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    words = len(re.findall(r"\w[\w'’-]*", home))
    assert words / 200 + minutes(NOTEBOOKS["blurpool"]) <= 30
    timed = json.loads((ROOT / "benchmarks" / "pages.json").read_text(encoding="utf-8"))
    assert timed["pages"]["blurpool"]["quick"] <= 180  # seconds of waiting, as measured
