"""Ctrl-C: once finishes the epoch, twice stops now; the same command goes on to the same bits."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from crashes import bits

from effcnn import interrupt, results, runs


def test_once_and_twice(capfd):
    before = signal.getsignal(signal.SIGINT)
    with interrupt.gently() as hand:
        assert not hand.stop()
        signal.raise_signal(signal.SIGINT)
        assert hand.stop()
        said = capfd.readouterr().err
        assert said == "\neffcnn: stopping after this epoch; Ctrl-C again stops now\n"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_before_comes_back_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), interrupt.gently():
        1 / 0  # noqa: B018
    assert signal.getsignal(signal.SIGINT) is before


def test_where_ctrl_c_is_ignored_it_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt.gently() as hand:
            signal.raise_signal(signal.SIGINT)
            assert not hand.stop()
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_nothing_changes():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with interrupt.gently() as hand:
            seen.append((hand.stop(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


def until(process, words):
    """Read what a command says until it says `words`."""
    for line in process.stderr:
        if words in line:
            return
    pytest.fail(f"ended before it said {words}")


def ended(process):
    with process:
        said = process.stderr.read()
    return process.returncode, said


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_command_that_is_stopped_and_killed(own_results, tmp_path, small):
    """As a user does it: killed, stopped once, stopped twice, and in the end left alone."""
    wanted = small(epochs=6, train_images=1_000)
    words = wanted.command().split()
    command = [sys.executable, "-m", *words, "--threads", "1", "--device", "cpu", "--keep-epochs"]

    def run():
        return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    process = run()
    until(process, "epoch 1/6")
    process.kill()
    assert ended(process)[0] == -signal.SIGKILL

    process = run()
    until(process, "goes on after epoch")
    until(process, ", validation")
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130
    there = f"0 of 1 runs are in {own_results}; the same command goes on from there"
    last = re.fullmatch(r"effcnn: stopped after epoch ([1-5]) of 6; (.*)", said.splitlines()[-1])
    done = int(last[1])
    assert last[2] == there

    process = run()
    until(process, f"goes on after epoch {done} of 6")
    process.send_signal(signal.SIGINT)
    until(process, "Ctrl-C again stops now")
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130
    assert said.splitlines()[-1] == f"effcnn: stopped within an epoch; {there}"

    flags = {"threads": 1, "device": "cpu", "keep_epochs": True}
    run = runs.train(wanted, own_results, **flags)
    assert [part["epochs"] for part in run.record["resumed"]][-1] == done
    assert bits(run) == bits(runs.train(wanted, tmp_path / "whole", **flags))
    assert results.runs(own_results) == [run]
    assert not list((own_results / ".partial").iterdir())
