"""Weights from anywhere: what is not those of the net is refused in one line."""

import pytest
import torch
from safetensors.torch import save

from effcnn import models, results, runs
from effcnn.errors import UserError


def damage(what):
    """Bytes that are not the weights of this net."""
    good = {k: v.contiguous() for k, v in models.build("mnist-1.5k-dw").state_dict().items()}
    other = {k: v.contiguous() for k, v in models.build("mnist-5k").state_dict().items()}
    name, weight = next(iter(good.items()))
    count = next(name for name in good if name.endswith("num_batches_tracked"))
    huge = b'{"a":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (2**40, 2**42)
    text = save(good)
    twice = text[8 : 8 + int.from_bytes(text[:8], "little")].rstrip()
    twice = b"%b,%b" % (twice[:-1], twice[1:])
    return {
        "empty": b"",
        "noise": bytes(range(256)) * 40,
        "header of 2**64 - 1 bytes": b"\xff" * 8 + b"{}",
        "cut short": save(good)[:-100],
        "cut in the header": save(good)[:100],
        "pickle": b"cos\nsystem\n(S'touch hacked'\ntR.",
        "another net": save(other),
        "a tensor less": save(dict(list(good.items())[1:])),
        "a tensor more": save({**good, "extra": torch.zeros(1)}),
        "no tensor": save({}),
        "a huge tensor": len(huge).to_bytes(8, "little") + huge,
        "a huge empty shape": save({**good, name: weight[:0]}),
        "another order": save({**good, name: weight.transpose(0, 1).contiguous()}),
        "doubles": save({**good, name: weight.double()}),
        "whole numbers": save({**good, name: weight.int()}),
        "a count in floats": save({**good, count: good[count].float()}),
        "names twice": (
            len(twice).to_bytes(8, "little")
            + twice
            + text[8 + int.from_bytes(text[:8], "little") :]
        ),
    }[what]


@pytest.mark.parametrize(
    "name",
    [
        *("empty", "noise", "header of 2**64 - 1 bytes", "cut short", "cut in the header"),
        *("pickle", "another net", "a tensor less", "a tensor more", "no tensor"),
        *("a huge tensor", "a huge empty shape", "another order", "doubles", "whole numbers"),
        *("a count in floats", "names twice"),
    ],
)
def test_bad_weights_are_one_line(root, small, record, monkeypatch, name):
    run = results.write(root, small(), record(), {"weights.safetensors": damage(name)})
    monkeypatch.chdir(root)
    with pytest.raises(UserError, match=r"weights\.safetensors is not the weights") as error:
        runs.load(run)
    assert "\n" not in str(error.value)
    assert ("a name stands in it twice" in str(error.value)) == (name == "names twice")
    assert str(run.folder) in str(error.value)
    assert not (root / "hacked").exists()
