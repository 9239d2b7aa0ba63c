"""How sharp is the minimum that training found? Three measures, and a picture.

All on the training loss: plain cross-entropy of the first training images in float32, with
BatchNorm as in evaluation.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effcnn import runs
from effcnn.analyses import Show, rounded
from effcnn.data import Data, normalise
from effcnn.results import Run

IMAGES = 2_000
RADII = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
PROBES = 30  # random vectors for the trace
POWER_STEPS = 30
GRID = 17  # points per side of the picture
PICTURE_IMAGES = 500
REACH = 0.25  # of the picture, in lengths of the weights; further out the loss only explodes


class Loss:
    """The loss of a net on fixed images, as a function of its weights.

    Attributes:
        weights: those of the net, in training; `at` puts others in their place for a while.
    """

    def __init__(self, model: nn.Module, images: Tensor, targets: Tensor) -> None:
        self.model, self.images, self.targets = model.eval(), images, targets
        self.weights = list(model.parameters())

    def __call__(self) -> Tensor:
        return F.cross_entropy(self.model(self.images), self.targets)

    def gradient(self, graph: bool = False) -> list[Tensor]:
        return list(torch.autograd.grad(self(), self.weights, create_graph=graph))

    def curvature(self) -> "Curvature":
        return Curvature(self.weights, self.gradient(graph=True))

    @torch.no_grad()
    def at(self, move: list[Tensor]) -> float:
        """The loss where the weights are moved; they are put back to the bit."""
        kept = [weight.clone() for weight in self.weights]
        try:
            torch._foreach_add_(self.weights, move)
            return self().item()
        finally:
            torch._foreach_copy_(self.weights, kept)


class Curvature:
    """The Hessian as a map from vectors to vectors; it is never written out."""

    def __init__(self, weights: list[Tensor], gradient: list[Tensor]) -> None:
        self.weights, self.gradient = weights, gradient

    def times(self, vector: list[Tensor]) -> list[Tensor]:
        return list(torch.autograd.grad(self.gradient, self.weights, vector, retain_graph=True))


def dot(one: list[Tensor], two: list[Tensor]) -> float:
    return sum((a.double() * b.double()).sum().item() for a, b in zip(one, two, strict=True))


def scaled(vector: list[Tensor], factor: float) -> list[Tensor]:
    return list(torch._foreach_mul(vector, factor))


def draws(weights: list[Tensor], seed: int) -> Iterator[list[Tensor]]:
    """Random vectors of the weights' shapes, normal, one after the other."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield [torch.randn(weight.shape, generator=generator) for weight in weights]


def top_eigenvalue(curvature: Curvature, steps: int = POWER_STEPS) -> float:
    """The eigenvalue of the Hessian that is largest in size, by power iteration."""
    vector = next(draws(curvature.weights, 0))
    value = 0.0
    for _ in range(steps):
        vector = scaled(vector, 1 / math.sqrt(dot(vector, vector)))
        product = curvature.times(vector)
        before, value = value, dot(vector, product)
        if abs(value - before) <= 1e-3 * abs(value):
            break
        vector = product
    return value


def trace(curvature: Curvature, probes: int = PROBES) -> tuple[float, float]:
    """The trace of the Hessian by Hutchinson's random signs: estimate and its standard error."""
    values = []
    for _, vector in zip(range(probes), draws(curvature.weights, 1), strict=False):
        signs = [torch.where(part > 0, 1.0, -1.0) for part in vector]
        values.append(dot(signs, curvature.times(signs)))
    samples = torch.tensor(values, dtype=torch.double)
    return samples.mean().item(), (samples.std() / math.sqrt(probes)).item()


def direction(weights: list[Tensor], seed: int) -> list[Tensor]:
    """A random direction in which every filter is as long as the net's own (Li et al. 2018).

    BatchNorm's parameters do not move.
    """
    found = []
    for weight, part in zip(weights, next(draws(weights, seed)), strict=True):
        if weight.dim() < 2:
            found.append(torch.zeros_like(weight))
            continue
        axes = tuple(range(1, weight.dim()))
        length = torch.linalg.vector_norm(weight.detach(), dim=axes, keepdim=True)
        found.append(part * length / torch.linalg.vector_norm(part, dim=axes, keepdim=True))
    return found


def analyse(run: Run, content: Data, show: Show = iter) -> dict:
    """The sharpness of a run's last weights.

    Returns: `loss`; `top`, the Hessian's largest eigenvalue; `trace` and `trace error`; `rise`, by
        radius how much the loss rises along the gradient, which is how SAM looks around;
        `picture`, the loss on a square of two random directions around the weights, 17x17, from
        minus to plus `reach` in each, in lengths of each filter.
    """
    images = normalise(content.train.images[:IMAGES], content.mean, content.std)
    labels = content.train.labels[:IMAGES]
    loss = Loss(runs.load(run), images, labels)
    curvature = loss.curvature()
    top, (total, error) = top_eigenvalue(curvature), trace(curvature)
    gradient = [part.detach() for part in curvature.gradient]
    here, length = loss().item(), math.sqrt(dot(gradient, gradient))
    rise = {
        str(radius): rounded(loss.at(scaled(gradient, radius / length)) - here) for radius in RADII
    }
    few = Loss(loss.model, images[:PICTURE_IMAGES], labels[:PICTURE_IMAGES])
    one, two = direction(few.weights, 2), direction(few.weights, 3)
    side = torch.linspace(-REACH, REACH, GRID).tolist()
    picture = [
        [few.at(list(torch._foreach_add(scaled(one, x), two, alpha=y))) for x in side]
        for y in show(side)
    ]
    return {
        "images": len(labels),
        "loss": rounded(here),
        "top": rounded(top),
        "trace": rounded(total),
        "trace error": rounded(error),
        "rise": rise,
        "reach": REACH,
        "picture": rounded(picture, 4),
    }
