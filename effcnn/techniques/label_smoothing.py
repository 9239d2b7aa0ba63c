"""Label smoothing: the targets give a little of their weight to all classes."""

from collections.abc import Callable

from torch import Tensor

from effcnn.errors import UserError
from effcnn.techniques import SPECS, Technique
from effcnn.techniques.targets import soft_targets


def smooth_labels(
    targets: Tensor, smoothing: float = 0.1, *, num_classes: int | None = None
) -> Tensor:
    """Move the share `smoothing` of every target to all classes alike.

    Integers are class numbers and floats are soft targets: the dtype decides, not the shape. Mixed
    targets may be smoothed, and smoothed ones mixed: the order makes no difference.

    Args:
        targets: (N,) class numbers, or (N, K) soft targets whose rows sum to 1.
        smoothing: 0 changes nothing, 1 leaves nothing to learn; 0.1 in the paper (sec. III-J).
        num_classes: K, for class numbers only.
    Returns: (N, K), rows sum to 1; the true class of a hard label gets 1 - s + s / K, the others
        s / K. The dtype of soft targets is kept; class numbers become float32.
    Raises: UserError for a smoothing outside 0..1, for class numbers without `num_classes`, and for
        targets of another shape than their dtype says.
    Source: Szegedy et al. 2016, arXiv:1512.00567; the same as torch's `label_smoothing`.

    >>> import torch
    >>> smooth_labels(torch.tensor([1]), 0.1, num_classes=2)
    tensor([[0.0500, 0.9500]])
    """
    if not 0 <= smoothing <= 1:
        raise UserError(f"label smoothing is {smoothing}; it must be a number from 0 to 1")
    soft = soft_targets(targets, num_classes)
    return (1 - smoothing) * soft + smoothing / soft.shape[1]


class LabelSmoothing(Technique, spec=SPECS["ls"]):
    """`ls(smoothing=0.1)` in a recipe. Evaluation stays plain cross-entropy."""

    def wrap_loss(self, loss: Callable) -> Callable:
        return lambda logits, targets: loss(logits, smooth_labels(targets, self.smoothing))
