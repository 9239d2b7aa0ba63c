"""Bad input on the command line: one line with the valid choices, status 2, and nothing done."""

import os
import subprocess
import sys

import pytest

from effcnn import cli, data

TRAIN = ("train", "--dataset", "mnist-sample", "--model", "25k")
SWEEP = '[cells.small]\ndataset = "mnist-sample"\nmodel = "25k"\n'

# What is typed, and what the line must say.
BAD = [
    (["trian"], "unknown command 'trian' (did you mean 'train'?); choose from train, sweep, "),
    (["--quiet"], "unknown argument '--quiet'; choose from --help, --version"),
    (["models", "mnist"], "unknown argument 'mnist'"),
    (["train"], "required: --dataset, --model (see effcnn train --help)"),
    ([*TRAIN, "--epoch", "3"], "unknown argument '--epoch' (did you mean '--epochs'?)"),
    ([*TRAIN, "--epochs"], "argument --epochs: expected one argument"),
    ([*TRAIN, "--epochs", "many"], "argument --epochs: 'many' is not a whole number"),
    ([*TRAIN, "--epochs", "0"], "epochs is 0; it must be a whole number from 1 on"),
    ([*TRAIN, "--dataset", "minst"], "did you mean 'mnist'?); choose from mnist, mnist-sample, ci"),
    ([*TRAIN, "--model", "25"], "did you mean '25k'?); choose from 25k, 7k, 7k-dw, 5k, 5k-dw, "),
    ([*TRAIN, "--model", "cifar10-143k"], "is not for mnist-sample; choose from 25k, 7k"),
    ([*TRAIN, "--techniques", "blur"], "unknown technique 'blur' (did you mean 'blurpool'?); choo"),
    ([*TRAIN, "--techniques", "bp(padding=edge)"], "padding must be reflect or zero"),
    ([*TRAIN, "--techniques", "bp("], "cannot read technique 'bp('"),
    ([*TRAIN, "--techniques", "oc", "--lr", "0.1"], "leave it out and write oc(max_lr=0.1)"),
    ([*TRAIN, "--augment", "mirror"], "unknown augmentation 'mirror'; choose from flip, rotate, s"),
    ([*TRAIN, "--optimizer", "lion"], "unknown optimizer 'lion'; choose from sgd, adam, adamw"),
    ([*TRAIN, "--precision", "fp16"], "choose from bf16, fp32"),
    ([*TRAIN, "--lr", "fast"], "argument --lr: 'fast' is not a number"),
    ([*TRAIN, "--lr", "-1"], "lr is -1.0; it must be a number above 0"),
    ([*TRAIN, "--seeds", "0..2"], "write 0-2 for 0, 1, 2, or 0,3 for 0 and 3"),
    ([*TRAIN, "--seeds", "-1"], "seeds are '-1'"),
    ([*TRAIN, "--holdout", "3900"], "batch_size is 128, more than the 100 training images"),
    ([*TRAIN, "--threads", "0"], "threads is 0; it must be a whole number from 1 on"),
    ([*TRAIN, "--compile", "yes"], "unknown choice to compile 'yes'; choose from auto, on, off"),
    ([*TRAIN, "--device", "gpu"], "unknown device 'gpu' (did you mean 'cpu'?); choose from auto, "),
    (["sweep", "none.toml"], "there is no sweep file none.toml"),
    (
        ["sweep", "small.toml", "--cells", "smal"],
        "unknown cell of small.toml 'smal'; choose from small/",
    ),
    (["sweep", "small.toml", "--threads", "x"], "argument --threads: 'x' is not a whole number"),
    (["sweep", "small.toml", "--workers", "0"], "workers is 0; it must be"),
    (["sweep", "small.toml", "--workers", "all"], "argument --workers: 'all' is not a whole"),
    (["sweep", "small.toml", "--threads", "0"], "threads is 0; it must be a whole number"),
    (["sweep", "small.toml", "--seeds", "x"], "seeds are 'x'; write 0-2 for 0, 1, 2"),
    (["sweep", "small.toml", "--seeds", ""], "seeds are ''; write 0-2 for 0, 1, 2"),
    (["sweep", "small.toml", "--epochs", "0"], "small.toml: epochs is 0; it must be a"),
    (["sweep", "small.toml", "--device", "gpu"], "unknown device 'gpu' (did you mean 'cpu'?)"),
    (["score"], "the following arguments are required: FILE.toml (see effcnn score --help)"),
    (["score", "small.toml", "none.toml"], "there is no file or folder none.toml to score"),
    (["score", "results"], "there is no .toml file in results; course/submission.toml is one"),
    (["score", "small.toml", "--epochs", "16"], "epochs is 16; it must be from 1 to 15"),
    (["score", "small.toml", "--epochs", "0"], "epochs is 0; it must be from 1 to 15"),
    (["score", "small.toml", "--seeds", "two"], "seeds are 'two'; write 0-2 for 0, 1, 2"),
    (["score", "small.toml", "--csv", "none/out.csv"], "cannot write none/out.csv: it is no file"),
    (["score", "small.toml", "--use", "x.py"], "unknown argument '--use'"),
    (["results", "--results", "none"], "there is no results folder none"),
    (["results", "--csv", "none/runs.csv"], "cannot write none/runs.csv: Cannot save file into"),
    (["evaluate", "none"], "none is not a run: it has no run.json"),
    (["compare", "none", "small/small"], "folder of runs 'none'; choose from small/small"),
    (["compare", "small/small", "small/small"], "cell small/small has no run for seed 0"),
]
# These need pandas or torch to find out.
LATE = [
    (
        ["score", "small.toml"],
        "small: refused: unknown setting 'cells'; choose from model, tech",
    ),
    ([*TRAIN, "--results", "small.toml"], "cannot write to the results folder small.toml"),
    (["sweep", "small.toml", "--results", "small.toml"], "cannot write to the results folder"),
    (["sweep", "small.toml", "--device", "cuda:99"], "no device 'cuda:99' here; choose from"),
    ([*TRAIN, "--device", "cuda:99"], "no device 'cuda:99' here; choose from auto, cpu"),
]


@pytest.fixture
def folder(book, monkeypatch):
    (book / "sweeps" / "small.toml").write_text(SWEEP)
    (book / "small.toml").write_text(SWEEP)
    return book


def everything(folder):
    return sorted((path, path.is_file() and path.read_bytes()) for path in folder.rglob("*"))


@pytest.mark.parametrize(("words", "says"), BAD + LATE, ids=str)
def test_one_line_status_2_and_nothing_done(words, says, folder, own_results, capsys, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *_, **__: pytest.fail("loaded data"))
    before = everything(folder)
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("effcnn: ")
    assert says in err
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert everything(folder) == before
    assert not own_results.exists()


def python(code, folder):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bad_input_is_found_without_torch(folder):
    """So that the answer comes at once."""
    words = [words for words, _ in BAD if "--csv" not in words and words[0] != "compare"]
    assert len(words) > 25
    code = f"""
import sys
from effcnn.cli import main
for words in {words}:
    assert main(words) == 2, words
    assert "torch" not in sys.modules, words
"""
    python(code, folder)


@pytest.mark.parametrize("start", ["import effcnn", "import effcnn.cli", "help"])
def test_start_imports_nothing_heavy(folder, start):
    run = 'sys.argv = ["effcnn", "--help"]\ntry: runpy.run_module("effcnn", run_name="__main__")'
    code = f"""
import runpy, sys
{run if start == "help" else f"try: {start}"}
except SystemExit as stop: assert not stop.code
heavy = "torch torchvision numpy pandas scipy matplotlib seaborn mlxtend tqdm safetensors"
found = set(heavy.split()) & set(sys.modules)
assert not found, found
"""
    out = python(code, folder)
    assert ("run-notebook" in out) == (start == "help")


@pytest.mark.parametrize("words", [[], ["--help"], ["train", "--help"], ["--version"]])
def test_help_and_version_are_status_0(words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert not stop.value.code
    out, err = capsys.readouterr()
    assert "effcnn" in out
    assert err == ""


def test_closed_pipe_is_no_error(folder):
    """As in `effcnn results | true`."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "effcnn", "results"],
        **{"cwd": folder, "stdout": writer, "stderr": subprocess.PIPE, "check": False},
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
