"""`effcnn techniques` and a reader's own file of techniques."""

import pytest

from effcnn import catalogue, cli, models, techniques
from effcnn.techniques import create

OWN = """
from effcnn.techniques import Setting, Spec, Technique, positive

STD = Setting(0.1, "a guess", positive, "a number above 0")

class Noise(Technique, spec=Spec("noise", "pixel-noise", "Gaussian noise", {"std": STD})):
    def change_batch(self, images, targets, generator):
        return images + self.std * images.clone().normal_(generator=generator), targets
"""
TRAIN = ("train", "--dataset", "mnist-sample", "--model", "1.5k-dw", "--epochs", "1")


@pytest.fixture
def own(tmp_path, registry):
    path = tmp_path / "my_noise.py"
    path.write_text(OWN)
    return path


def test_what_each_technique_changes():
    assert {name: catalogue.acts_on(*create(name)) for name in techniques.SPECS} == {
        **dict.fromkeys(("bp", "se"), "the net"),
        **dict.fromkeys(("co", "m"), "each batch"),
        "ls": "the loss",
        "sam": "the optimizer",
        "swa": "the weights after training",
        "oc": "the learning rate",
    }


def test_touched_layers_of_both_small_nets():
    for net, pools, blocks in (("mnist-1.5k-dw", 2, 5), ("cifar10-143k-dw", 3, 9)):
        layers, added, said = catalogue.touched(*create("bp"), net)
        assert layers == [f"pool{i + 1}" for i in range(pools)]
        assert (added, said) == (0, "")
        layers, added, _ = catalogue.touched(*create("se"), net)
        assert len(layers) == blocks
        sizes = [dict(models.build(net).named_modules())[name].out_channels for name in layers]
        assert added == sum(2 * size * max(1, size // 4) for size in sizes)
    assert catalogue.touched(*create("co"), "mnist-25k") == ([], 0, "")
    assert catalogue.touched(*create("bp(layers=conv)"), "mnist-25k")[2].startswith(
        "BlurPool has nothing"
    )


def test_the_page_names_every_setting_with_its_default_and_source(capsys):
    assert cli.main(["techniques"]) == 0
    shown = capsys.readouterr().out
    for spec in techniques.SPECS.values():
        names = spec.short if spec.short == spec.word else f"{spec.short}, {spec.word}"
        assert f"{names}: {spec.about}" in shown.splitlines()
        for key, setting in spec.settings.items():
            assert f"    {key}={setting.default}  {setting.says}" in shown
            assert f"default {setting.default} ({setting.source})" in shown
    assert "in mnist-1.5k-dw: pool1, pool2; no parameters more" in shown
    assert cli.main(["techniques", "co(length=8)+bp", "--model", "mnist-25k"]) == 0
    first, second = capsys.readouterr().out.strip().split("\n\n")
    assert first.startswith("bp, ")
    assert "length=8  a whole number" in second


def test_a_file_of_ones_own(own, capsys, tmp_path):
    store = tmp_path / "store"
    words = ["--techniques", "noise(std=0.2)+oc", "--results", str(store), "--use", str(own)]
    assert cli.main([*TRAIN, *words]) == 0
    assert len(list(store.glob("mnist-sample/1.5k-dw/oc+noise(std=0.2)/seed0-*/run.json"))) == 1
    assert cli.main(["techniques", "noise", "--use", str(own)]) == 0
    assert "noise, pixel-noise: Gaussian noise" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no Python file "),
        ("x = 1\n", "defines no technique"),
        ("import nonsense_that_is_not_there\n", "ModuleNotFoundError: No module named"),
        ("def f(:\n", "SyntaxError: "),
        (OWN.replace('"noise"', '"bp"'), "technique 'bp' (pixel-noise) is taken by"),
    ],
)
def test_a_bad_file_is_one_line(content, says, own, capsys):
    own.unlink()
    if content:
        own.write_text(content)
    assert cli.main(["techniques", "--use", str(own)]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert error.count("\n") == 0
