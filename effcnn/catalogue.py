"""What each technique does, and what it really touches in a given net."""

import sys
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb

from effcnn import measure, models
from effcnn.errors import UserError, unknown
from effcnn.techniques import SPECS, Technique, create

SMALL_NETS = ("mnist-1.5k-dw", "cifar10-143k-dw")

# What a technique acts on, told by the hooks that it overrides.
ACTS_ON = {
    "change_model": "the net",
    "change_batch": "each batch",
    "wrap_loss": "the loss",
    "wrap_optimizer": "the optimizer",
    "learning_rate": "the learning rate",
    "finish": "the weights after training",
}


def acts_on(technique: Technique) -> str:
    """What a technique changes, in words."""
    kind = type(technique)
    words = [ACTS_ON[hook] for hook in ACTS_ON if getattr(kind, hook) != getattr(Technique, hook)]
    return ", ".join(words) or "nothing"


def touched(technique: Technique, net: str) -> tuple[list[str], int, str]:
    """What a technique with its settings changes in a fresh net.

    Args:
        net: full name: mnist-1.5k-dw.
    Returns: the names of the layers, the number of parameters added, and the warning that the
        technique gave, or "".
    Raises: UserError for an unknown net.
    """
    model = models.build(net)
    before = measure.count_parameters(model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layers = technique.change_model(model)
    said = "; ".join(str(warning.message) for warning in caught)
    return layers, measure.count_parameters(model) - before, said


def text(chosen: list[str], nets: list[str]) -> str:
    """The techniques `chosen` (all if empty) as a page of text, with what they touch in `nets`."""
    blocks = []
    for name in chosen or list(SPECS):
        found = create(name)
        if not found:
            raise unknown("technique", name, SPECS)
        for technique in found:
            spec = technique.spec
            names = ", ".join(dict.fromkeys((spec.short, spec.word)))
            lines = [f"{names}: {spec.about}"]
            lines.append(f"    changes {acts_on(technique)}")
            for key, setting in spec.settings.items():
                given = f"{key}={getattr(technique, key)}"
                lines.append(f"    {given}  {setting.says}; default {setting.default}")
                lines[-1] += f" ({setting.source})"
            for net in nets:
                layers, added, said = touched(technique, net)
                if layers:
                    more = f"{added:,}" if added else "no"
                    lines.append(f"    in {net}: {', '.join(layers)}; {more} parameters more")
                elif said:
                    lines.append(f"    in {net}: {said}")
            blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def use(path: Path) -> None:
    """Run a reader's file of techniques, so that recipes can name them. Raises `UserError`."""
    if path.suffix != ".py" or not path.is_file():
        raise UserError(f"there is no Python file {path} to take techniques from")
    before = dict(SPECS)
    # The whole path: two files of one name are two modules, and neither stands for a library.
    spec = spec_from_file_location(f"effcnn_use:{path.resolve()}", path)
    module = sys.modules[spec.name] = module_from_spec(spec)  # as dataclasses and pickle want it
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        steps = [
            step.lineno for step in extract_tb(error.__traceback__) if step.filename == str(path)
        ]
        where = f"{path}, line {steps[-1]}" if steps else path
        raise UserError(f"{where}: {type(error).__name__}: {error}") from None
    if all(spec is before.get(short) for short, spec in SPECS.items()):
        raise UserError(f"{path} defines no technique; see 'Add a technique' in CONTRIBUTING.md")
