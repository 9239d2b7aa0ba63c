"""How much of a feature map is too fine for the pixels that pooling keeps?

A map that is subsampled by 2 can show frequencies up to a quarter of a cycle per old pixel. What is
finer does not vanish: it turns up as a coarser pattern that was never there (aliasing).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effcnn import runs
from effcnn.analyses import Show, rounded
from effcnn.data import Data, normalise
from effcnn.results import Run
from effcnn.techniques.blurpool import blur2d

IMAGES = 2_000


def power(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The mean power of square maps (N, C, S, S) by frequency; each map's mean is left out.

    Returns: the profile, with the sum 1, over the larger of the two frequencies: 1, 2, ... S // 2
        cycles per map; and the share above a quarter of a cycle per pixel.
    """
    maps = maps.double() - maps.double().mean((2, 3), keepdim=True)
    size = maps.shape[-1]
    spectrum = torch.fft.fft2(maps).abs().square().mean((0, 1))
    cycles = torch.minimum(torch.arange(size), size - torch.arange(size))
    highest = torch.maximum(cycles[:, None], cycles[None, :])
    profile = torch.zeros(size // 2 + 1, dtype=torch.double).index_add_(
        0, highest.flatten(), spectrum.flatten()
    )
    total = spectrum.sum()
    return profile[1:] / total, spectrum[4 * highest > size].sum() / total


def analyse(run: Run, content: Data, show: Show = iter) -> dict:
    """The spectra of what enters the subsampling of each max-pool, on 2,000 test images.

    Returns: by the name of the pool the `size` of its map (pixels); `dense`, the profile of the
        maximum at every pixel, and `blurred`, that of the same map after BlurPool's filter; `above`
        and `above blurred`, their shares (percent) above a quarter of a cycle per pixel.
    """
    model = runs.load(run)
    pools = {name: m for name, m in model.named_modules() if isinstance(m, nn.MaxPool2d)}
    seen: dict[str, list] = {name: [] for name in pools}
    for name, pool in pools.items():
        pool.register_forward_pre_hook(lambda _, inputs, name=name: seen[name].append(inputs[0]))
    with torch.inference_mode():
        for images in show(content.test.images[:IMAGES].split(500)):
            model(normalise(images, content.mean, content.std))
    result = {}
    for name, parts in seen.items():
        dense = F.max_pool2d(torch.cat(parts), 2, 1)
        (plain, above), (soft, above_soft) = power(dense), power(blur2d(dense))
        result[name] = {
            "size": dense.shape[-1],
            "dense": rounded(plain),
            "blurred": rounded(soft),
            "above": rounded(100 * above),
            "above blurred": rounded(100 * above_soft),
        }
    return {"images": min(IMAGES, len(content.test.labels)), "pools": result}
