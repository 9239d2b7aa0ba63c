"""The names of the techniques: reading, canonical text, errors, and a reader's own."""

import subprocess
import sys

import pytest

from effcnn import techniques
from effcnn.errors import UserError
from effcnn.techniques import Setting, Spec, Technique, canonical, create, find, parse

BP = "bp(padding=reflect,layers=all)"
OC = "oc(max_lr=0.2)"


@pytest.fixture
def registry(monkeypatch):
    """Forget the techniques that a test registers."""
    monkeypatch.setattr(techniques, "SPECS", techniques.SPECS.copy())
    monkeypatch.setattr(techniques, "_CLASSES", techniques._CLASSES.copy())


def own(short="noise", word="noise", **settings):
    class Own(Technique, spec=Spec(short, word, "a reader's own", settings)):
        def change_batch(self, images, targets, generator):
            return images + self.level, targets

    return Own


LEVEL = Setting(0.5, "a guess", lambda value: 0 <= value <= 1, "between 0 and 1")


@pytest.mark.parametrize("name", ["bp", "BP", "blurpool", "BlurPool", " bp "])
def test_find_by_shorthand_or_word(name):
    assert find(name) is techniques.SPECS["bp"]


@pytest.mark.parametrize("name", ["oc", "one-cycle", "one_cycle", "One-Cycle"])
def test_find_words_of_two_parts(name):
    assert find(name).short == "oc"


@pytest.mark.parametrize("text", ["", "  ", "none", "baseline", "None"])
def test_no_technique(text):
    assert parse(text) == create(text) == []
    assert canonical(text) == ""


def test_parse_gives_all_settings_in_canonical_order():
    for text in (
        "oc(max_lr=1e-1)+bp",
        "bp+oc(max_lr=0.1)",
        " blurpool() + one-cycle( max_lr = .1 )",
    ):
        (blur, blur_values), (cycle, cycle_values) = parse(text)
        assert (blur.short, blur_values) == ("bp", {"padding": "reflect", "layers": "all"})
        assert (cycle.short, cycle_values) == ("oc", {"max_lr": 0.1})


@pytest.mark.parametrize(
    ("text", "full", "short"),
    [
        ("OC+BP", f"{BP}+{OC}", "bp+oc"),
        ("bp(layers=all)", BP, "bp"),
        ("bp(layers=conv, padding=zero)", "bp(padding=zero,layers=conv)", None),
        ("bp(layers=conv)", "bp(padding=reflect,layers=conv)", "bp(layers=conv)"),
        ("oc(max_lr=0.20)", OC, "oc"),
        ("oc(max_lr=1)", "oc(max_lr=1.0)", None),
        ("oc(max_lr=1e+30)+bp", f"{BP}+oc(max_lr=1e+30)", "bp+oc(max_lr=1e+30)"),
        ("oc(max_lr=0.00001)", "oc(max_lr=1e-05)", None),
    ],
)
def test_canonical_text_reads_back(text, full, short):
    assert canonical(text) == canonical(full) == full
    assert canonical(text, short=True) == (short or full)
    assert canonical(short or full) == full
    assert parse(full) == parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "blurpol",
            r"unknown technique 'blurpol' \(did you mean 'blurpool'\?\); choose from bp, blu",
        ),
        ("bp+none", r"unknown technique 'none'"),
        ("bp+oc+blurpool", r"'bp' is named twice in 'bp\+oc\+blurpool'"),
        ("bp(pading=zero)", r"unknown setting of blurpool 'pading' \(did you mean 'padding'"),
        ("bp(padding=zeros)", r"bp\(padding=zeros\): padding must be reflect or zero"),
        ("bp(padding=)", r"padding must be reflect or zero"),
        ("bp(zero)", r"cannot read 'zero' in bp\(...\); write name=value"),
        ("bp(padding=zero,padding=zero)", r"'padding' of blurpool is given twice"),
        ("oc(max_lr=fast)", r"oc\(max_lr=fast\): max_lr must be a number above 0"),
        ("oc(max_lr=0)", r"oc\(max_lr=0\): max_lr must be a number above 0"),
        ("oc(max_lr=-0.1)", r"must be a number above 0"),
        ("oc(max_lr=nan)", r"must be a number above 0"),
        ("oc(max_lr=inf)", r"must be a number above 0"),
        ("bp+", r"cannot read technique '' in 'bp\+'"),
        ("bp++oc", r"cannot read technique ''"),
        ("bp,oc", r"cannot read technique 'bp,oc'"),
        ("bp oc", r"cannot read technique 'bp oc'"),
        ("oc(max_lr=0.1", r"cannot read technique 'oc\(max_lr=0.1'"),
        ("oc(max_lr=0.1))", r"cannot read technique"),
        ("oc(max_lr=(0.1))", r"cannot read technique"),
        ("(max_lr=0.1)", r"cannot read technique"),
    ],
)
def test_errors_are_one_line_and_name_the_place(text, says):
    for read in (parse, canonical, create):
        with pytest.raises(UserError, match=says) as caught:
            read(text)
        assert "\n" not in str(caught.value)


def test_create_gives_objects_with_settings():
    blur, cycle = create("oc(max_lr=0.1)+bp(padding=zero)")
    assert (type(blur).__name__, blur.padding, blur.layers) == ("BlurPool", "zero", "all")
    assert (type(cycle).__name__, cycle.max_lr) == ("OneCycle", 0.1)
    with pytest.raises(UserError, match="unknown setting of one-cycle 'lr'"):
        type(cycle)(lr=0.1)


@pytest.mark.usefixtures("registry")
def test_a_readers_own_technique():
    cls = own(level=LEVEL)
    (made,) = create("noise(level=0.25)")
    assert type(made) is cls
    assert made.change_batch(1, 2, None) == (1.25, 2)
    assert made.change_model(None) == []
    own("aaa", "first-by-name")
    assert canonical("noise+aaa+oc+bp", short=True) == "bp+oc+aaa+noise"
    with pytest.raises(UserError, match=r"unknown technique 'noize' \(did you mean 'noise'"):
        find("noize")
    again = own(level=LEVEL)  # a cell that is run again
    assert type(create("noise")[0]) is again


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("value", ["2", "nan", "loud"])
def test_bad_value_of_a_readers_own(value):
    own(level=LEVEL)
    with pytest.raises(UserError, match="level must be between 0 and 1"):
        parse(f"noise(level={value})")


def test_the_fixture_forgets():
    with pytest.raises(UserError, match="unknown technique 'noise'"):
        find("noise")


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize(("short", "word"), [("bp", "mine"), ("mine", "blurpool"), ("oc", "oc")])
def test_built_in_names_are_taken(monkeypatch, loaded, short, word):
    create("bp+oc")
    if not loaded:
        monkeypatch.setattr(techniques, "_CLASSES", {})
    with pytest.raises(UserError, match="taken"):
        own(short, word)
    assert canonical("bp+oc") == f"{BP}+{OC}"


def test_every_built_in_technique_can_be_made():
    for short, spec in techniques.SPECS.items():
        assert short == spec.short == short.lower()
        assert spec.about
        for setting in spec.settings.values():
            assert setting.allowed(setting.default)
            assert setting.source
            assert setting.says
        assert isinstance(create(spec.word)[0], Technique)
    assert create("bp")[0].change_batch(1, 2, None) == (1, 2)


def test_reading_names_needs_no_torch():
    code = (
        "import sys, effcnn.techniques as t; t.canonical('oc+bp'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("short", ["Noise", "my_noise", "my noise", "none", "1st", ""])
def test_a_name_that_could_not_be_written_in_a_recipe_is_refused(short):
    with pytest.raises(UserError, match="cannot be named"):
        Spec(short, "word", "about")


def test_settings_are_numbers_or_text():
    with pytest.raises(UserError, match="default of on must be int, float or str"):
        Spec("noise", "noise", "", {"on": Setting(True, "", bool, "true or false")})
