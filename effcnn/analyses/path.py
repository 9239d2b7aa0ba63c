"""Where training walks at its end, and where the mean of its weights lies.

In a plane through three sets of weights: those of the first and of the last epoch that weight
averaging would take, and their mean over all of these epochs. BatchNorm's statistics are computed
anew at every point, on the first training images, because no net there has had its own.
"""

import torch
from torch import Tensor, nn

from effcnn import checkpoint, runs
from effcnn.analyses import Show, rounded
from effcnn.data import Data, Split, normalise
from effcnn.errors import UserError
from effcnn.results import Run
from effcnn.techniques.swa import swa_epochs, update_batchnorm
from effcnn.train import evaluate

IMAGES = 2_000  # to train BatchNorm's statistics and to measure the training loss
TESTED = 2_000  # test images
GRID = 13
LINE = 21
START = 0.75  # of the training: from when the paper averages


def flat(model: nn.Module) -> Tensor:
    """All weights in one row, in double precision; not the statistics of BatchNorm."""
    return torch.cat([weight.detach().double().flatten() for weight in model.parameters()])


class Place:
    """The losses of a net at any weights."""

    def __init__(self, model: nn.Module, content: Data) -> None:
        self.model, self.content = model, content
        self.train = Split(content.train.images[:IMAGES], content.train.labels[:IMAGES])
        self.test = Split(content.test.images[:TESTED], content.test.labels[:TESTED])

    def at(self, weights: Tensor) -> tuple[float, float]:
        """Loss on the training images, and errors on the test images in percent."""
        with torch.no_grad():
            place = 0
            for weight in self.model.parameters():
                part = weights[place : place + weight.numel()]
                weight.copy_(part.view_as(weight))
                place += weight.numel()
        batches = self.train.images.split(500)
        constants = self.content.mean, self.content.std
        update_batchnorm(self.model, (normalise(images, *constants) for images in batches))
        loss = evaluate(self.model, self.train, self.content)["loss"]
        return loss, 100 - evaluate(self.model, self.test, self.content)["accuracy"]


def plane(first: Tensor, last: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Two directions of length 1, at right angles, in the plane of three points around `mean`."""
    one = last - first
    one = one / one.norm()
    two = mean - first
    two = two - (two @ one) * one
    if two.norm() < 1e-9 * (last - first).norm():
        raise UserError("the mean lies on the line of first and last: there is no plane")
    return one, two / two.norm()


def analyse(run: Run, content: Data, show: Show = iter) -> dict:
    """The late epochs of a run that kept them all, their mean, and the losses around them.

    Returns: `epochs`, whose weights these are; `points`, their places in the plane with the mean at
        the origin; `x` and `y`, the sides of the grid; `loss` and `error` on the grid (rows by y);
        `line`, loss and error from the first (0) to the last (1) of them; `ends`, loss and error
        at the last epoch and at the mean; `apart`, the distance between first and last as a share
        of the weights' length.
    Raises: UserError for a run that did not keep its epochs.
    """
    numbers = list(swa_epochs(START, run.recipe.epochs))
    files = [run.folder / "epochs" / f"{number:02d}.safetensors" for number in numbers]
    if missing := [file for file in files if not file.is_file()]:
        raise UserError(f"{missing[0]} is missing; train the cell with keep_epochs")
    if len(files) < 3:
        raise UserError(f"{run.folder} has {len(files)} late epochs; a plane needs 3")
    model = runs.load(run)
    rows = []
    for file in files:
        model.load_state_dict(checkpoint.weights(file, model))
        rows.append(flat(model))
    late = torch.stack(rows)
    mean, place = late.mean(0), Place(model, content)
    one, two = plane(late[0], late[-1], mean)
    points = torch.stack([(late - mean) @ one, (late - mean) @ two], 1)
    reach = 1.3 * points.abs().max().item()
    side = torch.linspace(-reach, reach, GRID, dtype=torch.double)
    grid = [[place.at(mean + x * one + y * two) for x in side] for y in show(side)]
    share = torch.linspace(0, 1, LINE, dtype=torch.double)
    line = [place.at(late[0] + t * (late[-1] - late[0])) for t in show(share)]
    return {
        "epochs": numbers,
        "points": rounded(points),
        "x": rounded(side),
        "y": rounded(side),
        "loss": rounded(torch.tensor(grid)[..., 0], 4),
        "error": rounded(torch.tensor(grid)[..., 1], 4),
        "line": rounded(torch.tensor(line), 4),
        "ends": {
            "last": rounded(torch.tensor(place.at(late[-1]))),
            "mean": rounded(torch.tensor(place.at(mean))),
        },
        "apart": rounded((late[-1] - late[0]).norm() / mean.norm()),
    }
