"""What is installed, what is in git, and what the notebooks' sources must look like."""

import ast
import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import effcnn
from effcnn import cli

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = ("README.md", "CONTRIBUTING.md")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def pins_of(lines):
    """Versions by name, from lines that all must be exact pins."""
    pairs = {line: re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in lines}
    # A local version, 2.13.0+cpu, is on one kind of machine only.
    assert not [line for line, pair in pairs.items() if pair is None]
    return {canonicalize_name(pair[1]): pair[2] for pair in pairs.values()}


@pytest.fixture(scope="module")
def constraints():
    lines = read("constraints.txt").splitlines()
    return pins_of(line for line in lines if not line.startswith("#"))


@pytest.fixture(scope="module")
def conda():
    *_, inner = yaml.safe_load(read("environment.yml"))["dependencies"]
    return inner["pip"]


@pytest.fixture(scope="module")
def direct():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for text in sum(extras, project["dependencies"])]


def test_conda_installs_the_direct_dependencies_at_the_pinned_versions(conda, constraints, direct):
    options = [line for line in conda if line.startswith("-")]
    assert options == ["-c constraints.txt", "-e ."]
    pins = pins_of(line for line in conda if line not in options)
    assert pins == {name: constraints[name] for name in pins}
    assert set(pins) == {canonicalize_name(requirement.name) for requirement in direct}


def test_pins_are_within_the_ranges(constraints, direct):
    outside = [str(r) for r in direct if constraints[canonicalize_name(r.name)] not in r.specifier]
    assert not outside


def test_torchvision_is_pinned_beside_torch(constraints):
    # Left open, it brings the torch that it was built for and replaces ours.
    assert {"torch", "torchvision"} <= set(constraints)


@pytest.mark.parametrize("name", ["Makefile", ".ci/run", ".github/workflows/book.yml"])
def test_all_install_the_pinned_set(name):
    text = read(name)
    assert "constraints.txt" in text
    assert name == "Makefile" or re.search(r"make (test|book)", text)


def test_pre_commit_runs_the_pinned_ruff(constraints):
    repos = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    revs = {repo["repo"].rpartition("/")[2]: repo["rev"] for repo in repos}
    assert revs["ruff-pre-commit"] == f"v{constraints['ruff']}"


def test_version_is_the_same_everywhere():
    assert yaml.safe_load(read("CITATION.cff"))["version"] == effcnn.__version__
    assert f"## [{effcnn.__version__}]" in read("CHANGELOG.md")


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_source_notebook_is_clean(path):
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert (raw["nbformat"], raw["nbformat_minor"]) == (4, 5)
    nbformat.validate(raw)
    ids = [cell["id"] for cell in raw["cells"]]
    assert len(set(ids)) == len(ids)
    code = [cell for cell in raw["cells"] if cell["cell_type"] == "code"]
    assert not [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"]]
    assert raw["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters_have_types_and_help(path):
    cells = nbformat.read(path, as_version=4).cells
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    statements = ast.parse(tagged[0].source).body
    assert {type(statement) for statement in statements} == {ast.AnnAssign}
    shown = papermill.inspect_notebook(path)
    assert list(shown) == [statement.target.id for statement in statements]
    assert not [name for name, parameter in shown.items() if not parameter["help"]]


def test_book_configuration_is_valid():
    from jupyter_book import config

    content = yaml.safe_load(read("_config.yml"))
    config.validate_yaml(content, raise_on_errors=True)
    # Jupyter Book accepts a misspelt key in silence. Each of the two lists lacks some.
    folder = Path(config.__file__).parent
    schema = json.loads((folder / "config_schema.json").read_text(encoding="utf-8"))["properties"]
    known = yaml.safe_load((folder / "default_config.yml").read_text(encoding="utf-8"))
    assert set(content) <= set(schema) | set(known)
    for name in set(content) & {"execute", "html", "launch_buttons", "parse", "repository"}:
        assert set(content[name]) <= set(schema[name]["properties"]) | set(known[name])


def tracked():
    """The files in git; a copy without .git has none to check."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    command = ["git", "-C", ROOT, "ls-files", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in filter(None, names) if (ROOT / name).is_file()]


def test_no_file_in_git_names_a_folder_of_one_machine():
    pattern = re.compile(rb"(?<![\w.-])/(?:work|root|home)/")
    found = [p for p in tracked() if p != ROOT / ".ci/run" and pattern.search(p.read_bytes())]
    assert not found


def test_files_in_git_are_small():
    assert not [path for path in tracked() if path.stat().st_size >= 2_000_000]


@pytest.mark.parametrize("name", PAGES)
def test_relative_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#:]+)\)", read(name))
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


@pytest.mark.parametrize("name", PAGES)
def test_commands_are_valid(name):
    lines = [shlex.split(line) for line in re.findall(r"^ +effcnn (.+)$", read(name), re.M)]
    assert lines
    for words in lines:
        cli.parser().parse_args(words)
        notebooks = [word for word in words if word.startswith("notebooks/")]
        assert not [path for path in notebooks if not (ROOT / path).is_file()]


def test_own_technique_of_the_guide_trains(registry, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example = re.search(r"^```python\n(.*?)^```$", read("CONTRIBUTING.md"), re.M | re.S)[1]
    exec(compile(example, "CONTRIBUTING.md", "exec"), {"__name__": "guide"})
    assert 0 <= float(capsys.readouterr().out) <= 100
    assert list(tmp_path.glob("runs/mnist-sample/1.5k-dw/*/seed0-*/run.json"))


def test_the_glossary_names_every_technique():
    from effcnn.techniques import SPECS

    lines = re.findall(r"^\| `(\w+)` \| \{term\}", read("book/glossary.md"), re.M)
    assert sorted(lines) == sorted(SPECS)
