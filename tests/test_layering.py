"""Who imports whom: one direction, no torch on the reading side, nothing global in the package."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import effcnn

PACKAGE = Path(effcnn.__file__).parent
FILES = {
    ".".join(("effcnn", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in PACKAGE.rglob("*.py")
}
READING = ("paper", "recipe", "cells", "results", "stats", "plots", "models", "techniques")
PARENT = ("cli", "commands", "commands_show", "plan", "pool", "progress", "score", "submission")
PARENT += ("sweep",)
LEAVES = {
    "effcnn.data": {"effcnn.errors", "effcnn.files"},
    "effcnn.files": {"effcnn.errors"},
    "effcnn.augment": {"effcnn.errors"},
    "effcnn.models": {"effcnn.errors"},
    "effcnn.measure": {"effcnn.errors"},
    "effcnn.stats": {"effcnn.errors"},
    "effcnn.paper": set(),
    "effcnn.errors": set(),
}


def imported(path, *, lazily):
    """The modules that a file names in imports: at module level, or (lazily) anywhere."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if lazily else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from effcnn import models` imports the module, `from effcnn import __version__` not.
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & set(FILES) or {node.module}


def inside(path, *, lazily):
    return {name for name in imported(path, lazily=lazily) if name.split(".")[0] == "effcnn"}


@pytest.mark.parametrize("name", READING + PARENT)
def test_reading_side_imports_no_torch(name):
    """Neither itself nor through what it imports; nor the parent of a sweep's workers."""
    code = f"import sys, effcnn.{name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", READING[:6])
def test_reading_side_never_imports_torch_later(name):
    packages = {module.split(".")[0] for module in imported(FILES[f"effcnn.{name}"], lazily=True)}
    assert not packages & {"torch", "torchvision"}


def test_training_needs_no_pandas():
    """So that it runs where only torch is installed."""
    code = "import sys, effcnn.runs; sys.exit(bool({'pandas', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("name", "allowed"), LEAVES.items())
def test_leaves_stand_alone(name, allowed):
    assert inside(FILES[name], lazily=True) <= allowed


def test_a_technique_knows_errors_and_its_base_alone():
    specs = "effcnn.techniques.specs"
    files = [path for name, path in FILES.items() if name.startswith("effcnn.techniques.")]
    assert len(files) == 10
    base = {"effcnn.errors", "effcnn.techniques", "effcnn.techniques.targets"}
    for path in set(files) - {FILES[specs]}:
        assert inside(path, lazily=True) <= base, path
    assert inside(FILES["effcnn.techniques"], lazily=True) == {"effcnn.errors", specs}
    assert inside(FILES[specs], lazily=True) == {"effcnn.errors", "effcnn.models"}


def test_the_loop_knows_hooks_and_not_techniques():
    for name in ("train", "runs", "recipe", "results", "cli"):
        found = inside(FILES[f"effcnn.{name}"], lazily=True)
        assert not [module for module in found if module.startswith("effcnn.techniques.")]


def test_no_cycles():
    """Every `from effcnn.x import y` in a technique makes `effcnn.techniques` come first too."""
    graph = {name: inside(path, lazily=False) - {name, "effcnn"} for name, path in FILES.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_reading_never_trains():
    lazy = {name: inside(path, lazily=True) for name, path in FILES.items()}
    for name in ("paper", "recipe", "cells", "results", "stats", "plots"):
        assert not lazy[f"effcnn.{name}"] & {"effcnn.train", "effcnn.runs", "effcnn.data"}


def test_no_draw_from_a_global_generator():
    """Every random function of torch gets a generator; NumPy's and Python's global ones are out."""
    draws = {"rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal"}
    for path in FILES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                if called.startswith("torch.") and node.func.attr in draws:
                    assert "generator" in {word.arg for word in node.keywords}, (path, called)
                assert not called.startswith(("random.", "torch.seed", "torch.manual_seed")), path
                assert not called.startswith("np.random.") or "default_rng" in called, path
