"""What a run depends on besides its recipe: code, versions, machine."""

import hashlib
import platform
import subprocess
import sysconfig
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType

import torch

import effcnn
from effcnn import measure, techniques
from effcnn.recipe import Recipe


def machine(device: torch.device, compiled: bool = False) -> dict:
    """Package, commit, versions, device, processor and threads, as they are now."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "effcnn": effcnn.__version__,
        **_commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": name,
        "cpu": measure.cpu_name(),
        "threads": torch.get_num_threads(),
        "compiled": compiled,
        "system": platform.system(),
    }


def made(
    recipe: Recipe, device: torch.device, compiled: bool, before: dict | None, done: int
) -> dict:
    """What a run's record says of its making; of earlier parts, too, where it was interrupted.

    Args:
        before: the same of the parts before, if there were any.
        done: epochs they did.
    """
    now = machine(device, compiled)
    if before is None:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        made = {"started": started, "wall_seconds": 0.0, "provenance": now, "resumed": []}
        return {**made, "machine": now, "device": device.type, "sources": sources(recipe)}
    then = before["machine"]
    names = [name for name in now if now[name] != then.get(name)]
    differs = {name: {"was": then.get(name), "is": now[name]} for name in names}
    resumed = [*before["resumed"], {"epochs": done, **differs}]
    return {**before, "machine": now, "resumed": resumed}


def sources(recipe: Recipe) -> dict[str, list[str]]:
    """Python version and a digest of the code of each technique that is not the package's own.

    Of its bytecode, because the source of a class in a notebook cell cannot be found again;
    another Python compiles to another one.
    """
    python = sysconfig.get_python_version()
    return {
        hook.spec.short: [python, hashlib.sha256(_code(type(hook)).encode()).hexdigest()[:8]]
        for hook in techniques.create(recipe.techniques)
        if not type(hook).__module__.startswith("effcnn.techniques.")
    }


def changed(recipe: Recipe, then: dict[str, list[str]]) -> str | None:
    """The first technique whose code is not what it was in the sources of `then`.

    None if all are the same, and where another Python compiled them: that cannot be told.
    """
    now = sources(recipe)
    for name, (python, code) in then.items():
        if python == now[name][0] and code != now[name][1]:
            return name
    return None


def _written(name: str, part: object) -> bool:
    """Whether a class says this itself: what Python adds of its own names file and line."""
    return callable(part) or not name.startswith("__")


def _code(thing: object) -> str:
    """What a class, function or constant does, whatever file and line it stands on.

    Functions of the module that it calls are not looked at.
    """
    if isinstance(thing, type):
        parts = [(n, part) for n, part in sorted(vars(thing).items()) if _written(n, part)]
        return " ".join(f"{name}={_code(part)}" for name, part in parts)
    if isinstance(thing, property):
        return _code((thing.fget, thing.fset))
    thing = getattr(thing, "__func__", thing)
    code = getattr(thing, "__code__", thing)
    if isinstance(code, CodeType):
        constants = " ".join(map(_code, code.co_consts))
        named = getattr(thing, "__kwdefaults__", None) or {}
        defaults = _code((getattr(thing, "__defaults__", None), *sorted(named.items())))
        return f"{code.co_code.hex()} {code.co_names} {constants} {defaults}"
    if isinstance(thing, (tuple, frozenset)):
        parts = list(map(_code, thing))
        return str(parts if isinstance(thing, tuple) else sorted(parts))  # a set has no order
    plain = thing is None or isinstance(thing, (int, float, str, bytes))
    return repr(thing) if plain else type(thing).__name__  # others print their address


def _commit() -> dict:
    """The commit of the package's checkout, and whether its code has changed since."""
    package = Path(__file__).resolve().parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", package, *words], capture_output=True, text=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "train.py") != "train.py":  # installed, or inside another repository
        return {"commit": None, "changed": None}
    changes = git("status", "--porcelain", ".")  # None where git did not answer
    return {
        "commit": git("rev-parse", "HEAD"),
        "changed": None if changes is None else bool(changes),
    }
