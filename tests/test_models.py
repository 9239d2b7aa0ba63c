"""The nine nets: the paper's counts and layer tables, read back from the modules themselves."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from effcnn import models
from effcnn.errors import UserError

# The paper's counts; 5,016 follows from the seventh column of its Table 1.
NETS = {
    "mnist-25k": (25_144, "1-8-16 M 32-64 M GAP 10"),
    "mnist-7k": (7_767, "1-8-12 TB8 M 12-16 TB12 M 15-15 GAP 10"),
    "mnist-7k-dw": (7_611, "1-10-DW12 TB10 M 13-16 TB12 M 15-15 GAP 10"),
    "mnist-5k": (5_712, "1-8-12 TB8 M 12-16 TB12 M 15 GAP 10"),
    "mnist-5k-dw": (5_616, "1-8-DW12 TB8 M 13-18 TB12 M 16 GAP 10"),
    "mnist-1.5k-dw": (1_560, "1-8-DW12 TB8 M DW12-DW16 TB12 M DW15 GAP 10"),
    "mnist-5k-dw-narrow": (5_016, "1-8-DW12 TB8 M 12-16 TB12 M 15 GAP 10"),
    "cifar10-143k": (143_208, "3-16-16 M 32-32 M 64-64 M 120 GAP 10"),
    "cifar10-143k-dw": (143_396, "3-16-16 M DW32-32 M DW64-64 M DW128-DW192-DW260 GAP 10"),
}
nine = pytest.mark.parametrize("name", NETS)


def described(net):
    """The layers as words such as conv1-8, dw8, pw8-12, bn12, read from every leaf module."""
    for module in net.modules():
        match module:
            case nn.Conv2d(kernel_size=(3, 3), padding=(1, 1), groups=1):
                yield f"conv{module.in_channels}-{module.out_channels}"
            case nn.Conv2d(kernel_size=(3, 3), padding=(1, 1)):
                assert module.groups == module.in_channels == module.out_channels
                yield f"dw{module.groups}"
            case nn.Conv2d(kernel_size=(1, 1), padding=(0, 0), groups=1):
                yield f"pw{module.in_channels}-{module.out_channels}"
            case nn.BatchNorm2d(affine=True):
                yield f"bn{module.num_features}"
            case nn.MaxPool2d(kernel_size=2, stride=2, padding=0):
                yield "max"
            case nn.AdaptiveAvgPool2d(output_size=1):
                yield "gap"
            case nn.ReLU() | nn.Flatten():
                yield type(module).__name__.lower()
            case _:
                assert isinstance(module, nn.Sequential)


def expected(layers):
    """The same words, from the paper's table."""
    first, *words = layers.replace("-", " ").split()
    channels = int(first)
    for word in words[:-2]:
        if word == "M":
            yield "max"
            continue
        width = int(word.lstrip("DWTB"))
        if word.startswith("TB"):
            yield f"pw{channels}-{width}"
        else:
            convs = [f"dw{channels}", f"pw{channels}-{width}"]
            yield from convs if word.startswith("DW") else [f"conv{channels}-{width}"]
            yield from (f"bn{width}", "relu")
        channels = width
    yield from ("gap", f"pw{channels}-{words[-1]}", "flatten")


def test_nine_names_in_the_papers_order():
    assert set(models.names()) == set(NETS)
    assert models.names()[0] == "mnist-25k"
    assert models.names()[-1] == "cifar10-143k-dw"


@nine
def test_count_is_the_papers(name):
    assert sum(p.numel() for p in models.build(name).parameters()) == NETS[name][0]


@nine
def test_layers_are_the_papers(name):
    assert list(described(models.build(name))) == list(expected(NETS[name][1]))


@nine
def test_biases(name):
    *convs, classifier = [m for m in models.build(name).modules() if isinstance(m, nn.Conv2d)]
    assert classifier.bias is None
    assert {conv.bias is not None for conv in convs} == {name.startswith("cifar10")}


@nine
@pytest.mark.parametrize(("height", "width"), [(8, 11), (28, 28), (33, 9)])
def test_logits_for_any_image_size(name, height, width):
    images = torch.randn(3, 3 if name.startswith("cifar10") else 1, height, width)
    assert models.build(name)(images).shape == (3, 10)


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_layers_of_ones_own(dataset):
    """Read back from the modules, with the biases of the data set's nets."""
    net = models.build(dataset, "6 TB4 M DW9 GAP 10")
    channels = models.FAMILIES[dataset].channels
    assert list(described(net)) == list(expected(f"{channels}-6 TB4 M DW9 GAP 10"))
    assert (net.tb1.bias is not None) == (dataset == "cifar10")
    assert net(torch.zeros(3, channels, 7, 5)).shape == (3, 10)


def test_depthwise_block_is_a_dense_convolution():
    """With weight[o, i] = pointwise[o, i] * depthwise[i], and nothing between the two."""
    block = models.from_layers("DW5 GAP 10", 4, bias=False)[0]
    images = torch.randn(3, 4, 7, 6)
    dense = block.pointwise.weight * block.depthwise.weight.transpose(0, 1)  # (5, 4, 3, 3)
    got = block.pointwise(block.depthwise(images))
    torch.testing.assert_close(got, F.conv2d(images, dense, padding=1))


def test_block_normalises_then_rectifies():
    block = models.from_layers("5 GAP 10", 4, bias=False)[0]
    images = torch.randn(3, 4, 7, 6)
    convolved = F.conv2d(images, block.conv.weight, padding=1)
    centred = convolved - convolved.mean((0, 2, 3), keepdim=True)
    variance = centred.square().mean((0, 2, 3), keepdim=True)
    expected = (centred / (variance + 1e-5).sqrt()).clamp(min=0)
    torch.testing.assert_close(block(images), expected)


def test_global_pooling_ignores_where_features_are():
    net = models.build("mnist-1.5k-dw").eval()
    cut = list(dict(net.named_children())).index("gap")
    features = torch.randn(3, 15, 7, 5)
    moved = features.flatten(2)[:, :, torch.randperm(35)].view_as(features)
    torch.testing.assert_close(net[cut:](moved), net[cut:](features))
    # And so the classifier may as well come first: the two are linear.
    torch.testing.assert_close(net.classifier(features).mean((2, 3)), net[cut:](features))


def test_weights_come_from_the_global_generator():
    built = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        built.append(models.build("mnist-25k").conv1.conv.weight)
    assert torch.equal(built[0], built[1])
    assert not torch.equal(built[0], built[2])


@pytest.mark.parametrize(
    ("given", "pair"),
    [
        (("mnist", "1.5k-dw"), ("mnist", "1.5k-dw")),
        (("mnist-1.5k-dw",), ("mnist", "1.5k-dw")),
        (("mnist", "mnist-1.5k-dw"), ("mnist", "1.5k-dw")),
        (("mnist-sample", "25k"), ("mnist", "25k")),
        (("mnist-sample", "mnist-25k"), ("mnist", "25k")),
        (("cifar10", " 143K-DW "), ("cifar10", "143k-dw")),
        (("mnist-sample", " 8 m  dw16 GAP 10"), ("mnist", "8 M DW16 GAP 10")),
        (("cifar10", "8 M M M M M GAP 10"), ("cifar10", "8 M M M M M GAP 10")),
        (("mnist", "8 16 M 32 64 M GAP 10"), ("mnist", "25k")),  # one meaning, one spelling
        (("cifar10", "8 16 M 32 64 M GAP 10"), ("cifar10", "8 16 M 32 64 M GAP 10")),
    ],
)
def test_forms_of_a_name(given, pair):
    assert models.split(*given) == pair


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("mnist-25",), "did you mean '25k'.*5k-dw-narrow"),
        (("resnet18",), "mnist-25k.*cifar10-143k-dw"),
        (("mnist", "143k"), "unknown model for mnist '143k'"),
        (("cifar10", "mnist-25k"), "not for cifar10; choose from 143k, 143k-dw"),
        (("imagenet", "25k"), "unknown data set 'imagenet'.*mnist, cifar10"),
        (("mnist", "25m"), "or write its layers: '8 M DW16 GAP 10'"),
        (("imagenet", "8 GAP 10"), "unknown data set 'imagenet'.*mnist, cifar10"),
        (("mnist", "8 GAP 11"), "write 'GAP 10', the classes of mnist"),
        (("mnist", "8 M M M M M GAP 10"), "5 M leave no pixel of 28x28"),
        (("mnist", "8 " * 100 + "GAP 10"), "have 206 characters; a recipe takes 200"),
    ],
)
def test_wrong_name(given, says):
    with pytest.raises(UserError, match=says):
        models.build(*given)


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ("", "the end must be 'GAP'"),
        ("GAP 10", "the end must be 'GAP'"),
        ("8 M 10", "the end must be 'GAP'"),
        ("8 GAP ten", "the end must be 'GAP'"),
        ("8 DW GAP 10", "cannot read 'DW'"),
        ("8 0 GAP 10", "cannot read '0'"),
        ("8 10000 GAP 10", "cannot read '10000'.*up to 9,999 channels"),
        ("8 \u0661 GAP 10", "cannot read"),  # a digit elsewhere
        ("8 GAP \u00b2", "the end must be 'GAP'"),
        ("8 -3 GAP 10", "cannot read '-3'"),
        ("8 m GAP 10", "cannot read 'm'"),
        ("8 GAP 8 GAP 10", "cannot read 'GAP'.*16, DW16, TB16 or M"),
    ],
)
def test_layers_that_cannot_be_read(layers, says):
    with pytest.raises(UserError, match=says):
        models.from_layers(layers, 1, bias=False)
