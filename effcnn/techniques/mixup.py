"""Mixup: every training image and its target are mixed with those of another one."""

import torch
from torch import Generator, Tensor

from effcnn.errors import UserError
from effcnn.techniques import SPECS, Technique
from effcnn.techniques.targets import soft_targets


def mixup_batch(
    images: Tensor,
    targets: Tensor,
    alpha: float = 0.2,
    *,
    num_classes: int | None = None,
    generator: Generator,
) -> tuple[Tensor, Tensor]:
    """Mix a batch with a shuffled copy of itself, once per optimizer step.

    One weight is drawn for the whole batch. Integers are class numbers and floats are soft targets:
    the dtype decides, not the shape.

    Args:
        images: (N, C, H, W), floating point.
        targets: (N,) class numbers, or (N, K) soft targets whose rows sum to 1.
        alpha: of the Beta distribution, 0.01 to 1e6: small ones mix little. 0 mixes not at all.
        num_classes: K, for class numbers only.
        generator: draws the weight and the partners.
    Returns: the mixed images, and targets (N, K); the inputs are left unchanged.
    Raises: UserError for another alpha, for class numbers without `num_classes`, and for targets
        of another shape than their dtype says.
    Source: Zhang et al. 2018, arXiv:1710.09412; their alpha is 0.2 for ImageNet and 1 for CIFAR-10.
    """
    soft = soft_targets(targets, num_classes)
    return mixup(images, soft, *draw_mixup(len(images), alpha, generator))


def draw_mixup(n: int, alpha: float, generator: Generator) -> tuple[float, Tensor]:
    """The weight `lam` ~ Beta(alpha, alpha) of an image itself, and a partner for each of n."""
    if not (alpha == 0 or 0.01 <= alpha <= 1e6):
        raise UserError(f"mixup alpha is {alpha}; it must be 0 or a number from 0.01 to 1e6")
    partners = torch.randperm(n, generator=generator, device=generator.device)
    if alpha == 0:
        return 1.0, partners
    # A Dirichlet distribution over two is a Beta distribution. Weights close to 1, as a small alpha
    # gives them, need float64.
    both = torch.full((2,), alpha, dtype=torch.float64, device=generator.device)
    return torch._sample_dirichlet(both, generator=generator)[0].item(), partners


def mixup(images: Tensor, targets: Tensor, lam: float, partners: Tensor) -> tuple[Tensor, Tensor]:
    """`lam` of each image and soft target, and 1 - `lam` of its partner's."""
    partners = partners.to(images.device)
    return tuple(x.lerp(x[partners], 1 - lam) for x in (images, targets))


class Mixup(Technique, spec=SPECS["m"]):
    """`m(alpha=0.2)` in a recipe. Training accuracy is counted on the images' own labels."""

    def change_batch(self, images: Tensor, targets: Tensor, generator: Generator):
        return mixup_batch(images, targets, self.alpha, generator=generator)
