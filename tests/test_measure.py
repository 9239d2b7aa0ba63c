"""Costs: against counts by hand, the paper's layer table, and what the gradient really sees."""

import copy
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from effcnn import ledger, measure, models, paper
from effcnn.techniques.squeeze_excite import apply_squeeze_excite

nine = pytest.mark.parametrize("name", models.names())


def size(name):
    return (3, 32, 32) if name.startswith("cifar10") else (1, 28, 28)


def slow_macs(name):
    """Multiplications of every layer, from the table alone: k * k * inputs * outputs * H * W."""
    group, short = models.split(name)
    channels, height, _ = size(name)
    total = 0
    for word in models.ARCHITECTURES[group][short].split()[:-2]:
        if word == "M":
            height //= 2
            continue
        width = int(word.lstrip("DWTB"))
        if word.startswith("DW"):
            total += 9 * channels * height**2 + channels * width * height**2
        else:
            total += (1 if word.startswith("TB") else 9) * channels * width * height**2
        channels = width
    return total + channels * 10


@pytest.mark.parametrize(
    ("net", "macs"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), 3 * 8 * 9 * 6 * 10),
        (nn.Conv2d(3, 8, 3), 3 * 8 * 9 * 4 * 8),
        (nn.Conv2d(3, 8, 3, padding=1, stride=2), 3 * 8 * 9 * 3 * 5),
        (nn.Conv2d(3, 3, 3, padding=1, groups=3), 3 * 9 * 6 * 10),
        (nn.Conv2d(3, 8, 1, bias=False), 3 * 8 * 6 * 10),
        (nn.Sequential(nn.Flatten(), nn.Linear(180, 7)), 180 * 7),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)), 0),
    ],
    ids=str,
)
def test_macs_by_hand(net, macs):
    assert measure.macs(net, (3, 6, 10)) == macs


@nine
def test_macs_of_the_nets(name):
    net = models.build(name)
    assert measure.macs(net, size(name)) == slow_macs(name)
    assert sum(row.macs for row in measure.ledger(net, size(name))) == slow_macs(name)


def test_parameters_are_the_trainable_ones_and_shared_ones_count_once():
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, layer, nn.BatchNorm1d(3), nn.Linear(3, 5))
    net[3].weight.requires_grad_(False)
    assert measure.count_parameters(net) == (9 + 3) + (3 + 3) + 5


@nine
def test_receptive_field_is_what_the_gradient_sees(name):
    """All weights 1, so that nothing cancels, and means for maxima, which look at one pixel."""
    net = models.build(name)
    rows = measure.ledger(net, size(name))
    stop = [row.kind for row in rows].index("AdaptiveAvgPool2d")
    assert rows[stop].receptive_field == size(name)[1]
    seen = copy.deepcopy(net[: list(dict(net.named_children())).index("gap")]).double().eval()
    for child, module in seen.named_children():
        if isinstance(module, nn.MaxPool2d):
            setattr(seen, child, nn.AvgPool2d(2))
    for parameter in seen.parameters():
        nn.init.ones_(parameter)
    image = torch.ones(1, size(name)[0], 200, 200, dtype=torch.double, requires_grad=True)
    features = seen(image)
    middle = features.shape[2] // 2
    features[0, 0, middle, middle].backward()
    touched = image.grad[0, 0].nonzero()
    extent = touched.max(0).values - touched.min(0).values + 1
    assert extent.tolist() == [rows[stop - 1].receptive_field] * 2


def test_ledger_rows_in_the_order_they_run():
    net = models.from_layers("4 M DW6 TB5 GAP 10", 2, bias=True)
    rows = measure.ledger(net, (2, 8, 12))
    assert [(row.kind, row.shape, row.params, row.macs, row.receptive_field) for row in rows] == [
        ("conv 3x3", (4, 8, 12), 2 * 4 * 9 + 4, 2 * 4 * 9 * 96, 3),
        ("BatchNorm2d", (4, 8, 12), 8, 0, 3),
        ("ReLU", (4, 8, 12), 0, 0, 3),
        ("MaxPool2d", (4, 4, 6), 0, 0, 4),
        ("depth-wise 3x3", (4, 4, 6), 4 * 9 + 4, 4 * 9 * 24, 8),
        ("point-wise 1x1", (6, 4, 6), 4 * 6 + 6, 4 * 6 * 24, 8),
        ("BatchNorm2d", (6, 4, 6), 12, 0, 8),
        ("ReLU", (6, 4, 6), 0, 0, 8),
        ("point-wise 1x1", (5, 4, 6), 6 * 5 + 5, 6 * 5 * 24, 8),
        ("AdaptiveAvgPool2d", (5, 1, 1), 0, 0, 12),
        ("point-wise 1x1", (10, 1, 1), 50, 50, 12),
        ("Flatten", (10,), 0, 0, 12),
    ]
    assert [row.name for row in rows][:3] == ["conv1.conv", "conv1.bn", "conv1.relu"]


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [
        ("4 GAP 10", 2 * 96 + 4 * 96),
        ("4 16 GAP 10", 4 * 96 + 16 * 96),
        ("16 M 4 GAP 10", 16 * 96 + 16 * 24),  # the pooling, not a convolution
        ("8 M 64 GAP 10", 8 * 24 + 64 * 24),
        ("DW9 GAP 10", 2 * 96 + 9 * 96),
    ],
)
def test_activation_bytes_by_hand(layers, numbers):
    rows = measure.ledger(models.from_layers(layers, 2, bias=False), (2, 8, 12))
    assert measure.activation_bytes(rows) == 4 * numbers


@pytest.mark.parametrize(("channels", "layers"), [(1, "8 M 8 GAP 10"), (3, "DW5 TB4 GAP 7")])
def test_bytes_are_those_of_the_files(tmp_path, channels, layers):
    net = models.from_layers(layers, channels, bias=True).to(memory_format=torch.channels_last)
    state = {name: value.contiguous() for name, value in net.state_dict().items()}
    save_file(state, tmp_path / "net.safetensors")
    # torch.save writes the name of the file into it; without a file it is "archive".
    torch.save(net.state_dict(), tmp_path / "archive.pt")
    assert measure.size_bytes(net) == (tmp_path / "net.safetensors").stat().st_size
    assert measure.torch_bytes(net) == (tmp_path / "archive.pt").stat().st_size


def test_a_file_consists_of_weights_statistics_names_and_container(tmp_path):
    net = models.build("mnist-1.5k-dw")
    parts = measure.checkpoint_parts(net)
    torch.save(net.state_dict(), tmp_path / "archive.pt")
    with zipfile.ZipFile(tmp_path / "archive.pt") as file:
        tensors = [i.file_size for i in file.infolist() if "/data/" in i.filename]
        pickled = file.getinfo("archive/data.pkl").file_size
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert parts["weights"] == 4 * 1560
    assert parts["statistics"] == sum(2 * 4 * m.num_features + 8 for m in norms)
    assert parts["weights"] + parts["statistics"] == sum(tensors)
    assert parts["names"] == pickled
    assert sum(parts.values()) == (tmp_path / "archive.pt").stat().st_size


def test_safetensors_is_the_numbers_and_a_short_header():
    net = models.build("mnist-25k")
    numbers = sum(v.numel() * v.element_size() for v in net.state_dict().values())
    assert numbers < measure.size_bytes(net) < numbers + 100 * len(net.state_dict())


def test_measuring_leaves_the_net_alone():
    net = models.build("mnist-1.5k-dw").train()
    before = copy.deepcopy(net.state_dict())
    rows = measure.ledger(net, (1, 28, 28))
    measure.macs(net, (1, 28, 28))
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    net(torch.randn(3, 1, 9, 8))
    assert len(rows) == len([m for m in net.modules() if not list(m.children())])
    measure.macs(net.eval(), (1, 28, 28))
    assert not net.training


def test_latency_is_the_median_without_the_warm_up():
    durations = [100.0, 3.0, 1.0, 2.0]
    ticks = iter([tick for seconds in durations for tick in (50.0, 50.0 + seconds)])
    sizes = []
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2), nn.Dropout())
    net.register_forward_hook(
        lambda module, inputs, _: sizes.append((len(inputs[0]), module.training))
    )
    images = torch.zeros(7, 3, 2, 2)
    timing = measure.latency(net, images, batch_size=3, repeats=3, clock=lambda: next(ticks))
    assert (timing.low, timing.median, timing.high, timing.threads) == (1, 2, 3, 1)
    assert sizes == [(3, False), (3, False), (1, False)] * 4
    assert net.training


def test_ledger_of_the_nine_nets():
    table = ledger.frame()
    assert list(table["model"]) == models.names()
    printed = table.dropna(subset="params_paper")
    assert len(printed) == len(paper.PARAMETERS) == 8
    assert (printed["params"] == printed["params_paper"]).all()
    first = table.iloc[0]
    assert first["receptive_field"] == 3 + 2 + 1 + 4 + 4 + 2
    assert first["activation_kib"] == (8 + 16) * 28 * 28 * 4 / 1024
    layers = ledger.layers("mnist-25k")
    assert list(layers["shape"][:1]) == ["8×28×28"]
    assert layers["macs"].sum() == first["macs"]
    assert layers["sees"].iloc[-1] == 28


@pytest.mark.parametrize("name", ["mnist-1.5k-dw", "cifar10-143k-dw"])
def test_a_gated_net_loses_nothing_in_the_ledger(name):
    model = models.build(name)
    plain = [row.name for row in measure.ledger(model, size(name))]
    gated = apply_squeeze_excite(model)
    rows = measure.ledger(model, size(name))
    assert set(plain) < {row.name for row in rows}
    assert {row.name for row in rows if row.kind == "Linear"} == {
        f"{conv}.se.{part}" for conv in gated for part in ("squeeze", "expand")
    }
    assert sum(row.params for row in rows) == measure.count_parameters(model)
    assert sum(row.macs for row in rows) == measure.macs(model, size(name))
