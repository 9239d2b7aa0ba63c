"""Execute the chapters with papermill and render the book with Jupyter Book."""

import hashlib
import json
import shutil
import subprocess
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from effcnn import book_pdf
from effcnn.cells import checkout, need_checkout
from effcnn.errors import UserError, unknown
from effcnn.profiles import PROFILES

# What stands on the folded cell of the values that a copy was executed with.
PROMPTS = {
    "code_prompt_show": "Show the parameters of this copy",
    "code_prompt_hide": "Hide the parameters of this copy",
}
# Whatever a chapter's output depends on: when none of it has changed, it is not executed again.
INPUTS = ("effcnn/**/*.py", "sweeps/*.toml", "results/**/*.json", "benchmarks/*.json")
PACKAGES = ("torch", "numpy", "pandas", "scipy", "matplotlib", "seaborn", "myst-nb")


def run_notebook(source: Path, output: Path, parameters: dict[str, object]) -> None:
    """Execute a chapter with these parameters and write the executed copy to `output`.

    Unlike plain papermill it refuses a parameter that the chapter does not have, keeps machine
    paths and times out of the copy, and hides the injected cell.

    Args:
        source: the notebook; it is never written.
        parameters: values by name, as text or as Python values.

    Raises: UserError for a missing notebook, an unknown parameter or a value of another type
        (before anything runs), and where a cell fails (the copy then shows the error).
    """
    need_tools()
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    if not source.is_file():
        raise UserError(f"there is no notebook {source}")
    if source.resolve() == output.resolve():
        raise UserError(f"{output} is the source; name another file for the executed copy")
    try:
        values = check_parameters(source, parameters)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text("")  # fail now, not after the last cell
        output.unlink()
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from None
    root = checkout() or Path.cwd()
    started = time.perf_counter()
    try:
        with TemporaryDirectory() as sockets:
            papermill.execute_notebook(
                str(source),
                str(output),
                values,
                kernel_name="python3",
                cwd=str(root),
                config=kernel_config(sockets),
            )
    except PapermillExecutionError as error:
        reason = (str(error.evalue).strip().splitlines() or [""])[0]
        raise UserError(
            f"{source} failed in code cell {error.exec_count}: {error.ename}: {reason}; "
            f"{output} shows where"
        ) from None
    except DeadKernelError:
        raise UserError(f"{source} failed: its kernel died; is there enough memory?") from None
    finally:
        if output.is_file():
            _scrub(output, round(time.perf_counter() - started, 1))


def check_parameters(source: Path, parameters: dict[str, object]) -> dict[str, object]:
    """The parameters with the types that the chapter declares. Raises `UserError`."""
    import nbformat
    import papermill

    try:
        nbformat.validate(nbformat.read(source, as_version=4))
        known = papermill.inspect_notebook(str(source))
    except Exception as error:  # nbformat raises whatever the content trips over
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{source} is not a notebook: {reason}") from None
    kinds = {"int": int, "float": float, "str": str}
    values = {}
    for name, value in parameters.items():
        if name not in known:
            choices = known or ["none, for it has no parameters"]
            raise unknown(f"parameter of {source.name}", name, choices)
        kind = known[name]["inferred_type_name"]
        try:
            values[name] = kinds[kind](value)
        except ValueError:
            raise UserError(f"parameter {name} is '{value}'; it must be of type {kind}") from None
        except KeyError:
            raise UserError(f"{source.name}: annotate {name} as int, float or str") from None
    if values.get("profile", PROFILES[0]) not in PROFILES:
        raise unknown("profile", values["profile"], PROFILES)
    return values


def make(profile: str = "published", *, force: bool = False, pdf: bool = False) -> Path:
    """Execute every chapter whose inputs have changed, and render the book strictly.

    Args:
        profile: published, quick or full; see `effcnn.profiles.runs`.
        force: execute every chapter.
        pdf: print all of it into one PDF, in place of the site.

    Returns: the page, or the PDF, to open.
    Raises: UserError outside a checkout, where a chapter fails, on any warning of the build, and
        without a browser that prints.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    need_tools()
    if pdf:
        book_pdf.need()
    root = need_checkout()
    sources = sorted((root / "notebooks").glob("*.ipynb"))
    for old in (root / "book").glob("*.ipynb"):
        if old.name not in {source.name for source in sources}:
            old.unlink()
    for source in sources:
        output, stamp = root / "book" / source.name, _stamp(root, source, profile)
        if not force and _stamp_of(output) == stamp:
            print(f"{source.name}: unchanged", flush=True)
            continue
        print(f"{source.name}: executing", flush=True)
        run_notebook(source, output, {"profile": profile})
        content = json.loads(output.read_text(encoding="utf-8"))
        content["metadata"]["effcnn"]["stamp"] = stamp
        output.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return _render_pdf(root) if pdf else _render(root)


def _render(root: Path) -> Path:
    """The site. Returns the page to open."""
    # What an earlier build left behind would show in the pages: the same sources, other bytes.
    for name in ("html", "jupyter_execute", ".doctrees"):  # and not the PDF beside them
        shutil.rmtree(root / "_build" / name, ignore_errors=True)
    return _sphinx(root, root, "html")


def _render_pdf(root: Path) -> Path:
    """The PDF, beside a site that is there. Returns its path."""
    folder, output = root / "_build" / "pdf", root / "_build" / "effcnn.pdf"
    shutil.rmtree(folder, ignore_errors=True)
    page = _sphinx(root, folder, "singlehtml")
    print("printing", flush=True)
    book_pdf.make(page, root / "book" / "print.css", output)
    return output


def _sphinx(root: Path, into: Path, builder: str) -> Path:
    """Jupyter Book with every warning an error. Returns the first page."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    # Jupyter Book looks for a relative --toc inside the book's folder.
    command += ["build", str(root / "book"), "--path-output", str(into), "--all", "--quiet"]
    command += ["--config", str(root / "_config.yml"), "--toc", str(root / "_toc.yml")]
    command += ["--builder", builder, "-W", "-n", "--keep-going"]
    if subprocess.run(command, cwd=root).returncode:
        raise UserError("the book has warnings or errors; they are printed above")
    return into / "_build" / builder / "index.html"


def kernel_config(folder: str):
    """Talk to the kernel by files where the system can: TCP is open to other users.

    They lie in a folder of their own: in the working folder two chapters that are executed at once
    would talk to each other's kernels.
    """
    from traitlets.config import Config

    if sys.platform == "win32":
        return Config()
    return Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})


def need_tools() -> None:
    """The book's tools are an extra: say so in one line where they are missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import jupyter_book  # noqa: F401
            import papermill  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{error.name} is missing; install the book's tools: effcnn[book]"
        ) from None


def _scrub(path: Path, seconds: float) -> None:
    """Drop what differs from run to run, and hide the cell that papermill puts in."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["metadata"].pop("papermill", None)
    content["metadata"]["effcnn"] = {"seconds": seconds}
    for cell in content["cells"]:
        for key in ("papermill", "execution"):
            cell["metadata"].pop(key, None)
        tags = cell["metadata"].get("tags", [])
        if "injected-parameters" in tags and "hide-input" not in tags:
            cell["metadata"]["tags"] = [*tags, "hide-input"]
            cell["metadata"]["mystnb"] = PROMPTS
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _stamp(root: Path, source: Path, profile: str) -> str:
    """A digest of all that the executed copy of `source` depends on."""
    files = [source, *sorted(path for pattern in INPUTS for path in root.glob(pattern))]
    versions = [f"{name} {version(name)}" for name in PACKAGES]
    digest = hashlib.sha256(f"{profile} {sys.version} {versions}".encode())
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _stamp_of(path: Path) -> str | None:
    """The digest that an executed copy was made from."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["metadata"]["effcnn"]["stamp"]
    except (OSError, ValueError, KeyError):
        return None
