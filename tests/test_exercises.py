"""The exercises' checks: they take right answers, and refuse wrong ones and untouched stubs."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

from effcnn import exercises
from effcnn.exercises import Wrong

MODULES = [
    import_module(f"effcnn.exercises.{found.name}")
    for found in pkgutil.iter_modules(exercises.__path__)
]
CHECKS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": check
    for module in MODULES
    for name, check in vars(module).items()
    if hasattr(check, "__wrapped__") and check.__module__ == module.__name__
}
CASES = {}
for path in sorted(Path(__file__).parent.glob("answers_*.py")):
    CASES |= import_module(path.stem).CASES
WRONG = [(name, *case) for name, (_, wrong) in CASES.items() for case in wrong]


def test_every_check_is_tried():
    assert set(CASES) == set(CHECKS)
    assert all(wrong for _, wrong in CASES.values())


@pytest.mark.parametrize("name", CHECKS)
def test_no_answer_is_no_answer(name):
    with pytest.raises(Wrong, match="no answer yet"):
        CHECKS[name](...)


@pytest.mark.parametrize("name", CASES)
def test_a_right_answer_is_taken(name, capsys):
    assert CHECKS[name](CASES[name][0]) is None
    assert capsys.readouterr().out == "Right.\n"


@pytest.mark.parametrize(("name", "answer", "hint"), WRONG)
def test_a_wrong_answer_is_refused_with_its_hint(name, answer, hint, capsys):
    with pytest.raises(Wrong, match=re.escape(hint)):
        CHECKS[name](answer)
    assert "Right" not in capsys.readouterr().out


def test_what_a_students_code_raises_is_not_lost():
    def answer(row):
        return row.upper()

    with pytest.raises(Wrong, match=r"AttributeError.*upper") as caught:
        CHECKS["blurpool.filter_by_hand"](answer)
    assert isinstance(caught.value.__cause__, AttributeError)
