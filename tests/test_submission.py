"""What students hand in: the rules, and files that may hold anything."""

import os
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from effcnn import cells, cli, submission
from effcnn.errors import UserError
from effcnn.recipe import Recipe
from effcnn.submission import BASELINE, Entry

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "course" / "submission.toml"
MODEL = 'model = "8 M DW16 GAP 10"\n'


@pytest.fixture
def handed_in(tmp_path):
    """A submission with this content, as an entry."""

    def make(content, epochs=None, seeds=(0, 1, 2)):
        path = tmp_path / "ada.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        _, entry = submission.entries([path], BASELINE, seeds, (0,), epochs)
        return entry

    return make


def test_the_baseline_is_the_books_recipe():
    cell = cells.cells()["table-4/mnist-baseline"]
    fixed = {"train_images": 50_000, "holdout": 10_000}
    names = ("dataset", "model", "techniques", "augment", "epochs", "batch_size", "optimizer")
    names += ("lr", "weight_decay", "precision")
    same = {name: getattr(cell.recipe, name) for name in names}
    assert Recipe.make(**same, **fixed) == BASELINE
    assert cell.recipe.train_images == 50_000  # the first ones: held out or not, nobody trains on
    assert submission.costs(BASELINE)[0] == submission.MOST_PARAMETERS


def test_the_example_is_a_submission_that_shows_every_setting():
    _, entry = submission.entries([EXAMPLE], BASELINE, (0, 1, 2), (0,))
    assert entry.refused == ""
    assert entry.name == "submission"
    assert entry.params <= submission.MOST_PARAMETERS
    text = EXAMPLE.read_text(encoding="utf-8")
    names = [line.split(" = ")[0] for line in text.splitlines() if line and line[0] != "#"]
    assert sorted(names) == sorted(submission.SETTINGS)


def page(name):
    return (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")


def test_the_page_has_the_rules_of_the_code(handed_in):
    text = page("assignment")
    least, most = submission.BATCHES
    for rule in (
        f"At most {submission.MOST_PARAMETERS:,}, counted",
        f"At most {submission.MOST_EPOCHS}, as many",
        f"{least} to {most:,} images",
        f"first {BASELINE.train_images:,} training images",
        f"last {BASELINE.holdout:,} training images",
        f"up to {submission.MOST_BYTES:,} bytes",
    ):
        assert rule in text
    refused = handed_in("model = '1.5k-dw'\ntechniques = 'se'").refused
    assert f"effcnn: mine: refused: {refused}\n" in text


@pytest.mark.parametrize("name", ["assignment", "teaching"])
def test_the_commands_on_the_pages_are_valid(name):
    text = page(name).replace("...", "5")
    found = [
        shlex.split(words, comments=True) for words in re.findall("effcnn (score[^`\n]+)", text)
    ]
    assert len(found) > 4
    for words in found:
        cli.parser().parse_args(words)


def test_an_entry_trains_on_what_everybody_trains_on(handed_in):
    entry = handed_in(MODEL + 'techniques = "se"\naugment = "shift"\nepochs = 3', seeds=(4, 2))
    expected = [
        Recipe.make(
            *("mnist", "8 M DW16 GAP 10", "se"),
            **{"augment": "shift", "epochs": 3, "train_images": 50_000, "holdout": 10_000},
            seed=seed,
        )
        for seed in (4, 2)
    ]
    assert entry.cell.recipes() == expected
    # 3x3 from one channel and its norm, 8 depth-wise kernels, 8 x 16, a norm, 16 x 10; two gates.
    assert entry.params == (72 + 16) + (72 + 128 + 32) + 160 + (2 * 8 * 2 + 2 * 16 * 4)
    maps = 28 * 28 * 72 + 14 * 14 * (72 + 128) + 160
    assert entry.macs == maps + 32 + 128


def test_the_net_counts_as_it_is_trained(handed_in):
    book = 'model = "8 DW12 TB8 M DW12 DW16 TB12 M DW15 GAP 10"\n'
    assert handed_in(book).params == 1_560
    assert handed_in(book).cell.recipe.model == "1.5k-dw"
    assert handed_in(f'{book}techniques = "bp+sam+swa+m+ls+co"').params == 1_560
    assert handed_in(f'{book}techniques = "se"') == Entry(
        "ada", refused="1,954 parameters with its techniques; at most 1,560 are allowed"
    )
    one_more = book.replace("8 DW12", "8 DW13")
    assert "at most 1,560" in handed_in(one_more).refused


def test_a_rehearsal_changes_the_epochs_alone(handed_in):
    assert handed_in(f"{MODEL}epochs = 9", epochs=2).cell.recipe.epochs == 2
    assert "epochs is 16" in handed_in(f"{MODEL}epochs = 16", epochs=2).refused
    assert "it averages" in handed_in(f'{MODEL}techniques = "swa"', epochs=1).refused


def test_a_mark_at_the_beginning_and_other_line_ends_are_no_matter(handed_in):
    assert handed_in(b"\xef\xbb\xbf" + MODEL.replace("\n", "\r\n").encode()).refused == ""


BAD = [
    ("", "it names no model"),
    ("epochs = 3", "it names no model"),
    ("model: 8 GAP 10", "it is not TOML: "),
    (f"{MODEL}model = '8 GAP 10'", "it is not TOML: Cannot overwrite a value"),
    (f"{MODEL}use = 'mine.py'", "unknown setting 'use'; choose from model, techniques, augment, "),
    (f"{MODEL}epoch = 3", "unknown setting 'epoch' (did you mean 'epochs'?); choose from"),
    (f"{MODEL}[cells.a]\nlr = 1", "unknown setting 'cells'"),
    (f"{MODEL}dataset = 'cifar10'", "dataset is the same for everybody; leave it out"),
    (f"{MODEL}train_images = 60000", "train_images is the same for everybody"),
    (f"{MODEL}seed = 7", "seed is the same for everybody"),
    (f"{MODEL}holdout = 0", "holdout is the same for everybody"),
    (f"{MODEL}epochs = 16", "epochs is 16; at most 15 are allowed"),
    (f"{MODEL}epochs = 0", "epochs is 0; it must be a whole number from 1 on"),
    (f"{MODEL}epochs = 2.5", "epochs is 2.5; it must be a whole number"),
    (f"{MODEL}epochs = true", "epochs must be a number"),
    (f"{MODEL}epochs = 2024-01-01", "epochs must be a number"),
    (f"{MODEL}epochs = '3'", "epochs must be a number"),
    (f"{MODEL}batch_size = 8", "batch_size is 8; it must be from 16 to 1,024"),
    (f"{MODEL}batch_size = 50000", "batch_size is 50000; it must be from 16 to 1,024"),
    (f"{MODEL}lr = nan", "lr must be a number up to 1,000,000"),
    (f"{MODEL}lr = inf", "lr must be a number up to 1,000,000"),
    (f"{MODEL}lr = -1.0", "lr is -1.0; it must be a number above 0"),
    (f"{MODEL}lr = 1e400", "lr must be a number up to 1,000,000"),
    (f"{MODEL}lr = 1{'0' * 400}", "lr must be a number up to 1,000,000"),
    (f"{MODEL}epochs = 1{'0' * 5000}", "it is not TOML"),  # more digits than Python reads
    (f"{MODEL}epochs = 0x{'f' * 9000}", "epochs must be a number up to 1,000,000"),
    (f"{MODEL}techniques = 'oc'\nlr = 0.1", "lr has no effect beside one-cycle"),
    (f"{MODEL}techniques = 'os.system(1)'", "cannot read technique 'os.system(1)'"),
    (f"{MODEL}techniques = 'blur'", "did you mean 'blurpool'?); choose from bp, "),
    (f"{MODEL}techniques = 'co(length=40)'", "it must be at most 28"),
    (f"{MODEL}techniques = '{'+' * 5000}'", "techniques has 5,000 characters; at most 200"),
    (f"{MODEL}techniques = ['bp']", "techniques must be text in quotes"),
    (f"{MODEL}augment = 'mirror'", "unknown augmentation 'mirror'; choose from flip"),
    (f"{MODEL}optimizer = 'lion'", "unknown optimizer 'lion'; choose from sgd, adam, adamw"),
    ("model = 8", "model must be text in quotes"),
    ("model = 'resnet18'", "unknown model for mnist 'resnet18'; choose from 25k"),
    ("model = 'cifar10-143k'", "is not for mnist"),
    ("model = '25k'", "25,144 parameters with its techniques; at most 1,560 are allowed"),
    ("model = '8 X GAP 10'", "cannot read 'X'; write 16, DW16, TB16 or M"),
    ("model = '8 M DW16'", "the end must be 'GAP'"),
    ("model = '8 GAP 11'", "write 'GAP 10', the classes of mnist"),
    ("model = '8 M M M M M GAP 10'", "5 M leave no pixel"),
    ("model = '9999 9999 9999 GAP 10'", "1,799,889,993 parameters"),
    (f"model = '{'9' * 150} GAP 10'", "cannot read '999"),
    (f"model = '{'8 ' * 90}GAP 10'", "parameters with its techniques"),
    (r'model = "8 \u001B[2J\n\u202E GAP 10"', "cannot read '?[2J'"),
    (f'{MODEL}"\\u001B[31m\\n" = 1', "unknown setting '?[31m '"),
    (f"{MODEL}{'a' * 3000} = 1", "unknown setting 'aaa"),
    (f"{MODEL}{'a.' * 2000}a = 1", "unknown setting 'a'"),
    (f"{MODEL}lr = {'[' * 4000}", "nested too deeply"),
    (f"{MODEL}lr = {'{a=' * 2000}", "nested too deeply"),
    (b"# " + b"x" * 3_000_000, "it has more than 10,000 bytes; a recipe takes a few lines"),
    (MODEL.encode("utf-16"), "it is not text in UTF-8; save it as UTF-8"),
    (b"\x00\x01\x02", "it is not TOML"),
    (b"PK\x03\x04\xff\xfe", "it is not text in UTF-8"),
]


@pytest.mark.parametrize(("content", "says"), BAD, ids=[repr(says)[:40] for _, says in BAD])
def test_bad_content_is_refused_in_one_printable_line(handed_in, content, says):
    entry = handed_in(content)
    assert (entry.cell, entry.params, entry.macs) == (None, None, None)
    assert says in entry.refused
    assert entry.refused.isprintable()
    assert len(entry.refused) <= 310


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "nowhere.toml").symlink_to(tmp_path / "none")
    (tmp_path / "endless.toml").symlink_to("/dev/zero")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "good.toml").write_text(MODEL)
    book, *handed_in = submission.entries([tmp_path], BASELINE, (0,), (5, 7))
    found = {entry.name: entry.refused for entry in handed_in}
    reason = "it is not a file"
    assert found == {"endless": reason, "good": "", "nowhere": reason, "pipe": reason}
    assert book.name == "the book"
    assert book.cell.recipes() == [BASELINE.with_seed(5), BASELINE.with_seed(7)]


def test_one_that_fails_in_an_unforeseen_way_does_not_stop_the_others(tmp_path, monkeypatch):
    def costs(recipe):
        if recipe.lr == 0.5:
            raise ZeroDivisionError("x\ny")
        return 7, 8

    monkeypatch.setattr(submission, "costs", costs)
    (tmp_path / "a.toml").write_text(f"{MODEL}lr = 0.5")
    (tmp_path / "b.toml").write_text(MODEL)
    _, a, b = submission.entries([tmp_path], BASELINE, (0,), (5, 7))
    assert a.refused == "it cannot be read as a recipe (ZeroDivisionError)"
    assert (b.refused, b.params, b.macs) == ("", 7, 8)


def test_names_in_the_ranking(tmp_path):
    names = ("ada.toml", "x/submission.toml", "y/submission.TOML", "x/.hidden.toml", "=1+1.toml")
    names += (
        "the book.toml",
        ".git/info.toml",
        "__MACOSX/._ada.toml",
        "a\x1b[1m\nb.toml",
        f"{'n' * 200}.toml",
    )
    for name in names:
        path = tmp_path / "class" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MODEL)
    (tmp_path / "class" / "x" / "report.pdf").touch()
    (tmp_path / "class" / ".DS_Store").touch()
    single = tmp_path / "ada.toml"
    single.write_text(MODEL)
    with pytest.warns(UserWarning, match=r"class: only .toml files are scored, not report.pdf"):
        found = submission.collect([single, tmp_path / "class", single])
    assert set(found) == {
        *("ada", "ada'", "x/submission", "y/submission", "1+1", "the book'", "a?[1m b"),
        f"{'n' * 60}...",
    }
    assert found["ada"] == single
    assert all(path.suffix.lower() == ".toml" for path in found.values())


def test_nothing_to_score(tmp_path):
    with pytest.raises(UserError, match=r"there is no file or folder .*none\.toml to score"):
        submission.collect([tmp_path, tmp_path / "none.toml"])
    with pytest.raises(UserError, match=r"there is no \.toml file in"):
        submission.collect([tmp_path])


def test_the_books_recipe_is_the_tables_baseline():
    found = cells.cells()["table-4/mnist-baseline"].recipe
    assert replace(BASELINE, holdout=0) == found
