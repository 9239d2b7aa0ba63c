"""The techniques by name: their settings, their order, and the hooks the training loop calls.

One technique is one file in this folder. This module only knows their names and settings and
imports none of them, nor torch, so that a recipe can be checked and read anywhere.
"""

import re
from importlib import import_module

from effcnn.errors import UserError, unknown
from effcnn.techniques.specs import NO_TECHNIQUE, SPECS, Setting, Spec, positive

__all__ = ["SPECS", "Setting", "Spec", "Technique", "canonical", "create", "find", "parse"]
__all__ += ["positive"]

_PAPERS_OWN = list(SPECS)
_CLASSES: dict[str, type["Technique"]] = {}


class Technique:
    """A technique as the training loop sees it: override the hooks it needs.

    Defining a subclass registers it: `class Noise(Technique, spec=Spec("noise", ...))` can be named
    in a recipe at once. Settings become attributes of the instance.
    """

    spec: Spec

    def __init_subclass__(cls, spec: Spec | None = None) -> None:
        if spec is None:
            raise UserError(
                f'{cls.__name__} needs a name: class {cls.__name__}(..., spec=Spec("…"))'
            )
        for known in SPECS.values():
            cls_known = _CLASSES.get(known.short)
            home = cls_known.__module__ if cls_known else _module(known)
            # A notebook cell that is run again defines its class again; that may replace the first.
            if {known.short, known.word} & {spec.short, spec.word} and home != cls.__module__:
                raise UserError(f"technique '{spec.short}' ({spec.word}) is taken by {home}")
        cls.spec = SPECS[spec.short] = spec
        _CLASSES[spec.short] = cls

    def __init__(self, **settings) -> None:
        for name, setting in self.spec.settings.items():
            value = settings.pop(name, setting.default)
            if not setting.allowed(value):
                raise UserError(f"{self.spec.word}: {name} is {value}; it must be {setting.says}")
            setattr(self, name, value)
        if settings:
            raise unknown(f"setting of {self.spec.word}", next(iter(settings)), self.spec.settings)

    def change_model(self, model) -> list[str]:
        """Change `model` in place, before the optimizer exists; return the layers touched."""
        return []

    def change_batch(self, images, targets, generator):
        """Return (images, targets) for this step: targets (N, K), each row sums to 1."""
        return images, targets

    def wrap_loss(self, loss):
        """Return a loss to use in place of `loss`; both map (logits, targets) to a scalar."""
        return loss

    def wrap_optimizer(self, optimizer, model):
        """Return an optimizer to use in place of `optimizer`; its `step` takes a closure."""
        return optimizer

    def learning_rate(self, step: int, steps: int) -> float | None:
        """The rate of optimizer step `step` (from 0) of `steps`; None leaves it alone."""
        return None

    def end_epoch(self, model, epoch: int, epochs: int) -> None:
        """Look at the weights after epoch `epoch` (from 1) of `epochs`."""

    def finish(self, model, batches) -> None:
        """Change the weights after the last epoch; `batches()` iterates clean training images."""

    def state_dict(self) -> dict:
        """What a training that is resumed needs to go on: tensors, numbers, dicts of those."""
        return {}

    def load_state_dict(self, state: dict, model) -> None:
        """Take up such a state again; `model` already has its weights."""


def _module(spec: Spec) -> str:
    return f"{__name__}.{spec.word.replace('-', '_')}"


def find(name: str) -> Spec:
    """The spec of a technique by shorthand or word; unknown names are a `UserError`."""
    wanted = name.strip().lower().replace("_", "-")
    for spec in SPECS.values():
        if wanted in (spec.short, spec.word):
            return spec
    names = dict.fromkeys(name for spec in SPECS.values() for name in (spec.short, spec.word))
    raise unknown("technique", name.strip(), names)


def parse(text: str) -> list[tuple[Spec, dict[str, object]]]:
    """Read `bp+oc(max_lr=0.1)` into specs with all their settings, in canonical order.

    Empty text, `none` and `baseline` mean no technique. Raises `UserError` for an unknown name or
    setting, a bad value, and a technique named twice.
    """
    if text.strip().lower() in ("", *NO_TECHNIQUE):
        return []
    chosen: dict[str, dict[str, object]] = {}
    for part in re.split(r"\+(?![^(]*\))", text):
        match = re.fullmatch(r"\s*([\w-]+)\s*(?:\(([^()]*)\))?\s*", part)
        if not match:
            raise UserError(f"cannot read technique '{part}' in '{text}'; write bp+oc(max_lr=0.1)")
        spec = find(match[1])
        if spec.short in chosen:
            raise UserError(f"technique '{spec.short}' is named twice in '{text}'; name it once")
        chosen[spec.short] = _settings(spec, match[2] or "")
    # A reader's own techniques follow the paper's, by name, however they were registered.
    rank = {short: place for place, short in enumerate(_PAPERS_OWN)}
    order = sorted(chosen, key=lambda short: (rank.get(short, len(rank)), short))
    return [(SPECS[short], chosen[short]) for short in order]


def _settings(spec: Spec, text: str) -> dict[str, object]:
    """All settings of `spec`, those in `text` ("a=1, b=2") in place of the defaults."""
    values = {name: setting.default for name, setting in spec.settings.items()}
    given = set()
    for item in filter(str.strip, text.split(",")):
        name, equals, raw = (piece.strip() for piece in item.partition("="))
        if not equals:
            raise UserError(f"cannot read '{item.strip()}' in {spec.short}(...); write name=value")
        if name not in values:
            raise unknown(f"setting of {spec.word}", name, values)
        if name in given:
            raise UserError(f"setting '{name}' of {spec.word} is given twice; give it once")
        given.add(name)
        setting = spec.settings[name]
        try:
            values[name] = type(setting.default)(raw)
            allowed = setting.allowed(values[name])
        except ValueError:
            allowed = False
        if not allowed:
            raise UserError(f"{spec.short}({name}={raw}): {name} must be {setting.says}")
    return values


def canonical(text: str, *, short: bool = False) -> str:
    """One spelling for one meaning: canonical order, every setting; `short` drops the defaults."""
    words = []
    for spec, values in parse(text):
        shown = {
            name: value
            for name, value in values.items()
            if not (short and value == spec.settings[name].default)
        }
        inside = ",".join(f"{name}={value}" for name, value in shown.items())
        words.append(f"{spec.short}({inside})" if inside else spec.short)
    return "+".join(words)


def create(text: str) -> list[Technique]:
    """The techniques of a recipe as objects with hooks, in canonical order."""
    made = []
    for spec, values in parse(text):
        if spec.short not in _CLASSES:
            import_module(_module(spec))
        made.append(_CLASSES[spec.short](**values))
    return made
