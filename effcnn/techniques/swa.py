"""Stochastic weight averaging (SWA): train on, and test the mean of the last epochs' weights."""

import math
import warnings
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from effcnn.errors import UserError
from effcnn.techniques import SPECS, Technique


def swa_epochs(start: float, epochs: int) -> range:
    """The epochs, counted from 1, whose weights are averaged: all `e >= start * epochs`.

    The last epoch is always among them. A product that misses a whole number by a rounding error
    (0.07 * 100 is 7.000000000000001) counts as that number.

    Args:
        start: share of the training after which snapshots begin, 0 < start <= 1; 0.75 in the paper.
            An epoch that ends just there counts.
        epochs: number of epochs in the whole training.
    Raises: UserError for settings out of range.
    Source: Izmailov et al. 2018, arXiv:1803.05407, with a snapshot after every epoch; Composer
        0.4 and later start at the same epoch.

    >>> list(swa_epochs(0.75, 8))
    [6, 7, 8]
    """
    if not 0 < start <= 1:
        raise UserError(f"swa start is {start}; choose a share of the epochs above 0, up to 1")
    if epochs < 1:
        raise UserError(f"swa has no epoch to average: epochs is {epochs}; choose 1 or more")
    return range(max(1, math.ceil(start * epochs - 1e-9)), epochs + 1)


@torch.no_grad()
def update_batchnorm(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Recompute the running statistics of every BatchNorm in `model`, in place.

    Averaged weights give activations that none of the averaged nets had, so their statistics do
    not fit. The new ones are the means, over all batches, of the batch's mean and of its unbiased
    variance; every batch counts by its number of images. Only BatchNorm works as in training:
    dropout is off, no gradient is kept, autocast is off.

    Each BatchNorm's `num_batches_tracked` becomes the number of its batches. Modes and momenta are
    restored, also after an error. A net without BatchNorm is left alone, `batches` not touched.

    Args:
        model: any module that maps one batch to anything.
        batches: training images as the net is tested on them: normalised, not augmented, on the
            device of `model`. The last batch may be short, but not a single value per channel.
    Raises: UserError if there is no batch.
    Source: the published code of Izmailov et al. 2018. `torch.optim.swa_utils.update_bn` counts
        every batch the same, a short one too, and leaves dropout on.

    >>> net = nn.BatchNorm1d(1)
    >>> update_batchnorm(net, [torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [7.0], [9.0]])])
    >>> net.running_mean, net.running_var
    (tensor([5.]), tensor([3.2000]))
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return
    seen = dict.fromkeys(norms, 0)
    momenta = {norm: norm.momentum for norm in norms}
    modes = {module: module.training for module in model.modules()}

    def weigh(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        if not seen[norm]:
            norm.reset_running_stats()
        seen[norm] += len(inputs[0])
        norm.momentum = len(inputs[0]) / seen[norm]

    # Counted where it is called: a BatchNorm that is used twice in a net counts both.
    handles = [norm.register_forward_pre_hook(weigh) for norm in norms]
    images = None
    try:
        for module in modes:
            module.training = module in seen
        for images in batches:
            with torch.autocast(images.device.type, enabled=False):
                model(images)
    finally:
        for handle in handles:
            handle.remove()
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
    if images is None:
        raise UserError("no batch to compute BatchNorm statistics from; give one or more")


class WeightAveraging(Technique, spec=SPECS["swa"]):
    """`swa(start=0.75)` in a recipe. Until training ends it changes nothing, the rate included."""

    average: AveragedModel | None = None

    def end_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        if epoch in swa_epochs(self.start, epochs):
            if self.average is None:
                self.average = AveragedModel(_parameters(model))
            self.average.update_parameters(_parameters(model))

    def finish(self, model: nn.Module, batches: Callable[[], Iterable[Tensor]]) -> None:
        if self.average.n_averaged == 1:
            warnings.warn("SWA averaged one epoch only: the last", stacklevel=2)
        with torch.no_grad():
            for weight, mean in zip(model.parameters(), self.average.parameters(), strict=True):
                weight.copy_(mean)
        update_batchnorm(model, batches())

    def state_dict(self) -> dict:
        return {} if self.average is None else self.average.state_dict()

    def load_state_dict(self, state: dict, model: nn.Module) -> None:
        self.average = None
        if state:
            self.average = AveragedModel(_parameters(model))
            self.average.load_state_dict(state)


def _parameters(model: nn.Module) -> nn.ParameterList:
    """What is averaged: not the buffers, and not what hooks hold on to."""
    return nn.ParameterList(model.parameters())
