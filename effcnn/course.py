"""The course to hand out: student versions of the chapters, and zips with all that they need.

In a source notebook the solution of an exercise is folded Markdown with a code cell tagged
`solution`, and after it a cell tagged `check`. The metadata of the solution cell may hold a `stub`,
which is what a student starts from; without one it is `answer = ...`.
"""

import os
import re
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from tqdm import tqdm

from effcnn import book
from effcnn.cells import need_checkout
from effcnn.errors import UserError, unknown

STUB = "answer = ..."
FOLDER = "effcnn-course"  # in the zips
# What the chapters need where they run: unpacked, the folder is a small checkout. Weights after
# every epoch are left out: only analyses read them, and those are there.
NEEDED = (
    *("LICENSE", "_toc.yml", "pyproject.toml", "constraints.txt", "effcnn/**/*.py"),
    *("sweeps/*.toml", "benchmarks/*.py", "benchmarks/*.json", "results/**/*.json"),
    *("results/**/predictions.safetensors", "results/**/weights.safetensors"),
)


def student(notebook):
    """A copy without solutions: their text goes, their code becomes the stub, the checks stay.

    A check that fails does not stop "Run all".
    """
    made, inside, kept = deepcopy(notebook), False, []
    for cell in made.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            cell.source, inside = _question(cell.source, inside)
            if cell.source:
                kept.append(cell)
        elif "solution" in tags:
            cell.source, cell.metadata = cell.metadata.get("stub", STUB), {}
            kept.append(cell)
        elif "check" in tags:
            cell.metadata.tags = [*tags, "raises-exception"]
            kept.append(cell)
        elif not inside:
            kept.append(cell)
    made.cells = kept
    return made


def _question(text: str, inside: bool) -> tuple[str, bool]:
    """What of a Markdown cell is no solution, and whether the next cell begins in one.

    The directives of an exercise become a heading, which any notebook server shows.
    """
    lines, kept = iter(text.splitlines()), []
    for line in lines:
        if line.startswith("```{solution-start}"):
            inside = True
        elif line.startswith("```{solution-end}"):
            inside = False
            next(lines)  # the fence that closes the directive
        elif not inside:
            kept.append(line)
    text = "\n".join(kept)
    text = re.sub(r"```\{exercise-start\} (.*)\n(?::.*\n)*```", r"### Exercise: \1\n", text)
    return re.sub(r"\n```\{exercise-end\}\n```", "", text).strip(), inside


def make(output: Path | None = None) -> list[Path]:
    """Write `students/`, `teachers/`, and a zip of the students' notebooks and one of all.

    The zips hold what the notebooks need besides Python's package index: the package, the stored
    runs, a README on how to start. The same sources give the same bytes.

    Args:
        output: the folder (default: `_course` in the checkout). What an earlier call made there is
            replaced, other files stay.

    Returns: the two zips, the students' first.
    Raises: UserError outside a checkout, and where the folder cannot be written.
    """
    book.need_tools()
    root = need_checkout()
    sources = sorted((root / "notebooks").glob("*.ipynb"))
    if not sources:
        raise UserError("no notebooks/ here; run this inside a checkout of the book")
    output = output or root / "_course"
    needed = {"README.md": (root / "notebooks" / "README.md").read_bytes()}
    for path in sorted(path for pattern in NEEDED for path in root.glob(pattern)):
        name = path.relative_to(root)
        if not any(part.startswith(".") for part in name.parts):  # .partial, for one
            needed[name.as_posix()] = path.read_bytes()
    students, teachers = {}, {}
    for source in sources:
        students[f"students/{source.name}"] = _student_bytes(source)
        teachers[f"teachers/{source.name}"] = source.read_bytes()
    zips = [output / f"{FOLDER}-students.zip", output / f"{FOLDER}.zip"]
    try:
        for name, content in {**students, **teachers}.items():
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            (output / name).write_bytes(content)
        _zip(zips[0], {**needed, **students})
        _zip(zips[1], {**needed, **students, **teachers})
    except OSError as error:
        raise UserError(f"cannot write {error.filename or output}: {error.strerror}") from None
    return zips


def _student_bytes(source: Path) -> bytes:
    import nbformat

    made = student(nbformat.read(source, as_version=4))
    nbformat.validate(made)
    return f"{nbformat.writes(made)}\n".encode()


def _zip(path: Path, files: dict[str, bytes]) -> None:
    """Whole or not at all, and nothing in it that differs from day to day."""
    partial = path.with_suffix(".partial")
    with ZipFile(partial, "w") as archive:
        for name, content in tqdm(sorted(files.items()), desc=path.name, disable=None):
            entry = ZipInfo(f"{FOLDER}/{name}")  # of 1980
            entry.compress_type, entry.create_system = ZIP_DEFLATED, 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    partial.replace(path)


def check(archive: Path, chapters: Sequence[str] = ()) -> None:
    """Unpack a zip elsewhere and run the students' notebooks there, with the package in the zip.

    Args:
        chapters: only these, `sam` for `sam.ipynb` (default: all).

    Raises: UserError for an unknown chapter, where a cell fails that is no check, and where a check
        takes the stub.
    """
    with TemporaryDirectory() as folder:
        with ZipFile(archive) as opened:
            opened.extractall(folder)
        sources = {path.stem: path for path in Path(folder, FOLDER, "students").glob("*.ipynb")}
        for name in chapters:
            if name not in sources:
                raise unknown("chapter", name, sorted(sources))
        for name in chapters or sorted(sources):
            print(f"students/{name}.ipynb: executing", flush=True)
            _run(sources[name])


def _run(source: Path) -> None:
    """Execute an untouched student notebook: every check must refuse it, and all else work."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    notebook, root = nbformat.read(source, as_version=4), source.parent.parent
    env = {**os.environ, "PYTHONPATH": str(root), "EFFCNN_RESULTS": str(root / "runs")}
    with TemporaryDirectory() as sockets:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            config=book.kernel_config(sockets),
            resources={"metadata": {"path": source.parent}},
            allow_errors=True,
        )
        try:
            client.execute(env=env)
        except DeadKernelError:
            raise UserError(f"{source.name}: its kernel died; is there enough memory?") from None
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        found = [output for output in cell.outputs if output.output_type == "error"]
        names = [error.ename for error in found]
        if "check" in cell.metadata.get("tags", []):
            if names != ["Wrong"]:
                what = f"fails with {names[0]}" if names else "takes what is no answer"
                raise UserError(f"{source.name}: the check {cell.id} {what}")
        elif found:
            raise UserError(f"{source.name}: cell {cell.id} fails: {names[0]}: {found[0].evalue}")
