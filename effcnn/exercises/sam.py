"""Checks of the chapter on sharpness-aware minimisation."""

import numpy as np
import torch

from effcnn.exercises import Wrong, checked, number


@checked
def step(answer) -> None:
    """Where a step of SAM leads on 3 w**2 from 2, with rho 1 and rate 0.1."""
    hint = "the gradient at w + rho, the step from w"
    for wrong, reason in (
        (2 - 0.1 * 12, "that is a step of plain gradient descent"),
        (3 - 0.1 * 18, "that step starts from the raised weight"),
    ):
        if np.isclose(answer, wrong):
            raise Wrong(reason)
    number(answer, 2 - 0.1 * 18, hint, within=1e-6)


@checked
def flat(answer) -> None:
    """The factor between the curvatures of w**2 and (10 w)**2."""
    number(answer, 100, "compare the second derivatives", within=1e-6)


@checked
def own(answer) -> None:
    """A function that does one step of SAM on two tensors of weights."""
    start = [torch.tensor([1.0, -2.0]), torch.tensor([[0.5]])]
    scale = [torch.tensor([1.0, 3.0]), torch.tensor([[10.0]])]

    def after(step) -> list[torch.Tensor]:
        weights = [part.clone().requires_grad_() for part in start]

        def loss() -> torch.Tensor:
            return sum((s * w**2).sum() for s, w in zip(scale, weights, strict=True))

        step(weights, loss)
        return [weight.detach() for weight in weights]

    def right(weights, loss) -> None:
        gradient = [2 * s * w.detach() for s, w in zip(scale, weights, strict=True)]
        norm = sum((part**2).sum() for part in gradient).sqrt()
        with torch.no_grad():
            for s, w, part in zip(scale, weights, gradient, strict=True):
                w -= 0.01 * 2 * s * (w + 0.2 * part / norm)

    def per_tensor(weights, loss) -> None:
        with torch.no_grad():
            for s, w in zip(scale, weights, strict=True):
                part = 2 * s * w
                w -= 0.01 * 2 * s * (w + 0.2 * part / part.norm())

    got = after(lambda weights, loss: answer(weights, loss, 0.2, 0.01))
    if same(got, start):
        raise Wrong("the weights do not move; change them in place")
    if same(got, after(per_tensor)):
        raise Wrong("one norm over all weights, not one per tensor")
    if not same(got, after(right)):
        raise Wrong(f"from {values(start)} it goes to {values(got)}, not {values(after(right))}")


@checked
def picture(answer) -> None:
    """For which data sets the border of SAM's picture is lower, as a multiple of its centre."""
    mine, found = answer
    sets = dict.fromkeys(data for data, _ in found)
    expected = [data for data in sets if _ratio(found, data) < 1]
    if sorted(mine) != sorted(expected):
        raise Wrong("the border is the outer frame of the square; divide by the centre's loss")


def _ratio(found: dict, data: str) -> float:
    """SAM's border over centre, as a multiple of the baseline's."""
    values = []
    for name in ("sam", "baseline"):
        square = np.array(found[data, name]["picture"])
        inside = np.zeros(square.shape, bool)
        inside[1:-1, 1:-1] = True
        middle = len(square) // 2
        values.append(square[~inside].mean() / square[middle, middle])
    return values[0] / values[1]


def same(one: list, two: list) -> bool:
    return all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, two, strict=True))


def values(weights: list) -> list:
    return [round(value, 4) for part in weights for value in part.flatten().tolist()]
