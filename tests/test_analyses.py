"""Analyses of trained nets: each against a net or a function whose answer is known."""

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from effcnn import analyses, cli, profiles, results, runs
from effcnn.analyses import gates, path, sharpness, shift, spectrum
from effcnn.data import Data, Split
from effcnn.errors import UserError
from effcnn.techniques.squeeze_excite import SqueezeExcite2d


@pytest.fixture
def content():
    """Eight images of 8x8 pixels, in two classes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (8, 1, 8, 8), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.arange(8) % 2)
    return Data(split, None, split, (0.5,), (0.25,))


def net(monkeypatch, module, model):
    """Let an analysis find this net in place of a run's."""
    monkeypatch.setattr(module.runs, "load", lambda run: model.eval())


def test_moving_by_pixels():
    images = torch.arange(49, dtype=torch.uint8).view(1, 1, 7, 7)
    down = shift.moved(images, 2, 0)
    assert torch.equal(down[..., 2:, :], images[..., :-2, :])
    assert torch.equal(down[..., :2, :], images[..., [2, 1], :])  # mirrored
    right = shift.moved(images, 0, -3)
    assert torch.equal(right[..., :-3], images[..., 3:])
    assert torch.equal(shift.moved(images, 0, 0), images)


def test_a_net_that_cannot_see_where_is_consistent(monkeypatch, content):
    blind = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    nn.init.zeros_(blind[1].weight)
    net(monkeypatch, shift, blind)
    found = shift.analyse(None, content)
    assert (found["consistency"], found["always"], found["images"]) == (100, 100, 8)


def test_a_net_that_looks_at_one_pixel_is_not(monkeypatch, content):
    class Pixel(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            value = x[:, 0, 4, 4] * self.weight
            return torch.stack([value, -value], 1)

    net(monkeypatch, shift, Pixel())
    found = shift.analyse(None, content)
    pixels = content.test.images[:, 0].double() / 255 > 0.5  # the mean: answer 0 above it
    same = torch.tensor(found["same"])
    assert same[3, 3] == 100
    # Moved down by 2 and right by 1, pixel (4, 4) shows what stood at (2, 3).
    expected = 100 * (pixels[:, 2, 3] == pixels[:, 4, 4]).double().mean()
    assert same[3 + 2, 3 + 1] == pytest.approx(expected.item())
    assert found["consistency"] == pytest.approx((same.sum().item() - 100) / 48, rel=1e-4)
    right = ~pixels[:, 2, 3] == content.test.labels.bool()
    assert found["accuracy"][5][4] == pytest.approx(100 * right.double().mean().item())


def test_gates_by_class(monkeypatch, content):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 1)
            self.conv.se = SqueezeExcite2d(4)

        def forward(self, x):
            return self.conv.se(self.conv(x)).mean((2, 3))

    model = Net()
    with torch.no_grad():
        model.conv.se.expand.weight.zero_()
        model.conv.se.squeeze.weight.fill_(1.0)
        model.conv.weight.fill_(1.0)
        model.conv.bias.zero_()
        model.conv.se.expand.weight[0] = 1.0
    net(monkeypatch, gates, model)
    found = gates.analyse(None, content)["blocks"]["conv"]
    means = ((content.test.images.double() / 255 - 0.5) / 0.25).mean((1, 2, 3))
    first = torch.sigmoid(F.relu(4 * means))
    for label in (0, 1):
        assert found["gates"][label][0] == pytest.approx(
            first[content.test.labels == label].mean().item(), rel=1e-3
        )
        assert found["gates"][label][1:] == [0.5, 0.5, 0.5]
    assert found["between"][1] == 0
    net(monkeypatch, gates, nn.Sequential(nn.Conv2d(1, 2, 1)))
    with pytest.raises(UserError, match="has no squeeze-and-excite"):
        gates.analyse(results.Run(None, None, {}), content)


@pytest.mark.parametrize(("size", "cycles"), [(28, 2), (28, 7), (28, 14), (31, 8), (31, 15)])
def test_a_wave_lands_at_its_frequency(size, cycles):
    wave = torch.cos(2 * math.pi * cycles * torch.arange(size) / size).expand(1, 1, size, size)
    for maps in (wave, wave.mT):
        profile, above = spectrum.power(maps + 3)
        assert len(profile) == size // 2
        assert profile[cycles - 1] == pytest.approx(1)
        assert above == pytest.approx(float(cycles / size > 0.25))


def test_white_noise_is_above_a_quarter_by_area():
    noise = torch.randn(200, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    _, above = spectrum.power(noise)
    inside = 17**2 - 1  # frequencies -8..8 of 32 in each direction, but the mean
    assert above.item() == pytest.approx(1 - inside / (32**2 - 1), abs=0.01)


def test_blur_lowers_what_is_above(monkeypatch, content):
    net(monkeypatch, spectrum, nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)))
    found = spectrum.analyse(None, content)["pools"]["0"]
    assert found["above blurred"] < found["above"]
    assert sum(found["dense"]) == pytest.approx(1, abs=1e-3)
    assert len(found["dense"]) == len(found["blurred"]) == found["size"] // 2


@pytest.fixture
def loss():
    """A small net with a curved loss, and its Hessian written out."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    images, labels = torch.randn(20, 3).double(), torch.arange(20) % 2
    found = sharpness.Loss(model, images, labels)
    sizes = [weight.numel() for weight in found.weights]

    def value(vector):
        parts = [p.view_as(w) for p, w in zip(vector.split(sizes), found.weights, strict=True)]
        names = [name for name, _ in model.named_parameters()]
        output = torch.func.functional_call(model, dict(zip(names, parts, strict=True)), images)
        return F.cross_entropy(output, labels)

    row = torch.cat([weight.detach().flatten() for weight in found.weights])
    return found, torch.autograd.functional.hessian(value, row)


def as_double(monkeypatch):
    draws = sharpness.draws
    monkeypatch.setattr(
        sharpness, "draws", lambda *args: ([p.double() for p in v] for v in draws(*args))
    )


def test_curvature_against_the_hessian(loss, monkeypatch):
    as_double(monkeypatch)
    found, hessian = loss
    curvature = found.curvature()
    values = torch.linalg.eigvalsh(hessian)
    largest = values[values.abs().argmax()].item()
    assert sharpness.top_eigenvalue(curvature, 500) == pytest.approx(largest, rel=0.02)
    total, error = sharpness.trace(curvature, 2000)
    assert abs(total - hessian.trace().item()) < 4 * error
    assert error < 0.1 * abs(hessian.trace().item()) + 0.05


def test_looking_elsewhere_leaves_the_weights(loss):
    found, _ = loss
    before, here = [w.clone() for w in found.weights], found().item()
    gradient = found.gradient()
    up = found.at(sharpness.scaled(gradient, 0.01))
    expected = 0.01 * sharpness.dot(gradient, gradient)
    assert up - here == pytest.approx(expected, rel=0.1)
    assert all(map(torch.equal, before, found.weights))


def test_directions_are_as_long_as_the_filters():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    conv, bias, scale, offset = sharpness.direction(list(model.parameters()), 2)
    assert torch.allclose(conv.flatten(1).norm(dim=1), model[0].weight.flatten(1).norm(dim=1))
    assert not any(part.any() for part in (bias, scale, offset))


def test_the_plane_goes_through_the_three_points():
    first, last, mean = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)).double()
    one, two = path.plane(first, last, mean)
    assert one.norm() == pytest.approx(1)
    assert (one @ two).item() == pytest.approx(0, abs=1e-12)
    for point in (first, last):
        away = point - mean
        inside = (away @ one) * one + (away @ two) * two
        assert torch.allclose(inside, away)
    with pytest.raises(UserError, match="there is no plane"):
        path.plane(first, last, (first + last) / 2)


@pytest.fixture(scope="module")
def swa_run(tmp_path_factory, small):
    root = tmp_path_factory.mktemp("store")
    return runs.train(small("swa+se+bp", epochs=8), root, keep_epochs=True)


def test_the_path_of_a_real_run(swa_run, sample, monkeypatch):
    for name, value in {"GRID": 3, "LINE": 3, "IMAGES": 160, "TESTED": 200}.items():
        monkeypatch.setattr(path, name, value)
    found = path.analyse(swa_run, sample)
    assert found["epochs"] == [6, 7, 8]
    points = torch.tensor(found["points"])
    assert torch.allclose(points.sum(0), torch.zeros(2), atol=1e-4)  # their mean is the origin
    gap = (points[-1] - points[0]).norm().item()
    weights = path.flat(runs.load(swa_run)).norm().item()
    assert found["apart"] == pytest.approx(gap / weights, rel=1e-3)
    assert found["line"][-1] == pytest.approx(found["ends"]["last"], rel=1e-3)
    # The stored net is the mean; the middle of the grid is where it lies.
    assert found["loss"][1][1] == pytest.approx(found["ends"]["mean"][0], rel=1e-3)


@pytest.mark.parametrize("name", analyses.NAMES)
def test_made_once_and_read_again(name, swa_run, tmp_path, monkeypatch):
    for module, less in (
        (sharpness, {"GRID": 2, "IMAGES": 100}),
        (path, {"GRID": 2, "LINE": 2, "IMAGES": 100, "TESTED": 100}),
        (spectrum, {"IMAGES": 100}),
        (shift, {"REACH": 1}),
    ):
        for constant, value in less.items():
            monkeypatch.setattr(module, constant, value)
    file = analyses.make(name, swa_run, tmp_path)
    record = json.loads(file.read_text())
    assert record["run"] == swa_run.recipe.folder
    assert record["provenance"]["torch"] == torch.__version__
    stamp = file.stat().st_mtime_ns
    assert analyses.make(name, swa_run, tmp_path) == file
    assert file.stat().st_mtime_ns == stamp
    assert analyses.read(name, swa_run, tmp_path) == record["result"]
    file.write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        analyses.read(name, swa_run, tmp_path)


def test_bad_input(trained, tmp_path, capsys):
    with pytest.raises(UserError, match="no analysis 'shift' of mnist-sample"):
        analyses.read("shift", trained, tmp_path)
    with pytest.raises(UserError, match="has 1 late epochs; a plane needs 3"):
        analyses.make("path", trained, tmp_path)
    assert cli.main(["analyse", "shifts", "x"]) == 2
    assert "unknown analysis 'shifts' (did you mean 'shift'?)" in capsys.readouterr().err
    bare = results.Run(tmp_path / "bare", trained.recipe, trained.record)
    with pytest.raises(UserError, match="kept its weights"):
        analyses.with_weights([bare])


def test_the_command_and_the_chapter(trained, own_results, monkeypatch, capsys):
    folder = str(trained.folder.parent)
    assert cli.main(["analyse", "spectrum", folder]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed == str(analyses.place("spectrum", trained, own_results))
    stored = json.loads(Path(printed).read_text())["result"]
    assert profiles.analysis("spectrum", [trained]) == stored
    with pytest.raises(UserError, match="no analysis 'gates'"):
        profiles.analysis("gates", [trained])
    monkeypatch.setattr(analyses, "make", lambda *args: pytest.fail("made again"))
    assert profiles.analysis("spectrum", [trained], "full") == stored
