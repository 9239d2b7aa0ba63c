"""Label smoothing: the targets give a little of their weight to all classes."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from effcnn.errors import UserError
from effcnn.techniques import SPECS, Technique


def smooth_labels(
    targets: Tensor, smoothing: float = 0.1, *, num_classes: int | None = None
) -> Tensor:
    """Move the share `smoothing` of every target to all classes alike.

    Integers are class numbers and floats are soft targets, whatever their shape. Mixed targets may
    be smoothed, and smoothed ones mixed: the order makes no difference.

    Args:
        targets: (N,) class numbers, or (N, K) soft targets whose rows sum to 1.
        smoothing: 0 changes nothing, 1 leaves nothing to learn; 0.1 in the paper (sec. III-J).
        num_classes: K, for class numbers only.
    Returns: (N, K), rows sum to 1; the true class of a hard label gets 1 - s + s / K, the others
        s / K. The dtype of soft targets is kept; class numbers become float32.
    Raises: UserError for a smoothing outside 0..1, and for class numbers without `num_classes`.
    Source: Szegedy et al. 2016, arXiv:1512.00567; the same as torch's `label_smoothing`.

    >>> import torch
    >>> smooth_labels(torch.tensor([1]), 0.1, num_classes=2)
    tensor([[0.0500, 0.9500]])
    """
    if not 0 <= smoothing <= 1:
        raise UserError(f"label smoothing is {smoothing}; it must be a number from 0 to 1")
    if not targets.is_floating_point():
        if num_classes is None:
            raise UserError("smooth_labels needs num_classes for class numbers; give it")
        targets = F.one_hot(targets, num_classes).float()
    return (1 - smoothing) * targets + smoothing / targets.shape[1]


class LabelSmoothing(Technique, spec=SPECS["ls"]):
    """`ls(smoothing=0.1)` in a recipe. Evaluation stays plain cross-entropy."""

    def wrap_loss(self, loss: Callable) -> Callable:
        return lambda logits, targets: loss(logits, smooth_labels(targets, self.smoothing))
