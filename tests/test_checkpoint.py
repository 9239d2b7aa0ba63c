"""A checkpoint keeps all to the bit; one that is damaged, hostile or foreign is not used."""

import shutil

import pytest
import torch
from crashes import CONTENT, bits, forged, leftovers, recipe, start, train
from safetensors.torch import save

from effcnn import checkpoint
from effcnn.errors import UserError
from effcnn.train import Trainer

WANTED = recipe(2, "sam+swa(start=0.5)", batch_size=64)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return bits(train(WANTED, tmp_path_factory.mktemp("whole"), keep_epochs=True))


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A store with the first half of a training."""
    root = tmp_path_factory.mktemp("half")
    start(root, WANTED, keep_epochs=True)
    return root


def same(first, second):
    """Types, order of keys, memory of its own: all but the layout of tensors."""
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert list(first) == list(second)
        same(list(first.values()), list(second.values()))
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            same(one, other)
    else:
        assert first == second


def test_a_tree_comes_back_as_it_was(tmp_path):
    shared = torch.arange(24.0).view(1, 4, 2, 3).to(memory_format=torch.channels_last)
    tree = {
        "numbers": [0.1, 1e-310, -0.0, 2**63, 1.0, 1, float("inf")],
        3: {0: (1, "2", None), 1: [], -1: (), "0": {}},
        "truths": [True, False, (None, [True])],
        "tensors": [shared, shared[:, 1:3], shared.expand(2, 4, 2, 3), torch.tensor(3)],
        "types": [
            torch.tensor([True, False]),
            torch.tensor([0, 255], dtype=torch.uint8),
            torch.tensor([-1.5, 3e38]).bfloat16(),
            torch.zeros(0, 3),
            torch.tensor([2**62 + 1]),
        ],
        'a "name"/with \n\\ é': "text",
    }

    class Holder:
        def state_dict(self):
            return tree

    checkpoint.write(tmp_path / "x", Holder(), {"made": 1.5})
    same(checkpoint.read(tmp_path / "x"), {"state": tree, "made": {"made": 1.5}})
    tree["odd"] = {1, 2}
    with pytest.raises(UserError, match=r"a checkpoint cannot hold \{1, 2\}: let state_dict"):
        checkpoint.write(tmp_path / "y", Holder(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_momentum_lies_in_memory_as_its_weights_do(half):
    path = half / ".partial" / f"{WANTED.hash}.safetensors"
    trainer = Trainer(WANTED, CONTENT)
    trainer.load_state_dict(checkpoint.read(path)["state"])
    states = trainer.optimizer.state
    assert any(not weight.is_contiguous() for weight in states)
    for weight, state in states.items():
        assert state["momentum_buffer"].stride() == weight.stride()


def flipped(place):
    def damage(path):
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] ^= 4
        path.write_bytes(content)

    return damage


def with_tree(text):
    return lambda path: path.write_bytes(
        save({}, {"tree": text, "sha256": checkpoint._digest(text, {})})
    )


def momentum(saved):
    return saved["state"]["optimizer"]["base"]["state"][0]


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "a long header": lambda path: path.write_bytes(b"\xff" * 8 + b"{}"),
    "a pickle": lambda path: path.write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR."),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "weights": lambda path: path.write_bytes(save({"conv1.conv.weight": torch.zeros(3)})),
    **{f"a bit at {place}": flipped(place) for place in (0, 0.01, 0.1, 0.3, 0.6, 0.9, 0.9999)},
    "deep": with_tree("[" * 100_000),
    "no tree": with_tree("3"),
    "unknown kind": with_tree('{"object": [["a", 1]]}'),
    "unknown tensor": with_tree('{"tensor": "0"}'),
    "no state": forged(lambda saved: saved.pop("state")),
    "another recipe": forged(lambda saved: saved["state"].update(recipe=recipe(2, "").json())),
    "a weight less": forged(lambda saved: saved["state"]["model"].popitem()),
    "huge weights": forged(
        lambda saved: saved["state"]["model"].update({"conv1.conv.weight": torch.zeros(10**6)})
    ),
    "a short momentum": forged(lambda saved: momentum(saved).update(momentum_buffer=torch.ones(1))),
    "text for momentum": forged(lambda saved: momentum(saved).update(momentum_buffer="fast")),
    "text for a rate": forged(
        lambda saved: saved["state"]["optimizer"]["base"]["param_groups"][0].update(lr="fast")
    ),
    "short generators": forged(
        lambda saved: saved["state"]["generators"].update(order=torch.zeros(3, dtype=torch.uint8))
    ),
    "another average": forged(lambda saved: saved["state"]["techniques"].update(swa={"a": 1})),
    "another technique": forged(lambda saved: saved["state"]["techniques"].update(oc={})),
    "no history": forged(lambda saved: saved["state"].update(history=[])),
    "a long history": forged(lambda saved: saved["state"]["history"].extend([{"epoch": 2}] * 5)),
    "text in the history": forged(lambda saved: saved["state"]["history"][0].update(lr="1")),
    "another status": forged(lambda saved: saved["state"].update(status="great")),
    "no time": forged(lambda saved: saved["state"].update(seconds=0.0)),
    "no start": forged(lambda saved: saved["made"].pop("started")),
    "text for a machine": forged(lambda saved: saved["made"].update(machine="a fast one")),
    "odd sources": forged(lambda saved: saved["made"].update(sources={"sam": 3})),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_checkpoint_is_named_and_not_used(root, half, whole, name, monkeypatch):
    shutil.copytree(half, root)
    path = root / ".partial" / f"{WANTED.hash}.safetensors"
    DAMAGE[name](path)
    monkeypatch.chdir(root)
    with pytest.warns(UserWarning, match="this training starts from the beginning") as said:
        run = train(WANTED, root, keep_epochs=True)
    assert len(said) == 1
    text = str(said[0].message)
    assert text.startswith(f"{path} is damaged (")
    assert "\n" not in text
    assert bits(run) == whole
    assert "resumed" not in run.record
    assert leftovers(root) == [f"{path.name}.damaged"]
    assert not (root / "hacked").exists()
