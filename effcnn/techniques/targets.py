"""Targets of either kind, as the techniques that change them need them."""

import torch.nn.functional as F
from torch import Tensor

from effcnn.errors import UserError


def soft_targets(targets: Tensor, num_classes: int | None = None) -> Tensor:
    """Class numbers as rows with a single 1; soft targets as they are.

    The dtype decides which they are, not the shape: N may equal K.

    Args:
        targets: (N,) integers, or (N, K) floats.
        num_classes: K, for class numbers only.
    Returns: (N, K), float32 for class numbers.
    Raises: UserError for another shape, and for class numbers without `num_classes`.
    """
    soft = targets.is_floating_point()
    if targets.dim() != (2 if soft else 1):
        raise UserError(
            f"targets are {tuple(targets.shape)} of {targets.dtype}; give class numbers (N,) as "
            "integers or soft targets (N, K) as floats"
        )
    if soft:
        return targets
    if num_classes is None:
        raise UserError("class numbers need num_classes, the number of classes; give it")
    return F.one_hot(targets.long(), num_classes).float()
